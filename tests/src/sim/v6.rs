//! A DHCPv6 client with an IA_NA, an IA_PD or both, from Solicit to Release (RFC 9915 section 18.2).

use super::client::{Event, Held, Identity, Millis, Sent, TIMEOUT, TRIES, Turn, new_identity};
use super::frame;
use super::random::Random;
use dhcp_lease::Lease;
use dhcp_wire::frame::Datagram;
use dhcp_wire::id::Iaid;
use dhcp_wire::v6::{Builder, Ia, IaAddress, IaPrefix, Message, MessageType, OptionCode};

/// Lengths of DUIDs: such as take none to one slot more.
const DUID_LENGTHS: [usize; 4] = [10, 14, 60, 130];

/// A DHCPv6 client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Who it is.
    pub identity: Identity,
    /// What it may use.
    pub held: Vec<Held>,
    /// Option codes and numbers of its IAs.
    ias: Vec<(u16, u32)>,
    state: State,
    transaction: [u8; 3],
    tries: u32,
    asks_rapid: bool,
    server: Vec<u8>,
    /// What was offered, or is being given back.
    named: Vec<(u32, Lease)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Soliciting,
    Requesting,
    Bound,
    Renewing,
    Rebinding,
    Releasing,
    Declining,
}

impl Client {
    /// One that nobody knows.
    pub fn new(number: u64, random: &mut Random) -> Self {
        let ias: &[(u16, u32)] = match random.below(3) {
            0 => &[(OptionCode::IA_NA, 1)],
            1 => &[(OptionCode::IA_PD, 2)],
            _ => &[(OptionCode::IA_NA, 1), (OptionCode::IA_PD, 2)],
        };
        Self {
            identity: new_identity(number, 6, &DUID_LENGTHS, random),
            held: Vec::new(),
            ias: ias.to_vec(),
            state: State::Idle,
            transaction: [0; 3],
            tries: 0,
            asks_rapid: random.chance(300),
            server: Vec::new(),
            named: Vec::new(),
        }
    }

    /// See [`super::client::Client::reboot`].
    pub fn reboot(&mut self) {
        self.tries = 0;
        self.state = if self.held.is_empty() {
            State::Idle
        } else {
            State::Bound
        };
    }

    /// See [`super::client::Client::wake`].
    pub fn wake(&mut self, now: Millis, random: &mut Random) -> Turn {
        let mut turn = Turn::default();
        self.held.retain(|held| {
            let is_over = held.until <= now;
            if is_over {
                turn.events.push(Event::LetGo {
                    iaid: held.iaid,
                    lease: held.lease,
                });
            }
            !is_over
        });
        let is_extending = matches!(
            self.state,
            State::Bound | State::Renewing | State::Rebinding
        );
        if is_extending && self.held.is_empty() {
            self.begin(State::Idle);
        }
        let is_out_of_patience = self.tries >= TRIES;
        match self.state {
            State::Soliciting | State::Requesting | State::Releasing | State::Declining
                if is_out_of_patience =>
            {
                self.begin(State::Idle);
                turn.wake_in = Some(random.within(1_000..=20_000));
            }
            State::Renewing | State::Rebinding if is_out_of_patience => {
                self.begin(State::Bound);
                turn.wake_in = Some(self.pause(now, random));
            }
            State::Idle => {
                // It forgets what it may have had, and asks.
                for held in std::mem::take(&mut self.held) {
                    turn.events.push(Event::LetGo {
                        iaid: held.iaid,
                        lease: held.lease,
                    });
                }
                self.exchange(State::Soliciting, random);
                self.say(&mut turn);
            }
            State::Bound => self.live(now, random, &mut turn),
            _ => self.say(&mut turn),
        }
        turn
    }

    fn live(&mut self, now: Millis, random: &mut Random, turn: &mut Turn) {
        match random.below(100) {
            0..60 => self.exchange(State::Renewing, random),
            60..75 => self.exchange(State::Rebinding, random),
            75..83 => self.give_up(State::Releasing, random, turn),
            83..86 => self.give_up(State::Declining, random, turn),
            86..90 => {
                for held in std::mem::take(&mut self.held) {
                    turn.events.push(Event::LetGo {
                        iaid: held.iaid,
                        lease: held.lease,
                    });
                }
                self.exchange(State::Soliciting, random);
            }
            _ => {
                turn.wake_in = Some(self.pause(now, random));
                return;
            }
        }
        self.say(turn);
    }

