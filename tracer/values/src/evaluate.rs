//! Finds a value's bytes: evaluates places over registers and memory.
//!
//! Every expression ends: of a damaged file also one that jumps back forever.

use crate::floating;
use crate::{Absence, Address, Binary, Memory, Op, Piece, Place, Registers, Unary};

/// Where a value's bytes come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// They lie at this address.
    Memory(u64),
    /// These are they.
    Bytes(Bytes),
    /// The value is a pointer to an object that is nowhere in memory, and to which of its bytes.
    Implicit(Box<Source>, i64),
}

/// Bytes of a value, of which some may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bytes {
    /// All, missing ones as 0.
    pub data: Vec<u8>,
    /// Begin and end in bits, and why they are missing.
    pub missing: Vec<(u64, u64, Absence)>,
}

/// Steps of one expression: loops of compilers are shorter.
const STEPS_MAX: usize = 4096;

/// Numbers on the stack of one expression.
const STACK_MAX: usize = 256;

/// Bytes of a value that are put together of parts.
const BYTES_MAX: u64 = 64 << 10;

/// Number of the thread's own address.
const THREAD_NUMBER: u16 = umbel_trace_ring::plan::THREAD as u16;

/// Number of xmm0: of vectors, their low 8 bytes are a number.
const XMM0: u16 = 17;

/// Pieces within pieces.
const NESTED_MAX: usize = 8;

/// The number that `address` gives.
///
/// # Errors
/// A register or memory that it needs isn't known, or it makes no sense.
pub fn address(
    address: &Address,
    registers: &dyn Registers,
    memory: &dyn Memory,
) -> Result<u64, Absence> {
    address_in(address, None, registers, memory)
}

/// The same within an object at an address, which is on the stack before and which the expression may ask for.
///
/// # Errors
/// As [`address`].
pub fn address_in(
    address: &Address,
    object: Option<u64>,
    registers: &dyn Registers,
    memory: &dyn Memory,
) -> Result<u64, Absence> {
    let mut machine = Machine {
        stack: object.into_iter().collect(),
        object,
        registers,
        memory,
    };
    let mut at = 0_usize;
    for _ in 0..STEPS_MAX {
        let Some(op) = address.ops.get(at) else {
            return machine.pop();
        };
        let skip = machine.step(op)?;
        let next = (at as i64).checked_add(1 + i64::from(skip));
        at = next
            .and_then(|next| usize::try_from(next).ok())
            .ok_or(Absence::Damaged)?;
    }
    Err(Absence::Damaged)
}

/// Where the bytes of a value at `place` are.
///
/// # Errors
/// None of them are known.
pub fn place(
    place: &Place,
    registers: &dyn Registers,
    memory: &dyn Memory,
) -> Result<Source, Absence> {
    nested(place, registers, memory, 0)
}

fn nested(
    place: &Place,
    registers: &dyn Registers,
    memory: &dyn Memory,
    depth: usize,
) -> Result<Source, Absence> {
    if depth > NESTED_MAX {
        return Err(Absence::Damaged);
    }
    match place {
        Place::OptimizedOut => Err(Absence::OptimizedOut),
        Place::Register(number) => register(*number, registers).map(whole),
        Place::Memory(expression) => address(expression, registers, memory).map(Source::Memory),
        Place::Value(expression) => {
            let value = address(expression, registers, memory)?;
            Ok(whole(value.to_le_bytes().to_vec()))
        }
        Place::Constant(bytes) => Ok(whole(bytes.to_vec())),
        Place::ImplicitPointer(target, offset) => {
            let target = nested(target, registers, memory, depth + 1)?;
            Ok(Source::Implicit(Box::new(target), *offset))
        }
        Place::Pieces(pieces) => {
            let mut bytes = Bytes::default();
            let mut at = 0_u64;
            for piece in pieces {
                let end = at.checked_add(piece.bits).ok_or(Absence::Damaged)?;
                if end > BYTES_MAX * 8 {
                    return Err(Absence::Damaged);
                }
                bytes.data.resize(end.div_ceil(8) as usize, 0);
                if let Err(absence) = put(&mut bytes, at, piece, registers, memory, depth) {
                    bytes.missing.push((at, end, absence));
                }
                at = end;
            }
            match bytes.missing.first() {
                Some((_, _, absence)) if bytes.missing.len() == pieces.len() => {
                    Err(absence.clone())
                }
                _ => Ok(Source::Bytes(bytes)),
            }
        }
    }
}

