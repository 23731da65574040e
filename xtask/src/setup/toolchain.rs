//! Which compiler makes BPF objects here?
//!
//! Compiling for BPF means compiling `core` for it, which needs unstable features and the library's
//! source. Two ways: rustup's nightly with `rust-src`, or Debian's rustc-web with rust-web-src, which is
//! allowed unstable features by `RUSTC_BOOTSTRAP`. What is installed is taken first; else Debian's, as
//! it leaves the user's toolchains alone; else rustup is asked.

use super::{apt, linker};
use crate::project::Project;
use crate::steps;
use anyhow::{Context, Result, anyhow, bail};
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Forces one of the two ways.
const CHOICE: &str = "XDHCPD_BPF_TOOLCHAIN";
/// The workspace's `rust-version`: an older compiler is refused by cargo.
const MINOR_VERSION_MIN: u32 = 95;

/// A compiler for BPF with its linker.
pub(crate) struct Toolchain {
    kind: Kind,
    compiler: Compiler,
    linker: PathBuf,
}

/// Where a compiler comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// rustup's nightly with `rust-src`.
    Nightly,
    /// Debian's rustc-web with rust-web-src.
    Debian,
}

/// A Rust compiler and what it says about itself.
#[derive(Debug)]
pub(super) struct Compiler {
    /// The folder of `rustc` and `cargo`.
    pub(super) folder: PathBuf,
    /// `1.97.0-nightly` or the like.
    pub(super) release: String,
    /// Tells two nightlies of one release apart.
    pub(super) commit: String,
    /// The major version of the LLVM in it.
    pub(super) llvm: u32,
}

impl Toolchain {
    /// Cargo of this compiler, told to compile for BPF; the package and the target directory are missing.
    pub(crate) fn cargo_build(&self) -> Command {
        let mut cargo = Command::new(self.compiler.folder.join("cargo"));
        // What the outer cargo and rustup set for the user space picks the wrong compiler here.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let misleading = ["CARGO", "RUSTUP_", "RUSTC", "RUSTDOC", "RUSTFLAGS"];
            let harmless = [
                "CARGO_HOME",
                "CARGO_NET_",
                "CARGO_HTTP_",
                "CARGO_TERM_",
                "RUSTUP_HOME",
            ];
            if misleading.iter().any(|prefix| name.starts_with(prefix))
                && !harmless.iter().any(|prefix| name.starts_with(prefix))
            {
                cargo.env_remove(name);
            }
        }
        let flags = [
            format!("-Clinker={}", self.linker.display()),
            // Types for the kernel, and source lines in what its verifier says.
            "-Cdebuginfo=2".to_owned(),
            "-Clink-arg=--btf".to_owned(),
        ];
        cargo
            .env("RUSTC", self.compiler.folder.join("rustc"))
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
            .env("CARGO_PROFILE_RELEASE_LTO", "fat")
            .args(["build", "--release", "-Zbuild-std=core", "--target"])
            .arg(if cfg!(target_endian = "big") {
                "bpfeb-unknown-none"
            } else {
                "bpfel-unknown-none"
            });
        cargo
    }

    /// The name of the target directory: objects of different compilers do not mix.
    pub(crate) fn folder(&self) -> String {
        format!("{}-{}", self.kind, self.compiler.release)
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Compiler { release, llvm, .. } = &self.compiler;
        write!(f, "{} {release} (LLVM {llvm})", self.kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nightly => "nightly",
            Self::Debian => "debian",
        })
    }
}

/// The first way that works, in the order of the module's first lines.
pub(super) fn ensure(project: &Project) -> Result<Toolchain> {
    let mut failures = Vec::new();
    for kind in order()? {
        match prepare(project, kind) {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => {
                eprintln!("setup: no BPF compiler by way of {kind}: {error:#}");
                failures.push(kind);
            }
        }
    }
    bail!(
        "setup: no compiler for BPF ({} tried, see above); either `rustup toolchain install nightly \
         --component rust-src`, or on Debian 12 or later add its security suite to the package \
         sources, which has rustc-web",
        failures.len()
    );
}

fn order() -> Result<Vec<Kind>> {
    match env::var(CHOICE).as_deref() {
        Ok("nightly") => return Ok(vec![Kind::Nightly]),
        Ok("debian") => return Ok(vec![Kind::Debian]),
        Ok(other) => bail!("{CHOICE}={other}: no such way; it is nightly or debian"),
        Err(_) => {}
    }
    let mut order = Vec::new();
    let nightly_is_ready = nightly().is_ok_and(|compiler| has_rust_src(&compiler.folder));
    if nightly_is_ready {
        order.push(Kind::Nightly);
    }
    if apt::is_here() {
        order.push(Kind::Debian);
    }
    if !nightly_is_ready && steps::on_path("rustup") {
        order.push(Kind::Nightly);
    }
    Ok(order)
}

