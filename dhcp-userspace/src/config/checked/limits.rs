//! How many leases may something hold? As it is written, for the engine; and what has no effect.

use super::placed::Placed;
use super::{Checker, value_or};
use crate::config::file::{ClientClass, Limit};
use dhcp_core::limits::{LeaseLimits, LineKey, SubnetLimits};

fn of(written: &Limit) -> LeaseLimits {
    LeaseLimits {
        addresses: written.addresses.as_ref().map(|it| it.value),
        prefixes: written.prefixes.as_ref().map(|it| it.value),
    }
}

impl Checker<'_> {
    /// The limits of a subnet.
    pub(super) fn subnet_limits(&mut self, placed: &Placed<'_>) -> SubnetLimits {
        let parameters = &placed.parameters;
        let line = of(&parameters.line_limit);
        if let Some(key) = &placed.written.parameters.line_key
            && line == LeaseLimits::NONE
        {
            let message = "has no effect without `line-address-limit` or `line-prefix-limit`, which say how many \
                           leases a line may hold; configure one";
            self.report.warn(&key.spot, message);
        }
        SubnetLimits {
            own: of(&placed.written.limit),
            line,
            line_key: value_or(&parameters.line_key, LineKey::default()),
        }
    }

    /// The limits of a class.
    pub(super) fn class_limits(&mut self, written: &ClientClass) -> LeaseLimits {
        let is_additional = written.only_in_additional_list.as_ref();
        let limits = [&written.limit.addresses, &written.limit.prefixes];
        if is_additional.is_some_and(|it| it.value)
            && let Some(limit) = limits.into_iter().flatten().next()
        {
            let message = "is a limit of a class that is looked at only when a lease has been chosen already; leave \
                           its `only-in-additional-list` out";
            self.report.error(&limit.spot, message);
        }
        of(&written.limit)
    }
}
