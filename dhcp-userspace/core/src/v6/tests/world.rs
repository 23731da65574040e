//! A server with two links, and what its clients send and hear.

pub(super) use super::super::{Query, classify, decide, reply};
use crate::class::Access;
use crate::networks::Place;
pub(super) use crate::options::{ConfiguredOption, OptionSet, Sending};
pub(super) use crate::subnet::{
    LeaseCache, Lifetimes, Network, PoolOptions, Preference, Reservation, Reservations, ReservedBy,
    Subnet6,
};
pub(super) use crate::{Discard, Interface, Policy};
pub(super) use core::net::Ipv6Addr;
use core::ops::{Deref, DerefMut};
pub(super) use dhcp_lease::{
    ChangeLog, Durability, Lease, Partitions, PoolIndex, PoolRange, Pools, SubnetId, Timestamp,
};
pub(super) use dhcp_wire::frame::{Addresses, Datagram, Envelope, MacAddress, Tags};
pub(super) use dhcp_wire::id::{Duid, Iaid};
pub(super) use dhcp_wire::v6::{
    ALL_RELAY_AGENTS_AND_SERVERS, ALL_SERVERS, Builder, Ia, IaAddress, IaPrefix, MessageType,
    OptionCode, Packet, RelayHeader, StatusCode, ia_ta,
};

pub(super) const SERVER: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 1];
pub(super) const OTHER_SERVER: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 2];
pub(super) const ALICE: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 1, 1];
pub(super) const BOB: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 1, 2];
pub(super) const CAROL: &[u8] = &[0, 2, 0, 0, 1, 2, 3];
pub(super) const LINK_LOCAL: &str = "fe80::1";
pub(super) const GLOBAL: &str = "2001:db8:1::1";

pub(super) fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

pub(super) fn address(text: &str) -> Lease {
    Lease::Address(v6(text))
}

pub(super) fn prefix(text: &str) -> Lease {
    let (prefix, len) = text.split_once('/').unwrap();
    Lease::Prefix(v6(prefix), len.parse().unwrap())
}

/// A subnet `2001:db8:N::/64` with 16 addresses from `::100` and 4 delegated /56 from `2001:db8:N00::`.
pub(super) fn subnet(number: u16, first_pool: u32) -> (Subnet6, [PoolRange; 2]) {
    let network = Ipv6Addr::new(0x2001, 0xdb8, number, 0, 0, 0, 0, 0);
    let first = Ipv6Addr::new(0x2001, 0xdb8, number, 0, 0, 0, 0, 0x100);
    let delegated = Ipv6Addr::new(0x2001, 0xdb8, number * 0x100, 0, 0, 0, 0, 0);
    let subnet = Subnet6 {
        id: SubnetId(u32::from(number)),
        network,
        prefix_len: 64,
        pools: vec![PoolIndex(first_pool)],
        pd_pools: vec![PoolIndex(first_pool + 1)],
        relays: Vec::new(),
        interface: None,
        interface_id: None,
        lifetimes: Lifetimes {
            valid: 4000,
            valid_min: 4000,
            valid_max: 4000,
            preferred: 3000,
            renew: None,
            rebind: None,
            cache: LeaseCache::default(),
            adaptive_millionths: None,
        },
        options: OptionSet::default(),
        pool_options: PoolOptions::default(),
        reservations: Reservations::default(),
        access: Access::default(),
        rapid_commit: false,
        preference: 0,
        limits: Default::default(),
    };
    let ranges = [
        PoolRange {
            first: Lease::Address(first),
            count: 16,
        },
        PoolRange {
            first: Lease::Prefix(delegated, 56),
            count: 4,
        },
    ];
    (subnet, ranges)
}

/// A subnet that is being changed; it is the policy's when this is dropped.
pub(super) struct Changed<'w> {
    policy: &'w mut Policy,
    place: Place,
    subnet: Subnet6,
}

impl Deref for Changed<'_> {
    type Target = Subnet6;

    fn deref(&self) -> &Subnet6 {
        &self.subnet
    }
}

impl DerefMut for Changed<'_> {
    fn deref_mut(&mut self) -> &mut Subnet6 {
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
        let change = |networks: &mut Vec<Network<Subnet6>>| {
            networks[place.network].subnets[place.subnet] = subnet.clone();
        };
        policy.networks_v6.edit(change);
    }
}

