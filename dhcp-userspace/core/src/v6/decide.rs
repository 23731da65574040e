//! Query, leases, now: to an answer. The only step under the partition's lock.

use super::answer::{
    Answer, Granted, IaAnswer, NO_BINDING, OFF_LINK, ON_LINK, SUCCESS, Timers, none_left,
};
use super::choose::{Choice, Found, Hold, Link, choose, choose_named, find, find_live};
use super::query::{Addressee, IaKind, IaQuery, Query};
use crate::cache::Left;
use crate::surroundings::{Way, carry_over};
use crate::{Discard, Policy};
use dhcp_lease::{
    Binding, ChangeLog, Context, Key, Lease, Limits, NotCommitted, Offer, Partition, SlotNumber,
    State, Timestamp,
};
use dhcp_wire::id::ClientId;
use dhcp_wire::v6::MessageType;

/// Whether what is chosen is promised.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// No: it is held for a while (Advertise).
    Offer,
    /// Yes: it is committed (Reply).
    Commit,
}

/// One decision in the making.
struct Decision<'a> {
    query: &'a Query,
    link: Link<'a>,
    partition: &'a mut Partition,
    log: &'a mut ChangeLog,
    now: Timestamp,
    answer: Answer,
    timers: Timers,
    /// Whether a lease could not be written down.
    is_table_full: bool,
}

/// Decides what a query is answered, and commits what that promises.
///
/// # Errors
/// The reason why there is no answer. The log may hold changes all the same.
pub fn decide(
    query: &Query,
    policy: &Policy,
    partition: &mut Partition,
    log: &mut ChangeLog,
    now: Timestamp,
) -> Result<Answer, Discard> {
    let link = Link::of(query, policy).ok_or(Discard::NoSubnet)?;
    let answer = Answer::new(MessageType::Reply);
    let timers = Timers::default();
    let is_table_full = false;
    let decision = Decision {
        query,
        link,
        partition,
        log,
        now,
        answer,
        timers,
        is_table_full,
    };
    match query.message_type {
        MessageType::Solicit => decision.solicit(),
        MessageType::Request => decision.request(),
        MessageType::Renew | MessageType::Rebind => decision.extend(),
        MessageType::Confirm => decision.confirm(),
        MessageType::Release => decision.release(),
        MessageType::Decline => decision.decline(),
        // RFC 8415 section 18.3.6 [information-request-reply]: configuration, no leases.
        MessageType::InformationRequest => Ok(decision.answer),
        MessageType::Advertise
        | MessageType::Reply
        | MessageType::Reconfigure
        | MessageType::RelayForward
        | MessageType::RelayReply => Err(Discard::FromServer),
    }
}

impl<'a> Decision<'a> {
    fn solicit(mut self) -> Result<Answer, Discard> {
        // RFC 8415 section 18.3.1 [solicit-rapid-commit]: a Reply at once only if both sides want it, and then
        // the leases are committed and the option says so.
        let promise = if self.query.rapid_commit && self.link.selected.rapid_commit {
            self.answer.rapid_commit = true;
            Promise::Commit
        } else {
            self.answer.message_type = MessageType::Advertise;
            Promise::Offer
        };
        for ia in self.query.ias() {
            let assigned = self.assign(ia, promise);
            self.answer.push(assigned);
        }
        self.finish()
    }

    fn request(mut self) -> Result<Answer, Discard> {
        if self.query.addressee == Addressee::Other {
            // RFC 8415 section 16.4 [request-for-other-server]: the client has chosen another server, so
            // what was offered to it is free again. What it holds stays.
            for key in self.query.keys() {
                let link = self.link;
                self.partition
                    .withdraw(&key, |subnet| link.has(subnet), link.pools());
            }
            return Err(Discard::OtherServer);
        }
        for ia in self.query.ias() {
            // RFC 8415 section 18.3.2 [request-not-on-link]: an address of another link tells that the
            // client has moved; it must start over.
            let addresses = ia.kind == IaKind::Addresses;
            let assigned = if addresses && !ia.named().all(|lease| self.link.is_on_link(lease)) {
                IaAnswer::saying(ia, OFF_LINK)
            } else {
                self.assign(ia, Promise::Commit)
            };
            self.answer.push(assigned);
        }
        self.finish()
    }

