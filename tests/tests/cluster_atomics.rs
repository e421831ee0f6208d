//! Atomic operations that go by message, and through pointers to objects that nobody declared atomic.

use umbel_tests::cluster::{On, compile_ours};

#[test]
fn every_atomic_operation_counts_wherever_it_runs() {
    for flag in ["-O0", "-O2"] {
        let program = compile_ours("atomics", &["-Wall", flag]);
        for (nodes, hold_us) in [(1, "0"), (2, "0"), (3, "100"), (4, "0")] {
            let outcome = program.run(On::Nodes(nodes), &["500"], &[("UMBEL_HOLD_US", hold_us)]);
            let as_expected = outcome.stdout == "atomics agree\n" && outcome.status == Some(0);
            assert!(as_expected, "{flag}, {nodes} nodes: {outcome}");
        }
        let outcome = program.run(On::Alone, &["500"], &[]);
        assert_eq!(outcome.stdout, "atomics agree\n", "{flag} alone: {outcome}");
        assert_eq!(program.leftovers(), [""; 0]);
    }
}
