//! Which clients? And how is one found again without keeping much of it?

use super::schedule::Seen;
use crate::config::notation::Prefix;
use dhcp_lease::{Binding, Key, Lease, LeaseKind, Partitions, SlotNumber, SubnetId, Timestamp};
use std::hash::{DefaultHasher, Hasher};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Which clients a campaign is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The holder of this lease.
    Lease(Lease),
    /// Whoever has this hardware address.
    Hardware(Vec<u8>),
    /// Whoever has this client identifier, or DUID.
    Client(Vec<u8>),
    /// Leases that were granted from this subnet.
    Subnet(SubnetId),
    /// Leases that lie in this prefix.
    Prefix(Prefix),
    /// Clients behind the DHCPv4 relay agent with this `giaddr`.
    Relay(Ipv4Addr),
    /// Clients of the DHCPv4 class with this name.
    Class(String),
    /// Everybody.
    All,
}

impl Selection {
    /// Whether the holder of a binding is meant, as far as its binding alone tells: of a class everybody may be.
    pub fn includes(&self, binding: &Binding) -> bool {
        match self {
            Self::Lease(lease) => binding.lease == *lease,
            Self::Hardware(octets) => binding.hardware.as_slice() == octets,
            Self::Client(octets) => binding.client.as_slice() == octets,
            Self::Subnet(id) => binding.subnet == *id,
            Self::Prefix(prefix) => prefix.range().contains(binding.lease.address()),
            Self::Relay(giaddr) => binding.context.giaddr() == Some(*giaddr),
            Self::Class(_) | Self::All => true,
        }
    }
}

/// A client of a campaign: where its binding is, and by what it is known to be still its.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    partition: u32,
    slot: SlotNumber,
    identity: u64,
}

/// The clients of a campaign.
#[derive(Debug)]
pub struct Targets {
    partitions: Arc<Partitions>,
    targets: Vec<Target>,
    since: Timestamp,
    binding: Binding,
}

/// Which bindings were met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Met {
    /// Live leases that were meant.
    pub(super) selected: u32,
    /// Those of them whose holders cannot be told.
    pub(super) unable: u32,
}

impl Targets {
    /// Goes through all bindings: those of `kind` that are live, selected, and `can` be told.
    pub(super) fn find(
        partitions: Arc<Partitions>,
        kind: LeaseKind,
        selection: &Selection,
        now: Timestamp,
        can: impl Fn(&Binding) -> bool,
    ) -> (Self, Met) {
        let mut targets = Vec::new();
        let mut met = Met::default();
        partitions.for_each_slot(|partition, slot, binding| {
            let is_meant = binding.lease.kind() == kind && binding.is_live(now);
            if !is_meant || !selection.includes(binding) {
                return;
            }
            met.selected += 1;
            if !can(binding) {
                met.unable += 1;
                return;
            }
            targets.push(Target {
                partition: partition as u32,
                slot,
                identity: identity(binding),
            });
        });
        let this = Self {
            partitions,
            targets,
            since: now,
            binding: Binding::default(),
        };
        (this, met)
    }

