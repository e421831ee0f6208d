//! Types by name, over all units: what one only declares another may define.

use std::collections::HashMap;

use gimli::{AttributeValue, UnitOffset};

use super::sections::Slice;
use super::types::{named, qualified, text_of};
use super::units::{Die, Unit, Units};

/// How deep entries lie in one another at most.
const DEPTH_MAX: usize = 256;

/// Types that other units may mean.
#[derive(Default)]
pub struct Names {
    /// Where each is defined; `None`: there are several, and they are not alike.
    types: HashMap<Box<str>, Option<Definition>>,
}

#[derive(Clone, Copy)]
struct Definition {
    die: Die,
    bytes: u64,
}

/// An entry whose children are being read.
struct Open {
    /// Bytes of the names around.
    prefix: usize,
    /// Whether types in it can be meant by other units.
    is_seen: bool,
}

impl Names {
    /// Of all units. One that is damaged is read as far as it goes.
    pub fn read(units: &Units) -> Self {
        let mut names = Self::default();
        let all = units.all();
        // Nobody else could define what the only one declares.
        if all.len() > 1 {
            for unit in all {
                let _ = names.scan(units, &unit);
            }
        }
        names
    }

    /// Where the type of this name is defined.
    pub fn definition(&self, name: &str) -> Option<Die> {
        Some((*self.types.get(name)?)?.die)
    }

    fn add(&mut self, name: &str, die: Die, bytes: u64) {
        let found = Definition { die, bytes };
        let known = self.types.entry(name.into()).or_insert(Some(found));
        // Of one name there is one class in C++; in C there may be two, of which nobody knows which is meant.
        if known.is_some_and(|known| known.bytes != bytes) {
            *known = None;
        }
    }

    fn scan(&mut self, units: &Units, unit: &Unit) -> Option<()> {
        let mut raw = unit.unit.entries_raw(None).ok()?;
        let mut open: Vec<Open> = Vec::new();
        let mut around = String::new();
        let mut attributes = Vec::new();
        while !raw.is_empty() {
            let offset = raw.next_offset().0;
            let Some(abbreviation) = raw.read_abbreviation().ok()? else {
                around.truncate(open.pop()?.prefix);
                if open.is_empty() {
                    break;
                }
                continue;
            };
            let tag = abbreviation.tag();
            let is_type = matches!(
                tag,
                gimli::DW_TAG_structure_type
                    | gimli::DW_TAG_class_type
                    | gimli::DW_TAG_union_type
                    | gimli::DW_TAG_enumeration_type
            );
            if !abbreviation.has_children() && !is_type {
                raw.skip_attributes(abbreviation.attributes()).ok()?;
                continue;
            }
            raw.read_attributes(abbreviation.attributes(), &mut attributes)
                .ok()?;
            let is_seen = open.last().is_none_or(|open| open.is_seen);
            let name = find(&attributes, gimli::DW_AT_name).and_then(|value| unit.text(value));
            if is_type && is_seen {
                self.note(units, unit, offset, &around, name.as_deref(), &attributes);
            }
            if !abbreviation.has_children() {
                continue;
            }
            let is_root = open.is_empty();
            let has_types = is_root || is_type || tag == gimli::DW_TAG_namespace;
            let inside = raw.next_offset().0;
            if !(has_types && is_seen)
                && let Some(AttributeValue::UnitRef(UnitOffset(next))) =
                    find(&attributes, gimli::DW_AT_sibling)
                && next >= inside
            {
                raw = unit.unit.entries_raw(Some(UnitOffset(next))).ok()?;
                continue;
            }
            if open.len() == DEPTH_MAX {
                return None;
            }
            open.push(Open {
                prefix: around.len(),
                // Types of functions and of namespaces without a name are the unit's own.
                is_seen: is_root || has_types && is_seen && name.is_some(),
            });
            if let (false, Some(name)) = (is_root || unit.is_plain_c(), name) {
                around.push_str(&name);
                around.push_str("::");
            }
        }
        Some(())
    }

    fn note(
        &mut self,
        units: &Units,
        unit: &Unit,
        offset: usize,
        around: &str,
        name: Option<&str>,
        attributes: &[gimli::Attribute<Slice>],
    ) {
        let is_declared = matches!(
            find(attributes, gimli::DW_AT_declaration),
            Some(AttributeValue::Flag(true))
        );
        let bytes = find(attributes, gimli::DW_AT_byte_size).and_then(|value| value.udata_value());
        let (Some(bytes), false) = (bytes, is_declared) else {
            return;
        };
        let die = Die {
            unit: unit.index,
            offset,
        };
        match name {
            Some(name) if around.is_empty() => self.add(name, die, bytes),
            Some(name) => self.add(&format!("{around}{name}"), die, bytes),
            // Declared in its class, defined outside.
            None if find(attributes, gimli::DW_AT_specification).is_some() => {
                if let Some(name) = full_name(units, die) {
                    self.add(&name, die, bytes);
                }
            }
            None => {}
        }
    }
}

/// The name of a type as other units know it; `None`: it has none, or they can't know it.
pub fn full_name(units: &Units, die: Die) -> Option<Box<str>> {
    let named = named(units, die);
    let unit = units.get(named.unit)?;
    let entry = unit.unit.entry(UnitOffset(named.offset)).ok()?;
    let name = text_of(&unit, &entry, gimli::DW_AT_name)?;
    let full = qualified(units, &unit, named.offset, &name);
    (!full.contains("(anonymous namespace)")).then_some(full)
}

fn find(
    attributes: &[gimli::Attribute<Slice>],
    name: gimli::DwAt,
) -> Option<AttributeValue<Slice>> {
    let mut all = attributes.iter();
    Some(all.find(|attribute| attribute.name() == name)?.value())
}
