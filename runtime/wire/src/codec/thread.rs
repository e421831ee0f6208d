//! Bodies of the thread messages.
//!
//! Spawn:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | thread | the new thread |
//! | 8 | 8 | father | its father |
//! | 16 | 4 | code.module | module of its code |
//! | 20 | 8 | code.offset | bytes from the module's ELF header |
//! | 28 | 4 | function.module | module of its function's record |
//! | 32 | 8 | function.offset | bytes from the module's ELF header; 0: no record |
//! | 40 | 8 | argument | its argument |
//! | 48 | 2 | frame_count | frames that follow, at most [`FRAMES_MAX`] |
//!
//! then each frame, innermost first:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 4 | table.module | module of the frame's table |
//! | 4 | 8 | table.offset | bytes from the module's ELF header |
//! | 12 | 4 | frame_bytes | length of the record, at most [`FRAME_BYTES_MAX`] |
//! | 16 | frame_bytes | bytes | the record |
//!
//! Spawned:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | thread | the thread |
//! | 8 | 4 | result | 0 or -errno |
//!
//! Ended:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | thread | the thread |
//!
//! Join:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | token | finds the waiting thread at its node |
//! | 8 | 8 | waiter | who waits |
//! | 16 | 8 | thread | whom to wait for |
//!
//! Joined:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | token | as in Join |
//! | 8 | 4 | result | 0 or -errno |

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::{BoundError, DecodeError, Kind, Reader, write_message};
use crate::limits::{BODY_BYTES_MAX, FRAME_BYTES_MAX, FRAMES_MAX};
use crate::thread::{CodeRef, Frame, Thread};
use crate::{ThreadId, Token};

const SPAWN_FIXED_BYTES: usize = 50;
const FRAME_FIXED_BYTES: usize = 16;

pub(super) fn body_bytes(kind: Kind) -> RangeInclusive<usize> {
    match kind {
        Kind::Spawn => SPAWN_FIXED_BYTES..=BODY_BYTES_MAX,
        Kind::Spawned | Kind::Joined => 12..=12,
        Kind::Ended => 8..=8,
        Kind::Join => 24..=24,
        other => unreachable!("{other:?} is not a thread message"),
    }
}

pub(super) fn check_frames(frames: &[Frame]) -> Result<(), BoundError> {
    let bounded = |what, found, max, unit| match found > max {
        true => Err(BoundError {
            what,
            found,
            max,
            unit,
        }),
        false => Ok(()),
    };
    bounded(
        "static chain of a thread",
        frames.len(),
        FRAMES_MAX,
        "frames",
    )?;
    let mut body_bytes = SPAWN_FIXED_BYTES;
    for frame in frames {
        bounded(
            "frame of a thread",
            frame.bytes.len(),
            FRAME_BYTES_MAX,
            "bytes",
        )?;
        body_bytes += FRAME_FIXED_BYTES + frame.bytes.len();
    }
    bounded("frames of a thread", body_bytes, BODY_BYTES_MAX, "bytes")
}

pub(super) fn encode(message: &Thread, out: &mut Vec<u8>) {
    match message {
        Thread::Spawn {
            thread,
            father,
            code,
            function,
            argument,
            frames,
        } => {
            if let Err(error) = check_frames(frames) {
                panic!("{error}: the thread's creator had to check it");
            }
            write_message(Kind::Spawn, out, |body| {
                put_u64(thread.0, body);
                put_u64(father.0, body);
                put_code(*code, body);
                put_code(*function, body);
                put_u64(*argument, body);
                let frame_count = u16::try_from(frames.len()).expect("check_frames bounds it");
                body.extend_from_slice(&frame_count.to_le_bytes());
                frames.iter().for_each(|frame| put_frame(frame, body));
            });
        }
        Thread::Spawned { thread, result } => write_message(Kind::Spawned, out, |body| {
            put_u64(thread.0, body);
            body.extend_from_slice(&result.to_le_bytes());
        }),
        Thread::Ended { thread } => {
            write_message(Kind::Ended, out, |body| put_u64(thread.0, body));
        }
        Thread::Join {
            token,
            waiter,
            thread,
        } => write_message(Kind::Join, out, |body| {
            put_u64(token.0, body);
            put_u64(waiter.0, body);
            put_u64(thread.0, body);
        }),
        Thread::Joined { token, result } => write_message(Kind::Joined, out, |body| {
            put_u64(token.0, body);
            body.extend_from_slice(&result.to_le_bytes());
        }),
    }
}

