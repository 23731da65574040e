//! What does a DHCPv6 client say, and is it answered rightly?
//!
//! As in [`crate::v4`], messages are read here apart from dhcp-wire's views on purpose.

use crate::check::{Objection, Violation};
use crate::client::{Held, Identity};
use crate::exchange::Step;
use crate::relay::Relay;
use crate::v4::Granted;
use crate::writer::Writer;
use dhcp_wire::id::Duid;
use std::net::{IpAddr, Ipv6Addr};

/// Nested Relay-forward messages at most (RFC 9915 section 7.6, HOP_COUNT_LIMIT).
pub const RELAY_DEPTH_MAX: u8 = 8;

const ADVERTISE: u8 = 2;
const REPLY: u8 = 7;
const RELAY_FORWARD: u8 = 12;
const RELAY_REPLY: u8 = 13;
const IA_NA: u16 = 3;
const IA_PD: u16 = 25;
/// IAIDs of the one IA_NA and the one IA_PD of a client.
const IAID_NA: u32 = 1;
const IAID_PD: u32 = 2;

/// Which leases a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Wants {
    /// An address: IA_NA.
    Na,
    /// A delegated prefix: IA_PD.
    Pd,
    /// Both in one message.
    Both,
}

impl Wants {
    fn address(self) -> bool {
        self != Self::Pd
    }

    fn prefix(self) -> bool {
        self != Self::Na
    }

    /// Leases that a client holds when it has all it wants.
    pub fn leases_per_client(self) -> u32 {
        u32::from(self.address()) + u32::from(self.prefix())
    }
}

/// One question, all that it is made of.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Which message.
    pub step: Step,
    /// Transaction identifier.
    pub transaction: u32,
    /// Number of the client.
    pub client: u32,
    /// Its identifiers.
    pub identity: Identity,
    /// What was offered to it or what it holds.
    pub held: Held,
    /// Which leases it wants.
    pub wants: Wants,
    /// Whether it asks for the two-message exchange.
    pub rapid_commit: bool,
    /// DUID of the server that it talks to, once it knows one.
    pub server_id: Option<&'a Duid>,
    /// The relay agent in front of it.
    pub relay: Option<Relay>,
    /// Relay agents one behind the other, the one in front of the client included.
    pub relay_depth: u8,
}

