//! The shared heap on real nodes: every size, structures that all nodes build, a million objects, random use,
//! and what each kind of misuse is answered with.

use umbel_tests::cluster::{On, Outcome, Program, compile_ours};

const ALL: [On; 4] = [On::Alone, On::Nodes(1), On::Nodes(2), On::Nodes(4)];

/// A node that cannot go on.
const STATUS_FATAL: i32 = 120;

#[track_caller]
fn expect(program: &Program, on: On, arguments: &[&str], stdout: &str) {
    let outcome = program.run(on, arguments, &[]);
    let as_expected = outcome.stdout == stdout && outcome.status == Some(0);
    assert!(as_expected, "{on:?} {arguments:?}: {outcome}");
}

#[test]
fn structures_of_all_nodes_hold_together() {
    for flag in ["-O0", "-O2"] {
        let program = compile_ours("heap", &["-Wall", flag]);
        for on in ALL {
            expect(&program, on, &[], "the heap holds\n");
        }
        assert_eq!(program.leftovers(), [""; 0]);
    }
}

#[test]
fn a_million_objects_come_and_their_memory_goes_back() {
    let program = compile_ours("heap_many", &["-Wall", "-O2"]);
    for on in ALL {
        expect(&program, on, &["million"], "a million\n");
    }
}

#[test]
fn threads_of_all_nodes_make_use_and_free_objects_at_random() {
    let program = compile_ours("heap_many", &["-Wall", "-O2"]);
    for (on, steps) in [
        (On::Alone, "20000"),
        (On::Nodes(2), "2000"),
        (On::Nodes(4), "700"),
    ] {
        for seed in ["1", "2", "3"] {
            expect(&program, on, &["random", seed, steps], "random steps\n");
        }
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn many_threads_of_every_node_allocate_at_once_and_free_what_others_made() {
    let program = compile_ours("heap_many", &["-Wall", "-O2"]);
    for (on, threads, steps) in [
        (On::Alone, "16", "500"),
        (On::Nodes(2), "8", "60"),
        (On::Nodes(4), "5", "30"),
    ] {
        expect(&program, on, &["churn", threads, steps], "churned\n");
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

/// Every kind of misuse ends the job; the message says what it was, and where the object came from.
#[track_caller]
fn diagnosed(on: On, outcome: &Outcome, says: &[&str]) {
    assert_eq!(outcome.status, Some(STATUS_FATAL), "{on:?}: {outcome}");
    assert_eq!(outcome.stdout, "", "{on:?}: {outcome}");
    for text in says {
        assert!(
            outcome.stderr.contains(text),
            "{on:?}: no {text:?} in {outcome}"
        );
    }
}

#[test]
fn freeing_wrongly_is_diagnosed() {
    let program = compile_ours("heap_misuse", &["-Wall", "-O1"]);
    let made = "heap_misuse.c:6 on node 0";
    let stranger = "no object of the shared heap was ever there";
    let cases: [(&str, &[&str]); 10] = [
        (
            "twice",
            &[
                "double free: ",
                "heap_misuse.c:10 on node 0, and before that at ",
                made,
            ],
        ),
        (
            "twice-elsewhere",
            &["double free: ", "heap_misuse.c:8 on node ", made],
        ),
        (
            "both-elsewhere",
            &["double free: ", "heap_misuse.c:8 on node ", made],
        ),
        (
            "inside-elsewhere",
            &["that is 16 bytes into the object", made],
        ),
        (
            "realloc-elsewhere",
            &[
                "use after free: dist_realloc",
                "heap_misuse.c:8 on node ",
                made,
            ],
        ),
        ("inside", &["that is 16 bytes into the object", made]),
        ("stack", &[stranger]),
        ("malloc", &[stranger]),
        ("variable", &[stranger]),
        ("realloc", &["use after free: dist_realloc", made]),
    ];
    for (how, says) in cases {
        for size in ["48", "5000"] {
            for on in [On::Alone, On::Nodes(2), On::Nodes(4)] {
                diagnosed(on, &program.run(on, &[how, size], &[]), says);
            }
        }
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn using_a_freed_object_is_diagnosed_on_every_node() {
    let program = compile_ours("heap_misuse", &["-Wall", "-O1"]);
    for size in ["48", "700", "5000", "300000"] {
        for (how, verb) in [
            ("read", "node 0 read"),
            ("write", "node 0 wrote to"),
            ("read-elsewhere", "node 3 read"),
            ("write-elsewhere", "node 3 wrote to"),
            ("freed-elsewhere", "node 0 wrote to"),
        ] {
            let on = On::Nodes(4);
            let bytes = format!("the object of {size} bytes at 0x");
            let says = [
                "use after free: ",
                verb,
                &bytes,
                "heap_misuse.c:6 on node 0",
            ];
            diagnosed(on, &program.run(on, &[how, size], &[]), &says);
        }
    }
}

#[test]
fn alone_a_store_to_a_freed_slot_is_found_when_it_is_used_again_and_freed_pages_at_once() {
    let program = compile_ours("heap_misuse", &["-Wall", "-O1"]);
    let outcome = program.run(On::Alone, &["reuse", "48"], &[]);
    let says = [
        "was written to after it was freed",
        "heap_misuse.c:6 on node 0",
    ];
    diagnosed(On::Alone, &outcome, &says);
    for (how, verb) in [("read", "read"), ("write", "wrote to")] {
        let outcome = program.run(On::Alone, &[how, "5000"], &[]);
        // Guarded pages came with Linux 6.13.
        if outcome.stdout.is_empty() {
            let verb = format!("node 0 {verb} the object of 5000 bytes");
            diagnosed(On::Alone, &outcome, &["use after free: ", &verb]);
        }
    }
}
