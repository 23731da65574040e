//! How is a sleeping worker told that there is something to do?

use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Wakes one thread out of `poll`. A thread that is awake costs nobody a system call.
#[derive(Debug)]
pub struct Waker {
    event: OwnedFd,
    is_asleep: AtomicBool,
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
            is_asleep: AtomicBool::new(false),
        })
    }

    /// Wakes the thread if it sleeps. Call it after making visible what there is to do.
    pub fn wake(&self) {
        // With the fence in `sleep`: either we see that it sleeps, or it sees what there is to do.
        fence(Ordering::SeqCst);
        if self.is_asleep.swap(false, Ordering::Relaxed) {
            // It cannot fail but by overflow, and then it is readable anyway.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }

    /// Runs `wait`, which sleeps until the given descriptor (among others of its own) is readable,
    /// unless `has_work` says that there is no need.
    pub fn sleep(&self, has_work: impl FnOnce() -> bool, wait: impl FnOnce(BorrowedFd<'_>)) {
        self.is_asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !has_work() {
            wait(self.event.as_fd());
        }
        if !self.is_asleep.swap(false, Ordering::Relaxed) {
            let _ = rustix::io::read(&self.event, &mut [0; 8]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

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
