//! The command line: what there is to say, and where a setting comes from.
//!
//! A command-line option wins, then the environment, then the configuration file, then the default.

mod convert;
mod ctl;
mod export;
mod history;
mod import;
mod leases;
mod meter;
mod reconfigure;
#[cfg(feature = "afxdp")]
mod run;

use crate::config::{self, Findings, plural};
use crate::leases::Format;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use dhcp_lease::history::Scope;
use dhcp_lease::{Lease, Timestamp};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "xdhcpd",
    version,
    about = "DHCP server for the ISP edge: DHCPv4 and DHCPv6 over AF_XDP",
    after_help = "Examples:\n  xdhcpd check --config xdhcpd.toml\n  xdhcpd run --config xdhcpd.toml\n  \
                  xdhcpd ctl status\n\nExit status: 0 success, 1 failure, 2 wrong usage."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve, in the foreground.
    #[command(
        after_help = "SIGTERM and SIGINT stop the server with everything durable; SIGHUP reloads the \
                            configuration.\n\nExamples:\n  xdhcpd run\n  xdhcpd run --config xdhcpd.toml \
                            --state-dir /tmp/state --socket /tmp/control.sock\n  xdhcpd run --log debug \
                            --log-format json\n  xdhcpd run --xdp-log"
    )]
    Run(RunArgs),
    /// Check a configuration: every error with line and column, and what is legal but suspicious.
    #[command(after_help = "Example:\n  xdhcpd check --config xdhcpd.toml")]
    Check(CheckArgs),
    /// Turn configurations of other servers into ours.
    #[command(
        subcommand,
        after_help = "Example:\n  xdhcpd config import-kea --dhcp4 /etc/kea/kea-dhcp4.conf -o xdhcpd.toml"
    )]
    Config(convert::ConfigCommand),
    /// Read the lease store of a running or a stopped server.
    #[command(
        subcommand,
        after_help = "Example:\n  xdhcpd leases list --state leased"
    )]
    Leases(LeasesCommand),
    /// Talk to the running server over its control socket.
    #[command(
        after_help = "Examples:\n  xdhcpd ctl status\n  xdhcpd ctl --json pools\n  xdhcpd ctl reload"
    )]
    Ctl(CtlArgs),
    /// Print the version.
    #[command(after_help = "Example:\n  xdhcpd version --json")]
    Version {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Where the lease tables live.
    #[arg(long, value_name = "DIR", env = "XDHCPD_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// The control socket.
    #[arg(long, value_name = "PATH", env = "XDHCPD_SOCKET")]
    socket: Option<PathBuf>,
    /// The wall clock is right, although it is far ahead of the last known time: let the leases end that have
    /// ended by it.
    #[arg(long)]
    accept_clock: bool,
    /// Log each frame to a DHCP server's port that the XDP program sees, and what it does with it
    /// (log target `xdp`). For finding out why a client is not answered: it costs about a microsecond
    /// and a log line for each frame.
    #[arg(long)]
    xdp_log: bool,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Args)]