/// A server with the links 1 (its own) and 2 (behind relay agents).
pub(super) struct World {
    pub(super) policy: Policy,
    pub(super) ranges: Vec<PoolRange>,
    pub(super) interface: Interface,
    pub(super) partitions: Partitions,
    pub(super) log: ChangeLog,
    pub(super) now: Timestamp,
    pub(super) frame: Vec<u8>,
}

impl World {
    pub(super) fn new() -> Self {
        let (one, ranges_one) = subnet(1, 0);
        let (two, ranges_two) = subnet(2, 2);
        let ranges = [ranges_one, ranges_two].concat();
        let alone = |subnet| Network {
            name: String::new(),
            subnets: vec![subnet],
            options: OptionSet::default(),
            access: Access::default(),
        };
        let policy = Policy {
            networks_v6: vec![alone(one), alone(two)].into(),
            pools: Pools::new(&ranges, &[]),
            server_duid: Duid::new(SERVER).unwrap(),
            offer_lifetime_seconds: 60,
            decline_probation_seconds: 3600,
            decline_probation_seconds_max: 86_400,
            preference_v6: Preference::Requested,
            ..Policy::default()
        };
        let interface = Interface {
            name: "eth0".into(),
            mac: MacAddress([2, 0, 0, 0, 0, 1]),
            v4: Vec::new(),
            v6: vec![v6(GLOBAL)],
            link_local: Some(v6(LINK_LOCAL)),
        };
        Self {
            policy,
            ranges,
            interface,
            partitions: Partitions::in_memory(3, 100, Durability::Power),
            log: ChangeLog::default(),
            now: Timestamp(1_000_000),
            frame: vec![0xa5; 2048],
        }
    }

    /// The server's own subnet, to be changed.
    pub(super) fn own(&mut self) -> Changed<'_> {
        self.subnet(0)
    }

    /// The subnet of a link, to be changed, as a reload of the configuration would.
    pub(super) fn subnet(&mut self, network: usize) -> Changed<'_> {
        let place = Place { network, subnet: 0 };
        Changed {
            subnet: self.policy.networks_v6.subnet(place).unwrap().clone(),
            policy: &mut self.policy,
            place,
        }
    }

    /// New pools, in place of the old ones, with `reserved` set apart.
    pub(super) fn set_pools(&mut self, reserved: &[Lease]) {
        self.policy.pools = Pools::succeed(&self.policy.pools, &self.ranges, reserved);
        self.partitions.mark_held(&self.policy.pools);
    }

    pub(super) fn reserve(&mut self, by: ReservedBy, identifier: &[u8], leases: &[Lease]) {
        let reservation = Reservation {
            leases: leases.into(),
            ..Reservation::default()
        };
        self.own().reservations.insert(by, identifier, reservation);
        self.set_pools(leases);
    }

    pub(super) fn later(&mut self, seconds: u64) {
        self.now = Timestamp(self.now.0 + seconds);
        for index in 0..self.partitions.len() {
            let mut partition = self.partitions.lock(index).unwrap();
            partition.tick(self.now, 1000, &self.policy.pools);
        }
    }

    /// What the server answers to a payload in an envelope.
    pub(super) fn serve(&mut self, envelope: &Envelope, payload: &[u8]) -> Result<Heard, Discard> {
        let mut query = Query::default();
        classify(payload, envelope, &self.interface, &self.policy, &mut query)?;
        let index = self.partitions.index_of(query.client());
        let mut partition = self.partitions.lock(index).unwrap();
        let decided = decide(
            &query,
            &self.policy,
            &mut partition,
            &mut self.log,
            self.now,
        );
        drop(partition);
        let changed = !self.log.is_empty();
        self.partitions.settle(&mut self.log, &self.policy.pools);
        let len = reply(&query, &decided?, &self.policy, &mut self.frame)?;
        let datagram = Datagram::parse(&self.frame[..len]).unwrap();
        Ok(Heard::of(&datagram, changed))
    }

    pub(super) fn ask(&mut self, ask: &Ask) -> Result<Heard, Discard> {
        self.serve(&ask.envelope, &ask.payload())
    }

    pub(super) fn lease_of(&mut self, client: &[u8]) -> Lease {
        let reply = self.four_messages(client);
        reply.ias[0].leases[0].0
    }

    /// Solicit, Advertise, Request, Reply for one address.
    pub(super) fn four_messages(&mut self, client: &[u8]) -> Heard {
        let advertise = self.ask(&Ask::solicit(client).na(1, &[])).unwrap();
        let (offered, ..) = advertise.ias[0].leases[0];
        self.ask(&Ask::request(client).na(1, &[offered])).unwrap()
    }
}

