//! The blaster's clients do all that clients do, and the server answers each of it rightly, field by field.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics"
)]

use dhcp_tests::lab::blaster::{Blaster, Report};
use dhcp_tests::lab::namespace::{Namespace, join};
use dhcp_tests::lab::server::Server;
use dhcp_tests::lab::{CLIENT_INTERFACE, Link, SERVER_INTERFACE};

const CONFIG: &str = r#"
interfaces = ["srv0"]
durability = "process"

[dhcp4]
rapid-commit = true

[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.16.0-10.9.31.255"]
reservations = [{ circuit-id = "'olt-0007/7'", ip-address = "10.9.40.7" }]

[[subnet6]]
subnet = "fd09::/64"
interface = "srv0"
pools = ["fd09::1000-fd09::1fff"]
pd-pools = [{ prefix = "fd09:100::/44", delegated-len = 56 }]
"#;

const CLIENTS: u64 = 200;
const EXCHANGES: u64 = 2_000;
const EVERYTHING: &str = "renew=3,rebind=2,reboot=2,decline=1,release=1,inform=1";
const OPERATIONS: [&str; 6] = ["renew", "rebind", "reboot", "decline", "release", "inform"];

/// Runs every operation in proportion, after each client has a lease.
fn everything(arguments: &[&str]) -> (Report, Server, Link) {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    let (clients, exchanges) = (CLIENTS.to_string(), EXCHANGES.to_string());
    let usual = ["--clients", &clients, "--exchanges", &exchanges];
    let mix = ["--prefill", "--mix", EVERYTHING];
    let report = Blaster::run(
        &link.clients,
        link.folder(),
        &[&usual[..], &mix, arguments].concat(),
    );
    report.assert_clean();
    assert_eq!(report.count("failed"), 0, "{report:?}");
    assert_eq!(report.count("completed"), EXCHANGES, "{report:?}");
    for operation in OPERATIONS {
        assert!(
            report.of(operation, "completed") > EXCHANGES / 20,
            "{operation}: {report:?}"
        );
    }
    (report, server, link)
}

fn declined(server: &Server) -> usize {
    let leases = server.leases();
    let declined = leases.all.iter().filter(|it| it.state == "declined");
    declined.count()
}

#[test]
fn everything_that_clients_on_the_link_do_is_answered_rightly() {
    let (report, server, _link) = everything(&["--expect-prefix", "10.9.16.0/20"]);
    assert_eq!(
        declined(&server) as u64,
        report.of("decline", "completed"),
        "{report:?}"
    );
}

#[test]
fn who_asks_for_broadcasts_gets_broadcasts() {
    everything(&["--broadcast"]);
}

#[test]
fn everything_that_relayed_clients_do_is_answered_rightly() {
    let relayed = ["--relays", "2", "--relay-base", "10.9.0.100"];
    let server = ["--server", "10.9.0.1"];
    let lines = ["--circuit-id", "olt-%04x/%d", "--remote-id", "%m"];
    let subscriber = ["--subscriber-id", "customer %6d of %r"];
    let (_, server, _link) = everything(&[&relayed[..], &server, &lines, &subscriber].concat());
    // The client on line 7 has what is reserved for the line; others have what the pool has.
    let leases = server.leases();
    assert!(leases.any("10.9.40.7").is_some());
}

#[test]
fn everything_is_answered_behind_two_vlan_tags() {
    everything(&["--vlan", "100,7"]);
}

#[test]
fn rapid_commit_takes_two_messages() {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    let arguments = ["--clients", "300", "--rapid-commit"];
    let report = Blaster::run(&link.clients, link.folder(), &arguments);
    report.assert_clean();
    assert_eq!(report.of("obtain", "completed"), 300, "{report:?}");
    assert_eq!(report.step("discover-ack", "sent"), 300, "{report:?}");
    assert_eq!(report.step("request-ack", "sent"), 0, "{report:?}");
}

#[test]
fn everything_that_dhcpv6_clients_do_is_answered_rightly() {
    everything(&["--family", "v6", "--ia", "both"]);
}

/// A client that restarts on another network is told so, and obtains a lease there.
#[test]
fn a_remembered_address_of_another_network_is_refused() {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    let leases = link.file("leases.jsonl");
    let leases = leases.to_str().unwrap();
    let run = |more: &[&str]| {
        let usual = ["--clients", "50"];
        Blaster::run(&link.clients, link.folder(), &[&usual[..], more].concat())
    };
    run(&["--leases-out", leases]).assert_clean();
    let written = std::fs::read_to_string(leases).unwrap();
    std::fs::write(leases, written.replace("\"10.9.", "\"192.168.")).unwrap();
    let report = run(&["--leases-in", leases, "--mix", "reboot"]);
    report.assert_clean();
    assert_eq!(report.refusals("DHCPNAK"), 50, "{report:?}");
}

/// Two servers on one link; the second grants shorter leases.
struct Rivals {
    crowd: Namespace,
    first: Server,
    second: Server,
    _there: Namespace,
    link: Link,
}

fn rivals() -> Rivals {
    let link = Link::new(1);
    let (crowd, there) = (Namespace::new("crowd"), Namespace::new("second"));
    join((&link.clients, "port1"), (&crowd, CLIENT_INTERFACE), 1);
    join((&link.clients, "port2"), (&there, SERVER_INTERFACE), 1);
    link.clients.sh(&format!(
        "ip link add br0 type bridge; ip link set br0 up
         for port in {CLIENT_INTERFACE} port1 port2; do ip link set $port master br0; done"
    ));
    there.add_address(SERVER_INTERFACE, "10.9.0.2/16");
    let config = |pool: &str, seconds: u32| {
        format!(
            "interfaces = ['srv0']\ndurability = 'process'\noffer-lifetime = 600\n[[subnet4]]\nsubnet = '10.9.0.0/16'\n\
             pools = ['{pool}']\nvalid-lifetime = {seconds}\n"
        )
    };
    let first = config("10.9.16.0-10.9.31.255", 7200);
    let second = config("10.9.64.0-10.9.79.255", 3600);
    let mut first = Server::configured(&link.file("first"), &first);
    let mut second = Server::configured(&link.file("second"), &second);
    first.start(&link.server);
    second.start(&there);
    Rivals {
        crowd,
        first,
        second,
        _there: there,
        link,
    }
}

// RFC 2131 section 3.1: who waits for several offers chooses by what they are.
#[test]
fn of_several_offers_the_longest_lease_is_taken() {
    let rivals = rivals();
    let arguments = ["--clients", "200", "--offers", "2"];
    let report = Blaster::run(&rivals.crowd, rivals.link.folder(), &arguments);
    report.assert_clean();
    assert_eq!(report.count("completed"), 200, "{report:?}");
    assert_eq!(report.count("further_offers"), 200, "{report:?}");
    let live = |server: &Server| server.leases().live().count();
    assert_eq!((live(&rivals.first), live(&rivals.second)), (200, 0));
    // Who was not chosen has taken back its offers (RFC 2131 section 4.3.2).
    let pools = rivals.second.ctl(&["pools"]).to_string();
    assert!(pools.contains("\"offered\":0"), "{pools}");
}

#[test]
fn the_first_offer_is_taken_and_further_ones_are_told_apart() {
    let rivals = rivals();
    // So slowly that the other server's OFFERs come while the blaster is still there.
    let arguments = ["--clients", "200", "--seed", "3", "--rate", "500"];
    let report = Blaster::run(&rivals.crowd, rivals.link.folder(), &arguments);
    report.assert_clean();
    assert_eq!(report.count("completed"), 200, "{report:?}");
    // An OFFER that comes even behind the ACK is nobody's; the last ones may come when the blaster has ended.
    let beside = report.count("further_offers") + report.count("stray");
    assert!((100..=200).contains(&beside), "{report:?}");
    let live = |server: &Server| server.leases().live().count();
    assert_eq!(live(&rivals.first) + live(&rivals.second), 200);
}

/// The kernel of the server's machine is told to believe what it hears unasked.
// RFC 5227 section 2.3.
#[test]
fn new_addresses_are_announced() {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    link.server.sh("sysctl -qw net.ipv4.conf.srv0.arp_accept=1");
    let run = |more: &[&str]| {
        let usual = ["--clients", "100"];
        Blaster::run(&link.clients, link.folder(), &[&usual[..], more].concat())
    };
    let silent = run(&["--seed", "5"]);
    silent.assert_clean();
    let neighbours = || link.server.sh("ip neigh show dev srv0");
    assert_eq!(silent.count("announced"), 0);
    let before = neighbours().lines().count();
    let report = run(&["--seed", "6", "--announce"]);
    report.assert_clean();
    assert_eq!(report.count("announced"), 100, "{report:?}");
    let known = neighbours();
    assert_eq!(known.lines().count(), before + 100, "{known}");
    let leases = server.leases();
    for line in known.lines().filter(|line| line.starts_with("10.9.16.")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, "lladdr", mac, ..] = words[..] else {
            panic!("{line}");
        };
        let record = leases.any(address);
        assert!(record.is_some_and(|it| it.belongs_to(mac)), "{line}");
    }
}

/// A blaster that finds nothing wrong proves nothing: here something is, by its own measure.
#[test]
fn a_violation_fails_the_run() {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    let run = |more: &[&str]| {
        let usual = ["--clients", "20", "--expect-prefix", "192.0.2.0/24"];
        let blaster = Blaster::start(&link.clients, link.folder(), &[&usual[..], more].concat());
        blaster.outcome()
    };
    let (report, status) = run(&[]);
    assert_eq!(report.violations("unexpected-prefix"), 20, "{report:?}");
    assert_eq!(status.code(), Some(1));
}
