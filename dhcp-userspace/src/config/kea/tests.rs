//! Kea's configurations in, ours out: everything that has a counterpart is there, everything else is named.

use super::text::Joined;
use super::*;
use crate::config::load;
use dhcp_core::Policy;
use dhcp_core::probe::Probe;
use dhcp_core::subnet::{ClientKey, ReservedBy};
use dhcp_lease::{Lease, PoolRange};
use dhcp_wire::id::Duid;
use proptest::prelude::*;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data/kea")
        .join(name)
}

fn import4(text: &str) -> Imported {
    let joined = Joined::of(Path::new("kea.conf"), text).unwrap();
    import_joined(&[(Family::V4, joined)]).unwrap()
}

fn import6(text: &str) -> Imported {
    let joined = Joined::of(Path::new("kea.conf"), text).unwrap();
    import_joined(&[(Family::V6, joined)]).unwrap()
}

fn said(imported: &Imported) -> Vec<String> {
    let all = imported.findings.iter();
    all.map(|finding| imported.line(finding)).collect()
}

/// The policy that the result means; what is imported passes the check.
fn policy(text: &str) -> (Policy, Vec<PoolRange>) {
    let checked = check(Path::new("result.toml"), text)
        .unwrap_or_else(|findings| panic!("{findings}\n{text}"));
    (
        checked.policy(&Duid::EMPTY, None),
        checked.pool_ranges().to_vec(),
    )
}

/// The reservations, subnets and pools that the file has, however its classes and options fare.
#[test]
fn the_corpus_becomes_configurations_that_pass_the_check() {
    for (name, subnets, pools, reserved) in [
        ("small-isp.conf", 3, 3, 2),
        ("cable.conf", 2, 2, 2),
        ("office.conf", 1, 2, 1),
        ("included.conf", 1, 1, 0),
    ] {
        let source = Source {
            dhcp4: Some(corpus(name)),
            dhcp6: None,
        };
        let imported = import(&source).unwrap();
        let checked = check(Path::new(name), &imported.text)
            .unwrap_or_else(|findings| panic!("{name}\n{findings}\n{}", imported.text));
        let policy = checked.policy(&Duid::EMPTY, None);
        let networks = policy.networks_v4.iter();
        let count: usize = networks.map(|network| network.subnets.len()).sum();
        let facts = (count, checked.pool_ranges().len(), checked.reserved().len());
        assert_eq!(
            facts,
            (subnets, pools, reserved),
            "{name}\n{}",
            imported.text
        );
        for finding in &imported.findings {
            let file = finding.file.as_ref().unwrap();
            assert!(file.starts_with(corpus("")), "{}", imported.line(finding));
            assert!(finding.line > 0 && !finding.path.is_empty());
        }
    }
}

#[test]
fn both_protocols_come_into_one_file() {
    let source = Source {
        dhcp4: Some(corpus("small-isp.conf")),
        dhcp6: Some(corpus("provider6.conf")),
    };
    let imported = import(&source).unwrap();
    let (policy, pools) = policy(&imported.text);
    assert_eq!((policy.networks_v4.len(), policy.networks_v6.len()), (2, 1));
    assert_eq!(pools.len(), 5);
    let v6 = &policy.networks_v6[0].subnets[0];
    assert_eq!((v6.lifetimes.valid, v6.lifetimes.preferred), (4000, 3000));
    assert!(v6.rapid_commit);
    assert_eq!(v6.reservations.len(), 1);
    // Nothing of a small provider's is lost; what its control socket and loggers are is said.
    let errors: Vec<_> = imported
        .findings
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .map(|it| imported.line(it))
        .collect();
    assert!(
        errors
            .iter()
            .all(|it| it.contains("decline-probation-period")),
        "{errors:#?}"
    );
}

