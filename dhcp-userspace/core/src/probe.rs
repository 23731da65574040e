//! Does somebody use an address already that is about to be offered? What is asked, and what is known.
//!
//! A table of fixed size between the workers, who ask and do not wait, and one prober, who sends and listens. It is
//! no record: what is forgotten is asked again. Invariants:
//! - An entry is one atomic word, so nobody waits for anybody, and nothing is known of an address that was not
//!   answered for this very address.
//! - Where there is no room the answer is "nobody asks": too many questions cost probes, never offers.

use crate::sync::{AtomicBool, AtomicU64, Ordering};
use core::net::Ipv4Addr;
use dhcp_lease::Timestamp;

/// How many addresses are known or asked for at a time.
const ENTRIES: usize = 8192;
/// Among how many entries an address has its place.
const PLACES: usize = 8;
/// How often a place is sought anew because another thread took the one that was found.
const ATTEMPTS_MAX: usize = 4;

/// How long a question stands. Then it is asked anew: whoever was to find out may be gone.
const ASKED_SECONDS: u64 = 15;
/// How long it holds that nobody answered: for as long as an offer, unless configured otherwise.
const CLEAR_SECONDS: u64 = 60;
/// How long it holds that somebody answered, until a DISCOVER comes that sets the address aside.
const USED_SECONDS: u64 = 300;

/// Of an entry: the address, two bits of state, the second.
const STATE_SHIFT: u32 = 30;
const SECONDS_MASK: u64 = (1 << STATE_SHIFT) - 1;

/// How addresses of a subnet are probed before they are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// How many requests are sent (`min-ping-requests`).
    pub requests: u8,
    /// How long each is waited for, in milliseconds (`reply-timeout`).
    pub reply_timeout_millis: u32,
    /// For how many seconds after it was last heard a client may have its former address without a probe
    /// (`ping-cltt-secs`).
    pub quiet_seconds: u32,
}

impl Probe {
    /// When a probe that begins now is over for sure, and a second later.
    pub(crate) fn deadline(&self, now: Timestamp) -> Timestamp {
        let millis = u32::from(self.requests).saturating_mul(self.reply_timeout_millis);
        now.after(millis.div_ceil(1000).saturating_add(2))
    }
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Somebody is finding out.
    Asked,
    /// Nobody answered for it.
    Clear,
    /// Somebody answered for it.
    Used,
}

/// What is asked and known of addresses.
#[derive(Debug)]
pub struct Probes {
    entries: Box<[AtomicU64]>,
    /// Whether something was asked since the prober looked.
    has_news: AtomicBool,
    /// How many answers there were.
    answers: AtomicU64,
    /// How many addresses were not asked for because there was no room.
    skipped: AtomicU64,
}

impl Default for Probes {
    fn default() -> Self {
        Self::with_entries(ENTRIES)
    }
}

/// An entry, taken apart.
#[derive(Clone, Copy)]
struct Entry {
    address: Ipv4Addr,
    finding: Finding,
    seconds: u64,
}

impl Entry {
    fn new(address: Ipv4Addr, finding: Finding, now: Timestamp) -> Self {
        Self {
            address,
            finding,
            seconds: now.0 & SECONDS_MASK,
        }
    }

    fn of(word: u64) -> Option<Self> {
        let finding = match word >> STATE_SHIFT & 3 {
            1 => Finding::Asked,
            2 => Finding::Clear,
            3 => Finding::Used,
            _ => return None,
        };
        Some(Self {
            address: Ipv4Addr::from_bits((word >> 32) as u32),
            finding,
            seconds: word & SECONDS_MASK,
        })
    }

    fn word(self) -> u64 {
        let state = match self.finding {
            Finding::Asked => 1,
            Finding::Clear => 2,
            Finding::Used => 3,
        };
        u64::from(self.address.to_bits()) << 32 | state << STATE_SHIFT | self.seconds
    }

    /// Whether it still holds. The second wraps after 34 years.
    fn holds(self, now: Timestamp) -> bool {
        let age = (now.0 & SECONDS_MASK).wrapping_sub(self.seconds) & SECONDS_MASK;
        let limit = match self.finding {
            Finding::Asked => ASKED_SECONDS,
            Finding::Clear => CLEAR_SECONDS,
            Finding::Used => USED_SECONDS,
        };
        age < limit
    }
}

/// Where an address may be entered.
enum Room {
    /// Its own entry, which holds.
    Known(Finding),
    /// A place whose word may be replaced.
    Place(usize, u64),
    /// Every place holds what must not be lost.
    Full,
}

impl Probes {
    /// With room for so many addresses.
    pub fn with_entries(entries: usize) -> Self {
        Self {
            entries: (0..entries).map(|_| AtomicU64::new(0)).collect(),
            has_news: AtomicBool::new(false),
            answers: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        }
    }

