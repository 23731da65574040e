//! DHCPv6 (RFC 9915): what the server answers.
//!
//! [`classify`] turns octets into a [`Query`] and finds the client's link, [`decide`] turns the query and
//! the client's leases into an [`Answer`], [`reply`] writes it. Invariants:
//! - A Solicit answered with an Advertise leaves nothing in the log: it only holds offers.
//! - Whatever a Reply promises was committed first (RFC 8415 section 18.3.1).
//! - Every answer is made anew.
//!   RFC 8415 section 18.3.2 [no-cached-replies]: lifetimes count from now, also for a retransmission.

mod answer;
mod choose;
mod context;
mod decide;
mod packet;
mod query;
mod reply;
mod select;
mod vendor;

#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use decide::decide;
pub use packet::{Received, vendor_class};
pub use query::{HINTS_MAX, IAS_MAX, Query, RELAY_OCTETS_MAX, REQUESTED_MAX, classify};
pub use reply::reply;
