//! Who is the client of a lease, and in which classes was it? Its binding, asked as if it were the client's message.
//!
//! What the message said and nobody keeps is absent here: option 60 and most others ([`is_kept`]). A class that asks
//! for it finds that the client has none.

use super::identify::Identifiers;
use super::query::{Kind, Query};
use crate::class::{ClassId, Memberships};
use crate::expression::{Failure, Field, Packet, Protocol, Scratch};
use crate::reservation::Reservation;
use crate::subnet::{ClientKey, Network, Policy, Subnet4};
use dhcp_lease::context::ItemKind;
use dhcp_lease::{Binding, Context, Lease, sub_option};
use dhcp_wire::v4::{MessageType, code};

/// A binding as the REQUEST by which it was granted, as far as it is known.
struct Kept<'a>(&'a Binding);

/// The client of a binding, where its subnet is still there.
pub(super) struct KeptClient<'p> {
    /// As which it would ask now: its identity and its classes.
    pub(super) query: Query,
    /// Its link.
    pub(super) network: &'p Network<Subnet4>,
    /// Its subnet.
    pub(super) subnet: &'p Subnet4,
    /// Its reservation in that.
    pub(super) reservation: Option<&'p Reservation>,
}

impl<'p> KeptClient<'p> {
    /// As far as the binding tells. `None`: its subnet is gone from the configuration.
    pub(super) fn of(binding: &Binding, policy: &'p Policy) -> Option<Self> {
        let place = policy.networks_v4.of_id(binding.subnet)?;
        let network = policy.networks_v4.get(place.network)?;
        let subnet = network.subnets.get(place.subnet)?;
        let mut query = Query {
            kind: Kind::Renewing,
            place,
            client: binding.client.clone(),
            hardware: binding.hardware,
            ..Query::default()
        };
        if subnet.agents.client_key == ClientKey::Flexible {
            query.line = binding.client.clone();
            query.take_flexible_of_line(policy);
        }
        // RFC 4388 section 6.4.2 [leasequery-saved-agent]: what the relay agent had said counts, as it did
        // when the client asked.
        let remembered = |context: &mut Context| {
            context.clone_from(&binding.context);
            true
        };
        let identifiers = Identifiers::of(&query, policy, network, remembered);
        let reserved = |subnet: &'p Subnet4| {
            let host = identifiers.host(policy, subnet)?;
            policy.hosts_v4.reservation(&subnet.reservations, host)
        };
        let reservation = reserved(subnet);
        let on_link = network.subnets.iter().find_map(reserved);
        query.classes = classes(binding, on_link, policy);
        Some(Self {
            query,
            network,
            subnet,
            reservation,
        })
    }
}

/// Whether the client of a DHCPv4 lease is in a class, as far as its binding tells; also in one that it is in only
/// where the lease's pool, subnet or shared network asks for it.
pub fn is_member(binding: &Binding, class: ClassId, policy: &Policy) -> bool {
    KeptClient::of(binding, policy).is_some_and(|client| {
        let around = [&client.subnet.access, &client.network.access];
        let asked_for = policy.additional(Some(binding.lease), around);
        let mut classes = client.query.classes.with_additional(asked_for);
        classes.any(|it| it == class)
    })
}

/// Whether bindings tell what a client said in this field, or there is nothing to be told of it.
pub fn is_kept(field: Field) -> bool {
    const KEPT: [u16; 3] = [
        code::CLIENT_IDENTIFIER as u16,
        code::RELAY_AGENT as u16,
        code::HOST_NAME as u16,
    ];
    match field {
        Field::Option(code) => KEPT.contains(&code),
        Field::SubOption(outer, _) => outer == u16::from(code::RELAY_AGENT),
        Field::Relay4(_)
        | Field::HardwareAddress
        | Field::HardwareType
        | Field::HardwareLength
        | Field::Giaddr
        | Field::Ciaddr
        | Field::Yiaddr
        | Field::Siaddr => true,
        _ => false,
    }
}

