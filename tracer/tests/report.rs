//! Reports count what a program did: against numbers worked out by hand and a count by other means.

mod recordings;

use std::collections::BTreeMap;

use recordings::{Random, Temporary, random_events};
use umbel_tracer::recording::{
    ClockKind, Event, Image, Kind, ModuleInfo, Name, ProcessInfo, ProcessSerial, Recording,
    SessionInfo, ThreadInfo, ThreadSerial, Writer,
};
use umbel_tracer::report::{Difference, Profile, Selection, Sort, TextOptions};

const PROCESS: ProcessSerial = ProcessSerial(1);
const BIAS: u64 = 0x5555_0000_0000;
const MAIN: u64 = 0x10;
const WORK: u64 = 0x20;
const LEAF: u64 = 0x30;

/// A recording of a program with the functions main, work and leaf, whose threads do this; a tick is a nanosecond.
fn record(file: &Temporary, threads: &[Vec<(u64, Kind)>]) -> Recording {
    let written = "a temporary file";
    let session = SessionInfo {
        clock: ClockKind::Monotonic,
        command: vec!["./prog".into()],
        ..SessionInfo::default()
    };
    let mut writer = Writer::create(&file.0, &session).expect(written);
    let process = ProcessInfo {
        serial: PROCESS,
        pid: 100,
        ..ProcessInfo::default()
    };
    writer.process(&process).expect(written);
    let module = ModuleInfo {
        process: PROCESS,
        bias: BIAS,
        begin: BIAS,
        end: BIAS + 0x1000,
        path: "/nowhere/prog".into(),
        ..ModuleInfo::default()
    };
    writer.module(&module).expect(written);
    let names = [(MAIN, "main"), (WORK, "work"), (LEAF, "leaf")].map(|(offset, name)| Name {
        offset,
        name: name.into(),
        file: "prog.c".into(),
        line: offset as u32,
    });
    let image: Image = module.image();
    writer.names(&image, &names).expect(written);
    for (index, events) in threads.iter().enumerate() {
        let thread = ThreadInfo {
            serial: ThreadSerial(index as u64 + 1),
            process: PROCESS,
            tid: 101 + index as u32,
            name: ["first", "second"][index % 2].into(),
            ..ThreadInfo::default()
        };
        writer.thread(&thread).expect(written);
        let event = |(ticks, kind): &(u64, Kind)| Event {
            ticks: *ticks,
            kind: kind.clone(),
        };
        let events: Vec<Event> = events.iter().map(event).collect();
        let positions = 0..events.len() as u64;
        writer
            .events(thread.serial, PROCESS, positions, &events)
            .expect(written);
    }
    writer.finish(0).expect(written);
    Recording::open(&file.0).expect("just written")
}

fn call(ticks: u64, function: u64) -> (u64, Kind) {
    (ticks, Kind::Call(BIAS + function))
}

fn ret(ticks: u64, function: u64) -> (u64, Kind) {
    (ticks, Kind::Return(BIAS + function))
}

/// main 0..1000, in it work 100..600, in that work 200..500 (a recursion) with leaf 300..340.
fn recursion() -> Vec<(u64, Kind)> {
    vec![
        call(0, MAIN),
        call(100, WORK),
        call(200, WORK),
        call(300, LEAF),
        ret(340, LEAF),
        ret(500, WORK),
        ret(600, WORK),
        ret(1000, MAIN),
    ]
}

fn profile(recording: &Recording, tree: bool) -> Profile {
    let selection = Selection {
        tree,
        ..Selection::default()
    };
    Profile::of(recording, &selection).expect("memory for decoders")
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("to memory");
    String::from_utf8(out).expect("written as text")
}

