//! Who is a client by what an expression makes of its messages? The flexible identifier of Kea's `flex_id` hook.

use crate::class::ClassSet;
use crate::expression::{Asked, Expression, Field, Packet, SCRATCH_OCTETS, Scratch};
use dhcp_wire::id::ClientId;
use dhcp_wire::v4::code;

/// Most octets of a flexible identifier that takes the place of a DHCPv4 client identifier: one goes before it.
pub const FLEXIBLE_OCTETS_MAX_V4: usize = 254;

/// Most octets of one that takes the place of a DUID: two go before it.
pub const FLEXIBLE_OCTETS_MAX_V6: usize = 128;

/// How one protocol makes identifiers of messages.
#[derive(Clone, Debug, Default)]
pub struct Flexible {
    expression: Option<Expression>,
    is_of_relay_agent: bool,
    /// Whether bindings of DHCPv6 clients are found by it, in the place of the DUID (`replace-client-id`). For DHCPv4
    /// the subnets say so ([`ClientKey::Flexible`](crate::subnet::ClientKey::Flexible)).
    pub replaces_duid: bool,
    /// Whether a client's only IA of a kind counts as number 0, whatever its IAID is (`ignore-iaid`, DHCPv6).
    pub ignores_iaid: bool,
}

impl Flexible {
    /// By this expression (`identifier-expression`).
    pub fn by(expression: Expression) -> Self {
        Self {
            is_of_relay_agent: expression.asks_for(&mut tells_of_relay_agent),
            expression: Some(expression),
            ..Self::default()
        }
    }

    /// Whether there is an expression.
    pub fn is_given(&self) -> bool {
        self.expression.is_some()
    }

    /// Whether it looks at what a DHCPv4 relay agent tells, so that a renewal by unicast gives another value, or none.
    pub fn is_of_relay_agent(&self) -> bool {
        self.is_of_relay_agent
    }

    /// Overwrites `into` with the identifier that a message has, empty if it has none: the message does not have what
    /// the expression asks for, evaluation failed, or there is no expression. No heap.
    ///
    /// # Errors
    /// [`TooLong`]: it has more than `octets_max` octets. `into` is empty then.
    pub fn identify<P: Packet>(
        &self,
        packet: &P,
        classes: &ClassSet,
        octets_max: usize,
        into: &mut ClientId,
    ) -> Result<(), TooLong> {
        into.clear();
        let Some(expression) = &self.expression else {
            return Ok(());
        };
        let mut block = [0; SCRATCH_OCTETS];
        let value = expression.evaluate(packet, classes, &mut Scratch::new(&mut block));
        let value = value.unwrap_or_default();
        match value.len() <= octets_max {
            true => into.set(value).map_err(|_| TooLong),
            false => Err(TooLong),
        }
    }
}

/// A flexible identifier that is too long to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Whether a message that a client sends past its relay agent lacks this.
fn tells_of_relay_agent(asked: Asked) -> bool {
    const RELAY_AGENT: u16 = code::RELAY_AGENT as u16;
    matches!(
        asked,
        Asked::Field(
            Field::Relay4(_)
                | Field::Option(RELAY_AGENT)
                | Field::SubOption(RELAY_AGENT, _)
                | Field::Giaddr
        )
    )
}
