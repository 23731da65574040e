use super::*;
use crate::binding::Binding;
use crate::format::Group;
use crate::headers::{HEADER_COPY_OCTETS, HeaderError};

fn store() -> StoreHeader {
    StoreHeader {
        identity: [1; 16],
        spread_key: 2,
        checksum_key: [3; 16],
        partitions: 4,
        slots_per_segment: 32_768,
        epoch: 0,
    }
}

/// A log of so many records that can be told from others.
fn log(records: u32, mark: u64) -> ChangeLog {
    let mut log = ChangeLog::with_capacity(records as usize);
    for slot in 0..records {
        let (binding, checksum) = (Binding::default(), store().checksum());
        let group = Group::new(
            &binding,
            &[],
            std::slice::from_ref(&slot),
            mark,
            3,
            &checksum,
        );
        for (slot, image) in group.images() {
            log.push(3, slot, &image);
        }
    }
    log
}

fn put(file: &mut [u8], position: u64, octets: &[u8]) {
    file[position as usize..][..octets.len()].copy_from_slice(octets);
}

fn marks(replay: &mut Replay<'_>) -> Vec<(u64, usize, u64)> {
    replay
        .map(|batch| {
            let records: Vec<_> = batch.records().collect();
            let mark = records
                .first()
                .map_or(0, |(.., image)| crate::format::generation(image));
            (batch.sequence, records.len(), mark)
        })
        .collect()
}

fn fresh() -> (Vec<u8>, Journal) {
    let mut file = vec![0; Journal::OCTETS_MIN as usize];
    let resume = replay(&store(), &file).unwrap().resume();
    let (journal, write) = Journal::restart(&store(), file.len() as u64, resume, 77).unwrap();
    put(&mut file, write.position, &write.octets);
    (file, journal)
}

#[test]
fn what_was_appended_is_replayed_in_order_round_after_round() {
    let (mut file, mut journal) = fresh();
    let mut expected = Vec::new();
    let mut last = journal.head();
    for round in 1..500u64 {
        let records = 1 + (round * 37 % 90) as u32;
        let mut log = log(records, round);
        let placed = journal.append(&mut log).unwrap();
        assert_eq!(placed.position % ALIGNMENT as u64, 0);
        put(&mut file, placed.position, log.octets());
        expected.push((round, records as usize, round));
        let mut found = replay(&store(), &file).unwrap();
        assert_eq!(marks(&mut found), expected);
        assert_eq!(found.resume().next, placed.after);
        if journal.is_checkpoint_due() {
            // The last batch is not settled yet.
            let write = journal.checkpoint(last);
            put(&mut file, write.position, &write.octets);
            journal.advanced(last);
            expected.drain(..expected.len() - 1);
        }
        last = placed.after;
    }
}

#[test]
fn a_full_journal_refuses_and_overwrites_nothing() {
    let (mut file, mut journal) = fresh();
    let mut count = 0;
    loop {
        let mut log = log(1, count + 1);
        let Ok(placed) = journal.append(&mut log) else {
            break;
        };
        put(&mut file, placed.position, log.octets());
        count += 1;
    }
    assert_eq!(
        marks(&mut replay(&store(), &file).unwrap()).len() as u64,
        count
    );
    let write = journal.checkpoint(journal.head());
    put(&mut file, write.position, &write.octets);
    journal.advanced(journal.head());
    assert_eq!(journal.used(), 0);
    assert!(journal.append(&mut log(1, 1)).is_ok());
}

/// Three batches of two records, each of a group of its own, and where they lie.
fn three_groups() -> (Vec<u8>, Vec<usize>) {
    let (mut file, mut journal) = fresh();
    let mut places = Vec::new();
    for mark in 1..4 {
        let mut log = log(2, mark);
        let placed = journal.append(&mut log).unwrap();
        put(&mut file, placed.position, log.octets());
        journal.all_is_durable();
        places.push(placed.position as usize);
    }
    (file, places)
}

#[test]
fn a_bit_that_is_wrong_anywhere_in_a_batch_is_put_right() {
    let (mut file, places) = three_groups();
    let step = if cfg!(miri) { 37 } else { 1 };
    for place in places {
        for octet in (0..BATCH_HEADER_OCTETS + 2 * RECORD_OCTETS).step_by(step) {
            let mask = 1 << (octet % 8);
            file[place + octet] ^= mask;
            let mut found = replay(&store(), &file).unwrap();
            assert_eq!(
                marks(&mut found),
                [(1, 2, 1), (2, 2, 2), (3, 2, 3)],
                "octet {octet}"
            );
            assert_eq!(found.damage(), Damage { mended: 1, lost: 0 });
            file[place + octet] ^= mask;
        }
    }
}

