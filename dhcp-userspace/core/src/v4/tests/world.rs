//! A server in a test tube, made of public types only: a policy, an interface, partitions, a clock.

use crate::class::Access;
use crate::networks::Place;
use crate::options::{ConfiguredOption, OptionSet, Sending};
use crate::subnet::{
    AgentPolicy, Hosts, Interface, LeaseCache, Lifetimes, Network, Policy, PoolOptions, Preference,
    Reservation, Reservations, ReservedBy, Rules, Subnet4,
};
use crate::v4::{Answer, Query, classify, decide, reply};
use crate::{Discard, v4};
use dhcp_lease::{
    Binding, ChangeLog, Durability, Key, Lease, Partitions, PoolIndex, PoolRange, Pools, State,
    SubnetId, Timestamp,
};
use dhcp_wire::frame::{Addresses, Datagram, Envelope, MacAddress, Tags};
use dhcp_wire::v4::{Builder, Header, Message, MessageType, Region, code};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::{Deref, DerefMut};

pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const SERVER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
pub(super) const RELAY: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
pub(super) const RELAY_MAC: MacAddress = MacAddress([2, 0, 0, 0, 3, 1]);
pub(super) const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
pub(super) const LEASE: u32 = 3600;

pub(super) fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// The hardware address of client `number`.
pub(super) fn mac(number: u8) -> [u8; 6] {
    [2, 0, 0, 0, 1, number]
}

pub(super) fn options(list: &[(u16, &[u8], bool)]) -> OptionSet {
    OptionSet::layered(
        list.iter()
            .map(|&(code, data, always_send)| ConfiguredOption {
                code,
                data: data.into(),
                sending: if always_send {
                    Sending::Always
                } else {
                    Sending::Asked
                },
            }),
    )
}

fn range(first: &str, count: u64) -> PoolRange {
    PoolRange {
        first: Lease::V4(ip(first)),
        count,
    }
}

pub(super) fn subnet(id: u32, network: &str, pools: &[u32]) -> Subnet4 {
    let [a, b, c, _] = ip(network).octets();
    Subnet4 {
        id: SubnetId(id),
        network: ip(network),
        prefix_len: 24,
        pools: pools.iter().map(|&number| PoolIndex(number)).collect(),
        relays: Vec::new(),
        interface: None,
        lifetimes: Lifetimes {
            valid: LEASE,
            valid_min: 600,
            valid_max: 7200,
            preferred: LEASE,
            renew: None,
            rebind: None,
            cache: LeaseCache::default(),
            adaptive_millionths: None,
        },
        options: options(&[
            (3, &[a, b, c, 1], false),
            (6, &[9, 9, 9, 9], false),
            (15, b"example.net", false),
            (42, &[10, 0, 0, 7], true),
        ]),
        pool_options: PoolOptions::default(),
        reservations: Reservations::default(),
        access: Access::default(),
        server_identifier: None,
        next_server: NONE,
        server_hostname: Box::default(),
        boot_file_name: Box::default(),
        rapid_commit: false,
        probe: None,
        rules: Rules::default(),
        agents: AgentPolicy::default(),
        limits: Default::default(),
    }
}

/// Server, leases and clock.
pub(super) struct World {
    pub(super) policy: Policy,
    pub(super) interface: Interface,
    pub(super) partitions: Partitions,
    pub(super) log: ChangeLog,
    pub(super) now: Timestamp,
    /// Whether what is written is durable at once.
    pub(super) settles: bool,
    /// Whether the last message changed what is on record.
    pub(super) has_written: bool,
    /// Whether the last answer had no room for the relay agent's option.
    pub(super) lacks_agent_option: bool,
    query: Query,
    reserved: Vec<Lease>,
}

/// A subnet that is being changed; it is the policy's when this is dropped.
pub(super) struct Changed<'w> {
    policy: &'w mut Policy,
    place: Place,
    subnet: Subnet4,
}

impl Deref for Changed<'_> {
    type Target = Subnet4;

    fn deref(&self) -> &Subnet4 {
        &self.subnet
    }
}

impl DerefMut for Changed<'_> {
    fn deref_mut(&mut self) -> &mut Subnet4 {
        &mut self.subnet
    }
}

