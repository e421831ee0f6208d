//! Plans are put together, as words.

use umbel_trace_ring::plan::{Op, Opcode, PlanHead, UNKNOWN};

use super::Wishes;
use super::registers::is_kept;
use super::relocate::relocate;
use super::shape::Shapes;
use crate::unwind::{FrameAddress, KEPT, Recipe, Rule};

/// Regions of a frame at most.
const REGIONS_MAX: u8 = 192;

/// How often pointers are followed at most: shapes end by themselves.
const DEPTH_MAX: u8 = 64;

/// Gives a plan its number, and a place in its region: `words` as they are written there.
pub fn place_words(words: &[u64], number: u32, offset: u32) -> Vec<u64> {
    let mut placed = words.to_vec();
    if let Some(head) = placed.first_mut() {
        let mut parsed = PlanHead::parse(*head);
        parsed.number = number;
        *head = parsed.pack();
    }
    relocate(&mut placed, &|shape| shape.wrapping_add(offset));
    placed
}

/// How to get to the caller's frame; `None`: no plan can. `entries_alone`: of that, only what it put into registers is needed.
pub(super) fn caller_words(recipe: &Recipe, entries_alone: bool) -> Option<[u64; 3]> {
    let FrameAddress::Register(base, offset) = recipe.frame_address else {
        return None;
    };
    if !is_kept(base) || recipe.rules[16] != Rule::Saved(-8) {
        return None;
    }
    let op = Op {
        opcode: Opcode::Caller,
        register: u8::try_from(base).ok()?,
        bytes: u16::from(entries_alone),
        offset: i32::try_from(offset).ok()?,
    };
    let mut words = [op.pack(), 0, 0];
    for (index, number) in KEPT.into_iter().enumerate() {
        let saved = match recipe.rules.get(usize::from(number))? {
            Rule::Same => 0,
            Rule::Saved(offset) if offset % 8 == 0 && *offset != 0 => {
                i16::try_from(offset / 8).unwrap_or(UNKNOWN)
            }
            _ => UNKNOWN,
        };
        words[1 + index / 4] |= u64::from(saved.cast_unsigned()) << (16 * (index % 4));
    }
    Some(words)
}

pub(super) fn assemble(
    mut ops: Vec<u64>,
    shapes: Shapes,
    caller: Option<[u64; 3]>,
    wishes: &Wishes,
) -> Option<Vec<u64>> {
    match caller {
        Some(words) => ops.extend(words),
        None => ops.push(Op::plain(Opcode::End).pack()),
    }
    // Hooks are twice as fast where nothing is followed.
    let follows = !shapes.is_empty() || appended_words(&ops).is_none();
    let head = PlanHead {
        payload_words: match appended_words(&ops) {
            // With the plan's number, and the number of its regions.
            Some(words) if !follows => words + 2,
            _ => wishes.payload_bytes / 8,
        },
        depth: if follows { DEPTH_MAX } else { 0 },
        regions: if follows { REGIONS_MAX } else { 0 },
        number: 0,
    };
    let mut words = vec![head.pack()];
    words.append(&mut ops);
    shapes.append_to(&mut words)?;
    Some(words)
}

/// Words that ops append; `None`: that depends, for memory is read.
fn appended_words(ops: &[u64]) -> Option<u16> {
    let mut at = 0;
    let mut words = 0_u16;
    while let Some(op) = ops.get(at).copied().and_then(Op::parse) {
        words = words.checked_add(match op.opcode {
            Opcode::Register => 1,
            Opcode::Vector => 2,
            Opcode::Stack => op.bytes.div_ceil(8),
            Opcode::SetCfa => 0,
            Opcode::End | Opcode::Caller => break,
            _ => return None,
        })?;
        at += op.words();
    }
    Some(words)
}
