//! Texts that a trigger asks for: a name, a pattern or a regular expression, as a table of states that the hook can carry out
//! ([`umbel_trace_ring::plan::Matcher`]).

use std::collections::HashMap;

use globset::GlobBuilder;
use regex_automata::Anchored;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::util::syntax;
use umbel_trace_ring::plan::{ALWAYS, NEVER, TABLE_HEAD_WORDS};
use umbel_values::TABLE_WORDS_MAX;

/// Bytes of what is built on the way: a hostile expression is refused instead of eating the memory.
const BUILD_BYTES_MAX: usize = 1 << 20;

/// States beside [`NEVER`] and [`ALWAYS`]: a state is a byte.
const STATES_MAX: usize = 254;

const TOO_LARGE: &str = "it is too large to be judged in the program; write it shorter";

/// The table of a text that is written in quotes: as it is, or with wildcards as in filters.
pub fn quoted(raw: &str) -> Result<Box<[u64]>, String> {
    let (plain, glob) = unescaped(raw);
    let Some(glob) = glob else {
        return table(&regex::escape(&plain), false, Anchored::Yes);
    };
    let glob = GlobBuilder::new(&glob)
        .literal_separator(false)
        .backslash_escape(true)
        .build()
        .map_err(|error| format!("no pattern: {}", error.kind()))?;
    table(glob.regex(), false, Anchored::Yes)
}

/// The table of a regular expression: it may match anywhere in the text. Letters, digits and blanks are those of ASCII.
pub fn regex(text: &str, ignores_case: bool) -> Result<Box<[u64]>, String> {
    table(text, ignores_case, Anchored::No)
}

/// The text as it is, and the pattern that it is, if it has a wildcard: `\"`, `\*` and the like stand for what they show, `\n`, `\t` for
/// what they are in C.
fn unescaped(raw: &str) -> (String, Option<String>) {
    let (mut plain, mut glob, mut is_pattern) = (String::new(), String::new(), false);
    let mut characters = raw.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            is_pattern |= "*?[".contains(c);
            plain.push(c);
            glob.push(c);
            continue;
        }
        let c = match characters.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some(c) => c,
            None => '\\',
        };
        plain.push(c);
        if !c.is_alphanumeric() {
            glob.push('\\');
        }
        glob.push(c);
    }
    (plain, is_pattern.then_some(glob))
}

fn table(regex: &str, ignores_case: bool, anchored: Anchored) -> Result<Box<[u64]>, String> {
    let is_whole = anchored == Anchored::Yes;
    // What is written plainly matches from the first byte to the last.
    let regex = match is_whole {
        true => format!("(?:{regex})\\z"),
        false => regex.to_owned(),
    };
    let kind = match is_whole {
        true => StartKind::Anchored,
        false => StartKind::Unanchored,
    };
    let build = dense::Builder::new()
        .configure(
            dense::Config::new()
                .start_kind(kind)
                .dfa_size_limit(Some(BUILD_BYTES_MAX))
                .determinize_size_limit(Some(BUILD_BYTES_MAX)),
        )
        .syntax(
            syntax::Config::new()
                .unicode(false)
                .utf8(false)
                .case_insensitive(ignores_case)
                // A pattern's `*` is anything.
                .dot_matches_new_line(is_whole),
        )
        .thompson(
            thompson::Config::new()
                .utf8(false)
                .nfa_size_limit(Some(BUILD_BYTES_MAX)),
        )
        .build(&regex);
    let automaton = build.map_err(|error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(below) = cause.source() {
            cause = below;
        }
        let message = cause.to_string();
        // Of either automaton on the way.
        let is_large = error.is_size_limit_exceeded() || message.contains("exceeded");
        if is_large {
            TOO_LARGE.to_owned()
        } else {
            let reason = message.lines().last().unwrap_or_default();
            format!(
                "no regular expression: {}",
                reason.trim_start_matches("error: ")
            )
        }
    })?;
    let begin = start::Config::new().anchored(anchored);
    let first = automaton
        .start_state(&begin)
        .map_err(|error| error.to_string())?;
    let states = States::of(&automaton, first).ok_or(TOO_LARGE)?;
    states.pack().ok_or_else(|| TOO_LARGE.to_owned())
}

