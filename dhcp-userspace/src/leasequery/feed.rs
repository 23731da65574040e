//! What has changed of late? Addresses of DHCPv4 leases whose binding was written or has ended, newest last, in
//! memory of a fixed size (RFC 7724 section 8.2).
//!
//! The history's thread notes what is durable, a quarter of a second after it became so at the latest, and
//! [`sweep`] what ended by itself: nobody on the data path knows of it. Invariants:
//! - A reader is told of every change since its place, or that it has missed some; never less without a word.
//! - What is remembered from a moment on is remembered without gaps.

use dhcp_lease::{Lease, Partitions, Timestamp};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::Future;
use std::net::Ipv4Addr;
use tokio::sync::watch;

/// A change.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// When it was noted, in seconds after the feed's beginning.
    seconds: u32,
    address: Ipv4Addr,
}

/// A place between two changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64);

/// What a reader would have been told is not remembered any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missed;

#[derive(Debug)]
struct Memory {
    changes: VecDeque<Change>,
    /// The place before the oldest change that is remembered.
    first: Place,
    /// Everything that was noted then or later is remembered.
    whole_since: Timestamp,
    /// When a change was noted last.
    last: Timestamp,
}

/// The changes.
#[derive(Debug)]
pub struct Feed {
    memory: Mutex<Memory>,
    changes_max: usize,
    begun: Timestamp,
    news: watch::Sender<()>,
}

impl Feed {
    /// A feed that knows nothing of what was before `now` and remembers so many changes.
    pub fn new(changes_max: u32, now: Timestamp) -> Self {
        Self {
            memory: Mutex::new(Memory {
                changes: VecDeque::new(),
                first: Place(0),
                whole_since: now.after(1),
                last: now,
            }),
            changes_max: changes_max as usize,
            begun: now,
            news: watch::Sender::new(()),
        }
    }

    /// Notes that bindings have changed; `now` must not be before the change.
    pub fn note(&self, leases: impl IntoIterator<Item = Lease>, now: Timestamp) {
        let mut memory = self.memory.lock();
        // A clock that was set back does not make the past longer.
        let now = now.max(memory.last);
        memory.last = now;
        let seconds = now.seconds_since(self.begun);
        let before = memory.changes.len();
        for lease in leases {
            if let Lease::V4(address) = lease {
                memory.changes.push_back(Change { seconds, address });
            }
        }
        let is_news = memory.changes.len() > before;
        // RFC 7724 section 8.2 [active-memory-bounded]: the oldest are forgotten.
        while memory.changes.len() > self.changes_max
            && let Some(forgotten) = memory.changes.pop_front()
        {
            memory.first.0 += 1;
            memory.whole_since = self.begun.after(forgotten.seconds).after(1);
        }
        drop(memory);
        if is_news {
            self.news.send_replace(());
        }
    }

    /// Notes that nobody knows what has changed: every reader has missed something.
    pub fn gap(&self, now: Timestamp) {
        let mut memory = self.memory.lock();
        memory.last = memory.last.max(now);
        memory.first.0 += memory.changes.len() as u64 + 1;
        memory.changes.clear();
        memory.whole_since = memory.last.after(1);
        drop(memory);
        self.news.send_replace(());
    }

    /// After the last change.
    pub(super) fn end(&self) -> Place {
        let memory = self.memory.lock();
        Place(memory.first.0 + memory.changes.len() as u64)
    }

    /// Before the first change that was noted at a moment or later.
    ///
    /// # Errors
    /// [`Missed`]: not all of that is remembered.
    pub(super) fn since(&self, from: Timestamp) -> Result<Place, Missed> {
        let memory = self.memory.lock();
        if from < memory.whole_since {
            return Err(Missed);
        }
        let seconds = from.seconds_since(self.begun);
        let before = memory.changes.partition_point(|it| it.seconds < seconds);
        Ok(Place(memory.first.0 + before as u64))
    }

