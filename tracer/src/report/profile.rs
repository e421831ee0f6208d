//! A recording in numbers.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use umbel_chains::Cut;

use super::histogram::Histogram;
use super::ids::Met;
use super::thread::{self, ThreadProfile};
use super::tree::Tree;
use crate::recording::{ProcessSerial, Recording, ThreadInfo};
use crate::symbols::{Place, Symbols};
use crate::view::story::symbols_of;

/// What of a recording is wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Threads, by tid, serial or name; all if empty.
    pub threads: Vec<String>,
    /// Processes, by pid; all if empty.
    pub processes: Vec<u32>,
    /// The call tree too.
    pub tree: bool,
    /// File and line of each function: needs the programs' debug information.
    pub places: bool,
}

/// A recording in numbers.
pub struct Profile {
    /// Functions that were called.
    pub functions: Vec<Function>,
    /// Threads, those without events too.
    pub threads: Vec<ThreadRow>,
    /// The call tree of all threads, if it was wanted.
    pub tree: Option<Tree>,
    /// Calls and returns.
    pub events: u64,
    /// Events that the program or the recorder dropped.
    pub lost: u64,
    /// Nanoseconds that a tick lasts.
    pub ns_per_tick: f64,
    /// What is missing, in sentences.
    pub warnings: Vec<String>,
}

/// A function with its numbers.
#[derive(Clone, Debug)]
pub struct Function {
    /// As in the source, without parameters.
    pub name: Arc<str>,
    /// The file of its module; empty if it is in none.
    pub module: String,
    /// Where it begins in the source, if that was wanted and is known.
    pub place: Option<Place>,
    /// Its numbers.
    pub statistics: Statistics,
}

/// A function's numbers; times in ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Calls that were seen.
    pub calls: u64,
    /// Time in which it was on the stack.
    pub total: u64,
    /// The part of it in which nothing was above it.
    pub own: u64,
    /// Sum over all calls from call to return.
    pub sum: u64,
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
    /// All of them.
    pub histogram: Histogram,
    /// Calls that longjmp left.
    pub jumped: u64,
    /// Calls that ended without a return.
    pub unwound: u64,
    /// Calls that had not ended when the events did.
    pub open: u64,
    /// Returns whose calls were not seen; they are not in `calls`.
    pub unseen: u64,
}

impl Statistics {
    #[inline]
    pub(super) fn add(&mut self, total: u64) {
        self.min = if self.calls == 0 {
            total
        } else {
            self.min.min(total)
        };
        self.max = self.max.max(total);
        self.calls += 1;
        self.sum = self.sum.saturating_add(total);
        self.histogram.add(total);
    }

    #[cold]
    pub(super) fn cut(&mut self, cut: Cut) {
        match cut {
            Cut::Jumped => self.jumped += 1,
            Cut::Unwound => self.unwound += 1,
            Cut::Open => self.open += 1,
            Cut::BeganUnseen => self.unseen += 1,
            Cut::Suspended => {}
        }
    }

    fn merge(&mut self, other: &Self) {
        if other.calls > 0 {
            self.min = if self.calls == 0 {
                other.min
            } else {
                self.min.min(other.min)
            };
            self.max = self.max.max(other.max);
        }
        self.calls += other.calls;
        self.total = self.total.saturating_add(other.total);
        self.own = self.own.saturating_add(other.own);
        self.sum = self.sum.saturating_add(other.sum);
        self.histogram.merge(&other.histogram);
        self.jumped += other.jumped;
        self.unwound += other.unwound;
        self.open += other.open;
        self.unseen += other.unseen;
    }

    /// Mean of all calls, in ticks.
    pub fn average(&self) -> f64 {
        self.sum as f64 / self.calls.max(1) as f64
    }

    /// The value that `percent` of the calls don't exceed, in ticks.
    pub fn percentile(&self, percent: f64) -> u64 {
        let value = self.histogram.percentile(percent).unwrap_or(0);
        value.clamp(self.min, self.max.max(self.min))
    }
}

/// A thread with its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadRow {
    /// The thread.
    pub info: ThreadInfo,
    /// Its process's pid.
    pub pid: u32,
    /// Calls and returns.
    pub events: u64,
    /// Events that the program dropped.
    pub lost: u64,
    /// Frames at most.
    pub depth_max: usize,
    /// Time of the first event and of the end, in nanoseconds since the recording's first event.
    pub times_ns: Option<(i64, i64)>,
}

