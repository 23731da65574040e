//! What is fixed for one client, and by what the client is known.

use crate::class::ClassId;
use crate::options::OptionSet;
use core::net::Ipv4Addr;
use dhcp_lease::Lease;
use hashbrown::HashMap;

/// By which identifier of the client a reservation is found. In the order of the default: Kea's four, then
/// those that Kea has as a hook or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReservedBy {
    /// `hw-address`.
    HardwareAddress,
    /// `duid`.
    Duid,
    /// `circuit-id`, sub-option 1 of the relay agent's option (RFC 3046 section 3.1).
    CircuitId,
    /// `client-id` (DHCPv4 option 61).
    ClientId,
    /// `flex-id`, what an expression makes of the message.
    FlexId,
    /// `remote-id`, sub-option 2 of the relay agent's option (RFC 3046 section 3.2).
    RemoteId,
    /// `subscriber-id`, sub-option 6 of the relay agent's option (RFC 3993).
    SubscriberId,
}

impl ReservedBy {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::HardwareAddress,
        Self::Duid,
        Self::CircuitId,
        Self::ClientId,
        Self::FlexId,
        Self::RemoteId,
        Self::SubscriberId,
    ];

    /// Whether a relay agent tells it, so that a renewal by unicast lacks it.
    pub const fn is_of_relay_agent(self) -> bool {
        matches!(self, Self::CircuitId | Self::RemoteId | Self::SubscriberId)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Which identifiers are looked for, the first that has a reservation counts
/// (`host-reservation-identifiers`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentifierOrder {
    order: [Option<ReservedBy>; ReservedBy::ALL.len()],
}

impl Default for IdentifierOrder {
    fn default() -> Self {
        Self::of(ReservedBy::ALL)
    }
}

impl IdentifierOrder {
    /// These, each once: one that comes again is left out.
    pub fn of(identifiers: impl IntoIterator<Item = ReservedBy>) -> Self {
        let mut this = Self {
            order: [None; ReservedBy::ALL.len()],
        };
        for by in identifiers {
            if !this.contains(by)
                && let Some(place) = this.order.iter_mut().find(|place| place.is_none())
            {
                *place = Some(by);
            }
        }
        this
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = ReservedBy> {
        self.order.into_iter().flatten()
    }

    /// Whether one is looked for at all.
    pub fn contains(&self, by: ReservedBy) -> bool {
        self.order.contains(&Some(by))
    }
}

/// What is fixed for one client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reservation {
    /// Reserved addresses and prefixes; empty if only options are reserved.
    pub leases: Vec<Lease>,
    // RFC 2131 section 4.3.1 [client-parameters]: they go before what is configured for all.
    /// The client's own options, which replace those of its subnet one by one.
    pub options: OptionSet,
    /// `hostname`, sent as option 12.
    pub hostname: Box<[u8]>,
    /// The client's classes (`client-classes`).
    pub classes: Box<[ClassId]>,
    /// What a client boots with, where it differs from its subnet's. `None` for most.
    pub boot: Option<Box<Boot>>,
}

/// What one client boots with (`next-server`, `server-hostname`, `boot-file-name`); what is not there is
/// the subnet's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// `siaddr`.
    pub next_server: Option<Ipv4Addr>,
    /// `sname`, at most 63 octets; empty if there is none.
    pub server_hostname: Box<[u8]>,
    /// `file`, at most 127 octets; empty if there is none.
    pub boot_file_name: Box<[u8]>,
}

/// Number of a reservation in its [`Reservations`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationIndex(u32);

/// The reservations of a subnet, or the global ones of a protocol, found in constant time.
#[derive(Clone, Debug, Default)]
pub struct Reservations {
    all: Vec<Reservation>,
    by_identifier: HashMap<(ReservedBy, Box<[u8]>), ReservationIndex>,
    /// One bit for each identifier that some reservation has: what none has needs no hashing.
    identifiers: u8,
    /// Whether the global ones count too (`reservations-global`). They come second.
    pub with_global: bool,
}

impl Reservations {
    /// Adds one; the earlier one with the same identifier, if any, comes back.
    pub fn insert(
        &mut self,
        by: ReservedBy,
        identifier: &[u8],
        reservation: Reservation,
    ) -> Option<Reservation> {
        let next = ReservationIndex(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        let index = *self
            .by_identifier
            .entry((by, identifier.into()))
            .or_insert(next);
        self.identifiers |= by.bit();
        if let Some(known) = self.all.get_mut(index.0 as usize) {
            return Some(core::mem::replace(known, reservation));
        }
        self.all.push(reservation);
        None
    }

    /// Where the reservation of a client is.
    pub fn index_of(&self, by: ReservedBy, identifier: &[u8]) -> Option<ReservationIndex> {
        /// The key of a look-up that owns nothing: no allocation on the hot path.
        #[derive(Hash)]
        struct Borrowed<'a>(ReservedBy, &'a [u8]);
        impl hashbrown::Equivalent<(ReservedBy, Box<[u8]>)> for Borrowed<'_> {
            fn equivalent(&self, key: &(ReservedBy, Box<[u8]>)) -> bool {
                self.0 == key.0 && *self.1 == *key.1
            }
        }
        if identifier.is_empty() || !self.has(by) {
            return None;
        }
        self.by_identifier.get(&Borrowed(by, identifier)).copied()
    }

    /// The one in a place.
    pub fn at(&self, index: ReservationIndex) -> Option<&Reservation> {
        self.all.get(index.0 as usize)
    }

    /// The reservation of a client.
    pub fn find(&self, by: ReservedBy, identifier: &[u8]) -> Option<&Reservation> {
        self.at(self.index_of(by, identifier)?)
    }

    /// Whether some client is known by this identifier.
    pub fn has(&self, by: ReservedBy) -> bool {
        self.identifiers & by.bit() != 0
    }

    /// Whether some client is known by what a relay agent tells.
    pub fn has_any_of_relay_agent(&self) -> bool {
        ReservedBy::ALL
            .into_iter()
            .any(|by| by.is_of_relay_agent() && self.has(by))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Reservation> {
        self.all.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none: then nothing needs to be hashed.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// What holds for the reservations of a whole protocol.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// By what clients are known, and what of it counts first.
    pub order: IdentifierOrder,
    /// Reservations that are of no subnet: for subnets with [`Reservations::with_global`].
    pub global: Reservations,
}

/// Which reservation a client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// One of a subnet.
    OfSubnet(ReservationIndex),
    /// A global one.
    Global(ReservationIndex),
}

