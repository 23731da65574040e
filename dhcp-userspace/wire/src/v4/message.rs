//! The view of a received message.

use super::code;
use super::header::{COOKIE, Header};
use zerocopy::FromBytes;

/// Why octets are no DHCPv4 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than the fixed header with its cookie.
    #[error("{got} octets, at least {need} are needed")]
    TooShort {
        /// Length found.
        got: usize,
        /// Length of the fixed header.
        need: usize,
    },
    /// The options field does not begin with the magic cookie.
    #[error("cookie {got:#010x} is not DHCP's")]
    BadCookie {
        /// What stood there.
        got: u32,
    },
    /// An option reaches beyond the end of its region.
    #[error("option {code} runs out of its region: {got} octets of {need}")]
    Truncated {
        /// The option's code.
        code: u8,
        /// Octets left in the region after the code.
        got: usize,
        /// Octets that its length asks for, the length octet included.
        need: usize,
    },
    /// An option that must have one certain length has another.
    #[error("option {code} has {got} octets")]
    BadLength {
        /// The option's code.
        code: u8,
        /// Its length.
        got: usize,
    },
}

/// What a message is for (option 53, RFC 2132 section 9.6). Unknown types stay numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageType(pub u8);

impl MessageType {
    /// A client looks for servers.
    pub const DISCOVER: Self = Self(1);
    /// A server offers an address.
    pub const OFFER: Self = Self(2);
    /// A client asks for an offered address, or to keep the one it has.
    pub const REQUEST: Self = Self(3);
    /// A client found its address in use by somebody else.
    pub const DECLINE: Self = Self(4);
    /// A server grants.
    pub const ACK: Self = Self(5);
    /// A server refuses.
    pub const NAK: Self = Self(6);
    /// A client gives its address back.
    pub const RELEASE: Self = Self(7);
    /// A client with an address of its own asks for parameters.
    pub const INFORM: Self = Self(8);
    /// A server asks its client to renew (RFC 3203).
    pub const FORCERENEW: Self = Self(9);
    /// A relay agent asks who has what (RFC 4388).
    pub const LEASEQUERY: Self = Self(10);
    /// Nobody has it, though it is ours to give (RFC 4388).
    pub const LEASEUNASSIGNED: Self = Self(11);
    /// We know nothing of it (RFC 4388).
    pub const LEASEUNKNOWN: Self = Self(12);
    /// Who has it (RFC 4388).
    pub const LEASEACTIVE: Self = Self(13);
    /// Asks for many leases at once, by TCP (RFC 6926).
    pub const BULKLEASEQUERY: Self = Self(14);
    /// That was all (RFC 6926).
    pub const LEASEQUERYDONE: Self = Self(15);
    /// Asks to be told of every change, by TCP (RFC 7724).
    pub const ACTIVELEASEQUERY: Self = Self(16);
    /// How the connection is (RFC 7724).
    pub const LEASEQUERYSTATUS: Self = Self(17);
    /// Begins TLS (RFC 7724).
    pub const TLS: Self = Self(18);
}

/// Where options may stand. The order is the one in which they are read and put together
/// (RFC 2131 section 4.1, RFC 3396 section 5), not the one in which they lie in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Region {
    /// The options field.
    Options,
    /// The `file` field.
    File,
    /// The `sname` field.
    Sname,
}

/// One occurrence of an option. An option that was split comes as several pieces with the same code;
/// the reader appends their data in the order in which they come (RFC 3396 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Where it stood.
    pub region: Region,
    /// Option code, neither [`code::PAD`] nor [`code::END`].
    pub code: u8,
    /// Its data, 255 octets at most.
    pub data: &'a [u8],
}

/// A checked header and options that are checked as they are walked.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The fixed part.
    pub header: &'a Header,
    options: &'a [u8],
}

