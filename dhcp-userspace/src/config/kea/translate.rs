//! Kea's objects to tables of ours: every key that has the same name is carried over as it is, so that what
//! the server learns the importer knows; the few that differ are turned into what means the same.

use super::hooks::Made;
use super::keywords::{self, Effect, Keyword};
use super::ping_check;
use super::tree::{Node, Table, is_headed};
use crate::config::keys::{self, TABLES, TableKeys};
use crate::config::notation::Family;
use crate::config::report::Severity;
use jsonc_parser::ast::{Object, ObjectProp, ObjectPropName, Value};
use jsonc_parser::common::Ranged as _;

/// Something that the operator should know about Kea's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) severity: Severity,
    /// Into the joined text.
    pub(super) offset: usize,
    pub(super) path: String,
    pub(super) message: String,
}

/// A kind of object in Kea's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Global,
    Network,
    Subnet,
    Pool,
    PdPool,
    Relay,
    OptionData,
    OptionDef,
    Class,
    Compatibility,
    Reservation,
}

impl Scope {
    /// That of the objects in a list with this name.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "shared-networks" => Self::Network,
            "subnet4" | "subnet6" => Self::Subnet,
            "pools" => Self::Pool,
            "pd-pools" => Self::PdPool,
            "relay" => Self::Relay,
            "option-data" => Self::OptionData,
            "option-def" => Self::OptionDef,
            "client-classes" => Self::Class,
            "compatibility" => Self::Compatibility,
            "reservations" => Self::Reservation,
            _ => return None,
        })
    }

    /// Our keys for such an object, if there are any.
    fn keys(self, family: Family) -> Option<&'static TableKeys> {
        // Some are the same for both protocols.
        let headed = |name: &str| {
            let of_family = match family {
                Family::V4 => format!("dhcp4.{name}"),
                Family::V6 => format!("dhcp6.{name}"),
            };
            let find = |words: &str| {
                let mut tables = TABLES.iter().copied();
                tables.find(|table| table.heading.contains(words))
            };
            find(&of_family).or_else(|| find(name))
        };
        match (self, family) {
            (Self::Global, Family::V4) => Some(&keys::DHCP4),
            (Self::Global, Family::V6) => Some(&keys::DHCP6),
            (Self::Network, _) => Some(&keys::SHARED_NETWORK),
            (Self::Subnet, Family::V4) => Some(&keys::SUBNET4),
            (Self::Subnet, Family::V6) => Some(&keys::SUBNET6),
            (Self::Pool, _) => Some(&keys::POOL),
            (Self::PdPool, _) => Some(&keys::PD_POOL),
            (Self::Relay, _) => Some(&keys::RELAY),
            (Self::OptionData, _) => Some(&keys::OPTION_DATA),
            (Self::OptionDef, _) => headed("option-def"),
            (Self::Class, _) => headed("client-classes"),
            (Self::Reservation, Family::V4) => Some(&keys::RESERVATION4),
            (Self::Reservation, Family::V6) => Some(&keys::RESERVATION6),
            (Self::Compatibility, Family::V4) => Some(&keys::COMPATIBILITY),
            (Self::Compatibility, Family::V6) => None,
        }
    }
}

/// Our key with a name.
fn key_in(table: &'static TableKeys, name: &str) -> Option<&'static str> {
    table
        .iter()
        .find(|key| key.name == name)
        .map(|key| key.name)
}

/// What Kea 2 and Kea 3 call differently.
const OTHER_NAMES: [(&str, &str); 3] = [
    ("client-class", "client-classes"),
    ("require-client-classes", "evaluate-additional-classes"),
    ("only-if-required", "only-in-additional-list"),
];

/// A place while the objects are walked.
pub(super) struct Spot {
    pub(super) offset: usize,
    pub(super) path: String,
}

/// What `Dhcp4` and `Dhcp6` become.
pub(super) struct Translator<'t> {
    pub(super) text: &'t str,
    pub(super) family: Family,
    pub(super) notes: Vec<Note>,
    /// The number that Kea gives to the next subnet without one.
    next_id: u64,
    /// Whether Kea probes addresses.
    pub(super) probes: bool,
    /// Whether Kea has the hook library by which limits in a `user-context` count.
    has_limits: bool,
}

