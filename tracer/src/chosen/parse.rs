//! Reads rules of what is captured.

use umbel_values::plan::{Chosen, Elements, End, Part};
use umbel_values::{Path, Step};

use super::Rule;
use crate::filter::NamePattern;

/// Bytes of a text: more than any user writes.
const TEXT_BYTES_MAX: usize = 4096;

/// `*` before a variable.
const STARS_MAX: usize = 8;

/// Elements of a range.
const ELEMENTS_MAX: u64 = 1 << 16;

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}`, column {column}: {message}")]
pub struct ParseError {
    /// What was written.
    pub text: String,
    /// Where in it, in characters from 1.
    pub column: usize,
    /// What is wrong, and what was expected.
    pub message: String,
}

type Result<T> = std::result::Result<T, ParseError>;

/// All rules of `text`.
pub fn rules(text: &str) -> Result<Vec<Rule>> {
    let mut reader = Reader { text, at: 0 };
    if text.len() > TEXT_BYTES_MAX {
        let bytes = text.len();
        return Err(reader.error(&format!(
            "it has {bytes} bytes; {TEXT_BYTES_MAX} are allowed"
        )));
    }
    let mut rules = Vec::new();
    loop {
        reader.skip_blanks();
        if !reader.rest().is_empty() {
            rules.push(rule(&mut reader)?);
        }
        if !reader.take(";") {
            break;
        }
    }
    match (reader.rest().is_empty(), rules.is_empty()) {
        (true, false) => Ok(rules),
        (true, true) => Err(reader.error("expected a rule, as in f:a,b.c")),
        (false, _) => Err(reader.error(
            "expected `,` before the next variable, `;` before the next function, or the end",
        )),
    }
}

fn rule(reader: &mut Reader) -> Result<Rule> {
    let begin = reader.at;
    let pattern = function(reader)?;
    let function = reader.text[begin..reader.at].trim().into();
    if !reader.take(":") {
        return Err(reader.error("expected `:` and variables of the function, as in f:a,b.c"));
    }
    let mut chosen = Vec::new();
    if !reader.is_at_end() {
        chosen.push(variable(reader)?);
        while reader.take(",") {
            chosen.push(variable(reader)?);
        }
    }
    Ok(Rule {
        text: reader.text[begin..reader.at].trim().into(),
        function,
        pattern,
        chosen,
    })
}

fn function(reader: &mut Reader) -> Result<NamePattern> {
    let begin = reader.at;
    if reader.take("\"") {
        let end = reader.rest().find('"');
        let end =
            end.ok_or_else(|| reader.error_at(begin, "expected a second `\"` behind the name"))?;
        let name = reader.skip(end).to_owned();
        reader.skip(1);
        return pattern(reader, begin, &name);
    }
    if reader.take("/") {
        let mut is_escaped = false;
        let end = reader.rest().find(|c| {
            let is_end = c == '/' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        });
        let end = end.ok_or_else(|| {
            reader.error_at(
                begin,
                "expected a second `/` that ends the regular expression",
            )
        })?;
        let regex = reader.skip(end).replace("\\/", "/");
        reader.skip(1);
        let ignores_case = reader.take("i");
        return NamePattern::regex(&regex, ignores_case).map_err(|error| {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ");
            reader.error_at(begin, &format!("no regular expression: {reason}"))
        });
    }
    let Some(end) = name_end(reader.rest()) else {
        return Err(reader.error_at(
            reader.text.len(),
            "expected `:` and variables of the function, as in f:a,b.c",
        ));
    };
    let name = reader.skip(end).trim_end().to_owned();
    if name.is_empty() {
        return Err(reader.error_at(
            begin,
            "expected a function's name, a pattern (g*), /regex/ or \"a name\" before the `:`",
        ));
    }
    pattern(reader, begin, &name)
}

fn pattern(reader: &Reader, begin: usize, name: &str) -> Result<NamePattern> {
    NamePattern::new(name)
        .map_err(|error| reader.error_at(begin, &format!("no pattern: {}", error.kind())))
}

/// Where the `:` stands that ends a function's name: one of its own, outside of brackets if they are closed.
fn name_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_alone = |index: usize| {
        bytes[index] == b':'
            && bytes.get(index + 1) != Some(&b':')
            && (index == 0 || bytes[index - 1] != b':')
    };
    let mut depth = 0_usize;
    let mut inside = None;
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'<' | b'(' => depth += 1,
            b'>' | b')' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return inside,
            _ if is_alone(index) && depth == 0 => return Some(index),
            _ if is_alone(index) => inside = inside.or(Some(index)),
            _ => {}
        }
    }
    // `operator<` opens no bracket.
    inside
}

const VARIABLE: &str = "a variable of the function, as in f:a,b.c,*p[0..8]";

