//! Does anybody use an address already that is about to be offered? (RFC 2131 sections 2.2 and 3.1)
//!
//! A worker asks in [`dhcp_core::probe::Probes`] and lets its OFFER wait. One thread looks there a hundred times a
//! second, sends ARP where the address is on a link of this machine and ICMP echo elsewhere, writes down what it
//! finds and wakes the workers. What cannot be asked is offered all the same, and told to the operator.
//! Bounds: addresses at a time, requests per step.

mod pending;
mod sockets;
mod tally;

pub use tally::{ProbeStatus, Tally};

use crate::wake::Waker;
use dhcp_core::Policy;
use dhcp_core::probe::{Finding, Probe, Probes};
use dhcp_lease::Timestamp;
use pending::{End, Pending, Way};
use sockets::{Link, Sockets};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the prober looks while a subnet wants addresses probed.
const BUSY_PAUSE: Duration = Duration::from_millis(10);
/// And how often it looks whether one does.
pub(crate) const IDLE_PAUSE: Duration = Duration::from_millis(250);
/// How old what is known of the machine's links may be.
const LINKS_AGE: Duration = Duration::from_secs(1);

/// Sends probes and listens for answers.
#[derive(Debug)]
pub(crate) struct Prober {
    workers: Vec<Arc<Waker>>,
    pending: Pending,
    /// Whether something was asked that there was no room for.
    has_backlog: bool,
    sockets: Option<Sockets>,
    links: Vec<Link>,
    links_as_of: Option<Duration>,
    started: Instant,
}

impl Prober {
    /// One that has asked nothing, for these workers.
    pub(crate) fn new(workers: Vec<Arc<Waker>>) -> Self {
        Self {
            workers,
            pending: Pending::default(),
            has_backlog: false,
            sockets: None,
            links: Vec::new(),
            links_as_of: None,
            started: Instant::now(),
        }
    }

    /// Sends what is due and takes what has come. How long there is nothing to do.
    pub(crate) fn step(&mut self, policy: &Policy, now: Timestamp, tally: &Tally) -> Duration {
        let Some(probes) = policy.probes.as_deref() else {
            (self.sockets, self.pending) = (None, Pending::default());
            tally.well();
            return IDLE_PAUSE;
        };
        let answers = probes.answers();
        self.begin(policy, probes, now);
        if !self.pending.is_empty() {
            self.ask(probes, now, tally);
        }
        if probes.answers() != answers {
            self.workers.iter().for_each(|worker| worker.wake());
        }
        BUSY_PAUSE
    }

    /// Takes up what workers have asked.
    fn begin(&mut self, policy: &Policy, probes: &Probes, now: Timestamp) {
        if !probes.take_news() && !self.has_backlog {
            return;
        }
        if let Some(sockets) = self.sockets.as_mut().filter(|_| self.pending.is_empty()) {
            // What came while nobody listened would fill their buffers.
            sockets.receive(|_| {});
        }
        let elapsed = self.started.elapsed();
        if self
            .links_as_of
            .is_none_or(|as_of| elapsed > as_of + LINKS_AGE)
        {
            // If the system does not say, nothing is on a link, and everything is asked by ICMP.
            self.links = sockets::links().unwrap_or_default();
            self.links_as_of = Some(elapsed);
        }
        let Self { pending, links, .. } = self;
        let mut has_backlog = false;
        probes.asked(now, |address| match plan(policy, address) {
            Some(probe) => {
                let way = || {
                    let way = links.iter().find_map(|link| link.way_to(address));
                    way.unwrap_or(Way::Echo)
                };
                has_backlog |= !pending.begin(address, probe, way, elapsed);
            }
            // A reload took its subnet away, or the switch.
            None => drop(probes.answer(address, Finding::Clear, now)),
        });
        self.has_backlog = has_backlog;
    }

    fn ask(&mut self, probes: &Probes, now: Timestamp, tally: &Tally) {
        if self.sockets.is_none() {
            match Sockets::open() {
                Ok(sockets) => self.sockets = Some(sockets),
                Err(error) => tally.trouble(&error),
            }
        }
        let pending = &mut self.pending;
        let Some(sockets) = &mut self.sockets else {
            // Nobody can be asked, so nobody is in the way: clients are served all the same.
            for address in pending.drain() {
                tally.failed.add(1);
                probes.answer(address, Finding::Clear, now);
            }
            return;
        };
        sockets.receive(|address| {
            if pending.answered(address) && probes.answer(address, Finding::Used, now) {
                tally.used.add(1);
                tracing::warn!(
                    %address,
                    "somebody uses an address that was about to be offered; it is declined when it is offered next"
                );
            }
        });
        let send = |address, way: &Way| match sockets.send(address, way) {
            Ok(()) => {
                match way {
                    Way::Arp { .. } => tally.arp.add(1),
                    Way::Echo => tally.echo.add(1),
                }
                tally.well();
                true
            }
            Err(error) => {
                tally.trouble(&error);
                false
            }
        };
        pending.step(self.started.elapsed(), send, |address, end| {
            match end {
                End::Silence => tally.clear.add(1),
                End::Unsent => tally.failed.add(1),
            }
            probes.answer(address, Finding::Clear, now);
        });
    }
}

/// How the subnet of an address wants it probed.
fn plan(policy: &Policy, address: Ipv4Addr) -> Option<Probe> {
    let subnets = policy.networks_v4.iter().flat_map(|it| &it.subnets);
    // Addresses of VPNs may have the same numbers, and are not probed.
    let mut probed = subnets.filter_map(|subnet| Some((subnet, subnet.probe?)));
    let found = probed.find(|(subnet, _)| subnet.contains(address));
    found.map(|(_, probe)| probe)
}
