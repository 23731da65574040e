//! What does a relay agent tell the server? Option 82, its echo, and what of it is believed.

use crate::networks::VpnNumber;
use crate::subnet::RelayPolicy;
use crate::{Discard, Interface, Policy};
use core::net::Ipv4Addr;
use dhcp_wire::Octets;
use dhcp_wire::v4::{SubOptions, code};

/// Bound on the relay agent's option as it is kept for the echo, codes and lengths included. Two full
/// options of two relay agents do not fit; what agents send is a tenth of it.
pub const AGENT_OCTETS_MAX: usize = 512;

/// Of the flags in the relay agent's option (RFC 5010) the bit that says that the client had sent its
/// message to a unicast address.
const AGENT_FLAG_UNICAST: u8 = 0x80;

/// Most octets of data in one option.
const OPTION_DATA_MAX: usize = 255;

/// The relay agent's option of one message.
#[derive(Clone, Debug)]
pub(super) struct AgentOption {
    /// For the echo: every piece with code and length, whatever is in it.
    /// RFC 4243 section 5 [vendor-suboption-echo]: what vendors put there too.
    echo: Octets<AGENT_OCTETS_MAX>,
    /// The sub-options, pieces put together (RFC 3396 section 7).
    sub_options: Octets<AGENT_OCTETS_MAX>,
}

impl AgentOption {
    /// None.
    pub(super) const EMPTY: Self = Self {
        echo: Octets::EMPTY,
        sub_options: Octets::EMPTY,
    };

    /// Forgets it: neither believed nor echoed.
    pub(super) fn clear(&mut self) {
        self.echo.clear();
        self.sub_options.clear();
    }

    /// Takes in a piece.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), Discard> {
        let head = [code::RELAY_AGENT, piece.len() as u8]; // 255 at most
        let echoed = self
            .echo
            .push_slice(&head)
            .and_then(|()| self.echo.push_slice(piece));
        echoed
            .and_then(|()| self.sub_options.push_slice(piece))
            .map_err(|_| Discard::TooMany)
    }

    /// What is echoed, code and length of each piece included; empty if there is nothing.
    pub(super) fn echo(&self) -> &[u8] {
        self.echo.as_slice()
    }

    /// The first sub-option with this code.
    ///
    /// One that runs out of the option ends the walk: what came before it stands, for a relay agent that pads
    /// or cuts its option has real clients behind it. Nothing behind the cut is believed, all of it is echoed.
    pub(super) fn find(&self, code: u8) -> Option<&[u8]> {
        let mut sub_options = SubOptions::new(self.sub_options.as_slice());
        sub_options
            .find(|sub_option| sub_option.code == code)
            .map(|sub_option| sub_option.data)
    }

    /// The sub-options for which `is_kept` is true, in their order.
    pub(super) fn kept(&self, is_kept: impl Fn(u8) -> bool) -> Octets<AGENT_OCTETS_MAX> {
        let mut kept = Octets::EMPTY;
        let sub_options = SubOptions::new(self.sub_options.as_slice());
        for sub_option in sub_options.filter(|it| is_kept(it.code)) {
            let head = [sub_option.code, sub_option.data.len() as u8]; // was read from 8 bits
            // A part of what is there.
            let _ = kept
                .push_slice(&head)
                .and_then(|()| kept.push_slice(sub_option.data));
        }
        kept
    }

    fn address(&self, code: u8) -> Option<Ipv4Addr> {
        let octets = self.find(code)?.try_into().ok()?;
        Some(Ipv4Addr::from_octets(octets))
    }

    /// The client's link, where the relay agent names it apart from its own address (RFC 3527).
    pub(super) fn link_selection(&self) -> Option<Ipv4Addr> {
        self.address(code::AGENT_LINK_SELECTION)
    }

    /// What the client is to take for the server (RFC 5107). What no host can have is no address.
    pub(super) fn server_override(&self) -> Option<Ipv4Addr> {
        server_override(self.sub_options.as_slice())
    }

    /// Whether the client had sent its message to a unicast address (RFC 5010).
    pub(super) fn client_sent_unicast(&self) -> bool {
        // RFC 5010 section 5 [relay-flags]: tells a relayed renewal from a rebinding.
        let flags = self.find(code::AGENT_FLAGS).and_then(|data| data.first());
        flags.is_some_and(|flags| flags & AGENT_FLAG_UNICAST != 0)
    }

    /// The VPN that the relay agent names, type and information (RFC 6607).
    pub(super) fn vpn(&self) -> Option<&[u8]> {
        self.find(code::AGENT_VPN)
    }

    // RFC 6607 section 7.2 [vss-control-dropped]: who understood which VPN is meant gives back the sub-option
    // that names it and not the one that asks whether it was understood.
    fn confirm_vpn(&mut self) {
        if self.find(code::AGENT_VPN_CONTROL).is_none() {
            return;
        }
        let kept = self.kept(|code| code != code::AGENT_VPN_CONTROL);
        self.echo.clear();
        for piece in kept.as_slice().chunks(OPTION_DATA_MAX) {
            let head = [code::RELAY_AGENT, piece.len() as u8]; // 255 at most
            // No more pieces than before, with fewer octets.
            let _ = self
                .echo
                .push_slice(&head)
                .and_then(|()| self.echo.push_slice(piece));
        }
        self.sub_options = kept;
    }
}

