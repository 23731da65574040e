//! A frame's octets to a [`Datagram`].

use super::checksum::Sum;
use super::header::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ethernet, Extension, IPV4_FRAGMENT_MASK, Ipv4, Ipv6,
    NEXT_DESTINATION, NEXT_FRAGMENT, NEXT_HOP_BY_HOP, NEXT_ROUTING, PROTOCOL_UDP, TPID_8021AD,
    TPID_8021Q, Udp, VlanTag,
};
use super::{Addresses, Datagram, Envelope, MacAddress, Malformed, TAGS_MAX, Tags};
use core::mem::size_of;
use core::net::{Ipv4Addr, Ipv6Addr};
use zerocopy::byteorder::big_endian::U16;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Bound on IPv6 extension headers in one packet. RFC 8200 section 4.1 knows four in front of UDP (the
/// destination options twice); we allow as many again.
pub const EXTENSION_HEADERS_MAX: usize = 8;

impl<'a> Datagram<'a> {
    /// Reads Ethernet, VLAN tags, IP and UDP, and checks lengths and checksums. Octets after the IP
    /// packet are Ethernet padding and ignored.
    ///
    /// # Errors
    /// [`Malformed`], with what was found. Fragments are malformed to us: the second one has no UDP
    /// header, so the XDP program leaves all of them to the kernel.
    pub fn parse(frame: &'a [u8]) -> Result<Self, Malformed> {
        let (ethernet, rest) = header::<Ethernet>(frame)?;
        let (tags, ethertype, packet) = tags(rest)?;
        let (addresses, segment) = match ethertype {
            ETHERTYPE_IPV4 => ipv4(packet)?,
            ETHERTYPE_IPV6 => ipv6(packet)?,
            got => return Err(Malformed::EtherType { got }),
        };
        let (udp, payload) = udp(segment, &addresses)?;
        let envelope = Envelope {
            source_mac: MacAddress(ethernet.source),
            destination_mac: MacAddress(ethernet.destination),
            tags,
            addresses,
            source_port: udp.source_port.get(),
            destination_port: udp.destination_port.get(),
        };
        Ok(Self { envelope, payload })
    }
}

/// The next header and what follows it.
fn header<H>(octets: &[u8]) -> Result<(&H, &[u8]), Malformed>
where
    H: FromBytes + KnownLayout + Immutable + Unaligned,
{
    H::ref_from_prefix(octets).map_err(|_| Malformed::TooShort {
        got: octets.len(),
        need: size_of::<H>(),
    })
}

/// The tags, the EtherType behind them, the packet.
fn tags(mut rest: &[u8]) -> Result<(Tags, u16, &[u8]), Malformed> {
    let mut tags = Tags::default();
    for place in &mut tags.tags {
        match header::<VlanTag>(rest) {
            Ok((tag, behind)) if matches!(tag.tpid.get(), TPID_8021Q | TPID_8021AD) => {
                *place = (tag.tpid.get(), tag.tci.get());
                tags.count += 1;
                rest = behind;
            }
            _ => break,
        }
    }
    let (ethertype, packet) = header::<U16>(rest)?;
    match ethertype.get() {
        TPID_8021Q | TPID_8021AD => Err(Malformed::TooManyTags { bound: TAGS_MAX }),
        ethertype => Ok((tags, ethertype, packet)),
    }
}

/// Exactly `said` octets of `octets`: a header's own idea of its length, checked.
fn exactly(octets: &[u8], said: usize) -> Result<&[u8], Malformed> {
    octets.get(..said).ok_or(Malformed::Length {
        said,
        there: octets.len(),
    })
}

fn ipv4(packet: &[u8]) -> Result<(Addresses, &[u8]), Malformed> {
    let (ip, _) = header::<Ipv4>(packet)?;
    let header_len = usize::from(ip.version_ihl & 0x0f) * 4;
    if ip.version_ihl >> 4 != 4 || header_len < size_of::<Ipv4>() {
        return Err(Malformed::IpHeader {
            first_octet: ip.version_ihl,
        });
    }
    let packet = exactly(packet, usize::from(ip.total_len.get()))?;
    let (whole_header, segment) = packet
        .split_at_checked(header_len)
        .ok_or(Malformed::Length {
            said: header_len,
            there: packet.len(),
        })?;
    if Sum::ZERO.octets(whole_header).fold() != 0xffff {
        return Err(Malformed::Checksum);
    }
    if ip.flags_fragment.get() & IPV4_FRAGMENT_MASK != 0 {
        return Err(Malformed::Fragment);
    }
    if ip.protocol != PROTOCOL_UDP {
        return Err(Malformed::NotUdp {
            protocol: ip.protocol,
        });
    }
    let source = Ipv4Addr::from(ip.source);
    let destination = Ipv4Addr::from(ip.destination);
    Ok((
        Addresses::V4 {
            source,
            destination,
        },
        segment,
    ))
}

fn ipv6(packet: &[u8]) -> Result<(Addresses, &[u8]), Malformed> {
    let (ip, behind) = header::<Ipv6>(packet)?;
    if ip.version_class_flow.get() >> 28 != 6 {
        let [first_octet, ..] = ip.version_class_flow.to_bytes();
        return Err(Malformed::IpHeader { first_octet });
    }
    // A length of 0 announces a jumbogram (RFC 2675), which no frame of ours can hold: too short for UDP.
    let mut rest = exactly(behind, usize::from(ip.payload_len.get()))?;
    let mut next = ip.next_header;
    for position in 0..=EXTENSION_HEADERS_MAX {
        match next {
            PROTOCOL_UDP => {
                let source = Ipv6Addr::from(ip.source);
                let destination = Ipv6Addr::from(ip.destination);
                return Ok((
                    Addresses::V6 {
                        source,
                        destination,
                    },
                    rest,
                ));
            }
            NEXT_FRAGMENT => return Err(Malformed::Fragment),
            // RFC 8200 section 4.1: hop-by-hop options stand directly behind the IPv6 header only.
            NEXT_HOP_BY_HOP if position > 0 => return Err(Malformed::NotUdp { protocol: next }),
            NEXT_HOP_BY_HOP | NEXT_DESTINATION | NEXT_ROUTING => {
                let (extension, _) = header::<Extension>(rest)?;
                if next == NEXT_ROUTING && extension.segments_left != 0 {
                    return Err(Malformed::Routed {
                        segments_left: extension.segments_left,
                    });
                }
                let len = (usize::from(extension.len_words) + 1) * 8;
                let said = Malformed::Length {
                    said: len,
                    there: rest.len(),
                };
                rest = rest.get(len..).ok_or(said)?;
                next = extension.next_header;
            }
            protocol => return Err(Malformed::NotUdp { protocol }),
        }
    }
    Err(Malformed::TooManyExtensions {
        bound: EXTENSION_HEADERS_MAX,
    })
}

fn udp<'a>(segment: &'a [u8], addresses: &Addresses) -> Result<(&'a Udp, &'a [u8]), Malformed> {
    let (udp, _) = header::<Udp>(segment)?;
    let len = udp.len.get();
    // A UDP length below the IP payload's is legal if odd (RFC 768 says nothing against it, and kernels
    // trim likewise); one beyond it is a lie.
    let segment = exactly(segment, usize::from(len))?;
    let payload = segment.get(size_of::<Udp>()..).ok_or(Malformed::Length {
        said: usize::from(len),
        there: size_of::<Udp>(),
    })?;
    let pseudo = match *addresses {
        Addresses::V4 { .. } if udp.checksum.get() == 0 => return Ok((udp, payload)),
        Addresses::V4 {
            source,
            destination,
        } => Sum::pseudo_v4(source, destination, len),
        // RFC 8200 section 8.1 forbids the zero checksum; it fails like any other wrong one.
        Addresses::V6 {
            source,
            destination,
        } => Sum::pseudo_v6(source, destination, len),
    };
    // Packets from this host or from a neighbouring namespace carry the sum of the pseudo-header only:
    // their sender left the rest to hardware that never came (Linux calls it CHECKSUM_PARTIAL).
    let intact = pseudo.octets(segment).fold() == 0xffff;
    if intact && udp.checksum.get() != 0 || udp.checksum.get() == pseudo.fold() {
        return Ok((udp, payload));
    }
    Err(Malformed::Checksum)
}
