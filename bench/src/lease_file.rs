//! Which leases were acknowledged? One JSON object per line, so that a later run can renew them and
//! a test can look for them in the server's table.

use crate::client::{Client, Held, Identity};
use crate::clock;
use crate::engine::{Engine, Server};
use anyhow::Context;
use dhcp_wire::frame::MacAddress;
use dhcp_wire::id::Duid;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Line {
    client: u32,
    /// Of the client: its MAC, from which its other identifiers are made.
    mac: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    lifetime_seconds: u32,
    /// When the acknowledgement arrived.
    acknowledged_unix_ms: u64,
    server_id: String,
    server_mac: String,
}

/// Writes all leases that clients hold at this moment.
///
/// # Errors
/// Those of the file.
pub fn write(path: &Path, engine: &Engine, seed: u64) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("{}: creating", path.display()))?;
    let mut output = BufWriter::new(file);
    let (now, unix) = (clock::now(), unix_milliseconds());
    for (number, client) in (0..).zip(engine.clients()) {
        let Some(held) = client.held else { continue };
        let Some(server) = engine.servers().get(usize::from(held.server)) else {
            continue;
        };
        let age = now.saturating_sub(client.acknowledged) / 1_000_000;
        let line = Line {
            client: number,
            mac: MacAddress(Identity::new(seed, number).mac).to_string(),
            address: held.address,
            prefix: held
                .prefix
                .map(|(prefix, length)| format!("{prefix}/{length}")),
            lifetime_seconds: held.lifetime_seconds,
            acknowledged_unix_ms: unix.saturating_sub(age),
            server_id: to_hex(server.id.as_slice()),
            server_mac: server.mac.to_string(),
        };
        serde_json::to_writer(&mut output, &line)?;
        output.write_all(b"\n")?;
    }
    output
        .flush()
        .with_context(|| format!("{}: writing", path.display()))
}

/// Gives clients the leases of an earlier run with the same seed.
///
/// # Errors
/// Those of the file, with the line, and a line that belongs to another seed.
pub fn read(path: &Path, engine: &mut Engine, seed: u64) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("{}: opening", path.display()))?;
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let place = || format!("{}:{number}", path.display());
        let line: Line = serde_json::from_str(&line?).with_context(place)?;
        let own_mac = MacAddress(Identity::new(seed, line.client).mac).to_string();
        anyhow::ensure!(
            line.mac == own_mac,
            "{}: client {} has another MAC than with --seed {seed}",
            place(),
            line.client
        );
        restore(engine, &line).with_context(place)?;
    }
    Ok(())
}

fn restore(engine: &mut Engine, line: &Line) -> anyhow::Result<()> {
    let id = Duid::new(&from_hex(&line.server_id)?)?;
    let mac: [u8; 6] = from_hex(&line.server_mac)?.as_slice().try_into()?;
    let server = engine.know_server(&Server {
        id,
        mac: MacAddress(mac),
    });
    let prefix = line.prefix.as_deref().map(parse_prefix).transpose()?;
    let lifetime_seconds = line.lifetime_seconds;
    let held = Held {
        address: line.address,
        prefix,
        lifetime_seconds,
        server,
    };
    let age = unix_milliseconds().saturating_sub(line.acknowledged_unix_ms) * 1_000_000;
    let acknowledged = clock::now().saturating_sub(age);
    engine.restore(
        line.client,
        Client {
            held: Some(held),
            acknowledged,
            busy: false,
        },
    )
}

/// Reads `2001:db8::/48`.
///
/// # Errors
/// When it is no prefix.
pub fn parse_prefix(text: &str) -> anyhow::Result<(Ipv6Addr, u8)> {
    let (prefix, length) = text.split_once('/').context("a prefix without a length")?;
    Ok((prefix.parse()?, length.parse()?))
}

fn unix_milliseconds() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn to_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn from_hex(text: &str) -> anyhow::Result<Vec<u8>> {
    let digits: String = text.chars().filter(|character| *character != ':').collect();
    let starts = (0..digits.len()).step_by(2);
    starts
        .map(|at| {
            let octet = digits
                .get(at..at + 2)
                .context("odd number of hexadecimal digits")?;
            Ok(u8::from_str_radix(octet, 16)?)
        })
        .collect()
}
