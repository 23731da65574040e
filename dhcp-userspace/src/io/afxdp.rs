//! The rings of AF_XDP: one set of frames per receive queue, shared by the workers of that queue.
//!
//! The frames of a queue go round: fill ring, kernel, receive ring, a worker's hand, transmit ring,
//! kernel, completion ring, and back. Replies are written over their requests, so no worker needs frames
//! of its own: whatever comes back through the completion ring, or is discarded, is filled in again.
//! Invariants:
//! - A [`Frame`] in hand is on no ring: it is made only when a descriptor leaves the receive ring, and
//!   ends only on the transmit ring or in the pool. That is what makes its octets ours alone.
//! - Fill and completion ring belong to the queue and are used under its lock only, once per batch.
#![expect(
    unsafe_code,
    reason = "memory is shared with the kernel; xsk-rs leaves its rules to us"
)]

use super::{BATCH_FRAMES, Port, PortStatistics};
use crate::settings::CopyMode;
use parking_lot::Mutex;
use std::ffi::CString;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use xsk_rs::config::{
    BindFlags, FrameSize, Interface, LibxdpFlags, QueueSize, SocketConfig, UmemConfig,
};
use xsk_rs::socket::{RxQueue, Socket as XskSocket, SocketCreateError, TxQueue};
use xsk_rs::umem::frame::FrameDesc;
use xsk_rs::umem::{CompQueue, FillQueue, Umem};

/// Octets of a chunk: 256 of headroom for the driver, 1,792 of frame.
const CHUNK_OCTETS: u32 = 2048;
/// Entries of each receive and transmit ring, and of the fill ring.
const RING_ENTRIES: u32 = 2048;
/// Frames of a queue: as many as its fill ring holds, and as many again on their way out or waiting
/// for the disk. 8 MiB.
const FRAMES_PER_QUEUE: u32 = 2 * RING_ENTRIES;
/// How many frames the kernel may send in one system call in copy mode (it defaults to 32, half a batch).
const TX_BUDGET: u32 = 256;
/// The socket option that raises it, since Linux 6.16 (include/uapi/linux/if_xdp.h).
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;
/// Most system calls of one flush. What is left on the ring goes out with the next one.
const KICKS_MAX: u32 = 8;

/// How often, at least, sent frames are taken back. A queue has twice as many frames as its fill ring
/// holds, so none runs dry meanwhile.
const RECLAIM_INTERVAL: Duration = Duration::from_secs(1);

/// Why sockets could not be opened on a queue. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The interface name cannot be one.
    #[error("interface {interface:?}: not an interface name; correct `interfaces`")]
    Name {
        /// As configured.
        interface: String,
    },
    /// No memory for the frames.
    #[error(
        "interface {interface} queue {queue}: cannot set aside {octets} octets of locked memory for \
         frames ({source}); raise LimitMEMLOCK (`ulimit -l`) or give the process CAP_IPC_LOCK"
    )]
    Memory {
        /// The interface.
        interface: String,
        /// The receive queue.
        queue: u32,
        /// How much was asked for.
        octets: u64,
        /// What the kernel says.
        source: io::Error,
    },
    /// Another process has the queue.
    #[error(
        "interface {interface} queue {queue} is busy: another program has an AF_XDP socket on it; stop \
         that program, or leave this interface out of `interfaces`"
    )]
    Busy {
        /// The interface.
        interface: String,
        /// The receive queue.
        queue: u32,
    },
    /// A capability is missing.
    #[error(
        "interface {interface} queue {queue}: not allowed to open an AF_XDP socket; run as root or with \
         CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON"
    )]
    Capability {
        /// The interface.
        interface: String,
        /// The receive queue.
        queue: u32,
    },
    /// The kernel has no AF_XDP.
    #[error(
        "this kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS); run Linux 5.11 or later with it enabled"
    )]
    NoAfXdp,
    /// The interface went away or was never there.
    #[error(
        "interface {interface} queue {queue} does not exist; correct `interfaces` or create the interface"
    )]
    NoDevice {
        /// The interface.
        interface: String,
        /// The receive queue.
        queue: u32,
    },
    /// Zero-copy was demanded and the driver has none.
    #[error(
        "interface {interface} queue {queue}: its driver cannot do zero-copy ({source}); set \
         `copy-mode = \"auto\"`"
    )]
    NoZeroCopy {
        /// The interface.
        interface: String,
        /// The receive queue.
        queue: u32,
        /// What the kernel says.
        source: io::Error,
    },
    /// Anything else.
    #[error("interface {interface} queue {queue}: cannot open an AF_XDP socket: {source}")]
    Other {
        /// The interface.
        interface: String,
        /// The receive queue.
        queue: u32,
        /// What the kernel says.
        source: io::Error,
    },
}

