//! The clients' side of the engine without a link: frames in, frames out.

use super::clients::Clients;
use super::{MacAddress, Settings, Tags};
use crate::Family;
use crate::clock;
use crate::exchange::Operation;
use crate::{v4, v6};
use dhcp_wire::frame::{Addresses, Datagram, Envelope};
use std::net::Ipv4Addr;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

fn clients(offers: u32) -> Clients {
    Clients::new(Settings {
        family: Family::V4,
        clients: 1,
        seed: 1,
        timeout: Duration::ZERO,
        retries: 3,
        relays: None,
        wants: v6::Wants::Na,
        rapid_commit: false,
        tags: Tags::default(),
        check_tags: true,
        server_mac: None,
        server: None,
        expected: Vec::new(),
        rules: v4::Rules::default(),
        manner: v4::Manner::default(),
        offers,
        announce: false,
        allowed: Vec::new(),
        reflector: false,
        in_flight_max: 16,
    })
}

/// What the clients send next, without its headers.
fn sent(clients: &mut Clients) -> Vec<u8> {
    let transaction = clients.outbox.pop_front().expect("something to send");
    let exchange = *clients.exchanges.find(transaction).unwrap();
    let mut frame = [0; 1500];
    let len = clients.write(transaction, &exchange, &mut frame);
    clients.note_sent(transaction, &exchange);
    Datagram::parse(&frame[..len]).unwrap().payload.to_vec()
}

fn secs(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[8], message[9]])
}

fn server_id(message: &[u8]) -> Option<u8> {
    let at = message.windows(5).position(|it| it == [54, 4, 10, 0, 0])?;
    message.get(at + 5).copied()
}

/// An OFFER of 10.0.1.N for so many seconds by the server 10.0.0.N, or its ACK.
fn answer(asked: &[u8], message_type: u8, server: u8, seconds: u8) -> Vec<u8> {
    let mut message = asked[..240].to_vec();
    message[0] = 2;
    message[8..10].fill(0);
    message[16..20].copy_from_slice(&[10, 0, 1, server]);
    message.extend([53, 1, message_type, 54, 4, 10, 0, 0, server]);
    message.extend([51, 4, 0, 0, 0, seconds, 61, 7, 1]);
    message.extend(&asked[28..34]);
    message.push(255);
    message.resize(300, 0);
    let mac = MacAddress(*asked[28..].first_chunk().unwrap());
    let envelope = Envelope {
        source_mac: MacAddress([2, 0, 0, 0, 0, server]),
        destination_mac: mac,
        tags: Tags::default(),
        addresses: Addresses::V4 {
            source: Ipv4Addr::new(10, 0, 0, server),
            destination: Ipv4Addr::new(10, 0, 1, server),
        },
        source_port: 67,
        destination_port: 68,
    };
    let header = envelope.header_len();
    let mut frame = vec![0; header + message.len()];
    frame[header..].copy_from_slice(&message);
    let len = envelope.emit(&mut frame, message.len()).unwrap();
    frame.truncate(len);
    frame
}

fn completed(clients: &Clients) -> u64 {
    assert_eq!(clients.statistics.violations.total(), 0);
    clients.statistics.operation(Operation::Obtain).completed
}

// RFC 2131 section 4.4.1: a REQUEST has the `secs` of its DISCOVER, also when it is repeated.
#[test]
fn a_request_has_the_secs_of_its_discover() {
    let mut clients = clients(1);
    let now = clock::now();
    clients.begin(Operation::Obtain, now);
    assert_eq!(secs(&sent(&mut clients)), 0);
    clients.expire(now + 5 * SECOND);
    let repeated = sent(&mut clients);
    assert_eq!(secs(&repeated), 5);
    clients.take(&answer(&repeated, 2, 1, 60), now + 6 * SECOND);
    assert_eq!(secs(&sent(&mut clients)), 5);
    clients.expire(now + 9 * SECOND);
    let request = sent(&mut clients);
    assert_eq!(secs(&request), 5);
    clients.take(&answer(&request, 5, 1, 60), now + 9 * SECOND);
    assert_eq!(completed(&clients), 1);
}

#[test]
fn the_first_offer_is_taken_and_others_are_counted() {
    let mut clients = clients(1);
    let now = clock::now();
    clients.begin(Operation::Obtain, now);
    let discover = sent(&mut clients);
    clients.take(&answer(&discover, 2, 1, 60), now);
    clients.take(&answer(&discover, 2, 2, 90), now);
    let request = sent(&mut clients);
    clients.take(&answer(&discover, 2, 3, 90), now);
    assert_eq!(server_id(&request), Some(1));
    assert_eq!(clients.statistics.further_offers, 2);
    clients.take(&answer(&request, 5, 1, 60), now);
    assert_eq!(completed(&clients), 1);
}

/// A server that answers one DISCOVER twice, or a REQUEST with an OFFER, is wrong.
#[test]
fn a_second_offer_of_the_same_server_is_a_violation_unless_it_was_asked_twice() {
    for repeats in [false, true] {
        let mut clients = clients(1);
        let now = clock::now();
        clients.begin(Operation::Obtain, now);
        let mut discover = sent(&mut clients);
        if repeats {
            clients.expire(now + SECOND);
            discover = sent(&mut clients);
        }
        clients.take(&answer(&discover, 2, 1, 60), now);
        clients.take(&answer(&discover, 2, 1, 60), now);
        let violations = clients.statistics.violations.total();
        assert_eq!(violations, u64::from(!repeats), "{repeats}");
    }
}

#[test]
fn of_the_offers_that_came_in_time_the_longest_is_taken() {
    for heard in [1, 2, 3] {
        let mut clients = clients(3);
        let now = clock::now();
        clients.begin(Operation::Obtain, now);
        let discover = sent(&mut clients);
        for (server, seconds) in [(1, 60), (2, 90), (3, 90)].into_iter().take(heard) {
            assert!(clients.outbox.is_empty());
            clients.take(&answer(&discover, 2, server, seconds), now);
        }
        clients.expire(now + SECOND);
        let request = sent(&mut clients);
        let best = if heard == 1 { 1 } else { 2 };
        assert_eq!(server_id(&request), Some(best), "of {heard}");
        clients.take(&answer(&request, 5, best, 90), now + SECOND);
        assert_eq!(completed(&clients), 1);
    }
}
