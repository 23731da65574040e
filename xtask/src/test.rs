//! `cargo xtask test`: every test, quickest first, and proof that nothing is left behind.

use crate::build;
use crate::miri;
use crate::project::{Profile, Project};
use crate::rfc;
use crate::setup::{self, Purpose};
use crate::steps;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The kernel takes namespaces and programs down in the background.
const LEFTOVER_TRIES: u32 = 50;
const LEFTOVER_PAUSE: Duration = Duration::from_millis(100);
const OUR_PROGRAMS: [&str; 4] = ["xdhcpd", "xdhcp-blaster", "xdhcp-forcerenew", "xdhcp-crash"];
/// How the folders of the crash campaigns begin, below which they mount.
const CRASH_FOLDER: &str = "/xdhcp-crash-";
/// How the folders of the end-to-end tests begin, below which one of them mounts.
const LAB_FOLDER: &str = "/xdhcpd-e2e-";

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask test                   everything; asks for sudo when not root\n  \
                        cargo xtask test --quick           what needs no root\n  \
                        cargo xtask test --e2e steering    one end-to-end test, nothing else"
)]
pub(crate) struct Args {
    /// Stop before the end-to-end tests, which need root
    #[arg(long, conflicts_with = "e2e")]
    quick: bool,
    /// Run this file of tests/e2e only; may be given several times
    #[arg(long, value_name = "NAME")]
    e2e: Vec<String>,
    /// Run only end-to-end tests whose name contains this
    #[arg(long, value_name = "TEXT", conflicts_with = "quick")]
    filter: Option<String>,
    /// How often kill9 kills the server, both durabilities together (25 unless given)
    #[arg(long, value_name = "COUNT", conflicts_with = "quick")]
    kills: Option<u64>,
}

impl Args {
    /// kill9 alone, with this count.
    pub(crate) fn kill9(kills: u64) -> Self {
        Self {
            quick: false,
            e2e: vec!["kill9".to_owned()],
            filter: None,
            kills: Some(kills),
        }
    }
}

/// How many tests ran.
#[derive(Clone, Copy, Default)]
struct Count {
    passed: u64,
    failed: u64,
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    let mut count = Count::default();
    let result = phases(project, args, &mut count);
    println!("{} passed, {} failed", count.passed, count.failed);
    result
}

fn phases(project: &Project, args: &Args, count: &mut Count) -> Result<()> {
    let purposes = [Purpose::Build, Purpose::Network, Purpose::Test];
    phase("setup", || {
        setup::ensure(
            project,
            if args.quick {
                &[Purpose::Build]
            } else {
                &purposes
            },
        )
        .map(drop)
    })?;
    phase("XDP programs", || build::bpf(project))?;
    if args.e2e.is_empty() && args.filter.is_none() {
        phase("format", || format_check(project))?;
        phase("lints", || lint(project))?;
        phase("RFC requirements", || rfc::check(&project.root))?;
        phase("tests without root", || {
            let mut cargo = project.cargo();
            cargo_test(cargo.args(["test", "--workspace", "--quiet"]), count)
        })?;
        phase("the lease store under Miri", || miri::brief(project))?;
    }
    if args.quick {
        return Ok(());
    }
    phase("server and blaster", || {
        build::all(project, Profile::Release)
    })?;
    let before = Leftovers::now(project)?;
    let tested = phase("end-to-end tests", || end_to_end(project, args, count));
    // Also after a failure: that is when things are left.
    phase("nothing is left", || nothing_left(project, &before))?;
    tested
}

/// Says what runs, and how long it took.
fn phase(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("== {name}");
    let start = Instant::now();
    let result = work().with_context(|| format!("test: {name}"));
    let outcome = if result.is_ok() { "ok" } else { "FAILED" };
    eprintln!(
        "== {name}: {outcome} after {:.1} s",
        start.elapsed().as_secs_f64()
    );
    result
}

