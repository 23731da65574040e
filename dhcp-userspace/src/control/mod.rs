//! How do people and programs talk to a running server? HTTP with JSON on a unix socket.
//!
//! The server side runs on a thread of its own and only reads what workers publish: no request, however
//! many there are, makes a packet wait. Bounds: connections, time for a request, octets of a body.

mod campaign;
mod client;
pub mod message;
mod metrics;
mod server;

pub use campaign::{Abort, CampaignStatus, DeafClient, DeafClients, Reconfigure};
pub use client::{Client, ClientError};
pub use server::{BindError, Control};

use crate::campaign::{Campaigns, Plan, Report, Selection, StartError};
use crate::counters::Totals;
use crate::leases::Filter;
use crate::leases::import::{How, Imported};
use crate::operator::ReleaseError;
use dhcp_core::Policy;
use dhcp_lease::{Binding, Lease};
use message::Status;
use std::sync::Arc;

/// What an operator may give his word for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptable {
    /// The wall clock is right.
    Clock,
    /// The lease store is the newest there is.
    Restored,
}

/// What the running server tells and does for its operator.
pub trait Source: Send + Sync + 'static {
    /// How it is.
    fn status(&self) -> Status;
    /// What its workers have counted.
    fn totals(&self) -> Totals;
    /// What the XDP program has counted, by interface and outcome.
    fn xdp_counters(&self) -> Vec<(String, String, u64)>;
    /// The policy in force.
    fn policy(&self) -> Arc<Policy>;
    /// Every binding, live, former or declined. Not of one moment.
    fn for_each_binding(&self, visit: &mut dyn FnMut(&Binding));
    /// Server time.
    fn now(&self) -> dhcp_lease::Timestamp;
    /// Reads the configuration anew and puts it in force, or says everything that is wrong with it, one
    /// line each, and changes nothing.
    ///
    /// # Errors
    /// The lines.
    fn reload(&self) -> Result<String, Vec<String>>;
    /// Ends the binding that holds a lease; returns it as it is then, durably.
    ///
    /// # Errors
    /// [`ReleaseError`].
    fn release(&self, lease: Lease) -> Result<Binding, ReleaseError>;
    /// Gives back the declined leases that are wanted; returns them as they are then, durably.
    ///
    /// # Errors
    /// [`ReleaseError`]; some may have been given back then.
    fn clear_declined(&self, wanted: &Filter) -> Result<Vec<Binding>, ReleaseError>;
    /// Takes over leases from elsewhere, durably, and says what became of each.
    ///
    /// # Errors
    /// [`ReleaseError`]; the same leases may be imported again then.
    fn import(&self, bindings: Vec<Binding>, how: How) -> Result<Imported, ReleaseError>;
    /// Has many clients come for their leases, one campaign at a time; `what` says in words whom.
    ///
    /// # Errors
    /// [`StartError`].
    fn reconfigure(&self, whom: &Selection, what: String, plan: Plan)
    -> Result<Report, StartError>;
    /// The campaigns.
    fn campaigns(&self) -> &Campaigns;
    /// Takes the operator's word for something; it is durable when this returns.
    ///
    /// # Errors
    /// Those of the disk.
    fn accept(&self, what: Acceptable) -> std::io::Result<()>;
}
