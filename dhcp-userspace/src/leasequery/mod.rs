//! Whose leases are whose, many at a time and as they change: bulk and active leasequery by TCP (RFC 6926,
//! RFC 7724), beside the data path.
//!
//! One thread with a small runtime of its own, which gives way to the workers. It looks for a few addresses under
//! each partition's lock, so no requestor makes a client wait. Invariants:
//! - Only requestors of the policy in force are listened to; everybody else's connection is closed at once.
//! - A connection has one query at a time, at most [`QUERY_OCTETS_MAX`] octets of it and one piece of an answer
//!   in memory. A requestor that does not read holds nothing else, and not for long.

mod active;
mod connection;
mod feed;
mod tls;

use connection::{Connection, Stream, within};
use dhcp_core::Policy;
use dhcp_core::v4::leasequery::bulk::{self, Request};
use dhcp_lease::{Partitions, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub use active::ActiveSettings;
pub use connection::QUERY_OCTETS_MAX;
pub use feed::Feed;
pub use tls::{TlsError, TlsFiles};

/// How long to wait when no connection can be accepted: too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long it is at least from one search for leases that have ended to the next.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);
/// The pause is so many times as long as the search was: a twentieth of one processor at most.
const SWEEP_SHARE: u32 = 19;
/// How long requestors have to be told that the server ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// How bulk leasequery is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkSettings {
    /// Where connections are accepted.
    pub listen: SocketAddrV4,
    /// How many connections there may be at one time.
    pub connections_max: u32,
    /// How many of them one requestor may have.
    pub connections_per_requestor: u32,
    /// After how many seconds without progress a connection is closed.
    pub timeout_seconds: u32,
    /// With it, every connection begins with TLS.
    pub tls: Option<TlsFiles>,
    /// Whether requestors are told of changes, and how.
    pub active: Option<ActiveSettings>,
}

/// What is asked about.
pub trait Leases: Send + Sync + 'static {
    /// The policy in force.
    fn policy(&self) -> Arc<Policy>;
    /// All bindings.
    fn partitions(&self) -> &Partitions;
    /// Server time.
    fn now(&self) -> Timestamp;
    /// What changes, if anybody notes it.
    fn feed(&self) -> Option<Arc<Feed>>;
}

