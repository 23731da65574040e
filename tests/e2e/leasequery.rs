//! A relay agent that has lost its tables asks for them: by UDP, one question after the other, and by TCP for all
//! of them.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails panics"
)]

use dhcp_tests::lab::capture::Capture;
use dhcp_tests::lab::client::PATIENCE;
use dhcp_tests::lab::leasequery::{Identity, Told, ask, connect, query, read, secret};
use dhcp_tests::lab::process::eventually;
use dhcp_tests::lab::server::Server;
use dhcp_tests::lab::{CLIENT_INTERFACE, Link};
use dhcp_wire::v4::{BOOTREQUEST, Builder, Header, Message, MessageType, code};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

/// The relay agent is where the clients are; its own address is the requestor's.
const CONFIG: &str = r#"
interfaces = ["srv0"]

[leasequery]
requestors = ["10.9.0.2"]

[[subnet4]]
subnet = "10.8.0.0/16"
pools = ["10.8.1.0-10.8.1.255"]
relay = { ip-addresses = ["10.9.0.2"] }
valid-lifetime = 600
"#;

const RELAY: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 3);
const CARD: [u8; 6] = card(1);
const CLIENT: [u8; 4] = [0, b'c', b'p', b'e'];
/// Circuit-Id and Remote-Id.
const AGENT: [u8; 8] = [1, 2, 0, 7, 2, 2, 0xaa, 0xbb];
/// The Remote-Id alone.
const LINE: [u8; 4] = [2, 2, 0xaa, 0xbb];

const fn card(number: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, number]
}

/// What asks.
struct Requestor {
    socket: UdpSocket,
    address: Ipv4Addr,
}

/// What was answered.
struct Answer {
    kind: MessageType,
    ciaddr: Ipv4Addr,
    yiaddr: Ipv4Addr,
    chaddr: [u8; 6],
    agent: Option<Vec<u8>>,
    lease_seconds: Option<u32>,
}

impl Requestor {
    fn new(link: &Link, address: Ipv4Addr) -> Self {
        let socket = link
            .clients
            .within(|| UdpSocket::bind((address, 67)).unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, address }
    }

    fn send(&self, kind: MessageType, fill: impl FnOnce(&mut Header), options: &[(u8, &[u8])]) {
        let mut header = Header::new(BOOTREQUEST);
        header.xid.set(0x4388);
        header.giaddr = self.address.octets();
        fill(&mut header);
        let mut payload = [0; 576];
        let mut builder = Builder::new(&mut payload, 548, &header).unwrap();
        builder.push(code::MESSAGE_TYPE, &[kind.0]).unwrap();
        for (code, data) in options {
            builder.push(*code, data).unwrap();
        }
        let len = builder.finish();
        self.socket.send_to(&payload[..len], "10.9.0.1:67").unwrap();
    }

    fn answer(&self) -> Answer {
        let mut payload = [0; 1500];
        let len = self.socket.recv(&mut payload).expect("an answer");
        let message = Message::parse(&payload[..len]).unwrap();
        let option = |code: u8| {
            let mut all = message.options().map(Result::unwrap);
            all.find(|piece| piece.code == code)
                .map(|piece| piece.data.to_vec())
        };
        Answer {
            kind: message.message_type().unwrap().unwrap(),
            ciaddr: message.header.ciaddr(),
            yiaddr: message.header.yiaddr(),
            chaddr: message.header.chaddr[..6].try_into().unwrap(),
            agent: option(code::RELAY_AGENT),
            lease_seconds: option(code::LEASE_TIME)
                .map(|data| u32::from_be_bytes(data.try_into().unwrap())),
        }
    }

    fn query(&self, fill: impl FnOnce(&mut Header), options: &[(u8, &[u8])]) -> Answer {
        let wishes: (u8, &[u8]) = (code::PARAMETER_REQUEST_LIST, &[51, 61, 82, 91, 92]);
        let options = [&[wishes], options].concat();
        self.send(MessageType::LEASEQUERY, fill, &options);
        self.answer()
    }

