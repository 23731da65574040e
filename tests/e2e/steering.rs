//! Does the program in the kernel decide as the rule on the host does?
//!
//! The same table of frames, sent through the loaded program by BPF_PROG_TEST_RUN. Nothing is attached:
//! no interface, no namespace. The last test measures and says what it measured.

use anyhow::{Context, Result, bail};
use aya::Ebpf;
use aya::maps::{Array, HashMap, PerCpuArray, XskMap};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use dhcp_ebpf::frames::{self, Case, Expected};
use dhcp_ebpf::{Outcome, QUEUES_MAX, SOCKETS_PER_QUEUE_MAX, Settings, maps, socket_index};
use dhcp_wire::id::spread;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::net::{AddressFamily, SocketType, socket};
use std::{env, fs};

const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;
/// What the kernel wants of a frame in a test run: an Ethernet header.
const FRAME_OCTETS_MIN: usize = 14;
/// A test run arrives on the first queue of the loopback interface.
const QUEUE: u32 = 0;

/// The server's program, loaded with what the table says of settings and addresses.
struct Kernel {
    ebpf: Ebpf,
    /// An AF_XDP socket, bound to nothing: enough to stand in the map.
    socket: OwnedFd,
}

impl Kernel {
    fn load(settings: Settings) -> Result<Self> {
        let object = env::var("XDHCPD_BPF_OBJECT")
            .context("XDHCPD_BPF_OBJECT names no BPF object; `cargo xtask test` sets it")?;
        let mut ebpf = Ebpf::load(&fs::read(object)?)?;
        for name in [maps::STEER_PROGRAM, maps::PASS_PROGRAM] {
            let program: &mut Xdp = ebpf.program_mut(name).context(name)?.try_into()?;
            program.load()?;
        }
        let mut array =
            Array::<_, [u64; Settings::WORDS]>::try_from(map(&mut ebpf, maps::SETTINGS)?)?;
        array.set(0, settings.to_words(), 0)?;
        let mut served = HashMap::<_, [u8; 4], u8>::try_from(map(&mut ebpf, maps::SERVED_V4)?)?;
        served.insert(frames::SERVED_V4, 0, 0)?;
        let mut served = HashMap::<_, [u8; 16], u8>::try_from(map(&mut ebpf, maps::SERVED_V6)?)?;
        served.insert(frames::SERVED_V6, 0, 0)?;
        let socket = socket(AddressFamily::XDP, SocketType::RAW, None)?;
        Ok(Self { ebpf, socket })
    }

    /// The program's answer and the outcome that it counted, which must be exactly one.
    fn run(&mut self, frame: &[u8]) -> Result<(u32, Outcome)> {
        let before = self.counters()?;
        let action = self.time(maps::STEER_PROGRAM, frame, 1)?.0;
        let counted: Vec<Outcome> = Outcome::ALL
            .iter()
            .zip(before.iter().zip(self.counters()?))
            .flat_map(|(outcome, (before, after))| vec![*outcome; (after - before) as usize])
            .collect();
        let [outcome] = counted.as_slice() else {
            bail!("counted {counted:?} for one frame")
        };
        Ok((action, *outcome))
    }

    /// The program's answer and nanoseconds per run.
    fn time(&self, program: &str, frame: &[u8], repeat: u32) -> Result<(u32, u128)> {
        let program: &Xdp = self.ebpf.program(program).context("program")?.try_into()?;
        let options = TestRunOptions {
            data_in: Some(frame),
            repeat,
            ..TestRunOptions::new()
        };
        let result = program.test_run(options)?;
        Ok((result.return_value, result.duration.as_nanos()))
    }

    fn counters(&self) -> Result<Vec<u64>> {
        let map = self.ebpf.map(maps::COUNTERS).context(maps::COUNTERS)?;
        let counters = PerCpuArray::<_, u64>::try_from(map)?;
        let sum = |index| Ok(counters.get(&index, 0)?.iter().sum());
        (0..Outcome::COUNT).map(sum).collect()
    }

    /// Gives a worker its socket.
    fn open(&mut self, worker: u32) -> Result<()> {
        let mut sockets = XskMap::try_from(map(&mut self.ebpf, maps::SOCKETS)?)?;
        Ok(sockets.set(socket_index(QUEUE, worker), self.socket.as_raw_fd(), 0)?)
    }

    /// Takes a worker's socket away, as its death does.
    fn close(&mut self, worker: u32) -> Result<()> {
        let mut sockets = XskMap::try_from(map(&mut self.ebpf, maps::SOCKETS)?)?;
        Ok(sockets.unset(socket_index(QUEUE, worker))?)
    }
}

fn map<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut aya::maps::Map> {
    ebpf.map_mut(name)
        .with_context(|| format!("the object has no map {name}"))
}

