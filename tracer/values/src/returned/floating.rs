//! Instructions on floating-point numbers.

use iced_x86::{Instruction, MemorySize, Mnemonic, OpKind, Register};

use super::long_of;
use super::machine::{Machine, Symbol, is_same, number_of, plus, short};
use crate::{Address, Binary, Float, Op, Place};

/// Eight bytes of a vector, and how many of them are known.
pub type Half = Option<(Vec<Op>, u8)>;

/// A number on the old floating-point stack.
#[derive(Clone)]
pub enum Long {
    /// As it lies there.
    Memory(Vec<Op>),
    /// This double.
    Double(Vec<Op>),
}

impl Machine<'_> {
    /// Carries out an instruction on vectors; `None`: it isn't one of these, and nothing was done.
    pub fn on_vectors(&mut self, step: &Instruction) -> Option<()> {
        match step.mnemonic() {
            Mnemonic::Movss | Mnemonic::Movd => self.moved_part(step, 4),
            Mnemonic::Movsd | Mnemonic::Movq => self.moved_part(step, 8),
            Mnemonic::Movaps
            | Mnemonic::Movapd
            | Mnemonic::Movups
            | Mnemonic::Movupd
            | Mnemonic::Movdqa
            | Mnemonic::Movdqu => self.moved_whole(step),
            Mnemonic::Pxor | Mnemonic::Xorps | Mnemonic::Xorpd if is_same(step) => {
                let zero = || Some((vec![Op::Constant(0)], 8));
                *self.vector_of(step.op0_register())? = [zero(), zero()];
                Some(())
            }
            Mnemonic::Pxor | Mnemonic::Xorps | Mnemonic::Xorpd => self.bits(step, Binary::Xor),
            Mnemonic::Pand | Mnemonic::Andps | Mnemonic::Andpd => self.bits(step, Binary::And),
            Mnemonic::Por | Mnemonic::Orps | Mnemonic::Orpd => self.bits(step, Binary::Or),
            Mnemonic::Addss => self.arithmetic(step, Float::Add(4), 4, 4),
            Mnemonic::Addsd => self.arithmetic(step, Float::Add(8), 8, 8),
            Mnemonic::Subss => self.arithmetic(step, Float::Subtract(4), 4, 4),
            Mnemonic::Subsd => self.arithmetic(step, Float::Subtract(8), 8, 8),
            Mnemonic::Mulss => self.arithmetic(step, Float::Multiply(4), 4, 4),
            Mnemonic::Mulsd => self.arithmetic(step, Float::Multiply(8), 8, 8),
            Mnemonic::Divss => self.arithmetic(step, Float::Divide(4), 4, 4),
            Mnemonic::Divsd => self.arithmetic(step, Float::Divide(8), 8, 8),
            Mnemonic::Sqrtss => self.arithmetic(step, Float::Root(4), 4, 4),
            Mnemonic::Sqrtsd => self.arithmetic(step, Float::Root(8), 8, 8),
            Mnemonic::Cvtss2sd => self.arithmetic(step, Float::Widen, 4, 8),
            Mnemonic::Cvtsd2ss => self.arithmetic(step, Float::Narrow, 8, 4),
            Mnemonic::Cvtsi2ss => self.made_float(step, 4),
            Mnemonic::Cvtsi2sd => self.made_float(step, 8),
            Mnemonic::Cvttss2si => self.made_integer(step, 4),
            Mnemonic::Cvttsd2si => self.made_integer(step, 8),
            Mnemonic::Unpcklps | Mnemonic::Punpckldq => self.paired(step),
            Mnemonic::Unpcklpd | Mnemonic::Movlhps | Mnemonic::Punpcklqdq => {
                let upper = self.half(step, 1, 0);
                self.vector_of(step.op0_register())?[1] = upper;
                Some(())
            }
            _ => None,
        }
    }

    /// Scalars: what comes from memory clears the rest of the register, what comes from another leaves it.
    fn moved_part(&mut self, step: &Instruction, bytes: u8) -> Option<()> {
        if step.op_count() != 2 {
            return None;
        }
        let value = match step.op1_kind() {
            OpKind::Memory => self.loaded(self.memory(step), bytes.into()),
            OpKind::Register => match self.vector(step.op1_register()) {
                Some(vector) => part(&vector[0], bytes),
                None => self.known(step.op1_register()),
            },
            _ => return None,
        };
        if step.op0_kind() == OpKind::Memory {
            let address = self.memory(step);
            self.stores.add(address, bytes.into(), value);
            return Some(());
        }
        let to = step.op0_register();
        if number_of(to).is_some() {
            self.set(to, value);
            return Some(());
        }
        let leaves_rest = matches!(step.mnemonic(), Mnemonic::Movss | Mnemonic::Movsd)
            && step.op1_kind() == OpKind::Register;
        let vector = self.vector_of(to)?;
        if leaves_rest {
            vector[0] = value.map(|ops| (ops, bytes));
            return Some(());
        }
        let whole = value.map(|mut ops| {
            let is_narrow = bytes == 8 || matches!(ops.last(), Some(Op::Load(4)));
            if !is_narrow {
                ops.push(Op::Truncate(4, false));
            }
            (ops, 8)
        });
        *vector = [whole, Some((vec![Op::Constant(0)], 8))];
        Some(())
    }

    fn moved_whole(&mut self, step: &Instruction) -> Option<()> {
        let halves = [self.half(step, 1, 0), self.half(step, 1, 1)];
        if step.op0_kind() == OpKind::Memory {
            let address = self.memory(step);
            for (index, half) in halves.into_iter().enumerate() {
                let at = address.clone().map(|ops| plus(ops, 8 * index as u64));
                self.stores.add(at, 8, part(&half, 8));
            }
            return Some(());
        }
        *self.vector_of(step.op0_register())? = halves;
        Some(())
    }

    fn bits(&mut self, step: &Instruction, operator: Binary) -> Option<()> {
        let to = step.op0_register();
        let mut halves = self.vector(to)?;
        for (index, half) in halves.iter_mut().enumerate() {
            let other = self.half(step, 1, index);
            *half = half
                .take()
                .zip(other)
                .and_then(|((mut ops, bytes), (other, others))| {
                    ops.extend(other);
                    ops.push(Op::Binary(operator));
                    Some((short(ops)?, bytes.min(others)))
                });
        }
        *self.vector_of(to)? = halves;
        Some(())
    }

    /// An operation on scalars of so many bytes, to one of so many.
    fn arithmetic(&mut self, step: &Instruction, operation: Float, from: u8, to: u8) -> Option<()> {
        let register = step.op0_register();
        let second = part(&self.half_of(step, 1, from), from);
        let ops = match operation.operands() {
            2 => part(&self.vector(register)?[0], from)
                .zip(second)
                .map(|(mut ops, second)| {
                    ops.extend(second);
                    ops
                }),
            _ => second,
        };
        let result = ops.and_then(|mut ops| {
            ops.push(Op::Float(operation));
            Some((short(ops)?, to))
        });
        self.vector_of(register)?[0] = result;
        Some(())
    }

    fn made_float(&mut self, step: &Instruction, to: u8) -> Option<()> {
        let (value, bytes) = match step.op1_kind() {
            OpKind::Register => (self.known(step.op1_register()), step.op1_register().size()),
            _ => {
                let bytes = step.memory_size().size();
                (self.loaded(self.memory(step), bytes as u64), bytes)
            }
        };
        let bytes = u8::try_from(bytes).ok()?;
        let result = value.and_then(|mut ops| {
            ops.extend([Op::Truncate(bytes, true), Op::Float(Float::FromSigned(to))]);
            Some((short(ops)?, to))
        });
        self.vector_of(step.op0_register())?[0] = result;
        Some(())
    }

    fn made_integer(&mut self, step: &Instruction, from: u8) -> Option<()> {
        let to = step.op0_register();
        let bytes = u8::try_from(to.size()).ok()?;
        let value = part(&self.half_of(step, 1, from), from).and_then(|mut ops| {
            ops.push(Op::Float(Float::ToSigned(from, bytes)));
            short(ops)
        });
        self.set(to, value);
        Some(())
    }

    /// The low four bytes of both, one behind the other; what comes behind these isn't known.
    fn paired(&mut self, step: &Instruction) -> Option<()> {
        let to = step.op0_register();
        let first = part(&self.vector(to)?[0], 4);
        let second = part(&self.half_of(step, 1, 4), 4);
        let both = first.zip(second).and_then(|(mut ops, second)| {
            ops.push(Op::Truncate(4, false));
            ops.extend(second);
            ops.extend([
                Op::Constant(32),
                Op::Binary(Binary::Shl),
                Op::Binary(Binary::Or),
            ]);
            Some((short(ops)?, 8))
        });
        *self.vector_of(to)? = [both, None];
        Some(())
    }

    /// Half of a vector operand.
    fn half(&self, step: &Instruction, operand: u32, index: usize) -> Half {
        match step.op_kind(operand) {
            OpKind::Memory => {
                let address = self.memory(step).map(|ops| plus(ops, 8 * index as u64));
                Some((self.loaded(address, 8)?, 8))
            }
            _ => self.vector(step.op_register(operand))?[index].clone(),
        }
    }

    /// The low part of a vector operand, of which only so many bytes are read.
    fn half_of(&self, step: &Instruction, operand: u32, bytes: u8) -> Half {
        match step.op_kind(operand) {
            OpKind::Memory => Some((self.loaded(self.memory(step), bytes.into())?, bytes)),
            _ => self.half(step, operand, 0),
        }
    }

    fn vector(&self, register: Register) -> Option<[Half; 2]> {
        let number = register.is_xmm().then(|| register.number())?;
        self.vectors.get(number).cloned()
    }

    /// The register that this is, or is a part of.
    pub fn vector_of(&mut self, register: Register) -> Option<&mut [Half; 2]> {
        let number = register.is_vector_register().then(|| register.number())?;
        self.vectors.get_mut(number)
    }

    /// Carries out an instruction on the old floating-point stack; `None`: it isn't one of these, and nothing was done.
    pub fn on_longs(&mut self, step: &Instruction) -> Option<()> {
        match step.mnemonic() {
            Mnemonic::Fld if step.op0_kind() == OpKind::Memory => {
                let address = self.memory(step);
                let loaded = match step.memory_size() {
                    MemorySize::Float80 => address
                        .filter(|address| self.stores.at(address, 10).is_none())
                        .map(Long::Memory),
                    MemorySize::Float64 => self.loaded(address, 8).map(Long::Double),
                    _ => self.loaded(address, 4).map(|mut ops| {
                        ops.push(Op::Float(Float::Widen));
                        Long::Double(ops)
                    }),
                };
                self.longs.push(loaded);
            }
            Mnemonic::Fldz => self.longs.push(Some(Long::Double(vec![Op::Constant(0)]))),
            Mnemonic::Fld1 => {
                let one = Op::Constant(1_f64.to_bits());
                self.longs.push(Some(Long::Double(vec![one])));
            }
            Mnemonic::Fstp if step.op0_kind() == OpKind::Memory => {
                let top = self.longs.pop().flatten();
                let (value, bytes) = match step.memory_size() {
                    MemorySize::Float64 => (top.and_then(|top| self.double_of(top)), 8),
                    MemorySize::Float32 => (None, 4),
                    _ => (None, 10),
                };
                let address = self.memory(step);
                self.stores.add(address, bytes, value);
            }
            Mnemonic::Fstp if step.op0_register() == Register::ST0 => {
                self.longs.pop();
            }
            _ => return None,
        }
        Some(())
    }

    fn double_of(&self, long: Long) -> Symbol {
        match long {
            Long::Double(ops) => Some(ops),
            Long::Memory(address) => {
                let mut ops = self.loaded(Some(address.clone()), 8)?;
                ops.extend(self.loaded(Some(plus(address, 8)), 2)?);
                ops.push(Op::Float(Float::FromLong));
                short(ops)
            }
        }
    }

    /// The value on the old floating-point stack.
    pub fn long(&self) -> Option<Place> {
        Some(match self.longs.last()?.clone()? {
            Long::Memory(ops) => Place::Memory(Address { ops }),
            Long::Double(ops) => long_of(&ops),
        })
    }

    /// So many low bytes of a vector.
    pub fn low(&self, number: usize, bytes: u64) -> Option<Place> {
        let ops = part(&self.vectors.get(number)?[0], u8::try_from(bytes).ok()?)?;
        Some(Place::Value(Address { ops }))
    }

    /// Its upper half.
    pub fn high(&self, number: usize) -> Option<Place> {
        let ops = part(&self.vectors.get(number)?[1], 8)?;
        Some(Place::Value(Address { ops }))
    }
}

/// The low bytes of a half, if they are known.
fn part(half: &Half, bytes: u8) -> Symbol {
    let (ops, known) = half.as_ref()?;
    (*known >= bytes).then(|| ops.clone())
}
