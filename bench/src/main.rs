//! xdhcp-blaster: whole DHCP clients by the ten thousand, against any server.
#![deny(unsafe_code)]

use anyhow::Context;
use clap::{Parser, ValueEnum};
use dhcp_bench::check::Violation;
use dhcp_bench::engine::{Engine, Progress, Settings};
use dhcp_bench::exchange::Operation;
use dhcp_bench::link::{AfXdp, Link, Packet};
use dhcp_bench::plan::{Extent, Mix, Pace, Plan};
use dhcp_bench::program::{Program, find_object};
use dhcp_bench::relay::{Relays, parse_stride};
use dhcp_bench::report::{Holdings, Report};
use dhcp_bench::statistics::Statistics;
use dhcp_bench::template::Template;
use dhcp_bench::v6::{RELAY_DEPTH_MAX, Wants};
use dhcp_bench::{Family, lease_file, v4};
use dhcp_wire::frame::{MacAddress, Tags};
use indicatif::{ProgressBar, ProgressStyle};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Simulates whole DHCP clients and checks every answer that they get.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Options {
    /// Interface to send on
    #[arg(long, short)]
    interface: String,
    /// Which DHCP to speak
    #[arg(long, value_enum, default_value_t = Family::V4)]
    family: Family,
    /// How many clients there are
    #[arg(long, default_value_t = 10_000)]
    clients: u32,
    /// What the clients' identifiers are made from; another seed, other clients
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Begin this many exchanges per second (open loop) instead of as many as are answered
    #[arg(long)]
    rate: Option<f64>,
    /// Exchanges in flight when there is no --rate
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=65536))]
    window: u32,
    /// Find the highest rate with a loss below --loss, beginning at --rate
    #[arg(long)]
    ramp: bool,
    /// Loss that is allowed, in percent, for --ramp
    #[arg(long, default_value_t = 0.1)]
    loss: f64,
    /// Operations in proportion: dora (sarr, obtain), renew, rebind, reboot (INIT-REBOOT, Confirm), decline,
    /// release, inform
    #[arg(long, default_value = "obtain=1")]
    mix: String,
    /// Give every client a lease first, which is not measured
    #[arg(long)]
    prefill: bool,
    /// Begin exchanges for this long (for --ramp: each step)
    #[arg(long, conflicts_with = "exchanges")]
    seconds: Option<f64>,
    /// Begin this many exchanges; without --seconds as many as there are clients
    #[arg(long)]
    exchanges: Option<u64>,
    /// Milliseconds that a client waits for an answer
    #[arg(long, default_value_t = 1000)]
    timeout: u64,
    /// How often a client repeats a question
    #[arg(long, default_value_t = 3)]
    retries: u8,

    /// Number of relay agents in front of the clients; none: the clients are on the link
    #[arg(long, default_value_t = 0)]
    relays: u32,
    /// Address of the first relay agent: giaddr, link-address
    #[arg(long)]
    relay_base: Option<IpAddr>,
    /// Addresses from one relay agent to the next; /24 for the size of such a prefix
    #[arg(long, default_value = "1")]
    relay_stride: String,
    /// Relay agents one behind the other (DHCPv6)
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=RELAY_DEPTH_MAX as i64))]
    relay_depth: u8,
    /// Address that relay agents send to (DHCPv6 default: ff05::1:3)
    #[arg(long)]
    server: Option<IpAddr>,
    /// Ethernet address for unicast frames, until an answer has told
    #[arg(long, value_parser = parse_mac)]
    server_mac: Option<MacAddress>,
    /// VLAN tags, outermost first, at most two: 100 or 100,7
    #[arg(long, value_delimiter = ',', num_args = 1..=2)]
    vlan: Vec<u16>,

    /// What relay agents call the line of a client, for DHCPv4: %d, %x, %04x are the client's number, %m its
    /// Ethernet address, %r the number of its relay agent
    #[arg(long, value_name = "PATTERN")]
    circuit_id: Option<Template>,
    /// The same of remote-id; without it the relay agent's Ethernet address
    #[arg(long, value_name = "PATTERN")]
    remote_id: Option<Template>,
    /// The same of subscriber-id, which is not sent without it
    #[arg(long, value_name = "PATTERN")]
    subscriber_id: Option<Template>,
    /// Ask for answers by broadcast (DHCPv4, clients on the link)
    #[arg(long)]
    broadcast: bool,

    /// From how many servers a DHCPv4 client waits for an OFFER, until --timeout; it takes the one with the longest
    /// lease, the first of equals
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    offers: u32,
    /// Announce new addresses by gratuitous ARP (DHCPv4, clients on the link)
    #[arg(long)]
    announce: bool,

    /// What a DHCPv6 client wants
    #[arg(long, value_enum, default_value_t = Wants::Na)]
    ia: Wants,
    /// Ask for the two-message exchange
    #[arg(long)]
    rapid_commit: bool,
    /// All leases must lie in one of these prefixes
    #[arg(long, value_delimiter = ',', value_parser = parse_prefix)]
    expect_prefix: Vec<(IpAddr, u8)>,
    /// Do not object to answers without the client identifier (servers older than RFC 6842)
    #[arg(long)]
    allow_missing_client_id: bool,
    /// Violations that are not objected to, by their names in the report
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    allow: Vec<Violation>,

    /// How frames are sent
    #[arg(long, value_enum, default_value_t = Backend::Xdp)]
    backend: Backend,
    /// Number of queues to use
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    queues: u32,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    queue: u32,
    /// Run on this processor only
    #[arg(long)]
    cpu: Option<usize>,
    /// The BPF object with the XDP program
    #[arg(long)]
    bpf_object: Option<PathBuf>,
    /// A reflector is at the other end: count whatever comes back
    #[arg(long)]
    reflector: bool,

    /// Write all leases that clients hold in the end to this file, a JSON object per line
    #[arg(long)]
    leases_out: Option<PathBuf>,
    /// Begin with the leases of this file, which a run with the same --seed wrote
    #[arg(long)]
    leases_in: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  xdhcp-blaster -i eth1 --clients 50000                     every client obtains an IPv4 address
  xdhcp-blaster -i eth1 --family v6 --ia both --seconds 10  addresses and prefixes for ten seconds
  xdhcp-blaster -i eth1 --prefill --mix dora=1,renew=5 --rate 20000 --seconds 60
  xdhcp-blaster -i eth1 --relays 8 --relay-base 10.1.0.1 --relay-stride /16 --server 192.0.2.1
  xdhcp-blaster -i eth1 --prefill --mix renew=4,rebind=1,reboot=2,decline=1,release=1,inform=1
  xdhcp-blaster -i eth1 --relays 2 --relay-base 10.1.0.1 --server 192.0.2.1 --circuit-id 'olt-%04x/%d'
  xdhcp-blaster -i eth1 --ramp --rate 10000 --loss 0.1      the highest rate that is answered

