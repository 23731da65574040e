//! What a packet says: `option[61].hex`, `relay6[0].peeraddr`, `pkt4.mac` and their like.

use super::{Node, Parser, Token};
use crate::expression::packet::{Field, Protocol, Vendor};
use crate::expression::{Condition, Expression, SyntaxError};
use dhcp_wire::v6::HOP_COUNT_LIMIT;

impl Parser<'_, '_> {
    /// The field that a keyword begins, which has just been read.
    pub(super) fn field(&mut self, word: &str, start: usize) -> Result<Node, SyntaxError> {
        match word {
            "option" => self.option(),
            "relay4" => {
                self.only(Protocol::V4, word, start)?;
                let code = self.in_brackets(|this| this.code(255))?;
                self.represented(Field::Relay4(code as u8)) // 255 at most
            }
            "relay6" => {
                self.only(Protocol::V6, word, start)?;
                self.relay6()
            }
            "pkt4" => {
                self.only(Protocol::V4, word, start)?;
                self.header(Protocol::V4, &PKT4)
            }
            "pkt6" => {
                self.only(Protocol::V6, word, start)?;
                self.header(Protocol::V6, &PKT6)
            }
            "vendor" => self.vendor(),
            "vendor-class" => self.vendor_class(),
            _ => self.header(self.names.protocol(), &PKT),
        }
    }

    fn only(&self, protocol: Protocol, word: &str, start: usize) -> Result<(), SyntaxError> {
        if self.names.protocol() == protocol {
            return Ok(());
        }
        let (this, other) = match protocol {
            Protocol::V4 => ("DHCPv4", "DHCPv6"),
            Protocol::V6 => ("DHCPv6", "DHCPv4"),
        };
        let message = format!("`{word}` belongs to {this}, and this is for {other}; leave it out");
        Err(SyntaxError::at(start, message))
    }

    fn option(&mut self) -> Result<Node, SyntaxError> {
        let code_max = self.code_max();
        let code = self.in_brackets(|this| this.code_or_name(code_max))?;
        self.sign(".")?;
        if self.token != Token::Word("option") {
            return self.representation(Field::Option(code));
        }
        self.advance()?;
        let inner = self.in_brackets(|this| this.code(code_max))?;
        self.represented(Field::SubOption(code, inner))
    }

    fn relay6(&mut self) -> Result<Node, SyntaxError> {
        let level = self.in_brackets(Self::level)?;
        self.sign(".")?;
        let field = match self.token {
            Token::Word("peeraddr") => Field::Relay6Peer(level),
            Token::Word("linkaddr") => Field::Relay6Link(level),
            Token::Word("option") => {
                self.advance()?;
                let code = self.in_brackets(|this| this.code_or_name(u16::MAX))?;
                return self.represented(Field::Relay6Option(level, code));
            }
            _ => return Err(self.expected("option, peeraddr or linkaddr")),
        };
        self.advance()?;
        Ok(value(field))
    }

    fn vendor(&mut self) -> Result<Node, SyntaxError> {
        if self.token == Token::Sign(".") {
            self.advance()?;
            return self.keyword("enterprise", value(Field::VendorEnterprise));
        }
        let vendor = self.in_brackets(Self::enterprise)?;
        self.sign(".")?;
        if self.token != Token::Word("option") {
            let exists = Node::Condition(Condition::Exists(Field::Vendor(vendor)));
            return self.keyword("exists", exists);
        }
        self.advance()?;
        let code_max = self.code_max();
        let code = self.in_brackets(|this| this.code(code_max))?;
        self.represented(Field::VendorOption(vendor, code))
    }

    fn vendor_class(&mut self) -> Result<Node, SyntaxError> {
        if self.token == Token::Sign(".") {
            self.advance()?;
            return self.keyword("enterprise", value(Field::VendorClassEnterprise));
        }
        let vendor = self.in_brackets(Self::enterprise)?;
        self.sign(".")?;
        if self.token != Token::Word("data") {
            let exists = Node::Condition(Condition::Exists(Field::VendorClass(vendor)));
            return self.keyword("exists", exists);
        }
        self.advance()?;
        let index = match self.token {
            Token::Sign("[") => self.in_brackets(|this| this.code(255))?,
            _ => 0,
        };
        Ok(value(Field::VendorClassData(vendor, index as u8))) // 255 at most
    }

