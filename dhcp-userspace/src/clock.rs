//! What time is it for leases?

use dhcp_lease::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// Server time: the wall clock at the start, and since then the boot clock, which counts sleep and knows
/// no steps. So no lease ends early or late because somebody set the clock while the server ran.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Server time when the boot clock read zero. (Before 1970 only if the wall clock is wrong by
    /// decades, then it starts at 0.)
    at_boot_seconds: u64,
}

impl Clock {
    /// A clock that starts now, but not before `not_before`: the latest moment that the lease store has
    /// seen, in case the wall clock went back across a restart.
    pub fn start(not_before: Timestamp) -> Self {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let start = wall.max(not_before.0);
        Self {
            at_boot_seconds: start.saturating_sub(boot_seconds()),
        }
    }

    /// The time, in whole seconds. Never goes back.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.at_boot_seconds.saturating_add(boot_seconds()))
    }
}

fn boot_seconds() -> u64 {
    u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_lies_before_what_the_store_has_seen() {
        let ahead = Timestamp(4_000_000_000_000);
        assert!(Clock::start(ahead).now() >= ahead);
    }

    #[test]
    fn time_is_the_wall_clock_s_at_the_start() {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let now = Clock::start(Timestamp(0)).now().0;
        assert!((wall..=wall + 2).contains(&now), "{now} at {wall}");
    }
}
