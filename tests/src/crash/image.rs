//! What is on the disk? An image of 4 KiB blocks that costs only what was written, and the log of all
//! that was.

use std::sync::Arc;

/// Octets of a block.
pub const BLOCK: usize = 4096;
/// What a disk writes whole or not at all.
pub const SECTOR: usize = 512;

type Block = [u8; BLOCK];

/// The contents of a disk. A copy shares every block until one of the two writes to it.
#[derive(Clone, Debug)]
pub struct Image {
    blocks: Vec<Option<Arc<Block>>>,
}

impl Image {
    /// A blank disk of so many octets, a multiple of the block size.
    pub fn blank(octets: u64) -> Self {
        Self {
            blocks: vec![None; (octets / BLOCK as u64) as usize],
        }
    }

    /// Its size.
    pub fn octets(&self) -> u64 {
        (self.blocks.len() * BLOCK) as u64
    }

    /// Reads from `at`; what lies beyond the end is zero.
    pub fn read(&self, at: u64, into: &mut [u8]) {
        for (at, piece) in pieces(at, into.len()) {
            let room = &mut into[piece];
            let start = (at % BLOCK as u64) as usize;
            match self.blocks.get((at / BLOCK as u64) as usize) {
                Some(Some(block)) => room.copy_from_slice(&block[start..start + room.len()]),
                Some(None) | None => room.fill(0),
            }
        }
    }

    /// Writes at `at`; what lies beyond the end is lost.
    pub fn write(&mut self, at: u64, octets: &[u8]) {
        for (at, piece) in pieces(at, octets.len()) {
            let octets = &octets[piece];
            let start = (at % BLOCK as u64) as usize;
            let Some(place) = self.blocks.get_mut((at / BLOCK as u64) as usize) else {
                return;
            };
            if place.is_none() && octets.iter().all(|octet| *octet == 0) {
                continue;
            }
            let block = place.get_or_insert_with(|| Arc::new([0; BLOCK]));
            Arc::make_mut(block)[start..start + octets.len()].copy_from_slice(octets);
        }
    }
}

/// Cuts a range at the limits of blocks: where each piece lies on the disk, and in the range.
fn pieces(at: u64, length: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let position = at + done as u64;
        let room = BLOCK - (position % BLOCK as u64) as usize;
        let piece = done..length.min(done + room);
        done = piece.end;
        (!piece.is_empty()).then_some((position, piece))
    })
}

/// One thing that the disk was told to do.
#[derive(Clone, Debug)]
pub enum Operation {
    /// To write these octets there.
    Write(u64, Arc<[u8]>),
    /// To answer only when all that came before is on stable storage.
    Barrier,
}

/// A disk that writes down what it is told to do.
#[derive(Debug)]
pub struct Device {
    /// What it holds.
    pub image: Image,
    /// What it was told since [`Device::record`]; `None`: nothing is written down.
    pub log: Option<Vec<Operation>>,
    /// Barriers in the log.
    pub barriers: u64,
}

impl Device {
    /// A disk with these contents that writes nothing down.
    pub fn new(image: Image) -> Self {
        Self {
            image,
            log: None,
            barriers: 0,
        }
    }

    /// Begins to write down; gives what the disk holds now.
    pub fn record(&mut self) -> Image {
        self.log = Some(Vec::new());
        self.barriers = 0;
        self.image.clone()
    }

    /// Writes.
    pub fn write(&mut self, at: u64, octets: &[u8]) {
        self.image.write(at, octets);
        if let Some(log) = &mut self.log {
            log.push(Operation::Write(at, octets.into()));
        }
    }

    /// A barrier.
    pub fn flush(&mut self) {
        self.barriers += 1;
        if let Some(log) = &mut self.log {
            log.push(Operation::Barrier);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_copy_is_not_touched() {
        let mut image = Image::blank(4 * BLOCK as u64);
        let octets: Vec<u8> = (0..6000).map(|number| number as u8 | 1).collect();
        image.write(3000, &octets);
        let copy = image.clone();
        image.write(3001, &[0xee; 5000]);
        let mut read = vec![0xaa; 6002];
        copy.read(2999, &mut read);
        assert_eq!(read[0], 0);
        assert_eq!(read[1..6001], octets);
        assert_eq!(read[6001], 0);
        image.read(3000, &mut read[..3]);
        assert_eq!(read[..3], [octets[0], 0xee, 0xee]);
    }

    #[test]
    fn beyond_the_end_there_is_nothing() {
        let mut image = Image::blank(BLOCK as u64);
        image.write(4000, &[7; 200]);
        let mut read = [9; 200];
        image.read(4000, &mut read);
        assert_eq!(read[..96], [7; 96]);
        assert_eq!(read[96..], [0; 104]);
    }
}
