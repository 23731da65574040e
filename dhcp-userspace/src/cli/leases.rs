//! `xdhcpd leases`: the store of a state directory, whether its server runs or not.

use super::{Failure, FamilyArg, LeasesCommand, StoreArgs, print, print_json};
use crate::clock;
use crate::config::plural;
use crate::leases::{self, Filter, Format, LeaseView, Summary};
use dhcp_lease::{Binding, Lease, State, Timestamp};
use std::collections::HashMap;
use std::path::Path;

pub(super) fn run(command: LeasesCommand) -> Result<(), Failure> {
    match command {
        LeasesCommand::List {
            store,
            filter,
            format,
        } => {
            let leases = select(&store, &filter.filter())?;
            show(&leases, format.format(), filter.family)
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
            show(&leases, format.format(), family)
        }
        LeasesCommand::Export {
            store,
            family,
            format,
        } => {
            let filter = Filter {
                family: family.map(|it| it.name().to_owned()),
                ..Filter::default()
            };
            show(&select(&store, &filter)?, format, family)
        }
        LeasesCommand::Verify { store, json } => verify(&store, json),
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

pub(super) fn show(
    leases: &[LeaseView],
    format: Format,
    family: Option<FamilyArg>,
) -> Result<(), Failure> {
    if format == Format::KeaCsv && family.is_none() {
        // Kea has a file for each protocol, with columns of its own.
        let mut command = super::command();
        let message = "kea-csv is one file for each protocol; add --family v4 or --family v6";
        command
            .error(clap::error::ErrorKind::MissingRequiredArgument, message)
            .exit();
    }
    print(&leases::render(
        leases,
        format,
        family == Some(FamilyArg::V6),
    ))
}

/// What `verify` counts.
#[derive(Debug, Default)]
struct Counts {
    leased: u64,
    former: u64,
    declined: u64,
    /// Who holds what, for leases that two records claim.
    holders: HashMap<Lease, u32>,
}

fn verify(store: &StoreArgs, json: bool) -> Result<(), Failure> {
    let directory = store.directory();
    let now = clock::time_of(&directory);
    let mut counts = Counts::default();
    let summary = leases::for_each(&directory, |binding| count(&mut counts, binding, now))?;
    let twice: Vec<String> = counts
        .holders
        .iter()
        .filter(|(_, records)| **records > 1)
        .map(|(lease, _)| lease.to_string())
        .collect();
    if json {
        let damage: Vec<_> = summary
            .damage
            .iter()
            .map(|it| {
                let lease = it.lease.map(|lease| lease.to_string());
                serde_json::json!({ "partition": it.partition, "slot": it.slot, "lease": lease })
            })
            .collect();
        print_json(&serde_json::json!({
            "state-dir": directory,
            "partitions": summary.partitions,
            "records": summary.tally.bindings,
            "leased": counts.leased,
            "former": counts.former,
            "declined": counts.declined,
            "extensions": summary.tally.extensions,
            "blank": summary.tally.blank,
            "damaged": damage,
            "held-twice": twice,
        }))?;
    } else {
        print(&format!(
            "{}: {} partitions, {} records ({} leased, {} former, {} declined), {} extensions, {} blank, \
             {} damaged, {} held twice\n",
            directory.display(),
            summary.partitions,
            summary.tally.bindings,
            counts.leased,
            counts.former,
            counts.declined,
            summary.tally.extensions,
            summary.tally.blank,
            summary.damage.len(),
            twice.len(),
        ))?;
    }
    let damage = summary.damage.iter().map(|it| {
        let lease = it
            .lease
            .map(|lease| format!(" ({lease})"))
            .unwrap_or_default();
        format!("partition {} slot {}{lease}", it.partition, it.slot)
    });
    let twice = twice.iter().map(|lease| format!("{lease} is held twice"));
    let all: Vec<String> = damage.chain(twice).collect();
    match all.as_slice() {
        [] => Ok(()),
        all => Err(Failure::Damaged(all.join(", "))),
    }
}

fn count(counts: &mut Counts, binding: &Binding, now: Timestamp) {
    let holds = match binding.state {
        State::Leased if binding.is_live(now) => {
            counts.leased += 1;
            true
        }
        State::Declined if binding.expires > now => {
            counts.declined += 1;
            true
        }
        State::Leased | State::Released | State::Declined => {
            counts.former += 1;
            false
        }
    };
    if holds {
        *counts.holders.entry(binding.lease).or_default() += 1;
    }
}
