//! A held thread's globals, statics, casts and containers; steps out of calls that a jump or an exception leaves; threads that begin after
//! all were stopped.

use std::path::Path;

use umbel_tests::cluster::{LIMIT, Running, holds_within, start};

use super::Folder;
use super::debug::refused;

fn compiled(flags: &[&str]) -> Folder {
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/trace/record/places_other.cc");
    let other = other.to_str().expect("the path is text").to_owned();
    Folder::compile("places", &[&[&*other], flags].concat())
}

/// `places`, which waits where `condition` was true for the first time.
#[track_caller]
fn stopped(folder: &Folder, condition: &str) -> Running {
    // That of the program that ran here before.
    let _ = std::fs::remove_file(folder.recording());
    held(folder, &format!("{condition} and count == 1"))
}

/// The folder's program, when a thread of it is held where `condition` was true.
#[track_caller]
pub fn held(folder: &Folder, condition: &str) -> Running {
    let trigger = format!("here: when {condition} then stop");
    let running = start(&mut folder.command(&["--trigger", &trigger], &[]), b"");
    assert!(holds_within(LIMIT, || {
        folder.recording().exists() && folder.ctl(&["threads"]).contains("waits: trigger here")
    }));
    running
}

/// Has the program end.
#[track_caller]
fn finish(folder: &Folder, running: Running) -> String {
    folder.ctl(&["set", "-", "over = 1"]);
    folder.ctl(&["continue"]);
    let outcome = running.wait(LIMIT);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    outcome.stdout
}

#[test]
fn what_is_outside_of_frames_is_printed_and_changed() {
    let folder = compiled(&["-O0"]);
    // The first call of `after` behind the jump: `turn` is its caller.
    let running = stopped(&folder, "after.n == 2");
    for (path, shown) in [
        ("total", "total = 41"),
        ("hidden", "hidden = 7"),
        (
            "'places_other.cc'::hidden",
            "'places_other.cc'::hidden = 70",
        ),
        ("'record/places.cc'::hidden", "hidden = 7"),
        ("only_here", "only_here = 71"),
        ("shop::cheapest.cents", "shop::cheapest.cents = 5"),
        ("cheapest", "{cents = 5, name = "),
        ("secret", "secret = -9"),
        ("Counter::made", "Counter::made = 11"),
        ("turn::turns", "turn::turns = 21"),
        ("turns", "turns = 21"),
        ("own", "own = 3"),
        ("v[3]", "v[3] = 40"),
        ("v[1..4]", "v[1..4] = {20, 30, 40}"),
        ("a[2]", "a[2] = 3"),
        ("s[1]", "s[1] = 101 'e'"),
        ("m[1].first", "m[1].first = 2"),
        ("m[2].second.name", "\"five\""),
        ("l[2]", "l[2] = 9"),
        ("d[150]", "d[150] = 6"),
        ("d[199]", "d[199] = 4"),
        ("((shop::Price *)raw)->name", "\"gum\""),
        ("((struct Price *)raw)->cents", "cents = 5"),
        ("*(unsigned int *)bytes", "= 305419896"),
        ("(unsigned char)v[3]", "= 40 '('"),
        ("(unsigned long)bytes[3]", "= 18"),
    ] {
        let line = folder.ctl(&["print", "-#1", path]);
        assert!(line.contains(shown), "{path}: {line}");
    }
    // Where the function's own variables have no such name.
    assert_eq!(folder.ctl(&["print", "-", "turns"]), "turns = 21\n");
    for (path, reason) in [
        ("v[4]", "v has 4 elements, [0] to [3]"),
        ("m[3]", "m has 3 elements"),
        ("l[-1]", "l has 3 elements"),
        (
            "hiden",
            "none outside of functions is called hiden: did you mean hidden",
        ),
        (
            "'nowhere.cc'::hidden",
            "none outside of functions is called 'nowhere.cc'::hidden",
        ),
        (
            "(struct nothing *)raw",
            "there is no type `struct nothing *`",
        ),
        ("(shop::Price)raw", "what is cast to are pointers"),
        ("(int)s", "which is no number and no pointer: &s has one"),
        ("counter[0]", "counter has no elements"),
    ] {
        let error = refused(&folder, &["print", "-#1", path]);
        assert!(error.contains(reason), "{path}: {error}");
    }
    for (change, answer) in [
        ("hidden = 8", "hidden = 8 (before: hidden = 7)"),
        ("shop::cheapest.cents = v[1]", "shop::cheapest.cents = 20"),
        ("secret = -10", "secret = -10"),
        ("Counter::made = 12", "Counter::made = 12"),
        ("v[0] = 11", "v[0] = 11"),
        ("m[1].second.cents = 201", "m[1].second.cents = 201"),
    ] {
        let line = folder.ctl(&["set", "-#1", change]);
        assert!(line.starts_with(answer), "{change}: {line}");
    }
    assert_eq!(finish(&folder, running), "8 20 -10 12\n");
    // In a method its object comes before what is outside.
    let running = stopped(&folder, "Counter::count");
    assert_eq!(folder.ctl(&["print", "-", "total"]), "total = 1\n");
    finish(&folder, running);
}

