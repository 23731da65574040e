//! Frames in plain memory: for tests, simulation and the engine's benchmark.

use super::{BATCH_FRAMES, Port};
use dhcp_wire::frame::FRAME_SIZE_MAX;
use std::collections::VecDeque;

/// A port without a device. Its buffers are used again, so that nothing is allocated once it has run
/// for a while.
#[derive(Debug, Default)]
pub struct MemoryPort {
    arrived: VecDeque<MemoryFrame>,
    spare: Vec<MemoryFrame>,
    sent: VecDeque<MemoryFrame>,
    discarded: u64,
}

/// A frame of a [`MemoryPort`].
#[derive(Debug)]
pub struct MemoryFrame {
    octets: Box<[u8; FRAME_SIZE_MAX]>,
    len: usize,
}

impl MemoryFrame {
    fn as_slice(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

impl MemoryPort {
    /// A port on which nothing has arrived.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a frame arrive. Octets past [`FRAME_SIZE_MAX`] are cut off, as a device would drop them.
    pub fn arrive(&mut self, octets: &[u8]) {
        let mut frame = self.spare.pop().unwrap_or_else(|| MemoryFrame {
            octets: Box::new([0; FRAME_SIZE_MAX]),
            len: 0,
        });
        frame.len = octets.len().min(FRAME_SIZE_MAX);
        for (to, from) in frame.octets.iter_mut().zip(octets) {
            *to = *from;
        }
        self.arrived.push_back(frame);
    }

    /// Takes the oldest frame that was sent.
    pub fn take_sent(&mut self) -> Option<Vec<u8>> {
        let frame = self.sent.pop_front()?;
        let octets = frame.as_slice().to_vec();
        self.spare.push(frame);
        Some(octets)
    }

    /// Calls `look` with each sent frame, oldest first, and forgets them; allocates nothing.
    pub fn drain_sent(&mut self, mut look: impl FnMut(&[u8])) {
        while let Some(frame) = self.sent.pop_front() {
            look(frame.as_slice());
            self.spare.push(frame);
        }
    }

    /// How many frames wait to be received.
    pub fn waiting(&self) -> usize {
        self.arrived.len()
    }

    /// How many frames ended in [`Port::discard`].
    pub fn discarded(&self) -> u64 {
        self.discarded
    }
}

impl Port for MemoryPort {
    type Frame = MemoryFrame;

    fn receive(&mut self, into: &mut Vec<MemoryFrame>) -> usize {
        let count = self.arrived.len().min(BATCH_FRAMES);
        into.extend(self.arrived.drain(..count));
        count
    }

    fn octets<'a>(&'a self, frame: &'a MemoryFrame) -> &'a [u8] {
        frame.as_slice()
    }

    fn overwrite<R>(&mut self, frame: &mut MemoryFrame, write: impl FnOnce(&mut [u8]) -> R) -> R {
        write(frame.octets.as_mut_slice())
    }

    fn send(&mut self, mut frame: MemoryFrame, len: usize) {
        assert!(len <= FRAME_SIZE_MAX, "a frame of {len} octets was sent");
        frame.len = len;
        self.sent.push_back(frame);
    }

    fn discard(&mut self, frame: MemoryFrame) {
        self.discarded += 1;
        self.spare.push(frame);
    }

    fn flush(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_in_batches_and_go_out_in_order() {
        let mut port = MemoryPort::new();
        for number in 0..100u8 {
            port.arrive(&[number; 60]);
        }
        let mut batch = Vec::with_capacity(BATCH_FRAMES);
        assert_eq!(port.receive(&mut batch), BATCH_FRAMES);
        assert_eq!(port.waiting(), 100 - BATCH_FRAMES);
        for (number, mut frame) in batch.drain(..).enumerate() {
            assert_eq!(port.octets(&frame), [number as u8; 60]);
            port.overwrite(&mut frame, |room| room[0] = 0xff);
            if number % 2 == 0 {
                port.send(frame, 70)
            } else {
                port.discard(frame)
            }
        }
        assert_eq!(port.discarded(), 32);
        assert_eq!(port.take_sent().unwrap()[..2], [0xff, 0]);
        assert_eq!(port.take_sent().unwrap()[..2], [0xff, 2]);
    }
}
