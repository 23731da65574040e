//! What may be asked of a packet?

use super::{Failure, Scratch};

/// Which protocol an expression is about: some words belong to one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// DHCPv4.
    V4,
    /// DHCPv6.
    V6,
}

impl Protocol {
    /// What fields of its messages begin with.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::V4 => "pkt4",
            Self::V6 => "pkt6",
        }
    }
}

/// Whose information: of a vendor by its enterprise number, or of whoever comes first (`*` or 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vendor(pub Option<u32>);

/// One thing that a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `option[code]` of the client's message; if it was split, put together.
    Option(u16),
    /// `option[code].option[sub-option]`.
    SubOption(u16, u16),
    /// `relay4[code]`: a sub-option of the relay agent's option 82.
    Relay4(u8),
    /// `relay6[level].option[code]`. Level 0 is the relay agent next to the server, -1 the one next to the
    /// client.
    Relay6Option(i8, u16),
    /// `relay6[level].peeraddr`.
    Relay6Peer(i8),
    /// `relay6[level].linkaddr`.
    Relay6Link(i8),
    /// `pkt.iface`: the name of the interface that it came in on.
    Interface,
    /// `pkt.src`: the IP address that it came from.
    Source,
    /// `pkt.dst`: the IP address that it was sent to.
    Destination,
    /// `pkt.len`: octets of the UDP payload, as a number.
    Length,
    /// `pkt4.mac`: `chaddr`, as long as `hlen` says.
    HardwareAddress,
    /// `pkt4.htype`, a number.
    HardwareType,
    /// `pkt4.hlen`, a number.
    HardwareLength,
    /// `pkt4.ciaddr`.
    Ciaddr,
    /// `pkt4.giaddr`.
    Giaddr,
    /// `pkt4.yiaddr`.
    Yiaddr,
    /// `pkt4.siaddr`.
    Siaddr,
    /// `pkt4.msgtype` or `pkt6.msgtype`, a number.
    MessageType(Protocol),
    /// `pkt4.transid` or `pkt6.transid`, a number.
    TransactionId(Protocol),
    /// `vendor[enterprise]`: vendor options (DHCPv4 125, DHCPv6 17).
    Vendor(Vendor),
    /// `vendor.enterprise`: whose the first of them are, a number.
    VendorEnterprise,
    /// `vendor[enterprise].option[code]`.
    VendorOption(Vendor, u16),
    /// `vendor-class[enterprise]`: a vendor class (DHCPv4 124, DHCPv6 16).
    VendorClass(Vendor),
    /// `vendor-class.enterprise`: whose the first of them is, a number.
    VendorClassEnterprise,
    /// `vendor-class[enterprise].data[index]`.
    VendorClassData(Vendor, u8),
}

/// A packet that expressions can be evaluated over.
pub trait Packet {
    /// The octets of a field; `None` if the packet does not have it. Numbers are four octets, big end first.
    /// What does not stand in the packet in one piece is put together in `scratch`.
    ///
    /// # Errors
    /// [`Failure::NoRoom`].
    fn field<'s>(
        &'s self,
        field: Field,
        scratch: &mut Scratch<'s>,
    ) -> Result<Option<&'s [u8]>, Failure>;
}
