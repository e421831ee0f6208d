//! Bytes of messages: `encode` appends one message, `decode` takes one off the front.
//!
//! The header is the table in [the crate's page](crate). Its `kind`:
//!
//! | kind | message | body bytes | table |
//! |---|---|---|---|
//! | 0x01 | Hello | 40 | [`link`] |
//! | 0x02 | Bye | 0 | [`link`] |
//! | 0x03 | Batch | 4 to 262336 | [`batch`] |
//! | 0x10 | Get | 10 | [`coherence`] |
//! | 0x11 | Grant | 11 to 4109 | [`coherence`] |
//! | 0x12 | Recall | 10 or 13 | [`coherence`] |
//! | 0x13 | Recalled | 8 to 4106 | [`coherence`] |
//! | 0x14 | Invalidate | 9 | [`coherence`] |
//! | 0x15 | Invalidated | 9 to 10257 | [`coherence`] |
//! | 0x16 | Flush | 18 to 10258 | [`coherence`] |
//! | 0x17 | Flushed | 17 | [`coherence`] |
//! | 0x18 | Return | 16 to 4114 | [`coherence`] |
//! | 0x19 | Update | 8 to 10248 | [`coherence`] |
//! | 0x1a | Updated | 9 | [`coherence`] |
//! | 0x1b | Deny | 8 | [`coherence`] |
//! | 0x1c | Operate | 36 | [`coherence`] |
//! | 0x1d | Operated | 25 | [`coherence`] |
//! | 0x1e | Strengthen | 16 | [`coherence`] |
//! | 0x1f | Strengthened | 16 | [`coherence`] |
//! | 0x20 | Spawn | 50 to 262144 | [`thread`] |
//! | 0x21 | Spawned | 12 | [`thread`] |
//! | 0x22 | Ended | 8 | [`thread`] |
//! | 0x23 | Join | 24 | [`thread`] |
//! | 0x24 | Joined | 12 | [`thread`] |
//! | 0x30 | Request | 33 | [`sync`] |
//! | 0x31 | Reply | 12 | [`sync`] |
//! | 0x32 | Tell | 33 | [`sync`] |
//! | 0x33 | Fence | 8 | [`sync`] |
//! | 0x34 | Plan | 31 | [`sync`] |
//! | 0x35 | Arrived | 18 | [`sync`] |
//! | 0x36 | Released | 16 | [`sync`] |
//! | 0x37 | Dissolved | 24 | [`sync`] |
//! | 0x38 | Free | 16 | [`heap`] |
//! | 0x39 | Find | 24 | [`heap`] |
//! | 0x3a | Found | 16 to 272 | [`heap`] |
//! | 0x3b | Withdraw | 16 | [`sync`] |
//! | 0x3c | Withdrawn | 16 | [`sync`] |
//! | 0x80 | Ready | 2 | [`control`] |
//! | 0x81 | Exit | 4 | [`control`] |
//! | 0x82 | Fatal | 0 to 4096 | [`control`] |
//! | 0x83 | Lost | 2 | [`control`] |
//! | 0x84 | Threads | 2 to 1050626 | [`control`] |
//! | 0x85 | Shutdown | 0 | [`control`] |
//! | 0x86 | Stats | 0 to 16777216 | [`control`] |
//! | 0x87 | Events | 8 to 16777216 | [`events`] |
//!
//! Kinds below 0x80 travel on links, the others on a node's socket to its launcher; each decoder
//! refuses the other's. A header whose `body_bytes` is outside its message's range is refused
//! before the body is read, so a foreign peer can't make a node buffer more than the table says.
//!
//! One message has one encoding: what `decode` accepts, `encode` writes again byte for byte.
//! Integers are little-endian.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::coherence::Coherence;
use crate::control::Control;
use crate::limits::{BATCH_BODY_BYTES_MAX, BODY_BYTES_MAX, CONTROL_BODY_BYTES_MAX, HEADER_BYTES};
use crate::message::Message;
use crate::{VERSION, thread::Thread};

pub mod batch;
pub mod coherence;
pub mod control;
mod error;
pub mod events;
pub mod heap;
pub mod link;
mod reader;
pub mod sync;
mod tail;
pub mod thread;

pub use batch::{Batch, Batcher};
pub use error::{BoundError, DecodeError};
use reader::Reader;
pub use tail::{PREFIX_BYTES_MAX, Put, Tail};

