//! Functions in functions, as GNU C has them: what they see of those around them.
//!
//! A nested function is called with its static chain: the address of the variables that it shares with the function around it, and of that
//! function's frame base. DWARF says where the chain is (DW_AT_static_link) as if it were there from begin to end; in optimized code it
//! is in a register that gcc uses for something else when the chain isn't needed any more. So it's believed only where that can be ruled out.
//!
//! And not in programs of `umbel cc`: there the chain of a thread on another node leads to a copy of what threads share, without the frame.

use std::sync::Arc;

use gimli::{AttributeValue, Expression, Operation, UnitOffset};
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};

use super::expression;
use super::outline::ranges;
use super::sections::Slice;
use super::units::{Die, Unit};
use super::variables::inherited;
use super::{DebugFile, Frame};
use crate::unwind::KEPT;
use crate::{Address, Op, Place, Variable};

/// How deep functions lie in functions at most.
const NESTED_MAX: usize = 16;

/// Bytes of a function that are looked through at most.
const CODE_BYTES_MAX: u64 = 256 << 10;

impl DebugFile {
    /// Variables of the functions around the frame's, the innermost first, as far as they are known there.
    pub(super) fn outer_variables(&mut self, frame: &Frame, pc: u64) -> Vec<Variable> {
        let mut found: Vec<Variable> = Vec::new();
        // Of an inlined copy the functions around it are those that it is inlined into.
        if frame.is_inline || self.has_copied_chains() {
            return found;
        }
        let Some(unit) = self.units.get(frame.function.unit) else {
            return found;
        };
        let mut function = frame.function.offset;
        let mut base = None;
        for _ in 0..NESTED_MAX {
            let Some(link) = self.static_link(frame, &unit, function, pc, base.take()) else {
                break;
            };
            let Some(around) = unit.outline().function_around(&unit, function) else {
                break;
            };
            for die in self.seen_from(&unit, around, function) {
                let variable = self.variable_of(&unit, die, pc, (Some(link.clone()), true));
                found.extend(variable.filter(|variable| {
                    variable.place != Place::OptimizedOut
                        && !found.iter().any(|inner| inner.name == variable.name)
                }));
            }
            function = around;
            base = Some(link);
        }
        found
    }

    /// Whether the plugin for distributed threads compiled it: its tables are there.
    fn has_copied_chains(&self) -> bool {
        ["umbel_frames", "umbel_functions"]
            .into_iter()
            .any(|section| self.own.has(section))
    }

    /// The frame base of the function around the one at `function`: the frame's own, or one around it with the frame base `base`.
    fn static_link(
        &self,
        frame: &Frame,
        unit: &Arc<Unit>,
        function: usize,
        pc: u64,
        base: Option<Address>,
    ) -> Option<Address> {
        let entry = unit.unit.entry(UnitOffset(function)).ok()?;
        let link = entry.attr_value(gimli::DW_AT_static_link)?;
        let mut here = self.here(frame, unit, pc);
        let is_own = base.is_none();
        if !is_own {
            (here.frame_base, here.is_outside) = (base, true);
        }
        let description = here.description(unit, &link)?;
        let link = expression::number(unit, description, &here)?;
        let is_kept = |op: &Op| match op {
            Op::Register(number, _) => self.has_chain(unit, function, *number, pc),
            // Its place on the stack is another's too, in optimized code.
            Op::FrameAddress(_) | Op::Load(_) => true,
            Op::Plus(_) | Op::Constant(_) => true,
            _ => false,
        };
        let has_registers = link.ops.iter().any(|op| matches!(op, Op::Register(..)));
        let is_sound = !is_own || has_registers || !is_optimized(unit);
        (is_sound && (!is_own || link.ops.iter().all(is_kept))).then_some(link)
    }

    /// What the function at `inner` sees of the one at `around`, which it lies in.
    fn seen_from(&mut self, unit: &Arc<Unit>, around: usize, inner: usize) -> Vec<Die> {
        let unit_index = unit.index;
        let function = Die {
            unit: unit_index,
            offset: around,
        };
        let body = self.body(unit, function);
        let mut seen = Vec::new();
        let mut next = body.nested.get(&inner).copied();
        while let Some(scope) = next.and_then(|index| body.scopes.get(index)) {
            let kinds = [
                (&scope.variables, gimli::DW_TAG_variable),
                (&scope.arguments, gimli::DW_TAG_formal_parameter),
            ];
            for (own, tag) in kinds {
                seen.extend(inherited(&self.units, unit, scope.origin, own, tag));
            }
            next = scope.parent;
        }
        seen
    }

