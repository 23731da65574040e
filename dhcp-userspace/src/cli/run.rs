//! `xdhcpd run`: brings the server up, minds signals and systemd, takes it down.

use super::{Failure, LogFormat, RunArgs, plural};
use crate::campaign::{Campaigns, Outcome, Plan, Report, Selection, StartError};
use crate::clock::ClockStatus;
use crate::commit::StoreStatus;
use crate::config::{self, Checked};
use crate::control::message::{self, InterfaceStatus, Status};
use crate::control::{Acceptable, Control, Source};
use crate::counters::Totals;
use crate::history::HistoryStatus;
use crate::leasequery::{Feed, Leases, Listener};
use crate::leases::import::{How, Imported};
use crate::leases::{Filter, LeaseView};
use crate::operator::ReleaseError;
use crate::server::{self, Server};
use crate::settings::{Durability, Settings, XdpLog};
use crate::sigbus;
use crate::watchdog::Watchdog;
use dhcp_core::Policy;
use dhcp_core::alarms::{Alarm, Raised};
use dhcp_lease::{Binding, Lease, Partitions, Timestamp, clock};
use sd_notify::NotifyState;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

/// How often it is looked whether all interfaces are served, and whether the store can go on.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long a worker may stand still at least; it goes round four times a second when nothing happens.
const WORKER_PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    log_to_stderr(args)?;
    sigbus::explain().map_err(Failure::Signals)?;
    let file = args.config.file();
    let checked = config::load(&file).map_err(Failure::ConfigAtStart)?;
    for finding in checked.warnings.iter() {
        tracing::warn!("{}", checked.warnings.line(finding));
    }
    let settings = with_options(checked.settings.clone(), args);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %file.display(),
        "starting with {}", checked.summary()
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Signals)?;
    let guard = runtime.enter();
    // Before anything is attached: a signal from here on is a clean stop.
    let signals = Signals::listen().map_err(Failure::Signals)?;
    drop(guard);
    let server = Server::start(settings.clone(), |duid, previous| {
        checked.policy(duid, previous)
    })?;
    let generation = AtomicU64::new(1);
    let running = Arc::new(Running {
        server,
        file,
        settings: settings.clone(),
        generation,
    });
    let control = Control::start(&settings.socket, Arc::clone(&running) as Arc<dyn Source>)?;
    let bulk = settings.bulk_leasequery.clone();
    let listener = bulk
        .map(|bulk| Listener::start(bulk, Arc::clone(&running) as Arc<dyn Leases>))
        .transpose()?;
    let outcome = runtime.block_on(mind(&running, signals));
    notify(&[NotifyState::Stopping]);
    tracing::info!("stopping");
    drop(listener);
    drop(control);
    // The runtime may still hold a reload that a signal started.
    drop(runtime);
    match Arc::try_unwrap(running) {
        Ok(running) => running.server.stop(),
        // A request that is being answered holds on to the server; what is durable stays so, and the
        // kernel takes back everything else.
        Err(_) => tracing::warn!("a request on the control socket did not end in time"),
    }
    tracing::info!("stopped");
    outcome
}

fn log_to_stderr(args: &RunArgs) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(&args.log.log);
    let filter = filter.map_err(|error| Failure::Log(error.to_string()))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    // The journal has times of its own.
    let in_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    match args.log.log_format {
        LogFormat::Json => subscriber.json().init(),
        LogFormat::Text if in_journal => subscriber.without_time().init(),
        LogFormat::Text => subscriber.init(),
    }
    Ok(())
}

fn with_options(settings: Settings, args: &RunArgs) -> Settings {
    Settings {
        state_dir: args.state_dir.clone().unwrap_or(settings.state_dir),
        socket: args.socket.clone().unwrap_or(settings.socket),
        accept_clock: args.accept_clock,
        xdp_log: match args.xdp_log {
            true => XdpLog::On,
            false => XdpLog::Off,
        },
        ..settings
    }
}

/// The signals that mean something.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Until somebody asks for the end, or the store cannot go on.
async fn mind(running: &Arc<Running>, mut signals: Signals) -> Result<(), Failure> {
    let mut watchdog_micros = 0;
    let watched = sd_notify::watchdog_enabled(false, &mut watchdog_micros);
    // Twice as often as systemd asks for.
    let feed = Duration::from_micros(watchdog_micros / 2).max(Duration::from_millis(1));
    let mut feeding = tokio::time::interval(feed);
    let mut watchdog = Watchdog::default();
    let mut reloading: Option<JoinHandle<()>> = None;
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    let mut ready = false;
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
            _ = signals.hangup.recv(), if reloading.is_none() => {
                reloading = Some(tokio::spawn(reload(Arc::clone(running))));
            }
            () = ended(&mut reloading) => reloading = None,
            _ = feeding.tick(), if watched => feed_watchdog(running, &mut watchdog, feed),
            _ = looks.tick() => {
                if let Some(trouble) = running.server.must_end() {
                    return Err(Failure::Disk(trouble));
                }
                if !ready && is_serving(&running.server) {
                    ready = true;
                    tracing::info!("every interface is served");
                    notify(&[NotifyState::Ready]);
                }
            }
        }
    }
}

