//! Configurations and what becomes of them.

mod classes;
mod mistakes;
mod options;

use super::keys::{self, TABLES, TableKeys};
use super::*;
use crate::settings::{CopyMode, Durability, XdpMode};
use dhcp_core::networks::VpnNumber;
use dhcp_core::options::{OptionSet, Sending};
use dhcp_core::subnet::{ClientKey, Preference, ReservedBy, Rules};
use dhcp_lease::{Lease, SubnetId};
use proptest::prelude::*;

fn checked(text: &str) -> Checked {
    check(Path::new("f.toml"), text)
        .map_err(|findings| findings.to_string())
        .unwrap()
}

fn policy(text: &str) -> dhcp_core::Policy {
    checked(text).policy(&dhcp_wire::id::Duid::EMPTY, None)
}

/// Errors and warnings, one a line.
fn said(text: &str) -> String {
    match check(Path::new("f.toml"), text) {
        Ok(checked) => checked.warnings.to_string(),
        Err(findings) => findings.to_string(),
    }
}

const MINIMAL: &str = "\
interfaces = [\"eth1\"]
[[subnet4]]
subnet = \"192.0.2.0/24\"
pools = [\"192.0.2.10-192.0.2.200\"]
";

#[test]
fn the_minimal_file_serves() {
    let checked = checked(MINIMAL);
    assert_eq!(
        checked.warnings.to_string(),
        "f.toml:2:1: subnet4[0]: warning: has no `routers` option; its clients get no default route"
    );
    let settings = &checked.settings;
    assert_eq!(settings.state_dir, Path::new("/var/lib/xdhcpd"));
    assert_eq!(settings.socket, Path::new("/run/xdhcpd/control.sock"));
    assert_eq!(
        (settings.durability, settings.partitions),
        (Durability::Power, 16)
    );
    assert_eq!(
        (
            settings.interfaces[0].name.as_str(),
            settings.lease_capacity
        ),
        ("eth1", 65536)
    );
    let policy = checked.policy(&dhcp_wire::id::Duid::EMPTY, None);
    let subnet = &policy.networks_v4[0].subnets[0];
    assert_eq!((subnet.id, subnet.prefix_len), (SubnetId(1), 24));
    assert!(subnet.options.is_empty());
    assert_eq!(
        (subnet.lifetimes.valid, subnet.lifetimes.valid_min),
        (7200, 7200)
    );
    assert_eq!(
        checked.pool_ranges()[0].first,
        Lease::V4([192, 0, 2, 10].into())
    );
    assert_eq!(checked.pool_ranges()[0].count, 191);
    assert_eq!(subnet.rules, Rules::default());
    assert!(policy.forcerenew.is_some());
}

#[test]
fn how_pools_are_handed_out_is_inherited_down_to_the_pool() {
    let policy = policy(
        r#"
interfaces = ["eth1"]
decline-probation-period = 600
decline-probation-max = 5000
[dhcp4]
allocator = "random"
low-water-percent = 5
adaptive-lease-time-threshold = 0.8
min-valid-lifetime = 600
authoritative = false
prefer = "requested"
compatibility = { exclude-first-last-24 = true }
[dhcp6]
pd-allocator = "flq"
prefer = "former"
[[subnet4]]
id = 1
subnet = "10.0.0.0/23"
pools = ["10.0.0.250-10.0.1.5", { pool = "10.0.1.10-10.0.1.19", allocator = "flq", low-water-percent = 0 }]
[[subnet4]]
id = 2
subnet = "10.1.0.0/24"
pools = ["10.1.0.10-10.1.0.19"]
allocator = "iterative"
decline-alarm-percent = 0
authoritative = true
match-client-id = false
echo-client-id = false
bootp = true
[[subnet4]]
id = 3
subnet = "10.1.1.0/24"
bootp = true
bootp-lifetime = 86400
reservations = [{ hw-address = "02:00:5e:00:53:01", ip-address = "10.1.1.1" }]
[[subnet6]]
id = 1
subnet = "2001:db8::/64"
pools = ["2001:db8::100-2001:db8::1ff"]
pd-pools = [{ prefix = "2001:db8:100::/40", delegated-len = 56 }, { prefix = "2001:db8:200::/40", delegated-len = 56, pd-allocator = "random" }]
valid-lifetime = 4000
min-valid-lifetime = 400
adaptive-lease-time-threshold = 0.5
"#,
    );
    use dhcp_lease::{Allocator, PoolIndex};
    let allocators = (0..6).map(|pool| policy.pools.allocator(PoolIndex(pool)).unwrap());
    assert_eq!(
        allocators.collect::<Vec<_>>(),
        [
            Allocator::Random,
            Allocator::FreeLeaseQueue,
            Allocator::Iterative,
            Allocator::Iterative,
            Allocator::FreeLeaseQueue,
            Allocator::Random,
        ]
    );
    // 10.0.0.255 and 10.0.1.0 are left out.
    assert_eq!(policy.pools.free_count(PoolIndex(0)), 10);
    let low: Vec<_> = policy.alarms.low_water.iter().map(|it| &*it.name).collect();
    assert_eq!(low, ["10.0.0.250", "10.1.0.10"]);
    let watched = policy.alarms.declined.iter();
    let watched: Vec<_> = watched
        .map(|it| (&*it.name, it.pools.len(), it.percent))
        .collect();
    assert_eq!(
        watched,
        [
            ("10.0.0.0/23", 2, 10),
            ("10.1.1.0/24", 0, 10),
            ("2001:db8::/64", 1, 10),
            ("2001:db8::/64", 2, 10)
        ]
    );
    let subnet = |number: usize| &policy.networks_v4[number].subnets[0];
    assert_eq!(subnet(0).lifetimes.adaptive_millionths, Some(800_000));
    let rules = |number: usize| subnet(number).rules;
    assert!(!rules(0).authoritative && rules(0).match_client_id && rules(0).echo_client_id);
    assert!(rules(1).authoritative && !rules(1).match_client_id && !rules(1).echo_client_id);
    assert_eq!(
        [0, 1, 2].map(|it| rules(it).bootp_seconds),
        [None, Some(u32::MAX), Some(86_400)]
    );
    let lifetimes = policy.networks_v6[0].subnets[0].lifetimes;
    assert_eq!(
        (lifetimes.valid_min, lifetimes.adaptive_millionths),
        (400, Some(500_000))
    );
    assert_eq!(
        (
            policy.decline_probation_seconds,
            policy.decline_probation_seconds_max
        ),
        (600, 5000)
    );
    assert_eq!(
        (policy.preference_v4, policy.preference_v6),
        (Preference::Requested, Preference::Former)
    );
}

#[test]
fn inner_levels_override_outer_ones() {
    let policy = policy(
        r#"
interfaces = ["eth1"]
[dhcp4]
valid-lifetime = 1000
renew-timer = 100
cache-threshold = 0.25
option-data = [{ name = "domain-name-servers", data = "192.0.2.1" }, { code = 42, data = ["192.0.2.9"] }]
[dhcp6]
valid-lifetime = 2000
preference = 3
[[shared-networks]]
name = "n"
valid-lifetime = 3000
interface = "eth1"
interface-id = "0x0102"
relay = { ip-addresses = ["10.0.0.1", "2001:db8::1"] }
option-data = [{ space = "dhcp4", name = "routers", data = "198.51.100.1" }]
[[shared-networks.subnet4]]
subnet = "198.51.100.0/25"
pools = ["198.51.100.10-198.51.100.20"]
[[shared-networks.subnet4]]
id = 77
subnet = "198.51.100.128/25"
valid-lifetime = 4000
cache-threshold = 0
cache-max-age = 30
relay = { ip-addresses = ["10.0.0.2"] }
option-data = [
  { name = "domain-name-servers", data = "192.0.2.2", always-send = true },
  { code = 224, csv-format = false, data = "01:02" },
]
[[shared-networks.subnet4.reservations]]
client-id = "'port 7'"
ip-address = "198.51.100.130"
hostname = "h"
option-data = [{ name = "routers", data = "198.51.100.129" }]
[[shared-networks.subnet6]]
subnet = "2001:db8::/64"
pools = ["2001:db8::/120"]
pd-pools = [{ prefix = "2001:db8:100::", prefix-len = 40, delegated-len = 56 }]
reservations = [{ duid = "00:03:00:01:02", ip-addresses = ["2001:db8::5"], prefixes = ["2001:db8:100::/56"] }]
[[subnet4]]
subnet = "203.0.113.0/24"
"#,
    );
    let [alone, shared] = &policy.networks_v4[..] else {
        panic!("two links")
    };
    assert_eq!((alone.name.as_str(), shared.name.as_str()), ("", "n"));
    assert_eq!(alone.subnets[0].lifetimes.valid, 1000);
    let [first, second] = &shared.subnets[..] else {
        panic!("two subnets")
    };
    assert_eq!((first.id, second.id), (SubnetId(2), SubnetId(77)));
    assert_eq!(
        (first.lifetimes.valid, second.lifetimes.valid),
        (3000, 4000)
    );
    let cache = |subnet: &dhcp_core::subnet::Subnet4| {
        let cache = subnet.lifetimes.cache;
        (cache.threshold_millionths, cache.age_seconds_max)
    };
    assert_eq!(
        (cache(first), cache(second)),
        ((Some(250_000), None), (Some(0), Some(30)))
    );
    assert_eq!(
        (first.lifetimes.renew, first.lifetimes.rebind),
        (Some(100), None)
    );
    assert_eq!(first.interface.as_deref(), Some("eth1"));
    let relay = |last| std::net::Ipv4Addr::new(10, 0, 0, last);
    assert_eq!(first.relays, [relay(1)]);
    assert_eq!(second.relays, [relay(2), relay(1)]);
    let find = |set: &OptionSet, code| set.find(code).unwrap().data.to_vec();
    assert_eq!(find(&policy.options_v4, 6), [192, 0, 2, 1]);
    assert_eq!(find(&shared.options, 3), [198, 51, 100, 1]);
    assert!(first.options.is_empty() && alone.options.is_empty());
    assert_eq!(*second.options.find(6).unwrap().data, [192, 0, 2, 2]);
    assert_eq!(second.options.find(6).unwrap().sending, Sending::Always);
    assert_eq!(find(&policy.options_v4, 42), [192, 0, 2, 9]);
    assert_eq!(*second.options.find(224).unwrap().data, [1, 2]);
    let reserved = second
        .reservations
        .find(ReservedBy::ClientId, b"port 7")
        .unwrap();
    assert_eq!(*reserved.options.find(3).unwrap().data, [198, 51, 100, 129]);
    assert!(reserved.options.find(6).is_none(), "its own options alone");
    assert_eq!(*reserved.hostname, *b"h");
    let v6 = &policy.networks_v6[0].subnets[0];
    assert_eq!(
        (v6.lifetimes.valid, v6.lifetimes.preferred, v6.preference),
        (3000, 1875, 3)
    );
    assert_eq!(v6.interface_id.as_deref(), Some(&[1, 2][..]));
    assert_eq!(
        v6.relays,
        ["2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap()]
    );
    assert!(v6.options.iter().next().is_none());
    let reserved = v6
        .reservations
        .find(ReservedBy::Duid, &[0, 3, 0, 1, 2])
        .unwrap();
    assert_eq!(reserved.leases.len(), 2);
}

#[test]
fn the_routers_anycast_address_is_never_handed_out() {
    let text =
        "interfaces=[\"e\"]\n[[subnet6]]\nsubnet = \"2001:db8::/64\"\npools = [\"2001:db8::/120\"]";
    let range = checked(text).pool_ranges()[0];
    assert_eq!(range.first, Lease::Address("2001:db8::1".parse().unwrap()));
    assert_eq!(range.count, 255);
}

// RFC 2526, RFC 5453
#[test]
fn addresses_that_ipv6_reserves_are_never_handed_out() {
    let given = |subnet: &str, pool: &str| -> Vec<std::net::Ipv6Addr> {
        let text =
            format!("interfaces=[\"e\"]\n[[subnet6]]\nsubnet = \"{subnet}\"\npools = [\"{pool}\"]");
        let pools = policy(&text).pools;
        let next = || pools.claim_next(dhcp_lease::PoolIndex(0));
        std::iter::from_fn(next)
            .map(|lease| match lease {
                Lease::Address(address) => address,
                Lease::V4(_) | Lease::Prefix(..) => panic!("{lease:?}"),
            })
            .collect()
    };
    let all = |texts: &[&str]| -> Vec<std::net::Ipv6Addr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    let cases: [(&str, &str, &[&str]); 5] = [
        (
            "2001:db8::/64",
            "2001:db8::fdff:ffff:ffff:ff7e-2001:db8::fe00:0:0:1",
            &[
                "2001:db8::fdff:ffff:ffff:ff7e",
                "2001:db8::fdff:ffff:ffff:ff7f",
                "2001:db8::fe00:0:0:0",
                "2001:db8::fe00:0:0:1",
            ],
        ),
        (
            "2001:db8::/64",
            "2001:db8::200:5eff:fdff:ffff-2001:db8::200:5eff:fe00:5214",
            &[
                "2001:db8::200:5eff:fdff:ffff",
                "2001:db8::200:5eff:fe00:5214",
            ],
        ),
        (
            "2001:db8::/64",
            "2001:db8::ffff:ffff:ffff:ff7f-2001:db8::ffff:ffff:ffff:ffff",
            &["2001:db8::ffff:ffff:ffff:ff7f"],
        ),
        // A pool over the border of two blocks of interface identifiers.
        (
            "2001:db8::/48",
            "2001:db8::ffff:ffff:ffff:ffff-2001:db8:0:1::1",
            &["2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::1"],
        ),
        (
            "2001:db8::/112",
            "2001:db8::ff7e-2001:db8::ffff",
            &["2001:db8::ff7e", "2001:db8::ff7f"],
        ),
    ];
    for (subnet, pool, expected) in cases {
        assert_eq!(given(subnet, pool), all(expected), "{pool} of {subnet}");
    }
}

#[test]
fn interfaces_have_settings_of_their_own() {
    let text = "workers = 3\ninterfaces = [\"a\", { name = \"b\", workers-per-queue = 2, xdp-mode = \"generic\", copy-mode = \"copy\" }]";
    let interfaces = checked(text).settings.interfaces;
    assert_eq!(
        (interfaces[0].workers_per_queue, interfaces[0].mode),
        (3, XdpMode::Auto)
    );
    assert_eq!(
        (interfaces[1].workers_per_queue, interfaces[1].mode),
        (2, XdpMode::Generic)
    );
    assert_eq!(interfaces[1].copy, CopyMode::Copy);
}

#[test]
fn relay_agents_are_named_allowed_and_believed_as_written() {
    let policy = policy(
        r#"
interfaces = ["eth1", { name = "eth2", accept-relayed = false }]
[dhcp4]
allowed-relays = ["10.255.0.0/16", "192.0.2.1"]
subnet-selection = true
client-key = "remote-id"
[[shared-networks]]
name = "red"
vpn = "red"
client-key = "circuit-id"
[[shared-networks.subnet4]]
subnet = "10.0.0.0/24"
[[subnet4]]
subnet = "10.0.1.0/24"
trust-option-82 = true
[[subnet4]]
subnet = "10.0.2.0/24"
vpn = "0x00005e00000001"
client-key = "client-id"
"#,
    );
    let relays = &policy.relays_v4;
    assert_eq!(relays.refused_interfaces, ["eth2"]);
    assert!(relays.client_selects);
    let allowed = relays.allowed.as_ref().unwrap();
    let address = |a, b, c, d| std::net::Ipv4Addr::new(a, b, c, d);
    assert!(allowed.contains(address(10, 255, 3, 4)) && allowed.contains(address(192, 0, 2, 1)));
    assert!(!allowed.contains(address(192, 0, 2, 2)));
    let agents = |address| {
        let named = [&b"\0red"[..], b"\x01\0\0^\0\0\0\x01", &[255]];
        let vpns = named.map(|name| relays.vpns.find(name).unwrap());
        let place = vpns
            .into_iter()
            .find_map(|vpn| policy.networks_v4.containing(vpn, address))
            .unwrap();
        policy.networks_v4.subnet(place).unwrap().agents.clone()
    };
    let (red, alone, blue) = (
        agents(address(10, 0, 0, 1)),
        agents(address(10, 0, 1, 1)),
        agents(address(10, 0, 2, 1)),
    );
    assert_eq!(Some(red.vpn), relays.vpns.find(b"\0red"));
    assert_eq!(Some(blue.vpn), relays.vpns.find(b"\x01\0\0^\0\0\0\x01"));
    assert_eq!(alone.vpn, VpnNumber::GLOBAL);
    let keys = [red.client_key, alone.client_key, blue.client_key];
    assert_eq!(
        keys,
        [ClientKey::Agent(1), ClientKey::Agent(2), ClientKey::Client]
    );
    assert!(alone.trusts_unrelayed && !red.trusts_unrelayed);
}

#[test]
fn the_history_has_sizes_with_units() {
    let text = "interfaces=[\"e\"]\n[history]\nrequired = true\nretention-days = 30\nsize-max-mib = 100\n\
                segment-size-mib = 2";
    let history = checked(text).settings.history;
    assert!(history.is_enabled && history.is_required);
    assert_eq!(history.retention_days, 30);
    assert_eq!(
        (history.octets_max, history.segment_octets),
        (100 << 20, 2 << 20)
    );
    let off = checked("interfaces=[\"e\"]\n[history]\nenabled = false")
        .settings
        .history;
    assert!(!off.is_enabled && !off.is_required);
}

#[test]
fn leasequery_is_off_unless_somebody_may_ask() {
    let base = "interfaces = [\"e\"]\n[leasequery]\n";
    assert_eq!(policy("interfaces = [\"e\"]\n").leasequery, None);
    let of = |text: &str| policy(&format!("{base}{text}")).leasequery.unwrap();
    let short = of("requestors = [\"192.0.2.1\", \"198.51.100.0/24\"]");
    assert_eq!((short.rate_max, short.requestors.len()), (2000, 2));
    assert!(short.tells(82) && !short.tells(6));
    let asked = |address: &str| short.permits(address.parse().unwrap());
    assert!(asked("192.0.2.1") && asked("198.51.100.255"));
    assert!(!asked("192.0.2.2") && !asked("198.51.101.0"));
    let long = of("requestors = [\"0.0.0.0/0\"]\nrate-max = 7\noptions = [82, 6, 82]");
    assert_eq!((long.rate_max, &*long.options), (7, &[6, 82][..]));
    for (text, wanted) in [
        (
            "",
            "f.toml:2:1: leasequery: `requestors` is missing; add it (list of IPv4 addresses and prefixes)",
        ),
        (
            "requestors = []",
            "f.toml:3:14: leasequery.requestors: is empty; name who may ask, or leave [leasequery] out",
        ),
        (
            "requestors = [\"192.0.2.1/24\"]",
            "f.toml:3:15: leasequery.requestors[0]: 192.0.2.1/24 has bits set after its length; write \"192.0.2.0/24\"",
        ),
        (
            "requestors = [\"2001:db8::1\"]",
            "f.toml:3:15: leasequery.requestors[0]: \"2001:db8::1\" is not an IPv4 address",
        ),
        (
            "requestors = [\"192.0.2.1\"]\noptions = [255]",
            "f.toml:4:12: leasequery.options[0]: is the number 255; it must be 1 to 254",
        ),
    ] {
        assert_eq!(said(&format!("{base}{text}\n")), wanted, "{text}");
    }
}

// RFC 6926 section 6.3 [bulk-port]: a test of it.
#[test]
fn bulk_leasequery_is_off_unless_its_table_is_there() {
    let base = "interfaces = [\"e\"]\n[leasequery]\nrequestors = [\"192.0.2.1\"]\n";
    let of = |text: &str| checked(&format!("{base}{text}")).settings.bulk_leasequery;
    assert_eq!(of(""), None);
    let bulk = of("[leasequery.bulk]").unwrap();
    assert_eq!(bulk.listen.to_string(), "0.0.0.0:67");
    let limits = (bulk.connections_max, bulk.connections_per_requestor);
    assert_eq!((limits, bulk.timeout_seconds), ((10, 3), 300));
    let bulk = of(
        "[leasequery.bulk]\naddress = \"192.0.2.7\"\nport = 6767\nconnections-max = 20\n\
         connections-per-requestor = 20\ntimeout = 600",
    );
    let bulk = bulk.unwrap();
    assert_eq!(bulk.listen.to_string(), "192.0.2.7:6767");
    let limits = (bulk.connections_max, bulk.connections_per_requestor);
    assert_eq!((limits, bulk.timeout_seconds), ((20, 20), 600));
    assert_eq!(
        said(&format!("{base}bulk = {{ port = 0 }}\n")),
        "f.toml:4:17: leasequery.bulk.port: is the number 0; it must be 1 to 65535"
    );
}

// RFC 7724 section 8.1 [active-off], section 8.1 [active-insecure-off], section 8 [active-with-bulk]: a test of these.
#[test]
fn active_leasequery_wants_tls_or_a_word_of_its_own() {
    let base = "interfaces = [\"e\"]\n[leasequery]\nrequestors = [\"192.0.2.1\"]\n";
    let tls = "[leasequery.tls]\ncertificate = \"/c\"\nkey = \"/k\"\nclient-ca = \"/a\"\n";
    let of = |text: &str| {
        let checked = checked(&format!("{base}[leasequery.bulk]\n{text}"));
        checked.settings.bulk_leasequery.unwrap()
    };
    assert_eq!((of("").active, of("").tls), (None, None));
    let secret = of(&format!("{tls}[leasequery.active]\n"));
    let files = secret.tls.unwrap();
    let files = [files.certificate, files.key, files.client_ca];
    assert_eq!(files, ["/c", "/k", "/a"].map(std::path::PathBuf::from));
    let active = secret.active.unwrap();
    assert_eq!(
        (active.send_timeout_seconds, active.idle_timeout_seconds),
        (120, 60)
    );
    assert_eq!(active.changes_max, 1_000_000);
    let plain = of("[leasequery.active]\ninsecure = true\nchanges-max = 2000\n\
                    send-timeout = 7\nidle-timeout = 5\n");
    let active = plain.active.unwrap();
    assert_eq!(
        (active.send_timeout_seconds, active.idle_timeout_seconds),
        (7, 5)
    );
    assert_eq!((active.changes_max, plain.tls), (2000, None));
    for (text, wanted) in [
        (
            "[leasequery.bulk]\n[leasequery.active]\n".to_owned(),
            "f.toml:5:1: leasequery.active: is not encrypted; add [leasequery.tls], or `insecure = true` within a network of yours",
        ),
        (
            format!("[leasequery.bulk]\n{tls}[leasequery.active]\ninsecure = true\n"),
            "f.toml:10:12: leasequery.active.insecure: there is [leasequery.tls]; leave out one of them",
        ),
        (
            "[leasequery.active]\ninsecure = true\n".to_owned(),
            "f.toml:4:1: leasequery.active: is of no use without a port; add [leasequery.bulk], or leave it out",
        ),
        (
            "[leasequery.bulk]\n[leasequery.tls]\ncertificate = \"/c\"\nkey = \"/k\"\n".to_owned(),
            "f.toml:5:1: leasequery.tls: `client-ca` is missing; add it (path)",
        ),
        (
            "[leasequery.bulk]\n[leasequery.active]\ninsecure = true\n[history]\nenabled = false\n"
                .to_owned(),
            "f.toml:5:1: leasequery.active: is fed by the lease history; set `history.enabled`, or leave it out",
        ),
    ] {
        assert_eq!(said(&format!("{base}{text}")), wanted, "{text}");
    }
}

#[test]
fn the_default_capacity_holds_every_lease_of_all_pools_in_two_slots() {
    let text =
        "interfaces=[\"e\"]\n[[subnet4]]\nsubnet = \"10.0.0.0/12\"\npools = [\"10.0.0.0/12\"]";
    let capacity = checked(text).settings.lease_capacity;
    assert_eq!(capacity, 2 << 20);
}

/// Every documented key is read: a date, which no key takes, is an error at its place.
#[test]
fn every_documented_key_is_read() {
    let date = "1979-05-27";
    for table in TABLES {
        for key in table.iter() {
            let line = |around: &str| around.replace('@', &format!("{} = {date}", key.name));
            let text = match *table {
                it if same(it, &keys::TOP) => line("@"),
                it if same(it, &keys::INTERFACE) => line("interfaces = [{ @ }]"),
                it if same(it, &keys::HISTORY) => line("[history]\n@"),
                it if same(it, &keys::LEASEQUERY) => line("[leasequery]\n@"),
                it if same(it, &keys::LEASEQUERY_BULK) => line("[leasequery.bulk]\n@"),
                it if same(it, &keys::LEASEQUERY_TLS) => line("[leasequery.tls]\n@"),
                it if same(it, &keys::LEASEQUERY_ACTIVE) => line("[leasequery.active]\n@"),
                it if same(it, &keys::DHCP4) => line("[dhcp4]\n@"),
                it if same(it, &keys::COMPATIBILITY) => line("[dhcp4]\ncompatibility = { @ }"),
                it if same(it, &keys::DHCP6) => line("[dhcp6]\n@"),
                it if same(it, &keys::SUBNET4) => line("[[subnet4]]\n@"),
                it if same(it, &keys::SUBNET6) => line("[[subnet6]]\n@"),
                it if same(it, &keys::POOL) => line("[[subnet4]]\npools = [{ @ }]"),
                it if same(it, &keys::PD_POOL) => line("[[subnet6]]\npd-pools = [{ @ }]"),
                it if same(it, &keys::SHARED_NETWORK) => line("[[shared-networks]]\n@"),
                it if same(it, &keys::RELAY) => line("[[subnet4]]\nrelay = { @ }"),
                it if same(it, &keys::OPTION_DATA) && key.name == "data" => {
                    line("[dhcp4]\noption-data = [{ code = 3, @ }]")
                }
                it if same(it, &keys::OPTION_DATA) => line("[dhcp4]\noption-data = [{ @ }]"),
                it if same(it, &keys::OPTION_DEF) => line("[dhcp4]\noption-def = [{ @ }]"),
                it if same(it, &keys::CLIENT_CLASS4) => line("[[dhcp4.client-classes]]\n@"),
                it if same(it, &keys::CLIENT_CLASS6) => line("[[dhcp6.client-classes]]\n@"),
                it if same(it, &keys::RESERVATION4) => line("[[subnet4]]\nreservations = [{ @ }]"),
                it if same(it, &keys::RESERVATION6) => line("[[subnet6]]\nreservations = [{ @ }]"),
                // Their keys are those of reservations and two that are tested on their own.
                it if same(it, &keys::RESERVATION_LINE4) || same(it, &keys::RESERVATION_LINE6) => {
                    continue;
                }
                other => panic!("{} has no test", other.heading),
            };
            let findings = check(Path::new("f.toml"), &text).unwrap_err();
            let at_key = |finding: &&Finding| {
                finding.path.ends_with(key.name) && finding.severity == Severity::Error
            };
            let found: Vec<_> = findings.iter().filter(at_key).collect();
            assert!(!found.is_empty(), "{text}\n{findings}");
            assert!(
                found.iter().all(|it| !it.message.contains("unknown key")),
                "{findings}"
            );
        }
    }
}

fn same(a: &TableKeys, b: &TableKeys) -> bool {
    a.heading == b.heading
}

/// Pieces of configurations, put together at random.
fn fragment() -> impl Strategy<Value = String> {
    let names: Vec<&str> = TABLES
        .iter()
        .flat_map(|table| table.iter())
        .map(|key| key.name)
        .collect();
    let value = prop_oneof![
        Just("\"192.0.2.0/24\"".to_owned()),
        Just("[\"192.0.2.1-192.0.2.9\", {}]".to_owned()),
        Just("[{ name = \"routers\", data = \"192.0.2.1\" }]".to_owned()),
        Just("{ ip-addresses = [\"::\", 7] }".to_owned()),
        Just("[{ prefix = \"::/0\", delegated-len = 128 }]".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[ -~]{0,12}".prop_map(|text| format!("{text:?}")),
    ];
    let assignment =
        (prop::sample::select(names), value).prop_map(|(key, value)| format!("{key} = {value}"));
    prop_oneof![
        4 => assignment,
        1 => prop::sample::select(vec!["[[subnet4]]", "[[subnet6]]", "[[shared-networks]]", "[dhcp4]",
            "[[shared-networks.subnet4]]", "[[subnet4.reservations]]", "[[subnet6.pd-pools]]",
            "[[subnet4.option-data]]"]).prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_the_checker_panic(text in "\\PC{0,200}") {
        let _ = said(&text);
    }

    #[test]
    fn no_configuration_makes_the_checker_panic(lines in prop::collection::vec(fragment(), 0..24)) {
        let _ = said(&lines.join("\n"));
    }
}

/// A configuration with a file of reservations beside it; what was said about it, if it was wrong.
fn with_lines(text: &str, lines: &str) -> Result<super::Checked, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f.toml");
    std::fs::write(directory.path().join("hosts.jsonl"), lines).unwrap();
    check(&file, text).map_err(|findings| {
        let inside = format!("{}/", directory.path().display());
        findings.to_string().replace(&inside, "")
    })
}

const WITH_LINES: &str = r#"interfaces = ["e"]
[dhcp4]
reservations-file = "hosts.jsonl"
[[subnet4]]
id = 7
subnet = "192.0.2.0/24"
reservations = [{ hw-address = "01", ip-address = "192.0.2.1" }]
option-data = [{ name = "routers", data = "192.0.2.254" }]
[[subnet4]]
id = 8
subnet = "198.51.100.0/24"
reservations-global = true
option-data = [{ name = "routers", data = "198.51.100.254" }]
"#;

#[test]
fn reservations_of_a_file_come_to_their_subnets() {
    let lines = r#"
# made by the subscriber database
{"subnet-id": 7, "hw-address": "02:00:5e:00:53:01", "ip-address": "192.0.2.5", "hostname": "a"}
{"circuit-id": "'port 7'", "ip-address": "198.51.100.9", "user-context": {"customer": 12}}

// as Kea's `reservation-get-all` answers, with what is empty
{"boot-file-name": "", "client-id": "01:02", "hostname": "", "next-server": "0.0.0.0", "option-data": [], "server-hostname": "", "subnet-id": 8, "ip-address": "198.51.100.10"}
{"subnet-id": 0, "hw-address": "03", "option-data": [{"name": "routers", "data": "192.0.2.9"}],}"#;
    let policy = with_lines(WITH_LINES, lines)
        .unwrap()
        .policy(&dhcp_wire::id::Duid::EMPTY, None);
    let of_subnet = |network: usize| &policy.networks_v4[network].subnets[0].reservations;
    assert_eq!((of_subnet(0).len(), of_subnet(1).len()), (2, 2));
    let first = of_subnet(0).find(ReservedBy::HardwareAddress, &[2, 0, 0x5e, 0, 0x53, 1]);
    assert_eq!(*first.unwrap().hostname, *b"a");
    assert!(
        of_subnet(1)
            .find(ReservedBy::CircuitId, b"port 7")
            .is_some()
    );
    assert!(of_subnet(1).find(ReservedBy::ClientId, &[1, 2]).is_some());
    let global = policy
        .hosts_v4
        .global
        .find(ReservedBy::HardwareAddress, &[3])
        .unwrap();
    assert_eq!(*global.options.find(3).unwrap().data, [192, 0, 2, 9]);
}

#[test]
fn what_is_wrong_with_a_file_of_reservations_is_said_with_line_and_column() {
    let first = r#"{"subnet-id": 7, "hw-address": "0a", "ip-address": "192.0.2.5"}"#;
    for (line, said) in [
        (
            "{",
            "hosts.jsonl:2:1: this is not JSON: Unterminated object",
        ),
        (
            "[1]",
            "hosts.jsonl:2:1: is no JSON object; write one in each line, {\"hw-address\": ...}",
        ),
        (
            r#"{"hw-address": "0b", "ip-address": "192.0.2.300"}"#,
            "hosts.jsonl:2:36: ip-address: \"192.0.2.300\" is not an IPv4 address",
        ),
        (
            r#"{"hw-adress": "0b"}"#,
            "hosts.jsonl:2:1: names no client; add one of `hw-address`, `duid`, `circuit-id`, `client-id`, `flex-id`, `remote-id`, `subscriber-id`\nhosts.jsonl:2:1: names no subnet; add `subnet-id` (0: for every subnet with reservations-global)\nhosts.jsonl:2:2: hw-adress: unknown key; did you mean `hw-address`?",
        ),
        (
            r#"{"hw-address": "0b", "ip-address": "192.0.2.5"}"#,
            "hosts.jsonl:2:36: ip-address: 192.0.2.5 is reserved in hosts.jsonl:1 too; keep one",
        ),
        (
            r#"{"hw-address": "0b", "ip-address": "192.0.2.1"}"#,
            "hosts.jsonl:2:36: ip-address: 192.0.2.1 is reserved in subnet4[0].reservations[0].ip-address (line 7) too; keep one",
        ),
        (
            r#"{"hw-address": "0a", "ip-address": "192.0.2.6"}"#,
            "hosts.jsonl:2:16: hw-address: is the client of hosts.jsonl:1 too; put both into one reservation",
        ),
        (
            r#"{"hw-address": "0b", "subnet-id": 9}"#,
            "hosts.jsonl:2:35: subnet-id: there is no subnet with the `id` 9",
        ),
        (
            r#"{"hw-address": "0b", "hostname": "x"}"#,
            "hosts.jsonl:2:1: names no subnet; add `subnet-id` (0: for every subnet with reservations-global)",
        ),
        (
            r#"{"hw-address": "0b", "ip-address": "10.0.0.1"}"#,
            "hosts.jsonl:2:36: ip-address: 10.0.0.1 lies in no subnet; correct it, or add the subnet",
        ),
        (
            r#"{"hw-address": "0b", "subnet-id": 8, "ip-address": "192.0.2.7"}"#,
            "hosts.jsonl:2:52: ip-address: 192.0.2.7 is not inside of its subnet, 198.51.100.0/24; correct one of the two",
        ),
        (
            r#"{"hw-address": "0b", "hw-address": "0c", "subnet-id": 8}"#,
            "hosts.jsonl:2:22: \"hw-address\" stands in this line twice; keep one of the two",
        ),
        (
            r#"{"hw-address": null, "subnet-id": 8}"#,
            "hosts.jsonl:2:16: is null; leave the key out instead",
        ),
    ] {
        let wrong = with_lines(WITH_LINES, &format!("{first}\n{line}\n")).unwrap_err();
        assert_eq!(wrong, said, "{line}");
    }
    let text = WITH_LINES.replace("hosts.jsonl", "nowhere");
    assert_eq!(
        with_lines(&text, "").unwrap_err(),
        "f.toml:3:21: dhcp4.reservations-file: nowhere cannot be read: No such file or directory (os error 2)"
    );
}

/// How long such a file takes is measured with the command in docs/migration.md.
#[test]
fn a_hundred_thousand_reservations_are_all_found() {
    let lines: Vec<_> = (0u32..100_000)
        .map(|n| {
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + 0x100 + n);
            format!(r#"{{"hw-address": "02:00:{n:08x}", "ip-address": "{address}"}}"#)
                .replace("02:00:", "0200")
        })
        .collect();
    let text = "interfaces = [\"e\"]\n[dhcp4]\nreservations-file = \"hosts.jsonl\"\n[[subnet4]]\nsubnet = \"10.0.0.0/8\"\npools = [\"10.0.0.0-10.0.255.255\"]";
    let policy = with_lines(text, &lines.join("\n"))
        .unwrap()
        .policy(&dhcp_wire::id::Duid::EMPTY, None);
    let reservations = &policy.networks_v4[0].subnets[0].reservations;
    assert_eq!(reservations.len(), 100_000);
    for n in 0u32..100_000 {
        let mut hardware = vec![2, 0];
        hardware.extend(n.to_be_bytes());
        let found = reservations.find(ReservedBy::HardwareAddress, &hardware);
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0100 + n);
        assert_eq!(found.unwrap().leases, [Lease::V4(address)]);
        assert!(policy.pools.is_reserved(Lease::V4(address)));
    }
}

#[test]
fn modes_of_reservations_say_which_count() {
    let subnet = |modes: &str| {
        let text = format!(
            "interfaces = [\"e\"]\n[[subnet4]]\nsubnet = \"192.0.2.0/24\"\npools = [\"192.0.2.10-192.0.2.20\"]\n{modes}\n\
             reservations = [{{ hw-address = \"01\", ip-address = \"192.0.2.10\", hostname = \"a\" }}, \
             {{ hw-address = \"02\", ip-address = \"192.0.2.30\" }}]"
        );
        let checked = checked(&text);
        (checked.reserved().len(), checked.warnings.to_string())
    };
    assert_eq!(subnet("").0, 2);
    let (count, said) = subnet("reservations-out-of-pool = true");
    assert_eq!(count, 1);
    assert!(
        said.contains("lies in subnet4[0].pools[0] (line 4), and reservations-out-of-pool is true"),
        "{said}"
    );
    let (count, said) = subnet("reservations-in-subnet = false");
    assert_eq!(count, 0);
    assert!(said.contains("reservations-in-subnet is false"), "{said}");
    let text = "interfaces = [\"e\"]\n[dhcp4]\nhost-reservation-identifiers = [\"duid\"]\nreservations = [{ hw-address = \"01\", ip-address = \"10.0.0.1\" }]\n[[subnet4]]\nsubnet = \"192.0.2.0/24\"\nreservations-global = true\noption-data = [{ name = \"routers\", data = \"192.0.2.1\" }]";
    let said = checked(text).warnings.to_string();
    assert!(said.contains("f.toml:4:32: dhcp4.reservations[0].hw-address: warning: is not among `host-reservation-identifiers`"), "{said}");
    assert!(
        said.contains(
            "dhcp4.reservations[0].ip-address: warning: lies in no subnet with reservations-global"
        ),
        "{said}"
    );
}
