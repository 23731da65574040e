//! Who gets which address? The only step under the lock of the client's partition.

mod unused;

use super::context::{recorded_override, way};
use super::forcerenew::key_for_ack;
use super::identify::{Identifiers, line};
use super::query::{Kind, Query};
use super::select::FoundBy;
use crate::cache::{Left, is_duplicate};
use crate::discard::Discard;
use crate::limits;
use crate::reservation::Host;
use crate::subnet::{LeaseCache, Lifetimes, Network, Policy, Preference, Rules, Subnet4};
use crate::surroundings::{Way, carry_over};
use core::net::Ipv4Addr;
use dhcp_lease::context::{ItemKind, ReconfigureKey};
use dhcp_lease::{
    Binding, Bound, ChangeLog, Claim, Context, Lease, LeaseKind, Limits, NotCommitted, Offer,
    Partition, PoolIndex, SlotNumber, State, SubnetId, Timestamp,
};
use dhcp_wire::id::Iaid;

/// What the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which message.
    pub verdict: Verdict,
    /// `yiaddr`; unspecified in a NAK and in the answer to an INFORM.
    pub address: Ipv4Addr,
    /// Lifetime of the lease in seconds, `u32::MAX` for ever; 0 where there is no lease.
    pub lease_seconds: u32,
    /// Position of the lease's subnet in the client's network.
    pub subnet: usize,
    /// In an ACK, the nonce by which the client is to know a FORCERENEW, if it is to be told.
    pub nonce: Option<ReconfigureKey>,
    /// What the client's relay agent gave for our identifier when we last heard of it, where this message came
    /// past it.
    pub server_override: Option<Ipv4Addr>,
    /// The client's reservation in that subnet.
    pub host: Option<Host>,
    /// In an OFFER whose address is being probed: until when the prober may take. The OFFER leaves when
    /// [`Probes::known`](crate::probe::Probes::known) says that nobody answered.
    pub probed_until: Option<Timestamp>,
}

/// Which message the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// OFFER.
    Offer,
    /// ACK to a REQUEST.
    Ack,
    /// ACK to a DISCOVER with Rapid Commit (RFC 4039).
    RapidAck,
    /// ACK to an INFORM.
    InformAck,
    /// BOOTREPLY to a BOOTP client: not a DHCP message.
    BootReply,
    /// NAK.
    Nak(Refusal),
}

/// Why a REQUEST is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The address is not of the client's network.
    WrongNetwork,
    /// It is not the address that was offered.
    NotOffered,
    /// The client holds another address, or held another one before.
    OtherAddress,
    /// Somebody else has it, or it is in quarantine.
    InUse,
    /// It is not for this client: in no pool, or reserved for another.
    NotPermitted,
    /// Another address is reserved for the client.
    Reserved,
    /// Its line, a class of its or the subnet holds as many leases as it may.
    Limit(Bound),
}

impl Refusal {
    /// In words, for option 56 of the NAK.
    pub const fn message(self) -> &'static str {
        match self {
            Self::WrongNetwork => "wrong network",
            Self::NotOffered => "not the offered address",
            Self::OtherAddress => "not your address",
            Self::InUse => "address in use",
            Self::NotPermitted => "address not available",
            Self::Reserved => "another address is reserved",
            Self::Limit(_) => "too many leases",
        }
    }
}

/// Decides, and writes down what was promised.
///
/// # Errors
/// Why there is no answer. A RELEASE or DECLINE that was obeyed is among the reasons, and is in `log`.
pub fn decide(
    query: &Query,
    policy: &Policy,
    partition: &mut Partition,
    log: &mut ChangeLog,
    now: Timestamp,
) -> Result<Answer, Discard> {
    let network = query.network(policy).ok_or(Discard::NoSubnet)?;
    let mut case = Case::open(query, policy, network, partition, log, now);
    match query.kind {
        Kind::Discover => case.discover(),
        Kind::Selecting => case.selecting(),
        Kind::NotChosen => case.not_chosen(),
        Kind::InitReboot | Kind::Renewing | Kind::Rebinding => case.keep(),
        Kind::Decline => case.decline(),
        Kind::Release => case.release(),
        // RFC 2131 section 3.4 [inform-looks-at-no-lease].
        // RFC 2131 section 4.3.5 [inform-no-lease]: parameters only; no lease is looked at or touched.
        Kind::Inform => Ok(case.informed(Verdict::InformAck)),
        Kind::Bootp => case.bootp(),
    }
}

