//! `xdhcpd leases history`: who held what at which second, and whether that can be relied on.

use super::{Failure, print, print_json};
use crate::config::plural;
use crate::history::{self, Asked, Format, ReadError, Verified};
use crate::leases::time;
use dhcp_lease::Timestamp;
use dhcp_lease::history::Scope;
use serde_json::{Value, json};
use std::path::Path;

/// Asks, and checks the chain too if that `is_verified`.
pub(super) fn ask(
    state_dir: &Path,
    asked: &Asked,
    format: Format,
    is_verified: bool,
) -> Result<(), Failure> {
    let answer = history::query(state_dir, asked)?;
    let is_empty = answer.holdings.is_empty();
    if !is_empty || format != Format::Table {
        print(&history::render(&answer, format))?;
    }
    // Standard output is for the answer alone.
    for (path, broken) in &answer.broken {
        eprintln!(
            "{}: {broken}; see `xdhcpd leases history --verify`",
            path.display()
        );
    }
    for gap in &answer.gaps {
        eprintln!("note: {}", history::gap_text(gap));
    }
    if is_verified {
        judge(history::verify(state_dir)?)?;
    }
    if let Some((path, broken)) = answer.broken.into_iter().next() {
        let what = broken.to_string();
        return Err(Failure::HistoryBroken { path, what });
    }
    match is_empty {
        true => Err(Failure::NoHolder(nobody(asked, answer.begins))),
        false => Ok(()),
    }
}

fn nobody(asked: &Asked, begins: Option<Timestamp>) -> String {
    let what = match asked.scope {
        Scope::Address(address) => address.to_string(),
        Scope::Prefix(address, length) => format!("{address}/{length}"),
    };
    let when = match (asked.from, asked.to) {
        (Timestamp(0), Timestamp::NEVER) => String::new(),
        (from, to) if from == to => format!(" at {}", time(from.0)),
        (from, Timestamp::NEVER) => format!(" from {} on", time(from.0)),
        (from, to) => format!(" from {} to {}", time(from.0), time(to.0)),
    };
    let begins = begins.map_or_else(String::new, |begins| {
        format!("; the history that is kept begins at {}", time(begins.0))
    });
    let client = if asked.client.is_some() {
        "this client did not hold it"
    } else {
        "nobody held it"
    };
    format!("{what}: {client}{when}{begins}")
}

/// Checks the chain.
pub(super) fn verify(state_dir: &Path, format: Format) -> Result<(), Failure> {
    let verified = history::verify(state_dir)?;
    match format {
        Format::Json => print_json(&object(&verified))?,
        Format::Table | Format::Csv => print(&text(&verified))?,
    }
    judge(verified)
}

/// What there is of a history, if there is one.
pub(super) fn state(state_dir: &Path) -> Result<Option<Verified>, Failure> {
    match history::verify(state_dir) {
        Ok(verified) => Ok(Some(verified)),
        Err(ReadError::NoHistory { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the chain holds.
pub(super) fn judge(verified: Verified) -> Result<(), Failure> {
    match verified.broken {
        None => Ok(()),
        Some((path, what)) => Err(Failure::HistoryBroken { path, what }),
    }
}

pub(super) fn object(verified: &Verified) -> Value {
    let gaps = verified.gaps.iter().map(history::gap_object);
    let broken = verified.broken.as_ref();
    json!({
        "segments": verified.segments,
        "first-segment": verified.first_segment,
        "blocks": verified.blocks,
        "last-block": verified.last_block,
        "entries": verified.entries,
        "octets": verified.octets,
        "begins": verified.begins.map(|it| it.0),
        "last": verified.last.map(|it| it.0),
        "hash": verified.hash.to_string(),
        "gaps": gaps.collect::<Vec<_>>(),
        "notes": verified.notes,
        "broken": broken.map(|(path, what)| json!({ "file": path, "problem": what })),
    })
}

pub(super) fn text(verified: &Verified) -> String {
    let moment = |at: Option<Timestamp>| at.map_or_else(|| "nowhere".to_owned(), |at| time(at.0));
    let mut text = format!(
        "history: {}, {}, {}, {} octets, from {} to {}\nhistory: last block {}, hash {}\n",
        plural(verified.segments as usize, "segment"),
        plural(verified.blocks as usize, "block"),
        match verified.entries {
            1 => "1 entry".to_owned(),
            entries => format!("{entries} entries"),
        },
        verified.octets,
        moment(verified.begins),
        moment(verified.last),
        verified.last_block,
        verified.hash,
    );
    for gap in &verified.gaps {
        text.push_str(&format!("history: {}\n", history::gap_text(gap)));
    }
    for note in &verified.notes {
        text.push_str(&format!("history: {note}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn nobody_is_said_with_what_was_asked() {
        let asked = Asked {
            scope: Scope::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
            from: Timestamp(1_795_228_199),
            to: Timestamp(1_795_228_199),
            client: None,
        };
        assert_eq!(
            nobody(&asked, Some(Timestamp(0))),
            "192.0.2.7: nobody held it at 2026-11-21T02:29:59Z; the history that is kept begins at \
             1970-01-01T00:00:00Z"
        );
    }
}
