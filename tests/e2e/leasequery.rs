//! A relay agent that has lost its tables asks for them: by UDP, one question after the other.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails panics"
)]

use dhcp_tests::lab::capture::Capture;
use dhcp_tests::lab::client::PATIENCE;
use dhcp_tests::lab::process::eventually;
use dhcp_tests::lab::server::Server;
use dhcp_tests::lab::{CLIENT_INTERFACE, Link};
use dhcp_wire::v4::{BOOTREQUEST, Builder, Header, Message, MessageType, code};
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
const CARD: [u8; 6] = [2, 0, 0, 0, 0, 1];
const CLIENT: [u8; 4] = [0, b'c', b'p', b'e'];
/// Circuit-Id and Remote-Id.
const AGENT: [u8; 8] = [1, 2, 0, 7, 2, 2, 0xaa, 0xbb];
/// The Remote-Id alone.
const LINE: [u8; 4] = [2, 2, 0xaa, 0xbb];

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
    fn lease(&self) -> Ipv4Addr {
        let card = |header: &mut Header| {
            (header.htype, header.hlen) = (1, 6);
            header.chaddr[..6].copy_from_slice(&CARD);
        };
        let who = [
            (code::CLIENT_IDENTIFIER, &CLIENT[..]),
            (code::RELAY_AGENT, &AGENT[..]),
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
    let address = relay.lease();

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
