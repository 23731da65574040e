//! Who runs a campaign, and how is it watched and ended?

use super::schedule::{Counts, Plan, Schedule, Seen, Step};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

/// How long a campaign sleeps at most: how soon what it tells of itself is up to date.
const SLEEP: Duration = Duration::from_millis(50);
/// How many steps it takes between two looks at whether it is to end.
const STEPS_PER_LOOK: usize = 64;

/// Clients that can be told something.
pub trait Reach: Send {
    /// What has become of a target since the campaign began.
    fn look(&mut self, target: u32) -> Seen;
    /// Tells a target to come; `attempt` counts how often it was told before. What is lost is sent again.
    ///
    /// # Errors
    /// Those of the system.
    fn send(&mut self, target: u32, attempt: u16) -> io::Result<()>;
    /// Why nobody is to be told at the moment, if so: whoever came could not be answered.
    fn pause(&self) -> Option<&'static str>;
    /// Who a target is, for the list of those that did not react.
    fn describe(&mut self, target: u32) -> Option<Deaf>;
    /// Nobody looks any more.
    fn end(&mut self);
}

/// A client that did not react.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deaf {
    /// Its lease.
    pub lease: String,
    /// Its client identifier or DUID.
    pub client: Vec<u8>,
    /// Its hardware address.
    pub hardware: Vec<u8>,
}

/// How a campaign ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not yet.
    Running,
    /// Every client reacted, left or turned out to be deaf.
    Done,
    /// The operator, or the end of the server, ended it.
    Aborted,
}

/// A campaign that is about to begin.
pub struct Start {
    /// The clients.
    pub reach: Box<dyn Reach>,
    /// In words, whom it is for.
    pub what: String,
    /// How it goes about it.
    pub plan: Plan,
    /// How many targets there are.
    pub targets: u32,
    /// How many were selected and cannot be told.
    pub unable: u32,
}

/// What is known of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its number, from 1.
    pub number: u64,
    /// In words, whom it is for.
    pub what: String,
    /// How it goes about it.
    pub plan: Plan,
    /// How many clients are to come.
    pub targets: u32,
    /// How many were selected and cannot be told.
    pub unable: u32,
    /// How far it is.
    pub counts: Counts,
    /// Messages that the system refused to send.
    pub failures: u64,
    /// What it said the last time.
    pub failure: Option<String>,
    /// Why it pauses, if it does.
    pub pause: Option<&'static str>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it has been running, or ran.
    pub elapsed: Duration,
}

impl Report {
    /// Clients by what became of them, under the names that metrics have.
    pub fn clients(&self) -> BTreeMap<String, u64> {
        let Counts {
            reacted,
            gone,
            deaf,
            ..
        } = self.counts;
        let ended = reacted.saturating_add(gone).saturating_add(deaf);
        let is_running = self.outcome == Outcome::Running;
        let under_way = self.targets.saturating_sub(ended) * u32::from(is_running);
        let counts = [
            ("asked", self.targets),
            ("answered", reacted),
            ("gone", gone),
            ("deaf", deaf),
            ("under_way", under_way),
        ];
        let named = counts.map(|(name, count)| (name.to_owned(), u64::from(count)));
        named.into_iter().collect()
    }
}

