//! Client classes as written, and where they are named.

use super::values::ipv4;
use super::{Limit, OptionData, OptionDef, Parameters};
use crate::config::keys;
use crate::config::notation::Family;
use crate::config::reader::{Table, Value};
use crate::config::report::{At, Report};

/// A class.
#[derive(Debug)]
pub(in crate::config) struct ClientClass {
    /// Missing when it was wrong.
    pub(in crate::config) name: Option<At<String>>,
    pub(in crate::config) test: Option<At<String>>,
    pub(in crate::config) template_test: Option<At<String>>,
    pub(in crate::config) only_in_additional_list: Option<At<bool>>,
    pub(in crate::config) server_hostname: Option<At<String>>,
    pub(in crate::config) limit: Limit,
    /// Options that it defines for itself (DHCPv4).
    pub(in crate::config) option_defs: Vec<OptionDef>,
    /// Lifetimes, what a booting client fetches, and options.
    pub(in crate::config) parameters: Parameters,
}

/// Which clients may use something, and which classes are looked at for them.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct ClassNames {
    /// `client-classes`, or the one `client-class`.
    pub(in crate::config) permitted: Vec<At<String>>,
    /// `evaluate-additional-classes`, or `require-client-classes`.
    pub(in crate::config) additional: Vec<At<String>>,
}

/// Longest name of a class, in octets.
const NAME_OCTETS_MAX: usize = 255;

/// Longest expression, in octets.
const TEST_OCTETS_MAX: usize = 16_384;

impl ClientClass {
    pub(super) fn list(
        table: Option<&Table<'_>>,
        family: Family,
        report: &mut Report,
    ) -> Vec<Self> {
        let keys = match family {
            Family::V4 => &keys::CLIENT_CLASS4,
            Family::V6 => &keys::CLIENT_CLASS6,
        };
        let Some(table) = table else {
            return Vec::new();
        };
        let tables = table.tables("client-classes", keys, report);
        tables
            .iter()
            .map(|table| Self::read(table, family, report))
            .collect()
    }

    fn read(table: &Table<'_>, family: Family, report: &mut Report) -> Self {
        let lifetime = |value: &Value<'_>| value.whole_u32(1, u32::MAX);
        let expression = |value: &Value<'_>| value.text_within(TEST_OCTETS_MAX);
        let name = table.require("name", report);
        let mut parameters = Parameters {
            valid_lifetime: table.read("valid-lifetime", report, lifetime),
            options: OptionData::list(table, &[family], report),
            ..Parameters::default()
        };
        let mut server_hostname = None;
        match family {
            Family::V4 => {
                parameters.min_valid_lifetime = table.read("min-valid-lifetime", report, lifetime);
                parameters.max_valid_lifetime = table.read("max-valid-lifetime", report, lifetime);
                parameters.next_server = table.read("next-server", report, ipv4);
                parameters.boot_file_name =
                    table.read("boot-file-name", report, |value| value.text_within(127));
                server_hostname =
                    table.read("server-hostname", report, |value| value.text_within(63));
            }
            Family::V6 => {
                parameters.preferred_lifetime = table.read("preferred-lifetime", report, lifetime);
            }
        }
        let names = ["only-in-additional-list", "only-if-required"];
        let additional = one_of(table, names, report);
        Self {
            name: name.and_then(|it| it.read(report, |value| value.text_within(NAME_OCTETS_MAX))),
            test: table.read("test", report, expression),
            template_test: table.read("template-test", report, expression),
            only_in_additional_list: additional.and_then(|it| it.read(report, Value::boolean)),
            server_hostname,
            limit: Limit::read(table, family, report),
            option_defs: match family {
                Family::V4 => OptionDef::list(table, report),
                Family::V6 => Vec::new(),
            },
            parameters,
        }
    }
}

impl ClassNames {
    pub(super) fn read(table: &Table<'_>, report: &mut Report) -> Self {
        let mut permitted = Vec::new();
        if let Some(value) = one_of(table, ["client-classes", "client-class"], report) {
            match value.spot.path.ends_with("client-class") {
                true => permitted.extend(value.read(report, name)),
                false => permitted = names(value, report),
            }
        }
        let additional = ["evaluate-additional-classes", "require-client-classes"];
        let additional = one_of(table, additional, report);
        Self {
            permitted,
            additional: additional
                .map(|value| names(value, report))
                .unwrap_or_default(),
        }
    }
}

/// The names of a list.
pub(super) fn names(value: Value<'_>, report: &mut Report) -> Vec<At<String>> {
    let elements = value.list(report).into_iter();
    elements
        .filter_map(|element| element.read(report, name))
        .collect()
}

fn name(value: &Value<'_>) -> Result<String, String> {
    value.text_within(NAME_OCTETS_MAX)
}

/// A key that Kea 3 calls otherwise than Kea 2: either of the two, but not both.
fn one_of<'t>(
    table: &Table<'t>,
    names: [&'static str; 2],
    report: &mut Report,
) -> Option<Value<'t>> {
    let [new, old] = names;
    match (table.get(new), table.get(old)) {
        (Some(_), Some(second)) => {
            let message =
                format!("is the former name of `{new}`, which is there too; leave it out");
            report.error(&second.spot, message);
            None
        }
        (first, second) => first.or(second),
    }
}
