//! Which DUID does this server have? One for ever, in a file of the state directory.

use super::error::{OpenError, file_error};
use crate::disk::Disk;
use dhcp_lease::Timestamp;
use dhcp_wire::frame::MacAddress;
use dhcp_wire::id::Duid;
use std::io;

const NAME: &str = "duid";
/// Seconds from 1970 to 2000, where the time of a DUID-LLT begins (RFC 9915 section 11.2).
const DUID_EPOCH_SECONDS: u64 = 946_684_800;

/// This server's DUID: made once, then kept for ever.
pub(super) fn duid(
    disk: &dyn Disk,
    mac: Option<MacAddress>,
    now: Timestamp,
) -> Result<Duid, OpenError> {
    let path = disk.path(NAME);
    match disk.read_whole(NAME) {
        Ok(text) => {
            let text = str::from_utf8(&text).unwrap_or_default();
            let octets = from_hex(text.trim()).filter(|octets| octets.len() > 2);
            let duid = octets.and_then(|octets| Duid::new(&octets).ok());
            duid.ok_or(OpenError::Duid { path })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let octets =
                new_duid(disk, mac, now).map_err(file_error(&path, "cannot get random octets"))?;
            let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
            disk.write_whole(NAME, format!("{hex}\n").as_bytes())
                .map_err(file_error(&path, "cannot keep the server's DUID"))?;
            Duid::new(&octets).map_err(|_| OpenError::Duid { path })
        }
        Err(error) => Err(file_error(&path, "cannot read the server's DUID")(error)),
    }
}

/// A DUID-LLT of an interface (RFC 9915 section 11.2), or else a DUID-UUID (section 11.5).
fn new_duid(disk: &dyn Disk, mac: Option<MacAddress>, now: Timestamp) -> io::Result<Vec<u8>> {
    let Some(mac) = mac.filter(|mac| *mac != MacAddress::default()) else {
        let mut uuid = [0; 16];
        disk.random(&mut uuid)?;
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut uuid;
        *version = *version & 0x0f | 0x40; // RFC 9562 section 5.4: version 4
        *variant = *variant & 0x3f | 0x80;
        return Ok([&[0, 4], uuid.as_slice()].concat());
    };
    let time = now.0.saturating_sub(DUID_EPOCH_SECONDS) as u32; // modulo 2^32, as the RFC says
    Ok([&[0, 1, 0, 1], time.to_be_bytes().as_slice(), &mac.0].concat())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|digit| *digit != b':').collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let octet = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(octet).collect()
}
