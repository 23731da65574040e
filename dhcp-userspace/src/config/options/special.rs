//! Options whose data has a form of its own.

use super::field::{address_octets, tuple_octets, unsigned};
use crate::config::notation::{self, Family};
use std::net::{Ipv4Addr, Ipv6Addr};

const LABEL_OCTETS_MAX: usize = 63;
const NAME_OCTETS_MAX: usize = 255;

// RFC 2132 section 2 [no-trailing-zero]: a text is as long as it is.
pub(super) fn text_octets(text: &str) -> Result<Vec<u8>, String> {
    match text {
        "" => Err("is empty; leave the option out instead".to_owned()),
        text if text.contains('\0') => Err("contains a NUL character".to_owned()),
        text => Ok(text.as_bytes().to_vec()),
    }
}

/// The labels of a domain name, each checked.
fn labels(name: &str) -> Result<Vec<&str>, String> {
    let labels: Vec<_> = name.strip_suffix('.').unwrap_or(name).split('.').collect();
    for label in &labels {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if label.is_empty() || label.len() > LABEL_OCTETS_MAX || !label.chars().all(legal) {
            return Err(format!(
                "\"{name}\" is not a domain name: its label \"{label}\" must be 1 to 63 letters, \
                 digits, hyphens or underscores"
            ));
        }
    }
    let len = labels.iter().map(|label| label.len() + 1).sum::<usize>() + 1;
    match len {
        0..=NAME_OCTETS_MAX => Ok(labels),
        len => Err(format!(
            "\"{name}\" has {len} octets in the DNS; at most 255 are allowed"
        )),
    }
}

fn push_label(octets: &mut Vec<u8>, label: &str) {
    octets.push(label.len() as u8); // 63 at most
    octets.extend_from_slice(label.as_bytes());
}

/// A name as the DNS writes it: labels with their lengths, a zero at the end.
pub(super) fn domain_octets(name: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::with_capacity(name.len() + 2);
    for label in labels(name)? {
        push_label(&mut octets, label);
    }
    octets.push(0);
    Ok(octets)
}

/// Names one after the other; the end of one that stood before is a pointer to it.
// RFC 3397 section 2 [search-list-compressed]
pub(super) fn search_list(names: &[String]) -> Result<Vec<u8>, String> {
    /// A pointer has 14 bits.
    const POINTER_MAX: usize = 0x3fff;
    let mut octets = Vec::new();
    let mut known: Vec<(String, usize)> = Vec::new();
    for name in names {
        let labels = labels(name)?;
        let mut is_ended = false;
        for (at, label) in labels.iter().enumerate() {
            // The DNS knows no case.
            let rest = labels
                .get(at..)
                .unwrap_or_default()
                .join(".")
                .to_ascii_lowercase();
            if let Some((_, place)) = known.iter().find(|(known, _)| *known == rest) {
                let pointer = 0xc000 | *place as u16; // 14 bits, as kept
                octets.extend(pointer.to_be_bytes());
                is_ended = true;
                break;
            }
            if octets.len() <= POINTER_MAX {
                known.push((rest, octets.len()));
            }
            push_label(&mut octets, label);
        }
        if !is_ended {
            octets.push(0);
        }
    }
    Ok(octets)
}

/// `10.0.0.0/8 - 192.0.2.1`: the length, as many octets of the destination as matter, the router.
pub(super) fn route_octets(text: &str) -> Result<Vec<u8>, String> {
    let Some((destination, router)) = text.split_once(" - ") else {
        return Err(format!(
            "\"{text}\" is not a route; write it like \"10.0.0.0/8 - 192.0.2.1\""
        ));
    };
    let destination = notation::prefix(Family::V4, destination.trim())?;
    let router = address_octets(Family::V4, router.trim())?;
    // RFC 3442 section 3 [classless-significant-octets]: only the significant octets of the destination.
    let significant = usize::from(destination.len.div_ceil(8));
    let address = address_octets(Family::V4, &destination.address.to_string())?;
    let mut octets = vec![destination.len];
    octets.extend(address.into_iter().take(significant));
    octets.extend(router);
    Ok(octets)
}

/// A sub-option of RFC 5908: 1 is a unicast address, 2 a multicast address, 3 a name.
pub(super) fn ntp_server_octets(text: &str) -> Result<Vec<u8>, String> {
    let (code, data): (u16, _) = match text.parse::<Ipv6Addr>() {
        Ok(address) if address.is_multicast() => (2, address.octets().to_vec()),
        Ok(address) => (1, address.octets().to_vec()),
        Err(_) if text.contains(':') => return Err(format!("\"{text}\" is not an IPv6 address")),
        Err(_) => (3, domain_octets(text)?),
    };
    let len = data.len() as u16; // an address or a name, 255 octets at most
    Ok([code.to_be_bytes().as_slice(), &len.to_be_bytes(), &data].concat())
}

