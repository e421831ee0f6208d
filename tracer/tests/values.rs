//! Values of events in all views: of a recording that was made by hand.

mod common;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use umbel_trace_ring::plan::{Op as PlanOp, Opcode, PlanHead};
use umbel_tracer::export::{Format, Output, export, export_ctf};
use umbel_tracer::recording::{Event, Kind as EventKind, Recording};
use umbel_tracer::view::replay::replay;
use umbel_tracer::view::select::Selection;
use umbel_tracer::view::story::Story;
use umbel_tracer::view::text::TextOptions;
use umbel_tracer::view::tui::{App, Model};
use umbel_values::plan::Kind;
use umbel_values::{
    Address, DescribedFrame, Description, Encoding, Kept, Op, Place, Type, TypeId, Variable,
};

use common::{BIAS, Folder, call, of_everything, record, record_values, ret};

const INT: TypeId = TypeId(0);
const TEXT: TypeId = TypeId(2);

fn types() -> Vec<Type> {
    let base = |name: &str, size, encoding| Type {
        name: name.into(),
        size: Some(size),
        kind: umbel_values::Kind::Base(encoding),
    };
    let pointer = Type {
        name: "".into(),
        size: Some(8),
        kind: umbel_values::Kind::Pointer(TypeId(1)),
    };
    vec![
        base("int", 4, Encoding::Signed),
        base("char", 1, Encoding::SignedChar),
        pointer,
    ]
}

fn variable(name: &str, of: TypeId, place: Place) -> Variable {
    Variable {
        name: name.into(),
        of,
        place,
        is_artificial: false,
    }
}

fn on_stack(offset: i64) -> Place {
    Place::Memory(Address {
        ops: vec![Op::FrameAddress(offset)],
    })
}

/// A plan that appends 16 bytes of the frame's stack from its address minus 32 on.
fn plan(number: u32, kind: Kind, frame: DescribedFrame, result: Option<Variable>) -> Kept {
    let head = PlanHead {
        payload_words: 100,
        depth: 1,
        regions: 8,
        number,
    };
    let stack = PlanOp {
        opcode: Opcode::Stack,
        register: umbel_trace_ring::plan::CFA,
        bytes: 16,
        offset: -32,
    };
    let last = match kind {
        Kind::Enter => Opcode::Caller,
        Kind::Exit | Kind::Caller => Opcode::End,
    };
    Kept {
        number,
        bias: BIAS,
        description: Description {
            kind,
            words: [head.pack(), stack.pack(), PlanOp::plain(last).pack(), 0, 0].into(),
            frame_address: None,
            frames: vec![frame],
            result,
            entries: Vec::new(),
            callee: None,
            target: None,
            entry: None,
        },
    }
}

fn frame(name: &str, arguments: Vec<Variable>, locals: Vec<Variable>) -> DescribedFrame {
    DescribedFrame {
        name: name.into(),
        linkage: None,
        is_inline: false,
        arguments,
        locals,
    }
}

fn plans() -> Vec<Kept> {
    let n = variable("n", INT, on_stack(-32));
    let s = variable("s", TEXT, on_stack(-24));
    let lost = variable("gone", INT, Place::OptimizedOut);
    let result = variable("", INT, on_stack(-28));
    vec![
        plan(
            1,
            Kind::Enter,
            frame("work", vec![n.clone(), s, lost], Vec::new()),
            None,
        ),
        plan(
            2,
            Kind::Exit,
            frame("work", Vec::new(), Vec::new()),
            Some(result),
        ),
        plan(
            3,
            Kind::Caller,
            frame("main", Vec::new(), vec![n.clone()]),
            None,
        ),
        plan(4, Kind::Exit, frame("leaf", Vec::new(), vec![n]), None),
    ]
}

fn values(ticks: u64, payload: &[u64]) -> Event {
    Event {
        ticks,
        kind: EventKind::Values(payload.into()),
    }
}

/// `main` calls `work(5, "ab\n")` twice, which calls `leaf`.
fn events() -> Vec<Event> {
    let text_at = 0x4000;
    let text = [1, text_at, 4, u64::from_le_bytes(*b"ab\n\0\0\0\0\0")];
    let entry = [&[1, 5, text_at][..], &text, &[3, 77, 0, 0, 0]].concat();
    vec![
        call(1000, 0),
        // A call whose values are another's, and one whose plan nobody knows.
        values(999, &[1, 9, 9, 0]),
        call(1100, 1),
        values(1100, &entry),
        call(1200, 5),
        values(1200, &[99, 1, 2]),
        ret(1300, 5),
        values(1300, &[4, 3, 0, 0]),
        ret(1400, 1),
        values(1400, &[2, 8 << 32, 0, 0]),
        call(1500, 1),
        values(1500, &[1, 6, 0, 0, 0]),
        ret(1600, 1),
        // A plan for calls, at a return.
        values(1600, &[1, 9, 9, 0, 0]),
        ret(1700, 0),
    ]
}

