//! How does Kea keep leases? The CSV files of its memfile backend, both protocols, both ways.
//!
//! The file is a journal: a later row for an address counts instead of an earlier one, and a row with a
//! valid lifetime of 0 takes the lease away. A comma, an ampersand and what is no printable ASCII stand as
//! `&#x` and two hexadecimal digits in the two free texts (host name, user context).

use super::rows::{Cell, Header, Lines, Row, Spot, Wrong};
use super::source::Item;
use super::surroundings;
use crate::config::notation;
use dhcp_lease::context::ItemKind;
use dhcp_lease::{Binding, Context, Lease, LeaseKind, State, SubnetId, Timestamp};
use dhcp_wire::id::{ClientId, HardwareAddress, Iaid};
use std::io::{self, BufRead, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

/// Which Kea is to read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum KeaVersion {
    /// Kea 2.2 and before: without the column `pool_id`, and no state for released leases.
    #[value(name = "2.2")]
    V2_2,
    /// Kea 2.4 and later.
    #[default]
    #[value(name = "2.4")]
    V2_4,
}

/// Columns of DHCPv4; the first nine are in every file.
const V4: &[&str] = &[
    "address",
    "hwaddr",
    "client_id",
    "valid_lifetime",
    "expire",
    "subnet_id",
    "fqdn_fwd",
    "fqdn_rev",
    "hostname",
    "state",
    "user_context",
    "pool_id",
];
const V4_NEEDED: usize = 9;
/// Columns of DHCPv6; the first twelve are in every file.
const V6: &[&str] = &[
    "address",
    "duid",
    "valid_lifetime",
    "expire",
    "subnet_id",
    "pref_lifetime",
    "lease_type",
    "iaid",
    "prefix_len",
    "fqdn_fwd",
    "fqdn_rev",
    "hostname",
    "hwaddr",
    "state",
    "user_context",
    "hwtype",
    "hwaddr_source",
    "pool_id",
];
const V6_NEEDED: usize = 12;

/// Kea's DUID for nobody.
const NO_DUID: &str = "00:00:00";

mod state {
    pub(super) const ASSIGNED: u32 = 0;
    pub(super) const DECLINED: u32 = 1;
    pub(super) const EXPIRED_RECLAIMED: u32 = 2;
    pub(super) const RELEASED: u32 = 3;
    pub(super) const REGISTERED: u32 = 4;
}

impl KeaVersion {
    /// The longest client identifier and the longest DUID that it reads, in octets.
    fn identifier_max(self) -> (usize, usize) {
        match self {
            Self::V2_2 => (128, 128),
            Self::V2_4 => (255, 130),
        }
    }

    fn has_pool_id(self) -> bool {
        self == Self::V2_4
    }
}

/// The first line of a file.
pub(super) fn write_header(v6: bool, version: KeaVersion, out: &mut impl Write) -> io::Result<()> {
    let all = if v6 { V6 } else { V4 };
    let names = match version.has_pool_id() {
        true => all,
        false => all.split_last().map_or(all, |(_, names)| names),
    };
    writeln!(out, "{}", names.join(","))
}

/// A binding as a row. Whether Kea can hold it: not with an identifier that is too long for it.
pub(super) fn write_row(
    binding: &Binding,
    now: Timestamp,
    version: KeaVersion,
    out: &mut impl Write,
) -> io::Result<bool> {
    let is_v4 = binding.lease.kind() == LeaseKind::V4;
    let client = binding.client.as_slice();
    let is_declined = binding.state == State::Declined;
    let (client_max, duid_max) = version.identifier_max();
    let lengths = if is_v4 { 2..=client_max } else { 3..=duid_max };
    let fits = lengths.contains(&client.len()) || is_v4 && client.is_empty();
    if !is_declined && !fits {
        return Ok(false);
    }
    let (valid, expire) = times(binding);
    let state = state_number(binding, now, version);
    let subnet = binding.subnet.0;
    match binding.lease {
        Lease::V4(address) => {
            write!(out, "{address},")?;
            if !is_declined {
                // Without a hardware address Kea refuses the row; it finds the client by its identifier.
                let known = binding.hardware.as_slice();
                let stand_in = client.get(..client.len().min(16)).unwrap_or_default();
                let hardware = if known.is_empty() { stand_in } else { known };
                write_hex(hardware, out)?;
                out.write_all(b",")?;
                write_hex(client, out)?;
            } else {
                out.write_all(b",")?;
            }
            write!(out, ",{valid},{expire},{subnet},0,0,")?;
            write_name(binding, out)?;
            write!(out, ",{state},")?;
            write_user_context(binding, version, out)?;
        }
        Lease::Address(address) | Lease::Prefix(address, _) => {
            write!(out, "{address},")?;
            match is_declined {
                true => out.write_all(NO_DUID.as_bytes())?,
                false => write_hex(client, out)?,
            }
            let (lease_type, prefix_len) = match binding.lease {
                Lease::Prefix(_, length) => (2, length),
                Lease::V4(_) | Lease::Address(_) => (0, 128),
            };
            let preferred = binding.preferred_seconds;
            let iaid = binding.iaid;
            write!(
                out,
                ",{valid},{expire},{subnet},{preferred},{lease_type},{iaid},{prefix_len},0,0,"
            )?;
            write_name(binding, out)?;
            out.write_all(b",")?;
            let hardware = binding.hardware.as_slice();
            let is_known = !hardware.is_empty() && !is_declined;
            if is_known {
                write_hex(hardware, out)?;
            }
            write!(out, ",{state},,")?;
            match is_known {
                // The source of the address is not recorded, which is Kea's 0.
                true => write!(out, "{},0", binding.hardware.htype())?,
                false => out.write_all(b",")?,
            }
        }
    }
    if version.has_pool_id() {
        out.write_all(b",0")?;
    }
    out.write_all(b"\n")?;
    Ok(true)
}

