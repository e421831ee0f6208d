//! Variables of a frame, and where they are.

use std::sync::Arc;

use gimli::UnitOffset;
use umbel_trace_ring::plan::THREAD;

use super::frames::next;
use super::here::{CHAIN_MAX, Here};
use super::types::{for_each_child, is_flag, text_of};
use super::units::{Die, Unit, Units};
use super::{DebugFile, Frame};
use crate::{Address, Op, Place, TypeId, Variable};

/// Variables of a block at most.
const VARIABLES_MAX: usize = 4096;

impl DebugFile {
    pub(super) fn find_arguments(&mut self, frame: &Frame, pc: u64) -> Option<Vec<Variable>> {
        let unit = self.units.get(frame.function.unit)?;
        let body = self.body(&unit, frame.function);
        let scope = body.scopes.get(frame.scope)?;
        let mut found: Vec<Variable> = Vec::new();
        let own = inherited(
            &self.units,
            &unit,
            scope.origin,
            &scope.arguments,
            gimli::DW_TAG_formal_parameter,
        );
        for die in own {
            found.extend(self.variable(frame, &unit, die, pc));
        }
        Some(found)
    }

    pub(super) fn find_locals(&mut self, frame: &Frame, pc: u64) -> Option<Vec<Variable>> {
        let unit = self.units.get(frame.function.unit)?;
        let body = self.body(&unit, frame.function);
        let mut found = Vec::new();
        let mut next = Some(frame.innermost);
        while let Some(index) = next {
            let scope = body.scopes.get(index)?;
            let own = match scope.is_function {
                true => inherited(
                    &self.units,
                    &unit,
                    scope.origin,
                    &scope.variables,
                    gimli::DW_TAG_variable,
                ),
                false => {
                    let all = scope.variables.iter();
                    all.map(|offset| Die {
                        unit: unit.index,
                        offset: *offset,
                    })
                    .collect()
                }
            };
            for die in own {
                let variable = self.variable(frame, &unit, die, pc);
                // What has no name is the compiler's: bounds of Fortran's arrays.
                found.extend(variable.filter(|variable| !variable.name.is_empty()));
            }
            if index == frame.scope {
                break;
            }
            next = scope.parent;
        }
        let outer = self.outer_variables(frame, pc);
        for variable in outer {
            // One of the same name hides it.
            if !found.iter().any(|own| own.name == variable.name) {
                found.push(variable);
            }
        }
        Some(found)
    }

    fn variable(&mut self, frame: &Frame, unit: &Arc<Unit>, die: Die, pc: u64) -> Option<Variable> {
        let base = self.here(frame, unit, pc).frame_base;
        self.variable_of(unit, die, pc, (base, false))
    }

    /// The variable at `die`, in a frame with this base, which is that of a function around this one if the flag is set.
    pub(super) fn variable_of(
        &mut self,
        unit: &Arc<Unit>,
        die: Die,
        pc: u64,
        (frame_base, is_outside): (Option<Address>, bool),
    ) -> Option<Variable> {
        let (name, of, is_artificial) = self.what(die)?;
        let here = Here {
            units: &self.units,
            unit: Arc::clone(unit),
            pc,
            frame_base,
            is_outside,
            depth: CHAIN_MAX,
        };
        let mut place = here.place(die, self.types.types.size(of));
        self.find_thread_local(&mut place);
        // Arrays whose bounds are variables of the frame.
        let of = self.types.in_frame(&self.units, of, &here);
        Some(Variable {
            name,
            of,
            place,
            is_artificial,
        })
    }

    /// Puts the thread's own address where a place begins with that of its block of variables, if one follows from the other.
    fn find_thread_local(&self, place: &mut Place) {
        match place {
            Place::Memory(address) | Place::Value(address) => {
                for op in &mut address.ops {
                    if let Op::ThreadLocal(offset) = *op
                        && let Some(block) =
                            *self.thread_block.get_or_init(|| self.own.thread_block())
                    {
                        *op = Op::Register(THREAD.into(), block.wrapping_add_unsigned(offset));
                    }
                }
            }
            Place::ImplicitPointer(target, _) => self.find_thread_local(target),
            Place::Pieces(pieces) => {
                for piece in pieces {
                    self.find_thread_local(&mut piece.place);
                }
            }
            Place::OptimizedOut | Place::Register(_) | Place::Constant(_) => {}
        }
    }

