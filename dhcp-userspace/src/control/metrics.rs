//! The metrics, as Prometheus reads them; docs/metrics.md is made from the same table.

use super::message::{HistoryStatus, PoolStatus, Stats, Status};
use crate::commit::Cause;
use std::fmt::Write as _;

/// A metric's name, type and meaning.
struct Metric {
    name: &'static str,
    kind: &'static str,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "documentation is made from it by a test")
    )]
    labels: &'static str,
    meaning: &'static str,
}

const fn metric(
    name: &'static str,
    kind: &'static str,
    labels: &'static str,
    meaning: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        meaning,
    }
}

const METRICS: &[Metric] = &[
    metric(
        "xdhcpd_ready",
        "gauge",
        "version",
        "1 when every interface is served.",
    ),
    metric(
        "xdhcpd_uptime_seconds",
        "gauge",
        "",
        "How long the server has been running.",
    ),
    metric(
        "xdhcpd_config_generation",
        "counter",
        "",
        "How often a configuration was put in force, the first included.",
    ),
    metric(
        "xdhcpd_interface_serving",
        "gauge",
        "interface, xdp_mode, copy_mode",
        "1 when the interface is served.",
    ),
    metric(
        "xdhcpd_frames_received_total",
        "counter",
        "",
        "Frames taken from the receive rings.",
    ),
    metric(
        "xdhcpd_frames_sent_total",
        "counter",
        "",
        "Frames put into the transmit rings.",
    ),
    metric(
        "xdhcpd_batches_total",
        "counter",
        "",
        "Batches of frames served; frames by batches is the mean size.",
    ),
    metric(
        "xdhcpd_replies_delayed_total",
        "counter",
        "",
        "Replies that waited for the disk (durability power).",
    ),
    metric(
        "xdhcpd_change_logs_total",
        "counter",
        "",
        "Change logs handed to the journal.",
    ),
    metric(
        "xdhcpd_agent_option_left_out_total",
        "counter",
        "",
        "DHCPv4 replies that went without the relay agent's option (82), because it did not fit whole (RFC 3046 section 2.2): the relay agent may not find the client's port. Send fewer options, or have clients take longer messages (option 57).",
    ),
    metric(
        "xdhcpd_options_left_out_total",
        "counter",
        "",
        "Options that a DHCPv4 client should have got and for which its reply had no room.",
    ),
    metric(
        "xdhcpd_lease_limit_refusals_total",
        "counter",
        "limit",
        "Leases that were refused because the client's line (`line-address-limit`, `line-prefix-limit`), a class of its or the subnet (`address-limit`, `prefix-limit`) has as many as it may: `line`, `class`, `subnet`. Offers, NAKs and IAs of DHCPv6 alike; a client that goes on asking counts each time.",
    ),
    metric(
        "xdhcpd_lease_limits_counted",
        "gauge",
        "",
        "Lines, classes and subnets that hold leases which count against a limit; 0 while there are no limits.",
    ),
    metric(
        "xdhcpd_journal_syncs_total",
        "counter",
        "",
        "Groups of changes that were brought to stable storage, with one sync each.",
    ),
    metric(
        "xdhcpd_journal_records_total",
        "counter",
        "",
        "Lease records in these groups: the more a sync, the busier the server.",
    ),
    metric(
        "xdhcpd_journal_waits_total",
        "counter",
        "",
        "How often the journal was full, and the clients waited for a checkpoint: the disk is slower than they are.",
    ),
    metric(
        "xdhcpd_history_writing",
        "gauge",
        "",
        "1 while the lease history can be written. 0: mend its disk; what is missing then is a gap in the history.",
    ),
    metric(
        "xdhcpd_history_entries_total",
        "counter",
        "",
        "Entries written into the lease history.",
    ),
    metric(
        "xdhcpd_history_lost_total",
        "counter",
        "",
        "Entries that the lease history lacks because its disk did not take them in time.",
    ),
    metric(
        "xdhcpd_history_octets_total",
        "counter",
        "",
        "Octets written into the lease history.",
    ),
    metric(
        "xdhcpd_history_size_bytes",
        "gauge",
        "",
        "Size of the lease history with its indexes, as of the last rotation.",
    ),
    metric(
        "xdhcpd_history_oldest_seconds",
        "gauge",
        "",
        "When the oldest kept segment of the lease history begins, in seconds since 1970.",
    ),
    metric(
        "xdhcpd_store_suspended",
        "gauge",
        "",
        "1 while the lease store cannot be written, and nobody gets a lease.",
    ),
    metric(
        "xdhcpd_store_outages_total",
        "counter",
        "",
        "How often the lease store could not be written for a while.",
    ),
    metric(
        "xdhcpd_store_trouble",
        "gauge",
        "cause",
        "1 for what is wrong with the disk: `journal_write`, `journal_sync`, `journal_header`; `table_sync`, `journal_read` (leases are granted until the journal is full); `file_gone`, `file_short` (a file of the state directory was moved, or cut short).",
    ),
    metric(
        "xdhcpd_state_dir_free_octets",
        "gauge",
        "",
        "Octets that are free on the file system of the state directory.",
    ),
    metric(
        "xdhcpd_frames_lost_total",
        "counter",
        "reason",
        "Frames lost between device and server: `receive_ring_full` (the workers are too slow), `fill_ring_empty`, `receive_dropped`, `transmit_ring_full` (the link is slower than the server), `transmit_invalid`.",
    ),
    metric(
        "xdhcpd_messages_received_total",
        "counter",
        "protocol, message",
        "DHCP messages received, by kind.",
    ),
    metric(
        "xdhcpd_messages_sent_total",
        "counter",
        "protocol, message",
        "DHCP messages sent, by kind. What a Relay-reply holds is not told apart.",
    ),
    metric(
        "xdhcpd_discards_total",
        "counter",
        "reason",
        "Frames that ended without a reply, see the reasons below.",
    ),
    metric(
        "xdhcpd_xdp_frames_total",
        "counter",
        "interface, outcome",
        "What the XDP program did with frames.",
    ),
    metric(
        "xdhcpd_leases",
        "gauge",
        "",
        "Leases that are granted at the moment.",
    ),
    metric(
        "xdhcpd_lease_capacity",
        "gauge",
        "",
        "For how many leases the tables have room.",
    ),
    metric(
        "xdhcpd_clock_offset_seconds",
        "gauge",
        "",
        "By how much the wall clock is ahead of server time, in which all leases count; it changes when somebody sets the clock.",
    ),
    metric(
        "xdhcpd_clock_steps_total",
        "counter",
        "",
        "How often the wall clock was set, by two seconds or more at once.",
    ),
    metric(
        "xdhcpd_clock_held",
        "gauge",
        "",
        "1 while a jump of the wall clock is not believed; see `xdhcpd ctl clock`.",
    ),
    metric(
        "xdhcpd_restored",
        "gauge",
        "",
        "1 while free leases are withheld because the lease store is a copy; see `xdhcpd ctl restore`.",
    ),
    metric(
        "xdhcpd_pool_size",
        "gauge",
        "kind, subnet, subnet_id, pool",
        "Leases of a pool.",
    ),
    metric(
        "xdhcpd_pool_taken",
        "gauge",
        "kind, subnet, subnet_id, pool",
        "Of these, granted, offered or declined.",
    ),
    metric(
        "xdhcpd_pool_assignable",
        "gauge",
        "kind, subnet, subnet_id, pool",
        "Of these, free for any client.",
    ),
    metric(
        "xdhcpd_pool_declined",
        "gauge",
        "kind, subnet, subnet_id, pool",
        "Of the taken ones, declined: found in use by somebody else; see `xdhcpd ctl declined`.",
    ),
    metric(
        "xdhcpd_alarms",
        "gauge",
        "alarm",
        "Pools with fewer free leases than `low-water-percent` (`low_water`), subnets with more declined ones than `decline-alarm-percent` (`declined`).",
    ),
    metric(
        "xdhcpd_address_probes_total",
        "counter",
        "result",
        "Addresses that were to be probed before their first offer (`enable-ping-check`): `clear` (nobody answered), `in_use` (somebody did; the address is declined when it is offered next), `failed` (the system did not send the request) and `skipped` (too many at once), which are offered all the same.",
    ),
    metric(
        "xdhcpd_address_probe_requests_total",
        "counter",
        "way",
        "Requests that were sent for that, by `arp` and `icmp`.",
    ),
    metric(
        "xdhcpd_forcerenew_running",
        "gauge",
        "",
        "1 while clients are told to renew (`xdhcpd ctl reconfigure`).",
    ),
    metric(
        "xdhcpd_forcerenew_clients",
        "gauge",
        "state",
        "Clients of the campaign that is running or was the last to run: `asked` (all of them), `answered`, `gone` (without a lease by now), `deaf` (to every message; `ctl reconfigure deaf` lists them), `under_way`.",
    ),
    metric(
        "kea_dhcp4_packets_received_total",
        "counter",
        "operation",
        "As Kea's exporter has it.",
    ),
    metric(
        "kea_dhcp4_packets_sent_total",
        "counter",
        "operation",
        "As Kea's exporter has it.",
    ),
    metric(
        "kea_dhcp6_packets_received_total",
        "counter",
        "operation",
        "As Kea's exporter has it.",
    ),
    metric(
        "kea_dhcp6_packets_sent_total",
        "counter",
        "operation",
        "As Kea's exporter has it.",
    ),
    metric(
        "kea_dhcp4_addresses_total",
        "gauge",
        "subnet, subnet_id, pool",
        "As Kea's exporter has it.",
    ),
    metric(
        "kea_dhcp4_addresses_assigned_total",
        "gauge",
        "subnet, subnet_id, pool",
        "As Kea's exporter has it; offered and declined ones are counted in.",
    ),
    metric(
        "kea_dhcp4_addresses_declined_total",
        "gauge",
        "subnet, subnet_id, pool",
        "As Kea's exporter has it.",
    ),
    metric(
        "kea_dhcp6_na_total",
        "gauge",
        "subnet, subnet_id, pool",
        "As Kea's exporter has it.",
    ),
    metric(
        "kea_dhcp6_na_assigned_total",
        "gauge",
        "subnet, subnet_id, pool",
        "As above.",
    ),
    metric(
        "kea_dhcp6_pd_total",
        "gauge",
        "subnet, subnet_id, pool",
        "As Kea's exporter has it.",
    ),
    metric(
        "kea_dhcp6_pd_assigned_total",
        "gauge",
        "subnet, subnet_id, pool",
        "As above.",
    ),
];

