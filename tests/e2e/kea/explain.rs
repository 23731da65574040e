//! The differences that are ours on purpose: each has its paragraph in docs/kea-differences.md.

use super::answer::Answer;
use super::client::Network;
use super::question::{Kind, Question};
use std::net::Ipv4Addr;

/// What explains a difference: the words in bold of its paragraphs in docs/kea-differences.md. What they explain is made
/// equal in both answers, so that nothing else hides behind it.
///
/// `is_declined`: the client has declined what is reserved for it.
pub(crate) fn explain(
    question: &Question,
    is_declined: bool,
    kea: &mut Option<Answer>,
    ours: &mut Option<Answer>,
) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    let name = |answer: &Option<Answer>| answer.as_ref().map_or("silence", Answer::name);
    let names = (name(kea), name(ours));
    let is_from_pool = |answer: &Answer| answer.from.contains("pool");
    let is_ours_from_pool = ours.as_ref().is_some_and(is_from_pool);
    let is_kea_s_from_pool = kea.as_ref().is_some_and(is_from_pool);
    let is_same = names.0 == names.1 || names == ("NAK", "ACK");
    if is_declined && is_same && is_ours_from_pool && !is_kea_s_from_pool {
        kea.clone_from(ours);
        return vec!["A reserved address in quarantine"];
    }
    let is_reserved = |answer: &Answer| answer.from.parse::<Ipv4Addr>().is_ok();
    if question.client.has_another_name()
        && is_same
        && ours.as_ref().is_some_and(is_reserved)
        && !kea.as_ref().is_some_and(is_reserved)
    {
        kea.clone_from(ours);
        return vec!["A machine with several names"];
    }
    if names.0 != names.1 {
        if let Some(reason) = of_verdict(question, names) {
            kea.clone_from(ours);
            reasons.push(reason);
        }
        return reasons;
    }
    if let (Some(kea), Some(ours)) = (kea.as_mut(), ours.as_mut()) {
        let mut pair = Pair {
            question,
            kea,
            ours,
            reasons,
        };
        pair.header();
        pair.names();
        pair.lifetimes();
        pair.agent();
        pair.size();
        return pair.reasons;
    }
    reasons
}

/// Why one answers and the other does not, or says something else.
fn of_verdict(question: &Question, names: (&str, &str)) -> Option<&'static str> {
    let is_nowhere = question.client.network == Network::Nowhere || question.has_foreign_link();
    Some(match (question.kind, names.0, names.1) {
        (_, "silence", _) if question.parameters.as_ref().is_some_and(Vec::is_empty) => {
            "An empty option 55"
        }
        (_, "silence", _) if question.client.identifier.is_short() => {
            "A client identifier of one octet"
        }
        (_, _, "silence") if question.client.hlen > 16 => "`hlen` above 16",
        (_, "NAK" | "ACK" | "BOOTREPLY", "silence") if is_nowhere => "A link that nobody serves",
        (_, "NAK", "ACK") if question.is_direct() && question.has_foreign_link() => {
            "Option 82 without `giaddr`."
        }
        (Kind::SelectNothing | Kind::RequestNothing, _, "silence") => {
            "A REQUEST without an address"
        }
        (Kind::Reboot | Kind::RebootAnother, "NAK", "silence")
        | (Kind::RebootAnother, "ACK", "silence") => {
            "An INIT-REBOOT of a client that we do not know"
        }
        (Kind::Reboot | Kind::RebootAnother, "NAK", "ACK") => "A former lease",
        (Kind::RebootAnother, "ACK", "NAK") => "An INIT-REBOOT of another address",
        (Kind::Select | Kind::SelectAnother, "ACK", "NAK") => "A REQUEST for what was not offered",
        (Kind::Renew | Kind::Rebind | Kind::RebindAnother, _, "NAK" | "silence") => {
            "A renewal of what the client does not hold"
        }
        (Kind::RebindElsewhere, "silence", "NAK") => "A renewal of an address of another network",
        _ => return None,
    })
}

/// Two answers of the same type.
struct Pair<'a> {
    question: &'a Question,
    kea: &'a mut Answer,
    ours: &'a mut Answer,
    reasons: Vec<&'static str>,
}

