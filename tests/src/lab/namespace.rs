//! Network namespaces of this process, and that none of them stays behind.
//!
//! A namespace is called `xd-e2e-PID-NUMBER-ROLE`. It goes when its value is dropped, also while a test
//! panics, and on SIGINT and SIGTERM; what a killed run left behind goes at the start of the next one.

use super::process::{Script, run};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once};

/// Each program of `ip netns exec` has a mount namespace of its own, so these mounts end with it.
const JAIL: &str = "folder=$1; shift
mkdir -p $folder/run $folder/dhcp $folder/dhcpcd
touch $folder/resolv.conf
mkdir -p /var/lib/dhcp /var/lib/dhcpcd
mount --bind $folder/run /run
mount --bind $folder/dhcp /var/lib/dhcp
mount --bind $folder/dhcpcd /var/lib/dhcpcd
if test -e /etc/resolv.conf; then mount --bind $folder/resolv.conf /etc/resolv.conf; fi
exec \"$@\"";

const PREFIX: &str = "xd-e2e-";
static NUMBER: AtomicU32 = AtomicU32::new(0);
static LIVE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static START: Once = Once::new();

/// A network namespace with its loopback up.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A new one; `role` is for people (`server`, `client`).
    ///
    /// # Panics
    /// When it cannot be made: without root, for example.
    pub fn new(role: &str) -> Self {
        START.call_once(|| {
            remove_stale();
            remove_all_on_signals();
        });
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}-{role}", std::process::id());
        LIVE.lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .insert(name.clone());
        run(Command::new("ip").args(["netns", "add", &name]));
        let this = Self { name };
        // Duplicate address detection costs a second before every test and finds nothing here.
        this.sh("ip link set lo up; for what in all default; do
               echo 0 > /proc/sys/net/ipv6/conf/$what/accept_dad
               echo 0 > /proc/sys/net/ipv6/conf/$what/accept_ra
             done");
        this
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs shell commands in it to their end and gives what they print.
    ///
    /// # Panics
    /// When one of them fails.
    pub fn sh(&self, script: &str) -> String {
        run(self.command("sh").args(["-e", "-c", script]))
    }

    /// The same, where failure is an answer too: whether it succeeded, and all it printed.
    pub fn try_sh(&self, script: &str) -> (bool, String) {
        super::process::try_run(self.command("sh").args(["-c", script]))
    }

    /// A program to be run in it. It dies when this thread does, however that happens.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &self.name,
            "setpriv",
            "--pdeathsig",
            "KILL",
            "--",
            program,
        ]);
        command
    }

    /// A program to be run in it that sees no file of the machine which a DHCP client writes: its lease
    /// folders, `/run` and resolv.conf are those of `folder`, the same for every program with that folder.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn jailed(&self, folder: &Path, program: &str) -> Command {
        let jail = Script::new(folder, "jail.sh", JAIL);
        let mut command = self.command("sh");
        command.arg("-e").arg(jail.path()).arg(folder).arg(program);
        command
    }

    /// Runs a function on a thread of its own whose sockets are in this namespace.
    ///
    /// # Panics
    /// When the namespace cannot be entered, or when the function does.
    pub fn within<T: Send>(&self, function: impl FnOnce() -> T + Send) -> T {
        let file = std::fs::File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(file.as_fd(), kind).unwrap();
                function()
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// An address of an interface in it.
    ///
    /// # Panics
    /// When it is refused.
    pub fn add_address(&self, interface: &str, address: &str) {
        let nodad = if address.contains(':') { "nodad" } else { "" };
        self.sh(&format!("ip address add {address} dev {interface} {nodad}"));
    }

    /// The Ethernet address of an interface in it.
    ///
    /// # Panics
    /// When there is no such interface.
    pub fn mac(&self, interface: &str) -> String {
        self.sh(&format!("cat /sys/class/net/{interface}/address"))
            .trim()
            .to_owned()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
        LIVE.lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .remove(&self.name);
    }
}

/// Joins two namespaces by a veth pair with as many queues, and brings both ends up.
///
/// # Panics
/// When the kernel refuses.
pub fn join(left: (&Namespace, &str), right: (&Namespace, &str), queues: u32) {
    let queues = queues.to_string();
    run(Command::new("ip")
        .args([
            "link",
            "add",
            "name",
            left.1,
            "numrxqueues",
            &queues,
            "numtxqueues",
            &queues,
        ])
        .args([
            "netns",
            &left.0.name,
            "type",
            "veth",
            "peer",
            "name",
            right.1,
        ])
        .args([
            "numrxqueues",
            &queues,
            "numtxqueues",
            &queues,
            "netns",
            &right.0.name,
        ]));
    for (namespace, interface) in [left, right] {
        namespace.sh(&format!("ip link set {interface} up"));
    }
}

/// Kills what runs in a namespace, and removes it.
fn remove(name: &str) {
    let (_, pids) = super::process::try_run(Command::new("ip").args(["netns", "pids", name]));
    for pid in pids.split_whitespace() {
        super::process::kill("KILL", pid);
    }
    super::process::try_run(Command::new("ip").args(["netns", "del", name]));
}

/// A folder for a test's files, which goes in the ways in which a namespace goes.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

const FOLDER_PREFIX: &str = "xdhcpd-e2e-";

impl Folder {
    /// A new one, below the system's folder for temporary files.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{FOLDER_PREFIX}{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of processes for which `goes` is true.
fn remove_folders(goes: impl Fn(u32) -> bool) {
    for entry in std::fs::read_dir(std::env::temp_dir())
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix(FOLDER_PREFIX)
            .and_then(|rest| rest.split('-').next());
        if owner
            .and_then(|owner| owner.parse().ok())
            .is_some_and(&goes)
        {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn is_gone(process: u32) -> bool {
    !Path::new(&format!("/proc/{process}")).exists()
}

/// Removes the namespaces and folders of processes that are no more.
fn remove_stale() {
    let (_, names) = super::process::try_run(Command::new("ip").args(["netns", "list"]));
    for name in names
        .lines()
        .filter_map(|line| line.split_whitespace().next())
    {
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        let Some(owner) = owner.and_then(|owner| owner.parse::<u32>().ok()) else {
            continue;
        };
        if is_gone(owner) {
            remove(name);
        }
    }
    remove_folders(is_gone);
}

fn remove_all_on_signals() {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).unwrap();
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            for name in LIVE
                .lock()
                .unwrap_or_else(|poison| poison.into_inner())
                .iter()
            {
                remove(name);
            }
            let own = std::process::id();
            remove_folders(|process| process == own);
            std::process::exit(128 + signal);
        }
    });
}
