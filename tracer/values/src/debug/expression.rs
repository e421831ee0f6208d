//! DWARF's expressions, as places.
//!
//! DWARF's stack may have numbers of base types, which its operators treat by type; [`Op`]s know 64-bit numbers only. What types a
//! stack has is the same whatever the numbers are, so it's known here, and numbers of narrower types are kept extended to 64 bits.
//! What can't be done that way (arithmetic on long doubles, mostly) is given up: the place is then [`Place::OptimizedOut`].

use gimli::{DebugAddrIndex, DebugInfoOffset, Encoding, Expression, Format, Operation, UnitOffset};

use super::sections::Slice;
use super::types::text_of;
use super::units::Unit;
use crate::{Address, Binary, Float, Op, Piece, Place, Unary};

/// Operations of an expression at most; gcc's longest are far below.
const OPERATIONS_MAX: usize = 2048;

/// Number of xmm0.
const XMM0: u16 = 17;

/// What an expression may refer to.
pub trait Surroundings {
    /// The frame base of the physical function.
    fn frame_base(&self) -> Option<Address>;
    /// Where the variable is that is described at this place of .debug_info.
    fn variable(&self, offset: DebugInfoOffset<usize>) -> Option<Place>;
    /// The same, as a number.
    fn number(&self, offset: DebugInfoOffset<usize>) -> Option<Vec<Op>>;
}

/// What there is to refer to outside of functions: nothing.
pub struct Nothing;

impl Surroundings for Nothing {
    fn frame_base(&self) -> Option<Address> {
        None
    }
    fn variable(&self, _: DebugInfoOffset<usize>) -> Option<Place> {
        None
    }
    fn number(&self, _: DebugInfoOffset<usize>) -> Option<Vec<Op>> {
        None
    }
}

/// Type of a number on the stack.
#[derive(Clone, Copy, PartialEq)]
enum Number {
    /// As wide as an address, without a sign of its own.
    Generic,
    Integer {
        bytes: u8,
        is_signed: bool,
    },
    /// Of so many bytes: 4 or 8.
    Float(u8),
    /// A long double: two numbers for [`Op`]s, the mantissa and what is behind it.
    Long,
    /// Not known to [`Op`]s.
    Other,
}

/// Where a value with this location description is.
pub fn place(unit: &Unit, expression: Expression<Slice>, around: &dyn Surroundings) -> Place {
    let mut translation = Translation::new(unit, around, 0);
    translation
        .run(expression)
        .and_then(|()| translation.into_place())
        .unwrap_or(Place::OptimizedOut)
}

/// What this expression computes, with `pushed` numbers on the stack before.
pub fn address(
    unit: &Unit,
    expression: Expression<Slice>,
    around: &dyn Surroundings,
    pushed: usize,
) -> Option<Address> {
    let mut translation = Translation::new(unit, around, pushed);
    translation.run(expression)?;
    match translation.into_place()? {
        Place::Memory(address) | Place::Value(address) => Some(address),
        _ => None,
    }
}

/// What this expression gives as a number: a bound, the base of a frame.
pub fn number(
    unit: &Unit,
    expression: Expression<Slice>,
    around: &dyn Surroundings,
) -> Option<Address> {
    let mut translation = Translation::new(unit, around, 0);
    translation.run(expression)?;
    match translation.into_place()? {
        Place::Memory(address) | Place::Value(address) => Some(address),
        Place::Register(number) => Some(Address {
            ops: vec![Op::Register(number, 0)],
        }),
        _ => None,
    }
}

/// What an expression of the call frame information computes, with `pushed` numbers on the stack before.
pub fn cfi(expression: Expression<Slice>, pushed: usize) -> Option<Address> {
    let mut translation = Translation {
        unit: None,
        around: &Nothing,
        ops: Vec::new(),
        stack: vec![Number::Generic; pushed],
        simple: None,
        is_value: false,
        is_long: false,
        pieces: Vec::new(),
    };
    translation.run(expression)?;
    match translation.into_place()? {
        Place::Memory(address) => Some(address),
        _ => None,
    }
}

