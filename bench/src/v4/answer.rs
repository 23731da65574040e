//! The parts of a BOOTREPLY that the blaster looks at.

use super::{COOKIE, FIXED, XID_PREFIX};
use dhcp_wire::id::Duid;
use std::net::Ipv4Addr;

const PAD: u8 = 0;
const END: u8 = 255;
const OVERLOAD: u8 = 52;

/// An answer, read.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Transaction number: the lower 24 bits of `xid`, if the rest is ours.
    pub transaction: Option<u32>,
    pub(super) op: u8,
    pub(super) htype: u8,
    pub(super) hlen: u8,
    pub(super) flags: u16,
    pub(super) ciaddr: Ipv4Addr,
    pub(super) yiaddr: Ipv4Addr,
    pub(super) siaddr: Ipv4Addr,
    pub(super) giaddr: Ipv4Addr,
    pub(super) chaddr: [u8; 16],
    pub(super) message_type: u8,
    pub(super) server_id: Option<&'a [u8]>,
    pub(super) client_id: Option<&'a [u8]>,
    pub(super) relay_information: Option<&'a [u8]>,
    pub(super) rapid_commit: bool,
    pub(super) lease_seconds: Option<u32>,
    pub(super) t1_seconds: Option<u32>,
    pub(super) t2_seconds: Option<u32>,
    /// The last option before the end.
    pub(super) last: u8,
    /// An option that comes twice though once would do.
    pub(super) doubled: Option<u8>,
    /// What is wrong with the end of a field of options.
    pub(super) bad_end: Option<&'static str>,
}

impl<'a> Answer<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(payload: &'a [u8]) -> Result<Self, &'static str> {
        let (fixed, rest) = payload
            .split_first_chunk::<FIXED>()
            .ok_or("shorter than BOOTP")?;
        let options = rest.strip_prefix(&COOKIE).ok_or("no magic cookie")?;
        let mut answer = Self {
            transaction: transaction(array(fixed, 4)),
            op: fixed[0],
            htype: fixed[1],
            hlen: fixed[2],
            flags: u16::from_be_bytes(array(fixed, 10)),
            ciaddr: array(fixed, 12).into(),
            yiaddr: array(fixed, 16).into(),
            siaddr: array(fixed, 20).into(),
            giaddr: array(fixed, 24).into(),
            chaddr: array(fixed, 28),
            message_type: 0,
            server_id: None,
            client_id: None,
            relay_information: None,
            rapid_commit: false,
            lease_seconds: None,
            t1_seconds: None,
            t2_seconds: None,
            last: PAD,
            doubled: None,
            bad_end: None,
        };
        let overload = overload(options);
        let file = fixed.get(108..236).unwrap_or_default();
        let sname = fixed.get(44..108).unwrap_or_default();
        // RFC 2131 section 4.1: what is in `file` comes before what is in `sname`.
        let fields = [
            (true, options),
            (overload & 1 != 0, file),
            (overload & 2 != 0, sname),
        ];
        let fields = fields.map(|(is_used, field)| if is_used { field } else { &[][..] });
        let mut seen = [0_u64; 4];
        for field in fields.iter().filter(|field| !field.is_empty()) {
            let mut walk = Walk::new(field);
            while let Some((code, value)) = walk.next()? {
                answer.note(code, &fields, &mut seen);
                answer.take_option(code, value)?;
            }
            answer.bad_end = answer.bad_end.or(walk.bad_end());
        }
        Ok(answer)
    }

    /// RFC 3396 section 5: an option may come in parts if it is too long for one.
    fn note(&mut self, code: u8, fields: &[&[u8]; 3], seen: &mut [u64; 4]) {
        self.last = code;
        let Some(word) = seen.get_mut(usize::from(code >> 6)) else {
            return;
        };
        let bit = 1 << (code & 63);
        if *word & bit != 0 && total(code, fields) <= usize::from(u8::MAX) {
            self.doubled = self.doubled.or(Some(code));
        }
        *word |= bit;
    }

    fn take_option(&mut self, code: u8, value: &'a [u8]) -> Result<(), &'static str> {
        let number = || {
            let octets = value
                .try_into()
                .map_err(|_| "a time of other than four octets")?;
            Ok::<_, &str>(Some(u32::from_be_bytes(octets)))
        };
        match code {
            51 => self.lease_seconds = number()?,
            53 => match value {
                [message_type] => self.message_type = *message_type,
                _ => return Err("message type of other than one octet"),
            },
            54 if value.len() != 4 => return Err("server identifier of other than four octets"),
            54 => self.server_id = Some(value),
            58 => self.t1_seconds = number()?,
            59 => self.t2_seconds = number()?,
            61 => self.client_id = Some(value),
            80 if !value.is_empty() => return Err("rapid commit with octets"),
            80 => self.rapid_commit = true,
            82 => self.relay_information = Some(value),
            _ => {}
        }
        Ok(())
    }

    /// The address that the answer is about.
    pub fn yiaddr(&self) -> Ipv4Addr {
        self.yiaddr
    }

    /// Whether it is an OFFER.
    pub fn is_offer(&self) -> bool {
        self.message_type == 2
    }

    /// Whether it comes from this server, by its identifier.
    pub fn is_from(&self, server_id: &Duid) -> bool {
        self.server_id == Some(server_id.as_slice())
    }

    /// Whether it is a NAK.
    pub fn is_nak(&self) -> bool {
        self.message_type == 6
    }
}

