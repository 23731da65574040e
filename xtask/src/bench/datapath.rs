//! `cargo xtask bench datapath`: how much of what the link can carry does the server answer?
//!
//! On veth the packets a second of two machines, or of one machine on two days, cannot be compared: the
//! kernel does most of the work. The reflector takes the same frames over the same rings and sends them
//! back, so the ratio of the two says what the server's own work costs. They run in turns, since the
//! machine's speed drifts; the median of the turns' ratios is the figure. What it costs to wait for the disk is
//! measured in the same way, against the same server that does not.

use crate::build;
use crate::project::{Profile, Project};
use crate::rig::{Durability, Family, Rig, Running, number, write_figures};
use crate::setup::{self, Purpose};
use crate::steps;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// The ratio of DHCPv4 DORA at durability process below which the server is too slow.
const RATIO_MIN: f64 = 0.5;

/// Options of `cargo xtask bench datapath`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bench datapath                       all, some minutes\n  \
                        cargo xtask bench datapath --quick               the same, rougher\n  \
                        cargo xtask bench datapath --only v4/direct/process --json figures.json"
)]
pub(crate) struct Args {
    /// Fewer and shorter turns
    #[arg(long)]
    quick: bool,
    /// Only what has this in its name, as v4/direct/process
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// How many clients there are
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1000..=1_000_000))]
    clients: u32,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One row.
#[derive(Clone, Copy)]
struct Scenario {
    family: Family,
    /// Relay agents in front of the clients.
    relays: u32,
    durability: Durability,
}

/// The first one is what the floor of the ratio is about.
const SCENARIOS: [Scenario; 6] = [
    scenario(Family::V4, 0, Durability::Process),
    scenario(Family::V4, 0, Durability::Power),
    scenario(Family::V4, 16, Durability::Process),
    scenario(Family::V6, 0, Durability::Process),
    scenario(Family::V6, 0, Durability::Power),
    scenario(Family::V6, 16, Durability::Process),
];

const fn scenario(family: Family, relays: u32, durability: Durability) -> Scenario {
    Scenario {
        family,
        relays,
        durability,
    }
}

impl Scenario {
    fn name(self) -> String {
        let path = if self.relays > 0 { "relayed" } else { "direct" };
        format!("{}/{path}/{}", self.family, self.durability)
    }

    /// Exchanges in flight: enough to hide the round trip, and fewer than the 256 slots of a veth ring. Those
    /// that wait for the disk lie in no ring: two groups of them are added, one that is under way and one
    /// that is being filled.
    fn window(self) -> u32 {
        match self.durability {
            Durability::Process => 128,
            Durability::Power => 128 + 2 * 256,
        }
    }
}

/// How often and how long.
struct Extent {
    turns: u32,
    seconds: f64,
}

struct Bench<'a> {
    rig: &'a Rig<'a>,
    clients: u32,
    extent: Extent,
    figures: Vec<Value>,
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::ensure(project, &[Purpose::Build, Purpose::Network, Purpose::Bench])?;
    build::all(project, Profile::Release)?;
    let rig = Rig::new(project, "bench")?;
    let extent = match args.quick {
        true => Extent {
            turns: 3,
            seconds: 1.0,
        },
        false => Extent {
            turns: 7,
            seconds: 2.0,
        },
    };
    let mut bench = Bench {
        rig: &rig,
        clients: args.clients,
        extent,
        figures: Vec::new(),
    };
    let wanted = |scenario: &Scenario| {
        args.only
            .as_ref()
            .is_none_or(|only| scenario.name().contains(only.as_str()))
    };
    let scenarios: Vec<Scenario> = SCENARIOS.into_iter().filter(wanted).collect();
    ensure!(
        !scenarios.is_empty(),
        "--only: there is no such row; try --only v4"
    );
    println!(
        "{:<20} {:>10} {:>10} {:>6} {:>9}",
        "", "server/s", "reflect/s", "ratio", "loss"
    );
    let mut ratios = Vec::new();
    for scenario in scenarios {
        ratios.push((scenario, bench.measure(scenario)?));
    }
    bench.same_against_same()?;
    if let Some(path) = &args.json {
        write_figures(path, &bench.figures)?;
    }
    for (scenario, ratio) in ratios {
        let is_the_bar = scenario.name() == "v4/direct/process";
        ensure!(
            !is_the_bar || ratio >= RATIO_MIN,
            "bench datapath: the server answers {ratio:.2} of what the reflector does; at least \
             {RATIO_MIN} is wanted"
        );
    }
    Ok(())
}

