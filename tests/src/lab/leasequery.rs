//! A requestor of leases by TCP: bulk leasequery (RFC 6926) as a relay agent asks, active leasequery (RFC 7724) and
//! the TLS around them.

use super::namespace::Namespace;
use dhcp_wire::v4::{BOOTREQUEST, Builder, Header, Message, MessageType, code};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is asked for: times, states, identifiers, where a client is.
const WISHES: [u8; 9] = [51, 61, 82, 91, 92, 152, 153, 156, 157];

/// A message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Of the query.
    pub xid: u32,
    /// Its type.
    pub kind: MessageType,
    /// Which address it is about.
    pub ciaddr: Ipv4Addr,
    /// The hardware address of its holder.
    pub chaddr: [u8; 6],
    /// Its options.
    pub options: BTreeMap<u8, Vec<u8>>,
}

impl Told {
    /// The status, if there is one.
    pub fn status(&self) -> Option<u8> {
        self.options.get(&code::STATUS_CODE)?.first().copied()
    }

    /// An option of four octets.
    pub fn seconds(&self, code: u8) -> Option<u32> {
        let data = self.options.get(&code)?;
        Some(u32::from_be_bytes(data.as_slice().try_into().ok()?))
    }
}

/// A query with its length before it.
///
/// # Panics
/// When the options have no room.
pub fn query(
    kind: MessageType,
    xid: u32,
    fill: impl FnOnce(&mut Header),
    options: &[(u8, &[u8])],
) -> Vec<u8> {
    let mut header = Header::new(BOOTREQUEST);
    header.xid.set(xid);
    fill(&mut header);
    let mut room = [0; 600];
    let mut builder = Builder::new(&mut room, 548, &header).unwrap();
    builder.push(code::MESSAGE_TYPE, &[kind.0]).unwrap();
    builder.push(code::PARAMETER_REQUEST_LIST, &WISHES).unwrap();
    for (code, data) in options {
        builder.push(*code, data).unwrap();
    }
    let len = builder.finish();
    [&(len as u16).to_be_bytes(), &room[..len]].concat()
}

/// Connects from a namespace.
///
/// # Panics
/// When nobody listens.
pub fn connect(namespace: &Namespace, own: Ipv4Addr, server: SocketAddr) -> TcpStream {
    let stream = namespace.within(|| {
        // From this address of several: bound before it connects.
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::STREAM,
            None,
        );
        let socket = socket.unwrap();
        rustix::net::bind(&socket, &SocketAddr::from((own, 0))).unwrap();
        rustix::net::connect(&socket, &server).unwrap();
        TcpStream::from(socket)
    });
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads one message; `None`: the server has closed the connection in good order.
///
/// # Panics
/// When it is no whole message, or none comes.
pub fn read(stream: &mut impl Read) -> Option<Told> {
    let mut length = [0; 2];
    match stream.read(&mut length[..1]).unwrap() {
        0 => return None,
        _ => stream.read_exact(&mut length[1..]).unwrap(),
    }
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut octets).unwrap();
    let message = Message::parse(&octets).unwrap();
    let mut options: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for piece in message.options().map(Result::unwrap) {
        options
            .entry(piece.code)
            .or_default()
            .extend_from_slice(piece.data);
    }
    Some(Told {
        xid: message.header.xid.get(),
        kind: message.message_type().unwrap().unwrap(),
        ciaddr: message.header.ciaddr(),
        chaddr: message.header.chaddr[..6].try_into().unwrap(),
        options,
    })
}

/// Sends a bulk query and reads all of its answer; the last message separately.
///
/// # Panics
/// When the answer is of another query, or is not ended.
pub fn ask(stream: &mut (impl Read + Write), query: &[u8]) -> (Vec<Told>, Told) {
    stream.write_all(query).unwrap();
    let mut all = Vec::new();
    loop {
        let told = read(stream).expect("the answer ends with DHCPLEASEQUERYDONE");
        if told.kind == MessageType::LEASEQUERYDONE {
            return (all, told);
        }
        all.push(told);
    }
}

/// An authority, and a certificate of it with its key, in PEM.
#[derive(Debug)]
pub struct Identity {
    /// The authority's certificate.
    pub authority: String,
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Identity {
    /// Makes one for a name.
    ///
    /// # Panics
    /// When the name is none.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&authority_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority, &authority_key).unwrap();
        Self {
            authority: authority.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// Makes a connection secret, as RFC 7724 says: DHCPTLS, the same back, then the handshake.
///
/// # Panics
/// When the server does not want to.
pub fn secret(
    mut stream: TcpStream,
    (name, authority): (&'static str, &str),
    own: &Identity,
) -> StreamOwned<ClientConnection, TcpStream> {
    let asked = query(MessageType::TLS, 1, |_| (), &[]);
    stream.write_all(&asked).unwrap();
    let told = read(&mut stream).expect("an answer to DHCPTLS");
    assert_eq!((told.kind, told.status()), (MessageType::TLS, None));
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority.as_bytes());
    roots.add(authority.unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let certificate = CertificateDer::from_pem_slice(own.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    let config = builder
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate.unwrap()], key)
        .unwrap();
    let connection = ClientConnection::new(Arc::new(config), name.try_into().unwrap());
    StreamOwned::new(connection.unwrap(), stream)
}
