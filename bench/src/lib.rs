//! The packet blaster, the plain reflector and the measurements of the lease store.
//!
//! The blaster plays whole DHCP clients against any server and judges every answer; the reflector sends
//! frames back as they came, which is the ceiling that a server on the same link can reach. One thread
//! runs one [`engine::Engine`], which owns all clients and all queues, so that no answer can arrive at
//! a thread that does not know its client.
#![deny(unsafe_code)]

pub mod check;
pub mod client;
pub mod clock;
pub mod engine;
pub mod exchange;
pub mod forcerenew;
pub mod lease_file;
pub mod link;
pub mod neighbour;
pub mod plan;
pub mod program;
pub mod relay;
pub mod report;
pub mod statistics;
pub mod store;
pub mod template;
pub mod v4;
pub mod v6;
mod writer;

/// Which DHCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Family {
    /// DHCPv4 (RFC 2131).
    V4,
    /// DHCPv6 (RFC 9915).
    V6,
}

impl Family {
    /// The name that options and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        }
    }
}
