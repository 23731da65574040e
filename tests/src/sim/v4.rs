//! A DHCPv4 client, from INIT to BOUND and back (RFC 2131 section 4.4, figure 5).

use super::client::{Event, Held, Identity, Millis, Sent, TIMEOUT, TRIES, Turn, new_identity};
use super::frame::{self, SERVER_V4};
use super::random::Random;
use dhcp_lease::Lease;
use dhcp_wire::frame::{Addresses, Datagram};
use dhcp_wire::v4::{BOOTREPLY, BOOTREQUEST, Builder, Header, Message, MessageType, code};
use std::net::Ipv4Addr;

/// Lengths of client identifiers: none, and such as take none to three slots more.
const IDENTIFIER_LENGTHS: [usize; 7] = [0, 7, 7, 46, 47, 143, 255];
/// Another server, which some clients prefer.
const OTHER_SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// A DHCPv4 client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Who it is.
    pub identity: Identity,
    /// What it may use.
    pub held: Option<Held>,
    state: State,
    xid: u32,
    tries: u32,
    asks_rapid: bool,
    /// What it had last.
    former: Option<Ipv4Addr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Init,
    Selecting,
    Requesting(Ipv4Addr),
    Bound,
    Extending(Extension),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    Renewing,
    Rebinding,
    Rebooting,
}

impl Client {
    /// One that nobody knows.
    pub fn new(number: u64, random: &mut Random) -> Self {
        Self {
            identity: new_identity(number, 4, &IDENTIFIER_LENGTHS, random),
            held: None,
            state: State::Init,
            xid: 0,
            tries: 0,
            asks_rapid: random.chance(200),
            former: None,
        }
    }

    /// See [`super::client::Client::reboot`].
    pub fn reboot(&mut self) {
        self.tries = 0;
        self.state = if self.held.is_some() {
            State::Bound
        } else {
            State::Init
        };
    }

    /// See [`super::client::Client::wake`].
    pub fn wake(&mut self, now: Millis, random: &mut Random) -> Turn {
        let mut turn = Turn::default();
        if let Some(held) = self.held.filter(|held| held.until <= now) {
            turn.events.push(Event::LetGo {
                iaid: 0,
                lease: held.lease,
            });
            self.held = None;
            self.begin(State::Init);
        }
        let is_out_of_patience = self.tries >= TRIES;
        match self.state {
            State::Selecting | State::Requesting(_) if is_out_of_patience => {
                self.begin(State::Init);
                turn.wake_in = Some(random.within(1_000..=20_000));
            }
            State::Extending(_) if is_out_of_patience => {
                self.begin(State::Bound);
                turn.wake_in = Some(self.pause(now, random));
            }
            State::Init => {
                self.exchange(State::Selecting, random);
                self.say(&mut turn);
            }
            State::Selecting | State::Requesting(_) | State::Extending(_) => self.say(&mut turn),
            State::Bound => self.live(now, random, &mut turn),
        }
        turn
    }

    /// What a bound client does when its time comes.
    fn live(&mut self, now: Millis, random: &mut Random, turn: &mut Turn) {
        let Some(held) = self.held else {
            return self.begin(State::Init);
        };
        match random.below(100) {
            0..55 => self.extend(Extension::Renewing, random, turn),
            55..65 => self.extend(Extension::Rebinding, random, turn),
            65..80 => self.extend(Extension::Rebooting, random, turn),
            80..87 => self.leave(MessageType::RELEASE, "RELEASE", held, random, turn),
            87..90 => self.leave(MessageType::DECLINE, "DECLINE", held, random, turn),
            90..94 => {
                // It has forgotten all: it asks as if it were new.
                turn.events.push(Event::LetGo {
                    iaid: 0,
                    lease: held.lease,
                });
                self.held = None;
                self.exchange(State::Selecting, random);
                self.say(turn);
            }
            _ => turn.wake_in = Some(self.pause(now, random)),
        }
    }

    fn extend(&mut self, extension: Extension, random: &mut Random, turn: &mut Turn) {
        self.exchange(State::Extending(extension), random);
        self.say(turn);
    }

    fn leave(
        &mut self,
        kind: MessageType,
        what: &'static str,
        held: Held,
        random: &mut Random,
        turn: &mut Turn,
    ) {
        self.exchange(State::Init, random);
        self.held = None;
        turn.events.push(Event::LetGo {
            iaid: 0,
            lease: held.lease,
        });
        let frame = self.leaving(kind, address(held.lease));
        turn.sent.push(Sent {
            frame,
            what,
            is_in_order: true,
        });
        turn.wake_in = Some(random.within(500..=20_000));
    }

