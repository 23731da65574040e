//! An expression as it is written. What is printed is parsed to the same expression.

use super::{Case, Condition, Expression, Field, Literal, Vendor};
use crate::class::ClassId;
use core::fmt;

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Not(inner) if inner.is_chain() => write!(f, "not ({inner})"),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::And(parts) => chain(f, parts, " and "),
            Self::Or(parts) => chain(f, parts, " or "),
            Self::Equal(one, other) => write!(f, "{one} == {other}"),
            Self::Exists(field) => write!(f, "{field}.exists"),
            Self::Member { class, .. } if *class == ClassId::KNOWN => f.write_str("known"),
            Self::Member { name, .. } => write!(f, "member('{name}')"),
            Self::Match(pattern, of) => write!(f, "match('{}', {of})", pattern.source()),
        }
    }
}

impl Condition {
    fn is_chain(&self) -> bool {
        matches!(self, Self::And(_) | Self::Or(_))
    }
}

fn chain(f: &mut fmt::Formatter<'_>, parts: &[Condition], between: &str) -> fmt::Result {
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            f.write_str(between)?;
        }
        match part.is_chain() {
            true => write!(f, "({part})")?,
            false => write!(f, "{part}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) => write!(f, "{literal}"),
            Self::Hex(field) if field.has_representations() => write!(f, "{field}.hex"),
            Self::Hex(field) => write!(f, "{field}"),
            Self::Text(field) => write!(f, "{field}.text"),
            Self::Substring { of, start, length } => match length {
                Some(length) => write!(f, "substring({of}, {start}, {length})"),
                None => write!(f, "substring({of}, {start}, all)"),
            },
            Self::Concat(parts) => {
                for (position, part) in parts.iter().enumerate() {
                    let between = if position == 0 { "" } else { " + " };
                    write!(f, "{between}{part}")?;
                }
                Ok(())
            }
            Self::Ifelse(parts) => {
                let (condition, then, otherwise) = &**parts;
                write!(f, "ifelse({condition}, {then}, {otherwise})")
            }
            Self::Hexstring(parts) => write!(f, "hexstring({}, {})", parts.0, parts.1),
            Self::Split { of, field } => write!(f, "split({}, {}, {field})", of.0, of.1),
            Self::Case(Case::Lower, of) => write!(f, "lcase({of})"),
            Self::Case(Case::Upper, of) => write!(f, "ucase({of})"),
            Self::AddressToText(of) => write!(f, "addrtotext({of})"),
            Self::IntegerToText(integer, of) => {
                let sign = if integer.is_signed { "" } else { "u" };
                write!(f, "{sign}int{}totext({of})", integer.octets * 8)
            }
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "'{text}'"),
            Self::Hex(octets) => {
                f.write_str("0x")?;
                octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
            Self::Integer(number) => write!(f, "{number}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(Some(enterprise)) => write!(f, "{enterprise}"),
            Self(None) => f.write_str("*"),
        }
    }
}

impl Field {
    /// Whether it is an option, of which one says whether its octets or its text are meant.
    fn has_representations(&self) -> bool {
        matches!(
            self,
            Self::Option(_)
                | Self::SubOption(..)
                | Self::Relay4(_)
                | Self::Relay6Option(..)
                | Self::VendorOption(..)
        )
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(code) => write!(f, "option[{code}]"),
            Self::SubOption(code, inner) => write!(f, "option[{code}].option[{inner}]"),
            Self::Relay4(code) => write!(f, "relay4[{code}]"),
            Self::Relay6Option(level, code) => write!(f, "relay6[{level}].option[{code}]"),
            Self::Relay6Peer(level) => write!(f, "relay6[{level}].peeraddr"),
            Self::Relay6Link(level) => write!(f, "relay6[{level}].linkaddr"),
            Self::Interface => f.write_str("pkt.iface"),
            Self::Source => f.write_str("pkt.src"),
            Self::Destination => f.write_str("pkt.dst"),
            Self::Length => f.write_str("pkt.len"),
            Self::HardwareAddress => f.write_str("pkt4.mac"),
            Self::HardwareType => f.write_str("pkt4.htype"),
            Self::HardwareLength => f.write_str("pkt4.hlen"),
            Self::Ciaddr => f.write_str("pkt4.ciaddr"),
            Self::Giaddr => f.write_str("pkt4.giaddr"),
            Self::Yiaddr => f.write_str("pkt4.yiaddr"),
            Self::Siaddr => f.write_str("pkt4.siaddr"),
            Self::MessageType(protocol) => write!(f, "{}.msgtype", protocol.word()),
            Self::TransactionId(protocol) => write!(f, "{}.transid", protocol.word()),
            Self::Vendor(vendor) => write!(f, "vendor[{vendor}]"),
            Self::VendorEnterprise => f.write_str("vendor.enterprise"),
            Self::VendorOption(vendor, code) => write!(f, "vendor[{vendor}].option[{code}]"),
            Self::VendorClass(vendor) => write!(f, "vendor-class[{vendor}]"),
            Self::VendorClassEnterprise => f.write_str("vendor-class.enterprise"),
            Self::VendorClassData(vendor, index) => {
                write!(f, "vendor-class[{vendor}].data[{index}]")
            }
        }
    }
}
