//! Which questions are unanswered? Exchanges in flight, found by their transaction number.

use crate::Family;
use crate::client::Held;
use std::net::Ipv4Addr;

/// The message that a client waits for an answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// DISCOVER, Solicit.
    Discover,
    /// REQUEST of an offered address, Request.
    Request,
    /// REQUEST in state RENEWING, Renew.
    Renew,
    /// REQUEST in state REBINDING, Rebind.
    Rebind,
    /// REQUEST in state INIT-REBOOT, Confirm.
    Reboot,
    /// DECLINE, which DHCPv4 does not answer; Decline.
    Decline,
    /// RELEASE, which DHCPv4 does not answer; Release.
    Release,
    /// INFORM, Information-request.
    Inform,
}

impl Step {
    /// All steps, in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::Discover,
        Self::Request,
        Self::Renew,
        Self::Rebind,
        Self::Reboot,
        Self::Decline,
        Self::Release,
        Self::Inform,
    ];

    /// Question and answer by their names in the RFCs.
    pub fn name(self, family: Family, rapid_commit: bool) -> &'static str {
        match (family, self) {
            (Family::V4, Self::Discover) if rapid_commit => "discover-ack",
            (Family::V4, Self::Discover) => "discover-offer",
            (Family::V4, Self::Request) => "request-ack",
            (Family::V4, Self::Renew) => "renew-ack",
            (Family::V4, Self::Rebind) => "rebind-ack",
            (Family::V4, Self::Reboot) => "reboot-ack",
            (Family::V4, Self::Decline) => "decline",
            (Family::V4, Self::Release) => "release",
            (Family::V4, Self::Inform) => "inform-ack",
            (Family::V6, Self::Discover) if rapid_commit => "solicit-reply",
            (Family::V6, Self::Discover) => "solicit-advertise",
            (Family::V6, Self::Request) => "request-reply",
            (Family::V6, Self::Renew) => "renew-reply",
            (Family::V6, Self::Rebind) => "rebind-reply",
            (Family::V6, Self::Reboot) => "confirm-reply",
            (Family::V6, Self::Decline) => "decline-reply",
            (Family::V6, Self::Release) => "release-reply",
            (Family::V6, Self::Inform) => "information-request-reply",
        }
    }
}

/// What a client set out to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A lease from nothing: DORA, or Solicit, Advertise, Request, Reply.
    Obtain,
    /// The lease it has, from the server that granted it.
    Renew,
    /// The lease it has, from any server.
    Rebind,
    /// The lease that it remembers after a restart: INIT-REBOOT, Confirm.
    Reboot,
    /// Finds its address in use by somebody else, declines it and obtains another one.
    Decline,
    /// Gives its lease back.
    Release,
    /// Parameters for an address that it has.
    Inform,
}

impl Operation {
    /// All operations, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::Obtain,
        Self::Renew,
        Self::Rebind,
        Self::Reboot,
        Self::Decline,
        Self::Release,
        Self::Inform,
    ];

    /// The name that `--mix` and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Obtain => "obtain",
            Self::Renew => "renew",
            Self::Rebind => "rebind",
            Self::Reboot => "reboot",
            Self::Decline => "decline",
            Self::Release => "release",
            Self::Inform => "inform",
        }
    }

    /// Its first message.
    pub fn first_step(self) -> Step {
        match self {
            Self::Obtain => Step::Discover,
            Self::Renew => Step::Renew,
            Self::Rebind => Step::Rebind,
            Self::Reboot => Step::Reboot,
            Self::Decline => Step::Decline,
            Self::Release => Step::Release,
            Self::Inform => Step::Inform,
        }
    }
}

/// One exchange: up to two questions of one client.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// Number of the client.
    pub client: u32,
    /// What it is for.
    pub operation: Operation,
    /// The question that is unanswered.
    pub step: Step,
    /// How often this question was repeated.
    pub repetitions: u8,
    /// When the exchange was meant to begin, nanoseconds of [`crate::clock::now`].
    pub began: u64,
    /// When this question was meant to be sent for the first time.
    pub asked: u64,
    /// When it is repeated or given up; zero until it is sent.
    pub deadline: u64,
    /// What was offered, once something was.
    pub offered: Held,
    /// The next server of that offer.
    pub siaddr: Option<Ipv4Addr>,
    /// Servers that made an offer, a bit for each by its number.
    pub heard: u64,
    /// DISCOVERs sent.
    pub discovers: u8,
    /// Seconds since the client began to look for a lease, at the last DISCOVER (RFC 2131 section 2).
    pub secs: u16,
}

