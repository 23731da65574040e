//! The wall clock is set to 1970, 2038, 2106 and 2200, while the server runs, across its restarts and across
//! restarts of the machine: no lease ends early, none is given to another.
//!
//! The server's wall clock is libfaketime's, which leaves its boot clock alone. A restart of the machine is
//! another boot id, mounted over the kernel's. Every address of the pool is given, so a lease that ended
//! early would go to one of the newcomers who ask again and again.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails panics"
)]

use dhcp_tests::lab::Link;
use dhcp_tests::lab::blaster::{Blaster, Promise, Report, assert_kept, ledger};
use dhcp_tests::lab::process::{PATIENCE, eventually};
use dhcp_tests::lab::server::Server;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Moments to which the wall clock is set, a little before something rolls over.
const MOMENTS: [(&str, u64); 4] = [
    ("1970", 60),
    ("2038", (1 << 31) - 2),
    ("2106", (1 << 32) - 2),
    ("2200", 7_258_118_400),
];

const CONFIG: &str = r#"
interfaces = ["srv0"]

[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.16.0-10.9.17.255"]
valid-lifetime = 3600

[[subnet6]]
subnet = "fd09::/64"
interface = "srv0"
pools = ["fd09::1:0-fd09::1:ffff"]
pd-pools = [{ prefix = "fd09:100::/40", delegated-len = 56 }]
valid-lifetime = 3600
preferred-lifetime = 3600
"#;

/// A server whose wall clock and boot id are the test's.
struct Scene {
    link: Link,
    server: Server,
    boots: u32,
    newcomers: u32,
}

/// The library, wherever the distribution keeps it.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut places = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    places
        .find(|place| place.is_file())
        .expect("libfaketime is installed; `cargo xtask setup --for test` does that")
}

fn real_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

impl Scene {
    fn new() -> Self {
        let link = Link::new(1);
        let server = Server::configured(&link.file("server"), CONFIG);
        let mut scene = Self {
            link,
            server,
            boots: 0,
            newcomers: 100,
        };
        scene.set_offset(0);
        scene.boot();
        scene.server.start(&scene.link.server);
        scene
    }

    /// Another boot of the machine, for the next start.
    fn boot(&mut self) {
        self.boots += 1;
        let boot_id = self.link.file("boot_id");
        let id = format!("00000000-0000-0000-0000-{:012x}\n", self.boots);
        std::fs::write(&boot_id, id).unwrap();
        let mount = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"";
        let (library, wall) = (library(), self.link.file("wall"));
        self.server.run_under(&[
            "sh",
            "-c",
            mount,
            boot_id.to_str().unwrap(),
            "env",
            &format!("LD_PRELOAD={}", library.display()),
            &format!("FAKETIME_TIMESTAMP_FILE={}", wall.display()),
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "DONT_FAKE_MONOTONIC=1",
        ]);
    }

    fn set_offset(&self, seconds: i128) {
        let wall = self.link.file("wall");
        let new = self.link.file("wall.new");
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(new, wall).unwrap();
    }

    /// Sets the wall clock.
    fn set(&self, moment: u64) {
        self.set_offset(i128::from(moment) - i128::from(real_time()));
    }

    fn clock(&self) -> Value {
        self.server.ctl(&["clock"])
    }

    /// Sets the wall clock of the running server, and waits until it has seen that.
    fn step(&self, moment: u64) {
        let steps = self.clock()["steps"].as_u64().unwrap();
        self.set(moment);
        eventually(PATIENCE, "the step to be seen", || {
            let clock = self.clock();
            let wall = clock["server-time"].as_i64()? + clock["offset-seconds"].as_i64()?;
            let is_there = (wall - i64::try_from(moment).unwrap()).abs() < 60;
            (clock["steps"].as_u64()? > steps && is_there).then_some(())
        });
    }

    fn clients(&self, family: &str, seed: u32, mix: &str, more: &[&str]) -> Report {
        let seed = seed.to_string();
        let fixed = [
            "--family",
            family,
            "--seed",
            &seed,
            "--mix",
            mix,
            "--timeout",
            "1000",
        ];
        Blaster::run(
            &self.link.clients,
            self.link.folder(),
            &[&fixed, more].concat(),
        )
    }

