//! What time is it for leases when a server starts?
//!
//! Server time goes on with the boot clock while the server runs, so the question is only asked at a start.
//! Invariants:
//! - Server time never goes back behind what the store or the clock record has seen.
//! - Nothing that the wall clock says can end most of the leases at once without the operator's word.

mod record;

use crate::binding::{State, Timestamp};

pub use record::{ClockRecord, Origin, Place};

/// With fewer live leases than this nothing is refused: a laboratory is not to wait for an operator.
pub const GUARDED_LEASES_MIN: u64 = 100;

/// Which boot of which machine, as `/proc/sys/kernel/random/boot_id` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootId(pub [u8; 16]);

impl BootId {
    /// It could not be read. It is the same as no other, itself included.
    pub const UNKNOWN: Self = Self([0; 16]);

    fn is_same(self, other: Self) -> bool {
        self == other && self != Self::UNKNOWN
    }
}

/// What the machine's clocks say at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The wall clock; 0 if it is before 1970.
    pub wall: Timestamp,
    /// Seconds since the machine was started, sleep included.
    pub boot_seconds: u64,
    /// In which boot.
    pub boot: BootId,
}

/// What an earlier life of the server wrote down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Server time at that moment.
    pub server: Timestamp,
    /// The machine's clocks at that moment.
    pub clocks: Clocks,
    /// The server time with which the server went on when it refused a jump of the wall clock, unless the
    /// operator has accepted that jump since.
    pub held_since: Option<Timestamp>,
}

/// When a jump of the wall clock is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// How long a server may plausibly have been down: up to here every jump is believed.
    pub downtime_seconds: u64,
    /// A longer one is refused when it ends more than so many of a hundred live leases; 100: never.
    pub percent: u64,
}

/// How many leases a jump concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Share {
    /// Leases that are somebody's before it.
    pub live: u64,
    /// Of these, those that it ends.
    pub ending: u64,
}

impl Share {
    /// Counts a record that is met while the store is read.
    pub fn count(&mut self, state: State, expires: Timestamp, from: Timestamp, to: Timestamp) {
        if state == State::Leased && expires > from {
            self.live += 1;
            self.ending += u64::from(expires <= to);
        }
    }
}

/// What the operator said about the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Nothing.
    None,
    /// It is right: server time is to be the wall clock's.
    Accept,
}

/// Leases that were granted by a clock which was behind, and keep what is left of them when it is put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carry {
    /// Those last answered at this server time or later.
    pub since: Timestamp,
    /// By so much their times move.
    pub seconds: u64,
}

impl Carry {
    /// A moment that a record names, moved. What never ends goes on so.
    #[must_use]
    pub fn moved(&self, moment: Timestamp) -> Timestamp {
        match moment {
            Timestamp::NEVER => moment,
            Timestamp(seconds) => Timestamp(seconds.saturating_add(self.seconds)),
        }
    }
}

/// From what the time of a start was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The machine has not been restarted: the clock record and the boot clock. The wall clock has no say.
    BootClock,
    /// The wall clock.
    WallClock,
    /// The latest moment that is known, because the wall clock is behind it.
    HighWater,
    /// The latest moment that is known, because the wall clock would end too many leases at once.
    Held {
        /// How many.
        share: Share,
        /// How far the wall clock is ahead of what is known.
        jump_seconds: u64,
    },
    /// The wall clock, by the operator's word.
    Accepted,
}

/// The time with which a server starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Server time.
    pub now: Timestamp,
    /// Where it comes from.
    pub source: Source,
    /// Since when a jump of the wall clock has been refused.
    pub held_since: Option<Timestamp>,
    /// What must be done to the store before this time counts.
    pub carry: Option<Carry>,
}