impl Bench<'_> {
    /// One row; returns the ratio.
    fn measure(&mut self, scenario: Scenario) -> Result<f64> {
        let (mut reflected, mut served, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let (mut losses, mut to_process) = (Vec::new(), Vec::new());
        for _ in 0..self.extent.turns {
            let reflector = self.rig.start_reflector(scenario.family)?;
            let report = self.blast(scenario, &["--reflector".into()])?;
            let ceiling = number(&report, "answers_per_second")?;
            reflector.stop()?;
            let report = self.serve(scenario)?;
            let answered = number(&report, "answers_per_second")?;
            reflected.push(ceiling);
            served.push(answered);
            ratios.push(answered / ceiling);
            losses.push(number(&report, "loss")?);
            if scenario.durability == Durability::Power {
                let durability = Durability::Process;
                let report = self.serve(Scenario {
                    durability,
                    ..scenario
                })?;
                to_process.push(answered / number(&report, "answers_per_second")?);
            }
        }
        let [server, reflector] = [served, reflected].map(median);
        let (ratio, loss) = (median(ratios), median(losses));
        let name = scenario.name();
        println!(
            "{name:<20} {server:>10.0} {reflector:>10.0} {ratio:>6.3} {:>7.4} %",
            loss * 100.0
        );
        self.note(&name, "server", server, "packets/s");
        self.note(&name, "reflector", reflector, "packets/s");
        self.note(&name, "ratio", ratio, "ratio");
        self.note(&name, "loss", loss, "ratio");
        if !to_process.is_empty() {
            let ratio = median(to_process);
            println!(
                "{:<20} of what durability process answers in the same turns: {ratio:.3}",
                ""
            );
            self.note(&name, "ratio-to-process", ratio, "ratio");
        }
        self.half_load(scenario, server)?;
        Ok(ratio)
    }

    /// A saturated turn of a server of its own.
    fn serve(&self, scenario: Scenario) -> Result<Value> {
        let server = self.start_server(scenario)?;
        let report = self.blast(scenario, &[])?;
        check(scenario, &report)?;
        server.stop()?;
        Ok(report)
    }

    /// Latency where neither waits for the other; system calls, and leases per sync, while the server is busy.
    fn half_load(&mut self, scenario: Scenario, packets_per_second: f64) -> Result<()> {
        // An exchange is two packets to answer.
        let rate = (packets_per_second / 4.0).round().max(1.0).to_string();
        let arguments = ["--rate".to_owned(), rate];
        let reflector = self.rig.start_reflector(scenario.family)?;
        let mut reflected = arguments.to_vec();
        reflected.push("--reflector".into());
        let reflected = self.blast(scenario, &reflected)?;
        reflector.stop()?;
        let server = self.start_server(scenario)?;
        let served = self.blast(scenario, &arguments)?;
        check(scenario, &served)?;
        for (who, report) in [("server", &served), ("reflector", &reflected)] {
            self.note_latency(scenario, who, report)?;
        }
        if scenario.durability == Durability::Power {
            self.leases_per_sync(scenario)?;
        }
        if let Some(calls) = self.system_calls_per_packet(scenario)? {
            println!(
                "{:<20} system calls per answered packet, saturated: {calls:.4}",
                ""
            );
            self.note(&scenario.name(), "system-calls-per-packet", calls, "calls");
        }
        server.stop()
    }

    fn note_latency(&mut self, scenario: Scenario, who: &str, report: &Value) -> Result<()> {
        let mut told = String::new();
        for which in ["p50", "p99", "p99_9", "max"] {
            let path = format!("operations/obtain/latency_ns/{which}");
            let value = number(report, &path)?;
            let which = which.replace('_', ".");
            told += &format!("  {which} {:.1} us", value / 1e3);
            self.note(
                &scenario.name(),
                &format!("half-load/{who}/{which}"),
                value,
                "ns",
            );
        }
        println!("{:<20} whole exchange at half load, {who:<9}:{told}", "");
        Ok(())
    }

    /// How many lease records share a sync while the server is saturated.
    fn leases_per_sync(&mut self, scenario: Scenario) -> Result<()> {
        let (syncs_before, records_before) = self.synced()?;
        check(scenario, &self.blast(scenario, &[])?)?;
        let (syncs, records) = self.synced()?;
        let per_sync = (records - records_before) / (syncs - syncs_before);
        println!(
            "{:<20} lease records per sync, saturated: {per_sync:.1}",
            ""
        );
        self.note(&scenario.name(), "records-per-sync", per_sync, "records");
        Ok(())
    }

    /// Syncs of the journal so far, and the records in them.
    fn synced(&self) -> Result<(f64, f64)> {
        let mut status = self.rig.server_command();
        let text = steps::output(
            "asking the server for its status",
            status.args(["ctl", "status", "--json"]),
        )?;
        let status: Value = serde_json::from_str(&text).context("the server's status")?;
        Ok((
            number(&status, "syncs")?,
            number(&status, "synced-records")?,
        ))
    }

    /// Counts the server's system calls for a second in the middle of a saturated run. Nothing where
    /// `perf` is missing or may not count.
    fn system_calls_per_packet(&self, scenario: Scenario) -> Result<Option<f64>> {
        if !steps::on_path("perf") {
            eprintln!("bench: perf is not installed; system calls are not counted");
            return Ok(None);
        }
        let process = self.rig.server_process()?;
        let counted = thread::scope(|scope| {
            let counter = scope.spawn(move || {
                thread::sleep(Duration::from_millis(500));
                count_system_calls(&process)
            });
            let report = self.blast(scenario, &["--seconds".into(), "2".into()]);
            (report, counter.join())
        });
        let (report, calls) = counted;
        let packets_per_second = number(&report?, "answers_per_second")?;
        let calls = calls.ok().and_then(|calls| calls.ok());
        Ok(calls.map(|per_second| per_second / packets_per_second))
    }

    /// The reflector against itself: what differs here is the machine's noise, not the server.
    fn same_against_same(&mut self) -> Result<()> {
        let first = scenario(Family::V4, 0, Durability::Process);
        let mut ratios = Vec::new();
        for _ in 0..self.extent.turns {
            let mut pair = [0.0; 2];
            for rate in &mut pair {
                let reflector = self.rig.start_reflector(Family::V4)?;
                let report = self.blast(first, &["--reflector".into()])?;
                *rate = number(&report, "answers_per_second")?;
                reflector.stop()?;
            }
            let [a, b] = pair;
            ratios.push(a / b);
        }
        let ratio = median(ratios);
        println!(
            "{:<20} {:>28.3}   the reflector against itself",
            "noise", ratio
        );
        if (ratio - 1.0).abs() > 0.03 {
            eprintln!("bench: the machine is too noisy for ratios to within 3 %; measure again");
        }
        self.note("v4/direct", "reflector-against-itself", ratio, "ratio");
        Ok(())
    }

    fn start_server(&self, scenario: Scenario) -> Result<Running> {
        self.rig.start_server(self.clients, scenario.durability, 1)
    }

    fn blast(&self, scenario: Scenario, more: &[String]) -> Result<Value> {
        let (clients, window) = (self.clients.to_string(), scenario.window().to_string());
        let seconds = self.extent.seconds.to_string();
        let pairs = [
            ("--clients", &clients),
            ("--window", &window),
            ("--ia", &"both".to_owned()),
        ];
        let words = pairs
            .iter()
            .flat_map(|(name, value)| [(*name).to_owned(), (*value).clone()]);
        let mut arguments: Vec<String> = words.collect();
        if !more.contains(&"--seconds".to_owned()) {
            arguments.extend(["--seconds".to_owned(), seconds]);
        }
        if scenario.relays > 0 {
            arguments.extend(self.rig.relay_arguments(scenario.family, scenario.relays));
        }
        arguments.extend(more.iter().cloned());
        self.rig.blast(scenario.family, &arguments)
    }

    fn note(&mut self, scenario: &str, name: &str, value: f64, unit: &str) {
        let name = format!("datapath/{scenario}/{name}");
        self.figures
            .push(json!({"name": name, "value": value, "unit": unit}));
    }
}

