//! One lock with its table: all that happens to the bindings and offers of a share of all clients.
//!
//! Invariants, per slot:
//! - Its [`Role`] says what it is for now, and with that in which list of the wheel it is. Roles live in
//!   memory; they follow from the table and the time.
//! - A binding is in the client index if and only if its role is `Live` or `Former`.
//! - Its lease's bit is this slot's to give back if and only if its role is `Live`, `Declined` or
//!   `Damaged`.

use crate::allocator::{Claim, Past, Pools};
use crate::binding::{Binding, GRACE_SECONDS, Key, Lease, State, SubnetId, Terms, Timestamp};
use crate::context::Context;
use crate::counts::{Bound, LetGo, Limits};
use crate::declines::Declines;
use crate::directory::Directory;
use crate::format::{self, ArchivedRecord, Checksum, Image};
use crate::history::{Entry, Tracker};
use crate::index::{ClientIndex, Digest, Digester, Identity};
use crate::journal::ChangeLog;
use crate::offers::{Offer, Offers};
use crate::overlay::Overlay;
use crate::snapshot::Memory;
use crate::store::Durability;
use crate::table::Table;
use crate::wheel::{Shelf, Wheel};
use core::ops::Range;
use std::collections::VecDeque;

mod commit;
mod counting;
mod seek;
mod trust;

use commit::{Earlier, Place, WANTED};
use counting::Counting;
pub use seek::SEEK_ENTRIES_MAX;
pub(crate) use trust::Unseen;

/// The place of a binding in its partition's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotNumber(pub u32);

/// The table has no slot left and no former lease to forget: the store is smaller than its pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no free slot in the lease table; raise `lease-capacity`")]
pub struct TableFull;

/// Why a binding is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCommitted {
    /// There is no slot for it.
    #[error(transparent)]
    TableFull(#[from] TableFull),
    /// It would be one lease too many.
    #[error("the lease limit of the {} is reached", .0.name())]
    Limit(Bound),
}

/// What a slot is for at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Role {
    /// Nothing; on the free shelf, or about to be when a change log is durable.
    Free,
    /// A granted lease that has not been seen to end; in the wheel unless it never ends.
    Live,
    /// A released or ended one; on the former shelf.
    Former,
    /// A declined lease; in the wheel.
    Declined,
    /// The rest of another slot's identity and context; in no list.
    Extension,
    /// Not to be trusted; in the wheel, its lease (if that can be read) set aside.
    Damaged,
}

impl Role {
    const COUNT: usize = 6;

    fn holds_its_lease(self) -> bool {
        matches!(self, Self::Live | Self::Declined | Self::Damaged)
    }

    /// When a slot whose record says `expires` is to be looked at.
    pub(crate) fn ends(self, expires: Timestamp) -> Timestamp {
        match self {
            Self::Live => expires.after(GRACE_SECONDS),
            Self::Free | Self::Former | Self::Declined | Self::Extension | Self::Damaged => expires,
        }
    }

    pub(crate) fn is_indexed(self) -> bool {
        matches!(self, Self::Live | Self::Former)
    }

    fn is_binding(self) -> bool {
        matches!(self, Self::Live | Self::Former | Self::Declined)
    }

    /// The role with this number.
    pub(crate) fn of(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Free,
            1 => Self::Live,
            2 => Self::Former,
            3 => Self::Declined,
            4 => Self::Extension,
            5 => Self::Damaged,
            _ => return None,
        })
    }
}

/// What [`Partition::tick`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Ticked {
    /// Leases that ended and went back to their pools, declined ones included.
    pub expired: usize,
    /// Offers that lapsed.
    pub lapsed_offers: usize,
    /// Slots in which one bit was wrong and is right again.
    pub repaired: usize,
    /// Bindings that cannot be trusted and were set apart.
    pub damaged: usize,
    /// Whether the budget ended the work; call again.
    pub more: bool,
}

