//! Crash campaigns: power cuts, kills at every system call, a disk that fails, flipped bits.
//!
//! `cargo xtask crash` builds and runs this; see `xdhcp-crash --help`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a campaign that cannot go on is a test that failed"
)]

use clap::Parser;
use dhcp_lease::Journal;
use dhcp_tests::crash::drive::{BEGINNING, Run};
use dhcp_tests::crash::power::{self, Campaign};
use dhcp_tests::crash::rig::{FileSystem, Rig};
use dhcp_tests::crash::server::Place;
use dhcp_tests::crash::{calls, damage, flips, record, trace};
use dhcp_userspace::settings::Durability;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

#[derive(Parser)]
#[command(
    about = "Crash campaigns against the lease store",
    arg_required_else_help = true
)]
enum Campaigns {
    /// Power cuts: images of every moment of a recorded disk are mounted and opened
    Power(PowerArgs),
    /// A fault at every durable system call: killed, EIO, ENOSPC, EIO for ever
    Calls(CallsArgs),
    /// Every bit of a table of 1 MiB flipped, and damage of all sorts to a store's files
    Flips(FlipsArgs),
    /// Look again at an image that a campaign kept
    Look {
        /// Its file system
        #[arg(long)]
        fs: FileSystem,
        /// The image
        #[arg(long)]
        image: PathBuf,
        /// Its ledger
        #[arg(long)]
        ledger: PathBuf,
        /// How many barriers were complete
        #[arg(long)]
        barrier: u64,
    },
    /// Serve clients by chance and keep a ledger (the campaigns start this)
    #[command(hide = true)]
    Drive(DriveArgs),
    /// Judge the disks that standard input names (the campaigns start this)
    #[command(hide = true)]
    Judge {
        #[arg(long)]
        fs: FileSystem,
        #[arg(long)]
        device: PathBuf,
        #[arg(long)]
        files: PathBuf,
        #[arg(long)]
        ledger: PathBuf,
    },
}

#[derive(clap::Args)]
struct PowerArgs {
    /// On which file system
    #[arg(long)]
    fs: FileSystem,
    /// At least so many images
    #[arg(long, default_value_t = 20_000)]
    images: u64,
    /// The seed of all chance but that of threads and kernel
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Rounds of each life of the store
    #[arg(long, default_value_t = 150)]
    rounds: u64,
    /// Images at the same time
    #[arg(long, default_value_t = 2)]
    lanes: usize,
    /// Where images are kept that do not recover
    #[arg(long, default_value = "crash-violations")]
    keep: PathBuf,
}

#[derive(clap::Args)]
struct CallsArgs {
    /// Rounds of the run, each a group commit
    #[arg(long, default_value_t = 2_000)]
    rounds: u64,
    /// Hit every so-many-th call while the store serves; its beginning and end are hit everywhere
    #[arg(long, default_value_t = 1)]
    step: u64,
    /// How many openings in a row are killed, each at every call
    #[arg(long, default_value_t = 3)]
    levels: u32,
    /// The seed of the run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What an acknowledgement survives
    #[arg(long, default_value = "power")]
    durability: Survives,
    /// Cases at the same time
    #[arg(long, default_value_t = 2)]
    lanes: usize,
}

#[derive(clap::Args)]
struct FlipsArgs {
    /// Open with every so-many-th bit of a slot flipped (a checksum is asked for each bit anyway)
    #[arg(long, default_value_t = 1)]
    step: usize,
    /// So many bits of a store's files, by chance
    #[arg(long, default_value_t = 10_000)]
    bits: u64,
    /// The seed of all chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Openings at the same time
    #[arg(long, default_value_t = 2)]
    lanes: usize,
}

