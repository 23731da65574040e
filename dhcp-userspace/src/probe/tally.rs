//! What came of probing, for the operator.

use crate::counters::Counter;
use dhcp_core::probe::Probes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;

/// What the prober counts. It alone writes; anybody reads.
#[derive(Debug, Default)]
pub struct Tally {
    pub(super) arp: Counter,
    pub(super) echo: Counter,
    pub(super) clear: Counter,
    pub(super) used: Counter,
    pub(super) failed: Counter,
    trouble: Mutex<Option<String>>,
}

/// What came of probing until now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeStatus {
    /// ARP requests sent.
    pub arp: u64,
    /// ICMP echo requests sent.
    pub echo: u64,
    /// Addresses for which nobody answered.
    pub clear: u64,
    /// Addresses for which somebody answered.
    pub used: u64,
    /// Addresses for which the system did not send the request.
    pub failed: u64,
    /// Addresses that were offered without a probe because too many were asked for.
    pub skipped: u64,
    /// Why the last request was not sent, if it was not.
    pub trouble: Option<String>,
}

impl Tally {
    /// The numbers of this moment.
    pub fn status(&self, probes: Option<&Probes>) -> ProbeStatus {
        ProbeStatus {
            arp: self.arp.get(),
            echo: self.echo.get(),
            clear: self.clear.get(),
            used: self.used.get(),
            failed: self.failed.get(),
            skipped: probes.map_or(0, Probes::skipped),
            trouble: self.trouble.lock().clone(),
        }
    }

    /// A request was not sent. Logged when the reason is another one than before.
    pub(super) fn trouble(&self, error: &io::Error) {
        let why = error.to_string();
        let mut trouble = self.trouble.lock();
        if trouble.as_ref() != Some(&why) {
            tracing::warn!(%error, "an address cannot be probed; it is offered all the same");
            *trouble = Some(why);
        }
    }

    /// A request was sent, or none is wanted any more.
    pub(super) fn well(&self) {
        *self.trouble.lock() = None;
    }
}

impl ProbeStatus {
    /// What came of the addresses, by name.
    pub(crate) fn results(&self) -> BTreeMap<String, u64> {
        named([
            ("clear", self.clear),
            ("in_use", self.used),
            ("failed", self.failed),
            ("skipped", self.skipped),
        ])
    }

    /// The requests, by their way.
    pub(crate) fn requests(&self) -> BTreeMap<String, u64> {
        named([("arp", self.arp), ("icmp", self.echo)])
    }
}

fn named<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    let named = counts.map(|(name, count)| (name.to_owned(), count));
    named.into_iter().collect()
}