impl Profile {
    /// Reads the events of the threads that are wanted, on all processors.
    pub fn of(recording: &Recording, selection: &Selection) -> io::Result<Self> {
        let symbols = symbols_of(recording);
        let threads: Vec<&ThreadInfo> = recording
            .threads()
            .iter()
            .filter(|thread| selection.has(recording, thread))
            .collect();
        let profiles: Vec<io::Result<ThreadProfile>> = threads
            .par_iter()
            .map(|thread| thread::profile(recording, thread, selection.tree))
            .collect();
        let mut merged = Merged {
            symbols: &symbols,
            wants_places: selection.places,
            numbers: HashMap::new(),
            profile: Self {
                functions: Vec::new(),
                threads: Vec::new(),
                tree: selection.tree.then(Tree::default),
                events: 0,
                lost: recording
                    .lost()
                    .iter()
                    .fold(0, |sum: u64, lost| sum.saturating_add(lost.count)),
                ns_per_tick: recording.clock().duration_ns(1),
                warnings: Vec::new(),
            },
        };
        for (thread, profile) in threads.into_iter().zip(profiles) {
            merged.add(recording, thread, profile?);
        }
        let mut profile = merged.profile;
        profile.warnings = recording.warnings(profile.lost);
        profile.warnings.extend(symbols.warnings());
        Ok(profile)
    }
}

impl Selection {
    fn has(&self, recording: &Recording, thread: &ThreadInfo) -> bool {
        let pid = pid(recording, thread.process);
        let is_meant = |wanted: &String| {
            *wanted == thread.name
                || *wanted == thread.tid.to_string()
                || *wanted == thread.serial.0.to_string()
        };
        (self.processes.is_empty() || self.processes.contains(&pid))
            && (self.threads.is_empty() || self.threads.iter().any(is_meant))
    }
}

/// Threads' profiles becoming one.
struct Merged<'a> {
    symbols: &'a Symbols,
    wants_places: bool,
    /// By file and address in it: the same function wherever it is loaded.
    numbers: HashMap<(Option<Arc<Path>>, u64), u32>,
    profile: Profile,
}

impl Merged<'_> {
    fn add(&mut self, recording: &Recording, thread: &ThreadInfo, part: ThreadProfile) {
        let mut numbers = Vec::with_capacity(part.functions.len());
        for (met, statistics) in part.functions.iter().zip(&part.statistics) {
            let number = self.number(thread.process, met);
            numbers.push(number);
            let function = &mut self.profile.functions[number as usize];
            function.statistics.merge(statistics);
        }
        if let (Some(tree), Some(part)) = (&mut self.profile.tree, &part.tree) {
            tree.merge(part, &numbers);
        }
        let clock = recording.clock();
        let profile = &mut self.profile;
        profile.events += part.events;
        profile.lost = profile.lost.saturating_add(part.lost);
        profile.threads.push(ThreadRow {
            info: thread.clone(),
            pid: pid(recording, thread.process),
            events: part.events,
            lost: part.lost,
            depth_max: part.depth_max,
            times_ns: part
                .times
                .map(|(first, last)| (clock.since_origin_ns(first), clock.since_origin_ns(last))),
        });
    }

    fn number(&mut self, process: ProcessSerial, met: &Met) -> u32 {
        let module = self.symbols.module(process.0, met.address, met.ticks);
        let key = match &module {
            Some((path, address)) => (Some(Arc::clone(path)), *address),
            None => (None, met.address),
        };
        let functions = &mut self.profile.functions;
        *self.numbers.entry(key).or_insert_with(|| {
            let symbol = self.symbols.name_at(process.0, met.address, met.ticks);
            let module = module.map(|(path, address)| (path.display().to_string(), address));
            let name = match (symbol, &module) {
                (Some(symbol), _) => symbol.demangled,
                (None, Some((path, address))) => {
                    let file = path.rsplit('/').next().unwrap_or(path);
                    Arc::from(format!("{file}+{address:#x}"))
                }
                (None, None) => Arc::from(format!("{:#x}", met.address)),
            };
            let place = match self.wants_places {
                true => self.symbols.place(process.0, met.address),
                false => None,
            };
            functions.push(Function {
                name,
                module: module.map(|module| module.0).unwrap_or_default(),
                place,
                statistics: Statistics::default(),
            });
            functions.len() as u32 - 1
        })
    }
}

fn pid(recording: &Recording, process: ProcessSerial) -> u32 {
    recording.process(process).map_or(0, |process| process.pid)
}