struct LogArgs {
    /// What is logged: a level (error, warn, info, debug, trace), or levels by target as in RUST_LOG.
    #[arg(long, value_name = "LEVEL", env = "RUST_LOG", default_value = "info")]
    log: String,
    /// How log lines look on standard error.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object on each line.
    Json,
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ConfigArg {
    /// The configuration [default: /etc/xdhcpd/xdhcpd.toml].
    #[arg(short, long, value_name = "FILE", env = "XDHCPD_CONFIG")]
    config: Option<PathBuf>,
}

impl ConfigArg {
    fn file(&self) -> PathBuf {
        self.config
            .clone()
            .unwrap_or_else(|| PathBuf::from(config::FILE))
    }
}

#[derive(Debug, Subcommand)]
enum LeasesCommand {
    /// List leases, the lowest address first.
    #[command(
        after_help = "Examples:\n  xdhcpd leases list\n  xdhcpd leases list --family v6 --state declined \
                            --format json\n  xdhcpd leases list --client 02:00:5e:00:53:01"
    )]
    List {
        #[command(flatten)]
        store: StoreArgs,
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Show one lease, by its address or prefix.
    #[command(
        after_help = "Examples:\n  xdhcpd leases get 192.0.2.10\n  xdhcpd leases get 2001:db8:8000::/56 --json"
    )]
    Get {
        /// An address, or a prefix with its length.
        address: String,
        #[command(flatten)]
        store: StoreArgs,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Write all leases, for another program or for Kea; the server goes on meanwhile.
    #[command(
        after_help = "Each row is whole, and no lease is listed as held twice. While the server runs, rows are of \
                            different moments of the export; stop it first to move to another server.\n\n\
                            Examples:\n  xdhcpd leases export --output leases.csv\n  xdhcpd leases export --format \
                            json --state live | jq\n  xdhcpd leases export --format kea-csv --family v4 --output \
                            kea-leases4.csv\n  xdhcpd leases export --format kea-csv --kea-version 2.2 --family \
                            v6 > kea-leases6.csv"
    )]
    Export(export::ExportArgs),
    /// Take over leases of Kea, of ISC dhcpd, or of another xdhcpd, into a running server or a stopped
    /// one's store.
    #[command(
        after_help = "Of two bindings of one lease or one client the one whose client was heard last counts, \
                            unless --keep or --replace says otherwise. An import that was interrupted can be \
                            run again.\n\nExamples:\n  xdhcpd leases import --dry-run \
                            /var/lib/kea/kea-leases4.csv\n  xdhcpd leases import /var/lib/kea/kea-leases4.csv \
                            /var/lib/kea/kea-leases6.csv\n  xdhcpd leases import --subnet-id-from file \
                            kea-leases4.csv\n  xdhcpd leases import --lenient /var/lib/dhcp/dhcpd.leases"
    )]
    Import(import::ImportArgs),
    /// Who held an address or prefix at which second, by which relay agent and circuit. Exit 1 if nobody
    /// did. Of a prefix: all in it, and what it lies in; of an address also the delegated prefix around it.
    #[command(
        after_help = "Examples:\n  xdhcpd leases history 192.0.2.17 --at 2026-11-21T05:30:00Z\n  xdhcpd leases \
                            history 2001:db8:1::/48 --from 1795228199 --to 1795231799 --format csv\n  xdhcpd \
                            leases history --verify"
    )]
    History {
        /// The address or prefix.
        #[arg(value_name = "ADDRESS|PREFIX", value_parser = scope, required_unless_present = "verify")]
        address: Option<Scope>,
        #[command(flatten)]
        store: StoreArgs,
        /// At this second: RFC 3339, or seconds since 1970.
        #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with_all = ["from", "to"])]
        at: Option<Timestamp>,
        /// From this second; from the beginning unless given.
        #[arg(long, value_name = "TIME", value_parser = moment)]
        from: Option<Timestamp>,
        /// To this second, included; to the end unless given.
        #[arg(long, value_name = "TIME", value_parser = moment)]
        to: Option<Timestamp>,
        /// Only this client: client identifier, DUID or hardware address in hexadecimal.
        #[arg(long, value_name = "OCTETS", value_parser = octets)]
        client: Option<String>,
        /// How the answer is shown.
        #[arg(long, value_enum, default_value_t)]
        format: crate::history::Format,
        /// The same as --format json.
        #[arg(long, conflicts_with = "format")]
        json: bool,
        /// Go through the whole chain of hashes; exit 1 where it breaks. Without an address that is all.
        #[arg(long)]
        verify: bool,
    },
    /// Say that the files of a stopped server's store are the newest there are, although they look like a copy:
    /// a directory that was moved to another disk.
    #[command(after_help = "Example:\n  xdhcpd leases adopt --state-dir /var/lib/xdhcpd")]
    Adopt {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Check every record, what holds between records, and the files around them; exit 1 on any damage. The
    /// server may run meanwhile: what it is writing is looked at once more.
    #[command(after_help = "Example:\n  xdhcpd leases verify --state-dir /var/lib/xdhcpd")]
    Verify {
        #[command(flatten)]
        store: StoreArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// No progress.
        #[arg(short, long)]
        quiet: bool,
    },
}

