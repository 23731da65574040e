//! Words to a tree: every operator gets what it can work with, or the operator of the server is told where not.
//!
//! From the loosest to the tightest: `or`, `and`, `not`, `==`, `+`. That is Kea's precedence.

use super::lexer::{Lexer, Token};
use super::packet::Protocol;
use super::{
    Case, Condition, DEPTH_MAX, Expression, Integer, Literal, NODES_MAX, Pattern, SyntaxError,
};
use crate::class::ClassId;
use core::fmt::Display;

mod fields;

/// What the names in an expression stand for.
pub trait Names {
    /// Which protocol the expression is about.
    fn protocol(&self) -> Protocol;

    /// The code of the option with this name.
    fn option(&self, name: &str) -> Option<u16>;

    /// The class with this name, for `member`.
    ///
    /// # Errors
    /// What is wrong with asking for it, in words.
    fn class(&mut self, name: &str) -> Result<ClassId, String>;
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str, names: &mut dyn Names) -> Result<Self, SyntaxError> {
        Parser::new(text, names)?.whole(Node::condition)
    }
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str, names: &mut dyn Names) -> Result<Self, SyntaxError> {
        Parser::new(text, names)?.whole(Node::expression)
    }
}

/// A part of an expression: of which of the two kinds is known only when it has been read.
enum Node {
    Condition(Condition),
    Expression(Expression),
}

impl Node {
    fn condition(self, offset: usize) -> Result<Condition, SyntaxError> {
        match self {
            Self::Condition(condition) => Ok(condition),
            Self::Expression(_) => Err(SyntaxError::at(
                offset,
                "here begins a value where true or false is needed; compare it with ==, or ask an \
                 option for .exists",
            )),
        }
    }

    fn expression(self, offset: usize) -> Result<Expression, SyntaxError> {
        match self {
            Self::Expression(expression) => Ok(expression),
            Self::Condition(_) => Err(SyntaxError::at(
                offset,
                "here begins something that is true or false where a value is needed; make one of \
                 it with ifelse(..., ..., ...)",
            )),
        }
    }
}

struct Parser<'t, 'n> {
    lexer: Lexer<'t>,
    names: &'n mut dyn Names,
    /// The next word, and where it begins.
    token: Token<'t>,
    offset: usize,
    nodes: usize,
    depth: usize,
}

impl<'t, 'n> Parser<'t, 'n> {
    fn new(text: &'t str, names: &'n mut dyn Names) -> Result<Self, SyntaxError> {
        let mut lexer = Lexer::new(text);
        let (token, offset) = lexer.next()?;
        Ok(Self {
            lexer,
            names,
            token,
            offset,
            nodes: 0,
            depth: 0,
        })
    }

    fn whole<T>(
        mut self,
        kind: impl FnOnce(Node, usize) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        let start = self.offset;
        let node = self.disjunction()?;
        if self.token != Token::End {
            return Err(self.expected("`and`, `or`, `==`, `+` or the end"));
        }
        kind(node, start)
    }

    fn disjunction(&mut self) -> Result<Node, SyntaxError> {
        self.chain("or", Self::conjunction, |parts| {
            let flat = |part| match part {
                Condition::Or(inner) => inner,
                other => vec![other],
            };
            Condition::Or(parts.into_iter().flat_map(flat).collect())
        })
    }

    fn conjunction(&mut self) -> Result<Node, SyntaxError> {
        self.chain("and", Self::negation, |parts| {
            let flat = |part| match part {
                Condition::And(inner) => inner,
                other => vec![other],
            };
            Condition::And(parts.into_iter().flat_map(flat).collect())
        })
    }

    /// Conditions with a word between them; or a single one, or a value, as it is.
    fn chain(
        &mut self,
        word: &'static str,
        part: impl Fn(&mut Self) -> Result<Node, SyntaxError>,
        join: impl FnOnce(Vec<Condition>) -> Condition,
    ) -> Result<Node, SyntaxError> {
        let start = self.offset;
        let first = part(self)?;
        if self.token != Token::Word(word) {
            return Ok(first);
        }
        let mut parts = vec![first.condition(start)?];
        while self.token == Token::Word(word) {
            self.advance()?;
            self.count()?;
            let start = self.offset;
            parts.push(part(self)?.condition(start)?);
        }
        Ok(Node::Condition(join(parts)))
    }

