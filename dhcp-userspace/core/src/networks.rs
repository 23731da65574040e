//! Which subnet is meant? Subnets found by address, relay agent, interface and port, however many there are.
//!
//! The index is made with the policy and never changes. A look-up costs one hash for a name or a relay agent
//! and one for each different prefix length for an address: its cost does not grow with the subnets.
//! Subnets of one VPN (RFC 6607) are never found in another.

use crate::class::{Guard, Memberships};
use crate::subnet::{Network, Subnet4, Subnet6};
use core::hash::Hash;
use core::net::{IpAddr, Ipv4Addr};
use core::ops::Deref;
use dhcp_lease::SubnetId;
use hashbrown::{HashMap, HashSet};

/// The number of a VPN within one policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct VpnNumber(pub u16);

impl VpnNumber {
    /// The global, default VPN (RFC 6607 section 3.5, type 255): what is meant where none is named.
    pub const GLOBAL: Self = Self(0);
}

/// Where a subnet stands: positions of its network, and of itself among the network's `subnets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Position of the network.
    pub network: usize,
    /// Position of the subnet in it.
    pub subnet: usize,
}

/// What a subnet of either protocol tells of its link.
pub trait Linked {
    /// How many bits an address of the protocol has.
    const BITS: u8;
    /// Its number.
    fn id(&self) -> SubnetId;
    /// The subnet's address, in the low [`Linked::BITS`] bits, and the length of its prefix.
    fn prefix(&self) -> (u128, u8);
    /// Relay agents that it is behind, besides those that have an address in it.
    fn relays(&self) -> impl Iterator<Item = u128>;
    /// The interface that it is bound to.
    fn interface(&self) -> Option<&str>;
    /// What a relay agent calls the port that it is on.
    fn port(&self) -> Option<&[u8]>;
    /// The VPN that it belongs to.
    fn vpn(&self) -> VpnNumber;
    /// Who may use it.
    fn guard(&self) -> Guard;
}

impl Linked for Subnet4 {
    const BITS: u8 = 32;

    fn id(&self) -> SubnetId {
        self.id
    }

    fn prefix(&self) -> (u128, u8) {
        (u128::from(self.network.to_bits()), self.prefix_len)
    }

    fn relays(&self) -> impl Iterator<Item = u128> {
        self.relays.iter().map(|&relay| bits(relay.into()))
    }

    fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    fn port(&self) -> Option<&[u8]> {
        None
    }

    fn vpn(&self) -> VpnNumber {
        self.agents.vpn
    }

    fn guard(&self) -> Guard {
        self.access.guard
    }
}

impl Linked for Subnet6 {
    const BITS: u8 = 128;

    fn id(&self) -> SubnetId {
        self.id
    }

    fn prefix(&self) -> (u128, u8) {
        (self.network.to_bits(), self.prefix_len)
    }

    fn relays(&self) -> impl Iterator<Item = u128> {
        self.relays.iter().map(|&relay| bits(relay.into()))
    }

    fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    fn port(&self) -> Option<&[u8]> {
        self.interface_id.as_deref()
    }

    fn vpn(&self) -> VpnNumber {
        VpnNumber::GLOBAL
    }

    fn guard(&self) -> Guard {
        self.access.guard
    }
}

/// An address as a number.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The links of one protocol, with an index over their subnets. Reads like a slice of networks.
#[derive(Clone, Debug)]
pub struct Networks<S> {
    networks: Vec<Network<S>>,
    index: Index,
}

impl<S> Default for Networks<S> {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            index: Index::default(),
        }
    }
}

impl<S: Linked> From<Vec<Network<S>>> for Networks<S> {
    fn from(networks: Vec<Network<S>>) -> Self {
        let index = Index::of(&networks);
        Self { networks, index }
    }
}

impl<S> Deref for Networks<S> {
    type Target = [Network<S>];

    fn deref(&self) -> &[Network<S>] {
        &self.networks
    }
}