fn is_serving(server: &Server) -> bool {
    server
        .status()
        .interfaces
        .iter()
        .all(|interface| interface.link.is_some())
}

/// Until the reload has ended; for ever if there is none.
async fn ended(reloading: &mut Option<JoinHandle<()>>) {
    match reloading {
        // Its outcome is logged.
        Some(reload) => drop(reload.await),
        None => std::future::pending().await,
    }
}

/// A worker that stands still answers nobody on its queue: then systemd may do what it was told to. Not when
/// the disk does not work: the server goes on by itself when it does again, and a restart could not.
fn feed_watchdog(running: &Running, watchdog: &mut Watchdog, feed: Duration) {
    let patience = feed.max(WORKER_PATIENCE);
    let stuck = watchdog.stuck(running.server.rounds(), Instant::now(), patience);
    if !stuck.is_empty() {
        tracing::error!(workers = ?stuck, "workers stand still; systemd is not told that all is well");
    } else {
        notify(&[NotifyState::Watchdog]);
    }
}

async fn reload(running: Arc<Running>) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "cannot read the monotonic clock"),
    }
    // Its outcome, good or bad, is logged there.
    let _ = tokio::task::spawn_blocking(move || running.reload()).await;
    notify(&[NotifyState::Ready]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::warn!(%error, "cannot tell systemd how the server is");
    }
}

/// The running server as its operator sees it.
struct Running {
    server: Server,
    file: PathBuf,
    /// As started, options included: a reload does not change them.
    settings: Settings,
    generation: AtomicU64,
}

impl Running {
    fn put_in_force(&self, checked: &Checked) -> Result<String, Vec<String>> {
        let reload = self
            .server
            .reload(|duid, previous| checked.policy(duid, previous));
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        reload.map_err(|error| vec![error.to_string()])?;
        let mut summary = format!("generation {generation} is in force: {}", checked.summary());
        let kept = self.kept_until_restart(&checked.settings);
        if !kept.is_empty() {
            summary.push_str(&format!(
                "; {} will change with the next start only",
                kept.join(", ")
            ));
        }
        match checked.warnings.iter().count() {
            0 => {}
            warnings => summary.push_str(&format!("; {}", plural(warnings, "warning"))),
        }
        Ok(summary)
    }

    /// Settings of the process that a new file has otherwise.
    fn kept_until_restart(&self, new: &Settings) -> Vec<&'static str> {
        let old = &self.settings;
        let changed = [
            ("interfaces", old.interfaces != new.interfaces),
            ("durability", old.durability != new.durability),
            ("lease-capacity", old.lease_capacity != new.lease_capacity),
            ("partitions", old.partitions != new.partitions),
            (
                "leasequery.bulk",
                old.bulk_leasequery != new.bulk_leasequery,
            ),
        ];
        changed
            .into_iter()
            .filter(|(_, changed)| *changed)
            .map(|(name, _)| name)
            .collect()
    }
}

fn history(status: &HistoryStatus) -> message::HistoryStatus {
    message::HistoryStatus {
        writing: status.trouble.is_none(),
        entries: status.entries,
        lost: status.lost,
        octets: status.octets,
        segment: status.segment,
        segments: status.segments,
        segments_octets: status.segments_octets,
        oldest: status.oldest.map(|it| it.0),
        hash: status.hash.clone(),
    }
}

