//! Floating-point arithmetic as processors do it, on numbers that are their bits.

use crate::{Absence, Float};

/// Carries out one operation on what lies on a stack.
///
/// # Errors
/// The stack hasn't enough, or the result isn't certain: programs may have set that numbers near zero are taken for zero.
pub fn step(operation: Float, stack: &mut Vec<u64>) -> Result<(), Absence> {
    let mut pop = || stack.pop().ok_or(Absence::Damaged);
    let result = match operation {
        Float::Add(bytes) => binary(bytes, pop()?, pop()?, |a, b| a + b, |a, b| a + b)?,
        Float::Subtract(bytes) => binary(bytes, pop()?, pop()?, |a, b| a - b, |a, b| a - b)?,
        Float::Multiply(bytes) => binary(bytes, pop()?, pop()?, |a, b| a * b, |a, b| a * b)?,
        Float::Divide(bytes) => binary(bytes, pop()?, pop()?, |a, b| a / b, |a, b| a / b)?,
        Float::Negate(bytes) => pop()? ^ sign(bytes),
        Float::Absolute(bytes) => pop()? & !sign(bytes),
        Float::Root(4) => single(certain_single(pop()?)?.sqrt())?,
        Float::Root(_) => double(certain(pop()?)?.sqrt())?,
        Float::FromSigned(4) => single(pop()? as i64 as f32)?,
        Float::FromSigned(_) => double(pop()? as i64 as f64)?,
        Float::FromUnsigned(4) => single(pop()? as f32)?,
        Float::FromUnsigned(_) => double(pop()? as f64)?,
        Float::ToSigned(from, to) => {
            let number = match from {
                4 => certain_single(pop()?)?.into(),
                _ => certain(pop()?)?,
            };
            to_signed(number, to)
        }
        Float::Widen => double(certain_single(pop()?)?.into())?,
        Float::Narrow => single(certain(pop()?)? as f32)?,
        Float::FromLong => {
            let exponent = pop()?;
            from_long(pop()?, exponent)?
        }
        Float::LongMantissa => to_long(certain(pop()?)?).0,
        Float::LongExponent => to_long(certain(pop()?)?).1,
    };
    stack.push(result);
    Ok(())
}

fn binary(
    bytes: u8,
    second: u64,
    first: u64,
    short: fn(f32, f32) -> f32,
    long: fn(f64, f64) -> f64,
) -> Result<u64, Absence> {
    match bytes {
        4 => single(short(certain_single(first)?, certain_single(second)?)),
        8 => double(long(certain(first)?, certain(second)?)),
        _ => Err(Absence::Damaged),
    }
}

fn sign(bytes: u8) -> u64 {
    match bytes {
        4 => 1 << 31,
        _ => 1 << 63,
    }
}

/// The number of these bits; none if the program may take it for zero.
fn certain(bits: u64) -> Result<f64, Absence> {
    let number = f64::from_bits(bits);
    match number.is_subnormal() {
        true => Err(Absence::OptimizedOut),
        false => Ok(number),
    }
}

fn certain_single(bits: u64) -> Result<f32, Absence> {
    let number = f32::from_bits(bits as u32);
    match number.is_subnormal() {
        true => Err(Absence::OptimizedOut),
        false => Ok(number),
    }
}

fn double(number: f64) -> Result<u64, Absence> {
    certain(number.to_bits()).map(f64::to_bits)
}

fn single(number: f32) -> Result<u64, Absence> {
    certain_single(number.to_bits().into()).map(|number| number.to_bits().into())
}

