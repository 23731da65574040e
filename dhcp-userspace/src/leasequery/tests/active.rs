//! Being told of changes, with TLS and without.

use super::*;
use dhcp_lease::SlotNumber;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::path::Path;

const ACTIVE: ActiveSettings = ActiveSettings {
    changes_max: 1024,
    send_timeout_seconds: 30,
    idle_timeout_seconds: 30,
};

fn active_world(count: u32, changes_max: u32) -> Arc<World> {
    let mut world = world(count, "127.0.0.1");
    let it = Arc::get_mut(&mut world).unwrap();
    it.feed = Some(Arc::new(Feed::new(changes_max, NOW)));
    it.now = (NOW.0 + 10).into();
    world
}

fn start(world: &Arc<World>, active: ActiveSettings, tls: Option<TlsFiles>) -> Listener {
    let settings = BulkSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        connections_max: 10,
        connections_per_requestor: 10,
        timeout_seconds: 30,
        tls,
        active: Some(active),
    };
    Listener::start(settings, Arc::clone(world) as Arc<dyn Leases>).unwrap()
}

/// An active query for what has changed since a moment.
fn since(from: Timestamp) -> Vec<u8> {
    let from = (from.0 as u32).to_be_bytes();
    of_kind(
        MessageType::ACTIVELEASEQUERY,
        |_| (),
        &[(code::QUERY_START_TIME, &from)],
    )
}

/// A status, which must have a base-time.
fn status(told: &Told) -> u8 {
    let (kind, _, options) = told;
    assert_eq!(*kind, MessageType::LEASEQUERYSTATUS, "{told:?}");
    assert_eq!(options[&code::BASE_TIME].len(), 4);
    options[&code::STATUS_CODE][0]
}

fn is_closed(client: &mut impl Read) -> bool {
    matches!(client.read(&mut [0; 1]), Ok(0) | Err(_))
}

impl World {
    fn feed(&self) -> &Feed {
        self.feed.as_ref().unwrap()
    }

    fn note(&self, numbers: impl IntoIterator<Item = u32>) {
        let leases = numbers.into_iter().map(|number| Lease::V4(address(number)));
        self.feed().note(leases, self.now());
    }
}

/// A connection on which all that was asked for of the past has been told.
fn caught_up(listener: &Listener) -> Client {
    let mut client = connect(listener);
    client.write_all(&since(Timestamp(NOW.0 + 5))).unwrap();
    let told = read(&mut client);
    assert_eq!(status(&told), 7, "CatchUpComplete");
    assert!(
        told.2.contains_key(&code::SERVER_IDENTIFIER),
        "the first message"
    );
    client
}

// RFC 7724 section 8.2 [active-ended], section 6 [active-current], section 8 [active-with-bulk], section 7.4
// [active-no-associated], section 8.2 [active-items]: a test of these.
#[test]
fn a_change_is_told_when_it_happens() {
    let world = active_world(100, 1024);
    let listener = start(&world, ACTIVE, None);
    let mut client = caught_up(&listener);
    world.note([15]);
    let (kind, told, options) = read(&mut client);
    assert_eq!((kind, told), (MessageType::LEASEACTIVE, address(15)));
    assert_eq!(options[&code::DHCP_STATE], [2]);
    assert!(!options.contains_key(&code::SERVER_IDENTIFIER));
    assert!(!options.contains_key(&code::ASSOCIATED_IP));
    assert!(options.contains_key(&code::RELAY_AGENT), "it may be told");
    assert!(
        !options.contains_key(&code::RENEWAL_TIME),
        "it may not, though it is asked for"
    );

    // Given back: what is told is what holds now.
    let client_id = 15u32.to_be_bytes();
    let index = world.partitions.index_of(&client_id);
    let mut partition = world.partitions.lock(index).unwrap();
    let mut found: Option<SlotNumber> = None;
    let found_it = |slot, _: &_| found = Some(slot);
    partition.seek_address(address(15), found_it).unwrap();
    let mut binding = Binding::default();
    partition.read(found.unwrap(), &mut binding);
    binding.state = State::Released;
    binding.expires = world.now();
    let (pools, mut log) = (&world.policy.pools, ChangeLog::default());
    let committed = partition.commit(found, &binding, pools, &mut log, world.now());
    committed.unwrap();
    drop(partition);
    world.note([15, 15]);
    let (kind, told, options) = read(&mut client);
    assert_eq!((kind, told), (MessageType::LEASEUNASSIGNED, address(15)));
    assert_eq!(options[&code::DHCP_STATE], [4]);

    // Bulk queries go on beside it.
    let mut other = connect(&listener);
    assert_eq!(ask(&mut other, &query(|_| (), &[])).0.len(), 100);
}

