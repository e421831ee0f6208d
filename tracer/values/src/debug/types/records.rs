//! Classes, structures and unions: what they are made of, and where that lies.

use gimli::{AttributeValue, UnitOffset};

use super::{CHAIN_MAX, Entry, TypeTable, for_each_child, is_flag, text_of, whole};
use crate::debug::expression::{self, Nothing};
use crate::debug::units::{Unit, Units};
use crate::{Address, Base, Keyword, Kind, Member, Offset, Op, Variant};

impl TypeTable {
    pub(super) fn record(&mut self, units: &Units, unit: &Unit, entry: &Entry) -> Option<Kind> {
        let mut bases = Vec::new();
        let mut members = Vec::new();
        let mut arguments = Vec::new();
        let mut parts = Vec::new();
        let mut packs = Vec::new();
        for_each_child(unit, entry.offset().0, |child| match child.tag() {
            gimli::DW_TAG_inheritance => bases.push(Base {
                of: self.target(units, unit, child),
                offset: offset(unit, child),
                is_virtual: matches!(
                    child.attr_value(gimli::DW_AT_virtuality),
                    Some(AttributeValue::Virtuality(gimli::DW_VIRTUALITY_virtual))
                ),
            }),
            gimli::DW_TAG_member => members.extend(self.member(units, unit, child)),
            gimli::DW_TAG_template_type_parameter => {
                arguments.push(self.target(units, unit, child));
            }
            gimli::DW_TAG_GNU_template_parameter_pack => packs.push(child.offset().0),
            gimli::DW_TAG_variant_part => parts.push(child.offset().0),
            _ => {}
        })?;
        for pack in packs {
            let _ = for_each_child(unit, pack, |child| {
                if child.tag() == gimli::DW_TAG_template_type_parameter {
                    arguments.push(self.target(units, unit, child));
                }
            });
        }
        let variants = parts
            .first()
            .and_then(|part| self.variants(units, unit, *part))
            .map(Box::new);
        Some(Kind::Record {
            keyword: match entry.tag() {
                gimli::DW_TAG_union_type => Keyword::Union,
                gimli::DW_TAG_class_type => Keyword::Class,
                _ => Keyword::Struct,
            },
            bases,
            members,
            arguments,
            variants,
            is_declaration: is_flag(entry, gimli::DW_AT_declaration),
        })
    }

    fn member(&mut self, units: &Units, unit: &Unit, child: &Entry) -> Option<Member> {
        // Static members are variables; before DWARF 5 they look like members.
        if is_flag(child, gimli::DW_AT_external) || is_flag(child, gimli::DW_AT_declaration) {
            return None;
        }
        let number = |name| child.attr_value(name).and_then(|value| value.udata_value());
        let place = offset(unit, child);
        let bits = number(gimli::DW_AT_bit_size).map(|bits| {
            let bytes = match place {
                Offset::Fixed(bytes) => bytes,
                Offset::Dynamic(_) => 0,
            };
            let first = match number(gimli::DW_AT_data_bit_offset) {
                Some(first) => first,
                // The older way counts from the upper end of a storage unit.
                None => {
                    let storage = number(gimli::DW_AT_byte_size)
                        .or_else(|| self.storage_bytes(units, unit, child))
                        .unwrap_or(4);
                    let skipped = number(gimli::DW_AT_bit_offset).unwrap_or(0);
                    bytes
                        .saturating_mul(8)
                        .saturating_add(storage.saturating_mul(8))
                        .saturating_sub(skipped.saturating_add(bits))
                }
            };
            (first, bits)
        });
        Some(Member {
            name: text_of(unit, child, gimli::DW_AT_name).unwrap_or_default(),
            of: self.target(units, unit, child),
            offset: place,
            bits,
            is_artificial: is_flag(child, gimli::DW_AT_artificial),
        })
    }

    /// Bytes of the type of a bit field, which may not have been read yet.
    fn storage_bytes(&self, units: &Units, unit: &Unit, child: &Entry) -> Option<u64> {
        let mut die = units.refer(unit, &child.attr_value(gimli::DW_AT_type)?)?;
        for _ in 0..CHAIN_MAX {
            let unit = units.get(die.unit)?;
            let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
            if let Some(size) = entry.attr_value(gimli::DW_AT_byte_size) {
                return size.udata_value();
            }
            die = units.refer(&unit, &entry.attr_value(gimli::DW_AT_type)?)?;
        }
        None
    }

    fn variants(&mut self, units: &Units, unit: &Unit, part: usize) -> Option<Variant> {
        let entry = unit.unit.entry(UnitOffset(part)).ok()?;
        let discriminant = entry
            .attr_value(gimli::DW_AT_discr)
            .and_then(|value| units.refer(unit, &value))
            .and_then(|die| unit.unit.entry(UnitOffset(die.offset)).ok());
        let discriminant = discriminant.and_then(|entry| self.member(units, unit, &entry));
        let mut places = Vec::new();
        for_each_child(unit, part, |child| {
            if child.tag() == gimli::DW_TAG_variant {
                let values = match child.attr_value(gimli::DW_AT_discr_value) {
                    Some(value) => whole(&value).into_iter().collect(),
                    None => Vec::new(),
                };
                places.push((child.offset().0, values));
            }
        })?;
        let mut parts = Vec::new();
        for (place, values) in places {
            let mut member = None;
            for_each_child(unit, place, |child| {
                if child.tag() == gimli::DW_TAG_member {
                    member = self.member(units, unit, child);
                }
            })?;
            parts.push((values, member?));
        }
        Some(Variant {
            discriminant,
            parts,
        })
    }
}

fn offset(unit: &Unit, entry: &Entry) -> Offset {
    match entry.attr_value(gimli::DW_AT_data_member_location) {
        Some(AttributeValue::Exprloc(expression)) => {
            let address = expression::address(unit, expression, &Nothing, 1);
            match address {
                Some(address) => match address.ops.as_slice() {
                    [] => Offset::Fixed(0),
                    [Op::Plus(bytes)] => Offset::Fixed(*bytes),
                    _ => Offset::Dynamic(address),
                },
                // A place that can't be told: an address where nothing is.
                None => Offset::Dynamic(Address::default()),
            }
        }
        Some(value) => Offset::Fixed(value.udata_value().unwrap_or(0)),
        None => Offset::Fixed(0),
    }
}