/// What a partition's slots are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Occupancy {
    /// Granted leases.
    pub live: u32,
    /// Released and ended ones.
    pub former: u32,
    /// Declined ones.
    pub declined: u32,
    /// Extension slots.
    pub extensions: u32,
    /// Slots that cannot be trusted.
    pub damaged: u32,
    /// Empty slots.
    pub free: u32,
    /// Offers that are held.
    pub offers: u32,
    /// Slots whose newest image waits for the journal.
    pub unsettled: u32,
    /// Leases that go back to their pools once the journal has what lets them go.
    pub leaving: u32,
}

/// The bindings and offers of a share of all clients. Everything in it happens under its lock.
#[derive(Debug)]
pub struct Partition {
    pub(crate) number: u32,
    durability: Durability,
    checksum: Checksum,
    pub(crate) table: Table,
    pub(crate) overlay: Overlay,
    digester: Digester,
    pub(crate) index: ClientIndex,
    /// Where live leases are found by more than their clients; `None`: nobody asked for that.
    directory: Option<Box<Directory>>,
    /// How many leases lines, classes and subnets hold; `None`: nobody asked for that.
    counting: Option<Counting>,
    pub(crate) wheel: Wheel,
    pub(crate) roles: Vec<Role>,
    /// What nobody has looked at; `None`: all was.
    unseen: Option<Unseen>,
    pub(crate) offers: Offers,
    declines: Declines,
    /// The generation of the last commit.
    pub(crate) generation: u64,
    /// Leases that a change log let go which is not durable yet; their bits are still set.
    leaving: VecDeque<Lease>,
    /// Slots on the free shelf.
    free_count: u32,
    /// How many slots have each role.
    role_counts: [u32; Role::COUNT],
    /// Until when the leases of damaged slots are set aside.
    pub(crate) quarantine_end: Timestamp,
    /// Bindings that were not written since then are no longer known well enough; see [`Partition::want_news`].
    news_since: Option<Timestamp>,
}

/// Room in memory for what is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Offers per partition.
    pub offers: u32,
    /// Images per partition that wait for the journal. So few that the index of all partitions' images stays in
    /// a processor's cache: every read of a binding asks it first. More are taken in at the price of an allocation.
    pub unsettled: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            offers: 4_096,
            unsettled: 1_024,
        }
    }
}

impl Partition {
    /// A partition over a table of which `memory` tells what the slots are for.
    pub(crate) fn new(
        number: u32,
        durability: Durability,
        checksum: Checksum,
        table: Table,
        room: Room,
        now: Timestamp,
        memory: Memory,
    ) -> Self {
        let Memory {
            roles,
            wheel,
            index,
            generation,
        } = memory;
        let unsettled = match durability {
            Durability::Power => room.unsettled,
            Durability::Process => 0,
        };
        Self {
            number,
            durability,
            checksum,
            overlay: Overlay::new(unsettled),
            digester: Digester::new(&checksum),
            role_counts: count_roles(&roles),
            index,
            directory: None,
            counting: None,
            wheel,
            roles,
            unseen: None,
            offers: Offers::new(room.offers),
            declines: Declines::new(),
            generation,
            leaving: VecDeque::with_capacity(unsettled),
            free_count: 0,
            quarantine_end: now,
            news_since: None,
            table,
        }
    }

    /// Takes over what a snapshot says, before anybody has looked at the slots.
    pub(crate) fn trust_later(&mut self) {
        self.unseen = Some(Unseen::all(self.table.slots()));
        self.free_count = self.role_count(Role::Free);
        let declined = (0u32..).zip(&self.roles);
        let declined: Vec<u32> = declined
            .filter(|(_, role)| **role == Role::Declined)
            .map(|(slot, _)| slot)
            .collect();
        for slot in declined {
            let until = self.record(slot).map(ArchivedRecord::expires);
            if let Some(until) = until {
                self.count_decline(slot, until);
            }
        }
    }

    /// Ends all offers: their leases go back to `pools`.
    pub(crate) fn end_offers(&mut self, pools: &Pools) {
        while let Some(offer) = self.offers.pop_lapsed(Timestamp::NEVER) {
            pools.give_back(offer.lease);
        }
    }