/// Appends `message`.
///
/// Panics when it exceeds a bound of [`crate::limits`]: ask [`check`] first about what a program
/// can make as large as it likes (the frames of a `Spawn`).
pub fn encode(message: &Message, out: &mut Vec<u8>) {
    match message {
        Message::Hello(hello) => link::encode_hello(hello, out),
        Message::Coherence(message) => coherence::encode(message, out),
        Message::Thread(message) => thread::encode(message, out),
        Message::Sync(message) => sync::encode(message, out),
        Message::Heap(message) => heap::encode(message, out),
        Message::Bye => write_message(Kind::Bye, out, |_| {}),
    }
}

/// Appends a coherence message whose data is borrowed, with no copy in between.
///
/// Panics when data is longer than [`crate::limits::DATA_BYTES_MAX`], or a diff than
/// [`crate::limits::DIFF_BYTES_MAX`].
pub fn encode_coherence<D: Put>(message: &Coherence<D>, out: &mut Vec<u8>) {
    coherence::encode(message, out);
}

/// What stands at the front of the bytes of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// One message about an object, whose bytes are where they arrived.
    Coherence(Coherence<Tail<'a>>),
    /// Several of them.
    Batch(Batch),
    /// Anything else.
    Other(Message),
}

/// Bytes of the first message, or first batch, of `bytes`; `None` when more must be read.
pub fn next_bytes(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    let next = read_message(bytes, Channel::Link)?;
    Ok(next.map(|(_, mut body)| HEADER_BYTES + body.remainder().len()))
}

/// First message of `bytes`, or first batch, and the bytes it took; `None` when more must be read.
///
/// An error is final: the link's byte stream has no later point to start from again.
pub fn decode_next(bytes: &[u8]) -> Result<Option<(Next<'_>, usize)>, DecodeError> {
    let Some((kind, mut body)) = read_message(bytes, Channel::Link)? else {
        return Ok(None);
    };
    let next = match kind {
        Kind::Hello => Next::Other(Message::Hello(link::decode_hello(&mut body)?)),
        Kind::Bye => Next::Other(Message::Bye),
        Kind::Batch => Next::Batch(Batch::begin(&mut body)?),
        Kind::Get
        | Kind::Grant
        | Kind::Recall
        | Kind::Recalled
        | Kind::Invalidate
        | Kind::Invalidated
        | Kind::Flush
        | Kind::Flushed
        | Kind::Return
        | Kind::Update
        | Kind::Updated
        | Kind::Deny
        | Kind::Operate
        | Kind::Operated
        | Kind::Strengthen
        | Kind::Strengthened => Next::Coherence(coherence::decode(kind, &mut body)?),
        Kind::Spawn | Kind::Spawned | Kind::Ended | Kind::Join | Kind::Joined => {
            Next::Other(Message::Thread(thread::decode(kind, &mut body)?))
        }
        Kind::Request
        | Kind::Reply
        | Kind::Tell
        | Kind::Fence
        | Kind::Plan
        | Kind::Arrived
        | Kind::Released
        | Kind::Dissolved
        | Kind::Withdraw
        | Kind::Withdrawn => Next::Other(Message::Sync(sync::decode(kind, &mut body)?)),
        Kind::Free | Kind::Find | Kind::Found => {
            Next::Other(Message::Heap(heap::decode(kind, &mut body)?))
        }
        Kind::Ready
        | Kind::Exit
        | Kind::Fatal
        | Kind::Lost
        | Kind::Threads
        | Kind::Shutdown
        | Kind::Stats
        | Kind::Events => unreachable!("read_message refuses kinds of the other channel"),
    };
    Ok(Some((next, HEADER_BYTES + body.finish()?)))
}

/// First message of `bytes` and the bytes it took; `None` when more must be read. Refuses a batch: its reader takes
/// [`decode_next`].
pub fn decode(bytes: &[u8]) -> Result<Option<(Message, usize)>, DecodeError> {
    Ok(match decode_next(bytes)? {
        Some((Next::Coherence(message), taken)) => {
            let message = message.map_ref(Tail::to_vec);
            Some((Message::Coherence(message), taken))
        }
        Some((Next::Other(message), taken)) => Some((message, taken)),
        Some((Next::Batch(_), _)) => {
            return Err(DecodeError::Kind {
                found: Kind::Batch as u8,
            });
        }
        None => None,
    })
}

/// Appends a message between node and launcher.
///
/// Texts are cut at [`crate::limits::TEXT_BYTES_MAX`], lists of lines at
/// [`crate::limits::LINES_MAX`]. Panics when statistics exceed [`CONTROL_BODY_BYTES_MAX`], or when there are
/// more events than [`crate::limits::EVENTS_MAX`].
pub fn encode_control(message: &Control, out: &mut Vec<u8>) {
    control::encode(message, out);
}