    fn negation(&mut self) -> Result<Node, SyntaxError> {
        if self.token != Token::Word("not") {
            return self.comparison();
        }
        self.advance()?;
        self.count()?;
        let start = self.offset;
        let inner = self.nested(Self::negation)?.condition(start)?;
        Ok(Node::Condition(Condition::Not(Box::new(inner))))
    }

    fn comparison(&mut self) -> Result<Node, SyntaxError> {
        let start = self.offset;
        let one = self.sum()?;
        if self.token != Token::Sign("==") {
            return Ok(one);
        }
        let one = one.expression(start)?;
        self.advance()?;
        self.count()?;
        let start = self.offset;
        let other = self.sum()?.expression(start)?;
        Ok(Node::Condition(Condition::Equal(one, other)))
    }

    fn sum(&mut self) -> Result<Node, SyntaxError> {
        let start = self.offset;
        let first = self.primary()?;
        if self.token != Token::Sign("+") {
            return Ok(first);
        }
        let mut sum = first.expression(start)?;
        while self.token == Token::Sign("+") {
            self.advance()?;
            self.count()?;
            let start = self.offset;
            sum = concat(sum, self.primary()?.expression(start)?);
        }
        Ok(Node::Expression(sum))
    }

    fn primary(&mut self) -> Result<Node, SyntaxError> {
        self.count()?;
        let (token, start) = (self.token, self.offset);
        self.advance()?;
        let literal = |literal| Ok(Node::Expression(Expression::Literal(literal)));
        match token {
            Token::Sign("(") => {
                let inner = self.nested(Self::disjunction)?;
                self.sign(")")?;
                Ok(inner)
            }
            Token::Text(text) => literal(Literal::Text(text.into())),
            Token::Hex(digits) => literal(Literal::Hex(octets(digits))),
            Token::Integer(number) => literal(Literal::Integer(number)),
            Token::Address(address) => literal(Literal::Address(address)),
            Token::Word(word) => self.word(word, start),
            Token::Sign(_) | Token::End => {
                (self.token, self.offset) = (token, start);
                Err(self.expected("a value or a condition"))
            }
        }
    }

    /// What a keyword begins, which has just been read.
    fn word(&mut self, word: &'t str, start: usize) -> Result<Node, SyntaxError> {
        match word {
            "option" | "relay4" | "relay6" | "pkt" | "pkt4" | "pkt6" | "vendor"
            | "vendor-class" => self.field(word, start),
            "known" => self.known(start).map(Node::Condition),
            "unknown" => {
                let known = self.known(start)?;
                Ok(Node::Condition(Condition::Not(Box::new(known))))
            }
            "member" => self.member(),
            "match" => self.pattern(),
            _ => {
                let function = self.function(word, start);
                function.map(Node::Expression)
            }
        }
    }

    fn known(&mut self, start: usize) -> Result<Condition, SyntaxError> {
        const KNOWN: &str = "KNOWN";
        let class = self.names.class(KNOWN);
        let class = class.map_err(|message| SyntaxError::at(start, message))?;
        let name = KNOWN.into();
        Ok(Condition::Member { class, name })
    }

    fn member(&mut self) -> Result<Node, SyntaxError> {
        self.sign("(")?;
        let start = self.offset;
        let name = self.quoted("the name of a class in single quotes")?;
        let class = self.names.class(name);
        let class = class.map_err(|message| SyntaxError::at(start, message))?;
        self.sign(")")?;
        let name = name.into();
        Ok(Node::Condition(Condition::Member { class, name }))
    }

