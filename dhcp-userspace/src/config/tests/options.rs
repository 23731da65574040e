//! Options: what becomes of them, and what is said about those that are wrong.

use super::{policy, said};
use crate::config::notation::Family;
use crate::config::options::{Definition, catalogue, refusal, standard_spaces};
use dhcp_core::options::{OptionSet, Sending};
use std::collections::HashSet;

/// The set of everybody's options that a list of `option-data` makes, with definitions.
fn set(family: u8, definitions: &str, options: &str) -> OptionSet {
    let policy = policy(&file(family, definitions, options));
    match family {
        4 => policy.options_v4,
        _ => policy.options_v6,
    }
}

fn file(family: u8, definitions: &str, options: &str) -> String {
    format!(
        "interfaces = [\"e\"]\n[dhcp{family}]\noption-def = [{definitions}]\noption-data = [{options}]\n"
    )
}

/// One option of DHCPv4 or DHCPv6, and its octets.
#[test]
fn every_typed_option_becomes_its_octets() {
    let v4: [(&str, u16, &[u8]); 21] = [
        (
            r#"name = "domain-search", data = "a.example, b.example""#,
            119,
            b"\x01a\x07example\0\x01b\xc0\x02",
        ),
        (
            r#"name = "sip-servers", data = "192.0.2.1, 192.0.2.2""#,
            120,
            &[1, 192, 0, 2, 1, 192, 0, 2, 2],
        ),
        (
            r#"name = "sip-servers", data = "a.b""#,
            120,
            b"\0\x01a\x01b\0",
        ),
        (
            r#"name = "slp-directory-agent", data = "true, 192.0.2.1, 192.0.2.2""#,
            78,
            &[1, 192, 0, 2, 1, 192, 0, 2, 2],
        ),
        (
            r#"name = "slp-service-scope", data = "false, DEFAULT""#,
            79,
            b"\0DEFAULT",
        ),
        (
            r#"name = "geoconf-civic", data = "1, de, 1 Bayern, 3 Muenchen""#,
            99,
            b"\x01DE\x01\x06Bayern\x03\x08Muenchen",
        ),
        (
            r#"name = "vivco-suboptions", data = "4491, docsis3.0""#,
            124,
            b"\0\0\x11\x8b\x0a\x09docsis3.0",
        ),
        (
            r#"name = "vivso-suboptions", data = 4491"#,
            125,
            &[0, 0, 0x11, 0x8b, 0],
        ),
        (
            r#"name = "v4-sztp-redirect", data = "https://a, https://b""#,
            143,
            b"\0\x09https://a\0\x09https://b",
        ),
        (
            r#"name = "rdnss-selection", data = "1, 192.0.2.1, 192.0.2.2, a, b""#,
            146,
            b"\x01\xc0\0\x02\x01\xc0\0\x02\x02\x01a\0\x01b\0",
        ),
        (
            r#"name = "tftp-server-address", data = ["192.0.2.1", "192.0.2.2"]"#,
            150,
            &[192, 0, 2, 1, 192, 0, 2, 2],
        ),
        (
            r#"name = "v4-portparams", data = "4, 1/6""#,
            159,
            &[4, 6, 4, 0],
        ),
        (
            r#"name = "v4-dnr", data = "1, a.""#,
            162,
            b"\0\x06\0\x01\x03\x01a\0",
        ),
        (
            r#"name = "option-6rd", data = "8, 32, 2001:db8::, 192.0.2.1""#,
            212,
            &[
                8, 32, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1,
            ],
        ),
        (
            r#"name = "ms-classless-static-route", data = "10.0.0.0/8 - 192.0.2.1""#,
            249,
            &[8, 10, 192, 0, 2, 1],
        ),
        (
            r#"name = "static-routes", data = "10.0.0.1, 192.0.2.1""#,
            33,
            &[10, 0, 0, 1, 192, 0, 2, 1],
        ),
        (
            r#"name = "v4-captive-portal", data = "https://a/b,c\\,d""#,
            114,
            b"https://a/b,c,d",
        ),
        (
            r#"name = "capwap-ac-v4", data = "192.0.2.1""#,
            138,
            &[192, 0, 2, 1],
        ),
        (
            r#"name = "v6-only-preferred", data = 1800"#,
            108,
            &[0, 0, 7, 8],
        ),
        (
            r#"name = "user-class", data = "'abc'", csv-format = false"#,
            77,
            b"abc",
        ),
        (
            r#"code = 254, data = "0x0102", csv-format = false"#,
            254,
            &[1, 2],
        ),
    ];
    for (option, code, octets) in v4 {
        let set = set(4, "", &format!("{{ {option} }}"));
        assert_eq!(*set.find(code).unwrap().data, *octets, "{option}");
    }
    let v6: [(&str, u16, &[u8]); 7] = [
        (
            r#"name = "vendor-class", data = "3561, a, bc""#,
            16,
            b"\0\0\x0d\xe9\0\x01a\0\x02bc",
        ),
        (
            r#"name = "bootfile-param", data = "a=1, b""#,
            60,
            b"\0\x03a=1\0\x01b",
        ),
        (
            r#"name = "ntp-server", data = "2001:db8::1""#,
            56,
            b"\0\x01\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01",
        ),
        (
            r#"name = "rdnss-selection", data = "::1, 0, a""#,
            74,
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x01a\0",
        ),
        (
            r#"name = "v6-sztp-redirect", data = "https://a""#,
            136,
            b"\0\x09https://a",
        ),
        (
            r#"name = "v6-dnr", data = "1, a.""#,
            144,
            b"\0\x01\0\x03\x01a\0",
        ),
        (
            r#"name = "dns-servers", data = "::1""#,
            23,
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ),
    ];
    for (option, code, octets) in v6 {
        let set = set(6, "", &format!("{{ {option} }}"));
        assert_eq!(*set.find(code).unwrap().data, *octets, "{option}");
    }
}

