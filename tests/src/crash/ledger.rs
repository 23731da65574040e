//! What was promised to whom, and does a store keep it?
//!
//! The ledger is a text, so that one process may write it and another one judge by it, line by line:
//!
//! ```text
//! life CAPACITY POSITION                    a server started
//! round NOW POSITION                        it is so late now
//! ask CLIENT WANT LEASE POSITION            a client asked
//! ack CLIENT WANT LEASE EXPIRES POSITION    and was answered
//! ```
//!
//! A position is a number of barriers that the disk had seen: of an `ack` at the moment when its log was
//! durable, before the reply left.

use super::clients::{Want, owner};
use super::server::Opened;
use dhcp_lease::{Lease, PoolIndex, State, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

/// One thing that a client asked for.
#[derive(Clone, Debug)]
struct Entry {
    want: Want,
    asked: u64,
    /// When the answer was durable, and the lease that it promises until a time.
    acked: Option<(u64, Option<(Lease, u64)>)>,
}

/// All that was asked and promised.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    clients: Vec<Vec<Entry>>,
    /// Position, time.
    rounds: Vec<(u64, u64)>,
    /// Position, capacity.
    lives: Vec<(u64, u64)>,
}

/// The moment by which a store is judged.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// So many barriers were complete.
    pub position: u64,
    /// It is so late.
    pub now: u64,
    /// For so many bindings the server is configured.
    pub capacity: u64,
}

/// What was found in a store that keeps all promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Promises that were looked for and found.
    pub promises: u64,
    /// Leases that somebody holds.
    pub live: u64,
}

/// A lease as the ledger has it; `-` is none.
fn lease_word(lease: Option<Lease>) -> String {
    lease.map_or_else(|| "-".to_owned(), |lease| lease.to_string())
}

fn parse_lease(word: &str) -> Option<Lease> {
    if let Some((prefix, length)) = word.split_once('/') {
        let prefix: Ipv6Addr = prefix.parse().ok()?;
        return Some(Lease::Prefix(prefix, length.parse().ok()?));
    }
    Some(match word.parse().ok()? {
        IpAddr::V4(address) => Lease::V4(address),
        IpAddr::V6(address) => Lease::Address(address),
    })
}

/// The lines of a ledger.
pub mod line {
    use super::super::clients::{Promise, Request};
    use super::lease_word;

    /// A server started.
    pub fn life(capacity: u64, position: u64) -> String {
        format!("life {capacity} {position}\n")
    }

    /// The time.
    pub fn round(now: u64, position: u64) -> String {
        format!("round {now} {position}\n")
    }

    /// A client asked.
    pub fn ask(request: &Request, position: u64) -> String {
        let Request {
            client,
            want,
            lease,
            ..
        } = request;
        let (want, lease) = (want.name(), lease_word(*lease));
        format!("ask {client} {want} {lease} {position}\n")
    }

    /// A client was answered.
    pub fn ack(promise: &Promise, position: u64) -> String {
        let Promise {
            client,
            want,
            lease,
        } = promise;
        let expires = lease.map_or(0, |(_, expires)| expires);
        let (want, lease) = (want.name(), lease_word(lease.map(|(lease, _)| lease)));
        format!("ack {client} {want} {lease} {expires} {position}\n")
    }
}

impl Ledger {
    /// Reads one. The last line of a killed writer may be cut short; it counts as not written.
    ///
    /// # Panics
    /// When a lease was promised to a client while another one had it, or the text is no ledger.
    pub fn parse(text: &str) -> Self {
        let mut ledger = Self::default();
        let mut holders: BTreeMap<String, (usize, u64)> = BTreeMap::new();
        let mut now = 0;
        for line in text
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'))
        {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| -> u64 {
                words[at]
                    .parse()
                    .unwrap_or_else(|error| panic!("{line}: {error}"))
            };
            match words[0] {
                "life" => ledger.lives.push((number(2), number(1))),
                "round" => {
                    now = number(1);
                    ledger.rounds.push((number(2), now));
                }
                "ask" => {
                    let (client, want) = (number(1) as usize, want(words[2]));
                    if want.ends() && holders.get(words[3]).is_some_and(|held| held.0 == client) {
                        holders.remove(words[3]);
                    }
                    ledger.client(client).push(Entry {
                        want,
                        asked: number(4),
                        acked: None,
                    });
                }
                "ack" => {
                    let (client, expires) = (number(1) as usize, number(4));
                    let lease = parse_lease(words[3]).map(|lease| (lease, expires));
                    if lease.is_some() {
                        let before = holders.insert(words[3].to_owned(), (client, expires));
                        let other = before.filter(|held| held.0 != client && held.1 > now);
                        assert!(other.is_none(), "{line}: but {other:?} has it");
                    }
                    let entry = ledger.client(client).last_mut();
                    entry.expect("an answer to a question").acked = Some((number(5), lease));
                }
                other => panic!("{other}: {line}"),
            }
        }
        ledger
    }

