//! Where does a subnet stand, and what does it inherit? Each subnet with its shared network, its number and
//! the parameters that hold for it.

use super::{Checker, value_or};
use crate::config::file::{File, Parameters, Reservation, SharedNetwork, Subnet};
use crate::config::notation::Family;
use crate::config::report::{At, Spot};
use std::collections::HashMap;
use std::net::IpAddr;

/// A subnet with what it inherits.
pub(super) struct Placed<'f> {
    pub(super) written: &'f Subnet,
    pub(super) network: Option<&'f SharedNetwork>,
    pub(super) parameters: Parameters,
    pub(super) id: u32,
    /// Its reservations, also those that stand in the file of reservations.
    pub(super) reservations: Vec<&'f Reservation>,
}

impl<'f> Placed<'f> {
    /// All relay agents that select it: its own and those of its shared network.
    pub(super) fn relays(&self) -> impl Iterator<Item = &'f At<IpAddr>> {
        let of_network = self.network.into_iter().flat_map(|network| &network.relays);
        let v4 = self.written.family == Family::V4;
        self.written
            .relays
            .iter()
            .chain(of_network)
            .filter(move |it| it.value.is_ipv4() == v4)
    }

    pub(super) fn interface(&self) -> Option<&'f At<String>> {
        let of_network = self.network.and_then(|network| network.interface.as_ref());
        self.written.interface.as_ref().or(of_network)
    }

    pub(super) fn interface_id(&self) -> Option<&'f At<Vec<u8>>> {
        let of_network = self
            .network
            .and_then(|network| network.interface_id.as_ref());
        match self.written.family {
            Family::V4 => None,
            Family::V6 => self.written.interface_id.as_ref().or(of_network),
        }
    }

    /// What its link is told from others by.
    pub(super) fn link(&self) -> *const () {
        match self.network {
            Some(network) => std::ptr::from_ref(network).cast(),
            None => std::ptr::from_ref(self.written).cast(),
        }
    }
}

impl Checker<'_> {
    /// All subnets with what they inherit: global, shared network, subnet.
    pub(super) fn placed<'f>(&mut self, file: &'f File) -> Vec<Placed<'f>> {
        let alone = file.subnets.iter().map(|subnet| (subnet, None));
        let within = |network: &'f SharedNetwork| {
            network
                .subnets
                .iter()
                .map(move |subnet| (subnet, Some(network)))
        };
        let all = alone.chain(file.networks.iter().flat_map(within));
        let mut numbers: HashMap<Family, u32> = HashMap::new();
        let place = |(written, network): (&'f Subnet, Option<&'f SharedNetwork>)| {
            let global = match written.family {
                Family::V4 => &file.dhcp4,
                Family::V6 => &file.dhcp6,
            };
            let outer = match network {
                Some(network) => network.parameters.within(global),
                None => global.clone(),
            };
            let number = numbers.entry(written.family).or_default();
            *number += 1;
            let id = value_or(&written.id, *number);
            Placed {
                written,
                network,
                parameters: written.parameters.within(&outer),
                id,
                reservations: written.reservations.iter().collect(),
            }
        };
        let placed: Vec<_> = all.map(place).collect();
        if placed.is_empty() && !self.report.has_errors() {
            self.report
                .warn(&Spot::default(), "has no subnet; the server answers nobody");
        }
        placed
    }

    pub(super) fn ids(&mut self, subnets: &[Placed<'_>]) {
        let mut seen: HashMap<(Family, u32), &Spot> = HashMap::new();
        for placed in subnets {
            let spot = placed
                .written
                .id
                .as_ref()
                .map_or(&placed.written.spot, |it| &it.spot);
            let id = placed.id;
            self.once(
                &mut seen,
                (placed.written.family, id),
                spot,
                |first| match placed.written.id {
                    Some(_) => format!("{id} is also the number of {first}; give it another"),
                    None => format!(
                        "has number {id} by its place, as has {first}; give it an `id` of its own"
                    ),
                },
            );
        }
        for family in [Family::V4, Family::V6] {
            let of_family = || {
                subnets
                    .iter()
                    .filter(|placed| placed.written.family == family)
            };
            let unnumbered = of_family().find(|placed| placed.written.id.is_none());
            if let (Some(first), true) = (unnumbered, of_family().count() > 1) {
                self.report.warn(
                    &first.written.spot,
                    format!(
                        "has no `id` and is number {} by its place; give every subnet an `id`, or a \
                         subnet put in above it renumbers its leases",
                        first.id
                    ),
                );
            }
        }
    }
}
