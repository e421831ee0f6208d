//! `--timeline FILE`: Chrome trace events, which chrome://tracing and Perfetto open.
//!
//! The file is valid JSON after every write, so whatever is killed leaves one that can be opened: each write
//! goes over the closing brackets of the one before, and brings its own.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use umbel_tracer::export::json::{Micros, Text};
use umbel_wire::ObjectId;
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
            self.name("process", *pid, 0, &format!("node {rank}"), rank);
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
                self.name("thread", pid, *thread, name, usize::from(*is_service));
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
                let kind = name_of(*kind);
                let ends = [
                    ("s", "", *from, *sent_ns),
                    ("f", ",\"bp\":\"e\"", *to, *received_ns),
                ];
                for (phase, binding, (rank, thread), at_ns) in ends {
                    let (pid, ts) = (self.pid(rank), self.us(at_ns));
                    let id = self.arrow_count;
                    self.push(format_args!(
                        "\"ph\":\"{phase}\"{binding},\"cat\":\"message\",\"name\":\"{kind}\",\"id\":{id},\"pid\":{pid},\"tid\":{thread},\"ts\":{ts}"
                    ));
                }
            }
        }
    }

    /// Says in the file what is not in it.
    pub fn note_lost(&mut self, lost: &[u64], at_ns: u64) {
        for (rank, lost) in lost.iter().enumerate().filter(|(_, lost)| **lost > 0) {
            let (pid, ts) = (self.pid(rank as u16), self.us(at_ns));
            self.push(format_args!(
                "\"ph\":\"i\",\"s\":\"g\",\"cat\":\"lost\",\"name\":\"{lost} events of node {rank} are missing\",\"pid\":{pid},\"tid\":0,\"ts\":{ts}"
            ));
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
        let place = (slice.rank, slice.thread);
        let times = (slice.began_ns, slice.ended_ns);
        let cut = if slice.is_cut {
            "\"unfinished\":true"
        } else {
            ""
        };
        let comma = if slice.is_cut { "," } else { "" };
        match &slice.doing {
            Doing::Running { name } => {
                self.slice(
                    "thread",
                    place,
                    times,
                    format_args!("{}", Text(name)),
                    format_args!("{cut}"),
                );
            }
            Doing::Faulting {
                object,
                variable,
                write,
            } => {
                let verb = if *write { "write" } else { "read" };
                let about = About(*object, variable.as_deref());
                self.slice(
                    "fault",
                    place,
                    times,
                    format_args!("{verb} {}", Text(about.name())),
                    format_args!("{about},\"access\":\"{verb}\"{comma}{cut}"),
                );
            }
            Doing::Waiting { why, key } => self.slice(
                "wait",
                place,
                times,
                format_args!("{}", why.name()),
                format_args!("\"of\":\"{key:#x}\"{comma}{cut}"),
            ),
        }
    }

    fn add_message(&mut self, message: &Message) {
        let traffic = &message.traffic;
        let way = if message.is_sent { "to" } else { "from" };
        let (kind, peer, bytes) = (name_of(traffic.kind), traffic.peer.0, traffic.bytes);
        let place = (message.rank, message.thread);
        let times = (message.at_ns, message.ended_ns);
        match traffic.object {
            None => self.slice(
                "message",
                place,
                times,
                format_args!("{kind} {way} {peer}"),
                format_args!("\"bytes\":{bytes}"),
            ),
            Some(object) => {
                let about = About(object, message.variable.as_deref());
                self.slice(
                    "message",
                    place,
                    times,
                    format_args!("{kind} {} {way} {peer}", Text(about.name())),
                    format_args!("{about},\"bytes\":{bytes}"),
                );
            }
        }
    }

    fn slice(
        &mut self,
        category: &str,
        (rank, thread): (u16, u32),
        (began_ns, ended_ns): (u64, u64),
        name: fmt::Arguments,
        args: fmt::Arguments,
    ) {
        let (pid, ts, duration) = (
            self.pid(rank),
            self.us(began_ns),
            Micros(ended_ns - began_ns),
        );
        self.push(format_args!(
            "\"ph\":\"X\",\"cat\":\"{category}\",\"name\":\"{name}\",\"pid\":{pid},\"tid\":{thread},\"ts\":{ts},\"dur\":{duration},\"args\":{{{args}}}"
        ));
    }

    /// Name and place in the order of a process or thread.
    fn name(&mut self, what: &str, pid: i32, thread: u32, name: &str, index: usize) {
        let head = format!("\"ph\":\"M\",\"pid\":{pid},\"tid\":{thread},\"name\":\"{what}");
        let name = Text(name);
        self.push(format_args!(
            "{head}_name\",\"args\":{{\"name\":\"{name}\"}}"
        ));
        self.push(format_args!(
            "{head}_sort_index\",\"args\":{{\"sort_index\":{index}}}"
        ));
    }

    /// One event. A job has millions: they are written as they are, not by way of a tree of values.
    fn push(&mut self, event: fmt::Arguments) {
        let separator = if self.has_events { ",\n{" } else { "\n{" };
        self.has_events = true;
        write!(self.buffer, "{separator}{event}}}").expect("a Vec takes everything");
    }

    fn pid(&self, rank: u16) -> i32 {
        self.pids.get(usize::from(rank)).copied().unwrap_or(0)
    }

    fn us(&self, at_ns: u64) -> Micros {
        Micros(at_ns.saturating_sub(self.start_ns))
    }
}

/// Fields that say which object.
struct About<'a>(ObjectId, Option<&'a Variable>);

impl About<'_> {
    fn name(&self) -> &str {
        self.1.map_or("an object", |variable| &variable.name)
    }
}

impl fmt::Display for About<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "\"object\":\"{:#x}\"", self.0.0)?;
        match self.1 {
            None => Ok(()),
            Some(Variable {
                size_bytes, home, ..
            }) => write!(out, ",\"size\":{size_bytes},\"home\":{home}"),
        }
    }
}

fn name_of(kind: u8) -> &'static str {
    message_name(kind).unwrap_or("message")
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

    use serde_json::{Value, json};

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
