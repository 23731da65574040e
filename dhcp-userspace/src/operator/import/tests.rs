use super::*;
use crate::commit::{Settlements, Storage, StoreState, Submission, Trouble, connect};
use crate::leases::import::Rule;
use crate::leases::tests::view;
use crate::wake::Waker;
use dhcp_core::Policy;
use dhcp_lease::{Durability, PoolIndex, PoolRange, SubnetId};
use dhcp_wire::id::HardwareAddress;
use proptest::prelude::*;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_700_000_000);

/// A disk that keeps nothing.
struct Disk;

impl Storage for Disk {
    fn place(&mut self, _: &mut ChangeLog) -> Option<u64> {
        Some(1)
    }

    fn commit(&mut self, _: &[Submission]) -> Result<(), Trouble> {
        Ok(())
    }

    fn between_groups(
        &mut self,
        _: &Settlements,
        _: bool,
        _: Duration,
    ) -> Result<Duration, Trouble> {
        Ok(Duration::from_secs(1))
    }

    fn finish(&mut self) -> Result<(), Trouble> {
        Ok(())
    }
}

struct Bench {
    operator: Option<Operator>,
    partitions: Partitions,
    pools: Pools,
    places: Places,
    journal: Option<JoinHandle<()>>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(self.operator.take());
        self.journal.take().map(JoinHandle::join);
    }
}

fn lease(last: u8) -> Lease {
    Lease::V4(Ipv4Addr::new(10, 0, 0, last))
}

/// The lease of a client, who was heard so many seconds ago.
fn binding(client: u8, last: u8, ago: u64) -> Binding {
    Binding {
        lease: lease(last),
        state: State::Leased,
        subnet: SubnetId(1),
        hardware: HardwareAddress::ethernet([2, 0, 0, 0, 0, client]),
        last_transaction: Timestamp(NOW.0 - ago),
        expires: NOW.after(3600),
        valid_seconds: 7200,
        ..Binding::default()
    }
}

impl Bench {
    /// A pool of 10.0.0.0 to 10.0.0.99, and nothing granted.
    fn new(durability: Durability, slots: usize) -> Self {
        let waker = Arc::new(Waker::new().unwrap());
        let (mut handles, committer) =
            connect(vec![Arc::clone(&waker)], &Arc::new(StoreState::default()));
        let range = PoolRange {
            first: lease(0),
            count: 100,
        };
        Self {
            operator: Some(Operator::new(handles.pop().unwrap(), waker)),
            partitions: Partitions::in_memory(4, slots, durability),
            pools: Pools::new(&[range], &[]),
            places: Places::new(&Policy::default()),
            journal: Some(std::thread::spawn(move || committer.run(Disk))),
        }
    }

    fn import(&mut self, bindings: &[Binding], rule: Rule, is_dry_run: bool) -> Vec<Outcome> {
        let target = Target {
            partitions: &self.partitions,
            pools: &self.pools,
            places: &self.places,
            now: NOW,
        };
        let how = How {
            rule,
            is_dry_run,
            ..How::default()
        };
        let operator = self.operator.as_mut().unwrap();
        let imported = operator.import(bindings.to_vec(), how, target).unwrap();
        imported.outcomes
    }

    fn one(&mut self, binding: Binding, rule: Rule) -> Outcome {
        self.import(&[binding], rule, false)[0]
    }

    fn all(&self) -> Vec<Binding> {
        let mut all = Vec::new();
        self.partitions
            .for_each(|binding| all.push(binding.clone()));
        all.sort_by_key(|binding| (binding.lease, binding.hardware.as_slice().to_vec()));
        all
    }

    /// Every lease that is held has its bit, and every other one can be had.
    fn check_pool(&self) {
        let held: HashSet<Lease> = self
            .all()
            .iter()
            .filter(|binding| holds(binding, NOW))
            .map(|binding| binding.lease)
            .collect();
        let inside = held
            .iter()
            .filter(|lease| self.pools.pool_of(**lease).is_some());
        let inside = inside.count() as u64;
        assert_eq!(self.pools.counts(PoolIndex(0)).taken, inside);
        for last in 0..100 {
            let claim = self.pools.claim(lease(last));
            assert_eq!(
                claim == Claim::Claimed,
                !held.contains(&lease(last)),
                "{last}"
            );
            if claim == Claim::Claimed {
                self.pools.give_back(lease(last));
            }
        }
    }
}

