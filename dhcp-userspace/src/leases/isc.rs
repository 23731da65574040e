//! How does ISC dhcpd keep leases? `dhcpd.leases` and `dhcpd6.leases`.
//!
//! The file is a journal of statements; a later entry for an address counts instead of an earlier one, and
//! times are UTC. An entry that its writer did not finish is at most the last one.

mod token;

use super::kea::prefix;
use super::rows::Spot;
use super::source::Item;
use dhcp_lease::context::ItemKind;
use dhcp_lease::{Binding, Context, Lease, State, SubnetId, Timestamp};
use dhcp_wire::id::{ClientId, HardwareAddress, Iaid};
use std::io::{self, BufRead};
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::str::FromStr;
use token::{Ended, Statement, Statements, Token};

/// Reads a file of either protocol.
///
/// # Errors
/// Those of the system. What is wrong with the file goes to `each`.
pub(super) fn read<R: BufRead>(
    input: R,
    now: Timestamp,
    each: &mut dyn FnMut(Spot, Result<Item, String>) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut statements = Statements::new(input);
    let mut order = ByteOrder::Little;
    loop {
        let statement = match statements.next()? {
            Ok(statement) => statement,
            Err(Ended::Properly) => return Ok(()),
            Err(Ended::Inside(spot)) => {
                let _ = each(spot, Ok(Item::Truncated));
                return Ok(());
            }
            Err(Ended::Badly(spot, reason)) => match each(spot, Err(reason)) {
                ControlFlow::Continue(()) => continue,
                ControlFlow::Break(()) => return Ok(()),
            },
        };
        let mut go_on = ControlFlow::Continue(());
        let mut tell = |spot, item| {
            if go_on.is_continue() {
                go_on = each(spot, item);
            }
        };
        match statement.word(0) {
            Some(b"lease") => {
                let (spot, item) = placed(&statement, lease_v4(&statement, now));
                tell(spot, item);
            }
            Some(kind @ (b"ia-na" | b"ia-pd")) => {
                identity_association(&statement, kind == b"ia-pd", order, now, &mut tell);
            }
            Some(b"ia-ta") => tell(
                statement.spot,
                Err("ia-ta: temporary addresses are done away with (RFC 9915)".to_owned()),
            ),
            Some(b"authoring-byte-order") => {
                order = match statement.word(1) {
                    Some(b"big-endian") => ByteOrder::Big,
                    _ => ByteOrder::Little,
                };
            }
            Some(b"failover") => tell(statement.spot, Ok(Item::Failover)),
            _ => tell(statement.spot, Ok(Item::NoLease)),
        }
        if go_on.is_break() {
            return Ok(());
        }
    }
}

/// How the machine that wrote the file keeps numbers: an IAID is written as it lay in memory.
#[derive(Clone, Copy)]
enum ByteOrder {
    Little,
    Big,
}

/// What is wrong, and where.
type Wrong = (Spot, String);

fn placed(statement: &Statement, item: Result<Item, Wrong>) -> (Spot, Result<Item, String>) {
    match item {
        Ok(item) => (statement.spot, Ok(item)),
        Err((spot, reason)) => (spot, Err(reason)),
    }
}

/// What the entries of both protocols say, in whatever order.
#[derive(Default)]
struct Said {
    starts: Option<Timestamp>,
    last_transaction: Option<Timestamp>,
    ends: Option<Timestamp>,
    state: Option<(Spot, Vec<u8>)>,
    hardware: HardwareAddress,
    client: ClientId,
    preferred: Option<u32>,
    valid: Option<u32>,
    is_abandoned: bool,
    context: Context,
}

impl Said {
    fn read(block: &[Statement]) -> Result<Self, Wrong> {
        let mut said = Self::default();
        for statement in block {
            match statement.word(0) {
                Some(b"starts") => said.starts = Some(time(statement)?),
                Some(b"cltt") => said.last_transaction = Some(time(statement)?),
                Some(b"ends") => said.ends = Some(time(statement)?),
                Some(b"binding") => {
                    let state = statement.word(2).unwrap_or_default().to_vec();
                    said.state = Some((statement.spot, state));
                }
                Some(b"abandoned") => said.is_abandoned = true,
                Some(b"hardware") => said.hardware = hardware(statement)?,
                Some(b"uid") => said.client = identifier(statement)?,
                Some(b"preferred-life") => said.preferred = Some(number(statement, 1)?),
                Some(b"max-life") => said.valid = Some(number(statement, 1)?),
                Some(b"client-hostname") => {
                    let name = statement.word(1).unwrap_or_default();
                    // One that is longer than any is done without.
                    said.context.insert(ItemKind::HOST_NAME, name);
                }
                // next binding state, rewind, set, on, option, vendor-class-identifier, ...
                _ => {}
            }
        }
        Ok(said)
    }

