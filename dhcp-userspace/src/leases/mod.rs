//! Which leases are there? Looking at them, finding one, carrying them elsewhere.

mod export;
mod files;
pub mod import;
mod isc;
mod kea;
mod own;
pub mod places;
mod render;
mod rows;
mod set;
pub mod source;
mod surroundings;
mod verify;

pub use export::{Export, ExportError, Exported, Which};
pub use files::{Damage, Files, Progress, ReadError, Summary, for_each};
pub use kea::KeaVersion;
pub use render::{Format, render};
pub(crate) use render::{columns, time};
pub use rows::Spot;
pub use surroundings::{ContextView, RelayView};
pub use verify::{Verdict, verify};

use crate::config::notation::{self, Family};
use dhcp_lease::{Binding, Context, Lease, LeaseKind, State, SubnetId, Timestamp};
use dhcp_wire::id::{ClientId, HardwareAddress, Iaid};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Reads an address, or a prefix with its length, as leases are written.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Lease, String> {
    if text.contains('/') {
        let prefix = notation::prefix(Family::V6, text)?;
        return match prefix.address {
            IpAddr::V6(address) => Ok(Lease::Prefix(address, prefix.len)),
            IpAddr::V4(_) => Err(format!("{text:?} is not an IPv6 prefix")),
        };
    }
    match text.parse() {
        Ok(IpAddr::V4(address)) => Ok(Lease::V4(address)),
        Ok(IpAddr::V6(address)) => Ok(Lease::Address(address)),
        Err(_) => Err(format!(
            "{text:?} is neither an address nor a prefix with its length"
        )),
    }
}

/// A binding as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct LeaseView {
    /// The address, or the prefix with its length.
    pub address: String,
    /// `v4`, `na` or `pd`.
    pub kind: String,
    /// `leased`, `expired`, `released` or `declined`.
    pub state: String,
    /// Number of its subnet.
    pub subnet_id: u32,
    /// Client identifier (DHCPv4) or DUID (DHCPv6), in hexadecimal; empty if there is none.
    pub client: String,
    /// Hardware address; empty if it is not known.
    pub hw_address: String,
    /// Hardware type of that address.
    pub hw_type: u8,
    /// The IA (DHCPv6).
    pub iaid: u32,
    /// Valid lifetime granted, in seconds.
    pub valid_lifetime: u32,
    /// Preferred lifetime granted, in seconds (DHCPv6).
    pub preferred_lifetime: u32,
    /// When the client was last heard and answered, in seconds since 1970.
    pub last_transaction: u64,
    /// When it ends, in seconds since 1970; nothing for never.
    pub expires: Option<u64>,
    /// From where it was asked for.
    #[serde(default, skip_serializing_if = "ContextView::is_empty")]
    pub context: ContextView,
}

impl LeaseView {
    /// A binding as it is at `now`.
    pub fn new(binding: &Binding, now: Timestamp) -> Self {
        let kind = match binding.lease.kind() {
            LeaseKind::V4 => "v4",
            LeaseKind::Address => "na",
            LeaseKind::Prefix => "pd",
        };
        let state = match binding.state {
            State::Leased if binding.is_live(now) => "leased",
            State::Leased => "expired",
            State::Released => "released",
            State::Declined if binding.expires > now => "declined",
            State::Declined => "expired",
        };
        Self {
            address: binding.lease.to_string(),
            kind: kind.to_owned(),
            state: state.to_owned(),
            subnet_id: binding.subnet.0,
            client: notation::hex(binding.client.as_slice()),
            hw_address: notation::hex(binding.hardware.as_slice()),
            hw_type: binding.hardware.htype(),
            iaid: binding.iaid.0,
            valid_lifetime: binding.valid_seconds,
            preferred_lifetime: binding.preferred_seconds,
            last_transaction: binding.last_transaction.0,
            expires: (binding.expires != Timestamp::NEVER).then_some(binding.expires.0),
            context: ContextView::new(&binding.context),
        }
    }

    /// The binding that is shown so.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn binding(&self) -> Result<Binding, String> {
        let lease = parse(&self.address)?;
        let kind = match lease.kind() {
            LeaseKind::V4 => "v4",
            LeaseKind::Address => "na",
            LeaseKind::Prefix => "pd",
        };
        if self.kind != kind {
            return Err(format!("kind: {:?} of {lease}, which is {kind}", self.kind));
        }
        let state = match self.state.as_str() {
            "leased" | "expired" => State::Leased,
            "released" => State::Released,
            "declined" => State::Declined,
            other => return Err(format!("state: {other:?} is not one of leases")),
        };
        let octets = |name: &str, text: &str| match text {
            "" => Ok(Vec::new()),
            text => notation::octets(text).map_err(|why| format!("{name}: {why}")),
        };
        let hardware = octets("hw-address", &self.hw_address)?;
        let hardware = HardwareAddress::new(self.hw_type, &hardware)
            .map_err(|why| format!("hw-address: {why}"))?;
        let client = ClientId::new(&octets("client", &self.client)?)
            .map_err(|why| format!("client: {why}"))?;
        let is_nobody = client.is_empty() && hardware.as_slice().is_empty();
        if is_nobody && state != State::Declined {
            return Err(format!(
                "client: nobody holds {lease}, and it is not declined"
            ));
        }
        Ok(Binding {
            lease,
            state,
            subnet: SubnetId(self.subnet_id),
            client,
            hardware,
            iaid: Iaid(self.iaid),
            last_transaction: Timestamp(self.last_transaction),
            expires: self.expires.map_or(Timestamp::NEVER, Timestamp),
            valid_seconds: self.valid_lifetime,
            preferred_seconds: self.preferred_lifetime,
            context: Context::parse(&octets("context", &self.context.octets)?),
        })
    }
}

