//! Which options are there? Names as in Kea, codes as the IANA registries have them, and which of them the
//! server decides itself.

use super::{Definition, Field, Kind};
use crate::config::notation::Family;
use std::borrow::Cow;

/// The options known in a protocol, by ascending code.
pub(in crate::config) fn catalogue(family: Family) -> &'static [Definition] {
    match family {
        Family::V4 => DHCP4,
        Family::V6 => DHCP6,
    }
}

// RFC 2131 section 4.3.1 [never-in-answers]: what only clients send cannot be configured either.
/// Why an option cannot be configured: the server itself decides what it says.
pub(in crate::config) fn refusal(family: Family, code: u16) -> Option<&'static str> {
    match (family, code) {
        (Family::V4, 50 | 52 | 53 | 55 | 56 | 57 | 61) => {
            Some("belongs to the exchange itself and cannot be configured")
        }
        (Family::V4, 51) => Some("is set by `valid-lifetime`"),
        (Family::V4, 54) => Some("is set by `server-identifier`"),
        (Family::V4, 58) => Some("is set by `renew-timer`"),
        (Family::V4, 59) => Some("is set by `rebind-timer`"),
        (Family::V4, 80) | (Family::V6, 14) => Some("is set by `rapid-commit`"),
        (Family::V4, 81 | 82 | 90 | 118) => Some("is answered from the client's message"),
        (Family::V6, 7) => Some("is set by `preference`"),
        (Family::V6, 1..=6 | 8 | 9 | 11..=13 | 15 | 18..=20 | 25 | 26 | 37..=39 | 79) => {
            Some("belongs to the exchange itself and cannot be configured")
        }
        _ => None,
    }
}

pub(super) const fn define(code: u16, name: &'static str, kind: Kind) -> Definition {
    encapsulating(code, name, kind, "")
}

pub(super) const fn encapsulating(
    code: u16,
    name: &'static str,
    kind: Kind,
    space: &'static str,
) -> Definition {
    Definition {
        code,
        name: Cow::Borrowed(name),
        kind,
        encapsulates: Cow::Borrowed(space),
    }
}

pub(super) const fn fields(fields: &'static [Field]) -> Kind {
    Kind::Fields(Cow::Borrowed(fields))
}

pub(super) const fn array(fields: &'static [Field]) -> Kind {
    Kind::Array(Cow::Borrowed(fields))
}

const IPV4: Kind = fields(&[Field::Ipv4]);
const IPV4_LIST: Kind = array(&[Field::Ipv4]);
const IPV6_LIST: Kind = array(&[Field::Ipv6]);
const FQDN: Kind = fields(&[Field::Fqdn]);
const FQDN_LIST: Kind = array(&[Field::Fqdn]);
const BOOLEAN: Kind = fields(&[Field::Boolean]);

const ANY16: Kind = Kind::Uint16(0, u16::MAX);
const ANY32: Kind = Kind::Uint32(0, u32::MAX);