fn format_check(project: &Project) -> Result<()> {
    steps::run(
        "`cargo fmt --all` would change something",
        project.cargo().args(["fmt", "--all", "--check"]),
    )
}

fn lint(project: &Project) -> Result<()> {
    let mut cargo = project.cargo();
    cargo.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        "dhcp-tests/root",
    ]);
    steps::run(
        "clippy",
        cargo.args(["--quiet", "--", "--deny", "warnings"]),
    )
}

fn end_to_end(project: &Project, args: &Args, count: &mut Count) -> Result<()> {
    let targets = if args.e2e.is_empty() {
        root_tests(project)?
    } else {
        args.e2e.clone()
    };
    let mut environment = vec![
        ("XDHCPD_BIN", project.binary("xdhcpd", Profile::Release)),
        (
            "XDHCP_BLASTER_BIN",
            project.binary("xdhcp-blaster", Profile::Release),
        ),
        (
            "XDHCP_FORCERENEW_BIN",
            project.binary("xdhcp-forcerenew", Profile::Release),
        ),
        ("XDHCPD_BPF_OBJECT", project.bpf_object()),
    ];
    environment.extend(
        args.kills
            .map(|kills| ("XDHCPD_KILLS", kills.to_string().into())),
    );
    let mut cargo = project.cargo();
    cargo.envs(environment.clone());
    if !steps::is_root() {
        // Compiling stays the user's; only the compiled tests run as root. sudo forgets variables.
        let set = environment
            .iter()
            .map(|(name, value)| format!("{name}={}", value.display()));
        let set = set.collect::<Vec<_>>().join(" ");
        cargo.env(runner_variable()?, format!("sudo env {set}"));
    }
    cargo.args([
        "test",
        "--package",
        "dhcp-tests",
        "--features",
        "root",
        "--no-fail-fast",
    ]);
    for target in &targets {
        cargo.args(["--test", target]);
    }
    // One at a time: they measure, and share the machine's packet capture.
    cargo
        .arg("--")
        .args(&args.filter)
        .args(["--test-threads=1", "--nocapture"]);
    cargo_test(&mut cargo, count)
}

/// The test targets of dhcp-tests that want the feature `root`.
fn root_tests(project: &Project) -> Result<Vec<String>> {
    let mut cargo = project.cargo();
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
    let text = steps::output("looking for end-to-end tests", &mut cargo)?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("cargo metadata")?;
    let packages = metadata.get("packages").and_then(|list| list.as_array());
    let ours = packages
        .into_iter()
        .flatten()
        .find(|package| package.get("name").and_then(|name| name.as_str()) == Some("dhcp-tests"));
    let targets = ours
        .and_then(|package| package.get("targets"))
        .and_then(|list| list.as_array());
    let has = |target: &serde_json::Value, list: &str, word: &str| {
        let words = target.get(list).and_then(|list| list.as_array());
        words
            .into_iter()
            .flatten()
            .any(|found| found.as_str() == Some(word))
    };
    let names = targets
        .into_iter()
        .flatten()
        .filter(|target| has(target, "required-features", "root") && has(target, "kind", "test"));
    let names: Vec<String> = names
        .filter_map(|target| Some(target.get("name")?.as_str()?.to_owned()))
        .collect();
    if names.is_empty() {
        bail!("tests/Cargo.toml has no test with required-features = [\"root\"]");
    }
    Ok(names)
}

/// The variable that tells cargo how to start what it compiled for this machine.
fn runner_variable() -> Result<String> {
    let host = steps::host()?.to_uppercase().replace('-', "_");
    Ok(format!("CARGO_TARGET_{host}_RUNNER"))
}

/// Runs `cargo test`, passing on what it prints and counting its tests.
fn cargo_test(cargo: &mut Command, count: &mut Count) -> Result<()> {
    let mut child = cargo
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let lines = BufReader::new(child.stdout.take().context("cargo prints nothing")?).split(b'\n');
    for line in lines {
        let line = line.context("reading what cargo prints")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        count.add(&line);
    }
    let status = child.wait().context("waiting for cargo")?;
    if !status.success() {
        bail!("cargo test ended with {status}; the failures stand above");
    }
    Ok(())
}