// RFC 7724 section 8.2 [active-ended]: a test of it. Nobody writes down that a lease has expired.
#[test]
fn a_lease_that_expires_is_told() {
    let world = active_world(20, 1024);
    let listener = start(&world, ACTIVE, None);
    let mut client = caught_up(&listener);
    world
        .now
        .fetch_add(3600, std::sync::atomic::Ordering::Relaxed);
    let mut ended = BTreeMap::new();
    for _ in 0..2 {
        let (kind, address, options) = read(&mut client);
        assert_eq!(kind, MessageType::LEASEUNASSIGNED);
        ended.insert(address, options[&code::DHCP_STATE][0]);
    }
    // The declined one's quarantine is over too.
    assert_eq!(ended, [(address(5), 3), (address(15), 3)].into());
}

// RFC 7724 section 8.2 [active-catch-up], section 8.2 [active-caught-up], section 7.4.1 [active-data-missing]: a test
// of these.
#[test]
fn who_was_away_catches_up_or_learns_that_it_cannot() {
    let world = active_world(5000, 1024);
    let listener = start(&world, ACTIVE, None);
    world.note(0..1000);
    let mut client = connect(&listener);
    client.write_all(&since(Timestamp(NOW.0 + 1))).unwrap();
    let told: Vec<Told> = (0..1000).map(|_| read(&mut client)).collect();
    let mut addresses: Vec<Ipv4Addr> = told.iter().map(|told| told.1).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, (0..1000).map(address).collect::<Vec<_>>());
    assert_eq!(status(&read(&mut client)), 7, "CatchUpComplete");

    world.now.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    world.note(1000..1500);
    let mut late = connect(&listener);
    late.write_all(&since(Timestamp(NOW.0 + 1))).unwrap();
    assert_eq!(status(&read(&mut late)), 5, "DataMissing");
    world.note([15]);
    assert_eq!(
        read(&mut late).1,
        address(15),
        "what is new is told all the same"
    );
}

// RFC 7724 section 7.3 [active-no-key], section 8.2 [active-no-end-time], section 8.2 [active-error-status], section 8.1
// [active-off]: a test of these.
#[test]
fn what_is_no_active_query_is_refused_and_closed() {
    let world = active_world(100, 1024);
    let listener = start(&world, ACTIVE, None);
    let kind = MessageType::ACTIVELEASEQUERY;
    let card = |header: &mut Header| {
        (header.htype, header.hlen) = (1, 6);
        header.chaddr[0] = 2;
    };
    let time = 1u32.to_be_bytes();
    let remote_id = [code::AGENT_REMOTE_ID, 1, 2];
    for query in [
        of_kind(kind, card, &[]),
        of_kind(kind, |header| header.ciaddr = [10, 0, 0, 1], &[]),
        of_kind(kind, |_| (), &[(code::CLIENT_IDENTIFIER, b"one")]),
        of_kind(kind, |_| (), &[(code::RELAY_AGENT, &remote_id)]),
        of_kind(kind, |_| (), &[(code::QUERY_END_TIME, &time)]),
        of_kind(kind, |_| (), &[(code::QUERY_START_TIME, &[1])]),
    ] {
        let mut client = connect(&listener);
        client.write_all(&query).unwrap();
        assert_eq!(status(&read(&mut client)), 3, "MalformedQuery");
        assert!(is_closed(&mut client));
    }
    let off = super::listener(&world, 10, 30);
    let mut client = connect(&off);
    client.write_all(&of_kind(kind, |_| (), &[])).unwrap();
    assert_eq!(status(&read(&mut client)), 4, "NotAllowed");
    assert!(is_closed(&mut client));
}

// RFC 7724 section 7.4 [active-keep-alive], section 8.3 [active-one-query]: a test of both.
#[test]
fn an_idle_connection_is_kept_alive_and_takes_no_second_query() {
    let world = active_world(100, 1024);
    let active = ActiveSettings {
        idle_timeout_seconds: 1,
        ..ACTIVE
    };
    let listener = start(&world, active, None);
    let mut client = caught_up(&listener);
    for _ in 0..2 {
        assert_eq!(status(&read(&mut client)), 6, "ConnectionActive");
    }
    client.write_all(&query(|_| (), &[])).unwrap();
    let last = std::iter::repeat_with(|| status(&read(&mut client)));
    assert_eq!({ last }.find(|&status| status != 6), Some(4), "NotAllowed");
    assert!(is_closed(&mut client));
}