/// What the client is to take for the server, among sub-options.
pub(super) fn server_override(sub_options: &[u8]) -> Option<Ipv4Addr> {
    let mut sub_options = SubOptions::new(sub_options);
    let found = sub_options.find(|sub_option| sub_option.code == code::AGENT_SERVER_OVERRIDE)?;
    let address = Ipv4Addr::from_octets(found.data.try_into().ok()?);
    is_host(address).then_some(address)
}

/// Whether an address can be that of a host.
pub(super) fn is_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    !matches!(first, 0 | 127 | 224..)
}

/// Whether a relay agent with this address may speak to us on an interface.
///
/// # Errors
/// Why not.
pub(super) fn admit(
    giaddr: Ipv4Addr,
    interface: &Interface,
    policy: &Policy,
) -> Result<(), Discard> {
    let RelayPolicy {
        allowed,
        refused_interfaces,
        ..
    } = &policy.relays_v4;
    if refused_interfaces.contains(&interface.name) {
        return Err(Discard::RelayRefused);
    }
    if interface.v4.contains(&giaddr) {
        return Err(Discard::GiaddrOurs);
    }
    let is_known = |allowed: &crate::networks::AllowedRelays| {
        allowed.contains(giaddr) || policy.networks_v4.lists_relay(giaddr)
    };
    match allowed {
        Some(allowed) if !is_known(allowed) => Err(Discard::UnknownRelay),
        Some(_) | None => Ok(()),
    }
}

/// The VPN of a relayed message. `own` is the client's option 221, empty if it sent none; it becomes what the
/// answer says in that option.
///
/// # Errors
/// [`Discard::UnknownVpn`]: an address of another VPN would be of no use to the client.
pub(super) fn vpn_of(
    agent: &mut AgentOption,
    own: &mut Octets<255>,
    policy: &RelayPolicy,
) -> Result<VpnNumber, Discard> {
    // RFC 6607 section 7.2 [vss-unsupported]: who has no VPNs does not know what is meant, and gives option 82
    // back as it came.
    // RFC 6607 section 7.1 [vss-option-unsupported]: and the client's option not at all.
    if policy.vpns.is_empty() {
        own.clear();
        return Ok(VpnNumber::GLOBAL);
    }
    // RFC 6607 section 7.3 [vss-closest]: the relay agent's word goes before the client's.
    // RFC 6607 section 7 [vss-selects]: it says where the address is from.
    // RFC 6607 section 7 [vss-without-control]: also where nobody asks whether it was understood.
    if let Some(name) = agent.vpn() {
        let number = policy.vpns.find(name).ok_or(Discard::UnknownVpn)?;
        // RFC 6607 section 7.3 [vss-replicated]: the client is told what was used.
        if !own.is_empty() {
            own.set(name).map_err(|_| Discard::UnknownVpn)?;
        }
        agent.confirm_vpn();
        return Ok(number);
    }
    if own.is_empty() || !policy.client_selects {
        own.clear();
        return Ok(VpnNumber::GLOBAL);
    }
    policy.vpns.find(own.as_slice()).ok_or(Discard::UnknownVpn)
}