struct Translation<'a> {
    /// `None`: it stands in no unit.
    unit: Option<&'a Unit>,
    around: &'a dyn Surroundings,
    ops: Vec<Op>,
    stack: Vec<Number>,
    /// A description that is no computation.
    simple: Option<Place>,
    is_value: bool,
    is_long: bool,
    pieces: Vec<Piece>,
}

impl<'a> Translation<'a> {
    fn new(unit: &'a Unit, around: &'a dyn Surroundings, pushed: usize) -> Self {
        Self {
            unit: Some(unit),
            around,
            ops: Vec::new(),
            stack: vec![Number::Generic; pushed],
            simple: None,
            is_value: false,
            is_long: false,
            pieces: Vec::new(),
        }
    }

    fn encoding(&self) -> Encoding {
        self.unit.map_or(
            Encoding {
                format: Format::Dwarf32,
                version: 4,
                address_size: 8,
            },
            |unit| unit.unit.encoding(),
        )
    }

    fn indexed(&self, index: DebugAddrIndex<usize>) -> Option<u64> {
        let unit = self.unit?;
        unit.dwarf.address(&unit.unit, index).ok()
    }

    fn run(&mut self, expression: Expression<Slice>) -> Option<()> {
        let mut operations = expression.clone().operations(self.encoding());
        // Byte offset of each operation and the step it begins with; (step, byte offset) of each jump.
        let mut starts = Vec::new();
        let mut jumps = Vec::new();
        for _ in 0..OPERATIONS_MAX {
            starts.push((operations.offset_from(&expression), self.ops.len()));
            let Some(operation) = operations.next().ok()? else {
                return self.resolve_jumps(&starts, &jumps);
            };
            let after = operations.offset_from(&expression);
            match operation {
                Operation::Bra { target } | Operation::Skip { target } => {
                    jumps.push((self.ops.len(), after.checked_add_signed(target.into())?));
                    if matches!(operation, Operation::Bra { .. }) {
                        self.stack.pop()?;
                        self.ops.push(Op::Branch(0));
                    } else {
                        self.ops.push(Op::Skip(0));
                    }
                }
                other => self.step(other)?,
            }
        }
        None
    }

    fn resolve_jumps(&mut self, starts: &[(usize, usize)], jumps: &[(usize, usize)]) -> Option<()> {
        // With jumps, the types on the stack depend on the way taken; and pieces have begun anew.
        if !jumps.is_empty() && !self.pieces.is_empty() {
            return None;
        }
        for &(step, target) in jumps {
            let (_, target) = starts.iter().find(|(offset, _)| *offset == target)?;
            let distance = i32::try_from(*target as i64 - step as i64 - 1).ok()?;
            match self.ops.get_mut(step)? {
                Op::Branch(steps) | Op::Skip(steps) => *steps = distance,
                _ => return None,
            }
        }
        Some(())
    }

    fn into_place(mut self) -> Option<Place> {
        if self.pieces.is_empty() {
            return self.finish();
        }
        // Something behind the last piece has no size.
        let is_complete = self.ops.is_empty() && self.simple.is_none();
        is_complete.then_some(Place::Pieces(self.pieces))
    }

    /// The place described so far; what follows is another's.
    fn finish(&mut self) -> Option<Place> {
        self.stack.clear();
        let ops = std::mem::take(&mut self.ops);
        let is_value = std::mem::take(&mut self.is_value);
        let is_long = std::mem::take(&mut self.is_long);
        match self.simple.take() {
            Some(place) => ops.is_empty().then_some(place),
            None if ops.is_empty() => Some(Place::OptimizedOut),
            None if is_long => Some(long(ops)),
            None if is_value => Some(Place::Value(Address { ops })),
            None => Some(Place::Memory(Address { ops })),
        }
    }

    fn push(&mut self, op: Op, number: Number) {
        self.ops.push(op);
        self.stack.push(number);
    }

