//! What is fixed for one client? Nothing for two of them, and addresses only inside their subnet.

use super::placed::Placed;
use super::pools::address_lease;
use super::{Checker, ipv6};
use crate::config::file::{PdPool, Reservation};
use crate::config::notation::{Family, Prefix, Range};
use crate::config::report::{At, Spot};
use dhcp_core::options::{ConfiguredOption, OptionSet};
use dhcp_core::subnet::{self, Reservations, ReservedBy};
use dhcp_lease::Lease;
use std::collections::HashMap;
use std::net::IpAddr;

impl Checker<'_> {
    /// No address or prefix is reserved for two clients, nor half of one.
    pub(super) fn reserved_twice(&mut self, subnets: &[Placed<'_>]) {
        let reservations = || {
            subnets
                .iter()
                .flat_map(|placed| &placed.written.reservations)
        };
        let mut addresses: HashMap<IpAddr, &Spot> = HashMap::new();
        for address in reservations().flat_map(|it| &it.addresses) {
            self.once(&mut addresses, address.value, &address.spot, |first| {
                format!("{} is reserved in {first} too; keep one", address.value)
            });
        }
        let as_range = |it: &At<Prefix>| At {
            spot: it.spot.clone(),
            value: it.value.range(),
        };
        let mut prefixes: Vec<_> = reservations()
            .flat_map(|it| &it.prefixes)
            .map(as_range)
            .collect();
        self.overlaps(&prefixes);
        let pd_pools: Vec<_> = subnets
            .iter()
            .flat_map(|placed| &placed.written.pd_pools)
            .collect();
        let written = reservations().flat_map(|it| &it.prefixes);
        for (prefix, range) in written.zip(prefixes.drain(..)) {
            self.reserved_in_pd_pool(&prefix.spot, prefix.value, &range.value, &pd_pools);
        }
    }

    fn reserved_in_pd_pool(
        &mut self,
        spot: &Spot,
        prefix: Prefix,
        range: &Range,
        pd_pools: &[&At<PdPool>],
    ) {
        for pd_pool in pd_pools {
            let pool = pd_pool.value.prefix.range();
            let one_of_its = pool.holds(range) && prefix.len == pd_pool.value.delegated_len;
            if pool.overlaps(range) && !one_of_its {
                let message = format!(
                    "{prefix} overlaps {}, whose prefixes have length {}; reserve one of these, or \
                     a prefix outside of it",
                    self.report.name(&pd_pool.spot),
                    pd_pool.value.delegated_len
                );
                self.report.error(spot, message);
            }
        }
    }

    pub(super) fn reservations(
        &mut self,
        placed: &Placed<'_>,
        outer_options: &[ConfiguredOption],
    ) -> Reservations {
        let mut seen: HashMap<&(ReservedBy, Vec<u8>), &Spot> = HashMap::new();
        let mut reservations = Reservations::default();
        for written in &placed.written.reservations {
            self.reservation_addresses(placed, written);
            let Some(identifier) = &written.identifier else {
                continue;
            };
            self.once(&mut seen, &identifier.value, &identifier.spot, |first| {
                format!("is the client of {first} too; put both into one reservation")
            });
            let addresses = written.addresses.iter().map(|it| address_lease(it.value));
            let prefixes = written
                .prefixes
                .iter()
                .filter_map(|it| Some(Lease::Prefix(ipv6(it.value.address)?, it.value.len)));
            let leases: Vec<_> = addresses.chain(prefixes).collect();
            self.reserved.extend(&leases);
            let own = written.options.iter().map(|it| it.option.clone());
            let reservation = subnet::Reservation {
                leases,
                options: OptionSet::layered(outer_options.iter().cloned().chain(own)),
                hostname: written
                    .hostname
                    .as_ref()
                    .map(|it| it.value.as_bytes().into())
                    .unwrap_or_default(),
                classes: self
                    .class_numbers(&written.classes, placed.written.family)
                    .into(),
            };
            let (by, octets) = &identifier.value;
            reservations.insert(*by, octets, reservation);
        }
        reservations
    }

    fn reservation_addresses(&mut self, placed: &Placed<'_>, written: &Reservation) {
        let nothing = written.addresses.is_empty()
            && written.prefixes.is_empty()
            && written.options.is_empty()
            && written.hostname.is_none()
            && written.classes.is_empty();
        if nothing {
            self.report
                .warn(&written.spot, "reserves nothing for its client");
        }
        let Some(subnet) = &placed.written.subnet else {
            return;
        };
        for address in &written.addresses {
            let alone = Range::one(address.value);
            if !subnet.value.range().holds(&alone) {
                let message = format!(
                    "{} is not inside of its subnet, {}; correct one of the two",
                    address.value, subnet.value
                );
                self.report.error(&address.spot, message);
                continue;
            }
            self.unusable(&address.spot, &alone);
            if alone.family == Family::V4 {
                self.edges_v4(&address.spot, &alone, subnet.value);
            }
        }
    }
}
