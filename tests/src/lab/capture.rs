//! What was on the wire: tcpdump records it, tshark says what it was.

use super::namespace::Namespace;
use super::process::{Process, eventually, run};
use crate::pcap::{self, Captured};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A recording of DHCP and nothing else, on one interface.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Process,
    file: PathBuf,
}

const FILTER: &str = "udp and (port 67 or port 68 or port 546 or port 547)";

/// The words of [`Capture::story`], by message type.
const V4: [&str; 9] = [
    "", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM",
];
const V6: [&str; 12] = [
    "",
    "SOLICIT",
    "ADVERTISE",
    "REQUEST",
    "CONFIRM",
    "RENEW",
    "REBIND",
    "REPLY",
    "RELEASE",
    "DECLINE",
    "RECONFIGURE",
    "INFORMATION-REQUEST",
];

impl Capture {
    /// Begins to record; returns once it does.
    ///
    /// # Panics
    /// When tcpdump cannot record.
    pub fn start(namespace: &Namespace, interface: &str, folder: &Path) -> Self {
        let file = folder.join(format!("{interface}.pcap"));
        let mut tcpdump = Process::start(
            namespace
                .command("tcpdump")
                .args([
                    "-i",
                    interface,
                    "-U",
                    "--immediate-mode",
                    "-Z",
                    "root",
                    "-s",
                    "0",
                    "-w",
                ])
                .arg(&file)
                .arg(FILTER),
            folder,
            &format!("tcpdump-{interface}"),
        );
        eventually(Duration::from_secs(10), "tcpdump", || {
            assert!(!tcpdump.has_ended(), "{}", tcpdump.log());
            tcpdump.log().contains("listening on").then_some(())
        });
        Self { tcpdump, file }
    }

    /// Waits until the messages were seen, in this order, with any others in between.
    ///
    /// # Panics
    /// When they were not within `deadline`; says what was seen instead.
    pub fn wait_for(&self, messages: &[&str], deadline: Duration) {
        let what = format!("{messages:?}");
        let start = std::time::Instant::now();
        eventually(deadline + Duration::from_secs(1), &what, || {
            let story = self.story();
            let told = tells(&story, messages);
            assert!(
                told || start.elapsed() < deadline,
                "{what} expected, seen: {story:?}"
            );
            told.then_some(())
        });
    }

    /// All DHCP messages so far, the innermost one of relayed ones.
    pub fn story(&self) -> Vec<&'static str> {
        self.frames().iter().filter_map(message).collect()
    }

    /// All frames so far.
    pub fn frames(&self) -> Vec<Captured> {
        let size = std::fs::metadata(&self.file).map_or(0, |metadata| metadata.len());
        if size < 24 {
            Vec::new()
        } else {
            pcap::read_growing(&self.file)
        }
    }

    /// Ends the recording and has tshark judge every frame that a server with this Ethernet address
    /// sent: none is malformed, none has a wrong checksum.
    ///
    /// # Panics
    /// When there is such a frame, or none at all from the server.
    pub fn check(mut self, server_mac: &str) {
        self.tcpdump.signal("INT");
        self.tcpdump.wait(Duration::from_secs(10));
        let from_server = format!("eth.src == {server_mac}");
        let all = tshark(&self.file, &from_server);
        assert!(
            !all.trim().is_empty(),
            "tshark saw no frame of {server_mac}"
        );
        let bad = tshark(&self.file, &format!("{from_server} && ({BAD})"));
        assert!(
            bad.trim().is_empty(),
            "tshark finds fault with frames of the server:\n{bad}"
        );
    }
}

const BAD: &str = "_ws.malformed || ip.checksum.status == Bad || udp.checksum.status == Bad \
                   || _ws.expert.severity >= 8388608";

fn tshark(file: &Path, filter: &str) -> String {
    run(Command::new("tshark")
        .args([
            "-o",
            "ip.check_checksum:TRUE",
            "-o",
            "udp.check_checksum:TRUE",
            "-n",
            "-r",
        ])
        .arg(file)
        .args(["-Y", filter]))
}

/// Whether `messages` come in `story` in this order, with any others in between.
pub fn tells(story: &[&str], messages: &[&str]) -> bool {
    let mut rest = story.iter();
    messages
        .iter()
        .all(|wanted| rest.any(|message| message == wanted))
}

/// The name of the message in a frame, of the innermost one if it was relayed.
pub fn message(frame: &Captured) -> Option<&'static str> {
    let payload = frame.octets.get(frame.udp_payload()?)?;
    match frame.destination_port()? {
        67 | 68 => {
            let mut options = payload.get(240..)?;
            loop {
                match options {
                    [0, rest @ ..] => options = rest,
                    [53, 1, kind, ..] => return V4.get(usize::from(*kind)).copied(),
                    [_, length, rest @ ..] => options = rest.get(usize::from(*length)..)?,
                    _ => return None,
                }
            }
        }
        546 | 547 => V6.get(usize::from(*innermost(payload)?.first()?)).copied(),
        _ => None,
    }
}

/// The client's or server's message inside all Relay-forwards or Relay-replies.
pub fn innermost(mut message: &[u8]) -> Option<&[u8]> {
    while let [12 | 13, ..] = message {
        let mut options = message.get(34..)?;
        message = loop {
            let [a, b, c, d, rest @ ..] = options else {
                return None;
            };
            let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*c, *d])))?;
            if [*a, *b] == [0, 9] {
                break data;
            }
            options = rest;
        };
    }
    Some(message)
}