/// The time with which a server starts.
///
/// `latest` is the latest transaction in the store and `share(from, to)` what a jump concerns; both read the
/// whole store, and are asked for only when the wall clock is further ahead than the guard lets pass unseen.
/// (The store may be a little ahead of the clock record after a power cut: whoever opens it takes the later of
/// this time and its latest transaction.)
pub fn start(
    clocks: &Clocks,
    known: Option<&Known>,
    word: Word,
    guard: &Guard,
    latest: impl FnOnce() -> Timestamp,
    share: impl FnOnce(Timestamp, Timestamp) -> Share,
) -> Start {
    let held_since = known.and_then(|known| known.held_since);
    let (now, source) = match known.map(|known| (known, known.elapsed_in_same_boot(clocks))) {
        Some((known, Some(elapsed))) => (known.plus(elapsed), Source::BootClock),
        Some((known, None)) => {
            let elapsed = known.elapsed_by_wall_clock(clocks);
            match elapsed {
                0 => (known.server, Source::HighWater),
                _ => (known.plus(elapsed), Source::WallClock),
            }
        }
        None => (clocks.wall, Source::WallClock),
    };
    if word == Word::Accept {
        return accepted(clocks, now, source, held_since);
    }
    let natural = Start {
        now,
        source,
        held_since,
        carry: None,
    };
    let recorded = known.map_or(Timestamp(0), |known| known.server);
    let is_known = known.is_some() && is_plausible(recorded, now, guard);
    if source != Source::WallClock || is_known {
        return natural;
    }
    let mark = recorded.max(latest());
    if now <= mark {
        return Start {
            now: mark,
            source: Source::HighWater,
            ..natural
        };
    }
    if mark == Timestamp(0) || is_plausible(mark, now, guard) {
        return natural;
    }
    let share = share(mark, now);
    let is_large = share.ending.saturating_mul(100) > share.live.saturating_mul(guard.percent);
    if share.live < GUARDED_LEASES_MIN || !is_large {
        return natural;
    }
    // One second later, so that what is granted from now on can be told from what was granted before.
    let resumed = Timestamp(mark.0.saturating_add(1));
    Start {
        now: resumed,
        source: Source::Held {
            share,
            jump_seconds: now.0 - mark.0,
        },
        held_since: held_since.or(Some(resumed)),
        carry: None,
    }
}

/// By the operator's word server time is the wall clock's. What was granted by a clock that is behind it would
/// end early, so it is carried over.
fn accepted(
    clocks: &Clocks,
    now: Timestamp,
    source: Source,
    held_since: Option<Timestamp>,
) -> Start {
    let seconds = clocks.wall.0.saturating_sub(now.0);
    if seconds == 0 {
        return Start {
            now,
            source,
            held_since: None,
            carry: None,
        };
    }
    let since = held_since.unwrap_or_default();
    Start {
        now: clocks.wall,
        source: Source::Accepted,
        held_since: None,
        carry: Some(Carry { since, seconds }),
    }
}

fn is_plausible(from: Timestamp, to: Timestamp, guard: &Guard) -> bool {
    to.0.saturating_sub(from.0) <= guard.downtime_seconds
}

impl Known {
    fn plus(&self, seconds: u64) -> Timestamp {
        Timestamp(self.server.0.saturating_add(seconds))
    }

    /// `None`: another boot. A boot clock that went back is another one too (a time namespace).
    fn elapsed_in_same_boot(&self, clocks: &Clocks) -> Option<u64> {
        let is_same = self.clocks.boot.is_same(clocks.boot);
        let elapsed = clocks.boot_seconds.checked_sub(self.clocks.boot_seconds);
        elapsed.filter(|_| is_same)
    }

    /// How long the machine was down, as far as the wall clock tells: what it went on since the record, so that
    /// a server whose time is behind the wall clock's (because that was put forward while it ran) stays
    /// behind, and no lease ends early; but not beyond the wall clock, so that one whose time is ahead comes
    /// back to it.
    fn elapsed_by_wall_clock(&self, clocks: &Clocks) -> u64 {
        let since_record = clocks.wall.0.saturating_sub(self.clocks.wall.0);
        let ahead = clocks.wall.0.saturating_sub(self.server.0);
        since_record.min(ahead)
    }
}

#[cfg(test)]
mod tests;
