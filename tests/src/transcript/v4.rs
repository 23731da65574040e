//! DHCPv4 messages of transcripts: words to octets and octets to words.

use super::line::{Grammar, Key, Level, Line};
use super::scene::Scene;
use super::words::{self, Complaint, Form};
use crate::packet::Packet;
use std::net::{Ipv4Addr, SocketAddr};

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const HEADER_LEN: usize = 240;
const MESSAGE_TYPE: u8 = 53;
const OVERLOAD: u8 = 52;
const RELAY_AGENT: u8 = 82;
const PAD: u8 = 0;
const END: u8 = 255;

/// Names of the message types, from 1.
const TYPES: [&str; 13] = [
    "DISCOVER",
    "OFFER",
    "REQUEST",
    "DECLINE",
    "ACK",
    "NAK",
    "RELEASE",
    "INFORM",
    "FORCERENEW",
    "LEASEQUERY",
    "LEASEUNASSIGNED",
    "LEASEUNKNOWN",
    "LEASEACTIVE",
];

/// All words of a DHCPv4 message.
pub const GRAMMAR: Grammar = Grammar {
    keys: &[
        Key::field("from", Form::Endpoint),
        Key::field("to", Form::Endpoint),
        Key::field("mac", Form::Mac),
        Key::field("vlan", Form::U16),
        Key::field("op", Form::U8),
        Key::field("htype", Form::U8),
        Key::field("hlen", Form::U8),
        Key::field("hops", Form::U8),
        Key::field("xid", Form::U32),
        Key::field("secs", Form::U16),
        Key::field("flags", Form::U16),
        Key::field("broadcast", Form::Flag),
        Key::field("ciaddr", Form::V4),
        Key::field("yiaddr", Form::V4),
        Key::field("siaddr", Form::V4),
        Key::field("giaddr", Form::V4),
        Key::field("chaddr", Form::Mac),
        Key::field("sname", Form::Text),
        Key::field("file", Form::Text),
        Key::field("cookie", Form::Octets),
        Key::field("raw", Form::Octets),
        Key::field("cut", Form::U16),
        Key::field("endless", Form::Flag),
        Key::option("subnet-mask", 1, Form::V4),
        Key::option("routers", 3, Form::V4s),
        Key::option("dns-servers", 6, Form::V4s),
        Key::option("hostname", 12, Form::Text),
        Key::option("domain-name", 15, Form::Text),
        Key::option("mtu", 26, Form::U16),
        Key::option("broadcast-address", 28, Form::V4),
        Key::option("ntp-servers", 42, Form::V4s),
        Key::option("requested", 50, Form::V4),
        Key::option("lifetime", 51, Form::U32),
        Key::option("overload", 52, Form::U8),
        Key::option("message-type", 53, Form::U8),
        Key::option("server-id", 54, Form::V4),
        Key::option("parameters", 55, Form::Codes8),
        Key::option("message", 56, Form::Text),
        Key::option("max-size", 57, Form::U16),
        Key::option("t1", 58, Form::U32),
        Key::option("t2", 59, Form::U32),
        Key::option("vendor-class", 60, Form::Text),
        Key::option("client-id", 61, Form::Octets),
        Key::option("tftp-server", 66, Form::Text),
        Key::option("boot-file", 67, Form::Text),
        Key::option("user-class", 77, Form::Octets),
        Key::option("rapid-commit", 80, Form::Flag),
        Key::option("relay-agent", 82, Form::Octets),
        Key::option("last-transaction", 91, Form::U32),
        Key::option("associated", 92, Form::V4s),
        Key::option("authentication", 90, Form::Octets),
        Key::option("subnet-selection", 118, Form::V4),
        Key::option("domain-search", 119, Form::Names),
        Key::option("classless-routes", 121, Form::Octets),
        Key::option("forcerenew-capable", 145, Form::Octets),
        Key::option("vpn-option", 221, Form::Octets),
        // Sub-options of option 82 (RFC 3046, 3527, 5107 and others), together one option.
        Key::option("circuit-id", 1, Form::Octets).at(Level::Relay),
        Key::option("remote-id", 2, Form::Octets).at(Level::Relay),
        Key::option("subscriber-id", 6, Form::Octets).at(Level::Relay),
        Key::option("link-selection", 5, Form::V4).at(Level::Relay),
        Key::option("subscriber-id", 6, Form::Octets).at(Level::Relay),
        Key::option("authentication", 8, Form::Octets).at(Level::Relay),
        Key::option("agent-vendor", 9, Form::Octets).at(Level::Relay),
        Key::option("relay-flags", 10, Form::U8).at(Level::Relay),
        Key::option("server-override", 11, Form::V4).at(Level::Relay),
        Key::option("relay-id", 12, Form::Octets).at(Level::Relay),
        Key::option("relay-port", 19, Form::Flag).at(Level::Relay),
        Key::option("vpn", 151, Form::Octets).at(Level::Relay),
        Key::option("vpn-control", 152, Form::Flag).at(Level::Relay),
        Key::field("agent", Form::Flag).opening(Level::Relay),
    ],
};

