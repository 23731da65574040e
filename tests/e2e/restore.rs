//! The state directory is copied file by file while clients come and go, and the copy is put in its place later:
//! it opens, says what it is, and no address gets a second holder.
#![allow(clippy::indexing_slicing, reason = "a test that fails panics")]

use dhcp_tests::lab::Link;
use dhcp_tests::lab::blaster::{Blaster, Report, assert_kept, ledger};
use dhcp_tests::lab::process::{PATIENCE, eventually, run};
use dhcp_tests::lab::server::Server;
use std::process::Command;

const CONFIG: &str = r#"
interfaces = ["srv0"]

[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.16.0-10.9.47.255"]
valid-lifetime = 3600
"#;

fn clients(link: &Link, seed: &str, mix: &str, more: &[&str]) -> Report {
    let fixed = [
        "--family",
        "v4",
        "--seed",
        seed,
        "--mix",
        mix,
        "--timeout",
        "1000",
    ];
    Blaster::run(&link.clients, link.folder(), &[&fixed, more].concat())
}

#[test]
fn a_copy_made_under_load_gives_nothing_away_that_was_granted_since() {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    server.start(&link.server);
    let (state, copy, to) = (server.state(), link.file("copy"), link.file("before.jsonl"));
    let to = to.to_str().unwrap();
    let fixed = [
        "--family",
        "v4",
        "--seed",
        "1",
        "--clients",
        "4000",
        "--leases-out",
        to,
    ];
    // So slow that no address of the pool comes to a second client after the copy: the copy would have to
    // refuse that one what it knows as another's.
    let mix = "obtain=4,renew=2,release=1";
    let load = ["--mix", mix, "--seconds", "4", "--rate", "1500"];
    let load = Blaster::start(&link.clients, link.folder(), &[&fixed[..], &load].concat());
    eventually(PATIENCE, "load", || {
        (server.leases().live().count() > 300).then_some(())
    });
    run(Command::new("cp").arg("-a").arg(&state).arg(&copy));
    load.report().assert_clean();
    let promises = ledger(&link.file("before.jsonl"));
    server.process().kill();

    // The disk is lost, and the copy is put in its place.
    std::fs::remove_dir_all(&state).unwrap();
    run(Command::new("cp").arg("-a").arg(&copy).arg(&state));
    server.start(&link.server);
    let status = server.ctl(&["status"]);
    assert!(
        status["problems"]
            .to_string()
            .contains("ctl restore accept"),
        "{status}"
    );
    let known = server.leases();
    assert!(known.held_twice().is_empty());
    let unknown = promises
        .iter()
        .filter(|it| known.holder(&it.lease).is_none());
    let unknown = unknown.count();
    assert!(
        unknown > 20,
        "{unknown} of {} leases are not in the copy",
        promises.len()
    );

    // Newcomers get nothing, not even after another restart.
    for seed in ["7", "8"] {
        let report = clients(
            &link,
            seed,
            "obtain=1",
            &["--clients", "50", "--exchanges", "50", "--retries", "0"],
        );
        assert_eq!(report.count("completed"), 0, "{report:?}");
        assert!(server.process().stop().success());
        server.start(&link.server);
        let clock = server.ctl(&["clock"]);
        assert!(clock["withheld-until"].is_u64(), "{clock}");
    }
    // Who says what he has keeps it, whether or not the copy knows of it.
    let after = link.file("after.jsonl");
    let (from, to) = (link.file("before.jsonl"), after.to_str().unwrap());
    let count = (2 * promises.len()).to_string();
    let held = [
        "--clients",
        "4000",
        "--leases-in",
        from.to_str().unwrap(),
        "--leases-out",
        to,
    ];
    let report = clients(
        &link,
        "1",
        "rebind=1",
        &[&held[..], &["--exchanges", &count]].concat(),
    );
    report.assert_clean();
    // While all who hold something are under way, one who holds nothing may have its turn, and gets nothing.
    assert_eq!(report.of("rebind", "failed"), 0, "{report:?}");
    let kept = report.of("rebind", "completed");
    assert!(kept >= promises.len() as u64, "{report:?}");
    assert_kept(&ledger(&after), &server.leases());

    // The operator knows that all is well now.
    let clock = server.ctl(&["restore", "accept"]);
    assert!(clock["withheld-until"].is_null(), "{clock}");
    let report = clients(
        &link,
        "9",
        "obtain=1",
        &["--clients", "50", "--exchanges", "50"],
    );
    report.assert_clean();
    assert!(report.count("completed") > 0, "{report:?}");
    assert!(server.leases().held_twice().is_empty());
    assert!(server.process().stop().success());

    // A directory that is only moved is no copy; one that is copied is adopted if the operator says so.
    let moved = link.file("moved");
    std::fs::rename(&state, &moved).unwrap();
    std::fs::rename(&moved, &state).unwrap();
    server.start(&link.server);
    assert!(server.ctl(&["clock"])["withheld-until"].is_null());
    assert!(server.process().stop().success());
    run(Command::new("cp").arg("-a").arg(&state).arg(&moved));
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::rename(&moved, &state).unwrap();
    let told = server.adopt();
    assert!(told.contains("count as the newest"), "{told}");
    server.start(&link.server);
    assert!(server.ctl(&["clock"])["withheld-until"].is_null());
    assert!(server.process().stop().success());
}
