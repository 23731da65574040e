//! What does a requestor want? Octets of one message to a [`Request`].

use super::look::{AddressState, Holding};
use super::write::Status;
use dhcp_lease::{Timestamp, remote_id, sub_option};
use dhcp_wire::id::HardwareAddress;
use dhcp_wire::v4::{self, Header, Message, MessageType, Region, SubOptions, code};

/// A VPN identifier's type (RFC 6607 section 3.4, RFC 6926 section 6.2.9): all VPNs, and none in particular.
const VPN_ALL: u8 = 254;
const VPN_DEFAULT: u8 = 255;

/// Why a query is not answered: what the message that ends it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of the query.
    pub xid: u32,
    /// The kind of the message that says so: DHCPLEASEQUERYDONE or DHCPLEASEQUERYSTATUS.
    pub kind: MessageType,
    /// The status.
    pub status: Status,
    /// The same in words.
    pub words: &'static str,
}

/// What every query has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// Its number on its connection.
    pub xid: u32,
    /// Option 55.
    pub(super) parameters: Box<[u8]>,
}

impl Wishes {
    /// Whether an option is asked for by name.
    pub(super) fn have(&self, code: u8) -> bool {
        self.parameters.contains(&code)
    }
}

/// What came by a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// DHCPBULKLEASEQUERY: tell what there is.
    Bulk(BulkQuery),
    /// DHCPACTIVELEASEQUERY: tell what changes.
    Active(ActiveQuery),
    /// DHCPTLS: go on in secret.
    Tls {
        /// Of the message.
        xid: u32,
    },
}

/// Which leases are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Primary {
    /// Every address that is configured.
    All,
    /// Those of a hardware address.
    Hardware(HardwareAddress),
    /// Those of a client identifier.
    Client(Box<[u8]>),
    /// Those behind a Remote-Id.
    RemoteId(Box<[u8]>),
    /// Those behind a relay agent, by its identifier (RFC 6925).
    RelayId(Box<[u8]>),
}

impl Primary {
    /// Its name in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Hardware(_) => "hardware address",
            Self::Client(_) => "client identifier",
            Self::RemoteId(_) => "remote-id",
            Self::RelayId(_) => "relay-id",
        }
    }
}

/// A DHCPBULKLEASEQUERY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkQuery {
    /// Its number, and what it wants to be told.
    pub wishes: Wishes,
    /// Which leases.
    pub primary: Primary,
    /// Only what changed then or later.
    pub from: Option<Timestamp>,
    /// Only what changed then or earlier.
    pub until: Option<Timestamp>,
}

/// A DHCPACTIVELEASEQUERY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveQuery {
    /// Its number, and what it wants to be told.
    pub wishes: Wishes,
    /// What changed then or later is told as well.
    pub from: Option<Timestamp>,
}

/// Reads a message.
///
/// # Errors
/// What is to be answered instead; nothing if it is no DHCP message at all, or none that a requestor sends:
/// then the connection is of no use.
pub fn parse(octets: &[u8]) -> Result<Request, Option<Refusal>> {
    let message = Message::parse(octets).map_err(|_| None)?;
    let header = message.header;
    if header.op != v4::BOOTREQUEST {
        return Err(None);
    }
    let xid = header.xid.get();
    // RFC 7724 section 8.1.1 [bulk-unknown-type]: what is not asked by TCP ends the connection.
    let is_bulk = match message.message_type() {
        Ok(Some(MessageType::BULKLEASEQUERY)) => true,
        Ok(Some(MessageType::ACTIVELEASEQUERY)) => false,
        // RFC 7724 section 8.1 [active-tls-options]: its options are not looked at.
        Ok(Some(MessageType::TLS)) => return Ok(Request::Tls { xid }),
        Ok(_) | Err(_) => return Err(None),
    };
    let kind = match is_bulk {
        true => MessageType::LEASEQUERYDONE,
        false => MessageType::LEASEQUERYSTATUS,
    };
    let refuse = |(status, words)| {
        Some(Refusal {
            xid,
            kind,
            status,
            words,
        })
    };
    let parts = Parts::of(&message).map_err(|words| refuse((Status::Malformed, words)))?;
    let wishes = Wishes {
        xid,
        parameters: parts.parameters.as_slice().into(),
    };
    match is_bulk {
        true => bulk(wishes, header, &parts).map(Request::Bulk),
        false => active(wishes, header, &parts).map(Request::Active),
    }
    .map_err(refuse)
}

