//! One value in the data of an option: Kea's data types.

use super::special::{self, text_octets};
use crate::config::notation::{self, Family};
use std::net::{IpAddr, Ipv6Addr};

/// A data type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Field {
    /// The rest, in hexadecimal.
    Binary,
    /// One octet, 0 or 1.
    Boolean,
    /// A signed number of one octet.
    Int8,
    /// A signed number of two octets.
    Int16,
    /// A signed number of four octets.
    Int32,
    /// A number of one octet.
    Uint8,
    /// A number of two octets.
    Uint16,
    /// A number of four octets.
    Uint32,
    /// Four octets.
    Ipv4,
    /// Sixteen octets.
    Ipv6,
    /// A length, and as many octets as it needs (RFC 7598 section 4.1).
    Ipv6Prefix,
    /// A port set: its length in bits, and its bits at the front of two octets (RFC 7598 section 4.5).
    Psid,
    /// A text with its length: one octet in DHCPv4, two in DHCPv6.
    Tuple,
    /// A domain name in DNS wire format (RFC 1035 section 3.1).
    Fqdn,
    /// The rest, as text.
    Text,
}

impl Field {
    /// The types by Kea's names for them.
    pub(in crate::config) const NAMES: [(&'static str, Self); 15] = [
        ("binary", Self::Binary),
        ("boolean", Self::Boolean),
        ("int8", Self::Int8),
        ("int16", Self::Int16),
        ("int32", Self::Int32),
        ("uint8", Self::Uint8),
        ("uint16", Self::Uint16),
        ("uint32", Self::Uint32),
        ("ipv4-address", Self::Ipv4),
        ("ipv6-address", Self::Ipv6),
        ("ipv6-prefix", Self::Ipv6Prefix),
        ("psid", Self::Psid),
        ("tuple", Self::Tuple),
        ("fqdn", Self::Fqdn),
        ("string", Self::Text),
    ];

    /// Whether nothing can follow it, for it has no length of its own.
    pub(in crate::config) fn is_endless(self) -> bool {
        matches!(self, Self::Binary | Self::Text)
    }

    /// Its size on the wire; `None` if that depends on the value.
    pub(super) fn octets(self) -> Option<usize> {
        match self {
            Self::Boolean | Self::Int8 | Self::Uint8 => Some(1),
            Self::Int16 | Self::Uint16 => Some(2),
            Self::Psid => Some(3),
            Self::Int32 | Self::Uint32 | Self::Ipv4 => Some(4),
            Self::Ipv6 => Some(16),
            Self::Binary | Self::Ipv6Prefix | Self::Tuple | Self::Fqdn | Self::Text => None,
        }
    }

    pub(super) fn notation(self) -> &'static str {
        match self {
            Self::Binary => "octets in hexadecimal",
            Self::Boolean => "true or false",
            Self::Int8 => "signed number, 8 bits",
            Self::Int16 => "signed number, 16 bits",
            Self::Int32 => "signed number, 32 bits",
            Self::Uint8 => "number, 8 bits",
            Self::Uint16 => "number, 16 bits",
            Self::Uint32 => "number, 32 bits",
            Self::Ipv4 => "IPv4 address",
            Self::Ipv6 => "IPv6 address",
            Self::Ipv6Prefix => "IPv6 prefix",
            Self::Psid => "port set, as `3/4`",
            Self::Tuple | Self::Text => "text",
            Self::Fqdn => "domain name",
        }
    }

    /// Its value as octets.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(super) fn encode(self, family: Family, text: &str) -> Result<Vec<u8>, String> {
        match self {
            Self::Binary => notation::octets(text),
            Self::Boolean => match text {
                "true" | "1" => Ok(vec![1]),
                "false" | "0" => Ok(vec![0]),
                other => Err(format!("\"{other}\" is neither true nor false")),
            },
            Self::Int8 => signed(text, 1),
            Self::Int16 => signed(text, 2),
            Self::Int32 => signed(text, 4),
            Self::Uint8 => unsigned(text, 0, u32::from(u8::MAX), 1),
            Self::Uint16 => unsigned(text, 0, u32::from(u16::MAX), 2),
            Self::Uint32 => unsigned(text, 0, u32::MAX, 4),
            Self::Ipv4 => address_octets(Family::V4, text),
            Self::Ipv6 => address_octets(Family::V6, text),
            Self::Ipv6Prefix => {
                let prefix = notation::prefix(Family::V6, text)?;
                let significant = usize::from(prefix.len.div_ceil(8));
                let address = match prefix.address {
                    IpAddr::V6(address) => address,
                    IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED, // read as IPv6
                };
                let octets = address.octets().into_iter().take(significant);
                Ok(std::iter::once(prefix.len).chain(octets).collect())
            }
            Self::Psid => psid_octets(text),
            Self::Tuple => tuple_octets(family, text),
            Self::Fqdn => special::domain_octets(text),
            Self::Text => text_octets(text),
        }
    }
}

/// A whole number of a range, in its last octets.
pub(super) fn unsigned(text: &str, least: u32, most: u32, size: usize) -> Result<Vec<u8>, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let number = number.filter(|number| (least..=most).contains(number));
    let number =
        number.ok_or_else(|| format!("\"{text}\" is not a whole number from {least} to {most}"))?;
    Ok(number
        .to_be_bytes()
        .into_iter()
        .skip(4 - size.min(4))
        .collect())
}