/// Options of a field, one after the other.
struct Walk<'a> {
    rest: &'a [u8],
    has_ended: bool,
}

impl<'a> Walk<'a> {
    fn new(field: &'a [u8]) -> Self {
        Self {
            rest: field,
            has_ended: false,
        }
    }

    /// The next option. Every turn takes at least one octet.
    fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, &'static str> {
        while let Some((&code, after)) = self.rest.split_first() {
            self.rest = after;
            match code {
                PAD => continue,
                END => {
                    self.has_ended = true;
                    return Ok(None);
                }
                _ => {}
            }
            let (&len, after) = after.split_first().ok_or("option without a length")?;
            let value = after
                .get(..usize::from(len))
                .ok_or("option beyond the end")?;
            self.rest = after.get(usize::from(len)..).unwrap_or_default();
            return Ok(Some((code, value)));
        }
        Ok(None)
    }

    fn bad_end(&self) -> Option<&'static str> {
        match self.has_ended {
            false => Some("no end option"),
            true if self.rest.iter().any(|octet| *octet != PAD) => {
                Some("octets other than zero after the end option")
            }
            true => None,
        }
    }
}

/// Octets that all parts of an option have together.
fn total(code: u8, fields: &[&[u8]; 3]) -> usize {
    let mut sum = 0;
    for field in fields {
        let mut walk = Walk::new(field);
        while let Ok(Some((found, value))) = walk.next() {
            if found == code {
                sum += value.len();
            }
        }
    }
    sum
}

/// Which other fields have options, too (RFC 2132 section 9.3).
fn overload(options: &[u8]) -> u8 {
    let mut walk = Walk::new(options);
    while let Ok(Some((code, value))) = walk.next() {
        if let (OVERLOAD, [fields @ 1..=3]) = (code, value) {
            return *fields;
        }
    }
    0
}

/// Transaction number of a message that a reflector sent back unchanged, or of any other.
pub fn transaction_of(payload: &[u8]) -> Option<u32> {
    transaction(*payload.get(4..)?.first_chunk()?)
}

fn transaction(xid: [u8; 4]) -> Option<u32> {
    let xid = u32::from_be_bytes(xid);
    (xid >> 24 == XID_PREFIX >> 24).then_some(xid & 0x00ff_ffff)
}

/// `N` octets at a place that lies inside the fixed part.
fn array<const N: usize>(fixed: &[u8; FIXED], at: usize) -> [u8; N] {
    fixed
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .unwrap_or([0; N])
}
