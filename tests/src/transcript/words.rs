//! The words of a transcript line, and the values that may follow a key.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What went wrong with a line, in a sentence.
pub type Complaint = String;

/// A line cut at white space; a word in double quotes may hold spaces.
///
/// # Errors
/// A quote that does not end.
pub fn split(line: &str) -> Result<Vec<String>, Complaint> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (text, after) = quoted.split_once('"').ok_or("a quote does not end")?;
                (text, after)
            }
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

/// Words read one after the other.
#[derive(Debug)]
pub struct Words {
    words: std::collections::VecDeque<String>,
}

impl Words {
    /// Those of a line.
    ///
    /// # Errors
    /// As [`split`].
    pub fn of(line: &str) -> Result<Self, Complaint> {
        Ok(Self {
            words: split(line)?.into(),
        })
    }

    /// The next word, if there is one.
    pub fn next_word(&mut self) -> Option<String> {
        self.words.pop_front()
    }

    /// The next word, which stays.
    pub fn peek(&self) -> Option<&str> {
        self.words.front().map(String::as_str)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// When the line ends before it.
    pub fn value(&mut self, key: &str) -> Result<String, Complaint> {
        self.next_word()
            .ok_or_else(|| format!("`{key}` wants a value"))
    }

    /// The value of a key, parsed.
    ///
    /// # Errors
    /// When the line ends before it, or it does not parse.
    pub fn parse<T: std::str::FromStr>(&mut self, key: &str) -> Result<T, Complaint> {
        let word = self.value(key)?;
        word.parse()
            .map_err(|_| format!("`{key} {word}` does not parse"))
    }
}

/// The form of an option's value, in the transcript and on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One IPv4 address.
    V4,
    /// IPv4 addresses, separated by commas.
    V4s,
    /// IPv6 addresses, separated by commas.
    V6s,
    /// A number of one octet.
    U8,
    /// A number of two octets.
    U16,
    /// A number of four octets.
    U32,
    /// Option codes of one octet, separated by commas.
    Codes8,
    /// Option codes of two octets, separated by commas.
    Codes16,
    /// Text as it is.
    Text,
    /// Octets, in hexadecimal with or without colons; a number below 100 is an identifier made of it.
    Octets,
    /// One IPv6 address.
    V6,
    /// An IPv6 prefix with its length: one octet of length, sixteen of prefix.
    Prefix,
    /// An Ethernet address, or the number of a made-up client.
    Mac,
    /// An address with a port.
    Endpoint,
    /// Domain names, separated by commas.
    Names,
    /// A DHCPv6 status code, by name or number.
    Status,
    /// A client's DUID, which may also be written as the number of a made-up client.
    Duid,
    /// Nothing: the option has no data.
    Flag,
}

impl Form {
    /// Written value to octets.
    ///
    /// # Errors
    /// When the value has not this form.
    pub fn encode(self, written: &str) -> Result<Vec<u8>, Complaint> {
        let bad = || format!("`{written}` is not of the form {self:?}");
        let list = || written.split(',').filter(|part| !part.is_empty());
        Ok(match self {
            Self::V4 => written
                .parse::<Ipv4Addr>()
                .map_err(|_| bad())?
                .octets()
                .to_vec(),
            Self::V4s => concat(list().map(|a| Some(a.parse::<Ipv4Addr>().ok()?.octets())))
                .ok_or_else(bad)?,
            Self::V6s => concat(list().map(|a| Some(a.parse::<Ipv6Addr>().ok()?.octets())))
                .ok_or_else(bad)?,
            Self::U8 => vec![number(written).ok_or_else(bad)?],
            Self::U16 => number::<u16>(written)
                .ok_or_else(bad)?
                .to_be_bytes()
                .to_vec(),
            Self::U32 => number::<u32>(written)
                .ok_or_else(bad)?
                .to_be_bytes()
                .to_vec(),
            Self::Codes8 => {
                concat(list().map(|c| Some([c.parse::<u8>().ok()?]))).ok_or_else(bad)?
            }
            Self::Codes16 => concat(list().map(|c| Some(c.parse::<u16>().ok()?.to_be_bytes())))
                .ok_or_else(bad)?,
            Self::Text => written.as_bytes().to_vec(),
            Self::Octets => octets(written).ok_or_else(bad)?,
            Self::Duid => duid(written).ok_or_else(bad)?,
            Self::V6 => written
                .parse::<Ipv6Addr>()
                .map_err(|_| bad())?
                .octets()
                .to_vec(),
            Self::Prefix => {
                let (prefix, length) = prefix(written).ok_or_else(bad)?;
                [&[length][..], &prefix.octets()].concat()
            }
            Self::Mac => mac(written).ok_or_else(bad)?.to_vec(),
            Self::Endpoint => match endpoint(written, 0)? {
                (IpAddr::V4(address), port) => {
                    [&address.octets()[..], &port.to_be_bytes()].concat()
                }
                (IpAddr::V6(address), port) => {
                    [&address.octets()[..], &port.to_be_bytes()].concat()
                }
            },
            Self::Names => list().flat_map(name_to_labels).collect(),
            Self::Status => status_number(written)
                .ok_or_else(bad)?
                .to_be_bytes()
                .to_vec(),
            Self::Flag => Vec::new(),
        })
    }