/// What is in force on a queue, for `status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InForce {
    /// Frames pass between kernel and user space without a copy.
    pub zero_copy: bool,
    /// The kernel tells when it must be woken.
    pub need_wakeup: bool,
    /// The frames lie in huge pages.
    pub huge_pages: bool,
    /// Frames per system call when sending, if the kernel takes the option.
    pub tx_budget: Option<u32>,
}

/// The frames of one receive queue and the two rings that belong to the queue.
struct Queue {
    umem: Umem,
    /// Tells frames of one queue from those of another.
    number: u32,
    rings: Mutex<QueueRings>,
}

struct QueueRings {
    fill: FillQueue,
    completion: CompQueue,
    /// Frames on no ring and in no hand, last in first out: the warmest in the cache goes next.
    free: Vec<FrameDesc>,
    scratch: Box<[FrameDesc; BATCH_FRAMES]>,
}

/// One worker's socket.
pub struct Socket {
    rx: RxQueue,
    tx: TxQueue,
    queue: Arc<Queue>,
    received: Box<[FrameDesc; BATCH_FRAMES]>,
    outgoing: Vec<FrameDesc>,
    discarded: Vec<FrameDesc>,
    in_force: InForce,
    tx_full: u64,
    /// When it was last looked for frames that came back though there was nothing to send.
    reclaimed: Instant,
}

/// How often a queue is tried again that is taken, and how long after: the kernel lets go of it a little after
/// a predecessor has ended.
const BUSY_ATTEMPTS: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(25);

/// A frame in hand.
#[derive(Debug)]
pub struct Frame {
    desc: FrameDesc,
    queue: u32,
}

/// Opens `workers` sockets on one receive queue of an interface.
///
/// Zero-copy is tried first unless `copy` says otherwise, then copy. No XDP program is loaded: until one
/// directs frames to the sockets, nothing arrives.
///
/// # Errors
/// [`BindError`]; nothing stays open then.
pub fn open(
    interface: &str,
    queue: u32,
    workers: u32,
    copy: CopyMode,
) -> Result<Vec<Socket>, BindError> {
    let mut opened = try_open(interface, queue, workers, copy);
    for _ in 0..BUSY_ATTEMPTS {
        if !matches!(opened, Err(BindError::Busy { .. })) {
            break;
        }
        std::thread::sleep(BUSY_PAUSE);
        opened = try_open(interface, queue, workers, copy);
    }
    opened
}

fn try_open(
    interface: &str,
    queue: u32,
    workers: u32,
    copy: CopyMode,
) -> Result<Vec<Socket>, BindError> {
    let zero_copy = match copy {
        CopyMode::Copy => return bind(interface, queue, workers, false),
        CopyMode::Auto | CopyMode::ZeroCopy => bind(interface, queue, workers, true),
    };
    match (zero_copy, copy) {
        (Err(BindError::NoZeroCopy { .. }), CopyMode::Auto) => {
            bind(interface, queue, workers, false)
        }
        (result, _) => result,
    }
}

