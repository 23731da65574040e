//! Kea's files as JSON: comments blanked out, included files put in place, and where everything stood.

use std::path::{Path, PathBuf};

/// How deep files may include each other, as in Kea.
const INCLUDE_DEPTH_MAX: usize = 10;
/// The most that all files together may have: thousands of times what a large configuration has, and a
/// bound on what files that include each other often can make of a few lines.
const OCTETS_MAX: usize = 1 << 30;

/// A file that another one includes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Include {
    /// Where the whole of `<?include "path"?>` stands.
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) path: String,
}

/// What is wrong with a text, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) offset: usize,
    pub(super) message: String,
}

fn wrong(offset: usize, message: &str) -> Wrong {
    Wrong {
        offset,
        message: message.to_owned(),
    }
}

/// A text of the same length without comments (`#`, `//`, `/* */`), and the files that it includes.
pub(super) fn plain(text: &str) -> Result<(String, Vec<Include>), Wrong> {
    let mut plain = String::with_capacity(text.len());
    let mut includes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let offset = text.len() - rest.len();
        let (length, is_kept) = if first == '"' {
            (string_length(rest), true)
        } else if first == '#' || rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if let Some(inside) = rest.strip_prefix("/*") {
            let message = "this comment does not end; end it with */";
            let end = inside.find("*/").ok_or_else(|| wrong(offset, message))?;
            (2 + end + 2, false)
        } else if let Some(inside) = rest.strip_prefix("<?include") {
            let message = "this is no inclusion; write <?include \"file\"?>";
            let (path, end) = quoted(inside).ok_or_else(|| wrong(offset, message))?;
            let length = "<?include".len() + end;
            includes.push(Include {
                start: offset,
                end: offset + length,
                path,
            });
            (length, false)
        } else {
            (first.len_utf8(), true)
        };
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        if is_kept {
            plain.push_str(piece);
        } else {
            // As many octets, so that offsets stay; line breaks, so that lines do.
            let blank = |octet: u8| if octet == b'\n' { '\n' } else { ' ' };
            plain.extend(piece.bytes().map(blank));
        }
        rest = after;
    }
    Ok((plain, includes))
}

