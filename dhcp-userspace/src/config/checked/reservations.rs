//! What is fixed for one client? Nothing for two of them, and addresses only inside their subnet.

use super::placed::Placed;
use super::pools::address_lease;
use super::subnets::text;
use super::{Checker, ipv6, value_or};
use crate::config::file::{File, Hosts, PdPool, Reservation};
use crate::config::notation::{Family, Prefix, Range, number};
use crate::config::report::{At, Spot};
use dhcp_core::reservation::{self, Boot, IdentifierOrder, Reservations, ReservedBy};
use dhcp_lease::Lease;
use std::collections::HashMap;
use std::net::IpAddr;

impl Checker<'_> {
    /// Gives the subnets their reservations from the files of reservations.
    pub(super) fn distribute<'f>(&mut self, file: &'f File, subnets: &mut [Placed<'f>]) {
        for (family, hosts) in [(Family::V4, &file.hosts4), (Family::V6, &file.hosts6)] {
            if hosts.lines.is_empty() {
                continue;
            }
            let places = Places::new(subnets, family);
            for line in &hosts.lines {
                let place = match &line.subnet_id {
                    Some(id) if id.value == 0 => continue,
                    Some(id) => places.by_id.get(&id.value).copied().ok_or_else(|| {
                        let message = format!("there is no subnet with the `id` {}", id.value);
                        (&id.spot, message)
                    }),
                    None if line.has_address && line.reservation.addresses.is_empty() => continue,
                    None => places.containing(&line.reservation),
                };
                match place {
                    Ok(place) => {
                        if let Some(subnet) = subnets.get_mut(place) {
                            subnet.reservations.push(&line.reservation);
                        }
                    }
                    Err((spot, message)) => self.report.error(spot, message),
                }
            }
        }
    }

    /// No address or prefix is reserved for two clients, nor half of one.
    pub(super) fn reserved_twice(&mut self, file: &File, subnets: &[Placed<'_>]) {
        let reservations = || {
            let of_subnets = subnets.iter().flat_map(|placed| &placed.reservations);
            let global = [&file.hosts4, &file.hosts6].into_iter().flat_map(global);
            of_subnets.copied().chain(global)
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
        let mut pd_pools: Vec<_> = subnets
            .iter()
            .flat_map(|placed| &placed.written.pd_pools)
            .collect();
        // No two of them overlap, or that is an error already.
        pd_pools.sort_by_key(|pool| pool.value.prefix.range().first);
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
        let pool_range = |pool: &&At<PdPool>| pool.value.prefix.range();
        let first = pd_pools.partition_point(|pool| pool_range(pool).last < range.first);
        let near = pd_pools.get(first..).unwrap_or_default().iter();
        for pd_pool in near.take_while(|pool| pool_range(pool).first <= range.last) {
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

    /// What holds for all reservations of a protocol, and those of no subnet.
    pub(super) fn hosts(
        &mut self,
        hosts: &Hosts,
        family: Family,
        subnets: &[Placed<'_>],
    ) -> reservation::Hosts {
        let order = match &hosts.identifiers {
            Some(named) => IdentifierOrder::of(named.iter().map(|it| it.value)),
            None => IdentifierOrder::default(),
        };
        let of_family = || {
            subnets
                .iter()
                .filter(|subnet| subnet.written.family == family)
        };
        for reservation in of_family()
            .flat_map(|subnet| subnet.reservations.iter().copied())
            .chain(global(hosts))
        {
            if let Some(identifier) = &reservation.identifier
                && !order.contains(identifier.value.0)
            {
                let message = "is not among `host-reservation-identifiers`, so this client is never \
                               found; add it there";
                self.report.warn(&identifier.spot, message);
            }
        }
        let with_global: Vec<_> = of_family()
            .filter(|subnet| value_or(&subnet.parameters.reservations_global, false))
            .filter_map(|subnet| Some(subnet.written.subnet.as_ref()?.value.range()))
            .collect();
        if let Some(first) = global(hosts).next()
            && with_global.is_empty()
        {
            let message = "is for subnets with reservations-global = true, and there is none";
            self.report.warn(&first.spot, message);
        }
        let mut seen = HashMap::new();
        let mut reservations = Reservations::default();
        for written in global(hosts) {
            self.reserves_something(written);
            for address in &written.addresses {
                let alone = Range::one(address.value);
                self.unusable(&address.spot, &alone);
                if !with_global.is_empty() && !with_global.iter().any(|it| it.holds(&alone)) {
                    let message =
                        "lies in no subnet with reservations-global = true, so nobody gets it";
                    self.report.warn(&address.spot, message);
                }
            }
            self.reservation(&mut seen, written, |_| true, &mut reservations);
        }
        reservation::Hosts {
            order,
            global: reservations,
        }
    }

    /// The reservations of a subnet.
    pub(super) fn reservations(&mut self, placed: &Placed<'_>) -> Reservations {
        let mut reservations = Reservations::default();
        reservations.with_global = value_or(&placed.parameters.reservations_global, false);
        let mut seen = HashMap::new();
        let counts = value_or(&placed.parameters.reservations_in_subnet, true);
        let out_of_pool = value_or(&placed.parameters.reservations_out_of_pool, false);
        if let (Some(first), false) = (placed.reservations.first(), counts) {
            let message =
                "is not looked at, like all of its subnet: reservations-in-subnet is false";
            self.report.warn(&first.spot, message);
        }
        for written in placed.reservations.iter().copied() {
            self.reserves_something(written);
            self.reservation_addresses(placed, written);
            if !counts {
                continue;
            }
            let in_pool = |address: IpAddr| {
                let mut pools = placed.written.pools.iter();
                pools.find(|pool| pool.value.contains(address))
            };
            if out_of_pool {
                for address in &written.addresses {
                    if let Some(pool) = in_pool(address.value) {
                        let message = format!(
                            "lies in {}, and reservations-out-of-pool is true: it is not reserved",
                            self.report.name(&pool.spot)
                        );
                        self.report.warn(&address.spot, message);
                    }
                }
            }
            let is_kept = |address| !out_of_pool || in_pool(address).is_none();
            self.reservation(&mut seen, written, is_kept, &mut reservations);
        }
        reservations
    }

    /// Adds one reservation, with the addresses that are reserved by it.
    fn reservation<'f>(
        &mut self,
        seen: &mut HashMap<&'f (ReservedBy, Vec<u8>), &'f Spot>,
        written: &'f Reservation,
        is_kept: impl Fn(IpAddr) -> bool,
        into: &mut Reservations,
    ) {
        let Some(identifier) = &written.identifier else {
            return;
        };
        self.once(seen, &identifier.value, &identifier.spot, |first| {
            format!("is the client of {first} too; put both into one reservation")
        });
        let addresses = written.addresses.iter().map(|it| it.value);
        let addresses = addresses.filter(|&it| is_kept(it)).map(address_lease);
        let prefixes = written
            .prefixes
            .iter()
            .filter_map(|it| Some(Lease::Prefix(ipv6(it.value.address)?, it.value.len)));
        let leases: Vec<_> = addresses.chain(prefixes).collect();
        // All are of the protocol of their subnet.
        let family = written.options.first().map_or(Family::V4, |it| it.family);
        self.reserved.extend(&leases);
        let reservation = reservation::Reservation {
            leases,
            options: self.level(&written.options, family),
            hostname: text(&written.hostname),
            boot: boot(written),
            classes: self.class_numbers(&written.classes, written.family).into(),
        };
        let (by, octets) = &identifier.value;
        into.insert(*by, octets, reservation);
    }

    fn reserves_something(&mut self, written: &Reservation) {
        if written.is_empty() {
            self.report
                .warn(&written.spot, "reserves nothing for its client");
        }
    }

    fn reservation_addresses(&mut self, placed: &Placed<'_>, written: &Reservation) {
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

fn boot(written: &Reservation) -> Option<Box<Boot>> {
    let boot = Boot {
        next_server: written.next_server.as_ref().map(|it| it.value),
        server_hostname: text(&written.server_hostname),
        boot_file_name: text(&written.boot_file_name),
    };
    (boot != Boot::default()).then(|| Box::new(boot))
}

/// The reservations of no subnet: those of the section, then those of the file that name subnet 0.
pub(super) fn global(hosts: &Hosts) -> impl Iterator<Item = &Reservation> {
    let is_global = |id: &Option<At<u32>>| id.as_ref().is_some_and(|it| it.value == 0);
    let lines = hosts
        .lines
        .iter()
        .filter(move |it| is_global(&it.subnet_id));
    hosts.global.iter().chain(lines.map(|it| &it.reservation))
}

/// Where the subnets of a protocol are, by number and by address.
struct Places {
    by_id: HashMap<u32, usize>,
    /// In the order of their addresses, of which no two overlap.
    by_address: Vec<(Range, usize)>,
}

impl Places {
    fn new(subnets: &[Placed<'_>], family: Family) -> Self {
        let of_family = || {
            let all = subnets.iter().enumerate();
            all.filter(|(_, subnet)| subnet.written.family == family)
        };
        let range = |(place, subnet): (usize, &Placed<'_>)| {
            Some((subnet.written.subnet.as_ref()?.value.range(), place))
        };
        let mut by_address: Vec<_> = of_family().filter_map(range).collect();
        by_address.sort_by_key(|(range, _)| range.first);
        Self {
            by_id: of_family()
                .map(|(place, subnet)| (subnet.id, place))
                .collect(),
            by_address,
        }
    }

    /// The subnet of a reservation that names none.
    fn containing<'f>(&self, written: &'f Reservation) -> Result<usize, (&'f Spot, String)> {
        let Some(address) = written.addresses.first() else {
            let message = "names no subnet; add `subnet-id` (0: for every subnet with \
                           reservations-global)";
            return Err((&written.spot, message.to_owned()));
        };
        let wanted = number(address.value);
        let after = self
            .by_address
            .partition_point(|(range, _)| range.first <= wanted);
        let before = after.checked_sub(1).and_then(|at| self.by_address.get(at));
        match before.filter(|(range, _)| range.contains(address.value)) {
            Some((_, place)) => Ok(*place),
            None => Err((
                &address.spot,
                format!(
                    "{} lies in no subnet; correct it, or add the subnet",
                    address.value
                ),
            )),
        }
    }
}
