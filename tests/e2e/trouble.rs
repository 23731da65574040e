//! The disk is full, fails, becomes read-only, loses a file: nobody gets an acknowledgement that is not on the
//! disk, the operator is told within a second, and the server goes on by itself within a second of its end.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use dhcp_tests::lab::Link;
use dhcp_tests::lab::blaster::{Blaster, assert_kept, ledger};
use dhcp_tests::lab::process::{PATIENCE, Process, eventually, run, try_run};
use dhcp_tests::lab::server::Server;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const CONFIG: &str = r#"
interfaces = ["srv0"]
durability = "power"
lease-capacity = 70000

[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.16.0-10.9.143.255"]
valid-lifetime = 3600
"#;

/// How soon an operator must be told, and how soon the server must go on.
const SOON: Duration = Duration::from_secs(1);

/// A file system of its own for the state directory.
struct Mount {
    path: PathBuf,
    image: Option<PathBuf>,
}

impl Mount {
    fn tmpfs(link: &Link, octets: &str) -> Self {
        let this = Self::at(link, None);
        let size = format!("size={octets}");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&this.path));
        this
    }

    fn ext4(link: &Link, octets: &str) -> Self {
        let image = link.file("image");
        run(Command::new("truncate").args(["-s", octets]).arg(&image));
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
        let this = Self::at(link, Some(image));
        this.mount();
        this
    }

    fn at(link: &Link, image: Option<PathBuf>) -> Self {
        let path = link.file("server").join("state");
        fs::create_dir_all(&path).unwrap();
        Self { path, image }
    }

    fn mount(&self) {
        let image = self.image.as_ref().unwrap();
        run(Command::new("mount")
            .args(["-o", "loop"])
            .args([image, &self.path]));
    }

    fn unmount(&self) {
        run(Command::new("umount").arg(&self.path));
    }

    /// Takes all the room that is left.
    fn fill(&self) -> PathBuf {
        let filler = self.path.join("filler");
        let mut octets = 1 << 20;
        let mut file = fs::File::create(&filler).unwrap();
        while octets > 0 {
            use std::io::Write;
            let block = vec![0x5a; octets];
            if file
                .write_all(&block)
                .and_then(|()| file.sync_data())
                .is_err()
            {
                octets /= 2;
            }
        }
        filler
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, for after a test that failed the server may still be there.
        let _ = try_run(Command::new("umount").arg("-l").arg(&self.path));
    }
}

/// A server with its state on a file system of its own, under load.
struct Trouble {
    blaster: Option<Blaster>,
    server: Server,
    mount: Mount,
    ledger: PathBuf,
    link: Link,
}

impl Trouble {
    fn new(mount: impl FnOnce(&Link) -> Mount) -> Self {
        let link = Link::new(1);
        let server = Server::configured(&link.file("server"), CONFIG);
        let mut this = Self {
            blaster: None,
            mount: mount(&link),
            ledger: link.file("ledger.jsonl"),
            server,
            link,
        };
        this.server.start(&this.link.server);
        this
    }

    fn load(&mut self, seconds: &str) {
        let ledger = self.ledger.to_string_lossy().into_owned();
        let arguments = ["--clients", "20000", "--timeout", "500", "--retries", "1"];
        let more = ["--mix", "obtain=3,renew=2", "--seconds", seconds];
        let arguments = [&arguments[..], &more, &["--leases-out", &ledger]].concat();
        let blaster = Blaster::start(&self.link.clients, self.link.folder(), &arguments);
        self.blaster = Some(blaster);
        eventually(PATIENCE, "load", || {
            (self.acknowledged() > 200).then_some(())
        });
    }

    fn acknowledged(&self) -> u64 {
        let sent = &self.server.ctl(&["stats"])["sent-v4"];
        let ack = sent.as_object().and_then(|sent| {
            let mut sent = sent.iter();
            sent.find(|(name, _)| name.eq_ignore_ascii_case("ack"))
        });
        ack.map_or(0, |(_, count)| count.as_u64().unwrap_or(0))
    }

    fn status(&self) -> Value {
        self.server.ctl(&["status"])
    }

    fn is_suspended(&self) -> bool {
        self.status()["store-suspended"].as_bool().unwrap()
    }

