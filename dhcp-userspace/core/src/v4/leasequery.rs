//! Who has this address, and what has this client (RFC 4388, RFC 6148)?
//!
//! A relay agent that has lost what it knew asks. [`classify`] reads the question, [`search`] looks through
//! the partitions, one lock at a time, and [`reply`] writes what was found over the question. Invariants:
//! nothing is changed and nothing allocated; the work is bounded; whoever is not among the requestors learns
//! nothing, not even that we are here.

pub mod bulk;
mod parse;
mod reply;
mod search;
mod told;

pub use parse::{LeaseQuery, classify};
pub use reply::reply;
pub use search::{ASSOCIATED_MAX, Finding, LeaseAnswer, search};
