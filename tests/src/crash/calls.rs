//! The campaign of system calls: a fault at every durable call of a run, of an opening, of an opening after
//! an opening that died.

use super::ledger::{Ledger, line};
use super::rig::Rig;
use super::server::{self, Place};
use super::trace::{self, Fault, Traced};
use dhcp_lease::Journal;
use dhcp_userspace::settings::Durability;
use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// This program, for the processes that it needs.
    pub program: PathBuf,
    /// Rounds of the run whose calls are hit: as many group commits, or a few less.
    pub rounds: u64,
    /// Every how many-th call of the run is hit, once it serves. Making a store, opening one and closing
    /// it are hit at every call.
    pub step: u64,
    /// How many openings in a row are killed.
    pub levels: u32,
    /// From which the run follows.
    pub seed: u64,
    /// What an acknowledgement survives.
    pub durability: Durability,
    /// Cases at the same time.
    pub lanes: usize,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Durable calls of the whole run.
    pub calls: u64,
    /// Durable calls of an opening that has something to replay and tables to enlarge.
    pub opening_calls: u64,
    /// Cases that ran.
    pub cases: u64,
    /// Cases in which the fault hit.
    pub hits: u64,
    /// Promises that were looked for and found.
    pub promises: u64,
    /// What went wrong.
    pub violations: Vec<String>,
}

/// One case: processes one after the other on one store, each with its fault.
#[derive(Clone, Debug)]
enum Case {
    /// A store is made, serves and is closed.
    Life(u64, Fault),
    /// A store that was killed is opened by each of these in turn, all but the last are killed.
    Openings(Vec<u64>, Fault),
}

/// A campaign stops after so many violations.
const VIOLATIONS_MAX: usize = 20;
/// The killed store whose openings are hit serves so long: its journal is not empty, and no checkpoint was
/// due.
const TEMPLATE_ROUNDS: u64 = 20;
const CAPACITY: u64 = 1024;
/// Openings enlarge the tables.
const CAPACITY_AFTER: u64 = 2048;
/// The exit code of a Rust program that panicked.
const PANICKED: i32 = 101;

impl Campaign {
    /// Runs it. `progress` is told how many cases are done, and of how many.
    ///
    /// # Panics
    /// When the machine does not play along.
    pub fn run(&self, progress: &(impl Fn(u64, u64) + Sync)) -> Outcome {
        let rig = Rig::in_memory();
        let bench = Bench::new(self, rig.folder().join("template"));
        bench.make_template();
        let (calls, opening_calls) = (bench.count_life(), bench.count_opening());
        let cases = self.cases(calls, opening_calls);
        let (next, done, hits, promises) = (
            AtomicU64::new(0),
            AtomicU64::new(0),
            AtomicU64::new(0),
            AtomicU64::new(0),
        );
        let violations = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for lane in 0..self.lanes {
                let bench = Bench {
                    folder: rig.folder().join(format!("lane-{lane}")),
                    ..bench.clone()
                };
                let (cases, next, done, hits, promises) = (&cases, &next, &done, &hits, &promises);
                let violations = &violations;
                scope.spawn(move || {
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed) as usize)
                    {
                        match bench.judge(case) {
                            Ok((kept, is_hit)) => {
                                promises.fetch_add(kept, Ordering::Relaxed);
                                hits.fetch_add(u64::from(is_hit), Ordering::Relaxed);
                            }
                            Err(text) => {
                                let mut violations = violations.lock().unwrap();
                                violations.push(format!("{case:?}: {text}"));
                                if violations.len() >= VIOLATIONS_MAX {
                                    next.store(u64::MAX / 2, Ordering::Relaxed);
                                }
                            }
                        }
                        progress(done.fetch_add(1, Ordering::Relaxed) + 1, cases.len() as u64);
                    }
                });
            }
        });
        Outcome {
            calls,
            opening_calls,
            cases: done.into_inner(),
            hits: hits.into_inner(),
            promises: promises.into_inner(),
            violations: violations.into_inner().unwrap(),
        }
    }

    fn cases(&self, calls: u64, opening_calls: u64) -> Vec<Case> {
        // Making the store is at the beginning, closing it at the end: these are hit everywhere.
        let edge = 4 * opening_calls;
        let numbers = (1..=calls)
            .filter(|at| *at <= edge || *at + edge > calls || at.is_multiple_of(self.step));
        let mut cases: Vec<Case> = numbers
            .flat_map(|at| Fault::ALL.map(|fault| Case::Life(at, fault)))
            .collect();
        let mut killed: Vec<Vec<u64>> = vec![Vec::new()];
        for _ in 0..self.levels {
            let deeper = killed.iter().flat_map(|before| {
                (1..=opening_calls).map(|at| [before.as_slice(), &[at]].concat())
            });
            let deeper: Vec<Vec<u64>> = deeper.collect();
            let openings =
                |at: &Vec<u64>| Fault::ALL.map(|fault| Case::Openings(at.clone(), fault));
            match killed.len() {
                1 => cases.extend(deeper.iter().flat_map(openings)),
                _ => cases.extend(
                    deeper
                        .iter()
                        .map(|at| Case::Openings(at.clone(), Fault::Kill)),
                ),
            }
            killed = deeper;
        }
        cases
    }
}

