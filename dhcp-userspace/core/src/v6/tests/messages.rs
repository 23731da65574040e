//! Which messages are answered at all, and with what besides leases.

use super::world::*;

// RFC 8415 section 18.3.1 [solicit-rapid-commit]
// RFC 8415 section 18.3.1 [commit-before-reply]
#[test]
fn rapid_commit_needs_both_sides() {
    for (allowed, asked) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut world = World::new();
        world.own().rapid_commit = allowed;
        let mut ask = Ask::solicit(ALICE).na(1, &[]);
        if asked {
            ask = ask.option(OptionCode::RAPID_COMMIT, &[]);
        }
        let heard = world.ask(&ask).unwrap();
        let is_rapid = allowed && asked;
        assert_eq!(heard.message_type == MessageType::Reply, is_rapid);
        assert_eq!(heard.option(OptionCode::RAPID_COMMIT).is_some(), is_rapid);
        assert_eq!(
            heard.changed, is_rapid,
            "committed before the Reply, and only then"
        );
    }
}

// RFC 8415 section 21.4 [t1-t2-recommended]
#[test]
fn timers_follow_the_shortest_lifetime_and_infinity_stays_infinite() {
    let table = [
        ((100, 100, None, None), (50, 80)),
        ((100, 400, None, None), (50, 80)), // preferred is never longer than valid
        ((u32::MAX, u32::MAX, None, None), (u32::MAX, u32::MAX)),
        (
            (u32::MAX - 1, u32::MAX - 1, None, None),
            (2_147_483_647, 3_435_973_835),
        ),
        ((1, 1, None, None), (0, 0)),
        ((100, 100, Some(90), None), (80, 80)), // T1 is never after T2
        ((100, 100, Some(10), Some(20)), (10, 20)),
    ];
    for ((valid, preferred, renew, rebind), timers) in table {
        let mut world = World::new();
        let mut own = world.own();
        let lifetimes = &mut own.lifetimes;
        *lifetimes = Lifetimes {
            valid,
            preferred,
            renew,
            rebind,
            ..*lifetimes
        };
        drop(own);
        let heard = world
            .ask(&Ask::request(ALICE).na(1, &[]).pd(1, &[]))
            .unwrap();
        assert!(
            heard.ias.iter().all(|ia| (ia.t1, ia.t2) == timers),
            "{heard:?}"
        );
        assert_eq!(heard.ias[0].leases[0].1, preferred.min(valid));
    }
}

// RFC 8415 section 16.2 [for-any-server]
// RFC 8415 section 16.4 [for-one-server]
// RFC 8415 section 16.12 [information-request-validity]
#[test]
fn messages_need_the_identifiers_of_their_type() {
    use Discard::{Invalid, NoClient, OtherServer};
    use MessageType as M;
    let any = [
        Some(NoClient),
        None,
        Some(Invalid),
        Some(Invalid),
        Some(Invalid),
        Some(Invalid),
    ];
    let one = [
        Some(Invalid),
        Some(Invalid),
        Some(NoClient),
        None,
        Some(NoClient),
        Some(OtherServer),
    ];
    let information = [None, None, None, None, Some(OtherServer), Some(OtherServer)];
    let table = [
        (M::Solicit, any),
        (M::Confirm, any),
        (M::Rebind, any),
        (M::Request, one),
        (M::Renew, one),
        (M::Release, one),
        (M::Decline, one),
        (M::InformationRequest, information),
    ];
    for (kind, outcomes) in table {
        let servers = [None, Some(SERVER), Some(OTHER_SERVER)];
        let cases = servers
            .into_iter()
            .flat_map(|server| [(server, false), (server, true)]);
        for ((server, with_client), expected) in cases.zip(outcomes) {
            let mut ask = Ask::new(kind);
            if kind != M::InformationRequest {
                ask = ask.na(1, &[address("2001:db8:1::100")]);
            }
            if with_client {
                ask = ask.option(OptionCode::CLIENT_ID, ALICE);
            }
            if let Some(server) = server {
                ask = ask.option(OptionCode::SERVER_ID, server);
            }
            let got = World::new().ask(&ask).err();
            assert_eq!(
                got, expected,
                "{kind:?}, server {server:?}, client {with_client}"
            );
        }
    }
    // An Information-request has no IAs.
    let with_ia = Ask::to_any(M::InformationRequest, ALICE).na(1, &[]);
    assert_eq!(World::new().ask(&with_ia), Err(Invalid));
}