/// First control message of `bytes` and the bytes it took; `None` when more must be read.
pub fn decode_control(bytes: &[u8]) -> Result<Option<(Control, usize)>, DecodeError> {
    let Some((kind, mut body)) = read_message(bytes, Channel::Control)? else {
        return Ok(None);
    };
    let message = control::decode(kind, &mut body)?;
    Ok(Some((message, HEADER_BYTES + body.finish()?)))
}

/// Name of the message whose header has this kind.
pub fn message_name(kind: u8) -> Option<&'static str> {
    Kind::from_byte(kind).map(Kind::name)
}

/// Whether `message` is within every bound, so that [`encode`] takes it.
pub fn check(message: &Message) -> Result<(), BoundError> {
    match message {
        Message::Coherence(message) => coherence::check(message),
        Message::Heap(message) => heap::check(message),
        Message::Thread(Thread::Spawn { frames, .. }) => thread::check_frames(frames),
        Message::Thread(
            Thread::Spawned { .. }
            | Thread::Ended { .. }
            | Thread::Join { .. }
            | Thread::Joined { .. },
        )
        | Message::Hello(_)
        | Message::Sync(_)
        | Message::Bye => Ok(()),
    }
}

/// Which of the two kinds of sockets bytes came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Channel {
    Link,
    Control,
}

/// The header's `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Hello = 0x01,
    Bye = 0x02,
    Batch = 0x03,
    Get = 0x10,
    Grant = 0x11,
    Recall = 0x12,
    Recalled = 0x13,
    Invalidate = 0x14,
    Invalidated = 0x15,
    Flush = 0x16,
    Flushed = 0x17,
    Return = 0x18,
    Update = 0x19,
    Updated = 0x1a,
    Deny = 0x1b,
    Operate = 0x1c,
    Operated = 0x1d,
    Strengthen = 0x1e,
    Strengthened = 0x1f,
    Spawn = 0x20,
    Spawned = 0x21,
    Ended = 0x22,
    Join = 0x23,
    Joined = 0x24,
    Request = 0x30,
    Reply = 0x31,
    Tell = 0x32,
    Fence = 0x33,
    Plan = 0x34,
    Arrived = 0x35,
    Released = 0x36,
    Dissolved = 0x37,
    Free = 0x38,
    Find = 0x39,
    Found = 0x3a,
    Withdraw = 0x3b,
    Withdrawn = 0x3c,
    Ready = 0x80,
    Exit = 0x81,
    Fatal = 0x82,
    Lost = 0x83,
    Threads = 0x84,
    Shutdown = 0x85,
    Stats = 0x86,
    Events = 0x87,
}

