//! The difference of two profiles, function by function.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::profile::{Profile, Statistics};
use super::table::Table;
use super::text::{Patterns, Sort, TextOptions};
use crate::units::{duration, signed_duration, signed_percent};

/// Two profiles compared.
pub struct Difference {
    /// All functions of both.
    pub rows: Vec<DifferenceRow>,
}

/// One function in both profiles. Functions are the same if their names and the names of their modules' files are.
#[derive(Clone, Debug, PartialEq)]
pub struct DifferenceRow {
    /// The function.
    pub name: String,
    /// The module's file, without its folder.
    pub module: String,
    /// Before; `None`: it was not called.
    pub before: Option<Numbers>,
    /// After; `None`: it was not called.
    pub after: Option<Numbers>,
}

/// A function's numbers in one profile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Numbers {
    /// Calls.
    pub calls: u64,
    /// Time on the stack, in nanoseconds.
    pub total_ns: f64,
    /// Time without those above it.
    pub own_ns: f64,
}

impl DifferenceRow {
    fn numbers(&self) -> (Numbers, Numbers) {
        (
            self.before.unwrap_or_default(),
            self.after.unwrap_or_default(),
        )
    }
}

impl Difference {
    /// What is different in `after`.
    pub fn of(before: &Profile, after: &Profile) -> Self {
        type Sides = [Option<Numbers>; 2];
        let mut rows: BTreeMap<(String, String), Sides> = BTreeMap::new();
        for (side, profile) in [before, after].into_iter().enumerate() {
            for function in &profile.functions {
                let module = function.module.rsplit('/').next().unwrap_or_default();
                let key = (function.name.to_string(), module.to_owned());
                let numbers = rows.entry(key).or_default()[side].get_or_insert_default();
                let Statistics {
                    calls, total, own, ..
                } = function.statistics;
                numbers.calls += calls;
                numbers.total_ns += profile.ns(total);
                numbers.own_ns += profile.ns(own);
            }
        }
        let rows = rows
            .into_iter()
            .map(|((name, module), [before, after])| DifferenceRow {
                name,
                module,
                before,
                after,
            })
            .collect();
        Self { rows }
    }

    /// The rows that are wanted: the greatest difference first.
    pub fn sorted(&self, options: &TextOptions) -> Vec<&DifferenceRow> {
        let difference = |row: &DifferenceRow| {
            let (before, after) = row.numbers();
            match options.sort {
                Sort::Own => (after.own_ns - before.own_ns).abs(),
                Sort::Calls => after.calls.abs_diff(before.calls) as f64,
                Sort::Name => 0.0,
                _ => (after.total_ns - before.total_ns).abs(),
            }
        };
        let patterns = Patterns::new(&options.functions);
        let mut rows: Vec<&DifferenceRow> = self
            .rows
            .iter()
            .filter(|row| patterns.have(&row.name, &row.module))
            .filter(|row| {
                let (before, after) = row.numbers();
                (after.total_ns - before.total_ns).abs() >= options.total_min_ns
            })
            .collect();
        rows.sort_by(|a, b| difference(b).total_cmp(&difference(a)));
        rows.truncate(options.limit.unwrap_or(usize::MAX));
        rows
    }

    /// A table of the rows that are wanted.
    pub fn write(&self, options: &TextOptions, out: &mut impl Write) -> io::Result<()> {
        let mut table = Table::default();
        for (title, importance) in [
            ("CALLS", 5),
            ("+/-", 8),
            ("TOTAL", 6),
            ("+/-", 9),
            ("%", 4),
            ("SELF", 2),
            ("+/-", 7),
            ("%", 1),
            ("FUNCTION", u32::MAX),
        ] {
            table.column(title, importance);
        }
        for row in self.sorted(options) {
            let (before, after) = row.numbers();
            let calls = match i128::from(after.calls) - i128::from(before.calls) {
                0 => "0".to_owned(),
                more => format!("{more:+}"),
            };
            let mark = match (row.before, row.after) {
                (None, _) => " (new)",
                (_, None) => " (gone)",
                _ => "",
            };
            table.row(vec![
                after.calls.to_string(),
                calls,
                duration(after.total_ns),
                signed_duration(after.total_ns - before.total_ns),
                signed_percent(before.total_ns, after.total_ns),
                duration(after.own_ns),
                signed_duration(after.own_ns - before.own_ns),
                signed_percent(before.own_ns, after.own_ns),
                format!("{}{mark}", row.name),
            ]);
        }
        table.write(out, options.width)
    }

    /// The rows that are wanted as JSON, for programs.
    pub fn write_json(&self, options: &TextOptions, out: &mut impl Write) -> io::Result<()> {
        let numbers = |numbers: &Option<Numbers>| {
            numbers.map(|numbers| {
                json!({
                    "calls": numbers.calls,
                    "total_ns": numbers.total_ns,
                    "self_ns": numbers.own_ns,
                })
            })
        };
        let rows = self.sorted(options);
        let rows: Vec<Value> = rows
            .into_iter()
            .map(|row| {
                json!({
                    "name": row.name,
                    "module": row.module,
                    "before": numbers(&row.before),
                    "after": numbers(&row.after),
                })
            })
            .collect();
        serde_json::to_writer_pretty(&mut *out, &json!({ "functions": rows }))?;
        writeln!(out)
    }
}