#[test]
fn switches_for_old_habits_are_taken_over() {
    let imported = import4(
        r#"{ "Dhcp4": { "interfaces-config": { "interfaces": ["e"] },
            "compatibility": { "ignore-rai-link-selection": true, "exclude-first-last-24": true } } }"#,
    );
    assert_eq!(imported.lost(), 0, "{:#?}", said(&imported));
    let (policy, _) = policy(&imported.text);
    assert!(policy.relays_v4.ignores_link_selection);
    assert!(imported.text.contains("exclude-first-last-24 = true"));
}

/// Kea's `limits` hook library: limits stand in the user context of classes and subnets, and count when it is loaded.
#[test]
fn limits_of_leases_are_taken_over_where_their_hook_is_loaded() {
    let kea = |hooks: &str| {
        import4(&format!(
            r#"{{ "Dhcp4": {{ {hooks}
                "interfaces-config": {{ "interfaces": ["e"] }},
                "client-classes": [{{ "name": "gold", "test": "option[61].exists",
                    "user-context": {{ "limits": {{ "address-limit": 4, "rate-limit": "1 packet per second" }} }} }}],
                "subnet4": [{{ "id": 1, "subnet": "10.0.0.0/24",
                    "pools": [{{ "pool": "10.0.0.10 - 10.0.0.20",
                        "user-context": {{ "limits": {{ "address-limit": 1 }} }} }}],
                    "user-context": {{ "limits": {{ "address-limit": 7, "prefix-limit": 2 }} }} }}] }} }}"#
        ))
    };
    let imported =
        kea(r#""hooks-libraries": [{ "library": "/usr/lib/kea/hooks/libdhcp_limits.so" }],"#);
    let (policy, _) = policy(&imported.text);
    assert!(policy.has_lease_limits());
    let subnet = &policy.networks_v4[0].subnets[0];
    assert_eq!(subnet.limits.own.addresses, Some(7));
    let gold = policy.classes_v4.find("gold").unwrap();
    let gold = policy.classes_v4.get(gold).unwrap();
    assert_eq!(gold.limits.addresses, Some(4));
    let lost: Vec<_> = imported
        .findings
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .map(|it| it.path.clone())
        .collect();
    assert_eq!(lost.len(), 3, "{lost:?}"); // the rate, the prefixes of DHCPv4, the pool's
    let without = kea("");
    assert!(!self::policy(&without.text).0.has_lease_limits());
}

#[test]
fn what_is_imported_means_what_kea_means() {
    let source = Source {
        dhcp4: Some(corpus("small-isp.conf")),
        dhcp6: None,
    };
    let imported = import(&source).unwrap();
    let (policy, pools) = policy(&imported.text);
    assert_eq!(imported.lost(), 0, "{:#?}", said(&imported));
    let [access, management] = &policy.networks_v4[..] else {
        // In whatever order the file has them.
        panic!("two links:\n{}", imported.text)
    };
    let (access, management) = match access.name.as_str() {
        "access-1" => (access, management),
        _ => (management, access),
    };
    let ids: Vec<_> = access.subnets.iter().map(|subnet| subnet.id.0).collect();
    assert_eq!(ids, [1, 2]);
    assert_eq!(access.subnets[0].relays, [Ipv4Addr::new(10, 255, 0, 1)]);
    let lifetimes = access.subnets[0].lifetimes;
    assert_eq!((lifetimes.valid, lifetimes.renew), (1800, Some(900)));
    let one = &management.subnets[0];
    assert_eq!((one.id.0, one.lifetimes.valid_max), (100, 7200));
    assert_eq!(*one.options.find(3).unwrap().data, [192, 0, 2, 1]);
    assert!(imported.text.contains("data = \"isp.example\""));
    assert_eq!(one.reservations.len(), 2);
    assert!(one.rules.authoritative);
    assert_eq!(policy.decline_probation_seconds, 7200);
    assert!(pools.contains(&PoolRange {
        first: Lease::V4(Ipv4Addr::new(192, 0, 2, 100)),
        count: 100
    }));
    assert!(
        imported.text.contains("# management\n[[subnet4]]"),
        "{}",
        imported.text
    );
}

