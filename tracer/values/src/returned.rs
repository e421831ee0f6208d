//! Where a function's returned value is while its exit hook is called: no debug information says it, but the instructions from there
//! to the function's end do. They are followed with a symbol for each register; what isn't understood ends it.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use crate::unwind::KEPT;
use crate::{
    Address, Binary, DebugFile, Encoding, Kind, Offset, Op, Piece, Place, TypeId, Types, Unary,
};

/// Steps of a computation, at most.
const OPS_MAX: usize = 48;

/// Instructions between the hook and the end, at most.
const STEPS_MAX: usize = 96;

/// Bytes of code that are read at a time.
const CODE_BYTES: usize = 256;

/// Number of the stack pointer.
const RSP: u16 = 7;

/// The place of the returned value of type `of` at the call that returns to `address`.
pub fn place(file: &mut DebugFile, address: u64, of: TypeId) -> Place {
    find(file, address, of).unwrap_or(Place::OptimizedOut)
}

fn find(file: &mut DebugFile, address: u64, of: TypeId) -> Option<Place> {
    let is_by_reference = file.is_by_reference(of);
    let class = classify(file.types(), of, is_by_reference)?;
    let mut machine = Machine::new();
    machine.run(file, address)?;
    match class {
        Class::Memory => Some(Place::Memory(Address {
            ops: machine.known(Register::RAX)?,
        })),
        Class::Long => machine.x87,
        Class::Parts(parts) => {
            let (mut integers, mut vectors) = ([0, 1].into_iter(), [0, 1].into_iter());
            let mut pieces = Vec::new();
            for (kind, bytes) in parts {
                let place = match kind {
                    Part::Integer => machine.integer(integers.next()?, bytes)?,
                    Part::Vector => machine.vector(vectors.next()?, bytes)?,
                };
                pieces.push(Piece {
                    bits: 8 * bytes,
                    offset: 0,
                    place,
                });
            }
            match pieces.len() {
                1 => pieces.pop().map(|piece| piece.place),
                _ => Some(Place::Pieces(pieces)),
            }
        }
    }
}

/// How a value is returned, after the System V ABI.
enum Class {
    /// In memory, whose address is in rax.
    Memory,
    /// On the old floating-point stack.
    Long,
    /// In registers: bytes of each.
    Parts(Vec<(Part, u64)>),
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Integer,
    Vector,
}

fn classify(types: &Types, of: TypeId, is_by_reference: Option<bool>) -> Option<Class> {
    let size = types.size(of)?;
    let (_, found) = types.bare(of)?;
    match &found.kind {
        Kind::Record { .. } => {
            if size > 16 || is_by_reference == Some(true) {
                return Some(Class::Memory);
            }
            // Whether it has a constructor for copies decides, and nothing says so.
            if is_by_reference.is_none() || size == 0 {
                return None;
            }
            let mut parts = [None; 2];
            mark(types, of, 0, &mut parts, 8)?;
            let mut classes = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                let bytes = size.saturating_sub(8 * index as u64).min(8);
                if bytes > 0 {
                    classes.push(((*part)?, bytes));
                }
            }
            Some(Class::Parts(classes))
        }
        Kind::Base(Encoding::Float) if size == 16 && found.name.contains("long double") => {
            Some(Class::Long)
        }
        Kind::Base(Encoding::Float) if size <= 8 => Some(Class::Parts(vec![(Part::Vector, size)])),
        Kind::Base(Encoding::ComplexFloat) if size == 8 => {
            Some(Class::Parts(vec![(Part::Vector, 8)]))
        }
        Kind::Base(Encoding::ComplexFloat) if size == 16 => {
            Some(Class::Parts(vec![(Part::Vector, 8), (Part::Vector, 8)]))
        }
        Kind::Base(
            Encoding::Boolean
            | Encoding::Signed
            | Encoding::Unsigned
            | Encoding::SignedChar
            | Encoding::UnsignedChar
            | Encoding::Utf,
        )
        | Kind::Enum { .. }
        | Kind::Pointer(_)
        | Kind::Reference(_)
        | Kind::MemberPointer(_) => match size {
            1..=8 => Some(Class::Parts(vec![(Part::Integer, size)])),
            16 => Some(Class::Parts(vec![(Part::Integer, 8), (Part::Integer, 8)])),
            _ => None,
        },
        _ => None,
    }
}

