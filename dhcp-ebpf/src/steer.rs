//! The steering rule: is this frame for the server, and for which of its workers?

use crate::client::{self, Message};
use crate::layout::{Ethernet, Extension, Ipv4, Ipv6, Tag, Udp};
use crate::{Outcome, Settings};
use core::mem::offset_of;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// 802.1Q and 802.1ad: those that the server reads, and can answer below.
const ETHERTYPES_VLAN: [u16; 2] = [0x8100, 0x88a8];
const VLAN_TAGS_MAX: usize = 2;

const PROTOCOL_UDP: u8 = 17;
const HEADER_HOP_BY_HOP: u8 = 0;
const HEADER_ROUTING: u8 = 43;
const HEADER_FRAGMENT: u8 = 44;
const HEADER_DESTINATION_OPTIONS: u8 = 60;
/// RFC 8200 section 4.1 knows four that may precede UDP in this order, one of them twice, and the
/// fragment header ends the walk.
const EXTENSION_HEADERS_MAX: usize = 4;

const SERVER_PORT_V4: u16 = 67;
const SERVER_PORT_V6: u16 = 547;
const BROADCAST: u32 = u32::MAX;
/// ff02::1:2, All_DHCP_Relay_Agents_and_Servers (RFC 9915 section 7.1).
const AGENTS_AND_SERVERS: [u64; 2] = [0xff02_0000_0000_0000, 0x0001_0002];
/// ff05::1:3, All_DHCP_Servers (RFC 9915 section 7.1).
const SERVERS: [u64; 2] = [0xff05_0000_0000_0000, 0x0001_0003];

/// A frame whose octets are read as numbers in network order, with a check of its end.
///
/// One method for each width that a register has: the kernel's verifier refuses what a compiler makes
/// of reads that may be unaligned in general.
pub trait Octets {
    /// The octet at `offset`, or `None` if the frame ends before.
    fn octet(&self, offset: usize) -> Option<u8>;
    /// The two octets from `offset` on, or `None` if the frame ends before.
    fn number16(&self, offset: usize) -> Option<u16>;
    /// The four octets from `offset` on, or `None` if the frame ends before.
    fn number32(&self, offset: usize) -> Option<u32>;
    /// The eight octets from `offset` on, or `None` if the frame ends before.
    fn number64(&self, offset: usize) -> Option<u64>;
}

/// The addresses that the server answers on, as numbers.
pub trait Served {
    /// Is this one of the served IPv4 addresses?
    fn v4(&self, address: u32) -> bool;
    /// Is this one of the served IPv6 addresses? Given as its upper and its lower half.
    fn v6(&self, halves: [u64; 2]) -> bool;
}

/// What is to become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel's; untouched.
    Pass(Outcome),
    /// The server's.
    Take {
        /// [`Outcome::TakenV4`] or [`Outcome::TakenV6`].
        outcome: Outcome,
        /// Which of the queue's workers: below [`Settings::workers_per_queue`], the same for each
        /// frame of a client, relayed or direct.
        worker: u32,
    },
}

/// Applies the rule to one Ethernet frame.
///
/// Taken is UDP to port 67 at 255.255.255.255 or a served address, and UDP to port 547 at ff02::1:2,
/// ff05::1:3 or a served address, below up to two VLAN tags. A datagram is taken whatever its DHCP
/// header says: from there on it is the server that counts what it discards. What a DHCP client on
/// this host waits for goes to port 68 or 546, and so passes.
#[inline(always)]
pub fn steer(frame: &(impl Octets + ?Sized), settings: Settings, served: &impl Served) -> Verdict {
    match take(frame, settings, served) {
        Ok(taken) => taken,
        Err(outcome) => Verdict::Pass(outcome),
    }
}

