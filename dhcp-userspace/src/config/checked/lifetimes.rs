//! How long is a lease held, and when does a client ask again? Lifetimes and timers in an order that makes
//! sense.

use super::placed::Placed;
use super::{Checker, default};
use crate::config::notation::Family;
use crate::config::report::{At, Spot};
use dhcp_core::subnet::{LeaseCache, Lifetimes};

impl Checker<'_> {
    /// Lifetimes in order: shortest <= default <= longest, T1 < T2 < default (DHCPv6: shortest), preferred <= valid.
    pub(super) fn lifetimes(&mut self, placed: &Placed<'_>) -> Lifetimes {
        let written = &placed.parameters;
        let valid = self.known(
            "valid-lifetime",
            &written.valid_lifetime,
            default::VALID_LIFETIME,
        );
        let bound = |name: &str, bound: &Option<At<u32>>| match bound {
            Some(_) => self.known(name, bound, valid.value),
            None => valid.clone(),
        };
        let shortest = bound("min-valid-lifetime", &written.min_valid_lifetime);
        let longest = bound("max-valid-lifetime", &written.max_valid_lifetime);
        let (shortest, longest, preferred) = match placed.written.family {
            Family::V4 => {
                self.at_most(&shortest, &valid);
                self.at_least(&longest, &valid);
                (shortest, longest, valid.clone())
            }
            Family::V6 => {
                // 5/8, dhcpd's habit; for ever stays for ever.
                let of_valid = match valid.value {
                    u32::MAX => u32::MAX,
                    seconds => seconds - seconds / 8 * 3,
                };
                let preferred =
                    self.known("preferred-lifetime", &written.preferred_lifetime, of_valid);
                self.at_most(&preferred, &valid);
                self.at_most(&shortest, &valid);
                (shortest, valid.clone(), preferred)
            }
        };
        // A DHCPv4 client that asks for less than the timers gets timers that fit, so only the usual lifetime counts.
        let usual = match placed.written.family {
            Family::V4 => &valid,
            Family::V6 => &shortest,
        };
        self.timers(placed, usual, &preferred);
        self.suspicious_lifetime(placed, &valid);
        if let Some(threshold) = &written.adaptive_threshold
            && written.min_valid_lifetime.is_none()
        {
            let message = "has no effect without `min-valid-lifetime`, the lifetime of leases when the subnet is \
                           nearly full; configure it";
            self.report.warn(&threshold.spot, message);
        }
        Lifetimes {
            valid: valid.value,
            valid_min: shortest.value,
            valid_max: longest.value,
            preferred: preferred.value,
            renew: written.renew_timer.as_ref().map(|it| it.value),
            rebind: written.rebind_timer.as_ref().map(|it| it.value),
            cache: self.cache(placed),
            adaptive_millionths: written.adaptive_threshold.as_ref().map(|it| it.value),
        }
    }

    fn timers(&mut self, placed: &Placed<'_>, usual: &Known, preferred: &Known) {
        let written = &placed.parameters;
        // RFC 2131 section 4.4.5; RFC 9915 section 21.4.
        let computed = |share: u64| (share / 1000).min(u64::from(u32::MAX)) as u32;
        let (t1, t2) = match placed.written.family {
            Family::V4 => (u64::from(usual.value) * 500, u64::from(usual.value) * 875),
            Family::V6 => (
                u64::from(preferred.value) * 500,
                u64::from(preferred.value) * 800,
            ),
        };
        let renew = self.known("renew-timer", &written.renew_timer, computed(t1));
        let rebind = self.known("rebind-timer", &written.rebind_timer, computed(t2));
        if written.renew_timer.is_some() || written.rebind_timer.is_some() {
            self.below(&renew, &rebind);
        }
        if written.rebind_timer.is_some() {
            self.below(&rebind, usual);
        }
        let late = placed.written.family == Family::V6 && renew.value >= preferred.value;
        if let (true, Some(spot)) = (late, &renew.spot) {
            let message = format!(
                "{} is not below {}: addresses are deprecated before they are renewed; lower it",
                renew.value, preferred.described
            );
            self.report.warn(spot, message);
        }
    }

    fn cache(&mut self, placed: &Placed<'_>) -> LeaseCache {
        let written = &placed.parameters;
        if let Some(threshold) = written
            .cache_threshold
            .as_ref()
            .filter(|threshold| threshold.value > 500_000)
        {
            let message = "more than half: clients whose renewals are not written down come close to the end of \
                           their leases; 0.25 is enough for those that renew too often";
            self.report.warn(&threshold.spot, message);
        }
        LeaseCache {
            threshold_millionths: written.cache_threshold.as_ref().map(|it| it.value),
            age_seconds_max: written.cache_max_age.as_ref().map(|it| it.value),
        }
    }

    fn suspicious_lifetime(&mut self, placed: &Placed<'_>, valid: &Known) {
        let spot = valid.spot.as_ref().unwrap_or(&placed.written.spot);
        match valid.value {
            u32::MAX => self
                .report
                .warn(spot, "leases never end; addresses never come back"),
            seconds @ 0..60 => self.report.warn(
                spot,
                format!(
                    "{seconds} seconds are little: every client asks again every {} seconds",
                    seconds / 2
                ),
            ),
            _ => {}
        }
    }

    /// A value that is written or follows from others.
    fn known(&self, name: &str, written: &Option<At<u32>>, otherwise: u32) -> Known {
        match written {
            Some(it) => Known {
                value: it.value,
                described: format!("{}, {}", self.report.name(&it.spot), it.value),
                spot: Some(it.spot.clone()),
            },
            None => Known {
                value: otherwise,
                described: format!("`{name}`, which is {otherwise} unless configured"),
                spot: None,
            },
        }
    }

    fn at_most(&mut self, this: &Known, most: &Known) {
        if this.value > most.value {
            self.disorder(this, "is above", most, "lower it");
        }
    }

    fn at_least(&mut self, this: &Known, least: &Known) {
        if this.value < least.value {
            self.disorder(this, "is below", least, "raise it");
        }
    }

    fn below(&mut self, this: &Known, bound: &Known) {
        if this.value >= bound.value {
            self.disorder(this, "is not below", bound, "lower it");
        }
    }

    /// Reported where something is written: a default is not what the operator got wrong.
    fn disorder(&mut self, this: &Known, relation: &str, other: &Known, advice: &str) {
        match (&this.spot, &other.spot) {
            (Some(spot), _) => self.report.error(
                spot,
                format!(
                    "{} {relation} {}; {advice} or change the other",
                    this.value, other.described
                ),
            ),
            (None, Some(spot)) => self.report.error(
                spot,
                format!(
                    "{} does not fit {}, which {relation} it; configure both",
                    other.value, this.described
                ),
            ),
            (None, None) => {}
        }
    }
}

/// A value and how to speak of it.
#[derive(Clone)]
struct Known {
    value: u32,
    described: String,
    spot: Option<Spot>,
}
