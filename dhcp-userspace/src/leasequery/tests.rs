use super::*;
use dhcp_core::leasequery::{Leasequery, Requestors};
use dhcp_lease::context::ItemKind;
use dhcp_lease::{Binding, ChangeLog, Durability, Lease, PoolRange, Pools, State, SubnetId};
use dhcp_wire::id::{ClientId, HardwareAddress};
use dhcp_wire::v4::{BOOTREQUEST, Builder, Header, Message, MessageType, code};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream as Client};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::AsyncReadExt as _;

mod active;

const NOW: Timestamp = Timestamp(1_790_000_000);
const XID: u32 = 0x6926;

struct World {
    policy: Arc<Policy>,
    partitions: Partitions,
    feed: Option<Arc<Feed>>,
    now: AtomicU64,
}

impl Leases for World {
    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy)
    }

    fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }

    fn feed(&self) -> Option<Arc<Feed>> {
        self.feed.clone()
    }
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 + number)
}

/// So many addresses, of which every fifth is leased, every tenth released and one declined. Leases of odd tens
/// are behind relay agent 1, the others behind 2.
fn world(count: u32, requestors: &str) -> Arc<World> {
    let range = PoolRange {
        first: Lease::V4(address(0)),
        count: u64::from(count),
    };
    let policy = Policy {
        pools: Pools::new(&[range], &[]),
        leasequery: Some(Leasequery {
            requestors: vec![Requestors {
                network: requestors.parse().unwrap(),
                prefix_len: 32,
            }],
            rate_max: 1,
            options: Box::new([
                code::LEASE_TIME,
                code::CLIENT_IDENTIFIER,
                code::RELAY_AGENT,
                code::CLIENT_LAST_TRANSACTION_TIME,
            ]),
        }),
        ..Policy::default()
    };
    let partitions = Partitions::in_memory(4, count as usize, Durability::Process);
    let mut log = ChangeLog::default();
    for number in (0..count).step_by(5) {
        let client = number.to_be_bytes();
        let mut binding = Binding {
            lease: Lease::V4(address(number)),
            state: State::Leased,
            subnet: SubnetId(1),
            client: ClientId::new(&client).unwrap(),
            hardware: HardwareAddress::ethernet([2, 0, 0, 0, 0, (number % 250) as u8]),
            last_transaction: Timestamp(NOW.0 - u64::from(number)),
            expires: NOW.after(3600),
            valid_seconds: 3600,
            ..Binding::default()
        };
        let relay = 1 + (number / 10 % 2) as u8;
        let agent = [
            code::AGENT_RELAY_ID,
            1,
            relay,
            code::AGENT_REMOTE_ID,
            1,
            relay,
        ];
        binding.context.insert(ItemKind::AGENT, &agent);
        let mut partition = partitions.lock(partitions.index_of(&client)).unwrap();
        let mut commit = |slot, binding: &Binding| {
            let committed = partition.commit(slot, binding, &policy.pools, &mut log, NOW);
            committed.unwrap()
        };
        let slot = commit(None, &binding);
        if number % 10 == 0 {
            binding.state = State::Released;
            binding.expires = Timestamp(NOW.0 - 7);
            commit(Some(slot), &binding);
        } else if number == 5 {
            binding.state = State::Declined;
            commit(Some(slot), &binding);
        }
    }
    partitions.file_all(|| false);
    let policy = Arc::new(policy);
    Arc::new(World {
        policy,
        partitions,
        feed: None,
        now: NOW.0.into(),
    })
}

fn listener(world: &Arc<World>, connections_max: u32, timeout_seconds: u32) -> Listener {
    let settings = BulkSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        connections_max,
        connections_per_requestor: connections_max,
        timeout_seconds,
        tls: None,
        active: None,
    };
    Listener::start(settings, Arc::clone(world) as Arc<dyn Leases>).unwrap()
}