fn prepare(project: &Project, kind: Kind) -> Result<Toolchain> {
    let compiler = match kind {
        Kind::Nightly => prepare_nightly()?,
        Kind::Debian => prepare_debian(project)?,
    };
    let linker = linker::ensure(project, kind, &compiler)?;
    Ok(Toolchain {
        kind,
        compiler,
        linker,
    })
}

fn prepare_nightly() -> Result<Compiler> {
    if !steps::on_path("rustup") {
        bail!("there is no rustup");
    }
    let compiler = match nightly() {
        Ok(compiler) => compiler,
        Err(_) => {
            eprintln!("setup: installing a nightly Rust with rust-src to compile BPF (rustup)");
            let mut install = Command::new("rustup");
            install.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
            install.args(["--component", "rust-src"]);
            steps::output("rustup", &mut install)?;
            nightly()?
        }
    };
    if !has_rust_src(&compiler.folder) {
        eprintln!("setup: adding rust-src to the nightly Rust to compile BPF (rustup)");
        let mut add = Command::new("rustup");
        add.args(["component", "add", "rust-src", "--toolchain", "nightly"]);
        steps::output("rustup", &mut add)?;
    }
    Ok(compiler)
}

/// rustup's nightly, if there is one.
fn nightly() -> Result<Compiler> {
    let mut which = Command::new("rustup");
    let path = steps::output(
        "rustup",
        which.args(["which", "rustc", "--toolchain", "nightly"]),
    )?;
    let folder = Path::new(path.trim())
        .parent()
        .context("rustup names no path")?;
    Compiler::of(folder)
}

fn has_rust_src(folder: &Path) -> bool {
    folder
        .join("../lib/rustlib/src/rust/library/core/Cargo.toml")
        .is_file()
}

fn prepare_debian(project: &Project) -> Result<Compiler> {
    const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
    if apt::installed(&PACKAGES)?.len() < PACKAGES.len() {
        let mut version = apt::candidates(&PACKAGES)?.remove("rustc-web");
        if version.as_deref().is_none_or(is_too_old) {
            apt::update(project)?;
            version = apt::candidates(&PACKAGES)?.remove("rustc-web");
        }
        let version = version.context("the package sources have no rustc-web")?;
        if is_too_old(&version) {
            bail!(
                "the package sources have rustc-web {version} only, and 1.{MINOR_VERSION_MIN} is needed"
            );
        }
        apt::install(project, &PACKAGES, "to compile BPF")?;
    }
    let compiler = Compiler::of(Path::new("/usr/bin"))?;
    if is_too_old(&compiler.release) {
        bail!(
            "/usr/bin/rustc is {}, and 1.{MINOR_VERSION_MIN} is needed",
            compiler.release
        );
    }
    let llvm = [
        format!("llvm-{}-dev", compiler.llvm),
        format!("libpolly-{}-dev", compiler.llvm),
    ];
    let names: Vec<&str> = llvm
        .iter()
        .map(String::as_str)
        .chain(["zlib1g-dev", "libzstd-dev"])
        .collect();
    if apt::installed(&names)?.len() < names.len() {
        apt::install(project, &names, "to build bpf-linker")?;
    }
    Ok(compiler)
}

/// `1.96.0+dfsg1-1` is new enough, `1.85.0` is not.
fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next(), numbers.next()) < (Some(1), Some(MINOR_VERSION_MIN))
}

impl Compiler {
    fn of(folder: &Path) -> Result<Self> {
        let mut rustc = Command::new(folder.join("rustc"));
        let text = steps::output("rustc", rustc.arg("-vV"))?;
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name));
            value
                .map(str::trim)
                .ok_or_else(|| anyhow!("rustc -vV says no {name}"))
        };
        let llvm = field("LLVM version:")?;
        let major = llvm.split('.').next().and_then(|major| major.parse().ok());
        Ok(Self {
            folder: folder.to_path_buf(),
            release: field("release:")?.to_owned(),
            commit: field("commit-hash:")?.chars().take(9).collect(),
            llvm: major.with_context(|| format!("LLVM version {llvm} is no number"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_too_old("1.85.0+dfsg3-1~deb12u3"));
        assert!(is_too_old("1.9.0"));
        assert!(!is_too_old("1.95.0"));
        assert!(!is_too_old("1.96.0+dfsg1-1~deb12u2"));
        assert!(!is_too_old("2.0.0"));
        assert!(is_too_old("unknown"));
    }
}
