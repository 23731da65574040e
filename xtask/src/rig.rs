//! The rig of the demonstration and of the measurements: a server or a reflector at one end of a veth
//! pair, the blaster at the other.

use crate::cleanup::Cleanup;
use crate::netns::{Pair, Wire};
use crate::project::{Profile, Project};
use crate::steps;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Until a program is ready, or has ended.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Which DHCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// DHCPv4.
    V4,
    /// DHCPv6.
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        })
    }
}

/// What an acknowledged lease survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Durability {
    /// A power cut
    Power,
    /// The death of the process
    Process,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Power => "power",
            Self::Process => "process",
        })
    }
}

/// Two namespaces, a folder, and the programs of this checkout.
pub(crate) struct Rig<'a> {
    project: &'a Project,
    // Dropped in this order: processes end with their namespaces, then the folder goes.
    pair: Pair,
    folder: PathBuf,
    _cleanup: Cleanup,
}

/// A program at the server's end, ended when dropped.
pub(crate) struct Running {
    what: &'static str,
    child: Child,
    log: PathBuf,
}

impl<'a> Rig<'a> {
    /// Makes namespaces and folder; they are gone when the rig is dropped, or when a signal comes.
    pub(crate) fn new(project: &'a Project, name: &'static str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("xdhcpd-{name}-{}", process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
        let doomed = folder.clone();
        let cleanup = Cleanup::new(move || {
            let mut remove = steps::privileged("rm");
            // What a server leaves may be root's; a folder that stays is no reason to fail.
            let _ = steps::output("removing a folder", remove.arg("-rf").arg(&doomed));
        });
        let pair = Pair::new(Wire::new(name))?;
        Ok(Self {
            project,
            pair,
            folder,
            _cleanup: cleanup,
        })
    }

    /// A path inside of the rig's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Starts xdhcpd with a fresh configuration for `clients` of each family and waits until it serves.
    /// The state directory has the name of the durability, so that leases stay from start to start.
    pub(crate) fn start_server(
        &self,
        clients: u32,
        durability: Durability,
        workers: u32,
    ) -> Result<Running> {
        let file = self.path("xdhcpd.toml");
        fs::write(&file, self.configuration(clients, durability, workers))
            .with_context(|| format!("{}", file.display()))?;
        let mut command = self.pair.server.command("taskset");
        command.args(["--cpu-list", server_processors(workers)]);
        command.arg(self.project.binary("xdhcpd", Profile::Release));
        command.args(["run", "--config"]).arg(&file);
        let mut running = self.start("the server", command)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            running.ensure_alive()?;
            let mut status = self.server_command();
            status.args(["ctl", "status", "--json"]);
            let asked = steps::output("asking the server for its status", &mut status);
            let ready = asked.as_deref().is_ok_and(is_ready);
            if ready {
                return Ok(running);
            }
            if Instant::now() > deadline {
                let words = running.last_words();
                asked.with_context(|| words.clone())?;
                bail!("the server is not ready in time: {words}");
            }
            sleep(PAUSE);
        }
    }

    /// Starts the reflector in the server's place and waits until it reflects.
    pub(crate) fn start_reflector(&self, family: Family) -> Result<Running> {
        let mut command = self.pair.server.command("taskset");
        command.args(["--cpu-list", server_processors(1)]);
        command.arg(self.project.binary("xdhcp-reflector", Profile::Release));
        command.args(["--interface", self.pair.server.interface]);
        command.args(["--family", &family.to_string(), "--bpf-object"]);
        command.arg(self.project.bpf_object());
        let mut running = self.start("the reflector", command)?;
        let deadline = Instant::now() + PATIENCE;
        while !running.words().contains("reflecting") {
            running.ensure_alive()?;
            ensure!(
                Instant::now() < deadline,
                "the reflector: not ready in time"
            );
            sleep(PAUSE);
        }
        Ok(running)
    }

