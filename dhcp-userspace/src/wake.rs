//! How is a sleeping worker told that there is something to do?

mod nap;

use nap::Nap;
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Wakes one thread out of `poll`. A thread that is awake costs nobody a system call.
#[derive(Debug)]
pub struct Waker {
    event: OwnedFd,
    nap: Nap,
}

impl Waker {
    /// A waker whose thread is awake.
    ///
    /// # Errors
    /// Those of the system: too many open files.
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            event,
            nap: Nap::new(),
        })
    }

    /// Wakes the thread if it sleeps. Call it after making visible what there is to do.
    pub fn wake(&self) {
        if self.nap.end() {
            // It cannot fail but by overflow, and then it is readable anyway.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }

    /// Runs `wait`, which sleeps until the given descriptor (among others of its own) is readable,
    /// unless `has_work` says that there is no need.
    pub fn sleep(&self, has_work: impl FnOnce() -> bool, wait: impl FnOnce(BorrowedFd<'_>)) {
        let wait = || wait(self.event.as_fd());
        self.nap.take(has_work, wait, || {
            // It fails if nobody has written; then there is nothing to clear.
            let _ = rustix::io::read(&self.event, &mut [0; 8]);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Who wakes a thread takes its word away first and writes the event then. In between the thread could
    /// get up and lie down again: the event, written late, cut that sleep short, but nobody had ended it, so
    /// the event was not read, stayed readable, and the thread did not sleep any more until it was woken the
    /// next time. The model `no_wake_up_is_lost` in tests/loom ran in circles over it.
    #[test]
    fn an_event_written_late_cuts_one_sleep_short_and_no_more() {
        let waker = Waker::new().unwrap();
        rustix::io::write(&waker.event, &1u64.to_ne_bytes()).unwrap();
        let is_readable = || {
            let mut is_readable = false;
            waker.sleep(
                || false,
                |event| {
                    let mut events = [PollFd::new(&event, PollFlags::IN)];
                    is_readable = poll(&mut events, Some(&Timespec::default())).unwrap() > 0;
                },
            );
            is_readable
        };
        assert_eq!([is_readable(), is_readable()], [true, false]);
    }

    #[test]
    fn no_wake_up_is_lost_between_looking_and_sleeping() {
        let waker = Arc::new(Waker::new().unwrap());
        let work = Arc::new(AtomicU64::new(0));
        let worker = std::thread::spawn({
            let (waker, work) = (Arc::clone(&waker), Arc::clone(&work));
            move || {
                let mut seen = 0;
                while seen < 10_000 {
                    let has_work = || work.load(Ordering::Relaxed) != seen;
                    waker.sleep(has_work, |event| {
                        let mut events = [PollFd::new(&event, PollFlags::IN)];
                        let limit = Timespec {
                            tv_sec: 10,
                            tv_nsec: 0,
                        };
                        assert_ne!(poll(&mut events, Some(&limit)).unwrap(), 0, "slept on");
                    });
                    seen = work.load(Ordering::Relaxed);
                }
            }
        });
        for number in 1..=10_000 {
            work.store(number, Ordering::Relaxed);
            waker.wake();
        }
        worker.join().unwrap();
    }
}
