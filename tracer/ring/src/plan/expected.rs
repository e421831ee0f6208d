//! What will be read next, for probes that read several pieces at once: a frame's pieces of the stack, what the pointers of one depth lead to.

use core::sync::atomic::Ordering;

use umbel_probe::kernel::{PIECES_MAX, Piece};

use super::UNKNOWN;
use super::encode::{Instruction, Op, Opcode};
use super::follow::MAPPED_BYTES;
use super::frame::Frame;
use super::interpret::{CFA_PLACE, KEPT, Probe};

/// Instructions of shapes that are looked at for one call of the kernel: a plan that makes no sense may have any number.
const STEPS_MAX: usize = 1024;

/// Pieces that were found so far.
pub(super) struct Expected {
    pieces: [Piece; PIECES_MAX],
    count: usize,
}

impl Expected {
    pub fn new() -> Self {
        Self {
            pieces: [Piece::default(); PIECES_MAX],
            count: 0,
        }
    }

    pub fn is_full(&self) -> bool {
        self.count == PIECES_MAX
    }

    pub fn add(&mut self, address: u64, bytes: usize) {
        if let Some(place) = self.pieces.get_mut(self.count) {
            *place = Piece {
                address: address as usize,
                bytes,
            };
            self.count += 1;
        }
    }

    pub fn pieces(&self) -> &[Piece] {
        self.pieces.get(..self.count).unwrap_or_default()
    }
}

/// Tells `probe` that `cfa` is a frame's canonical address, from which its caller's registers are found by `rules`.
#[cold]
#[inline(never)]
pub(super) fn expect_caller(probe: &impl Probe, cfa: u64, rules: [u64; 2]) {
    let mut expected = Expected::new();
    expected.add(cfa.wrapping_sub(8), 8);
    let rules = rules
        .into_iter()
        .flat_map(|four| [0, 16, 32, 48].map(|bit| four >> bit));
    for rule in rules.take(KEPT.len()).map(|rule| rule as i16) {
        if rule != 0 && rule != UNKNOWN {
            expected.add(cfa.wrapping_add_signed(8 * i64::from(rule)), 8);
        }
    }
    probe.expect(expected.pieces());
}

impl<P: Probe> Frame<'_, P> {
    /// Tells the probe which pieces of the stack the ops from word `at` on will read.
    #[cold]
    #[inline(never)]
    pub(super) fn expect_stack(&self, mut at: usize) {
        let mut registers = *self.registers;
        let mut expected = Expected::new();
        while let Some(op) = self.word(at).and_then(Op::parse) {
            let base = registers.get(op.register);
            let place = base.map(|base| base.wrapping_add_signed(i64::from(op.offset)));
            match (op.opcode, place) {
                (Opcode::SetCfa, Some(place)) => registers.values[CFA_PLACE] = place,
                (Opcode::Stack, Some(place)) => expected.add(place, usize::from(op.bytes)),
                (Opcode::End | Opcode::Caller, _) => break,
                _ => {}
            }
            at += op.words();
        }
        self.tell(&expected);
    }

    /// Tells the probe what the pointers of all sources lead to that are there now, from number `next` on; the first source of which it
    /// wasn't told.
    #[cold]
    #[inline(never)]
    pub(super) fn expect_from(&self, next: usize) -> usize {
        let mut expected = Expected::new();
        let mut number = next;
        let mut steps = 0;
        while let Some(source) = self.scratch.sources.get(number) {
            number += 1;
            let stride = match source.stride {
                0 => source.bytes.max(1),
                stride => stride,
            };
            let code = self.code.get(source.shape as usize..);
            let Some([count, rest @ ..]) = code else {
                continue;
            };
            let count = count.load(Ordering::Relaxed) as usize;
            for element in 0..source.bytes / stride {
                let at = source.at + element * stride;
                for words in rest.chunks_exact(Instruction::WORDS).take(count) {
                    let [first, second, third] = words else {
                        break;
                    };
                    let words = [first, second, third].map(|word| word.load(Ordering::Relaxed));
                    steps += 1;
                    if steps > STEPS_MAX {
                        self.tell(&expected);
                        return number;
                    }
                    let target = Instruction::parse(words)
                        .and_then(|instruction| self.target(&source, &instruction, at, stride));
                    let Some(target) = target.filter(|target| target.bytes > 0) else {
                        continue;
                    };
                    if self.is_captured(&target) {
                        continue;
                    }
                    // Of a text as much as is tried first: to the end of its page.
                    let rest = MAPPED_BYTES - target.address % MAPPED_BYTES;
                    let bytes = match target.is_text {
                        true => target.bytes.min(rest),
                        false => target.bytes,
                    };
                    expected.add(target.address, bytes as usize);
                    if expected.is_full() {
                        self.tell(&expected);
                        return number;
                    }
                }
            }
        }
        self.tell(&expected);
        number
    }

    fn tell(&self, expected: &Expected) {
        if expected.count > 0 {
            self.probe.expect(expected.pieces());
        }
    }
}