    /// Whether everything is durable and to be trusted, so that a snapshot says all.
    pub(crate) fn is_at_rest(&self) -> bool {
        let is_settled = self.overlay.len() == 0 && self.leaving.is_empty();
        let all_shelved = self.free_count == self.role_count(Role::Free);
        is_settled && all_shelved && self.offers.len() == 0 && self.role_count(Role::Damaged) == 0
    }

    /// Stage 2 of a batch: begins loading what [`Partition::find`] will read, so that the cache misses
    /// of a batch overlap. Changes nothing.
    ///
    /// A prefetch instruction takes a raw pointer, which this crate does without. These are loads that
    /// nothing waits for: the processor goes on to the next key while they are under way.
    pub fn touch(&self, key: &Key<'_>) {
        let digest = self.digester.of_key(key);
        if let Some(slot) = self.index.candidates(digest).next() {
            let first = self.table.image(slot).and_then(|image| image.first());
            core::hint::black_box(first.copied());
        }
    }

    /// The client's binding in the network for which `within` is true, live or former. A declined lease
    /// is nobody's and never found.
    ///
    /// If there are several, one that holds its lease comes first, then the one last written.
    pub fn find(&self, key: &Key<'_>, within: impl Fn(SubnetId) -> bool) -> Option<SlotNumber> {
        self.find_best(key, within, |_| ())
    }

    /// As [`Partition::find`]; but of several that hold their leases, one whose lease has the highest `worth`. A
    /// client has several after [`Partition::commit_beside`].
    pub fn find_best<W: Ord>(
        &self,
        key: &Key<'_>,
        within: impl Fn(SubnetId) -> bool,
        worth: impl Fn(Lease) -> W,
    ) -> Option<SlotNumber> {
        let within = |record: &ArchivedRecord| within(SubnetId(record.subnet.to_native()));
        self.find_where(key, within, worth)
    }

    /// The client's binding of exactly this lease, live or former, in whatever network.
    pub fn find_lease(&self, key: &Key<'_>, lease: Lease) -> Option<SlotNumber> {
        self.find_where(key, |record| record.lease() == Some(lease), |_| ())
    }

    fn find_where<W: Ord>(
        &self,
        key: &Key<'_>,
        is_meant: impl Fn(&ArchivedRecord) -> bool,
        worth: impl Fn(Lease) -> W,
    ) -> Option<SlotNumber> {
        let identity = Identity::of_key(key);
        let digest = self.digester.of_key(key);
        let found = self.index.candidates(digest).filter_map(|slot| {
            let record = self.record(slot)?;
            let same = record.kind == key.kind as u8
                && record.iaid.to_native() == key.iaid.0
                && self.is_identity(record, identity)
                && is_meant(record);
            same.then_some((SlotNumber(slot), record))
        });
        let rank = |(SlotNumber(slot), record): &(SlotNumber, &ArchivedRecord)| {
            let worth = record.lease().map(&worth);
            let holds = self.role(*slot).holds_its_lease();
            let heard = (record.last_transaction(), record.generation.to_native());
            (holds, worth.filter(|_| holds), heard)
        };
        // Nearly always there is one, and nothing to compare.
        let best = found.reduce(|one, other| match rank(&other) >= rank(&one) {
            true => other,
            false => one,
        });
        best.map(|(slot, _)| slot)
    }

    /// Reads a binding with its context, the newest version even when it is not durable yet. `into` is
    /// overwritten. [`Partition::terms`] is cheaper.
    pub fn read(&self, slot: SlotNumber, into: &mut Binding) {
        if let Some(record) = self.record(slot.0) {
            self.read_record(record, into);
        }
    }

    /// What a binding says but whose it is and in what surroundings, the newest version even when it is not
    /// durable yet. Costs no more than the cache line in which it lies.
    pub fn terms(&self, slot: SlotNumber) -> Option<Terms> {
        self.record(slot.0)?.terms()
    }

    /// Reads the context of a binding alone. Whether there is any; it costs little if not.
    pub fn context(&self, slot: SlotNumber, into: &mut Context) -> bool {
        into.clear();
        if let Some(record) = self.record(slot.0) {
            self.read_context(record, into);
        }
        !into.is_empty()
    }