impl Source for Running {
    fn status(&self) -> Status {
        let status = self.server.status();
        let mut problems: Vec<String> = status
            .interfaces
            .iter()
            .filter_map(|it| Some(format!("{}: {}", it.name, it.trouble.as_ref()?)))
            .collect();
        problems.extend(store_problem(&status.store));
        let state_dir = &self.settings.state_dir;
        if status.free_octets == Some(0) {
            problems.push(format!(
                "{}: the file system is full; leases are granted, for their room was taken in advance, but \
                 nothing can grow",
                state_dir.display()
            ));
        }
        // A history that cannot be written stops the service only if the operator said so.
        let is_blocked = self.settings.history.is_required;
        let mut ready = status.interfaces.iter().all(|it| it.link.is_some()) && problems.is_empty();
        if let Some(why) = status.history.as_ref().and_then(|it| it.trouble.as_ref()) {
            problems.push(format!("lease history: {why}"));
            ready &= !is_blocked;
        }
        problems.extend(status.geometry_problem.iter().cloned());
        problems.extend(clock_problems(&status.clock));
        problems.extend(status.alarms.iter().map(alarm));
        if let Some(why) = &status.probes.trouble {
            problems.push(format!(
                "addresses cannot be probed, and are offered all the same: {why}"
            ));
        }
        let campaign = self.server.campaigns().report();
        let partitions = self.server.partitions();
        let live = (0..partitions.len()).filter_map(|index| partitions.lock(index));
        let leases = live
            .map(|partition| u64::from(partition.occupancy().live))
            .sum();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            ready,
            uptime_seconds: status.uptime.as_secs(),
            config: self.file.display().to_string(),
            state_dir: self.settings.state_dir.display().to_string(),
            durability: match status.durability {
                Durability::Power => "power",
                Durability::Process => "process",
            }
            .to_owned(),
            generation: self.generation.load(Ordering::Relaxed),
            partitions: status.partitions as u64,
            lease_capacity: self.settings.lease_capacity,
            leases,
            server_duid: status.server_duid,
            clock: clock(&status.clock),
            store_suspended: status.store.is_suspended,
            store_outages: status.store.outages,
            store_trouble: (status.store.trouble.as_ref()).map(|it| it.cause.name().to_owned()),
            state_dir_free_octets: status.free_octets.unwrap_or(0),
            journal_waits: status.store.waits,
            limits_counted: status.limits_counted as u64,
            syncs: status.store.groups,
            synced_records: status.store.records,
            sync_p99_micros: status.store.latency_p99_micros,
            sync_max_micros: status.store.latency_max_micros,
            history: status.history.as_ref().map(history),
            interfaces: status.interfaces.iter().map(interface).collect(),
            alarms: counted(&status.alarms),
            probes: status.probes.results(),
            probe_requests: status.probes.requests(),
            forcerenew: campaign.as_ref().map(Report::clients).unwrap_or_default(),
            forcerenew_running: campaign.is_some_and(|it| it.outcome == Outcome::Running),
            problems,
        }
    }

    fn totals(&self) -> Totals {
        self.server.status().totals
    }

    fn xdp_counters(&self) -> Vec<(String, String, u64)> {
        let interfaces = self.server.status().interfaces.into_iter();
        let of_interface = |it: server::InterfaceStatus| {
            let outcomes = it.link.map(|link| link.outcomes).unwrap_or_default();
            let name = it.name;
            outcomes
                .into_iter()
                .map(move |(outcome, count)| (name.clone(), outcome.name().to_owned(), count))
        };
        interfaces.flat_map(of_interface).collect()
    }

    fn policy(&self) -> Arc<Policy> {
        self.server.policy()
    }

    fn for_each_binding(&self, visit: &mut dyn FnMut(&Binding)) {
        self.server.partitions().for_each(visit);
    }

    fn now(&self) -> Timestamp {
        self.server.now()
    }

    fn release(&self, lease: Lease) -> Result<Binding, ReleaseError> {
        self.server.release(lease)
    }

    fn clear_declined(&self, wanted: &Filter) -> Result<Vec<Binding>, ReleaseError> {
        let now = self.server.now();
        self.server
            .clear_declined(|binding| wanted.wants(binding, &LeaseView::new(binding, now)))
    }

    fn import(&self, bindings: Vec<Binding>, how: How) -> Result<Imported, ReleaseError> {
        self.server.import(bindings, how)
    }

    fn reconfigure(
        &self,
        whom: &Selection,
        what: String,
        plan: Plan,
    ) -> Result<Report, StartError> {
        self.server.reconfigure(whom, what, plan)
    }

    fn campaigns(&self) -> &Campaigns {
        self.server.campaigns()
    }

    fn accept(&self, what: Acceptable) -> io::Result<()> {
        match what {
            Acceptable::Clock => self.server.accept_clock(),
            Acceptable::Restored => self.server.accept_restored(),
        }
    }

    fn reload(&self) -> Result<String, Vec<String>> {
        let outcome = match config::load(&self.file) {
            Ok(checked) => {
                for finding in checked.warnings.iter() {
                    tracing::warn!("{}", checked.warnings.line(finding));
                }
                self.put_in_force(&checked)
            }
            Err(findings) => {
                let mut lines: Vec<_> = findings.iter().map(|it| findings.line(it)).collect();
                lines.push(format!(
                    "{}; nothing changed, the running configuration stays in force",
                    findings.summary()
                ));
                Err(lines)
            }
        };
        match &outcome {
            Ok(summary) => tracing::info!("reloaded: {summary}"),
            Err(lines) => lines.iter().for_each(|line| tracing::error!("{line}")),
        }
        outcome
    }
}

