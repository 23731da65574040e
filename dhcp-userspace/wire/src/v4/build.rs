//! Writes a message in place.

use super::code;
use super::header::Header;
use super::message::Region;
use zerocopy::{FromBytes, IntoBytes};

/// Shortest message that is sent: BOOTP's, which some relay agents and clients insist on
/// (RFC 951 section 3, RFC 1542 section 2.1).
pub const PAYLOAD_SIZE_MIN: usize = 300;

/// Longest message that is sent: an Ethernet MTU of 1,500 octets without IPv4 and UDP headers.
pub const PAYLOAD_SIZE_MAX: usize = 1500 - HEADERS_SIZE;

/// IPv4 header without options, and UDP header.
const HEADERS_SIZE: usize = 20 + 8;

/// Octets of the END option, and of option 52.
const END_SIZE: usize = 1;
const OVERLOAD_SIZE: usize = 3;

/// There is no room for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{need} octets do not fit")]
pub struct NoRoom {
    /// Octets that were to be written.
    pub need: usize,
}

/// A place in a message that is being written, see [`Builder::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    used: [usize; 3],
}

/// How long a message to a client may be, from its option 57 if it sent one.
///
/// RFC 2132 section 9.10 [max-message-size]: the smallest value that means anything is 576, the datagram
/// that every host takes (smaller ones overflowed a server's buffer once, CVE-2007-5365); it is also what
/// holds for a client that says nothing. No value makes us send more than one frame holds.
pub fn payload_limit(maximum_message_size: Option<u16>) -> usize {
    let datagram = usize::from(maximum_message_size.unwrap_or(0)).max(576);
    (datagram - HEADERS_SIZE).min(PAYLOAD_SIZE_MAX)
}

/// Writes a message: header, options in the order given, padding.
///
/// When the options field is full, options go on in `file` and `sname`, unless the header uses these for
/// names. An option is written whole or not at all.
#[derive(Debug)]
pub struct Builder<'a> {
    header: &'a mut Header,
    options: &'a mut [u8],
    /// Whether `file` and `sname` are free for options.
    free: [bool; 2],
    /// Octets in use, by [`Region`].
    used: [usize; 3],
    /// Encoded options that will stand directly before END.
    last: &'a [u8],
}

impl<'a> Builder<'a> {
    /// Begins a message of at most `limit` octets with `header` (whose cookie is set here).
    ///
    /// # Errors
    /// [`NoRoom`] when `buffer` or `limit` is smaller than [`PAYLOAD_SIZE_MIN`].
    pub fn new(buffer: &'a mut [u8], limit: usize, header: &Header) -> Result<Self, NoRoom> {
        let size = buffer.len().min(limit);
        let room = buffer
            .get_mut(..size)
            .filter(|room| room.len() >= PAYLOAD_SIZE_MIN);
        let room = room.ok_or(NoRoom {
            need: PAYLOAD_SIZE_MIN,
        })?;
        let (place, options) = Header::mut_from_prefix(room).map_err(|_| NoRoom {
            need: PAYLOAD_SIZE_MIN,
        })?;
        *place = *header;
        place.cookie.set(super::COOKIE);
        let free = [header.file == [0; 128], header.sname == [0; 64]];
        Ok(Self {
            header: place,
            options,
            free,
            used: [0; 3],
            last: &[],
        })
    }

    /// Where the message has got to, to go back to.
    pub fn mark(&self) -> Mark {
        Mark { used: self.used }
    }

    /// Forgets all options that were pushed after `mark` was taken.
    pub fn rewind(&mut self, mark: Mark) {
        self.take_back(mark.used);
    }

    /// Keeps options out of `file` and `sname` from here on (a NAK must not use them, RFC 2131 table 3).
    pub fn forbid_overload(&mut self) {
        self.free = [false; 2];
    }

    /// Appends an option.
    ///
    /// RFC 3396 section 6 [split-long-options]: data of more than 255 octets is split, and the pieces stand
    /// in the order in which the regions are read. RFC 3396 section 4 [split-only-when-needed]: shorter data stays whole,
    /// for not every client joins.
    /// RFC 3442 section 3 [classless-long]: that is what a server of option 121 must be able to.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing was written then.
    pub fn push(&mut self, code: u8, data: &[u8]) -> Result<(), NoRoom> {
        const REGIONS: [Region; 3] = [Region::Options, Region::File, Region::Sname];
        if data.len() <= 255 {
            let region = REGIONS
                .into_iter()
                .find(|&region| self.room(region) >= data.len() + 2);
            return match region {
                Some(region) => {
                    self.write(region, code, data);
                    Ok(())
                }
                None => Err(NoRoom {
                    need: data.len() + 2,
                }),
            };
        }
        let used_before = self.used;
        let mut rest = data;
        for region in REGIONS {
            while let Some(octets) = self
                .room(region)
                .checked_sub(2)
                .filter(|&octets| octets > 0)
            {
                // RFC 3396 section 6 [pieces-are-options] and [split-means-nothing]: wherever the room or 255 octets end.
                let (piece, after) = rest.split_at(octets.min(255).min(rest.len()));
                self.write(region, code, piece);
                rest = after;
                if rest.is_empty() {
                    return Ok(());
                }
            }
        }
        // RFC 3396 section 4 [split-or-leave-out].
        self.take_back(used_before);
        Err(NoRoom {
            need: data.len() + 2,
        })
    }

