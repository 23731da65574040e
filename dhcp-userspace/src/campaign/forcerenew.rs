//! DHCPv4: clients are told to renew by FORCERENEW (RFC 3203, authenticated by RFC 6704).

use super::raw::Sender;
use super::runner::{Deaf, Reach, Start, StartError};
use super::schedule::{Plan, Seen};
use super::select::{Selection, Targets};
use crate::clock::Clock;
use crate::commit::StoreState;
use crate::snapshot::Shared;
use dhcp_core::class::ClassId;
use dhcp_core::{Policy, v4};
use dhcp_lease::context::ItemKind;
use dhcp_lease::{Binding, Lease, LeaseKind, Partitions, Timestamp};
use dhcp_wire::v4::{CLIENT_PORT, SERVER_PORT, SubOptions, code};
use std::io;
use std::net::Ipv4Addr;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

/// What a campaign needs of the server.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// All bindings.
    pub partitions: Arc<Partitions>,
    /// The policy in force.
    pub policy: Arc<Shared<Policy>>,
    /// Server time.
    pub clock: Clock,
    /// Whether leases can be written down.
    pub store: Arc<StoreState>,
    /// The server's addresses.
    pub own: Vec<Ipv4Addr>,
}

/// The clients of a campaign.
struct Clients {
    surroundings: Surroundings,
    targets: Targets,
    since: Timestamp,
    sender: Sender,
}

/// Finds the clients that a campaign is for. Those without a nonce of ours cannot be told.
///
/// # Errors
/// [`StartError::Socket`], [`StartError::Class`].
pub fn prepare(
    surroundings: Surroundings,
    selection: &Selection,
    what: String,
    plan: Plan,
) -> Result<Start, StartError> {
    let policy = surroundings.policy.load();
    let class = match selection {
        Selection::Class(name) => Some(class(name, &policy)?),
        _ => None,
    };
    let sender = Sender::open().map_err(StartError::Socket)?;
    let since = surroundings.clock.now();
    want_news(&surroundings.partitions, Some(since));
    // RFC 6704 section 3 [forcerenew-by-nonce]: nobody else is sent anything.
    let able = |binding: &Binding| binding.context.reconfigure_key().is_some();
    let partitions = Arc::clone(&surroundings.partitions);
    let (targets, met) = match class {
        None => Targets::find(partitions, LeaseKind::V4, selection, since, able),
        Some(class) => {
            let (mut all, _) = Targets::find(partitions, LeaseKind::V4, selection, since, |_| true);
            let met = all.narrow(|binding| v4::is_member(binding, class, &policy), able);
            (all, met)
        }
    };
    Ok(Start {
        targets: targets.len() as u32,
        unable: met.unable,
        what,
        plan,
        reach: Box::new(Clients {
            surroundings,
            targets,
            since,
            sender,
        }),
    })
}

/// The class with a name, if leases tell who is in it.
fn class(name: &str, policy: &Policy) -> Result<ClassId, StartError> {
    let refused = |why: String| StartError::Class {
        name: name.to_owned(),
        why,
    };
    let classes = &policy.classes_v4;
    let class = classes
        .find(name)
        .ok_or_else(|| refused("is none that the configuration defines or asks for".to_owned()))?;
    match classes.unknown_field(class, v4::is_kept) {
        None => Ok(class),
        Some(field) => Err(refused(format!(
            "depends on {field}, which is not kept with leases; select its clients by subnet or relay agent"
        ))),
    }
}

fn want_news(partitions: &Partitions, since: Option<Timestamp>) {
    for index in 0..partitions.len() {
        if let Some(mut partition) = partitions.lock(index) {
            partition.want_news(since);
        }
    }
}

impl Reach for Clients {
    fn look(&mut self, target: u32) -> Seen {
        self.targets.look(target, self.surroundings.clock.now())
    }

    fn send(&mut self, target: u32, attempt: u16) -> io::Result<()> {
        let Self {
            surroundings,
            targets,
            sender,
            ..
        } = self;
        let now = surroundings.clock.now();
        // It was there a moment ago.
        let Some(binding) = targets.binding(target) else {
            return Ok(());
        };
        let Lease::V4(address) = binding.lease else {
            return Ok(());
        };
        let source = sender.source_towards(address)?;
        let identifier = server_identifier(binding, &surroundings.policy.load()).unwrap_or(source);
        // A relay agent may have us go by an address that is not ours.
        let source = match surroundings.own.contains(&identifier) {
            true => identifier,
            false => source,
        };
        // RFC 3203 section 2.2 [forcerenew-unicast]: to the client's own address, whatever is between us.
        sender.send((source, SERVER_PORT), (address, CLIENT_PORT), |payload| {
            v4::forcerenew(binding, identifier, attempt, now, payload).ok()
        })
    }

    fn pause(&self) -> Option<&'static str> {
        if self.surroundings.store.is_suspended() {
            return Some("the lease store takes no commits, so nobody could renew");
        }
        // RFC 6704 section 3.1.2 [replay-counter]: not in the second in which the campaign began, in which a
        // client may have had an ACK.
        let has_begun = self.surroundings.clock.now() > self.since;
        (!has_begun).then_some("it begins with the next second")
    }

    fn describe(&mut self, target: u32) -> Option<Deaf> {
        let binding = self.targets.binding(target)?;
        Some(Deaf {
            lease: binding.lease.to_string(),
            client: binding.client.as_slice().to_vec(),
            hardware: binding.hardware.as_slice().to_vec(),
        })
    }

    fn end(&mut self) {
        want_news(&self.surroundings.partitions, None);
    }
}

/// Who we are towards the holder of a lease, where that is not simply our address: what the relay agent told it
/// (RFC 5107), or what is configured.
fn server_identifier(binding: &Binding, policy: &Policy) -> Option<Ipv4Addr> {
    let agent = binding.context.of_kind(ItemKind::AGENT).next();
    let told = SubOptions::new(agent.unwrap_or_default())
        .find(|sub_option| sub_option.code == code::AGENT_SERVER_OVERRIDE)
        .and_then(|sub_option| Some(Ipv4Addr::from_octets(sub_option.data.try_into().ok()?)));
    told.or_else(|| {
        policy
            .networks_v4
            .iter()
            .flat_map(|network| &network.subnets)
            .find(|subnet| subnet.id == binding.subnet)?
            .server_identifier
    })
}

/// How a campaign goes about it unless the operator says otherwise: 100 messages a second; 2 seconds to react,
/// doubling, 8 messages, as a DHCPv6 Reconfigure has it (RFC 9915 section 7.6).
pub const PLAN: Plan = Plan {
    rate: NonZeroU32::MIN.saturating_add(99),
    first_timeout: Duration::from_secs(2),
    tries: NonZeroU16::MIN.saturating_add(7),
};
