//! On the same configuration the answers are Kea's: thousands of generated messages go to both, over real interfaces,
//! and every difference is one of docs/kea-differences.md.
//!
//! xdhcpd's configuration is what `config import-kea` makes of Kea's. Both live through the same messages. Where a message
//! refers to an earlier answer, it refers to that of the server it goes to: which free address a server picks is its own
//! affair, from which pool is not. `KEA_EXCHANGES` says how many messages, `KEA_SEED` which ones instead of those of the
//! usual seeds; `KEA_CLIENT` prints those of the client with a number. `KEA_ROOT` is the root of another system in which
//! Kea is taken from, as `debootstrap --include=kea-dhcp4-server testing FOLDER` makes it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod answer;
mod client;
mod explain;
mod message;
mod question;
mod rig;

use answer::{Answer, address, difference, kind, word};
use client::{Client, SETTLED};
use explain::explain;
use question::{Kind, Question, Told};
use rig::{Random, Side, hooks, link, number};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;

/// Each some seconds.
const SEEDS: RangeInclusive<u64> = 1..=4;

/// A server, and what it told each client.
struct Party {
    side: Side,
    told: BTreeMap<Client, Told>,
}

impl Party {
    fn ask(&mut self, xid: u32, question: &Question) -> Option<Answer> {
        let marker_xid = xid | 1 << 31;
        let told = self.told.entry(question.client).or_default();
        let message = question.packet(xid, *told);
        let marker = Question::marker().packet(marker_xid, Told::default());
        let mut answers = self.side.ask(&message, &marker, |packet| {
            word(&packet.payload, 4) == marker_xid
        });
        answers.retain(|packet| word(&packet.payload, 4) == xid);
        assert!(
            answers.len() <= 1,
            "two answers to one message: {answers:?}"
        );
        let found = answers.pop();
        let yiaddr = found.as_ref().map(|packet| address(&packet.payload, 16));
        match (found.as_ref().map(kind), question.kind) {
            (_, Kind::Inform | Kind::InformWithoutCiaddr) => {}
            (Some(2), _) => told.offered = yiaddr,
            (Some(5 | 0), _) => {
                *told = Told {
                    held: yiaddr,
                    offered: None,
                }
            }
            (Some(6), _) | (None, Kind::Release | Kind::Decline) => *told = Told::default(),
            _ => {}
        }
        found.map(|packet| Answer::of(&packet, &question.client))
    }

    /// Makes the server forget all that a client got, whoever it said it was, after the two have answered differently:
    /// from here on they would only tell the same difference again.
    fn forget(&mut self, xid: u32, client: Client) {
        let is_it =
            |known: &Client| (known.number, known.generation) == (client.number, client.generation);
        let known: Vec<Client> = self.told.keys().copied().filter(is_it).collect();
        for client in known {
            let mut release = Question::marker();
            (release.kind, release.client) = (Kind::Release, client);
            if self
                .told
                .get(&client)
                .is_some_and(|told| told.held.is_some())
            {
                self.ask(xid, &release);
            }
            self.told.remove(&client);
        }
    }
}

#[test]
fn answers_are_kea_s_or_explained() {
    match number("KEA_SEED") {
        Some(seed) => compare(seed),
        None => SEEDS.for_each(compare),
    }
}

fn compare(seed: u64) {
    let exchanges = number("KEA_EXCHANGES").unwrap_or(2500) as u32;
    let watched = number("KEA_CLIENT");
    let data = Path::new(env!("CARGO_MANIFEST_DIR"));
    let configuration = std::fs::read_to_string(data.join("data/differential.conf")).unwrap();
    let configuration = configuration.replace("HOOKS", &hooks());
    let document = std::fs::read_to_string(data.join("../docs/kea-differences.md")).unwrap();
    let party = |side| Party {
        side,
        told: BTreeMap::new(),
    };
    let mut kea = party(Side::kea(link(), "kea-dhcp4", &configuration));
    let mut ours = party(Side::ours(link(), "--dhcp4", &configuration));
    kea.side
        .await_readiness(&Question::marker().packet(1, Told::default()));
    let mut random = Random::new(seed);
    let mut generations = [0u8; 256];
    let mut declined = BTreeSet::new();
    let mut explained: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unexplained: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for xid in (1..=exchanges).map(|number| number * 4) {
        let mut question = Question::random(&mut random, &generations);
        let client = question.client;
        let told = kea.told.get(&client).copied().unwrap_or_default();
        question.make_usual(&mut random, told);
        let mut theirs = kea.ask(xid, &question);
        let mut mine = ours.ask(xid, &question);
        let name = |answer: &Option<Answer>| answer.as_ref().map_or("silence", Answer::name);
        let (their_name, my_name) = (name(&theirs), name(&mine));
        if Some(u64::from(client.number)) == watched {
            let of = |answer: &Option<Answer>| answer.as_ref().map(|it| it.from.clone());
            let (kea, ours) = (of(&theirs), of(&mine));
            println!("{xid}: {their_name} {kea:?} / {my_name} {ours:?}: {question:?}");
        }
        *kinds
            .entry(format!("{:?}: {my_name}", question.kind))
            .or_default() += 1;
        let is_declined = client.has_address() && declined.contains(&client.number);
        for reason in explain(&question, is_declined, &mut theirs, &mut mine) {
            *explained.entry(reason).or_default() += 1;
        }
        if theirs != mine {
            let (class, values) = difference(theirs.as_ref(), mine.as_ref());
            let class = format!("{:?}: {class}", question.kind);
            let first = || (0, format!("{xid}: {question:?}{values}"));
            unexplained.entry(class).or_insert_with(first).0 += 1;
        }
        if question.kind == Kind::Decline {
            declined.insert(client.number);
        }
        // Where one of the two may have changed its mind about the client and the other has not.
        let is_unsettling =
            their_name != my_name || question.kind.is_unsettling() || question.is_in_disguise();
        if is_unsettling {
            kea.forget(xid + 1, client);
            ours.forget(xid + 1, client);
        }
        let is_replaced = random.one_in(8);
        if client.number >= SETTLED && (is_unsettling || is_replaced) {
            generations[usize::from(client.number)] += 1;
        }
    }
    println!("{exchanges} exchanges, seed {seed}: {kinds:#?}\nexplained: {explained:#?}");
    let list: Vec<String> = unexplained
        .iter()
        .map(|(class, (count, first))| format!("{count} times {class}; first\n  {first}"))
        .collect();
    assert!(
        list.is_empty(),
        "{} kinds of differences are not explained (KEA_SEED={seed}):\n{}",
        list.len(),
        list.join("\n")
    );
    for reason in explained.keys() {
        assert!(
            document.contains(&format!("**{reason}")),
            "docs/kea-differences.md lacks \"{reason}\""
        );
    }
}
