use super::*;
use crate::HeaderError;
use crate::headers::COPY_DISTANCE;
use proptest::prelude::*;

/// 2026-11-21.
const T: u64 = 1_795_000_000;
const DAY: u64 = 86_400;
const Y1970: u64 = 0;
const Y2038: u64 = 1 << 31;
const Y2106: u64 = 1 << 32;
const Y2200: u64 = 7_258_118_400;
const BOOT: BootId = BootId([7; 16]);
const OTHER: BootId = BootId([8; 16]);
const GUARD: Guard = Guard {
    downtime_seconds: DAY,
    percent: 50,
};

fn clocks(wall: u64, boot_seconds: u64, boot: BootId) -> Clocks {
    Clocks {
        wall: Timestamp(wall),
        boot_seconds,
        boot,
    }
}

/// Server time T and boot clock 1000, with the wall clock at `wall`.
fn known(wall: u64) -> Known {
    Known {
        server: Timestamp(T),
        clocks: clocks(wall, 1000, BOOT),
        held_since: None,
    }
}

/// A thousand leases of an hour.
fn all_of_an_hour(from: Timestamp, to: Timestamp) -> Share {
    let mut share = Share::default();
    for _ in 0..1000 {
        share.count(State::Leased, Timestamp(T + 3600), from, to);
    }
    share
}

#[test]
fn the_table_of_starts() {
    use Source::{BootClock, HighWater, WallClock};
    let held = |jump_seconds| Source::Held {
        share: Share {
            live: 1000,
            ending: 1000,
        },
        jump_seconds,
    };
    // Wall clock of the record; clocks of the start; server time of the start.
    let table = [
        ("a restart", T, clocks(T + 5, 1005, BOOT), T + 5, BootClock),
        (
            "set to 1970 meanwhile",
            T,
            clocks(Y1970, 1005, BOOT),
            T + 5,
            BootClock,
        ),
        (
            "set to 2038 meanwhile",
            T,
            clocks(Y2038, 1005, BOOT),
            T + 5,
            BootClock,
        ),
        (
            "set to 2106 meanwhile",
            T,
            clocks(Y2106, 1005, BOOT),
            T + 5,
            BootClock,
        ),
        (
            "set to 2200 meanwhile",
            T,
            clocks(Y2200, 1005, BOOT),
            T + 5,
            BootClock,
        ),
        (
            "slept for two hours",
            T,
            clocks(T + 7205, 8205, BOOT),
            T + 7205,
            BootClock,
        ),
        (
            "a boot clock that went back",
            T,
            clocks(T + 5, 999, BOOT),
            T + 5,
            WallClock,
        ),
        (
            "a machine restart",
            T,
            clocks(T + 90, 30, OTHER),
            T + 90,
            WallClock,
        ),
        (
            "... with an unknown boot id",
            T,
            clocks(T + 90, 1090, BootId::UNKNOWN),
            T + 90,
            WallClock,
        ),
        (
            "... an empty battery",
            T,
            clocks(Y1970, 30, OTHER),
            T,
            HighWater,
        ),
        (
            "... an hour back",
            T,
            clocks(T - 3600, 30, OTHER),
            T,
            HighWater,
        ),
        (
            "a power cut of three hours",
            T,
            clocks(T + 10_800, 30, OTHER),
            T + 10_800,
            WallClock,
        ),
        (
            "... of a week",
            T,
            clocks(T + 7 * DAY, 30, OTHER),
            T + 1,
            held(7 * DAY),
        ),
        (
            "... to 2106",
            T,
            clocks(Y2106, 30, OTHER),
            T + 1,
            held(Y2106 - T),
        ),
        (
            "... to 2200",
            T,
            clocks(Y2200, 30, OTHER),
            T + 1,
            held(Y2200 - T),
        ),
        // The wall clock had been put forward by five hours while the server ran; its leases still count by a
        // clock that is five hours behind.
        (
            "behind, restarted",
            T + 18_000,
            clocks(T + 18_060, 30, OTHER),
            T + 60,
            WallClock,
        ),
        // It had been put back: server time is ahead, and waits for the wall clock.
        (
            "ahead, restarted",
            T - 18_000,
            clocks(T - 17_940, 30, OTHER),
            T,
            HighWater,
        ),
        (
            "ahead, five hours later",
            T - 18_000,
            clocks(T + 60, 30, OTHER),
            T + 60,
            WallClock,
        ),
        // It said 2106 for a while and is right again.
        (
            "back from 2106",
            Y2106,
            clocks(T + 60, 30, OTHER),
            T,
            HighWater,
        ),
        (
            "back from 1970",
            Y1970,
            clocks(T + 60, 30, OTHER),
            T + 60,
            WallClock,
        ),
    ];
    for (what, wall, clocks, now, source) in table {
        let start = start(
            &clocks,
            Some(&known(wall)),
            Word::None,
            &GUARD,
            || Timestamp(T),
            all_of_an_hour,
        );
        assert_eq!((start.now.0, start.source), (now, source), "{what}");
        assert_eq!(start.carry, None, "{what}");
        let is_held = matches!(source, Source::Held { .. });
        assert_eq!(start.held_since.is_some(), is_held, "{what}");
    }
}

