//! Numbers as people read them.

/// Nanoseconds with a unit and four digits: `12.34 us`.
pub fn duration(ns: f64) -> String {
    let magnitude = ns.abs();
    let (value, unit) = match magnitude {
        // Rounded to four digits these are the next unit's 1.000.
        _ if magnitude < 999.95 => (ns, "ns"),
        _ if magnitude < 999.95e3 => (ns / 1e3, "us"),
        _ if magnitude < 999.95e6 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    let decimals = match value.abs() {
        _ if unit == "ns" => usize::from(value.abs() < 99.95 && value.fract() != 0.0),
        value if value < 9.9995 => 3,
        value if value < 99.995 => 2,
        value if value < 999.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// As [`duration`], always with a sign.
pub fn signed_duration(ns: f64) -> String {
    match ns {
        0.0 => "0 ns".into(),
        ns if ns < 0.0 => format!("-{}", duration(-ns)),
        ns => format!("+{}", duration(ns)),
    }
}

/// How much `after` is more than `before`, in percent with a sign; empty if there was nothing before.
pub fn signed_percent(before: f64, after: f64) -> String {
    let percent = (after - before) / before * 100.0;
    match percent {
        _ if before == 0.0 => String::new(),
        percent if percent.abs() < 0.05 => "0 %".into(),
        percent if percent.abs() >= 1000.0 => format!("{percent:+.0} %"),
        percent => format!("{percent:+.1} %"),
    }
}

/// A count with thin marks every three digits: `12,345,678`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits_and_a_unit() {
        let cases = [
            (0.0, "0 ns"),
            (12.34, "12.3 ns"),
            (999.94, "1000 ns"),
            (999.96, "1.000 us"),
            (12_345.0, "12.35 us"),
            (123_456.0, "123.5 us"),
            (999_960.0, "1.000 ms"),
            (5e9, "5.000 s"),
            (12_345e9, "12345 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(duration(ns), text);
        }
        assert_eq!(signed_duration(-1500.0), "-1.500 us");
        assert_eq!(signed_duration(1500.0), "+1.500 us");
        assert_eq!(signed_percent(100.0, 150.0), "+50.0 %");
        assert_eq!(signed_percent(0.0, 150.0), "");
        assert_eq!(count(1), "1");
        assert_eq!(count(1_234_567), "1,234,567");
    }
}
