//! How many leases does something hold that may hold only so many: a line, a class, a subnet?
//!
//! What a lease counts against is written beside it, as tags ([`ItemKind::COUNTED`]), so the counts follow from the
//! tables alone and are the same after a restart. Invariants, once [`Partitions::count_leases`] is done:
//! - A tag's count is the number of bindings with the role `Live` that bear it, and of those that bore it and
//!   let go in a change log that is not durable yet.
//! - Where a limit is checked, the check and the counting are one step: two partitions at the same moment never
//!   share the last lease of a limit.
//!
//! [`ItemKind::COUNTED`]: crate::ItemKind::COUNTED
//! [`Partitions::count_leases`]: crate::Partitions::count_leases

use crate::binding::{LeaseKind, SubnetId};
use crate::context::Context;
use crate::index::table_for;
use crate::sip::Sip;
use core::fmt;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::Mutex;

/// Most things that one lease counts against: its line, its subnet, and classes.
pub const TAGS_MAX: usize = 10;
/// Octets of a tag beside a lease.
pub(crate) const TAG_OCTETS: usize = 8;
/// How many locks the counts are shared out to. None is held for longer than one look into a table.
const SHARDS: usize = 64;

/// Stands for something that holds leases of one kind: 64 bits under a key of the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(pub(crate) u64);

/// What may hold only so many leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited<'a> {
    /// A client's line.
    Line {
        /// Which option or sub-option names it.
        by: u16,
        /// The relay agent within which the name means something; zeros where it means the same everywhere.
        agent: [u8; 16],
        /// What it is called.
        name: &'a [u8],
    },
    /// The members of a class, by its name.
    Class(&'a [u8]),
    /// The clients of a subnet.
    Subnet(SubnetId),
}

/// Which of a lease's limits was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    /// That of the client's line.
    Line,
    /// That of a class.
    Class,
    /// That of the subnet.
    Subnet,
}

impl Bound {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Line, Self::Class, Self::Subnet];

    /// As it is called in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Class => "class",
            Self::Subnet => "subnet",
        }
    }
}

/// One limit of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    tag: Tag,
    most: u32,
    bound: Bound,
}

/// What a lease counts against, and how many leases each of these may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    entries: [Limit; TAGS_MAX],
    count: usize,
}

impl Limits {
    /// Nothing.
    pub const NONE: Self = Self {
        entries: [Limit {
            tag: Tag(0),
            most: 0,
            bound: Bound::Line,
        }; TAGS_MAX],
        count: 0,
    };

    /// Adds one. Beyond [`TAGS_MAX`] nothing more is counted; whether there was room.
    pub fn push(&mut self, bound: Bound, tag: Tag, most: u32) -> bool {
        let Some(place) = self.entries.get_mut(self.count) else {
            return false;
        };
        *place = Limit { tag, most, bound };
        self.count += 1;
        true
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn iter(&self) -> impl Iterator<Item = &Limit> {
        self.entries.iter().take(self.count)
    }

    fn of(&self, tag: Tag) -> Option<&Limit> {
        self.iter().find(|limit| limit.tag == tag)
    }

    /// What they are limits of.
    pub fn tags(&self) -> Tags {
        let mut tags = Tags::NONE;
        self.iter().for_each(|limit| tags.push(limit.tag));
        tags
    }
}

/// What one lease counts against, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tags {
    tags: [Tag; TAGS_MAX],
    count: usize,
}

impl Tags {
    /// Nothing.
    pub const NONE: Self = Self {
        tags: [Tag(0); TAGS_MAX],
        count: 0,
    };

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Tag> {
        self.tags.into_iter().take(self.count)
    }

    fn contains(&self, tag: Tag) -> bool {
        self.iter().any(|other| other == tag)
    }

    /// Those that `other` lacks.
    fn without<'t>(&'t self, other: &'t Self) -> impl Iterator<Item = Tag> + 't {
        self.iter().filter(|tag| !other.contains(*tag))
    }

    fn push(&mut self, tag: Tag) {
        if !self.contains(tag)
            && let Some(place) = self.tags.get_mut(self.count)
        {
            *place = tag;
            self.count += 1;
        }
    }

    /// As they lie beside a lease.
    pub(crate) fn read(octets: &[u8]) -> Self {
        let (tags, _) = octets.as_chunks::<TAG_OCTETS>();
        let mut read = Self::NONE;
        tags.iter()
            .for_each(|tag| read.push(Tag(u64::from_le_bytes(*tag))));
        read
    }

    /// Writes them as they lie beside a lease. How many octets that takes.
    pub(crate) fn write(&self, octets: &mut [u8; TAGS_MAX * TAG_OCTETS]) -> usize {
        let (places, _) = octets.as_chunks_mut();
        for (place, Tag(tag)) in places.iter_mut().zip(self.iter()) {
            *place = tag.to_le_bytes();
        }
        self.count * TAG_OCTETS
    }
}

/// What a commit lets go: it counts until that is durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LetGo {
    before: Tags,
    after: Tags,
}

impl LetGo {
    pub(crate) const NOTHING: Self = Self {
        before: Tags::NONE,
        after: Tags::NONE,
    };

    /// What counts before and after, and was not counted once more.
    pub(crate) fn kept(&self) -> impl Iterator<Item = Tag> {
        let after = self.after;
        self.before.iter().filter(move |tag| after.contains(*tag))
    }

    /// What counts no longer.
    pub(crate) fn tags(&self) -> impl Iterator<Item = Tag> {
        self.before.without(&self.after)
    }
}

/// How many leases count against each tag that falls to it.
type Shard = HashTable<(Tag, u32)>;

