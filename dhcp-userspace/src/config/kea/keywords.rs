//! Kea's keywords that xdhcpd has no key for: which of them matter, and what to do instead.

/// What leaving a keyword out does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that a client sees.
    Harmless,
    /// Clients get other answers, or some get none.
    Differs,
    /// Nothing as long as it has one of these values; else clients get other answers.
    HarmlessAs(&'static [&'static str]),
}
use Effect::{Differs, Harmless, HarmlessAs};

/// A keyword of Kea's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyword {
    pub(super) name: &'static str,
    pub(super) effect: Effect,
    /// What to do, or why nothing needs to be done.
    pub(super) advice: &'static str,
}

const fn keyword(name: &'static str, effect: Effect, advice: &'static str) -> Keyword {
    Keyword {
        name,
        effect,
        advice,
    }
}

pub(super) const DDNS: &str =
    "xdhcpd updates no DNS; let the name server take the names from the lease history";
const NO_CHOICE: &str =
    "clients of DHCPv6 choose no lifetime; `valid-lifetime` and `preferred-lifetime` hold";
const EXPIRY: &str = "leases end by themselves, without a process of their own";

/// The keyword with a name, if it is one of Kea's.
pub(super) fn find(name: &str) -> Option<&'static Keyword> {
    let is_ddns = name.starts_with("ddns-") || name.starts_with("hostname-char-");
    let known = KEYWORDS.iter().find(|keyword| keyword.name == name);
    known.or(is_ddns.then_some(&OF_DDNS))
}

const OF_DDNS: Keyword = keyword("ddns-", Harmless, DDNS);