// RFC 2132 section 8.4 [encapsulated-sub-options]
#[test]
fn sub_options_stand_inside_of_the_option_that_holds_their_space() {
    let ccc = set(
        4,
        "",
        r#"{ name = "cablelabs-client-conf" },
           { space = "cablelabs-client-conf", name = "tsp-primary-server", data = "192.0.2.1" },
           { space = "cablelabs-client-conf", name = "tsp-provisioning-server", data = "a.b" },
           { space = "cablelabs-client-conf", name = "tsp-realm", data = "r" }"#,
    );
    let octets = b"\x01\x04\xc0\0\x02\x01\x03\x06\0\x01a\x01b\0\x06\x03\x01r\0";
    assert_eq!(*ccc.find(122).unwrap().data, *octets);
    // RFC 7598: two rules, each with the port parameters, and a border relay.
    let map = set(
        6,
        "",
        r#"{ name = "s46-cont-mape", data = "" },
           { space = "s46-cont-mape-options", name = "s46-rule", data = "1, 8, 24, 192.0.2.0, 2001:db8::/32" },
           { space = "s46-cont-mape-options", name = "s46-rule", data = "0, 8, 24, 198.51.100.0, 2001:db8::/40" },
           { space = "s46-cont-mape-options", name = "s46-br", data = "::1" },
           { space = "s46-rule-options", name = "s46-portparams", data = "6, 0/8" }"#,
    );
    let port = b"\0\x5d\0\x04\x06\x08\0\0";
    let rule = |fields: &[u8]| {
        let len = (fields.len() + port.len()) as u8;
        [&[0, 89, 0, len][..], fields, port].concat()
    };
    let expected = [
        rule(&[1, 8, 24, 192, 0, 2, 0, 32, 0x20, 1, 0x0d, 0xb8]),
        rule(&[0, 8, 24, 198, 51, 100, 0, 40, 0x20, 1, 0x0d, 0xb8, 0]),
        [&[0, 90, 0, 16][..], &[0; 15], &[1]].concat(),
    ]
    .concat();
    assert_eq!(*map.find(94).unwrap().data, *expected);
}

