//! Real DHCP clients and relay agents, each with files of its own.

use super::namespace::Namespace;
use super::process::{Process, Script, eventually, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a client may take for anything: its own back-off included.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A client program in one of its ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// ISC `dhclient -4`.
    Dhclient4,
    /// ISC `dhclient -6`: an address.
    Dhclient6,
    /// ISC `dhclient -6 -P`: a prefix.
    DhclientPrefix,
    /// busybox `udhcpc`.
    Udhcpc,
    /// `dhcpcd -4`.
    Dhcpcd4,
    /// `dhcpcd -6`: an address.
    Dhcpcd6,
    /// `dhcpcd -6`: a prefix.
    DhcpcdPrefix,
    /// `systemd-networkd`, DHCPv4.
    Networkd4,
}

/// A client on an interface of a namespace.
#[derive(Debug)]
pub struct Client<'a> {
    program: Program,
    namespace: &'a Namespace,
    interface: String,
    folder: PathBuf,
    process: Option<Process>,
    events_seen: usize,
    /// Whether it looks for other holders of an address before it takes it.
    careful: bool,
}

/// What a client's script was told: a word for the event, and the lease if there is one.
///
/// All clients but systemd-networkd call a script with what happened; they differ in how they say it.
const HOOK: &str = r#"
case "$1" in
bound|renew) ip address replace "$ip/$mask" dev "$interface"; reason=$1;;
deconfig|leasefail|nak) reason=$1;;
esac
case "$reason" in
PREINIT|PREINIT6) ip link set "$interface" up;;
esac
if test -n "$careful" -a "$reason" = BOUND; then
  arping -q -D -c 2 -w 2 -I "$interface" "$new_ip_address" || exit 1
fi
if test -n "$dhclient"; then
  case "$reason" in
  BOUND|RENEW|REBIND|REBOOT)
    ip address replace "$new_ip_address/$new_subnet_mask" dev "$interface";;
  BOUND6|RENEW6|REBIND6)
    if test -n "$new_ip6_address"; then
      ip -6 address replace "$new_ip6_address/128" dev "$interface" nodad
    fi;;
  RELEASE|EXPIRE|FAIL) ip -4 address flush dev "$interface";;
  RELEASE6|EXPIRE6) ip -6 address flush dev "$interface" scope global;;
  esac
fi
if test -n "$new_dhcp6_ia_pd1_prefix1"; then
  prefix="$new_dhcp6_ia_pd1_prefix1/$new_dhcp6_ia_pd1_prefix1_length"
fi
echo "$reason" $new_ip_address $new_ip6_address $new_ip6_prefix $new_dhcp6_ia_na1_ia_addr1 $prefix $ip \
  >> EVENTS
"#;

/// Runs systemd-networkd where no systemd runs: with a configuration of its own, and a read-only /sys, by which
/// it knows that there is no udev to wait for.
const NETWORKD: &str = r#"
mkdir -p /run/systemd/network /run/systemd/netif/leases /run/systemd/netif/links
chown -R systemd-network: /run/systemd/netif
cp "$1" /run/systemd/network/10-client.network
if test -d /etc/systemd/network; then mount -t tmpfs none /etc/systemd/network; fi
mount -o remount,ro /sys
SYSTEMD_LOG_LEVEL=debug exec /lib/systemd/systemd-networkd
"#;

