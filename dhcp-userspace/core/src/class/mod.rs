//! Which classes is a client in? Numbers for the classes of a configuration, sets of them, and the classes of
//! one query in the order in which it came into them.

mod policy;

#[cfg(test)]
mod tests;

pub use policy::{Access, BootFields, Class, Classes, Test, When};

/// How many classes one protocol may have: those that are defined, the built-in ones, and the names of vendor
/// and spawned classes that something asks for. It makes a set of classes 32 octets.
pub const CLASSES_MAX: usize = 256;

/// One of the classes of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassId(u8);

impl ClassId {
    /// Every client is in `ALL`.
    pub const ALL: Self = Self(0);
    /// Clients with a reservation on their link.
    pub const KNOWN: Self = Self(1);
    /// Clients without one.
    pub const UNKNOWN: Self = Self(2);
    /// Clients that get no answer.
    pub const DROP: Self = Self(3);
    /// Clients that speak BOOTP.
    pub const BOOTP: Self = Self(4);

    /// The names of the built-in classes, by their numbers.
    pub const BUILT_IN: [&'static str; 5] = ["ALL", "KNOWN", "UNKNOWN", "DROP", "BOOTP"];

    /// The class with this number, of those that there may be.
    pub fn new(index: usize) -> Option<Self> {
        u8::try_from(index).ok().map(Self)
    }

    /// Its number.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

const _: () = assert!(CLASSES_MAX == u8::MAX as usize + 1);

/// A set of classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ClassSet([u64; CLASSES_MAX / 64]);

impl ClassSet {
    /// No class.
    pub const EMPTY: Self = Self([0; CLASSES_MAX / 64]);

    /// Whether a class is in it.
    pub fn contains(&self, class: ClassId) -> bool {
        let word = self.0.get(class.index() / 64).copied().unwrap_or(0);
        word >> (class.index() % 64) & 1 == 1
    }

    /// Adds a class; whether it is new.
    pub fn insert(&mut self, class: ClassId) -> bool {
        let is_new = !self.contains(class);
        if let Some(word) = self.0.get_mut(class.index() / 64) {
            *word |= 1 << (class.index() % 64);
        }
        is_new
    }

    /// Whether the two have a class in common.
    pub fn intersects(&self, other: &Self) -> bool {
        let mut words = self.0.iter().zip(&other.0);
        words.any(|(one, other)| one & other != 0)
    }

    /// Whether there is no class in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }
}

impl FromIterator<ClassId> for ClassSet {
    fn from_iter<I: IntoIterator<Item = ClassId>>(classes: I) -> Self {
        let mut set = Self::EMPTY;
        for class in classes {
            set.insert(class);
        }
        set
    }
}

/// Who may use something: everybody, or members of one of a few classes (`client-classes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Guard(ClassSet);

impl Guard {
    /// Members of any of these; everybody if there are none.
    pub fn any_of(classes: impl IntoIterator<Item = ClassId>) -> Self {
        Self(classes.into_iter().collect())
    }

    /// Whether a client with these classes may.
    pub fn permits(&self, classes: &Memberships) -> bool {
        self.0.is_empty() || self.0.intersects(&classes.set)
    }

    /// Whether everybody may.
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }
}

/// The classes of one query. The order is the one in which options and lifetimes of classes count: of two
/// classes that say something different the earlier one holds.
#[derive(Clone, Debug)]
pub struct Memberships {
    set: ClassSet,
    order: [ClassId; CLASSES_MAX],
    count: usize,
    /// Classes whose tests hold, but which the client is in only where they are asked for.
    additional: ClassSet,
}

impl Default for Memberships {
    fn default() -> Self {
        Self {
            set: ClassSet::EMPTY,
            order: [ClassId::ALL; CLASSES_MAX],
            count: 0,
            additional: ClassSet::EMPTY,
        }
    }
}

impl Memberships {
    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.set = ClassSet::EMPTY;
        self.count = 0;
        self.additional = ClassSet::EMPTY;
    }

    /// Adds a class behind the others, if it is not among them.
    pub fn insert(&mut self, class: ClassId) {
        if self.set.insert(class)
            && let Some(place) = self.order.get_mut(self.count)
        {
            *place = class;
            self.count += 1;
        }
    }

    /// Notes that a class would be the client's where it is asked for ([`Memberships::with_additional`]).
    pub fn insert_additional(&mut self, class: ClassId) {
        self.additional.insert(class);
    }

    /// Whether the client is in a class.
    pub fn contains(&self, class: ClassId) -> bool {
        self.set.contains(class)
    }

    /// All of them as a set.
    pub fn set(&self) -> &ClassSet {
        &self.set
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = ClassId> + '_ {
        self.order.iter().take(self.count).copied()
    }

    /// All of them in their order, and behind them those of `asked_for` whose tests hold
    /// (`evaluate-additional-classes` of the lease's pool, subnet and shared network). A class may come twice:
    /// the first time counts.
    pub fn with_additional<'a>(
        &'a self,
        asked_for: impl Iterator<Item = ClassId> + 'a,
    ) -> impl Iterator<Item = ClassId> + 'a {
        let held = asked_for.filter(|class| self.additional.contains(*class));
        self.iter().chain(held)
    }
}
