//! Body of a batch: messages of one kind about neighbouring objects, each without what it shares with the others.
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 1 | kind | of every message: one of the table below |
//! | 1 | 0 to 3 | common | the fields of every message that the table names |
//! | then | | runs | at least two messages in all, at most [`BATCH_MESSAGES_MAX`] |
//!
//! A run: messages about objects that follow one another, whose sequences do, too, and whose tails are equally long.
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 1 to 10 | object | distance from the one that would follow, or from 0 |
//! | 0, 1 to 10 | sequence | likewise; only kinds that have one |
//! | 2 | count | messages; at least 1 |
//! | 0, 1 to 3 | tail_bytes | length of the tail: the data or the diff of one message; only kinds that have one |
//! | 0 to 2 | prefix | the first bytes of every tail |
//! | rest | tails | count times tail_bytes, each without the prefix |
//!
//! Distances are zigzag numbers of 7 bits to a byte, lowest first, as short as they can be; tail_bytes is such a number
//! without a sign. What a run could have taken is not in the next.
//!
//! | kind | common | sequence | prefix |
//! |---|---|---|---|
//! | Get | access, prefetch | | |
//! | Grant | access, mode, has_data | | 2 |
//! | Deny | | | |
//! | Invalidate | end_of_life | | |
//! | Invalidated | has_diff | if has_diff | 1 |
//! | Flush | leave, has_diff | yes | 1 |
//! | Return | | yes | 2 |
//! | Flushed | exclusive | yes | |
//! | Update | | | 1 |
//! | Updated | leave | | |
//!
//! So a changed word of a small object costs its bytes and nothing else, if its neighbours changed alike; and the
//! pages of a run lie one behind the other, as they will in memory.

use alloc::vec::Vec;
use core::ops::Range;

use super::{DecodeError, Kind, PREFIX_BYTES_MAX, Reader, Tail, coherence};
use crate::coherence::Coherence;
use crate::limits::{BATCH_BODY_BYTES_MAX, BATCH_MESSAGES_MAX, HEADER_BYTES};
use crate::{ObjectId, VERSION};

/// Two messages of one run without common fields.
pub(super) const BODY_BYTES_MIN: usize = 4;

const OBJECT_BYTES: usize = 8;
const SEQUENCE_BYTES: usize = 8;
const COMMON_BYTES_MAX: usize = 3;
/// Bytes of a message before its tail.
const FIELDS_BYTES_MAX: usize = OBJECT_BYTES + SEQUENCE_BYTES + COMMON_BYTES_MAX;
/// Longest number of 7 bits to a byte.
const NUMBER_BYTES_MAX: usize = 10;

/// Where a message of one kind has its fields, from the start of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    common: usize,
    common_bytes: usize,
    sequence: Option<usize>,
    has_tail: bool,
    prefix_bytes: usize,
}

impl Layout {
    /// `first_common`: the first common field. `None` if messages of this kind travel alone.
    fn of(kind: Kind, first_common: u8) -> Option<Self> {
        let (common, common_bytes, sequence, tail) = match kind {
            Kind::Get => (8, 2, None, None),
            Kind::Grant => (8, 3, None, Some(2)),
            Kind::Deny => (8, 0, None, None),
            Kind::Invalidate | Kind::Updated => (8, 1, None, None),
            Kind::Invalidated if first_common == 0 => (8, 1, None, None),
            Kind::Invalidated => (8, 1, Some(9), Some(1)),
            Kind::Flush => (16, 2, Some(8), Some(1)),
            Kind::Return => (16, 0, Some(8), Some(2)),
            Kind::Flushed => (16, 1, Some(8), None),
            Kind::Update => (8, 0, None, Some(1)),
            _ => return None,
        };
        Some(Self {
            common,
            common_bytes,
            sequence,
            has_tail: tail.is_some(),
            prefix_bytes: tail.unwrap_or(0),
        })
    }

