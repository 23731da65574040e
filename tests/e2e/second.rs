//! What goes wrong at the start, or on reload, is said in a sentence of its own: what failed, where, what to do.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use dhcp_tests::lab::capture::Capture;
use dhcp_tests::lab::client::{Client, Program};
use dhcp_tests::lab::process::{run, try_run};
use dhcp_tests::lab::server::{Server, binary};
use dhcp_tests::lab::{CLIENT_INTERFACE, Link, SERVER_INTERFACE};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const CONFIG: &str = r#"
interfaces = ["srv0"]
[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.1.0-10.9.1.255"]
"#;

/// Runs a command that must fail at once: its exit code and what it said.
fn failure(command: &mut Command) -> (Option<i32>, String) {
    let start = Instant::now();
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "the refusal took {:?}: {said}",
        start.elapsed()
    );
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code(), said)
}

fn assert_says(said: &str, words: &[&str]) {
    let lower = said.to_lowercase();
    for word in words {
        assert!(
            lower.contains(&word.to_lowercase()),
            "`{word}` is not in: {said}"
        );
    }
}

/// A directory under another name, until it is dropped.
struct Bound<'a>(&'a Path);

impl<'a> Bound<'a> {
    fn new(directory: &Path, name: &'a Path) -> Self {
        run(Command::new("mount").arg("--bind").args([directory, name]));
        Self(name)
    }
}

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        let ended = Command::new("umount").arg(self.0).status();
        assert!(ended.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[test]
fn a_second_server_on_the_same_state_directory_is_refused() {
    let link = Link::new(1);
    let mut first = Server::configured(&link.file("server"), CONFIG);
    first.start(&link.server);
    let pid = first.process().pid().to_string();
    // The same files, in another namespace: nothing else is shared.
    let other = Link::new(1);
    let state = link.file("server").join("state");
    let second = Server::configured(&other.file("server"), CONFIG);
    let start = Instant::now();
    let (code, said) = failure(second.command(&other.server).arg("--state-dir").arg(&state));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_says(&said, &[&state.to_string_lossy(), &pid]);
    assert!(first.try_ctl(&["status"]).0, "the first server goes on");
}

#[test]
fn a_second_server_on_the_same_files_under_other_names_is_refused() {
    let link = Link::new(1);
    let mut first = Server::configured(&link.file("server"), CONFIG);
    first.start(&link.server);
    let pid = first.process().pid().to_string();
    let state = link.file("server").join("state");
    let other = Link::new(1);
    let second = Server::configured(&other.file("server"), CONFIG);

    let bound = other.file("bound");
    let linked = other.file("linked");
    std::fs::create_dir(&bound).unwrap();
    std::fs::create_dir(&linked).unwrap();
    let mounted = Bound::new(&state, &bound);
    for entry in std::fs::read_dir(&state).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            continue; // the history, which has no hard links
        }
        std::fs::hard_link(entry.path(), linked.join(entry.file_name())).unwrap();
    }
    std::fs::remove_file(linked.join("lock")).unwrap();
    let refusals = [&bound, &linked].map(|state| {
        let mut command = second.command(&other.server);
        let start = Instant::now();
        let refusal = failure(command.arg("--state-dir").arg(state));
        (refusal, start.elapsed())
    });
    drop(mounted);
    for ((code, said), took) in refusals {
        assert_eq!(code, Some(1), "{said}");
        assert_says(&said, &["another server", &pid]);
        println!("refused after {took:?}, the start of the process included");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    assert!(first.try_ctl(&["status"]).0, "the first server goes on");

    // A server that was killed holds nobody up.
    first.process().kill();
    first.start(&link.server);
}

#[test]
fn an_interface_that_does_not_exist() {
    let link = Link::new(1);
    let server = Server::configured(&link.file("server"), &CONFIG.replace("srv0", "nosuch0"));
    let (code, said) = failure(&mut server.command(&link.server));
    assert_eq!(code, Some(1), "{said}");
    assert_says(&said, &["nosuch0", "interface"]);
}

