//! The server of a transcript and where it stands: `config` lines to a policy and an interface.

use super::line::{Grammar, Level};
use super::v6::link_local;
use super::words::{self, Complaint, Form, Words};
use super::{v4, v6};
use dhcp_core::alarms::Alarms;
use dhcp_core::leasequery::{Leasequery, Requestors};
use dhcp_core::options::{ConfiguredOption, OptionSet, Sending, VendorOption};
use dhcp_core::probe::Probe;
use dhcp_core::subnet::{
    AgentPolicy, Boot, ClientKey, Hosts, IdentifierOrder, LeaseCache, Lifetimes, Network,
    PoolOptions, Preference, RelayPolicy, Reservation, Reservations, ReservedBy, Rules, Subnet4,
    Subnet6,
};
use dhcp_core::v4::NonceSecret;
use dhcp_core::{Interface, Policy};
use dhcp_lease::{Allocator, Lease, PoolIndex, PoolRange, Pools, SubnetId};
use dhcp_userspace::config;
use dhcp_wire::frame::MacAddress;
use dhcp_wire::id::Duid;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// The server and its link, as far as packets show them.
#[derive(Debug)]
pub struct Scene {
    /// The interface that the packets arrive on.
    pub interface: Interface,
    /// The server's DUID.
    pub server_duid: Vec<u8>,
    /// Number of the message in its transcript: the default transaction identifier.
    pub sequence: u32,
}

impl Scene {
    /// The address that DHCPv4 answers come from.
    pub fn server_v4(&self) -> Ipv4Addr {
        self.interface
            .v4
            .first()
            .copied()
            .unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// The address that relay agents send DHCPv6 to.
    pub fn server_v6(&self) -> Ipv6Addr {
        self.interface
            .v6
            .first()
            .copied()
            .unwrap_or_else(|| self.link_local())
    }

    /// The address that DHCPv6 clients on the link see.
    pub fn link_local(&self) -> Ipv6Addr {
        self.interface.link_local.unwrap_or(Ipv6Addr::UNSPECIFIED)
    }

    /// The server's DUID.
    pub fn server_duid(&self) -> &[u8] {
        &self.server_duid
    }

    /// The Ethernet address of the relay agent next to the server.
    pub fn relay_mac(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0xff, 1]
    }

    /// Where Ethernet carries a packet for an IP address.
    pub fn destination_mac(&self, address: IpAddr) -> [u8; 6] {
        match address {
            IpAddr::V4(Ipv4Addr::BROADCAST) => [0xff; 6],
            IpAddr::V6(address) if address.is_multicast() => {
                let [.., a, b, c, d] = address.octets();
                [0x33, 0x33, a, b, c, d]
            }
            _ => self.interface.mac.0,
        }
    }

    /// What `us` stands for.
    pub fn us(&self, protocol: Protocol, form: Form) -> String {
        match (form, protocol) {
            (Form::Duid, _) => words::hex(&self.server_duid),
            (Form::Mac, _) => words::hex(&self.interface.mac.0),
            (Form::V6, _) => self.server_v6().to_string(),
            (Form::Endpoint, Protocol::V6) => format!("[{}]:547", self.server_v6()),
            (Form::Endpoint, Protocol::V4) => format!("{}:67", self.server_v4()),
            _ => self.server_v4().to_string(),
        }
    }
}

/// Which protocol a transcript speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// DHCPv4.
    V4,
    /// DHCPv6.
    V6,
}

impl Protocol {
    /// The words of its messages.
    pub fn grammar(self) -> Grammar {
        match self {
            Self::V4 => v4::GRAMMAR,
            Self::V6 => v6::GRAMMAR,
        }
    }
}

/// `config` lines, read one after the other.
#[derive(Debug)]
pub struct Config {
    /// `config toml` lines: a configuration as operators write it, which stands for all else.
    toml: String,
    protocol: Protocol,
    interface: Interface,
    server_duid: Vec<u8>,
    offer_lifetime_seconds: u32,
    decline_probation_seconds: u32,
    decline_probation_seconds_max: u32,
    preferences: [Preference; 2],
    authoritative: bool,
    leasequery: Option<Leasequery>,
    forcerenew: Option<NonceSecret>,
    release_without_server_id: bool,
    partitions: usize,
    relays_v4: RelayPolicy,
    order: IdentifierOrder,
    global: Vec<(ReservedBy, Vec<u8>, ReservationLine)>,
    subnets: Vec<SubnetLine>,
    everybody: OptionLine,
    networks: Vec<(String, OptionLine)>,
}

