//! Real DHCPv4 clients beyond get, renew and release: they rebind, come back from a restart, find their address
//! taken, ask for parameters only; and a measuring program and two relay agents in a row find nothing amiss.

use dhcp_tests::lab::capture::{Capture, message};
use dhcp_tests::lab::client::{Client, PATIENCE, Program, relay_v4, second_relay_v4};
use dhcp_tests::lab::namespace::{Namespace, join};
use dhcp_tests::lab::process::{eventually, run, try_run};
use dhcp_tests::lab::server::Server;
use dhcp_tests::lab::{CLIENT_INTERFACE, Link};
use dhcp_tests::pcap::Captured;
use std::time::Duration;

const CONFIG: &str = r#"
interfaces = ["srv0"]

[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.1.0-10.9.1.255"]
valid-lifetime = 600
option-data = [
    { name = "routers", data = "10.9.0.1" },
    { name = "domain-name-servers", data = "10.9.0.53" },
]
"#;

/// udhcpc knows no T1 and T2: it rebinds at half of a lease as short as this.
const BRIEF: &str = r#"
interfaces = ["srv0"]

[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.1.0-10.9.1.255"]
valid-lifetime = 24
renew-timer = 3
rebind-timer = 6
server-identifier = "10.9.0.99"
"#;

fn served(config: &str) -> (Link, Server) {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), config);
    server.start(&link.server);
    (link, server)
}

#[test]
fn dhclient_rebinds() {
    rebinds(Program::Dhclient4);
}

#[test]
fn udhcpc_rebinds() {
    rebinds(Program::Udhcpc);
}

#[test]
fn dhcpcd_rebinds() {
    rebinds(Program::Dhcpcd4);
}

#[test]
fn networkd_rebinds() {
    rebinds(Program::Networkd4);
}

/// The server's name is an address that nobody answers for, so what the client sends there by unicast gets nowhere:
/// it asks everybody, and keeps its lease.
fn rebinds(program: Program) {
    let (link, server) = served(BRIEF);
    let capture = Capture::start(&link.clients, CLIENT_INTERFACE, link.folder());
    let mut client = Client::new(program, &link.clients, CLIENT_INTERFACE, link.folder());
    let lease = client.obtain();
    eventually(PATIENCE, "a rebinding and its ACK", || {
        let frames = capture.frames();
        let rebinding = frames.iter().position(|frame| {
            message(frame) == Some("REQUEST")
                && destination(frame) == Some([255; 4])
                && ciaddr(frame) != Some([0; 4])
        })?;
        let mut after = frames.iter().skip(rebinding);
        after
            .any(|frame| message(frame) == Some("ACK"))
            .then_some(())
    });
    assert!(
        server.leases().holder(&lease).is_some(),
        "the lease is kept"
    );
    drop(client);
    capture.check(&link.server_mac());
}

#[test]
fn dhclient_comes_back_after_a_restart() {
    comes_back(Program::Dhclient4);
}

#[test]
fn dhcpcd_comes_back_after_a_restart() {
    comes_back(Program::Dhcpcd4);
}

/// INIT-REBOOT: the client remembers its lease, and asks whether it may keep it. udhcpc has no memory, and
/// systemd-networkd none of an address that it has not got on its interface.
fn comes_back(program: Program) {
    let (link, server) = served(CONFIG);
    let capture = Capture::start(&link.clients, CLIENT_INTERFACE, link.folder());
    let mut client = Client::new(program, &link.clients, CLIENT_INTERFACE, link.folder());
    let lease = client.obtain();
    client.vanish();
    link.clients
        .sh(&format!("ip -4 address flush dev {CLIENT_INTERFACE}"));
    let told = capture.story().len();
    assert_eq!(client.obtain(), lease);
    assert_eq!(
        capture.story().get(told..),
        Some(&["REQUEST", "ACK"][..]),
        "{:?}",
        capture.story()
    );
    assert_eq!(server.leases().live().count(), 1);
    drop(client);
    capture.check(&link.server_mac());
}

#[test]
fn dhclient_declines_an_address_in_use() {
    declines(Program::Dhclient4);
}

#[test]
fn udhcpc_declines_an_address_in_use() {
    declines(Program::Udhcpc);
}

#[test]
fn dhcpcd_declines_an_address_in_use() {
    declines(Program::Dhcpcd4);
}

/// Somebody has the first address of the pool without asking anybody: the client finds out, and gets another.
/// (systemd-networkd 252 waits for ever for its own conflict detection where there is no udev.)
fn declines(program: Program) {
    let (link, server) = served(CONFIG);
    let client_side = Namespace::new("client");
    let squatter = Namespace::new("squatter");
    join((&link.clients, "port1"), (&client_side, "eth0"), 1);
    join((&link.clients, "port2"), (&squatter, "eth0"), 1);
    link.clients.sh(&format!(
        "ip link add br0 type bridge; ip link set br0 up
         for port in {CLIENT_INTERFACE} port1 port2; do ip link set $port master br0; done"
    ));
    squatter.add_address("eth0", "10.9.1.0/16");
    let capture = Capture::start(&link.clients, CLIENT_INTERFACE, link.folder());
    let mut client = Client::careful(program, &client_side, "eth0", link.folder());
    // Each client waits ten seconds or more before it asks again (RFC 2131 section 3.1).
    let lease = client.obtain_within(Duration::from_secs(60));
    capture.wait_for(&["ACK", "DECLINE", "DISCOVER", "OFFER", "ACK"], PATIENCE);
    let leases = server.leases();
    let declined = leases.any("10.9.1.0").map(|record| record.state.as_str());
    assert_eq!(declined, Some("declined"), "{leases:?}");
    assert_ne!(lease, "10.9.1.0");
    assert!(leases.holder(&lease).is_some(), "{leases:?}");
    drop(client);
    capture.check(&link.server_mac());
}

