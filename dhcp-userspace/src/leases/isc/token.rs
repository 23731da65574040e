//! What are the statements of a lease file? Words and quoted texts, ended by a semicolon or a block.

use crate::leases::rows::Spot;
use std::io::{self, BufRead};

/// Blocks within blocks, the outermost included; lease files have two.
const DEPTH_MAX: usize = 8;
/// Statements in one entry and words in one statement; lease files have some dozen.
const PARTS_MAX: usize = 4_096;
/// Octets of one word or text.
const TOKEN_OCTETS_MAX: usize = 64 << 10;

/// A word, or a text in quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(Vec<u8>),
    /// What is meant, escapes resolved.
    Text(Vec<u8>),
}

impl Token {
    pub(super) fn octets(&self) -> &[u8] {
        match self {
            Self::Word(octets) | Self::Text(octets) => octets,
        }
    }
}

/// A statement with its block, if it has one.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) spot: Spot,
    pub(super) words: Vec<Token>,
    block: Option<Vec<Statement>>,
}

impl Statement {
    /// The octets of a word or text.
    pub(super) fn word(&self, place: usize) -> Option<&[u8]> {
        self.words.get(place).map(Token::octets)
    }

    pub(super) fn block(&self) -> &[Statement] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// Why there is no statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The file has ended between two statements.
    Properly,
    /// The file has ended inside the statement that begins there.
    Inside(Spot),
    /// This is no statement; the next one begins after it.
    Badly(Spot, String),
}

/// The statements of a file, the outermost ones, one at a time.
#[derive(Debug)]
pub(super) struct Statements<R> {
    input: R,
    /// Where the next octet stands.
    spot: Spot,
    /// What is no statement has ended all the same, with the block that it stood in.
    is_closed: bool,
}

/// What the file goes on with.
enum Piece {
    Token(Token),
    Semicolon,
    Open,
    Close,
    End,
    /// A token that is longer than any.
    Endless,
}

