//! Values that more than one table has, each judged alone.

use crate::config::keys;
use crate::config::notation::{self, Family, Prefix};
use crate::config::reader::{Table, Value};
use crate::config::report::{At, Report};
use dhcp_core::limits::LineKey;
use dhcp_core::subnet::{ClientKey, Preference};
use dhcp_lease::Allocator;
use dhcp_wire::v4::code;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

pub(super) fn relays(
    table: &Table<'_>,
    families: &[Family],
    report: &mut Report,
) -> Vec<At<IpAddr>> {
    let Some(relay) = table
        .get("relay")
        .and_then(|it| it.table(&keys::RELAY, report))
    else {
        return Vec::new();
    };
    let Some(addresses) = relay.require("ip-addresses", report) else {
        return Vec::new();
    };
    let address = |value: &Value<'_>| match families {
        [family] => notation::address(*family, value.text()?),
        _ => value
            .text()?
            .parse()
            .map_err(|_| format!("{}, not an address", value.found())),
    };
    let addresses = addresses.list(report).into_iter();
    addresses
        .filter_map(|it| it.read(report, address))
        .collect()
}

pub(super) fn path(value: &Value<'_>) -> Result<PathBuf, String> {
    let path = PathBuf::from(value.text_within(4096)?);
    match path.is_absolute() && !value.text()?.contains('\0') {
        true => Ok(path),
        false => Err(format!(
            "{}, not an absolute path; begin it with /",
            value.found()
        )),
    }
}

/// A name that Linux would take (`dev_valid_name`): 1 to 15 octets without `/`, `:` and spaces.
pub(super) fn interface_name(value: &Value<'_>) -> Result<String, String> {
    let name = value.text()?;
    let legal = |c: char| !c.is_whitespace() && !c.is_control() && c != '/' && c != ':';
    match (1..=15).contains(&name.len()) && name.chars().all(legal) && name != "." && name != ".." {
        true => Ok(name.to_owned()),
        false => Err(format!(
            "{}, which cannot be the name of an interface: that has 1 to 15 characters, no space, / or :",
            value.found()
        )),
    }
}

/// Kea's words for the allocators.
pub(super) fn allocator(value: &Value<'_>) -> Result<Allocator, String> {
    value.word(&[
        ("iterative", Allocator::Iterative),
        ("random", Allocator::Random),
        ("flq", Allocator::FreeLeaseQueue),
    ])
}

pub(super) fn preference(value: &Value<'_>) -> Result<Preference, String> {
    value.word(&[
        ("former", Preference::Former),
        ("requested", Preference::Requested),
    ])
}

pub(super) fn percent(value: &Value<'_>) -> Result<u32, String> {
    value.whole_u32(0, 100)
}

pub(super) fn ipv4(value: &Value<'_>) -> Result<Ipv4Addr, String> {
    match notation::address(Family::V4, value.text()?)? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(address) => Err(format!("\"{address}\" is not an IPv4 address")),
    }
}

/// An address that a server can have.
pub(super) fn server_address(value: &Value<'_>) -> Result<Ipv4Addr, String> {
    let address = ipv4(value)?;
    let unusable = address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_loopback();
    match unusable {
        true => Err(format!("{address} cannot be the address of this server")),
        false => Ok(address),
    }
}

/// Kea takes an Interface-Id as text or, with 0x before it, in hexadecimal.
pub(super) fn text_or_octets(value: &Value<'_>) -> Result<Vec<u8>, String> {
    let text = value.text_within(65_535)?;
    match text.starts_with("0x") {
        true => notation::octets(&text),
        false => Ok(text.into_bytes()),
    }
}

/// Relay agents that may speak to us: addresses and prefixes.
pub(super) fn allowed_relays(table: &Table<'_>, report: &mut Report) -> Option<Vec<At<Prefix>>> {
    let written = table.get("allowed-relays")?.list(report).into_iter();
    let prefix = |value: &Value<'_>| match value.text()? {
        text if text.contains('/') => notation::prefix(Family::V4, text),
        text => notation::prefix(Family::V4, &format!("{text}/32")),
    };
    let relays = written.filter_map(|it| it.read(report, prefix));
    Some(relays.collect())
}

/// Types of VPN names (RFC 6607 section 3.5), and the size of an identifier by RFC 2685.
const VPN_ASCII: u8 = 0;
const VPN_RFC_2685: u8 = 1;
const VPN_ID_SIZE: usize = 7;
/// Most octets of a VPN's name: one option with its type.
const VPN_NAME_MAX: usize = 254;

/// The VPN of a subnet as its messages name it: a name, or with 0x before it the identifier of RFC 2685.
pub(super) fn vpn(value: &Value<'_>) -> Result<Vec<u8>, String> {
    let text = value.text_within(VPN_NAME_MAX)?;
    if text.starts_with("0x") {
        let octets = notation::octets(&text)?;
        return match octets.len() {
            VPN_ID_SIZE => Ok([&[VPN_RFC_2685], &octets[..]].concat()),
            got => Err(format!(
                "has {got} octets; an identifier of RFC 2685 has {VPN_ID_SIZE}, as \"0x00005e00000001\""
            )),
        };
    }
    match text.chars().all(|c| c.is_ascii() && !c.is_control()) {
        true => Ok([&[VPN_ASCII], text.as_bytes()].concat()),
        false => Err("is not ASCII; relay agents send names in ASCII (RFC 6607)".to_owned()),
    }
}

/// What a line is, in subnets of these protocols.
pub(super) fn line_key(value: &Value<'_>, families: &[Family]) -> Result<LineKey, String> {
    let mut words = Vec::new();
    for family in families {
        words.push(match family {
            Family::V4 => ("circuit-id", LineKey::Port),
            Family::V6 => ("interface-id", LineKey::Port),
        });
    }
    words.push(("remote-id", LineKey::Remote));
    words.push(("subscriber-id", LineKey::Subscriber));
    value.word(&words)
}

/// By what bindings are found.
pub(super) fn client_key(value: &Value<'_>) -> Result<ClientKey, String> {
    value.word(&[
        ("client-id", ClientKey::Client),
        ("circuit-id", ClientKey::Agent(code::AGENT_CIRCUIT_ID)),
        ("remote-id", ClientKey::Agent(code::AGENT_REMOTE_ID)),
        ("subscriber-id", ClientKey::Agent(code::AGENT_SUBSCRIBER_ID)),
        ("flex-id", ClientKey::Flexible),
    ])
}
