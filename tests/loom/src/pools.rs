//! The bitmap of a pool: nothing is handed out twice, nothing is lost.

use crate::bitmap::Bitmap;
use crate::check;
use loom::sync::Arc;
use loom::thread;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A pool of which only a few units can be found, and who holds them.
struct Pool {
    bitmap: Bitmap,
    /// Not loom's: this is what we look at, not what is under test.
    held: Vec<(u64, AtomicBool)>,
}

impl Pool {
    fn new(count: u64, units: &[u64]) -> Arc<Self> {
        let reserved = (0..count).filter(|unit| !units.contains(unit));
        let held = units.iter().map(|&unit| (unit, AtomicBool::new(false)));
        Arc::new(Self {
            bitmap: Bitmap::new(count, reserved),
            held: held.collect(),
        })
    }

    fn holder(&self, unit: u64) -> &AtomicBool {
        let mut held = self.held.iter();
        let held = held.find(|(known, _)| *known == unit);
        &held.expect("a unit that can be found").1
    }

    fn claim_next(&self, from: u64) -> Option<u64> {
        let unit = self.bitmap.claim_next(from)?;
        assert!(!self.holder(unit).swap(true, Relaxed), "{unit} twice");
        Some(unit)
    }

    fn claim(&self, unit: u64) -> bool {
        let claimed = self.bitmap.claim(unit);
        if claimed {
            assert!(!self.holder(unit).swap(true, Relaxed), "{unit} twice");
        }
        claimed
    }

    fn give_back(&self, unit: u64) {
        assert!(self.holder(unit).swap(false, Relaxed), "{unit} is nobody's");
        self.bitmap.give_back(unit);
    }

    /// All threads are done: the hints lead to every free unit, to each once and to nothing else, and
    /// the count is right.
    fn finds_all_that_is_free(&self) {
        let free = self.held.iter().filter(|(_, held)| !held.load(Relaxed));
        let free: Vec<u64> = free.map(|(unit, _)| *unit).collect();
        assert_eq!(self.bitmap.free_count(), free.len() as u64, "the count");
        // Not by `claim_next`: it looks at every word in the end, and would make up for hints that lie.
        let mut found: Vec<u64> = free.iter().filter_map(|_| self.bitmap.search(0)).collect();
        found.sort_unstable();
        assert_eq!(found, free, "what is found and what is free");
        assert_eq!(self.bitmap.search(0), None);
    }
}

/// Two workers, one free unit in the second word: exactly one of them gets it.
pub fn one_of_two_gets_the_last_unit() {
    check(|| {
        let pool = Pool::new(130, &[70]);
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.claim_next(0).is_some())
        };
        let own = pool.claim_next(90).is_some();
        assert!(own != other.join().unwrap(), "exactly one");
        pool.finds_all_that_is_free();
    });
}

/// One takes the last unit by its name, the other by searching: exactly one of them gets it.
pub fn one_of_two_gets_it_by_name_or_by_search() {
    check(|| {
        let pool = Pool::new(130, &[70]);
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.claim(70))
        };
        let own = pool.claim_next(0).is_some();
        assert!(own != other.join().unwrap(), "exactly one");
        pool.finds_all_that_is_free();
    });
}

/// One fills a word while the other gives back a unit of it: the hint must not hide what is free.
pub fn a_unit_given_back_while_its_word_fills_is_found() {
    check(|| {
        let pool = Pool::new(130, &[70, 71]);
        assert!(pool.claim(70));
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.give_back(70))
        };
        // It may find 71, or 70 again.
        let taken = pool.claim_next(0);
        other.join().unwrap();
        assert!(taken.is_some(), "71 was free all the time");
        pool.finds_all_that_is_free();
    });
}

/// The same one level up: 64 words fill, under one hint of the second level, while a unit comes back in
/// the word that fills and in another one.
pub fn a_unit_given_back_while_64_words_fill_is_found() {
    for given_back in [320, 390] {
        check(move || {
            let pool = Pool::new(65 * 64, &[321, given_back]);
            assert!(pool.claim(given_back));
            let other = {
                let pool = Arc::clone(&pool);
                thread::spawn(move || pool.give_back(given_back))
            };
            assert!(pool.claim(321));
            other.join().unwrap();
            pool.finds_all_that_is_free();
        });
    }
}

/// The filler's second look and two who give back: no order of hints set and hints taken away lies.
pub fn units_given_back_by_two_while_their_word_fills_are_found() {
    check(|| {
        let pool = Pool::new(130, &[70, 71, 72]);
        assert!(pool.claim(70) && pool.claim(71));
        let others = [70, 71].map(|unit| {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.give_back(unit))
        });
        assert!(pool.claim(72));
        for other in others {
            other.join().unwrap();
        }
        pool.finds_all_that_is_free();
    });
}

/// As many units as workers, in two words: each finds one whatever the others do, and all come back.
pub fn workers_find_a_unit_while_there_are_as_many() {
    check(|| {
        let pool = Pool::new(130, &[3, 70]);
        let serve = |pool: &Pool, from| {
            let unit = pool.claim_next(from).expect("a unit is free");
            pool.give_back(unit);
        };
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || serve(&pool, 0))
        };
        serve(&pool, 70);
        serve(&pool, 70);
        other.join().unwrap();
        pool.finds_all_that_is_free();
    });
}

/// A unit that is given back twice, or by nobody, changes nothing for the others.
pub fn giving_back_twice_changes_nothing() {
    check(|| {
        let pool = Pool::new(130, &[70, 71]);
        assert!(pool.claim(70));
        pool.give_back(70);
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.claim(71))
        };
        pool.bitmap.give_back(70);
        assert!(other.join().unwrap());
        pool.finds_all_that_is_free();
    });
}
