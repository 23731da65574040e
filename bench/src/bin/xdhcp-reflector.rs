//! xdhcp-reflector: sends every DHCP frame back as it came, over AF_XDP. Nothing that reads a message can
//! be faster on the same link, which makes it the ceiling that the server is measured against.
#![deny(unsafe_code)]

use anyhow::Context;
use clap::Parser;
use dhcp_bench::Family;
use dhcp_bench::link::{AfXdp, Link};
use dhcp_bench::program::{Program, find_object};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Sends every DHCP frame back with its addresses and ports exchanged.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example: xdhcp-reflector -i eth1 --family v4 --cpu 0"
)]
struct Options {
    /// Interface to reflect on
    #[arg(long, short)]
    interface: String,
    /// Which servers' port to listen on
    #[arg(long, value_enum, default_value_t = Family::V4)]
    family: Family,
    /// Number of queues
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    queues: u32,
    /// Run on this processor only
    #[arg(long)]
    cpu: Option<usize>,
    /// The BPF object with the XDP program
    #[arg(long)]
    bpf_object: Option<PathBuf>,
}

/// Turns without a frame before the thread sleeps, as the server's workers do.
const IDLE_TURNS_MAX: u32 = 2_000;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xdhcp-reflector: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    if let Some(cpu) = options.cpu {
        let mut set = rustix::thread::CpuSet::new();
        set.set(cpu);
        rustix::thread::sched_setaffinity(None, &set).with_context(|| format!("--cpu {cpu}"))?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let object = options.bpf_object.clone().map_or_else(find_object, Ok)?;
    let interface = options.interface.as_str();
    let sockets = (0..options.queues).map(|queue| AfXdp::open(interface, queue));
    let mut sockets = sockets.collect::<anyhow::Result<Vec<_>>>()?;
    let ports = match options.family {
        Family::V4 => [67, 0],
        Family::V6 => [547, 0],
    };
    let _program = Program::attach(&object, interface, ports, 0, &sockets)?;
    eprintln!("reflecting on {interface}");
    let mut idle_turns = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut count = 0;
        for socket in &mut sockets {
            count += socket.reflect(&mut exchange_addresses)?;
        }
        idle_turns = if count > 0 { 0 } else { idle_turns + 1 };
        if idle_turns > IDLE_TURNS_MAX
            && let Some(first) = sockets.first_mut()
        {
            first.wait(Duration::from_millis(1))?;
        }
    }
    Ok(())
}

/// Swaps source and destination of Ethernet, IP and UDP. All checksums stay right, as sums do not depend
/// on the order of what is added. False for a frame without UDP, which the XDP program does not send.
fn exchange_addresses(frame: &mut [u8]) -> bool {
    swap(frame, 0, 6, 6);
    let mut ip = 14;
    for _ in 0..2 {
        if matches!(frame.get(ip - 2..ip), Some([0x81, 0x00] | [0x88, 0xa8])) {
            ip += 4;
        }
    }
    match frame.get(ip).map(|version| (version >> 4, version & 15)) {
        Some((4, words)) => {
            swap(frame, ip + 12, ip + 16, 4)
                && swap(
                    frame,
                    ip + usize::from(words) * 4,
                    ip + usize::from(words) * 4 + 2,
                    2,
                )
        }
        Some((6, _)) => swap(frame, ip + 8, ip + 24, 16) && swap(frame, ip + 40, ip + 42, 2),
        _ => false,
    }
}

/// Exchanges `len` octets at `first` with those at `second`, which lies behind them.
fn swap(frame: &mut [u8], first: usize, second: usize, len: usize) -> bool {
    let Some((head, tail)) = frame.split_at_mut_checked(second) else {
        return false;
    };
    let first = head.get_mut(first..first.saturating_add(len));
    match (first, tail.get_mut(..len)) {
        (Some(first), Some(second)) => {
            first.swap_with_slice(second);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanging_twice_changes_nothing() {
        let mut frame: Vec<u8> = (0..64).collect();
        frame[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        let original = frame.clone();
        assert!(exchange_addresses(&mut frame));
        assert_eq!(frame[0], 6);
        assert_eq!(frame[26], 30);
        assert_eq!(frame[34], 36);
        assert!(exchange_addresses(&mut frame));
        assert_eq!(frame, original);
    }
}
