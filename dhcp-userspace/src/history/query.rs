//! What do the files of a history say? Asked without owning them: their server may be running or stopped.

use super::files::{self, SegmentName};
use dhcp_lease::history::{
    Block, Broken, Entry, Fault, Gap, Hash, Holding, Index, Mark, Place, ReadAt, Record, Scope,
    SegmentHeader, Walk, build_index, has_whole_block_after, holdings,
};
use dhcp_lease::{Lease, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Why a history could not be asked. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is none.
    #[error(
        "{}: there is no lease history; name the state directory with --state-dir, or set history.enabled \
         = true and restart the server", directory.display()
    )]
    NoHistory {
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// A file could not be read.
    #[error("{}: cannot be read: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> ReadError {
    let path = path.to_owned();
    move |source| ReadError::File { path, source }
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Of which addresses.
    pub scope: Scope,
    /// From this second.
    pub from: Timestamp,
    /// To this one, included.
    pub to: Timestamp,
    /// Only of this client: client identifier, DUID or hardware address.
    pub client: Option<Vec<u8>>,
}

/// What the history says.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Who held what, by lease and time.
    pub holdings: Vec<Holding>,
    /// Where something is missing that could change the answer.
    pub gaps: Vec<GapSeen>,
    /// The second in which the oldest segment begins: nothing is known of what came before, but of
    /// leases that were held then.
    pub begins: Option<Timestamp>,
    /// Segments that could not be read to their end, with what is wrong.
    pub broken: Vec<(PathBuf, Broken)>,
}

/// A gap, and the segment that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapSeen {
    /// The gap.
    pub gap: Gap,
    /// In which file.
    pub path: PathBuf,
}

/// A segment and as much of it as counts.
struct Segment {
    name: SegmentName,
    header: SegmentHeader,
    /// What comes after it: the octets of this one that count, and the last hash.
    next: Option<(u64, Hash)>,
}

/// Everything that was found, in the order of the chain.
#[derive(Default)]
struct Findings {
    entries: BTreeMap<Lease, Vec<Entry>>,
    gaps: Vec<GapSeen>,
}

/// Asks the history of a state directory.
///
/// # Errors
/// [`ReadError`]. Damage is no error; it is in the answer.
pub fn query(state_dir: &Path, asked: &Asked) -> Result<Answer, ReadError> {
    let directory = super::directory(state_dir);
    let mut answer = Answer::default();
    let segments = segments(&directory, &mut answer.broken)?;
    answer.begins = segments.first().map(|segment| segment.header.created);
    let mut found = Findings::default();
    for segment in &segments {
        // The server may have deleted it meanwhile.
        match read(segment, &asked.scope, &mut found) {
            Ok(None) => {}
            Ok(Some(broken)) => answer.broken.push((segment.name.path.clone(), broken)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&segment.name.path)(error)),
        }
    }
    let is_asked = |holding: &Holding| {
        let client = asked.client.as_ref().is_none_or(|client| {
            holding.holder.client == *client || holding.holder.hardware.as_slice() == client
        });
        client && holding.is_within(asked.from, asked.to)
    };
    let all = found.entries.into_values().flat_map(holdings);
    answer.holdings = all.filter(is_asked).collect();
    // What is missing before somebody was last heard of does not change that he was.
    let heard = answer.holdings.iter().map(|it| it.last_extended);
    let heard = heard.min().unwrap_or(Timestamp(0)).min(asked.from);
    let matters = |it: &GapSeen| it.gap.from <= asked.to && it.gap.to >= heard;
    answer.gaps = found.gaps.into_iter().filter(matters).collect();
    Ok(answer)
}

fn segments(
    directory: &Path,
    broken: &mut Vec<(PathBuf, Broken)>,
) -> Result<Vec<Segment>, ReadError> {
    let names = files::list(directory).map_err(unreadable(directory))?;
    if names.is_empty() {
        return Err(ReadError::NoHistory {
            directory: directory.to_owned(),
        });
    }
    let mut segments: Vec<Segment> = Vec::new();
    for name in names {
        let header = match name.header() {
            Ok(Ok(header)) => header,
            Ok(Err(fault)) => {
                broken.push((name.path, Broken { offset: 0, fault }));
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&name.path)(error)),
        };
        if let Some(last) = segments.last_mut() {
            last.next = Some((header.previous_octets, header.previous));
        }
        segments.push(Segment {
            name,
            header,
            next: None,
        });
    }
    Ok(segments)
}

