//! A value, read: a tree that views print.

use crate::Absence;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// It isn't there.
    Absent(Absence),
    /// Something of one word as it is to be printed: `5`, `-0.5`, `true`, `RED`, `97 'a'`, `{int (int)} 0x401136 <f>`.
    Scalar(Box<str>),
    /// A text. `complete`: its end was seen; otherwise `...` follows.
    Text {
        /// Its bytes.
        bytes: Box<[u8]>,
        /// Whether its end was seen.
        complete: bool,
    },
    /// A pointer or reference, and what it points to if that was followed.
    Pointer {
        /// Where to.
        address: u64,
        /// What is there.
        target: Option<Box<Value>>,
        /// A name for where it points to: `<main>`.
        symbol: Option<Box<str>>,
        /// A pointer into what is being shown already.
        is_cycle: bool,
    },
    /// Something with parts.
    Compound {
        /// How it is written.
        shape: Shape,
        /// Type to be written before it, or empty: `std::vector of length 3, capacity 4`.
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
}

/// A part of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Name of a member; empty in lists.
    pub name: Box<str>,
    /// The key in maps.
    pub key: Option<Value>,
    /// What it is.
    pub value: Value,
    /// How often it is repeated: arrays of equal elements; else 1.
    pub times: u64,
}
