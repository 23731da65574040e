//! What does each client do next? The clients' side of the engine, apart from its links.

use super::{SEARCH_MAX, Server, Settings};
use crate::Family;
use crate::check::{Holders, Objection, Violation};
use crate::client::{Client, Held, Identity};
use crate::clock;
use crate::exchange::{Exchange, Exchanges, Operation, Step};
use crate::relay::Relay;
use crate::statistics::Statistics;
use crate::v4::{self, Granted};
use crate::v6;
use dhcp_wire::frame::{Addresses, Datagram, Envelope, MacAddress, Malformed};
use dhcp_wire::id::Duid;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The clients' side of an [`Engine`], apart from its links.
pub(super) struct Clients {
    pub(super) settings: Settings,
    pub(super) all: Vec<Client>,
    pub(super) servers: Vec<Server>,
    pub(super) exchanges: Exchanges,
    pub(super) holders: Holders,
    /// Transactions whose question is to be sent.
    pub(super) outbox: VecDeque<u32>,
    /// Deadlines of questions in the order of their sending, which is the order of time.
    pub(super) deadlines: VecDeque<(u64, u32)>,
    pub(super) statistics: Statistics,
    /// Where the search for a client that obtains, and for one that renews, goes on.
    pub(super) next_new: u32,
    pub(super) next_bound: u32,
    pub(super) header_len: usize,
}

impl Clients {
    pub(super) fn new(settings: Settings) -> Self {
        let identity = Identity::new(settings.seed, 0);
        let addresses = match settings.family {
            Family::V4 => {
                let any = Ipv4Addr::UNSPECIFIED;
                Addresses::V4 {
                    source: any,
                    destination: any,
                }
            }
            Family::V6 => {
                let any = Ipv6Addr::UNSPECIFIED;
                Addresses::V6 {
                    source: any,
                    destination: any,
                }
            }
        };
        let envelope = Envelope {
            source_mac: MacAddress(identity.mac),
            destination_mac: MacAddress::BROADCAST,
            tags: settings.tags,
            addresses,
            source_port: 0,
            destination_port: 0,
        };
        Self {
            all: vec![Client::default(); settings.clients as usize],
            servers: Vec::new(),
            exchanges: Exchanges::new(settings.in_flight_max, settings.seed),
            holders: Holders::default(),
            outbox: VecDeque::new(),
            deadlines: VecDeque::new(),
            statistics: Statistics::default(),
            next_new: 0,
            next_bound: 0,
            header_len: envelope.header_len(),
            settings,
        }
    }

    /// Begins an exchange; false when no client is idle or no transaction number is free. A client
    /// without a lease cannot renew and obtains one instead.
    pub(super) fn begin(&mut self, operation: Operation, intended: u64) -> bool {
        let found = match operation {
            Operation::Obtain => None,
            Operation::Renew | Operation::Rebind | Operation::Release => self.find_client(true),
        };
        let (client, operation) = match found {
            Some(client) => (client, operation),
            None => match self.find_client(false) {
                Some(client) => (client, Operation::Obtain),
                None => return false,
            },
        };
        let held = self.all.get(client as usize).and_then(|client| client.held);
        let exchange = Exchange {
            client,
            operation,
            step: operation.first_step(),
            repetitions: 0,
            began: intended,
            asked: intended,
            deadline: 0,
            offered: held.unwrap_or_default(),
        };
        let Some(transaction) = self.exchanges.begin(exchange) else {
            return false;
        };
        if let Some(client) = self.all.get_mut(client as usize) {
            client.busy = true;
        }
        self.statistics.operation_mut(operation).started += 1;
        self.outbox.push_back(transaction);
        true
    }

    /// The next idle client in the order of numbers.
    fn find_client(&mut self, bound: bool) -> Option<u32> {
        let next = if bound {
            &mut self.next_bound
        } else {
            &mut self.next_new
        };
        for _ in 0..SEARCH_MAX.min(self.settings.clients) {
            let number = *next;
            *next = (number + 1) % self.settings.clients;
            let client = self.all.get(number as usize)?;
            if !client.busy && (!bound || client.held.is_some()) {
                return Some(number);
            }
        }
        None
    }

    fn relay(&self, client: u32) -> Option<Relay> {
        self.settings.relays.map(|relays| relays.of(client))
    }

