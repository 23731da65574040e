//! A store of format 1 is brought to format 2 when it is opened, and wherever that is interrupted it opens
//! again with the same leases. tests/data/v1 was written by the last program that knew format 1 only.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect"
)]

use dhcp_lease::context::ItemKind;
use dhcp_lease::format::SLOT_OCTETS;
use dhcp_lease::headers::{COPY_DISTANCE, HeaderError, refuse_newer};
use dhcp_lease::reader::{Found, Reader};
use dhcp_lease::recovery::OpenError;
use dhcp_lease::table::HEADER_OCTETS;
use dhcp_lease::{
    Binding, ChangeLog, Durability, Journal, Key, Lease, Opening, Partitions, PoolRange, Pools,
    Recovery, Region, Room, StoreHeader, TableRegions, Timestamp,
};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

const NOW: Timestamp = Timestamp(1_790_000_000);
/// What every live and former binding of the store says, one a line.
const BINDINGS: &str = include_str!("data/v1/bindings.txt");
const SLOTS: usize = 96;

/// The files of a store.
#[derive(Clone)]
struct Disk {
    store: Vec<u8>,
    /// Header, slots, header, slots.
    tables: Vec<Vec<u8>>,
    journal: Vec<u8>,
}

/// What the program of format 1 left: bindings of one to four slots, live, released and declined, of which
/// the tables have a third, the journal all, and one is whole in the redo area only.
fn of_format_1() -> Disk {
    let file = |octets: &[u8], len| {
        let mut file = octets.to_vec();
        file.resize(len, 0);
        file
    };
    let (header, slots) = (HEADER_OCTETS, SLOTS * SLOT_OCTETS);
    Disk {
        store: file(include_bytes!("data/v1/store"), StoreHeader::OCTETS),
        tables: vec![
            file(include_bytes!("data/v1/header-0"), header),
            file(include_bytes!("data/v1/slots-0"), slots),
            file(include_bytes!("data/v1/header-1"), header),
            file(include_bytes!("data/v1/slots-1"), slots),
        ],
        journal: file(
            include_bytes!("data/v1/journal"),
            Journal::OCTETS_MIN as usize,
        ),
    }
}

/// Regions and what was in them, in the order in which somebody was about to change them.
type Tape = Arc<Mutex<Vec<(usize, Vec<u8>)>>>;

/// Memory that writes down what each change of it left.
struct Kept {
    octets: Vec<u8>,
    number: usize,
    tape: Tape,
}

impl Kept {
    fn note(&self) {
        self.tape
            .lock()
            .unwrap()
            .push((self.number, self.octets.clone()));
    }
}

impl Region for Kept {
    fn octets(&self) -> &[u8] {
        &self.octets
    }

    fn octets_mut(&mut self) -> &mut [u8] {
        self.note();
        &mut self.octets
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.note();
    }
}

struct Opened {
    partitions: Partitions,
    recovery: Recovery,
    header: StoreHeader,
    pools: Pools,
}

fn open(disk: &Disk) -> Result<Opened, OpenError> {
    open_taped(disk, &Arc::default())
}

fn open_taped(disk: &Disk, tape: &Tape) -> Result<Opened, OpenError> {
    let header = StoreHeader::read(&disk.store).unwrap();
    let region = |number: usize| {
        Box::new(Kept {
            octets: disk.tables[number].clone(),
            number,
            tape: Arc::clone(tape),
        }) as Box<dyn Region>
    };
    let tables = (0..2)
        .map(|table| TableRegions {
            header: region(2 * table),
            segments: vec![region(2 * table + 1)],
        })
        .collect();
    let first = Lease::V4(Ipv4Addr::new(10, 0, 0, 0));
    let pools = Pools::new(&[PoolRange { first, count: 200 }], &[]);
    let opening = Opening {
        durability: Durability::Power,
        room: Room {
            offers: 4,
            unsettled: 64,
        },
        now: NOW,
        quarantine_seconds: 100,
    };
    let (partitions, recovery) =
        Partitions::open(&header, tables, &disk.journal, &opening, &pools)?;
    Ok(Opened {
        partitions,
        recovery,
        header,
        pools,
    })
}

