//! Every routine of the project; `cargo xtask --help` lists them.
//!
//! This file only dispatches: one module per routine. Every routine first sets up what it needs.

mod bench;
mod build;
mod cleanup;
mod crash;
mod demo;
mod fuzz;
mod miri;
mod netns;
mod project;
mod rfc;
mod rig;
mod rows;
mod setup;
mod simulate;
mod steps;
mod test;

use clap::Parser;
use project::Project;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    about = "Builds, tests and measures xdhcpd. Every command first sets up what it needs.",
    after_help = "Examples:\n  cargo xtask build --release    build everything\n  \
                  cargo xtask test --quick       all tests that need no root\n\n\
                  Exit code: 0 success, 1 failure, 2 wrong usage.",
    arg_required_else_help = true
)]
enum Routine {
    /// Install what the other commands need: packages, compiler and linker for BPF
    Setup(setup::Args),
    /// Build the XDP programs, the server and the blaster
    Build(build::Args),
    /// Watch the main job on real packets: tens of thousands of clients, one server, two namespaces
    Demo(demo::Args),
    /// Run every test, lints included
    Test(test::Args),
    /// Crash the lease store in all ways: power cuts, kills, failing disks, flipped bits
    Crash(crash::Args),
    /// Measure
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Feed the parsers, the engine and the store ever stranger octets
    Fuzz(fuzz::Args),
    /// Engine and store on a simulated disk, clock, network and crash, from one seed
    Simulate(simulate::Args),
    /// Run the store's tests under Miri, which checks every access to memory
    Miri(miri::Args),
    /// Compare the RFC requirements with the citations in the code
    Rfc(rfc::Args),
}

fn main() -> ExitCode {
    // Wrong usage ends in here, with code 2.
    let routine = Routine::parse();
    match run(routine) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(routine: Routine) -> anyhow::Result<()> {
    cleanup::on_signals()?;
    let project = Project::here()?;
    match routine {
        Routine::Setup(args) => setup::run(&project, &args),
        Routine::Build(args) => build::run(&project, &args),
        Routine::Demo(args) => demo::run(&project, &args),
        Routine::Bench(bench) => bench::run(&project, &bench),
        Routine::Simulate(args) => simulate::run(&project, &args),
        Routine::Test(args) => test::run(&project, &args),
        Routine::Crash(args) => crash::run(&project, &args),
        Routine::Fuzz(args) => fuzz::run(&project, &args),
        Routine::Miri(args) => miri::run(&project, &args),
        Routine::Rfc(args) => rfc::run(&project.root, &args),
    }
}
