//! Queries for many leases, and for what changes.

use crate::transcript::scene::{Config, Protocol};
use dhcp_core::Policy;
use dhcp_core::v4::leasequery::bulk::{self, ActiveQuery, Holding, Request, Status, Wishes};
use dhcp_lease::{
    Binding, ChangeLog, Durability, Lease, Partitions, State, Timestamp, context::ItemKind,
};
use dhcp_wire::id::{ClientId, HardwareAddress};
use dhcp_wire::v4::{BOOTREQUEST, Builder, Header, Message, MessageType, code};
use std::net::Ipv4Addr;
use std::sync::OnceLock;

const NOW: Timestamp = Timestamp(1_800_000_000);

/// A server with a lease for each number of ten.
fn world() -> &'static (Policy, Partitions) {
    static WORLD: OnceLock<(Policy, Partitions)> = OnceLock::new();
    WORLD.get_or_init(|| {
        let mut config = Config::new(Protocol::V4);
        for line in [
            "subnet 10.77.0.0/24 pool 10.77.0.100-10.77.0.130 routers 10.77.0.1",
            "leasequery requestor 0.0.0.0/0",
        ] {
            config
                .line(line)
                .unwrap_or_else(|complaint| panic!("{line}: {complaint}"));
        }
        let policy = config.build().policy;
        let partitions = Partitions::in_memory(2, 64, Durability::Process);
        let mut log = ChangeLog::default();
        for number in 0..10u8 {
            let mut binding = Binding {
                lease: Lease::V4(Ipv4Addr::new(10, 77, 0, 100 + number)),
                state: State::Leased,
                client: ClientId::new(&[1, number]).unwrap(),
                hardware: HardwareAddress::ethernet([2, 0, 0, 0, 0, number]),
                last_transaction: NOW,
                expires: NOW.after(600),
                valid_seconds: 600,
                ..Binding::default()
            };
            let agent = [
                code::AGENT_REMOTE_ID,
                1,
                number % 2,
                code::AGENT_RELAY_ID,
                1,
                7,
            ];
            binding.context.insert(ItemKind::AGENT, &agent);
            let index = partitions.index_of(binding.client.as_slice());
            let mut partition = partitions.lock(index).unwrap();
            let committed = partition.commit(None, &binding, &policy.pools, &mut log, NOW);
            committed.unwrap();
        }
        partitions.file_all(|| false);
        (policy, partitions)
    })
}

/// Answers a message: each address once, each answer whole, and the right kind of it last.
pub(super) fn bulk(octets: &[u8]) {
    let server = Ipv4Addr::new(10, 77, 0, 1);
    let mut out = Vec::new();
    let wanted = match bulk::parse(octets) {
        Err(None) => return,
        Err(Some(refusal)) => {
            bulk::refuse(&refusal, server, NOW, &mut out);
            refusal.kind
        }
        Ok(Request::Tls { xid }) => {
            bulk::tls(xid, None, &mut out);
            MessageType::TLS
        }
        Ok(Request::Active(ActiveQuery { wishes, .. })) => {
            let address = Ipv4Addr::new(10, 77, 0, 103);
            tell(&wishes, &[address], |_| true, &mut out);
            let complete = (Status::CatchUpComplete, "");
            bulk::status(wishes.xid, None, complete, NOW, &mut out);
            MessageType::LEASEQUERYSTATUS
        }
        Ok(Request::Bulk(query)) => {
            let (policy, partitions) = world();
            let mut targets = bulk::targets(&query, policy, partitions, NOW).unwrap();
            let mut addresses = Vec::new();
            loop {
                targets.next(7, &mut addresses);
                if addresses.is_empty() {
                    break;
                }
                tell(&query.wishes, &addresses, |it| query.wants(it), &mut out);
            }
            bulk::done(query.wishes.xid, Some(server), None, &mut out);
            MessageType::LEASEQUERYDONE
        }
    };
    check(&out, wanted);
}

fn tell(
    wishes: &Wishes,
    addresses: &[Ipv4Addr],
    wants: impl Fn(&Holding) -> bool,
    out: &mut Vec<u8>,
) {
    let (policy, partitions) = world();
    for holding in bulk::look(partitions, addresses, NOW).unwrap() {
        if wants(&holding) {
            bulk::answer(wishes, &holding, None, policy, NOW, out);
        }
    }
}

fn check(out: &[u8], wanted: MessageType) {
    let mut rest = out;
    let mut told = Vec::new();
    let mut last = None;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (octets, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        let message = Message::parse(octets).unwrap();
        last = message.message_type().unwrap();
        assert!(message.options().all(|piece| piece.is_ok()));
        told.push(message.header.ciaddr());
        rest = after;
    }
    assert!(rest.is_empty());
    assert_eq!(last, Some(wanted));
    let count = told.len();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), count, "an address was told twice");
}

/// A query of each kind.
pub(super) fn bulk_seeds() -> Vec<Vec<u8>> {
    let of_kind = |kind: MessageType, fill: &dyn Fn(&mut Header), options: &[(u8, &[u8])]| {
        let mut header = Header::new(BOOTREQUEST);
        fill(&mut header);
        let mut room = [0; 600];
        let mut builder = Builder::new(&mut room, 548, &header).unwrap();
        builder.push(code::MESSAGE_TYPE, &[kind.0]).unwrap();
        let wishes = [51, 58, 59, 61, 82, 91, 152, 153, 156, 157];
        builder.push(code::PARAMETER_REQUEST_LIST, &wishes).unwrap();
        for (code, data) in options {
            builder.push(*code, data).unwrap();
        }
        let len = builder.finish();
        room[..len].to_vec()
    };
    let query = |fill: &dyn Fn(&mut Header), options: &[(u8, &[u8])]| {
        of_kind(MessageType::BULKLEASEQUERY, fill, options)
    };
    let card = |header: &mut Header| {
        (header.htype, header.hlen) = (1, 6);
        header.chaddr[0] = 2;
    };
    let time = 1_700_000_000u32.to_be_bytes();
    vec![
        query(&|_| (), &[]),
        query(&card, &[]),
        query(&|_| (), &[(code::CLIENT_IDENTIFIER, &[1, 3])]),
        query(
            &|_| (),
            &[(code::RELAY_AGENT, &[code::AGENT_REMOTE_ID, 1, 1])],
        ),
        query(
            &|_| (),
            &[(code::RELAY_AGENT, &[code::AGENT_RELAY_ID, 1, 7])],
        ),
        query(
            &|_| (),
            &[
                (code::QUERY_START_TIME, &time),
                (code::QUERY_END_TIME, &time),
            ],
        ),
        query(&|_| (), &[(code::VPN, &[254])]),
        of_kind(
            MessageType::ACTIVELEASEQUERY,
            &|_| (),
            &[(code::QUERY_START_TIME, &time)],
        ),
        of_kind(MessageType::TLS, &|_| (), &[]),
    ]
}
