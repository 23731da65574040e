//! How do frames come in and go out?
//!
//! The data path runs on a [`Port`] and does not know what is behind it: the rings of an AF_XDP socket
//! ([`afxdp`]), or plain memory ([`memory`]) in tests, simulation and the engine's benchmark.
//! Invariant: a frame in hand is on no ring, and it ends exactly once, in [`Port::send`] or
//! [`Port::discard`].

#[cfg(feature = "afxdp")]
pub mod afxdp;
pub mod memory;

/// Most frames that are received, served and sent together.
pub const BATCH_FRAMES: usize = 64;

/// What the kernel dropped on a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStatistics {
    /// Dropped for other reasons than the following.
    pub rx_dropped: u64,
    /// Dropped because the worker was too slow to empty its ring.
    pub rx_ring_full: u64,
    /// Arrived while the fill ring was empty.
    pub fill_ring_empty: u64,
    /// Invalid descriptors on the transmit ring (a defect of ours).
    pub tx_invalid: u64,
    /// Replies that were dropped because the transmit ring was full: the link is slower than we are.
    pub tx_full: u64,
}

/// Where one worker's frames come from and go to.
pub trait Port {
    /// A frame in hand. It is not `Clone`: who has it may read and write it, nobody else can.
    type Frame;

    /// Appends received frames to `into`, which must have room for [`BATCH_FRAMES`] (nothing is
    /// allocated). Returns how many.
    fn receive(&mut self, into: &mut Vec<Self::Frame>) -> usize;

    /// The octets of a received frame, Ethernet header first.
    fn octets<'a>(&'a self, frame: &'a Self::Frame) -> &'a [u8];

    /// Lets `write` fill a frame from its front, over what it held. The room is at least
    /// [`FRAME_SIZE_MAX`](dhcp_wire::frame::FRAME_SIZE_MAX) octets.
    fn overwrite<R>(&mut self, frame: &mut Self::Frame, write: impl FnOnce(&mut [u8]) -> R) -> R;

    /// Sends the first `len` octets of a frame, at the next [`Port::flush`].
    fn send(&mut self, frame: Self::Frame, len: usize);

    /// Ends a frame that is not answered.
    fn discard(&mut self, frame: Self::Frame);

    /// Hands over what was sent and discarded: at most a few system calls per batch.
    fn flush(&mut self);
}
