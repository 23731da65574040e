//! `xdhcpd config`: configurations of other servers as ours.

use super::{Failure, print};
use crate::config::kea::{self, Source};
use crate::config::plural;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Turn Kea's configuration into one of ours: on standard output, or into a file. What cannot be carried
    /// over is said with its place; then the exit code is 1 unless --lenient. The result passes `xdhcpd
    /// check` in any case.
    #[command(
        after_help = "Examples:\n  xdhcpd config import-kea --dhcp4 /etc/kea/kea-dhcp4.conf -o xdhcpd.toml\n  \
                            xdhcpd config import-kea --dhcp4 kea-dhcp4.conf --dhcp6 kea-dhcp6.conf --lenient > \
                            xdhcpd.toml"
    )]
    ImportKea(ImportKeaArgs),
}

#[derive(Debug, Args)]
pub(super) struct ImportKeaArgs {
    /// The configuration of kea-dhcp4.
    #[arg(long, value_name = "FILE", required_unless_present = "dhcp6")]
    dhcp4: Option<PathBuf>,
    /// The configuration of kea-dhcp6.
    #[arg(long, value_name = "FILE")]
    dhcp6: Option<PathBuf>,
    /// Where to write the result; standard output unless given.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Exit with 0 although something could not be carried over.
    #[arg(long)]
    lenient: bool,
}

pub(super) fn run(command: &ConfigCommand) -> Result<(), Failure> {
    let ConfigCommand::ImportKea(args) = command;
    let source = Source {
        dhcp4: args.dhcp4.clone(),
        dhcp6: args.dhcp6.clone(),
    };
    let imported = kea::import(&source).map_err(Failure::Rejected)?;
    for finding in &imported.findings {
        eprintln!("{}", imported.line(finding));
    }
    match &args.output {
        None => print(&imported.text)?,
        Some(path) => std::fs::write(path, &imported.text).map_err(|source| Failure::File {
            path: path.clone(),
            what: "cannot be written",
            source,
        })?,
    }
    match imported.lost() {
        0 => Ok(()),
        lost if args.lenient => {
            eprintln!("{} could not be carried over", plural(lost, "thing"));
            Ok(())
        }
        lost => Err(Failure::Rejected(format!(
            "{} could not be carried over (the result was written without); look at each, then use the \
             result, or say --lenient",
            plural(lost, "thing")
        ))),
    }
}
