//! Whose turn is it to be cleared up? One word that all workers advance.

use crate::sync::{AtomicU64, Ordering};
use crossbeam::utils::CachePadded;
use dhcp_lease::Timestamp;

/// The clearing up of what ended: once a second every partition has its turn, by whichever worker comes
/// by. So none is left out when the workers of one interface are not running.
#[derive(Debug, Default)]
pub struct Round {
    /// The second in which it began, and in the lowest 16 bits the next partition.
    state: CachePadded<AtomicU64>,
}

impl Round {
    const INDEX_BITS: u32 = 16;

    /// The next partition whose turn it is, for the caller alone. A new round begins when the last one
    /// has ended, so that being late leaves no partition out.
    pub fn take(&self, now: Timestamp, partitions: usize) -> Option<usize> {
        let partitions = (partitions as u64).min((1 << Self::INDEX_BITS) - 1);
        let begins_next = |state: u64| {
            let next = state & ((1 << Self::INDEX_BITS) - 1);
            if next < partitions {
                Some((state >> Self::INDEX_BITS, next))
            } else {
                (now.0 > state >> Self::INDEX_BITS).then_some((now.0, 0))
            }
        };
        let result = self
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
                let (second, next) = begins_next(state)?;
                Some(second << Self::INDEX_BITS | (next + 1))
            });
        let (_, next) = begins_next(result.ok()?)?;
        Some(next as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_its_turn_once_a_second_whoever_comes_by() {
        let round = Round::default();
        let take = |second| round.take(Timestamp(second), 3);
        assert_eq!(
            [take(0), take(0), take(0), take(0)],
            [Some(0), Some(1), Some(2), None]
        );
        assert_eq!(
            [take(7), take(7), take(7), take(7)],
            [Some(0), Some(1), Some(2), None]
        );
        assert_eq!(take(7), None);
        assert_eq!(
            take(6),
            None,
            "a worker whose clock reading is older begins nothing"
        );
        assert_eq!([take(8), take(8)], [Some(0), Some(1)]);
        // Late: the round goes on where it was, and the next begins after it.
        assert_eq!([take(9), take(9), take(9)], [Some(2), Some(0), Some(1)]);
    }

    #[test]
    fn workers_share_out_a_round() {
        let round = Round::default();
        let taken = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    let take = || std::iter::from_fn(|| round.take(Timestamp(1), 1000));
                    scope.spawn(move || take().collect::<Vec<_>>())
                })
                .collect();
            let mut taken: Vec<_> = workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap())
                .collect();
            taken.sort_unstable();
            taken
        });
        // The first round is of second 0, the next of second 1.
        let twice: Vec<_> = (0..2000).map(|number| number / 2).collect();
        assert_eq!(taken, twice);
    }
}
