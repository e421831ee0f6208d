//! The last line of a session: what was recorded, and what was lost.

use std::path::Path;

use umbel_tracer::record::Outcome;

/// Says on standard error what went into `output`.
pub fn print(outcome: &Outcome, output: &Path) {
    for warning in &outcome.warnings {
        eprintln!("umbel trace: {warning}");
    }
    eprintln!("umbel trace: {}", line(outcome, output));
    if outcome.any_process && outcome.tally.events == 0 && outcome.tally.lost == 0 {
        eprintln!(
            "umbel trace: no function was traced: the filters leave none, tracing was off, or nothing that ran was built with \
             -finstrument-functions"
        );
    }
    if !outcome.any_process {
        eprintln!(
            "umbel trace: the program was not traced: it did not load libumbel_trace.so (it is linked statically, or clears \
             LD_PRELOAD, or has the rights of another user)"
        );
    }
}

fn line(outcome: &Outcome, output: &Path) -> String {
    let tally = &outcome.tally;
    let many = |count: usize, one: &str, more: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{} {more}", grouped(count as u64)),
    };
    format!(
        "recorded {} events of {} in {} into {} ({}); {} lost",
        grouped(tally.events),
        many(tally.threads.len(), "thread", "threads"),
        many(tally.processes.len(), "process", "processes"),
        output.display(),
        size(outcome.bytes),
        grouped(tally.lost),
    )
}

/// `14234111` as `14,234,111`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (14_234_111, "14,234,111"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn sizes_have_a_unit() {
        for (bytes, text) in [
            (5, "5 bytes"),
            (1_500, "1.5 kB"),
            (11_200_000, "11.2 MB"),
            (3_250_000_000, "3.25 GB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
