//! How does a client know that a FORCERENEW is ours? (RFC 3203, RFC 6704.)
//!
//! A client that says it can gets a nonce in the ACK that begins its lease. It is kept beside the lease, so it
//! outlives a restart, and is the key of the digest in every FORCERENEW. Invariants:
//! - A nonce is told when it is made, and again to a client that may not have it any more (one that begins anew
//!   or asks whoever is there), never in answer to a renewal that finds one on record.
//! - What a client is told twice is the same: a REQUEST that is repeated changes nothing.
//! - Replay counters grow: see [`replay_in_ack`] and [`replay_in_forcerenew`].

use super::query::{Kind, Query};
use core::fmt;
use core::net::Ipv4Addr;
use dhcp_lease::context::{ItemKind, ReconfigureKey};
use dhcp_lease::{Binding, Context, Lease, Timestamp};
use dhcp_wire::v4::{self, Builder, Header, MessageType, NoRoom, PAYLOAD_SIZE_MAX, code};
use hmac::{Hmac, Mac};
use md5::Md5;

/// Of the authentication option: protocol "reconfigure key", algorithm HMAC-MD5, replay detection by a
/// counter (RFC 6704 section 3.1.2).
const PROTOCOL: u8 = 3;
pub(super) const ALGORITHM: u8 = 1;
const REPLAY_DETECTION: u8 = 0;
/// What follows the counter: a nonce, or a digest.
const NONCE: u8 = 1;
const DIGEST: u8 = 2;
/// Octets of the option, and of its last part, nonce or digest.
const OPTION_OCTETS: usize = 28;
const VALUE_OCTETS: usize = 16;
/// Where the digest lies in a FORCERENEW: after the header, the message type and the option's first part.
const DIGEST_OFFSET: usize = size_of::<Header>() + 3 + 2 + OPTION_OCTETS - VALUE_OCTETS;

/// From what nonces are made: 128 random bits, drawn when the server starts and known to nobody else.
///
/// A nonce is the HMAC of all that tells one granting from another, under this secret. HMAC is a pseudo-random
/// function: without the secret its values cannot be told from random numbers, however many one has seen,
/// and a packet needs no random number generator. A nonce is kept with its lease, so the secret need not be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NonceSecret(pub [u8; 16]);

impl fmt::Debug for NonceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceSecret(..)")
    }
}

/// Keeps a key in the context of a lease that is about to be granted, if the client can do with one, and
/// says what its ACK is to tell.
pub(super) fn key_for_ack(
    query: &Query,
    secret: Option<NonceSecret>,
    address: Ipv4Addr,
    now: Timestamp,
    context: &mut Context,
) -> Option<ReconfigureKey> {
    let is_renewal = query.kind == Kind::Renewing;
    let Some(secret) = secret.filter(|_| query.is_forcerenew_capable) else {
        // RFC 6704 section 3.1.3 [no-nonce-unasked]: not to a client that does not say that it can. One that
        // begins anew without saying so cannot any more.
        if !is_renewal && query.kind != Kind::Rebinding {
            context
                .retain(|kind| kind != ItemKind::RECONFIGURE_KEY && kind != ItemKind::TRANSACTION);
        }
        return None;
    };
    let known = context.reconfigure_key();
    // RFC 6704 section 3.1.3 [nonce-when-none-recorded]
    // RFC 6704 section 3.1.3 [nonce-of-new-server]: whatever kind of REQUEST it is.
    let key = known.unwrap_or_else(|| ReconfigureKey {
        key: nonce(secret, query, address, now),
        replay: replay_in_ack(now, 0),
    });
    if known.is_none() {
        context.set_reconfigure_key(&key);
    }
    // The newest, and what has no room is not kept: clients that look at it do not renew then.
    context.retain(|kind| kind != ItemKind::TRANSACTION);
    context.insert(ItemKind::TRANSACTION, &query.xid.to_be_bytes());
    // RFC 6704 section 3.1.3 [nonce-not-in-renewals]: over the wire as rarely as may be.
    (known.is_none() || !is_renewal).then(|| ReconfigureKey {
        key: key.key,
        replay: replay_in_ack(now, key.replay),
    })
}

// RFC 6704 section 3.1.3 [nonce-unpredictable]: 128 bits of a pseudo-random function.
fn nonce(secret: NonceSecret, query: &Query, address: Ipv4Addr, now: Timestamp) -> [u8; 16] {
    let mut mac = keyed(&secret.0);
    for part in [query.client.as_slice(), query.hardware.as_slice()] {
        mac.update(&[part.len() as u8]);
        mac.update(part);
    }
    mac.update(&address.octets());
    mac.update(&query.giaddr.octets());
    mac.update(&query.xid.to_be_bytes());
    mac.update(&now.0.to_be_bytes());
    mac.finalize().into_bytes().into()
}

/// HMAC-MD5 under a key of 128 bits.
fn keyed(key: &[u8; 16]) -> Hmac<Md5> {
    // A key shorter than a block is filled up with zeros (RFC 2104 section 2), so this is the same key, and
    // one whose length cannot be wrong.
    let mut block = [0; 64];
    let (place, _) = block.split_at_mut(key.len());
    place.copy_from_slice(key);
    Hmac::new(&block.into())
}

