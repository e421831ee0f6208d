//! Names and nesting, without times, pids and addresses: equal for equal runs, so that tests can compare it.
//!
//! ```text
//! thread 1
//! main
//!   work
//!   ~wait                    a span
//!   fails [left by longjmp]  a frame that did not return
//!   work [goes on]           a frame whose thread comes back to its stack
//!   # a text                 a mark
//!   ! 12 events lost
//! ```
//!
//! Threads come in the order of their creation, below a line `process N: PROGRAM` where there are several processes.

use std::io::{self, Write};

use umbel_values::EventValues;

use super::Exporter;
use super::jsonl::lost_text;
use crate::view::names::{Category, Names};
use crate::view::steps::{RESUMED, Step, StepKind, cut_text};
use crate::view::story::{Lane, Story};

pub(super) struct Tree<'a> {
    out: &'a mut dyn Write,
    has_processes: bool,
    /// Serials of processes, in their order.
    processes: Vec<u64>,
    /// Lines of this thread: what becomes of a frame is known only at its end.
    lines: Vec<String>,
    /// For each open frame, its line.
    open: Vec<usize>,
    thread_count: usize,
}

impl<'a> Tree<'a> {
    pub(super) fn new(story: &Story, out: &'a mut dyn Write) -> Self {
        let mut processes: Vec<u64> = story.lanes().iter().map(|lane| lane.process.0).collect();
        processes.sort_unstable();
        processes.dedup();
        Self {
            out,
            has_processes: processes.len() > 1,
            processes,
            lines: Vec::new(),
            open: Vec::new(),
            thread_count: 0,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open.clear();
        self.lines
            .drain(..)
            .try_for_each(|line| writeln!(self.out, "{line}"))
    }
}

impl Exporter for Tree<'_> {
    const HAS_VALUES: bool = false;

    fn lane(&mut self, lane: &Lane) -> io::Result<()> {
        self.flush()?;
        if self.has_processes {
            let number = self
                .processes
                .partition_point(|serial| *serial < lane.process.0)
                + 1;
            let node = lane.rank.map(|rank| format!("node {rank}: "));
            let node = node.unwrap_or_default();
            writeln!(self.out, "process {number}: {node}{}", lane.program)?;
        }
        self.thread_count += 1;
        writeln!(self.out, "thread {}", self.thread_count)
    }

    fn step(
        &mut self,
        _: &Lane,
        step: &Step,
        names: &Names,
        _: Option<&EventValues>,
    ) -> io::Result<()> {
        let indent = "  ".repeat(step.depth as usize);
        match &step.kind {
            StepKind::Begin { name, resumed, .. } => {
                let name = names.get(*name);
                let sign = if name.category == Category::Function {
                    ""
                } else {
                    "~"
                };
                self.open.push(self.lines.len());
                let goes_on = if *resumed { RESUMED } else { "" };
                self.lines
                    .push(format!("{indent}{sign}{}{goes_on}", name.shown));
            }
            StepKind::End { cut, .. } => {
                if let (Some(line), Some(cut)) = (self.open.pop(), cut) {
                    self.lines[line] += &format!(" [{}]", cut_text(*cut));
                }
                if self.open.is_empty() {
                    self.flush()?;
                }
            }
            StepKind::Unseen { name, .. } => {
                let shown = &names.get(*name).shown;
                self.lines
                    .push(format!("{indent}{shown} [call not recorded]"));
            }
            StepKind::Mark(text) => {
                let text = text.replace('\n', " ");
                self.lines.push(format!("{indent}# {text}"));
            }
            StepKind::Message(message) => {
                let way = if message.received { "<-" } else { "->" };
                let (peer, kind, bytes) = (message.peer, message.kind, message.bytes);
                self.lines
                    .push(format!("{indent}{way} {peer}: kind {kind}, {bytes} bytes"));
            }
            StepKind::Lost { count, .. } => {
                self.lines.push(format!("{indent}! {}", lost_text(*count)))
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &Names) -> io::Result<()> {
        self.flush()
    }
}
