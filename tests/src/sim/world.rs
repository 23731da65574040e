//! One run: clients, network, server, disk, clocks and crashes, as a function of the seed.

use super::client::{Client, Event, Millis, Turn};
use super::clock::{self, DOWNTIME_SECONDS};
use super::disk::{Ailment, Crash, SimDisk};
use super::layout::{Layout, VALID_SECONDS};
use super::ledger::Ledger;
use super::random::Random;
use super::server::{Server, Setup, StartError};
use super::{v4, v6};
use dhcp_lease::Timestamp;
use dhcp_lease::clock::Clocks;
use dhcp_userspace::settings::Durability;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

/// Which faults a run has. All have lost processes; `Power` and those after it also lost power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Killed processes, durability "process".
    Process,
    /// Power cuts.
    Power,
    /// Errors of the disk (EIO), syncs that lose what they should keep.
    Io,
    /// A full disk (ENOSPC, short writes).
    Space,
    /// A wall clock that is set to 1970, 2038, 2106, 2200 and less far, forward and back, while the server runs
    /// and while it is away.
    Clock,
    /// Frames lost, doubled, late and out of order.
    Network,
    /// Bits flipped, records misplaced, pages from the past.
    Damage,
}

impl Faults {
    /// All kinds, with their names.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Process, "process"),
        (Self::Power, "power"),
        (Self::Io, "io"),
        (Self::Space, "space"),
        (Self::Clock, "clock"),
        (Self::Network, "network"),
        (Self::Damage, "damage"),
    ];

    /// All kinds.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().map(|(kind, _)| kind)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Crashes, those during start-up included.
    pub crashes: u64,
    /// Starts that succeeded.
    pub starts: u64,
    /// Leases granted and heard of.
    pub granted: u64,
    /// Frames that the server was given.
    pub frames: u64,
    /// Operations of the disk.
    pub operations: u64,
    /// Calls of the disk that were made to fail.
    pub failed_calls: u64,
    /// Changes of the configuration.
    pub reloads: u64,
    /// Damaged stores that were opened.
    pub damages: u64,
    /// How often the wall clock was set.
    pub steps: u64,
}

/// How many lines of the event log are kept.
const LOG_LINES: usize = 60;
/// How long after a change of the configuration a refusal may come from the one before.
const TRANSITION: Millis = 3_000;

enum Due {
    Wake { client: usize, number: u64 },
    ToServer { frame: Vec<u8>, worker: usize },
    ToClient { frame: Vec<u8> },
    Server,
    Tick,
}

/// A run.
pub struct World {
    random: Random,
    faults: Faults,
    disk: SimDisk,
    setup: Setup,
    layout: Layout,
    /// Configurations that were in force not long ago.
    earlier: VecDeque<(Millis, Layout)>,
    is_layout_first: bool,
    server: Option<Server>,
    /// When the server that is away comes back.
    starts_at: Millis,
    clients: Vec<Client>,
    /// Which of a client's alarms counts.
    alarms: Vec<u64>,
    /// Clients whose frames must stay in order until they have a lease again.
    in_order: BTreeSet<usize>,
    by_mac: BTreeMap<[u8; 6], usize>,
    by_duid: BTreeMap<Vec<u8>, usize>,
    identities: u64,
    ledger: Ledger,
    now: Millis,
    /// The wall clock when the simulated time was 0, and how wrong it is at the moment.
    epoch: u64,
    wall_error: i64,
    /// How wrong it was when the clock record was written, and since then.
    wall_errors: Vec<i64>,
    /// What the server's time was last.
    server_time: Timestamp,
    /// When a jump of the wall clock was refused.
    held_at: Vec<Millis>,
    /// Which boot of the machine this is, and since when.
    boot: u64,
    booted_at: Millis,
    queue: BinaryHeap<Reverse<(Millis, u64)>>,
    due: BTreeMap<u64, Due>,
    next_due: u64,
    server_is_due: bool,
    /// Client, IA and lease of everything that was ever granted, for damaged stores.
    ever: BTreeSet<(Vec<u8>, u32, String)>,
    /// What the run came to so far.
    pub tally: Tally,
    /// The last events, if they are wanted.
    pub log: Option<VecDeque<String>>,
}

type Checked = Result<(), String>;

