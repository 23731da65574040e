//! How is everything brought up, kept up, changed and ended?
//!
//! A server is its store, its policy and its links. A link is an interface with its sockets, its
//! workers and its XDP program; it may go away and come back without the others noticing.

mod link;
mod status;

pub use status::{InterfaceStatus, LinkStatus, Status, WorkerStatus};

use crate::campaign::{self, Campaigns, Plan, Report, Selection, forcerenew};
use crate::clock::{self, BeginError, Begun, Clock};
use crate::commit::{self, Handle, StoreState, Trouble};
use crate::counters::Totals;
use crate::history::{self, Keeper};
use crate::interface::{self, Device};
use crate::io::afxdp::BindError;
use crate::leasequery::Feed;
use crate::leases::import::{How, Imported};
use crate::leases::places::Places;
use crate::operator::{Operator, ReleaseError, Target};
use crate::priority;
use crate::probe::{self, Prober, Tally};
use crate::settings::{Durability, JournalPriority, Settings, XdpLog};
use crate::snapshot::Shared;
use crate::store::{Found, JournalFile, OpenError, StateDirectory};
use crate::wake::Waker;
use crate::worker::{self, Round};
use crate::xdp::{self, AttachError};
use dhcp_core::Policy;
use dhcp_core::alarms::{Alarm, Raised};
use dhcp_lease::recovery::Recovery;
use dhcp_lease::{Binding, Lease, Partitions, PoolIndex, Timestamp};
use dhcp_wire::id::Duid;
use link::{Link, links};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How often the links are looked after: addresses, the program, devices that come and go.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long an operator's change waits for the one before it.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(10);
/// How long a reload waits for the workers to take over the new policy. They look between batches.
const RELOAD_PATIENCE: Duration = Duration::from_secs(10);

/// Why a server did not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The lease store, or the time that holds in it.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// A socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The XDP program.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// An interface that is not there.
    #[error("interface {interface} does not exist; correct `interfaces` or create it ({present})")]
    NoInterface {
        /// Its name.
        interface: String,
        /// Which there are.
        present: String,
    },
    /// Anything of the system's.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// A server that runs.
pub struct Server {
    shared: Arc<Inner>,
    keeper: Option<JoinHandle<()>>,
    prober: Option<JoinHandle<()>>,
    committer: Option<JoinHandle<JournalFile>>,
    /// Ends after the journal's thread: until then there may be something to write.
    history: Option<Keeper>,
    /// What changes, for active leasequery.
    feed: Option<Arc<Feed>>,
}

/// What the server's own threads share.
struct Inner {
    settings: Settings,
    duid: Duid,
    policy: Arc<Shared<Policy>>,
    partitions: Arc<Partitions>,
    recovery: Recovery,
    clock: Clock,
    timekeeper: clock::Keeper,
    /// Why the lease tables are not as the configuration wants them.
    geometry_problem: Option<String>,
    started: Instant,
    store: Arc<StoreState>,
    links: Mutex<Vec<Link>>,
    /// Which partition is to be cleared up next.
    round: Arc<Round>,
    /// The policy whose changed pools are closed because a worker did not take it over in time; 0: none.
    unopened: AtomicU64,
    /// What is wrong with pools, as of a second ago.
    alarms: Mutex<Vec<Raised>>,
    /// Reloads and releases, one at a time: what is released goes back to the pools in force. `None`
    /// once the server stops.
    operator: Mutex<Option<Operator>>,
    /// Clients that are told to come.
    campaigns: Campaigns,
    /// What was found out by asking whether addresses are in use.
    probed: Tally,
    /// Whether the file system of the state directory was full when it was last looked at.
    is_full: AtomicBool,
    /// The thread that files the leases for leasequery, once that is configured.
    filing: Mutex<Option<JoinHandle<()>>>,
    stop: Mutex<bool>,
    stopped: Condvar,
}