#[test]
fn what_is_imported_is_held_and_again_changes_nothing() {
    for durability in [Durability::Process, Durability::Power] {
        let mut bench = Bench::new(durability, 64);
        let declined = Binding {
            state: State::Declined,
            hardware: HardwareAddress::NONE,
            ..binding(0, 7, 10)
        };
        let ended = Binding {
            expires: Timestamp(NOW.0 - 100),
            ..binding(4, 1, 7300)
        };
        let outside = binding(5, 200, 10);
        let all = [
            binding(1, 1, 10),
            binding(2, 2, 10),
            declined,
            ended,
            outside,
        ];
        assert_eq!(bench.import(&all, Rule::Newer, true), [Outcome::Added; 5]);
        assert!(bench.all().is_empty(), "that was a trial");
        bench.check_pool();
        assert_eq!(bench.import(&all, Rule::Newer, false), [Outcome::Added; 5]);
        let imported = bench.all();
        assert_eq!(imported.len(), 5);
        bench.check_pool();
        for rule in [Rule::Newer, Rule::Keep, Rule::Replace] {
            assert_eq!(
                bench.import(&all, rule, false),
                [Outcome::Unchanged; 5],
                "{rule:?}"
            );
        }
        assert_eq!(bench.all(), imported);
        bench.check_pool();
    }
}

#[test]
fn of_two_bindings_of_a_client_the_rule_tells_which_counts() {
    for durability in [Durability::Process, Durability::Power] {
        let mut bench = Bench::new(durability, 64);
        bench.one(binding(1, 1, 10), Rule::Newer);
        for (from_file, rule, outcome) in [
            (binding(1, 1, 20), Rule::Newer, Outcome::Kept),
            (binding(1, 2, 20), Rule::Newer, Outcome::Kept),
            (binding(1, 1, 5), Rule::Keep, Outcome::Kept),
            (binding(1, 1, 5), Rule::Newer, Outcome::Updated),
            (binding(1, 1, 20), Rule::Replace, Outcome::Updated),
            (binding(1, 2, 4), Rule::Newer, Outcome::Updated),
        ] {
            assert_eq!(
                bench.one(from_file.clone(), rule),
                outcome,
                "{from_file:?} {rule:?}"
            );
            bench.check_pool();
        }
        let [held] = bench.all().try_into().unwrap();
        assert_eq!(held.lease, lease(2), "a client has one lease on a link");
    }
}

#[test]
fn a_lease_of_another_client_goes_to_the_one_that_the_rule_names() {
    for durability in [Durability::Process, Durability::Power] {
        for outside in [0, 100] {
            let at = 1 + outside;
            let mut bench = Bench::new(durability, 64);
            bench.one(binding(1, at, 10), Rule::Newer);
            for (from_file, rule, outcome) in [
                (binding(2, at, 20), Rule::Newer, Outcome::Held),
                (binding(2, at, 5), Rule::Keep, Outcome::Held),
                (binding(2, at, 5), Rule::Newer, Outcome::Replaced),
                (binding(3, at, 20), Rule::Replace, Outcome::Replaced),
            ] {
                let trial = bench.import(std::slice::from_ref(&from_file), rule, true);
                assert_eq!(trial, [outcome]);
                assert_eq!(
                    bench.one(from_file.clone(), rule),
                    outcome,
                    "{from_file:?} {rule:?}"
                );
                bench.check_pool();
            }
            let all = bench.all();
            let states: Vec<_> = all.iter().map(|it| it.state).collect();
            assert_eq!(states, [State::Released, State::Released, State::Leased]);
        }
    }
}