/// Every binding with an empty context, written as format 1 had it.
fn lines(partitions: &Partitions) -> String {
    let mut lines = Vec::new();
    partitions.for_each(|binding| lines.push(line(binding)));
    lines.sort();
    lines.join("\n") + "\n"
}

fn line(binding: &Binding) -> String {
    assert!(binding.context.is_empty());
    format!("{binding:?}").replace(", context: []", "")
}

fn is_all_there(disk: &Disk) -> bool {
    let opened = open(disk).unwrap();
    assert_eq!(
        (opened.recovery.damaged, opened.recovery.conflicts.len()),
        (0, 0)
    );
    lines(&opened.partitions) == BINDINGS
}

/// `before` with the octets of `after` that differ, every other eight of them.
fn half(before: &[u8], after: &[u8], odd: usize) -> Vec<u8> {
    let mut half = before.to_vec();
    let chunks = half.chunks_mut(8).zip(after.chunks(8));
    let changed = chunks.filter(|(old, new)| old != new).enumerate();
    for (number, (old, new)) in changed {
        if number % 2 == odd {
            old.copy_from_slice(new);
        }
    }
    half
}

fn put(file: &mut [u8], position: u64, octets: &[u8]) {
    file[position as usize..][..octets.len()].copy_from_slice(octets);
}

fn versions(disk: &Disk) -> Vec<u8> {
    let files = [&disk.tables[0], &disk.tables[2], &disk.journal, &disk.store];
    files
        .iter()
        .flat_map(|file| [file[16], file[COPY_DISTANCE + 16]])
        .collect()
}

#[test]
fn an_upgrade_that_is_interrupted_anywhere_loses_nothing() {
    let mut disk = of_format_1();
    assert_eq!(versions(&disk), [1, 1, 1, 1, 0, 1, 1, 1]);
    let tape = Tape::default();
    let opened = open_taped(&disk, &tape).unwrap();
    assert_eq!(
        (opened.recovery.tables_upgraded, opened.recovery.redone),
        (2, 1)
    );
    assert_eq!(lines(&opened.partitions), BINDINGS);
    let Opened {
        partitions,
        recovery,
        header,
        ..
    } = opened;
    drop(partitions);
    // The tables: at every store, and within it.
    let mut steps = 0;
    for (number, octets) in std::mem::take(&mut *tape.lock().unwrap()) {
        if octets == disk.tables[number] {
            continue;
        }
        for odd in [0, 1] {
            let mut cut = disk.clone();
            cut.tables[number] = half(&disk.tables[number], &octets, odd);
            assert!(is_all_there(&cut), "step {steps}");
        }
        disk.tables[number] = octets;
        assert!(is_all_there(&disk), "step {steps}");
        steps += 1;
    }
    assert!(steps > 20, "{steps}");
    assert_eq!(versions(&disk), [2, 2, 2, 2, 0, 1, 1, 1]);
    // The journal's header; batches of both versions follow one another then.
    let len = disk.journal.len() as u64;
    let (mut journal, write) = Journal::restart(&header, len, recovery.resume, 5).unwrap();
    let mut cut = disk.clone();
    put(&mut cut.journal, write.position, &write.octets);
    for odd in [0, 1] {
        let mut torn = disk.clone();
        torn.journal = half(&disk.journal, &cut.journal, odd);
        assert!(is_all_there(&torn));
    }
    disk = cut;
    assert!(is_all_there(&disk));
    // The store's own file, which is replaced as a whole.
    assert!(!header.is_current(&disk.store));
    disk.store = header.octets().to_vec();
    assert!(header.is_current(&disk.store));
    assert!(is_all_there(&disk));
    assert_eq!(versions(&disk), [2, 2, 2, 2, 2, 1, 2, 2]);
    // A batch of the present version, after which nothing is left to do.
    let opened = open(&disk).unwrap();
    assert_eq!(opened.recovery.tables_upgraded, 0);
    let mut log = ChangeLog::with_capacity(8);
    let renewed = renew(&opened, &mut log);
    let placed = journal.append(&mut log).unwrap();
    put(&mut disk.journal, placed.position, log.octets());
    let opened = open(&disk).unwrap();
    let mut found = None;
    opened.partitions.for_each(|binding| {
        if binding.lease == renewed.lease {
            found = Some(binding.clone());
        }
    });
    assert_eq!(found, Some(renewed));
}