/// The counts of all partitions.
pub(crate) struct Counters {
    start: Sip,
    shards: Box<[Mutex<Shard>]>,
}

impl Counters {
    /// For a store with this secret. `leases`: for so many different tags there is room without an allocation.
    pub(crate) fn new(secret: u64, leases: usize) -> Self {
        // Shards are never quite even.
        let room = leases / SHARDS + leases / SHARDS / 4 + 64;
        Self {
            start: Sip::new([secret, u64::from_le_bytes(*b"limits 1")]),
            shards: (0..SHARDS).map(|_| Mutex::new(table_for(room))).collect(),
        }
    }

    /// What stands for something that holds leases of a kind.
    pub(crate) fn tag(&self, kind: LeaseKind, limited: &Limited<'_>) -> Tag {
        let head = |what: u8, by: u16| {
            let [low, high] = by.to_le_bytes();
            let head = u64::from_le_bytes([kind as u8, what, low, high, 0, 0, 0, 0]);
            self.start.word(head)
        };
        let hash = match limited {
            Limited::Line { by, agent, name } => {
                let agent = u128::from_le_bytes(*agent);
                let hash = head(1, *by).word(agent as u64).word((agent >> 64) as u64);
                hash.last(24, name)
            }
            Limited::Class(name) => head(2, 0).last(8, name),
            Limited::Subnet(SubnetId(id)) => head(3, 0).last(8, &id.to_le_bytes()),
        };
        Tag(hash.finish())
    }

    fn shard(&self, Tag(tag): Tag) -> Option<&Mutex<HashTable<(Tag, u32)>>> {
        // hashbrown takes the highest bits for itself, and the lowest for the place.
        self.shards.get((tag >> 32) as usize % SHARDS)
    }

    /// How many leases count against a tag.
    pub(crate) fn count(&self, tag: Tag) -> u32 {
        let Some(shard) = self.shard(tag) else {
            return 0;
        };
        let shard = shard.lock();
        let found = shard.find(tag.0, |(other, _)| *other == tag);
        found.map_or(0, |(_, count)| *count)
    }

    /// Counts one more, if that makes no more than `most`; whether it does not.
    fn add(&self, tag: Tag, most: u32) -> bool {
        let Some(shard) = self.shard(tag) else {
            return true;
        };
        let mut shard = shard.lock();
        match shard.entry(tag.0, |(other, _)| *other == tag, |(other, _)| other.0) {
            Entry::Occupied(entry) => {
                let (_, count) = entry.into_mut();
                let has_room = *count < most;
                *count += u32::from(has_room);
                has_room
            }
            Entry::Vacant(_) if most == 0 => false,
            Entry::Vacant(entry) => {
                entry.insert((tag, 1));
                true
            }
        }
    }

    /// Counts one more, limit or not.
    pub(crate) fn add_any(&self, tag: Tag) {
        self.add(tag, u32::MAX);
    }

    /// Counts one less.
    pub(crate) fn remove(&self, tag: Tag) {
        let Some(shard) = self.shard(tag) else {
            return;
        };
        let mut shard = shard.lock();
        let found = shard.find_entry(tag.0, |(other, _)| *other == tag);
        debug_assert!(found.is_ok(), "a lease counted against nothing");
        if let Ok(mut entry) = found {
            match entry.get_mut() {
                (_, count) if *count > 1 => *count -= 1,
                _ => drop(entry.remove()),
            }
        }
    }

    /// How many different tags there are.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Which limit a binding that goes on from `before` to `limits` would exceed, as it looks at the moment. What it
    /// has is not asked for again while it `is_live`.
    pub(crate) fn reached(&self, before: &Tags, is_live: bool, limits: &Limits) -> Option<Bound> {
        let mut all = limits.iter();
        let reached = all.find(|limit| {
            let is_own = before.contains(limit.tag);
            let others = self.count(limit.tag).saturating_sub(u32::from(is_own));
            !(is_own && is_live) && others >= limit.most
        });
        reached.map(|limit| limit.bound)
    }

    /// Counts what `after` has and `before` has not, none of it beyond `limits`; what of `after` is not among these
    /// counts in any case. What counts no longer is to be removed when it is durable.
    ///
    /// # Errors
    /// Which limit was reached; nothing has changed then.
    pub(crate) fn admit(&self, before: Tags, after: Tags, limits: &Limits) -> Result<LetGo, Bound> {
        for (place, tag) in after.without(&before).enumerate() {
            let limit = limits.of(tag);
            if self.add(tag, limit.map_or(u32::MAX, |limit| limit.most)) {
                continue;
            }
            for added in after.without(&before).take(place) {
                self.remove(added);
            }
            return Err(limit.map_or(Bound::Line, |limit| limit.bound));
        }
        Ok(LetGo { before, after })
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counters({} tags, secret)", self.len())
    }
}

impl Context {
    /// What the lease counts against.
    pub fn tags(&self) -> Tags {
        let octets = self.of_kind(crate::ItemKind::COUNTED).next();
        Tags::read(octets.unwrap_or_default())
    }

    /// Keeps what the lease counts against in place of what is there. There is always room for it.
    pub fn set_tags(&mut self, tags: &Tags) {
        if self.of_kind(crate::ItemKind::COUNTED).next().is_some() {
            self.retain(|kind| kind != crate::ItemKind::COUNTED);
        }
        if !tags.is_empty() {
            let mut octets = [0; TAGS_MAX * TAG_OCTETS];
            let length = tags.write(&mut octets);
            let octets = octets.get(..length).unwrap_or_default();
            self.insert(crate::ItemKind::COUNTED, octets);
        }
    }
}

#[cfg(test)]
mod tests;
