//! Bodies of the coherence messages.
//!
//! Get:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | object | the object |
//! | 8 | 1 | access | 0 read, 1 write |
//!
//! Grant:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | object | the object |
//! | 8 | 1 | access | 0 read, 1 write |
//! | 9 | 1 | has_data | 1 if data follows, else 0: the receiver's copy is current |
//! | 10 | rest | data | the newest bytes, at most [`DATA_BYTES_MAX`] |
//!
//! Recall:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | object | the object |
//! | 8 | 1 | keep_read | 1 if the owner becomes a reader, 0 if it loses its copy |
//!
//! Recalled:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | object | the object |
//! | 8 | rest | data | the newest bytes, at most [`DATA_BYTES_MAX`] |
//!
//! Invalidate and Invalidated:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | object | the object |

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::{BoundError, DecodeError, Kind, Reader, write_message};
use crate::limits::DATA_BYTES_MAX;
use crate::{Access, Coherence, ObjectId};

const ACCESS_READ: u8 = 0;
const ACCESS_WRITE: u8 = 1;

pub(super) fn body_bytes(kind: Kind) -> RangeInclusive<usize> {
    match kind {
        Kind::Get | Kind::Recall => 9..=9,
        Kind::Grant => 10..=10 + DATA_BYTES_MAX,
        Kind::Recalled => 8..=8 + DATA_BYTES_MAX,
        Kind::Invalidate | Kind::Invalidated => 8..=8,
        other => unreachable!("{other:?} is not a coherence message"),
    }
}

pub(super) fn check<D: AsRef<[u8]>>(message: &Coherence<D>) -> Result<(), BoundError> {
    let data = match message {
        Coherence::Grant { data, .. } => data.as_ref(),
        Coherence::Recalled { data, .. } => Some(data),
        Coherence::Get { .. }
        | Coherence::Recall { .. }
        | Coherence::Invalidate { .. }
        | Coherence::Invalidated { .. } => None,
    };
    match data.map(|data| data.as_ref().len()) {
        Some(found) if found > DATA_BYTES_MAX => Err(BoundError {
            what: "data of an object",
            found,
            max: DATA_BYTES_MAX,
            unit: "bytes",
        }),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn encode<D: AsRef<[u8]>>(message: &Coherence<D>, out: &mut Vec<u8>) {
    let object = message.object().0.to_le_bytes();
    match message {
        Coherence::Get { object: _, access } => write_message(Kind::Get, out, |body| {
            body.extend_from_slice(&object);
            body.push(access_byte(*access));
        }),
        Coherence::Grant {
            object: _,
            access,
            data,
        } => write_message(Kind::Grant, out, |body| {
            body.extend_from_slice(&object);
            body.push(access_byte(*access));
            body.push(u8::from(data.is_some()));
            if let Some(data) = data {
                body.extend_from_slice(data.as_ref());
            }
        }),
        Coherence::Recall {
            object: _,
            keep_read,
        } => write_message(Kind::Recall, out, |body| {
            body.extend_from_slice(&object);
            body.push(u8::from(*keep_read));
        }),
        Coherence::Recalled { object: _, data } => write_message(Kind::Recalled, out, |body| {
            body.extend_from_slice(&object);
            body.extend_from_slice(data.as_ref());
        }),
        Coherence::Invalidate { object: _ } => write_message(Kind::Invalidate, out, |body| {
            body.extend_from_slice(&object);
        }),
        Coherence::Invalidated { object: _ } => write_message(Kind::Invalidated, out, |body| {
            body.extend_from_slice(&object);
        }),
    }
}

pub(super) fn decode(kind: Kind, body: &mut Reader<'_>) -> Result<Coherence<Vec<u8>>, DecodeError> {
    let object = ObjectId(body.u64("object")?);
    Ok(match kind {
        Kind::Get => Coherence::Get {
            object,
            access: decode_access(body)?,
        },
        Kind::Grant => Coherence::Grant {
            object,
            access: decode_access(body)?,
            // Without data, bytes that follow are left over and refused by the caller.
            data: match body.flag("has_data")? {
                true => Some(body.remainder().to_vec()),
                false => None,
            },
        },
        Kind::Recall => Coherence::Recall {
            object,
            keep_read: body.flag("keep_read")?,
        },
        Kind::Recalled => Coherence::Recalled {
            object,
            data: body.remainder().to_vec(),
        },
        Kind::Invalidate => Coherence::Invalidate { object },
        Kind::Invalidated => Coherence::Invalidated { object },
        other => unreachable!("{other:?} is not a coherence message"),
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
