//! What counts of a client where: BOOTP, identifiers, how full pools are.

use super::*;
use crate::Discard;
use dhcp_wire::v4::code;

fn bootp(client: &Client) -> Request {
    let mut request = client.discover();
    request.options.clear();
    request
}

// RFC 1534 section 2 [bootp-by-missing-type]
// RFC 1534 section 2 [bootp-served]
// RFC 1534 section 2 [bootp-reply]
#[test]
fn a_bootp_client_gets_an_address_and_no_dhcp_where_that_is_allowed() {
    let mut world = World::new();
    let client = Client::new(1);
    let request = bootp(&client).option(code::PARAMETER_REQUEST_LIST, &[3, 6]);
    assert_eq!(silence(world.serve(&request.frame())), Discard::Bootp);
    world.set_rules(|rules| rules.bootp_seconds = Some(u32::MAX));
    let reply = world.serve(&request.frame()).unwrap();
    assert_eq!(reply.payload.len(), 300);
    assert_eq!(reply.yiaddr(), ip("10.0.0.10"));
    let codes = &reply.order;
    for of_dhcp in [
        code::MESSAGE_TYPE,
        code::SERVER_IDENTIFIER,
        code::LEASE_TIME,
        code::RENEWAL_TIME,
        code::REBINDING_TIME,
        code::OVERLOAD,
    ] {
        assert!(!codes.contains(&of_dhcp), "{codes:?}");
    }
    assert!(
        codes.contains(&code::ROUTERS) && codes.contains(&6),
        "{codes:?}"
    );
    let binding = &world.bindings()[&ip("10.0.0.10")];
    assert_eq!(binding.expires, dhcp_lease::Timestamp::NEVER);
}

/// Options that do not fit into BOOTP's 64 octets are left out; nothing goes into `file` and `sname`, which a
/// BOOTP client takes for what they are called.
#[test]
fn a_bootp_reply_has_300_octets_whatever_is_configured() {
    let mut world = World::new();
    world.set_rules(|rules| rules.bootp_seconds = Some(600));
    let long = vec![7; 200];
    world.subnet(0, 0).options = options(&[
        (1, &[255, 255, 255, 0], false),
        (15, &long, true),
        (3, &[10, 0, 0, 1], true),
    ]);
    let reply = world.serve(&bootp(&Client::new(1)).frame()).unwrap();
    assert_eq!(reply.payload.len(), 300);
    let codes = &reply.order;
    assert!(codes.contains(&3) && !codes.contains(&15), "{codes:?}");
}

// RFC 2131 section 4.2 [client-identity]
#[test]
fn who_a_client_is_can_be_a_matter_of_its_hardware_address_alone() {
    let mut world = World::new();
    world.set_rules(|rules| rules.match_client_id = false);
    let first = Client::new(1).with_id(&[0, 1]);
    let address = world.lease(&first);
    assert!(
        world.bindings()[&address].client.is_empty(),
        "it is not recorded"
    );
    let again = Client::new(1).with_id(&[0, 2]);
    assert_eq!(offered(world.serve(&again.discover().frame())), address);
    let other = Client::new(2).with_id(&[0, 1]);
    assert_ne!(offered(world.serve(&other.discover().frame())), address);
    // A lease from before the switch was thrown is the other client's: a stranger's, as far as we can tell.
    world.set_rules(|rules| rules.match_client_id = true);
    let request = first.renewing(address);
    assert_eq!(
        refusal(world.serve(&request.frame())),
        crate::v4::Refusal::InUse
    );
}

#[test]
fn leases_are_short_while_a_subnet_is_nearly_full_and_no_promise_is_broken() {
    let mut world = World::new();
    for number in 0..2 {
        world.subnet(0, number).lifetimes.adaptive_millionths = Some(500_000);
    }
    let clients = [1, 2, 3, 4].map(Client::new);
    let seconds = |world: &mut World, client: &Client| {
        let reply = world.serve(&client.discover().frame()).unwrap();
        reply.seconds(code::LEASE_TIME)
    };
    assert_eq!(seconds(&mut world, &clients[0]), LEASE);
    let first = world.lease(&clients[0]);
    world.lease(&clients[1]);
    // Three of four are taken: 600 is the shortest.
    assert_eq!(seconds(&mut world, &clients[2]), 600);
    world.pass(50, true);
    let renewed = world.serve(&clients[0].renewing(first).frame()).unwrap();
    assert_eq!(renewed.seconds(code::LEASE_TIME), LEASE - 50);
    assert_eq!(
        world.bindings()[&first].expires,
        world.now.after(LEASE - 50),
        "what is recorded is what was promised"
    );
}

/// A declined address is nobody's for longer each time; both protocols ask the same pools.
#[test]
fn a_quarantine_is_as_long_as_the_record_says() {
    let mut world = World::new();
    for expected in [600, 1200, 2400] {
        let client = Client::new(1);
        let ask = client
            .discover()
            .option(code::REQUESTED_ADDRESS, &[10, 0, 0, 10]);
        assert_eq!(offered(world.serve(&ask.frame())), ip("10.0.0.10"));
        acked(world.serve(&client.selecting(ip("10.0.0.10")).frame()));
        assert_eq!(
            silence(world.serve(&client.decline(ip("10.0.0.10")).frame())),
            Discard::Declined
        );
        let binding = &world.bindings()[&ip("10.0.0.10")];
        assert_eq!(binding.expires, world.now.after(expected));
        assert_eq!(binding.valid_seconds, expected);
        world.pass(u64::from(expected), true);
    }
}
