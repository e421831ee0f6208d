//! Parts of objects: members, also inherited ones and those of anonymous parts, and elements.

use umbel_values::evaluate::{self, Source};
use umbel_values::{Bound, Kind, Member, Offset, TypeId};

use super::super::expression::Expression;
use super::{Around, Object};

/// Bases of bases, anonymous parts of anonymous parts.
const NESTING_MAX: u32 = 16;

impl Around<'_> {
    pub(super) fn member_of(
        &self,
        inner: &Expression,
        whole: Object,
        name: &str,
    ) -> Result<Object, String> {
        let mut whole = self.referred(whole)?;
        if let Some((_, found)) = self.types.bare(whole.of)
            && matches!(found.kind, Kind::Pointer(_))
        {
            whole = self.referred(self.target(inner, &whole)?)?;
        }
        let kind = self.types.bare(whole.of).map(|(_, found)| &found.kind);
        if !matches!(kind, Some(Kind::Record { .. })) {
            return Err(format!(
                "{inner} has no members: its type is {}",
                self.types.name(whole.of)
            ));
        }
        self.member(&whole, name, 0)?.ok_or_else(|| {
            let mut names = Vec::new();
            self.members(whole.of, 0, &mut names);
            format!(
                "{inner} has no member {name}; its type {} has {}",
                self.types.name(whole.of),
                names.join(", ")
            )
        })
    }

    /// A member of a record, also of what is anonymous in it, or what it inherits.
    fn member(&self, whole: &Object, name: &str, depth: u32) -> Result<Option<Object>, String> {
        let Some(Kind::Record { bases, members, .. }) =
            self.types.bare(whole.of).map(|(_, found)| &found.kind)
        else {
            return Ok(None);
        };
        if depth > NESTING_MAX {
            return Ok(None);
        }
        if let Some(own) = members.iter().find(|member| &*member.name == name) {
            return self.own(whole, own).map(Some);
        }
        let anonymous = members.iter().filter(|member| member.name.is_empty());
        let parts = anonymous.map(|member| (&member.offset, member.of));
        let parts = parts.chain(bases.iter().map(|base| (&base.offset, base.of)));
        for (offset, of) in parts {
            let part = self.part(whole, offset, of)?;
            if let Some(found) = self.member(&part, name, depth + 1)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn own(&self, whole: &Object, member: &Member) -> Result<Object, String> {
        match member.bits {
            Some(bits) => Ok(Object {
                bits: Some(bits),
                of: member.of,
                register: None,
                ..whole.clone()
            }),
            None => self.part(whole, &member.offset, member.of),
        }
    }

    fn part(&self, whole: &Object, offset: &Offset, of: TypeId) -> Result<Object, String> {
        let absent = |absence| format!("it is {absence}");
        let source = match (offset, whole.source.address()) {
            (Offset::Fixed(offset), _) => whole.source.part(*offset).map_err(absent)?,
            (Offset::Dynamic(address), Some(object)) => Source::Memory(
                evaluate::address_in(address, Some(object), self.registers, self.view)
                    .map_err(absent)?,
            ),
            (Offset::Dynamic(_), None) => {
                return Err("where its virtual base is can't be told".to_owned());
            }
        };
        Ok(Object {
            why: whole.why,
            ..Object::in_source(source, of)
        })
    }

    fn members(&self, of: TypeId, depth: u32, names: &mut Vec<String>) {
        if let Some((_, found)) = self.types.bare(of)
            && let Kind::Record { bases, members, .. } = &found.kind
            && depth <= NESTING_MAX
        {
            for member in members {
                match member.name.is_empty() {
                    true => self.members(member.of, depth + 1, names),
                    false => names.push(member.name.to_string()),
                }
            }
            for base in bases {
                self.members(base.of, depth + 1, names);
            }
        }
    }

    pub(super) fn element(
        &self,
        inner: &Expression,
        whole: &Object,
        index: i64,
    ) -> Result<Object, String> {
        let whole = self.referred(whole.clone())?;
        if let Some(element) = self.contained(&inner.to_string(), &whole, index) {
            return element;
        }
        let size_of = |of| {
            self.types
                .size(of)
                .filter(|size| *size > 0)
                .ok_or_else(|| format!("how large an element of {inner} is isn't known"))
        };
        match self.types.bare(whole.of).map(|(_, found)| &found.kind) {
            Some(Kind::Pointer(target)) => {
                let size = size_of(*target)?;
                let first = self.target(inner, &whole)?;
                let offset = index.cast_unsigned().wrapping_mul(size);
                match first.source.address() {
                    Some(address) => Ok(Object::at(address.wrapping_add(offset), *target)),
                    None => Err(format!("what {inner} points to is in no memory")),
                }
            }
            Some(Kind::Array {
                element,
                dimensions,
                ..
            }) => {
                let own = dimensions
                    .get(whole.indexed)
                    .ok_or_else(|| format!("{inner} is no array"))?;
                let mut stride = size_of(*element)?;
                for inner_dimension in &dimensions[whole.indexed + 1..] {
                    stride = stride.saturating_mul(self.count(&inner_dimension.count).ok_or_else(
                        || format!("how large an element of {inner} is isn't known"),
                    )?);
                }
                let index = index.wrapping_sub(own.lower);
                let offset = index.cast_unsigned().wrapping_mul(stride);
                let source = match whole.source.address() {
                    Some(address) => Source::Memory(address.wrapping_add(offset)),
                    None => whole
                        .source
                        .part(offset)
                        .map_err(|absence| format!("it is {absence}"))?,
                };
                let is_last = whole.indexed + 1 == dimensions.len();
                Ok(Object {
                    indexed: if is_last { 0 } else { whole.indexed + 1 },
                    why: whole.why,
                    ..Object::in_source(source, if is_last { *element } else { whole.of })
                })
            }
            _ => Err(format!(
                "{inner} has no elements: its type is {}; a class's are reached through its members",
                self.types.name(whole.of)
            )),
        }
    }

    fn count(&self, bound: &Bound) -> Option<u64> {
        match bound {
            Bound::Fixed(count) => Some(*count),
            Bound::Dynamic(address) => evaluate::address(address, self.registers, self.view).ok(),
            Bound::Unknown => None,
        }
    }
}
