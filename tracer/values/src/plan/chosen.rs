//! Variables that the user names for a function: `a`, `b.c`, `*p[0..8]`. A path becomes a variable of its own, with a place and a type.

use crate::containers::{Container, recognize};
use crate::{
    Address, Binary, Bound, DebugFile, Dimension, Encoding, Kind, Offset, Op, Path, Piece, Place,
    Step, Type, TypeId, Types, Variable,
};

/// Members that a message tells.
const TOLD_MAX: usize = 24;

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

/// A member, through pointers.
fn member(types: &Types, mut found: Found, name: &str) -> Result<Found, String> {
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

fn is_owner(types: &Types, of: TypeId) -> bool {
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

/// One element of an array, or of what lies behind a pointer.
fn element(file: &mut DebugFile, found: Found, index: i64) -> Result<Found, String> {
    let row = row(file, found)?;
    let beyond = |count: u64| count > 1 && u64::try_from(index).is_ok_and(|index| index >= count);
    if let Some(count) = row.count.filter(|count| beyond(*count)) {
        return Err(format!(
            "there are {count} elements, and {index} is asked for"
        ));
    }
    Ok(Found {
        place: inside(
            &row.place,
            index.cast_unsigned().wrapping_mul(row.size),
            row.size,
        ),
        of: row.of,
    })
}

/// Elements one behind the other.
struct Row {
    place: Place,
    of: TypeId,
    /// Bytes of one.
    size: u64,
    /// How many there are, if that is known.
    count: Option<u64>,
}

fn row(file: &mut DebugFile, found: Found) -> Result<Row, String> {
    let types = file.types();
    let name = types.name(found.of);
    let (place, of, count) = match kind(types, found.of).cloned() {
        Some(Kind::Pointer(target)) => (pointed_to(&found.place), target, None),
        Some(Kind::Array {
            element,
            mut dimensions,
            is_vector,
        }) => {
            let count = match dimensions.first().map(|first| &first.count) {
                Some(Bound::Fixed(count)) => Some(*count),
                _ => None,
            };
            let of = match dimensions.len() {
                0 | 1 => element,
                _ => {
                    dimensions.remove(0);
                    array(file, element, dimensions, is_vector)
                }
            };
            (found.place, of, count)
        }
        Some(Kind::Record { .. }) if is_owner(types, found.of) => {
            let unfit = || format!("{name} leads to nothing that is known");
            let first = target(types, &found).ok_or_else(unfit)?;
            (first.place, first.of, None)
        }
        Some(Kind::Record { .. }) if is_container(types, found.of) => {
            return Err(format!(
                "{name} is shown whole: its elements can't be chosen"
            ));
        }
        // What a `*` led to is the first of those behind the pointer.
        Some(_) => (found.place, found.of, None),
        None => return Err("its type is damaged".into()),
    };
    let size = file.types().size(of).filter(|size| *size > 0);
    let size = size.ok_or_else(|| {
        let of = file.types().name(of);
        format!("{of} has no size: its elements can't be told apart")
    })?;
    Ok(Row {
        place,
        of,
        size,
        count,
    })
}

fn is_container(types: &Types, of: TypeId) -> bool {
    let bare = types.bare(of).map(|(id, _)| id);
    bare.is_some_and(|bare| recognize(types, bare).is_some())
}

fn range(
    file: &mut DebugFile,
    found: Found,
    all: &[Variable],
    elements: &Elements,
    path: &Path,
) -> Result<Found, String> {
    let found = behind_references(file.types(), found);
    let row = row(file, found)?;
    let (count, bytes) = match &elements.to {
        End::At(to) => {
            if let Some(count) = row.count.filter(|count| *count > 1 && to > count) {
                return Err(format!(
                    "{path} has {count} elements, and {to} are asked for"
                ));
            }
            let count = to.saturating_sub(elements.from);
            (Bound::Fixed(count), count.saturating_mul(row.size))
        }
        End::Variable(other) => (end(file, all, other, elements.from)?, row.size),
    };
    let begin = elements.from.wrapping_mul(row.size);
    let dimensions = vec![Dimension { lower: 0, count }];
    Ok(Found {
        place: inside(&row.place, begin, bytes),
        of: array(file, row.of, dimensions, false),
    })
}

/// How many elements there are from `from` to what a variable says: none if that is less.
fn end(file: &mut DebugFile, all: &[Variable], path: &Path, from: u64) -> Result<Bound, String> {
    let variable = named(all, path).ok_or_else(|| format!("there is no variable {path}"))?;
    let found = walk(file, variable, path)?;
    let found = behind_references(file.types(), found);
    let types = file.types();
    let unfit = || format!("{path} is no whole number: it can't say how many elements there are");
    let is_whole = matches!(
        kind(types, found.of),
        Some(Kind::Base(
            Encoding::Signed | Encoding::Unsigned | Encoding::SignedChar | Encoding::UnsignedChar
        ))
    );
    let bytes = types
        .size(found.of)
        .and_then(|size| u8::try_from(size).ok());
    let bytes = bytes.filter(|bytes| is_whole && (1..=8).contains(bytes));
    let bytes = bytes.ok_or_else(unfit)?;
    let is_signed = is_signed(types, found.of);
    let Some(mut ops) = number(&found.place, bytes, is_signed) else {
        return Err(format!("{path} is optimized out where it is needed"));
    };
    if from > 0 {
        ops.push(Op::Plus(from.wrapping_neg()));
    }
    // Nothing, if it is negative: x & ~(x >> 63).
    let again = ops.clone();
    ops.extend(again);
    ops.extend([
        Op::Constant(63),
        Op::Binary(Binary::Shra),
        Op::Unary(crate::Unary::Not),
        Op::Binary(Binary::And),
    ]);
    Ok(Bound::Dynamic(Address { ops }))
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

/// Where a pointer at `place` leads to.
fn pointed_to(place: &Place) -> Place {
    if let Place::ImplicitPointer(object, offset) = place {
        return match u64::try_from(*offset) {
            Ok(0) => (**object).clone(),
            Ok(offset) => inside(object, offset, 8),
            Err(_) => Place::OptimizedOut,
        };
    }
    match number(place, 8, false) {
        Some(mut ops) => {
            // What lies beside a register is taken to be the stack, which can be read; where a pointer leads nobody knows.
            if let [Op::Register(..)] = ops.as_slice() {
                ops.push(Op::Plus(0));
            }
            Place::Memory(Address { ops })
        }
        None => Place::OptimizedOut,
    }
}

/// Steps that give the number at `place`; `None`: it is nowhere, or in parts.
fn number(place: &Place, bytes: u8, is_signed: bool) -> Option<Vec<Op>> {
    let mut ops = match place {
        Place::Memory(address) => {
            let mut ops = address.ops.clone();
            ops.push(match is_signed {
                true => Op::LoadSigned(bytes),
                false => Op::Load(bytes),
            });
            return Some(ops);
        }
        Place::Value(address) => address.ops.clone(),
        Place::Register(number @ 0..=16) => vec![Op::Register(*number, 0)],
        Place::Constant(constant) if constant.len() <= 8 => {
            let mut word = [0; 8];
            word[..constant.len()].copy_from_slice(constant);
            vec![Op::Constant(u64::from_le_bytes(word))]
        }
        Place::Pieces(pieces) => match pieces.as_slice() {
            [only] if only.offset == 0 && only.bits >= 8 * u64::from(bytes) => {
                return number(&only.place, bytes, is_signed);
            }
            _ => return None,
        },
        _ => return None,
    };
    if bytes < 8 {
        ops.push(Op::Truncate(bytes, is_signed));
    }
    Some(ops)
}

/// `bytes` bytes of what is at `place`, from `offset` on.
fn inside(place: &Place, offset: u64, bytes: u64) -> Place {
    if let Place::Memory(address) = place {
        let mut ops = address.ops.clone();
        // A variable beside a register stays one.
        match ops.as_mut_slice() {
            [Op::Register(_, at) | Op::FrameAddress(at)] => {
                *at = at.wrapping_add(offset.cast_signed());
            }
            _ if offset == 0 => {}
            _ => ops.push(Op::Plus(offset)),
        }
        return Place::Memory(Address { ops });
    }
    let (Some(first), Some(count)) = (offset.checked_mul(8), bytes.checked_mul(8)) else {
        return Place::OptimizedOut;
    };
    match place {
        Place::OptimizedOut => Place::OptimizedOut,
        Place::Register(_) | Place::Value(_) | Place::ImplicitPointer(..) if offset == 0 => {
            place.clone()
        }
        Place::Register(_) | Place::Value(_) if offset < 8 => match number(place, 8, false) {
            Some(mut ops) => {
                ops.extend([Op::Constant(first), Op::Binary(Binary::Shr)]);
                Place::Value(Address { ops })
            }
            None => part(place, first, count),
        },
        Place::Pieces(pieces) => {
            let mut begin = 0_u64;
            for piece in pieces {
                let end = begin.saturating_add(piece.bits);
                if begin <= first && first.saturating_add(count) <= end {
                    let skipped = piece.offset.saturating_add(first - begin);
                    return match skipped.is_multiple_of(8) {
                        true => inside(&piece.place, skipped / 8, bytes),
                        false => part(&piece.place, skipped, count),
                    };
                }
                begin = end;
            }
            part(place, first, count)
        }
        Place::Constant(constant) => {
            let from = usize::try_from(offset).ok();
            let taken = from.and_then(|from| {
                let to = from.checked_add(usize::try_from(bytes).ok()?)?;
                constant.get(from..to)
            });
            taken.map_or(Place::OptimizedOut, |taken| Place::Constant(taken.into()))
        }
        _ => part(place, first, count),
    }
}

fn part(place: &Place, offset: u64, bits: u64) -> Place {
    Place::Pieces(vec![Piece {
        bits,
        offset,
        place: place.clone(),
    }])
}

/// A bit field, as a number.
fn bit_field(record: &Place, first: u64, count: u64, is_signed: bool) -> Place {
    let shift = first % 8;
    let bytes = (shift + count).div_ceil(8);
    let Some(bytes) = u8::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes <= 8 && count > 0)
    else {
        return Place::OptimizedOut;
    };
    let storage = inside(record, first / 8, bytes.into());
    let Some(mut ops) = number(&storage, bytes, false) else {
        return Place::OptimizedOut;
    };
    ops.extend([
        Op::Constant(64 - shift - count),
        Op::Binary(Binary::Shl),
        Op::Constant(64 - count),
        Op::Binary(match is_signed {
            true => Binary::Shra,
            false => Binary::Shr,
        }),
    ]);
    Place::Value(Address { ops })
}