impl Question<'_> {
    /// Writes the message with its relay envelopes; returns its length, or nothing when it does not fit.
    pub fn write(&self, payload: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(payload);
        let mut lengths = [0; RELAY_DEPTH_MAX as usize];
        if let Some(relay) = self.relay {
            let levels = (0..self.relay_depth.min(RELAY_DEPTH_MAX)).rev();
            for (length_at, level) in lengths.iter_mut().zip(levels) {
                self.write_relay_forward(&mut writer, relay, level);
                *length_at = writer.len();
                writer.zeros(2);
            }
        }
        self.write_message(&mut writer);
        // Each Relay Message option holds everything behind its length.
        for length_at in lengths.into_iter().filter(|at| *at != 0) {
            writer.patch_u16(length_at, (writer.len() - length_at - 2) as u16);
        }
        writer.finish()
    }

    /// One Relay-forward header, its Interface-Id, and the code of its Relay Message option. Level 0 is
    /// the relay agent on the client's link; those above it have heard the one below.
    fn write_relay_forward(&self, writer: &mut Writer<'_>, relay: Relay, level: u8) {
        let (link, peer) = self.link_and_peer(relay, level);
        writer.put(&[RELAY_FORWARD, level]);
        writer.put(&link.octets());
        writer.put(&peer.octets());
        put_option(writer, 18, &self.interface_id(level));
        writer.put(&9u16.to_be_bytes());
    }

    fn link_and_peer(&self, relay: Relay, level: u8) -> (Ipv6Addr, Ipv6Addr) {
        let address = address_of(relay);
        match level {
            0 => (address, self.identity.link_local()),
            _ => (Ipv6Addr::UNSPECIFIED, address),
        }
    }

    /// The access line at the first relay agent, a trunk at those above.
    fn interface_id(&self, level: u8) -> [u8; 8] {
        match level {
            0 => Relay::circuit(self.client),
            _ => [b't', b'r', b'u', b'n', b'k', 0, 0, level],
        }
    }

    fn write_message(&self, writer: &mut Writer<'_>) {
        let message_type = match self.step {
            Step::Discover => 1,
            Step::Request => 3,
            Step::Renew => 5,
            Step::Rebind => 6,
            Step::Reboot => 4,
            Step::Decline => 9,
            Step::Release => 8,
            Step::Inform => 11,
        };
        let [_, a, b, c] = self.transaction.to_be_bytes();
        writer.put(&[message_type, a, b, c]);
        put_option(writer, 1, &self.identity.duid());
        if let (false, Some(server)) = (self.has_no_server(), self.server_id) {
            put_option(writer, 2, server.as_slice());
        }
        put_option(writer, 8, &[0, 0]); // elapsed time
        if !matches!(self.step, Step::Release | Step::Decline | Step::Reboot) {
            put_option(writer, 6, &[0, 23, 0, 24]); // DNS servers and search list
        }
        if self.rapid_commit && self.step == Step::Discover {
            put_option(writer, 14, &[]);
        }
        if self.wants.address() && self.step != Step::Inform {
            self.write_ia_na(writer);
        }
        // RFC 9915 sections 18.2.3 and 18.2.8: a Confirm and a Decline are about addresses.
        if self.wants.prefix() && !self.is_about_no_prefix() {
            self.write_ia_pd(writer);
        }
    }

    fn is_about_no_prefix(&self) -> bool {
        matches!(self.step, Step::Reboot | Step::Decline | Step::Inform)
    }

    fn has_no_server(&self) -> bool {
        matches!(
            self.step,
            Step::Discover | Step::Rebind | Step::Reboot | Step::Inform
        )
    }

    fn write_ia_na(&self, writer: &mut Writer<'_>) {
        let address = match (self.step, self.held.address) {
            (Step::Discover, _) | (_, None | Some(IpAddr::V4(_))) => None,
            (_, Some(IpAddr::V6(address))) => Some(address),
        };
        put_ia(
            writer,
            IA_NA,
            IAID_NA,
            if address.is_some() { 28 } else { 0 },
        );
        if let Some(address) = address {
            writer.put(&[0, 5, 0, 24]);
            writer.put(&address.octets());
            writer.zeros(8); // lifetimes are the server's to say
        }
    }

    fn write_ia_pd(&self, writer: &mut Writer<'_>) {
        let prefix = self.held.prefix.filter(|_| self.step != Step::Discover);
        put_ia(
            writer,
            IA_PD,
            IAID_PD,
            if prefix.is_some() { 29 } else { 0 },
        );
        if let Some((prefix, length)) = prefix {
            writer.put(&[0, 26, 0, 25]);
            writer.zeros(8);
            writer.put(&[length]);
            writer.put(&prefix.octets());
        }
    }

    /// Takes the relay agents' part off an answer, after comparing it with what they sent.
    ///
    /// # Errors
    /// What differs.
    pub fn open_relay_replies<'a>(&self, payload: &'a [u8]) -> Result<&'a [u8], Objection> {
        let Some(relay) = self.relay else {
            return Ok(payload);
        };
        let wrong = |text: String| Objection::violation(Violation::WrongRelay, text);
        let mut message = payload;
        for level in (0..self.relay_depth.min(RELAY_DEPTH_MAX)).rev() {
            let reply = RelayReply::parse(message).map_err(|text| wrong(text.into()))?;
            let (link, peer) = self.link_and_peer(relay, level);
            let interface_id = self.interface_id(level);
            let mirrored = reply.message_type == RELAY_REPLY
                && reply.hop_count == level
                && reply.link == link
                && reply.peer == peer
                && reply.interface_id == Some(&interface_id);
            if !mirrored {
                return Err(wrong(format!("{reply:02x?} at level {level}")));
            }
            message = reply.message;
        }
        Ok(message)
    }

    /// Judges the answer to this question, without its relay envelopes.
    ///
    /// # Errors
    /// What is wrong with it, or that the server refuses.
    pub fn judge(&self, answer: &Answer<'_>) -> Result<Granted, Objection> {
        let violation = |kind, text: String| Objection::violation(kind, text);
        if answer.client_id != Some(&self.identity.duid()) {
            let text = format!("DUID {:02x?}", answer.client_id);
            return Err(violation(Violation::WrongClient, text));
        }
        let server_id = answer.server_id.and_then(|octets| Duid::new(octets).ok());
        let server_id = server_id
            .filter(|duid| !duid.is_empty())
            .ok_or_else(|| violation(Violation::WrongServer, "no server identifier".into()))?;
        if let (false, Some(asked)) = (self.has_no_server(), self.server_id)
            && *asked != server_id
        {
            let text = format!("server {server_id:?}, asked {asked:?}");
            return Err(violation(Violation::WrongServer, text));
        }
        let expected_type = match self.step {
            // A server may not know Rapid Commit and advertise.
            Step::Discover if answer.rapid_commit && self.rapid_commit => REPLY,
            Step::Discover => ADVERTISE,
            _ => REPLY,
        };
        if answer.message_type != expected_type {
            let text = format!(
                "message type {} in answer to {:?}",
                answer.message_type, self.step
            );
            return Err(violation(Violation::WrongType, text));
        }
        refuse(answer.status)?;
        let committed = answer.message_type == REPLY;
        let is_without_leases = matches!(
            self.step,
            Step::Release | Step::Decline | Step::Reboot | Step::Inform
        );
        if is_without_leases {
            return Ok(Granted {
                held: self.held,
                siaddr: None,
                server_id,
                committed,
            });
        }
        let held = self.judge_leases(answer)?;
        Ok(Granted {
            held,
            siaddr: None,
            server_id,
            committed,
        })
    }

    fn judge_leases(&self, answer: &Answer<'_>) -> Result<Held, Objection> {
        let mut held = Held {
            lifetime_seconds: u32::MAX,
            ..self.held
        };
        if self.wants.address() {
            let lease = judge_ia(&answer.ia_na, IAID_NA, "IA_NA")?;
            held.address = Some(IpAddr::V6(lease.address));
            held.lifetime_seconds = held.lifetime_seconds.min(lease.valid);
        }
        if self.wants.prefix() {
            let lease = judge_ia(&answer.ia_pd, IAID_PD, "IA_PD")?;
            held.prefix = Some((lease.address, lease.length));
            held.lifetime_seconds = held.lifetime_seconds.min(lease.valid);
        }
        let changed = held.address != self.held.address || held.prefix != self.held.prefix;
        if changed && self.step != Step::Discover {
            let (found, asked) = (
                (held.address, held.prefix),
                (self.held.address, self.held.prefix),
            );
            let text = format!("{found:?}, expected {asked:?}");
            return Err(Objection::violation(Violation::WrongAddress, text));
        }
        Ok(held)
    }
}

