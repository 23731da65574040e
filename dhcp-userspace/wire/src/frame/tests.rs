use super::header::{Extension, Ipv6};
use super::*;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;
use zerocopy::IntoBytes;

fn envelope_v4() -> Envelope {
    Envelope {
        source_mac: MacAddress([2, 0, 0, 0, 0, 1]),
        destination_mac: MacAddress::BROADCAST,
        tags: Tags::default(),
        addresses: Addresses::V4 {
            source: Ipv4Addr::UNSPECIFIED,
            destination: Ipv4Addr::BROADCAST,
        },
        source_port: 68,
        destination_port: 67,
    }
}

fn envelope_v6() -> Envelope {
    Envelope {
        addresses: Addresses::V6 {
            source: "fe80::1".parse().unwrap(),
            destination: "ff02::1:2".parse().unwrap(),
        },
        source_port: 546,
        destination_port: 547,
        ..envelope_v4()
    }
}

/// A frame around `payload`, as `emit` makes it.
fn frame_of(envelope: &Envelope, payload: &[u8]) -> Vec<u8> {
    let start = envelope.header_len();
    let mut frame = vec![0xaa; FRAME_SIZE_MAX];
    frame[start..start + payload.len()].copy_from_slice(payload);
    let len = envelope.emit(&mut frame, payload.len()).unwrap();
    frame.truncate(len);
    frame
}

fn any_tags() -> impl Strategy<Value = Tags> {
    let tpid = prop_oneof![Just(header::TPID_8021Q), Just(header::TPID_8021AD)];
    prop::collection::vec((tpid, any::<u16>()), 0..=2).prop_map(|tags| {
        let mut all = Tags {
            count: tags.len() as u8,
            ..Tags::default()
        };
        for (place, tag) in all.tags.iter_mut().zip(tags) {
            *place = tag;
        }
        all
    })
}

fn any_addresses() -> impl Strategy<Value = Addresses> {
    let v4 = any::<(Ipv4Addr, Ipv4Addr)>();
    let v6 = any::<(Ipv6Addr, Ipv6Addr)>();
    prop_oneof![
        v4.prop_map(|(source, destination)| Addresses::V4 {
            source,
            destination
        }),
        v6.prop_map(|(source, destination)| Addresses::V6 {
            source,
            destination
        }),
    ]
}

fn any_envelope() -> impl Strategy<Value = Envelope> {
    let macs = any::<([u8; 6], [u8; 6])>();
    (macs, any_tags(), any_addresses(), any::<(u16, u16)>()).prop_map(
        |((source, destination), tags, addresses, (source_port, destination_port))| Envelope {
            source_mac: MacAddress(source),
            destination_mac: MacAddress(destination),
            tags,
            addresses,
            source_port,
            destination_port,
        },
    )
}

proptest! {
    #[test]
    fn any_octets_parse_without_panic(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Datagram::parse(&octets);
    }

    #[test]
    fn damaged_frames_parse_without_panic(
        envelope in any_envelope(),
        payload in prop::collection::vec(any::<u8>(), 0..400),
        damage in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..6),
        keep: prop::sample::Index,
    ) {
        let mut frame = frame_of(&envelope, &payload);
        for (place, octet) in damage {
            let at = place.index(frame.len().min(90));
            frame[at] = octet;
        }
        frame.truncate(keep.index(frame.len() + 1));
        let _ = Datagram::parse(&frame);
    }

    #[test]
    fn what_is_emitted_parses_to_the_same(
        envelope in any_envelope(),
        payload in prop::collection::vec(any::<u8>(), 0..1700),
    ) {
        let frame = frame_of(&envelope, &payload);
        let datagram = Datagram::parse(&frame).unwrap();
        prop_assert_eq!(datagram.envelope, envelope);
        prop_assert_eq!(datagram.payload, &payload[..]);
        prop_assert_eq!(frame.len(), (envelope.header_len() + payload.len()).max(60));
        let padding = &frame[(envelope.header_len() + payload.len()).min(frame.len())..];
        prop_assert!(padding.iter().all(|octet| *octet == 0));
    }

    #[test]
    fn a_flipped_bit_of_the_payload_is_noticed(
        envelope in any_envelope(),
        payload in prop::collection::vec(any::<u8>(), 1..300),
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let mut frame = frame_of(&envelope, &payload);
        let at = envelope.header_len() + at.index(payload.len());
        frame[at] ^= 1 << bit;
        prop_assert_eq!(Datagram::parse(&frame).unwrap_err(), Malformed::Checksum);
    }

    #[test]
    fn a_frame_that_does_not_fit_is_refused(
        envelope in any_envelope(),
        len in 0..3000usize,
        room in 0..3000usize,
    ) {
        let need = (envelope.header_len() + len).max(60);
        let mut frame = vec![0; room];
        let emitted = envelope.emit(&mut frame, len);
        let expected = if need <= room { Ok(need) } else { Err(NoRoom { got: room, need }) };
        prop_assert_eq!(emitted, expected);
    }
}

