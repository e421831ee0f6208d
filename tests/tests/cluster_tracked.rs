//! A large array that several nodes write sparsely, in the arena whose written pages the kernel tells.

use serde_json::Value;
use umbel_tests::cluster::{LIMIT, On, Outcome, compile_ours, start, umbel};

/// Of all nodes together.
fn write_faults(outcome: &Outcome) -> u64 {
    let stats: Value = serde_json::from_str(&outcome.stderr).expect("one line of JSON");
    let nodes = stats["nodes"].as_array().expect("a list");
    let counts = nodes.iter().map(|node| node["write_faults"].as_u64());
    counts.map(|count| count.expect("a number")).sum()
}

/// How often a busy machine may spoil the figures.
const ROUNDS_MAX: usize = 5;

/// The same program with and without: 64 MiB, each hundredth page written in a phase.
#[test]
fn sparse_writers_of_a_large_array_take_no_write_faults() {
    let doctor = start(&mut umbel(&["doctor"]), b"").wait(LIMIT);
    if !doctor.stdout.contains("the kernel tells them") {
        eprintln!("not tested: {doctor}");
        return;
    }
    let program = compile_ours("tracked", &["-O2", "-Wall"]);
    let faults = |tracking: &str| {
        let options = ["--stats", "--stats-format", "json"];
        let mut command = program.command(On::Nodes(2), &options, &["64", "1", "12"]);
        command.env("UMBEL_WRITE_TRACKING", tracking);
        let outcome = start(&mut command, b"").wait(LIMIT);
        assert_eq!(outcome.status, Some(0), "tracking {tracking}: {outcome}");
        write_faults(&outcome)
    };
    // Those that are left are of pages that change hands in time: a twentieth where nodes have processors of their own, a
    // third and more where they wait for one.
    let mut rounds = (0..ROUNDS_MAX).map(|_| (faults("0"), faults("1")));
    let found = rounds.find(|(protected, tracked)| {
        println!("write faults: {protected} with protection, {tracked} tracked");
        2 * tracked < *protected
    });
    assert!(found.is_some(), "see above");
}

#[test]
fn results_are_right_whatever_the_mode() {
    let program = compile_ours("tracked", &["-O0", "-Wall"]);
    let modes = [
        ("UMBEL_PROTOCOL", "auto", 3),
        ("UMBEL_PROTOCOL", "invalidate", 3),
        ("UMBEL_PROTOCOL", "update", 3),
        ("UMBEL_CACHE_BYTES", "262144", 2),
        ("UMBEL_HOLD_US", "0", 2),
    ];
    for (name, value, nodes) in modes {
        let environment = [("UMBEL_WRITE_TRACKING", "1"), (name, value)];
        let outcome = program.run(On::Nodes(nodes), &["1", "20", "6"], &environment);
        assert_eq!(outcome.status, Some(0), "{environment:?}: {outcome}");
    }
    assert_eq!(program.leftovers(), [""; 0]);
}
