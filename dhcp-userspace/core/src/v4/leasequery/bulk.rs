//! Whose leases are whose, many at a time and as they change (RFC 6926, RFC 7724)? The messages, without the
//! connection that they come by.
//!
//! [`parse`] reads what a requestor sends into a [`Request`]; [`targets`] says which addresses a query may be
//! about; [`look`] reads some of them at a time, under one partition lock after the other;
//! [`BulkQuery::wants`] judges, and [`answer`], [`done`] and [`status`] write messages with their length before
//! them. A query's addresses are looked at once each, so none is told twice, whatever changes meanwhile.

mod look;
mod parse;
mod write;

pub use look::{AddressState, Holding, Targets, look, targets};
pub use parse::{ActiveQuery, BulkQuery, Primary, Refusal, Request, Wishes, parse};
pub use write::{LENGTH_OCTETS, Status, answer, done, refuse, status, tls};