fn signed(text: &str, size: usize) -> Result<Vec<u8>, String> {
    let bits = size as u32 * 8; // 1, 2 or 4 octets
    let (least, most) = (-(1i64 << (bits - 1)), (1i64 << (bits - 1)) - 1);
    let number = text
        .parse::<i64>()
        .ok()
        .filter(|number| (least..=most).contains(number));
    let number =
        number.ok_or_else(|| format!("\"{text}\" is not a whole number from {least} to {most}"))?;
    Ok(number.to_be_bytes().into_iter().skip(8 - size).collect())
}

pub(super) fn address_octets(family: Family, text: &str) -> Result<Vec<u8>, String> {
    let separated = |wrong: String| match text.contains([' ', ';']) {
        true => format!("{wrong}; a comma separates values"),
        false => wrong,
    };
    Ok(match notation::address(family, text).map_err(separated)? {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    })
}

fn psid_octets(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("\"{text}\" is not a port set; write PSID/LENGTH, as \"3/4\"");
    let (psid, len) = text.split_once('/').ok_or_else(wrong)?;
    let len: u8 = len.trim().parse().map_err(|_| wrong())?;
    let psid: u32 = psid.trim().parse().map_err(|_| wrong())?;
    if len > 16 || u64::from(psid) >= 1 << len {
        return Err(format!(
            "\"{text}\" is not a port set: the length has 0 to 16 bits, and the number fits in them"
        ));
    }
    let bits = (psid << (16 - u32::from(len))) as u16; // 16 bits, as checked
    let [high, low] = bits.to_be_bytes();
    Ok(vec![len, high, low])
}

/// A text with its length before it.
pub(super) fn tuple_octets(family: Family, text: &str) -> Result<Vec<u8>, String> {
    let octets = text_octets(text)?;
    let too_long = |most| format!("\"{text}\" has {} octets; at most {most} fit", octets.len());
    let mut tuple = match family {
        Family::V4 => vec![u8::try_from(octets.len()).map_err(|_| too_long(255))?],
        Family::V6 => {
            let len = u16::try_from(octets.len()).map_err(|_| too_long(65_535))?;
            len.to_be_bytes().to_vec()
        }
    };
    tuple.extend(octets);
    Ok(tuple)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_type_has_its_octets() {
        let cases: [(Field, &str, &[u8]); 16] = [
            (Field::Binary, "01:ff", &[1, 255]),
            (Field::Boolean, "true", &[1]),
            (Field::Int8, "-128", &[0x80]),
            (Field::Int16, "-2", &[0xff, 0xfe]),
            (Field::Int32, "-3600", &[0xff, 0xff, 0xf1, 0xf0]),
            (Field::Uint8, "255", &[255]),
            (Field::Uint16, "0x0102", &[1, 2]),
            (Field::Uint32, "4294967295", &[255; 4]),
            (Field::Ipv4, "192.0.2.1", &[192, 0, 2, 1]),
            (
                Field::Ipv6,
                "::1",
                &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            ),
            (
                Field::Ipv6Prefix,
                "2001:db8::/33",
                &[33, 0x20, 1, 0x0d, 0xb8, 0],
            ),
            (Field::Ipv6Prefix, "::/0", &[0]),
            (Field::Psid, "3/4", &[4, 0x30, 0]),
            (Field::Tuple, "abc", b"\x03abc"),
            (Field::Fqdn, "a.example", b"\x01a\x07example\0"),
            (Field::Text, "abc", b"abc"),
        ];
        for (field, text, octets) in cases {
            assert_eq!(field.encode(Family::V4, text).unwrap(), octets, "{field:?}");
        }
        assert_eq!(
            Field::Tuple.encode(Family::V6, "abc").unwrap(),
            b"\0\x03abc"
        );
        for (field, text) in [
            (Field::Int8, "128"),
            (Field::Int16, "-32769"),
            (Field::Int32, "x"),
            (Field::Uint8, "256"),
            (Field::Uint16, "-1"),
            (Field::Uint32, "4294967296"),
            (Field::Psid, "16/4"),
            (Field::Psid, "0/17"),
            (Field::Psid, "1"),
            (Field::Ipv6Prefix, "2001:db8::1/32"),
            (Field::Text, ""),
            (Field::Boolean, "yes"),
        ] {
            assert!(field.encode(Family::V4, text).is_err(), "{field:?} {text}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_what_was_written(number in any::<i32>()) {
            let octets = Field::Int32.encode(Family::V4, &number.to_string()).unwrap();
            prop_assert_eq!(i32::from_be_bytes(octets.try_into().unwrap()), number);
            let octets = Field::Uint32.encode(Family::V4, &(number as u32).to_string()).unwrap();
            prop_assert_eq!(u32::from_be_bytes(octets.try_into().unwrap()), number as u32);
        }

        #[test]
        fn port_sets_are_what_was_written(len in 0u8..=16, any in any::<u16>()) {
            let psid = u32::from(any) & ((1 << len) - 1);
            let octets = Field::Psid.encode(Family::V6, &format!("{psid}/{len}")).unwrap();
            prop_assert_eq!(octets[0], len);
            let bits = u32::from(u16::from_be_bytes([octets[1], octets[2]]));
            prop_assert_eq!(bits >> (16 - len), psid);
        }
    }
}
