//! `xdhcpd leases export`: all leases into a file or a pipe, row by row.

use super::meter::Meter;
use super::{Failure, FamilyArg, StoreArgs};
use crate::config::notation;
use crate::leases::{Export, ExportError, Exported, Files, Format, KeaVersion, Which};
use clap::Args;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What is written at once.
const BUFFER_OCTETS: usize = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    pub(super) store: StoreArgs,
    /// DHCPv4 or DHCPv6; both unless given.
    #[arg(long, value_enum)]
    family: Option<FamilyArg>,
    /// How leases are written.
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    /// Which Kea is to read them: "2.2" for that and earlier ones, "2.4" for that and later ones.
    #[arg(long, value_enum, value_name = "VERSION", default_value = "2.4")]
    kea_version: KeaVersion,
    /// Leases in this state only.
    #[arg(long, value_enum, default_value_t)]
    state: Which,
    /// Leases of the subnet with this number only.
    #[arg(long, value_name = "ID")]
    subnet: Option<u32>,
    /// Leases of this client only: client identifier, DUID or hardware address in hexadecimal.
    #[arg(long, value_name = "OCTETS", value_parser = super::octets)]
    client: Option<String>,
    /// Write to this file instead of standard output; it is replaced when all is written, not before.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// No progress, and nothing about what is left out.
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(args: &ExportArgs) -> Result<(), Failure> {
    if args.format == Format::KeaCsv {
        super::leases::want_family(args.family);
    }
    give_way();
    let export = Export {
        format: args.format,
        kea: args.kea_version,
        v6: args.family.map(|family| family == FamilyArg::V6),
        which: args.state,
        subnet: args.subnet,
        client: args
            .client
            .as_ref()
            .and_then(|client| notation::octets(client).ok()),
    };
    let mut files = Files::open(&args.store.directory())?;
    let done = match &args.output {
        None => {
            let out = io::stdout().lock();
            write(&export, &mut files, out, args.quiet).map_err(Failure::from)?
        }
        Some(path) => to_file(&export, &mut files, path, args.quiet)?,
    };
    if !args.quiet {
        report(&done, args.output.is_some());
    }
    Ok(())
}

/// The server's workers come first when there are fewer processors than threads.
pub(super) fn give_way() {
    let _ = rustix::process::nice(10);
}

fn write(
    export: &Export,
    files: &mut Files,
    out: impl Write,
    is_quiet: bool,
) -> Result<Exported, ExportError> {
    let mut meter = Meter::new("slots", is_quiet);
    let mut out = BufWriter::with_capacity(BUFFER_OCTETS, out);
    export.write(files, &mut out, |at| meter.at(at.done, at.all))
}

/// Into a temporary file beside it, which takes its place once it is whole and on stable storage.
fn to_file(
    export: &Export,
    files: &mut Files,
    path: &Path,
    is_quiet: bool,
) -> Result<Exported, Failure> {
    let failed = |source| Failure::File {
        path: path.to_owned(),
        what: "cannot write the leases; free some space, or name another file",
        source,
    };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(temporary);
    // Who holds which address is not for everybody.
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(&temporary)
        .map_err(failed)?;
    let written = write(export, files, &file, is_quiet);
    let done = match written {
        Ok(done) => file
            .sync_all()
            .and_then(|()| fs::rename(&temporary, path))
            .and_then(|()| sync_directory(path))
            .map(|()| done)
            .map_err(failed),
        Err(ExportError::Write(source)) => Err(failed(source)),
        Err(ExportError::Read(error)) => Err(error.into()),
    };
    if done.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    done
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn report(done: &Exported, is_file: bool) {
    if is_file {
        eprintln!("{} leases were written", done.rows);
    }
    for (count, what) in [
        (
            done.moved,
            "leases changed hands meanwhile; their new holders are not listed",
        ),
        (
            done.left_out,
            "leases were left out: their clients' identifiers are too long or too short for Kea",
        ),
        (
            done.damaged,
            "records are damaged; see `xdhcpd leases verify`",
        ),
    ] {
        if count > 0 {
            eprintln!("{count} {what}");
        }
    }
}
