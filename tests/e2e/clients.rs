//! Real clients obtain, renew, release and re-obtain their leases over XDP and AF_XDP, and tshark finds
//! nothing wrong with any frame of the server.

use dhcp_tests::lab::capture::Capture;
use dhcp_tests::lab::client::{Client, PATIENCE, Program};
use dhcp_tests::lab::server::Server;
use dhcp_tests::lab::{CLIENT_INTERFACE, Link};

/// T1 is short, so that clients renew on their own while the test waits.
const CONFIG: &str = r#"
interfaces = ["srv0"]
durability = "power"

[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.1.0-10.9.1.255"]
valid-lifetime = 600
renew-timer = 3
rebind-timer = 300
option-data = [
    { name = "routers", data = "10.9.0.1" },
    { name = "domain-name-servers", data = "10.9.0.53, 10.9.0.54" },
    { name = "domain-name", data = "example.net" },
]

[[subnet6]]
subnet = "fd09::/64"
interface = "srv0"
pools = ["fd09::1:0-fd09::1:ffff"]
pd-pools = [{ prefix = "fd09:100::/40", delegated-len = 56 }]
valid-lifetime = 600
preferred-lifetime = 400
renew-timer = 3
rebind-timer = 300
option-data = [{ name = "dns-servers", data = "fd09::53" }]
"#;

#[test]
fn dhclient_v4() {
    whole_life(Program::Dhclient4, V4);
}

// RFC 9915 section 7.1 [multicast-groups]: what it multicasts reaches the server.
#[test]
fn dhclient_v6() {
    whole_life(Program::Dhclient6, V6);
}

#[test]
fn dhclient_v6_prefix() {
    whole_life(Program::DhclientPrefix, V6);
}

#[test]
fn udhcpc() {
    whole_life(Program::Udhcpc, V4);
}

#[test]
fn dhcpcd_v4() {
    whole_life(Program::Dhcpcd4, V4);
}

#[test]
fn dhcpcd_v6() {
    whole_life(Program::Dhcpcd6, V6);
}

#[test]
fn dhcpcd_v6_prefix() {
    whole_life(Program::DhcpcdPrefix, V6);
}

/// A lease's whole life as messages; dhcpcd and dhclient may repeat what they like in between.
const V4: &[&str] = &[
    "DISCOVER", "OFFER", "REQUEST", "ACK", "REQUEST", "ACK", "RELEASE", "DISCOVER", "OFFER",
    "REQUEST", "ACK",
];
const V6: &[&str] = &[
    "SOLICIT",
    "ADVERTISE",
    "REQUEST",
    "REPLY",
    "RENEW",
    "REPLY",
    "RELEASE",
    "REPLY",
    "SOLICIT",
    "ADVERTISE",
    "REQUEST",
    "REPLY",
];

fn whole_life(program: Program, story: &[&str]) {
    let link = Link::new(2);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    let capture = Capture::start(&link.clients, CLIENT_INTERFACE, link.folder());
    let mut client = Client::new(program, &link.clients, CLIENT_INTERFACE, link.folder());

    let lease = client.obtain();
    let before = server.leases();
    assert!(
        before.holder(&lease).is_some(),
        "{lease} is not in the table: {before:?}"
    );
    assert_eq!(client.renew(), lease, "a renewal keeps the lease");
    assert_eq!(server.leases().live().count(), 1, "one client, one lease");

    client.release();
    capture.wait_for(&["RELEASE"], PATIENCE);
    dhcp_tests::lab::process::eventually(PATIENCE, "the release in the table", || {
        server.leases().holder(&lease).is_none().then_some(())
    });
    assert_eq!(
        client.obtain(),
        lease,
        "nobody else took the lease meanwhile"
    );

    capture.wait_for(story, PATIENCE);
    drop(client);
    capture.check(&link.server_mac());
}
