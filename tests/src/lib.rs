//! How do we know that it works?
//!
//! What the tests share: transcripts ([`transcript`]), packets made and checked without the code under test
//! ([`packet`], [`pcap`]), the engine without a network ([`engine`]), what is fuzzed ([`fuzz`]) and what is damaged
//! ([`mutation`]), and a laboratory of network namespaces with real clients ([`lab`]). Everything here panics when it
//! cannot go on: it is a test that failed.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this crate is tests, though not all of it stands under #[test]"
)]

pub mod crash;
pub mod engine;
pub mod fuzz;
pub mod lab;
pub mod mutation;
pub mod packet;
pub mod pcap;
pub mod sim;
pub mod transcript;