/// RFC 3361 section 3: 0 and names, or 1 and addresses.
pub(super) fn sip_servers(values: &[String]) -> Result<Vec<u8>, String> {
    let is_address = |value: &String| value.parse::<Ipv4Addr>().is_ok();
    if values.iter().all(is_address) {
        let mut octets = vec![1];
        for value in values {
            octets.extend(address_octets(Family::V4, value)?);
        }
        return Ok(octets);
    }
    if let Some(address) = values.iter().find(|value| is_address(value)) {
        return Err(format!(
            "mixes addresses (\"{address}\") and domain names; the option takes either"
        ));
    }
    let mut octets = vec![0];
    octets.extend(search_list(values)?);
    Ok(octets)
}

/// RFC 4776 section 3.1: what, country, then elements, each a number and a text.
pub(super) fn civic_address(values: &[String]) -> Result<Vec<u8>, String> {
    let [what, country, elements @ ..] = values else {
        return Err(
            "has no country; write WHAT, COUNTRY, elements, as \"1, DE, 1 Bayern, 3 Muenchen\""
                .to_owned(),
        );
    };
    let mut octets = unsigned(what, 0, 2, 1)?;
    if country.len() != 2 || !country.bytes().all(|octet| octet.is_ascii_alphabetic()) {
        return Err(format!(
            "\"{country}\" is not a country; write its two letters"
        ));
    }
    octets.extend(country.to_ascii_uppercase().bytes());
    for element in elements {
        let wrong =
            || format!("\"{element}\" is not an element; write NUMBER TEXT, as \"3 Springfield\"");
        let (number, text) = element.split_once(' ').ok_or_else(wrong)?;
        octets.extend(unsigned(number, 0, 255, 1).map_err(|_| wrong())?);
        octets.extend(tuple_octets(Family::V4, text.trim())?);
    }
    Ok(octets)
}

/// A vendor and its texts: DHCPv4 has them in a block with a length.
pub(super) fn vendor_class(family: Family, values: &[String]) -> Result<Vec<u8>, String> {
    let [enterprise, texts @ ..] = values else {
        return Err("is empty; write ENTERPRISE, TEXT".to_owned());
    };
    let mut octets = unsigned(enterprise, 0, u32::MAX, 4)?;
    let mut data = Vec::new();
    for text in texts {
        data.extend(tuple_octets(family, text)?);
    }
    if family == Family::V4 {
        let too_long = |_| format!("has {} octets of text; at most 255 fit", data.len());
        octets.push(u8::try_from(data.len()).map_err(too_long)?);
    }
    octets.extend(data);
    Ok(octets)
}

/// RFC 3495 section 5.2: 0 and a name, or 1 and an address.
pub(super) fn provisioning_server(text: &str) -> Result<Vec<u8>, String> {
    let (kind, octets) = match text.parse::<Ipv4Addr>() {
        Ok(address) => (1, address.octets().to_vec()),
        Err(_) => (0, domain_octets(text)?),
    };
    Ok([&[kind], &octets[..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads names as RFC 1035 section 4.1.4 has them.
    fn names(octets: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        let mut at = 0;
        while at < octets.len() {
            let (mut place, mut after, mut labels) = (at, None, Vec::new());
            loop {
                match octets[place] {
                    0 => break after = after.or(Some(place + 1)),
                    len if len >= 0xc0 => {
                        let target = usize::from(len & 0x3f) << 8 | usize::from(octets[place + 1]);
                        assert!(target < place, "a pointer points back");
                        after = after.or(Some(place + 2));
                        place = target;
                    }
                    len => {
                        let end = place + 1 + usize::from(len);
                        labels.push(String::from_utf8(octets[place + 1..end].to_vec()).unwrap());
                        place = end;
                    }
                }
            }
            all.push(labels.join("."));
            at = after.unwrap();
        }
        all
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    // RFC 3397 section 2 [search-list-compressed]
    #[test]
    fn what_two_names_share_stands_once() {
        // RFC 3397 section 3's own example.
        let octets = search_list(&list(&["eng.apple.com.", "marketing.apple.com."])).unwrap();
        assert_eq!(octets, b"\x03eng\x05apple\x03com\0\x09marketing\xc0\x04");
        let same = search_list(&list(&["a.b", "B", "a.b"])).unwrap();
        assert_eq!(same, b"\x01a\x01b\0\xc0\x02\xc0\0");
    }

    proptest! {
        #[test]
        fn a_search_list_reads_as_written(
            written in prop::collection::vec("[a-c]{1,3}(\\.[a-c]{1,2}){0,4}", 1..20)
        ) {
            let octets = search_list(&written).unwrap();
            prop_assert_eq!(names(&octets), written);
        }

        // RFC 3442 section 3 [classless-significant-octets]
        #[test]
        fn routes_read_as_written(address in any::<u32>(), len in 0u8..=32, router in any::<u32>()) {
            let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
            let (network, router) = (Ipv4Addr::from_bits(address & mask), Ipv4Addr::from_bits(router));
            let octets = route_octets(&format!("{network}/{len} - {router}")).unwrap();
            let significant = usize::from(len.div_ceil(8));
            prop_assert_eq!(octets[0], len);
            let mut destination = [0; 4];
            destination[..significant].copy_from_slice(&octets[1..=significant]);
            prop_assert_eq!(Ipv4Addr::from(destination), network);
            prop_assert_eq!(&octets[1 + significant..], &router.octets()[..]);
        }
    }
}
