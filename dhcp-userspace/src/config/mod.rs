//! What did the operator decide? TOML to a checked configuration, with every error at once.
//!
//! `file` mirrors what is written, `checked` says what is meant; nothing of it is used before all of it
//! is right.

mod checked;
mod file;
mod json;
pub mod kea;
mod keys;
pub mod notation;
mod options;
mod reader;
mod report;

#[cfg(test)]
mod document;
#[cfg(test)]
mod tests;

pub use checked::{Checked, SOCKET, STATE_DIR};
#[cfg(test)]
pub(crate) use document::compare as compare_document;
pub use report::{At, Finding, Findings, Severity, Spot, plural};

use report::Report;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// Where the configuration is unless somebody names another file.
pub const FILE: &str = "/etc/xdhcpd/xdhcpd.toml";

/// Reads and checks a file.
///
/// # Errors
/// All that is wrong with it.
pub fn load(file: &Path) -> Result<Checked, Findings> {
    let octets = std::fs::read(file).map_err(|why| Findings::unreadable(file, &why))?;
    check_octets(file, octets)
}

/// Checks what a file holds, which may be no text at all.
fn check_octets(file: &Path, octets: Vec<u8>) -> Result<Checked, Findings> {
    match String::from_utf8(octets) {
        Ok(text) => check(file, &text),
        Err(wrong) => {
            let offset = wrong.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(wrong.as_bytes());
            let mut report = Report::new(file, &text);
            let path = String::new();
            let message = "this is not UTF-8 from here on; save the file as UTF-8";
            report.error(&Spot { offset, path }, message);
            Err(report.finish())
        }
    }
}

/// Checks a text; `file` is the name that findings carry.
///
/// # Errors
/// All that is wrong with it.
pub fn check(file: &Path, text: &str) -> Result<Checked, Findings> {
    let mut report = Report::new(file, text);
    let document = parse(text, &mut report);
    if report.has_errors() {
        // Where the text is no TOML, its keys cannot be trusted either.
        return Err(report.finish());
    }
    let top = reader::Table::top(&document, &mut report);
    let written = file::File::read(&top, &mut report);
    checked::check(&written, report)
}

/// The state directory and control socket that a file names, for commands that need nothing else of it
/// and should work beside a configuration that is being edited.
pub fn paths(file: &Path) -> (Option<PathBuf>, Option<PathBuf>) {
    let Ok(text) = std::fs::read_to_string(file) else {
        return (None, None);
    };
    let mut report = Report::new(file, &text);
    let document = parse(&text, &mut report);
    let top = reader::Table::top(&document, &mut report);
    file::paths(&top, &mut report)
}

fn parse<'t>(text: &'t str, report: &mut Report) -> toml::Spanned<DeTable<'t>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut errors: Vec<_> = errors
        .iter()
        .map(|error| (error.span().map_or(0, |span| span.start), error.message()))
        .collect();
    errors.sort_by_key(|(offset, _)| *offset);
    // What follows on the same line is mostly what the first error did to the parser.
    errors.dedup_by_key(|(offset, _)| report.line(*offset));
    for (offset, message) in errors {
        let path = String::new();
        report.error(&Spot { offset, path }, not_toml(message));
    }
    document
}

/// The parser's words, and what to do where they do not say so.
fn not_toml(message: &str) -> String {
    match message {
        unquoted
            if unquoted.starts_with("string values must be quoted")
                || unquoted.starts_with("invalid float")
                || unquoted.starts_with("invalid integer") =>
        {
            "this is not TOML: neither a number nor a text; put texts in quotes".to_owned()
        }
        twice if twice.starts_with("duplicate key") => {
            "this is not TOML: duplicate key; keep one of the two".to_owned()
        }
        other => format!("this is not TOML: {other}"),
    }
}
