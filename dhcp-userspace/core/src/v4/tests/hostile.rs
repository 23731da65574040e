//! What strangers send: nothing panics, nothing is promised twice.

use super::*;
use crate::Discard;
use crate::subnet::ReservedBy;
use dhcp_lease::PoolIndex;
use dhcp_wire::v4::{MessageType, code};
use proptest::prelude::*;

#[test]
fn what_no_client_sends_is_discarded_with_its_reason() {
    let client = Client::new(1);
    let mut reply = client.discover();
    reply.header.op = 2;
    let mut neither = client.discover();
    neither.header.op = 3;
    let mut bootp = client.discover();
    bootp.options.clear();
    let mut bad_type = client.discover();
    bad_type.options[0].1 = vec![1, 1];
    let cases = [
        (reply, Discard::FromServer),
        (neither, Discard::MalformedV4),
        (bootp, Discard::Bootp),
        (bad_type, Discard::MalformedV4),
        (client.ask(MessageType::OFFER), Discard::FromServer),
        (client.ask(MessageType::ACK), Discard::FromServer),
        (client.ask(MessageType::NAK), Discard::FromServer),
        (client.ask(MessageType::FORCERENEW), Discard::FromServer),
        (client.ask(MessageType(0)), Discard::UnknownMessage),
        (client.ask(MessageType(10)), Discard::LeasequeryOff),
        (client.ask(MessageType(255)), Discard::UnknownMessage),
        (
            client
                .discover()
                .option(code::REQUESTED_ADDRESS, &[1, 2, 3]),
            Discard::MalformedV4,
        ),
        (
            client.discover().option(code::SERVER_IDENTIFIER, &[0; 5]),
            Discard::MalformedV4,
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(silence(World::new().serve(&request.frame())), expected);
    }
    for hint in [
        code::LEASE_TIME,
        code::MAXIMUM_MESSAGE_SIZE,
        code::RAPID_COMMIT,
    ] {
        let discover = client.discover().option(hint, &[1, 2, 3]);
        let mut world = World::new();
        world.subnet(0, 0).rapid_commit = true;
        offered(world.serve(&discover.frame()));
    }
}

/// A message cut at every octet is answered or discarded (reliability S-02).
#[test]
fn a_message_cut_anywhere_does_no_harm() {
    let client = Client::new(1)
        .with_id(b"\x01identity")
        .behind(RELAY, b"\x01\x04eth7");
    let discover = client
        .discover()
        .option(code::PARAMETER_REQUEST_LIST, &[1, 3, 6]);
    let frame = discover.frame();
    let start = discover.envelope.header_len();
    for cut in start..frame.len() {
        let mut shorter = vec![0; 1792];
        shorter[start..cut].copy_from_slice(&frame[start..cut]);
        let len = discover.envelope.emit(&mut shorter, cut - start).unwrap();
        let _ = World::new().serve(&shorter[..len]);
    }
}

/// Every code with lengths that lie (reliability S-01); nothing of the request's junk comes back.
#[test]
fn options_whose_length_lies_do_no_harm() {
    let mut world = World::new();
    let discover = Client::new(1).discover();
    let start = discover.envelope.header_len();
    let template = discover.frame();
    let lengths: [u8; 8] = [0, 1, 2, 3, 4, 5, 16, 255];
    for (code, declared) in (1..255u8).flat_map(|code| lengths.map(|length| (code, length))) {
        for there in [declared.max(1) - 1, declared, declared.saturating_add(1)] {
            let mut frame = template.clone();
            frame.truncate(start + 243);
            frame.extend([code, declared]);
            frame.extend(vec![0xa5; usize::from(there)]);
            frame.push(255);
            let payload_len = frame.len() - start;
            frame.resize(1792, 0xa5);
            let len = discover.envelope.emit(&mut frame, payload_len).unwrap();
            if let Ok(reply) = world.serve(&frame[..len]) {
                let echoed = matches!(code, code::CLIENT_IDENTIFIER | code::RELAY_AGENT);
                let junk = reply.payload.windows(6).any(|window| window == [0xa5; 6]);
                assert!(echoed || !junk, "option {code}");
            }
            world.pass(61, true);
        }
    }
}

/// Requests as long as a frame leave nothing behind in replies that are shorter.
#[test]
fn a_reply_holds_nothing_of_what_lay_in_the_frame() {
    let mut world = World::new();
    let mut discover = Client::new(1).discover().option(code::END, &[0xa5; 255]);
    discover.header.sname = [0xa5; 64];
    discover.header.file = [0xa5; 128];
    discover.header.chaddr[6..].fill(0);
    for number in 0..3 {
        discover.options.insert(1, (224 + number, vec![0xa5; 250]));
    }
    let mut frame = discover.frame();
    frame.resize(1500, 0xa5);
    let reply = world.serve(&frame).unwrap();
    assert!(!reply.payload.contains(&0xa5));
}

fn mutated() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((0usize..300, any::<u8>()), 1..12)
}