/// Why nothing is listening. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address or port.
    #[error(
        "cannot listen on {listen} for bulk leasequery: {source}; correct `leasequery.bulk`, or stop who has it \
         (`ss -ltnp`)"
    )]
    Bind {
        /// What was wanted.
        listen: SocketAddrV4,
        /// What the system says.
        source: io::Error,
    },
    /// Its certificates.
    #[error("no TLS for `leasequery.bulk`: {0}")]
    Tls(#[from] TlsError),
    /// Its thread could not be started.
    #[error("cannot start the thread for bulk leasequery: {0}")]
    Thread(#[source] io::Error),
}

/// Bulk leasequery, as long as it lives.
#[derive(Debug)]
pub struct Listener {
    listen: SocketAddrV4,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Accepts connections from now on.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn start(settings: BulkSettings, leases: Arc<dyn Leases>) -> Result<Self, ListenError> {
        if let Some(files) = &settings.tls {
            files.acceptor()?;
        }
        let bind = || {
            let listener = TcpListener::bind(settings.listen)?;
            listener.set_nonblocking(true)?;
            let port = listener.local_addr()?.port();
            Ok((listener, port))
        };
        let listen = settings.listen;
        let (listener, port) = bind().map_err(|source| ListenError::Bind { listen, source })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ListenError::Thread)?;
        let (stop, stopping) = watch::channel(false);
        let desk = Desk {
            settings,
            leases,
            seats: Arc::default(),
            stopping,
        };
        let serve = move || {
            give_way();
            runtime.block_on(async {
                if let Err(error) = desk.accept(listener).await {
                    tracing::error!(%error, "bulk leasequery cannot be served");
                }
            });
        };
        let thread = std::thread::Builder::new()
            .name("leasequery".to_owned())
            .spawn(serve)
            .map_err(ListenError::Thread)?;
        tracing::info!(listen = %SocketAddrV4::new(*listen.ip(), port), "bulk leasequery is served");
        Ok(Self {
            listen: SocketAddrV4::new(*listen.ip(), port),
            stop,
            thread: Some(thread),
        })
    }

    /// Where connections are accepted, with the port in place of a 0.
    pub fn listens_on(&self) -> SocketAddrV4 {
        self.listen
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The workers come first when there are fewer processors than threads.
fn give_way() {
    // On Linux niceness is a thread's.
    if let Err(error) = rustix::process::nice(5) {
        tracing::warn!(%error, "the thread for bulk leasequery does not give way to the workers");
    }
}

/// Who has a connection, and how many.
type Seats = Mutex<HashMap<IpAddr, u32>>;

/// What accepts connections.
struct Desk {
    settings: BulkSettings,
    leases: Arc<dyn Leases>,
    seats: Arc<Seats>,
    stopping: watch::Receiver<bool>,
}

impl Desk {
    async fn accept(self, listener: TcpListener) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        if let Some(feed) = self.leases.feed() {
            tokio::spawn(sweep_on(Arc::clone(&self.leases), feed));
        }
        let mut stopping = self.stopping.clone();
        loop {
            let accepted = tokio::select! {
                _ = stopping.wait_for(|&is_stopping| is_stopping) => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer.ip()),
                Err(error) => {
                    tracing::warn!(%error, "a connection for bulk leasequery was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        let everybody_left = async {
            while !self.seats.lock().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Who does not read goes without a farewell.
        let _ = tokio::time::timeout(FAREWELL, everybody_left).await;
        Ok(())
    }

    // RFC 6926 section 8.1 [bulk-requestors]: closed at once unless permitted. RFC 6926 section 8.1
    // [bulk-connections]: and when there are too many.
    fn admit(&self, stream: TcpStream, peer: IpAddr) {
        if !is_permitted(&self.leases.policy(), peer) {
            tracing::debug!(%peer, "a stranger's connection for bulk leasequery was closed");
            return;
        }
        let Ok(IpAddr::V4(server)) = stream.local_addr().map(|it| it.ip()) else {
            return;
        };
        let Some(seat) = Seat::take(&self.seats, peer, &self.settings) else {
            tracing::warn!(
                %peer,
                "too many connections for bulk leasequery; if it needs them, raise `connections-max` or \
                 `connections-per-requestor`"
            );
            return;
        };
        let guest = Guest {
            peer,
            server,
            settings: self.settings.clone(),
            leases: Arc::clone(&self.leases),
            stopping: self.stopping.clone(),
        };
        tokio::spawn(async move {
            if let Err(error) = guest.receive(stream).await {
                tracing::info!(%peer, %error, "a connection for bulk leasequery ended early");
            }
            drop(seat);
        });
    }
}

/// Somebody who has a seat.
struct Guest {
    peer: IpAddr,
    server: Ipv4Addr,
    settings: BulkSettings,
    leases: Arc<dyn Leases>,
    stopping: watch::Receiver<bool>,
}

impl Guest {
    async fn receive(self, mut stream: TcpStream) -> io::Result<()> {
        // Messages are written whole, and changes are not to wait for others.
        stream.set_nodelay(true)?;
        let Some(files) = &self.settings.tls else {
            return self.connection(stream, false).converse().await;
        };
        // RFC 7724 section 8.1 [active-tls-only]: nothing is said to who does not ask for TLS.
        let mut stopping = self.stopping.clone();
        let handshake = within(self.patience(), begin_tls(&mut stream, files));
        let acceptor = tokio::select! {
            acceptor = handshake => acceptor?,
            _ = stopping.wait_for(|&is_stopping| is_stopping) => return Ok(()),
        };
        let stream = within(self.patience(), acceptor.accept(stream)).await?;
        self.connection(stream, true).converse().await
    }

    fn connection<S: Stream>(self, stream: S, is_secret: bool) -> Connection<S> {
        Connection {
            stream,
            peer: self.peer,
            server: self.server,
            patience: self.patience(),
            leases: self.leases,
            active: self.settings.active,
            is_secret,
            stopping: self.stopping,
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(u64::from(self.settings.timeout_seconds))
    }
}

/// Answers DHCPTLS, which must come first; what the handshake is made with.
async fn begin_tls(stream: &mut TcpStream, files: &TlsFiles) -> io::Result<TlsAcceptor> {
    let mut octets = Vec::new();
    let is_there = connection::read(stream, &mut octets).await?;
    let Ok(Request::Tls { xid }) = bulk::parse(&octets) else {
        let words = match is_there {
            true => "it did not begin with DHCPTLS",
            false => "it was closed before DHCPTLS",
        };
        return Err(io::Error::new(io::ErrorKind::InvalidData, words));
    };
    let acceptor = files.acceptor().map_err(|error| {
        tracing::error!(%error, "no TLS for bulk leasequery");
        io::Error::other(error)
    })?;
    let mut out = Vec::new();
    // RFC 7724 section 8.1 [active-tls-begins]: without a status, and the handshake follows.
    bulk::tls(xid, None, &mut out);
    stream.write_all(&out).await?;
    Ok(acceptor)
}

/// Notes the leases that end by themselves, for as long as the server runs.
async fn sweep_on(leases: Arc<dyn Leases>, feed: Arc<Feed>) {
    let mut after = leases.now();
    loop {
        tokio::time::sleep(SWEEP_PAUSE).await;
        let until = leases.now();
        let began = Instant::now();
        // RFC 7724 section 8.2 [active-ended]: no message tells that a lease has expired.
        feed::sweep(&feed, leases.partitions(), (after, until), || {
            tokio::task::yield_now()
        })
        .await;
        after = until;
        // The larger the tables, the rarer.
        tokio::time::sleep(began.elapsed() * SWEEP_SHARE).await;
    }
}

/// A connection's place among those that there may be.
struct Seat {
    seats: Arc<Seats>,
    peer: IpAddr,
}

impl Seat {
    // RFC 6926 section 8.4 [bulk-per-requestor]: nobody takes all of them.
    fn take(seats: &Arc<Seats>, peer: IpAddr, settings: &BulkSettings) -> Option<Self> {
        let mut taken = seats.lock();
        let all: u32 = taken.values().sum();
        let own = taken.get(&peer).copied().unwrap_or(0);
        if all >= settings.connections_max || own >= settings.connections_per_requestor {
            return None;
        }
        taken.insert(peer, own + 1);
        let seats = Arc::clone(seats);
        Some(Self { seats, peer })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if let Some(own) = taken.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}

fn is_permitted(policy: &Policy, peer: IpAddr) -> bool {
    match peer {
        IpAddr::V4(peer) => policy
            .leasequery
            .as_ref()
            .is_some_and(|it| it.permits(peer)),
        IpAddr::V6(_) => false,
    }
}

#[cfg(test)]
mod tests;