/// An address of the client's network, with the position of its subnet.
#[derive(Clone, Copy)]
struct Candidate {
    address: Ipv4Addr,
    subnet: usize,
}

/// What the client has in the network.
#[derive(Clone, Copy)]
enum Record {
    /// A lease that runs.
    Live(Ipv4Addr),
    /// One that ended or was released.
    Former(Ipv4Addr),
    /// Nothing that we know of.
    None,
}

/// Whose an address was before it was chosen: what is to be done when it is not used in the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// The client's own binding or offer holds it.
    Client,
    /// It was claimed just now.
    Fresh,
}

/// One query with all that is known of its client.
struct Case<'a> {
    query: &'a Query,
    policy: &'a Policy,
    network: &'a Network<Subnet4>,
    partition: &'a mut Partition,
    log: &'a mut ChangeLog,
    now: Timestamp,
    slot: Option<SlotNumber>,
    record: Record,
    offered: Option<Ipv4Addr>,
    identifiers: Identifiers<'a>,
    reserved: Option<Candidate>,
}

impl<'a> Case<'a> {
    fn open(
        query: &'a Query,
        policy: &'a Policy,
        network: &'a Network<Subnet4>,
        partition: &'a mut Partition,
        log: &'a mut ChangeLog,
        now: Timestamp,
    ) -> Self {
        let within = |id: SubnetId| network.subnets.iter().any(|subnet| subnet.id == id);
        let key = query.key();
        // RFC 2131 section 4.3.5 [inform-no-lease]
        let is_about_leases = query.kind != Kind::Inform;
        let slot = is_about_leases
            .then(|| partition.find(&key, within))
            .flatten();
        let identifiers = Identifiers::of(query, policy, network, |into| {
            slot.is_some_and(|slot| {
                let terms = partition.terms(slot);
                terms.is_some_and(|terms| terms.is_live(now)) && partition.context(slot, into)
            })
        });
        let mut this = Self {
            query,
            policy,
            network,
            partition,
            log,
            now,
            slot,
            record: Record::None,
            offered: None,
            identifiers,
            reserved: None,
        };
        if !is_about_leases {
            return this;
        }
        this.record = this.read_record();
        this.offered = this
            .partition
            .offer(&key, within, now)
            .and_then(|offer| v4(offer.lease));
        this.reserved = this.find_reserved();
        this
    }

    /// The address that is reserved for the client, in the first subnet of its network that has one for it.
    fn find_reserved(&self) -> Option<Candidate> {
        let (subnet, address, _) = self.identifiers.reserved(self.policy, self.network)?;
        Some(Candidate { address, subnet })
    }

    fn read_record(&self) -> Record {
        let Some(slot) = self.slot else {
            return Record::None;
        };
        let Some(terms) = self.partition.terms(slot) else {
            return Record::None;
        };
        match v4(terms.lease) {
            Some(address) if terms.is_live(self.now) => Record::Live(address),
            Some(address) => Record::Former(address),
            None => Record::None,
        }
    }

    // RFC 2131 section 4.3.1 [choice-order]: the client's current address, its former one, the one it asks
    // for, a new one. A reservation goes before all of them, as the operator's word.
    fn discover(&mut self) -> Result<Answer, Discard> {
        let (candidate, hold, probed_until) = self.choose_unused()?;
        let subnet = self.subnet(candidate)?;
        // RFC 4039 section 3.1 [rapid-commit]: two messages where the client and the operator wish it;
        // committed like any other ACK. What is being probed is offered, and takes four.
        let may_be_rapid = probed_until.is_none() && !self.is_moved_to(candidate.address);
        if self.query.rapid_commit && subnet.rapid_commit && may_be_rapid {
            return self.grant(candidate, hold, Verdict::RapidAck);
        }
        self.hold(candidate);
        let mut answer = self.answer(Verdict::Offer, candidate, subnet);
        answer.probed_until = probed_until;
        Ok(answer)
    }

