//! Conditions on a function's variables: what a trigger asks. They are compiled into capture plans, and judged in the program.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `n > 1000`, `p->next == null`, `count != limit`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The left side.
    pub left: Path,
    /// How the sides are compared.
    pub operator: Operator,
    /// The right side.
    pub right: Operand,
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Operand {
    /// Another variable of the same function.
    Path(Path),
    /// A whole number; also of a character, of `true` and `null`.
    Integer(i128),
    /// A number with a fraction.
    Float(f64),
    /// An enumerator of the left side's type.
    Name(Box<str>),
    /// Texts.
    Text(TextPattern),
}

/// Texts that are meant, as the hook compares them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextPattern {
    /// As it was written.
    pub text: Box<str>,
    /// The words of a [`umbel_trace_ring::plan::Matcher`]; at most [`TABLE_WORDS_MAX`].
    pub table: Box<[u64]>,
}

/// Words of a text's table.
pub const TABLE_WORDS_MAX: usize = 2048;

/// A variable, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// An argument or local of the function; [`RETURN`] is what it returns.
    pub variable: Box<str>,
    /// From there on.
    pub steps: Vec<Step>,
}

/// The name that stands for what a function returns.
pub const RETURN: &str = "return";

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// `.name`; pointers and references are followed, as with `->`.
    Member(Box<str>),
    /// `[3]`
    Index(i64),
    /// `*` in front.
    Target,
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl fmt::Display for Operator {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str(match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let targets = self.steps.iter().filter(|step| **step == Step::Target);
        for _ in targets {
            to.write_str("*")?;
        }
        to.write_str(&self.variable)?;
        for step in &self.steps {
            match step {
                Step::Member(name) => write!(to, ".{name}")?,
                Step::Index(index) => write!(to, "[{index}]")?,
                Step::Target => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(to),
            Self::Integer(number) => number.fmt(to),
            Self::Float(number) => number.fmt(to),
            Self::Name(name) => name.fmt(to),
            Self::Text(pattern) => pattern.text.fmt(to),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        write!(to, "{} {} {}", self.left, self.operator, self.right)
    }
}
