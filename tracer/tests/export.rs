//! Exports of recordings that were made by hand, and of random ones.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::Value;
use umbel_tracer::export::{self, Exported, Format, Output};
use umbel_tracer::recording::{Context, Event, Kind, Recording};
use umbel_tracer::view::story::Story;

use common::{Folder, call, function, of_everything, record, ret};

fn exported_bytes(folder: &Folder, format: Format) -> Vec<u8> {
    let recording = Recording::open(&folder.0.join("r.trace")).expect("just written");
    let story = Story::new(&recording);
    let path = folder.0.join("out");
    let output = Output::file(&path).expect("the folder is writable");
    export::export(&story, format, output).expect("exported");
    fs::read(&path).expect("it has its name now")
}

fn exported(folder: &Folder, format: Format) -> String {
    String::from_utf8(exported_bytes(folder, format)).expect("text")
}

fn made(name: &str, threads: &[Vec<Event>]) -> Folder {
    let folder = Folder::new(name);
    record(&folder.0.join("r.trace"), threads);
    folder
}

#[test]
fn the_tree_shows_names_and_nesting() {
    let folder = made("tree", &of_everything());
    let expected = r#"thread 1
main [still open]
  ns::Box::put
    leaf
  work [left by longjmp]
    a "b"; <c> [left by longjmp]
  work
    thrower [left without return]
  ~fault
    -> 3: kind 7, 4096 bytes
  # phase "2"
  ! 12 events lost
  demo+0x1060 [call not recorded]
  work [still open]
thread 2
work
  <- 3: kind 7, 4096 bytes
"#;
    assert_eq!(exported(&folder, Format::Tree), expected);
}

#[test]
fn folded_stacks_add_up() {
    let folder = made("folded", &of_everything());
    let calls = "demo;demo+0x1060 1\ndemo;main 1\n";
    let text = exported(&folder, Format::FoldedCalls);
    assert!(text.contains("demo;main;work 3\n"), "{text}");
    assert!(text.contains("demo;main;work;a \"b\"_ <c> 1\n"), "{text}");
    assert!(text.contains("demo;thread_worker_1;work 1\n"), "{text}");
    assert!(
        text.contains("demo;main;demo+0x1060 1\n") || text.contains(calls),
        "{text}"
    );
    let text = exported(&folder, Format::FoldedTime);
    // 200 of the jumped one are its own, 100 of the second, 1 of the one that was open at the end.
    assert!(text.contains("demo;main;ns::Box::put 290\n"), "{text}");
    let sum: u64 = text
        .lines()
        .filter(|line| !line.contains("thread_"))
        .map(last_number)
        .sum();
    assert_eq!(sum, 2_001, "main's whole time: {text}");
}

fn last_number(line: &str) -> u64 {
    let number = line.rsplit(' ').next().expect("split gives one at least");
    number.parse().expect("a line ends with a number")
}

#[test]
fn chrome_events_are_json_with_arrows() {
    let folder = made("chrome", &of_everything());
    let events = chrome_events(&folder);
    let named = |name: &str| {
        events
            .iter()
            .filter(|event| event["name"] == name)
            .collect::<Vec<_>>()
    };
    assert_eq!(named("ns::Box::put")[0]["ts"], 0.1);
    assert_eq!(named("12 events lost").len(), 1);
    assert_eq!(named("phase \"2\"")[0]["cat"], "mark");
    assert_eq!(named("fault")[0]["args"]["first"], "0x7000");
    let arrows: Vec<_> = events
        .iter()
        .filter(|event| event["id"] == 11)
        .map(|event| &event["ph"])
        .collect();
    assert_eq!(arrows, ["s", "f"]);
    let ends: Vec<_> = events
        .iter()
        .filter_map(|event| event["args"]["end"].as_str())
        .collect();
    assert_eq!(
        ends,
        [
            "left by longjmp",
            "left by longjmp",
            "left without return",
            "still open",
            "still open"
        ]
    );
}

fn chrome_events(folder: &Folder) -> Vec<Value> {
    let value: Value = serde_json::from_str(&exported(folder, Format::Chrome)).expect("JSON");
    value["traceEvents"].as_array().expect("a list").clone()
}

#[test]
fn json_lines_come_by_time_with_names_before_their_use() {
    let folder = made("jsonl", &of_everything());
    let text = exported(&folder, Format::JsonLines);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let times: Vec<u64> = lines
        .iter()
        .filter_map(|line| line["ns"].as_u64())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    let put = lines
        .iter()
        .find(|line| line["name"] == "ns::Box::put")
        .expect("named");
    assert_eq!(
        (&put["file"], &put["line"]),
        (&"demo.cc".into(), &21.into())
    );
    let begin = lines
        .iter()
        .find(|line| line["type"] == "begin" && line["id"] == put["id"])
        .expect("called");
    assert_eq!((&begin["ns"], &begin["depth"]), (&100.into(), &1.into()));
    let last = lines.last().expect("not empty");
    assert_eq!(
        (&last["type"], &last["lost"]),
        (&"end of recording".into(), &12.into())
    );
}

#[test]
fn the_flame_graph_is_svg_with_what_is_lost() {
    let folder = made("flame", &of_everything());
    let svg = exported(&folder, Format::Flame);
    assert!(
        svg.contains("ns::Box::put (300 ns"),
        "{}",
        &svg[svg.len() - 3000..]
    );
    assert!(svg.contains("12 events lost"));
    assert!(svg.contains("./demo &lt;fast&gt;"));
    is_balanced_xml(&svg);
    let empty = made("flame-empty", &[]);
    is_balanced_xml(&exported(&empty, Format::Flame));
}