fn variable(reader: &mut Reader) -> Result<Chosen> {
    reader.skip_blanks();
    let begin = reader.at;
    let mut stars = 0;
    while reader.take("*") {
        stars += 1;
    }
    if stars == 1 && (reader.is_at_end() || reader.rest().starts_with(',')) {
        return Ok(Chosen::All);
    }
    if stars > STARS_MAX {
        return Err(reader.error_at(begin, &format!("more than {STARS_MAX} `*`")));
    }
    let (path, elements) = path(reader, stars)?;
    let text = reader.text[begin..reader.at].trim_end().into();
    let is_text = reader.take("@");
    if is_text && !reader.take("text") {
        return Err(reader.error("expected `text` behind the `@`"));
    }
    if !reader.is_at_end() && !reader.rest().starts_with(',') {
        return Err(reader.error(match elements {
            Some(_) => "a range stands at the end: expected `@text`, `,`, `;` or the end",
            None => "expected `.`, `->`, `[`, `@text`, `,`, `;` or the end",
        }));
    }
    Ok(Chosen::Part(Part {
        text,
        path,
        elements,
        is_text,
    }))
}

/// A variable with its members and elements, and the range at its end.
fn path(reader: &mut Reader, stars: usize) -> Result<(Path, Option<Elements>)> {
    let variable = reader.identifier(VARIABLE)?;
    let mut steps = Vec::new();
    let mut elements = None;
    loop {
        if reader.take("->") || reader.take(".") {
            steps.push(Step::Member(reader.identifier("a member's name")?));
        } else if reader.take("[") {
            let from = match reader.rest().trim_start().starts_with("..") {
                true => 0,
                false => reader.number("a number, as in a[3] or p[0..8]")?,
            };
            if reader.take("..") {
                elements = Some(range(reader, from)?);
            } else {
                let index = i64::try_from(from).map_err(|_| reader.error("a smaller number"))?;
                steps.push(Step::Index(index));
            }
            if !reader.take("]") {
                return Err(reader.error(match elements {
                    None => "expected `]`, or `..` and where the elements end",
                    Some(_) => "expected `]`",
                }));
            }
            if elements.is_some() {
                break;
            }
        } else {
            break;
        }
    }
    // With a range the stars say what it is a range of: `*p[0..8]` isn't of what each element points to.
    steps.extend((0..stars).map(|_| Step::Target));
    Ok((Path { variable, steps }, elements))
}

fn range(reader: &mut Reader, from: u64) -> Result<Elements> {
    reader.skip_blanks();
    let at = reader.at;
    if !reader.rest().starts_with(|c: char| c.is_ascii_digit()) {
        let (path, nested) = path(reader, 0)?;
        return match nested {
            None => Ok(Elements {
                from,
                to: End::Variable(path),
            }),
            Some(_) => Err(reader.error_at(at, "where elements end is one number, not a range")),
        };
    }
    let to = reader.number("a number")?;
    match to.checked_sub(from) {
        None | Some(0) => Err(reader.error_at(
            at,
            &format!("expected a number above {from}: the elements end before it"),
        )),
        Some(count) if count > ELEMENTS_MAX => {
            Err(reader.error_at(at, &format!("{count} elements; {ELEMENTS_MAX} are allowed")))
        }
        Some(_) => Ok(Elements {
            from,
            to: End::At(to),
        }),
    }
}

/// Reads a text from its begin to its end.
struct Reader<'a> {
    text: &'a str,
    /// Bytes read.
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Goes over `count` bytes.
    fn skip(&mut self, count: usize) -> &'a str {
        let taken = &self.rest()[..count];
        self.at += count;
        taken
    }

    /// Goes over `wanted` and blanks before it, if it comes next.
    fn take(&mut self, wanted: &str) -> bool {
        let blanks = self.rest().len() - self.rest().trim_start().len();
        let is_there = self.rest()[blanks..].starts_with(wanted);
        if is_there {
            self.at += blanks + wanted.len();
        }
        is_there
    }

    /// Whether the rule ends here.
    fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.rest().is_empty() || self.rest().starts_with(';')
    }

    fn identifier(&mut self, expected: &str) -> Result<Box<str>> {
        self.skip_blanks();
        let is_inside = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let rest = self.rest();
        let end = rest.find(|c| !is_inside(c)).unwrap_or(rest.len());
        if end == 0 || rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.error(&format!("expected {expected}")));
        }
        Ok(self.skip(end).into())
    }

    /// Decimal, or hexadecimal behind `0x`.
    fn number(&mut self, expected: &str) -> Result<u64> {
        self.skip_blanks();
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let word = &rest[..end];
        let number = match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => word.parse(),
        };
        let number = number.map_err(|_| self.error(&format!("expected {expected}")))?;
        self.skip(end);
        Ok(number)
    }

    fn error(&self, message: &str) -> ParseError {
        let blanks = self.rest().len() - self.rest().trim_start().len();
        self.error_at(self.at + blanks, message)
    }

    fn error_at(&self, at: usize, message: &str) -> ParseError {
        let text = match self.text.len() {
            0..=TEXT_BYTES_MAX => self.text.to_owned(),
            _ => format!("{}...", self.text.chars().take(40).collect::<String>()),
        };
        ParseError {
            text,
            column: self.text[..at].chars().count() + 1,
            message: message.to_owned(),
        }
    }
}
