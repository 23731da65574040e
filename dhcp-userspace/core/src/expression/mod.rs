//! Kea's expression language: what does a packet say, and is it this or that?
//!
//! A [`Condition`] is true or false (`test` of a client class); an [`Expression`] is a string of octets
//! (`template-test`, flexible identifiers). Both are read and checked once, with the configuration
//! ([`Condition::parse`]), and evaluated for every packet ([`Condition::holds`], [`Expression::evaluate`])
//! over what the packet says ([`Packet`]).
//!
//! Invariants:
//! - What was parsed is well typed: whatever the packet says, evaluation ends in a value or in a [`Failure`]
//!   and never panics.
//! - Evaluation takes no heap. Octets that stand in the packet or in the expression are used where they stand;
//!   what must be made (a sum, a text in lower case) goes into a [`Scratch`] of a fixed size.
//! - Work is bounded by the expression: [`NODES_MAX`] steps at most, each linear in the octets it looks at,
//!   nested [`DEPTH_MAX`] deep at most.

mod ask;
mod evaluate;
mod lexer;
mod packet;
mod parser;
mod pattern;
mod print;
mod scratch;

#[cfg(test)]
mod tests;

pub use ask::Asked;
pub use packet::{Field, Packet, Protocol, Vendor};
pub use parser::Names;
pub use pattern::Pattern;
pub use scratch::{SCRATCH_OCTETS, Scratch};

use crate::class::ClassId;
use core::fmt;
use core::net::IpAddr;

/// How many operators, functions, literals and fields an expression may have.
pub const NODES_MAX: usize = 512;

/// How deep they may be nested.
pub const DEPTH_MAX: usize = 32;

/// What is true or false of a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// `not`: the other way round.
    Not(Box<Condition>),
    /// `and`: all of these, looked at in turn until one is false. Two at least, none of them an `And`.
    And(Vec<Condition>),
    /// `or`: any of these, looked at in turn until one is true. Two at least, none of them an `Or`.
    Or(Vec<Condition>),
    /// `==`: the same octets.
    Equal(Expression, Expression),
    /// `.exists`: the packet has it, be it empty.
    Exists(Field),
    /// `member('name')`: the client is in the class so far.
    Member {
        /// The class.
        class: ClassId,
        /// Its name.
        name: Box<str>,
    },
    /// `match('pattern', ...)`: the whole of the octets is as a regular expression says.
    Match(Pattern, Expression),
}

/// A string of octets that depends on a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// What is written.
    Literal(Literal),
    /// What the packet says: its octets as they are; empty if it says nothing.
    Hex(Field),
    /// The same as a text: without the zeros that C programs put behind texts.
    Text(Field),
    /// `substring(of, start, length)`.
    Substring {
        /// Of what.
        of: Box<Expression>,
        /// From where: from 0 on, or from the end, which is -1.
        start: i64,
        /// How many octets, backwards if negative; `None` for `all`.
        length: Option<i64>,
    },
    /// `+` and `concat`: one behind the other. Two at least, none of them a `Concat`.
    Concat(Vec<Expression>),
    /// `ifelse(condition, then, otherwise)`.
    Ifelse(Box<(Condition, Expression, Expression)>),
    /// `hexstring(of, separator)`: as hexadecimal digits in lower case.
    Hexstring(Box<(Expression, Expression)>),
    /// `split(of, delimiters, field)`: the field with this number, from 1 on.
    Split {
        /// What is split, and by which characters.
        of: Box<(Expression, Expression)>,
        /// Which field.
        field: i64,
    },
    /// `lcase` and `ucase`: ASCII letters in one case.
    Case(Case, Box<Expression>),
    /// `addrtotext`: 4 or 16 octets as an IP address is written.
    AddressToText(Box<Expression>),
    /// `int8totext` to `uint32totext`: 1, 2 or 4 octets as a decimal number.
    IntegerToText(Integer, Box<Expression>),
}

/// What is written in an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `'text'`.
    Text(Box<str>),
    /// `0x0102`: the octets.
    Hex(Box<[u8]>),
    /// `123`, -2147483648 to 4294967295: four octets, big end first, as all numbers of packets are here.
    Integer(i64),
    /// `192.0.2.1`, `2001:db8::1`: four or sixteen octets.
    Address(IpAddr),
}

/// Which letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `lcase`.
    Lower,
    /// `ucase`.
    Upper,
}

/// How octets are read as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer {
    /// How many: 1, 2 or 4.
    pub octets: usize,
    /// Whether the highest bit is the sign.
    pub is_signed: bool,
}

/// Why evaluation ended without a value. To a client class that is the same as false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// More octets had to be put together than a [`Scratch`] has room for.
    #[error("more than {SCRATCH_OCTETS} octets had to be put together")]
    NoRoom,
    /// Octets of another number than the function reads: `addrtotext` takes 4 or 16 (or none).
    #[error("{got} octets where a function reads another number of them")]
    Length {
        /// How many there were.
        got: usize,
    },
}

/// What is wrong with an expression, in words, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Offset of the octet in the expression.
    pub offset: usize,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl SyntaxError {
    fn at(offset: usize, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { offset, message }
    }

    /// The words for an operator: the place as the number of the character in `text`, the expression.
    pub fn described(&self, text: &str) -> String {
        let before = text.get(..self.offset).unwrap_or(text);
        let character = before.chars().count() + 1;
        format!("at character {character} of the expression: {self}")
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for SyntaxError {}
