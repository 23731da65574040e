//! How is an address asked for, and who answers? ARP (RFC 826) and ICMP echo (RFC 792), over sockets of the kernel.
//!
//! The XDP program passes both to the kernel, so the rings are not involved.

use super::pending::Way;
use dhcp_wire::frame::{MacAddress, Sum};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{LinkAddr, bind};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, recv, send,
    sendto, socket_with,
};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, OwnedFd};

const ETHERTYPE_ARP: u16 = 0x0806;
/// ARP over Ethernet for IPv4, a request and a reply.
const ARP_HEAD: [u8; 6] = [0, 1, 8, 0, 6, 4];
const ARP_REQUEST: [u8; 2] = [0, 1];
const FRAME_SIZE_MIN: usize = 60;
/// Octets that come back in an echo reply, which nobody can guess: who answers was asked.
type Token = [u8; 8];
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
/// Answers that are looked at in one step. What is left waits for the next.
const RECEIVE_MAX: usize = 1024;

/// A link that ARP is spoken on, with an address of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    interface: String,
    mac: MacAddress,
    own: Ipv4Addr,
    mask: Ipv4Addr,
}

impl Link {
    /// How to ask for an address that is on this link.
    pub(super) fn way_to(&self, address: Ipv4Addr) -> Option<Way> {
        let differs = (self.own.to_bits() ^ address.to_bits()) & self.mask.to_bits();
        (differs == 0).then(|| Way::Arp {
            interface: self.interface.clone(),
            mac: self.mac,
            own: self.own,
        })
    }
}

/// The machine's links.
///
/// # Errors
/// Those of the system.
pub(super) fn links() -> io::Result<Vec<Link>> {
    let mut macs = BTreeMap::new();
    let mut links = Vec::new();
    let without = InterfaceFlags::IFF_NOARP | InterfaceFlags::IFF_LOOPBACK;
    for entry in getifaddrs()?.filter(|entry| !entry.flags.intersects(without)) {
        let v4 = |address: nix::sys::socket::SockaddrStorage| {
            address.as_sockaddr_in().map(|address| address.ip())
        };
        let mac = entry.address.and_then(|it| it.as_link_addr()?.addr());
        if let Some(mac) = mac {
            macs.insert(entry.interface_name.clone(), MacAddress(mac));
        }
        if let (Some(own), Some(mask)) = (entry.address.and_then(v4), entry.netmask.and_then(v4)) {
            links.push((entry.interface_name, own, mask));
        }
    }
    let link = |(interface, own, mask): (String, Ipv4Addr, Ipv4Addr)| {
        let mac = *macs.get(&interface)?;
        Some(Link {
            interface,
            mac,
            own,
            mask,
        })
    };
    Ok(links.into_iter().filter_map(link).collect())
}

/// Sockets to ask with.
#[derive(Debug)]
pub(super) struct Sockets {
    echo: OwnedFd,
    /// One for each link that something was asked on, by its interface.
    arp: BTreeMap<String, OwnedFd>,
    token: Token,
    sequence: u16,
}

impl Sockets {
    /// Opens the one for ICMP.
    ///
    /// # Errors
    /// Those of the system: it takes CAP_NET_RAW, as AF_XDP does.
    pub(super) fn open() -> io::Result<Self> {
        let mut token = Token::default();
        getrandom::fill(&mut token).map_err(|error| io::Error::other(error.to_string()))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let echo = socket_with(
            AddressFamily::INET,
            SocketType::RAW,
            flags,
            Some(ipproto::ICMP),
        )?;
        Ok(Self {
            echo,
            arp: BTreeMap::new(),
            token,
            sequence: 0,
        })
    }

