//! Which clients are there? Classes with their tests in an order that makes sense, and every name of one.

use super::Checker;
use crate::config::file::{ClassNames, ClientClass};
use crate::config::notation::Family;
use crate::config::options;
use crate::config::report::{At, Spot};
use dhcp_core::class::{
    Access, BootFields, CLASSES_MAX, Class, ClassId, Classes, Guard, Test, When,
};
use dhcp_core::expression::{Condition, Expression, Names, Protocol};
use std::collections::{HashMap, HashSet};

const VENDOR: &str = "VENDOR_CLASS_";
const SPAWNED: &str = "SPAWN_";
/// What hook libraries of Kea add, of which there are none here.
const HOOKS: [&str; 4] = ["HA_", "AFTER_", "EXTERNAL_", "SKIP_DDNS"];

/// The classes of one protocol, while they are read.
#[derive(Debug)]
pub(super) struct Book {
    family: Family,
    numbers: HashMap<String, ClassId>,
    classes: Vec<Class>,
    /// In which order they are defined.
    order: Vec<ClassId>,
    /// Those that are defined so far.
    defined: HashSet<ClassId>,
    /// Names that are defined anywhere: a class that is asked for too early is one of them.
    written: HashSet<String>,
    /// The templates.
    templates: Vec<ClassId>,
}

impl Book {
    pub(super) fn new(family: Family) -> Self {
        Self {
            family,
            numbers: HashMap::new(),
            classes: Vec::new(),
            order: Vec::new(),
            defined: HashSet::new(),
            written: HashSet::new(),
            templates: Vec::new(),
        }
    }

    /// The number of a name, which is given one if it has none.
    fn number(&mut self, name: &str) -> Result<ClassId, String> {
        if self.classes.is_empty() {
            for name in ClassId::BUILT_IN {
                self.add(name)?;
            }
        }
        match self.numbers.get(name) {
            Some(number) => Ok(*number),
            None => self.add(name),
        }
    }

    fn add(&mut self, name: &str) -> Result<ClassId, String> {
        let number = ClassId::new(self.classes.len()).ok_or_else(|| {
            format!("is one name too many; a protocol may have {CLASSES_MAX} classes")
        })?;
        self.classes.push(Class {
            name: name.into(),
            ..Class::default()
        });
        self.numbers.insert(name.to_owned(), number);
        Ok(number)
    }

    /// A class that is named outside of classes.
    pub(super) fn named(&mut self, name: &str) -> Result<ClassId, String> {
        let is_known =
            is_given(name) || self.written.contains(name) || self.template_of(name).is_some();
        match is_known {
            true => self.number(name),
            false => Err(self.unknown(name)),
        }
    }

    /// The template that spawns a class of this name.
    fn template_of(&self, name: &str) -> Option<&Class> {
        let templates = self.templates.iter();
        let mut templates = templates.filter_map(|id| self.classes.get(id.index()));
        templates.find(|template| spawned_value(name, &template.name).is_some())
    }

    fn unknown(&self, name: &str) -> String {
        if HOOKS.iter().any(|prefix| name.starts_with(prefix)) {
            return format!(
                "{name:?} is a class of Kea's hook libraries, which nobody here is ever in; leave it out"
            );
        }
        if name.starts_with(SPAWNED) {
            return format!(
                "{name:?} belongs to no template; define a class with `template-test`, of whose name and value \
                 it is made"
            );
        }
        let heading = match self.family {
            Family::V4 => "[[dhcp4.client-classes]]",
            Family::V6 => "[[dhcp6.client-classes]]",
        };
        format!("there is no class {name:?}; define it as one of {heading}")
    }