fn bind(
    interface: &str,
    queue: u32,
    workers: u32,
    zero_copy: bool,
) -> Result<Vec<Socket>, BindError> {
    let name = || interface.to_owned();
    let c_name = CString::new(interface).map_err(|_| BindError::Name { interface: name() })?;
    let device = Interface::new(c_name);
    let (umem, mut free, huge_pages) = frames(interface, queue)?;
    let config = socket_config(zero_copy);

    let create = |umem: &Umem| {
        // SAFETY: `Socket::new` asks that the default program is not loaded when the (interface, queue)
        // pair is bound twice; `socket_config` sets XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD always.
        unsafe { XskSocket::new(config, umem, &device, queue) }
            .map_err(|error| bind_error(interface, queue, zero_copy, &error))
    };
    let other = |what: &str| BindError::Other {
        interface: name(),
        queue,
        source: io::Error::other(what.to_owned()),
    };

    let (tx, rx, rings) = create(&umem)?;
    let (mut fill, completion) = rings.ok_or_else(|| other("no fill ring came with the socket"))?;
    let mut sockets = vec![(tx, rx)];
    for _ in 1..workers {
        let (tx, rx, _) = create(&umem)?;
        sockets.push((tx, rx));
    }

    let first = free.split_off(free.len().saturating_sub(RING_ENTRIES as usize));
    // SAFETY: the descriptors come from this UMEM's creation and are on no ring.
    let filled = unsafe { fill.produce(&first) };
    if filled != first.len() {
        return Err(other("the fill ring does not take its frames"));
    }
    static QUEUES: AtomicU32 = AtomicU32::new(0);
    let rings = QueueRings {
        fill,
        completion,
        free,
        scratch: Box::new([FrameDesc::default(); BATCH_FRAMES]),
    };
    let shared = Arc::new(Queue {
        umem,
        number: QUEUES.fetch_add(1, Ordering::Relaxed),
        rings: Mutex::new(rings),
    });
    Ok(sockets
        .into_iter()
        .map(|(tx, rx)| {
            let tx_budget = raise_tx_budget(tx.fd().as_raw_fd()).ok();
            Socket {
                rx,
                tx,
                queue: Arc::clone(&shared),
                received: Box::new([FrameDesc::default(); BATCH_FRAMES]),
                outgoing: Vec::with_capacity(RING_ENTRIES as usize),
                discarded: Vec::with_capacity(FRAMES_PER_QUEUE as usize),
                in_force: InForce {
                    zero_copy,
                    need_wakeup: true,
                    huge_pages,
                    tx_budget,
                },
                tx_full: 0,
                reclaimed: Instant::now(),
            }
        })
        .collect())
}

/// The frames of a queue, in huge pages when there are any.
fn frames(interface: &str, queue: u32) -> Result<(Umem, Vec<FrameDesc>, bool), BindError> {
    let memory = |source: io::Error| BindError::Memory {
        interface: interface.to_owned(),
        queue,
        octets: u64::from(FRAMES_PER_QUEUE) * u64::from(CHUNK_OCTETS),
        source,
    };
    let invalid = |what: String| memory(io::Error::new(io::ErrorKind::InvalidInput, what));
    let ring = QueueSize::new(RING_ENTRIES).map_err(|error| invalid(error.to_string()))?;
    // Every frame fits onto the completion ring, so the kernel never has to hold one back.
    let all = QueueSize::new(FRAMES_PER_QUEUE).map_err(|error| invalid(error.to_string()))?;
    let chunk = FrameSize::new(CHUNK_OCTETS).map_err(|error| invalid(error.to_string()))?;
    let config = UmemConfig::builder()
        .frame_size(chunk)
        .fill_queue_size(ring)
        .comp_queue_size(all)
        .build()
        .map_err(|error| invalid(error.to_string()))?;
    let count = NonZeroU32::new(FRAMES_PER_QUEUE).unwrap_or(NonZeroU32::MIN);
    if let Ok((umem, frames)) = Umem::new(config, count, true) {
        return Ok((umem, frames, true));
    }
    let (umem, frames) =
        Umem::new(config, count, false).map_err(|error| memory(os_error(&error)))?;
    Ok((umem, frames, false))
}

fn socket_config(zero_copy: bool) -> SocketConfig {
    let copy = if zero_copy {
        BindFlags::XDP_ZEROCOPY
    } else {
        BindFlags::XDP_COPY
    };
    let mut builder = SocketConfig::builder();
    if let Ok(ring) = QueueSize::new(RING_ENTRIES) {
        builder.rx_queue_size(ring).tx_queue_size(ring);
    }
    builder
        .bind_flags(copy | BindFlags::XDP_USE_NEED_WAKEUP)
        .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
        .build()
}

