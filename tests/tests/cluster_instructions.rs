//! String functions of the C library and what gcc makes of loops, on every fault backend.

use umbel_tests::cluster::{LIMIT, On, compile_ours, start};

/// How the compiler is to make the program.
const WAYS: [&[&str]; 3] = [
    &["-O3", "-march=native"],
    &["-O2", "-ftree-vectorize", "-mavx2"],
    // String instructions, in place of calls.
    &[
        "-O2",
        "-mmemcpy-strategy=rep_byte:-1:noalign",
        "-mmemset-strategy=rep_8byte:-1:noalign",
    ],
];

#[test]
fn loops_and_string_functions_see_and_change_what_they_should_on_every_backend() {
    let reports = umbel_fault::probe();
    for way in WAYS {
        let program = compile_ours("instructions", way);
        for backend in reports.iter().filter(|report| report.usable) {
            let mut command = program.command(On::Nodes(2), &[], &["500"]);
            command.env("UMBEL_FAULT_BACKEND", &backend.name);
            let outcome = start(&mut command, b"").wait(LIMIT);
            let what = format!("{way:?} on {}: {outcome}", backend.name);
            assert_eq!(outcome.status, Some(0), "{what}");
            assert_eq!(outcome.stdout, "500 rounds\n", "{what}");
        }
        assert_eq!(program.leftovers(), [""; 0]);
    }
}

/// As if the kernel had no mappings left: every access is made on the engine view, which takes tens of microseconds.
#[test]
fn a_counter_is_exact_where_no_page_can_be_shown() {
    let program = compile_ours("counters", &["-O2"]);
    for backend in ["guard", "mprotect"] {
        let mut command = program.command(On::Nodes(2), &[], &["1"]);
        command.env("UMBEL_FAULT_BACKEND", backend);
        command.env("UMBEL_FAULT_REDIRECT", "1");
        let outcome = start(&mut command, b"").wait(LIMIT);
        assert_eq!(outcome.status, Some(0), "{backend}: {outcome}");
    }
    assert_eq!(program.leftovers(), [""; 0]);
}
