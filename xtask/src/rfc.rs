//! Which rules of the RFCs do we follow, where, and what proves it?
//!
//! docs/rfc/*.toml holds one line per requirement. A citation is `[id]` behind an RFC's number and section
//! in a comment of the code or in a transcript. This compares the two and writes docs/rfc/coverage.md, and
//! docs/requirements.md with it (`rows.rs`).

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Options of `cargo xtask rfc`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fail if docs/rfc/coverage.md is not up to date, instead of writing it
    #[arg(long)]
    check: bool,
}

/// One requirement, as docs/rfc/*.toml has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    id: String,
    section: String,
    /// Further sections that say the same.
    #[serde(default)]
    also: Vec<String>,
    level: Level,
    text: String,
    state: State,
    reason: Option<String>,
}

/// How strongly the RFC asks for it (RFC 2119).
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Level {
    Must,
    Should,
    May,
}

/// What we do about it.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    Followed,
    Excepted,
}

/// A file of docs/rfc.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    #[serde(default)]
    requirement: Vec<Requirement>,
}

/// Where an id is cited.
#[derive(Default)]
struct Citations {
    code: Vec<String>,
    tests: Vec<String>,
}

/// Compares requirements and citations, writes the report.
pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    crate::rows::run(root, args.check)?;
    let catalogues = catalogues(&root.join("docs/rfc"))?;
    let mut citations = BTreeMap::<String, Citations>::new();
    collect_citations(root, root, &mut citations)?;

    let mut ids: Vec<&str> = catalogues
        .values()
        .flat_map(|catalogue| &catalogue.requirement)
        .map(|requirement| requirement.id.as_str())
        .collect();
    ids.sort_unstable();
    if let Some([twice, _]) = ids.array_windows().find(|[one, other]| one == other) {
        bail!("[{twice}] is the id of two requirements; ids are one name space");
    }
    let known: BTreeMap<&str, ()> = catalogues
        .values()
        .flat_map(|c| &c.requirement)
        .map(|r| (r.id.as_str(), ()))
        .collect();
    let unknown: Vec<_> = citations
        .iter()
        .filter(|(id, _)| !known.contains_key(id.as_str()))
        .collect();
    for (id, places) in &unknown {
        let place = places.code.iter().chain(&places.tests).next();
        eprintln!(
            "{}: [{id}] is in no file of docs/rfc; add it or correct the id",
            place.map_or("?", String::as_str)
        );
    }
    let report = report(&catalogues, &citations);
    println!("{}", report.summary);
    let path = root.join("docs/rfc/coverage.md");
    if args.check {
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        if written != report.text {
            bail!("docs/rfc/coverage.md is not up to date; run `cargo xtask rfc` and commit it");
        }
    } else {
        std::fs::write(&path, &report.text)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    if !unknown.is_empty() {
        bail!("{} cited ids do not exist", unknown.len());
    }
    if report.open > 0 {
        bail!(
            "{} requirements are open: followed but not cited or not tested",
            report.open
        );
    }
    Ok(())
}

/// Fails when a requirement is open, an id unknown, or the report out of date.
pub(crate) fn check(root: &Path) -> Result<()> {
    run(root, &Args { check: true })
}

/// All files of docs/rfc by RFC name.
fn catalogues(folder: &Path) -> Result<BTreeMap<String, Catalogue>> {
    let mut found = BTreeMap::new();
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let catalogue: Catalogue =
            toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        for requirement in &catalogue.requirement {
            if requirement.state == State::Excepted && requirement.reason.is_none() {
                bail!(
                    "{}: [{}] is excepted without a reason",
                    path.display(),
                    requirement.id
                );
            }
        }
        let name = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        found.insert(name.unwrap_or_default(), catalogue);
    }
    Ok(found)
}

/// Walks the tree's Rust sources and transcripts.
fn collect_citations(
    root: &Path,
    folder: &Path,
    citations: &mut BTreeMap<String, Citations>,
) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && !name.starts_with("target") && name != "docs" {
                collect_citations(root, &path, citations)?;
            }
        } else if name.ends_with(".rs") || name.ends_with(".dhcp") {
            let relative = path
                .strip_prefix(root)
                .map(PathBuf::from)
                .unwrap_or(path.clone());
            citations_of(&relative, &std::fs::read_to_string(&path)?, citations);
        }
    }
    Ok(())
}

/// The citations of one file. What stands below `#[cfg(test)]`, in a `tests.rs`, in the tests' room or in a
/// transcript is a test.
fn citations_of(path: &Path, text: &str, citations: &mut BTreeMap<String, Citations>) {
    let is_test_file = path.starts_with("tests")
        || path
            .components()
            .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
    let mut in_tests = is_test_file;
    let mut lines = text.lines().enumerate().peekable();
    while let Some((line_number, line)) = lines.next() {
        in_tests |= line.trim_start().starts_with("#[cfg(test)]");
        let Some(comment) = comment(line) else {
            continue;
        };
        // A citation may go on in the next line.
        let mut whole = comment.to_owned();
        while let Some(more) = lines.peek().and_then(|(_, line)| whole_line_comment(line)) {
            whole.push(' ');
            whole.push_str(more);
            lines.next();
        }
        for id in ids_of(&whole) {
            let place = format!("{}:{}", path.display(), line_number + 1);
            let of_id = citations.entry(id).or_default();
            let list = if in_tests {
                &mut of_id.tests
            } else {
                &mut of_id.code
            };
            list.push(place);
        }
    }
}

/// The comment in a line, whatever stands before it.
fn comment(line: &str) -> Option<&str> {
    let behind_code = line.split_once("//").map(|(_, comment)| comment);
    whole_line_comment(line).or(behind_code)
}

