//! Bodies of the messages that open and close a link.
//!
//! Hello:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 2 | rank | the sender's rank, below node_count |
//! | 2 | 2 | node_count | nodes in the job, at most [`NODES_MAX`] |
//! | 4 | 16 | job | the job's secret |
//! | 20 | 20 | program | digest of the program |
//!
//! Bye has no body.

use alloc::vec::Vec;

use super::{DecodeError, Kind, Reader, write_message};
use crate::Hello;
use crate::limits::NODES_MAX;

pub(super) const HELLO_BYTES: usize = 40;

pub(super) fn encode_hello(hello: &Hello, out: &mut Vec<u8>) {
    let Hello {
        rank,
        node_count,
        job,
        program,
    } = hello;
    write_message(Kind::Hello, out, |body| {
        body.extend_from_slice(&rank.to_le_bytes());
        body.extend_from_slice(&node_count.to_le_bytes());
        body.extend_from_slice(job);
        body.extend_from_slice(program);
    });
}

pub(super) fn decode_hello(body: &mut Reader<'_>) -> Result<Hello, DecodeError> {
    let rank = body.u16("rank")?;
    let node_count = body.u16("node_count")?;
    if usize::from(node_count) > NODES_MAX {
        return Err(body.value("node_count", 2, node_count.into(), "at most 4096"));
    }
    if rank >= node_count {
        return Err(body.value("node_count", 2, node_count.into(), "above rank"));
    }
    Ok(Hello {
        rank,
        node_count,
        job: body.array("job")?,
        program: body.array("program")?,
    })
}

const _: () = assert!(NODES_MAX == 4096, "the error text above says so");
