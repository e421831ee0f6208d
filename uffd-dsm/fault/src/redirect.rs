//! Which registers an instruction must see changed to use the engine view in place of the window.
//!
//! The last resort, where the kernel has no mappings left to show a page with: the handler adds the distance between
//! the two to the address registers, has the processor run that one instruction, and takes the distance off again. Without
//! the last step, other copies of the pointer would disagree with the register: compiled loops would run past their
//! ends.

use iced_x86::{Instruction, Mnemonic, OpAccess, OpKind, Register, UsedMemory};

use crate::decode::{self, RDI, RSI, Registers, Workspace};

/// A register that is changed for one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    /// Its number in encodings.
    pub(crate) register: usize,
    /// What is added.
    pub(crate) distance: usize,
    /// Bits that the instruction gives a new value: they have nothing to do with the address.
    pub(crate) overwritten: u64,
}

/// What one instruction needs: source and target.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moves {
    list: [Option<Move>; MOVES_MAX],
}

impl Moves {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Move> {
        self.list.iter().flatten()
    }

    /// `None`: the register is needed for something else.
    fn add(&mut self, new: Move) -> Option<()> {
        for place in &mut self.list {
            match place {
                Some(known) if known.register == new.register => {
                    return (known.distance == new.distance).then_some(());
                }
                Some(_) => {}
                None => {
                    *place = Some(new);
                    return Some(());
                }
            }
        }
        None
    }
}

/// The changes that make an instruction use the engine view. `distance`: how far it is from an address of the
/// window. `None` if that can't be done: a register is an address and a value at once.
pub(crate) fn moves(
    instruction: &Instruction,
    registers: &impl Registers,
    workspace: &mut Workspace,
    distance: impl Fn(usize) -> Option<usize>,
) -> Option<Moves> {
    let mut moves = Moves::default();
    if let Some(operands) = decode::string_operands(instruction) {
        let used = [
            (RSI, operands.reads_source),
            (RDI, operands.reads_target || operands.writes_target),
        ];
        for (register, is_used) in used {
            if let Some(distance) = distance(registers.general(register) as usize)
                && is_used
            {
                moves.add(Move {
                    register,
                    distance,
                    overwritten: 0,
                })?;
            }
        }
        return Some(moves);
    }
    let info = workspace.info(instruction);
    for memory in info.used_memory() {
        let Some(distance) = distance_of(instruction, registers, memory, &distance)? else {
            continue;
        };
        let register = address_register(memory)?;
        let mut overwritten = 0;
        for used in info.used_registers() {
            let is_read = matches!(used.access(), OpAccess::Read | OpAccess::CondRead);
            if used.register().full_register() == register && !is_read {
                overwritten |= written_bits(used.register(), used.access())?;
            }
        }
        if is_value(instruction, register) {
            return None;
        }
        moves.add(Move {
            register: register.number(),
            distance,
            overwritten,
        })?;
    }
    // No other operand may be addressed through a register that is changed.
    for memory in info.used_memory() {
        if distance_of(instruction, registers, memory, &distance)?.is_none() {
            let uses = |number: usize| {
                [memory.base(), memory.index()]
                    .iter()
                    .any(|register| register.is_gpr() && register.number() == number)
            };
            if moves.iter().any(|made| uses(made.register)) {
                return None;
            }
        }
    }
    Some(moves)
}

/// How far the engine view is from an operand; `Some(None)` if it isn't in the window, `None` if a part of it is.
fn distance_of(
    instruction: &Instruction,
    registers: &impl Registers,
    memory: &UsedMemory,
    distance: &impl Fn(usize) -> Option<usize>,
) -> Option<Option<usize>> {
    let mut found: Option<Option<usize>> = None;
    let mut is_one = true;
    decode::operand(instruction, registers, memory, false, &mut |span| {
        for address in [span.address, span.address + span.len - 1] {
            let here = distance(address);
            is_one &= found.is_none_or(|found| found == here);
            found = Some(here);
        }
    });
    is_one.then_some(found.flatten())
}

/// The register to add to.
fn address_register(memory: &UsedMemory) -> Option<Register> {
    let is_plain = |register: Register| register.is_gpr64();
    if is_plain(memory.base()) {
        return Some(memory.base());
    }
    let has_base = memory.base() != Register::None;
    let is_index = is_plain(memory.index()) && memory.scale() == 1 && !has_base;
    is_index.then_some(memory.index())
}

/// The bits of its full register that a use as a target changes; `None` if they depend on what was there.
fn written_bits(register: Register, access: OpAccess) -> Option<u64> {
    if access != OpAccess::Write {
        return None;
    }
    match register {
        Register::AH | Register::CH | Register::DH | Register::BH => Some(0xff00),
        _ => match register.size() {
            1 => Some(0xff),
            2 => Some(0xffff),
            // Also of 4 bytes: the others become 0.
            _ => Some(u64::MAX),
        },
    }
}

/// Whether the instruction also takes the register's value.
fn is_value(instruction: &Instruction, register: Register) -> bool {
    let is_operand = (0..instruction.op_count()).any(|index| {
        let is_same = instruction.op_kind(index) == OpKind::Register
            && instruction.op_register(index).full_register() == register;
        // The first operand is the target; if it is only that is known from the registers used.
        is_same && index > 0
    });
    // Registers that aren't written in the instruction's text.
    let is_implied = match instruction.mnemonic() {
        Mnemonic::Cmpxchg16b | Mnemonic::Cmpxchg8b => {
            matches!(register, Register::RBX | Register::RCX)
        }
        _ => false,
    };
    is_operand || is_implied || is_compared(instruction, register)
}

/// The first operand is a register that is only read: a comparison.
fn is_compared(instruction: &Instruction, register: Register) -> bool {
    let is_first = instruction.op_count() > 0
        && instruction.op0_kind() == OpKind::Register
        && instruction.op0_register().full_register() == register;
    is_first
        && matches!(
            instruction.mnemonic(),
            Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Bt
        )
}

/// Source and target.
const MOVES_MAX: usize = 2;
