//! The server under test: its configuration, its start, what it says of itself.

use super::namespace::Namespace;
use super::process::{Process, eventually, try_run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(20);

/// A binary of the workspace: what `cargo xtask test` names in the environment, or the release build.
///
/// # Panics
/// When neither is there.
pub fn binary(variable: &str, name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return path.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let built =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let path = built.join("release").join(name);
    assert!(
        path.is_file(),
        "{} is not built; `cargo xtask test` builds it",
        path.display()
    );
    path
}

/// A server with its folder: configuration, state, control socket, log.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    /// What the program is run under: a command that runs another.
    under: Vec<String>,
    /// What its command line has besides.
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Server {
    /// Writes a configuration whose `state-dir` and `socket` lie in `folder`, which it makes.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn configured(folder: &Path, config: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let this = Self {
            folder: folder.to_owned(),
            under: Vec::new(),
            arguments: Vec::new(),
            process: None,
        };
        this.write_config(config);
        this
    }

    /// Replaces the configuration file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_config(&self, config: &str) {
        let folder = self.folder.display();
        let paths = format!("state-dir = \"{folder}/state\"\nsocket = \"{folder}/socket\"\n");
        std::fs::write(self.config(), paths + config).unwrap();
    }

    /// From the next start on, runs it under a command that runs another: `["nice", "-n", "5"]`.
    pub fn run_under(&mut self, words: &[&str]) {
        self.under = words.iter().map(|word| (*word).to_owned()).collect();
    }

    /// From the next start on, runs it with further arguments: `["--log-format", "json"]`.
    pub fn run_with(&mut self, words: &[&str]) {
        self.arguments = words.iter().map(|word| (*word).to_owned()).collect();
    }

    /// Where its files lie.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("xdhcpd.toml")
    }

    /// The command that starts it in a namespace.
    pub fn command(&self, namespace: &Namespace) -> Command {
        let mut words = self.under.iter().map(String::as_str).chain(["env"]);
        let mut command = namespace.command(words.next().unwrap_or("env"));
        command
            .args(words)
            .args(["RUST_LOG=info", "RUST_BACKTRACE=1"])
            .arg(binary("XDHCPD_BIN", "xdhcpd"));
        command.args(["run", "--config"]).arg(self.config());
        command.args(&self.arguments);
        command
    }

    /// Starts it and waits until it says that it is ready.
    ///
    /// # Panics
    /// When it ends instead, or is not ready in time.
    pub fn start(&mut self, namespace: &Namespace) {
        let mut process = Process::start(&mut self.command(namespace), &self.folder, "xdhcpd");
        eventually(START, "the server's readiness", || {
            assert!(!process.has_ended(), "the server ended:\n{}", process.log());
            self.try_ctl(&["status"]).0.then_some(())
        });
        self.process = Some(process);
    }

    /// The running process.
    ///
    /// # Panics
    /// When it was not started.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the server was started")
    }

    /// `xdhcpd ctl ...`, asked of this server: whether it succeeded, and what it printed.
    pub fn try_ctl(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(binary("XDHCPD_BIN", "xdhcpd"));
        command
            .arg("ctl")
            .arg("--socket")
            .arg(self.folder.join("socket"))
            .args(arguments);
        try_run(&mut command)
    }

    /// `xdhcpd ctl ... --json`.
    ///
    /// # Panics
    /// When it fails, or prints no JSON.
    pub fn ctl(&self, arguments: &[&str]) -> Value {
        let (done, text) = self.try_ctl(&[arguments, &["--json"]].concat());
        assert!(done, "xdhcpd ctl {arguments:?}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// `xdhcpd leases adopt` on the stopped server: what it says.
    ///
    /// # Panics
    /// When it fails.
    pub fn adopt(&self) -> String {
        let mut command = Command::new(binary("XDHCPD_BIN", "xdhcpd"));
        command
            .args(["leases", "adopt", "--config"])
            .arg(self.config());
        super::process::run(&mut command)
    }

    /// The lease table, read from the running or the stopped server.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn leases(&self) -> Leases {
        let mut command = Command::new(binary("XDHCPD_BIN", "xdhcpd"));
        command
            .args(["leases", "list", "--format", "json", "--config"])
            .arg(self.config());
        let text = super::process::run(&mut command);
        Leases::parse(&text)
    }
}

/// What a lease table says.
#[derive(Debug, Default)]
pub struct Leases {
    /// All records.
    pub all: Vec<Record>,
}

/// One binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Address, or prefix with its length.
    pub lease: String,
    /// `leased`, `expired`, `released` or `declined`.
    pub state: String,
    /// The client identifier or DUID, in hexadecimal with colons; empty if there is none.
    pub client: String,
    /// The hardware address; empty if there is none.
    pub hardware: String,
    /// The IA of DHCPv6.
    pub iaid: u64,
    /// When it ends, in seconds since the epoch.
    pub expires: u64,
}

impl Leases {
    /// Reads the JSON of `leases list`.
    ///
    /// # Panics
    /// When it is no such JSON.
    pub fn parse(text: &str) -> Self {
        let values: Vec<Value> =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:.300}"));
        Self {
            all: values.iter().map(Record::parse).collect(),
        }
    }

    /// The records of leases that clients hold.
    pub fn live(&self) -> impl Iterator<Item = &Record> {
        self.all.iter().filter(|record| record.state == "leased")
    }

    /// The record of a lease, whoever holds or held it.
    pub fn any(&self, lease: &str) -> Option<&Record> {
        self.all.iter().find(|record| record.lease == lease)
    }

    /// The record of a lease that a client holds.
    pub fn holder(&self, lease: &str) -> Option<&Record> {
        self.live().find(|record| record.lease == lease)
    }

    /// Leases that more than one record holds: there must be none.
    pub fn held_twice(&self) -> Vec<&str> {
        let mut holders: BTreeMap<&str, u32> = BTreeMap::new();
        for record in self.live() {
            *holders.entry(&record.lease).or_default() += 1;
        }
        holders
            .into_iter()
            .filter(|(_, count)| *count > 1)
            .map(|(lease, _)| lease)
            .collect()
    }
}

impl Record {
    /// Whether the client's hardware address, client identifier or DUID is this Ethernet address or ends
    /// with it, as a DUID-LL does.
    pub fn belongs_to(&self, mac: &str) -> bool {
        self.hardware == mac || self.client.ends_with(mac)
    }

    fn parse(value: &Value) -> Self {
        let text = |name: &str| {
            value
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let number = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
        let lease = text("address");
        let address = lease.split('/').next().unwrap_or_default();
        assert!(address.parse::<IpAddr>().is_ok(), "no lease: {value}");
        Self {
            state: text("state"),
            client: text("client"),
            hardware: text("hw-address"),
            iaid: number("iaid"),
            expires: number("expires"),
            lease,
        }
    }
}
