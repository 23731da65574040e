//! `cargo xtask miri`: the pure crates under an interpreter that sees what the processor does not.
//!
//! Miri checks every access to memory of the program and of the crates that it is built on: rkyv and
//! hashbrown have unsafe code, and over it lies the store. It takes some thousand times as long as the processor, so
//! property tests try few cases, and tests for which that is not enough are skipped under `cfg(miri)`.

use crate::project::Project;
use crate::steps;
use anyhow::{Result, ensure};
use std::process::Command;

/// `disable-isolation`: proptest asks for the current directory. `permissive-provenance`: parking_lot
/// parks threads by their address, as a number; that is no fault of ours and no fault.
const MIRIFLAGS: &str = "-Zmiri-disable-isolation -Zmiri-permissive-provenance";
/// Cases of each property test that does not say otherwise.
const CASES: &str = "2";
/// What is a part of every test run: the pools. Partitions, the journal and the history have tests that
/// take Miri minutes each.
const BRIEF: &[&str] = &["allocator::"];
/// But not this one of them.
const SLOW: &str = "a_pool_does_what_a_set_does";

/// Options of `cargo xtask miri`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask miri                     dhcp-wire and dhcp-lease; takes long\n  \
                        cargo xtask miri -p dhcp-lease       one of them\n  \
                        cargo xtask miri --filter journal    only tests whose name contains this"
)]
pub(crate) struct Args {
    /// Which packages; may be given several times
    #[arg(short, long = "package", default_values = ["dhcp-wire", "dhcp-lease"])]
    packages: Vec<String>,
    /// Only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    if !is_there() {
        install()?;
    }
    let mut cargo = cargo(project);
    for package in &args.packages {
        cargo.args(["--package", package]);
    }
    cargo.args(["--lib", "--"]).args(&args.filter);
    steps::run("miri", &mut cargo)
}

/// The quicker part, for `cargo xtask test`.
pub(crate) fn brief(project: &Project) -> Result<()> {
    if !is_there() {
        eprintln!(
            "skipped: there is no nightly toolchain with miri; `cargo xtask miri` installs it"
        );
        return Ok(());
    }
    let mut cargo = cargo(project);
    cargo.args(["--package", "dhcp-lease", "--lib", "--quiet", "--"]);
    cargo.args(BRIEF).args(["--skip", SLOW]);
    steps::run("miri", &mut cargo)
}

/// Whether a nightly toolchain has the component.
fn is_there() -> bool {
    let mut cargo = Command::new("cargo");
    cargo.args(["+nightly", "miri", "--version"]);
    outer(&mut cargo);
    steps::output("miri", &mut cargo).is_ok()
}

fn install() -> Result<()> {
    ensure!(
        steps::on_path("rustup"),
        "miri: it comes with a nightly toolchain through rustup, and there is no rustup; install it from your \
         distribution, then `rustup toolchain install nightly --component miri`"
    );
    let toolchains = steps::output(
        "toolchains",
        Command::new("rustup").args(["toolchain", "list"]),
    )?;
    ensure!(
        toolchains.lines().any(|line| line.starts_with("nightly")),
        "miri: rustup has no nightly toolchain; `rustup toolchain install nightly --component miri`"
    );
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", "--toolchain", "nightly"]);
    steps::run("installing miri", rustup.args(["miri", "rust-src"]))
}

fn cargo(project: &Project) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(["+nightly", "miri", "test"]);
    outer(&mut cargo);
    cargo
        .current_dir(&project.root)
        .env("CARGO_TARGET_DIR", project.target.join("miri"))
        .env("MIRIFLAGS", MIRIFLAGS)
        .env("PROPTEST_CASES", CASES);
    cargo
}

/// The cargo that runs this program has named its own toolchain in the environment.
fn outer(command: &mut Command) {
    for name in ["RUSTUP_TOOLCHAIN", "RUSTC", "RUSTDOC", "CARGO", "RUSTFLAGS"] {
        command.env_remove(name);
    }
}
