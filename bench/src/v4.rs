//! What does a DHCPv4 client say, and is it answered rightly?
//!
//! Options are read here a second time, apart from the views of dhcp-wire with which the server reads: a
//! blaster that shares the server's eyes would not see what the server misreads.

use crate::check::{Objection, Violation};
use crate::client::{Held, Identity};
use crate::exchange::Step;
use crate::relay::Relay;
use crate::writer::Writer;
use dhcp_wire::id::Duid;
use std::net::{IpAddr, Ipv4Addr};

const FIXED: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Smaller messages are padded to what BOOTP demanded and relay agents may still expect (RFC 1542
/// section 2.1).
const MESSAGE_SIZE_MIN: usize = 300;

/// One question, all that it is made of.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Which message.
    pub step: Step,
    /// Transaction number; fills the upper octet of `xid` with a constant.
    pub transaction: u32,
    /// Number of the client.
    pub client: u32,
    /// Its identifiers.
    pub identity: Identity,
    /// What was offered to it or what it holds.
    pub held: Held,
    /// Identifier of the server that it talks to, once it knows one.
    pub server_id: Option<&'a Duid>,
    /// The relay agent in front of it.
    pub relay: Option<Relay>,
}

/// What an answer grants.
#[derive(Clone, Debug)]
pub struct Granted {
    /// Addresses and lifetimes.
    pub held: Held,
    /// Who grants it.
    pub server_id: Duid,
    /// Whether it is a lease; otherwise it is an offer.
    pub committed: bool,
}

/// Upper octet of every `xid`, above the 24 bits of a transaction number.
const XID_PREFIX: u32 = 0xb1 << 24;

