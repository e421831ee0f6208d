//! Where a function's returned value is while its exit hook is called: no debug information says it, but the instructions from there
//! to the function's end do. They are followed with a symbol for each register; what isn't understood is not known from there on.

use class::{Class, Part, classify};
use machine::Machine;

use crate::{Address, DebugFile, Float, Op, Piece, Place, TypeId};

mod class;
mod floating;
mod integers;
mod machine;
mod stores;

/// The place of the returned value of type `of` at the call that returns to `address`.
pub fn place(file: &mut DebugFile, address: u64, of: TypeId) -> Place {
    find(file, address, of).unwrap_or(Place::OptimizedOut)
}

fn find(file: &DebugFile, address: u64, of: TypeId) -> Option<Place> {
    let is_by_reference = file.is_by_reference(of);
    let class = classify(file.types(), of, is_by_reference)?;
    if matches!(class, Class::Empty) {
        let size = usize::try_from(file.types().size(of)?).ok()?;
        return Some(Place::Constant(vec![0; size.min(16)].into()));
    }
    let mut machine = Machine::new(file);
    machine.run(address)?;
    match class {
        Class::Empty => None,
        Class::Memory => Some(Place::Memory(Address {
            ops: machine.pointer()?,
        })),
        Class::Long => machine.long(),
        Class::Parts(parts) => {
            let (mut integers, mut vectors) = ([0, 1].into_iter(), [0, 1].into_iter());
            let mut pieces = Vec::new();
            for (kind, bytes) in parts {
                match kind {
                    Part::Integer => {
                        pieces.push(piece(bytes, machine.integer(integers.next()?, bytes)?));
                    }
                    Part::Vector => {
                        let number = vectors.next()?;
                        pieces.push(piece(bytes.min(8), machine.low(number, bytes.min(8))?));
                        if bytes > 8 {
                            pieces.push(piece(bytes - 8, machine.high(number)?));
                        }
                    }
                }
            }
            match pieces.len() {
                1 => pieces.pop().map(|piece| piece.place),
                _ => Some(Place::Pieces(pieces)),
            }
        }
    }
}

fn piece(bytes: u64, place: Place) -> Piece {
    Piece {
        bits: 8 * bytes,
        offset: 0,
        place,
    }
}

/// A long double with the value of a double.
fn long_of(double: &[Op]) -> Place {
    let part = |bytes, operation| {
        let mut ops = double.to_vec();
        ops.push(Op::Float(operation));
        piece(bytes, Place::Value(Address { ops }))
    };
    Place::Pieces(vec![
        part(8, Float::LongMantissa),
        part(2, Float::LongExponent),
        piece(6, Place::Constant([0; 6].into())),
    ])
}
