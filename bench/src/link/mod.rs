//! How do frames leave and arrive? AF_XDP rings or an ordinary packet socket, behind one small trait.

mod afxdp;
mod packet;

pub use afxdp::AfXdp;
pub use packet::Packet;

use std::io;
use std::time::Duration;

/// Largest frame that is written or read: a 2,048-octet chunk without the kernel's 256 of headroom.
pub const FRAME_SIZE: usize = 1792;

/// Frames that are handled at once. Half a veth ring (256 slots), so that a batch in each direction
/// fits in what lies between two polls of the kernel.
pub const BATCH: usize = 64;

/// One queue of one interface.
pub trait Link {
    /// Hands up to [`BATCH`] received frames to `take`; returns how many there were.
    ///
    /// # Errors
    /// Those of the socket; the link is then of no more use.
    fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<usize>;

    /// Queues one frame: `write` fills the given room of [`FRAME_SIZE`] octets and returns the length.
    /// False when there is no room at the moment, in which case `write` was not called.
    ///
    /// # Errors
    /// Those of the socket.
    fn send(&mut self, write: &mut dyn FnMut(&mut [u8]) -> usize) -> io::Result<bool>;

    /// Sees to it that all queued frames are on their way.
    ///
    /// # Errors
    /// Those of the socket.
    fn flush(&mut self) -> io::Result<()>;

    /// Sleeps until a frame arrives, but not longer than `timeout`.
    ///
    /// # Errors
    /// Those of poll(2), an interruption excepted.
    fn wait(&mut self, timeout: Duration) -> io::Result<()>;

    /// Frames that the kernel dropped on their way to us, or refused to send.
    fn dropped(&self) -> u64;
}

/// poll(2) for readability, with a timeout finer than a millisecond.
fn poll_readable(fd: impl std::os::fd::AsFd, timeout: Duration) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
