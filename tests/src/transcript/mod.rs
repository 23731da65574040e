//! Does the server answer as the RFC says? Files of packets and expected answers, run on the engine.
//!
//! A transcript is a file of lines. `#` begins a comment, a line that begins with white space continues
//! the one before. The lines, in the order in which they happen:
//!
//! ```text
//! config subnet 10.3.0.0/22 pool 10.3.0.10-10.3.3.250 lifetime 3600   what the operator wrote
//! config toml [[subnet4]]                                             a line of a file as operators write it
//! >  DISCOVER  chaddr 1  parameters 1,3                               a client or relay agent sends
//! <  OFFER  to 10.3.0.10:68  yiaddr 10.3.0.10                         the server answers
//! <  nothing  no_subnet                                               it does not, for this reason
//! leases 10.3.0.10 of 02:00:00:00:00:01                               all there is in the table now
//! leases none
//! written no                                                          the last message changed nothing of it
//! wait 3600                                                           seconds pass
//! squatter 10.3.0.10                                                  somebody uses an address unasked
//! config anew                                                         a reload, to the `config` lines after it
//! ```
//!
//! An expectation names what matters: what it does not name may be as it likes, `no KEY` says that a key is
//! absent, a bare `<` (with `UPDATE=1`) asks for everything. Every answer is held to what all answers have in
//! common besides: checksums, padding, echoed header fields. The words of messages are those of
//! [`v4::GRAMMAR`] and [`v6::GRAMMAR`], those of configuration are in [`scene`]. A client may be called by a
//! number: client 1 has the Ethernet address 02:00:00:00:00:01 and the DUID-LL of that. `us` is the server.

pub mod line;
pub mod scene;
pub mod v4;
pub mod v6;
pub mod words;

use crate::engine::Engine;
use crate::packet::Packet;
use dhcp_core::Discard;
use dhcp_lease::{Binding, State};
use line::Line;
use scene::{Built, Config, Protocol, Scene};
use std::path::{Path, PathBuf};
use words::Complaint;

/// What came of a transcript.
#[derive(Debug, Default)]
pub struct Outcome {
    /// `FILE:LINE: what is wrong`, all of them.
    pub complaints: Vec<Complaint>,
    /// The file with expectations that are true, if any was not.
    pub updated: Option<String>,
}

/// All transcripts of a folder, in order of their names.
///
/// # Panics
/// When the folder cannot be read.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "dhcp")
        })
        .collect();
    files.sort();
    files
}

/// Runs one.
///
/// # Panics
/// When it cannot be read.
pub fn run(path: &Path, protocol: Protocol) -> Outcome {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut run = Run::new(protocol);
    let mut outcome = Outcome::default();
    let mut lines = Vec::new();
    for (number, written) in statements(&text) {
        let step = run
            .step(&written)
            .unwrap_or_else(|complaint| Step::wrong(vec![complaint]));
        let place = |complaint| format!("{}:{number}: {complaint}", path.display());
        outcome
            .complaints
            .extend(step.complaints.into_iter().map(place));
        lines.push(step.instead.unwrap_or(written));
    }
    if let Some(complaint) = run.unread_answer() {
        outcome
            .complaints
            .push(format!("{}: {complaint}", path.display()));
    }
    let updated = lines.join("\n") + "\n";
    outcome.updated = (updated != text).then_some(updated);
    outcome
}

/// What a transcript sends, and the server that it sends it to.
#[derive(Debug)]
pub struct Scenario {
    /// Which DHCP.
    pub protocol: Protocol,
    /// Its name.
    pub name: String,
    config: Vec<String>,
    /// The frames that clients and relay agents send, in order.
    pub frames: Vec<Vec<u8>>,
}

impl Scenario {
    /// Reads a transcript; of one with a reload the configuration before it.
    ///
    /// # Panics
    /// When it is no transcript.
    pub fn read(path: &Path, protocol: Protocol) -> Self {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let statements: Vec<String> = statements(&text)
            .iter()
            .map(|(_, written)| uncommented(written).trim().to_owned())
            .collect();
        let config = statements
            .iter()
            .take_while(|statement| *statement != "config anew")
            .filter_map(|statement| Some(statement.strip_prefix("config ")?.to_owned()))
            .collect();
        let mut scenario = Self::new(&name, protocol, config);
        let mut scene = scenario.build().scene;
        let sent = statements.iter().filter_map(|it| it.strip_prefix('>'));
        for text in sent {
            scene.sequence += 1;
            let packet = packet(text, protocol, &scene)
                .unwrap_or_else(|complaint| panic!("{}: {complaint}", path.display()));
            scenario.frames.push(packet.emit());
        }
        scenario
    }

