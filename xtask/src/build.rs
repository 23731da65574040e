//! `cargo xtask build`: the XDP programs, then the user space that embeds them.

use crate::project::{Profile, Project};
use crate::setup::{self, Purpose, Toolchain};
use crate::steps;
use anyhow::{Context, Result};
use std::fs;

/// Options of `cargo xtask build`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask build              quick to compile\n  \
                        cargo xtask build --release    what users run\n  \
                        cargo xtask build --bpf        the XDP programs only"
)]
pub(crate) struct Args {
    /// Optimise the user space; the XDP programs always are
    #[arg(long)]
    release: bool,
    /// Build the XDP programs only
    #[arg(long)]
    bpf: bool,
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    let profile = if args.release {
        Profile::Release
    } else {
        Profile::Dev
    };
    bpf(project)?;
    eprintln!("build: {}", project.bpf_object().display());
    if args.bpf {
        return Ok(());
    }
    user_space(project, profile)?;
    for name in ["xdhcpd", "xdhcp-blaster"] {
        eprintln!("build: {}", project.binary(name, profile).display());
    }
    Ok(())
}

/// Everything that a routine with packets needs.
pub(crate) fn all(project: &Project, profile: Profile) -> Result<()> {
    bpf(project)?;
    user_space(project, profile)
}

/// The BPF object; its file changes only when its contents do, so that nothing is rebuilt for it in vain.
pub(crate) fn bpf(project: &Project) -> Result<()> {
    let Some(toolchain) = setup::ensure(project, &[Purpose::Build])? else {
        return Ok(());
    };
    let built = compile_bpf(project, &toolchain)?;
    let object = project.bpf_object();
    let new = fs::read(&built).with_context(|| format!("{}", built.display()))?;
    if fs::read(&object).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(&object, new).with_context(|| format!("{}: cannot write", object.display()))
}

fn compile_bpf(project: &Project, toolchain: &Toolchain) -> Result<std::path::PathBuf> {
    let target = project.target.join("bpf").join(toolchain.folder());
    let mut cargo = toolchain.cargo_build();
    cargo
        .current_dir(&project.root)
        .args([
            "--quiet",
            "--package",
            "dhcp-ebpf",
            "--bin",
            "xdhcpd-bpf",
            "--target-dir",
        ])
        .arg(&target);
    steps::run(
        &format!("building the XDP programs with {toolchain}"),
        &mut cargo,
    )?;
    let endian = if cfg!(target_endian = "big") {
        "bpfeb"
    } else {
        "bpfel"
    };
    Ok(target.join(format!("{endian}-unknown-none/release/xdhcpd-bpf")))
}

/// The server and the blaster; the BPF object must be there.
pub(crate) fn user_space(project: &Project, profile: Profile) -> Result<()> {
    let mut cargo = project.cargo();
    cargo.args([
        "build",
        "--package",
        "dhcp-userspace",
        "--package",
        "dhcp-bench",
        "--bins",
    ]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    steps::run("building the user space", &mut cargo)
}