/// Kea is not authoritative and keeps declined addresses a day unless told otherwise; we are the other way.
#[test]
fn defaults_of_kea_that_are_not_ours_are_written_down() {
    let imported = import4("{\"Dhcp4\": {\"interfaces-config\": {\"interfaces\": [\"e\"]}}}");
    let (policy, _) = policy(&imported.text);
    assert!(
        imported.text.contains("authoritative = false"),
        "{}",
        imported.text
    );
    assert_eq!(policy.decline_probation_seconds, 86_400);
    assert_eq!(said(&imported), Vec::<String>::new());
}

/// The library's parameters are keys here; without them it probes as soon as it is loaded.
#[test]
fn addresses_are_probed_where_kea_probes_them() {
    let text = r#"{ "Dhcp4": { "interfaces-config": { "interfaces": [ "e" ] },
      "hooks-libraries": [ { "library": "/usr/lib/kea/hooks/libdhcp_ping_check.so", PARAMETERS } ],
      "subnet4": [
        { "id": 1, "subnet": "192.0.2.0/24", "user-context": { "ping-check": { "enable-ping-check": false } } },
        { "id": 2, "subnet": "198.51.100.0/24", "user-context": { "reply-timeout": 9,
          "ping-check": { "min-ping-requests": 3, "reply-timeout": 250, "ping-cltt-secs": 120 } } },
        { "id": 3, "subnet": "203.0.113.0/24" } ] } }"#;
    let probes = |parameters: &str| {
        let imported = import4(&text.replace("PARAMETERS", parameters));
        assert_eq!(said(&imported), Vec::<String>::new());
        let (policy, _) = policy(&imported.text);
        let subnets = policy.networks_v4.iter().flat_map(|it| &it.subnets);
        let probes = subnets.map(|subnet| {
            let probe = subnet.probe?;
            let Probe {
                requests,
                reply_timeout_millis,
                quiet_seconds,
            } = probe;
            Some((requests, reply_timeout_millis, quiet_seconds))
        });
        probes.collect::<Vec<_>>()
    };
    assert_eq!(
        probes("\"parameters\": {}"),
        [None, Some((3, 250, 120)), Some((1, 100, 60))]
    );
    let all = "\"parameters\": { \"min-ping-requests\": 2, \"reply-timeout\": 50, \"ping-cltt-secs\": 7, \
               \"ping-channel-threads\": 4 }";
    assert_eq!(probes(all), [None, Some((3, 250, 120)), Some((2, 50, 7))]);
    let off = "\"parameters\": { \"enable-ping-check\": false }";
    assert_eq!(probes(off), [None, None, None]);
}

