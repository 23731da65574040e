//! How is everything brought up, kept up, changed and ended?
//!
//! A server is its store, its policy and its links. A link is an interface with its sockets, its
//! workers and its XDP program; it may go away and come back without the others noticing.

use crate::clock::{self, BeginError, Begun, Clock, ClockStatus};
use crate::commit::{self, Handle, StoreState, StoreStatus, Trouble};
use crate::counters::Totals;
use crate::history::{self, HistoryStatus, Keeper};
use crate::interface::{self, Device, Membership};
use crate::io::afxdp::{self, BindError, InForce, Socket};
use crate::leases::import::{How, Imported};
use crate::leases::places::Places;
use crate::operator::{Operator, ReleaseError, Target};
use crate::settings::{Durability, InterfaceSettings, Settings, XdpLog};
use crate::snapshot::Shared;
use crate::store::{Found, JournalFile, OpenError, StateDirectory};
use crate::wake::Waker;
use crate::worker::{self, Control, Round, Surroundings};
use crate::xdp::{self, AttachError, Attached, Placed};
use dhcp_core::alarms::{Alarm, Raised};
use dhcp_core::{Interface, Policy};
use dhcp_ebpf::Outcome;
use dhcp_lease::recovery::Recovery;
use dhcp_lease::{Binding, Lease, Partitions, PoolCounts, PoolIndex, Timestamp};
use dhcp_wire::id::Duid;
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
    committer: Option<JoinHandle<JournalFile>>,
    /// Ends after the journal's thread: until then there may be something to write.
    history: Option<Keeper>,
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
    /// Whether the file system of the state directory was full when it was last looked at.
    is_full: AtomicBool,
    stop: Mutex<bool>,
    stopped: Condvar,
}

/// One served interface.
struct Link {
    settings: InterfaceSettings,
    interface: Arc<Shared<Interface>>,
    seats: Vec<Seat>,
    /// While it is up.
    up: Option<Up>,
    /// Why it is down, as last logged.
    trouble: Option<String>,
}

/// The place of one worker, which outlives its threads.
struct Seat {
    queue: u32,
    number_on_queue: u32,
    /// Among all workers of the server.
    number: usize,
    control: Arc<Control>,
    /// While no thread has it.
    handle: Option<Handle>,
}

/// What a link has while its device is there.
struct Up {
    index: u32,
    program: Attached,
    in_force: InForce,
    /// What the program has been told; `None`: it did not take all of it.
    told: Option<(Interface, dhcp_ebpf::Settings)>,
    /// While DHCPv6 is served, and the interface has IPv6.
    membership: Option<Membership>,
    /// Whether it was logged that there is no membership.
    complained: bool,
    threads: Vec<JoinHandle<Option<Handle>>>,
}

/// Everything about a running server at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// How long it has been running.
    pub uptime: Duration,
    /// Server time, and how the wall clock compares with it.
    pub clock: ClockStatus,
    /// Why the lease tables are not as the configuration wants them.
    pub geometry_problem: Option<String>,
    /// What an acknowledged lease survives.
    pub durability: Durability,
    /// The DUID, in hexadecimal digits.
    pub server_duid: String,
    /// The interfaces.
    pub interfaces: Vec<InterfaceStatus>,
    /// All workers' counters added up.
    pub totals: Totals,
    /// The journal.
    pub store: StoreStatus,
    /// The lease history, if one is kept.
    pub history: Option<HistoryStatus>,
    /// Octets that are free on the file system of the state directory, if that can be told.
    pub free_octets: Option<u64>,
    /// What opening the store found and did.
    pub recovery: Recovery,
    /// Number of partitions of the store.
    pub partitions: usize,
    /// How full each pool is, in the order of the policy's pools.
    pub pools: Vec<PoolCounts>,
    /// What is wrong with pools, as of a second ago.
    pub alarms: Vec<Raised>,
}

/// One interface at one moment.
#[derive(Clone, Debug)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub interface: Interface,
    /// What is in force; `None` while the interface is down or away.
    pub link: Option<LinkStatus>,
    /// Why it is not served.
    pub trouble: Option<String>,
    /// How many receive queues are served.
    pub queues: u32,
    /// How many workers each has.
    pub workers_per_queue: u32,
    /// Each worker's counters.
    pub workers: Vec<WorkerStatus>,
}