    /// Whether committing `binding` over `slot` would change nothing but times (when the client was heard,
    /// and when the lease ends), and what is recorded is as durable as it ever will be. A reply that
    /// promises no more than the recorded end may leave without a commit then.
    pub fn is_known(&self, slot: SlotNumber, binding: &Binding) -> bool {
        let is_news = |since| {
            let terms = self.terms(slot);
            terms.is_none_or(|terms| terms.last_transaction <= since)
        };
        !self.news_since.is_some_and(is_news)
            && self.is_durable(slot)
            && self.is_same_but_times(slot, binding)
    }

    /// From now on every client that comes for the first time after `since` is written down, however early its
    /// renewal ([`Partition::is_known`]): somebody wants to see from the records who has come. `None`: nobody
    /// does any more. In memory only.
    pub fn want_news(&mut self, since: Option<Timestamp>) {
        self.news_since = since;
    }

    /// Reads the binding in a slot, if there is one: live, former or declined. `into` is overwritten then.
    pub fn read_slot(&self, SlotNumber(slot): SlotNumber, into: &mut Binding) -> bool {
        self.read_any(slot, into)
    }

    /// Whether `slot` says what committing `binding` would say, times excepted, but is not durable yet.
    pub fn is_under_way(&self, slot: SlotNumber, binding: &Binding) -> bool {
        !self.is_durable(slot) && self.is_same_but_times(slot, binding)
    }

    /// Claims a lease for a client: like [`Pools::claim`], but it also takes over what only the client's
    /// own offer (lapsed or not), or its own binding that ended and was not yet cleared up, still holds.
    /// The caller then owns it, and goes on to [`Partition::hold`] or [`Partition::commit`].
    pub fn claim(&mut self, key: &Key<'_>, lease: Lease, pools: &Pools, now: Timestamp) -> Claim {
        let claim = pools.claim(lease);
        if claim != Claim::Taken {
            return claim;
        }
        let digest = self.digester.of_key(key);
        if let Some((place, _)) = self.offers.find(digest, |offer| offer.lease == lease) {
            self.offers.remove(place);
            return Claim::Claimed;
        }
        let ended =
            |record: &ArchivedRecord| record.lease() == Some(lease) && record.expires() <= now;
        match self.find_where(key, ended, |_| ()) {
            // While the record's end is not durable, an earlier, longer one would count after a crash.
            Some(SlotNumber(slot)) if self.role(slot) == Role::Live && self.is_settled(slot) => {
                self.uncount(slot);
                self.assign(slot, Role::Former, Timestamp::NEVER);
                Claim::Claimed
            }
            Some(_) | None => Claim::Taken,
        }
    }

    /// Writes a binding whose lease the caller has claimed (or held already): over `slot`, the client's
    /// earlier binding, or into a new slot. It counts at once for everybody who takes the lock; it is
    /// durable when `log` is. If the earlier binding held another lease, or if the new one holds none
    /// (`Released`, or ended [`GRACE_SECONDS`] ago, for which nothing is to be claimed), the old lease goes back to `pools` once that is durable. A `Declined` binding leaves
    /// the client's index and keeps its lease claimed until `expires`. The client's offer ends.
    ///
    /// # Errors
    /// [`TableFull`]; nothing changed then.
    pub fn commit(
        &mut self,
        slot: Option<SlotNumber>,
        binding: &Binding,
        pools: &Pools,
        log: &mut ChangeLog,
        now: Timestamp,
    ) -> Result<SlotNumber, TableFull> {
        let committed = self.commit_within(slot, binding, &Limits::NONE, pools, log, now);
        // Without limits none is reached.
        committed.map_err(|_| TableFull)
    }

