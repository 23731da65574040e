//! What is remembered: what happened to a lease, whose it was, and where something is missing.

use super::octets::{Cursor, put_counted, put_difference, put_number};
use crate::binding::{Binding, Lease, LeaseKind, State, SubnetId, Timestamp};
use crate::context::{Context, ItemKind};
use crate::history::Hash;
use core::net::{Ipv4Addr, Ipv6Addr};
use dhcp_wire::id::{HardwareAddress, Iaid};

/// What happened to a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Event {
    /// It was granted or extended.
    Leased = 1,
    /// Its client gave it back.
    Released = 2,
    /// An operator took it away.
    OperatorReleased = 3,
    /// Its client got another one instead.
    Superseded = 4,
    /// Its client found it in use by somebody else; it is nobody's until `expires`.
    Declined = 5,
}

impl Event {
    const ALL: [Self; 5] = [
        Self::Leased,
        Self::Released,
        Self::OperatorReleased,
        Self::Superseded,
        Self::Declined,
    ];

    pub(super) fn of_octet(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&event| event as u8 == octet)
    }
}

/// One more thing that is known of a holder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Item {
    /// What it is; numbers without a name are kept.
    pub tag: ItemKind,
    /// As it came; chosen by a stranger.
    pub octets: Vec<u8>,
}

/// Whose a lease was, and by which way the client came.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// Subnet that it was granted from.
    pub subnet: SubnetId,
    /// Client identifier (DHCPv4) or DUID; empty if there is none.
    pub client: Vec<u8>,
    /// Hardware address, where known.
    pub hardware: HardwareAddress,
    /// DHCPv6: the IA.
    pub iaid: Iaid,
    /// Relay agent, circuit, host name.
    pub items: Vec<Item>,
}

impl Holder {
    /// Whether this is the same client with the same IA, by whatever way it comes.
    pub fn is_same_client(&self, other: &Self) -> bool {
        self.client == other.client
            && self.iaid == other.iaid
            && (!self.client.is_empty() || self.hardware == other.hardware)
    }

    fn put(&self, into: &mut Vec<u8>) {
        put_number(into, u64::from(self.subnet.0));
        put_counted(into, &self.client);
        into.push(self.hardware.htype());
        put_counted(into, self.hardware.as_slice());
        put_number(into, u64::from(self.iaid.0));
        for item in &self.items {
            into.push(item.tag.0);
            put_counted(into, &item.octets);
        }
    }

    fn take(cursor: &mut Cursor<'_>) -> Option<Self> {
        let subnet = SubnetId(cursor.number32()?);
        let client = cursor.counted()?.to_vec();
        let htype = cursor.octet()?;
        let hardware = HardwareAddress::new(htype, cursor.counted()?).ok()?;
        let iaid = Iaid(cursor.number32()?);
        let mut items = Vec::new();
        while let Some(tag) = cursor.octet() {
            let octets = cursor.counted()?.to_vec();
            items.push(Item {
                tag: ItemKind(tag),
                octets,
            });
        }
        Some(Self {
            subnet,
            client,
            hardware,
            iaid,
            items,
        })
    }
}

/// One commit of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub event: Event,
    /// To which lease.
    pub lease: Lease,
    /// Until when it is granted, or kept from everybody; for the other events the same as `time`.
    pub expires: Timestamp,
    /// The partition of the store that wrote it.
    pub partition: u32,
    /// The number of the commit in that partition.
    pub generation: u64,
    /// Whose it was.
    pub holder: Holder,
}