#[derive(Debug, Subcommand)]
enum ClockCommand {
    /// The wall clock is right: server time is to be the wall clock's from the next start on. Leases that were
    /// granted meanwhile keep the time that is left of them.
    #[command(after_help = "Example:\n  xdhcpd ctl clock accept && systemctl restart xdhcpd")]
    Accept,
}

#[derive(Debug, Subcommand)]
enum RestoreCommand {
    /// The lease store is the newest there is, although it looks like a copy: do not withhold free leases.
    #[command(after_help = "Example:\n  xdhcpd ctl restore accept")]
    Accept,
}

#[derive(Debug, Args)]
struct StoreArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Where the lease tables live.
    #[arg(long, value_name = "DIR", env = "XDHCPD_STATE_DIR")]
    state_dir: Option<PathBuf>,
}

impl StoreArgs {
    fn directory(&self) -> PathBuf {
        let written = || config::paths(&self.config.file()).0;
        let named = self.state_dir.clone().or_else(written);
        named.unwrap_or_else(|| PathBuf::from(config::STATE_DIR))
    }
}

#[derive(Debug, Args)]
struct FilterArgs {
    /// DHCPv4 or DHCPv6.
    #[arg(long, value_enum)]
    family: Option<FamilyArg>,
    /// Leases in this state only.
    #[arg(long, value_enum)]
    state: Option<StateArg>,
    /// Leases of the subnet with this number only.
    #[arg(long, value_name = "ID")]
    subnet: Option<u32>,
    /// Leases of this client only: client identifier, DUID or hardware address in hexadecimal.
    #[arg(long, value_name = "OCTETS", value_parser = octets)]
    client: Option<String>,
    /// So many at most.
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
}

impl FilterArgs {
    fn filter(&self) -> crate::leases::Filter {
        crate::leases::Filter {
            family: self.family.map(|family| family.name().to_owned()),
            state: self.state.map(|state| state.name().to_owned()),
            subnet_id: self.subnet,
            client: self.client.clone(),
            address: None,
            limit: self.limit,
        }
    }
}

fn octets(text: &str) -> Result<String, String> {
    config::notation::octets(text).map(|octets| config::notation::hex(&octets))
}

fn moment(text: &str) -> Result<Timestamp, String> {
    crate::history::parse_time(text)
}

fn scope(text: &str) -> Result<Scope, String> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let wrong = || format!("{text:?} is neither an address nor a prefix with its length");
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let Some(length) = length else {
        return Ok(Scope::Address(address));
    };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = length.parse().ok().filter(|length| *length <= bits);
    Ok(Scope::Prefix(address, length.ok_or_else(wrong)?))
}

fn lease(text: &str) -> Result<Lease, String> {
    crate::leases::parse(text)
}

#[derive(Debug, Args)]
struct FormatArgs {
    /// How leases are shown.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl FormatArgs {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FamilyArg {
    /// DHCPv4.
    V4,
    /// DHCPv6.
    V6,
}

impl FamilyArg {
    fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StateArg {
    /// Granted at the moment.
    Leased,
    /// Ended.
    Expired,
    /// Given back.
    Released,
    /// Found in use by somebody else.
    Declined,
}

impl StateArg {
    fn name(self) -> &'static str {
        match self {
            Self::Leased => "leased",
            Self::Expired => "expired",
            Self::Released => "released",
            Self::Declined => "declined",
        }
    }
}

#[derive(Debug, Args)]
struct CtlArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The control socket.
    #[arg(long, value_name = "PATH", env = "XDHCPD_SOCKET", global = true)]
    socket: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: CtlCommand,
}

impl CtlArgs {
    fn socket(&self) -> PathBuf {
        let written = || config::paths(&self.config.file()).1;
        let named = self.socket.clone().or_else(written);
        named.unwrap_or_else(|| PathBuf::from(config::SOCKET))
    }
}