#[test]
fn a_recursion_counts_a_moment_once() {
    let file = Temporary::new("recursion");
    let recording = record(&file, &[recursion()]);
    let profile = profile(&recording, true);
    let options = TextOptions {
        percentiles: vec![50.0],
        ..TextOptions::default()
    };
    assert_eq!(
        text(|out| profile.write_functions(&options, out)),
        "\
CALLS     TOTAL    SELF  SELF %       MIN   AVERAGE       MAX       P50  FUNCTION
    1  1.000 us  500 ns    50.0  1.000 us  1.000 us  1.000 us  1.000 us  main
    2    500 ns  460 ns    46.0    300 ns    400 ns    500 ns    300 ns  work
    1     40 ns   40 ns     4.0     40 ns     40 ns     40 ns     40 ns  leaf
"
    );
    assert_eq!(
        text(|out| profile.write_tree(&options, out)),
        "\x20  TOTAL  TOTAL %    SELF  CALLS  FUNCTION
1.000 us    100.0  500 ns      1  main
  500 ns     50.0  200 ns      1    work
  300 ns     30.0  260 ns      1      work
   40 ns      4.0   40 ns      1        leaf
"
    );
    assert_eq!(text(|out| profile.write_warnings(out)), "");
    let head = text(|out| profile.write_head(&recording, out));
    assert_eq!(head, "./prog: 8 events of 1 thread in 1.000 us\n\n");
}

#[test]
fn threads_add_up_and_can_be_chosen() {
    let file = Temporary::new("threads");
    let other = vec![call(50, WORK), ret(80, WORK)];
    let recording = record(&file, &[recursion(), other]);
    let all = profile(&recording, true);
    let calls = |profile: &Profile| -> BTreeMap<String, u64> {
        let functions = profile.functions.iter();
        functions
            .map(|function| (function.name.to_string(), function.statistics.calls))
            .collect()
    };
    let expected = [("leaf", 1), ("main", 1), ("work", 3)];
    assert_eq!(
        calls(&all),
        expected
            .map(|(name, calls)| (name.to_owned(), calls))
            .into()
    );
    let roots = all.tree.as_ref().map(|tree| tree.children()[0].len());
    assert_eq!(roots, Some(2), "main, and work as the second thread's");
    for name in ["second", "102", "2"] {
        let selection = Selection {
            threads: vec![name.to_owned()],
            ..Selection::default()
        };
        let one = Profile::of(&recording, &selection).expect("memory for decoders");
        assert_eq!(calls(&one), [("work".to_owned(), 1)].into(), "{name}");
    }
    assert_eq!(
        text(|out| all.write_threads(&TextOptions::default(), out)),
        "\
PID  TID  BEGIN       END  EVENTS  LOST  DEPTH  THREAD
100  101   0 ns  1.000 us       8     0      4  first
100  102  50 ns     80 ns       2     0      1  second
"
    );
}

#[test]
fn what_is_missing_is_told() {
    let file = Temporary::new("missing");
    let lost = (
        400,
        Kind::Lost {
            count: 12,
            until: 450,
        },
    );
    let events = vec![
        call(0, MAIN),
        (10, Kind::SetJump(1)),
        call(100, WORK),
        (200, Kind::LongJump(1)),
        call(300, WORK),
        lost,
        ret(500, LEAF),
        ret(600, WORK),
    ];
    let recording = record(&file, &[events]);
    let profile = profile(&recording, false);
    assert_eq!(profile.lost, 12);
    assert_eq!(
        text(|out| profile.write_warnings(out)),
        "
calls still open when the recording ended: 1
calls left by longjmp: 1
returns whose calls were not recorded: 1
12 events lost: dropped while recording
"
    );
    let json = text(|out| profile.write_json(&recording, &TextOptions::default(), out));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["lost"], 12);
    assert_eq!(json["functions"][0]["name"], "main");
    assert_eq!(json["functions"][0]["still_open"], 1);
    assert_eq!(json["functions"][1]["calls"], 2);
}

