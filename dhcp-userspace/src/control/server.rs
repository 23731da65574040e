//! The server side of the control socket: a small HTTP server on a thread of its own.

use super::message::{
    self, Accepted, ClearDeclined, Cleared, Import, Leases, Problem, Release, Released, Reloaded,
    Stats,
};
use super::{Acceptable, Source, campaign};
use crate::leases::import::How;
use crate::leases::{self, Filter, LeaseView};
use crate::operator::ReleaseError;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fs, io};
use tokio::sync::{Semaphore, oneshot};

/// Connections at one time; more wait in the socket's queue.
const CONNECTIONS_MAX: usize = 64;
/// Octets of a request's body.
const BODY_OCTETS_MAX: usize = 64 << 10;
/// The same, of one that brings leases: some ten thousand.
const IMPORT_OCTETS_MAX: usize = 16 << 20;
/// For the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole connection, listing ten million leases included.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);
/// For the disk to take a release.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(30);
/// Leases in one answer, unless fewer are asked for.
const LEASES_MAX: usize = 100_000;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another server answers on it.
    #[error(
        "{}: another server answers on this control socket; stop it, or name another with --socket",
        path.display()
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// It could not be made.
    #[error(
        "{}: cannot make the control socket: {source}; make its directory, or name another socket with \
         --socket", path.display()
    )]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Its thread could not be started.
    #[error("cannot start the control thread: {0}")]
    Thread(#[source] io::Error),
}

