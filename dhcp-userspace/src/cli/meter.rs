//! How far has it come? A bar on a terminal, a line now and then elsewhere, nothing if nobody wants it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// How often a line is written where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// On standard error, so that it never mixes with what is written.
#[derive(Debug)]
pub(super) struct Meter {
    what: &'static str,
    bar: Option<ProgressBar>,
    is_quiet: bool,
    started: Instant,
    last: Instant,
}

impl Meter {
    /// `what` is counted, in the plural.
    pub(super) fn new(what: &'static str, is_quiet: bool) -> Self {
        let is_shown = !is_quiet && std::io::stderr().is_terminal();
        let bar = is_shown.then(|| {
            let style = ProgressStyle::with_template(
                "{wide_bar} {human_pos}/{human_len} {msg}, {per_sec}, {eta} left",
            );
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            bar.set_message(what);
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let started = Instant::now();
        Self {
            what,
            bar,
            is_quiet,
            started,
            last: started,
        }
    }

    /// So many of so many.
    pub(super) fn at(&mut self, done: u64, all: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(all);
            bar.set_position(done);
        } else if !self.is_quiet && self.last.elapsed() >= LINE_INTERVAL {
            self.last = Instant::now();
            let seconds = self.started.elapsed().as_secs();
            let what = self.what;
            eprintln!("{done} of {all} {what} after {seconds} seconds");
        }
    }

    /// A line between two states of the bar.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
