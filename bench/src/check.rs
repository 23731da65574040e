//! Was the answer right? Kinds of violations, and who holds which address.

use crate::client::Held;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::{IpAddr, Ipv6Addr};

/// What a server did that no server may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// The frame or the message in it cannot be read.
    Malformed,
    /// A checksum of IP or UDP is wrong.
    BadChecksum,
    /// `op`, `htype` or `hlen` of no answer.
    WrongHeader,
    /// The answer names another client (`chaddr`, DUID) than the question.
    WrongClient,
    /// The client identifier is not the one of the question (RFC 6842).
    WrongClientId,
    /// The flags are not those of the question.
    WrongFlags,
    /// `ciaddr` is neither zero nor the client's.
    WrongCiaddr,
    /// `siaddr` is no host's address, or another than was offered.
    WrongSiaddr,
    /// The server identifier is missing, or another than the one asked.
    WrongServer,
    /// A message type that does not answer the question.
    WrongType,
    /// The acknowledged address or prefix is not the one offered or renewed.
    WrongAddress,
    /// Two clients hold one address or prefix at the same time.
    DuplicateAddress,
    /// The address or prefix is outside of what `--expect-prefix` says.
    UnexpectedPrefix,
    /// An address that a client has declined is granted again soon after.
    DeclinedAddress,
    /// The relay agent's part of the message is not what the relay agent sent: `giaddr`, Relay-reply.
    WrongRelay,
    /// Option 82 is not the one that the relay agent sent (RFC 3046).
    WrongRelayOption,
    /// Something stands behind option 82 (RFC 3046 section 2.2: it should be last).
    RelayOptionNotLast,
    /// An option comes twice, though it is short enough for one (RFC 3396).
    DuplicateOption,
    /// No end option, or octets other than zero behind it.
    BadEnd,
    /// Not from a server's port, or from an address that no host has.
    WrongSource,
    /// Addressed to somebody else: Ethernet, VLAN tags, IP address or port.
    WrongDestination,
    /// Lifetimes that are missing, or contradict each other.
    BadLifetimes,
}

impl Violation {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 22] = [
        Self::Malformed,
        Self::BadChecksum,
        Self::WrongHeader,
        Self::WrongClient,
        Self::WrongClientId,
        Self::WrongFlags,
        Self::WrongCiaddr,
        Self::WrongSiaddr,
        Self::WrongServer,
        Self::WrongType,
        Self::WrongAddress,
        Self::DuplicateAddress,
        Self::UnexpectedPrefix,
        Self::DeclinedAddress,
        Self::WrongRelay,
        Self::WrongRelayOption,
        Self::RelayOptionNotLast,
        Self::DuplicateOption,
        Self::BadEnd,
        Self::WrongSource,
        Self::WrongDestination,
        Self::BadLifetimes,
    ];

    /// The name that reports use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::BadChecksum => "bad-checksum",
            Self::WrongHeader => "wrong-header",
            Self::WrongClient => "wrong-client",
            Self::WrongClientId => "wrong-client-id",
            Self::WrongFlags => "wrong-flags",
            Self::WrongCiaddr => "wrong-ciaddr",
            Self::WrongSiaddr => "wrong-siaddr",
            Self::WrongServer => "wrong-server",
            Self::WrongType => "wrong-type",
            Self::WrongAddress => "wrong-address",
            Self::DuplicateAddress => "duplicate-address",
            Self::UnexpectedPrefix => "unexpected-prefix",
            Self::DeclinedAddress => "declined-address",
            Self::WrongRelay => "wrong-relay",
            Self::WrongRelayOption => "wrong-relay-option",
            Self::RelayOptionNotLast => "relay-option-not-last",
            Self::DuplicateOption => "duplicate-option",
            Self::BadEnd => "bad-end",
            Self::WrongSource => "wrong-source",
            Self::WrongDestination => "wrong-destination",
            Self::BadLifetimes => "bad-lifetimes",
        }
    }
}

/// Something wrong, and what was found.
pub type Fault = (Violation, String);

/// Why an answer does not advance its exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// The server is wrong.
    Violation(Violation, String),
    /// The server says no, which it may: NAK, NoAddrsAvail, NoPrefixAvail, NoBinding, ...
    Refused(&'static str),
}

impl std::str::FromStr for Violation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("not one of {}", names.join(", "))
        })
    }
}

impl Objection {
    /// A violation with what was found.
    pub fn violation(kind: Violation, found: impl Into<String>) -> Self {
        Self::Violation(kind, found.into())
    }
}

/// Counted violations and the first few of them in words.
#[derive(Clone, Debug, Default)]
pub struct Violations {
    /// How many of each kind.
    pub counts: std::collections::BTreeMap<Violation, u64>,
    /// The first ones, in full sentences.
    pub samples: Vec<String>,
}

impl Violations {
    const SAMPLES_MAX: usize = 10;