// RFC 4388 section 6.4.2 [leasequery-classes]: options of classes too.
/// The classes of a binding's client. `reserved` is its reservation.
fn classes(binding: &Binding, reserved: Option<&Reservation>, policy: &Policy) -> Memberships {
    let mut classes = Memberships::default();
    if policy.classes_v4.is_empty() {
        return classes;
    }
    let kept = Kept(binding);
    let vendor = kept.item(ItemKind::VENDOR_CLASS);
    policy.classes_v4.begin(&kept, vendor, None, &mut classes);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::{Access, Class, Classes, Test, When};
    use crate::expression::{Condition, Names};
    use crate::subnet::Network;
    use crate::v4::tests::bare_subnet;
    use core::net::Ipv4Addr;
    use dhcp_lease::SubnetId;
    use dhcp_wire::id::HardwareAddress;

    const NAMES: [&str; 5] = ["line", "both", "vendor", "far", "late"];

    struct Book;

    impl Names for Book {
        fn protocol(&self) -> Protocol {
            Protocol::V4
        }

        fn option(&self, _: &str) -> Option<u16> {
            None
        }

        fn class(&mut self, name: &str) -> Result<ClassId, String> {
            id(name).ok_or_else(|| name.to_owned())
        }
    }

    fn id(name: &str) -> Option<ClassId> {
        let built_in = ClassId::BUILT_IN.iter().chain(&NAMES);
        ClassId::new({ built_in }.position(|known| *known == name)?)
    }

    fn policy() -> Policy {
        let tests = [
            ("line", "relay4[1].hex == 'a' and pkt4.giaddr == 10.0.0.1"),
            (
                "both",
                "member('line') and (known or substring(pkt4.mac, 5, 1) == 0x07)",
            ),
            ("vendor", "option[60].exists or member('line')"),
            ("far", "member('both') and not member('vendor')"),
            ("late", "relay4[1].hex == 'a'"),
        ];
        let built_in = ClassId::BUILT_IN.map(|name| Class {
            name: name.into(),
            ..Class::default()
        });
        let tested = tests.map(|(name, test)| Class {
            name: name.into(),
            when: match name {
                "both" | "far" => When::Late,
                "late" => When::Additional,
                _ => When::Early,
            },
            test: Test::Condition(Condition::parse(test, &mut Book).unwrap()),
            ..Class::default()
        });
        let order: Vec<_> = NAMES.iter().filter_map(|name| id(name)).collect();
        let subnet = Subnet4 {
            access: Access {
                additional: id("late").into_iter().collect(),
                ..Access::default()
            },
            ..bare_subnet()
        };
        let network = Network {
            name: String::new(),
            subnets: vec![subnet],
            options: Default::default(),
            access: Access::default(),
        };
        Policy {
            networks_v4: vec![network].into(),
            classes_v4: Classes::new(built_in.into_iter().chain(tested).collect(), &order, []),
            ..Policy::default()
        }
    }

    fn binding(subnet: u32, mac: u8) -> Binding {
        let mut binding = Binding {
            lease: Lease::V4(Ipv4Addr::new(10, 0, 0, 9)),
            subnet: SubnetId(subnet),
            hardware: HardwareAddress::ethernet([2, 0, 0, 0, 0, mac]),
            ..Binding::default()
        };
        binding.context.insert(ItemKind::GIADDR, &[10, 0, 0, 1]);
        binding.context.insert(ItemKind::AGENT, b"\x01\x01a");
        binding
    }

    #[test]
    fn a_lease_tells_the_classes_of_its_client() {
        let policy = policy();
        let is_in = |binding: &Binding, name| is_member(binding, id(name).unwrap(), &policy);
        let found = |binding| {
            let all = ["ALL", "KNOWN", "UNKNOWN", "line", "both", "late"];
            { all }
                .into_iter()
                .filter(|name| is_in(&binding, name))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            found(binding(1, 7)),
            ["ALL", "UNKNOWN", "line", "both", "late"]
        );
        assert_eq!(found(binding(1, 8)), ["ALL", "UNKNOWN", "line", "late"]);
        let mut elsewhere = binding(1, 7);
        elsewhere.context.clear();
        assert_eq!(found(elsewhere), ["ALL", "UNKNOWN"]);
        assert_eq!(found(binding(9, 7)), [""; 0], "its subnet is gone");
    }

    #[test]
    fn what_leases_do_not_tell_is_named() {
        let classes = policy().classes_v4;
        let unknown = |name| classes.unknown_field(id(name).unwrap(), is_kept);
        for known in ["ALL", "KNOWN", "line", "both", "late"] {
            assert_eq!(unknown(known), None, "{known}");
        }
        assert_eq!(unknown("vendor"), Some(Field::Option(60)));
        assert_eq!(
            unknown("far"),
            Some(Field::Option(60)),
            "through another class"
        );
        assert_eq!(unknown("BOOTP"), Some(Field::MessageType(Protocol::V4)));
    }
}
