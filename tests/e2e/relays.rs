//! Clients behind ISC's relay agent: the subnet follows from giaddr or link-address, the answer goes back
//! through the relay agent, option 82 and Interface-Id come back as they went.

use dhcp_tests::lab::capture::Capture;
use dhcp_tests::lab::client::{Client, PATIENCE, Program, relay_v4, relay_v6};
use dhcp_tests::lab::namespace::{Namespace, join};
use dhcp_tests::lab::server::Server;
use dhcp_tests::lab::{CLIENT_INTERFACE, Link};

/// The clients' link is not the server's: 10.8.0.0/16 and fd08::/64, behind the relay agent.
const CONFIG: &str = r#"
interfaces = ["srv0"]

[[subnet4]]
subnet = "10.8.0.0/16"
pools = ["10.8.1.0-10.8.1.255"]
valid-lifetime = 600
renew-timer = 3
rebind-timer = 300

[[subnet6]]
subnet = "fd08::/64"
pools = ["fd08::1:0-fd08::1:ffff"]
pd-pools = [{ prefix = "fd08:100::/40", delegated-len = 56 }]
valid-lifetime = 600
preferred-lifetime = 400
renew-timer = 3
rebind-timer = 300
"#;

/// Server - relay agent - client. The relay agent's namespace is the clients' end of the server's link.
struct Relayed {
    link: Link,
    client: Namespace,
    server: Server,
}

impl Relayed {
    fn new() -> Self {
        let link = Link::new(1);
        let client = Namespace::new("client");
        join((&link.clients, "down0"), (&client, "eth0"), 1);
        for (interface, address) in [
            (CLIENT_INTERFACE, "10.9.0.2/16"),
            (CLIENT_INTERFACE, "fd09::2/64"),
            ("down0", "10.8.0.1/16"),
            ("down0", "fd08::1/64"),
        ] {
            link.clients.add_address(interface, address);
        }
        link.clients.sh(
            "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
        );
        let mut server = Server::configured(&link.file("server"), CONFIG);
        server.start(&link.server);
        Self {
            link,
            client,
            server,
        }
    }

    fn whole_life(&self, program: Program, story: &[&str]) {
        let link = &self.link;
        let capture = Capture::start(&link.clients, CLIENT_INTERFACE, link.folder());
        let mut client = Client::new(program, &self.client, "eth0", link.folder());
        let lease = client.obtain();
        assert!(
            lease.starts_with("10.8.1.") || lease.starts_with("fd08:"),
            "{lease}: wrong subnet"
        );
        assert!(
            self.server.leases().holder(&lease).is_some(),
            "{lease} is not in the table"
        );
        assert_eq!(client.renew(), lease, "a renewal keeps the lease");
        client.release();
        capture.wait_for(&["RELEASE"], PATIENCE);
        assert_eq!(
            client.obtain(),
            lease,
            "nobody else took the lease meanwhile"
        );
        capture.wait_for(story, PATIENCE);
        drop(client);
        capture.check(&link.server_mac());
    }
}

#[test]
fn dhcrelay_v4_with_option_82() {
    let relayed = Relayed::new();
    let folder = relayed.link.folder();
    let _relay = relay_v4(
        &relayed.link.clients,
        "down0",
        CLIENT_INTERFACE,
        "10.9.0.1",
        folder,
    );
    // The client's unicast renewals are routed, past the relay agent.
    relayed.client.sh("ip route add 10.9.0.0/16 dev eth0");
    relayed
        .link
        .clients
        .sh("echo 1 > /proc/sys/net/ipv4/conf/down0/proxy_arp");
    relayed.whole_life(
        Program::Dhclient4,
        &[
            "DISCOVER", "OFFER", "REQUEST", "ACK", "REQUEST", "ACK", "RELEASE", "DISCOVER", "OFFER",
        ],
    );
    // dhcrelay -a puts in the name of its interface as circuit identifier, and drops answers that do not
    // bring it back: what the client got is the proof. It must be in the frames of the server too.
    let frames = dhcp_tests::pcap::read(&relayed.link.file("cli0.pcap"));
    let echoed = frames
        .iter()
        .filter(|frame| frame.octets.windows(7).any(|part| part == b"\x01\x05down0"));
    assert!(
        echoed.count() >= 4,
        "option 82 is not in requests and answers"
    );
}

#[test]
fn dhcrelay_v6() {
    let relayed = Relayed::new();
    let folder = relayed.link.folder();
    let up = "fd09::1%cli0";
    let _relay = relay_v6(&relayed.link.clients, "down0", up, folder);
    relayed.whole_life(Program::Dhclient6, V6);
}

#[test]
fn dhcrelay_v6_prefix_by_multicast() {
    let relayed = Relayed::new();
    let folder = relayed.link.folder();
    let _relay = relay_v6(&relayed.link.clients, "down0", CLIENT_INTERFACE, folder);
    relayed.whole_life(Program::DhclientPrefix, V6);
}

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
