//! Options as configured: encoded once, when the configuration is read, and copied as they are.

/// One option, ready for the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredOption {
    /// Option code: DHCPv4 1 to 254, DHCPv6 1 to 65535.
    pub code: u16,
    /// Its data as sent.
    pub data: Box<[u8]>,
    /// Sent also when the client did not ask for it.
    pub always_send: bool,
}

/// The options in force somewhere, by code: each code at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionSet {
    sorted: Vec<ConfiguredOption>,
}

impl OptionSet {
    /// A set in which later options with the same code replace earlier ones, as inner levels of the
    /// configuration replace outer ones.
    pub fn layered(options: impl IntoIterator<Item = ConfiguredOption>) -> Self {
        let mut this = Self::default();
        for option in options {
            match this
                .sorted
                .binary_search_by_key(&option.code, |known| known.code)
            {
                Ok(at) => {
                    if let Some(known) = this.sorted.get_mut(at) {
                        *known = option;
                    }
                }
                Err(at) => this.sorted.insert(at, option),
            }
        }
        this
    }

    /// The option with this code.
    pub fn find(&self, code: u16) -> Option<&ConfiguredOption> {
        let at = self
            .sorted
            .binary_search_by_key(&code, |known| known.code)
            .ok()?;
        self.sorted.get(at)
    }

    /// All, by ascending code.
    pub fn iter(&self) -> impl Iterator<Item = &ConfiguredOption> {
        self.sorted.iter()
    }
}