/// Options of one level.
#[derive(Debug, Default)]
struct OptionLine {
    options: Vec<ConfiguredOption>,
    vendors: Vec<VendorOption>,
}

impl From<OptionLine> for OptionSet {
    fn from(line: OptionLine) -> Self {
        Self::new(line.options, line.vendors)
    }
}

/// One `config subnet` line with the reservations after it.
#[derive(Debug)]
struct SubnetLine {
    id: SubnetId,
    network: IpAddr,
    prefix_len: u8,
    shared_network: String,
    pools: Vec<PoolRange>,
    pd_pools: Vec<PoolRange>,
    relays: Vec<IpAddr>,
    interface: Option<String>,
    interface_id: Option<Box<[u8]>>,
    lifetimes: Lifetimes,
    allocator: Allocator,
    rules: Rules,
    options: OptionLine,
    pool_options: Vec<(IpAddr, IpAddr, OptionSet)>,
    reservations: Vec<(ReservedBy, Vec<u8>, ReservationLine)>,
    server_identifier: Option<Ipv4Addr>,
    next_server: Ipv4Addr,
    server_hostname: Box<[u8]>,
    boot_file_name: Box<[u8]>,
    rapid_commit: bool,
    probe: Option<Probe>,
    preference: u8,
    agents: AgentPolicy,
    with_global: bool,
}

#[derive(Debug, Default)]
struct ReservationLine {
    leases: Vec<Lease>,
    options: OptionLine,
    hostname: Box<[u8]>,
    boot: Boot,
}

/// What the `config` lines come to.
#[derive(Debug)]
pub struct Built {
    /// The policy.
    pub policy: Policy,
    /// The server and its link.
    pub scene: Scene,
    /// Into how many partitions the leases are divided.
    pub partitions: usize,
}

