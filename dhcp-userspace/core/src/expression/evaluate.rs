//! A tree and a packet to a value.

use super::{
    Case, Condition, Expression, Failure, Field, Integer, Literal, Packet, SCRATCH_OCTETS, Scratch,
};
use crate::class::ClassSet;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many values are put together at a time; each time costs a copy of what is there already.
const PIECES: usize = 16;

impl Condition {
    /// Whether it is true of a packet whose client is in `classes` so far. A condition that fails is false as
    /// a whole, whatever stands around the part that failed.
    pub fn holds<P: Packet>(&self, packet: &P, classes: &ClassSet) -> bool {
        let mut block = [0; SCRATCH_OCTETS];
        let held = self.evaluate(packet, classes, &mut Scratch::new(&mut block));
        held.unwrap_or(false)
    }

    /// The same, with the reason if it fails.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn evaluate<'s, P: Packet>(
        &'s self,
        packet: &'s P,
        classes: &ClassSet,
        scratch: &mut Scratch<'s>,
    ) -> Result<bool, Failure> {
        match self {
            Self::Not(inner) => inner.evaluate(packet, classes, scratch).map(|held| !held),
            Self::And(parts) => {
                for part in parts {
                    if !part.evaluate(packet, classes, scratch)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(parts) => {
                for part in parts {
                    if part.evaluate(packet, classes, scratch)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Equal(one, other) => {
                let one = one.evaluate(packet, classes, scratch)?;
                Ok(one == other.evaluate(packet, classes, scratch)?)
            }
            Self::Exists(field) => Ok(packet.field(*field, scratch)?.is_some()),
            Self::Member { class, .. } => Ok(classes.contains(*class)),
            Self::Match(pattern, of) => {
                Ok(pattern.is_match(of.evaluate(packet, classes, scratch)?))
            }
        }
    }
}

impl Expression {
    /// Its octets for a packet whose client is in `classes` so far.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn evaluate<'s, P: Packet>(
        &'s self,
        packet: &'s P,
        classes: &ClassSet,
        scratch: &mut Scratch<'s>,
    ) -> Result<&'s [u8], Failure> {
        match self {
            Self::Literal(literal) => literal.octets(scratch),
            Self::Hex(field) => field_of(packet, *field, scratch),
            Self::Text(field) => field_of(packet, *field, scratch).map(without_zeros),
            Self::Substring { of, start, length } => {
                let of = of.evaluate(packet, classes, scratch)?;
                Ok(substring(of, *start, *length))
            }
            Self::Concat(parts) => {
                let mut sum: &[u8] = &[];
                for parts in parts.chunks(PIECES) {
                    let mut pieces: [&[u8]; PIECES] = [&[]; PIECES];
                    for (piece, part) in pieces.iter_mut().zip(parts) {
                        *piece = part.evaluate(packet, classes, scratch)?;
                    }
                    sum = scratch.join(core::iter::once(sum).chain(pieces))?;
                }
                Ok(sum)
            }
            Self::Ifelse(parts) => {
                let (condition, then, otherwise) = &**parts;
                let branch = match condition.evaluate(packet, classes, scratch)? {
                    true => then,
                    false => otherwise,
                };
                branch.evaluate(packet, classes, scratch)
            }
            Self::Hexstring(parts) => {
                let of = parts.0.evaluate(packet, classes, scratch)?;
                let separator = parts.1.evaluate(packet, classes, scratch)?;
                hexstring(of, separator, scratch)
            }
            Self::Split { of, field } => {
                let delimiters = of.1.evaluate(packet, classes, scratch)?;
                let of = of.0.evaluate(packet, classes, scratch)?;
                Ok(split(of, delimiters, *field))
            }
            Self::Case(case, of) => {
                let of = of.evaluate(packet, classes, scratch)?;
                let changed = |octet: &u8| match case {
                    Case::Lower => octet.to_ascii_lowercase(),
                    Case::Upper => octet.to_ascii_uppercase(),
                };
                scratch.collect(of.iter().map(changed))
            }
            Self::AddressToText(of) => {
                address_to_text(of.evaluate(packet, classes, scratch)?, scratch)
            }
            Self::IntegerToText(integer, of) => match **of {
                // As wide as the function reads, which the parser has checked it against.
                Self::Literal(Literal::Integer(number)) => scratch.display(number),
                _ => integer_to_text(*integer, of.evaluate(packet, classes, scratch)?, scratch),
            },
        }
    }
}

impl Literal {
    fn octets<'s>(&'s self, scratch: &mut Scratch<'s>) -> Result<&'s [u8], Failure> {
        match self {
            Self::Text(text) => Ok(text.as_bytes()),
            Self::Hex(octets) => Ok(octets),
            // Negative ones as the two's complement: the parser has seen that 32 bits are enough.
            Self::Integer(number) => scratch.collect((*number as u32).to_be_bytes().into_iter()),
            Self::Address(IpAddr::V4(address)) => scratch.collect(address.octets().into_iter()),
            Self::Address(IpAddr::V6(address)) => scratch.collect(address.octets().into_iter()),
        }
    }
}

fn field_of<'s, P: Packet>(
    packet: &'s P,
    field: Field,
    scratch: &mut Scratch<'s>,
) -> Result<&'s [u8], Failure> {
    Ok(packet.field(field, scratch)?.unwrap_or_default())
}

