//! Where do leases to be imported come from? Files of several programs, read as one sequence of leases.

use super::rows::Spot;
use super::{isc, kea, own};
use dhcp_lease::{Binding, Lease, Timestamp};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// What an entry of a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A lease, as it is then.
    Lease(Box<Binding>),
    /// That there is no such lease any more.
    Gone(Lease),
    /// An address that a client made itself and had registered (RFC 9686): not a lease.
    Registered,
    /// What belongs to failover between two ISC servers.
    Failover,
    /// What is no lease: an identity of the server, a class, a host that was made on the fly.
    NoLease,
    /// Columns that nothing is known of.
    UnknownColumns(Vec<String>),
    /// The file ends inside its last entry: its writer was killed.
    Truncated,
}

/// Whose format a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SourceFormat {
    /// The lease file of Kea's memfile backend, either protocol.
    KeaCsv,
    /// ISC's dhcpd.leases or dhcpd6.leases.
    Isc,
    /// What `leases export --format csv` writes.
    Csv,
    /// What `leases export --format json` writes.
    Json,
}

impl SourceFormat {
    /// Tells it by how a file begins.
    ///
    /// # Errors
    /// Those of the system.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut input = BufReader::new(File::open(path)?);
        let mut beginning = Vec::new();
        while beginning.iter().all(u8::is_ascii_whitespace) {
            let there = input.fill_buf()?;
            if there.is_empty() {
                break;
            }
            beginning.extend_from_slice(there);
            let len = there.len();
            input.consume(len);
        }
        let beginning = beginning.trim_ascii_start();
        Ok(match beginning.first() {
            Some(b'[' | b'{') => Self::Json,
            _ if kea::is_header(beginning) => Self::KeaCsv,
            _ if own::is_header(beginning) => Self::Csv,
            _ if beginning.starts_with(b"address,") => Self::KeaCsv,
            Some(_) => Self::Isc,
            None => Self::KeaCsv,
        })
    }
}

/// Reads a file to its end, or until `each` has enough.
///
/// # Errors
/// Those of the system. What is wrong with the file goes to `each`, with its place.
pub fn read(
    path: &Path,
    format: SourceFormat,
    now: Timestamp,
    each: &mut dyn FnMut(Spot, Result<Item, String>) -> ControlFlow<()>,
) -> io::Result<()> {
    let input = BufReader::with_capacity(1 << 20, File::open(path)?);
    read_from(input, format, now, each)
}

/// As [`read`], from anything: for tests and fuzzing.
///
/// # Errors
/// Those of the input.
pub fn read_from(
    input: impl BufRead,
    format: SourceFormat,
    now: Timestamp,
    each: &mut dyn FnMut(Spot, Result<Item, String>) -> ControlFlow<()>,
) -> io::Result<()> {
    match format {
        SourceFormat::KeaCsv => kea::read(input, now, each),
        SourceFormat::Isc => isc::read(input, now, each),
        SourceFormat::Csv => own::read_csv(input, each),
        SourceFormat::Json => own::read_json(input, each),
    }
}

/// The files that Kea would read for one that it is given, the oldest first: while it clears up (`kea-lfc`),
/// what there was before lies beside it, and the name says how far it has come.
pub fn with_companions(path: &Path) -> Vec<PathBuf> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let completed = beside(".completed");
    let mut files: Vec<PathBuf> = if completed.exists() {
        // The result of a clearing up that was finished; `.1` and `.2` went into it.
        vec![completed]
    } else {
        let before = [beside(".2"), beside(".1")].into_iter();
        before.filter(|file| file.exists()).collect()
    };
    files.push(path.to_owned());
    files
}
