//! Small recordings, made by hand.

use std::path::{Path, PathBuf};

use umbel_tracer::recording::{
    Began, ClockKind, ClockPoint, Ended, Event, Image, Kind, Message, ModuleInfo, Name,
    ProcessInfo, ProcessSerial, SessionInfo, ThreadInfo, ThreadSerial, Writer,
};
use umbel_values::{Kept, Type};

/// Where the program lies in its process: its functions are at this and a multiple of 16.
pub const BIAS: u64 = 0x5555_0000_0000;

/// Its functions; one that has no name follows.
pub const FUNCTIONS: [&str; 6] = [
    "main",
    "work",
    "_ZN2ns3Box3putEi",
    "thrower",
    "a \"b\"; <c>",
    "leaf",
];

/// The runtime address of a function.
pub fn function(index: usize) -> u64 {
    BIAS + 0x1000 + 16 * index as u64
}

/// A folder of one test, gone when it ends.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let name = format!("umbel-tracer-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A recording of one process `demo` whose clock counts nanoseconds, with these threads.
pub fn record(path: &Path, threads: &[Vec<Event>]) {
    record_values(path, threads, &[], &[]);
}

/// The same, with types and capture plans.
pub fn record_values(path: &Path, threads: &[Vec<Event>], types: &[Type], plans: &[Kept]) {
    let session = SessionInfo {
        session: *b"umbel-made-hand!",
        clock: ClockKind::Monotonic,
        ticks_per_second: 1_000_000_000,
        command: vec!["./demo".into(), "<fast>".into()],
        host: "host".into(),
        ..SessionInfo::default()
    };
    let mut writer = Writer::create(path, &session).expect("the folder is writable");
    let point = |ticks| ClockPoint {
        ticks,
        monotonic_ns: ticks,
        realtime_ns: ticks + 1_700_000_000_000_000_000,
    };
    writer.clock(point(1)).expect("written");
    let process = ProcessSerial(1);
    let info = ProcessInfo {
        serial: process,
        pid: 40,
        began: Began::Start,
        executable: "/nowhere/demo".into(),
        ..ProcessInfo::default()
    };
    writer.process(&info).expect("written");
    let image = Image {
        path: "/nowhere/demo".into(),
        build_id: vec![1, 2, 3],
    };
    let module = ModuleInfo {
        process,
        bias: BIAS,
        begin: BIAS + 0x1000,
        end: BIAS + 0x9000,
        path: image.path.clone(),
        build_id: image.build_id.clone(),
        ..ModuleInfo::default()
    };
    writer.module(&module).expect("written");
    let names: Vec<Name> = FUNCTIONS
        .iter()
        .enumerate()
        .map(|(index, name)| Name {
            offset: function(index) - BIAS,
            name: (*name).into(),
            file: "demo.cc".into(),
            line: 10 * index as u32 + 1,
        })
        .collect();
    writer.names(&image, &names).expect("written");
    writer.types(&image, 0, types).expect("written");
    for plan in plans {
        writer.plan(&image, plan).expect("written");
    }
    for (index, events) in threads.iter().enumerate() {
        let thread = ThreadInfo {
            serial: ThreadSerial(index as u64 + 1),
            process,
            tid: 40 + index as u32,
            name: if index == 0 {
                "demo".into()
            } else {
                format!("worker {index}")
            },
            ticks: events.first().map_or(0, |event| event.ticks),
        };
        writer.thread(&thread).expect("written");
        let words = 0..events.len() as u64;
        writer
            .events(thread.serial, process, words, events)
            .expect("written");
    }
    let ticks = 1 + threads
        .iter()
        .flatten()
        .map(|event| event.ticks)
        .max()
        .unwrap_or(0);
    writer.clock(point(ticks)).expect("written");
    writer
        .ended(process, ticks, Ended::Signal(9))
        .expect("written");
    writer.finish(ticks).expect("written");
}

fn at(ticks: u64, kind: Kind) -> Event {
    Event { ticks, kind }
}

pub fn call(ticks: u64, index: usize) -> Event {
    at(ticks, Kind::Call(function(index)))
}

pub fn ret(ticks: u64, index: usize) -> Event {
    at(ticks, Kind::Return(function(index)))
}

/// Two threads with one of everything that can happen.
pub fn of_everything() -> Vec<Vec<Event>> {
    let message = |received, number| {
        Kind::Message(Box::new(Message {
            received,
            peer: 3,
            kind: 7,
            bytes: 4096,
            number,
        }))
    };
    let span = |first, second| Kind::SpanBegin {
        span: 1,
        first,
        second,
    };
    let first = vec![
        call(1_000, 0),
        call(1_100, 2),
        call(1_150, 5),
        ret(1_160, 5),
        ret(1_400, 2),
        at(1_500, Kind::SetJump(0xb0f)),
        call(1_600, 1),
        call(1_700, 4),
        at(1_800, Kind::LongJump(0xb0f)),
        call(2_000, 1),
        call(2_100, 3),
        ret(2_300, 1),
        at(2_400, span(0x7000, 1)),
        at(2_450, message(false, 11)),
        at(
            2_500,
            Kind::SpanEnd {
                span: 1,
                first: 0,
                second: 0,
            },
        ),
        at(2_600, Kind::Mark("phase \"2\"".into())),
        at(
            2_700,
            Kind::Lost {
                count: 12,
                until: 2_800,
            },
        ),
        ret(2_900, 6),
        call(3_000, 1),
    ];
    let second = vec![
        call(2_050, 1),
        at(2_600, message(true, 11)),
        ret(2_650, 1),
        at(2_700, Kind::ThreadEnd),
    ];
    vec![first, second]
}
