//! A value as one line: gdb's way of writing, without the types.

use std::fmt::{self, Display, Formatter, Write};

use super::scalar::escape;
use crate::{Absence, Entry, Shape, Value};

impl Display for Absence {
    fn fmt(&self, out: &mut Formatter) -> fmt::Result {
        match self {
            Self::OptimizedOut => out.write_str("<optimized out>"),
            Self::Invalid(address) => write!(out, "<invalid {address:#x}>"),
            Self::NotCaptured(_) => out.write_str("<not captured>"),
            Self::Damaged => out.write_str("<damaged debug information>"),
        }
    }
}

impl Display for Value {
    fn fmt(&self, out: &mut Formatter) -> fmt::Result {
        match self {
            Self::Absent(absence) => absence.fmt(out),
            Self::Scalar(text) => out.write_str(text),
            Self::Text { bytes, complete } => {
                out.write_str(&quoted(bytes))?;
                out.write_str(if *complete { "" } else { "..." })
            }
            Self::Pointer {
                target: Some(target),
                is_reference: true,
                ..
            } => target.fmt(out),
            Self::Pointer {
                target: Some(target),
                ..
            } if matches!(**target, Self::Absent(Absence::Invalid(_))) => target.fmt(out),
            Self::Pointer {
                address,
                target,
                symbol,
                is_cycle,
                is_reference,
            } => {
                if *is_reference {
                    out.write_char('@')?;
                }
                match address {
                    Some(address) => write!(out, "{address:#x}")?,
                    None => out.write_str("(synthetic pointer)")?,
                }
                if let Some(symbol) = symbol {
                    write!(out, " <{symbol}>")?;
                }
                if *is_cycle {
                    out.write_str(" <cycle>")?;
                }
                match target {
                    Some(target) => write!(out, " {target}"),
                    None => Ok(()),
                }
            }
            Self::Compound {
                shape: Shape::Holder,
                title,
                entries,
                ..
            } => match &entries[..] {
                [] => out.write_str("<empty>"),
                entries => {
                    out.write_str(title)?;
                    entries.iter().try_for_each(|entry| entry.value.fmt(out))
                }
            },
            Self::Compound {
                title,
                entries,
                left_out,
                ..
            } => {
                out.write_str(title)?;
                let separator = if title.is_empty() { "" } else { " " };
                if entries.is_empty() && !title.is_empty() && *left_out == 0 {
                    return Ok(());
                }
                write!(out, "{separator}{{")?;
                let mut separator = "";
                for entry in entries.iter().filter(|entry| !is_empty_base(entry)) {
                    write!(out, "{separator}{entry}")?;
                    separator = ", ";
                }
                if *left_out > 0 {
                    write!(out, "{separator}... {left_out} more")?;
                }
                out.write_char('}')
            }
        }
    }
}

impl Display for Entry {
    fn fmt(&self, out: &mut Formatter) -> fmt::Result {
        if let Some(key) = &self.key {
            write!(out, "[{key}] = ")?;
        }
        if !self.name.is_empty() {
            write!(out, "{} = ", self.name)?;
        }
        self.value.fmt(out)?;
        match self.times {
            1 => Ok(()),
            times => write!(out, " <repeats {times} times>"),
        }
    }
}

/// A base class without members says nothing.
fn is_empty_base(entry: &Entry) -> bool {
    let is_base = entry.name.starts_with('<');
    is_base
        && matches!(&entry.value, Value::Compound { entries, left_out: 0, .. } if entries.iter().all(is_empty_base))
}

/// Bytes as a text in quotes. What is UTF-8 stays, control characters and other bytes are escaped.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match u8::try_from(character) {
                Ok(b'"') => text.push_str("\\\""),
                Ok(byte @ 0..=0x7f) => escape(byte, &mut text),
                _ if character.is_control() => {
                    let mut buffer = [0; 4];
                    let bytes = character.encode_utf8(&mut buffer).bytes();
                    bytes.for_each(|byte| escape(byte, &mut text));
                }
                _ => text.push(character),
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|byte| escape(*byte, &mut text));
    }
    text.push('"');
    text
}

/// `value` in at most `columns` characters, the last of them `...` if it is longer.
pub fn one_line(value: &Value, columns: usize) -> String {
    let mut text = value.to_string();
    if text.chars().count() > columns {
        text = text.chars().take(columns.saturating_sub(3)).collect();
        text.push_str("...");
    }
    text
}
