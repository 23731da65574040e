//! What stands in a line of comma-separated values? Lines of bounded length, and cells found by the name of
//! their column, each knowing where it stands.

use std::borrow::Cow;
use std::io::{self, BufRead, Read as _};
use std::str::FromStr;

/// Octets of a line at most; lease files have some hundred.
const LINE_OCTETS_MAX: u64 = 64 << 10;

/// Where in a file something stands; both count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Line.
    pub line: u64,
    /// Column, in octets.
    pub column: u32,
}

/// What is wrong, and in which column of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) column: u32,
    pub(super) reason: String,
}

/// A line's number, and its octets unless it is too long.
pub(super) type Line<'l> = (u64, Result<&'l [u8], Wrong>);

/// The lines of a file.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            number: 0,
        }
    }

    /// The next line that is not blank, with its number and without its end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.line.clear();
            self.number += 1;
            let mut bounded = self.input.by_ref().take(LINE_OCTETS_MAX);
            if bounded.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            let is_whole = self.line.last() == Some(&b'\n');
            if !is_whole && self.line.len() as u64 == LINE_OCTETS_MAX {
                self.skip_rest()?;
                let reason = format!("the line has more than {LINE_OCTETS_MAX} octets");
                return Ok(Some((self.number, Err(Wrong { column: 1, reason }))));
            }
            while let Some(b'\n' | b'\r') = self.line.last() {
                self.line.pop();
            }
            if !self.line.is_empty() {
                return Ok(Some((self.number, Ok(&self.line))));
            }
        }
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        loop {
            let there = self.input.fill_buf()?;
            let end = there.iter().position(|&octet| octet == b'\n');
            let len = end.map_or(there.len(), |end| end + 1);
            let is_last = there.is_empty();
            self.input.consume(len);
            if end.is_some() || is_last {
                return Ok(());
            }
        }
    }
}

/// The names in the first line, in the order in which rows have their cells.
#[derive(Debug)]
pub(super) struct Header {
    /// Of the wanted columns, where each is.
    places: Vec<Option<usize>>,
    wanted: &'static [&'static str],
    /// How many there are in all.
    count: usize,
    /// Those that nobody wants.
    pub(super) unknown: Vec<String>,
}

impl Header {
    pub(super) fn new(line: &[u8], wanted: &'static [&'static str]) -> Self {
        let names: Vec<String> = line
            .split(|&octet| octet == b',')
            .map(|name| String::from_utf8_lossy(name).trim().to_owned())
            .collect();
        let place = |wanted: &&str| names.iter().position(|name| name == wanted);
        Self {
            places: wanted.iter().map(place).collect(),
            wanted,
            count: names.len(),
            unknown: names
                .iter()
                .filter(|name| !wanted.contains(&name.as_str()))
                .cloned()
                .collect(),
        }
    }

    /// The first of the wanted columns up to `needed` that is missing.
    pub(super) fn missing(&self, needed: usize) -> Option<&'static str> {
        let places = self.wanted.iter().zip(&self.places).take(needed);
        places
            .filter(|(_, place)| place.is_none())
            .map(|(name, _)| *name)
            .next()
    }
}

/// One line, cut into cells.
#[derive(Debug)]
pub(super) struct Row<'l, 'h> {
    header: &'h Header,
    /// With the column in which each begins.
    cells: Vec<(u32, Cow<'l, [u8]>)>,
}

impl<'l, 'h> Row<'l, 'h> {
    /// Cuts at every comma: Kea writes none inside a cell.
    pub(super) fn plain(line: &'l [u8], header: &'h Header) -> Result<Self, Wrong> {
        let mut column = 1;
        let cells = line.split(|&octet| octet == b',').map(|cell| {
            let at = column;
            column += cell.len() as u32 + 1;
            (at, Cow::Borrowed(cell))
        });
        let cells = cells.collect();
        Self::checked(cells, header)
    }

    /// Cuts at commas outside quotes; a doubled quote is one (RFC 4180 section 2).
    pub(super) fn quoted(line: &'l [u8], header: &'h Header) -> Result<Self, Wrong> {
        if !line.contains(&b'"') {
            return Self::plain(line, header);
        }
        let mut cells = Vec::new();
        let mut cell = Vec::new();
        let (mut begin, mut is_open) = (1, false);
        let mut octets = (1u32..).zip(line).peekable();
        while let Some((column, &octet)) = octets.next() {
            match octet {
                b'"' if is_open && octets.next_if(|(_, next)| **next == b'"').is_some() => {
                    cell.push(b'"');
                }
                b'"' => is_open = !is_open,
                b',' if !is_open => {
                    cells.push((begin, Cow::Owned(std::mem::take(&mut cell))));
                    begin = column + 1;
                }
                other => cell.push(other),
            }
        }
        if is_open {
            let reason = "a quote that is not closed on its line".to_owned();
            return Err(Wrong {
                column: begin,
                reason,
            });
        }
        cells.push((begin, Cow::Owned(cell)));
        Self::checked(cells, header)
    }

