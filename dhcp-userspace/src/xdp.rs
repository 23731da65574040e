//! How do our frames leave the kernel's path? Loading, settling and attaching the XDP program.
//!
//! One instance of the program, with its own maps, for each interface. Invariants:
//! - It is attached last, when every socket stands in its map: no frame is lost to a half-built server.
//! - It is attached by a BPF link, which ends with its last descriptor: however the server dies, the
//!   kernel passes frames on at once.

use crate::settings::XdpMode;
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, XskMap};
use aya::programs::{Xdp, xdp::XdpMode as AttachMode};
use aya::{Ebpf, EbpfLoader, Pod};
use dhcp_core::Interface;
use dhcp_ebpf::{Outcome, SERVED_MAX, Settings, maps};
use log::Reader;
use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::thread::{Builder, JoinHandle};

mod log;

/// The program, as `cargo xtask build` made it.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("XDHCPD_BPF_OBJECT"));

/// The oldest kernel that has all that is needed: sockets that share memory between queues, and
/// attaching by link.
const KERNEL_MIN: (u32, u32) = (5, 11);

/// Why the program is not in force. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The kernel is too old.
    #[error(
        "this kernel is Linux {found}, too old for AF_XDP as we use it; run Linux 5.11 or later"
    )]
    KernelTooOld {
        /// What it says it is.
        found: String,
    },
    /// A capability is missing.
    #[error(
        "interface {interface}: not allowed to load an XDP program; run as root or with CAP_BPF, \
         CAP_PERFMON, CAP_NET_ADMIN and CAP_NET_RAW"
    )]
    Capability {
        /// The interface.
        interface: String,
    },
    /// Another program is attached.
    #[error(
        "interface {interface} has an XDP program already; remove it (`ip link set {interface} xdp off`, or \
         stop the program that attached it), or leave this interface out of `interfaces`"
    )]
    AlreadyAttached {
        /// The interface.
        interface: String,
    },
    /// The interface went away.
    #[error("interface {interface} does not exist; correct `interfaces` or create it")]
    NoInterface {
        /// The interface.
        interface: String,
    },
    /// The driver has no XDP.
    #[error(
        "interface {interface}: its driver cannot run XDP programs ({source}); set `xdp-mode = \"generic\"`"
    )]
    NoNativeXdp {
        /// The interface.
        interface: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// The object lacks a program or map.
    #[error("the XDP object has no usable {name}; build again with `cargo xtask build`")]
    Object {
        /// Name in the object.
        name: &'static str,
    },
    /// Anything else.
    #[error("interface {interface}: cannot {what}: {source}")]
    Other {
        /// The interface.
        interface: String,
        /// What was tried.
        what: &'static str,
        /// What went wrong.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// The program in force on one interface. Dropping it detaches the program.
pub struct Attached {
    ebpf: Ebpf,
    served_v4: HashMap<MapData, [u8; 4], u8>,
    served_v6: HashMap<MapData, [u8; 16], u8>,
    counters: PerCpuArray<MapData, u64>,
    /// Sockets stand in it as long as it lives.
    _sockets: XskMap<MapData>,
    known_v4: BTreeSet<Ipv4Addr>,
    known_v6: BTreeSet<Ipv6Addr>,
    /// Whether it was logged that there are more addresses than the maps take.
    complained: bool,
    settings: Array<MapData, [u64; Settings::WORDS]>,
    index: u32,
    is_native: bool,
    /// Ends after the program, by the order of the fields: nothing more is said then.
    _log: Option<Reader>,
}

/// A socket and its place on the interface.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// Receive queue.
    pub queue: u32,
    /// Worker on that queue.
    pub worker: u32,
    /// The socket.
    pub socket: BorrowedFd<'a>,
}

/// Says whether the kernel is new enough.
///
/// # Errors
/// [`AttachError::KernelTooOld`].
pub fn check_kernel() -> Result<(), AttachError> {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    match version(&release) {
        Some(found) if found < KERNEL_MIN => Err(AttachError::KernelTooOld { found: release }),
        _ => Ok(()),
    }
}

/// Major and minor version of a release such as `6.1.0-18-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A program that the kernel has verified, not yet attached.
pub struct Loaded {
    ebpf: Ebpf,
    log: Option<Reader>,
}

/// A program that is being loaded on a thread of its own.
pub struct Loading {
    interface: String,
    thread: io::Result<JoinHandle<Result<Loaded, AttachError>>>,
}

impl Loading {
    /// Begins, for so many workers per receive queue. The interface is for the words of errors and logs.
    pub fn begin(interface: &str, workers_per_queue: u32, logs: bool) -> Self {
        let interface = interface.to_owned();
        let given = interface.clone();
        let thread = Builder::new()
            .name("xdp".to_owned())
            .spawn(move || Loaded::new(&given, workers_per_queue, logs));
        Self { interface, thread }
    }

    /// Waits for the end of it.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn end(self) -> Result<Loaded, AttachError> {
        let failed = |error| failed(&self.interface, "load the program", error);
        let thread = self.thread.map_err(boxed).map_err(failed)?;
        let outcome = thread.join();
        outcome.unwrap_or_else(|_| Err(failed("the thread that loads it panicked".into())))
    }
}

