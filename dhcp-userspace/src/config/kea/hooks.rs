//! Kea's hook libraries: what some of them do is built in here and has keys, others have their counterpart in the command
//! line, the rest is missing.

use super::keywords::{DDNS, Effect};
use super::ping_check;
use super::translate::{Spot, Translator};
use super::tree::{Node, Table};
use crate::config::notation::Family;
use Effect::{Differs, Harmless};
use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged as _;

/// A library without keys here: the part of its file's name that tells it, and what is there instead.
const LIBRARIES: &[(&str, Effect, &str)] = &[
    (
        "lease_cmds",
        Harmless,
        "`xdhcpd leases` and `xdhcpd ctl leases|release` do that",
    ),
    (
        "stat_cmds",
        Harmless,
        "`xdhcpd ctl stats|pools` and /metrics do that",
    ),
    (
        "host_cmds",
        Harmless,
        "edit the `reservations-file` and reload",
    ),
    ("subnet_cmds", Harmless, "edit the configuration and reload"),
    ("class_cmds", Harmless, "edit the configuration and reload"),
    ("cb_cmds", Harmless, "there is no configuration back end"),
    ("perfmon", Harmless, "/metrics has the times"),
    (
        "legal_log",
        Harmless,
        "the lease history ([history], `xdhcpd leases history`) does that",
    ),
    ("host_cache", Harmless, "reservations are in memory"),
    (
        "mysql",
        Harmless,
        "leases are in files of the server's own; `xdhcpd leases import` takes them over",
    ),
    (
        "pgsql",
        Harmless,
        "leases are in files of the server's own; `xdhcpd leases import` takes them over",
    ),
    ("flex_id", Differs, "it has no `identifier-expression`"),
    (
        "flex_option",
        Differs,
        "options are not made by expressions; give classes their own `option-data`",
    ),
    ("ping_check", Differs, "it is of DHCPv4 alone"),
    (
        "limits",
        Harmless,
        "`address-limit` and `prefix-limit` of classes and subnets are keys here; rates are named where they stand",
    ),
    (
        "_ha",
        Differs,
        "there is no second server yet that shares the leases",
    ),
    (
        "lease_query",
        Differs,
        "leasequery is answered for DHCPv4 only, to those that `requestors` of [leasequery] names",
    ),
    ("bootp", Differs, "it is of DHCPv4 alone"),
    ("radius", Differs, "no RADIUS server is asked"),
    (
        "run_script",
        Differs,
        "no program is run for a lease; read the lease history instead",
    ),
    ("user_chk", Differs, "there is no list of users"),
    ("ddns_tuning", Harmless, DDNS),
    (
        "rbac",
        Harmless,
        "the control socket is for those who may open it",
    ),
];

/// Where the keys of a library go.
pub(super) struct Made<'t> {
    /// `[dhcp4]` or `[dhcp6]`.
    pub(super) section: &'t mut Table,
    /// The file.
    pub(super) top: &'t mut Table,
}

impl Translator<'_> {
    pub(super) fn hooks(&mut self, value: &Value<'_>, spot: &Spot, mut into: Made<'_>) {
        let elements = value.as_array().map_or(&[][..], |array| &array.elements);
        for (number, element) in elements.iter().enumerate() {
            let spot = Spot {
                offset: element.range().start,
                path: format!("{}[{number}]", spot.path),
            };
            let object = element.as_object();
            let library = object
                .and_then(|object| object.get_string("library"))
                .map_or("", |text| &text.value);
            let file = library.rsplit('/').next().unwrap_or(library);
            let parameters = object.and_then(|object| object.get_object("parameters"));
            if !self.has_keys(file, parameters, &spot, &mut into) {
                self.without_keys(file, &spot);
            }
        }
    }

    /// Writes what a library does as keys, if there are keys that say the same.
    fn has_keys(
        &mut self,
        file: &str,
        parameters: Option<&Object<'_>>,
        spot: &Spot,
        into: &mut Made<'_>,
    ) -> bool {
        if file.contains("flex_id") {
            return parameters.is_some_and(|it| self.flexible(it, spot, into.section));
        }
        if self.family == Family::V6 {
            return false;
        }
        if file.contains(ping_check::LIBRARY) {
            return self.probes;
        }
        if file.contains("bootp") {
            let switch = Node::Scalar("true".to_owned());
            into.section.set("bootp", spot.offset, switch);
            return true;
        }
        if file.contains("lease_query") {
            return self.requesters(parameters, spot, into);
        }
        false
    }

    /// The flexible identifier, if there is an expression for it.
    fn flexible(&mut self, parameters: &Object<'_>, spot: &Spot, into: &mut Table) -> bool {
        const EXPRESSION: &str = "identifier-expression";
        let keys: &[&str] = match self.family {
            Family::V4 => &[EXPRESSION, "replace-client-id"],
            // Kea's DHCPv4 server takes no notice of the last.
            Family::V6 => &[EXPRESSION, "replace-client-id", "ignore-iaid"],
        };
        for property in &parameters.properties {
            let name = super::translate::name_of(property);
            let spot = Spot {
                offset: property.value.range().start,
                path: format!("{}.parameters.{name}", spot.path),
            };
            if let Some(key) = keys.iter().find(|key| **key == name)
                && let Some(node) = self.node(key, &property.value, &spot)
            {
                into.set(key, spot.offset, node);
            }
        }
        into.get(EXPRESSION).is_some() || into.get("ignore-iaid").is_some()
    }

    /// Who may ask, if anybody; what else the library is told is named.
    fn requesters(
        &mut self,
        parameters: Option<&Object<'_>>,
        spot: &Spot,
        into: &mut Made<'_>,
    ) -> bool {
        let Some(parameters) = parameters else {
            return false;
        };
        let written = parameters.get_array("requesters");
        let elements = written.map_or(&[][..], |array| &array.elements);
        let requestors = elements.iter().filter_map(Value::as_string_lit);
        let requestors: Vec<_> = requestors.map(|text| Node::text(&text.value)).collect();
        if requestors.is_empty() {
            return false;
        }
        for property in &parameters.properties {
            let name = super::translate::name_of(property);
            if name != "requesters" {
                let spot = Spot {
                    offset: property.range.start,
                    path: format!("{}.parameters.{name}", spot.path),
                };
                self.lost(
                    &spot,
                    "is left out; see docs/leasequery.md for what is answered",
                );
            }
        }
        let mut table = Table {
            offset: spot.offset,
            ..Table::default()
        };
        table.set("requestors", spot.offset, Node::List(requestors));
        into.top.set("leasequery", spot.offset, Node::Table(table));
        true
    }

    fn without_keys(&mut self, file: &str, spot: &Spot) {
        match LIBRARIES.iter().find(|(part, ..)| file.contains(part)) {
            Some((_, Effect::Harmless, advice)) => {
                self.harmless(spot, format!("{file} is left out: {advice}"));
            }
            Some((_, Effect::Differs | Effect::HarmlessAs(_), advice)) => {
                self.lost(spot, format!("{file} has no counterpart: {advice}"));
            }
            None => self.lost(spot, format!("{file} is not known; find out what it does")),
        }
    }
}