    fn pattern(&mut self) -> Result<Node, SyntaxError> {
        self.sign("(")?;
        let start = self.offset;
        let source = self.quoted("a regular expression in single quotes")?;
        let pattern = Pattern::new(source).map_err(|message| SyntaxError::at(start, message))?;
        self.sign(",")?;
        let of = self.argument()?;
        self.sign(")")?;
        Ok(Node::Condition(Condition::Match(pattern, of)))
    }

    /// What a function makes of its arguments.
    fn function(&mut self, word: &str, start: usize) -> Result<Expression, SyntaxError> {
        let integer = |octets, is_signed| Some(Integer { octets, is_signed });
        let integer = match word {
            "substring" => return self.arguments(Self::substring),
            "split" => return self.arguments(Self::split),
            "concat" => return self.arguments(|this| Ok(concat(this.first()?, this.argument()?))),
            "hexstring" => {
                return self.arguments(|this| {
                    let parts = (this.first()?, this.argument()?);
                    Ok(Expression::Hexstring(Box::new(parts)))
                });
            }
            "ifelse" => return self.arguments(Self::ifelse),
            "lcase" => return self.one_argument(|of| Expression::Case(Case::Lower, of)),
            "ucase" => return self.one_argument(|of| Expression::Case(Case::Upper, of)),
            "addrtotext" => return self.one_argument(Expression::AddressToText),
            "int8totext" => integer(1, true),
            "int16totext" => integer(2, true),
            "int32totext" => integer(4, true),
            "uint8totext" => integer(1, false),
            "uint16totext" => integer(2, false),
            "uint32totext" => integer(4, false),
            _ => None,
        };
        match integer {
            Some(integer) => {
                let inside = self.offset;
                let made = self.one_argument(|of| Expression::IntegerToText(integer, of))?;
                check_integer(integer, &made, inside)?;
                Ok(made)
            }
            None => Err(SyntaxError::at(start, unknown_word(word))),
        }
    }

    fn substring(&mut self) -> Result<Expression, SyntaxError> {
        let of = Box::new(self.first()?);
        let start = self.number("where to begin")?;
        self.sign(",")?;
        let length = match self.token {
            Token::Word("all") => {
                self.advance()?;
                None
            }
            _ => Some(self.number("how many octets, or all")?),
        };
        Ok(Expression::Substring { of, start, length })
    }

    fn split(&mut self) -> Result<Expression, SyntaxError> {
        let of = Box::new((self.first()?, self.first()?));
        let field = self.number("the number of a field")?;
        Ok(Expression::Split { of, field })
    }

    fn ifelse(&mut self) -> Result<Expression, SyntaxError> {
        let start = self.offset;
        let condition = self.disjunction()?.condition(start)?;
        self.sign(",")?;
        let parts = (condition, self.first()?, self.argument()?);
        Ok(Expression::Ifelse(Box::new(parts)))
    }

    /// A value with a comma behind it.
    fn first(&mut self) -> Result<Expression, SyntaxError> {
        let value = self.argument()?;
        self.sign(",")?;
        Ok(value)
    }

    /// A value.
    fn argument(&mut self) -> Result<Expression, SyntaxError> {
        let start = self.offset;
        self.nested(Self::disjunction)?.expression(start)
    }