    /// Asks for an address.
    ///
    /// # Errors
    /// Those of the system: no route, no such interface.
    pub(super) fn send(&mut self, address: Ipv4Addr, way: &Way) -> io::Result<()> {
        match way {
            Way::Echo => {
                self.sequence = self.sequence.wrapping_add(1);
                let request = echo_request(&self.token, self.sequence);
                let to = SocketAddrV4::new(address, 0);
                sendto(&self.echo, &request, SendFlags::empty(), &to)?;
            }
            Way::Arp {
                interface,
                mac,
                own,
            } => {
                if !self.arp.contains_key(interface) {
                    self.arp.insert(interface.clone(), open_arp(interface)?);
                }
                if let Some(socket) = self.arp.get(interface)
                    && let Err(error) = send(
                        socket,
                        &arp_request(*mac, *own, address),
                        SendFlags::empty(),
                    )
                {
                    // The device may have gone and come back; the next request opens it anew.
                    self.arp.remove(interface);
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Visits the addresses that somebody answered for.
    pub(super) fn receive(&self, mut visit: impl FnMut(Ipv4Addr)) {
        let mut room = [0; 1536];
        let echo = |octets: &[u8]| parse_echo(octets, &self.token);
        receive_all(&self.echo, &mut room, echo, &mut visit);
        for socket in self.arp.values() {
            receive_all(socket, &mut room, parse_arp, &mut visit);
        }
    }
}

/// Visits the addresses that what has come to a socket speaks of.
fn receive_all(
    socket: &OwnedFd,
    room: &mut [u8],
    parse: impl Fn(&[u8]) -> Option<Ipv4Addr>,
    visit: &mut impl FnMut(Ipv4Addr),
) {
    for _ in 0..RECEIVE_MAX {
        let len = match recv(socket, &mut *room, RecvFlags::DONTWAIT) {
            Ok((len, _)) => len,
            Err(Errno::INTR) => continue,
            // Nothing more, or the device is gone, which sending will tell.
            Err(_) => return,
        };
        let address = parse(room.get(..len).unwrap_or_default());
        address.into_iter().for_each(&mut *visit);
    }
}

/// A socket for ARP on one interface.
fn open_arp(interface: &str) -> io::Result<OwnedFd> {
    let protocol = NonZeroU32::new(u32::from(ETHERTYPE_ARP.to_be())).map(Protocol::from_raw);
    let socket = socket_with(
        AddressFamily::PACKET,
        SocketType::RAW,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        protocol,
    )?;
    // The kernel's own description of the interface is the address to bind to; without a protocol in it the
    // socket keeps its own.
    let is_link = |address: &nix::sys::socket::SockaddrStorage| address.as_link_addr().copied();
    let link: Option<LinkAddr> = getifaddrs()?
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| entry.address.as_ref().and_then(is_link));
    let link = link.ok_or(io::ErrorKind::NotFound)?;
    bind(socket.as_raw_fd(), &link)?;
    Ok(socket)
}

fn arp_request(mac: MacAddress, own: Ipv4Addr, target: Ipv4Addr) -> [u8; FRAME_SIZE_MIN] {
    let parts = MacAddress::BROADCAST
        .0
        .into_iter()
        .chain(mac.0)
        .chain(ETHERTYPE_ARP.to_be_bytes())
        .chain(ARP_HEAD)
        .chain(ARP_REQUEST)
        .chain(mac.0)
        .chain(own.octets())
        .chain([0; 6])
        .chain(target.octets());
    let mut frame = [0; FRAME_SIZE_MIN];
    frame
        .iter_mut()
        .zip(parts)
        .for_each(|(to, from)| *to = from);
    frame
}

/// Who speaks in an ARP packet: an answer, or a station that asks by itself with that address (RFC 5227 section 2.4).
fn parse_arp(frame: &[u8]) -> Option<Ipv4Addr> {
    let rest = frame
        .get(12..)?
        .strip_prefix(&ETHERTYPE_ARP.to_be_bytes())?;
    let rest = rest.strip_prefix(&ARP_HEAD)?;
    // Operation, hardware address, and then the address.
    let sender = Ipv4Addr::from(*rest.get(8..)?.first_chunk::<4>()?);
    (!sender.is_unspecified()).then_some(sender)
}

fn echo_request(token: &Token, sequence: u16) -> [u8; 16] {
    let mut message = [0; 16];
    let parts = [ECHO_REQUEST, 0, 0, 0, 0, 0]
        .into_iter()
        .chain(sequence.to_be_bytes())
        .chain(*token);
    message
        .iter_mut()
        .zip(parts)
        .for_each(|(to, from)| *to = from);
    let checksum = Sum::ZERO.octets(&message).checksum().to_be_bytes();
    let place = message.iter_mut().skip(2);
    place.zip(checksum).for_each(|(to, from)| *to = from);
    message
}

/// Who answers in an echo reply to us, an IPv4 packet.
fn parse_echo(packet: &[u8], token: &Token) -> Option<Ipv4Addr> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let source = packet.get(12..)?.first_chunk::<4>()?;
    let message = packet.get(header..)?;
    let is_reply = message.first() == Some(&ECHO_REPLY);
    let is_ours = message.get(8..16) == Some(&token[..]);
    (is_reply && is_ours).then(|| Ipv4Addr::from(*source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
    const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);

    #[test]
    fn an_arp_request_asks_and_whoever_speaks_with_the_address_uses_it() {
        let request = arp_request(MAC, OWN, OTHER);
        assert_eq!(request[..6], [0xff; 6]);
        assert_eq!(request[28..32], OWN.octets());
        assert_eq!(request[38..42], OTHER.octets());
        assert_eq!(parse_arp(&request), Some(OWN), "who asks");
        for operation in [1, 2] {
            let mut heard = request;
            heard[21] = operation;
            heard[28..32].copy_from_slice(&OTHER.octets());
            assert_eq!(parse_arp(&heard), Some(OTHER));
            // Who probes by itself has no address yet.
            heard[28..32].fill(0);
            assert_eq!(parse_arp(&heard), None);
        }
    }

    #[test]
    fn an_echo_reply_to_us_tells_who() {
        let token = *b"unguess\0";
        let request = echo_request(&token, 7);
        assert_eq!(Sum::ZERO.octets(&request).fold(), 0xffff);
        let packet = |message: &[u8]| {
            let mut packet = vec![0x45; 12];
            packet.extend(OTHER.octets());
            packet.extend(OWN.octets());
            packet.extend(message);
            packet
        };
        assert_eq!(parse_echo(&packet(&request), &token), None);
        let mut reply = request;
        reply[0] = ECHO_REPLY;
        assert_eq!(parse_echo(&packet(&reply), &token), Some(OTHER));
        assert_eq!(parse_echo(&packet(&reply[..15]), &token), None);
        reply[9] ^= 1;
        assert_eq!(
            parse_echo(&packet(&reply), &token),
            None,
            "somebody guessed"
        );
    }

    #[test]
    fn a_link_is_for_the_addresses_on_it() {
        let link = Link {
            interface: "eth0".to_owned(),
            mac: MAC,
            own: OWN,
            mask: Ipv4Addr::new(255, 255, 255, 0),
        };
        assert!(link.way_to(OTHER).is_some());
        assert_eq!(link.way_to(Ipv4Addr::new(10, 0, 1, 9)), None);
    }

    proptest! {
        /// Whatever anybody sends.
        #[test]
        fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..80)) {
            parse_arp(&octets);
            parse_echo(&octets, &[0; 8]);
        }
    }
}
