//! What is told of a lease: options by their codes, for one question by UDP and for many answers by TCP.

use crate::leasequery::Leasequery;
use crate::options::Layers;
use crate::subnet::{Policy, Subnet4};
use crate::v4::AGENT_OCTETS_MAX;
use crate::v4::kept::KeptClient;
use crate::v4::parameters::{layers, mask};
use crate::v4::reply::timers;
use core::net::Ipv4Addr;
use dhcp_lease::context::ItemKind;
use dhcp_lease::{Binding, Lease, Timestamp};
use dhcp_wire::Octets;
use dhcp_wire::v4::{self, Builder, code};

/// What the answer to a query without a parameter request list tells beside the configured options.
const UNASKED: [u8; 5] = [
    code::SUBNET_MASK,
    code::LEASE_TIME,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
    code::RELAY_AGENT,
];

/// What an answer about a lease draws from.
pub(super) struct Told<'a> {
    binding: &'a Binding,
    now: Timestamp,
    permission: &'a Leasequery,
    subnet: Option<&'a Subnet4>,
    /// What the client is told, or would be.
    options: Layers<'a>,
}

impl<'a> Told<'a> {
    pub(super) fn of(
        binding: &'a Binding,
        now: Timestamp,
        policy: &'a Policy,
        permission: &'a Leasequery,
    ) -> Self {
        // The lease goes on though its subnet may be gone from the configuration.
        let client = KeptClient::of(binding, policy);
        let subnet = client.as_ref().map(|client| client.subnet);
        let options = client.map(|client| {
            layers(
                &client.query,
                client.reservation,
                address(binding),
                policy,
                client.network,
                client.subnet,
            )
        });
        let options = options.unwrap_or_default();
        Self {
            binding,
            now,
            permission,
            subnet,
            options,
        }
    }

    /// Writes the options that are asked for, each once, in the order asked. What does not fit is left out, and
    /// what comes after it may still fit.
    pub(super) fn push_all(&self, builder: &mut Builder<'_>, asked: &[u8]) {
        let mut done = [false; 256];
        let mut push = |code: u8| {
            let is_first = done
                .get_mut(usize::from(code))
                .is_some_and(|done| !core::mem::replace(done, true));
            // RFC 4388 section 6.4.2 [leasequery-non-sensitive]: what is not on the list is not told.
            if is_first && self.permission.tells(code) {
                self.push(builder, code);
            }
        };
        if !asked.is_empty() {
            return asked.iter().copied().for_each(push);
        }
        // RFC 4388 section 6.2 [leasequery-no-list]: what the client would be told.
        UNASKED.into_iter().for_each(&mut push);
        let configured = self.options.each().map(|(option, _)| option.code);
        configured
            .filter_map(|code| u8::try_from(code).ok())
            .for_each(push);
    }

    fn push(&self, builder: &mut Builder<'_>, code: u8) {
        let (binding, now) = (self.binding, self.now);
        let of_kind = |kind| binding.context.of_kind(kind).next();
        let seconds = |seconds: u32| seconds.to_be_bytes();
        // What has no room is left out.
        let _ = match code {
            // RFC 4388 section 6.4.2 [leasequery-lease-time]: what is left of the lease.
            code::LEASE_TIME => builder.push(code, &seconds(binding.expires.seconds_left(now))),
            code::RENEWAL_TIME | code::REBINDING_TIME => match self.timer_left(code) {
                Some(left) => builder.push(code, &seconds(left)),
                None => Ok(()),
            },
            // RFC 4388 section 6.1 [last-transaction-time]: a duration, never a date.
            code::CLIENT_LAST_TRANSACTION_TIME => {
                let since = now.seconds_since(binding.last_transaction);
                builder.push(code, &seconds(since))
            }
            // RFC 4388 section 6.4.2 [leasequery-client-id].
            code::CLIENT_IDENTIFIER if !binding.client.is_empty() => {
                builder.push(code, binding.client.as_slice())
            }
            // Written by others, or nothing that an answer holds.
            code::PAD
            | code::END
            | code::OVERLOAD
            | code::MESSAGE_TYPE
            | code::SERVER_IDENTIFIER
            | code::RELAY_AGENT
            | code::ASSOCIATED_IP
            | code::CLIENT_IDENTIFIER => Ok(()),
            // RFC 4388 section 6.4.2 [leasequery-other-options].
            _ => match self.options.short(code) {
                Some(data) => builder.push(code, data),
                // RFC 4388 section 6.4.2 [leasequery-client-options]: else what the client itself had sent.
                None => match code {
                    code::SUBNET_MASK => match self.subnet {
                        Some(subnet) => builder.push(code, &mask(subnet.prefix_len).octets()),
                        None => Ok(()),
                    },
                    code::HOST_NAME => push_some(builder, code, of_kind(ItemKind::HOST_NAME)),
                    code::VENDOR_CLASS_IDENTIFIER => {
                        push_some(builder, code, of_kind(ItemKind::VENDOR_CLASS))
                    }
                    _ => Ok(()),
                },
            },
        };
    }

    // RFC 4388 section 6.4.2 [leasequery-timers]: what is left until T1 or T2; nothing once it has passed.
    fn timer_left(&self, code: u8) -> Option<u32> {
        let Binding {
            expires,
            valid_seconds,
            ..
        } = *self.binding;
        let (renew, rebind) = timers(&self.subnet?.lifetimes, valid_seconds)?;
        let timer = match code {
            code::RENEWAL_TIME => renew,
            _ => rebind,
        };
        let granted = Timestamp(expires.0.checked_sub(u64::from(valid_seconds))?);
        let left = granted.after(timer).seconds_left(self.now);
        (left > 0).then_some(left)
    }
}

fn push_some(builder: &mut Builder<'_>, code: u8, data: Option<&[u8]>) -> Result<(), v4::NoRoom> {
    data.map_or(Ok(()), |data| builder.push(code, data))
}

/// The address that a binding is about.
pub(super) fn address(binding: &Binding) -> Ipv4Addr {
    match binding.lease {
        Lease::V4(address) => address,
        Lease::Address(_) | Lease::Prefix(..) => Ipv4Addr::UNSPECIFIED,
    }
}

/// Option 82 as it came, in pieces of 255 octets.
pub(super) fn encoded_agent(binding: &Binding) -> Octets<AGENT_OCTETS_MAX> {
    let mut encoded = Octets::EMPTY;
    for data in binding.context.of_kind(ItemKind::AGENT) {
        for piece in data.chunks(255) {
            let head = [code::RELAY_AGENT, piece.len() as u8];
            let pushed = encoded.push_slice(&head);
            if pushed.and_then(|()| encoded.push_slice(piece)).is_err() {
                return Octets::EMPTY;
            }
        }
    }
    encoded
}