#[test]
fn a_batch_that_is_damaged_beyond_that_is_missed_and_those_after_it_count() {
    let (mut file, places) = three_groups();
    for octet in (0..BATCH_HEADER_OCTETS + 2 * RECORD_OCTETS).step_by(29) {
        file[places[1] + octet] ^= 0x18;
        let mut found = replay(&store(), &file).unwrap();
        assert_eq!(marks(&mut found), [(1, 2, 1), (3, 2, 3)], "octet {octet}");
        assert_eq!(found.damage(), Damage { mended: 0, lost: 1 });
        assert_eq!(found.resume().next.sequence, 4);
        // What is written next follows, and is found behind the damage by the next start too.
        let octets = file.len() as u64;
        let (mut journal, _) = Journal::go_on(&store(), octets, found.resume(), 78).unwrap();
        let mut log = log(1, 4);
        let placed = journal.append(&mut log).unwrap();
        let mut later = file.clone();
        put(&mut later, placed.position, log.octets());
        let mut found = replay(&store(), &later).unwrap();
        assert_eq!(marks(&mut found), [(1, 2, 1), (3, 2, 3), (4, 1, 4)]);
        file[places[1] + octet] ^= 0x18;
    }
    // The last batch may as well have been cut short: nothing proves that it was ever durable.
    file[places[2]] ^= 0x18;
    let mut found = replay(&store(), &file).unwrap();
    assert_eq!(marks(&mut found), [(1, 2, 1), (2, 2, 2)]);
    assert_eq!(found.damage(), Damage::default());
}

/// A power cut may leave any of the batches of the last group, and none of them was promised.
#[test]
fn what_is_left_of_a_group_that_was_cut_short_is_no_damage() {
    let (mut file, mut journal) = fresh();
    let mut places = Vec::new();
    for mark in 1..6 {
        let mut log = log(2, mark);
        let placed = journal.append(&mut log).unwrap();
        put(&mut file, placed.position, log.octets());
        places.push(placed.position as usize);
        if mark == 2 {
            journal.all_is_durable();
        }
    }
    for lost in 3..=5 {
        let mut cut = file.clone();
        cut[places[lost - 1]..][..ALIGNMENT].fill(0);
        let mut found = replay(&store(), &cut).unwrap();
        assert_eq!(marks(&mut found).len(), lost - 1);
        assert_eq!(found.damage(), Damage::default());
    }
}

#[test]
fn what_an_earlier_life_left_behind_is_not_replayed() {
    let (mut file, mut journal) = fresh();
    let mut old = Vec::new();
    for mark in 1..6 {
        let mut log = log(2, mark);
        let placed = journal.append(&mut log).unwrap();
        put(&mut file, placed.position, log.octets());
        old.push(placed);
    }
    // Batch 2 was lost in a crash; 3 to 5 reached the disk.
    put(&mut file, old[1].position, &[0; ALIGNMENT]);
    let mut found = replay(&store(), &file).unwrap();
    assert_eq!(marks(&mut found).len(), 1);
    let (mut journal, write) =
        Journal::restart(&store(), file.len() as u64, found.resume(), 78).unwrap();
    put(&mut file, write.position, &write.octets);
    assert_eq!(marks(&mut replay(&store(), &file).unwrap()), []);
    let mut log = log(2, 2);
    let placed = journal.append(&mut log).unwrap();
    assert_eq!(placed.position, old[1].position);
    put(&mut file, placed.position, log.octets());
    assert_eq!(marks(&mut replay(&store(), &file).unwrap()), [(2, 2, 2)]);
}

/// The next run says word for word what the batch said that was lost, and what came after that one lies
/// whole where the new one ends.
#[test]
fn a_journal_that_goes_on_is_not_followed_by_what_was_lost() {
    let (mut file, mut journal) = fresh();
    let mut old = Vec::new();
    for mark in 1..6 {
        let mut log = log(2, mark);
        let placed = journal.append(&mut log).unwrap();
        put(&mut file, placed.position, log.octets());
        old.push(placed);
    }
    put(&mut file, old[1].position, &[0; ALIGNMENT]);
    for run in [78, 79] {
        let mut found = replay(&store(), &file).unwrap();
        let before = marks(&mut found);
        let octets = file.len() as u64;
        let (mut journal, write) = Journal::go_on(&store(), octets, found.resume(), run).unwrap();
        put(&mut file, write.position, &write.octets);
        assert_eq!(journal.tail(), fresh().1.tail());
        let mark = before.len() as u64 + 1;
        let mut log = log(2, mark);
        let placed = journal.append(&mut log).unwrap();
        assert_eq!(placed.position, old[before.len()].position);
        put(&mut file, placed.position, log.octets());
        let after = marks(&mut replay(&store(), &file).unwrap());
        assert_eq!(after, [before, vec![(mark, 2, mark)]].concat());
        // The checkpoint that was put off.
        let write = journal.checkpoint(placed.after);
        let mut checked = file.clone();
        put(&mut checked, write.position, &write.octets);
        assert_eq!(marks(&mut replay(&store(), &checked).unwrap()), []);
    }
}

