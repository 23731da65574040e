//! What does a DHCPv4 client do that can be told to renew? (RFC 3203, RFC 6704.)
//!
//! It says that it can (option 145), keeps the nonce of its ACK, and when a FORCERENEW comes whose digest is right
//! under that nonce and whose counter is new, it renews. As in [`crate::v4`], options are read apart from the views
//! with which the server reads and writes.

use crate::writer::Writer;
use dhcp_wire::frame::{Addresses, Datagram, Envelope, MacAddress, Tags};
use hmac::{Hmac, Mac};
use md5::Md5;
use std::net::Ipv4Addr;

const FIXED: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const MESSAGE_SIZE_MIN: usize = 300;
/// A client's number is the lower three octets of its transaction numbers.
pub const CLIENTS_MAX: u32 = 1 << 24;
const CLIENT_MASK: u32 = CLIENTS_MAX - 1;
/// The option: protocol, algorithm, method, counter (8), kind, nonce or digest (16).
const AUTHENTICATION_OCTETS: usize = 28;
const HEAD: [u8; 3] = [3, 1, 0];
const NONCE: u8 = 1;
const DIGEST: u8 = 2;

/// Where the clients are: behind one relay agent, which is their router too.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The relay agent.
    pub giaddr: Ipv4Addr,
    /// The server.
    pub server: Ipv4Addr,
    /// Ethernet addresses of our side and of the server's.
    pub mac: MacAddress,
    /// The server's.
    pub server_mac: MacAddress,
}

/// Which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// DISCOVER.
    Discover,
    /// REQUEST for what was offered.
    Select,
    /// REQUEST to extend the lease, past the relay agent.
    Renew,
}

/// A client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// What it was offered, or has.
    pub address: Option<Ipv4Addr>,
    /// Who offered it.
    pub server: Option<Ipv4Addr>,
    /// Whether it was acknowledged.
    pub is_bound: bool,
    /// Its nonce.
    pub nonce: Option<[u8; 16]>,
    /// The last counter that it has seen.
    pub replay: u64,
    /// How many exchanges it has begun.
    pub exchange: u8,
}

/// What is wrong with a FORCERENEW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client has no lease, or no nonce.
    NotBound,
    /// It came to another address than the client's.
    Destination,
    /// There is no authentication, or another than was agreed.
    Unauthenticated,
    /// The digest is wrong.
    Digest,
    /// The counter is one that was there before.
    Replay,
    /// The transaction number is not that of the client's last exchange.
    Transaction,
}

/// A message of the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    payload: &'a [u8],
    /// Where it went.
    destination: Ipv4Addr,
    /// Number of the client.
    pub client: u32,
    /// Message type.
    pub kind: u8,
    transaction: u32,
    yiaddr: Ipv4Addr,
    server: Option<Ipv4Addr>,
    is_capable: bool,
    /// The authentication option, and where it begins.
    authentication: Option<(&'a [u8; AUTHENTICATION_OCTETS], usize)>,
}

impl<'a> Message<'a> {
    /// Reads a frame; nothing if it is no message of a server to a client of ours.
    pub fn parse(frame: &'a [u8]) -> Option<Self> {
        let Datagram { envelope, payload } = Datagram::parse(frame).ok()?;
        let Addresses::V4 { destination, .. } = envelope.addresses else {
            return None;
        };
        let (fixed, rest) = payload.split_first_chunk::<FIXED>()?;
        let options = rest.strip_prefix(&COOKIE)?;
        let transaction = u32::from_be_bytes(*fixed.get(4..)?.first_chunk()?);
        let [2, 0xfc, 0, a, b, c] = *fixed.get(28..)?.first_chunk::<6>()? else {
            return None;
        };
        let client = u32::from_be_bytes([0, a, b, c]);
        let mut this = Self {
            payload,
            destination,
            client,
            kind: 0,
            transaction,
            yiaddr: Ipv4Addr::from(*fixed.get(16..)?.first_chunk::<4>()?),
            server: None,
            is_capable: false,
            authentication: None,
        };
        (fixed.first() == Some(&2)).then_some(())?;
        this.take_options(options)?;
        Some(this)
    }

