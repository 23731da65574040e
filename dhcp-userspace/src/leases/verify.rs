//! Is the store sound? Every record, what holds between records, and the frame around them.
//!
//! A server may be writing all the while. So whatever looks wrong is looked at again: a damaged slot after
//! a pause, and of a lease with two holders the first holder once more after the second, for both must have
//! held it at one moment.

use super::export::Standing;
use super::files::{Damage, Files, Progress, ReadError};
use super::set::LeaseSet;
use crate::clock::Clock;
use dhcp_lease::Lease;
use dhcp_lease::reader::{JournalTally, Tally};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

/// How long a writer gets to finish what looks damaged.
const PAUSE: Duration = Duration::from_millis(50);
/// How often two holders of one lease are looked at.
const LOOKS_MAX: u32 = 20;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Partitions.
    pub partitions: u32,
    /// Slots by what they hold.
    pub tally: Tally,
    /// Granted at the moment.
    pub live: u64,
    /// Expired, released, or a quarantine that is over.
    pub former: u64,
    /// Set aside at the moment.
    pub declined: u64,
    /// What the journal has.
    pub journal: JournalTally,
    /// Slots that cannot be trusted.
    pub damage: Vec<Damage>,
    /// Leases that two records hold.
    pub held_twice: Vec<Lease>,
    /// Tables of which both copies of the header are damaged.
    pub damaged_headers: u32,
    /// Tables that end inside a page.
    pub cut_tables: Vec<u32>,
}

impl Verdict {
    /// What is wrong, a line each.
    pub fn lines(&self) -> Vec<String> {
        let damage = self.damage.iter().map(|it| {
            let lease = it.lease.map(|lease| format!(" ({lease})"));
            let lease = lease.unwrap_or_default();
            format!("partition {} slot {}{lease}", it.partition, it.slot)
        });
        let twice = self.held_twice.iter();
        let twice = twice.map(|lease| format!("{lease} is held twice"));
        let cut = self.cut_tables.iter();
        let cut = cut.map(|partition| format!("table {partition} was cut short"));
        let headers = match self.damaged_headers {
            0 => None,
            count => Some(format!(
                "{count} tables have lost both copies of their header"
            )),
        };
        let headless = self.journal.is_headless;
        let headless =
            headless.then(|| "both copies of the journal's header are damaged".to_owned());
        let lost = match self.journal.damage.lost {
            0 => None,
            lost => Some(format!("{lost} batches of the journal are lost")),
        };
        let mended = match self.journal.damage.mended {
            0 => None,
            mended => Some(format!(
                "{mended} batches of the journal have a wrong bit each"
            )),
        };
        damage
            .chain(twice)
            .chain(cut)
            .chain(headers)
            .chain(headless)
            .chain(lost)
            .chain(mended)
            .collect()
    }
}

/// Checks the store of a state directory, whether its server runs or not.
///
/// # Errors
/// [`ReadError`] when it cannot be read at all. Damage is in the verdict.
pub fn verify(directory: &Path, mut progress: impl FnMut(Progress)) -> Result<Verdict, ReadError> {
    let mut files = Files::open(directory)?;
    let clock = files.clock();
    let mut verdict = Verdict {
        journal: files.journal(),
        damaged_headers: files.damaged_headers(),
        cut_tables: files.cut_tables(),
        ..Verdict::default()
    };
    let mut held = LeaseSet::default();
    let mut suspects = HashSet::new();
    let now = std::cell::Cell::new(clock.now());
    let summary = files.for_each(
        &mut |binding| {
            let standing = Standing::of(binding, now.get());
            match standing {
                Standing::Live => verdict.live += 1,
                Standing::Declined => verdict.declined += 1,
                Standing::Former | Standing::Nothing => verdict.former += 1,
            }
            if standing.holds() && !held.insert(binding.lease) {
                suspects.insert(binding.lease);
            }
        },
        |at| {
            progress(at);
            now.set(clock.now());
            ControlFlow::Continue(())
        },
    )?;
    verdict.partitions = summary.partitions;
    verdict.tally = summary.tally;
    verdict.damage = summary.damage;
    if !verdict.damage.is_empty() {
        std::thread::sleep(PAUSE);
        // The journal of now may have what the one of then had not.
        let files = Files::open(directory)?;
        verdict
            .damage
            .retain(|damage| files.is_damaged(damage.partition, damage.slot));
    }
    if !suspects.is_empty() {
        verdict.held_twice = held_twice(&files, &suspects, &clock);
    }
    Ok(verdict)
}

/// Those of the suspects that two records hold at one moment.
fn held_twice(files: &Files, suspects: &HashSet<Lease>, clock: &Clock) -> Vec<Lease> {
    let mut places: HashMap<Lease, Vec<(u32, u32)>> = HashMap::new();
    for (lease, partition, slot) in files.find(suspects) {
        places.entry(lease).or_default().push((partition, slot));
    }
    let mut twice: Vec<Lease> = places
        .into_iter()
        .filter(|(lease, places)| {
            (0..LOOKS_MAX).any(|_| is_held_twice(files, *lease, places, clock))
        })
        .map(|(lease, _)| lease)
        .collect();
    twice.sort_unstable();
    twice
}

fn is_held_twice(files: &Files, lease: Lease, places: &[(u32, u32)], clock: &Clock) -> bool {
    let holder = |&(partition, slot): &(u32, u32)| {
        let binding = files.binding_at(partition, slot)?;
        let holds = Standing::of(&binding, clock.now()).holds();
        (binding.lease == lease && holds).then_some(binding)
    };
    let mut held: Option<(&(u32, u32), dhcp_lease::Binding)> = None;
    for place in places {
        let Some(binding) = holder(place) else {
            continue;
        };
        if let Some((first, before)) = &held
            && holder(first).as_ref() == Some(before)
        {
            return true;
        }
        held = Some((place, binding));
    }
    false
}
