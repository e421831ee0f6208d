//! The table of `cargo xtask bench peers`.

use super::libraries::NAMES;
use super::rows::{Measure, Row};
use super::{Figures, Transport};
use crate::programs::median;
use crate::table::duration;

/// A row's cells, under [`HEAD`].
pub type Line = [String; HEAD.len()];

/// What a row says of all rounds.
pub fn line(row: &Row, transport: Transport, rounds: &[Figures]) -> Line {
    let limit = Row::by_transport(row.limits, transport);
    let ours = median_of(rounds, |round| round.get(row.ours).copied());
    let that = median_of(rounds, |round| beside(row, round));
    let ratio = median_of(rounds, |round| {
        let (ours, beside) = (round.get(row.ours)?, beside(row, round)?);
        Some(match row.measure {
            Measure::Time | Measure::Count | Measure::Times => ours / beside,
            Measure::Rate => beside / ours,
        })
    });
    let is_within = limit.and_then(|limit| ours.map(|ours| ours <= limit));
    let is_near = row.goal.and_then(|goal| {
        ratio.map(|ratio| match row.measure {
            Measure::Time | Measure::Count => ratio <= goal,
            Measure::Rate | Measure::Times => ratio >= goal,
        })
    });
    let verdict = match (is_near, is_within) {
        (None, None) => "",
        (Some(false), _) | (_, Some(false)) => "NO",
        (Some(true) | None, Some(true) | None) => "yes",
    };
    let shown = |figure: Option<f64>| figure.map_or_else(String::new, |f| show(row.measure, f));
    let other = |library: &str| {
        let name = format!("{library}.{}", row.others.unwrap_or_default());
        shown(median_of(rounds, |round| round.get(&name).copied()))
    };
    [
        row.what.to_owned(),
        shown(Some(Row::by_transport(row.estimates, transport))),
        shown(ours),
        shown(that),
        ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
        goal(row, limit),
        verdict.to_owned(),
        other(NAMES[0]),
        other(NAMES[1]),
        other(NAMES[2]),
    ]
}

fn beside(row: &Row, round: &Figures) -> Option<f64> {
    let parts = row.beside.iter().map(|name| round.get(*name).copied());
    let sum: f64 = parts.sum::<Option<f64>>()?;
    (!row.beside.is_empty()).then_some(sum)
}

fn median_of(rounds: &[Figures], figure: impl Fn(&Figures) -> Option<f64>) -> Option<f64> {
    let figures: Vec<f64> = rounds.iter().filter_map(figure).collect();
    (!figures.is_empty()).then(|| median(figures))
}

fn show(measure: Measure, figure: f64) -> String {
    match measure {
        Measure::Time | Measure::Rate => duration(figure),
        Measure::Count | Measure::Times => format!("{figure:.2}"),
    }
}

fn goal(row: &Row, limit: Option<f64>) -> String {
    let ratio = row.goal.map(|goal| match row.measure {
        Measure::Time | Measure::Count => format!("<= {goal}x"),
        Measure::Rate | Measure::Times => format!(">= {goal}x"),
    });
    let limit = limit.map(|limit| format!("<= {}", show(row.measure, limit)));
    let parts: Vec<String> = [ratio, limit].into_iter().flatten().collect();
    parts.join(", ")
}

/// The lines in columns, below the head.
pub fn render(lines: Vec<Line>) -> String {
    let all: Vec<Line> = std::iter::once(HEAD.map(str::to_owned))
        .chain(lines)
        .collect();
    let width = |column: usize| {
        let cells = all.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; HEAD.len()] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, line) in all.iter().enumerate() {
        let cells = line.iter().zip(widths).enumerate();
        let cells: Vec<String> = cells
            .map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
        if number == 0 {
            text.push_str(&"-".repeat(widths.iter().sum::<usize>() + 2 * (HEAD.len() - 1)));
            text.push('\n');
        }
    }
    text
}

const HEAD: [&str; 10] = [
    "what",
    "estimate",
    "ours",
    "beside",
    "ratio",
    "goal",
    "met",
    "Open MPI",
    "MPICH",
    "OpenSHMEM",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::rows::ROWS;

    /// The verdict on the first row of this measure if ours takes so much, and that one so much.
    fn verdict(measure: Measure, ours: f64, beside: f64) -> String {
        let is_alike =
            |row: &&Row| row.measure == measure && row.goal.is_some() && row.beside.len() == 1;
        let row = ROWS.iter().find(is_alike).expect("there is a row of each");
        let figures = [(row.ours, ours), (row.beside[0], beside)];
        let named = |(name, figure): (&str, f64)| (name.to_owned(), figure);
        let [.., met, _, _, _] = line(
            row,
            Transport::Tcp,
            &[figures.into_iter().map(named).collect()],
        );
        met
    }

    #[test]
    fn times_and_counts_are_to_be_small_rates_and_speed_ups_large() {
        for (measure, good, bad) in [
            (Measure::Time, 1.0, 9.0),
            (Measure::Count, 1.0, 9.0),
            (Measure::Rate, 1.0, 9.0),
            (Measure::Times, 9.0, 1.0),
        ] {
            assert_eq!(verdict(measure, good, 3.0), "yes");
            assert_eq!(verdict(measure, bad, 3.0), "NO");
        }
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let met = ROWS
            .iter()
            .map(|row| line(row, Transport::Shm, &[])[6].clone());
        assert!(met.into_iter().all(|met| met.is_empty()));
    }
}
