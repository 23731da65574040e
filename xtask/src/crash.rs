//! `cargo xtask crash`: the crash campaigns with the counts that a release is accepted by.

use crate::project::{Profile, Project};
use crate::setup::{self, Purpose};
use crate::{build, steps, test};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Stdio;

/// Options of `cargo xtask crash`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask crash                                    everything; takes hours\n  \
                  cargo xtask crash --only power --fs ext4 --images 1000\n  \
                  cargo xtask crash --only kills --kills 100\n\n\
                  An image that does not recover is kept in target/crash with the command that looks at it again."
)]
pub(crate) struct Args {
    /// Run this campaign only; may be given several times
    #[arg(long, value_enum)]
    only: Vec<Campaign>,
    /// Power cuts on this file system
    #[arg(long, value_enum, default_value = "both")]
    fs: FileSystem,
    /// Images of power cuts on each file system
    #[arg(long, default_value_t = 20_000)]
    images: u64,
    /// Rounds of the run whose system calls are hit; each is a group commit
    #[arg(long, default_value_t = 2_000)]
    rounds: u64,
    /// Hit every so-many-th system call, open with every so-many-th bit of a slot flipped
    #[arg(long, default_value_t = 1)]
    step: u64,
    /// Random bits of a store's files
    #[arg(long, default_value_t = 10_000)]
    bits: u64,
    /// How often the server is killed under load
    #[arg(long, default_value_t = 1_000)]
    kills: u64,
    /// The seed of all chance but that of threads and kernel
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// A way to crash.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Campaign {
    /// Images of every moment of a recorded disk
    Power,
    /// A fault at every durable system call
    Calls,
    /// Flipped bits and other damage
    Flips,
    /// kill -9 under load
    Kills,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FileSystem {
    Ext4,
    Xfs,
    Both,
}

impl FileSystem {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Ext4 => &["ext4"],
            Self::Xfs => &["xfs"],
            Self::Both => &["ext4", "xfs"],
        }
    }
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::ensure(project, &[Purpose::Build, Purpose::Network, Purpose::Test])?;
    build::bpf(project)?;
    let is_wanted = |campaign| args.only.is_empty() || args.only.contains(&campaign);
    let reports = campaigns(args, is_wanted)
        .iter()
        .map(|arguments| campaign(project, arguments))
        .collect::<Result<Vec<_>>>()?;
    if args.json {
        println!("{}", Value::Array(reports.clone()));
    } else {
        reports.iter().for_each(print);
    }
    if is_wanted(Campaign::Kills) {
        test::run(project, &test::Args::kill9(args.kills))?;
    }
    let violations = |report: &Value| report.get("violations").and_then(Value::as_u64);
    ensure!(
        reports.iter().all(|report| violations(report) == Some(0)),
        "crash: there are violations; they stand above"
    );
    Ok(())
}

/// What the program is to be told for each of its campaigns.
fn campaigns(args: &Args, is_wanted: impl Fn(Campaign) -> bool) -> Vec<Vec<String>> {
    let seed = ["--seed".to_owned(), args.seed.to_string()];
    let with = |words: &[&str]| {
        let words = words.iter().map(|word| (*word).to_owned());
        words.chain(seed.clone()).collect::<Vec<_>>()
    };
    let step = args.step.to_string();
    let mut all = Vec::new();
    if is_wanted(Campaign::Power) {
        let images = args.images.to_string();
        let power = |fs: &&str| with(&["power", "--fs", fs, "--images", &images]);
        all.extend(args.fs.names().iter().map(power));
    }
    if is_wanted(Campaign::Calls) {
        let rounds = args.rounds.to_string();
        let calls = [
            "calls",
            "--rounds",
            &rounds,
            "--step",
            &step,
            "--durability",
        ];
        all.extend(["power", "process"].map(|survives| with(&[&calls[..], &[survives]].concat())));
    }
    if is_wanted(Campaign::Flips) {
        all.push(with(&[
            "flips",
            "--step",
            &step,
            "--bits",
            &args.bits.to_string(),
        ]));
    }
    all
}

/// Runs one; its progress goes to the terminal, the line of JSON that it ends with comes back.
fn campaign(project: &Project, arguments: &[String]) -> Result<Value> {
    let mut cargo = project.cargo();
    cargo.args([
        "build",
        "--release",
        "--package",
        "dhcp-tests",
        "--features",
        "root",
    ]);
    steps::run(
        "building the campaigns",
        cargo.args(["--bin", "xdhcp-crash"]),
    )?;
    let program = project.binary("xdhcp-crash", Profile::Release);
    let mut command = steps::privileged(&program.to_string_lossy());
    command.args(arguments);
    if arguments.first().is_some_and(|first| first == "power") {
        command.arg("--keep").arg(project.target.join("crash"));
    }
    // It fails where there are violations, which its report counts.
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let report = text.lines().last().unwrap_or_default();
    serde_json::from_str(report).with_context(|| {
        format!(
            "crash: {} ended with {}",
            arguments.join(" "),
            output.status
        )
    })
}

fn print(report: &Value) {
    let Some(figures) = report.as_object() else {
        return;
    };
    for (name, figure) in figures {
        println!("{name:>28}  {figure}");
    }
    println!();
}
