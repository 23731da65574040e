//! Who gets a nonce, when is it told, and what does a FORCERENEW look like?

use super::*;
use crate::Discard;
use crate::v4::forcerenew::{Unreachable, forcerenew};
use crate::v4::{NonceSecret, Verdict};
use dhcp_lease::context::{ItemKind, ReconfigureKey};
use dhcp_lease::{Binding, Lease, Timestamp};
use dhcp_wire::v4::{Message, MessageType, code};
use hmac::{Hmac, Mac};
use md5::Md5;
use proptest::prelude::*;
use std::net::Ipv4Addr;

/// A server that makes nonces.
fn world() -> World {
    let mut world = World::new();
    world.policy.forcerenew = Some(NonceSecret([7; 16]));
    world
}

trait Capable {
    fn capable(self) -> Self;
}

impl Capable for Request {
    fn capable(self) -> Self {
        self.option(code::FORCERENEW_NONCE_CAPABLE, &[1])
    }
}

/// What the authentication option of a reply says: counter and nonce.
fn told(reply: &Reply) -> Option<(u64, [u8; 16])> {
    let option = reply.options.get(&code::AUTHENTICATION)?;
    assert_eq!(option.len(), 28);
    assert_eq!(option[..3], [3, 1, 0], "protocol, algorithm, method");
    assert_eq!(option[11], 1, "a nonce");
    let replay = u64::from_be_bytes(option[3..11].try_into().unwrap());
    Some((replay, option[12..].try_into().unwrap()))
}

fn ask(world: &mut World, request: Request) -> Reply {
    world.serve(&request.frame()).unwrap()
}

/// Takes a capable client through its four messages: its address and nonce.
fn lease(world: &mut World, client: &Client) -> (Ipv4Addr, [u8; 16]) {
    let offer = ask(world, client.discover().capable());
    assert_eq!(offer.options[&code::FORCERENEW_NONCE_CAPABLE], [1]);
    assert_eq!(told(&offer), None, "in an ACK only");
    let ack = ask(world, client.selecting(offer.yiaddr()).capable());
    (ack.yiaddr(), told(&ack).unwrap().1)
}

fn recorded(world: &World, address: Ipv4Addr) -> Option<ReconfigureKey> {
    world.bindings()[&address].context.reconfigure_key()
}

/// RFC 6704 section 3.1.3 [nonce-in-ack]
/// RFC 6704 section 3.1.3 [capable-in-offer]
#[test]
fn a_capable_client_gets_a_nonce_and_it_is_kept_with_the_lease() {
    let mut world = world();
    let client = Client::new(1).with_id(b"\x01one");
    let (address, nonce) = lease(&mut world, &client);
    let key = recorded(&world, address).unwrap();
    assert_eq!(key.key, nonce);
    assert_ne!(nonce, [0; 16]);
    let (_, other) = lease(&mut world, &Client::new(2));
    assert_ne!(nonce, other, "each has its own");
}

/// RFC 6704 section 3.1.3 [no-nonce-unasked]
/// RFC 6704 section 3.1.3 [offer-only-if-capable]
/// RFC 6704 section 3.1.1 [forcerenew-capable-option]
#[test]
fn a_client_that_does_not_say_that_it_can_gets_nothing() {
    let lacking: [&dyn Fn(Request) -> Request; 4] = [
        &|request| request,
        &|request| request.option(code::FORCERENEW_NONCE_CAPABLE, &[]),
        &|request| request.option(code::FORCERENEW_NONCE_CAPABLE, &[2, 3]),
        &|request| request.option(code::AUTHENTICATION, &[3, 1, 0]),
    ];
    for (number, lacks) in (1..).zip(lacking) {
        let mut world = world();
        let client = Client::new(number);
        let offer = ask(&mut world, lacks(client.discover()));
        assert!(!offer.order.contains(&code::FORCERENEW_NONCE_CAPABLE));
        let ack = ask(&mut world, lacks(client.selecting(offer.yiaddr())));
        assert_eq!(told(&ack), None);
        assert_eq!(recorded(&world, ack.yiaddr()), None);
    }
    // Among others ours may stand.
    let offer = ask(
        &mut world(),
        Client::new(9)
            .discover()
            .option(code::FORCERENEW_NONCE_CAPABLE, &[9, 1]),
    );
    assert_eq!(offer.options[&code::FORCERENEW_NONCE_CAPABLE], [1]);
}