impl World {
    /// A run at its beginning.
    pub fn new(seed: u64, faults: Faults, with_log: bool) -> Self {
        let mut random = Random::new(seed ^ (faults as u64) << 56);
        let durability = match faults {
            Faults::Process => Durability::Process,
            Faults::Space | Faults::Clock | Faults::Network if random.chance(300) => {
                Durability::Process
            }
            _ => Durability::Power,
        };
        let setup = Setup {
            durability,
            workers: random.within(1..=3) as usize,
            partitions: *random.pick(&[1, 2, 4]),
        };
        // Ordinary days, and those before 32 bits of seconds are over.
        let epoch = *random.pick(&[
            1_800_000_000,
            (1 << 31) - 900,
            (1 << 32) - 900,
            7_258_118_400,
        ]);
        let disk = SimDisk::new(random.fork());
        let layout = Layout::new(&mut random);
        let mut world = Self {
            disk,
            setup,
            layout,
            faults,
            epoch,
            earlier: VecDeque::new(),
            is_layout_first: true,
            server: None,
            starts_at: 0,
            clients: Vec::new(),
            alarms: Vec::new(),
            in_order: BTreeSet::new(),
            by_mac: BTreeMap::new(),
            by_duid: BTreeMap::new(),
            identities: 0,
            ledger: Ledger::default(),
            now: 0,
            wall_error: 0,
            wall_errors: vec![0],
            server_time: Timestamp(0),
            held_at: Vec::new(),
            boot: 0,
            booted_at: 0,
            queue: BinaryHeap::new(),
            due: BTreeMap::new(),
            next_due: 0,
            server_is_due: false,
            ever: BTreeSet::new(),
            tally: Tally::default(),
            log: with_log.then(VecDeque::new),
            random,
        };
        for number in 0..world.random.within(16..=40) as usize {
            let client = world.new_client(number % 2 == 0);
            world.clients.push(client);
            world.alarms.push(0);
            world.enrol(number);
            let wait = world.random.below(10_000);
            world.alarm(number, wait);
        }
        world.later(1_000, Due::Tick);
        world
    }

    /// Runs until there were so many crashes.
    ///
    /// # Errors
    /// What was violated.
    pub fn run(&mut self, crashes: u64) -> Checked {
        while self.tally.crashes < crashes {
            let Some(&Reverse((at, number))) = self.queue.peek() else {
                return Err("nothing is due any more".to_owned());
            };
            if self.server.is_none() && at >= self.starts_at {
                self.now = self.now.max(self.starts_at);
                self.start()?;
                continue;
            }
            self.queue.pop();
            self.now = self.now.max(at);
            if let Some(due) = self.due.remove(&number) {
                self.happen(due)?;
            }
            if let Some(crash) = self.disk.has_struck() {
                self.die(crash)?;
            }
        }
        self.tally.operations = self.disk.operations();
        self.tally.failed_calls = self.disk.failed_calls();
        Ok(())
    }

    fn note(&mut self, text: impl FnOnce(&Self) -> String) {
        // Taken out, for the text is about all of the rest.
        if let Some(mut log) = self.log.take() {
            let line = format!("{:>9} ms  {}", self.now, text(self));
            if log.len() >= LOG_LINES {
                log.pop_front();
            }
            log.push_back(line);
            self.log = Some(log);
        }
    }

    fn later(&mut self, wait: Millis, due: Due) {
        let number = self.next_due;
        self.next_due += 1;
        self.queue.push(Reverse((self.now + wait, number)));
        self.due.insert(number, due);
    }

    fn alarm(&mut self, client: usize, wait: Millis) {
        self.alarms[client] += 1;
        let number = self.alarms[client];
        self.later(wait, Due::Wake { client, number });
    }

    fn new_client(&mut self, is_v4: bool) -> Client {
        self.identities += 1;
        match is_v4 {
            true => Client::V4(v4::Client::new(self.identities, &mut self.random)),
            false => Client::V6(v6::Client::new(self.identities, &mut self.random)),
        }
    }

    fn enrol(&mut self, number: usize) {
        match &self.clients[number] {
            Client::V4(client) => {
                self.by_mac.insert(client.identity.mac, number);
            }
            Client::V6(client) => {
                self.by_duid.insert(client.identity.octets.clone(), number);
            }
        }
    }

