//! The way of most plans: a few numbers from registers and the stack, no pointer followed. Into memory on the stack, so that no handler is in
//! the way.

use core::sync::atomic::{AtomicU64, Ordering};

use super::encode::{Op, Opcode, PlanHead};
use super::interpret::{Probe, Registers};

/// Words of a payload that this way is for.
pub const SCALAR_WORDS: usize = 16;

/// Carries the plan at `plan` out, if it is such a plan: words of the payload.
#[inline]
pub fn scalars<P: Probe>(
    code: &[AtomicU64],
    plan: u32,
    registers: &Registers,
    probe: &P,
    time: u64,
    payload: &mut [u64; SCALAR_WORDS],
) -> Option<usize> {
    let mut words = code.get(plan as usize..)?.iter();
    let mut next = || Some(words.next()?.load(Ordering::Relaxed));
    let head = PlanHead::parse(next()?);
    let limit = usize::from(head.payload_words) + 1;
    payload[0] = time;
    payload[1] = u64::from(head.number) | (registers.unknown & 0xffff) << 32;
    let mut used = 2;
    loop {
        let word = next()?;
        let op = Op::parse(word)?;
        let number = match op.opcode {
            Opcode::Register => registers.get(op.register).unwrap_or(0),
            Opcode::Stack if op.bytes <= 8 => {
                let from = registers
                    .get(op.register)?
                    .wrapping_add_signed(i64::from(op.offset));
                probe.number(from, usize::from(op.bytes)).ok()?
            }
            // No regions.
            Opcode::End => 0,
            _ => return None,
        };
        *payload.get_mut(used).filter(|_| used < limit)? = number;
        used += 1;
        if op.opcode == Opcode::End {
            return Some(used);
        }
    }
}
