//! The last address of a pool: 4,096 clients get 4,096 addresses from four workers on one queue, and the next
//! client is refused as its protocol says; 65,536 get as many from eight, by each allocator.

use dhcp_tests::lab::Link;
use dhcp_tests::lab::blaster::{Blaster, Report};
use dhcp_tests::lab::server::Server;

/// One subnet for each kind of lease; each has 4,096 of them, no more.
const CONFIG: &str = r#"
interfaces = ["srv0"]
durability = "process"
workers = 4
offer-lifetime = 600

[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.16.0-10.9.31.255"]

[[subnet6]]
subnet = "fd09::/64"
interface = "srv0"
pools = ["fd09::1000-fd09::1fff"]
pd-pools = [{ prefix = "fd09:100::/44", delegated-len = 56 }]
"#;

const ALL: u64 = 4096;

/// As many addresses as eight workers can hand out in a few seconds, by each allocator. The server's own lies in the
/// subnet and not in the pool: it would be nobody's.
fn crowd(allocator: &str) -> String {
    format!(
        r#"
interfaces = ["srv0"]
durability = "process"
workers = 8
offer-lifetime = 600

[[subnet4]]
subnet = "10.8.0.0/15"
pools = ["10.8.0.0-10.8.255.255"]
allocator = "{allocator}"
"#
    )
}

const CROWD: u64 = 65_536;

/// Runs 4,096 clients, then one more.
fn exhaust(arguments: &[&str]) -> (Report, Report, Server, Link) {
    fill(CONFIG, ALL, arguments)
}

/// Runs as many clients as there are leases, then one more.
fn fill(config: &str, count: u64, arguments: &[&str]) -> (Report, Report, Server, Link) {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), config);
    server.start(&link.server);
    let all = count.to_string();
    let run =
        |more: &[&str]| Blaster::run(&link.clients, link.folder(), &[arguments, more].concat());
    let everybody = run(&["--clients", &all, "--seed", "1"]);
    everybody.assert_clean();
    assert_eq!(everybody.count("completed"), count, "{everybody:?}");
    let one_more = run(&[
        "--clients",
        "1",
        "--seed",
        "2",
        "--timeout",
        "300",
        "--retries",
        "2",
    ]);
    one_more.assert_clean();
    assert_eq!(one_more.count("completed"), 0, "{one_more:?}");
    let leases = server.leases();
    assert_eq!(leases.live().count() as u64, count);
    assert!(leases.held_twice().is_empty());
    (everybody, one_more, server, link)
}

#[test]
fn the_4097th_client_gets_no_offer() {
    let (everybody, one_more, _server, _link) = exhaust(&["--family", "v4"]);
    assert_eq!(everybody.count("addresses"), ALL);
    assert_eq!(one_more.count("failed"), 1, "{one_more:?}");
    assert_eq!(one_more.count("stray"), 0, "{one_more:?}");
}

#[test]
fn the_4097th_client_gets_no_addrs_avail() {
    let (everybody, one_more, _server, _link) = exhaust(&["--family", "v6", "--ia", "na"]);
    assert_eq!(everybody.count("addresses"), ALL);
    assert!(one_more.refusals("NoAddrsAvail") > 0, "{one_more:?}");
}

#[test]
fn the_4097th_router_gets_no_prefix_avail() {
    let (everybody, one_more, _server, _link) = exhaust(&["--family", "v6", "--ia", "pd"]);
    assert_eq!(everybody.count("prefixes"), ALL);
    assert!(one_more.refusals("NoPrefixAvail") > 0, "{one_more:?}");
}

fn the_65537th_client_gets_no_offer(allocator: &str) {
    let (everybody, one_more, _server, _link) = fill(&crowd(allocator), CROWD, &["--family", "v4"]);
    assert_eq!(everybody.count("addresses"), CROWD, "{allocator}");
    assert_eq!(one_more.count("failed"), 1, "{one_more:?}");
}

#[test]
fn eight_workers_hand_out_65536_addresses_one_after_the_other() {
    the_65537th_client_gets_no_offer("iterative");
}

#[test]
fn eight_workers_hand_out_65536_addresses_at_random() {
    the_65537th_client_gets_no_offer("random");
}

#[test]
fn eight_workers_hand_out_65536_addresses_from_a_queue() {
    the_65537th_client_gets_no_offer("flq");
}
