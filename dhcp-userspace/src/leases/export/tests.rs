use super::*;
use crate::settings::{Durability, Settings};
use crate::store::{StateDirectory, Store, table_path};
use dhcp_lease::{ChangeLog, PoolRange, Pools, SubnetId};
use dhcp_wire::id::HardwareAddress;
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A store of this process, which serves from it while others read.
struct Bench {
    directory: tempfile::TempDir,
    _state: StateDirectory,
    /// One thread writes, none uses the journal.
    _store: parking_lot::Mutex<Store>,
    partitions: std::sync::Arc<dhcp_lease::Partitions>,
    pools: Pools,
    now: Timestamp,
}

/// How often all change hands.
const ROUNDS: u16 = 200;

fn lease(number: u16) -> Lease {
    let [high, low] = number.to_be_bytes();
    Lease::V4(Ipv4Addr::new(10, 0, high, low))
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(directory.path()).unwrap();
        let range = PoolRange {
            first: lease(0),
            count: 65_536,
        };
        let pools = Pools::new(&[range], &[]);
        let now = crate::clock::wall();
        let settings = settings(directory.path());
        let store = state.store(&settings, &pools, 3600, now).unwrap();
        Self {
            directory,
            _state: state,
            partitions: std::sync::Arc::clone(&store.partitions),
            _store: parking_lot::Mutex::new(store),
            pools,
            now,
        }
    }

    /// Gives a client a lease, or takes it away.
    fn commit(&self, client: u16, number: u16, state: State) {
        let [high, low] = client.to_be_bytes();
        let hardware = HardwareAddress::ethernet([2, 0, 0, 0, high, low]);
        let binding = Binding {
            lease: lease(number),
            state,
            subnet: SubnetId(u32::from(client % 3)),
            hardware,
            last_transaction: self.now,
            expires: match state {
                State::Released => self.now,
                State::Leased | State::Declined => self.now.after(3600),
            },
            valid_seconds: 3600,
            ..Binding::default()
        };
        if state != State::Released {
            self.pools.claim(binding.lease);
        }
        let partitions = &self.partitions;
        let index = partitions.index_of(hardware.as_slice());
        let mut partition = partitions.lock(index).unwrap();
        let key = crate::leases::import::key(&binding);
        let slot = partition.find(&key, |_| true);
        let mut log = ChangeLog::default();
        partition
            .commit(slot, &binding, &self.pools, &mut log, self.now)
            .unwrap();
    }

    fn export(&self, export: &Export) -> (String, Exported) {
        let mut out = Vec::new();
        let mut files = Files::open(self.directory.path()).unwrap();
        let done = export.write(&mut files, &mut out, |_| {}).unwrap();
        (String::from_utf8(out).unwrap(), done)
    }
}

fn settings(directory: &Path) -> Settings {
    let text = "interfaces = [\"lo\"]\nlease-capacity = 20000\npartitions = 4\n";
    let checked = crate::config::check(Path::new("test.toml"), text).unwrap();
    Settings {
        state_dir: directory.to_owned(),
        durability: Durability::Process,
        ..checked.settings
    }
}

#[test]
fn only_what_is_wanted_is_written() {
    let bench = Bench::new();
    bench.commit(1, 1, State::Leased);
    bench.commit(2, 2, State::Released);
    bench.commit(3, 3, State::Declined);
    let rows = |export: Export| bench.export(&export).1.rows;
    let all = Export::default;
    assert_eq!(rows(all()), 3);
    for (which, count) in [
        (Which::All, 3),
        (Which::Live, 1),
        (Which::Former, 1),
        (Which::Declined, 1),
    ] {
        assert_eq!(rows(Export { which, ..all() }), count, "{which:?}");
    }
    assert_eq!(
        rows(Export {
            v6: Some(true),
            ..all()
        }),
        0
    );
    assert_eq!(
        rows(Export {
            subnet: Some(1),
            ..all()
        }),
        1
    );
    let client = Some(vec![2, 0, 0, 0, 0, 2]);
    assert_eq!(rows(Export { client, ..all() }), 1);
    let format = Format::Json;
    let (json, _) = bench.export(&Export { format, ..all() });
    let array: Vec<LeaseView> = serde_json::from_str(&json).unwrap();
    assert_eq!((array.len(), json.lines().count()), (3, 5));
    let v6 = Some(true);
    let (nothing, _) = bench.export(&Export {
        format,
        v6,
        ..all()
    });
    assert_eq!(nothing, "[]\n");
    let (table, _) = bench.export(&Export {
        format: Format::Table,
        ..all()
    });
    assert!(
        table.starts_with("ADDRESS") && table.lines().count() == 4,
        "{table}"
    );
}

