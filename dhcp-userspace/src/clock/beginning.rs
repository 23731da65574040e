//! In which order is a store opened at the right time? First the time, then the geometry, then the store, then
//! what must be withheld because the store is a copy.

use super::keeper::Beginning;
use super::{Clock, ClockFile, Keeper, Past, ReadError, clocks};
use crate::leases;
use crate::settings::Settings;
use crate::store::{FitError, Found, OpenError, StateDirectory, Store};
use dhcp_lease::clock::{self, ClockRecord, Clocks, Origin, Share, Source, Start, Word};
use dhcp_lease::recovery::Recovery;
use dhcp_lease::{Pools, Timestamp};
use std::cell::RefCell;
use std::io;
use std::path::Path;

/// A difference between wall clock and server time that is worth a word.
const OFFSET_SECONDS: u64 = 60;

/// A store that is open, and the time that holds in it.
pub struct Begun {
    /// The store.
    pub store: Store,
    /// Server time.
    pub clock: Clock,
    /// Looks after the time.
    pub keeper: Keeper,
    /// What the operator should know of for as long as the server runs.
    pub problem: Option<String>,
}

/// Why a store could not be opened at the right time. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The clock record.
    #[error(transparent)]
    Clock(#[from] ReadError),
    /// The store, when it was read to find out what time it is.
    #[error(transparent)]
    Read(#[from] leases::ReadError),
    /// The clock record could not be written.
    #[error("cannot write the clock record: {0}; free some space or mend the disk")]
    Write(#[source] io::Error),
}

/// Opens or makes the store of a state directory. The pools learn what is held, and whether free leases must be
/// withheld; `longest_seconds` is the longest lifetime that the configuration grants. `look` sees what was found
/// before the journal begins anew.
///
/// # Errors
/// [`BeginError`].
pub fn begin(
    directory: &StateDirectory,
    settings: &Settings,
    pools: &Pools,
    longest_seconds: u32,
    look: impl FnOnce(&Found<'_>, Clock),
) -> Result<Begun, BeginError> {
    let header = directory.header()?;
    let mut past = match &header {
        Some(header) => Past::read(&settings.state_dir, &header.identity)?,
        None => Past::NONE,
    };
    let clocks = clocks();
    let record = past.record;
    let is_accepted = settings.accept_clock || record.is_some_and(|record| record.accept);
    let mut word = match is_accepted {
        true => Word::Accept,
        false => Word::None,
    };
    let mut start = decide(
        &settings.state_dir,
        settings,
        &clocks,
        record.as_ref(),
        word,
    )?;
    if let (Some(header), Some(record)) = (&header, &record) {
        if record.carrying && record.epoch != header.epoch {
            // It was done, and the record of that was not written any more.
            start.carry = None;
        } else if start.carry.is_some() {
            // The writing makes the file its own again: what a copy means must be in the record by then.
            let is_copy = matches!(past.origin, Some(Origin::Copied | Origin::Overwritten));
            let until = start.now.after(longest_seconds);
            let carrying = ClockRecord {
                number: record.number + 1,
                accept: true,
                carrying: true,
                epoch: header.epoch,
                withheld_until: match is_copy {
                    true => record.withheld_until.max(Some(until)),
                    false => record.withheld_until,
                },
                ..*record
            };
            write_through(settings, &header.identity, &past, &carrying)?;
            past.record = Some(carrying);
        }
    }
    let by_old_time = start.carry.map_or(0, |carry| carry.seconds);
    let before = Timestamp(start.now.0.saturating_sub(by_old_time));
    let fitted = directory.fit(settings, longest_seconds, before, start.carry);
    let problem = match fitted {
        Ok(_) => None,
        Err(FitError::Open(error)) => return Err(error.into()),
        Err(error) => {
            tracing::error!("{error}");
            if start.carry.is_some() {
                word = Word::None;
                start = decide(
                    &settings.state_dir,
                    settings,
                    &clocks,
                    record.as_ref(),
                    word,
                )?;
            }
            Some(error.to_string())
        }
    };
    report(&start, &clocks);

    let started = Clock::new(start.now, clocks.boot_seconds);
    let look = |found: &Found<'_>| look(found, started.not_before(found.recovery.latest));
    let store = directory.store_with(settings, pools, longest_seconds, start.now, look)?;
    let clock = started.not_before(store.recovery.latest);
    let withheld_until = withhold(
        header.is_some(),
        &past,
        &store.recovery,
        clock,
        longest_seconds,
    );
    pools.withhold_until(withheld_until.unwrap_or_default());
    pools.record_anew_since(start.held_since.unwrap_or_default());
    let file = ClockFile::open(&settings.state_dir, &store.header.identity, &past)?;
    let beginning = Beginning {
        clock,
        source: start.source,
        held_since: start.held_since,
        epoch: store.header.epoch,
        is_accepted: is_accepted && word == Word::None,
        withheld_until,
    };
    Ok(Begun {
        store,
        clock,
        keeper: Keeper::start(file, &beginning).map_err(BeginError::Write)?,
        problem,
    })
}

/// The time of the start. The store is read only if the wall clock is far ahead.
fn decide(
    directory: &Path,
    settings: &Settings,
    clocks: &Clocks,
    record: Option<&ClockRecord>,
    word: Word,
) -> Result<Start, BeginError> {
    let failure = RefCell::new(None);
    let read = |visit: &mut dyn FnMut(&dhcp_lease::Binding)| {
        match leases::for_each(directory, visit) {
            Ok(_) | Err(leases::ReadError::NoStore { .. }) => {}
            Err(error) => *failure.borrow_mut() = Some(error),
        };
    };
    let latest = || {
        let mut latest = Timestamp(0);
        read(&mut |binding| latest = latest.max(binding.last_transaction));
        latest
    };
    let share = |from, to| {
        let mut share = Share::default();
        read(&mut |binding| share.count(binding.state, binding.expires, from, to));
        share
    };
    let known = record.map(|record| record.known);
    let start = clock::start(clocks, known.as_ref(), word, &settings.guard, latest, share);
    match failure.into_inner() {
        Some(error) => Err(error.into()),
        None => Ok(start),
    }
}

fn write_through(
    settings: &Settings,
    identity: &[u8; 16],
    past: &Past,
    record: &ClockRecord,
) -> Result<(), BeginError> {
    let mut file = ClockFile::open(&settings.state_dir, identity, past)?;
    file.write(record)
        .and_then(|()| file.sync())
        .map_err(BeginError::Write)
}

/// Until when free leases are withheld. The files may be a copy: then leases may have been granted since it was
/// made, the last of them just before this start. They have all ended, or were heard of, when the longest
/// lifetime is over.
fn withhold(
    was_there: bool,
    past: &Past,
    recovery: &Recovery,
    clock: Clock,
    longest_seconds: u32,
) -> Option<Timestamp> {
    let now = clock.now();
    let is_empty = recovery.live + recovery.former + recovery.declined + recovery.damaged == 0;
    let why = match past.origin {
        Some(Origin::Own) => None,
        Some(Origin::OtherMachine) => {
            tracing::warn!("the state directory was last used on another machine");
            None
        }
        Some(Origin::Copied) => Some("the clock record is not in the file in which it was written"),
        Some(Origin::Overwritten) => Some("the clock record was written over"),
        None if was_there && !is_empty => Some("there is no clock record that can be read"),
        None => None,
    };
    // Who had what the lost batches granted, nobody knows but those who have it.
    let is_damaged = recovery.journal_damage.lost > 0;
    let why = why.or(is_damaged.then_some("the journal was damaged on the disk"));
    let until_before = past.record.and_then(|record| record.withheld_until);
    let until_before = until_before.filter(|until| *until > now);
    let Some(why) = why else {
        return until_before;
    };
    let until = now
        .after(longest_seconds)
        .max(until_before.unwrap_or_default());
    tracing::error!(
        why,
        withheld_seconds = until.seconds_left(now),
        "the lease store may lack leases that were granted; free leases are withheld from clients that do not say \
         they hold them, until all that may have been granted since has ended; if nothing was granted since \
         (the directory was only moved), say so with `xdhcpd ctl restore accept`"
    );
    Some(until)
}

fn report(start: &Start, clocks: &Clocks) {
    let offset = i64::try_from(i128::from(clocks.wall.0) - i128::from(start.now.0));
    let offset_seconds = offset.unwrap_or(i64::MAX);
    match start.source {
        Source::Held {
            share,
            jump_seconds,
        } => tracing::error!(
            jump_seconds,
            live = share.live,
            ending = share.ending,
            "the wall clock is far ahead of the last known time and would end most leases; server time goes on \
             from the last known time: if the wall clock is wrong, set it right; if it is right, say so with \
             `xdhcpd ctl clock accept` and restart"
        ),
        Source::HighWater => tracing::warn!(
            offset_seconds,
            "the wall clock is behind the last known time; server time goes on from that"
        ),
        Source::Accepted => {
            tracing::info!("server time is the wall clock's, by the operator's word")
        }
        Source::BootClock | Source::WallClock
            if offset_seconds.unsigned_abs() >= OFFSET_SECONDS =>
        {
            tracing::warn!(
                offset_seconds,
                "the wall clock was set while leases were running; they go on by the boot clock"
            );
        }
        Source::BootClock | Source::WallClock => {}
    }
}

/// The clock for somebody who does not own the store: as its server has it, or would have it.
pub fn of_store(directory: &Path) -> Clock {
    Clock::new(time_of(directory), clocks().boot_seconds)
}

/// Server time at this moment for somebody who does not own the store.
pub fn time_of(directory: &Path) -> Timestamp {
    let clocks = clocks();
    let identity = std::fs::read(crate::store::header_path(directory))
        .ok()
        .and_then(|octets| dhcp_lease::StoreHeader::read(&octets).ok())
        .map(|header| header.identity);
    let past = identity.and_then(|identity| Past::read(directory, &identity).ok());
    let known = past.and_then(|past| past.record).map(|record| record.known);
    let never = clock::Guard {
        downtime_seconds: u64::MAX,
        percent: 100,
    };
    let latest = || Timestamp(0);
    let none = |_, _| Share::default();
    clock::start(&clocks, known.as_ref(), Word::None, &never, latest, none).now
}

/// The operator's word on a stopped server that its files are the newest there are. Whether there was a doubt.
///
/// # Errors
/// [`BeginError`]; [`OpenError::Lock`] while a server runs.
pub fn adopt(path: &Path) -> Result<bool, BeginError> {
    let directory = StateDirectory::open(path)?;
    let Some(header) = directory.header()? else {
        return Err(BeginError::Read(leases::ReadError::NoStore {
            directory: path.to_owned(),
        }));
    };
    let past = Past::read(path, &header.identity)?;
    let unknown = ClockRecord::unknown(header.epoch);
    let record = past.record.unwrap_or(unknown);
    let is_own = matches!(past.origin, Some(Origin::Own | Origin::OtherMachine));
    let mut file = ClockFile::open(path, &header.identity, &past)?;
    let adopted = ClockRecord {
        withheld_until: None,
        ..record
    };
    file.write(&adopted)
        .and_then(|()| file.sync())
        .map_err(BeginError::Write)?;
    Ok(!is_own || record.withheld_until.is_some())
}

#[cfg(test)]
mod tests;
