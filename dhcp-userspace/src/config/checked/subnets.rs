//! What does a subnet say to the engine? Everything that was written of it and around it, as the types that
//! the protocols work with.

use super::placed::Placed;
use super::{Checker, ipv4, ipv6, value_or};
use crate::config::file::Parameters;
use crate::config::notation::Family;
use crate::config::report::At;
use dhcp_core::class::Access;
use dhcp_core::networks::Vpns;
use dhcp_core::options::OptionSet;
use dhcp_core::subnet::{Network, PoolOptions, Rules, Subnet4, Subnet6};
use dhcp_lease::{Lease, PoolIndex, SubnetId};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

/// Where the networks of shared networks stand, by protocol and name.
#[derive(Default)]
pub(super) struct ByName(HashMap<(Family, String), usize>);

impl ByName {
    /// Puts a subnet into the network of its shared network, or into one of its own. `options` are the shared
    /// network's.
    pub(super) fn add<S>(
        &mut self,
        networks: &mut Vec<Network<S>>,
        placed: &Placed<'_>,
        access: Access,
        subnet: Option<S>,
        options: OptionSet,
    ) {
        let Some(subnet) = subnet else { return };
        let name = placed.network.and_then(|network| network.name.as_ref());
        let name = name.map(|it| it.value.clone()).unwrap_or_default();
        let next = networks.len();
        let place = match name.is_empty() {
            true => next,
            false => {
                let key = (placed.written.family, name.clone());
                *self.0.entry(key).or_insert(next)
            }
        };
        match networks.get_mut(place) {
            Some(network) => network.subnets.push(subnet),
            None => networks.push(Network {
                name,
                subnets: vec![subnet],
                options,
                access,
            }),
        }
    }
}

fn rules(written: &Parameters) -> Rules {
    let lifetime = value_or(&written.bootp_lifetime, u32::MAX);
    Rules {
        authoritative: value_or(&written.authoritative, true),
        match_client_id: value_or(&written.match_client_id, true),
        echo_client_id: value_or(&written.echo_client_id, true),
        bootp_seconds: value_or(&written.bootp, false).then_some(lifetime),
    }
}

/// A text as octets; none if it is not there.
pub(super) fn text(written: &Option<At<String>>) -> Box<[u8]> {
    let octets = written.as_ref().map(|it| it.value.as_bytes().into());
    octets.unwrap_or_default()
}

