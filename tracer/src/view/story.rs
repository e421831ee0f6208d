//! A recording as views and exporters show it: threads in their order, each a row of steps.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

use umbel_values::EventValues;

use super::names::Names;
use super::steps::{Step, Steps};
use super::values::Plans;
use crate::recording::{
    Began, Events, Image, ModuleInfo, ProcessInfo, ProcessSerial, Recording, ThreadInfo,
    ThreadSerial,
};
use crate::symbols::{ModuleUse, Place, RecordedName, Symbols};

/// A recording with its names.
pub struct Story<'a> {
    recording: &'a Recording,
    symbols: Symbols,
    lanes: Vec<Lane>,
    start_ns: u64,
    plans: Plans,
}

/// One thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Place in the order of creation, from 0.
    pub index: usize,
    /// Serial of the thread.
    pub serial: ThreadSerial,
    /// Serial of its process.
    pub process: ProcessSerial,
    /// Its pid.
    pub pid: u32,
    /// Its tid.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// The name of its process's program.
    pub program: String,
    /// Rank of the node, in a distributed program.
    pub rank: Option<u32>,
    /// When its process ended, in ticks; 0 if that isn't known.
    end_ticks: u64,
    /// Where its recording begins, if not at its beginning.
    middle: Option<u64>,
}

/// One thread's steps.
pub struct LaneSteps<'a> {
    events: Option<Events<'a>>,
    steps: Steps,
    end_ticks: u64,
}

impl<'a> Story<'a> {
    /// Reads nothing but descriptions.
    pub fn new(recording: &'a Recording) -> Self {
        let origin = recording.clock().origin();
        Self {
            recording,
            symbols: symbols_of(recording),
            lanes: lanes_of(recording),
            start_ns: recording.clock().monotonic_ns(origin),
            plans: plans_of(recording),
        }
    }

    /// The recording.
    pub fn recording(&self) -> &'a Recording {
        self.recording
    }

    /// Its names.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// Its threads, in the order of their creation.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// The recording's time 0: CLOCK_MONOTONIC, in nanoseconds.
    pub fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// The values that a step brought along.
    pub fn values(&self, step: &Step) -> Option<EventValues> {
        self.plans.read(step.values.as_ref()?, &self.symbols)
    }

    /// A thread's steps, from the beginning.
    pub fn steps(&self, lane: &Lane) -> LaneSteps<'a> {
        let changes = module_changes(self.recording, lane.process);
        let mut steps = Steps::new(lane.process.0, lane.middle, changes);
        if !self.plans.is_empty() {
            steps.expect_values();
        }
        LaneSteps {
            events: Some(self.recording.events(lane.serial)),
            steps,
            end_ticks: lane.end_ticks,
        }
    }

    /// The steps of these threads in the order of time; of equal times the thread that was created first. `show` says
    /// whether it wants more.
    pub fn merged(
        &self,
        lanes: &[&Lane],
        names: &mut Names,
        mut show: impl FnMut(&Lane, Step, &Names) -> bool,
    ) {
        let mut rows: Vec<_> = lanes.iter().map(|lane| self.steps(lane)).collect();
        let mut next: Vec<Option<Step>> = Vec::new();
        let mut heap = BinaryHeap::new();
        for (index, row) in rows.iter_mut().enumerate() {
            let step = row.next(self, names);
            heap.extend(step.as_ref().map(|step| Reverse((step.ns, index))));
            next.push(step);
        }
        while let Some(Reverse((_, index))) = heap.pop() {
            // The thread goes on as long as no other is earlier: the heap is asked only when they take turns.
            let limit = heap.peek().map(|Reverse(key)| *key);
            while let Some(step) = next[index].take() {
                if limit.is_some_and(|limit| (step.ns, index) > limit) {
                    heap.push(Reverse((step.ns, index)));
                    next[index] = Some(step);
                    break;
                }
                if !show(lanes[index], step, names) {
                    return;
                }
                next[index] = rows[index].next(self, names);
            }
        }
    }

    /// What is missing and what is wrong, in sentences. `lost`: events that the steps said are missing.
    pub fn warnings(&self, lost: u64) -> Vec<String> {
        let mut lines = self.symbols.warnings();
        lines.extend(self.recording.warnings(lost));
        lines
    }
}

