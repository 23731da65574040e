//! What should the server do?
//!
//! Policy and protocol, without I/O: a message, its arrival, the policy, the client's partition and the
//! time come in; an answer or a [`Discard`] comes out. For each protocol three steps, which the data path
//! runs over whole batches: `classify` (octets to an owned query), `decide` (query and leases to an
//! answer; the only step under a lock), `reply` (answer to octets, over the frame of the request).
#![forbid(unsafe_code)]

pub mod alarms;
pub mod class;
pub mod discard;
pub mod expression;
pub mod flexible;
pub mod leasequery;
pub mod limits;
pub mod networks;
pub mod options;
pub mod probe;
pub mod reservation;
pub mod subnet;
pub mod v4;
pub mod v6;

mod cache;
mod own;
mod surroundings;
mod sync;

pub use discard::Discard;
pub use subnet::{Interface, Policy};