fn whole(data: Vec<u8>) -> Source {
    Source::Bytes(Bytes {
        data,
        missing: Vec::new(),
    })
}

/// Puts a piece's bits at bit `at`.
fn put(
    bytes: &mut Bytes,
    at: u64,
    piece: &Piece,
    registers: &dyn Registers,
    memory: &dyn Memory,
    depth: usize,
) -> Result<(), Absence> {
    let source = nested(&piece.place, registers, memory, depth + 1)?;
    let part = source.bits(piece.offset, piece.bits, memory)?;
    for bit in 0..piece.bits {
        let set = part[(bit / 8) as usize] >> (bit % 8) & 1;
        let target = at + bit;
        bytes.data[(target / 8) as usize] |= set << (target % 8);
    }
    Ok(())
}

fn register(number: u16, registers: &dyn Registers) -> Result<Vec<u8>, Absence> {
    match number {
        0..=16 => registers
            .register(number)
            .map(|value| value.to_le_bytes().to_vec()),
        _ => registers.vector(number).map(|value| value.to_vec()),
    }
    .ok_or(Absence::OptimizedOut)
}

impl Source {
    /// Some of its bits, shifted down to bit 0 of the first byte; those above are 0.
    ///
    /// # Errors
    /// Not all of them are known.
    pub fn bits(&self, first: u64, count: u64, memory: &dyn Memory) -> Result<Vec<u8>, Absence> {
        let end = first.checked_add(count).ok_or(Absence::Damaged)?;
        let (begin_byte, end_byte) = (first / 8, end.div_ceil(8));
        if end_byte - begin_byte > BYTES_MAX {
            return Err(Absence::Damaged);
        }
        let mut raw = vec![0; (end_byte - begin_byte) as usize];
        match self {
            Self::Memory(address) => memory.read(address.wrapping_add(begin_byte), &mut raw)?,
            Self::Bytes(bytes) => {
                let overlaps =
                    |missing: &&(u64, u64, Absence)| missing.0 < end && first < missing.1;
                if let Some((_, _, absence)) = bytes.missing.iter().find(overlaps) {
                    return Err(absence.clone());
                }
                let range = begin_byte as usize..end_byte as usize;
                // A value of fewer bytes than its type needs: the debug information contradicts itself.
                raw.copy_from_slice(bytes.data.get(range).ok_or(Absence::OptimizedOut)?);
            }
            Self::Implicit(..) => return Err(Absence::OptimizedOut),
        }
        if !first.is_multiple_of(8) {
            let shift = first % 8;
            for index in 0..raw.len() {
                let above = raw.get(index + 1).copied().unwrap_or(0);
                raw[index] = (u16::from_le_bytes([raw[index], above]) >> shift) as u8;
            }
        }
        raw.truncate(count.div_ceil(8) as usize);
        if !count.is_multiple_of(8)
            && let Some(last) = raw.last_mut()
        {
            *last &= (1 << (count % 8)) - 1;
        }
        Ok(raw)
    }

    /// Its bytes from `offset` on.
    ///
    /// # Errors
    /// Not all of them are known.
    pub fn bytes(&self, offset: u64, count: u64, memory: &dyn Memory) -> Result<Vec<u8>, Absence> {
        let first = offset.checked_mul(8).ok_or(Absence::Damaged)?;
        let bits = count.checked_mul(8).ok_or(Absence::Damaged)?;
        self.bits(first, bits, memory)
    }

    /// What lies in it from `offset` on.
    ///
    /// # Errors
    /// It isn't that long.
    pub fn part(&self, offset: u64) -> Result<Self, Absence> {
        match self {
            Self::Memory(address) => Ok(Self::Memory(address.wrapping_add(offset))),
            Self::Bytes(bytes) => {
                let skip = usize::try_from(offset).map_err(|_| Absence::Damaged)?;
                let data = bytes.data.get(skip..).ok_or(Absence::OptimizedOut)?;
                let first = offset.saturating_mul(8);
                let missing = bytes.missing.iter().filter(|missing| missing.1 > first);
                Ok(Self::Bytes(Bytes {
                    data: data.to_vec(),
                    missing: missing
                        .map(|(begin, end, absence)| {
                            (begin.saturating_sub(first), end - first, absence.clone())
                        })
                        .collect(),
                }))
            }
            Self::Implicit(..) if offset == 0 => Ok(self.clone()),
            Self::Implicit(..) => Err(Absence::OptimizedOut),
        }
    }