/// The states that can be reached, by number from 0.
struct States {
    rows: Vec<[usize; 256]>,
    /// Something matched already.
    has_matched: Vec<bool>,
    /// A text that ends here is meant.
    ends: Vec<bool>,
}

impl States {
    /// `None`: too many.
    fn of(automaton: &dense::DFA<Vec<u32>>, first: StateID) -> Option<Self> {
        let mut known = HashMap::from([(first, 0)]);
        let mut order = vec![first];
        let mut states = Self {
            rows: Vec::new(),
            has_matched: Vec::new(),
            ends: Vec::new(),
        };
        while let Some(&state) = order.get(states.rows.len()) {
            // A match is told one byte late; then nothing that follows matters.
            let has_matched = automaton.is_match_state(state);
            let mut row = [0; 256];
            for byte in 0..=u8::MAX {
                let next = automaton.next_state(state, byte);
                row[usize::from(byte)] = *known.entry(next).or_insert_with(|| {
                    order.push(next);
                    order.len() - 1
                });
            }
            if order.len() > 4 * STATES_MAX {
                return None;
            }
            states.rows.push(row);
            states.has_matched.push(has_matched);
            let at_end = automaton.next_eoi_state(state);
            states
                .ends
                .push(has_matched || automaton.is_match_state(at_end));
        }
        Some(states)
    }

    /// Those from which each text is meant (`true`), or none.
    fn settled(&self, are_meant: bool) -> Vec<bool> {
        let mut settled: Vec<bool> = self.ends.iter().map(|ends| *ends == are_meant).collect();
        loop {
            let mut has_changed = false;
            for (index, row) in self.rows.iter().enumerate() {
                let is_sure = are_meant && self.has_matched[index];
                if settled[index] && !is_sure && row.iter().any(|&next| !settled[next]) {
                    settled[index] = false;
                    has_changed = true;
                }
            }
            if !has_changed {
                return settled;
            }
        }
    }