impl Drop for Changed<'_> {
    fn drop(&mut self) {
        let Self {
            policy,
            place,
            subnet,
        } = self;
        let change = |networks: &mut Vec<Network<Subnet4>>| {
            networks[place.network].subnets[place.subnet] = subnet.clone();
        };
        policy.networks_v4.edit(change);
    }
}

const POOLS: [(&str, u64); 3] = [("10.0.0.10", 4), ("10.0.1.10", 2), ("10.3.0.10", 100)];

impl World {
    /// Changes the rules of all subnets.
    pub(super) fn set_rules(&mut self, change: impl Fn(&mut Rules)) {
        self.policy.networks_v4.edit(|networks| {
            for subnet in networks.iter_mut().flat_map(|network| &mut network.subnets) {
                change(&mut subnet.rules);
            }
        });
    }

    /// The link of the interface: 10.0.0.0/24 (10 to 13) and 10.0.1.0/24 (10 and 11), one shared network.
    /// Behind relay agents: 10.3.0.0/24 (10 to 109).
    pub(super) fn new() -> Self {
        let ranges = POOLS.map(|(first, count)| range(first, count));
        let mut relayed = subnet(3, "10.3.0.0", &[2]);
        relayed.relays.push(ip("192.0.2.9"));
        let here = vec![subnet(1, "10.0.0.0", &[0]), subnet(2, "10.0.1.0", &[1])];
        let policy = Policy {
            networks_v4: vec![
                Network {
                    name: "here".into(),
                    subnets: here,
                    options: OptionSet::default(),
                    access: Access::default(),
                },
                Network {
                    name: String::new(),
                    subnets: vec![relayed],
                    options: OptionSet::default(),
                    access: Access::default(),
                },
            ]
            .into(),
            pools: Pools::new(&ranges, &[]),
            offer_lifetime_seconds: 60,
            decline_probation_seconds: 600,
            decline_probation_seconds_max: 86_400,
            preference_v4: Preference::Former,
            preference_v6: Preference::Requested,
            alarms: crate::alarms::Alarms::default(),
            leasequery: None,
            hosts_v4: Hosts::default(),
            hosts_v6: Hosts::default(),
            ..Policy::default()
        };
        Self {
            policy,
            interface: Interface {
                name: "eth0".into(),
                mac: SERVER_MAC,
                v4: vec![SERVER],
                ..Interface::default()
            },
            partitions: Partitions::in_memory(4, 64, Durability::Power),
            log: ChangeLog::with_capacity(64),
            now: Timestamp(1_000_000),
            settles: true,
            has_written: false,
            lacks_agent_option: false,
            query: Query::default(),
            reserved: Vec::new(),
        }
    }

