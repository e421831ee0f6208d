//! Common Trace Format 1.8: a folder with `metadata`, which describes the rest, and a stream file for each thread.
//!
//! Everything is packed by bytes, little-endian. A packet: `magic u32, uuid 16 bytes, stream u32; begin u64, end u64,
//! content_bits u64, packet_bits u64, pid u32, tid u32, thread u32`; an event: `id u8, time u64` and its fields. Functions
//! are an enumeration in the metadata, so that readers show names; the metadata is therefore written last.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use umbel_values::{EventValues, FrameValues};

use super::Exporter;
use crate::view::names::Names;
use crate::view::steps::{Step, StepKind, cut_text};
use crate::view::story::{Lane, Story};
use crate::view::values::{arguments_text, locals_text, value_text};

const MAGIC: u32 = 0xc1fc_1fc1;

/// Bytes of events after which a packet is closed.
const PACKET_BYTES: usize = 256 * 1024;

/// Bytes before the first event of a packet.
const PACKET_HEADER_BYTES: usize = 4 + 16 + 4 + 4 * 8 + 3 * 4;

/// Ids of the events, as in [`EVENTS`].
#[derive(Clone, Copy)]
enum Id {
    Call = 0,
    Return = 1,
    CutReturn = 2,
    Unseen = 3,
    SpanBegin = 4,
    Mark = 5,
    Message = 6,
    Lost = 7,
    CallValues = 8,
    ReturnValues = 9,
}

/// The events' names and fields.
const EVENTS: [(&str, &str); 10] = [
    ("call", "function_name name;"),
    (
        "return",
        "function_name name; u64 duration_ns; u64 self_ns;",
    ),
    (
        "cut_return",
        "function_name name; u64 duration_ns; u64 self_ns; string { encoding = UTF8; } why;",
    ),
    ("return_without_call", "function_name name;"),
    ("span_begin", "function_name name; x64 first; u64 second;"),
    ("mark", "string { encoding = UTF8; } text;"),
    (
        "message",
        "u8 received; u64 peer; u64 kind; u64 bytes; u64 number;",
    ),
    ("lost", "u64 count; u64 until_ns;"),
    (
        "call_with_values",
        "function_name name; string { encoding = UTF8; } arguments; string { encoding = UTF8; } callers;",
    ),
    (
        "return_with_values",
        "function_name name; u64 duration_ns; u64 self_ns; string { encoding = UTF8; } why; \
         string { encoding = UTF8; } returned; string { encoding = UTF8; } locals;",
    ),
];

pub(super) struct Ctf {
    /// Where it's made, and its name when it is whole.
    new: PathBuf,
    folder: PathBuf,
    is_whole: bool,
    uuid: [u8; 16],
    host: String,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, in nanoseconds.
    offset_ns: u64,
    stream: Option<File>,
    thread: [u32; 3],
    events: Vec<u8>,
    begin_ns: u64,
    end_ns: u64,
}

