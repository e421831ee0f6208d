//! Triggers of real programs: they fire at the right calls, whatever is recorded, and do what they say.

use umbel_tests::cluster::{LIMIT, holds_within, start, umbel};
use umbel_tracer::recording::{Kind, Recording};

use super::{Folder, Running, count};

/// Texts among the calls, in order of time.
pub fn marks(folder: &Folder) -> Vec<String> {
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

#[test]
fn variables_are_compared_in_the_program() {
    for flags in [&["-O0"][..], &["-O2"], &["-O3", "-fno-omit-frame-pointer"]] {
        let folder = Folder::compile("judged", flags);
        // With optimization only the caller knows an argument that is looked at once, and a result may be computed behind the hook.
        let plain = [("scale.c >= 250", 2), ("scale returns > 200", 30)];
        let plain = plain.into_iter().filter(|_| flags == ["-O0"]);
        for (condition, fires) in [
            ("scale.n > 40", 9),
            ("scale.n >= -1.5 and scale.n < 1", 2),
            ("scale.n < -45 or scale.n == 3", 6),
            ("scale.x > 24.5", 1),
            ("scale.f == 0.25", 1),
            ("scale.colour == GREEN", 10),
            ("scale.colour != RED and scale.n > 0", 4),
            ("scale.list->next->value == 42", 1),
            // Every tenth has no second: it isn't less than anything.
            ("scale.list->next->value < 20", 18),
            ("scale.list.next == null", 10),
            ("scale.list->value < scale.n", 74),
            ("twice.n == 7", 1),
            ("twice returns == 84", 1),
            ("twice returns >= 180 and depth == 2 and count == 2", 1),
        ]
        .into_iter()
        .chain(plain)
        {
            let trigger = format!("when {condition} then mark \"here\"");
            let outcome = folder.record(&["--trigger", &trigger], &[]);
            let marks = marks(&folder);
            let count = marks.iter().filter(|text| *text == "here").count();
            assert_eq!(count, fires, "{flags:?} {condition}: {outcome}");
        }
    }
}

#[test]
fn what_cannot_be_judged_is_said() {
    let folder = Folder::compile("judged", &[]);
    for (condition, reason) in [
        ("twice.m == 7", "it has no variable m"),
        ("scale.list == scale.x", "one side is a whole number"),
        ("scale.colour == BLUE", "has no enumerator BLUE"),
        ("scale.list->prior == null", "there is no member prior"),
        ("scale.n > 1e30", "is never so large"),
    ] {
        let trigger = format!("when {condition} then mark \"here\"");
        let outcome = folder.record(&["--trigger", &trigger], &[]);
        assert!(outcome.stderr.contains(reason), "{condition}: {outcome}");
    }
}

#[test]
fn a_thread_stops_and_goes_on_while_others_run() {
    let folder = Folder::compile("judged", &[]);
    let options = ["--trigger", "here: when twice.n == 7 then snapshot, stop"];
    let mut command = folder.command(&options, &[]);
    let running = start(&mut command, b"");
    assert!(holds_within(LIMIT, || {
        folder.recording().exists() && folder.ctl(&["threads"]).contains("waits: trigger here")
    }));
    let refused = start(
        umbel(&["trace", "ctl", "-s"])
            .arg(folder.recording())
            .args(["continue", "1"]),
        b"",
    );
    assert_eq!(refused.wait(LIMIT).status, Some(1));
    let listed = folder.ctl(&["snapshot"]);
    assert!(listed.contains(".snapshot-2"), "{listed}");
    assert_eq!(folder.ctl(&["continue"]), "threads that go on: 1\n");
    let outcome = running.wait(LIMIT);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    for number in [1, 2] {
        let path = folder.path.join(format!("a.trace.snapshot-{number}"));
        let text = std::fs::read_to_string(path).expect("it was written");
        assert!(
            text.contains("#0  twice(n=7)") && text.contains("main"),
            "{text}"
        );
    }
    assert_eq!(count(&folder.calls(), "twice"), 100);
}
