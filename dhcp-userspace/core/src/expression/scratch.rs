//! Room for what evaluation has to put together: one block on the stack, cut from the front.

use super::Failure;
use core::fmt::{self, Write};

/// How many octets one evaluation may put together: sums, texts in another case, numbers as text, split
/// options. An expression that needs more for a packet fails for it ([`Failure::NoRoom`]).
pub const SCRATCH_OCTETS: usize = 2048;

/// Octets that are not used yet.
#[derive(Debug)]
pub struct Scratch<'s> {
    free: &'s mut [u8],
}

impl<'s> Scratch<'s> {
    /// Over a block that lives as long as the values of the evaluation.
    pub fn new(block: &'s mut [u8; SCRATCH_OCTETS]) -> Self {
        Self { free: block }
    }

    /// Pieces put together.
    ///
    /// # Errors
    /// [`Failure::NoRoom`].
    pub fn join<'p>(
        &mut self,
        pieces: impl Iterator<Item = &'p [u8]>,
    ) -> Result<&'s [u8], Failure> {
        let mut len = 0;
        for piece in pieces {
            let end = len + piece.len();
            let room = self.free.get_mut(len..end).ok_or(Failure::NoRoom)?;
            room.copy_from_slice(piece);
            len = end;
        }
        self.keep(len)
    }

    /// Octets that are made one by one.
    ///
    /// # Errors
    /// [`Failure::NoRoom`].
    pub fn collect(&mut self, octets: impl Iterator<Item = u8>) -> Result<&'s [u8], Failure> {
        let mut len = 0;
        for octet in octets {
            *self.free.get_mut(len).ok_or(Failure::NoRoom)? = octet;
            len += 1;
        }
        self.keep(len)
    }

    /// What `value` looks like as a text.
    ///
    /// # Errors
    /// [`Failure::NoRoom`].
    pub fn display(&mut self, value: impl fmt::Display) -> Result<&'s [u8], Failure> {
        let mut cursor = Cursor {
            room: self.free,
            len: 0,
        };
        write!(cursor, "{value}").map_err(|_| Failure::NoRoom)?;
        let len = cursor.len;
        self.keep(len)
    }

    /// The first octets, which are written now, are given away.
    fn keep(&mut self, len: usize) -> Result<&'s [u8], Failure> {
        let free = core::mem::take(&mut self.free);
        let (kept, free) = free.split_at_mut_checked(len).ok_or(Failure::NoRoom)?;
        self.free = free;
        Ok(kept)
    }
}

struct Cursor<'r> {
    room: &'r mut [u8],
    len: usize,
}

impl Write for Cursor<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.room.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
