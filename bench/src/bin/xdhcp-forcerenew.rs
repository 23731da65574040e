//! xdhcp-forcerenew: DHCPv4 clients behind a relay agent that can be told to renew, some of them deaf.
//!
//! It takes every client through its four messages, says so, and then waits to be told: each FORCERENEW is judged,
//! and whoever is not deaf renews. When nothing has come for a while it says what came.

use anyhow::{Context, bail};
use clap::Parser;
use dhcp_bench::forcerenew::{Ask, CLIENTS_MAX, Client, Message, Place};
use dhcp_bench::link::{Link, Packet};
use dhcp_wire::frame::MacAddress;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Exchanges in flight.
const WINDOW: usize = 256;
/// How long a client waits for an answer, and how often it asks again.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES: u32 = 10;
const FORCERENEW: u8 = 9;

/// Simulates DHCPv4 clients that can be told to renew (RFC 3203, RFC 6704)
#[derive(Parser)]
#[command(
    version,
    after_help = "Example:\n  xdhcp-forcerenew -i eth1 --clients 100000 --giaddr 10.8.0.1 --server 10.9.0.1 \
                  --server-mac 02:00:00:00:00:01 --mac 02:00:00:00:00:02 --deaf 5\n\nThe server needs a route to the \
                  clients' addresses by way of this machine."
)]
struct Options {
    /// Interface towards the server
    #[arg(long, short)]
    interface: String,
    /// How many clients there are
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..CLIENTS_MAX as i64))]
    clients: u32,
    /// How many of a hundred clients do not hear
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=100))]
    deaf: u32,
    /// Address of the relay agent in front of them
    #[arg(long)]
    giaddr: Ipv4Addr,
    /// Address of the server
    #[arg(long)]
    server: Ipv4Addr,
    /// Ethernet address of the server
    #[arg(long)]
    server_mac: String,
    /// Ethernet address of the interface
    #[arg(long)]
    mac: String,
    /// Written once every client has its lease
    #[arg(long)]
    ready: Option<PathBuf>,
    /// Addresses of the deaf clients, a line each
    #[arg(long)]
    deaf_out: Option<PathBuf>,
    /// End when no FORCERENEW has come for so many seconds after the first
    #[arg(long, default_value_t = 10)]
    quiet: u64,
    /// End after so many seconds in any case
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// What came.
#[derive(Debug, Default, Serialize)]
struct Report {
    clients: u32,
    deaf: u32,
    bound: u32,
    /// Clients that were given a nonce.
    nonces: u32,
    /// OFFERs that said that the server can.
    capable_offers: u32,
    /// FORCERENEW messages, those to deaf clients included.
    told: u64,
    /// Of these, those to deaf clients.
    told_deaf: u64,
    /// Those that a client refused, by what was wrong with them.
    faults: BTreeMap<String, u64>,
    /// Clients that renewed upon a FORCERENEW.
    renewed: u32,
    /// Renewals that were not answered.
    unanswered: u32,
    /// The most FORCERENEW messages of any second.
    per_second_max: u32,
    /// From the first to the last of them, in milliseconds.
    millis: u64,
}

struct Run {
    options: Options,
    place: Place,
    link: Packet,
    clients: Vec<Client>,
    is_renewed: Vec<bool>,
    /// Who waits for an answer since when, having asked how often.
    waiting: VecDeque<(Instant, u32, Ask, u32)>,
    report: Report,
    /// When a FORCERENEW came, of the last second.
    recent: VecDeque<Instant>,
    first: Option<Instant>,
    last: Option<Instant>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let place = Place {
        giaddr: options.giaddr,
        server: options.server,
        mac: mac(&options.mac)?,
        server_mac: mac(&options.server_mac)?,
    };
    let count = options.clients as usize;
    let mut run = Run {
        place,
        link: Packet::open(&options.interface)?,
        clients: vec![Client::default(); count],
        is_renewed: vec![false; count],
        waiting: VecDeque::new(),
        report: Report::default(),
        recent: VecDeque::new(),
        first: None,
        last: None,
        options,
    };
    run.obtain()?;
    run.listen()?;
    println!("{}", serde_json::to_string(&run.report)?);
    Ok(())
}

fn mac(text: &str) -> anyhow::Result<MacAddress> {
    let octets: Result<Vec<u8>, _> = text
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16))
        .collect();
    let octets = octets.with_context(|| format!("{text:?}"))?;
    match octets.try_into() {
        Ok(octets) => Ok(MacAddress(octets)),
        Err(_) => bail!("{text:?} is not an Ethernet address"),
    }
}

impl Run {
    fn is_deaf(&self, number: u32) -> bool {
        number % 100 < self.options.deaf
    }

    fn ask(&mut self, number: u32, ask: Ask, tries: u32) -> anyhow::Result<()> {
        let (place, clients) = (&self.place, &self.clients);
        let Some(client) = clients.get(number as usize) else {
            return Ok(());
        };
        let mut write = |frame: &mut [u8]| client.write(number, ask, place, frame).unwrap_or(0);
        self.link.send(&mut write)?;
        self.waiting
            .push_back((Instant::now() + PATIENCE, number, ask, tries + 1));
        Ok(())
    }

