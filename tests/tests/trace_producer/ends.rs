//! Programs that end in the middle of something.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::session::{Folder, How, Recorded, Session, holds_within, run, wait};

/// The counts that the program kept in a file of its own: of its main thread, and of another.
fn counts(path: &Path) -> [u64; 2] {
    let bytes = fs::read(path).unwrap_or_default();
    [0, 64 * 8].map(|at| {
        let count = bytes
            .get(at..at + 8)
            .and_then(|bytes| bytes.try_into().ok());
        count.map_or(0, u64::from_le_bytes)
    })
}

#[test]
fn however_a_program_ends_its_last_call_is_there() {
    let folder = Folder::new();
    let program = folder.compile("ends.c", &["-O2"]);
    for (how, status, signal) in [
        ("return", Some(0), None),
        ("_exit", Some(0), None),
        ("segv", None, Some(libc::SIGSEGV)),
        ("abort", None, Some(libc::SIGABRT)),
        ("kill", None, Some(libc::SIGKILL)),
        ("term", None, Some(libc::SIGTERM)),
    ] {
        for takes in [true, false] {
            let file = folder.join(&format!("counts-{how}-{takes}"));
            let session = Session::start(
                &folder,
                How {
                    takes,
                    ..How::default()
                },
            );
            let outcome = run(session.command(&program).arg(&file).arg(how));
            assert_eq!((outcome.status, outcome.signal), (status, signal), "{how}");
            let [expected, _] = counts(&file);
            if !takes {
                // What lies in the file without any recorder.
                let left = Recorded::of_file(session.path());
                assert_eq!(left.calls(), expected, "{how}");
            }
            let recorded = session.finish();
            assert_eq!((recorded.calls(), recorded.lost()), (expected, 0), "{how}");
            let open: usize = recorded.depths().values().sum();
            let expected_open = if how == "return" { 0 } else { 2 };
            assert_eq!(open, expected_open, "{how}");
        }
    }
}

#[test]
fn killed_at_any_moment_a_program_leaves_every_call() {
    let folder = Folder::new();
    let program = folder.compile("ends.c", &["-O2"]);
    let rounds = std::env::var("UMBEL_KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(40);
    for round in 0..rounds {
        let file = folder.join("counts");
        let _ = fs::remove_file(&file);
        let session = Session::start(
            &folder,
            How {
                takes: round % 2 == 0,
                chunks: 4096,
                ..How::default()
            },
        );
        let mut command = session.command(&program);
        command
            .arg(&file)
            .arg("spin")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program was compiled before");
        // Not a wait for luck: any moment is right.
        std::thread::sleep(Duration::from_micros(1500 + 377 * round));
        child.kill().expect("it is our child");
        wait(child);
        let [main, other] = counts(&file);
        let recorded = session.finish();
        // Between a call's record and its count a thread may have been killed: one call each, and the start of main.
        let calls = recorded.calls();
        let counted = main + other;
        assert!(
            (counted..=counted + 2).contains(&calls),
            "round {round}: {calls} calls, {counted} counted"
        );
        assert_eq!(recorded.lost(), 0);
        recorded.depths();
    }
}

#[test]
fn a_killed_recorder_keeps_nobody_waiting() {
    let folder = Folder::new();
    let program = folder.compile("fib.c", &["-O2"]);
    let session = Session::start(
        &folder,
        How {
            takes: false,
            chunks: 8,
            ..How::default()
        },
    );
    // It stands for the recorder; nobody waits for its end, so that it stays in the table of processes.
    let mut recorder = Command::new("sleep")
        .arg("1000")
        .spawn()
        .expect("there is a sleep");
    session.set_recorder(recorder.id());
    let mut command = session.command(&program);
    command
        .arg("20")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program was compiled before");
    let waits = || session.waiting() > 0;
    assert!(
        holds_within(Duration::from_secs(20), waits),
        "the program should wait for a chunk"
    );
    assert!(child.try_wait().is_ok_and(|status| status.is_none()));
    recorder.kill().expect("it is our child");
    let outcome = wait(child).must_succeed();
    recorder.wait().expect("it is our child");
    let recorded = session.finish();
    let expected = 2 * (outcome.number("calls") + 1);
    assert_eq!(
        recorded.calls() + recorded.returns() + recorded.lost(),
        expected
    );
    assert!(recorded.lost() > 0);
}
