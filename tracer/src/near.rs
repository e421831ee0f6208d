//! Names that a user may have meant who wrote one that nothing has.

/// Names that are told.
const TOLD_MAX: usize = 3;

/// Bytes of names that are compared: longer ones are cut.
const BYTES_MAX: usize = 64;

/// The names that are most like `wanted`, the nearest first: those that differ by few letters, or have it inside.
pub fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    // Two letters in the wrong order count twice.
    let most = wanted.chars().count().div_ceil(3).max(1);
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let last = name.rsplit("::").next().unwrap_or(name);
            let far = distance(wanted, name).min(distance(wanted, last));
            let is_inside = wanted.len() >= 3 && name.contains(wanted);
            match is_inside {
                true => Some((far.min(most), name)),
                false => (far <= most).then_some((far, name)),
            }
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(TOLD_MAX);
    found.into_iter().map(|(_, name)| name).collect()
}

/// `: did you mean a or b?`; nothing if there are none.
pub fn meant(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => format!(": did you mean {one}?"),
        [all @ .., last] => format!(": did you mean {} or {last}?", all.join(", ")),
    }
}

/// Letters to put in, take away or change until one is the other; case counts for nothing.
fn distance(one: &str, other: &str) -> usize {
    let cut = |text: &str| -> Vec<u8> {
        text.bytes()
            .take(BYTES_MAX)
            .map(|byte| byte.to_ascii_lowercase())
            .collect()
    };
    let (one, other) = (cut(one), cut(other));
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, a) in one.iter().enumerate() {
        let mut diagonal = index;
        row[0] = index + 1;
        for (place, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(row[place] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_letter_wrong_are_near() {
        let names = ["parse_line", "parse_file", "lex", "ns::Box::put", "main"];
        let found = |wanted| near(wanted, names.into_iter());
        assert_eq!(found("parse_lime"), ["parse_line", "parse_file"]);
        assert_eq!(found("Parse_line")[0], "parse_line");
        assert_eq!(found("puts"), ["ns::Box::put"]);
        assert_eq!(found("parse"), ["parse_file", "parse_line"]);
        assert_eq!(found("quite_other"), [""; 0]);
        assert_eq!(
            meant(&found("parse")),
            ": did you mean parse_file or parse_line?"
        );
    }
}
