//! In which classes was the client of a lease? Its binding, asked as if it were the client's message.
//!
//! What the message said and nobody keeps is absent here: option 60 and most others. A class that asks for it
//! finds that the client has none.

use crate::class::Memberships;
use crate::expression::{Failure, Field, Packet, Protocol, Scratch};
use crate::reservation::Reservation;
use crate::subnet::Policy;
use dhcp_lease::context::ItemKind;
use dhcp_lease::{Binding, Lease, sub_option};
use dhcp_wire::v4::{MessageType, code};

/// A binding as the REQUEST by which it was granted, as far as it is known.
struct Kept<'a>(&'a Binding);

// RFC 4388 section 6.4.2 [leasequery-classes]: options of classes too.
/// The classes of a binding's client. `reserved` is its reservation.
pub(super) fn classes(
    binding: &Binding,
    reserved: Option<&Reservation>,
    policy: &Policy,
) -> Memberships {
    let mut classes = Memberships::default();
    if policy.classes_v4.is_empty() {
        return classes;
    }
    let kept = Kept(binding);
    let vendor = kept.item(ItemKind::VENDOR_CLASS);
    policy.classes_v4.begin(&kept, vendor, &mut classes);
    let of_reservation = reserved.into_iter().flat_map(|it| &it.classes);
    let is_known = reserved.is_some();
    let of_all = &policy.classes_v4;
    of_all.complete(&kept, is_known, of_reservation, &mut classes);
    classes
}

impl Kept<'_> {
    fn item(&self, kind: ItemKind) -> Option<&[u8]> {
        self.0.context.of_kind(kind).next()
    }

    fn option(&self, asked: u16) -> Option<&[u8]> {
        match u8::try_from(asked).ok()? {
            code::CLIENT_IDENTIFIER => Some(self.0.client.as_slice()).filter(|it| !it.is_empty()),
            code::RELAY_AGENT => self.item(ItemKind::AGENT),
            code::HOST_NAME => self.item(ItemKind::HOST_NAME),
            code::VENDOR_CLASS_IDENTIFIER => self.item(ItemKind::VENDOR_CLASS),
            _ => None,
        }
    }
}

impl Packet for Kept<'_> {
    fn field<'s>(
        &'s self,
        field: Field,
        scratch: &mut Scratch<'s>,
    ) -> Result<Option<&'s [u8]>, Failure> {
        let Self(binding) = self;
        let mut number = |number: u32| scratch.collect(number.to_be_bytes().into_iter());
        let hardware = &binding.hardware;
        Ok(match field {
            Field::Option(code) => self.option(code),
            Field::SubOption(code, inner) if code == u16::from(code::RELAY_AGENT) => {
                let inner = u8::try_from(inner).ok();
                inner.and_then(|inner| sub_option(&binding.context, inner))
            }
            Field::Relay4(inner) => sub_option(&binding.context, inner),
            Field::Interface => self.item(ItemKind::INTERFACE),
            Field::HardwareAddress => Some(hardware.as_slice()),
            Field::HardwareType => Some(number(u32::from(hardware.htype()))?),
            Field::HardwareLength => Some(number(hardware.as_slice().len() as u32)?),
            Field::Giaddr => Some(self.item(ItemKind::GIADDR).unwrap_or(&[0; 4])),
            Field::Ciaddr => match binding.lease {
                Lease::V4(address) => Some(number(address.to_bits())?),
                Lease::Address(_) | Lease::Prefix(..) => None,
            },
            Field::Yiaddr | Field::Siaddr => Some(&[0; 4]),
            Field::MessageType(Protocol::V4) => Some(number(u32::from(MessageType::REQUEST.0))?),
            Field::SubOption(..)
            | Field::Source
            | Field::Destination
            | Field::Length
            | Field::TransactionId(_)
            | Field::MessageType(Protocol::V6)
            | Field::Relay6Option(..)
            | Field::Relay6Peer(_)
            | Field::Relay6Link(_)
            | Field::Vendor(_)
            | Field::VendorEnterprise
            | Field::VendorOption(..)
            | Field::VendorClass(_)
            | Field::VendorClassEnterprise
            | Field::VendorClassData(..) => None,
        })
    }
}
