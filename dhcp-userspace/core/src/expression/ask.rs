//! Which fields of a packet does an expression look at?

use super::{Condition, Expression, Field};

impl Expression {
    /// Whether it looks, for one packet or another, at a field for which `is_it` is true.
    pub fn asks_for(&self, is_it: &dyn Fn(Field) -> bool) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Hex(field) | Self::Text(field) => is_it(*field),
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
    pub fn asks_for(&self, is_it: &dyn Fn(Field) -> bool) -> bool {
        match self {
            Self::Not(inner) => inner.asks_for(is_it),
            Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.asks_for(is_it)),
            Self::Equal(one, other) => one.asks_for(is_it) || other.asks_for(is_it),
            Self::Exists(field) => is_it(*field),
            Self::Member { .. } => false,
            Self::Match(_, of) => of.asks_for(is_it),
        }
    }
}
