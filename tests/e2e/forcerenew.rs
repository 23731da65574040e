//! Clients are told to renew (RFC 3203, RFC 6704): one that is a real program, and very many behind a relay agent.

use dhcp_tests::lab::client::{Client, Program};
use dhcp_tests::lab::process::{Process, eventually};
use dhcp_tests::lab::server::{Server, binary};
use dhcp_tests::lab::{CLIENT_INTERFACE, Link};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// T1 is in an hour: nobody renews by itself while the test runs.
const CONFIG: &str = r#"
interfaces = ["srv0"]
lease-capacity = 200000

[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.1.0-10.9.1.255"]
valid-lifetime = 7200

[[subnet4]]
subnet = "10.64.0.0/10"
pools = ["10.64.1.0-10.65.255.255"]
valid-lifetime = 7200
cache-threshold = 0.5
"#;

/// A number that was said, or one that nobody says.
fn number(value: &Value, name: &str) -> u64 {
    let number = value.get(name).and_then(Value::as_u64);
    number.unwrap_or(u64::MAX)
}

fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Waits for the end of the campaign: what is said of it.
fn ended(server: &Server, patience: Duration) -> Value {
    eventually(patience, "the end of the campaign", || {
        let status = server.ctl(&["reconfigure", "status"]);
        (word(&status, "state") != "running").then_some(status)
    })
}

/// dhcpcd says by itself that it can, and looks at nonce, digest, counter and transaction number. The nonce
/// outlives the server.
// RFC 6704 section 3.1.3 [nonce-in-ack]
// RFC 6704 section 3.1.3 [forcerenew-digest]
#[test]
fn dhcpcd_renews_when_it_is_told_also_by_a_server_that_was_restarted() {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    let folder = link.folder();
    let mut client = Client::new(Program::Dhcpcd4, &link.clients, CLIENT_INTERFACE, folder);
    let address = client.obtain();
    for round in 0..2 {
        // Not in the second of the ACK.
        std::thread::sleep(Duration::from_secs(1));
        let begun = server.ctl(&["reconfigure", &address, "--timeout", "2", "--tries", "3"]);
        assert_eq!(number(&begun, "targets"), 1, "{begun}");
        assert_eq!(client.renew(), address, "round {round}");
        let status = ended(&server, Duration::from_secs(30));
        assert_eq!(word(&status, "state"), "done");
        let counts = ["renewed", "sent", "deaf", "failures"].map(|name| number(&status, name));
        assert_eq!(counts, [1, 1, 0, 0], "{status}");
        server.process().kill();
        server.start(&link.server);
    }
}

/// As many as FORCERENEW_CLIENTS says, 2,000 otherwise; a twentieth of them is deaf.
// RFC 3203 section 2.2 [forcerenew-unicast]
// RFC 3203 section 2.2 [forcerenew-retransmit]
// RFC 3203 section 2.2 [forcerenew-retransmit-bounded]
// RFC 3203 section 2.2 [forcerenew-delay]
// RFC 6704 section 3.1.2 [replay-counter]
#[test]
fn a_campaign_reaches_everybody_behind_a_relay_agent_and_lists_the_deaf() {
    let asked = std::env::var("FORCERENEW_CLIENTS").ok();
    let clients: u64 = asked.map_or(2000, |asked| asked.parse().expect("a number of clients"));
    let rate = (clients / 10).clamp(100, 4000);
    let link = Link::new(1);
    link.clients.add_address(CLIENT_INTERFACE, "10.9.0.2/16");
    // Clients are reached by way of their relay agent's machine, as routes lead there anywhere.
    link.server.sh("ip route add 10.64.0.0/10 via 10.9.0.2");
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);

    let folder = link.folder();
    let (ready, deaf_file) = (link.file("ready"), link.file("deaf"));
    let mac = link.clients.mac(CLIENT_INTERFACE);
    let mut command = link.clients.command("env");
    command
        .arg(binary("XDHCP_FORCERENEW_BIN", "xdhcp-forcerenew"))
        .args(["--interface", CLIENT_INTERFACE, "--giaddr", "10.64.0.1"])
        .args(["--server", "10.9.0.1", "--server-mac", &link.server_mac()])
        .args(["--mac", &mac, "--clients", &clients.to_string()])
        .args(["--deaf", "5", "--quiet", "15", "--seconds", "900"])
        .arg("--ready")
        .arg(&ready)
        .arg("--deaf-out")
        .arg(&deaf_file);
    let mut crowd = Process::start(&mut command, folder, "forcerenew");
    eventually(Duration::from_secs(300), "everybody's lease", || {
        assert!(!crowd.has_ended(), "{}", crowd.log());
        ready.exists().then_some(())
    });

    let rate_word = rate.to_string();
    let begun = server.ctl(&[
        "reconfigure",
        "--relay",
        "10.64.0.1",
        "--rate",
        &rate_word,
        "--timeout",
        "2",
        "--tries",
        "3",
    ]);
    assert_eq!(number(&begun, "targets"), clients, "{begun}");
    let (is_second, text) = server.try_ctl(&["reconfigure", "--all"]);
    assert!(!is_second && text.contains("still running"), "{text}");
    let status = ended(&server, Duration::from_secs(600));
    let deaf_count = clients / 20;
    assert_eq!(word(&status, "state"), "done", "{status}");
    assert_eq!(number(&status, "renewed"), clients - deaf_count, "{status}");
    assert_eq!(number(&status, "deaf"), deaf_count, "{status}");
    assert_eq!(number(&status, "failures"), 0, "{status}");

    let listed = server.ctl(&["reconfigure", "deaf"]);
    let listed: BTreeSet<String> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|deaf| word(deaf, "address").to_owned())
        .collect();
    let expected = std::fs::read_to_string(&deaf_file).unwrap();
    let expected: BTreeSet<String> = expected.lines().map(str::to_owned).collect();
    assert_eq!(listed, expected);

    crowd.wait(Duration::from_secs(60));
    let output = crowd.output();
    let report: Value = serde_json::from_str(&output)
        .unwrap_or_else(|error| panic!("{error}: {output}\n{}", crowd.log()));
    println!("{status}\n{report}");
    for (name, expected) in [
        ("bound", clients),
        ("nonces", clients),
        ("capable_offers", clients),
        ("renewed", clients - deaf_count),
        ("unanswered", 0),
    ] {
        assert_eq!(number(&report, name), expected, "{report}");
    }
    let faults = report.get("faults").and_then(Value::as_object);
    assert_eq!(faults.map(|faults| faults.len()), Some(0), "{report}");
    assert!(number(&report, "told_deaf") >= 3 * deaf_count, "{report}");
    // What was sent in a second may come together a little.
    let most = number(&report, "per_second_max");
    assert!(most <= rate + rate / 5, "{most} a second, not {rate}");
}