    fn choose(&mut self) -> Result<(Candidate, Hold), Discard> {
        let mut full = None;
        if let Some(reserved) = self.reserved
            && self.has_room(reserved.subnet, &mut full)
            && let Some(hold) = self.obtain(reserved.address)
        {
            return Ok((reserved, hold));
        }
        let (live, former) = match self.record {
            Record::Live(address) => (Some(address), None),
            Record::Former(address) => (None, Some(address)),
            Record::None => (None, None),
        };
        let requested = Some(self.query.address).filter(|address| !address.is_unspecified());
        // What a restored store believes free may be somebody's by now.
        let is_withheld = self.is_withheld();
        let in_order = match self.policy.preference_v4 {
            Preference::Former => [former, requested],
            Preference::Requested => [requested, former],
        };
        let free = in_order.map(|address| address.filter(|_| !is_withheld));
        for address in [live, self.offered].into_iter().chain(free).flatten() {
            if let Some(candidate) = self.permitted(address)
                && self.has_room(candidate.subnet, &mut full)
                && let Some(hold) = self.obtain(address)
            {
                return Ok((candidate, hold));
            }
        }
        if is_withheld {
            return Err(Discard::Withheld);
        }
        self.new_address(&mut full)
            .map(|candidate| (candidate, Hold::Fresh))
            .ok_or_else(|| full.map_or(Discard::NoAddress, Discard::of_limit))
    }

    /// What a lease of a subnet of the network counts against.
    fn limits(&self, subnet: &Subnet4) -> Limits {
        let of_classes = (&self.policy.classes_v4, &self.query.classes);
        let of_subnet = (subnet.id, &subnet.limits);
        let line = |key| line(self.query, key);
        limits::limits(self.partition, LeaseKind::V4, of_subnet, line, of_classes)
    }

    /// Whether the client may have one more lease of a subnet of the network, as it looks at the moment; if not,
    /// `full` says why.
    fn has_room(&self, subnet: usize, full: &mut Option<Bound>) -> bool {
        let subnet = self
            .network
            .subnets
            .get(subnet)
            .filter(|_| self.partition.counts_leases());
        let reached = subnet.and_then(|subnet| {
            self.partition
                .limit_reached(self.slot, &self.limits(subnet), self.now)
        });
        *full = full.or(reached);
        reached.is_none()
    }

    /// Whether the store is a restored copy, so that a free address is only for a client that has it already.
    fn is_withheld(&self) -> bool {
        self.policy.pools.withholds(self.now)
    }

    /// The next free address of the network's pools that the client may use, in the order of the configuration.
    fn new_address(&self, full: &mut Option<Bound>) -> Option<Candidate> {
        let mut subnets = self.network.subnets.iter().enumerate();
        subnets.find_map(|(subnet, entry)| {
            let pools = entry.pools.iter().copied();
            let mut pools = pools.filter(|pool| self.may_use(subnet, *pool)).peekable();
            pools.peek()?;
            if !self.has_room(subnet, full) {
                return None;
            }
            let address = pools.find_map(|pool| self.next_of(pool))?;
            Some(Candidate { address, subnet })
        })
    }

    /// The next free address of a pool that is not our own. Ours stay claimed, so each is met once.
    fn next_of(&self, pool: PoolIndex) -> Option<Ipv4Addr> {
        let next = || self.policy.pools.claim_next(pool).and_then(v4);
        core::iter::from_fn(next).find(|address| !self.query.own.contains(address))
    }

    // RFC 2131 section 4.3.2 [selecting-matches-offer]: option 50 is the `yiaddr` of the chosen OFFER.
    fn selecting(&mut self) -> Result<Answer, Discard> {
        // RFC 2131 section 3.1 [no-probe-of-requests]: nobody is asked whether the address is in use.
        let asked = self.query.address;
        if self.offered.is_some_and(|offered| offered != asked) {
            return Ok(self.refuse(Refusal::NotOffered));
        }
        if !self.network_contains(asked) {
            return Ok(self.refuse(Refusal::WrongNetwork));
        }
        // Nobody offered it, and another address is its own: it asks anew and is offered that one.
        if let (None, Some(reserved)) = (self.offered, self.reserved)
            && reserved.address != asked
            && self.can_move_to(reserved)
        {
            return Ok(self.refuse(Refusal::Reserved));
        }
        match self.record {
            Record::Live(held) if held != asked && self.offered.is_none() => {
                // An ACK would take the address away that the client has, for one nobody offered.
                Ok(self.refuse(Refusal::NotOffered))
            }
            Record::Former(_) | Record::None if self.offered.is_none() && self.is_withheld() => {
                let is_reserved = self.reserved.is_some_and(|it| it.address == asked);
                match is_reserved {
                    true => self.grant_if_permitted(asked),
                    false => Ok(self.refuse(Refusal::NotOffered)),
                }
            }
            Record::Live(_) | Record::Former(_) | Record::None => self.grant_if_permitted(asked),
        }
    }

