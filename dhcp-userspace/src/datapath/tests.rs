use super::*;
use crate::commit::{
    Cause, Committer, Settlements, Storage, StoreState, Submission, Trouble, connect,
};
use crate::io::memory::{MemoryFrame, MemoryPort};
use crate::wake::Waker;
use dhcp_core::leasequery::{Leasequery, Requestors};
use dhcp_core::options::OptionSet;
use dhcp_core::probe::{Finding, Probe, Probes};
use dhcp_core::subnet::{
    AgentPolicy, LeaseCache, Lifetimes, Network, PoolOptions, Preference, Reservations, Rules,
    Subnet4, Subnet6,
};
use dhcp_lease::{Durability, Lease, PoolIndex, PoolRange, Pools, SubnetId};
use dhcp_wire::frame::{Envelope, FRAME_SIZE_MAX, MacAddress, Tags};
use dhcp_wire::id::{Duid, Iaid};
use dhcp_wire::v4::{Header, Message, MessageType, code};
use dhcp_wire::v6::{self, OptionCode};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_700_000_000);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Ten addresses of each family.
fn policy() -> Policy {
    let first_v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
    let pools = Pools::new(
        &[
            PoolRange {
                first: Lease::V4(Ipv4Addr::new(10, 0, 0, 10)),
                count: 10,
            },
            PoolRange {
                first: Lease::Address(first_v6),
                count: 10,
            },
        ],
        &[],
    );
    let lifetimes = Lifetimes {
        valid: 3600,
        valid_min: 60,
        valid_max: 7200,
        preferred: 1800,
        renew: None,
        rebind: None,
        cache: LeaseCache::default(),
        adaptive_millionths: None,
    };
    let subnet4 = Subnet4 {
        access: Default::default(),
        id: SubnetId(1),
        network: Ipv4Addr::new(10, 0, 0, 0),
        prefix_len: 24,
        pools: vec![PoolIndex(0)],
        relays: Vec::new(),
        interface: Some("test0".to_owned()),
        lifetimes,
        options: OptionSet::default(),
        pool_options: PoolOptions::default(),
        reservations: Reservations::default(),
        server_identifier: None,
        next_server: Ipv4Addr::UNSPECIFIED,
        limits: Default::default(),
        server_hostname: Box::default(),
        boot_file_name: Box::default(),
        rapid_commit: false,
        probe: None,
        rules: Rules::default(),
        agents: AgentPolicy::default(),
    };
    let subnet6 = Subnet6 {
        access: Default::default(),
        id: SubnetId(2),
        network: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        prefix_len: 64,
        pools: vec![PoolIndex(1)],
        pd_pools: Vec::new(),
        relays: Vec::new(),
        interface: Some("test0".to_owned()),
        interface_id: None,
        lifetimes,
        options: OptionSet::default(),
        pool_options: PoolOptions::default(),
        reservations: Reservations::default(),
        rapid_commit: false,
        preference: 0,
        limits: Default::default(),
    };
    Policy {
        networks_v4: vec![Network {
            access: Default::default(),
            name: String::new(),
            subnets: vec![subnet4],
            options: OptionSet::default(),
        }]
        .into(),
        networks_v6: vec![Network {
            access: Default::default(),
            name: String::new(),
            subnets: vec![subnet6],
            options: OptionSet::default(),
        }]
        .into(),
        pools,
        options_v4: OptionSet::default(),
        options_v6: OptionSet::default(),
        server_duid: Duid::new(&[0, 4, 1, 2, 3]).unwrap(),
        offer_lifetime_seconds: 60,
        decline_probation_seconds: 3600,
        decline_probation_seconds_max: 86_400,
        preference_v6: Preference::Requested,
        ..Policy::default()
    }
}

