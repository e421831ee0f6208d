//! Which functions are traced, in the user's words.
//!
//! A filter is a row of **rules**, separated by `;` or line breaks. Each includes what it matches, or with `!` or `-` in front
//! excludes it. The last rule that matches a function decides. Where none does, the function is excluded if the first rule includes
//! something; otherwise it is traced, unless it belongs to the system ([`system`]).
//!
//! | a rule | matches functions |
//! |---|---|
//! | `parse` | called so: in full, without arguments, without template arguments, or by the last parts of a name with `::` |
//! | `g*`, `get_?`, `[gs]et` | whose name is like this, in any of these forms |
//! | `/^lex_/`, `/lex/i` | whose name has a match of the regular expression, in full or as the linker has it |
//! | `file:parser.c`, `file:src/*` | whose source file ends so |
//! | `lib:libfoo*` | of this library or program: its file name, with or without `.so...`, or its path |
//! | `name:...` | as the first two rows, for names that begin like another row |
//! | `all` | all, but for the system's |
//! | `A & B` | which both match |
//!
//! Beside rules there are limits: `depth:3`, `at-least:10us`, `thread:worker*` (a name or a number; `!thread:` for all others),
//! and `with-system`.

use std::path::Path;

mod name;
mod parse;
mod pattern;
pub mod system;

pub use name::Names;
pub(crate) use parse::nanoseconds;
pub use parse::{ParseError, TEXT_BYTES_MAX};
use pattern::FilePattern;
pub use pattern::{NamePattern, ThreadPattern};

/// Rules and limits of a session.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    rules: Vec<Rule>,
    limits: Limits,
    with_system: bool,
}

/// What is decided when the words are taken, call by call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Calls with as many traced callers are left out, and what they call.
    pub depth_max: Option<u32>,
    /// Calls that took less are left out, in nanoseconds.
    pub at_least_ns: Option<u64>,
    threads: Vec<(Action, ThreadPattern)>,
}

/// What a rule does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is traced.
    Include,
    /// It isn't.
    Exclude,
}

/// One rule, as it was written and as it is judged.
#[derive(Clone, Debug)]
pub struct Rule {
    action: Action,
    terms: Vec<Term>,
    text: String,
}

#[derive(Clone, Debug)]
enum Term {
    All,
    Name(NamePattern),
    File(FilePattern),
    Library(FilePattern),
}

/// One thing of a filter's text.
#[derive(Clone, Debug)]
enum Item {
    Rule(Rule),
    Depth(u32),
    AtLeast(u64),
    Thread(Action, ThreadPattern),
    WithSystem,
}

/// A function to be judged: what it is called, and where it lies.
pub struct Function<'a> {
    /// All names of its address.
    pub names: &'a [Names<'a>],
    /// The file of its library or program.
    pub module: &'a Path,
    /// Whether that is the program itself, and so not the system's wherever it lies.
    pub is_program: bool,
    /// Looks up its source file: asked only when a rule needs it.
    pub source: &'a mut dyn FnMut() -> Option<String>,
}