/// Toward zero; what doesn't fit is the lowest number, as x86 has it.
fn to_signed(number: f64, bytes: u8) -> u64 {
    match bytes {
        4 => {
            let fits = number > -2_147_483_649.0 && number < 2_147_483_648.0;
            let whole = if fits { number as i32 } else { i32::MIN };
            whole.cast_unsigned().into()
        }
        _ => {
            let fits =
                (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
            let whole = if fits { number as i64 } else { i64::MIN };
            whole.cast_unsigned()
        }
    }
}

/// The double nearest to a long double of these two parts.
fn from_long(mantissa: u64, exponent: u64) -> Result<u64, Absence> {
    let sign = (exponent >> 15 & 1) << 63;
    let exponent = i64::try_from(exponent & 0x7fff).map_err(|_| Absence::Damaged)?;
    if mantissa == 0 {
        return match exponent {
            0 => Ok(sign),
            _ => Err(Absence::OptimizedOut),
        };
    }
    // Without its highest bit, it is no number that a processor makes; infinities and NaNs aren't needed.
    if mantissa >> 63 == 0 || exponent == 0x7fff {
        return Err(Absence::OptimizedOut);
    }
    // The highest bit is not written, and the lowest eleven are rounded, to even if they are just half.
    let rest = mantissa & 0x7ff;
    let kept = mantissa >> 11;
    let is_up = rest > 0x400 || rest == 0x400 && kept & 1 == 1;
    let kept = kept + u64::from(is_up);
    let (kept, exponent) = match kept >> 53 {
        0 => (kept, exponent),
        _ => (kept >> 1, exponent + 1),
    };
    let biased = exponent - 16383 + 1023;
    match biased {
        // Below lie numbers that may be taken for zero.
        1..=2046 => Ok(sign | biased.cast_unsigned() << 52 | kept & ((1 << 52) - 1)),
        2047.. => Ok(sign | 2047 << 52),
        _ => Err(Absence::OptimizedOut),
    }
}

/// Mantissa and exponent of a number as a long double.
fn to_long(number: f64) -> (u64, u64) {
    let bits = number.to_bits();
    let sign = bits >> 63 << 15;
    let fraction = (bits & ((1 << 52) - 1)) << 11;
    match bits >> 52 & 0x7ff {
        0 => (0, sign),
        0x7ff => (1 << 63 | fraction, sign | 0x7fff),
        biased => (1 << 63 | fraction, sign | (biased + 16383 - 1023)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(operations: &[Float], numbers: &[u64]) -> Result<u64, Absence> {
        let mut stack = numbers.to_vec();
        for operation in operations {
            step(*operation, &mut stack)?;
        }
        stack.pop().ok_or(Absence::Damaged)
    }

    #[test]
    fn arithmetic_is_that_of_the_processor() {
        let (a, b) = (0.1_f64.to_bits(), 3.0_f64.to_bits());
        assert_eq!(
            run(&[Float::Divide(8)], &[a, b]),
            Ok((0.1_f64 / 3.0).to_bits())
        );
        assert_eq!(
            run(&[Float::Subtract(8)], &[a, b]),
            Ok((0.1_f64 - 3.0).to_bits())
        );
        let (a, b) = (0.1_f32.to_bits().into(), 3.0_f32.to_bits().into());
        assert_eq!(
            run(&[Float::Multiply(4)], &[a, b]),
            Ok((0.1_f32 * 3.0).to_bits().into())
        );
        assert_eq!(run(&[Float::Widen], &[a]), Ok(f64::from(0.1_f32).to_bits()));
        assert_eq!(
            run(&[Float::Narrow], &[0.1_f64.to_bits()]),
            Ok(0.1_f32.to_bits().into())
        );
    }

    #[test]
    fn what_fits_no_integer_is_the_lowest() {
        let to = |number: f64, bytes| run(&[Float::ToSigned(8, bytes)], &[number.to_bits()]);
        assert_eq!(to(-1.9, 4), Ok(0xffff_ffff));
        assert_eq!(to(-1.9, 8), Ok(u64::MAX));
        assert_eq!(to(3e9, 4), Ok(0x8000_0000));
        assert_eq!(to(f64::NAN, 4), Ok(0x8000_0000));
        assert_eq!(to(1e19, 8), Ok(1 << 63));
    }

    #[test]
    fn what_may_be_taken_for_zero_is_not_told() {
        let tiny = f64::MIN_POSITIVE.to_bits();
        assert_eq!(
            run(&[Float::Multiply(8)], &[tiny, 0.5_f64.to_bits()]),
            Err(Absence::OptimizedOut)
        );
        assert_eq!(
            run(&[Float::Add(8)], &[1, 1.0_f64.to_bits()]),
            Err(Absence::OptimizedOut)
        );
    }

    #[test]
    fn long_doubles_lose_nothing_on_the_way_from_doubles_and_back() {
        for number in [
            0.0,
            -0.0,
            1.0,
            -2.5,
            0.1,
            1e300,
            f64::MAX,
            f64::MIN_POSITIVE,
        ] {
            let bits = f64::to_bits(number);
            let parts = [
                run(&[Float::LongMantissa], &[bits]).unwrap_or_default(),
                run(&[Float::LongExponent], &[bits]).unwrap_or_default(),
            ];
            assert_eq!(run(&[Float::FromLong], &parts), Ok(bits), "{number}");
        }
        // 1 + 2^-53 lies between two doubles, and goes to the even one; a little more goes up.
        let one = 16383;
        assert_eq!(
            run(&[Float::FromLong], &[1 << 63 | 1 << 10, one]),
            Ok(1.0_f64.to_bits())
        );
        let up = 1.0_f64.to_bits() + 1;
        assert_eq!(
            run(&[Float::FromLong], &[1 << 63 | 1 << 10 | 1, one]),
            Ok(up)
        );
        assert_eq!(
            run(&[Float::FromLong], &[u64::MAX, one]),
            Ok(2.0_f64.to_bits())
        );
    }
}
