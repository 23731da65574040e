//! The classes of a policy: what is tested for them, when, and what their members get.
//!
//! Kea's order: `ALL` and the client's vendor class; tests that need no more than the packet, in the order of
//! the configuration; then a subnet is chosen, `KNOWN` or `UNKNOWN` and the classes of the client's
//! reservation come in, and the tests that ask for those; last, where the lease's pool, subnet or shared
//! network asks for them, the additional ones. All tests are evaluated while the packet is still there, so
//! the additional ones only note that they hold ([`Memberships::with_additional`]).

use super::{ClassId, ClassSet, Guard, Memberships};
use crate::expression::{
    Asked, Condition, Expression, Field, Packet, Protocol, SCRATCH_OCTETS, Scratch,
};
use crate::limits::LeaseLimits;
use crate::options::OptionSet;
use crate::subnet::Lifetimes;
use core::net::Ipv4Addr;
use dhcp_wire::v4::code;
use hashbrown::HashMap;

/// The option by which a DHCPv4 client says what it is.
const VENDOR_CLASS: u16 = code::VENDOR_CLASS_IDENTIFIER as u16;

/// Who may use a shared network, subnet or pool, and which classes its clients may be in besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// `client-classes`.
    pub guard: Guard,
    /// `evaluate-additional-classes`, in order.
    pub additional: Box<[ClassId]>,
}

/// When a class is tested for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum When {
    /// Before a subnet is chosen.
    #[default]
    Early,
    /// When it is known whether the client has a reservation.
    Late,
    /// Where it is asked for (`only-in-additional-list`).
    Additional,
}

/// What is tested.
#[derive(Clone, Debug, Default)]
pub enum Test {
    /// Nothing: clients are in the class by their reservation, their vendor class, or where it is asked for.
    #[default]
    None,
    /// `test`.
    Condition(Condition),
    /// `template-test`: whoever it says something of is in the class, and in the spawned class of what it
    /// says, where somebody asks for that one.
    Template {
        /// What it says.
        value: Expression,
        /// The spawned classes that are asked for, by that.
        spawned: HashMap<Box<[u8]>, ClassId>,
    },
}

/// One class.
#[derive(Clone, Debug, Default)]
pub struct Class {
    /// Its name.
    pub name: Box<str>,
    /// When it is tested for.
    pub when: When,
    /// What is tested.
    pub test: Test,
    /// Its options.
    pub options: OptionSet,
    /// `valid-lifetime` with its bounds, in seconds: least, default, most.
    pub valid: Option<[u32; 3]>,
    /// `preferred-lifetime`, in seconds (DHCPv6).
    pub preferred: Option<u32>,
    /// What a booting client fetches from where (DHCPv4).
    pub boot: BootFields,
    /// How many leases all its members together may hold.
    pub limits: LeaseLimits,
}

/// The header fields for clients that boot (DHCPv4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootFields {
    /// `siaddr` (`next-server`).
    pub next_server: Option<Ipv4Addr>,
    /// `sname` (`server-hostname`), at most 63 octets.
    pub server_hostname: Option<Box<[u8]>>,
    /// `file` (`boot-file-name`), at most 127 octets.
    pub boot_file_name: Option<Box<[u8]>>,
}

/// All classes of one protocol.
#[derive(Clone, Debug, Default)]
pub struct Classes {
    /// By their numbers; the built-in ones first.
    classes: Vec<Class>,
    /// Those that are tested for, in the order of the configuration.
    tested: Vec<ClassId>,
    /// Those that are not: where one is asked for as additional, everybody is in it.
    untested: ClassSet,
    /// The vendor classes that somebody asks for, by what clients say.
    vendors: HashMap<Box<[u8]>, ClassId>,
    /// Whether some class has lifetimes or header fields.
    has_lifetimes: bool,
    has_boot_fields: bool,
    has_limits: bool,
}

impl Classes {
    /// The classes by their numbers, of which the first are the built-in ones. `order`: in which order they are
    /// defined. `vendors`: which of them are vendor classes.
    pub fn new(
        classes: Vec<Class>,
        order: &[ClassId],
        vendors: impl IntoIterator<Item = (Box<[u8]>, ClassId)>,
    ) -> Self {
        let test = |id: &ClassId| classes.get(id.index()).map(|class| &class.test);
        let is_tested = |id: &&ClassId| !matches!(test(id), None | Some(Test::None));
        let (tested, untested): (Vec<_>, Vec<_>) = order.iter().partition(|id| is_tested(id));
        Self {
            tested,
            untested: untested.into_iter().collect(),
            vendors: vendors.into_iter().collect(),
            has_lifetimes: classes
                .iter()
                .any(|class| class.valid.is_some() || class.preferred.is_some()),
            has_boot_fields: classes
                .iter()
                .any(|class| class.boot != BootFields::default()),
            has_limits: classes
                .iter()
                .any(|class| class.limits != LeaseLimits::NONE),
            classes,
        }
    }

    /// Whether nothing of the policy names a class: then nobody needs to be asked.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// A class.
    pub fn get(&self, class: ClassId) -> Option<&Class> {
        self.classes.get(class.index())
    }

    /// How many there are, the built-in ones included.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// The class with this name.
    pub fn find(&self, name: &str) -> Option<ClassId> {
        let place = self.classes.iter().position(|class| &*class.name == name)?;
        ClassId::new(place)
    }