    fn step(&mut self, operation: Operation<Slice>) -> Option<()> {
        if self.is_value && !matches!(operation, Operation::Piece { .. }) {
            return None;
        }
        match operation {
            Operation::Piece {
                size_in_bits,
                bit_offset,
            } => {
                let place = self.finish()?;
                self.pieces.push(Piece {
                    bits: size_in_bits,
                    offset: bit_offset.unwrap_or(0),
                    place,
                });
            }
            Operation::Register { register } => self.simple = Some(Place::Register(register.0)),
            Operation::ImplicitValue { data } => {
                let bytes = gimli::Reader::to_slice(&data).ok()?.into_owned();
                self.simple = Some(Place::Constant(bytes.into()));
            }
            Operation::StackValue => self.stack_value()?,
            Operation::ImplicitPointer { value, byte_offset } => {
                let target = self.around.variable(value).unwrap_or(Place::OptimizedOut);
                self.simple = Some(Place::ImplicitPointer(Box::new(target), byte_offset));
            }
            Operation::UnsignedConstant { value } => {
                self.push(Op::Constant(value), Number::Generic)
            }
            Operation::SignedConstant { value } => {
                self.push(Op::Constant(value.cast_unsigned()), Number::Generic);
            }
            Operation::Address { address } => self.push(Op::Static(address), Number::Generic),
            Operation::AddressIndex { index } => {
                let address = self.indexed(index)?;
                self.push(Op::Static(address), Number::Generic);
            }
            Operation::ConstantIndex { index } => {
                let value = self.indexed(index)?;
                self.push(Op::Constant(value), Number::Generic);
            }
            Operation::RegisterOffset {
                register,
                offset,
                base_type,
            } => {
                let number = self.number_type(base_type)?;
                self.push(Op::Register(register.0, offset), number);
                self.narrow();
            }
            Operation::FrameOffset { offset } => {
                let base = self.around.frame_base()?;
                self.ops.extend(base.ops);
                self.stack.push(Number::Generic);
                self.plus(offset.cast_unsigned());
            }
            Operation::CallFrameCFA => self.push(Op::FrameAddress(0), Number::Generic),
            Operation::PlusConstant { value } => {
                self.stack.last()?;
                self.plus(value);
                self.narrow();
            }
            Operation::PushObjectAddress => self.push(Op::Object, Number::Generic),
            Operation::TLS => match self.ops.pop()? {
                Op::Constant(offset) => self.ops.push(Op::ThreadLocal(offset)),
                _ => return None,
            },
            Operation::EntryValue { expression } => self.entry_value(expression)?,
            Operation::VariableValue { offset } => {
                let ops = self.around.number(offset)?;
                self.ops.extend(ops);
                self.stack.push(Number::Generic);
            }
            Operation::TypedLiteral { base_type, value } => self.literal(base_type, &value)?,
            Operation::Convert { base_type } => {
                let number = self.number_type(base_type)?;
                self.convert(number)?;
            }
            Operation::Reinterpret { base_type } => {
                let number = self.number_type(base_type)?;
                let from = self.stack.last_mut()?;
                if width(*from)? != width(number)? {
                    return None;
                }
                *from = number;
                self.narrow();
            }
            Operation::Deref {
                base_type,
                size,
                space,
            } => self.load(base_type, size, space)?,
            Operation::Drop => {
                self.without_long()?;
                self.stack.pop()?;
                self.ops.push(Op::Drop);
            }
            Operation::Pick { index } => {
                self.without_long()?;
                let at = self.stack.len().checked_sub(1 + usize::from(index))?;
                let number = *self.stack.get(at)?;
                self.push(Op::Pick(index), number);
            }
            Operation::Swap => {
                self.without_long()?;
                let top = self.stack.len().checked_sub(1)?;
                self.stack.swap(top.checked_sub(1)?, top);
                self.ops.push(Op::Swap);
            }
            Operation::Rot => {
                self.without_long()?;
                let top = self.stack.pop()?;
                let at = self.stack.len().checked_sub(2)?;
                self.stack.insert(at, top);
                self.ops.push(Op::Rotate);
            }
            Operation::Abs => self.unary(Unary::Abs)?,
            Operation::Neg => self.unary(Unary::Neg)?,
            Operation::Not => self.unary(Unary::Not)?,
            Operation::And => self.binary(Binary::And)?,
            Operation::Or => self.binary(Binary::Or)?,
            Operation::Xor => self.binary(Binary::Xor)?,
            Operation::Plus => self.binary(Binary::Plus)?,
            Operation::Minus => self.binary(Binary::Minus)?,
            Operation::Mul => self.binary(Binary::Mul)?,
            Operation::Div => self.binary(Binary::Div)?,
            Operation::Mod => self.binary(Binary::Mod)?,
            Operation::Shl => self.binary(Binary::Shl)?,
            Operation::Shr => self.binary(Binary::Shr)?,
            Operation::Shra => self.binary(Binary::Shra)?,
            Operation::Eq => self.compare(Binary::Eq)?,
            Operation::Ne => self.compare(Binary::Ne)?,
            Operation::Lt => self.compare(Binary::Lt)?,
            Operation::Le => self.compare(Binary::Le)?,
            Operation::Gt => self.compare(Binary::Gt)?,
            Operation::Ge => self.compare(Binary::Ge)?,
            Operation::Nop => {}
            // Jumps are handled before; the others need what a frame can't tell, or another machine.
            Operation::Uninitialized
            | Operation::Bra { .. }
            | Operation::Skip { .. }
            | Operation::Call { .. }
            | Operation::ParameterRef { .. }
            | Operation::WasmLocal { .. }
            | Operation::WasmGlobal { .. }
            | Operation::WasmStack { .. } => return None,
        }
        Some(())
    }

