//! DHCPv6 messages of transcripts: words to octets and octets to words.

use super::line::{Grammar, Key, Level, Line};
use super::scene::Scene;
use super::words::{self, Complaint, Form};
use crate::packet::Packet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

const CLIENT_PORT: u16 = 546;
const SERVER_PORT: u16 = 547;
const RELAY_FORWARD: u8 = 12;
const RELAY_REPLY: u8 = 13;
const RELAY_MESSAGE: u16 = 9;
const ALL_RELAYS_AND_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// Names of the message types, from 1.
const TYPES: [&str; 11] = [
    "SOLICIT",
    "ADVERTISE",
    "REQUEST",
    "CONFIRM",
    "RENEW",
    "REBIND",
    "REPLY",
    "RELEASE",
    "DECLINE",
    "RECONFIGURE",
    "INFORMATION-REQUEST",
];

/// All words of a DHCPv6 message.
pub const GRAMMAR: Grammar = Grammar {
    keys: &[
        Key::field("from", Form::Endpoint),
        Key::field("to", Form::Endpoint),
        Key::field("mac", Form::Mac),
        Key::field("vlan", Form::U16),
        Key::field("xid", Form::U32),
        Key::field("raw", Form::Octets),
        Key::field("cut", Form::U16),
        Key::option("client-id", 1, Form::Duid),
        Key::option("server-id", 2, Form::Duid),
        Key::option("oro", 6, Form::Codes16),
        Key::option("preference", 7, Form::U8),
        Key::option("elapsed", 8, Form::U16),
        Key::option("auth", 11, Form::Octets),
        Key::option("status", 13, Form::Status),
        Key::option("rapid-commit", 14, Form::Flag),
        Key::option("user-class", 15, Form::Octets),
        Key::option("vendor-class", 16, Form::Octets),
        Key::option("interface-id", 18, Form::Octets),
        Key::option("reconfigure-accept", 20, Form::Flag),
        Key::option("dns-servers", 23, Form::V6s),
        Key::option("domain-search", 24, Form::Names),
        Key::option("sntp-servers", 31, Form::V6s),
        Key::option("information-refresh-time", 32, Form::U32),
        Key::option("sol-max-rt", 82, Form::U32),
        Key::option("inf-max-rt", 83, Form::U32),
        Key::option("ia-na", 3, Form::U32).opening(Level::Ia),
        Key::option("ia-ta", 4, Form::U32).opening(Level::Ia),
        Key::option("ia-pd", 25, Form::U32).opening(Level::Ia),
        Key::field("t1", Form::U32).at(Level::Ia),
        Key::field("t2", Form::U32).at(Level::Ia),
        Key::option("status", 13, Form::Status).at(Level::Ia),
        Key::option("address", 5, Form::V6)
            .at(Level::Ia)
            .opening(Level::Lease),
        Key::option("prefix", 26, Form::Prefix)
            .at(Level::Ia)
            .opening(Level::Lease),
        Key::field("preferred", Form::U32).at(Level::Lease),
        Key::field("valid", Form::U32).at(Level::Lease),
        Key::option("status", 13, Form::Status).at(Level::Lease),
        Key::field("relay", Form::V6).opening(Level::Relay),
        Key::field("peer", Form::V6).at(Level::Relay),
        Key::field("hops", Form::U8).at(Level::Relay),
        Key::option("interface-id", 18, Form::Octets).at(Level::Relay),
        Key::option("remote-id", 37, Form::Octets).at(Level::Relay),
        Key::option("subscriber-id", 38, Form::Octets).at(Level::Relay),
        Key::option("link-layer-address", 79, Form::Octets).at(Level::Relay),
    ],
};

