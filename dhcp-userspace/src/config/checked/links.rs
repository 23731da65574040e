//! Which link is a client on? What selects a link must select one, and somebody must be served from it.

use super::Checker;
use super::placed::Placed;
use crate::config::file::{File, Interface, SharedNetwork};
use crate::config::notation::Family;
use crate::config::report::Spot;
use std::collections::HashMap;
use std::net::IpAddr;

impl Checker<'_> {
    /// What selects a link must select one.
    pub(super) fn links(&mut self, file: &File, subnets: &[Placed<'_>]) {
        let mut names: HashMap<&str, &Spot> = HashMap::new();
        for network in &file.networks {
            if let Some(name) = &network.name {
                self.once(&mut names, name.value.as_str(), &name.spot, |first| {
                    format!("is the name of {first} too; give it another")
                });
            }
            if network.subnets.is_empty() {
                self.report
                    .warn(&network.spot, "has no subnet; nobody is served from it");
            }
            self.network_relays(network);
        }
        let mut relays: HashMap<IpAddr, (&Spot, *const ())> = HashMap::new();
        let mut interface_ids: HashMap<&[u8], (&Spot, *const ())> = HashMap::new();
        let mut interfaces: HashMap<(Family, &str), (&Spot, *const ())> = HashMap::new();
        for placed in subnets {
            let link = placed.link();
            for relay in placed.relays() {
                self.one_link(&mut relays, relay.value, &relay.spot, link);
            }
            if let Some(it) = placed.interface_id() {
                self.one_link(&mut interface_ids, &it.value, &it.spot, link);
            }
            let Some(it) = placed.interface() else {
                continue;
            };
            let served = |interface: &Interface| interface.name.value == it.value;
            // Without interfaces that is the error, and not each subnet that names one.
            if !file.interfaces.is_empty() && !file.interfaces.iter().any(served) {
                let message = format!(
                    "{} is not among `interfaces`; add it there, or drop it here",
                    it.value
                );
                self.report.error(&it.spot, message);
            }
            let known = interfaces.get(&(placed.written.family, it.value.as_str()));
            if let Some((first, _)) = known.filter(|(_, other)| *other != link) {
                let message = format!(
                    "{} is that of {} too, whose subnet alone serves the clients on it; subnets on \
                     one link belong in one of [[shared-networks]]",
                    it.value,
                    self.report.name(first)
                );
                self.report.warn(&it.spot, message);
            }
            interfaces
                .entry((placed.written.family, &it.value))
                .or_insert((&it.spot, link));
        }
    }

    /// A relay agent of a protocol that the shared network has no subnet of serves nobody.
    fn network_relays(&mut self, network: &SharedNetwork) {
        for relay in &network.relays {
            let family = if relay.value.is_ipv4() {
                Family::V4
            } else {
                Family::V6
            };
            if !network.subnets.iter().any(|subnet| subnet.family == family) {
                let message = format!(
                    "{} is an {} address, but the shared network has no such subnet; add one, or \
                     drop the address",
                    relay.value,
                    family.ip()
                );
                self.report.error(&relay.spot, message);
            }
        }
    }

    fn one_link<'f, K: std::hash::Hash + Eq>(
        &mut self,
        seen: &mut HashMap<K, (&'f Spot, *const ())>,
        key: K,
        spot: &'f Spot,
        link: *const (),
    ) {
        match seen.get(&key) {
            Some((first, other)) if *other != link => {
                let message = format!(
                    "selects {} too; put the subnets of one link into one of [[shared-networks]]",
                    self.report.name(first)
                );
                self.report.error(spot, message);
            }
            Some(_) => {}
            None => {
                seen.insert(key, (spot, link));
            }
        }
    }
}