    fn clocks(&self) -> Clocks {
        let wall = self.true_seconds().saturating_add_signed(self.wall_error);
        // Counted when the wall clock's change.
        let boot_seconds = self.now / 1000 - self.booted_at / 1000;
        clock::clocks(Timestamp(wall), boot_seconds, self.boot)
    }

    fn true_seconds(&self) -> u64 {
        self.epoch + self.now / 1000
    }

    /// Somebody sets the wall clock, to whatever moment.
    fn set_clock(&mut self) {
        let now = self.true_seconds() as i64;
        let moment = match self.random.below(10) {
            0..3 => now, // right again
            3 => 0,
            4 => 1 << 31,
            5 => 1 << 32,
            6 => 7_258_118_400,
            7 => now - self.random.within(1..=60) as i64,
            8 => now - 86_400,
            _ => now + 86_400,
        };
        let error = moment - now;
        // While no server looks: a machine that lost its power and whose clock was put forward by a little looks
        // like one that was down for so long.
        let little = -5..=2 * DOWNTIME_SECONDS as i64;
        let is_forward = self.wall_errors.iter().any(|known| error > *known);
        let by_record = self.wall_errors.iter().map(|known| error - known - 6);
        let mut ahead = by_record.chain([moment - self.server_time.0 as i64]);
        if self.server.is_none() && is_forward && ahead.any(|ahead| little.contains(&ahead)) {
            return;
        }
        self.wall_errors.push(error);
        self.wall_error = error;
        self.tally.steps += 1;
        self.note(|_| format!("the wall clock is set wrong by {error} s"));
    }

    /// A refused jump puts server time forward by a second.
    fn note_held(&mut self) {
        let long_ago = self.now.saturating_sub(2_000 * Millis::from(VALID_SECONDS));
        self.held_at.retain(|at| *at > long_ago);
        self.ledger.ahead_seconds = self.held_at.len() as u64;
    }

    /// The running server has looked at the clocks.
    fn look_at_clocks(&mut self) {
        let clocks = self.clocks();
        if let Some(server) = &mut self.server {
            server.tick(clocks, self.now);
            self.server_time = server.now(self.now);
            if self.disk.has_struck().is_none() {
                self.wall_errors = vec![self.wall_error];
            }
        }
    }

    // --- the server's life

    fn start(&mut self) -> Checked {
        // Crashes in the middle of recovery, and in the middle of the next, up to three deep.
        if self.random.chance(200) {
            let crash = self.crash();
            let after = self.random.within(1..=60);
            self.disk.strike_after(after, crash);
        }
        let clocks = self.clocks();
        let started = Server::start(&self.disk, self.setup, &self.layout, clocks, self.now);
        if let Some(crash) = self.disk.has_struck() {
            drop(started);
            return self.die(crash);
        }
        let server = match started {
            Ok(server) => server,
            Err(StartError(error)) if self.disk.is_ailing() => {
                self.note(|_| format!("the server does not start: {error}"));
                self.disk.restart();
                self.starts_at = self.now + self.random.within(100..=2_000);
                if self.random.chance(300) {
                    self.disk.ail(None);
                }
                return Ok(());
            }
            Err(StartError(error)) => {
                return Err(format!("O5: the server does not start: {error}"));
            }
        };
        self.tally.starts += 1;
        self.note(|_| format!("started: {:?}", server.recovery));
        if server.recovery.damaged > 0 || !server.recovery.conflicts.is_empty() {
            return Err(format!(
                "damage or conflicts after a crash: {:?}",
                server.recovery
            ));
        }
        if server.is_held {
            self.held_at.push(self.now);
        }
        self.note_held();
        let bindings = server.bindings();
        self.ledger
            .check(&self.clients, &bindings, self.now, server.now(self.now))?;
        server.check_pools(self.is_layout_first)?;
        self.server_time = server.now(self.now);
        self.wall_errors = vec![self.wall_error];
        self.server = Some(server);
        self.server_is_due = false;
        self.wake_server();
        let crash = self.crash();
        let after = *self.random.pick(&[5, 20, 60, 150, 400]);
        let after = self.random.within(1..=after);
        self.disk.strike_after(after, crash);
        Ok(())
    }

    fn crash(&mut self) -> Crash {
        let is_process = self.setup.durability == Durability::Process || self.random.chance(300);
        if is_process {
            Crash::Process
        } else {
            Crash::Power
        }
    }

