//! Sequential consistency of `_Atomic` objects on several nodes, by the classic small programs.

use umbel_tests::cluster::{On, compile_ours};

#[test]
fn no_forbidden_outcome_appears_and_several_allowed_ones_do() {
    let program = compile_ours("litmus", &["-O2"]);
    let mut kinds = std::collections::BTreeMap::new();
    for (nodes, hold_us) in [(2, "0"), (3, "20"), (4, "0"), (4, "100"), (2, "100")] {
        let outcome = program.run(On::Nodes(nodes), &["400"], &[("UMBEL_HOLD_US", hold_us)]);
        assert_eq!(
            outcome.status,
            Some(0),
            "{nodes} nodes, hold {hold_us} us: {outcome}"
        );
        for line in outcome.stdout.lines() {
            let (counts, shape) = line.split_once(": ").expect("runs, outcomes: shape");
            let number = |index| {
                counts
                    .split(' ')
                    .nth(index)
                    .and_then(|word| word.parse::<u64>().ok())
            };
            let (runs, found) = (number(0).unwrap_or(0), number(2).unwrap_or(0));
            assert!(runs >= 1000, "{line}");
            let most = kinds.entry(shape.to_owned()).or_insert(0);
            *most = found.max(*most);
        }
    }
    assert_eq!(kinds.len(), 10, "{kinds:?}");
    // A shape whose threads never met would have only one outcome.
    assert!(kinds.values().all(|found| *found >= 2), "{kinds:?}");
}