/// A header could not be synced, and the process died: the cache shows the new tail, the disk has the old one.
/// The next start believed the cache, and its batches went over what a power cut would have needed.
#[test]
fn whoever_goes_on_makes_the_tail_that_it_found_durable() {
    let (mut disk, mut journal) = fresh();
    let mut tail = journal.tail();
    for mark in 1..4 {
        let mut log = log(2, mark);
        let placed = journal.append(&mut log).unwrap();
        put(&mut disk, placed.position, log.octets());
        if mark == 2 {
            tail = placed.after;
        }
    }
    let lost = journal.checkpoint(tail);
    let mut cache = disk.clone();
    put(&mut cache, lost.position, &lost.octets);

    let mut found = replay(&store(), &cache).unwrap();
    assert_eq!(marks(&mut found), [(3, 2, 3)]);
    let octets = disk.len() as u64;
    let (mut journal, write) = Journal::go_on(&store(), octets, found.resume(), 78).unwrap();
    assert_ne!(write.position, lost.position, "over the older copy");
    assert_eq!(journal.tail(), tail);
    let mut log = log(2, 4);
    let placed = journal.append(&mut log).unwrap();
    for (position, octets) in [
        (write.position, &write.octets[..]),
        (placed.position, log.octets()),
    ] {
        put(&mut disk, position, octets);
    }
    // What lies before the tail may be overwritten from now on.
    put(&mut disk, DATA_OFFSET, &[0; ALIGNMENT]);
    let mut found = replay(&store(), &disk).unwrap();
    assert_eq!(marks(&mut found), [(3, 2, 3), (4, 2, 4)]);
    assert_eq!(found.damage(), Damage::default());
}

#[test]
fn without_a_header_every_whole_batch_counts() {
    let (mut file, mut journal) = fresh();
    for mark in 1..4 {
        let mut log = log(2, mark);
        let placed = journal.append(&mut log).unwrap();
        put(&mut file, placed.position, log.octets());
    }
    for position in [0, COPY_DISTANCE] {
        file[position + 20] ^= 1;
    }
    let mut found = replay(&store(), &file).unwrap();
    assert!(found.is_headless());
    assert_eq!(marks(&mut found).len(), 3);
    assert_eq!(found.resume().next.sequence, 4);
}

#[test]
fn one_damaged_header_copy_is_enough_to_start_from_the_other() {
    let (mut file, mut journal) = fresh();
    for mark in 1..3 {
        let mut log = log(1, mark);
        let placed = journal.append(&mut log).unwrap();
        put(&mut file, placed.position, log.octets());
        let write = journal.checkpoint(placed.after);
        put(&mut file, write.position, &write.octets);
        journal.advanced(placed.after);
        let mut torn = file.clone();
        torn[write.position as usize + 40] ^= 1;
        // The batches before the lost header are replayed once more, which changes nothing.
        let mut found = replay(&store(), &torn).unwrap();
        assert_eq!(marks(&mut found), [(mark, 1, mark)]);
    }
}

/// The first header that a journal ever gets, with what its writer did not come to: nobody else's.
#[test]
fn a_header_that_was_cut_short_belongs_to_this_store() {
    let (file, _) = fresh();
    for len in 0..HEADER_COPY_OCTETS {
        let mut short = file.clone();
        short[len..COPY_DISTANCE].fill(0);
        short[COPY_DISTANCE..2 * COPY_DISTANCE].fill(0);
        let found = replay(&store(), &short);
        assert!(found.is_ok(), "{len}: {:?}", found.err());
    }
}

#[test]
fn journals_of_other_stores_and_later_programs_are_refused() {
    let (file, _) = fresh();
    let other = StoreHeader {
        identity: [8; 16],
        ..store()
    };
    assert_eq!(replay(&other, &file).err(), Some(HeaderError::Astray));
    let mut newer = file;
    for position in [0, COPY_DISTANCE] {
        newer[position + 8..position + 16].copy_from_slice(b"xdhcpd\0J");
        newer[position + 16] = 3;
    }
    let error = HeaderError::Newer { found: 3, known: 2 };
    assert_eq!(replay(&store(), &newer).err(), Some(error));
}

/// A journal file of a few octets was taken over as it was: every append found it full, and asking
/// whether a checkpoint was due computed the size of a ring that ended before it began.
#[test]
fn a_journal_that_is_too_small_is_refused() {
    let resume = replay(&store(), &[]).unwrap().resume();
    for octets in [0, 1, DATA_OFFSET - 1, DATA_OFFSET, Journal::OCTETS_MIN - 1] {
        let refused = Journal::restart(&store(), octets, resume, 77).err();
        let need = Journal::OCTETS_MIN;
        assert_eq!(refused, Some(JournalTooSmall { octets, need }));
    }
    let (journal, _) = Journal::restart(&store(), Journal::OCTETS_MIN, resume, 77).unwrap();
    assert!(!journal.is_checkpoint_due());
}
