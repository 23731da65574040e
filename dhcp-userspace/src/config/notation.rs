//! How are addresses, prefixes, ranges and identifiers written? Text to values, each error a sentence.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// DHCPv4 or DHCPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// DHCPv4.
    V4,
    /// DHCPv6.
    V6,
}

impl Family {
    /// Bits of an address.
    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// `IPv4` or `IPv6`.
    pub fn ip(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// The address with this number.
    pub fn address(self, number: u128) -> IpAddr {
        match self {
            // A number of this family has 32 bits at most: it was made from an address.
            Self::V4 => IpAddr::V4(Ipv4Addr::from_bits(number as u32)),
            Self::V6 => IpAddr::V6(Ipv6Addr::from_bits(number)),
        }
    }

    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// An address as a number, for comparing and counting.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// A prefix without bits set after its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// Its first address.
    pub address: IpAddr,
    /// Its length in bits.
    pub len: u8,
}

impl Prefix {
    /// All its addresses.
    pub fn range(&self) -> Range {
        let family = Family::of(self.address);
        let first = number(self.address);
        Range {
            first,
            last: first | host_mask(family, self.len),
            family,
            prefix_len: Some(self.len),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

/// Consecutive addresses, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Number of the first.
    pub first: u128,
    /// Number of the last, not below the first.
    pub last: u128,
    /// Of which family they are.
    pub family: Family,
    /// Its length if it was written as a prefix: errors name it as the operator did.
    pub prefix_len: Option<u8>,
}

impl Range {
    /// A single address.
    pub fn one(address: IpAddr) -> Self {
        let family = Family::of(address);
        Prefix {
            address,
            len: family.bits(),
        }
        .range()
    }

    /// Whether all of the other lies in this one.
    pub fn holds(&self, other: &Range) -> bool {
        self.family == other.family && self.first <= other.first && other.last <= self.last
    }

    /// Whether some address lies in both.
    pub fn overlaps(&self, other: &Range) -> bool {
        self.family == other.family && self.first <= other.last && other.first <= self.last
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        Family::of(address) == self.family && (self.first..=self.last).contains(&number(address))
    }

    /// How many addresses less one, which always fits.
    pub fn count_less_one(&self) -> u128 {
        self.last - self.first
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (
            self.family.address(self.first),
            self.family.address(self.last),
        );
        match self.prefix_len {
            _ if first == last => write!(f, "{first}"),
            Some(len) => write!(f, "{first}/{len}"),
            None => write!(f, "{first}-{last}"),
        }
    }
}

/// Reads an address of a family.
///
/// # Errors
/// A sentence for the operator.
pub fn address(family: Family, text: &str) -> Result<IpAddr, String> {
    let wrong = || format!("\"{text}\" is not an {} address", family.ip());
    match family {
        Family::V4 => text.parse().map(IpAddr::V4).map_err(|_| wrong()),
        Family::V6 => text.parse().map(IpAddr::V6).map_err(|_| wrong()),
    }
}

/// Reads `192.0.2.0/24`.
///
/// # Errors
/// A sentence for the operator.
pub fn prefix(family: Family, text: &str) -> Result<Prefix, String> {
    let example = match family {
        Family::V4 => "192.0.2.0/24",
        Family::V6 => "2001:db8::/64",
    };
    let Some((before, after)) = text.split_once('/') else {
        return Err(format!(
            "\"{text}\" is not a prefix; write it like \"{example}\""
        ));
    };
    let address = address(family, before.trim())?;
    let len = prefix_len(family, after.trim())?;
    let network = family.address(number(address) & !host_mask(family, len));
    if network != address {
        return Err(format!(
            "{text} has bits set after its length; write \"{network}/{len}\""
        ));
    }
    Ok(Prefix { address, len })
}

/// Reads the length of a prefix.
///
/// # Errors
/// A sentence for the operator.
fn prefix_len(family: Family, text: &str) -> Result<u8, String> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    let len = text
        .parse()
        .ok()
        .filter(|&len| digits && len <= family.bits());
    len.ok_or_else(|| {
        format!(
            "\"{text}\" is not a prefix length; {} has 0 to {}",
            family.ip(),
            family.bits()
        )
    })
}

/// Reads a pool: `192.0.2.10-192.0.2.200`, or a prefix.
///
/// # Errors
/// A sentence for the operator.
pub fn range(family: Family, text: &str) -> Result<Range, String> {
    if text.contains('/') {
        return Ok(prefix(family, text.trim())?.range());
    }
    let Some((before, after)) = text.split_once('-') else {
        return Err(format!(
            "\"{text}\" is not a pool; write its first and last address as \"FIRST-LAST\", or a prefix"
        ));
    };
    let first = address(family, before.trim())?;
    let last = address(family, after.trim())?;
    if last < first {
        return Err(format!(
            "ends at {last} before it begins at {first}; swap the two"
        ));
    }
    Ok(Range {
        first: number(first),
        last: number(last),
        family,
        prefix_len: None,
    })
}

/// Reads octets in hexadecimal, `02:00:5e:00:53:01`, `0x02005e` or `02005e`; or a text in single
/// quotes, `'port 7'` (both as in Kea).
///
/// # Errors
/// A sentence for the operator.
pub fn octets(text: &str) -> Result<Vec<u8>, String> {
    let trimmed = text.trim();
    if let Some(quoted) = trimmed
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
    {
        return Ok(quoted.as_bytes().to_vec());
    }
    let bare = trimmed.strip_prefix("0x").unwrap_or(trimmed);
    let groups = bare.split([':', '-', ' ']);
    let mut octets = Vec::with_capacity(bare.len() / 2);
    let separated = bare.contains([':', '-', ' ']);
    for group in groups {
        // A group of one digit is an octet in `2:0:5e`, and half an octet elsewhere.
        let padded = if separated && group.len() == 1 {
            format!("0{group}")
        } else {
            group.into()
        };
        let read = hex_group(&padded);
        octets.extend(read.ok_or_else(|| {
            format!("\"{text}\" is not hexadecimal; write octets like \"02:00:5e:00:53:01\"")
        })?);
    }
    Ok(octets)
}

fn hex_group(group: &str) -> Option<Vec<u8>> {
    let digits = group.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let nibble = |digit: &u8| char::from(*digit).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from((nibble(high)? << 4) | nibble(low)?).ok(),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

/// Octets as `02:00:5e`.
pub fn hex(octets: &[u8]) -> String {
    let pairs: Vec<_> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    pairs.join(":")
}

/// The bits after a prefix of this length.
fn host_mask(family: Family, len: u8) -> u128 {
    let host_bits = family.bits().saturating_sub(len);
    u128::MAX
        .checked_shr(128 - u32::from(host_bits))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_ranges_read_as_written() {
        let all4 = prefix(Family::V4, "0.0.0.0/0").unwrap().range();
        assert_eq!((all4.first, all4.last), (0, u128::from(u32::MAX)));
        let all6 = prefix(Family::V6, "::/0").unwrap().range();
        assert_eq!((all6.first, all6.last), (0, u128::MAX));
        let one = prefix(Family::V6, "2001:db8::1/128").unwrap().range();
        assert_eq!(one.count_less_one(), 0);
        assert_eq!(
            range(Family::V4, "192.0.2.10 - 192.0.2.200")
                .unwrap()
                .to_string(),
            "192.0.2.10-192.0.2.200"
        );
        assert_eq!(
            range(Family::V4, "192.0.2.0/30").unwrap().count_less_one(),
            3
        );
    }

    #[test]
    fn what_is_no_prefix_says_what_to_write() {
        for (text, sentence) in [
            (
                "192.0.2.0",
                "\"192.0.2.0\" is not a prefix; write it like \"192.0.2.0/24\"",
            ),
            (
                "192.0.2.1/24",
                "192.0.2.1/24 has bits set after its length; write \"192.0.2.0/24\"",
            ),
            (
                "192.0.2.0/33",
                "\"33\" is not a prefix length; IPv4 has 0 to 32",
            ),
            (
                "192.0.2.0/+8",
                "\"+8\" is not a prefix length; IPv4 has 0 to 32",
            ),
            ("192.0.2/24", "\"192.0.2\" is not an IPv4 address"),
            ("2001:db8::/32", "\"2001:db8::\" is not an IPv4 address"),
        ] {
            assert_eq!(prefix(Family::V4, text).unwrap_err(), sentence);
        }
    }

    #[test]
    fn octets_read_in_every_notation_of_kea() {
        for text in [
            "02:00:5e:01",
            "0x02005e01",
            "02005E01",
            "02-00-5e-01",
            "2:0:5e:1",
        ] {
            assert_eq!(octets(text).unwrap(), [2, 0, 0x5e, 1], "{text}");
        }
        assert_eq!(octets("'ab'").unwrap(), b"ab");
        for text in ["", "0", "012", "0x", "zz", "01::02", "01:0203:", "é"] {
            assert!(octets(text).is_err(), "{text}");
        }
    }
}
