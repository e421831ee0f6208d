//! What was found, in numbers.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};

/// Of one kind of values at one level of optimization; the numbers that compare.py prints, in its order.
#[derive(Clone, Copy, Default)]
struct Counts {
    equal: u64,
    missing: u64,
    ours: u64,
    different: u64,
    cut: u64,
    neither: u64,
}

struct Row {
    program: String,
    level: String,
    events: u64,
    kinds: BTreeMap<String, Counts>,
    trouble: Option<String>,
}

/// All runs.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
}

/// At least so much of what gdb has, in per cent, with optimization. Without: everything.
const WANTED_PERCENT: f64 = 98.0;
/// The same for `--quick`, at all levels: few events, of which the first may come before their plans on a busy machine.
const WANTED_PERCENT_QUICK: f64 = 95.0;

impl Table {
    /// What compare.py printed of a run: differences are shown, its counts kept.
    pub fn add(&mut self, program: &str, level: &str, printed: &str) -> Result<()> {
        let mut row = Row::new(program, level);
        for line in printed.lines() {
            let Some((kind, numbers)) = line
                .strip_prefix("= ")
                .and_then(|line| line.split_once(": "))
            else {
                println!("    {line}");
                continue;
            };
            let numbers: Result<Vec<u64>, _> = numbers.split(' ').map(str::parse).collect();
            match numbers.context("compare.py counts")?[..] {
                [events] => row.events = events,
                [equal, missing, ours, different, cut, neither] => {
                    let counts = Counts {
                        equal,
                        missing,
                        ours,
                        different,
                        cut,
                        neither,
                    };
                    row.kinds.insert(kind.to_owned(), counts);
                }
                _ => anyhow::bail!("compare.py printed {line:?}"),
            }
        }
        self.rows.push(row);
        Ok(())
    }

    /// A run that could not be compared.
    pub fn fail(&mut self, program: &str, level: &str, error: &anyhow::Error) {
        let mut row = Row::new(program, level);
        row.trouble = Some(format!("{error:#}"));
        self.rows.push(row);
    }

    /// What is wrong, if anything is. `is_quick`: more may be missing.
    pub fn verdict(&self, is_quick: bool) -> Result<(), String> {
        let fault = |row: &Row| row.fault(is_quick);
        let faults: Vec<String> = self.rows.iter().filter_map(fault).collect();
        match faults.is_empty() {
            true => Ok(()),
            false => Err(faults.join("; ")),
        }
    }
}

impl Row {
    fn new(program: &str, level: &str) -> Self {
        Self {
            program: program.to_owned(),
            level: level.to_owned(),
            events: 0,
            kinds: BTreeMap::new(),
            trouble: None,
        }
    }

    fn sum(&self) -> Counts {
        self.kinds.values().fold(Counts::default(), Counts::plus)
    }

    fn fault(&self, is_quick: bool) -> Option<String> {
        let name = format!("{} -{}", self.program, self.level);
        if let Some(trouble) = &self.trouble {
            return Some(format!("{name}: {trouble}"));
        }
        let sum = self.sum();
        let is_complete = match self.level.as_str() {
            _ if is_quick => sum.percent() >= WANTED_PERCENT_QUICK,
            "O0" => sum.missing == 0,
            _ => sum.percent() >= WANTED_PERCENT,
        };
        match (sum.different, is_complete) {
            (0, true) => None,
            (0, false) => Some(format!(
                "{name}: {} of gdb's values are missing",
                sum.missing
            )),
            (wrong, _) => Some(format!("{name}: {wrong} values are wrong")),
        }
    }
}

impl Counts {
    fn plus(self, other: &Self) -> Self {
        Self {
            equal: self.equal + other.equal,
            missing: self.missing + other.missing,
            ours: self.ours + other.ours,
            different: self.different + other.different,
            cut: self.cut + other.cut,
            neither: self.neither + other.neither,
        }
    }

    /// Of the values that gdb has.
    fn percent(&self) -> f64 {
        let all = self.equal + self.missing + self.different;
        match all {
            0 => 100.0,
            _ => 100.0 * self.equal as f64 / all as f64,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        writeln!(
            out,
            "{:<12} {:<3} {:>6} {:<20} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "program",
            "",
            "events",
            "values",
            "of gdb",
            "equal",
            "missing",
            "WRONG",
            "only us",
            "cut",
            "neither"
        )?;
        for row in &self.rows {
            if let Some(trouble) = &row.trouble {
                writeln!(out, "{:<12} {:<3} {trouble}", row.program, row.level)?;
                continue;
            }
            let sum = ("all".to_owned(), row.sum());
            for (kind, counts) in row.kinds.iter().chain([(&sum.0, &sum.1)]) {
                writeln!(
                    out,
                    "{:<12} {:<3} {:>6} {:<20} {:>6.2}% {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
                    row.program,
                    row.level,
                    row.events,
                    kind,
                    counts.percent(),
                    counts.equal,
                    counts.missing,
                    counts.different,
                    counts.ours,
                    counts.cut,
                    counts.neither
                )?;
            }
        }
        Ok(())
    }
}
