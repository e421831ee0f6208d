//! `--timeline FILE`: Chrome trace events, which chrome://tracing and Perfetto open.
//!
//! The file is valid JSON after every write, so whatever is killed leaves one that can be opened: each write
//! goes over the closing brackets of the one before, and brings its own.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use umbel_wire::codec::message_name;

use super::slices::{Doing, Message, Shown, Slice, Variable};

/// The file, and what is to be written next.
pub struct Timeline {
    file: File,
    path: PathBuf,
    start_ns: u64,
    /// The nodes' processes.
    pids: Vec<i32>,
    /// Where the closing brackets are.
    end: u64,
    buffer: Vec<u8>,
    has_events: bool,
    arrow_count: u64,
    /// No more is written: the reason was told.
    is_closed: bool,
}

const HEAD: &[u8] = b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";
const TAIL: &[u8] = b"\n]}\n";

/// Longest file: beyond it no viewer opens it any more.
const FILE_BYTES_MAX: u64 = 2 << 30;

impl Timeline {
    pub fn create(path: &Path, start_ns: u64) -> Result<Self, String> {
        let file = File::create(path).map_err(|error| trouble(path, &error))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            start_ns,
            pids: Vec::new(),
            end: 0,
            buffer: HEAD.to_vec(),
            has_events: false,
            arrow_count: 0,
            is_closed: false,
        })
    }

    /// The nodes run in these processes.
    pub fn start(&mut self, pids: &[i32]) {
        self.pids = pids.to_vec();
        for (rank, pid) in pids.iter().enumerate() {
            let name = format!("node {rank}");
            self.push(
                json!({"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}}),
            );
            self.push(json!({"ph": "M", "name": "process_sort_index", "pid": pid, "args": {"sort_index": rank}}));
        }
    }

    pub fn add(&mut self, shown: &Shown) {
        if self.is_closed {
            return;
        }
        match shown {
            Shown::Row {
                rank,
                thread,
                name,
                is_service,
            } => {
                let pid = self.pid(*rank);
                self.push(json!({"ph": "M", "name": "thread_name", "pid": pid, "tid": thread, "args": {"name": &**name}}));
                let index = u32::from(*is_service);
                self.push(json!({"ph": "M", "name": "thread_sort_index", "pid": pid, "tid": thread, "args": {"sort_index": index}}));
            }
            Shown::Slice(slice) => self.add_slice(slice),
            Shown::Message(message) => self.add_message(message),
            Shown::Arrow {
                kind,
                from,
                to,
                sent_ns,
                received_ns,
            } => {
                self.arrow_count += 1;
                let (id, name) = (self.arrow_count, name_of(*kind));
                let (from_pid, to_pid) = (self.pid(from.0), self.pid(to.0));
                let (sent, received) = (self.us(*sent_ns), self.us(*received_ns));
                self.push(json!({"ph": "s", "cat": "message", "name": name, "id": id, "pid": from_pid, "tid": from.1, "ts": sent}));
                self.push(json!({"ph": "f", "bp": "e", "cat": "message", "name": name, "id": id, "pid": to_pid, "tid": to.1, "ts": received}));
            }
        }
    }

    /// Says in the file what is not in it.
    pub fn note_lost(&mut self, lost: &[u64], at_ns: u64) {
        for (rank, lost) in lost.iter().enumerate().filter(|(_, lost)| **lost > 0) {
            let name = format!("{lost} events of node {rank} are missing");
            let (pid, ts) = (self.pid(rank as u16), self.us(at_ns));
            self.push(json!({"ph": "i", "s": "g", "cat": "lost", "name": name, "pid": pid, "tid": 0, "ts": ts}));
        }
    }

    /// Writes what was added; what went wrong, once.
    pub fn write(&mut self) -> Option<String> {
        if self.is_closed || self.buffer.is_empty() {
            return None;
        }
        let mut bytes = std::mem::take(&mut self.buffer);
        let new_end = self.end + bytes.len() as u64;
        bytes.extend_from_slice(TAIL);
        if let Err(error) = self.file.write_all_at(&bytes, self.end) {
            self.is_closed = true;
            self.repair();
            let text = trouble(&self.path, &error);
            return Some(format!("umbel: {text}; the job goes on without it"));
        }
        self.end = new_end;
        bytes.clear();
        self.buffer = bytes;
        if self.end > FILE_BYTES_MAX {
            self.is_closed = true;
            let path = self.path.display();
            return Some(format!(
                "umbel: the timeline {path} is full at 2 GiB: what happens from now on is not in it"
            ));
        }
        None
    }

    /// After a write that failed in its middle: what was valid before it.
    fn repair(&self) {
        // If this fails too there is no more that could be done, and the trouble is told.
        let _ = self.file.set_len(self.end);
        let _ = match self.end {
            0 => Ok(()),
            end => self.file.write_all_at(TAIL, end),
        };
    }

    fn add_slice(&mut self, slice: &Slice) {
        let (name, category, mut args) = match &slice.doing {
            Doing::Running { name } => (name.to_string(), "thread", json!({})),
            Doing::Faulting {
                object,
                variable,
                write,
            } => {
                let verb = if *write { "write" } else { "read" };
                let mut args = json!({"object": format!("{:#x}", object.0), "access": verb});
                let name = describe(variable.as_deref(), &mut args);
                (format!("{verb} {name}"), "fault", args)
            }
            Doing::Waiting { why, key } => {
                let mut args = json!({});
                if *key != 0 {
                    args["of"] = json!(format!("{key:#x}"));
                }
                (why.name().to_owned(), "wait", args)
            }
        };
        if slice.is_cut {
            args["unfinished"] = json!(true);
        }
        let (pid, ts) = (self.pid(slice.rank), self.us(slice.began_ns));
        let duration = micros(slice.ended_ns - slice.began_ns);
        self.push(json!({"ph": "X", "cat": category, "name": name, "pid": pid, "tid": slice.thread, "ts": ts, "dur": duration, "args": args}));
    }

    fn add_message(&mut self, message: &Message) {
        let traffic = &message.traffic;
        let arrow = if message.is_sent { "to" } else { "from" };
        let kind = name_of(traffic.kind);
        let mut args = json!({"bytes": traffic.bytes, "peer": traffic.peer.0});
        let about = match traffic.object {
            Some(object) => {
                args["object"] = json!(format!("{:#x}", object.0));
                format!(" {}", describe(message.variable.as_deref(), &mut args))
            }
            None => String::new(),
        };
        let name = format!("{kind}{about} {arrow} {}", traffic.peer.0);
        let (pid, ts) = (self.pid(message.rank), self.us(message.at_ns));
        let duration = micros(message.ended_ns - message.at_ns);
        self.push(json!({"ph": "X", "cat": "message", "name": name, "pid": pid, "tid": message.thread, "ts": ts, "dur": duration, "args": args}));
    }

    fn push(&mut self, event: serde_json::Value) {
        let separator: &[u8] = if self.has_events { b",\n" } else { b"\n" };
        self.has_events = true;
        self.buffer.extend_from_slice(separator);
        serde_json::to_writer(&mut self.buffer, &event).expect("a Vec takes everything");
    }

    fn pid(&self, rank: u16) -> i32 {
        self.pids.get(usize::from(rank)).copied().unwrap_or(0)
    }

    fn us(&self, at_ns: u64) -> f64 {
        micros(at_ns.saturating_sub(self.start_ns))
    }
}

/// Chrome's unit, with nanoseconds as its fraction.
fn micros(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

fn name_of(kind: u8) -> &'static str {
    message_name(kind).unwrap_or("message")
}

fn describe(variable: Option<&Variable>, args: &mut serde_json::Value) -> String {
    let Some(variable) = variable else {
        return "an object".into();
    };
    args["size"] = json!(variable.size_bytes);
    args["home"] = json!(variable.home);
    variable.name.clone()
}

fn trouble(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    let advice = match error.kind() {
        io::ErrorKind::NotFound => " (is its folder there?)",
        io::ErrorKind::StorageFull => " (make room, or give a file on another disk)",
        io::ErrorKind::NotSeekable => " (it must be a file, not a pipe)",
        _ => "",
    };
    format!("cannot write the timeline to {path}: {error}{advice}")
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use serde_json::Value;

    use super::*;

    fn parsed(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).expect("it was written");
        let value: Value = serde_json::from_str(&text).expect("valid after every write");
        value["traceEvents"]
            .as_array()
            .expect("a list of events")
            .clone()
    }

    fn running(name: &str) -> Shown {
        Shown::Slice(Slice {
            rank: 1,
            thread: 7,
            began_ns: 2_500,
            ended_ns: 4_000,
            is_cut: false,
            doing: Doing::Running {
                name: Rc::from(name),
            },
        })
    }

    #[test]
    fn the_file_is_valid_after_every_write() {
        let folder = std::env::temp_dir().join(format!("umbel-timeline-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        let path = folder.join("t.json");
        let mut timeline = Timeline::create(&path, 1_000).expect("a new file");
        timeline.start(&[40, 41]);
        assert_eq!(timeline.write(), None);
        assert_eq!(parsed(&path).len(), 4);
        timeline.add(&running("a \"quoted\"\n\u{1}name"));
        assert_eq!(timeline.write(), None);
        let events = parsed(&path);
        assert_eq!(events[4]["name"], "a \"quoted\"\n\u{1}name");
        assert_eq!(
            (&events[4]["pid"], &events[4]["tid"]),
            (&json!(41), &json!(7))
        );
        assert_eq!(
            (&events[4]["ts"], &events[4]["dur"]),
            (&json!(1.5), &json!(1.5))
        );
        std::fs::remove_dir_all(folder).expect("it was made above");
    }

    #[test]
    fn a_full_disk_is_told_once() {
        let mut timeline = Timeline::create(Path::new("/dev/full"), 0).expect("it exists");
        let told = timeline.write().expect("nothing fits");
        assert!(
            told.contains("cannot write the timeline to /dev/full: No space left"),
            "{told}"
        );
        assert!(told.ends_with("the job goes on without it"), "{told}");
        timeline.add(&running("work(1)"));
        assert_eq!(timeline.write(), None);
    }
}
