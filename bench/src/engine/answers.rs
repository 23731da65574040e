//! What do the answers do? Each is judged, and takes its client on to the next question or to the end.

use super::Server;
use super::clients::{Announcement, Clients};
use crate::Family;
use crate::check::{Fault, Objection, Violation};
use crate::client::Held;
use crate::exchange::{Exchange, Step};
use crate::v4::{self, Granted};
use crate::v6;
use dhcp_wire::frame::{Datagram, MacAddress, Malformed};
use dhcp_wire::id::Duid;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl Clients {
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
                    .record(Violation::BadChecksum, &text);
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
        let siaddr = None;
        let server_id = self
            .servers
            .first()
            .map_or(Duid::EMPTY, |server| server.id.clone());
        let granted = Granted {
            held,
            siaddr,
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
        if self.is_further_offer(&exchange, &answer) {
            self.statistics.further_offers += 1;
            return;
        }
        let question = self.question_v4(transaction, &exchange);
        // Every fault counts under its own name; nothing is allocated as long as there is none.
        let mut faults = Vec::new();
        question.inspect(&answer, self.settings.rules, &mut faults);
        self.inspect_envelope_v4(&datagram.envelope, &question, &answer, &mut faults);
        let verdict = question.judge(&answer).and_then(|granted| {
            self.judge_place(&granted.held)?;
            self.judge_declined(&granted.held, now)?;
            Ok(granted)
        });
        let server_mac = datagram.envelope.source_mac;
        self.conclude_all(transaction, &exchange, faults, verdict, server_mac, now);
    }

    /// Whether it is an OFFER that comes when one was taken already: another server's, or to a DISCOVER that was
    /// repeated because the first answer was slow.
    fn is_further_offer(&self, exchange: &Exchange, answer: &v4::Answer<'_>) -> bool {
        let taken = self.server_of(exchange);
        let is_other = taken.is_some_and(|taken| !answer.is_from(&taken.id));
        exchange.step == Step::Request && answer.is_offer() && (is_other || exchange.discovers > 1)
    }

    /// Ends the exchange if there is a fault, else as the verdict says.
    fn conclude_all(
        &mut self,
        transaction: u32,
        exchange: &Exchange,
        mut faults: Vec<Fault>,
        verdict: Result<Granted, Objection>,
        server_mac: MacAddress,
        now: u64,
    ) {
        faults.retain(|(kind, _)| !self.settings.allowed.contains(kind));
        if faults.is_empty() {
            return self.conclude(transaction, exchange, verdict, server_mac, now);
        }
        for (kind, text) in &faults {
            self.record(exchange, *kind, text);
        }
        if let Err(Objection::Violation(kind, text)) = &verdict {
            self.record(exchange, *kind, text);
        }
        self.fail(transaction);
    }

    fn record(&mut self, exchange: &Exchange, kind: Violation, text: &str) {
        if !self.settings.allowed.contains(&kind) {
            let text = format!("client {}: {:?}: {text}", exchange.client, exchange.step);
            self.statistics.violations.record(kind, &text);
        }
    }

    fn judge_declined(&self, held: &Held, now: u64) -> Result<(), Objection> {
        match held.address.filter(|it| self.declined.has(*it, now)) {
            None => Ok(()),
            Some(address) => {
                let text = format!("{address} was declined");
                Err(Objection::violation(Violation::DeclinedAddress, text))
            }
        }
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
                if matches!(exchange.step, Step::Discover | Step::Request) {
                    self.judge_declined(&granted.held, now)?;
                }
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
                self.record(exchange, kind, &text);
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
        if exchange.step == Step::Discover && exchange.heard != 0 {
            self.statistics.further_offers += 1;
        } else {
            let counts = self.statistics.step_mut(exchange.step);
            counts.received += 1;
            let taken = now.saturating_sub(exchange.asked);
            counts.latency.saturating_record(taken);
        }
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
        match (exchange.step, self.settings.family) {
            (Step::Discover, _) if !granted.committed => {
                return self.weigh(transaction, held, granted.siaddr, now);
            }
            (Step::Decline, _) => return self.start_over(transaction, now),
            (Step::Release, _) => self.unbind(exchange.client),
            // A Reply to a Confirm says yes, and has no lifetimes in it.
            (Step::Inform, _) | (Step::Reboot, Family::V6) => {}
            (Step::Discover | Step::Request | Step::Renew | Step::Rebind | Step::Reboot, _) => {
                self.bind(exchange.client, held, now);
                self.announce(exchange, &held);
            }
        }
        self.complete(transaction, now);
    }

    /// An offer: asks for the best one once there are as many as the client waits for.
    fn weigh(&mut self, transaction: u32, offer: Held, siaddr: Option<Ipv4Addr>, now: u64) {
        let wanted = self.settings.offers;
        let Some(exchange) = self.exchanges.find(transaction) else {
            return;
        };
        if exchange.heard == 0 || offer.lifetime_seconds > exchange.offered.lifetime_seconds {
            (exchange.offered, exchange.siaddr) = (offer, siaddr);
        }
        exchange.heard |= 1 << offer.server.min(63);
        if exchange.heard.count_ones() >= wanted {
            let (offered, siaddr) = (exchange.offered, exchange.siaddr);
            self.request(transaction, offered, siaddr, now);
        }
    }

    /// A client that got its address on the link tells so, unless it had it before.
    fn announce(&mut self, exchange: &Exchange, held: &Held) {
        let is_new = !matches!(exchange.step, Step::Renew | Step::Rebind);
        if let (Some(IpAddr::V4(address)), None) = (held.address, self.relay(exchange.client))
            && self.settings.announce
            && is_new
        {
            let client = exchange.client;
            let announcement = Announcement { client, address };
            self.announcements.push_back(announcement);
        }
    }

    /// The address is declined, and the client begins from nothing.
    pub(super) fn start_over(&mut self, transaction: u32, now: u64) {
        let Some(next) = self.exchanges.renumber(transaction) else {
            return;
        };
        let Some(exchange) = self.exchanges.find(next) else {
            return;
        };
        exchange.step = Step::Discover;
        exchange.repetitions = 0;
        exchange.asked = now;
        exchange.deadline = 0;
        (exchange.heard, exchange.discovers, exchange.secs) = (0, 0, 0);
        let former = std::mem::take(&mut exchange.offered);
        let client = exchange.client;
        if let Some(address) = former.address {
            self.declined.add(address, now);
        }
        self.unbind(client);
        self.outbox.push_back(next);
    }

    /// Asks for what was offered. DHCPv4 stays with its transaction (RFC 2131 section 4.4.1), DHCPv6
    /// begins a new one.
    pub(super) fn request(
        &mut self,
        transaction: u32,
        offered: Held,
        siaddr: Option<Ipv4Addr>,
        now: u64,
    ) {
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
            exchange.siaddr = siaddr;
            self.outbox.push_back(next);
        }
    }
}