#[test]
fn what_has_no_counterpart_is_named_with_its_place_and_what_to_do() {
    let text = r#"{ "Dhcp4": {
  "interfaces-config": { "interfaces": [ "e" ], "dhcp-socket-type": "raw" },
  "frobnicate": 1, "server-tag": "x", "echo-client-id": false, "ip-reservations-unique": false,
  "hooks-libraries": [ { "library": "/usr/lib/kea/hooks/libdhcp_lease_cmds.so" },
                       { "library": "libdhcp_ha.so" }, { "library": "libown.so" } ],
  "dhcp-ddns": { "enable-updates": true },
  "lease-database": { "type": "mysql" },
  "shared-networks": [], "reservation-mode": "disabled",
  "subnet4": [ { "subnet": "192.0.2.0/24", "4o6-interface": "", "4o6-subnet": "2001:db8::/32" } ] } }"#;
    let imported = import4(text);
    let said = said(&imported);
    let has = |line: &str, what: &str| {
        assert!(
            said.iter()
                .any(|it| it.starts_with(line) && it.contains(what)),
            "{line} {what}\n{said:#?}"
        );
    };
    has(
        "kea.conf:2:49: Dhcp4.interfaces-config.dhcp-socket-type: warning:",
        "XDP",
    );
    has("kea.conf:3:3: Dhcp4.frobnicate: ", "is no keyword");
    has("kea.conf:3:20: Dhcp4.server-tag: warning:", "back end");
    has(
        "kea.conf:3:64: Dhcp4.ip-reservations-unique: has no counterpart",
        "one client",
    );
    has(
        "kea.conf:4:24: Dhcp4.hooks-libraries[0]: warning:",
        "xdhcpd leases",
    );
    has(
        "kea.conf:5:24: Dhcp4.hooks-libraries[1]: libdhcp_ha.so has no counterpart",
        "",
    );
    has(
        "kea.conf:5:56: Dhcp4.hooks-libraries[2]: libown.so is not known",
        "",
    );
    has("kea.conf:6:3: Dhcp4.dhcp-ddns: has no counterpart", "DNS");
    has(
        "kea.conf:7:3: Dhcp4.lease-database: warning:",
        "lease-dump mysql -4",
    );
    has(
        "kea.conf:9:16: Dhcp4.subnet4[0]: warning: has no `id`",
        "it gets 1",
    );
    has(
        "kea.conf:9:65: Dhcp4.subnet4[0].4o6-subnet: has no counterpart",
        "",
    );
    assert_eq!(said.len(), 11, "{said:#?}");
    assert!(imported.text.contains("reservations-in-subnet = false"));
}

/// What Kea needs a library for and we have built in comes along as keys.
#[test]
fn libraries_with_a_counterpart_become_keys() {
    let text = r#"{ "Dhcp4": { "interfaces-config": { "interfaces": [ "e" ] },
  "hooks-libraries": [
    { "library": "/usr/lib/kea/hooks/libdhcp_bootp.so" },
    { "library": "libdhcp_flex_id.so",
      "parameters": { "identifier-expression": "relay4[2] .hex", "replace-client-id": true } },
    { "library": "libdhcp_lease_query.so",
      "parameters": { "requesters": [ "192.0.2.1", "10.0.0.2" ], "advanced": {} } } ],
  "compatibility": { "exclude-first-last-24": true, "lenient-option-parsing": true,
                     "ignore-dhcp-server-identifier": false } } }"#;
    let imported = import4(text);
    policy(&imported.text);
    for key in [
        "bootp = true",
        "identifier-expression = \"relay4[2] .hex\"",
        "replace-client-id = true",
        "requestors = [\"192.0.2.1\", \"10.0.0.2\"]",
        "exclude-first-last-24 = true",
    ] {
        assert!(imported.text.contains(key), "{key}\n{}", imported.text);
    }
    let said = said(&imported);
    let has = |words: &str| said.iter().any(|line| line.contains(words));
    assert!(has("hooks-libraries[2].parameters.advanced: is left out"));
    assert!(has("lenient-option-parsing: warning: is left out"));
    assert_eq!(said.len(), 2, "{said:#?}");
}

/// Options that a class defines for itself.
#[test]
fn options_that_classes_define_come_along() {
    let text = r#"{ "Dhcp4": { "interfaces-config": { "interfaces": [ "e" ] },
  "client-classes": [ { "name": "phones", "test": "option[60].hex == 'phone'",
    "option-def": [ { "name": "vendor-encapsulated-options", "code": 43, "type": "empty", "encapsulate": "phone" },
                    { "name": "server", "code": 1, "space": "phone", "type": "ipv4-address" } ],
    "option-data": [ { "name": "vendor-encapsulated-options" },
                     { "name": "server", "space": "phone", "data": "10.9.0.1" } ] } ] } }"#;
    let imported = import4(text);
    assert_eq!(said(&imported), Vec::<String>::new());
    let (policy, _) = policy(&imported.text);
    let class = policy.classes_v4.find("phones").unwrap();
    let options = &policy.classes_v4.get(class).unwrap().options;
    let option = options.iter().find(|option| option.code == 43).unwrap();
    assert_eq!(*option.data, [1, 4, 10, 9, 0, 1]);
}