impl<R: BufRead> Statements<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            spot: Spot { line: 1, column: 1 },
            is_closed: false,
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Result<Statement, Ended>> {
        let mut depth = 0;
        self.is_closed = false;
        let begin = self.skip_space()?;
        let found = self.statement(&mut depth)?;
        if let Err(Ended::Badly(..)) = &found
            && !self.is_closed
        {
            self.recover(depth)?;
        }
        Ok(match found {
            Err(Ended::Inside(_)) => Err(Ended::Inside(begin)),
            other => other,
        })
    }

    /// `depth` is how many blocks are open when this fails.
    fn statement(&mut self, depth: &mut usize) -> io::Result<Result<Statement, Ended>> {
        let spot = self.skip_space()?;
        let bad = |reason: &str| Ok(Err(Ended::Badly(spot, reason.to_owned())));
        let mut words = Vec::new();
        loop {
            match self.piece()? {
                Piece::Token(token) if words.len() < PARTS_MAX => words.push(token),
                Piece::Token(_) => return bad("a statement with too many words"),
                Piece::Endless => return bad("a word that is longer than any"),
                Piece::Semicolon => {
                    let block = None;
                    return Ok(Ok(Statement { spot, words, block }));
                }
                Piece::End if words.is_empty() && *depth == 0 => return Ok(Err(Ended::Properly)),
                Piece::End => return Ok(Err(Ended::Inside(spot))),
                Piece::Close if words.is_empty() && *depth > 0 => {
                    // The end of the block that this was to be a statement of.
                    return Ok(Err(Ended::Properly));
                }
                Piece::Close => {
                    *depth = depth.saturating_sub(1);
                    self.is_closed = *depth == 0;
                    return bad("\"}\" where a statement should end with \";\"");
                }
                Piece::Open => break,
            }
        }
        *depth += 1;
        if *depth > DEPTH_MAX {
            return bad("too many blocks within blocks");
        }
        let mut block = Vec::new();
        loop {
            match self.statement(depth)? {
                Ok(_) if block.len() >= PARTS_MAX => {
                    return bad("an entry with too many statements");
                }
                Ok(statement) => block.push(statement),
                Err(Ended::Properly) => break,
                Err(other) => return Ok(Err(other)),
            }
        }
        *depth -= 1;
        let block = Some(block);
        Ok(Ok(Statement { spot, words, block }))
    }

    /// Goes on after what is no statement: behind the blocks that are open, or the next semicolon.
    fn recover(&mut self, mut depth: usize) -> io::Result<()> {
        loop {
            match self.piece()? {
                Piece::End => return Ok(()),
                Piece::Open => depth += 1,
                Piece::Close => depth = depth.saturating_sub(1),
                Piece::Semicolon => {}
                Piece::Token(_) | Piece::Endless => continue,
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn piece(&mut self) -> io::Result<Piece> {
        self.skip_space()?;
        Ok(match self.peek()? {
            None => Piece::End,
            Some(b';') => {
                self.take()?;
                Piece::Semicolon
            }
            Some(b'{') => {
                self.take()?;
                Piece::Open
            }
            Some(b'}') => {
                self.take()?;
                Piece::Close
            }
            Some(b'"') => self.text()?,
            Some(_) => self.word()?,
        })
    }

    fn word(&mut self) -> io::Result<Piece> {
        let mut word = Vec::new();
        while let Some(octet) = self.peek()? {
            if octet.is_ascii_whitespace() || matches!(octet, b';' | b'{' | b'}' | b'"' | b'#') {
                break;
            }
            if word.len() >= TOKEN_OCTETS_MAX {
                return Ok(Piece::Endless);
            }
            word.push(octet);
            self.take()?;
        }
        Ok(Piece::Token(Token::Word(word)))
    }

    fn text(&mut self) -> io::Result<Piece> {
        self.take()?;
        let mut text = Vec::new();
        loop {
            let octet = match self.take()? {
                None => return Ok(Piece::End),
                Some(b'"') => return Ok(Piece::Token(Token::Text(text))),
                Some(b'\\') => match self.escape()? {
                    None => return Ok(Piece::End),
                    Some(octet) => octet,
                },
                Some(octet) => octet,
            };
            if text.len() >= TOKEN_OCTETS_MAX {
                return Ok(Piece::Endless);
            }
            text.push(octet);
        }
    }

    /// Three octal digits, `x` and two hexadecimal ones, a letter, or the octet itself.
    fn escape(&mut self) -> io::Result<Option<u8>> {
        Ok(match self.take()? {
            Some(first @ b'0'..=b'7') => {
                let mut number = u32::from(first - b'0');
                for _ in 0..2 {
                    let Some(digit @ b'0'..=b'7') = self.peek()? else {
                        break;
                    };
                    number = number * 8 + u32::from(digit - b'0');
                    self.take()?;
                }
                Some(number as u8)
            }
            Some(b'x') => {
                let mut number = 0;
                for _ in 0..2 {
                    let digit = self.peek()?.and_then(|it| char::from(it).to_digit(16));
                    let Some(digit) = digit else { break };
                    number = number * 16 + digit;
                    self.take()?;
                }
                Some(number as u8)
            }
            Some(b't') => Some(b'\t'),
            Some(b'r') => Some(b'\r'),
            Some(b'n') => Some(b'\n'),
            Some(b'b') => Some(8),
            other => other,
        })
    }

    /// Goes on to what is no space and no comment; where that stands.
    fn skip_space(&mut self) -> io::Result<Spot> {
        loop {
            match self.peek()? {
                Some(b'#') => while self.take()?.is_some_and(|octet| octet != b'\n') {},
                Some(octet) if octet.is_ascii_whitespace() => {
                    self.take()?;
                }
                Some(_) | None => return Ok(self.spot),
            }
        }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.input.fill_buf()?.first().copied())
    }

    fn take(&mut self) -> io::Result<Option<u8>> {
        let octet = self.peek()?;
        if let Some(octet) = octet {
            self.input.consume(1);
            self.spot = match octet {
                b'\n' => Spot {
                    line: self.spot.line + 1,
                    column: 1,
                },
                _ => Spot {
                    column: self.spot.column.saturating_add(1),
                    ..self.spot
                },
            };
        }
        Ok(octet)
    }
}
