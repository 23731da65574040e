//! Do program, rings and daemon work on a real kernel, with real clients?
//!
//! Network namespaces ([`namespace`]) with programs in them ([`process`]): the server ([`server`]), DHCP
//! clients and relay agents ([`client`]), the blaster ([`blaster`]), and tcpdump ([`capture`]). Nothing
//! of the machine outside is changed, and nothing stays behind.

pub mod blaster;
pub mod capture;
pub mod client;
pub mod leasequery;
pub mod namespace;
pub mod process;
pub mod server;

use namespace::{Folder, Namespace, join};
use std::path::{Path, PathBuf};

/// The server's interface on every link of the laboratory.
pub const SERVER_INTERFACE: &str = "srv0";
/// What is at the other end of it.
pub const CLIENT_INTERFACE: &str = "cli0";

/// A server's namespace and a clients' namespace, joined by a veth pair; the server has 10.9.0.1/16 and
/// fd09::1/64.
#[derive(Debug)]
pub struct Link {
    /// Where the server runs.
    pub server: Namespace,
    /// Where clients run.
    pub clients: Namespace,
    /// Last: it goes after everything that writes to it.
    folder: Folder,
}

impl Link {
    /// A new one, whose interfaces have so many queues.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(queues: u32) -> Self {
        let folder = Folder::new();
        let server = Namespace::new("server");
        let clients = Namespace::new("clients");
        join(
            (&server, SERVER_INTERFACE),
            (&clients, CLIENT_INTERFACE),
            queues,
        );
        server.add_address(SERVER_INTERFACE, "10.9.0.1/16");
        server.add_address(SERVER_INTERFACE, "fd09::1/64");
        Self {
            folder,
            server,
            clients,
        }
    }

    /// A folder for this test's files, gone after it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The server's Ethernet address.
    pub fn server_mac(&self) -> String {
        self.server.mac(SERVER_INTERFACE)
    }
}
