//! Sets, orders, guards; then what is tested when.

use super::*;
use crate::expression::{self, Condition, Expression, Failure, Field, Packet, Protocol, Scratch};
use crate::subnet::{LeaseCache, Lifetimes};

fn class(index: usize) -> ClassId {
    ClassId::new(index).unwrap()
}

#[test]
fn a_set_holds_every_class_that_there_may_be() {
    let all: ClassSet = (0..CLASSES_MAX).map(class).collect();
    assert!((0..CLASSES_MAX).all(|index| all.contains(class(index))));
    assert_eq!(ClassId::new(CLASSES_MAX), None);
}

#[test]
fn memberships_keep_the_order_in_which_they_came_and_nothing_twice() {
    let mut classes = Memberships::default();
    for index in (0..CLASSES_MAX).rev().chain(0..CLASSES_MAX) {
        classes.insert(class(index));
    }
    let order: Vec<_> = classes.iter().map(ClassId::index).collect();
    assert_eq!(order, (0..CLASSES_MAX).rev().collect::<Vec<_>>());
    classes.clear();
    assert_eq!(classes.iter().count(), 0);
    assert!(!classes.contains(class(7)));
}

#[test]
fn a_guard_without_classes_permits_everybody() {
    let mut member = Memberships::default();
    member.insert(class(9));
    assert!(Guard::default().permits(&Memberships::default()));
    let guard = Guard::any_of([class(8), class(9)]);
    assert!(guard.permits(&member));
    assert!(!guard.permits(&Memberships::default()));
}

#[test]
fn additional_classes_count_only_where_they_are_asked_for_and_last() {
    let mut classes = Memberships::default();
    classes.insert(ClassId::ALL);
    classes.insert_additional(class(9));
    assert!(!classes.contains(class(9)));
    let asked = [class(8), class(9)];
    let all: Vec<_> = classes.with_additional(asked.into_iter()).collect();
    assert_eq!(all, [ClassId::ALL, class(9)]);
}

/// A packet with one option, 61.
struct Says(&'static [u8]);

impl Packet for Says {
    fn field<'s>(
        &'s self,
        field: Field,
        _scratch: &mut Scratch<'s>,
    ) -> Result<Option<&'s [u8]>, Failure> {
        Ok((field == Field::Option(61)).then_some(self.0))
    }
}

