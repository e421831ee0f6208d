//! How classes are copied, which decides how they are passed and returned.

use gimli::{AttributeValue, UnitOffset};

use super::{CHAIN_MAX, Entry, TypeTable, for_each_child, is_flag, text_of};
use crate::debug::units::{Die, Unit, Units};
use crate::{Kind, TypeId};

impl TypeTable {
    /// Whether a record is passed and returned by its address; `None`: nothing says so.
    pub fn is_by_reference(&self, units: &Units, id: TypeId) -> Option<bool> {
        self.is_by_reference_to(units, id, CHAIN_MAX)
    }

    fn is_by_reference_to(&self, units: &Units, id: TypeId, depth: usize) -> Option<bool> {
        let depth = depth.checked_sub(1)?;
        let (id, found) = self.types.bare(id)?;
        let (bases, members) = match &found.kind {
            Kind::Record { bases, members, .. } => (bases, members),
            Kind::Array { element, .. } => return self.is_by_reference_to(units, *element, depth),
            _ => return Some(false),
        };
        let die = self.dies.get(id.0 as usize).copied().flatten()?;
        let unit = units.get(die.unit)?;
        let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
        match entry.attr_value(gimli::DW_AT_calling_convention) {
            Some(AttributeValue::CallingConvention(gimli::DW_CC_pass_by_reference)) => {
                return Some(true);
            }
            Some(AttributeValue::CallingConvention(gimli::DW_CC_pass_by_value)) => {
                return Some(false);
            }
            // Classes of C are all alike.
            _ if unit.is_plain_c() => return Some(false),
            _ => {}
        }
        if bases.iter().any(|base| base.is_virtual) || has_own_copies(units, &unit, &entry)? {
            return Some(true);
        }
        // Copied and destroyed as its parts are.
        let parts = bases.iter().map(|base| base.of);
        for part in parts.chain(members.iter().map(|member| member.of)) {
            if self.is_by_reference_to(units, part, depth)? {
                return Some(true);
            }
        }
        Some(false)
    }
}

/// Whether a class has a destructor or constructors for copies that do something, or virtual functions; `None`: nothing says so.
fn has_own_copies(units: &Units, unit: &Unit, class: &Entry) -> Option<bool> {
    let own = Die {
        unit: unit.index,
        offset: class.offset().0,
    };
    let name = text_of(unit, class, gimli::DW_AT_name).unwrap_or_default();
    let name = name.split('<').next().unwrap_or_default();
    let mut functions = Vec::new();
    for_each_child(unit, class.offset().0, |child| {
        if child.tag() == gimli::DW_TAG_subprogram {
            functions.push(child.offset().0);
        }
    })?;
    let mut answer = Some(false);
    for offset in functions {
        let function = unit.unit.entry(UnitOffset(offset)).ok()?;
        if function.has_attr(gimli::DW_AT_virtuality) {
            return Some(true);
        }
        let called = text_of(unit, &function, gimli::DW_AT_name).unwrap_or_default();
        let is_end = called.starts_with('~');
        let is_copy = *called == *name && takes_its_own(units, unit, offset, own);
        if !(is_end || is_copy) || is_flag(&function, gimli::DW_AT_artificial) {
            continue;
        }
        let defaulted = function.attr_value(gimli::DW_AT_defaulted);
        let is_default = defaulted
            .and_then(|value| value.udata_value())
            .is_some_and(|value| value == u64::from(gimli::DW_DEFAULTED_in_class.0));
        if is_default {
            continue;
        }
        // Before DWARF 5 nothing tells what is written by hand from what is only asked for.
        let is_told = unit.unit.header.version() >= 5 && !is_flag(&function, gimli::DW_AT_deleted);
        if is_told {
            return Some(true);
        }
        answer = None;
    }
    answer
}

/// Whether a constructor's first argument is a reference to its class.
fn takes_its_own(units: &Units, unit: &Unit, constructor: usize, own: Die) -> bool {
    let mut first = None;
    let _ = for_each_child(unit, constructor, |child| {
        let is_given = child.tag() == gimli::DW_TAG_formal_parameter
            && !is_flag(child, gimli::DW_AT_artificial);
        if is_given && first.is_none() {
            first = child
                .attr_value(gimli::DW_AT_type)
                .and_then(|value| units.refer(unit, &value));
        }
    });
    let mut next = first;
    for _ in 0..CHAIN_MAX {
        let Some(die) = next else { return false };
        if die == own {
            return true;
        }
        next = units.get(die.unit).and_then(|unit| {
            let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
            let passes = matches!(
                entry.tag(),
                gimli::DW_TAG_reference_type
                    | gimli::DW_TAG_rvalue_reference_type
                    | gimli::DW_TAG_const_type
                    | gimli::DW_TAG_volatile_type
                    | gimli::DW_TAG_typedef
            );
            let value = entry.attr_value(gimli::DW_AT_type).filter(|_| passes)?;
            units.refer(&unit, &value)
        });
    }
    false
}