    fn die(&mut self, crash: Crash) -> Checked {
        self.tally.crashes += 1;
        self.server = None;
        self.disk.restart();
        self.note(|_| format!("crash: {crash:?}"));
        if self.faults == Faults::Damage {
            self.try_damage()?;
        }
        // It is away for a moment, seldom for long; what was on the wire to it is lost.
        let away = *self.random.pick(&[10, 500, 3_000, 3_000, 60_000]);
        self.starts_at = self.now + self.random.within(1..=away);
        self.due.retain(|_, due| !matches!(due, Due::Server));
        self.server_is_due = false;
        if crash == Crash::Power {
            self.boot += 1;
            self.booted_at = self.now;
        }
        if self.faults == Faults::Clock && self.random.chance(500) {
            self.set_clock();
        }
        if self.random.chance(100) {
            self.change_layout();
        }
        if self.random.chance(50) {
            // The street's power was cut as well.
            for client in 0..self.clients.len() {
                self.clients[client].reboot();
                let wait = self.random.below(5_000);
                self.alarm(client, wait);
            }
        }
        Ok(())
    }

    fn change_layout(&mut self) {
        let next = self.layout.changed(&mut self.random);
        self.configure(next);
    }

    fn configure(&mut self, next: Layout) {
        self.earlier.push_back((self.now, self.layout));
        self.layout = next;
        self.is_layout_first = false;
        self.tally.reloads += 1;
        self.note(|world| format!("configured: {:?}", world.layout));
    }

    fn wake_server(&mut self) {
        if !self.server_is_due {
            self.server_is_due = true;
            let wait = self.random.within(1..=3);
            self.later(wait, Due::Server);
        }
    }

    /// Something in the server goes on: a worker, the committer, the kernel behind it.
    fn serve(&mut self) -> Checked {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        let workers = server.workers() as u64;
        match self.random.below(10) {
            0..4 => {
                let worker = self.random.below(workers) as usize;
                let sent = server.work(worker, false, self.now);
                // A crash in the middle: nothing of the batch has left.
                if self.disk.has_struck().is_none() {
                    self.reply(sent);
                }
            }
            4..7 => {
                let worker = self.random.below(workers) as usize;
                let sent = server.work(worker, true, self.now);
                // Whatever left was durable before; a crash in the middle may have kept it.
                let keep = match self.disk.has_struck() {
                    None => 1000,
                    Some(_) => 500,
                };
                let sent = sent
                    .into_iter()
                    .filter(|_| self.random.chance(keep))
                    .collect();
                self.reply(sent);
            }
            7..9 => {
                if server.committer_due <= self.now || self.random.chance(500) {
                    server.commit(self.now);
                }
            }
            _ => self.disk.write_back(),
        }
        if self.disk.has_struck().is_none() {
            server.check_counters()?;
            if self.random.chance(50) {
                server.check_pools(self.is_layout_first)?;
            }
        }
        let goes_on = server.has_work() || server.committer_due <= self.now;
        self.server = Some(server);
        if goes_on {
            self.wake_server();
        }
        Ok(())
    }

    fn reply(&mut self, sent: Vec<Vec<u8>>) {
        for frame in sent {
            if self.faults == Faults::Network && self.random.chance(150) {
                continue;
            }
            let late = if self.faults == Faults::Network {
                400
            } else {
                20
            };
            let copies = if self.faults == Faults::Network && self.random.chance(100) {
                2
            } else {
                1
            };
            for _ in 0..copies {
                let wait = self.random.within(1..=late);
                self.later(
                    wait,
                    Due::ToClient {
                        frame: frame.clone(),
                    },
                );
            }
        }
    }

    // --- what happens

    fn happen(&mut self, due: Due) -> Checked {
        match due {
            Due::Wake { client, number } => {
                if self.alarms[client] == number {
                    self.wake(client)?;
                }
            }
            Due::ToServer { frame, worker } => {
                if let Some(server) = &mut self.server {
                    self.tally.frames += 1;
                    let worker = worker % server.workers();
                    server.arrive(worker, &frame);
                    self.wake_server();
                }
            }
            Due::ToClient { frame } => self.hear(&frame)?,
            Due::Server => {
                self.server_is_due = false;
                self.serve()?;
            }
            Due::Tick => self.tick()?,
        }
        Ok(())
    }

