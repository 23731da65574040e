//! Kea's examples and their like; then expressions at random.

use super::*;
use crate::class::ClassSet;
use proptest::prelude::*;

/// A packet that says what a test makes it say.
#[derive(Debug, Default)]
struct Said(Vec<(Field, Vec<u8>)>);

impl Packet for Said {
    fn field<'s>(
        &'s self,
        field: Field,
        scratch: &mut Scratch<'s>,
    ) -> Result<Option<&'s [u8]>, Failure> {
        let found = self.0.iter().find(|(known, _)| *known == field);
        let Some((_, octets)) = found else {
            return Ok(None);
        };
        // Half of what packets say does not stand in them in one piece.
        match octets.len() % 2 {
            0 => Ok(Some(octets)),
            _ => scratch.join(octets.chunks(3)).map(Some),
        }
    }
}

struct Book(Protocol);

impl Names for Book {
    fn protocol(&self) -> Protocol {
        self.0
    }

    fn option(&self, name: &str) -> Option<u16> {
        (name == "host-name").then_some(12)
    }

    fn class(&mut self, name: &str) -> Result<ClassId, String> {
        let built_in = ClassId::BUILT_IN.iter().position(|known| *known == name);
        let class = match name {
            "foobar" => Some(5),
            _ => built_in,
        };
        let class = class.and_then(ClassId::new);
        class.ok_or_else(|| format!("{name} is no class"))
    }
}

