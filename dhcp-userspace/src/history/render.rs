//! Holdings for people and for programs. Everything that a client or a relay agent chose is escaped.

use super::query::{Answer, GapSeen};
use crate::config::notation::hex;
use crate::leases::{columns, time};
use dhcp_lease::history::{Ending, Holding, Item, Reason};
use dhcp_lease::{ItemKind, LeaseKind, Timestamp};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, Ipv6Addr};

/// How holdings are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// An object.
    Json,
    /// Comma-separated values with a line of names.
    Csv,
}

const CSV: &str = "address,kind,since,until,ending,client,hw-address,hw-type,iaid,subnet-id,extensions,\
                   last-extended,context";

/// One thing that is known of a holder, with a name.
struct Named {
    name: String,
    text: String,
    octets: String,
}

/// An answer as text, with a line break at the end.
pub fn render(answer: &Answer, format: Format) -> String {
    match format {
        Format::Table => table(&answer.holdings),
        Format::Csv => {
            let lines = std::iter::once(CSV.to_owned()).chain(answer.holdings.iter().map(csv));
            lines.collect::<Vec<_>>().join("\n") + "\n"
        }
        Format::Json => {
            let broken = answer.broken.iter().map(|(path, broken)| {
                json!({ "file": path, "offset": broken.offset, "problem": broken.fault.to_string() })
            });
            let value = json!({
                "holdings": answer.holdings.iter().map(object).collect::<Vec<_>>(),
                "gaps": answer.gaps.iter().map(gap_object).collect::<Vec<_>>(),
                "broken": broken.collect::<Vec<_>>(),
                "begins": answer.begins.map(|it| it.0),
            });
            serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
        }
    }
}

/// A gap in words.
pub fn gap_text(seen: &GapSeen) -> String {
    let gap = &seen.gap;
    let commits = match gap.commits {
        0 => "an unknown number of entries is".to_owned(),
        1 => "1 entry is".to_owned(),
        commits => format!("{commits} entries are"),
    };
    format!(
        "{commits} missing from {} to {} ({})",
        time(gap.from.0),
        time(gap.to.0),
        reason(gap.reason)
    )
}

/// A gap for programs.
pub fn gap_object(seen: &GapSeen) -> Value {
    json!({
        "from": seen.gap.from.0,
        "to": seen.gap.to.0,
        "entries": seen.gap.commits,
        "reason": reason(seen.gap.reason),
        "file": seen.path,
    })
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Disk => "the disk did not take them",
        Reason::Overwritten => "the server died, and later ones had taken their places",
        Reason::Unrecorded => "the server ran without a history",
        Reason::Damaged => "files were damaged",
    }
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Expiry => "expiry",
        Ending::Released => "released",
        Ending::OperatorReleased => "operator-released",
        Ending::Superseded => "superseded",
        Ending::Declined => "declined",
        Ending::Changed => "changed",
        Ending::Reassigned => "reassigned",
    }
}

fn kind(holding: &Holding) -> &'static str {
    match holding.lease.kind() {
        LeaseKind::V4 => "v4",
        LeaseKind::Address => "na",
        LeaseKind::Prefix => "pd",
    }
}

fn until(holding: &Holding) -> Option<u64> {
    (holding.until != Timestamp::NEVER).then_some(holding.until.0)
}

fn object(holding: &Holding) -> Value {
    let holder = &holding.holder;
    let context = holder.items.iter().flat_map(named);
    let context = context
        .map(|it| json!({ "name": it.name, "text": it.text, "octets": it.octets }))
        .collect::<Vec<_>>();
    json!({
        "address": holding.lease.to_string(),
        "kind": kind(holding),
        "since": holding.since.0,
        "until": until(holding),
        "ending": ending(holding.ending),
        "client": hex(&holder.client),
        "hw-address": hex(holder.hardware.as_slice()),
        "hw-type": holder.hardware.htype(),
        "iaid": holder.iaid.0,
        "subnet-id": holder.subnet.0,
        "extensions": holding.extensions,
        "last-extended": holding.last_extended.0,
        "context": context,
    })
}

fn context_text(holding: &Holding) -> String {
    let named = holding.holder.items.iter().flat_map(named);
    let words = named.map(|it| format!("{}={}", it.name, it.text));
    words.collect::<Vec<_>>().join(" ")
}

