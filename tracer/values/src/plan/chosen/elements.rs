//! Elements of arrays and of what lies behind pointers: one, or a range.

use super::members::is_owner;
use super::places::{inside, number, pointed_to};
use super::{Elements, End, Found, array, behind_references, is_signed, kind, named, target, walk};
use crate::containers::recognize;
use crate::{
    Address, Binary, Bound, DebugFile, Dimension, Encoding, Kind, Op, Path, Place, TypeId, Types,
    Variable,
};

/// One element of an array, or of what lies behind a pointer.
pub(super) fn element(file: &mut DebugFile, found: Found, index: i64) -> Result<Found, String> {
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

pub(super) fn range(
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
