//! A profile as text.

use std::cmp::Reverse;
use std::io::{self, Write};

use globset::{Glob, GlobMatcher};

use super::profile::{Function, Profile};
use super::table::Table;
use crate::recording::Recording;
use crate::units::{count, duration};

/// What is shown, and how.
#[derive(Clone, Debug)]
pub struct TextOptions {
    /// Order of the functions.
    pub sort: Sort,
    /// Functions whose names or modules have one of these in them, or match a pattern with `*`; all if empty.
    pub functions: Vec<String>,
    /// Functions at most.
    pub limit: Option<usize>,
    /// Only functions whose total time is at least this, in nanoseconds; in the tree only such paths.
    pub total_min_ns: f64,
    /// Percentiles that are shown.
    pub percentiles: Vec<f64>,
    /// Width of the terminal.
    pub width: Option<usize>,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            sort: Sort::default(),
            functions: Vec::new(),
            limit: None,
            total_min_ns: 0.0,
            percentiles: vec![50.0, 90.0, 99.0],
            width: None,
        }
    }
}

/// An order of functions: the largest first, names from A.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Sort {
    /// Time on the stack.
    #[default]
    Total,
    /// Time without those above it.
    Own,
    /// Calls.
    Calls,
    /// Shortest call.
    Min,
    /// Mean of the calls.
    Average,
    /// Longest call.
    Max,
    /// This percentile.
    Percentile(f64),
    /// Name.
    Name,
}

