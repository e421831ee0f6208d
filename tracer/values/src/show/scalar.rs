//! Values of one word.

use super::float;
use crate::{Absence, Encoding, Enumerator, Value};

/// A number, character or truth, as gdb prints it.
pub(super) fn base(name: &str, encoding: Encoding, bytes: &[u8]) -> Result<Value, Absence> {
    if bytes.is_empty() || bytes.len() > 32 {
        return Err(Absence::Damaged);
    }
    let text = match encoding {
        Encoding::Boolean => match integer(bytes, false) {
            Some(0) => "false".into(),
            Some(1) => "true".into(),
            Some(other) => other.to_string(),
            None => hex(bytes),
        },
        Encoding::Signed | Encoding::Unsigned | Encoding::SignedChar | Encoding::UnsignedChar => {
            match (name, integer(bytes, is_signed(encoding))) {
                ("wchar_t", Some(code)) => wide(code, "L"),
                ("char16_t" | "char32_t", Some(code)) => wide(code, prefix(bytes.len())),
                _ => number(encoding, bytes),
            }
        }
        Encoding::Utf => match integer(bytes, false) {
            Some(code) => wide(code, prefix(bytes.len())),
            None => hex(bytes),
        },
        Encoding::Float => float::text(name, bytes)?,
        Encoding::ComplexFloat => {
            let (real, imaginary) = bytes.split_at(bytes.len() / 2);
            let part = name.trim_start_matches("complex ");
            format!(
                "{} + {}i",
                float::text(part, real)?,
                float::text(part, imaginary)?
            )
        }
        Encoding::Other(_) => hex(bytes),
    };
    Ok(Value::scalar(text))
}

/// An integer, or a character of one byte: its number and itself.
fn number(encoding: Encoding, bytes: &[u8]) -> String {
    let is_character = matches!(encoding, Encoding::SignedChar | Encoding::UnsignedChar);
    match integer(bytes, is_signed(encoding)) {
        Some(value) if is_character && bytes.len() == 1 => {
            format!("{value} {}", character(value as u8))
        }
        Some(value) if is_signed(encoding) => value.to_string(),
        Some(value) => (value as u128).to_string(),
        None => hex(bytes),
    }
}

/// An enumerator's name; of several flags all names; or the number.
pub(super) fn enumeration(
    enumerators: &[Enumerator],
    is_signed: bool,
    bytes: &[u8],
) -> Result<Value, Absence> {
    let value = integer(bytes, is_signed).ok_or(Absence::Damaged)?;
    let exact = enumerators
        .iter()
        .find(|enumerator| enumerator.value == value);
    if let Some(exact) = exact {
        return Ok(Value::Scalar(exact.name.clone()));
    }
    let are_flags = enumerators
        .iter()
        .all(|enumerator| is_flag(enumerator.value));
    if !are_flags || value == 0 {
        return Ok(Value::scalar(value.to_string()));
    }
    let mut rest = value;
    let mut names: Vec<String> = Vec::new();
    for enumerator in enumerators {
        if rest & enumerator.value == enumerator.value && enumerator.value != 0 {
            rest &= !enumerator.value;
            names.push(enumerator.name.to_string());
        }
    }
    if rest != 0 {
        // Where some have several bits it isn't certain that these are flags: what is none of them is a number.
        let is_mask = |enumerator: &Enumerator| enumerator.value.count_ones() > 1;
        if enumerators.iter().any(is_mask) {
            return Ok(Value::scalar(value.to_string()));
        }
        names.push(format!("unknown: {rest:#x}"));
    }
    Ok(Value::scalar(format!("({})", names.join(" | "))))
}

/// Is this the value of a flag: one bit, or some that lie side by side?
fn is_flag(value: i128) -> bool {
    let Ok(value) = u64::try_from(value) else {
        return false;
    };
    value == 0
        || (value >> value.trailing_zeros())
            .wrapping_add(1)
            .is_power_of_two()
        || value == u64::MAX
}

pub(super) fn is_signed(encoding: Encoding) -> bool {
    matches!(encoding, Encoding::Signed | Encoding::SignedChar)
}

/// A little-endian integer of up to 16 bytes. An unsigned one of 16 keeps its bits.
pub(super) fn integer(bytes: &[u8], is_signed: bool) -> Option<i128> {
    if bytes.is_empty() || bytes.len() > 16 {
        return None;
    }
    let is_negative = is_signed && bytes.last().is_some_and(|last| last >> 7 == 1);
    let mut all = [if is_negative { 0xff } else { 0 }; 16];
    all[..bytes.len()].copy_from_slice(bytes);
    Some(i128::from_le_bytes(all))
}

/// Bytes of a kind of number that isn't known.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().rev().map(|byte| format!("{byte:02x}"));
    format!("0x{}", digits.collect::<String>())
}

/// A character of one byte, in quotes.
fn character(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".into(),
        _ => {
            let mut text = String::from("'");
            escape(byte, &mut text);
            text.push('\'');
            text
        }
    }
}

/// A byte of a text as it is written in C, with three octal digits if it has no other form.
pub(super) fn escape(byte: u8, out: &mut String) {
    let short = match byte {
        7 => 'a',
        8 => 'b',
        b'\t' => 't',
        b'\n' => 'n',
        11 => 'v',
        12 => 'f',
        b'\r' => 'r',
        b'\\' => '\\',
        b' '..=b'~' => {
            out.push(byte.into());
            return;
        }
        _ => {
            out.push_str(&format!("\\{byte:03o}"));
            return;
        }
    };
    out.extend(['\\', short]);
}

/// A wide character: its number, and itself.
fn wide(code: i128, prefix: &str) -> String {
    let shown = match u8::try_from(code) {
        Ok(byte @ 0..=0x7e) => character(byte),
        _ => match u32::try_from(code).ok().and_then(char::from_u32) {
            Some(character) if !character.is_control() => format!("'{character}'"),
            _ => format!("'\\{code:o}'"),
        },
    };
    format!("{code} {prefix}{shown}")
}

fn prefix(bytes: usize) -> &'static str {
    match bytes {
        1 => "u8",
        2 => "u",
        _ => "U",
    }
}