/// Reads what is asked for from a segment, by its index if there is one that fits.
fn read(segment: &Segment, scope: &Scope, found: &mut Findings) -> io::Result<Option<Broken>> {
    if let Some((_, hash)) = segment.next
        && let Ok(file) = IndexFile::open(&segment.name)
        && let Ok(index) = Index::read(file)
        && index.hash() == hash
        && let (Some(places), Some(others)) = (index.find(scope), index.others())
    {
        let mut blocks = Blocks::new(File::open(&segment.name.path)?, index);
        let by_index = blocks.take(&places, &others, &segment.name, found)?;
        if by_index.is_some() {
            return Ok(None);
        }
        // The blocks are not where the index says: what there is is found by reading everything.
    }
    let mut octets = segment.name.read()?;
    if let Some((counted, _)) = segment.next {
        octets.truncate(usize::try_from(counted).unwrap_or(usize::MAX));
    }
    Ok(scan(&octets, scope, segment, found))
}

/// Reads a whole segment.
fn scan(octets: &[u8], scope: &Scope, segment: &Segment, found: &mut Findings) -> Option<Broken> {
    let mut walk = match Walk::new(octets) {
        Ok(walk) => walk,
        Err(broken) => return Some(broken),
    };
    let mut whole: HashMap<Place, Entry> = HashMap::new();
    for step in walk.by_ref() {
        let (ordinal, block) = match step {
            Ok(step) => step,
            // The last one is perhaps being written at this moment, or was in a crash.
            Err(broken) => {
                let is_tail = segment.next.is_none()
                    && matches!(broken.fault, Fault::Block(_))
                    && !has_whole_block_after(octets, broken.offset);
                return (!is_tail).then_some(broken);
            }
        };
        for (offset, record) in block.records() {
            let place = Place {
                block: ordinal,
                offset,
            };
            if let Record::Gap(gap) = record {
                found.gap(gap, &segment.name);
                continue;
            }
            let Some(entry) = record.entry(|place| whole.get(&place).cloned()) else {
                continue;
            };
            if scope.has(entry.lease) {
                if matches!(record, Record::Full(_)) {
                    whole.insert(place, entry.clone());
                }
                found.entry(entry);
            }
        }
    }
    None
}

impl Findings {
    fn entry(&mut self, entry: Entry) {
        self.entries.entry(entry.lease).or_default().push(entry);
    }

    fn gap(&mut self, gap: Gap, name: &SegmentName) {
        let path = name.path.clone();
        self.gaps.push(GapSeen { gap, path });
    }
}

/// An index of which little is read.
struct IndexFile {
    file: File,
    octets: u64,
}

impl IndexFile {
    fn open(name: &SegmentName) -> io::Result<Self> {
        let file = File::open(name.index())?;
        let octets = file.metadata()?.len();
        Ok(Self { file, octets })
    }
}

impl ReadAt for IndexFile {
    fn octets(&self) -> u64 {
        self.octets
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Option<()> {
        self.file.read_exact_at(into, offset).ok()
    }
}

/// Blocks of one segment, read one at a time where its index says.
struct Blocks {
    file: File,
    index: Index<IndexFile>,
    /// The last that was read, and the last that another one referred to.
    kept: [(Option<u32>, Vec<u8>); 2],
}

impl Blocks {
    fn new(file: File, index: Index<IndexFile>) -> Self {
        Self {
            file,
            index,
            kept: [(None, Vec::new()), (None, Vec::new())],
        }
    }

    /// Takes what lies at the places. `None`: the index is wrong, and nothing was taken.
    fn take(
        &mut self,
        places: &[(Lease, Vec<Place>)],
        others: &[Place],
        name: &SegmentName,
        found: &mut Findings,
    ) -> io::Result<Option<()>> {
        let mut entries = Vec::new();
        let mut gaps = Vec::new();
        for (lease, places) in places {
            for place in places {
                let Some(entry) = self.entry(*place)? else {
                    return Ok(None);
                };
                if entry.lease != *lease {
                    return Ok(None);
                }
                entries.push(entry);
            }
        }
        for place in others {
            match self.record(*place, 0)? {
                Some(Record::Gap(gap)) => gaps.push(gap),
                Some(Record::Mark(_)) => {}
                _ => return Ok(None),
            }
        }
        entries.into_iter().for_each(|entry| found.entry(entry));
        gaps.into_iter().for_each(|gap| found.gap(gap, name));
        Ok(Some(()))
    }

