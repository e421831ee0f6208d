//! What a user wants a variable to be, as bytes of its type.

use umbel_values::{Encoding, Kind};

use super::objects::{Around, Object};

/// The bytes that `text` stands for in an object, as many as its type has.
pub fn bytes(around: &Around, object: &Object, text: &str) -> Result<Vec<u8>, String> {
    let types = around.types;
    let name = types.name(object.of);
    let (_, found) = types
        .bare(object.of)
        .ok_or_else(|| "its type isn't known".to_owned())?;
    let size = types
        .size(object.of)
        .and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| format!("how large a {name} is isn't known"))?;
    let whole = |is_signed| {
        let number = whole_number(text).ok_or_else(|| {
            format!("`{text}` is no {name}: a whole number or a character ('x') is one")
        })?;
        let bits = object.bits.map_or(8 * size as u64, |(_, count)| count);
        in_range(number, bits, is_signed, &name)?;
        Ok(number.to_le_bytes()[..size.min(16)].to_vec())
    };
    match &found.kind {
        Kind::Base(Encoding::Boolean) => match text {
            "true" | "1" => Ok(one(size)),
            "false" | "0" => Ok(vec![0; size]),
            _ => Err(format!("`{text}` is no {name}: true and false are")),
        },
        Kind::Base(Encoding::Float) => float(text, size, &name),
        Kind::Base(
            Encoding::Signed
            | Encoding::SignedChar
            | Encoding::Unsigned
            | Encoding::UnsignedChar
            | Encoding::Utf,
        ) => whole(around.is_signed(object.of)),
        Kind::Enum { enumerators, .. } => {
            let names = |name: &str| name.rsplit("::").next().unwrap_or(name).to_owned();
            let found = enumerators
                .iter()
                .find(|one| *one.name == *text || names(&one.name) == text);
            match found {
                Some(found) => Ok(found.value.to_le_bytes()[..size.min(16)].to_vec()),
                None if whole_number(text).is_some() => whole(around.is_signed(object.of)),
                None => {
                    let all: Vec<String> = enumerators
                        .iter()
                        .take(NAMES_SHOWN)
                        .map(|one| names(&one.name))
                        .collect();
                    Err(format!(
                        "{name} has no enumerator `{text}`; it has {}",
                        all.join(", ")
                    ))
                }
            }
        }
        Kind::Pointer(_) => match text {
            "null" | "NULL" | "nullptr" => Ok(vec![0; size]),
            _ => whole(false).map_err(|_| {
                format!("`{text}` is no pointer: an address (0x7f00...), null, or &variable is one")
            }),
        },
        _ => Err(format!(
            "a {name} can't be set as a whole: set its parts, which are numbers, characters, truths, enumerators or pointers"
        )),
    }
}

/// Enumerators that a refusal lists.
const NAMES_SHOWN: usize = 32;

fn one(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    if let Some(first) = bytes.first_mut() {
        *first = 1;
    }
    bytes
}

/// `-5`, `0x1f`, `'x'`, `'\n'`
fn whole_number(text: &str) -> Option<i128> {
    if let Some(character) = text
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
    {
        let number = |c: char| i128::from(u32::from(c));
        let mut characters = character.chars();
        return match (characters.next()?, characters.next(), characters.next()) {
            ('\\', Some(escaped), None) => Some(match escaped {
                '0' => 0,
                'n' => 10,
                't' => 9,
                'r' => 13,
                '\\' | '\'' | '"' => number(escaped),
                _ => return None,
            }),
            (c, None, None) => Some(number(c)),
            _ => None,
        };
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let magnitude = match digits.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    magnitude.ok()?.checked_mul(sign)
}

fn in_range(number: i128, bits: u64, is_signed: bool, name: &str) -> Result<(), String> {
    // A number of 16 bytes is as large as what is read here.
    if bits >= 127 || bits == 0 {
        return Ok(());
    }
    let (least, most) = match is_signed {
        true => (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1),
        false => (0, (1_i128 << bits) - 1),
    };
    match (least..=most).contains(&number) {
        true => Ok(()),
        false => Err(format!(
            "{number} doesn't fit: a {name} of {bits} bits is from {least} to {most}"
        )),
    }
}

fn float(text: &str, size: usize, name: &str) -> Result<Vec<u8>, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is no {name}: a number, as in 2.5, is one"))?;
    match size {
        4 => Ok((number as f32).to_le_bytes().to_vec()),
        8 => Ok(number.to_le_bytes().to_vec()),
        16 => Ok(extended(number).to_vec()),
        _ => Err(format!("a {name} of {size} bytes can't be set")),
    }
}

/// The processor's 80 bits, in 16 bytes.
fn extended(number: f64) -> [u8; 16] {
    let bits = number.to_bits();
    let (exponent, fraction) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
    let (exponent, significand) = match (exponent, fraction) {
        (0, 0) => (0, 0),
        (0, _) => {
            let shift = fraction.leading_zeros();
            // A number below all normal ones of 64 bits is a normal one here.
            (16383 - 1022 + 11 - u64::from(shift), fraction << shift)
        }
        (0x7ff, _) => (0x7fff, 1 << 63 | fraction << 11),
        _ => (exponent + 16383 - 1023, 1 << 63 | fraction << 11),
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&significand.to_le_bytes());
    let head = exponent | (bits >> 63) << 15;
    bytes[8..10].copy_from_slice(&(head as u16).to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_characters() {
        for (text, number) in [
            ("5", Some(5)),
            ("-5", Some(-5)),
            ("0x1f", Some(31)),
            ("'a'", Some(97)),
            ("'\\n'", Some(10)),
            ("'''", Some(39)),
            ("'\\''", Some(39)),
            ("a", None),
            ("", None),
            ("'ab'", None),
        ] {
            assert_eq!(whole_number(text), number, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(in_range(255, 8, false, "byte").is_ok());
        assert!(in_range(256, 8, false, "byte").is_err());
        assert!(in_range(-1, 8, false, "byte").is_err());
        assert!(in_range(-128, 8, true, "byte").is_ok());
        assert!(in_range(128, 8, true, "byte").is_err());
        assert!(in_range(i128::from(u64::MAX), 64, false, "word").is_ok());
        assert!(in_range(4, 2, false, "two bits").is_err());
    }

    #[test]
    fn long_doubles() {
        let of = |number: f64| u128::from_le_bytes(extended(number));
        assert_eq!(of(0.0), 0);
        assert_eq!(of(1.0), 0x3fff_8000_0000_0000_0000);
        assert_eq!(of(-2.5), 0xc000_a000_0000_0000_0000);
        assert_eq!(of(f64::INFINITY), 0x7fff_8000_0000_0000_0000);
        // 2^-1074: the exponent is 16383 - 1074.
        assert_eq!(of(f64::from_bits(1)), 0x3bcd_8000_0000_0000_0000);
    }
}
