//! What a recording says about its session, processes, threads, modules and clock.
//!
//! Each is the body of a block of its own, as JSON: fields that a reader doesn't know it skips, fields that are missing have
//! their default, so that the description may grow without a new version. Times are in ticks of the session's clock.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use umbel_values::{Kept, Type};

/// Number of a process in its session, never used twice: an exec makes a new one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ProcessSerial(pub u64);

/// Number of a thread in its session, never used twice.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ThreadSerial(pub u64);

/// What is known when a session begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionInfo {
    /// The session's random name: tells whether a .live file belongs to a recording.
    pub session: [u8; 16],
    /// Where times come from.
    pub clock: ClockKind,
    /// Ticks of the clock per second, as far as known at the beginning; 0: not yet. [`ClockPoint`]s say it better.
    pub ticks_per_second: u64,
    /// Bound of the error between the clocks of two processors, in nanoseconds; `None`: not known.
    pub skew_ns_max: Option<u64>,
    /// What was run: program and arguments.
    pub command: Vec<String>,
    /// In which directory.
    pub directory: String,
    /// On which host.
    pub host: String,
    /// Which version of the recorder wrote this.
    pub recorder: String,
    /// The recorder's options that decide what is missing: filters, depth, least duration.
    pub options: Vec<String>,
    /// A flight recorder: threads may begin in the middle.
    pub flight: bool,
}

/// The session's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockKind {
    /// The processor's counter.
    #[default]
    Tsc,
    /// CLOCK_MONOTONIC, in nanoseconds.
    Monotonic,
    /// The processor's counter, read once in a millisecond.
    Coarse,
    /// One that this reader doesn't know.
    #[serde(other)]
    Other,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessInfo {
    /// Its serial.
    pub serial: ProcessSerial,
    /// Its pid.
    pub pid: u32,
    /// Its parent's pid.
    pub parent_pid: u32,
    /// When it began.
    pub ticks: u64,
    /// How it began.
    pub began: Began,
    /// Path of its executable.
    pub executable: String,
    /// Its arguments, with its own name.
    pub arguments: Vec<String>,
    /// Its rank, if it is a node of a distributed program.
    pub rank: Option<u32>,
}

/// How a process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Began {
    /// The first program of a process that the recorder sees.
    #[default]
    Start,
    /// exec, in a process that was traced before.
    Exec,
    /// fork of a traced process: its threads begin in the middle.
    Fork,
    /// In a way that this reader doesn't know.
    #[serde(other)]
    Other,
}

/// A thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThreadInfo {
    /// Its serial.
    pub serial: ThreadSerial,
    /// Its process.
    pub process: ProcessSerial,
    /// Its tid.
    pub tid: u32,
    /// When its first event was.
    pub ticks: u64,
    /// Its name.
    pub name: String,
}

impl ThreadInfo {
    /// As people know it: `tid 123 (worker)`.
    pub fn title(&self) -> String {
        match (self.tid, self.name.as_str()) {
            (0, "") => format!("thread {}", self.serial.0),
            (tid, "") => format!("tid {tid}"),
            (tid, name) => format!("tid {tid} ({name})"),
        }
    }
}

/// A file with code, loaded into a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModuleInfo {
    /// In which process.
    pub process: ProcessSerial,
    /// Since when.
    pub ticks: u64,
    /// What is added to the file's addresses.
    pub bias: u64,
    /// Where its executable segment begins.
    pub begin: u64,
    /// Where it ends.
    pub end: u64,
    /// Where the module ends.
    pub memory_end: u64,
    /// Its build id; may be empty.
    pub build_id: Vec<u8>,
    /// Its path.
    pub path: String,
}

impl ModuleInfo {
    /// Its name apart from processes and addresses.
    pub fn image(&self) -> Image {
        Image {
            path: self.path.clone(),
            build_id: self.build_id.clone(),
        }
    }

    /// Its executable addresses.
    pub fn addresses(&self) -> Range<u64> {
        self.begin..self.end
    }
}

/// What a module is wherever it is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    /// Path of the file.
    pub path: String,
    /// Its build id; may be empty.
    pub build_id: Vec<u8>,
}

/// A module that went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModuleGone {
    /// From which process.
    pub process: ProcessSerial,
    /// When.
    pub ticks: u64,
    /// Its bias.
    pub bias: u64,
}

/// One moment on three clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClockPoint {
    /// The session's clock.
    pub ticks: u64,
    /// CLOCK_MONOTONIC.
    pub monotonic_ns: u64,
    /// CLOCK_REALTIME, since 1970.
    pub realtime_ns: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// It exited with this status.
    Status(i32),
    /// This signal killed it.
    Signal(i32),
    /// It goes on as another program.
    Exec,
    /// It is gone; how is not known.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The end of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessEnd {
    /// The process.
    pub process: ProcessSerial,
    /// When, or when the recorder noticed.
    pub ticks: u64,
    /// How.
    pub ended: Ended,
}

/// Events that the recorder knows to be lost and that no thread's events tell of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LostInfo {
    /// Of which process, if known.
    pub process: Option<ProcessSerial>,
    /// Of which thread, if known.
    pub thread: Option<ThreadSerial>,
    /// How many.
    pub count: u64,
    /// From when.
    pub from: u64,
    /// Until when.
    pub until: u64,
    /// Why, in words that follow "events lost: ".
    pub why: String,
}

/// A function's name and place, relative to its module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Name {
    /// Its address without the module's bias.
    pub offset: u64,
    /// Its name as the linker has it.
    pub name: String,
    /// Its source file; empty if not known.
    pub file: String,
    /// Its line; 0 if not known.
    pub line: u32,
}

/// Names of functions of one module, each told once in a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Names {
    /// The module.
    pub image: Image,
    /// The functions.
    pub names: Vec<Name>,
}

/// Types of one module's values, each told once in a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TypesPart {
    /// The module.
    pub image: Image,
    /// Number of the first.
    pub first: u32,
    /// They, by their numbers.
    pub list: Vec<Type>,
}

/// A capture plan of one module: before any event that brought along what it captured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanInfo {
    /// The module.
    pub image: Image,
    /// What it captures.
    pub kept: Kept,
}

/// Written when a recording ended in good order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Finish {
    /// When.
    pub ticks: u64,
    /// Words of each thread.
    pub threads: Vec<(ThreadSerial, u64)>,
}