/// The replay counter of an ACK: the second of server time in the upper half, everything in the lower.
///
/// Both counters grow because server time does, also over restarts (`dhcp_lease::clock`). Within a second an
/// ACK comes after every FORCERENEW: it answers what the client did upon it. A FORCERENEW comes after every
/// ACK of earlier seconds, and no client gets one in the second in which it had an ACK, or in which the server
/// started. If server time goes back all the same (a store without its clock record), the counter goes on from
/// `floor`, what is on record.
fn replay_in_ack(now: Timestamp, floor: u64) -> u64 {
    (now.0 << 32 | u64::from(u32::MAX)).max(floor)
}

/// The replay counter of the `attempt`th FORCERENEW of a campaign to one client; at most one a second.
fn replay_in_forcerenew(now: Timestamp, attempt: u16, floor: u64) -> u64 {
    (now.0 << 32).max(floor) + 1 + u64::from(attempt)
}

// RFC 6704 section 3.1.2 [authentication-format]: protocol 3, algorithm 1, replay detection method 0.
fn option(replay: u64, kind: u8, value: &[u8; VALUE_OCTETS]) -> [u8; OPTION_OCTETS] {
    let mut octets = [0; OPTION_OCTETS];
    let parts = [PROTOCOL, ALGORITHM, REPLAY_DETECTION]
        .into_iter()
        .chain(replay.to_be_bytes())
        .chain([kind])
        .chain(*value);
    octets
        .iter_mut()
        .zip(parts)
        .for_each(|(to, from)| *to = from);
    octets
}

/// The authentication option of an ACK: the nonce.
pub(super) fn nonce_option(key: &ReconfigureKey) -> [u8; OPTION_OCTETS] {
    option(key.replay, NONCE, &key.key)
}

/// Why no FORCERENEW can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The client has no nonce of ours: it never said that it can, or the lease was imported.
    #[error("the client has no nonce of this server")]
    NoKey,
    /// It is no DHCPv4 lease.
    #[error("not a DHCPv4 lease")]
    OtherFamily,
    /// The message has no room in the buffer.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

/// Writes a FORCERENEW to the holder of a lease, the UDP payload; its length. `attempt` counts those that the
/// client was sent before in the same campaign.
///
/// It is meant to be sent to the client's address (RFC 3203 section 2.2 [forcerenew-unicast]), also when the client is
/// behind a relay agent: relay agents forward answers to what they relayed, and their option would not stay
/// under the digest. So `giaddr` and `hops` are zero, which RFC 3118 section 3 asks of what is digested.
///
/// # Errors
/// [`Unreachable`].
pub fn forcerenew(
    binding: &Binding,
    server_identifier: Ipv4Addr,
    attempt: u16,
    now: Timestamp,
    payload: &mut [u8],
) -> Result<usize, Unreachable> {
    let Lease::V4(address) = binding.lease else {
        return Err(Unreachable::OtherFamily);
    };
    // RFC 3203 section 6 [forcerenew-authenticated]
    // RFC 6704 section 3 [forcerenew-by-nonce]: never without.
    let key = binding
        .context
        .reconfigure_key()
        .ok_or(Unreachable::NoKey)?;
    let mut header = Header::new(v4::BOOTREPLY);
    let hardware = binding.hardware.as_slice();
    header.htype = binding.hardware.htype();
    header.hlen = hardware.len() as u8;
    header
        .chaddr
        .iter_mut()
        .zip(hardware)
        .for_each(|(to, from)| *to = *from);
    // Of no exchange; but dhcpcd, as others, takes no message with another number than its last.
    header.xid.set(binding.context.transaction().unwrap_or(0));
    header.ciaddr = address.octets();
    let mut builder = Builder::new(payload, PAYLOAD_SIZE_MAX, &header)?;
    builder.forbid_overload();
    let MessageType(number) = MessageType::FORCERENEW;
    // RFC 3203 section 4 [forcerenew-type]: 9. These two stay in front: DIGEST_OFFSET counts on it.
    builder.push(code::MESSAGE_TYPE, &[number])?;
    let replay = replay_in_forcerenew(now, attempt, key.replay);
    builder.push(
        code::AUTHENTICATION,
        &option(replay, DIGEST, &[0; VALUE_OCTETS]),
    )?;
    builder.push(code::SERVER_IDENTIFIER, &server_identifier.octets())?;
    if !binding.client.is_empty() {
        builder.push(code::CLIENT_IDENTIFIER, binding.client.as_slice())?;
    }
    let len = builder.finish();
    let message = payload.get_mut(..len).unwrap_or_default();
    // RFC 6704 section 3.1.3 [forcerenew-digest]: over the whole message, the digest's own octets zero.
    let mut mac = keyed(&key.key);
    mac.update(message);
    let digest: [u8; VALUE_OCTETS] = mac.finalize().into_bytes().into();
    let place = message.iter_mut().skip(DIGEST_OFFSET);
    place.zip(digest).for_each(|(to, from)| *to = from);
    Ok(len)
}
