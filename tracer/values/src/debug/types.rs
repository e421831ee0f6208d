//! Types, out of their descriptions. A type brings along all that it is made of or points to.

use std::collections::{HashMap, HashSet};

use gimli::{AttributeValue, DebuggingInformationEntry, DwTag, UnitOffset};

use super::expression::{Nothing, Surroundings};
use super::names::full_name;
use super::sections::Slice;
use super::units::{Die, Unit, Units};
use crate::{Bound, Encoding, Enumerator, Kind, Type, TypeId, Types};

pub use entry::{for_each_child, is_flag, named, qualified, text_of, whole};

use bounds::dimensions_of;

mod bounds;
mod copies;
mod entry;
mod records;

type Entry = DebuggingInformationEntry<Slice>;

/// Types of a file at most.
const TYPES_MAX: usize = 1 << 20;

/// How often one description refers to another for its own sake: signatures, specifications.
const CHAIN_MAX: usize = 16;

/// The types of a file that were asked for.
#[derive(Default)]
pub struct TypeTable {
    pub types: Types,
    known: HashMap<Die, TypeId>,
    /// Where each is described, if it is.
    dies: Vec<Option<Die>>,
    /// Allocated, not yet read.
    pending: Vec<(TypeId, Die)>,
    void: Option<TypeId>,
    /// Not described anywhere.
    made: Vec<TypeId>,
    /// Arrays whose bounds are known in a frame only.
    dynamic: HashSet<TypeId>,
}

impl TypeTable {
    /// The type that is described there.
    pub fn get(&mut self, units: &Units, die: Die) -> TypeId {
        let id = self.allocate(units, die);
        let first = self.types.list.len();
        let from = self
            .pending
            .iter()
            .map(|(id, _)| id.0 as usize)
            .min()
            .unwrap_or(first);
        while let Some((id, die)) = self.pending.pop() {
            let read = self.read(units, id, die).unwrap_or_else(|| Type {
                name: "".into(),
                size: None,
                kind: Kind::Unknown(0),
            });
            if let Some(slot) = self.types.list.get_mut(id.0 as usize) {
                *slot = read;
            }
        }
        for index in from..self.types.list.len() {
            self.measure(index);
        }
        id
    }

    /// The type that an entry's `DW_AT_type` names; nothing, if it has none.
    pub fn of_entry(&mut self, units: &Units, unit: &Unit, entry: &Entry) -> Option<TypeId> {
        let value = entry.attr_value(gimli::DW_AT_type)?;
        let die = units.refer(unit, &value)?;
        Some(self.get(units, die))
    }

    /// No value.
    pub fn void(&mut self) -> TypeId {
        if let Some(id) = self.void {
            return id;
        }
        let id = self.push(
            Type {
                name: "void".into(),
                size: None,
                kind: Kind::Void,
            },
            None,
        );
        self.void = Some(id);
        id
    }

    /// A type that no file describes: one that is made of others.
    pub fn made(&mut self, wanted: Type) -> TypeId {
        let is_same = |id: &&TypeId| self.types.get(**id) == Some(&wanted);
        if let Some(known) = self.made.iter().find(is_same) {
            return *known;
        }
        let id = self.push(wanted, None);
        self.made.push(id);
        id
    }

    /// The type as it is in a frame: with the bounds that arrays have there.
    pub fn in_frame(&mut self, units: &Units, id: TypeId, around: &dyn Surroundings) -> TypeId {
        if self.dynamic.is_empty() {
            return id;
        }
        self.in_frame_to(units, id, around, CHAIN_MAX)
    }