    fn start(&self, what: &'static str, mut command: Command) -> Result<Running> {
        let log = self.path("log");
        let file = fs::File::create(&log).with_context(|| format!("{}", log.display()))?;
        let errors = file
            .try_clone()
            .with_context(|| format!("{}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("starting {what}"))?;
        Ok(Running { what, child, log })
    }

    /// `xdhcpd` for a question to the running server.
    pub(crate) fn server_command(&self) -> Command {
        let mut command = self.pair.server.command("env");
        command.arg(format!("XDHCPD_SOCKET={}", self.socket().display()));
        command.arg(format!(
            "XDHCPD_CONFIG={}",
            self.path("xdhcpd.toml").display()
        ));
        command.arg(self.project.binary("xdhcpd", Profile::Release));
        command
    }

    /// Runs the blaster with `arguments` and returns its report. Wrong answers are in the report and no
    /// error here; a blaster without a report is.
    pub(crate) fn blast(&self, family: Family, arguments: &[String]) -> Result<Value> {
        let mut command = self.pair.client.command("taskset");
        command.args(["--cpu-list", blaster_processor()]);
        command.arg(self.project.binary("xdhcp-blaster", Profile::Release));
        command.args(["--interface", self.pair.client.interface, "--json"]);
        command.args(["--family", &family.to_string(), "--bpf-object"]);
        command.arg(self.project.bpf_object()).args(arguments);
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("starting the blaster")?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "the blaster ended with {} and without a report",
                output.status
            )
        })
    }

    /// The blaster's options that put its clients behind `count` relay agents.
    pub(crate) fn relay_arguments(&self, family: Family, count: u32) -> Vec<String> {
        let server = &self.pair.server;
        let (base, address) = match family {
            Family::V4 => ("10.200.1.1", server.v4.to_string()),
            Family::V6 => ("fd00:c8::a:0:1", server.v6.to_string()),
        };
        let mac = server.mac.to_string();
        let count = count.to_string();
        let pairs = [
            ("--relays", count.as_str()),
            ("--relay-base", base),
            ("--server", &address),
            ("--server-mac", &mac),
        ];
        let words = pairs.iter().flat_map(|(name, value)| [*name, *value]);
        words.map(str::to_owned).collect()
    }

    /// Number of the process at the server's end. What [`Running`] knows may be sudo's.
    pub(crate) fn server_process(&self) -> Result<String> {
        let mut list = steps::privileged("ip");
        list.args(["netns", "pids", &self.pair.server.namespace]);
        let processes = steps::output("looking for the server's process", &mut list)?;
        let last = processes.lines().last();
        last.map(str::to_owned).context("the server does not run")
    }

    fn socket(&self) -> PathBuf {
        self.path("control.sock")
    }

    /// One subnet for each family. Every client finds a free address at once, also while former leases
    /// of other clients are still there.
    fn configuration(&self, clients: u32, durability: Durability, workers: u32) -> String {
        let interface = self.pair.server.interface;
        let (folder, socket) = (self.folder.display(), self.socket());
        let socket = socket.display();
        // Below the server's 10.200.0.1; room for 13 million clients.
        let last_v4 = std::net::Ipv4Addr::from(0x0a00_0100 + clients.saturating_mul(2));
        let last_v6 = u64::from(clients).saturating_mul(2) + 0x1_0000_0000;
        let last_v6 = std::net::Ipv6Addr::from((0xfd00_00c8 << 96) | u128::from(last_v6));
        // 56 - 22 bits are 17 billion prefixes; this many are enough for every client twice.
        let bits = u64::from(clients)
            .saturating_mul(2)
            .next_power_of_two()
            .trailing_zeros();
        let prefix_len = 56_u32.saturating_sub(bits).max(16);
        // An address, a prefix and an IPv4 address for every client, and as much again.
        let capacity = u64::from(clients).saturating_mul(6).max(65_536);
        format!(
            "interfaces = [\"{interface}\"]
state-dir = \"{folder}/state-{durability}\"
socket = \"{socket}\"
durability = \"{durability}\"
workers = {workers}
lease-capacity = {capacity}

# Clients of the blaster renew within seconds; what is measured is a renewal that is written down.
[dhcp4]
cache-max-age = 0

[dhcp6]
cache-max-age = 0
rapid-commit = true

[[subnet4]]
id = 1
subnet = \"10.0.0.0/8\"
interface = \"{interface}\"
pools = [\"10.0.1.0-{last_v4}\"]
option-data = [{{ name = \"routers\", data = \"10.200.0.1\" }}]

[[subnet6]]
id = 1
subnet = \"fd00:c8::/64\"
interface = \"{interface}\"
pools = [\"fd00:c8::1:0:0-{last_v6}\"]
pd-pools = [{{ prefix = \"fd80::/{prefix_len}\", delegated-len = 56 }}]
"
        )
    }
}

impl Running {
    /// Ends the program as an operator would, and says when it did not end well.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.ensure_alive()?;
        self.terminate();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().context("waiting")? {
                ensure!(
                    status.success(),
                    "{} ended with {status}: {}",
                    self.what,
                    self.last_words()
                );
                return Ok(());
            }
            sleep(PAUSE);
        }
        bail!("{} does not end: {}", self.what, self.last_words())
    }

    fn ensure_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait().context("waiting")? {
            bail!("{} ended with {status}: {}", self.what, self.last_words());
        }
        Ok(())
    }

    fn terminate(&self) {
        // The shell's own `kill`: a small Debian has no program of that name.
        let mut shell = steps::privileged("sh");
        let kill = shell.args(["-c", "kill \"$0\"", &self.child.id().to_string()]);
        // It may have ended by itself at this very moment.
        let _ = steps::output("ending a program", kill);
    }

    fn words(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn last_words(&self) -> String {
        let words = self.words();
        let lines: Vec<&str> = words.lines().collect();
        let last = lines.len().saturating_sub(10);
        lines.into_iter().skip(last).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.terminate();
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                // The namespace's removal kills what is left.
                return;
            }
            sleep(PAUSE);
        }
    }
}

/// Whether a server that answers also serves.
fn is_ready(status: &str) -> bool {
    let status: Option<Value> = serde_json::from_str(status).ok();
    status.is_some_and(|status| status.get("ready").and_then(Value::as_bool) == Some(true))
}

/// Both ends spin while there is work, so each gets a processor of its own when there are two.
fn server_processors(workers: u32) -> &'static str {
    if workers == 1 { "0" } else { "0-1023" }
}

fn blaster_processor() -> &'static str {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if processors > 1 { "1" } else { "0" }
}

/// A number of a report, by the path to it: `steps/discover-offer/latency_ns/p99`.
pub(crate) fn number(report: &Value, path: &str) -> Result<f64> {
    report
        .pointer(&format!("/{path}"))
        .and_then(Value::as_f64)
        .with_context(|| format!("the report has no number {path}"))
}

/// Writes the figures of a measurement.
pub(crate) fn write_figures(path: &Path, figures: &[Value]) -> Result<()> {
    let text = serde_json::to_string_pretty(figures).context("figures as JSON")?;
    fs::write(path, text + "\n").with_context(|| format!("{}: cannot write", path.display()))
}
