//! What did the operator configure? Small pools, so that they are exhausted and used again.

use super::random::Random;
use dhcp_core::options::OptionSet;
use dhcp_core::subnet::{
    AgentPolicy, LeaseCache, Lifetimes, Network, PoolOptions, Preference, Reservations, Rules,
    Subnet4, Subnet6,
};
use dhcp_core::{Interface, Policy};
use dhcp_lease::{Lease, PoolIndex, PoolRange, Pools, SubnetId};
use dhcp_wire::id::Duid;
use std::net::{Ipv4Addr, Ipv6Addr};

/// How long leases last, in seconds.
pub const VALID_SECONDS: u32 = 150;

/// A configuration, as far as runs differ in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    v4_first: u8,
    v4_count: u64,
    v6_first: u16,
    v6_count: u64,
    prefix_len: u8,
    prefix_count: u64,
}

impl Layout {
    /// The first configuration of a run.
    pub fn new(random: &mut Random) -> Self {
        Self {
            v4_first: 10,
            v4_count: random.within(8..=20),
            v6_first: 0x10,
            v6_count: random.within(6..=14),
            prefix_len: 56,
            prefix_count: random.within(6..=14),
        }
    }

    /// The next one: pools shrink, grow, move, or are cut up anew.
    #[must_use]
    pub fn changed(self, random: &mut Random) -> Self {
        let mut next = self;
        match random.below(4) {
            0 => next.v4_count = random.within(4..=20),
            1 => next.v4_first = random.within(10..=24) as u8,
            2 => {
                next.v6_first = random.within(0x10..=0x18) as u16;
                next.v6_count = random.within(4..=14);
            }
            _ => {
                next.prefix_len = *random.pick(&[56, 57, 60]);
                next.prefix_count = random.within(4..=14);
            }
        }
        next
    }

    fn ranges(&self) -> [PoolRange; 3] {
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.v6_first);
        let prefix = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 0);
        let v4 = Lease::V4(Ipv4Addr::new(10, 0, 0, self.v4_first));
        [
            PoolRange {
                first: v4,
                count: self.v4_count,
            },
            PoolRange {
                first: Lease::Address(v6),
                count: self.v6_count,
            },
            PoolRange {
                first: Lease::Prefix(prefix, self.prefix_len),
                count: self.prefix_count,
            },
        ]
    }

    /// Whether a lease lies in a pool.
    pub fn has(&self, lease: Lease) -> bool {
        Pools::new(&self.ranges(), &[]).pool_of(lease).is_some()
    }

    /// The policy, whose pools go on from those before.
    pub fn policy(&self, duid: Duid, previous: Option<&Pools>) -> Policy {
        let ranges = self.ranges();
        let pools = match previous {
            Some(previous) => Pools::succeed(previous, &ranges, &[]),
            None => Pools::new(&ranges, &[]),
        };
        let lifetimes = Lifetimes {
            valid: VALID_SECONDS,
            valid_min: VALID_SECONDS,
            valid_max: VALID_SECONDS,
            preferred: VALID_SECONDS / 2,
            renew: None,
            rebind: None,
            cache: LeaseCache::default(),
            adaptive_millionths: None,
        };
        let v4 = Subnet4 {
            access: Default::default(),
            id: SubnetId(1),
            network: Ipv4Addr::new(10, 0, 0, 0),
            prefix_len: 24,
            pools: vec![PoolIndex(0)],
            relays: Vec::new(),
            interface: Some("sim0".to_owned()),
            lifetimes,
            options: OptionSet::default(),
            pool_options: PoolOptions::default(),
            reservations: Reservations::default(),
            server_identifier: None,
            next_server: Ipv4Addr::UNSPECIFIED,
            limits: Default::default(),
            server_hostname: Box::default(),
            boot_file_name: Box::default(),
            rapid_commit: true,
            probe: None,
            rules: Rules::default(),
            agents: AgentPolicy::default(),
        };
        let v6 = Subnet6 {
            access: Default::default(),
            id: SubnetId(2),
            network: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
            prefix_len: 64,
            pools: vec![PoolIndex(1)],
            pd_pools: vec![PoolIndex(2)],
            relays: Vec::new(),
            interface: Some("sim0".to_owned()),
            interface_id: None,
            lifetimes,
            options: OptionSet::default(),
            pool_options: PoolOptions::default(),
            reservations: Reservations::default(),
            rapid_commit: true,
            preference: 0,
            limits: Default::default(),
        };
        Policy {
            networks_v4: vec![Network {
                access: Default::default(),
                name: String::new(),
                subnets: vec![v4],
                options: OptionSet::default(),
            }]
            .into(),
            networks_v6: vec![Network {
                access: Default::default(),
                name: String::new(),
                subnets: vec![v6],
                options: OptionSet::default(),
            }]
            .into(),
            pools,
            options_v4: OptionSet::default(),
            options_v6: OptionSet::default(),
            server_duid: duid,
            offer_lifetime_seconds: 20,
            decline_probation_seconds: 60,
            decline_probation_seconds_max: 86_400,
            preference_v6: Preference::Requested,
            ..Policy::default()
        }
    }
}

/// The server's interface.
pub fn interface() -> Interface {
    Interface {
        name: "sim0".to_owned(),
        mac: super::frame::SERVER_MAC,
        v4: vec![super::frame::SERVER_V4],
        v6: Vec::new(),
        link_local: Some(super::frame::SERVER_LINK_LOCAL),
    }
}