#[test]
fn a_server_that_is_told_not_to_makes_no_nonces() {
    let mut world = World::new();
    let client = Client::new(1);
    let offer = ask(&mut world, client.discover().capable());
    assert!(!offer.order.contains(&code::FORCERENEW_NONCE_CAPABLE));
    let ack = ask(&mut world, client.selecting(offer.yiaddr()).capable());
    assert_eq!(told(&ack), None);
}

/// RFC 6704 section 3.1.3 [nonce-not-in-renewals]
/// RFC 6704 section 3.1.3 [nonce-when-none-recorded]
#[test]
fn a_nonce_is_told_when_it_is_made_and_when_it_may_be_lost() {
    let mut world = world();
    let client = Client::new(1);
    let (address, nonce) = lease(&mut world, &client);
    world.pass(1800, true);
    let ack = ask(&mut world, client.renewing(address).capable());
    assert_eq!(told(&ack), None, "a renewal finds it on record");
    assert_eq!(recorded(&world, address).unwrap().key, nonce);
    for request in [
        client.rebinding(address),
        client.init_reboot(address),
        client.selecting(address),
    ] {
        world.pass(60, true);
        let ack = ask(&mut world, request.capable());
        assert_eq!(
            told(&ack).unwrap().1,
            nonce,
            "the same, so that both know it"
        );
    }
}

/// RFC 6704 section 3.1.3 [nonce-when-none-recorded]
/// RFC 6704 section 3.1.3 [nonce-of-new-server]: any type of REQUEST.
#[test]
fn whoever_becomes_capable_gets_a_nonce_with_the_next_answer() {
    for renews in [true, false] {
        let mut world = world();
        let client = Client::new(1);
        let address = world.lease(&client);
        world.pass(100, true);
        let request = match renews {
            true => client.renewing(address),
            false => client.rebinding(address),
        };
        let ack = ask(&mut world, request.capable());
        let (_, nonce) = told(&ack).unwrap();
        assert_eq!(recorded(&world, address).unwrap().key, nonce);
    }
}

#[test]
fn whoever_begins_anew_without_the_option_has_no_nonce_any_more() {
    let mut world = world();
    let client = Client::new(1);
    let (address, nonce) = lease(&mut world, &client);
    world.pass(100, true);
    let ack = ask(&mut world, client.renewing(address));
    assert_eq!(told(&ack), None);
    assert_eq!(
        recorded(&world, address).unwrap().key,
        nonce,
        "only forgetful"
    );
    world.pass(100, true);
    ask(&mut world, client.init_reboot(address));
    assert_eq!(recorded(&world, address), None, "another program by now");
    assert_eq!(world.bindings()[&address].context.transaction(), None);
}

/// A REQUEST that is repeated gets the same nonce, and nothing is written for it.
#[test]
fn a_repeated_request_changes_nothing() {
    let mut world = world();
    let client = Client::new(1);
    let (address, nonce) = lease(&mut world, &client);
    world.pass(4, true);
    let ack = ask(&mut world, client.selecting(address).capable());
    assert_eq!(told(&ack).unwrap().1, nonce);
    assert!(!world.has_written);
}

/// RFC 6704 section 3.1.3 [nonce-unpredictable]: it hangs on the secret, and on all that the client says.
#[test]
fn nonces_differ_with_the_secret_the_client_and_the_exchange() {
    let mut seen = std::collections::HashSet::new();
    for secret in [[7; 16], [8; 16]] {
        for number in [1, 2] {
            for id in [&b""[..], b"\x01one", b"\x01two"] {
                for xid in [1, 2] {
                    let mut world = World::new();
                    world.policy.forcerenew = Some(NonceSecret(secret));
                    let client = Client::new(number).with_id(id);
                    let offer = ask(&mut world, client.discover().capable());
                    let mut request = client.selecting(offer.yiaddr()).capable();
                    request.header.xid.set(xid);
                    seen.insert(told(&ask(&mut world, request)).unwrap().1);
                }
            }
        }
    }
    assert_eq!(seen.len(), 2 * 2 * 3 * 2, "no two are the same");
}

#[test]
fn a_client_that_ended_its_lease_gets_a_new_nonce() {
    let mut world = world();
    let client = Client::new(1);
    let (address, nonce) = lease(&mut world, &client);
    let silent = world.serve(&client.release(address).frame());
    assert_eq!(silence(silent), Discard::Released);
    world.pass(1, true);
    let (again, other) = lease(&mut world, &client);
    assert_eq!(again, address);
    assert_ne!(nonce, other);
}