    fn tick(&mut self) -> Checked {
        let wait = self.random.within(500..=2_000);
        self.later(wait, Due::Tick);
        let before = self.wall_error;
        if self.faults == Faults::Clock && self.server.is_some() && self.random.chance(20) {
            self.set_clock();
        }
        self.look_at_clocks();
        self.note_held();
        if self.disk.has_struck().is_some() {
            // The record may know of it or not. Nothing may have gone forward that it does not know of.
            self.wall_error = self.wall_error.min(before);
        }
        self.wake_server();
        self.write_back_and_ail();
        if self.random.chance(10) {
            let next = self.layout.changed(&mut self.random);
            let taken = self
                .server
                .as_mut()
                .is_some_and(|server| server.reload(&next));
            if taken {
                self.configure(next);
            }
        }
        while self
            .earlier
            .front()
            .is_some_and(|(at, _)| at + TRANSITION < self.now)
        {
            self.earlier.pop_front();
        }
        if self.random.chance(20) {
            self.check_running()?;
        }
        if self.random.chance(5)
            && !self.disk.is_ailing()
            && let Some(server) = self.server.take()
        {
            self.note(|_| "stopped in good order".to_owned());
            let sent = server.stop(self.now);
            self.reply(sent);
            if self.disk.has_struck().is_none() {
                self.disk.restart();
                self.starts_at = self.now + self.random.within(1..=3_000);
            }
        }
        Ok(())
    }

    fn write_back_and_ail(&mut self) {
        self.disk.write_back();
        let ailment = match self.faults {
            Faults::Io => Ailment::Io,
            Faults::Space => Ailment::NoSpace,
            _ => return,
        };
        if self.disk.is_ailing() {
            if self.random.chance(500) {
                self.note(|_| "the disk is well".to_owned());
                self.disk.ail(None);
            }
        } else if self.random.chance(300) {
            self.note(|_| format!("the disk ails: {ailment:?}"));
            let per_mille = *self.random.pick(&[50, 300, 1000]);
            self.disk.ail(Some((ailment, per_mille)));
        }
    }

    /// The store of the running server has every promise.
    fn check_running(&self) -> Checked {
        let Some(server) = &self.server else {
            return Ok(());
        };
        if self.disk.has_struck().is_some() {
            return Ok(());
        }
        let bindings = server.bindings();
        self.ledger
            .check(&self.clients, &bindings, self.now, server.now(self.now))
    }

    fn wake(&mut self, client: usize) -> Checked {
        // Now and then somebody moves out, and somebody else in.
        if self.random.chance(15) && self.clients[client].held().is_empty() {
            let is_v4 = matches!(self.clients[client], Client::V4(_));
            self.clients[client] = self.new_client(is_v4);
            self.in_order.remove(&client);
            self.enrol(client);
        }
        let turn = self.clients[client].wake(self.now, &mut self.random);
        self.take(client, turn)
    }

    fn hear(&mut self, frame: &[u8]) -> Checked {
        let client = match v4::addressee(frame) {
            Some(mac) => self.by_mac.get(&mac),
            None => v6::addressee(frame).and_then(|duid| self.by_duid.get(&duid)),
        };
        let Some(&client) = client else {
            return Err(format!("an answer to nobody: {frame:02x?}"));
        };
        let turn = self.clients[client].hear(frame, self.now, &mut self.random);
        self.take(client, turn)
    }

    fn take(&mut self, client: usize, turn: Turn) -> Checked {
        for event in turn.events {
            self.note(|_| format!("client {client}: {event:?}"));
            self.judge(client, event)?;
        }
        for sent in turn.sent {
            self.note(|_| format!("client {client}: sends {}", sent.what));
            self.send(client, sent.frame, sent.is_in_order);
        }
        if let Some(wait) = turn.wake_in {
            self.alarm(client, wait);
        }
        Ok(())
    }

