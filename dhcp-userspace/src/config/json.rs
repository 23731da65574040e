//! JSON as the tables that the reader walks: what stands in a line of a file of reservations.

use jsonc_parser::ast::{ObjectPropName, Value};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// JSON and nothing else, except that a comma may stand before a closing bracket.
pub(super) const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: true,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// What keeps a text from being a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoTable {
    /// Where.
    pub(super) offset: usize,
    /// What is wrong, and what to do.
    pub(super) message: String,
}

/// An object as a table; its first octet has the offset `base`. Empty texts and lists are left out.
///
/// # Errors
/// Where it is no object, or holds what no table can.
pub(super) fn table(text: &str, base: usize) -> Result<DeTable<'_>, NoTable> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &STRICT);
    let parsed = parsed.map_err(|error| NoTable {
        offset: base + error.range().start,
        message: format!("this is not JSON: {}", error.kind()),
    })?;
    match parsed.value {
        Some(Value::Object(object)) => entries(object.properties, base),
        _ => Err(NoTable {
            offset: base,
            message: "is no JSON object; write one in each line, {\"hw-address\": ...}".to_owned(),
        }),
    }
}

fn entries<'t>(
    properties: Vec<jsonc_parser::ast::ObjectProp<'t>>,
    base: usize,
) -> Result<DeTable<'t>, NoTable> {
    let mut table = DeTable::new();
    for property in properties {
        let (start, end) = (base + property.range.start, base + property.range.end);
        let name = match property.name {
            ObjectPropName::String(name) => name.value,
            ObjectPropName::Word(name) => Cow::Borrowed(name.value),
        };
        let is_empty = match &property.value {
            Value::StringLit(text) => text.value.is_empty(),
            Value::Array(array) => array.elements.is_empty(),
            Value::NumberLit(_)
            | Value::BooleanLit(_)
            | Value::Object(_)
            | Value::NullKeyword(_) => false,
        };
        let value = value(property.value, base)?;
        let twice = table.contains_key(name.as_ref());
        if twice {
            return Err(NoTable {
                offset: start,
                message: format!("{name:?} stands in this line twice; keep one of the two"),
            });
        }
        if !is_empty {
            table.insert(Spanned::new(start..end, name), value);
        }
    }
    Ok(table)
}

fn value(value: Value<'_>, base: usize) -> Result<Spanned<DeValue<'_>>, NoTable> {
    use jsonc_parser::common::Ranged as _;
    let range = value.range();
    let (start, end) = (base + range.start, base + range.end);
    let wrong = |message: &str| NoTable {
        offset: start,
        message: message.to_owned(),
    };
    let value = match value {
        Value::StringLit(text) => DeValue::String(text.value),
        Value::BooleanLit(boolean) => DeValue::Boolean(boolean.value),
        // Whole numbers are written alike in both; what is none is wrong for every key.
        Value::NumberLit(number) => DeValue::parse(number.value)
            .map(Spanned::into_inner)
            .map_err(|_| wrong("is no whole number"))?,
        Value::NullKeyword(_) => return Err(wrong("is null; leave the key out instead")),
        Value::Object(object) => DeValue::Table(entries(object.properties, base)?),
        Value::Array(array) => {
            let elements = array.elements.into_iter();
            let elements: Result<Vec<_>, _> = elements.map(|it| self::value(it, base)).collect();
            let mut array = DeArray::new();
            elements?.into_iter().for_each(|it| array.push(it));
            DeValue::Array(array)
        }
    };
    Ok(Spanned::new(start..end, value))
}