    /// As [`Partition::commit`], unless what the lease counts against ([`Context::tags`]) would hold more leases
    /// than `limits` say. What the client's earlier binding counts against already is not asked again, and one
    /// that counted against nothing, because there were no limits then, goes on in any case.
    ///
    /// # Errors
    /// [`NotCommitted`]; nothing changed then.
    pub fn commit_within(
        &mut self,
        slot: Option<SlotNumber>,
        binding: &Binding,
        limits: &Limits,
        pools: &Pools,
        log: &mut ChangeLog,
        now: Timestamp,
    ) -> Result<SlotNumber, NotCommitted> {
        self.commit_at(Place::of(slot), binding, limits, pools, log, now)
    }

    /// As [`Partition::commit_within`] into a new slot, where the server has the client go on from the live lease of
    /// its binding in `earlier` to another one. Nobody but the client knows whether, and when, it hears of that: an
    /// answer can be lost, or be a late one to the copy of a message that was answered before. So the earlier lease
    /// stays the client's, on record and in its pool, until it ends. Of what limits it counts against it asks for
    /// no more than a binding that went over the earlier one.
    ///
    /// # Errors
    /// [`NotCommitted`]; nothing changed then.
    pub fn commit_beside(
        &mut self,
        earlier: SlotNumber,
        binding: &Binding,
        limits: &Limits,
        pools: &Pools,
        log: &mut ChangeLog,
        now: Timestamp,
    ) -> Result<SlotNumber, NotCommitted> {
        self.commit_at(Place::Beside(earlier), binding, limits, pools, log, now)
    }

    fn commit_at(
        &mut self,
        place: Place,
        binding: &Binding,
        limits: &Limits,
        pools: &Pools,
        log: &mut ChangeLog,
        now: Timestamp,
    ) -> Result<SlotNumber, NotCommitted> {
        let slot = place.overwritten();
        let (mut slots, context) = self.slots_for(slot, binding)?;
        let role = match binding.state {
            State::Declined => Role::Declined,
            State::Released => Role::Former,
            // An imported one may have ended long ago; it holds nothing.
            State::Leased if Role::Live.ends(binding.expires) <= now => Role::Former,
            State::Leased => Role::Live,
        };
        let counted = self.recount(place, binding, role == Role::Live, limits, now);
        let counted: Option<LetGo> = counted.map_err(NotCommitted::Limit)?;
        let digest = self.digester.of_binding(binding);
        let head = match slot {
            Some(SlotNumber(head)) => head,
            None => self.take_slot(log),
        };
        let earlier = slot.map(|_| self.earlier(head));
        for place in &mut slots.extensions {
            if *place == WANTED {
                *place = self.take_slot(log);
            }
        }
        let before = earlier.as_ref().and_then(|earlier| earlier.digest);
        if slot.is_some() && self.role(head) == Role::Declined {
            self.forget_decline(head);
            if let Some(lease) = earlier.as_ref().and_then(Earlier::held) {
                pools.count_declined(lease, false);
            }
        }
        self.reindex(head, before, role.is_indexed().then_some(digest));
        if earlier
            .as_ref()
            .is_some_and(|earlier| earlier.is_superseded_by(binding, now))
        {
            self.tell_of_earlier(head, log, now);
        }
        self.write(head, &slots, binding, context, log);
        if role == Role::Declined {
            self.count_decline(head, binding.expires);
            pools.count_declined(binding.lease, true);
        }
        let is_armed = earlier
            .as_ref()
            .is_some_and(|earlier| earlier.is_armed_before(binding));
        if role != Role::Live || !is_armed {
            self.assign(head, role, role.ends(binding.expires.max(now)));
        }
        if let Some(directory) = &mut self.directory {
            directory.file(head, binding, role == Role::Live);
        }
        let held = role.holds_its_lease().then_some(binding.lease);
        let let_go = earlier
            .and_then(|earlier| earlier.held())
            .filter(|&old| Some(old) != held);
        if let Some(lease) = let_go {
            self.let_go(lease, pools, log);
        }
        for &surplus in slots.surplus() {
            self.free_slot(surplus, log);
        }
        match counted {
            Some(counted) => self.let_count_go(&counted, log),
            None => self.count_late(head, binding, role == Role::Live),
        }
        self.end_offer(digest, binding, held, pools);
        Ok(SlotNumber(head))
    }

