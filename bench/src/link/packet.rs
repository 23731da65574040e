//! Frames over an ordinary packet socket: slower, and works on any interface and kernel.
#![expect(unsafe_code, reason = "no safe wrapper binds a packet socket")]

use super::{BATCH, FRAME_SIZE, Link, poll_readable};
use anyhow::Context;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// ETH_P_ALL in network order, as packet sockets want it.
const ALL_PROTOCOLS: u16 = (libc::ETH_P_ALL as u16).to_be();
/// Receive buffer, so that a burst of answers is not lost while clients are being served.
const RECEIVE_BUFFER: libc::c_int = 32 << 20;

/// A packet socket on one interface, in promiscuous mode: servers unicast to clients that are not there.
pub struct Packet {
    socket: OwnedFd,
    room: Box<[u8; FRAME_SIZE]>,
    dropped: u64,
}

impl Packet {
    /// Opens the socket.
    ///
    /// # Errors
    /// When the interface does not exist or the caller may not (CAP_NET_RAW).
    pub fn open(interface: &str) -> anyhow::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: the call takes no pointers. Protocol 0 receives nothing until the socket is bound.
        let raw = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        anyhow::ensure!(
            raw >= 0,
            "opening a packet socket: {} (needs CAP_NET_RAW)",
            io::Error::last_os_error()
        );
        // SAFETY: the descriptor is new and nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(raw) };
        let index = rustix::net::netdevice::name_to_index(&socket, interface)
            .with_context(|| format!("interface {interface}"))?;
        let index = libc::c_int::try_from(index)?;
        let own_frames_are_of_no_interest: libc::c_int = 1;
        let membership = libc::packet_mreq {
            mr_ifindex: index,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        set_option(
            &socket,
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            &RECEIVE_BUFFER,
        )?;
        set_option(
            &socket,
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            &membership,
        )?;
        let ignore_outgoing = 23; // PACKET_IGNORE_OUTGOING
        set_option(
            &socket,
            libc::SOL_PACKET,
            ignore_outgoing,
            &own_frames_are_of_no_interest,
        )?;
        bind(&socket, index).with_context(|| format!("binding a packet socket to {interface}"))?;
        Ok(Self {
            socket,
            room: Box::new([0; FRAME_SIZE]),
            dropped: 0,
        })
    }
}

impl Link for Packet {
    fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        for count in 0..BATCH {
            match recv(&self.socket, self.room.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((len, _)) => take(self.room.get(..len).unwrap_or_default()),
                Err(Errno::AGAIN) => return Ok(count),
                Err(Errno::NETDOWN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(BATCH)
    }

    fn send(&mut self, write: &mut dyn FnMut(&mut [u8]) -> usize) -> io::Result<bool> {
        let len = write(self.room.as_mut_slice());
        let frame = self.room.get(..len).unwrap_or_default();
        match send(&self.socket, frame, SendFlags::DONTWAIT) {
            Ok(_) => {}
            // The frame is lost as on any wire; the client that sent it asks again.
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::NETDOWN) => self.dropped += 1,
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        poll_readable(&self.socket, timeout)
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }
}

fn set_option<T>(
    socket: &OwnedFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    let value = std::ptr::from_ref(value).cast();
    // SAFETY: the pointer and the length describe `value`, which outlives the call.
    let status = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, len) };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn bind(socket: &OwnedFd, index: libc::c_int) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: ALL_PROTOCOLS,
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    let pointer = (&raw const address).cast();
    // SAFETY: the pointer and the length describe `address`, which outlives the call.
    let status = unsafe { libc::bind(socket.as_raw_fd(), pointer, len) };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