impl Config {
    /// A server without subnets.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            interface: Interface {
                name: "lan0".to_owned(),
                mac: MacAddress([2, 0, 0, 0, 0, 0xfe]),
                ..Interface::default()
            },
            server_duid: vec![0, 3, 0, 1, 2, 0, 0, 0, 0, 0xfe],
            offer_lifetime_seconds: 60,
            decline_probation_seconds: 86_400,
            decline_probation_seconds_max: 604_800,
            preferences: [Preference::Former, Preference::Requested],
            authoritative: true,
            toml: String::new(),
            leasequery: None,
            forcerenew: None,
            release_without_server_id: false,
            partitions: 4,
            relays_v4: RelayPolicy::default(),
            order: IdentifierOrder::default(),
            global: Vec::new(),
            subnets: Vec::new(),
            everybody: OptionLine::default(),
            networks: Vec::new(),
        }
    }

    /// Reads what stands after `config`.
    ///
    /// # Errors
    /// The first word that means nothing.
    pub fn line(&mut self, text: &str) -> Result<(), Complaint> {
        if let Some(line) = text.trim_start().strip_prefix("toml ") {
            self.toml.push_str(line);
            self.toml.push('\n');
            return Ok(());
        }
        let mut words = Words::of(text)?;
        match words.next_word().as_deref() {
            Some("interface") => self.interface_line(&mut words),
            Some("server") => self.server_line(&mut words),
            Some("subnet") => self.subnet_line(&mut words),
            Some("reservation") => self.reservation_line(&mut words),
            Some("leasequery") => self.leasequery_line(&mut words),
            Some("pool") => self.pool_line(&mut words),
            Some("network") => {
                let name = words.value("network")?;
                let options = OptionLine::rest(&mut words, self.protocol)?;
                self.networks.push((name, options));
                Ok(())
            }
            Some("global") => {
                self.everybody = OptionLine::rest(&mut words, self.protocol)?;
                Ok(())
            }
            other => Err(format!(
                "`config {}` is not known",
                other.unwrap_or_default()
            )),
        }
    }

    /// `config leasequery requestor 10.0.0.0/8 options 51,82`: off without such a line.
    fn leasequery_line(&mut self, words: &mut Words) -> Result<(), Complaint> {
        let mut leasequery = Leasequery {
            rate_max: u32::MAX,
            options: Box::new([1, 3, 12, 51, 58, 59, 60, 61, 82, 91, 92]),
            ..Leasequery::default()
        };
        while let Some(key) = words.next_word() {
            match key.as_str() {
                "requestor" => {
                    let written = words.value(&key)?;
                    let (network, length) = written.split_once('/').unwrap_or((&written, "32"));
                    leasequery.requestors.push(Requestors {
                        network: network.parse().map_err(|_| "no IPv4 address")?,
                        prefix_len: length.parse().map_err(|_| "no prefix length")?,
                    });
                }
                "options" => {
                    let written = words.value(&key)?;
                    leasequery.options = Form::Codes8.encode(&written)?.into();
                }
                _ => return Err(format!("`config leasequery {key}` is not known")),
            }
        }
        self.leasequery = Some(leasequery);
        Ok(())
    }

    fn interface_line(&mut self, words: &mut Words) -> Result<(), Complaint> {
        while let Some(key) = words.next_word() {
            match key.as_str() {
                "name" => self.interface.name = words.value(&key)?,
                "mac" => {
                    let written = words.value(&key)?;
                    self.interface.mac =
                        MacAddress(words::mac(&written).ok_or("no Ethernet address")?);
                }
                "link-local" => self.interface.link_local = Some(words.parse(&key)?),
                "refuses-relayed" => {
                    let name = self.interface.name.clone();
                    self.relays_v4.refused_interfaces.push(name);
                }
                "address" => match words.parse(&key)? {
                    IpAddr::V4(address) => self.interface.v4.push(address),
                    IpAddr::V6(address) => self.interface.v6.push(address),
                },
                _ => return Err(format!("`config interface {key}` is not known")),
            }
        }
        Ok(())
    }

    fn server_line(&mut self, words: &mut Words) -> Result<(), Complaint> {
        while let Some(key) = words.next_word() {
            match key.as_str() {
                "duid" => self.server_duid = words::octets(&words.value(&key)?).ok_or("no DUID")?,
                "offer-lifetime" => self.offer_lifetime_seconds = words.parse(&key)?,
                "decline-probation" => self.decline_probation_seconds = words.parse(&key)?,
                "decline-probation-max" => {
                    self.decline_probation_seconds_max = words.parse(&key)?;
                }
                "prefer" => {
                    let preference = match words.value(&key)?.as_str() {
                        "former" => Preference::Former,
                        "requested" => Preference::Requested,
                        _ => return Err("the former or the requested lease is preferred".into()),
                    };
                    self.preferences = [preference; 2];
                }
                "authoritative" => self.authoritative = words.value(&key)? == "yes",
                // Nonces that are the same in every run.
                "forcerenew" => {
                    let is_on = words.value(&key)? == "yes";
                    self.forcerenew = is_on.then_some(NonceSecret([0x5e; 16]));
                }
                "release-without-server-id" => self.release_without_server_id = true,
                "subnet-selection" => self.relays_v4.client_selects = true,
                "allowed-relay" => {
                    let written = words.value(&key)?;
                    let (address, len) = written.split_once('/').unwrap_or((&written, "32"));
                    let wrong = |_| format!("`{written}` is no relay agent");
                    let address = address.parse().map_err(|_| wrong(()))?;
                    let len = len.parse().map_err(|_| wrong(()))?;
                    let allowed = self.relays_v4.allowed.get_or_insert_default();
                    allowed.add(address, len);
                }
                "partitions" => self.partitions = words.parse(&key)?,
                "reserved-by" => self.order = Self::order(&words.value(&key)?)?,
                _ => return Err(format!("`config server {key}` is not known")),
            }
        }
        Ok(())
    }

    fn subnet_line(&mut self, words: &mut Words) -> Result<(), Complaint> {
        let written = words.value("subnet")?;
        let (network, prefix_len) = written
            .split_once('/')
            .ok_or("a subnet is ADDRESS/LENGTH")?;
        let network: IpAddr = network
            .parse()
            .map_err(|_| format!("`{written}` is no subnet"))?;
        let mut subnet = SubnetLine::new(
            SubnetId(self.subnets.len() as u32 + 1),
            network,
            prefix_len
                .parse()
                .map_err(|_| format!("`{written}` is no subnet"))?,
        );
        while let Some(key) = words.next_word() {
            match key.as_str() {
                "vpn" => {
                    let name = words::octets(&words.value(&key)?).ok_or("a VPN is octets")?;
                    subnet.agents.vpn = self.relays_v4.vpns.add(&name);
                }
                _ => subnet.word(&key, words, self.protocol)?,
            }
        }
        self.subnets.push(subnet);
        Ok(())
    }

    /// Options of a pool of the subnet before.
    fn pool_line(&mut self, words: &mut Words) -> Result<(), Complaint> {
        let written = words.value("pool")?;
        let (first, last) = written.split_once('-').unwrap_or((&written, &written));
        let address = |text: &str| text.parse().map_err(|_| format!("`{text}` is no address"));
        let (first, last) = (address(first)?, address(last)?);
        let options = OptionLine::rest(words, self.protocol)?;
        let subnet = self.subnets.last_mut();
        let subnet = subnet.ok_or("options of a pool belong after its subnet")?;
        subnet.pool_options.push((first, last, options.into()));
        Ok(())
    }

    fn reservation_line(&mut self, words: &mut Words) -> Result<(), Complaint> {
        let mut kind = words.value("reservation")?;
        let is_global = kind == "global";
        if is_global {
            kind = words.next_word().unwrap_or_default();
        }
        let written = words.value(&kind)?;
        let (by, identifier) = identifier(&kind, &written)?;
        let identifier = identifier.ok_or_else(|| format!("`{written}` is no {kind}"))?;
        let mut reservation = ReservationLine::default();
        while let Some(key) = words.next_word() {
            match key.as_str() {
                "address" => reservation.leases.push(match words.parse(&key)? {
                    IpAddr::V4(address) => Lease::V4(address),
                    IpAddr::V6(address) => Lease::Address(address),
                }),
                "prefix" => {
                    let written = words.value(&key)?;
                    let (prefix, length) = words::prefix(&written).ok_or("no prefix")?;
                    reservation.leases.push(Lease::Prefix(prefix, length));
                }
                "hostname" => reservation.hostname = words.value(&key)?.into_bytes().into(),
                "next-server" => reservation.boot.next_server = Some(words.parse(&key)?),
                "server-hostname" => {
                    reservation.boot.server_hostname = words.value(&key)?.into_bytes().into();
                }
                "boot-file-name" => {
                    reservation.boot.boot_file_name = words.value(&key)?.into_bytes().into();
                }
                _ => reservation.options.word(&key, words, self.protocol)?,
            }
        }
        if is_global {
            self.global.push((by, identifier, reservation));
            return Ok(());
        }
        let subnet = self
            .subnets
            .last_mut()
            .ok_or("a reservation belongs after its subnet")?;
        subnet.reservations.push((by, identifier, reservation));
        Ok(())
    }

    /// `reserved-by IDENTIFIER,...`: by what clients with reservations are known.
    fn order(written: &str) -> Result<IdentifierOrder, Complaint> {
        let named = written.split(',').map(|name| Ok(identifier(name, "1")?.0));
        Ok(IdentifierOrder::of(
            named.collect::<Result<Vec<_>, Complaint>>()?,
        ))
    }

    /// The whole policy; the interface has the second address of the first subnet of each family unless
    /// the lines say otherwise.
    pub fn build(self) -> Built {
        self.build_after(None)
    }

    /// The same after a reload: its pools go on from the `previous` ones.
    pub fn build_after(self, previous: Option<&Pools>) -> Built {
        let mut interface = self.interface;
        interface.link_local = interface.link_local.or(Some(link_local(interface.mac.0)));
        if !self.toml.is_empty() {
            assert!(previous.is_none(), "a reload cannot be written in TOML");
            let policy = written(&self.toml, &self.server_duid);
            let v4 = policy.networks_v4.iter().flat_map(|it| &it.subnets);
            let v4 = v4.map(|subnet| Ipv4Addr::from_bits(subnet.network.to_bits() + 2));
            let v6 = policy.networks_v6.iter().flat_map(|it| &it.subnets);
            let v6 = v6.map(|subnet| Ipv6Addr::from_bits(subnet.network.to_bits() + 2));
            interface.v4.extend(v4.take(1));
            interface.v6.extend(v6.take(1));
            let scene = Scene {
                interface,
                server_duid: self.server_duid,
                sequence: 0,
            };
            return Built {
                policy,
                scene,
                partitions: self.partitions,
            };
        }
        for subnet in &self.subnets {
            match subnet.network {
                IpAddr::V4(network) if interface.v4.is_empty() => {
                    interface
                        .v4
                        .push(Ipv4Addr::from_bits(network.to_bits() + 2));
                }
                IpAddr::V6(network) if interface.v6.is_empty() => {
                    interface
                        .v6
                        .push(Ipv6Addr::from_bits(network.to_bits() + 2));
                }
                IpAddr::V4(_) | IpAddr::V6(_) => {}
            }
        }
        let mut ranges = Vec::new();
        let mut allocators = Vec::new();
        let leases = |lines: &[(ReservedBy, Vec<u8>, ReservationLine)]| -> Vec<Lease> {
            lines
                .iter()
                .flat_map(|(_, _, line)| line.leases.clone())
                .collect()
        };
        let mut reserved = leases(&self.global);
        let hosts = Hosts {
            order: self.order,
            global: reservations(self.global, false),
        };
        let mut networks_v4: Vec<Network<Subnet4>> = Vec::new();
        let mut networks_v6: Vec<Network<Subnet6>> = Vec::new();
        for mut subnet in self.subnets {
            subnet.rules.authoritative &= self.authoritative;
            let pools = subnet.pools.len() + subnet.pd_pools.len();
            allocators.extend(std::iter::repeat_n(subnet.allocator, pools));
            let name = subnet.shared_network.clone();
            reserved.extend(leases(&subnet.reservations));
            if subnet.network.is_ipv4() {
                add(&mut networks_v4, name, subnet.build_v4(&mut ranges));
            } else {
                add(&mut networks_v6, name, subnet.build_v6(&mut ranges));
            }
        }
        for (name, line) in self.networks {
            let options = OptionSet::from(line);
            let of_name = |known: &String| *known == name;
            let v4 = networks_v4.iter_mut().filter(|it| of_name(&it.name));
            v4.for_each(|network| network.options = options.clone());
            let v6 = networks_v6.iter_mut().filter(|it| of_name(&it.name));
            v6.for_each(|network| network.options = options.clone());
        }
        let everybody = OptionSet::from(self.everybody);
        let mut subnets_v4 = networks_v4.iter().flat_map(|network| &network.subnets);
        let has_probes = subnets_v4.any(|subnet| subnet.probe.is_some());
        let policy = Policy {
            probes: has_probes.then(Default::default),
            networks_v4: networks_v4.into(),
            networks_v6: networks_v6.into(),
            options_v4: everybody.clone(),
            options_v6: everybody,
            pools: match previous {
                Some(previous) => Pools::succeed_with(previous, &ranges, &allocators, &reserved),
                None => Pools::with_allocators(&ranges, &allocators, &reserved),
            },
            server_duid: Duid::new(&self.server_duid).unwrap(),
            offer_lifetime_seconds: self.offer_lifetime_seconds,
            decline_probation_seconds: self.decline_probation_seconds,
            decline_probation_seconds_max: self.decline_probation_seconds_max,
            preference_v4: self.preferences[0],
            preference_v6: self.preferences[1],
            alarms: Alarms::default(),
            leasequery: self.leasequery,
            forcerenew: self.forcerenew,
            release_without_server_id: self.release_without_server_id,
            relays_v4: self.relays_v4,
            hosts_v4: hosts.clone(),
            hosts_v6: hosts,
            ..Policy::default()
        };
        let scene = Scene {
            interface,
            server_duid: self.server_duid,
            sequence: 0,
        };
        Built {
            policy,
            scene,
            partitions: self.partitions,
        }
    }
}

