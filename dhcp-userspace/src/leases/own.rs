//! How do we write leases for other programs, and read them again? CSV and JSON of our own, without loss.

use super::rows::{Header, Lines, Row, Spot, Wrong};
use super::source::Item;
use super::{ContextView, LeaseView};
use serde::Deserialize;
use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use std::fmt;
use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;

const COLUMNS: &[&str] = &[
    "address",
    "kind",
    "state",
    "subnet-id",
    "client",
    "hw-address",
    "hw-type",
    "iaid",
    "valid-lifetime",
    "preferred-lifetime",
    "last-transaction",
    "expires",
    "hostname",
    "giaddr",
    "relay-source",
    "circuit-id",
    "remote-id",
    "relay-path",
    "context",
];
/// Without the rest, which tells people what the last column holds.
const NEEDED: usize = 12;
const CONTEXT: usize = 18;

/// The first line of a CSV file.
pub(super) fn write_csv_header(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", COLUMNS.join(","))
}

/// A lease as a row.
pub(super) fn write_csv(lease: &LeaseView, out: &mut impl Write) -> io::Result<()> {
    let expires = lease.expires.map(|at| at.to_string()).unwrap_or_default();
    let context = &lease.context;
    let way = match context.relay_path.is_empty() {
        true => String::new(),
        false => cell(&context.way()),
    };
    // No value up to `expires` can hold a comma or a quote: they are numbers, words and hexadecimal.
    writeln!(
        out,
        "{},{},{},{},{},{},{},{},{},{},{},{expires},{},{},{},{},{},{way},{}",
        lease.address,
        lease.kind,
        lease.state,
        lease.subnet_id,
        lease.client,
        lease.hw_address,
        lease.hw_type,
        lease.iaid,
        lease.valid_lifetime,
        lease.preferred_lifetime,
        lease.last_transaction,
        cell(&context.hostname),
        context.giaddr,
        context.relay_source,
        cell(&context.circuit_id),
        cell(&context.remote_id),
        context.octets,
    )
}

/// A value that may hold anything printable (RFC 4180 section 2). It is no formula to a spreadsheet: it
/// begins with a letter, a digit, a colon or an apostrophe, or has no sign that a formula needs.
fn cell(value: &str) -> String {
    match value.contains([',', '"']) {
        true => format!("\"{}\"", value.replace('"', "\"\"")),
        false => value.to_owned(),
    }
}

/// Whether a file that begins so is one of our CSV files.
pub(super) fn is_header(line: &[u8]) -> bool {
    line.starts_with(b"address,kind,")
}

type Each<'e> = &'e mut dyn FnMut(Spot, Result<Item, String>) -> ControlFlow<()>;

/// Reads what [`write_csv`] wrote, columns in any order.
///
/// # Errors
/// Those of the system. What is wrong with the file goes to `each`.
pub(super) fn read_csv<R: BufRead>(input: R, each: Each<'_>) -> io::Result<()> {
    let mut lines = Lines::new(input);
    let Some((line, first)) = lines.next()? else {
        return Ok(());
    };
    let header = first.map(|first| Header::new(first, COLUMNS));
    let header = match header {
        Ok(header) if header.missing(NEEDED).is_none() => header,
        Ok(header) => {
            let name = header.missing(NEEDED).unwrap_or_default();
            let reason = format!("the first line has no column \"{name}\"");
            let _ = each(Spot { line, column: 1 }, Err(reason));
            return Ok(());
        }
        Err(wrong) => {
            let _ = each(Spot { line, column: 1 }, Err(wrong.reason));
            return Ok(());
        }
    };
    while let Some((line, octets)) = lines.next()? {
        let item = octets
            .and_then(|octets| Row::quoted(octets, &header))
            .and_then(|row| csv_row(&row));
        let column = item.as_ref().err().map_or(1, |wrong| wrong.column);
        let item = item.map_err(|wrong| wrong.reason);
        if each(Spot { line, column }, item).is_break() {
            return Ok(());
        }
    }
    Ok(())
}

fn csv_row(row: &Row<'_, '_>) -> Result<Item, Wrong> {
    let text = |place| row.cell(place).text().map(str::to_owned);
    let expires = row.cell(11);
    let view = LeaseView {
        address: text(0)?,
        kind: text(1)?,
        state: text(2)?,
        subnet_id: row.cell(3).parse("a number")?,
        client: text(4)?,
        hw_address: text(5)?,
        hw_type: row.cell(6).parse("a number from 0 to 255")?,
        iaid: row.cell(7).parse("a number")?,
        valid_lifetime: row.cell(8).parse("a number of seconds")?,
        preferred_lifetime: row.cell(9).parse("a number of seconds")?,
        last_transaction: row.cell(10).parse("a time in seconds since 1970")?,
        expires: match expires.is_empty() {
            true => None,
            false => Some(expires.parse("a time in seconds since 1970")?),
        },
        context: ContextView {
            octets: text(CONTEXT)?,
            ..ContextView::default()
        },
    };
    let binding = view
        .binding()
        .map_err(|reason| Wrong { column: 1, reason })?;
    Ok(Item::Lease(Box::new(binding)))
}

/// Reads an array of leases, one after the other.
///
/// # Errors
/// Those of the system. What is wrong with the file goes to `each`.
pub(super) fn read_json<R: BufRead>(input: R, each: Each<'_>) -> io::Result<()> {
    let mut deserializer = serde_json::Deserializer::from_reader(input);
    let mut has_enough = false;
    let array = Array {
        each: &mut *each,
        has_enough: &mut has_enough,
    };
    let read = array
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    match read {
        Err(error) if error.is_io() => Err(error.into()),
        Err(error) if !has_enough => {
            let spot = Spot {
                line: error.line() as u64,
                column: u32::try_from(error.column()).unwrap_or(u32::MAX),
            };
            let _ = each(
                spot,
                Err(format!("this is not an array of leases: {error}")),
            );
            Ok(())
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Has every element looked at and forgets it.
struct Array<'e, 'f> {
    each: &'e mut dyn FnMut(Spot, Result<Item, String>) -> ControlFlow<()>,
    has_enough: &'f mut bool,
}

impl<'de> DeserializeSeed<'de> for Array<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Array<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of leases")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut number = 0u64;
        while let Some(element) = elements.next_element::<serde_json::Value>()? {
            number += 1;
            let item = LeaseView::deserialize(element)
                .map_err(|error| error.to_string())
                .and_then(|view| view.binding())
                .map(|binding| Item::Lease(Box::new(binding)))
                .map_err(|reason| format!("lease {number} of the array: {reason}"));
            // A parser that reads a stream does not tell where an element began; we write one on each
            // line, after a line with the bracket.
            let spot = Spot {
                line: number + 1,
                column: 1,
            };
            if (self.each)(spot, item).is_break() {
                *self.has_enough = true;
                return Err(serde::de::Error::custom("enough"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
