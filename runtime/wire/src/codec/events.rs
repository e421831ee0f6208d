//! Body of Events, the records of a node:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | lost | records that the node had no room for, since its start |
//! | 8 | rest | events | one after the other |
//!
//! Each event, at most [`EVENT_BYTES_MAX`] bytes:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | at_ns | CLOCK_MONOTONIC |
//! | 8 | 1 | what | the table below |
//! | 9 | rest | | its fields in this order |
//!
//! | what | event | fields (bytes) |
//! |---|---|---|
//! | 0 | ThreadBegan | thread (4), id (8), name_bytes (1), name |
//! | 1 | ThreadEnded | thread (4) |
//! | 2 | FaultBegan | thread (4), object (8), write (1): 0 or 1 |
//! | 3 | FaultEnded | object (8) |
//! | 4 | WaitBegan | thread (4), why (1), key (8) |
//! | 5 | WaitEnded | thread (4) |
//! | 6, 7 | Sent, Received | peer (2), kind (1), object (8; all ones: none), bytes (4), sequence (8) |
//! | 8 | Named | object (8), size_bytes (8), name_bytes (1), name |

use alloc::string::String;
use alloc::vec::Vec;

use super::{DecodeError, Kind, Reader, write_message};
use crate::control::Control;
use crate::event::{Event, Traffic, What, Why};
use crate::limits::{CONTROL_BODY_BYTES_MAX, EVENT_BYTES_MAX, EVENTS_MAX, NODES_MAX};
use crate::{NodeId, ObjectId, ThreadId};

pub(super) const HEAD_BYTES: usize = 8;

/// Appends the message that carries these events.
pub(super) fn encode(lost: u64, events: &[Event], out: &mut Vec<u8>) {
    write_message(Kind::Events, out, |body| {
        body.extend_from_slice(&lost.to_le_bytes());
        for event in events {
            body.extend_from_slice(&event.at_ns.to_le_bytes());
            put(&event.what, body);
        }
    });
}

fn put(what: &What, body: &mut Vec<u8>) {
    match what {
        What::ThreadBegan { thread, id, name } => {
            body.push(0);
            body.extend_from_slice(&thread.to_le_bytes());
            body.extend_from_slice(&id.0.to_le_bytes());
            put_name(name, body);
        }
        What::ThreadEnded { thread } => {
            body.push(1);
            body.extend_from_slice(&thread.to_le_bytes());
        }
        What::FaultBegan {
            thread,
            object,
            write,
        } => {
            body.push(2);
            body.extend_from_slice(&thread.to_le_bytes());
            body.extend_from_slice(&object.0.to_le_bytes());
            body.push(u8::from(*write));
        }
        What::FaultEnded { object } => {
            body.push(3);
            body.extend_from_slice(&object.0.to_le_bytes());
        }
        What::WaitBegan { thread, why, key } => {
            body.push(4);
            body.extend_from_slice(&thread.to_le_bytes());
            body.push(*why as u8);
            body.extend_from_slice(&key.to_le_bytes());
        }
        What::WaitEnded { thread } => {
            body.push(5);
            body.extend_from_slice(&thread.to_le_bytes());
        }
        What::Sent(traffic) => {
            body.push(6);
            put_traffic(traffic, body);
        }
        What::Received(traffic) => {
            body.push(7);
            put_traffic(traffic, body);
        }
        What::Named {
            object,
            size_bytes,
            name,
        } => {
            body.push(8);
            body.extend_from_slice(&object.0.to_le_bytes());
            body.extend_from_slice(&size_bytes.to_le_bytes());
            put_name(name, body);
        }
    }
}

fn put_traffic(traffic: &Traffic, body: &mut Vec<u8>) {
    body.extend_from_slice(&traffic.peer.0.to_le_bytes());
    body.push(traffic.kind);
    let object = traffic.object.map_or(NO_OBJECT, |object| object.0);
    body.extend_from_slice(&object.to_le_bytes());
    body.extend_from_slice(&traffic.bytes.to_le_bytes());
    body.extend_from_slice(&traffic.sequence.to_le_bytes());
}

/// The longest start of `name` whose length fits a byte.
fn put_name(name: &str, body: &mut Vec<u8>) {
    let mut end = name.len().min(usize::from(u8::MAX));
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    body.push(end as u8);
    body.extend_from_slice(&name.as_bytes()[..end]);
}

pub(super) fn decode(body: &mut Reader<'_>) -> Result<Control, DecodeError> {
    let lost = body.u64("lost")?;
    let mut events = Vec::new();
    while !body.is_empty() {
        let at_ns = body.u64("at_ns")?;
        let what = take(body)?;
        events.push(Event { at_ns, what });
    }
    Ok(Control::Events { lost, events })
}

fn take(body: &mut Reader<'_>) -> Result<What, DecodeError> {
    Ok(match body.u8("what")? {
        0 => What::ThreadBegan {
            thread: body.u32("thread")?,
            id: ThreadId(body.u64("id")?),
            name: take_name(body)?,
        },
        1 => What::ThreadEnded {
            thread: body.u32("thread")?,
        },
        2 => What::FaultBegan {
            thread: body.u32("thread")?,
            object: ObjectId(body.u64("object")?),
            write: body.flag("write")?,
        },
        3 => What::FaultEnded {
            object: ObjectId(body.u64("object")?),
        },
        4 => What::WaitBegan {
            thread: body.u32("thread")?,
            why: take_why(body)?,
            key: body.u64("key")?,
        },
        5 => What::WaitEnded {
            thread: body.u32("thread")?,
        },
        6 => What::Sent(take_traffic(body)?),
        7 => What::Received(take_traffic(body)?),
        8 => What::Named {
            object: ObjectId(body.u64("object")?),
            size_bytes: body.u64("size_bytes")?,
            name: take_name(body)?,
        },
        other => return Err(body.value("what", 1, other.into(), "0 to 8")),
    })
}

fn take_why(body: &mut Reader<'_>) -> Result<Why, DecodeError> {
    let number = body.u8("why")?;
    let why = Why::ALL.get(usize::from(number));
    why.copied()
        .ok_or_else(|| body.value("why", 1, number.into(), "0 to 10"))
}

fn take_traffic(body: &mut Reader<'_>) -> Result<Traffic, DecodeError> {
    let peer = body.u16("peer")?;
    if usize::from(peer) >= NODES_MAX {
        return Err(body.value("peer", 2, peer.into(), "below 4096"));
    }
    let kind = body.u8("kind")?;
    let object = body.u64("object")?;
    Ok(Traffic {
        peer: NodeId(peer),
        kind,
        object: (object != NO_OBJECT).then_some(ObjectId(object)),
        bytes: body.u32("bytes")?,
        sequence: body.u64("sequence")?,
    })
}

fn take_name(body: &mut Reader<'_>) -> Result<String, DecodeError> {
    let bytes = body.u8("name_bytes")?;
    let name = body.bytes("name", bytes.into())?;
    Ok(body.text("name", name)?.into())
}

/// Says that a message is about no object.
const NO_OBJECT: u64 = u64::MAX;

const _: () = assert!(9 + 8 + 8 + 1 + u8::MAX as usize <= EVENT_BYTES_MAX);
const _: () = assert!(HEAD_BYTES + EVENTS_MAX * EVENT_BYTES_MAX <= CONTROL_BODY_BYTES_MAX);
const _: () = assert!(Why::ALL.len() == 11, "the error text above says so");
const _: () = assert!(NODES_MAX == 4096, "the error text above says so");
