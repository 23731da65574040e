//! An [`Envelope`] to the headers in front of a payload.

use super::checksum::Sum;
use super::header::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ethernet, IPV4_DONT_FRAGMENT, Ipv4, Ipv6, PROTOCOL_UDP, Udp,
    VlanTag,
};
use super::{Addresses, Envelope, FRAME_SIZE_MIN, NoRoom, TAGS_MAX};
use core::mem::size_of;
use zerocopy::IntoBytes;
use zerocopy::byteorder::big_endian::{U16, U32};

/// Time to live and hop limit of our packets (the value that RFC 1340 recommends).
const TTL: u8 = 64;

impl Envelope {
    /// How many octets its headers take: the payload of a frame begins there.
    pub fn header_len(&self) -> usize {
        let ip = match self.addresses {
            Addresses::V4 { .. } => size_of::<Ipv4>(),
            Addresses::V6 { .. } => size_of::<Ipv6>(),
        };
        let tags = usize::from(self.tags.count).min(TAGS_MAX) * size_of::<VlanTag>();
        size_of::<Ethernet>() + tags + size_of::<U16>() + ip + size_of::<Udp>()
    }

    /// Writes the headers in front of a payload that already lies at `frame[header_len()..]` and is
    /// `payload_len` octets long. Returns the length of the frame, which is padded with zeros to 60
    /// octets, the shortest that Ethernet carries.
    ///
    /// # Errors
    /// [`NoRoom`] when headers and payload do not fit into `frame` or into the length fields; the
    /// headers may be half written then.
    pub fn emit(&self, frame: &mut [u8], payload_len: usize) -> Result<usize, NoRoom> {
        let need = self.header_len().saturating_add(payload_len);
        let no_room = NoRoom {
            got: frame.len(),
            need: need.max(FRAME_SIZE_MIN),
        };
        let frame_len = need.max(FRAME_SIZE_MIN);
        let frame = frame.get_mut(..frame_len).ok_or(no_room)?;
        let udp_len = u16::try_from(payload_len.saturating_add(size_of::<Udp>()));
        let udp_len = udp_len
            .ok()
            .filter(|len| *len <= u16::MAX - 20)
            .ok_or(no_room)?;

        let (packet, padding) = frame.split_at_mut_checked(need).ok_or(no_room)?;
        padding.fill(0);
        let rest = self.emit_ethernet(packet).ok_or(no_room)?;
        self.emit_ip_udp(rest, udp_len).ok_or(no_room)?;
        Ok(frame_len)
    }

    /// Writes addresses, tags and EtherType; returns what is behind them.
    fn emit_ethernet<'a>(&self, frame: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let ethernet = Ethernet {
            destination: self.destination_mac.0,
            source: self.source_mac.0,
        };
        let mut rest = put(frame, &ethernet)?;
        for (tpid, tci) in self.tags.tags.iter().take(usize::from(self.tags.count)) {
            rest = put(
                rest,
                &VlanTag {
                    tpid: U16::new(*tpid),
                    tci: U16::new(*tci),
                },
            )?;
        }
        let ethertype = match self.addresses {
            Addresses::V4 { .. } => ETHERTYPE_IPV4,
            Addresses::V6 { .. } => ETHERTYPE_IPV6,
        };
        put(rest, &U16::new(ethertype))
    }

    /// Writes IP and UDP in front of the payload.
    fn emit_ip_udp(&self, packet: &mut [u8], udp_len: u16) -> Option<()> {
        let (segment, pseudo) = match self.addresses {
            Addresses::V4 {
                source,
                destination,
            } => {
                let mut ip = Ipv4 {
                    version_ihl: 0x45,
                    traffic_class: 0,
                    total_len: U16::new(udp_len.checked_add(size_of::<Ipv4>() as u16)?),
                    // RFC 6864 section 4.1: an unfragmented packet needs no identification.
                    identification: U16::ZERO,
                    flags_fragment: U16::new(IPV4_DONT_FRAGMENT),
                    ttl: TTL,
                    protocol: PROTOCOL_UDP,
                    checksum: U16::ZERO,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                ip.checksum = U16::new(Sum::ZERO.octets(ip.as_bytes()).checksum());
                (
                    put(packet, &ip)?,
                    Sum::pseudo_v4(source, destination, udp_len),
                )
            }
            Addresses::V6 {
                source,
                destination,
            } => {
                let ip = Ipv6 {
                    version_class_flow: U32::new(6 << 28),
                    payload_len: U16::new(udp_len),
                    next_header: PROTOCOL_UDP,
                    hop_limit: TTL,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                (
                    put(packet, &ip)?,
                    Sum::pseudo_v6(source, destination, udp_len),
                )
            }
        };
        let (place, payload) = segment.split_at_mut_checked(size_of::<Udp>())?;
        let mut udp = Udp {
            source_port: U16::new(self.source_port),
            destination_port: U16::new(self.destination_port),
            len: U16::new(udp_len),
            checksum: U16::ZERO,
        };
        // RFC 768: a sum of zero is sent as all ones, because zero says that there is none.
        udp.checksum = match pseudo.octets(udp.as_bytes()).octets(payload).checksum() {
            0 => U16::new(0xffff),
            checksum => U16::new(checksum),
        };
        place.copy_from_slice(udp.as_bytes());
        Some(())
    }
}

/// Writes a header at the front of `octets`; returns what is behind it.
fn put<'a, H>(octets: &'a mut [u8], header: &H) -> Option<&'a mut [u8]>
where
    H: IntoBytes + zerocopy::Immutable,
{
    let (place, rest) = octets.split_at_mut_checked(size_of::<H>())?;
    place.copy_from_slice(header.as_bytes());
    Some(rest)
}
