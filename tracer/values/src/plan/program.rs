//! Computations of the hook: steps as its ops.

use umbel_trace_ring::plan::{self, Arithmetic, Opcode};

use super::capture::Capture;
use super::registers::{is_at_hook, is_kept, is_vector};
use crate::{Binary, Op as Step, Unary};

/// Numbers on the hook's evaluation stack.
const NUMBERS_MAX: usize = 8;

/// An op of one word, packed; registers by DWARF's numbers.
pub(super) fn op(opcode: Opcode, register: u16, bytes: u16, offset: i32) -> u64 {
    plan::op(opcode, register as u8, bytes, offset)
}

/// Steps, as the hook's ops: not all can be.
pub(super) struct Program<'a, 'b> {
    capture: &'a Capture<'b>,
    words: Vec<u64>,
    depth: usize,
}

impl<'a, 'b> Program<'a, 'b> {
    pub fn new(capture: &'a Capture<'b>) -> Self {
        Self {
            capture,
            words: Vec::new(),
            depth: 0,
        }
    }

    /// Numbers that it leaves.
    pub fn depth(&self) -> usize {
        self.depth
    }

    pub fn into_words(self) -> Vec<u64> {
        self.words
    }

    pub fn run(&mut self, steps: &[Step]) -> Option<()> {
        for step in steps {
            self.step(step)?;
            if self.depth >= NUMBERS_MAX {
                return None;
            }
        }
        Some(())
    }

    fn step(&mut self, step: &Step) -> Option<()> {
        match *step {
            Step::Constant(number) => self.constant(number),
            Step::Static(address) => self.constant(address.wrapping_add(self.capture.bias)),
            Step::Register(number, offset) => self.register(number, offset)?,
            Step::FrameAddress(offset) => {
                let (number, base) = self.capture.frame_address?;
                self.register(number, base.checked_add(offset)?)?;
            }
            Step::Load(bytes) => self.load(bytes, 0)?,
            Step::LoadSigned(bytes) => self.load(bytes, 1)?,
            Step::Plus(number) => self.with_constant(number, Arithmetic::Plus),
            Step::Binary(binary) => {
                self.depth = self.depth.checked_sub(1)?;
                self.words.push(combine(match binary {
                    Binary::Plus => Arithmetic::Plus,
                    Binary::Minus => Arithmetic::Minus,
                    Binary::Mul => Arithmetic::Mul,
                    Binary::And => Arithmetic::And,
                    Binary::Or => Arithmetic::Or,
                    Binary::Xor => Arithmetic::Xor,
                    Binary::Shl => Arithmetic::Shl,
                    Binary::Shr => Arithmetic::Shr,
                    Binary::Shra => Arithmetic::Shra,
                    _ => return None,
                }));
            }
            Step::Unary(Unary::Neg) => self.with_constant(u64::MAX, Arithmetic::Mul),
            Step::Unary(Unary::Not) => self.with_constant(u64::MAX, Arithmetic::Xor),
            Step::Truncate(bytes @ 1..8, is_signed) => {
                let bits = 64 - 8 * u64::from(bytes);
                self.with_constant(bits, Arithmetic::Shl);
                self.with_constant(
                    bits,
                    match is_signed {
                        true => Arithmetic::Shra,
                        false => Arithmetic::Shr,
                    },
                );
            }
            Step::Truncate(8, _) => {}
            _ => return None,
        }
        Some(())
    }

    fn constant(&mut self, number: u64) {
        self.words.push(op(Opcode::Constant, 0, 0, 0));
        self.words.push(number);
        self.depth += 1;
    }

    fn with_constant(&mut self, number: u64, arithmetic: Arithmetic) {
        self.words.push(op(Opcode::Constant, 0, 0, 0));
        self.words.push(number);
        self.words.push(combine(arithmetic));
    }

    fn register(&mut self, number: u16, offset: i64) -> Option<()> {
        if is_vector(number) || !(is_kept(number) || is_at_hook(number)) {
            return None;
        }
        let offset = i32::try_from(offset).ok()?;
        self.words.push(op(Opcode::Push, number, 0, offset));
        self.depth += 1;
        Some(())
    }

    fn load(&mut self, bytes: u8, is_signed: i32) -> Option<()> {
        (1..=8).contains(&bytes).then_some(())?;
        self.words
            .push(op(Opcode::Load, 0, bytes.into(), is_signed));
        Some(())
    }
}

/// The op that combines the two numbers at the top.
pub(super) fn combine(arithmetic: Arithmetic) -> u64 {
    op(Opcode::Combine, 0, 0, arithmetic as i32)
}
