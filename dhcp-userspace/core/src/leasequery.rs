//! Who may ask for others' leases, how often, and what is told?

use core::net::Ipv4Addr;

/// A network of requestors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requestors {
    /// Its first address.
    pub network: Ipv4Addr,
    /// Length of its prefix, 0 to 32.
    pub prefix_len: u8,
}

impl Requestors {
    /// Whether an address lies in it.
    pub fn contain(&self, address: Ipv4Addr) -> bool {
        let host_bits = u32::MAX
            .checked_shr(u32::from(self.prefix_len))
            .unwrap_or(0);
        (address.to_bits() ^ self.network.to_bits()) & !host_bits == 0
    }
}

/// What the operator decided about leasequery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leasequery {
    /// Who is answered: nobody else learns anything (RFC 4388 section 7).
    pub requestors: Vec<Requestors>,
    /// How many queries a worker answers in a second.
    pub rate_max: u32,
    /// Codes of the options that are told to whoever asks for them, in ascending order (the non-sensitive
    /// options of RFC 4388 section 6.4.2).
    pub options: Box<[u8]>,
}

impl Leasequery {
    /// Whether a requestor may have this address.
    pub fn permits(&self, address: Ipv4Addr) -> bool {
        self.requestors
            .iter()
            .any(|network| network.contain(address))
    }

    /// Whether an option may be told.
    pub fn tells(&self, code: u8) -> bool {
        self.options.binary_search(&code).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_ends_where_its_prefix_says() {
        let network = |text: &str, prefix_len| Requestors {
            network: text.parse().unwrap(),
            prefix_len,
        };
        let contains = |network: Requestors, text: &str| network.contain(text.parse().unwrap());
        assert!(contains(network("192.0.2.0", 24), "192.0.2.255"));
        assert!(!contains(network("192.0.2.0", 24), "192.0.3.0"));
        assert!(contains(network("192.0.2.7", 32), "192.0.2.7"));
        assert!(!contains(network("192.0.2.7", 32), "192.0.2.6"));
        assert!(contains(network("0.0.0.0", 0), "203.0.113.9"));
        assert!(!contains(network("128.0.0.0", 1), "127.255.255.255"));
    }
}