/// Commits the first binding of a store again, with a context.
fn renew(opened: &Opened, log: &mut ChangeLog) -> Binding {
    let mut binding = Binding::default();
    opened.partitions.for_each(|one| binding = one.clone());
    assert!(binding.context.insert(ItemKind::AGENT, &[7; 200]));
    let key = Key {
        kind: binding.lease.kind(),
        client: binding.client.as_slice(),
        hardware: binding.hardware,
        iaid: binding.iaid,
    };
    let index = opened.partitions.index_of(key.spread_octets());
    let mut partition = opened.partitions.lock(index).unwrap();
    let slot = partition.find(&key, |_| true);
    partition
        .commit(slot, &binding, &opened.pools, log, NOW)
        .unwrap();
    binding
}

#[test]
fn a_store_of_format_1_is_read_without_changing_it() {
    let disk = of_format_1();
    let header = StoreHeader::read(&disk.store).unwrap();
    let mut reader = Reader::new(&header, &disk.journal).unwrap();
    let mut lines = Vec::new();
    for partition in 0..2 {
        reader.add_redo(partition, &disk.tables[2 * partition as usize]);
        let slots = &disk.tables[2 * partition as usize + 1];
        let fetch = |slot: u32, image: &mut [u8; SLOT_OCTETS]| {
            image.copy_from_slice(&slots[slot as usize * SLOT_OCTETS..][..SLOT_OCTETS]);
            true
        };
        reader.read(partition, SLOTS as u32, fetch, |found| match found {
            Found::Binding(binding) => lines.push(line(binding)),
            Found::Damaged { slot, .. } => panic!("slot {slot}"),
        });
    }
    lines.sort();
    assert_eq!(lines.join("\n") + "\n", BINDINGS);
}

/// A store of format 3, had by changing the version and signing anew: only what has the right checksum is
/// believed to be of a later format.
fn later(file: &mut [u8], place: usize, key: [u8; 16]) {
    use std::hash::Hasher;
    let copy = &mut file[place * COPY_DISTANCE..][..128];
    copy[16] = 3;
    let [low, high] = [0, 8].map(|at| u64::from_le_bytes(key[at..at + 8].try_into().unwrap()));
    let mut hasher = siphasher::sip::SipHasher13::new_with_keys(low, high);
    hasher.write(&copy[8..]);
    let sum = hasher.finish();
    copy[..8].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn a_later_format_is_refused_by_name_before_anything_is_touched() {
    let newer = HeaderError::Newer { found: 3, known: 2 };
    assert_eq!(
        newer.to_string(),
        "lease store format 3, this xdhcpd knows formats up to 2: run the newer one"
    );
    let key = StoreHeader::read(&of_format_1().store)
        .unwrap()
        .checksum_key;
    // A later program that was interrupted in its upgrade has changed one copy of one file.
    for place in [0, 1] {
        let mut disk = of_format_1();
        later(&mut disk.tables[2], place, key);
        let error = OpenError::Table {
            partition: 1,
            error: newer,
        };
        let tape = Tape::default();
        assert_eq!(open_taped(&disk, &tape).err(), Some(error));
        let left = std::mem::take(&mut *tape.lock().unwrap());
        assert_eq!(left.len(), 4, "none was asked for to be written");
        for (number, octets) in left {
            assert_eq!(octets, disk.tables[number]);
        }
        let header = StoreHeader::read(&disk.store).unwrap();
        assert_eq!(refuse_newer(&header, &disk.tables[2]), Err(newer));
        assert_eq!(refuse_newer(&header, &disk.tables[0]), Ok(()));

        let mut disk = of_format_1();
        later(&mut disk.store, place, [0; 16]);
        assert_eq!(StoreHeader::read(&disk.store), Err(newer));
    }
    let mut disk = of_format_1();
    later(&mut disk.journal, 1, key);
    let error = open(&disk).err();
    assert_eq!(error, Some(OpenError::Journal(newer)));
    let header = StoreHeader::read(&disk.store).unwrap();
    assert!(Reader::new(&header, &disk.journal).is_err());
    assert_eq!(refuse_newer(&header, &disk.journal), Err(newer));
}