/// The comment that a line is.
fn whole_line_comment(line: &str) -> Option<&str> {
    let line = line.trim();
    let rust = line.strip_prefix("//");
    let rust = rust.map(|comment| comment.trim_start_matches(['/', '!']));
    let data = || line.strip_prefix('#').filter(|rest| !rest.starts_with('['));
    rust.or_else(data).map(str::trim)
}

/// The ids in a comment like `RFC 2131 section 4.1 [relayed-reply-to-giaddr], section 3.2 [nak-to-giaddr]: ...`: behind
/// a section, once an RFC was named, or behind another id.
fn ids_of(comment: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    let words: Vec<&str> = comment.split_whitespace().collect();
    let mut has_rfc = false;
    let mut before = ["", ""];
    let mut is_behind_id = false;
    for word in words {
        has_rfc |= word.trim_start_matches('(') == "RFC";
        let id = word
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .map(|(id, _)| id)
            .filter(|id| is_id(id));
        let [section, number] = before;
        let is_behind_section = section.starts_with("section")
            && number.starts_with(|sign: char| sign.is_ascii_digit());
        match id {
            Some(id) if has_rfc && (is_behind_section || is_behind_id) => {
                if !ids.iter().any(|known| known == id) {
                    ids.push(id.to_owned());
                }
                is_behind_id = true;
            }
            _ => is_behind_id &= word == "and",
        }
        before = [number, word];
    }
    ids
}

fn is_id(id: &str) -> bool {
    let is_sign = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    !id.is_empty() && id.bytes().all(is_sign)
}

/// The report and how many requirements are open.
struct Report {
    text: String,
    summary: String,
    open: usize,
}

fn report(
    catalogues: &BTreeMap<String, Catalogue>,
    citations: &BTreeMap<String, Citations>,
) -> Report {
    let mut text = String::from(
        "# RFC coverage\n\nWritten by `cargo xtask rfc`; do not edit. A requirement is *covered* when the code \
         that follows it and a test that proves it both cite its id, *excepted* with a reason, else *open*.\n",
    );
    let (mut covered, mut excepted, mut open) = (0usize, 0usize, 0usize);
    for (rfc, catalogue) in catalogues {
        let _ = write!(
            text,
            "\n## {rfc}\n\n| id | section | level | state | rule |\n| --- | --- | --- | --- | --- |\n"
        );
        for requirement in &catalogue.requirement {
            let places = citations.get(&requirement.id);
            let is_cited = places.is_some_and(|places| !places.code.is_empty());
            let is_tested = places.is_some_and(|places| !places.tests.is_empty());
            let state = match (requirement.state, is_cited, is_tested) {
                (State::Excepted, _, _) => {
                    excepted += 1;
                    format!(
                        "excepted: {}",
                        requirement.reason.as_deref().unwrap_or_default()
                    )
                }
                (State::Followed, true, true) => {
                    covered += 1;
                    "covered".to_owned()
                }
                (State::Followed, cited, tested) => {
                    open += 1;
                    let lack = if cited {
                        "no test"
                    } else if tested {
                        "not cited"
                    } else {
                        "neither cited nor tested"
                    };
                    eprintln!("{rfc}: [{}] is open: {lack}", requirement.id);
                    format!("open: {lack}")
                }
            };
            let level = match requirement.level {
                Level::Must => "must",
                Level::Should => "should",
                Level::May => "may",
            };
            let mut sections = requirement.section.clone();
            for also in &requirement.also {
                let _ = write!(sections, ", {also}");
            }
            let _ = writeln!(
                text,
                "| {} | {sections} | {level} | {state} | {} |",
                requirement.id, requirement.text
            );
        }
    }
    let summary = format!("{covered} covered, {excepted} excepted, {open} open");
    let _ = write!(text, "\n{summary}.\n");
    Report {
        text,
        summary,
        open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_counts_only_behind_an_rfc_and_a_section() {
        let cited =
            ids_of("    // RFC 2131 section 4.1 [relayed-reply-to-giaddr]: through a relay agent");
        assert_eq!(cited, ["relayed-reply-to-giaddr"]);
        assert!(ids_of("let x = octets[some-thing];").is_empty());
        assert!(ids_of("// see RFC 2131 section 4.1, octets [0..4]").is_empty());
        assert!(ids_of("RFC 2131 section 4.1 asks for [something]").is_empty());
    }

    #[test]
    fn a_citation_may_name_several_rules_and_go_on_in_the_next_line() {
        let mut citations = BTreeMap::new();
        let rule = |letter: char| format!("[rule-{letter}]");
        let text = format!(
            "/// What it is (RFC 1 section 2\n/// {}, section 3.1 {} and {}).\nfn x() {{}}\n# RFC 1 section 4\n# {}.\n",
            rule('a'),
            rule('b'),
            rule('c'),
            rule('d'),
        );
        citations_of(Path::new("src/x.rs"), &text, &mut citations);
        let found: Vec<&str> = citations.keys().map(String::as_str).collect();
        assert_eq!(found, ["rule-a", "rule-b", "rule-c", "rule-d"]);
    }

    #[test]
    fn what_stands_below_cfg_test_is_a_test() {
        let mut citations = BTreeMap::new();
        // Put together here, so that this file does not cite a rule that does not exist.
        let cited = |what: &str| format!("// RFC 1 section 2 [{}]: {what}\n", "some-rule");
        let text = format!("{}#[cfg(test)]\n{}", cited("x"), cited("y"));
        citations_of(Path::new("src/x.rs"), &text, &mut citations);
        let places = &citations["some-rule"];
        assert_eq!((places.code.len(), places.tests.len()), (1, 1));
    }
}