    /// What is known of an address; if nothing is, somebody will find out. `None`: there is no room for one more
    /// question. Constant time, no heap.
    pub fn look(&self, address: Ipv4Addr, now: Timestamp) -> Option<Finding> {
        let asked = Entry::new(address, Finding::Asked, now).word();
        for _ in 0..ATTEMPTS_MAX {
            let (place, word) = match self.room(address, now) {
                Room::Known(finding) => return Some(finding),
                Room::Place(place, word) => (place, word),
                Room::Full => break,
            };
            let replaced = self.entries.get(place)?.compare_exchange(
                word,
                asked,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if replaced.is_ok() {
                self.has_news.store(true, Ordering::Release);
                return Some(Finding::Asked);
            }
        }
        self.skipped.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// What is known of an address. Asks nothing.
    pub fn known(&self, address: Ipv4Addr, now: Timestamp) -> Option<Finding> {
        let entries = self.places(address).filter_map(|place| self.entry(place));
        let mut own = entries.filter(|(_, entry)| entry.address == address && entry.holds(now));
        own.next().map(|(_, entry)| entry.finding)
    }

    /// Whether something was asked since this was called last. For the prober.
    pub fn take_news(&self) -> bool {
        self.has_news.swap(false, Ordering::AcqRel)
    }

    /// Visits what is asked, the whole table through. For the prober.
    pub fn asked(&self, now: Timestamp, mut visit: impl FnMut(Ipv4Addr)) {
        (0..self.entries.len())
            .filter_map(|place| self.entry(place))
            .filter(|(_, entry)| entry.finding == Finding::Asked && entry.holds(now))
            .for_each(|(_, entry)| visit(entry.address));
    }

    /// Answers what is asked of an address. Whether it was.
    pub fn answer(&self, address: Ipv4Addr, finding: Finding, now: Timestamp) -> bool {
        let answer = Entry::new(address, finding, now).word();
        let is_answered = self.replace(address, answer, |found| found == Finding::Asked);
        if is_answered {
            self.answers.fetch_add(1, Ordering::Release);
        }
        is_answered
    }

    /// Forgets that an address is in use: it is set aside, and probed anew when it comes back.
    pub fn forget(&self, address: Ipv4Addr) {
        self.replace(address, 0, |found| found == Finding::Used);
    }

    /// How many answers there were: who waits for one need not look before this changes.
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Acquire)
    }

    /// How many addresses were not asked for because there was no room.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Replaces the entry of an address, if its finding is `meant`. Whether it was.
    fn replace(&self, address: Ipv4Addr, by: u64, meant: impl Fn(Finding) -> bool) -> bool {
        self.places(address).any(|place| {
            let Some((word, entry)) = self.entry(place) else {
                return false;
            };
            let is_meant = entry.address == address && meant(entry.finding);
            is_meant
                && self.entries.get(place).is_some_and(|place| {
                    place
                        .compare_exchange(word, by, Ordering::AcqRel, Ordering::Acquire)
                        .is_ok()
                })
        })
    }

    /// Its own entry goes first, then a place where nothing holds, then one of which only that is lost that an
    /// address was clear a while ago.
    fn room(&self, address: Ipv4Addr, now: Timestamp) -> Room {
        let (mut free, mut clear) = (None, None);
        for place in self.places(address) {
            let word = self.word(place);
            match Entry::of(word) {
                Some(entry) if entry.address == address => {
                    return match entry.holds(now) {
                        true => Room::Known(entry.finding),
                        false => Room::Place(place, word),
                    };
                }
                Some(entry) if entry.holds(now) => {
                    if entry.finding == Finding::Clear {
                        clear = clear.or(Some((place, word)));
                    }
                }
                Some(_) | None => free = free.or(Some((place, word))),
            }
        }
        free.or(clear)
            .map_or(Room::Full, |(place, word)| Room::Place(place, word))
    }

    fn entry(&self, place: usize) -> Option<(u64, Entry)> {
        let word = self.word(place);
        Entry::of(word).map(|entry| (word, entry))
    }

    fn word(&self, place: usize) -> u64 {
        let entry = self.entries.get(place);
        entry.map_or(0, |entry| entry.load(Ordering::Acquire))
    }

    /// Where an entry of this address may be.
    fn places(&self, address: Ipv4Addr) -> impl Iterator<Item = usize> + use<> {
        let entries = self.entries.len().max(1);
        // The addresses of a pool are neighbours; multiplied by an odd number they are far apart.
        let start = (address.to_bits().wrapping_mul(0x9e37_79b1) >> 16) as usize;
        (start..start + PLACES.min(entries)).map(move |place| place % entries)
    }
}

#[cfg(test)]
mod tests;