/// The policy of a configuration as operators write it.
fn written(toml: &str, server_duid: &[u8]) -> Policy {
    let text = format!("interfaces = [\"lan0\"]\n{toml}");
    let checked = config::check(Path::new("transcript.toml"), &text);
    let checked = checked.unwrap_or_else(|findings| panic!("{findings}"));
    checked.policy(&Duid::new(server_duid).unwrap(), None)
}

/// Puts a subnet into the shared network of its name, or into one of its own.
fn add<S>(networks: &mut Vec<Network<S>>, name: String, subnet: S) {
    match networks
        .iter_mut()
        .find(|network| !name.is_empty() && network.name == name)
    {
        Some(network) => network.subnets.push(subnet),
        None => networks.push(Network {
            access: Default::default(),
            name,
            subnets: vec![subnet],
            options: OptionSet::EMPTY,
        }),
    }
}

impl SubnetLine {
    fn new(id: SubnetId, network: IpAddr, prefix_len: u8) -> Self {
        let valid = if network.is_ipv4() { 3600 } else { 7200 };
        Self {
            id,
            network,
            prefix_len,
            shared_network: String::new(),
            pools: Vec::new(),
            pd_pools: Vec::new(),
            relays: Vec::new(),
            interface: None,
            interface_id: None,
            lifetimes: Lifetimes {
                valid,
                valid_min: valid,
                valid_max: valid,
                preferred: 3600,
                renew: None,
                rebind: None,
                cache: LeaseCache::default(),
                adaptive_millionths: None,
            },
            allocator: Allocator::Iterative,
            rules: Rules::default(),
            options: OptionLine::default(),
            pool_options: Vec::new(),
            reservations: Vec::new(),
            server_identifier: None,
            next_server: Ipv4Addr::UNSPECIFIED,
            server_hostname: Box::default(),
            boot_file_name: Box::default(),
            rapid_commit: false,
            probe: None,
            preference: 0,
            agents: AgentPolicy::default(),
            with_global: false,
        }
    }

