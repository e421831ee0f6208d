//! Recordings are read as they were written, and say what they lost when they are damaged.

mod recordings;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};

use recordings::{Random, Temporary, random_events};
use umbel_trace_ring::layout::{Clock, Full, Kind as ChunkKind, Mode};
use umbel_trace_ring::word::{Code, Word};
use umbel_trace_ring::{CHUNK_BYTES, Live, Process, Producer, Setup};
use umbel_tracer::recording::block::{self, HEADER_BYTES, Header};
use umbel_tracer::recording::codec::Encoder;
use umbel_tracer::recording::{
    Context, Damage, Error, Event, Kind, Message, Parser, ProcessSerial, Recording, SessionInfo,
    ThreadSerial, Writer, path_beside,
};

const PROCESS: ProcessSerial = ProcessSerial(1);
const THREAD: ThreadSerial = ThreadSerial(7);

fn every_kind() -> Vec<Event> {
    let kinds = [
        Kind::Return(0x5555_0000_1000),
        Kind::Call(0x5555_0000_2000),
        Kind::Call(0x7fff_f7a0_0010),
        Kind::SetJump(0x7fff_ffff_0000),
        Kind::Call(0x5555_0000_2000),
        Kind::Mark("phase 2".into()),
        Kind::Return(0x7fff_f7a0_0010),
        Kind::LongJump(0x7fff_ffff_0000),
        Kind::Context(Context::Get(0x7fff_ffff_0000)),
        Kind::Context(Context::Set(0x7fff_ffff_0000)),
        Kind::Context(Context::Make {
            context: 0x7fff_ffff_0000,
            successor: 0,
        }),
        Kind::Context(Context::Swap {
            saved: 0x7fff_ffff_0000,
            context: 0x7fff_ffff_1000,
        }),
        Kind::Lost {
            count: 3,
            until: 2000,
        },
        Kind::SpanBegin {
            span: 1,
            first: 4096,
            second: 1,
        },
        Kind::SpanEnd {
            span: 1,
            first: 0,
            second: u64::MAX,
        },
        Kind::Message(Box::new(Message {
            received: true,
            peer: 2,
            kind: 9,
            bytes: 4096,
            number: 77,
        })),
        Kind::Values([1, 2, 3].into()),
        Kind::Other {
            code: 4000,
            payload: [5, u64::MAX].into(),
        },
        Kind::ThreadEnd,
        Kind::Return(0x5555_0000_2000),
    ];
    // Time runs backwards once, as a signal handler can make it, and leaps once.
    let ticks = [100, 130, 131, 90, 92, 400, 401, 1 << 40];
    let ticks = |index| {
        *ticks
            .get(index)
            .unwrap_or(&((1 << 40) + index as u64 * 1000))
    };
    let kinds = kinds.into_iter().enumerate();
    kinds
        .map(|(index, kind)| Event {
            ticks: ticks(index),
            kind,
        })
        .collect()
}

#[test]
fn events_of_every_kind_come_back() {
    let file = Temporary::new("kinds");
    let mut writer = Writer::create(&file.0, &SessionInfo::default()).expect("writable");
    let events = every_kind();
    writer
        .events(THREAD, PROCESS, 0..40, &events)
        .expect("written");
    writer.finish(5).expect("written");
    let recording = Recording::open(&file.0).expect("readable");
    assert_eq!(recording.damage(), []);
    assert_eq!(recording.events(THREAD).collect::<Vec<_>>(), events);
}

fn create(file: &Temporary) -> Writer {
    Writer::create(&file.0, &SessionInfo::default()).expect("a temporary file")
}

fn open(file: &Temporary) -> Recording {
    Recording::open(&file.0).expect("readable")
}

/// `count` calls with counted addresses, 10 ticks apart.
fn calls(numbers: std::ops::Range<u64>) -> Vec<Event> {
    let call = |number| Event {
        ticks: 10 * number,
        kind: Kind::Call(0x10000 + number),
    };
    numbers.map(call).collect()
}

#[test]
fn random_events_come_back() {
    let file = Temporary::new("random");
    let mut random = Random::new(7);
    let mut writer = create(&file);
    // More functions than symbols have room for, more events than a block has.
    let blocks: Vec<Vec<Event>> = [0, 1, 5000, block::EVENTS_MAX + 10]
        .into_iter()
        .map(|count| random_events(&mut random, count))
        .collect();
    let mut position = 0;
    for events in &blocks {
        let end = position + events.len() as u64 + 3;
        writer
            .events(THREAD, PROCESS, position..end, events)
            .expect("written");
        position = end;
    }
    writer.finish(0).expect("written");
    let recording = open(&file);
    assert_eq!(recording.damage(), []);
    assert!(recording.events(THREAD).eq(blocks.concat()), "other events");
}