/// Names of classes, numbered as they come.
struct Names(Vec<&'static str>);

impl expression::Names for Names {
    fn protocol(&self) -> Protocol {
        Protocol::V4
    }

    fn option(&self, _name: &str) -> Option<u16> {
        None
    }

    fn class(&mut self, name: &str) -> Result<ClassId, String> {
        let place = self.0.iter().position(|known| *known == name);
        Ok(ClassId::new(place.unwrap()).unwrap())
    }
}

/// Classes with tests, in this order; the first five are the built-in ones.
fn classes(written: &[(&'static str, When, &str)]) -> Classes {
    let classes = list(written);
    let order: Vec<_> = (5..classes.len()).map(class).collect();
    Classes::new(classes, &order, [(b"vendor".as_slice().into(), class(5))])
}

fn list(written: &[(&'static str, When, &str)]) -> Vec<Class> {
    let mut names = Names(ClassId::BUILT_IN.to_vec());
    names.0.extend(written.iter().map(|(name, ..)| *name));
    let named = |name: &str| Class {
        name: name.into(),
        ..Class::default()
    };
    let mut classes: Vec<_> = ClassId::BUILT_IN.into_iter().map(named).collect();
    for (name, when, test) in written {
        let test = match test.strip_prefix("template ") {
            _ if test.is_empty() => Test::None,
            Some(value) => Test::Template {
                value: Expression::parse(value, &mut names).unwrap(),
                spawned: [(b"abc".as_slice().into(), class(5))].into_iter().collect(),
            },
            None => Test::Condition(Condition::parse(test, &mut names).unwrap()),
        };
        classes.push(Class {
            when: *when,
            test,
            ..named(name)
        });
    }
    classes
}

fn names(policy: &Classes, found: impl Iterator<Item = ClassId>) -> Vec<String> {
    let name = |id| policy.get(id).unwrap().name.to_string();
    found.map(name).collect()
}

#[test]
fn classes_come_in_keas_order() {
    let policy = classes(&[
        ("VENDOR_CLASS_vendor", When::Early, ""),
        ("late", When::Late, "known and member('reserved')"),
        ("early", When::Early, "option[61].hex == 'abc'"),
        ("reserved", When::Early, ""),
        ("asked", When::Additional, "member('late')"),
        ("other", When::Early, "option[61].hex == 'x'"),
    ]);
    let mut found = Memberships::default();
    policy.begin(&Says(b"abc"), Some(b"vendor"), None, &mut found);
    assert_eq!(
        names(&policy, found.iter()),
        ["ALL", "VENDOR_CLASS_vendor", "early"]
    );
    let reserved = policy.find("reserved").unwrap();
    policy.complete(&Says(b"abc"), true, [reserved].iter(), &mut found);
    let all = [
        "ALL",
        "VENDOR_CLASS_vendor",
        "early",
        "KNOWN",
        "reserved",
        "late",
    ];
    assert_eq!(names(&policy, found.iter()), all);
    let asked = [policy.find("other").unwrap(), policy.find("asked").unwrap()];
    let found = names(&policy, found.with_additional(asked.into_iter()));
    assert_eq!(found.last().unwrap(), "asked");
    assert_eq!(found.len(), all.len() + 1);
}

#[test]
fn a_client_without_a_reservation_is_unknown() {
    let policy = classes(&[("late", When::Late, "unknown")]);
    let mut found = Memberships::default();
    policy.begin(&Says(b""), Some(b"nobody asks for this"), None, &mut found);
    policy.complete(&Says(b""), false, [].iter(), &mut found);
    assert_eq!(names(&policy, found.iter()), ["ALL", "UNKNOWN", "late"]);
}

#[test]
fn a_template_spawns_the_class_that_is_asked_for_and_nothing_of_nothing() {
    let policy = classes(&[
        ("SPAWN_line_abc", When::Early, ""),
        ("line", When::Early, "template option[61].hex"),
    ]);
    for (says, expected) in [
        (&b"abc"[..], &["ALL", "SPAWN_line_abc", "line"][..]),
        (b"xyz", &["ALL", "line"]),
        (b"", &["ALL"]),
    ] {
        let mut found = Memberships::default();
        policy.begin(&Says(says), None, None, &mut found);
        assert_eq!(names(&policy, found.iter()), expected);
    }
}

#[test]
fn where_a_class_without_test_is_asked_for_everybody_is_in_it() {
    let policy = classes(&[("options", When::Additional, "")]);
    let mut found = Memberships::default();
    policy.begin(&Says(b""), None, None, &mut found);
    assert_eq!(names(&policy, found.iter()), ["ALL"]);
    let options = policy.find("options").unwrap();
    let found = found.with_additional([options].into_iter());
    assert_eq!(names(&policy, found), ["ALL", "options"]);
}

#[test]
fn of_two_classes_with_lifetimes_the_first_holds() {
    let mut classes = list(&[
        ("first", When::Early, ""),
        ("second", When::Early, ""),
        ("third", When::Early, ""),
    ]);
    for (place, valid) in [(6, 600), (7, 700)] {
        classes[place].valid = Some([valid / 2, valid, valid * 2]);
        classes[place].boot.next_server = Some([10, 0, 0, place as u8].into());
    }
    classes[7].preferred = Some(70);
    let policy = Classes::new(classes, &[], []);
    let mut member = Memberships::default();
    [5, 6, 7]
        .map(class)
        .into_iter()
        .for_each(|it| member.insert(it));
    let of_subnet = Lifetimes {
        valid: 1,
        valid_min: 1,
        valid_max: 1,
        preferred: 1,
        renew: Some(1),
        rebind: None,
        cache: LeaseCache::default(),
        adaptive_millionths: None,
    };
    let lifetimes = policy.lifetimes(&of_subnet, &member);
    let Lifetimes {
        valid,
        valid_min,
        valid_max,
        preferred,
        renew,
        ..
    } = lifetimes;
    assert_eq!((valid_min, valid, valid_max), (300, 600, 1200));
    assert_eq!((preferred, renew), (70, Some(1)));
    let next = policy.boot_field(&member, |boot| boot.next_server);
    assert_eq!(next, Some([10, 0, 0, 6].into()));
    let nobody = Memberships::default();
    assert_eq!(policy.lifetimes(&of_subnet, &nobody), of_subnet);
    assert_eq!(policy.boot_field(&nobody, |boot| boot.next_server), None);
}
