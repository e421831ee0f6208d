//! Where pointers lie in values, and what of their targets is captured.
//!
//! How deep pointers are followed is decided here: a shape at the last depth follows none. What a container holds belongs to it, so its
//! own pointers cost nothing.

use std::collections::HashMap;

use umbel_trace_ring::plan::{Follow, Instruction};

use super::Wishes;
use super::relocate::relocate;
use crate::containers::recognize;
use crate::{Address, Binary, Bound, Encoding, Keyword, Kind, Offset, Op, Type, TypeId, Types};

mod containers;

/// Shapes of a plan at most.
const SHAPES_MAX: usize = 512;

/// Instructions of a shape at most.
const INSTRUCTIONS_MAX: usize = 64;

/// Records in records, arrays in arrays.
const NESTED_MAX: u8 = 16;

/// Bytes of an object that a pointer leads to, at most.
const OBJECT_BYTES_MAX: u64 = 1024;

/// Bytes of the character types that texts are made of.
const CHARACTER_BYTES: u64 = 1;

/// Shapes of a plan: named by their place in the list, from 1 on.
pub struct Shapes {
    list: Vec<Vec<Instruction>>,
    known: HashMap<Key, u32>,
    elements: u32,
    text_bytes: u32,
    /// Whether pointers are followed at all.
    follows: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Value(TypeId, u8),
    Tree(u64, u64, TypeId, u8),
    Chain(u64, u64, TypeId, u8),
}

impl Shapes {
    pub fn new(wishes: &Wishes) -> Self {
        Self {
            list: Vec::new(),
            known: HashMap::new(),
            elements: u32::from(wishes.elements),
            text_bytes: u32::from(wishes.text_bytes),
            follows: wishes.depth > 0,
        }
    }

    /// Nothing is followed.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The shape of bytes that have these values in them, each at its offset; 0: nothing is followed.
    pub fn of_values(&mut self, types: &Types, values: &[(TypeId, u64)], depth: u8) -> u32 {
        let mut all = Vec::new();
        for (id, at) in values {
            self.value(types, *id, *at, depth, NESTED_MAX, &mut all);
        }
        self.add(all)
    }

    /// The shape of one value.
    pub fn of_value(&mut self, types: &Types, id: TypeId, depth: u8) -> u32 {
        let key = Key::Value(id, depth);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        // Should it come up within itself, it is followed no further: only containers' own pointers cost nothing.
        self.known.insert(key.clone(), 0);
        let shape = self.of_values(types, &[(id, 0)], depth);
        self.known.insert(key, shape);
        shape
    }

    /// Bytes of a value that are captured.
    pub fn captured_bytes(&self, types: &Types, id: TypeId) -> Option<u64> {
        let size = types.size(id)?;
        let (_, found) = types.bare(id)?;
        let most = match &found.kind {
            // Further elements aren't shown.
            Kind::Array { element, .. } => types
                .size(*element)?
                .saturating_mul(u64::from(self.array_elements(types, *element))),
            _ => OBJECT_BYTES_MAX,
        };
        Some(
            size.min(most)
                .min(OBJECT_BYTES_MAX.max(u64::from(self.text_bytes))),
        )
    }

    /// All of them, behind `begin` words of ops: with their places instead of their numbers, which `ops` get too.
    pub fn append_to(self, words: &mut Vec<u64>) -> Option<()> {
        let mut places = vec![0];
        let mut next = u32::try_from(words.len()).ok()?;
        for shape in &self.list {
            places.push(next);
            let count = 1 + shape.len() * Instruction::WORDS;
            next = next.checked_add(u32::try_from(count).ok()?)?;
        }
        for shape in &self.list {
            words.push(shape.len() as u64);
            words.extend(shape.iter().flat_map(|instruction| instruction.pack()));
        }
        let place = |number: u32| places.get(number as usize).copied().unwrap_or(0);
        relocate(words, &place);
        Some(())
    }

    fn array_elements(&self, types: &Types, element: TypeId) -> u32 {
        match types.bare(element).map(|(_, found)| found) {
            Some(found) if is_character(found) => self.text_bytes.max(self.elements),
            _ => self.elements,
        }
    }

    fn add(&mut self, instructions: Vec<Instruction>) -> u32 {
        if instructions.is_empty() || self.list.len() == SHAPES_MAX {
            return 0;
        }
        self.list.push(instructions);
        u32::try_from(self.list.len()).unwrap_or(0)
    }

