//! What does the loader tell the program?

/// What the loader decides for the program; may be changed while it runs.
///
/// Its default, and what lies in the map after loading, serves no family: every frame passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// The key of [`spread`](dhcp_wire::id::spread()), by which clients are shared out among workers.
    pub key: u64,
    /// How many workers share each receive queue: 1 to [`SOCKETS_PER_QUEUE_MAX`](crate::SOCKETS_PER_QUEUE_MAX).
    /// 0 counts as 1.
    pub workers_per_queue: u32,
    /// Take DHCPv4.
    pub serves_v4: bool,
    /// Take DHCPv6.
    pub serves_v6: bool,
    /// Log each frame to UDP port 67 or 547 through `aya-log`. Costs about a microsecond for each.
    pub logs: bool,
}

impl Settings {
    /// How many words [`to_words`](Self::to_words) gives.
    pub const WORDS: usize = 2;

    const SERVES_V4: u64 = 1 << 32;
    const SERVES_V6: u64 = 1 << 33;
    const LOGS: u64 = 1 << 34;

    /// The value of map [`SETTINGS`](crate::maps::SETTINGS): two words, because the loader's map types
    /// take arrays of numbers without any `unsafe` promise about a layout.
    #[inline(always)]
    pub const fn to_words(self) -> [u64; Self::WORDS] {
        let mut flags = self.workers_per_queue as u64;
        if self.serves_v4 {
            flags |= Self::SERVES_V4;
        }
        if self.serves_v6 {
            flags |= Self::SERVES_V6;
        }
        if self.logs {
            flags |= Self::LOGS;
        }
        [self.key, flags]
    }

    /// The settings that [`to_words`](Self::to_words) wrote.
    #[inline(always)]
    pub const fn from_words([key, flags]: [u64; Self::WORDS]) -> Self {
        Self {
            key,
            workers_per_queue: flags as u32,
            serves_v4: flags & Self::SERVES_V4 != 0,
            serves_v6: flags & Self::SERVES_V6 != 0,
            logs: flags & Self::LOGS != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_lies_in_the_map_after_loading_serves_nothing() {
        assert_eq!(
            Settings::from_words([0; Settings::WORDS]),
            Settings::default()
        );
    }

    proptest! {
        #[test]
        fn words_carry_every_field(
            key: u64, workers_per_queue: u32, serves_v4: bool, serves_v6: bool, logs: bool,
        ) {
            let settings = Settings { key, workers_per_queue, serves_v4, serves_v6, logs };
            prop_assert_eq!(Settings::from_words(settings.to_words()), settings);
        }
    }
}