    // RFC 2131 section 3.1 [not-chosen]: a REQUEST that names another server declines our offer. A lease that
    // was granted is none of that message's business.
    fn not_chosen(&mut self) -> Result<Answer, Discard> {
        let network = self.network;
        let within = |id: SubnetId| network.subnets.iter().any(|subnet| subnet.id == id);
        while self
            .partition
            .withdraw(&self.query.key(), within, &self.policy.pools)
        {}
        Err(Discard::OtherServer)
    }

    // RFC 2131 section 4.3.2 [rebinding-checked]: a rebinding is judged like the other two.
    // RFC 2131 section 3.2 [no-probe-of-reboots]: the client itself would answer.
    /// INIT-REBOOT, RENEWING and REBINDING: may the client keep its address?
    fn keep(&mut self) -> Result<Answer, Discard> {
        let asked = self.query.address;
        let known = !matches!(self.record, Record::None);
        // RFC 2131 section 4.3.2 [wrong-network]: a client that moved is told so.
        if !self.network_contains(asked) {
            return self.refuse_if(known || self.rules().authoritative, Refusal::WrongNetwork);
        }
        if let Some(reserved) = self.reserved {
            if reserved.address == asked {
                return self.grant_if_permitted(asked);
            }
            // RFC 3203 section 2.2 [forcerenew-nak]: upon the NAK it asks anew, and is offered the other address.
            if self.can_move_to(reserved) {
                return Ok(self.refuse(Refusal::Reserved));
            }
        }
        // Some clients take an offer without naming the server, or with the offered address in `ciaddr`. What we
        // offered to this very client is not another server's.
        if self.offered == Some(asked) {
            return self.grant_if_permitted(asked);
        }
        match self.record {
            Record::Live(held) | Record::Former(held) if held == asked => {
                self.grant_if_permitted(asked)
            }
            _ if self.is_withheld() => self.keep_withheld(asked),
            Record::Live(_) => Ok(self.refuse(Refusal::OtherAddress)),
            // RFC 2131 section 3.2 [inaccurate-is-silent]: what another server may know better is not refused.
            // What is recorded has ended; meanwhile another server may have given what is asked for,
            // unless there is none.
            Record::Former(_) => self.refuse_if(self.rules().authoritative, Refusal::OtherAddress),
            Record::None => self.keep_unknown(asked),
        }
    }

    /// The store is a restored copy: what it says of the client may be out of date, and the client is believed
    /// instead, unless somebody else has the address. By unicast alone it is not believed, as otherwise
    /// ([`Case::keep_unknown`]), but not refused either: it goes on, and asks by its link before its lease ends.
    fn keep_withheld(&mut self, asked: Ipv4Addr) -> Result<Answer, Discard> {
        match self.query.found_by {
            FoundBy::Link => self.grant_if_permitted(asked),
            FoundBy::Address => Err(Discard::Withheld),
        }
    }

    // RFC 2131 section 4.3.2 [init-reboot-unknown]: of a client that we have no record of, another server may
    // have one: silence. That holds for REBINDING too. RENEWING is sent to us alone: our record is lost, and
    // the address still the client's unless somebody else has it now. That is believed on the client's own
    // link only, or everybody who can reach us by unicast could empty the pools of all links.
    fn keep_unknown(&mut self, asked: Ipv4Addr) -> Result<Answer, Discard> {
        let on_its_link = self.query.found_by == FoundBy::Link;
        if self.query.kind == Kind::Renewing && on_its_link && self.rules().authoritative {
            return self.grant_if_permitted(asked);
        }
        Err(Discard::UnknownBinding)
    }

