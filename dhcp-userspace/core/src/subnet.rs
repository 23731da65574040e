//! The policy: shared networks, subnets, pools; and how one is selected.
//!
//! An immutable snapshot, made whole from a checked configuration; a reload swaps the whole of it.

use crate::alarms::Alarms;
use crate::class::{Access, ClassId, Classes, Guard};
use crate::flexible::Flexible;
use crate::leasequery::Leasequery;
use crate::limits::SubnetLimits;
use crate::networks::{AllowedRelays, Networks, VpnNumber, Vpns};
use crate::options::OptionSet;
use crate::probe::{Probe, Probes};
pub use crate::reservation::{
    Boot, Host, Hosts, IdentifierOrder, Reservation, Reservations, ReservedBy,
};
use crate::v4::NonceSecret;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use dhcp_lease::{Lease, PoolIndex, Pools, SubnetId, Timestamp};
use dhcp_wire::frame::MacAddress;
use dhcp_wire::id::Duid;
use std::sync::Arc;

/// An interface that is served, as the shell sees it at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Interface {
    /// Its name, which subnets may be bound to.
    pub name: String,
    /// Its Ethernet address, the source of our replies.
    pub mac: MacAddress,
    /// Its IPv4 addresses, the primary one first. The first is the server identifier
    /// (RFC 2131 section 4.1) unless the subnet has one of its own.
    // RFC 2131 section 4.1 [any-own-address]: each of our addresses names us.
    pub v4: Vec<Ipv4Addr>,
    /// Its IPv6 addresses that are not link-local.
    pub v6: Vec<Ipv6Addr>,
    /// Its link-local address, the source of our replies to clients on the link.
    pub link_local: Option<Ipv6Addr>,
}

/// Everything that the operator has decided.
#[derive(Debug, Default)]
pub struct Policy {
    /// DHCPv4 links; one is a shared network or a subnet standing alone.
    pub networks_v4: Networks<Subnet4>,
    /// DHCPv6 links.
    pub networks_v6: Networks<Subnet6>,
    /// DHCPv4 options for everybody.
    pub options_v4: OptionSet,
    /// DHCPv6 options for everybody.
    pub options_v6: OptionSet,
    /// The pools of all subnets, numbered across the whole policy.
    pub pools: Pools,
    /// Who may use each of the pools, by their numbers; one that is not among them is for everybody.
    pub pool_access: Vec<Access>,
    /// The classes of DHCPv4 clients.
    pub classes_v4: Classes,
    /// The classes of DHCPv6 clients.
    pub classes_v6: Classes,
    /// This server's DUID, kept for ever in the state directory (RFC 8415 section 11).
    pub server_duid: Duid,
    /// How long an offered lease is held for its client, in seconds.
    pub offer_lifetime_seconds: u32,
    /// How long a declined lease is nobody's, in seconds.
    pub decline_probation_seconds: u32,
    /// How long one that was declined again and again is nobody's at most, in seconds.
    pub decline_probation_seconds_max: u32,
    /// DHCPv4: which of two addresses a client without a lease is given.
    pub preference_v4: Preference,
    /// DHCPv6: the same for its IAs.
    pub preference_v6: Preference,
    /// When the operator wants to know how full pools are.
    pub alarms: Alarms,
    /// Who may ask for others' leases, if anybody may.
    pub leasequery: Option<Leasequery>,
    /// Whether a RELEASE that was sent to us counts although it does not name us (RFC 2131 table 5 asks for it).
    pub release_without_server_id: bool,
    /// From what the nonces are made by which DHCPv4 clients know a FORCERENEW; `None`: they get none.
    pub forcerenew: Option<NonceSecret>,
    /// Where workers and prober meet; `None`: no subnet wants addresses probed.
    pub probes: Option<Arc<Probes>>,
    /// What holds for all DHCPv4 relay agents.
    pub relays_v4: RelayPolicy,
    /// How DHCPv4 clients with reservations are known, and reservations of no subnet.
    pub hosts_v4: Hosts,
    /// The same of DHCPv6.
    pub hosts_v6: Hosts,
    /// What an expression makes of DHCPv4 messages, to know their clients by.
    pub flexible_v4: Flexible,
    /// The same of DHCPv6.
    pub flexible_v6: Flexible,
}

impl Policy {
    /// Whether there are leases that belong to lines: those must be found by their addresses.
    pub fn has_lines(&self) -> bool {
        let mut subnets = self.networks_v4.iter().flat_map(|network| &network.subnets);
        subnets.any(|subnet| self.is_of_relay_agent(subnet.agents.client_key))
    }

