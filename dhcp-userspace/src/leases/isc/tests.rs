use super::*;
use crate::leases::source::{SourceFormat, read_from};
use proptest::prelude::*;

/// 2026-11-19T11:00:00Z
const NOW: Timestamp = Timestamp(1_795_086_000);

fn all(octets: &[u8]) -> Vec<(Spot, Result<Item, String>)> {
    let mut all = Vec::new();
    read_from(octets, SourceFormat::Isc, NOW, &mut |spot, item| {
        all.push((spot, item));
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

fn lease(item: &(Spot, Result<Item, String>)) -> &Binding {
    match &item.1 {
        Ok(Item::Lease(binding)) => binding,
        other => panic!("{:?}: {other:?}", item.0),
    }
}

#[test]
fn every_entry_of_dhcpd_leases_is_understood() {
    let all = all(include_bytes!("../../../../tests/data/dhcpd.leases"));
    // authoring-byte-order says how to read, and is no entry.
    assert_eq!(all[0].1, Ok(Item::NoLease), "server-duid");
    assert_eq!(all[1].1, Ok(Item::Failover));
    let first = lease(&all[2]);
    assert_eq!(first.lease.to_string(), "192.0.2.10");
    assert_eq!(first.client.as_slice(), [1, 2, 0, 0, 0, 0, 1]);
    assert_eq!(
        first.hardware,
        HardwareAddress::ethernet([2, 0, 0, 0, 0, 1])
    );
    assert_eq!(first.expires, NOW);
    assert_eq!(
        (first.last_transaction.0, first.valid_seconds),
        (NOW.0 - 3600, 3600)
    );
    let second = lease(&all[3]);
    assert_eq!(
        (second.client.clone(), second.expires.0),
        (first.client.clone(), NOW.0 + 1800)
    );
    let for_ever = lease(&all[4]);
    assert_eq!(
        (for_ever.expires, for_ever.valid_seconds),
        (Timestamp::NEVER, u32::MAX)
    );
    assert_eq!(for_ever.last_transaction.0, 1_795_082_400);
    assert_eq!(lease(&all[5]).state, State::Released);
    assert_eq!(all[6].1, Ok(Item::Failover));
    let abandoned = lease(&all[7]);
    assert_eq!(
        (abandoned.state, abandoned.client.is_empty()),
        (State::Declined, true)
    );
    assert!(
        matches!(all[8].1, Ok(Item::Gone(_))),
        "free, and nobody ever had it"
    );
    let wrong = all[9].1.as_ref().unwrap_err();
    assert_eq!(wrong, "\"192.0.2.300\" is not an IPv4 address");
    assert_eq!(
        all[9].0,
        Spot {
            line: 65,
            column: 1
        }
    );
    assert_eq!(
        all[10],
        (
            Spot {
                line: 68,
                column: 1
            },
            Ok(Item::Truncated)
        )
    );
    assert_eq!(all.len(), 11);
}

#[test]
fn every_entry_of_dhcpd6_leases_is_understood() {
    let all = all(include_bytes!("../../../../tests/data/dhcpd6.leases"));
    let address = lease(&all[1]);
    assert_eq!(
        (address.lease.to_string().as_str(), address.iaid),
        ("2001:db8::10", Iaid(5))
    );
    assert_eq!(address.client.as_slice(), [0, 3, 0, 1, 2, 0, 0, 0, 0, 1]);
    assert_eq!(
        (address.preferred_seconds, address.valid_seconds),
        (375, 600)
    );
    assert_eq!(
        (address.last_transaction.0, address.expires.0),
        (NOW.0 - 3600, NOW.0 - 3000)
    );
    assert!(!lease(&all[2]).is_live(NOW));
    let prefix = lease(&all[3]);
    assert_eq!(
        (prefix.lease.to_string().as_str(), prefix.iaid),
        ("2001:db8:8000:100::/56", Iaid(0x107))
    );
    assert!(all[4].1.is_err(), "ia-ta");
    assert_eq!(all.len(), 5);
}

#[test]
fn the_byte_order_of_the_writer_counts() {
    let entry = "ia-na \"\\000\\000\\000\\005\\000\\003\\000\\001\\002\" { cltt epoch 5;
                 iaaddr 2001:db8::10 { binding state active; max-life 600; ends epoch 605; } }";
    let big = format!("authoring-byte-order big-endian;\n{entry}");
    assert_eq!(lease(&all(big.as_bytes())[0]).iaid, Iaid(5));
    assert_eq!(lease(&all(entry.as_bytes())[0]).iaid, Iaid(0x0500_0000));
}

#[test]
fn texts_mean_what_their_escapes_say() {
    let file = r#"lease 192.0.2.1 { hardware ethernet 2:0:0:0:0:1; uid "\001a\"\\\377\x41\n7"; ends never; }"#;
    let all = all(file.as_bytes());
    assert_eq!(lease(&all[0]).client.as_slice(), b"\x01a\"\\\xff\x41\n7");
}

#[test]
fn what_is_no_statement_is_left_behind_with_its_place() {
    let good = "lease 192.0.2.1 { hardware ethernet 2:0:0:0:0:1; ends never; }\n";
    for bad in [
        "lease 192.0.2.2 { hardware ethernet 2:0:0:0:0:1 }\n",
        "lease 192.0.2.2 { ends soon; }\n",
        "lease 192.0.2.2 { uid 01:02 } }\n",
        "lease 192.0.2.2 { binding state green; hardware ethernet 2:0:0:0:0:1; }\n",
        "a { b { c { d { e { f { g { h { i { j; } } } } } } } } }\n",
    ] {
        let file = format!("{good}  {bad}{good}");
        let all = all(file.as_bytes());
        let wrong: Vec<_> = all.iter().filter(|(_, item)| item.is_err()).collect();
        assert!(
            !wrong.is_empty() && wrong.iter().all(|(spot, _)| spot.line == 2),
            "{bad}: {all:?}"
        );
        assert!(
            matches!(all.last(), Some((_, Ok(Item::Lease(_))))),
            "{bad}: {all:?}"
        );
    }
}

#[test]
fn dates_are_those_of_the_calendar() {
    for (date, clock, seconds) in [
        ([1970, 1, 1], [0, 0, 0], 0),
        ([2000, 2, 29], [0, 0, 0], 951_782_400),
        ([2026, 11, 21], [2, 29, 59], 1_795_228_199),
        ([2106, 2, 7], [6, 28, 16], 1 << 32),
    ] {
        assert_eq!(civil(date, clock), Some(seconds));
    }
    assert_eq!(civil([1969, 12, 31], [0, 0, 0]), None);
    assert_eq!(civil([2026, 13, 1], [0, 0, 0]), None);
}

/// Words of the language, so that random sequences get deep into the parser.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"lease ",
        b"ia-na ",
        b"ia-pd ",
        b"iaaddr ",
        b"iaprefix ",
        b"192.0.2.1 ",
        b"2001:db8::/56 ",
        b"{ ",
        b"} ",
        b"; ",
        b"\"\\001\\002\\003\\004x\" ",
        b"ends ",
        b"never",
        b"epoch ",
        b"7 ",
        b"cltt ",
        b"binding state ",
        b"active",
        b"hardware ethernet 2:0:0:0:0:1",
        b"uid ",
        b"\"",
        b"\\",
        b"# ",
        b"\n",
    ];
    prop_oneof![
        8 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ]
}

proptest! {
    #[test]
    fn no_octets_are_a_panic(pieces in proptest::collection::vec(piece(), 0..80)) {
        for (_, item) in all(&pieces.concat()) {
            if let Err(reason) = item {
                prop_assert!(reason.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
            }
        }
    }

    #[test]
    fn whatever_an_identifier_is_it_comes_back(identifier in proptest::collection::vec(any::<u8>(), 1..255)) {
        let octal: String = identifier.iter().map(|octet| format!("\\{octet:03o}")).collect();
        let file = format!("lease 192.0.2.1 {{ uid \"{octal}\"; ends never; }}");
        let all = all(file.as_bytes());
        prop_assert_eq!(lease(&all[0]).client.as_slice(), identifier);
    }
}
