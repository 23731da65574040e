//! What does each client do next? The clients' side of the engine, apart from its links.

use super::{SEARCH_MAX, Server, Settings};
use crate::Family;
use crate::check::{Declined, Holders, Violation};
use crate::client::{Client, Held, Identity};
use crate::clock;
use crate::exchange::{Exchange, Exchanges, Operation, Step};
use crate::neighbour;
use crate::relay::Relay;
use crate::statistics::Statistics;
use crate::v4;
use crate::v6;
use dhcp_wire::frame::{Addresses, Envelope, MacAddress};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A client tells everybody on the link that it has an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announcement {
    pub(super) client: u32,
    pub(super) address: Ipv4Addr,
}

/// The clients' side of an [`Engine`], apart from its links.
pub(super) struct Clients {
    pub(super) settings: Settings,
    pub(super) all: Vec<Client>,
    pub(super) servers: Vec<Server>,
    pub(super) exchanges: Exchanges,
    pub(super) holders: Holders,
    pub(super) declined: Declined,
    /// Transactions whose question is to be sent.
    pub(super) outbox: VecDeque<u32>,
    pub(super) announcements: VecDeque<Announcement>,
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
            declined: Declined::default(),
            outbox: VecDeque::new(),
            announcements: VecDeque::new(),
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
            Operation::Renew
            | Operation::Rebind
            | Operation::Reboot
            | Operation::Decline
            | Operation::Release
            | Operation::Inform => self.find_client(true),
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
            siaddr: None,
            heard: 0,
            discovers: 0,
            secs: 0,
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

    pub(super) fn relay(&self, client: u32) -> Option<Relay> {
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

    pub(super) fn question_v4(&self, transaction: u32, exchange: &Exchange) -> v4::Question<'_> {
        v4::Question {
            step: exchange.step,
            transaction,
            client: exchange.client,
            identity: Identity::new(self.settings.seed, exchange.client),
            held: exchange.offered,
            server_id: self.server_of(exchange).map(|server| &server.id),
            siaddr: exchange.siaddr,
            secs: exchange.secs,
            relay: self.relay(exchange.client),
            manner: &self.settings.manner,
        }
    }

    pub(super) fn question_v6(&self, transaction: u32, exchange: &Exchange) -> v6::Question<'_> {
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
            Step::Discover | Step::Reboot => None,
            Step::Request
            | Step::Renew
            | Step::Rebind
            | Step::Decline
            | Step::Release
            | Step::Inform => self.servers.get(usize::from(exchange.offered.server)),
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
        // RFC 2131 section 3.1: nobody answers a RELEASE or a DECLINE.
        match (self.settings.family, exchange.step) {
            (Family::V4, Step::Release) => {
                self.unbind(exchange.client);
                return self.complete(transaction, clock::now());
            }
            (Family::V4, Step::Decline) => return self.start_over(transaction, clock::now()),
            _ => {}
        }
        let deadline = clock::now() + clock::nanoseconds(self.settings.timeout);
        if let Some(exchange) = self.exchanges.find(transaction) {
            exchange.deadline = deadline;
            let is_discover = exchange.step == Step::Discover;
            exchange.discovers = exchange.discovers.saturating_add(is_discover.into());
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
            if exchange.heard != 0 && exchange.step == Step::Discover {
                let (offered, siaddr) = (exchange.offered, exchange.siaddr);
                self.request(transaction, offered, siaddr, now); // fewer servers than were hoped for
                continue;
            }
            let (step, repeat) = (exchange.step, exchange.repetitions < retries);
            exchange.repetitions += u8::from(repeat);
            // RFC 2131 section 4.4.1: a REQUEST has what its DISCOVER had.
            if step != Step::Request {
                let seconds = now.saturating_sub(exchange.asked) / 1_000_000_000;
                exchange.secs = u16::try_from(seconds).unwrap_or(u16::MAX);
            }
            self.statistics.step_mut(step).drops += 1;
            if repeat {
                self.outbox.push_back(transaction);
            } else {
                self.fail(transaction);
            }
        }
    }

    pub(super) fn write_announcement(&self, of: Announcement, frame: &mut [u8]) -> usize {
        let mac = Identity::new(self.settings.seed, of.client).mac;
        neighbour::announce(of.address, mac, self.settings.tags, frame)
    }

    pub(super) fn bind(&mut self, number: u32, held: Held, now: u64) {
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

    pub(super) fn unbind(&mut self, number: u32) {
        let client = self.all.get_mut(number as usize);
        if let Some(former) = client.and_then(|client| client.held.take()) {
            self.holders.revoke(number, &former);
        }
    }

    pub(super) fn complete(&mut self, transaction: u32, now: u64) {
        if let Some(exchange) = self.end(transaction) {
            let counts = self.statistics.operation_mut(exchange.operation);
            counts.completed += 1;
            counts
                .latency
                .saturating_record(now.saturating_sub(exchange.began));
        }
    }

    pub(super) fn fail(&mut self, transaction: u32) {
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
