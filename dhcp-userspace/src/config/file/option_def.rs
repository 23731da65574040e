//! An option of the operator's own, as written.

use crate::config::keys;
use crate::config::notation::Family;
use crate::config::options::top_space;
use crate::config::reader::{Table, Value};
use crate::config::report::{At, Report, Spot};

/// One of `option-def`.
#[derive(Clone, Debug)]
pub(in crate::config) struct OptionDef {
    pub(in crate::config) spot: Spot,
    pub(in crate::config) name: Option<At<String>>,
    pub(in crate::config) code: Option<At<u32>>,
    pub(in crate::config) kind: Option<At<String>>,
    pub(in crate::config) array: Option<At<bool>>,
    pub(in crate::config) record_types: Option<At<String>>,
    pub(in crate::config) encapsulate: Option<At<String>>,
    space: Option<At<String>>,
}

impl OptionDef {
    /// Those of a table.
    pub(in crate::config) fn list(table: &Table<'_>, report: &mut Report) -> Vec<Self> {
        let tables = table.tables("option-def", &keys::OPTION_DEF, report);
        tables.iter().map(|it| Self::read(it, report)).collect()
    }

    fn read(table: &Table<'_>, report: &mut Report) -> Self {
        let name = table.require("name", report);
        let code = table.require("code", report);
        let kind = table.require("type", report);
        // An empty space or list is as good as none, and tools that write files for Kea write it.
        let unless_empty = |it: At<String>| Some(it).filter(|it: &At<String>| !it.value.is_empty());
        let text = |value: &Value<'_>| value.text().map(str::to_owned);
        Self {
            spot: table.spot.clone(),
            name: name.and_then(|it| it.read(report, word)),
            code: code.and_then(|it| it.read(report, |value| value.whole_u32(0, 65_535))),
            kind: kind.and_then(|it| it.read(report, text)),
            array: table.read("array", report, Value::boolean),
            record_types: table
                .read("record-types", report, text)
                .and_then(unless_empty),
            encapsulate: table
                .read("encapsulate", report, word_or_empty)
                .and_then(unless_empty),
            space: table.read("space", report, word),
        }
    }

    /// The space that the option is in.
    pub(in crate::config) fn space(&self, family: Family) -> &str {
        let own = self.space.as_ref().map(|it| it.value.as_str());
        own.unwrap_or(top_space(family))
    }
}

/// A name of an option or of a space.
fn word(value: &Value<'_>) -> Result<String, String> {
    let text = value.text_within(64)?;
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match text.chars().all(legal) {
        true => Ok(text),
        false => Err(format!(
            "{}; a name has letters, digits, hyphens and underscores",
            value.found()
        )),
    }
}

fn word_or_empty(value: &Value<'_>) -> Result<String, String> {
    match value.text()? {
        "" => Ok(String::new()),
        _ => word(value),
    }
}
