//! The straight line: from frames that came in to replies that go out, a batch at a time.
//!
//! Each stage runs over the whole batch before the next begins, so that the cache misses of the batch
//! overlap and each lock is taken once. Invariants:
//! - Nothing here allocates, logs or calls the system, once the buffers have their size.
//! - A thread holds one partition lock at a time, and none across [`Port`] or the journal.
//! - A reply leaves at once only if deciding it changed nothing. The engine writes down whatever it
//!   promises before it promises it, unless the same is on record already, durable, and the promise ends
//!   with the record (a duplicate, a renewal within `cache-threshold`). So a reply without a change of its
//!   own (OFFER, NAK, Advertise, answers to INFORM, Confirm and Information-request, and those) needs no
//!   log. All others wait for the log that holds their change; it takes in the changes of several batches
//!   as long as frames keep coming. A REQUEST that is repeated while its first
//!   copy waits is written again and waits for its own log, whichever worker serves it.
//! - An OFFER whose address is being probed waits in the lobby, behind the log if it has one, and leaves from there.

use crate::commit::{Handle, LOGS_PER_WORKER, Returned};
use crate::counters::Counters;
use crate::datapath::desk::Desk;
use crate::datapath::lobby::Lobby;
use crate::io::{BATCH_FRAMES, Port};
use crossbeam::utils::CachePadded;
use dhcp_core::v4::leasequery::LeaseAnswer;
use dhcp_core::{Discard, Interface, Policy, v4, v6};
use dhcp_lease::{ChangeLog, Partitions, Timestamp};
use dhcp_wire::frame::{Addresses, Datagram, Malformed};
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

mod desk;
mod lobby;

/// Records that a batch may change: eight for each frame (an address and a prefix, each with three
/// extensions of context). A batch that changes more costs an allocation, once.
const BATCH_RECORDS: usize = 8 * BATCH_FRAMES;
/// Records that a change log has room for: as many as make it worth a write, and another batch.
const LOG_RECORDS: usize = 2 * BATCH_RECORDS + BATCH_RECORDS;
/// How many replies make a change log worth a write of its own. A write and a sync cost a processor some 100
/// microseconds whatever they carry, interrupts included: as much as two dozen exchanges, so that hundreds
/// share it.
const REPLIES_WORTH_A_WRITE: usize = 4 * BATCH_FRAMES;
/// For how many batches a change log is kept open at most, each with a frame at least: some hundred
/// microseconds of a worker that is never idle.
const BATCHES_PER_LOG: u32 = 16;

/// How often a worker that ends looks for a buffer to give its last notes away in, and how long it waits
/// between.
const HAND_OVER_ATTEMPTS: u32 = 100;
const HAND_OVER_PAUSE: Duration = Duration::from_millis(10);

/// What a batch is served with: one policy, one moment.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The policy in force.
    pub policy: &'a Policy,
    /// The interface that the frames came in on.
    pub interface: &'a Interface,
    /// The way to the journal and back.
    pub commit: &'a Handle,
    /// Server time.
    pub now: Timestamp,
}

/// One worker's share of the server: all that it needs between a frame and its reply.
#[derive(Debug)]
pub struct Shard<F> {
    partitions: Arc<Partitions>,
    counters: Arc<CachePadded<Counters>>,
    frames: Vec<F>,
    queries_v4: Vec<v4::Query>,
    queries_v6: Vec<v6::Query>,
    items: Vec<Item>,
    /// Partition and place in the batch of every query, sorted.
    order: Vec<(u32, u32)>,
    /// The change log that is being filled, if there is anything in it.
    open: Option<Open<F>>,
    /// Replies to changes that were submitted, oldest log first.
    waiting: VecDeque<Vec<Reply<F>>>,
    spare: Vec<(ChangeLog, Vec<Reply<F>>)>,
    /// How often the store had ceased to take commits when that was last looked at.
    outages: u64,
    /// Where leasequeries are answered.
    desk: Box<Desk>,
    /// Where OFFERs wait for their addresses to be probed.
    lobby: Lobby<F>,
}