/// Valid lifetime and end. Kea reckons the last transaction from them, and takes a lifetime of 0 for the
/// end of the lease.
fn times(binding: &Binding) -> (u32, u64) {
    let last = binding.last_transaction.0;
    if binding.expires == Timestamp::NEVER {
        return (u32::MAX, last.saturating_add(u64::from(u32::MAX)));
    }
    let valid = match binding.state {
        State::Declined => u32::try_from(binding.expires.0.saturating_sub(last)),
        State::Leased | State::Released => Ok(binding.valid_seconds),
    };
    let valid = valid.unwrap_or(u32::MAX - 1).clamp(1, u32::MAX - 1);
    (valid, binding.expires.0)
}

fn state_number(binding: &Binding, now: Timestamp, version: KeaVersion) -> u32 {
    match (binding.state, version) {
        (State::Declined, _) => state::DECLINED,
        (State::Leased, _) if binding.is_live(now) => state::ASSIGNED,
        (State::Leased, _) | (State::Released, KeaVersion::V2_2) => state::EXPIRED_RECLAIMED,
        (State::Released, KeaVersion::V2_4) => state::RELEASED,
    }
}

/// The name that the client gave itself. A declined lease has no client.
fn write_name(binding: &Binding, out: &mut impl Write) -> io::Result<()> {
    if binding.state == State::Declined {
        return Ok(());
    }
    let full = surroundings::full_name_of(&binding.context);
    let short = binding.context.of_kind(ItemKind::HOST_NAME).next();
    let name = full.as_deref().or(short).unwrap_or_default();
    let name = name.strip_suffix(&[0]).unwrap_or(name);
    write_escaped(name, out)
}

/// What the relay agent said of the client, as Kea records it when it is told to (`store-extended-info`).
fn write_user_context(
    binding: &Binding,
    version: KeaVersion,
    out: &mut impl Write,
) -> io::Result<()> {
    let agent = binding.context.of_kind(ItemKind::AGENT).next();
    let Some(agent) = agent.filter(|_| binding.state != State::Declined) else {
        return Ok(());
    };
    let mut hex = Vec::new();
    for octet in agent {
        write!(hex, "{octet:02X}")?;
    }
    let hex = String::from_utf8_lossy(&hex);
    let context = match version {
        KeaVersion::V2_2 => format!("{{ \"ISC\": {{ \"relay-agent-info\": \"0x{hex}\" }} }}"),
        KeaVersion::V2_4 => {
            let inner = format!("{{ \"sub-options\": \"0x{hex}\" }}");
            format!("{{ \"ISC\": {{ \"relay-agent-info\": {inner} }} }}")
        }
    };
    write_escaped(context.as_bytes(), out)
}

fn write_escaped(text: &[u8], out: &mut impl Write) -> io::Result<()> {
    for &octet in text {
        match octet {
            b',' | b'&' => write!(out, "&#x{octet:02x}")?,
            b' '..=b'~' => out.write_all(&[octet])?,
            _ => write!(out, "&#x{octet:02x}")?,
        }
    }
    Ok(())
}

/// What is meant by a text: `&#x` without two hexadecimal digits stands for itself.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let escape = rest
            .strip_prefix(b"&#x")
            .and_then(|digits| digits.split_first_chunk::<2>());
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let number = escape.and_then(|(&[high, low], _)| Some(digit(high)? * 16 + digit(low)?));
        match (number, escape) {
            (Some(number), Some((_, after))) => {
                octets.push(number as u8);
                rest = after;
            }
            _ => {
                octets.push(first);
                rest = after;
            }
        }
    }
    octets
}

