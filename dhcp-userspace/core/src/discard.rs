//! Why a frame was not answered: each reason is a counter and a line in docs/metrics.md.

/// Declares the reasons once: variant, stable name, meaning.
macro_rules! discards {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a frame ended without a reply. `Copy`, no heap: it is made on the hot path.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Discard {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Discard {
            /// All reasons, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reason's name in metrics and `status`; it never changes.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it means, for documentation and `status`.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

discards! {
    /// The frame is no Ethernet, IP and UDP that we understand.
    Frame = "malformed_frame",
    /// The IPv4 header checksum or the UDP checksum is wrong.
    Checksum = "bad_checksum",
    /// The frame is for another address or port.
    NotForUs = "not_for_us",
    /// The DHCPv4 message is malformed.
    MalformedV4 = "malformed_v4",
    /// The DHCPv6 message, or a Relay-forward around it, is malformed.
    MalformedV6 = "malformed_v6",
    /// A BOOTREPLY, or a message type that only servers send.
    FromServer = "from_server",
    /// A message type that we do not know.
    UnknownMessage = "unknown_message",
    /// A BOOTP request (no message type, option 53) where BOOTP is not served.
    Bootp = "bootp",
    /// No subnet is configured for where the message came from.
    NoSubnet = "no_subnet",
    /// The client has no usable identity (no client identifier, no hardware address, no DUID, or too long).
    NoClient = "no_client",
    /// The message names another server.
    OtherServer = "other_server",
    /// The message breaks a rule of RFC 2131 table 5 or of RFC 8415 section 16.
    Invalid = "invalid_message",
    /// A DHCPv6 message was sent to a unicast address by a client (RFC 8415 section 16, RFC 9915).
    Unicast = "unicast_v6",
    /// The client is in the class `DROP`.
    DropClass = "drop_class",
    /// More relay agents, IAs, or octets of either than one message may have.
    TooMany = "too_many",
    /// A REQUEST for an address we know nothing of, which another server may (RFC 2131 section 4.3.2).
    UnknownBinding = "unknown_binding",
    /// No address is free for a DISCOVER.
    NoAddress = "no_address",
    /// An OFFER whose address was to be probed first (`enable-ping-check`): there was no result in time, or no room
    /// for it to wait. The client asks again.
    Probing = "probing",
    /// Somebody answered for the address of an OFFER that waited (`enable-ping-check`). The client asks again, and
    /// the address is declined then.
    ProbedInUse = "probed_in_use",
    /// A RELEASE was taken; it has no answer.
    Released = "released",
    /// A RELEASE by somebody who does not hold the lease.
    ReleaseNotHolder = "release_not_holder",
    // RFC 2131 section 4.3.3 [decline-told]: counted where the administrator looks; `leases list` names the address.
    /// A DECLINE was taken; it has no answer.
    Declined = "declined",
    /// A DECLINE by somebody who does not hold the lease.
    DeclineNotHolder = "decline_not_holder",
    /// A DECLINE of a client that has declined as much as one client may: its lease ended, and nothing was
    /// kept from others.
    DeclineOverLimit = "decline_over_limit",
    /// A Confirm that cannot be judged, or that has no addresses (RFC 8415 section 18.3.3).
    CannotConfirm = "cannot_confirm",
    /// The same was asked a moment ago, and its answer leaves as soon as the disk has the lease.
    Duplicate = "duplicate",
    /// The lease table is full.
    TableFull = "table_full",
    /// The reply does not fit into the frame.
    ReplyTooLong = "reply_too_long",
    /// The reply would go to an address that is no client's (multicast, loopback, our own).
    BadDestination = "bad_destination",
    /// The lease store does not take commits at the moment (disk trouble).
    StoreUnavailable = "store_unavailable",
    /// A DISCOVER, or a claim that did not come by the client's link, for which no address is free for sure: the
    /// lease store is a restored copy (`xdhcpd ctl restore`).
    Withheld = "withheld",
    /// A leasequery (RFC 4388), which is not switched on (`leasequery`).
    LeasequeryOff = "leasequery_off",
    /// A leasequery whose sender, or whose giaddr, is not among the requestors (`leasequery.requestors`).
    LeasequeryRefused = "leasequery_refused",
    /// A leasequery that asks for nothing or for several things at once, or does not say for whom.
    LeasequeryInvalid = "leasequery_invalid",
    /// More leasequeries than one worker may answer in a second (`leasequery.rate-max`).
    LeasequeryRate = "leasequery_rate",
    /// A leasequery while the leases are still being filed, shortly after the start.
    LeasequeryUnready = "leasequery_unready",
    /// A relayed message whose `giaddr` is an address of ours: nobody can be answered there.
    GiaddrOurs = "giaddr_is_ours",
    /// A relayed message from an interface behind which there are no relay agents (`accept-relayed = false`).
    RelayRefused = "relay_refused",
    /// A relayed message whose `giaddr` is not among `allowed-relays` and no subnet's `relay`.
    UnknownRelay = "unknown_relay",
    /// A message for a client of a VPN that no subnet belongs to (RFC 6607).
    UnknownVpn = "unknown_vpn",
    /// The client's line holds as many leases as it may (`line-address-limit`), and none of them is the client's. A
    /// REQUEST gets a NAK instead, a DHCPv6 client a status: `xdhcpd_lease_limit_refusals_total` counts all of them.
    LineLimit = "line_limit",
    /// The same for a class of the client (its `address-limit`).
    ClassLimit = "class_limit",
    /// The same for the subnet (its `address-limit`), and no other subnet on the link has room.
    SubnetLimit = "subnet_limit",
    /// A message without the sub-option of option 82 by which the subnet knows its clients (`client-key`), or whose own
    /// identifier looks like a flexible one; a renewal past the relay agent only shortly after the start.
    NoClientKey = "no_client_key",
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_its_own_name_and_its_own_place() {
        let names: HashSet<_> = Discard::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Discard::ALL.len());
        for (place, reason) in Discard::ALL.iter().enumerate() {
            assert_eq!(place, *reason as usize);
        }
    }
}