impl Pair<'_> {
    fn is_nak(&self) -> bool {
        self.kea.kind == 6
    }

    fn is_inform(&self) -> bool {
        matches!(self.question.kind, Kind::Inform | Kind::InformWithoutCiaddr)
    }

    /// Whether an option is in Kea's answer and in ours.
    fn has(&self, code: u8) -> (bool, bool) {
        (
            self.kea.options.contains_key(&code),
            self.ours.options.contains_key(&code),
        )
    }

    /// Takes an option that only one of them has, or that differs, out of both.
    fn forgive(&mut self, code: u8, reason: &'static str) {
        let kea = self.kea.options.remove(&code);
        let ours = self.ours.options.remove(&code);
        if kea != ours {
            self.reasons.push(reason);
        }
    }

    fn header(&mut self) {
        let question = self.question;
        if self.kea.hops != 0 && self.ours.hops == 0 {
            self.kea.hops = 0;
            self.reasons.push("`hops`");
        }
        let with_broadcast = self.kea.flags | 0x8000;
        if self.is_nak() && self.ours.flags != self.kea.flags && self.ours.flags == with_broadcast {
            self.kea.flags = with_broadcast;
            self.reasons.push("A NAK through a relay agent");
        }
        if self.is_inform() && !question.is_direct() && self.kea.giaddr.is_unspecified() {
            self.kea.giaddr = self.ours.giaddr;
            if self.has(82) == (false, true) {
                self.ours.options.remove(&82);
            }
            self.reasons.push("A relayed INFORM");
        }
        if self.kea.destination != self.ours.destination
            && let Some(reason) = self.of_destination()
        {
            self.kea.destination.clone_from(&self.ours.destination);
            self.reasons.push(reason);
        }
        if question.client.identifier.is_short() && self.is_nak() {
            self.forgive(61, "A client identifier of one octet");
        }
        if self.is_nak() && self.has(56) == (false, true) {
            self.forgive(56, "A NAK says why");
        }
    }

    fn of_destination(&self) -> Option<&'static str> {
        let question = self.question;
        let (kea, ours) = (&self.kea.destination, &self.ours.destination);
        let is_for_everybody = ours == "everybody:68 at all stations";
        Some(match question.kind {
            _ if self.is_nak() && is_for_everybody => "A NAK on the link",
            _ if is_for_everybody && kea.starts_with("everybody:68") => {
                "A broadcast goes to all stations"
            }
            _ if is_for_everybody && question.client.hlen != 6 => {
                "A client without an Ethernet address"
            }
            Kind::DiscoverWithCiaddr => "A DISCOVER with `ciaddr`",
            Kind::Renew | Kind::Rebind | Kind::RebindAnother | Kind::Inform
                if question.broadcast && kea.ends_with("at all stations") =>
            {
                "The broadcast bit of a client that has an address"
            }
            _ => return None,
        })
    }

    fn names(&mut self) {
        let question = self.question;
        if question.host_name.is_some() && self.has(12) == (true, false) {
            self.forgive(12, "The name that a client sends");
        }
        let asks_for_it = |names: &[u8]| names.contains(&12);
        if self.is_inform() && self.has(12) == (false, true) {
            let is_asked = question.parameters.as_deref().is_some_and(asks_for_it);
            let reason = match question.host_name {
                Some(_) if is_asked => "The name that a client sends",
                _ => "A reserved `hostname`",
            };
            self.forgive(12, reason);
        }
        if question.client.has_name() && self.has(12) == (false, true) {
            self.forgive(12, "A reserved `hostname`");
        }
        if question.fqdn.is_some() {
            self.forgive(81, "Option 81");
        }
        let search = |answer: &Answer| answer.options.get(&119).and_then(|data| names(data));
        if search(self.kea).is_some() && search(self.kea) == search(self.ours) {
            self.forgive(119, "`domain-search`");
        }
    }

    fn lifetimes(&mut self) {
        for code in [58, 59] {
            if self.has(code) == (false, true) {
                self.forgive(code, "T1 and T2 are always sent");
            }
        }
        if self.question.lifetime == Some(0) {
            for code in [51, 58, 59] {
                self.forgive(code, "A lifetime of 0");
            }
        }
        let seconds = |answer: &Answer| {
            let data = answer.options.get(&51)?;
            Some(u32::from_be_bytes(data.as_slice().try_into().ok()?))
        };
        if let (Some(kea), Some(ours)) = (seconds(self.kea), seconds(self.ours))
            && ours < kea
            && kea - ours <= 10
            && self.kea.kind == 5
        {
            for code in [51, 58, 59] {
                self.forgive(code, "A lease that was granted a moment ago");
            }
        }
        if let (Some(kea), Some(ours)) = (seconds(self.kea), seconds(self.ours))
            && kea < ours
            && ours - kea <= SECONDS_OF_A_RUN
        {
            for code in [51, 58, 59] {
                self.forgive(code, "What is left of a young lease");
            }
        }
        let is_lab = self.kea.options.get(&1).map(Vec::as_slice) == Some(&[255, 255, 0, 0]);
        if is_lab && self.ours.options.get(&1).map(Vec::as_slice) == Some(&[255, 255, 240, 0]) {
            self.forgive(1, "A subnet mask that is configured");
        }
        if self.is_inform() && self.has(1) == (false, true) {
            self.forgive(1, "The mask in the answer to an INFORM");
        }
    }

    fn agent(&mut self) {
        let Some(agent) = &self.question.agent else {
            return;
        };
        if self.question.is_direct() && self.has(82) == (true, false) {
            self.forgive(82, "Option 82 without `giaddr`.");
        }
        // An option of a class that looks into it.
        if self.question.is_direct() && self.has(7) == (true, false) {
            self.forgive(7, "Option 82 without `giaddr`.");
        }
        let is_odd = agent.is_empty()
            || agent
                .get(1)
                .is_some_and(|len| usize::from(*len) + 2 > agent.len());
        if is_odd && self.has(82) == (false, true) {
            self.forgive(82, "Option 82 that is odd");
        }
    }

    /// What only one of them has room for, or sends unasked.
    fn size(&mut self) {
        let question = self.question;
        let asked = question.parameters.as_deref().unwrap_or_default();
        if asked.is_empty() && !self.is_nak() {
            let unasked: Vec<u8> = self.ours.options.keys().copied().collect();
            for code in unasked {
                if self.has(code) == (false, true) && !OF_PROTOCOL.contains(&code) {
                    self.forgive(code, "A client without parameter request list");
                }
            }
        }
        let limit = usize::from(question.size_max.unwrap_or(576).max(576)).min(1500) - 28;
        let (is_bootp, is_too_long) = (self.kea.kind == 0, self.kea.len > limit);
        if is_bootp && self.ours.len <= 300 || is_too_long && self.ours.len <= limit {
            let reason = match is_bootp {
                true => "Answers have 300 octets",
                false => "The size of a reply",
            };
            self.forgive(52, reason);
            let all: Vec<u8> = self.kea.options.keys().copied().collect();
            for code in all {
                if self.has(code) == (true, false) && !OF_PROTOCOL.contains(&code) {
                    self.forgive(code, reason);
                }
            }
        }
        self.kea.len = self.ours.len;
    }
}

/// How old a lease can be.
const SECONDS_OF_A_RUN: u32 = 60;

/// What no reason of size or wish leaves out.
const OF_PROTOCOL: [u8; 8] = [1, 51, 53, 54, 58, 59, 61, 82];

/// The names of option 119, whichever way they are written.
fn names(data: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let mut name = Vec::new();
        let (mut from, mut end) = (at, None);
        for _ in 0..data.len() {
            let length = *data.get(from)?;
            match length {
                0 => break,
                0xc0.. => {
                    end.get_or_insert(from + 2);
                    from = usize::from(length & 0x3f) << 8 | usize::from(*data.get(from + 1)?);
                }
                _ => {
                    let next = from + 1 + usize::from(length);
                    name.extend(data.get(from..next)?);
                    from = next;
                }
            }
        }
        names.push(name);
        at = end.unwrap_or(from + 1);
    }
    Some(names)
}
