//! A few seeds of the simulation of every kind of fault; `cargo xtask simulate` runs many.

use dhcp_tests::sim::{self, Faults};

#[test]
fn no_promise_is_broken_whatever_fails() {
    for faults in Faults::all() {
        let name = faults.name();
        for seed in 1..=3 {
            if let Err(violation) = sim::run(seed, faults, 100) {
                panic!(
                    "{}\n{}\nagain: cargo xtask simulate --seed {seed} --faults {name} --crashes 100",
                    violation.log.join("\n"),
                    violation.what
                );
            }
        }
    }
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    for faults in Faults::all() {
        let tally = |seed| sim::run(seed, faults, 40).map_err(|violation| violation.what);
        assert_eq!(tally(7), tally(7));
        assert_ne!(tally(7), tally(8));
    }
}