fn without_zeros(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&octet| octet != 0);
    let end = end.map_or(0, |last| last + 1);
    text.get(..end).unwrap_or(text)
}

/// From `start`, counted from the end if negative; backwards from there, without it, if `length` is negative.
fn substring(of: &[u8], start: i64, length: Option<i64>) -> &[u8] {
    let whole = of.len() as i64; // the octets of a packet are few
    let start = if start < 0 { start + whole } else { start };
    if !(0..whole).contains(&start) {
        return &[];
    }
    let length = length.unwrap_or(whole);
    let (from, to) = match length {
        0.. => (start, (start + length).min(whole)),
        _ => ((start + length).max(0), start),
    };
    of.get(from as usize..to as usize).unwrap_or_default() // both 0 to `whole`
}

fn hexstring<'s>(
    of: &[u8],
    separator: &[u8],
    scratch: &mut Scratch<'s>,
) -> Result<&'s [u8], Failure> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied();
    let separators = core::iter::once(&[][..]).chain(core::iter::repeat(separator));
    let octets = of.iter().zip(separators).flat_map(|(octet, separator)| {
        let digits = [digit(octet >> 4), digit(*octet)];
        separator
            .iter()
            .copied()
            .chain(digits.into_iter().flatten())
    });
    scratch.collect(octets)
}

fn split<'o>(of: &'o [u8], delimiters: &[u8], field: i64) -> &'o [u8] {
    if delimiters.is_empty() {
        return of;
    }
    let Some(before) = field.checked_sub(1).and_then(|n| usize::try_from(n).ok()) else {
        return &[];
    };
    let mut fields = of.split(|octet| delimiters.contains(octet));
    fields.nth(before).unwrap_or_default()
}

fn address_to_text<'s>(of: &[u8], scratch: &mut Scratch<'s>) -> Result<&'s [u8], Failure> {
    if of.is_empty() {
        return Ok(&[]);
    }
    if let Ok(octets) = <[u8; 4]>::try_from(of) {
        return scratch.display(Ipv4Addr::from_octets(octets));
    }
    match <[u8; 16]>::try_from(of) {
        Ok(octets) => scratch.display(Ipv6Addr::from_octets(octets)),
        Err(_) => Err(Failure::Length { got: of.len() }),
    }
}

fn integer_to_text<'s>(
    integer: Integer,
    of: &[u8],
    scratch: &mut Scratch<'s>,
) -> Result<&'s [u8], Failure> {
    if of.is_empty() {
        return Ok(&[]);
    }
    if of.len() != integer.octets {
        return Err(Failure::Length { got: of.len() });
    }
    // At most four octets, so that there is room for all of them.
    let value = of
        .iter()
        .fold(0i64, |sum, octet| sum << 8 | i64::from(*octet));
    let bits = of.len() * 8;
    let is_negative = integer.is_signed && value >> (bits - 1) == 1;
    scratch.display(if is_negative {
        value - (1 << bits)
    } else {
        value
    })
}
