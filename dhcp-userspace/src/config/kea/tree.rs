//! The configuration that is made: tables that know where they came from, and how they are written.

use std::fmt::Write as _;

/// A value of the result.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// As it is written in TOML.
    Scalar(String),
    List(Vec<Node>),
    Table(Table),
}

/// A table of the result.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Lines that stand above it.
    pub(super) comments: Vec<String>,
    /// Where it stood in Kea's file.
    pub(super) offset: usize,
    pub(super) entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where it stood in Kea's file.
    pub(super) offset: usize,
    pub(super) value: Node,
}

/// What is written as `[[key]]`; all other lists of tables stand in their line.
const HEADED: [&str; 3] = ["subnet4", "subnet6", "shared-networks"];

/// Whether the tables of a list have a heading each.
pub(super) fn is_headed(key: &str) -> bool {
    HEADED.contains(&key)
}

impl Node {
    /// A text.
    pub(super) fn text(text: &str) -> Self {
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                c if c.is_control() => {
                    let _ = write!(quoted, "\\u{:04X}", u32::from(c));
                }
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        Self::Scalar(quoted)
    }

    /// Writes it; in one line where TOML wants that, inside of a table without heading.
    fn write(&self, into: &mut String, layout: Layout) {
        match self {
            Self::Scalar(written) => into.push_str(written),
            Self::List(elements) => {
                let has_tables = elements.iter().any(|it| matches!(it, Self::Table(_)));
                let is_long = has_tables && layout == Layout::Lines;
                into.push('[');
                for (number, element) in elements.iter().enumerate() {
                    if is_long {
                        into.push('\n');
                        if let Self::Table(table) = element {
                            let comments = table.comments.iter();
                            comments.for_each(|line| comment(into, line, "  "));
                        }
                        into.push_str("  ");
                    } else if number > 0 {
                        into.push_str(", ");
                    }
                    element.write(into, Layout::OneLine);
                    if is_long {
                        into.push(',');
                    }
                }
                if is_long {
                    into.push('\n');
                }
                into.push(']');
            }
            Self::Table(table) => {
                into.push_str("{ ");
                for (number, entry) in table.entries.iter().enumerate() {
                    let separator = if number > 0 { ", " } else { "" };
                    let _ = write!(into, "{separator}{} = ", entry.key);
                    entry.value.write(into, Layout::OneLine);
                }
                into.push_str(" }");
            }
        }
    }
}

/// Whether a value may have line breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Lines,
    OneLine,
}

fn comment(into: &mut String, text: &str, indentation: &str) {
    for line in text.lines() {
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        let _ = writeln!(into, "{indentation}# {}", line.trim_end());
    }
}

impl Table {
    /// Puts a key in, or replaces its value.
    pub(super) fn set(&mut self, key: &str, offset: usize, value: Node) {
        match self.entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.value = value,
            None => self.entries.push(Entry {
                key: key.to_owned(),
                offset,
                value,
            }),
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(&entry.value)
    }

    /// The whole file.
    pub(super) fn document(&self) -> String {
        let mut text = String::new();
        self.comments
            .iter()
            .for_each(|it| comment(&mut text, it, ""));
        text.push('\n');
        self.lines(&mut text, "", true);
        text
    }

    /// Its own keys, then the tables that have a heading.
    fn lines(&self, text: &mut String, path: &str, is_top: bool) {
        let has_heading = |entry: &&Entry| match &entry.value {
            Node::List(_) => is_headed(&entry.key),
            Node::Table(_) => is_top,
            Node::Scalar(_) => false,
        };
        for entry in self.entries.iter().filter(|entry| !has_heading(entry)) {
            let _ = write!(text, "{} = ", entry.key);
            entry.value.write(text, Layout::Lines);
            text.push('\n');
        }
        for entry in self.entries.iter().filter(has_heading) {
            let inner = match path {
                "" => entry.key.clone(),
                outer => format!("{outer}.{}", entry.key),
            };
            match &entry.value {
                Node::Table(table) => table.section(text, &format!("[{inner}]"), &inner),
                Node::List(elements) => {
                    for element in elements {
                        if let Node::Table(table) = element {
                            table.section(text, &format!("[[{inner}]]"), &inner);
                        }
                    }
                }
                Node::Scalar(_) => {}
            }
        }
    }

    fn section(&self, text: &mut String, heading: &str, path: &str) {
        text.push('\n');
        self.comments.iter().for_each(|it| comment(text, it, ""));
        let _ = writeln!(text, "{heading}");
        self.lines(text, path, false);
    }
}

/// A step of a path: a key, and which element of its list.
type Step<'p> = (&'p str, Vec<usize>);

fn steps(path: &str) -> Vec<Step<'_>> {
    let step = |part: &'_ str| -> (usize, Vec<usize>) {
        let name = part.find('[').unwrap_or(part.len());
        let numbers = part.get(name..).unwrap_or_default().split(['[', ']']);
        (name, numbers.filter_map(|it| it.parse().ok()).collect())
    };
    path.split('.')
        .map(|part| {
            let (name, numbers) = step(part);
            (part.get(..name).unwrap_or(part), numbers)
        })
        .collect()
}

/// A path of the result, as `subnet4[3].pools[0].pool`, or that of the table around it if `goes` says that
/// the table (by the name of its list) goes with its key.
pub(super) fn around(path: &str, goes: impl Fn(&str, &str) -> bool) -> String {
    let Some((outer, key)) = path.rsplit_once('.') else {
        return path.to_owned();
    };
    let table = outer.rsplit('.').next().unwrap_or(outer);
    let table = table.split('[').next().unwrap_or(table);
    let key = key.split('[').next().unwrap_or(key);
    // A table in a list only: a section of the file stays.
    match outer.ends_with(']') && goes(table, key) {
        true => outer.to_owned(),
        false => path.to_owned(),
    }
}

/// Takes out what stands at a path; where that stood in Kea's file.
pub(super) fn remove(top: &mut Table, path: &str) -> Option<usize> {
    remove_at(top, &steps(path))
}

fn remove_at(table: &mut Table, steps: &[Step<'_>]) -> Option<usize> {
    let ((key, numbers), rest) = steps.split_first()?;
    let at = table.entries.iter().position(|entry| entry.key == *key)?;
    let entry = table.entries.get_mut(at)?;
    let offset = entry.offset;
    match (&mut entry.value, numbers.first(), rest) {
        (Node::List(elements), Some(number), []) => {
            if *number >= elements.len() {
                return None;
            }
            let gone = elements.remove(*number);
            let inside = match gone {
                Node::Table(table) => table.offset,
                Node::Scalar(_) | Node::List(_) => offset,
            };
            if elements.is_empty() {
                table.entries.remove(at);
            }
            Some(inside)
        }
        (Node::List(elements), Some(number), rest) => match elements.get_mut(*number)? {
            Node::Table(inner) => remove_at(inner, rest),
            Node::Scalar(_) | Node::List(_) => None,
        },
        (Node::Table(inner), None, [_, ..]) => remove_at(inner, rest),
        (_, _, []) => {
            table.entries.remove(at);
            Some(offset)
        }
        (Node::List(_) | Node::Table(_) | Node::Scalar(_), _, _) => None,
    }
}
