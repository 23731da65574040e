//! One option of `option-data`: its code, from name or number, and its data as octets.

use crate::config::keys;
use crate::config::notation::Family;
use crate::config::options::{self, Definition};
use crate::config::reader::{self, Table, Value};
use crate::config::report::{At, Report, Spot};
use dhcp_core::options::{ConfiguredOption, Sending};
use toml::de::DeValue;

/// One option with its protocol.
#[derive(Clone, Debug)]
pub(in crate::config) struct OptionData {
    pub(in crate::config) spot: Spot,
    pub(in crate::config) family: Family,
    pub(in crate::config) option: ConfiguredOption,
}

impl OptionData {
    pub(super) fn list(table: &Table<'_>, families: &[Family], report: &mut Report) -> Vec<Self> {
        let mut options: Vec<Self> = Vec::new();
        for table in table.tables("option-data", &keys::OPTION_DATA, report) {
            let Some(read) = Self::read(&table, families, report) else {
                continue;
            };
            let same = |known: &&Self| {
                known.family == read.family && known.option.code == read.option.code
            };
            if let Some(twice) = options.iter().find(same) {
                let place = report.name(&twice.spot);
                let code = read.option.code;
                report.error(
                    &read.spot,
                    format!("option {code} stands in {place} too; keep one"),
                );
                continue;
            }
            options.push(read);
        }
        options
    }

    fn read(table: &Table<'_>, families: &[Family], report: &mut Report) -> Option<Self> {
        let family = Self::family(table, families, report)?;
        let csv_format = table.read("csv-format", report, Value::boolean);
        let always_send = table.read("always-send", report, Value::boolean);
        let (code, known) = Self::code(table, family, report)?;
        let csv_format = csv_format.is_none_or(|it| it.value);
        let data = table.require("data", report)?;
        let data = data.read(report, |value| {
            let fields = data_fields(value)?;
            match known {
                _ if !csv_format => options::encode(options::Kind::Binary, &fields),
                Some(known) => options::encode(known.kind, &fields),
                None => Err(format!(
                    "option {code} is not among the known ones; write its octets in hexadecimal \
                     and csv-format = false"
                )),
            }
        })?;
        let option = ConfiguredOption {
            code,
            data: data.value.into_boxed_slice(),
            sending: match always_send {
                Some(At { value: true, .. }) => Sending::Always,
                _ => Sending::Asked,
            },
        };
        if let Some(message) = too_long(family, option.data.len()) {
            report.error(&data.spot, message);
            return None;
        }
        Some(Self {
            spot: table.spot.clone(),
            family,
            option,
        })
    }

    fn family(table: &Table<'_>, families: &[Family], report: &mut Report) -> Option<Family> {
        let space = table.get("space");
        let Some(space) = space else {
            if let [only] = families {
                return Some(*only);
            }
            report.error(
                &table.spot,
                "may belong to either protocol here; add space = \"dhcp4\" or space = \"dhcp6\"",
            );
            return None;
        };
        let space = space.read(report, |value| {
            value.word(&[("dhcp4", Family::V4), ("dhcp6", Family::V6)])
        })?;
        if !families.contains(&space.value) {
            let message = "is the other protocol than that of this place; leave `space` out";
            report.error(&space.spot, message);
            return None;
        }
        Some(space.value)
    }

    fn code(
        table: &Table<'_>,
        family: Family,
        report: &mut Report,
    ) -> Option<(u16, Option<&'static Definition>)> {
        let catalogue = options::catalogue(family);
        let (wrong_name, wrong_code) = (table.get("name"), table.get("code"));
        let code_max = if family == Family::V4 { 254 } else { 65535 };
        let name = wrong_name.clone().and_then(|value| {
            value.read(report, |value| {
                let name = value.text()?;
                let found = catalogue.iter().find(|known| known.name == name);
                found.ok_or_else(|| unknown_option(family, name))
            })
        });
        let code = wrong_code.clone().and_then(|value| {
            value.read(report, |value| {
                let code = value.whole(1, code_max)? as u16; // `code_max` has 16 bits
                match options::refusal(family, code) {
                    Some(why) => Err(format!("option {code} {why}")),
                    None => Ok(code),
                }
            })
        });
        match (name, code) {
            (Some(name), Some(code)) if name.value.code != code.value => {
                let (name, right) = (name.value.name, name.value.code);
                report.error(
                    &code.spot,
                    format!("`{name}` has code {right}; leave `code` out"),
                );
                None
            }
            (Some(name), _) => Some((name.value.code, Some(name.value))),
            (None, Some(code)) if wrong_name.is_none() => {
                let known = catalogue.iter().find(|known| known.code == code.value);
                Some((code.value, known))
            }
            (None, _) => {
                if wrong_name.is_none() && wrong_code.is_none() {
                    report.error(&table.spot, "names no option; add `name` or `code`");
                }
                None
            }
        }
    }
}

/// The data of an option as the texts in it.
fn data_fields(value: &Value<'_>) -> Result<Vec<String>, String> {
    let one = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Boolean(boolean) => Ok(boolean.to_string()),
        _ => Err("must be a text, a number, true, false, or a list of them".to_owned()),
    };
    match value.value {
        DeValue::Array(array) => array.iter().map(|element| one(element.get_ref())).collect(),
        value => Ok(vec![one(value)?]),
    }
}

fn unknown_option(family: Family, name: &str) -> String {
    let refused = match (family, name) {
        (Family::V4, "dhcp-lease-time") => Some(51),
        (Family::V4, "dhcp-server-identifier") => Some(54),
        (Family::V4, "dhcp-renewal-time") => Some(58),
        (Family::V4, "dhcp-rebinding-time") => Some(59),
        (Family::V4, "rapid-commit") => Some(80),
        (Family::V6, "preference") => Some(7),
        (Family::V6, "rapid-commit") => Some(14),
        _ => None,
    };
    if let Some(why) = refused.and_then(|code| options::refusal(family, code)) {
        return format!("`{name}` {why}");
    }
    let (other, other_name) = match family {
        Family::V4 => (Family::V6, "DHCPv6"),
        Family::V6 => (Family::V4, "DHCPv4"),
    };
    let names = |family| options::catalogue(family).iter().map(|known| known.name);
    let meant = match (family, name) {
        // The two protocols have a name each for the commonest option of all.
        (Family::V4, "dns-servers") => Some("domain-name-servers"),
        (Family::V6, "domain-name-servers") => Some("dns-servers"),
        _ => reader::similar(name, names(family)),
    };
    if let Some(meant) = meant {
        return format!("{name:?} is no known option; did you mean `{meant}`?");
    }
    if names(other).any(|known| known == name) {
        return format!("{name:?} is an option of {other_name} only");
    }
    format!(
        "{name:?} is no known option; use a name of docs/configuration.md, or `code` with \
         csv-format = false"
    )
}

/// Bounds on one option: it must fit a packet together with the rest.
fn too_long(family: Family, len: usize) -> Option<String> {
    let most = match family {
        // RFC 2132: one octet of length.
        Family::V4 => 255,
        Family::V6 => 1024,
    };
    (len > most).then(|| format!("has {len} octets; at most {most} fit"))
}