    /// Keeps those that are `meant` and `can` be told. Each is looked at without its partition's lock: what is asked
    /// takes longer than reading it.
    pub(super) fn narrow(
        &mut self,
        is_meant: impl Fn(&Binding) -> bool,
        can: impl Fn(&Binding) -> bool,
    ) -> Met {
        let mut met = Met::default();
        let mut kept = Vec::new();
        for number in 0..self.targets.len() as u32 {
            if !self.read(number) || !is_meant(&self.binding) {
                continue;
            }
            met.selected += 1;
            match can(&self.binding) {
                true => kept.extend(self.targets.get(number as usize)),
                false => met.unable += 1,
            }
        }
        self.targets = kept;
        met
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The binding of a target as it is now, if the slot is still its.
    pub fn binding(&mut self, target: u32) -> Option<&Binding> {
        self.read(target).then_some(&self.binding)
    }

    fn read(&mut self, target: u32) -> bool {
        let Some(target) = self.targets.get(target as usize).copied() else {
            return false;
        };
        let is_there = self
            .partitions
            .lock(target.partition as usize)
            .is_some_and(|partition| partition.read_slot(target.slot, &mut self.binding));
        is_there && identity(&self.binding) == target.identity
    }

    /// What has become of a target since the campaign began.
    pub fn look(&mut self, target: u32, now: Timestamp) -> Seen {
        if !self.read(target) {
            return Seen::Gone;
        }
        let (binding, since) = (&self.binding, self.since);
        let is_live = binding.is_live(now);
        if is_live && binding.last_transaction > since {
            return Seen::Reacted;
        }
        // It may have been moved to another network, where it has another binding.
        let key = Key {
            kind: binding.lease.kind(),
            client: binding.client.as_slice(),
            hardware: binding.hardware,
            iaid: binding.iaid,
        };
        let newest = self
            .partitions
            .lock(self.partitions.index_of(key.spread_octets()))
            .and_then(|partition| partition.terms(partition.find(&key, |_| true)?));
        let has_moved =
            newest.is_some_and(|terms| terms.is_live(now) && terms.last_transaction > since);
        match (has_moved, is_live) {
            (true, _) => Seen::Reacted,
            (false, true) => Seen::Silent,
            (false, false) => Seen::Gone,
        }
    }
}

/// What stands for the client of a binding. Another client's in the same slot would have to have the same by
/// chance, and would be sent a message that it cannot verify.
fn identity(binding: &Binding) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(binding.hardware.as_slice());
    hasher.write_u8(binding.hardware.as_slice().len() as u8);
    hasher.write(binding.client.as_slice());
    hasher.write_u32(binding.iaid.0);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::notation::{self, Family};
    use dhcp_lease::context::ItemKind;
    use dhcp_lease::{ChangeLog, Durability, PoolRange, Pools, State};
    use dhcp_wire::id::{ClientId, HardwareAddress};

    const NOW: Timestamp = Timestamp(1_700_000_000);

    fn binding(last: u8) -> Binding {
        let mut binding = Binding {
            lease: Lease::V4(Ipv4Addr::new(10, 0, 0, last)),
            state: State::Leased,
            subnet: SubnetId(u32::from(last) % 2),
            client: ClientId::EMPTY,
            hardware: HardwareAddress::ethernet([2, 0, 0, 0, 0, last]),
            last_transaction: NOW,
            expires: NOW.after(3600),
            valid_seconds: 3600,
            ..Binding::default()
        };
        binding.client.push_slice(&[1, last]).unwrap();
        binding
            .context
            .insert(ItemKind::GIADDR, &[10, 0, 0, last % 3]);
        binding
    }

    struct Store {
        partitions: Arc<Partitions>,
        pools: Pools,
    }

    impl Store {
        fn new() -> Self {
            let range = PoolRange {
                first: Lease::V4(Ipv4Addr::new(10, 0, 0, 0)),
                count: 256,
            };
            let partitions = Partitions::in_memory(4, 256, Durability::Process);
            let this = Self {
                partitions: Arc::new(partitions),
                pools: Pools::new(&[range], &[]),
            };
            (1..13).for_each(|last| this.write(&binding(last)));
            this
        }

        fn write(&self, binding: &Binding) {
            let index = self.partitions.index_of(binding.client.as_slice());
            let mut partition = self.partitions.lock(index).unwrap();
            let key = Key {
                kind: LeaseKind::V4,
                client: binding.client.as_slice(),
                hardware: binding.hardware,
                iaid: binding.iaid,
            };
            let slot = partition.find(&key, |_| true);
            let mut log = ChangeLog::default();
            partition
                .commit(slot, binding, &self.pools, &mut log, NOW)
                .unwrap();
        }

        fn find(&self, selection: &Selection) -> (Targets, Met) {
            let partitions = Arc::clone(&self.partitions);
            let able = |binding: &Binding| binding.lease != Lease::V4(Ipv4Addr::new(10, 0, 0, 12));
            Targets::find(partitions, LeaseKind::V4, selection, NOW, able)
        }
    }