impl Hosts {
    /// The reservation that a client has in a subnet: the subnet's own, else a global one if these count
    /// there. `identifier` gives what the client is known by; empty if it is not.
    pub fn find<'i>(
        &self,
        of_subnet: &Reservations,
        identifier: impl Fn(ReservedBy) -> &'i [u8],
    ) -> Option<Host> {
        let within = |reservations: &Reservations| {
            let mut known = self.order.iter();
            known.find_map(|by| {
                // What costs something to find is asked for only where somebody is known by it.
                let asked = reservations.has(by);
                asked.then(|| reservations.index_of(by, identifier(by)))?
            })
        };
        let global = || of_subnet.with_global.then(|| within(&self.global));
        within(of_subnet)
            .map(Host::OfSubnet)
            .or_else(|| global().flatten().map(Host::Global))
    }

    /// What is fixed for a client that was found.
    pub fn reservation<'p>(
        &'p self,
        of_subnet: &'p Reservations,
        host: Host,
    ) -> Option<&'p Reservation> {
        match host {
            Host::OfSubnet(index) => of_subnet.at(index),
            Host::Global(index) => self.global.at(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Reservation {
        Reservation {
            hostname: name.as_bytes().into(),
            ..Reservation::default()
        }
    }

    fn found<'h>(hosts: &'h Hosts, subnet: &'h Reservations) -> Option<&'h str> {
        let host = hosts.find(subnet, |by| match by {
            ReservedBy::HardwareAddress => &[2],
            ReservedBy::CircuitId => b"port",
            ReservedBy::Duid
            | ReservedBy::ClientId
            | ReservedBy::FlexId
            | ReservedBy::RemoteId
            | ReservedBy::SubscriberId => &[],
        })?;
        let found = hosts.reservation(subnet, host).unwrap();
        Some(std::str::from_utf8(&found.hostname).unwrap())
    }

    #[test]
    fn the_identifier_that_is_named_first_counts_and_one_that_is_not_named_never() {
        let mut subnet = Reservations::default();
        subnet.insert(ReservedBy::HardwareAddress, &[2], named("by address"));
        subnet.insert(ReservedBy::CircuitId, b"port", named("by circuit"));
        let mut hosts = Hosts::default();
        assert_eq!(found(&hosts, &subnet), Some("by address"));
        hosts.order = IdentifierOrder::of([ReservedBy::CircuitId, ReservedBy::HardwareAddress]);
        assert_eq!(found(&hosts, &subnet), Some("by circuit"));
        hosts.order = IdentifierOrder::of([ReservedBy::FlexId, ReservedBy::Duid]);
        assert_eq!(found(&hosts, &subnet), None);
    }

    #[test]
    fn global_reservations_count_where_they_are_wanted_and_after_those_of_the_subnet() {
        let mut hosts = Hosts::default();
        hosts
            .global
            .insert(ReservedBy::HardwareAddress, &[2], named("global"));
        let mut subnet = Reservations::default();
        assert_eq!(found(&hosts, &subnet), None);
        subnet.with_global = true;
        assert_eq!(found(&hosts, &subnet), Some("global"));
        subnet.insert(ReservedBy::CircuitId, b"port", named("own"));
        assert_eq!(found(&hosts, &subnet), Some("own"));
    }

    #[test]
    fn an_empty_identifier_is_nobody_s() {
        let mut subnet = Reservations::default();
        subnet.insert(ReservedBy::Duid, &[], named("nobody"));
        assert!(subnet.find(ReservedBy::Duid, &[]).is_none());
    }

    #[test]
    fn a_later_reservation_of_the_same_client_replaces_the_earlier_one() {
        let mut subnet = Reservations::default();
        assert!(subnet.insert(ReservedBy::Duid, &[1], named("a")).is_none());
        assert_eq!(
            subnet.insert(ReservedBy::Duid, &[1], named("b")),
            Some(named("a"))
        );
        assert_eq!(subnet.find(ReservedBy::Duid, &[1]), Some(&named("b")));
        assert_eq!(subnet.len(), 1);
    }

    #[test]
    fn an_identifier_that_is_named_twice_counts_once() {
        let order = IdentifierOrder::of([ReservedBy::Duid; 9]);
        assert_eq!(order.iter().collect::<Vec<_>>(), [ReservedBy::Duid]);
    }
}