// RFC 8415 section 16 [unknown-messages-discarded]
// RFC 8415 section 16.3 [server-messages-discarded]
#[test]
fn only_messages_of_clients_and_relay_agents_are_answered() {
    for kind in 0..=255 {
        let direct = Ask {
            kind,
            ..Ask::to_us(MessageType::Renew, ALICE).na(1, &[])
        };
        let relayed = direct.clone().via("2001:db8:2::1", "fe80::9", None);
        for (ask, is_relayed) in [(direct, false), (relayed, true)] {
            let expected = match kind {
                2 | 7 | 10 => Some(Discard::FromServer),
                13 if !is_relayed => Some(Discard::FromServer),
                12 | 13 => Some(Discard::MalformedV6),
                1 | 4 | 6 | 11 => Some(Discard::Invalid),
                3 | 5 | 8 | 9 => None,
                _ => Some(Discard::UnknownMessage),
            };
            assert_eq!(
                World::new().ask(&ask).err(),
                expected,
                "{kind}, relayed {is_relayed}"
            );
        }
    }
}

// RFC 8415 section 16 [unknown-options-ignored]
#[test]
fn options_that_we_do_not_know_change_nothing() {
    let plain = Ask::solicit(ALICE).na(1, &[]);
    let heard = World::new().ask(&plain).unwrap();
    for code in [0, 8, 15, 16, 17, 20, 39, 65_535] {
        for len in [0, 1, 2, 7, 300] {
            let ask = plain.clone().option(code, &vec![0xee; len]);
            assert_eq!(
                World::new().ask(&ask).unwrap(),
                heard,
                "option {code}, {len} octets"
            );
        }
    }
    // IA, IA Address and their like inside one another have no meaning.
    let inner = Ask::new(MessageType::Solicit).na(9, &[address("2001:db8:1::105")]);
    let mut nested = vec![0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    nested.extend(&inner.payload()[4..]);
    let ask = Ask::solicit(ALICE).option(OptionCode::IA_NA, &nested);
    assert_eq!(World::new().ask(&ask).unwrap(), heard);
}

// RFC 8415 section 18.3.3 [confirm-on-link-or-silence]
#[test]
fn confirm_says_whether_addresses_are_on_the_link() {
    let (here, there) = (address("2001:db8:1::abcd"), address("2001:db8:2::100"));
    let none = Err(Discard::CannotConfirm);
    let table: [(&[Lease], Result<u16, Discard>); 5] = [
        (&[here], Ok(StatusCode::SUCCESS)),
        (&[here, address("2001:db8:1::1")], Ok(StatusCode::SUCCESS)),
        (&[here, there], Ok(StatusCode::NOT_ON_LINK)),
        (&[there], Ok(StatusCode::NOT_ON_LINK)),
        (&[], none),
    ];
    for (leases, expected) in table {
        let ask = Ask::to_any(MessageType::Confirm, ALICE)
            .na(1, leases)
            .requesting(&[23]);
        let heard = World::new().ask(&ask);
        if let Ok(heard) = &heard {
            assert_eq!(
                (heard.message_type, heard.changed),
                (MessageType::Reply, false)
            );
            assert!(heard.ias.is_empty());
        }
        assert_eq!(
            heard.map(|heard| heard.status.unwrap()),
            expected,
            "{leases:?}"
        );
    }
    let prefix_only =
        Ask::to_any(MessageType::Confirm, ALICE).pd(1, &[prefix("2001:db8:100::/56")]);
    assert_eq!(World::new().ask(&prefix_only), Err(Discard::CannotConfirm));
    let unknown_link = Ask::to_any(MessageType::Confirm, ALICE).na(1, &[here]);
    let unknown_link = unknown_link.via("2001:db8:99::1", "fe80::9", None);
    assert_eq!(World::new().ask(&unknown_link), Err(Discard::NoSubnet));
}

// RFC 8415 section 18.3 [requested-options]
// RFC 8415 section 21.24 [max-rt-when-requested]
// RFC 8415 section 21.23 [refresh-time-in-stateless-reply]
// RFC 8415 section 18.3.9 [preference-in-advertise]
#[test]
fn options_are_sent_when_asked_for() {
    let mut world = World::new();
    world.own().preference = 200;
    world.own().options = OptionSet::layered([
        option(OptionCode::DNS_SERVERS, &[0x20; 16], false),
        option(OptionCode::DOMAIN_LIST, b"\x07example\0", true),
        option(31, &[1; 16], false),
        option(OptionCode::INFORMATION_REFRESH_TIME, &[0, 0, 14, 16], false),
        option(OptionCode::SOL_MAX_RT, &[0, 0, 14, 16], true),
        option(OptionCode::SERVER_ID, b"nonsense", true),
        option(17, &[0, 0, 0, 1], true),
    ]);
    let solicit = Ask::solicit(ALICE).na(1, &[]);
    let codes = |heard: &Heard| {
        heard
            .options
            .iter()
            .map(|(code, _)| *code)
            .collect::<Vec<_>>()
    };
    let plain = world.ask(&solicit).unwrap();
    assert_eq!(codes(&plain), [2, 1, 7, 3, 17, 24]);
    assert_eq!(plain.option(OptionCode::PREFERENCE), Some(&[200][..]));
    let asked = solicit.requesting(&[23, 32, 82, 23, 3, 99]);
    assert_eq!(
        codes(&world.ask(&asked).unwrap()),
        [2, 1, 7, 3, 17, 23, 24, 82]
    );
    let request = Ask::request(ALICE).na(1, &[]).requesting(&[23]);
    assert_eq!(codes(&world.ask(&request).unwrap()), [2, 1, 3, 17, 23, 24]);
    // RFC 8415 section 18.3.6 [information-request-reply]
    let information = Ask::new(MessageType::InformationRequest).requesting(&[23, 32, 83]);
    let heard = world.ask(&information).unwrap();
    assert_eq!(
        (heard.message_type, heard.changed),
        (MessageType::Reply, false)
    );
    assert_eq!(codes(&heard), [2, 17, 23, 24, 32]);
}

#[test]
fn a_reservation_has_its_own_options() {
    let mut world = World::new();
    world.own().options = OptionSet::layered([option(OptionCode::DNS_SERVERS, &[1; 16], false)]);
    let options = OptionSet::layered([option(OptionCode::DNS_SERVERS, &[2; 16], false)]);
    let reservation = Reservation {
        options,
        ..Reservation::default()
    };
    world
        .own()
        .reservations
        .insert(ReservedBy::Duid, ALICE, reservation);
    for (client, dns) in [(ALICE, 2), (BOB, 1)] {
        let ask = Ask::to_any(MessageType::InformationRequest, client).requesting(&[23]);
        let heard = world.ask(&ask).unwrap();
        assert_eq!(heard.option(OptionCode::DNS_SERVERS), Some(&[dns; 16][..]));
    }
}

// RFC 9915 section 21.5 [no-temporary-addresses]
#[test]
fn temporary_addresses_are_refused_politely() {
    for ask in [Ask::solicit(ALICE), Ask::request(ALICE)] {
        let ask = ask.option(OptionCode::IA_TA, &[0, 0, 0, 5]).na(5, &[]);
        let heard = World::new().ask(&ask).unwrap();
        let refused = &heard.ias[0];
        assert_eq!((refused.code, refused.iaid), (OptionCode::IA_TA, 5));
        assert_eq!(refused.status, Some(StatusCode::NO_ADDRS_AVAIL));
        assert_eq!(heard.leases().len(), 1);
    }
}