/// The frame of a line that a client sends, through the relay agents of the line, outermost first.
///
/// What the line does not say is as an ordinary client has it: a multicast from the link-local address
/// of its DUID's Ethernet address; relayed, a unicast by the outermost relay agent. Nothing is added to
/// the message, not even a client identifier.
///
/// # Errors
/// A message type that does not exist, or a value of the wrong form.
pub fn encode(line: &Line, scene: &Scene) -> Result<Packet, Complaint> {
    let mac = client_mac(line);
    let client = link_local(mac);
    let mut payload = encode_message(line, scene)?;
    let relays: Vec<(String, Ipv6Addr)> = line
        .inside("")
        .filter(|field| field.key == "relay")
        .filter_map(|field| Some((format!("/relay {}", field.value), field.value.parse().ok()?)))
        .collect();
    let mut sender = client;
    for (hops, (scope, link)) in relays.iter().rev().enumerate() {
        payload = encode_relay(line, scope, *link, sender, hops, &payload)?;
        // A relay agent that leaves the link address empty is known by its link-local address.
        sender = if link.is_unspecified() {
            link_local(scene.relay_mac())
        } else {
            *link
        };
    }
    if let Some(cut) = line.value("cut").and_then(words::number) {
        payload.truncate(cut);
    }
    let relayed = !relays.is_empty();
    let port = if relayed { SERVER_PORT } else { CLIENT_PORT };
    let source = line
        .value("from")
        .map_or(Ok((sender.into(), port)), |at| words::endpoint(at, port))?;
    let destination = if relayed {
        scene.server_v6()
    } else {
        ALL_RELAYS_AND_SERVERS
    };
    let destination = line
        .value("to")
        .map_or(Ok((destination.into(), SERVER_PORT)), |at| {
            words::endpoint(at, SERVER_PORT)
        })?;
    let source_mac = if relayed { scene.relay_mac() } else { mac };
    Ok(Packet {
        source_mac: line.value("mac").and_then(words::mac).unwrap_or(source_mac),
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

fn encode_message(line: &Line, scene: &Scene) -> Result<Vec<u8>, Complaint> {
    let place = TYPES
        .iter()
        .position(|name| *name == line.kind)
        .map(|place| place as u8 + 1);
    let number = place.or_else(|| words::number(line.kind.strip_prefix("TYPE-")?));
    let number = number.ok_or_else(|| format!("`{}` is no message type", line.kind))?;
    let xid = line
        .value("xid")
        .and_then(words::number)
        .unwrap_or(scene.sequence);
    let [_, xid @ ..] = xid.to_be_bytes();
    let mut message = vec![number];
    message.extend(xid);
    encode_options(line, "", Level::Message, &mut message)?;
    if let Some(raw) = line.value("raw") {
        message.extend(words::octets(raw).unwrap_or_default());
    }
    Ok(message)
}

fn encode_options(
    line: &Line,
    scope: &str,
    level: Level,
    into: &mut Vec<u8>,
) -> Result<(), Complaint> {
    for field in line.inside(scope) {
        let Some(key) = GRAMMAR.find(&field.key, level) else {
            let code = field.key.strip_prefix("option-").and_then(words::number);
            let code: u16 = code.ok_or_else(|| format!("`{}` is no option", field.key))?;
            push_option(code, &words::octets(&field.value).unwrap_or_default(), into);
            continue;
        };
        let mut data = key.form.encode(&field.value)?;
        let inside = format!("{scope}/{} {}", field.key, field.value);
        let number = |name: &str| {
            line.value_in(&inside, name)
                .and_then(words::number)
                .unwrap_or(0u32)
                .to_be_bytes()
        };
        match key.name {
            _ if key.code == 0 => continue,
            "ia-na" | "ia-pd" => data.extend([number("t1"), number("t2")].concat()),
            "address" => data.extend([number("preferred"), number("valid")].concat()),
            "prefix" => {
                data = [number("preferred"), number("valid")]
                    .concat()
                    .into_iter()
                    .chain(data)
                    .collect()
            }
            _ => {}
        }
        if let Some(level) = key.opens {
            encode_options(line, &inside, level, &mut data)?;
        }
        push_option(key.code, &data, into);
    }
    Ok(())
}

fn encode_relay(
    line: &Line,
    scope: &str,
    link: Ipv6Addr,
    sender: Ipv6Addr,
    hops: usize,
    message: &[u8],
) -> Result<Vec<u8>, Complaint> {
    let hops = line
        .value_in(scope, "hops")
        .and_then(words::number)
        .unwrap_or(hops as u8);
    let peer = line
        .value_in(scope, "peer")
        .and_then(|peer| peer.parse().ok())
        .unwrap_or(sender);
    let mut payload = vec![RELAY_FORWARD, hops];
    payload.extend(link.octets());
    payload.extend(peer.octets());
    encode_options(line, scope, Level::Relay, &mut payload)?;
    push_option(RELAY_MESSAGE, message, &mut payload);
    Ok(payload)
}

fn push_option(code: u16, data: &[u8], into: &mut Vec<u8>) {
    into.extend(code.to_be_bytes());
    into.extend((data.len() as u16).to_be_bytes());
    into.extend(data);
}

/// The line that says what a packet of the server says, and all that every answer must have: the
/// transaction of the request, the relay agents of the request, the server's DUID, the client's DUID.
///
/// # Errors
/// What no answer may look like, in a sentence.
pub fn decode(answer: &Packet, request: &Packet, scene: &Scene) -> Result<Line, Complaint> {
    let mut line = Line::default();
    let source = match answer.destination.ip() {
        IpAddr::V6(client) if client.is_unicast_link_local() => scene.link_local(),
        _ => scene.server_v6(),
    };
    if answer.source != SocketAddr::new(source.into(), SERVER_PORT) {
        line.push("from", answer.source.to_string());
    }
    line.push("to", answer.destination.to_string());
    line.push("mac", words::hex(&answer.destination_mac));
    if let Some((_, tag)) = answer.tags.first() {
        line.push("vlan", tag.to_string());
    }
    let mut message = answer.payload.as_slice();
    let mut asked = request.payload.as_slice();
    while let Some(&RELAY_REPLY) = message.first() {
        (message, asked) = decode_relay(message, asked, &mut line)?;
    }
    if asked.first() == Some(&RELAY_FORWARD) {
        return Err("a relay agent of the request has no Relay-reply of its own".to_owned());
    }
    let (header, options) = message
        .split_first_chunk::<4>()
        .ok_or("the answer is too short")?;
    if Some(&header[1..]) != asked.get(1..4) {
        return Err("the answer's transaction is not the request's".to_owned());
    }
    line.kind = type_name(header[0]);
    decode_options(options, "", Level::Message, &mut line)?;
    let asked_options = read_options(asked.get(4..).unwrap_or_default()).unwrap_or_default();
    let client = asked_options
        .iter()
        .find(|(code, _)| *code == 1)
        .map(|(_, duid)| words::hex(duid));
    // RFC 8415 section 16: an answer carries the server's identifier, and the client's if it had one.
    if line.value("server-id") != Some(&words::hex(scene.server_duid())) {
        return Err("the answer does not carry the server's DUID".to_owned());
    }
    if line.value("client-id") != client.as_deref() {
        return Err("the answer's client identifier is not the request's".to_owned());
    }
    line.fields
        .retain(|field| field.key != "server-id" && field.key != "client-id");
    Ok(line)
}

/// The messages inside a Relay-reply and inside the Relay-forward that it answers.
fn decode_relay<'a>(
    answer: &'a [u8],
    asked: &'a [u8],
    line: &mut Line,
) -> Result<(&'a [u8], &'a [u8]), Complaint> {
    let too_short = "a Relay-reply is too short";
    let link: [u8; 16] = answer
        .get(2..18)
        .and_then(|link| link.try_into().ok())
        .ok_or(too_short)?;
    let peer: [u8; 16] = answer
        .get(18..34)
        .and_then(|peer| peer.try_into().ok())
        .ok_or(too_short)?;
    // RFC 8415 section 19.3: hop count, link address and peer address are those of the Relay-forward.
    if asked.first() != Some(&RELAY_FORWARD) || answer.get(1..34) != asked.get(1..34) {
        return Err("a Relay-reply's header is not that of its Relay-forward".to_owned());
    }
    let scope = format!("/relay {}", Ipv6Addr::from(link));
    line.push("relay", Ipv6Addr::from(link).to_string());
    line.push_in(&scope, "peer", Ipv6Addr::from(peer).to_string());
    let mut message = None;
    for (code, data) in read_options(&answer[34..])? {
        match code {
            RELAY_MESSAGE => message = Some(data),
            code => {
                let (name, form) = GRAMMAR.option(code, Level::Relay);
                line.push_in(&scope, &name, form.render(data));
            }
        }
    }
    let asked = read_options(asked.get(34..).unwrap_or_default())?;
    let asked = asked
        .iter()
        .find(|(code, _)| *code == RELAY_MESSAGE)
        .map(|(_, data)| *data);
    Ok((
        message.ok_or("a Relay-reply has no message")?,
        asked.unwrap_or_default(),
    ))
}

fn decode_options(
    octets: &[u8],
    scope: &str,
    level: Level,
    line: &mut Line,
) -> Result<(), Complaint> {
    for (code, data) in read_options(octets)? {
        let too_short = || format!("option {code} is too short");
        let (name, form) = GRAMMAR.option(code, level);
        // What stands in front of the options inside, and the numbers in it.
        let (own, numbers, inside): (&[u8], &[(&str, usize)], usize) = match name.as_str() {
            "ia-na" | "ia-pd" => (
                data.get(..4).ok_or_else(too_short)?,
                &[("t1", 4), ("t2", 8)],
                12,
            ),
            "ia-ta" => (data.get(..4).ok_or_else(too_short)?, &[], 4),
            "address" => (
                data.get(..16).ok_or_else(too_short)?,
                &[("preferred", 16), ("valid", 20)],
                24,
            ),
            "prefix" => (
                data.get(8..25).ok_or_else(too_short)?,
                &[("preferred", 0), ("valid", 4)],
                25,
            ),
            // The text after a status code is for people and may change.
            "status" => (data.get(..2).ok_or_else(too_short)?, &[], data.len()),
            _ => (data, &[], data.len()),
        };
        let value = form.render(own);
        let scope_inside = format!("{scope}/{name} {value}");
        line.push_in(scope, &name, value);
        for (number, at) in numbers {
            let octets = data.get(*at..at + 4).ok_or_else(too_short)?;
            line.push_in(&scope_inside, number, Form::U32.render(octets));
        }
        if let Some(level) = GRAMMAR.find(&name, level).and_then(|key| key.opens) {
            decode_options(
                data.get(inside..).ok_or_else(too_short)?,
                &scope_inside,
                level,
                line,
            )?;
        }
    }
    Ok(())
}

fn read_options(mut octets: &[u8]) -> Result<Vec<(u16, &[u8])>, Complaint> {
    let mut options = Vec::new();
    while let [a, b, c, d, rest @ ..] = octets {
        let length = usize::from(u16::from_be_bytes([*c, *d]));
        let (data, rest) = rest
            .split_at_checked(length)
            .ok_or("an option is cut short")?;
        options.push((u16::from_be_bytes([*a, *b]), data));
        octets = rest;
    }
    if octets.is_empty() {
        Ok(options)
    } else {
        Err("octets follow the last option".to_owned())
    }
}

/// The Ethernet address inside the client's DUID, if that has one, else client 1's.
fn client_mac(line: &Line) -> [u8; 6] {
    let duid = line
        .value("client-id")
        .and_then(words::octets)
        .unwrap_or_default();
    match duid.as_slice() {
        [0, 3, 0, 1, mac @ ..] => mac.try_into().unwrap_or([2, 0, 0, 0, 0, 1]),
        _ => [2, 0, 0, 0, 0, 1],
    }
}

/// The link-local address that is made of an Ethernet address (RFC 4291 appendix A).
pub fn link_local([a, b, c, d, e, f]: [u8; 6]) -> Ipv6Addr {
    Ipv6Addr::from([
        0xfe,
        0x80,
        0,
        0,
        0,
        0,
        0,
        0,
        a ^ 2,
        b,
        c,
        0xff,
        0xfe,
        d,
        e,
        f,
    ])
}

fn type_name(number: u8) -> String {
    let name = TYPES.get(usize::from(number).wrapping_sub(1));
    name.map_or_else(|| format!("TYPE-{number}"), |name| (*name).to_owned())
}
