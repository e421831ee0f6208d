//! Threads that are stopped by their user: stepped, looked at and changed while others run.

use std::fs;
use std::io::Read;

use umbel_tests::cluster::{LIMIT, holds_within, signal, start, umbel};

use super::triggers::marks;
use super::{Folder, Running};

/// `umbel trace ctl WORDS`, which is refused: why.
#[track_caller]
pub fn refused(folder: &Folder, words: &[&str]) -> String {
    let mut command = umbel(&["trace", "ctl", "-s"]);
    let outcome = start(command.arg(folder.recording()).args(words), b"").wait(LIMIT);
    assert_eq!(outcome.status, Some(1), "ctl {words:?}: {outcome}");
    outcome.stderr
}

/// `debugged`, which is stopped at a call of `turn`.
#[track_caller]
fn stopped_in_turn(folder: &Folder) -> umbel_tests::cluster::Running {
    let options = ["--trigger", "here: when turn and count == 3 then stop"];
    let running = start(&mut folder.command(&options, &[]), b"");
    assert!(holds_within(LIMIT, || {
        folder.recording().exists() && folder.ctl(&["threads"]).contains("waits: trigger here")
    }));
    running
}

/// The innermost function of the held thread, and whether it is called or returns.
#[track_caller]
fn place(folder: &Folder) -> String {
    let mut found = String::new();
    assert!(
        holds_within(LIMIT, || {
            let threads = folder.ctl(&["threads"]);
            found.clone_from(&threads);
            threads.contains("waits")
        }),
        "{found}"
    );
    let at = if found.contains("at a return") {
        "return of"
    } else {
        "call of"
    };
    let stack = folder.ctl(&["bt"]);
    let function = stack.lines().find_map(|line| {
        let frame = line.trim_start().strip_prefix("#0")?.trim_start();
        frame.split(['(', ' ']).next()
    });
    format!("{at} {}", function.unwrap_or("?"))
}

#[test]
fn a_thread_is_stepped() {
    let folder = Folder::compile("debugged", &["-O0"]);
    let running = stopped_in_turn(&folder);
    for (request, there) in [
        ("step", "call of branch"),
        ("step", "call of leaf"),
        ("step", "return of leaf"),
        ("step", "call of leaf"),
        ("finish", "return of leaf"),
        ("next", "return of branch"),
        ("next", "return of turn"),
        // The next turn, for the one that called it has no other end.
        ("step", "call of turn"),
        ("step", "call of branch"),
        ("next", "return of branch"),
        ("finish", "return of turn"),
        ("step", "call of turn"),
        ("next", "return of turn"),
    ] {
        folder.ctl(&[request]);
        assert_eq!(place(&folder), there, "{request}");
    }
    folder.ctl(&["set", "-#1", "box.over = true"]);
    folder.ctl(&["continue"]);
    let outcome = running.wait(LIMIT);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let marks = marks(&folder);
    let count = |text: &str| marks.iter().filter(|mark| *mark == text).count();
    assert_eq!(count("ctl step"), 7, "{marks:?}");
    assert_eq!(count("ctl next"), 4, "{marks:?}");
    assert_eq!(count("ctl finish"), 2, "{marks:?}");
    assert_eq!(count("ctl stopped"), 13, "{marks:?}");
    assert_eq!(count("ctl continue"), 1, "{marks:?}");
}

