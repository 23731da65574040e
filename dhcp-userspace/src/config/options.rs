//! The options that can be configured: name (as in Kea), code, and what their data looks like.

mod catalogue;

pub(super) use catalogue::{catalogue, refusal};

use super::notation::{self, Family};
use std::net::{IpAddr, Ipv6Addr};

/// An option that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) code: u16,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What an option's data looks like in the file, and on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One IPv4 address.
    Ipv4,
    /// IPv4 addresses, at least one.
    Ipv4List,
    /// Pairs of IPv4 addresses.
    Ipv4Pairs,
    /// IPv6 addresses, at least one.
    Ipv6List,
    /// One domain name in DNS wire format (RFC 1035 section 3.1).
    Fqdn,
    /// Domain names in DNS wire format, uncompressed.
    FqdnList,
    /// One domain name as text.
    DomainText,
    /// Text, not empty, without NUL.
    Text,
    /// Unsigned numbers; the range is inclusive.
    Uint8(u8, u8),
    /// Two octets.
    Uint16(u16, u16),
    /// Two octets each, at least one.
    Uint16List,
    /// Four octets.
    Uint32(u32, u32),
    /// Four octets, signed.
    Int32,
    /// One octet, 0 or 1.
    Boolean,
    /// Octets in hexadecimal.
    Binary,
    /// Destination and router pairs (RFC 3442).
    ClasslessRoutes,
    /// NTP servers in sub-options (RFC 5908).
    NtpServers,
}

impl Kind {
    /// How its data is written, for documentation.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "documentation is made from it by a test")
    )]
    pub(super) fn notation(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4 address",
            Self::Ipv4List => "IPv4 addresses",
            Self::Ipv4Pairs => "pairs of IPv4 addresses",
            Self::Ipv6List => "IPv6 addresses",
            Self::Fqdn | Self::DomainText => "domain name",
            Self::FqdnList => "domain names",
            Self::Text => "text",
            Self::Uint8(..) => "number, 8 bits",
            Self::Uint16(..) => "number, 16 bits",
            Self::Uint16List => "numbers, 16 bits",
            Self::Uint32(..) => "number, 32 bits",
            Self::Int32 => "signed number, 32 bits",
            Self::Boolean => "true or false",
            Self::Binary => "octets in hexadecimal",
            Self::ClasslessRoutes => "routes, as `10.0.0.0/8 - 192.0.2.1`",
            Self::NtpServers => "IPv6 addresses or domain names",
        }
    }
}

/// Turns the data of an option into octets for the wire. Except in texts a comma separates values.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn encode(kind: Kind, data: &[String]) -> Result<Vec<u8>, String> {
    let undivided = matches!(kind, Kind::Text | Kind::Binary);
    let values = data.iter().flat_map(|text| {
        let parts: Vec<_> = if undivided {
            vec![text.as_str()]
        } else {
            text.split(',').collect()
        };
        parts
            .into_iter()
            .map(|part| if undivided { part } else { part.trim() }.to_owned())
    });
    let fields = &values.collect::<Vec<_>>();
    match kind {
        Kind::Ipv4 => address_octets(Family::V4, one(fields)?),
        Kind::Ipv4List => concatenate(some(fields)?, |text| address_octets(Family::V4, text)),
        Kind::Ipv4Pairs => match some(fields)?.len() % 2 {
            0 => concatenate(fields, |text| address_octets(Family::V4, text)),
            _ => Err("has an odd number of addresses; write pairs".to_owned()),
        },
        Kind::Ipv6List => concatenate(some(fields)?, |text| address_octets(Family::V6, text)),
        Kind::Fqdn => domain_octets(one(fields)?),
        Kind::FqdnList => concatenate(some(fields)?, domain_octets),
        Kind::DomainText => {
            let name = one(fields)?;
            domain_octets(name)?;
            Ok(name.strip_suffix('.').unwrap_or(name).as_bytes().to_vec())
        }
        Kind::Text => match one(fields)? {
            "" => Err("is empty; leave the option out instead".to_owned()),
            text if text.contains('\0') => Err("contains a NUL character".to_owned()),
            text => Ok(text.as_bytes().to_vec()),
        },
        Kind::Uint8(least, most) => {
            let number = whole(one(fields)?, u32::from(least), u32::from(most))?;
            Ok(number.to_be_bytes().into_iter().skip(3).collect())
        }
        Kind::Uint16(least, most) => uint16_octets(one(fields)?, least, most),
        Kind::Uint16List => concatenate(some(fields)?, |text| uint16_octets(text, 0, u16::MAX)),
        Kind::Uint32(least, most) => Ok(whole(one(fields)?, least, most)?.to_be_bytes().to_vec()),
        Kind::Int32 => match one(fields)?.parse::<i32>() {
            Ok(number) => Ok(number.to_be_bytes().to_vec()),
            Err(_) => Err(format!("\"{}\" is not a whole number", one(fields)?)),
        },
        Kind::Boolean => match one(fields)? {
            "true" | "1" => Ok(vec![1]),
            "false" | "0" => Ok(vec![0]),
            other => Err(format!("\"{other}\" is neither true nor false")),
        },
        Kind::Binary => notation::octets(one(fields)?),
        Kind::ClasslessRoutes => concatenate(some(fields)?, route_octets),
        Kind::NtpServers => concatenate(some(fields)?, ntp_server_octets),
    }
}