    /// Octets to the written value; what has not this form is written in hexadecimal.
    pub fn render(self, octets: &[u8]) -> String {
        self.render_well_formed(octets)
            .unwrap_or_else(|| hex(octets))
    }

    fn render_well_formed(self, octets: &[u8]) -> Option<String> {
        Some(match self {
            Self::V4 => Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).to_string(),
            Self::V4s => {
                let (addresses, rest) = octets.as_chunks::<4>();
                rest.is_empty()
                    .then(|| join(addresses.iter().map(|a| Ipv4Addr::from(*a))))?
            }
            Self::V6s => {
                let (addresses, rest) = octets.as_chunks::<16>();
                rest.is_empty()
                    .then(|| join(addresses.iter().map(|a| Ipv6Addr::from(*a))))?
            }
            Self::U8 => u8::from_be_bytes(octets.try_into().ok()?).to_string(),
            Self::U16 => u16::from_be_bytes(octets.try_into().ok()?).to_string(),
            Self::U32 => u32::from_be_bytes(octets.try_into().ok()?).to_string(),
            Self::Codes8 => join(octets.iter()),
            Self::Codes16 => {
                let (codes, rest) = octets.as_chunks::<2>();
                rest.is_empty()
                    .then(|| join(codes.iter().map(|c| u16::from_be_bytes(*c))))?
            }
            Self::Text => {
                let text = std::str::from_utf8(octets).ok()?;
                let plain = !text.is_empty() && !text.contains(['"', '\n', '#']);
                match text.contains(' ') {
                    _ if !plain => return None,
                    true => format!("\"{text}\""),
                    false => text.to_owned(),
                }
            }
            Self::Octets | Self::Duid | Self::Mac => hex(octets),
            Self::V6 => Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).to_string(),
            Self::Prefix => {
                let (length, prefix) = octets.split_first()?;
                format!(
                    "{}/{length}",
                    Ipv6Addr::from(<[u8; 16]>::try_from(prefix).ok()?)
                )
            }
            Self::Endpoint => {
                let (address, port) = octets.split_last_chunk::<2>()?;
                let port = u16::from_be_bytes(*port);
                match <[u8; 4]>::try_from(address) {
                    Ok(address) => {
                        SocketAddr::new(Ipv4Addr::from(address).into(), port).to_string()
                    }
                    Err(_) => {
                        let address = Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?);
                        SocketAddr::new(address.into(), port).to_string()
                    }
                }
            }
            Self::Names => names_from_labels(octets)?,
            Self::Status => status_name(u16::from_be_bytes(octets.try_into().ok()?)),
            Self::Flag => octets.is_empty().then(String::new)?,
        })
    }
}

/// A decimal or `0x` number.
pub fn number<T: TryFrom<u64>>(written: &str) -> Option<T> {
    let value = match written.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => written.parse().ok()?,
    };
    T::try_from(value).ok()
}