#[test]
fn a_payload_beyond_the_length_fields_is_refused() {
    let mut frame = vec![0; 70_000];
    for (len, fits) in [(65_507, true), (65_508, false), (65_536, false)] {
        assert_eq!(envelope_v4().emit(&mut frame, len).is_ok(), fits, "{len}");
    }
}

/// Where the UDP checksum stands in an untagged frame.
fn checksum_at(envelope: &Envelope) -> usize {
    envelope.header_len() - 2
}

#[test]
fn a_checksum_that_the_sender_left_to_hardware_is_accepted() {
    for envelope in [envelope_v4(), envelope_v6()] {
        let mut frame = frame_of(&envelope, &[7; 300]);
        let pseudo = match envelope.addresses {
            Addresses::V4 {
                source,
                destination,
            } => Sum::pseudo_v4(source, destination, 308),
            Addresses::V6 {
                source,
                destination,
            } => Sum::pseudo_v6(source, destination, 308),
        };
        let at = checksum_at(&envelope);
        frame[at..at + 2].copy_from_slice(&pseudo.fold().to_be_bytes());
        assert!(Datagram::parse(&frame).is_ok());
        frame[at + 1] ^= 1;
        assert_eq!(Datagram::parse(&frame).unwrap_err(), Malformed::Checksum);
    }
}

#[test]
fn no_checksum_is_accepted_in_ipv4_and_refused_in_ipv6() {
    let mut frame = frame_of(&envelope_v4(), &[7; 300]);
    frame[checksum_at(&envelope_v4())..][..2].fill(0);
    assert!(Datagram::parse(&frame).is_ok());
    let mut frame = frame_of(&envelope_v6(), &[7; 300]);
    frame[checksum_at(&envelope_v6())..][..2].fill(0);
    assert_eq!(Datagram::parse(&frame).unwrap_err(), Malformed::Checksum);
}

#[test]
fn the_ipv4_header_checksum_is_verified() {
    let mut frame = frame_of(&envelope_v4(), &[7; 300]);
    frame[14 + 8] = 1; // time to live
    assert_eq!(Datagram::parse(&frame).unwrap_err(), Malformed::Checksum);
}

/// Makes an IPv4 header's checksum right again after a test has changed the header.
fn repair_ipv4(frame: &mut [u8], header_len: usize) {
    frame[14 + 10..14 + 12].fill(0);
    let checksum = Sum::ZERO.octets(&frame[14..14 + header_len]).checksum();
    frame[14 + 10..14 + 12].copy_from_slice(&checksum.to_be_bytes());
}

#[test]
fn ipv4_options_are_skipped() {
    let mut frame = frame_of(&envelope_v4(), &[7; 300]);
    for _ in 0..40 {
        frame.insert(14 + 20, 1); // no operation
    }
    frame[14] = 0x4f;
    let total_len = (frame.len() - 14) as u16;
    frame[14 + 2..14 + 4].copy_from_slice(&total_len.to_be_bytes());
    repair_ipv4(&mut frame, 60);
    let datagram = Datagram::parse(&frame).unwrap();
    assert_eq!(datagram.envelope, envelope_v4());
    assert_eq!(datagram.payload, [7; 300]);
}

#[test]
fn ipv4_lies_are_malformed() {
    let lies: [(&str, usize, &[u8], Malformed); 8] = [
        (
            "version",
            0,
            &[0x65],
            Malformed::IpHeader { first_octet: 0x65 },
        ),
        (
            "header length",
            0,
            &[0x44],
            Malformed::IpHeader { first_octet: 0x44 },
        ),
        (
            "total length beyond the frame",
            2,
            &[2, 0],
            Malformed::Length {
                said: 512,
                there: 328,
            },
        ),
        (
            "total length below the header",
            2,
            &[0, 19],
            Malformed::Length {
                said: 20,
                there: 19,
            },
        ),
        ("more fragments", 6, &[0x20, 0], Malformed::Fragment),
        ("last fragment", 6, &[0x00, 1], Malformed::Fragment),
        ("protocol", 9, &[6], Malformed::NotUdp { protocol: 6 }),
        (
            "total length below UDP's",
            2,
            &[0, 100],
            Malformed::Length {
                said: 308,
                there: 80,
            },
        ),
    ];
    for (what, at, octets, expected) in lies {
        let mut frame = frame_of(&envelope_v4(), &[7; 300]);
        frame[14 + at..14 + at + octets.len()].copy_from_slice(octets);
        repair_ipv4(&mut frame, 20);
        assert_eq!(Datagram::parse(&frame).unwrap_err(), expected, "{what}");
    }
}

#[test]
fn udp_lengths_are_checked() {
    for (len, expected) in [
        (7u16, Malformed::Length { said: 7, there: 8 }),
        (0, Malformed::Length { said: 0, there: 8 }),
        (
            309,
            Malformed::Length {
                said: 309,
                there: 308,
            },
        ),
    ] {
        let mut frame = frame_of(&envelope_v4(), &[7; 300]);
        frame[14 + 24..14 + 26].copy_from_slice(&len.to_be_bytes());
        assert_eq!(Datagram::parse(&frame).unwrap_err(), expected, "{len}");
    }
}