/// A change log that is being filled, with the replies that wait for it.
#[derive(Debug)]
struct Open<F> {
    log: ChangeLog,
    parked: Vec<Reply<F>>,
    /// Batches that went into it.
    batches: u32,
}

/// How far a frame has come.
#[derive(Debug)]
struct Item {
    step: Step,
    /// Where the payload begins, in request and reply alike.
    payload_offset: usize,
    /// Whether deciding it changed something.
    has_changed: bool,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it stays in its place in a reused buffer"
)]
enum Step {
    Discarded(Discard),
    Asked4,
    Asked6,
    /// A relay agent's question, answered in its turn among the replies.
    Leasequery,
    Answered4(v4::Answer),
    Answered6(v6::Answer),
}

/// A reply, written and ready to leave.
#[derive(Debug)]
struct Reply<F> {
    frame: F,
    len: usize,
    label: Label,
    /// An address that is being probed, and until when that may take.
    probed: Option<(Ipv4Addr, Timestamp)>,
}

/// Under which name a reply is counted.
#[derive(Clone, Copy, Debug)]
enum Label {
    V4(v4::Verdict),
    V6(u8),
    Lease(LeaseAnswer),
}

impl<F> Shard<F> {
    /// A shard that has served nothing yet.
    pub fn new(partitions: Arc<Partitions>, counters: Arc<CachePadded<Counters>>) -> Self {
        let spare = || {
            (
                ChangeLog::with_capacity(LOG_RECORDS),
                Vec::with_capacity(REPLIES_WORTH_A_WRITE + BATCH_FRAMES),
            )
        };
        Self {
            partitions,
            counters,
            frames: Vec::with_capacity(BATCH_FRAMES),
            queries_v4: (0..BATCH_FRAMES).map(|_| v4::Query::default()).collect(),
            queries_v6: (0..BATCH_FRAMES).map(|_| v6::Query::default()).collect(),
            items: Vec::with_capacity(BATCH_FRAMES),
            order: Vec::with_capacity(BATCH_FRAMES),
            open: None,
            waiting: VecDeque::with_capacity(LOGS_PER_WORKER),
            spare: (0..LOGS_PER_WORKER).map(|_| spare()).collect(),
            outages: 0,
            desk: Box::default(),
            lobby: Lobby::default(),
        }
    }

    /// Whether another batch can be served: not while every log is under way.
    pub fn can_serve(&self) -> bool {
        self.open.is_some() || !self.spare.is_empty()
    }

    /// Gives the history all that was noted for it, at the end. What it does not take in time, the next
    /// start finds in the tables.
    pub fn hand_over(&mut self, commit: &Handle) {
        for _ in 0..HAND_OVER_ATTEMPTS {
            let mut is_over = true;
            for (log, _) in &mut self.spare {
                commit.hand_over(log, true);
                is_over &= log.notes_mut().is_none_or(|notes| notes.is_empty());
            }
            if is_over {
                return;
            }
            std::thread::sleep(HAND_OVER_PAUSE);
        }
    }

    /// Whether replies wait for the journal.
    pub fn is_waiting(&self) -> bool {
        self.open.is_some() || !self.waiting.is_empty()
    }

