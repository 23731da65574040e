//! What does a DHCPv4 client say, and is it answered rightly?
//!
//! Options are read here a second time, apart from the views of dhcp-wire with which the server reads: a
//! blaster that shares the server's eyes would not see what the server misreads.

use crate::check::{Objection, Violation};
use crate::client::{Held, Identity};
use crate::exchange::Step;
use crate::relay::Relay;
use crate::template::{Subject, Template};
use crate::writer::Writer;
use dhcp_wire::id::Duid;
use std::net::{IpAddr, Ipv4Addr};

mod answer;
mod inspect;
#[cfg(test)]
mod tests;

pub use answer::{Answer, transaction_of};
pub use inspect::Rules;

const FIXED: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Smaller messages are padded to what BOOTP demanded and relay agents may still expect (RFC 1542
/// section 2.1).
const MESSAGE_SIZE_MIN: usize = 300;

/// How all clients of a run speak.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// They ask for answers by broadcast (RFC 2131 section 4.1).
    pub broadcast: bool,
    /// They ask for the two-message exchange (RFC 4039).
    pub rapid_commit: bool,
    /// What their relay agents call their lines; a number unless it is said.
    pub circuit_id: Option<Template>,
    /// What their relay agents call them; the relay agent's Ethernet address unless it is said.
    pub remote_id: Option<Template>,
    /// The subscriber's name (RFC 3993), if it is sent.
    pub subscriber_id: Option<Template>,
}

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
    /// The next server of the offer that it asks for.
    pub siaddr: Option<Ipv4Addr>,
    /// Seconds since it began.
    pub secs: u16,
    /// The relay agent in front of it.
    pub relay: Option<Relay>,
    /// How it speaks.
    pub manner: &'a Manner,
}

