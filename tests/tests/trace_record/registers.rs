//! What optimized code keeps in registers is changed where a thread is held: the program goes on with it. What is nowhere is refused.

use umbel_tests::cluster::{LIMIT, Running};

use super::Folder;
use super::debug::refused;
use super::places::held;

/// Lets it go on to its end; what it has written.
#[track_caller]
fn finish(folder: &Folder, running: Running) -> String {
    folder.ctl(&["trigger", "clear"]);
    folder.ctl(&["continue"]);
    let outcome = running.wait(LIMIT);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    outcome.stdout
}

#[track_caller]
fn set(folder: &Folder, frame: &str, change: &str, answer: &str) {
    let line = folder.ctl(&["set", frame, change]);
    assert_eq!(line.trim_end(), answer, "{change}");
}

#[test]
fn variables_in_registers_and_in_memory_are_changed_with_optimization() {
    let folder = Folder::compile("registers", &[]);
    // The third round: 1 * (1 + 3 + 1) was added twice.
    let running = held(&folder, "ask.number == 2");
    let stack = folder.ctl(&["bt"]);
    assert!(stack.contains("turn(step=1, letter=97 'a')"), "{stack}");
    // What is known of a record is shown, though the rest isn't there.
    assert_eq!(
        folder.ctl(&["print", "-#1", "pair"]),
        "pair = {first = 1, second = <optimized out>}\n"
    );
    // In registers that calls keep.
    set(
        &folder,
        "-#1",
        "step = 100",
        "step = 100 (before: step = 1)",
    );
    set(
        &folder,
        "-#1",
        "sum = -1000",
        "sum = -1000 (before: sum = 10)",
    );
    // In memory: its address is known elsewhere; a register that no call keeps was put there.
    set(&folder, "-#1", "kept = 50", "kept = 50 (before: kept = 3)");
    set(
        &folder,
        "-#1",
        "part = 8.5",
        "part = 8.5 (before: part = 0.25)",
    );
    for (change, why) in [
        ("letter = 'z'", "letter can't be set: "),
        (
            "pair.first = 9",
            "pair.first can't be set: its parts are in several places",
        ),
        ("pair.second = 9", "pair.second can't be set: "),
        ("round = 1", "round is <optimized out> there"),
    ] {
        let error = refused(&folder, &["set", "-#1", change]);
        assert!(error.contains(why), "{change}: {error}");
    }
    // 100 + 50 + 1, the copy of the former `step` in `pair`, is added once.
    assert!(
        finish(&folder, running).starts_with("-849 50 8.5 1 388 a\n"),
        "the program has gone on with other values"
    );
}

#[test]
fn arguments_in_registers_are_changed_at_the_call_and_above_it() {
    let folder = Folder::compile("registers", &[]);
    for (condition, frame) in [("told", "-"), ("ask.number == 5", "-#1")] {
        let _ = std::fs::remove_file(folder.recording());
        let running = held(&folder, condition);
        set(
            &folder,
            frame,
            "number = 7",
            "number = 7 (before: number = 5)",
        );
        set(
            &folder,
            frame,
            "part = 3.5",
            "part = 3.5 (before: part = 1.5)",
        );
        let written = finish(&folder, running);
        assert_eq!(written, "15 3 0.25 1 388 a\n15 71\n", "{condition}");
    }
}