    fn client(&mut self, client: usize) -> &mut Vec<Entry> {
        if self.clients.len() <= client {
            self.clients.resize(client + 1, Vec::new());
        }
        &mut self.clients[client]
    }

    /// Promises in it.
    pub fn promises(&self) -> usize {
        let entries = self.clients.iter().flatten();
        entries.filter(|entry| entry.acked.is_some()).count()
    }

    /// The moment after so many barriers. `None`: no server had started yet.
    pub fn cut(&self, position: u64) -> Option<Cut> {
        let at = |list: &[(u64, u64)]| {
            let count = list.partition_point(|(at, _)| *at <= position);
            count.checked_sub(1).map(|last| list[last].1)
        };
        let capacity = at(&self.lives)?;
        let now = at(&self.rounds).or(Some(self.rounds.first()?.1))?;
        Some(Cut {
            position,
            now,
            capacity,
        })
    }

    /// The moment after everything.
    pub fn end(&self) -> Option<Cut> {
        self.cut(u64::MAX)
    }

    /// Who has been promised what at a moment, and has asked for nothing since.
    pub fn held(&self, cut: &Cut) -> Vec<(usize, Lease, u64)> {
        let held = self
            .clients
            .iter()
            .enumerate()
            .filter_map(|(client, entries)| {
                let (promise, later) = at(entries, cut);
                let (lease, expires) = promise.filter(|_| later.is_empty())?;
                Some((client, lease, expires))
            });
        held.collect()
    }

    /// Judges a store that was opened after a crash at this moment.
    ///
    /// # Errors
    /// What is wrong, a line for each.
    pub fn judge(&self, opened: &Opened, cut: &Cut) -> Result<Kept, String> {
        let recovery = &opened.recovery;
        let mut examined = self.examine(opened, cut);
        if recovery.damaged > 0 || !recovery.conflicts.is_empty() {
            examined
                .wrong
                .push(format!("damage or two holders: {recovery:?}"));
        }
        if let Err(text) = count(opened, &examined) {
            examined.wrong.push(text);
        }
        examined.wrong.append(&mut examined.broken);
        match examined.wrong.as_slice() {
            [] => Ok(Kept {
                promises: examined.promises,
                live: examined.live,
            }),
            wrong => Err(wrong.join("\n")),
        }
    }

    /// Looks at all that a store says, also of one with damage, which may have lost what was damaged but must
    /// not tell anything wrong.
    pub fn examine(&self, opened: &Opened, cut: &Cut) -> Examined {
        let mut examined = Examined::default();
        let now = Timestamp(cut.now);
        let mut live: BTreeMap<usize, Vec<(Lease, u64)>> = BTreeMap::new();
        let mut holders: BTreeSet<Lease> = BTreeSet::new();
        opened.partitions.for_each(|binding| {
            let is_live = binding.is_live(now);
            let is_declined = binding.state == State::Declined && binding.expires > now;
            if (is_live || is_declined) && !holders.insert(binding.lease) {
                examined
                    .wrong
                    .push(format!("{} has two holders", binding.lease));
            }
            examined.declined += u64::from(is_declined);
            match owner(binding).filter(|client| *client < self.clients.len()) {
                None => examined
                    .wrong
                    .push(format!("a binding of nobody: {binding:?}")),
                Some(client) if is_live => {
                    let leases = live.entry(client).or_default();
                    leases.push((binding.lease, binding.expires.0));
                }
                Some(_) => {}
            }
        });
        for (client, entries) in self.clients.iter().enumerate() {
            let (promise, later) = at(entries, cut);
            let has = live.remove(&client).unwrap_or_default();
            examined.live += has.len() as u64;
            examined.promises += u64::from(promise.is_some());
            if let Err(text) = judge_client(promise, &later, &has) {
                let text = format!(
                    "client {client} at {}: {text}; promised {promise:?}, then asked {later:?}, found {has:?}",
                    cut.now
                );
                let was_its = |lease: Lease| {
                    let promised = entries.iter().filter_map(|entry| entry.acked?.1);
                    !later.is_empty() || promised.into_iter().any(|(promised, _)| promised == lease)
                };
                match has.iter().all(|(lease, _)| was_its(*lease)) {
                    true => examined.broken.push(text),
                    false => examined.wrong.push(text),
                }
            }
        }
        examined
    }
}