/// What an answer grants.
#[derive(Clone, Debug)]
pub struct Granted {
    /// Addresses and lifetimes.
    pub held: Held,
    /// The next server, which an ACK has from its OFFER.
    pub siaddr: Option<Ipv4Addr>,
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
        matches!(self.step, Step::Renew | Step::Release | Step::Inform)
    }

    /// The client's own address, as far as it may use it already.
    pub fn ciaddr(&self) -> Ipv4Addr {
        match (self.step, self.held.address) {
            (
                Step::Renew | Step::Rebind | Step::Release | Step::Inform,
                Some(IpAddr::V4(address)),
            ) => address,
            _ => Ipv4Addr::UNSPECIFIED,
        }
    }

    /// The flags: only who cannot be reached otherwise asks for a broadcast.
    pub fn flags(&self) -> u16 {
        u16::from(self.manner.broadcast && self.ciaddr().is_unspecified()) << 15
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
        writer.put(&self.secs.to_be_bytes());
        writer.put(&self.flags().to_be_bytes());
        writer.put(&self.ciaddr().octets());
        writer.zeros(8);
        writer.put(&giaddr(relay).octets());
        writer.put(&self.identity.mac);
        writer.zeros(FIXED - 34);
        writer.put(&COOKIE);
        self.write_options(&mut writer);
        if let Some(relay) = relay {
            self.put_relay_information(&mut writer, relay);
        }
        writer.put(&[255]);
        writer.zeros(MESSAGE_SIZE_MIN.saturating_sub(writer.len()));
        writer.finish()
    }

    /// RFC 2131 section 4.4.1 table 5: which options a message has.
    fn write_options(&self, writer: &mut Writer<'_>) {
        let message_type = match self.step {
            Step::Discover => 1,
            Step::Request | Step::Renew | Step::Rebind | Step::Reboot => 3,
            Step::Decline => 4,
            Step::Release => 7,
            Step::Inform => 8,
        };
        writer.put(&[53, 1, message_type, 61, 7]);
        writer.put(&self.identity.client_id());
        let names_address = matches!(self.step, Step::Request | Step::Reboot | Step::Decline);
        if let (true, Some(IpAddr::V4(address))) = (names_address, self.held.address) {
            writer.put(&[50, 4]);
            writer.put(&address.octets());
        }
        let names_server = matches!(self.step, Step::Request | Step::Release | Step::Decline);
        if let (true, Some(server_id)) = (names_server, self.server_id) {
            writer.put(&[54, 4]);
            writer.put(server_id.as_slice());
        }
        if self.step == Step::Discover && self.manner.rapid_commit {
            writer.put(&[80, 0]);
        }
        if !self.is_last_word() {
            writer.put(&[57, 2, 0x05, 0xdc]); // messages of up to 1,500 octets
            writer.put(&[55, 8, 1, 3, 6, 15, 28, 51, 58, 59]);
        }
    }

    /// Whether nobody answers it.
    pub fn is_last_word(&self) -> bool {
        matches!(self.step, Step::Release | Step::Decline)
    }

    /// Option 82 with circuit-id and remote-id (RFC 3046): the line, and the relay agent.
    fn put_relay_information(&self, writer: &mut Writer<'_>, relay: Relay) {
        let subject = Subject {
            client: self.client,
            relay: relay.number,
            mac: self.identity.mac,
        };
        let start = writer.len();
        writer.put(&[82, 0]);
        let (circuit, remote) = (Relay::circuit(self.client), relay.mac());
        put_sub_option(
            writer,
            1,
            self.manner.circuit_id.as_ref(),
            subject,
            &circuit,
        );
        put_sub_option(writer, 2, self.manner.remote_id.as_ref(), subject, &remote);
        if let Some(subscriber) = &self.manner.subscriber_id {
            put_sub_option(writer, 6, Some(subscriber), subject, &[]);
        }
        // Three sub-options of at most 80 octets.
        writer.patch_u8(start + 1, (writer.len() - start - 2) as u8);
    }

    /// Judges what this question is answered; [`Question::inspect`] looks at all else.
    ///
    /// # Errors
    /// What is wrong with it, or that the server refuses.
    pub fn judge(&self, answer: &Answer<'_>) -> Result<Granted, Objection> {
        let server_id = self.judge_server(answer)?;
        let asks_for_lease = matches!(
            self.step,
            Step::Request | Step::Renew | Step::Rebind | Step::Reboot
        );
        let is_rapid = self.step == Step::Discover
            && self.manner.rapid_commit
            && answer.message_type == 5
            && answer.rapid_commit;
        let is_granted = match answer.message_type {
            2 => self.step == Step::Discover,
            5 => asks_for_lease || is_rapid || self.step == Step::Inform,
            6 if asks_for_lease && answer.yiaddr.is_unspecified() => {
                return Err(Objection::Refused("DHCPNAK"));
            }
            6 if asks_for_lease => {
                let text = format!("a NAK with yiaddr {}", answer.yiaddr);
                return Err(Objection::violation(Violation::WrongAddress, text));
            }
            _ => false,
        };
        if !is_granted {
            let (step, other) = (self.step, answer.message_type);
            let text = format!("DHCP message type {other} in answer to {step:?}");
            return Err(Objection::violation(Violation::WrongType, text));
        }
        let held = match self.step {
            Step::Inform => self.judge_parameters(answer)?,
            _ => self.judge_lease(answer)?,
        };
        Ok(Granted {
            held,
            siaddr: Some(answer.siaddr),
            server_id,
            committed: answer.message_type == 5,
        })
    }

    fn judge_lease(&self, answer: &Answer<'_>) -> Result<Held, Objection> {
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
        Ok(Held {
            address,
            lifetime_seconds,
            ..self.held
        })
    }

    /// RFC 2131 section 4.3.5: in answer to an INFORM there is neither an address nor a lifetime.
    fn judge_parameters(&self, answer: &Answer<'_>) -> Result<Held, Objection> {
        if !answer.yiaddr.is_unspecified() {
            let text = format!("yiaddr {} in answer to an INFORM", answer.yiaddr);
            return Err(Objection::violation(Violation::WrongAddress, text));
        }
        let lifetimes = [answer.lease_seconds, answer.t1_seconds, answer.t2_seconds];
        if lifetimes.iter().any(Option::is_some) {
            let text = format!("lifetimes {lifetimes:?} in answer to an INFORM");
            return Err(Objection::violation(Violation::BadLifetimes, text));
        }
        Ok(self.held)
    }

    fn judge_server(&self, answer: &Answer<'_>) -> Result<Duid, Objection> {
        let wrong = |found: String| Objection::violation(Violation::WrongServer, found);
        let Some(found) = answer.server_id.and_then(|octets| Duid::new(octets).ok()) else {
            return Err(wrong("no server identifier".into()));
        };
        let bound_to_one = matches!(self.step, Step::Request | Step::Renew | Step::Inform);
        match self.server_id {
            Some(asked) if bound_to_one && *asked != found => Err(wrong(format!(
                "server identifier {found:?}, asked {asked:?}"
            ))),
            _ => Ok(found),
        }
    }
}

/// One sub-option of option 82: as the pattern says, or as usual.
fn put_sub_option(
    writer: &mut Writer<'_>,
    code: u8,
    pattern: Option<&Template>,
    subject: Subject,
    usual: &[u8],
) {
    let start = writer.len();
    writer.put(&[code, 0]);
    match pattern {
        Some(pattern) => pattern.write(subject, writer),
        None => writer.put(usual),
    }
    writer.patch_u8(start + 1, (writer.len() - start - 2) as u8); // 80 at most
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
