//! What is compared of an answer.

use super::client::{Client, Network};
use dhcp_tests::packet::Packet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// An answer, without what is each server's own affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Option 53; 0 without it.
    pub(crate) kind: u8,
    /// From which pool or reservation `yiaddr` is.
    pub(crate) from: String,
    /// Who gets it: the role of the IP address, the port, the role of the Ethernet address.
    pub(crate) destination: String,
    pub(crate) flags: u16,
    pub(crate) hops: u8,
    pub(crate) secs: u16,
    pub(crate) is_ciaddr_set: bool,
    pub(crate) siaddr: Ipv4Addr,
    pub(crate) giaddr: Ipv4Addr,
    pub(crate) hardware: Vec<u8>,
    pub(crate) sname: String,
    pub(crate) file: String,
    pub(crate) options: BTreeMap<u8, Vec<u8>>,
    /// Octets of the UDP payload.
    pub(crate) len: usize,
}

impl Answer {
    pub(crate) fn of(packet: &Packet, client: &Client) -> Self {
        let payload = &packet.payload;
        let options = options(payload);
        Self {
            kind: kind(packet),
            from: pool(address(payload, 16)),
            destination: destination(packet, client),
            flags: word(payload, 8) as u16,
            hops: payload[3],
            secs: (word(payload, 8) >> 16) as u16,
            is_ciaddr_set: !address(payload, 12).is_unspecified(),
            siaddr: address(payload, 20),
            giaddr: address(payload, 24),
            hardware: [&payload[1..3], &payload[28..44]].concat(),
            sname: text(&payload[44..108], options.get(&52), 2),
            file: text(&payload[108..236], options.get(&52), 1),
            options,
            len: payload.len(),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            0 => "BOOTREPLY",
            2 => "OFFER",
            5 => "ACK",
            6 => "NAK",
            _ => "something else",
        }
    }
}

impl Answer {
    /// Everything that is compared, by name.
    fn fields(&self) -> Vec<(String, String)> {
        let mut fields: Vec<_> = [
            ("from", self.from.clone()),
            ("destination", self.destination.clone()),
            ("flags", format!("{:#06x}", self.flags)),
            ("hops", self.hops.to_string()),
            ("secs", self.secs.to_string()),
            ("ciaddr", self.is_ciaddr_set.to_string()),
            ("siaddr", self.siaddr.to_string()),
            ("giaddr", self.giaddr.to_string()),
            ("hardware", format!("{:02x?}", self.hardware)),
            ("sname", self.sname.clone()),
            ("file", self.file.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        fields.extend((0..=255u8).map(|code| {
            let value = format!("{:02x?}", self.options.get(&code));
            (format!("option {code}"), value)
        }));
        fields
    }
}

/// A field that holds options holds no name.
fn text(field: &[u8], overload: Option<&Vec<u8>>, bit: u8) -> String {
    if overload.is_some_and(|it| it[0] & bit != 0) {
        return String::new();
    }
    let octets = field.iter().take_while(|octet| **octet != 0);
    octets.map(|octet| char::from(*octet)).collect()
}

/// The pool that an address is of; the address itself if it is of none.
fn pool(yiaddr: Ipv4Addr) -> String {
    match yiaddr.octets() {
        [0, 0, 0, 0] => "none".to_owned(),
        [10, 9, 16, 200] => yiaddr.to_string(),
        [10, subnet @ (6 | 8 | 9 | 20 | 21), 16..=31, _] => format!("pool of 10.{subnet}"),
        [10, 9, 32..=47, _] => "voice pool".to_owned(),
        _ => yiaddr.to_string(),
    }
}

fn destination(packet: &Packet, client: &Client) -> String {
    let payload = &packet.payload;
    let IpAddr::V4(ip) = packet.destination.ip() else {
        return "another family".to_owned();
    };
    let ip = match ip {
        Ipv4Addr::BROADCAST => "everybody",
        ip if Some(ip) == client.network.giaddr() => "giaddr",
        ip if ip == address(payload, 16) => "yiaddr",
        ip if ip == address(payload, 12) => "ciaddr",
        _ => "elsewhere",
    };
    let station = match packet.destination_mac {
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => "all stations",
        mac if client.network == Network::Direct && mac == client.mac() => "the client",
        [2, 0, 0, 0, 0xff, 1] => "the relay agent",
        mac if mac == payload[28..34] => "chaddr",
        _ => "another station",
    };
    format!("{ip}:{} at {station}", packet.destination.port())
}

pub(crate) fn word(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(octets[at..at + 4].try_into().unwrap())
}

pub(crate) fn address(octets: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(word(octets, at))
}

pub(crate) fn kind(packet: &Packet) -> u8 {
    let options = options(&packet.payload);
    let data = options.get(&53).and_then(|data| data.first());
    data.copied().unwrap_or(0)
}

/// All options, those in `file` and `sname` too; several with one code are one (RFC 3396).
fn options(payload: &[u8]) -> BTreeMap<u8, Vec<u8>> {
    let mut found = BTreeMap::new();
    walk(&payload[240..], &mut found);
    let overload = found.get(&52).map_or(0, |data: &Vec<u8>| data[0]);
    if overload & 1 != 0 {
        walk(&payload[108..236], &mut found);
    }
    if overload & 2 != 0 {
        walk(&payload[44..108], &mut found);
    }
    found
}

fn walk(mut rest: &[u8], found: &mut BTreeMap<u8, Vec<u8>>) {
    while let [code, after @ ..] = rest {
        match (code, after) {
            (0, _) => rest = after,
            (255, _) | (_, []) => return,
            (_, [length, behind @ ..]) => {
                let (data, behind) = behind.split_at(usize::from(*length));
                found.entry(*code).or_default().extend(data);
                rest = behind;
            }
        }
    }
}

/// In which way two answers differ: in few words, and what each says there.
pub(crate) fn difference(kea: Option<&Answer>, ours: Option<&Answer>) -> (String, String) {
    let name = |answer: Option<&Answer>| answer.map_or("silence", Answer::name);
    let names = format!("{} / {}", name(kea), name(ours));
    let (Some(kea), Some(ours)) = (kea, ours) else {
        return (names, String::new());
    };
    if kea.kind != ours.kind {
        return (names, String::new());
    }
    let (of_kea, of_ours) = (kea.fields(), ours.fields());
    let of_all = of_kea.iter().zip(&of_ours);
    let differing: Vec<_> = of_all.filter(|(kea, ours)| kea != ours).collect();
    let words: Vec<&str> = differing.iter().map(|(kea, _)| &*kea.0).collect();
    let values = differing
        .iter()
        .map(|(kea, ours)| format!("\n    {}: Kea {}, xdhcpd {}", kea.0, kea.1, ours.1));
    (format!("{names}: {}", words.join(", ")), values.collect())
}
