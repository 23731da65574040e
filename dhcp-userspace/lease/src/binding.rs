//! The server's record that ties a client to a lease.

use crate::context::Context;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use dhcp_wire::id::{ClientId, HardwareAddress, Iaid};

/// Server time in seconds since 1970 (64 bits: 2038 and 2106 are ordinary days).
///
/// It never goes back while the server runs: the shell derives it from the boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The end of a lease that never ends (a lifetime of 0xffffffff, RFC 2131 section 3.3).
    pub const NEVER: Self = Self(u64::MAX);

    /// This moment plus a lifetime off the wire, where 0xffffffff means for ever.
    #[must_use]
    pub fn after(self, lifetime_seconds: u32) -> Self {
        match lifetime_seconds {
            u32::MAX => Self::NEVER,
            seconds => Self(self.0.saturating_add(u64::from(seconds))),
        }
    }

    /// Seconds from `now` until this moment, 0 when it has passed, `u32::MAX` when it never comes.
    pub fn seconds_left(self, now: Timestamp) -> u32 {
        if self == Self::NEVER {
            return u32::MAX;
        }
        u32::try_from(self.0.saturating_sub(now.0)).unwrap_or(u32::MAX - 1)
    }

    /// Seconds from an earlier moment until this one; 0 if it is a later one.
    pub fn seconds_since(self, earlier: Timestamp) -> u32 {
        u32::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(u32::MAX)
    }
}

/// For how long after its end a lease stays out of its pool.
///
/// A DHCPv6 client counts from when it has the reply (RFC 9915 section 18.2.10.1), a DHCPv4 client from
/// when it sent its request (RFC 2131 section 4.4.1). We count whole seconds from before we reply, and the
/// reply then waits for the journal and the network. So the client may use the lease for a moment after
/// `expires`: a second for what was cut off, and one for the way. The client itself may have it again at
/// once.
pub const GRACE_SECONDS: u32 = 2;

/// The number of a subnet, as in the configuration (`id`) and in Kea's lease files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SubnetId(pub u32);

/// What sort of thing is leased; each has its own bindings, also for one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LeaseKind {
    /// An IPv4 address.
    V4 = 4,
    /// An IPv6 address of an IA_NA.
    Address = 6,
    /// A delegated prefix of an IA_PD.
    Prefix = 7,
}

/// An address or delegated prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lease {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    Address(Ipv6Addr),
    /// A delegated prefix and its length; bits after the length are zero.
    Prefix(Ipv6Addr, u8),
}

impl Lease {
    /// Its kind.
    pub fn kind(&self) -> LeaseKind {
        match self {
            Self::V4(_) => LeaseKind::V4,
            Self::Address(_) => LeaseKind::Address,
            Self::Prefix(..) => LeaseKind::Prefix,
        }
    }

    /// Its first address.
    pub fn address(&self) -> IpAddr {
        match *self {
            Self::V4(address) => IpAddr::V4(address),
            Self::Address(address) | Self::Prefix(address, _) => IpAddr::V6(address),
        }
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => write!(f, "{address}"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Prefix(address, length) => write!(f, "{address}/{length}"),
        }
    }
}

/// What a record says of its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Granted to the client until `expires`; after that it is the client's former lease.
    Leased = 1,
    /// Given back by the client before its time (RFC 2131 section 4.3.4); its former lease.
    Released = 2,
    /// Found in use by somebody else (RFC 2131 section 4.3.3); nobody's until `expires`.
    Declined = 3,
}

/// One binding: who holds what, until when. Owned; the table keeps it archived (`format`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The address or prefix.
    pub lease: Lease,
    /// What the record says of it.
    pub state: State,
    /// Subnet that it was granted from.
    pub subnet: SubnetId,
    /// DHCPv4: the client identifier, empty if the client sent none. DHCPv6: the DUID.
    pub client: ClientId,
    /// DHCPv4: `chaddr`. DHCPv6: the client's link-layer address where known, else none.
    pub hardware: HardwareAddress,
    /// DHCPv6: the IA. DHCPv4: 0.
    pub iaid: Iaid,
    /// When the client was last heard and answered.
    pub last_transaction: Timestamp,
    /// When the lease, or the quarantine, ends.
    pub expires: Timestamp,
    /// Valid lifetime granted, in seconds.
    pub valid_seconds: u32,
    /// DHCPv6: preferred lifetime granted, in seconds. DHCPv4: 0.
    pub preferred_seconds: u32,
    /// In what surroundings it was granted. What there is no room for is left out, from the end.
    pub context: Context,
}

/// What of a binding most decisions need: all but whose it is and in what surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The address or prefix.
    pub lease: Lease,
    /// What the record says of it.
    pub state: State,
    /// Subnet that it was granted from.
    pub subnet: SubnetId,
    /// When the client was last heard and answered.
    pub last_transaction: Timestamp,
    /// When the lease, or the quarantine, ends.
    pub expires: Timestamp,
    /// Valid lifetime granted, in seconds.
    pub valid_seconds: u32,
    /// DHCPv6: preferred lifetime granted, in seconds. DHCPv4: 0.
    pub preferred_seconds: u32,
}

impl Terms {
    /// Whether the lease is the client's at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.state == State::Leased && self.expires > now
    }
}

impl Default for Binding {
    /// A binding to read into: of nobody, for nothing, released.
    fn default() -> Self {
        Self {
            lease: Lease::V4(Ipv4Addr::UNSPECIFIED),
            state: State::Released,
            subnet: SubnetId::default(),
            client: ClientId::default(),
            hardware: HardwareAddress::NONE,
            iaid: Iaid::default(),
            last_transaction: Timestamp::default(),
            expires: Timestamp::default(),
            valid_seconds: 0,
            preferred_seconds: 0,
            context: Context::EMPTY,
        }
    }
}

impl Binding {
    /// Whether the lease is the client's at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.state == State::Leased && self.expires > now
    }

    /// Octets of hardware address and client identifier together.
    pub(crate) fn identity_len(&self) -> usize {
        self.hardware.as_slice().len() + self.client.len()
    }
}

/// By what a binding is found: the client, the kind of lease, the IA.
///
/// The network it must lie in is asked separately (the same client identifier on two links is two
/// leases, RFC 2131 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// Kind of lease.
    pub kind: LeaseKind,
    /// DHCPv4: client identifier (empty: found by `hardware`). DHCPv6: DUID.
    pub client: &'a [u8],
    /// DHCPv4: `chaddr`, which counts only when `client` is empty.
    pub hardware: HardwareAddress,
    /// DHCPv6: the IA. DHCPv4: 0.
    pub iaid: Iaid,
}

impl Key<'_> {
    /// The octets that give the client its worker and its partition (`dhcp_wire::id::spread`).
    pub fn spread_octets(&self) -> &[u8] {
        if self.client.is_empty() {
            self.hardware.as_slice()
        } else {
            self.client
        }
    }
}