    /// Whether a DHCPv4 client's key comes from its relay agent: in what it sends past that it is missing.
    pub fn is_of_relay_agent(&self, key: ClientKey) -> bool {
        match key {
            ClientKey::Client => false,
            ClientKey::Agent(_) => true,
            ClientKey::Flexible => self.flexible_v4.is_of_relay_agent(),
        }
    }

    /// For how long a lease that is declined now is nobody's: for longer each time, see
    /// [`Pools::quarantine_seconds`].
    pub(crate) fn quarantine_seconds(&self, lease: Lease, now: Timestamp) -> u32 {
        let (least, most) = (
            self.decline_probation_seconds,
            self.decline_probation_seconds_max,
        );
        self.pools.quarantine_seconds(lease, least, most, now)
    }
}

/// Which of two free addresses a client without a lease is given: the one that it had before, or the one that
/// it asks for. A reservation and a live lease go before both, a new address comes after both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Preference {
    /// The former one (RFC 2131 section 4.3.1).
    #[default]
    Former,
    /// The requested one (requirements A10, A11).
    Requested,
}

/// What of a DHCPv4 client counts in a subnet, and who is served there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether we have the last word on who uses which address there: a client with an address of another
    /// network gets a NAK also when we do not know it (RFC 2131 section 4.3.2).
    pub authoritative: bool,
    /// Whether the client identifier says who a client is. If not, its hardware address does.
    pub match_client_id: bool,
    /// Whether the client identifier is echoed (RFC 6842).
    pub echo_client_id: bool,
    /// Whether BOOTP clients are served (RFC 1534), and for how many seconds they get an address, of which
    /// they are never told.
    pub bootp_seconds: Option<u32>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            authoritative: true,
            match_client_id: true,
            echo_client_id: true,
            bootp_seconds: None,
        }
    }
}

/// What holds for all DHCPv4 relay agents.
#[derive(Clone, Debug, Default)]
pub struct RelayPolicy {
    /// Relay agents that may speak to us besides those that a subnet lists (`allowed-relays`). `None`: all.
    pub allowed: Option<AllowedRelays>,
    /// Interfaces behind which there is no relay agent (`accept-relayed = false`): a message with a `giaddr`
    /// that comes from there is a forged one.
    pub refused_interfaces: Vec<String>,
    /// Whether clients themselves may say on which subnet and VPN they are (`subnet-selection`): options 118
    /// (RFC 3011) and 221 (RFC 6607) in relayed messages count.
    pub client_selects: bool,
    /// Whether relay agents may not say on which link a client is apart from `giaddr`
    /// (`ignore-rai-link-selection`): RFC 3527 does not hold.
    pub ignores_link_selection: bool,
    /// The VPNs that subnets belong to.
    pub vpns: Vpns,
}

/// What of relay agents' words counts in a DHCPv4 subnet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentPolicy {
    /// The VPN that the subnet belongs to (`vpn`).
    pub vpn: VpnNumber,
    /// Whether option 82 counts in messages that have no `giaddr` (`trust-option-82`): a switch or DSLAM on
    /// the way puts it in.
    pub trusts_unrelayed: bool,
    /// By what a binding is found (`client-key`); the same in all subnets of a network.
    pub client_key: ClientKey,
}

/// By what the binding of a client is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClientKey {
    /// What the client says it is: its client identifier, else its hardware address.
    #[default]
    Client,
    /// What its relay agent says: this sub-option of option 82. The lease is the line's, whatever is
    /// plugged in.
    Agent(u8),
    /// What an expression makes of its messages ([`Policy::flexible_v4`]); what it makes nothing of counts as with
    /// [`ClientKey::Client`].
    Flexible,
}

/// Subnets on one link (RFC 2131's shared network). Bindings are found per network.
#[derive(Debug, Clone)]
pub struct Network<S> {
    /// The shared network's name; empty for a subnet standing alone.
    pub name: String,
    /// Its subnets, in the order in which pools are tried.
    pub subnets: Vec<S>,
    /// Its own options, for all its subnets.
    pub options: OptionSet,
    /// Who may use them.
    pub access: Access,
}

/// The options of a subnet's pools, found by address or prefix.
#[derive(Clone, Debug, Default)]
pub struct PoolOptions {
    /// First and last address as numbers, by the first; no two overlap.
    sorted: Vec<(u128, u128, OptionSet)>,
}