    fn tail(self) -> usize {
        let sequence_bytes = self.sequence.map_or(0, |_| SEQUENCE_BYTES);
        OBJECT_BYTES + sequence_bytes + self.common_bytes
    }
}

/// The common fields of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Common {
    bytes: [u8; COMMON_BYTES_MAX],
    len: usize,
}

impl Common {
    fn new(bytes: &[u8]) -> Self {
        let mut common = Self {
            len: bytes.len(),
            ..Self::default()
        };
        common.bytes[..bytes.len()].copy_from_slice(bytes);
        common
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What the messages of a run share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run {
    tail_bytes: usize,
    prefix: [u8; PREFIX_BYTES_MAX],
}

/// Joins messages to batches while they are queued.
#[derive(Clone, Debug, Default)]
pub struct Batcher {
    open: Option<Open>,
}

/// The message or batch at the end of what is queued.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Where it is in what is queued.
    place: (usize, usize),
    kind: Kind,
    layout: Layout,
    common: Common,
    messages: usize,
    run: Run,
    /// Where the last run's count is.
    count: usize,
    next_object: u64,
    next_sequence: u64,
}

impl Batcher {
    /// The queue from `start` on is a message that was just encoded. True if it was joined to the one before it: they
    /// are one batch now.
    pub fn join(&mut self, queue: &mut Vec<u8>, start: usize) -> bool {
        if let Some(open) = &mut self.open
            && open.go_on(queue, start)
        {
            return true;
        }
        let Some(message) = Open::message(queue, start) else {
            self.open = None;
            return false;
        };
        let joined = self.open.is_some_and(|open| {
            open.place.1 == start
                && open.kind == message.kind
                && open.common == message.common
                && open.messages < BATCH_MESSAGES_MAX
        });
        if joined
            && let Some(open) = &mut self.open
            && open.add(queue, message)
        {
            return true;
        }
        self.open = Some(message);
        false
    }

    /// Nothing joins what is queued: it is being sent.
    pub fn close(&mut self) {
        self.open = None;
    }
}

impl Open {
    /// The message at `start`, the last in the queue.
    fn message(queue: &[u8], start: usize) -> Option<Self> {
        let kind = Kind::from_byte(queue[start + KIND_OFFSET])?;
        let body = &queue[start + HEADER_BYTES..];
        let first_common = body.get(OBJECT_BYTES).copied().unwrap_or(0);
        let layout = Layout::of(kind, first_common)?;
        let tail = &body[layout.tail()..];
        let mut run = Run {
            tail_bytes: tail.len(),
            ..Run::default()
        };
        let prefix_bytes = layout.prefix_bytes.min(tail.len());
        run.prefix[..prefix_bytes].copy_from_slice(&tail[..prefix_bytes]);
        Some(Self {
            place: (start, queue.len()),
            kind,
            layout,
            common: Common::new(&body[layout.common..layout.common + layout.common_bytes]),
            messages: 1,
            run,
            count: 0,
            next_object: word(body, 0).wrapping_add(1),
            next_sequence: layout
                .sequence
                .map_or(0, |at| word(body, at).wrapping_add(1)),
        })
    }

    /// Adds the message at `start`, if it is the next of the last run, as most are; else nothing has changed.
    fn go_on(&mut self, queue: &mut Vec<u8>, start: usize) -> bool {
        let is_alike = self.place.1 == start
            && queue[start + KIND_OFFSET] == self.kind as u8
            && (2..BATCH_MESSAGES_MAX).contains(&self.messages);
        if !is_alike {
            return false;
        }
        let body = &queue[start + HEADER_BYTES..];
        let common = &body[self.layout.common..][..self.layout.common_bytes];
        let prefix_bytes = self.layout.prefix_bytes.min(self.run.tail_bytes);
        let tail = self.layout.tail();
        let follows = common == self.common.bytes()
            && body.len() == tail + self.run.tail_bytes
            && word(body, 0) == self.next_object
            && (self.layout.sequence).is_none_or(|at| word(body, at) == self.next_sequence)
            && body[tail..][..prefix_bytes] == self.run.prefix[..prefix_bytes];
        if !follows {
            return false;
        }
        let rest = start + HEADER_BYTES + tail + prefix_bytes;
        let end = queue.len() - (rest - start);
        if end - self.place.0 > HEADER_BYTES + BATCH_BODY_BYTES_MAX {
            return false;
        }
        let count = u16::from_le_bytes([queue[self.count], queue[self.count + 1]]) + 1;
        queue[self.count..self.count + 2].copy_from_slice(&count.to_le_bytes());
        queue.copy_within(rest.., start);
        queue.truncate(end);
        self.place.1 = end;
        self.messages += 1;
        self.next_object = self.next_object.wrapping_add(1);
        if self.layout.sequence.is_some() {
            self.next_sequence = self.next_sequence.wrapping_add(1);
        }
        self.write_length(queue);
        true
    }

