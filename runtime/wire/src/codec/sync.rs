//! Bodies of the synchronization messages.
//!
//! Request, Tell:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | token | finds the waiting thread at its node |
//! | 8 | 8 | thread | who asks |
//! | 16 | 8 | key | which synchronization object |
//! | 24 | 1 | op | what to do: the table below |
//! | 25 | 8 | operand | of the operation; 0 where it has none |
//!
//! | op | operation | operand |
//! |---|---|---|
//! | 0 | MutexInit | |
//! | 1 | MutexLock | |
//! | 2 | MutexTryLock | |
//! | 3 | MutexUnlock | |
//! | 4 | MutexDestroy | |
//! | 16 | SemInit | value, below 2^32 |
//! | 17 | SemWait | |
//! | 18 | SemTryWait | |
//! | 19 | SemPost | |
//! | 20 | SemGetValue | |
//! | 21 | SemDestroy | |
//! | 32 | BarrierInit | threads, below 2^32 |
//! | 33 | BarrierWait | |
//! | 34 | BarrierDestroy | |
//! | 48 | CondInit | |
//! | 49 | CondWait | key of the mutex |
//! | 50 | CondEnqueue | |
//! | 51 | CondBlock | |
//! | 52 | CondSignal | |
//! | 53 | CondBroadcast | |
//! | 54 | CondDestroy | |
//!
//! Fence:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | token | names the request |
//!
//! Reply:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | token | as in the request |
//! | 8 | 4 | result | 0 or more: done; negative: -errno |
//!
//! Plan:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | key | which barrier |
//! | 8 | 8 | plan | names the tree |
//! | 16 | 2 | parent | rank of the node above |
//! | 18 | 8 | branches | ranks of the nodes below; 0xffff where there is none |
//! | 26 | 4 | threads | of the node |
//! | 30 | 1 | serial | 1 if the serial thread is one of them, else 0 |
//!
//! Arrived:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | key | which barrier |
//! | 8 | 2 | home | its home's rank |
//! | 10 | 8 | plan | names the tree |
//!
//! Released, Withdraw, Withdrawn:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | key | which barrier |
//! | 8 | 8 | plan | names the tree |
//!
//! Dissolved:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | key | which barrier |
//! | 8 | 8 | plan | names the tree |
//! | 16 | 8 | rounds | how often all have met along it |

use alloc::vec::Vec;

use super::{DecodeError, Kind, Reader, write_message};
use crate::limits::{BARRIER_BRANCHES_MAX, NODES_MAX};
use crate::sync::{Branches, Sync, SyncKey, SyncOp};
use crate::{NodeId, ThreadId, Token};

pub(super) const REQUEST_BYTES: usize = 33;
pub(super) const FENCE_BYTES: usize = 8;
pub(super) const REPLY_BYTES: usize = 12;
pub(super) const PLAN_BYTES: usize = 23 + 2 * BARRIER_BRANCHES_MAX;
pub(super) const ARRIVED_BYTES: usize = 18;
/// Of Released, Withdraw and Withdrawn.
pub(super) const ROUND_BYTES: usize = 16;
pub(super) const DISSOLVED_BYTES: usize = 24;

/// Where a branch's rank would stand.
const NO_BRANCH: u16 = u16::MAX;

const _: () = assert!(NODES_MAX <= NO_BRANCH as usize);