/// Marks what the eight bytes of a record's halves hold. `None`: something that has rules of its own.
fn mark(
    types: &Types,
    of: TypeId,
    at: u64,
    parts: &mut [Option<Part>; 2],
    nested: u8,
) -> Option<()> {
    let nested = nested.checked_sub(1)?;
    let size = types.size(of)?;
    let (_, found) = types.bare(of)?;
    let mut note = |from: u64, bytes: u64, part: Part| {
        for half in from / 8..(from + bytes.max(1)).div_ceil(8) {
            let place = parts.get_mut(usize::try_from(half).ok()?)?;
            // One integer in them makes it all an integer.
            *place = match *place {
                Some(Part::Integer) => Some(Part::Integer),
                _ => Some(part),
            };
        }
        Some(())
    };
    match &found.kind {
        Kind::Base(Encoding::Float | Encoding::ComplexFloat) => {
            if size > 8 {
                return None;
            }
            note(at, size, Part::Vector)
        }
        Kind::Base(_)
        | Kind::Enum { .. }
        | Kind::Pointer(_)
        | Kind::Reference(_)
        | Kind::MemberPointer(_) => note(at, size, Part::Integer),
        Kind::Array {
            element,
            is_vector: false,
            ..
        } => {
            let step = types.size(*element)?.max(1);
            for index in 0..size / step {
                mark(types, *element, at + index * step, parts, nested)?;
            }
            Some(())
        }
        Kind::Record { bases, members, .. } => {
            for base in bases {
                let Offset::Fixed(offset) = base.offset else {
                    return None;
                };
                // Empty ones hold nothing.
                if types.size(base.of)? > 1 || has_members(types, base.of) {
                    mark(types, base.of, at + offset, parts, nested)?;
                }
            }
            for member in members {
                if let Some((first, bits)) = member.bits {
                    let from = 8 * at + first;
                    let bytes = (from + bits).div_ceil(8) - from / 8;
                    for half in from / 64..(from / 8 + bytes).div_ceil(8) {
                        *parts.get_mut(usize::try_from(half).ok()?)? = Some(Part::Integer);
                    }
                    continue;
                }
                let Offset::Fixed(offset) = member.offset else {
                    return None;
                };
                mark(types, member.of, at + offset, parts, nested)?;
            }
            Some(())
        }
        _ => None,
    }
}

fn has_members(types: &Types, of: TypeId) -> bool {
    match types.bare(of).map(|(_, found)| &found.kind) {
        Some(Kind::Record { members, bases, .. }) => {
            !members.is_empty() || bases.iter().any(|base| has_members(types, base.of))
        }
        _ => false,
    }
}

/// What a register holds, as steps from what the hook finds; `None`: nobody knows.
type Symbol = Option<Vec<Op>>;

struct Machine {
    /// By DWARF's numbers.
    integers: [Symbol; 16],
    /// Bytes of each that are known.
    widths: [u8; 16],
    /// The low 16 bytes: where they are loaded from, or an integer that was moved there; how many bytes.
    vectors: [Option<(Moved, u64)>; 2],
    x87: Option<Place>,
    /// What was compared last: two numbers, and their bytes.
    flags: Option<(Vec<Op>, Vec<Op>, u8)>,
    /// The flags say whether the stack is still whole.
    checks_stack: bool,
}

#[derive(Clone)]
enum Moved {
    From(Vec<Op>),
    Integer(Vec<Op>),
    Zero,
}

impl Machine {
    fn new() -> Self {
        let mut integers = [const { None }; 16];
        for number in KEPT.into_iter().chain([RSP]) {
            if let Some(place) = integers.get_mut(usize::from(number)) {
                *place = Some(vec![Op::Register(number, 0)]);
            }
        }
        Self {
            integers,
            widths: [8; 16],
            vectors: [const { None }; 2],
            x87: None,
            flags: None,
            checks_stack: false,
        }
    }

