//! What time is it for leases?

mod beginning;
mod file;
mod keeper;

pub use beginning::{BeginError, Begun, adopt, begin, of_store, time_of};
pub use file::{ClockFile, Past, ReadError};
pub use keeper::{ClockStatus, Keeper};

use dhcp_lease::Timestamp;
use dhcp_lease::clock::{BootId, Clocks};
use rustix::time::{ClockId, clock_gettime};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where Linux tells one boot from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// Server time: what was decided at the start ([`dhcp_lease::clock::start`]), and since then the boot clock,
/// which counts sleep and knows no steps. So no lease ends early or late because somebody set the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Server time when the boot clock read zero; it may lie before 1970.
    at_boot_seconds: i128,
}

impl Clock {
    /// A clock that showed `now` when the boot clock read `boot_seconds`.
    pub fn new(now: Timestamp, boot_seconds: u64) -> Self {
        Self {
            at_boot_seconds: i128::from(now.0) - i128::from(boot_seconds),
        }
    }

    /// The same, but put forward where it lies before a moment that has been.
    #[must_use]
    pub fn not_before(self, moment: Timestamp) -> Self {
        match self.now() < moment {
            true => Self::new(moment, boot_seconds()),
            false => self,
        }
    }

    /// The time, in whole seconds. Never goes back.
    pub fn now(&self) -> Timestamp {
        self.at(boot_seconds())
    }

    /// The time when the boot clock reads `boot_seconds`.
    fn at(&self, boot_seconds: u64) -> Timestamp {
        let now = self.at_boot_seconds + i128::from(boot_seconds);
        Timestamp(u64::try_from(now.max(0)).unwrap_or(u64::MAX))
    }
}

/// What the machine's clocks say now.
pub fn clocks() -> Clocks {
    Clocks {
        wall: wall(),
        boot_seconds: boot_seconds(),
        boot: boot_id(),
    }
}

/// The wall clock, in whole seconds; 0 if it is before 1970.
pub fn wall() -> Timestamp {
    Timestamp(wall_since_epoch().as_secs())
}

fn wall_since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Whole seconds of the boot clock, counted when the wall clock's change: otherwise server time would be up to a
/// second behind it, and the history would say that somebody had an address before asking for it.
fn boot_seconds() -> u64 {
    /// By how much the boot clock's seconds end before the wall clock's, decided once: the clock goes on evenly.
    static PHASE: LazyLock<Duration> = LazyLock::new(|| {
        // Of several looks the one that was interrupted least.
        let looks = (0..8).map(|_| nanos(wall_since_epoch()) - nanos(boot()));
        let ahead = looks.max().unwrap_or(0).rem_euclid(NANOS_PER_SECOND);
        Duration::from_nanos(u64::try_from(ahead).unwrap_or(0))
    });
    (boot() + *PHASE).as_secs()
}

/// The time since the machine was started, sleep included.
fn boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

fn boot_id() -> BootId {
    let text = std::fs::read_to_string(BOOT_ID).unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    match u128::from_str_radix(&digits, 16) {
        Ok(number) if digits.len() == 32 => BootId(number.to_be_bytes()),
        Ok(_) | Err(_) => BootId::UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_with_the_boot_clock_and_never_lies_before_what_has_been() {
        for start in [0, 1_795_000_000, 1 << 31, 1 << 32, 7_258_118_400] {
            // A boot clock that reads more than the wall clock (1970) is no obstacle.
            for boot in [0, 1000, 1 << 40] {
                let clock = Clock::new(Timestamp(start), boot);
                assert_eq!(clock.at(boot), Timestamp(start));
                assert_eq!(clock.at(boot + 7200), Timestamp(start + 7200), "a sleep");
            }
        }
        let ahead = Timestamp(4_000_000_000_000);
        let clock = Clock::new(Timestamp(0), boot_seconds()).not_before(ahead);
        assert!(clock.now() >= ahead);
        assert_eq!(clock.not_before(Timestamp(7)), clock);
    }

    #[test]
    fn seconds_change_with_the_wall_clock_s() {
        let clock = Clock::new(wall(), boot_seconds());
        for _ in 0..20 {
            let (before, now, after) = (wall(), clock.now(), wall());
            assert!(
                (before..=after).contains(&now),
                "{before:?} {now:?} {after:?}"
            );
            std::thread::sleep(Duration::from_millis(60));
        }
    }

    #[test]
    fn this_machine_s_clocks_are_read() {
        let clocks = clocks();
        assert!(clocks.wall.0 > 1_700_000_000);
        assert!(clocks.boot_seconds > 0);
        assert_ne!(clocks.boot, BootId::UNKNOWN);
    }
}
