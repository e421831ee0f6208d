//! The forms in which a user may write a function's name.

use std::cell::OnceCell;

/// A function's name: the linker's, and as the source has it. The latter is made when it is first needed.
pub struct Names<'a> {
    linkage: &'a str,
    full: OnceCell<String>,
}

impl<'a> Names<'a> {
    /// The names of a function that the linker calls `linkage`.
    pub fn new(linkage: &'a str) -> Self {
        Self {
            linkage,
            full: OnceCell::new(),
        }
    }

    /// The linker's, without a version.
    pub fn linkage(&self) -> &str {
        self.linkage
    }

    /// As the source has it, with arguments.
    pub fn full(&self) -> &str {
        self.full
            .get_or_init(|| demangle(self.linkage).unwrap_or_else(|| self.linkage.to_owned()))
    }

    /// Whether `matches` is true of one of the forms: in full, without arguments, without template arguments, and each of the last
    /// two from one of its parts on.
    pub fn any_form(&self, matches: impl Fn(&str) -> bool) -> bool {
        let full = self.full();
        if matches(full) {
            return true;
        }
        let qualified = without_arguments(full);
        let plain = without_templates(qualified);
        let ends_match = |name: &str| part_starts(name).any(|start| matches(&name[start..]));
        ends_match(qualified) || (plain != qualified && ends_match(&plain))
    }
}

/// `linkage` as the source has it, if it is a name of C++ or Rust.
pub fn demangle(linkage: &str) -> Option<String> {
    if let Ok(rust) = rustc_demangle::try_demangle(linkage) {
        return Some(format!("{rust:#}"));
    }
    if !linkage.starts_with("_Z") {
        return None;
    }
    // What a compiler made of a function (`.part.0`, `.cold`) goes by the function's name.
    let symbol = linkage.split_once('.').map_or(linkage, |(name, _)| name);
    let options = cpp_demangle::DemangleOptions::new().no_return_type();
    let symbol = cpp_demangle::Symbol::new(symbol).ok()?;
    symbol.demangle_with_options(&options).ok()
}

/// `name` up to its arguments: `a::f<int>(char) const` -> `a::f<int>`.
fn without_arguments(name: &str) -> &str {
    let mut depth = 0_usize;
    let mut parts = name.char_indices();
    while let Some((index, character)) = parts.next() {
        match character {
            '(' if depth == 0 => {
                let rest = &name[index..];
                let is_name = rest.starts_with("(anonymous namespace)")
                    || name[..index].ends_with("operator")
                    || rest.starts_with("({");
                if !is_name {
                    return &name[..index];
                }
                // Skip to the bracket's end: it is part of the name.
                for (_, inner) in parts.by_ref() {
                    if inner == ')' {
                        break;
                    }
                }
            }
            '<' if !is_operator(&name[..index]) => depth += 1,
            '>' if depth > 0 && !name[..index].ends_with('-') => depth -= 1,
            _ => {}
        }
    }
    name
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
    fn arguments_end_a_name_but_not_those_of_operators_and_unnamed_spaces() {
        for (full, short) in [
            ("a::f<int>(char) const", "a::f<int>"),
            ("(anonymous namespace)::f(int)", "(anonymous namespace)::f"),
            ("a::operator()(int) const", "a::operator()"),
            ("a::operator<<(int)", "a::operator<<"),
            ("a::operator< <int>(int)", "a::operator< <int>"),
            ("a::operator->()", "a::operator->"),
            ("f<void (*)(int)>(int)", "f<void (*)(int)>"),
            ("main", "main"),
        ] {
            assert_eq!(without_arguments(full), short);
        }
    }

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

    #[test]
    fn linker_names_become_source_names() {
        assert_eq!(demangle("_ZN1a1fEi").as_deref(), Some("a::f(int)"));
        assert_eq!(demangle("_ZN1a1fEi.part.0").as_deref(), Some("a::f(int)"));
        assert_eq!(demangle("main"), None);
    }
}