/// The frame of a line that a client or relay agent sends.
///
/// What the line does not say is as an ordinary client has it: Ethernet, client 1, a broadcast from
/// 0.0.0.0; with `ciaddr` a unicast; with `giaddr` a unicast by the relay agent.
///
/// # Errors
/// A message type that does not exist, or two fields that contradict each other.
pub fn encode(line: &Line, scene: &Scene) -> Result<Packet, Complaint> {
    let value = |key: &str, form: Form, or: &str| form.encode(line.value(key).unwrap_or(or));
    // RFC 4388 section 6.2: a leasequery is about a hardware address only if it says so.
    let is_named = line.kind != "LEASEQUERY" || line.has("chaddr");
    let (htype, hlen) = if is_named { ("1", "6") } else { ("0", "0") };
    let chaddr = match is_named {
        true => value("chaddr", Form::Mac, "1")?,
        false => Vec::new(),
    };
    let giaddr = value("giaddr", Form::V4, "0.0.0.0")?;
    let ciaddr = value("ciaddr", Form::V4, "0.0.0.0")?;
    let mut payload = Vec::new();
    payload.extend(value("op", Form::U8, "1")?);
    payload.extend(value("htype", Form::U8, htype)?);
    payload.extend(value("hlen", Form::U8, hlen)?);
    payload.extend(value(
        "hops",
        Form::U8,
        if giaddr == [0; 4] { "0" } else { "1" },
    )?);
    payload.extend(value("xid", Form::U32, &scene.sequence.to_string())?);
    payload.extend(value("secs", Form::U16, "0")?);
    payload.extend(value(
        "flags",
        Form::U16,
        if line.has("broadcast") { "0x8000" } else { "0" },
    )?);
    payload.extend(&ciaddr);
    payload.extend(value("yiaddr", Form::V4, "0.0.0.0")?);
    payload.extend(value("siaddr", Form::V4, "0.0.0.0")?);
    payload.extend(&giaddr);
    payload.extend(padded(&chaddr, 16));
    payload.extend(padded(&value("sname", Form::Text, "")?, 64));
    payload.extend(padded(&value("file", Form::Text, "")?, 128));
    payload.extend(value("cookie", Form::Octets, &words::hex(&COOKIE))?);
    encode_options(line, &mut payload)?;
    payload.extend(value("raw", Form::Octets, "-")?);
    if !line.has("endless") {
        payload.push(END);
    }
    if payload.len() < 300 {
        payload.resize(300, PAD);
    }
    if let Some(cut) = line.value("cut").and_then(words::number) {
        payload.truncate(cut);
    }
    let relayed = giaddr != [0; 4];
    let (source, port, destination) = match (relayed, ciaddr != [0; 4]) {
        (true, _) => (v4(&giaddr), SERVER_PORT, scene.server_v4()),
        (false, true) => (v4(&ciaddr), CLIENT_PORT, scene.server_v4()),
        (false, false) => (Ipv4Addr::UNSPECIFIED, CLIENT_PORT, Ipv4Addr::BROADCAST),
    };
    let source = line
        .value("from")
        .map_or(Ok((source.into(), port)), |at| words::endpoint(at, port))?;
    let destination = line
        .value("to")
        .map_or(Ok((destination.into(), SERVER_PORT)), |at| {
            words::endpoint(at, SERVER_PORT)
        })?;
    let relay_mac = words::hex(&scene.relay_mac());
    let mac = line
        .value("mac")
        .unwrap_or(if relayed { &relay_mac } else { "-" });
    Ok(Packet {
        source_mac: words::mac(mac)
            .or_else(|| chaddr.as_slice().try_into().ok())
            .unwrap_or([2, 0, 0, 0, 0, 1]),
        destination_mac: scene.destination_mac(destination.0),
        tags: line
            .value("vlan")
            .and_then(words::number)
            .map(|id| (0x8100, id))
            .into_iter()
            .collect(),
        source: SocketAddr::new(source.0, source.1),
        destination: SocketAddr::new(destination.0, destination.1),
        payload,
    })
}