const KEYWORDS: &[Keyword] = &[
    keyword("4o6-interface", Differs, "DHCPv4 over DHCPv6 is not served"),
    keyword(
        "4o6-interface-id",
        Differs,
        "DHCPv4 over DHCPv6 is not served",
    ),
    keyword("4o6-subnet", Differs, "DHCPv4 over DHCPv6 is not served"),
    keyword(
        "calculate-tee-times",
        HarmlessAs(&["true"]),
        "T1 and T2 are always sent; where `renew-timer` and `rebind-timer` say nothing they are computed",
    ),
    keyword(
        "t1-percent",
        HarmlessAs(&["0.5", "0.50"]),
        "T1 is half of the lifetime; write `renew-timer` instead",
    ),
    keyword(
        "t2-percent",
        HarmlessAs(&["0.875"]),
        "T2 is 7/8 of the lifetime (0.8 in DHCPv6); write `rebind-timer` instead",
    ),
    keyword(
        "client-classes",
        Differs,
        "write the option into the `option-data` of these classes",
    ),
    keyword(
        "config-control",
        Differs,
        "write what the configuration back end holds into Kea's file first (`config-get`), and import that",
    ),
    keyword(
        "config-databases",
        Differs,
        "write what the configuration back end holds into Kea's file first (`config-get`)",
    ),
    keyword(
        "control-socket",
        Harmless,
        "the control socket is `socket`, for `xdhcpd ctl`",
    ),
    keyword(
        "control-sockets",
        Harmless,
        "the control socket is `socket`, for `xdhcpd ctl`",
    ),
    keyword("data-directory", Harmless, "it is `state-dir`"),
    keyword(
        "dhcp-queue-control",
        Harmless,
        "there is no queue: workers take frames from the rings of the network card",
    ),
    keyword(
        "dhcp4o6-port",
        HarmlessAs(&["0"]),
        "DHCPv4 over DHCPv6 is not served",
    ),
    keyword(
        "early-global-reservations-lookup",
        HarmlessAs(&["false"]),
        "global reservations choose no subnet",
    ),
    keyword("expired-leases-processing", Harmless, EXPIRY),
    keyword(
        "hosts-database",
        Differs,
        "write the hosts into a file and name it with `reservations-file` (docs/migration.md)",
    ),
    keyword(
        "hosts-databases",
        Differs,
        "write the hosts into a file and name it with `reservations-file` (docs/migration.md)",
    ),
    keyword(
        "ip-reservations-unique",
        HarmlessAs(&["true"]),
        "an address is reserved for one client",
    ),
    keyword("lease-checks", Harmless, "every record has a checksum"),
    keyword(
        "loggers",
        Harmless,
        "logs go to standard error; the level is `--log`",
    ),
    keyword(
        "multi-threading",
        Harmless,
        "the number of threads is `workers`",
    ),
    keyword(
        "offer-lifetime",
        Harmless,
        "one for all: `offer-lifetime` at the top of the file",
    ),
    keyword(
        "offer-lft",
        Harmless,
        "one for all: `offer-lifetime` at the top of the file",
    ),
    keyword(
        "option-def",
        Differs,
        "a definition holds for all; write it into the `option-def` of [dhcp4]",
    ),
    keyword("min-valid-lifetime", Differs, NO_CHOICE),
    keyword("max-valid-lifetime", Differs, NO_CHOICE),
    keyword("min-preferred-lifetime", Differs, NO_CHOICE),
    keyword("max-preferred-lifetime", Differs, NO_CHOICE),
    keyword(
        "lenient-option-parsing",
        Harmless,
        "what only hints at something is ignored when it is malformed",
    ),
    keyword(
        "ignore-dhcp-server-identifier",
        HarmlessAs(&["false"]),
        "a REQUEST that names another server is never answered",
    ),
    keyword(
        "ignore-rai-link-selection",
        HarmlessAs(&["false"]),
        "what a relay agent says of the link counts",
    ),
    keyword("parked-packet-limit", Harmless, "nothing waits for hooks"),
    keyword(
        "relay-supplied-options",
        HarmlessAs(&["[]"]),
        "options of relay agents are not passed on",
    ),
    keyword(
        "reservations-lookup-first",
        Harmless,
        "a reserved address is never handed out, at no cost",
    ),
    keyword(
        "sanity-checks",
        Harmless,
        "`xdhcpd leases verify` checks the leases",
    ),
    keyword(
        "server-id",
        Harmless,
        "the DUID is made at the first start and kept in `state-dir`",
    ),
    keyword(
        "server-tag",
        Harmless,
        "there is no configuration back end that it would choose from",
    ),
    keyword(
        "stash-agent-options",
        Harmless,
        "what relay agents tell is always kept with the lease",
    ),
    keyword(
        "statistic-default-sample-age",
        Harmless,
        "counters have no samples",
    ),
    keyword(
        "statistic-default-sample-count",
        Harmless,
        "counters have no samples",
    ),
    keyword(
        "store-extended-info",
        Harmless,
        "what relay agents tell is always kept with the lease",
    ),
    keyword(
        "mac-sources",
        Harmless,
        "the hardware address is taken from option 79, the DUID or the link",
    ),
    keyword(
        "excluded-prefix",
        Differs,
        "no prefix is excluded (RFC 6603)",
    ),
    keyword(
        "excluded-prefix-len",
        Differs,
        "no prefix is excluded (RFC 6603)",
    ),
    keyword(
        "auth-key",
        Differs,
        "reconfiguration by keys of single hosts is not there",
    ),
    keyword("id", Harmless, "pools have no numbers of their own"),
    keyword("pool-id", Harmless, "pools have no numbers of their own"),
    keyword(
        "hostname",
        Harmless,
        "names of DHCPv6 hosts are for DNS updates; xdhcpd makes none",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_stands_once_and_says_what_to_do() {
        for (at, one) in KEYWORDS.iter().enumerate() {
            assert!(
                !one.advice.is_empty() && !one.advice.ends_with('.'),
                "{}",
                one.name
            );
            assert!(
                KEYWORDS[..at].iter().all(|it| it.name != one.name),
                "{}",
                one.name
            );
        }
        assert!(find("ddns-send-updates").is_some());
        assert!(find("frobnicate").is_none());
    }
}