fn connect(listener: &Listener) -> Client {
    let client = Client::connect(listener.listens_on()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    client
}

/// A bulk query with its length.
fn query(fill: impl FnOnce(&mut Header), options: &[(u8, &[u8])]) -> Vec<u8> {
    of_kind(MessageType::BULKLEASEQUERY, fill, options)
}

fn of_kind(kind: MessageType, fill: impl FnOnce(&mut Header), options: &[(u8, &[u8])]) -> Vec<u8> {
    let mut header = Header::new(BOOTREQUEST);
    header.xid.set(XID);
    fill(&mut header);
    let mut room = [0; 600];
    let mut builder = Builder::new(&mut room, 548, &header).unwrap();
    builder.push(code::MESSAGE_TYPE, &[kind.0]).unwrap();
    let wishes = [51, 58, 61, 82, 91, 92, 152, 153, 156];
    builder.push(code::PARAMETER_REQUEST_LIST, &wishes).unwrap();
    for (code, data) in options {
        builder.push(*code, data).unwrap();
    }
    let len = builder.finish();
    [&(len as u16).to_be_bytes(), &room[..len]].concat()
}

/// A message of the server: type, ciaddr, options.
type Told = (MessageType, Ipv4Addr, BTreeMap<u8, Vec<u8>>);

fn read(client: &mut impl Read) -> Told {
    let mut length = [0; 2];
    client.read_exact(&mut length).unwrap();
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    client.read_exact(&mut octets).unwrap();
    let message = Message::parse(&octets).unwrap();
    assert_eq!(message.header.xid.get(), XID);
    let options = message.options().map(Result::unwrap);
    let options = options
        .map(|piece| (piece.code, piece.data.to_vec()))
        .collect();
    let kind = message.message_type().unwrap().unwrap();
    (kind, message.header.ciaddr(), options)
}

/// All messages of an answer, and the last one's options.
fn ask(client: &mut (impl Read + Write), query: &[u8]) -> (Vec<Told>, BTreeMap<u8, Vec<u8>>) {
    client.write_all(query).unwrap();
    let mut all: Vec<Told> = Vec::new();
    loop {
        let (kind, ciaddr, options) = read(client);
        // RFC 6926 section 8.3 [bulk-server-id]: in the first message alone.
        let is_named = options.contains_key(&code::SERVER_IDENTIFIER);
        assert_eq!(is_named, all.is_empty(), "{ciaddr}");
        if kind == MessageType::LEASEQUERYDONE {
            return (all, options);
        }
        all.push((kind, ciaddr, options));
    }
}

fn active(answer: &[Told]) -> Vec<Ipv4Addr> {
    let all = answer
        .iter()
        .inspect(|(kind, ..)| assert_eq!(*kind, MessageType::LEASEACTIVE));
    let mut addresses: Vec<_> = all.map(|(_, address, _)| *address).collect();
    addresses.sort_unstable();
    addresses
}

// RFC 6926 section 8.2 [bulk-all], section 8.2 [bulk-once], section 8.2 [bulk-done], section 8.3 [bulk-message-type],
// section 8.3 [bulk-base-time], section 8.3 [bulk-start-time], section 8.3 [bulk-lease-time], section 8.3
// [bulk-last-transaction], section 8.3 [bulk-wishes], section 8.4 [bulk-many-queries], section 5
// [bulk-no-associated]: a test of these.
#[test]
fn every_configured_address_is_told_once() {
    let world = world(1000, "127.0.0.1");
    let listener = listener(&world, 10, 30);
    let mut client = connect(&listener);
    for _ in 0..2 {
        let (answer, done) = ask(&mut client, &query(|_| (), &[]));
        assert!(!done.contains_key(&code::STATUS_CODE), "{done:?}");
        assert_eq!(answer.len(), 1000);
        for (number, (kind, address, options)) in answer.iter().enumerate() {
            let number = number as u32;
            assert_eq!(*address, self::address(number));
            let (state, lease, since) = match number {
                5 => (5, Some(3600), Some(5)),
                _ if number.is_multiple_of(10) => (4, None, Some(7)),
                _ if number % 10 == 5 => (2, Some(3600), Some(number)),
                _ => (1, None, None),
            };
            let is_active = *kind == MessageType::LEASEACTIVE;
            assert_eq!(is_active, state == 2, "{address}");
            assert!(is_active || *kind == MessageType::LEASEUNASSIGNED);
            assert_eq!(options[&code::DHCP_STATE], [state]);
            assert_eq!(options[&code::BASE_TIME], (NOW.0 as u32).to_be_bytes());
            let seconds = |code: u8| {
                let data = options.get(&code)?;
                Some(u32::from_be_bytes(data.as_slice().try_into().unwrap()))
            };
            assert_eq!(seconds(code::LEASE_TIME), lease, "{address}");
            assert_eq!(seconds(code::START_TIME_OF_STATE), since, "{address}");
            let heard = number.is_multiple_of(5).then_some(number);
            assert_eq!(
                seconds(code::CLIENT_LAST_TRANSACTION_TIME),
                heard,
                "{address}"
            );
            assert_eq!(options.contains_key(&code::RELAY_AGENT), is_active);
            assert!(!options.contains_key(&code::ASSOCIATED_IP));
        }
    }
}

// RFC 6926 section 8.2 [bulk-active], section 8.2 [bulk-window]: a test of both.
#[test]
fn a_query_for_a_client_tells_of_its_leases_alone() {
    let world = world(2000, "127.0.0.1");
    let listener = listener(&world, 10, 30);
    let mut client = connect(&listener);
    let live = |is_it: &dyn Fn(u32) -> bool| -> Vec<Ipv4Addr> {
        let all = (15..2000).step_by(10).filter(|&number| is_it(number));
        all.map(address).collect()
    };
    let card = |header: &mut Header| {
        (header.htype, header.hlen) = (1, 6);
        header.chaddr[..6].copy_from_slice(&[2, 0, 0, 0, 0, 15]);
    };
    let (answer, _) = ask(&mut client, &query(card, &[]));
    assert_eq!(active(&answer), live(&|number| number % 250 == 15));
    let id = 25u32.to_be_bytes();
    let (answer, _) = ask(
        &mut client,
        &query(|_| (), &[(code::CLIENT_IDENTIFIER, &id)]),
    );
    assert_eq!(active(&answer), [address(25)]);
    for code in [code::AGENT_REMOTE_ID, code::AGENT_RELAY_ID] {
        let agent = [code, 1, 2];
        let (answer, _) = ask(&mut client, &query(|_| (), &[(code::RELAY_AGENT, &agent)]));
        assert_eq!(
            active(&answer),
            live(&|number| number / 10 % 2 == 1),
            "{code}"
        );
        let from = (NOW.0 as u32 - 500).to_be_bytes();
        let until = (NOW.0 as u32 - 300).to_be_bytes();
        let options = [
            (code::RELAY_AGENT, &agent[..]),
            (code::QUERY_START_TIME, &from[..]),
            (code::QUERY_END_TIME, &until[..]),
        ];
        let (answer, _) = ask(&mut client, &query(|_| (), &options));
        let wanted = live(&|number| number / 10 % 2 == 1 && (300..=500).contains(&number));
        assert_eq!(active(&answer), wanted);
    }
    let (answer, done) = ask(
        &mut client,
        &query(|_| (), &[(code::CLIENT_IDENTIFIER, b"nobody")]),
    );
    assert!(answer.is_empty() && !done.contains_key(&code::STATUS_CODE));
}

// RFC 6926 section 8.2 [bulk-no-addresses], section 8.2 [bulk-one-primary], section 8.2 [bulk-vpn]: a test of these.
// The connection goes on.
#[test]
fn what_cannot_be_answered_is_refused_with_a_status() {
    let world = world(100, "127.0.0.1");
    let listener = listener(&world, 10, 30);
    let mut client = connect(&listener);
    let status = |client: &mut Client, query: &[u8]| {
        let (answer, done) = ask(client, query);
        assert!(answer.is_empty());
        done.get(&code::STATUS_CODE)
            .and_then(|data| data.first().copied())
    };
    let agent = [code::AGENT_REMOTE_ID, 1, 2];
    let two = [
        (code::CLIENT_IDENTIFIER, &b"one"[..]),
        (code::RELAY_AGENT, &agent[..]),
    ];
    for (query, wanted) in [
        (query(|header| header.ciaddr = [10, 0, 0, 1], &[]), 3),
        (query(|header| header.yiaddr = [10, 0, 0, 1], &[]), 3),
        (query(|header| header.siaddr = [10, 0, 0, 1], &[]), 3),
        (query(|header| header.hlen = 17, &[]), 3),
        (query(|_| (), &[(code::QUERY_START_TIME, &[1, 2, 3])]), 3),
        (query(|_| (), &two), 4),
        (query(|_| (), &[(code::VPN, &[0, b'r', b'e', b'd'])]), 4),
    ] {
        assert_eq!(status(&mut client, &query), Some(wanted));
    }
    let (answer, _) = ask(&mut client, &query(|_| (), &[(code::VPN, &[254])]));
    assert_eq!(answer.len(), 100);
}

// RFC 6926 section 8.1 [bulk-requestors], section 8.1 [bulk-connections], section 8.5 [bulk-close]: a test of these.
#[test]
fn strangers_and_too_many_are_shown_out() {
    let is_closed = |mut client: Client| matches!(client.read(&mut [0; 1]), Ok(0) | Err(_));
    let strange = world(100, "192.0.2.1");
    let listener_of_strange = listener(&strange, 10, 30);
    assert!(is_closed(connect(&listener_of_strange)));
    let known = world(100, "127.0.0.1");
    let listener = listener(&known, 2, 30);
    let mut first = connect(&listener);
    let mut second = connect(&listener);
    for client in [&mut first, &mut second] {
        assert_eq!(ask(client, &query(|_| (), &[])).0.len(), 100);
    }
    assert!(is_closed(connect(&listener)));
    first.shutdown(Shutdown::Both).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let again = std::iter::from_fn(|| Some(connect(&listener))).find(|client| {
        assert!(Instant::now() < deadline, "there is room again");
        let mut client = client.try_clone().unwrap();
        client.write_all(&query(|_| (), &[])).is_ok()
            && client.read(&mut [0; 1]).is_ok_and(|read| read == 1)
    });
    assert!(again.is_some());
}

// RFC 6926 section 8.2 [bulk-blocked], section 8.1 [bulk-blocked-reading], section 6.1 [bulk-framing], section 8.4
// [bulk-read-ahead]: a test of these. A requestor that sends half a query, none, nonsense, or that does not read, is closed in time, and
// others are answered meanwhile.
#[test]
fn who_makes_no_progress_is_closed() {
    let world = world(200_000, "127.0.0.1");
    let listener = listener(&world, 10, 1);
    let closed = |mut client: Client| {
        let mut sink = [0; 65_536];
        let began = Instant::now();
        while matches!(client.read(&mut sink), Ok(read) if read > 0) {
            assert!(began.elapsed() < Duration::from_secs(20));
        }
    };
    let silent = connect(&listener);
    let mut half = connect(&listener);
    half.write_all(&query(|_| (), &[])[..100]).unwrap();
    let mut nonsense = connect(&listener);
    nonsense.write_all(&[0xff; 600]).unwrap();
    let mut short = connect(&listener);
    short.write_all(&[0, 3, 1, 2, 3]).unwrap();
    let mut deaf = connect(&listener);
    deaf.write_all(&query(|_| (), &[])).unwrap();
    let mut busy = connect(&listener);
    let id = 25u32.to_be_bytes();
    let (answer, _) = ask(&mut busy, &query(|_| (), &[(code::CLIENT_IDENTIFIER, &id)]));
    assert_eq!(active(&answer), [address(25)]);
    for client in [silent, half, nonsense, short] {
        closed(client);
    }
    // It has read nothing for longer than the server waits.
    std::thread::sleep(Duration::from_secs(3));
    let mut octets = 0;
    let mut sink = vec![0; 1 << 20];
    while let Ok(read) = deaf.read(&mut sink)
        && read > 0
    {
        octets += read;
    }
    assert!(octets < 200_000 * 300, "the answer was cut off");
}

// RFC 7724 section 8.1.1 [bulk-unknown-type]: a test of it.
#[test]
fn what_is_not_asked_by_tcp_ends_the_connection() {
    let world = world(100, "127.0.0.1");
    let listener = listener(&world, 10, 30);
    for kind in [
        MessageType::LEASEQUERY,
        MessageType::DISCOVER,
        MessageType(99),
    ] {
        let mut client = connect(&listener);
        client.write_all(&of_kind(kind, |_| (), &[])).unwrap();
        assert!(
            matches!(client.read(&mut [0; 1]), Ok(0) | Err(_)),
            "{kind:?}"
        );
    }
}

// RFC 6926 section 8.4 [bulk-per-requestor]: a test of it.
#[test]
fn one_requestor_does_not_take_all_connections() {
    let world = world(100, "127.0.0.1");
    let settings = BulkSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        connections_max: 10,
        connections_per_requestor: 1,
        timeout_seconds: 30,
        tls: None,
        active: None,
    };
    let listener = Listener::start(settings, Arc::clone(&world) as Arc<dyn Leases>).unwrap();
    let mut first = connect(&listener);
    assert_eq!(ask(&mut first, &query(|_| (), &[])).0.len(), 100);
    let mut second = connect(&listener);
    assert!(matches!(second.read(&mut [0; 1]), Ok(0) | Err(_)));
}