impl Entry {
    /// What a binding says that was committed not later than `now`.
    pub fn of_binding(binding: &Binding, partition: u32, generation: u64, now: Timestamp) -> Self {
        // Whoever ends a binding sets `expires` to that moment. The operator is no client, so the client
        // was last heard of before; a client that goes on to another lease is granted nothing here.
        let (event, time) = match binding.state {
            State::Leased => (Event::Leased, binding.last_transaction),
            State::Declined => (Event::Declined, binding.last_transaction),
            State::Released if binding.valid_seconds == 0 => (Event::Superseded, binding.expires),
            State::Released if binding.expires > binding.last_transaction => {
                (Event::OperatorReleased, binding.expires)
            }
            State::Released => (Event::Released, binding.expires),
        };
        let time = time.min(now);
        let expires = match event {
            Event::Leased | Event::Declined => binding.expires,
            Event::Released | Event::OperatorReleased | Event::Superseded => time,
        };
        Self {
            time,
            event,
            lease: binding.lease,
            expires,
            partition,
            generation,
            holder: Holder {
                subnet: binding.subnet,
                client: binding.client.as_slice().to_vec(),
                hardware: binding.hardware,
                iaid: binding.iaid,
                items: items_of(&binding.context),
            },
        }
    }

    /// Appends the entry as a whole, its kind first. `base` is what times are counted from.
    pub(super) fn put(&self, into: &mut Vec<u8>, base: u64) {
        into.push(self.event as u8);
        put_difference(into, self.time.0, base);
        put_lease(into, self.lease);
        put_number(into, u64::from(self.partition));
        put_number(into, self.generation);
        put_difference(into, self.expires.0, self.time.0);
        self.holder.put(into);
    }

    pub(super) fn take(event: Event, cursor: &mut Cursor<'_>, base: u64) -> Option<Self> {
        let time = cursor.difference(base)?;
        let lease = take_lease(cursor)?;
        let partition = cursor.number32()?;
        let generation = cursor.number()?;
        let expires = cursor.difference(time)?;
        Some(Self {
            time: Timestamp(time),
            event,
            lease,
            expires: Timestamp(expires),
            partition,
            generation,
            holder: Holder::take(cursor)?,
        })
    }

    /// What tells whether a later entry needs to say more than times: lease, partition and holder.
    pub fn identity(&self) -> [u8; 16] {
        let mut octets = Vec::with_capacity(128);
        put_lease(&mut octets, self.lease);
        put_number(&mut octets, u64::from(self.partition));
        self.holder.put(&mut octets);
        let Hash(hash) = Hash::of(&octets);
        hash.first_chunk().copied().unwrap_or_default()
    }
}

/// What a context tells but for the client's Reconfigure key, which is a secret, for what else changes with every
/// message, and for what the lease counted against, which says nothing outside of its store.
fn items_of(context: &Context) -> Vec<Item> {
    let passing = [
        ItemKind::RECONFIGURE_KEY,
        ItemKind::TRANSACTION,
        ItemKind::COUNTED,
    ];
    let told = context.items().filter(|item| !passing.contains(&item.kind));
    let items = told.map(|item| Item {
        tag: item.kind,
        octets: item.data.to_vec(),
    });
    items.collect()
}

fn put_lease(into: &mut Vec<u8>, lease: Lease) {
    into.push(lease.kind() as u8);
    match lease {
        Lease::V4(address) => into.extend_from_slice(&address.octets()),
        Lease::Address(address) => into.extend_from_slice(&address.octets()),
        Lease::Prefix(address, length) => {
            into.extend_from_slice(&address.octets());
            into.push(length);
        }
    }
}

fn take_lease(cursor: &mut Cursor<'_>) -> Option<Lease> {
    let kind = cursor.octet()?;
    let kinds = [LeaseKind::V4, LeaseKind::Address, LeaseKind::Prefix];
    Some(match kinds.into_iter().find(|&it| it as u8 == kind)? {
        LeaseKind::V4 => Lease::V4(Ipv4Addr::from(cursor.array::<4>()?)),
        LeaseKind::Address => Lease::Address(Ipv6Addr::from(cursor.array::<16>()?)),
        LeaseKind::Prefix => {
            let address = Ipv6Addr::from(cursor.array::<16>()?);
            Lease::Prefix(address, cursor.octet().filter(|&length| length <= 128)?)
        }
    })
}

