//! Is every field of an answer as it has to be, whatever it grants? Each fault has a name of its own.

use super::{Answer, Question, giaddr};
use crate::check::{Fault, Violation};
use crate::exchange::Step;
use crate::writer::Writer;
use std::net::Ipv4Addr;

/// What is asked of a server beyond doubt, and what depends on its age.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Servers from before RFC 6842 do not return the client identifier.
    pub client_id_may_be_missing: bool,
}

const BROADCAST_FLAG: u16 = 0x8000;

/// Notes a fault unless the first argument is true; the last one tells what was found.
type Check<'c> = dyn FnMut(bool, Violation, &dyn Fn() -> String) + 'c;

impl Question<'_> {
    /// Looks at one field after the other, and adds what is wrong to `faults`.
    pub fn inspect(&self, answer: &Answer<'_>, rules: Rules, faults: &mut Vec<Fault>) {
        let mut check = |is_right: bool, kind, told: &dyn Fn() -> String| {
            if !is_right {
                faults.push((kind, told()));
            }
        };
        let header = (answer.op, answer.htype, answer.hlen);
        check(header == (2, 1, 6), Violation::WrongHeader, &|| {
            format!("op, htype and hlen {header:?}")
        });
        // What is behind the address is padding.
        let mut chaddr = [0; 16];
        for (to, from) in chaddr.iter_mut().zip(self.identity.mac) {
            *to = from;
        }
        check(answer.chaddr == chaddr, Violation::WrongClient, &|| {
            format!("chaddr {:02x?}", answer.chaddr)
        });
        // RFC 6842 section 3: the server returns the client identifier as it was sent.
        let echoed = answer.client_id == Some(&self.identity.client_id());
        let excused = answer.client_id.is_none() && rules.client_id_may_be_missing;
        check(echoed || excused, Violation::WrongClientId, &|| {
            format!("client identifier {:02x?}", answer.client_id)
        });
        // RFC 2131 section 4.3.2: in a NAK for a relay agent the server sets the broadcast bit.
        let set_by_server = answer.is_nak() && self.relay().is_some();
        let flags = [
            self.flags(),
            self.flags() | (u16::from(set_by_server) * BROADCAST_FLAG),
        ];
        check(
            flags.contains(&answer.flags),
            Violation::WrongFlags,
            &|| format!("flags {:#06x}, sent {:#06x}", answer.flags, self.flags()),
        );
        check(self.is_ciaddr(answer), Violation::WrongCiaddr, &|| {
            format!("ciaddr {}, sent {}", answer.ciaddr, self.ciaddr())
        });
        check(self.is_siaddr(answer), Violation::WrongSiaddr, &|| {
            format!("siaddr {}, offered {:?}", answer.siaddr, self.siaddr)
        });
        check(
            answer.giaddr == giaddr(self.relay()),
            Violation::WrongRelay,
            &|| format!("giaddr {}", answer.giaddr),
        );
        check(
            answer.doubled.is_none(),
            Violation::DuplicateOption,
            &|| format!("option {:?} comes twice", answer.doubled),
        );
        check(answer.bad_end.is_none(), Violation::BadEnd, &|| {
            answer.bad_end.unwrap_or_default().to_owned()
        });
        self.inspect_relay_information(answer, &mut check);
    }

    // RFC 3046 section 2.2: the server returns the relay agent's information unchanged and should place it last.
    fn inspect_relay_information(&self, answer: &Answer<'_>, check: &mut Check<'_>) {
        let mut room = [0; 2 + 255];
        let mut expected = Writer::new(&mut room);
        if let Some(relay) = self.relay() {
            self.put_relay_information(&mut expected, relay);
        }
        let len = expected.finish().unwrap_or(0);
        let sent = room.get(2..len).filter(|_| self.relay().is_some());
        let found = answer.relay_information;
        check(found == sent, Violation::WrongRelayOption, &|| {
            format!("option 82 {found:02x?}, sent {sent:02x?}")
        });
        check(
            found.is_none() || answer.last == 82,
            Violation::RelayOptionNotLast,
            &|| format!("option {} is behind option 82", answer.last),
        );
    }

    /// RFC 2131 section 4.3.1 table 3: zero in an OFFER and a NAK, the client's or zero in an ACK.
    fn is_ciaddr(&self, answer: &Answer<'_>) -> bool {
        let is_ack = answer.message_type == 5;
        answer.ciaddr.is_unspecified() || (is_ack && answer.ciaddr == self.ciaddr())
    }

    /// The next server is an address or none; none in a NAK, and that of the OFFER in its ACK.
    fn is_siaddr(&self, answer: &Answer<'_>) -> bool {
        let siaddr: Ipv4Addr = answer.siaddr;
        if answer.is_nak() {
            return siaddr.is_unspecified();
        }
        let is_kept = self.step != Step::Request || self.siaddr.is_none_or(|it| it == siaddr);
        is_kept && !siaddr.is_broadcast() && !siaddr.is_multicast()
    }
}
