//! How do leases from elsewhere get into the tables? A batch at a time, committed as a worker commits.

use super::{Operator, ReleaseError};
use crate::leases::import::{How, Imported, Outcome, SubnetFrom, holds, key};
use crate::leases::places::Places;
use dhcp_lease::{
    Binding, ChangeLog, Claim, Lease, Partition, Partitions, Pools, SlotNumber, State, Timestamp,
};
use parking_lot::MutexGuard;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// A log is handed in when it has so many records: one sync for some hundred leases.
const LOG_RECORDS: usize = 1_024;
/// A binding with its extensions, and what it may push out.
const RECORDS_OF_ONE: usize = 8;

/// Where a batch goes.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// All bindings.
    pub partitions: &'a Partitions,
    /// The pools in force.
    pub pools: &'a Pools,
    /// The subnets in force.
    pub places: &'a Places,
    /// The time.
    pub now: Timestamp,
}

/// What a first look at a lease says.
enum Look {
    Done(Outcome),
    /// Somebody else may hold it; who, is found out for all of a batch at once.
    Contested,
}

impl Operator {
    /// Takes over leases. Returns when they are as durable as every promise; then, or after an error, the
    /// same batch may be imported again: what is there stays as it is.
    ///
    /// Two leases of a batch are not the same. Leases that are contested, or in no pool, cost a walk
    /// through all slots for each batch.
    ///
    /// # Errors
    /// [`ReleaseError::StoreFailed`].
    pub fn import(
        &mut self,
        mut bindings: Vec<Binding>,
        how: How,
        target: Target<'_>,
    ) -> Result<Imported, ReleaseError> {
        if self.handle.is_suspended() {
            return Err(ReleaseError::StoreFailed);
        }
        let mut imported = Imported::default();
        for binding in &mut bindings {
            let subnet = target.places.subnet_of(binding.lease);
            if let (SubnetFrom::Address, Some(subnet)) = (how.subnets, subnet) {
                binding.subnet = subnet;
            }
            // A clock that was ahead must not make ours run ahead: no time before what the store has seen.
            binding.last_transaction = binding.last_transaction.min(target.now);
            let is_pooled = target.pools.pool_of(binding.lease).is_some()
                || target.pools.is_reserved(binding.lease);
            imported.outside_pools += u64::from(!is_pooled);
            imported.outside_subnets += u64::from(subnet.is_none());
        }
        let mut batch = Batch {
            operator: self,
            how,
            target,
            log: ChangeLog::with_capacity(LOG_RECORDS),
        };
        imported.outcomes = batch.run(&bindings)?;
        Ok(imported)
    }
}

struct Batch<'o, 't> {
    operator: &'o mut Operator,
    how: How,
    target: Target<'t>,
    log: ChangeLog,
}

