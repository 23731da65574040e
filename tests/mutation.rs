//! Can damaged packets hurt us? What is promised is written in `dhcp_tests::mutation`.
//!
//! 200,000 packets, or as many as are asked for: `MUTATIONS=50000000 cargo test -p dhcp-tests --profile simulate
//! --test mutation -- --nocapture`. `MUTATION_SEED` makes others.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails panics"
)]

use dhcp_tests::mutation::{Figures, Heap, run};
use std::time::{Duration, Instant};

mod counting;

const PACKETS: u64 = 200_000;
const SEED: u64 = 0x5eed;
/// How often a long run tells how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

#[test]
fn damaged_packets_hurt_nobody() {
    let packets = number("MUTATIONS").unwrap_or(PACKETS);
    let seed = number("MUTATION_SEED").unwrap_or(SEED);
    let heap = Heap {
        calls: counting::calls,
        octets: counting::octets,
    };
    let started = Instant::now();
    let mut told = started;
    // The memory of the process once every world was visited.
    let mut settled = None;
    let figures = run(packets, seed, heap, |figures| {
        if figures.visits == figures.worlds as u64 {
            settled = Some(resident_kib());
        }
        if told.elapsed() >= PROGRESS_INTERVAL {
            told = Instant::now();
            tell(figures, started);
        }
    });
    tell(&figures, started);
    assert!(figures.worlds > 300, "{figures:?}");
    assert!(figures.samples > 1000, "{figures:?}");
    assert!(
        figures.answers > packets / 20,
        "only {} were answered: the damage is too great to test much",
        figures.answers
    );
    if let Some(before) = settled {
        let after = resident_kib();
        assert!(
            after <= before + before / 10,
            "the process has grown from {before} to {after} KiB"
        );
    }
}

fn tell(figures: &Figures, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    eprintln!(
        "{} packets, {} answered, {} visits to {} worlds with {} samples, {:.0}/s, {} KiB resident",
        figures.packets,
        figures.answers,
        figures.visits,
        figures.worlds,
        figures.samples,
        figures.packets as f64 / seconds,
        resident_kib()
    );
}

/// Memory of this process that is not paged out.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("VmRSS is a number of kB")
}

fn number(name: &str) -> Option<u64> {
    let written = std::env::var(name).ok()?;
    let number = written.replace('_', "").parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={written} is no number")))
}
