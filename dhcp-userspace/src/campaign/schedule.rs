//! Whom to send to next, and when? Pure: time is an argument, and whether a client has reacted is asked.
//!
//! Invariants: every target ends exactly once, as reacted, gone or deaf; a target is sent at most
//! [`Plan::tries`] messages, each after twice the pause of the one before; no more messages than
//! [`Plan::rate`] leave in a second, retries included.

use std::collections::VecDeque;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

/// How many messages may leave at once to make up for a sleep that was too long, as a part of a second.
const CATCH_UP: Duration = Duration::from_millis(20);
/// How many clients a step looks at before it lets its caller breathe.
const LOOKS_PER_STEP: usize = 256;

/// How a campaign goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Messages per second, retries included.
    pub rate: NonZeroU32,
    /// How long a client has to react to its first message; twice as long to each further one.
    pub first_timeout: Duration,
    /// How many messages a client gets before it counts as deaf.
    pub tries: NonZeroU16,
}

/// What has become of a client since the campaign began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing was heard of it.
    Silent,
    /// It came for its lease.
    Reacted,
    /// It has no lease any more.
    Gone,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this target a message; `attempt` counts those that it was sent before.
    Send {
        /// Its number.
        target: u32,
        /// From 0.
        attempt: u16,
    },
    /// Nothing until then.
    Wait(Duration),
    /// Every target has ended.
    Done,
}

/// What has been done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages, retries included.
    pub sent: u64,
    /// Targets that came for their leases.
    pub reacted: u32,
    /// Targets that have no lease any more.
    pub gone: u32,
    /// Targets that did not react to their last message either.
    pub deaf: u32,
    /// Targets that were sent a message and have time left to react.
    pub waiting: u32,
}

/// The targets 0 to `count` and how far each has come.
#[derive(Debug)]
pub struct Schedule {
    plan: Plan,
    count: u32,
    /// The first target whose turn has not come.
    next: u32,
    /// By how many messages they had: who has until when. All of one queue have as long, so it is in order.
    waiting: Vec<VecDeque<(Duration, u32)>>,
    /// Who is to be sent another message.
    again: VecDeque<(u32, u16)>,
    /// When the next message may leave.
    slot: Duration,
    counts: Counts,
    newly_deaf: Vec<u32>,
}

impl Schedule {
    /// Nobody has been sent anything.
    pub fn new(plan: Plan, count: u32) -> Self {
        Self {
            plan,
            count,
            next: 0,
            waiting: vec![VecDeque::new(); usize::from(plan.tries.get())],
            again: VecDeque::new(),
            slot: Duration::ZERO,
            counts: Counts::default(),
            newly_deaf: Vec::new(),
        }
    }

    /// What has been done.
    pub fn counts(&self) -> Counts {
        let waiting = self.waiting.iter().map(VecDeque::len).sum::<usize>() + self.again.len();
        Counts {
            waiting: waiting as u32,
            ..self.counts
        }
    }

