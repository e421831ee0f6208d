//! Floating-point numbers as gdb prints them: as many digits as tell two numbers of the type apart.

use crate::Absence;

/// A format: how many bits of what.
struct Format {
    bytes: usize,
    exponent_bits: u32,
    /// Without an explicit integer bit.
    fraction_bits: u32,
    has_integer_bit: bool,
}

const HALF: Format = Format::ieee(2, 5, 10);
const BRAIN: Format = Format::ieee(2, 8, 7);
const SINGLE: Format = Format::ieee(4, 8, 23);
const DOUBLE: Format = Format::ieee(8, 11, 52);
const QUAD: Format = Format::ieee(16, 15, 112);
const EXTENDED: Format = Format {
    bytes: 10,
    exponent_bits: 15,
    fraction_bits: 63,
    has_integer_bit: true,
};

impl Format {
    const fn ieee(bytes: usize, exponent_bits: u32, fraction_bits: u32) -> Self {
        Self {
            bytes,
            exponent_bits,
            fraction_bits,
            has_integer_bit: false,
        }
    }

    /// Significant decimal digits: ceil(1 + p * log10(2)) for p significant bits.
    fn digits(&self) -> usize {
        (1.0 + f64::from(self.fraction_bits + 1) * std::f64::consts::LOG10_2).ceil() as usize
    }
}

/// The number in `bytes`, of a type with this name.
pub(super) fn text(name: &str, bytes: &[u8]) -> Result<String, Absence> {
    let format = match bytes.len() {
        2 if name.contains("bf16") || name.contains("bfloat") => BRAIN,
        2 => HALF,
        4 => SINGLE,
        8 => DOUBLE,
        // long double is 10 bytes in 12 or 16; the type of 16 whole bytes says so.
        16 if name.contains("128") => QUAD,
        10 | 12 | 16 => EXTENDED,
        _ => return Err(Absence::Damaged),
    };
    let mut all = [0; 16];
    all[..format.bytes].copy_from_slice(&bytes[..format.bytes]);
    let bits = u128::from_le_bytes(all);
    let mantissa_bits = format.fraction_bits + u32::from(format.has_integer_bit);
    let mantissa = bits & ((1 << mantissa_bits) - 1);
    let exponent = (bits >> mantissa_bits) as u32 & ((1 << format.exponent_bits) - 1);
    let is_negative = bits >> (mantissa_bits + format.exponent_bits) & 1 == 1;
    let sign = if is_negative { "-" } else { "" };
    let integer_bit = 1_u128 << format.fraction_bits;
    if exponent == (1 << format.exponent_bits) - 1 {
        return Ok(match mantissa & (integer_bit - 1) {
            0 => format!("{sign}inf"),
            _ => format!("{sign}nan({mantissa:#x})"),
        });
    }
    if format.has_integer_bit && exponent != 0 && mantissa & integer_bit == 0 {
        return Ok("<invalid float value>".into());
    }
    let significand = match exponent {
        0 => mantissa,
        _ => mantissa | integer_bit,
    };
    if significand == 0 {
        return Ok(format!("{sign}0"));
    }
    let bias = (1_i32 << (format.exponent_bits - 1)) - 1;
    let power = exponent.max(1) as i32 - bias - format.fraction_bits as i32;
    let (digits, point) = decimal(significand, power, format.digits());
    Ok(format!(
        "{sign}{}",
        general(&digits, point, format.digits())
    ))
}

/// `significand` times 2^`power` as decimal digits, rounded to `count`, and the exponent of the first.
fn decimal(significand: u128, power: i32, count: usize) -> (Vec<u8>, i32) {
    let mut number = Large::new(significand);
    let mut scale = 0;
    match power >= 0 {
        true => number.multiply_power(2, power as u32),
        false => {
            // n * 2^-k is n * 5^k / 10^k.
            number.multiply_power(5, power.unsigned_abs());
            scale = power;
        }
    }
    let mut digits = number.digits();
    let mut exponent = digits.len() as i32 - 1 + scale;
    if digits.len() > count {
        let rest = digits.split_off(count);
        let is_odd = digits.last().is_some_and(|digit| digit % 2 == 1);
        let is_above_half =
            rest[0] > 5 || (rest[0] == 5 && rest[1..].iter().any(|&digit| digit > 0));
        let is_half = rest[0] == 5 && rest[1..].iter().all(|&digit| digit == 0);
        if (is_above_half || (is_half && is_odd)) && round_up(&mut digits) {
            exponent += 1;
        }
    }
    (digits, exponent)
}