    /// Adds the message that follows in the queue; false if there is no room.
    fn add(&mut self, queue: &mut Vec<u8>, message: Self) -> bool {
        let mut start = message.place.0;
        if self.messages == 1 {
            let gained = self.become_batch(queue);
            start = start.wrapping_add_signed(gained);
        }
        let follows = message.next_object == self.next_object.wrapping_add(1)
            && (message.layout.sequence.is_none()
                || message.next_sequence == self.next_sequence.wrapping_add(1))
            && message.run == self.run;
        let mut head = Vec::new();
        if !follows {
            message.write_run(&mut head, self.next_object, self.next_sequence, 1);
        }
        let rest = start + HEADER_BYTES + message.rest();
        let end = queue.len() - (rest - start) + head.len();
        if end - self.place.0 > HEADER_BYTES + BATCH_BODY_BYTES_MAX {
            return false;
        }
        if follows {
            let count = u16::from_le_bytes([queue[self.count], queue[self.count + 1]]) + 1;
            queue[self.count..self.count + 2].copy_from_slice(&count.to_le_bytes());
        } else {
            self.count = start + message.count_offset(self.next_object, self.next_sequence);
        }
        queue.splice(start..rest, head);
        *self = Self {
            place: (self.place.0, queue.len()),
            messages: self.messages + 1,
            count: self.count,
            ..message
        };
        self.write_length(queue);
        true
    }

    /// Bytes of the message's body that a run does not repeat.
    fn rest(&self) -> usize {
        self.layout.tail() + self.layout.prefix_bytes.min(self.run.tail_bytes)
    }

    /// The message becomes a batch of one; by how many bytes it grew.
    fn become_batch(&mut self, queue: &mut Vec<u8>) -> isize {
        let (start, end) = self.place;
        let mut head = Vec::new();
        head.extend_from_slice(&[0, 0, 0, 0, Kind::Batch as u8, VERSION, 0, 0]);
        head.push(self.kind as u8);
        head.extend_from_slice(self.common.bytes());
        self.count = start + head.len() + self.count_offset(0, 0);
        self.write_run(&mut head, 0, 0, 1);
        let replaced = HEADER_BYTES + self.rest();
        let gained = head.len() as isize - replaced as isize;
        queue.splice(start..start + replaced, head);
        self.place.1 = end.wrapping_add_signed(gained);
        gained
    }

    /// Writes the head of a run that begins with this message, behind one that ended before these.
    fn write_run(&self, out: &mut Vec<u8>, next_object: u64, next_sequence: u64, count: u16) {
        write_number(out, zigzag(self.object().wrapping_sub(next_object)));
        if self.layout.sequence.is_some() {
            write_number(out, zigzag(self.sequence().wrapping_sub(next_sequence)));
        }
        out.extend_from_slice(&count.to_le_bytes());
        if self.layout.has_tail {
            write_number(out, self.run.tail_bytes as u64);
            let prefix_bytes = self.layout.prefix_bytes.min(self.run.tail_bytes);
            out.extend_from_slice(&self.run.prefix[..prefix_bytes]);
        }
    }

