//! What is said of campaigns on the control socket: `/v1/reconfigure`.

use super::server::{Shared, blocking, problem};
use crate::campaign::{Outcome, Plan, Report, Selection, StartError, forcerenew};
use crate::config::notation::{self, Family};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dhcp_lease::{Lease, SubnetId};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

/// Deaf clients in one answer.
const DEAF_MAX: usize = 10_000;
/// Bounds of what an operator may ask for. With more tries the last pause would be days.
const RATE_MAX: u32 = 100_000;
const TIMEOUT_SECONDS_MAX: u32 = 3_600;
const TRIES_MAX: u16 = 16;

/// The body of `POST /v1/reconfigure`: whom, by exactly one of the first eight, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Reconfigure {
    /// The holder of this address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whoever has this hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hw_address: Option<String>,
    /// Whoever has this client identifier, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Leases in this prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// Leases from the subnet with this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<u32>,
    /// Clients behind the relay agent with this address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<Ipv4Addr>,
    /// Clients of the class with this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Everybody.
    pub all: bool,
    /// Messages per second, retries included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// How long a client has to react to its first message, in seconds; twice as long to each further one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// How many messages a client gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tries: Option<u16>,
}

impl Reconfigure {
    /// Whom, in words too.
    ///
    /// # Errors
    /// What is wrong with it.
    fn selection(&self) -> Result<(Selection, String), String> {
        let octets =
            |text: &String| notation::octets(text).map_err(|why| format!("{text:?}: {why}"));
        let mut found = Vec::new();
        if let Some(text) = &self.address {
            let address: Ipv4Addr = text
                .parse()
                .map_err(|_| format!("{text:?} is not an IPv4 address"))?;
            let holder = Selection::Lease(Lease::V4(address));
            found.push((holder, format!("the holder of {address}")));
        }
        if let Some(text) = &self.hw_address {
            let what = format!("hardware address {text}");
            found.push((Selection::Hardware(octets(text)?), what));
        }
        if let Some(text) = &self.client_id {
            let what = format!("client identifier {text}");
            found.push((Selection::Client(octets(text)?), what));
        }
        if let Some(text) = &self.subnet {
            let prefix = notation::prefix(Family::V4, text)?;
            found.push((Selection::Prefix(prefix), format!("leases in {text}")));
        }
        if let Some(id) = self.subnet_id {
            found.push((Selection::Subnet(SubnetId(id)), format!("subnet {id}")));
        }
        if let Some(relay) = self.relay {
            let what = format!("clients behind the relay agent {relay}");
            found.push((Selection::Relay(relay), what));
        }
        if let Some(name) = &self.class {
            let what = format!("clients of class {name:?}");
            found.push((Selection::Class(name.clone()), what));
        }
        if self.all {
            found.push((Selection::All, "all clients".to_owned()));
        }
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => Ok(one),
            _ => Err(
                "say whom by exactly one of address, hw-address, client-id, subnet, subnet-id, relay, class and all"
                    .to_owned(),
            ),
        }
    }

    fn plan(&self) -> Result<Plan, String> {
        let mut plan = forcerenew::PLAN;
        if let Some(rate) = self.rate {
            let rate = NonZeroU32::new(rate).filter(|rate| rate.get() <= RATE_MAX);
            plan.rate = rate.ok_or(format!(
                "the rate must be 1 to {RATE_MAX} messages a second"
            ))?;
        }
        if let Some(seconds) = self.timeout_seconds {
            if seconds == 0 || seconds > TIMEOUT_SECONDS_MAX {
                return Err(format!(
                    "the timeout must be 1 to {TIMEOUT_SECONDS_MAX} seconds"
                ));
            }
            plan.first_timeout = Duration::from_secs(u64::from(seconds));
        }
        if let Some(tries) = self.tries {
            let tries = NonZeroU16::new(tries).filter(|tries| tries.get() <= TRIES_MAX);
            plan.tries = tries.ok_or(format!("there must be 1 to {TRIES_MAX} tries"))?;
        }
        Ok(plan)
    }
}

