//! Before an address is offered for the first time, somebody is asked whether it is in use
//! (RFC 2131 sections 2.2 and 3.1).
#![allow(clippy::panic, reason = "a test that fails panics")]

use dhcp_tests::lab::blaster::Blaster;
use dhcp_tests::lab::server::Server;
use dhcp_tests::lab::{CLIENT_INTERFACE, Link};
use serde_json::Value;

const CONFIG: &str = r#"
interfaces = ["srv0"]
workers = 2

[dhcp4]
enable-ping-check = true
reply-timeout = 200

[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.1.0-10.9.1.99"]
valid-lifetime = 600

[[subnet4]]
subnet = "10.8.0.0/16"
pools = ["10.8.1.0-10.8.1.99"]
valid-lifetime = 600
"#;

fn number(value: &Value, pointer: &str) -> u64 {
    let number = value.pointer(pointer).and_then(Value::as_u64);
    number.unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

/// Twenty clients, and a silent somebody who uses the first two addresses of the pool.
fn clients_get_what_is_free(squatted: [&str; 2], prepare: &str, way: &str, arguments: &[&str]) {
    let link = Link::new(1);
    link.clients.add_address(CLIENT_INTERFACE, "10.9.0.2/16");
    link.clients.sh(prepare);
    link.server.sh("ip route add 10.8.0.0/16 via 10.9.0.2");
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    let all = [
        &["--clients", "20", "--timeout", "1000", "--retries", "9"],
        arguments,
    ]
    .concat();
    let report = Blaster::run(&link.clients, link.folder(), &all);
    report.assert_clean();
    let leases = server.leases();
    assert_eq!(leases.live().count(), 20, "{:?}", leases.all);
    for address in squatted {
        let state = leases.any(address).map(|record| record.state.as_str());
        assert_eq!(state, Some("declined"), "{address}");
    }
    let status = server.ctl(&["status"]);
    assert_eq!(number(&status, "/probes/in_use"), 2, "{status}");
    assert!(number(&status, "/probes/clear") >= 20, "{status}");
    assert!(
        number(&status, &format!("/probe-requests/{way}")) >= 22,
        "{status}"
    );
    assert_eq!(number(&status, "/probes/failed"), 0, "{status}");
    // Who met a squatted address had to ask once more, and nobody else.
    let stats = server.ctl(&["stats"]);
    assert_eq!(number(&stats, "/discards/probed_in_use"), 2, "{stats}");
    assert_eq!(number(&stats, "/received-v4/discover"), 22, "{stats}");
}

// RFC 2131 section 3.1 [probe-before-offer]
#[test]
fn by_arp_on_the_server_s_link() {
    clients_get_what_is_free(
        ["10.9.1.0", "10.9.1.1"],
        "ip address add 10.9.1.0/32 dev cli0 && ip address add 10.9.1.1/32 dev cli0",
        "arp",
        &[],
    );
}

// RFC 2131 section 2.2 [probe-new-address]
#[test]
fn by_icmp_echo_behind_a_relay_agent() {
    clients_get_what_is_free(
        ["10.8.1.0", "10.8.1.1"],
        "ip link set lo up && ip address add 10.8.1.0/32 dev lo && ip address add 10.8.1.1/32 dev lo",
        "icmp",
        &[
            "--relays",
            "1",
            "--relay-base",
            "10.8.0.1",
            "--server",
            "10.9.0.1",
        ],
    );
}

/// Where no route leads nobody can be asked. Clients are served all the same, and the operator is told.
#[test]
fn what_cannot_be_asked_is_offered_and_told() {
    let link = Link::new(1);
    link.clients.add_address(CLIENT_INTERFACE, "10.9.0.2/16");
    link.server.sh("ip route add 10.8.0.1/32 via 10.9.0.2");
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    let report = Blaster::run(
        &link.clients,
        link.folder(),
        &[
            "--clients",
            "5",
            "--relays",
            "1",
            "--relay-base",
            "10.8.0.1",
            "--server",
            "10.9.0.1",
        ],
    );
    report.assert_clean();
    let status = server.ctl(&["status"]);
    assert_eq!(number(&status, "/probes/failed"), 5, "{status}");
    let problems = status.pointer("/problems").map(Value::to_string);
    let problems = problems.unwrap_or_default();
    assert!(problems.contains("cannot be probed"), "{problems}");
}
