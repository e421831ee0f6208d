//! Pieces of JSON, written as they are: a recording has millions of events, too many for a tree of values.

use std::fmt;

/// The inside of a JSON string.
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let mut rest = self.0;
        while let Some(end) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') {
            let special = rest.as_bytes()[end];
            write!(out, "{}\\u{special:04x}", &rest[..end])?;
            rest = &rest[end + 1..];
        }
        out.write_str(rest)
    }
}

/// Nanoseconds in Chrome's unit, exactly.
pub struct Micros(pub u64);

impl fmt::Display for Micros {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_a_string_of_json() {
        let hostile = "a \"quoted\"\\\n\u{1}\u{7f}\u{2028} name \u{1f600}";
        let json = format!("\"{}\"", Text(hostile));
        let back: String = serde_json::from_str(&json).expect("a string of JSON");
        assert_eq!(back, hostile);
        assert_eq!(Micros(1_234_005).to_string(), "1234.005");
    }
}
