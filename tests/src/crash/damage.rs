//! Damage of all sorts to the files of a store, from outside: bits, pages in each other's place, pages of an
//! earlier time, files cut short or too long.
//!
//! What a store may do then is lose what was damaged, or refuse with a reason. What it must not do is fall
//! over, give a lease two holders, or tell of bindings that never were.

use super::drive::{BEGINNING, Run};
use super::ledger::Ledger;
use super::random::Random;
use super::server::{self, Place};
use dhcp_lease::Journal;
use dhcp_lease::format::SLOT_OCTETS;
use dhcp_lease::table::HEADER_OCTETS;
use dhcp_userspace::settings::Durability;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const PAGE: usize = 4096;
const CAPACITY: u64 = 1024;
const TABLES: [&str; 2] = ["table-0000", "table-0001"];
const FILES: [&str; 4] = ["store", "journal", TABLES[0], TABLES[1]];

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Damaged stores that were opened.
    pub cases: u64,
    /// Those that kept every promise.
    pub whole: u64,
    /// Those that lost something: by the kind of damage.
    pub lost: BTreeMap<&'static str, u64>,
    /// Those that refused, by the kind of damage.
    pub refused: BTreeMap<&'static str, u64>,
    /// What went wrong.
    pub violations: Vec<String>,
}

type Files = BTreeMap<&'static str, Vec<u8>>;

/// A store that was killed, with what was promised until then.
struct Template {
    files: Files,
    /// As it was at the last checkpoint: what came later is in the journal.
    synced: Files,
    /// As it was long before that: the journal has forgotten what came then.
    ancient: Files,
    ledger: Ledger,
}

fn place(folder: &Path) -> Place {
    Place {
        directory: folder.join("state"),
        capacity: CAPACITY,
        journal_octets: Journal::OCTETS_MIN,
        durability: Durability::Power,
    }
}

fn read(folder: &Path) -> Files {
    let path = |name| folder.join("state").join(name);
    FILES
        .map(|name| (name, std::fs::read(path(name)).unwrap()))
        .into()
}

impl Template {
    /// Three lives; between them the store lies still, and the last one is not closed.
    fn make(folder: &Path, seed: u64) -> Self {
        let mut text = Vec::new();
        let mut live = |life: u64, now, rounds, is_stopped| {
            let run = Run {
                place: place(folder),
                seed: seed + life,
                rounds,
                workers: 1,
                position: None,
                now,
                batch_max: 12,
            };
            let ran = run.run(&mut text, is_stopped).unwrap();
            (read(folder), ran.now + 1)
        };
        let (ancient, now) = live(0, BEGINNING, 60, true);
        let (synced, now) = live(1, now, 60, true);
        // Not so many rounds that a checkpoint would be due. Its threads and its lock stay with this
        // process; nobody opens it again.
        let (files, _) = live(2, now, 25, false);
        Self {
            files,
            synced,
            ancient,
            ledger: Ledger::parse(&String::from_utf8(text).unwrap()),
        }
    }
}