    fn entry(&mut self, place: Place) -> io::Result<Option<Entry>> {
        let Some(record) = self.record(place, 0)? else {
            return Ok(None);
        };
        let whole = match &record {
            Record::Extended { whole, .. } => match self.record(*whole, 1)? {
                Some(Record::Full(entry)) => Some(entry),
                _ => None,
            },
            _ => None,
        };
        Ok(record.entry(|_| whole))
    }

    fn record(&mut self, place: Place, keep: usize) -> io::Result<Option<Record>> {
        let Self { file, index, kept } = self;
        let Some((number, octets)) = kept.get_mut(keep) else {
            return Ok(None);
        };
        if *number != Some(place.block) {
            *number = None;
            let Some(start) = index.start(place.block) else {
                return Ok(None);
            };
            let mut head = [0; 8];
            file.read_exact_at(&mut head, start)?;
            let [_, length] = head.as_chunks::<4>().0 else {
                return Ok(None);
            };
            let length = u32::from_le_bytes(*length) as usize;
            octets.resize(length.min(dhcp_lease::history::BLOCK_OCTETS_MAX), 0);
            if file.read_exact_at(octets, start).is_err() || Block::parse(octets).is_none() {
                return Ok(None);
            }
            *number = Some(place.block);
        }
        // It was found whole when it was read; to hash it again for every entry would be a waste.
        Ok(Block::parse_trusted(octets).and_then(|block| block.record_at(place.offset)))
    }
}

/// What going through the whole chain found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Segments.
    pub segments: u64,
    /// Blocks.
    pub blocks: u64,
    /// Entries of leases.
    pub entries: u64,
    /// Octets of segments.
    pub octets: u64,
    /// The number of the first segment.
    pub first_segment: u64,
    /// When it begins.
    pub begins: Option<Timestamp>,
    /// The latest second that is told of.
    pub last: Option<Timestamp>,
    /// The number of the last block.
    pub last_block: u64,
    /// The last hash of the chain.
    pub hash: Hash,
    /// Where something is missing, as the history itself says.
    pub gaps: Vec<GapSeen>,
    /// What is worth knowing and no damage.
    pub notes: Vec<String>,
    /// The first thing that is wrong: in which file, and what.
    pub broken: Option<(PathBuf, String)>,
}

/// Goes through the whole chain of a state directory and says where it breaks.
///
/// # Errors
/// [`ReadError`]. A broken chain is no error; it is in what is returned.
pub fn verify(state_dir: &Path) -> Result<Verified, ReadError> {
    let directory = super::directory(state_dir);
    let names = files::list(&directory).map_err(unreadable(&directory))?;
    if names.is_empty() {
        return Err(ReadError::NoHistory { directory });
    }
    let mut verified = Verified::default();
    let mut before: Option<SegmentHeader> = None;
    let mut pruned: Vec<(u64, Hash)> = Vec::new();
    let mut first = None;
    let nexts = names.iter().skip(1).map(Some).chain([None]);
    for (name, next) in names.iter().zip(nexts) {
        // Before it is read: a segment with an index is ended, and nothing comes to it meanwhile.
        let is_ended = next.is_some() || name.index().exists();
        let octets = match name.read() {
            Ok(octets) => octets,
            // Retention goes on while we read.
            Err(error) if error.kind() == io::ErrorKind::NotFound && before.is_none() => continue,
            Err(error) => return Err(unreadable(&name.path)(error)),
        };
        let next = next.and_then(|next| next.header().ok()?.ok());
        let neighbours = (before.as_ref(), next.as_ref());
        let result = verified.segment(name, &octets, neighbours, is_ended, &mut pruned);
        match result {
            Ok(header) => {
                first.get_or_insert(header);
                before = Some(header);
            }
            Err(wrong) => {
                verified.broken = Some((name.path.clone(), wrong));
                return Ok(verified);
            }
        }
    }
    let Some(first) = first else {
        return Err(ReadError::NoHistory { directory });
    };
    verified.first_segment = first.number;
    verified.begins = Some(first.created);
    let is_said = pruned
        .iter()
        .any(|(segment, hash)| segment + 1 == first.number && *hash == first.previous);
    let is_beginning = first.number == 1 && first.previous == Hash::default();
    // A deletion that was announced and cut short leaves segments that are announced as deleted.
    let is_partly_deleted = pruned.iter().any(|(segment, _)| *segment >= first.number);
    if !(is_said || is_beginning || is_partly_deleted) {
        let path = names.first().map(|name| name.path.clone());
        let wrong = format!(
            "segment {} is the first there is, and nowhere in the chain is it said that those before it \
             were deleted",
            first.number
        );
        verified.broken = Some((path.unwrap_or(directory), wrong));
    }
    Ok(verified)
}

