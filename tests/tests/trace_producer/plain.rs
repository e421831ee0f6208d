//! One thread, one process.

use std::process::Command;

use umbel_trace_ring::journal::Entry;
use umbel_trace_ring::layout::{Clock, Full, Mode};
use umbel_trace_ring::word::Code;

use crate::session::{Folder, How, Session, run};

#[test]
fn every_call_and_return_is_recorded() {
    let folder = Folder::new();
    for flags in [&["-O0"][..], &["-O2"], &["-O2", "-fno-plt"]] {
        let program = folder.compile("fib.c", flags);
        let session = Session::start(&folder, How::default());
        let outcome = run(session.command(&program).arg("22")).must_succeed();
        let recorded = session.finish();
        // And main.
        let expected = outcome.number("calls") + 1;
        assert_eq!(
            (recorded.calls(), recorded.returns(), recorded.lost()),
            (expected, expected, 0),
            "{flags:?}"
        );
        assert!(recorded.depths().values().all(|&depth| depth == 0));
        assert_eq!(recorded.questions, 1);
        assert_eq!(outcome.stderr, "");
    }
}

#[test]
fn every_clock_and_mode_records_what_it_should() {
    let folder = Folder::new();
    let program = folder.compile("fib.c", &["-O2"]);
    for (clock, mode) in [
        (Clock::Coarse, Mode::Record),
        (Clock::Monotonic, Mode::Record),
        (Clock::Tsc, Mode::Filter),
        (Clock::Tsc, Mode::Off),
    ] {
        let session = Session::start(
            &folder,
            How {
                clock,
                mode,
                ..How::default()
            },
        );
        let outcome = run(session.command(&program).arg("20")).must_succeed();
        let recorded = session.finish();
        let expected = if mode == Mode::Off {
            0
        } else {
            outcome.number("calls") + 1
        };
        assert_eq!(recorded.calls(), expected, "{clock:?} {mode:?}");
        recorded.depths();
    }
}

#[test]
fn bitmaps_exclude_functions_where_nothing_is_patched() {
    let folder = Folder::new();
    let program = folder.compile("fib.c", &["-O2"]);
    for (byte, is_recorded) in [(0, true), (0xff, false)] {
        let session = Session::start(
            &folder,
            How {
                mode: Mode::Filter,
                bitmap: Some(byte),
                ..How::default()
            },
        );
        let outcome = run(session.command(&program).arg("20")).must_succeed();
        let recorded = session.finish();
        let expected = if is_recorded {
            outcome.number("calls") + 1
        } else {
            0
        };
        assert_eq!(
            (recorded.calls(), recorded.returns()),
            (expected, expected),
            "{byte:#x}"
        );
    }
}

#[test]
fn what_is_lost_is_counted() {
    let folder = Folder::new();
    let program = folder.compile("fib.c", &["-O2"]);
    let session = Session::start(
        &folder,
        How {
            chunks: 4,
            when_full: Full::Drop,
            takes: false,
            ..How::default()
        },
    );
    let outcome = run(session.command(&program).arg("22")).must_succeed();
    let recorded = session.finish();
    let expected = 2 * (outcome.number("calls") + 1);
    assert!(recorded.lost() > 0);
    assert_eq!(
        recorded.calls() + recorded.returns() + recorded.lost(),
        expected
    );
}

#[test]
fn signal_handlers_that_interrupt_the_hooks_lose_nothing() {
    let folder = Folder::new();
    let program = folder.compile("signals.c", &["-O2"]);
    // A burst of 9000 calls fills two chunks in the middle of a hook.
    for (clock, burst, jumps) in [
        (Clock::Tsc, "100", false),
        (Clock::Tsc, "4500", false),
        (Clock::Tsc, "4500", true),
        (Clock::Coarse, "4500", false),
    ] {
        let session = Session::start(
            &folder,
            How {
                clock,
                chunks: 512,
                ..How::default()
            },
        );
        let mut command = session.command(&program);
        let outcome =
            run(command.args(["3000", burst]).args(jumps.then_some("jumps"))).must_succeed();
        let recorded = session.finish();
        // A handler that jumps may leave a function between the record of its call and the program's own count.
        let most = if jumps {
            outcome.number("signals") / 5
        } else {
            0
        };
        let expected = outcome.number("calls");
        let calls = recorded.calls();
        assert!(
            (expected..=expected + most).contains(&calls),
            "{clock:?} {burst}: {calls}, not {expected}"
        );
        assert_eq!(recorded.lost(), 0);
        assert_eq!(recorded.specials(Code::Mark), outcome.number("signals"));
        assert_eq!(recorded.specials(Code::LongJump) > 100, jumps);
        let depths = recorded.depths();
        assert!(
            jumps || depths.values().all(|&depth| depth == 0),
            "{depths:?}"
        );
    }
}