    fn judge(&mut self, client: usize, event: Event) -> Checked {
        match event {
            Event::Granted { iaid, lease, valid } => {
                self.tally.granted += 1;
                self.in_order.remove(&client);
                let octets = self.clients[client].identity().octets.clone();
                if self.faults == Faults::Damage {
                    self.ever.insert((octets, iaid, lease.to_string()));
                }
                let until = self.now + Millis::from(valid) * 1_000;
                self.ledger.grant(client, iaid, lease, until, self.now)
            }
            Event::LetGo { iaid, .. } => {
                self.ledger.let_go(client, iaid);
                Ok(())
            }
            Event::Refused { iaid, lease, how } => {
                let promise = self.ledger.promise(client, iaid, self.now);
                self.ledger.let_go(client, iaid);
                let mut layouts = self
                    .earlier
                    .iter()
                    .map(|(_, layout)| layout)
                    .chain([&self.layout]);
                let is_permitted = layouts.all(|layout| layout.has(lease));
                match promise {
                    Some(promise) if is_permitted && promise.lease == lease => Err(format!(
                        "O1: client {client} has {lease} for {} ms more, and was refused: {how}",
                        promise.until - self.now
                    )),
                    Some(_) | None => Ok(()),
                }
            }
            Event::Nonsense(text) => Err(format!("client {client} heard nonsense: {text}")),
        }
    }

    fn send(&mut self, client: usize, frame: Vec<u8>, is_in_order: bool) {
        if is_in_order {
            self.in_order.insert(client);
        }
        let stays = self.in_order.contains(&client);
        let is_bad = self.faults == Faults::Network;
        if is_bad && self.random.chance(150) {
            return;
        }
        let copies = if is_bad && !is_in_order && self.random.chance(150) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let late = if is_bad { 400 } else { 10 };
            let wait = if stays {
                0
            } else {
                self.random.within(1..=late)
            };
            let elsewhere = !stays && self.random.chance(200);
            let worker = if elsewhere {
                self.random.below(3) as usize
            } else {
                client
            };
            self.later(
                wait,
                Due::ToServer {
                    frame: frame.clone(),
                    worker,
                },
            );
        }
    }

    // --- damage

    /// Damages a copy of the store and opens it: the server starts, and serves no binding that there
    /// never was.
    fn try_damage(&mut self) -> Checked {
        let clocks = self.clocks();
        let whole = self.disk.fork();
        let Ok(server) = Server::start(&whole, self.setup, &self.layout, clocks, self.now) else {
            return Ok(()); // never made yet
        };
        for binding in server.bindings() {
            let octets = binding.client.as_slice().to_vec();
            self.ever
                .insert((octets, binding.iaid.0, binding.lease.to_string()));
        }
        drop(server);
        for _ in 0..2 {
            let disk = self.disk.fork();
            let text = self.damage(&disk);
            let started = Server::start(&disk, self.setup, &self.layout, clocks, self.now);
            self.tally.damages += 1;
            let server = match started {
                Ok(server) => server,
                Err(StartError(error)) => {
                    return Err(format!("{text}: the server does not start: {error}"));
                }
            };
            for binding in server.bindings() {
                let octets = binding.client.as_slice().to_vec();
                let known = (octets, binding.iaid.0, binding.lease.to_string());
                if !self.ever.contains(&known) {
                    return Err(format!(
                        "{text}: a binding that there never was: {binding:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// What is done to the disk, in words.
    fn damage(&mut self, disk: &SimDisk) -> String {
        let partition = self.random.below(u64::from(self.setup.partitions));
        let table = format!("table-{partition:04}");
        let name = *self.random.pick(&[
            "store",
            "journal",
            table.as_str(),
            table.as_str(),
            table.as_str(),
        ]);
        let Some(octets) = disk.octets(name) else {
            return "no damage".to_owned();
        };
        let slots = 16_384..octets.len();
        if name == table && self.random.chance(300) && slots.len() >= 256 {
            // A record, or a page, that was written to the wrong place.
            let size = *self.random.pick(&[128, 4096]);
            let places = (slots.len() / size) as u64;
            let from = slots.start + self.random.below(places) as usize * size;
            let to = slots.start + self.random.below(places) as usize * size;
            disk.damage(name, |file| file.plant(to, &octets[from..from + size]));
            return format!("{size} octets of {name} at {from} also at {to}");
        }
        let end = if name == table {
            octets.len()
        } else {
            octets.len().min(65_536)
        };
        let bit = self.random.below(end as u64 * 8) as usize;
        disk.damage(name, |file| file.flip(bit));
        format!("bit {bit} of {name} flipped")
    }
}