/// Where cases run.
#[derive(Clone, Debug)]
struct Bench {
    campaign: Campaign,
    /// The killed store and its ledger.
    template: PathBuf,
    /// What this lane works in.
    folder: PathBuf,
}

impl Bench {
    fn new(campaign: &Campaign, template: PathBuf) -> Self {
        Self {
            campaign: campaign.clone(),
            folder: template.clone(),
            template,
        }
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn place(&self, capacity: u64) -> Place {
        Place {
            directory: self.state(),
            capacity,
            journal_octets: Journal::OCTETS_MIN,
            durability: self.campaign.durability,
        }
    }

    fn drive(&self, capacity: u64, rounds: u64, now: u64, end: &str) -> Command {
        let durability = match self.campaign.durability {
            Durability::Power => "power",
            Durability::Process => "process",
        };
        let mut command = Command::new(&self.campaign.program);
        command
            .args([
                "drive",
                "--traced",
                "--workers",
                "1",
                "--durability",
                durability,
                "--state",
            ])
            .arg(self.state())
            .args(["--capacity", &capacity.to_string(), "--end", end])
            .args(["--seed", &self.campaign.seed.to_string()])
            .args(["--rounds", &rounds.to_string(), "--now", &now.to_string()]);
        command
    }

    fn ledger_file(&self) -> PathBuf {
        self.folder.join("ledger")
    }

    fn life(&self, fault: Option<(u64, Fault)>) -> Traced {
        let command = &mut self.drive(
            CAPACITY,
            self.campaign.rounds,
            super::drive::BEGINNING,
            "stop",
        );
        trace::run(command, &self.ledger_file(), fault)
    }

    fn opening(&self, now: u64, fault: Option<(u64, Fault)>) -> Traced {
        let command = &mut self.drive(CAPACITY_AFTER, 0, now, "stop");
        trace::run(command, &self.folder.join("opening-ledger"), fault)
    }

    fn clear(&self) {
        let _ = std::fs::remove_dir_all(&self.folder);
        std::fs::create_dir_all(&self.folder).unwrap();
    }

    fn make_template(&self) {
        self.clear();
        let command = &mut self.drive(CAPACITY, TEMPLATE_ROUNDS, super::drive::BEGINNING, "kill");
        let traced = trace::run(command, &self.ledger_file(), None);
        assert_eq!(traced.code, Some(0), "{traced:?}");
    }

    /// A copy of the killed store; when it died.
    fn take_template(&self) -> (Ledger, u64) {
        self.clear();
        std::fs::create_dir(self.state()).unwrap();
        for file in std::fs::read_dir(self.template.join("state")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), self.state().join(file.file_name())).unwrap();
        }
        let text = std::fs::read_to_string(self.template.join("ledger")).unwrap();
        let now = Ledger::parse(&text).end().unwrap().now;
        // From now on the server has more room.
        (Ledger::parse(&(text + &line::life(CAPACITY_AFTER, 0))), now)
    }

    fn count_life(&self) -> u64 {
        let bench = Self {
            folder: self.folder.with_file_name("count"),
            ..self.clone()
        };
        bench.clear();
        let traced = bench.life(None);
        assert_eq!(traced.code, Some(0), "{traced:?}");
        traced.calls
    }

    fn count_opening(&self) -> u64 {
        let bench = Self {
            folder: self.folder.with_file_name("count"),
            ..self.clone()
        };
        let (_, now) = bench.take_template();
        let traced = bench.opening(now, None);
        assert_eq!(traced.code, Some(0), "{traced:?}");
        traced.calls
    }

    /// How many promises were kept, and whether the fault hit.
    fn judge(&self, case: &Case) -> Result<(u64, bool), String> {
        match case {
            Case::Life(at, fault) => {
                self.clear();
                let traced = self.life(Some((*at, *fault)));
                let text = std::fs::read_to_string(self.ledger_file()).unwrap();
                check_end(&traced)?;
                check_silence(&traced, &text)?;
                let kept = self.judge_store(&Ledger::parse(&text), CAPACITY);
                let kept = kept.map_err(|wrong| format!("{:?}: {wrong}", traced.hit))?;
                Ok((kept, traced.hit.is_some()))
            }
            Case::Openings(at, fault) => {
                let (ledger, now) = self.take_template();
                let mut is_hit = true;
                for at in at {
                    let traced = self.opening(now, Some((*at, *fault)));
                    check_end(&traced)?;
                    is_hit &= traced.hit.is_some();
                }
                Ok((self.judge_store(&ledger, CAPACITY_AFTER)?, is_hit))
            }
        }
    }

    fn judge_store(&self, ledger: &Ledger, capacity: u64) -> Result<u64, String> {
        // A process that died before it wrote a word promised nothing.
        let Some(cut) = ledger.end() else {
            return Ok(0);
        };
        let _alone = trace::none_starts();
        let opened = server::open(&self.place(capacity), cut.now);
        let opened = opened.map_err(|error| format!("the store does not open: {error}"))?;
        Ok(ledger.judge(&opened, &cut)?.promises)
    }
}