#[test]
fn to_kea_the_holder_of_a_lease_comes_last() {
    let bench = Bench::new();
    // Many clients had one address, one after the other; all but the last are its former ones.
    for client in (0..200).filter(|client| *client != 99) {
        bench.commit(client, 7, State::Leased);
        bench.commit(client, 7, State::Released);
    }
    bench.commit(99, 7, State::Leased);
    let export = Export {
        format: Format::KeaCsv,
        v6: Some(false),
        ..Export::default()
    };
    let (text, done) = bench.export(&export);
    let last = text.lines().rfind(|line| line.starts_with("10.0.0.7,"));
    assert!(
        last.unwrap().starts_with("10.0.0.7,02:00:00:00:00:63,"),
        "{last:?}"
    );
    assert_eq!(done.moved, 0);
}

#[test]
fn no_lease_is_listed_twice_and_none_is_missing_while_all_change_hands() {
    let bench = Bench::new();
    // Clients 0 to 999 keep theirs; the others pass theirs on, round and round.
    for client in 0..3_000 {
        bench.commit(client, client, State::Leased);
    }
    let exports = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..ROUNDS {
                for client in (1_000..3_000).step_by(2) {
                    let pair = [client, client + 1];
                    let [mine, yours] = match round % 2 {
                        0 => pair,
                        _ => [client + 1, client],
                    };
                    // Both let go, then each has the other's.
                    bench.commit(client, mine, State::Released);
                    bench.commit(client + 1, yours, State::Released);
                    bench.commit(client, yours, State::Leased);
                    bench.commit(client + 1, mine, State::Leased);
                }
            }
        });
        let mut exports = 0;
        while !writer.is_finished() {
            exports += 1;
            let which = Which::Live;
            let (text, done) = bench.export(&Export {
                format: Format::Csv,
                which,
                ..Export::default()
            });
            let mut seen = std::collections::HashSet::new();
            for line in text.lines().skip(1) {
                let cells: Vec<_> = line.split(',').collect();
                assert_eq!(cells.len(), 19, "{line}");
                assert!(seen.insert(cells[0].to_owned()), "{} twice", cells[0]);
            }
            for kept in 0..1_000 {
                assert!(seen.contains(&lease(kept).to_string()), "{kept} is missing");
            }
            assert_eq!((done.rows, done.damaged), (seen.len() as u64, 0));
            let verdict = crate::leases::verify(bench.directory.path(), |_| {}).unwrap();
            assert!(
                verdict.lines().is_empty(),
                "a false alarm: {:?}",
                verdict.lines()
            );
        }
        exports
    });
    assert!(exports > 2, "{exports} exports while leases changed hands");
}

#[test]
fn whoever_reads_no_more_ends_it_quietly_and_soon() {
    struct Closed(u64);
    impl Write for Closed {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 => Ok(octets.len()),
                _ => Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let bench = Bench::new();
    for client in 0..100 {
        bench.commit(client, client, State::Leased);
    }
    let mut files = Files::open(bench.directory.path()).unwrap();
    let mut pieces = 0;
    let mut out = Closed(0);
    let failed = Export::default().write(&mut files, &mut out, |_| pieces += 1);
    assert!(
        matches!(failed, Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe)
    );
    assert!(out.0 <= 2 && pieces <= 1, "{} {pieces}", out.0);
}

#[test]
fn verify_finds_what_is_damaged_and_what_is_held_twice() {
    let bench = Bench::new();
    bench.commit(1, 1, State::Leased);
    bench.commit(2, 2, State::Leased);
    let path = |partition| table_path(bench.directory.path(), 0, partition);
    let verify = || crate::leases::verify(bench.directory.path(), |_| {}).unwrap();
    let sound = verify();
    assert!(sound.lines().is_empty());
    assert_eq!((sound.live, sound.former, sound.declined), (2, 0, 0));
    // The pool is not asked here, so the lease of another client can be granted.
    bench.commit(3, 1, State::Leased);
    assert_eq!(verify().held_twice, [lease(1)]);
    assert_eq!(verify().lines(), ["10.0.0.1 is held twice"]);
    let (partition, slot) = (0..4)
        .find_map(|partition| {
            let files = Files::open(bench.directory.path()).unwrap();
            files.binding_at(partition, 0).map(|_| (partition, 0u32))
        })
        .unwrap();
    let table = std::fs::OpenOptions::new()
        .write(true)
        .open(path(partition))
        .unwrap();
    table.write_all_at(&[0xff], 16_384 + 40).unwrap();
    let damaged = verify();
    assert_eq!((damaged.damage.len(), damaged.damage[0].slot), (1, slot));
    table.write_all_at(&[0xff; 8_192], 0).unwrap();
    assert_eq!(verify().damaged_headers, 1);
    table
        .set_len(table.metadata().unwrap().len() - 128)
        .unwrap();
    assert_eq!(verify().cut_tables, [partition]);
}