Exits 0 when all went well, 1 when an answer was wrong or none came, 2 on wrong usage.";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backend {
    /// AF_XDP
    Xdp,
    /// An ordinary packet socket
    Packet,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xdhcp-blaster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says whether all answers were right and at least one came.
fn run(options: &Options) -> anyhow::Result<bool> {
    if let Some(cpu) = options.cpu {
        pin_to(cpu)?;
    }
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let (links, _program) = open_links(options)?;
    let neighbours = (!options.reflector)
        .then(|| Packet::open(&options.interface))
        .transpose()?;
    let mut engine = Engine::new(settings(options)?, links, neighbours)?;
    if let Some(path) = &options.leases_in {
        lease_file::read(path, &mut engine, options.seed)?;
    }
    let progress = progress_line();
    let mut watch = |state: Progress| {
        progress.set_message(tell(&state));
        progress.tick();
        !interrupted.load(Ordering::Relaxed)
    };
    if options.prefill {
        let plan = Plan {
            pace: Pace::Closed {
                window: options.window as usize,
            },
            extent: Extent::Exchanges(options.clients.into()),
            mix: Mix::only(Operation::Obtain),
        };
        engine.run(&plan, &mut watch)?;
    }
    let statistics = match options.ramp {
        true => ramp(options, &mut engine, &mut watch)?,
        false => engine.run(&plan(options)?, &mut watch)?,
    };
    progress.finish_and_clear();
    if let Some(path) = &options.leases_out {
        lease_file::write(path, &engine, options.seed)?;
    }
    let report = Report {
        family: options.family,
        rapid_commit: options.rapid_commit,
        statistics: &statistics,
        held: Holdings::of(&engine),
    };
    match options.json {
        true => println!("{}", report.json()),
        false => print!("{}", report.table()),
    }
    let answered = statistics.steps(|step| step.received) > 0
        || statistics.operations(|operation| operation.completed) > 0;
    Ok(answered && statistics.violations.total() == 0)
}

