//! Does the server answer as the RFC says? Runs `transcripts/v4/*.dhcp` and `transcripts/v6/*.dhcp`.
//!
//! `TRANSCRIPT=part-of-a-name` picks some; `UPDATE=1` rewrites expectations to what was answered.
#![allow(clippy::panic, reason = "a test that fails panics")]

use dhcp_tests::transcript::scene::Protocol;
use dhcp_tests::transcript::{files, run};
use std::path::Path;

#[test]
fn dhcpv4_is_answered_as_the_rfc_says() {
    check("v4", Protocol::V4, 40);
}

#[test]
fn dhcpv6_is_answered_as_the_rfc_says() {
    check("v6", Protocol::V6, 40);
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
