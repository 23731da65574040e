//! Options as configured: encoded once, when the configuration is read, and copied as they are.
//!
//! Each level of the configuration (one client, pool, subnet, shared network, client class, everything) is an
//! [`OptionSet`]. They are not put together for each client: an answer looks through the few sets that hold
//! for it, the innermost first ([`Layers`]).

/// When an option is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub enum Sending {
    /// To clients that ask for it.
    #[default]
    Asked,
    /// Also to clients that do not (`always-send`).
    Always,
    /// To nobody, whatever other levels say (`never-send`).
    Never,
}

/// One option, ready for the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredOption {
    /// Option code: DHCPv4 1 to 254, DHCPv6 1 to 65535.
    pub code: u16,
    /// Its data as sent.
    pub data: Box<[u8]>,
    /// When it is sent.
    pub sending: Sending,
}

/// One sub-option of a vendor's option: DHCPv4 125 (RFC 3925), DHCPv6 17 (RFC 8415 section 21.17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorOption {
    /// The vendor's number (IANA "Private Enterprise Numbers").
    pub enterprise: u32,
    /// The sub-option.
    pub option: ConfiguredOption,
}

impl VendorOption {
    fn place(&self) -> (u32, u16) {
        (self.enterprise, self.option.code)
    }
}

/// The options of one level, by code: each code at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionSet {
    sorted: Vec<ConfiguredOption>,
    vendors: Vec<VendorOption>,
    /// Which of the codes below 256 there are, and which of them are insisted on or withheld.
    present: Codes,
    always: Codes,
    never: Codes,
}

impl OptionSet {
    /// No options.
    pub const EMPTY: Self = Self {
        sorted: Vec::new(),
        vendors: Vec::new(),
        present: Codes::NONE,
        always: Codes::NONE,
        never: Codes::NONE,
    };

    /// A set in which later options with the same code replace earlier ones.
    pub fn layered(options: impl IntoIterator<Item = ConfiguredOption>) -> Self {
        Self::new(options, [])
    }

