//! From what stands in the file to the octets of an option.

use super::Kind;
use super::field::{Field, address_octets, tuple_octets, unsigned};
use super::special::{self, domain_octets, text_octets};
use crate::config::notation::{self, Family};

/// Turns the data of an option into octets for the wire. Except in texts a comma separates values; `\,` is a
/// comma that does not.
///
/// # Errors
/// A sentence for the operator.
pub(in crate::config) fn encode(
    family: Family,
    kind: &Kind,
    data: &[String],
) -> Result<Vec<u8>, String> {
    // Their parts are not separated by commas alone.
    if *kind == Kind::Resolvers {
        return super::resolver::resolvers(family, one(data)?);
    }
    let mut fields: Vec<String> = Vec::new();
    for text in data {
        if kind.is_undivided() {
            fields.push(text.replace("\\,", ","));
        } else {
            fields.extend(divided(text));
        }
    }
    let fields = &fields[..];
    match kind {
        Kind::Empty => match fields {
            [] => Ok(Vec::new()),
            [text] if text.is_empty() => Ok(Vec::new()),
            _ => Err("has data, but the option takes none; leave `data` out".to_owned()),
        },
        Kind::Fields(types) => record(family, types, fields, false),
        Kind::Array(types) => record(family, types, fields, true),
        Kind::Ipv4Pairs => pairs(fields),
        // RFC 2132 section 5.8 [no-default-in-static-routes].
        Kind::StaticRoutes => match fields.iter().step_by(2).any(|it| it == "0.0.0.0") {
            true => Err("has the default route, which goes into `routers`".to_owned()),
            false => pairs(fields),
        },
        Kind::MtuTable => mtu_table(some(fields)?),
        // RFC 2132 section 8.13 [home-agents-none].
        Kind::HomeAgents => match fields {
            [none] if none.is_empty() => Ok(Vec::new()),
            fields => record(family, &[Field::Ipv4], fields, true),
        },
        Kind::DomainText => {
            let name = one(fields)?;
            domain_octets(name)?;
            Ok(name.strip_suffix('.').unwrap_or(name).as_bytes().to_vec())
        }
        Kind::Text => text_octets(one(fields)?),
        Kind::Uint8(least, most) => unsigned(one(fields)?, u32::from(*least), u32::from(*most), 1),
        Kind::Uint16(least, most) => unsigned(one(fields)?, u32::from(*least), u32::from(*most), 2),
        Kind::Uint32(least, most) => unsigned(one(fields)?, *least, *most, 4),
        Kind::Binary => notation::octets(one(fields)?),
        Kind::DomainSearch => special::search_list(some(fields)?),
        Kind::ClasslessRoutes => concatenate(some(fields)?, special::route_octets),
        Kind::NtpServers => concatenate(some(fields)?, special::ntp_server_octets),
        Kind::SipServers => special::sip_servers(some(fields)?),
        Kind::CivicAddress => special::civic_address(fields),
        Kind::Uris => concatenate(some(fields)?, |text| tuple_octets(Family::V6, text)),
        Kind::Resolvers => Err(String::new()), // returned above
        Kind::VendorClass => special::vendor_class(family, fields),
        // RFC 3925 section 4: the vendor, and the length of no sub-options yet. DHCPv6 has no such length.
        Kind::VendorOptions => {
            let mut octets = unsigned(one(fields)?, 0, u32::MAX, 4)?;
            if family == Family::V4 {
                octets.push(0);
            }
            Ok(octets)
        }
        Kind::ProvisioningServer => special::provisioning_server(one(fields)?),
    }
}

/// The values between commas, without the spaces around them.
fn divided(text: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let escaped = character == '\\' && characters.peek() == Some(&',');
        let next = if escaped {
            characters.next()
        } else {
            Some(character)
        };
        match next {
            Some(',') if !escaped => values.push(String::new()),
            Some(other) => {
                if let Some(value) = values.last_mut() {
                    value.push(other);
                }
            }
            None => {}
        }
    }
    values.iter().map(|value| value.trim().to_owned()).collect()
}

pub(super) fn one(fields: &[String]) -> Result<&str, String> {
    match fields {
        [field] => Ok(field),
        [] => Err("is empty".to_owned()),
        more => Err(format!("has {} values; the option takes one", more.len())),
    }
}

fn some(fields: &[String]) -> Result<&[String], String> {
    match fields {
        [] => Err("is empty; leave the option out instead".to_owned()),
        fields => Ok(fields),
    }
}

fn concatenate(
    fields: &[String],
    octets: impl Fn(&str) -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, String> {
    let parts: Result<Vec<_>, _> = fields.iter().map(|field| octets(field)).collect();
    Ok(parts?.concat())
}

fn pairs(fields: &[String]) -> Result<Vec<u8>, String> {
    match some(fields)?.len() % 2 {
        0 => concatenate(fields, |text| address_octets(Family::V4, text)),
        _ => Err("has an odd number of addresses; write pairs".to_owned()),
    }
}

// RFC 2132 section 4.7 [plateaus-ascend].
fn mtu_table(fields: &[String]) -> Result<Vec<u8>, String> {
    let mtu = |text: &str| unsigned(text, 68, u32::from(u16::MAX), 2);
    let sizes: Result<Vec<_>, _> = fields.iter().map(|field| mtu(field)).collect();
    let sizes = sizes?;
    match sizes.is_sorted() {
        true => Ok(sizes.concat()),
        false => Err("is not in order; write the sizes from small to large".to_owned()),
    }
}

// RFC 2132 section 3.5 [lists-in-order]: the operator's order is that of preference.
/// Values of these types, in this order; of an array the last type holds for all that follow.
fn record(
    family: Family,
    types: &[Field],
    values: &[String],
    is_array: bool,
) -> Result<Vec<u8>, String> {
    let fits = match is_array {
        true => values.len() >= types.len(),
        false => values.len() == types.len(),
    };
    if !fits {
        if let [_] = types {
            return match is_array {
                true => some(values).map(|_| Vec::new()),
                false => one(values).map(|_| Vec::new()),
            };
        }
        let names: Vec<_> = types.iter().map(|field| field.notation()).collect();
        let (names, rest) = (names.join(", "), if is_array { ", ..." } else { "" });
        return Err(format!(
            "has {}; write {names}{rest}",
            crate::config::plural(values.len(), "value")
        ));
    }
    let last = types.last().copied().into_iter().cycle();
    let types = types.iter().copied().chain(last);
    let parts: Result<Vec<_>, _> = types
        .zip(values)
        .map(|(field, value)| field.encode(family, value))
        .collect();
    Ok(parts?.concat())
}
