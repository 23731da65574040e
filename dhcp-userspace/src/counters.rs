//! What has a worker done so far?

use crate::io::PortStatistics;
use dhcp_core::Discard;
use dhcp_core::v4::leasequery::LeaseAnswer;
use dhcp_core::v4::{Kind, Refusal, Verdict, Written};
use dhcp_lease::Bound;
use dhcp_wire::v6::MessageType;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread counts up and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts. One thread only: two would lose counts, and an atomic addition costs more than all that.
    pub fn add(&self, count: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(count),
            Ordering::Relaxed,
        );
    }

    /// Takes over a number that is counted elsewhere.
    pub fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Names of DHCPv4 messages received, in the order of their counters.
pub const RECEIVED_V4: [&str; 11] = [
    "discover",
    "request_selecting",
    "request_other_server",
    "request_init_reboot",
    "request_renewing",
    "request_rebinding",
    "decline",
    "release",
    "inform",
    "bootp",
    "leasequery",
];
/// Names of DHCPv4 messages sent, in the order of their counters.
pub const SENT_V4: [&str; 7] = [
    "offer",
    "ack",
    "nak",
    "bootp_reply",
    "lease_unassigned",
    "lease_unknown",
    "lease_active",
];
/// Names of DHCPv6 messages by their number (RFC 9915 section 7.3), received and sent.
pub const MESSAGES_V6: [&str; 14] = [
    "unknown",
    "solicit",
    "advertise",
    "request",
    "confirm",
    "renew",
    "rebind",
    "reply",
    "release",
    "decline",
    "reconfigure",
    "information_request",
    "relay_forward",
    "relay_reply",
];

/// The counters of one worker; each worker's lie in cache lines of their own.
#[derive(Debug)]
pub struct Counters {
    /// Frames received.
    pub frames: Counter,
    /// Batches of frames served.
    pub batches: Counter,
    /// Frames sent.
    pub sent: Counter,
    /// Replies that waited for the disk.
    pub parked: Counter,
    /// Change logs submitted.
    pub logs: Counter,
    /// DHCPv4 replies without the relay agent's option, for which there was no room (RFC 3046 section 2.2).
    pub agent_option_left_out: Counter,
    /// Options that had no room in a DHCPv4 reply.
    pub options_left_out: Counter,
    limit_refusals: [Counter; Bound::ALL.len()],
    rx_dropped: Counter,
    rx_ring_full: Counter,
    fill_ring_empty: Counter,
    tx_invalid: Counter,
    tx_full: Counter,
    discards: [Counter; Discard::ALL.len()],
    received_v4: [Counter; RECEIVED_V4.len()],
    sent_v4: [Counter; SENT_V4.len()],
    received_v6: [Counter; MESSAGES_V6.len()],
    sent_v6: [Counter; MESSAGES_V6.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            frames: Counter::default(),
            batches: Counter::default(),
            sent: Counter::default(),
            parked: Counter::default(),
            logs: Counter::default(),
            agent_option_left_out: Counter::default(),
            options_left_out: Counter::default(),
            limit_refusals: Default::default(),
            rx_dropped: Counter::default(),
            rx_ring_full: Counter::default(),
            fill_ring_empty: Counter::default(),
            tx_invalid: Counter::default(),
            tx_full: Counter::default(),
            discards: std::array::from_fn(|_| Counter::default()),
            received_v4: Default::default(),
            sent_v4: Default::default(),
            received_v6: Default::default(),
            sent_v6: Default::default(),
        }
    }
}

impl Counters {
    /// Counts a frame that is not answered.
    pub fn discard(&self, reason: Discard) {
        add(&self.discards, reason as usize);
        if let Some(bound) = reason.limit() {
            self.refused(bound, 1);
        }
    }

    /// Counts leases that were refused because there are as many as there may be.
    pub fn refused(&self, bound: Bound, count: u64) {
        if let Some(counter) = self.limit_refusals.get(bound as usize) {
            counter.add(count);
        }
    }

    /// Counts a DHCPv4 message.
    pub fn received_v4(&self, kind: Kind) {
        let place = match kind {
            Kind::Discover => 0,
            Kind::Selecting => 1,
            Kind::NotChosen => 2,
            Kind::InitReboot => 3,
            Kind::Renewing => 4,
            Kind::Rebinding => 5,
            Kind::Decline => 6,
            Kind::Release => 7,
            Kind::Inform => 8,
            Kind::Bootp => 9,
        };
        add(&self.received_v4, place);
    }

    /// Counts a DHCPv4 reply.
    pub fn sent_v4(&self, verdict: Verdict) {
        if let Verdict::Nak(Refusal::Limit(bound)) = verdict {
            self.refused(bound, 1);
        }
        let place = match verdict {
            Verdict::Offer => 0,
            Verdict::Ack | Verdict::RapidAck | Verdict::InformAck => 1,
            Verdict::Nak(_) => 2,
            Verdict::BootReply => 3,
        };
        add(&self.sent_v4, place);
    }