    /// A server to which nothing is sent yet.
    pub fn new(name: &str, protocol: Protocol, config: Vec<String>) -> Self {
        Self {
            protocol,
            name: name.to_owned(),
            config,
            frames: Vec::new(),
        }
    }

    /// The server.
    ///
    /// # Panics
    /// When the configuration is none.
    pub fn build(&self) -> Built {
        let mut config = Config::new(self.protocol);
        for line in &self.config {
            config
                .line(line)
                .unwrap_or_else(|complaint| panic!("{}: {line}: {complaint}", self.name));
        }
        config.build()
    }
}

/// The packet of what stands after `>`.
fn packet(text: &str, protocol: Protocol, scene: &Scene) -> Result<Packet, Complaint> {
    let line = protocol
        .grammar()
        .parse(text, |form| scene.us(protocol, form))?;
    match protocol {
        Protocol::V4 => v4::encode(&line, scene),
        Protocol::V6 => v6::encode(&line, scene),
    }
}

/// Lines with their numbers; one that begins with white space belongs to the one before.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut statements: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        match statements.last_mut() {
            Some((_, last)) if line.starts_with([' ', '\t']) && !line.trim().is_empty() => {
                last.push('\n');
                last.push_str(line);
            }
            _ => statements.push((number + 1, line.to_owned())),
        }
    }
    statements
}

/// What one line came to.
#[derive(Debug, Default)]
struct Step {
    complaints: Vec<Complaint>,
    /// The line as it should have been.
    instead: Option<String>,
}

impl Step {
    fn wrong(complaints: Vec<Complaint>) -> Self {
        Self {
            complaints,
            instead: None,
        }
    }
}

/// A transcript in the middle of it.
struct Run {
    protocol: Protocol,
    /// `config` lines, until the first other line.
    config: Option<Config>,
    world: Option<(Engine, Scene)>,
    request: Option<Packet>,
    /// What came of the last `>`, until a `<` has read it.
    answer: Option<Result<Vec<u8>, Discard>>,
}