#[test]
fn missing_capabilities() {
    let link = Link::new(1);
    let server = Server::configured(&link.file("server"), CONFIG);
    let mut command = link.server.command("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", "--"]);
    command
        .arg(binary("XDHCPD_BIN", "xdhcpd"))
        .args(["run", "--config"])
        .arg(server.config());
    let (code, said) = failure(&mut command);
    assert_eq!(code, Some(1), "{said}");
    assert_says(&said, &["CAP_"]);
}

#[test]
fn a_queue_that_somebody_else_serves() {
    let link = Link::new(1);
    let mut first = Server::configured(&link.file("server"), CONFIG);
    first.start(&link.server);
    let second = Server::configured(&link.file("second"), CONFIG);
    let (code, said) = failure(&mut second.command(&link.server));
    assert_eq!(code, Some(1), "{said}");
    assert_says(&said, &[SERVER_INTERFACE]);
    assert!(first.try_ctl(&["status"]).0, "the first server goes on");
}

#[test]
fn a_bad_configuration_has_all_its_errors_with_their_places() {
    let link = Link::new(1);
    let config = CONFIG.replace("10.9.1.255", "10.9.1.300") + "no-such-key = 1\n";
    let server = Server::configured(&link.file("server"), &config);
    let (code, said) = failure(&mut server.command(&link.server));
    assert_eq!(code, Some(1), "{said}");
    assert_says(
        &said,
        &[
            "xdhcpd.toml:7:",
            "xdhcpd.toml:8:",
            "10.9.1.300",
            "no-such-key",
        ],
    );
    let mut check = Command::new(binary("XDHCPD_BIN", "xdhcpd"));
    let (code, said) = failure(check.args(["check", "--config"]).arg(server.config()));
    assert_eq!(code, Some(1), "{said}");
    assert_says(&said, &["xdhcpd.toml:7:", "xdhcpd.toml:8:"]);
}

#[test]
fn wrong_usage_exits_with_2() {
    let program = binary("XDHCPD_BIN", "xdhcpd");
    for arguments in [
        &["run", "--no-such-option"][..],
        &["dance"],
        &["leases", "list", "--format", "x"],
    ] {
        let (code, said) = failure(Command::new(&program).args(arguments));
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
    }
    let (done, said) = try_run(Command::new(&program).args(["run", "--help"]));
    assert!(done && said.contains("--config"), "{said}");
}

#[test]
fn a_reload_with_a_bad_configuration_changes_nothing() {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    let mut client = Client::new(
        Program::Udhcpc,
        &link.clients,
        CLIENT_INTERFACE,
        link.folder(),
    );
    let lease = client.obtain();
    server.write_config(&CONFIG.replace("10.9.1.255", "nonsense"));
    let (done, said) = server.try_ctl(&["reload"]);
    assert!(!done, "{said}");
    assert_says(&said, &["xdhcpd.toml:7:", "nonsense"]);
    assert_eq!(
        client.renew(),
        lease,
        "the old configuration stays in force"
    );

    // And one with a good configuration does change something, without losing the lease.
    let shorter = CONFIG.to_owned() + "valid-lifetime = 1234\n";
    server.write_config(&shorter);
    let (done, said) = server.try_ctl(&["reload"]);
    assert!(done, "{said}");
    let capture = Capture::start(&link.clients, CLIENT_INTERFACE, link.folder());
    assert_eq!(client.renew(), lease);
    capture.wait_for(&["REQUEST", "ACK"], Duration::from_secs(10));
    let seconds = 1234u32.to_be_bytes();
    let told = capture.frames().iter().any(|frame| {
        frame
            .octets
            .windows(6)
            .any(|part| part[..2] == [51, 4] && part[2..] == seconds)
    });
    assert!(told, "the ACK does not carry the new lifetime");
}
