//! What the terminal shows, added up once.

use std::collections::HashMap;

use umbel_chains::Cut;

use super::super::calls::{CallTree, Node, ROOT};
use super::super::names::{NameId, Names};
use super::super::steps::{Step, StepKind};
use super::super::story::{Lane, Story};
use super::super::values::{arguments_text, value_text};

/// Frames that the time line keeps: 96 MiB. Of more, the shortest are left out.
const FRAMES_MAX: usize = 4 << 20;

/// Frames of a thread whose values are kept as text, of some 100 bytes: the first ones that are kept at all.
const TEXTS_MAX: usize = 1 << 16;

/// Characters of a frame's values.
const TEXT_COLUMNS: usize = 120;

/// A recording, added up.
#[derive(Default)]
pub struct Model {
    /// Names of all functions.
    pub names: Names,
    /// The threads.
    pub threads: Vec<Thread>,
    /// By function, in the order of their numbers.
    pub functions: Vec<FunctionSum>,
    /// First and last time: CLOCK_MONOTONIC, in nanoseconds.
    pub span_ns: (u64, u64),
    /// Frames shorter than this are not in the time lines.
    pub shortest_ns: u64,
    /// Events that are missing.
    pub lost: u64,
    /// What to say about the recording.
    pub title: String,
}

/// A thread.
pub struct Thread {
    /// Which.
    pub lane: Lane,
    /// Its calls by their stacks.
    pub tree: CallTree,
    /// For each node, the nodes called from it, the longest first.
    pub children: Vec<Vec<u32>>,
    /// Its frames by begin.
    pub frames: Vec<Frame>,
    /// Arguments and results: `(n=5) = 8`.
    pub texts: Vec<Box<str>>,
}

/// A frame in the time line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When it began.
    pub begin_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// Frames that it lies in.
    pub depth: u32,
    /// The function.
    pub name: NameId,
    /// Which of the thread's texts is its values', from 1; 0: none is.
    pub text: u32,
}

/// A function, over all threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionSum {
    /// How often it was called.
    pub calls: u64,
    /// Time from its calls to their ends; within itself it counts once.
    pub total_ns: u64,
    /// Time in it and in none that it called.
    pub self_ns: u64,
    /// The longest call.
    pub longest_ns: u64,
}

impl Model {
    /// Reads the whole recording once.
    pub fn read(story: &Story) -> Self {
        let session = story.recording().session();
        let mut model = Self {
            title: session.command.join(" "),
            span_ns: (story.start_ns(), story.start_ns() + 1),
            ..Self::default()
        };
        for lane in story.lanes() {
            let mut thread = Thread {
                lane: lane.clone(),
                tree: CallTree::default(),
                children: Vec::new(),
                frames: Vec::new(),
                texts: Vec::new(),
            };
            let mut open = HashMap::new();
            // What the open frames brought along.
            let mut calls: Vec<Option<Step>> = Vec::new();
            let mut steps = story.steps(lane);
            while let Some(step) = steps.next(story, &mut model.names) {
                thread.tree.step(&step);
                let before = thread.frames.len();
                model.add(&step, &mut open, &mut thread.frames);
                let call = match &step.kind {
                    StepKind::Begin { .. } => {
                        calls.push(step.values.is_some().then(|| step.clone()));
                        None
                    }
                    StepKind::End { .. } => calls.pop().flatten(),
                    _ => None,
                };
                let text = match thread.frames.get_mut(before) {
                    Some(frame) if thread.texts.len() < TEXTS_MAX => {
                        values_text(story, call.as_ref(), &step).map(|text| (frame, text))
                    }
                    _ => None,
                };
                if let Some((frame, text)) = text {
                    thread.texts.push(text);
                    frame.text = thread.texts.len() as u32;
                }
                if thread.frames.len() >= FRAMES_MAX / 2 {
                    model.thin_out(&mut thread.frames);
                }
            }
            thread.children = children(thread.tree.nodes());
            model.threads.push(thread);
            model.thin_out_all();
        }
        for thread in &mut model.threads {
            // Frames are told at their ends.
            thread
                .frames
                .sort_by_key(|frame| (frame.begin_ns, frame.depth));
        }
        model
            .functions
            .resize_with(model.names.all().len(), FunctionSum::default);
        model
    }

