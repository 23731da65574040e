//! `cargo xtask fuzz`: octets that get ever further into the parsers, the engine and the store.
//!
//! libFuzzer guides itself by the edges of the control flow, which the compiler counts on request. These
//! are options of the code generator, not of the language, so the ordinary compiler has them; what it
//! lacks are sanitizers, and the crates that are fuzzed have no unsafe code for them to look at.

use crate::project::Project;
use crate::setup::{self, Purpose};
use crate::steps;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the compiler adds for libFuzzer: counters of edges, and what comparisons compare.
const FLAGS: &[&str] = &[
    "--cfg fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
    "-Cpanic=unwind",
];
/// Longest input, in octets: a journal of some batches, or a conversation.
const INPUT_OCTETS_MAX: &str = "65536";

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask fuzz --list                   what can be fuzzed\n  \
                        cargo xtask fuzz --seconds 60             each target for a minute\n  \
                        cargo xtask fuzz engine-v4 --seconds 600  one of them for longer\n  \
                        cargo xtask fuzz journal --input FILE     one input, to see it fail again\n\n\
                        Corpora grow in target/fuzz/corpus and are used again. An input that breaks something is \
                        kept in target/fuzz/found; copy it to tests/fuzz/regressions/TARGET/ when it is mended."
)]
pub(crate) struct Args {
    /// Which targets; all if none is named
    targets: Vec<String>,
    /// How long each is fuzzed
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Where the random choices begin; the same corpus and seed make the same run
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Run one input instead of fuzzing
    #[arg(long, value_name = "FILE", requires = "targets")]
    input: Option<PathBuf>,
    /// Name the targets and stop
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::ensure(project, &[Purpose::Fuzz])?;
    let folder = project.target.join("fuzz");
    let corpus = folder.join("corpus");
    let known = seeds(project, &corpus)?;
    if args.list {
        for (name, about) in &known {
            println!("{name:<12} {about}");
        }
        return Ok(());
    }
    for name in &args.targets {
        ensure!(
            known.iter().any(|(target, _)| target == name),
            "fuzz: there is no target {name:?}; `cargo xtask fuzz --list` names them"
        );
    }
    let fuzzer = build(project, &folder)?;
    let all = known.iter().map(|(name, _)| name.clone()).collect();
    let chosen: Vec<String> = match args.targets.is_empty() {
        true => all,
        false => args.targets.clone(),
    };
    let mut broken = Vec::new();
    for name in &chosen {
        if !fuzz(&fuzzer, &folder, name, args)? {
            broken.push(name.as_str());
        }
    }
    ensure!(
        broken.is_empty(),
        "fuzz: {} broke; the inputs are in {}",
        broken.join(", "),
        folder.join("found").display()
    );
    println!("{} targets, nothing broke", chosen.len());
    Ok(())
}

/// Writes the seeds; names the targets, each with what it is about.
fn seeds(project: &Project, corpus: &Path) -> Result<Vec<(String, String)>> {
    let mut cargo = project.cargo();
    cargo.args(["run", "--quiet", "--package", "dhcp-fuzz"]);
    cargo.args(["--bin", "xdhcp-fuzz-seeds", "--"]).arg(corpus);
    let text = steps::output("writing the seeds", &mut cargo)?;
    let targets = text.lines().filter_map(|line| line.split_once('\t'));
    Ok(targets
        .map(|(name, about)| (name.to_owned(), about.to_owned()))
        .collect())
}

/// Builds the fuzzer beside everything else: its flags would have all of it built anew.
fn build(project: &Project, folder: &Path) -> Result<PathBuf> {
    let target = folder.join("build");
    let host = steps::host()?;
    let mut cargo = project.cargo();
    cargo.args(["build", "--release", "--quiet", "--package", "dhcp-fuzz"]);
    cargo.args(["--features", "libfuzzer", "--bin", "xdhcp-fuzz"]);
    // With a target named, build scripts and macros are spared the flags.
    cargo.args(["--target", &host]);
    cargo.env("CARGO_TARGET_DIR", &target);
    cargo.env("RUSTFLAGS", FLAGS.join(" "));
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "off");
    cargo.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    cargo.env("CARGO_PROFILE_RELEASE_PANIC", "unwind");
    eprintln!("fuzz: building with coverage, some minutes the first time");
    steps::run("building the fuzzer", &mut cargo)?;
    Ok(target.join(host).join("release/xdhcp-fuzz"))
}

/// Fuzzes one target. Whether nothing broke.
fn fuzz(fuzzer: &Path, folder: &Path, name: &str, args: &Args) -> Result<bool> {
    let found = folder.join("found").join(name);
    fs::create_dir_all(&found).with_context(|| found.display().to_string())?;
    let mut command = Command::new(fuzzer);
    command.env("XDHCPD_FUZZ_TARGET", name);
    if let Some(input) = &args.input {
        if !input.is_file() {
            bail!("fuzz: {}: no such file", input.display());
        }
        command.arg(input);
    } else {
        eprintln!("== {name} for {} s", args.seconds);
        command.arg(folder.join("corpus").join(name));
        command.arg(format!("-max_total_time={}", args.seconds));
        command.arg(format!("-max_len={INPUT_OCTETS_MAX}"));
        command.arg(format!("-seed={}", args.seed));
        command.arg(format!("-artifact_prefix={}/", found.display()));
        command.args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048"]);
    }
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", fuzzer.display()))?;
    Ok(status.success())
}
