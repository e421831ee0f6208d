//! How long arrays are.

use gimli::{AttributeValue, DebuggingInformationEntry, UnitOffset};

use super::{for_each_child, whole};
use crate::debug::expression::{self, Surroundings};
use crate::debug::sections::Slice;
use crate::debug::units::{Die, Unit, Units};
use crate::{Address, Bound, Dimension, Op};

/// An array's dimensions, and whether any is known in a frame only.
pub fn dimensions_of(
    units: &Units,
    die: Die,
    around: &dyn Surroundings,
) -> Option<(Vec<Dimension>, bool)> {
    let unit = units.get(die.unit)?;
    let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
    if entry.tag() == gimli::DW_TAG_string_type {
        let (count, is_dynamic) = length_of(units, &unit, &entry, around);
        return Some((vec![Dimension { lower: 1, count }], is_dynamic));
    }
    let first = unit.lower_bound();
    let mut dimensions = Vec::new();
    let mut is_dynamic = false;
    for_each_child(&unit, die.offset, |child| {
        let number = |name| {
            child
                .attr_value(name)
                .and_then(|value| whole(&value))
                .and_then(|value| i64::try_from(value).ok())
        };
        match child.tag() {
            gimli::DW_TAG_subrange_type | gimli::DW_TAG_generic_subrange => {}
            _ => return,
        }
        let lower = number(gimli::DW_AT_lower_bound).unwrap_or(first);
        let (value, extra) = match child.attr_value(gimli::DW_AT_count) {
            Some(count) => (Some(count), 0),
            None => {
                let upper = child.attr_value(gimli::DW_AT_upper_bound);
                (upper, 1_i64.wrapping_sub(lower))
            }
        };
        let is_dynamic_lower =
            child.has_attr(gimli::DW_AT_lower_bound) && number(gimli::DW_AT_lower_bound).is_none();
        let count = match value {
            _ if is_dynamic_lower || child.has_attr(gimli::DW_AT_byte_stride) => Bound::Unknown,
            None => Bound::Unknown,
            Some(value) => match whole(&value) {
                // int a[0] has an upper bound of -1, in as many bits as its form has.
                Some(bound) => {
                    let count = bound.wrapping_add(extra.into());
                    let is_minus_one = bound == i128::from(u64::MAX)
                        || bound == i128::from(u32::MAX) && extra != 0;
                    match u64::try_from(count) {
                        _ if is_minus_one => Bound::Fixed(0),
                        Ok(count) => Bound::Fixed(count),
                        Err(_) => Bound::Fixed(0),
                    }
                }
                None => {
                    is_dynamic = true;
                    dynamic_bound(units, &unit, &value, extra, around)
                }
            },
        };
        dimensions.push(Dimension { lower, count });
    })?;
    let is_by_columns = match entry.attr_value(gimli::DW_AT_ordering) {
        Some(AttributeValue::Ordering(ordering)) => ordering == gimli::DW_ORD_col_major,
        _ => unit.is_fortran(),
    };
    if is_by_columns {
        // The first index is the one that changes from one element to the next.
        dimensions.reverse();
    }
    Some((dimensions, is_dynamic))
}

/// How many characters a text of Fortran has, and whether that is known in a frame only.
fn length_of(
    units: &Units,
    unit: &Unit,
    entry: &DebuggingInformationEntry<Slice>,
    around: &dyn Surroundings,
) -> (Bound, bool) {
    let bytes = |name| {
        let value = entry.attr_value(name)?;
        value.udata_value()
    };
    let size = bytes(gimli::DW_AT_byte_size);
    match entry.attr_value(gimli::DW_AT_string_length) {
        None => (size.map_or(Bound::Unknown, Bound::Fixed), false),
        // Where the length is.
        Some(AttributeValue::Exprloc(place)) => {
            let width = bytes(gimli::DW_AT_string_length_byte_size).or(size);
            let width = u8::try_from(width.unwrap_or(8)).ok();
            let address = expression::number(unit, place, around);
            let count = match (address, width.filter(|width| (1..=8).contains(width))) {
                (Some(mut address), Some(width)) => {
                    address.ops.push(Op::Load(width));
                    Bound::Dynamic(address)
                }
                _ => Bound::Unknown,
            };
            (count, true)
        }
        Some(value) => (dynamic_bound(units, unit, &value, 0, around), true),
    }
}

fn dynamic_bound(
    units: &Units,
    unit: &Unit,
    value: &AttributeValue<Slice>,
    extra: i64,
    around: &dyn Surroundings,
) -> Bound {
    let found = match value {
        AttributeValue::Exprloc(bound) => expression::number(unit, bound.clone(), around),
        other => units
            .refer(unit, other)
            .and_then(|die| {
                let unit = units.get(die.unit)?;
                let offset = unit.unit.header.debug_info_offset()?;
                around.number(gimli::DebugInfoOffset(offset.0.checked_add(die.offset)?))
            })
            .map(|ops| Address { ops }),
    };
    match found {
        Some(mut address) => {
            address.ops.push(Op::Plus(extra.cast_unsigned()));
            Bound::Dynamic(address)
        }
        None => Bound::Unknown,
    }
}
