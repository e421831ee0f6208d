//! Objects as they are shown.

use umbel_values::evaluate::{Bytes, Source};
use umbel_values::show::{self, Limits, one_line};
use umbel_values::{Address, Memory, Op, Piece, Place};

use super::{Around, Object};

/// A value takes at most so much of a line.
const VALUE_COLUMNS: usize = 4000;

impl Around<'_> {
    /// An object as it is shown.
    pub fn shown(&self, object: &Object, limits: &Limits) -> Result<String, String> {
        if object.indexed > 0 {
            return Err(
                "it is a part of an array that has more dimensions: index all of them".to_owned(),
            );
        }
        let place = match (&object.source, object.bits) {
            (Source::Memory(address), None) => Place::Memory(Address {
                ops: vec![Op::Constant(*address)],
            }),
            (Source::Implicit(..), _) => return Ok("(synthetic pointer)".to_owned()),
            (Source::Bytes(bytes), None) if !bytes.missing.is_empty() => in_pieces(bytes),
            _ => Place::Constant(self.bytes(object)?.into()),
        };
        let value = show::value(
            self.types,
            object.of,
            &place,
            self.registers,
            self.view,
            limits,
        );
        Ok(one_line(&value, VALUE_COLUMNS))
    }

    /// A number as it is shown: an address with the name of what is there.
    pub fn shown_number(&self, number: u64) -> String {
        match self.view.symbol(number) {
            Some(symbol) => format!("{number:#x} <{symbol}>"),
            None => format!("{number:#x}"),
        }
    }
}

/// Bytes of which some are missing, as a place: the others can be shown.
fn in_pieces(bytes: &Bytes) -> Place {
    let whole = Place::Constant(bytes.data.clone().into());
    let known = |from: u64, to: u64| Piece {
        bits: to.saturating_sub(from),
        offset: from,
        place: whole.clone(),
    };
    let end = 8 * bytes.data.len() as u64;
    let mut pieces = Vec::new();
    let mut at = 0;
    for (begin, missing_end, _) in &bytes.missing {
        pieces.push(known(at, *begin));
        at = (*missing_end).min(end);
        pieces.push(Piece {
            bits: at.saturating_sub(*begin),
            offset: 0,
            place: Place::OptimizedOut,
        });
    }
    pieces.push(known(at, end));
    pieces.retain(|piece| piece.bits > 0);
    Place::Pieces(pieces)
}