    fn problems(&self) -> String {
        self.status()["problems"].to_string()
    }

    /// Waits until the status says so. How long that took.
    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) -> Duration {
        let start = Instant::now();
        eventually(PATIENCE, what, || is_so(self).then_some(()));
        start.elapsed()
    }

    /// Every acknowledged lease is there after the process is killed and the server started again.
    fn killed_and_restarted_has_all(mut self) {
        if let Some(blaster) = self.blaster.take() {
            blaster.report().assert_clean();
        }
        self.server.process().kill();
        self.server.start(&self.link.server);
        let promises = ledger(&self.ledger);
        assert!(promises.len() > 200, "no load: {}", promises.len());
        assert_kept(&promises, &self.server.leases());
        println!(
            "{} acknowledged leases looked for and found",
            promises.len()
        );
        assert!(self.server.process().stop().success());
        self.mount.unmount();
    }

    /// What a system call answers from now on, until the tracer ends.
    fn inject(&mut self, what: &str) -> Tracer {
        let pid = self.server.process().pid().to_string();
        let mut command = Command::new("strace");
        let call = what.split(':').next().unwrap();
        command
            .args(["-f", "-q", "-o", "/dev/null", "-p", &pid])
            .args([
                "-e",
                &format!("trace={call}"),
                "-e",
                &format!("inject={what}"),
            ]);
        Tracer(Process::start(&mut command, self.link.folder(), "strace"))
    }
}

/// A tracer that lets go of the server when it ends.
struct Tracer(Process);

impl Tracer {
    fn end(mut self) {
        self.0.signal("INT");
        self.0.wait(PATIENCE);
    }
}

#[test]
fn a_full_ext4_costs_nobody_a_lease() {
    full(|link| Mount::ext4(link, "160M"));
}

#[test]
fn a_full_tmpfs_costs_nobody_a_lease() {
    full(|link| Mount::tmpfs(link, "128m"));
}

/// Everything that a commit or a checkpoint writes has its room since the start.
fn full(mount: impl FnOnce(&Link) -> Mount) {
    let mut trouble = Trouble::new(mount);
    trouble.load("5");
    let filler = trouble.mount.fill();
    let told = trouble.until("an alarm", |it| it.problems().contains("is full"));
    assert!(told < SOON, "{told:?}");
    let before = trouble.acknowledged();
    trouble.until("more leases", |it| it.acknowledged() > before + 200);
    assert!(!trouble.is_suspended());
    fs::remove_file(filler).unwrap();
    let healed = trouble.until("the end of the alarm", |it| it.problems() == "[]");
    assert!(healed < SOON, "{healed:?}");
    println!("told after {told:?}, well after {healed:?}");
    trouble.killed_and_restarted_has_all();
}

#[test]
fn a_sync_that_fails_once_is_made_up_for() {
    let mut trouble = Trouble::new(|link| Mount::ext4(link, "160M"));
    trouble.load("5");
    let tracer = trouble.inject("fdatasync:error=EIO:when=3");
    trouble.until("an outage", |it| {
        it.status()["store-outages"].as_u64() > Some(0)
    });
    let healed = trouble.until("its end", |it| !it.is_suspended());
    assert!(healed < SOON, "{healed:?}");
    let before = trouble.acknowledged();
    trouble.until("more leases", |it| it.acknowledged() > before + 50);
    tracer.end();
    trouble.killed_and_restarted_has_all();
}

#[test]
fn while_the_disk_fails_nothing_is_acknowledged_and_then_all_goes_on() {
    for (fault, cause, why) in [
        ("fdatasync:error=EIO", "journal_sync", "Input/output error"),
        ("pwritev:error=ENOSPC", "journal_write", "No space left"),
        (
            "pwritev:error=EROFS",
            "journal_write",
            "Read-only file system",
        ),
    ] {
        let mut trouble = Trouble::new(|link| Mount::ext4(link, "160M"));
        trouble.load("6");
        let tracer = trouble.inject(fault);
        let told = trouble.until("an alarm", |it| it.is_suspended());
        let status = trouble.status();
        assert_eq!(status["store-trouble"], cause, "{status}");
        assert!(trouble.problems().contains(why), "{status}");
        assert!(trouble.server.process().log().contains(why));
        let before = trouble.acknowledged();
        std::thread::sleep(SOON);
        assert_eq!(trouble.acknowledged(), before, "{fault}");
        let end = Instant::now();
        tracer.end();
        let healed = trouble.until("the end of the alarm", |it| !it.is_suspended());
        assert!(
            told < SOON && healed < SOON,
            "{fault}: {told:?}, {healed:?}"
        );
        trouble.until("more leases", |it| it.acknowledged() > before + 50);
        let again = end.elapsed();
        println!(
            "{fault}: told after {told:?}, well {healed:?} after its end, leases after {again:?}"
        );
        trouble.killed_and_restarted_has_all();
    }
}

