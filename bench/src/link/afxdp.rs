//! Frames over AF_XDP: one socket on one queue with a UMEM of its own.
//!
//! The invariant that makes the unsafe calls sound: a descriptor is in exactly one place at a time, in
//! one of our lists (then its frame is ours) or on one ring (then it is the kernel's).
#![expect(
    unsafe_code,
    reason = "xsk-rs leaves the ownership of frames to its caller"
)]

use super::{BATCH, FRAME_SIZE, Link, poll_readable};
use anyhow::Context;
use std::ffi::CString;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;
use xsk_rs::config::{
    BindFlags, FrameSize, Interface, LibxdpFlags, QueueSize, SocketConfig, UmemConfig,
};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

/// Entries of every ring.
const RING: u32 = 2048;
/// Frames that lie on the FILL ring or are being read.
const RECEIVE_FRAMES: u32 = 2048;
/// Frames that are being sent.
const SEND_FRAMES: u32 = 2048;
/// Descriptors that one sendto(2) handles in copy mode, in place of the kernel's 32.
const TX_BUDGET: u32 = 256;

/// How often a queue is tried again that is taken, and how long after: the kernel lets go of it a little after
/// a predecessor has ended.
const BUSY_ATTEMPTS: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(25);

/// An AF_XDP socket and its memory.
pub struct AfXdp {
    umem: Umem,
    tx: TxQueue,
    rx: RxQueue,
    fill: FillQueue,
    completion: CompQueue,
    /// Frames to write into.
    free: Vec<FrameDesc>,
    /// Frames written and not yet on the TX ring.
    written: Vec<FrameDesc>,
    /// Room for what a ring returns.
    batch: Vec<FrameDesc>,
}

impl AfXdp {
    /// Opens a socket on `queue` of `interface`. Frames arrive once the XDP program knows the socket.
    ///
    /// # Errors
    /// When the memory cannot be registered or the queue cannot be bound, with the reason.
    pub fn open(interface: &str, queue: u32) -> anyhow::Result<Self> {
        let mut opened = Self::try_open(interface, queue);
        for _ in 0..BUSY_ATTEMPTS {
            if !opened.as_ref().is_err_and(is_busy) {
                break;
            }
            std::thread::sleep(BUSY_PAUSE);
            opened = Self::try_open(interface, queue);
        }
        opened
    }

    fn try_open(interface: &str, queue: u32) -> anyhow::Result<Self> {
        let frames = NonZeroU32::MIN.saturating_add(RECEIVE_FRAMES + SEND_FRAMES - 1);
        let umem_config = UmemConfig::builder()
            .frame_size(FrameSize::new(2048)?)
            .fill_queue_size(QueueSize::new(RING)?)
            .comp_queue_size(QueueSize::new(RING)?)
            .build()?;
        let (umem, mut descriptors) = Umem::new(umem_config, frames, false)
            .context("registering memory for AF_XDP (is RLIMIT_MEMLOCK too small?)")?;
        let socket_config = SocketConfig::builder()
            .rx_queue_size(QueueSize::new(RING)?)
            .tx_queue_size(QueueSize::new(RING)?)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .bind_flags(BindFlags::XDP_USE_NEED_WAKEUP)
            .build();
        let name = Interface::new(CString::new(interface)?);
        // SAFETY: `Socket::new` asks that a UMEM which is shared for one queue loads no program; this
        // UMEM is new and shared with no other socket, and loading is inhibited besides.
        let created = unsafe { Socket::new(socket_config, &umem, &name, queue) };
        let (tx, rx, rings) = created.with_context(|| {
            format!(
                "binding an AF_XDP socket to queue {queue} of {interface} (EBUSY: another program \
                 has this queue; EPERM: needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF)"
            )
        })?;
        let (mut fill, completion) = rings.context("no FILL and COMPLETION ring for the socket")?;
        let free = descriptors.split_off(RECEIVE_FRAMES as usize);
        // SAFETY: the descriptors are this UMEM's, new, and on no other ring.
        let filled = unsafe { fill.produce(&descriptors) };
        anyhow::ensure!(
            filled == descriptors.len(),
            "the FILL ring took {filled} frames only"
        );
        raise_tx_budget(tx.fd().as_raw_fd());
        let batch = vec![FrameDesc::default(); BATCH];
        Ok(Self {
            umem,
            tx,
            rx,
            fill,
            completion,
            free,
            written: Vec::new(),
            batch,
        })
    }

    /// Descriptor of the socket, for the XDP program's map.
    pub fn raw_fd(&self) -> RawFd {
        self.rx.fd().as_raw_fd()
    }