    /// Who has turned out to be deaf since this was asked last.
    pub fn take_deaf(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.newly_deaf)
    }

    /// What is to be done at `now`, which is how long the campaign has been running. A message that is to be
    /// sent counts as sent.
    pub fn step(&mut self, now: Duration, mut look: impl FnMut(u32) -> Seen) -> Step {
        let mut looks = LOOKS_PER_STEP;
        if !self.sort_out_due(now, &mut look, &mut looks) {
            return Step::Wait(now);
        }
        if now < self.slot {
            return Step::Wait(self.slot);
        }
        while let Some((target, attempt)) = self.next_target() {
            if looks == 0 {
                self.again.push_front((target, attempt));
                return Step::Wait(now);
            }
            looks -= 1;
            // A retry may have waited for its turn, and a client may come by itself.
            if self.is_ended(look(target)) {
                continue;
            }
            return self.send(target, attempt, now);
        }
        let fronts = self.waiting.iter().filter_map(VecDeque::front);
        let due = fronts.map(|&(due, _)| due).min();
        due.map_or(Step::Done, Step::Wait)
    }

    // RFC 3203 section 2.2 [forcerenew-retransmit]
    // RFC 3203 section 2.2 [forcerenew-retransmit-bounded]: after twice as long each time, and not for ever.
    fn sort_out_due(
        &mut self,
        now: Duration,
        look: &mut impl FnMut(u32) -> Seen,
        looks: &mut usize,
    ) -> bool {
        for attempt in 1..=self.plan.tries.get() {
            let place = usize::from(attempt - 1);
            while let Some(queue) = self.waiting.get_mut(place)
                && let Some(&(due, target)) = queue.front()
                && due <= now
            {
                if *looks == 0 {
                    return false;
                }
                *looks -= 1;
                queue.pop_front();
                if self.is_ended(look(target)) {
                    continue;
                }
                if attempt < self.plan.tries.get() {
                    self.again.push_back((target, attempt));
                } else {
                    self.counts.deaf += 1;
                    self.newly_deaf.push(target);
                }
            }
        }
        true
    }

    fn is_ended(&mut self, seen: Seen) -> bool {
        match seen {
            Seen::Silent => return false,
            Seen::Reacted => self.counts.reacted += 1,
            Seen::Gone => self.counts.gone += 1,
        }
        true
    }

    /// Whose turn it is: those who were sent something already go first, lest they wait for all others.
    fn next_target(&mut self) -> Option<(u32, u16)> {
        if let Some(again) = self.again.pop_front() {
            return Some(again);
        }
        let target = self.next;
        (target < self.count).then(|| {
            self.next += 1;
            (target, 0)
        })
    }

    // RFC 3203 section 2.2 [forcerenew-delay]: the operator's rate and first timeout.
    fn send(&mut self, target: u32, attempt: u16, now: Duration) -> Step {
        let interval = Duration::from_secs(1) / self.plan.rate.get();
        self.slot = self.slot.max(now.saturating_sub(CATCH_UP)) + interval;
        let doubled = 1u32.checked_shl(u32::from(attempt)).unwrap_or(u32::MAX);
        let timeout = self.plan.first_timeout.saturating_mul(doubled);
        if let Some(queue) = self.waiting.get_mut(usize::from(attempt)) {
            queue.push_back((now.saturating_add(timeout), target));
        }
        self.counts.sent += 1;
        Step::Send { target, attempt }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(rate: u32, timeout_seconds: u64, tries: u16) -> Plan {
        Plan {
            rate: NonZeroU32::new(rate).unwrap(),
            first_timeout: Duration::from_secs(timeout_seconds),
            tries: NonZeroU16::new(tries).unwrap(),
        }
    }

    /// Clients in virtual time: when each comes after its `needs`th message, or never.
    struct Crowd {
        needs: Vec<Option<u16>>,
        reaction: Duration,
        /// When each was sent what.
        sent: Vec<Vec<Duration>>,
        gone: Vec<bool>,
    }

    impl Crowd {
        fn new(needs: Vec<Option<u16>>) -> Self {
            Self {
                sent: vec![Vec::new(); needs.len()],
                gone: vec![false; needs.len()],
                reaction: Duration::from_millis(300),
                needs,
            }
        }

        fn seen(&self, target: u32, now: Duration) -> Seen {
            let place = target as usize;
            if self.gone[place] {
                return Seen::Gone;
            }
            let reacts = self.needs[place]
                .and_then(|needs| self.sent[place].get(usize::from(needs)))
                .is_some_and(|sent| *sent + self.reaction <= now);
            if reacts { Seen::Reacted } else { Seen::Silent }
        }

        /// Runs a campaign to its end; how long it took, and who was deaf.
        fn run(&mut self, plan: Plan) -> (Duration, Vec<u32>, Counts) {
            let mut schedule = Schedule::new(plan, self.needs.len() as u32);
            let mut now = Duration::ZERO;
            let mut deaf = Vec::new();
            loop {
                let step = schedule.step(now, |target| self.seen(target, now));
                deaf.extend(schedule.take_deaf());
                match step {
                    Step::Send { target, attempt } => {
                        let sent = &mut self.sent[target as usize];
                        assert_eq!(sent.len(), usize::from(attempt));
                        sent.push(now);
                    }
                    Step::Wait(until) => now = until.max(now + Duration::from_micros(100)),
                    Step::Done => return (now, deaf, schedule.counts()),
                }
            }
        }

        fn total(&self) -> usize {
            self.sent.iter().map(Vec::len).sum()
        }
    }

    #[test]
    fn the_living_react_the_deaf_are_listed_and_the_pace_is_kept() {
        let needs = (0..10_000).map(|number| (number % 20 != 0).then_some(0));
        let mut crowd = Crowd::new(needs.collect());
        let (took, deaf, counts) = crowd.run(plan(1000, 2, 3));
        assert_eq!(deaf.len(), 500);
        assert!(deaf.iter().all(|target| target % 20 == 0));
        assert_eq!(
            (counts.reacted, counts.deaf, counts.waiting),
            (9500, 500, 0)
        );
        assert_eq!(counts.sent, 9500 + 3 * 500);
        // 11,000 messages at 1,000 a second, then the last timeouts of the last retries.
        assert!(took > Duration::from_secs(11) && took < Duration::from_secs(26));
        let mut all: Vec<_> = crowd.sent.iter().flatten().copied().collect();
        all.sort_unstable();
        for (first, last) in all.iter().zip(all.iter().skip(1020)) {
            assert!(
                *last - *first >= Duration::from_secs(1),
                "{first:?} {last:?}"
            );
        }
    }

    /// RFC 3203 section 2.2 [forcerenew-retransmit]
    /// RFC 3203 section 2.2 [forcerenew-retransmit-bounded]
    #[test]
    fn each_try_waits_twice_as_long_and_the_last_is_the_last() {
        let mut crowd = Crowd::new(vec![None]);
        let (took, deaf, _) = crowd.run(plan(10, 2, 8));
        let at: Vec<_> = crowd.sent[0].iter().map(Duration::as_secs).collect();
        assert_eq!(at, [0, 2, 6, 14, 30, 62, 126, 254]);
        assert_eq!((took.as_secs(), deaf), (510, vec![0]));
    }

    #[test]
    fn a_message_that_was_lost_is_sent_again_and_no_more_once_it_worked() {
        let mut crowd = Crowd::new(vec![Some(2), Some(0), Some(1)]);
        let (_, deaf, counts) = crowd.run(plan(10, 2, 4));
        let tries: Vec<_> = crowd.sent.iter().map(Vec::len).collect();
        assert_eq!((tries, deaf.len()), (vec![3, 1, 2], 0));
        assert_eq!(counts.reacted, 3);
    }

    #[test]
    fn who_has_come_or_gone_before_his_turn_is_sent_nothing() {
        let mut crowd = Crowd::new(vec![None, None]);
        crowd.gone[0] = true;
        let mut schedule = Schedule::new(plan(10, 2, 4), 2);
        let step = schedule.step(Duration::ZERO, |target| match target {
            0 => Seen::Gone,
            _ => Seen::Reacted,
        });
        assert_eq!(step, Step::Done);
        let counts = schedule.counts();
        assert_eq!((counts.sent, counts.gone, counts.reacted), (0, 1, 1));
    }

    /// RFC 3203 section 2.2 [forcerenew-delay]
    #[test]
    fn a_sleep_that_was_too_long_is_not_made_up_for_by_a_flood() {
        let mut schedule = Schedule::new(plan(100, 60, 1), 1000);
        let mut now = Duration::ZERO;
        let mut burst = |now| {
            let mut count = 0;
            while let Step::Send { .. } = schedule.step(now, |_| Seen::Silent) {
                count += 1;
            }
            count
        };
        assert_eq!(burst(now), 1);
        now += Duration::from_secs(5);
        assert!(burst(now) <= 3);
    }

    #[test]
    fn nobody_at_all_is_done_at_once() {
        let mut schedule = Schedule::new(plan(1, 1, 1), 0);
        assert_eq!(schedule.step(Duration::ZERO, |_| Seen::Silent), Step::Done);
    }

    proptest! {
        /// Whatever the clients do: each ends once, as what it is.
        #[test]
        fn every_target_ends_exactly_once(
            needs in prop::collection::vec(prop::option::of(0u16..6), 0..200),
            gone in prop::collection::vec(any::<bool>(), 200),
            rate in 1u32..5000,
            tries in 1u16..6,
        ) {
            let mut crowd = Crowd::new(needs.clone());
            crowd.gone.copy_from_slice(&gone[..needs.len()]);
            let (_, mut deaf, counts) = crowd.run(plan(rate, 1, tries));
            let ends = (counts.reacted + counts.gone + counts.deaf) as usize;
            prop_assert_eq!((ends, counts.waiting), (needs.len(), 0));
            prop_assert_eq!(counts.sent as usize, crowd.total());
            deaf.sort_unstable();
            let expected = (0..needs.len() as u32).filter(|&target| {
                let place = target as usize;
                !gone[place] && needs[place].is_none_or(|needs| needs >= tries)
            });
            prop_assert_eq!(deaf, expected.collect::<Vec<_>>());
            prop_assert!(crowd.sent.iter().all(|sent| sent.len() <= usize::from(tries)));
        }
    }
}