    fn take_options(&mut self, mut options: &'a [u8]) -> Option<()> {
        loop {
            let (&code, after) = options.split_first()?;
            match code {
                0 => options = after,
                255 => return Some(()),
                _ => {
                    let (&len, after) = after.split_first()?;
                    let (value, after) = after.split_at_checked(usize::from(len))?;
                    options = after;
                    match code {
                        53 => self.kind = *value.first()?,
                        54 => self.server = Some(Ipv4Addr::from(*value.first_chunk::<4>()?)),
                        90 => {
                            let start = self.payload.len() - after.len() - value.len();
                            self.authentication = value.try_into().ok().map(|it| (it, start));
                        }
                        145 => self.is_capable = value.contains(&1),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Counter, and nonce or digest, if the option is of this kind.
    fn authentication(&self, kind: u8) -> Option<(u64, [u8; 16], usize)> {
        let (option, start) = self.authentication?;
        let is_ours = option.starts_with(&HEAD) && option.get(11) == Some(&kind);
        let counter = option.get(3..)?.first_chunk::<8>()?;
        let value = option.last_chunk::<16>()?;
        is_ours.then_some((u64::from_be_bytes(*counter), *value, start + 12))
    }

    /// Whether an OFFER says that the server can.
    pub fn is_capable(&self) -> bool {
        self.is_capable
    }
}

impl Client {
    /// Its Ethernet address.
    pub fn mac(number: u32) -> [u8; 6] {
        let [_, a, b, c] = number.to_be_bytes();
        [2, 0xfc, 0, a, b, c]
    }

    fn transaction(&self, number: u32) -> u32 {
        u32::from(self.exchange) << 24 | number & CLIENT_MASK
    }

    /// Writes a message as a frame; its length.
    pub fn write(&self, number: u32, ask: Ask, place: &Place, frame: &mut [u8]) -> Option<usize> {
        let is_relayed = ask != Ask::Renew;
        let (source, ports) = match (is_relayed, self.address) {
            (false, Some(address)) => (address, (68, 67)),
            _ => (place.giaddr, (67, 67)),
        };
        let envelope = Envelope {
            source_mac: place.mac,
            destination_mac: place.server_mac,
            tags: Tags::default(),
            addresses: Addresses::V4 {
                source,
                destination: place.server,
            },
            source_port: ports.0,
            destination_port: ports.1,
        };
        let mut writer = Writer::new(frame.get_mut(envelope.header_len()..)?);
        writer.put(&[1, 1, 6, u8::from(is_relayed)]);
        writer.put(&self.transaction(number).to_be_bytes());
        writer.zeros(4);
        let unspecified = Ipv4Addr::UNSPECIFIED;
        let ciaddr = self.address.filter(|_| !is_relayed).unwrap_or(unspecified);
        writer.put(&ciaddr.octets());
        writer.zeros(8);
        let giaddr = if is_relayed {
            place.giaddr
        } else {
            unspecified
        };
        writer.put(&giaddr.octets());
        writer.put(&Self::mac(number));
        writer.zeros(FIXED - 34);
        writer.put(&COOKIE);
        writer.put(&[53, 1, if ask == Ask::Discover { 1 } else { 3 }]);
        writer.put(&[145, 1, 1]);
        if let (Ask::Select, Some(address), Some(server)) = (ask, self.address, self.server) {
            writer.put(&[50, 4]);
            writer.put(&address.octets());
            writer.put(&[54, 4]);
            writer.put(&server.octets());
        }
        writer.put(&[55, 3, 1, 3, 6]);
        if is_relayed {
            // The access line (RFC 3046).
            writer.put(&[82, 6, 1, 4]);
            writer.put(&number.to_be_bytes());
        }
        writer.put(&[255]);
        writer.zeros(MESSAGE_SIZE_MIN.saturating_sub(writer.len()));
        let len = writer.finish()?;
        envelope.emit(frame, len).ok()
    }

    /// Takes an OFFER; whether it is one for this exchange.
    pub fn take_offer(&mut self, message: &Message<'_>) -> bool {
        let is_meant = message.kind == 2 && message.transaction == self.transaction(message.client);
        if is_meant && !self.is_bound {
            self.address = Some(message.yiaddr);
            self.server = message.server;
        }
        is_meant && !self.is_bound
    }

    /// Takes an ACK; whether it is one for this exchange.
    pub fn take_ack(&mut self, message: &Message<'_>) -> bool {
        let is_meant = message.kind == 5
            && message.transaction == self.transaction(message.client)
            && self.address == Some(message.yiaddr);
        if !is_meant {
            return false;
        }
        self.is_bound = true;
        if let Some((replay, nonce, _)) = message.authentication(NONCE) {
            self.nonce = Some(nonce);
            self.replay = self.replay.max(replay);
        }
        true
    }

    /// Judges a FORCERENEW (RFC 6704 section 3.1.4).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take_forcerenew(&mut self, message: &Message<'_>) -> Result<(), Fault> {
        let nonce = self
            .nonce
            .filter(|_| self.is_bound)
            .ok_or(Fault::NotBound)?;
        if self.address != Some(message.destination) {
            return Err(Fault::Destination);
        }
        if message.transaction != self.transaction(message.client) {
            return Err(Fault::Transaction);
        }
        let (replay, digest, start) = message
            .authentication(DIGEST)
            .ok_or(Fault::Unauthenticated)?;
        let mut zeroed = message.payload.to_vec();
        let place = zeroed.get_mut(start..start + digest.len());
        place.ok_or(Fault::Unauthenticated)?.fill(0);
        let mut mac = Hmac::<Md5>::new_from_slice(&nonce).map_err(|_| Fault::Unauthenticated)?;
        mac.update(&zeroed);
        mac.verify_slice(&digest).map_err(|_| Fault::Digest)?;
        if replay <= self.replay {
            return Err(Fault::Replay);
        }
        self.replay = replay;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        giaddr: Ipv4Addr::new(10, 8, 0, 1),
        server: Ipv4Addr::new(10, 9, 0, 1),
        mac: MacAddress([2, 0, 0, 0, 0, 1]),
        server_mac: MacAddress([2, 0, 0, 0, 0, 2]),
    };
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 9);

    fn bound() -> Client {
        Client {
            address: Some(ADDRESS),
            server: Some(PLACE.server),
            is_bound: true,
            nonce: Some([7; 16]),
            replay: 5,
            exchange: 1,
        }
    }

    /// A FORCERENEW for client 3 as a server sends it, with damage done before it is signed and after.
    fn forcerenew(client: &Client, replay: u64, before: fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut payload = vec![0; 300];
        payload[..4].copy_from_slice(&[2, 1, 6, 0]);
        payload[4..8].copy_from_slice(&client.transaction(3).to_be_bytes());
        payload[28..34].copy_from_slice(&Client::mac(3));
        payload[236..240].copy_from_slice(&COOKIE);
        payload[240..243].copy_from_slice(&[53, 1, 9]);
        payload[243..248].copy_from_slice(&[90, 28, 3, 1, 0]);
        payload[248..256].copy_from_slice(&replay.to_be_bytes());
        payload[256] = 2;
        payload[273] = 255;
        before(&mut payload);
        let mut mac = Hmac::<Md5>::new_from_slice(&[7; 16]).unwrap();
        mac.update(&payload);
        payload[257..273].copy_from_slice(&mac.finalize().into_bytes());
        framed(ADDRESS, &payload)
    }

    fn framed(destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
        let envelope = Envelope {
            source_mac: PLACE.server_mac,
            destination_mac: PLACE.mac,
            tags: Tags::default(),
            addresses: Addresses::V4 {
                source: PLACE.server,
                destination,
            },
            source_port: 67,
            destination_port: 68,
        };
        let mut frame = vec![0; 1600];
        let start = envelope.header_len();
        frame[start..start + payload.len()].copy_from_slice(payload);
        let len = envelope.emit(&mut frame, payload.len()).unwrap();
        frame.truncate(len);
        frame
    }

    #[test]
    fn a_right_forcerenew_is_obeyed_once() {
        let mut client = bound();
        let frame = forcerenew(&client, 6, |_| {});
        let message = Message::parse(&frame).unwrap();
        assert_eq!((message.client, message.kind), (3, 9));
        assert_eq!(client.take_forcerenew(&message), Ok(()));
        assert_eq!(client.take_forcerenew(&message), Err(Fault::Replay));
    }

    #[test]
    fn every_fault_has_its_name() {
        let client = bound();
        let right = forcerenew(&client, 6, |_| {});
        let fault = |client: Client, frame: &[u8]| {
            let mut client = client;
            client.take_forcerenew(&Message::parse(frame).unwrap())
        };
        let unbound = Client {
            is_bound: false,
            ..client
        };
        assert_eq!(fault(unbound, &right), Err(Fault::NotBound));
        let other_key = Client {
            nonce: Some([8; 16]),
            ..client
        };
        assert_eq!(fault(other_key, &right), Err(Fault::Digest));
        let elsewhere = Client {
            address: Some(Ipv4Addr::new(10, 8, 0, 10)),
            ..client
        };
        assert_eq!(fault(elsewhere, &right), Err(Fault::Destination));
        let later = Client {
            exchange: 2,
            ..client
        };
        assert_eq!(fault(later, &right), Err(Fault::Transaction));
        let token = forcerenew(&client, 6, |payload| payload[245] = 0);
        assert_eq!(fault(client, &token), Err(Fault::Unauthenticated));
        let none = forcerenew(&client, 6, |payload| payload[243] = 91);
        assert_eq!(fault(client, &none), Err(Fault::Unauthenticated));
    }

    #[test]
    fn a_client_says_that_it_can_and_keeps_its_nonce() {
        let mut client = Client::default();
        let mut frame = vec![0; 1600];
        let len = client.write(3, Ask::Discover, &PLACE, &mut frame).unwrap();
        let Datagram { payload, .. } = Datagram::parse(&frame[..len]).unwrap();
        assert!(payload.windows(3).any(|part| part == [145, 1, 1]));
        let mut ack = vec![0; 300];
        ack[..4].copy_from_slice(&[2, 1, 6, 0]);
        ack[4..8].copy_from_slice(&client.transaction(3).to_be_bytes());
        ack[16..20].copy_from_slice(&ADDRESS.octets());
        ack[28..34].copy_from_slice(&Client::mac(3));
        ack[236..240].copy_from_slice(&COOKIE);
        ack[240..243].copy_from_slice(&[53, 1, 2]);
        ack[243..249].copy_from_slice(&[54, 4, 10, 9, 0, 1]);
        ack[249..254].copy_from_slice(&[90, 28, 3, 1, 0]);
        ack[262] = 1;
        ack[263..279].fill(9);
        ack[279] = 255;
        let offer = framed(PLACE.giaddr, &ack);
        assert!(client.take_offer(&Message::parse(&offer).unwrap()));
        assert_eq!(client.server, Some(PLACE.server));
        ack[242] = 5;
        let frame = framed(PLACE.giaddr, &ack);
        assert!(client.take_ack(&Message::parse(&frame).unwrap()));
        assert_eq!(client.nonce, Some([9; 16]));
        assert!(client.is_bound);
    }
}