impl LaneSteps<'_> {
    /// The next step.
    #[inline]
    pub fn next(&mut self, story: &Story, names: &mut Names) -> Option<Step> {
        loop {
            if let Some(step) = self.steps.pop(story.recording.clock()) {
                return Some(step);
            }
            match self.events.as_mut()?.next() {
                Some(event) => self.steps.event(event, &story.symbols, names),
                None => {
                    self.events = None;
                    self.steps.finish(self.end_ticks);
                    // Nothing may have been open.
                    return self.steps.pop(story.recording.clock());
                }
            }
        }
    }
}

/// The names of a recording's functions.
pub fn symbols_of(recording: &Recording) -> Symbols {
    let gone = |module: &ModuleInfo| {
        let mut later = recording.modules_gone().iter().filter(|gone| {
            gone.process == module.process && gone.bias == module.bias && gone.ticks >= module.ticks
        });
        later.next().map_or(u64::MAX, |gone| gone.ticks)
    };
    let mut symbols = Symbols::new(
        recording
            .modules()
            .iter()
            .map(|module| module_use(module, gone(module))),
    );
    for module in recording.modules() {
        let image: Image = module.image();
        for (offset, name) in recording.names(&image).into_iter().flatten() {
            let place = (!name.file.is_empty()).then(|| Place {
                file: name.file.clone(),
                line: name.line,
            });
            let kept = RecordedName {
                linkage: name.name.clone(),
                place,
            };
            symbols.keep(Path::new(&image.path), &image.build_id, *offset, kept);
        }
    }
    symbols
}

fn plans_of(recording: &Recording) -> Plans {
    let mut plans = Plans::default();
    for part in recording.types() {
        plans.add_types(&part.image, part.first, &part.list);
    }
    for plan in recording.plans() {
        plans.add(&plan.image, plan.kept.clone());
    }
    plans
}

/// A module of a recording, or of a live session, for its names.
pub fn module_use(module: &ModuleInfo, to_ticks: u64) -> ModuleUse {
    ModuleUse {
        process: module.process.0,
        path: PathBuf::from(&module.path),
        build_id: module.build_id.clone(),
        bias: module.bias,
        begin: module.begin,
        end: module.end,
        from_ticks: module.ticks,
        to_ticks,
    }
}

/// A thread as it is shown.
pub fn lane(index: usize, thread: &ThreadInfo, process: Option<&ProcessInfo>) -> Lane {
    let executable = process.map_or("", |process| process.executable.as_str());
    let program = executable.rsplit('/').next().unwrap_or(executable);
    let is_forked = process.is_some_and(|process| process.began == Began::Fork);
    Lane {
        index,
        serial: thread.serial,
        process: thread.process,
        pid: process.map_or(0, |process| process.pid),
        tid: thread.tid,
        name: thread.name.clone(),
        program: program.to_owned(),
        rank: process.and_then(|process| process.rank),
        end_ticks: 0,
        middle: is_forked.then_some(thread.ticks),
    }
}

fn lanes_of(recording: &Recording) -> Vec<Lane> {
    let mut lanes = Vec::new();
    for thread in recording.threads() {
        let process = recording
            .processes()
            .iter()
            .find(|process| process.serial == thread.process);
        let mut lane = lane(lanes.len(), thread, process);
        let mut ends = recording.process_ends().iter();
        let end = ends.find(|end| end.process == thread.process);
        lane.end_ticks = end.map_or(0, |end| end.ticks);
        lane.middle = recording.middle(thread.serial);
        lanes.push(lane);
    }
    lanes
}

fn module_changes(recording: &Recording, process: ProcessSerial) -> Vec<u64> {
    let gone = recording
        .modules_gone()
        .iter()
        .filter(|gone| gone.process == process);
    let mut changes: Vec<u64> = gone.map(|gone| gone.ticks).collect();
    if !changes.is_empty() {
        let came = recording
            .modules()
            .iter()
            .filter(|module| module.process == process);
        changes.extend(came.map(|module| module.ticks));
    }
    changes.sort_unstable();
    changes
}
