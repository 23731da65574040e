//! A DHCPv4 message as expressions see it.

use crate::expression::{Failure, Field, Packet, Protocol, Scratch, Vendor};
use dhcp_wire::frame::{Addresses, Envelope};
use dhcp_wire::v4::{Message, Region, SubOptions, code};

/// A message with what was around it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The message.
    pub message: &'a Message<'a>,
    /// The headers that it came in.
    pub envelope: &'a Envelope,
    /// The interface's name.
    pub interface: &'a str,
    /// Octets of the UDP payload.
    pub payload_len: usize,
    /// Whether option 82 is a relay agent's; otherwise it is the client's own invention, and nobody sees it.
    pub trusts_agent: bool,
}

impl Packet for Received<'_> {
    fn field<'s>(
        &'s self,
        field: Field,
        scratch: &mut Scratch<'s>,
    ) -> Result<Option<&'s [u8]>, Failure> {
        let header = self.message.header;
        let octets: &[u8] = match field {
            Field::Option(code) => return self.option(code, scratch),
            Field::SubOption(code, inner) => return self.sub_option(code, inner, scratch),
            Field::Relay4(inner) => {
                return self.sub_option(u16::from(code::RELAY_AGENT), u16::from(inner), scratch);
            }
            Field::Interface => self.interface.as_bytes(),
            Field::Source | Field::Destination => {
                return self.address(field, scratch).map(Some);
            }
            Field::Length => number(self.payload_len as u32, scratch)?, // of a frame
            Field::HardwareAddress => header
                .chaddr
                .get(..usize::from(header.hlen))
                .unwrap_or(&header.chaddr),
            Field::HardwareType => number(u32::from(header.htype), scratch)?,
            Field::HardwareLength => number(u32::from(header.hlen), scratch)?,
            Field::Ciaddr => &header.ciaddr,
            Field::Giaddr => &header.giaddr,
            Field::Yiaddr => &header.yiaddr,
            Field::Siaddr => &header.siaddr,
            // A BOOTP message has none, which is 0 to Kea.
            Field::MessageType(Protocol::V4) => {
                let message_type = self.message.message_type().ok().flatten();
                number(u32::from(message_type.map_or(0, |it| it.0)), scratch)?
            }
            Field::TransactionId(Protocol::V4) => number(header.xid.get(), scratch)?,
            Field::Vendor(_)
            | Field::VendorEnterprise
            | Field::VendorOption(..)
            | Field::VendorClass(_)
            | Field::VendorClassEnterprise
            | Field::VendorClassData(..) => return self.vendor(field, scratch),
            // The parser lets nobody ask a DHCPv4 message for these.
            Field::Relay6Option(..)
            | Field::Relay6Peer(_)
            | Field::Relay6Link(_)
            | Field::MessageType(Protocol::V6)
            | Field::TransactionId(Protocol::V6) => return Ok(None),
        };
        Ok(Some(octets))
    }
}