    /// The binding; `client` and `hardware` are those of the entry.
    fn item(self, statement: &Statement, lease: Lease, now: Timestamp) -> Result<Item, Wrong> {
        let ends = self.ends.unwrap_or(Timestamp::NEVER);
        let last = self
            .last_transaction
            .or(self.starts)
            .unwrap_or(now.min(ends));
        let named = self.state.as_ref().map(|(_, state)| state.as_slice());
        let state = match named {
            _ if self.is_abandoned => State::Declined,
            // Files of before 3.0 do not say it.
            Some(b"active" | b"bootp" | b"expired") | None => State::Leased,
            Some(b"released" | b"free" | b"reset") => State::Released,
            Some(b"abandoned") => State::Declined,
            Some(b"backup") => return Ok(Item::Failover),
            Some(other) => {
                let spot = self
                    .state
                    .as_ref()
                    .map_or(statement.spot, |(spot, _)| *spot);
                let shown: String = other.iter().map(|&it| super::rows::shown(it)).collect();
                return Err((spot, format!("\"{shown}\" is no state of a binding")));
            }
        };
        let is_nobody = self.client.is_empty() && self.hardware.as_slice().is_empty();
        if is_nobody && state != State::Declined {
            return match state {
                // A free address that nobody has ever had.
                State::Released => Ok(Item::Gone(lease)),
                State::Leased | State::Declined => {
                    let what = "the entry names no client: neither \"hardware\" nor \"uid\"";
                    Err((statement.spot, what.to_owned()))
                }
            };
        }
        let lifetime = match ends {
            Timestamp::NEVER => u32::MAX,
            ends => self.valid.unwrap_or_else(|| ends.seconds_left(last)),
        };
        // "free" keeps the time when the lease would have ended.
        let expires = match state {
            State::Released => ends.min(now.max(last)),
            State::Leased | State::Declined => ends,
        };
        Ok(Item::Lease(Box::new(Binding {
            lease,
            state,
            subnet: SubnetId::default(),
            client: self.client,
            hardware: self.hardware,
            iaid: Iaid::default(),
            last_transaction: last,
            expires,
            valid_seconds: lifetime,
            preferred_seconds: self.preferred.unwrap_or(0),
            context: self.context,
        })))
    }
}

fn lease_v4(statement: &Statement, now: Timestamp) -> Result<Item, Wrong> {
    let lease = Lease::V4(parsed::<Ipv4Addr>(statement, 1, "an IPv4 address")?);
    Said::read(statement.block())?.item(statement, lease, now)
}

/// `ia-na "IAID and DUID" { cltt …; iaaddr ADDRESS { … } … }`, `ia-pd` with `iaprefix PREFIX { … }`.
fn identity_association(
    statement: &Statement,
    is_pd: bool,
    order: ByteOrder,
    now: Timestamp,
    tell: &mut impl FnMut(Spot, Result<Item, String>),
) {
    let key = statement
        .words
        .get(1)
        .map(Token::octets)
        .unwrap_or_default();
    let Some((iaid, duid)) = key.split_first_chunk::<4>() else {
        let reason = "an IA begins with its IAID and the client's DUID in quotes".to_owned();
        tell(statement.spot, Err(reason));
        return;
    };
    let iaid = match order {
        ByteOrder::Little => u32::from_le_bytes(*iaid),
        ByteOrder::Big => u32::from_be_bytes(*iaid),
    };
    let client = match ClientId::new(duid) {
        Ok(client) if !duid.is_empty() => client,
        Ok(_) => return tell(statement.spot, Err("the IA has no DUID".to_owned())),
        Err(why) => return tell(statement.spot, Err(format!("the DUID has {why}"))),
    };
    let last = statement
        .block()
        .iter()
        .find(|it| it.word(0) == Some(b"cltt"));
    let last = last.and_then(|statement| time(statement).ok());
    for inner in statement.block() {
        let lease = match inner.word(0) {
            Some(b"iaaddr") if !is_pd => parsed(inner, 1, "an IPv6 address").map(Lease::Address),
            Some(b"iaprefix") if is_pd => prefix_at(inner),
            _ => continue,
        };
        let item = lease.and_then(|lease| {
            let mut said = Said::read(inner.block())?;
            said.client = client.clone();
            said.last_transaction = said.last_transaction.or(last);
            let mut item = said.item(inner, lease, now)?;
            if let Item::Lease(binding) = &mut item {
                binding.iaid = Iaid(iaid);
            }
            Ok(item)
        });
        let (spot, item) = placed(inner, item);
        tell(spot, item);
    }
}