fn encode_options(line: &Line, payload: &mut Vec<u8>) -> Result<(), Complaint> {
    if line.kind != "BOOTP" {
        let place = TYPES
            .iter()
            .position(|name| *name == line.kind)
            .map(|place| place as u8 + 1);
        let number = place.or_else(|| words::number(line.kind.strip_prefix("TYPE-")?));
        let number = number.ok_or_else(|| format!("`{}` is no message type", line.kind))?;
        payload.extend([MESSAGE_TYPE, 1, number]);
    }
    for field in line.inside("") {
        let agent = field.key == "agent";
        let (code, data) = match GRAMMAR.find(&field.key, Level::Message) {
            Some(key) if key.code == 0 && !agent => continue,
            Some(key) if !agent => (
                key.code as u8,
                key.form.encode(field.value.trim_matches('"'))?,
            ),
            Some(_) => (RELAY_AGENT, encode_suboptions(line)?),
            None => {
                let code = field.key.strip_prefix("option-").and_then(words::number);
                let code = code.ok_or_else(|| format!("`{}` is no option", field.key))?;
                (code, words::octets(&field.value).unwrap_or_default())
            }
        };
        // RFC 3396 section 5: more than 255 octets go into several options of the same code.
        let mut parts: Vec<&[u8]> = data.chunks(255).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        for part in parts {
            payload.extend([code, part.len() as u8]);
            payload.extend(part);
        }
    }
    Ok(())
}

fn encode_suboptions(line: &Line) -> Result<Vec<u8>, Complaint> {
    let mut octets = Vec::new();
    for field in line.inside("/agent ") {
        let key = GRAMMAR
            .find(&field.key, Level::Relay)
            .ok_or("no sub-option of option 82")?;
        let data = key.form.encode(&field.value)?;
        octets.extend([key.code as u8, data.len() as u8]);
        octets.extend(data);
    }
    Ok(octets)
}

/// The line that says what a packet of the server says, and all that every answer must have: header
/// fields echoed, cookie, message type, an end, no unasked octets after it.
///
/// # Errors
/// What no answer may look like, in a sentence.
pub fn decode(answer: &Packet, request: &Packet, scene: &Scene) -> Result<Line, Complaint> {
    let payload = &answer.payload;
    let asked = &request.payload;
    let header = payload
        .get(..HEADER_LEN)
        .ok_or("the answer is shorter than its header")?;
    if header[0] != 2 {
        return Err(format!("the answer's op is {}", header[0]));
    }
    let options = read_options(payload)?;
    let is_of_lease = options
        .first()
        .is_some_and(|(_, kind)| matches!(kind.as_slice(), [11..=13]));
    // RFC 2131 section 4.3.1 table 3: what every answer takes from the request.
    for (name, range) in [
        ("htype and hlen", 1..3),
        ("xid", 4..8),
        ("giaddr", 24..28),
        ("chaddr", 28..44),
    ] {
        if header[range.clone()] != asked[range.clone()]
            && !(is_of_lease && [1, 28].contains(&range.start))
        {
            return Err(format!("the answer's {name} is not the request's"));
        }
    }
    if header[3] != 0 || header[8..10] != [0, 0] {
        return Err("the answer's hops and secs are not zero".to_owned());
    }
    // The first bit is the broadcast bit, which a relayed NAK sets (section 4.3.2).
    if (header[10] | 0x80, header[11]) != (asked[10] | 0x80, asked[11]) {
        return Err("the answer's flags are not the request's".to_owned());
    }
    if header[236..240] != COOKIE {
        return Err("the answer has no magic cookie".to_owned());
    }
    let kind = match options.first() {
        Some((MESSAGE_TYPE, kind)) => match kind.as_slice() {
            [kind] => TYPES
                .get(usize::from(*kind).wrapping_sub(1))
                .map_or_else(|| format!("TYPE-{kind}"), |name| (*name).to_owned()),
            _ => return Err("the answer's message type is not one octet".to_owned()),
        },
        // RFC 1534 section 2: an answer without a message type is BOOTP's, which is 300 octets long.
        _ if payload.len() == 300 => "BOOTREPLY".to_owned(),
        _ => return Err("the answer's first option is not its message type".to_owned()),
    };
    let mut line = Line {
        kind,
        ..Line::default()
    };
    if answer.source != SocketAddr::new(scene.server_v4().into(), SERVER_PORT) {
        line.push("from", answer.source.to_string());
    }
    line.push("to", answer.destination.to_string());
    line.push("mac", words::hex(&answer.destination_mac));
    if let Some((_, tag)) = answer.tags.first() {
        line.push("vlan", tag.to_string());
    }
    decode_header(header, &mut line);
    if is_of_lease {
        // RFC 4388 section 6.4.2: whose lease it is.
        let length = usize::from(header[2]).min(16);
        if length > 0 {
            line.push("htype", header[1].to_string());
            line.push("chaddr", words::hex(&header[28..28 + length]));
        }
    }
    for (code, data) in options.iter().filter(|(code, _)| *code != MESSAGE_TYPE) {
        if *code == RELAY_AGENT && decode_suboptions(data, &mut line).is_some() {
            continue;
        }
        let (name, form) = GRAMMAR.option(u16::from(*code), Level::Message);
        line.push(&name, form.render(data));
    }
    Ok(line)
}