/// The control socket, as long as it lives.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Makes the socket (mode 0660) and answers on it from now on.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn start(path: &Path, source: Arc<dyn Source>) -> Result<Self, BindError> {
        let listener = bind(path)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(BindError::Thread)?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                if let Err(error) = accept(listener, router(source), stopped).await {
                    tracing::error!(%error, "the control socket cannot be served");
                }
            });
            // A request that walks through millions of leases does not hold up the end.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(serve)
            .map_err(BindError::Thread)?;
        Ok(Self {
            path: path.to_owned(),
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

fn bind(path: &Path) -> Result<UnixListener, BindError> {
    let failed = |source| BindError::Socket {
        path: path.to_owned(),
        source,
    };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    if UnixStream::connect(path).is_ok() {
        return Err(BindError::InUse {
            path: path.to_owned(),
        });
    }
    // What a killed server left behind answers nobody.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

async fn accept(
    listener: UnixListener,
    router: Router,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return Ok(());
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => return Ok(()),
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: others end, and then it goes on.
                tracing::warn!(%error, "a control connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // Errors are the other side's: it went away, or sent what is no HTTP.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
            drop(permit);
        });
    }
}

pub(super) type Shared = State<Arc<dyn Source>>;

fn router(source: Arc<dyn Source>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/stats", get(stats))
        .route("/v1/pools", get(pools))
        .route("/v1/leases", get(list_leases))
        .route("/v1/reload", post(reload))
        .route("/v1/release", post(release))
        .route("/v1/declined/clear", post(clear_declined))
        .route(
            "/v1/import",
            post(import).layer(DefaultBodyLimit::max(IMPORT_OCTETS_MAX)),
        )
        .route(
            "/v1/reconfigure",
            get(campaign::status).post(campaign::start),
        )
        .route("/v1/reconfigure/abort", post(campaign::abort))
        .route("/v1/reconfigure/deaf", get(campaign::deaf))
        .route("/v1/clock/accept", post(accept_clock))
        .route("/v1/restore/accept", post(accept_restored))
        .route("/metrics", get(metrics))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .with_state(source)
}

pub(super) fn problem(code: StatusCode, errors: Vec<String>) -> Response {
    (code, Json(Problem { errors })).into_response()
}

async fn unknown() -> Response {
    let message = "there is no such path; see docs/operating.md".to_owned();
    problem(StatusCode::NOT_FOUND, vec![message])
}

async fn status(State(source): Shared) -> Response {
    Json(source.status()).into_response()
}

async fn stats(State(source): Shared) -> Response {
    Json(Stats::new(&source.totals(), source.xdp_counters())).into_response()
}

async fn metrics(State(source): Shared) -> Response {
    blocking(move || {
        let stats = Stats::new(&source.totals(), source.xdp_counters());
        let pools = message::pools(&source.policy());
        let text = super::metrics::render(&source.status(), &stats, &pools);
        ([("content-type", "text/plain; version=0.0.4")], text).into_response()
    })
    .await
}

async fn pools(State(source): Shared) -> Response {
    blocking(move || {
        let policy = source.policy();
        let mut pools = message::pools(&policy);
        message::count_bindings(&mut pools, &policy, source.now(), |visit| {
            source.for_each_binding(visit);
        });
        Json(pools).into_response()
    })
    .await
}

async fn list_leases(
    State(source): Shared,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Response {
    let Query(mut filter) = match filter {
        Ok(filter) => filter,
        Err(rejection) => return problem(StatusCode::BAD_REQUEST, vec![rejection.body_text()]),
    };
    filter.limit = Some(filter.limit.unwrap_or(LEASES_MAX).min(LEASES_MAX));
    blocking(move || {
        let each = |visit: &mut dyn FnMut(&dhcp_lease::Binding)| source.for_each_binding(visit);
        let (leases, more) = leases::select(&filter, source.now(), each);
        Json(Leases { leases, more }).into_response()
    })
    .await
}

async fn reload(State(source): Shared) -> Response {
    blocking(move || match source.reload() {
        Ok(summary) => Json(Reloaded { summary }).into_response(),
        Err(errors) => problem(StatusCode::UNPROCESSABLE_ENTITY, errors),
    })
    .await
}

async fn accept_clock(source: Shared) -> Response {
    take_word(source, Acceptable::Clock).await
}

async fn accept_restored(source: Shared) -> Response {
    take_word(source, Acceptable::Restored).await
}

async fn take_word(State(source): Shared, what: Acceptable) -> Response {
    blocking(move || match source.accept(what) {
        Ok(()) => {
            tracing::info!(?what, "the operator has given his word");
            let clock = source.status().clock;
            Json(Accepted { clock }).into_response()
        }
        Err(error) => {
            let message = format!("the clock record cannot be written: {error}; mend the disk");
            problem(StatusCode::SERVICE_UNAVAILABLE, vec![message])
        }
    })
    .await
}

async fn clear_declined(
    State(source): Shared,
    request: Result<Json<ClearDeclined>, JsonRejection>,
) -> Response {
    let Json(request) = match request {
        Ok(request) => request,
        Err(rejection) => return problem(StatusCode::BAD_REQUEST, vec![rejection.body_text()]),
    };
    let address = match request.address.as_deref().map(leases::parse).transpose() {
        Ok(lease) => lease.map(|lease| lease.to_string()),
        Err(message) => return problem(StatusCode::BAD_REQUEST, vec![message]),
    };
    let wanted = Filter {
        family: request.family,
        subnet_id: request.subnet_id,
        address,
        ..Filter::default()
    };
    // Each takes a sync of the journal; whoever asks for thousands waits for them.
    blocking(move || match source.clear_declined(&wanted) {
        Ok(bindings) => {
            let now = source.now();
            let cleared = bindings.iter().map(|it| LeaseView::new(it, now)).collect();
            Json(Cleared { cleared }).into_response()
        }
        Err(error) => problem(StatusCode::SERVICE_UNAVAILABLE, vec![error.to_string()]),
    })
    .await
}

async fn release(State(source): Shared, request: Result<Json<Release>, JsonRejection>) -> Response {
    let Json(Release { address }) = match request {
        Ok(request) => request,
        Err(rejection) => return problem(StatusCode::BAD_REQUEST, vec![rejection.body_text()]),
    };
    let lease = match leases::parse(&address) {
        Ok(lease) => lease,
        Err(message) => return problem(StatusCode::BAD_REQUEST, vec![message]),
    };
    let released = blocking(move || match source.release(lease) {
        Ok(binding) => {
            let released = LeaseView::new(&binding, source.now());
            Json(Released { released }).into_response()
        }
        Err(error) => {
            let code = match error {
                ReleaseError::NotHeld { .. } => StatusCode::NOT_FOUND,
                ReleaseError::Busy | ReleaseError::StoreFailed => StatusCode::SERVICE_UNAVAILABLE,
            };
            problem(code, vec![error.to_string()])
        }
    });
    // The thread that waits for the disk goes on waiting, and settles what it wrote.
    match tokio::time::timeout(RELEASE_TIMEOUT, released).await {
        Ok(response) => response,
        Err(_) => problem(
            StatusCode::GATEWAY_TIMEOUT,
            vec![format!(
                "{address}: the disk has not confirmed the release yet; see `xdhcpd ctl status`"
            )],
        ),
    }
}

/// Whoever sends batch after batch waits for each: so the disk sets the pace, and no queue grows.
async fn import(State(source): Shared, request: Result<Json<Import>, JsonRejection>) -> Response {
    let Json(request) = match request {
        Ok(request) => request,
        Err(rejection) => return problem(StatusCode::BAD_REQUEST, vec![rejection.body_text()]),
    };
    let how = How {
        rule: request.rule,
        subnets: request.subnets,
        is_dry_run: request.dry_run,
    };
    blocking(move || {
        let bindings: Result<Vec<_>, _> = request.leases.iter().map(LeaseView::binding).collect();
        let bindings = match bindings {
            Ok(bindings) => bindings,
            Err(reason) => return problem(StatusCode::BAD_REQUEST, vec![reason]),
        };
        match source.import(bindings, how) {
            Ok(imported) => Json(imported).into_response(),
            Err(error) => problem(StatusCode::SERVICE_UNAVAILABLE, vec![error.to_string()]),
        }
    })
    .await
}

/// Runs what reads files or walks tables beside the thread that answers everybody.
pub(super) async fn blocking(work: impl FnOnce() -> Response + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(work).await {
        Ok(response) => response,
        Err(_) => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            vec!["the request failed inside the server; see its log".to_owned()],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Status;
    use super::super::{Abort, CampaignStatus, DeafClients, Reconfigure};
    use super::super::{Client, ClientError};
    use super::*;
    use crate::campaign::{
        Campaigns, Deaf, Plan, Reach, Report, Seen, Selection, Start, StartError,
    };
    use crate::counters::Totals;
    use crate::leases::import::{Imported, Outcome};
    use dhcp_core::Policy;
    use dhcp_lease::{Binding, Lease, Timestamp};
    use std::net::Ipv4Addr;

    /// A server with one lease, 192.0.2.7, that can be released again and again.
    #[derive(Default)]
    struct OneLease(Campaigns);

    /// Targets of which there are none.
    struct Nobody;

    impl Reach for Nobody {
        fn look(&mut self, _: u32) -> Seen {
            Seen::Gone
        }

        fn send(&mut self, _: u32, _: u16) -> io::Result<()> {
            Ok(())
        }

        fn pause(&self) -> Option<&'static str> {
            Some("for a test")
        }

        fn describe(&mut self, _: u32) -> Option<Deaf> {
            None
        }

        fn end(&mut self) {}
    }

    const HELD: Lease = Lease::V4(Ipv4Addr::new(192, 0, 2, 7));

    impl Source for OneLease {
        fn status(&self) -> Status {
            Status::default()
        }

        fn totals(&self) -> Totals {
            Totals::default()
        }

        fn xdp_counters(&self) -> Vec<(String, String, u64)> {
            Vec::new()
        }

        fn policy(&self) -> Arc<Policy> {
            panic!("nobody asks for it")
        }

        fn for_each_binding(&self, _: &mut dyn FnMut(&Binding)) {}

        fn now(&self) -> Timestamp {
            Timestamp(1_700_000_000)
        }

        fn reload(&self) -> Result<String, Vec<String>> {
            Err(vec!["one".to_owned(), "two".to_owned()])
        }

        fn accept(&self, what: Acceptable) -> io::Result<()> {
            match what {
                Acceptable::Clock => Ok(()),
                Acceptable::Restored => Err(io::Error::other("no")),
            }
        }

        fn release(&self, lease: Lease) -> Result<Binding, ReleaseError> {
            match lease {
                HELD => Ok(Binding {
                    lease,
                    ..Binding::default()
                }),
                _ => Err(ReleaseError::NotHeld { lease }),
            }
        }

        fn clear_declined(&self, wanted: &Filter) -> Result<Vec<Binding>, ReleaseError> {
            match wanted.subnet_id {
                Some(7) => Err(ReleaseError::StoreFailed),
                _ => Ok(vec![Binding::default()]),
            }
        }

        fn reconfigure(
            &self,
            whom: &Selection,
            what: String,
            plan: Plan,
        ) -> Result<Report, StartError> {
            assert_eq!(*whom, Selection::Lease(HELD));
            self.0.start(|| {
                Ok(Start {
                    reach: Box::new(Nobody),
                    what,
                    plan,
                    targets: 0,
                    unable: 1,
                })
            })
        }

        fn campaigns(&self) -> &Campaigns {
            &self.0
        }

        fn import(&self, bindings: Vec<Binding>, _: How) -> Result<Imported, ReleaseError> {
            Ok(Imported {
                outcomes: vec![Outcome::Added; bindings.len()],
                ..Imported::default()
            })
        }
    }

    fn release(client: &Client, address: &str) -> Result<Released, ClientError> {
        let address = address.to_owned();
        client.post("/v1/release", &Release { address })
    }

    #[test]
    fn what_the_server_does_and_refuses_reaches_the_client() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let control = Control::start(&path, Arc::new(OneLease::default())).unwrap();
        let client = Client::new(&path);
        let released = release(&client, "192.0.2.7").unwrap().released;
        assert_eq!(
            (released.address.as_str(), released.state.as_str()),
            ("192.0.2.7", "released")
        );
        for (address, expected) in [
            ("192.0.2.8", "192.0.2.8: nobody holds"),
            ("2001:db8::/48", "2001:db8::/48: nobody holds"),
            ("printer", "\"printer\" is neither an address nor a prefix"),
        ] {
            let refused = release(&client, address).unwrap_err().to_string();
            assert!(refused.starts_with(expected), "{refused}");
        }
        let clear = |which: ClearDeclined| client.post::<Cleared>("/v1/declined/clear", &which);
        let cleared = clear(ClearDeclined::default()).unwrap().cleared;
        assert_eq!(cleared.len(), 1);
        for (which, expected) in [
            (
                ClearDeclined {
                    subnet_id: Some(7),
                    ..ClearDeclined::default()
                },
                "the lease store cannot be written",
            ),
            (
                ClearDeclined {
                    address: Some("printer".to_owned()),
                    ..ClearDeclined::default()
                },
                "\"printer\" is neither",
            ),
        ] {
            let refused = clear(which).unwrap_err().to_string();
            assert!(refused.starts_with(expected), "{refused}");
        }
        let refused = client.post::<Released>("/v1/release", &["nonsense"]);
        assert!(
            matches!(refused, Err(ClientError::Refused { .. })),
            "{refused:?}"
        );
        let refused = client.post::<Reloaded>("/v1/reload", &()).unwrap_err();
        assert_eq!(refused.to_string(), "one\ntwo");
        let held = LeaseView {
            address: "192.0.2.7".into(),
            kind: "v4".into(),
            state: "leased".into(),
            client: "01:02".into(),
            ..LeaseView::default()
        };
        let leases = vec![held; 10_000];
        let request = Import {
            leases,
            ..Import::default()
        };
        let imported: Imported = client.post("/v1/import", &request).unwrap();
        assert_eq!(imported.outcomes.len(), 10_000);
        let leases = vec![LeaseView::default()];
        let request = Import { leases, ..request };
        let refused = client.post::<Imported>("/v1/import", &request).unwrap_err();
        assert!(
            refused.to_string().contains("neither an address"),
            "{refused}"
        );
        let accepted = client.post::<Accepted>("/v1/clock/accept", &()).unwrap();
        assert_eq!(accepted.clock, Status::default().clock);
        let refused = client.post::<Accepted>("/v1/restore/accept", &());
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("mend the disk"), "{refused}");
        let none: CampaignStatus = client.get("/v1/reconfigure").unwrap();
        assert_eq!(none, CampaignStatus::default());
        let request = Reconfigure {
            address: Some("192.0.2.7".to_owned()),
            ..Reconfigure::default()
        };
        let begun: CampaignStatus = client.post("/v1/reconfigure", &request).unwrap();
        assert_eq!((begun.campaign, begun.unable), (1, 1));
        assert_eq!(begun.whom, "the holder of 192.0.2.7");
        let busy = client.post::<CampaignStatus>("/v1/reconfigure", &request);
        let busy = busy.unwrap_err().to_string();
        assert!(busy.contains("campaign 1 is still running"), "{busy}");
        let whom = client.post::<CampaignStatus>("/v1/reconfigure", &Reconfigure::default());
        let whom = whom.unwrap_err().to_string();
        assert!(whom.contains("exactly one of"), "{whom}");
        let deaf: DeafClients = client.get("/v1/reconfigure/deaf?first=0").unwrap();
        assert_eq!(deaf, DeafClients::default());
        let other = Abort { campaign: Some(2) };
        let refused = client.post::<CampaignStatus>("/v1/reconfigure/abort", &other);
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("no such campaign")
        );
        let ended: CampaignStatus = client
            .post("/v1/reconfigure/abort", &Abort::default())
            .unwrap();
        assert_eq!(ended.state, "aborted");
        drop(control);
        assert!(!path.exists());
    }
}