pub(super) fn encode(message: &Sync, out: &mut Vec<u8>) {
    match message {
        Sync::Request {
            token,
            thread,
            key,
            op,
        } => encode_request(Kind::Request, (*token, *thread, *key, *op), out),
        Sync::Tell {
            token,
            thread,
            key,
            op,
        } => encode_request(Kind::Tell, (*token, *thread, *key, *op), out),
        Sync::Fence { token } => write_message(Kind::Fence, out, |body| {
            body.extend_from_slice(&token.0.to_le_bytes());
        }),
        Sync::Reply { token, result } => write_message(Kind::Reply, out, |body| {
            body.extend_from_slice(&token.0.to_le_bytes());
            body.extend_from_slice(&result.to_le_bytes());
        }),
        Sync::Plan {
            key,
            plan,
            parent,
            branches,
            threads,
            is_serial,
        } => write_message(Kind::Plan, out, |body| {
            body.extend_from_slice(&key.0.to_le_bytes());
            body.extend_from_slice(&plan.to_le_bytes());
            body.extend_from_slice(&parent.0.to_le_bytes());
            for branch in branches {
                let rank = branch.map_or(NO_BRANCH, |node| node.0);
                body.extend_from_slice(&rank.to_le_bytes());
            }
            body.extend_from_slice(&threads.to_le_bytes());
            body.push(u8::from(*is_serial));
        }),
        Sync::Arrived { key, home, plan } => write_message(Kind::Arrived, out, |body| {
            body.extend_from_slice(&key.0.to_le_bytes());
            body.extend_from_slice(&home.0.to_le_bytes());
            body.extend_from_slice(&plan.to_le_bytes());
        }),
        Sync::Released { key, plan } => encode_round(Kind::Released, (*key, *plan), out),
        Sync::Withdraw { key, plan } => encode_round(Kind::Withdraw, (*key, *plan), out),
        Sync::Withdrawn { key, plan } => encode_round(Kind::Withdrawn, (*key, *plan), out),
        Sync::Dissolved { key, plan, rounds } => write_message(Kind::Dissolved, out, |body| {
            body.extend_from_slice(&key.0.to_le_bytes());
            body.extend_from_slice(&plan.to_le_bytes());
            body.extend_from_slice(&rounds.to_le_bytes());
        }),
    }
}

fn encode_round(kind: Kind, (key, plan): (SyncKey, u64), out: &mut Vec<u8>) {
    write_message(kind, out, |body| {
        body.extend_from_slice(&key.0.to_le_bytes());
        body.extend_from_slice(&plan.to_le_bytes());
    });
}

fn encode_request(
    kind: Kind,
    (token, thread, key, op): (Token, ThreadId, SyncKey, SyncOp),
    out: &mut Vec<u8>,
) {
    write_message(kind, out, |body| {
        body.extend_from_slice(&token.0.to_le_bytes());
        body.extend_from_slice(&thread.0.to_le_bytes());
        body.extend_from_slice(&key.0.to_le_bytes());
        let (op, operand) = op_parts(op);
        body.push(op);
        body.extend_from_slice(&operand.to_le_bytes());
    });
}

pub(super) fn decode(kind: Kind, body: &mut Reader<'_>) -> Result<Sync, DecodeError> {
    Ok(match kind {
        Kind::Request => Sync::Request {
            token: Token(body.u64("token")?),
            thread: ThreadId(body.u64("thread")?),
            key: SyncKey(body.u64("key")?),
            op: decode_op(body)?,
        },
        Kind::Tell => Sync::Tell {
            token: Token(body.u64("token")?),
            thread: ThreadId(body.u64("thread")?),
            key: SyncKey(body.u64("key")?),
            op: decode_op(body)?,
        },
        Kind::Fence => Sync::Fence {
            token: Token(body.u64("token")?),
        },
        Kind::Reply => Sync::Reply {
            token: Token(body.u64("token")?),
            result: body.i32("result")?,
        },
        Kind::Plan => Sync::Plan {
            key: SyncKey(body.u64("key")?),
            plan: body.u64("plan")?,
            parent: NodeId(body.u16("parent")?),
            branches: decode_branches(body)?,
            threads: body.u32("threads")?,
            is_serial: match body.u8("serial")? {
                0 => false,
                1 => true,
                found => return Err(body.value("serial", 1, found.into(), "0 or 1")),
            },
        },
        Kind::Arrived => Sync::Arrived {
            key: SyncKey(body.u64("key")?),
            home: NodeId(body.u16("home")?),
            plan: body.u64("plan")?,
        },
        Kind::Released => Sync::Released {
            key: SyncKey(body.u64("key")?),
            plan: body.u64("plan")?,
        },
        Kind::Withdraw => Sync::Withdraw {
            key: SyncKey(body.u64("key")?),
            plan: body.u64("plan")?,
        },
        Kind::Withdrawn => Sync::Withdrawn {
            key: SyncKey(body.u64("key")?),
            plan: body.u64("plan")?,
        },
        Kind::Dissolved => Sync::Dissolved {
            key: SyncKey(body.u64("key")?),
            plan: body.u64("plan")?,
            rounds: body.u64("rounds")?,
        },
        other => unreachable!("{other:?} is not a synchronization message"),
    })
}

