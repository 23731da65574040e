use super::*;
use crate::check::Fault;

const REMOTE: &str = "modem %d of %r";

fn relay() -> Relay {
    Relay {
        number: 3,
        address: "10.0.0.1".parse().unwrap(),
    }
}

fn question(step: Step, relay: Option<Relay>, manner: &Manner) -> Question<'_> {
    let held = Held {
        address: Some("10.0.0.9".parse().unwrap()),
        ..Held::default()
    };
    Question {
        step,
        transaction: 0x12_3456,
        client: 2,
        identity: Identity::new(1, 2),
        held,
        server_id: None,
        siaddr: None,
        secs: 0,
        relay,
        manner,
    }
}

/// The answer that a right server gives: its header is the question's, its options are `before` and option 82.
fn answered(question: &Question<'_>, message_type: u8) -> Vec<u8> {
    let mut room = [0; 600];
    let len = question.write(&mut room).unwrap();
    let mut message = room[..FIXED + 4].to_vec();
    message[0] = 2;
    message[3] = 0;
    if message_type != 6 && question.step != Step::Inform {
        message[16..20].copy_from_slice(&[10, 0, 0, 9]);
    }
    message.extend([53, 1, message_type, 54, 4, 10, 0, 0, 1]);
    if message_type != 6 && question.step != Step::Inform {
        message.extend([51, 4, 0, 0, 0x0e, 0x10]);
    }
    message.extend([61, 7]);
    message.extend(question.identity.client_id());
    let options = &room[FIXED + 4..len];
    if let (true, Some(at)) = (question.relay().is_some(), find(options, 82)) {
        let end = at + 2 + usize::from(options[at + 1]);
        message.extend(&options[at..end]);
    }
    message.push(255);
    message.resize(message.len().max(300), 0);
    message
}

/// Where an option begins.
fn find(options: &[u8], wanted: u8) -> Option<usize> {
    let mut at = 0;
    while *options.get(at)? != wanted {
        at += match options[at] {
            0 => 1,
            255 => return None,
            _ => 2 + usize::from(*options.get(at + 1)?),
        };
    }
    Some(at)
}

/// Everything that is objected to.
fn faults(question: &Question<'_>, message: &[u8]) -> Vec<Violation> {
    let answer = Answer::parse(message).unwrap();
    let mut faults: Vec<Fault> = Vec::new();
    question.inspect(&answer, Rules::default(), &mut faults);
    if let Err(Objection::Violation(kind, text)) = question.judge(&answer) {
        faults.push((kind, text));
    }
    faults.into_iter().map(|(kind, _)| kind).collect()
}

fn options_of(question: &Question<'_>) -> Vec<u8> {
    let mut room = [0; 600];
    let len = question.write(&mut room).unwrap();
    let mut codes = Vec::new();
    let mut rest = &room[FIXED + 4..len];
    while let [code, length, after @ ..] = rest
        && *code != 255
    {
        codes.push(*code);
        rest = &after[usize::from(*length)..];
    }
    codes
}

#[test]
fn a_right_answer_is_accepted_direct_and_relayed() {
    let manner = Manner {
        remote_id: Some(REMOTE.parse().unwrap()),
        ..Manner::default()
    };
    for relay in [None, Some(relay())] {
        for step in [Step::Request, Step::Reboot, Step::Rebind] {
            let question = question(step, relay, &manner);
            let message = answered(&question, 5);
            assert_eq!(faults(&question, &message), [], "{step:?}");
            let answer = Answer::parse(&message).unwrap();
            assert_eq!(answer.transaction, Some(0x12_3456));
            let granted = question.judge(&answer).unwrap();
            assert!(granted.committed);
            assert_eq!(granted.held.lifetime_seconds, 3600);
        }
    }
}