    /// A subnet to be changed, as a reload of the configuration would.
    pub(super) fn subnet(&mut self, network: usize, subnet: usize) -> Changed<'_> {
        let place = Place { network, subnet };
        Changed {
            subnet: self.policy.networks_v4.subnet(place).unwrap().clone(),
            policy: &mut self.policy,
            place,
        }
    }

    /// Reserves an address of the interface's first subnet, as a reload of the configuration would.
    pub(super) fn reserve(&mut self, by: ReservedBy, identifier: &[u8], address: &str) {
        let lease = Lease::V4(ip(address));
        let mut subnet = self.subnet(0, 0);
        let reservation = Reservation {
            leases: vec![lease],
            hostname: b"named"[..].into(),
            ..Reservation::default()
        };
        subnet.reservations.insert(by, identifier, reservation);
        drop(subnet);
        self.reserved.push(lease);
        let ranges = POOLS.map(|(first, count)| range(first, count));
        self.policy.pools = Pools::succeed(&self.policy.pools, &ranges, &self.reserved);
        self.partitions.mark_held(&self.policy.pools);
    }

    /// Serves one frame as the data path does. What an ACK promises must be in the change log or on record
    /// already, and nothing else but a RELEASE or DECLINE may be in the log.
    pub(super) fn serve(&mut self, request: &[u8]) -> Result<Reply, Discard> {
        let mut frame = [0xee; 1792];
        frame[..request.len()].copy_from_slice(request);
        let datagram = Datagram::parse(&frame[..request.len()]).map_err(|_| Discard::Frame)?;
        let Self {
            policy,
            interface,
            query,
            ..
        } = self;
        classify(
            datagram.payload,
            &datagram.envelope,
            interface,
            policy,
            query,
        )?;
        let answer = self.decide()?;
        let written = reply(&self.query, &answer, &self.policy, &mut frame)?;
        self.lacks_agent_option = written.lacks_agent_option;
        Ok(Reply::read(&frame[..written.len], answer))
    }

    fn decide(&mut self) -> Result<Answer, Discard> {
        let Self {
            policy,
            partitions,
            log,
            query,
            now,
            ..
        } = self;
        let index = partitions.index_of(query.key().spread_octets());
        let mut partition = partitions.lock(index).unwrap();
        let before = log.is_empty();
        let answer = decide(query, policy, &mut partition, log, *now);
        drop(partition);
        assert!(before);
        let granted = answer.is_ok_and(|answer| {
            use v4::Verdict::{Ack, BootReply, RapidAck};
            matches!(answer.verdict, Ack | RapidAck | BootReply)
        });
        let ended = matches!(
            answer,
            Err(Discard::Released | Discard::Declined | Discard::DeclineOverLimit)
        );
        self.has_written = !log.is_empty();
        // Who probes addresses sets those aside that are in use.
        let sets_aside = policy.probes.is_some() && self.has_written;
        assert!(
            granted || sets_aside || ended == self.has_written,
            "nothing else is written"
        );
        if self.settles {
            partitions.settle(log, &policy.pools);
        }
        if let Some(answer) = answer.ok().filter(|_| granted) {
            let record = &self.bindings()[&answer.address];
            assert!(
                record.expires >= self.now.after(answer.lease_seconds),
                "no more is promised than is written"
            );
        }
        answer
    }

    /// Lets time pass; with `tick`, what ended is cleared up.
    pub(super) fn pass(&mut self, seconds: u64, tick: bool) {
        self.now = Timestamp(self.now.0 + seconds);
        if tick {
            for index in 0..self.partitions.len() {
                let mut partition = self.partitions.lock(index).unwrap();
                partition.tick(self.now, 1000, &self.policy.pools);
            }
        }
    }

    /// Takes a client through DISCOVER and REQUEST; its address.
    pub(super) fn lease(&mut self, client: &Client) -> Ipv4Addr {
        let offer = self.serve(&client.discover().frame()).unwrap();
        assert_eq!(offer.message_type(), MessageType::OFFER);
        let ack = self
            .serve(&client.selecting(offer.yiaddr()).frame())
            .unwrap();
        assert_eq!(ack.message_type(), MessageType::ACK);
        assert_eq!(ack.yiaddr(), offer.yiaddr());
        ack.yiaddr()
    }

    /// Writes a binding over its client's.
    pub(super) fn write(&mut self, binding: &Binding) {
        let key = Key {
            kind: binding.lease.kind(),
            client: binding.client.as_slice(),
            hardware: binding.hardware,
            iaid: binding.iaid,
        };
        let index = self.partitions.index_of(key.spread_octets());
        let mut partition = self.partitions.lock(index).unwrap();
        let slot = partition.find(&key, |_| true);
        let (pools, now) = (&self.policy.pools, self.now);
        partition
            .commit(slot, binding, pools, &mut self.log, now)
            .unwrap();
        drop(partition);
        self.partitions.settle(&mut self.log, &self.policy.pools);
    }

    /// All bindings, by address.
    pub(super) fn bindings(&self) -> BTreeMap<Ipv4Addr, Binding> {
        let mut bindings = BTreeMap::new();
        self.partitions.for_each(|binding| {
            let Lease::V4(address) = binding.lease else {
                panic!("not DHCPv4")
            };
            let quarantined = binding.state == State::Declined && binding.expires > self.now;
            let holds = binding.is_live(self.now) || quarantined;
            if holds && let Some(other) = bindings.insert(address, binding.clone()) {
                panic!("{address} has two holders: {other:?}, {binding:?}");
            }
        });
        bindings
    }
}