#[test]
fn words_are_the_events_of_the_parser_wherever_they_are_cut() {
    let mut words = vec![time_word(), 5 << 16];
    for number in 0..100_u64 {
        let function = 0x40_0000 + number;
        words.push(
            Word::Call {
                function,
                time: number as u16,
            }
            .pack(),
        );
        if number % 10 == 0 {
            words.extend([time_word(), (6 + number) << 16]);
        }
    }
    let mut expected = Vec::new();
    Parser::new().parse(&words, |_, event| expected.push(event));
    assert_eq!(expected.len(), 100);
    // Whoever takes words takes specials whole: the first word of a part needn't be a time.
    for cut in [2, 3, 50, words.len() - 1] {
        if words[cut - 1] == time_word() {
            continue;
        }
        let file = Temporary::new("words");
        let mut writer = create(&file);
        for part in [0..cut, cut..words.len()] {
            let positions = part.start as u64..part.end as u64;
            writer
                .words(THREAD, PROCESS, positions, &words[part])
                .expect("written");
        }
        writer.finish(0).expect("written");
        assert!(
            open(&file).events(THREAD).eq(expected.iter().cloned()),
            "cut at {cut}"
        );
    }
}

fn time_word() -> u64 {
    Word::Special {
        code: Code::Time as u16,
        payload_words: 1,
    }
    .pack()
}

#[test]
fn a_body_is_these_bytes() {
    let mut encoder = Encoder::new().expect("memory");
    encoder.call(1000, 0x1000);
    encoder.call(1010, 0x1010);
    encoder.ret(1020, 0x1010);
    encoder.ret(1200, 0x1000);
    let mut body = Vec::new();
    encoder.finish(&mut body).expect("memory");
    let text: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        text,
        "000400000004000000\
         000300000003000000\
         000000000000000000\
         000400000004000000\
         000000000000000000\
         03030000df4020000a0ab4"
    );
}

/// Three blocks of a thread, 100 events each; changes the bytes of the second by its offset in the file, and opens.
fn with_second_block(name: &str, change: impl Fn(&mut Vec<u8>, usize)) -> (Vec<Event>, Recording) {
    let file = Temporary::new(name);
    let mut writer = create(&file);
    let mut second = 0;
    for part in 0..3 {
        if part == 1 {
            second = writer.bytes() as usize;
        }
        let positions = part * 100..(part + 1) * 100;
        writer
            .events(THREAD, PROCESS, positions.clone(), &calls(positions))
            .expect("written");
    }
    writer.finish(0).expect("written");
    let mut bytes = std::fs::read(&file.0).expect("just written");
    change(&mut bytes, second);
    std::fs::write(&file.0, bytes).expect("a temporary file");
    let recording = open(&file);
    let events = recording.events(THREAD).collect();
    (events, recording)
}

fn around(lost: Event) -> Vec<Event> {
    [calls(0..100), vec![lost], calls(200..300)].concat()
}

#[test]
fn a_damaged_body_loses_its_events_and_says_how_many() {
    let (events, recording) = with_second_block("body", |bytes, block| {
        bytes[block + HEADER_BYTES + 20] ^= 1;
    });
    let kind = Kind::Lost {
        count: 100,
        until: 1990,
    };
    assert_eq!(events, around(Event { ticks: 1000, kind }));
    let damage = Damage::Events {
        thread: THREAD,
        count: 100,
        is_exact: true,
        from: Some(1000),
        until: Some(1990),
    };
    assert_eq!(recording.damage(), [damage]);
    let line =
        "thread 7: 100 events lost between 1.000 us and 1.990 us: the recording is damaged there";
    assert_eq!(recording.damage_lines(), [line]);
}

#[test]
fn a_damaged_head_loses_a_block_and_its_neighbours_say_what_it_was() {
    let (events, recording) = with_second_block("head", |bytes, block| bytes[block + 30] ^= 1);
    let kind = Kind::Lost {
        count: 100,
        until: 2000,
    };
    assert_eq!(events, around(Event { ticks: 990, kind }));
    let lines = recording.damage_lines();
    assert!(
        lines[0].contains("are damaged: what they held is lost"),
        "{lines:?}"
    );
    assert_eq!(
        lines[1],
        "thread 7: up to 100 events lost between 990 ns and 2.000 us: the recording is damaged there"
    );
    assert_eq!(lines.len(), 2);
}

