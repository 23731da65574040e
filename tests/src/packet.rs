//! Ethernet, IP and UDP around a payload, written and checked without the code under test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A UDP datagram in its Ethernet frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Ethernet source.
    pub source_mac: [u8; 6],
    /// Ethernet destination.
    pub destination_mac: [u8; 6],
    /// VLAN tags, outermost first: protocol identifier, control information.
    pub tags: Vec<(u16, u16)>,
    /// Who sent it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// What UDP carries.
    pub payload: Vec<u8>,
}

const ETHERTYPE_V4: u16 = 0x0800;
const ETHERTYPE_V6: u16 = 0x86dd;
const VLAN: [u16; 2] = [0x8100, 0x88a8];
const UDP: u8 = 17;

impl Packet {
    /// The whole frame, with correct checksums and no padding.
    pub fn emit(&self) -> Vec<u8> {
        let mut frame = [self.destination_mac, self.source_mac].concat();
        for (protocol, control) in &self.tags {
            frame.extend(protocol.to_be_bytes());
            frame.extend(control.to_be_bytes());
        }
        let udp = self.emit_udp();
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame.extend(ETHERTYPE_V4.to_be_bytes());
                frame.extend(header_v4(source, destination, udp.len()));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                frame.extend(ETHERTYPE_V6.to_be_bytes());
                frame.extend(header_v6(source, destination, udp.len()));
            }
            (source, destination) => panic!("{source} and {destination} are of two families"),
        }
        frame.extend(udp);
        frame
    }

    fn emit_udp(&self) -> Vec<u8> {
        let length = (8 + self.payload.len()) as u16;
        let mut udp = Vec::with_capacity(usize::from(length));
        for field in [self.source.port(), self.destination.port(), length, 0] {
            udp.extend(field.to_be_bytes());
        }
        udp.extend(&self.payload);
        let sum = match checksum(&[
            &pseudo_header(self.source.ip(), self.destination.ip(), length),
            &udp,
        ]) {
            0 => 0xffff,
            sum => sum,
        };
        udp[6..8].copy_from_slice(&sum.to_be_bytes());
        udp
    }

    /// Reads a frame as severely as a receiver may: all lengths and checksums are right, padding is zero.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(frame: &[u8]) -> Result<Self, String> {
        let short = || format!("the frame is too short: {} octets", frame.len());
        let mut rest = frame;
        let destination_mac = take::<6>(&mut rest).ok_or_else(short)?;
        let source_mac = take::<6>(&mut rest).ok_or_else(short)?;
        let mut tags = Vec::new();
        let ethertype = loop {
            let field = u16::from_be_bytes(take(&mut rest).ok_or_else(short)?);
            if !VLAN.contains(&field) {
                break field;
            }
            tags.push((
                field,
                u16::from_be_bytes(take(&mut rest).ok_or_else(short)?),
            ));
        };
        let (source, destination, udp) = match ethertype {
            ETHERTYPE_V4 => parse_v4(&mut rest)?,
            ETHERTYPE_V6 => parse_v6(&mut rest)?,
            other => return Err(format!("ethertype {other:#06x} is not ours")),
        };
        if rest.iter().any(|octet| *octet != 0) {
            return Err("the padding after the IP packet is not zero".to_owned());
        }
        if !rest.is_empty() && frame.len() > 60 {
            return Err(format!(
                "{} octets follow the IP packet in a frame above 60",
                rest.len()
            ));
        }
        let (source_port, destination_port) = check_udp(source, destination, udp)?;
        Ok(Self {
            source_mac,
            destination_mac,
            tags,
            source: SocketAddr::new(source, source_port),
            destination: SocketAddr::new(destination, destination_port),
            payload: udp[8..].to_vec(),
        })
    }
}

fn header_v4(source: Ipv4Addr, destination: Ipv4Addr, payload_len: usize) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend(((20 + payload_len) as u16).to_be_bytes());
    header.extend([0, 0, 0, 0, 64, UDP, 0, 0]);
    header.extend(source.octets());
    header.extend(destination.octets());
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

fn header_v6(source: Ipv6Addr, destination: Ipv6Addr, payload_len: usize) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend((payload_len as u16).to_be_bytes());
    header.extend([UDP, 64]);
    header.extend(source.octets());
    header.extend(destination.octets());
    header
}

fn parse_v4<'a>(rest: &mut &'a [u8]) -> Result<(IpAddr, IpAddr, &'a [u8]), String> {
    let header = rest.get(..20).ok_or("the IPv4 header is cut short")?;
    if header[0] != 0x45 || header[9] != UDP || header[8] == 0 {
        return Err(format!(
            "IPv4 header {header:02x?}: version, length, TTL or protocol"
        ));
    }
    if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
        return Err("the IPv4 packet is a fragment".to_owned());
    }
    if checksum(&[header]) != 0 {
        return Err("the IPv4 header checksum is wrong".to_owned());
    }
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let udp = rest
        .get(20..total)
        .ok_or("the IPv4 total length exceeds the frame")?;
    let source = Ipv4Addr::from(<[u8; 4]>::try_from(&header[12..16]).unwrap());
    let destination = Ipv4Addr::from(<[u8; 4]>::try_from(&header[16..20]).unwrap());
    *rest = &rest[total..];
    Ok((source.into(), destination.into(), udp))
}

fn parse_v6<'a>(rest: &mut &'a [u8]) -> Result<(IpAddr, IpAddr, &'a [u8]), String> {
    let header = rest.get(..40).ok_or("the IPv6 header is cut short")?;
    if header[0] >> 4 != 6 || header[6] != UDP || header[7] == 0 {
        return Err(format!(
            "IPv6 header {header:02x?}: version, next header or hop limit"
        ));
    }
    let total = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let udp = rest
        .get(40..total)
        .ok_or("the IPv6 payload length exceeds the frame")?;
    let source = Ipv6Addr::from(<[u8; 16]>::try_from(&header[8..24]).unwrap());
    let destination = Ipv6Addr::from(<[u8; 16]>::try_from(&header[24..40]).unwrap());
    *rest = &rest[total..];
    Ok((source.into(), destination.into(), udp))
}

fn check_udp(source: IpAddr, destination: IpAddr, udp: &[u8]) -> Result<(u16, u16), String> {
    let header = udp.get(..8).ok_or("the UDP header is cut short")?;
    let length = u16::from_be_bytes([header[4], header[5]]);
    if usize::from(length) != udp.len() {
        return Err(format!(
            "the UDP length is {length} where IP carries {}",
            udp.len()
        ));
    }
    let sum = checksum(&[&pseudo_header(source, destination, length), udp]);
    if sum != 0 || header[6..8] == [0, 0] {
        return Err("the UDP checksum is wrong or absent".to_owned());
    }
    Ok((
        u16::from_be_bytes([header[0], header[1]]),
        u16::from_be_bytes([header[2], header[3]]),
    ))
}

fn pseudo_header(source: IpAddr, destination: IpAddr, length: u16) -> Vec<u8> {
    let mut header = Vec::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => header.extend(address.octets()),
            IpAddr::V6(address) => header.extend(address.octets()),
        }
    }
    header.extend([0, UDP]);
    header.extend(length.to_be_bytes());
    header
}

/// The Internet checksum over parts laid end to end (all but the last have an even length).
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}