impl Kind {
    const ALL: [Self; 45] = [
        Self::Hello,
        Self::Bye,
        Self::Batch,
        Self::Get,
        Self::Grant,
        Self::Recall,
        Self::Recalled,
        Self::Invalidate,
        Self::Invalidated,
        Self::Flush,
        Self::Flushed,
        Self::Return,
        Self::Update,
        Self::Updated,
        Self::Deny,
        Self::Operate,
        Self::Operated,
        Self::Strengthen,
        Self::Strengthened,
        Self::Spawn,
        Self::Spawned,
        Self::Ended,
        Self::Join,
        Self::Joined,
        Self::Request,
        Self::Reply,
        Self::Tell,
        Self::Fence,
        Self::Plan,
        Self::Arrived,
        Self::Released,
        Self::Dissolved,
        Self::Free,
        Self::Find,
        Self::Found,
        Self::Withdraw,
        Self::Withdrawn,
        Self::Ready,
        Self::Exit,
        Self::Fatal,
        Self::Lost,
        Self::Threads,
        Self::Shutdown,
        Self::Stats,
        Self::Events,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    fn channel(self) -> Channel {
        if (self as u8) < 0x80 {
            Channel::Link
        } else {
            Channel::Control
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Hello => "Hello",
            Self::Bye => "Bye",
            Self::Batch => "Batch",
            Self::Get => "Get",
            Self::Grant => "Grant",
            Self::Recall => "Recall",
            Self::Recalled => "Recalled",
            Self::Invalidate => "Invalidate",
            Self::Invalidated => "Invalidated",
            Self::Flush => "Flush",
            Self::Flushed => "Flushed",
            Self::Return => "Return",
            Self::Update => "Update",
            Self::Updated => "Updated",
            Self::Deny => "Deny",
            Self::Operate => "Operate",
            Self::Operated => "Operated",
            Self::Strengthen => "Strengthen",
            Self::Strengthened => "Strengthened",
            Self::Spawn => "Spawn",
            Self::Spawned => "Spawned",
            Self::Ended => "Ended",
            Self::Join => "Join",
            Self::Joined => "Joined",
            Self::Request => "Request",
            Self::Reply => "Reply",
            Self::Tell => "Tell",
            Self::Fence => "Fence",
            Self::Plan => "Plan",
            Self::Arrived => "Arrived",
            Self::Released => "Released",
            Self::Dissolved => "Dissolved",
            Self::Free => "Free",
            Self::Find => "Find",
            Self::Found => "Found",
            Self::Withdraw => "Withdraw",
            Self::Withdrawn => "Withdrawn",
            Self::Ready => "Ready",
            Self::Exit => "Exit",
            Self::Fatal => "Fatal",
            Self::Lost => "Lost",
            Self::Threads => "Threads",
            Self::Shutdown => "Shutdown",
            Self::Stats => "Stats",
            Self::Events => "Events",
        }
    }

    /// Lengths that a body of this kind may have.
    fn body_bytes(self) -> RangeInclusive<usize> {
        match self {
            Self::Hello => link::HELLO_BYTES..=link::HELLO_BYTES,
            Self::Bye | Self::Shutdown => 0..=0,
            Self::Batch => batch::BODY_BYTES_MIN..=BATCH_BODY_BYTES_MAX,
            Self::Get
            | Self::Grant
            | Self::Recall
            | Self::Recalled
            | Self::Invalidate
            | Self::Invalidated
            | Self::Flush
            | Self::Flushed
            | Self::Return
            | Self::Update
            | Self::Updated
            | Self::Deny
            | Self::Operate
            | Self::Operated
            | Self::Strengthen
            | Self::Strengthened => coherence::body_bytes(self),
            Self::Spawn | Self::Spawned | Self::Ended | Self::Join | Self::Joined => {
                thread::body_bytes(self)
            }
            Self::Request | Self::Tell => sync::REQUEST_BYTES..=sync::REQUEST_BYTES,
            Self::Fence => sync::FENCE_BYTES..=sync::FENCE_BYTES,
            Self::Plan => sync::PLAN_BYTES..=sync::PLAN_BYTES,
            Self::Arrived => sync::ARRIVED_BYTES..=sync::ARRIVED_BYTES,
            Self::Released | Self::Withdraw | Self::Withdrawn => {
                sync::ROUND_BYTES..=sync::ROUND_BYTES
            }
            Self::Dissolved => sync::DISSOLVED_BYTES..=sync::DISSOLVED_BYTES,
            Self::Reply => sync::REPLY_BYTES..=sync::REPLY_BYTES,
            Self::Free | Self::Find | Self::Found => heap::body_bytes(self),
            Self::Ready
            | Self::Exit
            | Self::Fatal
            | Self::Lost
            | Self::Threads
            | Self::Stats
            | Self::Events => control::body_bytes(self),
        }
    }
}

/// Reads a header; `None` until the whole message is in `bytes`.
fn read_message(bytes: &[u8], channel: Channel) -> Result<Option<(Kind, Reader<'_>)>, DecodeError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let [b0, b1, b2, b3, kind, version, zero0, zero1] = *header;
    if version != VERSION {
        return Err(DecodeError::Version { found: version });
    }
    let reserved = u16::from_le_bytes([zero0, zero1]);
    if reserved != 0 {
        return Err(DecodeError::Reserved { found: reserved });
    }
    let Some(kind) = Kind::from_byte(kind).filter(|kind| kind.channel() == channel) else {
        return Err(DecodeError::Kind { found: kind });
    };
    let body_bytes = u32::from_le_bytes([b0, b1, b2, b3]) as usize;
    let allowed = kind.body_bytes();
    if !allowed.contains(&body_bytes) {
        return Err(DecodeError::BodyBytes {
            message: kind.name(),
            found: body_bytes,
            min: *allowed.start(),
            max: *allowed.end(),
        });
    }
    Ok(rest
        .get(..body_bytes)
        .map(|body| (kind, Reader::new(kind.name(), body))))
}

/// Writes a header and the body that `write_body` appends.
fn write_message(kind: Kind, out: &mut Vec<u8>, write_body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind as u8, VERSION, 0, 0]);
    write_body(out);
    let body_bytes = out.len() - start - HEADER_BYTES;
    assert!(
        kind.body_bytes().contains(&body_bytes),
        "{} message of {body_bytes} bytes: its sender had to check it",
        kind.name()
    );
    let body_bytes = u32::try_from(body_bytes).expect("every kind's range is below 2^32");
    out[start..start + 4].copy_from_slice(&body_bytes.to_le_bytes());
}

const _: () = assert!(BODY_BYTES_MAX <= BATCH_BODY_BYTES_MAX);
const _: () = assert!(BATCH_BODY_BYTES_MAX <= u32::MAX as usize);
const _: () = assert!(CONTROL_BODY_BYTES_MAX <= u32::MAX as usize);
