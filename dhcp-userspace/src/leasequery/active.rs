//! One requestor that is told of changes as they happen (RFC 7724), until one side has had enough.

use super::connection::{Connection, Stream, Then, UNREADY};
use super::feed::{Feed, Missed, Place};
use super::{Leases, is_permitted};
use dhcp_core::v4::leasequery::bulk::{self, ActiveQuery, Status};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// How many changes are told at one time.
const CHANGES_PER_PIECE: usize = 64;

/// How changes are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveSettings {
    /// How many changes are remembered, for who was away or is slow.
    pub changes_max: u32,
    /// After how many seconds a requestor that does not read is let go.
    pub send_timeout_seconds: u32,
    /// After how many seconds without a change a requestor is told that the connection is alive.
    pub idle_timeout_seconds: u32,
}

/// What ends a wait.
enum Woken {
    News,
    Idleness,
    Requestor,
    TheEnd,
}

/// A query with how far it has come.
struct Following<'a> {
    query: &'a ActiveQuery,
    leases: Arc<dyn Leases>,
    peer: IpAddr,
    feed: Arc<Feed>,
    place: Place,
    /// What was asked for of the past lies before this place and is not told yet.
    behind_until: Option<Place>,
    /// Named in the first message alone.
    unnamed: Option<Ipv4Addr>,
}

impl<S: Stream> Connection<S> {
    /// Tells of changes until the requestor or the server ends it, or the requestor is too slow.
    ///
    /// # Errors
    /// Those of the connection.
    pub(super) async fn follow(
        &mut self,
        query: &ActiveQuery,
        settings: ActiveSettings,
        feed: Arc<Feed>,
        out: &mut Vec<u8>,
    ) -> io::Result<Then> {
        // RFC 7724 section 8.2 [active-blocked]: who does not read is waited for no longer than that.
        self.patience = Duration::from_secs(u64::from(settings.send_timeout_seconds));
        let idle = Duration::from_secs(u64::from(settings.idle_timeout_seconds));
        let mut news = feed.news();
        let end = feed.end();
        let mut following = Following {
            query,
            leases: Arc::clone(&self.leases),
            peer: self.peer,
            feed,
            place: end,
            behind_until: None,
            unnamed: Some(self.server),
        };
        tracing::info!(peer = %self.peer, "an active leasequery begins");
        out.clear();
        // RFC 7724 section 8.2 [active-catch-up]: what has changed since is told, or that it is not known any more.
        match query.from.map(|from| following.feed.since(from)) {
            None => {}
            Some(Ok(place)) => (following.place, following.behind_until) = (place, Some(end)),
            Some(Err(Missed)) => {
                following.status((Status::DataMissing, "that is too long ago"), out);
                self.write(out).await?;
            }
        }
        let mut addresses = Vec::new();
        loop {
            out.clear();
            news.mark_unchanged();
            let ended = following.piece(&mut addresses, out);
            if !out.is_empty() {
                self.write(out).await?;
            }
            if ended == Then::Close {
                return Ok(Then::Close);
            }
            let woken = match addresses.is_empty() {
                false if !*self.stopping.borrow() => {
                    // Others' turn.
                    tokio::task::yield_now().await;
                    continue;
                }
                false => Woken::TheEnd,
                true => self.wait(&mut news, idle).await?,
            };
            out.clear();
            let farewell = match woken {
                Woken::News => continue,
                // RFC 7724 section 7.4 [active-keep-alive]: so that the requestor knows.
                Woken::Idleness => {
                    following.status((Status::ConnectionActive, ""), out);
                    self.write(out).await?;
                    continue;
                }
                // RFC 7724 section 8.3 [active-one-query]: nothing else is asked meanwhile.
                Woken::Requestor => (Status::NotAllowed, "one active leasequery at a time"),
                // RFC 7724 section 8.4 [active-farewell]: with the time from which there may be more.
                Woken::TheEnd => (Status::Terminated, "the server ends"),
            };
            following.status(farewell, out);
            self.write(out).await?;
            return Ok(Then::Close);
        }
    }

    async fn wait(
        &mut self,
        news: &mut tokio::sync::watch::Receiver<()>,
        idle: Duration,
    ) -> io::Result<Woken> {
        let mut stopping = self.stopping.clone();
        let mut octet = [0];
        tokio::select! {
            _ = news.changed() => Ok(Woken::News),
            () = tokio::time::sleep(idle) => Ok(Woken::Idleness),
            _ = stopping.wait_for(|&is_stopping| is_stopping) => Ok(Woken::TheEnd),
            read = self.stream.read(&mut octet) => match read? {
                // RFC 7724 section 8.4 [active-closed]: when the requestor closes its end, so do we.
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(Woken::Requestor),
            },
        }
    }
}

impl Following<'_> {
    /// The next messages, as far as there are any: `addresses` says whose.
    fn piece(&mut self, addresses: &mut Vec<Ipv4Addr>, out: &mut Vec<u8>) -> Then {
        if !is_permitted(&self.leases.policy(), self.peer) {
            self.status((Status::NotAllowed, "not a requestor any more"), out);
            return Then::Close;
        }
        let read = self.feed.read(self.place, CHANGES_PER_PIECE, addresses);
        let Ok(place) = read else {
            return self.missed(out);
        };
        self.place = place;
        let (now, policy) = (self.leases.now(), self.leases.policy());
        let Ok(holdings) = bulk::look(self.leases.partitions(), addresses, now) else {
            self.status((Status::Terminated, UNREADY), out);
            return Then::Close;
        };
        // RFC 7724 section 6 [active-current]: what holds now, not what held when it was noted.
        for holding in &holdings {
            let server = self.unnamed.take();
            bulk::answer(&self.query.wishes, holding, server, &policy, now, out);
        }
        // RFC 7724 section 8.2 [active-caught-up]: what comes from here on is new.
        if self.behind_until.is_some_and(|until| self.place >= until) {
            self.behind_until = None;
            self.status((Status::CatchUpComplete, ""), out);
        }
        Then::GoOn
    }

    // RFC 7724 section 7.4.1 [active-data-missing]: of the past it is told that it is gone, and what is new goes on.
    // RFC 7724 section 8.4 [active-too-slow]: who cannot keep up with what is new begins anew.
    fn missed(&mut self, out: &mut Vec<u8>) -> Then {
        match self.behind_until.take() {
            Some(_) => {
                self.place = self.feed.end();
                self.status((Status::DataMissing, "it was forgotten meanwhile"), out);
                Then::GoOn
            }
            None => {
                let peer = self.peer;
                tracing::warn!(%peer, "a requestor of active leasequery is too slow");
                self.status((Status::Terminated, "too slow; changes were missed"), out);
                Then::Close
            }
        }
    }

    fn status(&mut self, what: (Status, &str), out: &mut Vec<u8>) {
        let now = self.leases.now();
        bulk::status(self.query.wishes.xid, self.unnamed.take(), what, now, out);
    }
}