impl<'t> Batch<'_, 't> {
    fn run(&mut self, bindings: &[Binding]) -> Result<Vec<Outcome>, ReleaseError> {
        let mut outcomes = Vec::with_capacity(bindings.len());
        let mut contested = Vec::new();
        for binding in bindings {
            outcomes.push(match self.take(binding, false) {
                Look::Done(outcome) => outcome,
                Look::Contested => {
                    contested.push(outcomes.len());
                    Outcome::Offered
                }
            });
            self.submit_if_full()?;
        }
        self.submit()?;
        if !contested.is_empty() {
            self.settle(bindings, &contested, &mut outcomes)?;
            self.submit()?;
        }
        Ok(outcomes)
    }

    /// Takes over a lease. `is_free`: nobody else has it, as far as bindings tell.
    fn take(&mut self, binding: &Binding, is_free: bool) -> Look {
        let Target { pools, now, .. } = self.target;
        let holds_lease = holds(binding, now);
        if binding.state == State::Declined && !holds_lease {
            return Look::Done(Outcome::Ended);
        }
        let Some(mut partition) = self.lock(binding) else {
            return Look::Done(Outcome::Full);
        };
        let own = self.own(&partition, binding);
        let mut has_lease = false;
        if let Some(slot) = own {
            let mut earlier = Binding::default();
            partition.read(slot, &mut earlier);
            if earlier == *binding {
                return Look::Done(Outcome::Unchanged);
            }
            if !self.how.rule.takes(binding, &earlier) {
                return Look::Done(Outcome::Kept);
            }
            has_lease = earlier.lease == binding.lease && earlier.is_live(now);
        }
        let mut is_claimed = false;
        if holds_lease && !has_lease {
            let claim = match self.how.is_dry_run {
                true => pools.claim(binding.lease),
                false => partition.claim(&key(binding), binding.lease, pools, now),
            };
            match claim {
                Claim::Claimed => is_claimed = true,
                Claim::Taken => return Look::Contested,
                Claim::Outside if pools.is_astride(binding.lease) => {
                    return Look::Done(Outcome::Astride);
                }
                Claim::Outside if !is_free => return Look::Contested,
                Claim::Outside => {}
            }
        }
        let taken = match self.how.is_dry_run {
            true => Err(()),
            false => partition
                .commit(own, binding, pools, &mut self.log, now)
                .map_err(drop),
        };
        if taken.is_err() && is_claimed {
            pools.give_back(binding.lease);
        }
        Look::Done(match (taken, own) {
            (Err(()), _) if !self.how.is_dry_run => Outcome::Full,
            (_, Some(_)) => Outcome::Updated,
            (_, None) => Outcome::Added,
        })
    }

    /// Finds out who holds what is contested, and does as the rule says.
    fn settle(
        &mut self,
        bindings: &[Binding],
        contested: &[usize],
        outcomes: &mut [Outcome],
    ) -> Result<(), ReleaseError> {
        let of = |&place: &usize| Some((place, bindings.get(place)?));
        let wanted: HashSet<Lease> = contested
            .iter()
            .filter_map(of)
            .map(|(_, it)| it.lease)
            .collect();
        let mut holders: HashMap<Lease, Binding> = HashMap::new();
        let now = self.target.now;
        self.target.partitions.for_each(|other| {
            if wanted.contains(&other.lease) && holds(other, now) {
                holders.insert(other.lease, other.clone());
            }
        });
        let mut free = Vec::new();
        for (place, binding) in contested.iter().filter_map(of) {
            let outcome = match holders.get(&binding.lease) {
                None => {
                    free.push((place, binding, None));
                    continue;
                }
                Some(holder) if holder == binding => Outcome::Unchanged,
                Some(holder) if !self.how.rule.takes(binding, holder) => {
                    match key(holder) == key(binding) {
                        true => Outcome::Kept,
                        false => Outcome::Held,
                    }
                }
                Some(_) if self.how.is_dry_run => Outcome::Replaced,
                Some(holder) => {
                    self.release(holder);
                    self.submit_if_full()?;
                    free.push((place, binding, Some(Outcome::Replaced)));
                    continue;
                }
            };
            if let Some(room) = outcomes.get_mut(place) {
                *room = outcome;
            }
        }
        // What was released goes back to its pool when that is durable.
        self.submit()?;
        for (place, binding, outcome) in free {
            let taken = match self.take(binding, true) {
                Look::Contested => Outcome::Offered,
                Look::Done(done @ (Outcome::Added | Outcome::Updated)) => outcome.unwrap_or(done),
                Look::Done(other) => other,
            };
            if let Some(room) = outcomes.get_mut(place) {
                *room = taken;
            }
            self.submit_if_full()?;
        }
        Ok(())
    }

    /// Ends the binding of another client that has the lease, as if it had been released.
    fn release(&mut self, holder: &Binding) {
        let Target {
            partitions,
            pools,
            now,
            ..
        } = self.target;
        let found = self.lock(holder).and_then(|partition| {
            let slot = partition.find_lease(&key(holder), holder.lease)?;
            Some((partition, slot))
        });
        // A declined lease is nobody's, so no client leads to it.
        let found = found.or_else(|| partitions.lock_holder(holder.lease));
        let Some((mut partition, slot)) = found else {
            return;
        };
        let mut binding = Binding::default();
        partition.read(slot, &mut binding);
        if binding.lease != holder.lease || !holds(&binding, now) {
            return;
        }
        binding.state = State::Released;
        binding.expires = now;
        // It needs no slot that it does not have.
        let _ = partition.commit(Some(slot), &binding, pools, &mut self.log, now);
    }

    /// The client's binding that this one takes the place of: of the same lease, or on the same link.
    fn own(&self, partition: &Partition, binding: &Binding) -> Option<SlotNumber> {
        let key = key(binding);
        if key.spread_octets().is_empty() {
            return None;
        }
        let same = partition.find_lease(&key, binding.lease);
        let places = self.target.places;
        let on_link = || partition.find(&key, |subnet| places.on_one_link(subnet, binding.subnet));
        match binding.state {
            State::Declined => same,
            State::Leased | State::Released => same.or_else(on_link),
        }
    }

    /// The partition of a binding's client; those of nobody are spread by their address.
    fn lock(&self, binding: &Binding) -> Option<MutexGuard<'t, Partition>> {
        let partitions = self.target.partitions;
        let key = key(binding);
        let index = match (key.spread_octets(), binding.lease.address()) {
            ([], IpAddr::V4(address)) => partitions.index_of(&address.octets()),
            ([], IpAddr::V6(address)) => partitions.index_of(&address.octets()),
            (octets, _) => partitions.index_of(octets),
        };
        partitions.lock(index)
    }

    fn submit_if_full(&mut self) -> Result<(), ReleaseError> {
        match self.log.remaining() < RECORDS_OF_ONE {
            true => self.submit(),
            false => Ok(()),
        }
    }

    fn submit(&mut self) -> Result<(), ReleaseError> {
        if self.log.is_empty() {
            return Ok(());
        }
        let Target {
            partitions, pools, ..
        } = self.target;
        let log = std::mem::take(&mut self.log);
        self.log = self.operator.make_durable(log, partitions, pools)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
