//! The table: for each program and configuration what an event costs; then what is asked of a recording.

use super::configurations::Configuration;
use super::measure::Outcome;
use super::programs::Program;

/// A program in a configuration.
pub struct Line {
    /// What ran.
    pub program: Program,
    /// How.
    pub configuration: Configuration,
    /// The same, built without the flag.
    pub plain: Outcome,
    /// What it took.
    pub outcome: Outcome,
}

/// A figure of another kind.
pub struct Answer {
    /// What was measured.
    pub what: String,
    /// What was expected, in the figure's unit.
    pub estimate: f64,
    /// What it is.
    pub measured: f64,
    /// Of all three figures.
    pub unit: &'static str,
    /// What it should be at most, or at least.
    pub goal: Option<Limit>,
}

/// A bound.
#[derive(Clone, Copy)]
pub enum Limit {
    /// Less is better.
    AtMost(f64),
    /// More is better.
    AtLeast(f64),
}

/// A figure of a line that something was promised of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// The traced thread against the program built without the flag.
    Ratio(f64),
    /// Nanoseconds of the traced thread for an event.
    Thread(f64),
    /// Nanoseconds of all processes for an event.
    All(f64),
    /// Bytes stored for an event.
    Stored(f64),
    /// Events lost.
    Lost(f64),
}

impl Line {
    fn per_event(&self, figure: fn(&Outcome) -> f64) -> f64 {
        (figure(&self.outcome) - figure(&self.plain)) / self.program.events as f64
    }

    fn figure(&self, goal: Goal) -> Option<f64> {
        match goal {
            Goal::Ratio(_) => Some(self.outcome.thread_ns / self.plain.thread_ns),
            Goal::Thread(_) => Some(self.per_event(|outcome| outcome.thread_ns)),
            Goal::All(_) => Some(self.per_event(|outcome| outcome.all_ns)),
            Goal::Stored(_) => Some(self.outcome.stored_bytes / self.program.events as f64),
            Goal::Lost(_) => self.outcome.lost,
        }
    }

    fn cells(&self) -> [String; 11] {
        let goals = goals(self.program.name, self.configuration);
        let is_met = |goal: &Goal| {
            self.figure(*goal)
                .is_none_or(|figure| figure <= goal.limit())
        };
        let missed: Vec<String> = goals
            .iter()
            .filter(|goal| !is_met(goal))
            .map(|goal| goal.shown())
            .collect();
        let wanted: Vec<String> = goals.iter().map(|goal| goal.shown()).collect();
        let is_plain = self.configuration == Configuration::Plain;
        let beside_plain = |text: String| if is_plain { String::new() } else { text };
        [
            self.program.name.to_owned(),
            self.configuration.name().to_owned(),
            beside_plain(format!(
                "{:.1}",
                estimate(self.program.name, self.configuration)
            )),
            match is_plain {
                true => format!("{:.1} ms", self.outcome.thread_ns / 1e6),
                false => format!("{:.2}", self.per_event(|outcome| outcome.thread_ns)),
            },
            beside_plain(format!(
                "{:.2}",
                self.outcome.thread_ns / self.plain.thread_ns
            )),
            beside_plain(format!("{:.1}", self.per_event(|outcome| outcome.all_ns))),
            beside_plain(format!("{:.2}", self.outcome.wall_ns / self.plain.wall_ns)),
            match self.outcome.stored_bytes {
                0.0 => String::new(),
                bytes => format!("{:.2}", bytes / self.program.events as f64),
            },
            self.outcome
                .lost
                .map_or_else(String::new, |lost| format!("{lost}")),
            wanted.join(", "),
            match (goals.is_empty(), missed.is_empty()) {
                (true, _) => String::new(),
                (false, true) => "yes".into(),
                (false, false) => format!("NO: {}", missed.join(", ")),
            },
        ]
    }
}

impl Goal {
    fn limit(self) -> f64 {
        let (Self::Ratio(limit)
        | Self::Thread(limit)
        | Self::All(limit)
        | Self::Stored(limit)
        | Self::Lost(limit)) = self;
        limit
    }

    fn shown(self) -> String {
        match self {
            Self::Ratio(limit) => format!("{limit:.2}x"),
            Self::Thread(limit) => format!("{limit} ns"),
            Self::All(limit) => format!("all {limit} ns"),
            Self::Stored(limit) => format!("{limit} B"),
            Self::Lost(limit) => format!("{limit} lost"),
        }
    }
}

impl Answer {
    fn cells(&self) -> [String; 5] {
        let shown = |figure: f64| match figure {
            figure if figure < 10.0 => format!("{figure:.2} {}", self.unit),
            figure => format!("{figure:.1} {}", self.unit),
        };
        [
            self.what.clone(),
            shown(self.estimate),
            shown(self.measured),
            match self.goal {
                None => String::new(),
                Some(Limit::AtMost(limit)) => format!("<= {}", shown(limit)),
                Some(Limit::AtLeast(limit)) => format!(">= {}", shown(limit)),
            },
            match self.goal {
                None => "",
                Some(Limit::AtMost(limit)) if self.measured <= limit => "yes",
                Some(Limit::AtLeast(limit)) if self.measured >= limit => "yes",
                Some(_) => "NO",
            }
            .to_owned(),
        ]
    }
}

