//! Which options are there? Names as in Kea, codes as the IANA registries have them, and which of them the
//! server decides itself.

use super::{Definition, Kind};
use crate::config::notation::Family;

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
        (Family::V6, 1..=6 | 8 | 9 | 11..=13 | 15 | 16 | 18..=20 | 25 | 26 | 37..=39 | 79) => {
            Some("belongs to the exchange itself and cannot be configured")
        }
        _ => None,
    }
}

const fn define(code: u16, name: &'static str, kind: Kind) -> Definition {
    Definition { code, name, kind }
}

const ANY16: Kind = Kind::Uint16(0, u16::MAX);
const ANY32: Kind = Kind::Uint32(0, u32::MAX);

/// The options of DHCPv4 (RFC 2132 and later ones, as the IANA registry lists them).
const DHCP4: &[Definition] = &[
    define(1, "subnet-mask", Kind::Ipv4),
    define(2, "time-offset", Kind::Int32),
    define(3, "routers", Kind::Ipv4List),
    define(4, "time-servers", Kind::Ipv4List),
    define(5, "name-servers", Kind::Ipv4List),
    define(6, "domain-name-servers", Kind::Ipv4List),
    define(7, "log-servers", Kind::Ipv4List),
    define(8, "cookie-servers", Kind::Ipv4List),
    define(9, "lpr-servers", Kind::Ipv4List),
    define(10, "impress-servers", Kind::Ipv4List),
    define(11, "resource-location-servers", Kind::Ipv4List),
    define(12, "host-name", Kind::Text),
    define(13, "boot-size", ANY16),
    define(14, "merit-dump", Kind::Text),
    define(15, "domain-name", Kind::DomainText),
    define(16, "swap-server", Kind::Ipv4),
    define(17, "root-path", Kind::Text),
    define(18, "extensions-path", Kind::Text),
    define(19, "ip-forwarding", Kind::Boolean),
    define(20, "non-local-source-routing", Kind::Boolean),
    define(21, "policy-filter", Kind::Ipv4Pairs),
    define(22, "max-dgram-reassembly", Kind::Uint16(576, u16::MAX)),
    define(23, "default-ip-ttl", Kind::Uint8(1, u8::MAX)),
    define(24, "path-mtu-aging-timeout", ANY32),
    define(25, "path-mtu-plateau-table", Kind::Uint16List),
    define(26, "interface-mtu", Kind::Uint16(68, u16::MAX)),
    define(27, "all-subnets-local", Kind::Boolean),
    define(28, "broadcast-address", Kind::Ipv4),
    define(29, "perform-mask-discovery", Kind::Boolean),
    define(30, "mask-supplier", Kind::Boolean),
    define(31, "router-discovery", Kind::Boolean),
    define(32, "router-solicitation-address", Kind::Ipv4),
    define(33, "static-routes", Kind::Ipv4Pairs),
    define(34, "trailer-encapsulation", Kind::Boolean),
    define(35, "arp-cache-timeout", ANY32),
    define(36, "ieee802-3-encapsulation", Kind::Boolean),
    define(37, "default-tcp-ttl", Kind::Uint8(1, u8::MAX)),
    define(38, "tcp-keepalive-interval", ANY32),
    define(39, "tcp-keepalive-garbage", Kind::Boolean),
    define(40, "nis-domain", Kind::Text),
    define(41, "nis-servers", Kind::Ipv4List),
    define(42, "ntp-servers", Kind::Ipv4List),
    define(43, "vendor-encapsulated-options", Kind::Binary),
    define(44, "netbios-name-servers", Kind::Ipv4List),
    define(45, "netbios-dd-server", Kind::Ipv4List),
    define(46, "netbios-node-type", Kind::Uint8(1, 8)),
    define(47, "netbios-scope", Kind::Text),
    define(48, "font-servers", Kind::Ipv4List),
    define(49, "x-display-manager", Kind::Ipv4List),
    define(60, "vendor-class-identifier", Kind::Text),
    define(62, "nwip-domain-name", Kind::Text),
    define(63, "nwip-suboptions", Kind::Binary),
    define(64, "nisplus-domain-name", Kind::Text),
    define(65, "nisplus-servers", Kind::Ipv4List),
    define(66, "tftp-server-name", Kind::Text),
    define(67, "boot-file-name", Kind::Text),
    define(68, "mobile-ip-home-agent", Kind::Ipv4List),
    define(69, "smtp-server", Kind::Ipv4List),
    define(70, "pop-server", Kind::Ipv4List),
    define(71, "nntp-server", Kind::Ipv4List),
    define(72, "www-server", Kind::Ipv4List),
    define(73, "finger-server", Kind::Ipv4List),
    define(74, "irc-server", Kind::Ipv4List),
    define(75, "streettalk-server", Kind::Ipv4List),
    define(76, "streettalk-directory-assistance-server", Kind::Ipv4List),
    define(78, "slp-directory-agent", Kind::Binary),
    define(79, "slp-service-scope", Kind::Binary),
    define(85, "nds-servers", Kind::Ipv4List),
    define(86, "nds-tree-name", Kind::Text),
    define(87, "nds-context", Kind::Text),
    define(88, "bcms-controller-names", Kind::FqdnList),
    define(89, "bcms-controller-address", Kind::Ipv4List),
    define(99, "geoconf-civic", Kind::Binary),
    define(100, "pcode", Kind::Text),
    define(101, "tcode", Kind::Text),
    define(108, "v6-only-preferred", ANY32),
    define(112, "netinfo-server-address", Kind::Ipv4List),
    define(113, "netinfo-server-tag", Kind::Text),
    define(114, "v4-captive-portal", Kind::Text),
    define(116, "auto-config", Kind::Uint8(0, 1)),
    define(117, "name-service-search", Kind::Uint16List),
    define(119, "domain-search", Kind::FqdnList),
    define(120, "sip-servers", Kind::Binary),
    define(121, "classless-static-route", Kind::ClasslessRoutes),
    define(122, "cablelabs-client-configuration", Kind::Binary),
    define(124, "vivco-suboptions", Kind::Binary),
    define(125, "vivso-suboptions", Kind::Binary),
    define(136, "pana-agent", Kind::Ipv4List),
    define(137, "v4-lost", Kind::Fqdn),
    define(138, "capwap-ac-v4", Kind::Ipv4List),
    define(139, "ipv4-address-mos", Kind::Binary),
    define(140, "ipv4-fqdn-mos", Kind::Binary),
    define(141, "sip-ua-cs-domains", Kind::FqdnList),
    define(143, "v4-sztp-redirect", Kind::Binary),
    define(146, "rdnss-selection", Kind::Binary),
    define(150, "tftp-server-address", Kind::Ipv4List),
    define(159, "v4-portparams", Kind::Binary),
    define(162, "v4-dnr", Kind::Binary),
    define(209, "pxelinux-config-file", Kind::Text),
    define(210, "pxelinux-path-prefix", Kind::Text),
    define(211, "pxelinux-reboot-time", ANY32),
    define(212, "option-6rd", Kind::Binary),
    define(213, "v4-access-domain", Kind::Fqdn),
];

