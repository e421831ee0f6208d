//! Triggers of real programs: they fire at the right calls, whatever is recorded, and do what they say.

use umbel_tests::cluster::{LIMIT, holds_within, start, umbel};
use umbel_tracer::recording::{Kind, Recording};

use super::{Folder, Running, count};

/// Texts among the calls, in order of time.
fn marks(folder: &Folder) -> Vec<String> {
    let recording = Recording::open(&folder.recording()).expect("there is a recording");
    let mut marks = Vec::new();
    for thread in recording.threads() {
        for event in recording.events(thread.serial) {
            if let Kind::Mark(text) = event.kind {
                marks.push((event.ticks, text.to_string()));
            }
        }
    }
    marks.sort_by_key(|(ticks, _)| *ticks);
    marks.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn slow_calls_are_marked() {
    let folder = Folder::compile("nested", &[]);
    let trigger = "slow: when level3 returns and duration > 1 ms then mark \"slow\"";
    folder.record(&["--trigger", trigger], &[]);
    let calls = folder.calls();
    assert_eq!(count(&calls, "level3"), 10);
    // The calls 0 and 5 sleep for 2 ms; another may be slow because the machine is busy.
    let marks = marks(&folder);
    let slow = marks.iter().filter(|text| *text == "slow").count();
    assert!((2..10).contains(&slow), "{marks:?}");
    let titles = marks.iter().filter(|text| *text == "trigger slow").count();
    assert_eq!(titles, slow);
}

#[test]
fn what_is_excluded_fires_and_is_not_recorded() {
    let folder = Folder::compile("nested", &[]);
    for patching in [&[][..], &["--no-patch"]] {
        let options = [
            "-x",
            "level1",
            "--trigger",
            "when level1 and count == 3 then mark \"third\", disable level3",
        ];
        folder.record(&[&options, patching].concat(), &[]);
        let calls = folder.calls();
        assert_eq!(count(&calls, "level1"), 0);
        assert_eq!(count(&calls, "level2"), 10);
        assert_eq!(marks(&folder), ["trigger 1", "third"]);
    }
}

#[test]
fn recording_begins_and_ends_by_triggers() {
    let folder = Folder::compile("workers", &[]);
    let options = [
        "--off",
        "--trigger",
        "begin: when outer and count == 100 then start recording",
        "--trigger",
        "end: when outer and count == 100 then stop recording after 20 ms",
    ];
    let running = Running::start(&folder, &options);
    let is_over = || {
        let status = folder.ctl(&["status"]);
        let list = folder.ctl(&["trigger", "list"]);
        status.contains("tracing is off") && list.matches("(fired: 1)").count() == 2
    };
    assert!(holds_within(LIMIT, is_over), "{}", folder.ctl(&["status"]));
    running.rounds();
    let (outers, _) = super::counts(&running.end());
    let recorded = count(&folder.calls(), "outer");
    assert!(
        recorded > 0 && recorded + 100 <= outers,
        "{recorded} of {outers}"
    );
    let marks = marks(&folder);
    assert_eq!(marks.len(), 2, "{marks:?}");
}

#[test]
fn triggers_are_set_and_taken_away_while_threads_run() {
    let folder = Folder::compile("workers", &[]);
    let running = Running::start(&folder, &[]);
    let answer = folder.ctl(&[
        "trigger",
        "set",
        "stop-it: when inner and thread != 1 then stop recording",
    ]);
    assert_eq!(answer, "trigger 1\n");
    assert!(holds_within(LIMIT, || folder
        .ctl(&["status"])
        .contains("tracing is off")));
    assert!(
        folder
            .ctl(&["trigger", "set", "when nothing_of_this_name then snapshot"])
            .contains("no function")
    );
    folder.ctl(&["trigger", "del", "stop-it"]);
    assert!(
        folder
            .ctl(&["trigger", "list"])
            .starts_with("2 when nothing_of_this_name")
    );
    folder.ctl(&["on"]);
    running.rounds();
    assert!(folder.ctl(&["status"]).contains("tracing is on"));
    folder.ctl(&["trigger", "clear"]);
    assert_eq!(folder.ctl(&["trigger", "list"]), "");
    running.end();
}

#[test]
fn a_wrong_trigger_is_refused_before_anything_runs() {
    let folder = Folder::compile("nested", &[]);
    let outcome = folder.record(&["--trigger", "when level3.n > then stop"], &[]);
    assert_eq!(outcome.status, Some(2), "{outcome}");
    assert!(
        outcome.stderr.contains("column 17: expected a number"),
        "{outcome}"
    );
    let mut command = umbel(&["trace", "ctl", "trigger", "set"]);
    let outcome = start(command.arg("when").current_dir(&folder.path), b"").wait(LIMIT);
    assert_eq!(
        outcome.status,
        Some(125),
        "nothing records there: {outcome}"
    );
}