impl Server {
    /// Brings everything up: the store first, the XDP programs last.
    ///
    /// `make_policy` makes the policy from the server's DUID and the policy before, if any.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running or attached then.
    pub fn start(
        settings: Settings,
        make_policy: impl FnOnce(&Duid, Option<&Policy>) -> Policy,
    ) -> Result<Self, StartError> {
        xdp::check_kernel()?;
        let devices = interface::devices().map_err(system("list the interfaces"))?;
        let first = settings
            .interfaces
            .iter()
            .find_map(|link| devices.get(&link.name));

        let directory = StateDirectory::open(&settings.state_dir)?;
        let mac = first.map(|device| device.interface.mac);
        let duid = directory.duid(mac, clock::wall())?;
        let policy = make_policy(&duid, None);
        let (mut links, mut wakers) = links(&settings, &devices)?;
        let workers = wakers.clone();
        // The kernel takes some tenths of a second to verify a program: meanwhile the store is opened.
        for link in &mut links {
            link.load_aside(settings.xdp_log == XdpLog::On);
        }
        let waker = Arc::new(Waker::new().map_err(system("make the operator's event"))?);
        wakers.push(Arc::clone(&waker));
        let mut history = Ok(None);
        let longest = longest_lifetime(&policy);
        let look = |found: &Found<'_>, clock| {
            history = open_history(&settings, wakers.len(), found, clock);
        };
        let Begun {
            store,
            clock,
            keeper: timekeeper,
            problem: geometry_problem,
        } = clock::begin(&directory, &settings, &policy.pools, longest, look)?;
        let history = history.map_err(system("start the history's thread"))?;
        if policy.has_lease_limits() {
            store.partitions.count_leases();
        }

