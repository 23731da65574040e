//! Regular expressions for `match`.
//!
//! Kea takes the language of ECMAScript and warns of expressions that take for ever. Here they are made into
//! a deterministic automaton when the configuration is read, within bounds: a match looks at every octet once.

use core::fmt;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use std::sync::Arc;

/// How large an automaton may be, in octets: one that is larger is refused with the configuration.
const AUTOMATON_OCTETS_MAX: usize = 1 << 18;
/// How much may be used on the way to it.
const WORK_OCTETS_MAX: usize = 1 << 20;
/// How deep groups may be nested.
const NEST_MAX: u32 = 50;

/// A regular expression, ready to be used.
#[derive(Clone)]
pub struct Pattern {
    source: Box<str>,
    automaton: Arc<dense::DFA<Vec<u32>>>,
}

impl Pattern {
    /// Reads a regular expression.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn new(source: &str) -> Result<Self, String> {
        // By octets: texts of clients are of any encoding.
        let syntax = syntax::Config::new()
            .unicode(false)
            .utf8(false)
            .nest_limit(NEST_MAX);
        // It must be right by itself, before anything is put around it.
        syntax::parse_with(source, &syntax).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason).to_owned();
            format!("this is no regular expression that can be used: {reason}")
        })?;
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .dfa_size_limit(Some(AUTOMATON_OCTETS_MAX))
            .determinize_size_limit(Some(WORK_OCTETS_MAX));
        let whole = format!("(?:{source})\\z");
        let automaton = dense::Builder::new()
            .configure(config)
            .syntax(syntax)
            .thompson(
                thompson::Config::new()
                    .utf8(false)
                    .nfa_size_limit(Some(WORK_OCTETS_MAX)),
            )
            .build(&whole)
            .map_err(|_| {
                "this regular expression becomes too large; use fewer or smaller repetitions"
                    .to_owned()
            })?;
        Ok(Self {
            source: source.into(),
            automaton: Arc::new(automaton),
        })
    }

    /// Whether the whole of the octets is as the pattern says.
    pub fn is_match(&self, octets: &[u8]) -> bool {
        let input = Input::new(octets).anchored(Anchored::Yes);
        // Nothing that makes this automaton stop early (heuristic word boundaries) is built into it.
        matches!(self.automaton.try_search_fwd(&input), Ok(Some(_)))
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().is_match(text.as_bytes())
    }

    #[test]
    fn the_whole_text_must_be_as_the_pattern_says() {
        assert!(matches("foo.*", "foobar"));
        assert!(matches("^.*foo.*$", "is it foo or bar"));
        assert!(!matches("foo", "foobar"));
        assert!(!matches("bar", "foobar"));
        assert!(matches("a|ab", "ab"), "the longer branch is found");
        assert!(matches("docsis[0-9]+\\.[0-9]+", "docsis3.0"));
        assert!(Pattern::new("[^a]").unwrap().is_match(&[0xff]));
        assert!(matches("\\bfoo\\b.*", "foo bar"));
    }

    #[test]
    fn what_is_unbalanced_or_too_large_is_refused() {
        for pattern in [
            "a)(b",
            "(",
            "[",
            "(a)\\1",
            "(?=a)",
            "((a{100}){100}){100}",
            ".*a.{200}",
        ] {
            let error = Pattern::new(pattern).unwrap_err();
            assert!(error.starts_with("this "), "{pattern}: {error}");
        }
    }

    #[test]
    fn what_takes_others_for_ever_takes_one_look_at_each_octet() {
        let evil = Pattern::new("(a+)+").unwrap();
        assert!(!evil.is_match(&[b"a".repeat(2000), vec![b'!']].concat()));
    }
}