    /// Serves what has arrived, at most one batch: each frame ends as a reply or as a counted discard.
    /// How many frames it was. Requires [`Shard::can_serve`].
    ///
    /// Under load one change log takes in several batches: it is on its way once it is worth a write. If
    /// nothing more arrives, say so with [`Shard::submit`].
    pub fn serve<P: Port<Frame = F>>(&mut self, port: &mut P, context: &Context<'_>) -> usize {
        let fresh = |(log, parked)| Open {
            log,
            parked,
            batches: 0,
        };
        let Some(mut open) = self.open.take().or_else(|| self.spare.pop().map(fresh)) else {
            return 0;
        };
        let Open { log, parked, .. } = &mut open;
        context.commit.prepare(log, LOG_RECORDS);
        let count = port.receive(&mut self.frames);
        if count > 0 {
            self.counters.frames.add(count as u64);
            self.counters.batches.add(1);
            self.classify(port, context); // octets to queries
            self.touch(); // begin to load what the next stage reads
            self.decide(context, log); // queries to answers, under the locks
            self.reply(port, context, parked); // answers to octets, in place
            open.batches += 1;
        }
        let Open {
            log,
            parked,
            batches,
        } = &mut open;
        context.commit.hand_over(log, count == 0);
        let is_worth_it = parked.len() >= REPLIES_WORTH_A_WRITE
            || log.remaining() < BATCH_RECORDS
            || *batches >= BATCHES_PER_LOG;
        if log.is_empty() {
            self.spare.push((open.log, open.parked));
        } else {
            self.open = Some(open);
            if is_worth_it {
                self.submit(context);
            }
        }
        count
    }

    /// Sends on its way what has changed so far: to be called when nothing more arrives, for nobody is to
    /// wait for others who do not come.
    pub fn submit(&mut self, context: &Context<'_>) {
        if let Some(Open { log, parked, .. }) = self.open.take() {
            self.counters.logs.add(1);
            self.counters.parked.add(parked.len() as u64);
            context.commit.submit(log);
            self.waiting.push_back(parked);
        }
    }

    fn classify<P: Port<Frame = F>>(&mut self, port: &P, context: &Context<'_>) {
        let is_suspended = context.commit.is_suspended();
        let queries = self.queries_v4.iter_mut().zip(&mut self.queries_v6);
        for (place, (frame, (query_v4, query_v6))) in self.frames.iter().zip(queries).enumerate() {
            let mut payload_offset = 0;
            let classified = match Datagram::parse(port.octets(frame)) {
                // A server that cannot write down what it promises must not even offer it.
                _ if is_suspended => Err(Discard::StoreUnavailable),
                Err(Malformed::Checksum) => Err(Discard::Checksum),
                Err(_) => Err(Discard::Frame),
                Ok(datagram) => {
                    let (envelope, payload) = (&datagram.envelope, datagram.payload);
                    let Context {
                        interface, policy, ..
                    } = context;
                    payload_offset = envelope.header_len();
                    match envelope.addresses {
                        Addresses::V4 { .. } => {
                            match v4::classify(payload, envelope, interface, policy, query_v4) {
                                Ok(()) => {
                                    let (leases, now) = (&self.partitions, context.now);
                                    v4::find_line(query_v4, policy, leases, now).map(|()| {
                                        v4::find_name(query_v4, policy, leases, now);
                                        Step::Asked4
                                    })
                                }
                                Err(Discard::LeasequeryOff) if policy.leasequery.is_some() => {
                                    Ok(Step::Leasequery)
                                }
                                Err(reason) => Err(reason),
                            }
                        }
                        Addresses::V6 { .. } => {
                            v6::classify(payload, envelope, interface, policy, query_v6)
                                .map(|()| Step::Asked6)
                        }
                    }
                }
            };
            let client = match classified {
                Ok(Step::Asked4) => {
                    self.counters.received_v4(query_v4.kind());
                    Some(self.partitions.index_of(query_v4.key().spread_octets()))
                }
                Ok(Step::Asked6) => {
                    self.counters.received_v6(query_v6.message_type());
                    Some(self.partitions.index_of(query_v6.client()))
                }
                _ => None,
            };
            self.order
                .extend(client.map(|partition| (partition as u32, place as u32)));
            let step = classified.unwrap_or_else(Step::Discarded);
            self.items.push(Item {
                step,
                payload_offset,
                has_changed: false,
            });
        }
        self.order.sort_unstable();
    }