/// The error of the system that is behind an error of xsk-rs.
fn os_error(error: &dyn std::error::Error) -> io::Error {
    match error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
    {
        Some(source) => match source.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::other(source.to_string()),
        },
        None => io::Error::other(error.to_string()),
    }
}

fn bind_error(
    interface: &str,
    queue: u32,
    zero_copy: bool,
    error: &SocketCreateError,
) -> BindError {
    let source = os_error(error);
    let interface = interface.to_owned();
    match source.raw_os_error() {
        Some(libc::EBUSY) => BindError::Busy { interface, queue },
        Some(libc::EPERM | libc::EACCES) => BindError::Capability { interface, queue },
        Some(libc::EAFNOSUPPORT) => BindError::NoAfXdp,
        Some(libc::ENODEV | libc::ENXIO) => BindError::NoDevice { interface, queue },
        Some(libc::ENOMEM | libc::ENOBUFS) => BindError::Memory {
            interface,
            queue,
            octets: u64::from(FRAMES_PER_QUEUE) * u64::from(CHUNK_OCTETS),
            source,
        },
        Some(libc::EOPNOTSUPP | libc::EINVAL | libc::EPROTONOSUPPORT) if zero_copy => {
            BindError::NoZeroCopy {
                interface,
                queue,
                source,
            }
        }
        _ => BindError::Other {
            interface,
            queue,
            source,
        },
    }
}

/// Lets the kernel send more than half a batch per system call. Old kernels refuse; that only costs
/// them a second call.
fn raise_tx_budget(fd: RawFd) -> io::Result<u32> {
    let value = TX_BUDGET;
    // SAFETY: the pointer and the length are those of `value`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_XDP,
            XDP_MAX_TX_SKB_BUDGET,
            (&raw const value).cast(),
            size_of::<u32>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(value)
    } else {
        Err(io::Error::last_os_error())
    }
}

impl QueueRings {
    /// Takes back what the kernel has sent, adds `discarded`, and fills the fill ring again.
    fn recycle(&mut self, discarded: &mut Vec<FrameDesc>) {
        self.free.append(discarded);
        loop {
            // SAFETY: the completion ring hands out descriptors of the UMEM that it belongs to.
            let count = unsafe { self.completion.consume(self.scratch.as_mut_slice()) };
            self.free.extend(self.scratch.iter().take(count));
            if count < BATCH_FRAMES {
                break;
            }
        }
        let room = self.fill.nb_free(BATCH_FRAMES as u32) as usize;
        let keep = self.free.len().saturating_sub(room);
        if let Some(next) = self.free.get(keep..) {
            // SAFETY: the descriptors are of this UMEM; being in `free`, they are on no ring and in no
            // hand; the truncation below takes them out.
            let count = unsafe { self.fill.produce(next) };
            // All or nothing, and there was room: what did not go in stays in `free`.
            if count == next.len() {
                self.free.truncate(keep);
            }
        }
    }
}

impl Socket {
    /// The number to put into the socket map, and to wait on.
    pub fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is open as long as its rings exist, and these live in `self`.
        unsafe { BorrowedFd::borrow_raw(self.rx.fd().as_raw_fd()) }
    }

    /// What is in force.
    pub fn in_force(&self) -> InForce {
        self.in_force
    }

    /// What was dropped so far.
    ///
    /// # Errors
    /// Those of the system call.
    pub fn statistics(&self) -> io::Result<PortStatistics> {
        let statistics = self.rx.fd().xdp_statistics()?;
        Ok(PortStatistics {
            rx_dropped: statistics.rx_dropped(),
            rx_ring_full: statistics.rx_ring_full(),
            fill_ring_empty: statistics.rx_fill_ring_empty_descs(),
            tx_invalid: statistics.tx_invalid_descs(),
            tx_full: self.tx_full,
        })
    }

    /// Whether frames that were sent still lie on the transmit ring.
    pub fn is_sending(&mut self) -> bool {
        self.tx.nb_free_exact() < RING_ENTRIES
    }

    fn assert_ours(&self, frame: &Frame) {
        assert!(
            frame.queue == self.queue.number,
            "a frame of queue {} in the hands of queue {}",
            frame.queue,
            self.queue.number
        );
    }

    /// Wakes the kernel until the transmit ring is empty or the bound is reached. In copy mode the
    /// sending itself happens in these calls.
    fn kick(&mut self) {
        for _ in 0..KICKS_MAX {
            if !self.tx.needs_wakeup() || !self.is_sending() {
                return;
            }
            // The calls that matter (device gone) come back as an error event of `poll` too.
            let _ = self.tx.wakeup();
            if self.in_force.zero_copy {
                return;
            }
        }
    }
}