#[derive(Debug, Subcommand)]
enum CtlCommand {
    /// How the server is: interfaces and what is in force on them, leases, problems.
    #[command(after_help = "Example:\n  xdhcpd ctl status --json")]
    Status,
    /// Counters since the start; zeros are left out (not so with --json).
    #[command(after_help = "Example:\n  xdhcpd ctl stats --json")]
    Stats,
    /// How full each pool is: assignable, in use, offered, conflicting, not assignable.
    #[command(after_help = "Example:\n  xdhcpd ctl pools")]
    Pools,
    /// List leases as the server has them now.
    #[command(after_help = "Example:\n  xdhcpd ctl leases --client 02:00:5e:00:53:01")]
    Leases {
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// End the lease of an address or prefix: the server may grant it to anybody. Its client is not told.
    #[command(
        after_help = "Examples:\n  xdhcpd ctl release 192.0.2.10\n  xdhcpd ctl release 2001:db8:8000::/56 --json"
    )]
    Release {
        /// An address, or a prefix with its length.
        #[arg(value_parser = lease)]
        address: Lease,
    },
    /// Leases that clients found in use by somebody else, which are nobody's for a while.
    #[command(
        subcommand,
        after_help = "Examples:\n  xdhcpd ctl declined list\n  xdhcpd ctl declined clear 192.0.2.10\n  xdhcpd ctl declined clear --subnet 7"
    )]
    Declined(DeclinedCommand),
    /// Server time, the wall clock, and what they differ by; `accept` says that the wall clock is right.
    #[command(after_help = "Examples:\n  xdhcpd ctl clock\n  xdhcpd ctl clock accept")]
    Clock {
        #[command(subcommand)]
        command: Option<ClockCommand>,
    },
    /// What is to be said of a store that is a restored copy.
    #[command(subcommand, after_help = "Example:\n  xdhcpd ctl restore accept")]
    Restore(RestoreCommand),
    /// Have clients come for their leases at once (DHCPv4 FORCERENEW): one, a subnet, those behind a relay agent,
    /// or all. Without a selection nothing is begun.
    #[command(
        visible_alias = "forcerenew",
        args_conflicts_with_subcommands = true,
        subcommand_negates_reqs = true,
        arg_required_else_help = true,
        after_help = "Examples:\n  xdhcpd ctl reconfigure 192.0.2.10\n  xdhcpd ctl reconfigure --subnet 192.0.2.0/24 \
                      --rate 500 --follow\n  xdhcpd ctl reconfigure --all --rate 2000 --tries 4\n  \
                      xdhcpd ctl reconfigure status --follow\n  xdhcpd ctl reconfigure deaf --json\n  \
                      xdhcpd ctl reconfigure abort"
    )]
    Reconfigure(reconfigure::ReconfigureArgs),
    /// Put the configuration file in force; if anything is wrong with it, nothing changes.
    #[command(after_help = "Example:\n  xdhcpd check && xdhcpd ctl reload")]
    Reload,
}

#[derive(Debug, Subcommand)]
enum DeclinedCommand {
    /// List them, with when each comes back.
    #[command(after_help = "Example:\n  xdhcpd ctl declined list --subnet 7")]
    List {
        /// Of the subnet with this number only.
        #[arg(long, value_name = "ID")]
        subnet: Option<u32>,
        /// DHCPv4 or DHCPv6 only.
        #[arg(long, value_enum)]
        family: Option<FamilyArg>,
    },
    /// Give them back now: whatever was wrong has been put right.
    #[command(
        group = clap::ArgGroup::new("which").required(true).args(["address", "subnet", "all"]),
        after_help = "Examples:\n  xdhcpd ctl declined clear 192.0.2.10\n  xdhcpd ctl declined clear --subnet 7\n  xdhcpd ctl declined clear --all --family v4"
    )]
    Clear {
        /// This address, or prefix with its length.
        #[arg(value_parser = lease)]
        address: Option<Lease>,
        /// All of the subnet with this number.
        #[arg(long, value_name = "ID")]
        subnet: Option<u32>,
        /// All there are.
        #[arg(long)]
        all: bool,
        /// DHCPv4 or DHCPv6 only.
        #[arg(long, value_enum)]
        family: Option<FamilyArg>,
    },
}

