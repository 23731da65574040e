//! What is wrong with a configuration, and where: every finding, in the order of the file.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in the file: which key, and the offset of its octet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Spot {
    /// Offset into the text; of a further file into what comes after the texts before it.
    pub offset: usize,
    /// Path of the key, as `subnet4[3].pools[0]`; empty for the file as a whole.
    pub path: String,
}

impl Spot {
    /// The path as the heading of a table has it: `subnet4.pools` for `subnet4[3].pools`.
    pub fn heading(&self) -> String {
        let parts = self.path.split('.');
        let names = parts.map(|part| part.split('[').next().unwrap_or(part));
        names.collect::<Vec<_>>().join(".")
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// Where it stands.
    pub spot: Spot,
    /// What stands there.
    pub value: T,
}

/// Whether a finding keeps the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does.
    Error,
    /// It is legal but suspicious.
    Warning,
}

/// One thing that the operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Error or warning.
    pub severity: Severity,
    /// The file, if it is not the configuration itself.
    pub file: Option<PathBuf>,
    /// Line, from 1; 0 when the file could not be read at all.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Path of the key, empty for the file as a whole.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// All findings about one file, in its order: errors, or else warnings.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Findings {
    file: PathBuf,
    all: Vec<Finding>,
}

impl Findings {
    /// The file could not be read.
    pub fn unreadable(file: &Path, why: &std::io::Error) -> Self {
        let way_out = match why.kind() {
            std::io::ErrorKind::PermissionDenied => "let the user that runs this read it",
            _ => "name the configuration with --config FILE",
        };
        let message = format!("cannot be read: {why}; {way_out}");
        let (severity, path) = (Severity::Error, String::new());
        let finding = Finding {
            severity,
            file: None,
            line: 0,
            column: 0,
            path,
            message,
        };
        Self {
            file: file.to_owned(),
            all: vec![finding],
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.all.iter()
    }

    /// One finding as a line: `FILE:LINE:COLUMN: path: message`.
    pub fn line(&self, finding: &Finding) -> String {
        let file = finding.file.as_ref().unwrap_or(&self.file);
        let mut line = file.display().to_string();
        if finding.line > 0 {
            line.push_str(&format!(":{}:{}", finding.line, finding.column));
        }
        if !finding.path.is_empty() {
            line.push_str(&format!(": {}", finding.path));
        }
        let kind = match finding.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        format!("{line}: {kind}{}", finding.message)
    }

    /// `2 errors`, `1 warning`, or `no errors`.
    pub fn summary(&self) -> String {
        match self.all.first().map(|finding| finding.severity) {
            Some(Severity::Error) => plural(self.all.len(), "error"),
            Some(Severity::Warning) => plural(self.all.len(), "warning"),
            None => "no errors".to_owned(),
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.all.iter().map(|finding| self.line(finding)).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// `1 error`, `2 errors`.
pub fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Collects findings while texts are read.
#[derive(Debug)]
pub(super) struct Report {
    /// The configuration itself first.
    sources: Vec<Source>,
    found: Vec<(Severity, Spot, String)>,
}

/// A text that is read.
#[derive(Debug)]
struct Source {
    file: PathBuf,
    /// Offset of its first octet among those of all texts.
    base: usize,
    /// Offset of the first octet of each line.
    lines: Vec<usize>,
    text: String,
}

impl Source {
    fn new(file: &Path, base: usize, text: String) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            file: file.to_owned(),
            base,
            lines: std::iter::once(0).chain(after_breaks).collect(),
            text,
        }
    }

    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|&start| start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        // Editors do not show the byte order mark that some of them write.
        let shown = before.trim_start_matches('\u{feff}');
        (line, shown.chars().count() + 1)
    }
}

impl Report {
    pub(super) fn new(file: &Path, text: &str) -> Self {
        Self {
            sources: vec![Source::new(file, 0, text.to_owned())],
            found: Vec::new(),
        }
    }

    /// Where a file is that the configuration names.
    pub(super) fn beside(&self, path: &Path) -> PathBuf {
        let directory = self.sources.first().and_then(|main| main.file.parent());
        directory.map_or_else(|| path.to_owned(), |directory| directory.join(path))
    }

    /// Adds a further text; the offset that the first of its octets has in a [`Spot`].
    pub(super) fn add_source(&mut self, file: &Path, text: &str) -> usize {
        // One more than there are octets, for what is wrong with the end of a text.
        let base = self
            .sources
            .last()
            .map_or(0, |last| last.base + last.text.len() + 1);
        self.sources.push(Source::new(file, base, text.to_owned()));
        base
    }

    fn source(&self, offset: usize) -> Option<(usize, &Source)> {
        let after = self.sources.partition_point(|it| it.base <= offset);
        let index = after.checked_sub(1)?;
        Some((index, self.sources.get(index)?))
    }

    pub(super) fn error(&mut self, spot: &Spot, message: impl Into<String>) {
        self.found
            .push((Severity::Error, spot.clone(), message.into()));
    }

    pub(super) fn warn(&mut self, spot: &Spot, message: impl Into<String>) {
        self.found
            .push((Severity::Warning, spot.clone(), message.into()));
    }

    pub(super) fn has_errors(&self) -> bool {
        self.found
            .iter()
            .any(|(severity, ..)| *severity == Severity::Error)
    }

    /// Names another place: `pools[0] (line 12)`, in a further file `hosts:12`.
    pub(super) fn name(&self, spot: &Spot) -> String {
        let line = self.line(spot.offset);
        match self.source(spot.offset) {
            Some((1.., source)) => format!("{}:{line}", source.file.display()),
            Some((0, _)) | None => format!("{} (line {line})", spot.path),
        }
    }

    /// All errors, or all warnings if there are none; first lines first.
    pub(super) fn finish(mut self) -> Findings {
        self.found
            .sort_by(|a, b| (&a.1, a.0, &a.2).cmp(&(&b.1, b.0, &b.2)));
        if self.has_errors() {
            // A value that was wrong counts as missing, which makes warnings of what is no fault.
            self.found
                .retain(|(severity, ..)| *severity == Severity::Error);
        }
        // What an outer level gets wrong is found in every subnet that inherits it.
        self.found.dedup();
        let located = |(severity, spot, message): &(Severity, Spot, String)| {
            let (line, column) = self.line_and_column(spot.offset);
            let (severity, path, message) = (*severity, spot.path.clone(), message.clone());
            let file = match self.source(spot.offset) {
                Some((1.., source)) => Some(source.file.clone()),
                Some((0, _)) | None => None,
            };
            Finding {
                severity,
                file,
                line,
                column,
                path,
                message,
            }
        };
        let all = self.found.iter().map(located).collect();
        let file = self.sources.first().map(|main| main.file.clone());
        Findings {
            file: file.unwrap_or_default(),
            all,
        }
    }

    /// The line of an offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.line_and_column(offset).0
    }

    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        self.source(offset).map_or((1, 1), |(_, source)| {
            source.line_and_column(offset - source.base)
        })
    }
}
