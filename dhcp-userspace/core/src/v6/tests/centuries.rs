//! Whole lives of leases over the moments at which 32 bits of seconds roll over, and far beyond.

use super::world::*;
use dhcp_lease::Timestamp;

#[test]
fn leases_live_over_2038_2106_and_2200_as_on_any_day() {
    for moment in [1u64 << 31, 1 << 32, 7_258_118_400] {
        let mut world = World::new();
        world.now = Timestamp(moment - 2000);
        world.later(0);
        let first = world
            .ask(&Ask::request(ALICE).na(1, &[]).pd(1, &[]))
            .unwrap();
        world.later(2000);
        assert_eq!(world.now, Timestamp(moment));
        let mut renew = Ask::to_us(MessageType::Renew, ALICE).na(1, &[first.leases()[0]]);
        renew = renew.pd(1, &[first.leases()[1]]);
        let renewed = world.ask(&renew).unwrap();
        assert_eq!(
            renewed.ias, first.ias,
            "the wire says what is left, not when"
        );
        world.later(3999);
        assert_ne!(world.lease_of(BOB), first.leases()[0], "not a second early");
        world.later(4);
        let taken = Ask::request(b"\0\x03another").na(1, &[first.leases()[0]]);
        assert_eq!(world.ask(&taken).unwrap().leases(), [first.leases()[0]]);
    }
}