impl<S: Linked> Networks<S> {
    /// Changes networks, and makes the index anew.
    pub fn edit(&mut self, change: impl FnOnce(&mut Vec<Network<S>>)) {
        change(&mut self.networks);
        self.index = Index::of(&self.networks);
    }

    /// The subnet with a number.
    pub fn of_id(&self, id: SubnetId) -> Option<Place> {
        self.index.by_id.get(&id).copied()
    }

    /// The first subnet that lists a relay agent as its own.
    pub fn of_relay(&self, vpn: VpnNumber, relay: impl Into<IpAddr>) -> Option<Place> {
        let key = (vpn, bits(relay.into()));
        self.index.by_relay.get(&key).copied()
    }

    /// Whether any subnet, of whatever VPN, lists a relay agent as its own.
    pub fn lists_relay(&self, relay: impl Into<IpAddr>) -> bool {
        self.index.relays.contains(&bits(relay.into()))
    }

    /// The subnet in which an address lies: the one with the longest prefix, the first among equals.
    pub fn containing(&self, vpn: VpnNumber, address: impl Into<IpAddr>) -> Option<Place> {
        self.index.all.find(vpn, bits(address.into()), S::BITS)
    }

    /// The same among the subnets that are bound to no interface.
    pub fn unbound_containing(&self, vpn: VpnNumber, address: impl Into<IpAddr>) -> Option<Place> {
        self.index.unbound.find(vpn, bits(address.into()), S::BITS)
    }

    /// The first subnet that is bound to an interface.
    pub fn of_interface(&self, name: &str) -> Option<Place> {
        self.index.by_interface.get(name).copied()
    }

    /// The first subnet behind a port, by the relay agent's name for it.
    pub fn of_port(&self, name: &[u8]) -> Option<Place> {
        self.index.by_port.get(name).copied()
    }

    /// Whether an address lies in a subnet of the network at this place.
    pub fn is_in_network(&self, place: Place, address: impl Into<IpAddr>) -> bool {
        let found = self.subnet(place).map(Linked::vpn);
        found
            .and_then(|vpn| self.containing(vpn, address))
            .is_some_and(|found| found.network == place.network)
    }

    /// The subnet at a place, if a client with these classes may use it; else the first of the same network that
    /// it may use, for all of them are on its link.
    pub fn permitted(&self, place: Place, classes: &Memberships) -> Option<Place> {
        let network = self.networks.get(place.network)?;
        if !network.access.guard.permits(classes) {
            return None;
        }
        let may_use = |subnet: &S| subnet.guard().permits(classes);
        if self.subnet(place).is_some_and(may_use) {
            return Some(place);
        }
        let subnet = network.subnets.iter().position(may_use)?;
        Some(Place { subnet, ..place })
    }

    /// The subnet at a place.
    pub fn subnet(&self, place: Place) -> Option<&S> {
        self.networks.get(place.network)?.subnets.get(place.subnet)
    }
}

#[derive(Clone, Debug, Default)]
struct Index {
    by_id: HashMap<SubnetId, Place>,
    by_relay: HashMap<(VpnNumber, u128), Place>,
    relays: HashSet<u128>,
    by_interface: HashMap<Box<str>, Place>,
    by_port: HashMap<Box<[u8]>, Place>,
    all: Prefixes,
    unbound: Prefixes,
}

impl Index {
    fn of<S: Linked>(networks: &[Network<S>]) -> Self {
        let mut this = Self::default();
        for (network, entry) in networks.iter().enumerate() {
            for (subnet, entry) in entry.subnets.iter().enumerate() {
                this.add(entry, Place { network, subnet });
            }
        }
        this.all.sort();
        this.unbound.sort();
        this
    }

    /// Adds a subnet. What an earlier one has taken stays that one's.
    fn add<S: Linked>(&mut self, subnet: &S, place: Place) {
        let vpn = subnet.vpn();
        self.by_id.entry(subnet.id()).or_insert(place);
        for relay in subnet.relays() {
            self.by_relay.entry((vpn, relay)).or_insert(place);
            self.relays.insert(relay);
        }
        if let Some(port) = subnet.port() {
            self.by_port.entry(port.into()).or_insert(place);
        }
        let (address, len) = subnet.prefix();
        self.all.add(vpn, address, len, S::BITS, place);
        match subnet.interface() {
            Some(name) => {
                self.by_interface.entry(name.into()).or_insert(place);
            }
            None => self.unbound.add(vpn, address, len, S::BITS, place),
        }
    }
}

