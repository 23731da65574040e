//! bpf-linker: built for the LLVM of the compiler it serves, below the target directory.
//!
//! It reads the bitcode that the compiler writes, so its LLVM must not be older than the compiler's.

use super::toolchain::{Compiler, Kind};
use crate::project::Project;
use crate::steps;
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = "0.13.0";
/// The versions of LLVM that this bpf-linker can be built for.
const LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// The linker for this compiler; built when it is not there or does not start.
pub(super) fn ensure(project: &Project, kind: Kind, compiler: &Compiler) -> Result<PathBuf> {
    let name = format!(
        "bpf-linker-{VERSION}-{kind}-llvm-{}-{}",
        compiler.llvm, compiler.commit
    );
    let folder = project.tools().join(name);
    let linker = folder.join("bin/bpf-linker");
    // Starting it shows that its LLVM is still there, too.
    if steps::output("bpf-linker", Command::new(&linker).arg("--version")).is_ok() {
        return Ok(linker);
    }
    if !LLVM.contains(&compiler.llvm) {
        bail!(
            "bpf-linker {VERSION} cannot be built for LLVM {} of this compiler",
            compiler.llvm
        );
    }
    let llvm = match kind {
        Kind::Nightly => llvm_of_nightly(&folder, compiler)?,
        Kind::Debian => PathBuf::from(format!("/usr/lib/llvm-{}", compiler.llvm)),
    };
    let log = project.target.join("setup/bpf-linker.log");
    eprintln!(
        "setup: building bpf-linker {VERSION} for LLVM {}, about a minute (log: {})",
        compiler.llvm,
        log.display()
    );
    let mut cargo = project.cargo();
    cargo
        .args([
            "install",
            "bpf-linker",
            "--version",
            VERSION,
            "--locked",
            "--force",
        ])
        .args([
            "--no-default-features",
            "--features",
            &format!("llvm-{}", compiler.llvm),
        ])
        .arg("--root")
        .arg(&folder)
        .env("CARGO_TARGET_DIR", project.tools().join("build"))
        .env("LLVM_PREFIX", &llvm)
        .env(format!("LLVM_SYS_{}1_PREFIX", compiler.llvm), &llvm);
    steps::run_logged("setup", &mut cargo, &log)?;
    steps::output(
        "bpf-linker, just built",
        Command::new(&linker).arg("--version"),
    )?;
    Ok(linker)
}

/// The LLVM that lies in the compiler itself, under the name that a linker looks for.
fn llvm_of_nightly(folder: &Path, compiler: &Compiler) -> Result<PathBuf> {
    let libraries = compiler.folder.join("../lib");
    let prefix = format!("libLLVM.so.{}.", compiler.llvm);
    let entries = fs::read_dir(&libraries).with_context(|| format!("{}", libraries.display()))?;
    let library = entries
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .with_context(|| format!("{} holds no {prefix}*", libraries.display()))?;
    let llvm = folder.join("llvm");
    let links = llvm.join("lib");
    // A folder of an earlier try may point to a nightly that was replaced.
    let _ = fs::remove_dir_all(&llvm);
    fs::create_dir_all(&links).with_context(|| format!("{}", links.display()))?;
    let target = library
        .path()
        .canonicalize()
        .context("the nightly's LLVM")?;
    // Once for the static linker, once by its own name for the dynamic one.
    for name in ["libLLVM.so".into(), library.file_name()] {
        symlink(&target, links.join(name)).with_context(|| format!("{}", links.display()))?;
    }
    Ok(llvm)
}
