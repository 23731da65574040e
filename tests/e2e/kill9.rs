//! kill -9 under load, again and again: every lease that was acknowledged is there afterwards, no address
//! has two holders, and the clients renew what they had.
#![allow(clippy::indexing_slicing, reason = "a test that fails panics")]

use dhcp_tests::lab::Link;
use dhcp_tests::lab::blaster::{Blaster, assert_kept, ledger};
use dhcp_tests::lab::process::{PATIENCE, eventually};
use dhcp_tests::lab::server::Server;
use std::path::{Path, PathBuf};
use std::time::Duration;

const KILLS: u64 = 20;

#[test]
fn every_acknowledged_lease_survives_with_durability_process() {
    survive("process");
}

#[test]
fn every_acknowledged_lease_survives_with_durability_power() {
    survive("power");
}

fn config(durability: &str) -> String {
    format!(
        r#"
interfaces = ["srv0"]
durability = "{durability}"
workers = 2

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

/// The clients of one protocol, and where what they hold is kept from one kill to the next.
struct Clients {
    family: &'static str,
    seed: &'static str,
    mix: &'static str,
    before: PathBuf,
    after: PathBuf,
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
            before: link.file(&format!("{family}-before.jsonl")),
            after: link.file(&format!("{family}-after.jsonl")),
            has_leases: false,
        })
    }

    /// Starts a run of these clients, who know what they had and write down what they have then.
    fn start(&self, link: &Link, from: Option<&Path>, to: &Path, more: &[&str]) -> Blaster {
        let to = to.to_string_lossy();
        let from = from.map(Path::to_string_lossy);
        // A client that gets no answer gives up soon: after a kill there is none.
        let mut arguments = vec!["--clients", "20000", "--timeout", "150", "--retries", "1"];
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

fn survive(durability: &str) {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), &config(durability));
    server.start(&link.server);
    let mut both = Clients::both(&link);
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let clients = &mut both[kill as usize % 2];
        let from = clients.has_leases.then_some(clients.before.as_path());
        let load = ["--mix", clients.mix, "--seconds", "1"];
        let blaster = clients.start(&link, from, &clients.after, &load);
        let is_v6 = clients.family == "v6";
        eventually(PATIENCE, "load", || {
            let leases = server.leases();
            let live = leases
                .live()
                .filter(|record| record.lease.contains(':') == is_v6);
            (live.count() > 100).then_some(())
        });
        // Some time in the middle of the load, another one each time: steps of 137 milliseconds
        // modulo 800 are spread over all of it.
        std::thread::sleep(Duration::from_millis(100 + kill * 137 % 800));
        server.process().kill();
        blaster.report().assert_clean();

        server.start(&link.server);
        let promises = ledger(&clients.after);
        assert!(
            promises.len() > 100,
            "kill {kill}: no load: {} leases",
            promises.len()
        );
        acknowledged += promises.len();
        assert_kept(&promises, &server.leases());

        let exchanges = promises.len().min(5_000).to_string();
        let renewals = ["--mix", "renew=1", "--exchanges", &exchanges];
        let report = clients
            .start(&link, Some(&clients.after), &clients.before, &renewals)
            .report();
        report.assert_clean();
        assert_eq!(
            report.count("failed"),
            0,
            "kill {kill}: a renewal failed: {report:?}"
        );
        assert!(
            report.count("completed") > 0,
            "kill {kill}: nothing was renewed"
        );
        clients.has_leases = true;
    }
    println!("{KILLS} kills, {acknowledged} acknowledged leases looked for and found");
    assert!(server.process().stop().success());
}
