//! Leases that were offered and not yet asked for: in memory, bounded, oldest first out.

use crate::binding::{Lease, SubnetId, Timestamp};
use crate::index::{Digest, table_for};
use crate::wheel::Links;
use hashbrown::HashTable;

/// A lease held for a client between its DISCOVER and its REQUEST (Solicit and Request).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What was offered; its bit in the pools is claimed.
    pub lease: Lease,
    /// From which subnet.
    pub subnet: SubnetId,
    /// When the offer lapses.
    pub deadline: Timestamp,
}

/// The offers of one partition.
///
/// They are held for the same time each, so the order of making is the order of lapsing.
#[derive(Debug)]
pub(crate) struct Offers {
    index: HashTable<u32>,
    offers: Vec<(Digest, Offer)>,
    links: Links,
}

const LIVE: u32 = 0;
const FREE: u32 = 1;

impl Offers {
    /// Room for `capacity` offers.
    pub(crate) fn new(capacity: u32) -> Self {
        let nothing = Offer {
            lease: Lease::V4(core::net::Ipv4Addr::UNSPECIFIED),
            subnet: SubnetId(0),
            deadline: Timestamp(0),
        };
        let mut links = Links::new(capacity, 2);
        for place in 0..capacity {
            links.push_back(FREE, place);
        }
        Self {
            index: table_for(capacity as usize),
            offers: vec![(Digest { low: 0, high: 0 }, nothing); capacity as usize],
            links,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    fn at(&self, place: u32) -> Option<&(Digest, Offer)> {
        self.offers.get(place as usize)
    }

    /// The newest offer of a client for which `is_meant` is true, with its place.
    pub(crate) fn find(
        &self,
        digest: Digest,
        is_meant: impl Fn(&Offer) -> bool,
    ) -> Option<(u32, Offer)> {
        self.index
            .iter_hash(digest.low)
            .filter_map(|&place| {
                let (other, offer) = self.at(place)?;
                (*other == digest && is_meant(offer)).then_some((place, *offer))
            })
            .max_by_key(|(_, offer)| offer.deadline)
    }

    /// Takes in an offer; the oldest is pushed out and returned when there is no room.
    pub(crate) fn insert(&mut self, digest: Digest, offer: Offer) -> Option<Offer> {
        let mut evicted = None;
        if self.links.front(FREE).is_none() {
            evicted = self
                .links
                .front(LIVE)
                .and_then(|oldest| self.remove(oldest));
        }
        // A store without room for offers has it pushed out at once.
        let Some(place) = self.links.front(FREE) else {
            return Some(offer);
        };
        if let Some(room) = self.offers.get_mut(place as usize) {
            *room = (digest, offer);
        }
        self.links.unlink(place);
        self.links.push_back(LIVE, place);
        let Self { index, offers, .. } = self;
        let hash = |&other: &u32| {
            offers
                .get(other as usize)
                .map_or(0, |(digest, _)| digest.low)
        };
        index.insert_unique(digest.low, place, hash);
        evicted
    }

    /// Ends an offer.
    pub(crate) fn remove(&mut self, place: u32) -> Option<Offer> {
        let &(digest, offer) = self.at(place)?;
        let entry = self
            .index
            .find_entry(digest.low, |&other| other == place)
            .ok()?;
        entry.remove();
        self.links.unlink(place);
        self.links.push_back(FREE, place);
        Some(offer)
    }

    /// Ends the oldest offer if its time has come.
    pub(crate) fn pop_lapsed(&mut self, now: Timestamp) -> Option<Offer> {
        let oldest = self.links.front(LIVE)?;
        let (_, offer) = self.at(oldest)?;
        if offer.deadline > now {
            return None;
        }
        self.remove(oldest)
    }

    /// All offers, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Offer> {
        self.index
            .iter()
            .filter_map(|&place| self.at(place))
            .map(|(_, offer)| offer)
    }
}