impl Ctf {
    /// `folder` must not be there, or be empty.
    pub(super) fn create(story: &Story, folder: &Path) -> io::Result<Self> {
        if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the folder isn't empty",
            ));
        }
        let name = folder.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let new = format!(".{}.{}.new", name.to_string_lossy(), std::process::id());
        let new = folder.with_file_name(new);
        fs::create_dir(&new)?;
        let recording = story.recording();
        let start_ns = story.start_ns();
        let realtime_ns = recording.clock().realtime_ns(recording.clock().origin());
        Ok(Self {
            new,
            folder: folder.to_owned(),
            is_whole: false,
            uuid: recording.session().session,
            host: recording.session().host.clone(),
            offset_ns: realtime_ns.saturating_sub(start_ns),
            stream: None,
            thread: [0; 3],
            events: Vec::new(),
            begin_ns: 0,
            end_ns: 0,
        })
    }

    /// Closes the packet.
    fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        if self.events.is_empty() {
            return Ok(());
        }
        let bits = 8 * (PACKET_HEADER_BYTES + self.events.len()) as u64;
        let mut header = Vec::with_capacity(PACKET_HEADER_BYTES);
        header.extend_from_slice(&MAGIC.to_le_bytes());
        header.extend_from_slice(&self.uuid);
        header.extend_from_slice(&0_u32.to_le_bytes());
        for number in [self.begin_ns, self.end_ns, bits, bits] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        for number in self.thread {
            header.extend_from_slice(&number.to_le_bytes());
        }
        stream.write_all(&header)?;
        stream.write_all(&self.events)?;
        self.events.clear();
        Ok(())
    }

    fn event(&mut self, id: Id, ns: u64, numbers: &[u64]) {
        if self.events.is_empty() {
            self.begin_ns = ns;
        }
        self.end_ns = ns;
        self.events.push(id as u8);
        self.events.extend_from_slice(&ns.to_le_bytes());
        self.numbers(numbers);
    }

    fn numbers(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.events.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// An event that begins with a name.
    fn named(&mut self, id: Id, ns: u64, name: u32, numbers: &[u64]) {
        self.event(id, ns, &[]);
        self.events.extend_from_slice(&name.to_le_bytes());
        self.numbers(numbers);
    }

    /// A text ends with a NUL, so it has none.
    fn text(&mut self, text: &str) {
        self.events.extend(text.bytes().filter(|byte| *byte != 0));
        self.events.push(0);
    }

    fn metadata(&self, names: &Names) -> String {
        let hex: String = self.uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        let uuid = [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ]
        .join("-");
        let host = escaped(&self.host);
        let mut text = format!(
            "/* CTF 1.8 */\n\n\
             typealias integer {{ size = 8; align = 8; signed = false; }} := u8;\n\
             typealias integer {{ size = 32; align = 8; signed = false; }} := u32;\n\
             typealias integer {{ size = 64; align = 8; signed = false; }} := u64;\n\
             typealias integer {{ size = 64; align = 8; signed = false; base = 16; }} := x64;\n\n\
             trace {{\n  major = 1;\n  minor = 8;\n  uuid = \"{uuid}\";\n  byte_order = le;\n  \
             packet.header := struct {{ u32 magic; u8 uuid[16]; u32 stream_id; }};\n}};\n\n\
             env {{\n  hostname = \"{host}\";\n  domain = \"ust\";\n  tracer_name = \"umbel\";\n}};\n\n\
             clock {{\n  name = monotonic;\n  description = \"CLOCK_MONOTONIC\";\n  freq = 1000000000;\n  \
             offset_s = {};\n  offset = {};\n}};\n\n\
             typealias integer {{ size = 64; align = 8; signed = false; map = clock.monotonic.value; }} := time;\n\n",
            self.offset_ns / 1_000_000_000,
            self.offset_ns % 1_000_000_000,
        );
        text += "typealias enum : u32 {\n";
        for (index, name) in names.all().iter().enumerate() {
            let separator = if index > 0 { ",\n" } else { "" };
            write!(text, "{separator}  \"{}\" = {index}", escaped(&name.shown))
                .expect("a String takes everything");
        }
        if names.all().is_empty() {
            text += "  \"none\" = 0";
        }
        text += "\n} := function_name;\n\n\
            stream {\n  id = 0;\n  \
            packet.context := struct { time timestamp_begin; time timestamp_end; u64 content_size; u64 packet_size; \
            u32 pid; u32 tid; u32 thread; };\n  \
            event.header := struct { u8 id; time timestamp; };\n};\n";
        for (id, (name, fields)) in EVENTS.iter().enumerate() {
            write!(
                text,
                "\nevent {{\n  name = \"{name}\";\n  id = {id};\n  stream_id = 0;\n  fields := struct {{ {fields} }};\n}};\n"
            )
            .expect("a String takes everything");
        }
        text
    }
}

