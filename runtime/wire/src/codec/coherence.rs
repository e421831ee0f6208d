//! Bodies of the coherence messages. Each begins with the object, 8 bytes; what follows it:
//!
//! | message | offset | bytes | field | meaning |
//! |---|---|---|---|---|
//! | Get | 8 | 1 | access | 0 read, 1 write |
//! | | 9 | 1 | prefetch | 1 if no thread waits, else 0 |
//! | Grant | 8 | 1 | access | 0 read, 1 write |
//! | | 9 | 1 | mode | see below |
//! | | 10 | 1 | has_data | 1 if data follows, else 0: the receiver's copy is current |
//! | | 11 | rest | data | the newest bytes, at most [`DATA_BYTES_MAX`] |
//! | Deny | | | | nothing |
//! | Recall | 8 | 1 | keep_read | 1 if the owner becomes a reader, 0 if it loses its copy |
//! | | 9 | 1 | has_forward | 1 if the next two follow, else 0 |
//! | | 10 | 2 | node | who gets a Grant from the owner |
//! | | 12 | 1 | mode | see below |
//! | Recalled | 8 | rest | data | the newest bytes, at most [`DATA_BYTES_MAX`] |
//! | Invalidate | 8 | 1 | end_of_life | 1 if the object's life is over, else 0 |
//! | Invalidated | 8 | 1 | has_diff | 1 if the next two follow, else 0 |
//! | | 9 | 8 | sequence | the sender's number of this flush |
//! | | 17 | rest | diff | at most [`DIFF_BYTES_MAX`] |
//! | Flush | 8 | 8 | sequence | the sender's number of this flush |
//! | | 16 | 1 | leave | 1 if the copy is dropped, else 0 |
//! | | 17 | 1 | has_diff | 1 if diff follows; 0 only if leave is 1 |
//! | | 18 | rest | diff | at most [`DIFF_BYTES_MAX`] |
//! | Return | 8 | 8 | sequence | the sender's number of this flush |
//! | | 16 | rest | data | the newest bytes, at most [`DATA_BYTES_MAX`] |
//! | Flushed | 8 | 8 | sequence | the receiver's number of the flush |
//! | | 16 | 1 | exclusive | 1 if the receiver's copy is the only one, else 0 |
//! | Update | 8 | rest | diff | at most [`DIFF_BYTES_MAX`] |
//! | Updated | 8 | 1 | leave | 1 if the copy was dropped, else 0 |
//! | Operate | 8 | 8 | token | names the request |
//! | | 16 | 1 | kind | place in [`OperationKind::ALL`] |
//! | | 17 | 1 | width | 1, 2, 4 or 8 |
//! | | 18 | 2 | offset | a multiple of width, below the size of a page |
//! | | 20 | 8 | operand | zero-extended |
//! | | 28 | 8 | expected | zero-extended |
//! | Operated | 8 | 8 | token | the request |
//! | | 16 | 8 | result | the value before, zero-extended |
//! | | 24 | 1 | mode | see below |
//! | Strengthen | 8 | 8 | token | names the request |
//! | Strengthened | 8 | 8 | token | the request |
//!
//! Mode: the protocol (0 invalidate, 1 migratory, 2 read-only, 3 update, 4 remote), plus 16 if sequential.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::{BoundError, DecodeError, Kind, Put, Reader, Tail, write_message};
use crate::coherence::{Consistency, Forward, Mode, Operation, OperationKind, Protocol};
use crate::limits::{DATA_BYTES_MAX, DIFF_BYTES_MAX, PAGE_BYTES};
use crate::{Access, Coherence, NodeId, ObjectId, Token};

const ACCESS_READ: u8 = 0;
const ACCESS_WRITE: u8 = 1;
const MODE_SEQUENTIAL: u8 = 16;

