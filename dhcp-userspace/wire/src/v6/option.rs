//! Options: the list, and the ones whose contents the server understands.

use super::header::{IaAddressHeader, IaHeader, IaPrefixHeader, OptionHeader};
use super::{DUID_LEN_MAX, DUID_LEN_MIN, Malformed};
use crate::id::{HardwareAddress, Iaid};
use core::net::Ipv6Addr;
use zerocopy::FromBytes;

/// Option codes (RFC 9915 section 21 unless another is named).
pub struct OptionCode;

#[expect(missing_docs, reason = "the names are those of the registry")]
impl OptionCode {
    pub const CLIENT_ID: u16 = 1;
    pub const SERVER_ID: u16 = 2;
    pub const IA_NA: u16 = 3;
    pub const IA_TA: u16 = 4;
    pub const IA_ADDRESS: u16 = 5;
    pub const OPTION_REQUEST: u16 = 6;
    pub const PREFERENCE: u16 = 7;
    pub const ELAPSED_TIME: u16 = 8;
    pub const RELAY_MESSAGE: u16 = 9;
    pub const AUTHENTICATION: u16 = 11;
    pub const SERVER_UNICAST: u16 = 12;
    pub const STATUS_CODE: u16 = 13;
    pub const RAPID_COMMIT: u16 = 14;
    pub const VENDOR_CLASS: u16 = 16;
    pub const VENDOR_OPTIONS: u16 = 17;
    pub const INTERFACE_ID: u16 = 18;
    pub const RECONFIGURE_MESSAGE: u16 = 19;
    pub const RECONFIGURE_ACCEPT: u16 = 20;
    pub const DNS_SERVERS: u16 = 23;
    pub const DOMAIN_LIST: u16 = 24;
    pub const IA_PD: u16 = 25;
    pub const IA_PREFIX: u16 = 26;
    pub const INFORMATION_REFRESH_TIME: u16 = 32;
    /// RFC 4649.
    pub const REMOTE_ID: u16 = 37;
    /// RFC 4580.
    pub const SUBSCRIBER_ID: u16 = 38;
    /// RFC 4704.
    pub const CLIENT_FQDN: u16 = 39;
    /// RFC 6939.
    pub const CLIENT_LINK_LAYER_ADDRESS: u16 = 79;
    pub const SOL_MAX_RT: u16 = 82;
    pub const INF_MAX_RT: u16 = 83;
}

/// Status codes (RFC 9915 section 21.13).
pub struct StatusCode;

#[expect(missing_docs, reason = "the names are those of the registry")]
impl StatusCode {
    pub const SUCCESS: u16 = 0;
    pub const UNSPEC_FAIL: u16 = 1;
    pub const NO_ADDRS_AVAIL: u16 = 2;
    pub const NO_BINDING: u16 = 3;
    pub const NOT_ON_LINK: u16 = 4;
    pub const USE_MULTICAST: u16 = 5;
    pub const NO_PREFIX_AVAIL: u16 = 6;
}

/// One option of a list, its data not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawOption<'a> {
    /// Option code.
    pub code: u16,
    /// Its data.
    pub data: &'a [u8],
}

/// A list of options in which every one ends where the next begins and the last where the list does.
///
/// Every step over it takes four octets at least, so a walk is bounded by the size of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Options<'a> {
    octets: &'a [u8],
}