/// Subnets by their prefixes.
#[derive(Clone, Debug, Default)]
struct Prefixes {
    /// The lengths that there are, longest first.
    lens: Vec<u8>,
    places: HashMap<PrefixKey, Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PrefixKey {
    vpn: VpnNumber,
    len: u8,
    address: u128,
}

impl PrefixKey {
    /// The prefix of this length around an address.
    fn around(vpn: VpnNumber, address: u128, len: u8, bits: u8) -> Self {
        let len = len.min(bits);
        let hosts = u32::from(bits - len);
        // All bits are those of hosts in a prefix of length 0.
        let address = address.checked_shr(hosts).unwrap_or(0);
        Self { vpn, len, address }
    }
}

impl Prefixes {
    fn add(&mut self, vpn: VpnNumber, address: u128, len: u8, bits: u8, place: Place) {
        let key = PrefixKey::around(vpn, address, len, bits);
        if !self.lens.contains(&key.len) {
            self.lens.push(key.len);
        }
        self.places.entry(key).or_insert(place);
    }

    fn sort(&mut self) {
        self.lens.sort_unstable_by(|one, other| other.cmp(one));
    }

    fn find(&self, vpn: VpnNumber, address: u128, bits: u8) -> Option<Place> {
        let mut lens = self.lens.iter();
        lens.find_map(|&len| {
            let key = PrefixKey::around(vpn, address, len, bits);
            self.places.get(&key).copied()
        })
    }
}

/// The names of VPNs as they stand in messages, type and information (RFC 6607 section 3.5).
#[derive(Clone, Debug, Default)]
pub struct Vpns {
    by_name: HashMap<Box<[u8]>, VpnNumber>,
}

/// Of the first octet of virtual subnet selection: what is in the others.
const VPN_TYPE_GLOBAL: u8 = 255;

impl Vpns {
    /// The number of a VPN, by its type and information; a new one for a new name.
    pub fn add(&mut self, name: &[u8]) -> VpnNumber {
        if name == [VPN_TYPE_GLOBAL] {
            return VpnNumber::GLOBAL;
        }
        // The configuration has fewer subnets with different names than that.
        let next = u16::try_from(self.by_name.len() + 1).unwrap_or(u16::MAX);
        *self.by_name.entry(name.into()).or_insert(VpnNumber(next))
    }

    /// The number of the VPN that a message names. `None`: there is no such, or it is no name at all.
    pub fn find(&self, name: &[u8]) -> Option<VpnNumber> {
        match name {
            // RFC 6607 section 3.5 [vss-global-alone]: type 255 has no further information.
            [VPN_TYPE_GLOBAL] => Some(VpnNumber::GLOBAL),
            name => self.by_name.get(name).copied(),
        }
    }

    /// Whether there are none: then what messages say of VPNs is not understood at all.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// Relay agents that may speak to us, by the addresses that they put into `giaddr`.
#[derive(Clone, Debug, Default)]
pub struct AllowedRelays {
    prefixes: Prefixes,
}

impl AllowedRelays {
    /// Allows every relay agent in a prefix; a whole address as its length.
    pub fn add(&mut self, address: Ipv4Addr, len: u8) {
        let address = u128::from(address.to_bits());
        let bits = Subnet4::BITS;
        let place = Place::default();
        self.prefixes
            .add(VpnNumber::GLOBAL, address, len, bits, place);
        self.prefixes.sort();
    }

    /// Whether a relay agent is among them.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let address = u128::from(address.to_bits());
        let found = self
            .prefixes
            .find(VpnNumber::GLOBAL, address, Subnet4::BITS);
        found.is_some()
    }
}

#[cfg(test)]
mod tests;