fn condition(text: &str) -> Condition {
    Condition::parse(text, &mut Book(Protocol::V4)).unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn expression(text: &str) -> Expression {
    Expression::parse(text, &mut Book(Protocol::V4)).unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn value(text: &str, packet: &Said) -> Result<Vec<u8>, Failure> {
    let mut block = [0; SCRATCH_OCTETS];
    let expression = expression(text);
    let octets = expression.evaluate(packet, &ClassSet::EMPTY, &mut Scratch::new(&mut block));
    octets.map(<[u8]>::to_vec)
}

fn holds(text: &str) -> bool {
    condition(text).holds(&Said::default(), &ClassSet::EMPTY)
}

#[test]
fn the_examples_of_keas_manual_hold() {
    for text in [
        "substring('foobar', 0, 6) == 'foobar'",
        "substring('foobar', 3, 3) == 'bar'",
        "substring('foobar', 3, all) == 'bar'",
        "substring('foobar', 1, 4) == 'ooba'",
        "substring('foobar', -5, 4) == 'ooba'",
        "substring('foobar', -1, -3) == 'oba'",
        "substring('foobar', 4, -2) == 'ob'",
        "substring('foobar', 10, 2) == ''",
        "substring('foobar', 2, -9) == 'fo'",
        "substring('foobar', -9, 2) == ''",
        "concat('foo', 'bar') == 'foobar'",
        "'abc' + 'def' + 'ghi' == concat(concat('abc', 'def'), 'ghi')",
        "split ('one.two..four', '.', 1) == 'one'",
        "split ('one.two..four', '.', 2) == 'two'",
        "split ('one.two..four', '.', 3) == ''",
        "split ('one.two..four', '.', 4) == 'four'",
        "split ('one.two..four', '.', 5) == ''",
        "split ('one.two..four', '', 5) == 'one.two..four'",
        "split ('one.two', '.', 0) == ''",
        "ifelse(option[230].exists, option[230].hex, 'none') == 'none'",
        "hexstring('foo', '-') == '66-6f-6f'",
        "hexstring(0x010203, '') == '010203'",
        "lcase('LoWeR') == 'lower'",
        "ucase('uPpEr') == 'UPPER'",
        "addrtotext(192.10.0.1) == '192.10.0.1'",
        "addrtotext(2003:db8::) == '2003:db8::'",
        "addrtotext('') == ''",
        "int8totext(-1) == '-1'",
        "int8totext(0xff) == '-1'",
        "int16totext(-1) == '-1'",
        "int32totext(-1) == '-1'",
        "uint8totext(255) == '255'",
        "uint16totext(0xffff) == '65535'",
        "uint32totext(4294967295) == '4294967295'",
        "uint32totext('') == ''",
        "123 == 0x0000007b",
        "0x123 == 0x0123",
        "0x5a7d == 'Z}'",
        "10.0.0.1 == 0x0a000001",
        "not ('foo' == 'bar')",
        "not 'foo' == 'bar'",
        "match('foo.*', lcase('FooBar'))",
        "match('.*foo.*', 'is it foo or bar')",
        "('foo' == 'foo') and 'a' == 'a' or 'a' == 'b'",
        "not ('a' == 'b' and 'a' == 'a' or 'a' == 'b')",
        "('a' + 'b') == 'ab'",
        "ifelse('a' == 'b' or not unknown, 'x', 'y') == 'y'",
    ] {
        assert!(holds(text), "{text}");
    }
}

#[test]
fn and_binds_tighter_than_or_and_not_tighter_than_both() {
    assert!(holds("'a' == 'a' or 'a' == 'a' and 'a' == 'b'"));
    assert!(!holds("('a' == 'a' or 'a' == 'a') and 'a' == 'b'"));
    assert!(!holds("not 'a' == 'a' and 'a' == 'b'"));
    assert!(holds("not 'a' == 'b' or 'a' == 'b'"));
}

#[test]
fn fields_are_what_the_packet_says_and_empty_if_it_says_nothing() {
    let packet = Said(vec![
        (Field::Option(60), b"docsis3.0\0\0".to_vec()),
        (Field::Option(12), Vec::new()),
        (Field::SubOption(82, 1), vec![1, 2, 3]),
        (Field::VendorClassData(Vendor(None), 3), b"x".to_vec()),
    ]);
    let holds = |text: &str| condition(text).holds(&packet, &ClassSet::EMPTY);
    assert!(holds("option[60].text == 'docsis3.0'"));
    assert!(holds("option[60].hex == 'docsis3.0' + 0x0000"));
    assert!(holds("option[host-name].exists and option[12].hex == ''"));
    assert!(holds("option[82].option[1].hex == 0x010203"));
    assert!(holds("vendor-class[0].data[3] == 'x'"));
    assert!(holds("not option[61].exists and option[61].hex == ''"));
    assert!(holds(
        "relay4[1].hex == '' and not vendor[4491].option[1].exists"
    ));
}

#[test]
fn membership_is_that_of_the_client_so_far() {
    let known: ClassSet = [ClassId::KNOWN].into_iter().collect();
    let foobar: ClassSet = ClassId::new(5).into_iter().collect();
    let packet = Said::default();
    assert!(condition("known").holds(&packet, &known));
    assert!(condition("unknown").holds(&packet, &foobar));
    assert!(condition("member('foobar')").holds(&packet, &foobar));
    assert!(!condition("member('KNOWN')").holds(&packet, &foobar));
    assert_eq!(condition("member('KNOWN')"), condition("known"));
    assert_eq!(condition("not known"), condition("unknown"));
}

#[test]
fn what_cannot_be_computed_is_false_as_a_whole() {
    assert_eq!(
        value("addrtotext('five5')", &Said::default()),
        Err(Failure::Length { got: 5 })
    );
    assert!(!holds("addrtotext('five5') == ''"));
    assert!(!holds("not (addrtotext('five5') == '')"));
    assert!(!holds("int16totext(0x01) == '1'"));
}

#[test]
fn what_does_not_fit_the_scratch_is_refused_and_not_cut() {
    let packet = Said(vec![(Field::Option(1), vec![7; 1001])]);
    let doubled = value("option[1].hex + ''", &packet);
    assert_eq!(doubled, Ok(vec![7; 1001]));
    for text in [
        "option[1].hex + option[1].hex",
        "hexstring(option[1].hex, ':')",
        "ucase(lcase(option[1].hex))",
    ] {
        assert_eq!(value(text, &packet), Err(Failure::NoRoom), "{text}");
    }
}

#[test]
fn mistakes_are_named_where_they_are() {
    let v4 = [
        ("", 0, "a value or a condition"),
        ("option[61].hex", 0, "compare it with =="),
        ("option[61]", 10, "`.`"),
        ("option[61].hexx == 'a'", 11, "hex, text or exists"),
        ("option[256].exists", 7, "0 to 255"),
        ("option[nonsense].exists", 7, "use its number"),
        ("relay6[0].peeraddr == ::1", 0, "belongs to DHCPv6"),
        ("pkt6.msgtype == 1", 0, "belongs to DHCPv6"),
        ("pkt4.nonsense == 1", 5, "mac, hlen"),
        ("member('nobody')", 7, "nobody is no class"),
        ("member(nobody)", 7, "in single quotes"),
        ("match('(', 'a')", 6, "no regular expression"),
        ("'a' == ('b' == 'c')", 7, "value is needed"),
        ("not 'a'", 4, "true or false"),
        ("'a' and 'b' == 'c'", 0, "true or false"),
        ("'a' == 'b' 'c'", 11, "`and`, `or`"),
        ("(known", 6, "`)`"),
        ("substring('a', 'b', 1) == 'c'", 15, "a number"),
        ("known and", 9, "its end"),
        ("known and and", 10, "in front of `and`"),
        ("frobnicate('a')", 0, "is not known"),
        ("int8totext(128) == ''", 10, "-128 to 127"),
        ("true", 0, "leave `test` out"),
        ("vendor[1].data", 10, "exists"),
        ("'a' = 'b'", 4, "compare with =="),
    ];
    for (text, offset, words) in v4 {
        let error = Condition::parse(text, &mut Book(Protocol::V4)).unwrap_err();
        assert_eq!(error.offset, offset, "{text}: {error}");
        assert!(error.message.contains(words), "{text}: {error}");
    }
    let error = Condition::parse("relay4[1].exists", &mut Book(Protocol::V6)).unwrap_err();
    assert!(error.message.contains("belongs to DHCPv4"), "{error}");
    let error = Expression::parse("known", &mut Book(Protocol::V6)).unwrap_err();
    assert!(error.message.contains("ifelse"), "{error}");
    let text = "'ä' = 'b'";
    let error = Condition::parse(text, &mut Book(Protocol::V4)).unwrap_err();
    let described = error.described(text);
    assert!(described.starts_with("at character 5 of"), "{described}");
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |levels: usize| {
        let open = "(".repeat(levels);
        format!("{open}known{}", ")".repeat(levels))
    };
    let parse = |text: &str| Condition::parse(text, &mut Book(Protocol::V4));
    assert!(parse(&nested(DEPTH_MAX)).is_ok());
    let error = parse(&nested(DEPTH_MAX + 1)).unwrap_err();
    assert!(error.message.contains("levels"), "{error}");
    assert!(parse(&"not ".repeat(100_000)).is_err());
    let long = |parts: usize| vec!["known"; parts].join(" or ");
    assert!(parse(&long(NODES_MAX / 2)).is_ok());
    let error = parse(&long(NODES_MAX)).unwrap_err();
    assert!(error.message.contains("operators"), "{error}");
}

fn literals() -> impl Strategy<Value = Literal> {
    prop_oneof![
        "[ -&(-~]{0,8}".prop_map(|text| Literal::Text(text.into())),
        proptest::collection::vec(any::<u8>(), 1..6).prop_map(|it| Literal::Hex(it.into())),
        (i64::from(i32::MIN)..=i64::from(u32::MAX)).prop_map(Literal::Integer),
        any::<[u8; 4]>().prop_map(|octets| Literal::Address(IpAddr::from(octets))),
        any::<[u8; 16]>().prop_map(|octets| Literal::Address(IpAddr::from(octets))),
    ]
}

fn options(protocol: Protocol) -> BoxedStrategy<Field> {
    let vendor = || {
        prop_oneof![
            Just(Vendor(None)),
            (1..9u32).prop_map(|it| Vendor(Some(it)))
        ]
    };
    let common = prop_oneof![
        (0..256u16).prop_map(Field::Option),
        (0..256u16, 0..256u16).prop_map(|(code, inner)| Field::SubOption(code, inner)),
        (vendor(), 0..256u16).prop_map(|(vendor, code)| Field::VendorOption(vendor, code)),
    ];
    match protocol {
        Protocol::V4 => prop_oneof![common, any::<u8>().prop_map(Field::Relay4)].boxed(),
        Protocol::V6 => {
            let relay = (-8..8i8, any::<u16>());
            let relay = relay.prop_map(|(level, code)| Field::Relay6Option(level, code));
            prop_oneof![common, relay].boxed()
        }
    }
}

fn plain_fields(protocol: Protocol) -> BoxedStrategy<Field> {
    let common = prop_oneof![
        Just(Field::Interface),
        Just(Field::Source),
        Just(Field::Destination),
        Just(Field::Length),
        Just(Field::MessageType(protocol)),
        Just(Field::TransactionId(protocol)),
        Just(Field::VendorEnterprise),
        Just(Field::VendorClassEnterprise),
        (1..9u32, any::<u8>()).prop_map(|(it, n)| Field::VendorClassData(Vendor(Some(it)), n)),
    ];
    match protocol {
        Protocol::V4 => prop_oneof![
            common,
            Just(Field::HardwareAddress),
            Just(Field::HardwareLength),
            Just(Field::HardwareType),
            Just(Field::Ciaddr),
            Just(Field::Giaddr),
            Just(Field::Yiaddr),
            Just(Field::Siaddr),
        ]
        .boxed(),
        Protocol::V6 => prop_oneof![
            common,
            (-8..8i8).prop_map(Field::Relay6Peer),
            (-8..8i8).prop_map(Field::Relay6Link),
        ]
        .boxed(),
    }
}

fn leaf_conditions(protocol: Protocol) -> impl Strategy<Value = Condition> {
    prop_oneof![
        options(protocol).prop_map(Condition::Exists),
        Just(Condition::Exists(Field::Vendor(Vendor(None)))),
        Just(Condition::Exists(Field::VendorClass(Vendor(Some(7))))),
        Just(condition("known")),
        Just(condition("member('foobar')")),
    ]
}

/// Values, and conditions within them, a few levels deep.
fn expressions(protocol: Protocol) -> BoxedStrategy<Expression> {
    let leaf = prop_oneof![
        literals().prop_map(Expression::Literal),
        options(protocol).prop_map(Expression::Hex),
        options(protocol).prop_map(Expression::Text),
        plain_fields(protocol).prop_map(Expression::Hex),
    ];
    leaf.prop_recursive(4, 24, 3, move |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        let pair = || (inner.clone(), inner.clone()).prop_map(Box::new);
        let wide = proptest::sample::select(vec![1usize, 2, 4]);
        let part = inner
            .clone()
            .prop_filter("flat", |it| !matches!(it, Expression::Concat(_)));
        // A literal number is printed as it is and may not fit the function: it stays out of those.
        let unwritten = inner.clone().prop_filter("not written", |it| {
            !matches!(it, Expression::Literal(Literal::Integer(_)))
        });
        prop_oneof![
            (boxed(), -9..9i64, proptest::option::of(-9..9i64))
                .prop_map(|(of, start, length)| Expression::Substring { of, start, length }),
            proptest::collection::vec(part, 2..20).prop_map(Expression::Concat),
            (
                conditions(protocol, inner.clone()),
                inner.clone(),
                inner.clone()
            )
                .prop_map(|parts| Expression::Ifelse(Box::new(parts))),
            pair().prop_map(Expression::Hexstring),
            (pair(), -2..9i64).prop_map(|(of, field)| Expression::Split { of, field }),
            boxed().prop_map(|of| Expression::Case(Case::Lower, of)),
            boxed().prop_map(|of| Expression::Case(Case::Upper, of)),
            boxed().prop_map(Expression::AddressToText),
            (wide, any::<bool>(), unwritten).prop_map(|(octets, is_signed, of)| {
                Expression::IntegerToText(Integer { octets, is_signed }, Box::new(of))
            }),
        ]
    })
    .boxed()
}

fn conditions(
    protocol: Protocol,
    values: impl Strategy<Value = Expression> + Clone + 'static,
) -> impl Strategy<Value = Condition> {
    let pattern = Pattern::new("a.*[0-9]|\\x00+").unwrap();
    let leaf = prop_oneof![
        leaf_conditions(protocol),
        (values.clone(), values.clone()).prop_map(|(one, other)| Condition::Equal(one, other)),
        values.prop_map(move |of| Condition::Match(pattern.clone(), of)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let not_and = inner
            .clone()
            .prop_filter("flat", |it| !matches!(it, Condition::And(_)));
        let not_or = inner
            .clone()
            .prop_filter("flat", |it| !matches!(it, Condition::Or(_)));
        prop_oneof![
            inner.prop_map(|it| Condition::Not(Box::new(it))),
            proptest::collection::vec(not_and, 2..4).prop_map(Condition::And),
            proptest::collection::vec(not_or, 2..4).prop_map(Condition::Or),
        ]
    })
}

fn packets() -> impl Strategy<Value = Said> {
    let fields = prop_oneof![
        options(Protocol::V4),
        options(Protocol::V6),
        plain_fields(Protocol::V4),
        plain_fields(Protocol::V6)
    ];
    let octets = proptest::collection::vec(any::<u8>(), 0..300);
    proptest::collection::vec((fields, octets), 0..60).prop_map(Said)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 400 }))]

    #[test]
    fn what_is_printed_is_parsed_to_the_same(
        v4 in conditions(Protocol::V4, expressions(Protocol::V4)),
        v6 in conditions(Protocol::V6, expressions(Protocol::V6)),
    ) {
        for (protocol, condition) in [(Protocol::V4, v4), (Protocol::V6, v6)] {
            let text = condition.to_string();
            let parsed = Condition::parse(&text, &mut Book(protocol));
            prop_assert_eq!(parsed, Ok(condition), "{}", text);
        }
    }

    #[test]
    fn evaluation_ends_in_a_value_or_a_failure(
        expression in expressions(Protocol::V4),
        condition in conditions(Protocol::V6, expressions(Protocol::V6)),
        packet in packets(),
    ) {
        let mut block = [0; SCRATCH_OCTETS];
        let value = expression.evaluate(&packet, &ClassSet::EMPTY, &mut Scratch::new(&mut block));
        prop_assert!(value.is_ok_and(|it| it.len() <= SCRATCH_OCTETS.max(300)) || value.is_err());
        let mut block = [0; SCRATCH_OCTETS];
        let held = condition.evaluate(&packet, &ClassSet::EMPTY, &mut Scratch::new(&mut block));
        prop_assert_eq!(condition.holds(&packet, &ClassSet::EMPTY), held.unwrap_or(false));
    }

    #[test]
    fn any_text_is_read_or_refused_inside_of_itself(text in "\\PC{0,60}", words in proptest::collection::vec(
        proptest::sample::select(vec![
            "option", "[", "]", ".", "hex", "text", "exists", "(", ")", "'a'", "0x01", "1", "-1", "==", "and",
            "or", "not", "known", "member", "substring", ",", "all", "+", "concat", "pkt4", "mac", "10.0.0.1",
            "vendor", "*", "ifelse", "match", "61",
        ]), 0..24))
    {
        for text in [text, words.join(" ")] {
            match Condition::parse(&text, &mut Book(Protocol::V4)) {
                Ok(condition) => {
                    let again = Condition::parse(&condition.to_string(), &mut Book(Protocol::V4));
                    prop_assert_eq!(again, Ok(condition));
                }
                Err(error) => prop_assert!(error.offset <= text.len() && !error.message.is_empty()),
            }
        }
    }
}