#[inline(always)]
fn take(
    frame: &(impl Octets + ?Sized),
    settings: Settings,
    served: &impl Served,
) -> Result<Verdict, Outcome> {
    let (ethertype, packet) = network_layer(frame)?;
    let (outcome, message) = match ethertype {
        ETHERTYPE_IPV4 => take_v4(frame, packet, settings, served)?,
        ETHERTYPE_IPV6 => take_v6(frame, packet, settings, served)?,
        _ => return Err(Outcome::PassNotIp),
    };
    // A worker alone on its queue needs no hash.
    let worker = match settings.workers_per_queue {
        0 | 1 => 0,
        workers => client::spread(frame, client::of(frame, message), settings.key) % workers,
    };
    Ok(Verdict::Take { outcome, worker })
}

/// The type of the packet below all VLAN tags, and where it starts.
#[inline(always)]
fn network_layer(frame: &(impl Octets + ?Sized)) -> Result<(u16, usize), Outcome> {
    let mut ethertype = number16(frame, offset_of!(Ethernet, ethertype))?;
    let mut packet = size_of::<Ethernet>();
    for _ in 0..VLAN_TAGS_MAX {
        if !ETHERTYPES_VLAN.contains(&ethertype) {
            return Ok((ethertype, packet));
        }
        ethertype = number16(frame, packet + offset_of!(Tag, ethertype))?;
        packet += size_of::<Tag>();
    }
    if ETHERTYPES_VLAN.contains(&ethertype) {
        return Err(Outcome::PassVlanTags);
    }
    Ok((ethertype, packet))
}

#[inline(always)]
fn take_v4(
    frame: &(impl Octets + ?Sized),
    packet: usize,
    settings: Settings,
    served: &impl Served,
) -> Result<(Outcome, Message), Outcome> {
    let datagram = upper_layer_v4(frame, packet)?;
    if number16(frame, datagram + offset_of!(Udp, destination_port))? != SERVER_PORT_V4 {
        return Err(Outcome::PassPort);
    }
    if !settings.serves_v4 {
        return Err(Outcome::PassFamily);
    }
    let destination = number32(frame, packet + offset_of!(Ipv4, destination))?;
    if destination != BROADCAST && !served.v4(destination) {
        return Err(Outcome::PassAddress);
    }
    Ok((
        Outcome::TakenV4,
        Message::V4 {
            offset: datagram + size_of::<Udp>(),
        },
    ))
}

#[inline(always)]
fn take_v6(
    frame: &(impl Octets + ?Sized),
    packet: usize,
    settings: Settings,
    served: &impl Served,
) -> Result<(Outcome, Message), Outcome> {
    let datagram = upper_layer_v6(frame, packet)?;
    if number16(frame, datagram + offset_of!(Udp, destination_port))? != SERVER_PORT_V6 {
        return Err(Outcome::PassPort);
    }
    if !settings.serves_v6 {
        return Err(Outcome::PassFamily);
    }
    let destination = packet + offset_of!(Ipv6, destination);
    let halves = [
        number64(frame, destination)?,
        number64(frame, destination + 8)?,
    ];
    if halves != AGENTS_AND_SERVERS && halves != SERVERS && !served.v6(halves) {
        return Err(Outcome::PassAddress);
    }
    let source = packet + offset_of!(Ipv6, source);
    Ok((
        Outcome::TakenV6,
        Message::V6 {
            offset: datagram + size_of::<Udp>(),
            source,
        },
    ))
}

/// Where UDP starts, behind the options, unless the packet is a fragment.
#[inline(always)]
fn upper_layer_v4(frame: &(impl Octets + ?Sized), packet: usize) -> Result<usize, Outcome> {
    // RFC 791 section 3.1: the version in the upper four bits, the header's length in words below.
    let version_and_length = octet(frame, packet + offset_of!(Ipv4, version_and_length))?;
    if !(0x45..=0x4f).contains(&version_and_length) {
        return Err(Outcome::PassIpHeader);
    }
    if octet(frame, packet + offset_of!(Ipv4, protocol))? != PROTOCOL_UDP {
        return Err(Outcome::PassNotUdp);
    }
    // "More fragments" or an offset; "don't fragment" and the reserved bit above it say nothing.
    if number16(frame, packet + offset_of!(Ipv4, fragment))? & 0x3fff != 0 {
        return Err(Outcome::PassFragmentV4);
    }
    Ok(packet + usize::from(version_and_length & 0x0f) * 4)
}

