//! In what surroundings was a lease granted? The relay agents' path and word, the client's name, its
//! Reconfigure key: what is kept beside a binding and decides nothing about it.
//!
//! A context is a sequence of items, each a kind, a length and octets (docs/lease-format.md), in the order of
//! their [ranks](ItemKind::rank). That is also the order of their worth: where
//! there is less room than items, those at the end are left out, each as a whole. Octets in an item are what a
//! stranger said unless noted otherwise.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use dhcp_wire::Octets;

/// Most octets of a context. Beside the longest identity it fits into a binding's slots.
pub const CONTEXT_OCTETS_MAX: usize = 512;
/// In the place of a length: the length follows in two octets.
const LONG: u8 = 255;

/// What an item tells. Numbers that are not named here are kept and passed on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKind(pub u8);

impl ItemKind {
    /// No item: the end.
    const END: Self = Self(0);
    /// The key with which the client knows our Reconfigure messages (RFC 9915 section 20.4, RFC 6704): 16
    /// octets, then the replay counter, 8 octets little-endian. Ours, and secret.
    pub const RECONFIGURE_KEY: Self = Self(1);
    /// DHCPv4: `giaddr`, 4 octets.
    pub const GIADDR: Self = Self(2);
    /// DHCPv6: every relay agent between us and the client, our neighbour first. Each as its link-address
    /// (16), peer-address (16), length of its Interface-Id (1; 0: none) and that.
    pub const RELAY_PATH: Self = Self(3);
    /// From where the relay agent next to us sent: 4 or 16 octets of address, then perhaps the port in 2
    /// octets, big-endian; without them it is the server port. DHCPv4: only where it is not `giaddr`.
    pub const RELAY_SOURCE: Self = Self(4);
    /// The name of our interface, where the relay agent's address is link-local and says nothing without.
    pub const INTERFACE: Self = Self(5);
    /// DHCPv4: the sub-options of the relay agent's option (82), as they came.
    pub const AGENT: Self = Self(6);
    /// DHCPv6: a relay agent's Remote-Id (37): its place in the path (1; 0 is our neighbour), then the
    /// option's octets: enterprise number (4), identifier.
    pub const REMOTE_ID: Self = Self(7);
    /// DHCPv6: a relay agent's Subscriber-Id (38): its place in the path (1), then the option's octets.
    pub const SUBSCRIBER_ID: Self = Self(8);
    /// The client's full name (option 81 of DHCPv4, 39 of DHCPv6): flags (1), then the name as it came.
    pub const FQDN: Self = Self(9);
    /// The client's host name (option 12 of DHCPv4).
    pub const HOST_NAME: Self = Self(10);
    /// What kind of client it is (option 60 of DHCPv4, 16 of DHCPv6).
    pub const VENDOR_CLASS: Self = Self(11);
    /// DHCPv4, beside a [`ItemKind::RECONFIGURE_KEY`]: `xid` of the client's last exchange, 4 octets, big-endian.
    /// Clients take no message with another one, a FORCERENEW neither.
    pub const TRANSACTION: Self = Self(12);
    /// What the lease counts against where that is limited: tags of 8 octets each ([`crate::counts`]). It goes before
    /// all others, and a binding whose table has no room for it is not written.
    pub const COUNTED: Self = Self(13);
    /// DHCPv4: what an expression made of the client's message (`identifier-expression`), where a reservation may be
    /// found by it and relay agents told some of it. It stands before [`ItemKind::AGENT`].
    pub const FLEXIBLE: Self = Self(14);

    /// Where an item of this kind stands among others: by its number, but what counts goes first, and what finds a
    /// reservation before what is told of relay agents.
    pub const fn rank(self) -> u16 {
        match self {
            Self::COUNTED => 0,
            Self::FLEXIBLE => Self::AGENT.rank() - 1,
            Self(number) => number as u16 * 2,
        }
    }
}

impl fmt::Debug for ItemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// What it tells.
    pub kind: ItemKind,
    /// Its octets.
    pub data: &'a [u8],
}

impl<'a> Item<'a> {
    /// The first item, and what comes after it.
    fn split(octets: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[kind, length], rest) = octets.split_first_chunk()?;
        let kind = ItemKind(kind);
        if kind == ItemKind::END {
            return None;
        }
        let (length, rest) = match length {
            LONG => {
                let (long, rest) = rest.split_first_chunk()?;
                (u16::from_le_bytes(*long), rest)
            }
            short => (u16::from(short), rest),
        };
        let (data, rest) = rest.split_at_checked(usize::from(length))?;
        Some((Self { kind, data }, rest))
    }

    /// How many octets it takes with its kind and length.
    pub fn emitted_len(&self) -> usize {
        let head = if self.data.len() < usize::from(LONG) {
            2
        } else {
            4
        };
        head + self.data.len()
    }

    /// Appends it if it fits.
    fn emit(&self, into: &mut Octets<CONTEXT_OCTETS_MAX>) -> bool {
        if into.len() + self.emitted_len() > CONTEXT_OCTETS_MAX {
            return false;
        }
        let ItemKind(kind) = self.kind;
        let head = match u8::try_from(self.data.len()) {
            Ok(length) if length != LONG => into.push_slice(&[kind, length]),
            _ => {
                let [low, high] = (self.data.len() as u16).to_le_bytes(); // it fits, so below 2^16
                into.push_slice(&[kind, LONG, low, high])
            }
        };
        head.and_then(|()| into.push_slice(self.data)).is_ok()
    }
}