    /// Renew and Rebind.
    fn extend(mut self) -> Result<Answer, Discard> {
        // RFC 8415 section 18.3.5 [rebind-nothing-to-say]: without any IA there is nothing to answer.
        if self.query.ias().is_empty() && self.query.message_type == MessageType::Rebind {
            return Err(Discard::UnknownBinding);
        }
        for ia in self.query.ias() {
            let extended = self.extend_ia(ia);
            self.answer.push(extended);
        }
        self.finish()
    }

    fn extend_ia(&mut self, ia: &IaQuery) -> IaAnswer {
        let Some(key) = self.query.key(ia) else {
            return IaAnswer::saying(ia, none_left(ia.kind));
        };
        let found = find(self.partition, ia, &key, &self.link);
        if let Some(found) = found.as_ref().filter(|found| found.terms.is_live(self.now)) {
            return self.extend_binding(ia, &key, found);
        }
        // RFC 8415 section 18.3.4 [leases-of-other-links-end]: what does not belong to the link is sent
        // back with lifetimes of 0.
        let link = self.link;
        if !ia.named().all(|lease| link.is_on_link(lease)) {
            let mut answer = IaAnswer::to(ia);
            answer.end(ia.named());
            return answer;
        }
        self.create_binding(ia, &key, found.as_ref())
    }

    /// An IA that we know: new lifetimes, or another lease in place of one that can no longer be had.
    fn extend_binding(&mut self, ia: &IaQuery, key: &Key<'_>, found: &Found) -> IaAnswer {
        // RFC 8415 section 18.3.4 [renew-extends]: new lifetimes for the lease. If its pool is gone, or it
        // is set apart for somebody else by now, or there is a reservation, another lease is added.
        let choice = match self.believed(ia, key, found) {
            None => choose(&self.link, self.partition, ia, key, Some(found), self.now),
            believed => believed,
        };
        let mut answer = match choice {
            Some(choice) => self.promise(ia, key, choice, Some(found.slot), Promise::Commit),
            // RFC 2131 section 2.2 [no-reallocation-within-the-lease], for IPv6: what the client has stays its own on
            // record until it ends. It may never hear of this.
            None => {
                self.note_limit(ia, Some(found.slot));
                IaAnswer::to(ia)
            }
        };
        if answer.status.is_none() {
            // RFC 8415 section 18.3.4 [leases-of-other-links-end]; also what is on the link but not this
            // IA's: the client must not go on with it.
            answer.end(core::iter::once(found.terms.lease).chain(ia.named()));
        }
        answer
    }