pub(super) fn body_bytes(kind: Kind) -> RangeInclusive<usize> {
    match kind {
        Kind::Get => 10..=10,
        Kind::Grant => 11..=11 + DATA_BYTES_MAX,
        Kind::Invalidate | Kind::Updated => 9..=9,
        Kind::Recall => 10..=13,
        Kind::Recalled => 8..=8 + DATA_BYTES_MAX,
        Kind::Deny => 8..=8,
        Kind::Invalidated => 9..=17 + DIFF_BYTES_MAX,
        Kind::Flush => 18..=18 + DIFF_BYTES_MAX,
        Kind::Return => 16..=16 + DATA_BYTES_MAX,
        Kind::Flushed => 17..=17,
        Kind::Update => 8..=8 + DIFF_BYTES_MAX,
        Kind::Operate => 36..=36,
        Kind::Operated => 25..=25,
        Kind::Strengthen | Kind::Strengthened => 16..=16,
        other => unreachable!("{other:?} is not a coherence message"),
    }
}

pub(super) fn check<D: AsRef<[u8]>>(message: &Coherence<D>) -> Result<(), BoundError> {
    const DATA: (&str, usize) = ("data of an object", DATA_BYTES_MAX);
    const DIFF: (&str, usize) = ("diff of an object", DIFF_BYTES_MAX);
    let (bytes, (what, max)) = match message {
        Coherence::Grant { data, .. } => (data.as_ref(), DATA),
        Coherence::Recalled { data, .. } | Coherence::Return { data, .. } => (Some(data), DATA),
        Coherence::Invalidated { diff, .. } => (diff.as_ref().map(|(_, diff)| diff), DIFF),
        Coherence::Flush { diff, .. } => (diff.as_ref(), DIFF),
        Coherence::Update { diff, .. } => (Some(diff), DIFF),
        Coherence::Get { .. }
        | Coherence::Deny { .. }
        | Coherence::Recall { .. }
        | Coherence::Invalidate { .. }
        | Coherence::Flushed { .. }
        | Coherence::Updated { .. }
        | Coherence::Operate { .. }
        | Coherence::Operated { .. }
        | Coherence::Strengthen { .. }
        | Coherence::Strengthened { .. } => (None, DATA),
    };
    match bytes.map(|bytes| bytes.as_ref().len()) {
        Some(found) if found > max => Err(BoundError {
            what,
            found,
            max,
            unit: "bytes",
        }),
        Some(_) | None => Ok(()),
    }
}

/// Panics on a `Flush` without diff and `leave`, which means nothing.
pub(super) fn encode<D: Put>(message: &Coherence<D>, out: &mut Vec<u8>) {
    write_message(kind_of(message), out, |body| {
        body.extend_from_slice(&message.object().0.to_le_bytes());
        match message {
            Coherence::Get {
                object: _,
                access,
                prefetch,
            } => body.extend_from_slice(&[access_byte(*access), u8::from(*prefetch)]),
            Coherence::Grant {
                object: _,
                access,
                mode,
                data,
            } => {
                let has_data = u8::from(data.is_some());
                body.extend_from_slice(&[access_byte(*access), mode_byte(*mode), has_data]);
                put(body, data.as_ref());
            }
            Coherence::Deny { object: _ } => {}
            Coherence::Recall {
                object: _,
                keep_read,
                forward,
            } => {
                body.extend_from_slice(&[u8::from(*keep_read), u8::from(forward.is_some())]);
                if let Some(Forward { node, mode }) = forward {
                    body.extend_from_slice(&node.0.to_le_bytes());
                    body.push(mode_byte(*mode));
                }
            }
            Coherence::Invalidate {
                object: _,
                end_of_life: flag,
            }
            | Coherence::Updated {
                object: _,
                leave: flag,
            } => body.push(u8::from(*flag)),
            Coherence::Recalled {
                object: _,
                data: bytes,
            }
            | Coherence::Update {
                object: _,
                diff: bytes,
            } => put(body, Some(bytes)),
            Coherence::Invalidated { object: _, diff } => {
                body.push(u8::from(diff.is_some()));
                if let Some((sequence, diff)) = diff {
                    body.extend_from_slice(&sequence.to_le_bytes());
                    put(body, Some(diff));
                }
            }
            Coherence::Flush {
                object: _,
                sequence,
                leave,
                diff,
            } => {
                assert!(*leave || diff.is_some(), "a flush brings or leaves");
                body.extend_from_slice(&sequence.to_le_bytes());
                body.extend_from_slice(&[u8::from(*leave), u8::from(diff.is_some())]);
                put(body, diff.as_ref());
            }
            Coherence::Return {
                object: _,
                sequence,
                data,
            } => {
                body.extend_from_slice(&sequence.to_le_bytes());
                put(body, Some(data));
            }
            Coherence::Flushed {
                object: _,
                sequence,
                exclusive,
            } => {
                body.extend_from_slice(&sequence.to_le_bytes());
                body.push(u8::from(*exclusive));
            }
            Coherence::Operate {
                object: _,
                token,
                operation,
            } => {
                body.extend_from_slice(&token.0.to_le_bytes());
                encode_operation(operation, body);
            }
            Coherence::Operated {
                object: _,
                token,
                result,
                mode,
            } => {
                body.extend_from_slice(&token.0.to_le_bytes());
                body.extend_from_slice(&result.to_le_bytes());
                body.push(mode_byte(*mode));
            }
            Coherence::Strengthen { object: _, token }
            | Coherence::Strengthened { object: _, token } => {
                body.extend_from_slice(&token.0.to_le_bytes());
            }
        }
    });
}

