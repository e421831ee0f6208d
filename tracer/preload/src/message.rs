//! What the user must know, on standard error.

use core::fmt::{Arguments, Write};

use crate::sys::memory::write_error;

/// A line; what doesn't fit is cut off.
struct Line {
    bytes: [u8; 256],
    used: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.bytes.len() - 1 - self.used;
        let text = &text.as_bytes()[..text.len().min(room)];
        if let Some(place) = self.bytes.get_mut(self.used..self.used + text.len()) {
            place.copy_from_slice(text);
            self.used += text.len();
        }
        Ok(())
    }
}

/// Says something, in one line.
pub fn tell(text: Arguments<'_>) {
    let mut line = Line {
        bytes: [0; 256],
        used: 0,
    };
    let _ = write!(line, "umbel trace: {text}");
    if let Some(place) = line.bytes.get_mut(line.used) {
        *place = b'\n';
    }
    write_error(line.bytes.get(..=line.used).unwrap_or_default());
}