    /// Follows the code to the function's end; `None`: it isn't reached.
    fn run(&mut self, file: &DebugFile, address: u64) -> Option<()> {
        let mut at = address;
        let mut steps = 0;
        'jumped: loop {
            let code = file.code(at, CODE_BYTES);
            let mut decoder = Decoder::with_ip(64, &code, at, DecoderOptions::NONE);
            while decoder.can_decode() {
                let step = decoder.decode();
                steps += 1;
                if steps > STEPS_MAX || step.is_invalid() {
                    return None;
                }
                match step.mnemonic() {
                    Mnemonic::Ret => return Some(()),
                    Mnemonic::Jmp if step.op0_kind() == OpKind::NearBranch64 => {
                        at = step.near_branch64();
                        continue 'jumped;
                    }
                    // The other way ends the program.
                    Mnemonic::Jne | Mnemonic::Je if self.checks_stack => {
                        if step.mnemonic() == Mnemonic::Je {
                            at = step.near_branch64();
                            continue 'jumped;
                        }
                    }
                    _ => self.step(&step)?,
                }
                at = step.next_ip();
            }
            if code.is_empty() {
                return None;
            }
        }
    }

    fn step(&mut self, step: &Instruction) -> Option<()> {
        let is_checked = step.segment_prefix() == Register::FS
            && matches!(
                step.mnemonic(),
                Mnemonic::Sub | Mnemonic::Xor | Mnemonic::Cmp
            );
        match step.mnemonic() {
            Mnemonic::Nop | Mnemonic::Endbr64 | Mnemonic::Vzeroupper => {}
            Mnemonic::Cmp | Mnemonic::Test => self.compared(step),
            Mnemonic::Mov => self.moved(step)?,
            Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd => self.extended(step)?,
            Mnemonic::Lea => {
                let address = self.address(step);
                let size = step.op0_register().size();
                self.set(step.op0_register(), address.map(|ops| narrowed(ops, size)))?;
            }
            Mnemonic::Xor if is_same(step) => {
                self.set(step.op0_register(), Some(vec![Op::Constant(0)]))?;
            }
            Mnemonic::Add | Mnemonic::Sub if is_immediate(step.op1_kind()) => {
                self.added(step)?;
            }
            Mnemonic::Add
            | Mnemonic::Sub
            | Mnemonic::And
            | Mnemonic::Or
            | Mnemonic::Xor
            | Mnemonic::Imul
            | Mnemonic::Shl
            | Mnemonic::Shr
            | Mnemonic::Sar
            | Mnemonic::Neg
            | Mnemonic::Not
                if step.op0_kind() == OpKind::Register
                    && number_of(step.op0_register()).is_some()
                    && !is_high(step.op0_register()) =>
            {
                // The long multiplication writes two registers, and names neither.
                if step.op_count() == 1 && step.mnemonic() == Mnemonic::Imul {
                    return None;
                }
                let value = self.computed(step);
                let size = step.op0_register().size();
                let value = value.filter(|ops| ops.len() <= OPS_MAX);
                self.set(step.op0_register(), value.map(|ops| narrowed(ops, size)))?;
            }
            Mnemonic::Cdqe => {
                let value = self.integer_at(0).cloned();
                let value = value.map(|mut ops| {
                    ops.push(Op::Truncate(4, true));
                    ops
                });
                self.set(Register::RAX, value)?;
            }
            Mnemonic::Sete
            | Mnemonic::Setne
            | Mnemonic::Setl
            | Mnemonic::Setle
            | Mnemonic::Setg
            | Mnemonic::Setge
            | Mnemonic::Setb
            | Mnemonic::Setbe
            | Mnemonic::Seta
            | Mnemonic::Setae
                if step.op0_kind() == OpKind::Register =>
            {
                let value = self.condition(step.mnemonic());
                self.set(step.op0_register(), value)?;
            }
            Mnemonic::Pop => {
                let loaded = self.integer_at(RSP)?.clone();
                self.set(step.op0_register(), loaded_of(Some(loaded), 8))?;
                self.move_stack(8)?;
            }
            Mnemonic::Leave => {
                let base = self.integer_at(6)?.clone();
                *self.integers.get_mut(7)? = Some(base.clone());
                *self.integers.get_mut(6)? = loaded_of(Some(base), 8);
                self.move_stack(8)?;
            }
            Mnemonic::Movss
            | Mnemonic::Movsd
            | Mnemonic::Movaps
            | Mnemonic::Movapd
            | Mnemonic::Movups
            | Mnemonic::Movupd
            | Mnemonic::Movdqa
            | Mnemonic::Movdqu
            | Mnemonic::Movq
            | Mnemonic::Movd
            | Mnemonic::Vmovss
            | Mnemonic::Vmovsd
            | Mnemonic::Vmovaps
            | Mnemonic::Vmovq
            | Mnemonic::Vmovd => self.moved_vector(step)?,
            Mnemonic::Pxor | Mnemonic::Xorps | Mnemonic::Xorpd if is_same(step) => {
                if let Some(vector) = self.vector_of(step.op0_register()) {
                    *vector = Some((Moved::Zero, 16));
                }
            }
            Mnemonic::Fld if step.op0_kind() == OpKind::Memory => {
                // Only the long form is returned as it lies there.
                let address = self.memory(step);
                self.x87 = address
                    .filter(|_| step.memory_size() == iced_x86::MemorySize::Float80)
                    .map(|ops| Place::Memory(Address { ops }));
            }
            // Anything else that only changes one register loses it; what writes memory or calls ends it.
            _ if step.op0_kind() == OpKind::Register && is_plain(step.mnemonic()) => {
                self.set(step.op0_register(), None)?;
            }
            _ => return None,
        }
        // What changes the flags ends what was compared.
        if !matches!(step.mnemonic(), Mnemonic::Cmp | Mnemonic::Test) && step.rflags_modified() != 0
        {
            self.flags = None;
        }
        self.checks_stack = is_checked;
        Some(())
    }

    fn moved(&mut self, step: &Instruction) -> Option<()> {
        let size = step.op0_register().size();
        match (step.op0_kind(), step.op1_kind()) {
            (OpKind::Register, OpKind::Register) => {
                let from = step.op1_register();
                let value = self.known(from);
                self.set(step.op0_register(), value.map(|ops| narrowed(ops, size)))
            }
            (OpKind::Register, OpKind::Memory) => {
                let loaded = loaded_of(self.memory(step), size);
                self.set(step.op0_register(), loaded)
            }
            (OpKind::Register, kind) if is_immediate(kind) => {
                let value = match size {
                    8 => step.immediate(1),
                    _ => step.immediate(1) & ((1 << (8 * size)) - 1),
                };
                self.set(step.op0_register(), Some(vec![Op::Constant(value)]))
            }
            _ => None,
        }
    }

    fn extended(&mut self, step: &Instruction) -> Option<()> {
        let is_signed = step.mnemonic() != Mnemonic::Movzx;
        let to = step.op0_register();
        let value = match step.op1_kind() {
            OpKind::Register => {
                let from = step.op1_register();
                let bytes = u8::try_from(from.size()).ok()?;
                let value = self.known(from);
                value.map(|mut ops| {
                    ops.push(Op::Truncate(bytes, is_signed));
                    ops
                })
            }
            OpKind::Memory => {
                let bytes = u8::try_from(step.memory_size().size()).ok()?;
                self.memory(step).map(|mut ops| {
                    ops.push(match is_signed {
                        true => Op::LoadSigned(bytes),
                        false => Op::Load(bytes),
                    });
                    ops
                })
            }
            _ => return None,
        };
        self.set(to, value.map(|ops| narrowed(ops, to.size())))
    }

    fn added(&mut self, step: &Instruction) -> Option<()> {
        let to = step.op0_register();
        if step.op0_kind() != OpKind::Register {
            return None;
        }
        let amount = match step.mnemonic() {
            Mnemonic::Add => step.immediate(1),
            _ => step.immediate(1).wrapping_neg(),
        };
        let value = self.known(to);
        let size = to.size();
        let sum = value.map(|ops| narrowed(plus(ops, amount), size));
        self.set(to, sum)
    }

    /// An operand of an instruction on integers, as wide as its first.
    fn operand(&self, step: &Instruction, index: u32) -> Symbol {
        let size = step.op0_register().size();
        match step.op_kind(index) {
            OpKind::Register => self.known(step.op_register(index)),
            OpKind::Memory => loaded_of(self.memory(step), size),
            kind if is_immediate(kind) => Some(vec![Op::Constant(step.immediate(index))]),
            _ => None,
        }
    }

    /// What an operation on integers gives.
    fn computed(&self, step: &Instruction) -> Symbol {
        let bytes = u8::try_from(step.op0_register().size()).ok()?;
        let (first, second) = match step.op_count() {
            3 => (1, Some(2)),
            2 => (0, Some(1)),
            _ => (0, None),
        };
        let mut ops = self.operand(step, first)?;
        let operator = match step.mnemonic() {
            Mnemonic::Neg => {
                ops.push(Op::Unary(Unary::Neg));
                return Some(ops);
            }
            Mnemonic::Not => {
                ops.push(Op::Unary(Unary::Not));
                return Some(ops);
            }
            Mnemonic::Add => Binary::Plus,
            Mnemonic::Sub => Binary::Minus,
            Mnemonic::And => Binary::And,
            Mnemonic::Or => Binary::Or,
            Mnemonic::Xor => Binary::Xor,
            Mnemonic::Imul => Binary::Mul,
            Mnemonic::Shl | Mnemonic::Shr | Mnemonic::Sar => {
                // By a number that is known: the processor uses its low bits only.
                if !is_immediate(step.op1_kind()) {
                    return None;
                }
                let mask = if bytes == 8 { 63 } else { 31 };
                if bytes < 8 {
                    ops.push(Op::Truncate(bytes, step.mnemonic() == Mnemonic::Sar));
                }
                ops.push(Op::Constant(step.immediate(1) & mask));
                ops.push(Op::Binary(match step.mnemonic() {
                    Mnemonic::Shl => Binary::Shl,
                    Mnemonic::Shr => Binary::Shr,
                    _ => Binary::Shra,
                }));
                return Some(ops);
            }
            _ => return None,
        };
        ops.extend(self.operand(step, second?)?);
        ops.push(Op::Binary(operator));
        Some(ops)
    }

    fn compared(&mut self, step: &Instruction) {
        self.flags = None;
        if step.op0_kind() != OpKind::Register {
            return;
        }
        let Ok(bytes) = u8::try_from(step.op0_register().size()) else {
            return;
        };
        let left = self.operand(step, 0);
        let right = match step.mnemonic() {
            Mnemonic::Test if is_same(step) => Some(vec![Op::Constant(0)]),
            Mnemonic::Test => None,
            _ => self.operand(step, 1),
        };
        self.flags = left.zip(right).map(|(left, right)| (left, right, bytes));
    }

    /// Whether what was compared last is so.
    fn condition(&self, mnemonic: Mnemonic) -> Symbol {
        let (left, right, bytes) = self.flags.clone()?;
        let (operator, is_signed) = match mnemonic {
            Mnemonic::Sete => (Binary::Eq, true),
            Mnemonic::Setne => (Binary::Ne, true),
            Mnemonic::Setl => (Binary::Lt, true),
            Mnemonic::Setle => (Binary::Le, true),
            Mnemonic::Setg => (Binary::Gt, true),
            Mnemonic::Setge => (Binary::Ge, true),
            Mnemonic::Setb => (Binary::Lt, false),
            Mnemonic::Setbe => (Binary::Le, false),
            Mnemonic::Seta => (Binary::Gt, false),
            Mnemonic::Setae => (Binary::Ge, false),
            _ => return None,
        };
        if bytes == 8 && !is_signed {
            return None;
        }
        let mut ops = left;
        ops.push(Op::Truncate(bytes, is_signed));
        ops.extend(right);
        ops.push(Op::Truncate(bytes, is_signed));
        ops.push(Op::Binary(operator));
        (ops.len() <= OPS_MAX).then_some(ops)
    }

    /// What lea computes.
    fn address(&self, step: &Instruction) -> Symbol {
        if step.is_ip_rel_memory_operand() {
            return Some(vec![Op::Static(step.ip_rel_memory_address())]);
        }
        let of = |register: Register| self.known(register);
        let mut ops = match step.memory_base() {
            Register::None => vec![Op::Constant(0)],
            base => of(base)?,
        };
        if step.memory_index() != Register::None {
            ops.extend(of(step.memory_index())?);
            ops.push(Op::Constant(step.memory_index_scale().into()));
            ops.push(Op::Binary(Binary::Mul));
            ops.push(Op::Binary(Binary::Plus));
        }
        (ops.len() <= OPS_MAX).then(|| plus(ops, step.memory_displacement64()))
    }

    fn moved_vector(&mut self, step: &Instruction) -> Option<()> {
        let bytes = match step.mnemonic() {
            Mnemonic::Movss | Mnemonic::Movd | Mnemonic::Vmovss | Mnemonic::Vmovd => 4,
            Mnemonic::Movsd | Mnemonic::Movq | Mnemonic::Vmovsd | Mnemonic::Vmovq => 8,
            _ => 16,
        };
        // With a register more, what is moved is only a part.
        if step.op_count() != 2 || step.op0_kind() != OpKind::Register {
            return None;
        }
        let to = step.op0_register();
        let moved = match step.op1_kind() {
            OpKind::Memory => self.memory(step).map(Moved::From),
            OpKind::Register => {
                let from = step.op1_register();
                match self.vector_of(from).and_then(|vector| vector.clone()) {
                    Some((moved, there)) if there >= bytes => Some(moved),
                    _ => self.known(from).map(Moved::Integer),
                }
            }
            _ => return None,
        };
        if let Some(vector) = self.vector_of(to) {
            *vector = moved.map(|moved| (moved, bytes));
            return Some(());
        }
        match number_of(to) {
            Some(_) => {
                let value = match moved {
                    Some(Moved::From(mut ops)) => {
                        ops.push(Op::Load(u8::try_from(bytes).ok()?));
                        Some(ops)
                    }
                    Some(Moved::Integer(ops)) => Some(ops),
                    Some(Moved::Zero) => Some(vec![Op::Constant(0)]),
                    None => None,
                };
                self.set(to, value)
            }
            // Another vector register: not of interest.
            None => Some(()),
        }
    }

    /// The address that an instruction's memory operand has.
    fn memory(&self, step: &Instruction) -> Symbol {
        if step.segment_prefix() == Register::FS || step.segment_prefix() == Register::GS {
            return None;
        }
        if step.memory_index() != Register::None {
            return None;
        }
        if step.is_ip_rel_memory_operand() {
            return Some(vec![Op::Static(step.ip_rel_memory_address())]);
        }
        let base = step.memory_base();
        if base.size() != 8 {
            return None;
        }
        let ops = self.known(base)?;
        // What has to be loaded first is too far away to be sure of.
        let is_near = matches!(ops.as_slice(), [Op::Register(..)]);
        is_near.then(|| plus(ops, step.memory_displacement64()))
    }

    /// What a register, or a part of one, holds.
    fn known(&self, register: Register) -> Symbol {
        let number = number_of(register)?;
        let is_whole = register.size() <= usize::from(*self.widths.get(number)?);
        self.integers
            .get(number)?
            .clone()
            .filter(|_| is_whole && !is_high(register))
    }

    fn set(&mut self, register: Register, value: Symbol) -> Option<()> {
        let Some(number) = number_of(register) else {
            return Some(());
        };
        let place = self.integers.get_mut(number)?;
        let width = self.widths.get_mut(number)?;
        let was_zero = place.as_deref() == Some(&[Op::Constant(0)]) && *width == 8;
        // Of a part of a register the rest stays, of which nothing is known but if it is zero.
        (*place, *width) = match u8::try_from(register.size()).ok()? {
            4 | 8 => (value, 8),
            bytes @ (1 | 2) if !is_high(register) => (value, if was_zero { 8 } else { bytes }),
            _ => (None, 8),
        };
        Some(())
    }

    fn move_stack(&mut self, bytes: u64) -> Option<()> {
        let place = self.integers.get_mut(usize::from(RSP))?;
        *place = place.take().map(|ops| plus(ops, bytes));
        Some(())
    }

    fn integer_at(&self, number: u16) -> Option<&Vec<Op>> {
        self.integers.get(usize::from(number))?.as_ref()
    }

    fn vector_of(&mut self, register: Register) -> Option<&mut Option<(Moved, u64)>> {
        match register {
            Register::XMM0 => self.vectors.get_mut(0),
            Register::XMM1 => self.vectors.get_mut(1),
            _ => None,
        }
    }

    fn whole(&self, number: u16) -> Option<&[Op]> {
        self.integer_at(number).map(Vec::as_slice)
    }

    /// The value in rax (0) or rdx (1).
    fn integer(&self, number: u16, bytes: u64) -> Option<Place> {
        let ops = self.whole(number)?;
        if bytes > u64::from(*self.widths.get(usize::from(number))?) {
            return None;
        }
        if let [Op::Register(register, 0)] = ops {
            return Some(Place::Register(*register));
        }
        Some(Place::Value(Address { ops: ops.to_vec() }))
    }

    /// The value in xmm0 or xmm1.
    fn vector(&self, index: usize, bytes: u64) -> Option<Place> {
        let (moved, there) = self.vectors.get(index)?.as_ref()?;
        if *there < bytes {
            return None;
        }
        Some(match moved {
            Moved::From(ops) => Place::Memory(Address { ops: ops.clone() }),
            Moved::Integer(ops) => Place::Value(Address { ops: ops.clone() }),
            Moved::Zero => Place::Constant(vec![0; usize::try_from(bytes).ok()?].into()),
        })
    }
}

