//! What of a lease's surroundings outlives a message that does not tell of them?

use dhcp_lease::context::ItemKind;
use dhcp_lease::{Context, Partition, SlotNumber};

/// Whether a message tells by which way it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Yes: by these relay agents, or by none.
    Known,
    /// No: a renewal by unicast goes past the relay agents, which are there all the same.
    Unknown,
}

/// What tells of relay agents.
const RELAY_KINDS: [ItemKind; 8] = [
    ItemKind::GIADDR,
    ItemKind::RELAY_PATH,
    ItemKind::RELAY_SOURCE,
    ItemKind::INTERFACE,
    ItemKind::AGENT,
    ItemKind::FLEXIBLE,
    ItemKind::REMOTE_ID,
    ItemKind::SUBSCRIBER_ID,
];

/// Adds to a context what the client's live binding has and no message brings: our key for it, and, if the
/// way is unknown, the relay agents.
pub(crate) fn carry_over(partition: &Partition, slot: SlotNumber, way: Way, into: &mut Context) {
    let mut earlier = Context::EMPTY;
    if !partition.context(slot, &mut earlier) {
        return;
    }
    for item in earlier.items() {
        let is_relay = RELAY_KINDS.contains(&item.kind);
        if item.kind == ItemKind::RECONFIGURE_KEY || is_relay && way == Way::Unknown {
            into.insert(item.kind, item.data);
        }
    }
}