impl<'a> Message<'a> {
    /// Checks the fixed part.
    ///
    /// # Errors
    /// [`Malformed::TooShort`], [`Malformed::BadCookie`].
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        let need = size_of::<Header>();
        let (header, options) =
            Header::ref_from_prefix(octets).map_err(|_| Malformed::TooShort {
                got: octets.len(),
                need,
            })?;
        // RFC 2131 section 3 [cookie].
        if header.cookie.get() != COOKIE {
            return Err(Malformed::BadCookie {
                got: header.cookie.get(),
            });
        }
        Ok(Self { header, options })
    }

    /// Walks all options, whatever field they stand in. Linear in the size of the message.
    pub fn options(&self) -> Options<'a> {
        Options {
            header: self.header,
            region: Region::Options,
            rest: self.options,
            overload: 0,
            ended: false,
        }
    }

    /// The message type; `None` for plain BOOTP.
    ///
    /// # Errors
    /// [`Malformed`] when the options are, or when the option is not one octet long.
    pub fn message_type(&self) -> Result<Option<MessageType>, Malformed> {
        let mut found = None;
        for piece in self.options() {
            let piece = piece?;
            if piece.code == code::MESSAGE_TYPE {
                let &[number] = piece.data else {
                    return Err(Malformed::BadLength {
                        code: piece.code,
                        got: piece.data.len(),
                    });
                };
                found = Some(MessageType(number));
            }
        }
        Ok(found)
    }
}

/// The walk over the options of a message; see [`Message::options`].
///
/// A region ends at its END option or where it has no octets left: clients that forget END are
/// understood. After an error the walk is over.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    header: &'a Header,
    region: Region,
    rest: &'a [u8],
    /// Bits of option 52: 1 for `file`, 2 for `sname`.
    overload: u8,
    ended: bool,
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<Piece<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.ended {
                return None;
            }
            let Some((&code, after)) = self.rest.split_first() else {
                self.next_region();
                continue;
            };
            self.rest = after;
            match code {
                code::PAD => {}
                code::END => self.next_region(),
                _ => return Some(self.piece(code, after)),
            }
        }
    }
}

impl<'a> Options<'a> {
    /// The option whose code has been read.
    fn piece(&mut self, code: u8, after: &'a [u8]) -> Result<Piece<'a>, Malformed> {
        // RFC 2132 section 2 [length-octet]: whatever the code.
        let split = match after.split_first() {
            Some((&len, octets)) => octets.split_at_checked(usize::from(len)),
            None => None,
        };
        let Some((data, rest)) = split else {
            self.ended = true;
            let need = after.first().map_or(1, |&len| usize::from(len) + 1);
            return Err(Malformed::Truncated {
                code,
                got: after.len(),
                need,
            });
        };
        self.rest = rest;
        self.note_overload(code, data);
        Ok(Piece {
            region: self.region,
            code,
            data,
        })
    }

    // RFC 2132 section 9.3 [overload]: values 1, 2 and 3 say that `file`, `sname` or both hold options.
    // Any other value or length says nothing. Inside `file` and `sname` the option counts as little: it
    // could only name a field that is being read already (dhcpcd looped on that, CVE-2014-6060).
    fn note_overload(&mut self, code: u8, data: &[u8]) {
        if code != code::OVERLOAD || self.region != Region::Options || self.overload != 0 {
            return;
        }
        if let &[value @ 1..=3] = data {
            self.overload = value;
        }
    }

    // RFC 2131 section 4.1 [fields-in-order], RFC 3396 section 5 [region-order]: options, then `file`, then `sname`; each once at most.
    fn next_region(&mut self) {
        let next = match self.region {
            Region::Options if self.overload & 1 != 0 => {
                Some((Region::File, &self.header.file[..]))
            }
            Region::Options | Region::File if self.overload & 2 != 0 => {
                Some((Region::Sname, &self.header.sname[..]))
            }
            Region::Options | Region::File | Region::Sname => None,
        };
        match next {
            Some((region, rest)) => (self.region, self.rest) = (region, rest),
            None => self.ended = true,
        }
    }
}
