//! Values out of memory: a type and a place become a [`Value`].
//!
//! Whatever a type table and a memory hold, this ends soon: depth, elements, bytes and the number of values are limited.

mod aggregate;
mod display;
mod float;
mod json;
mod library;
mod scalar;

pub use display::one_line;
pub use json::json;

use crate::evaluate::{self, Source};
use crate::{Absence, Kind, Memory, Place, Registers, TypeId, Types, Value};

/// How much of a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pointers that are followed, one after the other.
    pub follow: u32,
    /// Elements of one array or container.
    pub elements: u64,
    /// Bytes of one text.
    pub text: usize,
    /// Values of one value, with their parts.
    pub values: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            follow: 1,
            elements: 16,
            text: 64,
            values: 4096,
        }
    }
}

/// Elements that are compared with others to find equal ones, in all of a value.
const COMPARED_MAX: u64 = 1 << 14;

/// Records within records, arrays within arrays.
const NESTED_MAX: u32 = 48;

/// The value of type `of` at `place`.
pub fn value(
    types: &Types,
    of: TypeId,
    place: &Place,
    registers: &dyn Registers,
    memory: &dyn Memory,
    limits: &Limits,
) -> Value {
    let mut show = Show::new(types, registers, memory, limits);
    match evaluate::place(place, registers, memory) {
        Ok(source) => show.value(of, &source, Level::default()),
        Err(absence) => Value::Absent(absence),
    }
}

/// Reads values.
pub(crate) struct Show<'a> {
    pub types: &'a Types,
    pub registers: &'a dyn Registers,
    pub memory: &'a dyn Memory,
    pub limits: &'a Limits,
    /// Values that may still be made.
    left: u32,
    /// Elements that may still be compared with others.
    compared_left: u64,
    /// Objects that are being shown: a pointer to one of them is a cycle.
    path: Vec<(u64, TypeId)>,
}

/// How deep a value lies in another.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Level {
    /// Pointers followed on the way.
    pub followed: u32,
    /// Parts within parts.
    pub nested: u32,
}

impl Level {
    pub fn inside(self) -> Self {
        Self {
            nested: self.nested + 1,
            ..self
        }
    }

    pub fn behind(self) -> Self {
        Self {
            followed: self.followed + 1,
            nested: self.nested + 1,
        }
    }
}

impl<'a> Show<'a> {
    fn new(
        types: &'a Types,
        registers: &'a dyn Registers,
        memory: &'a dyn Memory,
        limits: &'a Limits,
    ) -> Self {
        Self {
            types,
            registers,
            memory,
            limits,
            left: limits.values,
            compared_left: COMPARED_MAX,
            path: Vec::new(),
        }
    }

    /// The value of type `of` that lies in `source`.
    pub fn value(&mut self, of: TypeId, source: &Source, level: Level) -> Value {
        let Some(left) = self.left.checked_sub(1) else {
            return Value::Absent(Absence::NotCaptured(source.address().unwrap_or(0)));
        };
        self.left = left;
        if level.nested > NESTED_MAX {
            return Value::Absent(Absence::Damaged);
        }
        match self.kind(of, source, level) {
            Ok(value) => value,
            Err(absence) => Value::Absent(absence),
        }
    }

    fn kind(&mut self, of: TypeId, source: &Source, level: Level) -> Result<Value, Absence> {
        let (bare, found) = self.types.bare(of).ok_or(Absence::Damaged)?;
        match &found.kind {
            Kind::Base(encoding) => {
                let size = found.size.ok_or(Absence::Damaged)?;
                let bytes = source.bytes(0, size, self.memory)?;
                let name = self.wide_name(of).unwrap_or(&found.name);
                scalar::base(name, *encoding, &bytes)
            }
            Kind::Enum { enumerators, .. } => {
                let size = found.size.ok_or(Absence::Damaged)?;
                let bytes = source.bytes(0, size, self.memory)?;
                let is_signed = self.is_signed_enum(&found.kind);
                scalar::enumeration(enumerators, is_signed, &bytes)
            }
            Kind::Pointer(target) => self.pointer(*target, source, false, level),
            Kind::Reference(target) => self.pointer(*target, source, true, level),
            Kind::MemberPointer(target) => self.member_pointer(*target, found.size, source),
            Kind::Array {
                element,
                dimensions,
                ..
            } => self.array(*element, dimensions, source, level),
            Kind::Record { .. } => self.in_path(bare, source, |show| {
                show.library(bare, source, level)
                    .unwrap_or_else(|| show.record(bare, source, level))
            }),
            // What a void or a function is made of has no value.
            Kind::Void | Kind::Function => Ok(Value::scalar("void")),
            Kind::Alias(_) | Kind::Qualified { .. } | Kind::Unknown(_) => Err(Absence::Damaged),
        }
    }

    /// The name of a type of wide characters, which in C is another name of an integer.
    fn wide_name(&self, mut of: TypeId) -> Option<&'a str> {
        // As many as `Types::bare` follows.
        for _ in 0..64 {
            let found = self.types.get(of)?;
            if ["wchar_t", "char16_t", "char32_t"].contains(&&*found.name) {
                return Some(&found.name);
            }
            match &found.kind {
                Kind::Alias(target) | Kind::Qualified { target, .. } => of = *target,
                _ => return None,
            }
        }
        None
    }

    /// Remembers that the object in `source` is being shown.
    fn in_path(
        &mut self,
        of: TypeId,
        source: &Source,
        show: impl FnOnce(&mut Self) -> Result<Value, Absence>,
    ) -> Result<Value, Absence> {
        let Some(address) = source.address() else {
            return show(self);
        };
        self.path.push((address, of));
        let shown = show(self);
        self.path.pop();
        shown
    }

    fn is_signed_enum(&self, kind: &Kind) -> bool {
        let Kind::Enum {
            underlying,
            enumerators,
        } = kind
        else {
            return false;
        };
        let bare = underlying.and_then(|underlying| self.types.bare(underlying));
        match bare.map(|(_, found)| &found.kind) {
            Some(Kind::Base(encoding)) => scalar::is_signed(*encoding),
            _ => enumerators.iter().any(|enumerator| enumerator.value < 0),
        }
    }
}
