//! Which address may be offered where somebody is asked first whether it is in use?

use super::{Candidate, Case, Hold, Record};
use crate::discard::Discard;
use crate::probe::{Finding, Probe, Probes};
use dhcp_lease::{Binding, Lease, State, Terms, Timestamp};

/// How many addresses one DISCOVER may set aside because they are in use.
const SET_ASIDE_MAX: usize = 4;

impl<'a> Case<'a> {
    // RFC 2131 section 3.1 [probe-before-offer], RFC 2131 section 2.2 [probe-new-address]: before an address is
    // offered somebody asks whether it is in use, where the operator wishes that. Nothing here waits for it.
    /// The address for the client, and until when the prober may take if its OFFER has to wait for that.
    pub(super) fn choose_unused(
        &mut self,
    ) -> Result<(Candidate, Hold, Option<Timestamp>), Discard> {
        for _ in 0..SET_ASIDE_MAX {
            let (candidate, hold) = self.choose()?;
            let Some((probes, probe)) = self.probe_for(candidate) else {
                return Ok((candidate, hold, None));
            };
            match probes.look(candidate.address, self.now) {
                // More than can be asked: an address that was not probed is better than none.
                Some(Finding::Clear) | None => return Ok((candidate, hold, None)),
                Some(Finding::Asked) => {
                    return Ok((candidate, hold, Some(probe.deadline(self.now))));
                }
                Some(Finding::Used) => {
                    self.set_aside(candidate)?;
                    probes.forget(candidate.address);
                }
            }
        }
        Err(Discard::ProbedInUse)
    }

    /// How an address is to be probed, if it is: not one that the client has, or had until a moment ago, nor one
    /// that the operator gave it.
    fn probe_for(&self, candidate: Candidate) -> Option<(&'a Probes, Probe)> {
        let probe = self.network.subnets.get(candidate.subnet)?.probe?;
        let probes = self.policy.probes.as_deref()?;
        let is_reserved = self
            .reserved
            .is_some_and(|reserved| reserved.address == candidate.address);
        let is_its_own = match self.record {
            Record::Live(held) => held == candidate.address,
            Record::Former(held) => {
                let heard = |terms: Terms| terms.last_transaction.after(probe.quiet_seconds);
                let terms = self.slot.and_then(|slot| self.partition.terms(slot));
                held == candidate.address && terms.is_some_and(|terms| heard(terms) > self.now)
            }
            Record::None => false,
        };
        (!is_reserved && !is_its_own).then_some((probes, probe))
    }

    /// Puts an address that somebody uses out of use for a while, as if it had been declined, by nobody: it counts
    /// against no client.
    fn set_aside(&mut self, candidate: Candidate) -> Result<(), Discard> {
        let lease = Lease::V4(candidate.address);
        let pools = &self.policy.pools;
        if self.offered == Some(candidate.address) {
            // The offer ends, and the claim is ours.
            self.partition
                .claim(&self.query.key(), lease, pools, self.now);
            self.offered = None;
        }
        let valid_seconds = self.policy.quarantine_seconds(lease, self.now);
        let binding = Binding {
            lease,
            state: State::Declined,
            subnet: self.subnet(candidate)?.id,
            last_transaction: self.now,
            expires: self.now.after(valid_seconds),
            valid_seconds,
            ..Binding::default()
        };
        let written = self
            .partition
            .commit(None, &binding, pools, self.log, self.now);
        if written.is_err() {
            pools.give_back(lease);
        }
        written.map(|_| ()).map_err(|_| Discard::TableFull)
    }
}
