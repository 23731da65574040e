//! Who had this address at that second? The lease history in its files: written beside the data path,
//! read by `xdhcpd leases history`.
//!
//! Invariants:
//! - Nobody on the data path waits for the history: commits are handed over into memory of a fixed size,
//!   and what finds no room there is a gap that the history names.
//! - Under durability "power" the journal keeps a batch until the history has it on stable storage, so
//!   what was acknowledged is in the history after any crash.
//! - A segment that was ended is never written again, and one that was not is ended by the next start.

mod files;
mod intake;
mod keeper;
mod query;
mod recover;
mod render;
mod time;
mod writer;

pub use files::{SegmentName, list};
pub use intake::{HistoryStatus, Intake};
pub use keeper::{Keeper, Opened, start};
pub use query::{Answer, Asked, GapSeen, ReadError, Verified, query, verify};
pub use render::{Format, gap_object, gap_text, render};
pub use time::parse_time;

use std::path::{Path, PathBuf};

/// The directory of the history in a state directory.
pub fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join("history")
}

/// What the operator decided about the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistorySettings {
    /// Whether there is one.
    pub is_enabled: bool,
    /// Whether leases are granted only while it can be written.
    pub is_required: bool,
    /// For how many days a segment is kept after the last time that it tells of.
    pub retention_days: u32,
    /// Octets that all segments together may have.
    pub octets_max: u64,
    /// Octets after which a segment is ended.
    pub segment_octets: u64,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            is_enabled: true,
            is_required: false,
            retention_days: 365,
            octets_max: 16 << 30,
            segment_octets: 32 << 20,
        }
    }
}

#[cfg(test)]
mod tests;
