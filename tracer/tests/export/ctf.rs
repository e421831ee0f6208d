//! The Common Trace Format, read back by babeltrace2.

use std::fs;
use std::process::Command;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use umbel_tracer::export::{self, Exported, Format, Output};
use umbel_tracer::recording::Recording;
use umbel_tracer::view::story::Story;

use crate::common::{Folder, of_everything};
use crate::made;
use crate::random::any_thread;

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