    /// A client behind the relay agent gets its lease.
    fn lease(&self, card: [u8; 6], client: &[u8], agent: &[u8]) -> Ipv4Addr {
        let card = |header: &mut Header| {
            (header.htype, header.hlen) = (1, 6);
            header.chaddr[..6].copy_from_slice(&card);
        };
        let who = [
            (code::CLIENT_IDENTIFIER, client),
            (code::RELAY_AGENT, agent),
        ];
        self.send(MessageType::DISCOVER, card, &who);
        let offer = self.answer();
        assert_eq!(offer.kind, MessageType::OFFER);
        let chosen = offer.yiaddr.octets();
        let server = [10, 9, 0, 1];
        let wanted = [
            (code::REQUESTED_ADDRESS, &chosen[..]),
            (code::SERVER_IDENTIFIER, &server[..]),
        ];
        self.send(
            MessageType::REQUEST,
            card,
            &[&wanted[..], &who[..]].concat(),
        );
        let acknowledged = self.answer();
        assert_eq!(acknowledged.kind, MessageType::ACK);
        acknowledged.yiaddr
    }
}

#[test]
fn a_relay_agent_learns_what_it_has_lost() {
    let link = Link::new(1);
    for address in [RELAY, STRANGER] {
        link.clients
            .add_address(CLIENT_INTERFACE, &format!("{address}/16"));
    }
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    let capture = Capture::start(&link.clients, CLIENT_INTERFACE, link.folder());
    let relay = Requestor::new(&link, RELAY);
    let address = relay.lease(CARD, &CLIENT, &AGENT);

    let client_id = [(code::CLIENT_IDENTIFIER, &CLIENT[..])];
    let line = [(code::RELAY_AGENT, &LINE[..])];
    let by_address = relay.query(|header| header.ciaddr = address.octets(), &[]);
    let by_card = relay.query(
        |header| {
            (header.htype, header.hlen) = (1, 6);
            header.chaddr[..6].copy_from_slice(&CARD);
        },
        &[],
    );
    let by_client = relay.query(|_| (), &client_id);
    let by_line = relay.query(|_| (), &line);
    for answer in [by_address, by_card, by_client, by_line] {
        assert_eq!(answer.kind, MessageType::LEASEACTIVE);
        assert_eq!((answer.ciaddr, answer.chaddr), (address, CARD));
        assert_eq!(answer.agent.as_deref(), Some(&AGENT[..]), "where it is");
        assert!(matches!(answer.lease_seconds, Some(500..=600)));
    }
    let free = relay.query(|header| header.ciaddr = [10, 8, 1, 200], &[]);
    assert_eq!(free.kind, MessageType::LEASEUNASSIGNED);
    let foreign = relay.query(|header| header.ciaddr = [192, 0, 2, 1], &[]);
    assert_eq!(foreign.kind, MessageType::LEASEUNKNOWN);

    let stranger = Requestor::new(&link, STRANGER);
    let deadline = Some(Duration::from_secs(1));
    stranger.socket.set_read_timeout(deadline).unwrap();
    stranger.send(
        MessageType::LEASEQUERY,
        |header| header.ciaddr = address.octets(),
        &[],
    );
    assert!(
        stranger.socket.recv(&mut [0; 1500]).is_err(),
        "it is told nothing"
    );
    eventually(PATIENCE, "the refusal to be counted", || {
        let stats = server.ctl(&["stats"]);
        let counted = &stats["discards"]["leasequery_refused"];
        (counted.as_u64() == Some(1)).then_some(())
    });
    drop((relay, stranger));
    capture.check(&link.server_mac());
}