/// A relay agent between us and a DHCPv6 client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop<'a> {
    /// Its link-address, `::` where it names no link.
    pub link_address: Ipv6Addr,
    /// From whom it had the message: the next relay agent, or the client.
    pub peer_address: Ipv6Addr,
    /// What it calls the port, to be given back to it; empty if it said nothing.
    pub interface_id: &'a [u8],
}

/// With what a client tells our Reconfigure messages from others'.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReconfigureKey {
    /// The key, as the client was told it.
    pub key: [u8; 16],
    /// Replay counter of the last message.
    pub replay: u64,
}

impl fmt::Debug for ReconfigureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReconfigureKey(secret, replay {})", self.replay)
    }
}

/// All that is kept beside a binding.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// Whole items in the order of their kinds, as they lie in the store.
    octets: Octets<CONTEXT_OCTETS_MAX>,
}

impl Context {
    /// Nothing.
    pub const EMPTY: Self = Self {
        octets: Octets::EMPTY,
    };

    /// Reads items up to the end mark, up to one that is cut short or up to [`CONTEXT_OCTETS_MAX`].
    pub fn parse(octets: &[u8]) -> Self {
        let mut this = Self::EMPTY;
        this.set(octets);
        this
    }

    /// As [`Context::parse`], over what is there.
    pub fn set(&mut self, octets: &[u8]) {
        self.octets.clear();
        let mut rest = octets;
        while let Some((item, after)) = Item::split(rest) {
            if !self.insert(item.kind, item.data) {
                return;
            }
            rest = after;
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.octets.clear();
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// The items as they lie in the store, without an end mark.
    pub fn as_octets(&self) -> &[u8] {
        self.octets.as_slice()
    }

    /// As many items from the beginning as `room` octets hold, each of them whole.
    pub fn fitting(&self, room: usize) -> &[u8] {
        let all = self.as_octets();
        if all.len() <= room {
            return all;
        }
        let mut fitting = 0;
        for item in self.items() {
            if fitting + item.emitted_len() > room {
                break;
            }
            fitting += item.emitted_len();
        }
        all.get(..fitting).unwrap_or_default()
    }

    /// How many octets at the beginning are never left out.
    pub(crate) fn indispensable_len(&self) -> usize {
        let first = self.items().next();
        let counted = first.filter(|item| item.kind == ItemKind::COUNTED);
        counted.map_or(0, |item| item.emitted_len())
    }

    /// The items in order.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let mut rest = self.as_octets();
        core::iter::from_fn(move || {
            let (item, after) = Item::split(rest)?;
            rest = after;
            Some(item)
        })
    }

    /// The items of one kind.
    pub fn of_kind(&self, kind: ItemKind) -> impl Iterator<Item = &[u8]> {
        let items = self.items().filter(move |item| item.kind == kind);
        items.map(|item| item.data)
    }

    /// Puts an item after those of its kind and before the less worthy ones, of which the last give way if
    /// there is not enough room. Whether there was room; nothing changed if not.
    pub fn insert(&mut self, kind: ItemKind, data: &[u8]) -> bool {
        let item = Item { kind, data };
        if kind == ItemKind::END {
            return false;
        }
        let before = self
            .items()
            .take_while(|known| known.kind.rank() <= kind.rank());
        let place = before.map(|known| known.emitted_len()).sum();
        let Some((before, after)) = self.as_octets().split_at_checked(place) else {
            return false;
        };
        if after.is_empty() {
            return item.emit(&mut self.octets);
        }
        let after = Self::EMPTY.with(after);
        let mut whole = Octets::EMPTY;
        if whole.push_slice(before).is_err() || !item.emit(&mut whole) {
            return false;
        }
        for item in after.items() {
            if !item.emit(&mut whole) {
                break;
            }
        }
        self.octets = whole;
        true
    }

    fn with(mut self, octets: &[u8]) -> Self {
        // A part of what fits.
        let _ = self.octets.set(octets);
        self
    }

    /// Drops all items for whose kind `is_kept` is false.
    pub fn retain(&mut self, is_kept: impl Fn(ItemKind) -> bool) {
        let mut kept = Octets::EMPTY;
        for item in self.items().filter(|item| is_kept(item.kind)) {
            // A part of what fits.
            item.emit(&mut kept);
        }
        self.octets = kept;
    }

    /// `giaddr`.
    pub fn giaddr(&self) -> Option<Ipv4Addr> {
        let octets = self.of_kind(ItemKind::GIADDR).next()?;
        Some(Ipv4Addr::from_octets(octets.try_into().ok()?))
    }

    /// The relay agents between us and the client, our neighbour first.
    pub fn relay_path(&self) -> impl Iterator<Item = Hop<'_>> {
        let mut rest = self
            .of_kind(ItemKind::RELAY_PATH)
            .next()
            .unwrap_or_default();
        core::iter::from_fn(move || {
            let (link_address, after) = rest.split_first_chunk::<16>()?;
            let (peer_address, after) = after.split_first_chunk::<16>()?;
            let (length, after) = after.split_first()?;
            let (interface_id, after) = after.split_at_checked(usize::from(*length))?;
            rest = after;
            Some(Hop {
                link_address: Ipv6Addr::from_octets(*link_address),
                peer_address: Ipv6Addr::from_octets(*peer_address),
                interface_id,
            })
        })
    }

