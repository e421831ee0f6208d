//! Exports of random threads.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use umbel_tracer::export::Format;
use umbel_tracer::recording::{Context, Event, Kind};

use crate::common::function;
use crate::perfetto::perfetto;
use crate::{chrome_events, exported, exported_bytes, made};

fn any_event() -> impl Strategy<Value = (u64, Kind)> {
    let address = (0..8_usize).prop_map(function);
    let kind = prop_oneof![
        8 => address.clone().prop_map(Kind::Call),
        8 => address.prop_map(Kind::Return),
        1 => (0..3_u64).prop_map(Kind::SetJump),
        1 => (0..3_u64).prop_map(Kind::LongJump),
        1 => (0..3_u64, 0..3_u64).prop_map(|(saved, context)| {
            Kind::Context(Context::Swap { saved, context })
        }),
        1 => (0..9_u64, 0..3_000_u64).prop_map(|(count, until)| Kind::Lost { count, until }),
        1 => (0..4_u64, any::<u64>()).prop_map(|(span, first)| Kind::SpanBegin { span, first, second: 1 }),
        1 => (0..4_u64).prop_map(|span| Kind::SpanEnd { span, first: 0, second: 0 }),
        1 => Just(Kind::Mark("mark".into())),
        1 => Just(Kind::ThreadEnd),
    ];
    (0..2_000_000_u64, kind)
}

pub fn any_thread() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(any_event(), 0..120).prop_map(|events| {
        let mut ticks = 1_000;
        let mut made = Vec::new();
        for (pause, kind) in events {
            ticks += pause % 300;
            made.push(Event { ticks, kind });
        }
        made
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn what_begins_ends_in_every_format(threads in prop::collection::vec(any_thread(), 1..4)) {
        let folder = made("random", &threads);
        let mut depth: BTreeMap<u64, i64> = BTreeMap::new();
        for event in chrome_events(&folder) {
            let depth = depth.entry(event["tid"].as_u64().expect("a number")).or_default();
            *depth += i64::from(event["ph"] == "B") - i64::from(event["ph"] == "E");
            prop_assert!(*depth >= 0);
        }
        prop_assert!(depth.values().all(|depth| *depth == 0));
        let trace = perfetto(&exported_bytes(&folder, Format::Perfetto));
        prop_assert!(trace.depth.values().all(|depth| *depth == 0));
        prop_assert!(trace.times.values().all(|times| times.is_sorted()));
        let mut stacks: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
        for line in exported(&folder, Format::JsonLines).lines() {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let stack = stacks.entry(line["thread"].as_u64().unwrap_or(99)).or_default();
            if line["type"] == "begin" {
                prop_assert_eq!(line["depth"].as_u64(), Some(stack.len() as u64));
                stack.push(line["id"].clone());
            } else if line["type"] == "end" {
                prop_assert_eq!(stack.pop(), Some(line["id"].clone()));
            }
        }
        prop_assert!(stacks.values().all(Vec::is_empty));
    }
}