    /// Has every client obtain its lease.
    fn obtain(&mut self) -> anyhow::Result<()> {
        let mut next = 0;
        while self.report.bound < self.options.clients {
            while next < self.options.clients && self.waiting.len() < WINDOW {
                self.ask(next, Ask::Discover, 0)?;
                next += 1;
            }
            self.turn()?;
            let is_over = next == self.options.clients && self.waiting.is_empty();
            if is_over && self.report.bound < self.options.clients {
                bail!("{} of {next} clients got a lease", self.report.bound);
            }
        }
        self.report.clients = self.options.clients;
        let deaf: Vec<_> = (0..self.options.clients)
            .filter(|&number| self.is_deaf(number))
            .collect();
        self.report.deaf = deaf.len() as u32;
        if let Some(path) = &self.options.deaf_out {
            let address = |number: &u32| self.clients.get(*number as usize)?.address;
            let lines: Vec<_> = deaf
                .iter()
                .filter_map(address)
                .map(|address| format!("{address}\n"))
                .collect();
            std::fs::write(path, lines.concat())?;
        }
        if let Some(path) = &self.options.ready {
            std::fs::write(path, "ready\n")?;
        }
        Ok(())
    }

    fn listen(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(self.options.seconds);
        let quiet = Duration::from_secs(self.options.quiet);
        while Instant::now() < end && self.last.is_none_or(|last| last.elapsed() < quiet) {
            self.turn()?;
        }
        if let (Some(first), Some(last)) = (self.first, self.last) {
            self.report.millis = (last - first).as_millis() as u64;
        }
        Ok(())
    }

    /// Takes what has come, and asks again where nothing came.
    fn turn(&mut self) -> anyhow::Result<()> {
        let mut frames = Vec::new();
        self.link
            .receive(&mut |frame| frames.push(frame.to_vec()))?;
        for frame in &frames {
            if let Some(message) = Message::parse(frame) {
                self.take(&message)?;
            }
        }
        let now = Instant::now();
        while let Some(&(due, number, ask, tries)) = self.waiting.front()
            && (due <= now || self.is_answered(number, ask))
        {
            self.waiting.pop_front();
            if self.is_answered(number, ask) {
                continue;
            }
            if tries < TRIES {
                self.ask(number, ask, tries)?;
            } else if ask == Ask::Renew {
                self.report.unanswered += 1;
            }
        }
        if frames.is_empty() {
            self.link.wait(Duration::from_millis(1))?;
        }
        Ok(())
    }

    fn is_answered(&self, number: u32, ask: Ask) -> bool {
        let place = number as usize;
        let Some(client) = self.clients.get(place) else {
            return true;
        };
        match ask {
            Ask::Discover => client.address.is_some(),
            Ask::Select => client.is_bound,
            Ask::Renew => self.is_renewed.get(place).copied().unwrap_or(true),
        }
    }

    fn take(&mut self, message: &Message<'_>) -> anyhow::Result<()> {
        let number = message.client;
        let is_deaf = self.is_deaf(number);
        let Some(client) = self.clients.get_mut(number as usize) else {
            return Ok(());
        };
        if message.kind == FORCERENEW {
            let judged = client.take_forcerenew(message);
            self.count_told(is_deaf);
            match judged {
                Err(fault) => *self.report.faults.entry(format!("{fault:?}")).or_default() += 1,
                Ok(()) if is_deaf => {}
                Ok(()) => {
                    if let Some(client) = self.clients.get_mut(number as usize) {
                        client.exchange = client.exchange.wrapping_add(1);
                    }
                    self.ask(number, Ask::Renew, 0)?;
                }
            }
            return Ok(());
        }
        if client.take_offer(message) {
            self.report.capable_offers += u32::from(message.is_capable());
            return self.ask(number, Ask::Select, 0);
        }
        let was_bound = client.is_bound;
        if !client.take_ack(message) {
            return Ok(());
        }
        if !was_bound {
            self.report.bound += 1;
            self.report.nonces += u32::from(client.nonce.is_some());
        } else if let Some(is_renewed) = self.is_renewed.get_mut(number as usize)
            && client.exchange > 0
            && !std::mem::replace(is_renewed, true)
        {
            self.report.renewed += 1;
        }
        Ok(())
    }

    fn count_told(&mut self, is_deaf: bool) {
        let now = Instant::now();
        self.report.told += 1;
        self.report.told_deaf += u64::from(is_deaf);
        self.first.get_or_insert(now);
        self.last = Some(now);
        self.recent.push_back(now);
        let second = Duration::from_secs(1);
        while self.recent.front().is_some_and(|at| now - *at >= second) {
            self.recent.pop_front();
        }
        self.report.per_second_max = self.report.per_second_max.max(self.recent.len() as u32);
    }
}
