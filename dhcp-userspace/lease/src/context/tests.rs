use super::*;
use proptest::prelude::*;

fn kinds_and_data() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let item = (0u8..16, prop::collection::vec(any::<u8>(), 0..300));
    prop::collection::vec(item, 0..12)
}

/// The items that were taken in.
fn inserted(items: &[(u8, Vec<u8>)]) -> Context {
    let mut context = Context::EMPTY;
    for (kind, data) in items {
        context.insert(ItemKind(*kind), data);
    }
    context
}

proptest! {
    #[test]
    fn any_octets_are_read_and_what_is_written_reads_the_same(
        octets in prop::collection::vec(any::<u8>(), 0..900),
    ) {
        let context = Context::parse(&octets);
        prop_assert!(context.as_octets().len() <= CONTEXT_OCTETS_MAX);
        prop_assert_eq!(&Context::parse(context.as_octets()), &context);
        let total: usize = context.items().map(|item| item.emitted_len()).sum();
        prop_assert_eq!(total, context.as_octets().len());
        // Whatever the octets of an item say, asking for its meaning is harmless.
        let _ = (context.giaddr(), context.relay_source(), context.reconfigure_key());
        prop_assert!(context.relay_path().count() <= CONTEXT_OCTETS_MAX / 33);
        let shown = format!("{context:?}");
        prop_assert!(shown.is_ascii());
    }

    #[test]
    fn items_are_kept_in_order_and_read_back(items in kinds_and_data(), zeros in 0usize..60) {
        let context = inserted(&items);
        let kinds: Vec<_> = context.items().map(|item| item.kind).collect();
        prop_assert!(kinds.is_sorted_by_key(|kind| kind.rank()));
        for item in context.items() {
            let known = items.iter().any(|(kind, data)| item.kind.0 == *kind && item.data == data);
            prop_assert!(known, "{:?}", item);
        }
        // As it lies in a slot: zeros follow.
        let mut stored = context.as_octets().to_vec();
        stored.resize(stored.len() + zeros, 0);
        prop_assert_eq!(&Context::parse(&stored), &context);
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole_and_from_the_end(
        items in kinds_and_data(),
        room in 0usize..600,
    ) {
        let context = inserted(&items);
        let fitting = context.fitting(room);
        prop_assert!(fitting.len() <= room);
        let kept = Context::parse(fitting);
        prop_assert_eq!(kept.as_octets(), fitting);
        let next = context.items().nth(kept.items().count());
        prop_assert!(next.is_none_or(|next| fitting.len() + next.emitted_len() > room));
    }

    #[test]
    fn what_is_worth_more_pushes_out_what_is_worth_less(mut items in kinds_and_data()) {
        // What counts is worth more than the key.
        items.retain(|(kind, _)| ItemKind(*kind) != ItemKind::COUNTED);
        let mut context = inserted(&items);
        let key = ReconfigureKey { key: [7; 16], replay: 9 };
        context.set_reconfigure_key(&ReconfigureKey { key: [1; 16], replay: 1 });
        context.set_reconfigure_key(&key);
        prop_assert_eq!(context.reconfigure_key(), Some(key));
        let mut without = inserted(&items);
        without.retain(|kind| kind != ItemKind::RECONFIGURE_KEY);
        let rest = context.items().filter(|item| item.kind != ItemKind::RECONFIGURE_KEY);
        let rest: Vec<_> = rest.collect();
        let before: Vec<_> = without.items().collect();
        prop_assert!(before.starts_with(&rest), "no more than the end was dropped");
    }
}

#[test]
fn a_relay_path_is_read_back_whole_or_not_there() {
    let hop = |number: u16, interface_id: &'static [u8]| Hop {
        link_address: Ipv6Addr::new(0x2001, 0xdb8, number, 0, 0, 0, 0, 1),
        peer_address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number),
        interface_id,
    };
    let hops = [hop(1, b""), hop(2, b"eth0"), hop(3, &[0xff; 200])];
    let mut context = Context::EMPTY;
    assert!(context.insert_relay_path(hops.into_iter()));
    assert_eq!(context.relay_path().collect::<Vec<_>>(), hops);
    let mut other = Context::EMPTY;
    assert!(!other.insert_relay_path((0..16).map(|number| hop(number, b""))));
    assert!(!other.insert_relay_path([hop(1, &[0; 256])].into_iter()));
    assert!(other.is_empty());
}

#[test]
fn the_neighbour_is_read_back_with_and_without_a_port() {
    let addresses: [IpAddr; 2] = [
        Ipv4Addr::new(192, 0, 2, 1).into(),
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into(),
    ];
    for address in addresses {
        for port in [None, Some(1547)] {
            let mut context = Context::EMPTY;
            assert!(context.insert_relay_source(address, port));
            assert_eq!(context.relay_source(), Some((address, port)));
        }
    }
}

/// What most relayed DHCPv4 clients have beside 13 octets of identity. An extension slot for each of them
/// would double the table.
#[test]
fn a_usual_relayed_client_fits_into_one_slot() {
    let mut context = Context::EMPTY;
    assert!(context.insert(ItemKind::GIADDR, &[10, 0, 0, 1]));
    assert!(context.insert(ItemKind::AGENT, &[0x2a; 30]));
    assert!(6 + 7 + context.as_octets().len() <= crate::format::INLINE_OCTETS);
}

#[test]
fn a_key_is_not_shown() {
    let mut context = Context::EMPTY;
    context.set_reconfigure_key(&ReconfigureKey {
        key: [0xab; 16],
        replay: 3,
    });
    let key = context.reconfigure_key().unwrap();
    assert!(!format!("{context:?} {key:?}").contains("ab"));
}