/// What one of a few clients does next.
#[derive(Clone, Debug)]
struct Step {
    client: u8,
    what: u8,
    address: u8,
    seconds: u16,
    tick: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (
        0u8..5,
        0u8..10,
        9u8..15,
        prop_oneof![Just(0u16), 0..100u16, 0..8000u16],
        any::<bool>(),
    )
        .prop_map(|(client, what, address, seconds, tick)| Step {
            client,
            what,
            address,
            seconds,
            tick,
        })
}

fn request(step: &Step, given: Option<std::net::Ipv4Addr>) -> Request {
    let client = Client::new(step.client);
    let address = given.unwrap_or(ip(&format!("10.0.0.{}", step.address)));
    match step.what {
        0 => client.discover(),
        1 => client.discover().option(code::RAPID_COMMIT, &[]),
        2 => client
            .discover()
            .option(code::REQUESTED_ADDRESS, &address.octets()),
        3 | 4 => client.selecting(address),
        5 => client.init_reboot(address),
        6 => client.renewing(address),
        7 => client.rebinding(address),
        8 => client.decline(address),
        _ => client.release(address),
    }
}

proptest! {
    #[test]
    fn any_payload_is_answered_or_discarded(payload in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut world = World::new();
        let envelope = Client::new(1).discover().envelope;
        let mut frame = vec![0; 1792];
        let start = envelope.header_len();
        frame[start..start + payload.len()].copy_from_slice(&payload);
        let len = envelope.emit(&mut frame, payload.len()).unwrap();
        let _ = world.serve(&frame[..len]);
    }

    #[test]
    fn any_options_are_answered_or_discarded(options in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut world = World::new();
        let discover = Client::new(1).discover();
        let start = discover.envelope.header_len();
        let mut frame = discover.frame();
        frame.resize(1792, 0);
        frame[start + 243..start + 243 + options.len()].copy_from_slice(&options);
        let len = discover.envelope.emit(&mut frame, 243 + options.len()).unwrap();
        let _ = world.serve(&frame[..len]);
    }

    #[test]
    fn mutated_messages_are_answered_or_discarded(changes in mutated(), what in 0u8..10) {
        let mut world = World::new();
        let address = world.lease(&Client::new(1));
        let step = Step { client: 1, what, address: 0, seconds: 0, tick: false };
        let request = request(&step, Some(address));
        let start = request.envelope.header_len();
        let mut frame = request.frame();
        let payload_len = frame.len() - start;
        for (place, octet) in changes {
            frame[start + place % payload_len] = octet;
        }
        let len = request.envelope.emit(&mut frame, payload_len).unwrap();
        let _ = world.serve(&frame[..len]);
        world.bindings();
    }

    /// Whatever a few clients do, an address has one holder, an ACK stands for a binding, and nobody loses
    /// a lease to another.
    #[test]
    fn no_address_has_two_holders(
        steps in prop::collection::vec(step(), 1..60), reserving in 0usize..60, rapid: bool,
    ) {
        let mut world = World::new();
        world.subnet(0, 0).rapid_commit = rapid;
        let mut given = [None; 5];
        for (number, step) in steps.into_iter().enumerate() {
            if number == reserving {
                world.reserve(ReservedBy::HardwareAddress, &mac(0), "10.0.0.12");
                world.reserve(ReservedBy::HardwareAddress, &mac(1), "10.0.0.50");
            }
            world.pass(u64::from(step.seconds), step.tick);
            let known = given[usize::from(step.client)].filter(|_| step.address % 2 == 0);
            let request = request(&step, known);
            let before = world.bindings();
            let outcome = world.serve(&request.frame());
            let after = world.bindings();
            for (address, binding) in before.iter().filter(|(_, binding)| binding.is_live(world.now)) {
                let own = binding.hardware.mac() == Some(mac(step.client));
                prop_assert!(own || after.get(address) == Some(binding));
            }
            if let Ok(reply) = outcome && reply.message_type() != MessageType::NAK {
                given[usize::from(step.client)] = Some(reply.yiaddr());
                if reply.message_type() == MessageType::ACK {
                    let binding = &after[&reply.yiaddr()];
                    prop_assert_eq!(binding.hardware.mac(), Some(mac(step.client)));
                    let seconds = reply.seconds(code::LEASE_TIME);
                    prop_assert_eq!(binding.expires, world.now.after(seconds));
                }
            }
            let live = after.values().filter(|binding| binding.is_live(world.now));
            let mut holders: Vec<_> = live.map(|binding| binding.hardware.mac()).collect();
            let count = holders.len();
            holders.sort();
            holders.dedup();
            prop_assert_eq!(holders.len(), count, "a client has two leases");
        }

        // When all has ended, everything is free again.
        world.pass(100_000, true);
        prop_assert!(world.bindings().is_empty());
        for (pool, size) in [(0, 4), (1, 2), (2, 100)] {
            let counts = world.policy.pools.counts(PoolIndex(pool));
            prop_assert_eq!((counts.taken, counts.size), (0, size));
        }
    }
}
