//! `cargo xtask setup`: what does this machine lack?
//!
//! Nothing is remembered between runs: each looks at what is there, which takes a fraction of a second.
//! Packages come from the distribution, tools are built below the target directory; nothing is put
//! into the user's home but what rustup itself installs.

mod apt;
mod linker;
mod toolchain;

use crate::project::Project;
use crate::steps;
use anyhow::{Result, bail};
pub(crate) use toolchain::Toolchain;

/// Options of `cargo xtask setup`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask setup           everything\n  \
                        cargo xtask setup --for build   what building needs\n\n\
                        XDHCPD_BPF_TOOLCHAIN=nightly or =debian names the compiler for BPF.")]
pub(crate) struct Args {
    /// Set up for this only
    #[arg(long = "for", value_enum)]
    purpose: Option<Purpose>,
}

/// What a machine is set up for.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Purpose {
    /// Compiling the XDP programs and the user space
    Build,
    /// Network namespaces
    Network,
    /// End-to-end tests with real DHCP clients
    Test,
    /// Measurements
    Bench,
    /// Coverage-guided fuzzing
    Fuzz,
}

/// A package of the distribution.
struct Package {
    /// Its name in Debian and Ubuntu, and the names it has in other releases; one suffices.
    names: &'static [&'static str],
    /// A program by which it is recognised where there is no dpkg.
    program: Option<&'static str>,
}

const fn package(names: &'static [&'static str]) -> Package {
    Package {
        names,
        program: None,
    }
}

const fn program(name: &'static str, names: &'static [&'static str]) -> Package {
    Package {
        names,
        program: Some(name),
    }
}

/// libxdp and libbpf are compiled from C.
const BUILD: &[Package] = &[
    program("gcc", &["gcc"]),
    program("make", &["make"]),
    program("clang", &["clang"]),
    program("llvm-strip", &["llvm"]),
    program("m4", &["m4"]),
    program("pkg-config", &["pkg-config", "pkgconf"]),
    package(&["libc6-dev"]),
    package(&["libclang-dev"]),
    package(&["libelf-dev"]),
    package(&["zlib1g-dev"]),
    // clang compiles for BPF with the headers of the 32-bit C library.
    #[cfg(target_arch = "x86_64")]
    package(&["gcc-multilib"]),
];
const NETWORK: &[Package] = &[
    program("ip", &["iproute2"]),
    program("ethtool", &["ethtool"]),
];
const TEST: &[Package] = &[
    program("dhclient", &["isc-dhcp-client"]),
    program("dhcrelay", &["isc-dhcp-relay"]),
    program("udhcpc", &["udhcpc"]),
    program("dhcpcd", &["dhcpcd-base", "dhcpcd5"]),
    program("kea-dhcp4", &["kea-dhcp4-server"]),
    program("kea-dhcp6", &["kea-dhcp6-server"]),
    program("perfdhcp", &["kea-admin"]),
    program("networkctl", &["systemd"]),
    program("arping", &["iputils-arping", "arping"]),
    program("tshark", &["tshark"]),
    program("tcpdump", &["tcpdump"]),
    program("ping", &["iputils-ping", "inetutils-ping"]),
    program("faketime", &["faketime"]),
    program("setpriv", &["util-linux"]),
    program("bpftool", &["bpftool", "linux-tools-common"]),
    program("strace", &["strace"]),
    program("mkfs.ext4", &["e2fsprogs"]),
    program("mkfs.xfs", &["xfsprogs"]),
    program("losetup", &["mount", "util-linux"]),
];
const BENCH: &[Package] = &[program("perf", &["linux-perf", "linux-tools-generic"])];
const FUZZ: &[Package] = &[program("g++", &["g++"])];

impl Purpose {
    fn packages(self) -> &'static [Package] {
        match self {
            Self::Build => BUILD,
            Self::Network => NETWORK,
            Self::Test => TEST,
            Self::Bench => BENCH,
            Self::Fuzz => FUZZ,
        }
    }

    fn why(self) -> &'static str {
        match self {
            Self::Build => "to compile libxdp and libbpf, which xsk-rs brings as C",
            Self::Network => "to make network namespaces",
            Self::Test => {
                "to test against real DHCP clients and file systems, and to look at what is sent"
            }
            Self::Bench => "to count system calls",
            Self::Fuzz => "to compile libFuzzer, which is C++",
        }
    }
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    let purposes = match args.purpose {
        Some(purpose) => vec![purpose],
        None => vec![
            Purpose::Build,
            Purpose::Network,
            Purpose::Test,
            Purpose::Bench,
            Purpose::Fuzz,
        ],
    };
    let toolchain = ensure(project, &purposes)?;
    match toolchain {
        Some(toolchain) => eprintln!("setup: all is there; BPF is compiled by {toolchain}"),
        None => eprintln!("setup: all is there"),
    }
    Ok(())
}

/// Installs what is missing for these purposes. The compiler for BPF when building is among them.
pub(crate) fn ensure(project: &Project, purposes: &[Purpose]) -> Result<Option<Toolchain>> {
    for &purpose in purposes {
        if apt::is_here() {
            apt::ensure(project, purpose.packages(), purpose.why())?;
        } else {
            name_missing(purpose)?;
        }
    }
    if purposes.contains(&Purpose::Build) {
        toolchain::ensure(project).map(Some)
    } else {
        Ok(None)
    }
}

/// Where there is no apt: says what is to be installed by hand.
fn name_missing(purpose: Purpose) -> Result<()> {
    let missing: Vec<&str> = purpose
        .packages()
        .iter()
        .filter_map(|package| package.program)
        .filter(|program| !steps::on_path(program))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let all: Vec<&str> = purpose
        .packages()
        .iter()
        .filter_map(|package| package.names.first().copied())
        .collect();
    bail!(
        "setup: these programs are missing: {}; install them, {} (Debian's packages are {}), and run \
         this again",
        missing.join(", "),
        purpose.why(),
        all.join(" "),
    );
}
