//! Folders, mounts and loop devices of this process, and that none of them stays behind.
//!
//! All lie below one folder, `xdhcp-crash-PID`, in the system's folder for temporary files or in memory. They
//! go when their values are dropped, on SIGINT and SIGTERM, and what a killed run left behind goes at the
//! start of the next one.

use super::fuse::{Mounted, Shared};
use crate::lab::process::{run, try_run};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CStr;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const PREFIX: &str = "xdhcp-crash-";
/// Where files need no disk.
const MEMORY: &str = "/dev/shm";

/// The file systems that are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FileSystem {
    /// With data=ordered, its default.
    Ext4,
    /// With its defaults.
    Xfs,
}

impl FileSystem {
    /// Its name, for people and for mount(2).
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// Of a small disk: ext4 keeps its first spare superblock at 128 MiB, and xfs wants 300.
    pub fn octets(self) -> u64 {
        match self {
            Self::Ext4 => 160 << 20,
            Self::Xfs => 320 << 20,
        }
    }

    /// Makes one on a file.
    ///
    /// # Panics
    /// When that fails.
    pub fn make(self, file: &Path) {
        let mut command = match self {
            Self::Ext4 => Command::new("mkfs.ext4"),
            Self::Xfs => Command::new("mkfs.xfs"),
        };
        match self {
            Self::Ext4 => command.args(["-q", "-F", "-b", "4096", "-E", "nodiscard"]),
            Self::Xfs => command.args(["-q", "-f", "-K"]),
        };
        run(command.arg(file));
    }

    /// Mends one whose own structures do not let it be mounted, where its makers provide for that in every
    /// start of a machine. Whether it is worth another try.
    pub fn mend(self, device: &Path) -> bool {
        match self {
            // Some writes of the superblock have a wrong checksum until the next one. Every start of a
            // machine checks for that, and takes the spare superblock.
            Self::Ext4 => {
                let status = Command::new("e2fsck")
                    .args(["-f", "-y"])
                    .arg(device)
                    .output();
                let code = status.ok().and_then(|output| output.status.code());
                code.is_some_and(|code| code < 4)
            }
            Self::Xfs => false,
        }
    }

    fn options(self) -> &'static CStr {
        match self {
            Self::Ext4 => c"",
            // Several images of one file system are mounted at the same time.
            Self::Xfs => c"nouuid",
        }
    }
}

/// The folder of this process.
#[derive(Debug)]
pub struct Rig {
    folder: PathBuf,
}

impl Rig {
    /// Makes it, after clearing up what dead processes left.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// Makes it in memory, where that is possible: for thousands of stores whose system calls matter, but
    /// not the disk.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn in_memory() -> Self {
        let memory = Path::new(MEMORY);
        match memory.is_dir() {
            true => Self::below(memory),
            false => Self::new(),
        }
    }

    fn below(parent: &Path) -> Self {
        remove_stale(&std::env::temp_dir());
        remove_stale(Path::new(MEMORY));
        let name = format!("{PREFIX}{}", std::process::id());
        let folder = parent.join(name);
        std::fs::create_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let on_signal = folder.clone();
        remove_on_signals(on_signal);
        Self { folder }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A disk of ours behind a loop device, in a folder of this name.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn disk(&self, name: &str, device: Shared) -> Disk {
        let folder = self.folder.join(name);
        let (fuse, files) = (folder.join("disk"), folder.join("files"));
        for folder in [&folder, &fuse, &files] {
            std::fs::create_dir(folder).unwrap();
        }
        Disk {
            loop_device: None,
            fuse: Mounted::new(&fuse, device),
            files,
        }
    }
}

impl Default for Rig {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// A disk of ours, and where a file system on it is to be mounted.
#[derive(Debug)]
pub struct Disk {
    loop_device: Option<LoopDevice>,
    fuse: Mounted,
    files: PathBuf,
}

impl Disk {
    /// The file that is the disk.
    pub fn image(&self) -> PathBuf {
        self.fuse.image()
    }

    /// The file that counts barriers.
    pub fn position(&self) -> PathBuf {
        self.fuse.position()
    }

    /// Where its file system is mounted.
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// Puts a loop device on it, once it has a file system; its path.
    ///
    /// # Panics
    /// When there is none left.
    pub fn attach(&mut self) -> PathBuf {
        let image = self.image();
        let device = self
            .loop_device
            .get_or_insert_with(|| LoopDevice::on(&image));
        device.path.clone()
    }
}

/// A loop device. It is detached when dropped.
#[derive(Debug)]
struct LoopDevice {
    path: PathBuf,
}

impl LoopDevice {
    fn on(file: &Path) -> Self {
        let path = run(Command::new("losetup").args(["--find", "--show"]).arg(file));
        Self {
            path: path.trim().into(),
        }
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        try_run(Command::new("losetup").arg("--detach").arg(&self.path));
    }
}

/// A mounted file system. It is unmounted when dropped.
#[derive(Debug)]
pub struct MountedFiles<'a> {
    files: &'a Path,
}

impl<'a> MountedFiles<'a> {
    /// Mounts a device.
    ///
    /// # Errors
    /// Those of the kernel.
    ///
    /// # Panics
    /// When it is mounted already, perhaps where it cannot be seen.
    pub fn new(device: &Path, kind: FileSystem, files: &'a Path) -> Result<Self, String> {
        let mut alone = File::options();
        let alone = alone.read(true).custom_flags(libc::O_EXCL).open(device);
        alone.unwrap_or_else(|error| panic!("{} is in use: {error}", device.display()));
        mount(
            device,
            files,
            kind.name(),
            MountFlags::empty(),
            Some(kind.options()),
        )
        .map_err(|error| format!("cannot mount {}: {error}", kind.name()))?;
        Ok(Self { files })
    }

    /// Unmounts it.
    ///
    /// # Errors
    /// Those of the kernel: somebody still uses it.
    pub fn end(self) -> Result<(), String> {
        let files = self.files;
        std::mem::forget(self);
        unmount(files, UnmountFlags::empty()).map_err(|error| format!("cannot unmount: {error}"))
    }
}

impl Drop for MountedFiles<'_> {
    fn drop(&mut self) {
        let _ = unmount(self.files, UnmountFlags::DETACH);
    }
}

/// Unmounts, detaches and removes all below a folder.
fn remove(folder: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below = |line: &str| line.split(' ').nth(1).map(PathBuf::from);
    let mounted: Vec<_> = mounts
        .lines()
        .filter_map(below)
        .filter(|path| path.starts_with(folder))
        .collect();
    // The last one mounted goes first: it may lie on one of the others.
    for path in mounted.iter().rev().filter(|path| path.ends_with("files")) {
        let _ = unmount(path, UnmountFlags::DETACH);
    }
    let (_, devices) = try_run(Command::new("losetup").args([
        "--list",
        "--noheadings",
        "--output",
        "NAME,BACK-FILE",
    ]));
    let name = folder.to_string_lossy();
    for device in devices
        .lines()
        .filter(|line| line.contains(&format!("{name}/")))
    {
        if let Some(device) = device.split_whitespace().next() {
            try_run(Command::new("losetup").args(["--detach", device]));
        }
    }
    for path in mounted.iter().rev() {
        let _ = unmount(path, UnmountFlags::DETACH);
    }
    let _ = std::fs::remove_dir_all(folder);
}

/// Clears up after processes that are no more.
fn remove_stale(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|owner| owner.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            remove(&entry.path());
        }
    }
}

fn remove_on_signals(folder: PathBuf) {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).unwrap();
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            remove(&folder);
            std::process::exit(130);
        }
    });
}