    fn give_up(&mut self, state: State, random: &mut Random, turn: &mut Turn) {
        self.exchange(state, random);
        self.named.clear();
        for held in std::mem::take(&mut self.held) {
            turn.events.push(Event::LetGo {
                iaid: held.iaid,
                lease: held.lease,
            });
            self.named.push((held.iaid, held.lease));
        }
    }

    fn pause(&self, now: Millis, random: &mut Random) -> Millis {
        let left = self
            .held
            .iter()
            .map(|held| held.until.saturating_sub(now))
            .min()
            .unwrap_or(5_000);
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
        random.fill(&mut self.transaction);
    }

    fn say(&mut self, turn: &mut Turn) {
        self.tries += 1;
        turn.wake_in = Some(TIMEOUT);
        let (what, kind, to_server) = match self.state {
            State::Soliciting => ("Solicit", MessageType::Solicit, false),
            State::Requesting => ("Request", MessageType::Request, true),
            State::Renewing => ("Renew", MessageType::Renew, true),
            State::Rebinding => ("Rebind", MessageType::Rebind, false),
            State::Releasing => ("Release", MessageType::Release, true),
            State::Declining => ("Decline", MessageType::Decline, true),
            State::Idle | State::Bound => return,
        };
        let named: Vec<(u32, Lease)> = match self.state {
            State::Renewing | State::Rebinding => self
                .held
                .iter()
                .map(|held| (held.iaid, held.lease))
                .collect(),
            State::Soliciting => Vec::new(),
            _ => self.named.clone(),
        };
        let frame = self.message(kind, to_server, &named);
        let is_in_order = matches!(self.state, State::Releasing | State::Declining);
        turn.sent.push(Sent {
            frame,
            what,
            is_in_order,
        });
    }