impl<'a> Client<'a> {
    /// A client that looks for other holders of an address before it takes it, and declines it then.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn careful(
        program: Program,
        namespace: &'a Namespace,
        interface: &str,
        folder: &Path,
    ) -> Self {
        Self::made(program, namespace, interface, folder, true)
    }

    /// A client whose files lie in `folder`. It does nothing yet.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn new(program: Program, namespace: &'a Namespace, interface: &str, folder: &Path) -> Self {
        Self::made(program, namespace, interface, folder, false)
    }

    fn made(
        program: Program,
        namespace: &'a Namespace,
        interface: &str,
        folder: &Path,
        careful: bool,
    ) -> Self {
        let folder = folder.join(format!("{program:?}-{interface}"));
        std::fs::create_dir_all(&folder).unwrap();
        let events = folder.join("events");
        std::fs::write(&events, "").unwrap();
        std::fs::write(folder.join("leases"), "").unwrap();
        let configuration = program.configuration(interface, careful);
        std::fs::write(folder.join("client.conf"), configuration).unwrap();
        let dhclient = match (program.is_dhclient(), careful) {
            (true, true) => "dhclient=1 careful=1",
            (true, false) => "dhclient=1",
            (false, _) => "",
        };
        let hook = HOOK.replace("EVENTS", &events.to_string_lossy());
        Script::new(&folder, "hook.sh", &format!("{dhclient}\n{hook}"));
        Self {
            program,
            namespace,
            interface: interface.to_owned(),
            folder,
            process: None,
            events_seen: 0,
            careful,
        }
    }

    /// Starts it, and gives the lease that it gets.
    ///
    /// # Panics
    /// When it gets none within [`PATIENCE`].
    pub fn obtain(&mut self) -> String {
        self.obtain_within(PATIENCE)
    }

    /// The same, for a client that has reasons to wait.
    ///
    /// # Panics
    /// When it gets none within `deadline`.
    pub fn obtain_within(&mut self, deadline: Duration) -> String {
        let mut command = match self.program {
            Program::Udhcpc => {
                let mut command = self.namespace.jailed(&self.folder, "udhcpc");
                command.args(["-f", "-t", "20", "-T", "1", "-i", &self.interface, "-s"]);
                command.arg(self.file("hook.sh"));
                if self.careful {
                    command.arg("-a");
                }
                command
            }
            Program::Networkd4 => self.networkd(),
            program if program.is_dhclient() => self.dhclient(&["-d"]),
            _ => self.dhcpcd(&["-B", "-d"]),
        };
        self.process = Some(Process::start(&mut command, &self.folder, "client"));
        self.wait_for_event_within(&["BOUND", "BOUND6", "REBOOT", "bound"], deadline)
    }

    /// Waits for its next renewal, which it may be asked for, and gives the lease.
    ///
    /// # Panics
    /// When there is none within [`PATIENCE`].
    pub fn renew(&mut self) -> String {
        if let (Program::Udhcpc, Some(process)) = (self.program, &self.process) {
            process.signal("USR1");
        }
        self.wait_for_event(&["RENEW", "RENEW6", "renew"])
    }

    /// Has dhcpcd ask for parameters only, for a host that has this address (`10.9.0.200/16`), and waits for
    /// them.
    ///
    /// # Panics
    /// When it gets none within [`PATIENCE`].
    pub fn inform(&mut self, address: &str) -> String {
        let mut command = self.dhcpcd(&["-B", "-d", &format!("--inform={address}")]);
        self.process = Some(Process::start(&mut command, &self.folder, "client"));
        self.wait_for_event(&["INFORM"])
    }

    /// Has it give its lease back, and ends it.
    ///
    /// # Panics
    /// When it refuses.
    pub fn release(&mut self) {
        let mut process = self.process.take().expect("the client was started");
        match self.program {
            Program::Udhcpc => {
                process.signal("USR2");
                eventually(PATIENCE, "udhcpc's release", || {
                    process
                        .log()
                        .contains("entering released state")
                        .then_some(())
                });
                process.stop();
                self.namespace
                    .sh(&format!("ip -4 address flush dev {}", self.interface));
            }
            Program::Networkd4 => {
                process.stop();
            }
            program if program.is_dhclient() => {
                let is_said = self.dhclient_releases();
                process.wait(PATIENCE);
                drop(process);
                if !is_said {
                    // Now and then dhclient, interrupted in the middle of a renewal, forgets its lease.
                    self.events_seen = self.events().len();
                    self.obtain();
                    let mut process = self.process.take().expect("it was started");
                    assert!(self.dhclient_releases(), "dhclient sends no RELEASE");
                    process.wait(PATIENCE);
                }
            }
            _ => {
                run(&mut self.dhcpcd(&["-k"]));
                process.wait(PATIENCE);
            }
        }
        self.events_seen = self.events().len();
    }

    /// Has `dhclient -r` end the running one and give back its lease: whether it sent anything. It stays in
    /// the foreground, so that its log tells why it did not.
    fn dhclient_releases(&self) -> bool {
        let mut command = self.dhclient(&["-r", "-d", "-v"]);
        let log = || std::fs::read_to_string(self.file("client-release.log")).unwrap_or_default();
        let before = log().len();
        Process::start(&mut command, &self.folder, "client-release").wait(PATIENCE);
        let log = log().split_off(before);
        let is_said = log.contains("XMT: Release") || log.contains("DHCPRELEASE");
        if !is_said {
            println!("dhclient -r sent nothing:\n{log}");
        }
        is_said
    }

    /// Ends it without a word to the server.
    pub fn vanish(&mut self) {
        self.process = None;
        self.events_seen = self.events().len();
    }

    fn dhclient(&self, arguments: &[&str]) -> Command {
        let mut command = self.namespace.jailed(&self.folder, "dhclient");
        match self.program {
            Program::Dhclient6 => command.args(["-6", "-D", "LL"]),
            Program::DhclientPrefix => command.args(["-6", "-P", "-D", "LL"]),
            _ => command.arg("-4"),
        };
        command.args(arguments);
        for (option, file) in [
            ("-cf", "client.conf"),
            ("-lf", "leases"),
            ("-pf", "pid"),
            ("-sf", "hook.sh"),
        ] {
            command.arg(option).arg(self.file(file));
        }
        command.arg(&self.interface);
        command
    }

    fn dhcpcd(&self, arguments: &[&str]) -> Command {
        let mut command = self.namespace.jailed(&self.folder, "dhcpcd");
        command
            .args(arguments)
            .arg(if self.program == Program::Dhcpcd4 {
                "-4"
            } else {
                "-6"
            });
        command
            .arg("-f")
            .arg(self.file("client.conf"))
            .arg("-c")
            .arg(self.file("hook.sh"));
        command.arg(&self.interface);
        command
    }

    fn networkd(&self) -> Command {
        let script = Script::new(&self.folder, "networkd.sh", NETWORKD);
        let mut command = self.namespace.jailed(&self.folder, "sh");
        command
            .arg("-e")
            .arg(script.path())
            .arg(self.file("client.conf"));
        command
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Lines `EVENT [LEASE]`.
    fn events(&self) -> Vec<String> {
        if self.program == Program::Networkd4 {
            let log = std::fs::read_to_string(self.file("client.log")).unwrap_or_default();
            return networkd_events(&log);
        }
        let text = std::fs::read_to_string(self.file("events")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn wait_for_event(&mut self, wanted: &[&str]) -> String {
        self.wait_for_event_within(wanted, PATIENCE)
    }

    fn wait_for_event_within(&mut self, wanted: &[&str], deadline: Duration) -> String {
        let what = format!("{:?}: {wanted:?}", self.program);
        let seen = self.events_seen;
        let (place, lease) = eventually(deadline, &what, || {
            let events = self.events();
            let mut new = events.iter().enumerate().skip(seen);
            new.find_map(|(place, event)| {
                let mut words = event.split(' ');
                let name = words.next().filter(|name| wanted.contains(name))?;
                let lease = words
                    .next()
                    .unwrap_or_else(|| panic!("{name} without a lease"));
                Some((place, lease.to_owned()))
            })
        });
        self.events_seen = place + 1;
        lease
    }
}

/// What systemd-networkd's log tells, as the others' scripts would: each ACK by the state of the REQUEST before
/// it, with the address that is configured next.
fn networkd_events(log: &str) -> Vec<String> {
    let mut events = Vec::new();
    let (mut state, mut acknowledged) = ("", false);
    for line in log.lines() {
        if let Some((_, after)) = line.split_once("DHCPv4 client: REQUEST (") {
            state = match after.trim_end_matches(')') {
                "renewing" => "RENEW",
                "rebinding" => "REBIND",
                "init-reboot" => "REBOOT",
                _ => "BOUND",
            };
        } else if line.contains("DHCPv4 client: ACK") {
            acknowledged = true;
        } else if let Some((_, after)) = line.split_once("Configuring DHCPv4 address ")
            && std::mem::take(&mut acknowledged)
        {
            let address = after
                .split_once("): ")
                .and_then(|(_, after)| after.split_once('/'));
            events.extend(address.map(|(address, _)| format!("{state} {address}")));
        }
    }
    events
}

impl Program {
    fn is_dhclient(self) -> bool {
        matches!(
            self,
            Self::Dhclient4 | Self::Dhclient6 | Self::DhclientPrefix
        )
    }

    fn configuration(self, interface: &str, careful: bool) -> String {
        let fixed = match self {
            Self::Dhclient4 | Self::Dhclient6 | Self::DhclientPrefix => "initial-interval 1;\n",
            Self::Udhcpc => "",
            Self::Dhcpcd4 if careful => "duid ll\nclientid\noption interface_mtu\n",
            // No ARP probe: it takes five seconds and says nothing of the server.
            Self::Dhcpcd4 => "duid ll\nclientid\nnoarp\noption interface_mtu\n",
            // Without a router on the link it asks for DHCPv6 only when told which IAs it wants.
            Self::Dhcpcd6 => "duid ll\nnoipv6rs\nia_na 1\n",
            Self::DhcpcdPrefix => "duid ll\nnoipv6rs\nia_pd 2 -\n",
            Self::Networkd4 => {
                let decline = if careful { "SendDecline=yes\n" } else { "" };
                return format!(
                    "[Match]\nName={interface}\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n\
                     [DHCPv4]\nClientIdentifier=mac\nSendRelease=yes\n{decline}"
                );
            }
        };
        fixed.to_owned()
    }
}

/// Starts ISC `dhcrelay -4`, which adds option 82 with circuit and remote identifier.
///
/// # Panics
/// When it cannot be started.
pub fn relay_v4(
    namespace: &Namespace,
    down: &str,
    up: &str,
    server: &str,
    folder: &Path,
) -> Process {
    let mut command = namespace.command("dhcrelay");
    command.args([
        "-4", "-d", "-a", "-m", "discard", "-id", down, "-iu", up, server,
    ]);
    start_relay(&mut command, "dhcrelay4", folder)
}

/// Starts ISC `dhcrelay -4` as the second relay agent on the way: it forwards what the first one added.
///
/// # Panics
/// When it cannot be started.
pub fn second_relay_v4(
    namespace: &Namespace,
    down: &str,
    up: &str,
    server: &str,
    folder: &Path,
) -> Process {
    let mut command = namespace.command("dhcrelay");
    command.args(["-4", "-d", "-m", "forward", "-id", down, "-iu", up, server]);
    start_relay(&mut command, "dhcrelay4-second", folder)
}

/// Starts ISC `dhcrelay -6`, which adds an Interface-Id.
///
/// # Panics
/// When it cannot be started.
pub fn relay_v6(namespace: &Namespace, down: &str, up: &str, folder: &Path) -> Process {
    let mut command = namespace.command("dhcrelay");
    command.args(["-6", "-d", "-I", "-l", down, "-u", up]);
    start_relay(&mut command, "dhcrelay6", folder)
}

fn start_relay(command: &mut Command, name: &str, folder: &Path) -> Process {
    let mut process = Process::start(command, folder, name);
    eventually(PATIENCE, name, || {
        assert!(!process.has_ended(), "{}", process.log());
        process.log().contains("Sending on").then_some(())
    });
    process
}