impl Received<'_> {
    /// An option, put together if it was split (RFC 3396 section 7).
    fn option<'s>(
        &'s self,
        code: u16,
        scratch: &mut Scratch<'s>,
    ) -> Result<Option<&'s [u8]>, Failure> {
        let pieces = || {
            let pieces = self.message.options().map_while(Result::ok);
            // RFC 3046 section 2.1 [relay-option-place]: elsewhere it is the client's own invention.
            let is_it = move |region: Region, found: u8| {
                u16::from(found) == code
                    && (found != code::RELAY_AGENT
                        || self.trusts_agent && region == Region::Options)
            };
            pieces
                .filter(move |piece| is_it(piece.region, piece.code))
                .map(|piece| piece.data)
        };
        let mut all = pieces();
        match (all.next(), all.next()) {
            (None, _) => Ok(None),
            (Some(only), None) => Ok(Some(only)),
            (Some(_), Some(_)) => scratch.join(pieces()).map(Some),
        }
    }

    fn sub_option<'s>(
        &'s self,
        code: u16,
        inner: u16,
        scratch: &mut Scratch<'s>,
    ) -> Result<Option<&'s [u8]>, Failure> {
        if code == u16::from(code::VENDOR_OPTIONS) {
            return self.vendor(Field::VendorOption(Vendor(None), inner), scratch);
        }
        let octets = self.option(code, scratch)?.unwrap_or_default();
        Ok(find(octets, inner))
    }

    fn address<'s>(&'s self, field: Field, scratch: &mut Scratch<'s>) -> Result<&'s [u8], Failure> {
        let Addresses::V4 {
            source,
            destination,
        } = self.envelope.addresses
        else {
            return Ok(&[]); // not around a DHCPv4 message
        };
        let address = match field {
            Field::Destination => destination,
            _ => source,
        };
        scratch.collect(address.octets().into_iter())
    }

    // RFC 3925 sections 3 and 4: both options are lists of blocks, each with the number of an enterprise.
    fn vendor<'s>(
        &'s self,
        field: Field,
        scratch: &mut Scratch<'s>,
    ) -> Result<Option<&'s [u8]>, Failure> {
        let is_class = matches!(
            field,
            Field::VendorClass(_) | Field::VendorClassEnterprise | Field::VendorClassData(..)
        );
        let code = match is_class {
            true => code::VENDOR_CLASS,
            false => code::VENDOR_OPTIONS,
        };
        let octets = self.option(u16::from(code), scratch)?.unwrap_or_default();
        let of = |vendor: Vendor| {
            let is_its = move |enterprise: u32| vendor.0.is_none_or(|it| it == enterprise);
            let blocks = blocks(octets).filter(move |(enterprise, _)| is_its(*enterprise));
            blocks.map(|(_, data)| data)
        };
        Ok(match field {
            Field::VendorOption(vendor, inner) => of(vendor).find_map(|data| find(data, inner)),
            Field::VendorClassData(vendor, index) => of(vendor).nth(usize::from(index)),
            Field::Vendor(vendor) | Field::VendorClass(vendor) => of(vendor).next(),
            _ => match blocks(octets).next() {
                Some((enterprise, _)) => Some(number(enterprise, scratch)?),
                None => None,
            },
        })
    }
}

fn find(octets: &[u8], code: u16) -> Option<&[u8]> {
    SubOptions::new(octets)
        .find(|sub_option| u16::from(sub_option.code) == code)
        .map(|sub_option| sub_option.data)
}

/// Enterprise numbers with their data. One that runs out of the octets ends the walk.
fn blocks(octets: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut rest = octets;
    core::iter::from_fn(move || {
        let (&[a, b, c, d, len], after) = rest.split_first_chunk::<5>()?;
        let (data, next) = after.split_at_checked(usize::from(len))?;
        rest = next;
        Some((u32::from_be_bytes([a, b, c, d]), data))
    })
}

fn number<'s>(number: u32, scratch: &mut Scratch<'s>) -> Result<&'s [u8], Failure> {
    scratch.collect(number.to_be_bytes().into_iter())
}

