//! Sizes and alignments that types don't say.

use super::members::{DEPTH_MAX, LOOKED_AT_MAX};
use crate::{Bound, Kind, TypeId, Types};

/// The alignment of a type: what its parts ask for.
pub fn align(types: &Types, id: TypeId) -> u64 {
    align_at(types, id, &mut { LOOKED_AT_MAX }, 0)
}

fn align_at(types: &Types, id: TypeId, left: &mut u32, depth: u32) -> u64 {
    *left = left.saturating_sub(1);
    let is_near = *left > 0 && depth <= DEPTH_MAX;
    let Some((_, found)) = types.bare(id).filter(|_| is_near) else {
        return 8;
    };
    match &found.kind {
        Kind::Base(_) | Kind::Enum { .. } => {
            let size = found.size.unwrap_or(8).clamp(1, 16);
            match &found.kind {
                // A complex number is aligned as its parts.
                Kind::Base(crate::Encoding::ComplexFloat) => (size / 2).clamp(1, 16),
                _ => size.next_power_of_two(),
            }
        }
        Kind::Array {
            element, is_vector, ..
        } => match is_vector {
            true => found.size.unwrap_or(16).clamp(1, 64),
            false => align_at(types, *element, left, depth + 1),
        },
        Kind::Record { bases, members, .. } => {
            let parts = bases.iter().map(|base| base.of);
            let parts = parts.chain(members.iter().map(|member| member.of));
            parts
                .take(256)
                .map(|of| align_at(types, of, left, depth + 1))
                .max()
                .unwrap_or(1)
        }
        _ => 8,
    }
}

/// Elements of a fixed array; `None`: it is none, or has no fixed size.
pub fn array_len(types: &Types, id: TypeId) -> Option<u64> {
    match &types.bare(id)?.1.kind {
        Kind::Array { dimensions, .. } => match dimensions.first()?.count {
            Bound::Fixed(count) => Some(count),
            Bound::Dynamic(_) | Bound::Unknown => None,
        },
        _ => None,
    }
}

/// The next multiple of `align`.
pub fn align_up(offset: u64, align: u64) -> u64 {
    offset.next_multiple_of(align.max(1))
}