/// The text of `GET /metrics`. Pools as [`super::message::pools`] has them, before bindings are counted.
pub(super) fn render(status: &Status, stats: &Stats, pools: &[PoolStatus]) -> String {
    let mut text = String::new();
    for metric in METRICS {
        let _ = writeln!(text, "# HELP {} {}", metric.name, metric.meaning);
        let _ = writeln!(text, "# TYPE {} {}", metric.name, metric.kind);
        for (labels, value) in samples(metric.name, status, stats, pools) {
            let labels: Vec<_> = labels
                .iter()
                .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
                .collect();
            let braces = match labels.as_slice() {
                [] => String::new(),
                labels => format!("{{{}}}", labels.join(",")),
            };
            let _ = writeln!(text, "{}{braces} {value}", metric.name);
        }
    }
    text
}

type Sample = (Vec<(&'static str, String)>, i128);

fn samples(name: &str, status: &Status, stats: &Stats, pools: &[PoolStatus]) -> Vec<Sample> {
    let one = |value: u64| vec![(Vec::new(), i128::from(value))];
    match name {
        "xdhcpd_ready" => {
            vec![(
                vec![("version", status.version.clone())],
                i128::from(status.ready),
            )]
        }
        "xdhcpd_uptime_seconds" => one(status.uptime_seconds),
        "xdhcpd_config_generation" => one(status.generation),
        "xdhcpd_interface_serving" => {
            let labels = |it: &super::message::InterfaceStatus| {
                vec![
                    ("interface", it.name.clone()),
                    ("xdp_mode", it.xdp_mode.clone()),
                    ("copy_mode", it.copy_mode.clone()),
                ]
            };
            status
                .interfaces
                .iter()
                .map(|it| (labels(it), i128::from(it.serving)))
                .collect()
        }
        "xdhcpd_frames_received_total" => one(stats.frames_received),
        "xdhcpd_frames_sent_total" => one(stats.frames_sent),
        "xdhcpd_batches_total" => one(stats.batches),
        "xdhcpd_replies_delayed_total" => one(stats.replies_delayed),
        "xdhcpd_change_logs_total" => one(stats.change_logs),
        "xdhcpd_agent_option_left_out_total" => one(stats.agent_option_left_out),
        "xdhcpd_options_left_out_total" => one(stats.options_left_out),
        "xdhcpd_lease_limit_refusals_total" => labelled("limit", &stats.limit_refusals),
        "xdhcpd_lease_limits_counted" => one(status.limits_counted),
        "xdhcpd_journal_syncs_total" => one(status.syncs),
        "xdhcpd_journal_records_total" => one(status.synced_records),
        "xdhcpd_journal_waits_total" => one(status.journal_waits),
        "xdhcpd_history_writing" => history(status, |it| Some(u64::from(it.writing))),
        "xdhcpd_history_entries_total" => history(status, |it| Some(it.entries)),
        "xdhcpd_history_lost_total" => history(status, |it| Some(it.lost)),
        "xdhcpd_history_octets_total" => history(status, |it| Some(it.octets)),
        "xdhcpd_history_size_bytes" => history(status, |it| Some(it.segments_octets)),
        "xdhcpd_history_oldest_seconds" => history(status, |it| it.oldest),
        "xdhcpd_store_suspended" => one(u64::from(status.store_suspended)),
        "xdhcpd_store_outages_total" => one(status.store_outages),
        "xdhcpd_store_trouble" => {
            let sample = |cause: &Cause| {
                let is_it = status.store_trouble.as_deref() == Some(cause.name());
                (vec![("cause", cause.name().to_owned())], i128::from(is_it))
            };
            Cause::ALL.iter().map(sample).collect()
        }
        "xdhcpd_state_dir_free_octets" => one(status.state_dir_free_octets),
        "xdhcpd_frames_lost_total" => labelled("reason", &stats.lost),
        "xdhcpd_messages_received_total" => {
            messages([("v4", &stats.received_v4), ("v6", &stats.received_v6)])
        }
        "xdhcpd_messages_sent_total" => messages([("v4", &stats.sent_v4), ("v6", &stats.sent_v6)]),
        "xdhcpd_discards_total" => labelled("reason", &stats.discards),
        "xdhcpd_xdp_frames_total" => {
            let outcomes = stats.xdp.iter().flat_map(|(interface, outcomes)| {
                outcomes.iter().map(|(outcome, count)| {
                    let labels = vec![
                        ("interface", interface.clone()),
                        ("outcome", outcome.clone()),
                    ];
                    (labels, i128::from(*count))
                })
            });
            outcomes.collect()
        }
        "xdhcpd_leases" => one(status.leases),
        "xdhcpd_lease_capacity" => one(status.lease_capacity),
        "xdhcpd_clock_offset_seconds" => {
            vec![(Vec::new(), i128::from(status.clock.offset_seconds))]
        }
        "xdhcpd_clock_steps_total" => one(status.clock.steps),
        "xdhcpd_clock_held" => one(u64::from(status.clock.held)),
        "xdhcpd_restored" => one(u64::from(status.clock.withheld_until.is_some())),
        "xdhcpd_pool_size" => of_pools(pools, None, |pool| pool.size),
        "xdhcpd_pool_taken" => of_pools(pools, None, |pool| pool.in_use),
        "xdhcpd_pool_declined" => of_pools(pools, None, |pool| pool.conflicting),
        "xdhcpd_alarms" => labelled("alarm", &status.alarms),
        "xdhcpd_forcerenew_running" => one(u64::from(status.forcerenew_running)),
        "xdhcpd_forcerenew_clients" => labelled("state", &status.forcerenew),
        "xdhcpd_address_probes_total" => labelled("result", &status.probes),
        "xdhcpd_address_probe_requests_total" => labelled("way", &status.probe_requests),
        "kea_dhcp4_addresses_declined_total" => {
            of_pools(pools, Some("v4"), |pool| pool.conflicting)
        }
        "xdhcpd_pool_assignable" => of_pools(pools, None, |pool| pool.assignable),
        "kea_dhcp4_packets_received_total" => {
            labelled("operation", &kea_operations(&stats.received_v4))
        }
        "kea_dhcp4_packets_sent_total" => labelled("operation", &kea_operations(&stats.sent_v4)),
        "kea_dhcp6_packets_received_total" => {
            labelled("operation", &kea_operations(&stats.received_v6))
        }
        "kea_dhcp6_packets_sent_total" => labelled("operation", &kea_operations(&stats.sent_v6)),
        "kea_dhcp4_addresses_total" => of_pools(pools, Some("v4"), |pool| pool.size),
        "kea_dhcp4_addresses_assigned_total" => of_pools(pools, Some("v4"), |pool| pool.in_use),
        "kea_dhcp6_na_total" => of_pools(pools, Some("na"), |pool| pool.size),
        "kea_dhcp6_na_assigned_total" => of_pools(pools, Some("na"), |pool| pool.in_use),
        "kea_dhcp6_pd_total" => of_pools(pools, Some("pd"), |pool| pool.size),
        "kea_dhcp6_pd_assigned_total" => of_pools(pools, Some("pd"), |pool| pool.in_use),
        _ => Vec::new(),
    }
}

/// A sample of the history, if one is kept.
fn history(status: &Status, value: impl Fn(&HistoryStatus) -> Option<u64>) -> Vec<Sample> {
    let value = status.history.as_ref().and_then(value);
    let sample = |value| (Vec::new(), i128::from(value));
    value.map(sample).into_iter().collect()
}

type Counts = std::collections::BTreeMap<String, u64>;

fn messages(protocols: [(&str, &Counts); 2]) -> Vec<Sample> {
    let of_protocol = |(protocol, counts): (&str, &Counts)| {
        let sample = |(message, count): (&String, &u64)| {
            (
                vec![
                    ("protocol", protocol.to_owned()),
                    ("message", message.clone()),
                ],
                i128::from(*count),
            )
        };
        counts.iter().map(sample).collect::<Vec<_>>()
    };
    protocols.into_iter().flat_map(of_protocol).collect()
}

fn labelled(label: &'static str, counts: &Counts) -> Vec<Sample> {
    counts
        .iter()
        .map(|(name, count)| (vec![(label, name.clone())], i128::from(*count)))
        .collect()
}

/// Kea does not tell the kinds of REQUEST apart, and writes hyphens.
fn kea_operations(counts: &Counts) -> Counts {
    let mut operations = Counts::new();
    for (name, count) in counts {
        let operation = if name.starts_with("request") {
            "request"
        } else {
            name
        };
        *operations.entry(operation.replace('_', "-")).or_default() += count;
    }
    operations
}

/// One sample for each pool of a kind, or of all kinds with the kind as a label.
fn of_pools(
    pools: &[PoolStatus],
    kind: Option<&str>,
    value: fn(&PoolStatus) -> u64,
) -> Vec<Sample> {
    let wanted = pools
        .iter()
        .filter(|pool| kind.is_none_or(|kind| kind == pool.kind));
    let labels = |pool: &PoolStatus| {
        let mut labels = vec![
            ("subnet", pool.subnet.clone()),
            ("subnet_id", pool.subnet_id.to_string()),
            ("pool", pool.first.clone()),
        ];
        if kind.is_none() {
            labels.push(("kind", pool.kind.clone()));
        }
        labels
    };
    wanted
        .map(|pool| (labels(pool), i128::from(value(pool))))
        .collect()
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Totals;
    use dhcp_core::Discard;

    const INTRODUCTION: &str = "\
# Metrics

`GET /metrics` on the control socket, for Prometheus. `xdhcpd ctl stats` shows the same counters.

```sh
curl --unix-socket /run/xdhcpd/control.sock http://localhost/metrics
```

Own names begin with `xdhcpd_`: counters end in `_total`, gauges do not. A small set has the names of Kea's exporter,
so that existing dashboards work; like there, some of its gauges end in `_total`.

This document is generated from the program (`UPDATE=1 cargo test -p dhcp-userspace document`).

| Name | Type | Labels | Meaning |
| --- | --- | --- | --- |
";

    #[test]
    fn the_document_of_the_metrics_has_every_metric_and_every_reason() {
        let mut text = INTRODUCTION.to_owned();
        for it in METRICS {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} |",
                it.name, it.kind, it.labels, it.meaning
            );
        }
        text.push_str(
            "\n## Reasons of discards\n\nA frame ends exactly once: it is answered, or it is discarded for \
             one of these reasons.\n\n| Reason | Meaning |\n| --- | --- |\n",
        );
        for reason in Discard::ALL {
            let _ = writeln!(
                text,
                "| `{}` | {} |",
                reason.name(),
                reason.meaning().trim()
            );
        }
        crate::config::compare_document("metrics.md", &text);
    }

    #[test]
    fn every_metric_has_samples_with_its_labels() {
        let interface = super::super::message::InterfaceStatus {
            name: "a\"b".into(),
            ..Default::default()
        };
        let status = Status {
            alarms: [("low_water".to_owned(), 0)].into(),
            probes: [("clear".to_owned(), 0)].into(),
            forcerenew: [("asked".to_owned(), 0)].into(),
            probe_requests: [("arp".to_owned(), 0)].into(),
            interfaces: vec![interface],
            history: Some(HistoryStatus {
                oldest: Some(1),
                ..HistoryStatus::default()
            }),
            ..Status::default()
        };
        let xdp = vec![("eth1".to_owned(), "steered".to_owned(), 3)];
        let stats = Stats::new(&Totals::default(), xdp);
        let pools = ["v4", "na", "pd"].map(|kind| PoolStatus {
            kind: kind.into(),
            ..Default::default()
        });
        for metric in METRICS {
            let samples = samples(metric.name, &status, &stats, &pools);
            assert!(!samples.is_empty(), "{}", metric.name);
            for (labels, _) in samples {
                let mut names: Vec<_> = labels.iter().map(|(name, _)| *name).collect();
                let mut documented: Vec<_> = metric
                    .labels
                    .split(", ")
                    .filter(|name| !name.is_empty())
                    .collect();
                names.sort_unstable();
                documented.sort_unstable();
                assert_eq!(names, documented, "{}", metric.name);
            }
        }
        let text = render(&status, &stats, &pools);
        assert!(text.contains("xdhcpd_interface_serving{interface=\"a\\\"b\","));
        assert!(text.contains("xdhcpd_discards_total{reason=\"malformed_frame\"} 0\n"));
        assert!(
            text.contains(
                "kea_dhcp6_packets_received_total{operation=\"information-request\"} 0\n"
            )
        );
    }
}