    /// Sends every received frame back after `rewrite` changed it in place; returns how many there were.
    /// Frames for which `rewrite` says false are dropped. Not to be mixed with [`Link`]'s methods.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn reflect(&mut self, rewrite: &mut dyn FnMut(&mut [u8]) -> bool) -> io::Result<usize> {
        self.recycle_to_fill();
        // SAFETY: the RX ring and the UMEM belong together.
        let received = unsafe { self.rx.consume(&mut self.batch) };
        let mut refused = Vec::new();
        for descriptor in self.batch.iter_mut().take(received) {
            // SAFETY: the descriptor came from this UMEM's RX ring just now, so its frame is ours alone.
            let mut data = unsafe { self.umem.data_mut(descriptor) };
            match rewrite(data.contents_mut()) {
                true => self.written.push(*descriptor),
                false => refused.push(*descriptor),
            }
        }
        // SAFETY: these frames came from the RX ring and are on no ring.
        let _ = unsafe { self.fill.produce(&refused) };
        self.flush()?;
        Ok(received)
    }

    /// Frames that were sent go back to where frames are received. Whatever is in flight fits on the
    /// FILL ring, which has room for all receive frames.
    fn recycle_to_fill(&mut self) {
        // SAFETY: the COMPLETION ring and the UMEM belong together.
        let count = unsafe { self.completion.consume(&mut self.batch) };
        let sent = self.batch.get(..count).unwrap_or_default();
        // SAFETY: the kernel is done with these frames and they are on no other ring.
        let _ = unsafe { self.fill.produce(sent) };
    }

    fn reclaim(&mut self) {
        // SAFETY: the COMPLETION ring and the UMEM belong together.
        let count = unsafe { self.completion.consume(&mut self.batch) };
        self.free.extend(self.batch.iter().take(count));
    }
}

impl Link for AfXdp {
    fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        // SAFETY: the RX ring and the UMEM belong together.
        let count = unsafe { self.rx.consume(&mut self.batch) };
        let received = self.batch.get(..count).unwrap_or_default();
        for descriptor in received {
            // SAFETY: the descriptor came from this UMEM's RX ring just now, so its frame is ours alone.
            let data = unsafe { self.umem.data(descriptor) };
            take(data.contents());
        }
        // SAFETY: the frames came from the RX ring, nothing borrows them any more, and the FILL ring has
        // room for all receive frames.
        let _ = unsafe { self.fill.produce(received) };
        if count > 0 && self.fill.needs_wakeup() {
            poll_readable(borrow(self.rx.fd()), Duration::ZERO)?;
        }
        Ok(count)
    }

    fn send(&mut self, write: &mut dyn FnMut(&mut [u8]) -> usize) -> io::Result<bool> {
        if self.free.len() < BATCH {
            self.reclaim();
        }
        let Some(mut descriptor) = self.free.pop() else {
            return Ok(false);
        };
        // SAFETY: the descriptor was in our list of free frames, so its frame is ours alone.
        let mut data = unsafe { self.umem.data_mut(&mut descriptor) };
        data.cursor().set_pos(FRAME_SIZE);
        let len = write(data.contents_mut());
        // The COMPLETION ring forgets lengths, and the kernel drops what is sent with length 0.
        data.cursor().set_pos(len);
        self.written.push(descriptor);
        if self.written.len() >= BATCH {
            self.flush()?;
        }
        Ok(true)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.written.is_empty() && self.tx.nb_free(RING) == RING {
            return Ok(());
        }
        // SAFETY: these frames were written (or received) by us, belong to this UMEM and are on no ring.
        if unsafe { self.tx.produce(&self.written) } == self.written.len() {
            self.written.clear();
        }
        // In copy mode one call handles a limited number of descriptors and then says EAGAIN, which
        // xsk-rs takes for success. What is still there after these rounds goes with the next flush.
        for _ in 0..4 {
            if !self.tx.needs_wakeup() || self.tx.nb_free_exact() == RING {
                break;
            }
            self.tx.wakeup()?;
        }
        Ok(())
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        poll_readable(borrow(self.rx.fd()), timeout)
    }

    fn dropped(&self) -> u64 {
        let Ok(kernel) = self.rx.fd().xdp_statistics() else {
            return 0;
        };
        kernel.rx_dropped()
            + kernel.rx_ring_full()
            + kernel.rx_fill_ring_empty_descs()
            + kernel.tx_invalid_descs()
    }
}

fn borrow(fd: &xsk_rs::socket::Fd) -> BorrowedFd<'_> {
    // SAFETY: the descriptor stays open for as long as the queue that lends it.
    unsafe { BorrowedFd::borrow_raw(fd.as_raw_fd()) }
}

/// Raises the number of descriptors per system call (Linux 6.17 and later). Where the option is unknown
/// sending works as well, with more calls.
fn raise_tx_budget(fd: RawFd) {
    const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;
    let value = std::ptr::from_ref(&TX_BUDGET);
    // SAFETY: the pointer and the length describe one `u32` that outlives the call.
    let _ = unsafe { libc::setsockopt(fd, libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, value.cast(), 4) };
}

fn is_busy(error: &anyhow::Error) -> bool {
    let busy = |cause: &io::Error| cause.kind() == io::ErrorKind::ResourceBusy;
    error
        .chain()
        .any(|cause| cause.downcast_ref().is_some_and(busy))
}
