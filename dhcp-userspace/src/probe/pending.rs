//! Which addresses are being asked for, and what is to be done next? Pure: time is an argument.

use dhcp_core::probe::Probe;
use dhcp_wire::frame::MacAddress;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Addresses that are asked for at one time; more are begun as these end.
const PENDING_MAX: usize = 2048;
/// Requests that leave in one step, of which there are a hundred in a second.
const SENDS_PER_STEP: usize = 64;

/// By which way an address is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// On a link of ours.
    Arp {
        /// Our interface.
        interface: String,
        /// Its Ethernet address.
        mac: MacAddress,
        /// Our address on the link.
        own: Ipv4Addr,
    },
    /// By ICMP echo, wherever it is.
    Echo,
}

/// How asking for an address ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Every request left, and nobody answered.
    Silence,
    /// One did not leave.
    Unsent,
}

/// The addresses that are being asked for.
#[derive(Debug, Default)]
pub(super) struct Pending {
    entries: BTreeMap<Ipv4Addr, Entry>,
}

#[derive(Debug)]
struct Entry {
    probe: Probe,
    way: Way,
    sent: u8,
    due: Duration,
}

impl Pending {
    /// Whether nothing is being asked.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Begins to ask for an address, unless that is being done. Whether there was room.
    pub(super) fn begin(
        &mut self,
        address: Ipv4Addr,
        probe: Probe,
        way: impl FnOnce() -> Way,
        now: Duration,
    ) -> bool {
        if self.entries.contains_key(&address) {
            return true;
        }
        if self.entries.len() == PENDING_MAX {
            return false;
        }
        let entry = Entry {
            probe,
            way: way(),
            sent: 0,
            due: now,
        };
        self.entries.insert(address, entry);
        true
    }

    /// Somebody answered for an address. Whether it was asked for.
    pub(super) fn answered(&mut self, address: Ipv4Addr) -> bool {
        let was_sent = self.entries.get(&address).is_some_and(|it| it.sent > 0);
        was_sent && self.entries.remove(&address).is_some()
    }

    /// Gives everything up.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Ipv4Addr> {
        std::mem::take(&mut self.entries).into_keys()
    }

    /// Has sent what is due at `now`, and says what is over. `send` says whether a request left.
    pub(super) fn step(
        &mut self,
        now: Duration,
        mut send: impl FnMut(Ipv4Addr, &Way) -> bool,
        mut over: impl FnMut(Ipv4Addr, End),
    ) {
        let mut sends = SENDS_PER_STEP;
        self.entries.retain(|&address, entry| {
            if entry.due > now {
                return true;
            }
            if entry.sent >= entry.probe.requests {
                over(address, End::Silence);
                return false;
            }
            if sends == 0 {
                return true;
            }
            sends -= 1;
            if !send(address, &entry.way) {
                over(address, End::Unsent);
                return false;
            }
            entry.sent += 1;
            entry.due = now + Duration::from_millis(entry.probe.reply_timeout_millis.into());
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Probe = Probe {
        requests: 2,
        reply_timeout_millis: 100,
        quiet_seconds: 60,
    };

    fn address(number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(0x0a00_0000 + number)
    }

    fn begin(pending: &mut Pending, number: u32) -> bool {
        pending.begin(address(number), PROBE, || Way::Echo, Duration::ZERO)
    }

    /// What is done at a moment: addresses that are asked for, and those that are over.
    fn step(pending: &mut Pending, millis: u64) -> (Vec<Ipv4Addr>, Vec<Ipv4Addr>) {
        let (mut sent, mut silent) = (Vec::new(), Vec::new());
        let send = |address, way: &Way| {
            assert_eq!(*way, Way::Echo);
            sent.push(address);
            true
        };
        pending.step(Duration::from_millis(millis), send, |address, end| {
            assert_eq!(end, End::Silence);
            silent.push(address);
        });
        (sent, silent)
    }

    #[test]
    fn an_address_is_clear_when_no_request_was_answered_in_time() {
        let mut pending = Pending::default();
        let one = vec![address(1)];
        assert!(begin(&mut pending, 1) && begin(&mut pending, 1));
        assert_eq!(step(&mut pending, 0), (one.clone(), vec![]));
        assert_eq!(step(&mut pending, 99), (vec![], vec![]));
        assert_eq!(step(&mut pending, 100), (one.clone(), vec![]));
        assert_eq!(step(&mut pending, 199), (vec![], vec![]));
        assert_eq!(step(&mut pending, 200), (vec![], one));
        assert!(pending.is_empty());
    }

    #[test]
    fn an_answer_ends_it_and_counts_only_if_it_was_asked_for() {
        let mut pending = Pending::default();
        begin(&mut pending, 1);
        assert!(!pending.answered(address(1)), "nobody was asked yet");
        step(&mut pending, 0);
        assert!(!pending.answered(address(2)));
        assert!(pending.answered(address(1)));
        assert!(!pending.answered(address(1)));
        assert_eq!(step(&mut pending, 1000), (vec![], vec![]));
    }

    #[test]
    fn what_cannot_be_sent_ends_at_once() {
        let mut pending = Pending::default();
        begin(&mut pending, 1);
        let mut ends = Vec::new();
        pending.step(Duration::ZERO, |_, _| false, |_, end| ends.push(end));
        assert_eq!(ends, [End::Unsent]);
        assert!(pending.is_empty());
    }

    #[test]
    fn many_at_once_are_bounded_and_all_have_their_turn() {
        let mut pending = Pending::default();
        let begun = (0..5000).filter(|&number| begin(&mut pending, number));
        assert_eq!(begun.count(), PENDING_MAX);
        let mut counts = (0, 0);
        for turn in 0..1000 {
            let (sent, silent) = step(&mut pending, turn * 10);
            assert!(sent.len() <= SENDS_PER_STEP);
            counts = (counts.0 + sent.len(), counts.1 + silent.len());
        }
        assert_eq!(counts, (2 * PENDING_MAX, PENDING_MAX));
    }

    #[test]
    fn whoever_cannot_ask_gives_everything_up() {
        let mut pending = Pending::default();
        begin(&mut pending, 1);
        assert_eq!(pending.drain().collect::<Vec<_>>(), [address(1)]);
        assert!(pending.is_empty());
    }
}
