//! Every fuzz target without a guide: its seeds, the inputs that once broke something, and seeds damaged at
//! random. `cargo xtask fuzz` does the same with coverage as its guide, for as long as one likes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use dhcp_tests::fuzz::TARGETS;
use std::path::Path;

/// Damaged inputs for each target.
const INPUTS: u64 = if cfg!(miri) { 20 } else { 2_000 };
/// Octets of an input, at most.
const INPUT_OCTETS_MAX: usize = 1 << 16;

#[test]
fn inputs_that_once_broke_something_break_nothing_any_more() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions");
    for target in TARGETS {
        let Ok(entries) = std::fs::read_dir(folder.join(target.name)) else {
            continue; // nothing ever did
        };
        for entry in entries {
            let octets = std::fs::read(entry.unwrap().path()).unwrap();
            (target.run)(&octets);
        }
    }
}

#[test]
fn damaged_inputs_break_nothing() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}", target.name);
        for seed in &seeds {
            (target.run)(seed);
        }
        for number in 0..INPUTS {
            let mut random = Random(number + 1);
            (target.run)(&damaged(&seeds, &mut random));
        }
    }
}

/// Seeds with up to sixteen injuries: octets changed, runs cut out, doubled, or taken from another seed.
fn damaged(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut octets = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(16) {
        let at = random.below(octets.len() + 1);
        let end = (at + 1 + random.below(64)).min(octets.len());
        match random.below(7) {
            0 => octets.insert(at, random.next() as u8),
            1 => drop(octets.drain(at..end)),
            2 => {
                let run = octets[at..end].to_vec();
                octets.splice(at..at, run);
            }
            3 => octets.truncate(at),
            4 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let run = &other[from..other.len().min(from + 64)];
                octets.splice(at..end, run.iter().copied());
            }
            _ => {
                if let Some(octet) = octets.get_mut(at) {
                    let value = [0, 1, 0x7f, 0x80, 0xff, random.next() as u8];
                    *octet = value[random.below(value.len())];
                }
            }
        }
    }
    octets.truncate(INPUT_OCTETS_MAX);
    octets
}

/// SplitMix64: an input is a function of its number.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}
