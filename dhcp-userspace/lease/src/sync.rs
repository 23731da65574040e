//! What lock-free code is made of. It takes these from here, so that the models in `tests/loom`, which compile
//! the very same files, can put loom's in their place and try every order in which threads may run.

pub(crate) use core::sync::atomic::Ordering;
#[cfg(not(test))]
pub(crate) use core::sync::atomic::{AtomicI64, AtomicU64};
#[cfg(test)]
pub(crate) use counted::{AtomicI64, AtomicU64, steps};

/// How often a search looks at every word when others always take what it was after.
pub(crate) const ROUNDS_MAX: usize = 64;

/// Atomics that count how often a thread looks at or changes one: so that a test can say how much work
/// something is without asking a clock.
#[cfg(test)]
mod counted {
    use super::Ordering;
    use core::sync::atomic;
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<u64> = const { Cell::new(0) };
    }

    /// Steps of this thread so far.
    pub(crate) fn steps() -> u64 {
        STEPS.get()
    }

    fn count() {
        STEPS.set(STEPS.get() + 1);
    }

    #[derive(Debug)]
    pub(crate) struct AtomicU64(atomic::AtomicU64);

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            Self(atomic::AtomicU64::new(value))
        }

        pub(crate) fn load(&self, ordering: Ordering) -> u64 {
            count();
            self.0.load(ordering)
        }

        pub(crate) fn fetch_or(&self, bits: u64, ordering: Ordering) -> u64 {
            count();
            self.0.fetch_or(bits, ordering)
        }

        pub(crate) fn fetch_and(&self, bits: u64, ordering: Ordering) -> u64 {
            count();
            self.0.fetch_and(bits, ordering)
        }
    }

    #[derive(Debug)]
    pub(crate) struct AtomicI64(atomic::AtomicI64);

    impl AtomicI64 {
        pub(crate) fn new(value: i64) -> Self {
            Self(atomic::AtomicI64::new(value))
        }

        pub(crate) fn load(&self, ordering: Ordering) -> i64 {
            count();
            self.0.load(ordering)
        }

        pub(crate) fn fetch_add(&self, value: i64, ordering: Ordering) -> i64 {
            count();
            self.0.fetch_add(value, ordering)
        }

        pub(crate) fn fetch_sub(&self, value: i64, ordering: Ordering) -> i64 {
            count();
            self.0.fetch_sub(value, ordering)
        }

        pub(crate) fn fetch_update(
            &self,
            set: Ordering,
            fetch: Ordering,
            mut change: impl FnMut(i64) -> Option<i64>,
        ) -> Result<i64, i64> {
            self.0.fetch_update(set, fetch, |value| {
                count();
                change(value)
            })
        }
    }
}
