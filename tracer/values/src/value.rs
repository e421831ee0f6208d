//! A value, read: a tree that views print.

use crate::Absence;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// It isn't there.
    Absent(Absence),
    /// Something of one word as it is to be printed: `5`, `-0.5`, `true`, `RED`, `97 'a'`.
    Scalar(Box<str>),
    /// A text. `complete`: its end was seen; otherwise `...` follows.
    Text {
        /// Its bytes; of wide characters as UTF-8.
        bytes: Box<[u8]>,
        /// Whether its end was seen.
        complete: bool,
    },
    /// A pointer or reference, and what it points to if that was followed.
    Pointer {
        /// Where to; `None`: to something that the compiler kept out of memory.
        address: Option<u64>,
        /// What is there.
        target: Option<Box<Value>>,
        /// A name for where it points to: `main`.
        symbol: Option<Box<str>>,
        /// A pointer into what is being shown already.
        is_cycle: bool,
        /// A reference: who reads wants what it refers to.
        is_reference: bool,
    },
    /// Something with parts.
    Compound {
        /// How it is written.
        shape: Shape,
        /// What is to be written before it, or empty: `Some`.
        title: Box<str>,
        /// Its parts.
        entries: Vec<Entry>,
        /// Parts that were left out by a limit.
        left_out: u64,
    },
}

/// How something with parts is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `{x = 1, y = 2}`
    Record,
    /// `{1, 2, 3}`
    List,
    /// `{[1] = 2, [3] = 4}`
    Map,
    /// What it holds, or `<empty>`: `std::optional`, `std::variant`.
    Holder,
}

/// A part of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Name of a member; empty in lists and of anonymous members. A base class: `<Base>`.
    pub name: Box<str>,
    /// The key in maps.
    pub key: Option<Value>,
    /// What it is.
    pub value: Value,
    /// How often it is repeated: arrays of equal elements; else 1.
    pub times: u64,
}

impl Value {
    /// A scalar.
    pub fn scalar(text: impl Into<Box<str>>) -> Self {
        Self::Scalar(text.into())
    }

    /// Something with parts, all of them.
    pub fn compound(shape: Shape, entries: Vec<Entry>) -> Self {
        Self::Compound {
            shape,
            title: "".into(),
            entries,
            left_out: 0,
        }
    }

    /// Whether nothing of it is known.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent(_))
    }
}

impl Entry {
    /// A named part.
    pub fn named(name: &str, value: Value) -> Self {
        Self {
            name: name.into(),
            key: None,
            value,
            times: 1,
        }
    }

    /// An element of a list.
    pub fn element(value: Value) -> Self {
        Self::named("", value)
    }
}