    fn message(&self, kind: MessageType, to_server: bool, named: &[(u32, Lease)]) -> Vec<u8> {
        frame::v6(self.identity.mac, |room| {
            let mut builder = Builder::new(room);
            builder.message(kind, self.transaction).unwrap();
            builder
                .option(OptionCode::CLIENT_ID, &self.identity.octets)
                .unwrap();
            if to_server {
                builder.option(OptionCode::SERVER_ID, &self.server).unwrap();
            }
            if kind == MessageType::Solicit && self.asks_rapid {
                builder.option(OptionCode::RAPID_COMMIT, &[]).unwrap();
            }
            let all = kind == MessageType::Solicit || kind == MessageType::Request;
            for &(code, iaid) in &self.ias {
                let own = || named.iter().filter(move |(number, _)| *number == iaid);
                if !all && own().next().is_none() {
                    continue;
                }
                let inside = |builder: &mut Builder<'_>| {
                    for (_, lease) in own() {
                        match *lease {
                            Lease::Address(address) => builder.ia_address(address, 0, 0)?,
                            Lease::Prefix(prefix, len) => builder.ia_prefix(prefix, len, 0, 0)?,
                            Lease::V4(_) => {}
                        }
                    }
                    Ok(())
                };
                builder.ia(code, Iaid(iaid), 0, 0, inside).unwrap();
            }
            builder.len()
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
        if answer.transaction != self.transaction || answer.client != self.identity.octets {
            return turn;
        }
        match (self.state, answer.kind) {
            (State::Soliciting, MessageType::Advertise) => {
                self.named = answer
                    .leases
                    .iter()
                    .filter(|it| it.2 > 0)
                    .map(|it| (it.0, it.1))
                    .collect();
                self.server.clone_from(&answer.server);
                if self.named.is_empty() {
                    self.begin(State::Idle);
                    turn.wake_in = Some(random.within(1_000..=20_000));
                } else {
                    self.exchange(State::Requesting, random);
                    self.say(&mut turn);
                }
            }
            (State::Soliciting, MessageType::Reply) if self.asks_rapid && answer.is_rapid => {
                self.bind(&answer, now, random, &mut turn);
            }
            (State::Requesting | State::Renewing | State::Rebinding, MessageType::Reply) => {
                self.bind(&answer, now, random, &mut turn);
            }
            (State::Releasing | State::Declining, MessageType::Reply) => {
                self.begin(State::Idle);
                turn.wake_in = Some(random.within(500..=20_000));
            }
            _ => {}
        }
        turn
    }

    fn bind(&mut self, answer: &Answer, now: Millis, random: &mut Random, turn: &mut Turn) {
        self.server.clone_from(&answer.server);
        for held in std::mem::take(&mut self.held) {
            let said = answer
                .leases
                .iter()
                .find(|it| (it.0, it.1) == (held.iaid, held.lease));
            let is_named = answer.ias.contains(&held.iaid);
            let how = match said {
                Some((_, _, 0)) => "a lifetime of 0",
                None if is_named => "nothing, or a status, for its IA",
                Some(_) => continue, // granted anew below
                None => {
                    self.held.push(held);
                    continue;
                }
            };
            if held.until > now {
                let Held { iaid, lease, .. } = held;
                turn.events.push(Event::Refused { iaid, lease, how });
            }
        }
        for &(iaid, lease, valid) in answer.leases.iter().filter(|it| it.2 > 0) {
            let until = now + Millis::from(valid) * 1_000;
            self.held.push(Held { iaid, lease, until });
            turn.events.push(Event::Granted { iaid, lease, valid });
        }
        self.begin(if self.held.is_empty() {
            State::Idle
        } else {
            State::Bound
        });
        turn.wake_in = Some(self.pause(now, random));
    }
}

/// What a client reads of an answer.
#[derive(Debug)]
struct Answer {
    kind: MessageType,
    transaction: [u8; 3],
    client: Vec<u8>,
    server: Vec<u8>,
    is_rapid: bool,
    ias: Vec<u32>,
    /// IAID, lease, valid lifetime.
    leases: Vec<(u32, Lease, u32)>,
}

impl Answer {
    fn parse(frame: &[u8]) -> Result<Self, String> {
        let bad = |error: dhcp_wire::v6::Malformed| format!("{error:?}");
        let datagram = Datagram::parse(frame).map_err(|error| format!("{error}"))?;
        let message = Message::parse(datagram.payload).map_err(bad)?;
        let options = message.options;
        let mut answer = Self {
            kind: message.message_type().ok_or("an unknown message type")?,
            transaction: message.header.transaction_id,
            client: options
                .find(OptionCode::CLIENT_ID)
                .unwrap_or_default()
                .to_vec(),
            server: options
                .find(OptionCode::SERVER_ID)
                .unwrap_or_default()
                .to_vec(),
            is_rapid: options.find(OptionCode::RAPID_COMMIT).is_some(),
            ias: Vec::new(),
            leases: Vec::new(),
        };
        for option in options.iter() {
            if ![OptionCode::IA_NA, OptionCode::IA_PD].contains(&option.code) {
                continue;
            }
            let ia = Ia::parse(option.code, option.data).map_err(bad)?;
            answer.ias.push(ia.iaid.0);
            for inner in ia.options.iter() {
                let (lease, valid) = match inner.code {
                    OptionCode::IA_ADDRESS => {
                        let address = IaAddress::parse(inner.data).map_err(bad)?;
                        (Lease::Address(address.address), address.valid)
                    }
                    OptionCode::IA_PREFIX => {
                        let prefix = IaPrefix::parse(inner.data).map_err(bad)?;
                        (
                            Lease::Prefix(prefix.prefix, prefix.prefix_len),
                            prefix.valid,
                        )
                    }
                    _ => continue,
                };
                answer.leases.push((ia.iaid.0, lease, valid));
            }
        }
        Ok(answer)
    }
}

/// Whose answer a frame is: the octets of the client's DUID.
pub fn addressee(frame: &[u8]) -> Option<Vec<u8>> {
    let datagram = Datagram::parse(frame).ok()?;
    let message = Message::parse(datagram.payload).ok()?;
    Some(message.options.find(OptionCode::CLIENT_ID)?.to_vec())
}