fn prefix_at(statement: &Statement) -> Result<Lease, Wrong> {
    let text = statement.word(1).unwrap_or_default();
    let text = std::str::from_utf8(text).unwrap_or_default();
    let lease = text
        .split_once('/')
        .and_then(|(address, length)| prefix(address.parse().ok()?, length.parse::<u8>().ok()?));
    lease.ok_or_else(|| (statement.spot, wrong_word(statement, 1, "an IPv6 prefix")))
}

/// `ends 4 2026/11/19 10:40:02`, `ends epoch 1795084802`, `ends never`.
fn time(statement: &Statement) -> Result<Timestamp, Wrong> {
    let wrong = || {
        let reason =
            "a time is written \"4 2026/11/19 10:40:02\", \"epoch 1795084802\" or \"never\"";
        (statement.spot, reason.to_owned())
    };
    match statement.word(1) {
        Some(b"never") => Ok(Timestamp::NEVER),
        Some(b"epoch") => number::<u64>(statement, 2).map(Timestamp),
        Some(_) => {
            let date = numbers::<3>(statement.word(2), b'/').ok_or_else(wrong)?;
            let clock = numbers::<3>(statement.word(3), b':').ok_or_else(wrong)?;
            civil(date, clock).map(Timestamp).ok_or_else(wrong)
        }
        None => Err(wrong()),
    }
}

fn numbers<const N: usize>(word: Option<&[u8]>, separator: u8) -> Option<[u64; N]> {
    let parts = word?.split(|&octet| octet == separator);
    let numbers: Option<Vec<u64>> = parts
        .map(|part| std::str::from_utf8(part).ok()?.parse().ok())
        .collect();
    numbers?.try_into().ok()
}

/// Seconds since 1970 of a date and time in UTC.
fn civil([year, month, day]: [u64; 3], [hour, minute, second]: [u64; 3]) -> Option<u64> {
    let is_date = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !is_date {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        month => (year, month - 3),
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let since_1970 = days.checked_sub(719_468)?;
    Some(since_1970 * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// `hardware ethernet 02:00:00:00:00:01`.
fn hardware(statement: &Statement) -> Result<HardwareAddress, Wrong> {
    let htype = match statement.word(1).unwrap_or_default() {
        b"ethernet" => 1,
        b"token-ring" => 6,
        b"fddi" => 8,
        b"infiniband" => 32,
        other => {
            let number = other
                .strip_prefix(b"unknown-")
                .and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
            number.ok_or_else(|| (statement.spot, wrong_word(statement, 1, "a hardware type")))?
        }
    };
    let octets = match statement.word(2) {
        Some(word) => colon_hex(word).ok_or_else(|| {
            let reason = wrong_word(statement, 2, "a hardware address");
            (statement.spot, reason)
        })?,
        None => Vec::new(),
    };
    HardwareAddress::new(htype, &octets)
        .map_err(|why| (statement.spot, format!("the hardware address has {why}")))
}

/// `uid "\001\002..."`, or `uid 01:02:...`.
fn identifier(statement: &Statement) -> Result<ClientId, Wrong> {
    let octets = match statement.words.get(1) {
        Some(Token::Text(octets)) => octets.clone(),
        Some(Token::Word(word)) => colon_hex(word).ok_or_else(|| {
            let reason = wrong_word(statement, 1, "an identifier");
            (statement.spot, reason)
        })?,
        None => Vec::new(),
    };
    ClientId::new(&octets).map_err(|why| (statement.spot, format!("the identifier has {why}")))
}

fn colon_hex(word: &[u8]) -> Option<Vec<u8>> {
    let octet = |part: &[u8]| match part {
        [_] | [_, _] => u8::from_str_radix(std::str::from_utf8(part).ok()?, 16).ok(),
        _ => None,
    };
    word.split(|&octet| octet == b':').map(octet).collect()
}

fn number<T: FromStr>(statement: &Statement, place: usize) -> Result<T, Wrong> {
    parsed(statement, place, "a number")
}

fn parsed<T: FromStr>(statement: &Statement, place: usize, what: &str) -> Result<T, Wrong> {
    let word = statement.word(place).unwrap_or_default();
    let text = std::str::from_utf8(word).unwrap_or_default();
    text.parse()
        .map_err(|_| (statement.spot, wrong_word(statement, place, what)))
}

fn wrong_word(statement: &Statement, place: usize, what: &str) -> String {
    let word = statement.word(place).unwrap_or_default();
    let shown: String = word
        .iter()
        .take(40)
        .map(|&it| super::rows::shown(it))
        .collect();
    format!("\"{shown}\" is not {what}")
}

#[cfg(test)]
mod tests;
