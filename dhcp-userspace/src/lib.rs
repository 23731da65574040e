//! How does the answer meet the world? The shell around the pure core: devices, files, clock, people.
#![deny(unsafe_code)]

pub mod campaign;
pub mod cli;
pub mod clock;
pub mod commit;
pub mod config;
pub mod control;
pub mod counters;
pub mod datapath;
pub mod disk;
pub mod history;
pub mod interface;
pub mod io;
pub mod leasequery;
pub mod leases;
pub(crate) mod mapping;
pub mod operator;
#[cfg(feature = "afxdp")]
mod priority;
#[cfg(feature = "afxdp")]
pub mod probe;
#[cfg(feature = "afxdp")]
pub mod server;
pub mod settings;
#[cfg(feature = "afxdp")]
mod sigbus;
pub mod snapshot;
pub mod store;
mod sync;
pub mod wake;
pub mod watchdog;
pub mod worker;
#[cfg(feature = "afxdp")]
pub mod xdp;
