//! Where a process is: the stacks of all its threads, looked at from outside while it runs on.
//!
//! ```text
//! /proc/PID/task/TID/{stat,syscall} ──► blocked in a system call: stack pointer and pc are known, nobody is stopped
//!                                  └──► otherwise, or if that isn't enough: ptrace stops the one thread for microseconds
//! registers + stack ──► unwind (.eh_frame) ──► frames ──► names, places, variables
//! ```
//!
//! A thread is never interrupted in a system call that would fail by it ([`calls`]).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
pub use umbel_values::show::Limits;

mod assign;
mod calls;
pub mod core;
mod elements;
mod elsewhere;
mod entries;
mod error;
mod expression;
mod files;
mod frames;
mod inspect;
mod memory;
mod modules;
mod objects;
mod registers;
mod search;
mod since;
mod stop;
mod task;
pub mod text;
mod unwind;
mod values;

pub use error::{Error, Result};
pub use files::OpenFile;
pub use frames::Frame;
use frames::Walker;
pub use inspect::{Change, Inspector, is_range};
use memory::LiveMemory;
use modules::Modules;
use task::{Clocks, Process, Task};
pub use values::Named;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// At most so many frames of a thread.
    pub frames: usize,
    /// How much of variables is shown; `None`: none are.
    pub limits: Option<Limits>,
    /// No thread may be stopped, not even for microseconds.
    pub never_stop: bool,
}

/// How a process was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its id.
    pub pid: i32,
    /// Its command line.
    pub command: Vec<String>,
    /// How long it has been running.
    pub age: Duration,
    /// Its threads, the first one first.
    pub threads: Vec<Thread>,
    /// The files that it has open, those it is likely to be reading first.
    pub files: Vec<OpenFile>,
    /// The recording that is being made of it.
    pub recording: Option<PathBuf>,
    /// What could not be told, and why.
    pub remarks: Vec<String>,
    /// How long the look took.
    pub took: Duration,
}

/// How a thread was found.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its id.
    pub tid: i32,
    /// Its name.
    pub name: String,
    /// What it does.
    pub state: State,
    /// Processor time it took so far.
    pub cpu: Duration,
    /// Since when it sleeps, if it does and the kernel tells.
    pub asleep: Option<Duration>,
    /// What it took to see its stack.
    pub seen: Seen,
    /// Its stack, the innermost function first.
    pub frames: Vec<Frame>,
    /// Why the stack ends before its begin, if it does.
    pub cut: Option<String>,
}

/// What a thread does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It computes.
    Running,
    /// The tracer holds it, for this reason if that is known.
    Held(Option<String>),
    /// It waits in a system call: its name, and the file if it has one as its first argument.
    Blocked {
        /// As in manual section 2.
        call: String,
        /// The file's descriptor.
        descriptor: Option<i32>,
        /// Not even a signal wakes it.
        is_deaf: bool,
    },
    /// Stopped by a signal or a debugger.
    Stopped,
    /// It has ended, but is still there.
    Ended,
}

/// What it took to see a thread's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: it slept.
    Asleep,
    /// It was stopped so long.
    Stopped(Duration),
    /// It would not do.
    Not,
}

/// The recording that is being made of process `pid`, if one is.
pub fn recording_of(pid: i32) -> Result<Option<PathBuf>> {
    let maps = task::open_maps(pid)?;
    Ok(modules::recording_in(&maps))
}

/// Looks at a process.
pub fn look(pid: i32, wishes: &Wishes) -> Result<Report> {
    let start = Instant::now();
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    let process = Process::read(pid)?;
    let memory = LiveMemory::new(pid);
    let modules = Modules::read(pid, &memory)?;
    let files = files::open_files(pid);
    let mut remarks = Vec::new();
    let mut threads = Vec::new();
    let mut clocks = Clocks::new();
    let walker = Walker {
        modules: &modules,
        memory: &memory,
        limit: wishes.frames,
        limits: wishes.limits,
    };
    for tid in process.tasks()? {
        // Threads end while we look: then there is nothing to tell of them.
        let Some(task) = Task::read(pid, tid, &mut clocks) else {
            continue;
        };
        let sockets = |descriptor: i32| {
            let mut open = files.iter();
            open.any(|file| file.descriptor == descriptor && file.is_socket())
        };
        threads.push(registers::look_at(
            &task,
            &walker,
            wishes,
            sockets,
            &mut remarks,
        ));
    }
    if threads.is_empty() {
        return Err(Error::Ended(pid));
    }
    if let Some(recording) = modules.recording() {
        remarks.extend(since::tell(pid, recording, now, &mut threads));
    }
    remarks.extend(modules.warnings());
    Ok(Report {
        pid,
        command: process.command.clone(),
        age: process.age,
        threads,
        files,
        recording: modules.recording().map(Path::to_owned),
        remarks,
        took: start.elapsed(),
    })
}
