//! The forms in which a user may write a function's name.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::symbols::{full_name, short_name, without_clone};

/// A function's name: the linker's, and as the source has it. The latter is made when it is first needed.
pub struct Names<'a> {
    linkage: &'a str,
    full: OnceCell<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    /// The names of a function that the linker calls `linkage`.
    pub fn new(linkage: &'a str) -> Self {
        Self {
            linkage: without_clone(linkage),
            full: OnceCell::new(),
        }
    }

    /// The linker's.
    pub fn linkage(&self) -> &str {
        self.linkage
    }

    /// As the source has it, with arguments, and for templates with what it returns.
    pub fn full(&self) -> &str {
        self.full.get_or_init(|| full_name(self.linkage))
    }

    /// Whether `matches` is true of one of the forms: in full, without arguments, without template arguments, and each of them
    /// from one of its parts on.
    pub fn any_form(&self, matches: impl Fn(&str) -> bool) -> bool {
        let full = self.full();
        let short = short_name(self.linkage);
        let plain = without_templates(&short);
        let without_result = full.find(&*short).map_or(full, |start| &full[start..]);
        let ends_match = |name: &str| part_starts(name).any(|start| matches(&name[start..]));
        matches(full)
            || (full != short && ends_match(without_result))
            || ends_match(&short)
            || (plain != short && ends_match(&plain))
    }
}

/// `name` without what stands in angle brackets: `a<int>::f<char>` -> `a::f`.
fn without_templates(name: &str) -> String {
    let mut depth = 0_usize;
    let mut plain = String::with_capacity(name.len());
    for (index, character) in name.char_indices() {
        match character {
            '<' if depth > 0 || !is_operator(&name[..index]) => depth += 1,
            '>' if depth > 0 => depth -= 1,
            _ if depth == 0 => plain.push(character),
            _ => {}
        }
    }
    plain
}

/// Whether the `<` after `before` belongs to an operator's name.
fn is_operator(before: &str) -> bool {
    before.ends_with("operator") || before.ends_with("operator<")
}

/// Where the parts of `a::b<c::d>::e` begin: at 0, and after each `::` outside of brackets.
fn part_starts(name: &str) -> impl Iterator<Item = usize> {
    let mut depth = 0_usize;
    let mut starts = vec![0];
    for (index, character) in name.char_indices() {
        match character {
            '<' | '(' | '{' => depth += 1,
            '>' | ')' | '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && name[..index].ends_with(':') => starts.push(index + 1),
            _ => {}
        }
    }
    starts.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_arguments_are_left_out_of_the_plain_form() {
        for (full, plain) in [
            ("a<int>::f<b<char>>", "a::f"),
            ("a::operator<<", "a::operator<<"),
            ("a::operator><int>", "a::operator>"),
            ("f", "f"),
        ] {
            assert_eq!(without_templates(full), plain);
        }
    }
}
