//! A processor that knows where its numbers come from.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};

use super::floating::{Half, Long};
use super::stores::Stores;
use crate::unwind::KEPT;
use crate::{Address, DebugFile, Op, Place};

/// Steps of a computation, at most.
pub const OPS_MAX: usize = 96;

/// Instructions between the hook and the end, at most.
const STEPS_MAX: usize = 128;

/// Bytes of code that are read at a time.
const CODE_BYTES: usize = 256;

/// Number of the stack pointer.
pub const RSP: u16 = 7;

/// What a register holds, as steps from what the hook finds; `None`: nobody knows.
pub type Symbol = Option<Vec<Op>>;

/// What is known behind the hook's call.
pub struct Machine<'a> {
    pub file: &'a DebugFile,
    /// By DWARF's numbers.
    pub integers: [Symbol; 16],
    /// Bytes of each that are known.
    pub widths: [u8; 16],
    /// Low and high 8 bytes of each.
    pub vectors: [[Half; 2]; 16],
    /// The old floating-point stack; its top is the last.
    pub longs: Vec<Option<Long>>,
    pub stores: Stores,
    /// What was compared last: two numbers, and their bytes.
    pub flags: Option<(Vec<Op>, Vec<Op>, u8)>,
    /// The flags say whether the stack is still whole.
    checks_stack: bool,
    information: InstructionInfoFactory,
}

impl<'a> Machine<'a> {
    pub fn new(file: &'a DebugFile) -> Self {
        let mut integers = [const { None }; 16];
        for number in KEPT.into_iter().chain([RSP]) {
            if let Some(place) = integers.get_mut(usize::from(number)) {
                *place = Some(vec![Op::Register(number, 0)]);
            }
        }
        Self {
            file,
            integers,
            widths: [8; 16],
            vectors: [const { [const { None }; 2] }; 16],
            longs: Vec::new(),
            stores: Stores::default(),
            flags: None,
            checks_stack: false,
            information: InstructionInfoFactory::new(),
        }
    }