#[test]
fn without_a_record_the_store_s_latest_transaction_is_the_mark() {
    let first = |wall, latest| {
        let clocks = clocks(wall, 30, BOOT);
        let latest = || Timestamp(latest);
        start(&clocks, None, Word::None, &GUARD, latest, all_of_an_hour)
    };
    assert_eq!(first(T, 0).now.0, T, "a new store");
    assert_eq!(first(Y2106, 0).now.0, Y2106, "nothing to lose");
    assert_eq!(first(T + 60, T).now.0, T + 60);
    assert_eq!(first(Y1970, T).now.0, T);
    assert_eq!(first(Y2200, T).now.0, T + 1);
    assert!(first(Y2200, T).held_since.is_some());
}

#[test]
fn a_jump_is_refused_only_if_it_ends_a_large_share_of_many_leases() {
    let jump = |live, ending, percent| {
        let guard = Guard { percent, ..GUARD };
        let clocks = clocks(T + 7 * DAY, 30, OTHER);
        let share = |_, _| Share { live, ending };
        let latest = || Timestamp(T);
        let started = start(&clocks, Some(&known(T)), Word::None, &guard, latest, share);
        started.held_since.is_some()
    };
    assert!(jump(100, 51, 50));
    assert!(!jump(100, 50, 50));
    assert!(!jump(99, 99, 50));
    assert!(jump(1_000_000, 1, 0));
    assert!(!jump(1_000_000, 1_000_000, 100));
}

#[test]
fn the_store_is_not_read_for_a_plausible_down_time() {
    let clocks = clocks(T + DAY, 30, OTHER);
    let latest = || panic!("the store was read");
    let share = |_, _| panic!("the store was read");
    let started = start(&clocks, Some(&known(T)), Word::None, &GUARD, latest, share);
    assert_eq!(started.now.0, T + DAY);
}

#[test]
fn a_refused_jump_stays_refused_and_keeps_its_beginning() {
    // A week without power, then an hour of service, then another power cut of a minute.
    let before = Known {
        server: Timestamp(T + 3601),
        clocks: clocks(T + 7 * DAY + 3600, 3630, OTHER),
        held_since: Some(Timestamp(T + 1)),
    };
    let after = clocks(T + 7 * DAY + 3660, 30, BootId([9; 16]));
    let latest = || Timestamp(T + 3600);
    let started = start(
        &after,
        Some(&before),
        Word::None,
        &GUARD,
        latest,
        all_of_an_hour,
    );
    assert_eq!(started.now.0, T + 3661);
    assert_eq!(started.held_since, Some(Timestamp(T + 1)));

    // With the operator's word it is over, and what was granted in that hour keeps its time.
    let accepted = start(
        &after,
        Some(&before),
        Word::Accept,
        &GUARD,
        latest,
        all_of_an_hour,
    );
    assert_eq!(accepted.now, after.wall);
    assert_eq!(
        (accepted.source, accepted.held_since),
        (Source::Accepted, None)
    );
    let carry = accepted.carry.unwrap();
    assert_eq!(carry.since, Timestamp(T + 1));
    assert_eq!(carry.moved(Timestamp(T + 3661)), after.wall);
    assert_eq!(carry.moved(Timestamp::NEVER), Timestamp::NEVER);
}

