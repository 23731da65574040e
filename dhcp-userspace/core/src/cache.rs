//! Must a lease be written down again? A renewal that changes nothing but times, early in a lease, is
//! answered with what is left of it.

use crate::subnet::LeaseCache;
use dhcp_lease::{Terms, Timestamp};

/// A client that has no answer asks again after a second (DHCPv6) or four (DHCPv4) and soon gives up. For so
/// long the same request is a duplicate, unless the operator has turned that off.
const DUPLICATE_SECONDS: u32 = 10;

/// Whether a request that changes nothing but times is the one that was answered last, sent again.
pub(crate) fn is_duplicate(terms: &Terms, now: Timestamp) -> bool {
    now.0.saturating_sub(terms.last_transaction.0) < u64::from(DUPLICATE_SECONDS)
}

/// What is left of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// Of its valid lifetime, in seconds.
    pub(crate) valid: u32,
    /// Of its preferred lifetime, in seconds; DHCPv4 0.
    pub(crate) preferred: u32,
}

impl LeaseCache {
    /// What is left of a recorded lease, if the client may be content with that for now. It never ends
    /// after what is recorded. What was recorded before `since` is to be written down anew.
    // RFC 2131 section 4.3.2 [early-renewal-acknowledged]: not extended, and acknowledged with what is left.
    pub(crate) fn left(&self, terms: &Terms, since: Timestamp, now: Timestamp) -> Option<Left> {
        if !terms.is_live(now) || terms.last_transaction < since {
            return None;
        }
        let valid = terms.expires.seconds_left(now).min(terms.valid_seconds);
        let since = u32::try_from(now.0.saturating_sub(terms.last_transaction.0));
        // The two differ only in records that were not written by a grant of ours.
        let age = since
            .unwrap_or(u32::MAX)
            .max(terms.valid_seconds.saturating_sub(valid));
        if age >= self.reach(terms.valid_seconds) {
            return None;
        }
        let preferred = match terms.preferred_seconds {
            u32::MAX => u32::MAX,
            seconds => seconds.saturating_sub(age),
        };
        // An answer with a preferred lifetime of 0 would take the address out of use.
        let is_deprecated = terms.preferred_seconds != 0 && preferred == 0;
        (!is_deprecated).then_some(Left {
            valid,
            preferred: preferred.min(valid),
        })
    }

    /// How old a lease must be to be written down again, in seconds.
    fn reach(&self, valid_seconds: u32) -> u32 {
        // As in Kea, a bound of nothing turns all of it off.
        if self.threshold_millionths == Some(0) || self.age_seconds_max == Some(0) {
            return 0;
        }
        // Well before T1 also where leases are very short.
        let duplicate = DUPLICATE_SECONDS.min(valid_seconds / 4);
        let by_share = self.threshold_millionths.map(|millionths| {
            let share = u64::from(valid_seconds) * u64::from(millionths) / 1_000_000;
            u32::try_from(share).unwrap_or(u32::MAX)
        });
        let configured = match (by_share, self.age_seconds_max) {
            (Some(by_share), Some(age)) => by_share.min(age),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => 0,
        };
        configured.max(duplicate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcp_lease::{Lease, State, SubnetId};
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const GRANTED: Timestamp = Timestamp(1_790_000_000);

    fn terms(valid_seconds: u32, preferred_seconds: u32) -> Terms {
        Terms {
            lease: Lease::V4(Ipv4Addr::UNSPECIFIED),
            state: State::Leased,
            subnet: SubnetId(1),
            last_transaction: GRANTED,
            expires: GRANTED.after(valid_seconds),
            valid_seconds,
            preferred_seconds,
        }
    }

    fn cache(threshold_millionths: Option<u32>, age_seconds_max: Option<u32>) -> LeaseCache {
        LeaseCache {
            threshold_millionths,
            age_seconds_max,
        }
    }

    #[test]
    fn the_bounds_that_are_configured_all_hold() {
        let quarter = Some(250_000);
        for (cache, valid, last) in [
            (cache(None, None), 4000, 9),
            (cache(None, None), 20, 4),
            (cache(quarter, None), 4000, 999),
            (cache(quarter, Some(100)), 4000, 99),
            (cache(quarter, Some(5000)), 4000, 999),
            (cache(None, Some(100)), 4000, 99),
            (cache(Some(1_000_000), None), 4000, 3999),
        ] {
            let terms = terms(valid, 0);
            let left = |age| {
                cache
                    .left(&terms, GRANTED, GRANTED.after(age))
                    .map(|left| left.valid)
            };
            assert_eq!(left(last), Some(valid - last), "{cache:?}");
            assert_eq!(left(last + 1), None, "{cache:?}");
        }
    }

    #[test]
    fn a_bound_of_nothing_turns_it_off() {
        for cache in [cache(Some(0), None), cache(Some(250_000), Some(0))] {
            assert_eq!(
                cache.left(&terms(4000, 0), GRANTED, GRANTED),
                None,
                "{cache:?}"
            );
        }
    }

    #[test]
    fn what_was_recorded_before_the_clock_was_doubted_is_written_down_anew() {
        let all = cache(Some(1_000_000), None);
        let (terms, now) = (terms(4000, 0), GRANTED.after(1));
        assert!(all.left(&terms, GRANTED, now).is_some());
        assert_eq!(all.left(&terms, GRANTED.after(1), now), None);
    }

    #[test]
    fn a_lease_for_ever_stays_one_and_one_that_ended_is_none() {
        let all = cache(Some(1_000_000), None);
        let forever = terms(u32::MAX, u32::MAX);
        let whole = Left {
            valid: u32::MAX,
            preferred: u32::MAX,
        };
        assert_eq!(
            all.left(&forever, GRANTED, GRANTED.after(1 << 30)),
            Some(whole)
        );
        let released = Terms {
            state: State::Released,
            ..forever
        };
        assert_eq!(all.left(&released, GRANTED, GRANTED), None);
        assert_eq!(all.left(&terms(100, 60), GRANTED, GRANTED.after(100)), None);
    }

    #[test]
    fn nobody_is_told_to_stop_using_a_valid_address() {
        let all = cache(Some(1_000_000), None);
        let left = |age| all.left(&terms(100, 60), GRANTED, GRANTED.after(age));
        assert_eq!(
            left(59),
            Some(Left {
                valid: 41,
                preferred: 1
            })
        );
        assert_eq!(left(60), None);
    }

    proptest! {
        /// Whatever is recorded and whatever the clock says: no promise goes beyond the record.
        #[test]
        fn what_is_left_never_ends_after_what_is_recorded(
            threshold in prop::option::of(0u32..=1_000_000),
            age in prop::option::of(any::<u32>()),
            valid: u32,
            preferred: u32,
            last in 0u64..1 << 34,
            ends in 0u64..1 << 34,
            now in 0u64..1 << 34,
        ) {
            let terms = Terms {
                last_transaction: Timestamp(last),
                expires: Timestamp(ends),
                ..terms(valid, preferred)
            };
            if let Some(left) = cache(threshold, age).left(&terms, Timestamp(0), Timestamp(now)) {
                prop_assert!(now + u64::from(left.valid) <= ends);
                prop_assert!(left.valid <= valid);
                prop_assert!(left.preferred <= left.valid);
                prop_assert!(left.preferred <= preferred);
            }
        }
    }
}
