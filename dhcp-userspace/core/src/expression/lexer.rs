//! Characters to words.

use super::SyntaxError;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A word of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// What stands between single quotes.
    Text(&'t str),
    /// The digits behind `0x`.
    Hex(&'t str),
    /// A whole number of 32 bits, signed or not.
    Integer(i64),
    /// An IP address.
    Address(IpAddr),
    /// A keyword, or the name of an option.
    Word(&'t str),
    /// One of `( ) [ ] . , + *` or `==`.
    Sign(&'static str),
    /// Nothing is left.
    End,
}

const SIGNS: [&str; 9] = ["==", "(", ")", "[", "]", ".", ",", "+", "*"];

/// What numbers there are: Kea reads both `-1` and `4294967295` into 32 bits.
const LEAST: i64 = i32::MIN as i64;
const MOST: i64 = u32::MAX as i64;

/// The words of an expression, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    offset: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, offset: 0 }
    }

    /// The next word and where it begins.
    pub(super) fn next(&mut self) -> Result<(Token<'t>, usize), SyntaxError> {
        let rest = self.rest();
        let blank = rest.len() - rest.trim_start().len();
        self.offset += blank;
        let start = self.offset;
        let rest = self.rest();
        let token = match rest.bytes().next() {
            None => Token::End,
            Some(b'\'') => self.text(rest)?,
            Some(_) => match address(rest) {
                Some(run) => self.address(run)?,
                None => self.other(rest)?,
            },
        };
        Ok((token, start))
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    fn take(&mut self, octets: usize) {
        self.offset += octets;
    }

    fn text(&mut self, rest: &'t str) -> Result<Token<'t>, SyntaxError> {
        let inside = rest.get(1..).unwrap_or_default();
        let end = inside.find(['\'', '\n']);
        match end.map(|end| inside.split_at(end)) {
            Some((text, after)) if after.starts_with('\'') => {
                self.take(text.len() + 2);
                Ok(Token::Text(text))
            }
            _ => Err(SyntaxError::at(
                self.offset,
                "this text has no end; close it with a single quote",
            )),
        }
    }

    fn address(&mut self, run: &'t str) -> Result<Token<'t>, SyntaxError> {
        let address = match run.contains(':') {
            true => run.parse().map(|it: Ipv6Addr| IpAddr::V6(it)),
            false => run.parse().map(|it: Ipv4Addr| IpAddr::V4(it)),
        };
        let address = address.map_err(|_| {
            let message = format!("{run} is no IP address; put texts in single quotes");
            SyntaxError::at(self.offset, message)
        })?;
        self.take(run.len());
        Ok(Token::Address(address))
    }

    fn other(&mut self, rest: &'t str) -> Result<Token<'t>, SyntaxError> {
        let hex = rest.strip_prefix("0x").or(rest.strip_prefix("0X"));
        if let Some(digits) = hex.map(|digits| run(digits, |c| c.is_ascii_hexdigit())) {
            return self.hex(digits);
        }
        let unsigned = rest.strip_prefix('-').unwrap_or(rest);
        let digits = run(unsigned, |c| c.is_ascii_digit());
        if !digits.is_empty() {
            let length = rest.len() - unsigned.len() + digits.len();
            return self.integer(rest.get(..length).unwrap_or_default());
        }
        if rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let word = run(rest, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            self.take(word.len());
            return Ok(Token::Word(word));
        }
        if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            self.take(sign.len());
            return Ok(Token::Sign(sign));
        }
        Err(SyntaxError::at(self.offset, unknown(rest)))
    }

    fn hex(&mut self, digits: &'t str) -> Result<Token<'t>, SyntaxError> {
        if digits.is_empty() {
            let message = "0x needs at least one hexadecimal digit behind it";
            return Err(SyntaxError::at(self.offset, message));
        }
        self.take(digits.len() + 2);
        Ok(Token::Hex(digits))
    }

    fn integer(&mut self, digits: &str) -> Result<Token<'t>, SyntaxError> {
        let number = digits.parse().ok();
        let number = number.filter(|number| (LEAST..=MOST).contains(number));
        let number = number.ok_or_else(|| {
            let message = format!("this number has no room in 32 bits; use {LEAST} to {MOST}");
            SyntaxError::at(self.offset, message)
        })?;
        self.take(digits.len());
        Ok(Token::Integer(number))
    }
}

/// What is or looks like an IP address: digits and dots with two dots, or hexadecimal digits with two colons.
fn address(rest: &str) -> Option<&str> {
    let v6 = run(rest, |c| c.is_ascii_hexdigit() || c == ':' || c == '.');
    if v6.matches(':').count() >= 2 {
        return Some(v6);
    }
    let v4 = run(rest, |c| c.is_ascii_digit() || c == '.');
    let is_v4 = v4.starts_with(|c: char| c.is_ascii_digit()) && v4.contains('.');
    is_v4.then_some(v4)
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// What to say about a character that begins no word.
fn unknown(rest: &str) -> String {
    let character = rest.chars().next().unwrap_or(' ');
    let advice = match character {
        '=' => "compare with ==".to_owned(),
        '!' => "negate with not".to_owned(),
        '&' => "join conditions with and".to_owned(),
        '|' => "join conditions with or".to_owned(),
        '"' => "put texts in single quotes".to_owned(),
        '-' => "a minus belongs in front of a number".to_owned(),
        other => format!("{other:?} has no meaning outside of single quotes; leave it out"),
    };
    format!("this cannot stand here: {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token<'_>> {
        let mut lexer = Lexer::new(text);
        let mut tokens = Vec::new();
        loop {
            match lexer.next().unwrap().0 {
                Token::End => return tokens,
                token => tokens.push(token),
            }
        }
    }

    #[test]
    fn words_are_told_from_numbers_and_addresses() {
        let v6 = |text: &str| Token::Address(IpAddr::V6(text.parse().unwrap()));
        let (word, sign) = (Token::Word, Token::Sign);
        assert_eq!(
            tokens("option[face] == 0xAbc"),
            [
                word("option"),
                sign("["),
                word("face"),
                sign("]"),
                sign("=="),
                Token::Hex("Abc")
            ]
        );
        assert_eq!(
            tokens("relay6[-1].vendor-class"),
            [
                word("relay6"),
                sign("["),
                Token::Integer(-1),
                sign("]"),
                sign("."),
                word("vendor-class")
            ]
        );
        assert_eq!(
            tokens("::1 fe80::a:b ::ffff:192.0.2.1"),
            [v6("::1"), v6("fe80::a:b"), v6("::ffff:192.0.2.1")]
        );
        assert_eq!(
            tokens("192.0.2.1,4294967295"),
            [
                Token::Address("192.0.2.1".parse().unwrap()),
                sign(","),
                Token::Integer(4_294_967_295)
            ]
        );
        assert_eq!(tokens("'it''s'"), [Token::Text("it"), Token::Text("s")]);
    }

    #[test]
    fn what_is_no_word_is_refused_where_it_stands() {
        for (text, offset) in [
            ("a = b", 2),
            ("'open", 0),
            ("0x", 0),
            ("4294967296", 0),
            ("1.2.3", 0),
            ("  \"a\"", 2),
            ("'a\nb'", 0),
        ] {
            let mut lexer = Lexer::new(text);
            let error = loop {
                match lexer.next() {
                    Ok((Token::End, _)) => panic!("{text} was understood"),
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert_eq!(error.offset, offset, "{text}: {error}");
        }
    }
}
