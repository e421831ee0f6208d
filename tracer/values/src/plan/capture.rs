//! What has to be captured so that variables can be read: registers, stack bytes, and memory at computed addresses.

use std::collections::BTreeMap;

use umbel_trace_ring::plan::Opcode;

use super::Wishes;
use super::program::{Program, op};
use super::registers::{is_at_hook, is_kept, is_vector};
use super::shape::Shapes;
use crate::unwind::{FrameAddress, Recipe};
use crate::{Address, Bound, Kind, Op as Step, Place, TypeId, Types, Variable};

/// Bytes of the stack that are copied as they are; more is a region, which a full payload leaves out.
const STACK_BYTES_MAX: u64 = 512;

/// Between two variables on the stack that are copied together.
const GAP_BYTES_MAX: i64 = 8;

/// Steps of one number at most.
const STEPS_MAX: usize = 256;

/// Computed regions of a plan at most.
const REGIONS_MAX: usize = 128;

/// Bytes of a payload that a range leaves for what else is captured.
const RANGE_ROOM_BYTES: u16 = 256;

/// Words of a frame that are kept for its head, and the number of its regions.
const HEAD_WORDS: usize = 4;

/// What a plan appends.
pub struct Capture<'a> {
    types: &'a Types,
    wishes: &'a Wishes,
    /// Register and offset of the canonical frame address.
    pub(super) frame_address: Option<(u16, i64)>,
    pub(super) bias: u64,
    /// By number: types of values in them.
    registers: BTreeMap<u16, Vec<TypeId>>,
    stack: Vec<Bytes>,
    regions: Vec<Region>,
    shapes: Shapes,
}

/// Bytes beside a register's address, and values in them.
#[derive(Clone, Debug)]
struct Bytes {
    base: u16,
    offset: i64,
    bytes: u64,
    values: Vec<(TypeId, u64)>,
}

/// Memory at a computed address: ops that push the address (and a count), bytes, bytes of an element, shape.
#[derive(PartialEq)]
struct Region {
    ops: Vec<u64>,
    bytes: u64,
    stride: u16,
    shape: u32,
}

impl<'a> Capture<'a> {
    pub fn new(types: &'a Types, wishes: &'a Wishes, recipe: Option<&Recipe>, bias: u64) -> Self {
        let frame_address = match recipe.map(|recipe| &recipe.frame_address) {
            Some(FrameAddress::Register(number, offset)) if is_kept(*number) => {
                Some((*number, *offset))
            }
            _ => None,
        };
        Self {
            types,
            wishes,
            frame_address,
            bias,
            registers: BTreeMap::new(),
            stack: Vec::new(),
            regions: Vec::new(),
            shapes: Shapes::new(wishes),
        }
    }

    /// The types of the file.
    pub fn types(&self) -> &Types {
        self.types
    }

    /// Captures what it takes to read a variable.
    pub fn variable(&mut self, variable: &Variable) {
        self.bounds(variable.of);
        self.place(&variable.place, Some(variable.of));
    }

    /// The same of elements that the user has named: all of them, as far as the payload has room.
    pub fn range(&mut self, variable: &Variable) {
        let room = self.wishes.payload_bytes.saturating_sub(RANGE_ROOM_BYTES);
        match (&variable.place, self.types.size(variable.of)) {
            (Place::Memory(address), Some(bytes)) => {
                self.computed(address, true);
                self.bytes(address, bytes.min(room.into()), vec![(variable.of, 0)]);
            }
            _ => self.variable(variable),
        }
    }

    /// Captures what it takes to find a place, or to compute a value.
    pub fn inputs(&mut self, place: &Place) {
        self.place(place, None);
    }