/// What a store says.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// Lies: two holders, bindings that never were.
    pub wrong: Vec<String>,
    /// What was true once, and promises that are not kept.
    pub broken: Vec<String>,
    /// Promises that were looked for.
    pub promises: u64,
    /// Leases that somebody holds.
    pub live: u64,
    /// Those that were declined.
    declined: u64,
}

fn want(word: &str) -> Want {
    let known = Want::ALL.into_iter().find(|want| want.name() == word);
    known.unwrap_or_else(|| panic!("{word} is nothing that a client wants"))
}

/// What a client was promised at a moment and has still to have, and what it had asked for since then.
fn at(entries: &[Entry], cut: &Cut) -> (Option<(Lease, u64)>, Vec<Want>) {
    let is_acked = |entry: &Entry| entry.acked.is_some_and(|(at, _)| at <= cut.position);
    let last = entries.iter().rposition(is_acked);
    let promise = last.and_then(|last| entries[last].acked?.1);
    let later = entries[last.map_or(0, |last| last + 1)..].iter();
    let later = later.filter(|entry| entry.asked <= cut.position);
    (
        promise.filter(|(_, expires)| *expires > cut.now),
        later.map(|entry| entry.want).collect(),
    )
}

fn judge_client(
    promise: Option<(Lease, u64)>,
    later: &[Want],
    has: &[(Lease, u64)],
) -> Result<(), &'static str> {
    if has.len() > 1 {
        return Err("has two leases");
    }
    let may_have_ended = later.iter().any(|want| want.ends());
    if let Some((lease, expires)) = promise {
        let is_kept = has
            .iter()
            .any(|(other, until)| *other == lease && *until >= expires);
        if !is_kept && !may_have_ended {
            return Err("an acknowledged lease is lost");
        }
    }
    // Its former lease may be live as long as its end is not acknowledged; another one only if asked for.
    let is_asked = later.iter().any(|want| !want.ends());
    let is_explained = has
        .iter()
        .all(|(lease, _)| is_asked || promise.is_some_and(|(promised, _)| promised == *lease));
    if is_explained {
        Ok(())
    } else {
        Err("has a lease that it never asked for or gave back")
    }
}

/// The numbers that an operator sees agree with the bindings, and the pools with both.
fn count(opened: &Opened, examined: &Examined) -> Result<(), String> {
    let (live, declined) = (examined.live, examined.declined);
    let mut held = 0;
    for number in 0..opened.partitions.len() {
        let occupancy = opened
            .partitions
            .lock(number)
            .map(|partition| partition.occupancy());
        let occupancy = occupancy.unwrap_or_default();
        held += u64::from(occupancy.live + occupancy.declined);
    }
    let pools = &opened.policy.pools;
    let taken: u64 = (0..pools.len() as u32)
        .map(|pool| pools.counts(PoolIndex(pool)).taken)
        .sum();
    let recovery = &opened.recovery;
    // Leases that ended a moment ago count as live until their grace is over.
    let is_right = held == taken
        && held == recovery.live + recovery.declined
        && recovery.declined == declined
        && recovery.live >= live;
    if is_right {
        return Ok(());
    }
    Err(format!(
        "numbers differ: {held} slots hold leases, {taken} are taken in the pools, the report says {} and {}, \
         {} and {declined} were found",
        recovery.live, recovery.declined, live
    ))
}