    /// Follows the code to the function's end; `None`: it isn't reached, or what lies behind pointers may be another there.
    pub fn run(&mut self, address: u64) -> Option<()> {
        let mut at = address;
        let mut steps = 0;
        'jumped: loop {
            let code = self.file.code(at, CODE_BYTES);
            let mut decoder = Decoder::with_ip(64, &code, at, DecoderOptions::NONE);
            while decoder.can_decode() {
                let step = decoder.decode();
                steps += 1;
                if steps > STEPS_MAX || step.is_invalid() {
                    return None;
                }
                match step.mnemonic() {
                    Mnemonic::Ret => {
                        let stack_pointer = self.integer_at(RSP).map(Vec::as_slice);
                        return self.stores.are_own(stack_pointer).then_some(());
                    }
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
        if step.flow_control() != FlowControl::Next {
            return None;
        }
        let is_checked = step.segment_prefix() == Register::FS
            && matches!(
                step.mnemonic(),
                Mnemonic::Sub | Mnemonic::Xor | Mnemonic::Cmp
            );
        let is_understood = self.on_integers(step).is_some()
            || self.on_vectors(step).is_some()
            || self.on_longs(step).is_some();
        if !is_understood {
            self.lose(step);
        }
        // What changes the flags ends what was compared.
        if !matches!(step.mnemonic(), Mnemonic::Cmp | Mnemonic::Test) && step.rflags_modified() != 0
        {
            self.flags = None;
        }
        self.checks_stack = is_checked;
        Some(())
    }

    /// Whatever it does, what it writes isn't known any more.
    fn lose(&mut self, step: &Instruction) {
        let is_write = |access| {
            matches!(
                access,
                OpAccess::Write
                    | OpAccess::CondWrite
                    | OpAccess::ReadWrite
                    | OpAccess::ReadCondWrite
            )
        };
        let used = self.information.info(step);
        let written: Vec<Register> = used
            .used_registers()
            .iter()
            .filter(|used| is_write(used.access()))
            .map(|used| used.register())
            .collect();
        let writes = used
            .used_memory()
            .iter()
            .filter(|used| is_write(used.access()))
            .count();
        for register in written {
            if let Some(number) = number_of(register) {
                self.integers[number] = None;
                self.widths[number] = 8;
            }
            if let Some(vector) = self.vector_of(register) {
                *vector = [None, None];
            }
            if register.is_st() {
                self.longs.clear();
            }
        }
        // One place, of so many bytes, if it is an operand.
        let bytes = step.memory_size().size() as u64;
        match (writes, bytes) {
            (0, _) => {}
            (1, 1..) => {
                let address = self.memory(step);
                self.stores.add(address, bytes, None);
            }
            _ => self.stores.add(None, 0, None),
        }
    }

    /// The address that an instruction's memory operand has.
    pub fn memory(&self, step: &Instruction) -> Symbol {
        if step.segment_prefix() == Register::FS || step.segment_prefix() == Register::GS {
            return None;
        }
        self.address(step)
    }

    /// What lies at an address when an instruction loads it: what the hook found, or what was stored since.
    pub fn loaded(&self, address: Symbol, bytes: u64) -> Symbol {
        let address = address?;
        if let Some(stored) = self.stores.at(&address, bytes) {
            return stored;
        }
        let width = u8::try_from(bytes).ok().filter(|bytes| *bytes <= 8)?;
        if let [Op::Static(at)] = address.as_slice()
            && let Some(number) = self.file.constant(*at, width)
        {
            return Some(vec![Op::Constant(number)]);
        }
        let mut ops = address;
        ops.push(Op::Load(width));
        short(ops)
    }

    /// What an address in rax leads to, if nothing was written since that may lie there.
    pub fn pointer(&self) -> Symbol {
        self.known(Register::RAX)
    }

    /// What a register, or a part of one, holds.
    pub fn known(&self, register: Register) -> Symbol {
        let number = number_of(register)?;
        let is_whole = register.size() <= usize::from(*self.widths.get(number)?);
        self.integers
            .get(number)?
            .clone()
            .filter(|_| is_whole && !is_high(register))
    }

    /// Gives a register, or a part of one, another value.
    pub fn set(&mut self, register: Register, value: Symbol) {
        let Some(number) = number_of(register) else {
            return;
        };
        let (Some(place), Some(width)) =
            (self.integers.get_mut(number), self.widths.get_mut(number))
        else {
            return;
        };
        let was_zero = place.as_deref() == Some(&[Op::Constant(0)]) && *width == 8;
        // Of a part of a register the rest stays, of which nothing is known but if it is zero.
        (*place, *width) = match register.size() {
            4 | 8 => (value, 8),
            1 if !is_high(register) => (value, if was_zero { 8 } else { 1 }),
            2 => (value, if was_zero { 8 } else { 2 }),
            _ => (None, 8),
        };
    }

    pub fn integer_at(&self, number: u16) -> Option<&Vec<Op>> {
        self.integers.get(usize::from(number))?.as_ref()
    }

    /// The value in rax (0) or rdx (1).
    pub fn integer(&self, number: u16, bytes: u64) -> Option<Place> {
        let ops = self.integer_at(number)?;
        if bytes > u64::from(*self.widths.get(usize::from(number))?) {
            return None;
        }
        if let [Op::Register(register, 0)] = ops.as_slice() {
            return Some(Place::Register(*register));
        }
        Some(Place::Value(Address { ops: ops.clone() }))
    }
}

/// Ops, if they are not too many.
pub fn short(ops: Vec<Op>) -> Symbol {
    (ops.len() <= OPS_MAX).then_some(ops)
}

pub fn plus(mut ops: Vec<Op>, amount: u64) -> Vec<Op> {
    match ops.last_mut() {
        Some(Op::Register(_, offset)) => *offset = offset.wrapping_add(amount.cast_signed()),
        Some(Op::Constant(number) | Op::Static(number)) => *number = number.wrapping_add(amount),
        _ if amount == 0 => {}
        _ => ops.push(Op::Plus(amount)),
    }
    ops
}

pub fn is_same(step: &Instruction) -> bool {
    step.op_count() == 2
        && step.op0_kind() == OpKind::Register
        && step.op1_kind() == OpKind::Register
        && step.op0_register() == step.op1_register()
}

pub fn is_high(register: Register) -> bool {
    matches!(
        register,
        Register::AH | Register::BH | Register::CH | Register::DH
    )
}

/// DWARF's number of the integer register that this is, or a part of.
pub fn number_of(register: Register) -> Option<usize> {
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
