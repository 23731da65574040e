//! What relay agents say, sound and unsound (generators S-06 and S-17): believed where it may be, echoed whole
//! or not at all.

use super::*;
use crate::Discard;
use crate::networks::AllowedRelays;
use crate::subnet::ClientKey;
use dhcp_lease::context::ItemKind;
use dhcp_wire::v4::code;
use proptest::prelude::*;

/// A sub-option.
fn sub(code: u8, data: &[u8]) -> Vec<u8> {
    [&[code, data.len() as u8], data].concat()
}

// RFC 3046 section 2.2 [relay-option-left-out]
#[test]
fn an_option_that_does_not_fit_is_left_out_and_reported() {
    let mut world = World::new();
    for (octets, lacks) in [(10, false), (100, false), (240, true)] {
        let long = sub(1, &vec![7; octets]);
        let mut discover = Client::new(1).behind(RELAY, &long).discover();
        // A second piece, as of an agent that splits.
        discover = discover.option(code::RELAY_AGENT, &sub(2, &[9; 60]));
        let reply = world.serve(&discover.frame()).unwrap();
        assert_eq!(world.lacks_agent_option, lacks, "{octets} octets");
        assert_eq!(!reply.options.contains_key(&82), lacks, "{octets} octets");
        assert_eq!(reply.to(), (RELAY, RELAY_MAC, 67));
    }
}

// RFC 8357 section 5.1 [relay-port]
#[test]
fn the_port_of_a_relay_agent_is_kept_with_the_lease() {
    let mut world = World::new();
    let client = Client::new(1).behind(RELAY, &sub(code::AGENT_SOURCE_PORT, &[]));
    let mut discover = client.discover();
    discover.envelope.source_port = 1067;
    let offer = world.serve(&discover.frame()).unwrap();
    assert_eq!(offer.to(), (RELAY, RELAY_MAC, 1067));
    let mut request = client.selecting(offer.yiaddr());
    request.envelope.source_port = 1068;
    world.serve(&request.frame()).unwrap();
    let context = &world.bindings()[&offer.yiaddr()].context;
    assert_eq!(context.relay_source(), Some((RELAY.into(), Some(1068))));
    assert_eq!(
        context.of_kind(ItemKind::AGENT).count(),
        0,
        "of one message"
    );
    // No port at all cannot be answered.
    discover.envelope.source_port = 0;
    let offer = world.serve(&discover.frame()).unwrap();
    assert_eq!(offer.to(), (RELAY, RELAY_MAC, 67));
}

/// S-17: whoever forges `giaddr` gets nothing, and each way has its own reason.
#[test]
fn forged_relay_agents_are_told_apart() {
    let mut allowed = AllowedRelays::default();
    allowed.add(ip("10.3.0.0"), 30);
    for (giaddr, expected) in [
        ("10.3.0.1", None),
        ("192.0.2.9", None), // a subnet lists it
        ("10.3.0.4", Some(Discard::UnknownRelay)),
        ("192.0.2.10", Some(Discard::UnknownRelay)),
        ("127.0.0.1", Some(Discard::UnknownRelay)),
        ("10.0.0.1", Some(Discard::GiaddrOurs)),
    ] {
        let mut world = World::new();
        world.policy.relays_v4.allowed = Some(allowed.clone());
        let frame = Client::new(1).behind(ip(giaddr), &[]).discover().frame();
        assert_eq!(world.serve(&frame).err(), expected, "{giaddr}");
        let mut world = World::new();
        world.policy.relays_v4.refused_interfaces = vec!["eth0".into()];
        let refused = Some(Discard::RelayRefused);
        assert_eq!(world.serve(&frame).err(), refused, "{giaddr}");
        world.interface.name = "eth1".into();
        assert_ne!(world.serve(&frame).err(), refused, "{giaddr}");
    }
}

/// A thousand routers on one line are one lease, and a thousand lines are a thousand.
#[test]
fn a_line_has_one_lease_whatever_is_plugged_in() {
    let mut world = World::new();
    world.subnet(1, 0).agents.client_key = ClientKey::Agent(code::AGENT_CIRCUIT_ID);
    let on = |line: u8, router: u8| Client::new(router).behind(RELAY, &sub(1, &[line]));
    let first = world.lease(&on(1, 1));
    for router in 2..60 {
        assert_eq!(world.lease(&on(1, router)), first);
    }
    assert_eq!(world.bindings().len(), 1);
    for line in 2..60 {
        assert_ne!(world.lease(&on(line, 1)), first);
    }
    assert_eq!(world.bindings().len(), 59);
    let binding = &world.bindings()[&first];
    assert_eq!(binding.client.as_slice(), [0, 1]);
    assert_eq!(binding.hardware.as_slice(), mac(59), "who was heard last");
}

/// Up to as long as an option can tell it.
#[test]
fn a_line_of_any_length_is_one() {
    let mut world = World::new();
    world.subnet(1, 0).agents.client_key = ClientKey::Agent(code::AGENT_CIRCUIT_ID);
    let line = Client::new(1).behind(RELAY, &sub(1, &[7; 253]));
    assert_eq!(world.lease(&line), ip("10.3.0.10"));
    let other = Client::new(1).behind(RELAY, &sub(1, &[7; 252]));
    assert_eq!(world.lease(&other), ip("10.3.0.11"));
}

/// Pieces of option 82: sound ones, and octets without sense.
fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let codes = prop_oneof![
        prop::sample::select(vec![1u8, 2, 5, 6, 9, 10, 11, 12, 19, 151, 152]),
        any::<u8>()
    ];
    let sound = (codes, prop::collection::vec(any::<u8>(), 0..12))
        .prop_map(|(code, data)| sub(code, &data));
    let sound = prop::collection::vec(sound, 0..8).prop_map(|subs| subs.concat());
    let piece = prop_oneof![sound, prop::collection::vec(any::<u8>(), 0..=255)];
    prop::collection::vec(piece, 0..4)
}

proptest! {
    /// S-06: whatever is in option 82, it goes back octet by octet or not at all, and nothing panics.
    #[test]
    fn any_relay_agent_option_goes_back_whole_or_not_at_all(
        pieces in pieces(),
        relayed: bool,
        trusted: bool,
        vpns: bool,
        size in prop::option::of(576u16..1500),
    ) {
        let mut world = World::new();
        world.subnet(0, 0).agents.trusts_unrelayed = trusted;
        if vpns {
            world.policy.relays_v4.vpns.add(b"\0red");
        }
        let mut discover = Client::new(1).behind(if relayed { RELAY } else { NONE }, &[]).discover();
        for piece in &pieces {
            discover = discover.option(code::RELAY_AGENT, piece);
        }
        if let Some(size) = size {
            discover = discover.option(code::MAXIMUM_MESSAGE_SIZE, &size.to_be_bytes());
        }
        let whole = pieces.concat();
        let echoed = relayed || trusted;
        match world.serve(&discover.frame()) {
            Ok(reply) => match reply.options.get(&code::RELAY_AGENT) {
                Some(echo) if vpns && relayed => prop_assert!(echo.len() <= whole.len()),
                Some(echo) => prop_assert_eq!(echo, &whole),
                None => prop_assert!(!echoed || pieces.is_empty() || world.lacks_agent_option),
            },
            Err(reason) => prop_assert!(
                matches!(reason, Discard::NoSubnet | Discard::TooMany | Discard::UnknownVpn | Discard::MalformedV4),
                "{reason:?}"
            ),
        }
    }
}