// RFC 7724 section 8.4 [active-farewell]: a test of it.
#[test]
fn the_end_of_the_server_is_told() {
    let world = active_world(100, 1024);
    let listener = start(&world, ACTIVE, None);
    let mut client = caught_up(&listener);
    drop(listener);
    assert_eq!(status(&read(&mut client)), 2, "QueryTerminated");
    assert!(is_closed(&mut client));
}

// RFC 7724 section 8.4 [active-closed]: a test of it. Nothing is left of a requestor that goes.
#[test]
fn who_goes_leaves_its_place() {
    let world = active_world(100, 1024);
    let listener = start(&world, ACTIVE, None);
    for _ in 0..30 {
        drop(caught_up(&listener));
    }
}

// RFC 7724 section 8.4 [active-too-slow]: a test of it. More has changed than is remembered.
#[test]
fn who_has_missed_changes_is_let_go() {
    let world = active_world(5000, 1024);
    let listener = start(&world, ACTIVE, None);
    let mut client = caught_up(&listener);
    world.note(0..5000);
    assert_eq!(status(&read(&mut client)), 2, "QueryTerminated");
    assert!(is_closed(&mut client));
}

// RFC 7724 section 8.2 [active-blocked], section 8.2 [active-not-delayed]: a test of both. Whoever notes changes does not
// wait for it either.
#[test]
fn who_does_not_read_is_let_go() {
    let world = active_world(200_000, 1_000_000);
    let active = ActiveSettings {
        send_timeout_seconds: 1,
        ..ACTIVE
    };
    let listener = start(&world, active, None);
    let mut client = caught_up(&listener);
    world.note(0..200_000);
    // It has read nothing for longer than the server waits.
    std::thread::sleep(Duration::from_secs(4));
    let mut octets = 0;
    let mut sink = vec![0; 1 << 20];
    while let Ok(read) = client.read(&mut sink)
        && read > 0
    {
        octets += read;
    }
    assert!(octets < 200_000 * 260, "it was not told of all");
}

// RFC 7724 section 8.1 [active-tls-refused]: a test of it.
#[test]
fn tls_is_refused_where_there_is_none() {
    let world = world(100, "127.0.0.1");
    let listener = listener(&world, 10, 30);
    let mut client = connect(&listener);
    client
        .write_all(&of_kind(MessageType::TLS, |_| (), &[]))
        .unwrap();
    let (kind, _, options) = read(&mut client);
    assert_eq!(kind, MessageType::TLS);
    assert_eq!(options[&code::STATUS_CODE][0], 8, "TLSConnectionRefused");
    assert!(is_closed(&mut client));
}

/// An authority, and a certificate of it with its key, in files.
struct Identity {
    authority: String,
    certificate: String,
    key: String,
}

fn identity(name: &str) -> Identity {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority, &authority_key).unwrap();
    Identity {
        authority: authority.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

fn files(folder: &Path, server: &Identity, client_ca: &str) -> TlsFiles {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    TlsFiles {
        certificate: write("server.crt", &server.certificate),
        key: write("server.key", &server.key),
        client_ca: write("client-ca.crt", client_ca),
    }
}

/// What came by a connection, to count records in.
struct Tapped {
    stream: Client,
    seen: Vec<u8>,
}

impl Read for Tapped {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.stream.read(into)?;
        self.seen.extend_from_slice(&into[..count]);
        Ok(count)
    }
}