    fn stack_value(&mut self) -> Option<()> {
        let top = *self.stack.last()?;
        self.is_long = top == Number::Long;
        let is_known = !matches!(top, Number::Other);
        let is_vector = matches!(self.ops.as_slice(), [Op::Register(number, 0)] if *number >= XMM0);
        if is_known && !is_vector {
            self.is_value = true;
            return Some(());
        }
        // A number that nothing was done with is where it came from.
        match (self.ops.as_slice(), &self.simple) {
            ([Op::Register(number, 0)], None) => {
                self.simple = Some(Place::Register(*number));
                self.ops.clear();
            }
            ([], Some(Place::Constant(_))) => {}
            _ => return None,
        }
        Some(())
    }

    /// What a register had at the function's begin: of more, nobody could tell.
    fn entry_value(&mut self, expression: Slice) -> Option<()> {
        let mut operations = Expression(expression).operations(self.encoding());
        let (register, base_type) = match operations.next().ok()?? {
            Operation::Register { register } => (register, UnitOffset(0)),
            Operation::RegisterOffset {
                register,
                offset: 0,
                base_type,
            } => (register, base_type),
            _ => return None,
        };
        if operations.next().ok()?.is_some() {
            return None;
        }
        let number = self.number_type(base_type)?;
        if matches!(number, Number::Other | Number::Long) {
            return None;
        }
        self.push(Op::Entry(register.0), number);
        self.narrow();
        Some(())
    }

    fn literal(&mut self, base_type: UnitOffset<usize>, value: &Slice) -> Option<()> {
        let bytes = gimli::Reader::to_slice(value).ok()?.into_owned();
        match self.number_type(base_type)? {
            Number::Other => {
                self.simple = Some(Place::Constant(bytes.into()));
                self.stack.push(Number::Other);
            }
            Number::Long => {
                let (mantissa, behind) = bytes.split_first_chunk()?;
                let exponent = behind.first_chunk()?;
                self.ops.extend([
                    Op::Constant(u64::from_le_bytes(*mantissa)),
                    Op::Constant(u16::from_le_bytes(*exponent).into()),
                ]);
                self.stack.push(Number::Long);
            }
            number => {
                let mut raw = [0; 8];
                raw.get_mut(..bytes.len())?.copy_from_slice(&bytes);
                self.push(Op::Constant(u64::from_le_bytes(raw)), number);
                self.narrow();
            }
        }
        Some(())
    }

    fn load(&mut self, base_type: UnitOffset<usize>, size: u8, space: bool) -> Option<()> {
        let is_address = !matches!(
            self.stack.pop()?,
            Number::Other | Number::Long | Number::Float(_)
        );
        if space || size == 0 || size > 16 || !is_address {
            return None;
        }
        let number = self.number_type(base_type)?;
        match number {
            Number::Other => return None,
            Number::Long => {
                self.ops
                    .extend([Op::Pick(0), Op::Load(8), Op::Swap, Op::Plus(8), Op::Load(2)]);
                self.stack.push(Number::Long);
            }
            _ if size > 8 => return None,
            Number::Integer {
                is_signed: true, ..
            } => self.push(Op::LoadSigned(size), number),
            _ => self.push(Op::Load(size), number),
        }
        Some(())
    }

