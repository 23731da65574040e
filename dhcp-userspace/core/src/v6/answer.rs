//! What the server answers, before it is octets.

use super::query::{HINTS_MAX, IAS_MAX, IaKind, IaQuery};
use crate::subnet::{Lifetimes, Subnet6};
use dhcp_lease::{Bound, Lease, SubnetId};
use dhcp_wire::id::Iaid;
use dhcp_wire::v6::{MessageType, StatusCode};

/// How many leases the answer for one IA may have: a new one, the one it is for, and each that the client
/// named.
const LEASES_MAX: usize = HINTS_MAX + 2;

/// What the server answers, without the parts that follow from the query and the policy.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) message_type: MessageType,
    pub(super) rapid_commit: bool,
    pub(super) status: Option<Said>,
    /// Whether options of the configuration are sent.
    pub(super) with_options: bool,
    /// The subnet of the first lease that was granted, whose options are sent.
    pub(super) subnet: Option<SubnetId>,
    /// T1 and T2, the same in all IAs.
    pub(super) t1: u32,
    pub(super) t2: u32,
    ias: [IaAnswer; IAS_MAX],
    ia_count: usize,
    /// How often a limit of leases stood against one, in the order of `Bound::ALL`.
    refusals: [u8; Bound::ALL.len()],
}

/// A status with its text for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: u16,
    pub(super) text: &'static str,
}

pub(super) const SUCCESS: Said = Said {
    code: StatusCode::SUCCESS,
    text: "Done.",
};
pub(super) const ON_LINK: Said = Said {
    code: StatusCode::SUCCESS,
    text: "All addresses are on link.",
};
pub(super) const OFF_LINK: Said = Said {
    code: StatusCode::NOT_ON_LINK,
    text: "Not an address of this link.",
};
pub(super) const NO_BINDING: Said = Said {
    code: StatusCode::NO_BINDING,
    text: "No such lease is known.",
};
const NO_ADDRS: Said = Said {
    code: StatusCode::NO_ADDRS_AVAIL,
    text: "No address is free.",
};
const NO_PREFIX: Said = Said {
    code: StatusCode::NO_PREFIX_AVAIL,
    text: "No prefix is free.",
};

/// The answer for one IA.
#[derive(Clone, Copy, Debug)]
pub(super) struct IaAnswer {
    pub(super) kind: IaKind,
    pub(super) iaid: Iaid,
    pub(super) status: Option<Said>,
    leases: [Granted; LEASES_MAX],
    lease_count: usize,
}

/// A lease with its lifetimes in seconds; both 0: to be used no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) lease: Lease,
    pub(super) preferred: u32,
    pub(super) valid: u32,
}

impl Answer {
    pub(super) fn new(message_type: MessageType) -> Self {
        let no_ia = IaAnswer::new(IaKind::Addresses, Iaid(0));
        Self {
            message_type,
            rapid_commit: false,
            status: None,
            with_options: true,
            subnet: None,
            t1: 0,
            t2: 0,
            ias: [no_ia; IAS_MAX],
            ia_count: 0,
            refusals: [0; Bound::ALL.len()],
        }
    }

    /// Notes that a limit of leases stood against one.
    pub(super) fn refuse(&mut self, bound: Bound) {
        if let Some(count) = self.refusals.get_mut(bound as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// How many leases were refused because a limit was reached.
    pub fn refusals(&self) -> impl Iterator<Item = (Bound, u64)> {
        let counts = self.refusals.into_iter().map(u64::from);
        Bound::ALL.into_iter().zip(counts)
    }

    pub(super) fn status_only(said: Said) -> Self {
        let reply = Self::new(MessageType::Reply);
        Self {
            status: Some(said),
            with_options: false,
            ..reply
        }
    }

    pub(super) fn ias(&self) -> &[IaAnswer] {
        self.ias.get(..self.ia_count).unwrap_or_default()
    }

    pub(super) fn push(&mut self, ia: IaAnswer) {
        if let Some(place) = self.ias.get_mut(self.ia_count) {
            *place = ia;
            self.ia_count += 1;
        }
    }
}

impl IaAnswer {
    pub(super) fn new(kind: IaKind, iaid: Iaid) -> Self {
        let lease = Lease::Address(core::net::Ipv6Addr::UNSPECIFIED);
        let nothing = Granted {
            lease,
            preferred: 0,
            valid: 0,
        };
        Self {
            kind,
            iaid,
            status: None,
            leases: [nothing; LEASES_MAX],
            lease_count: 0,
        }
    }

    pub(super) fn to(ia: &IaQuery) -> Self {
        Self::new(ia.kind, ia.iaid)
    }

    pub(super) fn saying(ia: &IaQuery, status: Said) -> Self {
        Self {
            status: Some(status),
            ..Self::to(ia)
        }
    }

    pub(super) fn leases(&self) -> &[Granted] {
        self.leases.get(..self.lease_count).unwrap_or_default()
    }

    pub(super) fn push(&mut self, granted: Granted) {
        if let Some(place) = self.leases.get_mut(self.lease_count) {
            *place = granted;
            self.lease_count += 1;
        }
    }

    /// Tells the client to stop using each of `leases` that the IA does not keep.
    pub(super) fn end(&mut self, leases: impl Iterator<Item = Lease>) {
        for lease in leases {
            if !self.leases().iter().any(|known| known.lease == lease) {
                self.push(Granted {
                    lease,
                    preferred: 0,
                    valid: 0,
                });
            }
        }
    }
}

pub(super) fn none_left(kind: IaKind) -> Said {
    match kind {
        IaKind::Addresses | IaKind::Temporary => NO_ADDRS,
        IaKind::Prefixes => NO_PREFIX,
    }
}

/// T1 and T2 over all leases of an answer.
#[derive(Default)]
pub(super) struct Timers {
    earliest: Option<(u32, u32)>,
}

impl Timers {
    /// Takes in a lease that was granted now, with the timers of its subnet.
    pub(super) fn add(&mut self, subnet: &Subnet6, preferred: u32) {
        let (t1, t2) = Self::computed(preferred);
        let Lifetimes { renew, rebind, .. } = subnet.lifetimes;
        self.take_in(renew.unwrap_or(t1), rebind.unwrap_or(t2));
    }

    /// Takes in what is left of a lease. What is configured counts from when it was granted, so it is
    /// reckoned from what is left instead.
    pub(super) fn add_computed(&mut self, preferred: u32) {
        let (t1, t2) = Self::computed(preferred);
        self.take_in(t1, t2);
    }

    fn computed(preferred: u32) -> (u32, u32) {
        // RFC 8415 section 21.4 [t1-t2-recommended]: 0.5 and 0.8 of the shortest preferred lifetime; a
        // lifetime that never ends has timers that never come.
        let of_preferred = |tenths: u64| match preferred {
            u32::MAX => u32::MAX,
            seconds => (u64::from(seconds) * tenths / 10) as u32, // tenths are below 10
        };
        (of_preferred(5), of_preferred(8))
    }

    fn take_in(&mut self, t1: u32, t2: u32) {
        let (earliest_t1, earliest_t2) = self.earliest.unwrap_or((u32::MAX, u32::MAX));
        self.earliest = Some((t1.min(earliest_t1), t2.min(earliest_t2)));
    }

    /// RFC 8415 section 18.3.2 [same-timers-in-all-ias]: one pair for the whole answer. T1 is never after T2 (section 21.4); 0 where
    /// nothing was granted.
    pub(super) fn t1_and_t2(&self) -> (u32, u32) {
        self.earliest.map_or((0, 0), |(t1, t2)| (t1.min(t2), t2))
    }
}
