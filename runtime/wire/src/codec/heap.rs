//! Bodies of the messages about heap objects.
//!
//! Free:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | address | the object's |
//! | 8 | 8 | site | where the program freed it |
//!
//! Find:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | token | finds the waiting thread at its node |
//! | 8 | 8 | address | the object's |
//! | 16 | 8 | site | where the program asks |
//!
//! Found:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | token | as in Find |
//! | 8 | 8 | size_bytes | the object's size |
//! | 16 | the rest | policy | UTF-8, at most [`POLICY_BYTES_MAX`] |

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::{BoundError, DecodeError, Kind, Reader, write_message};
use crate::Token;
use crate::heap::Heap;
use crate::limits::POLICY_BYTES_MAX;

pub(super) fn encode(message: &Heap, out: &mut Vec<u8>) {
    let words = |kind, words: &[u64], text: &str, out: &mut Vec<u8>| {
        write_message(kind, out, |body| {
            for word in words {
                body.extend_from_slice(&word.to_le_bytes());
            }
            body.extend_from_slice(text.as_bytes());
        });
    };
    match message {
        Heap::Free { address, site } => words(Kind::Free, &[*address, *site], "", out),
        Heap::Find {
            token,
            address,
            site,
        } => words(Kind::Find, &[token.0, *address, *site], "", out),
        Heap::Found {
            token,
            size_bytes,
            policy,
        } => words(Kind::Found, &[token.0, *size_bytes], policy, out),
    }
}

pub(super) fn decode(kind: Kind, body: &mut Reader<'_>) -> Result<Heap, DecodeError> {
    Ok(match kind {
        Kind::Free => Heap::Free {
            address: body.u64("address")?,
            site: body.u64("site")?,
        },
        Kind::Find => Heap::Find {
            token: Token(body.u64("token")?),
            address: body.u64("address")?,
            site: body.u64("site")?,
        },
        Kind::Found => Heap::Found {
            token: Token(body.u64("token")?),
            size_bytes: body.u64("size_bytes")?,
            policy: {
                let bytes = body.remainder();
                body.text("policy", bytes)?.into()
            },
        },
        other => unreachable!("{other:?} is not a message about heap objects"),
    })
}

pub(super) fn check(message: &Heap) -> Result<(), BoundError> {
    match message {
        Heap::Found { policy, .. } if policy.len() > POLICY_BYTES_MAX => Err(BoundError {
            what: "text of a policy",
            found: policy.len(),
            max: POLICY_BYTES_MAX,
            unit: "bytes",
        }),
        Heap::Free { .. } | Heap::Find { .. } | Heap::Found { .. } => Ok(()),
    }
}

pub(super) fn body_bytes(kind: Kind) -> RangeInclusive<usize> {
    match kind {
        Kind::Free => 16..=16,
        Kind::Find => 24..=24,
        Kind::Found => 16..=16 + POLICY_BYTES_MAX,
        other => unreachable!("{other:?} is not a message about heap objects"),
    }
}