/// The answer to `GET` and `POST /v1/reconfigure` and to `POST /v1/reconfigure/abort`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CampaignStatus {
    /// Its number; 0: there was none since the start of the server.
    pub campaign: u64,
    /// Whom it is for.
    pub whom: String,
    /// `running`, `done` or `aborted`.
    pub state: String,
    /// Why it pauses, if it does.
    pub pause: Option<String>,
    /// How long it has been running, or ran, in seconds.
    pub seconds: u64,
    /// Messages per second, retries included.
    pub rate: u32,
    /// How long a client has to react to its first message, in seconds.
    pub timeout_seconds: u64,
    /// How many messages a client gets.
    pub tries: u16,
    /// Clients that are to come.
    pub targets: u32,
    /// Clients that were selected and cannot be told: they have no nonce.
    pub unable: u32,
    /// Messages sent, retries included.
    pub sent: u64,
    /// Clients that came for their leases.
    pub renewed: u32,
    /// Clients that have no lease any more.
    pub gone: u32,
    /// Clients that did not react to their last message either.
    pub deaf: u32,
    /// Clients that were sent a message and have time left.
    pub waiting: u32,
    /// Messages that the system refused to send; they count as sent.
    pub failures: u64,
    /// What it said the last time.
    pub failure: Option<String>,
}

impl CampaignStatus {
    fn new(report: Report) -> Self {
        let state = match report.outcome {
            Outcome::Running => "running",
            Outcome::Done => "done",
            Outcome::Aborted => "aborted",
        };
        Self {
            campaign: report.number,
            whom: report.what,
            state: state.to_owned(),
            pause: report.pause.map(str::to_owned),
            seconds: report.elapsed.as_secs(),
            rate: report.plan.rate.get(),
            timeout_seconds: report.plan.first_timeout.as_secs(),
            tries: report.plan.tries.get(),
            targets: report.targets,
            unable: report.unable,
            sent: report.counts.sent,
            renewed: report.counts.reacted,
            gone: report.counts.gone,
            deaf: report.counts.deaf,
            waiting: report.counts.waiting,
            failures: report.failures,
            failure: report.failure,
        }
    }

    /// Clients of which it is known what became of them.
    pub fn ended(&self) -> u32 {
        self.renewed + self.gone + self.deaf
    }
}

/// The body of `POST /v1/reconfigure/abort`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Abort {
    /// Which campaign, lest another is hit; nothing: whichever is running.
    pub campaign: Option<u64>,
}

/// The query of `GET /v1/reconfigure/deaf`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct DeafFrom {
    first: usize,
}

/// The answer to `GET /v1/reconfigure/deaf`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeafClients {
    /// In the order in which that was found out.
    pub deaf: Vec<DeafClient>,
    /// Whether there are more.
    pub more: bool,
}

/// A client that did not react.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeafClient {
    /// Its address.
    pub address: String,
    /// Its client identifier, in hexadecimal; empty if there is none.
    pub client: String,
    /// Its hardware address.
    pub hw_address: String,
}