/// Where UDP starts, behind the extension headers that may precede it.
#[inline(always)]
fn upper_layer_v6(frame: &(impl Octets + ?Sized), packet: usize) -> Result<usize, Outcome> {
    if octet(frame, packet + offset_of!(Ipv6, version_and_flow))? >> 4 != 6 {
        return Err(Outcome::PassIpHeader);
    }
    let mut next_header = octet(frame, packet + offset_of!(Ipv6, next_header))?;
    let mut header = packet + size_of::<Ipv6>();
    for _ in 0..EXTENSION_HEADERS_MAX {
        match next_header {
            PROTOCOL_UDP => return Ok(header),
            HEADER_HOP_BY_HOP | HEADER_DESTINATION_OPTIONS => {}
            // RFC 8200 section 4.4: with segments left, this host is a stop and not the destination.
            HEADER_ROUTING => {
                if octet(frame, header + offset_of!(Extension, segments_left))? != 0 {
                    return Err(Outcome::PassExtensionHeaders);
                }
            }
            HEADER_FRAGMENT => return Err(Outcome::PassFragmentV6),
            _ => return Err(Outcome::PassNotUdp),
        }
        next_header = octet(frame, header + offset_of!(Extension, next_header))?;
        header += 8 + 8 * usize::from(octet(frame, header + offset_of!(Extension, length))?);
    }
    match next_header {
        PROTOCOL_UDP => Ok(header),
        HEADER_FRAGMENT => Err(Outcome::PassFragmentV6),
        HEADER_HOP_BY_HOP | HEADER_DESTINATION_OPTIONS | HEADER_ROUTING => {
            Err(Outcome::PassExtensionHeaders)
        }
        _ => Err(Outcome::PassNotUdp),
    }
}

#[inline(always)]
fn octet(frame: &(impl Octets + ?Sized), offset: usize) -> Result<u8, Outcome> {
    frame.octet(offset).ok_or(Outcome::PassTruncated)
}

#[inline(always)]
fn number16(frame: &(impl Octets + ?Sized), offset: usize) -> Result<u16, Outcome> {
    frame.number16(offset).ok_or(Outcome::PassTruncated)
}

#[inline(always)]
fn number32(frame: &(impl Octets + ?Sized), offset: usize) -> Result<u32, Outcome> {
    frame.number32(offset).ok_or(Outcome::PassTruncated)
}

#[inline(always)]
fn number64(frame: &(impl Octets + ?Sized), offset: usize) -> Result<u64, Outcome> {
    frame.number64(offset).ok_or(Outcome::PassTruncated)
}

/// A frame in memory. The program in the kernel has its own reader.
impl Octets for [u8] {
    fn octet(&self, offset: usize) -> Option<u8> {
        self.get(offset).copied()
    }

    fn number16(&self, offset: usize) -> Option<u16> {
        self.get(offset..)?
            .first_chunk()
            .copied()
            .map(u16::from_be_bytes)
    }

    fn number32(&self, offset: usize) -> Option<u32> {
        self.get(offset..)?
            .first_chunk()
            .copied()
            .map(u32::from_be_bytes)
    }