/// Sub-options under their names; `None`, and nothing written, if one of them has no name.
fn decode_suboptions(mut data: &[u8], line: &mut Line) -> Option<()> {
    let mut fields = Vec::new();
    while let [code, length, rest @ ..] = data {
        let (value, rest) = rest.split_at_checked(usize::from(*length))?;
        let key = GRAMMAR
            .keys
            .iter()
            .find(|key| key.level == Level::Relay && key.code == u16::from(*code))?;
        fields.push((key.name, key.form.render(value)));
        data = rest;
    }
    line.push("agent", String::new());
    for (name, value) in fields {
        line.push_in("/agent ", name, value);
    }
    data.is_empty().then_some(())
}

fn decode_header(header: &[u8], line: &mut Line) {
    if header[10] & 0x80 != 0 {
        line.push("broadcast", String::new());
    }
    for (name, at) in [
        ("ciaddr", 12),
        ("yiaddr", 16),
        ("siaddr", 20),
        ("giaddr", 24),
    ] {
        let address = v4(&header[at..at + 4]);
        if !address.is_unspecified() {
            line.push(name, address.to_string());
        }
    }
    for (name, range) in [("sname", 44..108), ("file", 108..236)] {
        let text: Vec<u8> = header[range]
            .iter()
            .copied()
            .take_while(|octet| *octet != 0)
            .collect();
        if !text.is_empty() {
            line.push(name, Form::Text.render(&text));
        }
    }
}

/// Options in the order of their first part, parts of one code put together (RFC 3396), those of
/// overloaded fields after the rest (RFC 2132 section 9.3).
fn read_options(payload: &[u8]) -> Result<Vec<(u8, Vec<u8>)>, Complaint> {
    let mut options = Vec::new();
    read_area(&payload[HEADER_LEN..], &mut options)?;
    // RFC 3046 section 2.2 [relay-option-last]
    let agent = options.iter().position(|(code, _)| *code == RELAY_AGENT);
    if agent.is_some_and(|place| place + 1 < options.len()) {
        return Err("the relay agent's option is not the last one".to_owned());
    }
    let in_field = options.len();
    let overload = options
        .iter()
        .find(|(code, _)| *code == OVERLOAD)
        .and_then(|(_, data)| data.first());
    let overload = overload.copied().unwrap_or(0);
    if overload & 1 != 0 {
        read_area(&payload[108..236], &mut options)?;
    }
    if overload & 2 != 0 {
        read_area(&payload[44..108], &mut options)?;
    }
    let overloaded = options.get(in_field..).unwrap_or_default();
    if overloaded.iter().any(|(code, _)| *code == RELAY_AGENT) {
        return Err("the relay agent's option is in an overloaded field".to_owned());
    }
    Ok(options)
}

fn read_area(mut area: &[u8], options: &mut Vec<(u8, Vec<u8>)>) -> Result<(), Complaint> {
    loop {
        match area {
            [PAD, rest @ ..] => area = rest,
            [END, rest @ ..] if rest.iter().all(|octet| *octet == PAD) => return Ok(()),
            [END, ..] => {
                return Err("octets other than zero follow the end of the options".to_owned());
            }
            [code, length, rest @ ..] if rest.len() >= usize::from(*length) => {
                let (data, rest) = rest.split_at(usize::from(*length));
                match options.iter_mut().find(|(known, _)| known == code) {
                    Some((_, known)) => known.extend(data),
                    None => options.push((*code, data.to_vec())),
                }
                area = rest;
            }
            [] => return Err("the options do not end".to_owned()),
            [code, ..] => return Err(format!("option {code} is cut short")),
        }
    }
}

fn v4(octets: &[u8]) -> Ipv4Addr {
    octets
        .try_into()
        .map(|octets: [u8; 4]| Ipv4Addr::from(octets))
        .unwrap_or(Ipv4Addr::UNSPECIFIED)
}

fn padded(octets: &[u8], length: usize) -> Vec<u8> {
    let mut padded = octets.to_vec();
    padded.resize(length, 0);
    padded
}