fn one(fields: &[String]) -> Result<&str, String> {
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

fn address_octets(family: Family, text: &str) -> Result<Vec<u8>, String> {
    let separated = |wrong: String| match text.contains([' ', ';']) {
        true => format!("{wrong}; a comma separates values"),
        false => wrong,
    };
    Ok(match notation::address(family, text).map_err(separated)? {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    })
}

fn whole(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("\"{text}\" is not a whole number from {least} to {most}"))
}

fn uint16_octets(text: &str, least: u16, most: u16) -> Result<Vec<u8>, String> {
    let number = whole(text, u32::from(least), u32::from(most))?;
    Ok(number.to_be_bytes().into_iter().skip(2).collect())
}

/// A name as the DNS writes it: labels with their lengths, a zero at the end.
fn domain_octets(name: &str) -> Result<Vec<u8>, String> {
    const LABEL_OCTETS_MAX: usize = 63;
    const NAME_OCTETS_MAX: usize = 255;
    let mut octets = Vec::with_capacity(name.len() + 2);
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if label.is_empty() || label.len() > LABEL_OCTETS_MAX || !label.chars().all(legal) {
            return Err(format!(
                "\"{name}\" is not a domain name: its label \"{label}\" must be 1 to 63 letters, \
                 digits, hyphens or underscores"
            ));
        }
        octets.push(label.len() as u8); // 63 at most
        octets.extend_from_slice(label.as_bytes());
    }
    octets.push(0);
    match octets.len() {
        0..=NAME_OCTETS_MAX => Ok(octets),
        len => Err(format!(
            "\"{name}\" has {len} octets in the DNS; at most 255 are allowed"
        )),
    }
}

/// `10.0.0.0/8 - 192.0.2.1`: the length, as many octets of the destination as matter, the router.
fn route_octets(text: &str) -> Result<Vec<u8>, String> {
    let Some((destination, router)) = text.split_once(" - ") else {
        return Err(format!(
            "\"{text}\" is not a route; write it like \"10.0.0.0/8 - 192.0.2.1\""
        ));
    };
    let destination = notation::prefix(Family::V4, destination.trim())?;
    let router = address_octets(Family::V4, router.trim())?;
    // RFC 3442: only the significant octets of the destination are sent.
    let significant = usize::from(destination.len.div_ceil(8));
    let address = address_octets(Family::V4, &destination.address.to_string())?;
    let mut octets = vec![destination.len];
    octets.extend(address.into_iter().take(significant));
    octets.extend(router);
    Ok(octets)
}