#[test]
fn functions_are_chosen_and_ordered() {
    let file = Temporary::new("order");
    let profile = profile(&record(&file, &[recursion()]), false);
    let names = |options: &TextOptions| -> Vec<String> {
        let functions = profile.sorted(options).into_iter();
        functions
            .map(|function| function.name.to_string())
            .collect()
    };
    let by = |sort| TextOptions {
        sort,
        ..TextOptions::default()
    };
    assert_eq!(names(&by(Sort::Calls)), ["work", "leaf", "main"]);
    assert_eq!(names(&by(Sort::Name)), ["leaf", "main", "work"]);
    assert_eq!(names(&by(Sort::Percentile(50.0))), ["main", "work", "leaf"]);
    let chosen = |texts: &[&str]| TextOptions {
        functions: texts.iter().map(|text| text.to_string()).collect(),
        ..TextOptions::default()
    };
    assert_eq!(names(&chosen(&["or"])), ["work"]);
    assert_eq!(names(&chosen(&["?ain", "leaf"])), ["main", "leaf"]);
    assert_eq!(
        names(&chosen(&["prog"])),
        ["main", "work", "leaf"],
        "the library's name"
    );
    let long = TextOptions {
        total_min_ns: 100.0,
        limit: Some(1),
        ..TextOptions::default()
    };
    assert_eq!(names(&long), ["main"]);
}

#[test]
fn a_difference_has_signs_and_says_what_is_new_and_gone() {
    let (before, after) = (Temporary::new("before"), Temporary::new("after"));
    let first = record(
        &before,
        &[vec![
            call(0, MAIN),
            call(100, LEAF),
            ret(200, LEAF),
            ret(1000, MAIN),
        ]],
    );
    let second = record(
        &after,
        &[vec![
            call(0, MAIN),
            call(100, WORK),
            ret(300, WORK),
            call(400, WORK),
            ret(600, WORK),
            ret(1500, MAIN),
        ]],
    );
    let difference = Difference::of(&profile(&first, false), &profile(&second, false));
    assert_eq!(
        text(|out| difference.write(&TextOptions::default(), out)),
        "\
CALLS  +/-     TOTAL      +/-         %      SELF      +/-         %  FUNCTION
    1    0  1.500 us  +500 ns   +50.0 %  1.100 us  +200 ns   +22.2 %  main
    2   +2    400 ns  +400 ns              400 ns  +400 ns            work (new)
    0   -1      0 ns  -100 ns  -100.0 %      0 ns  -100 ns  -100.0 %  leaf (gone)
"
    );
    let none = Difference::of(&profile(&first, false), &profile(&first, false));
    let changed = TextOptions {
        total_min_ns: 1.0,
        ..TextOptions::default()
    };
    assert_eq!(
        none.sorted(&changed).len(),
        0,
        "nothing is different from itself"
    );
}

/// Calls are those that a plain count of the events gives, whatever else is in them.
#[test]
fn calls_are_those_in_the_events() {
    let file = Temporary::new("counted");
    let mut random = Random::new(11);
    for _ in 0..20 {
        let events = random_events(&mut random, 3000);
        let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
        for event in &events {
            if let Kind::Call(address) = event.kind {
                *expected.entry(address).or_default() += 1;
            }
        }
        let thread = events
            .into_iter()
            .map(|event| (event.ticks, event.kind))
            .collect();
        let profile = profile(&record(&file, &[thread]), true);
        let all: u64 = profile
            .functions
            .iter()
            .map(|function| function.statistics.calls)
            .sum();
        assert_eq!(all, expected.values().sum::<u64>());
        let tree = profile.tree.as_ref().expect("it was wanted");
        assert_eq!(all, tree.nodes().iter().map(|node| node.calls).sum::<u64>());
        let mut counts: Vec<u64> = profile
            .functions
            .iter()
            .map(|function| function.statistics.calls)
            .collect();
        counts.retain(|&calls| calls > 0);
        counts.sort_unstable();
        let mut expected: Vec<u64> = expected.into_values().collect();
        expected.sort_unstable();
        assert_eq!(counts, expected);
    }
}
