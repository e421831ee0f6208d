//! Objects of all sizes and shapes keep their values on real nodes, and new ones show nothing of old ones.

use umbel_tests::cluster::{On, compile_ours};

#[test]
fn values_survive_in_objects_of_every_size_and_shape() {
    let program = compile_ours("memory", &["-Wall", "-O0"]);
    for on in [
        On::Alone,
        On::Nodes(1),
        On::Nodes(2),
        On::Nodes(3),
        On::Nodes(5),
    ] {
        let outcome = program.run(on, &["100"], &[]);
        let as_expected = outcome.stdout == "values survive\n" && outcome.status == Some(0);
        assert!(as_expected, "{on:?}: {outcome}");
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn a_new_object_never_shows_what_a_node_kept_of_an_old_one() {
    let program = compile_ours("memory", &["-Wall", "-O2"]);
    for (nodes, hold_us) in [(2, "0"), (2, "100"), (4, "0")] {
        let outcome = program.run(On::Nodes(nodes), &["10000"], &[("UMBEL_HOLD_US", hold_us)]);
        let as_expected = outcome.stdout == "values survive\n" && outcome.status == Some(0);
        assert!(as_expected, "{nodes} nodes, hold {hold_us} us: {outcome}");
    }
    assert_eq!(program.leftovers(), [""; 0]);
}