    /// Until it looks at its lease again: mostly in its first half, sometimes past its end.
    fn pause(&self, now: Millis, random: &mut Random) -> Millis {
        let left = self
            .held
            .map_or(5_000, |held| held.until.saturating_sub(now));
        if random.chance(50) {
            return left + random.below(10_000);
        }
        random.within(left / 10..=left / 2 + 1)
    }

    fn begin(&mut self, state: State) {
        self.state = state;
        self.tries = 0;
    }

    fn exchange(&mut self, state: State, random: &mut Random) {
        self.begin(state);
        self.xid = random.number() as u32;
    }

    /// Says, once more perhaps, what belongs to the state.
    fn say(&mut self, turn: &mut Turn) {
        self.tries += 1;
        turn.wake_in = Some(TIMEOUT);
        let none = Ipv4Addr::UNSPECIFIED;
        let held = self.held.map_or(none, |held| address(held.lease));
        let (what, kind, ciaddr, requested, server, unicast) = match self.state {
            State::Selecting => (
                "DISCOVER",
                MessageType::DISCOVER,
                none,
                self.former,
                None,
                false,
            ),
            State::Requesting(offer) => (
                "REQUEST",
                MessageType::REQUEST,
                none,
                Some(offer),
                Some(SERVER_V4),
                false,
            ),
            State::Extending(Extension::Renewing) => (
                "REQUEST renewing",
                MessageType::REQUEST,
                held,
                None,
                None,
                true,
            ),
            State::Extending(Extension::Rebinding) => (
                "REQUEST rebinding",
                MessageType::REQUEST,
                held,
                None,
                None,
                false,
            ),
            State::Extending(Extension::Rebooting) => (
                "REQUEST rebooting",
                MessageType::REQUEST,
                none,
                Some(held),
                None,
                false,
            ),
            State::Init | State::Bound => return,
        };
        let destination = if unicast {
            SERVER_V4
        } else {
            Ipv4Addr::BROADCAST
        };
        let frame = self.message(kind, ciaddr, requested, server, destination);
        turn.sent.push(Sent {
            frame,
            what,
            is_in_order: false,
        });
    }

    fn leaving(&self, kind: MessageType, address: Ipv4Addr) -> Vec<u8> {
        let none = Ipv4Addr::UNSPECIFIED;
        if kind == MessageType::RELEASE {
            self.message(kind, address, None, Some(SERVER_V4), SERVER_V4)
        } else {
            self.message(
                kind,
                none,
                Some(address),
                Some(SERVER_V4),
                Ipv4Addr::BROADCAST,
            )
        }
    }

    fn message(
        &self,
        kind: MessageType,
        ciaddr: Ipv4Addr,
        requested: Option<Ipv4Addr>,
        server: Option<Ipv4Addr>,
        destination: Ipv4Addr,
    ) -> Vec<u8> {
        let mut header = Header::new(BOOTREQUEST);
        header.htype = 1;
        header.hlen = 6;
        header.xid = self.xid.into();
        header.flags = 0x8000.into(); // broadcast the answer: everybody hears, each knows its own
        header.ciaddr = ciaddr.octets();
        header.chaddr[..6].copy_from_slice(&self.identity.mac);
        frame::v4(self.identity.mac, ciaddr, destination, |room| {
            let mut builder = Builder::new(room, 1400, &header).unwrap();
            builder.push(code::MESSAGE_TYPE, &[kind.0]).unwrap();
            if !self.identity.octets.is_empty() {
                builder
                    .push(code::CLIENT_IDENTIFIER, &self.identity.octets)
                    .unwrap();
            }
            if let Some(requested) = requested {
                builder
                    .push(code::REQUESTED_ADDRESS, &requested.octets())
                    .unwrap();
            }
            if let Some(server) = server {
                builder
                    .push(code::SERVER_IDENTIFIER, &server.octets())
                    .unwrap();
            }
            if kind == MessageType::DISCOVER && self.asks_rapid {
                builder.push(code::RAPID_COMMIT, &[]).unwrap();
            }
            builder.finish()
        })
    }

