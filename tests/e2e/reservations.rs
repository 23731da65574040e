//! A hundred thousand reservations from a file: a reload takes them up while clients are served, and nobody
//! waits for it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics"
)]

use dhcp_tests::lab::Link;
use dhcp_tests::lab::blaster::Blaster;
use dhcp_tests::lab::server::Server;
use std::fmt::Write;
use std::time::{Duration, Instant};

const CONFIG: &str = r#"
interfaces = ["srv0"]
durability = "process"

[dhcp4]
reservations-file = "lines.jsonl"

[[subnet4]]
id = 1
subnet = "10.6.0.0/15"
pools = ["10.6.0.0-10.6.15.255"]
relay = { ip-addresses = ["10.9.0.100"] }
"#;

const RESERVATIONS: u32 = 100_000;
/// 10.6.16.0, behind the pool.
const FIRST: u32 = 0x0a06_1000;
const CLIENTS: u32 = 2_000;
/// Long for the machine, short for an operator who waits.
const LONGEST: Duration = Duration::from_secs(5);

/// Every line has an address of its own behind the pool, and a name.
fn lines(name: &str) -> String {
    let mut text = String::new();
    for number in 0..RESERVATIONS {
        let address = std::net::Ipv4Addr::from_bits(FIRST + number);
        writeln!(
            text,
            r#"{{"subnet-id": 1, "circuit-id": "'line-{number}'", "ip-address": "{address}", "hostname": "{name}-{number}"}}"#
        )
        .unwrap();
    }
    text
}

#[test]
fn a_hundred_thousand_reservations_are_reloaded_under_load() {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    let file = link.file("server").join("lines.jsonl");
    std::fs::write(&file, lines("cpe")).unwrap();
    let started = Instant::now();
    server.start(&link.server);
    eprintln!("started in {:?}", started.elapsed());
    let (clients, longest) = (CLIENTS.to_string(), "20");
    let relayed = ["--relays", "1", "--relay-base", "10.9.0.100"];
    let lines_of = ["--server", "10.9.0.1", "--circuit-id", "line-%d"];
    let load = [
        "--clients",
        &clients,
        "--prefill",
        "--mix",
        "rebind=4,dora=1",
    ];
    let pace = ["--rate", "2000", "--seconds", longest];
    let place = ["--expect-prefix", "10.6.0.0/15"];
    let arguments = [&relayed[..], &lines_of, &load, &pace, &place].concat();
    let blaster = Blaster::start(&link.clients, link.folder(), &arguments);
    for round in 1..=5 {
        std::fs::write(&file, lines(&format!("cpe{round}"))).unwrap();
        let started = Instant::now();
        let (done, said) = server.try_ctl(&["reload"]);
        let took = started.elapsed();
        assert!(done, "{said}");
        eprintln!("reload {round}: {took:?}: {}", said.trim());
        assert!(took < LONGEST, "a reload took {took:?}");
    }
    let report = blaster.report();
    report.assert_clean();
    assert_eq!(report.count("failed"), 0, "{report:?}");
    assert_eq!(report.count("not_started"), 0, "{report:?}");
    eprintln!(
        "under load: {} completed, {} unanswered the first time, longest {} ms",
        report.count("completed"),
        report.count("drops"),
        report.longest_nanoseconds() / 1_000_000
    );
    let leases = server.leases();
    let of_line = |number: u32| std::net::Ipv4Addr::from_bits(FIRST + number).to_string();
    for number in 0..CLIENTS {
        let address = of_line(number);
        assert!(leases.any(&address).is_some(), "line {number}: {address}");
    }
}