/// How an interface is served.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// The XDP program runs in the driver; else in the network stack.
    pub is_native: bool,
    /// Frames are not copied between kernel and user space.
    pub zero_copy: bool,
    /// The kernel says when it must be woken.
    pub need_wakeup: bool,
    /// Frames lie in huge pages.
    pub huge_pages: bool,
    /// Frames per system call when sending, if the kernel takes the option.
    pub tx_budget: Option<u32>,
    /// What the XDP program did with the frames.
    pub outcomes: Vec<(Outcome, u64)>,
}

/// One worker at one moment.
#[derive(Clone, Debug)]
pub struct WorkerStatus {
    /// Its receive queue.
    pub queue: u32,
    /// Which of the workers of that queue.
    pub number: u32,
    /// Its counters.
    pub totals: Totals,
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
        let (links, mut wakers) = links(&settings, &devices)?;
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
        let operator = handles.pop().map(|handle| Operator::new(handle, waker));
        let committer = Builder::new()
            .name("journal".to_owned())
            .spawn(move || committer.run(journal))
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
            is_full: AtomicBool::new(false),
            stop: Mutex::new(false),
            stopped: Condvar::new(),
            settings,
        });
        let mut server = Self {
            shared: Arc::clone(&shared),
            keeper: None,
            committer: Some(committer),
            history,
        };
        // From here on dropping `server` takes down what is up.
        shared.seat(handles);
        shared.bring_up_all(&devices)?;
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
            pools: pools.collect(),
            alarms: shared.alarms.lock().clone(),
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
        let generation = shared.policy.replace(policy);
        shared.unopened.store(generation, Ordering::Relaxed);
        shared.configure_programs();
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
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
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

/// The links of a configuration, all down, and the wakers of all their workers.
fn links(
    settings: &Settings,
    devices: &BTreeMap<String, Device>,
) -> Result<(Vec<Link>, Vec<Arc<Waker>>), StartError> {
    let mut links = Vec::new();
    let mut wakers = Vec::new();
    for link in &settings.interfaces {
        let device = devices
            .get(&link.name)
            .ok_or_else(|| StartError::NoInterface {
                interface: link.name.clone(),
                present: format!(
                    "there are {}",
                    devices.keys().cloned().collect::<Vec<_>>().join(", ")
                ),
            })?;
        let workers = link
            .workers_per_queue
            .clamp(1, dhcp_ebpf::SOCKETS_PER_QUEUE_MAX);
        let queues = interface::receive_queues(&link.name).min(dhcp_ebpf::QUEUES_MAX);
        let mut seats = Vec::new();
        for queue in 0..queues {
            for number_on_queue in 0..workers {
                let control = Arc::new(Control::new().map_err(system("make a worker's event"))?);
                let number = wakers.len();
                wakers.push(Arc::clone(&control.waker));
                seats.push(Seat {
                    queue,
                    number_on_queue,
                    number,
                    control,
                    handle: None,
                });
            }
        }
        links.push(Link {
            settings: InterfaceSettings {
                workers_per_queue: workers,
                ..link.clone()
            },
            interface: Arc::new(Shared::new(device.interface.clone())),
            seats,
            up: None,
            trouble: None,
        });
    }
    Ok((links, wakers))
}

impl Inner {
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
        let is_running = |link: &Link| link.up.as_ref().is_some_and(Up::is_running);
        if !self.links.lock().iter().any(is_running) {
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
        let running = links.iter().flat_map(|link| {
            let threads = link.up.iter().flat_map(|up| &up.threads);
            link.seats.iter().zip(threads)
        });
        let mut all = true;
        for (seat, thread) in running {
            // A thread whose device is gone still gives leases back; only its end is the end.
            if seat.control.policy_generation() < generation && !thread.is_finished() {
                seat.control.waker.wake();
                all = false;
            }
        }
        all
    }
}

impl Up {
    fn is_running(&self) -> bool {
        self.threads.iter().any(|thread| !thread.is_finished())
    }

    /// Tells the program what it does not know yet. What failed is tried again with the next call.
    fn tell(
        &mut self,
        interface: &Interface,
        settings: dhcp_ebpf::Settings,
    ) -> Result<(), AttachError> {
        let is_known =
            |told: &(Interface, dhcp_ebpf::Settings)| told.0 == *interface && told.1 == settings;
        if self.told.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        self.told = None;
        self.program.configure(&interface.name, settings)?;
        self.program.serve(interface)?;
        self.told = Some((interface.clone(), settings));
        Ok(())
    }

