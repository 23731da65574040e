//! Which relay agents may speak, and what of their words counts?

use super::placed::Placed;
use super::{Checker, value_or};
use crate::config::file::{File, Parameters};
use crate::config::notation::Family;
use dhcp_core::networks::{AllowedRelays, VpnNumber, Vpns};
use dhcp_core::subnet::{AgentPolicy, ClientKey, RelayPolicy};
use std::collections::HashMap;
use std::net::IpAddr;

/// What of relay agents' words counts in a subnet.
pub(super) fn agents(parameters: &Parameters, vpns: &mut Vpns) -> AgentPolicy {
    let vpn = parameters.vpn.as_ref();
    AgentPolicy {
        vpn: vpn.map_or(VpnNumber::GLOBAL, |name| vpns.add(&name.value)),
        trusts_unrelayed: value_or(&parameters.trust_option_82, false),
        client_key: value_or(&parameters.client_key, ClientKey::default()),
    }
}

impl Checker<'_> {
    /// What holds for all relay agents. The VPNs come with the subnets.
    pub(super) fn relays(&mut self, file: &File) -> RelayPolicy {
        let allowed = file.allowed_relays.as_ref().map(|prefixes| {
            let mut allowed = AllowedRelays::default();
            for prefix in prefixes {
                if let IpAddr::V4(address) = prefix.value.address {
                    allowed.add(address, prefix.value.len);
                }
            }
            allowed
        });
        let refusing = |it: &&crate::config::file::Interface| !value_or(&it.accept_relayed, true);
        let refused = file.interfaces.iter().filter(refusing);
        RelayPolicy {
            allowed,
            refused_interfaces: refused.map(|it| it.name.value.clone()).collect(),
            client_selects: value_or(&file.subnet_selection, false),
            ignores_link_selection: value_or(&file.ignore_link_selection, false),
            vpns: Vpns::default(),
        }
    }

    /// In one network bindings are found in one way, and all of it is in one VPN.
    pub(super) fn client_keys(&mut self, subnets: &[Placed<'_>]) {
        let mut first: HashMap<*const (), &Placed<'_>> = HashMap::new();
        let of_v4 = subnets
            .iter()
            .filter(|placed| placed.written.family == Family::V4);
        for placed in of_v4 {
            let first = *first.entry(placed.link()).or_insert(placed);
            let (one, other) = (&first.parameters, &placed.parameters);
            let name = self.report.name(&first.written.spot);
            let key = |it: &Parameters| value_or(&it.client_key, ClientKey::default());
            if key(one) != key(other) {
                let message = format!(
                    "has another `client-key` than {name}, which is on the same link; write it at the shared network"
                );
                self.report.error(&placed.written.spot, message);
            }
            let vpn = |it: &Parameters| it.vpn.as_ref().map(|vpn| vpn.value.clone());
            if vpn(one) != vpn(other) {
                let message = format!(
                    "is in another `vpn` than {name}, which is on the same link; write it at the shared network"
                );
                self.report.error(&placed.written.spot, message);
            }
        }
    }
}