impl<'t> Translator<'t> {
    pub(super) fn new(text: &'t str, family: Family) -> Self {
        Self {
            text,
            family,
            notes: Vec::new(),
            next_id: 1,
            probes: false,
            has_limits: false,
        }
    }

    fn section(&self) -> &'static str {
        match self.family {
            Family::V4 => "dhcp4",
            Family::V6 => "dhcp6",
        }
    }

    fn subnets(&self) -> &'static str {
        match self.family {
            Family::V4 => "subnet4",
            Family::V6 => "subnet6",
        }
    }

    /// Puts `Dhcp4` or `Dhcp6` into the file that is made.
    pub(super) fn global(&mut self, object: &Object<'_>, name: &str, top: &mut Table) {
        let mut section = Table {
            offset: object.range.start,
            ..Table::default()
        };
        self.has_limits = has_hook(object, "limits");
        let subnets = self.subnets();
        let library = ping_check::loaded(object).filter(|_| self.family == Family::V4);
        self.probes = library.is_some();
        // Kea reads shared networks first, and numbers subnets in that order.
        let order = |property: &&ObjectProp<'_>| match name_of(property) {
            "shared-networks" => 0,
            name if name == subnets => 1,
            _ => 2,
        };
        let mut properties: Vec<_> = object.properties.iter().collect();
        properties.sort_by_key(order);
        for property in properties {
            let key = name_of(property);
            let spot = Spot {
                offset: property.range.start,
                path: format!("{name}.{key}"),
            };
            let value = &property.value;
            match key {
                _ if is_nothing(value) => {}
                "comment" | "user-context" => top.comments.push(self.comment(value)),
                "interfaces-config" => self.interfaces(value, &spot, top),
                "hooks-libraries" => {
                    let section = &mut section;
                    self.hooks(value, &spot, Made { section, top });
                }
                "lease-database" => self.lease_database(value, &spot),
                "dhcp-ddns" => self.ddns(value, &spot),
                "shared-networks" => self.append(top, "shared-networks", value, &spot),
                _ if key == subnets => self.append(top, subnets, value, &spot),
                // Both protocols share these.
                _ if self.known(Scope::Global, key).is_none()
                    && key_in(&keys::TOP, key).is_some() =>
                {
                    self.shared(key, value, &spot, top);
                }
                _ => self.property(Scope::Global, property, &spot, &mut section),
            }
        }
        if let Some(library) = library {
            self.ping_check(library, &format!("{name}.hooks-libraries"), &mut section);
        }
        self.defaults(object, &mut section, top);
        let is_empty = section.entries.is_empty();
        if !is_empty {
            top.set(self.section(), object.range.start, Node::Table(section));
        }
    }

    /// Where Kea's defaults are not ours, they are written down.
    fn defaults(&self, object: &Object<'_>, section: &mut Table, top: &mut Table) {
        let at = object.range.start;
        let scalar = |written: &str| Node::Scalar(written.to_owned());
        if self.family == Family::V4 && section.get("authoritative").is_none() {
            section.set("authoritative", at, scalar("false"));
        }
        if top.get("decline-probation-period").is_none()
            && section.get("decline-probation-period").is_none()
        {
            top.set("decline-probation-period", at, scalar("86400"));
        }
    }

    /// A key at the top of our file.
    fn shared(&mut self, key: &str, value: &Value<'_>, spot: &Spot, top: &mut Table) {
        let (Some(key), Some(node)) = (key_in(&keys::TOP, key), self.node(key, value, spot)) else {
            return;
        };
        let written = |node: &Node| match node {
            Node::Scalar(written) => written.clone(),
            Node::List(_) | Node::Table(_) => String::new(),
        };
        match top.get(key) {
            Some(known) if written(known) != written(&node) => {
                let message = format!(
                    "both protocols share this, and the other one has {}; that holds",
                    written(known)
                );
                self.lost(spot, message);
            }
            _ => top.set(key, spot.offset, node),
        }
    }

    /// Adds the tables of a list to those that the other protocol has brought.
    fn append(&mut self, top: &mut Table, key: &'static str, value: &Value<'_>, spot: &Spot) {
        let Some(Node::List(mut new)) = self.node(key, value, spot) else {
            self.lost(spot, "is no list, so nothing of it is carried over");
            return;
        };
        let mut all = match top.get(key) {
            Some(Node::List(known)) => known.clone(),
            _ => Vec::new(),
        };
        all.append(&mut new);
        top.set(key, spot.offset, Node::List(all));
    }

    fn known(&self, scope: Scope, name: &str) -> Option<&'static str> {
        let table = scope.keys(self.family)?;
        let other = || {
            let pair = OTHER_NAMES
                .iter()
                .find(|(two, three)| *two == name || *three == name)?;
            let other = if pair.0 == name { pair.1 } else { pair.0 };
            key_in(table, other)
        };
        key_in(table, name).or_else(other)
    }

    /// One object.
    fn object(&mut self, scope: Scope, object: &Object<'_>, path: &str) -> Table {
        let mut table = Table {
            offset: object.range.start,
            ..Table::default()
        };
        for property in &object.properties {
            let spot = Spot {
                offset: property.range.start,
                path: format!("{path}.{}", name_of(property)),
            };
            if is_nothing(&property.value) {
                continue;
            }
            self.property(scope, property, &spot, &mut table);
        }
        if scope == Scope::Subnet {
            self.number(&mut table, path);
        }
        table
    }

    /// Kea numbers subnets without an `id`; the leases that are taken over have these numbers.
    fn number(&mut self, table: &mut Table, path: &str) {
        let written = match table.get("id") {
            Some(Node::Scalar(written)) => written.as_str(),
            _ => "0",
        };
        if written != "0" {
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        table.set("id", table.offset, Node::Scalar(id.to_string()));
        let spot = Spot {
            offset: table.offset,
            path: path.to_owned(),
        };
        let message = format!("has no `id`; it gets {id}, as Kea counts");
        self.harmless(&spot, message);
    }

    fn property(&mut self, scope: Scope, property: &ObjectProp<'_>, spot: &Spot, into: &mut Table) {
        let (name, value) = (name_of(property), &property.value);
        match (scope, name) {
            (_, "comment" | "user-context") => {
                if self.has_limits && name == "user-context" {
                    self.limits(scope, value, spot, into);
                }
                into.comments.push(self.comment(value));
                if self.probes && scope == Scope::Subnet {
                    self.ping_context(value, &spot.path, into);
                }
            }
            (_, "reservation-mode") => self.reservation_mode(value, spot, into),
            (Scope::Relay, "ip-address") => {
                if let Some(node) = self.node(name, value, spot) {
                    into.set("ip-addresses", spot.offset, Node::List(vec![node]));
                }
            }
            (Scope::OptionData, "space") if self.is_own_space(value) => {}
            _ => match self.known(scope, name) {
                Some(key) => {
                    if let Some(node) = self.node(name, value, spot) {
                        into.set(key, spot.offset, with_shape(key, name, node));
                    }
                }
                None => self.without_counterpart(name, value, spot),
            },
        }
    }

    /// What Kea's `limits` hook library reads in the user context of a class or subnet.
    fn limits(&mut self, scope: Scope, value: &Value<'_>, spot: &Spot, into: &mut Table) {
        let limits = value
            .as_object()
            .and_then(|object| object.get_object("limits"));
        for property in limits.map_or(&[][..], |limits| &limits.properties) {
            let name = name_of(property);
            let spot = Spot {
                offset: property.range.start,
                path: format!("{}.limits.{name}", spot.path),
            };
            let key = match scope {
                Scope::Class | Scope::Subnet => self.known(scope, name),
                _ => None,
            };
            match (key, &property.value) {
                (Some(key), Value::NumberLit(number)) if number.value.parse::<u32>().is_ok() => {
                    into.set(key, spot.offset, Node::Scalar(number.value.to_owned()));
                }
                _ if name == "rate-limit" => {
                    self.lost(
                        &spot,
                        "has no counterpart: packets are not limited by class",
                    );
                }
                _ => self.lost(&spot, "is no limit that there is here"),
            }
        }
    }

    fn is_own_space(&self, value: &Value<'_>) -> bool {
        let own = self.section();
        value.as_string_lit().is_some_and(|text| text.value == own)
    }

    fn reservation_mode(&mut self, value: &Value<'_>, spot: &Spot, into: &mut Table) {
        let mode = value.as_string_lit().map_or("", |text| &text.value);
        let modes = match mode {
            "disabled" | "off" => [false, false, false],
            "all" | "in-subnet" => [false, true, false],
            "out-of-pool" => [false, true, true],
            "global" => [true, false, false],
            _ => {
                self.lost(
                    spot,
                    "is no mode of Kea's; write `reservations-global` and its like",
                );
                return;
            }
        };
        let keys = [
            "reservations-global",
            "reservations-in-subnet",
            "reservations-out-of-pool",
        ];
        for (key, mode) in keys.into_iter().zip(modes) {
            into.set(key, spot.offset, Node::Scalar(mode.to_string()));
        }
    }

    /// A value as it is.
    pub(super) fn node(&mut self, name: &str, value: &Value<'_>, spot: &Spot) -> Option<Node> {
        match value {
            Value::StringLit(text) => Some(Node::text(&text.value)),
            Value::NumberLit(number) => Some(Node::Scalar(number.value.to_owned())),
            Value::BooleanLit(boolean) => Some(Node::Scalar(boolean.value.to_string())),
            Value::NullKeyword(_) => {
                self.lost(spot, "is null, which means nothing; it is left out");
                None
            }
            Value::Array(array) => {
                let elements = array.elements.iter().enumerate();
                let elements = elements.filter_map(|(number, element)| {
                    let spot = Spot {
                        offset: element.range().start,
                        path: format!("{}[{number}]", spot.path),
                    };
                    self.node(name, element, &spot)
                });
                let mut elements: Vec<_> = elements.collect();
                if is_headed(name) {
                    let count = elements.len();
                    elements.retain(|element| matches!(element, Node::Table(_)));
                    if elements.len() < count {
                        self.lost(spot, "has elements that are no objects; they are left out");
                    }
                }
                Some(Node::List(elements))
            }
            Value::Object(object) => match Scope::of(name) {
                Some(scope) => {
                    let table = self.object(scope, object, &spot.path);
                    Some(shortened(scope, table))
                }
                None => {
                    self.lost(spot, "is an object, which has no counterpart here");
                    None
                }
            },
        }
    }

    fn comment(&self, value: &Value<'_>) -> String {
        let range = value.range();
        match value {
            Value::StringLit(text) => text.value.to_string(),
            _ => self
                .text
                .get(range.start..range.end)
                .unwrap_or_default()
                .to_owned(),
        }
    }

    fn interfaces(&mut self, value: &Value<'_>, spot: &Spot, top: &mut Table) {
        let Some(object) = value.as_object() else {
            self.lost(spot, "is no object");
            return;
        };
        let mut names: Vec<Node> = match top.get("interfaces") {
            Some(Node::List(names)) => names.clone(),
            _ => Vec::new(),
        };
        for property in &object.properties {
            let spot = Spot {
                offset: property.range.start,
                path: format!("{}.{}", spot.path, name_of(property)),
            };
            match (name_of(property), &property.value) {
                ("interfaces", Value::Array(array)) => {
                    for element in &array.elements {
                        self.interface(element, &spot, &mut names);
                    }
                }
                ("comment" | "user-context", _) => {}
                _ => self.harmless(
                    &spot,
                    "is left out: frames are taken from the network card by XDP, not from sockets",
                ),
            }
        }
        if !names.is_empty() {
            top.set("interfaces", spot.offset, Node::List(names));
        }
    }

    fn interface(&mut self, element: &Value<'_>, spot: &Spot, names: &mut Vec<Node>) {
        let Some(written) = element.as_string_lit() else {
            self.lost(spot, "is no name of an interface");
            return;
        };
        let (name, address) = match written.value.split_once('/') {
            Some((name, address)) => (name, Some(address)),
            None => (written.value.as_ref(), None),
        };
        if name == "*" {
            self.lost(
                spot,
                "\"*\" stands for every interface; name those that are to be served",
            );
            return;
        }
        if let Some(address) = address {
            let message = format!(
                "{address} of {name} is left out: the server answers with the interface's first \
                 address, or with `server-identifier`"
            );
            self.harmless(spot, message);
        }
        let node = Node::text(name);
        let is_same =
            |known: &Node| matches!((known, &node), (Node::Scalar(a), Node::Scalar(b)) if a == b);
        if !names.iter().any(is_same) {
            names.push(node);
        }
    }

    fn lease_database(&mut self, value: &Value<'_>, spot: &Spot) {
        let object = value.as_object();
        let text = |name| Some(&*object?.get_string(name)?.value);
        let number = if self.family == Family::V4 { 4 } else { 6 };
        let default = format!("/var/lib/kea/kea-leases{number}.csv");
        let message = match text("type") {
            Some("memfile") | None => format!(
                "take its leases along: xdhcpd leases import {}",
                text("name").unwrap_or(&default)
            ),
            Some(kind) => format!(
                "take its leases along: kea-admin lease-dump {kind} -{number} -o leases.csv, then \
                 xdhcpd leases import leases.csv"
            ),
        };
        self.harmless(spot, message);
    }

    fn ddns(&mut self, value: &Value<'_>, spot: &Spot) {
        let enabled = value
            .as_object()
            .and_then(|object| object.get_boolean("enable-updates"))
            .is_some_and(|enabled| enabled.value);
        if enabled {
            self.lost(
                spot,
                "has no counterpart: xdhcpd updates no DNS; let the name server take the names from the \
                 lease history",
            );
        }
    }

    fn without_counterpart(&mut self, name: &str, value: &Value<'_>, spot: &Spot) {
        let Some(Keyword { effect, advice, .. }) = keywords::find(name) else {
            self.lost(
                spot,
                "is no keyword that this importer knows; it is left out",
            );
            return;
        };
        let range = value.range();
        let written = match value {
            Value::StringLit(text) => &text.value,
            _ => self.text.get(range.start..range.end).unwrap_or_default(),
        };
        match effect {
            Effect::Harmless => self.harmless(spot, format!("is left out: {advice}")),
            Effect::HarmlessAs(values) if values.contains(&written) => {}
            Effect::Differs | Effect::HarmlessAs(_) => {
                self.lost(spot, format!("has no counterpart: {advice}"));
            }
        }
    }

    pub(super) fn lost(&mut self, spot: &Spot, message: impl Into<String>) {
        self.note(Severity::Error, spot, message.into());
    }

    pub(super) fn harmless(&mut self, spot: &Spot, message: impl Into<String>) {
        self.note(Severity::Warning, spot, message.into());
    }

    fn note(&mut self, severity: Severity, spot: &Spot, message: String) {
        self.notes.push(Note {
            severity,
            offset: spot.offset,
            path: spot.path.clone(),
            message,
        });
    }
}