    fn value(
        &mut self,
        types: &Types,
        id: TypeId,
        at: u64,
        depth: u8,
        nested: u8,
        out: &mut Vec<Instruction>,
    ) {
        let Some((id, found)) = types.bare(id) else {
            return;
        };
        let Some(nested) = nested.checked_sub(1) else {
            return;
        };
        match &found.kind {
            Kind::Pointer(target) | Kind::Reference(target) => {
                let is_pointer = matches!(found.kind, Kind::Pointer(_));
                match depth.checked_sub(1) {
                    Some(depth) => self.pointer(types, *target, at, depth, is_pointer, out),
                    // A text in an object that is followed says more than its address.
                    None if is_pointer && self.follows && is_text(types, *target) => {
                        emit(out, Follow::Text, at, self.text_bytes.into(), 0, 0, 0);
                    }
                    None => {}
                }
            }
            Kind::Record {
                keyword,
                bases,
                members,
                ..
            } => {
                if let Some(container) = recognize(types, id) {
                    self.container(types, &container, at, depth, nested, out);
                    return;
                }
                // Which member of a union is there, nobody knows.
                if *keyword == Keyword::Union {
                    return;
                }
                for base in bases {
                    match &base.offset {
                        Offset::Fixed(offset) => {
                            let at = at.saturating_add(*offset);
                            self.value(types, base.of, at, depth, nested, out);
                        }
                        // Where it lies, the table of virtual functions says.
                        Offset::Dynamic(address) => {
                            if let Some(before) = in_table(address) {
                                emit(out, Follow::Object, at, 8, before.into(), 0, 0);
                            }
                        }
                    }
                }
                for member in members {
                    if let (Offset::Fixed(offset), None) = (&member.offset, member.bits) {
                        let at = at.saturating_add(*offset);
                        self.value(types, member.of, at, depth, nested, out);
                    }
                }
            }
            Kind::Array {
                element,
                dimensions,
                ..
            } => {
                let shape = self.of_value(types, *element, depth);
                let count =
                    dimensions
                        .iter()
                        .try_fold(1_u64, |count, dimension| match dimension.count {
                            Bound::Fixed(next) => count.checked_mul(next),
                            _ => None,
                        });
                if let (Some(count), Some(size)) = (count, types.size(*element))
                    && shape != 0
                {
                    let count = count.min(self.elements.into());
                    emit(out, Follow::Each, at, size, count, shape, 0);
                }
            }
            _ => {}
        }
    }

    fn pointer(
        &mut self,
        types: &Types,
        target: TypeId,
        at: u64,
        depth: u8,
        is_pointer: bool,
        out: &mut Vec<Instruction>,
    ) {
        let Some((_, found)) = types.bare(target) else {
            return;
        };
        match &found.kind {
            Kind::Void | Kind::Function | Kind::Unknown(_) => {}
            _ if is_pointer && is_character(found) => {
                emit(out, Follow::Text, at, self.text_bytes.into(), 0, 0, 0);
            }
            _ => {
                if let Some(bytes) = self
                    .captured_bytes(types, target)
                    .filter(|bytes| *bytes > 0)
                {
                    let shape = self.of_value(types, target, depth);
                    emit(out, Follow::Object, at, bytes, 0, shape, 0);
                }
            }
        }
    }
}

/// From the table of virtual functions that an object begins with to the word that says where its virtual base is, as a signed number.
fn in_table(address: &Address) -> Option<u32> {
    let from = match address.ops.as_slice() {
        [
            Op::Pick(0),
            Op::Load(8),
            Op::Constant(before),
            Op::Binary(Binary::Minus),
            Op::Load(8),
            Op::Binary(Binary::Plus),
        ] => before.wrapping_neg(),
        [
            Op::Pick(0),
            Op::Load(8),
            Op::Plus(from),
            Op::Load(8),
            Op::Binary(Binary::Plus),
        ] => *from,
        _ => return None,
    };
    let from = i32::try_from(from.cast_signed()).ok()?;
    Some(from.cast_unsigned())
}

/// Whether a pointer to such is a text.
fn is_text(types: &Types, target: TypeId) -> bool {
    let found = types.bare(target);
    found.is_some_and(|(_, found)| is_character(found))
}

/// Whether a pointer to it is a text.
fn is_character(found: &Type) -> bool {
    matches!(
        found.kind,
        Kind::Base(Encoding::SignedChar | Encoding::UnsignedChar)
    ) && found.size == Some(CHARACTER_BYTES)
}

fn emit(
    out: &mut Vec<Instruction>,
    follow: Follow,
    at: u64,
    number: u64,
    second: u64,
    shape: u32,
    most: u64,
) {
    let (Ok(offset), Ok(number), Ok(second), Ok(most)) = (
        u32::try_from(at),
        u32::try_from(number),
        u32::try_from(second),
        u32::try_from(most),
    ) else {
        return;
    };
    if number == 0 || number >= 1 << 24 || out.len() == INSTRUCTIONS_MAX {
        return;
    }
    out.push(Instruction {
        follow,
        number,
        offset,
        second,
        shape,
        most,
    });
}
