//! Whole exchanges through classify, decide and reply, over real partitions in memory.

mod addresses;
mod centuries;
mod forcerenew;
mod hostile;
mod probes;
mod relays;
mod replies;
mod requests;
mod restored;
mod rules;
mod world;

use world::*;
mod surroundings;

/// A subnet without anything, to be filled in.
pub(crate) fn bare_subnet() -> crate::subnet::Subnet4 {
    world::subnet(1, "10.0.0.0", &[])
}
