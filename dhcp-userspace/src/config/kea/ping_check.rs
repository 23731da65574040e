//! Kea's hook library that probes addresses: its parameters are keys of ours.

use super::translate::{Spot, Translator, name_of};
use super::tree::{Node, Table};
use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged as _;

/// What its file's name holds.
pub(super) const LIBRARY: &str = "ping_check";
/// Where a subnet's parameters stand in its `user-context`.
const CONTEXT: &str = "ping-check";
const SWITCH: &str = "enable-ping-check";
/// Parameters that have the same name here.
const KEYS: [&str; 4] = [
    SWITCH,
    "min-ping-requests",
    "reply-timeout",
    "ping-cltt-secs",
];

/// The library's entry in `hooks-libraries` of `Dhcp4`, if it is loaded.
pub(super) fn loaded<'o, 'a>(dhcp4: &'o Object<'a>) -> Option<&'o Object<'a>> {
    let elements = &dhcp4.get_array("hooks-libraries")?.elements;
    elements.iter().find_map(|element| {
        let object = element.as_object()?;
        let library = &object.get_string("library")?.value;
        let file = library.rsplit('/').next()?;
        file.contains(LIBRARY).then_some(object)
    })
}

impl Translator<'_> {
    /// The library's parameters for all subnets. Unless they say otherwise, addresses are probed.
    pub(super) fn ping_check(&mut self, library: &Object<'_>, path: &str, into: &mut Table) {
        if let Some(parameters) = library.get_object("parameters") {
            self.ping_parameters(parameters, path, into);
        }
        if into.get(SWITCH).is_none() {
            let switch = Node::Scalar("true".to_owned());
            into.set(SWITCH, library.range.start, switch);
        }
    }

    /// A subnet's own parameters.
    pub(super) fn ping_context(&mut self, context: &Value<'_>, path: &str, into: &mut Table) {
        let context = context.as_object();
        if let Some(parameters) = context.and_then(|context| context.get_object(CONTEXT)) {
            self.ping_parameters(parameters, path, into);
        }
    }

    fn ping_parameters(&mut self, parameters: &Object<'_>, path: &str, into: &mut Table) {
        for property in &parameters.properties {
            let name = name_of(property);
            // How many threads ask (`ping-channel-threads`) is no business of a client.
            let Some(key) = KEYS.into_iter().find(|key| *key == name) else {
                continue;
            };
            let spot = Spot {
                offset: property.value.range().start,
                path: format!("{path}.{name}"),
            };
            if let Some(node) = self.node(key, &property.value, &spot) {
                into.set(key, spot.offset, node);
            }
        }
    }
}