    fn add(&mut self, step: &Step, open: &mut HashMap<NameId, u32>, frames: &mut Vec<Frame>) {
        self.span_ns.1 = self.span_ns.1.max(step.ns);
        match &step.kind {
            StepKind::Begin { name, .. } => *open.entry(*name).or_insert(0) += 1,
            StepKind::End {
                name,
                begin_ns,
                self_ns,
                cut,
            } => {
                let duration_ns = step.ns - begin_ns;
                let within = open.entry(*name).or_insert(1);
                *within = within.saturating_sub(1);
                let is_outermost = *within == 0;
                let sum = self.function(*name);
                sum.calls += u64::from(*cut != Some(Cut::Suspended));
                sum.self_ns += self_ns;
                sum.longest_ns = sum.longest_ns.max(duration_ns);
                sum.total_ns += if is_outermost { duration_ns } else { 0 };
                if duration_ns >= self.shortest_ns {
                    frames.push(Frame {
                        begin_ns: *begin_ns,
                        end_ns: step.ns,
                        depth: step.depth,
                        name: *name,
                        text: 0,
                    });
                }
            }
            StepKind::Unseen { name, .. } => self.function(*name).calls += 1,
            StepKind::Lost { count, .. } => self.lost += count,
            StepKind::Mark(_) | StepKind::Message(_) => {}
        }
    }

    fn function(&mut self, name: NameId) -> &mut FunctionSum {
        let index = name.0 as usize;
        if index >= self.functions.len() {
            self.functions.resize_with(index + 1, FunctionSum::default);
        }
        &mut self.functions[index]
    }

    fn thin_out_all(&mut self) {
        let mut threads = std::mem::take(&mut self.threads);
        while threads
            .iter()
            .map(|thread| thread.frames.len())
            .sum::<usize>()
            > FRAMES_MAX
        {
            for thread in &mut threads {
                self.thin_out(&mut thread.frames);
            }
        }
        self.threads = threads;
    }

    /// Leaves out the shortest frames: longer and longer ones until half of them are gone.
    fn thin_out(&mut self, frames: &mut Vec<Frame>) {
        let half = frames.len() / 2;
        while frames.len() > half {
            self.shortest_ns = (self.shortest_ns * 2).max(16);
            let shortest_ns = self.shortest_ns;
            frames.retain(|frame| frame.end_ns - frame.begin_ns >= shortest_ns);
        }
    }
}

/// `(n=5) = 8`, of what a call and its return brought along.
fn values_text(story: &Story, call: Option<&Step>, end: &Step) -> Option<Box<str>> {
    let call = call.and_then(|call| story.values(call));
    let end = story.values(end);
    let result = end.as_ref().and_then(|end| end.result.as_ref());
    if call.is_none() && result.is_none() {
        return None;
    }
    let arguments = call.map_or_else(String::new, |call| arguments_text(call.arguments()));
    let result = result.map_or_else(String::new, |result| format!(" = {}", value_text(result)));
    let text = format!("({arguments}){result}");
    Some(text.chars().take(TEXT_COLUMNS).collect::<String>().into())
}

fn children(nodes: &[Node]) -> Vec<Vec<u32>> {
    let mut children = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate().skip(1) {
        children[node.parent as usize].push(index as u32);
    }
    for list in &mut children {
        list.sort_by_key(|child: &u32| std::cmp::Reverse(nodes[*child as usize].total_ns));
    }
    children
}

impl Thread {
    /// Time of its outermost frames.
    pub fn total_ns(&self) -> u64 {
        let outermost = self.children[ROOT as usize].iter();
        outermost
            .map(|child| self.tree.nodes()[*child as usize].total_ns)
            .sum()
    }
}