/// Flexible identifiers of both protocols, with their reservations and in their order.
#[test]
fn flexible_identifiers_come_along() {
    let text = r#"{ "Dhcp4": { "interfaces-config": { "interfaces": [ "e" ] },
  "host-reservation-identifiers": [ "flex-id", "hw-address" ],
  "hooks-libraries": [ { "library": "libdhcp_flex_id.so",
    "parameters": { "identifier-expression": "substring(option[60].hex, 0, 6)", "ignore-iaid": true } } ],
  "subnet4": [ { "id": 1, "subnet": "192.0.2.0/24",
    "reservations": [ { "flex-id": "'docsis'", "ip-address": "192.0.2.9" } ] } ] } }"#;
    let imported = import4(text);
    assert_eq!(said(&imported), Vec::<String>::new());
    let (policy, _) = policy(&imported.text);
    assert!(policy.flexible_v4.is_given() && !policy.flexible_v4.is_of_relay_agent());
    let subnet = &policy.networks_v4[0].subnets[0];
    assert_eq!(subnet.agents.client_key, ClientKey::Client);
    let found = subnet.reservations.find(ReservedBy::FlexId, b"docsis");
    assert_eq!(found.unwrap().leases.len(), 1);
    let order: Vec<_> = policy.hosts_v4.order.iter().collect();
    assert_eq!(order, [ReservedBy::FlexId, ReservedBy::HardwareAddress]);

    let text = r#"{ "Dhcp6": { "interfaces-config": { "interfaces": [ "e" ] },
  "hooks-libraries": [ { "library": "libdhcp_flex_id.so",
    "parameters": { "identifier-expression": "relay6[0].option[18].hex", "replace-client-id": true,
                    "ignore-iaid": true } } ] } }"#;
    let imported = import6(text);
    assert_eq!(said(&imported), Vec::<String>::new());
    let (policy, _) = self::policy(&imported.text);
    let flexible = &policy.flexible_v6;
    assert!(flexible.is_given() && flexible.replaces_duid && flexible.ignores_iaid);

    // An expression that is none is left out, and what needs it.
    let text = r#"{ "Dhcp4": { "interfaces-config": { "interfaces": [ "e" ] },
  "hooks-libraries": [ { "library": "libdhcp_flex_id.so",
    "parameters": { "identifier-expression": "foobar", "replace-client-id": true } } ] } }"#;
    let said = said(&import4(text));
    assert!(
        said[0].starts_with("kea.conf:3:46: dhcp4.identifier-expression: is left out"),
        "{said:#?}"
    );
    assert!(
        said[1].starts_with("kea.conf:3:77: dhcp4.replace-client-id: is left out"),
        "{said:#?}"
    );
    assert_eq!(said.len(), 2, "{said:#?}");
}

/// A library that says more than a key can is named, and so is one that says nothing.
#[test]
fn libraries_that_say_something_else_are_named() {
    for (parameters, library) in [
        ("{}", "libdhcp_lease_query.so"),
        ("{ \"requesters\": [ 7 ] }", "libdhcp_lease_query.so"),
        ("[]", "libdhcp_flex_id.so"),
        ("{ \"comment\": \"\" }", "libdhcp_flex_id.so"),
    ] {
        let text = format!(
            "{{ \"Dhcp4\": {{ \"interfaces-config\": {{ \"interfaces\": [ \"e\" ] }}, \"hooks-libraries\": \
             [ {{ \"library\": \"{library}\", \"parameters\": {parameters} }} ] }} }}"
        );
        let said = said(&import4(&text));
        assert_eq!(said.len(), 1, "{said:#?}");
        assert!(said[0].contains(&format!("{library} has no counterpart")));
    }
}

