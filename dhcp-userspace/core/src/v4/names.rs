//! What is a client told of its own name? Options 12 and 81, by a server that does no DNS updates.

use super::query::Query;
use dhcp_wire::Octets;

/// Of the flags of option 81 (RFC 4702 section 2.1): the client wants the server to update the DNS; the server
/// does not do as the client wishes; the name is in DNS wire format; no updates by the server.
const FLAG_SERVER_UPDATES: u8 = 0x01;
const FLAG_OVERRIDDEN: u8 = 0x02;
const FLAG_WIRE_FORMAT: u8 = 0x04;
const FLAG_NO_UPDATES: u8 = 0x08;

/// Octets of option 81 before the name: flags, RCODE1, RCODE2.
const HEAD_OCTETS: usize = 3;
const LABEL_OCTETS_MAX: usize = 63;

/// A name, or an option that holds one.
pub(super) type Name = Octets<255>;

/// The name that the client says it has in option 12, as far as it is one: for the echo. `None` when nothing
/// is left of it.
pub(super) fn host_name(query: &Query) -> Option<Name> {
    let name = sanitised(query.host_name.as_slice(), &[])?;
    (!name.is_empty()).then_some(name)
}

/// The answer to the client's option 81, if it sent one that can be read. `reserved` is the name that the
/// operator has for it; `domain` completes a name that is not qualified.
// RFC 4702 section 4 [fqdn-answered]: to whom sent it, and to nobody else.
pub(super) fn full_name(query: &Query, reserved: &[u8], domain: &[u8]) -> Option<Name> {
    let (head, name) = query
        .full_name
        .as_slice()
        .split_first_chunk::<HEAD_OCTETS>()?;
    let [flags, ..] = *head;
    let is_wire = flags & FLAG_WIRE_FORMAT != 0;
    let said = if is_wire {
        from_wire(name)?
    } else {
        Said {
            is_qualified: name.contains(&b'.'),
            dotted: Octets::new(name).ok()?,
        }
    };
    let (text, is_qualified) = match reserved {
        [] => (said.dotted.as_slice(), said.is_qualified),
        reserved => (reserved, reserved.contains(&b'.')),
    };
    // RFC 4702 section 4 [fqdn-complete]: our notion of the complete name; without a domain that is what
    // the client or the operator says.
    let domain = if is_qualified || text.is_empty() {
        &[]
    } else {
        domain
    };
    let whole = sanitised(text, domain)?;
    let mut answer = Name::EMPTY;
    // RFC 4702 section 4 [fqdn-no-updates]: we do none, so N is 1 and S is 0, and O says whether that is not
    // what the client asked for.
    let overridden = if flags & FLAG_SERVER_UPDATES != 0 {
        FLAG_OVERRIDDEN
    } else {
        0
    };
    let ours = FLAG_NO_UPDATES | overridden | flags & FLAG_WIRE_FORMAT;
    // RFC 4702 section 4 [fqdn-rcodes]: 255 in both, which mean nothing any more.
    answer.push_slice(&[ours, 255, 255]).ok()?;
    // RFC 4702 section 4 [fqdn-encoding]: in the encoding that the client used.
    if is_wire {
        let is_complete = is_qualified || !domain.is_empty();
        to_wire(&mut answer, whole.as_slice(), is_complete)?;
    } else {
        answer.push_slice(whole.as_slice()).ok()?;
    }
    Some(answer)
}

/// A client's name, read.
struct Said {
    dotted: Name,
    is_qualified: bool,
}

/// Labels with their lengths; one that ends with the root is qualified. `None` when it is no name: there are no
/// compression pointers here (RFC 4702 section 2.3).
fn from_wire(mut octets: &[u8]) -> Option<Said> {
    let mut dotted = Name::EMPTY;
    while let Some((&len, after)) = octets.split_first() {
        let len = usize::from(len);
        if len == 0 {
            let is_qualified = after.is_empty();
            return is_qualified.then_some(Said {
                dotted,
                is_qualified,
            });
        }
        if len > LABEL_OCTETS_MAX {
            return None;
        }
        let (label, rest) = after.split_at_checked(len)?;
        if !dotted.is_empty() {
            dotted.push_slice(b".").ok()?;
        }
        // A dot inside of a label would make two of it.
        let plain = label.iter().filter(|&&octet| octet != b'.');
        for &octet in plain {
            dotted.push_slice(&[octet]).ok()?;
        }
        octets = rest;
    }
    Some(Said {
        dotted,
        is_qualified: false,
    })
}

fn to_wire(into: &mut Name, dotted: &[u8], is_complete: bool) -> Option<()> {
    for label in labels(dotted) {
        if label.len() > LABEL_OCTETS_MAX {
            return None;
        }
        into.push_slice(&[label.len() as u8]).ok()?; // 63 at most
        into.push_slice(label).ok()?;
    }
    if is_complete {
        into.push_slice(&[0]).ok()?;
    }
    Some(())
}

