//! What programs and systems do that a tracer could stumble over: another user, cancellation anywhere, locked memory, a full disk.

use std::process::Command;

use umbel_tests::cluster::{LIMIT, Outcome, start, umbel};
use umbel_tracer::recording::Recording;

use super::{Folder, count, counts};

/// The program alone: its output is what it must be under the tracer too.
#[track_caller]
fn alone(folder: &Folder, what: &str) -> Outcome {
    start(Command::new(folder.program()).arg(what), b"").wait(LIMIT)
}

/// Recorded, it gives the same output and status, and each step of it is there.
#[track_caller]
fn is_recorded_as_a_whole(what: &str) {
    let folder = Folder::compile("hard", &[]);
    let alone = alone(&folder, what);
    let traced = folder.record(&["--when-full", "wait"], &[what]);
    assert_eq!(
        (traced.status, &traced.stdout),
        (alone.status, &alone.stdout),
        "{traced}"
    );
    let (steps, _) = counts(&traced.stdout);
    assert_eq!(count(&folder.calls(), "step"), steps, "{traced}");
    assert!(traced.stderr.contains("; 0 lost"), "{traced}");
    folder.no_leftovers();
}

pub fn is_root() -> bool {
    // SAFETY: it only reads the process's user.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn a_program_that_becomes_another_user_is_recorded() {
    if !is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    is_recorded_as_a_whole("user");
}

#[test]
fn a_program_that_locks_its_memory_is_recorded() {
    is_recorded_as_a_whole("locked");
}

#[test]
fn a_program_s_heap_and_its_loader_s_errors_are_its_own() {
    is_recorded_as_a_whole("heap");
}

#[test]
fn threads_that_are_cancelled_in_the_middle_of_a_hook_leave_what_they_did() {
    let folder = Folder::compile("hard", &[]);
    let traced = folder.record(&["--when-full", "wait"], &["cancel"]);
    assert_eq!(traced.status, Some(0), "{traced}");
    let (steps, rounds) = counts(&traced.stdout);
    let recorded = count(&folder.calls(), "step");
    // Between the record of a call and the program's own count a thread may end: once each.
    assert!(
        (steps..=steps + rounds).contains(&recorded),
        "{recorded} recorded: {traced}"
    );
    assert!(traced.stderr.contains("; 0 lost"), "{traced}");
    folder.no_leftovers();
}

#[test]
fn with_umbel_trace_off_nothing_is_recorded_and_nothing_changes() {
    let folder = Folder::compile("hard", &[]);
    let mut command = folder.command(&[], &["plain"]);
    let traced = start(command.env("UMBEL_TRACE", "off"), b"").wait(LIMIT);
    assert_eq!(
        (traced.status, &*traced.stdout),
        (Some(0), "1000 0\n"),
        "{traced}"
    );
    assert_eq!(count(&folder.calls(), "step"), 0, "{traced}");
    folder.no_leftovers();
}

#[test]
fn the_live_command_shows_the_calls_and_leaves_output_and_status_alone() {
    let folder = Folder::compile("nested", &[]);
    let mut command = umbel(&["trace"]);
    command.arg(folder.program()).current_dir(&folder.path);
    let traced = start(&mut command, b"").wait(LIMIT);
    assert_eq!((traced.status, &*traced.stdout), (Some(0), ""), "{traced}");
    let calls = |name: &str| {
        // With its arguments or without.
        let call = format!("{name}(");
        traced
            .stderr
            .lines()
            .filter(|line| line.contains(&call))
            .count()
    };
    // A call that takes several lines is named again at its end.
    assert!(calls("main") >= 1, "{traced}");
    assert!(calls("level1") >= 10 && calls("level3") >= 10, "{traced}");
    let entries = std::fs::read_dir(&folder.path).expect("it is there");
    assert_eq!(entries.count(), 1, "only the program: nothing is stored");
    // A program's status is handed on.
    let folder = Folder::compile("family", &[]);
    let mut command = umbel(&["trace"]);
    command.arg(folder.program()).current_dir(&folder.path);
    assert_eq!(start(&mut command, b"").wait(LIMIT).status, Some(3));
}

/// A small file system, which only the commands in a script see. `fill` leaves no room on it.
const SMALL: &str = "mkdir -p small && mount -t tmpfs -o size=16m none small && \
    fill='head -c 16m /dev/zero > small/filler; exec ./program much'; ";

#[test]
fn a_full_disk_costs_records_that_are_counted_and_nothing_else() {
    let folder = Folder::compile("hard", &[]);
    let script = |text: &str| folder.run_mounting(&format!("{SMALL}{text}"));
    if script("true").status != Some(0) {
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let alone = alone(&folder, "much");
    assert_eq!(alone.status, Some(5));
    for options in ["--when-full drop", "--when-full wait", "--flight"] {
        let traced = script(&format!(
            "\"$UMBEL\" trace record --anyway --buffer 1M {options} -o small/a.trace sh -c \"$fill\"; \
             status=$?; cp small/a.trace .; rm small/filler; ls small; exit $status"
        ));
        let output = traced.stdout.strip_suffix("a.trace\n");
        assert_eq!(
            (traced.status, output),
            (alone.status, Some(&*alone.stdout)),
            "{options}: {traced}"
        );
        assert!(
            traced.stderr.contains("No space left"),
            "{options}: {traced}"
        );
        assert!(!traced.stderr.contains("; 0 lost"), "{options}: {traced}");
        // What was written is whole, as far as it goes.
        Recording::open(&folder.recording()).expect("its begin was written");
        std::fs::remove_file(folder.recording()).expect("it is ours");
    }
    // No room even to begin: it is said, the program doesn't run, and nothing is left.
    let refused = script(
        "head -c 15m /dev/zero > small/filler; \
         \"$UMBEL\" trace record -o small/a.trace ./program much; status=$?; ls small; exit $status",
    );
    assert_eq!(
        (refused.status, &*refused.stdout),
        (Some(125), "filler\n"),
        "{refused}"
    );
}
