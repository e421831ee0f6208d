//! A function's blocks and inlined functions.

use std::collections::HashMap;

use gimli::{AttributeValue, Range, UnitOffset};

use super::outline::ranges;
use super::sections::Slice;
use super::units::{Die, Unit, Units};

/// How deep blocks lie in one another at most.
const DEPTH_MAX: usize = 256;

/// A function, a block of it, or a function inlined into it.
pub struct Scope {
    /// Where it is described.
    pub offset: usize,
    /// The function itself or an inlined one; otherwise a block.
    pub is_function: bool,
    /// What it is a copy of.
    pub origin: Option<Die>,
    /// Where it was inlined: number of the file, line.
    pub call: Option<(u64, u32)>,
    /// In which scope it lies; the first is the function.
    pub parent: Option<usize>,
    /// Arguments, in the order of the source.
    pub arguments: Vec<usize>,
    /// Variables, in the order of the source.
    pub variables: Vec<usize>,
    ranges: Vec<Range>,
    depth: usize,
}

/// The inside of a function.
#[derive(Default)]
pub struct Body {
    /// The first is the function itself.
    pub scopes: Vec<Scope>,
    /// Described calls, by return address.
    pub calls: HashMap<u64, usize>,
    /// Functions that lie in it: their entries, and in which scope.
    pub nested: HashMap<usize, usize>,
    /// What it goes on as when it ends by calls: `None`: nobody knows.
    pub last_calls: Vec<Option<Die>>,
}

impl Body {
    /// Of the function described at `offset`. Where that is damaged, it ends.
    pub fn read(units: &Units, unit: &Unit, offset: usize) -> Self {
        let mut body = Self::default();
        body.scan(units, unit, offset);
        body
    }

    /// The innermost scope at `pc`.
    pub fn innermost(&self, pc: u64) -> Option<usize> {
        let holds = |scope: &Scope| {
            let mut ranges = scope.ranges.iter();
            ranges.any(|range| (range.begin..range.end).contains(&pc))
        };
        let holding = self
            .scopes
            .iter()
            .enumerate()
            .filter(|(_, scope)| holds(scope));
        holding
            .max_by_key(|(_, scope)| scope.depth)
            .map(|(index, _)| index)
    }

    fn scan(&mut self, units: &Units, unit: &Unit, offset: usize) -> Option<()> {
        let mut raw = unit.unit.entries_raw(Some(UnitOffset(offset))).ok()?;
        // The scope that each open entry's children belong to; none: they don't matter.
        let mut open: Vec<Option<usize>> = Vec::new();
        let mut attributes = Vec::new();
        while !raw.is_empty() {
            let here = raw.next_offset().0;
            let Some(abbreviation) = raw.read_abbreviation().ok()? else {
                open.pop()?;
                if open.is_empty() {
                    break;
                }
                continue;
            };
            raw.read_attributes(abbreviation.attributes(), &mut attributes)
                .ok()?;
            let around = open.last().copied().flatten();
            let inside = match (abbreviation.tag(), around) {
                (gimli::DW_TAG_subprogram, None) if open.is_empty() => {
                    Some(self.add(units, unit, here, &attributes, None, true))
                }
                (gimli::DW_TAG_inlined_subroutine, Some(parent)) => {
                    Some(self.add(units, unit, here, &attributes, Some(parent), true))
                }
                (
                    gimli::DW_TAG_lexical_block
                    | gimli::DW_TAG_try_block
                    | gimli::DW_TAG_catch_block,
                    Some(parent),
                ) => {
                    let has_code = attributes.iter().any(|attribute| {
                        matches!(attribute.name(), gimli::DW_AT_low_pc | gimli::DW_AT_ranges)
                    });
                    // A block without code of its own is only there for what it describes.
                    match has_code {
                        true => Some(self.add(units, unit, here, &attributes, Some(parent), false)),
                        false => Some(parent),
                    }
                }
                (gimli::DW_TAG_formal_parameter, Some(parent)) => {
                    self.scopes[parent].arguments.push(here);
                    None
                }
                (gimli::DW_TAG_variable | gimli::DW_TAG_constant, Some(parent)) => {
                    self.scopes[parent].variables.push(here);
                    None
                }
                (gimli::DW_TAG_subprogram, Some(parent)) => {
                    self.nested.insert(here, parent);
                    None
                }
                (gimli::DW_TAG_call_site | gimli::DW_TAG_GNU_call_site, _) => {
                    self.note_call(units, unit, here, &attributes);
                    None
                }
                _ => None,
            };
            if !abbreviation.has_children() {
                if open.is_empty() {
                    break;
                }
                continue;
            }
            if open.len() == DEPTH_MAX {
                return None;
            }
            open.push(inside);
        }
        Some(())
    }

    fn add(
        &mut self,
        units: &Units,
        unit: &Unit,
        offset: usize,
        attributes: &[gimli::Attribute<Slice>],
        parent: Option<usize>,
        is_function: bool,
    ) -> usize {
        let number = |name| {
            let mut all = attributes.iter();
            let attribute = all.find(|attribute| attribute.name() == name)?;
            match attribute.value() {
                AttributeValue::FileIndex(index) => Some(index),
                _ => attribute.udata_value(),
            }
        };
        let call = number(gimli::DW_AT_call_file)
            .zip(number(gimli::DW_AT_call_line))
            .map(|(file, line)| (file, u32::try_from(line).unwrap_or(0)));
        let mut all = attributes.iter();
        let origin = all.find(|attribute| attribute.name() == gimli::DW_AT_abstract_origin);
        self.scopes.push(Scope {
            offset,
            is_function,
            origin: origin.and_then(|origin| units.refer(unit, &origin.value())),
            call,
            parent,
            arguments: Vec::new(),
            variables: Vec::new(),
            ranges: ranges(unit, attributes),
            depth: parent.map_or(0, |parent| self.scopes[parent].depth + 1),
        });
        self.scopes.len() - 1
    }

    fn note_call(
        &mut self,
        units: &Units,
        unit: &Unit,
        offset: usize,
        attributes: &[gimli::Attribute<Slice>],
    ) {
        let is_last = attributes.iter().any(|attribute| {
            matches!(
                attribute.name(),
                gimli::DW_AT_call_tail_call | gimli::DW_AT_GNU_tail_call
            )
        });
        if is_last {
            let target = attributes.iter().find(|attribute| {
                matches!(
                    attribute.name(),
                    gimli::DW_AT_call_origin | gimli::DW_AT_abstract_origin
                )
            });
            let target = target.and_then(|target| units.refer(unit, &target.value()));
            self.last_calls.push(target);
        }
        // The GNU extension before DWARF 5 has the return address in low_pc.
        let mut all = attributes.iter();
        let address = all.find(|attribute| {
            matches!(
                attribute.name(),
                gimli::DW_AT_call_return_pc | gimli::DW_AT_low_pc
            )
        });
        let address = address.and_then(|attribute| {
            let address = unit.dwarf.attr_address(&unit.unit, attribute.value());
            address.ok().flatten()
        });
        if let Some(address) = address {
            self.calls.insert(address, offset);
        }
    }
}
