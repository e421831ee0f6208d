//! Members of records, and members of those.

use crate::{Kind, Offset, Type, TypeId, Types};

/// How deep bases and members are searched.
pub(super) const DEPTH_MAX: u32 = 12;

/// Types that are looked at for one member or alignment: those of a damaged file may lie within each other in many ways.
pub(super) const LOOKED_AT_MAX: u32 = 1024;

/// A record whose members are looked for.
pub(super) struct Record<'a> {
    pub(super) types: &'a Types,
    pub(super) id: TypeId,
}

impl Record<'_> {
    /// Offset and type of a member of a member...
    pub(super) fn path(&self, names: &[&str]) -> Option<(u64, TypeId)> {
        let (mut offset, mut id) = (0_u64, self.id);
        for name in names {
            let (inner, of) = member(self.types, id, name)?;
            (offset, id) = (offset.checked_add(inner)?, of);
        }
        Some((offset, id))
    }

    /// The offset alone.
    pub(super) fn offset(&self, names: &[&str]) -> Option<u64> {
        self.path(names).map(|(offset, _)| offset)
    }
}

/// Offset and type of the member with this name, also of base classes and anonymous members.
pub fn member(types: &Types, id: TypeId, name: &str) -> Option<(u64, TypeId)> {
    member_at(types, id, name, &mut { LOOKED_AT_MAX }, 0)
}

fn member_at(
    types: &Types,
    id: TypeId,
    name: &str,
    left: &mut u32,
    depth: u32,
) -> Option<(u64, TypeId)> {
    *left = left.checked_sub(1).filter(|_| depth <= DEPTH_MAX)?;
    let (_, found) = types.bare(id)?;
    let Kind::Record { bases, members, .. } = &found.kind else {
        return None;
    };
    for member in members.iter().filter(|member| &*member.name == name) {
        if let Offset::Fixed(offset) = member.offset {
            return Some((offset, member.of));
        }
    }
    let anonymous = members.iter().filter(|member| member.name.is_empty());
    let inner = anonymous.map(|member| (&member.offset, member.of));
    let bases = bases.iter().map(|base| (&base.offset, base.of));
    bases.chain(inner).find_map(|(offset, of)| {
        let Offset::Fixed(offset) = offset else {
            return None;
        };
        let (inner, found) = member_at(types, of, name, left, depth + 1)?;
        Some((offset.checked_add(inner)?, found))
    })
}

/// What a pointer points to.
pub(super) fn pointee(types: &Types, id: TypeId) -> Option<TypeId> {
    match types.bare(id)?.1.kind {
        Kind::Pointer(target) => Some(target),
        _ => None,
    }
}

/// The type arguments of a template's type.
pub(super) fn arguments(types: &Types, id: TypeId) -> &[TypeId] {
    match types.bare(id) {
        Some((
            _,
            Type {
                kind: Kind::Record { arguments, .. },
                ..
            },
        )) => arguments,
        _ => &[],
    }
}