impl Loaded {
    fn new(interface: &str, workers_per_queue: u32, logs: bool) -> Result<Self, AttachError> {
        let failed = |what| move |error| failed(interface, what, error);
        let shares_out = u8::from(workers_per_queue > 1);
        let mut ebpf = EbpfLoader::new()
            .override_global(maps::SHARES_OUT, &shares_out, true)
            .load(OBJECT)
            .map_err(boxed)
            .map_err(failed("load the program"))?;
        let log = match logs {
            true => Some(
                Reader::start(&mut ebpf, interface)
                    .map_err(boxed)
                    .map_err(failed("read the program's log"))?,
            ),
            false => None,
        };
        steer(&mut ebpf)?
            .load()
            .map_err(boxed)
            .map_err(failed("load the program"))?;
        Ok(Self { ebpf, log })
    }

    /// Tells the program its settings, addresses and sockets, and attaches it.
    ///
    /// # Errors
    /// [`AttachError`]; nothing stays attached then.
    pub fn attach(
        self,
        interface: &Interface,
        index: u32,
        mode: XdpMode,
        settings: Settings,
        sockets: &[Placed<'_>],
    ) -> Result<Attached, AttachError> {
        let failed = |what| move |error| failed(&interface.name, what, error);
        let Self { mut ebpf, log } = self;
        let mut socket_map: XskMap<_> = take(&mut ebpf, maps::SOCKETS)?;
        for Placed {
            queue,
            worker,
            socket,
        } in sockets
        {
            socket_map
                .set(
                    dhcp_ebpf::socket_index(*queue, *worker),
                    socket.as_raw_fd(),
                    0,
                )
                .map_err(boxed)
                .map_err(failed("put a socket into the program's map"))?;
        }
        let mut attached = Attached {
            served_v4: take(&mut ebpf, maps::SERVED_V4)?,
            served_v6: take(&mut ebpf, maps::SERVED_V6)?,
            counters: take(&mut ebpf, maps::COUNTERS)?,
            _sockets: socket_map,
            known_v4: BTreeSet::new(),
            known_v6: BTreeSet::new(),
            complained: false,
            settings: take(&mut ebpf, maps::SETTINGS)?,
            index,
            is_native: true,
            _log: log,
            ebpf,
        };
        attached.configure(&interface.name, settings)?;
        attached.serve(interface)?;
        let program = steer(&mut attached.ebpf)?;
        attached.is_native = attach(program, &interface.name, index, mode)?;
        Ok(attached)
    }
}

impl Attached {
    /// Whether the program runs in the driver; else in the network stack (generic mode).
    pub fn is_native(&self) -> bool {
        self.is_native
    }

    /// Tells the program what to take and how to share it out.
    ///
    /// # Errors
    /// [`AttachError::Other`] when the map does not take it.
    pub fn configure(&mut self, interface: &str, settings: Settings) -> Result<(), AttachError> {
        self.settings
            .set(0, settings.to_words(), 0)
            .map_err(|error| failed(interface, "write the program's settings", boxed(error)))
    }

    /// Tells the program which unicast addresses are ours now.
    ///
    /// # Errors
    /// [`AttachError::Other`] when a map does not take them.
    pub fn serve(&mut self, interface: &Interface) -> Result<(), AttachError> {
        let failed = |error| {
            failed(
                &interface.name,
                "tell the program its addresses",
                boxed(error),
            )
        };
        let bound = SERVED_MAX as usize;
        let v6 = interface.v6.iter().chain(&interface.link_local);
        let is_too_many = interface.v4.len() > bound || v6.clone().count() > bound;
        if is_too_many && !self.complained {
            tracing::warn!(
                interface = interface.name,
                bound,
                "the interface has more addresses than the XDP program takes; unicast to the others is not \
                 answered: remove some"
            );
        }
        self.complained = is_too_many;
        let v4 = interface.v4.iter().copied().take(bound).collect();
        follow(
            &mut self.served_v4,
            &mut self.known_v4,
            &v4,
            Ipv4Addr::octets,
        )
        .map_err(failed)?;
        // The link-local address first: clients of the link itself send to it.
        let v6 = interface.link_local.iter().chain(&interface.v6);
        let v6 = v6.copied().take(bound).collect();
        follow(
            &mut self.served_v6,
            &mut self.known_v6,
            &v6,
            Ipv6Addr::octets,
        )
        .map_err(failed)
    }

