//! In what a value is returned, by its type.

use crate::{Encoding, Kind, Offset, TypeId, Types};

/// How a value is returned, after the System V ABI.
pub enum Class {
    /// In memory, whose address is in rax.
    Memory,
    /// On the old floating-point stack.
    Long,
    /// In registers: bytes of each.
    Parts(Vec<(Part, u64)>),
    /// There is nothing in it.
    Empty,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Part {
    Integer,
    Vector,
}

pub fn classify(types: &Types, of: TypeId, is_by_reference: Option<bool>) -> Option<Class> {
    let size = types.size(of)?;
    let (_, found) = types.bare(of)?;
    match &found.kind {
        Kind::Record { .. } => {
            if size > 16 || is_by_reference == Some(true) {
                return Some(Class::Memory);
            }
            // Whether it has a constructor for copies decides, and nothing says so.
            if is_by_reference.is_none() || size == 0 {
                return None;
            }
            if !has_members(types, of) {
                return Some(Class::Empty);
            }
            let mut parts = [None; 2];
            mark(types, of, 0, &mut parts, 8)?;
            let mut classes = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                let bytes = size.saturating_sub(8 * index as u64).min(8);
                if bytes > 0 {
                    classes.push(((*part)?, bytes));
                }
            }
            Some(Class::Parts(classes))
        }
        Kind::Base(Encoding::Float) if size == 16 && found.name.contains("long double") => {
            Some(Class::Long)
        }
        Kind::Base(Encoding::Float) if size <= 8 => Some(Class::Parts(vec![(Part::Vector, size)])),
        Kind::Base(Encoding::ComplexFloat) if size == 8 => {
            Some(Class::Parts(vec![(Part::Vector, 8)]))
        }
        Kind::Base(Encoding::ComplexFloat) if size == 16 => {
            Some(Class::Parts(vec![(Part::Vector, 8), (Part::Vector, 8)]))
        }
        Kind::Array {
            is_vector: true, ..
        } if size == 8 || size == 16 => Some(Class::Parts(vec![(Part::Vector, size)])),
        Kind::Base(
            Encoding::Boolean
            | Encoding::Signed
            | Encoding::Unsigned
            | Encoding::SignedChar
            | Encoding::UnsignedChar
            | Encoding::Utf,
        )
        | Kind::Enum { .. }
        | Kind::Pointer(_)
        | Kind::Reference(_)
        | Kind::MemberPointer(_) => match size {
            1..=8 => Some(Class::Parts(vec![(Part::Integer, size)])),
            16 => Some(Class::Parts(vec![(Part::Integer, 8), (Part::Integer, 8)])),
            _ => None,
        },
        _ => None,
    }
}

/// Marks what the eight bytes of a record's halves hold. `None`: something that has rules of its own.
fn mark(
    types: &Types,
    of: TypeId,
    at: u64,
    parts: &mut [Option<Part>; 2],
    nested: u8,
) -> Option<()> {
    let nested = nested.checked_sub(1)?;
    let size = types.size(of)?;
    let (_, found) = types.bare(of)?;
    let mut note = |from: u64, bytes: u64, part: Part| {
        for half in from / 8..(from + bytes.max(1)).div_ceil(8) {
            let place = parts.get_mut(usize::try_from(half).ok()?)?;
            // One integer in them makes it all an integer.
            *place = match *place {
                Some(Part::Integer) => Some(Part::Integer),
                _ => Some(part),
            };
        }
        Some(())
    };
    match &found.kind {
        Kind::Base(Encoding::Float | Encoding::ComplexFloat) => {
            if size > 8 {
                return None;
            }
            note(at, size, Part::Vector)
        }
        Kind::Base(_)
        | Kind::Enum { .. }
        | Kind::Pointer(_)
        | Kind::Reference(_)
        | Kind::MemberPointer(_) => note(at, size, Part::Integer),
        Kind::Array {
            element,
            is_vector: false,
            ..
        } => {
            let step = types.size(*element)?.max(1);
            for index in 0..size / step {
                mark(types, *element, at + index * step, parts, nested)?;
            }
            Some(())
        }
        Kind::Record { bases, members, .. } => {
            for base in bases {
                let Offset::Fixed(offset) = base.offset else {
                    return None;
                };
                // Empty ones hold nothing.
                if types.size(base.of)? > 1 || has_members(types, base.of) {
                    mark(types, base.of, at + offset, parts, nested)?;
                }
            }
            for member in members {
                if let Some((first, bits)) = member.bits {
                    let from = 8 * at + first;
                    let bytes = (from + bits).div_ceil(8) - from / 8;
                    for half in from / 64..(from / 8 + bytes).div_ceil(8) {
                        *parts.get_mut(usize::try_from(half).ok()?)? = Some(Part::Integer);
                    }
                    continue;
                }
                let Offset::Fixed(offset) = member.offset else {
                    return None;
                };
                mark(types, member.of, at + offset, parts, nested)?;
            }
            Some(())
        }
        _ => None,
    }
}

fn has_members(types: &Types, of: TypeId) -> bool {
    match types.bare(of).map(|(_, found)| &found.kind) {
        Some(Kind::Record { members, bases, .. }) => {
            !members.is_empty() || bases.iter().any(|base| has_members(types, base.of))
        }
        _ => false,
    }
}
