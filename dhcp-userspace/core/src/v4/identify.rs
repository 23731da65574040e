//! Who is the client to the operator? The identifiers that reservations are found by.

use super::agent::AGENT_OCTETS_MAX;
use super::query::{Kind, Query, knows_flexible};
use crate::limits::{Line, LineKey};
use crate::reservation::{Host, Reservations, ReservedBy};
use crate::subnet::{Network, Policy, Subnet4};
use core::net::Ipv4Addr;
use dhcp_lease::context::{CONTEXT_OCTETS_MAX, ItemKind};
use dhcp_lease::{Context, Lease};
use dhcp_wire::Octets;
use dhcp_wire::id::ClientId;
use dhcp_wire::v4::{SubOptions, code};

/// First octet of a client identifier that holds an IAID and a DUID (RFC 4361 section 6.1), and where
/// the DUID begins.
const CLIENT_ID_DUID: u8 = 255;
const CLIENT_ID_DUID_OFFSET: usize = 5;

const _: () = assert!(
    CONTEXT_OCTETS_MAX <= AGENT_OCTETS_MAX,
    "what is remembered of a relay agent fits where it is read"
);

/// What a client is known by.
pub(super) struct Identifiers<'q> {
    query: &'q Query,
    /// What relay agents tell, sub-option after sub-option, where some reservation is for that.
    agent: Option<Octets<AGENT_OCTETS_MAX>>,
    /// What the expression made of the message, or of an earlier one.
    flexible: ClientId,
}

impl<'q> Identifiers<'q> {
    /// What the message tells, for the reservations of a network. `remembered` is what the client's live
    /// binding does: a renewal by unicast goes past the relay agents.
    pub(super) fn of(
        query: &'q Query,
        policy: &Policy,
        network: &Network<Subnet4>,
        remembered: impl FnOnce(&mut Context) -> bool,
    ) -> Self {
        let of_subnets = network.subnets.iter().map(|subnet| &subnet.reservations);
        let mut reservations = of_subnets.chain([&policy.hosts_v4.global]);
        let mut this = Self {
            query,
            agent: None,
            flexible: query.flexible.clone(),
        };
        if reservations.any(Reservations::has_any_of_relay_agent) {
            // What a client on the link may have put there itself is forgotten by now.
            this.agent = Some(query.agent.kept(|_| true));
        }
        let is_flexible = policy.flexible_v4.is_of_relay_agent() && knows_flexible(network, policy);
        let is_past_agents =
            !query.is_relayed() && query.kind() == Kind::Renewing && query.agent.echo().is_empty();
        let mut context = Context::EMPTY;
        if is_past_agents && (this.agent.is_some() || is_flexible) && remembered(&mut context) {
            this.remember(&context, is_flexible);
        }
        this
    }

    /// What the message lacks, from beside the client's binding.
    fn remember(&mut self, context: &Context, is_flexible: bool) {
        if let Some(agent) = &mut self.agent {
            for item in context.of_kind(ItemKind::AGENT) {
                let _ = agent.push_slice(item);
            }
        }
        if let (true, Some(item)) = (is_flexible, context.of_kind(ItemKind::FLEXIBLE).next()) {
            // A file may hold anything; what is too long is nobody's.
            let _ = self.flexible.set(item);
        }
    }

    /// The client's reservation in a subnet.
    pub(super) fn host(&self, policy: &Policy, subnet: &Subnet4) -> Option<Host> {
        policy
            .hosts_v4
            .find(&subnet.reservations, |by| self.identifier(by))
    }

    /// The address that is reserved for the client: in which subnet of its network, the first that is for it and has
    /// one, and by which reservation.
    pub(super) fn reserved(
        &self,
        policy: &Policy,
        network: &Network<Subnet4>,
    ) -> Option<(usize, Ipv4Addr, Host)> {
        let mut subnets = network.subnets.iter().enumerate();
        subnets.find_map(|(subnet, entry)| {
            if !entry.access.guard.permits(&self.query.classes) {
                return None;
            }
            let host = self.host(policy, entry)?;
            let reservation = policy.hosts_v4.reservation(&entry.reservations, host)?;
            let mut addresses = reservation.leases.iter().filter_map(|lease| match lease {
                Lease::V4(address) => Some(*address),
                Lease::Address(_) | Lease::Prefix(..) => None,
            });
            // A global reservation may be of an address elsewhere.
            let address = addresses.find(|&address| entry.contains(address))?;
            Some((subnet, address, host))
        })
    }

    /// Whether a reservation is for the client's hardware address, and not for what it or its relay agent says.
    pub(super) fn is_of_hardware(&self, policy: &Policy, subnet: &Subnet4, host: Host) -> bool {
        let hardware = self.query.hardware.as_slice();
        let in_one = |reservations: &Reservations| {
            reservations.index_of(ReservedBy::HardwareAddress, hardware)
        };
        match host {
            Host::OfSubnet(index) => in_one(&subnet.reservations) == Some(index),
            Host::Global(index) => in_one(&policy.hosts_v4.global) == Some(index),
        }
    }

    fn identifier(&self, by: ReservedBy) -> &[u8] {
        match by {
            ReservedBy::HardwareAddress => self.query.hardware.as_slice(),
            ReservedBy::ClientId => self.query.client.as_slice(),
            // RFC 4361 section 6.3 [client-id-duid]: the identifier is opaque, but an operator who knows a
            // host by its DUID means the same host here.
            ReservedBy::Duid => match self.query.client.as_slice() {
                client @ [CLIENT_ID_DUID, ..] => {
                    client.get(CLIENT_ID_DUID_OFFSET..).unwrap_or_default()
                }
                _ => &[],
            },
            ReservedBy::CircuitId => self.sub_option(code::AGENT_CIRCUIT_ID),
            ReservedBy::RemoteId => self.sub_option(code::AGENT_REMOTE_ID),
            ReservedBy::SubscriberId => self.sub_option(code::AGENT_SUBSCRIBER_ID),
            ReservedBy::FlexId => self.flexible.as_slice(),
        }
    }

    /// The first of this code.
    fn sub_option(&self, code: u8) -> &[u8] {
        let agent = self.agent.as_ref().map_or(&[][..], Octets::as_slice);
        SubOptions::new(agent)
            .find(|sub_option| sub_option.code == code)
            .map_or(&[], |sub_option| sub_option.data)
    }
}

/// The client's line, as far as relay agents tell it and are believed.
pub(super) fn line(query: &Query, key: LineKey) -> Option<Line<'_>> {
    let (code, is_local) = match key {
        LineKey::Port => (code::AGENT_CIRCUIT_ID, true),
        LineKey::Remote => (code::AGENT_REMOTE_ID, false),
        LineKey::Subscriber => (code::AGENT_SUBSCRIBER_ID, false),
    };
    let name = query.agent.find(code).filter(|name| !name.is_empty())?;
    let mut agent = [0; 16];
    if let Some(place) = agent.first_chunk_mut().filter(|_| is_local) {
        *place = query.giaddr.octets();
    }
    Some(Line { agent, name })
}