#[test]
fn rapid_commit_tells_the_nonce_at_once() {
    let mut world = world();
    world.subnet(0, 0).rapid_commit = true;
    let discover = Client::new(1).discover().option(code::RAPID_COMMIT, &[]);
    let ack = ask(&mut world, discover.capable());
    assert_eq!(ack.answer.verdict, Verdict::RapidAck);
    assert!(told(&ack).is_some());
}

/// A client may take no counter that it had before; none of ours is.
#[test]
fn counters_grow_from_ack_to_forcerenew_to_ack() {
    let mut world = world();
    let client = Client::new(1);
    let offer = ask(&mut world, client.discover().capable());
    let ack = ask(&mut world, client.selecting(offer.yiaddr()).capable());
    let address = ack.yiaddr();
    let mut counters = vec![told(&ack).unwrap().0];
    for attempt in 0..3 {
        world.pass(1, true);
        let binding = world.bindings()[&address].clone();
        counters.push(digest_of(&forced(&binding, attempt, world.now)).0);
    }
    // In the second of the last FORCERENEW.
    let ack = ask(&mut world, client.init_reboot(address).capable());
    counters.push(told(&ack).unwrap().0);
    assert!(
        counters.is_sorted_by(|one, other| one < other),
        "{counters:x?}"
    );
}

#[test]
fn counters_do_not_go_back_with_server_time() {
    let mut world = world();
    let (address, _) = lease(&mut world, &Client::new(1));
    let binding = world.bindings()[&address].clone();
    let floor = recorded(&world, address).unwrap().replay;
    let before = Timestamp(world.now.0 - 1000);
    assert!(digest_of(&forced(&binding, 0, before)).0 > floor);
    assert!(digest_of(&forced(&binding, 1, before)).0 > floor + 1);
}

fn forced(binding: &Binding, attempt: u16, now: Timestamp) -> Vec<u8> {
    let mut payload = vec![0xee; 1472];
    let len = forcerenew(binding, SERVER, attempt, now, &mut payload).unwrap();
    payload.truncate(len);
    payload
}

/// Counter and digest of a FORCERENEW, and where the digest stands.
fn digest_of(payload: &[u8]) -> (u64, [u8; 16], usize) {
    let message = Message::parse(payload).unwrap();
    let option = message
        .options()
        .map(Result::unwrap)
        .find(|piece| piece.code == code::AUTHENTICATION)
        .unwrap();
    assert_eq!(option.data.len(), 28);
    assert_eq!((&option.data[..3], option.data[11]), (&[3, 1, 0][..], 2));
    let place = option.data[12..].as_ptr() as usize - payload.as_ptr() as usize;
    (
        u64::from_be_bytes(option.data[3..11].try_into().unwrap()),
        option.data[12..].try_into().unwrap(),
        place,
    )
}

/// As a client checks it (RFC 6704 section 3.1.4): the digest's octets zero, under its nonce.
fn is_authentic(payload: &[u8], nonce: [u8; 16]) -> bool {
    let (.., place) = digest_of(payload);
    is_authentic_at(place, payload, nonce)
}

fn is_authentic_at(place: usize, payload: &[u8], nonce: [u8; 16]) -> bool {
    let digest = &payload[place..place + 16];
    let mut zeroed = payload.to_vec();
    zeroed[place..place + 16].fill(0);
    let mut mac = Hmac::<Md5>::new_from_slice(&nonce).unwrap();
    mac.update(&zeroed);
    mac.finalize().into_bytes()[..] == *digest
}