/// The options of DHCPv6.
const DHCP6: &[Definition] = &[
    define(17, "vendor-opts", Kind::Binary),
    define(21, "sip-server-dns", Kind::FqdnList),
    define(22, "sip-server-addr", Kind::Ipv6List),
    define(23, "dns-servers", Kind::Ipv6List),
    define(24, "domain-search", Kind::FqdnList),
    define(27, "nis-servers", Kind::Ipv6List),
    define(28, "nisp-servers", Kind::Ipv6List),
    define(29, "nis-domain-name", Kind::Fqdn),
    define(30, "nisp-domain-name", Kind::Fqdn),
    define(31, "sntp-servers", Kind::Ipv6List),
    // RFC 9915 section 21.23: below IRT_MINIMUM a client takes 600 seconds anyway.
    define(32, "information-refresh-time", Kind::Uint32(600, u32::MAX)),
    define(33, "bcmcs-server-dns", Kind::FqdnList),
    define(34, "bcmcs-server-addr", Kind::Ipv6List),
    define(36, "geoconf-civic", Kind::Binary),
    define(40, "pana-agent", Kind::Ipv6List),
    define(41, "new-posix-timezone", Kind::Text),
    define(42, "new-tzdb-timezone", Kind::Text),
    define(51, "v6-lost", Kind::Fqdn),
    define(52, "capwap-ac-v6", Kind::Ipv6List),
    define(54, "ipv6-address-mos", Kind::Binary),
    define(55, "ipv6-fqdn-mos", Kind::Binary),
    define(56, "ntp-server", Kind::NtpServers),
    define(57, "v6-access-domain", Kind::Fqdn),
    define(58, "sip-ua-cs-list", Kind::FqdnList),
    define(59, "bootfile-url", Kind::Text),
    define(60, "bootfile-param", Kind::Binary),
    define(64, "aftr-name", Kind::Fqdn),
    define(65, "erp-local-domain-name", Kind::Fqdn),
    define(74, "rdnss-selection", Kind::Binary),
    // RFC 9915 sections 21.24 and 21.25: a client ignores values outside of 60 to 86400.
    define(82, "sol-max-rt", Kind::Uint32(60, 86_400)),
    define(83, "inf-max-rt", Kind::Uint32(60, 86_400)),
    define(88, "dhcp4o6-server-addr", Kind::Ipv6List),
    define(94, "s46-cont-mape", Kind::Binary),
    define(95, "s46-cont-mapt", Kind::Binary),
    define(96, "s46-cont-lw", Kind::Binary),
    define(103, "v6-captive-portal", Kind::Text),
    define(136, "v6-sztp-redirect", Kind::Binary),
    define(144, "v6-dnr", Kind::Binary),
];
