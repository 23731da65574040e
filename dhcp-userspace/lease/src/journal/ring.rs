//! Where does the next batch go, and when is a checkpoint due?

use super::{
    ALIGNMENT, BATCH_HEADER_OCTETS, Chain, ChangeLog, Cursor, DATA_OFFSET, RECORD_OCTETS, Resume,
    padded,
};
use crate::headers::{HEADER_COPY_OCTETS, JournalHeader, StoreHeader};

/// No room before the tail: a checkpoint must move it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal is full; it is freed by the next checkpoint")]
pub struct JournalFull;

/// A journal of this size would never take a batch, or would need a checkpoint after every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal has {octets} octets and needs {need}; it must be made anew")]
pub struct JournalTooSmall {
    /// What the file has.
    pub octets: u64,
    /// [`Journal::OCTETS_MIN`].
    pub need: u64,
}

/// Where to write, and where the next batch goes then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Octets from the beginning of the file.
    pub position: u64,
    /// After this batch. When the log is settled, a checkpoint may move the tail here.
    pub after: Cursor,
}

/// A copy of the journal's header to write and sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderWrite {
    /// Octets from the beginning of the file.
    pub position: u64,
    /// The copy.
    pub octets: [u8; HEADER_COPY_OCTETS],
}

/// The ring of batches in a journal file of a fixed size: where things go, and when.
///
/// The file is written once with zeros when it is made, so that no later write changes its metadata.
#[derive(Clone, Debug)]
pub struct Journal {
    store: StoreHeader,
    /// Octets of the file that are used.
    end: u64,
    header: JournalHeader,
    head: Cursor,
    /// A random number of this run.
    run: u64,
    /// How many batches have been appended since all before were on stable storage.
    in_doubt: u32,
}

impl Journal {
    /// The smallest file that makes sense: the header, and a few batches.
    pub const OCTETS_MIN: u64 = DATA_OFFSET + 64 * ALIGNMENT as u64;

    /// An empty journal, to go on with after `Partitions::open` has replayed the old one and the tables
    /// are synced. `fresh` is a random number from which its chain begins: so nothing that lies in the
    /// file already can ever continue it. Write and sync the header before the first batch.
    ///
    /// # Errors
    /// [`JournalTooSmall`]: make the file anew, of at least [`Journal::OCTETS_MIN`] octets. What the old
    /// one had is in the tables.
    pub fn restart(
        store: &StoreHeader,
        octets: u64,
        last: Resume,
        fresh: u64,
    ) -> Result<(Self, HeaderWrite), JournalTooSmall> {
        if octets < Self::OCTETS_MIN {
            let need = Self::OCTETS_MIN;
            return Err(JournalTooSmall { octets, need });
        }
        let end = octets - octets % ALIGNMENT as u64;
        let position = if last.next.position < end {
            last.next.position
        } else {
            DATA_OFFSET
        };
        let tail = Cursor {
            position,
            sequence: last.next.sequence,
            chain: Chain(fresh),
        };
        let header = JournalHeader {
            number: last.header_number + 1,
            tail,
        };
        let write = HeaderWrite {
            position: header.offset(),
            octets: header.octets(store),
        };
        let journal = Self {
            store: *store,
            end,
            header,
            head: tail,
            run: fresh,
            in_doubt: 0,
        };
        Ok((journal, write))
    }

    /// A journal that goes on where the old one ends, with everything that was replayed: so the server need
    /// not wait until the tables are synced. A checkpoint at [`Journal::head`] does that later. `fresh` is a
    /// random number: a batch of this run is none of an earlier one's, so none of those can follow it.
    ///
    /// Write and sync the header before the first batch, though it says what the one in force says. A process
    /// that died after it could not sync a header left that one in the page cache, believed clean, and an older
    /// one on the disk: batches over what lies before the new tail would take the older one's away.
    ///
    /// Not for a journal without a header, of which no one knows in what order its batches lie.
    ///
    /// # Errors
    /// [`JournalTooSmall`], as in [`Journal::restart`].
    pub fn go_on(
        store: &StoreHeader,
        octets: u64,
        last: Resume,
        fresh: u64,
    ) -> Result<(Self, HeaderWrite), JournalTooSmall> {
        let (journal, _) = Self::restart(store, octets, last, fresh)?;
        let header = JournalHeader {
            number: last.header_number + 1,
            tail: last.tail,
        };
        let write = HeaderWrite {
            position: header.offset(),
            octets: header.octets(store),
        };
        let journal = Self {
            header,
            head: last.next,
            ..journal
        };
        Ok((journal, write))
    }

    /// Seals a log as the next batch. Write its octets at the given position.
    ///
    /// # Errors
    /// [`JournalFull`]; nothing changed then.
    pub fn append(&mut self, log: &mut ChangeLog) -> Result<Placed, JournalFull> {
        let length = padded(BATCH_HEADER_OCTETS + log.len() * RECORD_OCTETS) as u64;
        let position = self.place(length).ok_or(JournalFull)?;
        let chain = log.seal(&self.head, self.run, self.in_doubt, &self.store);
        self.in_doubt = self.in_doubt.saturating_add(1);
        self.head = Cursor {
            position: position + length,
            sequence: self.head.sequence + 1,
            chain,
        };
        Ok(Placed {
            position,
            after: self.head,
        })
    }

    /// All that was appended is on stable storage: the next batch says so. When that one is found whole, and one
    /// before it is not, that one was damaged on the disk and not merely cut short.
    pub fn all_is_durable(&mut self) {
        self.in_doubt = 0;
    }

    /// A batch lies in one piece: where the head is, or at the beginning if the end is too near. It ends
    /// before the tail, not at it, so that a full ring differs from an empty one.
    fn place(&self, length: u64) -> Option<u64> {
        let (head, tail) = (self.head.position, self.header.tail.position);
        if head < tail {
            return (head.checked_add(length)? < tail).then_some(head);
        }
        if head.checked_add(length)? <= self.end {
            return Some(head);
        }
        (DATA_OFFSET.checked_add(length)? < tail).then_some(DATA_OFFSET)
    }

    /// Octets between tail and head.
    pub fn used(&self) -> u64 {
        let (head, tail) = (self.head.position, self.header.tail.position);
        if head >= tail {
            head - tail
        } else {
            (self.end.saturating_sub(tail)).saturating_add(head.saturating_sub(DATA_OFFSET))
        }
    }

    /// Whether it is time for a checkpoint: half of the ring is in use.
    pub fn is_checkpoint_due(&self) -> bool {
        self.used() > self.end.saturating_sub(DATA_OFFSET) / 2
    }

    /// The number of the header that is in force.
    pub fn header_number(&self) -> u64 {
        self.header.number
    }

    /// Before the first batch that is not known to be in the tables for good.
    pub fn tail(&self) -> Cursor {
        self.header.tail
    }

    /// After the last batch.
    pub fn head(&self) -> Cursor {
        self.head
    }

    /// Moves the tail: every batch before `to` ([`Placed::after`]) was settled, and after that all table
    /// files were synced. Batches go on to spare what lies between until the header is on stable storage
    /// and [`Journal::advanced`] is called.
    pub fn checkpoint(&self, to: Cursor) -> HeaderWrite {
        let header = JournalHeader {
            number: self.header.number + 1,
            tail: to,
        };
        HeaderWrite {
            position: header.offset(),
            octets: header.octets(&self.store),
        }
    }

    /// The header that [`Journal::checkpoint`] returned for `to` is on stable storage.
    pub fn advanced(&mut self, to: Cursor) {
        self.header = JournalHeader {
            number: self.header.number + 1,
            tail: to,
        };
    }
}