pub(super) fn decode<'a>(
    kind: Kind,
    body: &mut Reader<'a>,
) -> Result<Coherence<Tail<'a>>, DecodeError> {
    let object = ObjectId(body.u64("object")?);
    Ok(match kind {
        Kind::Get => Coherence::Get {
            object,
            access: decode_access(body)?,
            prefetch: body.flag("prefetch")?,
        },
        Kind::Grant => Coherence::Grant {
            object,
            access: decode_access(body)?,
            mode: decode_mode(body)?,
            // Without data, bytes that follow are left over and refused by the caller.
            data: match body.flag("has_data")? {
                true => Some(body.tail()),
                false => None,
            },
        },
        Kind::Deny => Coherence::Deny { object },
        Kind::Recall => Coherence::Recall {
            object,
            keep_read: body.flag("keep_read")?,
            forward: match body.flag("has_forward")? {
                true => Some(Forward {
                    node: NodeId(body.u16("node")?),
                    mode: decode_mode(body)?,
                }),
                false => None,
            },
        },
        Kind::Recalled => Coherence::Recalled {
            object,
            data: body.tail(),
        },
        Kind::Invalidate => Coherence::Invalidate {
            object,
            end_of_life: body.flag("end_of_life")?,
        },
        Kind::Invalidated => Coherence::Invalidated {
            object,
            diff: match body.flag("has_diff")? {
                true => Some((body.u64("sequence")?, body.tail())),
                false => None,
            },
        },
        Kind::Flush => decode_flush(object, body)?,
        Kind::Return => Coherence::Return {
            object,
            sequence: body.u64("sequence")?,
            data: body.tail(),
        },
        Kind::Flushed => Coherence::Flushed {
            object,
            sequence: body.u64("sequence")?,
            exclusive: body.flag("exclusive")?,
        },
        Kind::Update => Coherence::Update {
            object,
            diff: body.tail(),
        },
        Kind::Updated => Coherence::Updated {
            object,
            leave: body.flag("leave")?,
        },
        Kind::Operate => Coherence::Operate {
            object,
            token: Token(body.u64("token")?),
            operation: decode_operation(body)?,
        },
        Kind::Operated => Coherence::Operated {
            object,
            token: Token(body.u64("token")?),
            result: body.u64("result")?,
            mode: decode_mode(body)?,
        },
        Kind::Strengthen => Coherence::Strengthen {
            object,
            token: Token(body.u64("token")?),
        },
        Kind::Strengthened => Coherence::Strengthened {
            object,
            token: Token(body.u64("token")?),
        },
        other => unreachable!("{other:?} is not a coherence message"),
    })
}

fn kind_of<D>(message: &Coherence<D>) -> Kind {
    match message {
        Coherence::Get { .. } => Kind::Get,
        Coherence::Grant { .. } => Kind::Grant,
        Coherence::Deny { .. } => Kind::Deny,
        Coherence::Recall { .. } => Kind::Recall,
        Coherence::Recalled { .. } => Kind::Recalled,
        Coherence::Invalidate { .. } => Kind::Invalidate,
        Coherence::Invalidated { .. } => Kind::Invalidated,
        Coherence::Flush { .. } => Kind::Flush,
        Coherence::Return { .. } => Kind::Return,
        Coherence::Flushed { .. } => Kind::Flushed,
        Coherence::Update { .. } => Kind::Update,
        Coherence::Updated { .. } => Kind::Updated,
        Coherence::Operate { .. } => Kind::Operate,
        Coherence::Operated { .. } => Kind::Operated,
        Coherence::Strengthen { .. } => Kind::Strengthen,
        Coherence::Strengthened { .. } => Kind::Strengthened,
    }
}

