//! Who are the simulated clients? Identifiers made from a seed and a number, and what each client holds.

use std::net::{IpAddr, Ipv6Addr};

/// Most clients of one run: their numbers and their slots must fit the 24 bits of a DHCPv6
/// transaction identifier with room to spare.
pub const CLIENTS_MAX: u32 = 1 << 24;

const MASK: u64 = (1 << 40) - 1;
const SCATTER: u64 = 0x9e_3779_b97f_4a7d;
/// The inverse of [`SCATTER`] modulo 2^40, by Newton's iteration: each turn doubles the right bits.
const GATHER: u64 = {
    let mut inverse = SCATTER;
    let mut turn = 0;
    while turn < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(SCATTER.wrapping_mul(inverse)));
        turn += 1;
    }
    inverse & MASK
};

/// Where the clients of a seed begin.
fn first(seed: u64) -> u64 {
    seed.wrapping_mul(0x9e37_79b9) & MASK
}

/// What identifies one client on the wire. Cheap to make anew for every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Ethernet address, locally administered.
    pub mac: [u8; 6],
}

impl Identity {
    /// The identity of client `number`; different numbers never share one. A run with another seed has
    /// other clients.
    pub fn new(seed: u64, number: u32) -> Self {
        // Multiplication by an odd number modulo 2^40 keeps distinct numbers distinct and scatters them,
        // so that the clients are not neighbours in anybody's index.
        let scattered = (first(seed) + u64::from(number)).wrapping_mul(SCATTER) & MASK;
        let mixed = scattered ^ (scattered >> 20);
        let [_, _, _, a, b, c, d, e] = mixed.to_be_bytes();
        Self {
            mac: [0x02, a, b, c, d, e],
        }
    }

    /// The number of the client with this link-local address, if a client of this seed has it.
    pub fn number_of(seed: u64, address: Ipv6Addr) -> Option<u32> {
        let [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, a, b, 0xff, 0xfe, c, d, e] = address.octets() else {
            return None;
        };
        let mixed = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
        let scattered = mixed ^ (mixed >> 20);
        let number = scattered.wrapping_mul(GATHER).wrapping_sub(first(seed)) & MASK;
        u32::try_from(number).ok()
    }

    /// DHCPv4 client identifier: hardware type and address (RFC 2132 section 9.14).
    pub fn client_id(&self) -> [u8; 7] {
        let [a, b, c, d, e, f] = self.mac;
        [1, a, b, c, d, e, f]
    }

    /// DUID-LL (RFC 9915 section 11.4).
    pub fn duid(&self) -> [u8; 10] {
        let [a, b, c, d, e, f] = self.mac;
        [0, 3, 0, 1, a, b, c, d, e, f]
    }

    /// Link-local address with the interface identifier of the MAC (RFC 4291 appendix A).
    pub fn link_local(&self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.mac;
        Ipv6Addr::from([
            0xfe,
            0x80,
            0,
            0,
            0,
            0,
            0,
            0,
            a ^ 2,
            b,
            c,
            0xff,
            0xfe,
            d,
            e,
            f,
        ])
    }
}

/// What a server granted to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Held {
    /// The address, or the address of IA_NA.
    pub address: Option<IpAddr>,
    /// The delegated prefix of IA_PD.
    pub prefix: Option<(Ipv6Addr, u8)>,
    /// Lease time or valid lifetime; the shorter one where there are two.
    pub lifetime_seconds: u32,
    /// Which of [`crate::engine::Engine`]'s known servers granted it.
    pub server: u8,
}

/// One simulated client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client {
    /// What it holds, if anything.
    pub held: Option<Held>,
    /// When that was acknowledged, nanoseconds of [`crate::clock::now`].
    pub acknowledged: u64,
    /// Whether an exchange of it is under way.
    pub busy: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_clients_of_a_run_share_a_mac() {
        let macs: HashSet<_> = (0..300_000)
            .map(|number| Identity::new(7, number).mac)
            .collect();
        assert_eq!(macs.len(), 300_000);
    }

    #[test]
    fn a_link_local_address_tells_its_client() {
        for number in [0, 1, 77, 1 << 23] {
            let address = Identity::new(9, number).link_local();
            assert_eq!(Identity::number_of(9, address), Some(number));
        }
        assert_eq!(Identity::number_of(9, "fe80::1".parse().unwrap()), None);
    }
}
