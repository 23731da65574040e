//! Which worker does a client belong to?
//!
//! The hash of the identifier that the server knows the client by, found by a bounded walk of the
//! options. A frame whose identifier is not found goes by what it has instead; the server looks the
//! client up in the shared tables, so a worker that was chosen unluckily costs time, not correctness.

use crate::layout::{Dhcpv4, Dhcpv6, Dhcpv6Option, Dhcpv6Relay};
use crate::steer::Octets;
use core::mem::offset_of;
use dhcp_wire::id::{SPREAD_OCTETS_MAX, Spread};

/// How many options are looked at before the walk gives up, over all levels of relay encapsulation.
/// Clients send about ten, and each relay agent adds about five.
const OPTIONS_MAX: usize = 64;

/// What a place in a frame is masked with on the way through its options: frames are shorter than 2,048
/// octets, the size of the server's buffers. Where a length points further, the walk goes on at some other
/// place of the same frame, to no harm: whoever sends such a frame may as well have written another
/// identifier.
///
/// The kernel's verifier lets only what it knows to be small be added to a packet pointer. A comparison
/// would show that, too, but leaves it more paths through a walk than it is willing to follow (seen on
/// 6.18; with the mask it follows 400,000 instructions of at most a million).
const PLACE_MASK: usize = 2047;

const V4_PAD: u8 = 0;
const V4_CLIENT_ID: u8 = 61;
const V4_END: u8 = 255;

const V6_CLIENT_ID: u16 = 1;
const V6_RELAY_MESSAGE: u16 = 9;
const V6_RELAY_FORWARD: u8 = 12;

const CHADDR_OCTETS: usize = 16;

/// Where an identifier lies, and how long it is.
pub(crate) struct Place {
    offset: usize,
    len: usize,
}

/// Where a DHCP message starts.
pub(crate) enum Message {
    /// DHCPv4.
    V4 {
        /// Of its first octet.
        offset: usize,
    },
    /// DHCPv6, of a client or of a relay agent.
    V6 {
        /// Of its first octet.
        offset: usize,
        /// Of the IPv6 source address.
        source: usize,
    },
}

/// Which client sent a message.
#[inline(always)]
pub(crate) fn of(frame: &(impl Octets + ?Sized), message: Message) -> Place {
    match message {
        Message::V4 { offset } => v4(frame, offset),
        Message::V6 { offset, source } => v6(frame, offset, source),
    }
}

/// Which client sent a DHCPv4 message: its client identifier, or else `chaddr`.
#[inline(always)]
fn v4(frame: &(impl Octets + ?Sized), message: usize) -> Place {
    if let Some(client_id) = client_id_v4(frame, message) {
        return client_id;
    }
    let hlen = frame
        .octet(message + offset_of!(Dhcpv4, hlen))
        .map_or(0, usize::from);
    Place {
        offset: message + offset_of!(Dhcpv4, chaddr),
        len: hlen.min(CHADDR_OCTETS),
    }
}

/// Which client sent a DHCPv6 message, however deep relay agents have wrapped it: its DUID, or else the
/// IPv6 address at `source`.
#[inline(always)]
fn v6(frame: &(impl Octets + ?Sized), message: usize, source: usize) -> Place {
    duid(frame, message).unwrap_or(Place {
        offset: source,
        len: size_of::<u128>(),
    })
}

/// Option 61 (RFC 2132 section 9.14). Not looked for in `file` and `sname`: clients put boot
/// parameters there.
#[inline(always)]
fn client_id_v4(frame: &(impl Octets + ?Sized), message: usize) -> Option<Place> {
    let mut option = message + size_of::<Dhcpv4>();
    for _ in 0..OPTIONS_MAX {
        // A pad or end option may be the last octet of a frame; then this read fails, and rightly so.
        let [code, len] = frame.number16(option)?.to_be_bytes();
        match code {
            V4_CLIENT_ID => {
                return identifier(frame, option + 2, usize::from(len));
            }
            V4_END => return None,
            V4_PAD => option = (option + 1) & PLACE_MASK,
            _ => option = (option + 2 + usize::from(len)) & PLACE_MASK,
        }
    }
    None
}

/// Option 1 of the client's message (RFC 9915 section 21.2), below any number of Relay-forwards.
#[inline(always)]
fn duid(frame: &(impl Octets + ?Sized), message: usize) -> Option<Place> {
    let (mut relayed, mut option) = options_v6(frame, message)?;
    for _ in 0..OPTIONS_MAX {
        let head = frame.number32(option)?;
        let (code, len) = ((head >> 16) as u16, head as u16);
        let contents = option + size_of::<Dhcpv6Option>();
        match (relayed, code) {
            (false, V6_CLIENT_ID) => {
                return identifier(frame, contents, usize::from(len));
            }
            (true, V6_RELAY_MESSAGE) => (relayed, option) = options_v6(frame, contents)?,
            _ => option = (contents + usize::from(len)) & PLACE_MASK,
        }
    }
    None
}

/// Is the message at this place a relay agent's, and where do its options start?
#[inline(always)]
fn options_v6(frame: &(impl Octets + ?Sized), message: usize) -> Option<(bool, usize)> {
    let msg_type = frame.octet(message + offset_of!(Dhcpv6, msg_type))?;
    let relayed = msg_type == V6_RELAY_FORWARD;
    let head = if relayed {
        size_of::<Dhcpv6Relay>()
    } else {
        size_of::<Dhcpv6>()
    };
    Some((relayed, (message + head) & PLACE_MASK))
}

/// The identifier at this place, unless it has no octets or the frame ends inside those that count.
#[inline(always)]
fn identifier(frame: &(impl Octets + ?Sized), offset: usize, len: usize) -> Option<Place> {
    let counted = len.min(SPREAD_OCTETS_MAX);
    let last = counted.checked_sub(1)?;
    frame.octet((offset + last) & PLACE_MASK)?;
    Some(Place {
        offset,
        len: counted,
    })
}

/// What [`dhcp_wire::id::spread()`] gives for the octets at a place, read in groups of eight; 0 when the
/// frame ends inside them.
#[inline(always)]
pub(crate) fn spread(frame: &(impl Octets + ?Sized), place: Place, key: u64) -> u32 {
    let mut hash = Spread::new(key);
    for group in 0..SPREAD_OCTETS_MAX / 8 {
        let start = group * 8;
        if place.len <= start {
            break;
        }
        // The last group is read so that it ends where the identifier ends, and shifted: the octets
        // before it are in the frame, those behind it need not be.
        let missing = (start + 8).saturating_sub(place.len);
        let offset = (place.offset + start).wrapping_sub(missing) & PLACE_MASK;
        let Some(octets) = frame.number64(offset) else {
            return 0;
        };
        hash = hash.push(octets.swap_bytes() >> (8 * missing));
    }
    hash.finish(place.len as u64)
}