fn csv(holding: &Holding) -> String {
    let holder = &holding.holder;
    // The context alone can hold a comma or a quote, and is quoted; it holds no control character.
    let context = context_text(holding).replace('"', "\"\"");
    let until = until(holding).map(|at| at.to_string()).unwrap_or_default();
    format!(
        "{},{},{},{until},{},{},{},{},{},{},{},{},\"{context}\"",
        holding.lease,
        kind(holding),
        holding.since.0,
        ending(holding.ending),
        hex(&holder.client),
        hex(holder.hardware.as_slice()),
        holder.hardware.htype(),
        holder.iaid.0,
        holder.subnet.0,
        holding.extensions,
        holding.last_extended.0,
    )
}

fn table(holdings: &[Holding]) -> String {
    let heading = [
        "ADDRESS", "SINCE", "UNTIL", "ENDING", "CLIENT", "HARDWARE", "SUBNET", "CONTEXT",
    ];
    let row = |holding: &Holding| {
        let holder = &holding.holder;
        let client = match holder.iaid.0 {
            0 => hex(&holder.client),
            iaid => format!("{} iaid {iaid}", hex(&holder.client)),
        };
        [
            holding.lease.to_string(),
            time(holding.since.0),
            until(holding).map_or_else(|| "never".to_owned(), time),
            ending(holding.ending).to_owned(),
            client,
            hex(holder.hardware.as_slice()),
            holder.subnet.0.to_string(),
            context_text(holding),
        ]
    };
    let rows: Vec<_> = std::iter::once(heading.map(str::to_owned))
        .chain(holdings.iter().map(row))
        .collect();
    columns(&rows)
}

/// The things that an item tells.
fn named(item: &Item) -> Vec<Named> {
    let octets = item.octets.as_slice();
    match item.tag {
        ItemKind::GIADDR => address("giaddr", octets),
        ItemKind::RELAY_SOURCE => address("relay-source", octets),
        ItemKind::RELAY_PATH => hops(octets),
        ItemKind::INTERFACE => vec![one("interface", octets)],
        ItemKind::AGENT => suboptions(octets),
        ItemKind::REMOTE_ID => of_hop("remote-id", octets),
        ItemKind::SUBSCRIBER_ID => of_hop("subscriber-id", octets),
        ItemKind::FQDN => vec![one("fqdn", octets.get(1..).unwrap_or_default())],
        ItemKind::HOST_NAME => vec![one("host-name", octets)],
        ItemKind::VENDOR_CLASS => vec![one("vendor-class", octets)],
        ItemKind::FLEXIBLE => vec![one("flex-id", octets)],
        ItemKind(number) => vec![one(&format!("item-{number}"), octets)],
    }
}

fn one(name: &str, octets: &[u8]) -> Named {
    Named {
        name: name.to_owned(),
        text: escaped(octets),
        octets: hex(octets),
    }
}

/// Text in quotes if it is nothing but printable ASCII without quotes and backslashes, else hexadecimal
/// digits: so that nothing can be taken for what it is not, on a terminal or in a file.
fn escaped(octets: &[u8]) -> String {
    let is_plain = |octet: &u8| matches!(octet, b' '..=b'~') && !b"\"\\'".contains(octet);
    match std::str::from_utf8(octets) {
        Ok(text) if !octets.is_empty() && octets.iter().all(is_plain) => format!("'{text}'"),
        _ => hex(octets),
    }
}

fn address(name: &str, octets: &[u8]) -> Vec<Named> {
    let mut named = one(name, octets);
    if let Some(octets) = octets.first_chunk::<16>() {
        named.text = Ipv6Addr::from(*octets).to_string();
    } else if let Some(octets) = octets.first_chunk::<4>() {
        named.text = Ipv4Addr::from(*octets).to_string();
    }
    vec![named]
}