/// What a row says besides the lease: the client's name and the relay agent's word, if there is room.
fn context(hostname: Cell<'_>, user_context: Cell<'_>) -> Context {
    let mut context = Context::EMPTY;
    let agent = serde_json::from_slice(&unescaped(user_context.octets)).ok();
    let agent = agent.and_then(|user: serde_json::Value| {
        let info = user.get("ISC")?.get("relay-agent-info")?;
        let hex = info.get("sub-options").unwrap_or(info).as_str()?;
        notation::octets(hex.strip_prefix("0x").unwrap_or(hex)).ok()
    });
    if let Some(agent) = agent.filter(|agent| !agent.is_empty()) {
        context.insert(ItemKind::AGENT, &agent);
    }
    let name = unescaped(hostname.octets);
    if !name.is_empty() {
        context.insert(ItemKind::HOST_NAME, &name);
    }
    context
}

fn write_hex(octets: &[u8], out: &mut impl Write) -> io::Result<()> {
    for (number, octet) in octets.iter().enumerate() {
        if number > 0 {
            out.write_all(b":")?;
        }
        write!(out, "{octet:02x}")?;
    }
    Ok(())
}

/// Which protocol a first line is of, if it is one of Kea's.
pub(super) fn is_header(line: &[u8]) -> bool {
    line.starts_with(b"address,hwaddr,") || line.starts_with(b"address,duid,")
}