impl Write for Tapped {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.stream.write(octets)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

impl Tapped {
    /// How many TLS records have come.
    fn records(&self) -> usize {
        let mut rest = self.seen.as_slice();
        let mut count = 0;
        while let [_, _, _, high, low, after @ ..] = rest {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            rest = &after[len..];
            count += 1;
        }
        assert!(rest.is_empty(), "half a record");
        count
    }
}

type Secret = StreamOwned<ClientConnection, Tapped>;

/// Asks for TLS and makes it, with a certificate or without.
fn secret(listener: &Listener, server: &Identity, own: Option<&Identity>) -> Secret {
    let mut stream = connect(listener);
    // Its options are not looked at.
    let asked = of_kind(MessageType::TLS, |_| (), &[(code::CLIENT_IDENTIFIER, b"x")]);
    stream.write_all(&asked).unwrap();
    let (kind, _, options) = read(&mut stream);
    assert_eq!(kind, MessageType::TLS);
    assert!(!options.contains_key(&code::STATUS_CODE));
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(server.authority.as_bytes()).unwrap();
    roots.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let certificate = CertificateDer::from_pem_slice(own.certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
            let chain = vec![certificate.unwrap()];
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let name = "dhcp.example.net".try_into().unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let seen = Vec::new();
    StreamOwned::new(connection, Tapped { stream, seen })
}

// RFC 7724 section 8.1 [active-tls-begins], section 8.1 [active-tls-mutual], section 8.1 [active-tls-options], section
// 5.1 [active-tls-record]: a test of these.
#[test]
fn all_goes_in_secret() {
    let folder = tempfile::tempdir().unwrap();
    let (server, requestor) = (identity("dhcp.example.net"), identity("bng"));
    let files = files(folder.path(), &server, &requestor.authority);
    let world = active_world(100, 1024);
    let listener = start(&world, ACTIVE, Some(files.clone()));
    let mut client = secret(&listener, &server, Some(&requestor));
    assert_eq!(ask(&mut client, &query(|_| (), &[])).0.len(), 100);
    let before = client.sock.records();
    assert_eq!(ask(&mut client, &query(|_| (), &[])).0.len(), 100);
    assert_eq!(
        client.sock.records() - before,
        101,
        "a record for each message"
    );

    client.write_all(&since(Timestamp(NOW.0 + 5))).unwrap();
    assert_eq!(status(&read(&mut client)), 7);
    world.note([15]);
    assert_eq!(read(&mut client).1, address(15));

    // A renewed certificate counts for the next connection.
    let renewed = identity("dhcp.example.net");
    std::fs::write(&files.certificate, &renewed.certificate).unwrap();
    std::fs::write(&files.key, &renewed.key).unwrap();
    let mut next = secret(&listener, &renewed, Some(&requestor));
    assert_eq!(ask(&mut next, &query(|_| (), &[])).0.len(), 100);
}

// RFC 7724 section 8.1 [active-tls-only], section 8.1 [active-tls-mutual]: a test of both.
#[test]
fn who_does_not_prove_itself_is_told_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (server, requestor) = (identity("dhcp.example.net"), identity("bng"));
    let files = files(folder.path(), &server, &requestor.authority);
    let world = active_world(100, 1024);
    let listener = start(&world, ACTIVE, Some(files));
    for query in [query(|_| (), &[]), since(NOW)] {
        let mut plain = connect(&listener);
        plain.write_all(&query).unwrap();
        assert!(is_closed(&mut plain), "without TLS");
    }
    let mut nonsense = connect(&listener);
    let asked = of_kind(MessageType::TLS, |_| (), &[]);
    nonsense
        .write_all(&[asked, query(|_| (), &[])].concat())
        .unwrap();
    read(&mut nonsense);
    let mut octets = Vec::new();
    let _ = nonsense.read_to_end(&mut octets);
    assert!(octets.len() < 16, "an alert at most: {octets:?}");
    let foreign = identity("bng");
    for own in [None, Some(&foreign)] {
        let mut client = secret(&listener, &server, own);
        let asked = client.write_all(&query(|_| (), &[]));
        let answered = asked.and_then(|()| client.read_exact(&mut [0; 2]));
        assert!(answered.is_err(), "with a certificate: {}", own.is_some());
    }
}

#[test]
fn certificates_that_are_none_are_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (server, requestor) = (identity("dhcp.example.net"), identity("bng"));
    let good = files(folder.path(), &server, &requestor.authority);
    let other = folder.path().join("other");
    std::fs::write(&other, "nothing").unwrap();
    let other_key = folder.path().join("other.key");
    std::fs::write(&other_key, &requestor.key).unwrap();
    let missing = folder.path().join("missing");
    let bad = [
        TlsFiles {
            certificate: missing.clone(),
            ..good.clone()
        },
        TlsFiles {
            key: missing,
            ..good.clone()
        },
        TlsFiles {
            client_ca: other.clone(),
            ..good.clone()
        },
        TlsFiles {
            key: other_key,
            ..good
        },
    ];
    let world = world(10, "127.0.0.1");
    for files in bad {
        let settings = BulkSettings {
            listen: "127.0.0.1:0".parse().unwrap(),
            connections_max: 1,
            connections_per_requestor: 1,
            timeout_seconds: 1,
            tls: Some(files),
            active: None,
        };
        let started = Listener::start(settings, Arc::clone(&world) as Arc<dyn Leases>);
        let said = started.unwrap_err().to_string();
        assert!(
            said.contains(&folder.path().display().to_string()),
            "{said}"
        );
    }
}
