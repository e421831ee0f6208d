//! The kernel reads and writes objects that are elsewhere, or here as read-only copies.

use umbel_tests::cluster::{On, compile_ours};

#[test]
fn system_calls_take_absent_and_read_only_objects_as_buffers() {
    let program = compile_ours("syscalls", &["-O2"]);
    for (nodes, hold_us) in [(2, "0"), (2, "100"), (3, "100")] {
        for _ in 0..10 {
            let outcome = program.run(On::Nodes(nodes), &[], &[("UMBEL_HOLD_US", hold_us)]);
            assert_eq!(
                outcome.stdout, "system calls agree\n",
                "{nodes} nodes: {outcome}"
            );
            assert_eq!(outcome.status, Some(0), "{outcome}");
        }
    }
    assert_eq!(program.leftovers(), [""; 0]);
}
