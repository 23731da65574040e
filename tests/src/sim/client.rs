//! What does a client do, and what does it believe? The part that both families share.

use super::random::Random;
use super::{v4, v6};
use dhcp_lease::{Lease, LeaseKind};

/// Milliseconds of the simulated world since its beginning. It has one time, which nobody can set.
pub type Millis = u64;

/// A client of one family.
#[derive(Clone, Debug)]
pub enum Client {
    /// DHCPv4.
    V4(v4::Client),
    /// DHCPv6.
    V6(v6::Client),
}

/// Who a client is. What it holds is recorded under these octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Client identifier, perhaps empty, or DUID.
    pub octets: Vec<u8>,
}

/// A frame of a client's.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its octets.
    pub frame: Vec<u8>,
    /// What it is, for the event log.
    pub what: &'static str,
    /// It must neither be late nor come twice: a RELEASE that overtakes nothing and is overtaken by
    /// nothing. (DHCP itself has no answer to one that arrives after the next lease was granted.)
    pub is_in_order: bool,
}

/// What happened to a client, as it sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It may use a lease from now on, for so many seconds.
    Granted {
        /// Which IA; 0 in DHCPv4.
        iaid: u32,
        /// The lease.
        lease: Lease,
        /// Seconds.
        valid: u32,
    },
    /// The server took a lease away that the client has, or would not extend it.
    Refused {
        /// Which IA.
        iaid: u32,
        /// The lease.
        lease: Lease,
        /// How.
        how: &'static str,
    },
    /// It does not use a lease any more, of its own accord.
    LetGo {
        /// Which IA.
        iaid: u32,
        /// The lease.
        lease: Lease,
    },
    /// The server said something that no server may say.
    Nonsense(String),
}

/// What a client does when it is woken or hears something.
#[derive(Debug, Default)]
pub struct Turn {
    /// Frames to send.
    pub sent: Vec<Sent>,
    /// What happened.
    pub events: Vec<Event>,
    /// In how many milliseconds it wants to be woken; `None`: as it was before.
    pub wake_in: Option<Millis>,
}

/// A lease as a client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which IA.
    pub iaid: u32,
    /// Address or prefix.
    pub lease: Lease,
    /// Until when.
    pub until: Millis,
}

/// How long a client waits for an answer before it asks again.
pub const TIMEOUT: Millis = 1_000;
/// How often it asks.
pub const TRIES: u32 = 3;

impl Client {
    /// Lets it do what is due.
    pub fn wake(&mut self, now: Millis, random: &mut Random) -> Turn {
        match self {
            Self::V4(client) => client.wake(now, random),
            Self::V6(client) => client.wake(now, random),
        }
    }

    /// Gives it a frame that is addressed to it.
    pub fn hear(&mut self, frame: &[u8], now: Millis, random: &mut Random) -> Turn {
        match self {
            Self::V4(client) => client.hear(frame, now, random),
            Self::V6(client) => client.hear(frame, now, random),
        }
    }

    /// Its power failed: it comes back soon, and remembers what it held.
    pub fn reboot(&mut self) {
        match self {
            Self::V4(client) => client.reboot(),
            Self::V6(client) => client.reboot(),
        }
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        match self {
            Self::V4(client) => &client.identity,
            Self::V6(client) => &client.identity,
        }
    }

    /// What it believes to hold.
    pub fn held(&self) -> &[Held] {
        match self {
            Self::V4(client) => client.held.as_slice(),
            Self::V6(client) => &client.held,
        }
    }

    /// Whether a record of the store is this client's.
    pub fn is_named(&self, kind: LeaseKind, client: &[u8], hardware: &[u8]) -> bool {
        let identity = self.identity();
        match (self, kind) {
            (Self::V4(_), LeaseKind::V4) if identity.octets.is_empty() => {
                client.is_empty() && hardware == identity.mac
            }
            (Self::V4(_), LeaseKind::V4)
            | (Self::V6(_), LeaseKind::Address | LeaseKind::Prefix) => client == identity.octets,
            (Self::V4(_) | Self::V6(_), _) => false,
        }
    }
}

/// An identity that nobody had before.
pub fn new_identity(number: u64, family: u8, lengths: &[usize], random: &mut Random) -> Identity {
    let [.., a, b, c, d] = number.to_be_bytes();
    let len = *random.pick(lengths);
    // The number is in it, so that no two are alike.
    let mut octets: Vec<u8> = [0, 4, family, a, b, c, d]
        .into_iter()
        .cycle()
        .take(len)
        .collect();
    if len > 7 {
        random.fill(&mut octets[7..]);
    }
    Identity {
        mac: [2, family, a, b, c, d],
        octets,
    }
}
