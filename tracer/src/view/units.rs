//! Times as people read and write them.

/// `12 ns`, `3.4 us`, `56 ms`, `1.2 s`.
pub fn duration(ns: u64) -> String {
    let (unit, divisor) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..999_950 => ("us", 1_000),
        999_950..999_950_000 => ("ms", 1_000_000),
        _ => ("s", 1_000_000_000),
    };
    let value = ns as f64 / f64::from(divisor);
    match value < 9.95 {
        true => format!("{value:.1} {unit}"),
        false => format!("{value:.0} {unit}"),
    }
}

/// `1.5ms`, `20 us`, `3` (seconds), in nanoseconds.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim() {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" | "" => 1e9,
        "min" => 60e9,
        _ => {
            return Err(format!(
                "`{text}` is no time: write a number with ns, us, ms, s or min"
            ));
        }
    };
    let number: f64 = number
        .parse()
        .map_err(|_| format!("`{text}` is no time: it begins with no number, as 1.5ms does"))?;
    Ok((number * scale) as u64)
}

/// The time of day, UTC: `12:34:56.123456789`, of nanoseconds since 1970.
pub fn time_of_day(realtime_ns: u64) -> String {
    let seconds = realtime_ns / 1_000_000_000 % 86_400;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!(
        "{hours:02}:{minutes:02}:{:02}.{:09}",
        seconds % 60,
        realtime_ns % 1_000_000_000
    )
}

/// A signal's name, or its number.
pub fn signal_name(signal: i32) -> String {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(known) => known.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well_and_can_be_written() {
        let shown = [0, 999, 1_000, 12_345, 999_960, 9_960_000, 1_234_567_890].map(duration);
        assert_eq!(
            shown,
            [
                "0 ns", "999 ns", "1.0 us", "12 us", "1.0 ms", "10 ms", "1.2 s"
            ]
        );
        assert_eq!(parse_duration("1.5ms"), Ok(1_500_000));
        assert_eq!(parse_duration("20 us"), Ok(20_000));
        assert_eq!(parse_duration("3"), Ok(3_000_000_000));
        for wrong in ["", "ms", "1.2.3s", "5 parsecs", "-3s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            time_of_day(86_400_000_000_000 + 3_723_000_000_001),
            "01:02:03.000000001"
        );
    }
}
