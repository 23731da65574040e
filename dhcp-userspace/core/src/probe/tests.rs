use super::*;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_790_000_000);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

fn after(seconds: u64) -> Timestamp {
    Timestamp(NOW.0 + seconds)
}

fn asked(probes: &Probes, now: Timestamp) -> Vec<Ipv4Addr> {
    let mut asked = Vec::new();
    probes.asked(now, |address| asked.push(address));
    asked
}

#[test]
fn what_is_asked_is_answered_and_holds_for_a_while() {
    for (finding, seconds) in [
        (Finding::Clear, CLEAR_SECONDS),
        (Finding::Used, USED_SECONDS),
    ] {
        let probes = Probes::default();
        assert!(!probes.take_news());
        assert_eq!(probes.look(ADDRESS, NOW), Some(Finding::Asked));
        assert_eq!(probes.look(ADDRESS, NOW), Some(Finding::Asked));
        assert_eq!(probes.known(ADDRESS, NOW), Some(Finding::Asked));
        assert_eq!([probes.take_news(), probes.take_news()], [true, false]);
        assert_eq!(asked(&probes, NOW), [ADDRESS]);
        assert!(probes.answer(ADDRESS, finding, NOW));
        assert!(!probes.answer(ADDRESS, Finding::Clear, NOW), "once");
        assert_eq!(probes.answers(), 1);
        assert_eq!(
            probes.look(ADDRESS, after(seconds - 1)),
            Some(finding),
            "{finding:?}"
        );
        assert_eq!(probes.known(ADDRESS, after(seconds)), None);
        assert_eq!(probes.look(ADDRESS, after(seconds)), Some(Finding::Asked));
    }
}

#[test]
fn a_question_that_nobody_answers_is_asked_anew() {
    let probes = Probes::default();
    probes.look(ADDRESS, NOW);
    let later = after(ASKED_SECONDS);
    assert!(asked(&probes, later).is_empty(), "it was asked long ago");
    assert_eq!(probes.look(ADDRESS, later), Some(Finding::Asked));
    assert_eq!(asked(&probes, later), [ADDRESS]);
}

#[test]
fn what_was_set_aside_is_probed_anew_and_nothing_else_is_forgotten() {
    let probes = Probes::default();
    probes.look(ADDRESS, NOW);
    probes.forget(ADDRESS);
    assert_eq!(probes.known(ADDRESS, NOW), Some(Finding::Asked));
    probes.answer(ADDRESS, Finding::Used, NOW);
    probes.forget(ADDRESS);
    assert_eq!(probes.known(ADDRESS, NOW), None);
    probes.look(ADDRESS, NOW);
    probes.answer(ADDRESS, Finding::Clear, NOW);
    probes.forget(ADDRESS);
    assert_eq!(probes.known(ADDRESS, NOW), Some(Finding::Clear));
}

#[test]
fn when_there_is_no_room_nobody_asks_and_that_is_counted() {
    let probes = Probes::with_entries(64);
    let address = |number| Ipv4Addr::from_bits(0x0a00_0000 + number);
    let ask = |numbers: std::ops::Range<u32>, now| {
        let asked = numbers.filter(|&number| probes.look(address(number), now).is_some());
        asked.count()
    };
    let first = ask(0..256, NOW);
    assert!((32..=64).contains(&first), "{first}");
    assert_eq!(probes.skipped(), 256 - first as u64);
    // That an address was clear is the first to be forgotten, that it is in use is not.
    let all = asked(&probes, NOW);
    for (number, &address) in all.iter().enumerate() {
        let finding = match number % 2 {
            0 => Finding::Clear,
            _ => Finding::Used,
        };
        assert!(probes.answer(address, finding, NOW));
    }
    assert!(ask(1000..1256, NOW) >= first / 2 - PLACES);
    let used = all.iter().skip(1).step_by(2);
    for &address in used {
        assert_eq!(probes.known(address, NOW), Some(Finding::Used));
    }
    assert!(ask(2000..2256, after(USED_SECONDS)) >= 32);
}

#[test]
fn a_probe_ends_when_its_last_request_was_waited_for() {
    let probe = |requests, reply_timeout_millis| Probe {
        requests,
        reply_timeout_millis,
        quiet_seconds: 60,
    };
    for (requests, millis, seconds) in [(1, 100, 3), (3, 500, 4), (10, 1000, 12)] {
        let deadline = probe(requests, millis).deadline(NOW);
        assert_eq!(deadline, after(seconds), "{requests} of {millis} ms");
        assert!(seconds < ASKED_SECONDS, "the question stands as long");
    }
}

proptest! {
    /// Whatever is asked and answered: nothing is known of an address that was not found out of it.
    #[test]
    fn nothing_is_known_that_was_not_answered(
        entries in 1usize..64,
        steps in prop::collection::vec((0u32..64, 0u8..4, 0u64..40), 0..400),
    ) {
        let probes = Probes::with_entries(entries);
        let mut now = NOW;
        let mut found = std::collections::HashMap::new();
        for (number, what, pause) in steps {
            now = Timestamp(now.0 + pause);
            let address = Ipv4Addr::from_bits(0x0a00_0000 + number);
            match what {
                0 => {
                    let known = probes.look(address, now);
                    if matches!(known, Some(Finding::Clear | Finding::Used)) {
                        prop_assert_eq!(known, found.get(&address).copied());
                    }
                }
                1 => probes.forget(address),
                _ => {
                    let finding = if what == 2 { Finding::Clear } else { Finding::Used };
                    if probes.answer(address, finding, now) {
                        found.insert(address, finding);
                    }
                }
            }
        }
    }
}
