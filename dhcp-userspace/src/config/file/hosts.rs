//! What holds for the reservations of a whole protocol, and those that stand in a file of their own.

use super::reservation::{Identifier, Reservation};
use crate::config::json;
use crate::config::keys;
use crate::config::notation::Family;
use crate::config::reader::{Table, Value};
use crate::config::report::{At, Report, Spot};
use dhcp_core::reservation::ReservedBy;
use std::path::PathBuf;

/// How clients with reservations are known, and the reservations that stand in no subnet.
#[derive(Debug, Default)]
pub(in crate::config) struct Hosts {
    pub(in crate::config) identifiers: Option<Vec<At<ReservedBy>>>,
    pub(in crate::config) global: Vec<Reservation>,
    /// Those of `reservations-file`.
    pub(in crate::config) lines: Vec<Line>,
}

/// A line of the file of reservations.
#[derive(Debug)]
pub(in crate::config) struct Line {
    pub(in crate::config) subnet_id: Option<At<u32>>,
    /// Whether it names its subnet by an address, or meant to: one that was wrong is missing.
    pub(in crate::config) has_address: bool,
    pub(in crate::config) reservation: Reservation,
}

impl Hosts {
    /// Those of `[dhcp4]` or `[dhcp6]`.
    pub(super) fn read(table: Option<&Table<'_>>, family: Family, report: &mut Report) -> Self {
        let Some(table) = table else {
            return Self::default();
        };
        let named = table.get("host-reservation-identifiers");
        let known: Vec<_> = Identifier::all(family)
            .iter()
            .map(|it| (it.name, it.by))
            .collect();
        let identifiers = named.map(|named| {
            let elements = named.list(report).into_iter();
            elements
                .filter_map(|it| it.read(report, |value| value.word(&known)))
                .collect()
        });
        let file = table.read("reservations-file", report, |value| {
            value.text_within(4096).map(PathBuf::from)
        });
        Self {
            identifiers,
            global: Reservation::list(table, family, report),
            lines: file.map_or_else(Vec::new, |file| lines(&file, family, report)),
        }
    }
}

/// Reads the file of reservations, line by line: none needs the memory of all.
fn lines(file: &At<PathBuf>, family: Family, report: &mut Report) -> Vec<Line> {
    let path = report.beside(&file.value);
    let text = match std::fs::read(&path) {
        Ok(octets) => match String::from_utf8(octets) {
            Ok(text) => text,
            Err(wrong) => {
                let octet = wrong.utf8_error().valid_up_to();
                let message = format!(
                    "{} is not UTF-8 from octet {octet} on; save it as UTF-8",
                    path.display()
                );
                report.error(&file.spot, message);
                return Vec::new();
            }
        },
        Err(why) => {
            let message = format!("{} cannot be read: {why}", path.display());
            report.error(&file.spot, message);
            return Vec::new();
        }
    };
    let base = report.add_source(&path, &text);
    let keys = match family {
        Family::V4 => &keys::RESERVATION_LINE4,
        Family::V6 => &keys::RESERVATION_LINE6,
    };
    let mut lines = Vec::new();
    let mut offset = base;
    for line in text.split_inclusive('\n') {
        let content = line.trim_start_matches(['\u{feff}', ' ', '\t']).trim_end();
        let start = offset + (line.len() - line.trim_start_matches(['\u{feff}', ' ', '\t']).len());
        offset += line.len();
        if content.is_empty() || content.starts_with('#') || content.starts_with("//") {
            continue;
        }
        match json::table(content, start) {
            Ok(entries) => {
                let spot = Spot {
                    offset: start,
                    path: String::new(),
                };
                let table = Table::new(spot, keys, &entries, report);
                let address = match family {
                    Family::V4 => "ip-address",
                    Family::V6 => "ip-addresses",
                };
                lines.push(Line {
                    has_address: table.get(address).is_some(),
                    subnet_id: table.read("subnet-id", report, |value: &Value<'_>| {
                        value.whole_u32(0, u32::MAX - 1)
                    }),
                    reservation: Reservation::read(&table, family, report),
                });
            }
            Err(json::NoTable { offset, message }) => {
                let path = String::new();
                report.error(&Spot { offset, path }, message);
            }
        }
    }
    lines
}