    /// A lease that the client says it holds, and not the one that a restored copy of the store has for it: it
    /// may have got that since the copy was made.
    fn believed(&mut self, ia: &IaQuery, key: &Key<'_>, found: &Found) -> Option<Choice<'a>> {
        let is_known = ia.named().any(|lease| lease == found.terms.lease);
        if is_known || !self.link.pools().withholds(self.now) {
            return None;
        }
        choose_named(
            &self.link,
            self.partition,
            ia,
            key,
            Some(found.slot),
            self.now,
        )
    }

    /// An IA that we do not know, whose leases, if it names any, are of this link.
    fn create_binding(&mut self, ia: &IaQuery, key: &Key<'_>, found: Option<&Found>) -> IaAnswer {
        // RFC 8415 section 18.3.4 [renew-may-create]: what the client has is in our pool and nobody
        // else's, so it is the client's (our memory of it was lost, or it was late).
        // RFC 8415 section 18.3.5 [rebind-creates-with-rapid-commit]: several servers may hear a Rebind,
        // so a lease that the client does not have yet is given only where Rapid Commit is allowed.
        let names_any = ia.named().next().is_some();
        let may_have_any =
            self.query.message_type == MessageType::Renew || self.link.selected.rapid_commit;
        let slot = found.map(|found| found.slot);
        let (link, now) = (self.link, self.now);
        let (choice, otherwise) = if names_any {
            (
                choose_named(&link, self.partition, ia, key, slot, now),
                NO_BINDING,
            )
        } else if may_have_any {
            (
                choose(&link, self.partition, ia, key, found, now),
                none_left(ia.kind),
            )
        } else {
            (None, NO_BINDING)
        };
        match choice {
            Some(choice) => self.promise(ia, key, choice, slot, Promise::Commit),
            None => {
                self.note_limit(ia, slot);
                IaAnswer::saying(ia, otherwise)
            }
        }
    }

    fn confirm(self) -> Result<Answer, Discard> {
        // RFC 8415 section 18.3.3 [confirm-on-link-or-silence]: all addresses on the link: Success; any of another link:
        // NotOnLink; no addresses: silence. (Where the link is unknown the message does not come so far.)
        let ias = self
            .query
            .ias()
            .iter()
            .filter(|ia| ia.kind == IaKind::Addresses);
        let mut addresses = ias.flat_map(IaQuery::named).peekable();
        addresses.peek().ok_or(Discard::CannotConfirm)?;
        let said = if addresses.all(|lease| self.link.is_on_link(lease)) {
            ON_LINK
        } else {
            OFF_LINK
        };
        Ok(Answer::status_only(said))
    }

    fn release(mut self) -> Result<Answer, Discard> {
        // RFC 8415 section 18.3.7 [release-by-holder]: Success in any case, NoBinding for each IA that we do not
        // know; leases that are not the IA's are passed over.
        self.answer = Answer::status_only(SUCCESS);
        for ia in self.query.ias() {
            if !self.is_known(ia) {
                self.answer.push(IaAnswer::saying(ia, NO_BINDING));
            }
            for lease in ia.named() {
                if let Some(found) = self.held(ia, lease) {
                    self.let_go(&found);
                }
            }
        }
        self.finish()
    }

    fn decline(mut self) -> Result<Answer, Discard> {
        // RFC 8415 section 18.3.8 [decline-by-holder]: only the holder can take an address out of use. Prefixes
        // cannot be declined (section 21.21), so an IA_PD is passed over.
        self.answer = Answer::status_only(SUCCESS);
        for ia in self
            .query
            .ias()
            .iter()
            .filter(|ia| ia.kind != IaKind::Prefixes)
        {
            if !self.is_known(ia) {
                self.answer.push(IaAnswer::saying(ia, NO_BINDING));
            }
            for lease in ia.named() {
                if let Some(found) = self.held(ia, lease) {
                    self.set_aside(ia, &found);
                }
            }
        }
        self.finish()
    }

    /// Whether the IA has a binding that has not ended.
    fn is_known(&self, ia: &IaQuery) -> bool {
        let key = self.query.key(ia);
        let found = key.and_then(|key| find(self.partition, ia, &key, &self.link));
        found.is_some_and(|found| found.terms.is_live(self.now))
    }

    /// The IA's binding of a lease, if it has not ended.
    fn held(&self, ia: &IaQuery, lease: Lease) -> Option<Found> {
        let key = self.query.key(ia)?;
        find_live(self.partition, &key, lease, &self.link, self.now)
    }

    /// Chooses a lease for an IA and holds or commits it.
    fn assign(&mut self, ia: &IaQuery, promise: Promise) -> IaAnswer {
        // RFC 8415 section 18.3.9 [no-addrs-avail-in-ia]: an IA that gets nothing says so itself; the
        // others keep what they get.
        // RFC 9915 section 21.5 [no-temporary-addresses]: IA_TA is gone; old clients get nothing for it.
        let Some(key) = self.query.key(ia) else {
            return IaAnswer::saying(ia, none_left(ia.kind));
        };
        let found = find(self.partition, ia, &key, &self.link);
        let choice = choose(
            &self.link,
            self.partition,
            ia,
            &key,
            found.as_ref(),
            self.now,
        );
        let slot = found.map(|found| found.slot);
        match choice {
            Some(choice) => self.promise(ia, &key, choice, slot, promise),
            None => {
                self.note_limit(ia, slot);
                IaAnswer::saying(ia, none_left(ia.kind))
            }
        }
    }

    /// Counts that an IA got nothing, if that was for a limit of leases.
    fn note_limit(&mut self, ia: &IaQuery, slot: Option<SlotNumber>) {
        let kind = ia.kind.lease_kind();
        let full = kind.and_then(|kind| self.link.full(self.partition, kind, slot, self.now));
        if let Some(bound) = full {
            self.answer.refuse(bound);
        }
    }

    /// Valid and preferred lifetime of a lease. When its subnet is nearly full they are the shortest that may be,
    /// so that what nobody uses comes back soon; but nobody loses what he was promised already.
    fn lifetimes(&self, choice: &Choice<'a>, slot: Option<SlotNumber>) -> (u32, u32) {
        let subnet = choice.subnet;
        let of_classes = &self.link.policy.classes_v6;
        let lifetimes = of_classes.lifetimes(&subnet.lifetimes, self.link.classes);
        let pools = match choice.lease {
            Lease::Prefix(..) => &subnet.pd_pools,
            Lease::Address(_) | Lease::V4(_) => &subnet.pools,
        };
        if !lifetimes.is_scarce(self.link.pools(), pools) {
            return (lifetimes.valid, lifetimes.preferred.min(lifetimes.valid));
        }
        let terms = slot.and_then(|slot| self.partition.terms(slot));
        let live = terms.filter(|terms| terms.is_live(self.now) && terms.lease == choice.lease);
        let promised = live.map_or(0, |terms| terms.expires.seconds_left(self.now));
        let valid = lifetimes.valid.min(lifetimes.valid_min.max(promised));
        // In the proportion that they have otherwise.
        let preferred = u64::from(lifetimes.preferred.min(lifetimes.valid)) * u64::from(valid);
        let preferred = preferred / u64::from(lifetimes.valid.max(1));
        (valid, u32::try_from(preferred).unwrap_or(valid))
    }

    /// Holds or commits a chosen lease, and grants it.
    fn promise(
        &mut self,
        ia: &IaQuery,
        key: &Key<'_>,
        choice: Choice<'a>,
        slot: Option<SlotNumber>,
        promise: Promise,
    ) -> IaAnswer {
        let (mut valid, mut preferred) = self.lifetimes(&choice, slot);
        let subnet = choice.subnet.id;
        let mut is_whole = true;
        match promise {
            // RFC 8415 section 18.3.9 [advertise-what-will-be-given]: held, so that the Request gets it.
            // What the client's binding holds needs no offer.
            Promise::Offer if choice.hold == Hold::Binding => {}
            Promise::Offer => {
                let deadline = self.now.after(self.link.policy.offer_lifetime_seconds);
                let offer = Offer {
                    lease: choice.lease,
                    subnet,
                    deadline,
                };
                self.partition.hold(key, offer, self.link.pools());
            }
            // RFC 8415 section 18.3.1 [commit-before-reply]: the shell sends a Reply when its log is durable.
            Promise::Commit => {
                let limits = self
                    .link
                    .limits(self.partition, choice.subnet, choice.lease.kind());
                let mut context = self.context(slot);
                context.set_tags(&limits.tags());
                let binding = Binding {
                    lease: choice.lease,
                    state: State::Leased,
                    subnet,
                    client: ClientId::new(self.query.client()).unwrap_or_default(), // 130 < 255
                    hardware: self.query.hardware,
                    iaid: key.iaid,
                    last_transaction: self.now,
                    expires: self.now.after(valid),
                    valid_seconds: valid,
                    preferred_seconds: preferred,
                    context,
                };
                if let Some(left) = self.left(&choice, slot, &binding) {
                    (valid, preferred) = (left.valid, left.preferred);
                    is_whole = false;
                } else if let Err(refused) = self.write(slot, &binding, &limits) {
                    self.give_back(&choice);
                    match refused {
                        NotCommitted::TableFull(_) => self.is_table_full = true,
                        NotCommitted::Limit(bound) => self.answer.refuse(bound),
                    }
                    return IaAnswer::saying(ia, none_left(ia.kind));
                }
            }
        }
        match is_whole {
            true => self.timers.add(choice.subnet, preferred),
            false => self.timers.add_computed(preferred),
        }
        self.answer.subnet.get_or_insert(subnet);
        let mut answer = IaAnswer::to(ia);
        answer.push(Granted {
            lease: choice.lease,
            preferred,
            valid,
        });
        answer
    }

    /// Writes down a lease that is granted now, where `slot` has the IA's binding so far.
    fn write(
        &mut self,
        slot: Option<SlotNumber>,
        binding: &Binding,
        limits: &Limits,
    ) -> Result<(), NotCommitted> {
        let (pools, now) = (self.link.pools(), self.now);
        let moved_from = slot.filter(|slot| {
            let terms = self.partition.terms(*slot);
            terms.is_some_and(|terms| terms.is_live(now) && terms.lease != binding.lease)
        });
        let (partition, log) = (&mut *self.partition, &mut *self.log);
        let written = match moved_from {
            // RFC 8415 section 18.3.4 [renew-extends], and RFC 2131 section 2.2 [no-reallocation-within-the-lease] for
            // IPv6: only when the valid lifetime of the other lease is over is it sure that the client does not use
            // it. (A restored copy of the store knows less than the client.)
            Some(earlier) if !pools.withholds(now) => {
                partition.commit_beside(earlier, binding, limits, pools, log, now)
            }
            Some(_) | None => partition.commit_within(slot, binding, limits, pools, log, now),
        };
        written.map(|_| ())
    }

    /// What is kept beside a lease that is granted now.
    fn context(&self, slot: Option<SlotNumber>) -> Context {
        let mut context = self.query.context.clone();
        let terms = slot.and_then(|slot| Some((slot, self.partition.terms(slot)?)));
        if let Some((slot, _)) = terms.filter(|(_, terms)| terms.is_live(self.now)) {
            carry_over(self.partition, slot, Way::Known, &mut context);
        }
        context
    }

    /// What is left of an IA's lease, if writing it down again would change nothing worth writing.
    fn left(
        &self,
        choice: &Choice<'_>,
        slot: Option<SlotNumber>,
        binding: &Binding,
    ) -> Option<Left> {
        let slot = slot.filter(|_| choice.hold == Hold::Binding)?;
        let terms = self.partition.terms(slot)?;
        let since = self.link.pools().recorded_since();
        let cache = &choice.subnet.lifetimes.cache;
        let left = cache.left(&terms, since, self.now)?;
        self.partition.is_known(slot, binding).then_some(left)
    }

    fn give_back(&self, choice: &Choice<'_>) {
        match choice.hold {
            Hold::Claim => self.link.pools().give_back(choice.lease),
            Hold::Binding | Hold::Offer => {}
        }
    }

    /// A declined lease is nobody's for a while, but of one client only so many: one that declines
    /// whatever it gets would set a whole pool aside.
    fn set_aside(&mut self, ia: &IaQuery, found: &Found) {
        let key = self.query.key(ia);
        if key.is_some_and(|key| self.partition.may_decline(&key, self.now)) {
            let policy = self.link.policy;
            let seconds = policy.quarantine_seconds(found.terms.lease, self.now);
            self.end_binding(found, State::Declined, seconds);
        } else {
            self.let_go(found);
        }
    }

    /// The client no longer has the lease of a binding.
    fn let_go(&mut self, found: &Found) {
        self.end_binding(found, State::Released, 0);
    }

    /// `seconds`: for how long it is nobody's.
    fn end_binding(&mut self, found: &Found, state: State, seconds: u32) {
        let mut binding = Binding::default();
        self.partition.read(found.slot, &mut binding);
        binding.state = state;
        binding.expires = self.now.after(seconds);
        if state == State::Declined {
            binding.valid_seconds = seconds;
        }
        binding.last_transaction = self.now;
        let (pools, slot) = (self.link.pools(), Some(found.slot));
        let written = self
            .partition
            .commit(slot, &binding, pools, self.log, self.now);
        self.is_table_full |= written.is_err();
    }

    fn finish(mut self) -> Result<Answer, Discard> {
        let granted = self.answer.ias().iter().any(|ia| !ia.leases().is_empty());
        if self.is_table_full && !granted {
            return Err(Discard::TableFull);
        }
        (self.answer.t1, self.answer.t2) = self.timers.t1_and_t2();
        Ok(self.answer)
    }
}