    fn checked(cells: Vec<(u32, Cow<'l, [u8]>)>, header: &'h Header) -> Result<Self, Wrong> {
        if cells.len() != header.count {
            let column = cells.last().map_or(1, |(column, _)| *column);
            let reason = format!(
                "{} values where the first line has {} names",
                cells.len(),
                header.count
            );
            return Err(Wrong { column, reason });
        }
        Ok(Self { header, cells })
    }

    /// The cell of a wanted column; an empty one if the file does not have it.
    pub(super) fn cell(&self, wanted: usize) -> Cell<'_> {
        let place = self.header.places.get(wanted).copied().flatten();
        let cell = place.and_then(|place| self.cells.get(place));
        let name = self.header.wanted.get(wanted).copied().unwrap_or_default();
        cell.map_or(
            Cell {
                name,
                column: 1,
                octets: &[],
            },
            |(column, octets)| Cell {
                name,
                column: *column,
                octets,
            },
        )
    }
}

/// One value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell<'r> {
    name: &'static str,
    pub(super) column: u32,
    pub(super) octets: &'r [u8],
}

impl<'r> Cell<'r> {
    /// A complaint about it.
    pub(super) fn wrong(&self, what: impl std::fmt::Display) -> Wrong {
        let shown: String = self.octets.iter().take(40).map(|&it| shown(it)).collect();
        Wrong {
            column: self.column,
            reason: format!("{}: \"{shown}\" {what}", self.name),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    pub(super) fn text(&self) -> Result<&'r str, Wrong> {
        std::str::from_utf8(self.octets).map_err(|_| self.wrong("is not UTF-8"))
    }

    pub(super) fn parse<T: FromStr>(&self, what: &str) -> Result<T, Wrong> {
        let text = self.text()?;
        text.parse()
            .map_err(|_| self.wrong(format_args!("is not {what}")))
    }

    /// As [`Cell::parse`], or `otherwise` if it is empty.
    pub(super) fn parse_or<T: FromStr>(&self, otherwise: T, what: &str) -> Result<T, Wrong> {
        match self.is_empty() {
            true => Ok(otherwise),
            false => self.parse(what),
        }
    }
}

/// An octet of a file as it may be shown on a terminal.
pub(super) fn shown(octet: u8) -> String {
    match octet {
        b' '..=b'~' => char::from(octet).to_string(),
        other => format!("\\x{other:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_come_without_their_ends_and_blank_ones_not_at_all() {
        let mut lines = Lines::new(&b"one\r\n\n\ntwo\nthree"[..]);
        let mut seen = Vec::new();
        while let Some((number, line)) = lines.next().unwrap() {
            seen.push((number, String::from_utf8(line.unwrap().to_vec()).unwrap()));
        }
        let expected = [(1, "one"), (4, "two"), (5, "three")];
        assert_eq!(seen, expected.map(|(number, it)| (number, it.to_owned())));
    }

    #[test]
    fn a_line_without_an_end_in_sight_takes_no_memory() {
        let long = [vec![b'x'; 200_000], b"\nnext\n".to_vec()].concat();
        let mut lines = Lines::new(&long[..]);
        assert!(lines.next().unwrap().unwrap().1.is_err());
        let (number, line) = lines.next().unwrap().unwrap();
        assert_eq!((number, line.unwrap()), (2, &b"next"[..]));
    }

    #[test]
    fn cells_are_found_by_name_and_know_their_columns() {
        let header = Header::new(b"b,x,a", &["a", "b", "c"]);
        assert_eq!(header.unknown, ["x"]);
        assert_eq!((header.missing(2), header.missing(3)), (None, Some("c")));
        let row = Row::plain(b"12,,\x1b[1m", &header).unwrap();
        assert_eq!(row.cell(1).parse::<u32>("a number"), Ok(12));
        let wrong = row.cell(0).parse::<u32>("a number").unwrap_err();
        assert_eq!(
            (wrong.column, wrong.reason.as_str()),
            (5, "a: \"\\x1b[1m\" is not a number")
        );
        assert!(row.cell(2).is_empty());
        assert!(Row::plain(b"1,2", &header).is_err());
    }

    #[test]
    fn quotes_keep_a_cell_together() {
        let header = Header::new(b"a,b,c", &["a", "b", "c"]);
        let row = Row::quoted(br#"1,"x,""y""",3"#, &header).unwrap();
        assert_eq!(
            (row.cell(1).octets, row.cell(1).column),
            (&br#"x,"y""#[..], 3)
        );
        assert_eq!(row.cell(2).column, 13);
        assert!(Row::quoted(br#"1,"2,3"#, &header).is_err());
    }

    proptest! {
        #[test]
        fn no_octets_are_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let header = Header::new(b"a,b", &["a", "b"]);
            let mut lines = Lines::new(&octets[..]);
            while let Some((_, line)) = lines.next().unwrap() {
                if let Ok(row) = line.clone().and_then(|line| Row::quoted(line, &header)) {
                    prop_assert_eq!(row.cells.len(), 2);
                }
                if let Ok(row) = line.and_then(|line| Row::plain(line, &header)) {
                    let _ = row.cell(0).parse::<u64>("a number");
                    let shown = row.cell(1).wrong("is wrong").reason;
                    prop_assert!(shown.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
                }
            }
        }
    }
}