/// One sort of damage.
#[derive(Clone, Debug)]
enum Damage {
    /// A bit of a file.
    Bit(&'static str, usize),
    /// Two pages of tables, each in the other's place.
    Swapped((&'static str, usize), (&'static str, usize)),
    /// A page that was written in the place of another, which is where it was too.
    Misdirected((&'static str, usize), (&'static str, usize)),
    /// A page as it was at the last checkpoint.
    Stale(&'static str, usize),
    /// A page as it was long before.
    Ancient(&'static str, usize),
    /// A file of another length.
    Length(&'static str, usize),
}

impl Damage {
    fn name(&self) -> &'static str {
        match self {
            Self::Bit("journal", _) => "a bit of the journal",
            Self::Bit("store", _) => "a bit of the store's header",
            Self::Bit(..) => "a bit of a table",
            Self::Swapped(..) => "two pages swapped",
            Self::Misdirected(..) => "a page written to another's place",
            Self::Stale(..) => "a page of the last checkpoint",
            Self::Ancient(..) => "a page of long before",
            Self::Length("journal", _) => "a journal of another length",
            Self::Length("store", _) => "a store header of another length",
            Self::Length(..) => "a table of another length",
        }
    }

    /// Whether a store must come through it without loss.
    fn must_be_mended(&self) -> bool {
        match self {
            Self::Bit(..) | Self::Stale(..) => true,
            Self::Swapped(..) | Self::Misdirected(..) | Self::Ancient(..) | Self::Length(..) => {
                false
            }
        }
    }

    /// Whether a store may refuse to open: where there is nothing to go by.
    fn may_be_refused(&self) -> bool {
        matches!(self, Self::Length(..))
    }

    fn do_to(&self, template: &Template) -> Files {
        let mut files = template.files.clone();
        let page = |at: usize| at * PAGE..(at + 1) * PAGE;
        match self {
            Self::Bit("journal", bit) => {
                // After a power cut the tables may lack all that the journal has.
                files = template.synced.clone();
                files.insert("journal", template.files["journal"].clone());
                files.get_mut("journal").unwrap()[bit / 8] ^= 1 << (bit % 8);
            }
            Self::Bit(file, bit) => {
                files.get_mut(file).unwrap()[bit / 8] ^= 1 << (bit % 8);
            }
            Self::Swapped((file, at), (other, place)) => {
                let (one, two) = (
                    files[file][page(*at)].to_vec(),
                    files[other][page(*place)].to_vec(),
                );
                files.get_mut(file).unwrap()[page(*at)].copy_from_slice(&two);
                files.get_mut(other).unwrap()[page(*place)].copy_from_slice(&one);
            }
            Self::Misdirected((file, at), (other, place)) => {
                let written = files[file][page(*at)].to_vec();
                files.get_mut(other).unwrap()[page(*place)].copy_from_slice(&written);
            }
            Self::Stale(file, at) => {
                let old = &template.synced[file][page(*at)];
                files.get_mut(file).unwrap()[page(*at)].copy_from_slice(old);
            }
            Self::Ancient(file, at) => {
                let old = &template.ancient[file][page(*at)];
                files.get_mut(file).unwrap()[page(*at)].copy_from_slice(old);
            }
            Self::Length(file, octets) => files.get_mut(file).unwrap().resize(*octets, 0),
        }
        files
    }
}

/// All cases: so many bits by chance, all pages, all lengths around each structure.
fn damages(files: &Files, bits: u64, random: &mut Random) -> Vec<Damage> {
    let all: usize = files.values().map(Vec::len).sum();
    let mut damages: Vec<_> = (0..bits)
        .map(|_| {
            let mut bit = random.below(all as u64 * 8) as usize;
            for (file, octets) in files {
                if bit < octets.len() * 8 {
                    return Damage::Bit(file, bit);
                }
                bit -= octets.len() * 8;
            }
            unreachable!("the bit is in one of the files")
        })
        .collect();
    let first = HEADER_OCTETS / PAGE;
    let pages = |file| first..files[file].len() / PAGE;
    for file in TABLES {
        for at in pages(file) {
            let other = TABLES[random.below(2) as usize];
            let place = first + random.below(pages(other).len() as u64) as usize;
            damages.push(Damage::Swapped((file, at), (other, place)));
            damages.push(Damage::Misdirected((file, at), (other, place)));
            damages.push(Damage::Stale(file, at));
            damages.push(Damage::Ancient(file, at));
        }
    }
    for (file, octets) in files {
        let octets = octets.len();
        let structures = [
            0,
            64,
            128,
            PAGE,
            2 * PAGE,
            HEADER_OCTETS,
            HEADER_OCTETS + 5 * SLOT_OCTETS,
            octets / 2,
            octets,
        ];
        let mut lengths: Vec<usize> = structures
            .iter()
            .flat_map(|middle| {
                let near = [0, 1, 2, 63, 64, 127, 128, 129, 512, 2048, PAGE - 1];
                near.map(|distance| [middle.saturating_sub(distance), middle + distance])
            })
            .flatten()
            .chain([octets + (1 << 20)])
            .collect();
        lengths.sort_unstable();
        lengths.dedup();
        damages.extend(
            lengths
                .into_iter()
                .map(|length| Damage::Length(file, length)),
        );
    }
    damages
}

/// Runs all cases in a folder. `progress` is told how many are done, and of how many.
///
/// # Panics
/// When the folder cannot be written.
pub fn run(folder: &Path, bits: u64, seed: u64, progress: &impl Fn(u64, u64)) -> Outcome {
    let made = folder.join("template");
    std::fs::create_dir_all(&made).unwrap();
    let template = Template::make(&made, seed);
    let damages = damages(&template.files, bits, &mut Random(seed));
    let mut outcome = Outcome::default();
    let all = damages.len() as u64;
    for (number, damage) in damages.into_iter().enumerate() {
        judge(&template, &folder.join("case"), &damage, &mut outcome);
        outcome.cases += 1;
        progress(number as u64 + 1, all);
    }
    outcome
}

fn judge(template: &Template, folder: &Path, damage: &Damage, outcome: &mut Outcome) {
    let files = damage.do_to(template);
    let state = folder.join("state");
    let _ = std::fs::remove_dir_all(&state);
    std::fs::create_dir_all(&state).unwrap();
    for (name, octets) in &files {
        std::fs::write(state.join(name), octets).unwrap();
    }
    let cut = template.ledger.end().unwrap();
    let opened = catch_unwind(AssertUnwindSafe(|| server::open(&place(folder), cut.now)));
    let mut complain = |text: String| outcome.violations.push(format!("{damage:?}: {text}"));
    match opened {
        Err(_) => complain("it panicked".to_owned()),
        Ok(Err(error)) => {
            if !damage.may_be_refused() {
                complain(format!("it does not open: {error}"));
            }
            *outcome.refused.entry(damage.name()).or_default() += 1;
        }
        Ok(Ok(opened)) => {
            let examined = template.ledger.examine(&opened, &cut);
            for wrong in &examined.wrong {
                complain(wrong.clone());
            }
            if examined.broken.is_empty() {
                outcome.whole += 1;
                return;
            }
            *outcome.lost.entry(damage.name()).or_default() += 1;
            if damage.must_be_mended() {
                complain(format!(
                    "not mended: {}; {:?}",
                    examined.broken.join("; "),
                    opened.recovery
                ));
            }
        }
    }
}
