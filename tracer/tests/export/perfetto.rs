//! Perfetto traces, read back.

use std::collections::BTreeMap;

use umbel_tracer::export::Format;

use crate::common::{call, of_everything, ret};
use crate::{exported_bytes, made};

#[test]
fn perfetto_packets_hold_every_name_once_and_are_short() {
    let mut events = vec![call(1_000, 0)];
    for step in 0..20_000 {
        events.push(call(2_000 + 100 * step, 1 + step as usize % 3));
        events.push(ret(2_060 + 100 * step, 1 + step as usize % 3));
    }
    let folder = made("perfetto", &[events]);
    let bytes = exported_bytes(&folder, Format::Perfetto);
    let trace = perfetto(&bytes);
    assert_eq!(trace.begun["main"], 1);
    assert_eq!(
        trace.begun["work"] + trace.begun["ns::Box::put"] + trace.begun["thrower"],
        20_000
    );
    assert!(
        bytes.len() < 12 * 40_001,
        "{} bytes for 40001 events",
        bytes.len()
    );
}

#[test]
fn perfetto_has_marks_messages_and_losses() {
    let folder = made("perfetto-all", &of_everything());
    let trace = perfetto(&exported_bytes(&folder, Format::Perfetto));
    assert_eq!(
        trace.instants,
        [
            "message to 3",
            "phase \"2\"",
            "12 events lost",
            "demo+0x1060 returns, its call was not recorded",
            "message from 3"
        ]
    );
    assert_eq!(trace.flows, [(47, 11), (48, 11)]);
    assert_eq!(trace.times[&2].first(), Some(&2_050));
}

/// What a reader finds in a Perfetto trace.
#[derive(Default)]
pub struct Perfetto {
    begun: BTreeMap<String, u64>,
    instants: Vec<String>,
    flows: Vec<(u64, u64)>,
    /// By sequence.
    pub depth: BTreeMap<u64, i64>,
    pub times: BTreeMap<u64, Vec<u64>>,
}

/// Reads it as the format's description says, apart from the writer's code.
pub fn perfetto(bytes: &[u8]) -> Perfetto {
    let mut trace = Perfetto::default();
    let mut names: BTreeMap<(u64, u64), String> = BTreeMap::new();
    let mut clocks: BTreeMap<u64, u64> = BTreeMap::new();
    for packet in fields(bytes) {
        assert_eq!(packet.number, 1, "a trace is packets only");
        let packet = fields(packet.bytes);
        let of = |number: u64| packet.iter().find(|field| field.number == number);
        let sequence = of(10).expect("each packet has its sequence").value;
        if let Some(snapshot) = of(6) {
            let first = &fields(snapshot.bytes)[0];
            clocks.insert(sequence, fields(first.bytes)[1].value);
        }
        if let Some(data) = of(12) {
            let name = fields(fields(data.bytes)[0].bytes);
            let text = String::from_utf8(name[1].bytes.to_vec()).expect("UTF-8");
            let before = names.insert((sequence, name[0].value), text);
            assert_eq!(before, None, "a number stands for one name");
        }
        let Some(event) = of(11) else {
            continue;
        };
        let clock = clocks.get_mut(&sequence).expect("the clock comes first");
        *clock += of(8).expect("events have times").value;
        trace.times.entry(sequence).or_default().push(*clock);
        let event = fields(event.bytes);
        let of = |number: u64| event.iter().find(|field| field.number == number);
        let depth = trace.depth.entry(sequence).or_default();
        let flows = event.iter().filter(|field| matches!(field.number, 47 | 48));
        trace
            .flows
            .extend(flows.map(|flow| (flow.number, flow.value)));
        match of(9).expect("events have a type").value {
            1 => {
                *depth += 1;
                let number = of(10).expect("a slice has a name").value;
                let name = names[&(sequence, number)].clone();
                *trace.begun.entry(name).or_default() += 1;
            }
            2 => *depth -= 1,
            3 => {
                let name = of(23).expect("an instant has a name").bytes;
                trace
                    .instants
                    .push(String::from_utf8(name.to_vec()).expect("UTF-8"));
            }
            other => panic!("no type {other} is written"),
        }
        assert!(*depth >= 0, "a slice ends that did not begin");
    }
    trace
}

struct Field<'a> {
    number: u64,
    value: u64,
    bytes: &'a [u8],
}

fn fields(mut bytes: &[u8]) -> Vec<Field<'_>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let mut field = Field {
            number: key >> 3,
            value: 0,
            bytes: &[],
        };
        match key & 7 {
            0 => field.value = varint(&mut bytes),
            1 => {
                let (value, rest) = bytes.split_first_chunk().expect("eight bytes");
                field.value = u64::from_le_bytes(*value);
                bytes = rest;
            }
            2 => {
                let length = varint(&mut bytes) as usize;
                (field.bytes, bytes) = bytes.split_at(length);
            }
            kind => panic!("no wire type {kind} is written"),
        }
        all.push(field);
    }
    all
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a varint ends");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    panic!("a varint is too long");
}
