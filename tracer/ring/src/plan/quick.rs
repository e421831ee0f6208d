//! The way of most plans: a few numbers from registers and the stack, no pointer followed. The recorder makes a **quick form** of such a plan,
//! which says where in [`Registers`] each number is, so that the hook has nothing to look up; into memory on the stack, so that no handler
//! is in the way.
//!
//! | word | bits | |
//! |---|---|---|
//! | 0 | | the word that goes before the numbers: [`word::numbers`] |
//! | then, for each number | 0..8 | 0: the form ends; 1 to 8: so many bytes of the stack; [`REGISTER`]; [`VECTOR`], which is two numbers |
//! | | 8..16 | place in [`Registers::values`] of the register, or of the one that the offset is from; which vector |
//! | | 32..64 | offset, signed |

use core::sync::atomic::{AtomicU64, Ordering};

use super::CFA;
use super::encode::{Op, Opcode, PlanHead};
use super::interpret::{CFA_PLACE, Registers, UNKNOWN_AT_HOOK, place_of, vector_of};
use crate::word;

/// Numbers of a form.
pub const NUMBERS_MAX: usize = 13;

/// Words of the payload of a [`word::Code::Values`] that says the same: beside the numbers the time, the plan and the count of regions.
pub const QUICK_WORDS: usize = NUMBERS_MAX + 3;

const REGISTER: u64 = 9;
const VECTOR: u64 = 10;

/// A quick form that is being made.
pub(super) struct Form {
    words: [u64; NUMBERS_MAX + 2],
    used: usize,
    /// Whether it has numbers from vector registers.
    pub wants_vectors: bool,
}

impl Form {
    /// What is written, with the end.
    pub fn words(&self) -> &[u64] {
        self.words.get(..=self.used).unwrap_or_default()
    }

    fn push(&mut self, kind: u64, place: usize, offset: i32) -> Option<()> {
        let last = self.words.len() - 1;
        let word = self.words.get_mut(self.used).filter(|_| self.used < last)?;
        *word = kind | (place as u64) << 8 | u64::from(offset as u32) << 32;
        self.used += 1;
        Some(())
    }
}

/// The quick form of the plan at the begin of `plan`, for the frame that called a hook; `None`: it is no such plan.
pub(super) fn form(plan: &[AtomicU64]) -> Option<Form> {
    let mut ops = plan.iter().map(|word| word.load(Ordering::Relaxed));
    let head = PlanHead::parse(ops.next()?);
    let mut form = Form {
        words: [0; NUMBERS_MAX + 2],
        used: 1,
        wants_vectors: false,
    };
    let mut numbers = 0;
    let mut cfa = None;
    loop {
        let op = Op::parse(ops.next()?)?;
        let known = |number: u8| {
            let is_known = number < 16 && UNKNOWN_AT_HOOK >> number & 1 == 0;
            place_of(number).filter(|_| is_known)
        };
        match op.opcode {
            Opcode::Register if op.register < 16 => {
                // That place is 0 as long as no hook sets it.
                form.push(REGISTER, known(op.register).unwrap_or(CFA_PLACE), 0)?;
                numbers += 1;
            }
            Opcode::Vector => {
                form.push(VECTOR, vector_of(op.register)?, 0)?;
                form.wants_vectors = true;
                numbers += 2;
            }
            Opcode::SetCfa => cfa = Some((known(op.register)?, op.offset)),
            Opcode::Stack if (1..=8).contains(&op.bytes) => {
                let (place, offset) = match op.register {
                    CFA => cfa?,
                    number => (known(number)?, 0),
                };
                let offset = op.offset.checked_add(offset)?;
                form.push(u64::from(op.bytes), place, offset)?;
                numbers += 1;
            }
            Opcode::End => break,
            _ => return None,
        }
    }
    // Also the frame's own word, and the count of regions.
    let fits = numbers <= NUMBERS_MAX && numbers + 2 <= usize::from(head.payload_words);
    form.words[0] = word::numbers(head.number, numbers)?;
    fits.then_some(form)
}

/// What the payload of a [`word::Code::Values`] would be behind the time, for these numbers of a plan.
pub fn values_of(plan: u32, numbers: &[u64]) -> impl Iterator<Item = u64> + Clone {
    let first = u64::from(plan) | (UNKNOWN_AT_HOOK & 0xffff) << 32;
    // No regions.
    let all = core::iter::once(first).chain(numbers.iter().copied());
    all.chain(core::iter::once(0))
}