    fn word(&mut self, key: &str, words: &mut Words, protocol: Protocol) -> Result<(), Complaint> {
        match key {
            "id" => self.id = SubnetId(words.parse(key)?),
            "network" => self.shared_network = words.value(key)?,
            "pool" => self
                .pools
                .push(pool(&words.value(key)?).ok_or("a pool is FIRST-LAST")?),
            "pd-pool" => {
                let written = words.value(key)?;
                let (prefix, length) =
                    words::prefix(&written).ok_or("a pd-pool is PREFIX/LENGTH")?;
                if words.next_word().as_deref() != Some("delegated") {
                    return Err("a pd-pool is followed by `delegated LENGTH`".to_owned());
                }
                let delegated: u8 = words.parse("delegated")?;
                let count = 1 << u32::from(delegated.saturating_sub(length)).min(24);
                self.pd_pools.push(PoolRange {
                    first: Lease::Prefix(prefix, delegated),
                    count,
                });
            }
            "relay" => self.relays.push(words.parse(key)?),
            "interface" => self.interface = Some(words.value(key)?),
            "interface-id" => {
                self.interface_id =
                    Some(words::octets(&words.value(key)?).ok_or("no octets")?.into());
            }
            "lifetime" => {
                let seconds = words.parse(key)?;
                self.lifetimes.valid = seconds;
                self.lifetimes.valid_min = seconds;
                self.lifetimes.valid_max = seconds;
                self.lifetimes.preferred = self.lifetimes.preferred.min(seconds);
            }
            "min-lifetime" => self.lifetimes.valid_min = words.parse(key)?,
            "max-lifetime" => self.lifetimes.valid_max = words.parse(key)?,
            "preferred" => self.lifetimes.preferred = words.parse(key)?,
            "renew" => self.lifetimes.renew = Some(words.parse(key)?),
            "cache-threshold" => {
                let percent: u32 = words.parse(key)?;
                self.lifetimes.cache.threshold_millionths = Some(percent.min(100) * 10_000);
            }
            "cache-max-age" => {
                self.lifetimes.cache.age_seconds_max = Some(words.parse(key)?);
            }
            "rebind" => self.lifetimes.rebind = Some(words.parse(key)?),
            "server-identifier" => self.server_identifier = Some(words.parse(key)?),
            "next-server" => self.next_server = words.parse(key)?,
            "server-hostname" => self.server_hostname = words.value(key)?.into_bytes().into(),
            "boot-file-name" => self.boot_file_name = words.value(key)?.into_bytes().into(),
            "rapid-commit" => self.rapid_commit = true,
            "ping-check" => {
                self.probe = Some(Probe {
                    requests: 1,
                    reply_timeout_millis: 100,
                    quiet_seconds: 60,
                });
            }
            "allocator" => {
                self.allocator = match words.value(key)?.as_str() {
                    "iterative" => Allocator::Iterative,
                    "random" => Allocator::Random,
                    "flq" => Allocator::FreeLeaseQueue,
                    other => return Err(format!("`{other}` is no allocator")),
                }
            }
            "adaptive-threshold" => {
                let percent: u32 = words.parse(key)?;
                self.lifetimes.adaptive_millionths = Some(percent * 10_000);
            }
            "not-authoritative" => self.rules.authoritative = false,
            "no-match-client-id" => self.rules.match_client_id = false,
            "no-echo-client-id" => self.rules.echo_client_id = false,
            "bootp" => self.rules.bootp_seconds = Some(words.parse(key)?),
            "trust-option-82" => self.agents.trusts_unrelayed = true,
            "client-key" => {
                let sub_option = words.value(key)?;
                let known = v4::GRAMMAR.find(&sub_option, Level::Relay);
                let known = known.ok_or_else(|| format!("`{sub_option}` is no client key"))?;
                self.agents.client_key = ClientKey::Agent(known.code as u8);
            }
            "reservations-global" => self.with_global = true,
            "preference" => self.preference = words.parse(key)?,
            _ => self.options.word(key, words, protocol)?,
        }
        Ok(())
    }