    /// Whether the reserved address could be the client's now; then it is held for it.
    fn can_move_to(&mut self, reserved: Candidate) -> bool {
        if matches!(self.record, Record::Live(held) if held == reserved.address) {
            return true;
        }
        let obtained = self.obtain(reserved.address).is_some();
        if obtained {
            self.hold(reserved);
        }
        obtained
    }

    // RFC 2131 section 4.3.3 [decline]: the address is nobody's for a while. Only its holder is believed, and
    // only a few times: one that declines whatever it gets would set a whole pool aside.
    fn decline(&mut self) -> Result<Answer, Discard> {
        let Some(mut binding) = self.held_binding(State::Declined) else {
            return Err(Discard::DeclineNotHolder);
        };
        if !self.partition.may_decline(&self.query.key(), self.now) {
            binding.state = State::Released;
            binding.expires = self.now;
            self.end(&binding)?;
            return Err(Discard::DeclineOverLimit);
        }
        binding.valid_seconds = self.policy.quarantine_seconds(binding.lease, self.now);
        binding.expires = self.now.after(binding.valid_seconds);
        self.end(&binding)?;
        Err(Discard::Declined)
    }

    // RFC 2131 section 4.3.4 [release] and [release-remembered]: not allocated any more, but remembered.
    fn release(&mut self) -> Result<Answer, Discard> {
        let Some(mut binding) = self.held_binding(State::Released) else {
            return Err(Discard::ReleaseNotHolder);
        };
        binding.expires = self.now;
        self.end(&binding)?;
        Err(Discard::Released)
    }

    /// The binding of the address that the message is about, in a new state, if it is the client's live
    /// one.
    fn held_binding(&self, state: State) -> Option<Binding> {
        let (slot, held) = match (self.slot, self.record) {
            (Some(slot), Record::Live(held)) => (slot, held),
            _ => return None,
        };
        let mut binding = Binding::default();
        self.partition.read(slot, &mut binding);
        binding.state = state;
        binding.last_transaction = self.now;
        (held == self.query.address).then_some(binding)
    }

    // RFC 1534 section 2 [bootp-served]: a BOOTP client gets an address in one exchange, and never asks again:
    // it keeps the address for as long as the operator says, which may be for ever.
    fn bootp(&mut self) -> Result<Answer, Discard> {
        if !self.query.ciaddr.is_unspecified() {
            return Ok(self.informed(Verdict::BootReply));
        }
        let (candidate, hold) = self.choose()?;
        if self.is_moved_to(candidate.address) && self.is_just_heard() {
            // It may be a copy of the request that was answered with the other address, which the client uses now.
            if hold == Hold::Fresh {
                self.policy.pools.give_back(Lease::V4(candidate.address));
            }
            return Err(Discard::Duplicate);
        }
        self.grant(candidate, hold, Verdict::BootReply)
    }

    // RFC 2131 section 2.2 [no-reallocation-within-the-lease]: a DISCOVER may be the late copy of one that was
    // answered with an ACK by Rapid Commit: then the client uses that address, and hears nothing of what is
    // committed now. Only a REQUEST for what was offered tells that it has given the other one up.
    /// Whether the client has a live lease of another address, which it would lose by being granted this one.
    fn is_moved_to(&self, address: Ipv4Addr) -> bool {
        matches!(self.record, Record::Live(held) if held != address)
    }

    fn is_just_heard(&self) -> bool {
        let terms = self.slot.and_then(|slot| self.partition.terms(slot));
        terms.is_some_and(|terms| is_duplicate(&terms, self.now))
    }

    // RFC 2131 section 4.3.5 [inform-without-yiaddr].
    fn informed(&self, verdict: Verdict) -> Answer {
        let subnets = self.network.subnets.iter();
        let own = subnets
            .enumerate()
            .find(|(_, subnet)| subnet.contains(self.query.ciaddr));
        let subnet = own.map_or(self.query.place.subnet, |(subnet, _)| subnet);
        let entry = self.network.subnets.get(subnet);
        Answer {
            verdict,
            address: Ipv4Addr::UNSPECIFIED,
            lease_seconds: 0,
            subnet,
            host: entry.and_then(|entry| self.identifiers.host(self.policy, entry)),
            nonce: None,
            server_override: None,
            probed_until: None,
        }
    }

