//! `xdhcpd leases`: the store of a state directory, whether its server runs or not.

use super::meter::Meter;
use super::{Failure, FamilyArg, LeasesCommand, StoreArgs, print, print_json};
use crate::clock;
use crate::config::{notation, plural};
use crate::history;
use crate::leases::{self, Filter, Format, LeaseView, Summary, Verdict};
use dhcp_lease::Timestamp;
use std::path::Path;

pub(super) fn run(command: LeasesCommand) -> Result<(), Failure> {
    match command {
        LeasesCommand::List {
            store,
            filter,
            format,
        } => {
            let leases = select(&store, &filter.filter())?;
            show(&leases, format.format(), filter.family, &store)
        }
        LeasesCommand::Get {
            address,
            store,
            format,
        } => {
            let filter = Filter {
                address: Some(canonical(&address)),
                ..Filter::default()
            };
            let leases = select(&store, &filter)?;
            if leases.is_empty() {
                return Err(Failure::NoLease {
                    address,
                    directory: store.directory(),
                });
            }
            let family = leases.first().map(|lease| match lease.kind.as_str() {
                "v4" => FamilyArg::V4,
                _ => FamilyArg::V6,
            });
            show(&leases, format.format(), family, &store)
        }
        LeasesCommand::Export(args) => super::export::run(&args),
        LeasesCommand::Import(args) => super::import::run(&args),
        LeasesCommand::History {
            address,
            store,
            at,
            from,
            to,
            client,
            format,
            json,
            verify,
        } => {
            let format = if json { history::Format::Json } else { format };
            let directory = store.directory();
            let Some(scope) = address else {
                return super::history::verify(&directory, format);
            };
            let asked = history::Asked {
                scope,
                from: at.or(from).unwrap_or(Timestamp(0)),
                to: at.or(to).unwrap_or(Timestamp::NEVER),
                client: client.and_then(|it| notation::octets(&it).ok()),
            };
            super::history::ask(&directory, &asked, format, verify)
        }
        LeasesCommand::Verify { store, json, quiet } => verify(&store, json, quiet),
        LeasesCommand::Adopt { store } => adopt(&store.directory()),
    }
}

fn adopt(directory: &Path) -> Result<(), Failure> {
    let told = match clock::adopt(directory)? {
        true => "these files count as the newest; free leases are not withheld",
        false => "these files were not in doubt; nothing changed",
    };
    print(&format!("{}: {told}\n", directory.display()))
}

/// An address in the form in which leases are shown.
fn canonical(text: &str) -> String {
    match text.split_once('/') {
        Some((address, len)) => match address.parse::<std::net::IpAddr>() {
            Ok(address) => format!("{address}/{len}"),
            Err(_) => text.to_owned(),
        },
        None => text
            .parse::<std::net::IpAddr>()
            .map_or_else(|_| text.to_owned(), |it| it.to_string()),
    }
}

fn select(store: &StoreArgs, filter: &Filter) -> Result<Vec<LeaseView>, Failure> {
    let directory = store.directory();
    let mut read = Ok(Summary::default());
    let (leases, _) = leases::select(filter, clock::time_of(&directory), |visit| {
        read = leases::for_each(&directory, |binding| visit(binding));
    });
    let summary = read?;
    if !summary.damage.is_empty() {
        let damaged = plural(summary.damage.len(), "damaged record");
        eprintln!(
            "{}: {damaged}; see `xdhcpd leases verify`",
            directory.display()
        );
    }
    Ok(leases)
}

/// Kea has a file for each protocol, with columns of its own.
pub(super) fn want_family(family: Option<FamilyArg>) {
    if family.is_none() {
        let message = "kea-csv is one file for each protocol; add --family v4 or --family v6";
        super::command()
            .error(clap::error::ErrorKind::MissingRequiredArgument, message)
            .exit();
    }
}

fn show(
    leases: &[LeaseView],
    format: Format,
    family: Option<FamilyArg>,
    store: &StoreArgs,
) -> Result<(), Failure> {
    if format == Format::KeaCsv {
        want_family(family);
    }
    let is_v6 = family == Some(FamilyArg::V6);
    print(&leases::render(
        leases,
        format,
        is_v6,
        clock::time_of(&store.directory()),
    ))
}

fn verify(store: &StoreArgs, json: bool, is_quiet: bool) -> Result<(), Failure> {
    super::export::give_way();
    let directory = store.directory();
    let mut meter = Meter::new("slots", is_quiet || json);
    let verdict = leases::verify(&directory, |at| meter.at(at.done, at.all))?;
    drop(meter);
    let history = super::history::state(&directory)?;
    if json {
        print_json(&as_json(&verdict, &directory, history.as_ref()))?;
    } else {
        let tally = verdict.tally;
        print(&format!(
            "{}: {} partitions, {} records ({} leased, {} former, {} declined), {} extensions, {} blank, \
             {} damaged, {} held twice; {} records in {} batches of the journal\n",
            directory.display(),
            verdict.partitions,
            tally.bindings,
            verdict.live,
            verdict.former,
            verdict.declined,
            tally.extensions,
            tally.blank,
            verdict.damage.len(),
            verdict.held_twice.len(),
            verdict.journal.records,
            verdict.journal.batches,
        ))?;
        if let Some(history) = &history {
            print(&super::history::text(history))?;
        }
    }
    match verdict.lines().as_slice() {
        [] => history.map_or(Ok(()), super::history::judge),
        all => Err(Failure::Damaged(all.join(", "))),
    }
}

fn as_json(
    verdict: &Verdict,
    directory: &Path,
    history: Option<&history::Verified>,
) -> serde_json::Value {
    let damage = verdict.damage.iter().map(|it| {
        let lease = it.lease.map(|lease| lease.to_string());
        serde_json::json!({ "partition": it.partition, "slot": it.slot, "lease": lease })
    });
    let twice = verdict.held_twice.iter().map(ToString::to_string);
    serde_json::json!({
        "state-dir": directory,
        "partitions": verdict.partitions,
        "records": verdict.tally.bindings,
        "leased": verdict.live,
        "former": verdict.former,
        "declined": verdict.declined,
        "extensions": verdict.tally.extensions,
        "blank": verdict.tally.blank,
        "journal-batches": verdict.journal.batches,
        "journal-records": verdict.journal.records,
        "journal-headless": verdict.journal.is_headless,
        "journal-lost": verdict.journal.damage.lost,
        "journal-mended": verdict.journal.damage.mended,
        "damaged": damage.collect::<Vec<_>>(),
        "damaged-headers": verdict.damaged_headers,
        "cut-tables": verdict.cut_tables,
        "held-twice": twice.collect::<Vec<_>>(),
        "history": history.map(super::history::object),
    })
}