    fn plus(&mut self, value: u64) {
        match self.ops.last_mut() {
            Some(Op::Register(_, offset) | Op::FrameAddress(offset)) => {
                *offset = offset.wrapping_add(value.cast_signed());
            }
            Some(Op::Static(address)) => *address = address.wrapping_add(value),
            _ if value == 0 => {}
            _ => self.ops.push(Op::Plus(value)),
        }
    }

    fn unary(&mut self, operator: Unary) -> Option<()> {
        match (*self.stack.last()?, operator) {
            (Number::Float(bytes), Unary::Neg) => self.ops.push(Op::Float(Float::Negate(bytes))),
            (Number::Float(bytes), Unary::Abs) => self.ops.push(Op::Float(Float::Absolute(bytes))),
            (Number::Other | Number::Float(_) | Number::Long, _) => return None,
            (Number::Generic | Number::Integer { .. }, _) => self.ops.push(Op::Unary(operator)),
        }
        self.narrow();
        Some(())
    }

    /// Gives the top another type.
    fn convert(&mut self, to: Number) -> Option<()> {
        let from = *self.stack.last()?;
        let mut float = |operation| self.ops.push(Op::Float(operation));
        match (from, to) {
            (Number::Other, _) | (_, Number::Other) => return None,
            (
                Number::Generic | Number::Integer { .. },
                Number::Generic | Number::Integer { .. },
            ) => {}
            (Number::Float(from), Number::Float(to)) => match (from, to) {
                (4, 8) => float(Float::Widen),
                (8, 4) => float(Float::Narrow),
                _ => {}
            },
            (
                Number::Integer {
                    is_signed: true, ..
                },
                Number::Float(to),
            ) => float(Float::FromSigned(to)),
            (Number::Generic | Number::Integer { .. }, Number::Float(to)) => {
                float(Float::FromUnsigned(to));
            }
            // What doesn't fit is not the same everywhere.
            (Number::Float(from), Number::Integer { bytes, is_signed }) => {
                if !is_signed && bytes == 8 {
                    return None;
                }
                float(Float::ToSigned(from, 8));
            }
            (Number::Float(_), Number::Generic) => return None,
            (Number::Long, Number::Long) => {}
            (Number::Long, Number::Float(8)) => float(Float::FromLong),
            (Number::Float(from), Number::Long) => {
                if from == 4 {
                    float(Float::Widen);
                }
                self.ops.extend([
                    Op::Pick(0),
                    Op::Float(Float::LongMantissa),
                    Op::Swap,
                    Op::Float(Float::LongExponent),
                ]);
            }
            (Number::Long, _) | (_, Number::Long) => return None,
        }
        *self.stack.last_mut()? = to;
        self.narrow();
        Some(())
    }

    /// Refuses where a long double is on the stack, which is two numbers for what only moves them.
    fn without_long(&self) -> Option<()> {
        (!self.stack.contains(&Number::Long)).then_some(())
    }