    /// All classes, when every place has been asked which it names.
    pub(super) fn finish(mut self) -> Classes {
        let mut spawned = Vec::new();
        for template in &self.templates {
            let Some(class) = self.classes.get(template.index()) else {
                continue;
            };
            for (name, number) in &self.numbers {
                if let Some(value) = spawned_value(name, &class.name) {
                    spawned.push((*template, value.as_bytes().into(), *number));
                }
            }
        }
        for (template, value, number) in spawned {
            let class = self.classes.get_mut(template.index());
            if let Some(Test::Template { spawned, .. }) = class.map(|class| &mut class.test) {
                spawned.insert(value, number);
            }
        }
        let vendor = |(name, number): (&String, &ClassId)| {
            let value = name.strip_prefix(VENDOR)?;
            Some((value.as_bytes().into(), *number))
        };
        let vendors: Vec<_> = self.numbers.iter().filter_map(vendor).collect();
        Classes::new(self.classes, &self.order, vendors)
    }

    /// When a client's membership is known, at the earliest.
    fn known_when(&self, number: ClassId) -> When {
        if matches!(number, ClassId::KNOWN | ClassId::UNKNOWN) {
            return When::Late;
        }
        let Some(class) = self.classes.get(number.index()) else {
            return When::Early;
        };
        let is_tested = !matches!(class.test, Test::None);
        match self.template_of(&class.name) {
            _ if is_tested || class.when == When::Additional => class.when,
            Some(template) => template.when,
            None if is_given(&class.name) => When::Early,
            // Who is in it is said by reservations.
            None => When::Late,
        }
    }
}

/// Whether the server itself says who is in a class of this name.
fn is_given(name: &str) -> bool {
    ClassId::BUILT_IN.contains(&name) || name.starts_with(VENDOR)
}

/// What a template with this name says of clients in the spawned class of that name.
fn spawned_value<'n>(spawned: &'n str, template: &str) -> Option<&'n str> {
    let value = spawned
        .strip_prefix(SPAWNED)?
        .strip_prefix(template)?
        .strip_prefix('_')?;
    (!value.is_empty()).then_some(value)
}

/// What the names in one expression stand for.
struct Asked<'b> {
    book: &'b mut Book,
    /// The latest that one of the classes is known.
    when: When,
}

impl Names for Asked<'_> {
    fn protocol(&self) -> Protocol {
        match self.book.family {
            Family::V4 => Protocol::V4,
            Family::V6 => Protocol::V6,
        }
    }

    fn option(&self, name: &str) -> Option<u16> {
        let mut catalogue = options::catalogue(self.book.family).iter();
        Some(catalogue.find(|known| known.name == name)?.code)
    }

    fn class(&mut self, name: &str) -> Result<ClassId, String> {
        let book = &mut *self.book;
        let number = book.named(name)?;
        let comes_by_itself = is_given(name) || book.template_of(name).is_some();
        if !comes_by_itself && !book.defined.contains(&number) {
            return Err(format!(
                "{name:?} is defined below, and classes are looked at in their order; move it above this one"
            ));
        }
        match book.known_when(number) {
            When::Early => {}
            When::Late => self.when = When::Late,
            When::Additional => {
                return Err(format!(
                    "{name:?} is looked at only where it is asked for, after all others; leave its \
                     `only-in-additional-list` out"
                ));
            }
        }
        Ok(number)
    }
}