#[test]
fn a_jump_that_is_accepted_at_once_needs_nothing_carried_over() {
    let after = clocks(T + 7 * DAY, 30, OTHER);
    let latest = || panic!("the store was read");
    let share = |_, _| panic!("the store was read");
    let started = start(&after, Some(&known(T)), Word::Accept, &GUARD, latest, share);
    assert_eq!(started.now, after.wall);
    assert_eq!((started.carry, started.held_since), (None, None));
}

#[test]
fn accepting_a_wall_clock_that_is_behind_changes_nothing() {
    let clocks = clocks(Y1970, 1010, BOOT);
    let latest = || Timestamp(T);
    let started = start(
        &clocks,
        Some(&known(T)),
        Word::Accept,
        &GUARD,
        latest,
        all_of_an_hour,
    );
    assert_eq!((started.now.0, started.carry), (T + 10, None));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any sequence of restarts, machine restarts and steps of the wall clock: server time never goes back, and
    /// it never runs ahead of real time, for steps that no plausible down time explains.
    #[test]
    fn server_time_never_runs_ahead_of_real_time(
        steps in proptest::collection::vec(
            (
                0u64..100_000,
                prop_oneof![
                    Just(None),
                    prop_oneof![Just(Y1970), Just(T), Just(Y2038), Just(Y2106), Just(Y2200)].prop_map(Some),
                ],
                any::<[bool; 2]>(),
            ),
            1..40,
        ),
    ) {
        let mut real = T;
        let mut wall = T;
        let mut boot = 1u8;
        let mut booted = T - 1000;
        let mut record = known(T);
        record.clocks.boot = BootId([boot; 16]);
        let mut server = T;
        for (seconds, step, [is_reboot, is_late]) in steps {
            // The server runs for a while; the wall clock is set meanwhile, or when it has stopped.
            real += seconds;
            let set = step.unwrap_or(wall + seconds);
            wall = if is_late { wall + seconds } else { set };
            server += seconds;
            record.server = Timestamp(server);
            record.clocks = clocks(wall, real - booted, BootId([boot; 16]));
            // Then it is away for a minute.
            real += 60;
            wall = if is_late { set } else { wall } + 60;
            if is_reboot {
                boot += 1;
                booted = real;
            }
            let now = clocks(wall, real - booted, BootId([boot; 16]));
            let latest = || Timestamp(server);
            let all = |_, _| Share { live: 1000, ending: 1000 };
            let started = start(&now, Some(&record), Word::None, &GUARD, latest, all);
            prop_assert!(started.now.0 >= server, "{} after {server}", started.now.0);
            prop_assert!(started.now.0 <= real, "{} at {real}", started.now.0);
            if !is_reboot {
                prop_assert_eq!(started.now.0, server + 60);
            }
            server = started.now.0;
            record.held_since = started.held_since;
        }
    }
}

fn record(number: u64) -> ClockRecord {
    ClockRecord {
        number,
        known: Known {
            held_since: Some(Timestamp(T + 7)),
            ..known(T)
        },
        accept: true,
        carrying: true,
        epoch: 3,
        withheld_until: Some(Timestamp::NEVER),
        place: PLACE,
    }
}

const PLACE: Place = Place {
    inode: 4711,
    birth: (T, 123_456_789),
    changed: Timestamp(T + 5),
    owner: (0o100_640, 100, 101),
    machine: 99,
};