#[test]
fn a_server_can_be_stopped_while_the_disk_fails() {
    let mut trouble = Trouble::new(|link| Mount::ext4(link, "160M"));
    trouble.load("4");
    let tracer = trouble.inject("fdatasync:error=EIO");
    trouble.until("an alarm", |it| it.is_suspended());
    let start = Instant::now();
    assert!(trouble.server.process().stop().success());
    println!("stopped within {:?}", start.elapsed());
    tracer.end();
    trouble.server.start(&trouble.link.server);
    trouble.killed_and_restarted_has_all();
}

#[test]
fn a_file_system_that_becomes_read_only_ends_acknowledgements() {
    let mut trouble = Trouble::new(|link| Mount::ext4(link, "160M"));
    trouble.load("5");
    // While files are open to be written, the kernel refuses the operator's remount, and nothing happens.
    let mut remount = Command::new("mount");
    remount.args(["-o", "remount,ro"]).arg(&trouble.mount.path);
    let (done, said) = try_run(&mut remount);
    assert!(!done && said.contains("busy"), "{said}");
    assert!(!trouble.is_suspended());
    // A file system that finds itself damaged does not ask.
    let mut abort = Command::new("mount");
    abort.args(["-o", "remount,abort"]).arg(&trouble.mount.path);
    let _ = try_run(&mut abort);
    let told = trouble.until("an alarm", |it| it.is_suspended());
    assert!(told < SOON, "{told:?}");
    let before = trouble.acknowledged();
    std::thread::sleep(SOON);
    assert_eq!(trouble.acknowledged(), before);
    println!("told after {told:?}: {}", trouble.problems());

    // It takes a repair, and then a start.
    trouble.blaster.take().unwrap().report().assert_clean();
    trouble.server.process().kill();
    trouble.mount.unmount();
    let image = trouble.mount.image.clone().unwrap();
    let _ = try_run(Command::new("e2fsck").arg("-fy").arg(image));
    trouble.mount.mount();
    trouble.server.start(&trouble.link.server);
    trouble.killed_and_restarted_has_all();
}

#[test]
fn a_file_that_is_moved_away_ends_acknowledgements_until_it_is_back() {
    for name in ["journal", "table-0000"] {
        let mut trouble = Trouble::new(|link| Mount::ext4(link, "160M"));
        trouble.load("5");
        let place = |name: &str| trouble.mount.path.join(name);
        fs::rename(place(name), place("elsewhere")).unwrap();
        let told = trouble.until("an alarm", |it| it.is_suspended());
        assert!(trouble.problems().contains(name), "{}", trouble.problems());
        fs::rename(place("elsewhere"), place(name)).unwrap();
        let healed = trouble.until("the end of the alarm", |it| !it.is_suspended());
        println!("{name}: told after {told:?}, well after {healed:?}");
        assert!(told < SOON + SOON / 2 && healed < SOON);
        trouble.killed_and_restarted_has_all();
    }
}

#[test]
fn a_file_that_is_cut_short_ends_the_server_with_a_sentence() {
    for name in ["journal", "table-0001"] {
        let mut trouble = Trouble::new(|link| Mount::ext4(link, "160M"));
        trouble.load("2");
        cut_short(&trouble.mount.path.join(name));
        let status = trouble.server.process().wait(PATIENCE);
        let log = trouble.server.process().log();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains(name) && log.contains("cut short"), "{log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}

fn cut_short(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(4096).unwrap();
}
