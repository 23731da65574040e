//! What was promised to whom? The oracle of shared knowledge: every lease that a client was granted and
//! has not let go, as the client sees it.

use super::client::{Client, Millis};
use dhcp_lease::{Binding, Lease, State, Timestamp};
use std::collections::BTreeMap;
use std::net::Ipv6Addr;

/// How far the server's end of a lease may lie before the client's: whole seconds, and the way.
const TOLERANCE_SECONDS: u64 = 2;

/// A promise that the client counts on.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// What.
    pub lease: Lease,
    /// Until when, as the client counts. It may be that the configuration has no place for it any more and
    /// that the server has said so: as long as the client has not heard of that, it counts on it.
    pub until: Millis,
}

/// All promises, by client and IA.
#[derive(Debug, Default)]
pub struct Ledger {
    /// So many seconds more may the server be ahead: one for each jump of the wall clock that it refused of late.
    pub ahead_seconds: u64,
    promises: BTreeMap<(usize, u32), Promise>,
}

impl Ledger {
    /// A client was granted a lease.
    ///
    /// # Errors
    /// Somebody else has it, or a part of it.
    pub fn grant(
        &mut self,
        client: usize,
        iaid: u32,
        lease: Lease,
        until: Millis,
        now: Millis,
    ) -> Result<(), String> {
        let other = self.promises.iter().find(|((other, _), promise)| {
            let is_over = promise.until <= now + self.ahead_seconds * 1000;
            *other != client && !is_over && overlap(promise.lease, lease)
        });
        if let Some(((other, _), promise)) = other {
            return Err(format!(
                "O2: {lease} was granted to client {client} while client {other} has {} for {} ms more",
                promise.lease,
                promise.until - now
            ));
        }
        self.promises
            .insert((client, iaid), Promise { lease, until });
        Ok(())
    }

    /// A client does not count on a lease any more.
    pub fn let_go(&mut self, client: usize, iaid: u32) {
        self.promises.remove(&(client, iaid));
    }

    /// What a client counts on.
    pub fn promise(&self, client: usize, iaid: u32, now: Millis) -> Option<Promise> {
        self.promises
            .get(&(client, iaid))
            .copied()
            .filter(|promise| promise.until > now)
    }

    /// How many promises there are.
    pub fn len(&self) -> usize {
        self.promises.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.promises.is_empty()
    }

    /// Whether the store has every promise, for as long as it was made, and no lease twice.
    ///
    /// # Errors
    /// Which it has not.
    pub fn check(
        &self,
        clients: &[Client],
        bindings: &[Binding],
        now: Millis,
        server_now: Timestamp,
    ) -> Result<(), String> {
        let mut holders: BTreeMap<(u8, Vec<u8>, u8), &Binding> = BTreeMap::new();
        for binding in bindings {
            let holds = binding.expires > server_now && binding.state != State::Released;
            if holds && let Some(other) = holders.insert(place(binding.lease), binding) {
                return Err(format!(
                    "O2: two records hold {}: {other:?} and {binding:?}",
                    binding.lease
                ));
            }
        }
        for (&(client, iaid), promise) in &self.promises {
            let tolerance = TOLERANCE_SECONDS + self.ahead_seconds;
            if promise.until <= now + tolerance * 1000 {
                continue;
            }
            let found = holders.get(&place(promise.lease)).filter(|binding| {
                let kind = binding.lease.kind();
                let (octets, hardware) = (binding.client.as_slice(), binding.hardware.as_slice());
                clients[client].is_named(kind, octets, hardware)
                    && binding.iaid.0 == iaid
                    && binding.state == State::Leased
            });
            let Some(binding) = found else {
                return Err(format!(
                    "O3: client {client} counts on {} for {} ms more, and the store does not have it \
                     ({:?})",
                    promise.lease,
                    promise.until - now,
                    related(&clients[client], promise.lease, bindings),
                ));
            };
            let left = (promise.until - now) / 1000;
            if binding.expires.0.saturating_sub(server_now.0) + tolerance < left {
                return Err(format!(
                    "O3: client {client} counts on {} for {left} s more, and the store only for {} s",
                    promise.lease,
                    binding.expires.0 - server_now.0
                ));
            }
        }
        Ok(())
    }
}

/// What the store has of a client or a lease, for the report.
fn related<'a>(client: &Client, lease: Lease, bindings: &'a [Binding]) -> Vec<&'a Binding> {
    let is_related = |binding: &&Binding| {
        let (octets, hardware) = (binding.client.as_slice(), binding.hardware.as_slice());
        binding.lease == lease || client.is_named(binding.lease.kind(), octets, hardware)
    };
    bindings.iter().filter(is_related).collect()
}

fn place(lease: Lease) -> (u8, Vec<u8>, u8) {
    match lease {
        Lease::V4(address) => (4, address.octets().to_vec(), 32),
        Lease::Address(address) => (6, address.octets().to_vec(), 128),
        Lease::Prefix(prefix, len) => (7, prefix.octets().to_vec(), len),
    }
}

/// Whether two leases have an address in common.
fn overlap(one: Lease, other: Lease) -> bool {
    let bits = |address: Ipv6Addr, len: u8| (address.to_bits(), len);
    let range = |lease| match lease {
        Lease::V4(_) => None,
        Lease::Address(address) => Some(bits(address, 128)),
        Lease::Prefix(prefix, len) => Some(bits(prefix, len)),
    };
    match (range(one), range(other)) {
        (Some((one, one_len)), Some((other, other_len))) => {
            let shift = 128 - u32::from(one_len.min(other_len));
            one.checked_shr(shift) == other.checked_shr(shift)
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn prefixes_overlap_by_their_shorter_length() {
        let prefix = |text: &str, len| Lease::Prefix(text.parse().unwrap(), len);
        assert!(overlap(
            prefix("2001:db8::", 56),
            prefix("2001:db8:0:1::", 64)
        ));
        assert!(!overlap(
            prefix("2001:db8::", 56),
            prefix("2001:db8:0:100::", 56)
        ));
        let inside = Lease::Address("2001:db8::7".parse().unwrap());
        assert!(overlap(prefix("2001:db8::", 56), inside));
    }

    #[test]
    fn one_lease_is_not_two_clients() {
        let lease = Lease::V4(Ipv4Addr::new(10, 0, 0, 9));
        let mut ledger = Ledger::default();
        ledger.grant(1, 0, lease, 5_000, 0).unwrap();
        assert!(ledger.grant(2, 0, lease, 9_000, 4_999).is_err());
        ledger.grant(2, 0, lease, 9_000, 5_000).unwrap();
    }
}