    fn count_offset(&self, next_object: u64, next_sequence: u64) -> usize {
        let object = number_bytes(zigzag(self.object().wrapping_sub(next_object)));
        match self.layout.sequence {
            Some(_) => object + number_bytes(zigzag(self.sequence().wrapping_sub(next_sequence))),
            None => object,
        }
    }

    fn object(&self) -> u64 {
        self.next_object.wrapping_sub(1)
    }

    fn sequence(&self) -> u64 {
        self.next_sequence.wrapping_sub(1)
    }

    fn write_length(&self, queue: &mut [u8]) {
        let (start, end) = self.place;
        let body_bytes = (end - start - HEADER_BYTES) as u32;
        queue[start..start + 4].copy_from_slice(&body_bytes.to_le_bytes());
    }
}

/// A batch that is being read: where in it the reader is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    kind: Kind,
    layout: Layout,
    common: Common,
    /// The next byte, from the start of the body.
    offset: usize,
    body_bytes: usize,
    /// Messages begun so far: read, or left in the run.
    messages: usize,
    left: usize,
    run: Run,
    next_object: u64,
    next_sequence: u64,
}

impl Batch {
    pub(super) fn begin(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let byte = body.u8("kind")?;
        let kind = Kind::from_byte(byte).filter(|kind| Layout::of(*kind, 0).is_some());
        let Some(kind) = kind else {
            let allowed = "a message that batches may have";
            return Err(body.value("kind", 1, byte.into(), allowed));
        };
        let common_bytes = Layout::of(kind, 0).map_or(0, |layout| layout.common_bytes);
        let common = Common::new(body.bytes("common", common_bytes)?);
        let layout = Layout::of(kind, common.bytes[0]).expect("looked up above");
        let offset = 1 + common_bytes;
        Ok(Self {
            kind,
            layout,
            common,
            offset,
            body_bytes: offset + body.remainder().len(),
            messages: 0,
            left: 0,
            run: Run::default(),
            next_object: 0,
            next_sequence: 0,
        })
    }