    fn place(&mut self, place: &Place, of: Option<TypeId>) {
        match place {
            Place::OptimizedOut | Place::Constant(_) => {}
            Place::Register(number) => self.register(*number, of),
            Place::Value(address) => {
                self.computed(address, false);
                self.pointed_to(address, of);
            }
            Place::Memory(address) => {
                self.computed(address, true);
                self.memory(address, of);
            }
            Place::ImplicitPointer(target, _) => {
                let pointee = of.and_then(|of| match self.types.bare(of)?.1.kind {
                    Kind::Pointer(target) | Kind::Reference(target) => Some(target),
                    _ => None,
                });
                self.place(target, pointee);
            }
            Place::Pieces(pieces) => {
                for piece in pieces {
                    match &piece.place {
                        Place::Memory(address) => {
                            self.computed(address, true);
                            let bytes = piece.offset.saturating_add(piece.bits).div_ceil(8);
                            self.bytes(address, bytes.min(STACK_BYTES_MAX), Vec::new());
                        }
                        other => self.place(other, None),
                    }
                }
            }
        }
    }

    fn register(&mut self, number: u16, of: Option<TypeId>) {
        if is_kept(number) || is_at_hook(number) {
            self.registers.entry(number).or_default().extend(of);
        }
    }

    /// Captures the variable itself.
    fn memory(&mut self, address: &Address, of: Option<TypeId>) {
        let Some(of) = of else {
            return;
        };
        let Some(bytes) = self.shapes.captured_bytes(self.types, of) else {
            self.variable_length(address, of);
            return;
        };
        self.bytes(address, bytes, vec![(of, 0)]);
    }

    /// Captures bytes that have these values in them.
    fn bytes(&mut self, address: &Address, bytes: u64, values: Vec<(TypeId, u64)>) {
        if bytes == 0 {
            return;
        }
        if let Some((base, offset)) = self.beside(&address.ops)
            && bytes <= STACK_BYTES_MAX
        {
            self.stack.push(Bytes {
                base,
                offset,
                bytes,
                values,
            });
            return;
        }
        let shape = self
            .shapes
            .of_values(self.types, &values, self.wishes.depth);
        self.region(&address.ops, None, bytes, 0, shape);
    }

    /// Captures an array whose length is known at run time.
    fn variable_length(&mut self, address: &Address, of: TypeId) {
        let Some((_, found)) = self.types.bare(of) else {
            return;
        };
        let Kind::Array {
            element,
            dimensions,
            ..
        } = &found.kind
        else {
            return;
        };
        // Rows of a fixed length, or single elements.
        let Some((first, rows)) = dimensions.split_first() else {
            return;
        };
        let row = rows.iter().try_fold(1_u64, |row, next| match next.count {
            Bound::Fixed(count) => row.checked_mul(count),
            _ => None,
        });
        let size = self
            .types
            .size(*element)
            .zip(row)
            .and_then(|(size, row)| size.checked_mul(row))
            .and_then(|size| u16::try_from(size).ok());
        if let (Bound::Dynamic(count), Some(size @ 1..)) = (&first.count, size) {
            let most = u64::from(self.wishes.elements) * u64::from(size);
            let shape = self
                .shapes
                .of_value(self.types, *element, self.wishes.depth);
            self.region(&address.ops, Some(&count.ops), most, size, shape);
        }
    }

    /// A pointer that was computed leads to something too.
    fn pointed_to(&mut self, address: &Address, of: Option<TypeId>) {
        let Some((_, found)) = of.and_then(|of| self.types.bare(of)) else {
            return;
        };
        let (Kind::Pointer(target) | Kind::Reference(target)) = found.kind else {
            return;
        };
        let Some(depth) = self.wishes.depth.checked_sub(1) else {
            return;
        };
        if let Some(bytes) = self.shapes.captured_bytes(self.types, target)
            && bytes > 1
        {
            let shape = self.shapes.of_value(self.types, target, depth);
            self.region(&address.ops, None, bytes, 0, shape);
        }
    }

