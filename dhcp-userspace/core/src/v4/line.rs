//! On whose line is a client that does not say? A renewal by unicast comes past the relay agent.

use super::query::{Query, has_own_address};
use crate::discard::Discard;
use crate::subnet::Policy;
use core::ops::ControlFlow;
use dhcp_lease::{Binding, Partition, Partitions, SlotNumber, Sought, Timestamp};

/// Has a renewal or release without the relay agent's option count for the line that holds its address, where
/// leases are the lines' (`client-key`). To be called after `classify` and before the query's key is asked for.
///
/// RFC 3046 section 2.2 [relay-option-unicast]: nobody can name the line in a message from client to server, so
/// the address does. The message must come from the hardware address that was heard on the line last: a router
/// that was swapped out, or a stranger, is not answered, and asks through its relay agent later.
///
/// Leases are found by their addresses only if they are filed ([`Partitions::file_all`]). One partition is locked at a
/// time, each once at most; no heap.
///
/// # Errors
/// [`Discard::NoClientKey`]: the leases are not filed yet. [`Discard::UnknownBinding`]: nobody has the address, or
/// another router has.
pub fn find_line(
    query: &mut Query,
    policy: &Policy,
    partitions: &Partitions,
    now: Timestamp,
) -> Result<(), Discard> {
    if !query.lacks_line {
        return Ok(());
    }
    if !has_own_address(&query.hardware) {
        return Err(Discard::UnknownBinding);
    }
    for number in 0..partitions.len() {
        let Some(partition) = partitions.lock(number) else {
            continue;
        };
        let Some(slot) = holder(query, policy, &partition, now)? else {
            continue;
        };
        let mut binding = Binding::default();
        partition.read(slot, &mut binding);
        if binding.hardware != query.hardware {
            return Err(Discard::UnknownBinding);
        }
        query.line = binding.client;
        // A client in the midst of lines that nothing was told of: its own hardware address found it before.
        query.matches_client &= !query.line.is_empty();
        query.take_flexible_of_line(policy);
        return Ok(());
    }
    Err(Discard::UnknownBinding)
}

/// The live binding of the address in the client's network, if this partition has it.
fn holder(
    query: &Query,
    policy: &Policy,
    partition: &Partition,
    now: Timestamp,
) -> Result<Option<SlotNumber>, Discard> {
    let network = query.network(policy).ok_or(Discard::NoSubnet)?;
    let sought = Sought::Address(query.ciaddr);
    let mut found = None;
    let visited = partition.seek(&sought, now, |slot, terms| {
        if network.subnets.iter().any(|it| it.id == terms.subnet) {
            found = Some(slot);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    visited.map_err(|_| Discard::NoClientKey)?;
    Ok(found)
}
