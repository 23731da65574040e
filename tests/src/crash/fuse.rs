//! A file system of two files, by which a program is the disk of a loop device: `image` is the disk, and
//! whoever reads `position` is told how many barriers it has seen.
//!
//! This is FUSE's protocol on /dev/fuse, version 7.31, as far as a loop device and a reader need it: it
//! needs no library and no helper program. One request at a time, so the log has one order.

use super::image::Device;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Most octets that the kernel writes at once.
const WRITE_MAX: usize = 1 << 20;
const IN_HEADER: usize = 40;
const OUT_HEADER: usize = 16;
const WRITE_HEADER: usize = 40;
/// For how long the kernel need not ask again; nothing ever changes here.
const VALID_SECONDS: u64 = 1 << 30;

const ROOT: u64 = 1;
const IMAGE: u64 = 2;
const POSITION: u64 = 3;

const ENOENT: i32 = 2;
const ENOSYS: i32 = 38;

/// The kernel's names for requests.
mod opcode {
    pub(super) const LOOKUP: u32 = 1;
    pub(super) const FORGET: u32 = 2;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const SETATTR: u32 = 4;
    pub(super) const OPEN: u32 = 14;
    pub(super) const READ: u32 = 15;
    pub(super) const WRITE: u32 = 16;
    pub(super) const STATFS: u32 = 17;
    pub(super) const RELEASE: u32 = 18;
    pub(super) const FSYNC: u32 = 20;
    pub(super) const FLUSH: u32 = 25;
    pub(super) const INIT: u32 = 26;
    pub(super) const OPENDIR: u32 = 27;
    pub(super) const RELEASEDIR: u32 = 29;
    pub(super) const INTERRUPT: u32 = 36;
    pub(super) const DESTROY: u32 = 38;
    pub(super) const BATCH_FORGET: u32 = 42;
}

const ASYNC_READ: u32 = 1;
const BIG_WRITES: u32 = 1 << 5;
const MAX_PAGES: u32 = 1 << 22;
/// Nothing of the file in the page cache: the loop device's user has a cache, and one is enough.
const DIRECT_IO: u32 = 1;

/// The disk, shared with whoever changes it from time to time.
pub type Shared = Arc<Mutex<Device>>;

/// A mounted file system. It is unmounted when dropped.
#[derive(Debug)]
pub struct Mounted {
    folder: PathBuf,
}

impl Mounted {
    /// Mounts it over a folder and serves it on a thread of its own.
    ///
    /// # Panics
    /// Without root, or without FUSE.
    pub fn new(folder: &Path, device: Shared) -> Self {
        let kernel = File::options()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .unwrap_or_else(|error| panic!("/dev/fuse: {error}"));
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            kernel.as_raw_fd()
        );
        let options = CString::new(options).unwrap();
        mount(
            "xdhcp-crash",
            folder,
            "fuse",
            MountFlags::NOSUID | MountFlags::NODEV,
            Some(options.as_c_str()),
        )
        .unwrap_or_else(|error| panic!("{}: cannot mount FUSE: {error}", folder.display()));
        std::thread::spawn(move || serve(&kernel, &device));
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The file that is the disk.
    pub fn image(&self) -> PathBuf {
        self.folder.join("image")
    }

    /// The file that says how many barriers the disk has seen.
    pub fn position(&self) -> PathBuf {
        self.folder.join("position")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.folder, UnmountFlags::DETACH);
    }
}

/// Answers the kernel until it has unmounted.
fn serve(kernel: &File, device: &Shared) {
    let mut request = vec![0; WRITE_MAX + 4096];
    let mut reply = Vec::with_capacity(WRITE_MAX + OUT_HEADER);
    loop {
        let length = match rustix::io::read(kernel, &mut request) {
            Ok(length) => length,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::NOENT) => continue,
            Err(_) => return,
        };
        let request = &request[..length];
        reply.clear();
        reply.extend([0; OUT_HEADER]);
        let mut device = device.lock().unwrap_or_else(PoisonError::into_inner);
        let error = match answer(request, &mut device, &mut reply) {
            Answer::None => continue,
            Answer::Done => 0,
            Answer::Error(error) => {
                reply.truncate(OUT_HEADER);
                -error
            }
        };
        drop(device);
        let octets = reply.len() as u32;
        reply[..4].copy_from_slice(&octets.to_le_bytes());
        reply[4..8].copy_from_slice(&error.to_le_bytes());
        reply[8..16].copy_from_slice(&request[8..16]);
        // It fails when the one who asked was interrupted, which is no matter.
        let _ = rustix::io::write(kernel, &reply);
    }
}