    /// See [`super::client::Client::hear`].
    pub fn hear(&mut self, frame: &[u8], now: Millis, random: &mut Random) -> Turn {
        let mut turn = Turn::default();
        let answer = match Answer::parse(frame) {
            Ok(answer) => answer,
            Err(error) => {
                turn.events.push(Event::Nonsense(error));
                return turn;
            }
        };
        if answer.xid != self.xid || answer.chaddr != self.identity.mac {
            return turn;
        }
        match (self.state, answer.kind) {
            (State::Selecting, MessageType::OFFER) => self.choose(answer.yiaddr, random, &mut turn),
            (State::Selecting, MessageType::ACK) if self.asks_rapid && answer.is_rapid => {
                self.bind(&answer, now, random, &mut turn);
            }
            (State::Requesting(offer), MessageType::ACK) => {
                if answer.yiaddr != offer {
                    let text =
                        format!("{} was requested and {} acknowledged", offer, answer.yiaddr);
                    turn.events.push(Event::Nonsense(text));
                }
                self.bind(&answer, now, random, &mut turn);
            }
            (State::Extending(_), MessageType::ACK) => {
                self.extended(&answer, now, random, &mut turn)
            }
            (State::Requesting(_), MessageType::NAK) => {
                self.begin(State::Init);
                turn.wake_in = Some(random.within(100..=10_000));
            }
            (State::Extending(_), MessageType::NAK) => {
                if let Some(held) = self.held.take().filter(|held| held.until > now) {
                    let how = "NAK";
                    turn.events.push(Event::Refused {
                        iaid: 0,
                        lease: held.lease,
                        how,
                    });
                }
                self.begin(State::Init);
                turn.wake_in = Some(random.within(100..=10_000));
            }
            _ => {}
        }
        turn
    }

    fn choose(&mut self, offer: Ipv4Addr, random: &mut Random, turn: &mut Turn) {
        if random.chance(50) {
            let none = Ipv4Addr::UNSPECIFIED;
            let to = Ipv4Addr::BROADCAST;
            let frame = self.message(
                MessageType::REQUEST,
                none,
                Some(offer),
                Some(OTHER_SERVER),
                to,
            );
            turn.sent.push(Sent {
                frame,
                what: "REQUEST other server",
                is_in_order: false,
            });
            self.begin(State::Init);
            turn.wake_in = Some(random.within(1_000..=20_000));
            return;
        }
        self.begin(State::Requesting(offer));
        self.say(turn);
    }

    fn extended(&mut self, answer: &Answer, now: Millis, random: &mut Random, turn: &mut Turn) {
        let Some(held) = self.held else { return };
        if address(held.lease) != answer.yiaddr {
            let text = format!(
                "{} was to be extended and {} came",
                held.lease, answer.yiaddr
            );
            turn.events.push(Event::Nonsense(text));
        }
        self.bind(answer, now, random, turn);
    }

    fn bind(&mut self, answer: &Answer, now: Millis, random: &mut Random, turn: &mut Turn) {
        let lease = Lease::V4(answer.yiaddr);
        let until = now + Millis::from(answer.valid) * 1_000;
        self.held = Some(Held {
            iaid: 0,
            lease,
            until,
        });
        self.former = Some(answer.yiaddr);
        self.begin(State::Bound);
        turn.events.push(Event::Granted {
            iaid: 0,
            lease,
            valid: answer.valid,
        });
        turn.wake_in = Some(self.pause(now, random));
    }
}

fn address(lease: Lease) -> Ipv4Addr {
    match lease {
        Lease::V4(address) => address,
        Lease::Address(_) | Lease::Prefix(..) => Ipv4Addr::UNSPECIFIED,
    }
}

/// What a client reads of an answer.
#[derive(Debug)]
struct Answer {
    kind: MessageType,
    xid: u32,
    chaddr: [u8; 6],
    yiaddr: Ipv4Addr,
    valid: u32,
    is_rapid: bool,
}

impl Answer {
    fn parse(frame: &[u8]) -> Result<Self, String> {
        let datagram = Datagram::parse(frame).map_err(|error| format!("{error}"))?;
        let message = Message::parse(datagram.payload).map_err(|error| format!("{error:?}"))?;
        if message.header.op != BOOTREPLY {
            return Err("not a BOOTREPLY".to_owned());
        }
        let mut answer = Self {
            kind: MessageType(0),
            xid: message.header.xid.get(),
            chaddr: message.header.chaddr[..6].try_into().unwrap(),
            yiaddr: message.header.yiaddr(),
            valid: 0,
            is_rapid: false,
        };
        for piece in message.options() {
            let piece = piece.map_err(|error| format!("{error:?}"))?;
            match (piece.code, piece.data) {
                (code::MESSAGE_TYPE, &[kind]) => answer.kind = MessageType(kind),
                (code::LEASE_TIME, data) => {
                    answer.valid = u32::from_be_bytes(data.try_into().map_err(|_| "option 51")?);
                }
                (code::RAPID_COMMIT, _) => answer.is_rapid = true,
                _ => {}
            }
        }
        Ok(answer)
    }
}

/// Whose answer a frame is: the client's Ethernet address.
pub fn addressee(frame: &[u8]) -> Option<[u8; 6]> {
    let datagram = Datagram::parse(frame).ok()?;
    let Addresses::V4 { .. } = datagram.envelope.addresses else {
        return None;
    };
    let message = Message::parse(datagram.payload).ok()?;
    message.header.chaddr.first_chunk().copied()
}
