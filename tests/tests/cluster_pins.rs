//! Pinned objects stay, for the kernel and for devices.

use umbel_tests::cluster::{On, compile_ours};

#[test]
fn pinned_objects_stay_while_others_want_them() {
    let program = compile_ours("pins", &["-O2", "-D_GNU_SOURCE"]);
    for (on, hold_us) in [
        (On::Alone, "100"),
        (On::Nodes(1), "100"),
        (On::Nodes(2), "0"),
        (On::Nodes(2), "100"),
        (On::Nodes(3), "0"),
    ] {
        let outcome = program.run(on, &[], &[("UMBEL_HOLD_US", hold_us)]);
        assert_eq!(outcome.stdout, "pins agree\n", "{on:?}: {outcome}");
        assert_eq!(outcome.status, Some(0), "{on:?}: {outcome}");
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn pinned_objects_stay_in_a_small_cache() {
    let program = compile_ours("pins", &["-O2", "-D_GNU_SOURCE"]);
    let outcome = program.run(On::Nodes(2), &[], &[("UMBEL_CACHE_BYTES", "16384")]);
    assert_eq!(outcome.stdout, "pins agree\n", "{outcome}");
    assert_eq!(program.leftovers(), [""; 0]);
}
