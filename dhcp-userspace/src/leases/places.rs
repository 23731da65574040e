//! To which subnet does a lease belong? Found by its address, among as many subnets as there are.

use dhcp_core::Policy;
use dhcp_lease::{Lease, PoolIndex, SubnetId};
use std::collections::HashMap;
use std::net::IpAddr;

/// A range of addresses with the subnet that it is of: first, last, number.
type Range = (u128, u128, SubnetId);

/// Where everything lies, by a policy.
#[derive(Debug, Default)]
pub struct Places {
    /// By first address; the ranges of one list do not overlap.
    v4: Vec<Range>,
    v6: Vec<Range>,
    /// Pools of prefixes, which need not lie in their subnet.
    delegated: Vec<Range>,
    /// By number of the subnet: which network it is in.
    networks: HashMap<SubnetId, usize>,
}

impl Places {
    /// Those of a policy.
    pub fn new(policy: &Policy) -> Self {
        let mut places = Self::default();
        for (number, network) in policy.networks_v4.iter().enumerate() {
            for subnet in &network.subnets {
                let first = u128::from(subnet.network.to_bits());
                let size = 1u128 << 32u8.saturating_sub(subnet.prefix_len);
                places.v4.push((first, first + (size - 1), subnet.id));
                places.networks.insert(subnet.id, number);
            }
        }
        let after_v4 = policy.networks_v4.len();
        for (number, network) in policy.networks_v6.iter().enumerate() {
            for subnet in &network.subnets {
                let first = subnet.network.to_bits();
                let last = first | host_mask(subnet.prefix_len);
                places.v6.push((first, last, subnet.id));
                places.networks.insert(subnet.id, after_v4 + number);
                let pools = subnet.pd_pools.iter();
                places
                    .delegated
                    .extend(pools.filter_map(|pool| delegated(policy, *pool, subnet.id)));
            }
        }
        for list in [&mut places.v4, &mut places.v6, &mut places.delegated] {
            list.sort_unstable();
        }
        places
    }

    /// The subnet in which a lease lies; that of its pd-pool, for a prefix.
    pub fn subnet_of(&self, lease: Lease) -> Option<SubnetId> {
        let (list, first) = match lease.address() {
            IpAddr::V4(address) => (&self.v4, u128::from(address.to_bits())),
            IpAddr::V6(address) => (&self.v6, address.to_bits()),
        };
        match lease {
            Lease::V4(_) | Lease::Address(_) => find(list, first, first),
            Lease::Prefix(_, length) => {
                let last = first | host_mask(length);
                find(&self.delegated, first, last).or_else(|| find(list, first, last))
            }
        }
    }

    /// Whether two subnets are on one link; every subnet that is not configured is alone.
    pub fn on_one_link(&self, one: SubnetId, other: SubnetId) -> bool {
        let network = |subnet| self.networks.get(&subnet);
        one == other || network(one).is_some() && network(one) == network(other)
    }
}

fn delegated(policy: &Policy, pool: PoolIndex, subnet: SubnetId) -> Option<Range> {
    let range = policy.pools.range(pool)?;
    let Lease::Prefix(first, length) = range.first else {
        return None;
    };
    let first = first.to_bits();
    let size = host_mask(length).saturating_add(1);
    let octets = size.saturating_mul(u128::from(range.count.max(1)));
    Some((first, first.saturating_add(octets - 1), subnet))
}

fn find(list: &[Range], first: u128, last: u128) -> Option<SubnetId> {
    let after = list.partition_point(|(start, ..)| *start <= first);
    let (_, end, subnet) = list.get(after.checked_sub(1)?)?;
    (last <= *end).then_some(*subnet)
}

/// The bits after a prefix of this length.
fn host_mask(length: u8) -> u128 {
    u128::MAX.checked_shr(u32::from(length)).unwrap_or(0)
}
