//! Every program of examples/ does what it says, alone and on 1, 2 and 4 nodes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use umbel_tests::cluster::{LIMIT, On, Program, compile, start};

const ALL: [On; 4] = [On::Alone, On::Nodes(1), On::Nodes(2), On::Nodes(4)];
const FLAGS: [&str; 2] = ["-O0", "-O2"];

/// One test for each, so that they run side by side and a failure names its program.
macro_rules! examples {
    ($($name:ident),*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { prints_what_it_should(stringify!($name)); })*
    };
}

examples!(
    bounded_buffer,
    jacobi,
    life,
    matrix,
    pi,
    queens,
    quicksort,
    shared_counter,
    tree
);

/// Compiles and runs the example: status 0, the expected output, no complaint, nothing left.
fn prints_what_it_should(name: &str) {
    let expected = expected(name);
    for flag in FLAGS {
        let program = compile(&source(name), &["-Wall", flag]);
        for on in ALL {
            let outcome = program.run(on, &[], &[]);
            let context = format!("{name} {flag} {on:?}: {outcome}");
            assert_eq!(outcome.status, Some(0), "{context}");
            assert_eq!(outcome.stdout, expected, "{context}");
            assert_eq!(outcome.stderr, "", "{context}");
            assert_nothing_left(&program, &context);
        }
    }
}

/// Figure 1 has a `void main`, whose status C leaves open (C11 5.1.2.2.3): ours is 0.
#[test]
fn fig1_runs_to_its_end_in_silence() {
    for flag in FLAGS {
        let program = compile(&source("fig1"), &[flag]);
        for on in ALL {
            let outcome = program.run(on, &[], &[]);
            let context = format!("fig1 {flag} {on:?}: {outcome}");
            assert_eq!(outcome.status, Some(0), "{context}");
            assert_eq!(
                (outcome.stdout.as_str(), outcome.stderr.as_str()),
                ("", ""),
                "{context}"
            );
            assert_nothing_left(&program, &context);
        }
    }
}

/// What can be seen of Figure 1 from outside: its array moves between nodes.
#[test]
fn fig1_shares_its_array_between_nodes() {
    let program = compile(&source("fig1"), &["-O2"]);
    let options = ["--stats", "--stats-format", "json"];
    let mut command = program.command(On::Nodes(4), &options, &[]);
    let outcome = start(&mut command, b"").wait(LIMIT);
    let array = r#""name":"main:a","size":1200,"#;
    assert!(outcome.stderr.contains(array), "{outcome}");
    let (_, objects) = outcome
        .stderr
        .split_once(r#""objects":"#)
        .expect("the document has objects");
    assert!(!objects.contains(r#""write_faults":0"#), "{outcome}");
}

#[test]
fn life_draws_every_generation_when_asked() {
    let program = compile(&source("life"), &["-O2"]);
    let outcome = program.run(On::Nodes(4), &["--animate"], &[]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    for generation in 0..=100 {
        let head = format!("\x1b[Hgeneration {generation}\n");
        assert_eq!(outcome.stdout.matches(&head).count(), 1, "{outcome}");
    }
    assert!(outcome.stdout.ends_with(&expected("life")), "{outcome}");
}

#[test]
fn each_example_has_its_test() {
    let tested = NAMES.iter().chain(&["fig1"]).map(|name| name.to_string());
    let files = fs::read_dir(folder()).expect("examples/ is readable");
    let programs = files.filter_map(|file| {
        let name = file.expect("examples/ is readable").file_name();
        Some(name.to_str()?.strip_suffix(".c")?.to_owned())
    });
    assert_eq!(programs.collect::<BTreeSet<_>>(), tested.collect());
}

fn assert_nothing_left(program: &Program, context: &str) {
    assert_eq!(program.leftovers(), [""; 0], "{context}");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn source(name: &str) -> PathBuf {
    folder().join(format!("{name}.c"))
}

fn expected(name: &str) -> String {
    let file = folder().join(format!("{name}.expected"));
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