    /// The same, with sub-options for vendors.
    pub fn new(
        options: impl IntoIterator<Item = ConfiguredOption>,
        vendors: impl IntoIterator<Item = VendorOption>,
    ) -> Self {
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
        for vendor in vendors {
            match this
                .vendors
                .binary_search_by_key(&vendor.place(), VendorOption::place)
            {
                Ok(at) => {
                    if let Some(known) = this.vendors.get_mut(at) {
                        *known = vendor;
                    }
                }
                Err(at) => this.vendors.insert(at, vendor),
            }
        }
        for option in &this.sorted {
            if let Ok(code) = u8::try_from(option.code) {
                this.present.insert(code);
                match option.sending {
                    Sending::Asked => {}
                    Sending::Always => this.always.insert(code),
                    Sending::Never => this.never.insert(code),
                }
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

    /// All, by ascending code, without those for vendors.
    pub fn iter(&self) -> impl Iterator<Item = &ConfiguredOption> {
        self.sorted.iter()
    }

    /// All for one vendor, by ascending code.
    pub fn vendor(&self, enterprise: u32) -> &[VendorOption] {
        let of = |order: core::cmp::Ordering| {
            self.vendors
                .partition_point(|known| known.enterprise.cmp(&enterprise) < order)
        };
        let (first, after) = (
            of(core::cmp::Ordering::Equal),
            of(core::cmp::Ordering::Greater),
        );
        self.vendors.get(first..after).unwrap_or_default()
    }

    /// All for vendors, by enterprise and code.
    pub fn vendors(&self) -> impl Iterator<Item = &VendorOption> {
        self.vendors.iter()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty() && self.vendors.is_empty()
    }

    /// The first option with a code above this one.
    fn after(&self, code: u16) -> Option<&ConfiguredOption> {
        let at = self.sorted.partition_point(|known| known.code <= code);
        self.sorted.get(at)
    }
}

/// How many sets one answer looks through at most: those of the client, its pool, subnet and shared network,
/// the global one, and of as many classes as are left.
pub const LAYERS_MAX: usize = 40;

static NOTHING: OptionSet = OptionSet::EMPTY;

/// The sets that hold for one answer, the innermost first. Made on the stack for each answer.
#[derive(Clone, Debug)]
pub struct Layers<'p> {
    sets: [&'p OptionSet; LAYERS_MAX],
    count: usize,
    present: Codes,
    always: Codes,
    never: Codes,
    has_vendors: bool,
}

impl<'p> Layers<'p> {
    /// No sets.
    pub fn new() -> Self {
        Self {
            sets: [&NOTHING; LAYERS_MAX],
            count: 0,
            present: Codes::NONE,
            always: Codes::NONE,
            never: Codes::NONE,
            has_vendors: false,
        }
    }

    /// Adds a set outside of those that are there. The last place is kept for [`Layers::push_last`]: of more
    /// sets than there are places, the outermost are left out.
    pub fn push(&mut self, set: &'p OptionSet) {
        if self.count + 1 < LAYERS_MAX {
            self.push_last(set);
        }
    }

    /// Adds the outermost set.
    pub fn push_last(&mut self, set: &'p OptionSet) {
        if set.is_empty() {
            return;
        }
        if let Some(place) = self.sets.get_mut(self.count) {
            *place = set;
            self.count += 1;
            self.present.merge(set.present);
            self.always.merge(set.always);
            self.never.merge(set.never);
            self.has_vendors |= !set.vendors.is_empty();
        }
    }

    fn iter(&self) -> impl Iterator<Item = &'p OptionSet> + '_ {
        let sets = self.sets.get(..self.count).unwrap_or_default();
        sets.iter().copied()
    }

    /// The data of an option of DHCPv4: that of the innermost level that has it, unless any level withholds
    /// it.
    pub fn short(&self, code: u8) -> Option<&'p [u8]> {
        if !self.present.contains(code) || self.never.contains(code) {
            return None;
        }
        let found = self.iter().find_map(|set| set.find(u16::from(code)));
        found.map(|option| &*option.data)
    }

    /// Whether some level insists on an option of DHCPv4.
    pub fn always(&self) -> Codes {
        self.always
    }

    /// Which options of DHCPv4 there are at any level.
    pub fn present(&self) -> Codes {
        self.present
    }

    /// Whether some level withholds an option of DHCPv4.
    pub fn withholds(&self, code: u8) -> bool {
        self.never.contains(code)
    }

    /// Whether any level has something for a vendor.
    pub fn has_vendors(&self) -> bool {
        self.has_vendors
    }

    /// Each option once, by ascending code: the data of the innermost level that has it, and when it is sent,
    /// whichever level says so: never before always.
    pub fn each(&self) -> impl Iterator<Item = (&'p ConfiguredOption, Sending)> + '_ {
        let mut last = 0;
        core::iter::from_fn(move || {
            let following = self.iter().filter_map(|set| set.after(last));
            let next = following.min_by_key(|option| option.code)?; // the first of equals: the innermost
            last = next.code;
            let of_all = self.iter().filter_map(|set| set.find(last));
            Some((next, together(of_all)))
        })
    }

    /// The same for the sub-options of a vendor.
    pub fn each_of(
        &self,
        enterprise: u32,
    ) -> impl Iterator<Item = (&'p ConfiguredOption, Sending)> + '_ {
        // Sub-option 0 is as good as any: the search begins below it.
        let mut from = Some(0);
        core::iter::from_fn(move || {
            let least = from?;
            let option = |vendor: &'p VendorOption| &vendor.option;
            let following = self.iter().filter_map(|set| {
                let all = set.vendor(enterprise);
                let at = all.partition_point(|known| known.option.code < least);
                all.get(at).map(option)
            });
            let next = following.min_by_key(|option| option.code)?;
            from = next.code.checked_add(1);
            let same = |known: &&VendorOption| known.option.code == next.code;
            let of_all = self
                .iter()
                .flat_map(|set| set.vendor(enterprise))
                .filter(same);
            Some((next, together(of_all.map(option))))
        })
    }
}

impl Default for Layers<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// What the levels say together: one that withholds counts more than one that insists.
fn together<'p>(options: impl Iterator<Item = &'p ConfiguredOption>) -> Sending {
    options.fold(Sending::Asked, |so_far, option| {
        match (so_far, option.sending) {
            (Sending::Never, _) | (_, Sending::Never) => Sending::Never,
            (Sending::Always, _) | (_, Sending::Always) => Sending::Always,
            (Sending::Asked, Sending::Asked) => Sending::Asked,
        }
    })
}

/// A set of option codes of one octet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codes([u128; 2]);

impl Codes {
    /// No codes.
    pub const NONE: Self = Self([0; 2]);

    /// These.
    pub fn of(codes: &[u8]) -> Self {
        let mut this = Self::NONE;
        codes.iter().for_each(|&code| this.insert(code));
        this
    }

    /// Whether a code is among them.
    pub fn contains(self, code: u8) -> bool {
        let [low, high] = self.0;
        let half = if code < 128 { low } else { high };
        half >> (code % 128) & 1 == 1
    }

    /// Adds a code.
    pub fn insert(&mut self, code: u8) {
        let [low, high] = &mut self.0;
        let half = if code < 128 { low } else { high };
        *half |= 1 << (code % 128);
    }

    fn merge(&mut self, other: Self) {
        for (half, theirs) in self.0.iter_mut().zip(other.0) {
            *half |= theirs;
        }
    }

    /// All, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        let [mut low, mut high] = self.0;
        core::iter::from_fn(move || {
            let (half, first) = if low != 0 {
                (&mut low, 0)
            } else {
                (&mut high, 128)
            };
            if *half == 0 {
                return None;
            }
            let place = half.trailing_zeros() as u8; // below 128: some bit is set
            *half &= *half - 1;
            Some(first + place)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn option(code: u16, data: &[u8], sending: Sending) -> ConfiguredOption {
        ConfiguredOption {
            code,
            data: data.into(),
            sending,
        }
    }

    fn vendor(enterprise: u32, code: u16, data: &[u8]) -> VendorOption {
        VendorOption {
            enterprise,
            option: option(code, data, Sending::Asked),
        }
    }

    fn layers<'s>(sets: impl IntoIterator<Item = &'s OptionSet>) -> Layers<'s> {
        let mut layers = Layers::new();
        sets.into_iter().for_each(|set| layers.push(set));
        layers
    }

    #[test]
    fn the_innermost_level_that_has_an_option_says_what_is_in_it() {
        let inner = OptionSet::layered([option(6, b"inner", Sending::Asked)]);
        let outer = OptionSet::layered([
            option(6, b"outer", Sending::Always),
            option(3, b"router", Sending::Asked),
            option(1000, b"long", Sending::Asked),
        ]);
        let layers = layers([&inner, &NOTHING, &outer]);
        assert_eq!(layers.short(6), Some(&b"inner"[..]));
        assert_eq!(layers.short(3), Some(&b"router"[..]));
        assert_eq!(layers.short(4), None);
        let all: Vec<_> = layers
            .each()
            .map(|(option, sending)| (option.code, &*option.data, sending))
            .collect();
        let expected: [(u16, &[u8], Sending); 3] = [
            (3, b"router", Sending::Asked),
            (6, b"inner", Sending::Always),
            (1000, b"long", Sending::Asked),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_level_that_withholds_an_option_withholds_it_at_every_level() {
        let inner = OptionSet::layered([option(6, b"inner", Sending::Always)]);
        let outer = OptionSet::layered([option(6, b"outer", Sending::Never)]);
        for layers in [layers([&inner, &outer]), layers([&outer, &inner])] {
            assert_eq!(layers.short(6), None);
            assert!(layers.each().all(|(_, sending)| sending == Sending::Never));
        }
    }

    #[test]
    fn vendors_have_options_of_their_own() {
        let inner = OptionSet::new([], [vendor(4491, 2, b"inner"), vendor(9, 2, b"other")]);
        let outer = OptionSet::new([], [vendor(4491, 2, b"outer"), vendor(4491, 0, b"zero")]);
        let layers = layers([&inner, &outer]);
        assert!(layers.has_vendors());
        let of = |enterprise| -> Vec<_> {
            let data = |(option, _): (&ConfiguredOption, _)| (option.code, option.data.to_vec());
            layers.each_of(enterprise).map(data).collect()
        };
        assert_eq!(of(4491), [(0, b"zero".to_vec()), (2, b"inner".to_vec())]);
        assert_eq!(of(9), [(2, b"other".to_vec())]);
        assert_eq!(of(8), []);
    }

    #[test]
    fn of_too_many_levels_the_outermost_gives_way_but_the_last_has_its_place() {
        let sets: Vec<_> = (0..100)
            .map(|code| OptionSet::layered([option(code + 1, b"", Sending::Asked)]))
            .collect();
        let mut layers = layers(&sets[..99]);
        layers.push_last(&sets[99]);
        assert_eq!(layers.each().count(), LAYERS_MAX);
        assert_eq!(layers.short(39), Some(&b""[..]));
        assert_eq!(layers.short(40), None);
        assert_eq!(layers.short(100), Some(&b""[..]));
    }

    proptest! {
        #[test]
        fn codes_are_a_set(codes in prop::collection::btree_set(any::<u8>(), 0..40)) {
            let listed: Vec<u8> = codes.iter().copied().collect();
            let set = Codes::of(&listed);
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), listed);
            prop_assert!((0..=255).all(|code| set.contains(code) == codes.contains(&code)));
        }

        #[test]
        fn each_is_what_a_map_filled_from_outside_has(
            levels in prop::collection::vec(prop::collection::vec((1u16..300, any::<u8>()), 0..12), 0..8)
        ) {
            let set = |level: &Vec<(u16, u8)>| {
                OptionSet::layered(level.iter().map(|&(code, data)| option(code, &[data], Sending::Asked)))
            };
            let sets: Vec<_> = levels.iter().map(set).collect();
            let mut expected = std::collections::BTreeMap::new();
            levels.iter().rev().flatten().for_each(|&(code, data)| { expected.insert(code, data); });
            let layers = layers(&sets);
            let got: Vec<_> = layers.each().map(|(option, _)| (option.code, option.data[0])).collect();
            prop_assert_eq!(got, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
