//! What a process's journal tells, as a recording describes it.

use umbel_trace_ring::journal::{Entry, Origin};

use super::metadata::{
    Began, ModuleGone, ModuleInfo, ProcessInfo, ProcessSerial, ThreadInfo, ThreadSerial,
};

/// One entry of a journal.
#[derive(Debug)]
pub enum Told {
    /// A process begins.
    Process(ProcessInfo),
    /// A thread begins.
    Thread(ThreadInfo),
    /// A module is there.
    Module(ModuleInfo),
    /// A module goes.
    ModuleGone(ModuleGone),
    /// A process is a node of a distributed program, with this rank.
    Rank(ProcessSerial, u32),
}

impl Told {
    /// What `entry` of the journal of `process`, whose pid is `pid`, tells.
    pub fn new(process: ProcessSerial, pid: u32, entry: Entry) -> Self {
        match entry {
            Entry::Process {
                ticks,
                origin,
                parent_pid,
                executable,
                arguments,
            } => Self::Process(ProcessInfo {
                serial: process,
                pid,
                parent_pid,
                ticks,
                began: match origin {
                    Origin::Start => Began::Start,
                    Origin::Exec => Began::Exec,
                    Origin::Fork => Began::Fork,
                },
                executable: text(&executable),
                arguments: arguments.iter().map(|argument| text(argument)).collect(),
                rank: None,
            }),
            Entry::Thread {
                ticks,
                thread,
                tid,
                name,
            } => Self::Thread(ThreadInfo {
                serial: ThreadSerial(thread),
                process,
                tid,
                ticks,
                name,
            }),
            Entry::Module {
                ticks,
                bias,
                begin,
                end,
                memory_end,
                build_id,
                path,
            } => Self::Module(ModuleInfo {
                process,
                ticks,
                bias,
                begin,
                end,
                memory_end,
                build_id,
                path: text(&path),
            }),
            Entry::ModuleGone { ticks, bias } => Self::ModuleGone(ModuleGone {
                process,
                ticks,
                bias,
            }),
            Entry::Rank { rank, .. } => Self::Rank(process, rank),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
