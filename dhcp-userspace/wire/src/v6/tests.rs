//! What holds for all octets, what real clients and relays sent, and what `dhcproto` reads.

use super::*;
use crate::id::{HardwareAddress, Iaid};
use core::net::Ipv6Addr;
use dhcproto::{Decodable, Decoder};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// A message as its author means it: the owned counterpart of [`Packet`] in these tests.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Repr {
    relays: Vec<RelayRepr>,
    msg_type: u8,
    transaction_id: [u8; 3],
    options: Vec<OptionRepr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct RelayRepr {
    header: RelayHeader,
    /// Without the Relay Message option.
    options: Vec<OptionRepr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum OptionRepr {
    Ia {
        code: u16,
        iaid: u32,
        t1: u32,
        t2: u32,
        options: Vec<OptionRepr>,
    },
    Address {
        address: Ipv6Addr,
        preferred: u32,
        valid: u32,
    },
    Prefix {
        prefix: Ipv6Addr,
        prefix_len: u8,
        preferred: u32,
        valid: u32,
    },
    Status {
        code: u16,
        text: std::string::String,
    },
    Other {
        code: u16,
        data: Vec<u8>,
    },
}

impl Repr {
    fn emit(&self, octets: &mut [u8]) -> Result<usize, NoRoom> {
        let mut builder = Builder::new(octets);
        let mut marks = Vec::new();
        for relay in &self.relays {
            builder.relay(&relay.header)?;
            relay
                .options
                .iter()
                .try_for_each(|option| option.emit(&mut builder))?;
            marks.push(builder.begin(OptionCode::RELAY_MESSAGE)?);
        }
        let kind = MessageType::of(self.msg_type).unwrap();
        builder.message(kind, self.transaction_id)?;
        self.options
            .iter()
            .try_for_each(|option| option.emit(&mut builder))?;
        marks
            .into_iter()
            .rev()
            .try_for_each(|mark| builder.end(mark))?;
        Ok(builder.len())
    }

    fn of(packet: &Packet<'_>) -> Result<Self, Malformed> {
        let relays = packet.relays.outermost_first().map(|relay| {
            let options = options_of(&relay.options)?.into_iter();
            let is_inner = |option: &OptionRepr| {
                matches!(
                    option,
                    OptionRepr::Other {
                        code: OptionCode::RELAY_MESSAGE,
                        ..
                    }
                )
            };
            Ok(RelayRepr {
                header: *relay.header,
                options: options.filter(|option| !is_inner(option)).collect(),
            })
        });
        Ok(Self {
            relays: relays.collect::<Result<_, Malformed>>()?,
            msg_type: packet.message.header.msg_type,
            transaction_id: packet.message.header.transaction_id,
            options: options_of(&packet.message.options)?,
        })
    }
}

fn options_of(options: &Options<'_>) -> Result<Vec<OptionRepr>, Malformed> {
    options.iter().map(OptionRepr::of).collect()
}

impl OptionRepr {
    fn emit(&self, builder: &mut Builder<'_>) -> Result<(), NoRoom> {
        match self {
            Self::Ia {
                code,
                iaid,
                t1,
                t2,
                options,
            } => builder.ia(*code, Iaid(*iaid), *t1, *t2, |inside| {
                options.iter().try_for_each(|option| option.emit(inside))
            }),
            Self::Address {
                address,
                preferred,
                valid,
            } => builder.ia_address(*address, *preferred, *valid),
            Self::Prefix {
                prefix,
                prefix_len,
                preferred,
                valid,
            } => builder.ia_prefix(*prefix, *prefix_len, *preferred, *valid),
            Self::Status { code, text } => builder.status(*code, text),
            Self::Other { code, data } => builder.option(*code, data),
        }
    }

    /// What has options where this test does not expect any is kept as octets.
    fn of(raw: RawOption<'_>) -> Result<Self, Malformed> {
        let other = Self::Other {
            code: raw.code,
            data: raw.data.into(),
        };
        Ok(match raw.code {
            OptionCode::IA_NA | OptionCode::IA_PD => {
                let Ia {
                    iaid,
                    t1,
                    t2,
                    options,
                } = Ia::parse(raw.code, raw.data)?;
                let options = options_of(&options)?;
                Self::Ia {
                    code: raw.code,
                    iaid: iaid.0,
                    t1,
                    t2,
                    options,
                }
            }
            OptionCode::IA_ADDRESS => {
                let IaAddress {
                    address,
                    preferred,
                    valid,
                    options,
                } = IaAddress::parse(raw.data)?;
                match options.as_octets() {
                    [] => Self::Address {
                        address,
                        preferred,
                        valid,
                    },
                    _ => other,
                }
            }
            OptionCode::IA_PREFIX => {
                let view = IaPrefix::parse(raw.data)?;
                let IaPrefix {
                    prefix,
                    prefix_len,
                    preferred,
                    valid,
                    options,
                } = view;
                match options.as_octets() {
                    [] => Self::Prefix {
                        prefix,
                        prefix_len,
                        preferred,
                        valid,
                    },
                    _ => other,
                }
            }
            OptionCode::STATUS_CODE if raw.data.len() >= 2 => {
                let code = u16::from_be_bytes([raw.data[0], raw.data[1]]);
                match std::str::from_utf8(&raw.data[2..]) {
                    Ok(text) => Self::Status {
                        code,
                        text: text.into(),
                    },
                    Err(_) => other,
                }
            }
            _ => other,
        })
    }
}

fn lease() -> impl Strategy<Value = OptionRepr> {
    let address =
        (any::<u128>(), any::<u32>(), any::<u32>()).prop_map(|(address, preferred, valid)| {
            OptionRepr::Address {
                address: Ipv6Addr::from_bits(address),
                preferred,
                valid,
            }
        });
    let prefix = (any::<u128>(), 0..=128u8, any::<u32>(), any::<u32>());
    let prefix = prefix.prop_map(|(bits, prefix_len, preferred, valid)| {
        let mask = u128::MAX
            .checked_shl(128 - u32::from(prefix_len))
            .unwrap_or(0);
        OptionRepr::Prefix {
            prefix: Ipv6Addr::from_bits(bits & mask),
            prefix_len,
            preferred,
            valid,
        }
    });
    let status =
        (any::<u16>(), "[a-z ]{0,20}").prop_map(|(code, text)| OptionRepr::Status { code, text });
    prop_oneof![address, prefix, status]
}

fn option() -> impl Strategy<Value = OptionRepr> {
    let code = prop_oneof![Just(OptionCode::IA_NA), Just(OptionCode::IA_PD)];
    let contents = proptest::collection::vec(lease(), 0..5);
    let ia = (code, any::<u32>(), any::<u32>(), any::<u32>(), contents).prop_map(
        |(code, iaid, t1, t2, options)| OptionRepr::Ia {
            code,
            iaid,
            t1,
            t2,
            options,
        },
    );
    let other = (
        100..=u16::MAX,
        proptest::collection::vec(any::<u8>(), 0..40),
    )
        .prop_map(|(code, data)| OptionRepr::Other { code, data });
    let client =
        proptest::collection::vec(any::<u8>(), 3..=130).prop_map(|data| OptionRepr::Other {
            code: OptionCode::CLIENT_ID,
            data,
        });
    prop_oneof![ia, other, client, lease()]
}

fn repr() -> impl Strategy<Value = Repr> {
    let relay = (
        any::<u8>(),
        any::<[u8; 16]>(),
        any::<[u8; 16]>(),
        any::<Option<[u8; 4]>>(),
    );
    let relay = relay.prop_map(
        |(hop_count, link_address, peer_address, interface_id)| RelayRepr {
            header: RelayHeader {
                msg_type: 12,
                hop_count,
                link_address,
                peer_address,
            },
            options: interface_id
                .map(|data| OptionRepr::Other {
                    code: OptionCode::INTERFACE_ID,
                    data: data.into(),
                })
                .into_iter()
                .collect(),
        },
    );
    (
        proptest::collection::vec(relay, 0..=HOP_COUNT_LIMIT),
        1..=11u8,
        any::<[u8; 3]>(),
        proptest::collection::vec(option(), 0..8),
    )
        .prop_map(|(relays, msg_type, transaction_id, options)| Repr {
            relays,
            msg_type,
            transaction_id,
            options,
        })
}

/// Looks at everything that can be looked at.
fn view_all(payload: &[u8]) -> Result<Repr, Malformed> {
    let packet = Packet::parse(payload)?;
    for relay in packet.relays.innermost_first() {
        let _ = (
            relay.interface_id(),
            relay.link_address(),
            relay.peer_address(),
        );
        let _ = relay
            .options
            .find(OptionCode::CLIENT_LINK_LAYER_ADDRESS)
            .map(link_layer_address);
    }
    for raw in packet.message.options.iter() {
        let _ = (duid(raw.data), duid_link_layer(raw.data), ia_ta(raw.data));
        let _ = (option_request(raw.data).count(), rapid_commit(raw.data));
        let _ = (IaAddress::parse(raw.data), IaPrefix::parse(raw.data));
        let _ = Ia::parse(raw.code, raw.data).map(|ia| ia.options.status());
    }
    Repr::of(&packet)
}

proptest! {
    #[test]
    fn any_octets_parse_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = view_all(&octets);
    }

    #[test]
    fn any_damage_to_a_message_parses_without_panic(
        repr in repr(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut octets = vec![0; 8192];
        let len = repr.emit(&mut octets).unwrap();
        octets.truncate(len);
        for (at, octet) in damage {
            *at.get_mut(&mut octets) = octet;
        }
        let _ = view_all(&octets);
        octets.truncate(cut.index(octets.len()));
        let _ = view_all(&octets);
    }

    #[test]
    fn what_is_emitted_is_parsed(repr in repr()) {
        let mut octets = vec![0xa5; 8192];
        let len = repr.emit(&mut octets).unwrap();
        prop_assert_eq!(&repr, &view_all(&octets[..len]).unwrap());
        // One octet less is no room, and never a panic.
        prop_assert_eq!(repr.emit(&mut octets[..len - 1]), Err(NoRoom));
    }

    #[test]
    fn what_is_parsed_is_emitted_the_same(octets in proptest::collection::vec(0..30u8, 0..200)) {
        let parsed = view_all(&octets).ok();
        if let Some(repr) = parsed.filter(|repr| MessageType::of(repr.msg_type).is_some()) {
            let mut again = vec![0; 4096];
            let len = repr.emit(&mut again).unwrap();
            prop_assert_eq!(repr, view_all(&again[..len]).unwrap());
        }
    }

    #[test]
    fn dhcproto_reads_what_we_write(mut repr in repr()) {
        repr.relays.clear();
        repr.options.retain(|option| !matches!(option, OptionRepr::Other { .. }));
        let mut octets = vec![0; 8192];
        let len = repr.emit(&mut octets).unwrap();
        let theirs = dhcproto::v6::Message::decode(&mut Decoder::new(&octets[..len])).unwrap();
        prop_assert_eq!(theirs.xid(), repr.transaction_id);
        prop_assert_eq!(theirs.opts().iter().count(), repr.options.len());
        let ours = |code| repr.options.iter().find_map(move |option| match option {
            OptionRepr::Ia { code: known, iaid, t1, t2, options } if *known == code => {
                Some((*iaid, *t1, *t2, options.len()))
            }
            _ => None,
        });
        let theirs_na = theirs.opts().get(dhcproto::v6::OptionCode::IANA).map(|found| match found {
            dhcproto::v6::DhcpOption::IANA(ia) => (ia.id, ia.t1, ia.t2, ia.opts.iter().count()),
            other => panic!("not an IA_NA: {other:?}"),
        });
        // dhcproto sorts by code and keeps the order of equals.
        prop_assert_eq!(theirs_na, ours(OptionCode::IA_NA));
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// dhcpcd's Solicit for an address and a prefix (capture v6-na+pd-dhcpcd).
const SOLICIT: &str = "0164b702 0001000a0003000102000077aa01 0003000c000000010000000000000000
    0019000c000000020000000000000000 0006000a00170018001f00520053 000800020000
    0010000e00007ed90008636c69656e742d61";

/// dhclient's Solicit for a /60 (capture v6-pd-hint-dhclient).
const PREFIX_HINT: &str = "01c68e3e 0001000a0003000102000077aa01 0006000800170018001f0020
    000800020000 0019002900 77aa0100000e1000001518
    001a001900000000000000003c00000000000000000000000000000000";

/// A dibbler client's Request through a dibbler relay and dhcrelay (capture v6-relay2-dibbler+dhcrelay).
const TWO_RELAYS: &str = "0c01fd770000000000090000000000000001fd770000000000090000000000000002
    0012000403000000 000900cd
    0c00fd770000000000030000000000000001fe80000000000000000000fffe77aa01 001200040000139c 0009009f
    0378edd0 0001000a0003000102000077aa01 0002000a000200007ed90077aa01
    0003002800000001000000000000000000050018fd770000000000030000000000000100000004b000000708
    0019002900000002000000000000000000 1a0019000004b00000070838fd770400000000000000000000000000
    0006000a00170018001f00520053 000800020000 0010000e00007ed90008636c69656e742d61";

#[test]
fn message_types_have_their_numbers() {
    for number in 0..=255 {
        let found = MessageType::of(number).map(|kind| kind as u8);
        assert_eq!(
            found,
            Some(number).filter(|number| (1..=13).contains(number))
        );
    }
}

#[test]
fn a_solicit_of_dhcpcd_is_read() {
    let octets = hex(SOLICIT);
    let packet = Packet::parse(&octets).unwrap();
    assert!(packet.relays.is_empty());
    assert_eq!(packet.message.message_type(), Some(MessageType::Solicit));
    assert_eq!(packet.message.header.transaction_id, [0x64, 0xb7, 0x02]);
    let client = duid(packet.message.options.find(OptionCode::CLIENT_ID).unwrap()).unwrap();
    let mac = [0x02, 0, 0, 0x77, 0xaa, 0x01];
    assert_eq!(
        duid_link_layer(client),
        Some(HardwareAddress::ethernet(mac))
    );
    let na = packet.message.options.find(OptionCode::IA_NA).unwrap();
    assert_eq!(Ia::parse(OptionCode::IA_NA, na).unwrap().iaid, Iaid(1));
    let pd = packet.message.options.find(OptionCode::IA_PD).unwrap();
    assert_eq!(Ia::parse(OptionCode::IA_PD, pd).unwrap().iaid, Iaid(2));
    let asked = packet
        .message
        .options
        .find(OptionCode::OPTION_REQUEST)
        .unwrap();
    assert_eq!(
        option_request(asked).collect::<Vec<_>>(),
        [23, 24, 31, 82, 83]
    );
}

#[test]
fn a_prefix_length_hint_of_dhclient_is_read() {
    let octets = hex(PREFIX_HINT);
    let packet = Packet::parse(&octets).unwrap();
    let pd = packet.message.options.find(OptionCode::IA_PD).unwrap();
    let pd = Ia::parse(OptionCode::IA_PD, pd).unwrap();
    let hint = IaPrefix::parse(pd.options.find(OptionCode::IA_PREFIX).unwrap()).unwrap();
    assert_eq!((hint.prefix, hint.prefix_len), (Ipv6Addr::UNSPECIFIED, 60));
}

#[test]
fn the_relays_of_a_request_are_read() {
    let octets = hex(TWO_RELAYS);
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!(packet.relays.len(), 2);
    let hops: Vec<_> = packet
        .relays
        .outermost_first()
        .map(|relay| relay.header.hop_count)
        .collect();
    assert_eq!(hops, [1, 0]);
    let inner = packet.relays.innermost_first().next().unwrap();
    assert_eq!(
        inner.link_address(),
        "fd77:0:0:3::1".parse::<Ipv6Addr>().unwrap()
    );
    assert_eq!(
        inner.peer_address(),
        "fe80::ff:fe77:aa01".parse::<Ipv6Addr>().unwrap()
    );
    assert_eq!(inner.interface_id(), Some(&[0, 0, 0x13, 0x9c][..]));
    assert_eq!(packet.message.message_type(), Some(MessageType::Request));
    let theirs = dhcproto::v6::RelayMessage::decode(&mut Decoder::new(&octets)).unwrap();
    assert_eq!((theirs.hop_count(), theirs.opts().iter().count()), (1, 2));
}

#[test]
fn real_messages_cut_anywhere_are_refused_or_whole() {
    for text in [SOLICIT, PREFIX_HINT, TWO_RELAYS] {
        let octets = hex(text);
        let whole = view_all(&octets).unwrap();
        for cut in 0..octets.len() {
            assert_ne!(view_all(&octets[..cut]), Ok(whole.clone()), "cut at {cut}");
        }
    }
}

fn nested(levels: usize) -> Vec<u8> {
    let mut octets = vec![0; 4096];
    let mut builder = Builder::new(&mut octets);
    let header = RelayHeader {
        msg_type: 12,
        hop_count: 0,
        link_address: [0; 16],
        peer_address: [0; 16],
    };
    let mut marks = Vec::new();
    for _ in 0..levels {
        builder.relay(&header).unwrap();
        marks.push(builder.begin(OptionCode::RELAY_MESSAGE).unwrap());
    }
    builder.message(MessageType::Solicit, [1, 2, 3]).unwrap();
    marks
        .into_iter()
        .rev()
        .for_each(|mark| builder.end(mark).unwrap());
    let len = builder.len();
    octets.truncate(len);
    octets
}

// RFC 8415 section 7.6 [hop-count-limit]; CVE-2023-28231 is 32 levels in a server without this bound.
#[test]
fn eight_levels_of_relays_are_read_and_more_are_refused() {
    for levels in 0..=100 {
        let octets = nested(levels);
        match Packet::parse(&octets) {
            Ok(packet) => assert!(packet.relays.len() == levels && levels <= HOP_COUNT_LIMIT),
            Err(reason) => {
                assert!(levels > HOP_COUNT_LIMIT, "{levels}: {reason}");
                assert_eq!(reason, Malformed::TooDeep);
            }
        }
    }
}

// Kea accepted truncated relay headers; ours is a table of what a relay message may not be.
#[test]
fn damaged_relay_messages_are_refused() {
    let mut header = vec![12, 0];
    header.extend([0; 32]);
    let with = |options: &[u8]| [&header[..], options].concat();
    let table: [(Vec<u8>, Malformed); 8] = [
        (vec![12], Malformed::TooShort { got: 1, need: 34 }),
        (
            header[..33].into(),
            Malformed::TooShort { got: 33, need: 34 },
        ),
        (with(&[]), Malformed::NoRelayMessage),
        (with(&[0, 9, 0, 0]), Malformed::TooShort { got: 0, need: 4 }),
        (
            with(&[0, 9, 0, 4, 1, 0, 0, 1, 0, 9, 0, 4, 1, 0, 0, 2]),
            Malformed::Repeated {
                code: OptionCode::RELAY_MESSAGE,
            },
        ),
        (
            with(&[0, 18, 0xff, 0xff, 1]),
            Malformed::OptionTruncated {
                code: 18,
                len: 65_535,
                left: 1,
            },
        ),
        (with(&[0, 9, 0]), Malformed::OptionHeader { left: 3 }),
        (with(&[0, 9, 0, 1, 13]), Malformed::MixedRelay { got: 13 }),
    ];
    for (octets, reason) in table {
        assert_eq!(Packet::parse(&octets), Err(reason), "{octets:02x?}");
    }
}

#[test]
fn options_of_fixed_length_with_another_length_follow_the_policy() {
    for len in 0..12 {
        let data = vec![0; len];
        let got = Ia::parse(OptionCode::IA_NA, &data);
        assert_eq!(
            got,
            Err(Malformed::OptionLength {
                code: OptionCode::IA_NA,
                len
            })
        );
    }
    for len in 0..24 {
        assert!(IaAddress::parse(&vec![0; len]).is_err());
    }
    for len in 0..25 {
        assert!(IaPrefix::parse(&vec![0; len]).is_err());
    }
    let mut prefix = [0; 25];
    prefix[8] = 129;
    assert_eq!(
        IaPrefix::parse(&prefix),
        Err(Malformed::PrefixLength { got: 129 })
    );
    assert_eq!(option_request(&[0, 23, 0]).count(), 0);
    assert!(rapid_commit(&[]) && !rapid_commit(&[0]));
}

// RFC 8415 section 21.22 [prefix-bits-after-length-ignored]
#[test]
fn bits_after_the_prefix_length_are_not_seen() {
    let mut data = [0xff; 25];
    data[8] = 56;
    let prefix = IaPrefix::parse(&data[..25]).unwrap();
    assert_eq!(
        prefix.prefix,
        "ffff:ffff:ffff:ff00::".parse::<Ipv6Addr>().unwrap()
    );
}

// RFC 8415 section 11.1 [duid-length]
#[test]
fn duids_of_3_to_130_octets_are_taken() {
    for len in 0..200 {
        assert_eq!(
            duid(&vec![0; len]).is_ok(),
            (3..=130).contains(&len),
            "{len}"
        );
    }
}

// CVE-2017-14493: an option 79 longer than the place for it.
#[test]
fn link_layer_addresses_of_any_length_are_taken_or_refused() {
    for len in 0..300 {
        let mut data = vec![0xee; len];
        if let Some(kind) = data.get_mut(..2) {
            kind.copy_from_slice(&[0, 1]);
        }
        let found = link_layer_address(&data);
        assert_eq!(found.is_some(), (3..=18).contains(&len), "{len}");
    }
    assert_eq!(duid_link_layer(&[0, 2, 0, 0, 1, 2, 3]), None);
    assert_eq!(duid_link_layer(&[0, 1, 0, 1, 9, 9, 9, 9]), None);
    let llt = [0, 1, 0, 1, 9, 9, 9, 9, 2, 0, 0, 0, 0, 7];
    assert_eq!(
        duid_link_layer(&llt),
        Some(HardwareAddress::ethernet([2, 0, 0, 0, 0, 7]))
    );
}
