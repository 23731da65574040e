//! `xdhcpd ctl`: the running server, over its control socket.

use super::{
    ClockCommand, CtlArgs, CtlCommand, DeclinedCommand, Failure, RestoreCommand, print, print_json,
    reconfigure,
};
use crate::control::Client;
use crate::control::message::{
    Accepted, ClearDeclined, Cleared, ClockStatus, Leases, PoolStatus, Release, Released, Reloaded,
    Stats, Status,
};
use crate::leases::{self, Filter, Format, LeaseView};
use std::collections::BTreeMap;

pub(super) fn run(args: &CtlArgs) -> Result<(), Failure> {
    let client = Client::new(&args.socket());
    match &args.command {
        CtlCommand::Status => {
            let status: Status = client.get("/v1/status")?;
            if args.json {
                print_json(&status)
            } else {
                print(&status_text(&status))
            }
        }
        CtlCommand::Stats => {
            let stats: Stats = client.get("/v1/stats")?;
            if args.json {
                print_json(&stats)
            } else {
                print(&stats_text(&stats))
            }
        }
        CtlCommand::Pools => {
            let pools: Vec<PoolStatus> = client.get("/v1/pools")?;
            if args.json {
                print_json(&pools)
            } else {
                print(&pools_text(&pools))
            }
        }
        CtlCommand::Leases { filter } => list(&client, &filter.filter(), args.json),
        CtlCommand::Declined(DeclinedCommand::List { subnet, family }) => {
            let filter = Filter {
                state: Some("declined".to_owned()),
                subnet_id: *subnet,
                family: family.map(|family| family.name().to_owned()),
                ..Filter::default()
            };
            list(&client, &filter, args.json)
        }
        CtlCommand::Declined(DeclinedCommand::Clear {
            address,
            subnet,
            all: _,
            family,
        }) => {
            let which = ClearDeclined {
                family: family.map(|family| family.name().to_owned()),
                subnet_id: *subnet,
                address: address.map(|lease| lease.to_string()),
            };
            let cleared: Cleared = client.post("/v1/declined/clear", &which)?;
            if args.json {
                return print_json(&cleared);
            }
            let count = cleared.cleared.len();
            let lines = cleared.cleared.iter().map(|it| format!("{}\n", it.address));
            print(&format!(
                "{}given back: {count}\n",
                lines.collect::<String>()
            ))
        }
        CtlCommand::Clock { command: None } => {
            let status: Status = client.get("/v1/status")?;
            show_clock(&status.clock, args.json)
        }
        CtlCommand::Clock {
            command: Some(ClockCommand::Accept),
        } => {
            let accepted: Accepted = client.post("/v1/clock/accept", &())?;
            show_clock(&accepted.clock, args.json)
        }
        CtlCommand::Restore(RestoreCommand::Accept) => {
            let accepted: Accepted = client.post("/v1/restore/accept", &())?;
            show_clock(&accepted.clock, args.json)
        }
        CtlCommand::Release { address } => {
            let release = Release {
                address: address.to_string(),
            };
            let released: Released = client.post("/v1/release", &release)?;
            if args.json {
                print_json(&released)
            } else {
                print(&released_text(&released.released))
            }
        }
        CtlCommand::Reconfigure(what) => reconfigure::run(&client, what, args.json),
        CtlCommand::Reload => {
            let reloaded: Reloaded = client.post("/v1/reload", &())?;
            if args.json {
                print_json(&reloaded)
            } else {
                print(&format!("{}\n", reloaded.summary))
            }
        }
    }
}

/// Lists leases as the server has them.
fn list(client: &Client, filter: &Filter, is_json: bool) -> Result<(), Failure> {
    let leases: Leases = client.get(&leases_target(filter))?;
    let status: Status = client.get("/v1/status")?;
    if leases.more {
        eprintln!("there are more leases; narrow them down, or use `xdhcpd leases list`");
    }
    let format = if is_json { Format::Json } else { Format::Table };
    let now = dhcp_lease::Timestamp(status.clock.server_time);
    print(&leases::render(&leases.leases, format, false, now))
}

fn show_clock(clock: &ClockStatus, is_json: bool) -> Result<(), Failure> {
    if is_json {
        return print_json(clock);
    }
    print(&clock_text(clock))
}

fn clock_text(clock: &ClockStatus) -> String {
    let wall = i128::from(clock.server_time) + i128::from(clock.offset_seconds);
    let source = match clock.source.as_str() {
        "boot-clock" => "the clock record and the boot clock",
        "wall-clock" => "the wall clock",
        "last-known" => "the last known time, for the wall clock was behind it",
        "held" => "the last known time, for the wall clock would have ended most leases",
        "accepted" => "the wall clock, by the operator's word",
        other => other,
    };
    let mut text = format!(
        "server time     {} (in seconds since 1970; all times of leases are server time)\n\
         wall clock      {wall}, ahead by {} s; set {} times since the start\n\
         at the start    {source}\n",
        clock.server_time, clock.offset_seconds, clock.steps,
    );
    if clock.accepted {
        text.push_str("accepted        the next start takes over the wall clock\n");
    } else if clock.held {
        text.push_str(
            "held            if the wall clock is right, `xdhcpd ctl clock accept` and restart\n",
        );
    }
    if let Some(until) = clock.withheld_until {
        text.push_str(&format!(
            "restored        free leases are withheld until {until}; `xdhcpd ctl restore accept` ends that\n"
        ));
    }
    text
}