    fn pack(&self) -> Option<Box<[u64]>> {
        let (always, never) = (self.settled(true), self.settled(false));
        let mut numbers = Vec::new();
        let mut last = usize::from(ALWAYS);
        for (is_always, is_never) in always.into_iter().zip(never) {
            numbers.push(match (is_always, is_never) {
                (true, _) => ALWAYS,
                (_, true) => NEVER,
                _ => {
                    last += 1;
                    u8::try_from(last).ok()?
                }
            });
        }
        let open: Vec<usize> = (0..numbers.len())
            .filter(|&index| numbers[index] > ALWAYS)
            .collect();
        // Bytes that no state tells apart are one class.
        let mut columns: HashMap<Vec<u8>, u8> = HashMap::new();
        let mut classes = [0_u8; 256];
        let mut class_columns = Vec::new();
        for (byte, class) in classes.iter_mut().enumerate() {
            let column: Vec<u8> = open
                .iter()
                .map(|&index| numbers[self.rows[index][byte]])
                .collect();
            *class = match columns.get(&column) {
                Some(known) => *known,
                None => {
                    let number = u8::try_from(columns.len()).ok()?;
                    columns.insert(column.clone(), number);
                    class_columns.push(column);
                    number
                }
            };
        }
        let mut ends = [0_u64; 4];
        ends[0] |= 1 << ALWAYS;
        for (&number, _) in numbers.iter().zip(&self.ends).filter(|(_, ends)| **ends) {
            ends[usize::from(number / 64)] |= 1 << (number % 64);
        }
        let mut bytes = classes.to_vec();
        for row in 0..open.len() {
            bytes.extend(class_columns.iter().map(|column| column[row]));
        }
        let head = u64::from(numbers[0]) | (class_columns.len() as u64) << 8;
        let mut words = vec![head];
        words.extend(ends);
        words.extend(bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        }));
        debug_assert!(words.len() >= TABLE_HEAD_WORDS);
        (words.len() <= TABLE_WORDS_MAX).then(|| words.into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use proptest::prelude::*;
    use umbel_trace_ring::plan::Matcher;

    use super::*;

    fn is_meant(table: &[u64], text: &[u8]) -> bool {
        let words: Vec<AtomicU64> = table.iter().map(|&word| AtomicU64::new(word)).collect();
        let matcher = Matcher::new(&words).expect("it has a head");
        let mut state = matcher.start;
        for &byte in text {
            state = matcher.next(state, byte).expect("it is whole");
        }
        matcher.ends(state).expect("it is whole")
    }

    #[test]
    fn texts_are_meant_as_filters_mean_names() {
        for (pattern, meant, others) in [
            (
                "x.db",
                &["x.db"][..],
                &["", "x.d", "x.dbx", "xydb", "ax.db"][..],
            ),
            ("x*", &["x", "x.db", "x/y"], &["", "ax"]),
            ("*.db", &[".db", "a/x.db"], &["x.db-journal", "db"]),
            ("*a*a*", &["aa", "banana"], &["ba", ""]),
            ("?[0-9]", &["a1", "-9"], &["1", "a", "a12"]),
            ("a\\*b", &["a*b"], &["axb", "ab"]),
            ("\\\"q\\\"\\n", &["\"q\"\n"], &["q"]),
            ("", &[""], &["a"]),
            ("*", &["", "anything"], &[]),
            ("ü*", &["ü", "über"], &["u"]),
        ] {
            let table = quoted(pattern).expect(pattern);
            for text in meant {
                assert!(is_meant(&table, text.as_bytes()), "{pattern}: {text}");
            }
            for text in others {
                assert!(!is_meant(&table, text.as_bytes()), "{pattern}: {text}");
            }
        }
        // What can't be meant any more is known at once.
        let table = quoted("x*").expect("a pattern");
        assert_eq!(table[0] as u8, 2);
        let words: Vec<AtomicU64> = table.iter().map(|&word| AtomicU64::new(word)).collect();
        let matcher = Matcher::new(&words).expect("it has a head");
        assert_eq!(matcher.next(2, b'x'), Some(ALWAYS));
        assert_eq!(matcher.next(2, b'y'), Some(NEVER));
    }

    #[test]
    fn what_is_too_large_or_no_expression_is_refused() {
        assert!(
            regex("a(", false)
                .expect_err("no bracket")
                .contains("unclosed")
        );
        assert!(
            regex("(a|b)*c[^d]{200}", false)
                .expect_err("large")
                .contains("too large")
        );
        assert!(
            regex("(((a{100}){100}){100}){100}", false)
                .expect_err("large")
                .contains("too large")
        );
        assert!(quoted("[z-a]").expect_err("a range").contains("no pattern"));
    }

    proptest! {
        #[test]
        fn a_table_finds_what_the_expression_finds(
            expression in "[ab.x]{0,3}(\\(a\\|bc\\))?[*+?]?(\\[\\^a\\])?(\\\\b)?\\$?",
            ignores_case in any::<bool>(),
            texts in prop::collection::vec("[abcABx \\n]{0,8}", 8),
        ) {
            let reference = ::regex::bytes::RegexBuilder::new(&expression)
                .unicode(false)
                .case_insensitive(ignores_case)
                .build();
            let table = regex(&expression, ignores_case);
            prop_assert_eq!(reference.is_ok(), table.is_ok());
            if let (Ok(reference), Ok(table)) = (reference, table) {
                for text in texts {
                    prop_assert_eq!(
                        reference.is_match(text.as_bytes()),
                        is_meant(&table, text.as_bytes()),
                        "{} in {:?}", &expression, text
                    );
                }
            }
        }
    }
}
