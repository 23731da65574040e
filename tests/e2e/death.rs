//! If the server dies, in whatever way, nothing of it stays: its XDP program is gone at once, packets reach
//! the kernel again, and it can be started again without anybody cleaning up.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use dhcp_tests::lab::client::{Client, Program};
use dhcp_tests::lab::process::{PATIENCE, eventually};
use dhcp_tests::lab::server::Server;
use dhcp_tests::lab::{CLIENT_INTERFACE, Link, SERVER_INTERFACE};
use std::net::UdpSocket;
use std::time::Duration;

const CONFIG: &str = r#"
interfaces = ["srv0"]
[[subnet4]]
subnet = "10.9.0.0/16"
pools = ["10.9.1.0-10.9.1.255"]
"#;

fn has_program(link: &Link) -> bool {
    let shown = link
        .server
        .sh(&format!("ip -details link show dev {SERVER_INTERFACE}"));
    shown.contains("prog/xdp")
}

/// Whether an ordinary socket on the DHCP server port sees what a client sends there.
fn kernel_gets_dhcp(link: &Link) -> bool {
    let socket = link
        .server
        .within(|| UdpSocket::bind("10.9.0.1:67").unwrap());
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let client = link
        .clients
        .within(|| UdpSocket::bind("10.9.0.2:68").unwrap());
    client.send_to(&[0; 300], "10.9.0.1:67").unwrap();
    socket.recv(&mut [0; 512]).is_ok()
}

#[test]
fn kill_9_leaves_nothing_behind() {
    let link = Link::new(2);
    link.clients.add_address(CLIENT_INTERFACE, "10.9.0.2/16");
    let mut server = Server::configured(&link.file("server"), CONFIG);
    assert!(kernel_gets_dhcp(&link), "before the server starts");
    for _ in 0..3 {
        server.start(&link.server);
        assert!(has_program(&link), "no XDP program is attached");
        assert!(
            !kernel_gets_dhcp(&link),
            "the server's packets reach the kernel"
        );
        server.process().kill();
        // The kernel detaches when the last descriptor closes, which it does in the background.
        eventually(Duration::from_secs(2), "the end of the XDP program", || {
            (!has_program(&link)).then_some(())
        });
        assert!(
            kernel_gets_dhcp(&link),
            "packets do not reach the kernel again"
        );
    }
    server.start(&link.server);
    let mut client = Client::new(
        Program::Udhcpc,
        &link.clients,
        CLIENT_INTERFACE,
        link.folder(),
    );
    let lease = client.obtain();
    assert!(lease.starts_with("10.9.1."), "{lease}");
}

#[test]
fn an_orderly_stop_leaves_nothing_behind() {
    let link = Link::new(2);
    let mut server = Server::configured(&link.file("server"), CONFIG);
    for signal in ["TERM", "INT"] {
        server.start(&link.server);
        server.process().signal(signal);
        let status = server.process().wait(PATIENCE);
        assert!(
            status.success(),
            "after SIG{signal}: {status}\n{}",
            server.process().log()
        );
        assert!(
            !has_program(&link),
            "the XDP program is still attached after SIG{signal}"
        );
    }
}
