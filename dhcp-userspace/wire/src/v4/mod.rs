//! What does a DHCPv4 message say, and how is one written?
//!
//! [`Message`] is the view: the fixed header and a bounded walk over the options, wherever they stand.
//! [`Builder`] writes a message in place. Invariants: the walk reads each of the three option regions
//! at most once; a built message is as long as promised, holds no octet of what lay in the buffer
//! before, and keeps the relay agent's option last.

mod build;
pub mod code;
mod header;
mod message;
mod suboption;
mod vendor;

pub use build::{Builder, Mark, NoRoom, PAYLOAD_SIZE_MAX, PAYLOAD_SIZE_MIN, payload_limit};
pub use header::{
    BOOTREPLY, BOOTREQUEST, CLIENT_PORT, COOKIE, FLAG_BROADCAST, Header, SERVER_PORT,
};
pub use message::{Malformed, Message, MessageType, Options, Piece, Region};
pub use suboption::{SubOption, SubOptions};
pub use vendor::{VendorBlock, VendorBlocks};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