fn refuse(error: &StartError) -> Response {
    let code = match error {
        StartError::Busy { .. } => StatusCode::CONFLICT,
        StartError::NotRunning => StatusCode::NOT_FOUND,
        StartError::Class { .. } => StatusCode::BAD_REQUEST,
        StartError::Socket(_) | StartError::Thread(_) | StartError::Ending => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    problem(code, vec![error.to_string()])
}

fn answer(outcome: Result<Report, StartError>) -> Response {
    match outcome {
        Ok(report) => Json(CampaignStatus::new(report)).into_response(),
        Err(error) => refuse(&error),
    }
}

pub(super) async fn status(State(source): Shared) -> Response {
    let report = source.campaigns().report();
    Json(report.map(CampaignStatus::new).unwrap_or_default()).into_response()
}

pub(super) async fn start(
    State(source): Shared,
    request: Result<Json<Reconfigure>, JsonRejection>,
) -> Response {
    let Json(request) = match request {
        Ok(request) => request,
        Err(rejection) => return problem(StatusCode::BAD_REQUEST, vec![rejection.body_text()]),
    };
    let asked = request
        .selection()
        .and_then(|whom| Ok((whom, request.plan()?)));
    let ((whom, what), plan) = match asked {
        Ok(asked) => asked,
        Err(message) => return problem(StatusCode::BAD_REQUEST, vec![message]),
    };
    blocking(move || answer(source.reconfigure(&whom, what, plan))).await
}

pub(super) async fn abort(
    State(source): Shared,
    request: Result<Json<Abort>, JsonRejection>,
) -> Response {
    match request {
        Ok(Json(Abort { campaign })) => {
            blocking(move || answer(source.campaigns().abort(campaign))).await
        }
        Err(rejection) => problem(StatusCode::BAD_REQUEST, vec![rejection.body_text()]),
    }
}

pub(super) async fn deaf(
    State(source): Shared,
    from: Result<Query<DeafFrom>, QueryRejection>,
) -> Response {
    let first = match from {
        Ok(Query(DeafFrom { first })) => first,
        Err(rejection) => return problem(StatusCode::BAD_REQUEST, vec![rejection.body_text()]),
    };
    let mut deaf = source.campaigns().deaf(first, DEAF_MAX + 1);
    let more = deaf.len() > DEAF_MAX;
    deaf.truncate(DEAF_MAX);
    let view = |deaf: crate::campaign::Deaf| DeafClient {
        address: deaf.lease,
        client: notation::hex(&deaf.client),
        hw_address: notation::hex(&deaf.hardware),
    };
    let deaf = deaf.into_iter().map(view).collect();
    Json(DeafClients { deaf, more }).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(change: impl FnOnce(&mut Reconfigure)) -> Reconfigure {
        let mut request = Reconfigure::default();
        change(&mut request);
        request
    }

    #[test]
    fn whom_is_said_in_exactly_one_way() {
        let good = [
            by(|it| it.address = Some("192.0.2.7".to_owned())),
            by(|it| it.hw_address = Some("02:00:00:00:00:01".to_owned())),
            by(|it| it.client_id = Some("01:02".to_owned())),
            by(|it| it.subnet = Some("192.0.2.0/24".to_owned())),
            by(|it| it.subnet_id = Some(7)),
            by(|it| it.relay = Some(Ipv4Addr::new(10, 0, 0, 1))),
            by(|it| it.class = Some("modems".to_owned())),
            by(|it| it.all = true),
        ];
        for request in &good {
            let (_, what) = request.selection().unwrap();
            assert!(!what.is_empty());
        }
        let bad = [
            Reconfigure::default(),
            by(|it| it.address = Some("2001:db8::1".to_owned())),
            by(|it| it.hw_address = Some("printer".to_owned())),
            by(|it| it.subnet = Some("192.0.2.1/24".to_owned())),
            by(|it| (it.all, it.subnet_id) = (true, Some(7))),
            by(|it| (it.class, it.subnet_id) = (Some("a".to_owned()), Some(7))),
        ];
        for request in &bad {
            assert!(request.selection().is_err(), "{request:?}");
        }
    }

    #[test]
    fn how_has_bounds_and_defaults() {
        let plan = by(|_| {}).plan().unwrap();
        assert_eq!(plan, forcerenew::PLAN);
        assert_eq!((plan.rate.get(), plan.tries.get()), (100, 8));
        let plan = by(|it| {
            (it.rate, it.timeout_seconds, it.tries) = (Some(2000), Some(3), Some(4));
        });
        let plan = plan.plan().unwrap();
        assert_eq!((plan.rate.get(), plan.tries.get()), (2000, 4));
        assert_eq!(plan.first_timeout, Duration::from_secs(3));
        let bad = [
            by(|it| it.rate = Some(0)),
            by(|it| it.rate = Some(RATE_MAX + 1)),
            by(|it| it.timeout_seconds = Some(0)),
            by(|it| it.timeout_seconds = Some(TIMEOUT_SECONDS_MAX + 1)),
            by(|it| it.tries = Some(0)),
            by(|it| it.tries = Some(TRIES_MAX + 1)),
        ];
        for request in &bad {
            assert!(request.plan().is_err(), "{request:?}");
        }
    }
}
