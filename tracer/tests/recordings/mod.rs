//! Small recordings to test with.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::path::{Path, PathBuf};

use umbel_tracer::recording::{
    Began, ClockPoint, Context, Ended, Event, Image, Kind, LostInfo, Message, ModuleGone,
    ModuleInfo, Name, ProcessInfo, ProcessSerial, SessionInfo, ThreadInfo, ThreadSerial, Writer,
};
use umbel_values::{DescribedFrame, Description, Encoding, Kept, Place, Type, TypeId, Variable};

/// A file in the folder of temporary files, removed at the end.
pub struct Temporary(pub PathBuf);

impl Temporary {
    /// `name`: of the test.
    pub fn new(name: &str) -> Self {
        let name = format!("umbel-recording-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// xorshift64*: enough for tests, and the same everywhere.
pub struct Random(u64);

impl Random {
    /// A seed of 0 is taken for 1.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// Any number but 0.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

/// A program that calls at random, with everything that can happen among its calls.
pub fn random_events(random: &mut Random, count: usize) -> Vec<Event> {
    let mut ticks = random.next() >> 20;
    let mut stack = Vec::new();
    let functions = 1 + random.below(400) as u64;
    (0..count)
        .map(|_| {
            ticks = match random.below(100) {
                0 => ticks.saturating_sub(random.below(100) as u64),
                1 => ticks + (1 << random.below(40)),
                _ => ticks + random.below(300) as u64,
            };
            let function = 0x5555_0000_0000 + 16 * (random.next() % functions);
            let kind = match random.below(200) {
                0 => special(random),
                1 => Kind::Return(function),
                2..100 if !stack.is_empty() => Kind::Return(stack.pop().expect("not empty")),
                _ => {
                    stack.push(function);
                    Kind::Call(function)
                }
            };
            Event { ticks, kind }
        })
        .collect()
}

fn special(random: &mut Random) -> Kind {
    let (first, second) = (random.next(), random.next());
    let span = 1 + first % 2;
    match random.below(12) {
        0 => Kind::SetJump(first % 4),
        1 => Kind::LongJump(first % 4),
        2 => Kind::Lost {
            count: first % 1000,
            until: second,
        },
        3 => Kind::Mark("phase".repeat(random.below(5)).into()),
        4 => Kind::SpanBegin {
            span,
            first,
            second,
        },
        5 => Kind::SpanEnd {
            span,
            first,
            second,
        },
        6 => Kind::Message(Box::new(Message {
            received: first % 2 == 0,
            peer: second % 8,
            kind: 3,
            bytes: first % 5000,
            number: second,
        })),
        7 => Kind::Values([1, first, second].into()),
        8 => Kind::Other {
            code: 999,
            payload: [first].into(),
        },
        9 => Kind::Context(Context::Swap {
            saved: first % 4,
            context: second % 4,
        }),
        10 => Kind::Context(Context::Make {
            context: first % 4,
            successor: second % 4,
        }),
        _ => Kind::ThreadEnd,
    }
}

/// A recording of some kilobytes with everything in it: two processes, threads, modules, names.
pub fn write_small(path: &Path, random: &mut Random) {
    let session = SessionInfo {
        ticks_per_second: 1_000_000_000,
        command: vec!["prog".into(), "argument".into()],
        ..SessionInfo::default()
    };
    let written = "a temporary file";
    let mut writer = Writer::create(path, &session).expect(written);
    let module = ModuleInfo {
        process: ProcessSerial(1),
        bias: 0x5555_0000_0000,
        begin: 0x5555_0000_0000,
        end: 0x5555_0000_1000,
        memory_end: 0x5555_0000_2000,
        build_id: vec![1, 2, 3],
        path: "/nowhere/prog".into(),
        ..ModuleInfo::default()
    };
    for serial in 1..3 {
        let process = ProcessInfo {
            serial: ProcessSerial(serial),
            pid: 100 + serial as u32,
            began: [Began::Start, Began::Fork][serial as usize - 1],
            executable: "/nowhere/prog".into(),
            ..ProcessInfo::default()
        };
        writer.process(&process).expect(written);
    }
    writer.module(&module).expect(written);
    let name = Name {
        offset: 16,
        name: "f".into(),
        file: "prog.c".into(),
        line: 3,
    };
    writer.names(&module.image(), &[name]).expect(written);
    let image = Image {
        path: "libother.so".into(),
        build_id: Vec::new(),
    };
    writer.names(&image, &[]).expect(written);
    let int = Type {
        name: "int".into(),
        size: Some(4),
        kind: umbel_values::Kind::Base(Encoding::Signed),
    };
    writer
        .types(&module.image(), 0, &[int.clone(), int])
        .expect(written);
    // Its number is that of some random payloads; it captures a register.
    let plan = Kept {
        number: 1,
        bias: module.bias,
        description: Description {
            kind: umbel_values::plan::Kind::Enter,
            words: [1 << 32, 1 | 3 << 8, 0].into(),
            frame_address: None,
            frames: vec![DescribedFrame {
                name: "f".into(),
                linkage: None,
                is_inline: false,
                arguments: vec![Variable {
                    name: "n".into(),
                    of: TypeId(1),
                    place: Place::Register(3),
                    is_artificial: false,
                }],
                locals: Vec::new(),
            }],
            result: None,
            entries: Vec::new(),
            callee: None,
            target: None,
            entry: None,
        },
    };
    writer.plan(&module.image(), &plan).expect(written);
    for serial in 1..4 {
        let thread = ThreadInfo {
            serial: ThreadSerial(serial),
            process: ProcessSerial(1 + serial / 3),
            tid: 1000 + serial as u32,
            name: "worker".into(),
            ..ThreadInfo::default()
        };
        writer.thread(&thread).expect(written);
        let mut position = 0;
        for _ in 0..1 + random.below(3) {
            let count = random.below(150);
            let events = random_events(random, count);
            let end = position + count as u64 + random.below(20) as u64;
            let (thread, process) = (thread.serial, thread.process);
            writer
                .events(thread, process, position..end, &events)
                .expect(written);
            position = end;
        }
        writer
            .clock(ClockPoint {
                ticks: serial * 1_000_000,
                monotonic_ns: serial * 1_000_000,
                realtime_ns: serial * 1_000_000,
            })
            .expect(written);
    }
    writer
        .lost(&LostInfo {
            count: 5,
            why: "no chunk".into(),
            ..LostInfo::default()
        })
        .expect(written);
    writer
        .module_gone(&ModuleGone {
            process: ProcessSerial(1),
            ticks: 1 << 50,
            bias: module.bias,
        })
        .expect(written);
    writer
        .ended(ProcessSerial(1), 1 << 50, Ended::Signal(9))
        .expect(written);
    writer.finish(1 << 50).expect(written);
}