    fn binary(&mut self, operator: Binary) -> Option<()> {
        let right = self.stack.pop()?;
        let left = *self.stack.last()?;
        if let (Number::Float(bytes), Number::Float(other)) = (left, right) {
            self.ops.push(Op::Float(match operator {
                _ if bytes != other => return None,
                Binary::Plus => Float::Add(bytes),
                Binary::Minus => Float::Subtract(bytes),
                Binary::Mul => Float::Multiply(bytes),
                Binary::Div => Float::Divide(bytes),
                _ => return None,
            }));
            return Some(());
        }
        let is_signed = match left {
            Number::Integer { is_signed, .. } => Some(is_signed),
            _ => None,
        };
        let bytes = width(left).and(width(right)).and(width(left))?;
        match (operator, is_signed) {
            (Binary::Div, Some(false)) => self.ops.push(Op::Binary(Binary::DivUnsigned)),
            (Binary::Mod, Some(true)) => self.ops.extend([
                Op::Pick(1),
                Op::Pick(1),
                Op::Binary(Binary::Div),
                Op::Binary(Binary::Mul),
                Op::Binary(Binary::Minus),
            ]),
            // Shifts to the right are of the number without its sign, or with it, whatever the type says.
            (Binary::Shr, Some(true)) => self.ops.extend([
                Op::Swap,
                Op::Truncate(bytes, false),
                Op::Swap,
                Op::Binary(Binary::Shr),
            ]),
            (Binary::Shra, Some(false)) => self.ops.extend([
                Op::Swap,
                Op::Truncate(bytes, true),
                Op::Swap,
                Op::Binary(Binary::Shra),
            ]),
            _ => self.ops.push(Op::Binary(operator)),
        }
        self.narrow();
        Some(())
    }

    fn compare(&mut self, operator: Binary) -> Option<()> {
        let (right, left) = (self.stack.pop()?, self.stack.pop()?);
        width(left).and(width(right))?;
        let is_wide = matches!(
            left,
            Number::Integer {
                bytes: 8,
                is_signed: false
            }
        );
        if is_wide && !matches!(operator, Binary::Eq | Binary::Ne) {
            // Without sign, numbers of 8 bytes have their order with the sign the other way.
            for _ in 0..2 {
                self.ops
                    .extend([Op::Swap, Op::Constant(1 << 63), Op::Binary(Binary::Xor)]);
            }
        }
        self.push(Op::Binary(operator), Number::Generic);
        Some(())
    }

    /// Extends the top again by its type.
    fn narrow(&mut self) {
        if let Some(&Number::Integer { bytes, is_signed }) = self.stack.last()
            && bytes < 8
        {
            self.ops.push(Op::Truncate(bytes, is_signed));
        }
    }

    /// The type of numbers that is described at this place of the unit; 0: generic.
    fn number_type(&self, offset: UnitOffset<usize>) -> Option<Number> {
        if offset.0 == 0 {
            return Some(Number::Generic);
        }
        let entry = self.unit?.unit.entry(offset).ok()?;
        let bytes = entry.attr_value(gimli::DW_AT_byte_size)?.udata_value()?;
        let gimli::AttributeValue::Encoding(encoding) = entry.attr_value(gimli::DW_AT_encoding)?
        else {
            return None;
        };
        let is_signed = match encoding {
            gimli::DW_ATE_signed | gimli::DW_ATE_signed_char => true,
            gimli::DW_ATE_unsigned
            | gimli::DW_ATE_unsigned_char
            | gimli::DW_ATE_boolean
            | gimli::DW_ATE_address
            | gimli::DW_ATE_UTF => false,
            gimli::DW_ATE_float => {
                return Some(
                    match (bytes, text_of(self.unit?, &entry, gimli::DW_AT_name)) {
                        (4, _) => Number::Float(4),
                        (8, _) => Number::Float(8),
                        (16, Some(name)) if &*name == "long double" => Number::Long,
                        _ => Number::Other,
                    },
                );
            }
            _ => return Some(Number::Other),
        };
        Some(match u8::try_from(bytes) {
            Ok(bytes @ (1 | 2 | 4 | 8)) => Number::Integer { bytes, is_signed },
            _ => Number::Other,
        })
    }
}

fn width(number: Number) -> Option<u8> {
    match number {
        Number::Generic => Some(8),
        Number::Integer { bytes, .. } => Some(bytes),
        Number::Float(_) | Number::Long | Number::Other => None,
    }
}

/// A long double whose two numbers these ops leave.
fn long(ops: Vec<Op>) -> Place {
    let mut mantissa = ops.clone();
    mantissa.push(Op::Drop);
    let piece = |bytes: u64, place| Piece {
        bits: 8 * bytes,
        offset: 0,
        place,
    };
    Place::Pieces(vec![
        piece(8, Place::Value(Address { ops: mantissa })),
        piece(2, Place::Value(Address { ops })),
        piece(6, Place::Constant([0; 6].into())),
    ])
}