/// Every tag that opens closes, in order: what a strict browser asks first.
fn is_balanced_xml(text: &str) {
    let mut open = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        if let Some(body) = rest.strip_prefix("<![CDATA[") {
            rest = &body[body.find("]]>").expect("CDATA ends")..];
            continue;
        }
        if let Some(body) = rest.strip_prefix("<!--") {
            rest = &body[body.find("-->").expect("a comment ends")..];
            continue;
        }
        let end = rest.find('>').expect("a tag ends");
        let tag = &rest[1..end];
        rest = &rest[end..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.starts_with(['?', '!']) && !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().expect("a name"));
        }
    }
    assert_eq!(open, [""; 0]);
}

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
struct Perfetto {
    begun: BTreeMap<String, u64>,
    instants: Vec<String>,
    flows: Vec<(u64, u64)>,
    /// By sequence.
    depth: BTreeMap<u64, i64>,
    times: BTreeMap<u64, Vec<u64>>,
}

/// Reads it as the format's description says, apart from the writer's code.
fn perfetto(bytes: &[u8]) -> Perfetto {
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

/// babeltrace2's text of the recording; `None` where it isn't installed, which is said.
fn babeltrace(folder: &Folder) -> Option<Vec<String>> {
    let recording = Recording::open(&folder.0.join("r.trace")).expect("just written");
    let ctf = folder.0.join("ctf");
    let _ = fs::remove_dir_all(&ctf);
    export::export_ctf(&Story::new(&recording), ctf.clone()).expect("exported");
    let mut command = Command::new("babeltrace2");
    command.args(["--clock-cycles", "--no-delta"]).arg(&ctf);
    let Ok(output) = command.output() else {
        eprintln!("skipped: babeltrace2 is not installed (apt-get install babeltrace2)");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    Some(text.lines().map(str::to_owned).collect())
}

#[test]
fn babeltrace_reads_ctf_back() {
    let folder = made("ctf", &of_everything());
    let Some(lines) = babeltrace(&folder) else {
        return;
    };
    let has = |parts: &[&str]| {
        let found = lines
            .iter()
            .any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "{parts:?} is not in {lines:#?}");
    };
    has(&["1100", " call:", "ns::Box::put"]);
    has(&[
        "1400",
        " return:",
        "ns::Box::put",
        "duration_ns = 300, self_ns = 290",
    ]);
    has(&[
        "1800",
        "cut_return:",
        "a \\\"b\\\"; <c>",
        "why = \"left by longjmp\"",
    ]);
    has(&["2400", "span_begin:", "first = 0x7000, second = 1"]);
    has(&["2450", "message:", "received = 0", "number = 11"]);
    has(&["mark:", "phase"]);
    has(&["lost:", "count = 12"]);
    has(&["3001", "cut_return:", "still open"]);
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let folder = made("ctf-full", &of_everything());
    let recording = Recording::open(&folder.0.join("r.trace")).expect("just written");
    let told = export::export_ctf(&Story::new(&recording), folder.0.clone())
        .expect_err("it has the recording");
    assert!(told.contains("isn't empty"), "{told}");
}

#[test]
fn a_full_disk_is_told_and_leaves_the_old_file() {
    let folder = made("full", &of_everything());
    let recording = Recording::open(&folder.0.join("r.trace")).expect("just written");
    let story = Story::new(&recording);
    let output = Output::file(Path::new("/dev/full")).expect("it can be opened");
    let told = export::export(&story, Format::Chrome, output).expect_err("nothing fits");
    assert!(
        told.contains("cannot write /dev/full: No space left"),
        "{told}"
    );
    // What isn't committed leaves no trace.
    let path = folder.0.join("kept");
    fs::write(&path, "old").expect("the folder is writable");
    drop(Output::file(&path).expect("the folder is writable"));
    assert_eq!(fs::read_to_string(&path).expect("still there"), "old");
    assert_eq!(fs::read_dir(&folder.0).expect("there").count(), 2);
}

#[test]
fn equal_recordings_give_equal_exports() {
    let (one, other) = (
        made("same-1", &of_everything()),
        made("same-2", &of_everything()),
    );
    for format in [
        Format::Chrome,
        Format::Perfetto,
        Format::FoldedTime,
        Format::Flame,
        Format::JsonLines,
        Format::Tree,
    ] {
        assert_eq!(
            exported_bytes(&one, format),
            exported_bytes(&other, format),
            "{format:?}"
        );
    }
}

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

fn any_thread() -> impl Strategy<Value = Vec<Event>> {
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

#[test]
fn ctf_of_random_threads_is_read_back_whole() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..4 {
        let threads = prop::collection::vec(any_thread(), 1..4);
        let threads = threads.new_tree(&mut runner).expect("threads").current();
        let folder = made("ctf-random", &threads);
        let recording = Recording::open(&folder.0.join("r.trace")).expect("just written");
        let path = folder.0.join("out");
        let output = Output::file(&path).expect("the folder is writable");
        let Exported { steps, .. } =
            export::export(&Story::new(&recording), Format::Chrome, output).expect("exported");
        let Some(lines) = babeltrace(&folder) else {
            return;
        };
        assert_eq!(lines.len() as u64, steps);
        let count = |name: &str| lines.iter().filter(|line| line.contains(name)).count();
        assert_eq!(
            count(" call:") + count(" span_begin:"),
            count(" return:") + count(" cut_return:")
        );
    }
}