impl Question<'_> {
    /// Whether the client has an address and a path to the server of its own (RFC 2131 section 4.3.2):
    /// it sends from its address and no relay agent takes part.
    pub fn is_unicast(&self) -> bool {
        matches!(self.step, Step::Renew | Step::Release)
    }

    /// The client's own address, as far as it may use it already.
    pub fn ciaddr(&self) -> Ipv4Addr {
        match (self.step, self.held.address) {
            (Step::Renew | Step::Rebind | Step::Release, Some(IpAddr::V4(address))) => address,
            _ => Ipv4Addr::UNSPECIFIED,
        }
    }

    /// The relay agent that this very message goes through.
    pub fn relay(&self) -> Option<Relay> {
        self.relay.filter(|_| !self.is_unicast())
    }

    /// Writes the message; returns its length, or nothing when it does not fit.
    pub fn write(&self, payload: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(payload);
        let relay = self.relay();
        writer.put(&[1, 1, 6, u8::from(relay.is_some())]); // BOOTREQUEST, Ethernet, hops
        writer.put(&(XID_PREFIX | self.transaction).to_be_bytes());
        writer.zeros(4); // secs, flags: unicast answers are welcome
        writer.put(&self.ciaddr().octets());
        writer.zeros(8);
        writer.put(&giaddr(relay).octets());
        writer.put(&self.identity.mac);
        writer.zeros(FIXED - 34);
        writer.put(&COOKIE);
        self.write_options(&mut writer);
        if let Some(relay) = relay {
            put_relay_information(&mut writer, relay, self.client);
        }
        writer.put(&[255]);
        writer.zeros(MESSAGE_SIZE_MIN.saturating_sub(writer.len()));
        writer.finish()
    }

    fn write_options(&self, writer: &mut Writer<'_>) {
        let message_type = match self.step {
            Step::Discover => 1,
            Step::Request | Step::Renew | Step::Rebind => 3,
            Step::Release => 7,
        };
        writer.put(&[53, 1, message_type, 61, 7]);
        writer.put(&self.identity.client_id());
        if let (Step::Request, Some(IpAddr::V4(address))) = (self.step, self.held.address) {
            writer.put(&[50, 4]);
            writer.put(&address.octets());
        }
        if let (Step::Request | Step::Release, Some(server_id)) = (self.step, self.server_id) {
            writer.put(&[54, 4]);
            writer.put(server_id.as_slice());
        }
        if self.step != Step::Release {
            writer.put(&[57, 2, 0x05, 0xdc]); // messages of up to 1,500 octets
            writer.put(&[55, 8, 1, 3, 6, 15, 28, 51, 58, 59]);
        }
    }

    /// Judges the answer to this question.
    ///
    /// # Errors
    /// What is wrong with it, or that the server refuses.
    pub fn judge(&self, answer: &Answer<'_>, rules: Rules) -> Result<Granted, Objection> {
        self.judge_identity(answer, rules)?;
        let server_id = self.judge_server(answer)?;
        match (self.step, answer.message_type) {
            (Step::Discover, 2) | (Step::Request | Step::Renew | Step::Rebind, 5) => {}
            (Step::Request | Step::Renew | Step::Rebind, 6) => {
                return Err(Objection::Refused("DHCPNAK"));
            }
            (step, other) => {
                let text = format!("DHCP message type {other} in answer to {step:?}");
                return Err(Objection::violation(Violation::WrongType, text));
            }
        }
        let lifetime_seconds = judge_lifetimes(answer)?;
        let address = Some(IpAddr::V4(answer.yiaddr)).filter(|address| !address.is_unspecified());
        let expected = if self.step == Step::Discover {
            address
        } else {
            self.held.address
        };
        if address.is_none() || address != expected {
            let text = format!("yiaddr {}, expected {expected:?}", answer.yiaddr);
            return Err(Objection::violation(Violation::WrongAddress, text));
        }
        let held = Held {
            address,
            lifetime_seconds,
            ..self.held
        };
        Ok(Granted {
            held,
            server_id,
            committed: answer.message_type == 5,
        })
    }

    fn judge_identity(&self, answer: &Answer<'_>, rules: Rules) -> Result<(), Objection> {
        if answer.op != 2 || answer.chaddr != self.identity.mac {
            let text = format!("op {}, chaddr {:02x?}", answer.op, answer.chaddr);
            return Err(Objection::violation(Violation::WrongClient, text));
        }
        // RFC 6842 section 3: the server returns the client identifier as it was sent.
        let echoed = answer.client_id == Some(&self.identity.client_id());
        let excused = answer.client_id.is_none() && rules.client_id_may_be_missing;
        if !echoed && !excused {
            let text = format!("client identifier {:02x?}", answer.client_id);
            return Err(Objection::violation(Violation::WrongClient, text));
        }
        let relay = self.relay();
        let mut room = [0; 64];
        let mut expected = Writer::new(&mut room);
        if let Some(relay) = relay {
            put_relay_information(&mut expected, relay, self.client);
        }
        let len = expected.finish().unwrap_or(0);
        // RFC 3046 section 2.2: the server returns the relay agent's information unchanged.
        let sent = room.get(2..len).filter(|_| relay.is_some());
        if answer.giaddr != giaddr(relay) || answer.relay_information != sent {
            let text = format!(
                "giaddr {}, option 82 {:02x?}",
                answer.giaddr, answer.relay_information
            );
            return Err(Objection::violation(Violation::WrongRelay, text));
        }
        Ok(())
    }

    fn judge_server(&self, answer: &Answer<'_>) -> Result<Duid, Objection> {
        let wrong = |found: String| Objection::violation(Violation::WrongServer, found);
        let Some(found) = answer.server_id.and_then(|octets| Duid::new(octets).ok()) else {
            return Err(wrong("no server identifier".into()));
        };
        let bound_to_one = matches!(self.step, Step::Request | Step::Renew);
        match self.server_id {
            Some(asked) if bound_to_one && *asked != found => Err(wrong(format!(
                "server identifier {found:?}, asked {asked:?}"
            ))),
            _ => Ok(found),
        }
    }
}

