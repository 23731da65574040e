//! Does the server answer as the RFC says? Runs `transcripts/v4/*.dhcp` and `transcripts/v6/*.dhcp`.
//!
//! `TRANSCRIPT=part-of-a-name` picks some; `UPDATE=1` rewrites expectations to what was answered.
#![allow(clippy::panic, reason = "a test that fails panics")]

use dhcp_tests::transcript::scene::Protocol;
use dhcp_tests::transcript::{files, run};
use std::path::{Path, PathBuf};

#[test]
fn dhcpv4_is_answered_as_the_rfc_says() {
    check("v4", Protocol::V4, 210);
}

#[test]
fn dhcpv6_is_answered_as_the_rfc_says() {
    check("v6", Protocol::V6, 40);
}

/// docs/quirks.md is written from the transcripts: `UPDATE=1` writes it anew.
#[test]
fn quirks_document_says_what_the_transcripts_say() {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let quirks = quirks(&files(&room.join("transcripts/v4")));
    assert!(quirks.len() >= 35, "{} quirks", quirks.len());
    let document = document(&quirks);
    let path = room.join("../docs/quirks.md");
    if std::env::var("UPDATE").is_ok_and(|value| value == "1") {
        std::fs::write(&path, &document)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == document,
        "docs/quirks.md is not what the transcripts say: UPDATE=1 writes it"
    );
}

/// A transcript `quirk-NAME.dhcp`: its name, what it says, and which clients do it.
struct Quirk {
    name: String,
    story: String,
    clients: String,
}

/// The quirks among the transcripts, with the comment that each of them begins with.
fn quirks(files: &[PathBuf]) -> Vec<Quirk> {
    let named = files.iter().filter_map(|file| {
        let name = file.file_stem()?.to_str()?.strip_prefix("quirk-")?;
        Some((name, file))
    });
    named
        .map(|(name, file)| {
            let text = std::fs::read_to_string(file)
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let comment: Vec<&str> = text
                .lines()
                .map_while(|line| line.strip_prefix("# "))
                .collect();
            let whole = comment.join(" ");
            let (story, clients) = whole
                .split_once(" Clients: ")
                .unwrap_or_else(|| panic!("{name}: which clients? (`# Clients: ...`)"));
            Quirk {
                name: name.to_owned(),
                story: story.to_owned(),
                clients: clients.to_owned(),
            }
        })
        .collect()
}

fn document(quirks: &[Quirk]) -> String {
    let rows: Vec<String> = quirks
        .iter()
        .map(|quirk| {
            let Quirk {
                name,
                story,
                clients,
            } = quirk;
            format!("| {name} | {story} | {clients} |")
        })
        .collect();
    format!(
        "# Quirks of DHCPv4 clients and relay agents\n\n\
         Written from tests/transcripts/v4/quirk-*.dhcp by `UPDATE=1 cargo test -p dhcp-tests --test transcripts`; do \
         not edit. Each row is a test: what such a client sends, and what it is answered. Names with # are threads that \
         tell of it, captures/ has packets of it; kinds of clients without either are the trade's own memory.\n\n\
         | Quirk | What happens | Clients |\n| --- | --- | --- |\n{}\n",
        rows.join("\n")
    )
}

fn check(folder: &str, protocol: Protocol, at_least: usize) {
    let only = std::env::var("TRANSCRIPT").unwrap_or_default();
    let update = std::env::var("UPDATE").is_ok_and(|value| value == "1");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts")
        .join(folder);
    let files = files(&folder);
    let count = files.len();
    assert!(
        count >= at_least,
        "{count} transcripts in {}",
        folder.display()
    );
    let mut complaints = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.to_string_lossy().contains(&only))
    {
        let outcome = run(file, protocol);
        match outcome.updated {
            Some(text) if update => std::fs::write(file, text).unwrap_or_else(|error| {
                panic!("{}: {error}", file.display());
            }),
            _ => {}
        }
        complaints.extend(outcome.complaints);
    }
    assert!(
        complaints.is_empty(),
        "{} of {count} transcripts' expectations do not hold:\n{}\n\
         (TRANSCRIPT=part-of-a-name runs some of them, UPDATE=1 rewrites what they expect)",
        complaints.len(),
        complaints.join("\n")
    );
}
