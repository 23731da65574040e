//! How clients are known by what an expression makes of their messages, as written.

use crate::config::notation::Family;
use crate::config::reader::{Table, Value};
use crate::config::report::{At, Report};

/// Longest expression, in octets.
const EXPRESSION_OCTETS_MAX: usize = 16_384;

/// The flexible identifier of a protocol.
#[derive(Debug, Default)]
pub(in crate::config) struct Flexible {
    pub(in crate::config) expression: Option<At<String>>,
    pub(in crate::config) replace_client_id: Option<At<bool>>,
    /// DHCPv6.
    pub(in crate::config) ignore_iaid: Option<At<bool>>,
}

impl Flexible {
    /// That of `[dhcp4]` or `[dhcp6]`.
    pub(super) fn read(table: Option<&Table<'_>>, family: Family, report: &mut Report) -> Self {
        let Some(table) = table else {
            return Self::default();
        };
        Self {
            expression: table.read("identifier-expression", report, |value| {
                match value.text_within(EXPRESSION_OCTETS_MAX)? {
                    text if text.trim().is_empty() => Err("is empty; leave it out".to_owned()),
                    text => Ok(text),
                }
            }),
            replace_client_id: table.read("replace-client-id", report, Value::boolean),
            ignore_iaid: match family {
                Family::V4 => None,
                Family::V6 => table.read("ignore-iaid", report, Value::boolean),
            },
        }
    }
}
