//! A short string of octets with a fixed upper bound: what a packet says, kept after its frame is gone.

use core::fmt;

/// Up to `N` octets, stored in place.
///
/// Copying the octets of a message into one of these is what lets the reply overwrite the frame that
/// held the request. Setting costs a copy of the octets in use only; the rest is not touched.
#[derive(Clone)]
pub struct Octets<const N: usize> {
    len: u16,
    octets: [u8; N],
}

/// More octets than the bound of an [`Octets`] were offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got} octets where at most {bound} fit")]
pub struct TooLong {
    /// Length that was offered.
    pub got: usize,
    /// The bound.
    pub bound: usize,
}

impl<const N: usize> Octets<N> {
    /// No octets.
    pub const EMPTY: Self = {
        assert!(N <= u16::MAX as usize, "the length is kept in 16 bits");
        Self {
            len: 0,
            octets: [0; N],
        }
    };

    /// A copy of `octets`.
    ///
    /// # Errors
    /// [`TooLong`] when there are more than `N`.
    pub fn new(octets: &[u8]) -> Result<Self, TooLong> {
        let mut this = Self::EMPTY;
        this.set(octets)?;
        Ok(this)
    }

    /// Replaces the contents. On an error nothing changes.
    ///
    /// # Errors
    /// [`TooLong`] when there are more than `N`.
    pub fn set(&mut self, octets: &[u8]) -> Result<(), TooLong> {
        let room = self.octets.get_mut(..octets.len());
        let room = room.ok_or(TooLong {
            got: octets.len(),
            bound: N,
        })?;
        room.copy_from_slice(octets);
        self.len = octets.len() as u16; // at most N, which `EMPTY` checks
        Ok(())
    }

    /// Appends. On an error nothing changes. (Split options are put together with this, RFC 3396.)
    ///
    /// # Errors
    /// [`TooLong`] when the sum is more than `N`.
    pub fn push_slice(&mut self, octets: &[u8]) -> Result<(), TooLong> {
        let start = usize::from(self.len);
        let end = start.saturating_add(octets.len());
        let room = self
            .octets
            .get_mut(start..end)
            .ok_or(TooLong { got: end, bound: N })?;
        room.copy_from_slice(octets);
        self.len = end as u16; // at most N, which `EMPTY` checks
        Ok(())
    }

    /// Forgets all octets after the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.len = usize::from(self.len).min(len) as u16; // not more than before
    }

    /// Forgets the contents.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The octets in use.
    pub fn as_slice(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// How many octets are in use.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<const N: usize> Default for Octets<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> PartialEq for Octets<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<const N: usize> Eq for Octets<N> {}

impl<const N: usize> fmt::Debug for Octets<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.as_slice())
    }
}

/// Writes octets as `01:ab:ff`, the only way in which octets chosen by strangers reach a log.
///
/// # Errors
/// Those of the formatter.
pub fn write_hex(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    for (position, octet) in octets.iter().enumerate() {
        let separator = if position == 0 { "" } else { ":" };
        write!(f, "{separator}{octet:02x}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn octets_refuse_what_does_not_fit_and_keep_what_they_had() {
        let mut octets = Octets::<4>::new(&[1, 2, 3]).unwrap();
        assert_eq!(
            octets.push_slice(&[4, 5]),
            Err(TooLong { got: 5, bound: 4 })
        );
        assert_eq!(octets.as_slice(), [1, 2, 3]);
        octets.push_slice(&[0xff]).unwrap();
        assert_eq!(format!("{octets:?}"), "01:02:03:ff");
        octets.truncate(7);
        assert_eq!(octets.len(), 4);
        octets.truncate(2);
        assert_eq!(octets.as_slice(), [1, 2]);
    }
}
