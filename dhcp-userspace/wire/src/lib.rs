//! What do these octets say?
//!
//! Views and builders for everything that xdhcpd reads from or writes to the wire: Ethernet to UDP
//! ([`frame`]), DHCPv4 ([`v4`]) and DHCPv6 ([`v6`]). The crate knows formats and nothing else: no
//! policy, no clock, no heap. Invariants: no octets make anything here panic, every loop has a stated
//! bound, and what a builder writes the matching parser reads back.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod frame;
pub mod id;
pub mod octets;
pub mod v4;
pub mod v6;

pub use octets::{Octets, TooLong};
