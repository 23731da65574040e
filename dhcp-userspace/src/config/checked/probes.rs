//! Are addresses probed before they are offered, and how?

use super::{Checked, Checker, value_or};
use crate::config::file::Parameters;
use dhcp_core::Policy;
use dhcp_core::probe::{Probe, Probes};
use std::sync::Arc;

/// How long a probe may take in all: a client gives up about then.
const PROBE_MILLIS_MAX: u32 = 10_000;

/// As Kea's.
const REQUESTS: u32 = 1;
const REPLY_TIMEOUT_MILLIS: u32 = 100;
const QUIET_SECONDS: u32 = 60;

impl Checker<'_> {
    /// How the addresses of a subnet are probed.
    pub(super) fn probe(&mut self, written: &Parameters) -> Option<Probe> {
        let switch = written.enable_ping_check.as_ref().filter(|it| it.value)?;
        let requests = value_or(&written.min_ping_requests, REQUESTS);
        let reply_timeout_millis = value_or(&written.reply_timeout, REPLY_TIMEOUT_MILLIS);
        let millis = requests.saturating_mul(reply_timeout_millis);
        if millis > PROBE_MILLIS_MAX {
            let longer = written.reply_timeout.as_ref().map(|it| &it.spot);
            let message = format!(
                "{requests} requests of {reply_timeout_millis} ms take {millis} ms, and clients do not wait longer \
                 than {PROBE_MILLIS_MAX}; lower `reply-timeout` or `min-ping-requests`"
            );
            self.report.error(longer.unwrap_or(&switch.spot), message);
        }
        if written.vpn.is_some() {
            let message = "addresses of a VPN cannot be probed: this machine's own routes lead to other ones of the \
                           same number; set it to false where `vpn` is set";
            self.report.error(&switch.spot, message);
        }
        Some(Probe {
            requests: u8::try_from(requests).unwrap_or(u8::MAX), // 10 at most
            reply_timeout_millis,
            quiet_seconds: value_or(&written.ping_cltt_secs, QUIET_SECONDS),
        })
    }
}

impl Checked {
    /// Where workers and prober meet. What is known goes on after a reload, so that nothing is asked anew.
    pub(super) fn probes(&self, previous: Option<&Policy>) -> Option<Arc<Probes>> {
        let mut subnets = self.networks_v4.iter().flat_map(|network| &network.subnets);
        if !subnets.any(|subnet| subnet.probe.is_some()) {
            return None;
        }
        let known = previous.and_then(|policy| policy.probes.clone());
        Some(known.unwrap_or_default())
    }
}