/// An IPv6 frame with extension headers, each given as its number and its octets from the second on.
fn with_extensions(extensions: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let plain = frame_of(&envelope_v6(), &[7; 300]);
    let (head, segment) = plain.split_at(14 + size_of::<Ipv6>());
    let mut frame = head.to_vec();
    let numbers: Vec<u8> = extensions
        .iter()
        .map(|(number, _)| *number)
        .chain([header::PROTOCOL_UDP])
        .collect();
    frame[14 + 6] = numbers[0];
    for ((_, octets), next) in extensions.iter().zip(&numbers[1..]) {
        frame.push(*next);
        frame.extend(octets);
    }
    frame.extend(segment);
    let payload_len = (frame.len() - 14 - size_of::<Ipv6>()) as u16;
    frame[14 + 4..14 + 6].copy_from_slice(&payload_len.to_be_bytes());
    frame
}

/// An extension header with `words` groups of eight octets after the first.
fn extension(words: u8, segments_left: u8) -> Vec<u8> {
    let extension = Extension {
        next_header: 0,
        len_words: words,
        routing_type: 4,
        segments_left,
        rest: [0; 4],
    };
    let mut octets = extension.as_bytes()[1..].to_vec();
    octets.extend(vec![0; usize::from(words) * 8]);
    octets
}

#[test]
fn ipv6_extension_headers_in_front_of_udp_are_skipped() {
    let frame = with_extensions(&[
        (header::NEXT_HOP_BY_HOP, extension(0, 0)),
        (header::NEXT_DESTINATION, extension(3, 9)),
        (header::NEXT_ROUTING, extension(2, 0)),
        (header::NEXT_DESTINATION, extension(0, 0)),
    ]);
    let datagram = Datagram::parse(&frame).unwrap();
    assert_eq!(datagram.envelope, envelope_v6());
    assert_eq!(datagram.payload, [7; 300]);
}

#[test]
fn ipv6_headers_that_are_not_ours_are_malformed() {
    let destination = || (header::NEXT_DESTINATION, extension(0, 0));
    let cases = [
        (
            vec![(header::NEXT_FRAGMENT, extension(0, 0))],
            Malformed::Fragment,
        ),
        (
            vec![(header::NEXT_ROUTING, extension(2, 1))],
            Malformed::Routed { segments_left: 1 },
        ),
        (
            vec![destination(), (header::NEXT_HOP_BY_HOP, extension(0, 0))],
            Malformed::NotUdp { protocol: 0 },
        ),
        (
            vec![(58, extension(0, 0))],
            Malformed::NotUdp { protocol: 58 },
        ),
        (
            vec![destination(); 9],
            Malformed::TooManyExtensions { bound: 8 },
        ),
    ];
    for (extensions, expected) in cases {
        let frame = with_extensions(&extensions);
        assert_eq!(
            Datagram::parse(&frame).unwrap_err(),
            expected,
            "{extensions:?}"
        );
    }
    assert!(Datagram::parse(&with_extensions(&vec![destination(); 8])).is_ok());
}

#[test]
fn ipv6_lies_are_malformed() {
    let mut frame = frame_of(&envelope_v6(), &[7; 300]);
    frame[14] = 0x45;
    assert_eq!(
        Datagram::parse(&frame).unwrap_err(),
        Malformed::IpHeader { first_octet: 0x45 }
    );
    for (payload_len, expected) in [
        (
            309u16,
            Malformed::Length {
                said: 309,
                there: 308,
            },
        ),
        (
            100,
            Malformed::Length {
                said: 308,
                there: 100,
            },
        ),
        (0, Malformed::TooShort { got: 0, need: 8 }),
    ] {
        let mut frame = frame_of(&envelope_v6(), &[7; 300]);
        frame[14 + 4..14 + 6].copy_from_slice(&payload_len.to_be_bytes());
        assert_eq!(
            Datagram::parse(&frame).unwrap_err(),
            expected,
            "{payload_len}"
        );
    }
    let frame = with_extensions(&[(header::NEXT_DESTINATION, vec![255, 0, 0, 0, 0, 0, 0])]);
    assert_eq!(
        Datagram::parse(&frame).unwrap_err(),
        Malformed::Length {
            said: 2048,
            there: 316
        }
    );
}

#[test]
fn a_third_tag_is_malformed() {
    let mut frame = frame_of(&envelope_v4(), &[7; 300]);
    for tags in 0..=3 {
        let expected = (tags == 3).then_some(Malformed::TooManyTags { bound: 2 });
        assert_eq!(Datagram::parse(&frame).err(), expected, "{tags} tags");
        frame.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
    }
}

#[test]
fn every_cut_of_a_frame_is_malformed() {
    for envelope in [envelope_v4(), envelope_v6()] {
        let frame = frame_of(&envelope, &[7; 300]);
        for len in 0..frame.len() {
            assert!(Datagram::parse(&frame[..len]).is_err(), "{len}");
        }
    }
}

#[test]
fn frames_of_other_protocols_are_named() {
    let mut arp = vec![0; 60];
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    assert_eq!(
        Datagram::parse(&arp).unwrap_err(),
        Malformed::EtherType { got: 0x0806 }
    );
}
