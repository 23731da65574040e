//! How is a binding written? The parts of `Partition::commit`, and what reading and clearing up share.

use super::{Partition, Role, SlotNumber, TableFull};
use crate::allocator::Pools;
use crate::binding::{Binding, Key, Lease, State, Timestamp};
use crate::context::Context;
use crate::format::{
    self, ArchivedRecord, EXTENSIONS_MAX, Group, IDENTITY_OCTETS_MAX, Image, NO_SLOT,
    extensions_for,
};
use crate::index::{Digest, Identity};
use crate::journal::ChangeLog;
use crate::offers::Offer;
use crate::store::Durability;
use crate::wheel::Shelf;
use dhcp_wire::id::{HardwareAddress, Iaid};

/// Stands in a list of extension slots for one that is still to be found.
pub(super) const WANTED: u32 = NO_SLOT - 1;

/// The extension slots of a binding before and after a commit.
#[derive(Debug)]
pub(super) struct Slots {
    /// Those that it keeps, then [`WANTED`] ones, then those that it gives up.
    pub(super) extensions: [u32; EXTENSIONS_MAX],
    used: usize,
    owned: usize,
}

impl Slots {
    fn used(&self) -> &[u32] {
        self.extensions.get(..self.used).unwrap_or_default()
    }

    pub(super) fn surplus(&self) -> &[u32] {
        self.extensions
            .get(self.used..self.owned)
            .unwrap_or_default()
    }
}

/// Where a binding is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// Into a slot that holds nothing worth keeping.
    New,
    /// Over the client's earlier binding.
    Over(SlotNumber),
    /// Into a new slot, and the client's earlier binding stays what it is.
    Beside(SlotNumber),
}

impl Place {
    pub(super) fn of(slot: Option<SlotNumber>) -> Self {
        slot.map_or(Self::New, Self::Over)
    }

    /// The slot that is written over.
    pub(super) fn overwritten(self) -> Option<SlotNumber> {
        match self {
            Self::Over(slot) => Some(slot),
            Self::New | Self::Beside(_) => None,
        }
    }
}

/// What a binding's slot was before a commit.
#[derive(Debug)]
pub(super) struct Earlier {
    role: Role,
    lease: Option<Lease>,
    expires: Timestamp,
    pub(super) digest: Option<Digest>,
}

impl Earlier {
    pub(super) fn held(&self) -> Option<Lease> {
        self.lease.filter(|_| self.role.holds_its_lease())
    }

    /// Whether the client goes on from a lease that is still its own to the one of `binding`.
    pub(super) fn is_superseded_by(&self, binding: &Binding, now: Timestamp) -> bool {
        self.role == Role::Live
            && self.expires > now
            && self.lease.is_some_and(|lease| lease != binding.lease)
    }

    /// Whether the slot is in the wheel, to be looked at not later than `binding` ends.
    pub(super) fn is_armed_before(&self, binding: &Binding) -> bool {
        self.role == Role::Live
            && self.expires <= binding.expires
            && self.expires != Timestamp::NEVER
    }
}