    fn in_frame_to(
        &mut self,
        units: &Units,
        id: TypeId,
        around: &dyn Surroundings,
        depth: usize,
    ) -> TypeId {
        let (Some(found), Some(depth)) = (self.types.get(id).cloned(), depth.checked_sub(1)) else {
            return id;
        };
        let target = match found.kind {
            Kind::Alias(target)
            | Kind::Qualified { target, .. }
            | Kind::Pointer(target)
            | Kind::Reference(target) => target,
            Kind::Array { element, .. } => element,
            _ => return id,
        };
        let own = self.in_frame_to(units, target, around, depth);
        let is_dynamic = self.dynamic.contains(&id);
        if own == target && !is_dynamic {
            return id;
        }
        let mut kind = found.kind;
        let mut size = found.size;
        match &mut kind {
            Kind::Alias(target)
            | Kind::Qualified { target, .. }
            | Kind::Pointer(target)
            | Kind::Reference(target) => *target = own,
            Kind::Array {
                element,
                dimensions,
                ..
            } => {
                *element = own;
                size = None;
                let die = self.dies.get(id.0 as usize).copied().flatten();
                if let (true, Some(die)) = (is_dynamic, die)
                    && let Some(read) = dimensions_of(units, die, around)
                {
                    *dimensions = read.0;
                }
            }
            _ => {}
        }
        if matches!(kind, Kind::Alias(_) | Kind::Qualified { .. }) {
            size = None;
        }
        let made = self.push(
            Type {
                name: found.name,
                size,
                kind,
            },
            None,
        );
        self.measure(made.0 as usize);
        made
    }

    fn push(&mut self, new: Type, die: Option<Die>) -> TypeId {
        let id = TypeId(u32::try_from(self.types.list.len()).unwrap_or(u32::MAX));
        self.types.list.push(new);
        self.dies.push(die);
        id
    }

    fn allocate(&mut self, units: &Units, die: Die) -> TypeId {
        if let Some(id) = self.known.get(&die) {
            return *id;
        }
        let home = defined(units, die);
        if home != die {
            let id = self.allocate_own(home);
            self.known.insert(die, id);
            return id;
        }
        self.allocate_own(die)
    }

    fn allocate_own(&mut self, die: Die) -> TypeId {
        if let Some(id) = self.known.get(&die) {
            return *id;
        }
        if self.types.list.len() >= TYPES_MAX {
            return self.void();
        }
        let placeholder = Type {
            name: "".into(),
            size: None,
            kind: Kind::Unknown(0),
        };
        let id = self.push(placeholder, Some(die));
        self.known.insert(die, id);
        self.pending.push((id, die));
        id
    }

    /// The type that an entry names, read later; void without one.
    fn target(&mut self, units: &Units, unit: &Unit, entry: &Entry) -> TypeId {
        let value = entry.attr_value(gimli::DW_AT_type);
        match value.and_then(|value| units.refer(unit, &value)) {
            Some(die) => self.allocate(units, die),
            None => self.void(),
        }
    }