impl Checker<'_> {
    /// The options of the shared network around a subnet.
    pub(super) fn network_options(&mut self, placed: &Placed<'_>) -> OptionSet {
        let written = placed.network.map(|it| &it.parameters.options[..]);
        self.level(written.unwrap_or_default(), placed.written.family)
    }

    fn pool_options(&mut self, placed: &Placed<'_>) -> PoolOptions {
        let family = placed.written.family;
        let pools = placed.written.pool_options.iter();
        PoolOptions::new(pools.map(|(range, options)| {
            let (first, last) = (family.address(range.first), family.address(range.last));
            (first, last, self.level(options, family))
        }))
    }

    /// A DHCPv4 subnet; `outer` are the options that hold for everybody.
    pub(super) fn subnet4(
        &mut self,
        placed: &Placed<'_>,
        outer: &OptionSet,
        vpns: &mut Vpns,
    ) -> Option<Subnet4> {
        let written = placed.written;
        let lifetimes = self.lifetimes(placed);
        let subnet = written.subnet.as_ref()?;
        let IpAddr::V4(network) = subnet.value.address else {
            return None;
        };
        let prefix_len = subnet.value.len;
        let pools = self.address_pools(placed, subnet.value);
        let options = self.level(&written.parameters.options, Family::V4);
        self.routers(placed, outer, &options);
        self.server_identifier(placed);
        let access = self.subnet_access(placed, &pools);
        let parameters = &placed.parameters;
        Some(Subnet4 {
            id: SubnetId(placed.id),
            network,
            prefix_len,
            pools,
            relays: placed.relays().filter_map(|it| ipv4(it.value)).collect(),
            interface: placed.interface().map(|it| it.value.clone()),
            access,
            lifetimes,
            reservations: self.reservations(placed),
            options,
            pool_options: self.pool_options(placed),
            server_identifier: parameters.server_identifier.as_ref().map(|it| it.value),
            next_server: value_or(&parameters.next_server, Ipv4Addr::UNSPECIFIED),
            server_hostname: text(&parameters.server_hostname),
            boot_file_name: text(&parameters.boot_file_name),
            rapid_commit: value_or(&parameters.rapid_commit, false),
            probe: self.probe(parameters),
            rules: rules(parameters),
            agents: super::relays::agents(parameters, vpns),
            limits: self.subnet_limits(placed),
        })
    }

    pub(super) fn subnet6(&mut self, placed: &Placed<'_>) -> Option<Subnet6> {
        let lifetimes = self.lifetimes(placed);
        let subnet = placed.written.subnet.as_ref()?;
        let IpAddr::V6(network) = subnet.value.address else {
            return None;
        };
        let pools = self.address_pools(placed, subnet.value);
        let pd_pools = self.pd_pools(placed);
        let access = self.subnet_access(placed, &[&pools[..], &pd_pools].concat());
        Some(Subnet6 {
            id: SubnetId(placed.id),
            network,
            prefix_len: subnet.value.len,
            pools,
            pd_pools,
            access,
            relays: placed.relays().filter_map(|it| ipv6(it.value)).collect(),
            interface: placed.interface().map(|it| it.value.clone()),
            interface_id: placed
                .interface_id()
                .map(|it| it.value.clone().into_boxed_slice()),
            lifetimes,
            reservations: self.reservations(placed),
            options: self.level(&placed.written.parameters.options, Family::V6),
            pool_options: self.pool_options(placed),
            rapid_commit: value_or(&placed.parameters.rapid_commit, false),
            preference: value_or(&placed.parameters.preference, 0),
            limits: self.subnet_limits(placed),
        })
    }

    /// Who may use a shared network.
    pub(super) fn network_access(&mut self, placed: &Placed<'_>) -> Access {
        let Some(network) = placed.network else {
            return Access::default();
        };
        self.late_guard(&network.class_names.permitted, placed.written.family);
        self.access(&network.class_names, placed.written.family)
    }

    /// Who may use a subnet, and each of its pools.
    fn subnet_access(&mut self, placed: &Placed<'_>, pools: &[PoolIndex]) -> Access {
        let written = placed.written;
        if placed
            .network
            .is_none_or(|network| network.subnets.len() == 1)
        {
            self.late_guard(&written.class_names.permitted, written.family);
        }
        for (range, names) in &written.pool_class_names {
            let access = self.access(names, written.family);
            let is_it = |pool: &&PoolIndex| {
                let first = self.ranges.get(pool.0 as usize).map(|pool| pool.first);
                first.is_some_and(|first| range.contains(address(first)))
            };
            if let (Some(pool), true) = (pools.iter().find(is_it), access != Access::default()) {
                let place = pool.0 as usize;
                let count = self.pool_access.len().max(place + 1);
                self.pool_access.resize(count, Access::default());
                if let Some(known) = self.pool_access.get_mut(place) {
                    *known = access;
                }
            }
        }
        self.access(&written.class_names, written.family)
    }

    /// A subnet without routers is rarely meant, and a router in a pool never.
    fn routers(&mut self, placed: &Placed<'_>, outer: &OptionSet, own: &OptionSet) {
        const ROUTERS: u16 = 3;
        const CLASSLESS_ROUTES: u16 = 121;
        let network = self.network_options(placed);
        let levels = [own, &network, outer];
        let find = |code| levels.into_iter().find_map(|set| set.find(code));
        let (routers, routes) = (find(ROUTERS), find(CLASSLESS_ROUTES));
        if routers.is_none() && routes.is_none() && !placed.written.pools.is_empty() {
            let message = "has no `routers` option; its clients get no default route";
            self.report.warn(&placed.written.spot, message);
        }
        let octets = routers.map(|option| &*option.data).unwrap_or_default();
        let (addresses, _) = octets.as_chunks::<4>();
        for octets in addresses {
            let router = IpAddr::V4(Ipv4Addr::from(*octets));
            let message = format!("holds {router}, which the `routers` option gives as a router");
            self.warn_if_in_pool(placed, router, &message);
        }
    }

    fn server_identifier(&mut self, placed: &Placed<'_>) {
        if let Some(it) = &placed.parameters.server_identifier {
            let address = IpAddr::V4(it.value);
            let message = format!("holds {address}, which is this server's `server-identifier`");
            self.warn_if_in_pool(placed, address, &message);
        }
    }

    fn warn_if_in_pool(&mut self, placed: &Placed<'_>, address: IpAddr, message: &str) {
        let reserved = placed.reservations.iter().flat_map(|it| &it.addresses);
        if reserved.into_iter().any(|it| it.value == address) {
            return;
        }
        for pool in placed
            .written
            .pools
            .iter()
            .filter(|pool| pool.value.contains(address))
        {
            self.report.warn(&pool.spot, message);
        }
    }
}

fn address(lease: Lease) -> IpAddr {
    match lease {
        Lease::V4(address) => IpAddr::V4(address),
        Lease::Address(address) | Lease::Prefix(address, _) => IpAddr::V6(address),
    }
}
