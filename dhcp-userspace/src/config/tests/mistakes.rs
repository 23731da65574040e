//! What is said about what is wrong, exactly: sentence, line and column.

use super::said;
use crate::config::check_octets;
use std::path::Path;

#[test]
fn all_errors_come_at_once_with_their_places() {
    let text = r#"
interfaces = ["eth1", "eth1", 7]
durabilty = "power"
workers = 0
subnet6 = "x"

[dhcp4]
renew-timer = 900.5
offer-lifetime = 5

[[subnet4]]
subnet = "192.0.2.0/24"
pools = ["192.0.2.10-192.0.3.200", "192.0.2.300-192.0.2.5", { pool = "192.0.2.9-192.0.2.8" }]
relay = { ip-address = "10.0.0.1" }

[[subnet4]]
subnet = "192.0.2.128/25"
id = 1
frobnicate = true
"#;
    assert_eq!(
        said(text),
        r#"f.toml:2:23: interfaces[1]: eth1 is interfaces[0] (line 2) too; keep one
f.toml:2:31: interfaces[2]: is the number 7, not a table; write { name = ... }
f.toml:3:1: durabilty: unknown key; did you mean `durability`?
f.toml:4:11: workers: is the number 0; it must be 1 to 64
f.toml:5:11: subnet6: is the text "x", not a list; put it in [ ]
f.toml:8:15: dhcp4.renew-timer: is the number 900.5, not a whole number from 1 to 4294967294
f.toml:9:1: dhcp4.offer-lifetime: unknown key here; it belongs at the top of the file, before the first [table]
f.toml:13:10: subnet4[0].pools[0]: 192.0.2.10-192.0.3.200 is not inside of its subnet, 192.0.2.0/24; correct one of the two
f.toml:13:36: subnet4[0].pools[1]: "192.0.2.300" is not an IPv4 address
f.toml:13:70: subnet4[0].pools[2].pool: ends at 192.0.2.8 before it begins at 192.0.2.9; swap the two
f.toml:14:9: subnet4[0].relay: `ip-addresses` is missing; add it (list of addresses)
f.toml:14:11: subnet4[0].relay.ip-address: unknown key; did you mean `ip-addresses`?
f.toml:17:10: subnet4[1].subnet: 192.0.2.128/25 overlaps subnet4[0].subnet (line 12), 192.0.2.0/24; shrink one of them
f.toml:18:6: subnet4[1].id: 1 is also the number of subnet4[0] (line 11); give it another
f.toml:19:1: subnet4[1].frobnicate: unknown key; there are subnet, id, pools, interface, relay, client-classes, client-class, evaluate-additional-classes, require-client-classes, valid-lifetime, renew-timer, rebind-timer, cache-threshold, cache-max-age, rapid-commit, option-data, allocator, adaptive-lease-time-threshold, low-water-percent, decline-alarm-percent, min-valid-lifetime, max-valid-lifetime, next-server, server-hostname, boot-file-name, server-identifier, trust-option-82, client-key, vpn, authoritative, match-client-id, echo-client-id, bootp, bootp-lifetime, enable-ping-check, min-ping-requests, reply-timeout, ping-cltt-secs, line-key, line-address-limit, address-limit, reservations-in-subnet, reservations-out-of-pool, reservations-global, reservations"#
    );
}

