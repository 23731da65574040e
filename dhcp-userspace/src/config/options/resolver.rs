//! Encrypted DNS resolvers (RFC 9463), in the form that Kea has for them:
//! `10, dot.example.org., 192.0.2.3 192.0.2.4, alpn=dot\,doq port=8530`.

use super::field::{address_octets, unsigned};
use super::special::domain_octets;
use crate::config::notation::Family;

/// Service parameters by name and number (RFC 9460 section 14.3.2), as far as a resolver has them
/// (RFC 9463 section 3.1.8, RFC 9461).
const ALPN: u16 = 1;
const PORT: u16 = 3;
const DOHPATH: u16 = 7;

/// All resolvers of an option: in DHCPv4 several with a bar between them, each with its length; in DHCPv6 one.
pub(super) fn resolvers(family: Family, text: &str) -> Result<Vec<u8>, String> {
    match family {
        Family::V4 => {
            let mut octets = Vec::new();
            for one in split(text, '|') {
                let resolver = resolver(family, one.trim())?;
                octets.extend(length(resolver.len())?);
                octets.extend(resolver);
            }
            Ok(octets)
        }
        Family::V6 if split(text, '|').len() > 1 => {
            Err("has several resolvers; the option of DHCPv6 takes one".to_owned())
        }
        Family::V6 => resolver(family, text),
    }
}

fn resolver(family: Family, text: &str) -> Result<Vec<u8>, String> {
    let parts = split(text, ',');
    let (priority, name, rest) = match &parts[..] {
        [priority, name, rest @ ..] if rest.len() <= 2 => (priority.trim(), name.trim(), rest),
        _ => {
            return Err(format!(
                "\"{text}\" is not a resolver; write PRIORITY, NAME, ADDRESSES, PARAMETERS, as \
                 \"10, dot.example.org., 192.0.2.53 192.0.2.54, alpn=dot\""
            ));
        }
    };
    let mut octets = unsigned(priority, 1, 65_535, 2)?;
    let name = domain_octets(name)?;
    let mut addresses = Vec::new();
    for address in rest
        .first()
        .map(String::as_str)
        .unwrap_or_default()
        .split_whitespace()
    {
        addresses.extend(address_octets(family, address)?);
    }
    // RFC 9463 section 4.1: with nothing but the name, the fields after it are not there.
    match family {
        Family::V4 => {
            octets.push(name.len() as u8); // 255 at most
            octets.extend(name);
            if !rest.is_empty() {
                let len = addresses.len();
                let too_many = |_| format!("has {len} octets of addresses; at most 255 fit");
                octets.push(u8::try_from(len).map_err(too_many)?);
            }
        }
        Family::V6 => {
            octets.extend(length(name.len())?);
            octets.extend(name);
            if !rest.is_empty() {
                octets.extend(length(addresses.len())?);
            }
        }
    }
    if !rest.is_empty() && addresses.is_empty() {
        return Err("has parameters but no addresses; write the addresses before them".to_owned());
    }
    octets.extend(addresses);
    if let Some(parameters) = rest.get(1) {
        octets.extend(service_parameters(&parameters.replace("\\,", ","))?);
    }
    Ok(octets)
}

/// Key, length and value of each, by ascending key (RFC 9460 section 2.2).
fn service_parameters(text: &str) -> Result<Vec<u8>, String> {
    let mut all: Vec<(u16, Vec<u8>)> = Vec::new();
    for parameter in text.split_whitespace() {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let (key, octets) = match name {
            "alpn" => (ALPN, protocols(value)?),
            "port" => (PORT, unsigned(value, 1, 65_535, 2)?),
            "dohpath" if value.starts_with('/') && value.contains("{?dns}") => {
                (DOHPATH, value.as_bytes().to_vec())
            }
            "dohpath" => {
                return Err(format!(
                    "\"{value}\" is not a path of DNS over HTTPS; write it like \"/dns-query{{?dns}}\""
                ));
            }
            _ => {
                return Err(format!(
                    "\"{name}\" is not a parameter of a resolver; there are alpn, port and dohpath"
                ));
            }
        };
        if all.iter().any(|(known, _)| *known == key) {
            return Err(format!("has \"{name}\" twice; keep one"));
        }
        all.push((key, octets));
    }
    all.sort();
    let mut octets = Vec::new();
    for (key, value) in all {
        octets.extend(key.to_be_bytes());
        octets.extend(length(value.len())?);
        octets.extend(value);
    }
    Ok(octets)
}

/// Identifiers of protocols, each with its length in one octet.
fn protocols(text: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    for protocol in text.split(',') {
        if !(1..=255).contains(&protocol.len()) {
            return Err(format!(
                "\"{text}\" is not a list of protocols; write it like \"dot,doq\""
            ));
        }
        octets.push(protocol.len() as u8); // 255 at most
        octets.extend(protocol.bytes());
    }
    Ok(octets)
}

fn length(len: usize) -> Result<[u8; 2], String> {
    let len = u16::try_from(len).map_err(|_| format!("has {len} octets; at most 65535 fit"))?;
    Ok(len.to_be_bytes())
}

/// Parts between separators that have no backslash before them.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for character in text.chars() {
        if character == separator && !escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(character);
        }
        escaped = character == '\\';
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_has_priority_name_addresses_and_parameters() {
        let full = resolvers(
            Family::V4,
            "10, a.b., 192.0.2.3 192.0.2.4, alpn=dot\\,h2 port=853 dohpath=/q{?dns} | 20, c",
        )
        .unwrap();
        let first = b"\0\x0a\x05\x01a\x01b\0\x08\xc0\0\x02\x03\xc0\0\x02\x04\
                      \0\x01\0\x07\x03dot\x02h2\0\x03\0\x02\x03\x55\0\x07\0\x08/q{?dns}";
        let second = b"\0\x14\x03\x01c\0";
        let expected = [
            &(first.len() as u16).to_be_bytes()[..],
            first,
            &(second.len() as u16).to_be_bytes(),
            second,
        ]
        .concat();
        assert_eq!(full, expected);
        let v6 = resolvers(Family::V6, "1, a, 2001:db8::1").unwrap();
        assert_eq!(v6[..9], *b"\0\x01\0\x03\x01a\0\0\x10");
        assert_eq!(v6.len(), 25);
    }

    #[test]
    fn what_is_no_resolver_says_what_to_write() {
        for (family, text, part) in [
            (
                Family::V4,
                "10",
                "write PRIORITY, NAME, ADDRESSES, PARAMETERS",
            ),
            (
                Family::V4,
                "0, a",
                "\"0\" is not a whole number from 1 to 65535",
            ),
            (Family::V4, "1, a, 2001:db8::1", "is not an IPv4 address"),
            (
                Family::V4,
                "1, a, , alpn=dot",
                "has parameters but no addresses",
            ),
            (
                Family::V4,
                "1, a, 192.0.2.1, alpn=",
                "is not a list of protocols",
            ),
            (
                Family::V4,
                "1, a, 192.0.2.1, ech=1",
                "there are alpn, port and dohpath",
            ),
            (
                Family::V4,
                "1, a, 192.0.2.1, port=1 port=2",
                "has \"port\" twice",
            ),
            (Family::V4, "1, a, 192.0.2.1, dohpath=q", "is not a path"),
            (Family::V6, "1, a | 2, b", "the option of DHCPv6 takes one"),
        ] {
            let said = resolvers(family, text).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
