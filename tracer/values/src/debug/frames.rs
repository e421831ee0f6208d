//! Functions at a place of the code.

use gimli::UnitOffset;

use super::types::{qualified, text_of};
use super::units::{Die, Unit, Units};
use super::{DebugFile, Frame};
use crate::TypeId;

/// How often an entry refers to another for what it is a copy of.
const CHAIN_MAX: usize = 16;

/// Functions that are inlined into one another at most.
const INLINED_MAX: usize = 256;

impl DebugFile {
    pub(super) fn find_frames(&mut self, pc: u64) -> Option<Vec<Frame>> {
        let unit = self.units.at(pc)?;
        let offset = unit.outline().function(&unit, pc)?;
        let function = Die {
            unit: unit.index,
            offset,
        };
        let body = self.body(&unit, function);
        let mut innermost = body.innermost(pc)?;
        let mut frames = Vec::new();
        let mut next = Some(innermost);
        while let Some(index) = next {
            let scope = body.scopes.get(index)?;
            next = scope.parent;
            if !scope.is_function {
                continue;
            }
            let is_inline = scope.parent.is_some();
            let die = Die {
                unit: unit.index,
                offset: scope.offset,
            };
            let entry = match is_inline {
                false => body_begin(&unit, scope.offset),
                true => scope.origin.and_then(|origin| self.begin_of(origin)),
            };
            let (name, linkage) = names(&self.units, die);
            let call = scope.call.filter(|_| is_inline);
            frames.push(Frame {
                name,
                linkage,
                entry,
                is_inline,
                call: call.and_then(|(file, line)| Some((file_name(&unit, file)?, line))),
                function,
                scope: index,
                innermost,
            });
            if frames.len() == INLINED_MAX {
                break;
            }
            if let Some(around) = scope.parent {
                innermost = around;
            }
        }
        Some(frames)
    }

    /// Where the function begins that is described at `origin` and inlined elsewhere.
    fn begin_of(&self, origin: Die) -> Option<u64> {
        let unit = self.units.get(origin.unit)?;
        let mut copies = unit.outline().copies(origin.offset);
        copies.find_map(|copy| body_begin(&unit, copy))
    }

    /// The type of what the function returns.
    pub(super) fn find_return_type(&mut self, frame: &Frame) -> Option<TypeId> {
        let unit = self.units.get(frame.function.unit)?;
        let body = self.body(&unit, frame.function);
        let mut die = Die {
            unit: unit.index,
            offset: body.scopes.get(frame.scope)?.offset,
        };
        for _ in 0..CHAIN_MAX {
            let unit = self.units.get(die.unit)?;
            let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
            if let Some(of) = self.types.of_entry(&self.units, &unit, &entry) {
                return Some(of);
            }
            die = next(&self.units, die)?;
        }
        None
    }
}

/// What the entry at `die` is a copy, or the definition, of.
pub(super) fn next(units: &Units, die: Die) -> Option<Die> {
    let unit = units.get(die.unit)?;
    let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
    let value = entry
        .attr_value(gimli::DW_AT_abstract_origin)
        .or_else(|| entry.attr_value(gimli::DW_AT_specification))?;
    units.refer(&unit, &value)
}

/// A function's name with its namespaces, and the one for the linker.
fn names(units: &Units, mut die: Die) -> (Box<str>, Option<Box<str>>) {
    let (mut name, mut linkage) = (None, None);
    let mut last = die;
    for _ in 0..CHAIN_MAX {
        let Some(unit) = units.get(die.unit) else {
            break;
        };
        let Ok(entry) = unit.unit.entry(UnitOffset(die.offset)) else {
            break;
        };
        name = name.or_else(|| text_of(&unit, &entry, gimli::DW_AT_name));
        linkage = linkage
            .or_else(|| text_of(&unit, &entry, gimli::DW_AT_linkage_name))
            .or_else(|| text_of(&unit, &entry, gimli::DW_AT_MIPS_linkage_name));
        // The declaration lies in the class.
        last = die;
        match next(units, die) {
            Some(further) => die = further,
            None => break,
        }
    }
    let name = name.unwrap_or_default();
    let full = match units.get(last.unit) {
        Some(unit) => qualified(units, &unit, last.offset, &name),
        None => name,
    };
    (full, linkage)
}

/// Where the function described at `offset` begins.
pub(super) fn body_begin(unit: &Unit, offset: usize) -> Option<u64> {
    let entry = unit.unit.entry(UnitOffset(offset)).ok()?;
    // Of a function in parts, its entry is said, or is the first part's begin.
    let value = entry
        .attr_value(gimli::DW_AT_entry_pc)
        .or_else(|| entry.attr_value(gimli::DW_AT_low_pc));
    if let Some(address) = value.and_then(|value| {
        let address = unit.dwarf.attr_address(&unit.unit, value);
        address.ok().flatten()
    }) {
        return Some(address);
    }
    let ranges = super::outline::ranges(unit, entry.attrs());
    ranges.first().map(|range| range.begin)
}

/// The name of the unit's file with this number.
fn file_name(unit: &Unit, number: u64) -> Option<Box<str>> {
    let header = unit.unit.line_program.as_ref()?.header();
    unit.text(header.file(number)?.path_name())
}
