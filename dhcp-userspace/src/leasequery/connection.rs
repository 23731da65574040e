//! One requestor's connection: queries in, streams of answers out.

use super::active::ActiveSettings;
use super::{Leases, is_permitted};
use dhcp_core::v4::leasequery::bulk::{self, ActiveQuery, BulkQuery, Refusal, Request, Status};
use dhcp_lease::NotFiled;
use dhcp_wire::v4::MessageType;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

/// Longest query that is read: a requestor has a header, an identifier and a list of wishes to send.
pub const QUERY_OCTETS_MAX: usize = 2048;
/// How many addresses are looked at and answered at one time.
const ADDRESSES_PER_PIECE: usize = 64;

/// Octets both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection with what it needs of the server.
pub(super) struct Connection<S> {
    pub(super) stream: S,
    pub(super) peer: IpAddr,
    /// Our end.
    pub(super) server: Ipv4Addr,
    pub(super) leases: Arc<dyn Leases>,
    /// How long there may be no progress.
    pub(super) patience: Duration,
    /// How changes are told, if they are.
    pub(super) active: Option<ActiveSettings>,
    /// Whether nobody listens in.
    pub(super) is_secret: bool,
    /// Becomes true when the server ends.
    pub(super) stopping: watch::Receiver<bool>,
}

/// Whether a connection is of further use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    Close,
}

impl<S: Stream> Connection<S> {
    /// Answers queries until the requestor has had enough, or makes no sense, or no progress.
    ///
    /// # Errors
    /// Those of the connection; [`io::ErrorKind::TimedOut`] when the requestor did not go on.
    pub(super) async fn converse(mut self) -> io::Result<()> {
        let mut octets = Vec::new();
        let mut out = Vec::new();
        // RFC 6926 section 8.4 [bulk-many-queries]: one after the other.
        // RFC 6926 section 8.4 [bulk-read-ahead]: no query is read before the one before it is answered.
        while self.read(&mut octets).await? {
            if self.serve(&octets, &mut out).await? == Then::Close {
                // RFC 6926 section 8.5 [bulk-graceful]: what was written arrives.
                return within(self.patience, self.stream.shutdown()).await;
            }
        }
        Ok(())
    }

    async fn serve(&mut self, octets: &[u8], out: &mut Vec<u8>) -> io::Result<Then> {
        let peer = self.peer;
        let request = match bulk::parse(octets) {
            Ok(request) => request,
            Err(Some(refusal)) => return self.refuse(refusal, out).await,
            Err(None) => {
                tracing::warn!(%peer, octets = octets.len(), "what came by TCP was no query");
                return Ok(Then::Close);
            }
        };
        let is_permitted = is_permitted(&self.leases.policy(), peer);
        match request {
            Request::Bulk(query) if is_permitted => self.answer(&query, out).await,
            Request::Active(query) if is_permitted => self.watch(&query, out).await,
            Request::Bulk(BulkQuery { wishes, .. }) => {
                let kind = MessageType::LEASEQUERYDONE;
                self.turn_away(wishes.xid, kind, "not a requestor any more", out)
                    .await
            }
            Request::Active(ActiveQuery { wishes, .. }) => {
                let kind = MessageType::LEASEQUERYSTATUS;
                self.turn_away(wishes.xid, kind, "not a requestor any more", out)
                    .await
            }
            Request::Tls { .. } if self.is_secret => Ok(Then::Close),
            // RFC 7724 section 8.1 [active-tls-refused]: there is none here.
            Request::Tls { xid } => {
                out.clear();
                bulk::tls(xid, Some("there is no TLS here"), out);
                self.write(out).await?;
                Ok(Then::Close)
            }
        }
    }

    async fn watch(&mut self, query: &ActiveQuery, out: &mut Vec<u8>) -> io::Result<Then> {
        match (self.active, self.leases.feed()) {
            (Some(settings), Some(feed)) => self.follow(query, settings, feed, out).await,
            // RFC 7724 section 8.1 [active-off]: nobody is told of changes unless that is configured.
            (None, _) | (_, None) => {
                let kind = MessageType::LEASEQUERYSTATUS;
                self.turn_away(
                    query.wishes.xid,
                    kind,
                    "there is no active leasequery here",
                    out,
                )
                .await
            }
        }
    }

    /// Refuses a query that is not allowed here, and closes.
    async fn turn_away(
        &mut self,
        xid: u32,
        kind: MessageType,
        words: &'static str,
        out: &mut Vec<u8>,
    ) -> io::Result<Then> {
        let refusal = Refusal {
            xid,
            kind,
            status: Status::NotAllowed,
            words,
        };
        self.refuse(refusal, out).await?;
        Ok(Then::Close)
    }