impl Count {
    /// Takes the numbers out of `test result: ok. 3 passed; 0 failed; ...`.
    fn add(&mut self, line: &str) {
        let Some((_, numbers)) = line.split_once("test result: ") else {
            return;
        };
        let number = |name: &str| {
            let before = numbers
                .split(name)
                .next()
                .and_then(|text| text.split_whitespace().last());
            before
                .and_then(|number| number.parse::<u64>().ok())
                .unwrap_or(0)
        };
        self.passed += number(" passed;");
        self.failed += number(" failed;");
    }
}

/// What tests must not leave behind.
#[derive(Default)]
struct Leftovers(BTreeSet<String>);

impl Leftovers {
    fn now(project: &Project) -> Result<Self> {
        let mut found = BTreeSet::new();
        let namespaces = steps::output(
            "looking for namespaces",
            Command::new("ip").args(["netns", "list"]),
        )?;
        let names = namespaces
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        found.extend(
            names
                .filter(|name| name.starts_with("xd-"))
                .map(|name| format!("namespace {name}")),
        );

        let mut ip = Command::new("ip");
        ip.args(["-brief", "link", "show", "type", "veth"]);
        let veths = steps::output("looking for veth interfaces", &mut ip)?;
        let names = veths
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        found.extend(names.map(|name| format!("veth {name}")));

        let mut bpftool = steps::privileged("bpftool");
        let programs = steps::output("looking for XDP programs", bpftool.args(["prog", "show"]))?;
        let xdp = programs.lines().filter(|line| line.contains(": xdp "));
        found.extend(xdp.map(|line| format!("XDP program {}", line.trim())));

        let mut losetup = steps::privileged("losetup");
        losetup.args(["--list", "--noheadings", "--output", "NAME,BACK-FILE"]);
        let loops = steps::output("looking for loop devices", &mut losetup)?;
        let ours = loops.lines().filter(|line| line.contains(CRASH_FOLDER));
        found.extend(ours.map(|line| format!("loop device {}", line.trim())));

        let mounts = fs::read_to_string("/proc/self/mounts").context("looking for mounts")?;
        let is_ours = |line: &&str| line.contains(CRASH_FOLDER) || line.contains(LAB_FOLDER);
        let ours = mounts.lines().filter(is_ours);
        found.extend(ours.map(|line| format!("mount {line}")));

        found.extend(processes(project));
        Ok(Self(found))
    }
}

/// Our programs that run, by what file they were started from.
fn processes(project: &Project) -> Vec<String> {
    let ours = |profile| OUR_PROGRAMS.map(|name| project.binary(name, profile));
    let ours = [ours(Profile::Dev), ours(Profile::Release)].concat();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let running = entries.flatten().filter_map(|entry| {
        let file = fs::read_link(entry.path().join("exe")).ok()?;
        let number = entry.file_name().to_string_lossy().into_owned();
        ours.contains(&file)
            .then(|| format!("process {number} of {}", file.display()))
    });
    running.collect()
}

/// Fails when there is anything that was not there before the tests.
fn nothing_left(project: &Project, before: &Leftovers) -> Result<()> {
    let mut new = Vec::new();
    for _ in 0..LEFTOVER_TRIES {
        let now = Leftovers::now(project)?;
        new = now.0.difference(&before.0).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        sleep(LEFTOVER_PAUSE);
    }
    bail!(
        "the tests left behind: {}; remove these by hand and repair the test",
        new.join(", ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_summaries_are_added_up() {
        let mut count = Count::default();
        count.add("running 3 tests");
        count.add("test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        count.add("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured");
        assert_eq!((count.passed, count.failed), (13, 2));
    }
}
