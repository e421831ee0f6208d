//! Every message between nodes: types, limits and a bounded little-endian codec.
//!
//! A link carries a sequence of messages, each an 8-byte header and a body:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 4 | body_bytes | length of the body, within its message's range, at most [`limits::BODY_BYTES_MAX`] on a link |
//! | 4 | 1 | kind | which message: the table in [`codec`] |
//! | 5 | 1 | version | [`VERSION`] |
//! | 6 | 2 | zero | reserved; anything else is refused |
//!
//! Messages sent in one turn of the event loop leave as one write (a *batch*); a batch has no
//! framing of its own. The first message on a link is [`Hello`], in both directions; any other
//! first message closes the link.
//!
//! The codec never allocates more than the bytes it was given, never panics, and refuses bytes
//! left over in a body: it is fuzzed.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod codec;
pub mod coherence;
pub mod control;
pub mod event;
pub mod heap;
pub mod ids;
pub mod limits;
pub mod message;
pub mod sync;
pub mod thread;

pub use codec::{
    BoundError, DecodeError, check, decode, decode_control, encode, encode_coherence,
    encode_control,
};
pub use coherence::{Coherence, Consistency, Forward, Mode, Operation, OperationKind, Protocol};
pub use ids::{Access, NodeId, ObjectId, ThreadId, Token};
pub use message::{Hello, Message};

/// Version of the wire format; nodes of different versions refuse each other.
pub const VERSION: u8 = 1;
