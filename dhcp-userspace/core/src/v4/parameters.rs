//! Which options of the configuration does an answer hold, in which order, and which of them go without when
//! there is no room for all?

use super::decide::Answer;
use super::names::{self, Name};
use super::query::Query;
use super::vendor::{self, VendorData};
use crate::options::{Codes, Layers};
use crate::reservation::{Boot, Reservation};
use crate::subnet::{Network, Policy, Subnet4};
use core::net::Ipv4Addr;
use dhcp_lease::Lease;
use dhcp_wire::v4::{Builder, code};

/// What the server itself writes, or what belongs into no reply: never taken from the configuration.
const OWN_CODES: [u8; 18] = [
    code::PAD,
    code::REQUESTED_ADDRESS,
    code::LEASE_TIME,
    code::OVERLOAD,
    code::MESSAGE_TYPE,
    code::SERVER_IDENTIFIER,
    code::PARAMETER_REQUEST_LIST,
    code::MAXIMUM_MESSAGE_SIZE,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
    code::CLIENT_IDENTIFIER,
    code::RAPID_COMMIT,
    code::RELAY_AGENT,
    code::AUTHENTICATION,
    code::FORCERENEW_NONCE_CAPABLE,
    code::SUBNET_SELECTION,
    code::VPN,
    code::END,
];

/// What a client can hardly do without: sent, where configured, also to those that do not ask for it (as Kea
/// does), and with an address its mask.
const BASIC_CODES: [u8; 3] = [code::ROUTERS, code::DOMAIN_NAME_SERVERS, code::DOMAIN_NAME];

/// What holds for one answer: the levels of the configuration and what follows from the query.
pub(super) struct Parameters<'p> {
    layers: Layers<'p>,
    boot: Option<&'p Boot>,
    boot_fields: BootFields<'p>,
    subnet: &'p Subnet4,
    reserved_name: &'p [u8],
    mask: [u8; 4],
    host_name: Option<Name>,
    full_name: Option<Name>,
    vendors: Option<VendorData>,
    /// What is sent whether the client asks for it or not.
    insisted: Codes,
}

impl<'p> Parameters<'p> {
    /// Looks up all that there is for the client.
    pub(super) fn of(
        query: &Query,
        answer: &Answer,
        policy: &'p Policy,
        network: &'p Network<Subnet4>,
        subnet: &'p Subnet4,
    ) -> Self {
        let reservation = answer
            .host
            .and_then(|host| policy.hosts_v4.reservation(&subnet.reservations, host));
        let layers = layers(query, reservation, answer.address, policy, network, subnet);
        let reserved_name = reservation.map_or(&[][..], |reservation| &reservation.hostname);
        let domain = layers.short(code::DOMAIN_NAME).unwrap_or_default();
        let full_name = names::full_name(query, reserved_name, domain);
        // RFC 4702 section 4 [fqdn-before-host-name]: a client that sends both has its host name ignored.
        let host_name = match full_name {
            Some(_) => None,
            None => names::host_name(query),
        };
        let mut this = Self {
            boot: reservation.and_then(|it| it.boot.as_deref()),
            boot_fields: BootFields::of(query, policy),
            subnet,
            reserved_name,
            mask: mask(subnet.prefix_len).octets(),
            host_name,
            full_name,
            vendors: vendor::data(query, &layers),
            insisted: layers.always(),
            layers,
        };
        BASIC_CODES
            .into_iter()
            .for_each(|code| this.insisted.insert(code));
        // A client with an address of its own has its mask too, unless it asks.
        let asked = query.parameters.as_slice();
        let has_lease = !answer.address.is_unspecified();
        if has_lease || asked.is_empty() || asked.contains(&code::SUBNET_MASK) {
            this.insisted.insert(code::SUBNET_MASK);
        }
        // The operator named this one client: it is told its name, asked or not. A client that names itself is
        // told so when it asks (or cannot).
        if !reserved_name.is_empty() || (asked.is_empty() && this.host_name.is_some()) {
            this.insisted.insert(code::HOST_NAME);
        }
        this.insisted.insert(code::CLIENT_FQDN);
        if this.vendors.is_some() {
            this.insisted.insert(code::VENDOR_OPTIONS);
        }
        this
    }

    /// `siaddr`: of the reservation, else of the first class that has one, else of the subnet.
    pub(super) fn next_server(&self) -> Ipv4Addr {
        let of_client = self.boot.and_then(|boot| boot.next_server);
        let of_class = || self.boot_fields.next_server;
        of_client
            .or_else(of_class)
            .unwrap_or(self.subnet.next_server)
    }