/// RFC 6704 section 3.1.3 [forcerenew-digest]
/// RFC 6704 section 3.1.2 [authentication-format]
/// RFC 3203 section 6 [forcerenew-authenticated]
/// RFC 3203 section 4 [forcerenew-type]
#[test]
fn a_forcerenew_is_what_the_client_can_check() {
    let mut world = world();
    let client = Client::new(1).with_id(b"\x01one");
    let (address, nonce) = lease(&mut world, &client);
    world.pass(1800, true);
    let mut request = client.renewing(address).capable();
    request.header.xid.set(0xdead_beef);
    ask(&mut world, request);
    world.pass(1, true);
    let binding = world.bindings()[&address].clone();
    let payload = forced(&binding, 0, world.now);
    assert!(is_authentic(&payload, nonce));
    assert!(!is_authentic(&payload, [0; 16]));
    let message = Message::parse(&payload).unwrap();
    let header = message.header;
    assert_eq!(
        (header.op, header.hops, header.xid.get()),
        (2, 0, 0xdead_beef)
    );
    assert_eq!((header.htype, header.hlen), (1, 6));
    assert_eq!(header.chaddr[..6], client.mac);
    assert_eq!(header.ciaddr(), address);
    assert_eq!((header.yiaddr(), header.giaddr()), (NONE, NONE));
    let options: Vec<_> = message
        .options()
        .map(|piece| {
            piece
                .map(|piece| (piece.code, piece.data.to_vec()))
                .unwrap()
        })
        .filter(|(code, _)| *code != code::AUTHENTICATION)
        .collect();
    let MessageType(number) = MessageType::FORCERENEW;
    assert_eq!(
        options,
        [
            (code::MESSAGE_TYPE, vec![number]),
            (code::SERVER_IDENTIFIER, SERVER.octets().to_vec()),
            (code::CLIENT_IDENTIFIER, b"\x01one".to_vec()),
        ]
    );
    let (.., place) = digest_of(&payload);
    for octet in 0..payload.len() {
        let mut changed = payload.clone();
        changed[octet] ^= 1;
        assert!(!is_authentic_at(place, &changed, nonce), "octet {octet}");
    }
}

/// RFC 6704 section 3 [forcerenew-by-nonce]: none without a key.
#[test]
fn nobody_is_sent_an_unauthenticated_forcerenew() {
    let mut world = world();
    let address = world.lease(&Client::new(1));
    let mut binding = world.bindings()[&address].clone();
    let mut payload = [0; 1472];
    let mut try_it = |binding: &Binding, room| {
        forcerenew(binding, SERVER, 0, Timestamp(9), &mut payload[..room])
    };
    assert_eq!(try_it(&binding, 1472), Err(Unreachable::NoKey));
    binding.context.set_reconfigure_key(&ReconfigureKey {
        key: [1; 16],
        replay: 0,
    });
    assert_eq!(try_it(&binding, 1472), Ok(300));
    assert!(matches!(try_it(&binding, 299), Err(Unreachable::NoRoom(_))));
    binding.lease = Lease::Address(std::net::Ipv6Addr::LOCALHOST);
    assert_eq!(try_it(&binding, 1472), Err(Unreachable::OtherFamily));
}

/// RFC 3203 section 2.2 [forcerenew-nak]: a client that is told to renew is moved by a NAK, and keeps no nonce
/// that we do not know.
#[test]
fn a_client_that_renews_is_moved_to_the_address_that_is_reserved_meanwhile() {
    let mut world = world();
    let client = Client::new(1);
    let (address, _) = lease(&mut world, &client);
    world.pass(60, true);
    world.reserve(
        crate::subnet::ReservedBy::HardwareAddress,
        &mac(1),
        "10.0.0.13",
    );
    let refused = world.serve(&client.renewing(address).capable().frame());
    assert_eq!(refusal(refused), crate::v4::Refusal::Reserved);
    let (moved, nonce) = lease(&mut world, &client);
    assert_eq!(moved, ip("10.0.0.13"));
    assert_eq!(recorded(&world, moved).unwrap().key, nonce);
}

#[test]
fn the_secret_shows_in_no_log() {
    assert_eq!(format!("{:?}", NonceSecret([0x5e; 16])), "NonceSecret(..)");
}

proptest! {
    /// Whatever the holder's identity and nonce: the client can check it, and it fits.
    #[test]
    fn every_forcerenew_is_authentic(
        client in prop::collection::vec(any::<u8>(), 0..=255),
        key: [u8; 16],
        replay in 0..u64::MAX / 2,
        xid: u32,
        now in 0u64..1 << 31,
        attempt: u16,
    ) {
        let mut binding = Binding {
            lease: Lease::V4(Ipv4Addr::new(10, 0, 0, 10)),
            client: dhcp_wire::id::ClientId::EMPTY,
            ..Binding::default()
        };
        binding.client.push_slice(&client).unwrap();
        binding.context.set_reconfigure_key(&ReconfigureKey { key, replay });
        binding.context.insert(ItemKind::TRANSACTION, &xid.to_be_bytes());
        let payload = forced(&binding, attempt, Timestamp(now));
        prop_assert!(is_authentic(&payload, key));
        prop_assert!(digest_of(&payload).0 > replay);
        prop_assert_eq!(Message::parse(&payload).unwrap().header.xid.get(), xid);
    }
}
