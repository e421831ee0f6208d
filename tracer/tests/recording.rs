//! Recordings are read as they were written, and say what they lost when they are damaged.

mod recordings;

use recordings::{Random, Temporary, random_events};
use umbel_tracer::recording::{
    Event, Kind, Message, ProcessSerial, Recording, SessionInfo, ThreadSerial, Writer,
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