    /// One of the fields of `fields`, behind a dot.
    fn header(&mut self, protocol: Protocol, fields: &[Named]) -> Result<Node, SyntaxError> {
        self.sign(".")?;
        let found = match self.token {
            Token::Word(word) => fields.iter().find(|(name, _)| *name == word),
            _ => None,
        };
        let Some((_, field)) = found else {
            let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
            return Err(self.expected(format_args!("one of {}", names.join(", "))));
        };
        self.advance()?;
        Ok(value(field(protocol)))
    }

    /// An option with what is wanted of it behind a dot.
    fn represented(&mut self, field: Field) -> Result<Node, SyntaxError> {
        self.sign(".")?;
        self.representation(field)
    }

    fn representation(&mut self, field: Field) -> Result<Node, SyntaxError> {
        let node = match self.token {
            Token::Word("hex") => Node::Expression(Expression::Hex(field)),
            Token::Word("text") => Node::Expression(Expression::Text(field)),
            Token::Word("exists") => Node::Condition(Condition::Exists(field)),
            _ => return Err(self.expected("hex, text or exists")),
        };
        self.advance()?;
        Ok(node)
    }

    fn keyword(&mut self, word: &'static str, node: Node) -> Result<Node, SyntaxError> {
        if self.token != Token::Word(word) {
            return Err(self.expected(word));
        }
        self.advance()?;
        Ok(node)
    }

    fn in_brackets<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        self.sign("[")?;
        let read = read(self)?;
        self.sign("]")?;
        Ok(read)
    }

    fn code_max(&self) -> u16 {
        match self.names.protocol() {
            Protocol::V4 => 255,
            Protocol::V6 => u16::MAX,
        }
    }

    fn code_or_name(&mut self, code_max: u16) -> Result<u16, SyntaxError> {
        let Token::Word(name) = self.token else {
            return self.code(code_max);
        };
        let code = self.names.option(name).ok_or_else(|| {
            let message = format!("no option has the name {name}; use its number");
            SyntaxError::at(self.offset, message)
        })?;
        self.advance()?;
        Ok(code)
    }

    fn code(&mut self, code_max: u16) -> Result<u16, SyntaxError> {
        self.ranged(0, i64::from(code_max), "the number of an option")
            .map(|number| number as u16) // `code_max` at most
    }

    fn level(&mut self) -> Result<i8, SyntaxError> {
        let most = HOP_COUNT_LIMIT as i64 - 1; // 7
        self.ranged(-most - 1, most, "the level of a relay agent")
            .map(|number| number as i8) // of the range
    }

    fn enterprise(&mut self) -> Result<Vendor, SyntaxError> {
        if self.token == Token::Sign("*") {
            self.advance()?;
            return Ok(Vendor(None));
        }
        let number = self.ranged(0, i64::from(u32::MAX), "an enterprise number, or *")?;
        Ok(Vendor((number != 0).then_some(number as u32))) // of the range
    }

    fn ranged(&mut self, least: i64, most: i64, what: &str) -> Result<i64, SyntaxError> {
        let start = self.offset;
        let number = self.number(what)?;
        if (least..=most).contains(&number) {
            return Ok(number);
        }
        let message = format!("{number} is not {what}; it must be {least} to {most}");
        Err(SyntaxError::at(start, message))
    }
}

fn value(field: Field) -> Node {
    Node::Expression(Expression::Hex(field))
}

/// A field by its name; what both protocols have is of the one that the expression is about.
type Named = (&'static str, fn(Protocol) -> Field);

const PKT: [Named; 4] = [
    ("iface", |_| Field::Interface),
    ("src", |_| Field::Source),
    ("dst", |_| Field::Destination),
    ("len", |_| Field::Length),
];

const PKT4: [Named; 9] = [
    ("mac", |_| Field::HardwareAddress),
    ("hlen", |_| Field::HardwareLength),
    ("htype", |_| Field::HardwareType),
    ("ciaddr", |_| Field::Ciaddr),
    ("giaddr", |_| Field::Giaddr),
    ("yiaddr", |_| Field::Yiaddr),
    ("siaddr", |_| Field::Siaddr),
    ("msgtype", Field::MessageType),
    ("transid", Field::TransactionId),
];

const PKT6: [Named; 2] = [
    ("msgtype", Field::MessageType),
    ("transid", Field::TransactionId),
];
