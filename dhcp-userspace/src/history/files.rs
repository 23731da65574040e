//! The files of a history: what they are called, which there are, and how they are made.

use dhcp_lease::history::{Broken, Fault, SegmentHeader, build_index};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const SUFFIX: &str = ".history";
const INDEX_SUFFIX: &str = ".index";

/// A segment's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    /// Its number.
    pub number: u64,
    /// The file.
    pub path: PathBuf,
}

impl SegmentName {
    /// The file of a new segment: `0000000012-20261121T053000Z.history`.
    pub(super) fn new(directory: &Path, header: &SegmentHeader) -> Self {
        let time: String = crate::leases::time(header.created.0)
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let name = format!("{:010}-{time}{SUFFIX}", header.number);
        Self {
            number: header.number,
            path: directory.join(name),
        }
    }

    /// The file of its index.
    pub fn index(&self) -> PathBuf {
        self.path
            .with_extension(INDEX_SUFFIX.trim_start_matches('.'))
    }

    /// What is in it.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        fs::read(&self.path)
    }

    /// Its header, without the rest.
    pub(super) fn header(&self) -> io::Result<Result<SegmentHeader, Fault>> {
        let mut octets = Vec::new();
        let limit = dhcp_lease::history::SEGMENT_HEADER_OCTETS as u64;
        File::open(&self.path)?
            .take(limit)
            .read_to_end(&mut octets)?;
        Ok(SegmentHeader::read(&octets))
    }
}

/// The segments of a history, by their numbers. Nothing if there is no history.
///
/// # Errors
/// Those of the system.
pub fn list(directory: &Path) -> io::Result<Vec<SegmentName>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut segments = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| {
            let (number, _) = name.strip_suffix(SUFFIX)?.split_once('-')?;
            number.parse().ok()
        });
        segments.extend(number.map(|number| SegmentName { number, path }));
    }
    segments.sort();
    Ok(segments)
}

pub(super) fn make_directory(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(directory)
}

pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes the file of a segment; there must be none of that name.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o640)
        .open(path)
}

/// Writes the index of an ended segment, whole or not at all.
pub(super) fn write_index(segment: &SegmentName, octets: &[u8]) -> io::Result<Result<(), Broken>> {
    let index = match build_index(octets) {
        Ok(index) => index,
        Err(broken) => return Ok(Err(broken)),
    };
    let path = segment.index();
    let temporary = path.with_extension("index.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640)
        .open(&temporary)?;
    file.write_all(&index)?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    Ok(Ok(()))
}

/// Removes a segment and its index, the index first: one without its segment would be nobody's.
pub(super) fn remove(segment: &SegmentName) -> io::Result<()> {
    match fs::remove_file(segment.index()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::remove_file(&segment.path)
}
