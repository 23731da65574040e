//! Packages of Debian and Ubuntu.

use super::Package;
use crate::cleanup::Cleanup;
use crate::project::Project;
use crate::steps;
use anyhow::{Context, Result, bail};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::process::Command;

/// Asked by maintainer scripts whether they may start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_SAVED: &str = "/usr/sbin/policy-rc.d.before-xdhcpd";
const POLICY_MARK: &str = "xdhcpd setup";

/// Packages that would start a service now or at the next boot; only their programs are wanted.
const SERVICES: &[&str] = &["isc-dhcp-relay"];

/// Is this a machine with apt?
pub(super) fn is_here() -> bool {
    steps::on_path("apt-get") && steps::on_path("dpkg-query")
}

/// Installs those of the packages that are missing.
pub(super) fn ensure(project: &Project, packages: &[Package], why: &str) -> Result<()> {
    let names: Vec<&str> = packages
        .iter()
        .flat_map(|package| package.names)
        .copied()
        .collect();
    let installed = installed(&names)?;
    let missing: Vec<&Package> = packages
        .iter()
        .filter(|package| !package.names.iter().any(|name| installed.contains(*name)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut chosen = choose(&missing)?;
    if chosen.len() < missing.len() {
        update(project)?;
        chosen = choose(&missing)?;
    }
    if let Some(package) = missing
        .iter()
        .find(|package| !package.names.iter().any(|name| chosen.contains(name)))
    {
        bail!(
            "setup: no package {} in this machine's package sources; add a source that has it, or \
             install it by hand, {why}",
            package.names.join(" or ")
        );
    }
    install(project, &chosen, why)
}

/// Which of these are installed?
pub(super) fn installed(names: &[&str]) -> Result<HashSet<String>> {
    // Ends with 1 when it does not know one of them, and prints the others.
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Abbrev} ${Package}\n"])
        .args(names)
        .output()
        .context("setup: cannot start dpkg-query")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let installed = text.lines().filter_map(|line| line.strip_prefix("ii "));
    Ok(installed.map(|name| name.trim().to_owned()).collect())
}

/// The versions that apt would install.
pub(super) fn candidates(names: &[&str]) -> Result<HashMap<String, String>> {
    let mut command = Command::new("apt-cache");
    command.env("LC_ALL", "C").arg("policy").args(names);
    let text = steps::output("setup: asking for packages", &mut command)?;
    let mut candidates = HashMap::new();
    let mut name = "";
    for line in text.lines() {
        if let Some(package) = line.strip_suffix(':').filter(|line| !line.starts_with(' ')) {
            name = package;
        } else if let Some(version) = line.trim().strip_prefix("Candidate: ")
            && version != "(none)"
        {
            candidates.insert(name.to_owned(), version.to_owned());
        }
    }
    Ok(candidates)
}

/// For each package the first of its names that apt knows.
fn choose(packages: &[&Package]) -> Result<Vec<&'static str>> {
    let names: Vec<&str> = packages
        .iter()
        .flat_map(|package| package.names)
        .copied()
        .collect();
    let known = candidates(&names)?;
    let first = |package: &&Package| {
        package
            .names
            .iter()
            .copied()
            .find(|name| known.contains_key(*name))
    };
    Ok(packages.iter().filter_map(first).collect())
}

/// Reads the package sources anew.
pub(super) fn update(project: &Project) -> Result<()> {
    eprintln!("setup: reading the package sources (apt-get update)");
    let log = project.target.join("setup/apt-update.log");
    steps::run_logged(
        "setup",
        steps::privileged("apt-get").args(["-q", "update"]),
        &log,
    )
}

/// Installs packages without questions, and without letting them start anything.
pub(super) fn install(project: &Project, names: &[&str], why: &str) -> Result<()> {
    let log = project.target.join("setup/apt-install.log");
    eprintln!(
        "setup: installing {} {why} (log: {})",
        names.join(" "),
        log.display()
    );
    let guard = forbid_services()?;
    let first = apt_install(names, &log);
    if first.is_err() {
        // A list of packages that is older than the archive names files that are gone.
        update(project)?;
        apt_install(names, &log)?;
    }
    drop(guard);
    for service in SERVICES.iter().filter(|service| names.contains(service)) {
        // Where nothing manages services there is nothing to switch off.
        let log = project.target.join("setup/services.log");
        let mut disable = steps::privileged("systemctl");
        let _ = steps::run_logged("setup", disable.args(["disable", service]), &log);
    }
    Ok(())
}

fn apt_install(names: &[&str], log: &std::path::Path) -> Result<()> {
    // Through env, as sudo forgets variables.
    let mut command = steps::privileged("env");
    command
        .args([
            "DEBIAN_FRONTEND=noninteractive",
            "NEEDRESTART_SUSPEND=1",
            "apt-get",
            "install",
        ])
        .args(["-y", "-q", "--no-install-recommends"])
        .args([
            "-o",
            "Dpkg::Use-Pty=0",
            "-o",
            "Dpkg::Options::=--force-confold",
        ])
        .args(["-o", "DPkg::Lock::Timeout=300"])
        .args(names);
    steps::run_logged("setup", &mut command, log)
}

/// Until dropped, no package may start a service; what was there before comes back.
fn forbid_services() -> Result<Cleanup> {
    let ours = fs::read_to_string(POLICY).is_ok_and(|text| text.contains(POLICY_MARK));
    // Ours from a run that was killed is written again; anyone else's is set aside.
    let save = if ours {
        "true"
    } else {
        "[ ! -e \"$1\" ] || mv \"$1\" \"$2\""
    };
    let script = format!(
        "{save}\nprintf '#!/bin/sh\\n# {POLICY_MARK}\\nexit 101\\n' >\"$1\" && chmod 755 \"$1\""
    );
    let mut write = steps::privileged("sh");
    write.args(["-c", &script, "sh", POLICY, POLICY_SAVED]);
    steps::output("setup: keeping packages from starting services", &mut write)?;
    Ok(Cleanup::new(|| {
        let script = "rm -f \"$1\"; [ ! -e \"$2\" ] || mv \"$2\" \"$1\"";
        let mut restore = steps::privileged("sh");
        restore.args(["-c", script, "sh", POLICY, POLICY_SAVED]);
        if let Err(error) =
            steps::output("setup: letting packages start services again", &mut restore)
        {
            eprintln!("warning: {error:#}; remove {POLICY} by hand");
        }
    }))
}