    /// Whether a register has the function's static chain at `pc`: nothing else is ever put into it but what the caller had, at the end.
    fn has_chain(&self, unit: &Unit, function: usize, number: u16, pc: u64) -> bool {
        let Some(register) = kept_register(number) else {
            return false;
        };
        let Some((begin, code)) = self.code_of(unit, function) else {
            return false;
        };
        let mut decoder = Decoder::with_ip(64, &code, begin, DecoderOptions::NONE);
        let mut information = InstructionInfoFactory::new();
        let mut is_set = false;
        while decoder.can_decode() {
            let instruction = decoder.decode();
            if is_chain_move(&instruction, register) {
                if is_set || instruction.next_ip() > pc {
                    return false;
                }
                is_set = true;
                continue;
            }
            let writes = |wanted: Register, information: &mut InstructionInfoFactory| {
                let used = information.info(&instruction).used_registers();
                let mut written = used.iter().filter(|used| may_write(used.access()));
                written.any(|used| used.register().full_register() == wanted)
            };
            // What the chain came in must have it until then, and there is one way to here.
            let is_lost = !is_set
                && (instruction.flow_control() != FlowControl::Next
                    || writes(Register::R10, &mut information));
            let is_restored = instruction.mnemonic() == Mnemonic::Pop && is_set;
            if is_lost || (!is_restored && writes(register, &mut information)) {
                return false;
            }
        }
        is_set
    }

    /// Begin and code of a function in one part.
    fn code_of(&self, unit: &Unit, function: usize) -> Option<(u64, Vec<u8>)> {
        let entry = unit.unit.entry(UnitOffset(function)).ok()?;
        let parts = ranges(unit, entry.attrs());
        let [part] = parts.as_slice() else {
            return None;
        };
        let bytes = part.end.checked_sub(part.begin)?;
        let limit = usize::try_from(bytes).ok()?;
        let code = (bytes <= CODE_BYTES_MAX).then(|| self.code(part.begin, limit))?;
        (code.len() == limit).then_some((part.begin, code))
    }
}

/// Whether an expression needs no more of its frame than the base.
pub(super) fn is_beside_base(unit: &Unit, expression: &Expression<Slice>) -> bool {
    let mut operations = expression.clone().operations(unit.unit.encoding());
    loop {
        match operations.next() {
            Ok(None) => return true,
            Err(_)
            | Ok(Some(
                Operation::Register { .. }
                | Operation::RegisterOffset { .. }
                | Operation::CallFrameCFA
                | Operation::EntryValue { .. }
                | Operation::ParameterRef { .. }
                | Operation::Call { .. },
            )) => return false,
            Ok(Some(_)) => {}
        }
    }
}

/// Whether the unit was compiled with optimization; gcc says so among its options.
fn is_optimized(unit: &Unit) -> bool {
    let root = unit.unit.entry(unit.unit.header.root_offset()).ok();
    let producer: Option<AttributeValue<Slice>> =
        root.and_then(|root| root.attr_value(gimli::DW_AT_producer));
    let Some(producer) = producer.and_then(|value| unit.text(value)) else {
        return true;
    };
    let options = producer.split_whitespace();
    let mut levels = options.filter(|option| option.starts_with("-O"));
    !producer.starts_with("GNU ") || levels.any(|level| level != "-O0")
}

fn is_chain_move(instruction: &Instruction, register: Register) -> bool {
    instruction.mnemonic() == Mnemonic::Mov
        && instruction.op1_kind() == OpKind::Register
        && instruction.op0_register() == register
        && instruction.op1_register() == Register::R10
}

fn may_write(access: OpAccess) -> bool {
    !matches!(
        access,
        OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
    )
}

/// The register with this number, if calls keep it.
fn kept_register(number: u16) -> Option<Register> {
    const REGISTERS: [Register; KEPT.len()] = [
        Register::RBX,
        Register::RBP,
        Register::R12,
        Register::R13,
        Register::R14,
        Register::R15,
    ];
    let at = KEPT.iter().position(|kept| *kept == number)?;
    Some(REGISTERS[at])
}