/// An IA as the client hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeardIa {
    pub(super) code: u16,
    pub(super) iaid: u32,
    pub(super) t1: u32,
    pub(super) t2: u32,
    pub(super) leases: Vec<(Lease, u32, u32)>,
    pub(super) status: Option<u16>,
}

/// An answer, as who gets it reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) envelope: Envelope,
    pub(super) relays: Vec<(RelayHeader, Option<Vec<u8>>)>,
    pub(super) message_type: MessageType,
    pub(super) transaction_id: [u8; 3],
    pub(super) status: Option<u16>,
    pub(super) ias: Vec<HeardIa>,
    pub(super) options: Vec<(u16, Vec<u8>)>,
    /// Whether the lease store was changed.
    pub(super) changed: bool,
}

impl Heard {
    pub(super) fn of(datagram: &Datagram<'_>, changed: bool) -> Self {
        let packet = Packet::parse(datagram.payload).unwrap();
        let relays = packet.relays.outermost_first();
        let ids = relays.map(|relay| (*relay.header, relay.interface_id().map(<[u8]>::to_vec)));
        let options = packet.message.options;
        let is_ia = |code| {
            matches!(
                code,
                OptionCode::IA_NA | OptionCode::IA_PD | OptionCode::IA_TA
            )
        };
        Self {
            envelope: datagram.envelope,
            relays: ids.collect(),
            message_type: packet.message.message_type().unwrap(),
            transaction_id: packet.message.header.transaction_id,
            status: options.status().map(|status| status.code),
            ias: options
                .iter()
                .filter(|raw| is_ia(raw.code))
                .map(heard_ia)
                .collect(),
            options: options
                .iter()
                .map(|raw| (raw.code, raw.data.to_vec()))
                .collect(),
            changed,
        }
    }

    pub(super) fn option(&self, code: u16) -> Option<&[u8]> {
        let mut found = self.options.iter().filter(|(known, _)| *known == code);
        let first = found.next().map(|(_, data)| &data[..]);
        assert!(found.next().is_none(), "option {code} twice");
        first
    }

    pub(super) fn leases(&self) -> Vec<Lease> {
        let leases = self.ias.iter().flat_map(|ia| &ia.leases);
        leases
            .filter(|(_, _, valid)| *valid > 0)
            .map(|(lease, ..)| *lease)
            .collect()
    }
}

pub(super) fn heard_ia(raw: dhcp_wire::v6::RawOption<'_>) -> HeardIa {
    if raw.code == OptionCode::IA_TA {
        let status = u16::from_be_bytes([raw.data[8], raw.data[9]]);
        let iaid = ia_ta(raw.data).unwrap().0;
        let (t1, t2, leases) = (0, 0, Vec::new());
        return HeardIa {
            code: raw.code,
            iaid,
            t1,
            t2,
            leases,
            status: Some(status),
        };
    }
    let ia = Ia::parse(raw.code, raw.data).unwrap();
    let leases = ia.options.iter().filter_map(|inner| match inner.code {
        OptionCode::IA_ADDRESS => {
            let view = IaAddress::parse(inner.data).unwrap();
            Some((Lease::Address(view.address), view.preferred, view.valid))
        }
        OptionCode::IA_PREFIX => {
            let view = IaPrefix::parse(inner.data).unwrap();
            Some((
                Lease::Prefix(view.prefix, view.prefix_len),
                view.preferred,
                view.valid,
            ))
        }
        _ => None,
    });
    HeardIa {
        code: raw.code,
        iaid: ia.iaid.0,
        t1: ia.t1,
        t2: ia.t2,
        leases: leases.collect(),
        status: ia.options.status().map(|status| status.code),
    }
}

/// Options by code, as they are to be sent.
pub(super) type RawOptions = Vec<(u16, Vec<u8>)>;

/// A message being put together by a client, and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) envelope: Envelope,
    pub(super) relays: Vec<(RelayHeader, RawOptions)>,
    pub(super) kind: u8,
    pub(super) options: Vec<(u16, Vec<u8>)>,
}

