//! `cargo xtask demo`: the main job on real packets, with the proof that it was done right.

use crate::build;
use crate::project::{Profile, Project};
use crate::rig::{Durability, Family, Rig, number};
use crate::setup::{self, Purpose};
use crate::steps;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

/// Unanswered questions as a share of all that a demonstration may show.
const LOSS_MAX: f64 = 0.001;

/// Options of `cargo xtask demo`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask demo                        both families, 50,000 clients each\n  \
                        cargo xtask demo --family v6 --seconds 10\n  \
                        cargo xtask demo --durability process --json"
)]
pub(crate) struct Args {
    /// Clients of each family
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    clients: u32,
    /// How long clients go on after each has its first lease: one new exchange to four renewals
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Which DHCP
    #[arg(long, value_enum, default_value_t = Families::Both)]
    family: Families,
    /// What an acknowledged lease survives
    #[arg(long, value_enum, default_value_t = Durability::Power)]
    durability: Durability,
    /// Worker threads of the server
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Families {
    V4,
    V6,
    Both,
}

impl Families {
    fn list(self) -> &'static [Family] {
        match self {
            Self::V4 => &[Family::V4],
            Self::V6 => &[Family::V6],
            Self::Both => &[Family::V4, Family::V6],
        }
    }
}

/// What happened in one family.
struct Outcome {
    family: Family,
    /// Every client obtains its first lease.
    first: Value,
    /// Clients renew, and some begin anew.
    after: Value,
    /// What clients hold in the end, and what the server's table says.
    acknowledged: BTreeSet<String>,
    in_table: BTreeSet<String>,
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::ensure(project, &[Purpose::Build, Purpose::Network])?;
    eprintln!("demo: building");
    build::all(project, Profile::Release)?;
    eprintln!(
        "demo: two namespaces, joined by a veth pair; xdhcpd at one end, the blaster at the other"
    );
    let rig = Rig::new(project, "demo")?;
    let server = rig.start_server(args.clients, args.durability, args.workers)?;
    let mut outcomes = Vec::new();
    for family in args.family.list() {
        outcomes.push(drive(&rig, *family, args)?);
    }
    server.stop()?;
    if args.json {
        println!(
            "{}",
            Value::Array(outcomes.iter().flat_map(Outcome::figures).collect())
        );
    } else {
        outcomes.iter().for_each(Outcome::print);
    }
    let mut problems = Vec::new();
    for outcome in &outcomes {
        problems.extend(outcome.problems(args.clients)?);
    }
    ensure!(problems.is_empty(), "demo: {}", problems.join("; "));
    if !args.json {
        println!("All clients served, every answer right, and every lease is in the table.");
    }
    Ok(())
}

fn drive(rig: &Rig<'_>, family: Family, args: &Args) -> Result<Outcome> {
    let leases = rig.path("leases.jsonl");
    let file = leases.display().to_string();
    let clients = args.clients.to_string();
    let mut arguments = vec![
        "--clients".to_owned(),
        clients,
        "--leases-out".into(),
        file.clone(),
    ];
    arguments.extend(["--ia", "both"].map(str::to_owned));
    eprintln!(
        "demo: DHCP{family}: {} clients obtain their first lease",
        args.clients
    );
    let first = rig.blast(family, &arguments)?;
    eprintln!(
        "demo: DHCP{family}: renewals and new exchanges for {} s",
        args.seconds
    );
    let seconds = args.seconds.to_string();
    let more = [
        "--leases-in",
        &file,
        "--mix",
        "obtain=1,renew=4",
        "--seconds",
        &seconds,
    ];
    arguments.extend(more.map(str::to_owned));
    let after = rig.blast(family, &arguments)?;
    let acknowledged = acknowledged(&leases)?;
    let in_table = in_table(rig, family)?;
    Ok(Outcome {
        family,
        first,
        after,
        acknowledged,
        in_table,
    })
}

/// Addresses and prefixes in the blaster's file of leases.
fn acknowledged(path: &std::path::Path) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let lease: Value = serde_json::from_str(line).context("a line of the blaster's leases")?;
        let both = ["address", "prefix"].map(|key| lease.get(key).and_then(Value::as_str));
        found.extend(both.into_iter().flatten().map(str::to_owned));
    }
    Ok(found)
}

/// Addresses and prefixes that are leased, as the running server's table has them.
fn in_table(rig: &Rig<'_>, family: Family) -> Result<BTreeSet<String>> {
    let mut command = rig.server_command();
    command.args(["leases", "list", "--format", "json"]);
    let text = steps::output("listing the server's leases", &mut command)?;
    let leases: Vec<Value> = serde_json::from_str(&text).context("the server's list of leases")?;
    let of = |lease: &Value, key: &str| lease.get(key).and_then(Value::as_str).map(str::to_owned);
    let wanted = |lease: &&Value| {
        let is_v4 = of(lease, "kind").as_deref() == Some("v4");
        let leased = of(lease, "state").as_deref() == Some("leased");
        leased && is_v4 == (family == Family::V4)
    };
    Ok(leases
        .iter()
        .filter(wanted)
        .filter_map(|lease| of(lease, "address"))
        .collect())
}

