//! A DHCPv6 message, with the relay messages around it, as expressions see it.

use crate::expression::{Failure, Field, Packet, Protocol, Scratch, Vendor};
use dhcp_wire::frame::{Addresses, Envelope};
use dhcp_wire::v6::{self, OptionCode, Options, Relay};

/// A message with what was around it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The message and the relay messages around it.
    pub packet: &'a v6::Packet<'a>,
    /// The headers that it came in.
    pub envelope: &'a Envelope,
    /// The interface's name.
    pub interface: &'a str,
    /// Octets of the UDP payload.
    pub payload_len: usize,
}

impl Packet for Received<'_> {
    fn field<'s>(
        &'s self,
        field: Field,
        scratch: &mut Scratch<'s>,
    ) -> Result<Option<&'s [u8]>, Failure> {
        let message = &self.packet.message;
        let octets: &[u8] = match field {
            Field::Option(code) => return Ok(message.options.find(code)),
            Field::SubOption(code, inner) => {
                let outer = message.options.find(code);
                return Ok(outer.and_then(|octets| inside(code, octets)?.find(inner)));
            }
            Field::Relay6Option(level, code) => {
                return Ok(self.relay(level).and_then(|relay| relay.options.find(code)));
            }
            Field::Relay6Peer(level) => {
                return Ok(self
                    .relay(level)
                    .map(|relay| &relay.header.peer_address[..]));
            }
            Field::Relay6Link(level) => {
                return Ok(self
                    .relay(level)
                    .map(|relay| &relay.header.link_address[..]));
            }
            Field::Interface => self.interface.as_bytes(),
            Field::Source | Field::Destination => {
                return self.address(field, scratch).map(Some);
            }
            Field::Length => number(self.payload_len as u32, scratch)?, // of a frame
            Field::MessageType(Protocol::V6) => {
                number(u32::from(message.header.msg_type), scratch)?
            }
            Field::TransactionId(Protocol::V6) => {
                let [a, b, c] = message.header.transaction_id;
                number(u32::from_be_bytes([0, a, b, c]), scratch)?
            }
            Field::Vendor(_)
            | Field::VendorEnterprise
            | Field::VendorOption(..)
            | Field::VendorClass(_)
            | Field::VendorClassEnterprise
            | Field::VendorClassData(..) => return self.vendor(field, scratch),
            // The parser lets nobody ask a DHCPv6 message for these.
            Field::Relay4(_)
            | Field::HardwareAddress
            | Field::HardwareType
            | Field::HardwareLength
            | Field::Ciaddr
            | Field::Giaddr
            | Field::Yiaddr
            | Field::Siaddr
            | Field::MessageType(Protocol::V4)
            | Field::TransactionId(Protocol::V4) => return Ok(None),
        };
        Ok(Some(octets))
    }
}

impl Received<'_> {
    /// The relay message at a level: from 0 on from the server's neighbour, from -1 on from the client's.
    fn relay(&self, level: i8) -> Option<&Relay<'_>> {
        let relays = &self.packet.relays;
        match usize::try_from(level) {
            Ok(level) => relays.outermost_first().nth(level),
            Err(_) => {
                let level = usize::from(level.unsigned_abs()) - 1;
                relays.innermost_first().nth(level)
            }
        }
    }

    fn address<'s>(&'s self, field: Field, scratch: &mut Scratch<'s>) -> Result<&'s [u8], Failure> {
        let Addresses::V6 {
            source,
            destination,
        } = self.envelope.addresses
        else {
            return Ok(&[]); // not around a DHCPv6 message
        };
        let address = match field {
            Field::Destination => destination,
            _ => source,
        };
        scratch.collect(address.octets().into_iter())
    }

    // RFC 9915 sections 21.16 and 21.17: each option is of one enterprise, and there may be several.
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
            true => OptionCode::VENDOR_CLASS,
            false => OptionCode::VENDOR_OPTIONS,
        };
        let all = move || {
            let options = self.packet.message.options.iter();
            let options = options.filter(move |option| option.code == code);
            options.filter_map(|option| {
                let (enterprise, data) = option.data.split_first_chunk::<4>()?;
                Some((u32::from_be_bytes(*enterprise), data))
            })
        };
        let of = |vendor: Vendor| {
            let is_its = move |enterprise: u32| vendor.0.is_none_or(|it| it == enterprise);
            all()
                .filter(move |(enterprise, _)| is_its(*enterprise))
                .map(|(_, data)| data)
        };
        Ok(match field {
            Field::VendorOption(vendor, inner) => {
                of(vendor).find_map(|data| Options::parse(data).ok()?.find(inner))
            }
            Field::VendorClassData(vendor, index) => of(vendor)
                .next()
                .and_then(|data| classes(data).nth(usize::from(index))),
            Field::Vendor(vendor) | Field::VendorClass(vendor) => of(vendor).next(),
            _ => match all().next() {
                Some((enterprise, _)) => Some(number(enterprise, scratch)?),
                None => None,
            },
        })
    }
}

/// The options inside an option, behind its fixed part. `None` if they are no list of options.
fn inside(code: u16, octets: &[u8]) -> Option<Options<'_>> {
    let fixed = match code {
        OptionCode::IA_NA | OptionCode::IA_PD => 12,
        OptionCode::IA_TA | OptionCode::VENDOR_OPTIONS => 4,
        OptionCode::IA_ADDRESS => 24,
        OptionCode::IA_PREFIX => 25,
        _ => 0,
    };
    Options::parse(octets.get(fixed..)?).ok()
}

