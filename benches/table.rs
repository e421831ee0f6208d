//! The table: one row per figure.

use std::fmt::Write;

/// One figure, what was expected, and what it is compared with.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is measured.
    pub what: String,
    /// What was expected, in nanoseconds; the source says how it was derived.
    pub estimate_ns: f64,
    /// Nanoseconds.
    pub measured_ns: f64,
    /// What it is compared with in the same run, and that figure in nanoseconds.
    pub beside: Option<(String, f64)>,
    /// Measured over beside, taken round by round where rounds are noisy.
    pub ratio: Option<f64>,
    /// What it should be.
    pub goal: Goal,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Nothing was promised.
    None,
    /// `ratio` at most this.
    Ratio(f64),
    /// At most so many nanoseconds more than what it is compared with.
    MoreNs(f64),
}

impl Row {
    fn goal_met(&self) -> Option<bool> {
        match self.goal {
            Goal::None => None,
            Goal::Ratio(limit) => self.ratio.map(|ratio| ratio <= limit),
            Goal::MoreNs(limit) => self
                .beside
                .as_ref()
                .map(|(_, beside)| self.measured_ns - beside <= limit),
        }
    }

    fn cells(&self) -> [String; 8] {
        [
            self.what.clone(),
            duration(self.estimate_ns),
            duration(self.measured_ns),
            self.beside
                .as_ref()
                .map_or_else(String::new, |(name, _)| name.clone()),
            self.beside
                .as_ref()
                .map_or_else(String::new, |(_, beside)| duration(*beside)),
            self.ratio
                .map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            match self.goal {
                Goal::None => String::new(),
                Goal::Ratio(limit) => format!("<= {limit:.2}x"),
                Goal::MoreNs(limit) => format!("<= +{}", duration(limit)),
            },
            match self.goal_met() {
                None => String::new(),
                Some(true) => "yes".into(),
                Some(false) => "NO".into(),
            },
        ]
    }
}

/// The rows under [`HEAD`], in columns.
pub fn render(rows: &[Row]) -> String {
    let lines: Vec<[String; 8]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(rows.iter().map(Row::cells))
        .collect();
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 | 3 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
        if number == 0 {
            let _ = writeln!(
                text,
                "{}",
                "-".repeat(widths.iter().sum::<usize>() + 2 * (HEAD.len() - 1))
            );
        }
    }
    text
}

/// Nanoseconds with three digits that count.
pub fn duration(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "us"),
        ns => (ns / 1e6, "ms"),
    };
    match value {
        value if value < 1.0 => format!("{value:.3} {unit}"),
        value if value < 10.0 => format!("{value:.2} {unit}"),
        value if value < 100.0 => format!("{value:.1} {unit}"),
        value => format!("{value:.0} {unit}"),
    }
}

const HEAD: [&str; 8] = [
    "what",
    "estimate",
    "measured",
    "beside, in the same run",
    "that",
    "ratio",
    "goal",
    "met",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_or_not() {
        let row = Row {
            what: "x".into(),
            estimate_ns: 1.0,
            measured_ns: 3.0,
            beside: Some(("y".into(), 1.5)),
            ratio: Some(2.0),
            goal: Goal::Ratio(2.0),
        };
        assert_eq!(row.goal_met(), Some(true));
        assert_eq!(
            Row {
                goal: Goal::Ratio(1.9),
                ..row.clone()
            }
            .goal_met(),
            Some(false)
        );
        assert_eq!(
            Row {
                goal: Goal::MoreNs(1.5),
                ..row.clone()
            }
            .goal_met(),
            Some(true)
        );
        assert_eq!(
            Row {
                goal: Goal::None,
                ..row
            }
            .goal_met(),
            None
        );
    }

    #[test]
    fn durations_have_three_digits() {
        assert_eq!(duration(0.0723), "0.072 ns");
        assert_eq!(duration(3.256), "3.26 ns");
        assert_eq!(duration(45_678.0), "45.7 us");
        assert_eq!(duration(160_048.0), "160 us");
    }
}