#[test]
fn a_record_is_read_as_it_was_written_and_the_newer_whole_copy_counts() {
    let identity = [3; 16];
    let mut file = [0; ClockRecord::OCTETS];
    assert_eq!(
        ClockRecord::read(&identity, &file),
        Err(HeaderError::NotOurs)
    );
    for number in 1..6 {
        let record = record(number);
        let at = record.offset() as usize;
        file[at..at + COPY_DISTANCE].copy_from_slice(&record.octets(&identity));
        assert_eq!(ClockRecord::read(&identity, &file), Ok(record));
    }
    assert_eq!(ClockRecord::read(&[4; 16], &file), Err(HeaderError::Astray));
    // Every bit of the newer copy (number 5 lies second).
    for bit in 0..256 * 8 {
        let mut torn = file;
        torn[COPY_DISTANCE + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            ClockRecord::read(&identity, &torn),
            Ok(record(4)),
            "bit {bit}"
        );
    }
    file[8] ^= 1;
    file[COPY_DISTANCE + 100] ^= 1;
    assert_eq!(
        ClockRecord::read(&identity, &file),
        Err(HeaderError::Damaged)
    );
    for length in [0, 1, 255, 4096, 4351] {
        assert!(ClockRecord::read(&identity, &file[..length]).is_err());
    }
}

#[test]
fn the_record_has_its_documented_places() {
    let octets = record(5).octets(&[3; 16]);
    let number = |at: usize| u64::from_le_bytes(octets[at..at + 8].try_into().unwrap());
    assert_eq!(&octets[8..16], b"xdhcpd\0C");
    assert_eq!(octets[16..24], [1, 0, 0, 0, 15, 0, 0, 0]);
    assert_eq!(octets[24..40], [3; 16]);
    assert_eq!([number(40), number(48), number(56)], [5, T, 1000]);
    assert_eq!(octets[64..80], [7; 16]);
    assert_eq!([number(80), number(88), number(96)], [T, T + 7, u64::MAX]);
    assert_eq!([number(104), number(112), number(120)], [T + 5, 4711, T]);
    assert_eq!(octets[128..132], 123_456_789u32.to_le_bytes());
    assert_eq!(octets[132..136], 0o100_640u32.to_le_bytes());
    assert_eq!(octets[136..144], [100, 0, 0, 0, 101, 0, 0, 0]);
    assert_eq!(number(144), 99);
    assert_eq!(octets[152..156], [3, 0, 0, 0]);
    assert!(octets[156..].iter().all(|octet| *octet == 0));
}

#[test]
fn a_copy_of_the_files_is_told_from_the_files() {
    let later = Timestamp(T + 10_000);
    let table = [
        ("untouched", PLACE, Origin::Own),
        (
            "written a moment after its stamp",
            Place {
                changed: Timestamp(T + 6),
                ..PLACE
            },
            Origin::Own,
        ),
        (
            "another inode",
            Place {
                inode: 4712,
                ..PLACE
            },
            Origin::Copied,
        ),
        (
            "an inode given again",
            Place {
                birth: (T + 9, 0),
                ..PLACE
            },
            Origin::Copied,
        ),
        (
            "copied over",
            Place {
                changed: later,
                ..PLACE
            },
            Origin::Overwritten,
        ),
        (
            "given to another user",
            Place {
                changed: later,
                owner: (0o100_640, 0, 0),
                ..PLACE
            },
            Origin::Own,
        ),
        (
            "a disk that moved",
            Place {
                machine: 98,
                ..PLACE
            },
            Origin::OtherMachine,
        ),
        (
            "a machine that does not say",
            Place {
                machine: 0,
                ..PLACE
            },
            Origin::Own,
        ),
    ];
    for (what, found, origin) in table {
        assert_eq!(PLACE.judge(&found), origin, "{what}");
    }
}