    /// The client's offer in the network for which `within` is true, if it has not lapsed.
    pub fn offer(
        &self,
        key: &Key<'_>,
        within: impl Fn(SubnetId) -> bool,
        now: Timestamp,
    ) -> Option<Offer> {
        let digest = self.digester.of_key(key);
        let (_, offer) = self.offers.find(digest, |offer| within(offer.subnet))?;
        (offer.deadline > now).then_some(offer)
    }

    /// Holds a claimed lease for a client. An earlier offer of the same key in the same subnet is
    /// replaced, and its lease goes back to `pools` if it is another one. When the offers are full, the
    /// oldest gives way. A lease that the client's own binding holds needs no offer and gets none.
    pub fn hold(&mut self, key: &Key<'_>, offer: Offer, pools: &Pools) {
        let digest = self.digester.of_key(key);
        let same = |other: &Offer| other.subnet == offer.subnet || other.lease == offer.lease;
        while let Some((place, earlier)) = self.offers.find(digest, same) {
            self.offers.remove(place);
            if earlier.lease != offer.lease {
                pools.give_back(earlier.lease);
            }
        }
        let own = self.find_lease(key, offer.lease);
        if own.is_some_and(|SlotNumber(slot)| self.role(slot).holds_its_lease()) {
            return;
        }
        if let Some(evicted) = self.offers.insert(digest, offer) {
            pools.give_back(evicted.lease);
        }
    }

    /// Ends the client's offer: its lease goes back to `pools` (a REQUEST named another server).
    /// Whether there was one.
    pub fn withdraw(
        &mut self,
        key: &Key<'_>,
        within: impl Fn(SubnetId) -> bool,
        pools: &Pools,
    ) -> bool {
        let digest = self.digester.of_key(key);
        let Some((place, offer)) = self.offers.find(digest, |offer| within(offer.subnet)) else {
            return false;
        };
        self.offers.remove(place);
        pools.give_back(offer.lease);
        true
    }

    /// Whether a DECLINE of this client may set one more of its leases aside: fewer than
    /// [`DECLINES_MAX`](crate::DECLINES_MAX) are, whatever their kind and IA. Otherwise end the binding
    /// as by a RELEASE, or ignore the DECLINE; nothing may be kept from other clients for it.
    pub fn may_decline(&self, key: &Key<'_>, now: Timestamp) -> bool {
        self.declines.has_room(self.digester.of_client(key), now)
    }

    /// Clears up what ended until `now`, at most `budget` offers and slots: their leases go back to
    /// `pools`, granted ones [`GRACE_SECONDS`] after their end. Nothing is written: that a lease has ended
    /// follows from its record and the time.
    pub fn tick(&mut self, now: Timestamp, budget: usize, pools: &Pools) -> Ticked {
        let mut ticked = Ticked::default();
        self.scrub(&mut ticked);
        let mut left = budget;
        while left > 0 {
            left -= 1;
            if let Some(offer) = self.offers.pop_lapsed(now) {
                pools.give_back(offer.lease);
                ticked.lapsed_offers += 1;
            } else if let Some(slot) = self.wheel.next(now.0) {
                ticked.expired += usize::from(self.look_at(slot, now, pools));
            } else {
                return ticked;
            }
        }
        ticked.more = true;
        ticked
    }

    /// What the slots are for: counted as they change, so it costs nothing to ask.
    pub fn occupancy(&self) -> Occupancy {
        debug_assert_eq!(self.role_counts, count_roles(&self.roles), "miscounted");
        let count = |role| self.role_count(role);
        Occupancy {
            live: count(Role::Live),
            former: count(Role::Former),
            declined: count(Role::Declined),
            extensions: count(Role::Extension),
            damaged: count(Role::Damaged),
            free: count(Role::Free),
            offers: self.offers.len() as u32,
            unsettled: self.overlay.len() as u32,
            leaving: self.leaving.len() as u32,
        }
    }