impl Partition {
    /// Finds out which extension slots a commit needs, and that they can be had, and how much of the
    /// context there is room for.
    ///
    /// A context takes further slots only while a quarter of all slots is free or holds former leases: those
    /// that are left are for leases. It loses its end for that, never a lease.
    pub(super) fn slots_for<'b>(
        &self,
        slot: Option<SlotNumber>,
        binding: &'b Binding,
    ) -> Result<(Slots, &'b [u8]), TableFull> {
        let identity_len = binding.identity_len();
        let (mut extensions, owned) = slot
            .map_or(([NO_SLOT; EXTENSIONS_MAX], 0), |SlotNumber(head)| {
                self.extensions(head)
            });
        let needed = extensions_for(identity_len + binding.context.indispensable_len());
        let wished = extensions_for(identity_len + binding.context.as_octets().len());
        let head = u32::from(slot.is_none());
        let added = wished.saturating_sub(owned) as u32 + head;
        let own = slot.is_some_and(|SlotNumber(head)| self.role(head) == Role::Former);
        let available = self.free_count + self.role_count(Role::Former) - u32::from(own);
        let is_ample = available >= added.saturating_add(self.table.slots() / 4);
        let granted = match is_ample {
            true => wished,
            false => wished.min(owned.max(needed)),
        };
        let room = format::room_in(granted).saturating_sub(identity_len);
        let context = binding.context.fitting(room);
        let used = extensions_for(identity_len + context.len());
        for place in extensions.iter_mut().take(used).skip(owned) {
            *place = WANTED;
        }
        let wanted = used.saturating_sub(owned) as u32 + head;
        if wanted > available {
            return Err(TableFull);
        }
        let slots = Slots {
            extensions,
            used,
            owned,
        };
        Ok((slots, context))
    }

    pub(super) fn earlier(&mut self, head: u32) -> Earlier {
        let role = self.role(head);
        let record = self.record(head);
        let earlier = Earlier {
            role,
            lease: record.and_then(ArchivedRecord::lease),
            expires: record.map_or(Timestamp(0), ArchivedRecord::expires),
            digest: self.digest_at(head).filter(|_| role.is_indexed()),
        };
        // Off the shelf, lest it be forgotten to make room for its own extensions.
        if role == Role::Former {
            self.assign(head, Role::Extension, Timestamp::NEVER);
        }
        earlier
    }

    /// A slot that holds nothing worth keeping: a free one, or else that of the oldest former binding.
    pub(super) fn take_slot(&mut self, log: &mut ChangeLog) -> u32 {
        if let Some(slot) = self.wheel.oldest(Shelf::Free) {
            self.free_count -= 1;
            self.wheel.unlink(slot);
            return slot;
        }
        let oldest = self.wheel.oldest(Shelf::Former);
        assert!(
            oldest.is_some(),
            "partition {}: no slot, though counted",
            self.number
        );
        let slot = oldest.unwrap_or(NO_SLOT);
        match self.digest_at(slot) {
            Some(digest) => self.leave_index(slot, digest),
            None => self.index.forget(slot),
        }
        // Its own slot is written over as a whole, now or not at all. Its extensions must stay what they
        // are until that is durable.
        let (extensions, owned) = self.extensions(slot);
        for extension in extensions.into_iter().take(owned) {
            self.free_slot(extension, log);
        }
        self.assign(slot, Role::Extension, Timestamp::NEVER);
        slot
    }

    /// The extension slots of a binding, and how many they are.
    pub(crate) fn extensions(&self, head: u32) -> ([u32; EXTENSIONS_MAX], usize) {
        let mut extensions = [NO_SLOT; EXTENSIONS_MAX];
        let Some(record) = self.record(head) else {
            return (extensions, 0);
        };
        let mut owned = 0;
        let mut next = record.extension.to_native();
        for place in extensions.iter_mut().take(usize::from(record.extensions)) {
            let Some(extension) = self.image(next).and_then(format::extension) else {
                break;
            };
            *place = next;
            next = extension.next.to_native();
            owned += 1;
        }
        (extensions, owned)
    }

    pub(super) fn reindex(&mut self, slot: u32, before: Option<Digest>, after: Option<Digest>) {
        if before == after {
            return;
        }
        if let Some(digest) = before {
            self.leave_index(slot, digest);
        }
        if let Some(digest) = after {
            self.enter(slot, digest);
        }
    }

    fn leave_index(&mut self, slot: u32, digest: Digest) {
        self.index.remove(digest, slot);
    }

    /// Writes all images of a binding as one.
    pub(super) fn write(
        &mut self,
        head: u32,
        slots: &Slots,
        binding: &Binding,
        context: &[u8],
        log: &mut ChangeLog,
    ) {
        self.generation += 1;
        let mut numbers = [head; 1 + EXTENSIONS_MAX];
        for (place, &extension) in numbers.iter_mut().skip(1).zip(slots.used()) {
            *place = extension;
            self.assign(extension, Role::Extension, Timestamp::NEVER);
        }
        let numbers = numbers.get(..=slots.used).unwrap_or_default();
        let group = Group::new(
            binding,
            context,
            numbers,
            self.generation,
            self.number,
            &self.checksum,
        );
        match self.durability {
            Durability::Process => {
                self.table.commit(&group);
                log.note(self.number, &group);
            }
            Durability::Power => {
                for (slot, image) in group.images() {
                    self.overlay.store(slot, &image);
                    log.push(self.number, slot, &image);
                }
            }
        }
    }

    /// Tells the history that the client goes on to another lease. The record that lets go of the earlier
    /// one names only the new one, so a record of its own says that the earlier one ended. It has no slot:
    /// the tables have no use for it.
    pub(super) fn tell_of_earlier(&mut self, head: u32, log: &mut ChangeLog, now: Timestamp) {
        let mut earlier = Binding::default();
        self.read(SlotNumber(head), &mut earlier);
        earlier.state = State::Released;
        earlier.expires = now;
        earlier.valid_seconds = 0;
        let context = earlier.context.as_octets();
        let mut nowhere = [WANTED; 1 + EXTENSIONS_MAX];
        if let Some(slot) = nowhere.first_mut() {
            *slot = NO_SLOT;
        }
        let extensions = extensions_for(earlier.identity_len() + context.len());
        let slots = nowhere.get(..=extensions).unwrap_or_default();
        self.generation += 1;
        let group = Group::new(
            &earlier,
            context,
            slots,
            self.generation,
            self.number,
            &self.checksum,
        );
        match self.durability {
            Durability::Process => log.note(self.number, &group),
            Durability::Power => {
                for (slot, image) in group.images() {
                    log.push(self.number, slot, &image);
                }
            }
        }
    }

    /// Gives back what a binding held before, once the binding that lets go is durable.
    pub(super) fn let_go(&mut self, lease: Lease, pools: &Pools, log: &mut ChangeLog) {
        match self.durability {
            Durability::Process => pools.give_back(lease),
            Durability::Power => {
                self.leaving.push_back(lease);
                log.free_lease(self.number, lease);
            }
        }
    }

    /// Frees an extension slot, once the binding that lets go is durable.
    pub(super) fn free_slot(&mut self, slot: u32, log: &mut ChangeLog) {
        match self.durability {
            Durability::Process => self.shelve_free(slot),
            Durability::Power => log.free_slot(self.number, slot),
        }
    }

    /// Ends the offers that a commit answers. The lease that the binding holds stays claimed.
    pub(super) fn end_offer(
        &mut self,
        digest: Digest,
        binding: &Binding,
        held: Option<Lease>,
        pools: &Pools,
    ) {
        let answered =
            |offer: &Offer| offer.subnet == binding.subnet || offer.lease == binding.lease;
        while let Some((place, offer)) = self.offers.find(digest, answered) {
            self.offers.remove(place);
            if Some(offer.lease) != held {
                pools.give_back(offer.lease);
            }
        }
    }

    /// Looks at a slot that the wheel brought up. Whether it ended.
    pub(super) fn look_at(&mut self, slot: u32, now: Timestamp, pools: &Pools) -> bool {
        let role = self.role(slot);
        let record = self.record(slot);
        let until = match role {
            Role::Damaged => self.quarantine_end,
            Role::Free | Role::Live | Role::Former | Role::Declined | Role::Extension => {
                record.map_or(now, |record| role.ends(record.expires()))
            }
        };
        // The end of an image that is not durable may be earlier than that of the durable one, which is
        // what counts after a power cut.
        let until = match self.is_settled(slot) {
            true => until,
            false => until.max(Timestamp(now.0.saturating_add(1))),
        };
        if until > now {
            self.assign(slot, role, until);
            return false;
        }
        let lease = record.and_then(ArchivedRecord::lease);
        if let Some(lease) = lease {
            pools.give_back(lease);
        }
        if role == Role::Declined {
            self.end_quarantine(slot);
            if let Some(lease) = lease {
                pools.count_declined(lease, false);
            }
        }
        let next = if role == Role::Live {
            self.uncount(slot);
            Role::Former
        } else {
            Role::Free
        };
        self.assign(slot, next, Timestamp::NEVER);
        true
    }

    /// A declined record that ended is nobody's, so its extensions are free with it. Nothing needs to be
    /// written: whoever opens the store sees from the record and the time that it ended, and then asks
    /// no more for its extensions.
    fn end_quarantine(&mut self, head: u32) {
        self.forget_decline(head);
        let (extensions, owned) = self.extensions(head);
        for extension in extensions.into_iter().take(owned) {
            self.shelve_free(extension);
        }
    }

    /// The declined binding in this slot counts no longer against its client.
    pub(crate) fn forget_decline(&mut self, head: u32) {
        if let Some(client) = self.client_at(head) {
            self.declines.remove(client);
        }
    }

    /// The declined binding in this slot counts against its client.
    pub(crate) fn count_decline(&mut self, head: u32, until: Timestamp) {
        if let Some(client) = self.client_at(head) {
            self.declines.add(client, until);
        }
    }

    /// What stands for the client of the binding in a slot, whatever it leases.
    fn client_at(&self, slot: u32) -> Option<u64> {
        let record = self.record(slot)?;
        let image = |slot| self.image(slot);
        with_key(record, image, |key| self.digester.of_client(key))
    }

    /// The digest of the binding in a slot.
    pub(crate) fn digest_at(&self, slot: u32) -> Option<Digest> {
        self.digest_of_record(self.record(slot)?)
    }

    pub(crate) fn digest_of_record<'a>(&'a self, record: &'a ArchivedRecord) -> Option<Digest> {
        let image = |slot| self.image(slot);
        with_key(record, image, |key| self.digester.of_key(key))
    }

    pub(super) fn is_identity(&self, record: &ArchivedRecord, identity: Identity<'_>) -> bool {
        let Some((octets, skip)) = identity.within(record) else {
            return false;
        };
        if let Some(inline) = record.octets.get(skip..skip + octets.len()) {
            return inline == octets;
        }
        let stored: [u8; IDENTITY_OCTETS_MAX] = format::gather(self.pieces(record));
        stored.get(skip..skip + octets.len()) == Some(octets)
    }

    pub(super) fn read_record(&self, record: &ArchivedRecord, into: &mut Binding) {
        format::read(record, &format::gather(self.pieces(record)), into);
    }

    pub(super) fn read_context(&self, record: &ArchivedRecord, into: &mut Context) {
        let start = record.identity_len();
        let first = record.octets.get(start);
        if first == Some(&0) || first.is_none() && record.extensions == 0 {
            return;
        }
        let stored: [u8; format::OCTETS_MAX] = format::gather(self.pieces(record));
        into.set(stored.get(start..).unwrap_or_default());
    }

    fn pieces<'p>(&'p self, record: &'p ArchivedRecord) -> impl Iterator<Item = &'p [u8]> {
        format::pieces(record, |slot| self.image(slot))
    }

    /// Whether a record says what `binding` would say in its place, times excepted.
    pub(super) fn is_same_but_times(&self, slot: SlotNumber, binding: &Binding) -> bool {
        let Some(record) = self.record(slot.0) else {
            return false;
        };
        let same_fields = record.terms().is_some_and(|terms| {
            terms.lease == binding.lease
                && terms.state == binding.state
                && terms.subnet == binding.subnet
                && terms.valid_seconds == binding.valid_seconds
                && terms.preferred_seconds == binding.preferred_seconds
        });
        let same_client = record.iaid.to_native() == binding.iaid.0
            && record.htype == binding.hardware.htype()
            && usize::from(record.hlen) == binding.hardware.as_slice().len()
            && usize::from(record.client_len) == binding.client.len();
        if !same_fields || !same_client {
            return false;
        }
        let Ok((_, context)) = self.slots_for(Some(slot), binding) else {
            return false;
        };
        let parts = [
            binding.hardware.as_slice(),
            binding.client.as_slice(),
            context,
        ];
        format::consist_of(self.pieces(record), parts)
    }
}

/// What `make` makes of the key of a binding.
fn with_key<'a, T>(
    record: &'a ArchivedRecord,
    image: impl Fn(u32) -> Option<&'a Image>,
    make: impl FnOnce(&Key<'_>) -> T,
) -> Option<T> {
    let gathered: [u8; IDENTITY_OCTETS_MAX];
    // Nearly every identity lies in its slot as a whole.
    let stored = if record.identity_len() <= record.octets.len() {
        record.octets.as_slice()
    } else {
        gathered = format::gather(format::pieces(record, image));
        &gathered
    };
    let (hardware, client) = stored.split_at_checked(usize::from(record.hlen))?;
    let client = client.get(..usize::from(record.client_len))?;
    let key = Key {
        kind: record.kind()?,
        client,
        hardware: HardwareAddress::new(record.htype, hardware).unwrap_or_default(),
        iaid: Iaid(record.iaid.to_native()),
    };
    Some(make(&key))
}
