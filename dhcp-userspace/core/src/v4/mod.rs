//! DHCPv4 (RFC 2131): what the server answers.
//!
//! [`classify`] reads a message into a [`Query`], [`decide`] turns it and the client's leases into an
//! [`Answer`], [`reply`] writes that over the frame of the request. Invariants: none of the three uses the
//! heap; a DISCOVER changes nothing durable unless it ends in a Rapid Commit or finds an address in use that is
//! nobody's; a client has at most one live lease in a network; nobody but its holder ends a lease.

mod agent;
mod context;
mod decide;
mod forcerenew;
mod identify;
mod kept;
pub mod leasequery;
mod line;
mod machine;
mod names;
mod packet;
mod parameters;
mod query;
mod reply;
mod select;
mod vendor;

pub use agent::AGENT_OCTETS_MAX;
pub use decide::{Answer, Refusal, Verdict, decide};
pub use forcerenew::{NonceSecret, Unreachable, forcerenew};
pub use kept::{is_kept, is_member};
pub use line::find_line;
pub use machine::find_name;
pub use packet::{Received, vendor_class};
pub use query::{Kind, Query, classify};
pub use reply::{Written, reply};

#[cfg(test)]
pub(crate) mod tests;