/// What is wrong, as a status and in words.
type Wrong = (Status, &'static str);

/// Options, put together (RFC 3396).
#[derive(Default)]
struct Parts {
    client: Vec<u8>,
    agent: Vec<u8>,
    from: Vec<u8>,
    until: Vec<u8>,
    vpn: Vec<u8>,
    parameters: Vec<u8>,
}

impl Parts {
    fn of(message: &Message<'_>) -> Result<Self, &'static str> {
        let mut parts = Self::default();
        for piece in message.options() {
            let piece = piece.map_err(|_| "an option is cut short")?;
            let part = match piece.code {
                code::CLIENT_IDENTIFIER => &mut parts.client,
                code::RELAY_AGENT if piece.region == Region::Options => &mut parts.agent,
                code::QUERY_START_TIME => &mut parts.from,
                code::QUERY_END_TIME => &mut parts.until,
                code::VPN => &mut parts.vpn,
                code::PARAMETER_REQUEST_LIST => &mut parts.parameters,
                _ => continue,
            };
            part.extend_from_slice(piece.data);
        }
        Ok(parts)
    }
}

fn bulk(wishes: Wishes, header: &Header, parts: &Parts) -> Result<BulkQuery, Wrong> {
    // RFC 6926 section 8.2 [bulk-no-addresses]: an address in the header makes it another question.
    if [header.ciaddr, header.yiaddr, header.siaddr] != [[0; 4]; 3] {
        return Err((Status::Malformed, "ciaddr, yiaddr and siaddr must be zero"));
    }
    // RFC 6926 section 8.2 [bulk-vpn]: leases are of no VPN but the default one.
    match parts.vpn.as_slice() {
        [] | [VPN_DEFAULT | VPN_ALL, ..] => {}
        _ => return Err((Status::NotAllowed, "no such VPN")),
    }
    Ok(BulkQuery {
        wishes,
        primary: primary(header, parts)?,
        from: time(&parts.from)?,
        until: time(&parts.until)?,
    })
}

// RFC 7724 section 7.3 [active-no-key]: it asks for everything that changes, and may not name anybody.
// RFC 7724 section 8.2 [active-no-end-time]: nor when it is to end.
fn active(wishes: Wishes, header: &Header, parts: &Parts) -> Result<ActiveQuery, Wrong> {
    let is_about_all = primary(header, parts).is_ok_and(|primary| primary == Primary::All);
    if !is_about_all || header.ciaddr != [0; 4] {
        return Err((Status::Malformed, "an active leasequery names nobody"));
    }
    if !parts.until.is_empty() {
        return Err((Status::Malformed, "an active leasequery has no end"));
    }
    Ok(ActiveQuery {
        wishes,
        from: time(&parts.from)?,
    })
}

fn time(octets: &[u8]) -> Result<Option<Timestamp>, Wrong> {
    match octets {
        [] => Ok(None),
        [a, b, c, d] => {
            let seconds = u32::from_be_bytes([*a, *b, *c, *d]);
            Ok(Some(Timestamp(u64::from(seconds))))
        }
        _ => Err((Status::Malformed, "a time has four octets")),
    }
}

// RFC 6926 section 8.2 [bulk-one-primary]: at most one of the primary queries; none asks for everything.
fn primary(header: &Header, parts: &Parts) -> Result<Primary, Wrong> {
    let too_long = (Status::Malformed, "hlen is more than 16");
    let octets = header.chaddr.get(..usize::from(header.hlen));
    let octets = octets.ok_or(too_long)?;
    let mut found = Vec::new();
    if octets.iter().any(|&octet| octet != 0) {
        let hardware = HardwareAddress::new(header.htype, octets);
        found.push(Primary::Hardware(hardware.map_err(|_| too_long)?));
    }
    if !parts.client.is_empty() {
        found.push(Primary::Client(parts.client.as_slice().into()));
    }
    for sub_option in SubOptions::new(&parts.agent).filter(|it| !it.data.is_empty()) {
        match sub_option.code {
            code::AGENT_REMOTE_ID => found.push(Primary::RemoteId(sub_option.data.into())),
            code::AGENT_RELAY_ID => found.push(Primary::RelayId(sub_option.data.into())),
            _ => {}
        }
    }
    match (found.pop(), found.pop()) {
        (None, _) => Ok(Primary::All),
        (Some(primary), None) => Ok(primary),
        (Some(_), Some(_)) => Err((Status::NotAllowed, "more than one primary query")),
    }
}

impl BulkQuery {
    /// Whether the query is about this.
    pub fn wants(&self, holding: &Holding) -> bool {
        // RFC 6926 section 8.2 [bulk-window]: its state changed then, or its client was heard then. Of what
        // never changed the time is not known, and it is before any.
        let is_within = |when: Timestamp| {
            self.from.is_none_or(|from| when >= from)
                && self.until.is_none_or(|until| when <= until)
        };
        let heard = holding.binding.as_ref().map(|it| it.last_transaction);
        let is_within = match (self.from, self.until) {
            (None, None) => true,
            (Some(_), _) | (_, Some(_)) => {
                holding.changed().is_some_and(is_within) || heard.is_some_and(is_within)
            }
        };
        is_within && self.is_about(holding)
    }

    fn is_about(&self, holding: &Holding) -> bool {
        if self.primary == Primary::All {
            return true;
        }
        // RFC 6926 section 8.2 [bulk-active]: all but the query for everything are about current leases.
        let active = holding.binding.as_ref();
        let Some(binding) = active.filter(|_| holding.state == AddressState::Active) else {
            return false;
        };
        match &self.primary {
            Primary::All => true,
            Primary::Hardware(hardware) => binding.hardware == *hardware,
            Primary::Client(client) => binding.client.as_slice() == &**client,
            Primary::RemoteId(id) => remote_id(&binding.context) == Some(id),
            Primary::RelayId(id) => sub_option(&binding.context, code::AGENT_RELAY_ID) == Some(id),
        }
    }
}
