//! `cargo xtask bench`: measurements, each with its method in its own module.

mod datapath;
mod store;

use crate::project::Project;
use anyhow::Result;

/// What is measured.
#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// The server against a plain AF_XDP reflector over veth, with the same blaster, in turns
    Datapath(datapath::Args),
    /// The lease store on real files: opening after a crash and after a stop, memory, commits
    Store(store::Args),
}

pub(crate) fn run(project: &Project, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Datapath(args) => datapath::run(project, args),
        Bench::Store(args) => store::run(project, args),
    }
}