impl<'a> Options<'a> {
    /// Checks that the list holds whole options only. What lies inside them is not looked at.
    ///
    /// # Errors
    /// [`Malformed::OptionHeader`], [`Malformed::OptionTruncated`].
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = octets;
        while !rest.is_empty() {
            let (header, data) = OptionHeader::ref_from_prefix(rest)
                .map_err(|_| Malformed::OptionHeader { left: rest.len() })?;
            let len = usize::from(header.len.get());
            rest = data.get(len..).ok_or(Malformed::OptionTruncated {
                code: header.code.get(),
                len,
                left: data.len(),
            })?;
        }
        Ok(Self { octets })
    }

    /// All options in their order.
    pub fn iter(&self) -> impl Iterator<Item = RawOption<'a>> + use<'a> {
        let mut rest = self.octets;
        core::iter::from_fn(move || {
            let (header, data) = OptionHeader::ref_from_prefix(rest).ok()?;
            let (data, next) = data.split_at_checked(usize::from(header.len.get()))?;
            rest = next;
            Some(RawOption {
                code: header.code.get(),
                data,
            })
        })
    }

    /// The data of the first option with this code.
    pub fn find(&self, code: u16) -> Option<&'a [u8]> {
        self.iter()
            .find(|option| option.code == code)
            .map(|option| option.data)
    }

    /// The data of the only option with this code.
    ///
    /// # Errors
    /// [`Malformed::Repeated`] when there are several.
    pub fn find_only(&self, code: u16) -> Result<Option<&'a [u8]>, Malformed> {
        let mut all = self.iter().filter(|option| option.code == code);
        let first = all.next();
        match all.next() {
            None => Ok(first.map(|option| option.data)),
            Some(_) => Err(Malformed::Repeated { code }),
        }
    }

    /// The list as it lies on the wire.
    pub fn as_octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The status in this list, if it says one.
    pub fn status(&self) -> Option<Status<'a>> {
        let data = self.find(OptionCode::STATUS_CODE)?;
        let (code, message) = data.split_first_chunk::<2>()?;
        Some(Status {
            code: u16::from_be_bytes(*code),
            message,
        })
    }
}

/// What became of a message or an IA (RFC 9915 section 21.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    /// The code, see [`StatusCode`].
    pub code: u16,
    /// Text for a person; supposed to be UTF-8, chosen by a stranger.
    pub message: &'a [u8],
}

/// An IA_NA or IA_PD option: both are laid out alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ia<'a> {
    /// Which IA of the client.
    pub iaid: Iaid,
    /// T1 in seconds. A server ignores what a client writes here.
    pub t1: u32,
    /// T2 in seconds. A server ignores what a client writes here.
    pub t2: u32,
    /// Addresses or prefixes, status.
    pub options: Options<'a>,
}

impl<'a> Ia<'a> {
    /// Views the data of an IA_NA or IA_PD option.
    ///
    /// # Errors
    /// [`Malformed::OptionLength`] and those of [`Options::parse`].
    pub fn parse(code: u16, data: &'a [u8]) -> Result<Self, Malformed> {
        let (header, options) =
            IaHeader::ref_from_prefix(data).map_err(|_| Malformed::OptionLength {
                code,
                len: data.len(),
            })?;
        Ok(Self {
            iaid: Iaid(header.iaid.get()),
            t1: header.t1.get(),
            t2: header.t2.get(),
            options: Options::parse(options)?,
        })
    }
}

/// The IAID of an IA_TA option, which RFC 9915 no longer has and old clients may send.
///
/// # Errors
/// [`Malformed::OptionLength`] and those of [`Options::parse`].
pub fn ia_ta(data: &[u8]) -> Result<Iaid, Malformed> {
    let too_short = Malformed::OptionLength {
        code: OptionCode::IA_TA,
        len: data.len(),
    };
    let (iaid, options) = data.split_first_chunk::<4>().ok_or(too_short)?;
    Options::parse(options)?;
    Ok(Iaid(u32::from_be_bytes(*iaid)))
}

/// An IA Address option: an address with its lifetimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IaAddress<'a> {
    /// The address.
    pub address: Ipv6Addr,
    /// Preferred lifetime in seconds. A server ignores what a client writes here.
    pub preferred: u32,
    /// Valid lifetime in seconds. A server ignores what a client writes here.
    pub valid: u32,
    /// Options inside: a status at most.
    pub options: Options<'a>,
}

impl<'a> IaAddress<'a> {
    /// Views the data of an IA Address option.
    ///
    /// # Errors
    /// [`Malformed::OptionLength`] and those of [`Options::parse`].
    pub fn parse(data: &'a [u8]) -> Result<Self, Malformed> {
        let (header, options) =
            IaAddressHeader::ref_from_prefix(data).map_err(|_| Malformed::OptionLength {
                code: OptionCode::IA_ADDRESS,
                len: data.len(),
            })?;
        Ok(Self {
            address: header.address.into(),
            preferred: header.preferred_lifetime.get(),
            valid: header.valid_lifetime.get(),
            options: Options::parse(options)?,
        })
    }
}