/// Why entries are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The history could not be written for so long that its buffer was full.
    Disk = 1,
    /// The process died, and later commits had overwritten these in the tables.
    Overwritten = 2,
    /// The journal had let them go before the history had them: the server ran without a history, or
    /// history files are missing.
    Unrecorded = 3,
    /// Blocks were damaged, or cut off that had been whole.
    Damaged = 4,
}

impl Reason {
    const ALL: [Self; 4] = [
        Self::Disk,
        Self::Overwritten,
        Self::Unrecorded,
        Self::Damaged,
    ];
}

/// Something is missing here, and it is known that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Not before this moment.
    pub from: Timestamp,
    /// Not after this moment.
    pub to: Timestamp,
    /// Why.
    pub reason: Reason,
    /// How many commits, if that is known; 0: it is not.
    pub commits: u64,
}

/// What happened to the history itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A server began to write.
    Started {
        /// When.
        time: Timestamp,
    },
    /// It ended in good order.
    Stopped {
        /// When.
        time: Timestamp,
    },
    /// The lease store is older than the history: it was restored from a backup or made anew. Numbers of
    /// commits begin again from what the store has.
    WentBack {
        /// When that was found.
        time: Timestamp,
    },
    /// Retention deletes all segments up to this one.
    Pruned {
        /// When.
        time: Timestamp,
        /// The number of the last one.
        segment: u64,
        /// The hash of its last block, from which the chain goes on.
        hash: Hash,
    },
}

const KIND_GAP: u8 = 0x20;
const KIND_STARTED: u8 = 0x21;
const KIND_STOPPED: u8 = 0x22;
const KIND_WENT_BACK: u8 = 0x23;
const KIND_PRUNED: u8 = 0x24;

impl Gap {
    pub(super) fn put(&self, into: &mut Vec<u8>, base: u64) {
        into.push(KIND_GAP);
        put_difference(into, self.from.0, base);
        put_difference(into, self.to.0, base);
        into.push(self.reason as u8);
        put_number(into, self.commits);
    }

    pub(super) fn take(kind: u8, cursor: &mut Cursor<'_>, base: u64) -> Option<Self> {
        if kind != KIND_GAP {
            return None;
        }
        let from = Timestamp(cursor.difference(base)?);
        let to = Timestamp(cursor.difference(base)?);
        let octet = cursor.octet()?;
        let reason = Reason::ALL.into_iter().find(|&it| it as u8 == octet)?;
        let commits = cursor.number()?;
        Some(Self {
            from,
            to,
            reason,
            commits,
        })
    }
}

impl Mark {
    /// When it was made.
    pub fn time(&self) -> Timestamp {
        match *self {
            Self::Started { time }
            | Self::Stopped { time }
            | Self::WentBack { time }
            | Self::Pruned { time, .. } => time,
        }
    }

    pub(super) fn put(&self, into: &mut Vec<u8>, base: u64) {
        into.push(match self {
            Self::Started { .. } => KIND_STARTED,
            Self::Stopped { .. } => KIND_STOPPED,
            Self::WentBack { .. } => KIND_WENT_BACK,
            Self::Pruned { .. } => KIND_PRUNED,
        });
        put_difference(into, self.time().0, base);
        if let Self::Pruned { segment, hash, .. } = self {
            put_number(into, *segment);
            into.extend_from_slice(&hash.0);
        }
    }

    pub(super) fn take(kind: u8, cursor: &mut Cursor<'_>, base: u64) -> Option<Self> {
        if !(KIND_STARTED..=KIND_PRUNED).contains(&kind) {
            return None;
        }
        let time = Timestamp(cursor.difference(base)?);
        Some(match kind {
            KIND_STARTED => Self::Started { time },
            KIND_STOPPED => Self::Stopped { time },
            KIND_WENT_BACK => Self::WentBack { time },
            _ => Self::Pruned {
                time,
                segment: cursor.number()?,
                hash: Hash(cursor.array()?),
            },
        })
    }
}
