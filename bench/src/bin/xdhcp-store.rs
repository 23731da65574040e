//! xdhcp-store: how fast the lease store opens and stops, what it costs in memory, and what a commit costs.
#![deny(unsafe_code)]

use anyhow::Context;
use clap::Parser;
use dhcp_bench::store::campaign::{self, Extent};
use dhcp_bench::store::steps::Step;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures the lease store on real files.
#[derive(Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  xdhcp-store --leases 1000000\n  \
                  xdhcp-store --quick --directory /var/tmp/store --json figures.json"
)]
struct Options {
    /// How many leases
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1000..=16_777_216))]
    leases: u64,
    /// Fewer and shorter turns
    #[arg(long)]
    quick: bool,
    /// Measure nothing but the refusal of clients when every address of a pool is taken
    #[arg(long)]
    refusal: bool,
    /// Where to make the store, on the disk that is meant; removed afterwards
    #[arg(long, value_name = "PATH")]
    directory: Option<PathBuf>,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    inner: Option<Inner>,
}

#[derive(clap::Subcommand)]
enum Inner {
    /// One step of it, for the program itself
    #[command(subcommand, hide = true)]
    Step(Step),
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xdhcp-store: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    if let Some(Inner::Step(step)) = &options.inner {
        return step.run();
    }
    let extent = Extent {
        is_refusal_only: options.refusal,
        leases: options.leases,
        turns: if options.quick { 3 } else { 7 },
        seconds: if options.quick { 2.0 } else { 5.0 },
    };
    let directory = options.directory.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("xdhcp-store-{}", std::process::id()))
    });
    let figures = campaign::run(&directory, extent)?;
    if let Some(path) = &options.json {
        std::fs::write(path, figures.json())
            .with_context(|| format!("{}: cannot write", path.display()))?;
    }
    Ok(())
}