/// An IA Prefix option: a delegated prefix with its lifetimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IaPrefix<'a> {
    /// The prefix. Bits after its length are zero here, whatever was received (RFC 9915 section 21.22).
    pub prefix: Ipv6Addr,
    /// Its length in bits, 0 to 128. In a request with a zero prefix it is a wish (RFC 8168).
    pub prefix_len: u8,
    /// Preferred lifetime in seconds. A server ignores what a client writes here.
    pub preferred: u32,
    /// Valid lifetime in seconds. A server ignores what a client writes here.
    pub valid: u32,
    /// Options inside: a status, an excluded prefix.
    pub options: Options<'a>,
}

impl<'a> IaPrefix<'a> {
    /// Views the data of an IA Prefix option.
    ///
    /// # Errors
    /// [`Malformed::OptionLength`], [`Malformed::PrefixLength`] and those of [`Options::parse`].
    pub fn parse(data: &'a [u8]) -> Result<Self, Malformed> {
        let (header, options) =
            IaPrefixHeader::ref_from_prefix(data).map_err(|_| Malformed::OptionLength {
                code: OptionCode::IA_PREFIX,
                len: data.len(),
            })?;
        if header.prefix_len > 128 {
            return Err(Malformed::PrefixLength {
                got: header.prefix_len,
            });
        }
        // RFC 8415 section 21.22 [prefix-bits-after-length-ignored]: the bits after the length are
        // reserved, to be ignored by the receiver.
        let host_bits = 128 - u32::from(header.prefix_len);
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        Ok(Self {
            prefix: Ipv6Addr::from_bits(u128::from_be_bytes(header.prefix) & mask),
            prefix_len: header.prefix_len,
            preferred: header.preferred_lifetime.get(),
            valid: header.valid_lifetime.get(),
            options: Options::parse(options)?,
        })
    }
}

/// Checks the length of a DUID.
///
/// # Errors
/// [`Malformed::DuidLength`].
pub fn duid(data: &[u8]) -> Result<&[u8], Malformed> {
    // RFC 8415 section 11.1 [duid-length]: a DUID is a 2-octet type and 1 to 128 octets.
    if (DUID_LEN_MIN..=DUID_LEN_MAX).contains(&data.len()) {
        Ok(data)
    } else {
        Err(Malformed::DuidLength { got: data.len() })
    }
}

/// The link-layer address in a DUID-LLT or DUID-LL (RFC 9915 sections 11.2 and 11.4).
///
/// `None` for other types and for addresses longer than DHCPv4 could carry. It is the address of one of
/// the client's interfaces, not necessarily the one it asks through.
pub fn duid_link_layer(duid: &[u8]) -> Option<HardwareAddress> {
    let (kind, rest) = duid.split_first_chunk::<2>()?;
    let (hardware_type, rest) = rest.split_first_chunk::<2>()?;
    let address = match u16::from_be_bytes(*kind) {
        1 => rest.get(4..)?, // after the time
        3 => rest,
        _ => return None,
    };
    hardware_address(u16::from_be_bytes(*hardware_type), address)
}

/// The address in a Client Link-Layer Address option, which the first relay agent adds (RFC 6939).
pub fn link_layer_address(data: &[u8]) -> Option<HardwareAddress> {
    let (hardware_type, address) = data.split_first_chunk::<2>()?;
    hardware_address(u16::from_be_bytes(*hardware_type), address)
}

fn hardware_address(hardware_type: u16, address: &[u8]) -> Option<HardwareAddress> {
    let hardware_type = u8::try_from(hardware_type).ok()?;
    HardwareAddress::new(hardware_type, address)
        .ok()
        .filter(|known| !known.as_slice().is_empty())
}

/// The codes in an Option Request option (RFC 9915 section 21.7). Of odd length: none.
pub fn option_request(data: &[u8]) -> impl Iterator<Item = u16> + '_ {
    let (codes, rest) = data.as_chunks::<2>();
    let codes = if rest.is_empty() { codes } else { &[] };
    codes.iter().map(|code| u16::from_be_bytes(*code))
}

/// Whether the data of a Rapid Commit option is as it must be: empty (RFC 9915 section 21.14).
pub fn rapid_commit(data: &[u8]) -> bool {
    data.is_empty()
}
