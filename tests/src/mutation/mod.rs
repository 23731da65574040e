//! Can damaged packets hurt us? Packets of real clients and of every transcript, damaged at random, through
//! the whole data path: classify, decide, commit, reply, settle.
//!
//! A run goes from world to world: the captures' network, and the server of each transcript. In each it stays
//! for a visit of some thousand packets, on servers that begin anew. What holds, or the run panics:
//! - Nothing panics, in a build with overflow checks.
//! - Two servers live the same life. The room for a reply still holds its request in one of them, and is
//!   overwritten in the other. Their replies are the same, so no octet is one that nobody wrote.
//! - Every reply is a sound frame.
//! - Every frame ends once, as a reply or as a counted discard, and all buffers come back.
//! - The data path allocates nothing, and what a visit has allocated is free after it.
//! - No address has two holders.

mod corpus;
mod damage;
mod world;

use crate::sim::random::Random;
use corpus::{Corpus, Sample};
use world::World;

/// Packets of one visit: fewer in a short run, which is to see every world.
const VISIT: std::ops::RangeInclusive<u64> = 256..=8_192;
/// Packets that arrive together, at most: two batches, so that one waits.
const TOGETHER: u64 = 128;

/// How the heap is looked at: a count of allocations and releases, and the octets that are in use.
#[derive(Clone, Copy, Debug)]
pub struct Heap {
    /// Calls of the allocator so far.
    pub calls: fn() -> u64,
    /// Octets allocated and not freed.
    pub octets: fn() -> i64,
}

/// What came of a run, or of a part of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Damaged packets served.
    pub packets: u64,
    /// Of these, answered.
    pub answers: u64,
    /// Visits to worlds.
    pub visits: u64,
    /// Different worlds.
    pub worlds: usize,
    /// Packets to damage.
    pub samples: usize,
}

/// Serves so many damaged packets. `told` is called after every visit.
///
/// # Panics
/// When a promise of this module is broken; the last line says which visit that was.
pub fn run(packets: u64, seed: u64, heap: Heap, mut told: impl FnMut(&Figures)) -> Figures {
    let corpus = Corpus::read();
    let mut figures = Figures {
        worlds: corpus.worlds.len(),
        samples: corpus.worlds.iter().map(|world| world.samples.len()).sum(),
        ..Figures::default()
    };
    let a_visit = (packets / figures.worlds as u64).clamp(*VISIT.start(), *VISIT.end());
    while figures.packets < packets {
        let count = a_visit.min(packets - figures.packets);
        figures.answers += visit(&corpus, seed, figures.visits, count, heap);
        figures.packets += count;
        figures.visits += 1;
        told(&figures);
    }
    figures
}

/// One visit: how many packets were answered.
fn visit(corpus: &Corpus, seed: u64, number: u64, packets: u64, heap: Heap) -> u64 {
    let random = Random::new(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
    let place = corpus.place(number);
    let telltale = Telltale {
        number,
        seed,
        name: corpus.worlds[place].scenario.name.clone(),
    };
    let before = (heap.octets)();
    let answers = serve(corpus, place, packets, random, heap);
    let kept = (heap.octets)() - before;
    assert_eq!(kept, 0, "octets that the visit has left on the heap");
    drop(telltale);
    answers
}

fn serve(corpus: &Corpus, place: usize, packets: u64, mut random: Random, heap: Heap) -> u64 {
    let home = &corpus.worlds[place];
    let mut worlds = [
        World::new(&home.scenario, None),
        World::new(&home.scenario, Some(0x3c)),
    ];
    let (mut sent, mut answers) = (0, 0);
    while sent < packets {
        let together = random.within(1..=TOGETHER).min(packets - sent);
        for _ in 0..together {
            let sample = corpus.sample(home, &mut random);
            let other = corpus.sample(home, &mut random);
            let octets = damage::damage(sample, other, &mut random);
            worlds
                .iter_mut()
                .for_each(|world| world.port.arrive(&octets));
        }
        sent += together;
        let later = random.chance(60).then(|| random.within(1..=4000));
        let is_late = random.chance(300);
        for world in &mut worlds {
            let before = (heap.calls)();
            world.serve(is_late);
            let used = (heap.calls)() - before;
            assert_eq!(used, 0, "calls of the allocator while serving");
            later.into_iter().for_each(|seconds| world.wait(seconds));
        }
        answers += compare(&mut worlds);
    }
    for world in &mut worlds {
        world.serve(false);
    }
    answers += compare(&mut worlds);
    for world in &mut worlds {
        world.check(packets);
    }
    answers
}

/// Looks at the replies of both servers: how many there are.
fn compare([one, other]: &mut [World; 2]) -> u64 {
    let mut count = 0;
    while let Some((reply, again)) = one.port.next_sent(&mut other.port) {
        assert!(
            reply == again,
            "a reply has octets that nobody wrote: {reply:02x?} {again:02x?}"
        );
        crate::packet::Packet::parse(reply).unwrap_or_else(|wrong| panic!("{wrong}: {reply:02x?}"));
        count += 1;
    }
    count
}

/// Says where a panic was, so that the visit can be repeated.
struct Telltale {
    number: u64,
    seed: u64,
    name: String,
}

impl Drop for Telltale {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { number, seed, name } = self;
            eprintln!("this was visit {number} of seed {seed}, to the world of {name}");
        }
    }
}