        let state = Arc::new(StoreState::default());
        let (mut handles, committer) = commit::connect(wakers, &state);
        let mut journal = store.journal;
        if let Some(keeper) = &history {
            journal.keep_history(Arc::clone(keeper.intake()));
            let takes_notes = settings.durability == Durability::Process;
            for handle in &mut handles {
                handle.keep_history(Arc::clone(keeper.intake()), takes_notes);
            }
        }
        let active = settings.bulk_leasequery.as_ref().and_then(|it| it.active);
        let feed = active.map(|it| Arc::new(Feed::new(it.changes_max, clock.now())));
        if let (Some(keeper), Some(feed)) = (&history, &feed) {
            keeper.intake().feed(Arc::clone(feed));
        }
        let operator = handles.pop().map(|handle| Operator::new(handle, waker));
        let goes_first = settings.journal_priority == JournalPriority::Realtime;
        let committer = Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                if goes_first && let Err(error) = priority::go_first() {
                    tracing::info!(%error, "the journal's thread has no priority over others: CAP_SYS_NICE is missing");
                }
                committer.run(journal)
            })
            .map_err(system("start the journal's thread"))?;

        let shared = Arc::new(Inner {
            duid,
            policy: Arc::new(Shared::new(policy)),
            partitions: store.partitions,
            clock,
            timekeeper,
            geometry_problem,
            recovery: store.recovery,
            started: Instant::now(),
            store: state,
            links: Mutex::new(links),
            round: Arc::default(),
            unopened: AtomicU64::new(0),
            alarms: Mutex::default(),
            operator: Mutex::new(operator),
            campaigns: Campaigns::default(),
            probed: Tally::default(),
            is_full: AtomicBool::new(false),
            filing: Mutex::default(),
            stop: Mutex::new(false),
            stopped: Condvar::new(),
            settings,
        });
        let mut server = Self {
            shared: Arc::clone(&shared),
            keeper: None,
            prober: None,
            committer: Some(committer),
            history,
            feed,
        };
        // From here on dropping `server` takes down what is up.
        shared.seat(handles);
        shared.bring_up_all(&devices)?;
        shared.file_leases();
        let probing = Arc::clone(&shared);
        server.prober = Some(
            Builder::new()
                .name("probe".to_owned())
                .spawn(move || probing.probe(workers))
                .map_err(system("start the thread that probes addresses"))?,
        );
        server.keeper = Some(
            Builder::new()
                .name("links".to_owned())
                .spawn(move || shared.keep())
                .map_err(system("start the thread that looks after the links"))?,
        );
        Ok(server)
    }

    /// Everything about the server now. Reads the bitmaps of all pools.
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let mut totals = Totals::default();
        let links = shared.links.lock();
        for seat in links.iter().flat_map(|link| &link.seats) {
            totals.add(&seat.control.counters);
        }
        let interfaces = links.iter().map(Link::status).collect();
        drop(links);
        let policy = shared.policy.load();
        let pools = (0..policy.pools.len() as u32).map(|pool| policy.pools.counts(PoolIndex(pool)));
        Status {
            uptime: shared.started.elapsed(),
            clock: shared.timekeeper.status(),
            geometry_problem: shared.geometry_problem.clone(),
            durability: shared.settings.durability,
            server_duid: format!("{:?}", shared.duid),
            interfaces,
            totals,
            store: shared.store.status(),
            history: self.history.as_ref().map(|it| it.intake().status()),
            free_octets: shared.free_octets(),
            recovery: shared.recovery.clone(),
            partitions: shared.partitions.len(),
            limits_counted: shared.partitions.counted().unwrap_or(0),
            pools: pools.collect(),
            alarms: shared.alarms.lock().clone(),
            probes: shared.probed.status(policy.probes.as_deref()),
        }
    }

    /// Puts a new policy in force, without losing a packet: every reply is made from exactly one policy.
    /// Returns when every worker works with it.
    ///
    /// # Errors
    /// When a worker did not take it over in time. It will; the pools that changed open when it has.
    pub fn reload(
        &self,
        make_policy: impl FnOnce(&Duid, Option<&Policy>) -> Policy,
    ) -> Result<(), ReloadError> {
        let shared = &self.shared;
        let _one_at_a_time = shared.operator.lock();
        // Kept until every worker has left it: whoever drops it last takes down all its reservations, and
        // that must be no worker.
        let former = shared.policy.load();
        let policy = Arc::new(make_policy(&shared.duid, Some(&former)));
        // Before anybody asks whether a limit is reached.
        if policy.has_lease_limits() {
            shared.partitions.count_leases();
        }
        let generation = shared.policy.replace(policy);
        shared.unopened.store(generation, Ordering::Relaxed);
        shared.configure_programs();
        shared.file_leases();
        let deadline = Instant::now() + RELOAD_PATIENCE;
        while !shared.open_pools() {
            if Instant::now() > deadline {
                return Err(ReloadError::Stuck);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(former);
        tracing::info!(generation, "a new configuration is in force");
        Ok(())
    }

    /// Ends the binding that holds a lease; see [`Operator::release`].
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub fn release(&self, lease: Lease) -> Result<Binding, ReleaseError> {
        let shared = &self.shared;
        let operator = shared.operator.try_lock_for(OPERATOR_PATIENCE);
        let mut operator = operator.ok_or(ReleaseError::Busy)?;
        let operator = operator.as_mut().ok_or(ReleaseError::StoreFailed)?;
        let policy = shared.policy.load();
        operator.release(lease, &shared.partitions, &policy.pools, shared.clock.now())
    }

    /// Gives back declined leases; see [`Operator::clear_declined`].
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub fn clear_declined(
        &self,
        wants: impl Fn(&Binding) -> bool,
    ) -> Result<Vec<Binding>, ReleaseError> {
        let shared = &self.shared;
        let operator = shared.operator.try_lock_for(OPERATOR_PATIENCE);
        let mut operator = operator.ok_or(ReleaseError::Busy)?;
        let operator = operator.as_mut().ok_or(ReleaseError::StoreFailed)?;
        let policy = shared.policy.load();
        operator.clear_declined(wants, &shared.partitions, &policy.pools, shared.clock.now())
    }

    /// Takes over leases from elsewhere; see [`Operator::import`].
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub fn import(&self, bindings: Vec<Binding>, how: How) -> Result<Imported, ReleaseError> {
        let shared = &self.shared;
        let operator = shared.operator.try_lock_for(OPERATOR_PATIENCE);
        let mut operator = operator.ok_or(ReleaseError::Busy)?;
        let operator = operator.as_mut().ok_or(ReleaseError::StoreFailed)?;
        let policy = shared.policy.load();
        let target = Target {
            partitions: &shared.partitions,
            pools: &policy.pools,
            places: &Places::new(&policy),
            now: shared.clock.now(),
        };
        operator.import(bindings, how, target)
    }

    /// Has clients of DHCPv4 come for their leases; see [`forcerenew`].
    ///
    /// # Errors
    /// [`campaign::StartError`].
    pub fn reconfigure(
        &self,
        whom: &Selection,
        what: String,
        plan: Plan,
    ) -> Result<Report, campaign::StartError> {
        let shared = &self.shared;
        if *shared.stop.lock() {
            return Err(campaign::StartError::Ending);
        }
        let links = shared.links.lock();
        let own = links
            .iter()
            .flat_map(|link| link.interface.load().v4.clone());
        let surroundings = forcerenew::Surroundings {
            partitions: Arc::clone(&shared.partitions),
            policy: Arc::clone(&shared.policy),
            clock: shared.clock,
            store: Arc::clone(&shared.store),
            own: own.collect(),
        };
        drop(links);
        let prepare = || forcerenew::prepare(surroundings, whom, what, plan);
        shared.campaigns.start(prepare)
    }

    /// The campaigns.
    pub fn campaigns(&self) -> &Campaigns {
        &self.shared.campaigns
    }

    /// The operator's word that the wall clock is right: the next start takes it over.
    ///
    /// # Errors
    /// Those of the system.
    pub fn accept_clock(&self) -> io::Result<()> {
        self.shared.timekeeper.accept_clock()
    }

    /// The operator's word that the lease store is the newest there is, although it looks like a copy.
    ///
    /// # Errors
    /// Those of the system.
    pub fn accept_restored(&self) -> io::Result<()> {
        let policy = self.shared.policy.load();
        self.shared.timekeeper.accept_restored(&policy.pools)
    }

    /// Ends everything: first frames pass to the kernel again, then every promise that was made leaves
    /// once it is durable, then the tables are synced.
    pub fn stop(self) {
        drop(self);
    }

    /// All bindings.
    pub fn partitions(&self) -> &Arc<Partitions> {
        &self.shared.partitions
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.shared.policy.load()
    }

    /// What changes, if somebody may be told of it.
    pub fn feed(&self) -> Option<Arc<Feed>> {
        self.feed.clone()
    }

    /// Server time.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The settings of the process.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The server's DUID.
    pub fn duid(&self) -> &Duid {
        &self.shared.duid
    }

    /// How often each running worker has gone round its loop, by its number.
    pub fn rounds(&self) -> Vec<(usize, u64)> {
        let links = self.shared.links.lock();
        let running = links.iter().filter(|link| link.up.is_some());
        // A thread whose device went away has ended in good order.
        let seats = running
            .flat_map(|link| &link.seats)
            .filter(|seat| !seat.control.is_gone());
        seats
            .map(|seat| (seat.number, seat.control.rounds()))
            .collect()
    }

    /// The trouble for which the process must end, if there is one.
    pub fn must_end(&self) -> Option<Trouble> {
        self.shared.store.end()
    }
}

/// Why a reload is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// A worker does not answer.
    #[error(
        "a worker has not taken over the new configuration; it does so when it is back, see `ctl status`"
    )]
    Stuck,
}

