//! kill -9 under load, again and again: every lease that was acknowledged is there afterwards, no address
//! has two holders, and the clients renew what they had.
//!
//! `XDHCPD_KILLS` says how often, half of it with each durability (25 unless it is set; the acceptance of a
//! release is 1,000: `cargo xtask crash --only kills`). `XDHCPD_SEED` repeats the moments of a run.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use dhcp_tests::crash::random::Random;
use dhcp_tests::lab::Link;
use dhcp_tests::lab::blaster::{Blaster, assert_kept, ledger};
use dhcp_tests::lab::server::Server;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Kills of both durabilities together, unless the environment says otherwise.
const KILLS: u64 = 25;
/// For how long clients ask for leases, the server alive or dead.
const LOAD_SECONDS: &str = "0.5";
/// When the server is killed, counted from when the blaster was started: from before its first frame until
/// after its last one.
const KILL_MILLIS: std::ops::Range<u64> = 20..520;
/// After so many kills the clients renew: what the server's table says, it must also do.
const KILLS_PER_RENEWAL: u64 = 5;

#[test]
fn every_acknowledged_lease_survives_with_durability_process() {
    survive("process", number("XDHCPD_KILLS", KILLS) / 2);
}

#[test]
fn every_acknowledged_lease_survives_with_durability_power() {
    survive("power", number("XDHCPD_KILLS", KILLS).div_ceil(2));
}

fn number(variable: &str, otherwise: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) => otherwise,
    }
}

fn config(durability: &str) -> String {
    format!(
        r#"
interfaces = ["srv0"]
durability = "{durability}"
workers = 2

[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.16.0-10.9.31.255"]
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

/// The clients of one protocol, and where what they hold is kept from one kill to the next.
struct Clients {
    family: &'static str,
    seed: &'static str,
    mix: &'static str,
    /// What they had before the last load, and what they have after it.
    ledgers: [PathBuf; 2],
    has_leases: bool,
}

impl Clients {
    /// A DHCPv6 client that waits for the Reply to its Release believes that it still has its lease; whether
    /// the server obeyed before it died is not to be known. So only DHCPv4 clients, to whom a RELEASE is never
    /// answered, give leases back here.
    fn both(link: &Link) -> [Self; 2] {
        [
            ("v4", "1", "obtain=3,renew=2,release=1"),
            ("v6", "2", "obtain=3,renew=2,rebind=1"),
        ]
        .map(|(family, seed, mix)| Self {
            family,
            seed,
            mix,
            ledgers: ["before", "after"].map(|when| link.file(&format!("{family}-{when}.jsonl"))),
            has_leases: false,
        })
    }

    /// Starts a run of these clients, who know what they had and write down what they have then.
    fn start(&self, link: &Link, from: Option<&Path>, to: &Path, more: &[&str]) -> Blaster {
        let to = to.to_string_lossy();
        let from = from.map(Path::to_string_lossy);
        // A client that gets no answer gives up soon: after a kill there is none.
        let mut arguments = vec!["--clients", "3000", "--timeout", "100", "--retries", "1"];
        arguments.extend([
            "--family",
            self.family,
            "--seed",
            self.seed,
            "--leases-out",
            &to,
        ]);
        arguments.extend(from.iter().flat_map(|from| ["--leases-in", from]));
        arguments.extend(more);
        Blaster::start(&link.clients, link.folder(), &arguments)
    }
}

fn survive(durability: &str, kills: u64) {
    let seed = number("XDHCPD_SEED", u64::from(std::process::id()));
    println!("XDHCPD_SEED={seed}");
    let mut random = Random(seed);
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), &config(durability));
    server.start(&link.server);
    let mut both = Clients::both(&link);
    let (mut acknowledged, mut renewed) = (0, 0);
    for kill in 0..kills {
        let clients = &mut both[kill as usize % 2];
        let [before, after] = &clients.ledgers;
        let from = clients.has_leases.then_some(before.as_path());
        let load = ["--mix", clients.mix, "--seconds", LOAD_SECONDS];
        let blaster = clients.start(&link, from, after, &load);
        let millis = KILL_MILLIS.start + random.below(KILL_MILLIS.end - KILL_MILLIS.start);
        std::thread::sleep(Duration::from_millis(millis));
        server.process().kill();
        blaster.report().assert_clean();

        server.start(&link.server);
        let promises = ledger(after);
        acknowledged += promises.len();
        assert_kept(&promises, &server.leases());
        if (kill / 2) % KILLS_PER_RENEWAL == 0 && !promises.is_empty() {
            renewed += renew(&link, clients, promises.len());
        } else {
            clients.ledgers.swap(0, 1);
        }
        clients.has_leases = true;
    }
    println!(
        "{kills} kills, {acknowledged} acknowledged leases looked for, 0 lost, 0 with two holders, {renewed} \
         renewed"
    );
    assert!(acknowledged as u64 > kills * 100, "hardly any load");
    assert!(server.process().stop().success());
}

/// The clients renew what they had after the last load; what they have then comes before the next one.
fn renew(link: &Link, clients: &Clients, promises: usize) -> u64 {
    let [before, after] = &clients.ledgers;
    let exchanges = promises.min(2_000).to_string();
    let renewals = ["--mix", "renew=1", "--exchanges", &exchanges];
    let report = clients.start(link, Some(after), before, &renewals).report();
    report.assert_clean();
    assert_eq!(report.count("failed"), 0, "a renewal failed: {report:?}");
    assert!(report.count("completed") > 0, "nothing was renewed");
    report.count("completed")
}
