//! What does an expression look at?

use super::{Condition, Expression, Field};
use crate::class::ClassId;

/// Something that an expression looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A field of the packet.
    Field(Field),
    /// Whether the client is in a class.
    Class(ClassId),
}

impl Expression {
    /// Whether it looks, for one packet or another, at something for which `is_it` is true. The search ends with the
    /// first such thing.
    pub fn asks_for(&self, is_it: &mut dyn FnMut(Asked) -> bool) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Hex(field) | Self::Text(field) => is_it(Asked::Field(*field)),
            Self::Substring { of, .. }
            | Self::Case(_, of)
            | Self::AddressToText(of)
            | Self::IntegerToText(_, of) => of.asks_for(is_it),
            Self::Concat(parts) => parts.iter().any(|part| part.asks_for(is_it)),
            Self::Ifelse(parts) => {
                let (condition, then, otherwise) = &**parts;
                condition.asks_for(is_it) || then.asks_for(is_it) || otherwise.asks_for(is_it)
            }
            Self::Hexstring(parts) | Self::Split { of: parts, .. } => {
                parts.0.asks_for(is_it) || parts.1.asks_for(is_it)
            }
        }
    }
}

impl Condition {
    /// The same of a condition.
    pub fn asks_for(&self, is_it: &mut dyn FnMut(Asked) -> bool) -> bool {
        match self {
            Self::Not(inner) => inner.asks_for(is_it),
            Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.asks_for(is_it)),
            Self::Equal(one, other) => one.asks_for(is_it) || other.asks_for(is_it),
            Self::Exists(field) => is_it(Asked::Field(*field)),
            Self::Member { class, .. } => is_it(Asked::Class(*class)),
            Self::Match(_, of) => of.asks_for(is_it),
        }
    }
}
