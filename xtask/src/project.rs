//! Where are things?

use anyhow::{Context, Result};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout and what is built from it.
pub(crate) struct Project {
    /// The workspace's root.
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
}

impl Project {
    /// The checkout that this program was built from.
    pub(crate) fn here() -> Result<Self> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = package
            .parent()
            .context("xtask lies in no workspace")?
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            // As cargo takes it: relative to where the command is given.
            Some(target) => env::current_dir()
                .context("the current directory")?
                .join(target),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// The BPF object with all XDP programs; dhcp-userspace/build.rs looks here, too.
    pub(crate) fn bpf_object(&self) -> PathBuf {
        self.target.join("bpf/xdhcpd.bpf.o")
    }

    /// What setup builds for the project's own use.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// A program of ours, as `cargo xtask build` leaves it.
    pub(crate) fn binary(&self, name: &str, profile: Profile) -> PathBuf {
        let folder = match profile {
            Profile::Dev => "debug",
            Profile::Release => "release",
        };
        self.target.join(folder).join(name)
    }

    /// Cargo, of the toolchain that runs this program, for the user space.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("XDHCPD_BPF_OBJECT", self.bpf_object());
        cargo
    }
}

/// How the user space is compiled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build.
    Dev,
    /// What users run.
    Release,
}