/// Everything, in columns, with what was not measured and why.
pub fn render(lines: &[Line], answers: &[Answer], refusals: &[String]) -> String {
    let rows: Vec<[String; 11]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(lines.iter().map(Line::cells))
        .collect();
    let mut text = columns(&rows);
    if !answers.is_empty() {
        let rows: Vec<[String; 5]> = std::iter::once(ANSWERS_HEAD.map(str::to_owned))
            .chain(answers.iter().map(Answer::cells))
            .collect();
        text.push('\n');
        text.push_str(&columns(&rows));
    }
    for refusal in refusals {
        text.push_str(&format!("\nnot measured: {}\n", refusal.trim_end()));
    }
    text
}

fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    });
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> = (0..N)
            .map(|column| match (column, N - column) {
                (0, _) | (_, 1) => format!("{:<1$}", row[column], widths[column]),
                (1, _) if N == HEAD.len() => format!("{:<1$}", row[column], widths[column]),
                _ => format!("{:>1$}", row[column], widths[column]),
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
        if number == 0 {
            text.push_str(&"-".repeat(widths.iter().sum::<usize>() + 2 * (N - 1)));
            text.push('\n');
        }
    }
    text
}

/// What was promised: issue's goals for fib and sqlite; what was not promised of a program is asked of none.
fn goals(program: &str, configuration: Configuration) -> Vec<Goal> {
    let is_fib = program == "fib";
    let is_sqlite = program.starts_with("sqlite");
    match configuration {
        Configuration::Off | Configuration::Excluded if is_fib => vec![Goal::Ratio(1.15)],
        Configuration::Off | Configuration::Excluded if is_sqlite => vec![Goal::Ratio(1.10)],
        Configuration::Unpatched if is_fib || is_sqlite => vec![Goal::Thread(1.6)],
        Configuration::Wait if is_fib => vec![Goal::Thread(12.0), Goal::Lost(0.0)],
        Configuration::Wait if is_sqlite => vec![
            Goal::Thread(18.0),
            Goal::All(45.0),
            Goal::Stored(1.0),
            Goal::Lost(0.0),
        ],
        Configuration::Flight if is_fib => vec![Goal::Thread(10.0)],
        Configuration::FlightCoarse if is_fib => vec![Goal::Thread(3.0)],
        Configuration::Wait => vec![Goal::Lost(0.0)],
        Configuration::Plain
        | Configuration::Flag
        | Configuration::Empty
        | Configuration::Ring
        | Configuration::Uftrace
        | Configuration::LttngFast
        | Configuration::Off
        | Configuration::Excluded
        | Configuration::Unpatched
        | Configuration::Drop
        | Configuration::Flight
        | Configuration::FlightCoarse => Vec::new(),
    }
}

/// Expected nanoseconds of the traced thread for an event. A call through the PLT to an empty hook is 1.3; reading
/// the time-stamp counter 8.7; storing 8 bytes in a warm line 1, and a program that uses the caches itself pays 3 more for
/// that; a chunk of 8000 words is changed in 2 us, 0.3 a word. uftrace and LTTng: measured elsewhere.
fn estimate(program: &str, configuration: Configuration) -> f64 {
    let caches = if program == "fib" { 0.0 } else { 3.0 };
    match configuration {
        Configuration::Plain | Configuration::Off | Configuration::Excluded => 0.0,
        Configuration::Flag => 1.2,
        Configuration::Empty => 1.3,
        Configuration::Unpatched => 1.5,
        Configuration::Ring => 8.9 + caches,
        Configuration::Wait | Configuration::Drop => 1.3 + 8.7 + 1.0 + 0.3 + caches,
        Configuration::Flight => 8.7 + 1.0 + caches,
        Configuration::FlightCoarse => 1.3 + 1.0 + 0.5 + caches,
        Configuration::Uftrace => 38.0 + caches,
        Configuration::LttngFast => 80.0 + caches,
    }
}

const HEAD: [&str; 11] = [
    "program",
    "how",
    "estimate ns/event",
    "traced thread",
    "x plain",
    "all CPU",
    "x wall",
    "bytes/event",
    "lost",
    "goal",
    "met",
];

const ANSWERS_HEAD: [&str; 5] = ["what", "estimate", "measured", "goal", "met"];

#[cfg(test)]
mod tests {
    use super::*;

    fn line(program: &'static str, configuration: Configuration, thread_ns: f64) -> Line {
        let outcome = |thread_ns| Outcome {
            thread_ns,
            wall_ns: thread_ns,
            all_ns: thread_ns,
            stored_bytes: 0.0,
            lost: None,
        };
        Line {
            program: Program {
                name: program,
                plain: "plain".into(),
                flag: "flag".into(),
                arguments: Vec::new(),
                events: 10,
            },
            configuration,
            plain: outcome(100.0),
            outcome: outcome(thread_ns),
        }
    }

    #[test]
    fn a_line_says_which_goal_it_misses() {
        let met = |line: Line| line.cells()[10].clone();
        assert_eq!(met(line("fib", Configuration::Off, 114.0)), "yes");
        assert_eq!(met(line("fib", Configuration::Off, 120.0)), "NO: 1.15x");
        assert_eq!(met(line("fib", Configuration::Wait, 219.0)), "yes");
        assert_eq!(met(line("fib", Configuration::Wait, 231.0)), "NO: 12 ns");
        assert_eq!(met(line("lua", Configuration::Ring, 900.0)), "");
    }

    #[test]
    fn a_bound_is_from_below_or_above() {
        let met = |measured, goal| {
            let answer = Answer {
                what: String::new(),
                estimate: 1.0,
                measured,
                unit: "ms",
                goal: Some(goal),
            };
            answer.cells()[4].clone()
        };
        assert_eq!(met(3.0, Limit::AtMost(2.0)), "NO");
        assert_eq!(met(3.0, Limit::AtLeast(2.0)), "yes");
    }
}