/// Reads a file of either protocol.
///
/// # Errors
/// Those of the system. What is wrong with the file goes to `each`.
pub(super) fn read<R: BufRead>(
    input: R,
    now: Timestamp,
    each: &mut dyn FnMut(Spot, Result<Item, String>) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut lines = Lines::new(input);
    let Some((line, first)) = lines.next()? else {
        return Ok(()); // Kea takes an empty file for one without leases
    };
    let (is_v4, header) = match first {
        Ok(first) => {
            let is_v4 = !first.starts_with(b"address,duid,");
            let wanted = if is_v4 { V4 } else { V6 };
            (is_v4, Header::new(first, wanted))
        }
        Err(wrong) => {
            let _ = each(Spot { line, column: 1 }, Err(wrong.reason));
            return Ok(());
        }
    };
    let needed = if is_v4 { V4_NEEDED } else { V6_NEEDED };
    if let Some(name) = header.missing(needed) {
        let reason = format!(
            "this is no lease file of Kea: its first line has no column \"{name}\"; name the format with \
             --format"
        );
        let _ = each(Spot { line, column: 1 }, Err(reason));
        return Ok(());
    }
    if !header.unknown.is_empty() {
        let unknown = Item::UnknownColumns(header.unknown.clone());
        if each(Spot { line, column: 1 }, Ok(unknown)).is_break() {
            return Ok(());
        }
    }
    while let Some((line, octets)) = lines.next()? {
        let item = octets
            .and_then(|octets| Row::plain(octets, &header))
            .and_then(|row| match is_v4 {
                true => row_v4(&row, now),
                false => row_v6(&row, now),
            });
        let column = item.as_ref().err().map_or(1, |wrong| wrong.column);
        let item = item.map_err(|wrong| wrong.reason);
        if each(Spot { line, column }, item).is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// What the rows of both protocols have in common.
struct Common {
    valid: u32,
    expire: u64,
    subnet: u32,
    state: u32,
    preferred: u32,
}

impl Common {
    /// The binding of a client, or of nobody.
    fn binding(
        &self,
        lease: Lease,
        client: &[u8],
        hardware: HardwareAddress,
        now: Timestamp,
        state_cell: Cell<'_>,
    ) -> Result<Item, Wrong> {
        if self.valid == 0 {
            return Ok(Item::Gone(lease));
        }
        let last = self.expire.saturating_sub(u64::from(self.valid));
        let expires = match self.valid {
            u32::MAX => Timestamp::NEVER,
            _ => Timestamp(self.expire),
        };
        let (state, expires) = match self.state {
            state::ASSIGNED => (State::Leased, expires),
            state::DECLINED => (State::Declined, expires),
            state::EXPIRED_RECLAIMED if Timestamp(self.expire) <= now => {
                (State::Leased, Timestamp(self.expire))
            }
            // Before 2.4 a released lease was one that was reclaimed before its time.
            state::EXPIRED_RECLAIMED | state::RELEASED => (State::Released, Timestamp(self.expire)),
            state::REGISTERED => return Ok(Item::Registered),
            _ => return Err(state_cell.wrong("is not a state that Kea is known to have")),
        };
        let client = ClientId::new(client).map_err(|why| Wrong {
            column: 1,
            reason: format!("the client's identifier has {why}"),
        })?;
        Ok(Item::Lease(Box::new(Binding {
            lease,
            state,
            subnet: SubnetId(self.subnet),
            client,
            hardware,
            iaid: Iaid::default(),
            last_transaction: Timestamp(last),
            expires,
            valid_seconds: self.valid,
            preferred_seconds: self.preferred,
            context: Context::EMPTY,
        })))
    }
}

fn row_v4(row: &Row<'_, '_>, now: Timestamp) -> Result<Item, Wrong> {
    let [
        address,
        hwaddr,
        client,
        valid,
        expire,
        subnet,
        _,
        _,
        _,
        state_cell,
    ] = std::array::from_fn(|number| row.cell(number));
    let common = Common {
        valid: valid.parse("a lifetime in seconds")?,
        expire: expire.parse("a time in seconds since 1970")?,
        subnet: subnet.parse("the number of a subnet")?,
        state: state_cell.parse_or(state::ASSIGNED, "the number of a state")?,
        preferred: 0,
    };
    let lease = Lease::V4(address.parse::<Ipv4Addr>("an IPv4 address")?);
    let hardware = hardware(hwaddr, 1)?;
    let identifier = octets(client)?;
    let is_nobody = hardware.as_slice().is_empty() && identifier.is_empty();
    if is_nobody && common.state != state::DECLINED && common.valid != 0 {
        return Err(hwaddr.wrong("names no client, which only a declined lease may"));
    }
    let mut item = common.binding(lease, &identifier, hardware, now, state_cell)?;
    if let Item::Lease(binding) = &mut item {
        binding.context = context(row.cell(8), row.cell(10));
    }
    Ok(item)
}

fn row_v6(row: &Row<'_, '_>, now: Timestamp) -> Result<Item, Wrong> {
    let cell = |number| row.cell(number);
    let state_cell = cell(13);
    let common = Common {
        valid: cell(2).parse("a lifetime in seconds")?,
        expire: cell(3).parse("a time in seconds since 1970")?,
        subnet: cell(4).parse("the number of a subnet")?,
        preferred: cell(5).parse("a lifetime in seconds")?,
        state: state_cell.parse_or(state::ASSIGNED, "the number of a state")?,
    };
    let address: Ipv6Addr = cell(0).parse("an IPv6 address")?;
    let prefix_len: u8 = cell(8).parse("a prefix length")?;
    let lease = match cell(6).parse::<u32>("a type of lease")? {
        0 if prefix_len == 128 => Lease::Address(address),
        0 => return Err(cell(8).wrong("is not 128, the length of an address")),
        2 if (1..=128).contains(&prefix_len) => prefix(address, prefix_len)
            .ok_or_else(|| cell(0).wrong(format_args!("has bits set after /{prefix_len}")))?,
        2 => return Err(cell(8).wrong("is not the length of a prefix")),
        1 => return Err(cell(6).wrong("is a temporary address, which RFC 9915 has done away with")),
        _ => return Err(cell(6).wrong("is not a type of lease")),
    };
    let iaid: u32 = cell(7).parse("an IAID")?;
    let duid = octets(cell(1))?;
    // Nobody: one zero before Kea 1.9, three since.
    let duid = match duid.iter().all(|&octet| octet == 0) {
        true if common.state == state::DECLINED || common.valid == 0 => Vec::new(),
        true => return Err(cell(1).wrong("is nobody's DUID, which only a declined lease may have")),
        false => duid,
    };
    let htype = cell(15).parse_or(1u32, "a hardware type")?;
    // As Kea does: a hardware address that cannot be read is done without.
    let htype = u8::try_from(htype).unwrap_or(0);
    let hardware = hardware(cell(12), htype).unwrap_or_default();
    let mut item = common.binding(lease, &duid, hardware, now, state_cell)?;
    if let Item::Lease(binding) = &mut item {
        binding.iaid = Iaid(iaid);
        binding.context = context(cell(11), cell(14));
    }
    Ok(item)
}

/// A delegated prefix, unless bits are set after its length.
pub(super) fn prefix(address: Ipv6Addr, length: u8) -> Option<Lease> {
    let host_bits = 128u32.checked_sub(u32::from(length))?;
    let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
    (address.to_bits() & !mask == 0).then_some(Lease::Prefix(address, length))
}

fn hardware(cell: Cell<'_>, htype: u8) -> Result<HardwareAddress, Wrong> {
    let octets = octets(cell)?;
    if octets.is_empty() {
        return Ok(HardwareAddress::NONE);
    }
    HardwareAddress::new(htype, &octets).map_err(|why| cell.wrong(format_args!("has {why}")))
}

fn octets(cell: Cell<'_>) -> Result<Vec<u8>, Wrong> {
    if cell.is_empty() {
        return Ok(Vec::new());
    }
    let text = cell.text()?;
    let is_hex = |octet: u8| octet.is_ascii_hexdigit() || octet == b':';
    if !text.bytes().all(is_hex) {
        return Err(cell.wrong("is not hexadecimal"));
    }
    notation::octets(text).map_err(|_| cell.wrong("is not hexadecimal"))
}

#[cfg(test)]
mod tests;
