//! Other partitions, another capacity, and starts that are killed while the tables are made anew: every client
//! keeps its lease.
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use dhcp_tests::lab::Link;
use dhcp_tests::lab::blaster::{Blaster, assert_kept, ledger};
use dhcp_tests::lab::process::Process;
use dhcp_tests::lab::server::Server;
use std::time::Duration;

fn config(partitions: u32, capacity: u32) -> String {
    format!(
        r#"
interfaces = ["srv0"]
partitions = {partitions}
lease-capacity = {capacity}

[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.16.0-10.9.143.255"]
valid-lifetime = 3600
"#
    )
}

#[test]
fn starts_that_are_killed_while_the_tables_are_made_anew_lose_no_lease() {
    let link = Link::new(1);
    let mut server = Server::configured(&link.file("server"), &config(4, 200_000));
    server.start(&link.server);
    let file = link.file("leases.jsonl");
    let path = file.to_str().unwrap();
    let obtain = [
        "--mix",
        "obtain=1",
        "--exchanges",
        "5000",
        "--leases-out",
        path,
    ];
    let fixed = [
        "--family",
        "v4",
        "--seed",
        "1",
        "--clients",
        "5000",
        "--timeout",
        "1000",
    ];
    let run =
        |more: &[&str]| Blaster::run(&link.clients, link.folder(), &[&fixed[..], more].concat());
    run(&obtain).assert_clean();
    let promises = ledger(&file);
    assert!(promises.len() > 4000, "{}", promises.len());
    assert!(server.process().stop().success());

    let wanted = [(64, 200_000), (16, 20_000), (1, 20_000), (8, 200_000)];
    for (round, (partitions, capacity)) in (1u64..).zip(wanted) {
        server.write_config(&config(partitions, capacity));
        for kill in 0..6 {
            let mut start = server.command(&link.server);
            let mut process = Process::start(&mut start, link.folder(), "killed");
            // From before it begins until after it has ended.
            std::thread::sleep(Duration::from_millis(60 + kill * 90 + round * 7));
            process.kill();
            assert_kept(&promises, &server.leases());
        }
        server.start(&link.server);
        let status = server.ctl(&["status"]);
        let found = status.get("partitions").and_then(|it| it.as_u64());
        assert_eq!(found, Some(u64::from(partitions)), "{status}");
        assert_kept(&promises, &server.leases());
        let renew = [
            "--mix",
            "renew=1",
            "--exchanges",
            "3000",
            "--leases-in",
            path,
        ];
        let report = run(&renew);
        report.assert_clean();
        assert_eq!(report.count("failed"), 0, "{report:?}");
        assert!(server.process().stop().success());
    }
    let made_anew = std::fs::read_dir(server.state()).unwrap().flatten();
    let journals = made_anew.filter(|it| it.file_name().to_string_lossy().starts_with("journal"));
    assert_eq!(journals.count(), 1, "the former files are gone");
}
