//! What is not for the server passes it untouched: ping, TCP (ssh, that is), and a DHCP client that runs
//! on the very interface which the server serves.

use dhcp_tests::lab::client::{Client, Program};
use dhcp_tests::lab::process::PATIENCE;
use dhcp_tests::lab::server::Server;
use dhcp_tests::lab::{CLIENT_INTERFACE, Link, SERVER_INTERFACE};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

const CONFIG: &str = r#"
interfaces = ["srv0"]
[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.1.0-10.9.1.255"]
"#;

#[test]
fn ping_and_tcp_pass() {
    let link = Link::new(2);
    link.clients.add_address(CLIENT_INTERFACE, "10.9.0.2/16");
    link.clients.add_address(CLIENT_INTERFACE, "fd09::2/64");
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    link.clients
        .sh("ping -c 3 -i 0.05 -W 2 10.9.0.1; ping -c 3 -i 0.05 -W 2 fd09::1");
    // Full-sized segments both ways, checksums and segmentation as ordinary sockets have them.
    let listener = link
        .server
        .within(|| TcpListener::bind("10.9.0.1:2222").unwrap());
    let echoed = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut octets = vec![0; OCTETS];
            stream.read_exact(&mut octets).unwrap();
            stream.write_all(&octets).unwrap();
        });
        let mut stream = link
            .clients
            .within(|| TcpStream::connect("10.9.0.1:2222").unwrap());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&vec![7; OCTETS]).unwrap();
        let mut octets = vec![0; OCTETS];
        stream.read_exact(&mut octets).unwrap();
        octets
    });
    assert!(echoed.iter().all(|octet| *octet == 7));
}

const OCTETS: usize = 3_000_000;

#[test]
fn a_client_on_the_served_interface_is_answered() {
    let link = Link::new(2);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    // Another server at the other end of the link, and a client on ours.
    link.clients.add_address(CLIENT_INTERFACE, "10.7.0.1/24");
    let config = CONFIG
        .replace("srv0", "cli0")
        .replace("10.9.0.0/16", "10.7.0.0/24")
        .replace("10.9.1.0-10.9.1.255", "10.7.0.100-10.7.0.199");
    let mut other = Server::configured(&link.file("other"), &config);
    other.start(&link.clients);
    let mut client = Client::new(
        Program::Dhclient4,
        &link.server,
        SERVER_INTERFACE,
        link.folder(),
    );
    let lease = client.obtain();
    assert!(
        lease.starts_with("10.7.0."),
        "{lease} is not of the other server"
    );
}