    /// Keeps the path through relay agents, our neighbour first. Whether it fits, all of it.
    pub fn insert_relay_path<'h>(&mut self, hops: impl Iterator<Item = Hop<'h>>) -> bool {
        let mut path = Octets::<CONTEXT_OCTETS_MAX>::EMPTY;
        for hop in hops {
            let Ok(length) = u8::try_from(hop.interface_id.len()) else {
                return false;
            };
            let pieces = [
                &hop.link_address.octets()[..],
                &hop.peer_address.octets(),
                &[length],
                hop.interface_id,
            ];
            if pieces.iter().any(|piece| path.push_slice(piece).is_err()) {
                return false;
            }
        }
        self.insert(ItemKind::RELAY_PATH, path.as_slice())
    }

    /// From where the relay agent next to us sent, and from which port if not the server port.
    pub fn relay_source(&self) -> Option<(IpAddr, Option<u16>)> {
        let octets = self.of_kind(ItemKind::RELAY_SOURCE).next()?;
        let port = |octets: &[u8]| octets.try_into().ok().map(u16::from_be_bytes);
        match (octets.len(), octets.split_first_chunk::<16>()) {
            (16 | 18, Some((address, rest))) => {
                Some((Ipv6Addr::from_octets(*address).into(), port(rest)))
            }
            (4 | 6, _) => {
                let (address, rest) = octets.split_first_chunk::<4>()?;
                Some((Ipv4Addr::from_octets(*address).into(), port(rest)))
            }
            _ => None,
        }
    }

    /// Keeps from where the relay agent next to us sent; `port` only if it is not the server port.
    pub fn insert_relay_source(&mut self, address: IpAddr, port: Option<u16>) -> bool {
        let mut octets = Octets::<18>::EMPTY;
        let address: &[u8] = match &address {
            IpAddr::V4(address) => &address.octets(),
            IpAddr::V6(address) => &address.octets(),
        };
        let port = port.map(u16::to_be_bytes);
        let port: &[u8] = port.as_ref().map_or(&[], |port| port);
        octets.push_slice(address).is_ok()
            && octets.push_slice(port).is_ok()
            && self.insert(ItemKind::RELAY_SOURCE, octets.as_slice())
    }

    /// `xid` of a DHCPv4 client's last exchange.
    pub fn transaction(&self) -> Option<u32> {
        let octets = self.of_kind(ItemKind::TRANSACTION).next()?;
        Some(u32::from_be_bytes(octets.try_into().ok()?))
    }

    /// The Reconfigure key.
    pub fn reconfigure_key(&self) -> Option<ReconfigureKey> {
        let octets = self.of_kind(ItemKind::RECONFIGURE_KEY).next()?;
        let (key, replay) = octets.split_first_chunk()?;
        Some(ReconfigureKey {
            key: *key,
            replay: u64::from_le_bytes(replay.try_into().ok()?),
        })
    }

    /// Keeps a Reconfigure key in place of the one that is there. There is always room for it.
    pub fn set_reconfigure_key(&mut self, key: &ReconfigureKey) {
        self.retain(|kind| kind != ItemKind::RECONFIGURE_KEY);
        let mut octets = [0; 24];
        let (place, replay) = octets.split_at_mut(16);
        place.copy_from_slice(&key.key);
        replay.copy_from_slice(&key.replay.to_le_bytes());
        self.insert(ItemKind::RECONFIGURE_KEY, &octets);
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for Item { kind, data } in self.items() {
            match kind {
                ItemKind::RECONFIGURE_KEY => list.entry(&"Reconfigure key"),
                _ => list.entry(&format_args!("{kind:?} {:?}", Hex(data))),
            };
        }
        list.finish()
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Debug for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        dhcp_wire::octets::write_hex(f, self.0)
    }
}

#[cfg(test)]
mod tests;