/// Who sends, and from where.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) mac: [u8; 6],
    pub(super) id: Vec<u8>,
    pub(super) giaddr: Ipv4Addr,
    pub(super) agent: Vec<u8>,
}

impl Client {
    /// On the interface's link, known by its hardware address.
    pub(super) fn new(number: u8) -> Self {
        Self {
            mac: mac(number),
            id: Vec::new(),
            giaddr: NONE,
            agent: Vec::new(),
        }
    }

    pub(super) fn with_id(mut self, id: &[u8]) -> Self {
        self.id = id.to_vec();
        self
    }

    /// Behind a relay agent that adds option 82 with these sub-options.
    pub(super) fn behind(mut self, giaddr: Ipv4Addr, agent: &[u8]) -> Self {
        self.giaddr = giaddr;
        self.agent = agent.to_vec();
        self
    }

    pub(super) fn ask(&self, message_type: MessageType) -> Request {
        let mut header = Header::new(1);
        (header.htype, header.hlen) = (1, 6);
        header.xid.set(0x1234_5678);
        header.secs.set(3);
        header.chaddr[..6].copy_from_slice(&self.mac);
        header.giaddr = self.giaddr.octets();
        let mut options = vec![(code::MESSAGE_TYPE, vec![message_type.0])];
        if !self.id.is_empty() {
            options.push((code::CLIENT_IDENTIFIER, self.id.clone()));
        }
        let relayed = !self.giaddr.is_unspecified();
        let (source, destination) = if relayed {
            (self.giaddr, SERVER)
        } else {
            (NONE, Ipv4Addr::BROADCAST)
        };
        let source_mac = if relayed {
            RELAY_MAC
        } else {
            MacAddress(self.mac)
        };
        let envelope = Envelope {
            source_mac,
            destination_mac: if relayed {
                SERVER_MAC
            } else {
                MacAddress::BROADCAST
            },
            tags: Tags::default(),
            addresses: Addresses::V4 {
                source,
                destination,
            },
            source_port: if relayed { 67 } else { 68 },
            destination_port: 67,
        };
        Request {
            header,
            options,
            agent: self.agent.clone(),
            envelope,
        }
    }

    pub(super) fn discover(&self) -> Request {
        self.ask(MessageType::DISCOVER)
    }

    pub(super) fn selecting(&self, address: Ipv4Addr) -> Request {
        self.init_reboot(address)
            .option(code::SERVER_IDENTIFIER, &SERVER.octets())
    }

    pub(super) fn init_reboot(&self, address: Ipv4Addr) -> Request {
        self.ask(MessageType::REQUEST)
            .option(code::REQUESTED_ADDRESS, &address.octets())
    }

    pub(super) fn renewing(&self, address: Ipv4Addr) -> Request {
        self.rebinding(address).unicast_from(address)
    }

    pub(super) fn rebinding(&self, address: Ipv4Addr) -> Request {
        self.ask(MessageType::REQUEST).ciaddr(address)
    }

    pub(super) fn decline(&self, address: Ipv4Addr) -> Request {
        let decline = self.ask(MessageType::DECLINE);
        decline
            .option(code::SERVER_IDENTIFIER, &SERVER.octets())
            .option(code::REQUESTED_ADDRESS, &address.octets())
    }

    pub(super) fn release(&self, address: Ipv4Addr) -> Request {
        let release = self
            .ask(MessageType::RELEASE)
            .ciaddr(address)
            .unicast_from(address);
        release.option(code::SERVER_IDENTIFIER, &SERVER.octets())
    }
}

/// A message of a client.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) header: Header,
    pub(super) options: Vec<(u8, Vec<u8>)>,
    pub(super) agent: Vec<u8>,
    pub(super) envelope: Envelope,
}

impl Request {
    pub(super) fn option(mut self, code: u8, data: &[u8]) -> Self {
        self.options.push((code, data.to_vec()));
        self
    }

    pub(super) fn ciaddr(mut self, address: Ipv4Addr) -> Self {
        self.header.ciaddr = address.octets();
        self
    }

    pub(super) fn broadcast_bit(mut self) -> Self {
        self.header.flags.set(0x8000);
        self
    }