#[test]
fn bytes_of_somebody_else_between_blocks_lose_nothing() {
    let (events, recording) = with_second_block("between", |bytes, block| {
        bytes.splice(block..block, *b"\xf5UB\x0a is no block");
    });
    assert_eq!(events, calls(0..300));
    assert!(matches!(
        recording.damage(),
        [Damage::Bytes { bytes: 16, .. }]
    ));
}

#[test]
fn blocks_of_unknown_kinds_are_skipped() {
    let (events, recording) = with_second_block("unknown", |bytes, block| {
        let header = Header {
            kind: 99,
            stored_bytes: 5,
            body_crc: crc32fast::hash(b"later"),
            ..Header::default()
        };
        let later = [&header.to_bytes()[..], b"later"].concat();
        bytes.splice(block..block, later);
    });
    assert_eq!(events, calls(0..300));
    assert_eq!(
        (recording.damage(), recording.unknown_blocks()),
        (&[][..], 1)
    );
}

#[test]
fn what_is_no_recording_is_refused_and_a_newer_one_too() {
    let file = Temporary::new("refused");
    std::fs::write(&file.0, "#!/bin/sh\n".repeat(100)).expect("a temporary file");
    assert!(matches!(
        Recording::open(&file.0),
        Err(Error::NoRecording(_))
    ));
    let mut head = block::file_header();
    head[8..10].copy_from_slice(&(block::MAJOR + 1).to_le_bytes());
    let crc = crc32fast::hash(&head[..28]).to_le_bytes();
    head[28..].copy_from_slice(&crc);
    std::fs::write(&file.0, head).expect("a temporary file");
    let error = Recording::open(&file.0)
        .err()
        .map(|error| error.to_string());
    let error = error.expect("a newer version is refused");
    assert!(
        error.contains("version 2") && error.contains("reads versions up to 1"),
        "{error}"
    );
}

/// A recorder that is killed between writing words and freeing their chunks: the words are in both files.
#[test]
fn words_beside_a_recording_are_read_and_none_twice() {
    let file = Temporary::new("beside");
    let beside = Temporary(path_beside(&file.0));
    let session = *b"a session's name";
    let setup = Setup {
        buffer_bytes: 8 * CHUNK_BYTES as u64,
        when_full: Full::Drop,
        clock: Clock::Tsc,
        ticks_per_second: 2_600_000_000,
        first_mode: Mode::Record,
        session,
    };
    let path = CString::new(beside.0.as_os_str().as_bytes()).expect("a path has no 0");
    let live = Live::create(&path, &setup).expect("the temporary folder has room");
    let process = Process {
        serial: PROCESS.0,
        pid: 70,
        page: 3,
    };
    let (producer, clock) = (Producer::new(), AtomicU64::new(1));
    producer.begin(THREAD.0, 71);
    let now = || clock.fetch_add(700, Ordering::Relaxed);
    for number in 0..10_000 {
        let function = 0x10000 + number;
        let word = Word::Call { function, time: 0 }.pack();
        while producer.event(&live, word, now).is_err() {
            assert!(producer.next_chunk(&live, &process, ChunkKind::Events, now()));
        }
    }
    let whole = open(&file);
    let all: Vec<Event> = whole.events(THREAD).collect();
    assert_eq!(all.len(), 10_000, "all of it beside");
    assert_eq!(whole.thread(THREAD).map(|thread| thread.tid), Some(71));

    // Of these the recorder has written some, up to the middle of the second chunk.
    let mut words = Vec::new();
    umbel_trace_ring::Untaken::open(&path)
        .and_then(|untaken| untaken.read(&mut |_, _, part| words.extend_from_slice(part)))
        .expect("the file is whole");
    for taken in [0, 100, 8000, 9000, words.len()] {
        let info = SessionInfo {
            session,
            ..SessionInfo::default()
        };
        let mut writer = Writer::create(&file.0, &info).expect("a temporary file");
        let taken = taken - usize::from(taken > 0 && words[taken - 1] == time_word());
        let positions = 0..taken as u64;
        writer
            .words(THREAD, PROCESS, positions, &words[..taken])
            .expect("written");
        let recording = open(&file);
        assert!(
            recording.events(THREAD).eq(all.iter().cloned()),
            "{taken} taken"
        );
        assert_eq!(recording.damage(), [Damage::Unfinished]);
        assert_eq!(
            recording.clock().duration_ns(26).round(),
            10.0,
            "the pace is beside too"
        );
    }
    // Another session's words are none of ours.
    create(&file).finish(0).expect("written");
    assert_eq!(open(&file).threads(), []);
}
