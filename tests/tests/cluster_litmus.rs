//! Sequential consistency of `_Atomic`, `volatile` and attributed objects on several nodes, and plain data that a
//! flag announces, by the classic small programs, under every consistency and protocol that the environment can set.

use std::collections::BTreeMap;

use umbel_tests::cluster::{On, Program, compile_ours};

/// Shapes of tests/programs/litmus.c.
const SHAPES: usize = 19;

/// Batches of one run: five of each shape, with 32 copies each.
const BATCHES: &str = "95";

/// Nodes, and the time in microseconds for which a copy is held.
const PLACES: [(usize, &str); 4] = [(2, "0"), (3, "20"), (4, "0"), (4, "100")];

/// What plain objects are, and by which protocol objects are kept where the source says nothing.
const SETTINGS: [(&str, &str); 6] = [
    ("weak", "auto"),
    ("weak", "invalidate"),
    ("weak", "update"),
    ("weak", "migratory"),
    ("weak", "remote"),
    ("sequential", "auto"),
];

#[test]
fn no_forbidden_outcome_of_atomic_objects_appears_and_several_allowed_ones_do() {
    let program = compile_ours("litmus", &["-O2", "-Wall"]);
    let mut kinds = BTreeMap::new();
    for (nodes, hold_us) in PLACES {
        for (consistency, protocol) in SETTINGS {
            play(&program, nodes, hold_us, consistency, protocol, &mut kinds);
        }
    }
    assert_eq!(kinds.len(), SHAPES, "{kinds:?}");
    // A shape whose threads never met would have only one outcome; taking turns has one.
    kinds.remove("plain data by turns");
    assert!(kinds.values().all(|found| *found >= 2), "{kinds:?}");
}

/// A node for each thread: without fences, two threads of one node may reorder as the processor does.
#[test]
fn no_forbidden_outcome_of_volatile_objects_appears() {
    play_every_setting("-DVOLATILE");
}

#[test]
fn no_forbidden_outcome_of_objects_with_the_attribute_appears() {
    play_every_setting("-DATTRIBUTE");
}

/// The program compiled with `define`, on four nodes.
fn play_every_setting(define: &str) {
    let program = compile_ours("litmus", &["-O2", "-Wall", define]);
    for (consistency, protocol) in SETTINGS {
        play(
            &program,
            4,
            "20",
            consistency,
            protocol,
            &mut BTreeMap::new(),
        );
    }
}

/// One run; `kinds` keeps the most different outcomes of each shape.
fn play(
    program: &Program,
    nodes: usize,
    hold_us: &str,
    consistency: &str,
    protocol: &str,
    kinds: &mut BTreeMap<String, u64>,
) {
    let environment = [
        ("UMBEL_HOLD_US", hold_us),
        ("UMBEL_CONSISTENCY", consistency),
        ("UMBEL_PROTOCOL", protocol),
    ];
    let outcome = program.run(On::Nodes(nodes), &[BATCHES], &environment);
    assert_eq!(
        outcome.status,
        Some(0),
        "{nodes} nodes, {environment:?}: {outcome}"
    );
    for line in outcome.stdout.lines() {
        let (counts, shape) = line.split_once(": ").expect("runs, outcomes: shape");
        let number = |index| {
            let word = counts.split(' ').nth(index);
            word.and_then(|word| word.parse::<u64>().ok())
        };
        let (runs, found) = (number(0).unwrap_or(0), number(2).unwrap_or(0));
        assert!(runs >= 160, "{line}");
        let most = kinds.entry(shape.to_owned()).or_insert(0);
        *most = found.max(*most);
    }
}