impl Drop for Server {
    fn drop(&mut self) {
        *self.shared.stop.lock() = true;
        self.shared.stopped.notify_all();
        for thread in [self.keeper.take(), self.prober.take()]
            .into_iter()
            .flatten()
        {
            let _ = thread.join();
        }
        if let Some(filing) = self.shared.filing.lock().take() {
            let _ = filing.join();
        }
        // Whoever came now would not be answered.
        let _ = self.shared.campaigns.abort(None);
        self.shared.store.close();
        drop(self.shared.operator.lock().take());
        for link in self.shared.links.lock().iter_mut() {
            link.take_down();
            link.seats.clear(); // with the last handle the journal's thread ends
        }
        if let Some(committer) = self.committer.take() {
            // After a panic, or without good order, there is nothing to keep.
            if let Ok(journal) = committer.join() {
                let pools = &self.shared.policy.load().pools;
                journal.keep_snapshot(pools, self.shared.clock.now());
            }
        }
        drop(self.history.take());
    }
}

/// Begins to keep the history of a store that was just opened, if the operator wants one.
fn open_history(
    settings: &Settings,
    workers: usize,
    found: &Found<'_>,
    clock: Clock,
) -> io::Result<Option<Keeper>> {
    if !settings.history.is_enabled {
        return Ok(None);
    }
    let opened = history::Opened {
        header: found.header,
        partitions: found.partitions,
        journal: found.journal,
        next_sequence: found.recovery.resume.next.sequence,
        clock,
    };
    let keeper = history::start(&settings.state_dir, &settings.history, workers, &opened)?;
    if settings.durability == Durability::Process {
        keeper.intake().make_buffers();
    }
    Ok(Some(keeper))
}

