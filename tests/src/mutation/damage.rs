//! What can happen to a packet, and worse.

use super::Sample;
use crate::packet::checksum;
use crate::sim::random::Random;
use dhcp_wire::frame::FRAME_SIZE_MAX;

/// Injuries of one packet, at most.
const INJURIES_MAX: u64 = 8;
/// Octets that are moved, copied or taken away together, at most.
const PIECE_MAX: u64 = 80;

/// A packet with up to eight injuries, in which parts of an `other` one may lie. Most of the time its lengths
/// and checksums are mended, for otherwise hardly anything would get past them.
pub(super) fn damage(sample: &Sample, other: &Sample, random: &mut Random) -> Vec<u8> {
    let mut octets = sample.octets[..sample.payload.end].to_vec();
    let first = if random.chance(125) {
        0
    } else {
        sample.payload.start
    };
    for _ in 0..random.within(0..=INJURIES_MAX) {
        injure(&mut octets, first, sample, other, random);
    }
    if random.chance(60) {
        octets.truncate(random.below(octets.len() as u64 + 1) as usize);
    }
    octets.truncate(FRAME_SIZE_MAX);
    if !random.chance(60) {
        mend(&mut octets, sample);
    }
    octets
}

fn injure(
    octets: &mut Vec<u8>,
    first: usize,
    sample: &Sample,
    other: &Sample,
    random: &mut Random,
) {
    if octets.len() <= first {
        return;
    }
    let at = random.within(first as u64..=octets.len() as u64 - 1) as usize;
    let piece = random.within(1..=PIECE_MAX) as usize;
    match random.below(12) {
        0 => octets[at] ^= 1 << random.below(8),
        1 => octets[at] = random.below(256) as u8,
        2 => octets[at] = *random.pick(&[0, 1, 0x7f, 0x80, 0xfe, 0xff]),
        // A length or code moved to a neighbour.
        3 => octets[at] = octets[first.max(at.saturating_sub(1))],
        4 => octets[at] = octets[at].wrapping_add(1),
        5 => octets[at] = octets[at].wrapping_sub(1),
        // Another client, so that tables fill up.
        6 | 7 => {
            let hardware = sample.payload.start + 28 + random.below(6) as usize;
            if let Some(octet) = octets.get_mut(hardware) {
                *octet = random.below(256) as u8;
            }
        }
        // A piece of another packet comes in, or what this one has comes twice.
        8 => {
            let from = random.below(other.payload().len() as u64) as usize;
            let from = &other.payload()[from..];
            let piece = &from[..piece.min(from.len())];
            octets.splice(at..at, piece.iter().copied());
        }
        9 => {
            let piece = octets[at..(at + piece).min(octets.len())].to_vec();
            octets.splice(at..at, piece);
        }
        10 => drop(octets.drain(at..(at + piece).min(octets.len()))),
        // From here on it is the other packet.
        _ => {
            let from = (at - first).min(other.payload().len());
            octets.truncate(at);
            octets.extend(&other.payload()[from..]);
        }
    }
}

/// Writes correct lengths and checksums, if the headers are still there.
fn mend(octets: &mut [u8], sample: &Sample) {
    let (ip, udp) = (sample.ip, sample.udp());
    let length = octets.len().checked_sub(udp).filter(|length| *length >= 8);
    let Some(length) = length else { return };
    octets[udp + 4..udp + 6].copy_from_slice(&(length as u16).to_be_bytes());
    octets[udp + 6..udp + 8].copy_from_slice(&[0, 0]);
    let pseudo = if sample.is_v4() {
        let total = (octets.len() - ip) as u16;
        octets[ip + 2..ip + 4].copy_from_slice(&total.to_be_bytes());
        octets[ip + 10..ip + 12].copy_from_slice(&[0, 0]);
        let sum = checksum(&[&octets[ip..udp]]);
        octets[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
        octets[ip + 12..ip + 20].to_vec()
    } else {
        octets[ip + 4..ip + 6].copy_from_slice(&(length as u16).to_be_bytes());
        octets[ip + 8..ip + 40].to_vec()
    };
    let ends = [&[0, 17][..], &(length as u16).to_be_bytes()].concat();
    let sum = match checksum(&[&pseudo, &ends, &octets[udp..]]) {
        0 => 0xffff,
        sum => sum,
    };
    octets[udp + 6..udp + 8].copy_from_slice(&sum.to_be_bytes());
}