    /// Captures what steps take from registers and memory. `is_address`: what they give is read through.
    fn computed(&mut self, address: &Address, is_address: bool) {
        let steps = &address.ops;
        // Of each number on the stack, the steps that compute it; `None`: too many.
        let mut numbers: Vec<Option<Vec<Step>>> = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            match step {
                Step::Register(number, _) => {
                    let is_loaded = matches!(
                        steps.get(index + 1),
                        Some(Step::Load(_) | Step::LoadSigned(_))
                    );
                    let is_read_through = self.beside(std::slice::from_ref(step)).is_some()
                        && (is_loaded || is_address && steps.len() == 1);
                    if !is_read_through {
                        self.register(*number, None);
                    }
                    numbers.push(Some(vec![step.clone()]));
                }
                Step::Constant(_)
                | Step::Static(_)
                | Step::FrameAddress(_)
                | Step::ThreadLocal(_)
                | Step::Entry(_)
                | Step::Object => numbers.push(Some(vec![step.clone()])),
                Step::Load(bytes) | Step::LoadSigned(bytes) => {
                    let Some(number) = numbers.last_mut() else {
                        return;
                    };
                    if let Some(ops) = number.clone() {
                        self.bytes(&Address { ops }, (*bytes).into(), Vec::new());
                    }
                    extend(number, step);
                }
                Step::Plus(_) | Step::Unary(_) | Step::Truncate(..) => {
                    if let Some(number) = numbers.last_mut() {
                        extend(number, step);
                    }
                }
                Step::Float(operation) if operation.operands() == 1 => {
                    if let Some(number) = numbers.last_mut() {
                        extend(number, step);
                    }
                }
                Step::Binary(_) | Step::Float(_) => {
                    let second = numbers.pop().flatten();
                    let Some(first) = numbers.last_mut() else {
                        return;
                    };
                    *first = first.take().zip(second).and_then(|(mut steps, second)| {
                        steps.extend(second);
                        (steps.len() <= STEPS_MAX).then_some(steps)
                    });
                    extend(first, step);
                }
                Step::Pick(below) => {
                    let index = numbers.len().checked_sub(1 + usize::from(*below));
                    let copy = index.and_then(|index| numbers[index].clone());
                    numbers.push(copy);
                }
                Step::Drop => {
                    numbers.pop();
                }
                Step::Swap => {
                    if let [.., first, second] = numbers.as_mut_slice() {
                        std::mem::swap(first, second);
                    }
                }
                Step::Rotate => {
                    if let Some(at) = numbers.len().checked_sub(3) {
                        numbers[at..].rotate_right(1);
                    }
                }
                // What lies behind depends on the way taken.
                Step::Branch(_) | Step::Skip(_) => return,
            }
        }
    }

    /// Captures what it takes to know how long an array is.
    fn bounds(&mut self, mut of: TypeId) {
        for _ in 0..8 {
            let Some((_, found)) = self.types.bare(of) else {
                return;
            };
            match &found.kind {
                Kind::Pointer(target) | Kind::Reference(target) => of = *target,
                Kind::Array {
                    element,
                    dimensions,
                    ..
                } => {
                    for dimension in dimensions {
                        if let Bound::Dynamic(count) = &dimension.count {
                            self.computed(count, false);
                        }
                    }
                    of = *element;
                }
                _ => return,
            }
        }
    }

    /// Register and offset of an address that is no more than that.
    fn beside(&self, steps: &[Step]) -> Option<(u16, i64)> {
        match steps {
            [Step::Register(number, offset)] if is_kept(*number) && *number < 16 => {
                Some((*number, *offset))
            }
            [Step::FrameAddress(offset)] => {
                let (number, base) = self.frame_address?;
                Some((number, base.checked_add(*offset)?))
            }
            _ => None,
        }
    }

    fn region(
        &mut self,
        address: &[Step],
        count: Option<&[Step]>,
        bytes: u64,
        stride: u16,
        shape: u32,
    ) {
        let Ok(bytes) = u32::try_from(bytes) else {
            return;
        };
        let mut program = Program::new(self);
        if program.run(address).is_none() || program.depth() != 1 {
            return;
        }
        if let Some(count) = count
            && (program.run(count).is_none() || program.depth() != 2)
        {
            return;
        }
        let region = Region {
            ops: program.into_words(),
            bytes: bytes.into(),
            stride,
            shape,
        };
        if self.regions.len() < REGIONS_MAX && !self.regions.contains(&region) {
            self.regions.push(region);
        }
    }

    /// The ops, and the shapes that they name by number.
    pub fn finish(mut self) -> (Vec<u64>, Shapes) {
        let mut words = Vec::new();
        let mut room = usize::from(self.wishes.payload_bytes / 8).saturating_sub(HEAD_WORDS);
        let stack = merged(std::mem::take(&mut self.stack));
        let mut of_stack = Vec::new();
        for bytes in stack {
            let shape = self
                .shapes
                .of_values(self.types, &bytes.values, self.wishes.depth);
            of_stack.push((bytes, shape));
        }
        // Where pointers lead into the frame itself, its address has to be known.
        let follows = !self.regions.is_empty() || of_stack.iter().any(|(_, shape)| *shape != 0);
        for (bytes, _) in &of_stack {
            if follows {
                self.registers.entry(bytes.base).or_default();
            }
        }
        for (number, values) in std::mem::take(&mut self.registers) {
            let Some(rest) = room.checked_sub(1) else {
                break;
            };
            room = rest;
            if is_vector(number) {
                let Some(rest) = room.checked_sub(1) else {
                    break;
                };
                room = rest;
                words.push(op(Opcode::Vector, number, 0, 0));
                continue;
            }
            words.push(op(Opcode::Register, number, 0, 0));
            let values: Vec<_> = values.into_iter().map(|of| (of, 0)).collect();
            let shape = self
                .shapes
                .of_values(self.types, &values, self.wishes.depth);
            push_shape(&mut words, shape);
        }
        for (bytes, shape) in of_stack {
            let taken = usize::try_from(bytes.bytes.div_ceil(8)).unwrap_or(usize::MAX);
            let (Some(rest), Ok(offset), Ok(count)) = (
                room.checked_sub(taken),
                i32::try_from(bytes.offset),
                u16::try_from(bytes.bytes),
            ) else {
                continue;
            };
            room = rest;
            words.push(op(Opcode::Stack, bytes.base, count, offset));
            push_shape(&mut words, shape);
        }
        for region in &self.regions {
            words.extend(&region.ops);
            words.push(op(Opcode::Region, 0, region.stride, 0));
            words.push(region.bytes | u64::from(region.shape) << 32);
        }
        (words, self.shapes)
    }
}

