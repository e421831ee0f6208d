//! Snapshots: what is written down of processes while they live.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::super::control::{Answer, SnapshotWishes};
use super::super::taker::Order;
use super::Session;
use super::debugger::LIMITS;
use crate::recording::Recording;
use crate::report::{Profile, Selection};
use crate::stuck;

/// Frames of a thread that a snapshot shows.
const FRAMES_MAX: usize = 256;

/// A trigger that fires at each call doesn't fill the disk.
const SNAPSHOTS_MAX: u32 = 100;

/// Core files are large.
const CORES_MAX: u32 = 10;

/// Of a recording with more bytes the call graph isn't computed while it is being made.
const GRAPH_BYTES_MAX: u64 = 256 << 20;

/// Functions of a call graph.
const GRAPH_FUNCTIONS_MAX: usize = 500;

/// How long the end of the session waits for a call graph that is being written.
const GRAPH_WAIT: Duration = Duration::from_secs(20);

/// Snapshots of a session.
#[derive(Debug, Default)]
pub struct Snapshots {
    made: u32,
    cores: u32,
    /// Call graphs that are being written.
    graphs: Vec<JoinHandle<()>>,
}

impl Snapshots {
    /// Waits for what is being written.
    pub fn finish(&mut self) {
        let begin = Instant::now();
        while self.graphs.iter().any(|graph| !graph.is_finished()) && begin.elapsed() < GRAPH_WAIT {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Session {
    /// Writes down where the threads of a process are, or of all processes, and what a flight recorder has; the files' names. `tid` made
    /// it happen.
    pub(super) fn snapshot(
        &mut self,
        process: Option<u64>,
        tid: Option<u32>,
        wishes: &SnapshotWishes,
    ) -> Answer {
        self.order(Order::TakeAll);
        let meant = self.processes.values().filter(|known| !known.is_dead);
        let meant =
            meant.filter(|known| process.is_none_or(|serial| serial == known.info.serial.0));
        let mut pids: Vec<(u64, u32)> = meant
            .map(|known| (known.info.serial.0, known.info.pid))
            .collect();
        pids.sort_unstable();
        let mut names = Vec::new();
        for (serial, pid) in pids {
            let path = match wishes.core {
                true => self.core(pid, tid)?,
                false => self.stacks(pid, &wishes.dumps)?,
            };
            let name = path.display().to_string();
            self.note(serial, 0, &format!("snapshot {name}"));
            names.push(name);
        }
        Ok(names)
    }

    /// Stacks, memory that is wanted, and the call graph.
    fn stacks(&mut self, pid: u32, dumps: &[String]) -> Result<PathBuf, String> {
        if self.snapshots.made >= SNAPSHOTS_MAX {
            return Err(format!(
                "there are {SNAPSHOTS_MAX} snapshots of this session already: no more are made"
            ));
        }
        let wishes = stuck::Wishes {
            frames: FRAMES_MAX,
            limits: Some(stuck::Limits::default()),
            never_stop: false,
        };
        let report = pid
            .try_into()
            .map_err(|_| "it is no process".to_owned())
            .and_then(|pid| stuck::look(pid, &wishes).map_err(|error| error.to_string()))
            .map_err(|why| format!("no snapshot of process {pid}: {why}"))?;
        let mut text = stuck::text::Text(&report).to_string();
        let mut memory = Vec::new();
        for what in dumps {
            memory.push(format!("\nmemory: {what}"));
            memory.extend(self.memory(pid, what)?);
        }
        for line in memory {
            text += &line;
            text.push('\n');
        }
        self.snapshots.made += 1;
        let path = self.beside("snapshot", self.snapshots.made);
        fs::write(&path, text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        self.add_graph(&path);
        Ok(path)
    }

    /// Memory of a process: of held threads' variables, or at an address.
    fn memory(&mut self, pid: u32, what: &str) -> Answer {
        let is_in = |tid: u32| Path::new(&format!("/proc/{pid}/task/{tid}")).exists();
        let held: Vec<u32> = self.held().iter().map(|held| held.tid).collect();
        let mut held = held.into_iter().filter(|tid| is_in(*tid)).peekable();
        let inspector = self.debugger.inspector(pid)?;
        if held.peek().is_none() || stuck::is_range(what) {
            return inspector.dump(None, what, LIMITS);
        }
        let mut lines = Vec::new();
        for tid in held {
            lines.push(format!("thread {tid}:"));
            match inspector.dump(Some((tid.cast_signed(), 0)), what, LIMITS) {
                Ok(dump) => lines.extend(dump),
                Err(why) => lines.push(why),
            }
        }
        Ok(lines)
    }

    fn core(&mut self, pid: u32, tid: Option<u32>) -> Result<PathBuf, String> {
        if self.snapshots.cores >= CORES_MAX {
            return Err(format!(
                "there are {CORES_MAX} core files of this session already: no more are made"
            ));
        }
        let number = i32::try_from(pid).map_err(|_| "it is no process".to_owned())?;
        let first = tid.or_else(|| self.held().first().map(|held| held.tid));
        let path = self.beside("core", self.snapshots.cores + 1);
        let written = stuck::core::write(number, first.map(u32::cast_signed), &path)?;
        self.snapshots.cores += 1;
        for remark in written.remarks {
            self.warnings
                .push(format!("core file {}: {remark}", path.display()));
        }
        Ok(path)
    }

    /// `RECORDING.KIND-NUMBER`
    fn beside(&self, kind: &str, number: u32) -> PathBuf {
        let mut name = self.settings.output.as_os_str().to_owned();
        name.push(format!(".{kind}-{number}"));
        PathBuf::from(name)
    }

    /// Appends the call graph so far: on a thread of its own, nobody waits for it but the end of the session.
    fn add_graph(&mut self, path: &Path) {
        self.snapshots.graphs.retain(|graph| !graph.is_finished());
        if !self.settings.is_stored || self.snapshots.graphs.len() >= GRAPHS_MAX {
            return;
        }
        let path = path.to_owned();
        let recording = self.settings.output.clone();
        let is_large = self.shared.output().bytes() > GRAPH_BYTES_MAX;
        let written = thread::Builder::new()
            .name("umbel-graph".into())
            .spawn(move || write_graph(&path, &recording, is_large));
        // Without a thread there's no graph; the stacks are there.
        self.snapshots.graphs.extend(written);
    }
}

/// Call graphs that are computed at one time.
const GRAPHS_MAX: usize = 2;

fn write_graph(path: &Path, recording: &Path, is_large: bool) {
    let mut text = b"\ncall graph so far\n".to_vec();
    let graph = match is_large {
        true => Err("the recording is large: `umbel trace report --tree` has it".to_owned()),
        false => graph(recording, &mut text),
    };
    if let Err(why) = graph {
        text.extend(format!("  {why}\n").into_bytes());
    }
    let file = fs::OpenOptions::new().append(true).open(path);
    // A full disk has been told of by the recording.
    let _ = file.and_then(|mut file| file.write_all(&text));
}

fn graph(recording: &Path, out: &mut Vec<u8>) -> Result<(), String> {
    let recording = Recording::open(recording).map_err(|error| error.to_string())?;
    let selection = Selection {
        tree: true,
        ..Selection::default()
    };
    let profile = Profile::of(&recording, &selection).map_err(|error| error.to_string())?;
    profile
        .write_graph(GRAPH_FUNCTIONS_MAX, out)
        .map_err(|error| error.to_string())
}