// RFC 2132 section 4.4 [least-values]: 576 octets of a datagram, an MTU of 68, a TTL of 1.
/// The options of DHCPv4 (RFC 2132 and later ones, as the IANA registry lists them).
const DHCP4: &[Definition] = &[
    define(1, "subnet-mask", IPV4),
    define(2, "time-offset", fields(&[Field::Int32])),
    define(3, "routers", IPV4_LIST),
    define(4, "time-servers", IPV4_LIST),
    define(5, "name-servers", IPV4_LIST),
    define(6, "domain-name-servers", IPV4_LIST),
    define(7, "log-servers", IPV4_LIST),
    define(8, "cookie-servers", IPV4_LIST),
    define(9, "lpr-servers", IPV4_LIST),
    define(10, "impress-servers", IPV4_LIST),
    define(11, "resource-location-servers", IPV4_LIST),
    define(12, "host-name", Kind::Text),
    define(13, "boot-size", ANY16),
    define(14, "merit-dump", Kind::Text),
    define(15, "domain-name", Kind::DomainText),
    define(16, "swap-server", IPV4),
    define(17, "root-path", Kind::Text),
    define(18, "extensions-path", Kind::Text),
    define(19, "ip-forwarding", BOOLEAN),
    define(20, "non-local-source-routing", BOOLEAN),
    define(21, "policy-filter", Kind::Ipv4Pairs),
    define(22, "max-dgram-reassembly", Kind::Uint16(576, u16::MAX)),
    define(23, "default-ip-ttl", Kind::Uint8(1, u8::MAX)),
    define(24, "path-mtu-aging-timeout", ANY32),
    define(25, "path-mtu-plateau-table", Kind::MtuTable),
    define(26, "interface-mtu", Kind::Uint16(68, u16::MAX)),
    define(27, "all-subnets-local", BOOLEAN),
    define(28, "broadcast-address", IPV4),
    define(29, "perform-mask-discovery", BOOLEAN),
    define(30, "mask-supplier", BOOLEAN),
    define(31, "router-discovery", BOOLEAN),
    define(32, "router-solicitation-address", IPV4),
    define(33, "static-routes", Kind::StaticRoutes),
    define(34, "trailer-encapsulation", BOOLEAN),
    define(35, "arp-cache-timeout", ANY32),
    define(36, "ieee802-3-encapsulation", BOOLEAN),
    define(37, "default-tcp-ttl", Kind::Uint8(1, u8::MAX)),
    define(38, "tcp-keepalive-interval", ANY32),
    define(39, "tcp-keepalive-garbage", BOOLEAN),
    define(40, "nis-domain", Kind::Text),
    define(41, "nis-servers", IPV4_LIST),
    define(42, "ntp-servers", IPV4_LIST),
    encapsulating(
        43,
        "vendor-encapsulated-options",
        Kind::Binary,
        "vendor-encapsulated-options-space",
    ),
    define(44, "netbios-name-servers", IPV4_LIST),
    define(45, "netbios-dd-server", IPV4_LIST),
    define(46, "netbios-node-type", Kind::Uint8(1, 8)),
    define(47, "netbios-scope", Kind::Text),
    define(48, "font-servers", IPV4_LIST),
    define(49, "x-display-manager", IPV4_LIST),
    define(60, "vendor-class-identifier", Kind::Text),
    define(62, "nwip-domain-name", Kind::Text),
    define(63, "nwip-suboptions", Kind::Binary),
    define(64, "nisplus-domain-name", Kind::Text),
    define(65, "nisplus-servers", IPV4_LIST),
    define(66, "tftp-server-name", Kind::Text),
    define(67, "boot-file-name", Kind::Text),
    define(68, "mobile-ip-home-agent", Kind::HomeAgents),
    define(69, "smtp-server", IPV4_LIST),
    define(70, "pop-server", IPV4_LIST),
    define(71, "nntp-server", IPV4_LIST),
    define(72, "www-server", IPV4_LIST),
    define(73, "finger-server", IPV4_LIST),
    define(74, "irc-server", IPV4_LIST),
    define(75, "streettalk-server", IPV4_LIST),
    define(76, "streettalk-directory-assistance-server", IPV4_LIST),
    define(77, "user-class", Kind::Binary),
    define(
        78,
        "slp-directory-agent",
        array(&[Field::Boolean, Field::Ipv4]),
    ),
    define(
        79,
        "slp-service-scope",
        fields(&[Field::Boolean, Field::Text]),
    ),
    define(85, "nds-servers", IPV4_LIST),
    define(86, "nds-tree-name", Kind::Text),
    define(87, "nds-context", Kind::Text),
    define(88, "bcms-controller-names", FQDN_LIST),
    define(89, "bcms-controller-address", IPV4_LIST),
    define(99, "geoconf-civic", Kind::CivicAddress),
    define(100, "pcode", Kind::Text),
    define(101, "tcode", Kind::Text),
    define(108, "v6-only-preferred", ANY32),
    define(112, "netinfo-server-address", IPV4_LIST),
    define(113, "netinfo-server-tag", Kind::Text),
    define(114, "v4-captive-portal", Kind::Text),
    define(116, "auto-config", Kind::Uint8(0, 1)),
    define(117, "name-service-search", array(&[Field::Uint16])),
    define(119, "domain-search", Kind::DomainSearch),
    define(120, "sip-servers", Kind::SipServers),
    define(121, "classless-static-route", Kind::ClasslessRoutes),
    encapsulating(
        122,
        "cablelabs-client-conf",
        Kind::Empty,
        "cablelabs-client-conf",
    ),
    define(124, "vivco-suboptions", Kind::VendorClass),
    define(125, "vivso-suboptions", Kind::VendorOptions),
    define(136, "pana-agent", IPV4_LIST),
    define(137, "v4-lost", FQDN),
    define(138, "capwap-ac-v4", IPV4_LIST),
    define(139, "ipv4-address-mos", Kind::Binary),
    define(140, "ipv4-fqdn-mos", Kind::Binary),
    define(141, "sip-ua-cs-domains", FQDN_LIST),
    define(143, "v4-sztp-redirect", Kind::Uris),
    define(
        146,
        "rdnss-selection",
        array(&[Field::Uint8, Field::Ipv4, Field::Ipv4, Field::Fqdn]),
    ),
    define(150, "tftp-server-address", IPV4_LIST),
    define(159, "v4-portparams", fields(&[Field::Uint8, Field::Psid])),
    define(162, "v4-dnr", Kind::Resolvers),
    define(209, "pxelinux-config-file", Kind::Text),
    define(210, "pxelinux-path-prefix", Kind::Text),
    define(211, "pxelinux-reboot-time", ANY32),
    define(
        212,
        "option-6rd",
        array(&[Field::Uint8, Field::Uint8, Field::Ipv6, Field::Ipv4]),
    ),
    define(213, "v4-access-domain", FQDN),
    // Microsoft's number for the same as 121, from before that was assigned.
    define(249, "ms-classless-static-route", Kind::ClasslessRoutes),
];

