//! The index against looking at every subnet in turn.

use super::*;
use crate::options::OptionSet;
use crate::subnet::AgentPolicy;
use proptest::prelude::*;

fn subnet(network: u32, prefix_len: u8, vpn: u16) -> Subnet4 {
    Subnet4 {
        network: Ipv4Addr::from_bits(network),
        prefix_len,
        agents: AgentPolicy {
            vpn: VpnNumber(vpn),
            ..AgentPolicy::default()
        },
        ..crate::v4::tests::bare_subnet()
    }
}

fn network(subnets: Vec<Subnet4>) -> Network<Subnet4> {
    Network {
        name: String::new(),
        subnets,
        options: OptionSet::default(),
        access: Default::default(),
    }
}

fn alone(subnets: Vec<Subnet4>) -> Networks<Subnet4> {
    let alone = |subnet| network(vec![subnet]);
    subnets.into_iter().map(alone).collect::<Vec<_>>().into()
}

/// All subnets with their places, in order.
fn all(networks: &Networks<Subnet4>) -> impl Iterator<Item = (Place, &Subnet4)> {
    networks.iter().enumerate().flat_map(|(network, entry)| {
        let subnets = entry.subnets.iter().enumerate();
        subnets.map(move |(subnet, entry)| (Place { network, subnet }, entry))
    })
}

fn first(networks: &Networks<Subnet4>, is_it: impl Fn(&Subnet4) -> bool) -> Option<Place> {
    all(networks)
        .find(|(_, subnet)| is_it(subnet))
        .map(|(place, _)| place)
}

/// The one with the longest prefix, the first among equals.
fn longest(networks: &Networks<Subnet4>, is_it: impl Fn(&Subnet4) -> bool) -> Option<Place> {
    let mut best: Option<(Place, &Subnet4)> = None;
    for (place, subnet) in all(networks).filter(|(_, subnet)| is_it(subnet)) {
        if best.is_none_or(|(_, known)| subnet.prefix_len > known.prefix_len) {
            best = Some((place, subnet));
        }
    }
    best.map(|(place, _)| place)
}

prop_compose! {
    /// A subnet somewhere in few addresses, so that they meet: nested, equal, listed twice.
    fn crowded()(
        network in 0u32..64,
        prefix_len in prop_oneof![Just(0u8), 24u8..=32],
        vpn in 0u16..3,
        relays in prop::collection::vec(0u32..64, 0..3),
        interface in prop::option::of(0u8..4),
    ) -> Subnet4 {
        Subnet4 {
            relays: relays.into_iter().map(Ipv4Addr::from_bits).collect(),
            interface: interface.map(|number| format!("eth{number}")),
            ..subnet(network, prefix_len, vpn)
        }
    }
}

proptest! {
    /// Whatever the subnets: the index finds what a walk over all of them finds.
    #[test]
    fn the_index_finds_what_a_walk_finds(
        shares in prop::collection::vec(prop::collection::vec(crowded(), 1..4), 0..8),
        address in 0u32..80,
        vpn in 0u16..3,
        interface in 0u8..5,
    ) {
        let networks: Networks<_> = shares.into_iter().map(network).collect::<Vec<_>>().into();
        let address = Ipv4Addr::from_bits(address);
        let vpn = VpnNumber(vpn);
        let name = format!("eth{interface}");
        let of_vpn = |subnet: &Subnet4| subnet.agents.vpn == vpn;
        prop_assert_eq!(
            networks.containing(vpn, address),
            longest(&networks, |subnet| of_vpn(subnet) && subnet.contains(address))
        );
        prop_assert_eq!(
            networks.unbound_containing(vpn, address),
            longest(&networks, |subnet| {
                of_vpn(subnet) && subnet.interface.is_none() && subnet.contains(address)
            })
        );
        prop_assert_eq!(
            networks.of_relay(vpn, address),
            first(&networks, |subnet| of_vpn(subnet) && subnet.relays.contains(&address))
        );
        prop_assert_eq!(
            networks.lists_relay(address),
            first(&networks, |subnet| subnet.relays.contains(&address)).is_some()
        );
        prop_assert_eq!(
            networks.of_interface(&name),
            first(&networks, |subnet| subnet.interface.as_ref() == Some(&name))
        );
    }

    #[test]
    fn relay_agents_are_allowed_by_prefix(
        prefixes in prop::collection::vec((0u32..64, 20u8..=32), 0..6),
        address in 0u32..80,
    ) {
        let address = Ipv4Addr::from_bits(address);
        let mut allowed = AllowedRelays::default();
        let mut expected = false;
        for (network, len) in prefixes {
            allowed.add(Ipv4Addr::from_bits(network), len);
            expected |= subnet(network, len, 0).contains(address);
        }
        prop_assert_eq!(allowed.contains(address), expected);
    }
}

/// What an address costs follows from the prefix lengths that there are, not from the subnets: one look for
/// sixteen as for sixty thousand.
#[test]
fn a_look_up_takes_as_many_steps_with_thousands_of_subnets() {
    for count in [16u32, 60_000] {
        let subnets = (0..count).map(|number| subnet(0x0a00_0000 + number * 256, 24, 0));
        let networks = alone(subnets.collect());
        assert_eq!(networks.index.all.lens, [24], "{count} subnets");
        let last = Ipv4Addr::from_bits(0x0a00_0000 + (count - 1) * 256 + 7);
        let place = networks.containing(VpnNumber::GLOBAL, last);
        assert_eq!(place.map(|place| place.network), Some(count as usize - 1));
        let beyond = Ipv4Addr::from_bits(0x0a00_0000 + count * 256);
        assert_eq!(networks.containing(VpnNumber::GLOBAL, beyond), None);
    }
}

#[test]
fn an_edited_network_is_found_where_it_is_now() {
    let mut networks = alone(vec![subnet(0x0a00_0000, 24, 0)]);
    let moved = Ipv4Addr::new(192, 0, 2, 1);
    assert_eq!(networks.containing(VpnNumber::GLOBAL, moved), None);
    networks.edit(|networks| networks[0].subnets[0].network = Ipv4Addr::new(192, 0, 2, 0));
    let place = networks.containing(VpnNumber::GLOBAL, moved).unwrap();
    assert!(networks.is_in_network(place, moved));
    assert!(!networks.is_in_network(place, Ipv4Addr::new(10, 0, 0, 1)));
}

#[test]
fn vpns_are_told_apart_by_type_and_name() {
    let mut vpns = Vpns::default();
    assert!(vpns.is_empty());
    let red = vpns.add(b"\0red");
    let blue = vpns.add(b"\0blue");
    assert_eq!(vpns.add(b"\0red"), red);
    assert_ne!(red, blue);
    assert_eq!(vpns.add(&[255]), VpnNumber::GLOBAL);
    for (name, expected) in [
        (&b"\0red"[..], Some(red)),
        (b"\0blue", Some(blue)),
        (b"\x01red", None),
        (b"\0", None),
        (b"", None),
        (&[255], Some(VpnNumber::GLOBAL)),
        (&[255, 0], None),
    ] {
        assert_eq!(vpns.find(name), expected, "{name:?}");
    }
}
