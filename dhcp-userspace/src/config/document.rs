//! docs/configuration.md is made from the tables of keys and options; this keeps the two together.

use super::keys::TABLES;
use super::notation::Family;
use super::options;
use std::fmt::Write as _;
use std::path::Path;

const INTRODUCTION: &str = "\
# Configuration

`xdhcpd` reads one TOML file, `/etc/xdhcpd/xdhcpd.toml` unless `--config` or `XDHCPD_CONFIG` names another.
Names are Kea's where Kea has one. Unknown keys are errors, and `xdhcpd check` shows every error at once, with
line and column. A reload takes the whole of a new file or nothing of it.

This document is generated from the program (`UPDATE=1 cargo test -p dhcp-userspace document`).

The smallest useful file:

```toml
interfaces = [\"eth1\"]

[[subnet4]]
subnet = \"192.0.2.0/24\"
pools = [\"192.0.2.10-192.0.2.200\"]
option-data = [{ name = \"routers\", data = \"192.0.2.1\" }]
```

Both protocols, direct and behind a relay agent, with what is fixed for one client:

```toml
interfaces = [\"eth1\", { name = \"eth2\", workers-per-queue = 2 }]
durability = \"power\"

[dhcp4]
valid-lifetime = 3600
option-data = [{ name = \"domain-name-servers\", data = \"192.0.2.53, 198.51.100.53\" }]

[dhcp6]
valid-lifetime = 7200
option-data = [{ name = \"dns-servers\", data = \"2001:db8::53\" }]

[[subnet4]]
id = 1
subnet = \"192.0.2.0/24\"
pools = [\"192.0.2.10-192.0.2.200\"]
option-data = [{ name = \"routers\", data = \"192.0.2.1\" }]

[[subnet4.reservations]]
hw-address = \"02:00:5e:00:53:01\"
ip-address = \"192.0.2.5\"
hostname = \"printer\"

[[subnet6]]
id = 1
subnet = \"2001:db8:1::/64\"
pools = [\"2001:db8:1::1000-2001:db8:1::ffff\"]
pd-pools = [{ prefix = \"2001:db8:8000::/36\", delegated-len = 56 }]
interface = \"eth1\"

[[shared-networks]]
name = \"behind the access router\"
relay = { ip-addresses = [\"10.0.0.1\"] }

[[shared-networks.subnet4]]
id = 2
subnet = \"198.51.100.0/24\"
pools = [\"198.51.100.10-198.51.100.250\"]
option-data = [{ name = \"routers\", data = \"198.51.100.1\" }]

[[shared-networks.subnet4]]
id = 3
subnet = \"203.0.113.0/24\"
pools = [\"203.0.113.10-203.0.113.250\"]
option-data = [{ name = \"routers\", data = \"203.0.113.1\" }]
```

How the server finds a client's subnet. DHCPv4: by the relay agent's link selection (option 82) or else its
`giaddr`, which lies in the subnet or is among its `relay`; without relay agent by `interface`, or by an address of
the interface that lies in the subnet. DHCPv6: by `interface-id`, or by the innermost link-address, in the subnet or
among its `relay`; without relay agent by `interface`, or by an address of the interface. Subnets that share a link
belong in one of `[[shared-networks]]`.

All times are whole seconds.

Options have levels, and the innermost that has an option says what is in it, as in Kea: reservation, pool, subnet, shared
network, client classes in the order in which they are evaluated, `[dhcp4]` or `[dhcp6]`. A client gets what it asks for of
that; in DHCPv4 also its mask, routers, name servers and domain name. `always-send` at any level has an option sent
unasked, `never-send` at any level has it sent to nobody. Options whose space another option holds are written beside that
option, at the same level:

```toml
interfaces = [\"eth1\"]

[dhcp4]
option-def = [
  { name = \"acs-url\", space = \"vendor-3561\", code = 11, type = \"string\" },
  { name = \"discovery-control\", space = \"vendor-encapsulated-options-space\", code = 6, type = \"uint8\" },
]
option-data = [
  { name = \"acs-url\", space = \"vendor-3561\", data = \"http://acs.example.net\", always-send = true },
  { name = \"vendor-encapsulated-options\" },
  { name = \"discovery-control\", space = \"vendor-encapsulated-options-space\", data = 8 },
]

[[subnet4]]
subnet = \"192.0.2.0/24\"
pools = [{ pool = \"192.0.2.10-192.0.2.99\", option-data = [{ name = \"tftp-server-address\", data = \"192.0.2.7\" }] }]
option-data = [{ name = \"routers\", data = \"192.0.2.1\" }]
```

When a DHCPv4 reply has not the room for everything (576 octets, or what the client's option 57 says), what the protocol
needs goes first, then the relay agent's option, then what is sent in any case, then what the client asks for, in its
order. `xdhcpd_options_left_out_total` counts what was left out.
";

fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    for table in TABLES {
        let _ = write!(text, "\n## {}\n\n{}\n\n", table.heading, table.meaning);
        text.push_str("| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n");
        for key in table.iter() {
            let (name, value) = (key.name, key.value);
            let _ = writeln!(
                text,
                "| `{name}` | {value} | {} | {} |",
                key.default, key.meaning
            );
        }
    }
    for (family, heading) in [(Family::V4, "DHCPv4"), (Family::V6, "DHCPv6")] {
        let _ = write!(
            text,
            "\n## Options of {heading}\n\n| Code | Name | Data |\n| --- | --- | --- |\n"
        );
        options_table(&mut text, options::catalogue(family));
        for (space, definitions) in options::standard_spaces(family) {
            let _ = write!(text, "\nSpace `{space}` of {heading}");
            if definitions.is_empty() {
                text.push_str(": what `option-def` defines in it.\n");
                continue;
            }
            text.push_str(":\n\n| Code | Name | Data |\n| --- | --- | --- |\n");
            options_table(&mut text, definitions);
        }
    }
    text
}

fn options_table(text: &mut String, definitions: &[options::Definition]) {
    for known in definitions {
        let (code, name, data) = (known.code, &known.name, known.kind.notation());
        let _ = match known.encapsulates.as_ref() {
            "" => writeln!(text, "| {code} | `{name}` | {data} |"),
            space => writeln!(
                text,
                "| {code} | `{name}` | {data}; holds the space `{space}` |"
            ),
        };
    }
}

/// Compares a file of docs/ with what it should be; `UPDATE=1` rewrites it.
pub(crate) fn compare(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "docs/{name} is not what the code says; run UPDATE=1 cargo test -p dhcp-userspace document"
    );
}

#[test]
fn the_document_of_the_configuration_says_what_the_code_does() {
    compare("configuration.md", &document());
}

#[test]
fn the_examples_of_the_document_are_right() {
    let mut examples = 0;
    for part in INTRODUCTION.split("```toml\n").skip(1) {
        let (example, _) = part.split_once("```").unwrap();
        let checked = super::check(Path::new("example.toml"), example).map_err(|it| it.to_string());
        assert_eq!(checked.unwrap().warnings.to_string(), "");
        examples += 1;
    }
    assert_eq!(examples, 3);
}
