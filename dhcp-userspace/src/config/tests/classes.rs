//! Client classes: what becomes of them, and what is said about those that make no sense.

use super::{policy, said};
use dhcp_core::class::{ClassId, Guard, Test, When};

const SUBNET: &str = "[[subnet4]]\nid = 1\nsubnet = \"192.0.2.0/24\"\noption-data = [{name=\"routers\",data=\"192.0.2.1\"}]\n";

/// A file with these DHCPv4 classes, each a line of keys, and a subnet with a line of its own.
fn file(classes: &[&str], of_subnet: &str) -> String {
    let class = |keys: &&str| format!("[[dhcp4.client-classes]]\n{}\n", keys.replace("; ", "\n"));
    let classes: String = classes.iter().map(class).collect();
    format!("interfaces = [\"e\"]\n{classes}{SUBNET}{of_subnet}\n")
}

#[test]
fn classes_are_numbered_once_and_guard_what_names_them() {
    let text = file(
        &[
            "name = \"a\"; test = \"member('VENDOR_CLASS_x') or option[host-name].exists\"",
            "name = \"late\"; test = \"known and member('a')\"",
            "name = \"line\"; template-test = \"relay4[1].hex\"",
            "name = \"extra\"; test = \"member('SPAWN_line_7')\"; only-if-required = true",
        ],
        "client-class = \"a\"
        pools = [{ pool = \"192.0.2.10-192.0.2.20\", client-classes = [\"late\", \"SPAWN_line_7\"],
        require-client-classes = [\"extra\", \"line\"] }]",
    );
    let policy = policy(&text);
    let classes = &policy.classes_v4;
    let id = |name: &str| classes.find(name).unwrap();
    let when = |name: &str| classes.get(id(name)).unwrap().when;
    assert_eq!(id("KNOWN"), ClassId::KNOWN);
    assert_eq!((when("a"), when("late")), (When::Early, When::Late));
    assert_eq!(
        (when("line"), when("extra")),
        (When::Early, When::Additional)
    );
    let subnet = &policy.networks_v4[0].subnets[0];
    assert_eq!(subnet.access.guard, Guard::any_of([id("a")]));
    let access = &policy.pool_access[0];
    assert_eq!(
        access.guard,
        Guard::any_of([id("late"), id("SPAWN_line_7")])
    );
    // A template that is asked for brings its spawned classes, before itself.
    assert_eq!(
        *access.additional,
        [id("extra"), id("SPAWN_line_7"), id("line")]
    );
    let Test::Template { spawned, .. } = &classes.get(id("line")).unwrap().test else {
        panic!("a template");
    };
    assert_eq!(spawned.get(&b"7"[..]), Some(&id("SPAWN_line_7")));
    assert!(policy.classes_v6.is_empty());
}

#[test]
fn lifetimes_and_header_fields_are_those_of_the_class() {
    let text = file(
        &[
            "name = \"a\"; valid-lifetime = 600; max-valid-lifetime = 900; next-server = \"192.0.2.9\"; server-hostname = \"h\"",
        ],
        "pools = [\"192.0.2.10-192.0.2.20\"]\nreservations = [{ hw-address = \"02:00:00:00:00:01\", client-classes = [\"a\"] }]",
    );
    let policy = policy(&text);
    let class = policy
        .classes_v4
        .get(policy.classes_v4.find("a").unwrap())
        .unwrap();
    assert_eq!(class.valid, Some([600, 600, 900]));
    assert_eq!(class.boot.next_server, Some([192, 0, 2, 9].into()));
    assert_eq!(class.boot.server_hostname.as_deref(), Some(&b"h"[..]));
    assert_eq!(class.boot.boot_file_name, None);
}

#[test]
fn without_classes_nobody_is_asked_for_any() {
    let policy = policy(&file(&[], "pools = [\"192.0.2.10-192.0.2.20\"]"));
    assert!(policy.classes_v4.is_empty() && policy.pool_access.is_empty());
}

#[test]
fn mistakes_in_classes_have_their_sentences() {
    let pool = "pools = [\"192.0.2.10-192.0.2.20\"]";
    let guarded = "client-classes = [\"b\"]\npools = [\"192.0.2.10-192.0.2.20\"]";
    let cases: [(&[&str], &str, &str); 17] = [
        (
            &["name = \"a\"; test = \"option[61].hex = 'x'\""],
            pool,
            "4:8: dhcp4.client-classes[0].test: at character 16 of the expression: this cannot stand here: compare with ==",
        ),
        (
            &["name = \"a\"; test = \"pkt6.msgtype == 1\""],
            pool,
            "`pkt6` belongs to DHCPv6, and this is for DHCPv4; leave it out",
        ),
        (
            &[
                "name = \"a\"; test = \"member('b')\"",
                "name = \"b\"; test = \"known\"",
            ],
            pool,
            "\"b\" is defined below, and classes are looked at in their order; move it above this one",
        ),
        (
            &["name = \"a\"; test = \"member('a')\""],
            pool,
            "\"a\" is defined below",
        ),
        (
            &["name = \"a\"; test = \"member('nobody')\""],
            pool,
            "there is no class \"nobody\"; define it as one of [[dhcp4.client-classes]]",
        ),
        (
            &["name = \"a\"; test = \"member('HA_server1')\""],
            pool,
            "\"HA_server1\" is a class of Kea's hook libraries, which nobody here is ever in; leave it out",
        ),
        (
            &["name = \"a\"; test = \"member('SPAWN_x_y')\""],
            pool,
            "belongs to no template; define a class with `template-test`",
        ),
        (
            &[
                "name = \"b\"; test = \"known\"; only-in-additional-list = true",
                "name = \"a\"; test = \"member('b')\"",
            ],
            pool,
            "leave its `only-in-additional-list` out",
        ),
        (
            &["name = \"b\"; test = \"known\"; only-in-additional-list = true"],
            guarded,
            "subnet4[0].client-classes[0]: b is looked at only when a lease has been chosen already",
        ),
        (
            &["name = \"b\"; test = \"known\""],
            guarded,
            "warning: b depends on the client's reservation, which is looked for when a subnet has been chosen",
        ),
        (
            &[],
            guarded,
            "6:19: subnet4[0].client-classes[0]: there is no class \"b\"",
        ),
        (
            &["name = \"a\"; test = \"known\"; template-test = \"pkt4.mac\""],
            pool,
            "dhcp4.client-classes[0].template-test: is a second test besides `test`; keep one of the two",
        ),
        (
            &["name = \"KNOWN\"; test = \"option[60].exists\""],
            pool,
            "\"KNOWN\" is built in, and who is in it is not for a test to say",
        ),
        (
            &["name = \"a\"", "name = \"a\""],
            pool,
            "dhcp4.client-classes[1].name: is the name of dhcp4.client-classes[0].name (line 3) too; give it another",
        ),
        (
            &["name = \"a\"; min-valid-lifetime = 700; valid-lifetime = 600"],
            pool,
            "dhcp4.client-classes[0].min-valid-lifetime: 700 is above the lifetime, 600; lower it",
        ),
        (
            &["name = \"a\"; only-if-required = true; only-in-additional-list = true"],
            pool,
            "is the former name of `only-in-additional-list`, which is there too; leave it out",
        ),
        (
            &["name = \"a\"; preferred-lifetime = 5"],
            pool,
            "dhcp4.client-classes[0].preferred-lifetime: unknown key",
        ),
    ];
    for (classes, of_subnet, expected) in cases {
        let said = said(&file(classes, of_subnet));
        assert!(said.contains(expected), "{classes:?}, {of_subnet}: {said}");
        assert_eq!(
            said.lines().filter(|line| line.contains(':')).count(),
            1,
            "{said}"
        );
    }
}

#[test]
fn there_are_only_so_many_classes() {
    let names: Vec<_> = (0..252)
        .map(|number| format!("name = \"c{number}\""))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let pool = "pools = [\"192.0.2.10-192.0.2.20\"]";
    assert_eq!(said(&file(&names[..251], pool)), "");
    let said = said(&file(&names, pool));
    assert!(said.contains("a protocol may have 256 classes"), "{said}");
}

/// Limits stand where Kea's hook library has them, and what a line is is inherited.
#[test]
fn limits_of_leases_stand_at_every_level() {
    let policy = policy(
        r#"
interfaces = ["e"]
[dhcp4]
line-address-limit = 4
line-key = "remote-id"
[[dhcp4.client-classes]]
name = "gold"
address-limit = 0
[[subnet4]]
id = 1
subnet = "10.0.0.0/24"
address-limit = 100
[[shared-networks]]
name = "n"
line-key = "interface-id"
line-address-limit = 2
[[shared-networks.subnet4]]
id = 2
subnet = "10.1.0.0/24"
line-address-limit = 3
[[shared-networks.subnet6]]
id = 1
subnet = "2001:db8::/64"
line-prefix-limit = 1
prefix-limit = 50
"#,
    );
    use dhcp_core::limits::{LeaseLimits, LineKey, SubnetLimits};
    let limit = |addresses, prefixes| LeaseLimits {
        addresses,
        prefixes,
    };
    let limits: Vec<_> = policy
        .networks_v4
        .iter()
        .flat_map(|network| &network.subnets)
        .map(|subnet| subnet.limits)
        .collect();
    let expected = [
        SubnetLimits {
            own: limit(Some(100), None),
            line: limit(Some(4), None),
            line_key: LineKey::Remote,
        },
        SubnetLimits {
            own: limit(None, None),
            line: limit(Some(3), None),
            line_key: LineKey::Port,
        },
    ];
    assert_eq!(limits, expected);
    let v6 = &policy.networks_v6[0].subnets[0].limits;
    assert_eq!(v6.own, limit(None, Some(50)));
    assert_eq!(v6.line, limit(Some(2), Some(1)));
    let gold = policy.classes_v4.find("gold").unwrap();
    let gold = policy.classes_v4.get(gold).unwrap();
    assert_eq!(gold.limits, limit(Some(0), None));
    assert!(policy.has_lease_limits());
}