#[test]
fn every_wrong_answer_has_its_name() {
    type Damage = fn(&mut Vec<u8>);
    let cases: [(Damage, &[Violation]); 22] = [
        (|message| message[0] = 1, &[Violation::WrongHeader]),
        (|message| message[2] = 16, &[Violation::WrongHeader]),
        (|message| message[28] ^= 1, &[Violation::WrongClient]),
        (|message| message[40] = 1, &[Violation::WrongClient]),
        (|message| message[10] = 0x80, &[Violation::WrongFlags]),
        (|message| message[11] = 1, &[Violation::WrongFlags]),
        (|message| message[12] = 10, &[Violation::WrongCiaddr]),
        (|message| message[20] = 224, &[Violation::WrongSiaddr]),
        (|message| message[24] = 9, &[Violation::WrongRelay]),
        (|message| message[19] = 8, &[Violation::WrongAddress]),
        (|message| message[242] = 2, &[Violation::WrongType]),
        (
            |message| change(message, 61, 0x55),
            &[Violation::WrongClientId],
        ),
        (|message| remove(message, 61), &[Violation::WrongClientId]),
        (|message| remove(message, 54), &[Violation::WrongServer]),
        (|message| remove(message, 51), &[Violation::BadLifetimes]),
        (
            |message| insert(message, &[58, 4, 0, 1, 0, 0]),
            &[Violation::BadLifetimes],
        ),
        (
            |message| change(message, 82, 0x55),
            &[Violation::WrongRelayOption],
        ),
        (
            |message| remove(message, 82),
            &[Violation::WrongRelayOption],
        ),
        (
            |message| {
                let end = message.iter().rposition(|octet| *octet == 255).unwrap();
                message.splice(end..end, [1, 4, 255, 255, 255, 0]);
            },
            &[Violation::RelayOptionNotLast],
        ),
        (
            |message| insert(message, &[54, 4, 10, 0, 0, 1]),
            &[Violation::DuplicateOption],
        ),
        (
            |message| *message.last_mut().unwrap() = 7,
            &[Violation::BadEnd],
        ),
        (
            |message| {
                message[0] = 1;
                message[24] = 9;
                message[242] = 2;
            },
            &[
                Violation::WrongHeader,
                Violation::WrongRelay,
                Violation::WrongType,
            ],
        ),
    ];
    let manner = Manner {
        circuit_id: Some("olt-%04x".parse().unwrap()),
        ..Manner::default()
    };
    for (number, (damage, expected)) in cases.into_iter().enumerate() {
        let question = question(Step::Request, Some(relay()), &manner);
        let mut message = answered(&question, 5);
        damage(&mut message);
        assert_eq!(faults(&question, &message), expected, "case {number}");
    }
}

/// Changes the last octet of an option.
fn change(message: &mut [u8], code: u8, to: u8) {
    let at = FIXED + 4 + find(&message[FIXED + 4..], code).unwrap();
    let last = at + 1 + usize::from(message[at + 1]);
    message[last] = to;
}

fn remove(message: &mut Vec<u8>, code: u8) {
    let at = FIXED + 4 + find(&message[FIXED + 4..], code).unwrap();
    let end = at + 2 + usize::from(message[at + 1]);
    message.drain(at..end);
}

/// Puts an option behind the message type.
fn insert(message: &mut Vec<u8>, option: &[u8]) {
    let at = FIXED + 4 + 3;
    message.splice(at..at, option.iter().copied());
}

#[test]
fn an_answer_without_an_end_is_no_answer() {
    let manner = Manner::default();
    let question = question(Step::Request, None, &manner);
    let mut message = answered(&question, 5);
    let end = message.iter().rposition(|octet| *octet == 255).unwrap();
    message.truncate(end);
    assert_eq!(faults(&question, &message), [Violation::BadEnd]);
    message.push(51);
    assert!(Answer::parse(&message).is_err());
    message.extend([8, 0]);
    assert!(Answer::parse(&message).is_err());
}

#[test]
fn options_in_file_and_sname_are_read() {
    let manner = Manner::default();
    let question = question(Step::Request, None, &manner);
    let mut message = answered(&question, 5);
    remove(&mut message, 54);
    remove(&mut message, 51);
    insert(&mut message, &[52, 1, 3]);
    message[108..115].copy_from_slice(&[54, 4, 10, 0, 0, 1, 255]);
    message[44..51].copy_from_slice(&[51, 4, 0, 0, 0, 60, 255]);
    assert_eq!(faults(&question, &message), []);
    message[115] = 1;
    assert_eq!(faults(&question, &message), [Violation::BadEnd]);
    // Without overload these fields are texts, whatever is in them.
    let at = FIXED + 4 + find(&message[FIXED + 4..], 52).unwrap();
    message[at + 2] = 4;
    assert_eq!(faults(&question, &message), [Violation::WrongServer]);
}

#[test]
fn a_long_option_may_come_in_parts() {
    let manner = Manner::default();
    let question = question(Step::Request, None, &manner);
    let mut message = answered(&question, 5);
    for part in [[43, 200], [43, 100]] {
        let octets = vec![7; usize::from(part[1])];
        insert(&mut message, &[&part[..], &octets].concat());
    }
    assert_eq!(faults(&question, &message), []);
    insert(&mut message, &[3, 4, 10, 0, 0, 1]);
    insert(&mut message, &[3, 4, 10, 0, 0, 2]);
    assert_eq!(faults(&question, &message), [Violation::DuplicateOption]);
}

