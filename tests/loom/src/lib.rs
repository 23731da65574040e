//! Is what is lock-free right in every order in which threads may run?
//!
//! The files under test are compiled here once more, as they are, with loom's atomics in the place of the
//! processor's (`sync`). loom runs each model in all orders of its steps, and with all values that the memory
//! model allows a load to see, up to a number of preemptions. So nothing needs a compiler flag, which
//! dependencies of the server would take for theirs, and the models are ordinary tests.
//!
//! loom takes sequentially consistent loads and stores for acquire and release ones: what holds here
//! holds on the processor all the more. Fences it knows as they are.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a model that fails panics"
)]

#[expect(dead_code, reason = "the models use a part of it")]
#[path = "../../../dhcp-userspace/lease/src/allocator/bitmap.rs"]
mod bitmap;
#[path = "../../../dhcp-userspace/src/wake/nap.rs"]
mod nap;
#[path = "../../../dhcp-userspace/src/worker/round.rs"]
pub mod round;
#[path = "../../../dhcp-userspace/src/snapshot.rs"]
pub mod snapshot;

pub mod pools;
pub mod workers;

mod sync;

/// Preemptions per run: most races need one or two. LOOM_MAX_PREEMPTIONS asks for more.
const PREEMPTIONS_MAX: usize = 3;
/// Steps per run: some hundred are enough where nobody waits in vain.
const STEPS_MAX: usize = 5_000;

/// Runs a model in every order.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS_MAX));
    builder.max_branches = STEPS_MAX;
    builder.check(model);
}