fn interface() -> Interface {
    Interface {
        name: "test0".to_owned(),
        mac: MacAddress([2, 0, 0, 0, 0, 1]),
        v4: vec![SERVER],
        v6: Vec::new(),
        link_local: Some(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
    }
}

/// Numbers the logs. Whether they are durable is for the test to say.
struct Nowhere;

impl Storage for Nowhere {
    fn place(&mut self, _: &mut ChangeLog) -> Option<u64> {
        Some(1)
    }

    fn commit(&mut self, _: &[Submission]) -> Result<(), Trouble> {
        Ok(())
    }

    fn between_groups(
        &mut self,
        _: &Settlements,
        _: bool,
        _: Duration,
    ) -> Result<Duration, Trouble> {
        Ok(Duration::ZERO)
    }

    fn finish(&mut self) -> Result<(), Trouble> {
        Ok(())
    }
}

/// A shard over memory; the test itself is the journal.
struct Bench {
    shard: Shard<MemoryFrame>,
    port: MemoryPort,
    policy: Policy,
    interface: Interface,
    handle: Handle,
    committer: Committer,
    state: Arc<StoreState>,
    counters: Arc<CachePadded<Counters>>,
}

impl Bench {
    fn new(durability: Durability) -> Self {
        let state = Arc::new(StoreState::default());
        let waker = Arc::new(Waker::new().unwrap());
        let (mut handles, committer) = connect(vec![waker], &state);
        let partitions = Arc::new(Partitions::in_memory(4, 64, durability));
        let counters = Arc::new(CachePadded::new(Counters::default()));
        Self {
            shard: Shard::new(partitions, Arc::clone(&counters)),
            port: MemoryPort::new(),
            policy: policy(),
            interface: interface(),
            handle: handles.pop().unwrap(),
            committer,
            state,
            counters,
        }
    }

    /// Has the shard do something at a moment.
    fn with<T>(
        &mut self,
        now: Timestamp,
        work: impl FnOnce(&mut Shard<MemoryFrame>, &mut MemoryPort, &Context<'_>) -> T,
    ) -> T {
        let context = Context {
            policy: &self.policy,
            interface: &self.interface,
            commit: &self.handle,
            now,
        };
        work(&mut self.shard, &mut self.port, &context)
    }

    /// Serves a batch after which nothing more comes.
    fn serve(&mut self) -> usize {
        let count = self.serve_on();
        self.with(NOW, |shard, _, context| shard.submit(context));
        count
    }

    /// Serves a batch after which more may come.
    fn serve_on(&mut self) -> usize {
        self.with(NOW, |shard, port, context| shard.serve(port, context))
    }

    /// Lets OFFERs go whose probes are over.
    fn release(&mut self, now: Timestamp) -> usize {
        self.with(now, |shard, port, context| shard.release(port, context))
    }

    fn settle(&mut self) -> usize {
        self.with(NOW, |shard, port, context| shard.settle(port, context))
    }

    /// What the journal's thread does with one group.
    fn sync(&mut self, is_durable: bool) -> usize {
        self.committer.gather();
        let count = self.committer.place(&mut Nowhere, Duration::ZERO);
        self.committer.hand_back(is_durable);
        count
    }

    fn sent_v4(&mut self) -> Option<(MessageType, Ipv4Addr)> {
        let frame = self.port.take_sent()?;
        let datagram = Datagram::parse(&frame).unwrap();
        let message = Message::parse(datagram.payload).unwrap();
        Some((
            message.message_type().unwrap().unwrap(),
            message.header.yiaddr(),
        ))
    }
}

/// A DHCPv4 message of client `number`, broadcast.
fn message_v4(number: u8, kind: MessageType, options: &[(u8, &[u8])]) -> Vec<u8> {
    let chaddr = [2, 0, 0, 0, 1, number];
    let mut header = Header::new(1);
    header.htype = 1;
    header.hlen = 6;
    header.xid = 7.into();
    header.chaddr[..6].copy_from_slice(&chaddr);
    let addresses = Addresses::V4 {
        source: Ipv4Addr::UNSPECIFIED,
        destination: Ipv4Addr::BROADCAST,
    };
    frame(chaddr, addresses, (68, 67), |room| {
        let mut builder = dhcp_wire::v4::Builder::new(room, 548, &header).unwrap();
        builder.push(code::MESSAGE_TYPE, &[kind.0]).unwrap();
        for (code, data) in options {
            builder.push(*code, data).unwrap();
        }
        builder.finish()
    })
}

fn discover(number: u8) -> Vec<u8> {
    message_v4(number, MessageType::DISCOVER, &[])
}

fn request(number: u8, address: Ipv4Addr) -> Vec<u8> {
    let options = [
        (code::REQUESTED_ADDRESS, &address.octets()[..]),
        (code::SERVER_IDENTIFIER, &SERVER.octets()[..]),
    ];
    message_v4(number, MessageType::REQUEST, &options)
}

fn message_v6(number: u8, kind: v6::MessageType, server: Option<&[u8]>) -> Vec<u8> {
    let addresses = Addresses::V6 {
        source: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, u16::from(number)),
        destination: crate::interface::ALL_RELAY_AGENTS_AND_SERVERS,
    };
    frame([2, 0, 0, 0, 1, number], addresses, (546, 547), |room| {
        let mut builder = v6::Builder::new(room);
        builder.message(kind, [1, 2, 3]).unwrap();
        builder
            .option(OptionCode::CLIENT_ID, &[0, 3, 0, 1, 2, 0, 0, 0, 1, number])
            .unwrap();
        if let Some(server) = server {
            builder.option(OptionCode::SERVER_ID, server).unwrap();
        }
        builder
            .ia(OptionCode::IA_NA, Iaid(1), 0, 0, |_| Ok(()))
            .unwrap();
        builder.len()
    })
}

fn frame(
    source_mac: [u8; 6],
    addresses: Addresses,
    (source_port, destination_port): (u16, u16),
    payload: impl FnOnce(&mut [u8]) -> usize,
) -> Vec<u8> {
    let envelope = Envelope {
        source_mac: MacAddress(source_mac),
        destination_mac: MacAddress::BROADCAST,
        tags: Tags::default(),
        addresses,
        source_port,
        destination_port,
    };
    let mut frame = vec![0; FRAME_SIZE_MAX];
    let payload_len = payload(&mut frame[envelope.header_len()..]);
    let len = envelope.emit(&mut frame, payload_len).unwrap();
    frame.truncate(len);
    frame
}

#[test]
fn a_v4_exchange_promises_nothing_that_is_not_durable() {
    let mut bench = Bench::new(Durability::Power);
    bench.port.arrive(&discover(1));
    assert_eq!(bench.serve(), 1);
    let (kind, address) = bench.sent_v4().unwrap();
    assert_eq!(
        kind,
        MessageType::OFFER,
        "an offer changes nothing, so it leaves at once"
    );

    bench.port.arrive(&request(1, address));
    bench.serve();
    assert_eq!(bench.sent_v4(), None, "the ACK waits for the disk");
    assert!(bench.shard.is_waiting());
    // The client repeats itself before the disk is done.
    bench.port.arrive(&request(1, address));
    bench.serve();
    assert_eq!(bench.sent_v4(), None);

    assert_eq!(bench.sync(true), 1, "the same once more is not written");
    assert_eq!(bench.settle(), 1);
    assert_eq!(bench.sent_v4(), Some((MessageType::ACK, address)));
    assert!(!bench.shard.is_waiting());
    let totals = bench.counters.totals();
    assert_eq!(
        (totals.frames, totals.sent, totals.parked, totals.logs),
        (3, 2, 1, 1)
    );
    assert_eq!(totals.sent_v4, [1, 1, 0, 0, 0, 0, 0]);
    assert_eq!(totals.discarded(Discard::Duplicate), 1);

    // Once the lease is durable, saying so again takes no disk.
    bench.port.arrive(&request(1, address));
    bench.serve();
    assert_eq!(bench.sent_v4(), Some((MessageType::ACK, address)));
    assert_eq!(bench.counters.totals().logs, 1);
}

#[test]
fn a_v4_exchange_that_only_has_to_survive_the_process_waits_for_nothing() {
    let mut bench = Bench::new(Durability::Process);
    bench.port.arrive(&discover(1));
    bench.serve();
    let (_, address) = bench.sent_v4().unwrap();
    bench.port.arrive(&request(1, address));
    bench.serve();
    assert_eq!(bench.sent_v4(), Some((MessageType::ACK, address)));
    assert_eq!(bench.counters.totals().logs, 0);
}

#[test]
fn a_v6_exchange_promises_nothing_that_is_not_durable() {
    let mut bench = Bench::new(Durability::Power);
    let types = |bench: &mut Bench| {
        let mut types = Vec::new();
        bench.port.drain_sent(|frame| {
            types.push(Datagram::parse(frame).unwrap().payload[0]);
        });
        types
    };
    bench
        .port
        .arrive(&message_v6(1, v6::MessageType::Solicit, None));
    bench.serve();
    assert_eq!(types(&mut bench), [v6::MessageType::Advertise as u8]);
    let server = bench.policy.server_duid.clone();
    bench.port.arrive(&message_v6(
        1,
        v6::MessageType::Request,
        Some(server.as_slice()),
    ));
    bench.serve();
    assert_eq!(types(&mut bench), [0u8; 0]);
    bench.sync(true);
    bench.settle();
    assert_eq!(types(&mut bench), [v6::MessageType::Reply as u8]);
    let totals = bench.counters.totals();
    assert_eq!(totals.sent_v6[v6::MessageType::Advertise as usize], 1);
    assert_eq!(totals.sent_v6[v6::MessageType::Reply as usize], 1);
}

#[test]
fn replies_that_waited_when_the_disk_failed_never_leave_and_their_leases_count() {
    let mut bench = Bench::new(Durability::Power);
    bench.port.arrive(&discover(1));
    bench.serve();
    let (_, address) = bench.sent_v4().unwrap();
    bench.port.arrive(&request(1, address));
    bench.serve();
    let error = std::io::Error::other("test");
    let trouble = Trouble::new(Cause::JournalSync, Path::new("journal"), &error);
    bench.state.suspend(trouble);
    bench.settle();
    assert_eq!(bench.port.discarded(), 1, "its frame is free for others");
    assert!(bench.shard.is_waiting(), "its log is under way");
    // The disk works again.
    bench.state.resume();
    bench.sync(true);
    assert_eq!(bench.settle(), 1);
    assert_eq!(bench.sent_v4(), None);
    assert!(!bench.shard.is_waiting());
    // The client asks again, and has what it asked for.
    bench.port.arrive(&request(1, address));
    bench.serve();
    bench.sync(true);
    bench.settle();
    assert_eq!(bench.sent_v4(), Some((MessageType::ACK, address)));
}

#[test]
fn after_a_disk_error_nothing_is_promised_any_more() {
    let mut bench = Bench::new(Durability::Power);
    bench.port.arrive(&discover(1));
    bench.serve();
    let (_, address) = bench.sent_v4().unwrap();
    bench.port.arrive(&request(1, address));
    bench.serve();
    let error = std::io::Error::other("test");
    let trouble = Trouble::new(Cause::JournalSync, Path::new("journal"), &error);
    bench.state.suspend(trouble);
    bench.sync(false);
    bench.settle();
    assert_eq!(bench.sent_v4(), None);
    // A later sync that says "all well" would be a lie; and an offer could not be kept.
    bench.port.arrive(&request(1, address));
    bench.port.arrive(&discover(2));
    assert_eq!(bench.serve(), 2);
    assert_eq!(bench.sent_v4(), None);
    assert!(!bench.shard.is_waiting());
    assert_eq!(
        bench.counters.totals().discarded(Discard::StoreUnavailable),
        3
    );
    assert_eq!(bench.port.discarded(), 3);
}

#[test]
fn every_frame_of_a_mixed_batch_ends_exactly_once_and_in_order() {
    let mut bench = Bench::new(Durability::Process);
    let mut damaged = discover(3);
    damaged[60] ^= 1;
    let mut arp = vec![0; 60];
    arp[12..14].copy_from_slice(&[8, 6]);
    for frame in [discover(1), damaged, discover(2), arp, discover(3), vec![]] {
        bench.port.arrive(&frame);
    }
    assert_eq!(bench.serve(), 6);
    let mut clients = Vec::new();
    bench.port.drain_sent(|frame| {
        let datagram = Datagram::parse(frame).unwrap();
        clients.push(Message::parse(datagram.payload).unwrap().header.chaddr[5]);
    });
    assert_eq!(clients, [1, 2, 3]);
    assert_eq!(bench.port.discarded(), 3);
    let totals = bench.counters.totals();
    assert_eq!(totals.discarded(Discard::Checksum), 1);
    assert_eq!(totals.discarded(Discard::Frame), 2);
    assert_eq!(
        totals.frames,
        totals.sent + totals.discards.iter().sum::<u64>()
    );
}

#[test]
fn a_pool_of_ten_serves_ten_clients_and_not_the_eleventh() {
    let mut bench = Bench::new(Durability::Process);
    for number in 1..=11 {
        bench.port.arrive(&discover(number));
    }
    bench.serve();
    let mut offered = Vec::new();
    while let Some((kind, address)) = bench.sent_v4() {
        assert_eq!(kind, MessageType::OFFER);
        offered.push(address);
    }
    offered.sort_unstable();
    offered.dedup();
    assert_eq!(offered.len(), 10);
    assert_eq!(bench.counters.totals().discarded(Discard::NoAddress), 1);
}

/// Under load a write is shared; without, it begins at once.
#[test]
fn a_log_takes_in_batches_until_it_is_worth_a_write_or_nothing_more_comes() {
    let mut bench = Bench::new(Durability::Power);
    for number in 1..=2 {
        bench.port.arrive(&discover(number));
        bench.serve();
        let (_, address) = bench.sent_v4().unwrap();
        bench.port.arrive(&request(number, address));
        bench.serve_on();
        assert!(bench.shard.is_waiting());
        // The next DISCOVER's batch says that nothing more comes, for both.
    }
    assert_eq!(
        bench.sync(true),
        1,
        "the first log was submitted with the second DISCOVER"
    );
    assert_eq!(bench.settle(), 1);
    assert_eq!(bench.sent_v4().unwrap().0, MessageType::ACK);
    assert_eq!(bench.sync(true), 0);
    assert_eq!(bench.serve(), 0, "nothing more comes");
    assert_eq!(bench.sync(true), 1);
    assert_eq!(bench.settle(), 1);
    assert_eq!(bench.sent_v4().unwrap().0, MessageType::ACK);
    assert!(!bench.shard.is_waiting());

    // The same client goes on renewing, a frame a batch: it waits for so many others and no more.
    let (_, address) = {
        bench.port.arrive(&discover(3));
        bench.serve();
        bench.sent_v4().unwrap()
    };
    for batch in 1..=BATCHES_PER_LOG {
        assert_eq!(bench.sync(true), 0, "after {batch} batches");
        bench.port.arrive(&request(3, address));
        bench.serve_on();
    }
    assert_eq!(bench.sync(true), 1);
}

#[test]
fn while_every_log_is_under_way_nothing_more_is_received() {
    let mut bench = Bench::new(Durability::Power);
    for number in 1..=LOGS_PER_WORKER as u8 {
        bench.port.arrive(&discover(number));
        bench.serve();
        let (_, address) = bench.sent_v4().unwrap();
        assert!(bench.shard.can_serve());
        bench.port.arrive(&request(number, address));
        bench.serve();
    }
    assert!(!bench.shard.can_serve());
    bench.port.arrive(&discover(100));
    assert_eq!(bench.serve(), 0);
    assert_eq!(bench.port.waiting(), 1);
    assert_eq!(bench.sync(true), LOGS_PER_WORKER);
    assert_eq!(bench.settle(), LOGS_PER_WORKER);
    assert_eq!(bench.serve(), 1);
}

/// A leasequery of 10.0.0.9 for an address.
fn leasequery(address: Ipv4Addr) -> Vec<u8> {
    let requestor = Ipv4Addr::new(10, 0, 0, 9);
    let mut header = Header::new(1);
    header.ciaddr = address.octets();
    header.giaddr = requestor.octets();
    let addresses = Addresses::V4 {
        source: requestor,
        destination: SERVER,
    };
    frame([2, 0, 0, 0, 2, 9], addresses, (67, 67), |room| {
        let mut builder = dhcp_wire::v4::Builder::new(room, 548, &header).unwrap();
        let kind = MessageType::LEASEQUERY;
        builder.push(code::MESSAGE_TYPE, &[kind.0]).unwrap();
        builder.finish()
    })
}

// RFC 4388 section 7 [leasequery-flood]: what is beyond the rate is dropped, and the next second is a new one.
#[test]
fn leasequeries_are_answered_once_filed_and_up_to_the_rate() {
    let mut bench = Bench::new(Durability::Process);
    let free = Ipv4Addr::new(192, 0, 2, 250);
    bench.port.arrive(&leasequery(free));
    bench.serve();
    assert_eq!(bench.sent_v4(), None, "nobody may ask");
    bench.policy.leasequery = Some(Leasequery {
        requestors: vec![Requestors {
            network: Ipv4Addr::new(10, 0, 0, 9),
            prefix_len: 32,
        }],
        rate_max: 3,
        options: Box::new([code::LEASE_TIME]),
    });
    bench.port.arrive(&leasequery(free));
    bench.serve();
    assert_eq!(bench.sent_v4(), None, "the leases are not filed");

    bench.port.arrive(&discover(1));
    bench.serve();
    let (_, address) = bench.sent_v4().unwrap();
    bench.port.arrive(&request(1, address));
    bench.serve();
    assert!(bench.sent_v4().is_some());
    bench.shard.partitions.file_all(|| false);
    for _ in 0..2 {
        bench.port.arrive(&leasequery(address));
    }
    bench.port.arrive(&leasequery(free));
    // A client in between has its answer whatever the requestors do.
    bench.port.arrive(&discover(2));
    assert_eq!(bench.serve(), 4);
    let kinds: Vec<_> = std::iter::from_fn(|| bench.sent_v4())
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(
        kinds,
        [
            MessageType::LEASEACTIVE,
            MessageType::LEASEACTIVE,
            MessageType::OFFER
        ],
        "one of the three was there before the leases were filed, in the same second"
    );
    let totals = bench.counters.totals();
    let counted = |reason| totals.discarded(reason);
    assert_eq!(counted(dhcp_core::Discard::LeasequeryOff), 1);
    assert_eq!(counted(dhcp_core::Discard::LeasequeryUnready), 1);
    assert_eq!(counted(dhcp_core::Discard::LeasequeryRate), 1);
    assert_eq!(totals.received_v4[10], 4);
    assert_eq!(totals.sent_v4[4..], [0, 0, 2]);
}

/// OFFERs wait for the probe of their addresses: they leave when nobody answered, end when somebody did or nothing was
/// found out in time, and hold up nothing else.
#[test]
fn an_offer_waits_for_the_probe_of_its_address() {
    let mut bench = Bench::new(Durability::Power);
    let probes = Arc::new(Probes::default());
    bench.policy.probes = Some(Arc::clone(&probes));
    let probe = Probe {
        requests: 1,
        reply_timeout_millis: 100,
        quiet_seconds: 60,
    };
    bench.policy.networks_v4.edit(|networks| {
        networks[0].subnets[0].probe = Some(probe);
    });
    for number in 1..=3 {
        bench.port.arrive(&discover(number));
        assert_eq!(bench.serve(), 1);
    }
    assert_eq!(bench.sent_v4(), None);
    assert_eq!(bench.release(NOW), 0);
    assert!(!bench.shard.has_findings(&bench.policy));
    let address = |last| Ipv4Addr::new(10, 0, 0, last);
    probes.answer(address(10), Finding::Clear, NOW);
    probes.answer(address(11), Finding::Used, NOW);
    assert!(bench.shard.has_findings(&bench.policy));
    assert_eq!(bench.release(NOW), 2);
    assert_eq!(bench.sent_v4(), Some((MessageType::OFFER, address(10))));
    assert_eq!(bench.sent_v4(), None);
    // The third is told nothing, and is let go in time.
    assert_eq!(bench.release(Timestamp(NOW.0 + 2)), 0);
    assert_eq!(bench.release(Timestamp(NOW.0 + 3)), 1);
    // Whoever met the used address asks again: it is declined, and the OFFER of the next one waits for the disk and
    // then for its own probe.
    bench.port.arrive(&discover(2));
    bench.serve();
    assert_eq!(bench.release(NOW), 0);
    bench.sync(true);
    bench.settle();
    assert_eq!(bench.sent_v4(), None);
    probes.answer(address(13), Finding::Clear, NOW);
    assert_eq!(bench.release(NOW), 1);
    assert_eq!(bench.sent_v4(), Some((MessageType::OFFER, address(13))));
    // A thread that ends lets everybody go.
    bench.port.arrive(&discover(5));
    bench.serve();
    let Bench { shard, port, .. } = &mut bench;
    shard.dismiss(port);
    let totals = bench.counters.totals();
    let counted = |reason| totals.discarded(reason);
    assert_eq!(counted(dhcp_core::Discard::Probing), 2);
    assert_eq!(counted(dhcp_core::Discard::ProbedInUse), 1);
    assert_eq!(totals.sent_v4[0], 2);
}

/// The lobby has room for so many; who comes later asks again.
#[test]
fn a_full_lobby_turns_offers_away() {
    let mut lobby = super::lobby::Lobby::default();
    let reply = || super::Reply {
        frame: (),
        len: 0,
        label: super::Label::V4(v4::Verdict::Offer),
        probed: Some((SERVER, NOW)),
    };
    let admitted = (0..1000).filter(|_| lobby.admit(reply()).is_ok());
    assert_eq!(admitted.count(), 256);
    assert_eq!(lobby.drain().count(), 256);
    assert!(lobby.admit(reply()).is_ok());
}