/// A server that answers fast and wrongly is not measured.
fn check(scenario: Scenario, report: &Value) -> Result<()> {
    let violations = number(report, "violations")?;
    ensure!(
        violations == 0.0,
        "bench datapath: {}: {violations} wrong answers: {}",
        scenario.name(),
        report.get("violation_samples").unwrap_or(&Value::Null)
    );
    Ok(())
}

/// System calls of a process in a second, all its threads together.
fn count_system_calls(process: &str) -> Result<f64> {
    let event = "raw_syscalls:sys_enter";
    let mut perf = steps::privileged("perf");
    perf.args([
        "stat",
        "--event",
        event,
        "--field-separator",
        ",",
        "--log-fd",
        "1",
    ]);
    perf.args(["--pid", process, "--", "sleep", "1"]);
    let text = steps::output("counting system calls", &mut perf)?;
    let line = text
        .lines()
        .find(|line| line.contains(event))
        .context("no count from perf")?;
    let count = line.split(',').next().unwrap_or_default();
    count.parse().with_context(|| format!("perf says {line:?}"))
}

/// The middle value; of an even number the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied().unwrap_or(f64::NAN);
    match values.len() % 2 {
        0 => f64::midpoint(
            values.get(middle.wrapping_sub(1)).copied().unwrap_or(upper),
            upper,
        ),
        _ => upper,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
