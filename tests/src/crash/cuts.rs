//! Power cuts: what may a disk hold when the power fails, and does every such disk recover?
//!
//! Between two barriers a disk may have written any part of what it was told, in any order, and of the
//! write under way some sectors and not others. So for every barrier of a recording: nothing of what came
//! after it, all of it, each single write, and parts by chance with torn writes.

use super::image::{Image, Operation, SECTOR};
use super::random::Random;
use super::record::Recording;
use std::sync::Arc;

type Write = (u64, Arc<[u8]>);

/// All images of a range of barriers, one after the other.
pub struct Cuts<'a> {
    recording: &'a Recording,
    seed: u64,
    /// Images for each barrier, or more where single writes take more.
    per_barrier: u64,
    /// The disk when the barrier was complete.
    base: Image,
    /// What came after it.
    later: Vec<Write>,
    /// How much of the log is in `base` and `later`.
    read: usize,
    barrier: u64,
    end: u64,
    variant: u64,
}

/// One image.
pub struct Cut {
    /// How many barriers were complete.
    pub barrier: u64,
    /// Which image of this barrier it is.
    pub variant: u64,
    /// What the disk holds.
    pub image: Image,
}

impl<'a> Cuts<'a> {
    /// The images of these barriers: of `barriers.start` complete barriers, and so on.
    pub fn new(
        recording: &'a Recording,
        barriers: std::ops::Range<u64>,
        per_barrier: u64,
        seed: u64,
    ) -> Self {
        let mut cuts = Self {
            recording,
            seed,
            per_barrier,
            base: recording.base.clone(),
            later: Vec::new(),
            read: 0,
            barrier: 0,
            end: barriers.end,
            variant: 0,
        };
        cuts.read_epoch();
        while cuts.barrier < barriers.start {
            cuts.next_barrier();
        }
        cuts
    }

    /// Reads on until the next barrier.
    fn read_epoch(&mut self) {
        while let Some(Operation::Write(at, octets)) = self.recording.log.get(self.read) {
            self.later.push((*at, Arc::clone(octets)));
            self.read += 1;
        }
    }

    fn next_barrier(&mut self) {
        for (at, octets) in self.later.drain(..) {
            self.base.write(at, &octets);
        }
        self.read += 1;
        self.barrier += 1;
        self.variant = 0;
        self.read_epoch();
    }

    fn variants(&self) -> u64 {
        let writes = self.later.len() as u64;
        match writes {
            0 => 1,
            // Nothing, all, each single one; and chance on top.
            _ => (2 + writes).max(self.per_barrier),
        }
    }

    fn image(&self) -> Image {
        let mut image = self.base.clone();
        let writes = self.later.len() as u64;
        match self.variant {
            0 => {}
            1 => self
                .later
                .iter()
                .for_each(|(at, octets)| image.write(*at, octets)),
            single if single - 2 < writes => {
                let (at, octets) = &self.later[(single - 2) as usize];
                image.write(*at, octets);
            }
            chance => {
                let seed = self.seed ^ self.barrier << 32 ^ chance;
                by_chance(&mut Random(seed), &self.later, &mut image);
            }
        }
        image
    }
}

/// A part of the writes, in any order, one of them torn.
fn by_chance(random: &mut Random, later: &[Write], image: &mut Image) {
    let share = 1 + random.below(3);
    let mut kept: Vec<&Write> = later.iter().filter(|_| random.below(4) < share).collect();
    if random.once_in(2) {
        for place in (1..kept.len()).rev() {
            kept.swap(place, random.below(place as u64 + 1) as usize);
        }
    }
    let torn = random.below(kept.len().max(1) as u64) as usize;
    for (place, (at, octets)) in kept.into_iter().enumerate() {
        if place != torn {
            image.write(*at, octets);
            continue;
        }
        // Up to some sector, or some of its sectors.
        let sectors = octets.len().div_ceil(SECTOR) as u64;
        let (until, is_mixed) = (random.below(sectors + 1), random.once_in(2));
        for (number, sector) in octets.chunks(SECTOR).enumerate() {
            let is_written = match is_mixed {
                true => random.once_in(2),
                false => (number as u64) < until,
            };
            if is_written {
                image.write(at + (number * SECTOR) as u64, sector);
            }
        }
    }
}

impl Iterator for Cuts<'_> {
    type Item = Cut;

    fn next(&mut self) -> Option<Cut> {
        if self.variant >= self.variants() {
            self.next_barrier();
        }
        if self.barrier >= self.end {
            return None;
        }
        let cut = Cut {
            barrier: self.barrier,
            variant: self.variant,
            image: self.image(),
        };
        self.variant += 1;
        Some(cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::image::BLOCK;
    use crate::crash::ledger::Ledger;
    use crate::crash::rig::FileSystem;
    use std::collections::BTreeSet;

    fn recording() -> Recording {
        let write =
            |block: u64, octet| Operation::Write(block * BLOCK as u64, vec![octet; BLOCK].into());
        Recording {
            kind: FileSystem::Ext4,
            base: Image::blank(8 * BLOCK as u64),
            log: vec![
                write(0, 1),
                Operation::Barrier,
                write(1, 2),
                write(0, 3),
                Operation::Barrier,
            ],
            ledger: Ledger::default(),
            ledger_text: String::new(),
            groups: 0,
            steady: (0, 0),
        }
    }

    fn looks(image: &Image) -> [u8; 2] {
        [0, 1].map(|block| {
            let mut octet = [0];
            image.read(block * BLOCK as u64, &mut octet);
            octet[0]
        })
    }

    #[test]
    fn what_a_barrier_covers_is_in_every_image_and_nothing_of_the_next_epoch() {
        let recording = recording();
        let cuts: Vec<_> = Cuts::new(&recording, 0..3, 64, 1).collect();
        let of = |barrier| {
            let cuts = cuts.iter().filter(move |cut| cut.barrier == barrier);
            cuts.map(|cut| looks(&cut.image)).collect::<BTreeSet<_>>()
        };
        assert_eq!(of(0), BTreeSet::from([[0, 0], [1, 0]]));
        assert_eq!(of(1), BTreeSet::from([[1, 0], [1, 2], [3, 0], [3, 2]]));
        assert_eq!(of(2), BTreeSet::from([[3, 2]]));
    }

    #[test]
    fn a_range_gives_the_same_images_as_the_whole() {
        let recording = recording();
        let whole = Cuts::new(&recording, 0..3, 16, 7).filter(|cut| cut.barrier == 1);
        let part = Cuts::new(&recording, 1..2, 16, 7);
        assert!(
            whole
                .zip(part)
                .all(|(one, other)| looks(&one.image) == looks(&other.image))
        );
    }

    #[test]
    fn writes_are_torn_at_sectors() {
        let recording = recording();
        let cuts = Cuts::new(&recording, 0..1, 64, 3);
        let mut seen = BTreeSet::new();
        for cut in cuts {
            let mut block = [0; BLOCK];
            cut.image.read(0, &mut block);
            for sector in block.chunks(SECTOR) {
                assert!(sector.iter().all(|octet| *octet == sector[0]));
            }
            seen.insert(
                block
                    .chunks(SECTOR)
                    .map(|sector| sector[0])
                    .collect::<Vec<_>>(),
            );
        }
        assert!(seen.len() > 20, "{}", seen.len());
    }
}