    /// Name and type of the variable at `die`; `None`: it is none, or one that is defined elsewhere.
    fn what(&mut self, mut die: Die) -> Option<(Box<str>, TypeId, bool)> {
        let (mut name, mut of, mut is_artificial) = (None, None, false);
        for _ in 0..CHAIN_MAX {
            let unit = self.units.get(die.unit)?;
            let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
            if is_flag(&entry, gimli::DW_AT_declaration) {
                return None;
            }
            name = name.or_else(|| text_of(&unit, &entry, gimli::DW_AT_name));
            is_artificial |= is_flag(&entry, gimli::DW_AT_artificial);
            if of.is_none() {
                of = self.types.of_entry(&self.units, &unit, &entry);
            }
            match next(&self.units, die) {
                Some(further) if of.is_none() || name.is_none() => die = further,
                _ => break,
            }
        }
        Some((name.unwrap_or_default(), of?, is_artificial))
    }
}

/// The variable that is described at `die`, in no frame.
pub(super) fn outside(file: &mut DebugFile, die: Die) -> Option<Variable> {
    let (mut name, mut of, mut next_die) = (None, None, Some(die));
    // Its definition may leave name and type to a declaration.
    for _ in 0..CHAIN_MAX {
        let Some(at) = next_die else { break };
        let unit = file.units.get(at.unit)?;
        let entry = unit.unit.entry(UnitOffset(at.offset)).ok()?;
        name = name.or_else(|| text_of(&unit, &entry, gimli::DW_AT_name));
        if of.is_none() {
            of = file.types.of_entry(&file.units, &unit, &entry);
        }
        next_die = next(&file.units, at);
    }
    let of = of?;
    let here = Here {
        units: &file.units,
        unit: file.units.get(die.unit)?,
        pc: 0,
        frame_base: None,
        depth: CHAIN_MAX,
        is_outside: false,
    };
    let mut place = here.place(die, file.types.types.size(of));
    file.find_thread_local(&mut place);
    Some(Variable {
        name: name.unwrap_or_default(),
        of,
        place,
        is_artificial: false,
    })
}

/// What a function's own entry has of this kind, and what only the entry has that it is a copy of: that is nowhere in this copy.
pub(super) fn inherited(
    units: &Units,
    unit: &Unit,
    origin: Option<Die>,
    own: &[usize],
    tag: gimli::DwTag,
) -> Vec<Die> {
    let of_unit = |offset| Die {
        unit: unit.index,
        offset,
    };
    let own: Vec<Die> = own
        .iter()
        .take(VARIABLES_MAX)
        .copied()
        .map(of_unit)
        .collect();
    let Some(origin) = origin else {
        return own;
    };
    let Some(home) = units.get(origin.unit) else {
        return own;
    };
    let origins: Vec<Option<Die>> = own.iter().map(|die| next(units, *die)).collect();
    let mut all = Vec::new();
    // In the order of the source, which a copy may not keep.
    let mut taken = vec![false; own.len()];
    let read = for_each_child(&home, origin.offset, |child| {
        if child.tag() != tag {
            return;
        }
        let die = Die {
            unit: home.index,
            offset: child.offset().0,
        };
        let mut found = false;
        for (index, copy) in own.iter().enumerate() {
            if origins[index] == Some(die) {
                all.push(*copy);
                taken[index] = true;
                found = true;
            }
        }
        if !found {
            all.push(die);
        }
    });
    if read.is_none() {
        return own;
    }
    let others = own.iter().zip(&taken).filter(|(_, taken)| !**taken);
    all.extend(others.map(|(die, _)| *die));
    all.truncate(VARIABLES_MAX);
    all
}
