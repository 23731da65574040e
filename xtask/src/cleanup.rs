//! What must be undone however the program ends: by return, by error, or by a signal.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::exit;
use std::sync::{Mutex, PoisonError};
use std::thread;

type Undo = Box<dyn FnOnce() + Send>;

/// What is still to be undone, in the order it was done.
static PENDING: Mutex<Vec<(u64, Undo)>> = Mutex::new(Vec::new());

/// Undoes something when dropped, or when a signal ends the program before.
#[must_use = "what is not kept is undone at once"]
pub(crate) struct Cleanup(u64);

impl Cleanup {
    /// Takes note of what to undo.
    pub(crate) fn new(undo: impl FnOnce() + Send + 'static) -> Self {
        let mut pending = PENDING.lock().unwrap_or_else(PoisonError::into_inner);
        let id = pending.last().map_or(0, |(id, _)| id + 1);
        pending.push((id, Box::new(undo)));
        Self(id)
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let mut pending = PENDING.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = pending.iter().position(|(id, _)| *id == self.0) else {
            return;
        };
        let (_, undo) = pending.remove(at);
        drop(pending);
        undo();
    }
}

/// From now on SIGINT, SIGTERM and SIGHUP undo everything, newest first, and then end the program.
pub(crate) fn on_signals() -> Result<()> {
    let (mut receiver, sender) = UnixStream::pair().context("a pipe for signals")?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let sender = sender.try_clone().context("a pipe for signals")?;
        signal_hook::low_level::pipe::register(signal, sender).context("catching signals")?;
    }
    thread::spawn(move || {
        if receiver.read(&mut [0]).is_err() {
            return;
        }
        let mut pending = PENDING.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, undo)) = pending.pop() {
            undo();
        }
        exit(130);
    });
    Ok(())
}