#[test]
fn options_of_the_operators_own_have_every_type() {
    let definitions = r#"
        { name = "acs", code = 224, type = "string" },
        { name = "pair", code = 225, type = "record", record-types = "uint8, ipv4-address", array = true },
        { name = "holder", code = 226, type = "uint16", encapsulate = "inner" },
        { name = "flag", code = 1, type = "empty", space = "inner" },
        { name = "deep", code = 2, type = "record", record-types = "int8, fqdn, binary", space = "inner", encapsulate = "" },
        { name = "vendor-encapsulated-options", code = 43, type = "empty", encapsulate = "pxe", record-types = "" },
        { name = "discovery", code = 6, type = "uint8", space = "pxe" },
        { name = "acs-url", code = 1, type = "string", space = "vendor-3561" },
        { name = "numbers", code = 227, type = "uint32", array = true }"#;
    let set = set(
        4,
        definitions,
        r#"{ name = "acs", data = "http://a, b" },
           { code = 225, data = "1, 192.0.2.1, 192.0.2.2" },
           { name = "holder", data = 7 },
           { name = "flag", space = "inner" },
           { name = "deep", space = "inner", data = "-1, a, 0xff" },
           { name = "vendor-encapsulated-options", always-send = true },
           { name = "discovery", space = "pxe", data = 8 },
           { name = "acs-url", space = "vendor-3561", data = "http://acs", always-send = true },
           { code = 9, space = "vendor-3561", data = "00", csv-format = false, never-send = true },
           { name = "numbers", data = [1, 2] }"#,
    );
    let data = |code| set.find(code).unwrap().data.to_vec();
    assert_eq!(data(224), b"http://a, b");
    assert_eq!(data(225), [1, 192, 0, 2, 1, 192, 0, 2, 2]);
    assert_eq!(data(226), b"\0\x07\x01\0\x02\x05\xff\x01a\0\xff");
    assert_eq!(data(43), [6, 1, 8]);
    assert_eq!(set.find(43).unwrap().sending, Sending::Always);
    assert_eq!(data(227), [0, 0, 0, 1, 0, 0, 0, 2]);
    let vendors: Vec<_> = set
        .vendors()
        .map(|it| (it.enterprise, it.option.code, it.option.sending))
        .collect();
    assert_eq!(
        vendors,
        [(3561, 1, Sending::Always), (3561, 9, Sending::Never)]
    );
}

#[test]
fn vendors_of_one_level_are_one_option() {
    let set = set(
        4,
        "",
        r#"{ name = "vivso-suboptions", data = 4491 },
           { name = "vivso-suboptions", data = 3561, always-send = true }"#,
    );
    let option = set.find(125).unwrap();
    assert_eq!(*option.data, [0, 0, 0x11, 0x8b, 0, 0, 0, 0x0d, 0xe9, 0]);
    assert_eq!(option.sending, Sending::Always);
}