    /// Reads one query with its length. Whether there was one, before the requestor closed its side or the
    /// server ended.
    async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        let mut stopping = self.stopping.clone();
        // RFC 6926 section 8.1 [bulk-blocked-reading]: half a query is not waited for any longer either.
        let read = within(self.patience, read(&mut self.stream, into));
        tokio::select! {
            read = read => read,
            _ = stopping.wait_for(|&is_stopping| is_stopping) => Ok(false),
        }
    }

    async fn refuse(&mut self, refusal: Refusal, out: &mut Vec<u8>) -> io::Result<Then> {
        out.clear();
        bulk::refuse(&refusal, self.server, self.leases.now(), out);
        self.write(out).await?;
        // RFC 7724 section 8.2 [active-error-status]: an active leasequery that is refused ends the connection.
        Ok(match refusal.kind {
            MessageType::LEASEQUERYSTATUS => Then::Close,
            _ => Then::GoOn,
        })
    }

    /// Writes messages with their lengths.
    // RFC 6926 section 8.2 [bulk-blocked]: a connection that is blocked for too long is closed.
    pub(super) async fn write(&mut self, messages: &[u8]) -> io::Result<()> {
        within(self.patience, async {
            // RFC 7724 section 5.1 [active-tls-record]: a record of its own for each message.
            for message in split(messages, self.is_secret) {
                self.stream.write_all(message).await?;
            }
            self.stream.flush().await
        })
        .await
    }

    /// Streams the answer in pieces.
    async fn answer(&mut self, query: &BulkQuery, out: &mut Vec<u8>) -> io::Result<Then> {
        let mut messages = 0u64;
        // RFC 6926 section 8.3 [bulk-server-id]: in the first message alone.
        let mut unnamed = Some(self.server);
        let leases = Arc::clone(&self.leases);
        let partitions = leases.partitions();
        let mut addresses = Vec::new();
        let targets = bulk::targets(query, &leases.policy(), partitions, leases.now());
        let (mut targets, mut trouble) = match targets {
            Ok(targets) => (Some(targets), None),
            Err(NotFiled) => (None, Some((Status::Terminated, UNREADY))),
        };
        while let Some(targets) = &mut targets {
            targets.next(ADDRESSES_PER_PIECE, &mut addresses);
            if addresses.is_empty() {
                break;
            }
            // RFC 6926 section 8.5 [bulk-abort]: it says so when it cannot go on.
            if *self.stopping.borrow() {
                trouble = Some((Status::Terminated, "the server ends"));
                break;
            }
            out.clear();
            let (now, policy) = (leases.now(), leases.policy());
            let Ok(holdings) = bulk::look(partitions, &addresses, now) else {
                trouble = Some((Status::Terminated, UNREADY));
                break;
            };
            for holding in holdings.iter().filter(|it| query.wants(it)) {
                bulk::answer(&query.wishes, holding, unnamed.take(), &policy, now, out);
                messages += 1;
            }
            self.write(out).await?;
            // Others' turn.
            tokio::task::yield_now().await;
        }
        out.clear();
        bulk::done(query.wishes.xid, unnamed.take(), trouble, out);
        self.write(out).await?;
        let (peer, kind) = (self.peer, query.primary.name());
        tracing::info!(%peer, query = kind, messages, "a bulk leasequery was answered");
        // RFC 6926 section 8.5 [bulk-close]: after a query that was broken off.
        Ok(match trouble {
            Some(_) => Then::Close,
            None => Then::GoOn,
        })
    }
}

/// Messages one by one if that `is_wanted`, or all as they are.
fn split(messages: &[u8], is_wanted: bool) -> impl Iterator<Item = &[u8]> {
    let mut rest = messages;
    std::iter::from_fn(move || {
        let len = match (rest, is_wanted) {
            ([], _) => return None,
            ([high, low, ..], true) => {
                usize::from(u16::from_be_bytes([*high, *low])) + bulk::LENGTH_OCTETS
            }
            (_, _) => rest.len(),
        };
        let (message, after) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        rest = after;
        Some(message)
    })
}

/// What a requestor is told before all leases are filed.
pub(super) const UNREADY: &str = "the leases are still being filed; try again";

pub(super) async fn read(stream: &mut impl Stream, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut length = [0; bulk::LENGTH_OCTETS];
    match stream.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    }
    let length = usize::from(u16::from_be_bytes(length));
    // RFC 6926 section 6.1 [bulk-framing]: what is longer than any query is none, and where the next one would
    // begin is not worth finding.
    if length > QUERY_OCTETS_MAX {
        let words = format!("a query of {length} octets");
        return Err(io::Error::new(io::ErrorKind::InvalidData, words));
    }
    into.resize(length, 0);
    stream.read_exact(into).await?;
    Ok(true)
}

pub(super) async fn within<T>(
    patience: Duration,
    what: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let in_time = tokio::time::timeout(patience, what).await;
    in_time.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