#[derive(clap::Args)]
struct DriveArgs {
    #[arg(long)]
    state: PathBuf,
    #[arg(long)]
    position: Option<PathBuf>,
    /// Standard output if there is none
    #[arg(long)]
    ledger: Option<PathBuf>,
    #[arg(long)]
    capacity: u64,
    #[arg(long)]
    end: End,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    rounds: u64,
    #[arg(long, default_value_t = BEGINNING)]
    now: u64,
    #[arg(long, default_value_t = 2)]
    workers: usize,
    #[arg(long, default_value = "power")]
    durability: Survives,
    /// Wait for a tracer
    #[arg(long)]
    traced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Survives {
    Power,
    Process,
}

impl From<Survives> for Durability {
    fn from(survives: Survives) -> Self {
        match survives {
            Survives::Power => Self::Power,
            Survives::Process => Self::Process,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum End {
    Stop,
    Kill,
}

/// Set in a process that has its own mounts.
const ALONE: &str = "XDHCP_CRASH_ALONE";

/// Goes on where nobody else sees this program's mounts. A process with a copy of them, as `ip netns exec`
/// makes one, would keep a file system mounted after it was unmounted here; and the next image would be
/// judged by what is in memory of the last one.
fn be_alone() {
    if std::env::var_os(ALONE).is_none() {
        let error = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--"])
            .arg(program())
            .args(std::env::args_os().skip(1))
            .env(ALONE, "1")
            .exec();
        panic!("unshare: {error}");
    }
}

fn main() -> ExitCode {
    let campaigns = Campaigns::parse();
    be_alone();
    match campaigns {
        Campaigns::Power(args) => cut_power(&args),
        Campaigns::Calls(args) => hit_calls(&args),
        Campaigns::Flips(args) => flip(&args),
        Campaigns::Look {
            fs,
            image,
            ledger,
            barrier,
        } => {
            match power::look(&program(), fs, &image, &ledger, barrier) {
                Ok(promises) => println!("all {promises} promises are kept"),
                Err(text) => {
                    println!("{text}");
                    return ExitCode::FAILURE;
                }
            }
            ExitCode::SUCCESS
        }
        Campaigns::Drive(args) => drive(&args),
        Campaigns::Judge {
            fs,
            device,
            files,
            ledger,
        } => {
            power::judge(fs, &device, &files, &ledger);
            ExitCode::SUCCESS
        }
    }
}

fn program() -> PathBuf {
    std::env::current_exe().unwrap()
}

fn cut_power(args: &PowerArgs) -> ExitCode {
    let start = Instant::now();
    let bar = progress("images");
    bar.set_length(args.images);
    let campaign = Campaign {
        program: program(),
        kind: args.fs,
        images: args.images,
        seed: args.seed,
        rounds: args.rounds,
        lanes: args.lanes,
        keep: args.keep.clone(),
    };
    let outcome = campaign.run(&|done, _| bar.set_position(done));
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let (barriers, groups) = outcome.steady;
    let report = json!({
        "campaign": "power",
        "fs": args.fs.name(),
        "seed": args.seed,
        "images": outcome.images,
        "barriers": outcome.barriers,
        "writes": outcome.writes,
        "groups": outcome.groups,
        "acknowledged": outcome.acknowledged,
        "promises_looked_for": outcome.promises,
        "mended_by_fsck": outcome.mended,
        "barriers_per_group": barriers as f64 / groups as f64,
        "seconds": seconds,
        "images_per_second": outcome.images as f64 / seconds,
    });
    end(report, &outcome.violations)
}

fn hit_calls(args: &CallsArgs) -> ExitCode {
    let start = Instant::now();
    let bar = progress("cases");
    let campaign = calls::Campaign {
        program: program(),
        rounds: args.rounds,
        step: args.step,
        levels: args.levels,
        seed: args.seed,
        durability: args.durability.into(),
        lanes: args.lanes,
    };
    let outcome = campaign.run(&|done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = json!({
        "campaign": "calls",
        "seed": args.seed,
        "durable_calls": outcome.calls,
        "durable_calls_of_an_opening": outcome.opening_calls,
        "cases": outcome.cases,
        "hits": outcome.hits,
        "promises_looked_for": outcome.promises,
        "seconds": start.elapsed().as_secs_f64(),
    });
    end(report, &outcome.violations)
}

fn flip(args: &FlipsArgs) -> ExitCode {
    let start = Instant::now();
    let bar = progress("openings");
    let told = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let mut flips = flips::run(args.step, args.lanes, args.seed, &told);
    let rig = Rig::in_memory();
    let damage = damage::run(rig.folder(), args.bits, args.seed, &told);
    bar.finish_and_clear();
    let report = json!({
        "campaign": "flips",
        "seed": args.seed,
        "bits_noticed": flips.noticed,
        "bits_mended": flips.mended,
        "header_bits": flips.header_bits,
        "slots_with_two_bits": flips.doubles,
        "damaged_stores": damage.cases,
        "whole": damage.whole,
        "lost_something": damage.lost,
        "refused": damage.refused,
        "seconds": start.elapsed().as_secs_f64(),
    });
    flips.violations.extend(damage.violations);
    end(report, &flips.violations)
}

fn progress(what: &str) -> ProgressBar {
    let template = format!("{{bar:40}} {{pos}}/{{len}} {what}, {{per_sec}}, {{eta}} left");
    ProgressBar::new(0).with_style(ProgressStyle::with_template(&template).unwrap())
}

/// Says what came out, as one line of JSON after the violations.
fn end(mut report: serde_json::Value, violations: &[String]) -> ExitCode {
    for violation in violations {
        eprintln!("VIOLATION {violation}");
    }
    if let Some(figures) = report.as_object_mut() {
        figures.insert("violations".to_owned(), violations.len().into());
    }
    println!("{report}");
    match violations {
        [] => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn drive(args: &DriveArgs) -> ExitCode {
    let run = Run {
        place: Place {
            directory: args.state.clone(),
            capacity: args.capacity,
            journal_octets: Journal::OCTETS_MIN,
            durability: args.durability.into(),
        },
        seed: args.seed,
        rounds: args.rounds,
        workers: args.workers,
        position: args.position.clone(),
        now: args.now,
        batch_max: 12,
    };
    if args.traced {
        trace::ask_to_be_traced();
    }
    let ran = match &args.ledger {
        Some(file) => run.run(&mut File::create(file).unwrap(), args.end == End::Stop),
        None => run.run(&mut std::io::stdout(), args.end == End::Stop),
    };
    match ran {
        Ok(ran) if args.ledger.is_some() => println!("{}", record::report(&ran)),
        Ok(_) => {}
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    // With `End::Kill` the server's threads still run; they end here, in the middle of what they do.
    std::process::exit(0)
}