impl PoolOptions {
    /// Those of pools without common addresses, each from its first to its last address. Pools without
    /// options need not be there.
    pub fn new(pools: impl IntoIterator<Item = (IpAddr, IpAddr, OptionSet)>) -> Self {
        let has_options = |(_, _, options): &(IpAddr, IpAddr, OptionSet)| !options.is_empty();
        let numbered =
            |(first, last, options)| (address_number(first), address_number(last), options);
        let mut sorted: Vec<_> = pools
            .into_iter()
            .filter(has_options)
            .map(numbered)
            .collect();
        sorted.sort_by_key(|(first, ..)| *first);
        Self { sorted }
    }

    /// The options of the pool that a lease's address lies in.
    pub fn of(&self, address: IpAddr) -> Option<&OptionSet> {
        let number = address_number(address);
        let after = self.sorted.partition_point(|(first, ..)| *first <= number);
        let (_, last, options) = self.sorted.get(after.checked_sub(1)?)?;
        (number <= *last).then_some(options)
    }
}

fn address_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The lifetimes that leases of a subnet get, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Given unless the client asks for another (`valid-lifetime`).
    pub valid: u32,
    /// Smallest that a client may ask for (`min-valid-lifetime`; DHCPv4), and what it gets when the subnet is
    /// nearly full (both protocols).
    pub valid_min: u32,
    /// Largest that a client may ask for (`max-valid-lifetime`; DHCPv4 only).
    pub valid_max: u32,
    /// DHCPv6 preferred lifetime (`preferred-lifetime`).
    pub preferred: u32,
    /// T1 (`renew-timer`); `None`: computed from the lifetime, half of it.
    pub renew: Option<u32>,
    /// T2 (`rebind-timer`); `None`: computed, 7/8 of the lifetime in DHCPv4 (RFC 2131 section 4.4.5), 0.8 of
    /// the preferred lifetime in DHCPv6 (RFC 8415 section 21.4).
    pub rebind: Option<u32>,
    /// When a renewal is not written down.
    pub cache: LeaseCache,
    /// From which share of the subnet's leases being taken on, in millionths, leases are as short as may be
    /// (`adaptive-lease-time-threshold`).
    pub adaptive_millionths: Option<u32>,
}

/// Which renewals that change nothing are answered with what is left of the lease, without writing it down.
/// Of bounds that are there, all hold; if there is none, only duplicates of a request are answered so; if
/// one is 0, nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LeaseCache {
    /// Until which share of the valid lifetime has passed, in millionths (`cache-threshold`).
    pub threshold_millionths: Option<u32>,
    /// Until how many seconds have passed (`cache-max-age`).
    pub age_seconds_max: Option<u32>,
}

/// A DHCPv4 subnet.
#[derive(Clone, Debug)]
pub struct Subnet4 {
    /// Its number.
    pub id: SubnetId,
    /// Network address.
    pub network: Ipv4Addr,
    /// Prefix length, 0 to 32.
    pub prefix_len: u8,
    /// Its pools.
    pub pools: Vec<PoolIndex>,
    /// Relay agents that it is behind (`relay`), besides those whose address lies in it.
    pub relays: Vec<Ipv4Addr>,
    /// The interface whose direct clients it serves, if bound to one; else the interface that has an
    /// address in it.
    pub interface: Option<String>,
    /// Lifetimes.
    pub lifetimes: Lifetimes,
    /// Its own options.
    pub options: OptionSet,
    /// Options of its pools, where they have any.
    pub pool_options: PoolOptions,
    /// Reservations by identifier.
    pub reservations: Reservations,
    /// Who may use it.
    pub access: Access,
    /// Server identifier to use instead of the interface's address.
    pub server_identifier: Option<Ipv4Addr>,
    /// `siaddr`, the next server in bootstrap (`next-server`); unspecified unless configured.
    pub next_server: Ipv4Addr,
    /// `sname` (`server-hostname`), at most 63 octets.
    pub server_hostname: Box<[u8]>,
    /// `file` (`boot-file-name`), at most 127 octets.
    pub boot_file_name: Box<[u8]>,
    /// Rapid Commit allowed (RFC 4039).
    pub rapid_commit: bool,
    /// How addresses are probed before they are offered; `None`: not at all.
    pub probe: Option<Probe>,
    /// What of a client counts, and who is served.
    pub rules: Rules,
    /// What of relay agents' words counts.
    pub agents: AgentPolicy,
    /// How many leases it and each of its lines may hold.
    pub limits: SubnetLimits,
}