impl Verified {
    fn segment(
        &mut self,
        name: &SegmentName,
        octets: &[u8],
        (before, next): (Option<&SegmentHeader>, Option<&SegmentHeader>),
        is_ended: bool,
        pruned: &mut Vec<(u64, Hash)>,
    ) -> Result<SegmentHeader, String> {
        let counted = next.map_or(octets.len(), |next| next.previous_octets as usize);
        let Some(counting) = octets.get(..counted) else {
            return Err(format!(
                "it has {} octets, and the next segment says that {counted} of it count: its end was cut off",
                octets.len()
            ));
        };
        let mut walk = Walk::new(counting).map_err(|broken| broken.to_string())?;
        let header = walk.header;
        if header.number != name.number {
            return Err(format!(
                "it is segment {} under another name",
                header.number
            ));
        }
        if before.is_some_and(|before| before.number + 1 != header.number) {
            return Err(format!(
                "segment {} is missing",
                header.number.saturating_sub(1)
            ));
        }
        if before.is_some() && self.hash != header.previous {
            return Err(format!(
                "it does not continue the chain: the segment before it ends with {}, and this one names {}",
                self.hash, header.previous
            ));
        }
        for step in walk.by_ref() {
            match step {
                Ok((_, block)) => self.block(&block, name, pruned),
                Err(broken) => self.tail(name, octets, broken, next.is_some())?,
            }
        }
        self.hash = walk.hash();
        self.segments += 1;
        self.octets += walk.offset() as u64;
        self.last_block = walk.next_number().saturating_sub(1);
        if next.is_some_and(|next| next.previous != self.hash) {
            return Err(
                "the next segment names another last hash: blocks at its end were changed".into(),
            );
        }
        if octets.len() > counted {
            let rest = octets.len() - counted;
            let file = name.path.display();
            self.notes.push(format!(
                "{file}: its last {rest} octets do not count: they were being written in a crash"
            ));
        }
        if is_ended && next.is_none() && octets.len() > walk.offset() {
            return Err(format!(
                "the segment was ended, and its block {} is damaged or was changed",
                walk.next_number()
            ));
        }
        if is_ended {
            self.index(name, counting)?;
        }
        Ok(header)
    }

    fn block(&mut self, block: &Block<'_>, name: &SegmentName, pruned: &mut Vec<(u64, Hash)>) {
        self.blocks += 1;
        self.last = self.last.max(Some(block.last));
        for (_, record) in block.records() {
            match record {
                Record::Full(_) | Record::Extended { .. } => self.entries += 1,
                Record::Gap(gap) => {
                    let path = name.path.clone();
                    self.gaps.push(GapSeen { gap, path });
                }
                Record::Mark(Mark::Pruned { segment, hash, .. }) => pruned.push((segment, hash)),
                Record::Mark(_) | Record::Unknown(_) => {}
            }
        }
    }

    fn tail(
        &mut self,
        name: &SegmentName,
        octets: &[u8],
        broken: Broken,
        has_next: bool,
    ) -> Result<(), String> {
        let is_cut = !has_next
            && matches!(broken.fault, Fault::Block(_))
            && !has_whole_block_after(octets, broken.offset);
        if !is_cut {
            return Err(broken.to_string());
        }
        self.notes.push(format!(
            "{}: {} octets at its end are no whole block: they are being written, or were in a crash",
            name.path.display(),
            octets.len() - broken.offset
        ));
        Ok(())
    }

    /// An index proves nothing, but a query would believe it.
    fn index(&mut self, name: &SegmentName, counting: &[u8]) -> Result<(), String> {
        let path = name.index();
        let file = path.display();
        match fs::read(&path) {
            Err(_) => {
                let note = format!("{file}: there is no such index; the next start makes it");
                self.notes.push(note);
                Ok(())
            }
            Ok(octets) if build_index(counting).is_ok_and(|index| index == octets) => Ok(()),
            Ok(_) => Err(format!(
                "its index {file} is damaged or was changed: remove it, the next start makes it anew"
            )),
        }
    }
}