    /// Counts a leasequery that is looked into.
    pub fn received_leasequery(&self) {
        add(&self.received_v4, 10);
    }

    /// Counts the answer to a leasequery.
    pub fn sent_lease(&self, answer: LeaseAnswer) {
        let place = match answer {
            LeaseAnswer::Unassigned => 4,
            LeaseAnswer::Unknown => 5,
            LeaseAnswer::Active => 6,
        };
        add(&self.sent_v4, place);
    }

    /// Counts what had no room in a DHCPv4 reply.
    pub fn left_out(&self, written: &Written) {
        self.options_left_out
            .add(u64::from(written.options_left_out));
        self.agent_option_left_out
            .add(u64::from(written.lacks_agent_option));
    }

    /// Counts a DHCPv6 message: the client's, whatever relay agents wrapped around it.
    pub fn received_v6(&self, message_type: MessageType) {
        add(&self.received_v6, message_type as usize);
    }

    /// Counts a DHCPv6 reply by the first octet of its payload: a Relay-reply hides what is in it.
    pub fn sent_v6(&self, message_type: u8) {
        add(
            &self.sent_v6,
            usize::from(message_type).min(MESSAGES_V6.len() - 1),
        );
    }

    /// Takes over what the kernel counts. (It begins anew with a new socket.)
    pub fn port(&self, statistics: &PortStatistics) {
        self.rx_dropped.set(statistics.rx_dropped);
        self.rx_ring_full.set(statistics.rx_ring_full);
        self.fill_ring_empty.set(statistics.fill_ring_empty);
        self.tx_invalid.set(statistics.tx_invalid);
        self.tx_full.set(statistics.tx_full);
    }

    /// The numbers of this moment.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        totals.add(self);
        totals
    }
}

fn add(counters: &[Counter], place: usize) {
    if let Some(counter) = counters.get(place) {
        counter.add(1);
    }
}

/// The counters of several workers, added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Frames received.
    pub frames: u64,
    /// Batches of frames served.
    pub batches: u64,
    /// Frames sent.
    pub sent: u64,
    /// Replies that waited for the disk.
    pub parked: u64,
    /// Change logs submitted.
    pub logs: u64,
    /// DHCPv4 replies without the relay agent's option, for which there was no room.
    pub agent_option_left_out: u64,
    /// Options that had no room in a DHCPv4 reply.
    pub options_left_out: u64,
    /// Leases that were refused because a line, a class or a subnet has as many as it may, in the order of
    /// [`Bound::ALL`].
    pub limit_refusals: [u64; Bound::ALL.len()],
    /// What the kernel dropped.
    pub port: PortStatistics,
    /// By [`Discard`], in the order of `Discard::ALL`.
    pub discards: [u64; Discard::ALL.len()],
    /// In the order of [`RECEIVED_V4`].
    pub received_v4: [u64; RECEIVED_V4.len()],
    /// In the order of [`SENT_V4`].
    pub sent_v4: [u64; SENT_V4.len()],
    /// In the order of [`MESSAGES_V6`].
    pub received_v6: [u64; MESSAGES_V6.len()],
    /// In the order of [`MESSAGES_V6`].
    pub sent_v6: [u64; MESSAGES_V6.len()],
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            frames: 0,
            batches: 0,
            sent: 0,
            parked: 0,
            logs: 0,
            agent_option_left_out: 0,
            options_left_out: 0,
            limit_refusals: Default::default(),
            port: PortStatistics::default(),
            discards: [0; Discard::ALL.len()],
            received_v4: Default::default(),
            sent_v4: Default::default(),
            received_v6: Default::default(),
            sent_v6: Default::default(),
        }
    }
}

impl Totals {
    /// Adds a worker's counters.
    pub fn add(&mut self, counters: &Counters) {
        self.frames += counters.frames.get();
        self.batches += counters.batches.get();
        self.sent += counters.sent.get();
        self.parked += counters.parked.get();
        self.logs += counters.logs.get();
        self.agent_option_left_out += counters.agent_option_left_out.get();
        self.options_left_out += counters.options_left_out.get();
        self.port.rx_dropped += counters.rx_dropped.get();
        self.port.rx_ring_full += counters.rx_ring_full.get();
        self.port.fill_ring_empty += counters.fill_ring_empty.get();
        self.port.tx_invalid += counters.tx_invalid.get();
        self.port.tx_full += counters.tx_full.get();
        sum(&mut self.limit_refusals, &counters.limit_refusals);
        sum(&mut self.discards, &counters.discards);
        sum(&mut self.received_v4, &counters.received_v4);
        sum(&mut self.sent_v4, &counters.sent_v4);
        sum(&mut self.received_v6, &counters.received_v6);
        sum(&mut self.sent_v6, &counters.sent_v6);
    }

    /// How many frames ended for a reason.
    pub fn discarded(&self, reason: Discard) -> u64 {
        self.discards.get(reason as usize).copied().unwrap_or(0)
    }
}

fn sum(totals: &mut [u64], counters: &[Counter]) {
    for (total, counter) in totals.iter_mut().zip(counters) {
        *total += counter.get();
    }
}
