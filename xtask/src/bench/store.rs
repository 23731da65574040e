//! `cargo xtask bench store`: how fast does the lease store open, and what does it cost?
//!
//! The program `xdhcp-store` measures; here it is built and given its options. The store lies below the
//! target directory unless it is told otherwise, for a temporary directory may be memory.

use crate::build;
use crate::project::{Profile, Project};
use crate::setup::{self, Purpose};
use crate::steps;
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

/// Options of `cargo xtask bench store`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bench store                          10 million leases, some minutes\n  \
                        cargo xtask bench store --quick --leases 1000000\n  \
                        cargo xtask bench store --refusal                a full pool refuses the next client\n  \
                        cargo xtask bench store --leases 16000000 --json figures.json"
)]
pub(crate) struct Args {
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
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::ensure(project, &[Purpose::Build])?;
    build::all(project, Profile::Release)?;
    let directory = args.directory.clone();
    let directory = directory.unwrap_or_else(|| project.target.join("bench-store"));
    let mut program = Command::new(project.binary("xdhcp-store", Profile::Release));
    program.arg("--leases").arg(args.leases.to_string());
    program.arg("--directory").arg(directory);
    for (is_wanted, flag) in [(args.quick, "--quick"), (args.refusal, "--refusal")] {
        if is_wanted {
            program.arg(flag);
        }
    }
    if let Some(path) = &args.json {
        program.arg("--json").arg(path);
    }
    steps::run("measuring the lease store", &mut program)
}