#[test]
fn leases_that_change_hands_within_a_batch_do() {
    for durability in [Durability::Process, Durability::Power] {
        let mut bench = Bench::new(durability, 64);
        bench.import(&[binding(1, 1, 10), binding(2, 2, 10)], Rule::Newer, false);
        let swapped = [binding(1, 3, 5), binding(2, 1, 5)];
        let outcomes = bench.import(&swapped, Rule::Newer, false);
        assert_eq!(outcomes, [Outcome::Updated; 2]);
        assert_eq!(bench.all().len(), 2);
        bench.check_pool();
    }
}

#[test]
fn an_offer_is_not_taken_from_its_client() {
    let mut bench = Bench::new(Durability::Power, 64);
    assert_eq!(bench.pools.claim(lease(9)), Claim::Claimed);
    assert_eq!(bench.one(binding(1, 9, 5), Rule::Replace), Outcome::Offered);
    bench.pools.give_back(lease(9));
    assert_eq!(bench.one(binding(1, 9, 5), Rule::Replace), Outcome::Added);
    bench.check_pool();
}

#[test]
fn a_full_table_takes_no_lease_and_loses_none() {
    let mut bench = Bench::new(Durability::Power, 2);
    let all: Vec<_> = (0..90).map(|client| binding(client, client, 10)).collect();
    let outcomes = bench.import(&all, Rule::Newer, false);
    let full = outcomes.iter().filter(|it| **it == Outcome::Full).count();
    assert_eq!((full, bench.all().len()), (82, 8));
    bench.check_pool();
}

#[test]
fn a_prefix_astride_of_a_pool_is_refused() {
    let mut bench = Bench::new(Durability::Power, 64);
    let first = crate::leases::parse("2001:db8:8000::/56").unwrap();
    bench.pools = Pools::new(&[PoolRange { first, count: 256 }], &[]);
    let prefix = |text: &str| Binding {
        lease: crate::leases::parse(text).unwrap(),
        ..binding(1, 1, 10)
    };
    assert_eq!(
        bench.one(prefix("2001:db8:8000:10::/60"), Rule::Newer),
        Outcome::Astride
    );
    assert_eq!(
        bench.one(prefix("2001:db8:9000:10::/60"), Rule::Newer),
        Outcome::Added
    );
    assert_eq!(
        bench.one(prefix("2001:db8:8000:100::/56"), Rule::Replace),
        Outcome::Updated
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Export is the identity, import too: so whatever a store holds, the copy of a copy is the same.
    #[test]
    fn a_store_of_any_bindings_comes_back_the_same(
        views in proptest::collection::vec(view(), 0..120),
        durability in prop_oneof![Just(Durability::Power), Just(Durability::Process)],
    ) {
        let mut bindings: Vec<Binding> = views.iter().map(|view| view.binding().unwrap()).collect();
        // A file has one entry for a lease, and a client one lease on a link.
        let (mut leases, mut keys) = (HashSet::new(), HashSet::new());
        bindings.retain(|binding| {
            let client = match binding.client.as_slice() {
                [] => (binding.hardware.htype(), binding.hardware.as_slice().to_vec()),
                client => (0, client.to_vec()),
            };
            let key = (binding.lease.kind(), client, binding.iaid);
            leases.insert(binding.lease) && keys.insert(key)
        });
        let mut bench = Bench::new(durability, 4_096);
        let outcomes = bench.import(&bindings, Rule::Newer, false);
        let expected = |binding: &Binding| match binding.state == State::Declined && !holds(binding, NOW) {
            true => Outcome::Ended,
            false => Outcome::Added,
        };
        prop_assert_eq!(outcomes, bindings.iter().map(expected).collect::<Vec<_>>());
        bindings.retain(|binding| expected(binding) == Outcome::Added);
        bindings.sort_by_key(|binding| (binding.lease, binding.hardware.as_slice().to_vec()));
        prop_assert_eq!(&bench.all(), &bindings);
        let outcomes = bench.import(&bindings, Rule::Newer, false);
        prop_assert!(outcomes.iter().all(|it| *it == Outcome::Unchanged));
        prop_assert_eq!(&bench.all(), &bindings);
    }
}