    /// Ethernet address of the relay agent or client that has an address.
    pub(super) fn mac_of(&self, address: IpAddr) -> Option<[u8; 6]> {
        let relay = self.settings.relays.and_then(|relays| relays.at(address));
        if let Some(relay) = relay {
            return Some(relay.mac());
        }
        let number = match address {
            IpAddr::V6(address) if address.is_unicast_link_local() => {
                Identity::number_of(self.settings.seed, address)?
            }
            address => self.holders.of(address)?,
        };
        let own = Identity::new(self.settings.seed, number).mac;
        let exists = number < self.settings.clients;
        exists.then(|| self.relay(number).map_or(own, |relay| relay.mac()))
    }

    fn question_v4(&self, transaction: u32, exchange: &Exchange) -> v4::Question<'_> {
        v4::Question {
            step: exchange.step,
            transaction,
            client: exchange.client,
            identity: Identity::new(self.settings.seed, exchange.client),
            held: exchange.offered,
            server_id: self.server_of(exchange).map(|server| &server.id),
            relay: self.relay(exchange.client),
        }
    }

    fn question_v6(&self, transaction: u32, exchange: &Exchange) -> v6::Question<'_> {
        v6::Question {
            step: exchange.step,
            transaction,
            client: exchange.client,
            identity: Identity::new(self.settings.seed, exchange.client),
            held: exchange.offered,
            wants: self.settings.wants,
            rapid_commit: self.settings.rapid_commit,
            server_id: self.server_of(exchange).map(|server| &server.id),
            relay: self.relay(exchange.client),
            relay_depth: self.settings.relays.map_or(0, |relays| relays.depth),
        }
    }

    /// The server that the client talks to; none while it looks for one.
    pub(super) fn server_of(&self, exchange: &Exchange) -> Option<&Server> {
        match exchange.step {
            Step::Discover => None,
            Step::Request | Step::Renew | Step::Rebind | Step::Release => {
                self.servers.get(usize::from(exchange.offered.server))
            }
        }
    }

    pub(super) fn know_server(&mut self, server: &Server) -> u8 {
        let position = self.servers.iter().position(|known| known == server);
        let index = position.unwrap_or_else(|| {
            self.servers.push(server.clone());
            self.servers.len() - 1
        });
        u8::try_from(index).unwrap_or(u8::MAX)
    }

    pub(super) fn write(&self, transaction: u32, exchange: &Exchange, frame: &mut [u8]) -> usize {
        let payload = frame.get_mut(self.header_len..).unwrap_or_default();
        let (written, envelope) = match self.settings.family {
            Family::V4 => {
                let question = self.question_v4(transaction, exchange);
                (
                    question.write(payload),
                    self.envelope_v4(&question, exchange),
                )
            }
            Family::V6 => {
                let question = self.question_v6(transaction, exchange);
                (question.write(payload), self.envelope_v6(&question))
            }
        };
        // Messages are far smaller than a frame; only a relay depth beyond its bound could change that.
        written
            .and_then(|len| envelope.emit(frame, len).ok())
            .unwrap_or(0)
    }

    pub(super) fn note_sent(&mut self, transaction: u32, exchange: &Exchange) {
        let counts = self.statistics.step_mut(exchange.step);
        counts.sent += 1;
        counts.repeated += u64::from(exchange.repetitions > 0);
        if self.settings.family == Family::V4 && exchange.step == Step::Release {
            // RFC 2131 section 3.1: nobody answers a RELEASE.
            self.unbind(exchange.client);
            self.complete(transaction, clock::now());
            return;
        }
        let deadline = clock::now() + clock::nanoseconds(self.settings.timeout);
        if let Some(exchange) = self.exchanges.find(transaction) {
            exchange.deadline = deadline;
            self.deadlines.push_back((deadline, transaction));
        }
    }

    /// Repeats or gives up what nobody answered in time.
    pub(super) fn expire(&mut self, now: u64) {
        while let Some((deadline, transaction)) = self.deadlines.front().copied()
            && deadline <= now
        {
            self.deadlines.pop_front();
            let retries = self.settings.retries;
            let Some(exchange) = self.exchanges.find(transaction) else {
                continue;
            };
            if exchange.deadline != deadline {
                continue; // the exchange went on to its next question, which has a deadline of its own
            }
            let (step, repeat) = (exchange.step, exchange.repetitions < retries);
            exchange.repetitions += u8::from(repeat);
            self.statistics.step_mut(step).drops += 1;
            if repeat {
                self.outbox.push_back(transaction);
            } else {
                self.fail(transaction);
            }
        }
    }

    /// Takes in one received frame.
    pub(super) fn take(&mut self, frame: &[u8], now: u64) {
        if self.settings.reflector {
            return self.take_reflected(frame, now);
        }
        let datagram = match Datagram::parse(frame) {
            Ok(datagram) => datagram,
            // A packet socket hears everything on the link. What cannot even be recognised as ours by
            // its ports is somebody else's; a checksum that is wrong is worth a look.
            Err(Malformed::Checksum) => {
                let text = format!("a frame of {} octets has a wrong checksum", frame.len());
                return self
                    .statistics
                    .violations
                    .record(Violation::Malformed, &text);
            }
            Err(_) => return,
        };
        match (self.settings.family, datagram.envelope.destination_port) {
            (Family::V4, 67 | 68) => self.take_v4(&datagram, now),
            (Family::V6, 546 | 547) => self.take_v6(&datagram, now),
            _ => {}
        }
    }

    fn take_reflected(&mut self, frame: &[u8], now: u64) {
        let payload = frame.get(self.header_len..).unwrap_or_default();
        let transaction = match self.settings.family {
            Family::V4 => v4::transaction_of(payload),
            Family::V6 => v6::transaction_of(payload),
        };
        let transaction = transaction.unwrap_or(u32::MAX);
        let Some(exchange) = self.exchanges.find(transaction).copied() else {
            self.statistics.stray += 1;
            return;
        };
        // Something to ask for and to count, as if it had been offered.
        let [a, b, c, d] = exchange.client.to_be_bytes();
        let address = match self.settings.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(a | 64, b, c, d)),
            Family::V6 => {
                let number = u128::from(exchange.client);
                IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | number))
            }
        };
        let prefix = matches!(self.settings.family, Family::V6).then_some((
            Ipv6Addr::new(0x2001, 0xdb8, a.into(), b.into(), c.into(), d.into(), 0, 0),
            56,
        ));
        let prefix = prefix.filter(|_| self.settings.wants != v6::Wants::Na);
        let held = Held {
            address: Some(address),
            prefix,
            lifetime_seconds: 3600,
            server: 0,
        };
        let committed = exchange.step != Step::Discover;
        let server_id = self
            .servers
            .first()
            .map_or(Duid::EMPTY, |server| server.id.clone());
        let granted = Granted {
            held,
            server_id,
            committed,
        };
        self.advance(transaction, &exchange, &granted, MacAddress::BROADCAST, now);
    }

    fn take_v4(&mut self, datagram: &Datagram<'_>, now: u64) {
        let answer = match v4::Answer::parse(datagram.payload) {
            Ok(answer) => answer,
            Err(text) => {
                return self
                    .statistics
                    .violations
                    .record(Violation::Malformed, text);
            }
        };
        let Some((transaction, exchange)) = self.find_exchange(answer.transaction) else {
            return;
        };
        let question = self.question_v4(transaction, &exchange);
        let verdict = question
            .judge(&answer, self.settings.rules)
            .and_then(|granted| {
                self.judge_envelope_v4(&datagram.envelope, &question, &answer)?;
                self.judge_place(&granted.held)?;
                Ok(granted)
            });
        self.conclude(
            transaction,
            &exchange,
            verdict,
            datagram.envelope.source_mac,
            now,
        );
    }

    fn take_v6(&mut self, datagram: &Datagram<'_>, now: u64) {
        let transaction = v6::transaction_of(datagram.payload);
        let Some((transaction, exchange)) = self.find_exchange(transaction) else {
            return;
        };
        let question = self.question_v6(transaction, &exchange);
        let verdict = question
            .open_relay_replies(datagram.payload)
            .and_then(|message| {
                let answer = v6::Answer::parse(message)
                    .map_err(|text| Objection::violation(Violation::Malformed, text))?;
                let granted = question.judge(&answer)?;
                self.judge_envelope_v6(&datagram.envelope, &question)?;
                self.judge_place(&granted.held)?;
                Ok(granted)
            });
        self.conclude(
            transaction,
            &exchange,
            verdict,
            datagram.envelope.source_mac,
            now,
        );
    }

    fn find_exchange(&mut self, transaction: Option<u32>) -> Option<(u32, Exchange)> {
        let found = transaction.and_then(|transaction| {
            let exchange = self.exchanges.find(transaction)?;
            Some((transaction, *exchange))
        });
        self.statistics.stray += u64::from(found.is_none());
        found
    }

    fn conclude(
        &mut self,
        transaction: u32,
        exchange: &Exchange,
        verdict: Result<Granted, Objection>,
        server_mac: MacAddress,
        now: u64,
    ) {
        match verdict {
            Ok(granted) => self.advance(transaction, exchange, &granted, server_mac, now),
            Err(Objection::Violation(kind, text)) => {
                let text = format!("client {}: {:?}: {text}", exchange.client, exchange.step);
                self.statistics.violations.record(kind, &text);
                self.fail(transaction);
            }
            Err(Objection::Refused(reason)) => {
                self.statistics.step_mut(exchange.step).received += 1;
                *self.statistics.refusals.entry(reason).or_default() += 1;
                self.unbind(exchange.client);
                self.fail(transaction);
            }
        }
    }

    /// A right answer: the next question, or the end.
    fn advance(
        &mut self,
        transaction: u32,
        exchange: &Exchange,
        granted: &Granted,
        server_mac: MacAddress,
        now: u64,
    ) {
        let counts = self.statistics.step_mut(exchange.step);
        counts.received += 1;
        counts
            .latency
            .saturating_record(now.saturating_sub(exchange.asked));
        let known = self.servers.get(usize::from(exchange.offered.server));
        let server = match known {
            Some(known) if known.id == granted.server_id => exchange.offered.server,
            _ => self.know_server(&Server {
                id: granted.server_id.clone(),
                mac: server_mac,
            }),
        };
        let held = Held {
            server,
            ..granted.held
        };
        if !granted.committed {
            return self.request(transaction, held, now);
        }
        match exchange.operation {
            Operation::Release => self.unbind(exchange.client),
            Operation::Obtain | Operation::Renew | Operation::Rebind => {
                self.bind(exchange.client, held, now);
            }
        }
        self.complete(transaction, now);
    }

    /// Asks for what was offered. DHCPv4 stays with its transaction (RFC 2131 section 4.4.1), DHCPv6
    /// begins a new one.
    fn request(&mut self, transaction: u32, offered: Held, now: u64) {
        let next = match self.settings.family {
            Family::V4 => Some(transaction),
            Family::V6 => self.exchanges.renumber(transaction),
        };
        let Some(next) = next else { return };
        if let Some(exchange) = self.exchanges.find(next) {
            exchange.step = Step::Request;
            exchange.repetitions = 0;
            exchange.asked = now;
            exchange.deadline = 0;
            exchange.offered = offered;
            self.outbox.push_back(next);
        }
    }

    fn bind(&mut self, number: u32, held: Held, now: u64) {
        let Some(client) = self.all.get_mut(number as usize) else {
            return;
        };
        let former = client.held.replace(held);
        client.acknowledged = now;
        if let Some(former) = former
            && (former.address != held.address || former.prefix != held.prefix)
        {
            self.holders.revoke(number, &former);
        }
        if let Some(other) = self.holders.grant(number, &held, now) {
            let text = format!("client {number} was given what client {other} holds: {held:?}");
            self.statistics
                .violations
                .record(Violation::DuplicateAddress, &text);
        }
    }

    fn unbind(&mut self, number: u32) {
        let client = self.all.get_mut(number as usize);
        if let Some(former) = client.and_then(|client| client.held.take()) {
            self.holders.revoke(number, &former);
        }
    }

    fn complete(&mut self, transaction: u32, now: u64) {
        if let Some(exchange) = self.end(transaction) {
            let counts = self.statistics.operation_mut(exchange.operation);
            counts.completed += 1;
            counts
                .latency
                .saturating_record(now.saturating_sub(exchange.began));
        }
    }

    fn fail(&mut self, transaction: u32) {
        if let Some(exchange) = self.end(transaction) {
            self.statistics.operation_mut(exchange.operation).failed += 1;
        }
    }

    fn end(&mut self, transaction: u32) -> Option<Exchange> {
        let exchange = self.exchanges.end(transaction)?;
        if let Some(client) = self.all.get_mut(exchange.client as usize) {
            client.busy = false;
        }
        Some(exchange)
    }
}
