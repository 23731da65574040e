//! Spaces of options: the protocol's own, those inside of other options, and vendors'.

use super::catalogue::{array, catalogue, define, encapsulating, fields};
use super::{Definition, Field, Kind};
use crate::config::notation::Family;

/// Kea's names for the protocols' own spaces.
pub(in crate::config) fn top_space(family: Family) -> &'static str {
    match family {
        Family::V4 => "dhcp4",
        Family::V6 => "dhcp6",
    }
}

/// The enterprise number in `vendor-4491`.
pub(in crate::config) fn enterprise(space: &str) -> Option<u32> {
    let digits = space.strip_prefix("vendor-")?;
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// The spaces that are there without being defined, with the options that are known in them.
pub(in crate::config) fn standard_spaces(
    family: Family,
) -> &'static [(&'static str, &'static [Definition])] {
    match family {
        Family::V4 => SPACES4,
        Family::V6 => SPACES6,
    }
}

/// The options known in a space; `None` when there is no such space, unless it is a vendor's.
pub(super) fn standard(family: Family, space: &str) -> Option<&'static [Definition]> {
    if space == top_space(family) {
        return Some(catalogue(family));
    }
    let mut spaces = standard_spaces(family).iter();
    let known = spaces.find(|(name, _)| *name == space);
    match known {
        Some((_, definitions)) => Some(definitions),
        None => enterprise(space).map(|_| &[][..]),
    }
}

/// The protocol that a space belongs to, if its name tells.
pub(in crate::config) fn family_of(space: &str) -> Option<Family> {
    if enterprise(space).is_some() {
        return None;
    }
    let mut families = [Family::V4, Family::V6].into_iter();
    families.find(|&family| standard(family, space).is_some())
}

const SPACES4: &[(&str, &[Definition])] = &[
    ("vendor-encapsulated-options-space", &[]),
    // RFC 3495 section 5, RFC 3594.
    (
        "cablelabs-client-conf",
        &[
            define(1, "tsp-primary-server", fields(&[Field::Ipv4])),
            define(2, "tsp-secondary-server", fields(&[Field::Ipv4])),
            define(3, "tsp-provisioning-server", Kind::ProvisioningServer),
            define(4, "tsp-as-parameters", fields(&[Field::Uint32; 3])),
            define(5, "tsp-ap-parameters", fields(&[Field::Uint32; 3])),
            define(6, "tsp-realm", fields(&[Field::Fqdn])),
            define(7, "tsp-use-tgt", fields(&[Field::Boolean])),
            define(8, "tsp-provisioning-timer", fields(&[Field::Uint8])),
            define(9, "tsp-ticket-control", fields(&[Field::Uint16])),
            define(10, "tsp-kdc-servers", array(&[Field::Ipv4])),
        ],
    ),
    // CL-SP-CANN-DHCP-Reg.
    (
        "vendor-4491",
        &[
            define(1, "oro", array(&[Field::Uint8])),
            define(2, "tftp-servers", array(&[Field::Ipv4])),
        ],
    ),
];

const SPACES6: &[(&str, &[Definition])] = &[
    // RFC 7598 sections 4 and 5.
    ("s46-cont-mape-options", &[S46_RULE, S46_BR]),
    ("s46-cont-mapt-options", &[S46_RULE, S46_DMR]),
    ("s46-cont-lw-options", &[S46_BR, S46_V4V6BIND]),
    ("s46-rule-options", &[S46_PORTPARAMS]),
    ("s46-v4v6bind-options", &[S46_PORTPARAMS]),
    // CL-SP-CANN-DHCP-Reg.
    (
        "vendor-4491",
        &[
            define(1, "oro", array(&[Field::Uint16])),
            define(2, "device-type", Kind::Text),
            define(32, "tftp-servers", array(&[Field::Ipv6])),
            define(33, "config-file", Kind::Text),
            define(34, "syslog-servers", array(&[Field::Ipv6])),
            define(36, "device-id", Kind::Binary),
            define(37, "time-servers", array(&[Field::Ipv6])),
            define(38, "time-offset", fields(&[Field::Int32])),
        ],
    ),
];

const S46_RULE: Definition = encapsulating(
    89,
    "s46-rule",
    fields(&[
        Field::Uint8,
        Field::Uint8,
        Field::Uint8,
        Field::Ipv4,
        Field::Ipv6Prefix,
    ]),
    "s46-rule-options",
);
const S46_BR: Definition = define(90, "s46-br", fields(&[Field::Ipv6]));
const S46_DMR: Definition = define(91, "s46-dmr", fields(&[Field::Ipv6Prefix]));
const S46_V4V6BIND: Definition = encapsulating(
    92,
    "s46-v4v6bind",
    fields(&[Field::Ipv4, Field::Ipv6Prefix]),
    "s46-v4v6bind-options",
);
const S46_PORTPARAMS: Definition =
    define(93, "s46-portparams", fields(&[Field::Uint8, Field::Psid]));
