//! The run: begins exchanges at their time, sends, receives, judges, repeats, gives up.
//!
//! Invariants: an exchange ends exactly once, as completed, failed or refused; a busy client has exactly
//! one exchange; latency counts from the time at which a question was meant to be sent, so that a blaster
//! or a server that stalls shows in the percentiles (no coordinated omission).

mod answers;
mod clients;
mod envelope;
#[cfg(test)]
mod tests;

use crate::Family;
use crate::check::Violation;
use crate::client::{CLIENTS_MAX, Client};
use crate::clock;
use crate::link::{BATCH, Link, Packet};
use crate::neighbour;
use crate::plan::{Extent, Pace, Plan};
use crate::relay::Relays;
use crate::statistics::Statistics;
use crate::{v4, v6};
use anyhow::Context;
use clients::Clients;
use dhcp_wire::frame::{MacAddress, Tags};
use dhcp_wire::id::Duid;
use std::net::IpAddr;
use std::time::Duration;

/// Clients that are looked at in search of an idle one.
const SEARCH_MAX: u32 = 256;
/// Turns of the loop without work before the thread sleeps.
const IDLE_TURNS_MAX: u32 = 2_000;
/// The longest sleep: a millisecond, so that signals and the progress line are not kept waiting.
const SLEEP_MAX: Duration = Duration::from_millis(1);
const PROGRESS_INTERVAL: u64 = 200_000_000;
/// How long a server waits at most until it learns where a client is.
const NEIGHBOUR_INTERVAL: u64 = 1_000_000;

/// How clients behave and where they are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which DHCP.
    pub family: Family,
    /// How many clients there are.
    pub clients: u32,
    /// What their identifiers are made from.
    pub seed: u64,
    /// How long a client waits for an answer.
    pub timeout: Duration,
    /// How often it repeats a question.
    pub retries: u8,
    /// The relay agents between them and the server.
    pub relays: Option<Relays>,
    /// Leases that a DHCPv6 client wants.
    pub wants: v6::Wants,
    /// Whether DHCPv6 clients ask for the two-message exchange.
    pub rapid_commit: bool,
    /// VLAN tags of all frames.
    pub tags: Tags,
    /// Whether answers must carry the same tags: packet sockets see no tags.
    pub check_tags: bool,
    /// Where unicast frames go until a server's answer has told.
    pub server_mac: Option<MacAddress>,
    /// The address to which relay agents send.
    pub server: Option<IpAddr>,
    /// Where all leases must lie, if anything is said of it.
    pub expected: Vec<(IpAddr, u8)>,
    /// What depends on the server's age.
    pub rules: v4::Rules,
    /// How DHCPv4 clients speak.
    pub manner: v4::Manner,
    /// From how many servers a DHCPv4 client waits for an OFFER, until `timeout` at most; of these it takes the one
    /// with the longest lease, the first of equals.
    pub offers: u32,
    /// Whether DHCPv4 clients on the link announce a new address by ARP (RFC 5227 section 2.3).
    pub announce: bool,
    /// Violations that are not objected to.
    pub allowed: Vec<Violation>,
    /// Whether a reflector is at the other end: any frame with a known transaction number is an answer.
    pub reflector: bool,
    /// Exchanges in flight at most; transaction numbers are reserved for so many.
    pub in_flight_max: usize,
}

/// A server that clients have heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Server identifier: an IPv4 address or a DUID.
    pub id: Duid,
    /// Ethernet address that its answers come from.
    pub mac: MacAddress,
}

/// What a watcher of a run is told now and then.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Nanoseconds since the beginning.
    pub elapsed: u64,
    /// Exchanges completed.
    pub completed: u64,
    /// Exchanges in flight.
    pub in_flight: usize,
    /// Questions that got no answer.
    pub drops: u64,
    /// Violations.
    pub violations: u64,
}

/// All clients, their exchanges and the queues that they speak through.
pub struct Engine {
    links: Vec<Box<dyn Link>>,
    /// Where questions after Ethernet addresses are heard and answered.
    neighbours: Option<Packet>,
    clients: Clients,
}

impl Engine {
    /// Clients that hold nothing.
    ///
    /// # Errors
    /// When there are no links or too many clients.
    pub fn new(
        settings: Settings,
        links: Vec<Box<dyn Link>>,
        neighbours: Option<Packet>,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(!links.is_empty(), "no queue to send on");
        anyhow::ensure!(
            (1..=CLIENTS_MAX).contains(&settings.clients),
            "{} clients: between 1 and {CLIENTS_MAX} are possible",
            settings.clients
        );
        Ok(Self {
            links,
            neighbours,
            clients: Clients::new(settings),
        })
    }

