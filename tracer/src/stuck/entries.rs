//! What a function found in registers when it was called: its caller's debug information tells, and if that hands on what it was
//! given itself, its caller's.

use std::collections::HashMap;

use umbel_values::evaluate;
use umbel_values::{Address, Op, Place, Variable};

use super::frames::{Known, Walker};
use super::unwind::Step;
use super::values::{FrameRegisters, View};

/// Callers of callers that are asked.
const LEVELS_MAX: usize = 16;

/// Whether a variable is where its function found it when it was called.
pub fn are_needed((_, arguments, locals): &Known) -> bool {
    let mut all = arguments.iter().chain(locals);
    all.any(|variable: &Variable| is_entry(&variable.place))
}

fn is_entry(place: &Place) -> bool {
    let needs = |address: &Address| address.ops.iter().any(|op| matches!(op, Op::Entry(_)));
    match place {
        Place::Memory(address) | Place::Value(address) => needs(address),
        Place::ImplicitPointer(target, _) => is_entry(target),
        Place::Pieces(pieces) => pieces.iter().any(|piece| is_entry(&piece.place)),
        Place::OptimizedOut | Place::Register(_) | Place::Constant(_) => false,
    }
}

impl Walker<'_> {
    /// What the physical function at `lookup` found, by number; `step`: how its frame was left.
    pub(super) fn entries(&self, lookup: u64, step: &Step, level: usize) -> [Option<u64>; 16] {
        let mut entries = [None; 16];
        for (number, value) in self.found(lookup, step, level).unwrap_or_default() {
            if let Some(place) = entries.get_mut(usize::from(number)) {
                *place = Some(value);
            }
        }
        entries
    }

    fn found(&self, lookup: u64, step: &Step, level: usize) -> Option<HashMap<u16, u64>> {
        // Who was interrupted by a signal has called nobody.
        let caller = step
            .caller
            .filter(|_| !step.is_signal && level < LEVELS_MAX)?;
        let entry = self.begin(lookup)?;
        let lookup = caller.pc.checked_sub(1)?;
        let module = self.modules.at(lookup)?;
        let debug = module.debug()?;
        let in_file = |address: u64| address.wrapping_sub(module.bias);
        let call = {
            let mut debug = debug.borrow_mut();
            let physical = debug.frames(in_file(lookup)).pop()?;
            debug.call(&physical, in_file(caller.pc))?
        };
        let mut registers = caller;
        let outer = self.step(lookup, &registers, Some(module));
        let mut places = call.entries.iter().map(|(_, place)| place);
        if let (Some(outer), true) = (&outer, places.any(is_entry)) {
            registers.entries = self.entries(lookup, outer, level + 1);
        }
        let around = FrameRegisters {
            registers: &registers,
            frame_address: outer.map(|outer| outer.frame_address),
            bias: module.bias,
        };
        let view = View {
            memory: self.memory,
            modules: self.modules,
        };
        let number = |place: &Place| {
            let source = evaluate::place(place, &around, &view).ok()?;
            let bytes = source.bytes(0, 8, &view).ok()?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let callee = match (call.callee, &call.target) {
            (Some(callee), _) => Some(callee.wrapping_add(module.bias)),
            // A pointer in memory may have been changed since.
            (None, Some(target)) if !is_loaded(target) => number(target),
            _ => None,
        };
        if callee != Some(entry) {
            return None;
        }
        let entries = call.entries.iter();
        Some(
            entries
                .filter_map(|(register, place)| Some((*register, number(place)?)))
                .collect(),
        )
    }

    /// Where the physical function at `lookup` begins, if it has what its caller gave it.
    fn begin(&self, lookup: u64) -> Option<u64> {
        let module = self.modules.at(lookup)?;
        let mut debug = module.debug()?.borrow_mut();
        let physical = debug.frames(lookup.wrapping_sub(module.bias)).pop()?;
        let begin = physical
            .entry
            .filter(|_| !debug.may_begin_anew(&physical))?;
        Some(begin.wrapping_add(module.bias))
    }
}

fn is_loaded(target: &Place) -> bool {
    let is_load = |op: &Op| matches!(op, Op::Load(_) | Op::LoadSigned(_));
    matches!(target, Place::Value(address) if address.ops.iter().any(is_load))
}