fn loaded_of(address: Symbol, bytes: usize) -> Symbol {
    let bytes = u8::try_from(bytes).ok()?;
    let mut ops = address?;
    ops.push(Op::Load(bytes));
    Some(ops)
}

fn plus(mut ops: Vec<Op>, amount: u64) -> Vec<Op> {
    match ops.last_mut() {
        Some(Op::Register(_, offset)) => *offset = offset.wrapping_add(amount.cast_signed()),
        Some(Op::Constant(number) | Op::Static(number)) => *number = number.wrapping_add(amount),
        _ if amount == 0 => {}
        _ => ops.push(Op::Plus(amount)),
    }
    ops
}

/// What 32-bit instructions leave of a number.
fn narrowed(mut ops: Vec<Op>, bytes: usize) -> Vec<Op> {
    if let Ok(bytes @ (1 | 2 | 4)) = u8::try_from(bytes) {
        ops.push(Op::Truncate(bytes, false));
    }
    ops
}

fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate8
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
}

fn is_same(step: &Instruction) -> bool {
    step.op_count() == 2
        && step.op0_kind() == OpKind::Register
        && step.op1_kind() == OpKind::Register
        && step.op0_register() == step.op1_register()
}

/// Instructions that write their first operand only, and no memory.
fn is_plain(mnemonic: Mnemonic) -> bool {
    matches!(
        mnemonic,
        Mnemonic::Adc | Mnemonic::Sbb | Mnemonic::Bsf | Mnemonic::Bsr | Mnemonic::Popcnt
    )
}

fn is_high(register: Register) -> bool {
    matches!(
        register,
        Register::AH | Register::BH | Register::CH | Register::DH
    )
}

/// DWARF's number of the integer register that this is, or a part of.
fn number_of(register: Register) -> Option<usize> {
    Some(match register.full_register() {
        Register::RAX => 0,
        Register::RDX => 1,
        Register::RCX => 2,
        Register::RBX => 3,
        Register::RSI => 4,
        Register::RDI => 5,
        Register::RBP => 6,
        Register::RSP => 7,
        Register::R8 => 8,
        Register::R9 => 9,
        Register::R10 => 10,
        Register::R11 => 11,
        Register::R12 => 12,
        Register::R13 => 13,
        Register::R14 => 14,
        Register::R15 => 15,
        _ => return None,
    })
}