/// The options of DHCPv6.
const DHCP6: &[Definition] = &[
    define(16, "vendor-class", Kind::VendorClass),
    define(17, "vendor-opts", Kind::VendorOptions),
    define(21, "sip-server-dns", FQDN_LIST),
    define(22, "sip-server-addr", IPV6_LIST),
    define(23, "dns-servers", IPV6_LIST),
    define(24, "domain-search", FQDN_LIST),
    define(27, "nis-servers", IPV6_LIST),
    define(28, "nisp-servers", IPV6_LIST),
    define(29, "nis-domain-name", FQDN),
    define(30, "nisp-domain-name", FQDN),
    define(31, "sntp-servers", IPV6_LIST),
    // RFC 9915 section 21.23: below IRT_MINIMUM a client takes 600 seconds anyway.
    define(32, "information-refresh-time", Kind::Uint32(600, u32::MAX)),
    define(33, "bcmcs-server-dns", FQDN_LIST),
    define(34, "bcmcs-server-addr", IPV6_LIST),
    define(36, "geoconf-civic", Kind::CivicAddress),
    define(40, "pana-agent", IPV6_LIST),
    define(41, "new-posix-timezone", Kind::Text),
    define(42, "new-tzdb-timezone", Kind::Text),
    define(51, "v6-lost", FQDN),
    define(52, "capwap-ac-v6", IPV6_LIST),
    define(54, "ipv6-address-mos", Kind::Binary),
    define(55, "ipv6-fqdn-mos", Kind::Binary),
    define(56, "ntp-server", Kind::NtpServers),
    define(57, "v6-access-domain", FQDN),
    define(58, "sip-ua-cs-list", FQDN_LIST),
    define(59, "bootfile-url", Kind::Text),
    define(60, "bootfile-param", array(&[Field::Tuple])),
    define(64, "aftr-name", FQDN),
    define(65, "erp-local-domain-name", FQDN),
    define(
        74,
        "rdnss-selection",
        array(&[Field::Ipv6, Field::Uint8, Field::Fqdn]),
    ),
    // RFC 9915 sections 21.24 and 21.25: a client ignores values outside of 60 to 86400.
    define(82, "sol-max-rt", Kind::Uint32(60, 86_400)),
    define(83, "inf-max-rt", Kind::Uint32(60, 86_400)),
    define(88, "dhcp4o6-server-addr", IPV6_LIST),
    encapsulating(94, "s46-cont-mape", Kind::Empty, "s46-cont-mape-options"),
    encapsulating(95, "s46-cont-mapt", Kind::Empty, "s46-cont-mapt-options"),
    encapsulating(96, "s46-cont-lw", Kind::Empty, "s46-cont-lw-options"),
    define(103, "v6-captive-portal", Kind::Text),
    define(136, "v6-sztp-redirect", Kind::Uris),
    define(144, "v6-dnr", Kind::Resolvers),
];
