//! Octets one after another into a given room.

/// A position in a room. What does not fit is not written, and [`Writer::finish`] says so.
pub(crate) struct Writer<'a> {
    room: &'a mut [u8],
    at: usize,
    overflow: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(room: &'a mut [u8]) -> Self {
        Self {
            room,
            at: 0,
            overflow: false,
        }
    }

    pub(crate) fn put(&mut self, octets: &[u8]) {
        let end = self.at.saturating_add(octets.len());
        match self.room.get_mut(self.at..end) {
            Some(room) => room.copy_from_slice(octets),
            None => self.overflow = true,
        }
        self.at = end;
    }

    pub(crate) fn zeros(&mut self, count: usize) {
        let end = self.at.saturating_add(count);
        match self.room.get_mut(self.at..end) {
            Some(room) => room.fill(0),
            None => self.overflow = true,
        }
        self.at = end;
    }

    /// Octets written so far.
    pub(crate) fn len(&self) -> usize {
        self.at
    }

    /// Replaces an octet that was written before: a length that is known only afterwards.
    pub(crate) fn patch_u8(&mut self, at: usize, value: u8) {
        if let Some(octet) = self.room.get_mut(at) {
            *octet = value;
        }
    }

    /// Replaces two octets that were written before: a length that is known only afterwards.
    pub(crate) fn patch_u16(&mut self, at: usize, value: u16) {
        if let Some(room) = self.room.get_mut(at..at.saturating_add(2)) {
            room.copy_from_slice(&value.to_be_bytes());
        }
    }

    /// The length of all that was written, unless it did not fit.
    pub(crate) fn finish(self) -> Option<usize> {
        (!self.overflow).then_some(self.at)
    }
}