fn decode_branches(body: &mut Reader<'_>) -> Result<Branches, DecodeError> {
    let mut branches = Branches::default();
    for branch in &mut branches {
        let rank = body.u16("branches")?;
        *branch = (rank != NO_BRANCH).then_some(NodeId(rank));
    }
    Ok(branches)
}

fn op_parts(op: SyncOp) -> (u8, u64) {
    match op {
        SyncOp::MutexInit => (0, 0),
        SyncOp::MutexLock => (1, 0),
        SyncOp::MutexTryLock => (2, 0),
        SyncOp::MutexUnlock => (3, 0),
        SyncOp::MutexDestroy => (4, 0),
        SyncOp::SemInit(value) => (16, value.into()),
        SyncOp::SemWait => (17, 0),
        SyncOp::SemTryWait => (18, 0),
        SyncOp::SemPost => (19, 0),
        SyncOp::SemGetValue => (20, 0),
        SyncOp::SemDestroy => (21, 0),
        SyncOp::BarrierInit(count) => (32, count.into()),
        SyncOp::BarrierWait => (33, 0),
        SyncOp::BarrierDestroy => (34, 0),
        SyncOp::CondInit => (48, 0),
        SyncOp::CondWait { mutex } => (49, mutex.0),
        SyncOp::CondEnqueue => (50, 0),
        SyncOp::CondBlock => (51, 0),
        SyncOp::CondSignal => (52, 0),
        SyncOp::CondBroadcast => (53, 0),
        SyncOp::CondDestroy => (54, 0),
    }
}

fn decode_op(body: &mut Reader<'_>) -> Result<SyncOp, DecodeError> {
    let op = body.u8("op")?;
    let unknown = body.value("op", 1, op.into(), "an operation of the table");
    let operand = body.u64("operand")?;
    let count =
        || u32::try_from(operand).map_err(|_| body.value("operand", 8, operand, "below 2^32"));
    let plain = |op| match operand {
        0 => Ok(op),
        _ => Err(body.value("operand", 8, operand, "0 for this operation")),
    };
    match op {
        0 => plain(SyncOp::MutexInit),
        1 => plain(SyncOp::MutexLock),
        2 => plain(SyncOp::MutexTryLock),
        3 => plain(SyncOp::MutexUnlock),
        4 => plain(SyncOp::MutexDestroy),
        16 => Ok(SyncOp::SemInit(count()?)),
        17 => plain(SyncOp::SemWait),
        18 => plain(SyncOp::SemTryWait),
        19 => plain(SyncOp::SemPost),
        20 => plain(SyncOp::SemGetValue),
        21 => plain(SyncOp::SemDestroy),
        32 => Ok(SyncOp::BarrierInit(count()?)),
        33 => plain(SyncOp::BarrierWait),
        34 => plain(SyncOp::BarrierDestroy),
        48 => plain(SyncOp::CondInit),
        49 => Ok(SyncOp::CondWait {
            mutex: SyncKey(operand),
        }),
        50 => plain(SyncOp::CondEnqueue),
        51 => plain(SyncOp::CondBlock),
        52 => plain(SyncOp::CondSignal),
        53 => plain(SyncOp::CondBroadcast),
        54 => plain(SyncOp::CondDestroy),
        _ => Err(unknown),
    }
}
