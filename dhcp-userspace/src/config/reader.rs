//! Walks a parsed TOML document and reports everything it does not like, instead of the first thing.
//!
//! `serde` would stop at the first error; an operator who has mistyped five keys wants five lines. So
//! tables are read key by key, against the list of keys in `keys`.

use super::keys::{Key, TABLES, TOP, TableKeys};
use super::report::{At, Report, Spot};
use std::cmp::Reverse;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table, with the keys that it may have.
#[derive(Clone, Debug)]
pub(super) struct Table<'t> {
    pub(super) spot: Spot,
    keys: &'static TableKeys,
    entries: &'t DeTable<'t>,
}

/// A value that is there.
#[derive(Clone, Debug)]
pub(super) struct Value<'t> {
    pub(super) spot: Spot,
    pub(super) value: &'t DeValue<'t>,
}

impl<'t> Table<'t> {
    /// The document itself.
    pub(super) fn top(document: &'t Spanned<DeTable<'t>>, report: &mut Report) -> Self {
        Self::new(Spot::default(), &TOP, document.get_ref(), report)
    }

    /// A table; keys that it may not have are reported here.
    pub(super) fn new(
        spot: Spot,
        keys: &'static TableKeys,
        entries: &'t DeTable<'t>,
        report: &mut Report,
    ) -> Self {
        let this = Self {
            spot,
            keys,
            entries,
        };
        for name in entries.keys() {
            if !keys.iter().any(|key| key.name == name.get_ref().as_ref()) {
                let spot = this.spot_of(name.get_ref(), name.span().start);
                report.error(&spot, unknown_key(name.get_ref(), keys));
            }
        }
        this
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, name: &'static str) -> Option<Value<'t>> {
        debug_assert!(
            self.keys.iter().any(|key| key.name == name),
            "{name} is documented"
        );
        let value = self.entries.get(name)?;
        Some(Value {
            spot: self.spot_of(name, value.span().start),
            value: value.get_ref(),
        })
    }

    /// Like `get`; if it is not there, an error.
    pub(super) fn require(&self, name: &'static str, report: &mut Report) -> Option<Value<'t>> {
        let found = self.get(name);
        if found.is_none() {
            let example = self
                .keys
                .iter()
                .find(|key| key.name == name)
                .map_or("", |key| key.value);
            report.error(
                &self.spot,
                format!("`{name}` is missing; add it ({example})"),
            );
        }
        found
    }

    /// Reads a value with a function that says what is wrong.
    pub(super) fn read<T>(
        &self,
        name: &'static str,
        report: &mut Report,
        reader: impl FnOnce(&Value<'t>) -> Result<T, String>,
    ) -> Option<At<T>> {
        self.get(name)?.read(report, reader)
    }

    /// The elements of a list; none if the key is not there.
    pub(super) fn list(&self, name: &'static str, report: &mut Report) -> Vec<Value<'t>> {
        self.get(name)
            .map(|value| value.list(report))
            .unwrap_or_default()
    }

    /// The tables of a list of tables.
    pub(super) fn tables(
        &self,
        name: &'static str,
        keys: &'static TableKeys,
        report: &mut Report,
    ) -> Vec<Table<'t>> {
        let values = self.list(name, report);
        values
            .into_iter()
            .filter_map(|value| value.table(keys, report))
            .collect()
    }

    fn spot_of(&self, name: &str, offset: usize) -> Spot {
        let path = match self.spot.path.as_str() {
            "" => name.to_owned(),
            outer => format!("{outer}.{name}"),
        };
        Spot { offset, path }
    }
}

impl<'t> Value<'t> {
    /// Reads it with a function that says what is wrong.
    pub(super) fn read<T>(
        self,
        report: &mut Report,
        reader: impl FnOnce(&Value<'t>) -> Result<T, String>,
    ) -> Option<At<T>> {
        match reader(&self) {
            Ok(value) => Some(At {
                spot: self.spot,
                value,
            }),
            Err(message) => {
                report.error(&self.spot, message);
                None
            }
        }
    }

    /// Its elements; an error if it is no list.
    pub(super) fn list(self, report: &mut Report) -> Vec<Value<'t>> {
        let DeValue::Array(array) = self.value else {
            let way_out = match self.value {
                DeValue::Table(_) => {
                    format!("put it in [ ], or write [[{}]]", self.spot.heading())
                }
                _ => "put it in [ ]".to_owned(),
            };
            report.error(
                &self.spot,
                format!("{}, not a list; {way_out}", self.found()),
            );
            return Vec::new();
        };
        let element = |(index, value): (usize, &'t Spanned<DeValue<'t>>)| {
            let path = format!("{}[{index}]", self.spot.path);
            let offset = value.span().start;
            Value {
                spot: Spot { offset, path },
                value: value.get_ref(),
            }
        };
        array.iter().enumerate().map(element).collect()
    }

    /// It as a table; an error if it is none.
    pub(super) fn table(self, keys: &'static TableKeys, report: &mut Report) -> Option<Table<'t>> {
        let DeValue::Table(entries) = self.value else {
            let names: Vec<_> = keys.iter().take(3).map(|key| key.name).collect();
            let message = format!(
                "{}, not a table; write {{ {} = ... }}",
                self.found(),
                names.first().copied().unwrap_or_default()
            );
            report.error(&self.spot, message);
            return None;
        };
        Some(Table::new(self.spot, keys, entries, report))
    }

    /// What stands there, for error messages: `is the text "abc"`.
    pub(super) fn found(&self) -> String {
        match self.value {
            DeValue::String(text) => format!("is the text {:?}", shortened(text)),
            DeValue::Integer(number) => format!("is the number {}", shortened(number.as_str())),
            DeValue::Float(number) => format!("is the number {}", shortened(number.as_str())),
            DeValue::Boolean(boolean) => format!("is {boolean}"),
            DeValue::Datetime(_) => "is a date".to_owned(),
            DeValue::Array(_) => "is a list".to_owned(),
            DeValue::Table(_) => "is a table".to_owned(),
        }
    }

    /// The text that it is.
    pub(super) fn text(&self) -> Result<&'t str, String> {
        match self.value {
            DeValue::String(text) => Ok(text),
            DeValue::Array(_) => Err(format!("{}, not a text; leave [ ] out", self.found())),
            _ => Err(format!("{}, not a text; put it in quotes", self.found())),
        }
    }

    /// The text that it is, of 1 to `octets_max` octets.
    pub(super) fn text_within(&self, octets_max: usize) -> Result<String, String> {
        match self.text()? {
            "" => Err("is empty; leave the key out instead".to_owned()),
            text if text.len() > octets_max => Err(format!(
                "has {} octets; at most {octets_max} fit",
                text.len()
            )),
            text => Ok(text.to_owned()),
        }
    }

    /// The whole number that it is, of a range.
    pub(super) fn whole(&self, least: u64, most: u64) -> Result<u64, String> {
        let number = match self.value {
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).ok(),
            DeValue::String(text) if text.parse::<i128>().is_ok() => {
                return Err(format!(
                    "{}, not a whole number; leave the quotes out",
                    self.found()
                ));
            }
            _ => {
                return Err(format!(
                    "{}, not a whole number from {least} to {most}",
                    self.found()
                ));
            }
        };
        let number = number.and_then(|number| u64::try_from(number).ok());
        let within = number.filter(|number| (least..=most).contains(number));
        within.ok_or_else(|| format!("{}; it must be {least} to {most}", self.found()))
    }

    /// The same, in 32 bits.
    pub(super) fn whole_u32(&self, least: u32, most: u32) -> Result<u32, String> {
        let number = self.whole(u64::from(least), u64::from(most))?;
        Ok(u32::try_from(number).unwrap_or(most)) // at most `most`, which has 32 bits
    }

    /// The share that it is, in millionths: a number from 0 to 1.
    pub(super) fn millionths(&self) -> Result<u32, String> {
        let written = match self.value {
            DeValue::Float(number) => number.as_str(),
            DeValue::Integer(number) => number.as_str(),
            DeValue::String(_) => {
                return Err(format!(
                    "{}, not a number; leave the quotes out",
                    self.found()
                ));
            }
            _ => return Err(format!("{}, not a number", self.found())),
        };
        let share = written
            .parse()
            .ok()
            .filter(|share| (0.0..=1.0).contains(share));
        let share: f64 = share.ok_or_else(|| format!("{}; it must be 0 to 1", self.found()))?;
        Ok((share * 1e6).round() as u32) // 1,000,000 at most
    }

    /// The boolean that it is.
    pub(super) fn boolean(&self) -> Result<bool, String> {
        match self.value {
            DeValue::Boolean(boolean) => Ok(*boolean),
            DeValue::String(_) => Err(format!(
                "{}; it must be true or false, without quotes",
                self.found()
            )),
            _ => Err(format!("{}; it must be true or false", self.found())),
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, String> {
        let known = || {
            let quoted = |(name, _): &(&str, T)| format!("\"{name}\"");
            let names: Vec<_> = words.iter().map(quoted).collect();
            match names.split_last() {
                Some((last, [])) => last.clone(),
                Some((last, others)) => format!("{} or {last}", others.join(", ")),
                None => String::new(),
            }
        };
        let DeValue::String(text) = self.value else {
            return Err(format!("{}; it must be {}", self.found(), known()));
        };
        let found = words.iter().find(|(name, _)| name == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            format!(
                "\"{}\" is not known; it must be {}",
                shortened(text),
                known()
            )
        })
    }
}

/// A text from the file in an error message: without line breaks, not longer than a line.
fn shortened(text: &str) -> String {
    const LENGTH_MAX: usize = 60;
    let mut short: String = text.chars().take(LENGTH_MAX).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// What to say about a key that nobody reads: perhaps it is mistyped, perhaps it belongs elsewhere.
fn unknown_key(name: &str, keys: &'static TableKeys) -> String {
    if let Some(similar) = similar(name, keys.iter().map(|key| key.name)) {
        return format!("unknown key; did you mean `{similar}`?");
    }
    let elsewhere = |table: &&&TableKeys| table.iter().any(|key: &Key| key.name == name);
    if let Some(table) = TABLES.iter().find(elsewhere) {
        return match table.heading {
            heading if std::ptr::eq(*table, &TOP) || heading == TOP.heading => {
                "unknown key here; it belongs at the top of the file, before the first [table]"
                    .to_owned()
            }
            heading => format!("unknown key here; it belongs in {heading}"),
        };
    }
    let names: Vec<_> = keys.iter().map(|key| key.name).collect();
    format!("unknown key; there are {}", names.join(", "))
}

/// The known name that one was probably meant to be: two letters off at most, and of several that are as
/// near the one that begins most alike.
pub(super) fn similar(
    name: &str,
    known: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    let judged = known.map(|other| {
        let alike = name.chars().zip(other.chars()).take_while(|(a, b)| a == b);
        (distance(name, other), Reverse(alike.count()), other)
    });
    match judged.min()? {
        (0..=2, _, similar) => Some(similar),
        _ => None,
    }
}

/// How many letters must be put in, left out or changed to get from one word to another.
fn distance(a: &str, b: &str) -> usize {
    const LENGTH_MAX: usize = 40;
    if a.len() > LENGTH_MAX {
        return LENGTH_MAX;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (y, pair) in b.chars().zip(row.windows(2)) {
            let (&[diagonal, above], Some(&left)) = (pair, next.last()) else {
                continue;
            };
            next.push(
                (diagonal + usize::from(x != y))
                    .min(above + 1)
                    .min(left + 1),
            );
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
