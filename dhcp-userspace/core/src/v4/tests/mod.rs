//! Whole exchanges through classify, decide and reply, over real partitions in memory.

mod addresses;
mod centuries;
mod hostile;
mod replies;
mod requests;
mod restored;
mod rules;
mod world;

use world::*;
mod surroundings;