impl Outcome {
    /// Everything that must not be.
    fn problems(&self, clients: u32) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        let family = self.family;
        for (phase, report) in [("first leases", &self.first), ("renewals", &self.after)] {
            let (loss, violations) = (number(report, "loss")?, number(report, "violations")?);
            if loss >= LOSS_MAX {
                problems.push(format!("DHCP{family}, {phase}: {:.3} % lost", loss * 100.0));
            }
            if violations > 0.0 {
                let samples = report.get("violation_samples").unwrap_or(&Value::Null);
                problems.push(format!(
                    "DHCP{family}, {phase}: {violations} violations: {samples}"
                ));
            }
        }
        let served = number(&self.after, "clients_with_lease")?;
        if served != f64::from(clients) {
            problems.push(format!(
                "DHCP{family}: {served} of {clients} clients have a lease"
            ));
        }
        if self.acknowledged != self.in_table {
            let lost = self.acknowledged.difference(&self.in_table).count();
            let unknown = self.in_table.difference(&self.acknowledged).count();
            problems.push(format!(
                "DHCP{family}: {lost} acknowledged leases are not in the table, {unknown} in the \
                 table were not acknowledged"
            ));
        }
        Ok(problems)
    }

    fn print(&self) {
        println!("\nDHCP{}", self.family);
        // What a report lacks shows as zero here and is an error in `problems`.
        let of = |report: &Value, path: &str| number(report, path).unwrap_or(0.0);
        for (phase, operation, report) in [
            ("first leases", "obtain", &self.first),
            ("renewals", "renew", &self.after),
        ] {
            let latency = |which: &str| {
                of(
                    report,
                    &format!("operations/{operation}/latency_ns/{which}"),
                ) / 1e3
            };
            println!(
                "  {phase:<14} {:>9.0} exchanges, {:>8.0} exchanges/s, {:>9.0} packets/s answered",
                of(report, "completed"),
                of(report, "exchanges_per_second"),
                of(report, "answers_per_second"),
            );
            println!(
                "  {:<14} latency of {operation}: p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us, max {:.0} us",
                "",
                latency("p50"),
                latency("p99"),
                latency("p99_9"),
                latency("max"),
            );
            println!(
                "  {:<14} drops {} ({:.4} %), duplicate addresses {}, violations {}",
                "",
                of(report, "drops"),
                of(report, "loss") * 100.0,
                of(report, "violations_by_kind/duplicate-address"),
                of(report, "violations"),
            );
        }
        println!(
            "  {:<14} {} clients hold {} leases, the server's table has {}",
            "in the end",
            of(&self.after, "clients_with_lease"),
            self.acknowledged.len(),
            self.in_table.len(),
        );
    }

    /// The figures with names that stay.
    fn figures(&self) -> Vec<Value> {
        let family = self.family;
        let figure = |name: &str, value: f64, unit: &str| json!({"name": format!("demo/{family}/{name}"), "value": value, "unit": unit});
        let mut figures = Vec::new();
        for (phase, operation, report) in [
            ("first", "obtain", &self.first),
            ("renewals", "renew", &self.after),
        ] {
            let mut push = |name: &str, path: &str, unit: &str| {
                if let Ok(value) = number(report, path) {
                    figures.push(figure(&format!("{phase}/{name}"), value, unit));
                }
            };
            push("exchanges-per-second", "exchanges_per_second", "1/s");
            push("packets-answered-per-second", "answers_per_second", "1/s");
            push("drops", "drops", "packets");
            push("loss", "loss", "ratio");
            push("violations", "violations", "answers");
            push(
                "duplicate-addresses",
                "violations_by_kind/duplicate-address",
                "leases",
            );
            for which in ["p50", "p99", "p99_9", "max"] {
                let path = format!("operations/{operation}/latency_ns/{which}");
                push(&format!("latency/{}", which.replace('_', ".")), &path, "ns");
            }
        }
        figures.push(figure(
            "clients",
            number(&self.after, "clients_with_lease").unwrap_or(0.0),
            "clients",
        ));
        figures.push(figure(
            "leases-acknowledged",
            self.acknowledged.len() as f64,
            "leases",
        ));
        figures.push(figure(
            "leases-in-table",
            self.in_table.len() as f64,
            "leases",
        ));
        figures
    }
}
