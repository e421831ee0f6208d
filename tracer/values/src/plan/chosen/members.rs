//! Members of records, by name.

use super::places::{bit_field, inside};
use super::{Found, NESTED_MAX, behind_references, is_signed, kind, target};
use crate::containers::{Container, recognize};
use crate::{Kind, Offset, Place, TypeId, Types};

/// Members that a message tells.
const TOLD_MAX: usize = 24;

/// A member, through pointers.
pub(super) fn member(types: &Types, mut found: Found, name: &str) -> Result<Found, String> {
    for _ in 0..NESTED_MAX {
        if let Some(Kind::Record { .. }) = kind(types, found.of) {
            if let Some(part) = own_member(types, found.of, name, 0) {
                return Ok(part.of(&found.place));
            }
            if !is_owner(types, found.of) {
                let of = types.name(found.of);
                let mut names = Vec::new();
                members(types, found.of, 0, &mut names);
                return Err(format!("{of} has no member {name}{}", told(&names)));
            }
        }
        found = target(types, &found).ok_or_else(|| {
            let of = types.name(found.of);
            format!("{of} is no struct, class or union: it has no member {name}")
        })?;
        found = behind_references(types, found);
    }
    Err(format!("member {name} lies behind too many pointers"))
}

pub(super) fn is_owner(types: &Types, of: TypeId) -> bool {
    let bare = types.bare(of).map(|(id, _)| id);
    let container = bare.and_then(|bare| recognize(types, bare));
    matches!(container, Some(Container::Owner { .. }))
}

/// Where a member lies in its record.
struct Inner {
    offset: u64,
    bits: Option<(u64, u64)>,
    of: TypeId,
    bytes: u64,
    is_signed: bool,
}

impl Inner {
    fn of(&self, record: &Place) -> Found {
        let place = match self.bits {
            None => inside(record, self.offset, self.bytes),
            Some((first, count)) => bit_field(record, first, count, self.is_signed),
        };
        Found { place, of: self.of }
    }
}

/// A member of the record itself, of an anonymous part of it, or of a base.
fn own_member(types: &Types, of: TypeId, name: &str, depth: u32) -> Option<Inner> {
    let Kind::Record { bases, members, .. } = kind(types, of)? else {
        return None;
    };
    let fixed = |offset: &Offset| match offset {
        Offset::Fixed(offset) => Some(*offset),
        Offset::Dynamic(_) => None,
    };
    if let Some(own) = members.iter().find(|member| &*member.name == name) {
        let bytes = types.size(own.of)?;
        return Some(Inner {
            offset: fixed(&own.offset)?,
            bits: own.bits,
            of: own.of,
            bytes,
            is_signed: is_signed(types, own.of),
        });
    }
    // A struct that has itself inside is damaged.
    let depth = (depth < NESTED_MAX).then_some(depth + 1)?;
    let anonymous = members.iter().filter(|member| member.name.is_empty());
    let parts = anonymous.map(|member| (&member.offset, member.of));
    let bases = bases.iter().map(|base| (&base.offset, base.of));
    parts.chain(bases).find_map(|(offset, of)| {
        let mut inner = own_member(types, of, name, depth)?;
        let offset = fixed(offset)?;
        inner.offset = inner.offset.checked_add(offset)?;
        if let Some((first, _)) = &mut inner.bits {
            *first = first.checked_add(offset.checked_mul(8)?)?;
        }
        Some(inner)
    })
}

fn members(types: &Types, of: TypeId, depth: u32, names: &mut Vec<Box<str>>) {
    let Some(Kind::Record {
        bases,
        members: own,
        ..
    }) = kind(types, of)
    else {
        return;
    };
    if depth == NESTED_MAX {
        return;
    }
    for member in own {
        match member.name.is_empty() {
            true => members(types, member.of, depth + 1, names),
            false => names.push(member.name.clone()),
        }
    }
    for base in bases {
        members(types, base.of, depth + 1, names);
    }
}

/// `; it has x, y`
pub fn told(names: &[Box<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(TOLD_MAX).map(|name| &**name).collect();
    match (shown.is_empty(), names.len() > TOLD_MAX) {
        (true, _) => String::new(),
        (_, false) => format!("; it has {}", shown.join(", ")),
        (_, true) => format!("; it has {} and more", shown.join(", ")),
    }
}
