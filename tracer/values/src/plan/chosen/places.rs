//! Places that lead on from other places: behind a pointer, inside a record.

use crate::{Address, Binary, Op, Piece, Place};

/// Where a pointer at `place` leads to.
pub(super) fn pointed_to(place: &Place) -> Place {
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
pub(super) fn number(place: &Place, bytes: u8, is_signed: bool) -> Option<Vec<Op>> {
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
pub(super) fn inside(place: &Place, offset: u64, bytes: u64) -> Place {
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
pub(super) fn bit_field(record: &Place, first: u64, count: u64, is_signed: bool) -> Place {
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