/// One configuration a line, and exactly what is said about it.
#[test]
fn every_mistake_has_its_sentence() {
    let subnet4 = "interfaces = [\"e\"]\n[[subnet4]]\nid = 1\nsubnet = \"192.0.2.0/24\"\noption-data = [{name=\"routers\",data=\"192.0.2.1\"}]\n";
    let subnet6 = "interfaces = [\"e\"]\n[[subnet6]]\nid = 1\nsubnet = \"2001:db8::/64\"\n";
    let of_subnet4 = [
        (
            "pools = [\"192.0.2.10-192.0.2.20\", \"192.0.2.20-192.0.2.30\"]",
            "6:35: subnet4[0].pools[1]: 192.0.2.20-192.0.2.30 overlaps subnet4[0].pools[0] (line 6), 192.0.2.10-192.0.2.20; shrink one of them",
        ),
        (
            "allocator = \"cyclic\"",
            "6:13: subnet4[0].allocator: \"cyclic\" is not known; it must be \"iterative\", \"random\" or \"flq\"",
        ),
        (
            "adaptive-lease-time-threshold = 80\nmin-valid-lifetime = 100",
            "6:33: subnet4[0].adaptive-lease-time-threshold: is the number 80; it must be 0 to 1",
        ),
        (
            "enable-ping-check = true\nmin-ping-requests = 0",
            "7:21: subnet4[0].min-ping-requests: is the number 0; it must be 1 to 10",
        ),
        (
            "enable-ping-check = true\nmin-ping-requests = 10\nreply-timeout = 1001",
            "8:17: subnet4[0].reply-timeout: 10 requests of 1001 ms take 10010 ms, and clients do not wait longer than 10000; lower `reply-timeout` or `min-ping-requests`",
        ),
        (
            "vpn = \"red\"\nenable-ping-check = true",
            "7:21: subnet4[0].enable-ping-check: addresses of a VPN cannot be probed: this machine's own routes lead to other ones of the same number; set it to false where `vpn` is set",
        ),
        (
            "low-water-percent = 101",
            "6:21: subnet4[0].low-water-percent: is the number 101; it must be 0 to 100",
        ),
        (
            "pools = [\"192.0.2.128/25\"]",
            "6:10: subnet4[0].pools[0]: warning: contains the broadcast address of its subnet, 192.0.2.255; many clients refuse it",
        ),
        (
            "pools = [\"192.0.2.1-192.0.2.9\"]",
            "6:10: subnet4[0].pools[0]: warning: holds 192.0.2.1, which the `routers` option gives as a router",
        ),
        (
            "pools = [\"192.0.2.10\"]",
            "6:10: subnet4[0].pools[0]: \"192.0.2.10\" is not a pool; write its first and last address as \"FIRST-LAST\", or a prefix",
        ),
        (
            "pools = []",
            "2:1: subnet4[0]: warning: has neither pools nor reservations; nobody gets a lease from it",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\nmin-valid-lifetime = 9000",
            "7:22: subnet4[0].min-valid-lifetime: 9000 is above `valid-lifetime`, which is 7200 unless configured; lower it or change the other",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\nvalid-lifetime = 600\nmax-valid-lifetime = 300",
            "8:22: subnet4[0].max-valid-lifetime: 300 is below subnet4[0].valid-lifetime (line 7), 600; raise it or change the other",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\nvalid-lifetime = 600\nrenew-timer = 550",
            "8:15: subnet4[0].renew-timer: 550 is not below `rebind-timer`, which is 525 unless configured; lower it or change the other",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\nvalid-lifetime = 600\nrebind-timer = 600",
            "8:16: subnet4[0].rebind-timer: 600 is not below subnet4[0].valid-lifetime (line 7), 600; lower it or change the other",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\nvalid-lifetime = 30",
            "7:18: subnet4[0].valid-lifetime: warning: 30 seconds are little: every client asks again every 15 seconds",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\ncache-threshold = 1.5",
            "7:19: subnet4[0].cache-threshold: is the number 1.5; it must be 0 to 1",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\ncache-threshold = nan",
            "7:19: subnet4[0].cache-threshold: is the number nan; it must be 0 to 1",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\ncache-threshold = \"0.25\"",
            "7:19: subnet4[0].cache-threshold: is the text \"0.25\", not a number; leave the quotes out",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\ncache-threshold = 0.9",
            "7:19: subnet4[0].cache-threshold: warning: more than half: clients whose renewals are not written down come close to the end of their leases; 0.25 is enough for those that renew too often",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\ncache-max-age = -1",
            "7:17: subnet4[0].cache-max-age: is the number -1; it must be 0 to 4294967295",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\nvalid-lifetime = 4294967296",
            "7:18: subnet4[0].valid-lifetime: is the number 4294967296; it must be 1 to 4294967295",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\ninterface = \"f\"",
            "7:13: subnet4[0].interface: f is not among `interfaces`; add it there, or drop it here",
        ),
        (
            "reservations = [{ip-address=\"192.0.3.1\"}]",
            "6:17: subnet4[0].reservations[0]: names no client; add one of `hw-address`, `duid`, `circuit-id`, `client-id`, `flex-id`, `remote-id`, `subscriber-id`\nf.toml:6:29: subnet4[0].reservations[0].ip-address: 192.0.3.1 is not inside of its subnet, 192.0.2.0/24; correct one of the two",
        ),
        (
            "reservations = [{hw-address=\"02:00:00:00:00:01\",client-id=\"01\"}]",
            "6:59: subnet4[0].reservations[0].client-id: is a second identifier; keep one of `hw-address`, `duid`, `circuit-id`, `client-id`, `flex-id`, `remote-id`, `subscriber-id`",
        ),
        (
            "reservations = [{hw-address=\"0x01\",ip-address=\"192.0.2.1\"},{hw-address=\"01\",ip-address=\"192.0.2.1\"}]",
            "6:72: subnet4[0].reservations[1].hw-address: is the client of subnet4[0].reservations[0].hw-address (line 6) too; put both into one reservation\nf.toml:6:88: subnet4[0].reservations[1].ip-address: 192.0.2.1 is reserved in subnet4[0].reservations[0].ip-address (line 6) too; keep one",
        ),
        (
            "reservations = [{client-id=\"zz\",hostname=\"a\"}]",
            "6:28: subnet4[0].reservations[0].client-id: \"zz\" is not hexadecimal; write octets like \"02:00:5e:00:53:01\"",
        ),
        (
            "pools = [\"192.0.2.8/30\", \"192.0.2.8-192.0.2.11\"]",
            "6:26: subnet4[0].pools[1]: 192.0.2.8-192.0.2.11 is subnet4[0].pools[0] (line 6) too; keep one",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\nvalid-lifetime = \"600\"",
            "7:18: subnet4[0].valid-lifetime: is the text \"600\", not a whole number; leave the quotes out",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\nrapid-commit = \"yes\"",
            "7:16: subnet4[0].rapid-commit: is the text \"yes\"; it must be true or false, without quotes",
        ),
        (
            "pools = [\"192.0.2.8/30\"]\ninterface = [\"e\"]",
            "7:13: subnet4[0].interface: is a list, not a text; leave [ ] out",
        ),
        (
            "pools = {pool=\"192.0.2.8/30\"}",
            "6:9: subnet4[0].pools: is a table, not a list; put it in [ ], or write [[subnet4.pools]]",
        ),
        (
            "reservations = [{hw-address=\"01\",ip-address=\"192.0.2.255\"}]",
            "6:45: subnet4[0].reservations[0].ip-address: warning: is the broadcast address of its subnet, 192.0.2.255; many clients refuse it",
        ),
        (
            "reservations = [{duid=\"0001\",hostname=\"\"}]",
            "6:39: subnet4[0].reservations[0].hostname: is empty; leave the key out instead",
        ),
    ];
    let mut wrong = Vec::new();
    let mut compare = |said: String, expected: String| {
        if said != expected {
            wrong.push(format!("said     {said}\nexpected {expected}"));
        }
    };
    for (rest, sentence) in of_subnet4 {
        compare(
            said(&format!("{subnet4}{rest}\n")),
            format!("f.toml:{sentence}"),
        );
    }
    for (rest, sentence) in [
        (
            "pools = [\"2001:db8::/128\"]",
            "5:10: subnet6[0].pools[0]: holds nothing but the anycast address of the subnet's routers (RFC 4291 section 2.6.1)",
        ),
        (
            "reservations = [{duid=\"0001\",ip-address=\"2001:db8::1\"}]",
            "5:30: subnet6[0].reservations[0].ip-address: unknown key; did you mean `ip-addresses`?",
        ),
        (
            "pools = [\"2001:db8::/64\"]",
            "5:10: subnet6[0].pools[0]: warning: has more than 16777216 leases; the first 16777216 are handed out, the rest is not (several smaller pools reach further)",
        ),
        (
            "pd-pools = [{prefix=\"2001:db8:8000::/40\",delegated-len=39}]",
            "5:56: subnet6[0].pd-pools[0].delegated-len: 39 is shorter than the pool's own length, 40; it must be 40 to 128",
        ),
        (
            "pd-pools = [{prefix=\"2001:db8:8000::\",delegated-len=48}]",
            "5:21: subnet6[0].pd-pools[0].prefix: has no length; write it as \"2001:db8::/40\"",
        ),
        (
            "pd-pools = [{prefix=\"2001:db8:8000::/40\",prefix-len=40,delegated-len=48}]",
            "5:21: subnet6[0].pd-pools[0].prefix: has a length of its own; leave `prefix-len` out (it says 40)",
        ),
        (
            "pools = [\"2001:db8::1-2001:db8::2\"]\npreferred-lifetime = 9000",
            "6:22: subnet6[0].preferred-lifetime: 9000 is above `valid-lifetime`, which is 7200 unless configured; lower it or change the other",
        ),
        (
            "pools = [\"2001:db8::1-2001:db8::2\"]\nrenew-timer = 5000\nrebind-timer = 6000",
            "6:15: subnet6[0].renew-timer: warning: 5000 is not below `preferred-lifetime`, which is 4500 unless configured: addresses are deprecated before they are renewed; lower it",
        ),
        (
            "pools = [\"2001:db8::1-2001:db8::2\"]\nmax-valid-lifetime = 1",
            "6:1: subnet6[0].max-valid-lifetime: unknown key; did you mean `min-valid-lifetime`?",
        ),
        (
            "pd-pools = [{prefix=\"2001:db8:8000::/40\",delegated-len=48}]\nreservations = [{duid=\"0001\",prefixes=[\"2001:db8:8000::/47\"]}]",
            "6:40: subnet6[0].reservations[0].prefixes[0]: 2001:db8:8000::/47 overlaps subnet6[0].pd-pools[0] (line 5), whose prefixes have length 48; reserve one of these, or a prefix outside of it",
        ),
        (
            "pools = [\"2001:db8::1-2001:db8::2\"]\npd-pools = [{prefix=\"2001:db8::/48\",delegated-len=56}]",
            "6:13: subnet6[0].pd-pools[0]: 2001:db8::/48 overlaps subnet6[0].pools[0] (line 5), 2001:db8::1-2001:db8::2; shrink one of them",
        ),
    ] {
        compare(
            said(&format!("{subnet6}{rest}\n")),
            format!("f.toml:{sentence}"),
        );
    }
    for (text, sentence) in [
        (
            "interfaces = \"e\"\n[[subnet4]]\nsubnet = \"192.0.2.0/24\"\ninterface = \"e\"",
            "f.toml:1:14: interfaces: is the text \"e\", not a list; put it in [ ]",
        ),
        (
            "interfaces = [\"e\"]\n[[subnet4]]\nsubnet = \"224.0.0.0/24\"\npools = [\"224.0.0.8/29\"]",
            "f.toml:4:10: subnet4[0].pools[0]: 224.0.0.8/29 overlaps 224.0.0.0/4 (multicast), of which no client can have an address",
        ),
        (
            "interfaces = [\"e\"]\n[[subnet6]]\nsubnet = \"fe80::/64\"\nreservations = [{duid=\"0001\",ip-addresses=[\"fe80::1\"]}]",
            "f.toml:4:44: subnet6[0].reservations[0].ip-addresses[0]: fe80::1 lies in fe80::/10 (link-local), of which no client can have an address",
        ),
        (
            "\u{feff}workers = 0",
            "f.toml:1:1: `interfaces` is missing; add it (list of names or `interfaces` tables)",
        ),
        (
            "\u{feff}interfaces = [\"e\"]\r\nworkers = 0\r\n",
            "f.toml:2:11: workers: is the number 0; it must be 1 to 64",
        ),
        (
            "\u{feff}interfaces = 1\r\n",
            "f.toml:1:14: interfaces: is the number 1, not a list; put it in [ ]",
        ),
        (
            "interfaces = [\"e\"]\nstate-dir = yes",
            "f.toml:2:13: this is not TOML: neither a number nor a text; put texts in quotes",
        ),
        (
            "",
            "f.toml:1:1: `interfaces` is missing; add it (list of names or `interfaces` tables)",
        ),
        (
            "interfaces = []",
            "f.toml:1:14: interfaces: is empty; name at least one interface to serve",
        ),
        (
            "interfaces = [\"e\"]",
            "f.toml:1:1: warning: has no subnet; the server answers nobody",
        ),
        (
            "interfaces = [\"a/b\"]",
            "f.toml:1:15: interfaces[0]: is the text \"a/b\", which cannot be the name of an interface: that has 1 to 15 characters, no space, / or :",
        ),
        (
            "interfaces = [\"e\"\nworkers = 2",
            "f.toml:2:1: this is not TOML: missing comma between array elements, expected `,`",
        ),
        (
            "interfaces = [\"e\"]\ninterfaces = [\"f\"]",
            "f.toml:2:1: this is not TOML: duplicate key; keep one of the two",
        ),
        (
            "interfaces = [\"e\"]\nstate-dir = \"here\"",
            "f.toml:2:13: state-dir: is the text \"here\", not an absolute path; begin it with /",
        ),
        (
            "interfaces = [\"e\"]\ndurability = \"disk\"",
            "f.toml:2:14: durability: \"disk\" is not known; it must be \"power\" or \"process\"",
        ),
        (
            "interfaces = [\"e\"]\n[subnet4]\nsubnet = \"192.0.2.0/24\"",
            "f.toml:2:1: subnet4: is a table, not a list; put it in [ ], or write [[subnet4]]",
        ),
    ] {
        let first = said(text).lines().next().unwrap_or_default().to_owned();
        compare(first, sentence.to_owned());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn options_say_what_is_wrong_with_them() {
    for (option, sentence) in [
        (
            r#"{name="router",data="192.0.2.1"}"#,
            "name: \"router\" is no known option; did you mean `routers`?",
        ),
        (
            r#"{name="dns-servers",data="192.0.2.1"}"#,
            "name: \"dns-servers\" is no known option; did you mean `domain-name-servers`?",
        ),
        (
            r#"{name="bootfile-url",data="x"}"#,
            "name: \"bootfile-url\" is an option of DHCPv6 only",
        ),
        (
            r#"{name="dhcp-message-type",data="1"}"#,
            "name: \"dhcp-message-type\" is no known option; use a name of docs/configuration.md, define it with `option-def`, or use `code` with csv-format = false",
        ),
        (
            r#"{name="routers",data="192.0.2.1 192.0.2.2"}"#,
            "data: \"192.0.2.1 192.0.2.2\" is not an IPv4 address; a comma separates values",
        ),
        (
            r#"{data="192.0.2.1"}"#,
            "names no option; add `name` or `code`",
        ),
        (
            r#"{name="routers"}"#,
            "`data` is missing; add it (text, number, boolean, or a list of them)",
        ),
        (
            r#"{name="routers",code=4,data="192.0.2.1"}"#,
            "code: `routers` has code 3; leave `code` out",
        ),
        (
            r#"{code=51,data="1"}"#,
            "code: option 51 is set by `valid-lifetime`",
        ),
        (
            r#"{name="dhcp-lease-time",data="1"}"#,
            "name: `dhcp-lease-time` is set by `valid-lifetime`",
        ),
        (
            r#"{code=224,data="1"}"#,
            "data: option 224 is not among the known ones; write its octets in hexadecimal and csv-format = false, or define it with `option-def`",
        ),
        (
            r#"{name="routers",data="192.0.2.1",space="dhcp6"}"#,
            "space: is the other protocol than that of this place; leave `space` out",
        ),
        (
            r#"{name="routers",data="192.0.2.x"}"#,
            "data: \"192.0.2.x\" is not an IPv4 address",
        ),
        (
            r#"{name="routers",data={}}"#,
            "data: must be a text, a number, true, false, or a list of them",
        ),
    ] {
        let text = format!("interfaces = [\"e\"]\ndhcp4.option-data = [{option}]\n");
        let said = said(&text);
        let lines: Vec<_> = said.lines().collect();
        let (_, after) = lines[0].split_once("dhcp4.option-data[0]").unwrap();
        assert_eq!(
            after.trim_start_matches(['.', ':']).trim_start(),
            sentence,
            "{option}"
        );
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
    let twice = "interfaces = [\"e\"]\n[[dhcp4.option-data]]\nname = \"routers\"\ndata = \"192.0.2.1\"\n[[dhcp4.option-data]]\ncode = 3\ndata = \"192.0.2.1\"\n";
    assert_eq!(
        said(twice),
        "f.toml:5:1: dhcp4.option-data[1]: option 3 stands in dhcp4.option-data[0] (line 2) too; keep one"
    );
}

#[test]
fn one_link_has_one_relay_agent() {
    let text = r#"interfaces = ["e"]
[[subnet4]]
id = 1
subnet = "10.0.0.0/24"
pools = ["10.0.0.8/29"]
relay = { ip-addresses = ["10.9.9.9"] }
option-data = [{ name = "routers", data = "10.0.0.1" }]
[[subnet4]]
id = 2
subnet = "10.0.1.0/24"
pools = ["10.0.1.8/29"]
relay = { ip-addresses = ["10.9.9.9"] }
option-data = [{ name = "routers", data = "10.0.1.1" }]
"#;
    assert_eq!(
        said(text),
        "f.toml:12:27: subnet4[1].relay.ip-addresses[0]: selects subnet4[0].relay.ip-addresses[0] (line 6) too; \
         put the subnets of one link into one of [[shared-networks]]"
    );
}

#[test]
fn one_link_has_one_client_key_and_one_vpn() {
    let text = r#"interfaces = ["e"]
[[shared-networks]]
name = "street"
option-data = [{ name = "routers", data = "10.0.0.1" }]
[[shared-networks.subnet4]]
id = 1
subnet = "10.0.0.0/24"
pools = ["10.0.0.8/29"]
client-key = "circuit-id"
[[shared-networks.subnet4]]
id = 2
subnet = "10.0.1.0/24"
pools = ["10.0.1.8/29"]
vpn = "red"
"#;
    assert_eq!(
        said(text),
        "f.toml:10:1: shared-networks[0].subnet4[1]: has another `client-key` than shared-networks[0].subnet4[0] \
         (line 5), which is on the same link; write it at the shared network\n\
         f.toml:10:1: shared-networks[0].subnet4[1]: is in another `vpn` than shared-networks[0].subnet4[0] \
         (line 5), which is on the same link; write it at the shared network"
    );
}

#[test]
fn relay_agents_and_their_words_say_what_is_wrong_with_them() {
    for (line, sentence) in [
        (
            "dhcp4.allowed-relays = [\"10.0.0.0/33\"]",
            "f.toml:2:25: dhcp4.allowed-relays[0]: ",
        ),
        (
            "dhcp4.allowed-relays = [\"10.0.0.1/24\"]",
            "f.toml:2:25: dhcp4.allowed-relays[0]: ",
        ),
        (
            "dhcp4.allowed-relays = \"10.0.0.1\"",
            "f.toml:2:24: dhcp4.allowed-relays: is the text \"10.0.0.1\", not a list; put it in [ ]",
        ),
        (
            "[[subnet4]]\nid = 1\nsubnet = \"10.0.0.0/24\"\nclient-key = \"flex\"",
            "f.toml:5:14: subnet4[0].client-key: \"flex\" is not known; it must be \"client-id\", \
             \"circuit-id\", \"remote-id\", \"subscriber-id\" or \"flex-id\"",
        ),
        (
            "[[subnet4]]\nid = 1\nsubnet = \"10.0.0.0/24\"\nline-key = \"interface-id\"",
            "f.toml:5:12: subnet4[0].line-key: \"interface-id\" is not known; it must be \"circuit-id\", \
             \"remote-id\" or \"subscriber-id\"",
        ),
        (
            "[[subnet4]]\nid = 1\nsubnet = \"10.0.0.0/24\"\nline-key = \"circuit-id\"",
            "f.toml:5:12: subnet4[0].line-key: warning: has no effect without `line-address-limit`",
        ),
        (
            "[[subnet4]]\nid = 1\nsubnet = \"10.0.0.0/24\"\nline-address-limit = -1",
            "f.toml:5:22: subnet4[0].line-address-limit: ",
        ),
        (
            "[[dhcp4.client-classes]]\nname = \"a\"\nonly-in-additional-list = true\naddress-limit = 1",
            "f.toml:5:17: dhcp4.client-classes[0].address-limit: is a limit of a class that is looked at only",
        ),
        (
            "[[subnet4]]\nid = 1\nsubnet = \"10.0.0.0/24\"\nvpn = \"0x00005e\"",
            "f.toml:5:7: subnet4[0].vpn: has 3 octets; an identifier of RFC 2685 has 7, as \
             \"0x00005e00000001\"",
        ),
        (
            "[[subnet4]]\nid = 1\nsubnet = \"10.0.0.0/24\"\nvpn = \"r\u{00f6}t\"",
            "f.toml:5:7: subnet4[0].vpn: is not ASCII; relay agents send names in ASCII (RFC 6607)",
        ),
    ] {
        let said = said(&format!("interfaces = [\"e\"]\n{line}\n"));
        let found = said.lines().find(|said| said.starts_with(sentence));
        assert!(found.is_some(), "{line}: {said}");
    }
}

/// Leases are known by their addresses, also where VPNs (RFC 6607) could use the same ones.
#[test]
fn subnets_of_two_vpns_cannot_have_the_same_addresses() {
    let subnets = |second: &str, vpns: [&str; 2]| {
        let [one, other] = vpns;
        let text = format!(
            "interfaces = [\"e\"]\n[[subnet4]]\nid = 1\nsubnet = \"10.0.0.0/24\"\n{one}\n[[subnet4]]\nid = 2\n\
             subnet = \"{second}\"\n{other}\n"
        );
        said(&text)
    };
    let (red, blue) = ("vpn = \"red\"", "vpn = \"blue\"");
    let advice = "they are of different VPNs, but a lease is known by its address alone; give one of them other addresses";
    for vpns in [[red, blue], [red, ""], ["", blue]] {
        let same = subnets("10.0.0.0/24", vpns);
        let sentence =
            "f.toml:8:10: subnet4[1].subnet: 10.0.0.0/24 is subnet4[0].subnet (line 4) too; ";
        assert!(same.contains(&format!("{sentence}{advice}")), "{same}");
        let part = subnets("10.0.0.128/25", vpns);
        let sentence = "f.toml:8:10: subnet4[1].subnet: 10.0.0.128/25 overlaps subnet4[0].subnet (line 4), 10.0.0.0/24; ";
        assert!(part.contains(&format!("{sentence}{advice}")), "{part}");
    }
    assert!(subnets("10.0.0.0/24", [red, red]).contains("(line 4) too; keep one"));
    assert!(!subnets("10.0.1.0/24", [red, blue]).contains("10.0.1.0/24"));
}

#[test]
fn options_that_classes_define_say_what_is_wrong_with_them() {
    for (definition, sentence) in [
        (
            "name = \"a\", code = 223, type = \"string\"",
            "f.toml:4:36: dhcp4.client-classes[0].option-def[0].code: option 223 means the same for all clients; \
             define it in [dhcp4] (a class may define 43 and 224 to 254)",
        ),
        (
            "name = \"a\", code = 255, type = \"string\"",
            "f.toml:4:36: dhcp4.client-classes[0].option-def[0].code: is the number 255; it must be 1 to 254",
        ),
        (
            "name = \"a\", code = 224, type = \"strings\"",
            "f.toml:4:48: dhcp4.client-classes[0].option-def[0].type: \"strings\" is no type",
        ),
    ] {
        let text = format!(
            "interfaces = [\"e\"]\n[[dhcp4.client-classes]]\nname = \"a\"\noption-def = [{{ {definition} }}]\n"
        );
        let said = said(&text);
        let found = said.lines().find(|said| said.starts_with(sentence));
        assert!(found.is_some(), "{definition}: {said}");
    }
    // What one class defines is nothing to another.
    let text = "interfaces = [\"e\"]\n[[dhcp4.client-classes]]\nname = \"a\"\n\
                option-def = [{ name = \"x\", code = 224, type = \"string\" }]\n\
                [[dhcp4.client-classes]]\nname = \"b\"\noption-data = [{ name = \"x\", data = \"y\" }]\n";
    let said = said(text);
    assert!(
        said.contains(
            "f.toml:7:25: dhcp4.client-classes[1].option-data[0].name: \"x\" is no known option"
        ),
        "{said}"
    );
    let text = "interfaces = [\"e\"]\n[[dhcp6.client-classes]]\nname = \"a\"\noption-def = []\n";
    let said = super::said(text);
    assert!(
        said.contains("f.toml:4:1: dhcp6.client-classes[0].option-def: unknown key"),
        "{said}"
    );
}

#[test]
fn flexible_identifiers_say_what_is_wrong_with_them() {
    const SUBNET: &str = "[[subnet4]]\nid = 1\nsubnet = \"10.0.0.0/24\"\n";
    const SUBNET6: &str = "[[subnet6]]\nid = 1\nsubnet = \"2001:db8::/64\"\n";
    for (lines, sentence) in [
        (
            "[dhcp4]\nidentifier-expression = \"relay4[1].hex +\"".to_owned(),
            "f.toml:3:25: dhcp4.identifier-expression: at character 16 of the expression: ",
        ),
        (
            "[dhcp4]\nidentifier-expression = \"relay4[1].exists\"".to_owned(),
            "f.toml:3:25: dhcp4.identifier-expression: at character ",
        ),
        (
            "[dhcp6]\nidentifier-expression = \"relay4[1].hex\"".to_owned(),
            "f.toml:3:25: dhcp6.identifier-expression: at character 1 of the expression: ",
        ),
        (
            "[dhcp4]\nidentifier-expression = \" \"".to_owned(),
            "f.toml:3:25: dhcp4.identifier-expression: is empty; leave it out",
        ),
        (
            "[dhcp4]\nidentifier-expression = \"'a'\"".to_owned(),
            "f.toml:3:25: dhcp4.identifier-expression: warning: looks at nothing of a message",
        ),
        (
            "[dhcp4]\nidentifier-expression = \"ifelse(known, option[60].hex, '')\"".to_owned(),
            "f.toml:3:25: dhcp4.identifier-expression: asks for a class that depends on the client's reservation",
        ),
        (
            "[dhcp4]\nreplace-client-id = true".to_owned(),
            "f.toml:3:21: dhcp4.replace-client-id: needs `identifier-expression` of [dhcp4]; add it there",
        ),
        (
            format!("{SUBNET}client-key = \"flex-id\""),
            "f.toml:5:14: subnet4[0].client-key: needs `identifier-expression` of [dhcp4]; add it there",
        ),
        (
            "[dhcp6]\nreplace-client-id = true".to_owned(),
            "f.toml:3:21: dhcp6.replace-client-id: needs `identifier-expression` of [dhcp6]; add it there",
        ),
        (
            "[dhcp4]\nignore-iaid = true".to_owned(),
            "f.toml:3:1: dhcp4.ignore-iaid: unknown key",
        ),
        (
            "[dhcp6]\nignore-iaid = true".to_owned(),
            "f.toml:3:15: dhcp6.ignore-iaid: warning: is against RFC 9915",
        ),
        (
            format!(
                "[dhcp4]\nidentifier-expression = \"relay4[1].hex\"\nreplace-client-id = true\n{SUBNET}\
                 match-client-id = false"
            ),
            "f.toml:8:19: subnet4[0].match-client-id: warning: leaves the flexible identifier without effect",
        ),
        (
            format!("{SUBNET}reservations = [{{ flex-id = \"'a'\", hostname = \"a\" }}]"),
            "f.toml:5:29: subnet4[0].reservations[0].flex-id: warning: is found by nothing without \
             `identifier-expression`",
        ),
        (
            format!(
                "{SUBNET}reservations = [{{ flex-id = \"{}\" }}]",
                "61".repeat(255)
            ),
            "f.toml:5:29: subnet4[0].reservations[0].flex-id: has 255 octets; at most 254 are possible",
        ),
        (
            format!(
                "{SUBNET6}reservations = [{{ flex-id = \"{}\" }}]",
                "61".repeat(129)
            ),
            "f.toml:5:29: subnet6[0].reservations[0].flex-id: has 129 octets; at most 128 are possible",
        ),
    ] {
        let said = said(&format!("interfaces = [\"e\"]\n{lines}\n"));
        let found = said.lines().find(|said| said.starts_with(sentence));
        assert!(found.is_some(), "{lines}: {said}");
    }
}

/// A line that breaks the parser breaks it several times over, which is one thing to mend.
#[test]
fn a_line_that_is_no_toml_is_one_error() {
    let text = "interfaces = [\"e]\nworkers = 2\n";
    let said = said(text);
    let lines: Vec<_> = said.lines().map(|line| &line[..9]).collect();
    assert_eq!(lines, ["f.toml:1:", "f.toml:2:"]);
}

/// An editor that saved a comment as Latin-1 is told so, not that there is no file.
#[test]
fn what_is_no_utf8_has_its_place() {
    let octets = b"interfaces = [\"e\"]\n# caf\xe9\n".to_vec();
    let findings = check_octets(Path::new("f.toml"), octets).unwrap_err();
    assert_eq!(
        findings.to_string(),
        "f.toml:2:6: this is not UTF-8 from here on; save the file as UTF-8"
    );
}