fn settings(options: &Options) -> anyhow::Result<Settings> {
    anyhow::ensure!(
        options.family == Family::V4 || (options.offers == 1 && !options.announce),
        "--offers and --announce are of DHCPv4: a DHCPv6 client chooses by preference and finds duplicates otherwise"
    );
    Ok(Settings {
        family: options.family,
        clients: options.clients,
        seed: options.seed,
        timeout: Duration::from_millis(options.timeout),
        retries: options.retries,
        relays: relays(options)?,
        wants: options.ia,
        rapid_commit: options.rapid_commit,
        tags: tags(&options.vlan),
        // The kernel takes tags off before a packet socket sees the frame.
        check_tags: options.backend == Backend::Xdp,
        server_mac: options.server_mac,
        server: options.server,
        expected: options.expect_prefix.clone(),
        rules: v4::Rules {
            client_id_may_be_missing: options.allow_missing_client_id,
        },
        manner: v4::Manner {
            broadcast: options.broadcast,
            rapid_commit: options.rapid_commit,
            circuit_id: options.circuit_id.clone(),
            remote_id: options.remote_id.clone(),
            subscriber_id: options.subscriber_id.clone(),
        },
        offers: options.offers,
        announce: options.announce,
        allowed: options.allow.clone(),
        reflector: options.reflector,
        in_flight_max: in_flight_max(options),
    })
}

/// In a closed loop four times what is in flight; in an open loop what a server may leave unanswered
/// until clients give up.
fn in_flight_max(options: &Options) -> usize {
    let patience = options.timeout as f64 / 1e3 * f64::from(options.retries + 1);
    match (options.ramp, options.rate) {
        (true, _) => 1 << 20,
        (false, Some(rate)) => (rate * patience * 1.5) as usize,
        (false, None) => options.window as usize * 4,
    }
}

fn relays(options: &Options) -> anyhow::Result<Option<Relays>> {
    if options.relays == 0 {
        return Ok(None);
    }
    let base = options.relay_base.context("--relays needs --relay-base")?;
    anyhow::ensure!(
        base.is_ipv4() == (options.family == Family::V4),
        "--relay-base {base} is not of --family {}",
        options.family.name()
    );
    anyhow::ensure!(
        options.family == Family::V6 || options.server.is_some_and(|server| server.is_ipv4()),
        "--relays needs --server: a DHCPv4 relay agent sends to an address"
    );
    let stride = parse_stride(&options.relay_stride, base)?;
    let (count, depth) = (options.relays, options.relay_depth);
    Ok(Some(Relays {
        count,
        depth,
        base,
        stride,
    }))
}

/// 802.1Q, and 802.1ad around it when there are two.
fn tags(vlan: &[u16]) -> Tags {
    match vlan {
        [] => Tags::default(),
        [inner] => Tags {
            count: 1,
            tags: [(0x8100, *inner), (0, 0)],
        },
        [outer, inner, ..] => Tags {
            count: 2,
            tags: [(0x88a8, *outer), (0x8100, *inner)],
        },
    }
}

fn plan(options: &Options) -> anyhow::Result<Plan> {
    let pace = match options.rate {
        Some(rate) => Pace::Open { rate },
        None => Pace::Closed {
            window: options.window as usize,
        },
    };
    let extent = match (options.seconds, options.exchanges) {
        (Some(seconds), _) => Extent::Time(Duration::try_from_secs_f64(seconds)?),
        (None, Some(exchanges)) => Extent::Exchanges(exchanges),
        (None, None) => Extent::Exchanges(options.clients.into()),
    };
    let mix = Mix::parse(&options.mix)?;
    let of_addresses = [Operation::Reboot, Operation::Decline];
    anyhow::ensure!(
        options.ia != Wants::Pd || !of_addresses.into_iter().any(|operation| mix.has(operation)),
        "--mix {}: reboot and decline are about addresses, and --ia pd has none",
        options.mix
    );
    Ok(Plan { pace, extent, mix })
}

