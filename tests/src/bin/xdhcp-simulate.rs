//! Runs seeds of the simulation; `cargo xtask simulate` builds and calls it.
#![forbid(unsafe_code)]

use clap::Parser;
use dhcp_tests::sim::{self, Faults, Tally};
use indicatif::{ProgressBar, ProgressStyle};
use std::process::ExitCode;
use std::time::Instant;

/// Which runs.
#[derive(Parser)]
#[command(
    about = "Engine and store on a simulated disk, clock, network and crash",
    after_help = "Examples:\n  cargo xtask simulate --crashes 10000 --seeds 10\n  \
                  cargo xtask simulate --seed 4711 --faults power --crashes 10000"
)]
struct Args {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds of each kind of fault
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// How many crashes each run has
    #[arg(long, default_value_t = 1_000)]
    crashes: u64,
    /// Go on with further seeds for so long, instead of a number of them
    #[arg(long)]
    seconds: Option<u64>,
    /// Kinds of faults: process, power, io, space, clock, network, damage; or all
    #[arg(long, default_value = "all", value_delimiter = ',', value_parser = kind)]
    faults: Vec<Kind>,
    /// Results as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    All,
    One(Faults),
}

fn kind(text: &str) -> Result<Kind, String> {
    if text == "all" {
        return Ok(Kind::All);
    }
    let found = Faults::ALL.iter().find(|(_, name)| *name == text);
    let names: Vec<_> = Faults::ALL.iter().map(|(_, name)| *name).collect();
    found
        .map(|(faults, _)| Kind::One(*faults))
        .ok_or_else(|| format!("no such fault; there are {} and all", names.join(", ")))
}

fn main() -> ExitCode {
    let args = Args::parse();
    std::panic::set_hook(Box::new(|_| {})); // it is reported with its seed
    let kinds: Vec<Faults> = if args.faults.iter().any(|kind| matches!(kind, Kind::All)) {
        Faults::all().collect()
    } else {
        let one = |kind: &Kind| match kind {
            Kind::All => None,
            Kind::One(faults) => Some(*faults),
        };
        args.faults.iter().filter_map(one).collect()
    };
    let started = Instant::now();
    let bar = progress(&args, kinds.len() as u64);
    let mut runs = Vec::new();
    let mut violations = 0;
    let mut seed = args.seed;
    loop {
        for &faults in &kinds {
            bar.set_message(format!("seed {seed}, {}", faults.name()));
            let result = sim::run(seed, faults, args.crashes);
            bar.inc(1);
            match result {
                Ok(tally) => runs.push((seed, faults, tally)),
                Err(violation) => {
                    violations += 1;
                    bar.suspend(|| report(seed, faults, &args, &violation));
                }
            }
        }
        seed += 1;
        let is_over = match args.seconds {
            Some(seconds) => started.elapsed().as_secs() >= seconds,
            None => seed >= args.seed + args.seeds,
        };
        if is_over {
            break;
        }
    }
    bar.finish_and_clear();
    summary(&args, &kinds, &runs, violations, started);
    if violations == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn progress(args: &Args, kinds: u64) -> ProgressBar {
    let bar = match args.seconds {
        Some(_) => ProgressBar::new_spinner(),
        None => ProgressBar::new(kinds * args.seeds),
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} runs, {elapsed} ({msg})")
    {
        bar.set_style(style);
    }
    bar
}

fn report(seed: u64, faults: Faults, args: &Args, violation: &sim::Violation) {
    for line in &violation.log {
        eprintln!("{line}");
    }
    eprintln!(
        "violation in crash {}: {}",
        violation.crashes + 1,
        violation.what
    );
    eprintln!(
        "again: cargo xtask simulate --seed {seed} --faults {} --crashes {}\n",
        faults.name(),
        args.crashes.min(violation.crashes + 1)
    );
}

fn summary(
    args: &Args,
    kinds: &[Faults],
    runs: &[(u64, Faults, Tally)],
    violations: u64,
    started: Instant,
) {
    let seconds = started.elapsed().as_secs_f64();
    let sum = |of: &dyn Fn(&Tally) -> u64, kind: Option<Faults>| -> u64 {
        let counts = |run: &&(u64, Faults, Tally)| kind.is_none_or(|kind| run.1 == kind);
        runs.iter()
            .filter(counts)
            .map(|(_, _, tally)| of(tally))
            .sum()
    };
    let crashes = sum(&|tally| tally.crashes, None);
    if args.json {
        let figures = serde_json::json!([
            {"name": "simulate.crashes", "value": crashes, "unit": "crashes"},
            {"name": "simulate.violations", "value": violations, "unit": "violations"},
            {"name": "simulate.crash_rate", "value": crashes as f64 / seconds, "unit": "crashes/s"},
            {"name": "simulate.granted", "value": sum(&|tally| tally.granted, None), "unit": "leases"},
        ]);
        println!("{figures}");
        return;
    }
    println!(
        "{:<8} {:>5} {:>9} {:>9} {:>10} {:>11} {:>9} {:>8} {:>8} {:>8}",
        "faults",
        "runs",
        "crashes",
        "starts",
        "granted",
        "operations",
        "failed",
        "reloads",
        "damages",
        "steps"
    );
    for &kind in kinds {
        let of = |of: &dyn Fn(&Tally) -> u64| sum(of, Some(kind));
        println!(
            "{:<8} {:>5} {:>9} {:>9} {:>10} {:>11} {:>9} {:>8} {:>8} {:>8}",
            kind.name(),
            of(&|_| 1),
            of(&|tally| tally.crashes),
            of(&|tally| tally.starts),
            of(&|tally| tally.granted),
            of(&|tally| tally.operations),
            of(&|tally| tally.failed_calls),
            of(&|tally| tally.reloads),
            of(&|tally| tally.damages),
            of(&|tally| tally.steps)
        );
    }
    println!(
        "{crashes} crashes in {seconds:.1} s ({:.0}/s), {violations} violations",
        crashes as f64 / seconds
    );
}
