//! Two hosts on one machine: network namespaces joined by a veth pair.
//!
//! They are gone when [`Pair`] is dropped and when a signal ends the program, with every process inside.

use crate::cleanup::Cleanup;
use crate::steps;
use anyhow::{Context, Result};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{self, Command};

/// What the two ends are called and how wide the wire is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    /// Stands in the names, which start with `xd-` and end with this process's number.
    pub(crate) name: &'static str,
    /// Receive and transmit queues of each end.
    pub(crate) queues: u32,
    /// Octets of the largest IP packet; AF_XDP in native mode wants 3,498 at most, Ethernet has 1,500.
    pub(crate) mtu: u32,
}

impl Wire {
    /// One queue, Ethernet's usual size.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            queues: 1,
            mtu: 1500,
        }
    }
}

/// The server's host and the clients' host.
pub(crate) struct Pair {
    /// Where the server runs.
    pub(crate) server: End,
    /// Where its clients and relay agents run.
    pub(crate) client: End,
    _cleanup: Cleanup,
}

/// One of the two hosts.
pub(crate) struct End {
    /// The name of its namespace.
    pub(crate) namespace: String,
    /// Its only interface but the loopback.
    pub(crate) interface: &'static str,
    /// The interface's address.
    pub(crate) mac: Mac,
    /// In 10.200.0.0/16: room for clients of every test.
    pub(crate) v4: Ipv4Addr,
    /// In fd00:c8::/64.
    pub(crate) v6: Ipv6Addr,
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mac(pub(crate) [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Pair {
    /// Makes both namespaces; all addresses are usable when it returns.
    pub(crate) fn new(wire: Wire) -> Result<Self> {
        let end = |role: &str, interface, last: u8| End {
            namespace: format!("xd-{}-{role}-{}", wire.name, process::id()),
            interface,
            mac: Mac([0x02, 0x78, 0x64, 0, 0, last]),
            v4: Ipv4Addr::new(10, 200, 0, last),
            v6: Ipv6Addr::new(0xfd00, 0xc8, 0, 0, 0, 0, 0, last.into()),
        };
        let (server, client) = (end("s", "server0", 1), end("c", "client0", 2));
        let names = [server.namespace.clone(), client.namespace.clone()];
        // Before the first command: a script that fails half-way leaves something behind as well.
        let cleanup = Cleanup::new(move || names.iter().for_each(|name| remove(name)));
        let script = script(wire, &server, &client);
        let mut shell = steps::privileged("sh");
        steps::output(
            "making network namespaces",
            shell.args(["-e", "-c", &script]),
        )
        .context("is this run as root, or with sudo, on a kernel with veth?")?;
        Ok(Self {
            server,
            client,
            _cleanup: cleanup,
        })
    }
}

impl End {
    /// A command that runs on this host.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = steps::privileged("ip");
        command
            .args(["netns", "exec", &self.namespace])
            .arg(program);
        command
    }

    /// The shell commands that bring this end up.
    fn configure(&self, mtu: u32) -> String {
        let Self {
            namespace,
            interface,
            mac,
            v4,
            v6,
        } = self;
        // Without duplicate address detection an address is usable at once; without the kernel's own
        // router solicitations and multicast reports, only what is tested is on the wire.
        format!(
            "ip netns exec {namespace} sh -e -c '
                 for key in accept_dad dad_transmits router_solicitations accept_ra; do
                     echo 0 >/proc/sys/net/ipv6/conf/default/$key
                     echo 0 >/proc/sys/net/ipv6/conf/{interface}/$key
                 done'
             ip -n {namespace} link set {interface} address {mac} mtu {mtu}
             ip -n {namespace} link set lo up
             ip -n {namespace} link set {interface} up
             ip -n {namespace} address add {v4}/16 dev {interface}
             ip -n {namespace} address add {v6}/64 dev {interface} nodad\n"
        )
    }
}

fn script(wire: Wire, server: &End, client: &End) -> String {
    let Wire { queues, mtu, .. } = wire;
    let queues = format!("numrxqueues {queues} numtxqueues {queues}");
    let End {
        namespace: at_server,
        interface: to_client,
        ..
    } = server;
    let End {
        namespace: at_client,
        interface: to_server,
        ..
    } = client;
    format!(
        "ip netns add {at_server}
         ip netns add {at_client}
         ip link add {to_client} {queues} netns {at_server} type veth \
             peer name {to_server} {queues} netns {at_client}\n"
    ) + &server.configure(mtu)
        + &client.configure(mtu)
}

/// Ends what runs in a namespace and removes it, and with it its interfaces.
fn remove(namespace: &str) {
    let script = "ip netns list | grep -qw -- \"$1\" || exit 0
                  ip netns pids \"$1\" | xargs -r kill -9
                  ip netns delete \"$1\"";
    let mut shell = steps::privileged("sh");
    if let Err(error) = steps::output(
        "removing a namespace",
        shell.args(["-c", script, "sh", namespace]),
    ) {
        eprintln!("warning: {error:#}; remove it with: ip netns delete {namespace}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_differ_in_every_name_and_address() {
        // Only the script is looked at: making namespaces needs root.
        let end = |namespace: &str, interface, last: u8| End {
            namespace: namespace.to_owned(),
            interface,
            mac: Mac([2, 0, 0, 0, 0, last]),
            v4: Ipv4Addr::new(10, 200, 0, last),
            v6: Ipv6Addr::LOCALHOST,
        };
        let wire = Wire {
            queues: 4,
            ..Wire::new("x")
        };
        let text = script(wire, &end("xd-a", "server0", 1), &end("xd-b", "client0", 2));
        assert!(text.contains("link add server0 numrxqueues 4 numtxqueues 4 netns xd-a type veth"));
        assert!(text.contains("peer name client0 numrxqueues 4 numtxqueues 4 netns xd-b"));
        assert!(text.contains("02:00:00:00:00:01") && text.contains("02:00:00:00:00:02"));
    }
}
