//! What did the last server leave? Finding the end of the chain, and ending what was not ended.

use super::files::{self, SegmentName};
use super::writer::{End, Extra};
use dhcp_lease::Timestamp;
use dhcp_lease::history::{
    Fault, Gap, Hash, Mark, Reason, Record, SEGMENT_HEADER_OCTETS, Tracker, Walk,
    has_whole_block_after,
};
use std::io;
use std::path::Path;

/// Where a history goes on, and what is to be said about it first.
pub(super) struct Recovered {
    /// Where the chain goes on.
    pub(super) end: End,
    /// There is no history yet, or none of this store: all that the store holds is new to it.
    pub(super) is_first: bool,
    /// Whether the last server ended in good order.
    pub(super) was_stopped: bool,
    /// Gaps and marks.
    pub(super) extra: Vec<Extra>,
}

/// Reads the last segment of a history, and makes the indexes that are missing.
///
/// # Errors
/// Those of the system; a history of a later version.
pub(super) fn recover(
    directory: &Path,
    identity: [u8; 16],
    partitions: u32,
    now: Timestamp,
) -> io::Result<Recovered> {
    let mut segments = files::list(directory)?;
    let mut is_damaged = false;
    let mut nothing = Recovered {
        end: End {
            segment: segments.last().map_or(1, |last| last.number + 1),
            block: 0,
            hash: Hash::default(),
            octets: 0,
            position: 0,
            tracker: Tracker::new(partitions),
            last: now,
        },
        is_first: true,
        was_stopped: false,
        extra: Vec::new(),
    };
    while let Some(last) = segments.pop() {
        let octets = last.read()?;
        match Walk::new(&octets) {
            Ok(walk) => {
                let mut recovered = end_of(walk, &last, &octets, nothing, is_damaged, now)?;
                index_the_rest(&segments, &last)?;
                recovered.check(identity, partitions, now, &octets);
                return Ok(recovered);
            }
            Err(broken) if matches!(broken.fault, Fault::Version(_)) => {
                let path = last.path.display();
                return Err(io::Error::other(format!("{path}: {broken}")));
            }
            // It was being made when the machine went down, and there is nothing in it.
            Err(_) if octets.len() <= SEGMENT_HEADER_OCTETS => {
                files::remove(&last)?;
                nothing.end.segment = last.number;
            }
            Err(broken) => {
                let path = last.path.with_extension("damaged");
                tracing::error!(
                    segment = %path.display(),
                    %broken,
                    "a segment of the lease history cannot be read; it was set aside under this name"
                );
                std::fs::rename(&last.path, &path)?;
                is_damaged = true;
            }
        }
    }
    Ok(nothing)
}

fn end_of(
    mut walk: Walk<'_>,
    segment: &SegmentName,
    octets: &[u8],
    nothing: Recovered,
    mut is_damaged: bool,
    now: Timestamp,
) -> io::Result<Recovered> {
    let mut last_time = walk.header.created;
    let mut last_record = None;
    for step in walk.by_ref() {
        match step {
            Ok((_, block)) => {
                last_time = last_time.max(block.last);
                last_record = block.records().last();
            }
            Err(broken) => {
                let is_tail = matches!(broken.fault, Fault::Block(_))
                    && !has_whole_block_after(octets, broken.offset);
                is_damaged |= !is_tail;
                tracing::warn!(
                    segment = %segment.path.display(),
                    %broken,
                    octets = octets.len() - broken.offset,
                    is_tail,
                    "the lease history goes on before this place: what lies after it does not count"
                );
            }
        }
    }
    let counted = octets.get(..walk.offset()).unwrap_or_default();
    if !segment.index().exists()
        && let Err(broken) = files::write_index(segment, counted)?
    {
        return Err(io::Error::other(format!(
            "{}: {broken}",
            segment.path.display()
        )));
    }
    let extra = is_damaged.then_some(Extra::Gap(Gap {
        from: last_time,
        to: now,
        reason: Reason::Damaged,
        commits: 0,
    }));
    let last = last_record.map(|(_, record)| record);
    Ok(Recovered {
        end: End {
            // Numbers of segments that were set aside are not used again.
            segment: nothing.end.segment,
            block: walk.next_number(),
            hash: walk.hash(),
            octets: walk.offset() as u64,
            position: walk.position().unwrap_or(0),
            tracker: walk.tracker().clone(),
            last: last_time,
        },
        is_first: false,
        was_stopped: matches!(last, Some(Record::Mark(Mark::Stopped { .. }))),
        extra: extra.into_iter().collect(),
    })
}

/// Makes the indexes that a crash kept from being made.
fn index_the_rest(segments: &[SegmentName], last: &SegmentName) -> io::Result<()> {
    let next = segments.iter().skip(1).chain([last]);
    for (segment, next) in segments.iter().zip(next) {
        if segment.index().exists() {
            continue;
        }
        let octets = segment.read()?;
        let Ok(header) = next.header()? else { continue };
        let counted = usize::try_from(header.previous_octets).unwrap_or(usize::MAX);
        let counted = octets.get(..counted).unwrap_or(&octets);
        if let Err(broken) = files::write_index(segment, counted)? {
            tracing::error!(
                segment = %segment.path.display(),
                %broken,
                "a segment of the lease history is damaged; see `xdhcpd leases history --verify`"
            );
        }
    }
    Ok(())
}

impl Recovered {
    /// A history of another store, or of one with other partitions, knows nothing of this one's commits.
    fn check(&mut self, identity: [u8; 16], partitions: u32, now: Timestamp, octets: &[u8]) {
        let header = Walk::new(octets).map(|walk| walk.header);
        let is_same = header
            .is_ok_and(|header| header.identity == identity && header.partitions == partitions);
        if !is_same {
            self.goes_back(partitions, now);
        }
    }

    /// The store does not know of commits that the history has: it was restored from a backup, or made
    /// anew. All that it holds is told again.
    pub(super) fn goes_back(&mut self, partitions: u32, now: Timestamp) {
        self.end.tracker = Tracker::new(partitions);
        self.end.position = 0;
        self.is_first = true;
        self.extra.push(Extra::Mark(Mark::WentBack { time: now }));
    }
}
