//! How many leases may a line, a class, a subnet hold? What the operator says, and what one lease counts against.
//!
//! The counting is the lease store's: see [`dhcp_lease::counts`]. What is limited here is written beside a lease
//! when it is granted, so a lease counts from when it was first written down under a limit.

use crate::class::{Classes, Memberships};
use crate::discard::Discard;
use crate::subnet::Policy;
use dhcp_lease::{Bound, LeaseKind, Limited, Limits, Partition, SubnetId};

/// How many leases something may hold; `None`: any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LeaseLimits {
    /// Addresses (`address-limit`, `line-address-limit`).
    pub addresses: Option<u32>,
    /// Delegated prefixes (`prefix-limit`, `line-prefix-limit`; DHCPv6).
    pub prefixes: Option<u32>,
}

impl LeaseLimits {
    /// Any number.
    pub const NONE: Self = Self {
        addresses: None,
        prefixes: None,
    };

    fn of(self, kind: LeaseKind) -> Option<u32> {
        match kind {
            LeaseKind::V4 | LeaseKind::Address => self.addresses,
            LeaseKind::Prefix => self.prefixes,
        }
    }
}

/// By which word of its relay agents a line is known (`line-key`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LineKey {
    /// The port: Circuit-Id (sub-option 1 of option 82) or Interface-Id (option 18), which means something to the
    /// relay agent alone; so `giaddr` or the link-address belongs to it.
    #[default]
    Port = 1,
    /// Remote-Id (sub-option 2 of option 82; option 37), which means the same everywhere.
    Remote = 2,
    /// Subscriber-Id (sub-option 6 of option 82; option 38), which means the same everywhere.
    Subscriber = 3,
}

/// The limits of a subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SubnetLimits {
    /// Of all its clients together.
    pub own: LeaseLimits,
    /// Of each line.
    pub line: LeaseLimits,
    /// What a line is.
    pub line_key: LineKey,
}

/// A line as relay agents name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// The relay agent within which the name means something; zeros where it means the same everywhere.
    pub(crate) agent: [u8; 16],
    pub(crate) name: &'a [u8],
}

/// What a lease of a subnet counts against, for a client with these classes. `line`: by what the client's line is
/// known; a client of whose line nothing is told is on none.
pub(crate) fn limits<'l>(
    partition: &Partition,
    kind: LeaseKind,
    (subnet, of_subnet): (SubnetId, &SubnetLimits),
    line: impl FnOnce(LineKey) -> Option<Line<'l>>,
    (of_classes, classes): (&Classes, &Memberships),
) -> Limits {
    let mut limits = Limits::NONE;
    let mut push = |bound: Bound, limited: &Limited<'_>, most: Option<u32>| {
        if let (Some(most), Some(tag)) = (most, partition.tag(kind, limited)) {
            limits.push(bound, tag, most);
        }
    };
    if !partition.counts_leases() {
        return Limits::NONE;
    }
    if of_subnet.line.of(kind).is_some()
        && let Some(Line { agent, name }) = line(of_subnet.line_key)
    {
        let by = of_subnet.line_key as u16;
        let limited = Limited::Line { by, agent, name };
        push(Bound::Line, &limited, of_subnet.line.of(kind));
    }
    let limited = Limited::Subnet(subnet);
    push(Bound::Subnet, &limited, of_subnet.own.of(kind));
    for (name, limit) in of_classes.limits(classes) {
        push(
            Bound::Class,
            &Limited::Class(name.as_bytes()),
            limit.of(kind),
        );
    }
    limits
}

impl Discard {
    /// Why a message is not answered when a limit is reached.
    pub const fn of_limit(bound: Bound) -> Self {
        match bound {
            Bound::Line => Self::LineLimit,
            Bound::Class => Self::ClassLimit,
            Bound::Subnet => Self::SubnetLimit,
        }
    }

    /// Which limit it is for, if it is for one.
    pub const fn limit(self) -> Option<Bound> {
        match self {
            Self::LineLimit => Some(Bound::Line),
            Self::ClassLimit => Some(Bound::Class),
            Self::SubnetLimit => Some(Bound::Subnet),
            _ => None,
        }
    }
}

impl Policy {
    /// Whether anything at all has a limit: then the store must count leases before this policy is in force
    /// (`Partitions::count_leases`).
    pub fn has_lease_limits(&self) -> bool {
        let is_limited = |limits: &SubnetLimits| {
            limits.own != LeaseLimits::NONE || limits.line != LeaseLimits::NONE
        };
        let v4 = self.networks_v4.iter().flat_map(|it| &it.subnets);
        let v6 = self.networks_v6.iter().flat_map(|it| &it.subnets);
        self.classes_v4.has_limits()
            || self.classes_v6.has_limits()
            || v4.into_iter().any(|subnet| is_limited(&subnet.limits))
            || v6.into_iter().any(|subnet| is_limited(&subnet.limits))
    }
}
