//! Captured frames, from files in the classic pcap format (Ethernet, little-endian, as tcpdump writes).

use std::path::Path;
use std::time::Duration;

/// One frame as it was on the link.
#[derive(Clone, Debug)]
pub struct Captured {
    /// When, since the epoch.
    pub time: Duration,
    /// From the Ethernet destination to the end, without the frame check sequence.
    pub octets: Vec<u8>,
}

impl Captured {
    /// Its Ethernet source.
    pub fn source_mac(&self) -> [u8; 6] {
        self.octets
            .get(6..12)
            .and_then(|mac| mac.try_into().ok())
            .unwrap_or_default()
    }

    /// Where the UDP payload begins and ends, if this is an unfragmented UDP datagram.
    pub fn udp_payload(&self) -> Option<std::ops::Range<usize>> {
        let field = |at: usize| {
            Some(u16::from_be_bytes([
                *self.octets.get(at)?,
                *self.octets.get(at + 1)?,
            ]))
        };
        let udp = match field(12)? {
            0x0800 if *self.octets.get(23)? == 17 => {
                14 + usize::from(self.octets.get(14)? & 15) * 4
            }
            0x86dd if *self.octets.get(20)? == 17 => 54,
            _ => return None,
        };
        let end = udp + usize::from(field(udp + 4)?);
        (end <= self.octets.len()).then_some(udp + 8..end)
    }

    /// The UDP destination port, if this is an unfragmented UDP datagram.
    pub fn destination_port(&self) -> Option<u16> {
        let payload = self.udp_payload()?;
        let port = self.octets.get(payload.start - 6..payload.start - 4)?;
        Some(u16::from_be_bytes(port.try_into().ok()?))
    }
}

/// All frames of a file, in order.
///
/// # Panics
/// When it cannot be read or has another format: a test cannot go on without its capture.
pub fn read(path: &Path) -> Vec<Captured> {
    let (frames, whole) = read_until_cut(path);
    assert!(whole, "{}: cut short", path.display());
    frames
}

/// The frames that a file already has whole while it is still being written.
///
/// # Panics
/// As [`read`].
pub fn read_growing(path: &Path) -> Vec<Captured> {
    read_until_cut(path).0
}

/// The frames, and whether the file ends with the last of them.
fn read_until_cut(path: &Path) -> (Vec<Captured>, bool) {
    let octets = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let word = |at: usize| {
        let octets: Option<[u8; 4]> = octets.get(at..at + 4).and_then(|word| word.try_into().ok());
        octets.map(u32::from_le_bytes)
    };
    assert_eq!(
        word(0),
        Some(0xa1b2_c3d4),
        "{}: not a little-endian pcap",
        path.display()
    );
    assert_eq!(word(20), Some(1), "{}: not of Ethernet", path.display());
    let mut frames = Vec::new();
    let mut at = 24;
    while let (Some(seconds), Some(micros), Some(length)) = (word(at), word(at + 4), word(at + 8)) {
        let Some(frame) = octets.get(at + 16..at + 16 + length as usize) else {
            break;
        };
        let time = Duration::from_secs(seconds.into()) + Duration::from_micros(micros.into());
        frames.push(Captured {
            time,
            octets: frame.to_vec(),
        });
        at += 16 + frame.len();
    }
    (frames, at == octets.len())
}

/// The committed captures of real clients and relays, in order of their names.
///
/// # Panics
/// When the folder cannot be read.
pub fn committed() -> Vec<(String, Vec<Captured>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "pcap")
        })
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                read(&path),
            )
        })
        .collect()
}