    /// All clients by number.
    pub fn clients(&self) -> &[Client] {
        &self.clients.all
    }

    /// All servers heard.
    pub fn servers(&self) -> &[Server] {
        &self.clients.servers
    }

    /// Index of a server, which is new or known.
    pub fn know_server(&mut self, server: &Server) -> u8 {
        self.clients.know_server(server)
    }

    /// Puts a client into a former state.
    ///
    /// # Errors
    /// When there is no client with this number.
    pub fn restore(&mut self, number: u32, client: Client) -> anyhow::Result<()> {
        let slot = self.clients.all.get_mut(number as usize);
        *slot.with_context(|| format!("client {number} is beyond --clients"))? = client;
        if let Some(held) = client.held {
            self.clients
                .holders
                .grant(number, &held, client.acknowledged);
        }
        Ok(())
    }

    /// Runs a plan to its end and waits for the last answers. `watch` is called a few times per second
    /// and ends the run early by returning false.
    ///
    /// # Errors
    /// Those of the sockets.
    pub fn run(
        &mut self,
        plan: &Plan,
        watch: &mut dyn FnMut(Progress) -> bool,
    ) -> anyhow::Result<Statistics> {
        let mut run = Run::new(plan, self.dropped_by_kernel());
        self.clients.statistics = Statistics::default();
        loop {
            let received = self.receive()?;
            let now = clock::now();
            self.clients.expire(now);
            run.begin_exchanges(&mut self.clients, now);
            let sent = self.send()?;
            run.note_end(&mut self.clients, now);
            if run.is_over(&self.clients) {
                break;
            }
            run.note_progress(&self.clients, now, watch);
            if run.is_time_for_neighbours(now) {
                self.answer_neighbours()?;
            }
            run.idle_turns = if received + sent > 0 {
                0
            } else {
                run.idle_turns + 1
            };
            if run.idle_turns > IDLE_TURNS_MAX {
                self.sleep(run.next_begin(now))?;
            }
        }
        let mut statistics = std::mem::take(&mut self.clients.statistics);
        statistics.dropped_by_kernel = self.dropped_by_kernel() - run.dropped_before;
        Ok(statistics)
    }

    fn receive(&mut self) -> anyhow::Result<usize> {
        let clients = &mut self.clients;
        let mut count = 0;
        for link in &mut self.links {
            let mut arrived = None;
            let mut take =
                |frame: &[u8]| clients.take(frame, *arrived.get_or_insert_with(clock::now));
            count += link.receive(&mut take).context("receiving")?;
        }
        Ok(count)
    }

    fn send(&mut self) -> anyhow::Result<usize> {
        let links = self.links.len();
        let clients = &mut self.clients;
        let mut count = 0;
        while let (true, Some(announced)) = (count < BATCH, clients.announcements.front().copied())
            && let Some(link) = self.links.get_mut(announced.client as usize % links)
        {
            let mut write = |frame: &mut [u8]| clients.write_announcement(announced, frame);
            if !link.send(&mut write).context("sending")? {
                break;
            }
            clients.announcements.pop_front();
            clients.statistics.announced += 1;
            count += 1;
        }
        while count < BATCH
            && let Some(transaction) = clients.outbox.pop_front()
        {
            let Some(exchange) = clients.exchanges.find(transaction).copied() else {
                continue;
            };
            let Some(link) = self.links.get_mut(exchange.client as usize % links) else {
                break;
            };
            let mut write = |frame: &mut [u8]| clients.write(transaction, &exchange, frame);
            if !link.send(&mut write).context("sending")? {
                clients.outbox.push_front(transaction);
                break;
            }
            clients.note_sent(transaction, &exchange);
            count += 1;
        }
        for link in &mut self.links {
            link.flush().context("sending")?;
        }
        Ok(count)
    }

    /// Tells servers that go through their kernel where clients and relay agents are.
    fn answer_neighbours(&mut self) -> anyhow::Result<()> {
        let Some(link) = &mut self.neighbours else {
            return Ok(());
        };
        let clients = &self.clients;
        let mut answers = Vec::new();
        link.receive(&mut |frame| {
            let question = neighbour::Question::parse(frame);
            let found =
                question.and_then(|question| Some((question, clients.mac_of(question.target)?)));
            answers.extend(found);
        })?;
        for (question, mac) in answers {
            link.send(&mut |frame| question.answer(mac, frame))?;
        }
        Ok(())
    }

