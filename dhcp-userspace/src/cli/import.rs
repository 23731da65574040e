//! `xdhcpd leases import`: leases of another server into the store, running or stopped.

mod sink;

use super::meter::Meter;
use super::{ConfigArg, Failure, print, print_json};
use crate::clock;
use crate::config::plural;
use crate::leases::Spot;
use crate::leases::import::{How, LastEntries, Outcome, Rule, SubnetFrom};
use crate::leases::source::{self, Item, SourceFormat};
use clap::Args;
use dhcp_lease::{Binding, State, Timestamp};
use sink::Sink;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Where the lease tables live.
    #[arg(long, value_name = "DIR", env = "XDHCPD_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// The control socket, for a server that is running.
    #[arg(long, value_name = "PATH", env = "XDHCPD_SOCKET")]
    socket: Option<PathBuf>,
    /// Files in the order in which they were written: later entries count instead of earlier ones. With a
    /// single file of Kea's, what its cleaning process left beside it is read as well.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Whose format the files have, if it is not to be told by how each begins.
    #[arg(long, value_enum)]
    format: Option<SourceFormat>,
    /// By what a lease finds its subnet: its address in the configuration, or the number in the file.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    subnet_id_from: SubnetFrom,
    /// Bindings of the store count, also where the file's are newer.
    #[arg(long, conflicts_with = "replace")]
    keep: bool,
    /// Bindings of the file count, also where the store's are newer or another client's.
    #[arg(long)]
    replace: bool,
    /// Say what would become of the leases, and change none.
    #[arg(long)]
    dry_run: bool,
    /// Exit with 0 although entries were rejected.
    #[arg(long)]
    lenient: bool,
    /// Show at most so many entries that were rejected.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    errors: usize,
    /// No progress.
    #[arg(short, long)]
    quiet: bool,
    /// Print the counts as JSON.
    #[arg(long)]
    json: bool,
}

impl ImportArgs {
    fn how(&self) -> How {
        How {
            rule: match (self.keep, self.replace) {
                (true, _) => Rule::Keep,
                (_, true) => Rule::Replace,
                _ => Rule::Newer,
            },
            subnets: self.subnet_id_from,
            is_dry_run: self.dry_run,
        }
    }

    /// The files with their formats.
    fn sources(&self) -> Result<Vec<Source>, Failure> {
        let source = |path: PathBuf| {
            let format = match self.format {
                Some(format) => Ok(format),
                None => SourceFormat::of(&path),
            };
            match format {
                Ok(format) => Ok(Source { path, format }),
                Err(source) => Err(unreadable(&path)(source)),
            }
        };
        let mut sources: Vec<Source> = self
            .files
            .iter()
            .cloned()
            .map(source)
            .collect::<Result<_, _>>()?;
        if let [
            Source {
                path,
                format: SourceFormat::KeaCsv,
            },
        ] = sources.as_slice()
        {
            let all = source::with_companions(path);
            sources = all.into_iter().map(source).collect::<Result<_, _>>()?;
        }
        Ok(sources)
    }
}

struct Source {
    path: PathBuf,
    format: SourceFormat,
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.to_owned();
    |source| Failure::File {
        path,
        what: "cannot be read",
        source,
    }
}

pub(super) fn run(args: &ImportArgs) -> Result<(), Failure> {
    let now = clock::wall();
    let sources = args.sources()?;
    let last = last_entries(&sources, now)?;
    let sink = Sink::open(args)?;
    let mut import = Import {
        args,
        how: args.how(),
        now,
        sink,
        last,
        number: 0,
        batch: Vec::new(),
        counts: Counts::default(),
        meter: Meter::new("entries", args.quiet),
    };
    for source in &sources {
        import.read(source)?;
    }
    import.flush()?;
    let Import {
        sink,
        last,
        counts,
        meter,
        ..
    } = import;
    drop(meter);
    sink.close()?;
    counts.report(args, &last)
}

/// Whether an entry tells of a quarantine that is over.
fn is_over(binding: &Binding, now: Timestamp) -> bool {
    binding.state == State::Declined && binding.expires <= now
}

/// Which entries count, from a first reading.
fn last_entries(sources: &[Source], now: Timestamp) -> Result<LastEntries, Failure> {
    let mut last = LastEntries::new(now);
    for Source { path, format } in sources {
        source::read(path, *format, now, &mut |_, item| {
            if let Ok(item) = item {
                last.add(&item, *format);
            }
            ControlFlow::Continue(())
        })
        .map_err(unreadable(path))?;
    }
    Ok(last)
}

/// Where an entry came from.
struct Origin {
    file: usize,
    spot: Spot,
}

/// An import under way.
struct Import<'a> {
    args: &'a ImportArgs,
    how: How,
    now: Timestamp,
    sink: Sink,
    last: LastEntries,
    /// How many entries were read, as [`LastEntries`] counts them.
    number: u32,
    batch: Vec<(Origin, Binding)>,
    counts: Counts,
    meter: Meter,
}

/// What became of everything.
#[derive(Default)]
struct Counts {
    outcomes: BTreeMap<Outcome, u64>,
    outside_pools: u64,
    outside_subnets: u64,
    /// Entries that say that a lease is gone.
    gone: u64,
    registered: u64,
    failover: u64,
    truncated: u64,
    rejected: u64,
    files: Vec<PathBuf>,
}

