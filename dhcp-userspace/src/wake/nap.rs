//! Does a thread sleep? The word between the one that goes to sleep and those that bring it work.

use crate::sync::{AtomicBool, Ordering, fence};

/// Set by a thread before it looks for work a last time; taken away by the one that wakes it.
#[derive(Debug)]
pub(super) struct Nap(AtomicBool);

impl Nap {
    /// Of a thread that is awake.
    pub(super) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// For the thread: runs `wait`, which sleeps until the event is readable, unless `has_work`. `clear`
    /// reads the event, that it is readable no more.
    pub(super) fn take(
        &self,
        has_work: impl FnOnce() -> bool,
        wait: impl FnOnce(),
        clear: impl FnOnce(),
    ) {
        // All change the word by swaps, so each sees what the one before it did.
        self.0.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        let has_slept = !has_work();
        if has_slept {
            wait();
        }
        let is_woken = !self.0.swap(false, Ordering::AcqRel);
        // Who ended an earlier nap may have written only after that was over, and cut this one short:
        // then nobody ended this one, and the event is to be cleared all the same.
        if has_slept || is_woken {
            clear();
        }
    }

    /// For one that has made work visible: whether the thread has to be woken, by the caller alone.
    pub(super) fn end(&self) -> bool {
        // With the fence in `take`: either we see that it sleeps, or it sees what there is to do.
        fence(Ordering::SeqCst);
        self.0.swap(false, Ordering::AcqRel)
    }
}