fn address_of(relay: Relay) -> Ipv6Addr {
    match relay.address {
        IpAddr::V6(address) => address,
        IpAddr::V4(address) => address.to_ipv6_mapped(),
    }
}

fn put_option(writer: &mut Writer<'_>, code: u16, value: &[u8]) {
    writer.put(&code.to_be_bytes());
    writer.put(&(value.len() as u16).to_be_bytes()); // short by construction
    writer.put(value);
}

/// Head of an IA option with `content` octets of options to follow. T1 and T2 are the server's to say.
fn put_ia(writer: &mut Writer<'_>, code: u16, iaid: u32, content: u16) {
    writer.put(&code.to_be_bytes());
    writer.put(&(12 + content).to_be_bytes());
    writer.put(&iaid.to_be_bytes());
    writer.zeros(8);
}

/// The server's no, by the name of its status code (RFC 9915 section 21.13).
fn refuse(status: Option<u16>) -> Result<(), Objection> {
    match status {
        None | Some(0) => Ok(()),
        Some(1) => Err(Objection::Refused("UnspecFail")),
        Some(2) => Err(Objection::Refused("NoAddrsAvail")),
        Some(3) => Err(Objection::Refused("NoBinding")),
        Some(4) => Err(Objection::Refused("NotOnLink")),
        Some(6) => Err(Objection::Refused("NoPrefixAvail")),
        Some(_) => Err(Objection::Refused("another status code")),
    }
}