#[test]
fn variables_are_printed_and_changed() {
    let folder = Folder::compile("debugged", &["-O0"]);
    let running = stopped_in_turn(&folder);
    for (path, shown) in [
        ("box->count", "box.count = 2"),
        ("*box.next", "*box.next = {count = 0, few = 0"),
        ("(*box).letter", "(*box).letter = 97 'a'"),
        ("box->numbers[1..3]", "box.numbers[1..3] = {2, 3}"),
        ("box->numbers", "box.numbers = {1, 2, 3, 4}"),
        ("box->table[1][2]", "box.table[1][2] = 6"),
        ("box->colour", "box.colour = RED"),
        ("box->signed_few", "box.signed_few = -3"),
        ("box->text", "\"a text\""),
        ("box->text[2]", "box.text[2] = 116 't'"),
        ("&box->count", "&box.count = 0x"),
        ("$pc", "<turn+"),
    ] {
        let line = folder.ctl(&["print", "-", path]);
        assert!(line.contains(shown), "{path}: {line}");
    }
    for (change, answer) in [
        ("box->few = 5", "box.few = 5 (before: box.few = 0)"),
        ("box->signed_few = -8", "box.signed_few = -8"),
        ("box->letter = '='", "box.letter = 61 '='"),
        (
            "box->colour = GREEN",
            "box.colour = GREEN (before: box.colour = RED)",
        ),
        ("box->narrow = 0.25", "box.narrow = 0.25"),
        ("box->wide = -1e10", "box.wide = -10000000000"),
        ("box->widest = 2.5", "box.widest = 2.5"),
        ("box->numbers[2] = -300", "box.numbers[2] = -300"),
        ("box->table[1][2] = box->table[0][1]", "box.table[1][2] = 2"),
        ("box->next->count = 41", "box.next.count = 41"),
        ("box->next = null", "box.next = 0x0"),
    ] {
        let line = folder.ctl(&["set", "-", change]);
        assert!(line.starts_with(answer), "{change}: {line}");
    }
    for (words, reason) in [
        (
            &["print", "-", "count"][..],
            "turn has no variable count there; it has local, box",
        ),
        (
            &["print", "-", "box->size"],
            "has no member size; its type box has count",
        ),
        (&["print", "-", "box->next->count"], "box.next is null"),
        (&["print", "-", "box->"], "expected a member's name"),
        (
            &["print", "-", "local.x"],
            "has no members: its type is int",
        ),
        (&["print", "-#99", "n"], "frames; `bt` shows them"),
        (&["print", "1", "n"], "thread 1 isn't held"),
        (&["set", "-", "box->few = 8"], "8 doesn't fit"),
        (&["set", "-", "box->letter = 300"], "300 doesn't fit"),
        (
            &["set", "-", "box->colour = BLUE"],
            "no enumerator `BLUE`; it has RED, GREEN",
        ),
        (&["set", "-", "box->over = 2"], "true and false are"),
        (&["set", "-", "*box = 2"], "set its parts"),
        (&["set", "-", "box->text[0] = 'b'"], "may only be read"),
        (&["set", "-", "local"], "expected PATH = VALUE"),
    ] {
        let error = refused(&folder, words);
        assert!(error.contains(reason), "{words:?}: {error}");
    }
    let dump = folder.ctl(&["dump", "-", "box->numbers"]);
    assert!(
        dump.contains("{1, 2, -300, 4}") && dump.contains("01 00 02 00 d4 fe 04 00"),
        "{dump}"
    );
    folder.ctl(&["set", "-", "box->over = true"]);
    folder.ctl(&["continue"]);
    let outcome = running.wait(LIMIT);
    assert_eq!(
        outcome.stdout, "5 -8 = 7 0.25 -1e+10 2.5 -300 2 1 41\n",
        "{outcome}"
    );
    let marks = marks(&folder);
    for text in [
        "ctl print box.count = 2",
        "ctl set box.few = 5 (before: box.few = 0)",
        "ctl dump box->numbers",
    ] {
        assert!(marks.iter().any(|mark| mark == text), "{text}: {marks:?}");
    }
}

#[test]
fn one_thread_stops_while_the_others_run() {
    let folder = Folder::compile("workers", &[]);
    let running = Running::start(&folder, &[]);
    running.rounds();
    assert!(refused(&folder, &["step"]).contains("no thread is held"));
    let said = folder.ctl(&["stop", "all"]);
    assert!(said.contains("next traced call or return: 5"), "{said}");
    // Four workers stop; the main thread is in getchar, and calls nothing.
    let held = || {
        let threads = folder.ctl(&["threads"]);
        let held = threads.lines().filter(|line| line.contains("waits"));
        held.filter_map(|line| line.split(' ').nth(1)?.parse().ok())
            .collect::<Vec<u32>>()
    };
    assert!(holds_within(LIMIT, || held().len() == 4));
    let all = held();
    assert!(refused(&folder, &["bt"]).contains("which thread?"));
    for tid in &all[1..] {
        folder.ctl(&["continue", &tid.to_string()]);
    }
    assert_eq!(held(), all[..1]);
    running.rounds();
    assert_eq!(held(), all[..1]);
    assert!(folder.ctl(&["bt", &all[0].to_string()]).contains("worker"));
    folder.ctl(&["continue"]);
    assert!(holds_within(LIMIT, || folder.ctl(&["threads"]).is_empty()));
    running.end();
}

