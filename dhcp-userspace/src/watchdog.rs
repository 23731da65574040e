//! Does every worker still make progress? What systemd is told follows from this.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How far each worker had come when it was last seen to move.
#[derive(Debug, Default)]
pub struct Watchdog {
    seen: BTreeMap<usize, (u64, Instant)>,
}

impl Watchdog {
    /// Compares each worker's count of rounds with what it was before. The workers that have stood still
    /// for longer than `patience`; one that is new has just moved.
    pub fn stuck(
        &mut self,
        rounds: impl IntoIterator<Item = (usize, u64)>,
        now: Instant,
        patience: Duration,
    ) -> Vec<usize> {
        let mut seen = BTreeMap::new();
        let mut stuck = Vec::new();
        for (worker, count) in rounds {
            let since = match self.seen.get(&worker) {
                Some((before, since)) if *before == count => *since,
                Some(_) | None => now,
            };
            if now.duration_since(since) > patience {
                stuck.push(worker);
            }
            seen.insert(worker, (count, since));
        }
        // A worker whose device went away is not waited for.
        self.seen = seen;
        stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_still_for_too_long_is_stuck_until_it_moves() {
        let mut watchdog = Watchdog::default();
        let start = Instant::now();
        let patience = Duration::from_secs(1);
        for (millis, rounds, expected) in [
            (0, vec![(0, 5), (1, 5)], vec![]),
            (900, vec![(0, 9), (1, 5)], vec![]),
            (1_100, vec![(0, 12), (1, 5)], vec![1]),
            (1_900, vec![(0, 12), (1, 5), (2, 0)], vec![1]),
            (2_200, vec![(0, 12), (1, 6), (2, 0)], vec![0]),
            (2_300, vec![(1, 6), (2, 0)], vec![]),
            (9_900, vec![(0, 12), (1, 7), (2, 1)], vec![]),
        ] {
            let now = start + Duration::from_millis(millis);
            assert_eq!(watchdog.stuck(rounds, now, patience), expected, "{millis}");
        }
    }
}