fn judge_ia(ia: &Option<Ia>, iaid: u32, name: &'static str) -> Result<Lease, Objection> {
    let wrong = |kind, text: String| Objection::violation(kind, format!("{name}: {text}"));
    let ia = ia
        .as_ref()
        .ok_or_else(|| wrong(Violation::WrongAddress, "missing".into()))?;
    if ia.iaid != iaid {
        return Err(wrong(
            Violation::WrongClient,
            format!("IAID {}, asked {iaid}", ia.iaid),
        ));
    }
    refuse(ia.status)?;
    let lease = ia
        .lease
        .ok_or_else(|| wrong(Violation::WrongAddress, "empty".into()))?;
    // T1 and T2 of zero leave the times to the client (RFC 9915 section 21.4).
    let times_in_order = ia.t1 == 0 || ia.t2 == 0 || ia.t1 <= ia.t2;
    if lease.valid == 0 || lease.preferred > lease.valid || !times_in_order {
        return Err(wrong(Violation::BadLifetimes, format!("{ia:?}")));
    }
    Ok(lease)
}

/// An IA_NA or IA_PD of an answer with its first lease.
#[derive(Clone, Copy, Debug)]
struct Ia {
    iaid: u32,
    t1: u32,
    t2: u32,
    status: Option<u16>,
    lease: Option<Lease>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    preferred: u32,
    valid: u32,
    length: u8,
    address: Ipv6Addr,
}

/// The parts of an Advertise or Reply that the blaster looks at.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Transaction identifier.
    pub transaction: u32,
    message_type: u8,
    client_id: Option<&'a [u8]>,
    server_id: Option<&'a [u8]>,
    status: Option<u16>,
    rapid_commit: bool,
    ia_na: Option<Ia>,
    ia_pd: Option<Ia>,
}

impl<'a> Answer<'a> {
    /// Reads a message without relay envelopes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(message: &'a [u8]) -> Result<Self, &'static str> {
        let (&[message_type, a, b, c], options) =
            message.split_first_chunk().ok_or("shorter than a header")?;
        let mut answer = Self {
            transaction: u32::from_be_bytes([0, a, b, c]),
            message_type,
            client_id: None,
            server_id: None,
            status: None,
            rapid_commit: false,
            ia_na: None,
            ia_pd: None,
        };
        for option in Options(options) {
            let (code, value) = option?;
            match code {
                1 => answer.client_id = Some(value),
                2 => answer.server_id = Some(value),
                IA_NA => answer.ia_na = Some(Ia::parse(value)?),
                13 => answer.status = Some(parse_status(value)?),
                14 => answer.rapid_commit = true,
                IA_PD => answer.ia_pd = Some(Ia::parse(value)?),
                _ => {}
            }
        }
        Ok(answer)
    }
}