/// The data fields of a vendor class, each behind two octets of length.
fn classes(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = octets;
    core::iter::from_fn(move || {
        let (len, after) = rest.split_first_chunk::<2>()?;
        let (data, next) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        rest = next;
        Some(data)
    })
}

fn number<'s>(number: u32, scratch: &mut Scratch<'s>) -> Result<&'s [u8], Failure> {
    scratch.collect(number.to_be_bytes().into_iter())
}

/// What a client says that it is (option 16), as `VENDOR_CLASS_` classes have it: the first data field.
pub fn vendor_class<'s>(packet: &'s Received<'_>) -> Option<&'s [u8]> {
    let octets = packet
        .packet
        .message
        .options
        .find(OptionCode::VENDOR_CLASS)?;
    classes(octets.get(4..)?).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcp_wire::frame::{MacAddress, Tags};
    use std::net::Ipv6Addr;

    fn option(code: u16, data: &[u8]) -> Vec<u8> {
        let len = data.len() as u16;
        [&code.to_be_bytes(), &len.to_be_bytes(), data].concat()
    }

    fn relay(hops: u8, options: &[u8]) -> Vec<u8> {
        let link = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(hops));
        let peer = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(hops));
        [&[12, hops], &link.octets()[..], &peer.octets(), options].concat()
    }

    fn field(payload: &[u8], field: Field) -> Option<Vec<u8>> {
        let packet = v6::Packet::parse(payload).unwrap();
        let envelope = Envelope {
            source_mac: MacAddress::default(),
            destination_mac: MacAddress::default(),
            tags: Tags::default(),
            addresses: Addresses::V6 {
                source: "fe80::1".parse().unwrap(),
                destination: "ff02::1:2".parse().unwrap(),
            },
            source_port: 546,
            destination_port: 547,
        };
        let received = Received {
            packet: &packet,
            envelope: &envelope,
            interface: "eth0",
            payload_len: payload.len(),
        };
        let mut block = [0; crate::expression::SCRATCH_OCTETS];
        let found = received
            .field(field, &mut Scratch::new(&mut block))
            .unwrap();
        found.map(<[u8]>::to_vec)
    }

    fn solicit() -> Vec<u8> {
        let ia = [&[0; 12][..], &option(13, &[0, 6])].concat();
        let class = [0, 0, 0x11, 0x8b, 0, 3, b'c', b'p', b'e', 0, 1, b'x'];
        let vendor = [&[0, 0, 0x11, 0x8b][..], &option(37, b"v")].concat();
        [
            &[1, 0xa, 0xb, 0xc][..],
            &option(1, b"duid"),
            &option(3, &ia),
            &option(16, &class),
            &option(17, &[0, 0, 0, 9]),
            &option(17, &vendor),
        ]
        .concat()
    }

    #[test]
    fn the_client_is_asked_inside_of_all_relay_messages() {
        let inner = relay(0, &[option(18, b"port"), option(9, &solicit())].concat());
        let outer = relay(1, &[option(37, b"far"), option(9, &inner)].concat());
        let found = |asked| field(&outer, asked);
        assert_eq!(
            found(Field::MessageType(Protocol::V6)),
            Some(vec![0, 0, 0, 1])
        );
        assert_eq!(
            found(Field::TransactionId(Protocol::V6)),
            Some(vec![0, 10, 11, 12])
        );
        assert_eq!(found(Field::Option(1)), Some(b"duid".to_vec()));
        assert_eq!(found(Field::Option(37)), None);
        assert_eq!(found(Field::Relay6Option(0, 37)), Some(b"far".to_vec()));
        assert_eq!(found(Field::Relay6Option(-1, 18)), Some(b"port".to_vec()));
        assert_eq!(found(Field::Relay6Option(1, 18)), Some(b"port".to_vec()));
        assert_eq!(found(Field::Relay6Option(2, 18)), None);
        assert_eq!(found(Field::Relay6Option(-3, 18)), None);
        assert_eq!(found(Field::Relay6Link(0)).unwrap()[15], 1);
        assert_eq!(found(Field::Relay6Peer(-2)).unwrap()[15], 1);
        assert_eq!(found(Field::Relay6Peer(-1)).unwrap()[..2], [0xfe, 0x80]);
    }

    #[test]
    fn what_is_inside_of_options_is_found_behind_their_fixed_parts() {
        let payload = solicit();
        let found = |asked| field(&payload, asked);
        let cable = Vendor(Some(4491));
        assert_eq!(found(Field::SubOption(3, 13)), Some(vec![0, 6]));
        assert_eq!(found(Field::SubOption(3, 5)), None);
        assert_eq!(found(Field::VendorEnterprise), Some(vec![0, 0, 0, 9]));
        assert_eq!(found(Field::VendorOption(cable, 37)), Some(b"v".to_vec()));
        assert_eq!(found(Field::VendorOption(Vendor(Some(9)), 37)), None);
        assert_eq!(
            found(Field::VendorClassData(cable, 0)),
            Some(b"cpe".to_vec())
        );
        assert_eq!(
            found(Field::VendorClassData(Vendor(None), 1)),
            Some(b"x".to_vec())
        );
        assert_eq!(found(Field::VendorClassData(cable, 2)), None);
        assert_eq!(found(Field::VendorClass(Vendor(Some(9)))), None);
        assert_eq!(found(Field::Source).unwrap().len(), 16);
    }
}
