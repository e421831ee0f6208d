//! Snapshots of real programs: stacks, memory, call graph; core files, which gdb opens.

use std::fs;
use std::process::Command;

use umbel_tests::cluster::{LIMIT, holds_within, start, umbel};

use super::triggers::marks;
use super::{Folder, Running};

#[test]
fn a_snapshot_has_memory_and_the_call_graph() {
    let folder = Folder::compile("debugged", &["-O0"]);
    let options = ["--trigger", "here: when turn and count == 3 then stop"];
    let running = start(&mut folder.command(&options, &[]), b"");
    assert!(holds_within(LIMIT, || {
        folder.recording().exists() && folder.ctl(&["threads"]).contains("waits: trigger here")
    }));
    let address = folder.ctl(&["print", "-", "&box->numbers"]);
    let address = address.trim().rsplit(" = ").next().expect("it is shown");
    let address = address.split(' ').next().expect("an address comes first");
    let named = folder.ctl(&[
        "snapshot",
        "--dump",
        "box->numbers",
        "--dump",
        &format!("{address}+4"),
    ]);
    let path = folder.path.join("a.trace.snapshot-1");
    assert!(named.contains("a.trace.snapshot-1"), "{named}");
    let mut text = String::new();
    assert!(holds_within(LIMIT, || {
        text = fs::read_to_string(&path).expect("it is there");
        text.contains("called by")
    }));
    for part in [
        "#0  turn(box=0x",
        "numbers = {1, 2, 3, 4}",
        "01 00 02 00 03 00 04 00",
        &format!("memory: {address}+4"),
        "  leaf: 4\n      called by branch 4\n",
        "  branch: 2\n      called by turn 2\n      calls leaf 4\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    folder.ctl(&["set", "-", "box->over = true"]);
    folder.ctl(&["continue"]);
    running.wait(LIMIT);
    let marks = marks(&folder);
    assert!(
        marks.iter().any(|mark| mark.starts_with("ctl snapshot ")),
        "{marks:?}"
    );
}

/// What gdb says of a core file.
#[track_caller]
pub fn gdb(folder: &Folder, core: &str, commands: &[&str]) -> String {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch"]);
    for command in commands {
        gdb.args(["-ex", command]);
    }
    gdb.arg(folder.program()).arg(folder.path.join(core));
    let outcome = start(&mut gdb, b"").wait(LIMIT);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    outcome.stdout + &outcome.stderr
}

#[test]
fn gdb_opens_a_core_file_of_a_trigger() {
    let folder = Folder::compile("debugged", &["-O0"]);
    let options = [
        "--trigger",
        "here: when turn and count == 3 then core, stop",
    ];
    let running = start(&mut folder.command(&options, &[]), b"");
    assert!(holds_within(LIMIT, || {
        folder.recording().exists()
            && folder.ctl(&["threads"]).contains("waits: trigger here")
            && folder
                .ctl(&["set", "-", "box->over = true"])
                .contains("true")
    }));
    folder.ctl(&["continue"]);
    let outcome = running.wait(LIMIT);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let text = gdb(
        &folder,
        "a.trace.core-1",
        &[
            "bt",
            "frame function turn",
            "print *box",
            "print $xmm0.v4_int32[0] >= 0 || 1",
            "info auxv",
        ],
    );
    for part in [
        "turn (box=0x",
        "main () at",
        "count = 2",
        "signed_few = -3",
        "\"a text\"",
        "numbers = {1, 2, 3, 4}",
        "AT_PHDR",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_core_file_has_all_threads_and_they_go_on() {
    let folder = Folder::compile("workers", &["-O0"]);
    let running = Running::start(&folder, &[]);
    running.rounds();
    let named = folder.ctl(&["snapshot", "--core"]);
    assert!(named.contains("a.trace.core-1"), "{named}");
    running.rounds();
    let status = folder.ctl(&["status"]);
    running.end();
    let text = gdb(
        &folder,
        "a.trace.core-1",
        &["info threads", "thread apply all bt"],
    );
    assert_eq!(text.matches("worker (argument=").count(), 4, "{text}");
    assert_eq!(text.matches("main (count=1").count(), 1, "{status} {text}");
}

#[test]
fn a_core_file_that_cannot_be_written_leaves_none() {
    let folder = Folder::compile("workers", &[]);
    let running = Running::start(&folder, &[]);
    running.rounds();
    // A folder of that name is in the way.
    fs::create_dir(folder.path.join("a.trace.core-1")).expect("nothing is there yet");
    let mut command = umbel(&["trace", "ctl", "-s"]);
    let refused = start(
        command.arg(folder.recording()).args(["snapshot", "--core"]),
        b"",
    );
    let refused = refused.wait(LIMIT);
    assert_eq!(refused.status, Some(1), "{refused}");
    assert!(refused.stderr.contains("cannot write"), "{refused}");
    running.rounds();
    running.end();
}