/// What is asked of a server beyond doubt, and what depends on its age.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Servers from before RFC 6842 do not return the client identifier.
    pub client_id_may_be_missing: bool,
}

fn judge_lifetimes(answer: &Answer<'_>) -> Result<u32, Objection> {
    let bad = |text: String| Objection::violation(Violation::BadLifetimes, text);
    let lease = answer.lease_seconds.filter(|seconds| *seconds > 0);
    let lease = lease.ok_or_else(|| bad(format!("lease time {:?}", answer.lease_seconds)))?;
    let t2 = answer.t2_seconds.unwrap_or(lease);
    let t1 = answer.t1_seconds.unwrap_or(t2);
    if t1 > t2 || t2 > lease {
        return Err(bad(format!("T1 {t1}, T2 {t2}, lease {lease}")));
    }
    Ok(lease)
}

fn giaddr(relay: Option<Relay>) -> Ipv4Addr {
    match relay.map(|relay| relay.address) {
        Some(IpAddr::V4(address)) => address,
        _ => Ipv4Addr::UNSPECIFIED,
    }
}

/// Option 82 with circuit-id and remote-id (RFC 3046): the line, and the relay agent.
fn put_relay_information(writer: &mut Writer<'_>, relay: Relay, client: u32) {
    let circuit = Relay::circuit(client);
    let remote = relay.mac();
    writer.put(&[82, (4 + circuit.len() + remote.len()) as u8]); // 18
    writer.put(&[1, circuit.len() as u8]); // 8
    writer.put(&circuit);
    writer.put(&[2, remote.len() as u8]); // 6
    writer.put(&remote);
}

/// The parts of a BOOTREPLY that the blaster looks at.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Transaction number: the lower 24 bits of `xid`, if the rest is ours.
    pub transaction: Option<u32>,
    op: u8,
    chaddr: [u8; 6],
    yiaddr: Ipv4Addr,
    giaddr: Ipv4Addr,
    message_type: u8,
    server_id: Option<&'a [u8]>,
    client_id: Option<&'a [u8]>,
    relay_information: Option<&'a [u8]>,
    lease_seconds: Option<u32>,
    t1_seconds: Option<u32>,
    t2_seconds: Option<u32>,
}

impl<'a> Answer<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(payload: &'a [u8]) -> Result<Self, &'static str> {
        let (fixed, rest) = payload
            .split_first_chunk::<FIXED>()
            .ok_or("shorter than BOOTP")?;
        let mut options = rest.strip_prefix(&COOKIE).ok_or("no magic cookie")?;
        let mut answer = Self {
            transaction: transaction(array(fixed, 4)),
            op: fixed[0],
            chaddr: array(fixed, 28),
            yiaddr: array(fixed, 16).into(),
            giaddr: array(fixed, 24).into(),
            message_type: 0,
            server_id: None,
            client_id: None,
            relay_information: None,
            lease_seconds: None,
            t1_seconds: None,
            t2_seconds: None,
        };
        // Every turn takes at least one octet.
        while let Some((&code, after)) = options.split_first() {
            options = after;
            match code {
                0 => continue,
                255 => return Ok(answer),
                _ => {}
            }
            let (&len, after) = options.split_first().ok_or("option without a length")?;
            let value = after
                .get(..usize::from(len))
                .ok_or("option beyond the end")?;
            options = after.get(usize::from(len)..).unwrap_or_default();
            answer.take_option(code, value)?;
        }
        Err("no end option")
    }

    fn take_option(&mut self, code: u8, value: &'a [u8]) -> Result<(), &'static str> {
        let number = || {
            let octets = value
                .try_into()
                .map_err(|_| "a time of other than four octets")?;
            Ok::<_, &str>(Some(u32::from_be_bytes(octets)))
        };
        match code {
            51 => self.lease_seconds = number()?,
            53 => self.message_type = *value.first().ok_or("empty message type")?,
            54 if value.len() != 4 => return Err("server identifier of other than four octets"),
            54 => self.server_id = Some(value),
            58 => self.t1_seconds = number()?,
            59 => self.t2_seconds = number()?,
            61 => self.client_id = Some(value),
            82 => self.relay_information = Some(value),
            _ => {}
        }
        Ok(())
    }

    /// The address that the answer is about.
    pub fn yiaddr(&self) -> Ipv4Addr {
        self.yiaddr
    }
}

