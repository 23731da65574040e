//! Whole lives of leases over the moments at which 32 bits of seconds roll over, and far beyond.

use super::*;
use crate::Discard;
use dhcp_lease::Timestamp;
use dhcp_wire::v4::code;

/// 2038-01-19, 2106-02-07, and 2200-01-01.
const MOMENTS: [u64; 3] = [1 << 31, 1 << 32, 7_258_118_400];

#[test]
fn leases_live_over_2038_2106_and_2200_as_on_any_day() {
    for moment in MOMENTS {
        let mut world = World::new();
        let client = Client::new(1);
        world.now = Timestamp(moment - 1800);
        let address = world.lease(&client);
        assert_eq!(world.bindings()[&address].expires.0, moment + 1800);

        // It renews on the very second, and the wire says what is left, not when.
        world.pass(1800, true);
        assert_eq!(world.now, Timestamp(moment));
        let renewed = world.serve(&client.renewing(address).frame()).unwrap();
        assert_eq!(renewed.yiaddr(), address);
        assert_eq!(renewed.seconds(code::LEASE_TIME), LEASE);
        assert_eq!(renewed.seconds(code::RENEWAL_TIME), LEASE / 2);

        // Not a second early, and with the grace of two seconds it is another's.
        let others: Vec<_> = (2..=6)
            .map(|number| world.lease(&Client::new(number)))
            .collect();
        assert!(!others.contains(&address));
        let late = Client::new(7);
        world.pass(u64::from(LEASE) - 1, true);
        for number in 2..=6 {
            let held = others[usize::from(number) - 2];
            acked(world.serve(&Client::new(number).renewing(held).frame()));
        }
        assert_eq!(
            silence(world.serve(&late.discover().frame())),
            Discard::NoAddress
        );
        world.pass(3, true);
        assert_eq!(world.lease(&late), address);
    }
}

#[test]
fn one_store_lives_through_all_of_them() {
    let mut world = World::new();
    let client = Client::new(1);
    world.now = Timestamp(60);
    let first = world.lease(&client);
    for moment in MOMENTS {
        // Decades pass, and what was granted has ended: the client has the same address again.
        world.now = Timestamp(moment - 1);
        world.pass(0, true);
        assert_eq!(world.lease(&client), first);
        world.pass(1, true);
        let renewal = client.renewing(first);
        assert_eq!(acked(world.serve(&renewal.frame())), first);
        assert_eq!(
            world.bindings()[&first].expires.0,
            moment + u64::from(LEASE)
        );
    }
}