/// `main: i = 3; work: x = 1`.
fn callers_text(values: &EventValues) -> String {
    let line = |frame: &FrameValues| {
        let all = [&frame.locals[..], &frame.arguments[..]].concat();
        format!("{}: {}", frame.function, locals_text(&all))
    };
    values.callers().map(line).collect::<Vec<_>>().join("; ")
}

/// The inside of a text in the metadata.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            character if character < ' ' => escaped.push('_'),
            character => escaped.push(character),
        }
    }
    escaped
}

impl Exporter for Ctf {
    const HAS_VALUES: bool = true;

    fn lane(&mut self, lane: &Lane) -> io::Result<()> {
        self.flush()?;
        let name = format!("thread_{:04}", lane.index);
        self.stream = Some(File::create(self.new.join(name))?);
        self.thread = [lane.pid, lane.tid, lane.index as u32];
        Ok(())
    }

    fn step(
        &mut self,
        _: &Lane,
        step: &Step,
        _: &Names,
        values: Option<&EventValues>,
    ) -> io::Result<()> {
        if self.events.len() >= PACKET_BYTES {
            self.flush()?;
        }
        let ns = step.ns;
        match (&step.kind, values) {
            (
                StepKind::Begin {
                    name,
                    arguments: None,
                    ..
                },
                Some(values),
            ) => {
                self.named(Id::CallValues, ns, name.0, &[]);
                self.text(&arguments_text(values.arguments()));
                self.text(&callers_text(values));
                return Ok(());
            }
            (
                StepKind::End {
                    name,
                    begin_ns,
                    self_ns,
                    cut,
                },
                Some(values),
            ) => {
                self.named(Id::ReturnValues, ns, name.0, &[ns - begin_ns, *self_ns]);
                self.text(cut.map_or("", cut_text));
                self.text(&values.result.as_ref().map_or_else(String::new, value_text));
                self.text(&locals_text(
                    &[values.locals(), values.arguments()].concat(),
                ));
                return Ok(());
            }
            _ => {}
        }
        match &step.kind {
            StepKind::Begin {
                name,
                arguments: None,
                ..
            } => self.named(Id::Call, ns, name.0, &[]),
            StepKind::Begin {
                name,
                arguments: Some(arguments),
                ..
            } => {
                self.named(Id::SpanBegin, ns, name.0, arguments);
            }
            StepKind::End {
                name,
                begin_ns,
                self_ns,
                cut,
            } => {
                let numbers = [ns - begin_ns, *self_ns];
                match cut {
                    None => self.named(Id::Return, ns, name.0, &numbers),
                    Some(cut) => {
                        self.named(Id::CutReturn, ns, name.0, &numbers);
                        self.text(cut_text(*cut));
                    }
                }
            }
            StepKind::Unseen { name, .. } => self.named(Id::Unseen, ns, name.0, &[]),
            StepKind::Mark(text) => {
                self.event(Id::Mark, ns, &[]);
                self.text(text);
            }
            StepKind::Message(message) => {
                self.event(Id::Message, ns, &[]);
                self.events.push(u8::from(message.received));
                self.numbers(&[message.peer, message.kind, message.bytes, message.number]);
            }
            StepKind::Lost { count, until_ns } => self.event(Id::Lost, ns, &[*count, *until_ns]),
        }
        Ok(())
    }

    fn finish(&mut self, names: &Names) -> io::Result<()> {
        self.flush()?;
        fs::write(self.new.join("metadata"), self.metadata(names))?;
        // An empty folder of this name goes: rename puts the new one in its place.
        fs::rename(&self.new, &self.folder)?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for Ctf {
    fn drop(&mut self) {
        if !self.is_whole {
            // Half a trace is worth nothing; if it can't be removed there's no more to be done.
            let _ = fs::remove_dir_all(&self.new);
        }
    }
}
