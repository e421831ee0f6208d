//! Text for HTML.

/// `1 234 567`, with thin spaces.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `1 fault`, `2 faults`.
pub fn counted(value: u64, what: &str) -> String {
    match value {
        1 => format!("1 {what}"),
        _ => format!("{} {what}s", grouped(value)),
    }
}

/// Text that came from a program, for HTML.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            character => escaped.push(character),
        }
    }
    escaped
}

/// A long name may go on in the next line after its colon.
pub fn breakable(name: &str) -> String {
    escape(name).replace(':', ":<wbr>")
}

/// Backquotes become code.
pub fn with_code(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        match index % 2 {
            0 => html += &escape(part),
            _ => html += &format!("<code>{}</code>", escape(part)),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_bring_markup() {
        assert_eq!(
            with_code("`<b>:\"x\"` & more"),
            "<code>&lt;b&gt;:&quot;x&quot;</code> &amp; more"
        );
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    }
}