/// The longest lifetime that the policy grants: for so long a damaged record's lease is nobody's.
fn longest_lifetime(policy: &Policy) -> u32 {
    let v4 = policy
        .networks_v4
        .iter()
        .flat_map(|network| &network.subnets);
    let v6 = policy
        .networks_v6
        .iter()
        .flat_map(|network| &network.subnets);
    let v4 = v4.map(|subnet| {
        let bootp = subnet.rules.bootp_seconds.unwrap_or(0);
        subnet
            .lifetimes
            .valid_max
            .max(subnet.lifetimes.valid)
            .max(bootp)
    });
    let v6 = v6.map(|subnet| subnet.lifetimes.valid_max.max(subnet.lifetimes.valid));
    v4.chain(v6).max().unwrap_or(86_400)
}

impl Inner {
    /// Lets leases be found by what relay agents ask for, if they may ask, and by their addresses where they are the
    /// lines'. That takes seconds for millions of
    /// leases, so it has a thread of its own; until it ends no leasequery is answered, and no renewal past the
    /// relay agent of a line. Once filed, leases stay filed: switching off and on again costs nothing.
    fn file_leases(self: &Arc<Self>) {
        let mut filing = self.filing.lock();
        let policy = self.policy.load();
        if filing.is_some() || policy.leasequery.is_none() && !policy.has_lines() {
            return;
        }
        let server = Arc::clone(self);
        let spawned = Builder::new().name("filing".to_owned()).spawn(move || {
            let began = Instant::now();
            server.partitions.file_all(|| *server.stop.lock());
            let milliseconds = began.elapsed().as_millis() as u64; // it does not take an age
            tracing::info!(milliseconds, "the leases are filed by address");
        });
        match spawned {
            Ok(thread) => *filing = Some(thread),
            Err(error) => tracing::error!(
                %error,
                "no thread to file the leases by address; reload the configuration to try again"
            ),
        }
    }

    fn seat(&self, handles: Vec<Handle>) {
        let mut handles = handles.into_iter();
        for seat in self
            .links
            .lock()
            .iter_mut()
            .flat_map(|link| &mut link.seats)
        {
            seat.handle = handles.next();
        }
    }

    fn bring_up_all(&self, devices: &BTreeMap<String, Device>) -> Result<(), StartError> {
        for link in self.links.lock().iter_mut() {
            let name = &link.settings.name;
            let device = devices.get(name).ok_or_else(|| StartError::NoInterface {
                interface: name.clone(),
                present: "it has just gone".to_owned(),
            })?;
            link.bring_up(device, self)?;
        }
        Ok(())
    }

    /// Looks after the links until the server stops.
    fn keep(&self) {
        let mut stop = self.stop.lock();
        while !*stop {
            self.stopped.wait_for(&mut stop, LOOK_INTERVAL);
            if *stop {
                return;
            }
            parking_lot::MutexGuard::unlocked(&mut stop, || {
                match interface::devices() {
                    Ok(devices) => {
                        for link in self.links.lock().iter_mut() {
                            link.look_after(devices.get(&link.settings.name.clone()), self);
                        }
                    }
                    Err(error) => tracing::warn!(%error, "the interfaces cannot be listed"),
                }
                self.stand_in();
                self.look_at_space();
                self.look_at_pools();
            });
        }
    }

