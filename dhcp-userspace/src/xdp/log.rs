//! What does the XDP program say of the frames that it sees? Its log records as our log events.

use aya::Ebpf;
use aya_log::EbpfLogger;
use dhcp_ebpf::Outcome;
use log::{Level, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

/// How long the thread waits for records before it looks whether it should end.
const WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// Reads the program's log records, on a thread of its own, as long as it lives.
#[derive(Debug)]
pub(super) struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Begins to read what the program of this interface logs. To be called before the program is
    /// loaded: its map of records is taken out of `ebpf`.
    ///
    /// # Errors
    /// When the object has no such map, or the system has no thread.
    pub(super) fn start(ebpf: &mut Ebpf, interface: &str) -> io::Result<Self> {
        let events = Events {
            interface: interface.to_owned(),
        };
        let mut logger = EbpfLogger::init_with_logger(ebpf, events).map_err(io::Error::other)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let read = move || {
            while !stopped.load(Ordering::Relaxed) {
                let mut events = [PollFd::new(&logger, PollFlags::IN)];
                // An interrupted wait is a short one.
                let _ = poll(&mut events, Some(&WAIT));
                logger.flush();
            }
        };
        let thread = Builder::new().name("xdp-log".to_owned()).spawn(read)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Makes a `tracing` event, target `xdp`, of each record of one interface's program.
struct Events {
    interface: String,
}

impl Log for Events {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let interface = self.interface.as_str();
        let said = record.args().to_string();
        let outcome = outcome_of(&said).map_or("", Outcome::name);
        match record.level() {
            Level::Error => tracing::error!(target: "xdp", interface, outcome, "XDP: {said}"),
            Level::Warn => tracing::warn!(target: "xdp", interface, outcome, "XDP: {said}"),
            Level::Info => tracing::info!(target: "xdp", interface, outcome, "XDP: {said}"),
            Level::Debug => tracing::debug!(target: "xdp", interface, outcome, "XDP: {said}"),
            Level::Trace => tracing::trace!(target: "xdp", interface, outcome, "XDP: {said}"),
        }
    }

    fn flush(&self) {}
}

/// The program knows outcomes by number only; an operator knows their names from `ctl stats`.
fn outcome_of(said: &str) -> Option<Outcome> {
    let (_, number) = said.rsplit_once("outcome ")?;
    Outcome::ALL.get(number.parse::<usize>().ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_s_number_gets_its_name() {
        for outcome in Outcome::ALL {
            let said = format!("queue 3, outcome {}", outcome.index());
            assert_eq!(outcome_of(&said), Some(*outcome), "{said}");
        }
        assert_eq!(outcome_of("queue 3, outcome 99999"), None);
        assert_eq!(outcome_of("something else"), None);
    }
}
