//! Which variables of which functions are captured: rules like `f:a,b.c,*p[0..8]`.
//!
//! | written | meaning |
//! |---|---|
//! | `f:a,b` | of `f` its variables `a` and `b`, and no others |
//! | `g*:`, `/^g/i:`, `"operator()":` | functions are named as in filters: by pattern, regular expression, or in quotes |
//! | `f:` | nothing of `f` |
//! | `f:*` | all of `f`: arguments, locals, what it returns |
//! | `f:return` | what it returns |
//! | `f:b.c`, `f:p->c`, `f:a[3]` | a member, also through pointers and references; an element |
//! | `f:*p` | what `p` points to |
//! | `f:p[2..8]`, `f:p[0..n]` | the elements 2 to 7 behind `p` or of the array `p`; as many as `n` says |
//! | `f:*p[0..8]` | the same as `p[0..8]`; with one `*` more, those behind what `p` points to |
//! | `f:p@text` | bytes that are a text |
//!
//! Of several rules the last one that matches a function decides. Rules of one text are separated by `;`.

use umbel_values::Frame;
use umbel_values::plan::Chosen;

use crate::filter::{NamePattern, Names};

mod parse;

pub use parse::ParseError;

/// What is captured of some functions.
#[derive(Clone, Debug)]
pub struct Rule {
    text: Box<str>,
    /// As the function was written.
    function: Box<str>,
    pattern: NamePattern,
    chosen: Vec<Chosen>,
}

impl Rule {
    /// The rules that `text` has.
    ///
    /// # Errors
    /// It isn't written as the table says.
    pub fn parse(text: &str) -> Result<Vec<Self>, ParseError> {
        parse::rules(text)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The functions that it speaks of, as they were written.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// Whether it speaks of a function.
    pub fn matches(&self, names: &Names) -> bool {
        self.pattern.matches(names)
    }
}

/// What is chosen of the function of `frame`; `None`: no rule speaks of it.
pub fn of<'a>(rules: &'a [Rule], frame: &Frame) -> Option<&'a [Chosen]> {
    let names = Names::new(frame.linkage.as_deref().unwrap_or(&frame.name));
    let deciding = rules.iter().rev().find(|rule| rule.pattern.matches(&names));
    deciding.map(|rule| rule.chosen.as_slice())
}

#[cfg(test)]
mod tests;
