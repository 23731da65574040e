//! Which thread goes first? The one that everybody waits for.
#![expect(unsafe_code, reason = "the system call has no safe wrapper")]

use std::io;

/// The lowest of the real-time priorities: ahead of every ordinary thread, behind all that the operator
/// has made real-time on purpose.
const LOWEST: libc::c_int = 1;

/// Lets the calling thread run as soon as it can, ahead of every thread that is not real-time. Only for a
/// thread that works for microseconds and then sleeps. Threads that it starts are ordinary ones.
///
/// # Errors
/// Those of the system: `EPERM` without the capability `CAP_SYS_NICE`, unless the limit `RLIMIT_RTPRIO`
/// allows it.
pub(crate) fn go_first() -> io::Result<()> {
    let this_thread = 0;
    // SAFETY: all fields are integers, for which zero is a value.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = LOWEST;
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the kernel reads the structure, which outlives the call, and keeps no reference to it.
    let result = unsafe { libc::sched_setscheduler(this_thread, policy, &raw const parameters) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_goes_first_or_is_told_why_not() {
        let policy = std::thread::spawn(|| {
            go_first().map(|()| {
                // SAFETY: it takes no pointer.
                unsafe { libc::sched_getscheduler(0) }
            })
        });
        match policy.join().unwrap() {
            Ok(policy) => assert_eq!(policy, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
        }
    }
}