    /// Probes addresses until the server stops.
    fn probe(&self, workers: Vec<Arc<Waker>>) {
        let mut prober = Prober::new(workers);
        let mut stop = self.stop.lock();
        while !*stop {
            let mut pause = probe::IDLE_PAUSE;
            parking_lot::MutexGuard::unlocked(&mut stop, || {
                pause = prober.step(&self.policy.load(), self.clock.now(), &self.probed);
            });
            if !*stop {
                self.stopped.wait_for(&mut stop, pause);
            }
        }
    }

    /// Logs that the file system of the state directory became full, once.
    fn look_at_space(&self) {
        let is_full = self.free_octets() == Some(0);
        if is_full && !self.is_full.swap(is_full, Ordering::Relaxed) {
            tracing::error!(
                state_dir = %self.settings.state_dir.display(),
                "the file system of the state directory is full; leases are granted, but nothing can grow"
            );
        }
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Octets that are free on the file system of the state directory.
    fn free_octets(&self) -> Option<u64> {
        let space = rustix::fs::statvfs(&self.settings.state_dir).ok()?;
        Some(space.f_bavail.saturating_mul(space.f_frsize))
    }

    /// Logs what is wrong with pools, each once.
    fn look_at_pools(&self) {
        let policy = self.policy.load();
        let mut before = self.alarms.lock();
        let raised = policy.alarms.raised(&policy.pools, &before);
        for Raised {
            alarm,
            name,
            count,
            size,
        } in &raised
        {
            let is_same = |it: &Raised| it.alarm == *alarm && it.name == *name;
            match alarm {
                _ if before.iter().any(is_same) => {}
                Alarm::LowWater => {
                    tracing::warn!(pool = name, free = count, size, "a pool is nearly full")
                }
                Alarm::Declined => {
                    tracing::warn!(
                        subnet = name,
                        declined = count,
                        size,
                        "many leases are declined"
                    );
                }
            }
        }
        *before = raised;
    }

    /// What else is left undone when workers do not run. Not during a reload or a release: leases must not
    /// go back to pools that are being replaced.
    fn stand_in(&self) {
        let Some(mut operator) = self.operator.try_lock() else {
            return;
        };
        if let Some(operator) = operator.as_mut() {
            operator.settle(&self.partitions, &self.policy.load().pools);
        }
        if self.unopened.load(Ordering::Relaxed) != 0 && self.open_pools() {
            tracing::info!("every worker has taken over the configuration; changed pools are open");
        }
        if !self.links.lock().iter().any(Link::is_running) {
            let policy = self.policy.load();
            worker::tick_all(&self.round, &self.partitions, &policy, self.clock.now());
        }
    }

    /// Opens the pools that the last reload closed, once nobody claims in the former ones any more: then
    /// what is held can be carried over. Whether they are open. For the holder of `operator`.
    fn open_pools(&self) -> bool {
        if !self.all_work_with(self.unopened.load(Ordering::Relaxed)) {
            return false;
        }
        self.partitions.mark_held(&self.policy.load().pools);
        self.unopened.store(0, Ordering::Relaxed);
        true
    }

    fn program_settings(&self, workers_per_queue: u32) -> dhcp_ebpf::Settings {
        let policy = self.policy.load();
        dhcp_ebpf::Settings {
            key: self.partitions.spread_key(),
            workers_per_queue,
            serves_v4: !policy.networks_v4.is_empty(),
            serves_v6: !policy.networks_v6.is_empty(),
            logs: self.settings.xdp_log == XdpLog::On,
        }
    }

    fn configure_programs(&self) {
        for link in self.links.lock().iter_mut() {
            let settings = self.program_settings(link.settings.workers_per_queue);
            let interface = link.interface.load();
            let Some(up) = &mut link.up else { continue };
            if let Err(error) = up.tell(&interface, settings) {
                // The thread that looks after the links tries again.
                tracing::error!(%error, "the XDP program does not take the new configuration");
            }
        }
    }

    /// Whether no worker uses a policy before this one. Wakes those that sleep.
    fn all_work_with(&self, generation: u64) -> bool {
        let links = self.links.lock();
        let running = links.iter().flat_map(|link| &link.seats);
        let mut all = true;
        for seat in running.filter(|seat| seat.is_running()) {
            if seat.control.policy_generation() < generation {
                seat.control.waker.wake();
                all = false;
            }
        }
        all
    }
}
