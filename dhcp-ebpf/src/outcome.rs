//! What became of a frame?

/// Declares the outcomes once: number, name and description cannot drift apart.
macro_rules! outcomes {
    ($($variant:ident $name:literal $description:literal,)*) => {
        /// What became of a frame; each has a per-CPU counter in [`COUNTERS`](crate::maps::COUNTERS)
        /// at its number. Numbers may change between releases, names do not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Outcome {
            $(#[doc = $description] $variant,)*
        }

        impl Outcome {
            /// All outcomes in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// How many there are: the size of the counters' map.
            pub const COUNT: u32 = Self::ALL.len() as u32;

            /// The name in metrics and logs.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// One sentence for an operator.
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $description,)*
                }
            }
        }
    };
}

outcomes! {
    TakenV4 "taken_v4" "A DHCPv4 datagram for the server, given to a worker.",
    TakenV6 "taken_v6" "A DHCPv6 datagram for the server, given to a worker.",
    PassNoSocket "pass_no_socket" "A datagram for the server, but its worker has no socket: passed to the kernel.",
    PassTruncated "pass_truncated" "The frame ends inside its headers: passed to the kernel.",
    PassVlanTags "pass_vlan_tags" "More than two VLAN tags: passed to the kernel.",
    PassNotIp "pass_not_ip" "Neither IPv4 nor IPv6, ARP for example: passed to the kernel.",
    PassIpHeader "pass_ip_header" "An IP header that contradicts itself: passed to the kernel.",
    PassFragmentV4 "pass_fragment_v4" "A fragment of an IPv4 packet: passed to the kernel.",
    PassFragmentV6 "pass_fragment_v6" "An IPv6 packet with a fragment header: passed to the kernel.",
    PassExtensionHeaders "pass_extension_headers" "Too many IPv6 extension headers, or a route that does not end here: passed to the kernel.",
    PassNotUdp "pass_not_udp" "An IP packet that is not UDP: passed to the kernel.",
    PassPort "pass_port" "UDP to a port that is not a DHCP server's: passed to the kernel.",
    PassAddress "pass_address" "UDP to a DHCP server, but to an address that is not served: passed to the kernel.",
    PassFamily "pass_family" "UDP to a DHCP server of a family that this interface does not serve: passed to the kernel.",
}

impl Outcome {
    /// The number of its counter.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self as u32
    }

    /// Did the frame go to a DHCP server's port, whatever became of it?
    #[inline(always)]
    pub const fn concerns_dhcp(self) -> bool {
        match self {
            Self::TakenV4
            | Self::TakenV6
            | Self::PassNoSocket
            | Self::PassAddress
            | Self::PassFamily => true,
            Self::PassTruncated
            | Self::PassVlanTags
            | Self::PassNotIp
            | Self::PassIpHeader
            | Self::PassFragmentV4
            | Self::PassFragmentV6
            | Self::PassExtensionHeaders
            | Self::PassNotUdp
            | Self::PassPort => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_follow_the_order_and_names_are_unique() {
        let mut names = HashSet::new();
        for (index, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(outcome.index() as usize, index);
            assert!(
                names.insert(outcome.name()),
                "{} stands twice",
                outcome.name()
            );
        }
    }
}