enum Answer {
    None,
    Done,
    Error(i32),
}

fn answer(request: &[u8], device: &mut Device, reply: &mut Vec<u8>) -> Answer {
    let opcode = u32_at(request, 4);
    let node = u64_at(request, 16);
    let body = &request[IN_HEADER..];
    match opcode {
        opcode::INIT => {
            let wanted = u32_at(body, 12) & (ASYNC_READ | BIG_WRITES | MAX_PAGES);
            for word in [7, 31, u32_at(body, 8), wanted] {
                reply.extend(word.to_le_bytes());
            }
            // In the background at most, and from where on that is much.
            reply.extend([64u16, 48].iter().flat_map(|word| word.to_le_bytes()));
            reply.extend((WRITE_MAX as u32).to_le_bytes());
            reply.extend(1u32.to_le_bytes()); // time in nanoseconds
            reply.extend(((WRITE_MAX / 4096) as u16).to_le_bytes());
            reply.resize(OUT_HEADER + 64, 0);
        }
        opcode::LOOKUP => {
            let node = match body {
                b"image\0" => IMAGE,
                b"position\0" => POSITION,
                _ => return Answer::Error(ENOENT),
            };
            for word in [node, 0, VALID_SECONDS, VALID_SECONDS, 0] {
                reply.extend(word.to_le_bytes());
            }
            attributes(node, device, reply);
        }
        opcode::GETATTR | opcode::SETATTR => {
            reply.extend(VALID_SECONDS.to_le_bytes());
            reply.extend([0; 8]);
            attributes(node, device, reply);
        }
        opcode::OPEN | opcode::OPENDIR => {
            reply.extend(0u64.to_le_bytes());
            reply.extend(DIRECT_IO.to_le_bytes());
            reply.extend([0; 4]);
        }
        opcode::READ if node == POSITION => {
            reply.extend(device.barriers.to_le_bytes());
        }
        opcode::READ => {
            let (at, octets) = (u64_at(body, 8), u32_at(body, 16) as usize);
            reply.resize(OUT_HEADER + octets, 0);
            device.image.read(at, &mut reply[OUT_HEADER..]);
        }
        opcode::WRITE => {
            let (at, octets) = (u64_at(body, 8), u32_at(body, 16));
            device.write(at, &body[WRITE_HEADER..WRITE_HEADER + octets as usize]);
            reply.extend(octets.to_le_bytes());
            reply.extend([0; 4]);
        }
        opcode::FSYNC => device.flush(),
        opcode::STATFS => reply.resize(OUT_HEADER + 80, 0),
        opcode::RELEASE | opcode::RELEASEDIR | opcode::FLUSH | opcode::DESTROY => {}
        opcode::FORGET | opcode::BATCH_FORGET | opcode::INTERRUPT => return Answer::None,
        // Holes, attributes with names and so on: the kernel does without.
        _ => return Answer::Error(ENOSYS),
    }
    Answer::Done
}

fn attributes(node: u64, device: &Device, reply: &mut Vec<u8>) {
    let (mode, octets): (u32, u64) = match node {
        ROOT => (0o040_755, 4096),
        POSITION => (0o100_444, 8),
        _ => (0o100_600, device.image.octets()),
    };
    for word in [node, octets, octets.div_ceil(512), 0, 0, 0] {
        reply.extend(word.to_le_bytes());
    }
    // Nanoseconds, mode, links, owner, group, device, block size, flags.
    for word in [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0] {
        reply.extend(word.to_le_bytes());
    }
}

fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(octets[at..at + 4].try_into().unwrap())
}

fn u64_at(octets: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(octets[at..at + 8].try_into().unwrap())
}