fn recorded(name: &str) -> (Folder, Recording) {
    let folder = Folder::new(name);
    let path = folder.0.join("r.trace");
    record_values(&path, &[events()], &types(), &plans());
    let recording = Recording::open(&path).expect("just written");
    assert_eq!(recording.damage(), []);
    (folder, recording)
}

fn exported(name: &str, format: Format) -> Vec<u8> {
    let (folder, recording) = recorded(name);
    let file = folder.0.join("out");
    let output = Output::file(&file).expect("the folder is writable");
    export(&Story::new(&recording), format, output).expect("written");
    std::fs::read(&file).expect("just written")
}

#[test]
fn the_tree_shows_arguments_results_and_variables() {
    let (_folder, recording) = recorded("values-replay");
    let mut out = Vec::new();
    let story = Story::new(&recording);
    replay(
        &story,
        &Selection::default(),
        TextOptions::default(),
        &mut out,
    )
    .expect("a Vec takes everything");
    let expected = r#"main() {
  work(n=5, s=0x4000 "ab\n", gone=<optimized out>) {
    /* main: n = 77 */
    leaf() {
      /* n = 3 */
    }  100 ns  /* leaf */
  } = 8  300 ns  /* work */
  work(n=6, s=0x0, gone=<optimized out>);  100 ns
}  700 ns  /* main */
"#;
    assert_eq!(String::from_utf8(out).expect("text"), expected);
}

#[test]
fn exports_carry_values_in_their_own_ways() {
    let lines = String::from_utf8(exported("values-jsonl", Format::JsonLines)).expect("text");
    let with_values: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is an object"))
        .filter(|line: &serde_json::Value| line.get("values").is_some())
        .map(|line| line["values"].clone())
        .collect();
    assert_eq!(with_values.len(), 4);
    let expected = serde_json::json!({
        "arguments": [
            { "name": "n", "type": "int", "value": "5" },
            { "name": "s", "type": "char *", "value": { "ptr": "0x4000", "to": { "text": "ab\n", "complete": true } } },
            { "name": "gone", "type": "int", "value": { "absent": "optimized out" } },
        ],
        "caller": { "function": "main", "arguments": [], "locals": [{ "name": "n", "type": "int", "value": "77" }] },
    });
    assert_eq!(with_values[0], expected);
    assert_eq!(with_values[1]["locals"][0]["value"], "3");
    assert_eq!(with_values[2]["returned"], "8");

    let chrome = exported("values-chrome", Format::Chrome);
    let chrome: serde_json::Value = serde_json::from_slice(&chrome).expect("JSON");
    let events = chrome["traceEvents"].as_array().expect("a list");
    let has = |key: &str, value: &str| events.iter().any(|event| event["args"][key] == value);
    assert!(has("s", "0x4000 \"ab\\n\"") && has("main: n", "77") && has("returns", "8"));

    let contains = |bytes: &[u8], text: &str| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    let perfetto = exported("values-perfetto", Format::Perfetto);
    // Field 10: the name; field 4: the number.
    assert!(contains(&perfetto, "\u{52}\u{1}n\u{20}\u{5}"));
    assert!(contains(&perfetto, "\u{52}\u{7}returns\u{20}\u{8}"));

    let (folder, recording) = recorded("values-ctf");
    let ctf = folder.0.join("ctf");
    export_ctf(&Story::new(&recording), ctf.clone()).expect("written");
    let stream = std::fs::read(ctf.join("thread_0000")).expect("one thread");
    assert!(contains(
        &stream,
        "n=5, s=0x4000 \"ab\\n\", gone=<optimized out>\0main: n = 77\0"
    ));
    let metadata = std::fs::read_to_string(ctf.join("metadata")).expect("text");
    assert!(metadata.contains("call_with_values"));
}

#[test]
fn payloads_without_plans_change_nothing() {
    let folder = Folder::new("values-none");
    let shown = |events: &[Vec<Event>]| {
        let path = folder.0.join("r.trace");
        record(&path, events);
        let recording = Recording::open(&path).expect("just written");
        let mut out = Vec::new();
        let story = Story::new(&recording);
        replay(
            &story,
            &Selection::default(),
            TextOptions::default(),
            &mut out,
        )
        .expect("a Vec takes everything");
        String::from_utf8(out).expect("text")
    };
    let plain = of_everything();
    let mut with = plain.clone();
    with[0].insert(1, values(plain[0][0].ticks, &[1, 5, 6, 0, 0]));
    assert_eq!(shown(&with), shown(&plain));
}

#[test]
fn the_time_line_shows_values_where_there_is_room() {
    let (_folder, recording) = recorded("values-tui");
    let mut app = App::new(Model::read(&Story::new(&recording)));
    app.key(KeyEvent::new(KeyCode::Char('3'), KeyModifiers::NONE));
    let mut terminal = Terminal::new(TestBackend::new(200, 12)).expect("a table");
    terminal
        .draw(|frame| app.draw(frame))
        .expect("a table takes everything");
    let cells = terminal.backend().buffer().content().iter();
    let text: String = cells.map(|cell| cell.symbol()).collect();
    assert!(
        text.contains("work(n=5, s=0x4000 \"ab\\n\", gone=<optimized out>) = 8"),
        "{text}"
    );
}
