//! Whole exchanges: octets in, octets out, with real partitions in between.

mod centuries;
mod hostile;
mod leases;
mod links;
mod messages;
mod renewals;
mod restored;
mod surroundings;
mod world;