    /// Up to `count_max` changes from a place on, each address once, into `into`, which is emptied first. The
    /// place behind them.
    ///
    /// # Errors
    /// [`Missed`]: the place is older than what is remembered.
    pub(super) fn read(
        &self,
        from: Place,
        count_max: usize,
        into: &mut Vec<Ipv4Addr>,
    ) -> Result<Place, Missed> {
        into.clear();
        let memory = self.memory.lock();
        let skip = from.0.checked_sub(memory.first.0).ok_or(Missed)? as usize;
        let changes = memory.changes.iter().skip(skip).take(count_max);
        into.extend(changes.map(|change| change.address));
        let place = Place(from.0 + into.len() as u64);
        drop(memory);
        into.sort_unstable();
        into.dedup();
        Ok(place)
    }

    /// Tells when there is something new.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }
}

/// Notes the leases that ended after one moment and not after another. A few slots are looked at under each
/// lock, with `pause` between.
pub(super) async fn sweep<P: Future<Output = ()>>(
    feed: &Feed,
    partitions: &Partitions,
    (after, until): (Timestamp, Timestamp),
    pause: impl Fn() -> P,
) {
    let mut ended = Vec::new();
    for index in 0..partitions.len() {
        let mut next = Some(0);
        while let Some(first) = next {
            next = partitions
                .lock(index)
                .and_then(|partition| partition.ended(first, after, until, |it| ended.push(it)));
            if !ended.is_empty() {
                feed.note(ended.drain(..), until);
            }
            pause().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(numbers: std::ops::Range<u32>) -> Vec<Lease> {
        numbers
            .map(|it| Lease::V4(Ipv4Addr::from_bits(it)))
            .collect()
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp(1_790_000_000 + seconds)
    }

    fn read(feed: &Feed, from: Place) -> Result<(usize, Place), Missed> {
        let mut into = Vec::new();
        let place = feed.read(from, 1000, &mut into)?;
        Ok((into.len(), place))
    }

    #[test]
    fn a_reader_is_told_of_each_change_once() {
        let feed = Feed::new(100, at(0));
        let begin = feed.end();
        assert_eq!(read(&feed, begin), Ok((0, begin)));
        feed.note(addresses(0..10), at(1));
        feed.note([Lease::Address("2001:db8::1".parse().unwrap())], at(1));
        let (count, place) = read(&feed, begin).unwrap();
        assert_eq!((count, place), (10, feed.end()));
        feed.note(addresses(0..3), at(2));
        feed.note(addresses(0..3), at(2));
        assert_eq!(
            read(&feed, place),
            Ok((3, feed.end())),
            "not twice at a time"
        );
    }

    // RFC 7724 section 8.2 [active-memory-bounded]: a test of it.
    #[test]
    fn what_is_forgotten_is_said_to_be_missing() {
        let feed = Feed::new(10, at(0));
        let begin = feed.end();
        assert_eq!(
            feed.since(at(0)),
            Err(Missed),
            "it began within that second"
        );
        assert_eq!(feed.since(at(1)), Ok(begin));
        feed.note(addresses(0..6), at(5));
        let middle = feed.end();
        feed.note(addresses(6..12), at(6));
        assert_eq!(read(&feed, begin), Err(Missed));
        assert_eq!(
            feed.since(at(5)),
            Err(Missed),
            "some of that second are forgotten"
        );
        assert_eq!(feed.since(at(6)), Ok(middle));
        assert_eq!(read(&feed, middle), Ok((6, feed.end())));
        assert_eq!(feed.since(at(7)), Ok(feed.end()));
    }

    #[test]
    fn a_gap_is_missed_by_everybody() {
        let feed = Feed::new(10, at(0));
        feed.note(addresses(0..6), at(5));
        let end = feed.end();
        feed.gap(at(7));
        assert_eq!(read(&feed, end), Err(Missed));
        assert_eq!(feed.since(at(7)), Err(Missed));
        assert_eq!(feed.since(at(8)), Ok(feed.end()));
    }

    #[test]
    fn a_clock_that_goes_back_hides_nothing() {
        let feed = Feed::new(10, at(0));
        feed.note(addresses(0..2), at(9));
        feed.note(addresses(2..4), at(3));
        let since = feed.since(at(9)).unwrap();
        assert_eq!(read(&feed, since), Ok((4, feed.end())));
    }
}
