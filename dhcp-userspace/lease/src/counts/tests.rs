//! The counts against a model: a map from tags to leases, made from nothing but what was promised.

use super::*;
use crate::allocator::{PoolRange, Pools};
use crate::binding::{Binding, GRACE_SECONDS, Lease, State, Timestamp};
use crate::partition::{NotCommitted, SlotNumber};
use crate::store::{Durability, Partitions};
use crate::{ChangeLog, ItemKind};
use dhcp_wire::id::{ClientId, HardwareAddress};
use proptest::prelude::*;
use std::collections::HashMap;
use std::net::Ipv4Addr;

const MOST: u32 = 2;
const LIFETIME: u32 = 100;

fn line(name: &[u8]) -> Limited<'_> {
    Limited::Line {
        by: 1,
        agent: [0; 16],
        name,
    }
}

#[test]
fn different_things_have_different_tags() {
    let counters = Counters::new(7, 100);
    let all = [
        line(b"1"),
        line(b"2"),
        line(b""),
        Limited::Line {
            by: 2,
            agent: [0; 16],
            name: b"1",
        },
        Limited::Line {
            by: 1,
            agent: [1; 16],
            name: b"1",
        },
        Limited::Class(b"1"),
        Limited::Class(b""),
        Limited::Subnet(SubnetId(1)),
        Limited::Subnet(SubnetId(2)),
    ];
    let mut tags = std::collections::HashSet::new();
    for kind in [LeaseKind::V4, LeaseKind::Address, LeaseKind::Prefix] {
        for limited in &all {
            assert!(tags.insert(counters.tag(kind, limited)), "{limited:?}");
        }
    }
    let other = Counters::new(8, 100);
    assert!(!tags.contains(&other.tag(LeaseKind::V4, &line(b"1"))));
}

#[test]
fn tags_lie_before_everything_else_and_are_never_left_out() {
    let mut tags = Tags::NONE;
    (1..=TAGS_MAX as u64).for_each(|tag| tags.push(Tag(tag)));
    tags.push(Tag(99)); // no room
    tags.push(Tag(1)); // there already
    assert_eq!(tags.iter().count(), TAGS_MAX);
    let mut context = Context::EMPTY;
    context.insert(ItemKind::GIADDR, &[10, 0, 0, 1]);
    context.insert(ItemKind::AGENT, &[7; 400]);
    context.set_tags(&tags);
    context.set_tags(&tags); // no second time
    let kinds: Vec<_> = context.items().map(|item| item.kind).collect();
    assert_eq!(
        kinds,
        [ItemKind::COUNTED, ItemKind::GIADDR, ItemKind::AGENT]
    );
    assert_eq!(context.tags(), tags);
    assert_eq!(context.indispensable_len(), 2 + TAGS_MAX * TAG_OCTETS);
    assert_eq!(Context::parse(context.as_octets()), context);
    context.set_tags(&Tags::NONE);
    assert_eq!(context.tags(), Tags::NONE);
    assert_eq!(context.indispensable_len(), 0);
}

#[test]
fn nothing_is_counted_when_one_of_several_limits_is_reached() {
    let counters = Counters::new(7, 100);
    let [wide, narrow] = [b"wide", b"many"].map(|name| counters.tag(LeaseKind::V4, &line(name)));
    let mut limits = Limits::NONE;
    limits.push(Bound::Class, wide, 9);
    limits.push(Bound::Line, narrow, 1);
    assert_eq!(counters.reached(&Tags::NONE, false, &limits), None);
    let admitted = counters.admit(Tags::NONE, limits.tags(), &limits);
    assert_eq!(admitted.expect("room").tags().count(), 0);
    assert_eq!(
        counters.reached(&Tags::NONE, false, &limits),
        Some(Bound::Line)
    );
    assert_eq!(counters.reached(&limits.tags(), true, &limits), None);
    assert_eq!(counters.reached(&limits.tags(), false, &limits), None);
    let refused = counters.admit(Tags::NONE, limits.tags(), &limits);
    assert_eq!(refused.map(|_| ()), Err(Bound::Line));
    assert_eq!([wide, narrow].map(|tag| counters.count(tag)), [1, 1]);
    // What it has already is not asked for again, whatever the limit is by now.
    let admitted = counters.admit(limits.tags(), limits.tags(), &limits);
    assert_eq!(admitted.expect("its own").tags().count(), 0);
    let admitted = counters.admit(limits.tags(), Tags::NONE, &limits);
    let gone: Vec<_> = admitted.expect("less").tags().collect();
    assert_eq!(gone, [wide, narrow]);
    gone.into_iter().for_each(|tag| counters.remove(tag));
    assert_eq!(counters.len(), 0);
}