fn labels(dotted: &[u8]) -> impl Iterator<Item = &[u8]> {
    dotted
        .split(|&octet| octet == b'.')
        .filter(|label| !label.is_empty())
}

/// `name` and `domain` as one name of letters, digits and hyphens, in lower case: what else stands in it is
/// left out (Kea's `hostname-char-set`, as it is unless configured). `None` when it is too long.
fn sanitised(name: &[u8], domain: &[u8]) -> Option<Name> {
    let mut whole = Name::EMPTY;
    for label in labels(name).chain(labels(domain)) {
        let begin = whole.len();
        let legal = |octet: &&u8| octet.is_ascii_alphanumeric() || **octet == b'-';
        for &octet in label.iter().filter(legal) {
            if whole.len() == begin && begin > 0 {
                whole.push_slice(b".").ok()?;
            }
            whole.push_slice(&[octet.to_ascii_lowercase()]).ok()?;
        }
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answered(sent: &[u8], reserved: &[u8], domain: &[u8]) -> Option<Vec<u8>> {
        let query = Query {
            full_name: Octets::new(sent).unwrap(),
            ..Query::default()
        };
        full_name(&query, reserved, domain).map(|name| name.as_slice().to_vec())
    }

    // RFC 4702 section 4 [fqdn-answered]
    // RFC 4702 section 4 [fqdn-no-updates]
    // RFC 4702 section 4 [fqdn-complete]
    // RFC 4702 section 4 [fqdn-encoding]
    // RFC 4702 section 4 [fqdn-rcodes]
    #[test]
    fn the_full_name_is_answered_in_its_encoding_with_no_updates() {
        let wire_host: &[u8] = b"\x04host";
        let wire_full: &[u8] = b"\x04host\x03net\0";
        // Sent, reserved name, domain, answered.
        /// Flags and name.
        type Option81 = (u8, &'static [u8]);
        let cases: [(Option81, &[u8], &[u8], Option81); 11] = [
            ((0x04, wire_full), b"", b"example.org", (0x0c, wire_full)),
            ((0x05, wire_full), b"", b"", (0x0e, wire_full)),
            ((0x0c, wire_host), b"", b"", (0x0c, wire_host)),
            (
                (0x04, wire_host),
                b"",
                b"a.net",
                (0x0c, b"\x04host\x01a\x03net\0"),
            ),
            ((0x04, b"\x04Ho_t"), b"", b"", (0x0c, b"\x03hot")),
            ((0x00, b"host"), b"", b"", (0x08, b"host")),
            ((0x01, b"host"), b"", b"a.net", (0x0a, b"host.a.net")),
            ((0x01, b"host.b.net"), b"", b"a.net", (0x0a, b"host.b.net")),
            ((0x04, wire_host), b"named", b"", (0x0c, b"\x05named")),
            (
                (0x04, wire_full),
                b"named",
                b"a.net",
                (0x0c, b"\x05named\x01a\x03net\0"),
            ),
            ((0x05, b""), b"", b"a.net", (0x0e, b"")),
        ];
        for ((flags, name), reserved, domain, (answer_flags, answer)) in cases {
            let sent = [&[flags, 0, 0][..], name].concat();
            let expected = [&[answer_flags, 255, 255][..], answer].concat();
            assert_eq!(
                answered(&sent, reserved, domain),
                Some(expected),
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_full_name_that_is_none_is_not_answered() {
        for sent in [
            &b""[..],
            b"\x04",
            b"\x04\0",
            b"\x04\0\0\x05host",
            b"\x04\0\0\xc0\x0c",
            b"\x04\0\0\x40aaaa",
            b"\x04\0\0\x01a\0\x01b\0",
        ] {
            assert_eq!(answered(sent, b"", b""), None, "{sent:?}");
        }
    }

    #[test]
    fn a_host_name_is_echoed_as_far_as_it_is_one() {
        for (sent, echoed) in [
            (&b"Printer-7"[..], Some(&b"printer-7"[..])),
            (b"a..b.", Some(b"a.b")),
            (b"caf\xc3\xa9 1\0", Some(b"caf1")),
            (b"\x1b[2J", Some(b"2j")),
            (b"...", None),
            (b"", None),
        ] {
            let query = Query {
                host_name: Octets::new(sent).unwrap(),
                ..Query::default()
            };
            let name = host_name(&query);
            assert_eq!(name.as_ref().map(Octets::as_slice), echoed, "{sent:?}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_answered_with_one_or_not_at_all(
            sent in prop::collection::vec(any::<u8>(), 0..=255),
            reserved in prop::collection::vec(any::<u8>(), 0..80),
            domain in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            if let Some(answer) = answered(&sent, &reserved, &domain) {
                prop_assert_eq!(answer[0] & !0x06, 0x08);
                prop_assert_eq!(answer[0] & 0x04, sent[0] & 0x04);
                if answer[0] & 0x04 == 0 {
                    prop_assert!(answer[3..].iter().all(|octet| octet.is_ascii_graphic()));
                } else {
                    prop_assert!(from_wire(&answer[3..]).is_some());
                }
            }
        }
    }
}