#[test]
fn held_threads_go_on_when_the_recorder_dies_or_ends() {
    for way in ["kill", "stop"] {
        let folder = Folder::compile("workers", &[]);
        let mut running = Running::start(&folder, &[]);
        running.rounds();
        folder.ctl(&["stop", "all"]);
        assert!(holds_within(LIMIT, || {
            folder.ctl(&["threads"]).matches("waits").count() == 4
        }));
        match way {
            "kill" => running.child.kill().expect("it is ours"),
            _ => drop(folder.ctl(&["stop"])),
        }
        // Threads that are held would never come to their end.
        drop(running.input.take());
        let mut output = running.child.stdout.take().expect("it is a pipe");
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            output.read_to_string(&mut text).map(|_| text)
        });
        assert!(holds_within(LIMIT, || reader.is_finished()), "{way}");
        let text = reader.join().expect("it reads").expect("it is text");
        assert!(super::counts(&text).0 > 0, "{way}: {text}");
        let _ = running.child.wait();
    }
}

#[test]
fn a_prompt_attaches() {
    let folder = Folder::compile("debugged", &["-O0"]);
    let running = stopped_in_turn(&folder);
    let attach = |target: &str, commands: &str| {
        let mut command = umbel(&["trace", "attach", target]);
        start(command.current_dir(&folder.path), commands.as_bytes()).wait(LIMIT)
    };
    let commands = "help\nthreads\nstep\nbt\nframe 1\nprint box->count\nframe 0\nnonsense\nfinish\nprint value\nfinish\nset box->over = 1\n";
    let outcome = attach("a.trace", commands);
    assert_eq!(outcome.status, Some(1), "{outcome}");
    for part in [
        "waits: trigger here",
        "waits: stopped at a call: branch(value=2)",
        "#1  turn(box=0x",
        "box.count = 2",
        "waits: stopped at a return: branch(value=2)",
        "waits: stopped at a return: turn(box=0x",
        "box.over = true (before: box.over = false)",
    ] {
        assert!(outcome.stdout.contains(part), "{part}: {outcome}");
    }
    assert!(
        outcome.stderr.contains("`nonsense` is no request"),
        "{outcome}"
    );
    // It has let the thread go.
    let ended = running.wait(LIMIT);
    assert_eq!(ended.status, Some(0), "{ended}");
    let outcome = attach("a.trace", "");
    assert_eq!(outcome.status, Some(125), "{outcome}");
    assert!(outcome.stderr.contains("nothing records into"), "{outcome}");
    let outcome = attach(&std::process::id().to_string(), "");
    assert!(
        outcome.stderr.contains("umbel trace record") && outcome.stderr.contains("trace stuck"),
        "{outcome}"
    );
    let leftovers = fs::read_dir(&folder.path).expect("it is there").count();
    assert!(leftovers <= 4, "{leftovers}");
}

#[test]
fn a_prompt_that_is_interrupted_lets_threads_go_on() {
    let folder = Folder::compile("debugged", &["-O0"]);
    let running = stopped_in_turn(&folder);
    let mut command = umbel(&["trace", "attach", "a.trace"]);
    // That the thread waits already may be news to the first.
    let commands = b"set box->over = 1\ntrigger set here: when turn and count == 1000000 then stop\nwait\nwait\n";
    let prompt = start(command.current_dir(&folder.path), commands);
    assert!(holds_within(LIMIT, || folder
        .ctl(&["trigger", "list"])
        .contains("1000000")));
    assert!(signal(prompt.process(), "INT"));
    let outcome = prompt.wait(LIMIT);
    assert_eq!(outcome.status, Some(130), "{outcome}");
    let ended = running.wait(LIMIT);
    assert_eq!(ended.status, Some(0), "{ended}");
}

#[test]
fn a_session_without_values_says_why_it_stops_nothing() {
    let folder = Folder::compile("workers", &[]);
    let running = Running::start(&folder, &["--values", "none"]);
    running.rounds();
    assert!(refused(&folder, &["stop", "all"]).contains("--values none"));
    running.end();
}
