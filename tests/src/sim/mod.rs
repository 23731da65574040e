//! Does the server keep its promises whatever fails? Engine and store on a simulated disk, clock, network
//! and crash, all from one seed.
//!
//! Clients ([`v4`], [`v6`]) send real frames through the real straight line and the real store
//! ([`server`]) onto a disk that loses, tears and refuses ([`disk`], [`file`]); [`ledger`] knows what was
//! promised. A run ([`world`]) is a function of its seed: no thread, no clock, no map without order.

pub mod client;
pub mod clock;
pub mod disk;
pub mod file;
pub mod frame;
pub mod layout;
pub mod ledger;
pub mod random;
pub mod server;
pub mod v4;
pub mod v6;
pub mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;
pub use world::{Faults, Tally};

/// A run that ended badly.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What was violated.
    pub what: String,
    /// After so many crashes.
    pub crashes: u64,
    /// The last events before it.
    pub log: Vec<String>,
}

/// Runs a seed until there were so many crashes.
///
/// # Errors
/// The violation; the run was repeated for its event log.
pub fn run(seed: u64, faults: Faults, crashes: u64) -> Result<Tally, Violation> {
    attempt(seed, faults, crashes, false).map_err(|first| {
        // The same again, up to the same end, now written down.
        match attempt(seed, faults, crashes, true) {
            Err(second) if second.what == first.what => second,
            Err(second) => Violation {
                what: format!("{}; and not the same again: {}", first.what, second.what),
                ..second
            },
            Ok(_) => Violation {
                what: format!("{}; and not again", first.what),
                ..first
            },
        }
    })
}

fn attempt(seed: u64, faults: Faults, crashes: u64, with_log: bool) -> Result<Tally, Violation> {
    let mut world = World::new(seed, faults, with_log);
    let result = catch_unwind(AssertUnwindSafe(|| world.run(crashes)));
    let what = match result {
        Ok(Ok(())) => return Ok(world.tally),
        Ok(Err(what)) => what,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            format!("panic: {}", text.unwrap_or_default())
        }
    };
    let log = world.log.take().unwrap_or_default().into();
    Err(Violation {
        what,
        crashes: world.tally.crashes,
        log,
    })
}
