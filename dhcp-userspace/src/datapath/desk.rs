//! Where a worker answers leasequeries: one after the other, no more than the operator allows in a second.
//!
//! It locks one partition at a time, as the stages do, but on its own account: a question for an address
//! goes to all of them. That takes several times as long as a client's message, hence the bound.

use super::Context;
use crate::counters::Counters;
use crate::io::Port;
use dhcp_core::Discard;
use dhcp_core::v4::leasequery::{Finding, LeaseAnswer, LeaseQuery, classify, reply, search};
use dhcp_lease::{Partitions, Timestamp};
use dhcp_wire::frame::Datagram;

/// Buffers that are used again and again.
#[derive(Debug, Default)]
pub(super) struct Desk {
    query: LeaseQuery,
    finding: Finding,
    /// How many were answered in which second.
    second: Timestamp,
    answered: u32,
}

impl Desk {
    /// Answers the question in a frame, over the frame: its length then, and which answer it is.
    pub(super) fn answer<P: Port>(
        &mut self,
        port: &mut P,
        frame: &mut P::Frame,
        context: &Context<'_>,
        partitions: &Partitions,
        counters: &Counters,
    ) -> Result<(usize, LeaseAnswer), Discard> {
        let query = &mut self.query;
        let &Context {
            policy,
            interface,
            now,
            ..
        } = context;
        let datagram = Datagram::parse(port.octets(frame)).map_err(|_| Discard::Frame)?;
        classify(
            datagram.payload,
            &datagram.envelope,
            interface,
            policy,
            query,
        )?;
        counters.received_leasequery();
        let rate_max = policy.leasequery.as_ref().map_or(0, |it| it.rate_max);
        self.admit(rate_max, now)?;
        let Self { query, finding, .. } = self;
        search(query, policy, partitions, now, finding)?;
        let len = port.overwrite(frame, |room| reply(query, finding, policy, room))?;
        Ok((len, finding.answer()))
    }

    // RFC 4388 section 7 [leasequery-flood]: clients have the worker, whatever requestors do.
    /// Whether there is room in this second for one more.
    fn admit(&mut self, rate_max: u32, now: Timestamp) -> Result<(), Discard> {
        if now != self.second {
            (self.second, self.answered) = (now, 0);
        }
        if self.answered >= rate_max {
            return Err(Discard::LeasequeryRate);
        }
        self.answered += 1;
        Ok(())
    }
}
