//! Programs that start processes: fork, vfork, posix_spawn, system, popen, exec.

use umbel_tests::cluster::{On, compile_ours};

#[test]
fn processes_are_started_from_every_node_while_objects_move() {
    let program = compile_ours("processes", &["-O2"]);
    for on in [On::Alone, On::Nodes(1), On::Nodes(2), On::Nodes(3)] {
        let outcome = program.run(on, &[], &[]);
        assert_eq!(outcome.stdout, "processes agree\n", "{on:?}: {outcome}");
        assert_eq!(outcome.status, Some(0), "{on:?}: {outcome}");
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn a_forked_process_that_needs_what_is_shared_is_told_so() {
    let program = compile_ours("processes", &["-O2"]);
    for (wrong, says) in [
        ("read", "read shared memory at 0x2"),
        ("write", "wrote to shared memory at 0x2"),
        ("lock", "used a synchronization object"),
        ("malloc", "allocated shared memory"),
        ("thread", "called a function of umbel.h that needs the node"),
        ("flush", "called a function of umbel.h that needs the node"),
    ] {
        let outcome = program.run(On::Nodes(2), &[wrong], &[]);
        assert_eq!(outcome.status, Some(120), "{wrong}: {outcome}");
        let line = outcome.stderr.lines().find(|line| line.contains(says));
        let line = line.unwrap_or_else(|| panic!("{wrong} is not explained: {outcome}"));
        assert!(line.contains("made by fork on node 1"), "{line}");
        assert!(line.contains("have it call exec, or copy"), "{line}");
    }
    assert_eq!(program.leftovers(), [""; 0]);
}