    /// Grants the address, or says why not.
    fn grant_if_permitted(&mut self, address: Ipv4Addr) -> Result<Answer, Discard> {
        let Some(candidate) = self.permitted(address) else {
            return Ok(self.refuse(Refusal::NotPermitted));
        };
        match self.obtain(address) {
            Some(hold) => self.grant(candidate, hold, Verdict::Ack),
            None => Ok(self.refuse(Refusal::InUse)),
        }
    }

    /// Whether policy lets the client have the address, whoever holds it: reserved for it, or in a pool of
    /// its network, not reserved for another and not our own.
    fn permitted(&self, address: Ipv4Addr) -> Option<Candidate> {
        if let Some(reserved) = self.reserved.filter(|reserved| reserved.address == address) {
            return Some(reserved);
        }
        if self.query.own.contains(&address) {
            return None;
        }
        let lease = Lease::V4(address);
        let pool = self.policy.pools.pool_of(lease)?;
        let subnet = self
            .network
            .subnets
            .iter()
            .position(|subnet| subnet.pools.contains(&pool))?;
        let free_to_all = !self.policy.pools.is_reserved(lease)
            && (self.may_use(subnet, pool) || self.goes_past_its_relay_agent(address));
        free_to_all.then_some(Candidate { address, subnet })
    }

    /// Whether this is the renewal by unicast of a lease that was asked for through a relay agent: it tells
    /// nothing of that agent, so what it lacks of classes says nothing.
    fn goes_past_its_relay_agent(&self, address: Ipv4Addr) -> bool {
        let mut context = Context::EMPTY;
        matches!(self.record, Record::Live(held) if held == address)
            && way(self.query) == Way::Unknown
            && self
                .slot
                .is_some_and(|slot| self.partition.context(slot, &mut context))
            && context.of_kind(ItemKind::GIADDR).next().is_some()
    }

    /// Whether the client's classes let it have addresses of a pool, which is of this subnet of the network. A
    /// lease that the client got when they did is not extended any more.
    fn may_use(&self, subnet: usize, pool: PoolIndex) -> bool {
        let classes = &self.query.classes;
        let subnet = self.network.subnets.get(subnet);
        subnet.is_some_and(|subnet| subnet.access.guard.permits(classes))
            && self.policy.pool_guard(pool).permits(classes)
    }

    /// Makes the address the client's, if it is not already: a claim, unless its binding or its offer has
    /// it.
    fn obtain(&mut self, address: Ipv4Addr) -> Option<Hold> {
        let live = matches!(self.record, Record::Live(held) if held == address);
        if live || self.offered == Some(address) {
            return Some(Hold::Client);
        }
        let key = self.query.key();
        match self
            .partition
            .claim(&key, Lease::V4(address), &self.policy.pools, self.now)
        {
            Claim::Claimed => Some(Hold::Fresh),
            Claim::Taken | Claim::Outside => None,
        }
    }

    /// Holds an obtained address until the client has decided. The client's live lease needs no holding.
    fn hold(&mut self, candidate: Candidate) {
        let Some(subnet) = self.network.subnets.get(candidate.subnet) else {
            return;
        };
        if matches!(self.record, Record::Live(held) if held == candidate.address) {
            return;
        }
        let key = self.query.key();
        let network = self.network;
        let within = |id: SubnetId| network.subnets.iter().any(|subnet| subnet.id == id);
        if self
            .offered
            .is_some_and(|offered| offered != candidate.address)
        {
            while self.partition.withdraw(&key, within, &self.policy.pools) {}
        }
        // RFC 2131 section 3.1 [offer-lapses], RFC 2131 section 4.3.1 [offers-kept-apart]: until then it is offered to
        // nobody else.
        let deadline = self.now.after(self.policy.offer_lifetime_seconds);
        let offer = Offer {
            lease: Lease::V4(candidate.address),
            subnet: subnet.id,
            deadline,
        };
        self.partition.hold(&key, offer, &self.policy.pools);
    }