    pub(super) fn unicast_from(mut self, source: Ipv4Addr) -> Self {
        self.envelope.addresses = Addresses::V4 {
            source,
            destination: SERVER,
        };
        self.envelope.destination_mac = SERVER_MAC;
        self
    }

    pub(super) fn frame(&self) -> Vec<u8> {
        let mut frame = vec![0; 1792];
        let start = self.envelope.header_len();
        let mut builder = Builder::new(&mut frame[start..], 1472, &self.header).unwrap();
        for (code, data) in &self.options {
            builder.push(*code, data).unwrap();
        }
        let agent = [
            &[code::RELAY_AGENT, self.agent.len() as u8],
            &self.agent[..],
        ]
        .concat();
        if !self.agent.is_empty() {
            builder.reserve_last(&agent).unwrap();
        }
        let payload_len = builder.finish();
        let len = self.envelope.emit(&mut frame, payload_len).unwrap();
        frame.truncate(len);
        frame
    }
}

/// What the server sent.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) envelope: Envelope,
    pub(super) header: Header,
    /// Codes in the order in which they stand.
    pub(super) order: Vec<u8>,
    pub(super) options: BTreeMap<u8, Vec<u8>>,
    pub(super) payload: Vec<u8>,
}

impl Reply {
    fn read(frame: &[u8], answer: Answer) -> Self {
        let Datagram { envelope, payload } = Datagram::parse(frame).unwrap();
        assert!(payload.len() >= 300 && payload.len() <= 1472);
        let message = Message::parse(payload).unwrap();
        let (mut order, mut options) = (Vec::new(), BTreeMap::<u8, Vec<u8>>::new());
        for piece in message.options() {
            let piece = piece.unwrap();
            if piece.code == code::RELAY_AGENT {
                assert_eq!(piece.region, Region::Options);
            }
            order.push(piece.code);
            options.entry(piece.code).or_default().extend(piece.data);
        }
        let header = *message.header;
        assert_eq!((header.op, header.hops, header.secs.get()), (2, 0, 0));
        assert_eq!(envelope.source_mac, SERVER_MAC);
        assert_eq!(envelope.source_port, 67);
        let payload = payload.to_vec();
        Self {
            answer,
            envelope,
            header,
            order,
            options,
            payload,
        }
    }

    pub(super) fn message_type(&self) -> MessageType {
        MessageType(self.options[&code::MESSAGE_TYPE][0])
    }

    pub(super) fn yiaddr(&self) -> Ipv4Addr {
        self.header.yiaddr()
    }

    pub(super) fn seconds(&self, code: u8) -> u32 {
        u32::from_be_bytes(self.options[&code][..].try_into().unwrap())
    }

    /// Destination address, Ethernet address and port.
    pub(super) fn to(&self) -> (Ipv4Addr, MacAddress, u16) {
        let Addresses::V4 {
            source,
            destination,
        } = self.envelope.addresses
        else {
            panic!("not IPv4");
        };
        assert_eq!(source, SERVER);
        (
            destination,
            self.envelope.destination_mac,
            self.envelope.destination_port,
        )
    }
}

/// The refusal in a NAK.
pub(super) fn refusal(outcome: Result<Reply, Discard>) -> v4::Refusal {
    let reply = outcome.unwrap();
    assert_eq!(reply.message_type(), MessageType::NAK);
    match reply.answer.verdict {
        v4::Verdict::Nak(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// The address in an ACK.
pub(super) fn acked(outcome: Result<Reply, Discard>) -> Ipv4Addr {
    let reply = outcome.unwrap();
    assert_eq!(reply.message_type(), MessageType::ACK, "{reply:?}");
    reply.yiaddr()
}

/// The address in an OFFER.
pub(super) fn offered(outcome: Result<Reply, Discard>) -> Ipv4Addr {
    let reply = outcome.unwrap();
    assert_eq!(reply.message_type(), MessageType::OFFER);
    reply.yiaddr()
}

/// Why there was no answer.
pub(super) fn silence(outcome: Result<Reply, Discard>) -> Discard {
    outcome.unwrap_err()
}
