//! What is to be done, how fast and for how long?

use crate::exchange::Operation;
use anyhow::Context;
use std::time::Duration;

/// When the next exchange begins.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As soon as fewer than this many are in flight: as fast as answers come.
    Closed {
        /// Exchanges in flight.
        window: usize,
    },
    /// At its time, whether answers come or not.
    Open {
        /// Exchanges that begin in a second.
        rate: f64,
    },
}

/// When no more exchanges begin.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// After so many.
    Exchanges(u64),
    /// After so long.
    Time(Duration),
}

/// One run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How fast.
    pub pace: Pace,
    /// For how long.
    pub extent: Extent,
    /// What.
    pub mix: Mix,
}

/// Operations in proportion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    shares: Vec<(Operation, u64)>,
}

impl Mix {
    /// Nothing but `operation`.
    pub fn only(operation: Operation) -> Self {
        Self {
            shares: vec![(operation, 1)],
        }
    }

    /// Reads `obtain=1,renew=5`. The first operation may also be called by its exchange: dora, sarr.
    ///
    /// # Errors
    /// What is not understood.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut shares = Vec::new();
        for part in text.split(',') {
            let (name, share) = part.split_once('=').unwrap_or((part, "1"));
            let operation = match name.trim() {
                "dora" | "sarr" | "rapid" => Operation::Obtain,
                other => Operation::ALL
                    .into_iter()
                    .find(|operation| operation.name() == other)
                    .with_context(|| {
                        let names = Operation::ALL.map(Operation::name).join(", ");
                        format!("{other:?} is none of dora, sarr, {names}")
                    })?,
            };
            let share = share
                .trim()
                .parse()
                .with_context(|| format!("{part:?}: no number"))?;
            shares.push((operation, share));
        }
        anyhow::ensure!(
            shares.iter().any(|(_, share)| *share > 0),
            "{text:?}: nothing to do"
        );
        Ok(Self { shares })
    }

    /// Whether an operation is part of it.
    pub fn has(&self, operation: Operation) -> bool {
        let mut shares = self.shares.iter();
        shares.any(|(of, share)| *of == operation && *share > 0)
    }

    /// The operation of the exchange with this number: proportions are kept in every round.
    pub fn operation(&self, number: u64) -> Operation {
        let round: u64 = self.shares.iter().map(|(_, share)| share).sum();
        let mut position = number % round.max(1);
        for (operation, share) in &self.shares {
            if position < *share {
                return *operation;
            }
            position -= share;
        }
        Operation::Obtain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_keeps_its_proportions() {
        let mix = Mix::parse("dora=1,renew=5").unwrap();
        let renewals = (0..600)
            .filter(|n| mix.operation(*n) == Operation::Renew)
            .count();
        assert_eq!(renewals, 500);
        assert!(Mix::parse("dance=1").is_err());
        assert!(Mix::parse("dora=0").is_err());
    }
}