    /// `sname`, in the same way.
    // RFC 2132 section 9.4 [boot-names-as-options]: a name in the header keeps options out of its field, so both
    // can be there, and options 66 and 67 are sent as they are configured.
    pub(super) fn server_hostname(&self) -> &'p [u8] {
        let of_client = self.boot.map(|boot| &*boot.server_hostname);
        let given = of_client.filter(|name| !name.is_empty());
        let given = given.or(self.boot_fields.server_hostname);
        given.unwrap_or(&self.subnet.server_hostname)
    }

    /// `file`, in the same way.
    pub(super) fn boot_file_name(&self) -> &'p [u8] {
        let of_client = self.boot.map(|boot| &*boot.boot_file_name);
        let given = of_client.filter(|name| !name.is_empty());
        let given = given.or(self.boot_fields.boot_file_name);
        given.unwrap_or(&self.subnet.boot_file_name)
    }

    /// Writes them; how many had no room.
    ///
    /// RFC 2132 section 9.8 [list-order],
    /// RFC 2131 section 4.3.1 [parameters-requested]: what the client asks for, in its order, as far as it is
    /// configured, each once; then what is sent in any case. A client without a list gets everything.
    ///
    /// When not all of it fits, what the operator or the protocol insists on goes before what the client asks
    /// for; then what the client asks for first goes first. What comes after an option that does not fit may
    /// still fit.
    pub(super) fn push<'q>(&'q self, builder: &mut Builder<'_>, query: &'q Query) -> u16 {
        let begin = builder.mark();
        let asked = query.parameters.as_slice();
        let everything = self.layers.present();
        let insisted = || self.insisted.iter();
        let mut turn = Turn::of(self, builder);
        match asked {
            [] => {
                let mut all = everything;
                insisted().for_each(|code| all.insert(code));
                all.iter().for_each(|code| turn.push(code));
            }
            asked => asked
                .iter()
                .copied()
                .chain(insisted())
                .for_each(|code| turn.push(code)),
        }
        if turn.left_out == 0 {
            return 0;
        }
        builder.rewind(begin);
        let mut turn = Turn::of(self, builder);
        insisted().for_each(|code| turn.push(code));
        asked.iter().for_each(|&code| turn.push(code));
        if asked.is_empty() {
            everything.iter().for_each(|code| turn.push(code));
        }
        turn.left_out
    }

    /// What stands in an option, if it is sent at all.
    fn data(&self, code: u8) -> Option<&[u8]> {
        match code {
            code::CLIENT_FQDN => self.full_name.as_ref().map(Name::as_slice),
            _ if self.layers.withholds(code) => None,
            code::HOST_NAME if !self.reserved_name.is_empty() => Some(self.reserved_name),
            code::HOST_NAME => {
                let said = self.host_name.as_ref().map(Name::as_slice);
                self.layers.short(code).or(said)
            }
            code::SUBNET_MASK => self.layers.short(code).or(Some(&self.mask)),
            code::VENDOR_OPTIONS => match &self.vendors {
                Some(vendors) => Some(vendors.as_slice()),
                None => self.layers.short(code),
            },
            _ => self.layers.short(code),
        }
    }
}

/// The levels that hold for the client, as Kea ranks them: reservation, pool, subnet, shared network, classes in
/// the order in which they were evaluated, everybody.
pub(super) fn layers<'p>(
    query: &Query,
    reservation: Option<&'p Reservation>,
    address: Ipv4Addr,
    policy: &'p Policy,
    network: &'p Network<Subnet4>,
    subnet: &'p Subnet4,
) -> Layers<'p> {
    let mut layers = Layers::new();
    if let Some(reservation) = reservation {
        layers.push(&reservation.options);
    }
    if let Some(options) = subnet.pool_options.of(address.into()) {
        layers.push(options);
    }
    layers.push(&subnet.options);
    layers.push(&network.options);
    let around = [&subnet.access, &network.access];
    let asked_for = policy.additional(Some(Lease::V4(address)), around);
    let classes = query.classes.with_additional(asked_for);
    let classes = classes.filter_map(|class| policy.classes_v4.get(class));
    classes.for_each(|class| layers.push(&class.options));
    layers.push_last(&policy.options_v4);
    layers
}

/// The header fields that the client's classes have.
struct BootFields<'p> {
    next_server: Option<Ipv4Addr>,
    server_hostname: Option<&'p [u8]>,
    boot_file_name: Option<&'p [u8]>,
}

impl<'p> BootFields<'p> {
    fn of(query: &Query, policy: &'p Policy) -> Self {
        let (classes, mine) = (&policy.classes_v4, &query.classes);
        Self {
            next_server: classes.boot_field(mine, |boot| boot.next_server),
            server_hostname: classes.boot_field(mine, |boot| boot.server_hostname.as_deref()),
            boot_file_name: classes.boot_field(mine, |boot| boot.boot_file_name.as_deref()),
        }
    }
}

pub(super) fn mask(prefix_len: u8) -> Ipv4Addr {
    let host_bits = 32 - u32::from(prefix_len.min(32));
    Ipv4Addr::from_bits(u32::MAX.checked_shl(host_bits).unwrap_or(0))
}

/// One go at writing options, each at most once.
struct Turn<'t, 'b> {
    parameters: &'t Parameters<'t>,
    builder: &'t mut Builder<'b>,
    done: Codes,
    left_out: u16,
}

impl<'t, 'b> Turn<'t, 'b> {
    fn of(parameters: &'t Parameters<'t>, builder: &'t mut Builder<'b>) -> Self {
        Self {
            parameters,
            builder,
            done: Codes::of(&OWN_CODES),
            left_out: 0,
        }
    }

    /// Writes an option if there is one with this code that has not had its turn.
    fn push(&mut self, code: u8) {
        // RFC 2132 section 3.3 [mask-before-routers]: the subnet mask goes before the routers, also when the
        // client lists it after them.
        if code == code::ROUTERS && self.parameters.insisted.contains(code::SUBNET_MASK) {
            self.push_one(code::SUBNET_MASK);
        }
        self.push_one(code);
    }

    fn push_one(&mut self, code: u8) {
        // RFC 2131 section 4.3.1 [parameters-once].
        if self.done.contains(code) {
            return;
        }
        self.done.insert(code);
        // RFC 2131 section 4.3.1 [parameters-unknown-omitted].
        if let Some(data) = self.parameters.data(code)
            && self.builder.push(code, data).is_err()
        {
            self.left_out += 1;
        }
    }
}
