//! How does a message leave that answers nothing? Through the kernel, which knows routes and neighbours.
//!
//! A raw IPv4 socket that only sends: it is bound to no port, so it is in nobody's way (another DHCP server or a
//! relay agent on this machine may have port 67), and it receives nothing, so nothing has to be thrown away. The
//! rings and the XDP program are not involved: the program looks at what arrives, never at what leaves.

use dhcp_wire::frame::{Addresses, Envelope, MacAddress, Tags};
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with,
};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::OwnedFd;

/// Octets of a frame of ours: Ethernet, IPv4, UDP and the longest message.
const FRAME_OCTETS: usize = 1536;
/// Octets of the Ethernet header, which the kernel writes itself.
const ETHERNET_OCTETS: usize = 14;

/// Sends datagrams from any of our addresses and ports.
#[derive(Debug)]
pub(super) struct Sender {
    raw: OwnedFd,
    /// Asked for the source address that the kernel would use; it sends nothing.
    probe: UdpSocket,
    frame: Box<[u8; FRAME_OCTETS]>,
}

impl Sender {
    /// Opens the sockets.
    ///
    /// # Errors
    /// Those of the system: it takes the capability CAP_NET_RAW, which AF_XDP takes too.
    pub(super) fn open() -> io::Result<Self> {
        let raw = socket_with(
            AddressFamily::INET,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(ipproto::RAW),
        )?;
        Ok(Self {
            raw,
            probe: UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
            frame: Box::new([0; FRAME_OCTETS]),
        })
    }

    /// From which address the kernel sends to `destination`.
    ///
    /// # Errors
    /// Those of the system: there is no route.
    pub(super) fn source_towards(&self, destination: Ipv4Addr) -> io::Result<Ipv4Addr> {
        self.probe.connect((destination, 68))?;
        match self.probe.local_addr()?.ip() {
            std::net::IpAddr::V4(address) => Ok(address),
            std::net::IpAddr::V6(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Sends what `write` writes, which says how long it is, or that there is nothing to send.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn send(
        &mut self,
        (source, source_port): (Ipv4Addr, u16),
        (destination, destination_port): (Ipv4Addr, u16),
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> io::Result<()> {
        let envelope = Envelope {
            source_mac: MacAddress::default(),
            destination_mac: MacAddress::default(),
            tags: Tags::default(),
            addresses: Addresses::V4 {
                source,
                destination,
            },
            source_port,
            destination_port,
        };
        let payload = self.frame.get_mut(envelope.header_len()..);
        let Some(len) = write(payload.unwrap_or_default()) else {
            return Ok(());
        };
        let end = envelope
            .emit(self.frame.as_mut_slice(), len)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let packet = self.frame.get(ETHERNET_OCTETS..end).unwrap_or_default();
        let to = SocketAddrV4::new(destination, 0);
        sendto(&self.raw, packet, SendFlags::empty(), &to)?;
        Ok(())
    }
}