/// A client may ask for a lease that is shorter than the timers of the others; it gets timers that fit.
#[test]
fn timers_beyond_the_shortest_lifetime_are_taken() {
    let text = r#"{ "Dhcp4": { "interfaces-config": { "interfaces": [ "e" ] },
  "valid-lifetime": 3600, "min-valid-lifetime": 600, "renew-timer": 1800, "rebind-timer": 3000,
  "subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.0/28" } ] } ] } }"#;
    let imported = import4(text);
    assert_eq!(said(&imported), Vec::<String>::new());
    let (policy, _) = policy(&imported.text);
    let lifetimes = &policy.networks_v4[0].subnets[0].lifetimes;
    assert_eq!(
        (lifetimes.renew, lifetimes.rebind, lifetimes.valid_min),
        (Some(1800), Some(3000), 600)
    );
}

#[test]
fn what_the_check_does_not_take_is_left_out_and_said() {
    let text = r#"{ "Dhcp4": {
  "interfaces-config": { "interfaces": [ "e" ] },
  "option-data": [ { "name": "no-such-option", "data": "1" }, { "name": "domain-name", "data": "a.example" } ],
  "subnet4": [
    { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "10.0.0.1-10.0.0.2" }, { "pool": "192.0.2.9-192.0.2.10" } ],
      "reservations": [ { "hw-address": "zz", "hostname": "a" }, { "hw-address": "02", "ip-address": "192.0.2.7" } ] },
    { "id": 1, "subnet": "192.0.2.0/25" },
    { "id": 3, "subnet": "198.51.100.0/24", "valid-lifetime": 0 } ] } }"#;
    let imported = import4(text);
    let (policy, pools) = policy(&imported.text);
    assert_eq!(pools.len(), 1);
    assert_eq!(policy.networks_v4.len(), 2, "{}", imported.text);
    let first = &policy.networks_v4[0].subnets[0];
    assert_eq!(first.reservations.len(), 1);
    assert!(imported.text.contains("data = \"a.example\""));
    let said = said(&imported).join("\n");
    for (line, words) in [
        ("kea.conf:3:20:", "no-such-option"),
        ("kea.conf:5:", "10.0.0.1-10.0.0.2"),
        ("kea.conf:6:25:", "not hexadecimal"),
        ("kea.conf:7:5:", ""),
        ("kea.conf:8:45:", "valid-lifetime"),
    ] {
        let is_it =
            |it: &str| it.starts_with(line) && it.contains(words) && it.contains("is left out");
        assert!(said.lines().any(is_it), "{line} {words}\n{said}");
    }
}

#[test]
fn a_file_that_is_none_of_kea_s_is_refused_with_its_place() {
    for (text, wanted) in [
        ("{ \"Dhcp4\": { ]", "kea.conf:1:14: this is not JSON"),
        ("[1]", "kea.conf:1:1: has no \"Dhcp4\""),
        ("{ \"Dhcp6\": {} }", "kea.conf:1:1: has no \"Dhcp4\""),
    ] {
        let joined = Joined::of(Path::new("kea.conf"), text).unwrap();
        let wrong = import_joined(&[(Family::V4, joined)]).unwrap_err();
        assert!(wrong.starts_with(wanted), "{wrong}");
    }
    let nowhere = Source {
        dhcp4: Some(PathBuf::from("nowhere.conf")),
        dhcp6: None,
    };
    assert!(
        import(&nowhere)
            .unwrap_err()
            .starts_with("nowhere.conf: cannot be read")
    );
}

