//! What workers share beside the pools: whose turn it is, what is in force, who sleeps.

use crate::check;
use crate::nap::Nap;
use crate::round::Round;
use crate::snapshot::Shared;
use crate::sync::{AtomicBool, AtomicU64, Ordering};
use dhcp_lease::Timestamp;
use loom::sync::Arc;
use loom::thread;

/// Two workers in one second and at the turn to the next: every partition has its turn once a round.
pub fn a_round_gives_each_partition_once() {
    check(|| {
        let round = Arc::new(Round::default());
        let take = |round: &Round, seconds: [u64; 2]| -> Vec<usize> {
            let taken = seconds.map(|second| round.take(Timestamp(second), 2));
            taken.into_iter().flatten().collect()
        };
        let other = {
            let round = Arc::clone(&round);
            thread::spawn(move || take(&round, [0, 0]))
        };
        let mut taken = take(&round, [0, 1]);
        taken.extend(other.join().unwrap());
        // A third turn only when the new second was seen after both partitions had theirs.
        let turns = |partition| taken.iter().filter(|taken| **taken == partition).count();
        assert!(turns(0) <= 2 && turns(1) <= turns(0), "{taken:?}");
        taken.extend(std::iter::from_fn(|| round.take(Timestamp(1), 2)));
        taken.sort_unstable();
        // The round of second 0 and that of second 1, whole, and nothing else.
        assert_eq!(taken, [0, 0, 1, 1]);
    });
}

/// A view has a value and its generation from one moment, and misses none that it was told of.
pub fn a_view_sees_either_generation_whole() {
    check(|| {
        // Each value is its generation.
        let shared = Arc::new(Shared::new(1u64));
        let replaced = Arc::new(AtomicU64::new(1));
        let writer = {
            let (shared, replaced) = (Arc::clone(&shared), Arc::clone(&replaced));
            thread::spawn(move || {
                for value in [2, 3] {
                    let generation = shared.replace(std::sync::Arc::new(value));
                    assert_eq!(generation, value);
                    replaced.store(generation, Ordering::Release);
                }
            })
        };
        let mut view = shared.view();
        for _ in 0..2 {
            let told = replaced.load(Ordering::Acquire);
            let before = view.generation();
            assert_eq!(view.refresh(&shared), view.generation() != before);
            assert_eq!(*view, view.generation(), "half of each");
            assert!(view.generation() >= told.max(before), "an earlier one");
        }
        writer.join().unwrap();
        view.refresh(&shared);
        assert_eq!((*view, shared.generation()), (3, 3));
    });
}

/// Two writers: generations are in the order in which values were put in force.
pub fn of_two_writers_the_last_is_in_force() {
    check(|| {
        let shared = Arc::new(Shared::new(0u64));
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.replace(std::sync::Arc::new(7)))
        };
        let own = shared.replace(std::sync::Arc::new(8));
        let other = writer.join().unwrap();
        let last = if own > other { 8 } else { 7 };
        assert_eq!((own.max(other), own.min(other)), (3, 2));
        assert_eq!(*shared.view(), last);
    });
}

/// In the place of the kernel's event: readable from a write until it is read.
struct Event(AtomicBool);

impl Event {
    fn write(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn poll(&self) {
        while !self.0.load(Ordering::Acquire) {
            thread::yield_now();
        }
    }

    fn read(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }
}

/// A worker that goes to sleep while two others bring work: it sleeps through neither, nor does it run in
/// circles without sleeping. Either would be more steps than a run may have.
pub fn no_wake_up_is_lost() {
    check(|| {
        let shared = Arc::new((
            Nap::new(),
            Event(AtomicBool::new(false)),
            [counter(), counter()],
        ));
        let others = [0, 1].map(|number| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (nap, event, work) = &*shared;
                work.get(number).unwrap().store(1, Ordering::Relaxed);
                if nap.end() {
                    event.write();
                }
            })
        });
        let (nap, event, work) = &*shared;
        let seen = || work.each_ref().map(|work| work.load(Ordering::Relaxed));
        let mut done = [0, 0];
        while done != [1, 1] {
            nap.take(|| seen() != done, || event.poll(), || event.read());
            done = seen();
        }
        for other in others {
            other.join().unwrap();
        }
    });
}

fn counter() -> AtomicU64 {
    AtomicU64::new(0)
}