/// Transaction identifier of an answer, or of a question that a reflector sent back.
pub fn transaction_of(payload: &[u8]) -> Option<u32> {
    let mut message = payload;
    for _ in 0..=RELAY_DEPTH_MAX {
        let (&[message_type, a, b, c], _) = message.split_first_chunk()?;
        if message_type != RELAY_FORWARD && message_type != RELAY_REPLY {
            return Some(u32::from_be_bytes([0, a, b, c]));
        }
        message = RelayReply::parse(message).ok()?.message;
    }
    None
}

impl Ia {
    fn parse(value: &[u8]) -> Result<Self, &'static str> {
        let (head, options) = value
            .split_first_chunk::<12>()
            .ok_or("IA shorter than its head")?;
        let [iaid, t1, t2] = [0, 4, 8].map(|at| number(head, at));
        let mut ia = Self {
            iaid,
            t1,
            t2,
            status: None,
            lease: None,
        };
        for option in Options(options) {
            let (code, value) = option?;
            match code {
                5 => ia.take_lease(parse_address(value)?),
                13 => ia.status = Some(parse_status(value)?),
                26 => ia.take_lease(parse_prefix(value)?),
                _ => {}
            }
        }
        Ok(ia)
    }

    /// Keeps the first lease that lives: a server takes one back with lifetimes of zero.
    fn take_lease(&mut self, lease: Lease) {
        if self.lease.is_none_or(|former| former.valid == 0) {
            self.lease = Some(lease);
        }
    }
}

fn parse_address(value: &[u8]) -> Result<Lease, &'static str> {
    let (address, rest) = value
        .split_first_chunk::<16>()
        .ok_or("IA Address is too short")?;
    let (times, _) = rest
        .split_first_chunk::<8>()
        .ok_or("IA Address is too short")?;
    let [preferred, valid] = [0, 4].map(|at| number(times, at));
    Ok(Lease {
        preferred,
        valid,
        length: 128,
        address: (*address).into(),
    })
}

fn parse_prefix(value: &[u8]) -> Result<Lease, &'static str> {
    let (head, rest) = value
        .split_first_chunk::<9>()
        .ok_or("IA Prefix is too short")?;
    let (prefix, _) = rest
        .split_first_chunk::<16>()
        .ok_or("IA Prefix is too short")?;
    let [preferred, valid] = [0, 4].map(|at| number(head, at));
    Ok(Lease {
        preferred,
        valid,
        length: head[8],
        address: (*prefix).into(),
    })
}

fn parse_status(value: &[u8]) -> Result<u16, &'static str> {
    value
        .first_chunk()
        .copied()
        .map(u16::from_be_bytes)
        .ok_or("status code is too short")
}

fn number<const N: usize>(octets: &[u8; N], at: usize) -> u32 {
    let found = octets.get(at..).and_then(|rest| rest.first_chunk());
    found.copied().map_or(0, u32::from_be_bytes)
}

/// One Relay-reply (or Relay-forward) message.
#[derive(Debug)]
struct RelayReply<'a> {
    message_type: u8,
    hop_count: u8,
    link: Ipv6Addr,
    peer: Ipv6Addr,
    interface_id: Option<&'a [u8]>,
    message: &'a [u8],
}