/// Which leases are wanted; everything that is not said holds for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Filter {
    /// `v4` or `v6`.
    pub family: Option<String>,
    /// `leased`, `expired`, `released` or `declined`.
    pub state: Option<String>,
    /// Number of a subnet.
    pub subnet_id: Option<u32>,
    /// A client identifier, DUID or hardware address, in hexadecimal.
    pub client: Option<String>,
    /// An address, or a prefix with its length.
    pub address: Option<String>,
    /// How many at most.
    pub limit: Option<usize>,
}

impl Filter {
    /// Whether a binding is wanted.
    pub fn wants(&self, binding: &Binding, view: &LeaseView) -> bool {
        let family = match binding.lease {
            Lease::V4(_) => "v4",
            Lease::Address(_) | Lease::Prefix(..) => "v6",
        };
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == value)
        };
        let client = self.client.as_ref().is_none_or(|client| {
            notation::octets(client).is_ok_and(|octets| {
                binding.client.as_slice() == octets || binding.hardware.as_slice() == octets
            })
        });
        is(&self.family, family)
            && is(&self.state, &view.state)
            && is(&self.address, &view.address)
            && self.subnet_id.is_none_or(|id| id == view.subnet_id)
            && client
    }
}

/// The wanted bindings by address, and whether there are more than the limit.
pub fn select(
    filter: &Filter,
    now: Timestamp,
    for_each: impl FnOnce(&mut dyn FnMut(&Binding)),
) -> (Vec<LeaseView>, bool) {
    let mut found: Vec<(Lease, LeaseView)> = Vec::new();
    let limit = filter.limit.unwrap_or(usize::MAX);
    let room = limit.saturating_mul(2).max(1024);
    let mut more = false;
    for_each(&mut |binding| {
        let view = LeaseView::new(binding, now);
        if filter.wants(binding, &view) {
            found.push((binding.lease, view));
        }
        // Of a large store only as much is kept as was asked for, the lowest addresses.
        if found.len() > room {
            found.sort_by_key(|(lease, _)| *lease);
            found.truncate(limit);
            more = true;
        }
    });
    found.sort_by_key(|(lease, _)| *lease);
    more |= found.len() > limit;
    found.truncate(limit);
    (found.into_iter().map(|(_, view)| view).collect(), more)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        /// Any lease of a client, as it is shown.
        pub(crate) fn view()(
            number in any::<u32>(),
            kind in 0usize..3,
            state in prop_oneof![Just("leased"), Just("released"), Just("declined")],
            subnet_id in 0u32..4,
            client in proptest::collection::vec(any::<u8>(), 0..=255),
            hardware in any::<[u8; 16]>(),
            hw_len in 1usize..=16,
            hw_type in any::<u8>(),
            iaid in any::<u32>(),
            valid_lifetime in any::<u32>(),
            preferred_lifetime in any::<u32>(),
            // Before the time of the tests.
            last_transaction in 0u64..1_700_000_000,
            expires in proptest::option::of(0u64..1 << 33),
            items in proptest::collection::vec(
                (2u8..13, proptest::collection::vec(any::<u8>(), 0..20)), 0..3),
        ) -> LeaseView {
            let mut context = Context::EMPTY;
            for (kind, data) in &items {
                context.insert(dhcp_lease::context::ItemKind(*kind), data);
            }
            let (address, kind) = match kind {
                0 => (std::net::Ipv4Addr::from_bits(number).to_string(), "v4"),
                1 => (format!("2001:db8::{:x}:{:x}", number >> 16, number & 0xffff), "na"),
                _ => (format!("2001:db8:{:x}:{:x}00::/56", number >> 16, number & 0xff), "pd"),
            };
            LeaseView {
                address,
                kind: kind.to_owned(),
                state: state.to_owned(),
                subnet_id,
                client: notation::hex(&client),
                hw_address: notation::hex(&hardware[..hw_len]),
                hw_type,
                iaid: if kind == "v4" { 0 } else { iaid },
                valid_lifetime,
                preferred_lifetime,
                last_transaction,
                expires,
                context: ContextView::new(&context),
            }
        }
    }

    #[test]
    fn a_lease_is_read_as_it_is_written() {
        for text in ["192.0.2.7", "2001:db8::7", "2001:db8:8000::/56"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "192.0.2.300",
            "192.0.2.0/24",
            "2001:db8::1/56",
            "printer",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