/// How long the text in quotes is with which `text` begins; all of it if it does not end.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, octet) in text.bytes().enumerate().skip(1) {
        match octet {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The path of ` "path" ?>`, and where that ends.
fn quoted(text: &str) -> Option<(String, usize)> {
    let (before, inside) = text.split_once('"')?;
    let (path, after) = inside.split_once('"')?;
    let (between, rest) = after.split_once("?>")?;
    let blank = |text: &str| text.chars().all(|c| c == ' ' || c == '\t');
    let is_right = blank(before) && blank(between) && !path.is_empty() && !path.contains('\n');
    is_right.then(|| (path.to_owned(), text.len() - rest.len()))
}

/// A file and the files that it includes, as one text.
#[derive(Debug, Default)]
pub(super) struct Joined {
    pub(super) text: String,
    files: Vec<(PathBuf, String)>,
    pieces: Vec<Piece>,
}

/// A piece of a file in the joined text.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Where it begins in the joined text.
    at: usize,
    file: usize,
    /// Where it begins in its file.
    from: usize,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: PathBuf,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Why a file cannot be used: where, if it could be read, and what is wrong.
pub(super) type Unusable = (Place, String);

impl Joined {
    /// Reads a file with all that it includes.
    pub(super) fn read(file: &Path) -> Result<Self, Unusable> {
        let mut this = Self::default();
        let whole = |file: &Path| Place {
            file: file.to_owned(),
            line: 0,
            column: 0,
        };
        let text = read(file).map_err(|message| (whole(file), message))?;
        this.add(file, text, 0)?;
        Ok(this)
    }

    #[cfg(test)]
    pub(super) fn of(file: &Path, text: &str) -> Result<Self, Unusable> {
        let mut this = Self::default();
        this.add(file, text.to_owned(), 0)?;
        Ok(this)
    }

    fn add(&mut self, path: &Path, original: String, depth: usize) -> Result<(), Unusable> {
        let file = self.files.len();
        let made = plain(&original);
        self.files.push((path.to_owned(), original));
        let at = |this: &Self, offset, message: String| (this.place_in(file, offset), message);
        let (text, includes) = made.map_err(|it| at(self, it.offset, it.message))?;
        let mut from = 0;
        for include in includes {
            self.push(
                file,
                from,
                text.get(from..include.start).unwrap_or_default(),
            );
            from = include.end;
            if depth == INCLUDE_DEPTH_MAX {
                let message =
                    format!("files include each other more than {INCLUDE_DEPTH_MAX} deep");
                return Err(at(self, include.start, message));
            }
            let directory = path.parent().unwrap_or(Path::new(""));
            let inner = directory.join(&include.path);
            let inner_text = read(&inner)
                .map_err(|why| at(self, include.start, format!("{}: {why}", inner.display())))?;
            self.add(&inner, inner_text, depth + 1)?;
            if self.text.len() > OCTETS_MAX {
                let message = "with the files that it includes this is more than a gigabyte";
                return Err(at(self, include.start, message.to_owned()));
            }
        }
        self.push(file, from, text.get(from..).unwrap_or_default());
        Ok(())
    }

    fn push(&mut self, file: usize, from: usize, text: &str) {
        let at = self.text.len();
        self.pieces.push(Piece { at, file, from });
        self.text.push_str(text);
    }

    /// Where an octet of the joined text stands.
    pub(super) fn place(&self, offset: usize) -> Place {
        let after = self.pieces.partition_point(|piece| piece.at <= offset);
        let piece = after.checked_sub(1).and_then(|at| self.pieces.get(at));
        let piece = piece.copied().unwrap_or(Piece {
            at: 0,
            file: 0,
            from: 0,
        });
        self.place_in(piece.file, piece.from + offset - piece.at)
    }

    fn place_in(&self, file: usize, offset: usize) -> Place {
        let (path, text) = self
            .files
            .get(file)
            .map_or((Path::new(""), ""), |(path, text)| (path, text));
        let before = text.get(..offset).unwrap_or(text);
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        let in_line = before.get(line..).unwrap_or_default();
        Place {
            file: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: in_line.trim_start_matches('\u{feff}').chars().count() + 1,
        }
    }
}

fn read(file: &Path) -> Result<String, String> {
    let octets = std::fs::read(file).map_err(|why| format!("cannot be read: {why}"))?;
    String::from_utf8(octets).map_err(|wrong| {
        let octet = wrong.utf8_error().valid_up_to();
        format!("is not UTF-8 from octet {octet} on; save it as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn comments_go_and_texts_stay() {
        let text = "{ # one \"\n\"a#//\\\"/*\": 1, // two {\n/* three\n\" */ \"b\": 2 }";
        let (made, includes) = plain(text).unwrap();
        let said = "{        \n\"a#//\\\"/*\": 1,         \n         \n     \"b\": 2 }";
        assert_eq!(made.replace(' ', ""), said.replace(' ', ""));
        assert_eq!(made.len(), text.len());
        assert!(includes.is_empty());
    }

    #[test]
    fn what_does_not_end_is_said_with_its_place() {
        assert_eq!(plain("{} /* é").unwrap_err().offset, 3);
        for text in [
            "<?include a?>",
            "<?include \"\"?>",
            "<?include \"a\"",
            "<?include \"a\" b?>",
        ] {
            assert_eq!(plain(text).unwrap_err().offset, 0, "{text}");
        }
    }

    #[test]
    fn included_files_come_into_their_place_and_keep_their_lines() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kea.conf");
        let inner = directory.path().join("inner.json");
        std::fs::write(&file, "{\n <?include \"inner.json\"?>, \"z\": 1 }").unwrap();
        std::fs::write(&inner, "# é\n  \"subnet\": 2").unwrap();
        let joined = Joined::read(&file).unwrap();
        let at = |text: &str| joined.place(joined.text.find(text).unwrap());
        assert_eq!(
            at("\"subnet\""),
            Place {
                file: inner.clone(),
                line: 2,
                column: 3
            }
        );
        assert_eq!(
            at("\"z\""),
            Place {
                file: file.clone(),
                line: 2,
                column: 28
            }
        );
        std::fs::write(&inner, "<?include \"inner.json\"?>").unwrap();
        let (place, message) = Joined::read(&file).unwrap_err();
        assert_eq!((place.file, place.line), (inner, 1));
        assert!(message.contains("more than 10 deep"), "{message}");
        std::fs::write(&file, "<?include \"nowhere\"?>").unwrap();
        let (place, message) = Joined::read(&file).unwrap_err();
        assert_eq!((place.file, place.line, place.column), (file, 1, 1));
        assert!(message.contains("cannot be read"), "{message}");
    }

    proptest! {
        #[test]
        fn any_text_keeps_its_length_and_lines(text in "(\"|\\\\|/|\\*|#|\n|<\\?include|\\?>|a|é| ){0,40}") {
            if let Ok((made, includes)) = plain(&text) {
                prop_assert_eq!(made.len(), text.len());
                prop_assert_eq!(made.matches('\n').count() >= text.matches('\n').count(), true);
                let breaks = |text: &str| text.match_indices('\n').map(|(at, _)| at).collect::<Vec<_>>();
                prop_assert_eq!(breaks(&made), breaks(&text));
                for include in includes {
                    prop_assert!(text.get(include.start..include.end).is_some());
                }
                // Nothing is left to do, unless a text that does not end hides it.
                let (again, _) = plain(&made).unwrap();
                prop_assert_eq!(again, made);
            }
        }

        #[test]
        fn a_text_in_quotes_is_left_alone(inside in "[^\"\\\\]{0,30}") {
            let text = format!("\"{inside}\"");
            prop_assert_eq!(plain(&text).unwrap().0, text);
        }
    }
}