fn extend(number: &mut Option<Vec<Step>>, step: &Step) {
    if let Some(steps) = number {
        steps.push(step.clone());
    }
}

/// Bytes that lie side by side, together.
fn merged(mut all: Vec<Bytes>) -> Vec<Bytes> {
    all.sort_by_key(|bytes| (bytes.base, bytes.offset));
    let mut merged: Vec<Bytes> = Vec::new();
    for bytes in all {
        if let Some(last) = merged.last_mut()
            && last.base == bytes.base
        {
            let distance = bytes.offset.saturating_sub(last.offset);
            let end = last.bytes.cast_signed();
            let new_end = distance.saturating_add(bytes.bytes.cast_signed()).max(end);
            if distance.saturating_sub(end) < GAP_BYTES_MAX
                && new_end <= STACK_BYTES_MAX.cast_signed()
            {
                last.bytes = new_end.cast_unsigned();
                let moved = bytes.values.into_iter();
                last.values
                    .extend(moved.map(|(of, at)| (of, at + distance.cast_unsigned())));
                continue;
            }
        }
        merged.push(bytes);
    }
    merged
}

fn push_shape(words: &mut Vec<u64>, shape: u32) {
    if shape != 0 {
        words.push(op(Opcode::Shape, 0, 0, 0));
        words.push(shape.into());
    }
}