/// One more in the last place; whether there is a digit more now (of which the last was dropped).
fn round_up(digits: &mut Vec<u8>) -> bool {
    for digit in digits.iter_mut().rev() {
        if *digit < 9 {
            *digit += 1;
            return false;
        }
        *digit = 0;
    }
    digits.insert(0, 1);
    digits.pop();
    true
}

/// C's %g: the digits with the point where it belongs, or with an exponent; no zeros at the end.
fn general(digits: &[u8], exponent: i32, precision: usize) -> String {
    let used = digits
        .iter()
        .rposition(|&digit| digit != 0)
        .map_or(1, |last| last + 1);
    let digits: String = digits[..used]
        .iter()
        .map(|digit| char::from(b'0' + digit))
        .collect();
    if exponent < -4 || exponent >= precision as i32 {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{first}{point}{rest}e{sign}{:02}", exponent.abs());
    }
    if exponent < 0 {
        let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
        return format!("0.{zeros}{digits}");
    }
    let whole = exponent as usize + 1;
    match digits.len() > whole {
        true => format!("{}.{}", &digits[..whole], &digits[whole..]),
        false => format!("{digits}{}", "0".repeat(whole - digits.len())),
    }
}

/// A natural number of any size, its low part first.
struct Large(Vec<u32>);

impl Large {
    fn new(number: u128) -> Self {
        let parts = (0..4).map(|part| (number >> (32 * part)) as u32);
        Self(parts.collect())
    }

    fn multiply(&mut self, factor: u32) {
        let mut carry = 0;
        for part in &mut self.0 {
            let product = u64::from(*part) * u64::from(factor) + carry;
            *part = product as u32;
            carry = product >> 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    /// Times `base`^`power`, for a base of at most 5.
    fn multiply_power(&mut self, base: u32, power: u32) {
        // 5^13 is the largest power of 5 in 32 bits.
        const AT_ONCE: u32 = 13;
        for _ in 0..power / AT_ONCE {
            self.multiply(base.pow(AT_ONCE));
        }
        self.multiply(base.pow(power % AT_ONCE));
    }

    /// Its decimal digits, the first one not 0.
    fn digits(mut self) -> Vec<u8> {
        let mut digits = Vec::new();
        while self.0.iter().any(|&part| part != 0) {
            let mut rest = 0_u64;
            for part in self.0.iter_mut().rev() {
                let whole = rest << 32 | u64::from(*part);
                *part = (whole / 1_000_000_000) as u32;
                rest = whole % 1_000_000_000;
            }
            while self.0.last() == Some(&0) {
                self.0.pop();
            }
            for _ in 0..9 {
                digits.push((rest % 10) as u8);
                rest /= 10;
            }
        }
        while digits.last() == Some(&0) {
            digits.pop();
        }
        digits.reverse();
        digits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn double(number: f64) -> String {
        text("double", &number.to_le_bytes()).unwrap_or_default()
    }

    #[test]
    fn numbers_are_as_gdb_prints_them() {
        let doubles = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.10000000000000001"),
            (-2.5, "-2.5"),
            (1e100, "1e+100"),
            (1e-5, "1.0000000000000001e-05"),
            (0.0001, "0.0001"),
            (123_456_789_012_345_678.0, "1.2345678901234568e+17"),
            (12_345_678_901_234_567.0, "12345678901234568"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan(0x8000000000000)"),
            (5e-324, "4.9406564584124654e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
        ];
        for (number, shown) in doubles {
            assert_eq!(double(number), shown);
        }
        let float = |number: f32| text("float", &number.to_le_bytes());
        assert_eq!(float(0.1), Ok("0.100000001".into()));
        assert_eq!(float(f32::INFINITY), Ok("inf".into()));
        // 0.1L and the largest long double.
        let tenth = [
            0xcd, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xfb, 0x3f, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(
            text("long double", &tenth),
            Ok("0.100000000000000000001".into())
        );
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0x7f];
        assert_eq!(
            text("long double", &most),
            Ok("1.18973149535723176502e+4932".into())
        );
        assert_eq!(text("_Float16", &[0, 0x3c]), Ok("1".into()));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_the_same_number_when_read(bits in any::<u64>()) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            prop_assert_eq!(double(number).parse::<f64>(), Ok(number));
        }

        #[test]
        fn any_bytes_are_some_number(bytes in proptest::collection::vec(any::<u8>(), 16), size in 0_usize..17) {
            let _ = text("", &bytes[..size]);
        }
    }
}