    // RFC 2131 section 3.1 [commit-before-ack]: the binding is written down, and the ACK leaves when that is
    // durable.
    fn grant(
        &mut self,
        candidate: Candidate,
        hold: Hold,
        verdict: Verdict,
    ) -> Result<Answer, Discard> {
        let subnet = self.subnet(candidate)?;
        let mut answer = self.answer(verdict, candidate, subnet);
        let mut binding = self.binding(candidate.address, subnet.id);
        binding.valid_seconds = answer.lease_seconds;
        binding.expires = self.now.after(answer.lease_seconds);
        let secret = self.policy.forcerenew;
        let context = &mut binding.context;
        answer.nonce = key_for_ack(self.query, secret, candidate.address, self.now, context);
        let limits = self.count(candidate, subnet, context);
        if let Some((slot, left)) = self.left(hold, &subnet.lifetimes.cache) {
            if self.partition.is_known(slot, &binding) {
                answer.lease_seconds = left.valid;
                return Ok(answer);
            }
            // The first copy of this request waits for the disk, and its answer leaves when the lease is there.
            // This one is not written again for that, nor may it be answered before.
            let terms = self.partition.terms(slot);
            if terms.is_some_and(|terms| is_duplicate(&terms, self.now))
                && self.partition.is_under_way(slot, &binding)
            {
                return Err(Discard::Duplicate);
            }
        }
        let Err(refused) = self.write(&binding, &limits) else {
            return Ok(answer);
        };
        if hold == Hold::Fresh {
            self.policy.pools.give_back(Lease::V4(candidate.address));
        }
        match (refused, verdict) {
            (NotCommitted::TableFull(_), _) => Err(Discard::TableFull),
            (NotCommitted::Limit(bound), Verdict::Ack) => Ok(self.refuse(Refusal::Limit(bound))),
            // To a DISCOVER or a BOOTP client there is no way to say no.
            (NotCommitted::Limit(bound), _) => Err(Discard::of_limit(bound)),
        }
    }

    /// Puts down what a lease counts against. A renewal that goes past the relay agents tells neither its line nor
    /// all of its classes: what was told when they were there holds.
    fn count(&self, candidate: Candidate, subnet: &Subnet4, context: &mut Context) -> Limits {
        if !self.partition.counts_leases() {
            return Limits::NONE;
        }
        if way(self.query) == Way::Unknown
            && let (Some(slot), Record::Live(held)) = (self.slot, self.record)
            && held == candidate.address
        {
            let mut earlier = Context::EMPTY;
            self.partition.context(slot, &mut earlier);
            let tags = earlier.tags();
            if !tags.is_empty() {
                context.set_tags(&tags);
                return Limits::NONE;
            }
        }
        let limits = self.limits(subnet);
        context.set_tags(&limits.tags());
        limits
    }

    /// What is left of the client's lease, if that is young enough not to be written down again for its times.
    fn left(&self, hold: Hold, cache: &LeaseCache) -> Option<(SlotNumber, Left)> {
        // An offer ends with the commit that answers it.
        let slot = self
            .slot
            .filter(|_| hold == Hold::Client && self.offered.is_none())?;
        let since = self.policy.pools.recorded_since();
        let left = cache.left(&self.partition.terms(slot)?, since, self.now)?;
        Some((slot, left))
    }

    fn write(&mut self, binding: &Binding, limits: &Limits) -> Result<(), NotCommitted> {
        let (pools, slot) = (&self.policy.pools, self.slot);
        let partition = &mut self.partition;
        let written = partition.commit_within(slot, binding, limits, pools, self.log, self.now);
        written.map(|_| ())
    }

    /// Writes down that a lease is no longer the client's.
    fn end(&mut self, binding: &Binding) -> Result<(), Discard> {
        let written = self.write(binding, &Limits::NONE);
        written.map_err(|_| Discard::TableFull)
    }

    fn answer(&self, verdict: Verdict, candidate: Candidate, subnet: &Subnet4) -> Answer {
        let lease_seconds = match (self.query.kind, subnet.rules.bootp_seconds) {
            (Kind::Bootp, Some(seconds)) => seconds,
            _ => self.lease_seconds(candidate, subnet),
        };
        Answer {
            verdict,
            address: candidate.address,
            lease_seconds,
            subnet: candidate.subnet,
            nonce: None,
            server_override: self.recorded_override(),
            host: self.identifiers.host(self.policy, subnet),
            probed_until: None,
        }
    }