/// Why a command failed. Each says what to do.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}\n{summary}", summary = .0.summary())]
    Config(Findings),
    #[cfg(feature = "afxdp")]
    #[error("{0}\n{summary}; the server was not started", summary = .0.summary())]
    ConfigAtStart(Findings),
    #[error(transparent)]
    Control(#[from] crate::control::ClientError),
    #[cfg(feature = "afxdp")]
    #[error("{0}; the server was stopped before anybody could be told something wrong")]
    Disk(crate::commit::Trouble),
    #[error(transparent)]
    Leases(#[from] crate::leases::ReadError),
    #[error("{}: {what}: {source}", path.display())]
    File {
        path: PathBuf,
        what: &'static str,
        source: std::io::Error,
    },
    #[error(transparent)]
    Store(#[from] crate::store::OpenError),
    #[error(transparent)]
    Commit(#[from] crate::operator::ReleaseError),
    #[error("{0}")]
    Rejected(String),
    #[error(transparent)]
    Begin(#[from] crate::clock::BeginError),
    #[error("{address}: there is no lease of this address or prefix in {}", directory.display())]
    NoLease { address: String, directory: PathBuf },
    #[error(
        "the store is damaged: {0}; restore it from a backup, or start the server, which sets damaged records aside"
    )]
    Damaged(String),
    #[error(transparent)]
    History(#[from] crate::history::ReadError),
    #[error("{0}")]
    NoHolder(String),
    #[error("{}: the lease history is broken: {what}; what comes before is whole", path.display())]
    HistoryBroken { path: PathBuf, what: String },
    #[error("cannot write to standard output: {0}")]
    Output(std::io::Error),
    #[cfg(feature = "afxdp")]
    #[error("--log: {0}; write a level like info, or target=level")]
    Log(String),
    #[cfg(feature = "afxdp")]
    #[error(transparent)]
    Start(#[from] crate::server::StartError),
    #[cfg(feature = "afxdp")]
    #[error(transparent)]
    Bind(#[from] crate::control::BindError),
    #[cfg(feature = "afxdp")]
    #[error(transparent)]
    Leasequery(#[from] crate::leasequery::ListenError),
    #[cfg(feature = "afxdp")]
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
    #[cfg(not(feature = "afxdp"))]
    #[error("this xdhcpd was built without AF_XDP (feature `afxdp`) and cannot serve")]
    NoAfXdp,
}

impl From<crate::leases::ExportError> for Failure {
    fn from(error: crate::leases::ExportError) -> Self {
        match error {
            crate::leases::ExportError::Read(error) => Self::Leases(error),
            crate::leases::ExportError::Write(error) => Self::Output(error),
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // `xdhcpd leases list | head` is no failure.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// The command line as such, for man pages and shell completions.
pub fn command() -> clap::Command {
    Cli::command()
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        #[cfg(feature = "afxdp")]
        Command::Run(args) => run::run(&args),
        #[cfg(not(feature = "afxdp"))]
        Command::Run(_) => Err(Failure::NoAfXdp),
        Command::Check(args) => check(&args),
        Command::Config(command) => convert::run(&command),
        Command::Leases(command) => leases::run(command),
        Command::Ctl(args) => ctl::run(&args),
        Command::Version { json: false } => {
            print(&format!("xdhcpd {}\n", env!("CARGO_PKG_VERSION")))
        }
        Command::Version { json: true } => {
            print_json(&serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }))
        }
    }
}

fn check(args: &CheckArgs) -> Result<(), Failure> {
    let file = args.config.file();
    let checked = config::load(&file);
    if args.json {
        let findings = match &checked {
            Ok(checked) => &checked.warnings,
            Err(findings) => findings,
        };
        let one = |finding: &config::Finding| {
            serde_json::json!({
                "severity": match finding.severity {
                    config::Severity::Error => "error",
                    config::Severity::Warning => "warning",
                },
                "line": finding.line,
                "column": finding.column,
                "path": finding.path,
                "message": finding.message,
            })
        };
        let all: Vec<_> = findings.iter().map(one).collect();
        let valid = checked.is_ok();
        print_json(&serde_json::json!({ "file": file, "valid": valid, "findings": all }))?;
    }
    let checked = checked.map_err(Failure::Config)?;
    let warnings = checked.warnings.iter().count();
    if !args.json {
        for finding in checked.warnings.iter() {
            eprintln!("{}", checked.warnings.line(finding));
        }
        let valid = format!("{}: valid, {}", file.display(), checked.summary());
        print(&match warnings {
            0 => format!("{valid}\n"),
            warnings => format!("{valid}; {}\n", plural(warnings, "warning")),
        })?;
    }
    Ok(())
}

fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::Output)
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::other);
    print(&(text.map_err(Failure::Output)? + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_has_an_example() {
        let command = command();
        command.clone().debug_assert();
        fn examples(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let help = command
                .get_after_help()
                .map(|help| help.to_string())
                .unwrap_or_default();
            assert!(help.contains("Example"), "{path} has no example");
            command
                .get_subcommands()
                .for_each(|inner| examples(inner, &path));
        }
        examples(&command, "");
    }

    #[test]
    fn commands_parse() {
        for line in [
            "run -c a.toml --state-dir /s --socket /c --log debug --log-format json",
            "run --xdp-log --log xdp=info",
            "check --config a.toml --json",
            "config import-kea --dhcp4 a.conf --dhcp6 b.conf -o c.toml --lenient",
            "config import-kea --dhcp6 b.conf",
            "leases list --family v6 --state leased --subnet 3 --client 0x0102 --limit 5 --format csv",
            "leases get 192.0.2.1 --json",
            "leases export --format kea-csv --family v4 --kea-version 2.2 -o leases.csv --state live",
            "leases import --dry-run --replace --subnet-id-from file --errors 5 a.csv b.csv",
            "leases import --keep --lenient --format isc dhcpd.leases --socket /c --state-dir /s",
            "leases verify --state-dir /s",
            "ctl --socket /c status --json",
            "ctl --json pools",
            "ctl status --socket /c --json",
            "ctl release 192.0.2.10 --socket /c",
            "ctl leases --client 02:00:00:00:00:01",
            "ctl reload",
            "ctl clock --json",
            "ctl clock accept",
            "ctl restore accept",
            "ctl reconfigure 192.0.2.10 --json",
            "ctl forcerenew --all --rate 100 --timeout 3 --tries 4 --follow",
            "ctl reconfigure --subnet 192.0.2.0/24 --socket /c",
            "ctl reconfigure --relay 192.0.2.1",
            "ctl reconfigure --hw-address 02:00:00:00:00:01",
            "ctl reconfigure status --follow",
            "ctl reconfigure abort --campaign 3",
            "ctl reconfigure deaf --json",
            "leases adopt --state-dir /s",
            "run --accept-clock",
            "ctl release 192.0.2.10",
            "ctl release 2001:db8:8000::/56 --json",
            "version",
        ] {
            let words = std::iter::once("xdhcpd").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn wrong_usage_is_exit_code_2() {
        for line in [
            "",
            "serve",
            "leases list --client zz",
            "leases get",
            "config import-kea",
            "ctl release",
            "ctl release printer",
            "ctl restore",
            "ctl clock set",
            "ctl reconfigure",
            "ctl reconfigure printer",
            "ctl reconfigure --rate 100",
            "ctl reconfigure --all --subnet-id 3",
            "ctl reconfigure --all abort",
            "leases list --json --format csv",
            "leases import",
            "leases import --keep --replace a.csv",
            "leases export --state leased",
        ] {
            let words = std::iter::once("xdhcpd").chain(line.split_whitespace());
            assert_eq!(
                Cli::try_parse_from(words).unwrap_err().exit_code(),
                2,
                "{line}"
            );
        }
    }

    #[test]
    fn an_option_wins_over_the_file_and_the_file_over_the_default() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("f.toml");
        std::fs::write(&file, "state-dir = \"/from/file\"\nnonsense = 1\n").unwrap();
        let parse = |options: &[&str]| {
            let words = [
                "xdhcpd",
                "leases",
                "verify",
                "--config",
                file.to_str().unwrap(),
            ];
            match Cli::try_parse_from(words.iter().chain(options))
                .unwrap()
                .command
            {
                Command::Leases(LeasesCommand::Verify { store, .. }) => store.directory(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(parse(&[]), PathBuf::from("/from/file"));
        assert_eq!(
            parse(&["--state-dir", "/from/option"]),
            PathBuf::from("/from/option")
        );
        std::fs::write(&file, "").unwrap();
        assert_eq!(parse(&[]), PathBuf::from(config::STATE_DIR));
    }
}