impl Filter {
    /// The filter that `text` is.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut filter = Self::default();
        filter.add(text)?;
        Ok(filter)
    }

    /// Adds what `text` says; nothing, if it isn't right.
    pub fn add(&mut self, text: &str) -> Result<(), ParseError> {
        self.add_items(parse::items(text, Action::Include)?);
        Ok(())
    }

    /// Adds what `text` says with the rules turned round: `!` includes.
    pub fn add_excluded(&mut self, text: &str) -> Result<(), ParseError> {
        self.add_items(parse::items(text, Action::Exclude)?);
        Ok(())
    }

    fn add_items(&mut self, items: Vec<Item>) {
        for item in items {
            match item {
                Item::Rule(rule) => self.rules.push(rule),
                Item::Depth(depth) => self.limits.depth_max = Some(depth),
                Item::AtLeast(nanoseconds) => self.limits.at_least_ns = Some(nanoseconds),
                Item::Thread(action, pattern) => self.limits.threads.push((action, pattern)),
                Item::WithSystem => self.with_system = true,
            }
        }
    }

    /// Has functions of the system traced as others.
    pub fn trace_system(&mut self) {
        self.with_system = true;
    }

    /// Takes away the rule that was written so, or the one with this number, from 1; whether there was one.
    pub fn remove(&mut self, rule: &str) -> bool {
        let rule = rule.trim();
        let excluding = rule
            .strip_prefix(['-', '!'])
            .map(|rest| format!("!{}", rest.trim()));
        let written = excluding.as_deref().unwrap_or(rule);
        let by_number = rule.parse::<usize>().ok();
        let index = by_number
            .and_then(|number| number.checked_sub(1))
            .filter(|&index| index < self.rules.len())
            .or_else(|| self.rules.iter().rposition(|known| known.text == written));
        match index {
            Some(index) => {
                self.rules.remove(index);
                true
            }
            None => false,
        }
    }

    /// Takes away all rules and limits.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The rules, in the order in which they are judged.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// What is decided call by call.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether a rule asks for source files.
    pub fn names_files(&self) -> bool {
        let terms = self.rules.iter().flat_map(|rule| &rule.terms);
        terms.into_iter().any(|term| matches!(term, Term::File(_)))
    }

    /// Whether functions of the system are traced as others.
    pub fn traces_system(&self) -> bool {
        self.with_system
    }

    /// Whether `function` is traced.
    pub fn includes(&self, function: &mut Function) -> bool {
        let decided = self.rules.iter().rev().find(|rule| rule.matches(function));
        match decided {
            Some(rule) if rule.action == Action::Exclude => false,
            Some(rule) => rule.names_something() || !self.is_left_out(function),
            None if self.begins_with_nothing() => false,
            None => !self.is_left_out(function),
        }
    }

    /// Whether only what a rule includes is traced, rather than all that none excludes.
    fn begins_with_nothing(&self) -> bool {
        let first = self.rules.first();
        first.is_some_and(|rule| rule.action == Action::Include)
    }

    fn is_left_out(&self, function: &mut Function) -> bool {
        !self.with_system && system::owns(function)
    }
}

impl Rule {
    /// The rule as its user wrote it, with `!` if it excludes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it does.
    pub fn action(&self) -> Action {
        self.action
    }

    fn matches(&self, function: &mut Function) -> bool {
        self.terms.iter().all(|term| term.matches(function))
    }

    /// Whether it means certain functions: those are traced even if the system owns them.
    fn names_something(&self) -> bool {
        self.terms.iter().any(|term| !matches!(term, Term::All))
    }
}

impl Term {
    fn matches(&self, function: &mut Function) -> bool {
        match self {
            Self::All => true,
            Self::Name(pattern) => function.names.iter().any(|names| pattern.matches(names)),
            Self::File(pattern) => {
                (function.source)().is_some_and(|file| pattern.matches_end(&file))
            }
            Self::Library(pattern) => pattern.matches_library(function.module),
        }
    }
}

impl Limits {
    /// Whether the calls of a thread are traced.
    pub fn includes_thread(&self, tid: u32, name: &str) -> bool {
        let decided = self
            .threads
            .iter()
            .rev()
            .find(|(_, pattern)| pattern.matches(tid, name));
        match decided {
            Some((action, _)) => *action == Action::Include,
            None => !self
                .threads
                .iter()
                .any(|(action, _)| *action == Action::Include),
        }
    }

    /// The rules for threads, as they may be written.
    pub fn thread_rules(&self) -> impl Iterator<Item = String> + '_ {
        self.threads.iter().map(|(action, pattern)| match action {
            Action::Include => format!("thread:{}", pattern.text()),
            Action::Exclude => format!("!thread:{}", pattern.text()),
        })
    }

    /// Whether any thread is left out.
    pub fn judges_threads(&self) -> bool {
        !self.threads.is_empty()
    }

    /// Whether nothing is decided call by call.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests;