    /// Keeps room for encoded options (code, length and data each) that will be copied octet by octet
    /// directly before END, in the options field.
    ///
    /// RFC 3046 section 2.2 [relay-option-last]: the relay agent's option is echoed whole, as the last one,
    /// and never in `file` or `sname`.
    ///
    /// # Errors
    /// [`NoRoom`]; the message then goes without them.
    pub fn reserve_last(&mut self, encoded: &'a [u8]) -> Result<(), NoRoom> {
        let before = core::mem::take(&mut self.last);
        if self.room(Region::Options) < encoded.len() {
            self.last = before;
            return Err(NoRoom {
                need: encoded.len(),
            });
        }
        self.last = encoded;
        Ok(())
    }

    /// How long the message would be if it ended here.
    pub fn emitted_len(&self) -> usize {
        let [options, file, sname] = self.used;
        let overload = if file + sname > 0 { OVERLOAD_SIZE } else { 0 };
        let len = size_of::<Header>() + options + overload + self.last.len() + END_SIZE;
        len.max(PAYLOAD_SIZE_MIN)
    }

    /// Ends the message; its length.
    pub fn finish(self) -> usize {
        let len = self.emitted_len();
        let [mut at, file, sname] = self.used;
        let overload = u8::from(file > 0) | u8::from(sname > 0) << 1;
        // RFC 2131 section 4.1 [overload-said] and [end-option].
        if overload != 0 {
            at = put(self.options, at, &[code::OVERLOAD, 1, overload]);
        }
        // RFC 2131 section 4.1 [region-end]: options in `file` and `sname` end with END, and PAD fills the
        // rest, which is zero already.
        if file > 0 {
            put(&mut self.header.file, file, &[code::END]);
        }
        if sname > 0 {
            put(&mut self.header.sname, sname, &[code::END]);
        }
        at = put(self.options, at, self.last);
        at = put(self.options, at, &[code::END]);
        // RFC 2132 section 3.2 [pad-after-end].
        let padding = self
            .options
            .get_mut(at..len.saturating_sub(size_of::<Header>()));
        padding.unwrap_or_default().fill(code::PAD);
        len
    }

    /// Forgets what was written after `used`. The rest of `file` and `sname` is zero at all times; the
    /// options field is padded at the end.
    fn take_back(&mut self, used: [usize; 3]) {
        let [_, file, sname] = used;
        let [_, file_used, sname_used] = core::mem::replace(&mut self.used, used);
        self.header
            .file
            .get_mut(file..file_used)
            .unwrap_or_default()
            .fill(code::PAD);
        self.header
            .sname
            .get_mut(sname..sname_used)
            .unwrap_or_default()
            .fill(code::PAD);
    }

    /// Octets that an option, code and length included, may still take in a region.
    fn room(&self, region: Region) -> usize {
        let [options, file, sname] = self.used;
        let [file_free, sname_free] = self.free;
        let (size, used, kept) = match region {
            Region::Options => {
                let overload = if file_free || sname_free {
                    OVERLOAD_SIZE
                } else {
                    0
                };
                (
                    self.options.len(),
                    options,
                    END_SIZE + overload + self.last.len(),
                )
            }
            Region::File if file_free => (self.header.file.len(), file, END_SIZE),
            Region::Sname if sname_free => (self.header.sname.len(), sname, END_SIZE),
            Region::File | Region::Sname => (0, 0, 0),
        };
        size.saturating_sub(used + kept)
    }

    // RFC 3396 section 5 [no-crossing], RFC 2131 section 4.1 [option-in-one-region]: `push` and `write` put each piece
    // into one region.
    /// Writes one piece into a region that has the room, at most 255 octets of data.
    fn write(&mut self, region: Region, code: u8, data: &[u8]) {
        let [options, file, sname] = &mut self.used;
        let (area, at) = match region {
            Region::Options => (&mut *self.options, options),
            Region::File => (self.header.file.as_mut_bytes(), file),
            Region::Sname => (self.header.sname.as_mut_bytes(), sname),
        };
        let after_code = put(area, *at, &[code, data.len() as u8]);
        *at = put(area, after_code, data);
    }
}

/// Copies `octets` to `area` at `at`; where they end. What has no room is not copied: callers ask before.
fn put(area: &mut [u8], at: usize, octets: &[u8]) -> usize {
    let end = at.saturating_add(octets.len());
    match area.get_mut(at..end) {
        Some(place) => {
            place.copy_from_slice(octets);
            end
        }
        None => at,
    }
}