    /// The classes of a packet as far as it tells them itself. `vendor` is what the client says that it is, `given` the
    /// class that the server puts it into for what kind of message it is.
    pub fn begin<P: Packet>(
        &self,
        packet: &P,
        vendor: Option<&[u8]>,
        given: Option<ClassId>,
        classes: &mut Memberships,
    ) {
        classes.clear();
        if self.is_empty() {
            return;
        }
        classes.insert(ClassId::ALL);
        given.into_iter().for_each(|class| classes.insert(class));
        classes.additional = self.untested;
        if let Some(class) = vendor.and_then(|vendor| self.vendors.get(vendor)) {
            classes.insert(*class);
        }
        self.test(When::Early, packet, classes);
    }

    /// The others, now that the client's reservation is known: whether it has one, and its classes.
    pub fn complete<'r, P: Packet>(
        &self,
        packet: &P,
        is_known: bool,
        reserved: impl Iterator<Item = &'r ClassId>,
        classes: &mut Memberships,
    ) {
        if self.is_empty() {
            return;
        }
        classes.insert(match is_known {
            true => ClassId::KNOWN,
            false => ClassId::UNKNOWN,
        });
        reserved.for_each(|class| classes.insert(*class));
        self.test(When::Late, packet, classes);
        self.test(When::Additional, packet, classes);
    }

    fn test<P: Packet>(&self, when: When, packet: &P, classes: &mut Memberships) {
        let take = |id, classes: &mut Memberships| match when {
            When::Early | When::Late => classes.insert(id),
            When::Additional => classes.insert_additional(id),
        };
        for id in &self.tested {
            let Some(class) = self.get(*id).filter(|class| class.when == when) else {
                continue;
            };
            match &class.test {
                Test::None => {}
                Test::Condition(condition) => {
                    if condition.holds(packet, classes.set()) {
                        take(*id, classes);
                    }
                }
                Test::Template { value, spawned } => {
                    let mut block = [0; SCRATCH_OCTETS];
                    let value =
                        value.evaluate(packet, classes.set(), &mut Scratch::new(&mut block));
                    let value = value.unwrap_or_default();
                    if value.is_empty() {
                        continue;
                    }
                    // The spawned class first: its options go before those of the template.
                    if let Some(spawned) = spawned.get(value) {
                        take(*spawned, classes);
                    }
                    take(*id, classes);
                }
            }
        }
    }

    /// The first field for which `is_known` is false of all that who is in a class depends on, directly or through
    /// other classes; `None`: there is none. What reservations say needs no field.
    pub fn unknown_field(&self, class: ClassId, is_known: impl Fn(Field) -> bool) -> Option<Field> {
        let mut pending = vec![class];
        let mut seen = ClassSet::EMPTY;
        let mut unknown = None;
        while let Some(class) = pending.pop() {
            if !seen.insert(class) {
                continue;
            }
            let mut ask = |asked| {
                match asked {
                    Asked::Field(field) if !is_known(field) => unknown = Some(field),
                    Asked::Field(_) => {}
                    Asked::Class(other) => pending.push(other),
                }
                unknown.is_some()
            };
            let is_unknown = match self.get(class).map(|class| &class.test) {
                Some(Test::Condition(condition)) => condition.asks_for(&mut ask),
                Some(Test::Template { value, .. }) => value.asks_for(&mut ask),
                _ if class == ClassId::BOOTP => ask(Asked::Field(Field::MessageType(Protocol::V4))),
                _ if self.vendors.values().any(|it| *it == class) => {
                    ask(Asked::Field(Field::Option(VENDOR_CLASS)))
                }
                _ => false,
            };
            if is_unknown {
                return unknown;
            }
            let spawns = |template: &&ClassId| match self.get(**template).map(|it| &it.test) {
                Some(Test::Template { spawned, .. }) => spawned.values().any(|it| *it == class),
                _ => false,
            };
            pending.extend(self.tested.iter().filter(spawns));
        }
        None
    }

    /// The lifetimes of a subnet for a member of classes: those of the first class that has some go before them.
    pub fn lifetimes(&self, of_subnet: &Lifetimes, classes: &Memberships) -> Lifetimes {
        let mut lifetimes = *of_subnet;
        if !self.has_lifetimes {
            return lifetimes;
        }
        let members = || classes.iter().filter_map(|class| self.get(class));
        if let Some([least, valid, most]) = members().find_map(|class| class.valid) {
            (lifetimes.valid_min, lifetimes.valid, lifetimes.valid_max) = (least, valid, most);
        }
        if let Some(preferred) = members().find_map(|class| class.preferred) {
            lifetimes.preferred = preferred;
        }
        lifetimes
    }

    /// Whether some class may hold only so many leases.
    pub fn has_limits(&self) -> bool {
        self.has_limits
    }

    /// The limits of those of a client's classes that have some, with their names.
    pub fn limits<'p>(
        &'p self,
        classes: &'p Memberships,
    ) -> impl Iterator<Item = (&'p str, LeaseLimits)> {
        let members = classes.iter().filter(|_| self.has_limits);
        let limited = members.filter_map(|class| self.get(class));
        let limited = limited.filter(|class| class.limits != LeaseLimits::NONE);
        limited.map(|class| (&*class.name, class.limits))
    }

    /// A header field for a member of classes: that of the first class that has it.
    pub fn boot_field<'p, T>(
        &'p self,
        classes: &Memberships,
        field: impl Fn(&'p BootFields) -> Option<T>,
    ) -> Option<T> {
        if !self.has_boot_fields {
            return None;
        }
        let mut members = classes.iter().filter_map(|class| self.get(class));
        members.find_map(|class| field(&class.boot))
    }
}