impl Ask {
    pub(super) fn new(kind: MessageType) -> Self {
        let envelope = Envelope {
            source_mac: MacAddress([2, 0, 0, 0, 0, 9]),
            destination_mac: MacAddress([0x33, 0x33, 0, 1, 0, 2]),
            tags: Tags {
                count: 1,
                tags: [(0x8100, 7), (0, 0)],
            },
            addresses: Addresses::V6 {
                source: v6("fe80::9"),
                destination: ALL_RELAY_AGENTS_AND_SERVERS,
            },
            source_port: 546,
            destination_port: 547,
        };
        Self {
            envelope,
            relays: Vec::new(),
            kind: kind as u8,
            options: Vec::new(),
        }
    }

    pub(super) fn to_any(kind: MessageType, client: &[u8]) -> Self {
        Self::new(kind).option(OptionCode::CLIENT_ID, client)
    }

    pub(super) fn to_us(kind: MessageType, client: &[u8]) -> Self {
        Self::to_any(kind, client).option(OptionCode::SERVER_ID, SERVER)
    }

    pub(super) fn solicit(client: &[u8]) -> Self {
        Self::to_any(MessageType::Solicit, client)
    }

    pub(super) fn request(client: &[u8]) -> Self {
        Self::to_us(MessageType::Request, client)
    }

    pub(super) fn option(mut self, code: u16, data: &[u8]) -> Self {
        self.options.push((code, data.into()));
        self
    }

    pub(super) fn na(self, iaid: u32, leases: &[Lease]) -> Self {
        self.ia(OptionCode::IA_NA, iaid, leases)
    }

    pub(super) fn pd(self, iaid: u32, leases: &[Lease]) -> Self {
        self.ia(OptionCode::IA_PD, iaid, leases)
    }

    /// With lifetimes and timers that the server must not care for.
    pub(super) fn ia(mut self, code: u16, iaid: u32, leases: &[Lease]) -> Self {
        let mut octets = [0; 1024];
        let mut builder = Builder::new(&mut octets);
        let contents = |inside: &mut Builder<'_>| {
            leases.iter().try_for_each(|lease| match *lease {
                Lease::Address(address) => inside.ia_address(address, 77, 88),
                Lease::Prefix(prefix, len) => inside.ia_prefix(prefix, len, 77, 88),
                Lease::V4(_) => panic!("an IPv4 address in an IA"),
            })
        };
        builder.ia(code, Iaid(iaid), 11, 22, contents).unwrap();
        self.options.push((code, builder.written()[4..].into()));
        self
    }

    pub(super) fn requesting(self, codes: &[u16]) -> Self {
        let data: Vec<u8> = codes.iter().flat_map(|code| code.to_be_bytes()).collect();
        self.option(OptionCode::OPTION_REQUEST, &data)
    }

    pub(super) fn addressed(mut self, source: &str, destination: Ipv6Addr) -> Self {
        self.envelope.addresses = Addresses::V6 {
            source: v6(source),
            destination,
        };
        self
    }

    /// Behind one more relay agent, which unicasts to the server.
    pub(super) fn via(
        mut self,
        link_address: &str,
        peer: &str,
        interface_id: Option<&[u8]>,
    ) -> Self {
        let header = RelayHeader {
            msg_type: 12,
            hop_count: self.relays.len() as u8,
            link_address: v6(link_address).octets(),
            peer_address: v6(peer).octets(),
        };
        let options = interface_id.map(|id| (OptionCode::INTERFACE_ID, id.to_vec()));
        self.relays
            .insert(0, (header, options.into_iter().collect()));
        self.addressed("2001:db8:ffff::5", v6(GLOBAL))
    }

    pub(super) fn payload(&self) -> Vec<u8> {
        let mut octets = vec![0; 4096];
        let mut builder = Builder::new(&mut octets);
        let mut marks = Vec::new();
        for (header, options) in &self.relays {
            builder.relay(header).unwrap();
            options
                .iter()
                .for_each(|(code, data)| builder.option(*code, data).unwrap());
            marks.push(builder.begin(OptionCode::RELAY_MESSAGE).unwrap());
        }
        builder.octets(&[self.kind, 0xaa, 0xbb, 0xcc]).unwrap();
        self.options
            .iter()
            .for_each(|(code, data)| builder.option(*code, data).unwrap());
        marks
            .into_iter()
            .rev()
            .for_each(|mark| builder.end(mark).unwrap());
        builder.written().into()
    }
}

pub(super) fn option(code: u16, data: &[u8], always_send: bool) -> ConfiguredOption {
    ConfiguredOption {
        code,
        data: data.into(),
        sending: if always_send {
            Sending::Always
        } else {
            Sending::Asked
        },
    }
}