    /// Its address, if it is in memory.
    pub fn address(&self) -> Option<u64> {
        match self {
            Self::Memory(address) => Some(*address),
            Self::Bytes(_) | Self::Implicit(..) => None,
        }
    }
}

struct Machine<'a> {
    stack: Vec<u64>,
    object: Option<u64>,
    registers: &'a dyn Registers,
    memory: &'a dyn Memory,
}

impl Machine<'_> {
    /// Carries out one step; how many steps are left out behind it.
    fn step(&mut self, op: &Op) -> Result<i32, Absence> {
        match *op {
            Op::Constant(number) => self.push(number)?,
            Op::Static(offset) => self.push(self.registers.bias().wrapping_add(offset))?,
            Op::Register(number, offset) => {
                let value = match number {
                    XMM0..THREAD_NUMBER => self.registers.vector(number).map(low),
                    _ => self.registers.register(number),
                };
                let value = value.ok_or(Absence::OptimizedOut)?;
                self.push(value.wrapping_add_signed(offset))?;
            }
            Op::FrameAddress(offset) => {
                let frame = self.registers.frame_address();
                let frame = frame.ok_or(Absence::OptimizedOut)?;
                self.push(frame.wrapping_add_signed(offset))?;
            }
            Op::Entry(number) => {
                let value = self.registers.entry(number);
                self.push(value.ok_or(Absence::OptimizedOut)?)?;
            }
            Op::Object => self.push(self.object.ok_or(Absence::OptimizedOut)?)?,
            Op::ThreadLocal(offset) => {
                let block = self.registers.thread_block();
                let block = block.ok_or(Absence::NotCaptured(offset))?;
                self.push(block.wrapping_add(offset))?;
            }
            Op::Load(bytes) => {
                let value = self.load(bytes)?;
                self.push(value)?;
            }
            Op::LoadSigned(bytes) => {
                let value = self.load(bytes)?;
                self.push(extend(value, bytes, true))?;
            }
            Op::Plus(number) => {
                let value = self.pop()?;
                self.push(value.wrapping_add(number))?;
            }
            Op::Binary(binary) => {
                let second = self.pop()?;
                let first = self.pop()?;
                self.push(combine(binary, first, second)?)?;
            }
            Op::Unary(unary) => {
                let value = self.pop()?;
                self.push(match unary {
                    Unary::Neg => value.wrapping_neg(),
                    Unary::Not => !value,
                    Unary::Abs => (value as i64).unsigned_abs(),
                })?;
            }
            Op::Pick(below) => {
                let index = self.stack.len().checked_sub(1 + usize::from(below));
                let value = index.map(|index| self.stack[index]);
                self.push(value.ok_or(Absence::Damaged)?)?;
            }
            Op::Drop => {
                self.pop()?;
            }
            Op::Swap => {
                let first = self.pop()?;
                let second = self.pop()?;
                self.push(first)?;
                self.push(second)?;
            }
            Op::Rotate => {
                let first = self.pop()?;
                let second = self.pop()?;
                let third = self.pop()?;
                self.push(first)?;
                self.push(third)?;
                self.push(second)?;
            }
            Op::Truncate(bytes, is_signed) => {
                let value = self.pop()?;
                self.push(extend(value, bytes, is_signed))?;
            }
            Op::Branch(steps) => {
                if self.pop()? != 0 {
                    return Ok(steps);
                }
            }
            Op::Skip(steps) => return Ok(steps),
            Op::Float(operation) => floating::step(operation, &mut self.stack)?,
        }
        Ok(0)
    }

    fn load(&mut self, bytes: u8) -> Result<u64, Absence> {
        let address = self.pop()?;
        let mut value = [0; 8];
        let wanted = value.get_mut(..usize::from(bytes));
        self.memory.read(address, wanted.ok_or(Absence::Damaged)?)?;
        Ok(u64::from_le_bytes(value))
    }

    fn push(&mut self, value: u64) -> Result<(), Absence> {
        if self.stack.len() >= STACK_MAX {
            return Err(Absence::Damaged);
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<u64, Absence> {
        self.stack.pop().ok_or(Absence::Damaged)
    }
}

fn low(vector: [u8; 16]) -> u64 {
    u128::from_le_bytes(vector) as u64
}

/// The low bytes of a number, extended to 8.
fn extend(value: u64, bytes: u8, is_signed: bool) -> u64 {
    let shift = 64 - 8 * u32::from(bytes.clamp(1, 8));
    match is_signed {
        true => ((value << shift) as i64 >> shift) as u64,
        false => value << shift >> shift,
    }
}

fn combine(binary: Binary, first: u64, second: u64) -> Result<u64, Absence> {
    let (first_signed, second_signed) = (first as i64, second as i64);
    let shift = u32::try_from(second).unwrap_or(u32::MAX);
    Ok(match binary {
        Binary::And => first & second,
        Binary::Or => first | second,
        Binary::Xor => first ^ second,
        Binary::Plus => first.wrapping_add(second),
        Binary::Minus => first.wrapping_sub(second),
        Binary::Mul => first.wrapping_mul(second),
        Binary::Div if second == 0 => return Err(Absence::Damaged),
        Binary::Div => first_signed.wrapping_div(second_signed) as u64,
        Binary::DivUnsigned => first.checked_div(second).ok_or(Absence::Damaged)?,
        Binary::Mod => first.checked_rem(second).ok_or(Absence::Damaged)?,
        Binary::Shl => first.checked_shl(shift).unwrap_or(0),
        Binary::Shr => first.checked_shr(shift).unwrap_or(0),
        Binary::Shra => (first_signed >> shift.min(63)) as u64,
        Binary::Eq => u64::from(first == second),
        Binary::Ne => u64::from(first != second),
        Binary::Lt => u64::from(first_signed < second_signed),
        Binary::Le => u64::from(first_signed <= second_signed),
        Binary::Gt => u64::from(first_signed > second_signed),
        Binary::Ge => u64::from(first_signed >= second_signed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Float;

    /// A frame in which xmm0 is 2.5, and nothing else is known.
    struct Frame;

    impl Registers for Frame {
        fn register(&self, _: u16) -> Option<u64> {
            None
        }

        fn vector(&self, number: u16) -> Option<[u8; 16]> {
            let low = u128::from(2.5_f64.to_bits());
            (number == XMM0).then(|| (low | 7 << 64).to_le_bytes())
        }

        fn frame_address(&self) -> Option<u64> {
            None
        }

        fn bias(&self) -> u64 {
            0
        }
    }

    impl Memory for Frame {
        fn read(&self, address: u64, _: &mut [u8]) -> Result<(), Absence> {
            Err(Absence::NotCaptured(address))
        }

        fn text(&self, address: u64, _: usize) -> Result<(Vec<u8>, bool), Absence> {
            Err(Absence::NotCaptured(address))
        }
    }

    fn run(ops: &[Op]) -> Result<u64, Absence> {
        let ops = ops.to_vec();
        address(&Address { ops }, &Frame, &Frame)
    }

    #[test]
    fn numbers_are_divided_with_their_sign_or_without() {
        let divided = |by, operator| {
            run(&[
                Op::Constant(u64::MAX),
                Op::Constant(by),
                Op::Binary(operator),
            ])
        };
        assert_eq!(divided(2, Binary::DivUnsigned), Ok(u64::MAX / 2));
        assert_eq!(divided(2, Binary::Div), Ok(0));
        assert_eq!(divided(0, Binary::DivUnsigned), Err(Absence::Damaged));
    }

    #[test]
    fn the_low_half_of_a_vector_is_a_number() {
        let doubled = [Op::Register(XMM0, 0), Op::Pick(0), Op::Float(Float::Add(8))];
        assert_eq!(run(&doubled), Ok(5_f64.to_bits()));
        assert_eq!(run(&[Op::Register(18, 0)]), Err(Absence::OptimizedOut));
    }
}
