//! By what expression are clients known? And is there one where somebody is to be known by it?

use super::placed::Placed;
use super::{Checker, value_or};
use crate::config::file::{self, File, Hosts, Parameters};
use crate::config::notation::Family;
use crate::config::report::At;
use dhcp_core::flexible::Flexible;
use dhcp_core::reservation::ReservedBy;
use dhcp_core::subnet::ClientKey;

impl Checker<'_> {
    /// The flexible identifier of DHCPv4 clients.
    pub(super) fn flexible_v4(&mut self, file: &File, subnets: &[Placed<'_>]) -> Flexible {
        let written = &file.flexible4;
        if written.expression.is_none() {
            let of_networks = file.networks.iter().map(|it| &it.parameters);
            let of_subnets = subnets.iter().map(|it| &it.written.parameters);
            for parameters in [&file.dhcp4]
                .into_iter()
                .chain(of_networks)
                .chain(of_subnets)
            {
                if let Some(key) = wanting(parameters) {
                    let message = "needs `identifier-expression` of [dhcp4]; add it there";
                    self.report.error(&key.spot, message);
                }
            }
        }
        for placed in subnets {
            let parameters = &placed.parameters;
            if let (Some(_), Some(off)) = (wanting(parameters), &parameters.match_client_id)
                && !off.value
            {
                let message = "leaves the flexible identifier without effect, like any client identifier; take it \
                               out where `client-key` is \"flex-id\"";
                self.report.warn(&off.spot, message);
            }
        }
        self.reserved_by_flexible(written, &file.hosts4, Family::V4, subnets);
        self.flexible(written, Family::V4)
    }

    /// That of DHCPv6 clients.
    pub(super) fn flexible_v6(&mut self, file: &File, subnets: &[Placed<'_>]) -> Flexible {
        let written = &file.flexible6;
        let replaces = written.replace_client_id.as_ref().filter(|it| it.value);
        if let (Some(replaces), None) = (replaces, &written.expression) {
            let message = "needs `identifier-expression` of [dhcp6]; add it there";
            self.report.error(&replaces.spot, message);
        }
        if let Some(ignores) = written.ignore_iaid.as_ref().filter(|it| it.value) {
            let message = "is against RFC 9915: an IA is told from others by its IAID. It holds for clients with \
                           at most one IA_NA and one IA_PD";
            self.report.warn(&ignores.spot, message);
        }
        self.reserved_by_flexible(written, &file.hosts6, Family::V6, subnets);
        let mut flexible = self.flexible(written, Family::V6);
        flexible.replaces_duid = value_or(&written.replace_client_id, false);
        flexible.ignores_iaid = value_or(&written.ignore_iaid, false);
        flexible
    }

    fn flexible(&mut self, written: &file::Flexible, family: Family) -> Flexible {
        let Some(text) = &written.expression else {
            return Flexible::default();
        };
        let expression = match self.early_expression(&text.value, family) {
            Ok(expression) => expression,
            Err(message) => {
                self.report.error(&text.spot, message);
                return Flexible::default();
            }
        };
        if !expression.asks_for(&mut |_| true) {
            let message = "looks at nothing of a message, so that all clients are the same one; name an option or a \
                           field";
            self.report.warn(&text.spot, message);
        }
        Flexible::by(expression)
    }

    /// Says once that nobody is found by an expression that there is not.
    fn reserved_by_flexible(
        &mut self,
        written: &file::Flexible,
        hosts: &Hosts,
        family: Family,
        subnets: &[Placed<'_>],
    ) {
        if written.expression.is_some() {
            return;
        }
        let of_family = subnets
            .iter()
            .filter(|subnet| subnet.written.family == family);
        let reservations = of_family
            .flat_map(|subnet| subnet.reservations.iter().copied())
            .chain(super::reservations::global(hosts));
        let mut identifiers = reservations.filter_map(|it| it.identifier.as_ref());
        if let Some(first) = identifiers.find(|it| it.value.0 == ReservedBy::FlexId) {
            let message = "is found by nothing without `identifier-expression`; add that";
            self.report.warn(&first.spot, message);
        }
    }
}

/// The `client-key` of parameters, if it is the flexible identifier.
fn wanting(parameters: &Parameters) -> Option<&At<ClientKey>> {
    let key = parameters.client_key.as_ref();
    key.filter(|key| key.value == ClientKey::Flexible)
}