fn clock(status: &ClockStatus) -> message::ClockStatus {
    let source = match status.source {
        clock::Source::BootClock => "boot-clock",
        clock::Source::WallClock => "wall-clock",
        clock::Source::HighWater => "last-known",
        clock::Source::Held { .. } => "held",
        clock::Source::Accepted => "accepted",
    };
    message::ClockStatus {
        server_time: status.now.0,
        offset_seconds: status.offset_seconds,
        source: source.to_owned(),
        held: status.held_since.is_some(),
        accepted: status.is_accepted,
        steps: status.steps,
        withheld_until: status.withheld_until.map(|until| until.0),
    }
}

fn counted(alarms: &[Raised]) -> BTreeMap<String, u64> {
    let count = |alarm| alarms.iter().filter(|it| it.alarm == alarm).count() as u64;
    [
        ("low_water".to_owned(), count(Alarm::LowWater)),
        ("declined".to_owned(), count(Alarm::Declined)),
    ]
    .into()
}

fn alarm(raised: &Raised) -> String {
    let Raised {
        alarm,
        name,
        count,
        size,
    } = raised;
    match alarm {
        Alarm::LowWater => format!(
            "pool {name}: {count} of {size} leases are free; enlarge it, or shorten `valid-lifetime`"
        ),
        Alarm::Declined => format!(
            "subnet {name}: {count} of {size} leases are declined; find who uses them (`xdhcpd ctl declined \
             list`), then give them back (`xdhcpd ctl declined clear`)"
        ),
    }
}

fn clock_problems(status: &ClockStatus) -> Vec<String> {
    let mut problems = Vec::new();
    if status.held_since.is_some() {
        problems.push(match status.is_accepted {
            true => "clock: the wall clock is accepted; restart to take it over".to_owned(),
            false => format!(
                "clock: server time is {} s behind the wall clock, which would have ended most leases; if the \
                 wall clock is right, `xdhcpd ctl clock accept` and restart",
                status.offset_seconds
            ),
        });
    }
    if let Some(until) = status.withheld_until {
        problems.push(format!(
            "restored: the lease store is a copy; free leases are withheld for {} s; if nothing was granted since \
             it was made, `xdhcpd ctl restore accept`",
            until.seconds_left(status.now)
        ));
    }
    problems.extend(
        status
            .failure
            .iter()
            .map(|why| format!("clock record: {why}")),
    );
    problems
}

fn store_problem(store: &StoreStatus) -> Option<String> {
    let consequence = match store.is_suspended {
        true => "nobody gets a lease until it works again",
        false => "leases are granted until the journal is full",
    };
    let trouble = store.trouble.as_ref()?;
    Some(format!("lease store: {trouble}; {consequence}"))
}

fn interface(status: &server::InterfaceStatus) -> InterfaceStatus {
    let link = status.link.as_ref();
    let mode = |mode: fn(&server::LinkStatus) -> &'static str| link.map_or("", mode).to_owned();
    let v4 = status.interface.v4.iter().map(ToString::to_string);
    let v6 = status.interface.v6.iter().map(ToString::to_string);
    let link_local = status.interface.link_local.iter().map(ToString::to_string);
    InterfaceStatus {
        name: status.name.clone(),
        serving: link.is_some(),
        queues: status.queues,
        workers: status.queues * status.workers_per_queue,
        xdp_mode: mode(|link| if link.is_native { "native" } else { "generic" }),
        copy_mode: mode(|link| if link.zero_copy { "zero-copy" } else { "copy" }),
        need_wakeup: link.is_some_and(|link| link.need_wakeup),
        huge_pages: link.is_some_and(|link| link.huge_pages),
        addresses: v4.chain(v6).chain(link_local).collect(),
    }
}

impl Leases for Running {
    fn policy(&self) -> Arc<Policy> {
        self.server.policy()
    }

    fn partitions(&self) -> &Partitions {
        self.server.partitions()
    }

    fn now(&self) -> Timestamp {
        self.server.now()
    }

    fn feed(&self) -> Option<Arc<Feed>> {
        self.server.feed()
    }
}