/// Definitions, options, the key that is named and what is said of it.
#[test]
fn wrong_options_and_definitions_say_what_is_allowed() {
    let types = "binary, boolean, int8, int16, int32, uint8, uint16, uint32, ipv4-address, ipv6-address, \
                 ipv6-prefix, psid, tuple, fqdn, string";
    let no_type =
        format!("option-def[0].type: \"text\" is no type; there are empty, record, {types}");
    let cases: [(&str, &str, &str); 35] = [
        (r#"{name="a",code=224,type="text"}"#, "", &no_type),
        (
            r#"{name="a",code=224}"#,
            "",
            "option-def[0]: `type` is missing; add it (`\"binary\"`, `\"boolean\"`, `\"int8\"`, `\"int16\"`, `\"int32\"`, `\"uint8\"`, `\"uint16\"`, `\"uint32\"`, `\"ipv4-address\"`, `\"ipv6-address\"`, `\"ipv6-prefix\"`, `\"psid\"`, `\"tuple\"`, `\"fqdn\"`, `\"string\"`, `\"record\"` or `\"empty\"`)",
        ),
        (
            r#"{name="a",code=224,type="internal"}"#,
            "",
            "option-def[0].type: \"internal\" is for options that the server knows; write the octets as \"binary\"",
        ),
        (
            r#"{name="a b",code=224,type="uint8"}"#,
            "",
            "option-def[0].name: is the text \"a b\"; a name has letters, digits, hyphens and underscores",
        ),
        (
            r#"{name="a",code=6,type="uint8"}"#,
            "",
            "option-def[0].code: option 6 of dhcp4 has its form already, as `domain-name-servers`; leave the definition out",
        ),
        (
            r#"{name="routers",code=224,type="uint8"}"#,
            "",
            "option-def[0].name: `routers` is the name of another option of dhcp4",
        ),
        (
            r#"{name="a",code=53,type="uint8"}"#,
            "",
            "option-def[0].code: option 53 belongs to the exchange itself and cannot be configured",
        ),
        (
            r#"{name="a",code=255,type="uint8"}"#,
            "",
            "option-def[0].code: is the number 255; it must be 1 to 254",
        ),
        (
            r#"{name="a",code=256,type="uint8",space="s"}"#,
            "",
            "option-def[0].code: is the number 256; it must be 0 to 255",
        ),
        (
            r#"{name="a",code=224,type="string",array=true}"#,
            "",
            "option-def[0].type: \"string\", which has no end of its own, cannot be an array; leave `array` out",
        ),
        (
            r#"{name="a",code=224,type="empty",array=true}"#,
            "",
            "option-def[0].type: what is empty cannot be an array; leave `array` out",
        ),
        (
            r#"{name="a",code=224,type="record"}"#,
            "",
            "option-def[0]: `record-types` is missing; add it, as \"uint8, ipv4-address\"",
        ),
        (
            r#"{name="a",code=224,type="record",record-types="string, uint8"}"#,
            "",
            "option-def[0].record-types: has binary or string before the end, where nothing says how long it is; put it last",
        ),
        (
            r#"{name="a",code=224,type="record",record-types="uint8, binary",array=true}"#,
            "",
            "option-def[0].type: a record that ends with binary or string cannot be an array; leave `array` out",
        ),
        (
            r#"{name="a",code=224,type="uint8",record-types="uint8"}"#,
            "",
            "option-def[0].record-types: belongs to type = \"record\" only; leave it out",
        ),
        (
            r#"{name="a",code=224,type="uint8",encapsulate="dhcp4"}"#,
            "",
            "option-def[0].encapsulate: is the space that the option is in itself; name another",
        ),
        (
            r#"{name="a",code=224,type="uint8",array=true,encapsulate="s"}"#,
            "",
            "option-def[0].encapsulate: cannot follow an array, which has no end of its own; leave one of the two out",
        ),
        (
            r#"{name="a",code=224,type="uint8"},{name="b",code=224,type="uint8"}"#,
            "",
            "option-def[1]: option 224 of dhcp4 is defined in dhcp4.option-def[0] (line 3) too; keep one",
        ),
        (
            r#"{name="a",code=224,type="uint8"},{name="a",code=225,type="uint8"}"#,
            "",
            "option-def[1]: `a` is the name of dhcp4.option-def[0] (line 3) too; give it another",
        ),
        (
            "",
            r#"{name="a",space="s",data="1"}"#,
            "option-data[0].space: \"s\" is no known space; there are dhcp4, vendor-NUMBER, vendor-encapsulated-options-space, cablelabs-client-conf",
        ),
        (
            "",
            r#"{name="x",space="vendor-9",data="1"}"#,
            "option-data[0].name: \"x\" is no known option of vendor-9; define it with `option-def`, or use `code` with csv-format = false",
        ),
        (
            "",
            r#"{name="x",space="vendor-4491",data="1"}"#,
            "option-data[0].name: \"x\" is no known option of vendor-4491; there are oro, tftp-servers",
        ),
        (
            "",
            r#"{code=256,space="vendor-9",data="1"}"#,
            "option-data[0].code: is the number 256; it must be 0 to 255",
        ),
        (
            "",
            r#"{name="tsp-realm",space="cablelabs-client-conf",data="r"}"#,
            "option-data[0].space: \"cablelabs-client-conf\" is sent inside of `cablelabs-client-conf`, which does not stand here; add { name = \"cablelabs-client-conf\" } at this level",
        ),
        (
            "",
            r#"{name="cablelabs-client-conf",data="1"}"#,
            "option-data[0].data: has data, but the option takes none; leave `data` out",
        ),
        (
            r#"{name="a",code=224,type="record",record-types="uint8, ipv4-address"}"#,
            r#"{name="a",data="1"}"#,
            "option-data[0].data: has 1 value; write number, 8 bits, IPv4 address",
        ),
        (
            r#"{name="a",code=224,type="uint8"}"#,
            r#"{name="a",data="256"}"#,
            "option-data[0].data: \"256\" is not a whole number from 0 to 255",
        ),
        (
            r#"{name="a",code=224,type="uint8",encapsulate="s"},{name="b",code=1,type="uint8",space="s",encapsulate="t"},{name="c",code=1,type="uint8",space="t",encapsulate="s"}"#,
            r#"{name="a",data=1},{name="b",space="s",data=1},{name="c",space="t",data=1}"#,
            "option-data[2]: lies in spaces that hold each other; define one of them otherwise",
        ),
        (
            "",
            r#"{name="sip-servers",data="192.0.2.1, a.b"}"#,
            "option-data[0].data: mixes addresses (\"192.0.2.1\") and domain names; the option takes either",
        ),
        (
            "",
            r#"{name="geoconf-civic",data="1"}"#,
            "option-data[0].data: has no country; write WHAT, COUNTRY, elements, as \"1, DE, 1 Bayern, 3 Muenchen\"",
        ),
        (
            "",
            r#"{name="v4-portparams",data="6, 256/8"}"#,
            "option-data[0].data: \"256/8\" is not a port set: the length has 0 to 16 bits, and the number fits in them",
        ),
        (
            "",
            r#"{name="slp-directory-agent",data="true"}"#,
            "option-data[0].data: has 1 value; write true or false, IPv4 address, ...",
        ),
        (
            "",
            r#"{name="option-6rd",data="8, 32, 192.0.2.1, 192.0.2.1"}"#,
            "option-data[0].data: \"192.0.2.1\" is not an IPv6 address",
        ),
        (
            "",
            r#"{name="vivso-suboptions",data="cablelabs"}"#,
            "option-data[0].data: \"cablelabs\" is not a whole number from 0 to 4294967295",
        ),
        (
            "",
            r#"{name="routers",data="192.0.2.1"},{code=3,data="192.0.2.1"}"#,
            "option-data[1]: option 3 stands in dhcp4.option-data[0] (line 4) too; keep one",
        ),
    ];
    let mut wrong = Vec::new();
    for (definitions, options, sentence) in cases {
        let said = said(&file(4, definitions, options));
        let lines: Vec<_> = said.lines().collect();
        let after = lines[0]
            .split_once(": dhcp4.")
            .map_or(lines[0], |(_, after)| after);
        if after != sentence || lines.len() != 1 {
            wrong.push(format!("said     {said}\nexpected {sentence}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn options_that_are_long_are_sent_in_pieces_or_refused() {
    let long = |octets: usize| {
        let data = "00".repeat(octets);
        let option = format!(r#"{{ code = 224, csv-format = false, data = "{data}" }}"#);
        said(&file(4, "", &option))
    };
    assert!(!long(255).contains("octets"), "{}", long(255));
    assert!(long(256).contains("warning: has 256 octets, and is sent in pieces (RFC 3396)"));
    assert!(long(1025).ends_with("dhcp4.option-data[0].data: has 1025 octets; at most 1024 fit"));
}

/// Pools have options in the form of tables, of either kind.
#[test]
fn pools_have_options() {
    let policy = policy(
        r#"
interfaces = ["e"]
[[subnet4]]
subnet = "192.0.2.0/24"
pools = ["192.0.2.10-192.0.2.19", { pool = "192.0.2.20-192.0.2.29", option-data = [{ name = "routers", data = "192.0.2.1" }] }]
[[subnet6]]
subnet = "2001:db8::/64"
pools = [{ pool = "2001:db8::10-2001:db8::20", option-data = [{ name = "dns-servers", data = "::1" }] }]
pd-pools = [{ prefix = "2001:db8:100::/40", delegated-len = 56, option-data = [{ name = "dns-servers", data = "::2" }] }]
"#,
    );
    let v4 = &policy.networks_v4[0].subnets[0].pool_options;
    assert!(v4.of("192.0.2.19".parse().unwrap()).is_none());
    assert!(
        v4.of("192.0.2.20".parse().unwrap())
            .unwrap()
            .find(3)
            .is_some()
    );
    let v6 = &policy.networks_v6[0].subnets[0].pool_options;
    let last = |address: &str| {
        *v6.of(address.parse().unwrap())
            .unwrap()
            .find(23)
            .unwrap()
            .data
            .last()
            .unwrap()
    };
    assert_eq!(last("2001:db8::10"), 1);
    assert_eq!(last("2001:db8:100:ff00::"), 2);
}

#[test]
fn codes_ascend_and_names_are_unique_and_none_is_refused() {
    for family in [Family::V4, Family::V6] {
        let top = ("", catalogue(family));
        for (space, all) in standard_spaces(family).iter().copied().chain([top]) {
            assert!(
                all.is_sorted_by(|a, b| a.code < b.code),
                "{family:?} {space}"
            );
            let names: HashSet<_> = all.iter().map(|known| &known.name).collect();
            assert_eq!(names.len(), all.len(), "{family:?} {space}");
        }
        let refused = |known: &Definition| refusal(family, known.code).is_some();
        assert!(!catalogue(family).iter().any(refused));
    }
}

// RFC 2132 section 2 [no-trailing-zero], section 3.5 [lists-in-order], section 8.13 [home-agents-none].
#[test]
fn the_options_of_rfc_2132_become_their_octets() {
    let cases: [(&str, u16, &[u8]); 15] = [
        (
            r#"name = "domain-name-servers", data = "192.0.2.9, 192.0.2.1, 192.0.2.5""#,
            6,
            &[192, 0, 2, 9, 192, 0, 2, 1, 192, 0, 2, 5],
        ),
        (r#"name = "root-path", data = "/srv""#, 17, b"/srv"),
        (r#"name = "mobile-ip-home-agent""#, 68, b""),
        (r#"name = "mobile-ip-home-agent", data = """#, 68, b""),
        (
            r#"name = "mobile-ip-home-agent", data = "192.0.2.1""#,
            68,
            &[192, 0, 2, 1],
        ),
        (
            r#"name = "routers", data = "192.0.2.1, 192.0.2.2""#,
            3,
            &[192, 0, 2, 1, 192, 0, 2, 2],
        ),
        (
            r#"name = "time-offset", data = "-3600""#,
            2,
            &[0xff, 0xff, 0xf1, 0xf0],
        ),
        (
            r#"name = "interface-mtu", data = "1492""#,
            26,
            &[0x05, 0xd4],
        ),
        (r#"name = "default-ip-ttl", data = 64"#, 23, &[64]),
        (r#"name = "ip-forwarding", data = true"#, 19, &[1]),
        (
            r#"name = "domain-name", data = "example.org.""#,
            15,
            b"example.org",
        ),
        (
            r#"name = "vendor-encapsulated-options", data = "01:02:ff""#,
            43,
            &[1, 2, 255],
        ),
        (
            r#"name = "path-mtu-plateau-table", data = "68, 1500""#,
            25,
            &[0, 68, 5, 0xdc],
        ),
        // RFC 3442's own examples.
        (
            r#"name = "classless-static-route", data = "10.0.0.0/8 - 192.0.2.1, 10.17.0.0/16 - 192.0.2.2""#,
            121,
            &[8, 10, 192, 0, 2, 1, 16, 10, 17, 192, 0, 2, 2],
        ),
        (
            r#"name = "classless-static-route", data = "0.0.0.0/0 - 192.0.2.254""#,
            121,
            &[0, 192, 0, 2, 254],
        ),
    ];
    for (option, code, octets) in cases {
        let set = set(4, "", &format!("{{ {option} }}"));
        assert_eq!(*set.find(code).unwrap().data, *octets, "{option}");
    }
}

// RFC 2132 section 3.5 [addresses-in-fours], section 4.3 [pairs-in-eights], section 4.7 [plateaus-in-twos].
#[test]
fn octets_in_hexadecimal_have_a_length_that_the_option_can_have() {
    let cases = [
        ("routers", "c0000201", ""),
        ("routers", "c0000201c0000202", ""),
        ("routers", "c00002", "has 3 octets; write 4 for each value"),
        ("routers", "", "has 0 octets; write 4 for each value"),
        ("policy-filter", "0a000000ff000000", ""),
        (
            "policy-filter",
            "0a000000",
            "has 4 octets; write 8 for each value",
        ),
        (
            "static-routes",
            "0a000001c0000201c0",
            "has 9 octets; write 8 for each value",
        ),
        ("path-mtu-plateau-table", "0044", ""),
        (
            "path-mtu-plateau-table",
            "004405",
            "has 3 octets; write 2 for each value",
        ),
        (
            "subnet-mask",
            "ffffff0000",
            "has 5 octets; the option has 4",
        ),
        ("interface-mtu", "05", "has 1 octets; the option has 2"),
        ("default-ip-ttl", "4000", "has 2 octets; the option has 1"),
        ("arp-cache-timeout", "00000e10", ""),
        ("v4-portparams", "04060400", ""),
        ("v4-portparams", "040604", "has 3 octets; the option has 4"),
        ("mobile-ip-home-agent", "", ""),
        (
            "mobile-ip-home-agent",
            "c0",
            "has 1 octets; write 4 for each value",
        ),
        // A home in another space, and what no length can be told of.
        ("vendor-encapsulated-options", "", ""),
        ("option-6rd", "08", ""),
    ];
    for (name, data, sentence) in cases {
        let option = format!("{{ name = \"{name}\", data = \"{data}\", csv-format = false }}");
        let said = said(&file(4, "", &option));
        let after = said
            .split_once("option-data[0].data: ")
            .map_or("", |(_, after)| after);
        assert_eq!(after, sentence, "{name} {data}: {said}");
    }
    let withheld = r#"{ name = "routers", data = "", csv-format = false, never-send = true }"#;
    assert_eq!(set(4, "", withheld).find(3).unwrap().data.len(), 0);
}

// RFC 2132 section 4.4 [least-values], section 4.7 [plateaus-ascend], section 5.8 [no-default-in-static-routes].
#[test]
fn wrong_data_says_what_is_wrong() {
    for (name, data, sentence) in [
        (
            "max-dgram-reassembly",
            "575",
            "\"575\" is not a whole number from 576 to 65535",
        ),
        (
            "default-tcp-ttl",
            "0",
            "\"0\" is not a whole number from 1 to 255",
        ),
        (
            "path-mtu-plateau-table",
            "67, 1500",
            "\"67\" is not a whole number from 68 to 65535",
        ),
        (
            "path-mtu-plateau-table",
            "1500, 68",
            "is not in order; write the sizes from small to large",
        ),
        (
            "static-routes",
            "10.0.0.1, 192.0.2.1, 0.0.0.0, 192.0.2.1",
            "has the default route, which goes into `routers`",
        ),
        (
            "routers",
            "192.0.2.300",
            "\"192.0.2.300\" is not an IPv4 address",
        ),
        (
            "routers",
            "2001:db8::1",
            "\"2001:db8::1\" is not an IPv4 address",
        ),
        (
            "subnet-mask",
            "255.0.0.0, 1.2.3.4",
            "has 2 values; the option takes one",
        ),
        (
            "static-routes",
            "192.0.2.1",
            "has an odd number of addresses; write pairs",
        ),
        (
            "interface-mtu",
            "67",
            "\"67\" is not a whole number from 68 to 65535",
        ),
        ("ip-forwarding", "yes", "\"yes\" is neither true nor false"),
        (
            "classless-static-route",
            "10.0.0.0/8 192.0.2.1",
            "\"10.0.0.0/8 192.0.2.1\" is not a route; write it like \"10.0.0.0/8 - 192.0.2.1\"",
        ),
        (
            "domain-name",
            "a..b",
            "\"a..b\" is not a domain name: its label \"\" must be 1 to 63 letters, digits, hyphens or \
             underscores",
        ),
    ] {
        let option = format!("{{ name = \"{name}\", data = \"{data}\" }}");
        let said = said(&file(4, "", &option));
        let (_, after) = said.split_once("option-data[0].data: ").unwrap();
        assert_eq!(after, sentence, "{name}");
    }
    let name = ["a".repeat(60).as_str(); 5].join(".");
    let option = format!("{{ name = \"domain-name\", data = \"{name}\" }}");
    assert!(said(&file(4, "", &option)).contains("306 octets"));
}