    fn read(&mut self, units: &Units, id: TypeId, die: Die) -> Option<Type> {
        let unit = units.get(die.unit)?;
        let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
        let mut name = text_of(&unit, &entry, gimli::DW_AT_name).unwrap_or_default();
        let mut size = entry
            .attr_value(gimli::DW_AT_byte_size)
            .and_then(|value| value.udata_value());
        let tag = entry.tag();
        let kind = match tag {
            gimli::DW_TAG_base_type => Kind::Base(encoding(&entry)),
            gimli::DW_TAG_unspecified_type => Kind::Void,
            gimli::DW_TAG_pointer_type => {
                size = size.or(Some(8));
                Kind::Pointer(self.target(units, &unit, &entry))
            }
            gimli::DW_TAG_reference_type | gimli::DW_TAG_rvalue_reference_type => {
                size = size.or(Some(8));
                Kind::Reference(self.target(units, &unit, &entry))
            }
            gimli::DW_TAG_ptr_to_member_type => {
                Kind::MemberPointer(self.target(units, &unit, &entry))
            }
            gimli::DW_TAG_typedef | gimli::DW_TAG_template_alias => {
                name = qualified(units, &unit, die.offset, &name);
                Kind::Alias(self.target(units, &unit, &entry))
            }
            gimli::DW_TAG_subrange_type => Kind::Alias(self.target(units, &unit, &entry)),
            gimli::DW_TAG_const_type
            | gimli::DW_TAG_volatile_type
            | gimli::DW_TAG_restrict_type
            | gimli::DW_TAG_atomic_type
            | gimli::DW_TAG_immutable_type
            | gimli::DW_TAG_packed_type
            | gimli::DW_TAG_shared_type => Kind::Qualified {
                word: word(tag).into(),
                target: self.target(units, &unit, &entry),
            },
            gimli::DW_TAG_subroutine_type => Kind::Function,
            gimli::DW_TAG_array_type => self.array(units, id, die, &unit, &entry)?,
            gimli::DW_TAG_string_type => self.text(units, id, die)?,
            gimli::DW_TAG_enumeration_type => {
                name = qualified(units, &unit, die.offset, &name);
                self.enumeration(units, &unit, &entry)
            }
            gimli::DW_TAG_structure_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_interface_type => {
                // A type that is defined outside of the class that declares it has its name there.
                let named = named(units, die);
                let named_unit = units.get(named.unit)?;
                let named_entry = named_unit.unit.entry(UnitOffset(named.offset)).ok()?;
                name = text_of(&named_unit, &named_entry, gimli::DW_AT_name).unwrap_or_default();
                name = qualified(units, &named_unit, named.offset, &name);
                self.record(units, &unit, &entry)?
            }
            other => Kind::Unknown(other.0),
        };
        Some(Type { name, size, kind })
    }

    fn array(
        &mut self,
        units: &Units,
        id: TypeId,
        die: Die,
        unit: &Unit,
        entry: &Entry,
    ) -> Option<Kind> {
        let is_foreign = [
            gimli::DW_AT_data_location,
            gimli::DW_AT_byte_stride,
            gimli::DW_AT_bit_stride,
            gimli::DW_AT_rank,
        ];
        if is_foreign.iter().any(|name| entry.has_attr(*name)) {
            return Some(Kind::Unknown(entry.tag().0));
        }
        let (dimensions, is_dynamic) = dimensions_of(units, die, &Nothing)?;
        if is_dynamic {
            self.dynamic.insert(id);
        }
        let flag = entry.attr_value(gimli::DW_AT_GNU_vector);
        Some(Kind::Array {
            element: self.target(units, unit, entry),
            dimensions,
            is_vector: matches!(flag, Some(AttributeValue::Flag(true))),
        })
    }

    /// A text of Fortran: so many characters.
    fn text(&mut self, units: &Units, id: TypeId, die: Die) -> Option<Kind> {
        let (dimensions, is_dynamic) = dimensions_of(units, die, &Nothing)?;
        if is_dynamic {
            self.dynamic.insert(id);
        }
        let element = self.made(Type {
            name: "character".into(),
            size: Some(1),
            kind: Kind::Base(Encoding::SignedChar),
        });
        Some(Kind::Array {
            element,
            dimensions,
            is_vector: false,
        })
    }

    fn enumeration(&mut self, units: &Units, unit: &Unit, entry: &Entry) -> Kind {
        let mut enumerators = Vec::new();
        let _ = for_each_child(unit, entry.offset().0, |child| {
            let value = child.attr_value(gimli::DW_AT_const_value);
            if child.tag() == gimli::DW_TAG_enumerator
                && let Some(value) = value.and_then(|value| whole(&value))
            {
                let name = text_of(unit, child, gimli::DW_AT_name).unwrap_or_default();
                enumerators.push(Enumerator { name, value });
            }
        });
        let underlying = entry
            .has_attr(gimli::DW_AT_type)
            .then(|| self.target(units, unit, entry));
        Kind::Enum {
            underlying,
            enumerators,
        }
    }