/// Raises the rate by a quarter until too much is lost, then halves the interval a few times. Returns
/// the counts of the best step.
fn ramp(
    options: &Options,
    engine: &mut Engine,
    watch: &mut dyn FnMut(Progress) -> bool,
) -> anyhow::Result<Statistics> {
    let time = Duration::try_from_secs_f64(options.seconds.unwrap_or(2.0))?;
    let mix = Mix::parse(&options.mix)?;
    let (mut rate, mut good, mut bad) = (options.rate.unwrap_or(1_000.0), 0.0, f64::INFINITY);
    let mut best = None;
    while bad / f64::max(good, 1.0) > 1.02 && rate < 1e8 {
        let plan = Plan {
            pace: Pace::Open { rate },
            extent: Extent::Time(time),
            mix: mix.clone(),
        };
        let statistics = engine.run(&plan, watch)?;
        let loss = statistics.loss() * 100.0;
        let completed = statistics.exchanges_per_second();
        // A rate that was not reached is no success either, whoever was too slow.
        let kept_up = loss <= options.loss && completed >= 0.98 * rate;
        eprintln!("rate {rate:>9.0}/s   completed {completed:>9.0}/s   loss {loss:.4} %");
        if kept_up {
            good = rate;
            best = Some(statistics);
        } else {
            bad = rate;
        }
        if !watch(Progress {
            elapsed: 0,
            completed: 0,
            in_flight: 0,
            drops: 0,
            violations: 0,
        }) {
            break;
        }
        rate = if bad.is_finite() {
            f64::midpoint(good, bad)
        } else {
            rate * 1.25
        };
        anyhow::ensure!(rate >= 1.0, "not even one exchange per second was answered");
    }
    best.context("the first rate was too high already; begin lower with --rate")
}

type Links = Vec<Box<dyn Link>>;

fn open_links(options: &Options) -> anyhow::Result<(Links, Option<Program>)> {
    let interface = options.interface.as_str();
    if options.backend == Backend::Packet {
        anyhow::ensure!(!options.reflector, "--reflector needs --backend xdp");
        return Ok((vec![Box::new(Packet::open(interface)?)], None));
    }
    let object = options.bpf_object.clone().map_or_else(find_object, Ok)?;
    let queues = options.queue..options.queue.saturating_add(options.queues);
    let sockets = queues
        .map(|queue| AfXdp::open(interface, queue))
        .collect::<Result<Vec<_>, _>>()?;
    // Relay agents are answered at the servers' port, clients at their own.
    let ports = match options.family {
        Family::V4 => [68, 67],
        Family::V6 => [546, 547],
    };
    let program = Program::attach(&object, interface, ports, options.queue, &sockets)?;
    let links = sockets
        .into_iter()
        .map(|socket| Box::new(socket) as Box<dyn Link>)
        .collect();
    Ok((links, Some(program)))
}

fn pin_to(cpu: usize) -> anyhow::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set)
        .with_context(|| format!("--cpu {cpu}: this processor cannot be had"))
}

fn progress_line() -> ProgressBar {
    let progress = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        progress.set_style(style);
    }
    progress
}

fn tell(state: &Progress) -> String {
    let seconds = state.elapsed as f64 / 1e9;
    let rate = state.completed as f64 / seconds.max(0.001);
    format!(
        "{seconds:.1} s   {} exchanges   {rate:.0}/s   in flight {}   drops {}   violations {}",
        state.completed, state.in_flight, state.drops, state.violations
    )
}

fn parse_mac(text: &str) -> Result<MacAddress, String> {
    let octets: Result<Vec<u8>, _> = text
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16))
        .collect();
    let octets = octets
        .ok()
        .and_then(|octets| <[u8; 6]>::try_from(octets).ok());
    octets
        .map(MacAddress)
        .ok_or_else(|| "not of the form 02:00:00:00:00:01".into())
}

fn parse_prefix(text: &str) -> Result<(IpAddr, u8), String> {
    let wrong = || "not of the form 10.0.0.0/8".to_owned();
    let (address, length) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = length
        .parse()
        .ok()
        .filter(|length| *length <= longest)
        .ok_or_else(wrong)?;
    Ok((address, length))
}
