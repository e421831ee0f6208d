//! Threads and processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use umbel_trace_ring::journal::{Entry, Origin};
use umbel_trace_ring::layout::Full;
use umbel_trace_ring::word::Code;

use crate::session::{Folder, How, Outcome, Session, holds_within, library, run, wait};

fn calls_of_all(outcome: &Outcome) -> u64 {
    let counts = outcome
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("calls "));
    counts
        .map(|count| count.parse::<u64>().expect("a number"))
        .sum()
}

#[test]
fn every_thread_is_told_and_its_calls_are_recorded() {
    let folder = Folder::new();
    let program = folder.compile("threads.c", &["-O2"]);
    for (waves, threads) in [("40", "8"), ("1", "1000")] {
        let session = Session::start(
            &folder,
            How {
                chunks: 2048,
                ..How::default()
            },
        );
        let outcome = run(session.command(&program).args([waves, threads])).must_succeed();
        let recorded = session.finish();
        assert_eq!(recorded.calls(), outcome.number("calls"));
        assert_eq!(recorded.lost(), 0);
        let expected = waves.parse::<usize>().unwrap_or(0) * threads.parse::<usize>().unwrap_or(0);
        let told = recorded
            .entries()
            .iter()
            .filter(|entry| matches!(entry, Entry::Thread { .. }))
            .count();
        assert_eq!((told, recorded.threads.len()), (expected + 1, expected + 1));
        // The destructor of the program's key may run before ours or after.
        assert!(recorded.specials(Code::ThreadEnd) >= expected as u64);
        recorded.depths();
    }
}

#[test]
fn processes_of_all_kinds_are_recorded() {
    let folder = Folder::new();
    for flags in [["-O0"], ["-O2"]] {
        let program = folder.compile("processes.c", &flags);
        let session = Session::start(&folder, How::default());
        let outcome = run(&mut session.command(&program)).must_succeed();
        let recorded = session.finish();
        // Each child that resets its count is inside a call that isn't counted there: `child`, three times.
        assert_eq!(recorded.calls(), calls_of_all(&outcome) + 3, "{flags:?}");
        assert_eq!(recorded.lost(), 0);
        let entries = recorded.entries();
        let of = |wanted: Origin| {
            let is = |entry: &&Entry| matches!(entry, Entry::Process { origin, .. } if *origin == wanted);
            entries.iter().filter(is).count()
        };
        // Three forks in each other, two in a thread, and the last three; vfork and posix_spawn make programs of their own.
        assert_eq!(
            (of(Origin::Start), of(Origin::Fork), of(Origin::Exec)),
            (3, 8, 0),
            "{flags:?}"
        );
        assert_eq!(recorded.pids.len(), 11);
    }
}

#[test]
fn an_image_that_execs_another_is_followed() {
    let folder = Folder::new();
    let program = folder.compile("fib.c", &["-O2"]);
    let session = Session::start(&folder, How::default());
    let mut command = session.command("sh".as_ref());
    let script = "exec \"$0\" 15";
    let outcome = run(command.arg("-c").arg(script).arg(&program)).must_succeed();
    let recorded = session.finish();
    assert_eq!(recorded.calls(), outcome.number("calls") + 1);
    let origins = recorded
        .entries()
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Process {
                origin, arguments, ..
            } => Some((origin, arguments.len())),
            _ => None,
        });
    assert_eq!(
        origins.collect::<Vec<_>>(),
        [(Origin::Start, 4), (Origin::Exec, 2)]
    );
}

#[test]
fn threads_wait_when_there_are_few_chunks() {
    let folder = Folder::new();
    let program = folder.compile("threads.c", &["-O2"]);
    let session = Session::start(
        &folder,
        How {
            chunks: 8,
            when_full: Full::Wait,
            ..How::default()
        },
    );
    let outcome = run(session.command(&program).args(["3", "24"])).must_succeed();
    let recorded = session.finish();
    assert_eq!(
        (recorded.calls(), recorded.lost()),
        (outcome.number("calls"), 0)
    );
}

#[test]
fn by_variables_alone_a_recorder_is_started_that_the_program_never_sees() {
    let folder = Folder::new();
    let program = folder.compile("processes.c", &["-O2"]);
    // It tells how it was started; this test is the recorder then.
    let recorder = folder.join("recorder");
    let told = folder.join("told");
    let script = format!(
        "#!/bin/sh\n{{ echo \"$@\"; env; }} > {0}.new; mv {0}.new {0}\n",
        told.display()
    );
    fs::write(&recorder, script).expect("the folder is ours");
    fs::set_permissions(&recorder, fs::Permissions::from_mode(0o700)).expect("the folder is ours");
    let output = folder.join("out.trace");
    let mut command = Command::new(&program);
    command
        .env("LD_PRELOAD", library())
        .env("UMBEL_TRACE_OUTPUT", &output)
        .env("UMBEL_TRACE_RECORDER", &recorder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("the program was compiled before");
    assert!(
        holds_within(Duration::from_secs(20), || told.exists()),
        "nobody started a recorder"
    );
    let live = folder.join("out.trace.live");
    let session = Session::start_at(live.clone(), How::default());
    let outcome = wait(child).must_succeed();
    let recorded = session.finish();
    // Its children joined the session: `wait_for` in it would have failed for a child that it didn't make.
    assert_eq!(recorded.calls(), calls_of_all(&outcome) + 3);
    assert_eq!((recorded.pids.len(), outcome.stderr.as_str()), (11, ""));
    let told = fs::read_to_string(&told).expect("it was there");
    let mut lines = told.lines();
    assert_eq!(
        lines.next(),
        Some(format!("trace serve --live {}", live.display()).as_str())
    );
    assert!(!lines.any(|line| line.starts_with("LD_PRELOAD=")), "{told}");
}
