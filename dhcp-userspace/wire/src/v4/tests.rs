use super::fixtures::*;
use super::*;
use crate::octets::Octets;
use core::net::Ipv4Addr;
use dhcproto::{Decodable, Encodable};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::vec::Vec;
use std::{format, vec};

fn octets(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// A message with these options field, `file` and `sname`.
fn message(options: &[u8], file: &[u8], sname: &[u8]) -> Vec<u8> {
    let mut octets = vec![0; 240];
    octets[0] = BOOTREQUEST;
    octets[44..44 + sname.len()].copy_from_slice(sname);
    octets[108..108 + file.len()].copy_from_slice(file);
    octets[236..240].copy_from_slice(&COOKIE.to_be_bytes());
    octets.extend_from_slice(options);
    octets
}

/// Codes and data of all pieces, in the order of the walk.
fn walk(octets: &[u8]) -> Result<Vec<(u8, Vec<u8>)>, Malformed> {
    let message = Message::parse(octets)?;
    message
        .options()
        .map(|piece| piece.map(|piece| (piece.code, piece.data.to_vec())))
        .collect()
}

/// All options, put together.
fn joined(octets: &[u8]) -> BTreeMap<u8, Vec<u8>> {
    let mut options: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for (code, data) in walk(octets).unwrap() {
        options.entry(code).or_default().extend(data);
    }
    options
}

#[test]
fn real_clients_are_understood() {
    let table: [(&str, MessageType, &[u8]); 7] = [
        (DHCLIENT_DISCOVER, MessageType::DISCOVER, &[53, 12, 55]),
        (
            DHCPCD_DISCOVER,
            MessageType::DISCOVER,
            &[53, 61, 80, 57, 60, 145, 55],
        ),
        (NETWORKD_DISCOVER, MessageType::DISCOVER, &[53, 61, 55, 57]),
        (
            UDHCPC_DISCOVER,
            MessageType::DISCOVER,
            &[53, 61, 57, 55, 60],
        ),
        (DHCRELAY_DISCOVER, MessageType::DISCOVER, &[53, 12, 55, 82]),
        (
            TWO_RELAYS_DISCOVER,
            MessageType::DISCOVER,
            &[53, 12, 55, 82, 82],
        ),
        (
            DHCPCD_INFORM,
            MessageType::INFORM,
            &[53, 61, 57, 60, 145, 55],
        ),
    ];
    for (hex, message_type, codes) in table {
        let octets = octets(hex);
        let message = Message::parse(&octets).unwrap();
        assert_eq!(message.header.op, BOOTREQUEST);
        assert_eq!((message.header.htype, message.header.hlen), (1, 6));
        assert_eq!(message.message_type(), Ok(Some(message_type)));
        let mut found: Vec<u8> = walk(&octets)
            .unwrap()
            .into_iter()
            .map(|(code, _)| code)
            .collect();
        let mut expected = codes.to_vec();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_relayed_message_names_its_relay_agent_and_its_circuit() {
    let octets = octets(DHCRELAY_DISCOVER);
    let message = Message::parse(&octets).unwrap();
    assert!(!message.header.giaddr().is_unspecified());
    let agent = joined(&octets).remove(&code::RELAY_AGENT).unwrap();
    let sub_options: Vec<_> = SubOptions::new(&agent).map(|sub| sub.code).collect();
    assert_eq!(sub_options, [1]);
}

#[test]
fn dhcproto_reads_the_real_clients_as_we_do() {
    for hex in [
        DHCLIENT_DISCOVER,
        DHCPCD_DISCOVER,
        NETWORKD_DISCOVER,
        DHCRELAY_DISCOVER,
    ] {
        let octets = octets(hex);
        let theirs = dhcproto::v4::Message::from_bytes(&octets).unwrap();
        let ours = Message::parse(&octets).unwrap();
        assert_eq!(theirs.xid(), ours.header.xid.get());
        assert_eq!(theirs.giaddr(), ours.header.giaddr());
        assert_eq!(
            theirs.chaddr(),
            &ours.header.chaddr[..usize::from(ours.header.hlen)]
        );
        let codes: HashSet<u8> = theirs.opts().iter().map(|(&code, _)| code.into()).collect();
        assert_eq!(codes, joined(&octets).into_keys().collect());
    }
}

#[test]
fn what_is_no_dhcp_is_refused_with_its_reason() {
    let complete = message(&[], &[], &[]);
    for len in 0..240 {
        let refused = Message::parse(&complete[..len]).unwrap_err();
        assert_eq!(
            refused,
            Malformed::TooShort {
                got: len,
                need: 240
            }
        );
    }
    let mut bootp = complete;
    bootp[236] = 0;
    assert_eq!(
        Message::parse(&bootp).unwrap_err(),
        Malformed::BadCookie { got: 0x0082_5363 }
    );
}

#[test]
fn an_option_that_runs_out_of_its_region_ends_the_walk_with_an_error() {
    let cases: [(&[u8], Malformed); 3] = [
        (
            &[61],
            Malformed::Truncated {
                code: 61,
                got: 0,
                need: 1,
            },
        ),
        (
            &[61, 1],
            Malformed::Truncated {
                code: 61,
                got: 1,
                need: 2,
            },
        ),
        (
            &[53, 1, 1, 61, 7, 1, 2],
            Malformed::Truncated {
                code: 61,
                got: 3,
                need: 8,
            },
        ),
    ];
    for (options, expected) in cases {
        let octets = message(options, &[], &[]);
        assert_eq!(walk(&octets), Err(expected));
        let mut options = Message::parse(&octets).unwrap().options();
        while options.next().is_some_and(|piece| piece.is_ok()) {}
        assert_eq!(options.next(), None, "the walk is over after an error");
    }
}

#[test]
fn a_message_type_has_one_octet() {
    for options in [&[53, 0][..], &[53, 2, 1, 1]] {
        let octets = message(options, &[], &[]);
        let refused = Message::parse(&octets).unwrap().message_type();
        assert_eq!(
            refused,
            Err(Malformed::BadLength {
                code: 53,
                got: options.len() - 2
            })
        );
    }
    let bootp = message(&[255], &[], &[]);
    assert_eq!(Message::parse(&bootp).unwrap().message_type(), Ok(None));
}

#[test]
fn padding_and_a_missing_end_are_understood_and_nothing_after_end_is() {
    let mut options = vec![0; 1000];
    options.extend([53, 1, 3]);
    assert_eq!(walk(&message(&options, &[], &[])), Ok(vec![(53, vec![3])]));
    options.extend([255, 61, 200, 1]);
    assert_eq!(walk(&message(&options, &[], &[])), Ok(vec![(53, vec![3])]));
}

// RFC 3396 section 5 [region-order], RFC 2131 section 4.1 [fields-in-order]
// RFC 2132 section 9.3 [overload]
#[test]
fn overloaded_fields_are_read_after_the_options_file_first() {
    let file = [60, 1, b'f', 255];
    let sname = [60, 1, b's', 255];
    let cases: [(u8, &[u8]); 6] = [
        (0, b"o"),
        (1, b"of"),
        (2, b"os"),
        (3, b"ofs"),
        (4, b"o"),
        (255, b"o"),
    ];
    for (overload, expected) in cases {
        let octets = message(&[60, 1, b'o', 52, 1, overload, 255], &file, &sname);
        assert_eq!(joined(&octets)[&60], expected, "overload {overload}");
    }
}

// CVE-2014-6060: dhcpcd went round for ever. CVE-2019-11579: and read beyond the option.
#[test]
fn overload_of_a_wrong_length_or_inside_file_and_sname_counts_for_nothing() {
    let nested = [52, 1, 3, 60, 1, b'x', 255];
    let octets = message(&[52, 1, 1, 255], &nested, &nested);
    assert_eq!(
        joined(&octets)[&60],
        b"x",
        "`sname` was not named by the options field"
    );
    for wrong in [&[52, 0, 255][..], &[52, 2, 3, 3, 255]] {
        assert!(!joined(&message(wrong, &nested, &nested)).contains_key(&60));
    }
    let twice = message(&[52, 1, 1, 52, 1, 3, 255], &nested, &nested);
    assert_eq!(joined(&twice)[&60], b"x", "the first one counts");
}

#[test]
fn sub_options_stop_at_the_first_that_runs_out() {
    let whole = |data: &[u8]| {
        SubOptions::new(data)
            .map(|sub| sub.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(whole(&[1, 2, 0xaa, 0xbb, 0, 0, 255, 1, 9]), [1, 0, 255]);
    assert_eq!(whole(&[1, 2, 0xaa, 0xbb, 5, 4, 10, 0, 0]), [1]);
    assert_eq!(whole(&[1]), []);
}

// RFC 2132 section 9.10 [max-message-size]
// CVE-2007-5365, CVE-2007-0062: buffers that were made as small, or options as long, as option 57 said.
#[test]
fn no_option_57_makes_a_reply_shorter_than_576_or_longer_than_a_frame() {
    let cases = [
        (None, 548),
        (Some(0), 548),
        (Some(575), 548),
        (Some(576), 548),
    ];
    for (asked, limit) in cases {
        assert_eq!(payload_limit(asked), limit);
    }
    assert_eq!(payload_limit(Some(577)), 549);
    assert_eq!(payload_limit(Some(1500)), 1472);
    assert_eq!(payload_limit(Some(u16::MAX)), 1472);
}

// RFC 2132 section 3.2 [pad-after-end], RFC 2131 section 4.1 [end-option].
#[test]
fn a_built_message_is_bootp_sized_and_forgets_what_lay_there() {
    let mut buffer = [0xee; 600];
    let mut builder = Builder::new(&mut buffer, 548, &Header::new(BOOTREPLY)).unwrap();
    builder.push(code::MESSAGE_TYPE, &[5]).unwrap();
    let promised = builder.emitted_len();
    assert_eq!(builder.finish(), promised);
    assert_eq!(promised, PAYLOAD_SIZE_MIN);
    assert_eq!(buffer[236..244], [0x63, 0x82, 0x53, 0x63, 53, 1, 5, 255]);
    assert!(buffer[244..promised].iter().all(|&octet| octet == 0));
    assert!(buffer[1..236].iter().all(|&octet| octet == 0));
}

#[test]
fn a_buffer_or_limit_below_bootp_is_refused() {
    let header = Header::new(BOOTREPLY);
    assert!(Builder::new(&mut [0; 299], 548, &header).is_err());
    assert!(Builder::new(&mut [0; 548], 299, &header).is_err());
    assert!(Builder::new(&mut [], 0, &header).is_err());
}

// RFC 3396 section 6 [split-long-options] and [pieces-are-options]
#[test]
fn long_options_are_split_and_come_back_whole() {
    let long: Vec<u8> = (0..700u32).map(|number| number as u8).collect();
    let mut buffer = [0xee; 1472];
    let mut builder = Builder::new(&mut buffer, 1472, &Header::new(BOOTREPLY)).unwrap();
    builder.push(121, &long).unwrap();
    let len = builder.finish();
    assert_eq!(walk(&buffer[..len]).unwrap().len(), 3);
    assert_eq!(joined(&buffer[..len])[&121], long);
}

// RFC 2131 section 4.1 [region-end]
// RFC 2131 section 4.1 [option-in-one-region], RFC 3396 section 5 [no-crossing].
#[test]
fn a_full_options_field_overflows_into_file_and_sname() {
    let mut buffer = [0xee; 548];
    let mut builder = Builder::new(&mut buffer, 548, &Header::new(BOOTREPLY)).unwrap();
    for code in 1..=9 {
        builder.push(code, &[code; 50]).unwrap(); // 5 in the options field, 2 in `file`, 1 in `sname`
        if code == 8 {
            break;
        }
    }
    assert_eq!(builder.push(9, &[9; 50]), Err(NoRoom { need: 52 }));
    builder.push(10, &[10; 40]).unwrap();
    let len = builder.finish();
    let message = Message::parse(&buffer[..len]).unwrap();
    let regions: Vec<_> = message
        .options()
        .map(|piece| piece.unwrap().region)
        .collect();
    assert_eq!(
        regions
            .iter()
            .filter(|&&region| region == Region::File)
            .count(),
        2
    );
    assert_eq!(
        regions
            .iter()
            .filter(|&&region| region == Region::Sname)
            .count(),
        1
    );
    assert_eq!(message.header.file[104..], [&[255][..], &[0; 23]].concat());
    assert!(message.header.sname[53..].iter().all(|&octet| octet == 0));
    for code in (1..=8).chain([10]) {
        assert_eq!(joined(&buffer[..len])[&code][0], code);
    }
}

#[test]
fn a_boot_file_name_is_not_overwritten_by_options() {
    let mut header = Header::new(BOOTREPLY);
    header.file[..9].copy_from_slice(b"pxelinux0");
    let mut buffer = [0; 548];
    let mut builder = Builder::new(&mut buffer, 548, &header).unwrap();
    while builder.push(224, &[7; 30]).is_ok() {}
    let len = builder.finish();
    let message = Message::parse(&buffer[..len]).unwrap();
    assert_eq!(message.header.file, header.file);
    let regions: HashSet<_> = message
        .options()
        .map(|piece| piece.unwrap().region)
        .collect();
    assert_eq!(regions, HashSet::from([Region::Options, Region::Sname]));
}

// RFC 3046 section 2.2 [relay-option-last]
#[test]
fn the_relay_agents_option_is_the_last_in_the_options_field_or_left_out() {
    let agent = [&[82, 60][..], &[0xab; 60]].concat();
    let mut buffer = [0xee; 548];
    let mut builder = Builder::new(&mut buffer, 548, &Header::new(BOOTREPLY)).unwrap();
    builder.push(code::MESSAGE_TYPE, &[5]).unwrap();
    builder.reserve_last(&agent).unwrap();
    while builder.push(224, &[7; 30]).is_ok() {}
    let len = builder.finish();
    assert!(len <= 548);
    let end = 240
        + buffer[240..len]
            .windows(62)
            .position(|window| window == agent)
            .unwrap()
        + 62;
    assert_eq!(buffer[end], 255);
    assert!(buffer[end + 1..len].iter().all(|&octet| octet == 0));

    let mut full = [0; 300];
    let mut builder = Builder::new(&mut full, 300, &Header::new(BOOTREPLY)).unwrap();
    assert_eq!(builder.reserve_last(&agent), Err(NoRoom { need: 62 }));
    let len = builder.finish();
    assert!(!joined(&full[..len]).contains_key(&82));
}

/// Any header: 240 octets with our cookie and no options in `file` and `sname`.
fn any_header() -> impl Strategy<Value = Header> {
    (
        prop::array::uniform32(any::<u8>()),
        prop::array::uniform12(any::<u8>()),
    )
        .prop_map(|(first, second)| {
            let mut header = Header::new(first[0]);
            (header.htype, header.hlen, header.hops) = (first[1], first[2], first[3]);
            header
                .xid
                .set(u32::from_be_bytes([first[4], first[5], first[6], first[7]]));
            header.secs.set(u16::from_be_bytes([first[8], first[9]]));
            header.flags.set(u16::from_be_bytes([first[10], first[11]]));
            header.ciaddr = [first[12], first[13], first[14], first[15]];
            header.chaddr.copy_from_slice(&first[16..]);
            header.yiaddr.copy_from_slice(&second[..4]);
            header.siaddr.copy_from_slice(&second[4..8]);
            header.giaddr.copy_from_slice(&second[8..]);
            header
        })
}

/// Options with distinct codes that neither we nor dhcproto give a meaning.
fn any_options() -> impl Strategy<Value = BTreeMap<u8, Vec<u8>>> {
    prop::collection::btree_map(
        224u8..255,
        prop::collection::vec(any::<u8>(), 0..400),
        0..12,
    )
}

/// Builds a message of those options that fit; the message and what it holds.
fn build(
    header: &Header,
    options: &BTreeMap<u8, Vec<u8>>,
    limit: usize,
) -> (Vec<u8>, BTreeMap<u8, Vec<u8>>) {
    let mut buffer = [0xee; 1472];
    let mut builder = Builder::new(&mut buffer, limit, header).unwrap();
    let mut held = BTreeMap::new();
    for (&code, data) in options {
        if builder.push(code, data).is_ok() {
            held.insert(code, data.clone());
        }
    }
    let promised = builder.emitted_len();
    let len = builder.finish();
    assert_eq!(len, promised);
    assert!(len <= limit);
    (buffer[..len].to_vec(), held)
}

proptest! {
    #[test]
    fn any_octets_are_parsed_without_panic(octets in prop::collection::vec(any::<u8>(), 0..700)) {
        let _ = walk(&octets);
        let _ = SubOptions::new(&octets).count();
    }

    #[test]
    fn any_options_are_walked_without_panic_and_in_bounds(
        options in prop::collection::vec(any::<u8>(), 0..400),
        file in prop::collection::vec(any::<u8>(), 128),
        sname in prop::collection::vec(any::<u8>(), 64),
        overload in 0u8..5,
    ) {
        let all = [&[52, 1, overload][..], &options].concat();
        let octets = message(&all, &file, &sname);
        let message = Message::parse(&octets).unwrap();
        let mut walked = 0;
        for piece in message.options().flatten() {
            walked += piece.data.len() + 2;
        }
        prop_assert!(walked <= all.len() + file.len() + sname.len());
    }

    #[test]
    fn a_built_message_says_what_was_put_in(
        header in any_header(), options in any_options(), limit in 300usize..1473,
    ) {
        let (octets, held) = build(&header, &options, limit);
        let message = Message::parse(&octets).unwrap();
        prop_assert_eq!(message.header.xid.get(), header.xid.get());
        prop_assert_eq!(message.header.chaddr, header.chaddr);
        prop_assert_eq!(message.header.giaddr(), Ipv4Addr::from(header.giaddr));
        let mut found = joined(&octets);
        found.remove(&code::OVERLOAD);
        prop_assert_eq!(&found, &held);

        // Written once more, it says the same.
        let (again, held_again) = build(&header, &found, limit);
        prop_assert_eq!(held_again, held);
        prop_assert_eq!(again, octets);
    }

    #[test]
    fn dhcproto_reads_what_we_write(header in any_header(), options in any_options()) {
        let short = options.into_iter().map(|(code, mut data)| { data.truncate(60); (code, data) });
        let mut header = header;
        (header.op, header.hlen) = (BOOTREPLY, 6);
        let (octets, held) = build(&header, &short.collect(), 1472);
        let theirs = dhcproto::v4::Message::from_bytes(&octets).unwrap();
        prop_assert_eq!(theirs.xid(), header.xid.get());
        prop_assert_eq!(theirs.yiaddr(), header.yiaddr());
        prop_assert_eq!(theirs.siaddr(), header.siaddr());
        for (code, data) in held {
            let found = theirs.opts().get(dhcproto::v4::OptionCode::Unknown(code));
            let Some(dhcproto::v4::DhcpOption::Unknown(found)) = found else {
                return Err(TestCaseError::fail(format!("option {code} is missing")));
            };
            prop_assert_eq!(found.data(), &data[..]);
        }
    }

    #[test]
    fn we_read_what_dhcproto_writes(xid: u32, mac: [u8; 6], requested: u32, list: Vec<u8>) {
        use dhcproto::v4::{self, DhcpOption, OptionCode};
        let list: Vec<u8> = list.into_iter().filter(|&code| code != 0 && code != 255).take(255).collect();
        let mut theirs = v4::Message::default();
        theirs.set_xid(xid).set_chaddr(&mac);
        let options = theirs.opts_mut();
        options.insert(DhcpOption::MessageType(v4::MessageType::Request));
        options.insert(DhcpOption::RequestedIpAddress(requested.into()));
        options.insert(DhcpOption::ParameterRequestList(
            list.iter().map(|&code| OptionCode::from(code)).collect(),
        ));
        let octets = theirs.to_vec().unwrap();
        let ours = Message::parse(&octets).unwrap();
        prop_assert_eq!(ours.header.xid.get(), xid);
        prop_assert_eq!(&ours.header.chaddr[..6], &mac);
        prop_assert_eq!(ours.message_type(), Ok(Some(MessageType::REQUEST)));
        let options = joined(&octets);
        prop_assert_eq!(&options[&50], &requested.to_be_bytes());
        prop_assert_eq!(options.get(&55).cloned().unwrap_or_default(), list);
    }

    #[test]
    fn a_split_option_is_put_together_as_it_was(
        data in prop::collection::vec(any::<u8>(), 0..255), cuts in prop::collection::vec(0usize..255, 0..20),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(data.len())).collect();
        cuts.sort();
        cuts.push(data.len());
        let (mut options, mut from) = (Vec::new(), 0);
        for cut in cuts {
            options.extend([61, (cut - from) as u8]);
            options.extend(&data[from..cut]);
            from = cut;
        }
        let octets = message(&options, &[], &[]);
        let mut client = Octets::<255>::EMPTY;
        for piece in Message::parse(&octets).unwrap().options() {
            client.push_slice(piece.unwrap().data).unwrap();
        }
        prop_assert_eq!(client.as_slice(), &data[..]);
    }
}