    /// The next message. `bytes`: what was given to [`decode_next`](super::decode_next); the batch is at its front.
    pub fn next<'a>(
        &mut self,
        bytes: &'a [u8],
    ) -> Result<Option<Coherence<Tail<'a>>>, DecodeError> {
        let body = &bytes[HEADER_BYTES..HEADER_BYTES + self.body_bytes];
        let mut reader = Reader::from_offset("Batch", body, self.offset);
        if self.left == 0 {
            if reader.is_empty() {
                return match self.messages {
                    0 | 1 => Err(reader.value("messages", 0, self.messages as u64, "2 or more")),
                    _ => Ok(None),
                };
            }
            self.begin_run(&mut reader)?;
        }
        let prefix_bytes = self.layout.prefix_bytes.min(self.run.tail_bytes);
        let rest = reader.bytes("tails", self.run.tail_bytes - prefix_bytes)?;
        self.offset = reader.offset();
        let tail = Tail::new(&self.run.prefix[..prefix_bytes], rest);
        let message = self.message(tail)?;
        self.left -= 1;
        self.next_object = self.next_object.wrapping_add(1);
        self.next_sequence = self.next_sequence.wrapping_add(1);
        Ok(Some(message))
    }

    /// The kind of its messages, as their header would say.
    pub fn kind(&self) -> u8 {
        self.kind as u8
    }

    fn begin_run(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let step = number(reader, "object")?;
        self.next_object = self.next_object.wrapping_add(unzigzag(step));
        let mut sequence_step = 0;
        if self.layout.sequence.is_some() {
            sequence_step = number(reader, "sequence")?;
            self.next_sequence = self.next_sequence.wrapping_add(unzigzag(sequence_step));
        }
        self.left = usize::from(reader.u16("count")?);
        let room = BATCH_MESSAGES_MAX - self.messages;
        if !(1..=room).contains(&self.left) {
            let allowed = "1 or more, and 4096 with those before";
            return Err(reader.value("count", 2, self.left as u64, allowed));
        }
        let mut run = Run::default();
        if self.layout.has_tail {
            let tail_bytes = number(reader, "tail_bytes")?;
            run.tail_bytes = usize::try_from(tail_bytes)
                .ok()
                .filter(|tail_bytes| *tail_bytes <= BATCH_BODY_BYTES_MAX)
                .ok_or_else(|| reader.value("tail_bytes", 1, tail_bytes, "within the body"))?;
            let prefix_bytes = self.layout.prefix_bytes.min(run.tail_bytes);
            let prefix = reader.bytes("prefix", prefix_bytes)?;
            run.prefix[..prefix_bytes].copy_from_slice(prefix);
        }
        if self.messages > 0 && step == 0 && sequence_step == 0 && run == self.run {
            let allowed = "of another run than the one before";
            return Err(reader.value("object", 0, self.next_object, allowed));
        }
        self.messages += self.left;
        self.run = run;
        Ok(())
    }

    /// The message as it would be alone, read by the same rules.
    fn message<'a>(&self, tail: Tail<'a>) -> Result<Coherence<Tail<'a>>, DecodeError> {
        let layout = self.layout;
        let mut fields = [0; FIELDS_BYTES_MAX];
        fields[..OBJECT_BYTES].copy_from_slice(&self.next_object.to_le_bytes());
        if let Some(at) = layout.sequence {
            fields[at..at + SEQUENCE_BYTES].copy_from_slice(&self.next_sequence.to_le_bytes());
        }
        let common: Range<usize> = layout.common..layout.common + layout.common_bytes;
        fields[common].copy_from_slice(self.common.bytes());
        let bytes = tail.prefix().len() + tail.rest().len();
        let allowed = coherence::body_bytes(self.kind);
        if layout.tail() + bytes > *allowed.end() {
            return Err(DecodeError::BodyBytes {
                message: self.kind.name(),
                found: layout.tail() + bytes,
                min: *allowed.start(),
                max: *allowed.end(),
            });
        }
        let mut reader = Reader::with_tail(self.kind.name(), &fields[..layout.tail()], tail);
        let message = coherence::decode(self.kind, &mut reader)?.map_ref(|_| tail);
        reader.finish()?;
        debug_assert_eq!(message.object(), ObjectId(self.next_object));
        Ok(message)
    }
}

/// A number of 7 bits to a byte, as short as it can be.
fn number(reader: &mut Reader<'_>, field: &'static str) -> Result<u64, DecodeError> {
    let mut value = 0;
    for index in 0..NUMBER_BYTES_MAX {
        let byte = reader.u8(field)?;
        let is_last = byte & MORE == 0;
        let bits = u64::from(byte & !MORE);
        let too_long = index > 0 && is_last && bits == 0;
        if too_long || (index == NUMBER_BYTES_MAX - 1 && bits > 1) {
            let allowed = "a number below 2^64, as short as it can be";
            return Err(reader.value(field, 1, byte.into(), allowed));
        }
        value |= bits << (7 * index);
        if is_last {
            return Ok(value);
        }
    }
    Err(reader.value(field, 1, value, "at most 10 bytes long"))
}

fn write_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= u64::from(MORE) {
        out.push(value as u8 | MORE);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number_bytes(value: u64) -> usize {
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Small distances in either direction become small numbers.
fn zigzag(distance: u64) -> u64 {
    (distance << 1) ^ ((distance as i64 >> 63) as u64)
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

fn word(body: &[u8], at: usize) -> u64 {
    let bytes = body[at..at + 8].try_into();
    u64::from_le_bytes(bytes.expect("8 bytes were cut out"))
}

/// Another byte follows.
const MORE: u8 = 0x80;
/// Where a message's header says what it is.
const KIND_OFFSET: usize = 4;

const _: () = assert!(BATCH_MESSAGES_MAX == 4096, "the error text above says so");
const _: () = assert!(BATCH_MESSAGES_MAX <= u16::MAX as usize);