#[test]
fn exceptions_leave_no_frame_open() {
    let folder = Folder::new();
    for flags in [["-O0"], ["-O2"]] {
        let program = folder.compile("exceptions.cc", &flags);
        let session = Session::start(&folder, How::default());
        let outcome = run(&mut session.command(&program)).must_succeed();
        let recorded = session.finish();
        assert_eq!(recorded.calls(), outcome.number("calls"), "{flags:?}");
        assert_eq!(recorded.returns(), recorded.calls(), "{flags:?}");
        assert!(recorded.depths().values().all(|&depth| depth == 0));
    }
}

#[test]
fn modules_that_come_and_go_are_told_and_found_as_without_the_tracer() {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("plugins")).expect("the folder is ours");
    folder.compile_as(
        "plugin.c",
        "plugins/libplugin.so",
        &["-O2", "-shared", "-fPIC"],
    );
    let program = folder.compile(
        "modules.c",
        &["-O2", "-rdynamic", "-Wl,-rpath,$ORIGIN/plugins"],
    );
    let session = Session::start(&folder, How::default());
    let outcome = run(session.command(&program).arg("50")).must_succeed();
    let recorded = session.finish();
    assert_eq!(recorded.calls(), outcome.number("calls"));
    assert_eq!(recorded.lost(), 0);
    let is_plugin = |path: &[u8]| path.ends_with(b"plugins/libplugin.so");
    let entries = recorded.entries();
    let came = entries
        .iter()
        .filter(|entry| matches!(entry, Entry::Module { path, .. } if is_plugin(path)));
    let gone = entries
        .iter()
        .filter(|entry| matches!(entry, Entry::ModuleGone { .. }));
    assert_eq!((came.count(), gone.count()), (50, 50));
    assert_eq!(recorded.questions, 51, "at start, and for each that came");
    // The program and its libraries, by paths that can be opened.
    for entry in &entries {
        if let Entry::Module {
            path,
            begin,
            end,
            bias,
            build_id,
            ..
        } = entry
        {
            let path = String::from_utf8_lossy(path);
            assert!(path.starts_with('/'), "{path}");
            assert!(std::fs::metadata(&*path).is_ok(), "{path}");
            assert!(
                begin < end && bias <= begin && !build_id.is_empty(),
                "{path}"
            );
        }
    }
}

#[test]
fn a_program_that_may_call_nothing_but_write_lives_on() {
    let folder = Folder::new();
    let program = folder.compile("seccomp.c", &["-O2"]);
    for by in ["prctl", "syscall"] {
        let session = Session::start(&folder, How::default());
        let outcome = run(session.command(&program).arg(by)).must_succeed();
        let recorded = session.finish();
        assert_eq!(
            (recorded.calls(), recorded.lost()),
            (outcome.number("calls"), 0),
            "{by}"
        );
    }
}

#[test]
fn without_a_session_nothing_happens() {
    let folder = Folder::new();
    let program = folder.compile("fib.c", &["-O2"]);
    let library = crate::session::library();
    let outcome = run(Command::new(&program).env("LD_PRELOAD", &library)).must_succeed();
    assert_eq!(outcome.stderr, "");
    let text = folder.join("text");
    std::fs::write(&text, "no session").expect("the folder is ours");
    for (live, complaint) in [
        ("/nonexistent", "no such file"),
        (text.to_str().expect("plain"), "not a file that"),
    ] {
        let mut command = Command::new(&program);
        let outcome = run(command
            .env("LD_PRELOAD", &library)
            .env("UMBEL_TRACE_LIVE", live))
        .must_succeed();
        assert!(
            outcome
                .stderr
                .starts_with("umbel trace: UMBEL_TRACE_LIVE: "),
            "{}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains(complaint), "{}", outcome.stderr);
        assert_eq!(outcome.stderr.lines().count(), 1);
    }
}