fn released_text(lease: &LeaseView) -> String {
    let names = [
        ("client", &lease.client),
        ("hardware address", &lease.hw_address),
    ];
    let names = names.into_iter().filter(|(_, octets)| !octets.is_empty());
    let holder: Vec<_> = names
        .map(|(what, octets)| format!("{what} {octets}"))
        .collect();
    format!(
        "{} released; it was held by {}\n",
        lease.address,
        holder.join(", ")
    )
}

/// Every value is a word, a number or hexadecimal with colons: nothing needs escaping.
fn leases_target(filter: &Filter) -> String {
    let filter = filter.clone();
    let pairs = [
        ("family", filter.family),
        ("state", filter.state),
        ("subnet-id", filter.subnet_id.map(|id| id.to_string())),
        ("client", filter.client),
        ("limit", filter.limit.map(|limit| limit.to_string())),
    ];
    let written = pairs
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    let query: Vec<_> = written.collect();
    format!("/v1/leases?{}", query.join("&"))
}

fn status_text(status: &Status) -> String {
    let ready = if status.ready { "ready" } else { "not ready" };
    let mut text = format!(
        "xdhcpd {} (process {}), {ready}, up {}\n\
         configuration   {} (generation {})\n\
         state directory {} ({}, {} partitions)\n\
         leases          {} of {}\n\
         server DUID     {}\n",
        status.version,
        status.pid,
        duration(status.uptime_seconds),
        status.config,
        status.generation,
        status.state_dir,
        status.durability,
        status.partitions,
        status.leases,
        status.lease_capacity,
        status.server_duid,
    );
    if status.durability == "power" {
        text.push_str(&format!(
            "syncs           {} of {} records, 99% within {} us, longest {} us\n",
            status.syncs, status.synced_records, status.sync_p99_micros, status.sync_max_micros
        ));
    }
    if status.journal_waits > 0 {
        text.push_str(&format!(
            "journal full    {} times: the disk is slower than the clients\n",
            status.journal_waits
        ));
    }
    if let Some(history) = &status.history {
        text.push_str(&format!(
            "history         {}, segment {}, {} entries and {} lost since the start\n",
            if history.writing {
                "written"
            } else {
                "NOT written"
            },
            history.segment,
            history.entries,
            history.lost,
        ));
    }
    for interface in &status.interfaces {
        let state = match interface.serving {
            true => format!("{} XDP, {}", interface.xdp_mode, interface.copy_mode),
            false => "not served".to_owned(),
        };
        text.push_str(&format!(
            "interface       {}: {state}, {} queues, {} workers{}{}; {}\n",
            interface.name,
            interface.queues,
            interface.workers,
            if interface.need_wakeup {
                ", need_wakeup"
            } else {
                ""
            },
            if interface.huge_pages {
                ", huge pages"
            } else {
                ""
            },
            interface.addresses.join(" "),
        ));
    }
    for problem in &status.problems {
        text.push_str(&format!("problem         {problem}\n"));
    }
    text
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

fn stats_text(stats: &Stats) -> String {
    let single = [
        ("frames received", stats.frames_received),
        ("frames sent", stats.frames_sent),
        ("batches", stats.batches),
        ("replies delayed", stats.replies_delayed),
        ("change logs", stats.change_logs),
        ("replies without option 82", stats.agent_option_left_out),
        ("options left out", stats.options_left_out),
    ];
    let mut rows: Vec<[String; 2]> = single
        .iter()
        .map(|(name, count)| [(*name).to_owned(), count.to_string()])
        .collect();
    let mut group = |heading: &str, counts: &BTreeMap<String, u64>| {
        let some = counts.iter().filter(|(_, count)| **count > 0);
        rows.extend(some.map(|(name, count)| [format!("{heading} {name}"), count.to_string()]));
    };
    group("lease limit of a", &stats.limit_refusals);
    group("lost", &stats.lost);
    group("v4 received", &stats.received_v4);
    group("v4 sent", &stats.sent_v4);
    group("v6 received", &stats.received_v6);
    group("v6 sent", &stats.sent_v6);
    group("discarded", &stats.discards);
    for (interface, outcomes) in &stats.xdp {
        group(&format!("xdp {interface}"), outcomes);
    }
    leases::columns(&rows)
}

fn pools_text(pools: &[PoolStatus]) -> String {
    let heading = [
        "SUBNET",
        "ID",
        "POOL",
        "SIZE",
        "ASSIGNABLE",
        "IN USE",
        "OFFERED",
        "CONFLICTING",
        "NOT ASSIGNABLE",
    ];
    let row = |pool: &PoolStatus| {
        [
            pool.subnet.clone(),
            pool.subnet_id.to_string(),
            format!("{} {}", pool.kind, pool.first),
            pool.size.to_string(),
            pool.assignable.to_string(),
            pool.in_use.to_string(),
            pool.offered.to_string(),
            pool.conflicting.to_string(),
            pool.not_assignable.to_string(),
        ]
    };
    let rows: Vec<_> = std::iter::once(heading.map(str::to_owned))
        .chain(pools.iter().map(row))
        .collect();
    leases::columns(&rows)
}
