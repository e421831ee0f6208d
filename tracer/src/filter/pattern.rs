//! What a rule's terms compare with.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use regex::{Regex, RegexBuilder};

use super::name::Names;

/// A function's name: as it is written, or with wildcards, or a regular expression.
#[derive(Clone, Debug)]
pub enum NamePattern {
    /// Equal to one of the name's forms.
    Exact {
        /// What was written.
        text: String,
        /// What the linker's name must have in it, so that few need demangling.
        identifier: Option<String>,
    },
    /// Like one of the name's forms. A name that is written with `*` or `[`, as operators are, is also found so.
    Glob {
        /// What was written.
        text: String,
        /// It, as a pattern.
        glob: GlobMatcher,
        /// See `Exact`.
        identifier: Option<String>,
    },
    /// A match in the name, with arguments, or in the linker's name.
    Regex(Regex),
}

/// Files by the end of their path.
#[derive(Clone, Debug)]
pub struct FilePattern {
    glob: GlobMatcher,
    /// Whether the pattern begins at the root.
    is_absolute: bool,
}

/// Threads by name or number.
#[derive(Clone, Debug)]
pub struct ThreadPattern {
    tid: Option<u32>,
    name: GlobMatcher,
}

/// Two patterns are equal if they were written alike.
impl PartialEq for ThreadPattern {
    fn eq(&self, other: &Self) -> bool {
        self.tid == other.tid && self.name.glob() == other.name.glob()
    }
}

impl Eq for ThreadPattern {}

/// Characters that make a name a pattern.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// Identifiers of demangled names that a linker's name may abbreviate, or have as an operator.
const ABBREVIATED: [&str; 22] = [
    "std",
    "string",
    "basic_string",
    "allocator",
    "char_traits",
    "istream",
    "ostream",
    "iostream",
    "basic_istream",
    "basic_ostream",
    "basic_iostream",
    "operator",
    "anonymous",
    "namespace",
    "new",
    "delete",
    "const",
    "unsigned",
    "char",
    "lambda",
    "bool",
    "co_await",
];

impl NamePattern {
    /// The pattern that `text` is.
    pub fn new(text: &str) -> Result<Self, globset::Error> {
        let identifier = needed_identifier(text);
        let text = text.to_owned();
        if !text.contains(WILDCARDS) {
            return Ok(Self::Exact { text, identifier });
        }
        // `[]` is an operator, never a set of characters.
        let glob = glob(&text.replace("[]", "\\[\\]"))?;
        Ok(Self::Glob {
            text,
            glob,
            identifier,
        })
    }

    /// The regular expression that `text` is.
    pub fn regex(text: &str, ignores_case: bool) -> Result<Self, regex::Error> {
        let regex = RegexBuilder::new(text)
            .case_insensitive(ignores_case)
            .size_limit(REGEX_BYTES_MAX)
            .build()?;
        Ok(Self::Regex(regex))
    }

    /// Whether a function called so is meant.
    pub fn matches(&self, names: &Names) -> bool {
        match self {
            Self::Exact { text, identifier } => {
                names.linkage() == text
                    || may_match(identifier.as_deref(), names)
                        && names.any_form(|form| form == text)
            }
            Self::Glob {
                text,
                glob,
                identifier,
            } => {
                glob.is_match(names.linkage())
                    || may_match(identifier.as_deref(), names)
                        && names.any_form(|form| form == text || glob.is_match(form))
            }
            Self::Regex(regex) => regex.is_match(names.linkage()) || regex.is_match(names.full()),
        }
    }
}

/// Bytes of a compiled regular expression: a hostile one is refused instead of eating the memory.
const REGEX_BYTES_MAX: usize = 4 << 20;

fn may_match(identifier: Option<&str>, names: &Names) -> bool {
    identifier.is_none_or(|identifier| names.linkage().contains(identifier))
}

/// The longest identifier of `text` that the linker has verbatim in the name of whatever matches.
fn needed_identifier(text: &str) -> Option<String> {
    // Inside brackets there are alternatives, and template arguments that the linker abbreviates.
    let outside = text.split(['[', '{', '<', '(', '\\']).next().unwrap_or("");
    outside
        .split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
        .filter(|part| !part.is_empty() && !ABBREVIATED.iter().any(|word| word.contains(part)))
        .filter(|part| !part.starts_with(|character: char| character.is_ascii_digit()))
        .max_by_key(|part| part.len())
        .map(str::to_owned)
}

impl FilePattern {
    /// The pattern that `text` is.
    pub fn new(text: &str) -> Result<Self, globset::Error> {
        Ok(Self {
            glob: glob(text)?,
            is_absolute: text.starts_with('/'),
        })
    }

    /// Whether `path` ends so, at the begin of a part.
    pub fn matches_end(&self, path: &str) -> bool {
        if self.is_absolute {
            return self.glob.is_match(path);
        }
        let starts = path.match_indices('/').map(|(index, _)| index + 1);
        [0].into_iter()
            .chain(starts)
            .any(|start| self.glob.is_match(&path[start..]))
    }

    /// Whether the library `path` is meant: `libfoo`, `libfoo.so*`, `/opt/*/libfoo.so.1`.
    pub fn matches_library(&self, path: &Path) -> bool {
        let path = path.to_string_lossy();
        let name = path.rsplit('/').next().unwrap_or_default();
        let stem = name.split_once(".so").map_or(name, |(stem, _)| stem);
        self.matches_end(&path) || self.glob.is_match(stem)
    }
}

impl ThreadPattern {
    /// The pattern that `text` is.
    pub fn new(text: &str) -> Result<Self, globset::Error> {
        Ok(Self {
            tid: text.parse().ok(),
            name: glob(text)?,
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        self.name.glob().glob()
    }

    /// Whether this thread is meant.
    pub fn matches(&self, tid: u32, name: &str) -> bool {
        self.tid == Some(tid) || self.name.is_match(name)
    }
}

fn glob(text: &str) -> Result<GlobMatcher, globset::Error> {
    let glob = GlobBuilder::new(text)
        .literal_separator(false)
        .backslash_escape(true)
        .build()?;
    Ok(glob.compile_matcher())
}
