//! Memory as hexadecimal numbers and characters.

use std::fmt::Write;

use umbel_values::show::Limits;

use super::super::expression::Expression;
use super::super::objects::Found;
use super::{Answer, Inspector};

/// Bytes of memory that one dump shows.
const DUMP_BYTES_MAX: u64 = 16 << 10;

/// Bytes in one of its lines.
const LINE_BYTES: usize = 16;

impl Inspector {
    /// Memory as hexadecimal numbers and characters: of what `what` names (its value in front), or at `ADDRESS+LENGTH`.
    pub fn dump(
        &self,
        frame: Option<(i32, usize)>,
        what: &str,
        limits: Limits,
    ) -> Answer<Vec<String>> {
        if let Some((address, length)) = range(what)? {
            return self.hex(address, length);
        }
        let (tid, frame) = frame.ok_or_else(|| {
            format!("`{what}` is a variable of a thread's frame: say of which thread, or name memory as ADDRESS+LENGTH, as in 0x7f0012345678+64")
        })?;
        let expression = Expression::parse(what)?;
        let (mut lines, address, length) = self.around(tid, frame, &[&expression], |around| {
            let (objects, shown) = match around.find(&expression)? {
                Found::Object(object) => {
                    let object = around.referred(object)?;
                    let shown = around.shown(&object, &limits)?;
                    (vec![object], shown)
                }
                Found::List(objects) => {
                    let shown = objects.iter().map(|object| around.shown(object, &limits));
                    let shown = shown.collect::<Answer<Vec<_>>>()?;
                    (objects, format!("{{{}}}", shown.join(", ")))
                }
                Found::Number(_) => {
                    return Err(format!(
                        "{expression} is a number: name memory as ADDRESS+LENGTH"
                    ));
                }
            };
            let first = objects
                .first()
                .ok_or_else(|| format!("{expression} is empty"))?;
            let size = around.types.size(first.of).unwrap_or(0);
            let address = first
                .source
                .address()
                .ok_or_else(|| format!("{expression} is in no memory: {}", first.why))?;
            let head = format!("{} {expression} = {shown}", around.types.name(first.of));
            Ok((
                vec![head],
                address,
                size.saturating_mul(objects.len() as u64),
            ))
        })?;
        lines.extend(self.hex(address, length)?);
        Ok(lines)
    }

    fn hex(&self, address: u64, length: u64) -> Answer<Vec<String>> {
        if length > DUMP_BYTES_MAX {
            return Err(format!(
                "{length} bytes are too much for a dump: at most {DUMP_BYTES_MAX}; a core file has all (snapshot core)"
            ));
        }
        let mut lines = Vec::new();
        let end = address
            .checked_add(length)
            .ok_or("this is beyond the end of memory")?;
        let mut at = address;
        while at < end {
            let count = (end - at).min(LINE_BYTES as u64) as usize;
            let mut bytes = [0; LINE_BYTES];
            lines.push(match self.memory.read(at, &mut bytes[..count]) {
                Some(()) => hex_line(at, &bytes[..count]),
                None => format!("{at:#014x}  not there"),
            });
            at += count as u64;
        }
        Ok(lines)
    }
}

/// Whether `what` names memory by its address.
pub fn is_range(what: &str) -> bool {
    matches!(range(what), Ok(Some(_)) | Err(_))
}

/// `0x7f0012345678+64`: address and length. `None`: it is no such thing.
fn range(what: &str) -> Answer<Option<(u64, u64)>> {
    let number = |text: &str| match text.trim().strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.trim().parse().ok(),
    };
    let (address, length) = what.split_once('+').unwrap_or((what, ""));
    match (number(address), number(length)) {
        (Some(address), Some(length)) => Ok(Some((address, length))),
        (Some(_), None) => Err(format!(
            "`{what}`: expected ADDRESS+LENGTH, as in 0x7f0012345678+64"
        )),
        (None, _) => Ok(None),
    }
}

/// `0x00007ffe0010  48 65 6c 6c 6f  Hello`
fn hex_line(address: u64, bytes: &[u8]) -> String {
    let mut line = format!("{address:#014x} ");
    for index in 0..LINE_BYTES {
        let space = if index == LINE_BYTES / 2 { "  " } else { " " };
        // Writing to a text doesn't fail.
        let _ = match bytes.get(index) {
            Some(byte) => write!(line, "{space}{byte:02x}"),
            None => write!(line, "{space}  "),
        };
    }
    let shown = |byte: &u8| match byte {
        0x20..0x7f => char::from(*byte),
        _ => '.',
    };
    line += "  ";
    line.extend(bytes.iter().map(shown));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_memory() {
        assert_eq!(range("0x10+16"), Ok(Some((16, 16))));
        assert_eq!(range("16 + 0x10"), Ok(Some((16, 16))));
        assert_eq!(range("p->next"), Ok(None));
        assert!(range("0x10").is_err());
        assert!(range("0x10+x").is_err());
    }

    #[test]
    fn a_line_of_memory() {
        let line = hex_line(0x1000, b"Hello, world!\0");
        assert_eq!(
            line,
            "0x000000001000  48 65 6c 6c 6f 2c 20 77  6f 72 6c 64 21 00        Hello, world!."
        );
    }
}