    /// What became of the frames that came in, added up over all processors.
    pub fn counters(&self) -> Vec<(Outcome, u64)> {
        let count = |outcome: &Outcome| {
            let values = self.counters.get(&outcome.index(), 0).ok()?;
            Some((*outcome, values.iter().sum()))
        };
        Outcome::ALL.iter().filter_map(count).collect()
    }

    /// Whether the program is still attached. Another tool may have detached the link: the descriptor
    /// stays, but it leads to no interface any more.
    pub fn is_attached(&self) -> bool {
        let Ok(entries) = std::fs::read_dir("/proc/self/fdinfo") else {
            return true;
        };
        let leads_here = |text: &str| {
            field(text, "link_type") == Some("xdp")
                && field(text, "ifindex").and_then(|index| index.parse().ok()) == Some(self.index)
        };
        entries
            .flatten()
            .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
            .any(|text| leads_here(&text))
    }

    /// Attaches the program again, after another tool has detached it.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn attach_again(&mut self, interface: &str) -> Result<(), AttachError> {
        let mode = if self.is_native {
            XdpMode::Native
        } else {
            XdpMode::Generic
        };
        attach(steer(&mut self.ebpf)?, interface, self.index, mode).map(drop)
    }
}

/// Makes a map hold what is wanted. `known` is what it holds, also after an error.
fn follow<A: Ord + Copy, K: Pod>(
    map: &mut HashMap<MapData, K, u8>,
    known: &mut BTreeSet<A>,
    wanted: &BTreeSet<A>,
    key: fn(&A) -> K,
) -> Result<(), MapError> {
    let gone: Vec<A> = known.difference(wanted).copied().collect();
    for address in gone {
        map.remove(&key(&address))?;
        known.remove(&address);
    }
    for address in wanted {
        if !known.contains(address) {
            map.insert(key(address), 1, 0)?;
            known.insert(*address);
        }
    }
    Ok(())
}

/// A field of a file in `/proc/self/fdinfo`: name, colon, tabulator, value.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

fn steer(ebpf: &mut Ebpf) -> Result<&mut Xdp, AttachError> {
    let program = ebpf.program_mut(maps::STEER_PROGRAM);
    let program = program.and_then(|program| program.try_into().ok());
    program.ok_or(AttachError::Object {
        name: maps::STEER_PROGRAM,
    })
}

fn take<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, AttachError>
where
    M: TryFrom<Map>,
{
    let map = ebpf.take_map(name).and_then(|map| M::try_from(map).ok());
    map.ok_or(AttachError::Object { name })
}

/// Attaches as `mode` wants it. Whether the program runs in the driver.
///
/// Never in the mode that lets the kernel choose silently: what is in force must be known.
fn attach(
    program: &mut Xdp,
    interface: &str,
    index: u32,
    mode: XdpMode,
) -> Result<bool, AttachError> {
    let mut attach = |mode| {
        program
            .attach_to_if_index(index, mode)
            .map_err(|error| failed(interface, "attach the program", boxed(error)))
    };
    match mode {
        XdpMode::Native => attach(AttachMode::Driver).map(|_| true),
        XdpMode::Generic => attach(AttachMode::Skb).map(|_| false),
        XdpMode::Auto => match attach(AttachMode::Driver) {
            Ok(_) => Ok(true),
            Err(AttachError::NoNativeXdp { .. }) => attach(AttachMode::Skb).map(|_| false),
            Err(error) => Err(error),
        },
    }
}

fn boxed(error: impl Error + Send + Sync + 'static) -> Box<dyn Error + Send + Sync> {
    Box::new(error)
}

/// The error of the system behind an error of the loader, in the operator's words.
fn failed(
    interface: &str,
    what: &'static str,
    source: Box<dyn Error + Send + Sync>,
) -> AttachError {
    let interface = interface.to_owned();
    match system_code(source.as_ref()) {
        Some(libc::EPERM | libc::EACCES) => AttachError::Capability { interface },
        Some(libc::EBUSY | libc::EEXIST) => AttachError::AlreadyAttached { interface },
        Some(libc::ENODEV) => AttachError::NoInterface { interface },
        Some(code @ (libc::EOPNOTSUPP | libc::EINVAL | libc::ERANGE)) => AttachError::NoNativeXdp {
            interface,
            source: io::Error::from_raw_os_error(code),
        },
        _ => AttachError::Other {
            interface,
            what,
            source,
        },
    }
}

fn system_code(error: &(dyn Error + 'static)) -> Option<i32> {
    let mut next = Some(error);
    // A chain of causes is a few long; the bound is against one that goes in a circle.
    for _ in 0..16 {
        let error = next?;
        if let Some(code) = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error)
        {
            return Some(code);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_out_of_any_release() {
        for (release, expected) in [
            ("6.1.0-18-amd64", Some((6, 1))),
            ("5.10.0", Some((5, 10))),
            ("6.18-rc3", Some((6, 18))),
            ("six", None),
        ] {
            assert_eq!(version(release), expected, "{release}");
        }
        assert!(check_kernel().is_ok());
    }
}
