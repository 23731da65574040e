//! How is a run told? As a table for people, as JSON with names that stay for programs.

use crate::Family;
use crate::check::Violation;
use crate::engine::Engine;
use crate::exchange::{Operation, Step};
use crate::statistics::Statistics;
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// A run and what it was about.
pub struct Report<'a> {
    /// Which DHCP.
    pub family: Family,
    /// Whether the two-message exchange was asked for.
    pub rapid_commit: bool,
    /// The counts.
    pub statistics: &'a Statistics,
    /// The clients after the run.
    pub held: Holdings,
}

/// What the clients hold after a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holdings {
    /// Clients with a lease.
    pub clients: u64,
    /// Addresses.
    pub addresses: u64,
    /// Delegated prefixes.
    pub prefixes: u64,
}

impl Holdings {
    /// Counts what the clients hold at this moment.
    pub fn of(engine: &Engine) -> Self {
        let mut holdings = Self::default();
        for held in engine.clients().iter().filter_map(|client| client.held) {
            holdings.clients += 1;
            holdings.addresses += u64::from(held.address.is_some());
            holdings.prefixes += u64::from(held.prefix.is_some());
        }
        holdings
    }
}

impl Report<'_> {
    /// The table.
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_table(&mut text);
        text
    }

    fn write_table(&self, text: &mut String) -> std::fmt::Result {
        let all = self.statistics;
        writeln!(
            text,
            "{:<18} {:>10} {:>10} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "", "sent", "received", "drops", "repeated", "min", "avg", "p50", "p99", "p99.9", "max"
        )?;
        for step in Step::ALL {
            let counts = all.step(step);
            if counts.sent == 0 {
                continue;
            }
            write!(
                text,
                "{:<18} {:>10} {:>10} {:>8} {:>8}",
                step.name(self.family, self.rapid_commit),
                counts.sent,
                counts.received,
                counts.drops,
                counts.repeated
            )?;
            write_latency(text, &counts.latency)?;
        }
        for operation in Operation::ALL {
            let counts = all.operation(operation);
            if counts.started == 0 {
                continue;
            }
            write!(
                text,
                "{:<18} {:>10} {:>10} {:>8} {:>8}",
                format!("{} (whole)", operation.name()),
                counts.started,
                counts.completed,
                counts.failed,
                ""
            )?;
            write_latency(text, &counts.latency)?;
        }
        writeln!(
            text,
            "exchanges/s {:.0}   answers/s {:.0}   in {:.2} s   loss {:.4} %   further offers {}   \
             stray {}   not started {}   dropped by our kernel {}",
            all.exchanges_per_second(),
            all.answers_per_second(),
            all.elapsed as f64 / 1e9,
            all.loss() * 100.0,
            all.further_offers,
            all.stray,
            all.not_started,
            all.dropped_by_kernel
        )?;
        writeln!(
            text,
            "clients with a lease {}   addresses {}   prefixes {}",
            self.held.clients, self.held.addresses, self.held.prefixes
        )?;
        for (reason, count) in &all.refusals {
            writeln!(text, "refused: {reason} {count}")?;
        }
        let duplicates = all.violations.count(Violation::DuplicateAddress);
        writeln!(
            text,
            "violations {}   duplicate addresses {duplicates}",
            all.violations.total()
        )?;
        for (kind, count) in &all.violations.counts {
            writeln!(text, "  {} {count}", kind.name())?;
        }
        for sample in &all.violations.samples {
            writeln!(text, "  e.g. {sample}")?;
        }
        Ok(())
    }

    /// The JSON object.
    pub fn json(&self) -> Value {
        let all = self.statistics;
        let steps: Map<String, Value> = Step::ALL
            .into_iter()
            .filter(|step| all.step(*step).sent > 0)
            .map(|step| {
                let counts = all.step(step);
                let value = json!({
                    "sent": counts.sent,
                    "received": counts.received,
                    "drops": counts.drops,
                    "repeated": counts.repeated,
                    "latency_ns": latency_json(&counts.latency),
                });
                (step.name(self.family, self.rapid_commit).to_owned(), value)
            })
            .collect();
        let operations: Map<String, Value> = Operation::ALL
            .into_iter()
            .filter(|operation| all.operation(*operation).started > 0)
            .map(|operation| {
                let counts = all.operation(operation);
                let value = json!({
                    "started": counts.started,
                    "completed": counts.completed,
                    "failed": counts.failed,
                    "latency_ns": latency_json(&counts.latency),
                });
                (operation.name().to_owned(), value)
            })
            .collect();
        let kinds: Map<String, Value> = Violation::ALL
            .into_iter()
            .map(|kind| (kind.name().to_owned(), all.violations.count(kind).into()))
            .collect();
        json!({
            "family": self.family.name(),
            "elapsed_seconds": all.elapsed as f64 / 1e9,
            "exchanges_per_second": all.exchanges_per_second(),
            "answers_per_second": all.answers_per_second(),
            "loss": all.loss(),
            "completed": all.operations(|counts| counts.completed),
            "failed": all.operations(|counts| counts.failed),
            "drops": all.steps(|counts| counts.drops),
            "further_offers": all.further_offers,
            "announced": all.announced,
            "stray": all.stray,
            "not_started": all.not_started,
            "dropped_by_kernel": all.dropped_by_kernel,
            "refusals": all.refusals,
            "steps": steps,
            "operations": operations,
            "violations": all.violations.total(),
            "violations_by_kind": kinds,
            "violation_samples": all.violations.samples,
            "clients_with_lease": self.held.clients,
            "addresses": self.held.addresses,
            "prefixes": self.held.prefixes,
        })
    }
}

fn write_latency(text: &mut String, latency: &Histogram<u64>) -> std::fmt::Result {
    let mean = latency.mean() as u64;
    let quantiles = [0.5, 0.99, 0.999].map(|quantile| latency.value_at_quantile(quantile));
    let [p50, p99, p999] = quantiles;
    for nanoseconds in [latency.min(), mean, p50, p99, p999, latency.max()] {
        write!(text, " {:>9}", duration(nanoseconds))?;
    }
    writeln!(text)
}

fn latency_json(latency: &Histogram<u64>) -> Value {
    json!({
        "min": latency.min(),
        "mean": latency.mean(),
        "p50": latency.value_at_quantile(0.5),
        "p90": latency.value_at_quantile(0.9),
        "p99": latency.value_at_quantile(0.99),
        "p99_9": latency.value_at_quantile(0.999),
        "max": latency.max(),
    })
}

/// Three digits and a unit.
fn duration(nanoseconds: u64) -> String {
    let value = nanoseconds as f64;
    match nanoseconds {
        0..1_000 => format!("{value} ns"),
        1_000..1_000_000 => format!("{:.1} us", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", value / 1e6),
        _ => format!("{:.2} s", value / 1e9),
    }
}
