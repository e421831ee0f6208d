//! Variables that the user names for a function: `a`, `b.c`, `*p[0..8]`. A path becomes a variable of its own, with a place and a type.

use crate::containers::{Container, recognize};
use crate::{
    Bound, DebugFile, Dimension, Encoding, Kind, Path, Place, Step, Type, TypeId, Types, Variable,
};

mod elements;
mod members;
mod places;

use elements::{element, range};
use members::member;
pub use members::told;
use places::{inside, pointed_to};

/// References to references, bases in bases.
const NESTED_MAX: u32 = 8;

/// What is to be captured of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// All arguments, locals, and what it returns.
    All,
    /// One variable or a part of it.
    Part(Part),
}

/// A variable or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// As it was written: it is shown so.
    pub text: Box<str>,
    /// Which variable, and the way from there.
    pub path: Path,
    /// Elements of what the path leads to, or of what lies behind it if it is a pointer.
    pub elements: Option<Elements>,
    /// It is a text, whatever its type says.
    pub is_text: bool,
}

/// `[from..to]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elements {
    /// The first.
    pub from: u64,
    /// The one behind the last.
    pub to: End,
}

/// Where elements end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// At this index.
    At(u64),
    /// At what another variable of the function says.
    Variable(Path),
}

/// A place and what is there.
#[derive(Clone, Debug)]
struct Found {
    place: Place,
    of: TypeId,
}

/// The variable that `part` makes of one of `variables`: of all that the function has there. Why there is none, in words for the user.
/// `None`: no variable is called so.
pub fn resolve(
    file: &mut DebugFile,
    variables: &[Variable],
    part: &Part,
) -> Option<Result<Variable, String>> {
    let variable = named(variables, &part.path)?;
    let name = match part.path.variable.as_ref() {
        crate::RETURN if *part.text == *crate::RETURN => "".into(),
        _ => part.text.clone(),
    };
    let found = find(file, variable, variables, part);
    Some(found.map(|found| Variable {
        name,
        of: found.of,
        place: found.place,
        is_artificial: false,
    }))
}

/// Whether a variable is a range of elements that the user has named: all of them are wanted, however many others are shown.
pub fn is_range(variable: &Variable) -> bool {
    variable.name.ends_with(']') && variable.name.contains("..")
}

/// The variable that a path begins with; what a function returns has no name.
fn named<'a>(variables: &'a [Variable], path: &Path) -> Option<&'a Variable> {
    let wanted = match &*path.variable {
        crate::RETURN => "",
        name => name,
    };
    variables.iter().find(|variable| &*variable.name == wanted)
}

fn find(
    file: &mut DebugFile,
    variable: &Variable,
    all: &[Variable],
    part: &Part,
) -> Result<Found, String> {
    let mut found = walk(file, variable, &part.path)?;
    if let Some(elements) = &part.elements {
        found = range(file, found, all, elements, &part.path)?;
    }
    match part.is_text {
        true => text(file, found, &part.path),
        false => Ok(found),
    }
}

fn walk(file: &mut DebugFile, variable: &Variable, path: &Path) -> Result<Found, String> {
    let mut found = Found {
        place: variable.place.clone(),
        of: variable.of,
    };
    for step in &path.steps {
        found = behind_references(file.types(), found);
        found = match step {
            Step::Target => target(file.types(), &found)
                .ok_or_else(|| format!("`*` is for pointers, and {path} has none there"))?,
            Step::Member(name) => member(file.types(), found, name)?,
            Step::Index(index) => element(file, found, *index)?,
        };
    }
    Ok(found)
}

/// What a reference refers to; anything else itself.
fn behind_references(types: &Types, mut found: Found) -> Found {
    for _ in 0..NESTED_MAX {
        let Some(Kind::Reference(target)) = kind(types, found.of) else {
            break;
        };
        found = Found {
            place: pointed_to(&found.place),
            of: *target,
        };
    }
    found
}

/// What a pointer leads to, also one that a class of the library keeps; the first element of an array.
fn target(types: &Types, found: &Found) -> Option<Found> {
    match kind(types, found.of)? {
        Kind::Pointer(target) => Some(Found {
            place: pointed_to(&found.place),
            of: *target,
        }),
        Kind::Array {
            element,
            dimensions,
            ..
        } if dimensions.len() == 1 => Some(Found {
            place: inside(&found.place, 0, types.size(*element)?),
            of: *element,
        }),
        Kind::Record { .. } => match recognize(types, types.bare(found.of)?.0)? {
            Container::Owner { offset, pointer } => {
                let pointer = Found {
                    place: inside(&found.place, offset, 8),
                    of: pointer,
                };
                target(types, &pointer)
            }
            _ => None,
        },
        _ => None,
    }
}

/// What a text lies in: a pointer to one, or the characters themselves.
fn text(file: &mut DebugFile, found: Found, path: &Path) -> Result<Found, String> {
    let character = file.made(Type {
        name: "char".into(),
        size: Some(1),
        kind: Kind::Base(Encoding::SignedChar),
    });
    let found = behind_references(file.types(), found);
    let types = file.types();
    let of = match kind(types, found.of).cloned() {
        Some(Kind::Pointer(_)) => file.made(Type {
            name: "".into(),
            size: Some(8),
            kind: Kind::Pointer(character),
        }),
        Some(Kind::Array {
            dimensions,
            element,
            ..
        }) => {
            let size = types.size(element);
            let (dimensions, 1) = (dimensions, size.unwrap_or(0)) else {
                return Err(format!("@text: the elements of {path} are no bytes"));
            };
            array(file, character, dimensions, false)
        }
        _ => return Err(format!("@text: {path} is no pointer nor array")),
    };
    Ok(Found {
        place: found.place,
        of,
    })
}

fn array(
    file: &mut DebugFile,
    element: TypeId,
    dimensions: Vec<Dimension>,
    is_vector: bool,
) -> TypeId {
    let count = dimensions
        .iter()
        .try_fold(1_u64, |count, dimension| match dimension.count {
            Bound::Fixed(next) => count.checked_mul(next),
            _ => None,
        });
    let size = count
        .zip(file.types().size(element))
        .and_then(|(count, size)| count.checked_mul(size));
    file.made(Type {
        name: "".into(),
        size,
        kind: Kind::Array {
            element,
            dimensions,
            is_vector,
        },
    })
}

fn kind(types: &Types, of: TypeId) -> Option<&Kind> {
    types.bare(of).map(|(_, found)| &found.kind)
}

fn is_signed(types: &Types, of: TypeId) -> bool {
    match kind(types, of) {
        Some(Kind::Base(encoding)) => {
            matches!(encoding, Encoding::Signed | Encoding::SignedChar)
        }
        Some(Kind::Enum { enumerators, .. }) => enumerators.iter().any(|one| one.value < 0),
        _ => false,
    }
}
