//! Numbers and octets, one behind the other.

/// Fills octets from the beginning. What does not fit is left out; the lengths are computed before.
pub(super) struct Put<'a> {
    rest: &'a mut [u8],
}

impl<'a> Put<'a> {
    pub(super) fn new(octets: &'a mut [u8]) -> Self {
        Self { rest: octets }
    }

    pub(super) fn octets(&mut self, octets: &[u8]) {
        let place = self.space(octets.len());
        if place.len() == octets.len() {
            place.copy_from_slice(octets);
        }
    }

    pub(super) fn number(&mut self, number: u64) {
        self.octets(&number.to_le_bytes());
    }

    /// The next so many octets.
    pub(super) fn space(&mut self, len: usize) -> &'a mut [u8] {
        let rest = core::mem::take(&mut self.rest);
        let (space, after) = rest.split_at_mut_checked(len).unwrap_or_default();
        self.rest = after;
        space
    }
}

/// Takes octets from the beginning.
pub(super) struct Cut<'a> {
    rest: &'a [u8],
}

impl<'a> Cut<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    pub(super) fn octets(&mut self, len: usize) -> Option<&'a [u8]> {
        let (octets, after) = self.rest.split_at_checked(len)?;
        self.rest = after;
        Some(octets)
    }

    pub(super) fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        self.octets(N)?.first_chunk()
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.take().map(|octets| u64::from_le_bytes(*octets))
    }
}