    #[test]
    fn every_selection_finds_those_that_it_names() {
        let prefix = |text| notation::prefix(Family::V4, text).unwrap();
        let store = Store::new();
        for (selection, selected) in [
            (Selection::Lease(binding(3).lease), 1),
            (Selection::Lease(binding(99).lease), 0),
            (Selection::Hardware(vec![2, 0, 0, 0, 0, 3]), 1),
            (Selection::Client(vec![1, 3]), 1),
            (Selection::Subnet(SubnetId(1)), 6),
            (Selection::Prefix(prefix("10.0.0.8/29")), 5),
            (Selection::Prefix(prefix("10.0.0.8/32")), 1),
            (Selection::Prefix(prefix("0.0.0.0/0")), 12),
            (Selection::Relay(Ipv4Addr::new(10, 0, 0, 2)), 4),
            (Selection::All, 12),
        ] {
            let (_, met) = store.find(&selection);
            assert_eq!(met.selected, selected, "{selection:?}");
        }
        let (targets, met) = store.find(&Selection::All);
        assert_eq!((targets.len(), met.unable), (11, 1));
    }

    #[test]
    fn a_class_is_looked_for_among_all() {
        let store = Store::new();
        let partitions = Arc::clone(&store.partitions);
        let selection = Selection::Class("odd".to_owned());
        let (mut targets, met) =
            Targets::find(partitions, LeaseKind::V4, &selection, NOW, |_| true);
        assert_eq!((targets.len(), met.selected), (12, 12));
        let last = |binding: &Binding| binding.hardware.as_slice()[5];
        let met = targets.narrow(|it| last(it) % 2 == 1, |it| last(it) != 3);
        assert_eq!((targets.len(), met.selected, met.unable), (5, 6, 1));
        let left: Vec<_> = (0..5)
            .map(|number| last(targets.binding(number).unwrap()))
            .collect();
        assert!(
            left.iter().all(|last| last % 2 == 1 && *last != 3),
            "{left:?}"
        );
    }

    #[test]
    fn who_came_is_told_from_who_did_not_and_who_left() {
        let store = Store::new();
        let holder = |last| Selection::Lease(binding(last).lease);
        let look = |targets: &mut Targets, after| targets.look(0, NOW.after(after));
        let (mut targets, _) = store.find(&holder(1));
        assert_eq!(look(&mut targets, 1), Seen::Silent);
        let renewed = Binding {
            last_transaction: NOW.after(1),
            ..binding(1)
        };
        store.write(&renewed);
        assert_eq!(look(&mut targets, 1), Seen::Reacted);

        let (mut targets, _) = store.find(&holder(2));
        let moved = Binding {
            lease: Lease::V4(Ipv4Addr::new(10, 0, 0, 200)),
            last_transaction: NOW.after(5),
            ..binding(2)
        };
        store.write(&moved);
        assert_eq!(look(&mut targets, 5), Seen::Reacted, "to another address");

        let (mut targets, _) = store.find(&holder(3));
        assert_eq!(look(&mut targets, 3600), Seen::Gone, "its lease has ended");
        let released = Binding {
            state: State::Released,
            last_transaction: NOW.after(1),
            ..binding(3)
        };
        store.write(&released);
        assert_eq!(look(&mut targets, 1), Seen::Gone);
        assert_eq!(targets.look(1, NOW), Seen::Gone, "there is no such target");
    }

    /// An early renewal that changes nothing is not written; while somebody wants news of it, it is.
    #[test]
    fn early_renewals_are_written_while_news_is_wanted() {
        let store = Store::new();
        let index = store.partitions.index_of(&[1, 1]);
        let mut partition = store.partitions.lock(index).unwrap();
        let key = Key {
            kind: LeaseKind::V4,
            client: &[1, 1],
            hardware: binding(1).hardware,
            iaid: binding(1).iaid,
        };
        let slot = partition.find(&key, |_| true).unwrap();
        assert!(partition.is_known(slot, &binding(1)));
        partition.want_news(Some(NOW));
        assert!(!partition.is_known(slot, &binding(1)));
        partition.want_news(Some(Timestamp(NOW.0 - 1)));
        assert!(partition.is_known(slot, &binding(1)), "it came since");
        partition.want_news(None);
        assert!(partition.is_known(slot, &binding(1)));
    }
}