impl Run {
    fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            config: Some(Config::new(protocol)),
            world: None,
            request: None,
            answer: None,
        }
    }

    fn step(&mut self, written: &str) -> Result<Step, Complaint> {
        let text = uncommented(written);
        let (word, rest) = text
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((text.trim(), ""));
        match word {
            "" => Ok(Step::default()),
            "config" if rest.trim() == "anew" => {
                self.world()?;
                self.config = Some(Config::new(self.protocol));
                Ok(Step::default())
            }
            "config" => {
                let config = self
                    .config
                    .as_mut()
                    .ok_or("`config` comes before everything else, or after `config anew`")?;
                config.line(rest).map(|()| Step::default())
            }
            ">" => self.send(rest),
            "<" => self.expect(rest.trim()),
            "leases" => self.expect_leases(rest),
            "written" => self.expect_written(rest.trim()),
            "wait" => {
                let seconds = rest.trim().parse().map_err(|_| "`wait` wants seconds")?;
                self.world()?.0.wait(seconds);
                Ok(Step::default())
            }
            "squatter" => {
                let address = rest.trim().parse();
                let address = address.map_err(|_| "`squatter` wants an IPv4 address")?;
                self.world()?.0.squat(address);
                Ok(Step::default())
            }
            _ => Err(format!("`{word}` begins no line of a transcript")),
        }
    }

    /// The server, which begins with the first line that is not `config`.
    fn world(&mut self) -> Result<&mut (Engine, Scene), Complaint> {
        if let Some(config) = self.config.take() {
            match &mut self.world {
                Some((engine, scene)) => {
                    let built = config.build_after(Some(&engine.policy().pools));
                    engine.reload(built.policy);
                    scene.interface = built.scene.interface;
                }
                None => {
                    let built = config.build();
                    let interface = built.scene.interface.clone();
                    let engine = Engine::new(built.policy, interface, built.partitions);
                    self.world = Some((engine, built.scene));
                }
            }
        }
        self.world
            .as_mut()
            .ok_or_else(|| "there is no server".to_owned())
    }

    fn send(&mut self, text: &str) -> Result<Step, Complaint> {
        if let Some(complaint) = self.unread_answer() {
            return Err(complaint);
        }
        let protocol = self.protocol;
        let (engine, scene) = self.world()?;
        scene.sequence += 1;
        let packet = packet(text, protocol, scene)?;
        let answer = engine.exchange(&packet.emit());
        self.request = Some(packet);
        self.answer = Some(answer);
        Ok(Step::default())
    }

    fn expect(&mut self, text: &str) -> Result<Step, Complaint> {
        let protocol = self.protocol;
        let answer = self
            .answer
            .take()
            .ok_or("nothing was sent that could be answered")?;
        let request = self.request.take().ok_or("nothing was sent")?;
        let (_, scene) = self.world()?;
        let actual = match answer {
            Ok(octets) => {
                let packet = Packet::parse(&octets)?;
                match protocol {
                    Protocol::V4 => v4::decode(&packet, &request, scene)?,
                    Protocol::V6 => v6::decode(&packet, &request, scene)?,
                }
            }
            Err(reason) => return Ok(compare_silence(text, reason)),
        };
        let wanted = match text {
            "" => Line::default(),
            text if text.starts_with("nothing") => Line {
                kind: "nothing".to_owned(),
                ..Line::default()
            },
            text => protocol
                .grammar()
                .parse(text, |form| scene.us(protocol, form))?,
        };
        let complaints = wanted.missing_in(&actual);
        let instead = (!complaints.is_empty()).then(|| format!("<  {}", wanted.updated(&actual)));
        Ok(Step {
            complaints,
            instead,
        })
    }

    /// Whether the last message changed the leases on record.
    fn expect_written(&mut self, text: &str) -> Result<Step, Complaint> {
        let actual = match self.world()?.0.has_written() {
            true => "yes",
            false => "no",
        };
        if text == actual {
            return Ok(Step::default());
        }
        Ok(Step {
            complaints: vec![format!("expected written {text}, it is: {actual}")],
            instead: Some(format!("written {actual}")),
        })
    }

    fn expect_leases(&mut self, text: &str) -> Result<Step, Complaint> {
        let (engine, _) = self.world()?;
        let actual: Vec<_> = engine.leases().iter().map(written_lease).collect();
        let actual = if actual.is_empty() {
            "none".to_owned()
        } else {
            actual.join(", ")
        };
        let wanted: Vec<_> = text.split_whitespace().collect();
        if wanted.join(" ") == actual {
            return Ok(Step::default());
        }
        let complaint = format!("expected leases {}, there are: {actual}", wanted.join(" "));
        Ok(Step {
            complaints: vec![complaint],
            instead: Some(format!("leases {actual}")),
        })
    }

    /// A `>` without a `<` after it is a mistake of the transcript.
    fn unread_answer(&mut self) -> Option<Complaint> {
        let answer = self.answer.take()?;
        let answer = answer.map_or_else(
            |reason| format!("nothing {}", reason.name()),
            |_| "an answer".to_owned(),
        );
        Some(format!(
            "the last message has no `<` line; there was {answer}"
        ))
    }
}

/// `nothing`, or `nothing REASON`.
fn compare_silence(wanted: &str, reason: Discard) -> Step {
    let actual = format!("nothing  {}", reason.name());
    let words: Vec<_> = wanted.split_whitespace().collect();
    match words.as_slice() {
        ["nothing"] => Step::default(),
        ["nothing", name] if *name == reason.name() => Step::default(),
        _ => Step {
            complaints: vec![format!("expected `{wanted}`, got {actual}")],
            instead: Some(format!("<  {actual}")),
        },
    }
}

/// `ADDRESS of CLIENT`, in DHCPv6 with the IA, and `declined` if nobody holds it.
fn written_lease(binding: &Binding) -> String {
    if binding.state == State::Declined {
        return format!("{} declined", binding.lease);
    }
    let client = match binding.client.as_slice() {
        [] => words::hex(binding.hardware.as_slice()),
        client => words::hex(client),
    };
    match binding.lease {
        dhcp_lease::Lease::V4(_) => format!("{} of {client}", binding.lease),
        dhcp_lease::Lease::Address(_) | dhcp_lease::Lease::Prefix(..) => {
            format!("{} of {client}/{}", binding.lease, binding.iaid)
        }
    }
}

/// A statement without its comments.
fn uncommented(written: &str) -> String {
    let lines = written
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    lines.collect::<Vec<_>>().join(" ")
}