#[test]
fn dhcpcd_is_informed() {
    let (link, server) = served(CONFIG);
    let capture = Capture::start(&link.clients, CLIENT_INTERFACE, link.folder());
    let mut client = Client::new(
        Program::Dhcpcd4,
        &link.clients,
        CLIENT_INTERFACE,
        link.folder(),
    );
    link.clients.add_address(CLIENT_INTERFACE, "10.9.0.200/16");
    client.inform("10.9.0.200/16");
    capture.wait_for(&["INFORM", "ACK"], PATIENCE);
    assert_eq!(server.leases().all.len(), 0, "INFORM makes no lease");
    drop(client);
    capture.check(&link.server_mac());
}

/// Kea's own measuring program: exchanges, renewals and releases through a relay agent that it plays itself.
#[test]
fn perfdhcp_loses_nothing() {
    let (link, server) = served(CONFIG);
    link.clients.add_address(CLIENT_INTERFACE, "10.9.0.2/16");
    let capture = Capture::start(&link.clients, CLIENT_INTERFACE, link.folder());
    let mut command = link.clients.command("perfdhcp");
    command.args([
        "-4",
        "-l",
        CLIENT_INTERFACE,
        "-r",
        "40",
        "-f",
        "10",
        "-F",
        "5",
        "-R",
        "200",
        "-p",
        "5",
        "-u",
        "-d",
        "5",
        "-W",
        "1000000",
        "10.9.0.1",
    ]);
    let (_, text) = try_run(&mut command);
    let drops: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("drops: "))
        .collect();
    // DISCOVER, REQUEST, renewals; a RELEASE has no answer, and is called a drop.
    assert_eq!(drops.get(..3), Some(&["0"; 3][..]), "{text}");
    assert!(text.contains("non unique addresses: 0"), "{text}");
    assert!(server.leases().live().count() >= 50, "{text}");
    capture.wait_for(
        &["DISCOVER", "OFFER", "REQUEST", "ACK", "RELEASE"],
        PATIENCE,
    );
    capture.check(&link.server_mac());
}

/// Client - first relay agent - second relay agent - server: the subnet is that of the first one, and so is the
/// option 82 that comes back.
#[test]
fn two_relay_agents_in_a_row() {
    const BEHIND: &str = r#"
interfaces = ["srv0"]

[[subnet4]]
subnet = "10.8.0.0/16"
pools = ["10.8.1.0-10.8.1.255"]
valid-lifetime = 600
renew-timer = 3
rebind-timer = 300
"#;
    let (link, server) = served(BEHIND);
    let first = Namespace::new("relay");
    let client_side = Namespace::new("client");
    join((&first, "down0"), (&client_side, "eth0"), 1);
    join((&link.clients, "mid0"), (&first, "mid1"), 1);
    link.clients.add_address(CLIENT_INTERFACE, "10.9.0.2/16");
    link.clients.add_address("mid0", "10.7.0.2/24");
    first.add_address("mid1", "10.7.0.1/24");
    first.add_address("down0", "10.8.0.1/16");
    for relay in [&link.clients, &first] {
        relay.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
    }
    first.sh(
        "ip route add 10.9.0.0/16 via 10.7.0.2; echo 1 > /proc/sys/net/ipv4/conf/down0/proxy_arp",
    );
    link.clients.sh("ip route add 10.8.0.0/16 via 10.7.0.1");
    client_side.sh("ip route add 10.9.0.0/16 dev eth0");
    let folder = link.folder();
    let _second = second_relay_v4(&link.clients, "mid0", CLIENT_INTERFACE, "10.9.0.1", folder);
    let _first = relay_v4(&first, "down0", "mid1", "10.7.0.2", folder);
    let capture = Capture::start(&link.clients, CLIENT_INTERFACE, folder);
    let mut client = Client::new(Program::Dhclient4, &client_side, "eth0", folder);

    let lease = client.obtain();
    assert!(lease.starts_with("10.8.1."), "{lease}: wrong subnet");
    assert!(server.leases().holder(&lease).is_some());
    assert_eq!(client.renew(), lease);
    client.release();
    capture.wait_for(
        &[
            "DISCOVER", "OFFER", "REQUEST", "ACK", "REQUEST", "ACK", "RELEASE",
        ],
        PATIENCE,
    );
    let two_hops = capture
        .frames()
        .iter()
        .filter(|frame| message(frame) == Some("DISCOVER"))
        .all(|frame| header(frame).and_then(|header| header.get(3).copied()) == Some(2));
    assert!(two_hops, "a DISCOVER came by other than two relay agents");
    drop(client);
    let file = link.file("cli0.pcap");
    capture.check(&link.server_mac());
    let circuits = run(std::process::Command::new("tshark")
        .arg("-r")
        .arg(&file)
        .args([
            "-Y",
            "dhcp.option.agent_information_option.agent_circuit_id",
        ]));
    assert!(circuits.lines().count() >= 4, "{circuits}");
}

/// The DHCP message in a frame.
fn header(frame: &Captured) -> Option<&[u8]> {
    frame.octets.get(frame.udp_payload()?)
}

fn ciaddr(frame: &Captured) -> Option<[u8; 4]> {
    header(frame)?.get(12..16)?.try_into().ok()
}

/// The IPv4 destination of an untagged frame.
fn destination(frame: &Captured) -> Option<[u8; 4]> {
    frame.octets.get(30..34)?.try_into().ok()
}
