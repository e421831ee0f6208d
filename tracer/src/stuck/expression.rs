//! What a user wants to see of a frame: `n`, `p->next[3].name`, `*p`, `&buffer`, `a[2..5]`.

use std::fmt;

/// Bytes of an expression.
const TEXT_BYTES_MAX: usize = 1024;

/// Parts within parts.
const NESTING_MAX: u32 = 64;

/// Elements of `a[2..5]` at most.
const RANGE_MAX: i64 = 1024;

/// A path through a frame's variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A variable of the frame, or one outside of functions.
    Variable(String),
    /// `'file.c'::x`: one outside of functions, by its source file.
    InFile(String, String),
    /// `(struct foo *)p`: the type, and what is taken for it.
    Cast(String, Box<Expression>),
    /// `0x7f0012345678`: to be cast.
    Number(u64),
    /// `$rbx`: a register.
    Register(String),
    /// `.name` or `->name`: pointers are followed.
    Member(Box<Expression>, String),
    /// `[3]`
    Index(Box<Expression>, i64),
    /// `[2..5]`: the elements 2, 3 and 4.
    Range(Box<Expression>, i64, i64),
    /// `*`
    Target(Box<Expression>),
    /// `&`
    Address(Box<Expression>),
}

/// An expression is read from left to right.
struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Expression {
    /// The expression that `text` is; why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("an expression has at most {TEXT_BYTES_MAX} bytes"));
        }
        let mut reader = Reader { text, rest: text };
        let expression = reader.unary(0)?;
        match reader.peek() {
            None => Ok(expression),
            Some(_) => Err(reader.expected(
                "`.`, `->`, `[` or the end: what can be asked for is a path, as in p->next[3].name",
            )),
        }
    }
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: &str) -> bool {
        self.peek();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expected(&self, what: &str) -> String {
        let column = self.text[..self.text.len() - self.rest.len()]
            .chars()
            .count()
            + 1;
        format!("`{}`, column {column}: expected {what}", self.text.trim())
    }

    fn unary(&mut self, depth: u32) -> Result<Expression, String> {
        if depth > NESTING_MAX {
            return Err(format!("more than {NESTING_MAX} parts within each other"));
        }
        if self.take("*") {
            return Ok(Expression::Target(self.unary(depth + 1)?.into()));
        }
        if self.take("&") {
            return Ok(Expression::Address(self.unary(depth + 1)?.into()));
        }
        if let Some(of) = self.cast() {
            return Ok(Expression::Cast(of, self.unary(depth + 1)?.into()));
        }
        let mut whole = self.first(depth)?;
        for _ in 0..NESTING_MAX {
            let is_range = self.rest.trim_start().starts_with("..");
            whole = if self.take("->") || !is_range && self.take(".") {
                Expression::Member(whole.into(), self.name("a member's name")?)
            } else if self.take("[") {
                self.element(whole)?
            } else {
                return Ok(whole);
            };
        }
        Err(format!("more than {NESTING_MAX} parts within each other"))
    }

    /// A type in brackets, if what follows is something that can be cast to it: `(n)` alone is a variable.
    fn cast(&mut self) -> Option<String> {
        self.peek();
        let inside = self.rest.strip_prefix('(')?;
        let end = inside.find(')')?;
        let of = inside[..end].trim();
        let name = of.trim_end_matches(['*', ' ']);
        let is_of_type = |c: char| c.is_alphanumeric() || "_:<>, ".contains(c);
        let is_type = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name.chars().all(is_of_type);
        let behind = inside[end + 1..].trim_start();
        let is_operand = behind.starts_with(|c: char| c.is_alphanumeric() || "_*&$('".contains(c));
        if !(is_type && is_operand) {
            return None;
        }
        self.rest = behind;
        Some(of.to_owned())
    }

    /// `'file.c'::x`
    fn in_file(&mut self) -> Result<Expression, String> {
        let Some((file, rest)) = self.rest.split_once('\'') else {
            return Err(self.expected("a second `'` behind the file's name, as in 'file.c'::x"));
        };
        self.rest = rest;
        if file.is_empty() || !self.take("::") {
            return Err(self.expected("`::` and a variable behind the file, as in 'file.c'::x"));
        }
        let name = self.name("a variable, as in 'file.c'::x")?;
        Ok(Expression::InFile(file.to_owned(), name))
    }

    fn first(&mut self, depth: u32) -> Result<Expression, String> {
        if self.take("(") {
            let inner = self.unary(depth + 1)?;
            return match self.take(")") {
                true => Ok(inner),
                false => Err(self.expected("`)`")),
            };
        }
        if self.take("'") {
            return self.in_file();
        }
        if self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return self.address();
        }
        if self.take("$") {
            return Ok(Expression::Register(
                self.name("a register, as in $rbx or $pc")?,
            ));
        }
        Ok(Expression::Variable(self.name(
            "a variable, as in n, p->next, *p, a[3], a[2..5] or &n",
        )?))
    }

    /// A number that is to be taken for something.
    fn address(&mut self) -> Result<Expression, String> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric());
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let number = match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => word.parse().ok(),
        };
        let number = number
            .ok_or_else(|| self.expected("a variable, or a number as in (struct foo *)0x7f00"))?;
        self.rest = rest;
        Ok(Expression::Number(number))
    }

    fn element(&mut self, whole: Expression) -> Result<Expression, String> {
        let begin = self.number()?;
        let element = match self.take("..") {
            true => {
                let end = self.number()?;
                if !(0..=RANGE_MAX).contains(&end.saturating_sub(begin)) {
                    return Err(format!(
                        "[{begin}..{end}]: at most {RANGE_MAX} elements, the first one first"
                    ));
                }
                Expression::Range(whole.into(), begin, end)
            }
            false => Expression::Index(whole.into(), begin),
        };
        match self.take("]") {
            true => Ok(element),
            false => Err(self.expected("`]`")),
        }
    }

    fn number(&mut self) -> Result<i64, String> {
        self.peek();
        let is_of_number = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let end = self.rest.find(|c| !is_of_number(c));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let number = match word.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16).ok(),
            None => word.parse().ok(),
        };
        let number = number.ok_or_else(|| self.expected("a number, as in a[3] or a[2..5]"))?;
        self.rest = rest;
        Ok(number)
    }

    /// A name, also with its namespaces.
    fn name(&mut self, what: &str) -> Result<String, String> {
        self.peek();
        let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
        let mut end = 0;
        while let Some(c) = self.rest[end..].chars().next() {
            end += match c {
                c if is_of_name(c) => c.len_utf8(),
                ':' if end > 0 && self.rest[end..].starts_with("::") => 2,
                _ => break,
            };
        }
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.expected(what));
        }
        self.rest = rest;
        Ok(name.to_owned())
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let postfix = |to: &mut fmt::Formatter, inner: &Self| match inner {
            Self::Target(_) | Self::Address(_) | Self::Cast(..) => write!(to, "({inner})"),
            _ => write!(to, "{inner}"),
        };
        match self {
            Self::Variable(name) => to.write_str(name),
            Self::InFile(file, name) => write!(to, "'{file}'::{name}"),
            Self::Cast(of, inner) => write!(to, "({of}){inner}"),
            Self::Number(number) => write!(to, "{number:#x}"),
            Self::Register(name) => write!(to, "${name}"),
            Self::Member(of, name) => {
                postfix(to, of)?;
                write!(to, ".{name}")
            }
            Self::Index(of, index) => {
                postfix(to, of)?;
                write!(to, "[{index}]")
            }
            Self::Range(of, begin, end) => {
                postfix(to, of)?;
                write!(to, "[{begin}..{end}]")
            }
            Self::Target(of) => write!(to, "*{of}"),
            Self::Address(of) => write!(to, "&{of}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_read() {
        for (text, shown) in [
            ("n", "n"),
            (" p -> next [ 3 ] . name ", "p.next[3].name"),
            ("*p", "*p"),
            ("**p.q", "**p.q"),
            ("(*p).q", "(*p).q"),
            ("&a[2]", "&a[2]"),
            ("a[2..5]", "a[2..5]"),
            ("a[0x10]", "a[16]"),
            ("a[-1]", "a[-1]"),
            ("$rbx", "$rbx"),
            ("space::name.x", "space::name.x"),
            ("'dir/file.c'::x[1]", "'dir/file.c'::x[1]"),
            ("*(struct foo *)p->q", "*(struct foo *)p.q"),
            ("((ns::Box<int> *) 0x10)->n", "((ns::Box<int> *)0x10).n"),
            ("(p)->n", "p.n"),
            ("(unsigned char)(n)", "(unsigned char)n"),
        ] {
            let expression = Expression::parse(text).expect(text);
            assert_eq!(expression.to_string(), shown);
        }
    }

    #[test]
    fn what_is_none_is_told_what_was_expected() {
        for (text, part) in [
            ("", "column 1: expected a variable"),
            ("n + 1", "column 3: expected `.`"),
            ("a[", "expected a number"),
            ("a[1", "expected `]`"),
            ("a[5..2]", "the first one first"),
            ("a[0..1000000]", "at most 1024"),
            ("(n", "expected `)`"),
            ("p->", "a member's name"),
            ("3z", "expected a variable"),
            ("'a.c", "expected a second `'`"),
            ("'a.c'.x", "expected `::` and a variable"),
        ] {
            let error = Expression::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "[a-z0-9.*&()\\[\\]$> :'-]{0,40}") {
            if let Ok(expression) = Expression::parse(&text) {
                let shown = expression.to_string();
                prop_assert_eq!(Expression::parse(&shown).expect("it was one"), expression);
            }
        }
    }
}
