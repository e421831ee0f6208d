//! Why bytes are not a message, or a message can't become bytes.

use core::fmt;

/// Why bytes are not a message. The text names message, field and offset in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The header's version is not ours.
    Version {
        /// The header's byte.
        found: u8,
    },
    /// The header's reserved bytes are not zero.
    Reserved {
        /// The header's bytes.
        found: u16,
    },
    /// No message of this kind travels on this socket.
    Kind {
        /// The header's byte.
        found: u8,
    },
    /// The header announces a body shorter or longer than its message can be.
    BodyBytes {
        /// The message.
        message: &'static str,
        /// What the header says.
        found: usize,
        /// Shortest body.
        min: usize,
        /// Longest body.
        max: usize,
    },
    /// The body ends within a field.
    Truncated {
        /// The message.
        message: &'static str,
        /// The field.
        field: &'static str,
        /// Where the field starts, in bytes from the body's start.
        offset: usize,
        /// Bytes the field needs.
        needed: usize,
        /// Bytes that were left.
        left: usize,
    },
    /// Bytes follow the last field.
    LeftOver {
        /// The message.
        message: &'static str,
        /// Where its last field ended.
        offset: usize,
        /// How many bytes follow.
        left: usize,
    },
    /// A field holds what it must not.
    Value {
        /// The message.
        message: &'static str,
        /// The field.
        field: &'static str,
        /// Where the field starts.
        offset: usize,
        /// Its value.
        found: u64,
        /// What it may be.
        allowed: &'static str,
    },
    /// A text is not UTF-8.
    Text {
        /// The message.
        message: &'static str,
        /// The field.
        field: &'static str,
        /// Where the first wrong byte is.
        offset: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Version { found } => write!(
                f,
                "header: wire version {found}, but this node speaks {}; \
                 the same Umbel must run on all nodes",
                crate::VERSION
            ),
            Self::Reserved { found } => {
                write!(f, "header: reserved bytes are {found:#06x}, not zero")
            }
            Self::Kind { found } => write!(f, "header: no message of kind {found:#04x} here"),
            Self::BodyBytes {
                message,
                found,
                min,
                max,
            } => write!(
                f,
                "{message}: header announces a body of {found} bytes; {min} to {max} are allowed"
            ),
            Self::Truncated {
                message,
                field,
                offset,
                needed,
                left,
            } => write!(
                f,
                "{message}: {field} at offset {offset} needs {needed} bytes, the body has {left} left"
            ),
            Self::LeftOver {
                message,
                offset,
                left,
            } => write!(
                f,
                "{message}: {left} bytes left over at offset {offset}, after the last field"
            ),
            Self::Value {
                message,
                field,
                offset,
                found,
                allowed,
            } => write!(
                f,
                "{message}: {field} at offset {offset} is {found}, must be {allowed}"
            ),
            Self::Text {
                message,
                field,
                offset,
            } => write!(f, "{message}: {field} is not UTF-8 from offset {offset} on"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// A message exceeds a bound of [`crate::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundError {
    /// What is too large.
    pub what: &'static str,
    /// Its size.
    pub found: usize,
    /// The largest that can be sent.
    pub max: usize,
    /// What `found` and `max` count.
    pub unit: &'static str,
}

impl fmt::Display for BoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            found,
            max,
            unit,
        } = self;
        write!(f, "{what}: {found} {unit}, at most {max} can be sent")
    }
}

impl core::error::Error for BoundError {}
