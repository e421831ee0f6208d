//! Types, as the debug information has them: one table for each file, its entries named by number.

use serde::{Deserialize, Serialize};

use crate::Address;

/// Number of a type in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TypeId(pub u32);

/// The types of one file. Grows; a number once given stays. Types may be cyclic, and of a damaged file also nonsensical:
/// an alias of itself, a member outside of its struct. Who walks them bounds the depth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Types {
    /// By number.
    pub list: Vec<Type>,
}

impl Types {
    /// The type with this number.
    pub fn get(&self, id: TypeId) -> Option<&Type> {
        self.list.get(id.0 as usize)
    }

    /// The type behind aliases and qualifiers, with its number.
    pub fn bare(&self, mut id: TypeId) -> Option<(TypeId, &Type)> {
        // An alias of itself ends here.
        for _ in 0..64 {
            let found = self.get(id)?;
            match &found.kind {
                Kind::Alias(target) | Kind::Qualified { target, .. } => id = *target,
                _ => return Some((id, found)),
            }
        }
        None
    }

    /// The type's name as the source would have it, as far as that can be written in front of a variable.
    pub fn name(&self, id: TypeId) -> Box<str> {
        self.name_at(id, 0).into()
    }

    fn name_at(&self, id: TypeId, depth: u32) -> String {
        /// Pointers to pointers: of a damaged table to themselves.
        const DEPTH_MAX: u32 = 16;
        let Some(found) = self.get(id).filter(|_| depth < DEPTH_MAX) else {
            return "?".into();
        };
        if !found.name.is_empty() {
            return found.name.to_string();
        }
        let of = |target: TypeId| self.name_at(target, depth + 1);
        match &found.kind {
            Kind::Void => "void".into(),
            Kind::Pointer(target) => format!("{} *", of(*target)),
            Kind::Reference(target) => format!("{} &", of(*target)),
            Kind::MemberPointer(target) => format!("{} ::*", of(*target)),
            Kind::Array { element, .. } => format!("{} []", of(*element)),
            Kind::Record { keyword, .. } => match keyword {
                Keyword::Struct => "struct {...}".into(),
                Keyword::Class => "class {...}".into(),
                Keyword::Union => "union {...}".into(),
            },
            Kind::Enum { .. } => "enum {...}".into(),
            Kind::Function => "function".into(),
            Kind::Qualified { word, target } => format!("{word} {}", of(*target)),
            Kind::Alias(target) => of(*target),
            Kind::Base(_) | Kind::Unknown(_) => "?".into(),
        }
    }

    /// Bytes of a value of this type, if they are known without looking at one.
    pub fn size(&self, id: TypeId) -> Option<u64> {
        self.get(id)?.size.or_else(|| self.bare(id)?.1.size)
    }
}

/// A type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Type {
    /// As in the source, with namespaces and template arguments: `std::vector<int, std::allocator<int> >`. Empty: it has none.
    pub name: Box<str>,
    /// Bytes; `None`: not known, or it depends on a value.
    pub size: Option<u64>,
    /// What it is.
    pub kind: Kind,
}

/// What a type is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// No value.
    Void,
    /// A number, character or truth.
    Base(Encoding),
    /// A pointer.
    Pointer(TypeId),
    /// A reference; `&&` too.
    Reference(TypeId),
    /// A pointer to a member: `T C::*`.
    MemberPointer(TypeId),
    /// An array, or a vector type.
    Array {
        /// Of what.
        element: TypeId,
        /// Outermost first.
        dimensions: Vec<Dimension>,
        /// A vector of the processor: `__attribute__((vector_size))`.
        is_vector: bool,
    },
    /// A struct, class or union.
    Record {
        /// Which.
        keyword: Keyword,
        /// What it inherits.
        bases: Vec<Base>,
        /// Its members, static ones aside.
        members: Vec<Member>,
        /// Types that are arguments of its template, in order.
        arguments: Vec<TypeId>,
        /// Parts of which one is there: Rust's enums.
        variants: Option<Box<Variant>>,
        /// Only declared here, nowhere defined.
        is_declaration: bool,
    },
    /// An enumeration.
    Enum {
        /// What it is made of.
        underlying: Option<TypeId>,
        /// In the order of the source.
        enumerators: Vec<Enumerator>,
    },
    /// A function.
    Function,
    /// Another name for a type.
    Alias(TypeId),
    /// const, volatile, _Atomic and the like.
    Qualified {
        /// The word before: `const`.
        word: Box<str>,
        /// Of what.
        target: TypeId,
    },
    /// Something that this version doesn't know, by its DWARF tag.
    Unknown(u16),
}

/// How the bytes of a base type are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encoding {
    /// bool.
    Boolean,
    /// Integers.
    Signed,
    /// See `Signed`.
    Unsigned,
    /// char, as gdb shows it: a number and a character.
    SignedChar,
    /// See `SignedChar`.
    UnsignedChar,
    /// char16_t, char32_t, char8_t.
    Utf,
    /// Binary floating point; long double has 80 bits in 16 bytes.
    Float,
    /// Two of them.
    ComplexFloat,
    /// Anything else, by its DWARF number.
    Other(u8),
}

/// Which word begins the type in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Keyword {
    /// struct
    Struct,
    /// class
    Class,
    /// union
    Union,
}

/// One dimension of an array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dimension {
    /// First index: 0 but in Fortran.
    pub lower: i64,
    /// How many elements.
    pub count: Bound,
}

/// How many elements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Bound {
    /// So many.
    Fixed(u64),
    /// A value at run time: the count.
    Dynamic(Address),
    /// Nobody says: `extern int a[]`, a flexible member.
    Unknown,
}

/// Where a base or member lies in its record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Offset {
    /// Bytes from the record's begin.
    Fixed(u64),
    /// Address computed with the record's begin pushed first: virtual bases.
    Dynamic(Address),
}

/// A base class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// Its type.
    pub of: TypeId,
    /// Where.
    pub offset: Offset,
    /// Inherited virtually.
    pub is_virtual: bool,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Empty: an anonymous struct or union.
    pub name: Box<str>,
    /// Its type.
    pub of: TypeId,
    /// Where.
    pub offset: Offset,
    /// A bit field: bits from the record's begin (little-endian), and how many. `offset` is not used then.
    pub bits: Option<(u64, u64)>,
    /// Made by the compiler: a table of virtual functions.
    pub is_artificial: bool,
}

/// An enumerator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Enumerator {
    /// Its name.
    pub name: Box<str>,
    /// Its value.
    pub value: i128,
}

/// Parts of a record of which one is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// The member that says which.
    pub discriminant: Option<Member>,
    /// Values of the discriminant (empty: all others) and the member that is there then.
    pub parts: Vec<(Vec<i128>, Member)>,
}