#[test]
fn a_limit_of_nothing_admits_nobody() {
    let counters = Counters::new(7, 100);
    let tag = counters.tag(LeaseKind::V4, &Limited::Class(b"none"));
    let mut limits = Limits::NONE;
    limits.push(Bound::Class, tag, 0);
    assert_eq!(
        counters.reached(&Tags::NONE, false, &limits),
        Some(Bound::Class)
    );
    assert!(counters.admit(Tags::NONE, limits.tags(), &limits).is_err());
    assert_eq!(counters.len(), 0);
}

/// Many threads after the last leases of a few lines: never one too many, and none is lost.
#[test]
fn a_race_for_the_last_lease_has_as_many_winners_as_there_are_leases() {
    let counters = Counters::new(7, 100);
    let tags: Vec<_> = (0..8u8)
        .map(|name| counters.tag(LeaseKind::V4, &line(&[name])))
        .collect();
    let won = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for round in 0..2_000usize {
                    let mut limits = Limits::NONE;
                    limits.push(Bound::Line, tags[round % 8], 3);
                    limits.push(Bound::Class, tags[(round + 1) % 8], 3);
                    let admitted = counters.admit(Tags::NONE, limits.tags(), &limits);
                    if admitted.is_ok() {
                        assert!(limits.tags().iter().all(|tag| counters.count(tag) <= 3));
                        won.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if round % 3 == 0 {
                            limits.tags().iter().for_each(|tag| counters.remove(tag));
                            won.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let held: u32 = tags.iter().map(|tag| counters.count(*tag)).sum();
    assert_eq!(held, 2 * won.into_inner());
    assert!(tags.iter().all(|tag| counters.count(*tag) <= 3));
}

/// What a client does.
#[derive(Clone, Debug)]
enum Step {
    /// Asks for an address, or renews, from a line.
    Ask {
        client: u8,
        line: u8,
    },
    Release {
        client: u8,
    },
    Decline {
        client: u8,
    },
    /// The former holder takes over what its lease ended with.
    Claim {
        client: u8,
    },
    /// The journal has what was written, and the tables are cleared up.
    Settle,
    Pass {
        seconds: u32,
    },
    /// Counting begins.
    Count,
    /// The operator gives it another lease without asking about limits.
    Force {
        client: u8,
        line: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (client, lines) = (0u8..12, 0u8..3);
    prop_oneof![
        8 => (client.clone(), lines.clone()).prop_map(|(client, line)| Step::Ask { client, line }),
        2 => client.clone().prop_map(|client| Step::Release { client }),
        1 => client.clone().prop_map(|client| Step::Decline { client }),
        1 => client.clone().prop_map(|client| Step::Claim { client }),
        3 => Just(Step::Settle),
        2 => (1u32..2 * LIFETIME).prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Count),
        1 => (client, lines).prop_map(|(client, line)| Step::Force { client, line }),
    ]
}

/// A small store whose clients lie in several partitions.
struct World {
    partitions: Partitions,
    pools: Pools,
    log: ChangeLog,
    now: Timestamp,
}

impl World {
    fn new(durability: Durability) -> Self {
        let first = Lease::V4(Ipv4Addr::new(10, 0, 0, 0));
        Self {
            partitions: Partitions::in_memory(4, 128, durability),
            pools: Pools::new(&[PoolRange { first, count: 12 }], &[]),
            log: ChangeLog::with_capacity(64),
            now: Timestamp(1_000_000),
        }
    }

    fn address(client: u8) -> Lease {
        Lease::V4(Ipv4Addr::new(10, 0, 0, client))
    }

    fn binding(&self, client: u8, tags: &Tags) -> Binding {
        let mut binding = Binding {
            lease: Self::address(client),
            state: State::Leased,
            client: ClientId::new(&[0, client]).expect("short"),
            hardware: HardwareAddress::new(1, &[2, 0, 0, 0, 0, client]).expect("short"),
            last_transaction: self.now,
            expires: self.now.after(LIFETIME),
            valid_seconds: LIFETIME,
            ..Binding::default()
        };
        binding.context.insert(ItemKind::AGENT, &[1; 60]);
        binding.context.set_tags(tags);
        binding
    }

    fn with<T>(
        &mut self,
        client: u8,
        act: impl FnOnce(&mut crate::Partition, Option<SlotNumber>, &Pools, &mut ChangeLog) -> T,
    ) -> T {
        let binding = self.binding(client, &Tags::NONE);
        let key = crate::Key {
            kind: LeaseKind::V4,
            client: binding.client.as_slice(),
            hardware: binding.hardware,
            iaid: binding.iaid,
        };
        let index = self.partitions.index_of(key.spread_octets());
        let mut partition = self.partitions.lock(index).expect("it is there");
        let slot = partition.find(&key, |_| true);
        act(&mut partition, slot, &self.pools, &mut self.log)
    }

    fn limits(&mut self, client: u8, name: u8) -> Limits {
        let name = [name];
        self.with(client, |partition, _, _, _| {
            let mut limits = Limits::NONE;
            if let Some(tag) = partition.tag(LeaseKind::V4, &line(&name)) {
                limits.push(Bound::Line, tag, MOST);
            }
            if let Some(tag) = partition.tag(LeaseKind::V4, &Limited::Class(b"all")) {
                limits.push(Bound::Class, tag, 5);
            }
            limits
        })
    }

    fn ask(&mut self, client: u8, name: u8, is_forced: bool) -> Result<(), NotCommitted> {
        let limits = self.limits(client, name);
        let binding = self.binding(client, &limits.tags());
        let now = self.now;
        self.with(client, |partition, slot, pools, log| {
            let lease = binding.lease;
            let is_own = slot.is_some_and(|slot| {
                let terms = partition.terms(slot);
                terms.is_some_and(|terms| terms.lease == lease && terms.is_live(now))
            });
            let key = crate::Key {
                kind: LeaseKind::V4,
                client: binding.client.as_slice(),
                hardware: binding.hardware,
                iaid: binding.iaid,
            };
            let reached = partition.limit_reached(slot, &limits, now);
            if !is_own && partition.claim(&key, lease, pools, now) != crate::Claim::Claimed {
                return Ok(());
            }
            let limits = if is_forced { Limits::NONE } else { limits };
            let done = partition.commit_within(slot, &binding, &limits, pools, log, now);
            if done.is_err() && !is_own {
                pools.give_back(lease);
            }
            if !is_forced {
                // Nobody else is about: what it looked like is what it is.
                assert_eq!(done.err(), reached.map(NotCommitted::Limit));
            }
            done.map(|_| ())
        })
    }

    fn end(&mut self, client: u8, state: State) {
        let now = self.now;
        self.with(client, |partition, slot, pools, log| {
            let Some(slot) = slot else { return };
            let mut binding = Binding::default();
            partition.read(slot, &mut binding);
            if !binding.is_live(now) {
                return;
            }
            binding.state = state;
            binding.expires = match state {
                State::Declined => now.after(LIFETIME),
                State::Leased | State::Released => now,
            };
            partition
                .commit(Some(slot), &binding, pools, log, now)
                .expect("it has a slot");
        });
    }

    fn settle(&mut self) {
        self.partitions.settle(&mut self.log, &self.pools);
        for number in 0..self.partitions.len() {
            let mut partition = self.partitions.lock(number).expect("it is there");
            while partition.tick(self.now, 64, &self.pools).more {}
        }
    }

    /// What the tables say, slot by slot.
    fn model(&self) -> HashMap<Tag, u32> {
        let mut model = HashMap::new();
        let now = self.now.0;
        self.partitions.for_each(|binding| {
            let ends = binding.expires.after(GRACE_SECONDS).0;
            if binding.state == State::Leased && ends > now {
                for tag in binding.context.tags().iter() {
                    *model.entry(tag).or_default() += 1;
                }
            }
        });
        model
    }

    /// Whether nothing is in its grace: then the table alone does not tell whether it counts.
    fn is_plain(&self) -> bool {
        let is_plain = std::cell::Cell::new(true);
        self.partitions.for_each(|binding| {
            let is_over = binding.expires <= self.now;
            let in_grace = is_over && binding.expires.after(GRACE_SECONDS) > self.now;
            is_plain.set(is_plain.get() && !in_grace);
        });
        is_plain.get()
    }

    fn check(&self) {
        let Some(counters) = self.partitions.counters() else {
            return;
        };
        let model = self.model();
        for (tag, count) in &model {
            assert_eq!(counters.count(*tag), *count, "{tag:?} in {model:?}");
        }
        assert_eq!(counters.len(), model.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever clients do, and whenever counting began: once all is settled, the counts are what the tables say,
    /// and nobody got more than his limit by asking.
    #[test]
    fn counts_are_what_the_tables_say(
        counts_at_once in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..120),
        is_power in any::<bool>(),
    ) {
        let durability = if is_power { Durability::Power } else { Durability::Process };
        let mut world = World::new(durability);
        let mut is_forced = false;
        if counts_at_once {
            world.partitions.count_leases();
        }
        for step in steps {
            match step {
                Step::Ask { client, line } => {
                    // Who came before there was a limit stays.
                    is_forced |= world.partitions.counters().is_none();
                    let _ = world.ask(client, line, false);
                }
                Step::Force { client, line } => {
                    is_forced = true;
                    let _ = world.ask(client, line, true);
                }
                Step::Release { client } => world.end(client, State::Released),
                Step::Decline { client } => world.end(client, State::Declined),
                Step::Claim { client } => {
                    let (lease, now) = (World::address(client), world.now);
                    let binding = world.binding(client, &Tags::NONE);
                    world.with(client, |partition, _, pools, _| {
                        let key = crate::Key {
                            kind: LeaseKind::V4,
                            client: binding.client.as_slice(),
                            hardware: binding.hardware,
                            iaid: binding.iaid,
                        };
                        if partition.claim(&key, lease, pools, now) == crate::Claim::Claimed {
                            pools.give_back(lease);
                        }
                    });
                }
                Step::Settle => {
                    world.settle();
                    if world.is_plain() {
                        world.check();
                    }
                }
                Step::Pass { seconds } => world.now = world.now.after(seconds),
                Step::Count => world.partitions.count_leases(),
            }
            if let Some(counters) = world.partitions.counters().filter(|_| !is_forced) {
                for name in 0..3u8 {
                    let tag = counters.tag(LeaseKind::V4, &line(&[name]));
                    prop_assert!(counters.count(tag) <= MOST);
                }
            }
        }
        while !world.is_plain() {
            world.now = world.now.after(1);
        }
        world.settle();
        world.check();
    }
}

/// What let a lease go may be lost in a power cut, so the lease counts until it cannot be.
#[test]
fn a_released_lease_counts_until_the_release_is_durable() {
    let mut world = World::new(Durability::Power);
    world.partitions.count_leases();
    assert_eq!(world.ask(1, 0, false), Ok(()));
    assert_eq!(world.ask(2, 0, false), Ok(()));
    world.settle();
    world.end(1, State::Released);
    assert_eq!(
        world.ask(3, 0, false),
        Err(NotCommitted::Limit(Bound::Line))
    );
    world.settle();
    assert_eq!(world.ask(3, 0, false), Ok(()));
}

/// A limit that comes into force takes nothing away from who holds a lease already.
#[test]
fn a_lease_from_before_the_limit_goes_on_and_counts_from_then_on() {
    let mut world = World::new(Durability::Process);
    for client in 0..4 {
        assert_eq!(world.ask(client, 0, false), Ok(()));
    }
    world.partitions.count_leases();
    assert_eq!(world.partitions.counted(), Some(0));
    for client in 0..4 {
        assert_eq!(world.ask(client, 0, false), Ok(()), "renewal of {client}");
    }
    world.check();
    assert_eq!(
        world.ask(5, 0, false),
        Err(NotCommitted::Limit(Bound::Line))
    );
    assert_eq!(world.ask(6, 1, false), Ok(()));
}

/// The tables are all that is left: a restart counts the same.
#[test]
fn a_table_that_is_nearly_full_keeps_what_its_leases_count_against() {
    let mut world = World::new(Durability::Process);
    world.partitions = Partitions::in_memory(1, 12, Durability::Process);
    world.partitions.count_leases();
    let mut granted = 0;
    for client in 0..12 {
        let name = client; // each on a line of its own
        let limits = {
            let tag = world
                .with(client, |partition, _, _, _| {
                    partition.tag(LeaseKind::V4, &line(&[name]))
                })
                .expect("counted");
            let mut limits = Limits::NONE;
            limits.push(Bound::Line, tag, 1);
            limits
        };
        let binding = world.binding(client, &limits.tags());
        let now = world.now;
        world.with(client, |partition, slot, pools, log| {
            if pools.claim(binding.lease) == crate::Claim::Claimed
                && partition
                    .commit_within(slot, &binding, &limits, pools, log, now)
                    .is_ok()
            {
                granted += 1;
            }
        });
    }
    assert!(granted >= 8, "{granted}");
    let with_agent = std::cell::Cell::new(0);
    world.partitions.for_each(|binding| {
        assert!(!binding.context.tags().is_empty());
        let has_agent = binding.context.of_kind(ItemKind::AGENT).next().is_some();
        with_agent.set(with_agent.get() + usize::from(has_agent));
    });
    // Otherwise the table was not so full that anything had to be left out.
    assert!(with_agent.get() < granted);
    world.check();
}