/// Exchanges in flight. A transaction number is the index of a slot and the slot's generation, so that
/// an answer finds its exchange without a search and a late one finds nobody.
pub struct Exchanges {
    slots: Vec<Slot>,
    /// Slots in the order in which they fell free: the longest free one is used first, which keeps
    /// a transaction number from coming back while an answer to its former use may still be under way.
    free: std::collections::VecDeque<u32>,
    slot_bits: u32,
    mask: u32,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    generation: u32,
    exchange: Option<Exchange>,
}

/// DHCPv6 has this many bits for a transaction identifier; DHCPv4's are filled to 32 with a constant.
const TRANSACTION_BITS: u32 = 24;

impl Exchanges {
    /// Room for at least `capacity` exchanges, a million at most. The transaction numbers depend on
    /// `seed`.
    pub fn new(capacity: usize, seed: u64) -> Self {
        let capacity = capacity.clamp(4096, 1 << 20).next_power_of_two();
        let mask = dhcp_wire::id::spread(seed, b"transaction") & ((1 << TRANSACTION_BITS) - 1);
        Self {
            slots: vec![Slot::default(); capacity],
            free: (0..capacity as u32).collect(), // a million at most
            slot_bits: capacity.trailing_zeros(),
            mask,
        }
    }

    /// How many are in flight.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes one up; returns its transaction number, or nothing when all slots are in use.
    pub fn begin(&mut self, exchange: Exchange) -> Option<u32> {
        let index = self.free.pop_front()?;
        let slot = self.slots.get_mut(index as usize)?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.exchange = Some(exchange);
        Some(self.transaction(index))
    }

    /// The exchange that `transaction` stands for, if it is in flight.
    pub fn find(&mut self, transaction: u32) -> Option<&mut Exchange> {
        let (index, generation) = self.split(transaction);
        let generations = self.generation_mask();
        let slot = self.slots.get_mut(index as usize)?;
        (slot.generation & generations == generation).then_some(())?;
        slot.exchange.as_mut()
    }

    /// A new number for an exchange whose next question begins: DHCPv6 wants one per question
    /// (RFC 9915 section 16.1). The former number finds nobody from now on.
    pub fn renumber(&mut self, transaction: u32) -> Option<u32> {
        self.find(transaction)?;
        let (index, _) = self.split(transaction);
        let slot = self.slots.get_mut(index as usize)?;
        slot.generation = slot.generation.wrapping_add(1);
        Some(self.transaction(index))
    }

    /// Ends one and returns it.
    pub fn end(&mut self, transaction: u32) -> Option<Exchange> {
        self.find(transaction)?;
        let (index, _) = self.split(transaction);
        let exchange = self.slots.get_mut(index as usize)?.exchange.take();
        self.free.push_back(index);
        exchange
    }

    fn transaction(&self, index: u32) -> u32 {
        let generation = self
            .slots
            .get(index as usize)
            .map_or(0, |slot| slot.generation);
        let plain = ((generation & self.generation_mask()) << self.slot_bits) | index;
        plain ^ self.mask
    }

    fn split(&self, transaction: u32) -> (u32, u32) {
        let plain = (transaction ^ self.mask) & ((1 << TRANSACTION_BITS) - 1);
        (plain & ((1 << self.slot_bits) - 1), plain >> self.slot_bits)
    }

    fn generation_mask(&self) -> u32 {
        (1 << (TRANSACTION_BITS - self.slot_bits)) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(client: u32) -> Exchange {
        let (operation, step) = (Operation::Obtain, Step::Discover);
        let offered = Held::default();
        Exchange {
            client,
            operation,
            step,
            repetitions: 0,
            began: 0,
            asked: 0,
            deadline: 0,
            offered,
            siaddr: None,
            heard: 0,
            discovers: 0,
            secs: 0,
        }
    }

    #[test]
    fn a_transaction_number_finds_its_exchange_until_it_ends() {
        let mut exchanges = Exchanges::new(1, 99);
        let first = exchanges.begin(exchange(1)).unwrap();
        let second = exchanges.begin(exchange(2)).unwrap();
        assert_eq!(exchanges.find(first).unwrap().client, 1);
        let renumbered = exchanges.renumber(second).unwrap();
        assert!(exchanges.find(second).is_none());
        assert_eq!(exchanges.end(renumbered).unwrap().client, 2);
        assert!(exchanges.find(renumbered).is_none());
        assert_eq!(exchanges.len(), 1);
    }

    #[test]
    fn no_transaction_number_comes_back_within_a_million_exchanges() {
        let mut exchanges = Exchanges::new(1, 3);
        let mut seen = std::collections::HashSet::new();
        for client in 0..1_000_000 {
            let transaction = exchanges.begin(exchange(client)).unwrap();
            assert!(seen.insert(transaction), "{transaction:#x} twice");
            exchanges.end(transaction).unwrap();
        }
    }
}
