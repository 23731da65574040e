//! Engine and store on a simulated disk, clock, network and crash, from one seed.
//!
//! The simulation is `xdhcp-simulate` in tests/src/sim; this builds it and passes the options on.

use crate::project::Project;
use crate::steps;
use anyhow::{Context, Result, bail};
use std::process::Command;

/// Options of `cargo xtask simulate`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask simulate --seconds 60\n  \
    cargo xtask simulate --crashes 10000 --seeds 10\n  \
    cargo xtask simulate --seed 4711 --faults power --crashes 10000    repeats a run exactly")]
pub(crate) struct Args {
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
    /// Kinds of faults, with commas between: process, power, io, space, clock, network, damage
    #[arg(long)]
    faults: Option<String>,
    /// Results as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// Builds the simulation and runs it; a violation is an error.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    let mut cargo = project.cargo();
    cargo.args(["build", "--quiet", "--profile", "simulate"]);
    cargo.args(["--package", "dhcp-tests", "--bin", "xdhcp-simulate"]);
    steps::run("building the simulation", &mut cargo)?;
    let mut command = Command::new(project.target.join("simulate/xdhcp-simulate"));
    command.args(["--seed", &args.seed.to_string()]);
    command.args(["--seeds", &args.seeds.to_string()]);
    command.args(["--crashes", &args.crashes.to_string()]);
    if let Some(seconds) = args.seconds {
        command.args(["--seconds", &seconds.to_string()]);
    }
    if let Some(faults) = &args.faults {
        command.args(["--faults", faults]);
    }
    if args.json {
        command.arg("--json");
    }
    let status = command.status().context("the simulation cannot be run")?;
    match status.code() {
        Some(0) => Ok(()),
        Some(2) => std::process::exit(2), // wrong usage; it has said so
        _ => bail!("a promise was broken; the command that repeats it stands above"),
    }
}