    /// Everybody renews what he has, nobody else gets any of it, and the table says the same.
    fn check(&mut self, promises: &[Promise], when: &str) {
        assert_kept(promises, &self.server.leases());
        for (family, seed) in [("v4", 1), ("v6", 2)] {
            let from = self.link.file(&format!("{family}.jsonl"));
            let report = self.clients(
                family,
                seed,
                "renew=1",
                &[
                    "--clients",
                    "400",
                    "--leases-in",
                    from.to_str().unwrap(),
                    "--exchanges",
                    "300",
                ],
            );
            report.assert_clean();
            assert_eq!(report.count("failed"), 0, "{when}, {family}: {report:?}");
            assert!(
                report.count("completed") >= 300,
                "{when}, {family}: {report:?}"
            );
        }
        self.newcomers += 1;
        let to = self.link.file("newcomers.jsonl");
        let _ = std::fs::remove_file(&to);
        let report = self.clients(
            "v4",
            self.newcomers,
            "obtain=1",
            &[
                "--clients",
                "50",
                "--exchanges",
                "50",
                "--retries",
                "0",
                "--leases-out",
                to.to_str().unwrap(),
            ],
        );
        assert_eq!(
            report.count("completed"),
            0,
            "{when}: a newcomer got a lease: {report:?}"
        );
        assert_kept(promises, &self.server.leases());
    }
}

#[test]
fn no_step_of_the_wall_clock_ends_a_lease_or_gives_it_to_another() {
    let mut scene = Scene::new();
    for (family, seed, clients) in [("v4", 1, "400"), ("v6", 2, "400")] {
        let to = scene.link.file(&format!("{family}.jsonl"));
        let to = to.to_str().unwrap();
        let arguments = [
            "--clients",
            clients,
            "--exchanges",
            "400",
            "--leases-out",
            to,
        ];
        scene
            .clients(family, seed, "obtain=1", &arguments)
            .assert_clean();
    }
    // The rest of the pool is somebody's too.
    scene.clients(
        "v4",
        3,
        "obtain=1",
        &["--clients", "2000", "--seconds", "2", "--retries", "0"],
    );
    let mut promises = ledger(&scene.link.file("v4.jsonl"));
    promises.extend(ledger(&scene.link.file("v6.jsonl")));
    assert!(promises.len() >= 800, "{}", promises.len());
    scene.check(&promises, "before");

    let start = scene.clock()["server-time"].as_u64().unwrap();
    let began = std::time::Instant::now();
    let assert_time = |scene: &Scene, when: &str| {
        let clock = scene.clock();
        let now = clock["server-time"].as_u64().unwrap();
        let real = start + began.elapsed().as_secs();
        assert!(now <= real + 1, "{when}: {now} is ahead of {real}");
        assert!(now + 60 > real, "{when}: {now} is far behind {real}");
    };
    for (name, moment) in MOMENTS {
        scene.step(moment);
        scene.check(&promises, &format!("set to {name} while the server runs"));

        assert!(scene.server.process().stop().success());
        scene.server.start(&scene.link.server);
        assert_eq!(scene.clock()["source"], "boot-clock");
        scene.check(&promises, &format!("restarted in {name}"));

        scene.server.process().kill();
        scene.boot();
        scene.server.start(&scene.link.server);
        scene.check(&promises, &format!("the machine restarted in {name}"));
        assert_time(&scene, name);

        // Set back while the server is away, and forth again.
        assert!(scene.server.process().stop().success());
        scene.set_offset(0);
        scene.server.start(&scene.link.server);
        scene.check(&promises, &format!("back from {name}"));
        assert_time(&scene, name);
    }

    // While the machine is off somebody sets its clock: from now to 2200, which nobody believes.
    assert!(scene.server.process().stop().success());
    scene.boot();
    scene.set(MOMENTS[3].1);
    scene.server.start(&scene.link.server);
    assert_eq!(scene.clock()["held"], true);
    let status = scene.server.ctl(&["status"]);
    assert!(
        status["problems"].to_string().contains("ctl clock accept"),
        "{status}"
    );
    scene.check(&promises, "a jump to 2200 that is not believed");
    assert_time(&scene, "held");

    // The operator says that it is right. Who renewed meanwhile keeps what he has.
    assert_eq!(scene.server.ctl(&["clock", "accept"])["accepted"], true);
    assert!(scene.server.process().stop().success());
    scene.server.start(&scene.link.server);
    let clock = scene.clock();
    assert_eq!(
        (&clock["source"], &clock["held"]),
        (&"accepted".into(), &false.into())
    );
    assert!(
        clock["offset-seconds"].as_i64().unwrap().abs() <= 2,
        "{clock}"
    );
    let leases = scene.server.leases();
    assert!(leases.held_twice().is_empty());
    let live = leases.live().count();
    assert!(live >= 500, "{live} of those that renewed are still there");
    let from = scene.link.file("v4.jsonl");
    let from = [
        "--clients",
        "400",
        "--leases-in",
        from.to_str().unwrap(),
        "--exchanges",
        "300",
    ];
    let report = scene.clients("v4", 1, "renew=1", &from);
    report.assert_clean();
    assert_eq!(report.count("failed"), 0, "{report:?}");
    assert!(scene.server.process().stop().success());
}
