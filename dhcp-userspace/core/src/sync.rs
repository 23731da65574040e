//! What lock-free code is made of. It takes these from here, so that the models in `tests/loom`, which compile
//! the very same files, can put loom's in their place and try every order in which threads may run.

pub(crate) use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