    fn touch(&self) {
        for group in self.order.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((partition, _)) = group.first() else {
                continue;
            };
            let Some(partition) = self.partitions.lock(*partition as usize) else {
                continue;
            };
            for (_, place) in group {
                let place = *place as usize;
                match self.items.get(place).map(|item| &item.step) {
                    Some(Step::Asked4) => {
                        if let Some(query) = self.queries_v4.get(place) {
                            partition.touch(&query.key());
                        }
                    }
                    Some(Step::Asked6) => {
                        if let Some(query) = self.queries_v6.get(place) {
                            query.keys().for_each(|key| partition.touch(&key));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn decide(&mut self, context: &Context<'_>, log: &mut ChangeLog) {
        let &Context { policy, now, .. } = context;
        for group in self.order.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((partition, _)) = group.first() else {
                continue;
            };
            let Some(mut partition) = self.partitions.lock(*partition as usize) else {
                continue;
            };
            for (_, place) in group {
                let place = *place as usize;
                let Some(item) = self.items.get_mut(place) else {
                    continue;
                };
                let length_before = log.len();
                let answer = match &item.step {
                    Step::Asked4 => self.queries_v4.get(place).map(|query| {
                        v4::decide(query, policy, &mut partition, log, now).map(Step::Answered4)
                    }),
                    Step::Asked6 => self.queries_v6.get(place).map(|query| {
                        v6::decide(query, policy, &mut partition, log, now).map(Step::Answered6)
                    }),
                    Step::Discarded(_)
                    | Step::Leasequery
                    | Step::Answered4(_)
                    | Step::Answered6(_) => None,
                };
                if let Some(answer) = answer {
                    item.step = answer.unwrap_or_else(Step::Discarded);
                }
                item.has_changed = log.len() != length_before;
            }
        }
        self.order.clear();
    }

    /// Ends every frame of the batch, in the order of arrival: sent, parked or discarded.
    fn reply<P: Port<Frame = F>>(
        &mut self,
        port: &mut P,
        context: &Context<'_>,
        parked: &mut Vec<Reply<F>>,
    ) {
        let policy = context.policy;
        let queries = self.queries_v4.iter().zip(&self.queries_v6);
        let items = self.items.drain(..).zip(queries);
        for (mut frame, (item, (query_v4, query_v6))) in self.frames.drain(..).zip(items) {
            let written = match &item.step {
                Step::Answered4(answer) => port.overwrite(&mut frame, |room| {
                    let written = v4::reply(query_v4, answer, policy, room)?;
                    self.counters.left_out(&written);
                    Ok((written.len, Label::V4(answer.verdict)))
                }),
                Step::Answered6(answer) => port.overwrite(&mut frame, |room| {
                    let len = v6::reply(query_v6, answer, policy, room)?;
                    let message_type = room.get(item.payload_offset).copied().unwrap_or(0);
                    let refusals = answer.refusals().filter(|(_, count)| *count > 0);
                    for (bound, count) in refusals {
                        self.counters.refused(bound, count);
                    }
                    Ok((len, Label::V6(message_type)))
                }),
                Step::Leasequery => self
                    .desk
                    .answer(port, &mut frame, context, &self.partitions, &self.counters)
                    .map(|(len, answer)| (len, Label::Lease(answer))),
                Step::Discarded(reason) => Err(*reason),
                // Its partition does not exist, which `index_of` rules out.
                Step::Asked4 | Step::Asked6 => Err(Discard::StoreUnavailable),
            };
            let reply = written.map(|(len, label)| (len, label, probed(&item.step)));
            match reply {
                Ok((len, label, probed)) => {
                    let reply = Reply {
                        frame,
                        len,
                        label,
                        probed,
                    };
                    match item.has_changed {
                        true => parked.push(reply),
                        false => depart(port, &self.counters, &mut self.lobby, reply),
                    }
                }
                Err(reason) => {
                    self.counters.discard(reason);
                    port.discard(frame);
                }
            }
        }
    }

    /// When the store has ceased to take commits, the clients whose replies wait will have asked again
    /// before they could leave. Their logs stay under way, and their frames are free for others.
    fn give_up_late_replies<P: Port<Frame = F>>(&mut self, port: &mut P, context: &Context<'_>) {
        let outages = context.commit.outages();
        if std::mem::replace(&mut self.outages, outages) != outages {
            let open = self.open.iter_mut().map(|open| &mut open.parked);
            for replies in self.waiting.iter_mut().chain(open) {
                discard(port, &self.counters, replies);
            }
        }
    }

    /// Whether there is news for an OFFER that waits for its address to be probed.
    pub fn has_findings(&self, policy: &Policy) -> bool {
        self.lobby.has_news(policy.probes.as_deref())
    }

    /// Ends the wait of the OFFERs whose probes are over: sent if nobody uses the address. How many.
    pub fn release<P: Port<Frame = F>>(&mut self, port: &mut P, context: &Context<'_>) -> usize {
        let (probes, counters) = (context.policy.probes.as_deref(), &self.counters);
        self.lobby
            .release(probes, context.now, |reply, verdict| match verdict {
                Ok(()) => send(port, counters, reply),
                Err(reason) => {
                    counters.discard(reason);
                    port.discard(reply.frame);
                }
            })
    }

    /// Ends every such wait: the thread is about to end.
    pub fn dismiss<P: Port<Frame = F>>(&mut self, port: &mut P) {
        for reply in self.lobby.drain() {
            self.counters.discard(Discard::Probing);
            port.discard(reply.frame);
        }
    }

    /// Sends the replies whose logs have become durable, and lets these count in the tables. How many
    /// logs came back.
    pub fn settle<P: Port<Frame = F>>(&mut self, port: &mut P, context: &Context<'_>) -> usize {
        self.give_up_late_replies(port, context);
        let mut count = 0;
        while let Some(returned) = context.commit.take_returned() {
            let replies = self.waiting.pop_front();
            assert!(
                replies.is_some(),
                "a log came back that this worker did not submit"
            );
            let mut replies = replies.unwrap_or_default();
            let Returned {
                mut log,
                sequence,
                is_durable,
            } = returned;
            if is_durable {
                self.partitions.settle(&mut log, &context.policy.pools);
                context.commit.settled(sequence);
                replies
                    .drain(..)
                    .for_each(|reply| depart(port, &self.counters, &mut self.lobby, reply));
            } else {
                // The server stops while its disk does not work. The changes stay where nobody sees them
                // as durable, and the next start reads what really is on the disk.
                log = ChangeLog::with_capacity(LOG_RECORDS);
                discard(port, &self.counters, &mut replies);
            }
            self.spare.push((log, replies));
            count += 1;
        }
        count
    }
}

fn discard<P: Port>(port: &mut P, counters: &Counters, replies: &mut Vec<Reply<P::Frame>>) {
    for reply in replies.drain(..) {
        counters.discard(Discard::StoreUnavailable);
        port.discard(reply.frame);
    }
}

/// What an answer waits for besides the disk.
fn probed(step: &Step) -> Option<(Ipv4Addr, Timestamp)> {
    match step {
        Step::Answered4(answer) => Some((answer.address, answer.probed_until?)),
        Step::Discarded(_)
        | Step::Asked4
        | Step::Asked6
        | Step::Leasequery
        | Step::Answered6(_) => None,
    }
}

/// Sends a reply, unless its address is being probed: then it waits in the lobby, if there is room.
fn depart<P: Port>(
    port: &mut P,
    counters: &Counters,
    lobby: &mut Lobby<P::Frame>,
    reply: Reply<P::Frame>,
) {
    if reply.probed.is_none() {
        send(port, counters, reply);
    } else if let Err(reply) = lobby.admit(reply) {
        counters.discard(Discard::Probing);
        port.discard(reply.frame);
    }
}

fn send<P: Port>(port: &mut P, counters: &Counters, reply: Reply<P::Frame>) {
    match reply.label {
        Label::V4(verdict) => counters.sent_v4(verdict),
        Label::V6(message_type) => counters.sent_v6(message_type),
        Label::Lease(answer) => counters.sent_lease(answer),
    }
    counters.sent.add(1);
    port.send(reply.frame, reply.len);
}

#[cfg(test)]
mod tests;
