//! How are access lines called? Patterns for circuit-id, remote-id and subscriber-id of option 82.

use crate::writer::Writer;
use std::fmt;
use std::str::FromStr;

/// Digits of the largest number, in any base that there is.
const DIGITS_MAX: usize = 10;
/// What a sub-option can carry beside others in one option: RFC 3046 section 2.0 gives 255 octets to all.
const OCTETS_MAX: usize = 80;

/// A text with places for the number of the client (`%d`, `%x`, `%X`, with a width as in `%04x`), its Ethernet
/// address (`%m`) and the number of its relay agent (`%r`). `%%` is a percent sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Client(Number),
    Relay(Number),
    Mac,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number {
    base: u32,
    digits: &'static [u8; 16],
    width: usize,
    fill: u8,
}

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// Whose line it is.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Number of the client.
    pub client: u32,
    /// Number of its relay agent.
    pub relay: u32,
    /// Its Ethernet address.
    pub mac: [u8; 6],
}

impl Template {
    /// Writes the text for one client.
    pub(crate) fn write(&self, subject: Subject, writer: &mut Writer<'_>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => writer.put(text),
                Part::Client(number) => number.write(subject.client, writer),
                Part::Relay(number) => number.write(subject.relay, writer),
                Part::Mac => {
                    let hex = Number::of(16, LOWER, 2, b'0');
                    for octet in subject.mac {
                        hex.write(u32::from(octet), writer);
                    }
                }
            }
        }
    }

    fn octets_max(&self) -> usize {
        let lengths = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.len(),
            Part::Client(number) | Part::Relay(number) => number.width.max(DIGITS_MAX),
            Part::Mac => 12,
        });
        lengths.sum()
    }
}

impl Number {
    fn of(base: u32, digits: &'static [u8; 16], width: usize, fill: u8) -> Self {
        Self {
            base,
            digits,
            width,
            fill,
        }
    }

    fn write(self, value: u32, writer: &mut Writer<'_>) {
        let mut room = [self.fill; OCTETS_MAX];
        let mut rest = value;
        let mut written = 0;
        for octet in room.iter_mut().rev() {
            if rest == 0 && written > 0 {
                break;
            }
            let digit = self.digits.get((rest % self.base) as usize);
            *octet = digit.copied().unwrap_or(b'?');
            rest /= self.base;
            written += 1;
        }
        let first = OCTETS_MAX - written.max(self.width).min(OCTETS_MAX);
        writer.put(room.get(first..).unwrap_or_default());
    }
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTemplate(String);

impl fmt::Display for BadTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadTemplate {}

impl FromStr for Template {
    type Err = BadTemplate;

    fn from_str(text: &str) -> Result<Self, BadTemplate> {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            literal.extend(before.as_bytes());
            let width = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
            let written = after.get(..after.len() - width.len()).unwrap_or_default();
            let kind = width.chars().next();
            rest = width.get(1..).unwrap_or_default();
            let fill = if written.starts_with('0') { b'0' } else { b' ' };
            let width = written.parse().unwrap_or(0);
            let number = |base, digits| Number::of(base, digits, width, fill);
            let part = match kind {
                Some('%') if written.is_empty() => {
                    literal.push(b'%');
                    continue;
                }
                Some('d') => Part::Client(number(10, LOWER)),
                Some('x') => Part::Client(number(16, LOWER)),
                Some('X') => Part::Client(number(16, UPPER)),
                Some('r') => Part::Relay(number(10, LOWER)),
                Some('m') if written.is_empty() => Part::Mac,
                _ => {
                    let told = "after % stands d, x, X or r (with a width, as in %04x), m or %";
                    return Err(BadTemplate(told.to_owned()));
                }
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(part);
        }
        literal.extend(rest.as_bytes());
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        let template = Self { parts };
        match template.octets_max() {
            1..=OCTETS_MAX => Ok(template),
            length => Err(BadTemplate(format!(
                "may be {length} octets long: between 1 and {OCTETS_MAX} are possible"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pattern: &str) -> String {
        let template: Template = pattern.parse().unwrap();
        let mut room = [0; 100];
        let mut writer = Writer::new(&mut room);
        let subject = Subject {
            client: 0x1a2,
            relay: 7,
            mac: [2, 0, 0, 0xab, 0, 9],
        };
        template.write(subject, &mut writer);
        let length = writer.finish().unwrap();
        String::from_utf8(room[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_pattern_has_the_clients_number_in_it() {
        assert_eq!(written("olt-%04x/%d"), "olt-01a2/418");
        assert_eq!(written("%X %5d|%r"), "1A2   418|7");
        assert_eq!(written("100 %% of %m"), "100 % of 020000ab0009");
        assert_eq!(written("plain"), "plain");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for wrong in ["", "%", "%y", "%4", "%3m", "%99d", &"x".repeat(81)] {
            assert!(wrong.parse::<Template>().is_err(), "{wrong:?}");
        }
    }
}
