//! Who has this address? Answers ARP and Neighbour Discovery for the simulated clients and relay agents.
//!
//! xdhcpd answers to the neighbour that a frame came from and asks nobody; servers that send through
//! their kernel look for the Ethernet address first, and would wait for ever.

use crate::writer::Writer;
use dhcp_wire::frame::{Sum, Tags};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const ICMPV6: u8 = 58;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// A question after the Ethernet address of `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose Ethernet address is asked for.
    pub target: IpAddr,
    asker: IpAddr,
    asker_mac: [u8; 6],
}

impl Question {
    /// Reads an ARP request or a Neighbour Solicitation, without VLAN tags; nothing for any other frame.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let asker_mac = array(frame, 6)?;
        match array(frame, 12)? {
            ETHERTYPE_ARP => {
                // Ethernet and IPv4, a request (RFC 826).
                let head: [u8; 8] = array(frame, 14)?;
                (head == [0, 1, 8, 0, 6, 4, 0, 1]).then_some(())?;
                let asker = IpAddr::V4(array::<4>(frame, 28)?.into());
                let target = IpAddr::V4(array::<4>(frame, 38)?.into());
                Some(Self {
                    target,
                    asker,
                    asker_mac,
                })
            }
            ETHERTYPE_IPV6 => {
                let [next_header] = array(frame, 20)?;
                let [kind] = array(frame, 54)?;
                (next_header == ICMPV6 && kind == NEIGHBOUR_SOLICITATION).then_some(())?;
                let asker: Ipv6Addr = array::<16>(frame, 22)?.into();
                // Whoever has no address yet asks whether it may have this one; it may not be told so
                // by unicast, and does not ask for ours.
                (!asker.is_unspecified()).then_some(())?;
                let target = IpAddr::V6(array::<16>(frame, 62)?.into());
                Some(Self {
                    target,
                    asker: IpAddr::V6(asker),
                    asker_mac,
                })
            }
            _ => None,
        }
    }

    /// Writes the answer that `mac` has the target; returns the frame's length.
    pub fn answer(&self, mac: [u8; 6], frame: &mut [u8]) -> usize {
        let mut writer = Writer::new(frame);
        writer.put(&self.asker_mac);
        writer.put(&mac);
        match (self.target, self.asker) {
            (IpAddr::V4(target), IpAddr::V4(asker)) => {
                self.put_arp(&mut writer, mac, target, asker)
            }
            (IpAddr::V6(target), IpAddr::V6(asker)) => {
                put_advertisement(&mut writer, mac, target, asker);
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return 0,
        }
        writer.zeros(60_usize.saturating_sub(writer.len()));
        writer.finish().unwrap_or(0)
    }

    fn put_arp(&self, writer: &mut Writer<'_>, mac: [u8; 6], target: Ipv4Addr, asker: Ipv4Addr) {
        writer.put(&ETHERTYPE_ARP);
        writer.put(&[0, 1, 8, 0, 6, 4, 0, 2]); // a reply
        writer.put(&mac);
        writer.put(&target.octets());
        writer.put(&self.asker_mac);
        writer.put(&asker.octets());
    }
}

/// Writes an ARP announcement, by broadcast: `mac` has `address` from now on (RFC 5227 section 2.3). Returns the
/// frame's length.
pub fn announce(address: Ipv4Addr, mac: [u8; 6], tags: Tags, frame: &mut [u8]) -> usize {
    let mut writer = Writer::new(frame);
    writer.put(&[0xff; 6]);
    writer.put(&mac);
    for (ethertype, tag) in tags.tags.iter().take(tags.count.into()) {
        writer.put(&ethertype.to_be_bytes());
        writer.put(&tag.to_be_bytes());
    }
    writer.put(&ETHERTYPE_ARP);
    writer.put(&[0, 1, 8, 0, 6, 4, 0, 1]); // a request, for nobody to answer
    writer.put(&mac);
    writer.put(&address.octets());
    writer.zeros(6);
    writer.put(&address.octets());
    writer.zeros(60_usize.saturating_sub(writer.len()));
    writer.finish().unwrap_or(0)
}

/// RFC 4861 section 4.4: solicited, overriding, with the target's link-layer address.
fn put_advertisement(writer: &mut Writer<'_>, mac: [u8; 6], target: Ipv6Addr, asker: Ipv6Addr) {
    const LEN: u16 = 32;
    let mut message = [0; LEN as usize];
    let mut body = Writer::new(&mut message);
    body.put(&[NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, 0x60, 0, 0, 0]);
    body.put(&target.octets());
    body.put(&[2, 1]);
    body.put(&mac);
    let sum = Sum::ZERO.octets(&target.octets()).octets(&asker.octets());
    let checksum = sum
        .word(LEN)
        .word(u16::from(ICMPV6))
        .octets(&message)
        .checksum();
    writer.put(&ETHERTYPE_IPV6);
    writer.put(&[0x60, 0, 0, 0, 0, LEN as u8, ICMPV6, 255]);
    writer.put(&target.octets());
    writer.put(&asker.octets());
    let checksum_at = writer.len() + 2;
    writer.put(&message);
    writer.patch_u16(checksum_at, checksum);
}

fn array<const N: usize>(frame: &[u8], at: usize) -> Option<[u8; N]> {
    frame.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arp_request_is_answered() {
        let mut request = vec![0xff; 6];
        request.extend([2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        request.extend([2, 0, 0, 0, 0, 9, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 7]);
        let question = Question::parse(&request).unwrap();
        assert_eq!(question.target, "10.0.0.7".parse::<IpAddr>().unwrap());
        let mut frame = [0; 100];
        assert_eq!(question.answer([2, 0, 0, 0, 0, 7], &mut frame), 60);
        assert_eq!(frame[..6], [2, 0, 0, 0, 0, 9]);
        assert_eq!(frame[20..32], [0, 2, 2, 0, 0, 0, 0, 7, 10, 0, 0, 7]);
        assert_eq!(Question::parse(&frame), None, "an answer is no question");
    }

    #[test]
    fn an_announcement_names_its_sender_twice_behind_the_tags() {
        let (address, mac) = (Ipv4Addr::new(10, 0, 0, 7), [2, 0, 0, 0, 0, 7]);
        let tags = Tags {
            count: 1,
            tags: [(0x8100, 100), (0, 0)],
        };
        let mut frame = [0; 100];
        assert_eq!(announce(address, mac, tags, &mut frame), 60);
        assert_eq!(frame[..12], [[0xff; 6], mac].concat());
        assert_eq!(frame[12..18], [0x81, 0, 0, 100, 8, 6]);
        assert_eq!(frame[26..36], [2, 0, 0, 0, 0, 7, 10, 0, 0, 7]);
        assert_eq!(frame[36..46], [0, 0, 0, 0, 0, 0, 10, 0, 0, 7]);
        let untagged = [&frame[..12], &frame[16..60]].concat();
        let question = Question::parse(&untagged).unwrap();
        assert_eq!(question.target, IpAddr::V4(address));
    }

    #[test]
    fn an_advertisement_has_a_right_checksum() {
        let (target, asker) = ("fe80::1".parse().unwrap(), "fe80::2".parse().unwrap());
        let mut frame = [0; 100];
        let mut writer = Writer::new(&mut frame);
        writer.put(&[0; 12]);
        put_advertisement(&mut writer, [2, 0, 0, 0, 0, 7], target, asker);
        assert_eq!(writer.finish(), Some(86));
        let sum = Sum::ZERO
            .octets(&frame[22..54])
            .word(32)
            .word(58)
            .octets(&frame[54..86]);
        assert_eq!(sum.fold(), 0xffff);
    }
}
