//! The XDP program `redirect`: loads it, tells it ports and sockets, attaches it.

use crate::link::AfXdp;
use anyhow::Context;
use aya::maps::{Array, XskMap};
use aya::programs::Xdp;
use aya::programs::xdp::XdpMode;
use aya::{Ebpf, EbpfLoader};
use std::path::{Path, PathBuf};

/// The attached program; dropping it detaches. The kernel does the same when the process dies.
pub struct Program {
    _ebpf: Ebpf,
}

impl Program {
    /// Redirects UDP datagrams to `ports`, where zero is none, to `sockets`, one per queue from queue
    /// `first_queue` on.
    ///
    /// # Errors
    /// When the object cannot be read, is refused by the kernel or cannot be attached.
    pub fn attach(
        object: &Path,
        interface: &str,
        ports: [u16; 2],
        first_queue: u32,
        sockets: &[AfXdp],
    ) -> anyhow::Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .load_file(object)
            .with_context(|| format!("{}: loading the XDP program", object.display()))?;
        let map = ebpf
            .map_mut("REDIRECT_PORTS")
            .context("the object has no REDIRECT_PORTS")?;
        let mut redirected = Array::<_, u32>::try_from(map)?;
        for (index, port) in (0..).zip(ports) {
            redirected.set(index, u32::from(port), 0)?;
        }
        let map = ebpf
            .map_mut("REDIRECT_SOCKETS")
            .context("the object has no REDIRECT_SOCKETS")?;
        let mut queues = XskMap::try_from(map)?;
        for (queue, socket) in (first_queue..).zip(sockets) {
            queues.set(queue, socket.raw_fd(), 0)?;
        }
        let program = ebpf
            .program_mut("redirect")
            .context("the object has no program redirect")?;
        let program: &mut Xdp = program.try_into()?;
        program
            .load()
            .context("the kernel refuses the XDP program")?;
        // The driver's own hook first; a driver without one gets the kernel's generic one.
        if program.attach(interface, XdpMode::Driver).is_err() {
            program.attach(interface, XdpMode::Skb).with_context(|| {
                format!("attaching to {interface} (does another XDP program sit there?)")
            })?;
        }
        Ok(Self { _ebpf: ebpf })
    }
}

/// Where the object is when nobody says: in the environment, or below the build directory that this
/// program itself lies in.
///
/// # Errors
/// When it is in none of these places.
pub fn find_object() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("XDHCPD_BPF_OBJECT") {
        return Ok(path.into());
    }
    let program = std::env::current_exe().context("where this program lies")?;
    let built = program
        .ancestors()
        .map(|folder| folder.join("bpf/xdhcpd.bpf.o"));
    built.take(4).find(|path| path.is_file()).context(
        "no xdhcpd.bpf.o below the build directory; build it with `cargo xtask build` or name it \
         with --bpf-object",
    )
}
