//! The engine without a network: one frame in, at most one frame out, with leases in plain memory.

use dhcp_core::probe;
use dhcp_core::v4::leasequery::{self, Finding, LeaseQuery};
use dhcp_core::{Discard, Interface, Policy, v4, v6};
use dhcp_lease::{Binding, ChangeLog, Durability, Partitions, State, Timestamp};
use dhcp_wire::frame::{Addresses, Datagram, FRAME_SIZE_MAX, Malformed};
use std::net::Ipv4Addr;

/// When an engine's world begins: any moment, the same in every run.
const BEGINNING: Timestamp = Timestamp(1_800_000_000);

/// Policy, interface, leases and the time.
pub struct Engine {
    policy: Policy,
    interface: Interface,
    partitions: Partitions,
    log: ChangeLog,
    /// Whether the last frame changed what is on record.
    has_written: bool,
    now: Timestamp,
    query4: v4::Query,
    query6: v6::Query,
    leasequery: Box<(LeaseQuery, Finding)>,
    /// Addresses that somebody uses who has not asked us.
    squatted: Vec<Ipv4Addr>,
}

/// The frame that is served, and later answered, in a buffer as large as a UMEM chunk leaves it.
pub type Buffer = [u8; FRAME_SIZE_MAX];

impl Engine {
    /// One without leases.
    pub fn new(policy: Policy, interface: Interface, partitions: usize) -> Self {
        let partitions = Partitions::in_memory(partitions, 4096, Durability::Power);
        if policy.leasequery.is_some() || policy.has_lines() {
            partitions.file_all(|| false);
        }
        if policy.has_lease_limits() {
            partitions.count_leases();
        }
        Self {
            policy,
            interface,
            partitions,
            log: ChangeLog::with_capacity(64),
            has_written: false,
            now: BEGINNING,
            query4: v4::Query::default(),
            query6: v6::Query::default(),
            leasequery: Box::default(),
            squatted: Vec::new(),
        }
    }

    /// What the operator decided, to be changed between two frames.
    pub fn policy(&mut self) -> &mut Policy {
        &mut self.policy
    }

    /// Lets somebody use an address, who answers when it is probed.
    pub fn squat(&mut self, address: Ipv4Addr) {
        self.squatted.push(address);
    }

    /// Puts another policy in force, whose pools succeed those before.
    pub fn reload(&mut self, policy: Policy) {
        self.policy = policy;
        if self.policy.has_lease_limits() {
            self.partitions.count_leases();
        }
        self.partitions.mark_held(&self.policy.pools);
    }