    /// Bytes of arrays and member pointers, which their descriptions don't have.
    fn measure(&mut self, index: usize) {
        let size = match self.types.list.get(index) {
            Some(Type {
                size: None,
                kind: Kind::Array { .. } | Kind::MemberPointer(_),
                ..
            }) => self.size_of(TypeId(u32::try_from(index).unwrap_or(u32::MAX)), CHAIN_MAX),
            _ => return,
        };
        self.types.list[index].size = size;
    }

    fn size_of(&self, id: TypeId, depth: usize) -> Option<u64> {
        let depth = depth.checked_sub(1)?;
        let (_, found) = self.types.bare(id)?;
        match &found.kind {
            _ if found.size.is_some() => found.size,
            Kind::Array {
                element,
                dimensions,
                ..
            } => {
                let mut size = self.size_of(*element, depth)?;
                for dimension in dimensions {
                    let Bound::Fixed(count) = dimension.count else {
                        return None;
                    };
                    size = size.checked_mul(count)?;
                }
                Some(size)
            }
            Kind::MemberPointer(target) => match self.types.bare(*target)?.1.kind {
                Kind::Function => Some(16),
                _ => Some(8),
            },
            _ => None,
        }
    }
}

/// Where the type that is described or only declared there is described.
fn defined(units: &Units, mut die: Die) -> Die {
    for _ in 0..CHAIN_MAX {
        let signature = units.get(die.unit).and_then(|unit| {
            let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
            units.refer(&unit, &entry.attr_value(gimli::DW_AT_signature)?)
        });
        match signature {
            Some(next) => die = next,
            None => break,
        }
    }
    if is_declared(units, die)
        && let Some(name) = full_name(units, die)
        && let Some(definition) = units.names().definition(&name)
    {
        return definition;
    }
    die
}

/// Whether a type is only declared there.
fn is_declared(units: &Units, die: Die) -> bool {
    let Some(unit) = units.get(die.unit) else {
        return false;
    };
    let entry = unit.unit.entry(UnitOffset(die.offset));
    entry.is_ok_and(|entry| {
        let is_type = matches!(
            entry.tag(),
            gimli::DW_TAG_structure_type
                | gimli::DW_TAG_class_type
                | gimli::DW_TAG_union_type
                | gimli::DW_TAG_enumeration_type
        );
        is_type && is_flag(&entry, gimli::DW_AT_declaration)
    })
}

fn encoding(entry: &Entry) -> Encoding {
    let is_big = matches!(
        entry.attr_value(gimli::DW_AT_endianity),
        Some(AttributeValue::Endianity(gimli::DW_END_big))
    );
    let Some(AttributeValue::Encoding(encoding)) = entry.attr_value(gimli::DW_AT_encoding) else {
        return Encoding::Other(0);
    };
    match encoding {
        other if is_big => Encoding::Other(other.0),
        gimli::DW_ATE_boolean => Encoding::Boolean,
        gimli::DW_ATE_signed => Encoding::Signed,
        gimli::DW_ATE_unsigned => Encoding::Unsigned,
        gimli::DW_ATE_signed_char => Encoding::SignedChar,
        gimli::DW_ATE_unsigned_char => Encoding::UnsignedChar,
        gimli::DW_ATE_UTF => Encoding::Utf,
        gimli::DW_ATE_float => Encoding::Float,
        gimli::DW_ATE_complex_float => Encoding::ComplexFloat,
        other => Encoding::Other(other.0),
    }
}

fn word(tag: DwTag) -> &'static str {
    match tag {
        gimli::DW_TAG_const_type => "const",
        gimli::DW_TAG_volatile_type => "volatile",
        gimli::DW_TAG_restrict_type => "restrict",
        gimli::DW_TAG_atomic_type => "_Atomic",
        gimli::DW_TAG_immutable_type => "immutable",
        gimli::DW_TAG_packed_type => "packed",
        _ => "shared",
    }
}