/// A DHCPv6 subnet.
#[derive(Clone, Debug)]
pub struct Subnet6 {
    /// Its number.
    pub id: SubnetId,
    /// Network address.
    pub network: Ipv6Addr,
    /// Prefix length, 0 to 128.
    pub prefix_len: u8,
    /// Pools of addresses.
    pub pools: Vec<PoolIndex>,
    /// Pools of prefixes to delegate.
    pub pd_pools: Vec<PoolIndex>,
    /// Link-addresses of relay agents that it is behind (`relay`), besides those that lie in it.
    pub relays: Vec<Ipv6Addr>,
    /// The interface whose direct clients it serves, if bound to one.
    pub interface: Option<String>,
    /// The Interface-Id option of the relay agent that it is behind, if selected by that.
    pub interface_id: Option<Box<[u8]>>,
    /// Lifetimes.
    pub lifetimes: Lifetimes,
    /// Its own options.
    pub options: OptionSet,
    /// Options of its pools, where they have any.
    pub pool_options: PoolOptions,
    /// Reservations by identifier.
    pub reservations: Reservations,
    /// Who may use it.
    pub access: Access,
    /// Rapid Commit allowed (RFC 8415 section 21.14).
    pub rapid_commit: bool,
    /// Preference sent in Advertise, when not 0 (RFC 8415 section 21.8).
    pub preference: u8,
    /// How many leases it and each of its lines may hold.
    pub limits: SubnetLimits,
}

impl Lifetimes {
    /// Whether so many of the leases of some pools are taken that there are to be short ones only.
    pub(crate) fn is_scarce(&self, pools: &Pools, among: &[PoolIndex]) -> bool {
        let Some(threshold) = self.adaptive_millionths else {
            return false;
        };
        let mut size = 0;
        let mut free = 0;
        for &pool in among {
            size += pools.range(pool).map_or(0, |range| range.count);
            free += pools.free_count(pool);
        }
        // A pool has 2^24 leases at most, and a subnet not 2^20 pools.
        let taken = size.saturating_sub(free);
        taken.saturating_mul(1_000_000) > size.saturating_mul(u64::from(threshold))
    }
}

impl Policy {
    /// Who may have leases of a pool.
    pub fn pool_guard(&self, pool: PoolIndex) -> Guard {
        self.pool_access(pool)
            .map_or(Guard::default(), |access| access.guard)
    }

    fn pool_access(&self, pool: PoolIndex) -> Option<&Access> {
        self.pool_access.get(pool.0 as usize)
    }

    /// The additional classes that are asked for around a lease: by its pool, its subnet and its shared
    /// network.
    pub fn additional<'p>(
        &'p self,
        lease: Option<Lease>,
        around: [&'p Access; 2],
    ) -> impl Iterator<Item = ClassId> + use<'p> {
        let pool = lease.and_then(|lease| self.pools.pool_of(lease));
        let pool = pool.and_then(|pool| self.pool_access(pool));
        let all = pool.into_iter().chain(around);
        all.flat_map(|access| access.additional.iter().copied())
    }
}

impl Subnet4 {
    /// Whether an address lies in the subnet.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let mask = u32::MAX
            .checked_shl(32 - u32::from(self.prefix_len.min(32)))
            .unwrap_or(0);
        address.to_bits() & mask == self.network.to_bits() & mask
    }
}

impl Subnet6 {
    /// Whether an address lies in the subnet.
    pub fn contains(&self, address: Ipv6Addr) -> bool {
        let mask = u128::MAX
            .checked_shl(128 - u32::from(self.prefix_len.min(128)))
            .unwrap_or(0);
        address.to_bits() & mask == self.network.to_bits() & mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{ConfiguredOption, Sending};

    #[test]
    fn pools_have_their_options_from_their_first_address_to_their_last() {
        let set = |code| {
            OptionSet::layered([ConfiguredOption {
                code,
                data: Box::default(),
                sending: Sending::Asked,
            }])
        };
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let pools = PoolOptions::new([
            (ip("10.0.0.20"), ip("10.0.0.29"), set(2)),
            (ip("10.0.0.10"), ip("10.0.0.19"), set(1)),
            (ip("10.0.0.40"), ip("10.0.0.49"), OptionSet::EMPTY),
        ]);
        for (address, code) in [
            ("10.0.0.9", None),
            ("10.0.0.10", Some(1)),
            ("10.0.0.19", Some(1)),
            ("10.0.0.20", Some(2)),
            ("10.0.0.29", Some(2)),
            ("10.0.0.30", None),
            ("10.0.0.45", None),
        ] {
            let found = pools.of(ip(address)).and_then(|set| set.iter().next());
            assert_eq!(found.map(|option| option.code), code, "{address}");
        }
    }
}