/// Carries the quick form at `quick` out: the word that goes before the numbers, and how many there are. `read` gives so many bytes of the
/// stack.
#[inline]
pub fn numbers(
    code: &[AtomicU64],
    quick: u32,
    registers: &Registers,
    read: impl Fn(u64, usize) -> Option<u64>,
    numbers: &mut [u64; NUMBERS_MAX],
) -> Option<(u64, usize)> {
    let (head, ops) = code.get(quick as usize..)?.split_first()?;
    let mut used = 0;
    for op in ops {
        let op = op.load(Ordering::Relaxed);
        let place = usize::from((op >> 8) as u8);
        let value = match op & 0xff {
            REGISTER => *registers.values.get(place)?,
            0 => return Some((head.load(Ordering::Relaxed), used)),
            VECTOR => {
                let [low, high] = *registers.vectors.get(place)?;
                *numbers.get_mut(used)? = low;
                used += 1;
                high
            }
            bytes => {
                let base = registers.values.get(place)?;
                read(base.wrapping_add_signed(op as i64 >> 32), bytes as usize)?
            }
        };
        *numbers.get_mut(used)? = value;
        used += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encode::op;
    use super::super::interpret::{Captured, Probe, Scratch, Unread};
    use super::*;

    const STACK: u64 = 0x7000_0000_1000;
    const NUMBER: u32 = 9;

    /// Memory around the stack pointer: each byte is made of its address.
    struct Stack;

    fn stack_number(from: u64, bytes: usize) -> Option<u64> {
        let is_there = from.abs_diff(STACK) < 0x1000;
        let byte = |index: usize| (from as u8).wrapping_add(index as u8).wrapping_mul(37);
        let whole = u64::from_le_bytes(core::array::from_fn(|index| match index < bytes {
            true => byte(index),
            false => 0,
        }));
        is_there.then_some(whole)
    }

    impl Probe for Stack {
        fn copy(&self, _: u64, _: &[AtomicU64], _: usize, _: usize) -> Result<(), Unread> {
            Err(Unread::Invalid)
        }

        fn number(&self, from: u64, bytes: usize) -> Result<u64, Unread> {
            stack_number(from, bytes).ok_or(Unread::Invalid)
        }
    }

    fn registers() -> Registers {
        let mut values = core::array::from_fn(|place| STACK + 8 * place as u64);
        values[CFA_PLACE] = 0;
        Registers {
            values,
            unknown: UNKNOWN_AT_HOOK,
            vectors: core::array::from_fn(|place| [place as u64, !(place as u64)]),
        }
    }

    fn plan(ops: &[u64]) -> Vec<AtomicU64> {
        let head = PlanHead {
            payload_words: 40,
            depth: 0,
            regions: 0,
            number: NUMBER,
        };
        let words = [head.pack()].into_iter().chain(ops.iter().copied());
        let words = words.chain([Op::plain(Opcode::End).pack()]);
        words.map(AtomicU64::new).collect()
    }

    /// What the general way makes of a plan.
    fn generally(code: &[AtomicU64], time: u64) -> Vec<u64> {
        let scratch = Box::new(Scratch::new());
        let captured = Captured {
            code,
            probe: &Stack,
            finder: &|_| None,
            scratch: &scratch,
        };
        let words = captured.payload(0, &mut registers(), time);
        let payload = scratch.words[..words].iter();
        payload.map(|word| word.load(Ordering::Relaxed)).collect()
    }

    fn quickly(code: &[AtomicU64], time: u64) -> Option<Vec<u64>> {
        let form = form(code)?;
        let words: Vec<AtomicU64> = form.words().iter().copied().map(AtomicU64::new).collect();
        let mut room = [0; NUMBERS_MAX];
        let (head, count) = numbers(&words, 0, &registers(), stack_number, &mut room)?;
        let special = word::Word::Special {
            code: word::Code::Numbers as u16,
            payload_words: count as u16,
        };
        assert_eq!(word::Word::parse(head), special);
        let values = values_of(word::plan_of(head), &room[..count]);
        Some([time].into_iter().chain(values).collect())
    }

    #[test]
    fn plans_of_a_few_numbers_have_a_quick_form_and_no_others() {
        let register = op(Opcode::Register, 3, 0, 0);
        let vector = op(Opcode::Vector, 17, 0, 0);
        let has_form = |ops: &[u64]| form(&plan(ops)).map(|form| form.wants_vectors);
        assert_eq!(has_form(&[]), Some(false));
        assert_eq!(has_form(&[register; NUMBERS_MAX]), Some(false));
        assert_eq!(has_form(&[register; NUMBERS_MAX + 1]), None);
        assert_eq!(has_form(&[vector; NUMBERS_MAX / 2]), Some(true));
        assert_eq!(has_form(&[vector; NUMBERS_MAX / 2 + 1]), None);
        for other in [
            op(Opcode::Stack, 7, 9, 0),
            op(Opcode::Stack, CFA, 8, 0),
            op(Opcode::Stack, 4, 8, 0),
            op(Opcode::Shape, 0, 0, 0),
            op(Opcode::Caller, 7, 0, 0),
            op(Opcode::Trigger, 0, 0, 0),
            u64::MAX,
        ] {
            assert_eq!(has_form(&[register, other]), None, "{other:#x}");
        }
    }

    #[test]
    fn numbers_behind_the_pages_that_can_be_read_are_for_the_general_way() {
        let code = plan(&[op(Opcode::Stack, 7, 8, 0x2000)]);
        assert!(form(&code).is_some());
        assert_eq!(quickly(&code, 1), None);
    }

    fn any_op() -> impl Strategy<Value = u64> {
        prop_oneof![
            (0..16u8).prop_map(|register| op(Opcode::Register, register, 0, 0)),
            (0..16u8, 1..9u16, -64..512i32).prop_map(|(register, bytes, offset)| op(
                Opcode::Stack,
                register,
                bytes,
                offset
            )),
            (1..9u16, -64..64i32).prop_map(|(bytes, offset)| op(Opcode::Stack, CFA, bytes, offset)),
            (0..16u8, -64..64i32).prop_map(|(register, offset)| op(
                Opcode::SetCfa,
                register,
                0,
                offset
            )),
            (16..26u8).prop_map(|register| op(Opcode::Vector, register, 0, 0)),
        ]
    }

    proptest! {
        #[test]
        fn both_ways_capture_the_same(ops in proptest::collection::vec(any_op(), 0..16), time: u64) {
            let code = plan(&ops);
            if let Some(quick) = quickly(&code, time) {
                prop_assert_eq!(quick, generally(&code, time));
            }
        }
    }
}