    fn build_v4(self, ranges: &mut Vec<PoolRange>) -> Subnet4 {
        let IpAddr::V4(network) = self.network else {
            panic!("{} is not IPv4", self.network)
        };
        Subnet4 {
            access: Default::default(),
            limits: Default::default(),
            id: self.id,
            network,
            prefix_len: self.prefix_len,
            pools: number(self.pools, ranges),
            relays: self
                .relays
                .iter()
                .filter_map(|relay| match relay {
                    IpAddr::V4(relay) => Some(*relay),
                    IpAddr::V6(_) => None,
                })
                .collect(),
            interface: self.interface,
            lifetimes: self.lifetimes,
            reservations: reservations(self.reservations, self.with_global),
            options: self.options.into(),
            pool_options: PoolOptions::new(self.pool_options),
            server_identifier: self.server_identifier,
            next_server: self.next_server,
            server_hostname: self.server_hostname,
            boot_file_name: self.boot_file_name,
            rapid_commit: self.rapid_commit,
            probe: self.probe,
            rules: self.rules,
            agents: self.agents,
        }
    }

    fn build_v6(self, ranges: &mut Vec<PoolRange>) -> Subnet6 {
        let IpAddr::V6(network) = self.network else {
            panic!("{} is not IPv6", self.network)
        };
        Subnet6 {
            access: Default::default(),
            limits: Default::default(),
            id: self.id,
            network,
            prefix_len: self.prefix_len,
            pools: number(self.pools, ranges),
            pd_pools: number(self.pd_pools, ranges),
            relays: self
                .relays
                .iter()
                .filter_map(|relay| match relay {
                    IpAddr::V6(relay) => Some(*relay),
                    IpAddr::V4(_) => None,
                })
                .collect(),
            interface: self.interface,
            interface_id: self.interface_id,
            lifetimes: self.lifetimes,
            reservations: reservations(self.reservations, self.with_global),
            options: self.options.into(),
            pool_options: PoolOptions::new(self.pool_options),
            rapid_commit: self.rapid_commit,
            preference: self.preference,
        }
    }
}