/// A server may refuse to start, and it may stop to promise, but it must not fall over.
fn check_end(traced: &Traced) -> Result<(), String> {
    let is_right = match traced.code {
        None => traced.is_killed && traced.hit.is_some(),
        Some(code) => code != PANICKED,
    };
    if is_right {
        Ok(())
    } else {
        Err(format!("it ended badly: {traced:?}"))
    }
}

/// Nothing new is promised between a failed commit and the next sync. What was promised before may be
/// said again: an early renewal is answered from a record that is durable.
fn check_silence(traced: &Traced, ledger: &str) -> Result<(), String> {
    let Some((from, to)) = traced.silence else {
        return Ok(());
    };
    let (from, to) = (from as usize, (to as usize).min(ledger.len()));
    let before: HashSet<_> = promises(ledger.get(..from).unwrap_or_default()).collect();
    let said = ledger.get(from..to).unwrap_or_default();
    let new = promises(said).find(|promise| !before.contains(promise));
    match new {
        None => Ok(()),
        Some(promise) => Err(format!(
            "{:?}: then it promised without a sync: {promise:?}",
            traced.hit
        )),
    }
}

/// Client, lease and end of the promises in a ledger.
fn promises(ledger: &str) -> impl Iterator<Item = [&str; 3]> {
    let acks = ledger.lines().filter_map(|line| line.strip_prefix("ack "));
    acks.filter_map(|ack| match ack.split(' ').collect::<Vec<_>>()[..] {
        // An answer without a lease promises nothing.
        [_, _, "-", ..] => None,
        [client, _, lease, expires, _] => Some([client, lease, expires]),
        _ => None,
    })
}