/// The table, but for frames that are too short for the kernel.
fn cases() -> impl Iterator<Item = Case> {
    frames::cases()
        .into_iter()
        .filter(|case| case.frame.len() >= FRAME_OCTETS_MIN)
}

fn worker(client: &[u8], settings: Settings) -> u32 {
    spread(settings.key, client) % settings.workers_per_queue
}

#[test]
fn every_frame_of_the_table_ends_in_the_kernel_as_it_says() -> Result<()> {
    let mut kernel = Kernel::load(frames::SETTINGS)?;
    for Case {
        name,
        frame,
        expected,
    } in cases()
    {
        let (client, outcome) = match expected {
            Expected::Pass(outcome) => {
                assert_eq!(kernel.run(&frame)?, (XDP_PASS, outcome), "{name}");
                continue;
            }
            Expected::Take(outcome, client) => (client, outcome),
        };
        // Only the client's own worker has a socket; then it has none, and all others have one.
        let worker = worker(&client, frames::SETTINGS);
        kernel.open(worker)?;
        assert_eq!(kernel.run(&frame)?, (XDP_REDIRECT, outcome), "{name}");
        kernel.close(worker)?;
        let others = (0..SOCKETS_PER_QUEUE_MAX).filter(|other| *other != worker);
        others.clone().try_for_each(|other| kernel.open(other))?;
        assert_eq!(
            kernel.run(&frame)?,
            (XDP_PASS, Outcome::PassNoSocket),
            "{name}"
        );
        others.clone().try_for_each(|other| kernel.close(other))?;
    }
    Ok(())
}

#[test]
fn without_sockets_every_frame_passes() -> Result<()> {
    let mut kernel = Kernel::load(frames::SETTINGS)?;
    for Case { name, frame, .. } in cases() {
        assert_eq!(kernel.run(&frame)?.0, XDP_PASS, "{name}");
    }
    Ok(())
}

#[test]
fn before_the_server_writes_its_settings_every_frame_passes() -> Result<()> {
    let mut kernel = Kernel::load(Settings::default())?;
    kernel.open(0)?;
    for Case { name, frame, .. } in cases() {
        assert_eq!(kernel.run(&frame)?.0, XDP_PASS, "{name}");
    }
    Ok(())
}

#[test]
fn a_program_that_logs_decides_the_same() -> Result<()> {
    let mut kernel = Kernel::load(Settings {
        logs: true,
        ..frames::SETTINGS
    })?;
    for Case {
        name,
        frame,
        expected,
    } in cases()
    {
        let outcome = match expected {
            Expected::Pass(outcome) => outcome,
            Expected::Take(..) => Outcome::PassNoSocket,
        };
        assert_eq!(kernel.run(&frame)?, (XDP_PASS, outcome), "{name}");
    }
    Ok(())
}

#[test]
fn the_last_socket_of_the_last_queue_has_a_place() -> Result<()> {
    let mut kernel = Kernel::load(frames::SETTINGS)?;
    let last = socket_index(QUEUES_MAX - 1, SOCKETS_PER_QUEUE_MAX - 1);
    kernel.open(last)?;
    assert!(
        kernel.open(last + 1).is_err(),
        "the map has more places than were agreed on"
    );
    Ok(())
}

#[test]
fn the_rule_costs_what_this_prints() -> Result<()> {
    const REPEAT: u32 = 1_000_000;
    let lone = Settings {
        workers_per_queue: 1,
        ..frames::SETTINGS
    };
    for (settings, workers) in [(lone, "1 worker"), (frames::SETTINGS, "7 workers")] {
        let mut kernel = Kernel::load(settings)?;
        (0..SOCKETS_PER_QUEUE_MAX).try_for_each(|worker| kernel.open(worker))?;
        let shown = [
            "DHCPv4 to everyone",
            "client identifier",
            "DHCPv6 to agents and servers",
            "relayed once",
            "ssh to us over IPv4",
        ];
        for Case { name, frame, .. } in cases().filter(|case| shown.contains(&case.name)) {
            let steered = kernel.time(maps::STEER_PROGRAM, &frame, REPEAT)?.1;
            let passed = kernel.time(maps::PASS_PROGRAM, &frame, REPEAT)?.1;
            let above = steered.saturating_sub(passed);
            println!("{name}, {workers}: {above} ns above an empty program's {passed} ns");
        }
        let program: &Xdp = kernel
            .ebpf
            .program(maps::STEER_PROGRAM)
            .context("steer")?
            .try_into()?;
        let verified = program.info()?.verified_instruction_count();
        println!(
            "the verifier followed {} of at most 1000000 instructions",
            verified.unwrap_or(0)
        );
    }
    Ok(())
}