pub(super) fn decode(kind: Kind, body: &mut Reader<'_>) -> Result<Thread, DecodeError> {
    Ok(match kind {
        Kind::Spawn => decode_spawn(body)?,
        Kind::Spawned => Thread::Spawned {
            thread: ThreadId(body.u64("thread")?),
            result: body.i32("result")?,
        },
        Kind::Ended => Thread::Ended {
            thread: ThreadId(body.u64("thread")?),
        },
        Kind::Join => Thread::Join {
            token: Token(body.u64("token")?),
            waiter: ThreadId(body.u64("waiter")?),
            thread: ThreadId(body.u64("thread")?),
        },
        Kind::Joined => Thread::Joined {
            token: Token(body.u64("token")?),
            result: body.i32("result")?,
        },
        other => unreachable!("{other:?} is not a thread message"),
    })
}

fn decode_spawn(body: &mut Reader<'_>) -> Result<Thread, DecodeError> {
    let thread = ThreadId(body.u64("thread")?);
    let father = ThreadId(body.u64("father")?);
    let code = code_ref(body, ["code.module", "code.offset"])?;
    let function = code_ref(body, ["function.module", "function.offset"])?;
    let argument = body.u64("argument")?;
    let frame_count = body.u16("frame_count")?;
    if usize::from(frame_count) > FRAMES_MAX {
        return Err(body.value("frame_count", 2, frame_count.into(), "at most 64"));
    }
    // Not with_capacity: the count is the peer's claim, the bytes are not there yet.
    let mut frames = Vec::new();
    for _ in 0..frame_count {
        frames.push(decode_frame(body)?);
    }
    Ok(Thread::Spawn {
        thread,
        father,
        code,
        function,
        argument,
        frames,
    })
}

fn decode_frame(body: &mut Reader<'_>) -> Result<Frame, DecodeError> {
    let table = code_ref(body, ["table.module", "table.offset"])?;
    let frame_bytes = body.u32("frame_bytes")?;
    if frame_bytes as usize > FRAME_BYTES_MAX {
        return Err(body.value("frame_bytes", 4, frame_bytes.into(), "at most 65536"));
    }
    Ok(Frame {
        table,
        bytes: body.bytes("bytes", frame_bytes as usize)?.to_vec(),
    })
}

fn code_ref(
    body: &mut Reader<'_>,
    [module, offset]: [&'static str; 2],
) -> Result<CodeRef, DecodeError> {
    Ok(CodeRef {
        module: body.u32(module)?,
        offset: body.u64(offset)?,
    })
}

fn put_frame(frame: &Frame, body: &mut Vec<u8>) {
    put_code(frame.table, body);
    let frame_bytes = u32::try_from(frame.bytes.len()).expect("check_frames bounds it");
    body.extend_from_slice(&frame_bytes.to_le_bytes());
    body.extend_from_slice(&frame.bytes);
}

fn put_code(code: CodeRef, body: &mut Vec<u8>) {
    body.extend_from_slice(&code.module.to_le_bytes());
    put_u64(code.offset, body);
}

fn put_u64(value: u64, body: &mut Vec<u8>) {
    body.extend_from_slice(&value.to_le_bytes());
}

const _: () = assert!(FRAMES_MAX == 64, "the error text above says so");
const _: () = assert!(FRAME_BYTES_MAX == 65536, "the error text above says so");