/// Transaction number of a message that a reflector sent back unchanged, or of any other.
pub fn transaction_of(payload: &[u8]) -> Option<u32> {
    transaction(*payload.get(4..)?.first_chunk()?)
}

fn transaction(xid: [u8; 4]) -> Option<u32> {
    let xid = u32::from_be_bytes(xid);
    (xid >> 24 == XID_PREFIX >> 24).then_some(xid & 0x00ff_ffff)
}

/// `N` octets at a place that lies inside the fixed part.
fn array<const N: usize>(fixed: &[u8; FIXED], at: usize) -> [u8; N] {
    fixed
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(step: Step, relay: Option<Relay>) -> Question<'static> {
        let identity = Identity::new(1, 2);
        let held = Held {
            address: Some("10.0.0.9".parse().unwrap()),
            ..Held::default()
        };
        Question {
            step,
            transaction: 0x12_3456,
            client: 2,
            identity,
            held,
            server_id: None,
            relay,
        }
    }

    /// Turns a question into the answer that a right server gives.
    fn answered(question: &Question<'_>, message_type: u8) -> Vec<u8> {
        let mut room = [0; 600];
        let len = question.write(&mut room).unwrap();
        let mut message = room[..len].to_vec();
        message[0] = 2;
        message[16..20].copy_from_slice(&[10, 0, 0, 9]);
        message[242] = message_type;
        let end = message.iter().rposition(|octet| *octet == 255).unwrap();
        message.truncate(end);
        message.extend([54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 0x0e, 0x10, 255]);
        message
    }

    #[test]
    fn a_right_answer_is_accepted_direct_and_relayed() {
        let relay = Relay {
            number: 3,
            address: "10.0.0.1".parse().unwrap(),
        };
        for relay in [None, Some(relay)] {
            let question = question(Step::Request, relay);
            let message = answered(&question, 5);
            let answer = Answer::parse(&message).unwrap();
            assert_eq!(answer.transaction, Some(0x12_3456));
            let granted = question.judge(&answer, Rules::default()).unwrap();
            assert!(granted.committed);
            assert_eq!(granted.held.lifetime_seconds, 3600);
        }
    }

    #[test]
    fn every_wrong_answer_has_its_name() {
        type Damage = fn(&mut Vec<u8>);
        let cases: [(Damage, Violation); 5] = [
            (|message| message[28] ^= 1, Violation::WrongClient),
            (|message| message[245] ^= 1, Violation::WrongClient),
            (|message| message[19] = 8, Violation::WrongAddress),
            (|message| message[242] = 2, Violation::WrongType),
            (|message| message[24] = 9, Violation::WrongRelay),
        ];
        for (damage, expected) in cases {
            let question = question(Step::Request, None);
            let mut message = answered(&question, 5);
            damage(&mut message);
            let answer = Answer::parse(&message).unwrap();
            let objection = question.judge(&answer, Rules::default()).unwrap_err();
            assert!(
                matches!(&objection, Objection::Violation(kind, _) if *kind == expected),
                "{objection:?} instead of {expected:?}"
            );
        }
    }

    #[test]
    fn a_nak_is_a_refusal_and_no_violation() {
        let question = question(Step::Renew, None);
        let message = answered(&question, 6);
        let answer = Answer::parse(&message).unwrap();
        let objection = question.judge(&answer, Rules::default()).unwrap_err();
        assert_eq!(objection, Objection::Refused("DHCPNAK"));
    }
}
