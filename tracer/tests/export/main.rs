//! Exports of recordings that were made by hand, and of random ones.

#[path = "../common/mod.rs"]
mod common;
mod ctf;
mod perfetto;
mod random;

use std::fs;
use std::path::Path;

use serde_json::Value;
use umbel_tracer::export::{self, Format, Output};
use umbel_tracer::recording::{Event, Recording};
use umbel_tracer::view::story::Story;

use common::{Folder, of_everything, record};

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
