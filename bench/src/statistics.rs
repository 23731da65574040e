//! What was counted and timed?

use crate::check::Violations;
use crate::exchange::{Operation, Step};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Questions of one kind and their answers.
#[derive(Clone, Debug)]
pub struct StepCounts {
    /// Questions sent, repetitions included.
    pub sent: u64,
    /// Of these, repetitions.
    pub repeated: u64,
    /// Questions answered.
    pub received: u64,
    /// Questions that got no answer in time.
    pub drops: u64,
    /// Nanoseconds from the intended time of sending to the answer.
    pub latency: Histogram<u64>,
}

/// Exchanges of one kind.
#[derive(Clone, Debug)]
pub struct OperationCounts {
    /// Exchanges begun.
    pub started: u64,
    /// Exchanges with a good end.
    pub completed: u64,
    /// Given up without an answer, or after a wrong one.
    pub failed: u64,
    /// Nanoseconds from the intended beginning to the good end.
    pub latency: Histogram<u64>,
}

/// All of a run.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    discover: StepCounts,
    request: StepCounts,
    renew: StepCounts,
    rebind: StepCounts,
    reboot_step: StepCounts,
    decline_step: StepCounts,
    release_step: StepCounts,
    inform_step: StepCounts,
    obtain: OperationCounts,
    renewal: OperationCounts,
    rebinding: OperationCounts,
    reboot: OperationCounts,
    decline: OperationCounts,
    release: OperationCounts,
    inform: OperationCounts,
    /// What servers did wrong.
    pub violations: Violations,
    /// The server's refusals by name.
    pub refusals: BTreeMap<&'static str, u64>,
    /// OFFERs beside the one that was taken: of other servers, or to a DISCOVER that was repeated.
    pub further_offers: u64,
    /// Gratuitous ARPs sent.
    pub announced: u64,
    /// Answers to nobody's question: late, or doubled.
    pub stray: u64,
    /// Exchanges that could not begin for want of idle clients or transaction numbers.
    pub not_started: u64,
    /// Frames that the kernel dropped on our side.
    pub dropped_by_kernel: u64,
    /// Nanoseconds from the first question to the end of the measured time.
    pub elapsed: u64,
    /// Exchanges completed in that time.
    pub completed_in_time: u64,
    /// Answers received in that time.
    pub received_in_time: u64,
}

impl Statistics {
    /// Counts of a step.
    pub fn step(&self, step: Step) -> &StepCounts {
        match step {
            Step::Discover => &self.discover,
            Step::Request => &self.request,
            Step::Renew => &self.renew,
            Step::Rebind => &self.rebind,
            Step::Reboot => &self.reboot_step,
            Step::Decline => &self.decline_step,
            Step::Release => &self.release_step,
            Step::Inform => &self.inform_step,
        }
    }

    /// Counts of a step, to be changed.
    pub fn step_mut(&mut self, step: Step) -> &mut StepCounts {
        match step {
            Step::Discover => &mut self.discover,
            Step::Request => &mut self.request,
            Step::Renew => &mut self.renew,
            Step::Rebind => &mut self.rebind,
            Step::Reboot => &mut self.reboot_step,
            Step::Decline => &mut self.decline_step,
            Step::Release => &mut self.release_step,
            Step::Inform => &mut self.inform_step,
        }
    }

    /// Counts of an operation.
    pub fn operation(&self, operation: Operation) -> &OperationCounts {
        match operation {
            Operation::Obtain => &self.obtain,
            Operation::Renew => &self.renewal,
            Operation::Rebind => &self.rebinding,
            Operation::Reboot => &self.reboot,
            Operation::Decline => &self.decline,
            Operation::Release => &self.release,
            Operation::Inform => &self.inform,
        }
    }

    /// Counts of an operation, to be changed.
    pub fn operation_mut(&mut self, operation: Operation) -> &mut OperationCounts {
        match operation {
            Operation::Obtain => &mut self.obtain,
            Operation::Renew => &mut self.renewal,
            Operation::Rebind => &mut self.rebinding,
            Operation::Reboot => &mut self.reboot,
            Operation::Decline => &mut self.decline,
            Operation::Release => &mut self.release,
            Operation::Inform => &mut self.inform,
        }
    }

    /// Sum over all steps.
    pub fn steps(&self, count: impl Fn(&StepCounts) -> u64) -> u64 {
        Step::ALL.iter().map(|step| count(self.step(*step))).sum()
    }

    /// Sum over all operations.
    pub fn operations(&self, count: impl Fn(&OperationCounts) -> u64) -> u64 {
        Operation::ALL
            .iter()
            .map(|operation| count(self.operation(*operation)))
            .sum()
    }

    /// Unanswered questions as a share of all questions; exchanges that could not begin count, too.
    pub fn loss(&self) -> f64 {
        let lost = self.steps(|step| step.drops) + self.not_started;
        let all = self.steps(|step| step.sent) + self.not_started;
        lost as f64 / all.max(1) as f64
    }

    /// Exchanges completed per second of measured time.
    pub fn exchanges_per_second(&self) -> f64 {
        self.completed_in_time as f64 * 1e9 / self.elapsed.max(1) as f64
    }

    /// Answers per second of measured time.
    pub fn answers_per_second(&self) -> f64 {
        self.received_in_time as f64 * 1e9 / self.elapsed.max(1) as f64
    }
}

impl Default for StepCounts {
    fn default() -> Self {
        Self {
            sent: 0,
            repeated: 0,
            received: 0,
            drops: 0,
            latency: histogram(),
        }
    }
}

impl Default for OperationCounts {
    fn default() -> Self {
        Self {
            started: 0,
            completed: 0,
            failed: 0,
            latency: histogram(),
        }
    }
}

/// Three significant digits from 1 ns to an hour; what takes longer counts as an hour.
fn histogram() -> Histogram<u64> {
    const HOUR: u64 = 3_600_000_000_000;
    Histogram::new_with_bounds(1, HOUR, 3)
        .unwrap_or_else(|error| unreachable!("three digits and an hour are allowed: {error}"))
}