impl<'a> RelayReply<'a> {
    fn parse(octets: &'a [u8]) -> Result<Self, &'static str> {
        let short = "shorter than a relay header";
        let (&[message_type, hop_count], rest) = octets.split_first_chunk().ok_or(short)?;
        let (&link, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
        let (&peer, options) = rest.split_first_chunk::<16>().ok_or(short)?;
        let (mut interface_id, mut message) = (None, None);
        for option in Options(options) {
            match option? {
                (9, value) => message = Some(value),
                (18, value) => interface_id = Some(value),
                _ => {}
            }
        }
        let message = message.ok_or("no Relay Message option")?;
        Ok(Self {
            message_type,
            hop_count,
            link: link.into(),
            peer: peer.into(),
            interface_id,
            message,
        })
    }
}

/// Walks options; ends at the first one that is not whole.
struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = Result<(u16, &'a [u8]), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.0);
        let Some((&[a, b, c, d], rest)) = rest.split_first_chunk() else {
            return Some(Err("option without a length"));
        };
        let len = usize::from(u16::from_be_bytes([c, d]));
        let Some((value, rest)) = rest.split_at_checked(len) else {
            return Some(Err("option beyond the end"));
        };
        self.0 = rest;
        Some(Ok((u16::from_be_bytes([a, b]), value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(step: Step, relay_depth: u8) -> Question<'static> {
        let relay = Relay {
            number: 0,
            address: "2001:db8:1::1".parse().unwrap(),
        };
        Question {
            step,
            transaction: 0x12_3456,
            client: 77,
            identity: Identity::new(1, 77),
            held: Held {
                address: Some("2001:db8:1::77".parse().unwrap()),
                prefix: Some(("2001:db8:2:7700::".parse().unwrap(), 56)),
                ..Held::default()
            },
            wants: Wants::Both,
            rapid_commit: false,
            server_id: None,
            relay: (relay_depth > 0).then_some(relay),
            relay_depth,
        }
    }

    /// Turns a question into the answer that a right server gives.
    fn answered(question: &Question<'_>) -> Vec<u8> {
        let mut room = [0; 1500];
        let len = question.write(&mut room).unwrap();
        let mut reply = room[..len].to_vec();
        let mut at = 0;
        for _ in 0..question.relay_depth {
            reply[at] = RELAY_REPLY;
            at += 34 + 12 + 4;
        }
        reply[at] = REPLY;
        // Lifetimes where the client left zeros, and a server identifier in place of the elapsed time
        // and the option request.
        let addresses = find(&reply, &[0, 5, 0, 24]) + 20;
        reply[addresses..addresses + 8].copy_from_slice(&[0, 0, 1, 0, 0, 0, 2, 0]);
        let prefixes = find(&reply, &[0, 26, 0, 25]) + 4;
        reply[prefixes..prefixes + 8].copy_from_slice(&[0, 0, 1, 0, 0, 0, 1, 128]);
        let elapsed = find(&reply, &[0, 8, 0, 2]);
        reply[elapsed..elapsed + 14].copy_from_slice(&[0, 2, 0, 10, 0, 3, 0, 1, 9, 9, 9, 9, 9, 9]);
        reply
    }

    fn find(octets: &[u8], needle: &[u8]) -> usize {
        octets
            .windows(needle.len())
            .position(|window| window == needle)
            .unwrap()
    }

    #[test]
    fn a_right_answer_is_accepted_through_any_number_of_relay_agents() {
        for depth in 0..=RELAY_DEPTH_MAX {
            let question = question(Step::Request, depth);
            let reply = answered(&question);
            assert_eq!(transaction_of(&reply), Some(0x12_3456));
            let message = question.open_relay_replies(&reply).unwrap();
            let granted = question.judge(&Answer::parse(message).unwrap()).unwrap();
            assert!(granted.committed);
            assert_eq!(granted.held.lifetime_seconds, 384);
        }
    }

    #[test]
    fn an_answer_for_another_line_is_noticed() {
        let question = question(Step::Request, 2);
        let mut reply = answered(&question);
        let line = find(&reply, b"line");
        reply[line + 7] ^= 1;
        let objection = question.open_relay_replies(&reply).unwrap_err();
        assert!(matches!(
            objection,
            Objection::Violation(Violation::WrongRelay, _)
        ));
    }

    #[test]
    fn a_prefix_that_was_not_asked_for_is_noticed() {
        let question = question(Step::Renew, 0);
        let mut reply = answered(&question);
        let prefix = find(&reply, &[0, 26, 0, 25]) + 13;
        reply[prefix + 5] ^= 1;
        let objection = question.judge(&Answer::parse(&reply).unwrap()).unwrap_err();
        assert!(matches!(
            objection,
            Objection::Violation(Violation::WrongAddress, _)
        ));
    }
}
