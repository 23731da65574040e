//! Where OFFERs wait whose addresses are being probed.
//!
//! A fixed number of them, of one worker. Nothing here is on the way of any other reply: while nothing waits, a look
//! costs a comparison, and while something waits, one atomic load.

use super::Reply;
use dhcp_core::Discard;
use dhcp_core::probe::{Finding, Probes};
use dhcp_lease::Timestamp;

/// How many may wait. Their frames are out of the ring meanwhile, of which a queue has thousands.
const ROOM: usize = 256;

/// OFFERs that wait.
#[derive(Debug)]
pub(super) struct Lobby<F> {
    replies: Vec<Reply<F>>,
    /// How many answers the prober had given, and which second it was, when they were looked at last.
    looked: Option<(u64, Timestamp)>,
}

impl<F> Default for Lobby<F> {
    fn default() -> Self {
        Self {
            replies: Vec::with_capacity(ROOM),
            looked: None,
        }
    }
}

impl<F> Lobby<F> {
    /// Lets a reply wait, or gives it back when there is no room.
    pub(super) fn admit(&mut self, reply: Reply<F>) -> Result<(), Reply<F>> {
        if self.replies.len() == ROOM {
            return Err(reply);
        }
        self.replies.push(reply);
        // What it waits for may be known already.
        self.looked = None;
        Ok(())
    }

    /// Whether something waits that the prober may have found out about.
    pub(super) fn has_news(&self, probes: Option<&Probes>) -> bool {
        let seen = self.looked.map(|(answers, _)| answers);
        !self.replies.is_empty() && seen != probes.map(Probes::answers)
    }

    /// Ends the wait of those whose addresses nobody uses, or somebody does, or of which it is not known in time. How
    /// many.
    pub(super) fn release(
        &mut self,
        probes: Option<&Probes>,
        now: Timestamp,
        mut end: impl FnMut(Reply<F>, Result<(), Discard>),
    ) -> usize {
        if self.replies.is_empty() {
            return 0;
        }
        // Counted before what is known is read: an answer that comes in between is looked at the next time.
        let looked = probes.map(|probes| (probes.answers(), now));
        if looked.is_some() && self.looked == looked {
            return 0;
        }
        self.looked = looked;
        let before = self.replies.len();
        let mut place = 0;
        while let Some(reply) = self.replies.get(place) {
            match verdict(reply, probes, now) {
                None => place += 1,
                Some(verdict) => end(self.replies.swap_remove(place), verdict),
            }
        }
        before - self.replies.len()
    }

    /// Whoever still waits.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Reply<F>> {
        self.replies.drain(..)
    }
}

/// What becomes of a reply; `None`: it waits on.
fn verdict<F>(
    reply: &Reply<F>,
    probes: Option<&Probes>,
    now: Timestamp,
) -> Option<Result<(), Discard>> {
    let Some((address, deadline)) = reply.probed else {
        return Some(Ok(()));
    };
    match probes.and_then(|probes| probes.known(address, now)) {
        Some(Finding::Clear) => Some(Ok(())),
        Some(Finding::Used) => Some(Err(Discard::ProbedInUse)),
        Some(Finding::Asked) if now < deadline => None,
        // It was forgotten, or nobody asks any more.
        Some(Finding::Asked) | None => Some(Err(Discard::Probing)),
    }
}
