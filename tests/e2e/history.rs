//! The legal log: whatever a client was promised is in the history at the second in which it had it, while
//! the server runs, after kill -9 and after a good end; and the chain of hashes holds.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

use dhcp_tests::lab::blaster::{Blaster, Promise, ledger};
use dhcp_tests::lab::client::{Client, Program};
use dhcp_tests::lab::process::{PATIENCE, eventually, run, try_run};
use dhcp_tests::lab::server::{Server, binary};
use dhcp_tests::lab::{CLIENT_INTERFACE, Link};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const KILLS: u64 = 3;

fn config(durability: &str) -> String {
    format!(
        r#"
interfaces = ["srv0"]
durability = "{durability}"
workers = 2

[history]
segment-size-mib = 1

[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.16.0-10.9.143.255"]
valid-lifetime = 3600

[[subnet6]]
subnet = "fd09::/64"
interface = "srv0"
pools = ["fd09::1:0-fd09::1:ffff"]
pd-pools = [{{ prefix = "fd09:100::/40", delegated-len = 56 }}]
valid-lifetime = 3600
preferred-lifetime = 3600
"#
    )
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn history(server: &Server, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("XDHCPD_BIN", "xdhcpd"));
    command.args(["leases", "history"]).args(arguments);
    command.arg("--config").arg(server.config());
    command
}

fn ask(server: &Server, arguments: &[&str]) -> Value {
    let text = run(&mut history(server, &[arguments, &["--json"]].concat()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:.300}"))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// That the history names each client for its lease at this second, and nobody else.
fn assert_told(server: &Server, prefix: &str, promises: &[Promise], at: u64) {
    let answer = ask(server, &[prefix, "--at", &at.to_string()]);
    assert_eq!(
        answer["gaps"].as_array().unwrap().len(),
        0,
        "{}",
        answer["gaps"]
    );
    assert_eq!(answer["broken"].as_array().unwrap().len(), 0);
    let mut told: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for holding in answer["holdings"].as_array().unwrap() {
        told.entry(text(holding, "address"))
            .or_default()
            .push(holding);
    }
    let wrong: Vec<_> = promises
        .iter()
        .filter(|promise| {
            let holders = told
                .get(promise.lease.as_str())
                .cloned()
                .unwrap_or_default();
            let is_own = |holding: &&Value| {
                text(holding, "hw-address") == promise.mac
                    || text(holding, "client").ends_with(&promise.mac)
            };
            !(holders.len() == 1 && holders.iter().all(is_own))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} promises are not in the history: {:?}",
        wrong.len(),
        promises.len(),
        wrong.iter().take(3).collect::<Vec<_>>()
    );
}

fn told_after_kills(durability: &str) {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), &config(durability));
    server.start(&link.server);
    let mut told = 0;
    let mut promised: BTreeMap<&str, usize> = BTreeMap::new();
    for kill in 0..KILLS {
        for (family, prefix) in [("v4", "10.9.0.0/16"), ("v6", "fd09::/16")] {
            let leases = link.file(&format!("{family}-{kill}.jsonl"));
            let path = leases.to_string_lossy().into_owned();
            let seed = (10 * kill + u64::from(family == "v6")).to_string();
            let mut arguments = vec!["--family", family, "--clients", "20000", "--seed", &seed];
            arguments.extend(["--mix", "obtain=1", "--seconds", "1", "--leases-out", &path]);
            arguments.extend(["--timeout", "150", "--retries", "1"]);
            // A link that is saturated on two cores leaves the history's thread too little of them; it says
            // so in a gap, and what is asked here is what a kill does.
            arguments.extend(["--rate", "8000"]);
            let blaster = Blaster::start(&link.clients, link.folder(), &arguments);
            // In the middle of the load: the journal, or the tables, have what the history has not.
            eventually(PATIENCE, "load", || {
                let is_v6 = family == "v6";
                let leases = server.leases();
                let live = leases.live().filter(|it| it.lease.contains(':') == is_v6);
                (live.count() > promised.get(family).copied().unwrap_or(0) + 200).then_some(())
            });
            server.process().kill();
            blaster.report().assert_clean();
            server.start(&link.server);
            let at = now();
            let promises = ledger(&leases);
            assert!(promises.len() > 100, "no load: {}", promises.len());
            assert_told(&server, prefix, &promises, at);
            told += promises.len();
            let live = server.leases();
            let of_family = live
                .live()
                .filter(|it| it.lease.contains(':') == (family == "v6"));
            promised.insert(family, of_family.count());
        }
    }
    println!(
        "{durability}: {told} promises before {} kills, all told",
        2 * KILLS
    );
    run(&mut history(&server, &["--verify"]));
    assert!(server.process().stop().success());
    let verified = ask(&server, &["--verify"]);
    assert_eq!(verified["broken"], Value::Null);
    assert_eq!(verified["gaps"].as_array().unwrap().len(), 0, "{verified}");
    println!(
        "{} entries in {} octets of {} segments",
        verified["entries"], verified["octets"], verified["segments"]
    );
}

#[test]
fn every_promise_is_told_after_kill_9_with_durability_power() {
    told_after_kills("power");
}

#[test]
fn every_promise_is_told_after_kill_9_with_durability_process() {
    told_after_kills("process");
}

#[test]
fn a_real_client_is_told_while_the_server_runs_and_after_its_release() {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), &config("power"));
    server.start(&link.server);
    let before = now();
    let mut client = Client::new(
        Program::Dhclient4,
        &link.clients,
        CLIENT_INTERFACE,
        link.folder(),
    );
    let lease = client.obtain();
    let holding = eventually(PATIENCE, "an entry in the history", || {
        let at = now().to_string();
        let (found, text) = try_run(&mut history(&server, &[&lease, "--at", &at, "--json"]));
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        found.then(|| value["holdings"][0].clone())
    });
    assert!(holding["since"].as_u64().unwrap() >= before, "{holding}");
    assert_eq!(text(&holding, "ending"), "expiry");
    client.release();
    let released = eventually(PATIENCE, "the release in the history", || {
        let value = ask(&server, &[&lease]);
        let holding = value["holdings"][0].clone();
        (text(&holding, "ending") == "released").then_some(holding)
    });
    let until = released["until"].as_u64().unwrap();
    assert!(until <= now() && until >= before, "{released}");
    // Nobody had it a minute before, and that is a failure that says so.
    let early = (before - 60).to_string();
    let (found, said) = try_run(&mut history(&server, &[&lease, "--at", &early]));
    assert!(!found && said.contains("nobody held it at"), "{said}");
    assert!(server.process().stop().success());
}
