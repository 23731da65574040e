//! Does every row of the requirements that this server is built to have a test?
//!
//! docs/requirements.toml has the rows with the tests that prove them: a transcript by its name, or a function of a
//! source file. This looks whether they are there and writes docs/requirements.md.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::fmt::Write as _;
use std::path::Path;

/// docs/requirements.toml.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    row: Vec<Row>,
}

/// One row.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    text: String,
    /// `transcript NAME` or `PATH::FUNCTION`.
    #[serde(default)]
    tests: Vec<String>,
    /// Why it has no test.
    reason: Option<String>,
}

/// Compares rows and tests; writes docs/requirements.md, or with `check` fails when it is not up to date.
pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let source = root.join("docs/requirements.toml");
    let text = std::fs::read_to_string(&source)
        .with_context(|| format!("reading {}", source.display()))?;
    let rows: Rows =
        toml::from_str(&text).with_context(|| format!("reading {}", source.display()))?;
    let wrong: Vec<String> = rows
        .row
        .iter()
        .flat_map(|row| complaints(root, row))
        .collect();
    if !wrong.is_empty() {
        bail!("docs/requirements.toml:\n{}", wrong.join("\n"));
    }
    let report = report(&rows);
    let path = root.join("docs/requirements.md");
    if !check {
        return std::fs::write(&path, report)
            .with_context(|| format!("writing {}", path.display()));
    }
    if std::fs::read_to_string(&path).unwrap_or_default() != report {
        bail!("docs/requirements.md is not up to date; run `cargo xtask rfc` and commit it");
    }
    Ok(())
}

/// What is wrong with a row, one sentence each.
fn complaints(root: &Path, row: &Row) -> Vec<String> {
    let id = &row.id;
    if row.tests.is_empty() == row.reason.is_none() {
        return vec![format!(
            "{id} wants either tests, or a reason why there is none"
        )];
    }
    row.tests
        .iter()
        .filter(|test| !is_there(root, test))
        .map(|test| format!("{id}: there is no test `{test}`"))
        .collect()
}

fn is_there(root: &Path, test: &str) -> bool {
    if let Some(name) = test.strip_prefix("transcript ") {
        return root
            .join("tests/transcripts")
            .join(format!("{name}.dhcp"))
            .is_file();
    }
    let Some((path, function)) = test.split_once("::") else {
        return false;
    };
    let text = std::fs::read_to_string(root.join(path)).unwrap_or_default();
    text.contains(&format!("fn {function}("))
}

fn report(rows: &Rows) -> String {
    let mut text = String::from(
        "# Requirements of DHCPv4, row by row\n\nWritten by `cargo xtask rfc` from docs/requirements.toml; do not edit. \
         Each row of the allocation and extension of leases (C), of RFC 2131 section 3.1 (D) and of both protocols on \
         the wire (E) with the tests that prove it.\n\n| id | what | proved by |\n| --- | --- | --- |\n",
    );
    for row in &rows.row {
        let proof = match &row.reason {
            Some(reason) => format!("no test: {reason}"),
            None => row.tests.join(", "),
        };
        let _ = writeln!(text, "| {} | {} | {proof} |", row.id, row.text);
    }
    let proved = rows.row.iter().filter(|row| row.reason.is_none()).count();
    let _ = write!(
        text,
        "\n{} rows, {proved} with tests, {} with a reason why not.\n",
        rows.row.len(),
        rows.row.len() - proved
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_wants_a_test_that_is_there_or_a_reason() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let row = |tests: &[&str], reason: Option<&str>| Row {
            id: "X01".to_owned(),
            text: String::new(),
            tests: tests.iter().map(|test| (*test).to_owned()).collect(),
            reason: reason.map(str::to_owned),
        };
        let here = "xtask/src/rows.rs::a_row_wants_a_test_that_is_there_or_a_reason";
        assert!(complaints(&root, &row(&["transcript v4/four-messages", here], None)).is_empty());
        assert!(complaints(&root, &row(&[], Some("because"))).is_empty());
        for wrong in [
            row(&[], None),
            row(&[here], Some("because")),
            row(&["transcript v4/none"], None),
            row(&["xtask/src/rows.rs::none"], None),
        ] {
            assert_eq!(complaints(&root, &wrong).len(), 1);
        }
    }
}