    /// Reads the binding in a slot, if there is one. `into` is overwritten then.
    pub(crate) fn read_any(&self, slot: u32, into: &mut Binding) -> bool {
        let is_binding = matches!(self.role(slot), Role::Live | Role::Former | Role::Declined);
        let record = self.record(slot).filter(|_| is_binding);
        record
            .inspect(|record| self.read_record(record, into))
            .is_some()
    }

    /// Writes an image that the journal has into the table, unless a newer one got there first.
    pub(crate) fn settle(&mut self, slot: u32, image: &Image) {
        self.table.mend(slot, image);
        self.overlay.settle(slot, format::generation(image));
    }

    /// Gives back a lease that a change log let go, now that the log is durable.
    pub(crate) fn leave(&mut self, lease: Lease, pools: &Pools) {
        // Logs settle in the order in which they were filled, more or less: it is among the first.
        if let Some(place) = self.leaving.iter().position(|&other| other == lease) {
            self.leaving.remove(place);
            pools.give_back(lease);
        }
    }

    /// Puts a slot on the free shelf: what freed it is durable.
    pub(crate) fn shelve_free(&mut self, slot: u32) {
        self.assign(slot, Role::Free, Timestamp::NEVER);
    }

    /// Sets the bits of all that is held here and lies in, or overlaps, a pool that is not open yet.
    pub(crate) fn mark_held(&self, pools: &Pools) {
        let mark = |lease: Lease| pools.mark_in_closed(lease);
        for (slot, role) in (0u32..).zip(&self.roles) {
            if role.holds_its_lease() {
                self.record_as_it_is(slot)
                    .and_then(ArchivedRecord::lease)
                    .into_iter()
                    .for_each(mark);
            }
        }
        self.offers.iter().for_each(|offer| mark(offer.lease));
        self.leaving.iter().copied().for_each(mark);
    }

    /// The first slot from `from` on with a declined lease.
    pub fn next_declined(&self, from: SlotNumber) -> Option<SlotNumber> {
        let roles = (0u32..).zip(&self.roles).skip(from.0 as usize);
        let mut declined = roles.filter(|(_, role)| **role == Role::Declined);
        declined.next().map(|(slot, _)| SlotNumber(slot))
    }

    /// Tells pools that are new of what was declined and, if they want to know, of what ended.
    pub(crate) fn tell(&self, past: &mut Past<'_>) {
        let wants_ends = past.wants_ends();
        for (slot, role) in (0u32..).zip(&self.roles) {
            // A declined lease that ended has left its record in a free slot, if nothing else has.
            let may_have_ended = matches!(role, Role::Former | Role::Free) && wants_ends;
            if *role != Role::Declined && !may_have_ended {
                continue;
            }
            let record = self.record_as_it_is(slot);
            let Some((record, lease)) = record.and_then(|record| Some((record, record.lease()?)))
            else {
                continue;
            };
            match role {
                Role::Declined => {
                    past.declined(lease, record.valid.to_native(), record.expires());
                }
                _ => past.ended(lease, record.expires()),
            }
        }
    }

    /// Whether what [`Partition::read`] gives is as durable as it ever will be. A reply that promises a
    /// lease without a commit (an early renewal that changes nothing) may leave only then.
    pub fn is_durable(&self, slot: SlotNumber) -> bool {
        self.is_settled(slot.0)
    }

    fn is_settled(&self, slot: u32) -> bool {
        self.overlay.image(slot).is_none()
    }

    pub(crate) fn checksum(&self) -> &Checksum {
        &self.checksum
    }

    pub(crate) fn role(&self, slot: u32) -> Role {
        self.roles.get(slot as usize).copied().unwrap_or(Role::Free)
    }

    fn role_count(&self, role: Role) -> u32 {
        self.role_counts.get(role as usize).copied().unwrap_or(0)
    }

    /// Whether the binding in this slot keeps a lease from everybody else: granted, or declined.
    pub(crate) fn is_holder_of(&self, slot: u32, lease: Lease) -> bool {
        matches!(self.role(slot), Role::Live | Role::Declined)
            && self.record(slot).and_then(ArchivedRecord::lease) == Some(lease)
    }

