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

/// A node that takes its memory from malloc stops for ever in most runs.
#[test]
fn a_handler_uses_shared_objects_whatever_it_interrupted() {
    let program = compile_ours("handlers", &["-O2", "-D_GNU_SOURCE"]);
    for kind in ["plain", "nested", "stacked"] {
        let outcome = program.run(On::Nodes(2), &[kind], &[]);
        assert_eq!(outcome.stdout, "handlers agree\n", "{kind}: {outcome}");
        assert_eq!(outcome.status, Some(0), "{kind}: {outcome}");
    }
    assert_eq!(program.leftovers(), [""; 0]);
}