/// Gives pools their numbers across the whole policy.
fn number(pools: Vec<PoolRange>, ranges: &mut Vec<PoolRange>) -> Vec<PoolIndex> {
    let first = ranges.len() as u32;
    ranges.extend(&pools);
    (first..ranges.len() as u32).map(PoolIndex).collect()
}

fn reservations(
    lines: Vec<(ReservedBy, Vec<u8>, ReservationLine)>,
    with_global: bool,
) -> Reservations {
    let mut reservations = Reservations::default();
    reservations.with_global = with_global;
    for (by, identifier, line) in lines {
        let boot = line.boot;
        let reservation = Reservation {
            classes: Default::default(),
            leases: line.leases,
            options: line.options.into(),
            hostname: line.hostname,
            boot: (boot != Boot::default()).then(|| Box::new(boot)),
        };
        let earlier = reservations.insert(by, &identifier, reservation);
        assert_eq!(earlier, None, "two reservations for one client");
    }
    reservations
}

/// By what a client is known, and the octets of that.
fn identifier(kind: &str, written: &str) -> Result<(ReservedBy, Option<Vec<u8>>), Complaint> {
    Ok(match kind {
        "hw-address" => (
            ReservedBy::HardwareAddress,
            words::mac(written).map(|mac| mac.to_vec()),
        ),
        "duid" => (ReservedBy::Duid, words::duid(written)),
        "client-id" => (ReservedBy::ClientId, words::octets(written)),
        "circuit-id" => (ReservedBy::CircuitId, words::octets(written)),
        "remote-id" => (ReservedBy::RemoteId, words::octets(written)),
        "subscriber-id" => (ReservedBy::SubscriberId, words::octets(written)),
        _ => return Err(format!("nothing is reserved by `{kind}`")),
    })
}

