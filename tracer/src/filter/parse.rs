//! Reads filters.

use super::pattern::{FilePattern, NamePattern, ThreadPattern};
use super::{Action, Item, Rule, Term};

/// Bytes of a filter: more than any user writes, less than what a peer of the control socket could hurt with.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter `{line}`, column {column}: {message}")]
pub struct ParseError {
    /// The line in which it is.
    pub line: String,
    /// Where in the line, in characters from 1.
    pub column: usize,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// What a rule may begin with.
const EXPECTED: &str = "a function's name, a pattern (g*), /regex/, file:, lib:, all, depth:, at-least:, thread: or with-system";

/// The things that `text` says; `plain` is what a rule without `!` does.
pub fn items(text: &str, plain: Action) -> Result<Vec<Item>, ParseError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ParseError {
            line: format!("{}...", text.chars().take(40).collect::<String>()),
            column: 1,
            message: format!("it has {} bytes; {TEXT_BYTES_MAX} are allowed", text.len()),
        });
    }
    let mut reader = Reader { text, at: 0 };
    let mut items = Vec::new();
    while reader.skip_separators() {
        items.push(reader.item(plain)?);
    }
    Ok(items)
}

struct Reader<'a> {
    text: &'a str,
    /// Bytes read.
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take_if(&mut self, wanted: &str) -> bool {
        let is_there = self.rest().starts_with(wanted);
        if is_there {
            self.at += wanted.len();
        }
        is_there
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
    }

    /// Goes to the next item; whether there is one. `#` begins a comment where an item could begin.
    fn skip_separators(&mut self) -> bool {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n', ';']).len();
            if !self.rest().starts_with('#') {
                return !self.rest().is_empty();
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn item(&mut self, plain: Action) -> Result<Item, ParseError> {
        let begin = self.at;
        // A shell has other plans with `!`.
        let is_turned = self.take_if("!") || self.take_if("-");
        self.skip_blanks();
        // No name begins so, and a second sign would be lost when the rule is written.
        if self.rest().starts_with(['!', '-']) {
            return Err(self.error(&format!("expected {EXPECTED}")));
        }
        let action = match (plain, is_turned) {
            (plain, false) => plain,
            (Action::Include, true) => Action::Exclude,
            (Action::Exclude, true) => Action::Include,
        };
        if let Some(limit) = self.limit(action, is_turned)? {
            return Ok(limit);
        }
        let mut terms = vec![self.term()?];
        loop {
            self.skip_blanks();
            if !self.take_if("&") {
                break;
            }
            self.skip_blanks();
            terms.push(self.term()?);
        }
        if !self.rest().is_empty() && !self.rest().starts_with([';', '\n']) {
            return Err(self.error("expected `;` or `&` before the next"));
        }
        let written = self.text[begin..self.at]
            .trim()
            .trim_start_matches(['!', '-'])
            .trim();
        let sign = match action {
            Action::Include => "",
            Action::Exclude => "!",
        };
        Ok(Item::Rule(Rule {
            action,
            terms,
            text: format!("{sign}{written}"),
        }))
    }

    /// What isn't a rule, if it is that.
    fn limit(&mut self, action: Action, is_turned: bool) -> Result<Option<Item>, ParseError> {
        let begin = self.at;
        let item = if self.take_if("depth:") {
            let at = self.at;
            let depth = self.word().parse().ok().filter(|&depth| depth > 0);
            Item::Depth(
                depth
                    .ok_or_else(|| self.error_at(at, "expected a number from 1, as in depth:3"))?,
            )
        } else if self.take_if("at-least:") {
            let at = self.at;
            let time = nanoseconds(self.word());
            Item::AtLeast(time.ok_or_else(|| {
                self.error_at(
                    at,
                    "expected a time with its unit (ns, us, ms or s), as in at-least:10us",
                )
            })?)
        } else if self.take_if("thread:") {
            let at = self.at;
            let word = self.word();
            if word.is_empty() {
                return Err(self.error_at(at, "expected a thread's name, pattern or number"));
            }
            let pattern = ThreadPattern::new(word);
            Item::Thread(
                action,
                pattern.map_err(|error| self.error_at(at, &pattern_message(&error)))?,
            )
        } else if self.rest().starts_with("with-system") {
            let word = self.word();
            if word != "with-system" {
                self.at = begin;
                return Ok(None);
            }
            Item::WithSystem
        } else {
            return Ok(None);
        };
        if is_turned && !matches!(item, Item::Thread(..)) {
            return Err(self.error_at(begin, "`!` and `-` go with functions and threads only"));
        }
        Ok(Some(item))
    }

    fn term(&mut self) -> Result<Term, ParseError> {
        let begin = self.at;
        if self.take_if("/") {
            return self.regex(begin);
        }
        let (prefix, what) = ["file:", "lib:", "name:"]
            .into_iter()
            .find(|prefix| self.take_if(prefix))
            .map_or(("", EXPECTED), |prefix| match prefix {
                "file:" => (
                    prefix,
                    "a source file's name or pattern, as in file:parser.c",
                ),
                "lib:" => (prefix, "a library's name or pattern, as in lib:libfoo*"),
                _ => (prefix, "a function's name or pattern"),
            });
        let at = self.at;
        let word = self.word();
        if word.is_empty() {
            return Err(self.error_at(at, &format!("expected {what}")));
        }
        let term = match (prefix, word) {
            ("", "all") => Ok(Term::All),
            ("file:", word) => FilePattern::new(word).map(Term::File),
            ("lib:", word) => FilePattern::new(word).map(Term::Library),
            (_, word) => NamePattern::new(word).map(Term::Name),
        };
        term.map_err(|error| self.error_at(at, &pattern_message(&error)))
    }

    /// The rest of a regular expression that began at `begin`.
    fn regex(&mut self, begin: usize) -> Result<Term, ParseError> {
        let mut is_escaped = false;
        let end = self.rest().find(|character| {
            let is_end = character == '/' && !is_escaped || character == '\n';
            is_escaped = character == '\\' && !is_escaped;
            is_end
        });
        let Some(end) = end.filter(|&end| self.rest()[end..].starts_with('/')) else {
            return Err(self.error_at(
                begin,
                "expected a second `/` that ends the regular expression (files: file:/...)",
            ));
        };
        let text = self.rest()[..end].replace("\\/", "/");
        self.at += end + 1;
        let ignores_case = self.take_if("i");
        if self
            .rest()
            .starts_with(|next: char| !" \t\r\n;&".contains(next))
        {
            return Err(self.error(
                "expected `i`, `;` or `&` after the regular expression (files: file:/...)",
            ));
        }
        NamePattern::regex(&text, ignores_case)
            .map(Term::Name)
            .map_err(|error| {
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default();
                self.error_at(
                    begin,
                    &format!(
                        "no regular expression: {}",
                        reason.trim_start_matches("error: ")
                    ),
                )
            })
    }

    /// The text up to `;`, a line's end or an `&` that stands by itself. Names may have blanks inside.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find([';', '\n']).unwrap_or(rest.len());
        let end = rest[..end].find(" & ").unwrap_or(end);
        self.at += end;
        rest[..end].trim()
    }

    fn error(&self, message: &str) -> ParseError {
        self.error_at(self.at, message)
    }

    fn error_at(&self, at: usize, message: &str) -> ParseError {
        let begin = self.text[..at].rfind('\n').map_or(0, |index| index + 1);
        let end = self.text[at..]
            .find('\n')
            .map_or(self.text.len(), |index| at + index);
        ParseError {
            line: self.text[begin..end].to_owned(),
            column: self.text[begin..at].chars().count() + 1,
            message: message.to_owned(),
        }
    }
}

fn pattern_message(error: &globset::Error) -> String {
    format!("no pattern: {}", error.kind())
}

/// `10us` in nanoseconds.
pub fn nanoseconds(text: &str) -> Option<u64> {
    let digits = text.len()
        - text
            .trim_start_matches(|character: char| character.is_ascii_digit() || character == '.')
            .len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Some((number * factor).round() as u64)
}