    fn number64(&self, offset: usize) -> Option<u64> {
        self.get(offset..)?
            .first_chunk()
            .copied()
            .map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{self, Case, Expected};
    use dhcp_wire::id::spread;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::vec::Vec;

    /// Serves what the table says is served.
    struct Table;

    impl Served for Table {
        fn v4(&self, address: u32) -> bool {
            address.to_be_bytes() == frames::SERVED_V4
        }

        fn v6(&self, halves: [u64; 2]) -> bool {
            halves.map(u64::to_be_bytes).concat() == frames::SERVED_V6
        }
    }

    /// The verdict that a case wants, with the hash as the wire crate computes it.
    fn verdict(expected: &Expected, settings: Settings) -> Verdict {
        match expected {
            Expected::Pass(outcome) => Verdict::Pass(*outcome),
            Expected::Take(outcome, client) => {
                let worker = spread(settings.key, client) % settings.workers_per_queue;
                Verdict::Take {
                    outcome: *outcome,
                    worker,
                }
            }
        }
    }

    #[test]
    fn every_frame_of_the_table_ends_as_it_says() {
        for Case {
            name,
            frame,
            expected,
        } in frames::cases()
        {
            let got = steer(frame.as_slice(), frames::SETTINGS, &Table);
            assert_eq!(got, verdict(&expected, frames::SETTINGS), "{name}");
        }
    }

    #[test]
    fn the_table_has_a_case_for_every_outcome_of_the_rule() {
        let outcomes: HashSet<Outcome> = frames::cases()
            .iter()
            .map(|case| match case.expected {
                Expected::Pass(outcome) | Expected::Take(outcome, _) => outcome,
            })
            .collect();
        // The two others depend on the settings and on the sockets, not on the frame.
        assert_eq!(outcomes.len(), Outcome::ALL.len() - 2);
        assert!(!outcomes.contains(&Outcome::PassFamily));
        assert!(!outcomes.contains(&Outcome::PassNoSocket));
    }

    #[test]
    fn names_in_the_table_are_unique() {
        let mut names = HashSet::new();
        for case in frames::cases() {
            assert!(names.insert(case.name), "{} stands twice", case.name);
        }
    }

    #[test]
    fn a_family_that_is_not_served_passes() {
        let neither = Settings {
            serves_v4: false,
            serves_v6: false,
            ..frames::SETTINGS
        };
        for Case {
            name,
            frame,
            expected,
        } in frames::cases()
        {
            let got = steer(frame.as_slice(), neither, &Table);
            match expected {
                Expected::Take(..) => assert_eq!(got, Verdict::Pass(Outcome::PassFamily), "{name}"),
                Expected::Pass(_) => assert!(matches!(got, Verdict::Pass(_)), "{name}"),
            }
        }
    }

    #[test]
    fn a_lone_worker_gets_every_client() {
        for workers_per_queue in [0, 1] {
            let settings = Settings {
                workers_per_queue,
                ..frames::SETTINGS
            };
            for Case { name, frame, .. } in frames::cases() {
                if let Verdict::Take { worker, .. } = steer(frame.as_slice(), settings, &Table) {
                    assert_eq!(worker, 0, "{name}");
                }
            }
        }
    }

    /// Any octets, and frames of the table with a few octets changed, which get further.
    fn octets() -> impl Strategy<Value = Vec<u8>> {
        let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
        let changed = (any::<prop::sample::Index>(), changes).prop_map(|(case, changes)| {
            let mut frame = case.get(&frames::cases()).frame.clone();
            for (place, octet) in changes {
                if !frame.is_empty() {
                    *place.get_mut(&mut frame) = octet;
                }
            }
            frame
        });
        prop_oneof![proptest::collection::vec(any::<u8>(), 0..2048), changed]
    }

    proptest! {
        #[test]
        fn any_octets_end_in_a_verdict_with_a_worker_that_exists(
            frame in octets(), key: u64, workers_per_queue in 0..17u32,
        ) {
            let settings = Settings { key, workers_per_queue, ..frames::SETTINGS };
            if let Verdict::Take { worker, .. } = steer(frame.as_slice(), settings, &Table) {
                prop_assert!(worker < workers_per_queue.max(1));
            }
        }
    }
}
