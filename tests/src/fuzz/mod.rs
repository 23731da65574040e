//! Can any octets hurt us? What is fuzzed: each parser of octets that strangers, disks and operators send,
//! and the engine behind them.
//!
//! A target takes any octets and panics when a promise is broken. Three things run them: `cargo xtask fuzz`
//! with coverage as its guide, the test `fuzz` with damage at random, and the regressions in
//! `tests/fuzz/regressions/TARGET/`, which are inputs that once broke something.

use crate::pcap::committed;

mod leasequery;
mod packets;
mod records;
mod store;
mod text;

/// Something to be fuzzed.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// What the octets stand for.
    pub about: &'static str,
    /// Takes any octets; panics when a promise is broken.
    pub run: fn(&[u8]),
    /// Inputs that get far, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "v4-message",
        about: "a DHCPv4 message: header, options in three places, sub-options",
        run: packets::v4_message,
        seeds: || payloads(67),
    },
    Target {
        name: "v6-message",
        about: "a DHCPv6 message: relay levels, options, IAs",
        run: packets::v6_message,
        seeds: || payloads(547),
    },
    Target {
        name: "engine-v4",
        about: "DHCPv4 messages, each behind two octets of length, served one after the other",
        run: packets::engine_v4,
        seeds: || [conversations(67), packets::leasequeries()].concat(),
    },
    Target {
        name: "bulk-leasequery",
        about: "a query for many leases or for what changes, as it comes by TCP without its length",
        run: leasequery::bulk,
        seeds: leasequery::bulk_seeds,
    },
    Target {
        name: "engine-v6",
        about: "DHCPv6 messages, each behind two octets of length, served one after the other",
        run: packets::engine_v6,
        seeds: || conversations(547),
    },
    Target {
        name: "frame",
        about: "an Ethernet frame, served as it is",
        run: packets::frame,
        seeds: frames,
    },
    Target {
        name: "journal",
        about: "a journal file; what has a batch's or header's magic number gets a right checksum",
        run: store::journal,
        seeds: store::journal_seeds,
    },
    Target {
        name: "table",
        about: "slots of lease tables; half of them get a right checksum",
        run: store::table,
        seeds: store::table_seeds,
    },
    Target {
        name: "header",
        about: "the store's own file",
        run: store::header,
        seeds: store::header_seeds,
    },
    Target {
        name: "clock",
        about: "the clock file, as it is and with right checksums",
        run: store::clock,
        seeds: store::clock_seeds,
    },
    Target {
        name: "segment",
        about: "a segment of the lease history, as it is and with its blocks chained anew",
        run: records::segment,
        seeds: records::segment_seeds,
    },
    Target {
        name: "index",
        about: "the index of a segment",
        run: records::index,
        seeds: records::index_seeds,
    },
    Target {
        name: "context",
        about: "what is kept beside a binding: relay path, option 82, names",
        run: records::context,
        seeds: records::context_seeds,
    },
    Target {
        name: "config",
        about: "a configuration file",
        run: text::config,
        seeds: text::config_seeds,
    },
    Target {
        name: "expression",
        about: "an expression of a client class, and behind a zero octet a message that it is asked of",
        run: text::expression,
        seeds: text::expression_seeds,
    },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

fn frames() -> Vec<Vec<u8>> {
    let captured = committed().into_iter().flat_map(|(_, frames)| frames);
    captured.map(|frame| frame.octets).collect()
}

/// What real clients and relays sent to a port.
fn payloads(port: u16) -> Vec<Vec<u8>> {
    let captured = committed().into_iter().flat_map(|(_, frames)| frames);
    let to_port = captured.filter(|frame| frame.destination_port() == Some(port));
    to_port
        .filter_map(|frame| Some(frame.octets.get(frame.udp_payload()?)?.to_vec()))
        .collect()
}

/// Runs of real packets.
fn conversations(port: u16) -> Vec<Vec<u8>> {
    let join = |payloads: &[Vec<u8>]| {
        let with_length = |payload: &Vec<u8>| {
            let length = payload.len() as u16;
            [&length.to_be_bytes(), payload.as_slice()].concat()
        };
        payloads.iter().flat_map(with_length).collect()
    };
    payloads(port).chunks(4).map(join).collect()
}
