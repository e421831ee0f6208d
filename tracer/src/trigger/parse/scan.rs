//! Words, numbers and times of a trigger's text.

use umbel_values::{Operand, Operator};

use super::{ParseError, Result, TEXT_BYTES_MAX};
use crate::filter::nanoseconds;

/// Reads a text from its begin to its end.
pub struct Reader<'a> {
    text: &'a str,
    /// Bytes read.
    at: usize,
    /// Where the condition begins.
    condition_at: usize,
}

/// A function, as it is named.
pub enum Word {
    /// A name or a pattern with wildcards.
    Name(String),
    /// A regular expression.
    Regex {
        /// Without its strokes.
        text: String,
        /// `i` behind it.
        ignores_case: bool,
    },
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Result<Self> {
        let reader = Self {
            text,
            at: 0,
            condition_at: 0,
        };
        match text.len() {
            0..=TEXT_BYTES_MAX => Ok(reader),
            bytes => Err(reader.error(&format!(
                "it has {bytes} bytes; {TEXT_BYTES_MAX} are allowed"
            ))),
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Where the next word begins.
    pub fn at(&mut self) -> usize {
        self.skip_blanks();
        self.at
    }

    pub fn condition_at(&self) -> usize {
        self.condition_at
    }

    pub fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.rest().is_empty()
    }

    /// Goes over `wanted` if it comes next, as a whole word if it is one.
    pub fn take(&mut self, wanted: &str) -> bool {
        self.skip_blanks();
        let Some(behind) = self.rest().strip_prefix(wanted) else {
            return false;
        };
        if wanted.ends_with(is_of_word) && behind.starts_with(is_of_word) {
            return false;
        }
        self.at += wanted.len();
        true
    }

    /// The one of `words` that comes next. Not if it is a function's name: one with a variable or a `::` behind it.
    pub fn take_any<'w>(&mut self, words: &[&'w str]) -> Option<&'w str> {
        let word = words.iter().copied().find(|word| self.take(word))?;
        Some(word)
    }

    /// A `.` that stands directly behind what was read.
    pub fn take_dot(&mut self) -> bool {
        let is_there = self.rest().starts_with('.');
        self.at += usize::from(is_there);
        is_there
    }

    pub fn expect(&mut self, wanted: &str, message: &str) -> Result<()> {
        match self.take(wanted) {
            true => {
                if wanted == "when" {
                    self.condition_at = self.at();
                }
                Ok(())
            }
            false => Err(self.error(message)),
        }
    }

    /// `NAME:` in front of a trigger.
    pub fn label(&mut self) -> Option<String> {
        self.skip_blanks();
        let rest = self.rest();
        let end = rest.find(|c: char| !is_of_word(c) && c != '-')?;
        if end == 0 || !rest[end..].starts_with(':') || rest[end..].starts_with("::") {
            return None;
        }
        self.at += end + 1;
        Some(rest[..end].to_owned())
    }

    pub fn is_at_operator(&mut self) -> bool {
        self.skip_blanks();
        self.rest().starts_with(['=', '!', '<', '>'])
    }

    pub fn operator(&mut self) -> Result<Operator> {
        let all = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
            ("=", Operator::Equal),
        ];
        all.into_iter()
            .find(|(text, _)| self.take(text))
            .map(|(_, operator)| operator)
            .ok_or_else(|| self.error("expected ==, !=, <, <=, > or >="))
    }

    /// A function's name up to the `.` of a variable, a blank or a bracket; or in quotes; or a regular expression.
    pub fn function(&mut self) -> Result<Word> {
        self.skip_blanks();
        let expected =
            "a function's name, a pattern (g*), /regex/, depth, duration, count or thread";
        if self.is_at_text() {
            return self.text(expected).map(Word::Name);
        }
        if self.is_at_regex() {
            return self.regex();
        }
        let rest = self.rest();
        let mut open = 0;
        let end = rest.find(|c: char| {
            match c {
                '<' if !rest.is_empty() => open += 1,
                '>' if open > 0 => {
                    open -= 1;
                    return false;
                }
                _ => {}
            }
            open == 0 && !is_of_word(c) && !":~*?".contains(c)
        });
        // `f<3` has no `>`, and is no template.
        let end = match (end, open) {
            (Some(end), _) => end,
            (None, 0) => rest.len(),
            (None, _) => rest.find('<').unwrap_or(rest.len()),
        };
        let word = &rest[..end];
        if word.is_empty() || ["then", "and", "or", "when"].contains(&word) {
            return Err(self.error(&format!("expected {expected}")));
        }
        self.at += end;
        Ok(Word::Name(word.to_owned()))
    }

    pub fn is_at_regex(&mut self) -> bool {
        self.skip_blanks();
        self.rest().starts_with('/')
    }

    pub fn regex(&mut self) -> Result<Word> {
        let begin = self.at;
        let rest = &self.rest()[1..];
        let mut is_escaped = false;
        let end = rest.find(|c| {
            let is_end = c == '/' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        });
        let Some(end) = end else {
            return Err(self.error_at(
                begin,
                "expected a second `/` that ends the regular expression",
            ));
        };
        self.at += end + 2;
        let ignores_case =
            self.rest().starts_with('i') && !self.rest()[1..].starts_with(is_of_word);
        self.at += usize::from(ignores_case);
        Ok(Word::Regex {
            text: rest[..end].replace("\\/", "/"),
            ignores_case,
        })
    }

    pub fn identifier(&mut self, expected: &str) -> Result<String> {
        self.skip_blanks();
        let rest = self.rest();
        let end = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
        if end == 0 || rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.error(&format!("expected {expected}")));
        }
        self.at += end;
        Ok(rest[..end].to_owned())
    }

    /// The same, perhaps with what it belongs to: `Color::RED`.
    pub fn scoped(&mut self, expected: &str) -> Result<String> {
        let mut name = self.identifier(expected)?;
        while self.rest().starts_with("::") {
            self.at += 2;
            name = format!("{name}::{}", self.identifier(expected)?);
        }
        Ok(name)
    }

    /// What was written from there on.
    pub fn since(&self, at: usize) -> &'a str {
        self.text[at..self.at].trim_end()
    }

    pub fn is_at_text(&mut self) -> bool {
        self.skip_blanks();
        self.rest().starts_with('"')
    }

    /// A text in quotes; `\"` and `\\` stand for what they show.
    pub fn text(&mut self, expected: &str) -> Result<String> {
        self.skip_blanks();
        let begin = self.at;
        let Some(rest) = self.rest().strip_prefix('"') else {
            return Err(self.error(&format!("expected {expected}")));
        };
        let mut text = String::new();
        let mut characters = rest.char_indices();
        while let Some((index, c)) = characters.next() {
            match c {
                '"' => {
                    self.at += index + 2;
                    return Ok(text);
                }
                '\\' => text.extend(characters.next().map(|(_, c)| c)),
                c => text.push(c),
            }
        }
        Err(self.error_at(begin, "expected a second `\"`"))
    }

    /// A text in quotes, with its backslashes.
    pub fn raw_text(&mut self, expected: &str) -> Result<String> {
        let begin = self.at();
        self.text(expected)?;
        Ok(self.text[begin + 1..self.at - 1].to_owned())
    }

    pub fn text_or_word(&mut self, expected: &str) -> Result<String> {
        if self.is_at_text() {
            return self.text(expected);
        }
        let rest = self.rest();
        let end = rest
            .find(|c: char| c.is_whitespace() || "(),".contains(c))
            .unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error(&format!("expected {expected}")));
        }
        self.at += end;
        Ok(rest[..end].to_owned())
    }

    /// A rule of a filter: up to a `,`, ` after ` or the end.
    pub fn rule(&mut self) -> Result<String> {
        if self.is_at_text() {
            return self.text("a function's name");
        }
        let rest = self.rest();
        let end = rest.find(',').unwrap_or(rest.len());
        let end = rest[..end].find(" after ").unwrap_or(end);
        let rule = rest[..end].trim();
        if rule.is_empty() {
            return Err(self.error("expected a rule of a filter, as in: enable g*"));
        }
        self.at += end;
        Ok(rule.to_owned())
    }

    pub fn natural(&mut self, expected: &str) -> Result<u64> {
        let at = self.at();
        u64::try_from(self.whole(expected)?)
            .map_err(|_| self.error_at(at, &format!("expected {expected}")))
    }

    pub fn whole(&mut self, expected: &str) -> Result<i64> {
        let at = self.at();
        match self.number()? {
            Some(Operand::Integer(number)) => i64::try_from(number).ok(),
            _ => None,
        }
        .ok_or_else(|| self.error_at(at, &format!("expected {expected}")))
    }

    /// A number or a character, if one comes next.
    pub fn number(&mut self) -> Result<Option<Operand>> {
        let begin = self.at();
        let rest = self.rest();
        if let Some(behind) = rest.strip_prefix('\'') {
            return self.character(begin, behind).map(Some);
        }
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(None);
        }
        let sign = rest.len() - digits.len();
        // An exponent has a sign inside.
        let mut before = ' ';
        let end = digits.find(|c: char| {
            let is_inside =
                is_of_word(c) || c == '.' || ("+-".contains(c) && "eE".contains(before));
            before = c;
            !is_inside
        });
        let end = sign + end.unwrap_or(digits.len());
        let word = &rest[..end];
        let value = integer(word).map(Operand::Integer);
        let value = value.or_else(|| word.parse().ok().map(Operand::Float));
        let value = value.ok_or_else(|| self.error(&format!("`{word}` is no number")))?;
        self.at += end;
        Ok(Some(value))
    }

    fn character(&mut self, begin: usize, behind: &str) -> Result<Operand> {
        let escaped = [
            ("\\n'", b'\n'),
            ("\\t'", b'\t'),
            ("\\0'", 0),
            ("\\\\'", b'\\'),
            ("\\''", b'\''),
        ];
        let found = escaped
            .into_iter()
            .find(|(text, _)| behind.starts_with(text))
            .map(|(text, value)| (text.len(), value));
        let plain = || match behind.as_bytes() {
            [value @ 0x20..=0x7e, b'\'', ..] if *value != b'\\' => Some((2, *value)),
            _ => None,
        };
        let (length, value) = found.or_else(plain).ok_or_else(|| {
            self.error_at(
                begin,
                "expected one character in quotes, as in 'x' or '\\n'",
            )
        })?;
        self.at += 1 + length;
        Ok(Operand::Integer(i128::from(value)))
    }

    /// A time with its unit, in nanoseconds.
    pub fn time(&mut self) -> Result<u64> {
        self.skip_blanks();
        let rest = self.rest();
        let number = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let unit_at = rest.len() - rest[number..].trim_start().len();
        let unit = rest[unit_at..]
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(rest.len() - unit_at);
        let time = nanoseconds(&rest[..unit_at + unit]);
        let time = time.filter(|_| number > 0).ok_or_else(|| {
            self.error("expected a time with its unit (ns, us, ms or s), as in 10 ms")
        })?;
        self.at += unit_at + unit;
        Ok(time)
    }

    pub fn error(&self, message: &str) -> ParseError {
        self.error_at(self.text.len() - self.rest().trim_start().len(), message)
    }

    pub fn error_at(&self, at: usize, message: &str) -> ParseError {
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

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn integer(word: &str) -> Option<i128> {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, word),
    };
    let number = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(sign * i128::from(number))
}