    /// How many commits there were.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Visits what some slots say of commits that the history does not have, as far as they are durable.
    /// Whether there are slots after these.
    pub fn unrecorded(
        &self,
        slots: Range<u32>,
        history: &Tracker,
        now: Timestamp,
        mut visit: impl FnMut(Entry),
    ) -> bool {
        let mut binding = Binding::default();
        let end = slots.end.min(self.table.slots());
        for slot in slots.start..end {
            let Some(image) = self.table.image(slot) else {
                continue;
            };
            let generation = format::generation(image);
            let (Some(record), true) = (
                format::record(image),
                history.is_new(self.number, generation),
            ) else {
                continue;
            };
            // The extensions of a declined record that ended are others' by now.
            let is_whole = match self.role(slot) {
                Role::Live | Role::Former | Role::Declined => true,
                Role::Free => record.extensions == 0,
                Role::Extension | Role::Damaged => false,
            };
            if !is_whole {
                continue;
            }
            let pieces = format::pieces(record, |slot| self.table.image(slot));
            format::read(record, &format::gather(pieces), &mut binding);
            visit(Entry::of_binding(&binding, self.number, generation, now));
        }
        end < self.table.slots()
    }

    pub(crate) fn image(&self, slot: u32) -> Option<&Image> {
        self.overlay.image(slot).or_else(|| self.table.image(slot))
    }

    pub(crate) fn record(&self, slot: u32) -> Option<&ArchivedRecord> {
        self.record_as_it_is(slot).filter(|_| self.is_trusted(slot))
    }

    /// Gives a slot its role and puts it into that role's list. `until` counts for the wheel only.
    pub(crate) fn assign(&mut self, slot: u32, role: Role, until: Timestamp) {
        let Some(place) = self.roles.get_mut(slot as usize) else {
            return;
        };
        let before = core::mem::replace(place, role);
        if let Some(directory) = self.directory.as_mut().filter(|_| before.is_binding()) {
            match role {
                Role::Live => {}
                Role::Former | Role::Declined => directory.end(slot),
                Role::Free | Role::Extension | Role::Damaged => directory.forget(slot),
            }
        }
        if let Some(count) = self.role_counts.get_mut(before as usize) {
            *count -= 1;
        }
        if let Some(count) = self.role_counts.get_mut(role as usize) {
            *count += 1;
        }
        self.wheel.unlink(slot);
        self.list(slot, role, until);
    }

    fn list(&mut self, slot: u32, role: Role, until: Timestamp) {
        match role {
            Role::Free => {
                self.free_count += 1;
                self.wheel.shelve(Shelf::Free, slot);
            }
            Role::Former => self.wheel.shelve(Shelf::Former, slot),
            Role::Live | Role::Declined | Role::Damaged if until != Timestamp::NEVER => {
                self.wheel.arm(slot, until.0);
            }
            Role::Live | Role::Declined | Role::Damaged | Role::Extension => {}
        }
    }

    /// As [`Partition::assign`] for a slot that is in no list yet, in a partition that is being opened.
    pub(crate) fn assign_first(&mut self, slot: u32, role: Role, until: Timestamp) {
        if let Some(place) = self.roles.get_mut(slot as usize) {
            *place = role;
            self.list(slot, role, until);
        }
    }

    /// Counts the roles that were assigned first.
    pub(crate) fn count_roles(&mut self) {
        self.role_counts = count_roles(&self.roles);
    }

    /// Begins loading what [`Partition::enter`] will change.
    pub(crate) fn touch_index(&self, digest: Digest) {
        self.index.touch(digest);
    }

    /// Enters a binding into the client index.
    pub(crate) fn enter(&mut self, slot: u32, digest: Digest) {
        self.index.insert(digest, slot);
    }
}

/// How many slots have each role, by looking at all of them.
fn count_roles(roles: &[Role]) -> [u32; Role::COUNT] {
    let mut counts = [0; Role::COUNT];
    for role in roles {
        if let Some(count) = counts.get_mut(*role as usize) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests;
