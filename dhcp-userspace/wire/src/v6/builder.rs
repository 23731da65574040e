//! Writing messages in place: options inside options, their lengths filled in when they end.

use super::header::{Header, IaAddressHeader, IaHeader, IaPrefixHeader, OptionHeader, RelayHeader};
use super::message::MessageType;
use super::option::OptionCode;
use crate::id::Iaid;
use core::net::Ipv6Addr;
use zerocopy::{Immutable, IntoBytes};

/// The message does not fit into the octets that were given for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message does not fit")]
pub struct NoRoom;

/// Where an option began that has not ended yet.
#[derive(Debug)]
#[must_use = "an option that is begun must be ended"]
pub struct Mark {
    data_at: usize,
}

/// A message being written from the front of a buffer.
///
/// Every octet below [`Builder::len`] was written by this builder; what the buffer held before never
/// shows. After an error the message is incomplete and must not be sent.
#[derive(Debug)]
pub struct Builder<'a> {
    octets: &'a mut [u8],
    len: usize,
}

impl<'a> Builder<'a> {
    /// Begins at the front of `octets`.
    pub fn new(octets: &'a mut [u8]) -> Self {
        Self { octets, len: 0 }
    }

    /// How many octets were written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was written.
    pub fn written(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }

    /// The fixed part of a message between client and server.
    ///
    /// # Errors
    /// [`NoRoom`], like all that follow.
    pub fn message(&mut self, kind: MessageType, transaction_id: [u8; 3]) -> Result<(), NoRoom> {
        self.put(&Header {
            msg_type: kind as u8,
            transaction_id,
        })
    }

    /// The fixed part of a relay message; its options and a Relay Message option follow.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn relay(&mut self, header: &RelayHeader) -> Result<(), NoRoom> {
        self.put(header)
    }

    /// An option with its data.
    ///
    /// # Errors
    /// [`NoRoom`]; then nothing of it was written.
    pub fn option(&mut self, code: u16, data: &[u8]) -> Result<(), NoRoom> {
        self.nested(code, |inside| inside.octets(data))
    }

    /// An option whose data `contents` writes.
    ///
    /// # Errors
    /// [`NoRoom`]; then nothing of it was written.
    pub fn nested(
        &mut self,
        code: u16,
        contents: impl FnOnce(&mut Self) -> Result<(), NoRoom>,
    ) -> Result<(), NoRoom> {
        let before = self.len;
        let written = self.begin(code).and_then(|mark| {
            contents(self)?;
            self.end(mark)
        });
        if written.is_err() {
            self.len = before;
        }
        written
    }

    /// Begins an option; what is written until [`Builder::end`] is its data.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn begin(&mut self, code: u16) -> Result<Mark, NoRoom> {
        self.put(&OptionHeader {
            code: code.into(),
            len: 0.into(),
        })?;
        Ok(Mark { data_at: self.len })
    }

    /// Ends an option: fills in its length. Options end in the reverse order of their beginning.
    ///
    /// # Errors
    /// [`NoRoom`], also when it has more than 65,535 octets.
    pub fn end(&mut self, mark: Mark) -> Result<(), NoRoom> {
        let len = self.len.checked_sub(mark.data_at).ok_or(NoRoom)?;
        let len = u16::try_from(len).map_err(|_| NoRoom)?;
        let len_at = mark.data_at.checked_sub(size_of::<u16>()).ok_or(NoRoom)?;
        let field = self.octets.get_mut(len_at..mark.data_at).ok_or(NoRoom)?;
        field.copy_from_slice(&len.to_be_bytes());
        Ok(())
    }

    /// An IA_NA or IA_PD option whose leases and status `contents` writes.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn ia(
        &mut self,
        code: u16,
        iaid: Iaid,
        t1: u32,
        t2: u32,
        contents: impl FnOnce(&mut Self) -> Result<(), NoRoom>,
    ) -> Result<(), NoRoom> {
        self.nested(code, |inside| {
            inside.put(&IaHeader {
                iaid: iaid.0.into(),
                t1: t1.into(),
                t2: t2.into(),
            })?;
            contents(inside)
        })
    }

    /// An IA_TA option that holds a status only.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn ia_ta(&mut self, iaid: Iaid, code: u16, text: &str) -> Result<(), NoRoom> {
        self.nested(OptionCode::IA_TA, |inside| {
            inside.octets(&iaid.0.to_be_bytes())?;
            inside.status(code, text)
        })
    }

    /// An IA Address option without options inside.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn ia_address(
        &mut self,
        address: Ipv6Addr,
        preferred: u32,
        valid: u32,
    ) -> Result<(), NoRoom> {
        let data = IaAddressHeader {
            address: address.octets(),
            preferred_lifetime: preferred.into(),
            valid_lifetime: valid.into(),
        };
        self.option(OptionCode::IA_ADDRESS, data.as_bytes())
    }

    /// An IA Prefix option without options inside.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn ia_prefix(
        &mut self,
        prefix: Ipv6Addr,
        prefix_len: u8,
        preferred: u32,
        valid: u32,
    ) -> Result<(), NoRoom> {
        let data = IaPrefixHeader {
            preferred_lifetime: preferred.into(),
            valid_lifetime: valid.into(),
            prefix_len,
            prefix: prefix.octets(),
        };
        self.option(OptionCode::IA_PREFIX, data.as_bytes())
    }

    /// A Status Code option with a text for people.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn status(&mut self, code: u16, text: &str) -> Result<(), NoRoom> {
        self.nested(OptionCode::STATUS_CODE, |inside| {
            inside.octets(&code.to_be_bytes())?;
            inside.octets(text.as_bytes())
        })
    }

    /// An Option Request option.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn option_request(&mut self, codes: &[u16]) -> Result<(), NoRoom> {
        self.nested(OptionCode::OPTION_REQUEST, |inside| {
            codes
                .iter()
                .try_for_each(|code| inside.octets(&code.to_be_bytes()))
        })
    }

    /// Octets as they are: data of an option that was begun, or options copied from elsewhere.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing was written then.
    pub fn octets(&mut self, octets: &[u8]) -> Result<(), NoRoom> {
        let end = self.len.checked_add(octets.len()).ok_or(NoRoom)?;
        self.octets
            .get_mut(self.len..end)
            .ok_or(NoRoom)?
            .copy_from_slice(octets);
        self.len = end;
        Ok(())
    }

    fn put<T: IntoBytes + Immutable>(&mut self, fixed_part: &T) -> Result<(), NoRoom> {
        self.octets(fixed_part.as_bytes())
    }
}
