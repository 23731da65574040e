//! Kea's configuration as one of ours (`xdhcpd config import-kea`).
//!
//! `text` makes JSON of what Kea takes for JSON, `translate` turns its objects into tables, `tree` writes
//! these. What the check of the result does not take is left out again and said; so the result is always a
//! configuration that `xdhcpd check` takes.

mod hooks;
mod keywords;
mod ping_check;
mod text;
mod translate;
mod tree;

#[cfg(test)]
mod tests;

use super::notation::Family;
use super::report::{Finding, Findings, Severity};
use super::{check, json};
use jsonc_parser::ast::Value;
use jsonc_parser::{CollectOptions, parse_to_ast};
use std::path::{Path, PathBuf};
use text::{Joined, Place};
use translate::{Note, Translator};
use tree::{Node, Table};

/// Kea's files to import, at least one of them.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// With `Dhcp4` in it.
    pub dhcp4: Option<PathBuf>,
    /// With `Dhcp6` in it.
    pub dhcp6: Option<PathBuf>,
}

/// What came of an import.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Our configuration, which `xdhcpd check` takes.
    pub text: String,
    /// What was left out although it changes answers: errors. What was left out without harm, and what is
    /// still to be done: warnings. In the order of the files.
    pub findings: Vec<Finding>,
}

impl Imported {
    /// How many things were left out that change answers.
    pub fn lost(&self) -> usize {
        let errors = self.findings.iter();
        errors
            .filter(|finding| finding.severity == Severity::Error)
            .count()
    }

    /// One finding as a line.
    pub fn line(&self, finding: &Finding) -> String {
        Findings::default().line(finding)
    }
}

/// Imports.
///
/// # Errors
/// Why a file cannot be read at all, as a line.
pub fn import(source: &Source) -> Result<Imported, String> {
    let mut sources = Vec::new();
    for (family, file) in [(Family::V4, &source.dhcp4), (Family::V6, &source.dhcp6)] {
        if let Some(file) = file {
            let joined = Joined::read(file).map_err(|(place, message)| said(&place, &message))?;
            sources.push((family, joined));
        }
    }
    import_joined(&sources)
}

fn said(place: &Place, message: &str) -> String {
    let finding = finding(
        Severity::Error,
        place.clone(),
        String::new(),
        message.to_owned(),
    );
    Findings::default().line(&finding)
}

fn finding(severity: Severity, place: Place, path: String, message: String) -> Finding {
    Finding {
        severity,
        file: Some(place.file),
        line: place.line,
        column: place.column,
        path,
        message,
    }
}

fn import_joined(sources: &[(Family, Joined)]) -> Result<Imported, String> {
    let mut top = Table {
        comments: vec!["Made from Kea's configuration by `xdhcpd config import-kea`.".to_owned()],
        ..Table::default()
    };
    // First in the file, whatever comes first in Kea's.
    top.set("interfaces", 0, Node::List(Vec::new()));
    let mut findings = Vec::new();
    for (family, joined) in sources {
        let notes = one(*family, joined, &mut top)?;
        findings.extend(notes.into_iter().map(|note| located(note, joined)));
    }
    let text = settle(&mut top, sources, &mut findings);
    Ok(Imported { text, findings })
}

fn located(note: Note, joined: &Joined) -> Finding {
    finding(
        note.severity,
        joined.place(note.offset),
        note.path,
        note.message,
    )
}

/// Reads one protocol into the file that is made.
fn one(family: Family, joined: &Joined, top: &mut Table) -> Result<Vec<Note>, String> {
    let parsed = parse_to_ast(&joined.text, &CollectOptions::default(), &json::STRICT);
    let parsed = parsed.map_err(|error| {
        let place = joined.place(error.range().start);
        said(&place, &format!("this is not JSON: {}", error.kind()))
    })?;
    let name = match family {
        Family::V4 => "Dhcp4",
        Family::V6 => "Dhcp6",
    };
    let object = match &parsed.value {
        Some(Value::Object(object)) => object.get_object(name),
        _ => None,
    };
    let Some(object) = object else {
        let message = format!("has no \"{name}\" with an object; name the file of that server");
        return Err(said(&joined.place(0), &message));
    };
    let mut translator = Translator::new(&joined.text, family);
    translator.global(object, name, top);
    translator.notes.sort_by_key(|note| note.offset);
    Ok(translator.notes)
}

/// Without an interface the result would be no configuration.
fn name_an_interface(top: &mut Table, sources: &[(Family, Joined)], findings: &mut Vec<Finding>) {
    let is_named = matches!(top.get("interfaces"), Some(Node::List(names)) if !names.is_empty());
    if is_named {
        return;
    }
    top.set("interfaces", 0, Node::List(vec![Node::text("eth0")]));
    if let Some((_, joined)) = sources.first() {
        let message =
            "names no interface that is to be served; the result has \"eth0\": correct that";
        let path = "interfaces-config.interfaces".to_owned();
        findings.push(finding(
            Severity::Error,
            joined.place(0),
            path,
            message.to_owned(),
        ));
    }
}

/// Takes out what the check does not take, until it takes all; the text that is left.
fn settle(top: &mut Table, sources: &[(Family, Joined)], findings: &mut Vec<Finding>) -> String {
    loop {
        name_an_interface(top, sources, findings);
        let text = top.document();
        let Err(wrong) = check(Path::new("result"), &text) else {
            return text;
        };
        let mut removed: Vec<String> = Vec::new();
        // The last first, so that numbers of elements hold.
        let all: Vec<_> = wrong.iter().cloned().collect();
        for one in all.into_iter().rev() {
            let path = tree::around(&one.path, goes_with_its_table);
            let inside = |gone: &String| {
                let rest = path.strip_prefix(gone.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            if removed.iter().any(inside) {
                continue;
            }
            let Some(offset) = tree::remove(top, &path) else {
                continue;
            };
            let is_v6 = path.starts_with("dhcp6") || path.contains("subnet6");
            let of_family = |(family, _): &&(Family, Joined)| (*family == Family::V6) == is_v6;
            let joined = sources.iter().find(of_family).or(sources.first());
            if let Some((_, joined)) = joined {
                let place = joined.place(offset);
                let message = format!("is left out: {}", without_lines(&one.message));
                findings.push(finding(Severity::Error, place, one.path, message));
            }
            removed.push(path);
        }
        if removed.is_empty() {
            // Nothing that could be taken out; what the check says is said as it is.
            let rest = wrong.iter().cloned();
            findings.extend(rest);
            return text;
        }
    }
}

/// A sentence of the check without the lines that it names: they are those of the result.
fn without_lines(message: &str) -> String {
    let mut pieces = message.split(" (line ");
    let mut short = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once(')') {
            Some((number, rest)) if number.bytes().all(|octet| octet.is_ascii_digit()) => {
                short.push_str(rest);
            }
            _ => {
                short.push_str(" (line ");
                short.push_str(piece);
            }
        }
    }
    short
}

/// Whether a table makes no sense, or another one, without this key.
fn goes_with_its_table(table: &str, key: &str) -> bool {
    match table {
        "option-data" | "option-def" | "client-classes" | "relay" => true,
        "pools" | "pd-pools" | "reservations" => key != "hostname",
        "subnet4" | "subnet6" | "shared-networks" => {
            matches!(
                key,
                "subnet" | "name" | "id" | "client-class" | "client-classes"
            )
        }
        _ => false,
    }
}