impl Checker<'_> {
    /// Reads the classes of a protocol.
    pub(super) fn classes(&mut self, written: &[ClientClass], family: Family) {
        let mut book = Book::new(family);
        let mut seen: HashMap<&str, &Spot> = HashMap::new();
        for name in written.iter().filter_map(|class| class.name.as_ref()) {
            self.once(&mut seen, name.value.as_str(), &name.spot, |first| {
                format!("is the name of {first} too; give it another")
            });
            book.written.insert(name.value.clone());
        }
        for class in written {
            if let Some(name) = &class.name {
                self.class(class, name, &mut book);
            }
        }
        *self.book(family) = book;
    }

    /// The classes of a protocol so far.
    pub(super) fn book(&mut self, family: Family) -> &mut Book {
        match family {
            Family::V4 => &mut self.classes_v4,
            Family::V6 => &mut self.classes_v6,
        }
    }

    /// An expression over messages whose clients are in the classes that the message alone tells.
    pub(super) fn early_expression(
        &mut self,
        text: &str,
        family: Family,
    ) -> Result<Expression, String> {
        let mut names = Asked {
            book: self.book(family),
            when: When::Early,
        };
        let expression = Expression::parse(text, &mut names);
        let expression = expression.map_err(|error| error.described(text))?;
        match names.when {
            When::Early => Ok(expression),
            When::Late | When::Additional => Err(
                "asks for a class that depends on the client's reservation, which is looked for only when it is known \
                 who the client is; leave that class out"
                    .to_owned(),
            ),
        }
    }

    fn class(&mut self, written: &ClientClass, name: &At<String>, book: &mut Book) {
        let number = match book.number(&name.value) {
            Ok(number) => number,
            Err(message) => return self.report.error(&name.spot, message),
        };
        self.class_name(written, name);
        let mut when = When::Early;
        let test = self.test(written, book, &mut when);
        if written
            .only_in_additional_list
            .as_ref()
            .is_some_and(|it| it.value)
        {
            when = When::Additional;
        }
        let class = Class {
            name: name.value.as_str().into(),
            when,
            test,
            options: self.class_options(written, book.family),
            valid: self.class_lifetimes(written),
            preferred: written
                .parameters
                .preferred_lifetime
                .as_ref()
                .map(|it| it.value),
            boot: boot_fields(written),
            limits: self.class_limits(written),
        };
        if matches!(class.test, Test::Template { .. }) {
            book.templates.push(number);
        }
        if let Some(place) = book.classes.get_mut(number.index()) {
            *place = class;
        }
        book.order.push(number);
        book.defined.insert(number);
    }

    fn class_name(&mut self, written: &ClientClass, name: &At<String>) {
        let decided_here = name.value != "DROP" && is_given(&name.value);
        let test = written.test.as_ref().or(written.template_test.as_ref());
        if let (true, Some(test)) = (decided_here, test) {
            let message = format!(
                "{:?} is built in, and who is in it is not for a test to say; give the class another name, or \
                 leave the test out",
                name.value
            );
            self.report.error(&test.spot, message);
        }
        if HOOKS.iter().any(|prefix| name.value.starts_with(prefix)) {
            let message = format!(
                "{:?} has a meaning to Kea's hook libraries and none here",
                name.value
            );
            self.report.warn(&name.spot, message);
        }
    }

    fn test(&mut self, written: &ClientClass, book: &mut Book, when: &mut When) -> Test {
        let mut names = Asked {
            book,
            when: When::Early,
        };
        let test = match (&written.test, &written.template_test) {
            (Some(_), Some(second)) => {
                let message = "is a second test besides `test`; keep one of the two";
                self.report.error(&second.spot, message);
                Test::None
            }
            (Some(test), None) => match Condition::parse(&test.value, &mut names) {
                Ok(condition) => Test::Condition(condition),
                Err(error) => self.syntax(test, &error.described(&test.value)),
            },
            (None, Some(test)) => match Expression::parse(&test.value, &mut names) {
                Ok(value) => Test::Template {
                    value,
                    spawned: Default::default(),
                },
                Err(error) => self.syntax(test, &error.described(&test.value)),
            },
            (None, None) => Test::None,
        };
        *when = names.when;
        test
    }

    fn syntax(&mut self, test: &At<String>, words: &str) -> Test {
        self.report.error(&test.spot, words);
        Test::None
    }

    /// `valid-lifetime` of a class with its bounds. Any of the three stands for those that are not written.
    fn class_lifetimes(&mut self, written: &ClientClass) -> Option<[u32; 3]> {
        let parameters = &written.parameters;
        let (least, most) = (
            parameters.min_valid_lifetime.as_ref(),
            parameters.max_valid_lifetime.as_ref(),
        );
        let valid = parameters.valid_lifetime.as_ref().or(least).or(most);
        if let (Some(preferred), Some(valid)) = (&parameters.preferred_lifetime, valid)
            && preferred.value > valid.value
        {
            let message = format!(
                "{} is above `valid-lifetime`, {}; lower it",
                preferred.value, valid.value
            );
            self.report.error(&preferred.spot, message);
        }
        let valid = valid?.value;
        if let Some(least) = least.filter(|least| least.value > valid) {
            let message = format!("{} is above the lifetime, {valid}; lower it", least.value);
            self.report.error(&least.spot, message);
        }
        if let Some(most) = most.filter(|most| most.value < valid) {
            let message = format!("{} is below the lifetime, {valid}; raise it", most.value);
            self.report.error(&most.spot, message);
        }
        let bound = |bound: Option<&At<u32>>| bound.map_or(valid, |it| it.value);
        Some([bound(least), valid, bound(most)])
    }

    /// Who may use something.
    pub(super) fn access(&mut self, written: &ClassNames, family: Family) -> Access {
        let permitted = self.class_numbers(&written.permitted, family);
        for (name, number) in written.permitted.iter().zip(&permitted) {
            if self.book(family).known_when(*number) == When::Additional {
                let message = format!(
                    "{} is looked at only when a lease has been chosen already; leave its \
                     `only-in-additional-list` out",
                    name.value
                );
                self.report.error(&name.spot, message);
            }
        }
        let additional = self.class_numbers(&written.additional, family);
        let expanded = additional
            .iter()
            .flat_map(|number| self.book(family).with_spawned(*number));
        Access {
            guard: Guard::any_of(permitted),
            additional: expanded.collect(),
        }
    }

    /// The numbers of classes that something names; those that there are not are reported.
    pub(super) fn class_numbers(&mut self, names: &[At<String>], family: Family) -> Vec<ClassId> {
        let mut numbers = Vec::new();
        for name in names {
            match self.book(family).named(&name.value) {
                Ok(number) => numbers.push(number),
                Err(message) => self.report.error(&name.spot, message),
            }
        }
        numbers
    }

    /// A subnet is chosen before it is known whether the client has a reservation.
    pub(super) fn late_guard(&mut self, names: &[At<String>], family: Family) {
        let numbers: Vec<_> = names
            .iter()
            .filter_map(|name| self.book(family).named(&name.value).ok())
            .collect();
        let all_late = numbers
            .iter()
            .all(|number| self.book(family).known_when(*number) == When::Late);
        if let (Some(first), true) = (names.first(), all_late) {
            let message = format!(
                "{} depends on the client's reservation, which is looked for when a subnet has been chosen: nobody \
                 is served from here; put it on pools, or on some of the subnets of a shared network",
                first.value
            );
            self.report.warn(&first.spot, message);
        }
    }
}

impl Book {
    /// A class where it is asked for; of a template its spawned classes before it.
    fn with_spawned(&self, number: ClassId) -> Vec<ClassId> {
        let template = self
            .templates
            .contains(&number)
            .then(|| self.classes.get(number.index()))
            .flatten();
        let spawned = self
            .numbers
            .iter()
            .filter(|(name, _)| template.is_some_and(|it| spawned_value(name, &it.name).is_some()));
        let mut all: Vec<_> = spawned.map(|(_, number)| *number).collect();
        all.sort();
        all.push(number);
        all
    }
}

fn boot_fields(written: &ClientClass) -> BootFields {
    let octets = |text: &Option<At<String>>| text.as_ref().map(|it| it.value.as_bytes().into());
    BootFields {
        next_server: written.parameters.next_server.as_ref().map(|it| it.value),
        server_hostname: octets(&written.server_hostname),
        boot_file_name: octets(&written.parameters.boot_file_name),
    }
}