    /// Joins the groups of DHCPv6 servers when these are served, and leaves them when not.
    fn keep_membership(&mut self, device: &Device, serves_v6: bool) {
        if !serves_v6 {
            self.membership = None;
            self.complained = false;
            return;
        }
        if self.membership.is_some() {
            return;
        }
        match Membership::join(device.index) {
            Ok(membership) => self.membership = Some(membership),
            Err(error) if !self.complained => {
                self.complained = true;
                tracing::warn!(
                    interface = device.interface.name,
                    %error,
                    "cannot join the multicast groups of DHCPv6 servers; clients behind a switch that \
                     filters multicast may not reach us: enable IPv6 on the interface"
                );
            }
            Err(_) => {}
        }
    }
}

impl Link {
    /// Opens the sockets, attaches the program, starts the workers.
    fn bring_up(&mut self, device: &Device, server: &Inner) -> Result<(), StartError> {
        let Self {
            settings, seats, ..
        } = self;
        self.interface.replace(Arc::new(device.interface.clone()));
        let sockets = open_sockets(settings, seats)?;
        let placed: Vec<_> = seats
            .iter()
            .zip(&sockets)
            .map(|(seat, socket)| Placed {
                queue: seat.queue,
                worker: seat.number_on_queue,
                socket: socket.fd(),
            })
            .collect();
        let program_settings = server.program_settings(settings.workers_per_queue);
        let program = Attached::new(
            &device.interface,
            device.index,
            settings.mode,
            program_settings,
            &placed,
        )?;
        drop(placed);
        let in_force = sockets.first().map(Socket::in_force).unwrap_or_default();
        report(settings, device, &program, in_force, seats.len());
        let up = self.up.insert(Up {
            index: device.index,
            program,
            in_force,
            told: Some((device.interface.clone(), program_settings)),
            membership: None,
            complained: false,
            threads: Vec::new(),
        });
        up.keep_membership(device, program_settings.serves_v6);
        for (seat, socket) in seats.iter_mut().zip(sockets) {
            match seat.start(socket, &self.interface, server) {
                Ok(thread) => up.threads.push(thread),
                Err(error) => {
                    // A link with some of its workers would lose the clients of the others.
                    self.take_down();
                    return Err(error);
                }
            }
        }
        self.trouble = None;
        Ok(())
    }

    /// Detaches the program, then lets the workers say what they have promised. Their seats stay.
    fn take_down(&mut self) {
        let Some(up) = self.up.take() else { return };
        drop(up.program);
        for seat in &self.seats {
            seat.control.stop();
        }
        // A thread that panicked has no handle to give back; its seat stays empty and the link down.
        for (seat, thread) in self.seats.iter_mut().zip(up.threads) {
            seat.handle = thread.join().ok().flatten();
        }
    }

    /// Compares what is with what should be.
    fn look_after(&mut self, device: Option<&Device>, server: &Inner) {
        let is_lost = |up: &Up| {
            device.is_none_or(|device| device.index != up.index)
                || self.seats.iter().any(|seat| seat.control.is_gone())
        };
        if self.up.as_ref().is_some_and(is_lost) {
            tracing::warn!(
                interface = self.settings.name,
                "the interface went away; waiting for it"
            );
            self.take_down();
            self.trouble = Some("the interface went away".to_owned());
        }
        let Some(device) = device else { return };
        if self.up.is_none() {
            return match self.bring_up(device, server) {
                Ok(()) => {}
                Err(error) => self.complain(error.to_string()),
            };
        }
        let is_changed = *self.interface.load() != device.interface;
        if is_changed {
            tracing::info!(
                interface = self.settings.name,
                v4 = ?device.interface.v4,
                v6 = ?device.interface.v6,
                "the interface's addresses changed"
            );
            self.interface.replace(Arc::new(device.interface.clone()));
        }
        let Some(up) = &mut self.up else { return };
        let settings = server.program_settings(self.settings.workers_per_queue);
        up.keep_membership(device, settings.serves_v6);
        let mut result = up.tell(&device.interface, settings);
        if !up.program.is_attached() {
            tracing::warn!(
                interface = self.settings.name,
                "another program detached our XDP program; attaching it again"
            );
            result = result.and_then(|()| up.program.attach_again(&self.settings.name));
        }
        match result {
            Ok(()) => self.trouble = None,
            Err(error) => self.complain(error.to_string()),
        }
    }