/// Codes and data.
type Options<'a> = &'a [(u8, &'a [u8])];
/// Whether a client's leases are wanted.
type WhichClients<'a> = &'a dyn Fn(usize) -> bool;

/// How many clients are behind the relay agent.
const CLIENTS: u8 = 20;
const SERVER: &str = "10.9.0.1:67";

/// Circuit, one of two Remote-Ids, and the relay agent's own name (RFC 6925).
fn agent(number: u8) -> [u8; 11] {
    [1, 1, number, 2, 1, number % 2, 12, 3, b'b', b'n', b'g']
}

#[test]
fn a_relay_agent_gets_its_whole_table_by_tcp() {
    let link = Link::new(1);
    for address in [RELAY, STRANGER] {
        link.clients
            .add_address(CLIENT_INTERFACE, &format!("{address}/16"));
    }
    let bulk = "options = [51, 61, 82, 91]\n[leasequery.bulk]\naddress = \"10.9.0.1\"\n";
    let config = CONFIG.replace("\n[[subnet4]]", &format!("{bulk}\n[[subnet4]]"));
    let mut server = Server::configured(&link.file("server"), &config);
    server.start(&link.server);
    let relay = Requestor::new(&link, RELAY);
    let leased: Vec<Ipv4Addr> = (0..CLIENTS)
        .map(|number| relay.lease(card(number), &[0, number], &agent(number)))
        .collect();

    let at = SERVER.parse().unwrap();
    let mut asking = connect(&link.clients, RELAY, at);
    // Somebody who asks for everything, many times, and reads nothing.
    let mut deaf = connect(&link.clients, RELAY, at);
    let all = query(MessageType::BULKLEASEQUERY, 1, |_| (), &[]);
    deaf.write_all(&all.repeat(20)).unwrap();

    let (told, done) = ask(&mut asking, &all);
    assert_eq!((told.len(), done.status()), (256, None), "every address");
    for told in &told {
        let client = leased.iter().position(|address| *address == told.ciaddr);
        let kind = match client {
            Some(_) => MessageType::LEASEACTIVE,
            None => MessageType::LEASEUNASSIGNED,
        };
        assert_eq!((told.xid, told.kind), (1, kind), "{}", told.ciaddr);
        if let Some(number) = client {
            let number = number as u8;
            assert_eq!(told.chaddr, card(number));
            assert_eq!(told.options[&code::RELAY_AGENT], agent(number));
            assert_eq!(told.options[&code::DHCP_STATE], [2]);
            assert!(matches!(told.seconds(code::LEASE_TIME), Some(500..=600)));
        }
    }
    let of_card = |header: &mut Header| {
        (header.htype, header.hlen) = (1, 6);
        header.chaddr[..6].copy_from_slice(&card(3));
    };
    let is_of = |number: usize| number == 3;
    let later = u32::MAX.to_be_bytes();
    let odd = [2, 1, 1];
    let here = [12, 3, b'b', b'n', b'g'];
    let nowhere = [12, 3, b'b', b'r', b'a'];
    let asked: [(Options<'_>, WhichClients<'_>); 5] = [
        (&[(code::CLIENT_IDENTIFIER, &[0, 3])], &is_of),
        (&[(code::RELAY_AGENT, &odd)], &|number| number % 2 == 1),
        (&[(code::RELAY_AGENT, &here)], &|_| true),
        (&[(code::RELAY_AGENT, &nowhere)], &|_| false),
        (&[(code::QUERY_START_TIME, &later)], &|_| false),
    ];
    let wanted = |is_it: WhichClients<'_>| {
        let all = leased.iter().enumerate();
        let mut all: Vec<Ipv4Addr> = all.filter(|it| is_it(it.0)).map(|it| *it.1).collect();
        all.sort_unstable();
        all
    };
    let mut addresses = |query: &[u8]| {
        let (told, done) = ask(&mut asking, query);
        assert_eq!(done.status(), None);
        let mut all: Vec<Ipv4Addr> = told.iter().map(|told| told.ciaddr).collect();
        all.sort_unstable();
        all
    };
    for (xid, (options, is_it)) in (2..).zip(asked) {
        let query = query(MessageType::BULKLEASEQUERY, xid, |_| (), options);
        assert_eq!(addresses(&query), wanted(is_it), "{options:?}");
    }
    let of_card = query(MessageType::BULKLEASEQUERY, 9, of_card, &[]);
    assert_eq!(addresses(&of_card), wanted(&is_of));

    let mut stranger = connect(&link.clients, STRANGER, at);
    assert!(matches!(stranger.read(&mut [0; 1]), Ok(0) | Err(_)));
    // Clients are served all the while.
    relay.lease(card(99), &[0, 99], &agent(99));
    drop(deaf);
}

/// The next message that tells of a lease.
fn change(stream: &mut impl std::io::Read) -> Told {
    loop {
        let told = read(stream).expect("the connection lasts");
        if told.kind != MessageType::LEASEQUERYSTATUS {
            return told;
        }
        assert_eq!(told.status(), Some(6), "it is only kept alive");
    }
}

/// What is told by a secret connection of a lease that is granted, given back by the operator, granted again and
/// let expire, and of the server's end and return.
fn changes_are_told(durability: &str) {
    let link = Link::new(1);
    link.clients
        .add_address(CLIENT_INTERFACE, &format!("{RELAY}/16"));
    let (dhcp, bng) = (Identity::new("dhcp.example.net"), Identity::new("bng"));
    let file = |name: &str, text: &str| {
        let path = link.file(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let tables = format!(
        "options = [51, 61, 82]\n[leasequery.bulk]\n[leasequery.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n\
         client-ca = \"{}\"\n[leasequery.active]\nidle-timeout = 1\n",
        file("dhcp.crt", &dhcp.certificate),
        file("dhcp.key", &dhcp.key),
        file("bng-ca.crt", &bng.authority),
    );
    let config = CONFIG.replace("\n[[subnet4]]", &format!("{tables}\n[[subnet4]]"));
    let config = config.replace("= 600", "= 4");
    let config = format!("durability = \"{durability}\"\n{config}");
    let mut server = Server::configured(&link.file("server"), &config);
    server.start(&link.server);
    let relay = Requestor::new(&link, RELAY);
    let join = || {
        let stream = connect(&link.clients, RELAY, SERVER.parse().unwrap());
        secret(stream, ("dhcp.example.net", &dhcp.authority), &bng)
    };
    let mut told = join();
    let active = |from: Option<u32>| {
        let from = from.map(u32::to_be_bytes);
        let option = from.iter().map(|from| (code::QUERY_START_TIME, &from[..]));
        let options: Vec<(u8, &[u8])> = option.collect();
        query(MessageType::ACTIVELEASEQUERY, 7, |_| (), &options)
    };
    told.write_all(&active(None)).unwrap();
    let begun = read(&mut told).unwrap();
    assert_eq!(
        (begun.kind, begun.status()),
        (MessageType::LEASEQUERYSTATUS, Some(6))
    );

    let address = relay.lease(card(1), &[0, 1], &agent(1));
    let granted = change(&mut told);
    assert_eq!((granted.xid, granted.kind), (7, MessageType::LEASEACTIVE));
    assert_eq!((granted.ciaddr, granted.chaddr), (address, card(1)));
    assert_eq!(granted.options[&code::RELAY_AGENT], agent(1));
    let (done, said) = server.try_ctl(&["release", &address.to_string()]);
    assert!(done, "{said}");
    // What is told is what holds when it is told: of a lease that changes twice perhaps the last only.
    let mut released = change(&mut told);
    while released.kind == MessageType::LEASEACTIVE {
        released = change(&mut told);
    }
    assert_eq!(released.kind, MessageType::LEASEUNASSIGNED);
    assert_eq!(released.options[&code::DHCP_STATE], [4]);

    let address = relay.lease(card(2), &[0, 2], &agent(2));
    let granted = change(&mut told);
    assert_eq!(
        (granted.kind, granted.ciaddr),
        (MessageType::LEASEACTIVE, address)
    );
    let expired = change(&mut told);
    assert_eq!(
        (expired.kind, expired.ciaddr),
        (MessageType::LEASEUNASSIGNED, address)
    );
    assert_eq!(expired.options[&code::DHCP_STATE], [3]);

    server.process().signal("TERM");
    let farewell = std::iter::repeat_with(|| read(&mut told).unwrap());
    let farewell = { farewell }.find(|told| told.status() != Some(6)).unwrap();
    assert_eq!(farewell.status(), Some(2), "the server ends");
    let until = farewell.seconds(code::BASE_TIME).unwrap();
    server.process().wait(PATIENCE);
    server.start(&link.server);
    let mut told = join();
    told.write_all(&active(Some(until))).unwrap();
    let missing = read(&mut told).unwrap();
    assert_eq!(
        missing.status(),
        Some(5),
        "nothing is remembered over a restart"
    );
    let now = missing.seconds(code::BASE_TIME).unwrap();
    let window = [until, now].map(u32::to_be_bytes);
    let options = [
        (code::QUERY_START_TIME, &window[0][..]),
        (code::QUERY_END_TIME, &window[1][..]),
    ];
    let bulk = query(MessageType::BULKLEASEQUERY, 8, |_| (), &options);
    let (_, done) = ask(&mut join(), &bulk);
    assert_eq!(
        done.status(),
        None,
        "and this is how to learn what was missed"
    );
}

#[test]
fn changes_are_told_when_they_are_on_stable_storage() {
    changes_are_told("power");
}

#[test]
fn changes_are_told_when_they_are_in_the_table() {
    changes_are_told("process");
}
