//! How does a store get another number of partitions, or fewer slots? All that counts in it is moved into blank
//! tables, each client into the partition that its hash now says; the shell then puts these in place of the
//! others.
//!
//! Invariant: what is moved is what opening the new tables finds, no lease less and none twice.

use crate::allocator::Pools;
use crate::binding::{Binding, Key, Lease, State, Timestamp};
use crate::clock::Carry;
use crate::format::{ArchivedRecord, EXTENSIONS_MAX};
use crate::journal::ChangeLog;
use crate::partition::{Role, TableFull};
use crate::store::Partitions;
use dhcp_wire::id::HardwareAddress;
use std::collections::HashMap;

/// After how many bindings the progress is told.
const PROGRESS_BINDINGS: u64 = 1 << 16;

/// What was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Moved {
    /// Bindings that hold their lease: granted and declined ones.
    pub held: u64,
    /// Former ones.
    pub former: u64,
    /// Former ones for which there was no room.
    pub former_left: u64,
    /// Leases of damaged slots, which are declined ones of nobody now.
    pub set_aside: u64,
}

/// Moves every binding of `from` into `to`, which is blank and writes its tables at once (`Durability::Process`):
/// those that hold their lease, then the former ones, the latest first, as long as there is room. The lease of a
/// damaged slot that nobody holds becomes a declined one for as long as it was set aside.
///
/// With `carry`, the times of those last answered since then are moved too. `progress` is told now and then how
/// many bindings were moved.
///
/// # Errors
/// [`TableFull`]: the tables have no room for what is held. What was moved is of no use then.
pub fn move_all(
    from: &Partitions,
    to: &Partitions,
    carry: Option<Carry>,
    now: Timestamp,
    progress: &mut dyn FnMut(u64),
) -> Result<Moved, TableFull> {
    let mut mover = Mover {
        to,
        carry,
        now,
        pools: Pools::default(),
        log: ChangeLog::default(),
        moved: Moved::default(),
        progress,
    };
    let mut former: Vec<(Timestamp, usize, u32)> = Vec::new();
    let mut damaged: HashMap<Lease, Timestamp> = HashMap::new();
    for number in 0..from.len() {
        let Some(partition) = from.lock(number) else {
            continue;
        };
        let slots = 0..partition.table.slots();
        for slot in slots.filter(|&slot| partition.role(slot) == Role::Damaged) {
            let lease = partition.record(slot).and_then(ArchivedRecord::lease);
            damaged.extend(lease.map(|lease| (lease, partition.quarantine_end)));
        }
    }
    let mut binding = Binding::default();
    for number in 0..from.len() {
        let Some(partition) = from.lock(number) else {
            continue;
        };
        for slot in 0..partition.table.slots() {
            match partition.role(slot) {
                Role::Live | Role::Declined if partition.read_any(slot, &mut binding) => {
                    damaged.remove(&binding.lease);
                    mover.put_held(&binding)?;
                }
                Role::Former if partition.read_any(slot, &mut binding) => {
                    former.push((ended(&binding), number, slot));
                }
                Role::Live | Role::Declined | Role::Former => {}
                Role::Free | Role::Extension | Role::Damaged => {}
            }
        }
    }
    for (lease, until) in damaged {
        mover.set_aside(lease, until)?;
    }
    former.sort_unstable_by(|one, other| other.cmp(one));
    for (_, number, slot) in former {
        let was_read = from
            .lock(number)
            .is_some_and(|partition| partition.read_any(slot, &mut binding));
        if was_read {
            mover.put_former(&binding)?;
        }
    }
    Ok(mover.moved)
}

struct Mover<'a> {
    to: &'a Partitions,
    carry: Option<Carry>,
    now: Timestamp,
    /// None: what is held is claimed when the new tables are opened.
    pools: Pools,
    log: ChangeLog,
    moved: Moved,
    progress: &'a mut dyn FnMut(u64),
}

impl Mover<'_> {
    fn put_held(&mut self, binding: &Binding) -> Result<(), TableFull> {
        self.put(binding, self.to.index_of(spread_octets(binding)))?;
        self.moved.held += 1;
        self.tell();
        Ok(())
    }

    /// One slot less than there may be is not enough: the oldest would give way, and that is the one that was
    /// moved first.
    fn put_former(&mut self, binding: &Binding) -> Result<(), TableFull> {
        let index = self.to.index_of(spread_octets(binding));
        let free = self.to.lock(index).map(|it| it.occupancy().free);
        if free.is_none_or(|free| free as usize <= EXTENSIONS_MAX) {
            self.moved.former_left += 1;
            return Ok(());
        }
        self.put(binding, index)?;
        self.moved.former += 1;
        self.tell();
        Ok(())
    }

    /// Nobody's; it goes by its address, for it has no client.
    fn set_aside(&mut self, lease: Lease, until: Timestamp) -> Result<(), TableFull> {
        let binding = Binding {
            lease,
            state: State::Declined,
            hardware: HardwareAddress::NONE,
            expires: until,
            ..Binding::default()
        };
        let index = match lease.address() {
            core::net::IpAddr::V4(address) => self.to.index_of(&address.octets()),
            core::net::IpAddr::V6(address) => self.to.index_of(&address.octets()),
        };
        self.put(&binding, index)?;
        self.moved.set_aside += 1;
        Ok(())
    }

    fn put(&mut self, binding: &Binding, index: usize) -> Result<(), TableFull> {
        let carried = self.carry.filter(|it| binding.last_transaction >= it.since);
        let moved = carried.map(|carry| Binding {
            last_transaction: carry.moved(binding.last_transaction),
            expires: carry.moved(binding.expires),
            ..binding.clone()
        });
        let binding = moved.as_ref().unwrap_or(binding);
        let mut partition = self.to.lock(index).ok_or(TableFull)?;
        partition.commit(None, binding, &self.pools, &mut self.log, self.now)?;
        Ok(())
    }

    fn tell(&mut self) {
        let moved = self.moved.held + self.moved.former;
        if moved.is_multiple_of(PROGRESS_BINDINGS) {
            (self.progress)(moved);
        }
    }
}

/// When a former binding ended.
fn ended(binding: &Binding) -> Timestamp {
    match binding.state {
        State::Released => binding.expires.min(binding.last_transaction),
        State::Leased | State::Declined => binding.expires,
    }
}

/// By what a binding's client goes to its partition.
fn spread_octets(binding: &Binding) -> &[u8] {
    let key = Key {
        kind: binding.lease.kind(),
        client: binding.client.as_slice(),
        hardware: binding.hardware,
        iaid: binding.iaid,
    };
    match key.client.is_empty() {
        true => binding.hardware.as_slice(),
        false => binding.client.as_slice(),
    }
}

#[cfg(test)]
mod tests;
