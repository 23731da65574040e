//! Octets that an operator wrote.

use dhcp_core::class::{ClassId, ClassSet};
use dhcp_core::expression::{
    Condition, Expression, Names, Packet, Protocol, SCRATCH_OCTETS, Scratch,
};
use dhcp_core::{v4, v6};
use dhcp_userspace::config;
use dhcp_wire::frame::{Addresses, Envelope, MacAddress, Tags};
use dhcp_wire::id::Duid;
use std::path::Path;

/// Checks a configuration, and makes a policy of it if it is one.
pub(super) fn config(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let file = Path::new("fuzz.toml");
    match config::check(file, &text) {
        Ok(checked) => {
            // Pools of any size cost memory by their addresses; the operator pays for what he asks for.
            let addresses: u64 = checked.pool_ranges().iter().map(|pool| pool.count).sum();
            if let (true, Ok(duid)) = (addresses < 1 << 20, Duid::new(&[0, 3, 0, 1, 2])) {
                let policy = checked.policy(&duid, None);
                assert_eq!(policy.pools.len(), checked.pool_ranges().len());
            }
        }
        Err(findings) => {
            assert!(findings.iter().next().is_some(), "refused without a reason");
            for finding in findings.iter() {
                assert!(
                    !findings.line(finding).contains('\n'),
                    "one finding, one line"
                );
            }
        }
    }
}

pub(super) fn config_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "interfaces = [\"eth0\"]\n[[subnet4]]\nsubnet = \"10.0.0.0/24\"\npools = [\"10.0.0.10-10.0.0.99\"]\n",
        "interfaces = [\"eth0\"]\nvalid-lifetime = 3600\n[[subnet4]]\nsubnet = \"10.0.0.0/24\"\n\
         pools = [{ pool = \"10.0.0.10 - 10.0.0.99\" }]\nreservations = [{ hw-address = \"02:00:00:00:00:01\", \
         ip-address = \"10.0.0.5\" }]\noption-data = [{ name = \"routers\", data = \"10.0.0.1\" }]\n",
        "interfaces = [\"eth0\"]\n[[subnet6]]\nsubnet = \"2001:db8::/64\"\npools = [\"2001:db8::100-2001:db8::1ff\"]\n\
         pd-pools = [{ prefix = \"2001:db8:100::\", prefix-len = 40, delegated-len = 56 }]\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Any name of an option or a class will do.
struct AnyNames(Protocol);

impl Names for AnyNames {
    fn protocol(&self) -> Protocol {
        self.0
    }

    fn option(&self, name: &str) -> Option<u16> {
        Some(name.len() as u16 % 250 + 1)
    }

    fn class(&mut self, name: &str) -> Result<ClassId, String> {
        ClassId::new(name.len()).ok_or_else(String::new)
    }
}

/// Reads an expression; what was read is printed to the same, and asked of the message behind it.
pub(super) fn expression(octets: &[u8]) {
    let end = octets.iter().position(|&octet| octet == 0);
    let (text, payload) = octets.split_at(end.unwrap_or(octets.len()));
    let text = String::from_utf8_lossy(text);
    let payload = payload.get(1..).unwrap_or_default();
    for protocol in [Protocol::V4, Protocol::V6] {
        match Condition::parse(&text, &mut AnyNames(protocol)) {
            Ok(condition) => {
                let again = Condition::parse(&condition.to_string(), &mut AnyNames(protocol));
                assert_eq!(again.as_ref(), Ok(&condition), "{text}");
            }
            Err(error) => assert!(error.offset <= text.len() && !error.message.is_empty()),
        }
        let condition = Condition::parse(&text, &mut AnyNames(protocol)).ok();
        let value = Expression::parse(&text, &mut AnyNames(protocol)).ok();
        ask(protocol, condition.as_ref(), value.as_ref(), payload);
    }
}

fn ask(
    protocol: Protocol,
    condition: Option<&Condition>,
    value: Option<&Expression>,
    payload: &[u8],
) {
    let source = match protocol {
        Protocol::V4 => Addresses::V4 {
            source: [10, 0, 0, 1].into(),
            destination: [10, 0, 0, 2].into(),
        },
        Protocol::V6 => Addresses::V6 {
            source: [1; 16].into(),
            destination: [2; 16].into(),
        },
    };
    let envelope = Envelope {
        source_mac: MacAddress::default(),
        destination_mac: MacAddress::default(),
        tags: Tags::default(),
        addresses: source,
        source_port: 68,
        destination_port: 67,
    };
    let (interface, payload_len) = ("eth0", payload.len());
    let envelope = &envelope;
    match protocol {
        Protocol::V4 => {
            if let Ok(message) = dhcp_wire::v4::Message::parse(payload) {
                let message = &message;
                let packet = v4::Received {
                    message,
                    envelope,
                    interface,
                    payload_len,
                    trusts_agent: true,
                };
                evaluate(&packet, condition, value);
            }
        }
        Protocol::V6 => {
            if let Ok(packet) = dhcp_wire::v6::Packet::parse(payload) {
                let packet = v6::Received {
                    packet: &packet,
                    envelope,
                    interface,
                    payload_len,
                };
                evaluate(&packet, condition, value);
            }
        }
    }
}

fn evaluate<P: Packet>(packet: &P, condition: Option<&Condition>, value: Option<&Expression>) {
    let classes: ClassSet = [ClassId::ALL, ClassId::KNOWN].into_iter().collect();
    if let Some(condition) = condition {
        let mut block = [0; SCRATCH_OCTETS];
        let held = condition.evaluate(packet, &classes, &mut Scratch::new(&mut block));
        assert_eq!(condition.holds(packet, &classes), held.unwrap_or(false));
    }
    if let Some(value) = value {
        let mut block = [0; SCRATCH_OCTETS];
        // Whatever comes of it: it comes without a panic.
        let _ = value.evaluate(packet, &classes, &mut Scratch::new(&mut block));
    }
}

pub(super) fn expression_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "substring(option[60].hex, 0, 6) == 'docsis' and not relay4[2].exists",
        "option[82].option[1].hex + 0x00 == concat(pkt4.mac, hexstring(pkt4.giaddr, ':'))",
        "member('gold') or known and match('[a-z]+(foo|bar)?', lcase(option[host-name].text))",
        "split(ifelse(vendor[4491].option[1].exists, vendor-class[*].data[0], addrtotext(pkt.src)), '.', 2) == '1'",
        "relay6[-1].option[18].hex == 0x07 and relay6[0].peeraddr == fe80::1",
        "uint32totext(pkt6.transid) + int8totext(-1) == ucase(pkt.iface)",
        "hexstring(option[1].hex, '')",
    ];
    let v4 = super::payloads(67);
    let v6 = super::payloads(547);
    let message = |number: usize| v4.get(number * 3).or(v6.get(number * 3));
    let v6_message = |number: usize| v6.get(number * 3).or(v4.get(number * 3));
    let seed = |(number, text): (usize, &str)| {
        let payload = match text.contains("6") {
            true => v6_message(number),
            false => message(number),
        };
        let payload = payload.map(Vec::as_slice).unwrap_or_default();
        [text.as_bytes(), &[0], payload].concat()
    };
    texts.into_iter().enumerate().map(seed).collect()
}
