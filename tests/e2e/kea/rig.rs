//! The two servers, each with a link of its own, and how a message goes to one of them.

use dhcp_bench::link::{Link as _, Packet as Wire};
use dhcp_tests::lab::process::{PATIENCE, Process, eventually, try_run};
use dhcp_tests::lab::server::{Server, binary};
use dhcp_tests::lab::{CLIENT_INTERFACE, Link, SERVER_INTERFACE};
use dhcp_tests::packet::Packet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Both servers' Ethernet address.
pub(crate) const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];

/// A server in its namespace; what is sent to it, and what it sends.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    wire: Wire,
    /// Before the link: it ends before its folder goes.
    _program: Program,
    _link: Link,
}

/// What keeps a server running.
#[expect(
    dead_code,
    reason = "they are held so that they are ended when all is done"
)]
enum Program {
    Kea(Process, Shown),
    Ours(Box<Server>),
}

/// A folder in the root of another system, which goes when Kea has ended.
struct Shown(PathBuf);

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Side {
    /// Kea with a configuration of its own language.
    pub(crate) fn kea(link: Link, program: &str, configuration: &str) -> Self {
        let folder = link.file("kea");
        std::fs::create_dir_all(&folder).unwrap();
        // Whatever its root is, its folder has the same name there.
        let shown = Shown(root().join(folder.strip_prefix("/").expect("an absolute path")));
        written(&shown.0, configuration);
        let mut command = link.server.command("env");
        for variable in ["KEA_PIDFILE_DIR", "KEA_LOCKFILE_DIR"] {
            command.arg(format!("{variable}={}", folder.display()));
        }
        command.arg("chroot").arg(root());
        command.args([program, "-c"]).arg(folder.join("kea.conf"));
        let process = Process::start(&mut command, &folder, "kea");
        Self::new("Kea", link, Program::Kea(process, shown))
    }

    /// xdhcpd with what its importer makes of the same configuration, which it must take whole.
    pub(crate) fn ours(link: Link, family: &str, configuration: &str) -> Self {
        let folder = link.file("server");
        let file = written(&folder, configuration);
        let made = folder.join("imported.toml");
        let mut import = Command::new(binary("XDHCPD_BIN", "xdhcpd"));
        import.args(["config", "import-kea", family]).arg(&file);
        import.arg("-o").arg(&made);
        let (is_whole, said) = try_run(&mut import);
        assert!(is_whole, "not carried over:\n{said}");
        let made = std::fs::read_to_string(&made).unwrap();
        let mut server = Server::configured(&folder, &format!("durability = \"process\"\n{made}"));
        server.start(&link.server);
        Self::new("xdhcpd", link, Program::Ours(Box::new(server)))
    }

    fn new(name: &'static str, link: Link, program: Program) -> Self {
        let wire = link
            .clients
            .within(|| Wire::open(CLIENT_INTERFACE).unwrap());
        Self {
            name,
            wire,
            _program: program,
            _link: link,
        }
    }

    /// Waits until the server answers this at all.
    pub(crate) fn await_readiness(&mut self, question: &Packet) {
        eventually(PATIENCE, self.name, || {
            self.send(question);
            self.wire.wait(Duration::from_millis(200)).unwrap();
            let mut seen = 0;
            self.receive(&mut |_| seen += 1);
            (seen > 0).then_some(())
        });
        // What it says to further copies is of no interest.
        std::thread::sleep(Duration::from_millis(300));
        self.receive(&mut |_| {});
    }

    /// Sends a message and then one that is always answered; gives what came before that answer. Both servers work
    /// through what they receive in its order.
    pub(crate) fn ask(
        &mut self,
        message: &Packet,
        marker: &Packet,
        mut is_end: impl FnMut(&Packet) -> bool,
    ) -> Vec<Packet> {
        self.send(message);
        self.send(marker);
        let mut found = Vec::new();
        let mut ended = false;
        let deadline = Instant::now() + PATIENCE;
        while !ended {
            assert!(
                Instant::now() < deadline,
                "{} does not answer the marker after {message:?}",
                self.name
            );
            self.wire.wait(Duration::from_millis(50)).unwrap();
            self.receive(&mut |packet| match is_end(&packet) {
                true => ended = true,
                false => found.push(packet),
            });
        }
        found
    }

    fn send(&mut self, packet: &Packet) {
        let frame = packet.emit();
        let sent = self.wire.send(&mut |room| {
            room[..frame.len()].copy_from_slice(&frame);
            frame.len()
        });
        assert!(sent.unwrap());
    }

    /// What has come from a DHCP server's ports; the rest of what is on a link does not count.
    fn receive(&mut self, take: &mut dyn FnMut(Packet)) {
        let received = self.wire.receive(&mut |octets| {
            if let Ok(packet) = Packet::parse(octets)
                && [67, 547].contains(&packet.source.port())
            {
                take(packet);
            }
        });
        received.unwrap();
    }
}

fn written(folder: &Path, configuration: &str) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let file = folder.join("kea.conf");
    std::fs::write(&file, configuration).unwrap();
    file
}

/// A link whose server has the Ethernet address that both have.
pub(crate) fn link() -> Link {
    let link = Link::new(1);
    let mac = SERVER_MAC.map(|octet| format!("{octet:02x}")).join(":");
    link.server
        .sh(&format!("ip link set {SERVER_INTERFACE} address {mac}"));
    link
}

/// The root of the system whose Kea is asked: `KEA_ROOT`, or this one.
fn root() -> PathBuf {
    std::env::var_os("KEA_ROOT").map_or_else(|| "/".into(), PathBuf::from)
}

/// Where Debian keeps Kea's hook libraries: below the folder of its architecture.
pub(crate) fn hooks() -> String {
    let root = root();
    let folders = std::fs::read_dir(root.join("usr/lib")).unwrap();
    let folders = folders.map(|entry| entry.unwrap().path().join("kea/hooks"));
    let mut known = folders.filter(|path| path.is_dir());
    let folder = known.next().expect("Kea is installed");
    let folder = folder.strip_prefix(root).expect("it lies there");
    Path::new("/").join(folder).display().to_string()
}

/// Marsaglia's xorshift: the same questions in every run with the same seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(crate) fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// A number of the environment: `KEA_EXCHANGES`, `KEA_SEED`.
pub(crate) fn number(variable: &str) -> Option<u64> {
    let written = std::env::var(variable).ok()?;
    let number = written.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is no number: {written}")))
}