    /// The lifetime of a lease. When its subnet is nearly full it is the shortest that may be, so that what
    /// nobody uses comes back soon; but nobody loses what he was promised already.
    fn lease_seconds(&self, candidate: Candidate, subnet: &Subnet4) -> u32 {
        let of_classes = &self.policy.classes_v4;
        let lifetimes = of_classes.lifetimes(&subnet.lifetimes, &self.query.classes);
        let seconds = lease_seconds(&lifetimes, self.query.lease_seconds);
        if !lifetimes.is_scarce(&self.policy.pools, &subnet.pools) {
            return seconds;
        }
        let promised = match (self.record, self.slot) {
            (Record::Live(held), Some(slot)) if held == candidate.address => {
                let terms = self.partition.terms(slot);
                terms.map_or(0, |terms| terms.expires.seconds_left(self.now))
            }
            _ => 0,
        };
        seconds.min(lifetimes.valid_min.max(promised))
    }

    /// What counts where the client is.
    fn rules(&self) -> Rules {
        let subnet = self.network.subnets.get(self.query.place.subnet);
        subnet.map(|subnet| subnet.rules).unwrap_or_default()
    }

    fn refuse(&self, refusal: Refusal) -> Answer {
        // RFC 2131 section 3.1 [unable-says-nak], RFC 2131 section 3.5 [invalid-address-nak]: a reason in words goes with it.
        Answer {
            verdict: Verdict::Nak(refusal),
            address: Ipv4Addr::UNSPECIFIED,
            lease_seconds: 0,
            subnet: self.query.place.subnet,
            nonce: None,
            server_override: self.recorded_override(),
            host: None,
            probed_until: None,
        }
    }

    // RFC 5107 section 4 [server-id-override-recorded]: a renewal that comes past the relay agent, by unicast, is
    // answered with the identifier that the relay agent gave us last.
    fn recorded_override(&self) -> Option<Ipv4Addr> {
        let slot = self.slot.filter(|_| way(self.query) == Way::Unknown)?;
        let mut context = Context::EMPTY;
        self.partition.context(slot, &mut context);
        recorded_override(&context)
    }

    fn refuse_if(&self, ours_to_judge: bool, refusal: Refusal) -> Result<Answer, Discard> {
        if ours_to_judge {
            Ok(self.refuse(refusal))
        } else {
            Err(Discard::UnknownBinding)
        }
    }

    fn subnet(&self, candidate: Candidate) -> Result<&'a Subnet4, Discard> {
        self.network
            .subnets
            .get(candidate.subnet)
            .ok_or(Discard::NoSubnet)
    }

    fn network_contains(&self, address: Ipv4Addr) -> bool {
        self.network
            .subnets
            .iter()
            .any(|subnet| subnet.contains(address))
    }

    /// A binding of this client, heard of now.
    fn binding(&self, address: Ipv4Addr, subnet: SubnetId) -> Binding {
        let mut context = self.query.context.clone();
        if let (Some(slot), Record::Live(_)) = (self.slot, self.record) {
            carry_over(self.partition, slot, way(self.query), &mut context);
        }
        Binding {
            lease: Lease::V4(address),
            state: State::Leased,
            subnet,
            client: self.query.holder().clone(),
            hardware: self.query.hardware,
            iaid: Iaid(0),
            last_transaction: self.now,
            expires: self.now,
            valid_seconds: 0,
            preferred_seconds: 0,
            context,
        }
    }
}

/// The lifetime of a lease: the subnet's, or what the client asks for within the subnet's bounds
/// (RFC 2131 section 4.3.1 [lease-time-default] and [lease-time-requested]). For ever (0xffffffff) is possible only where the configuration says so.
fn lease_seconds(lifetimes: &Lifetimes, asked: Option<u32>) -> u32 {
    match asked {
        Some(asked) => asked.min(lifetimes.valid_max).max(lifetimes.valid_min),
        None => lifetimes.valid,
    }
}

fn v4(lease: Lease) -> Option<Ipv4Addr> {
    match lease {
        Lease::V4(address) => Some(address),
        Lease::Address(_) | Lease::Prefix(..) => None,
    }
}