impl Profile {
    /// The functions that are wanted, in the order that is wanted.
    pub fn sorted(&self, options: &TextOptions) -> Vec<&Function> {
        let min = options.total_min_ns;
        let patterns = Patterns::new(&options.functions);
        let mut functions: Vec<&Function> = self
            .functions
            .iter()
            .filter(|function| self.ns(function.statistics.total) >= min)
            .filter(|function| patterns.have(&function.name, &function.module))
            .collect();
        functions.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.module.cmp(&b.module)));
        let key = |function: &&Function| {
            let statistics = &function.statistics;
            match options.sort {
                Sort::Total => statistics.total,
                Sort::Own => statistics.own,
                Sort::Calls => statistics.calls,
                Sort::Min => statistics.min,
                Sort::Average => (statistics.average() * 1024.0) as u64,
                Sort::Max => statistics.max,
                Sort::Percentile(percent) => statistics.percentile(percent),
                Sort::Name => 0,
            }
        };
        // Stable, so functions of one value are in the order of their names.
        functions.sort_by_cached_key(|function| Reverse(key(function)));
        functions.truncate(options.limit.unwrap_or(usize::MAX));
        functions
    }

    /// One line about the recording.
    pub fn write_head(&self, recording: &Recording, out: &mut impl Write) -> io::Result<()> {
        let command = match recording.session().command.join(" ") {
            command if command.is_empty() => recording.path().display().to_string(),
            command => command,
        };
        let with_events = self.threads.iter().filter_map(|thread| thread.times_ns);
        let first = with_events.clone().map(|times| times.0).min().unwrap_or(0);
        let last = with_events.clone().map(|times| times.1).max().unwrap_or(0);
        let threads = match with_events.count() {
            1 => "1 thread".to_owned(),
            threads => format!("{threads} threads"),
        };
        writeln!(
            out,
            "{command}: {} events of {threads} in {}",
            count(self.events),
            duration(last.saturating_sub(first) as f64)
        )?;
        writeln!(out)
    }

    /// The table of functions.
    pub fn write_functions(&self, options: &TextOptions, out: &mut impl Write) -> io::Result<()> {
        let own = self
            .functions
            .iter()
            .map(|function| function.statistics.own);
        let all = own.fold(0, u64::saturating_add);
        let mut table = Table::default();
        table.column("CALLS", 8);
        table.column("TOTAL", 9);
        table.column("SELF", 7);
        table.column("SELF %", 3);
        table.column("MIN", 1);
        table.column("AVERAGE", 6);
        table.column("MAX", 5);
        for percent in &options.percentiles {
            table.column(&format!("P{percent}"), 2);
        }
        table.column("FUNCTION", u32::MAX);
        for function in self.sorted(options) {
            let statistics = &function.statistics;
            let time = |ticks| duration(self.ns(ticks));
            let distribution = |ticks| match statistics.calls {
                0 => "-".to_owned(),
                _ => time(ticks),
            };
            let mut cells = vec![
                statistics.calls.to_string(),
                time(statistics.total),
                time(statistics.own),
                format!("{:.1}", statistics.own as f64 * 100.0 / all.max(1) as f64),
                distribution(statistics.min),
                match statistics.calls {
                    0 => "-".to_owned(),
                    _ => duration(statistics.average() * self.ns_per_tick),
                },
                distribution(statistics.max),
            ];
            for percent in &options.percentiles {
                cells.push(distribution(statistics.percentile(*percent)));
            }
            cells.push(title(function));
            table.row(cells);
        }
        table.write(out, options.width)
    }

    /// The call tree.
    pub fn write_tree(&self, options: &TextOptions, out: &mut impl Write) -> io::Result<()> {
        let Some(tree) = &self.tree else {
            return Ok(());
        };
        let children = tree.children();
        let nodes = tree.nodes();
        let all: u64 = children[0]
            .iter()
            .map(|&child| nodes[child as usize].total)
            .fold(0, u64::saturating_add);
        let mut table = Table::default();
        table.column("TOTAL", 9);
        table.column("TOTAL %", 3);
        table.column("SELF", 7);
        table.column("CALLS", 8);
        table.column("FUNCTION", u32::MAX);
        let is_long = |node: u32| self.ns(nodes[node as usize].total) >= options.total_min_ns;
        // By hand, not by recursion: a path may be a million calls long.
        let mut stack: Vec<(u32, usize)> = Vec::new();
        let push = |stack: &mut Vec<(u32, usize)>, node: u32, depth| {
            let wanted = children[node as usize]
                .iter()
                .rev()
                .filter(|child| is_long(**child));
            stack.extend(wanted.map(|&child| (child, depth)));
        };
        push(&mut stack, 0, 0);
        let mut rows = 0;
        while let Some((index, depth)) = stack.pop() {
            if options.limit.is_some_and(|limit| rows >= limit) {
                break;
            }
            rows += 1;
            let node = &nodes[index as usize];
            let function = &self.functions[node.function as usize];
            let indent = "  ".repeat(depth.min(INDENT_MAX));
            let deeper = match depth > INDENT_MAX {
                true => format!("[{depth}] "),
                false => String::new(),
            };
            table.row(vec![
                duration(self.ns(node.total)),
                format!("{:.1}", node.total as f64 * 100.0 / all.max(1) as f64),
                duration(self.ns(node.own)),
                node.calls.to_string(),
                format!("{indent}{deeper}{}", title(function)),
            ]);
            push(&mut stack, index, depth + 1);
        }
        // A name that doesn't fit would lose its place in the tree: lines may be longer than the terminal.
        table.write(out, None)?;
        if tree.is_full() {
            writeln!(
                out,
                "The tree has too many paths: the deepest are counted in their callers."
            )?;
        }
        Ok(())
    }

    /// The table of threads.
    pub fn write_threads(&self, options: &TextOptions, out: &mut impl Write) -> io::Result<()> {
        let mut table = Table::default();
        for (title, importance) in [
            ("PID", 4),
            ("TID", 5),
            ("BEGIN", 6),
            ("END", 7),
            ("EVENTS", 8),
            ("LOST", 9),
            ("DEPTH", 3),
            ("THREAD", u32::MAX),
        ] {
            table.column(title, importance);
        }
        for thread in &self.threads {
            let moment = |ns: Option<i64>| ns.map_or("-".to_owned(), |ns| duration(ns as f64));
            table.row(vec![
                thread.pid.to_string(),
                thread.info.tid.to_string(),
                moment(thread.times_ns.map(|times| times.0)),
                moment(thread.times_ns.map(|times| times.1)),
                thread.events.to_string(),
                thread.lost.to_string(),
                thread.depth_max.to_string(),
                match thread.info.name.as_str() {
                    "" => format!("thread {}", thread.info.serial.0),
                    name => name.to_owned(),
                },
            ]);
        }
        table.write(out, options.width)
    }

    /// What is missing or special, one line each; nothing if there is nothing.
    pub fn write_warnings(&self, out: &mut impl Write) -> io::Result<()> {
        let sum = |number: fn(&Function) -> u64| self.functions.iter().map(number).sum::<u64>();
        let cuts = [
            (
                sum(|function| function.statistics.open),
                "calls still open when the recording ended",
            ),
            (
                sum(|function| function.statistics.jumped),
                "calls left by longjmp",
            ),
            (
                sum(|function| function.statistics.unwound),
                "calls left without a return (exceptions, or lost events)",
            ),
            (
                sum(|function| function.statistics.unseen),
                "returns whose calls were not recorded",
            ),
        ];
        let mut lines: Vec<String> = cuts
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{what}: {}", count(*number)))
            .collect();
        lines.extend(self.warnings.iter().cloned());
        if !lines.is_empty() {
            writeln!(out)?;
        }
        for line in lines {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    /// Nanoseconds that `ticks` ticks last.
    pub fn ns(&self, ticks: u64) -> f64 {
        ticks as f64 * self.ns_per_tick
    }
}

/// Levels of the tree that are indented; deeper ones have their number instead.
const INDENT_MAX: usize = 60;

fn title(function: &Function) -> String {
    match &function.place {
        Some(place) => format!("{} ({}:{})", function.name, place.file, place.line),
        None => function.name.to_string(),
    }
}

/// Functions that are meant.
pub struct Patterns(Vec<(String, Option<GlobMatcher>)>);

impl Patterns {
    /// Texts that names have in them; with `*`, `?` or `[` they are patterns of whole names. None: all are meant.
    pub fn new(texts: &[String]) -> Self {
        let compile = |text: &String| {
            let is_pattern = text.contains(['*', '?', '[']);
            let glob = is_pattern.then(|| Glob::new(text).ok()).flatten();
            (text.clone(), glob.map(|glob| glob.compile_matcher()))
        };
        Self(texts.iter().map(compile).collect())
    }

    /// A function of this name and module is meant.
    pub fn have(&self, name: &str, module: &str) -> bool {
        let file = module.rsplit('/').next().unwrap_or(module);
        let matches = |(text, glob): &(String, Option<GlobMatcher>)| match glob {
            Some(glob) => glob.is_match(name) || glob.is_match(file),
            None => name.contains(text) || file == text,
        };
        self.0.is_empty() || self.0.iter().any(matches)
    }
}
