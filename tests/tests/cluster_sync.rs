//! Mutexes, semaphores, barriers and condition variables between real nodes.

use umbel_tests::cluster::{On, compile_ours};

#[test]
fn synchronization_objects_do_what_their_posix_models_do_from_every_node() {
    for flag in ["-O0", "-O2"] {
        let program = compile_ours("sync", &["-Wall", flag]);
        for on in [
            On::Alone,
            On::Nodes(1),
            On::Nodes(2),
            On::Nodes(3),
            On::Nodes(5),
        ] {
            let outcome = program.run(on, &[], &[]);
            let as_expected =
                outcome.stdout == "synchronization agrees\n" && outcome.status == Some(0);
            assert!(as_expected, "{flag} {on:?}: {outcome}");
        }
        assert_eq!(program.leftovers(), [""; 0]);
    }
}