/// The innermost function of the held thread, after `request`.
#[track_caller]
fn after(folder: &Folder, request: &str) -> String {
    folder.ctl(&[request]);
    let mut threads = String::new();
    assert!(
        holds_within(LIMIT, || {
            threads = folder.ctl(&["threads"]);
            threads.contains("waits: stopped")
        }),
        "{request}: {threads}"
    );
    threads
}

#[test]
fn steps_end_where_a_jump_or_an_exception_has_left_the_call() {
    for flags in [&["-O0"][..], &["-O2"]] {
        let folder = compiled(flags);
        // Over a call that a jump leaves: the next event is its caller's.
        for (at, request) in [
            ("outer.n == 1", "next"),
            ("outer.n == 1", "finish"),
            ("inner.n == 1", "finish"),
        ] {
            let running = stopped(&folder, at);
            let threads = after(&folder, request);
            assert!(
                threads.contains("at a call"),
                "{flags:?} {at} {request}: {threads}"
            );
            assert!(
                threads.contains(": after(n=2)"),
                "{flags:?} {at} {request}: {threads}"
            );
            finish(&folder, running);
        }
        // An exception calls the hooks.
        let running = stopped(&folder, "outer.n == 0");
        let threads = after(&folder, "next");
        assert!(threads.contains("at a return"), "{flags:?}: {threads}");
        assert!(
            threads.contains(": outer(") || threads.contains(": turn("),
            "{flags:?}: {threads}"
        );
        finish(&folder, running);
    }
}

#[test]
fn a_held_thread_is_shown_as_held_with_place_and_time() {
    let folder = compiled(&["-O0"]);
    let running = stopped(&folder, "after.n == 3");
    let threads = folder.ctl(&["threads"]);
    assert!(
        threads.contains("waits: trigger here, for ") && threads.contains(": after(n=3) at "),
        "{threads}"
    );
    let stack = folder.ctl(&["bt"]);
    assert!(
        stack.contains(": held: trigger here, for ") && !stack.contains("futex"),
        "{stack}"
    );
    finish(&folder, running);
}

#[test]
fn threads_that_begin_after_all_were_stopped_stop_too() {
    let folder = compiled(&["-O0"]);
    let running = stopped(&folder, "turn");
    assert!(
        folder
            .ctl(&["stop", "all"])
            .contains("threads that begin until `continue` stop too")
    );
    // The program's first thread goes on, and has another begin.
    let threads = folder.ctl(&["threads"]);
    let first = threads.split(' ').nth(1).expect("a number").to_owned();
    folder.ctl(&["trigger", "clear"]);
    // A turn adds 7, and at -1 the thread begins.
    folder.ctl(&["set", "-", "total = -8"]);
    folder.ctl(&["continue", &first]);
    let held = || folder.ctl(&["threads"]);
    assert!(
        holds_within(LIMIT, || held().contains(": late_thread(")),
        "{}",
        held()
    );
    assert!(!held().contains(&format!("thread {first} ")), "{}", held());
    // One step, and it is held again; the first runs on.
    after(&folder, "step");
    assert!(
        holds_within(LIMIT, || held().contains(": late(n=1)")),
        "{}",
        held()
    );
    let outcome = finish(&folder, running);
    assert!(!outcome.is_empty());
}
