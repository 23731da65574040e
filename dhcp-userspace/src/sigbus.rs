//! What if a page of a mapped file cannot be read? The system sends SIGBUS; then the process says which
//! file it was, and ends.
//!
//! That is for what no precaution helps against: a medium that does not return what it holds, a file that
//! was cut short a moment ago. No thread can go on without the page, and a restart is cheaper than a
//! server of which a part is missing.
#![expect(unsafe_code, reason = "a signal handler")]

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rustix::fs::{Mode, OFlags};
use rustix::stdio::stderr;
use std::ffi::{c_int, c_void};
use std::io;

/// The longest line of the list of mappings that is understood.
const LINE_OCTETS: usize = 512;

/// From now on SIGBUS is explained on standard error, and the exit status is 1.
///
/// # Errors
/// Those of the system.
pub(crate) fn explain() -> io::Result<()> {
    let handler = SigHandler::SigAction(on_sigbus);
    let action = SigAction::new(handler, SaFlags::SA_RESETHAND, SigSet::empty());
    // SAFETY: the handler calls nothing but system calls, and it does not return: so it may interrupt any
    // code whatsoever.
    unsafe { sigaction(Signal::SIGBUS, &action) }?;
    Ok(())
}

extern "C" fn on_sigbus(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes a valid one to a handler that asks for it, as `SigAction` does.
    let info = unsafe { &*info };
    // SAFETY: the kernel fills this field for SIGBUS.
    let address = unsafe { info.si_addr() } as usize;
    let mut line = Line::default();
    let path: &[u8] = if line.find(address) {
        line.path()
    } else {
        b"a mapped file"
    };
    for part in [
        path,
        b": a page cannot be read (SIGBUS): the file was cut short, or its disk does not work; the server \
          ends, and what it acknowledged is in the journal. See the kernel's log\n",
    ] {
        // There is nobody to tell that nobody can be told.
        let _ = rustix::io::write(stderr(), part);
    }
    // SAFETY: it ends the process at once and runs nothing of ours any more.
    unsafe { libc::_exit(1) }
}

/// A line of the list of mappings, in memory that is there already: a handler cannot ask for more.
struct Line {
    octets: [u8; LINE_OCTETS],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            octets: [0; LINE_OCTETS],
            len: 0,
        }
    }
}

impl Line {
    /// Looks for the mapping that an address lies in. Whether there is one; then this is its line.
    fn find(&mut self, address: usize) -> bool {
        let Ok(maps) = rustix::fs::open(c"/proc/self/maps", OFlags::RDONLY, Mode::empty()) else {
            return false;
        };
        let mut window = [0; 4096];
        while let Ok(got @ 1..) = rustix::io::read(&maps, &mut window) {
            for &octet in window.get(..got).unwrap_or_default() {
                if octet != b'\n' {
                    if let Some(room) = self.octets.get_mut(self.len) {
                        *room = octet;
                        self.len += 1;
                    }
                } else if self.has(address) {
                    return true;
                } else {
                    self.len = 0;
                }
            }
        }
        false
    }

    fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }

    fn has(&self, address: usize) -> bool {
        let mut ends = self.octets().split(|octet| matches!(octet, b'-' | b' '));
        let mut end = || usize::from_str_radix(str::from_utf8(ends.next()?).ok()?, 16).ok();
        match (end(), end()) {
            (Some(start), Some(end)) => (start..end).contains(&address),
            _ => false,
        }
    }

    /// The file's path: what comes from the first slash on.
    fn path(&self) -> &[u8] {
        let start = self.octets().iter().position(|&octet| octet == b'/');
        let path = start.and_then(|start| self.octets().get(start..));
        path.unwrap_or(b"memory of no file")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_an_address_is_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8192).unwrap();
        // SAFETY: nobody else has this file.
        let mapping = unsafe { memmap2::Mmap::map(file.as_file()) }.unwrap();
        let address = mapping.as_ptr() as usize;
        let mut line = Line::default();
        assert!(line.find(address + 5000));
        assert_eq!(line.path(), file.path().as_os_str().as_encoded_bytes());
        assert!(!Line::default().find(0));
    }
}
