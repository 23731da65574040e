//! Which frames are ours?
//!
//! What the XDP program and its loader agree on ([`maps`], [`Settings`], [`Outcome`]) and the rule
//! itself ([`steer()`]), a pure function over octets. The program in `main.rs` runs the rule in the
//! kernel; the tests run it on the host, over the same table of frames.
//!
//! Invariants: a frame is taken only when it is certainly for a DHCP server on this host, all else
//! passes to the kernel untouched; every frame ends in exactly one [`Outcome`]; every loop has a bound
//! that the kernel's verifier sees.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "frames"))]
extern crate std;

mod client;
#[cfg(any(test, feature = "frames"))]
pub mod frames;
mod layout;
mod outcome;
mod settings;
mod steer;

pub use outcome::Outcome;
pub use settings::Settings;
pub use steer::{Octets, Served, Verdict, steer};

/// The names by which the loader finds programs and maps in the object.
pub mod maps {
    /// The program of the server: takes what [`steer()`](crate::steer()) takes.
    pub const STEER_PROGRAM: &str = "steer";

    /// A program that passes every frame: what the others are measured against.
    pub const PASS_PROGRAM: &str = "pass";

    /// `XskMap`: the socket of worker `k` on receive queue `q` stands at
    /// [`socket_index`](crate::socket_index)`(q, k)`. One map belongs to one interface.
    pub const SOCKETS: &str = "SOCKETS";

    /// Hash map of the served IPv4 addresses: four octets in network order to a `u8` of no meaning.
    pub const SERVED_V4: &str = "SERVED_V4";

    /// Hash map of the served IPv6 addresses: sixteen octets in network order to a `u8` of no meaning.
    pub const SERVED_V6: &str = "SERVED_V6";

    /// Array of one: [`Settings::to_words`](crate::Settings::to_words). All zero, as after loading, it
    /// takes no frame.
    pub const SETTINGS: &str = "SETTINGS";

    /// Not a map but a `u8` that is constant once the program is loaded: 0 lets
    /// [`Settings::workers_per_queue`](crate::Settings::workers_per_queue) count as 1, whatever it is, and spares the
    /// kernel's verifier what the sharing out takes. 1 unless the loader sets it.
    pub const SHARES_OUT: &str = "SHARES_OUT";

    /// Per-CPU array of `u64`, one for each [`Outcome`](crate::Outcome), indexed by its number.
    pub const COUNTERS: &str = "COUNTERS";
}

/// Most receive queues of one interface; the loader may make the map smaller, never larger.
pub const QUEUES_MAX: u32 = 256;

/// Most sockets, hence workers, on one receive queue.
pub const SOCKETS_PER_QUEUE_MAX: u32 = 16;

/// Most addresses of one family that one interface serves.
pub const SERVED_MAX: u32 = 1024;

/// Where the socket of a worker stands in [`maps::SOCKETS`]; a queue or worker past its bound has
/// an index past the end of the map.
#[inline(always)]
pub const fn socket_index(rx_queue_index: u32, worker: u32) -> u32 {
    rx_queue_index
        .wrapping_mul(SOCKETS_PER_QUEUE_MAX)
        .wrapping_add(worker)
}