    /// Logs a trouble once, not every second.
    fn complain(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::error!(
                interface = self.settings.name,
                trouble,
                "the interface is not served"
            );
            self.trouble = Some(trouble);
        }
    }

    fn status(&self) -> InterfaceStatus {
        let workers = self.seats.iter().map(|seat| WorkerStatus {
            queue: seat.queue,
            number: seat.number_on_queue,
            totals: seat.control.counters.totals(),
        });
        let link = self.up.as_ref().map(|up| LinkStatus {
            is_native: up.program.is_native(),
            zero_copy: up.in_force.zero_copy,
            need_wakeup: up.in_force.need_wakeup,
            huge_pages: up.in_force.huge_pages,
            tx_budget: up.in_force.tx_budget,
            outcomes: up.program.counters(),
        });
        InterfaceStatus {
            name: self.settings.name.clone(),
            interface: (*self.interface.load()).clone(),
            link,
            trouble: self.trouble.clone(),
            queues: self.seats.len() as u32 / self.settings.workers_per_queue.max(1),
            workers_per_queue: self.settings.workers_per_queue,
            workers: workers.collect(),
        }
    }
}

impl Seat {
    fn start(
        &mut self,
        socket: Socket,
        interface: &Arc<Shared<Interface>>,
        server: &Inner,
    ) -> Result<JoinHandle<Option<Handle>>, StartError> {
        let lost =
            || io::Error::other("its predecessor panicked and took the way to the journal along");
        let handle = self
            .handle
            .take()
            .ok_or_else(lost)
            .map_err(system("start a worker"))?;
        self.control.reset();
        let control = Arc::clone(&self.control);
        // What a thread that does not start was given would be lost with it.
        let handle = Arc::new(Mutex::new(Some(handle)));
        let given = Arc::clone(&handle);
        let surroundings = Surroundings {
            policy: Arc::clone(&server.policy),
            interface: Arc::clone(interface),
            partitions: Arc::clone(&server.partitions),
            clock: server.clock,
            round: Arc::clone(&server.round),
        };
        let started = Builder::new()
            .name(format!(
                "{}-{}-{}",
                interface.load().name,
                self.queue,
                self.number_on_queue
            ))
            .spawn(move || {
                let handle = given.lock().take()?;
                Some(worker::run(socket, handle, &surroundings, &control))
            });
        if started.is_err() {
            self.handle = handle.lock().take();
        }
        started.map_err(system("start a worker's thread"))
    }
}

/// Sockets in the order of the seats.
fn open_sockets(settings: &InterfaceSettings, seats: &[Seat]) -> Result<Vec<Socket>, BindError> {
    let mut sockets = Vec::new();
    for queue in seats.chunk_by(|one, other| one.queue == other.queue) {
        let Some(first) = queue.first() else { continue };
        let workers = queue.len() as u32;
        sockets.extend(afxdp::open(
            &settings.name,
            first.queue,
            workers,
            settings.copy,
        )?);
    }
    Ok(sockets)
}

fn report(
    settings: &InterfaceSettings,
    device: &Device,
    program: &Attached,
    in_force: InForce,
    workers: usize,
) {
    tracing::info!(
        interface = settings.name,
        mode = if program.is_native() { "native" } else { "generic" },
        copy = if in_force.zero_copy { "zero-copy" } else { "copy" },
        huge_pages = in_force.huge_pages,
        need_wakeup = in_force.need_wakeup,
        tx_budget = in_force.tx_budget.unwrap_or(0),
        workers,
        v4 = ?device.interface.v4,
        "the interface is served"
    );
    if interface::may_hide_vlan_tags(&settings.name) {
        tracing::warn!(
            interface = settings.name,
            "if clients come with VLAN tags, the NIC must leave them in the frame: run `ethtool -K {} \
             rxvlan off txvlan off`",
            settings.name
        );
    }
    if device.interface.v4.is_empty() {
        tracing::warn!(
            interface = settings.name,
            "the interface has no IPv4 address, which is the DHCPv4 server identifier; add one"
        );
    }
}