/// An Ethernet address: six octets, or the number of a made-up client.
pub fn mac(written: &str) -> Option<[u8; 6]> {
    match made_up(written) {
        Some(mac) => Some(mac),
        None => octets(written)?.try_into().ok(),
    }
}

/// A DUID: octets, or the number of a made-up client, whose DUID-LL holds its Ethernet address.
pub fn duid(written: &str) -> Option<Vec<u8>> {
    match made_up(written) {
        Some(mac) => Some([&[0, 3, 0, 1][..], &mac].concat()),
        None => octets(written),
    }
}

/// Client number `n` (one or two decimal digits) has the address 02:00:00:00:00:n.
fn made_up(written: &str) -> Option<[u8; 6]> {
    let short = written.len() <= 2 && written.bytes().all(|digit| digit.is_ascii_digit());
    let number = written.parse().ok().filter(|_| short)?;
    Some([2, 0, 0, 0, 0, number])
}

/// A prefix and its length.
pub fn prefix(written: &str) -> Option<(Ipv6Addr, u8)> {
    let (address, length) = written.split_once('/')?;
    Some((
        address.parse().ok()?,
        length.parse().ok().filter(|length| *length <= 128)?,
    ))
}

/// The status codes of RFC 8415 section 21.13 that a server sends, in order of their numbers.
const STATUS: [&str; 7] = [
    "Success",
    "UnspecFail",
    "NoAddrsAvail",
    "NoBinding",
    "NotOnLink",
    "UseMulticast",
    "NoPrefixAvail",
];

fn status_number(written: &str) -> Option<u16> {
    let place = STATUS.iter().position(|name| *name == written);
    place.map(|place| place as u16).or_else(|| number(written))
}

fn status_name(number: u16) -> String {
    STATUS
        .get(usize::from(number))
        .map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

fn name_to_labels(name: &str) -> Vec<u8> {
    let mut labels = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        labels.push(label.len() as u8);
        labels.extend(label.as_bytes());
    }
    labels.push(0);
    labels
}

fn names_from_labels(mut octets: &[u8]) -> Option<String> {
    let mut names = vec![Vec::new()];
    while let Some((length, rest)) = octets.split_first() {
        let (label, rest) = rest.split_at_checked(usize::from(*length))?;
        octets = rest;
        match label {
            [] => names.push(Vec::new()),
            _ => names
                .last_mut()?
                .push(std::str::from_utf8(label).ok()?.to_owned()),
        }
    }
    let last = names.pop()?;
    last.is_empty()
        .then(|| join(names.iter().map(|labels| labels.join("."))))
}

/// Octets from hexadecimal digits, with or without colons; `-` is none.
pub fn octets(written: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = written
        .bytes()
        .filter(|byte| *byte != b':' && *byte != b'-')
        .map(|byte| char::from(byte).to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Octets as `01:ab:ff`; `-` when there are none.
pub fn hex(octets: &[u8]) -> String {
    let mut written = String::new();
    for octet in octets {
        let separator = if written.is_empty() { "" } else { ":" };
        let _ = write!(written, "{separator}{octet:02x}");
    }
    if written.is_empty() {
        "-".to_owned()
    } else {
        written
    }
}

/// `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`.
///
/// # Errors
/// When it is none of these.
pub fn endpoint(written: &str, port: u16) -> Result<(IpAddr, u16), Complaint> {
    if let Ok(address) = written.parse() {
        return Ok((address, port));
    }
    let endpoint: std::net::SocketAddr = written
        .parse()
        .map_err(|_| format!("`{written}` is no address with port"))?;
    Ok((endpoint.ip(), endpoint.port()))
}

fn concat<const N: usize>(parts: impl Iterator<Item = Option<[u8; N]>>) -> Option<Vec<u8>> {
    Some(parts.collect::<Option<Vec<_>>>()?.concat())
}

fn join<T: ToString>(parts: impl Iterator<Item = T>) -> String {
    parts
        .map(|part| part.to_string())
        .collect::<Vec<_>>()
        .join(",")
}
