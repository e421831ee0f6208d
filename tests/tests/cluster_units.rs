//! Units of several pages are fetched as a whole.

use serde_json::Value;
use umbel_tests::cluster::{LIMIT, On, compile_ours, start};

/// Read faults of all nodes in a run.
fn read_faults(stats: &str) -> u64 {
    let stats: Value = serde_json::from_str(stats).expect("one line of JSON");
    let nodes = stats["nodes"].as_array().expect("a list");
    nodes
        .iter()
        .filter_map(|node| node["read_faults"].as_u64())
        .sum()
}

#[test]
fn one_fault_fetches_a_unit() {
    let program = compile_ours("units", &["-Wall", "-O1"]);
    let options = ["--stats", "--stats-format", "json"];
    let outcome = start(&mut program.command(On::Nodes(2), &options, &[]), b"").wait(LIMIT);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "together\n");
    // 256 pages in 16 units; the first page of the array has bytes before it and is fetched by itself.
    let faults = read_faults(&outcome.stderr);
    assert!((16..128).contains(&faults), "{faults} faults: {outcome}");
    assert_eq!(program.leftovers(), [""; 0]);
}