/// Thousands of subnets, each with a pool, a router and a reservation.
#[test]
fn thousands_of_subnets_are_all_there() {
    const COUNT: u32 = 3000;
    let mut subnets = String::new();
    for n in 0..COUNT {
        let network = Ipv4Addr::from_bits(0x0a00_0000 + (n << 8));
        let at = |last: u32| Ipv4Addr::from_bits(network.to_bits() + last);
        let _ = write!(
            subnets,
            "{}{{ \"id\": {}, \"subnet\": \"{network}/24\", \"pools\": [ {{ \"pool\": \"{} - {}\" }} ],\
             \"option-data\": [ {{ \"name\": \"routers\", \"data\": \"{}\" }} ],\
             \"reservations\": [ {{ \"hw-address\": \"02:00:{:02x}:{:02x}\", \"ip-address\": \"{}\" }} ] }}",
            if n > 0 { "," } else { "" },
            n + 1,
            at(10),
            at(200),
            at(1),
            n >> 8,
            n & 0xff,
            at(5)
        );
    }
    let text = format!(
        "{{\"Dhcp4\": {{\"interfaces-config\": {{\"interfaces\": [\"e\"]}}, \"subnet4\": [{subnets}]}}}}"
    );
    let imported = import4(&text);
    assert_eq!(said(&imported), Vec::<String>::new());
    let (policy, pools) = policy(&imported.text);
    assert_eq!((policy.networks_v4.len(), pools.len()), (3000, 3000));
    for (network, pool) in policy.networks_v4.iter().zip(&pools) {
        let subnet = &network.subnets[0];
        let first = Ipv4Addr::from_bits(subnet.network.to_bits() + 10);
        assert_eq!((pool.first, pool.count), (Lease::V4(first), 191));
        let router = subnet.network.to_bits() + 1;
        assert_eq!(*subnet.options.find(3).unwrap().data, router.to_be_bytes());
        assert_eq!(subnet.reservations.len(), 1);
    }
}

#[test]
fn every_example_of_the_corpus_can_be_loaded_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let source = Source {
        dhcp4: Some(corpus("office.conf")),
        dhcp6: None,
    };
    let file = directory.path().join("xdhcpd.toml");
    std::fs::write(&file, import(&source).unwrap().text).unwrap();
    let summary = load(&file).unwrap().summary();
    assert!(summary.starts_with("1 subnet4"), "{summary}");
}

/// Pieces of what Kea could have, right or wrong.
fn piece() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("1".to_owned()),
        Just("true".to_owned()),
        Just("null".to_owned()),
        Just("\"\\u00e9\\n\\\"\\\\'\"".to_owned()),
        Just("[ 1, { \"pool\": \"192.0.2.1-192.0.2.9\" }, [ {} ] ]".to_owned()),
        Just(
            "[ { \"subnet\": \"192.0.2.0/24\", \"pools\": [ { \"pool\": \"192.0.2.0/28\" } ] } ]"
                .to_owned()
        ),
        Just(
            "[ { \"name\": \"routers\", \"data\": \"192.0.2.1\", \"comment\": \"a\\nb\" } ]"
                .to_owned()
        ),
        Just("{ \"library\": 1, \"interfaces\": [ \"*\", \"e\", 7 ] }".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
    ];
    let name = prop::sample::select(vec![
        "subnet4",
        "shared-networks",
        "pools",
        "option-data",
        "reservations",
        "relay",
        "valid-lifetime",
        "interfaces-config",
        "hooks-libraries",
        "user-context",
        "comment",
        "reservation-mode",
        "x",
        "client-classes",
        "option-def",
        "host-reservation-identifiers",
        "next-server",
        "lease-database",
    ]);
    (name, value).prop_map(|(name, value)| format!("\"{name}\": {value}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_the_importer_panic(text in "([{}\\[\\],:\"#/*]|\"Dhcp4\"|\"subnet4\"|<\\?include|-?[0-9]{1,3}|null|\\PC){0,60}") {
        if let Ok(joined) = Joined::of(Path::new("kea.conf"), &text) {
            let _ = import_joined(&[(Family::V4, joined)]);
        }
    }

    /// Whatever Kea's file holds, the result is a configuration.
    #[test]
    fn the_result_always_passes_the_check(pieces in prop::collection::vec(piece(), 0..8)) {
        let imported = import4(&format!("{{ \"Dhcp4\": {{ {} }} }}", pieces.join(", ")));
        let checked = check(Path::new("result.toml"), &imported.text);
        prop_assert!(checked.is_ok(), "{}\n{}", checked.unwrap_err(), imported.text);
    }
}
