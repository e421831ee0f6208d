//! The kernel reads and writes objects that are elsewhere, or here as read-only copies, on every fault backend.

use umbel_tests::cluster::{On, compile_ours};

/// What this machine allows, by name.
fn backends() -> Vec<String> {
    let usable = umbel_fault::probe()
        .into_iter()
        .filter(|report| report.usable);
    usable.map(|report| report.name).collect()
}

#[test]
fn system_calls_take_absent_and_read_only_objects_as_buffers() {
    let program = compile_ours("syscalls", &["-O2"]);
    for backend in backends() {
        for (nodes, hold_us) in [(2, "0"), (2, "100"), (3, "100")] {
            for _ in 0..3 {
                let environment = [
                    ("UMBEL_HOLD_US", hold_us),
                    ("UMBEL_FAULT_BACKEND", backend.as_str()),
                ];
                let outcome = program.run(On::Nodes(nodes), &[], &environment);
                assert_eq!(
                    outcome.stdout, "system calls agree\n",
                    "{backend}, {nodes} nodes: {outcome}"
                );
                assert_eq!(outcome.status, Some(0), "{backend}: {outcome}");
            }
        }
    }
    assert_eq!(program.leftovers(), [""; 0]);
}