/// What a client says that it is (option 60), as `VENDOR_CLASS_` classes have it: without the zeros behind it.
pub fn vendor_class<'s>(packet: &'s Received<'_>, scratch: &mut Scratch<'s>) -> Option<&'s [u8]> {
    let octets = packet
        .option(u16::from(code::VENDOR_CLASS_IDENTIFIER), scratch)
        .ok()??;
    let end = octets.iter().rposition(|&octet| octet != 0)? + 1;
    octets.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcp_wire::frame::{MacAddress, Tags};
    use dhcp_wire::v4::{BOOTREQUEST, COOKIE};

    fn payload(options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut octets = vec![0; 240];
        octets[..3].copy_from_slice(&[BOOTREQUEST, 1, 6]);
        octets[4..8].copy_from_slice(&[1, 2, 3, 4]); // xid
        octets[12..16].copy_from_slice(&[192, 0, 2, 1]); // ciaddr
        octets[20..24].copy_from_slice(&[192, 0, 2, 4]); // siaddr
        octets[24..28].copy_from_slice(&[192, 0, 2, 2]); // giaddr
        octets[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 9]); // chaddr
        octets[236..].copy_from_slice(&COOKIE.to_be_bytes());
        for (code, data) in options {
            octets.push(*code);
            octets.push(data.len() as u8);
            octets.extend_from_slice(data);
        }
        octets.push(code::END);
        octets
    }

    fn field(payload: &[u8], field: Field) -> Option<Vec<u8>> {
        let message = Message::parse(payload).unwrap();
        let envelope = Envelope {
            source_mac: MacAddress::default(),
            destination_mac: MacAddress::default(),
            tags: Tags::default(),
            addresses: Addresses::V4 {
                source: [10, 0, 0, 1].into(),
                destination: [10, 0, 0, 2].into(),
            },
            source_port: 68,
            destination_port: 67,
        };
        let received = Received {
            message: &message,
            envelope: &envelope,
            interface: "eth0",
            payload_len: payload.len(),
            trusts_agent: true,
        };
        let mut block = [0; crate::expression::SCRATCH_OCTETS];
        let found = received
            .field(field, &mut Scratch::new(&mut block))
            .unwrap();
        found.map(<[u8]>::to_vec)
    }

    #[test]
    fn header_fields_are_those_of_the_message() {
        let payload = payload(&[(53, &[3])]);
        for (asked, octets) in [
            (Field::HardwareAddress, &[2, 0, 0, 0, 0, 9][..]),
            (Field::HardwareType, &[0, 0, 0, 1]),
            (Field::HardwareLength, &[0, 0, 0, 6]),
            (Field::Ciaddr, &[192, 0, 2, 1]),
            (Field::Giaddr, &[192, 0, 2, 2]),
            (Field::Yiaddr, &[0, 0, 0, 0]),
            (Field::Siaddr, &[192, 0, 2, 4]),
            (Field::MessageType(Protocol::V4), &[0, 0, 0, 3]),
            (Field::TransactionId(Protocol::V4), &[1, 2, 3, 4]),
            (Field::Source, &[10, 0, 0, 1]),
            (Field::Destination, &[10, 0, 0, 2]),
            (Field::Interface, b"eth0"),
            (Field::Length, &[0, 0, 0, 244]),
        ] {
            assert_eq!(field(&payload, asked).as_deref(), Some(octets), "{asked}");
        }
    }

    #[test]
    fn options_are_put_together_and_sub_options_found_in_them() {
        let payload = payload(&[
            (60, b"abc"),
            (82, &[1, 2, 7]),
            (60, b"def"),
            (82, &[8, 2, 0]),
            (43, &[5, 1, 9]),
            (13, &[]),
        ]);
        let found = |asked| field(&payload, asked);
        assert_eq!(found(Field::Option(60)).as_deref(), Some(&b"abcdef"[..]));
        assert_eq!(found(Field::Option(13)).as_deref(), Some(&[][..]));
        assert_eq!(found(Field::Option(12)), None);
        assert_eq!(found(Field::Relay4(1)).as_deref(), Some(&[7, 8][..]));
        assert_eq!(found(Field::SubOption(82, 2)).as_deref(), Some(&[][..]));
        assert_eq!(found(Field::Relay4(3)), None);
        assert_eq!(found(Field::SubOption(43, 5)).as_deref(), Some(&[9][..]));
        assert_eq!(found(Field::SubOption(44, 5)), None);
    }

    #[test]
    fn vendor_blocks_are_found_by_their_enterprise() {
        let classes = [0, 0, 0, 9, 1, b'a', 0, 0, 0x11, 0x8b, 2, b'b', b'c'];
        let options = [0, 0, 0, 9, 3, 1, 1, 5, 0, 0, 0x11, 0x8b, 3, 2, 1, 6, 0, 0];
        let payload = payload(&[(124, &classes), (125, &options)]);
        let found = |asked| field(&payload, asked);
        let cable = Vendor(Some(4491));
        assert!(found(Field::Vendor(cable)).is_some());
        assert!(found(Field::Vendor(Vendor(None))).is_some());
        assert_eq!(found(Field::Vendor(Vendor(Some(1)))), None);
        assert_eq!(found(Field::VendorEnterprise), Some(vec![0, 0, 0, 9]));
        assert_eq!(found(Field::VendorOption(cable, 2)), Some(vec![6]));
        assert_eq!(found(Field::VendorOption(cable, 1)), None);
        assert_eq!(found(Field::SubOption(125, 1)), Some(vec![5]));
        assert_eq!(
            found(Field::VendorClassData(cable, 0)),
            Some(b"bc".to_vec())
        );
        assert_eq!(
            found(Field::VendorClassData(Vendor(None), 1)),
            Some(b"bc".to_vec())
        );
        assert_eq!(found(Field::VendorClassData(cable, 1)), None);
        assert_eq!(found(Field::VendorClassEnterprise), Some(vec![0, 0, 0, 9]));
    }
}
