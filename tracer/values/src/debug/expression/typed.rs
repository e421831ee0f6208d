//! Numbers of base types on DWARF's stack, and its operators on them.

use gimli::UnitOffset;

use super::Translation;
use crate::debug::sections::Slice;
use crate::debug::types::text_of;
use crate::{Binary, Float, Op, Place, Unary};

/// Type of a number on the stack.
#[derive(Clone, Copy, PartialEq)]
pub enum Number {
    /// As wide as an address, without a sign of its own.
    Generic,
    Integer {
        bytes: u8,
        is_signed: bool,
    },
    /// Of so many bytes: 4 or 8.
    Float(u8),
    /// A long double: two numbers for [`Op`]s, the mantissa and what is behind it.
    Long,
    /// Not known to [`Op`]s.
    Other,
}

impl Translation<'_> {
    pub fn literal(&mut self, base_type: UnitOffset<usize>, value: &Slice) -> Option<()> {
        let bytes = gimli::Reader::to_slice(value).ok()?.into_owned();
        match self.number_type(base_type)? {
            Number::Other => {
                self.simple = Some(Place::Constant(bytes.into()));
                self.stack.push(Number::Other);
            }
            Number::Long => {
                let (mantissa, behind) = bytes.split_first_chunk()?;
                let exponent = behind.first_chunk()?;
                self.ops.extend([
                    Op::Constant(u64::from_le_bytes(*mantissa)),
                    Op::Constant(u16::from_le_bytes(*exponent).into()),
                ]);
                self.stack.push(Number::Long);
            }
            number => {
                let mut raw = [0; 8];
                raw.get_mut(..bytes.len())?.copy_from_slice(&bytes);
                self.push(Op::Constant(u64::from_le_bytes(raw)), number);
                self.narrow();
            }
        }
        Some(())
    }

    pub fn load(&mut self, base_type: UnitOffset<usize>, size: u8, space: bool) -> Option<()> {
        let is_address = !matches!(
            self.stack.pop()?,
            Number::Other | Number::Long | Number::Float(_)
        );
        if space || size == 0 || size > 16 || !is_address {
            return None;
        }
        let number = self.number_type(base_type)?;
        match number {
            Number::Other => return None,
            Number::Long => {
                self.ops
                    .extend([Op::Pick(0), Op::Load(8), Op::Swap, Op::Plus(8), Op::Load(2)]);
                self.stack.push(Number::Long);
            }
            _ if size > 8 => return None,
            Number::Integer {
                is_signed: true, ..
            } => self.push(Op::LoadSigned(size), number),
            _ => self.push(Op::Load(size), number),
        }
        Some(())
    }

    pub fn unary(&mut self, operator: Unary) -> Option<()> {
        match (*self.stack.last()?, operator) {
            (Number::Float(bytes), Unary::Neg) => self.ops.push(Op::Float(Float::Negate(bytes))),
            (Number::Float(bytes), Unary::Abs) => self.ops.push(Op::Float(Float::Absolute(bytes))),
            (Number::Other | Number::Float(_) | Number::Long, _) => return None,
            (Number::Generic | Number::Integer { .. }, _) => self.ops.push(Op::Unary(operator)),
        }
        self.narrow();
        Some(())
    }

    /// Gives the top another type.
    pub fn convert(&mut self, to: Number) -> Option<()> {
        let from = *self.stack.last()?;
        let mut float = |operation| self.ops.push(Op::Float(operation));
        match (from, to) {
            (Number::Other, _) | (_, Number::Other) => return None,
            (
                Number::Generic | Number::Integer { .. },
                Number::Generic | Number::Integer { .. },
            ) => {}
            (Number::Float(from), Number::Float(to)) => match (from, to) {
                (4, 8) => float(Float::Widen),
                (8, 4) => float(Float::Narrow),
                _ => {}
            },
            (
                Number::Integer {
                    is_signed: true, ..
                },
                Number::Float(to),
            ) => float(Float::FromSigned(to)),
            (Number::Generic | Number::Integer { .. }, Number::Float(to)) => {
                float(Float::FromUnsigned(to));
            }
            // What doesn't fit is not the same everywhere.
            (Number::Float(from), Number::Integer { bytes, is_signed }) => {
                if !is_signed && bytes == 8 {
                    return None;
                }
                float(Float::ToSigned(from, 8));
            }
            (Number::Float(_), Number::Generic) => return None,
            (Number::Long, Number::Long) => {}
            (Number::Long, Number::Float(8)) => float(Float::FromLong),
            (Number::Float(from), Number::Long) => {
                if from == 4 {
                    float(Float::Widen);
                }
                self.ops.extend([
                    Op::Pick(0),
                    Op::Float(Float::LongMantissa),
                    Op::Swap,
                    Op::Float(Float::LongExponent),
                ]);
            }
            (Number::Long, _) | (_, Number::Long) => return None,
        }
        *self.stack.last_mut()? = to;
        self.narrow();
        Some(())
    }

    /// Refuses where a long double is on the stack, which is two numbers for what only moves them.
    pub fn without_long(&self) -> Option<()> {
        (!self.stack.contains(&Number::Long)).then_some(())
    }

    pub fn binary(&mut self, operator: Binary) -> Option<()> {
        let right = self.stack.pop()?;
        let left = *self.stack.last()?;
        if let (Number::Float(bytes), Number::Float(other)) = (left, right) {
            self.ops.push(Op::Float(match operator {
                _ if bytes != other => return None,
                Binary::Plus => Float::Add(bytes),
                Binary::Minus => Float::Subtract(bytes),
                Binary::Mul => Float::Multiply(bytes),
                Binary::Div => Float::Divide(bytes),
                _ => return None,
            }));
            return Some(());
        }
        let is_signed = match left {
            Number::Integer { is_signed, .. } => Some(is_signed),
            _ => None,
        };
        let bytes = width(left).and(width(right)).and(width(left))?;
        match (operator, is_signed) {
            (Binary::Div, Some(false)) => self.ops.push(Op::Binary(Binary::DivUnsigned)),
            (Binary::Mod, Some(true)) => self.ops.extend([
                Op::Pick(1),
                Op::Pick(1),
                Op::Binary(Binary::Div),
                Op::Binary(Binary::Mul),
                Op::Binary(Binary::Minus),
            ]),
            // Shifts to the right are of the number without its sign, or with it, whatever the type says.
            (Binary::Shr, Some(true)) => self.ops.extend([
                Op::Swap,
                Op::Truncate(bytes, false),
                Op::Swap,
                Op::Binary(Binary::Shr),
            ]),
            (Binary::Shra, Some(false)) => self.ops.extend([
                Op::Swap,
                Op::Truncate(bytes, true),
                Op::Swap,
                Op::Binary(Binary::Shra),
            ]),
            _ => self.ops.push(Op::Binary(operator)),
        }
        self.narrow();
        Some(())
    }

    pub fn compare(&mut self, operator: Binary) -> Option<()> {
        let (right, left) = (self.stack.pop()?, self.stack.pop()?);
        width(left).and(width(right))?;
        let is_wide = matches!(
            left,
            Number::Integer {
                bytes: 8,
                is_signed: false
            }
        );
        if is_wide && !matches!(operator, Binary::Eq | Binary::Ne) {
            // Without sign, numbers of 8 bytes have their order with the sign the other way.
            for _ in 0..2 {
                self.ops
                    .extend([Op::Swap, Op::Constant(1 << 63), Op::Binary(Binary::Xor)]);
            }
        }
        self.push(Op::Binary(operator), Number::Generic);
        Some(())
    }

    /// Extends the top again by its type.
    pub fn narrow(&mut self) {
        if let Some(&Number::Integer { bytes, is_signed }) = self.stack.last()
            && bytes < 8
        {
            self.ops.push(Op::Truncate(bytes, is_signed));
        }
    }

    /// The type of numbers that is described at this place of the unit; 0: generic.
    pub fn number_type(&self, offset: UnitOffset<usize>) -> Option<Number> {
        if offset.0 == 0 {
            return Some(Number::Generic);
        }
        let entry = self.unit?.unit.entry(offset).ok()?;
        let bytes = entry.attr_value(gimli::DW_AT_byte_size)?.udata_value()?;
        let gimli::AttributeValue::Encoding(encoding) = entry.attr_value(gimli::DW_AT_encoding)?
        else {
            return None;
        };
        let is_signed = match encoding {
            gimli::DW_ATE_signed | gimli::DW_ATE_signed_char => true,
            gimli::DW_ATE_unsigned
            | gimli::DW_ATE_unsigned_char
            | gimli::DW_ATE_boolean
            | gimli::DW_ATE_address
            | gimli::DW_ATE_UTF => false,
            gimli::DW_ATE_float => {
                return Some(
                    match (bytes, text_of(self.unit?, &entry, gimli::DW_AT_name)) {
                        (4, _) => Number::Float(4),
                        (8, _) => Number::Float(8),
                        (16, Some(name)) if &*name == "long double" => Number::Long,
                        _ => Number::Other,
                    },
                );
            }
            _ => return Some(Number::Other),
        };
        Some(match u8::try_from(bytes) {
            Ok(bytes @ (1 | 2 | 4 | 8)) => Number::Integer { bytes, is_signed },
            _ => Number::Other,
        })
    }
}

pub fn width(number: Number) -> Option<u8> {
    match number {
        Number::Generic => Some(8),
        Number::Integer { bytes, .. } => Some(bytes),
        Number::Float(_) | Number::Long | Number::Other => None,
    }
}