    fn sleep(&mut self, until_next: Duration) -> anyhow::Result<()> {
        let longest = if self.links.len() > 1 {
            SLEEP_MAX / 20
        } else {
            SLEEP_MAX
        };
        let timeout = longest.min(until_next);
        // A shorter sleep would end late more often than in time.
        if timeout > Duration::from_micros(60)
            && let Some(link) = self.links.first_mut()
        {
            link.wait(timeout).context("waiting")?;
        }
        Ok(())
    }

    fn dropped_by_kernel(&self) -> u64 {
        self.links.iter().map(|link| link.dropped()).sum()
    }
}

/// Where a run stands.
struct Run<'a> {
    plan: &'a Plan,
    started_at: u64,
    begun: u64,
    /// Set once no more exchanges begin.
    stopped: bool,
    /// Set once the measured time is over and noted.
    noted: bool,
    last_progress: u64,
    last_neighbours: u64,
    idle_turns: u32,
    dropped_before: u64,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, dropped_before: u64) -> Self {
        let started_at = clock::now();
        let last_progress = started_at;
        let (stopped, noted) = (false, false);
        Self {
            plan,
            started_at,
            begun: 0,
            stopped,
            noted,
            last_progress,
            last_neighbours: 0,
            idle_turns: 0,
            dropped_before,
        }
    }

    fn begin_exchanges(&mut self, clients: &mut Clients, now: u64) {
        let elapsed = now.saturating_sub(self.started_at);
        if let Extent::Time(time) = self.plan.extent {
            self.stopped |= elapsed >= clock::nanoseconds(time);
        }
        for _ in 0..BATCH {
            if let Extent::Exchanges(count) = self.plan.extent {
                self.stopped |= self.begun >= count;
            }
            if self.stopped {
                return;
            }
            let intended = match self.plan.pace {
                Pace::Closed { window } if clients.exchanges.len() < window => now,
                Pace::Closed { .. } => return,
                Pace::Open { rate } => {
                    let due = (self.begun as f64 * 1e9 / rate) as u64;
                    if due > elapsed {
                        return;
                    }
                    self.started_at + due
                }
            };
            let operation = self.plan.mix.operation(self.begun);
            if !clients.begin(operation, intended) {
                match self.plan.pace {
                    // All clients are busy: the next answer frees one.
                    Pace::Closed { .. } => return,
                    Pace::Open { .. } => clients.statistics.not_started += 1,
                }
            }
            self.begun += 1;
        }
    }

    /// Notes rates at the end of the measured time: when exchanges stop to begin, or for a given number
    /// of exchanges when the last of them is over.
    fn note_end(&mut self, clients: &mut Clients, now: u64) {
        let over = match self.plan.extent {
            Extent::Time(_) => self.stopped,
            Extent::Exchanges(_) => self.is_over(clients),
        };
        if over && !self.noted {
            self.noted = true;
            let statistics = &mut clients.statistics;
            statistics.elapsed = now.saturating_sub(self.started_at);
            statistics.completed_in_time = statistics.operations(|operation| operation.completed);
            statistics.received_in_time = statistics.steps(|step| step.received);
        }
    }

    fn is_over(&self, clients: &Clients) -> bool {
        self.stopped && clients.exchanges.is_empty() && clients.announcements.is_empty()
    }

    fn note_progress(
        &mut self,
        clients: &Clients,
        now: u64,
        watch: &mut dyn FnMut(Progress) -> bool,
    ) {
        if now.saturating_sub(self.last_progress) < PROGRESS_INTERVAL {
            return;
        }
        self.last_progress = now;
        let progress = Progress {
            elapsed: now.saturating_sub(self.started_at),
            completed: clients
                .statistics
                .operations(|operation| operation.completed),
            in_flight: clients.exchanges.len(),
            drops: clients.statistics.steps(|step| step.drops),
            violations: clients.statistics.violations.total(),
        };
        self.stopped |= !watch(progress);
    }

    fn is_time_for_neighbours(&mut self, now: u64) -> bool {
        let due = now.saturating_sub(self.last_neighbours) > NEIGHBOUR_INTERVAL;
        if due {
            self.last_neighbours = now;
        }
        due
    }

    fn next_begin(&self, now: u64) -> Duration {
        match self.plan.pace {
            Pace::Open { rate } if !self.stopped => {
                let due = self.started_at + (self.begun as f64 * 1e9 / rate) as u64;
                Duration::from_nanos(due.saturating_sub(now))
            }
            Pace::Open { .. } | Pace::Closed { .. } => SLEEP_MAX,
        }
    }
}