impl Port for Socket {
    type Frame = Frame;

    fn receive(&mut self, into: &mut Vec<Frame>) -> usize {
        // SAFETY: the receive ring hands out descriptors of its own UMEM.
        let count = unsafe { self.rx.consume(self.received.as_mut_slice()) };
        let queue = self.queue.number;
        into.extend(
            self.received
                .iter()
                .take(count)
                .map(|&desc| Frame { desc, queue }),
        );
        count
    }

    fn octets<'a>(&'a self, frame: &'a Frame) -> &'a [u8] {
        self.assert_ours(frame);
        // SAFETY: the descriptor is of this UMEM (asserted), and the kernel does not touch a frame that
        // is on no ring; who writes it needs `&mut Frame`, which the returned borrow excludes.
        unsafe { self.queue.umem.data(&frame.desc) }.contents()
    }

    fn overwrite<R>(&mut self, frame: &mut Frame, write: impl FnOnce(&mut [u8]) -> R) -> R {
        self.assert_ours(frame);
        // SAFETY: the descriptor is of this UMEM (asserted), the frame is on no ring, and `&mut Frame`
        // excludes every other reader and writer.
        let mut data = unsafe { self.queue.umem.data_mut(&mut frame.desc) };
        data.cursor().set_pos(usize::MAX); // as much as the chunk holds
        write(data.contents_mut())
    }

    fn send(&mut self, mut frame: Frame, len: usize) {
        self.assert_ours(&frame);
        // SAFETY: as in `overwrite`. Descriptors carry the length that is sent.
        unsafe { self.queue.umem.data_mut(&mut frame.desc) }
            .cursor()
            .set_pos(len);
        self.outgoing.push(frame.desc);
    }

    fn discard(&mut self, frame: Frame) {
        self.assert_ours(&frame);
        self.discarded.push(frame.desc);
    }

    fn flush(&mut self) {
        // Frames may come back long after they were sent; a queue that gets nothing must not keep them.
        let is_due = self.reclaimed.elapsed() >= RECLAIM_INTERVAL;
        let is_idle = self.outgoing.is_empty() && self.discarded.is_empty() && !self.is_sending();
        if is_idle && !is_due {
            return; // nothing to do, and no reason to make the queue's other workers wait
        }
        if is_due {
            self.reclaimed = Instant::now();
        }
        if !self.outgoing.is_empty() {
            let room = self.tx.nb_free(self.outgoing.len() as u32) as usize;
            let fitting = self.outgoing.len().min(room);
            if let Some(first) = self.outgoing.get(..fitting) {
                // SAFETY: the descriptors are of this UMEM and leave our hands here.
                let count = unsafe { self.tx.produce(first) };
                assert!(
                    count == fitting,
                    "{count} of {fitting} frames went onto the transmit ring"
                );
            }
            self.tx_full += (self.outgoing.len() - fitting) as u64;
            self.discarded.extend(self.outgoing.drain(..).skip(fitting));
        }
        self.kick();
        let mut rings = self.queue.rings.lock();
        rings.recycle(&mut self.discarded);
        let driver_sleeps = rings.fill.needs_wakeup();
        drop(rings);
        if driver_sleeps {
            // The driver ran out of frames and waits to hear of the new ones.
            let _ = self.rx.poll(0);
        }
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket")
            .field("in_force", &self.in_force)
            .finish_non_exhaustive()
    }
}