/// The relay agents of DHCPv6, the server's neighbour first.
fn hops(mut octets: &[u8]) -> Vec<Named> {
    let mut all = Vec::new();
    let mut hop = 0;
    while let Some((link, rest)) = octets.split_first_chunk::<16>() {
        let Some((peer, rest)) = rest.split_first_chunk::<16>() else {
            break;
        };
        let Some((length, rest)) = rest.split_first() else {
            break;
        };
        let Some((interface_id, rest)) = rest.split_at_checked(usize::from(*length)) else {
            break;
        };
        all.extend(address(&format!("link-address-{hop}"), link));
        all.extend(address(&format!("peer-address-{hop}"), peer));
        if !interface_id.is_empty() {
            all.push(one(&format!("interface-id-{hop}"), interface_id));
        }
        octets = rest;
        hop += 1;
    }
    if !octets.is_empty() {
        all.push(one("relay-path-rest", octets));
    }
    all
}

/// The sub-options of option 82 (RFC 3046).
fn suboptions(mut octets: &[u8]) -> Vec<Named> {
    let mut all = Vec::new();
    while let Some(([code, length], rest)) = octets.split_first_chunk::<2>() {
        let Some((value, rest)) = rest.split_at_checked(usize::from(*length)) else {
            break;
        };
        all.push(match code {
            1 => one("circuit-id", value),
            2 => one("remote-id", value),
            6 => one("subscriber-id", value),
            code => one(&format!("sub-option-{code}"), value),
        });
        octets = rest;
    }
    if !octets.is_empty() {
        all.push(one("sub-options-rest", octets));
    }
    all
}

/// What one of the relay agents said, after its place in the path.
fn of_hop(name: &str, octets: &[u8]) -> Vec<Named> {
    match octets.split_first() {
        Some((hop, rest)) => vec![one(&format!("{name}-{hop}"), rest)],
        None => vec![one(name, octets)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcp_lease::history::Holder;
    use dhcp_lease::{Lease, SubnetId};
    use dhcp_wire::id::{HardwareAddress, Iaid};

    fn holding(items: Vec<Item>) -> Holding {
        Holding {
            lease: Lease::V4(Ipv4Addr::new(192, 0, 2, 10)),
            holder: Holder {
                subnet: SubnetId(7),
                client: b"\x00evil\x1b[2J\n\",".to_vec(),
                hardware: HardwareAddress::ethernet([2, 0, 0, 0, 0, 1]),
                iaid: Iaid(0),
                items,
            },
            since: Timestamp(1_000),
            until: Timestamp(4_600),
            ending: Ending::Expiry,
            extensions: 0,
            last_extended: Timestamp(1_000),
        }
    }

    fn item(tag: ItemKind, octets: &[u8]) -> Item {
        let octets = octets.to_vec();
        Item { tag, octets }
    }

    #[test]
    fn what_strangers_say_reaches_no_terminal_and_no_column() {
        let hostile = b"\x1b]0;owned\x07\r\n\",'=cmd|' \\x";
        let tags = (0..=30).map(|number| item(ItemKind(number), hostile));
        let answer = Answer {
            holdings: vec![holding(tags.collect())],
            ..Answer::default()
        };
        for format in [Format::Table, Format::Csv] {
            let text = render(&answer, format);
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(
                text.bytes()
                    .all(|octet| octet == b'\n' || matches!(octet, b' '..=b'~')),
                "{text:?}"
            );
            assert!(!text.contains("cmd"), "{text}");
        }
        let json: Value = serde_json::from_str(&render(&answer, Format::Json)).unwrap();
        assert_eq!(json["holdings"][0]["address"], "192.0.2.10");
    }

    #[test]
    fn the_circuit_is_named() {
        let mut hop = Vec::new();
        hop.extend_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        hop.extend_from_slice(&"fe80::2".parse::<Ipv6Addr>().unwrap().octets());
        hop.extend_from_slice(b"\x05ge0/1");
        let all = holding(vec![
            item(ItemKind::GIADDR, &[10, 0, 0, 1]),
            item(ItemKind::AGENT, b"\x01\x06olt1/3\x02\x02\x00\x07"),
            item(ItemKind::RELAY_PATH, &hop),
            item(ItemKind::HOST_NAME, b"printer"),
        ]);
        assert_eq!(
            context_text(&all),
            "giaddr=10.0.0.1 circuit-id='olt1/3' remote-id=00:07 link-address-0=2001:db8::1 \
             peer-address-0=fe80::2 interface-id-0='ge0/1' host-name='printer'"
        );
    }
}