    /// Serves the first `length` octets of `frame` as the data path does, stage after stage, and settles
    /// what changed. The answer lies over the request then; its length comes back. No heap.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn serve(&mut self, frame: &mut Buffer, length: usize) -> Result<usize, Discard> {
        self.serve_wiped(frame, length, |_| {})
    }

    /// The same, with `wipe` done to the buffer after the request was read and before the answer is
    /// written: no octet of it may matter any more.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn serve_wiped(
        &mut self,
        frame: &mut Buffer,
        length: usize,
        wipe: impl FnOnce(&mut Buffer),
    ) -> Result<usize, Discard> {
        let answered = self.answer(frame, length, wipe);
        self.has_written = !self.log.is_empty();
        self.partitions.settle(&mut self.log, &self.policy.pools);
        answered
    }

    fn answer(
        &mut self,
        frame: &mut Buffer,
        length: usize,
        wipe: impl FnOnce(&mut Buffer),
    ) -> Result<usize, Discard> {
        let octets = frame.get(..length).ok_or(Discard::Frame)?;
        let datagram = Datagram::parse(octets).map_err(|malformed| match malformed {
            Malformed::Checksum => Discard::Checksum,
            _ => Discard::Frame,
        })?;
        let Datagram { envelope, payload } = datagram;
        match (envelope.addresses, envelope.destination_port) {
            (Addresses::V4 { .. }, 67) => {
                let query = &mut self.query4;
                match v4::classify(payload, &envelope, &self.interface, &self.policy, query) {
                    Err(Discard::LeasequeryOff) if self.policy.leasequery.is_some() => {
                        return self.answer_leasequery(frame, length, wipe);
                    }
                    classified => classified?,
                }
                v4::find_line(query, &self.policy, &self.partitions, self.now)?;
                v4::find_name(query, &self.policy, &self.partitions, self.now);
                let place = self.partitions.index_of(query.key().spread_octets());
                let mut partition = self
                    .partitions
                    .lock(place)
                    .ok_or(Discard::StoreUnavailable)?;
                partition.touch(&query.key());
                let answer =
                    v4::decide(query, &self.policy, &mut partition, &mut self.log, self.now)?;
                drop(partition);
                if answer.probed_until.is_some() {
                    find_out(&self.policy, &self.squatted, answer.address, self.now)?;
                }
                wipe(frame);
                v4::reply(query, &answer, &self.policy, frame).map(|written| written.len)
            }
            (Addresses::V6 { .. }, 547) => {
                let query = &mut self.query6;
                v6::classify(payload, &envelope, &self.interface, &self.policy, query)?;
                let place = self.partitions.index_of(query.client());
                let mut partition = self
                    .partitions
                    .lock(place)
                    .ok_or(Discard::StoreUnavailable)?;
                query.keys().for_each(|key| partition.touch(&key));
                let answer =
                    v6::decide(query, &self.policy, &mut partition, &mut self.log, self.now)?;
                drop(partition);
                wipe(frame);
                v6::reply(query, &answer, &self.policy, frame)
            }
            (Addresses::V4 { .. } | Addresses::V6 { .. }, _) => Err(Discard::NotForUs),
        }
    }

    fn answer_leasequery(
        &mut self,
        frame: &mut Buffer,
        length: usize,
        wipe: impl FnOnce(&mut Buffer),
    ) -> Result<usize, Discard> {
        let (query, finding) = &mut *self.leasequery;
        let octets = frame.get(..length).ok_or(Discard::Frame)?;
        let Datagram { envelope, payload } = Datagram::parse(octets).map_err(|_| Discard::Frame)?;
        leasequery::classify(payload, &envelope, &self.interface, &self.policy, query)?;
        leasequery::search(query, &self.policy, &self.partitions, self.now, finding)?;
        wipe(frame);
        leasequery::reply(query, finding, &self.policy, frame)
    }

    /// Serves octets; the answer's octets.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn exchange(&mut self, octets: &[u8]) -> Result<Vec<u8>, Discard> {
        let mut frame: Buffer = [0xa5; FRAME_SIZE_MAX];
        frame
            .get_mut(..octets.len())
            .ok_or(Discard::Frame)?
            .copy_from_slice(octets);
        let length = self.serve(&mut frame, octets.len())?;
        Ok(frame[..length].to_vec())
    }

    /// Lets time pass, and clears up what ended.
    pub fn wait(&mut self, seconds: u64) {
        self.now = Timestamp(self.now.0 + seconds);
        for number in 0..self.partitions.len() {
            if let Some(mut partition) = self.partitions.lock(number) {
                while partition.tick(self.now, 1024, &self.policy.pools).more {}
            }
        }
    }

    /// Everything that is leased or declined now, by address.
    pub fn leases(&self) -> Vec<Binding> {
        let mut leases = Vec::new();
        self.partitions.for_each(|binding| {
            let declined = binding.state == State::Declined && binding.expires > self.now;
            if binding.is_live(self.now) || declined {
                leases.push(binding.clone());
            }
        });
        leases.sort_by_key(|binding| binding.lease.address());
        leases
    }

    /// Whether the last frame changed what is on record.
    pub fn has_written(&self) -> bool {
        self.has_written
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

/// What the prober does while an OFFER waits; here it takes no time.
fn find_out(
    policy: &Policy,
    squatted: &[Ipv4Addr],
    address: Ipv4Addr,
    now: Timestamp,
) -> Result<(), Discard> {
    let probes = policy.probes.as_deref().ok_or(Discard::Probing)?;
    let (finding, outcome) = match squatted.contains(&address) {
        true => (probe::Finding::Used, Err(Discard::ProbedInUse)),
        false => (probe::Finding::Clear, Ok(())),
    };
    probes.answer(address, finding, now);
    outcome
}
