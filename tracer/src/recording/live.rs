//! What lies beside a recording that is being made, or was when everything was killed: words that the recorder has not
//! taken, or has taken and not freed. The recording's blocks say which of them it has.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use umbel_trace_ring::Untaken;
use umbel_trace_ring::journal;
use umbel_trace_ring::layout::Kind;

use super::journal::Told;
use super::metadata::{
    ModuleGone, ModuleInfo, ProcessInfo, ProcessSerial, ThreadInfo, ThreadSerial,
};

/// Words of one thread, as they lie in a chunk: they begin with a time.
#[derive(Debug)]
pub struct Words {
    /// Whose.
    pub thread: ThreadSerial,
    /// In which process.
    pub process: ProcessSerial,
    /// Its tid.
    pub tid: u32,
    /// Words that the thread wrote before.
    pub position: u64,
    /// The words.
    pub words: Vec<u64>,
}

/// What a .live file holds.
#[derive(Debug, Default)]
pub struct Beside {
    /// Name of its session.
    pub session: [u8; 16],
    /// A recorder has not ended in good order, or is at work.
    pub has_recorder: bool,
    /// Ticks of its clock per second; 0: not known.
    pub ticks_per_second: u64,
    /// Words, each thread's in their order.
    pub words: Vec<Words>,
    /// Processes that the journals tell of.
    pub processes: Vec<ProcessInfo>,
    /// Which of the processes are nodes of a distributed program.
    pub ranks: Vec<(ProcessSerial, u32)>,
    /// Threads that they tell of.
    pub threads: Vec<ThreadInfo>,
    /// Modules that they tell of.
    pub modules: Vec<ModuleInfo>,
    /// Modules that went.
    pub modules_gone: Vec<ModuleGone>,
    /// Why not all of it could be read.
    pub error: Option<String>,
}

/// The file beside the recording `path`.
pub fn path_beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".live");
    name.into()
}

/// Reads the file beside the recording `path`; `None`: there is none.
pub fn read(path: &Path) -> Option<Beside> {
    let path = path_beside(path);
    if !path.exists() {
        return None;
    }
    let mut beside = Beside::default();
    let name = CString::new(path.as_os_str().as_bytes()).ok()?;
    let untaken = match Untaken::open(&name) {
        Ok(untaken) => untaken,
        Err(error) => {
            beside.error = Some(format!("{}: {error}", path.display()));
            return Some(beside);
        }
    };
    beside.session = untaken.session();
    let recorder = &untaken.header().recorder_pid;
    beside.has_recorder = recorder.load(std::sync::atomic::Ordering::Relaxed) != 0;
    let pace = &untaken.header().ticks_per_second;
    beside.ticks_per_second = pace.load(std::sync::atomic::Ordering::Relaxed);
    let result = untaken.read(&mut |info, position, words| match info.kind {
        Kind::Events => beside.words.push(Words {
            thread: ThreadSerial(info.thread),
            process: ProcessSerial(info.process),
            tid: info.tid,
            position,
            words: words.to_vec(),
        }),
        Kind::Journal => {
            for entry in journal::entries(words) {
                beside.add(Told::new(ProcessSerial(info.process), info.pid, entry));
            }
        }
    });
    if let Err(error) = result {
        beside.error = Some(format!("{}: {error}", path.display()));
    }
    Some(beside)
}

impl Beside {
    fn add(&mut self, told: Told) {
        match told {
            Told::Process(info) => self.processes.push(info),
            Told::Thread(info) => self.threads.push(info),
            Told::Module(info) => self.modules.push(info),
            Told::ModuleGone(gone) => self.modules_gone.push(gone),
            Told::Rank(process, rank) => self.ranks.push((process, rank)),
        }
    }
}