/// Why no campaign was begun or ended. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is another.
    #[error(
        "campaign {number} is still running; `xdhcpd ctl reconfigure status` shows it, `... abort` ends it"
    )]
    Busy {
        /// Its number.
        number: u64,
    },
    /// No socket.
    #[error("cannot open a raw socket: {0}; the server needs CAP_NET_RAW")]
    Socket(#[source] io::Error),
    /// No thread.
    #[error("cannot start the campaign's thread: {0}")]
    Thread(#[source] io::Error),
    /// A class whose clients cannot be selected.
    #[error("class {name:?} {why}")]
    Class {
        /// Its name.
        name: String,
        /// What is in the way.
        why: String,
    },
    /// The server stops.
    #[error("the server is about to end")]
    Ending,
    /// There is none to be ended.
    #[error("no such campaign is running; `xdhcpd ctl reconfigure status` shows the last one")]
    NotRunning,
}

/// The campaign that is running, or was the last to run.
#[derive(Debug, Default)]
pub struct Campaigns {
    current: Mutex<Option<Running>>,
    count: AtomicU64,
}

#[derive(Debug)]
struct Running {
    shared: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Progress {
    report: Mutex<Report>,
    deaf: Mutex<Vec<Deaf>>,
    started: Instant,
    stop: Mutex<bool>,
    stopped: Condvar,
}

impl Campaigns {
    /// Begins a campaign, if none is running; what is known of it at once. `make` finds out whom it is for.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        &self,
        make: impl FnOnce() -> Result<Start, StartError>,
    ) -> Result<Report, StartError> {
        let mut current = self.current.lock();
        if let Some(running) = current.as_ref().map(Running::report)
            && running.outcome == Outcome::Running
        {
            return Err(StartError::Busy {
                number: running.number,
            });
        }
        let start = make()?;
        let report = Report {
            number: self.count.fetch_add(1, Ordering::Relaxed) + 1,
            what: start.what,
            plan: start.plan,
            targets: start.targets,
            unable: start.unable,
            counts: Counts::default(),
            failures: 0,
            failure: None,
            pause: None,
            outcome: Outcome::Running,
            elapsed: Duration::ZERO,
        };
        let shared = Arc::new(Progress {
            report: Mutex::new(report.clone()),
            deaf: Mutex::default(),
            started: Instant::now(),
            stop: Mutex::new(false),
            stopped: Condvar::new(),
        });
        let progress = Arc::clone(&shared);
        let mut reach = start.reach;
        let thread = Builder::new()
            .name("campaign".to_owned())
            .spawn(move || {
                let outcome = progress.run(reach.as_mut());
                // Before anybody sees that it has ended, and begins the next.
                reach.end();
                progress.conclude(outcome);
            })
            .map_err(StartError::Thread)?;
        tracing::info!(
            campaign = report.number,
            targets = report.targets,
            unable = report.unable,
            rate = report.plan.rate,
            "a campaign begins: {}",
            report.what
        );
        *current = Some(Running {
            shared,
            thread: Some(thread),
        });
        Ok(report)
    }

    /// The campaign that is running, or was the last to run.
    pub fn report(&self) -> Option<Report> {
        self.current.lock().as_ref().map(Running::report)
    }

    /// The clients that did not react, in the order in which that was found out, from the `first` on.
    pub fn deaf(&self, first: usize, count: usize) -> Vec<Deaf> {
        let current = self.current.lock();
        let Some(running) = current.as_ref() else {
            return Vec::new();
        };
        let deaf = running.shared.deaf.lock();
        deaf.iter().skip(first).take(count).cloned().collect()
    }

    /// Ends the campaign with this number, or whichever is running. Clients that were told may still come.
    ///
    /// # Errors
    /// [`StartError::NotRunning`].
    pub fn abort(&self, number: Option<u64>) -> Result<Report, StartError> {
        let mut current = self.current.lock();
        let running = current.as_mut().ok_or(StartError::NotRunning)?;
        let report = running.report();
        let is_other = number.is_some_and(|number| number != report.number);
        if is_other || report.outcome != Outcome::Running {
            return Err(StartError::NotRunning);
        }
        running.stop();
        Ok(running.report())
    }
}

impl Running {
    fn report(&self) -> Report {
        let mut report = self.shared.report.lock().clone();
        if report.outcome == Outcome::Running {
            report.elapsed = self.shared.started.elapsed();
        }
        report
    }

    fn stop(&mut self) {
        *self.shared.stop.lock() = true;
        self.shared.stopped.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Progress {
    fn run(&self, reach: &mut dyn Reach) -> Outcome {
        let (plan, targets) = {
            let report = self.report.lock();
            (report.plan, report.targets)
        };
        let mut schedule = Schedule::new(plan, targets);
        loop {
            let pause = match reach.pause() {
                None => self.steps(&mut schedule, reach),
                // A client that cannot be answered would only go through its tries.
                Some(_) => Some(SLEEP),
            };
            self.note(&mut schedule, reach);
            let Some(pause) = pause else {
                return Outcome::Done;
            };
            if self.sleep(pause.min(SLEEP)) {
                return Outcome::Aborted;
            }
        }
    }

    fn conclude(&self, outcome: Outcome) {
        let mut report = self.report.lock();
        report.outcome = outcome;
        report.pause = None;
        report.elapsed = self.started.elapsed();
        let Counts {
            sent,
            reacted,
            gone,
            deaf,
            ..
        } = report.counts;
        tracing::info!(
            campaign = report.number,
            ?outcome,
            sent,
            reacted,
            gone,
            deaf,
            "the campaign has ended"
        );
    }

    /// Some steps; how long nothing is to be done then, or that all is done.
    fn steps(&self, schedule: &mut Schedule, reach: &mut dyn Reach) -> Option<Duration> {
        for _ in 0..STEPS_PER_LOOK {
            let now = self.started.elapsed();
            match schedule.step(now, |target| reach.look(target)) {
                Step::Send { target, attempt } => {
                    if let Err(error) = reach.send(target, attempt) {
                        let mut report = self.report.lock();
                        report.failures += 1;
                        report.failure = Some(error.to_string());
                    }
                }
                Step::Wait(until) if until > now => return Some(until - now),
                Step::Wait(_) => {}
                Step::Done => return None,
            }
        }
        Some(Duration::ZERO)
    }

    fn note(&self, schedule: &mut Schedule, reach: &mut dyn Reach) {
        let deaf = schedule.take_deaf();
        let described = deaf.into_iter().filter_map(|target| reach.describe(target));
        self.deaf.lock().extend(described);
        let mut report = self.report.lock();
        report.counts = schedule.counts();
        report.pause = reach.pause();
    }

    /// Whether the campaign is to end.
    fn sleep(&self, pause: Duration) -> bool {
        let mut stop = self.stop.lock();
        if !*stop && !pause.is_zero() {
            self.stopped.wait_for(&mut stop, pause);
        }
        mem::take(&mut *stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::{NonZeroU16, NonZeroU32};
    use std::sync::atomic::AtomicBool;

    /// Clients that react to their first message, but for those whose number is a multiple of five.
    struct Crowd {
        told: Vec<u16>,
        open: Arc<AtomicBool>,
        ended: Arc<AtomicBool>,
    }

    impl Reach for Crowd {
        fn look(&mut self, target: u32) -> Seen {
            match self.told[target as usize] {
                0 => Seen::Silent,
                _ if target.is_multiple_of(5) => Seen::Silent,
                _ => Seen::Reacted,
            }
        }

        fn send(&mut self, target: u32, _: u16) -> io::Result<()> {
            self.told[target as usize] += 1;
            match target {
                0 => Err(io::Error::other("no route")),
                _ => Ok(()),
            }
        }

        fn pause(&self) -> Option<&'static str> {
            let is_open = self.open.load(Ordering::Relaxed);
            (!is_open).then_some("closed")
        }

        fn describe(&mut self, target: u32) -> Option<Deaf> {
            let lease = target.to_string();
            Some(Deaf {
                lease,
                ..Deaf::default()
            })
        }

        fn end(&mut self) {
            self.ended.store(true, Ordering::Relaxed);
        }
    }

    struct Bench {
        campaigns: Campaigns,
        open: Arc<AtomicBool>,
        ended: Arc<AtomicBool>,
    }

    impl Bench {
        fn new(is_open: bool) -> Self {
            Self {
                campaigns: Campaigns::default(),
                open: Arc::new(AtomicBool::new(is_open)),
                ended: Arc::default(),
            }
        }

        fn start(&self, targets: u32) -> Result<Report, StartError> {
            self.campaigns.start(|| {
                Ok(Start {
                    reach: Box::new(Crowd {
                        told: vec![0; targets as usize],
                        open: Arc::clone(&self.open),
                        ended: Arc::clone(&self.ended),
                    }),
                    what: "a test".to_owned(),
                    plan: Plan {
                        rate: NonZeroU32::new(10_000).unwrap(),
                        first_timeout: Duration::from_millis(5),
                        tries: NonZeroU16::new(2).unwrap(),
                    },
                    targets,
                    unable: 3,
                })
            })
        }

        /// Looks until it is as wanted.
        fn until(&self, is_wanted: impl Fn(&Report) -> bool) -> Report {
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                let report = self.campaigns.report().unwrap();
                if is_wanted(&report) {
                    return report;
                }
                assert!(Instant::now() < deadline, "{report:?}");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_campaign_runs_to_its_end_and_lists_the_deaf() {
        let bench = Bench::new(true);
        assert_eq!(bench.campaigns.report(), None);
        assert_eq!(bench.start(100).unwrap().number, 1);
        let report = bench.until(|report| report.outcome != Outcome::Running);
        assert_eq!(report.outcome, Outcome::Done);
        let counts = report.counts;
        assert_eq!((counts.reacted, counts.deaf, counts.sent), (80, 20, 120));
        assert_eq!((report.failures, report.unable), (2, 3));
        let clients = report.clients();
        let clients = ["asked", "answered", "gone", "deaf", "under_way"].map(|it| clients[it]);
        assert_eq!(clients, [100, 80, 0, 20, 0]);
        assert_eq!(report.failure.as_deref(), Some("no route"));
        let deaf: Vec<u32> = bench
            .campaigns
            .deaf(0, 1000)
            .iter()
            .map(|deaf| deaf.lease.parse().unwrap())
            .collect();
        assert_eq!(deaf.len(), 20);
        assert!(deaf.iter().all(|target| target % 5 == 0));
        assert_eq!(bench.campaigns.deaf(18, 1000).len(), 2);
        assert!(matches!(
            bench.campaigns.abort(None),
            Err(StartError::NotRunning)
        ));
        // The next one has the next number.
        assert_eq!(bench.start(1).unwrap().number, 2);
    }

    #[test]
    fn one_at_a_time_and_whoever_knows_its_number_ends_it() {
        let bench = Bench::new(false);
        bench.start(10).unwrap();
        let report = bench.until(|report| report.pause.is_some());
        assert_eq!(report.counts.sent, 0, "nobody could be answered");
        assert_eq!(report.clients()["under_way"], 10);
        let busy = bench.start(10);
        assert!(matches!(busy, Err(StartError::Busy { number: 1 })));
        let other = bench.campaigns.abort(Some(7));
        assert!(matches!(other, Err(StartError::NotRunning)));
        let report = bench.campaigns.abort(Some(1)).unwrap();
        assert_eq!(report.outcome, Outcome::Aborted);
        assert!(bench.ended.load(Ordering::Relaxed));
    }

    #[test]
    fn a_campaign_goes_on_when_clients_can_be_answered_again() {
        let bench = Bench::new(false);
        bench.start(10).unwrap();
        bench.until(|report| report.pause.is_some());
        bench.open.store(true, Ordering::Relaxed);
        let report = bench.until(|report| report.outcome == Outcome::Done);
        assert_eq!(report.counts.reacted, 8);
    }
}
