//! DWARF's expressions, as places.
//!
//! DWARF's stack may have numbers of base types, which its operators treat by type; [`Op`]s know 64-bit numbers only. What types a
//! stack has is the same whatever the numbers are, so it's known here, and numbers of narrower types are kept extended to 64 bits.
//! What can't be done that way (arithmetic on long doubles, mostly) is given up: the place is then [`Place::OptimizedOut`].

use gimli::{DebugAddrIndex, DebugInfoOffset, Encoding, Expression, Format, Operation, UnitOffset};

use super::sections::Slice;
use super::units::Unit;
use crate::{Address, Binary, Op, Piece, Place, Unary};

use typed::{Number, width};

mod typed;

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

pub struct Translation<'a> {
    /// `None`: it stands in no unit.
    pub unit: Option<&'a Unit>,
    around: &'a dyn Surroundings,
    pub ops: Vec<Op>,
    pub stack: Vec<Number>,
    /// A description that is no computation.
    pub simple: Option<Place>,
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

    pub fn push(&mut self, op: Op, number: Number) {
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
