//! The blaster: clients by the thousand, and the ledger of what they were promised.

use super::CLIENT_INTERFACE;
use super::namespace::Namespace;
use super::process::Process;
use super::server::{Leases, binary};
use serde_json::Value;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

/// How long any run of these tests may take.
const LONGEST: Duration = Duration::from_secs(60);

/// A running blaster.
#[derive(Debug)]
pub struct Blaster {
    process: Process,
}

impl Blaster {
    /// Starts it on the clients' interface.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(namespace: &Namespace, folder: &Path, arguments: &[&str]) -> Self {
        let program = binary("XDHCP_BLASTER_BIN", "xdhcp-blaster");
        // The report is all of standard output, so that of the run before goes.
        let _ = std::fs::remove_file(folder.join("blaster.out"));
        let mut command = namespace.command("env");
        command
            .arg(program)
            .args(["--interface", CLIENT_INTERFACE, "--json"])
            .args(arguments);
        Self {
            process: Process::start(&mut command, folder, "blaster"),
        }
    }

    /// Runs it to its end: the report.
    ///
    /// # Panics
    /// When it ends without a report.
    pub fn run(namespace: &Namespace, folder: &Path, arguments: &[&str]) -> Report {
        Self::start(namespace, folder, arguments).report()
    }

    /// Waits for its end, which may be a failure: the report says of what.
    ///
    /// # Panics
    /// When it ends without a report.
    pub fn report(self) -> Report {
        self.outcome().0
    }

    /// The same, and how it ended.
    ///
    /// # Panics
    /// When it ends without a report.
    pub fn outcome(mut self) -> (Report, ExitStatus) {
        let status = self.process.wait(LONGEST);
        let output = self.process.output();
        match serde_json::from_str(&output) {
            Ok(value) => (Report(value, self.process.log()), status),
            Err(error) => panic!("the blaster's report: {error}:\n{}", self.process.log()),
        }
    }
}

/// What the blaster says of its run, and all that it printed.
#[derive(Debug)]
pub struct Report(Value, String);

impl Report {
    /// A count of the report.
    ///
    /// # Panics
    /// When there is no such count.
    pub fn count(&self, name: &str) -> u64 {
        let value = self.0.get(name).and_then(Value::as_u64);
        value.unwrap_or_else(|| panic!("no count {name} in {}", self.0))
    }

    /// A count of one operation, 0 if there was no such operation.
    pub fn of(&self, operation: &str, name: &str) -> u64 {
        let operations = self.0.get("operations");
        let operation = operations.and_then(|all| all.get(operation));
        let count = operation.and_then(|operation| operation.get(name));
        count.and_then(Value::as_u64).unwrap_or(0)
    }

    /// A count of one question, 0 if it was not asked.
    pub fn step(&self, step: &str, name: &str) -> u64 {
        let step = self.0.get("steps").and_then(|all| all.get(step));
        let count = step.and_then(|step| step.get(name));
        count.and_then(Value::as_u64).unwrap_or(0)
    }

    /// How often answers had this fault.
    pub fn violations(&self, name: &str) -> u64 {
        let kinds = self.0.get("violations_by_kind");
        let count = kinds.and_then(|kinds| kinds.get(name));
        count.and_then(Value::as_u64).unwrap_or(0)
    }

    /// How long the longest exchange took.
    pub fn longest_nanoseconds(&self) -> u64 {
        let operations = self.0.get("operations").and_then(Value::as_object);
        let all = operations.into_iter().flat_map(|all| all.values());
        let longest = all.filter_map(|of| of.pointer("/latency_ns/max").and_then(Value::as_u64));
        longest.max().unwrap_or(0)
    }

    /// A count of `refusals`, 0 if it is not there.
    pub fn refusals(&self, name: &str) -> u64 {
        let refusals = self.0.get("refusals").and_then(Value::as_object);
        let found = refusals.and_then(|all| all.iter().find(|(reason, _)| reason.contains(name)));
        found.and_then(|(_, count)| count.as_u64()).unwrap_or(0)
    }

    /// That no answer was wrong.
    ///
    /// # Panics
    /// When one was.
    pub fn assert_clean(&self) {
        assert_eq!(self.count("violations"), 0, "{}\n{}", self.0, self.1);
    }
}

/// A lease that a client was promised.
#[derive(Clone, Debug)]
pub struct Promise {
    /// The client's Ethernet address, of which its DUID is made too.
    pub mac: String,
    /// Address, or prefix with its length.
    pub lease: String,
}

/// The promises in a file that the blaster wrote (`--leases-out`).
///
/// # Panics
/// When it is not such a file.
pub fn ledger(path: &Path) -> Vec<Promise> {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut promises = Vec::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let word = |name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
        let mac = word("mac").expect("a promise has a client");
        for lease in [word("address"), word("prefix")].into_iter().flatten() {
            promises.push(Promise {
                mac: mac.clone(),
                lease,
            });
        }
    }
    promises
}

/// That every promise is kept in the table, and no lease is held twice.
///
/// # Panics
/// With the first broken promises.
pub fn assert_kept(promises: &[Promise], leases: &Leases) {
    let twice = leases.held_twice();
    assert!(twice.is_empty(), "held by two: {twice:?}");
    let live: std::collections::HashMap<&str, _> = leases
        .live()
        .map(|record| (record.lease.as_str(), record))
        .collect();
    let broken: Vec<_> = promises
        .iter()
        .filter(|promise| {
            let record = live.get(promise.lease.as_str());
            !record.is_some_and(|record| record.belongs_to(&promise.mac))
        })
        .map(|promise| (promise, leases.any(&promise.lease)))
        .collect();
    assert!(
        broken.is_empty(),
        "{} of {} acknowledged leases are lost or another client's: {:?}",
        broken.len(),
        promises.len(),
        broken.iter().take(5).collect::<Vec<_>>()
    );
}