    /// Counts one, and keeps its text when it is among the first.
    pub fn record(&mut self, kind: Violation, text: &str) {
        *self.counts.entry(kind).or_default() += 1;
        if self.samples.len() < Self::SAMPLES_MAX {
            self.samples.push(format!("{}: {text}", kind.name()));
        }
    }

    /// Of all kinds together.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Of one kind.
    pub fn count(&self, kind: Violation) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }
}

/// Who holds which address and prefix, and until when.
#[derive(Default)]
pub struct Holders {
    holders: HashMap<(u128, u8), Holder, BuildHasherDefault<Mix>>,
}

#[derive(Clone, Copy)]
struct Holder {
    client: u32,
    /// Nanoseconds of [`crate::clock::now`].
    until: u64,
}

impl Holders {
    /// Notes what `client` was acknowledged; returns another client that holds one of these still.
    pub fn grant(&mut self, client: u32, held: &Held, now: u64) -> Option<u32> {
        let lifetime = u64::from(held.lifetime_seconds).saturating_mul(1_000_000_000);
        let holder = Holder {
            client,
            until: now.saturating_add(lifetime),
        };
        let mut other = None;
        for key in keys(held) {
            let former = self.holders.insert(key, holder);
            let former = former.filter(|former| former.client != client && former.until > now);
            other = other.or(former.map(|former| former.client));
        }
        other
    }

    /// Who holds an address, if anybody.
    pub fn of(&self, address: IpAddr) -> Option<u32> {
        self.holders.get(&key(address)).map(|holder| holder.client)
    }

    /// Forgets what `client` gave back or was given anew, unless somebody else has it by now.
    pub fn revoke(&mut self, client: u32, held: &Held) {
        for key in keys(held) {
            if self
                .holders
                .get(&key)
                .is_some_and(|holder| holder.client == client)
            {
                self.holders.remove(&key);
            }
        }
    }
}

/// Addresses that clients found in use by somebody else, and declined.
#[derive(Default)]
pub struct Declined {
    until: HashMap<(u128, u8), u64, BuildHasherDefault<Mix>>,
}

impl Declined {
    /// For how long no server may grant a declined address again, in nanoseconds: ten minutes. The RFCs name
    /// no time; servers have an hour or a day.
    const QUARANTINE: u64 = 600_000_000_000;

    /// Notes that an address was declined.
    pub fn add(&mut self, address: IpAddr, now: u64) {
        let until = now.saturating_add(Self::QUARANTINE);
        self.until.insert(key(address), until);
    }

    /// Whether an address was declined a short while ago.
    pub fn has(&self, address: IpAddr, now: u64) -> bool {
        let until = self.until.get(&key(address));
        until.is_some_and(|until| *until > now)
    }
}

fn keys(held: &Held) -> impl Iterator<Item = (u128, u8)> {
    let prefix = held
        .prefix
        .map(|(prefix, length)| (Ipv6Addr::to_bits(prefix), length));
    held.address.map(key).into_iter().chain(prefix)
}

/// An address counts as a prefix of full length. An IPv4 address and an IPv6 address with the same
/// number never meet, as a run has one family.
fn key(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 128),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

/// Multiplication is hash enough for addresses that the server under test chose, and a tenth of the
/// standard hasher's cost, which would be the blaster's own ceiling.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.write_u64(u64::from(*octet));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0xff51_afd7_ed55_8ccd);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64); // the low half, then the high half
        self.write_u64((value >> 64) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(address: &str) -> Held {
        Held {
            address: Some(address.parse().unwrap()),
            lifetime_seconds: 60,
            ..Held::default()
        }
    }

    #[test]
    fn an_address_with_two_holders_is_noticed_until_it_expires() {
        let mut holders = Holders::default();
        assert_eq!(holders.grant(1, &held("10.0.0.1"), 0), None);
        assert_eq!(holders.grant(1, &held("10.0.0.1"), 5), None);
        assert_eq!(holders.grant(2, &held("10.0.0.1"), 10), Some(1));
        assert_eq!(holders.grant(3, &held("10.0.0.1"), 70_000_000_000), None);
    }

    #[test]
    fn a_declined_address_is_nobodys_for_a_while() {
        let (address, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut declined = Declined::default();
        declined.add(address, 5);
        assert!(declined.has(address, 6) && !declined.has(other, 6));
        assert!(!declined.has(address, 6 + Declined::QUARANTINE));
    }

    #[test]
    fn every_violation_has_a_name_of_its_own() {
        for kind in Violation::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("wrong".parse::<Violation>().is_err());
    }

    #[test]
    fn an_address_that_was_given_back_may_have_another_holder() {
        let mut holders = Holders::default();
        holders.grant(1, &held("10.0.0.1"), 0);
        holders.revoke(2, &held("10.0.0.1"));
        holders.revoke(1, &held("10.0.0.1"));
        assert_eq!(holders.grant(2, &held("10.0.0.1"), 1), None);
    }
}
