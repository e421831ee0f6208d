//! Parts of entries that all have alike: names, flags, children.

use gimli::{AttributeValue, UnitOffset};

use super::{CHAIN_MAX, Entry};
use crate::debug::sections::Slice;
use crate::debug::units::{Die, Unit, Units};

/// Members, enumerators and the like of one type at most.
const PARTS_MAX: usize = 1 << 16;

/// Where the type that is described there has its name.
pub fn named(units: &Units, mut die: Die) -> Die {
    for _ in 0..CHAIN_MAX {
        let specification = units.get(die.unit).and_then(|unit| {
            let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
            units.refer(&unit, &entry.attr_value(gimli::DW_AT_specification)?)
        });
        match specification {
            Some(next) => die = next,
            None => break,
        }
    }
    die
}

/// A name with those of the namespaces and types around it.
pub fn qualified(units: &Units, unit: &Unit, offset: usize, name: &str) -> Box<str> {
    let _ = units;
    if name.is_empty() || unit.is_plain_c() {
        return name.into();
    }
    let mut full = String::from(name);
    for begin in unit.outline().around(offset) {
        let Ok(entry) = unit.unit.entry(UnitOffset(begin)) else {
            break;
        };
        let outer = text_of(unit, &entry, gimli::DW_AT_name).unwrap_or_default();
        let outer = match (&*outer, entry.tag()) {
            ("", gimli::DW_TAG_namespace) => "(anonymous namespace)",
            ("", _) => continue,
            (outer, _) => outer,
        };
        full = format!("{outer}::{full}");
    }
    full.into()
}

/// A constant, of whatever form.
pub fn whole(value: &AttributeValue<Slice>) -> Option<i128> {
    match value {
        AttributeValue::Sdata(value) => Some((*value).into()),
        AttributeValue::Data16(value) => Some(value.cast_signed()),
        other => other.udata_value().map(i128::from),
    }
}

/// The text of an entry's attribute.
pub fn text_of(unit: &Unit, entry: &Entry, name: gimli::DwAt) -> Option<Box<str>> {
    unit.text(entry.attr_value(name)?)
}

/// Whether an entry has this flag.
pub fn is_flag(entry: &Entry, name: gimli::DwAt) -> bool {
    matches!(entry.attr_value(name), Some(AttributeValue::Flag(true)))
}

/// Calls `each` for the direct children of the entry at `offset`, [`PARTS_MAX`] at most. `None`: it is damaged.
pub fn for_each_child(unit: &Unit, offset: usize, mut each: impl FnMut(&Entry)) -> Option<()> {
    let mut tree = unit.unit.entries_tree(Some(UnitOffset(offset))).ok()?;
    let mut children = tree.root().ok()?.children();
    for _ in 0..PARTS_MAX {
        match children.next().ok()? {
            Some(child) => each(child.entry()),
            None => break,
        }
    }
    Some(())
}