fn put<D: Put>(body: &mut Vec<u8>, bytes: Option<&D>) {
    if let Some(bytes) = bytes {
        bytes.put(body);
    }
}

fn decode_flush<'a>(
    object: ObjectId,
    body: &mut Reader<'a>,
) -> Result<Coherence<Tail<'a>>, DecodeError> {
    let sequence = body.u64("sequence")?;
    let leave = body.flag("leave")?;
    let diff = match body.flag("has_diff")? {
        true => Some(body.tail()),
        false if leave => None,
        false => return Err(body.value("has_diff", 1, 0, "1 where leave is 0")),
    };
    Ok(Coherence::Flush {
        object,
        sequence,
        leave,
        diff,
    })
}

fn encode_operation(operation: &Operation, body: &mut Vec<u8>) {
    let kind = OperationKind::ALL
        .iter()
        .position(|kind| *kind == operation.kind)
        .expect("ALL lists every kind");
    body.extend_from_slice(&[kind as u8, operation.width]);
    body.extend_from_slice(&operation.offset.to_le_bytes());
    body.extend_from_slice(&operation.operand.to_le_bytes());
    body.extend_from_slice(&operation.expected.to_le_bytes());
}

fn decode_operation(body: &mut Reader<'_>) -> Result<Operation, DecodeError> {
    let kind = body.u8("kind")?;
    let Some(kind) = OperationKind::ALL.get(usize::from(kind)).copied() else {
        return Err(body.value("kind", 1, kind.into(), "0 to 9"));
    };
    let width = body.u8("width")?;
    if !matches!(width, 1 | 2 | 4 | 8) {
        return Err(body.value("width", 1, width.into(), "1, 2, 4 or 8"));
    }
    let offset = body.u16("offset")?;
    if !offset.is_multiple_of(width.into()) || usize::from(offset) >= PAGE_BYTES {
        let allowed = "a multiple of width below 4096";
        return Err(body.value("offset", 2, offset.into(), allowed));
    }
    Ok(Operation {
        offset,
        width,
        kind,
        operand: body.u64("operand")?,
        expected: body.u64("expected")?,
    })
}

fn access_byte(access: Access) -> u8 {
    match access {
        Access::Read => ACCESS_READ,
        Access::Write => ACCESS_WRITE,
    }
}

fn decode_access(body: &mut Reader<'_>) -> Result<Access, DecodeError> {
    match body.u8("access")? {
        ACCESS_READ => Ok(Access::Read),
        ACCESS_WRITE => Ok(Access::Write),
        other => Err(body.value("access", 1, other.into(), "0 (read) or 1 (write)")),
    }
}

fn mode_byte(mode: Mode) -> u8 {
    let protocol = match mode.protocol {
        Protocol::Invalidate => 0,
        Protocol::Migratory => 1,
        Protocol::ReadOnly => 2,
        Protocol::Update => 3,
        Protocol::Remote => 4,
    };
    match mode.consistency {
        Consistency::Weak => protocol,
        Consistency::Sequential => protocol | MODE_SEQUENTIAL,
    }
}

fn decode_mode(body: &mut Reader<'_>) -> Result<Mode, DecodeError> {
    let byte = body.u8("mode")?;
    let consistency = match byte & MODE_SEQUENTIAL {
        0 => Consistency::Weak,
        _ => Consistency::Sequential,
    };
    let protocol = match byte & !MODE_SEQUENTIAL {
        0 => Protocol::Invalidate,
        1 => Protocol::Migratory,
        2 => Protocol::ReadOnly,
        3 => Protocol::Update,
        4 => Protocol::Remote,
        _ => return Err(body.value("mode", 1, byte.into(), "0 to 4, or 16 to 20")),
    };
    Ok(Mode {
        consistency,
        protocol,
    })
}
