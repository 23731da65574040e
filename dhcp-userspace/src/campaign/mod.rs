//! How are many clients told to come at once? Paced, with retries, to be watched and to be ended.
//!
//! A campaign does not know by which protocol clients are told: it has a [`Reach`], which can look at a target
//! and send it a message. DHCPv4's is [`forcerenew`]. Invariants:
//! - One campaign at a time, on a thread of its own: no packet waits for it.
//! - A client has reacted when its binding was written since the campaign began. So nothing is to be told from
//!   the data path, and what a campaign reports is what a restart would find.
//! - What is kept per target is a few octets; who does not react is described when that is known.

pub mod forcerenew;
mod raw;
mod runner;
mod schedule;
mod select;

pub use runner::{Campaigns, Deaf, Outcome, Reach, Report, Start, StartError};
pub use schedule::{Counts, Plan, Schedule, Seen, Step};
pub use select::{Selection, Target, Targets};
