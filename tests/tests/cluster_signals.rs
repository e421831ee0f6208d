//! The program's own signal handlers and masks.

use umbel_tests::cluster::{On, compile_ours};

#[test]
fn a_program_has_its_signals_though_faults_are_ours() {
    let program = compile_ours(
        "signals",
        &["-O2", "-D_GNU_SOURCE", "-Wno-deprecated-declarations"],
    );
    for on in [On::Alone, On::Nodes(1), On::Nodes(2), On::Nodes(3)] {
        let outcome = program.run(on, &[], &[]);
        assert_eq!(outcome.stdout, "signals agree\n", "{on:?}: {outcome}");
        assert_eq!(outcome.status, Some(0), "{on:?}: {outcome}");
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

/// A node that takes its memory from malloc, or whose service thread waits for a lock that threads of the program take, stops
/// for ever in most runs.
#[test]
fn a_handler_uses_shared_objects_whatever_it_interrupted() {
    let program = compile_ours("handlers", &["-O2", "-D_GNU_SOURCE"]);
    let works = ["malloc", "mutexes", "posts", "heap", "threads"];
    for (kind, work) in ["plain", "nested", "stacked"]
        .into_iter()
        .flat_map(|kind| works.map(|work| (kind, work)))
    {
        let outcome = program.run(On::Nodes(2), &[kind, work], &[]);
        assert_eq!(
            outcome.stdout, "handlers agree\n",
            "{kind} {work}: {outcome}"
        );
        assert_eq!(outcome.status, Some(0), "{kind} {work}: {outcome}");
    }
    assert_eq!(program.leftovers(), [""; 0]);
}
