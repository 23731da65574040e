//! How fast does the lease store open, and what does it cost? Measured on real files.
//!
//! Every step runs in a process of its own, which says what it measured in one line of JSON: so memory is
//! that of the step alone, and a crash is a real one (SIGKILL).

pub mod campaign;
pub mod figures;
pub mod refusal;
pub mod steps;
pub mod world;
