//! Which relay agents stand between the clients and the server?
//!
//! A relay agent here is an address and a MAC that exist in no kernel. A server that answers to the
//! neighbour that the frame came from, as xdhcpd does, needs no more; for all others
//! [`crate::neighbour`] answers ARP and Neighbour Discovery.

use anyhow::Context;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All relay agents of a run.
#[derive(Clone, Copy, Debug)]
pub struct Relays {
    /// How many there are; clients are shared out by number.
    pub count: u32,
    /// Relay-forward messages around each other (DHCPv6).
    pub depth: u8,
    /// Address of the first.
    pub base: IpAddr,
    /// Addresses from one to the next.
    pub stride: u128,
}

/// One relay agent.
#[derive(Clone, Copy, Debug)]
pub struct Relay {
    /// Its number.
    pub number: u32,
    /// Its address on the clients' link: giaddr, link-address.
    pub address: IpAddr,
}

impl Relays {
    /// The relay agent in front of client `client`.
    pub fn of(&self, client: u32) -> Relay {
        let number = client % self.count.max(1);
        let offset = self.stride.wrapping_mul(u128::from(number));
        let address = match self.base {
            IpAddr::V4(base) => {
                let sum = u128::from(base.to_bits()).wrapping_add(offset);
                IpAddr::V4(Ipv4Addr::from_bits(sum as u32)) // wraps as addresses do
            }
            IpAddr::V6(base) => {
                IpAddr::V6(Ipv6Addr::from_bits(base.to_bits().wrapping_add(offset)))
            }
        };
        Relay { number, address }
    }
}

impl Relays {
    /// The relay agent with this address, if there is one.
    pub fn at(&self, address: IpAddr) -> Option<Relay> {
        // Asked for once per neighbour that a server looks for, so the search may take its time.
        (0..self.count)
            .map(|number| self.of(number))
            .find(|relay| relay.address == address)
    }
}

impl Relay {
    /// Ethernet address of the relay agent.
    pub fn mac(&self) -> [u8; 6] {
        let [a, b, c, d] = self.number.to_be_bytes();
        [0x06, 0x0a, a, b, c, d]
    }

    /// The access line that the client is on: circuit-id of option 82, Interface-Id of DHCPv6.
    pub fn circuit(client: u32) -> [u8; 8] {
        let [a, b, c, d] = client.to_be_bytes();
        [b'l', b'i', b'n', b'e', a, b, c, d]
    }
}

/// Reads a stride: a number of addresses, or `/64` for the size of such a prefix.
///
/// # Errors
/// When it is neither, or the prefix is longer than an address of the family.
pub fn parse_stride(text: &str, base: IpAddr) -> anyhow::Result<u128> {
    let bits = if base.is_ipv4() { 32 } else { 128 };
    let Some(length) = text.strip_prefix('/') else {
        return text
            .parse()
            .with_context(|| format!("stride {text:?}: not a number"));
    };
    let length: u32 = length
        .parse()
        .with_context(|| format!("stride {text:?}: not a length"))?;
    let free = bits.max(length) - length;
    anyhow::ensure!(
        length <= bits && free < 128,
        "stride {text:?}: not between /1 and /{bits}"
    );
    Ok(1 << free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_stand_a_stride_apart() {
        let base = IpAddr::V6("2001:db8::1".parse().unwrap());
        let stride = parse_stride("/64", base).unwrap();
        let relays = Relays {
            count: 3,
            depth: 1,
            base,
            stride,
        };
        assert_eq!(
            relays.of(5).address,
            IpAddr::V6("2001:db8:0:2::1".parse().unwrap())
        );
        assert!(parse_stride("/129", base).is_err());
    }
}