#[test]
fn a_nak_is_a_refusal_and_no_violation() {
    let manner = Manner::default();
    for step in [Step::Request, Step::Renew, Step::Rebind, Step::Reboot] {
        let question = question(step, Some(relay()), &manner);
        let mut message = answered(&question, 6);
        message[12..16].fill(0);
        if question.relay().is_some() {
            message[10] = 0x80; // set by the server
        }
        assert_eq!(faults(&question, &message), [], "{step:?}");
        let answer = Answer::parse(&message).unwrap();
        let objection = question.judge(&answer).unwrap_err();
        assert_eq!(objection, Objection::Refused("DHCPNAK"));
        message[19] = 9;
        message[23] = 9;
        assert_eq!(
            faults(&question, &message),
            [Violation::WrongSiaddr, Violation::WrongAddress]
        );
    }
}

#[test]
fn parameters_come_without_an_address_and_a_lifetime() {
    let manner = Manner::default();
    let question = question(Step::Inform, Some(relay()), &manner);
    assert!(question.relay().is_none() && question.ciaddr() == Ipv4Addr::new(10, 0, 0, 9));
    let mut message = answered(&question, 5);
    assert_eq!(faults(&question, &message), []);
    insert(&mut message, &[51, 4, 0, 0, 0, 60]);
    assert_eq!(faults(&question, &message), [Violation::BadLifetimes]);
    message[16] = 10;
    assert_eq!(faults(&question, &message), [Violation::WrongAddress]);
}

#[test]
fn the_next_server_is_that_of_the_offer() {
    let manner = Manner::default();
    let mut question = question(Step::Request, None, &manner);
    let mut message = answered(&question, 5);
    message[20..24].copy_from_slice(&[10, 0, 0, 69]);
    question.siaddr = Some(Ipv4Addr::new(10, 0, 0, 69));
    assert_eq!(faults(&question, &message), []);
    message[23] = 70;
    assert_eq!(faults(&question, &message), [Violation::WrongSiaddr]);
}

// RFC 4039 section 3.1: an ACK to a DISCOVER says that it is one.
#[test]
fn an_ack_to_a_discover_is_asked_for_and_says_so() {
    let manner = Manner {
        rapid_commit: true,
        ..Manner::default()
    };
    let asked = question(Step::Discover, None, &manner);
    assert!(options_of(&asked).contains(&80));
    let mut message = answered(&asked, 5);
    assert_eq!(faults(&asked, &message), [Violation::WrongType]);
    insert(&mut message, &[80, 0]);
    assert_eq!(faults(&asked, &message), []);
    let unasked = Manner::default();
    let unasked = question(Step::Discover, None, &unasked);
    assert_eq!(faults(&unasked, &message), [Violation::WrongType]);
}

// RFC 2131 section 4.4.1 table 5, and section 4.3.2 for the kinds of REQUEST.
#[test]
fn each_message_has_the_options_that_it_must_have() {
    let manner = Manner::default();
    let server = Duid::new(&[10, 0, 0, 1]).unwrap();
    let rows: [(Step, &[u8], bool); 8] = [
        (Step::Discover, &[53, 61, 57, 55], false),
        (Step::Request, &[53, 61, 50, 54, 57, 55], false),
        (Step::Renew, &[53, 61, 57, 55], true),
        (Step::Rebind, &[53, 61, 57, 55], true),
        (Step::Reboot, &[53, 61, 50, 57, 55], false),
        (Step::Decline, &[53, 61, 50, 54], false),
        (Step::Release, &[53, 61, 54], true),
        (Step::Inform, &[53, 61, 57, 55], true),
    ];
    for (step, options, has_ciaddr) in rows {
        let mut question = question(step, None, &manner);
        question.server_id = Some(&server);
        assert_eq!(options_of(&question), options, "{step:?}");
        assert_eq!(!question.ciaddr().is_unspecified(), has_ciaddr, "{step:?}");
    }
}

#[test]
fn who_has_an_address_asks_for_no_broadcast() {
    let manner = Manner {
        broadcast: true,
        ..Manner::default()
    };
    assert_eq!(question(Step::Discover, None, &manner).flags(), 0x8000);
    assert_eq!(question(Step::Renew, None, &manner).flags(), 0);
    let asked = question(Step::Request, None, &manner);
    let mut message = answered(&asked, 5);
    assert_eq!(faults(&asked, &message), []);
    message[10] = 0;
    assert_eq!(faults(&asked, &message), [Violation::WrongFlags]);
}
