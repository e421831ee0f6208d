//! Small programs and the trees of their calls: tests/programs/trace/NAME.c or .cc, and NAME.tree, the same without
//! optimization and with it.

use std::collections::BTreeSet;
use std::fs;

use umbel_tests::cluster::{LIMIT, start};
use umbel_tests::traced::{compile, programs};

fn check(file: &str) {
    let stem = file.split('.').next().expect("a name has a first part");
    let expected = fs::read_to_string(programs().join(format!("{stem}.tree")))
        .expect("each program has its tree beside it");
    for level in ["-O0", "-O2"] {
        let traced = compile(file, level);
        let recording = traced.file("recording");
        let alone = start(
            std::process::Command::new(traced.path()).current_dir(traced.file("")),
            b"",
        )
        .wait(LIMIT);
        let outcome = start(&mut traced.record(&recording, &[]), b"").wait(LIMIT);
        assert_eq!(
            (outcome.status, &outcome.stdout),
            (alone.status, &alone.stdout),
            "{file} {level}: {outcome}"
        );
        let tree = traced.tree(&recording);
        assert_eq!(
            tree, expected,
            "{file} {level}:\n{tree}\nexpected:\n{expected}"
        );
        assert!(
            !traced.file("recording.live").exists() && !traced.file("recording.live.ctl").exists(),
            "{file} {level}: a recording that ended in good order has no .live file"
        );
    }
}

macro_rules! programs {
    ($($test:ident: $file:literal,)*) => {
        $(#[test]
        fn $test() {
            check($file);
        })*

        const TESTED: &[&str] = &[$($file),*];
    };
}

programs! {
    recursion: "recursion.c",
    threads_that_return_leave_and_are_cancelled: "threads.c",
    values_of_a_thread_are_destroyed_by_calls_of_its_own: "thread_values.c",
    children_of_fork_go_on_in_the_middle: "forks.c",
    a_process_becomes_another_program: "execs.c",
    a_library_comes_goes_and_comes_again: "loads.c",
    signal_handlers_are_calls: "handlers.c",
    longjmp_ends_calls: "jumps.c",
    exceptions_end_calls: "exceptions.cc",
    what_runs_before_and_after_main: "lives.cc",
    functions_of_every_shape: "shapes.c",
    stacks_of_one_thread_have_frames_of_their_own: "stacks.c",
}

#[test]
fn every_tree_is_tested() {
    let names = |file: &str| file.split('.').next().map(str::to_owned);
    let tested: BTreeSet<String> = TESTED.iter().filter_map(|file| names(file)).collect();
    let entries = fs::read_dir(programs()).expect("the programs are there");
    let trees: BTreeSet<String> = entries
        .flatten()
        .filter_map(|entry| {
            Some(
                entry
                    .file_name()
                    .to_str()?
                    .strip_suffix(".tree")?
                    .to_owned(),
            )
        })
        .collect();
    assert_eq!(trees, tested);
}