/// A sub-option of RFC 5908: 1 is a unicast address, 2 a multicast address, 3 a name.
fn ntp_server_octets(text: &str) -> Result<Vec<u8>, String> {
    let (code, data): (u16, _) = match text.parse::<Ipv6Addr>() {
        Ok(address) if address.is_multicast() => (2, address.octets().to_vec()),
        Ok(address) => (1, address.octets().to_vec()),
        Err(_) if text.contains(':') => return Err(format!("\"{text}\" is not an IPv6 address")),
        Err(_) => (3, domain_octets(text)?),
    };
    let len = data.len() as u16; // an address or a name, 255 octets at most
    Ok([code.to_be_bytes().as_slice(), &len.to_be_bytes(), &data].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(family: Family, name: &str, data: &str) -> Result<Vec<u8>, String> {
        let known = catalogue(family)
            .iter()
            .find(|known| known.name == name)
            .unwrap();
        encode(known.kind, &[data.to_owned()])
    }

    #[test]
    fn codes_ascend_and_names_are_unique_and_none_is_refused() {
        for family in [Family::V4, Family::V6] {
            let all = catalogue(family);
            assert!(all.is_sorted_by(|a, b| a.code < b.code), "{family:?}");
            let names: std::collections::HashSet<_> = all.iter().map(|known| known.name).collect();
            assert_eq!(names.len(), all.len());
            assert!(
                all.iter()
                    .all(|known| refusal(family, known.code).is_none())
            );
        }
    }

    #[test]
    fn data_becomes_the_octets_of_the_rfc() {
        let v4: [(&str, &str, &[u8]); 12] = [
            (
                "routers",
                "192.0.2.1, 192.0.2.2",
                &[192, 0, 2, 1, 192, 0, 2, 2],
            ),
            ("time-offset", "-3600", &[0xff, 0xff, 0xf1, 0xf0]),
            ("interface-mtu", "1492", &[0x05, 0xd4]),
            ("default-ip-ttl", "64", &[64]),
            ("ip-forwarding", "true", &[1]),
            ("v6-only-preferred", "1800", &[0, 0, 7, 8]),
            ("domain-name", "example.org.", b"example.org"),
            (
                "domain-search",
                "a.example, b",
                b"\x01a\x07example\0\x01b\0",
            ),
            ("v4-captive-portal", "https://a/b,c", b"https://a/b,c"),
            ("vendor-encapsulated-options", "01:02:ff", &[1, 2, 255]),
            // RFC 3442's own examples.
            (
                "classless-static-route",
                "10.0.0.0/8 - 192.0.2.1, 10.17.0.0/16 - 192.0.2.2",
                &[8, 10, 192, 0, 2, 1, 16, 10, 17, 192, 0, 2, 2],
            ),
            (
                "classless-static-route",
                "0.0.0.0/0 - 192.0.2.254",
                &[0, 192, 0, 2, 254],
            ),
        ];
        for (name, data, octets) in v4 {
            assert_eq!(encoded(Family::V4, name, data).unwrap(), octets, "{name}");
        }
        let ntp = encoded(Family::V6, "ntp-server", "2001:db8::1, ntp.example").unwrap();
        assert_eq!(ntp[..6], [0, 1, 0, 16, 0x20, 0x01]);
        assert_eq!(ntp[20..], *b"\0\x03\0\x0d\x03ntp\x07example\0");
        assert_eq!(
            encoded(Family::V6, "sol-max-rt", "3600").unwrap(),
            [0, 0, 0x0e, 0x10]
        );
    }

    #[test]
    fn wrong_data_says_what_is_wrong() {
        for (name, data, sentence) in [
            (
                "routers",
                "192.0.2.300",
                "\"192.0.2.300\" is not an IPv4 address",
            ),
            (
                "routers",
                "2001:db8::1",
                "\"2001:db8::1\" is not an IPv4 address",
            ),
            (
                "subnet-mask",
                "255.0.0.0, 1.2.3.4",
                "has 2 values; the option takes one",
            ),
            (
                "static-routes",
                "192.0.2.1",
                "has an odd number of addresses; write pairs",
            ),
            (
                "interface-mtu",
                "67",
                "\"67\" is not a whole number from 68 to 65535",
            ),
            ("ip-forwarding", "yes", "\"yes\" is neither true nor false"),
            (
                "classless-static-route",
                "10.0.0.0/8 192.0.2.1",
                "\"10.0.0.0/8 192.0.2.1\" is not a route; write it like \"10.0.0.0/8 - 192.0.2.1\"",
            ),
            (
                "domain-name",
                "a..b",
                "\"a..b\" is not a domain name: its label \"\" must be 1 to 63 letters, digits, \
                 hyphens or underscores",
            ),
        ] {
            assert_eq!(
                encoded(Family::V4, name, data).unwrap_err(),
                sentence,
                "{name}"
            );
        }
        let too_long = ["a".repeat(60).as_str(); 5].join(".");
        assert!(
            encoded(Family::V4, "domain-name", &too_long)
                .unwrap_err()
                .contains("306 octets")
        );
        assert!(encoded(Family::V6, "sol-max-rt", "59").is_err());
        assert!(encode(Kind::Text, &[]).is_err());
        assert!(encode(Kind::Ipv4List, &[]).is_err());
    }
}