// RFC 6926 section 8.5 [bulk-abort], section 8.5 [bulk-graceful], section 8.5 [bulk-close]: a test of these. The
// server ends in the middle of an answer, and the requestor knows that there is more.
#[test]
fn an_answer_that_is_broken_off_says_so() {
    let world = world(200_000, "127.0.0.1");
    let listener = listener(&world, 10, 30);
    let mut client = connect(&listener);
    client.write_all(&query(|_| (), &[])).unwrap();
    read(&mut client);
    let ending = std::thread::spawn(move || drop(listener));
    let mut count = 1;
    let status = loop {
        let (kind, _, options) = read(&mut client);
        if kind == MessageType::LEASEQUERYDONE {
            break options.get(&code::STATUS_CODE).cloned().unwrap();
        }
        count += 1;
    };
    assert!(count < 200_000, "there was more");
    assert_eq!(status, [&[2], &b"the server ends"[..]].concat());
    assert_eq!(
        client.read(&mut [0; 1]).unwrap(),
        0,
        "it is closed in good order"
    );
    ending.join().unwrap();
}

// RFC 6926 section 6.1 [bulk-framing]: a test of it. Octets come in whatever pieces the network makes of them.
#[test]
fn what_comes_in_pieces_is_put_together() {
    let world = world(20, "127.0.0.1");
    let of_all = query(|_| (), &[]);
    let of_one = query(|_| (), &[(code::CLIENT_IDENTIFIER, &15u32.to_be_bytes())]);
    let octets = [&of_all[..], &of_one, &of_one].concat();
    let whole = answered(&world, &[&octets]);
    assert_eq!(whole.len(), 21 + 2 + 2);
    for size in [1, 2, 3, 7, 236, 300] {
        let pieces: Vec<&[u8]> = octets.chunks(size).collect();
        assert_eq!(answered(&world, &pieces), whole, "in pieces of {size}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(300))]

    // RFC 6926 section 6.1 [bulk-framing]: a test of it. Whatever comes, what is answered is whole messages.
    #[test]
    fn damaged_queries_get_whole_answers_or_none(
        injuries in proptest::collection::vec((0..1000usize, proptest::num::u8::ANY), 0..8),
        cut in 0..1000usize,
        size in 1..400usize,
    ) {
        let world = world(20, "127.0.0.1");
        let of_one = query(|_| (), &[(code::CLIENT_IDENTIFIER, &15u32.to_be_bytes())]);
        let mut octets = [&query(|_| (), &[])[..], &of_one, &of_one].concat();
        for (place, octet) in injuries {
            let place = place % octets.len();
            octets[place] = octet;
        }
        octets.truncate(octets.len() - cut % octets.len());
        let pieces: Vec<&[u8]> = octets.chunks(size).collect();
        answered(&world, &pieces);
    }
}

/// What is answered to octets in pieces: types and addresses.
fn answered(world: &Arc<World>, pieces: &[&[u8]]) -> Vec<(u8, Ipv4Addr)> {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let (near, far) = tokio::io::duplex(64 << 10);
    let (_stop, stopping) = watch::channel(false);
    let connection = Connection {
        stream: far,
        peer: "127.0.0.1".parse().unwrap(),
        server: Ipv4Addr::LOCALHOST,
        leases: Arc::clone(world) as Arc<dyn Leases>,
        patience: Duration::from_secs(30),
        active: None,
        is_secret: false,
        stopping,
    };
    let mut octets = Vec::new();
    runtime.block_on(async {
        let (mut reader, mut writer) = tokio::io::split(near);
        let write = async {
            for piece in pieces {
                // The server may have had enough.
                if writer.write_all(piece).await.is_err() {
                    break;
                }
            }
            let _ = writer.shutdown().await;
        };
        let read = reader.read_to_end(&mut octets);
        let (ended, (), read) = tokio::join!(connection.converse(), write, read);
        read.unwrap();
        drop(ended);
    });
    let mut rest = octets.as_slice();
    let mut all = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (octets, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        let message = Message::parse(octets).unwrap();
        let kind = message.message_type().unwrap().unwrap();
        all.push((kind.0, message.header.ciaddr()));
        rest = after;
    }
    assert!(rest.is_empty(), "half a message");
    all
}

#[test]
fn a_listener_ends_though_requestors_are_there() {
    let world = world(100, "127.0.0.1");
    let listener = listener(&world, 10, 300);
    let mut client = connect(&listener);
    assert_eq!(ask(&mut client, &query(|_| (), &[])).0.len(), 100);
    drop(listener);
    assert!(matches!(client.read(&mut [0; 1]), Ok(0) | Err(_)));
    assert_eq!(
        Arc::strong_count(&world),
        1,
        "nobody holds on to the leases"
    );
}