    /// Arguments in parentheses.
    fn arguments<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        self.sign("(")?;
        let read = self.nested(read)?;
        self.sign(")")?;
        Ok(read)
    }

    fn one_argument(
        &mut self,
        make: impl FnOnce(Box<Expression>) -> Expression,
    ) -> Result<Expression, SyntaxError> {
        let of = self.arguments(Self::argument)?;
        Ok(make(Box::new(of)))
    }

    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.depth == DEPTH_MAX {
            let message = format!(
                "more than {DEPTH_MAX} levels of parentheses, functions and negations; make a class of \
                 a part of it and ask for member('...')"
            );
            return Err(SyntaxError::at(self.offset, message));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn count(&mut self) -> Result<(), SyntaxError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let message = format!(
                "more than {NODES_MAX} operators, functions and values; make a class of a part of it and \
                 ask for member('...')"
            );
            return Err(SyntaxError::at(self.offset, message));
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<(), SyntaxError> {
        (self.token, self.offset) = self.lexer.next()?;
        Ok(())
    }

    fn sign(&mut self, sign: &'static str) -> Result<(), SyntaxError> {
        if self.token != Token::Sign(sign) {
            return Err(self.expected(format_args!("`{sign}`")));
        }
        self.advance()
    }

    fn quoted(&mut self, what: &str) -> Result<&'t str, SyntaxError> {
        let Token::Text(text) = self.token else {
            return Err(self.expected(what));
        };
        self.advance()?;
        Ok(text)
    }

    fn number(&mut self, what: &str) -> Result<i64, SyntaxError> {
        let Token::Integer(number) = self.token else {
            return Err(self.expected(format_args!("a number ({what})")));
        };
        self.advance()?;
        Ok(number)
    }

    /// The word at hand is another than the grammar has here.
    fn expected(&self, what: impl Display) -> SyntaxError {
        let found = match self.token {
            Token::Text(text) => format!("the text '{text}'"),
            Token::Hex(digits) => format!("0x{digits}"),
            Token::Integer(number) => number.to_string(),
            Token::Address(address) => address.to_string(),
            Token::Word(word) => format!("`{word}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::End => "its end".to_owned(),
        };
        SyntaxError::at(self.offset, format!("here must stand {what}, not {found}"))
    }
}

/// The sum of two values, as one list whatever the parentheses: where they stand makes no difference.
fn concat(one: Expression, other: Expression) -> Expression {
    let parts = |part| match part {
        Expression::Concat(parts) => parts,
        other => vec![other],
    };
    let mut sum = parts(one);
    sum.extend(parts(other));
    Expression::Concat(sum)
}

/// The octets of hexadecimal digits; of an odd number of them the first octet has one.
fn octets(digits: &str) -> Box<[u8]> {
    let value = |digit: u8| (digit as char).to_digit(16).unwrap_or(0) as u8;
    let (first, pairs) = digits.as_bytes().split_at(digits.len() % 2);
    let pairs = pairs.chunks(2);
    let octet = |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum << 4 | value(*digit));
    let first = first.iter().map(|digit| value(*digit));
    first.chain(pairs.map(octet)).collect()
}

/// A number that is written must be one that the function can have.
fn check_integer(integer: Integer, made: &Expression, offset: usize) -> Result<(), SyntaxError> {
    let Expression::IntegerToText(_, of) = made else {
        return Ok(());
    };
    let Expression::Literal(Literal::Integer(number)) = **of else {
        return Ok(());
    };
    let bits = integer.octets as u32 * 8; // 8, 16 or 32
    let (least, most) = match integer.is_signed {
        true => (-(1i64 << (bits - 1)), (1i64 << (bits - 1)) - 1),
        false => (0, (1i64 << bits) - 1),
    };
    if (least..=most).contains(&number) {
        return Ok(());
    }
    let message = format!("{number} has no room in {bits} bits; it must be {least} to {most}");
    Err(SyntaxError::at(offset, message))
}

fn unknown_word(word: &str) -> String {
    const FUNCTIONS: &str = "substring, concat, split, ifelse, hexstring, lcase, ucase, addrtotext, int8totext, \
                             int16totext, int32totext, uint8totext, uint16totext, uint32totext, match, member";
    match word {
        "and" | "or" => format!("something must stand in front of `{word}`"),
        "not" => "`not` negates a condition, and cannot stand inside of a value".to_owned(),
        "all" | "text" | "hex" | "exists" => format!("`{word}` cannot begin anything"),
        "true" | "false" => {
            format!("there is no `{word}`; leave `test` out for a class that nothing is tested for")
        }
        _ => format!(
            "`{word}` is not known; put texts in single quotes; there are option, relay4, relay6, pkt, pkt4, \
             pkt6, vendor, vendor-class, known, unknown and the functions {FUNCTIONS}"
        ),
    }
}
