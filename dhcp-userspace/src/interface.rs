//! Which addresses has an interface at the moment?

use dhcp_core::Interface;
use dhcp_wire::frame::MacAddress;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv6Addr, UdpSocket};
use std::path::Path;

/// All_DHCP_Relay_Agents_and_Servers (RFC 9915 section 7.1).
pub const ALL_RELAY_AGENTS_AND_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// All_DHCP_Servers (RFC 9915 section 7.1).
pub const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3);

/// An interface as the kernel describes it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number. Another one under the same name is another device.
    pub index: u32,
    /// Whether it is up and has a carrier.
    pub is_running: bool,
    /// Its name and addresses.
    pub interface: Interface,
}

/// All interfaces, by name.
///
/// # Errors
/// Those of the system.
pub fn devices() -> io::Result<BTreeMap<String, Device>> {
    let mut devices = BTreeMap::<String, Device>::new();
    for entry in getifaddrs()? {
        let name = entry.interface_name.clone();
        let device = devices.entry(name).or_insert_with_key(|name| Device {
            index: if_nametoindex(name.as_str()).unwrap_or(0),
            is_running: entry
                .flags
                .contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING),
            interface: Interface {
                name: name.clone(),
                ..Interface::default()
            },
        });
        let Some(address) = entry.address else {
            continue;
        };
        let interface = &mut device.interface;
        if let Some(mac) = address.as_link_addr().and_then(|link| link.addr()) {
            interface.mac = MacAddress(mac);
        } else if let Some(v4) = address.as_sockaddr_in() {
            interface.v4.push(v4.ip());
        } else if let Some(v6) = address.as_sockaddr_in6() {
            let address = v6.ip();
            if !address.is_unicast_link_local() {
                interface.v6.push(address);
            } else if interface.link_local.is_none() {
                interface.link_local = Some(address);
            }
        }
    }
    Ok(devices)
}

/// How many receive queues an interface has; 1 when the system does not say.
pub fn receive_queues(name: &str) -> u32 {
    let folder = Path::new("/sys/class/net").join(name).join("queues");
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 1;
    };
    let is_receive = |entry: &io::Result<std::fs::DirEntry>| {
        entry
            .as_ref()
            .is_ok_and(|entry| entry.file_name().as_encoded_bytes().starts_with(b"rx-"))
    };
    u32::try_from(entries.filter(is_receive).count())
        .unwrap_or(1)
        .max(1)
}

/// Whether the driver takes VLAN tags off received frames before XDP sees them. `None`: unknown.
///
/// There is no file that says so; the feature flags are an ioctl away. What can be known without is
/// whether this is a virtual device, whose frames carry their tags.
pub fn may_hide_vlan_tags(name: &str) -> bool {
    // A device of a bus (PCI, USB, virtio) has this link; veth, bridges and tunnels have not.
    Path::new("/sys/class/net")
        .join(name)
        .join("device")
        .exists()
}

/// Membership in the multicast groups of DHCPv6 servers on one interface, as long as it lives.
///
/// The XDP program takes the datagrams before the kernel sees them; the membership is for the NIC's
/// filter and for switches that listen to MLD.
#[derive(Debug)]
pub struct Membership {
    _socket: UdpSocket,
}

impl Membership {
    /// Joins both groups.
    ///
    /// # Errors
    /// Those of the system; without IPv6 on the interface there is nothing to join.
    pub fn join(index: u32) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
        // RFC 9915 section 7.1 [multicast-groups]: servers listen on both groups.
        socket.join_multicast_v6(&ALL_RELAY_AGENTS_AND_SERVERS, index)?;
        socket.join_multicast_v6(&ALL_SERVERS, index)?;
        Ok(Self { _socket: socket })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_found_with_its_address() {
        let devices = devices().unwrap();
        let loopback = devices.get("lo").unwrap();
        assert_eq!(loopback.interface.name, "lo");
        assert_ne!(loopback.index, 0);
        assert!(
            loopback
                .interface
                .v4
                .contains(&std::net::Ipv4Addr::LOCALHOST)
        );
        assert!(receive_queues("lo") >= 1);
    }
}
