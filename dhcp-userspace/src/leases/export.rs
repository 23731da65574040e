//! How do all leases leave, while the server goes on? One pass over the files, row by row.
//!
//! Nothing is locked, so the rows are not of one moment; what holds is this. Each row was true, as a whole,
//! at some moment of the pass. Whatever was held from its beginning to its end is in it. No lease is
//! written twice as held: of one that changed hands during the pass, the first holder that was met stays,
//! which is how things were at that moment.

use super::files::{Files, Progress, ReadError};
use super::set::LeaseSet;
use super::{Format, KeaVersion, LeaseView, kea, own, render};
use dhcp_lease::{Binding, Lease, State, Timestamp};
use std::io::{self, Write};
use std::ops::ControlFlow;

/// Which leases are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Which {
    /// Every one that there is a record of.
    #[default]
    All,
    /// Granted at the moment.
    Live,
    /// Expired or released: their clients get them again if nobody else has them.
    Former,
    /// Found in use by somebody else.
    Declined,
}

/// What is to be written, and how.
#[derive(Clone, Debug, Default)]
pub struct Export {
    /// How leases are written.
    pub format: Format,
    /// For which Kea.
    pub kea: KeaVersion,
    /// Whether DHCPv6 leases are wanted, or DHCPv4 ones; both unless said. Kea's files are of one protocol.
    pub v6: Option<bool>,
    /// In which state.
    pub which: Which,
    /// Of this subnet only.
    pub subnet: Option<u32>,
    /// Of this client identifier, DUID or hardware address only.
    pub client: Option<Vec<u8>>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Leases.
    pub rows: u64,
    /// Leases that changed hands meanwhile, whose new holder is not listed.
    pub moved: u64,
    /// Leases whose client has an identifier that Kea takes for an error.
    pub left_out: u64,
    /// Records that cannot be trusted.
    pub damaged: u64,
}

/// Why it was not written to the end.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Where it was to go.
    #[error("cannot write the leases: {0}")]
    Write(#[source] io::Error),
}

/// What a record says at a moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Live,
    Former,
    Declined,
    /// A quarantine that is over: the record says nothing of anybody.
    Nothing,
}

impl Standing {
    pub(super) fn of(binding: &Binding, now: Timestamp) -> Self {
        match binding.state {
            State::Leased if binding.is_live(now) => Self::Live,
            State::Leased | State::Released => Self::Former,
            State::Declined if binding.expires > now => Self::Declined,
            State::Declined => Self::Nothing,
        }
    }

    /// Whether nobody else can have the lease.
    pub(super) fn holds(self) -> bool {
        matches!(self, Self::Live | Self::Declined)
    }
}

impl Export {
    /// Writes all leases that are wanted. `out` should be buffered.
    ///
    /// # Errors
    /// [`ExportError`]. A broken pipe ends it soon.
    pub fn write(
        &self,
        files: &mut Files,
        out: &mut impl Write,
        mut progress: impl FnMut(Progress),
    ) -> Result<Exported, ExportError> {
        self.begin(out).map_err(ExportError::Write)?;
        let clock = files.clock();
        let mut now = clock.now();
        let mut held = LeaseSet::default();
        let mut done = Exported::default();
        let mut failed = None;
        // For both closures, of which one runs at a time.
        let time = std::cell::Cell::new(now);
        let trouble = std::cell::Cell::new(false);
        let summary = files.for_each(
            &mut |binding| {
                now = time.get();
                if failed.is_some() {
                    return;
                }
                if let Err(error) = self.row(binding, now, &mut held, &mut done, out) {
                    failed = Some(error);
                    trouble.set(true);
                }
            },
            |at| {
                progress(at);
                time.set(clock.now());
                match trouble.get() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            },
        )?;
        done.damaged = summary.damage.len() as u64;
        match failed {
            Some(error) => Err(error),
            None => self.end(done, out),
        }
        .map_err(ExportError::Write)?;
        Ok(done)
    }

    fn begin(&self, out: &mut impl Write) -> io::Result<()> {
        match self.format {
            Format::Table => table_row(&render::HEADING.map(str::to_owned), out),
            Format::Json => out.write_all(b"["),
            Format::Csv => own::write_csv_header(out),
            Format::KeaCsv => kea::write_header(self.v6 == Some(true), self.kea, out),
        }
    }

    fn row(
        &self,
        binding: &Binding,
        now: Timestamp,
        held: &mut LeaseSet,
        done: &mut Exported,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let standing = Standing::of(binding, now);
        if !self.wants(binding, standing) {
            return Ok(());
        }
        if standing.holds() && !held.insert(binding.lease) {
            done.moved += 1;
            return Ok(());
        }
        match self.format {
            // To Kea a later row counts instead of an earlier one, whosever it is: the holder's must.
            Format::KeaCsv if !standing.holds() && held.contains(binding.lease) => return Ok(()),
            Format::KeaCsv => {
                if !kea::write_row(binding, now, self.kea, out)? {
                    done.left_out += 1;
                    return Ok(());
                }
            }
            Format::Csv => own::write_csv(&LeaseView::new(binding, now), out)?,
            Format::Table => table_row(&render::table_row(&LeaseView::new(binding, now)), out)?,
            Format::Json => {
                // One on each line, so that a person can find the one that a message names.
                let before: &[u8] = if done.rows == 0 { b"\n" } else { b",\n" };
                out.write_all(before)?;
                serde_json::to_writer(&mut *out, &LeaseView::new(binding, now))?;
            }
        }
        done.rows += 1;
        Ok(())
    }

    fn end(&self, done: Exported, out: &mut impl Write) -> io::Result<()> {
        if self.format == Format::Json {
            let end: &[u8] = if done.rows == 0 { b"]\n" } else { b"\n]\n" };
            out.write_all(end)?;
        }
        out.flush()
    }

    fn wants(&self, binding: &Binding, standing: Standing) -> bool {
        let is_v6 = !matches!(binding.lease, Lease::V4(_));
        let is_meant = match self.which {
            Which::All => standing != Standing::Nothing,
            Which::Live => standing == Standing::Live,
            Which::Former => standing == Standing::Former,
            Which::Declined => standing == Standing::Declined,
        };
        is_meant
            && self.v6.is_none_or(|v6| v6 == is_v6)
            && self.subnet.is_none_or(|subnet| subnet == binding.subnet.0)
            && self.client.as_ref().is_none_or(|client| {
                binding.client.as_slice() == client || binding.hardware.as_slice() == client
            })
    }
}

/// Widths that most leases keep to: how wide the widest is would be known after the last.
const WIDTHS: [usize; 8] = [18, 8, 6, 23, 17, 20, 16, 0];

fn table_row(row: &[String; 8], out: &mut impl Write) -> io::Result<()> {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(WIDTHS) {
        line.push_str(&format!("{cell:width$}  "));
    }
    writeln!(out, "{}", line.trim_end())
}

#[cfg(test)]
mod tests;