/// A list of class names for one name, and the other way round, where the versions of Kea differ.
fn with_shape(key: &str, name: &str, node: Node) -> Node {
    match (key, node) {
        ("client-classes", node @ Node::Scalar(_)) if name == "client-class" => {
            Node::List(vec![node])
        }
        (_, node) => node,
    }
}

/// A pool of which only the range is said is written as a text.
fn shortened(scope: Scope, table: Table) -> Node {
    match (scope, table.entries.as_slice()) {
        (Scope::Pool, [only]) if only.key == "pool" && table.comments.is_empty() => {
            only.value.clone()
        }
        _ => Node::Table(table),
    }
}

/// Whether a hook library of this name is loaded.
fn has_hook(global: &Object<'_>, name: &str) -> bool {
    let libraries = global.get_array("hooks-libraries");
    let libraries = libraries.map_or(&[][..], |array| &array.elements);
    libraries.iter().any(|element| {
        let library = element.as_object().and_then(|it| it.get_string("library"));
        library.is_some_and(|path| {
            path.value
                .rsplit('/')
                .next()
                .is_some_and(|it| it.contains(name))
        })
    })
}

pub(super) fn name_of<'p>(property: &'p ObjectProp<'_>) -> &'p str {
    match &property.name {
        ObjectPropName::String(name) => &name.value,
        ObjectPropName::Word(name) => name.value,
    }
}

/// What Kea itself writes where nothing is said.
fn is_nothing(value: &Value<'_>) -> bool {
    match value {
        Value::StringLit(text) => text.value.is_empty(),
        Value::Array(array) => array.elements.is_empty(),
        Value::Object(object) => object
            .properties
            .iter()
            .all(|property| is_nothing(&property.value)),
        Value::NumberLit(_) | Value::BooleanLit(_) | Value::NullKeyword(_) => false,
    }
}
