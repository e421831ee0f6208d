//! Bodies of the messages between a node and its launcher.
//!
//! Ready and Lost:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 2 | rank | the node, below [`NODES_MAX`] |
//!
//! Exit:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 4 | status | exit status, 0 to 255 |
//!
//! Fatal:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | rest | text | UTF-8, at most [`TEXT_BYTES_MAX`] bytes |
//!
//! Threads:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 2 | line_count | lines that follow, at most [`LINES_MAX`] |
//!
//! then each line:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 2 | line_bytes | its length, at most [`TEXT_BYTES_MAX`] |
//! | 2 | line_bytes | line | UTF-8 |
//!
//! Shutdown has no body. Stats:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | rest | json | one JSON document, at most [`CONTROL_BODY_BYTES_MAX`] bytes |
//!
//! Events: [`super::events`].

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::{DecodeError, Kind, Reader, events, write_message};
use crate::control::Control;
use crate::limits::{CONTROL_BODY_BYTES_MAX, LINES_MAX, NODES_MAX, TEXT_BYTES_MAX};

pub(super) fn body_bytes(kind: Kind) -> RangeInclusive<usize> {
    match kind {
        Kind::Ready | Kind::Lost => 2..=2,
        Kind::Exit => 4..=4,
        Kind::Fatal => 0..=TEXT_BYTES_MAX,
        Kind::Threads => 2..=2 + LINES_MAX * (2 + TEXT_BYTES_MAX),
        Kind::Stats => 0..=CONTROL_BODY_BYTES_MAX,
        Kind::Events => events::HEAD_BYTES..=CONTROL_BODY_BYTES_MAX,
        other => unreachable!("{other:?} is not a control message with a body"),
    }
}

pub(super) fn encode(message: &Control, out: &mut Vec<u8>) {
    match message {
        Control::Ready { rank } => write_message(Kind::Ready, out, |body| {
            body.extend_from_slice(&rank.to_le_bytes());
        }),
        Control::Exit { status } => write_message(Kind::Exit, out, |body| {
            // As wait() would have cut it.
            body.extend_from_slice(&(status & 0xff).to_le_bytes());
        }),
        Control::Fatal { text } => write_message(Kind::Fatal, out, |body| {
            body.extend_from_slice(cut(text).as_bytes());
        }),
        Control::Lost { rank } => write_message(Kind::Lost, out, |body| {
            body.extend_from_slice(&rank.to_le_bytes());
        }),
        Control::Threads { lines } => write_message(Kind::Threads, out, |body| {
            put_lines(lines, body);
        }),
        Control::Shutdown => write_message(Kind::Shutdown, out, |_| {}),
        Control::Stats { json } => write_message(Kind::Stats, out, |body| {
            body.extend_from_slice(json);
        }),
        Control::Events { lost, events: list } => events::encode(*lost, list, out),
    }
}

pub(super) fn decode(kind: Kind, body: &mut Reader<'_>) -> Result<Control, DecodeError> {
    Ok(match kind {
        Kind::Ready => Control::Ready { rank: rank(body)? },
        Kind::Exit => {
            let status = body.i32("status")?;
            if !(0..=255).contains(&status) {
                let found = u64::from(status.cast_unsigned());
                return Err(body.value("status", 4, found, "0 to 255"));
            }
            Control::Exit { status }
        }
        Kind::Fatal => {
            let text = body.remainder();
            Control::Fatal {
                text: body.text("text", text)?.into(),
            }
        }
        Kind::Lost => Control::Lost { rank: rank(body)? },
        Kind::Threads => decode_threads(body)?,
        Kind::Shutdown => Control::Shutdown,
        Kind::Stats => Control::Stats {
            json: body.remainder().to_vec(),
        },
        Kind::Events => events::decode(body)?,
        other => unreachable!("{other:?} is not a control message"),
    })
}

fn decode_threads(body: &mut Reader<'_>) -> Result<Control, DecodeError> {
    let line_count = body.u16("line_count")?;
    if usize::from(line_count) > LINES_MAX {
        return Err(body.value("line_count", 2, line_count.into(), "at most 256"));
    }
    // Not with_capacity: the count is the sender's claim, the bytes are not there yet.
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..line_count {
        let line_bytes = body.u16("line_bytes")?;
        if usize::from(line_bytes) > TEXT_BYTES_MAX {
            return Err(body.value("line_bytes", 2, line_bytes.into(), "at most 4096"));
        }
        let line = body.bytes("line", line_bytes.into())?;
        lines.push(body.text("line", line)?.into());
    }
    Ok(Control::Threads { lines })
}

/// All lines, or the first `LINES_MAX - 1` and one that says how many more there are.
fn put_lines(lines: &[String], body: &mut Vec<u8>) {
    let line_count = lines.len().min(LINES_MAX);
    let whole_count = match lines.len() > LINES_MAX {
        true => LINES_MAX - 1,
        false => lines.len(),
    };
    let count = u16::try_from(line_count).expect("LINES_MAX is below 2^16");
    body.extend_from_slice(&count.to_le_bytes());
    for line in &lines[..whole_count] {
        put_line(line, body);
    }
    if whole_count < line_count {
        put_line(&format!("and {} more", lines.len() - whole_count), body);
    }
}

fn put_line(line: &str, body: &mut Vec<u8>) {
    let line = cut(line);
    let line_bytes = u16::try_from(line.len()).expect("TEXT_BYTES_MAX is below 2^16");
    body.extend_from_slice(&line_bytes.to_le_bytes());
    body.extend_from_slice(line.as_bytes());
}

/// The longest start of `text` that may be sent.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn rank(body: &mut Reader<'_>) -> Result<u16, DecodeError> {
    let rank = body.u16("rank")?;
    match usize::from(rank) < NODES_MAX {
        true => Ok(rank),
        false => Err(body.value("rank", 2, rank.into(), "below 4096")),
    }
}

const _: () = assert!(NODES_MAX == 4096, "the error text above says so");
const _: () = assert!(LINES_MAX == 256, "the error text above says so");
const _: () = assert!(TEXT_BYTES_MAX == 4096, "the error text above says so");
