//! Options for clients, and how new ones are defined.

use super::{Key, TableKeys, key};

/// One option.
pub(in crate::config) const OPTION_DATA: TableKeys = TableKeys {
    heading: "`option-data`",
    meaning: "One option, by `name` or by `code`: `{ name = \"domain-name-servers\", data = \"192.0.2.53, 192.0.2.54\" }`. An inner level replaces the same option of an outer one. The subnet mask is sent without being configured.",
    groups: &[&[
        key(
            "name",
            "option name",
            "from `code`",
            "Its name, see the tables below.",
        ),
        key(
            "code",
            "1 to 254 (v4), 1 to 65535 (v6); 0 to 255 inside of an option of DHCPv4",
            "from `name`",
            "Its code.",
        ),
        key(
            "data",
            "text, number, boolean, or a list of them",
            "required unless the option is empty",
            "Its contents in the form that the tables below name.",
        ),
        key(
            "csv-format",
            "boolean",
            "true",
            "`false`: `data` is the octets themselves in hexadecimal, `\"c0000201\"` or `\"c0:00:02:01\"`, or a text in single quotes. An option that the tables below do not have needs it.",
        ),
        key(
            "space",
            "name of a space",
            "`dhcp4` or `dhcp6`, the protocol around it",
            "The space that it is in: one of the tables below, `vendor-NUMBER` for what one vendor's clients get in option 125 (DHCPv4) or 17 (DHCPv6), or one of `option-def`. Needed in a shared network with subnets of both protocols.",
        ),
        key(
            "always-send",
            "boolean",
            "false",
            "Send it also to clients that do not ask for it. One level that says so is enough.",
        ),
        key(
            "never-send",
            "boolean",
            "false",
            "Send it to nobody, whatever other levels say.",
        ),
    ]],
};

/// An option of the operator's own.
pub(in crate::config) const OPTION_DEF: TableKeys = TableKeys {
    heading: "`option-def`",
    meaning: "An option that is not in the tables below, so that `option-data` can name it and write its data as text: `{ name = \"acs-url\", code = 1, space = \"vendor-3561\", type = \"string\" }`. Names and types are Kea's.",
    groups: &[&[
        key(
            "name",
            "letters, digits, hyphens, underscores",
            "required",
            "Its name.",
        ),
        key(
            "code",
            "1 to 254 (v4), 1 to 65535 (v6); 0 to 255 inside of an option of DHCPv4",
            "required",
            "Its code. Codes that have a form already cannot be defined again, except 43 and 224 to 254 of DHCPv4.",
        ),
        key(
            "type",
            "`\"binary\"`, `\"boolean\"`, `\"int8\"`, `\"int16\"`, `\"int32\"`, `\"uint8\"`, `\"uint16\"`, `\"uint32\"`, `\"ipv4-address\"`, `\"ipv6-address\"`, `\"ipv6-prefix\"`, `\"psid\"`, `\"tuple\"`, `\"fqdn\"`, `\"string\"`, `\"record\"` or `\"empty\"`",
            "required",
            "What its data is.",
        ),
        key(
            "array",
            "boolean",
            "false",
            "Whether its data is any number of values of the type; in a record the last field is.",
        ),
        key(
            "record-types",
            "types with commas between",
            "required for `record`",
            "The fields of a record, as `\"uint8, ipv4-address\"`.",
        ),
        key(
            "space",
            "name of a space",
            "`dhcp4` or `dhcp6`",
            "The space that it is in.",
        ),
        key(
            "encapsulate",
            "name of a space",
            "none",
            "The space whose options stand inside of it as sub-options, after its own data.",
        ),
    ]],
};

/// Where `option-def` stands.
pub(super) const DEFINITIONS: Key = key(
    "option-def",
    "list of tables",
    "none",
    "Options of your own, see `option-def`.",
);