/// `FIRST-LAST`, or one address.
fn pool(written: &str) -> Option<PoolRange> {
    let (first, last) = written.split_once('-').unwrap_or((written, written));
    let (first, count) = match (first.parse().ok()?, last.parse().ok()?) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (
            Lease::V4(first),
            u64::from(last.to_bits().checked_sub(first.to_bits())?) + 1,
        ),
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let count = last
                .to_bits()
                .checked_sub(first.to_bits())?
                .checked_add(1)?;
            (
                Lease::Address(first),
                u64::try_from(count).unwrap_or(u64::MAX),
            )
        }
        (IpAddr::V4(_) | IpAddr::V6(_), _) => return None,
    };
    Some(PoolRange {
        first,
        count: count.min(PoolRange::COUNT_MAX),
    })
}

impl OptionLine {
    fn rest(words: &mut Words, protocol: Protocol) -> Result<Self, Complaint> {
        let mut line = Self::default();
        while let Some(key) = words.next_word() {
            line.word(&key, words, protocol)?;
        }
        Ok(line)
    }

    /// `[always|never] NAME VALUE`: an option of the messages' own vocabulary, or
    /// `[always|never] vendor ENTERPRISE CODE OCTETS`, a vendor's.
    fn word(&mut self, key: &str, words: &mut Words, protocol: Protocol) -> Result<(), Complaint> {
        let sending = match key {
            "always" => Sending::Always,
            "never" => Sending::Never,
            _ => Sending::Asked,
        };
        let name = match sending {
            Sending::Asked => key.to_owned(),
            Sending::Always | Sending::Never => words.value(key)?,
        };
        if name == "vendor" {
            let enterprise = words.parse(&name)?;
            let code = words.parse(&name)?;
            let data = words::octets(&words.value(&name)?).ok_or("no octets")?;
            let option = ConfiguredOption {
                code,
                data: data.into(),
                sending,
            };
            self.vendors.push(VendorOption { enterprise, option });
            return Ok(());
        }
        let unknown = || format!("`{name}` is neither a setting nor an option");
        let (code, form) = match protocol.grammar().find(&name, Level::Message) {
            Some(key) if key.code != 0 => (key.code, key.form),
            Some(_) => return Err(unknown()),
            None => {
                let code = name.strip_prefix("option-").and_then(words::number);
                (code.ok_or_else(unknown)?, Form::Octets)
            }
        };
        let data = match form {
            Form::Flag => Vec::new(),
            form => form.encode(&words.value(&name)?)?,
        };
        self.options.push(ConfiguredOption {
            code,
            data: data.into(),
            sending,
        });
        Ok(())
    }
}