#[test]
fn what_an_expression_looks_at_is_known() {
    let mut agent = |asked| asked == Asked::Field(Field::Relay4(1));
    for (text, asks) in [
        ("'a'", false),
        ("option[61].hex", false),
        ("relay4[1].hex", true),
        ("substring(lcase(relay4[1].text), 0, 3)", true),
        ("option[61].hex + 'a' + relay4[1].hex", true),
        ("hexstring(relay4[1].hex, ':')", true),
        ("hexstring(option[61].hex, relay4[1].hex)", true),
        ("split(option[61].hex, ':', 1)", false),
        ("addrtotext(relay4[1].hex)", true),
        ("int8totext(relay4[1].hex)", true),
        ("ifelse(relay4[1].exists, 'a', 'b')", true),
        ("ifelse(member('foobar'), 'a', relay4[1].hex)", true),
        ("ifelse(known, relay4[1].hex, 'b')", true),
        (
            "ifelse(not (option[1].exists and option[2].hex == relay4[1].hex), 'a', 'b')",
            true,
        ),
        (
            "ifelse(option[1].exists or match('a+', relay4[1].hex), 'a', 'b')",
            true,
        ),
        (
            "ifelse(option[1].exists or match('a+', relay4[2].hex), 'a', 'b')",
            false,
        ),
    ] {
        assert_eq!(expression(text).asks_for(&mut agent), asks, "{text}");
    }
    let mut member = |asked| matches!(asked, Asked::Class(_));
    assert!(expression("ifelse(member('foobar'), 'a', 'b')").asks_for(&mut member));
    assert!(!expression("ifelse(option[1].exists, 'a', 'b')").asks_for(&mut member));
}
