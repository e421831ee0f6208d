//! Folded stacks, `program;main;work 1234`, and the flame graph that is drawn of them.

use std::io::{self, Write};

use inferno::flamegraph;

use umbel_values::EventValues;

use super::Exporter;
use super::jsonl::lost_text;
use crate::view::calls::CallTree;
use crate::view::names::Names;
use crate::view::steps::{Step, StepKind};
use crate::view::story::{Lane, Story};

/// What is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Nanoseconds in a function and in none that it called.
    SelfTime,
    /// Calls.
    Calls,
}

pub(super) struct Folded<'a> {
    out: &'a mut dyn Write,
    measure: Measure,
    /// The SVG's title; without one it's text.
    title: Option<String>,
    /// For each thread, what its stacks begin with.
    trees: Vec<(String, CallTree)>,
    has_threads: bool,
    lost: u64,
}

impl<'a> Folded<'a> {
    pub(super) fn stacks(out: &'a mut dyn Write, measure: Measure) -> Self {
        Self {
            out,
            measure,
            title: None,
            trees: Vec::new(),
            has_threads: false,
            lost: 0,
        }
    }

    pub(super) fn flame_graph(story: &Story, out: &'a mut dyn Write) -> Self {
        let command = story.recording().session().command.join(" ");
        Self {
            title: Some(command),
            ..Self::stacks(out, Measure::SelfTime)
        }
    }

    /// Lines of folded stacks; equal ones added up, sorted.
    fn lines(&self, names: &Names) -> Vec<String> {
        let mut sums = std::collections::BTreeMap::new();
        for (head, tree) in &self.trees {
            for (index, node) in tree.nodes().iter().enumerate() {
                let amount = match self.measure {
                    Measure::SelfTime => node.self_ns,
                    Measure::Calls => node.calls,
                };
                if amount == 0 {
                    continue;
                }
                let mut text = head.clone();
                for name in tree.stack(index as u32) {
                    text.push(';');
                    // A semicolon would end the name, a line break the stack.
                    let shown = names.get(name).shown.chars();
                    text.extend(shown.map(|c| if c == ';' || c < ' ' { '_' } else { c }));
                }
                *sums.entry(text).or_insert(0) += amount;
            }
        }
        sums.into_iter()
            .map(|(stack, amount)| format!("{stack} {amount}"))
            .collect()
    }
}

impl Exporter for Folded<'_> {
    const HAS_VALUES: bool = false;

    fn lane(&mut self, lane: &Lane) -> io::Result<()> {
        let clean = |text: &str| text.replace([';', '\n', ' '], "_");
        let head = match lane.rank {
            Some(rank) => format!("node_{rank}_{}", clean(&lane.program)),
            None => clean(&lane.program),
        };
        // Threads of one name are one in the sum: those of a pool do the same.
        let is_main = lane.tid == lane.pid || lane.name == lane.program || lane.name.is_empty();
        self.has_threads |= !is_main;
        let head = if is_main {
            head
        } else {
            format!("{head};thread_{}", clean(&lane.name))
        };
        self.trees.push((head, CallTree::default()));
        Ok(())
    }

    fn step(
        &mut self,
        _: &Lane,
        step: &Step,
        _: &Names,
        _: Option<&EventValues>,
    ) -> io::Result<()> {
        if let StepKind::Lost { count, .. } = step.kind {
            self.lost += count;
        }
        match self.trees.last_mut() {
            Some((_, tree)) => tree.step(step),
            None => return Err(io::Error::other("a step before its thread")),
        }
        Ok(())
    }

    fn finish(&mut self, names: &Names) -> io::Result<()> {
        let lines = self.lines(names);
        let Some(title) = &self.title else {
            return lines
                .iter()
                .try_for_each(|line| writeln!(self.out, "{line}"));
        };
        let mut options = flamegraph::Options::default();
        options.title.clone_from(title);
        options.count_name = "ns".into();
        options.deterministic = true;
        if self.lost > 0 {
            options.subtitle = Some(lost_text(self.lost));
        }
        if lines.is_empty() {
            // The drawer takes an empty graph for an error.
            return self.out.write_all(EMPTY_SVG);
        }
        flamegraph::from_lines(
            &mut options,
            lines.iter().map(String::as_str),
            &mut self.out,
        )
    }
}

const EMPTY_SVG: &[u8] = b"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"400\" height=\"40\">\
<text x=\"8\" y=\"24\">The recording has no calls.</text></svg>\n";
