//! Where shapes lie, in the words of a plan.

use umbel_trace_ring::plan::{Instruction, Op, Opcode};

/// Maps the numbers or places of shapes in a plan's ops and in the shapes behind them.
pub fn relocate(words: &mut [u64], map: &dyn Fn(u32) -> u32) {
    let change = |word: &mut u64| {
        let shape = (*word >> 32) as u32;
        if shape != 0 {
            *word = *word & 0xffff_ffff | u64::from(map(shape)) << 32;
        }
    };
    let mut at = 1;
    while let Some(op) = words.get(at).copied().and_then(Op::parse) {
        match op.opcode {
            Opcode::Shape => {
                if let Some(word) = words.get_mut(at + 1) {
                    *word = map(*word as u32).into();
                }
            }
            Opcode::Region => {
                if let Some(word) = words.get_mut(at + 1) {
                    change(word);
                }
            }
            _ => {}
        }
        at += op.words();
        if matches!(op.opcode, Opcode::End | Opcode::Caller) {
            break;
        }
    }
    while let Some(count) = words.get(at).copied() {
        for _ in 0..count {
            if let Some(word) = words.get_mut(at + 2) {
                change(word);
            }
            at += Instruction::WORDS;
        }
        at += 1;
    }
}
