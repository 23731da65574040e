//! One option of `option-data`, as written. What it means depends on `option-def`, so it is judged in
//! `checked`.

use crate::config::keys;
use crate::config::notation::Family;
use crate::config::options::{family_of, top_space};
use crate::config::reader::{Table, Value};
use crate::config::report::{At, Report, Spot};
use dhcp_core::options::Sending;
use toml::de::DeValue;

/// One option with its protocol.
#[derive(Clone, Debug)]
pub(in crate::config) struct OptionData {
    pub(in crate::config) spot: Spot,
    pub(in crate::config) family: Family,
    /// The space that it is in, `dhcp4` or `dhcp6` unless another is written.
    pub(in crate::config) space: At<String>,
    /// Its name, its code, or both.
    pub(in crate::config) key: Key,
    /// Missing when it is not there.
    pub(in crate::config) data: Option<At<Vec<String>>>,
    pub(in crate::config) csv_format: bool,
    pub(in crate::config) sending: Sending,
}

/// By what an option is named.
#[derive(Clone, Debug)]
pub(in crate::config) struct Key {
    pub(in crate::config) name: Option<At<String>>,
    pub(in crate::config) code: Option<At<u16>>,
}

impl OptionData {
    /// Those of a table that may have options of these protocols.
    pub(in crate::config) fn list(
        table: &Table<'_>,
        families: &[Family],
        report: &mut Report,
    ) -> Vec<Self> {
        let tables = table.tables("option-data", &keys::OPTION_DATA, report);
        tables
            .iter()
            .filter_map(|table| Self::read(table, families, report))
            .collect()
    }

    fn read(table: &Table<'_>, families: &[Family], report: &mut Report) -> Option<Self> {
        let space = table
            .get("space")
            .map(|value| value.read(report, |value| value.text_within(64)));
        let csv_format = table.read("csv-format", report, Value::boolean);
        let always_send = table.read("always-send", report, Value::boolean);
        let never_send = table.read("never-send", report, Value::boolean);
        let name = table.get("name");
        let code = table.get("code");
        if name.is_none() && code.is_none() {
            report.error(&table.spot, "names no option; add `name` or `code`");
            return None;
        }
        // A name or code that is wrong is not as if it were not there.
        let name = match name {
            Some(value) => Some(value.read(report, |value| value.text().map(str::to_owned))?),
            None => None,
        };
        let code = match code {
            Some(value) => Some(value.read(report, |value| {
                Ok(value.whole(0, 65_535)? as u16) // 16 bits
            })?),
            None => None,
        };
        let data = match table.get("data") {
            Some(value) => Some(value.read(report, data_fields)?),
            None => None,
        };
        let (space, family) = match space {
            Some(space) => {
                let space = space?;
                let family = Self::family(&space, families, report)?;
                (space, family)
            }
            None => {
                let [family] = families else {
                    report.error(&table.spot, EITHER);
                    return None;
                };
                let value = top_space(*family).to_owned();
                let spot = table.spot.clone();
                (At { spot, value }, *family)
            }
        };
        let is_set = |written: &Option<At<bool>>| written.as_ref().is_some_and(|it| it.value);
        let sending = match (is_set(&never_send), is_set(&always_send)) {
            (true, _) => Sending::Never,
            (false, true) => Sending::Always,
            (false, false) => Sending::Asked,
        };
        Some(Self {
            spot: table.spot.clone(),
            family,
            space,
            key: Key { name, code },
            data,
            csv_format: csv_format.is_none_or(|it| it.value),
            sending,
        })
    }

    fn family(space: &At<String>, families: &[Family], report: &mut Report) -> Option<Family> {
        match (family_of(&space.value), families) {
            (Some(family), families) if families.contains(&family) => Some(family),
            (Some(_), _) => {
                let message = "is the other protocol than that of this place; leave `space` out";
                report.error(&space.spot, message);
                None
            }
            (None, [only]) => Some(*only),
            (None, _) => {
                let message = "may be of either protocol here; write the option in its subnets";
                report.error(&space.spot, message);
                None
            }
        }
    }
}

const EITHER: &str =
    "may belong to either protocol here; add space = \"dhcp4\" or space = \"dhcp6\"";

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