impl Import<'_> {
    fn read(&mut self, source: &Source) -> Result<(), Failure> {
        let now = self.now;
        self.counts.files.push(source.path.clone());
        let file = self.counts.files.len() - 1;
        let mut failed = None;
        source::read(
            &source.path,
            source.format,
            now,
            &mut |spot, item| match self.entry(Origin { file, spot }, item, source.format) {
                Ok(()) => ControlFlow::Continue(()),
                Err(failure) => {
                    failed = Some(failure);
                    ControlFlow::Break(())
                }
            },
        )
        .map_err(unreadable(&source.path))?;
        failed.map_or(Ok(()), Err)
    }

    fn entry(
        &mut self,
        origin: Origin,
        item: Result<Item, String>,
        format: SourceFormat,
    ) -> Result<(), Failure> {
        let item = match item {
            Ok(item) => item,
            Err(reason) => {
                self.reject(&origin, &reason);
                return Ok(());
            }
        };
        let number = self.number;
        self.number = self.number.saturating_add(1);
        let is_last = self.last.is_last(&item, format, number);
        match item {
            Item::Lease(_) | Item::Gone(_) if !is_last => {}
            Item::Lease(binding) if is_over(&binding, self.now) => {
                *self.counts.outcomes.entry(Outcome::Ended).or_default() += 1;
            }
            Item::Lease(binding) => {
                self.batch.push((origin, *binding));
                if self.batch.len() >= self.sink.batch_leases() {
                    self.flush()?;
                }
            }
            Item::Gone(_) => self.counts.gone += 1,
            Item::NoLease => {}
            Item::Registered => self.counts.registered += 1,
            Item::Failover => self.counts.failover += 1,
            Item::UnknownColumns(names) => {
                let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
                self.warn(
                    &origin,
                    &format!("unknown columns are left out: {}", names.join(", ")),
                );
            }
            Item::Truncated => {
                self.counts.truncated += 1;
                let what =
                    "the file ends inside this entry, which is left out; its writer was killed";
                self.warn(&origin, what);
            }
        }
        if number.is_multiple_of(1024) {
            self.meter
                .at(u64::from(number), u64::from(self.last.count()));
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let (origins, bindings): (Vec<_>, Vec<_>) = self.batch.drain(..).unzip();
        if bindings.is_empty() {
            return Ok(());
        }
        let leases: Vec<_> = bindings.iter().map(|binding| binding.lease).collect();
        let imported = self.sink.import(bindings, self.how)?;
        self.counts.outside_pools += imported.outside_pools;
        self.counts.outside_subnets += imported.outside_subnets;
        for ((origin, lease), outcome) in origins.iter().zip(leases).zip(imported.outcomes) {
            *self.counts.outcomes.entry(outcome).or_default() += 1;
            if let Some(trouble) = outcome.trouble() {
                self.reject(origin, &format!("{lease}: {trouble}"));
            }
        }
        Ok(())
    }

    fn reject(&mut self, origin: &Origin, reason: &str) {
        self.counts.rejected += 1;
        match self.counts.rejected.cmp(&(self.args.errors as u64 + 1)) {
            std::cmp::Ordering::Less => self.warn(origin, reason),
            std::cmp::Ordering::Equal => self.meter.say("more were rejected; --errors shows more"),
            std::cmp::Ordering::Greater => {}
        }
    }

    fn warn(&self, origin: &Origin, reason: &str) {
        let file = self.counts.files.get(origin.file);
        let file = file.map_or_else(String::new, |file| file.display().to_string());
        let Spot { line, column } = origin.spot;
        self.meter.say(&format!("{file}:{line}:{column}: {reason}"));
    }
}

impl Counts {
    fn report(&self, args: &ImportArgs, last: &LastEntries) -> Result<(), Failure> {
        let count = |outcome| self.outcomes.get(&outcome).copied().unwrap_or(0);
        let mut all: Vec<(&str, u64)> = Outcome::ALL
            .iter()
            .map(|&outcome| (outcome.name(), count(outcome)))
            .collect();
        all.extend([
            ("superseded", last.earlier()),
            ("gone", self.gone),
            ("registered", self.registered),
            ("failover", self.failover),
            ("truncated", self.truncated),
            ("rejected", self.rejected),
            ("outside-pools", self.outside_pools),
            ("outside-subnets", self.outside_subnets),
        ]);
        if args.json {
            let object: serde_json::Map<_, _> = all
                .iter()
                .map(|(name, count)| ((*name).to_owned(), serde_json::Value::from(*count)))
                .collect();
            print_json(&object)?;
        } else {
            let shown: Vec<String> = all
                .iter()
                .filter(|(name, count)| *count > 0 || *name == "added")
                .map(|(name, count)| format!("{count} {name}"))
                .collect();
            let begin = if args.dry_run { "would be " } else { "" };
            print(&format!("{begin}{}\n", shown.join(", ")))?;
        }
        if self.rejected > 0 && !args.lenient {
            let entries = match self.rejected {
                1 => "1 entry was".to_owned(),
                rejected => format!("{rejected} entries were"),
            };
            let files = plural(self.files.len(), "file");
            return Err(Failure::Rejected(format!(
                "{entries} rejected, of {files}; the others were imported (--lenient takes that for success)"
            )));
        }
        Ok(())
    }
}
