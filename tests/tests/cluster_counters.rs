//! No increment is lost, however often the counters move between nodes.

use umbel_tests::cluster::{LIMIT, On, Outcome, Program, compile_ours, start};

/// Misses on the objects whose names begin so: each moved the counter, or a copy of it. Under the migratory protocol
/// it is often the read before the increment that moves it.
fn migrations(outcome: &Outcome, object: &str) -> u64 {
    let rows = outcome.stderr.split("{\"name\":\"").skip(1);
    let rows = rows.filter(|row| row.starts_with(object));
    rows.map(|row| column(row, "read_faults") + column(row, "write_faults"))
        .sum()
}

fn column(row: &str, name: &str) -> u64 {
    let (_, rest) = row
        .split_once(&format!("\"{name}\":"))
        .expect("every row has this column");
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse::<u64>().ok())
        .expect("the column is a number")
}

fn run(program: &Program, nodes: usize, hold_us: &str, argument: &str) -> Outcome {
    let options = ["--stats", "--stats-format", "json"];
    let mut command = program.command(On::Nodes(nodes), &options, &[argument]);
    let outcome = start(command.env("UMBEL_HOLD_US", hold_us), b"").wait(LIMIT);
    assert_eq!(
        outcome.status,
        Some(0),
        "hold {hold_us} us, {nodes} nodes: {outcome}"
    );
    outcome
}

#[test]
fn atomic_increments_from_all_nodes_are_all_counted() {
    let program = compile_ours("counters", &["-O2"]);
    for (nodes, hold_us) in [(2, "0"), (2, "20"), (4, "0"), (4, "100"), (3, "0")] {
        let mut moved = 0;
        // Few on a machine that has much else to do.
        for round in 0.. {
            let outcome = run(&program, nodes, hold_us, "2");
            moved += migrations(&outcome, "main:");
            if moved > 1000 {
                break;
            }
            assert!(round < 10, "only {moved} migrations tell little: {outcome}");
        }
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

/// About a minute on two cores: `cargo test --release -p umbel-tests --test cluster_counters -- --ignored`.
#[test]
#[ignore = "a minute; the nightly run has it"]
fn a_million_migrations_lose_nothing() {
    let program = compile_ours("counters", &["-O2"]);
    let mut moved = 0;
    for round in 0.. {
        let nodes = [2, 4, 2, 3][round % 4];
        moved += migrations(&run(&program, nodes, "0", "10"), "main:");
        assert!(round < 60, "{moved} migrations in {round} rounds of 10 s");
        if moved >= 1_000_000 {
            break;
        }
    }
}

#[test]
fn a_counter_that_moves_with_every_increment_takes_its_neighbour_along() {
    let program = compile_ours("baton", &["-O2"]);
    for (nodes, hold_us, steps) in [(2, "0", 4000), (4, "0", 2000), (4, "100", 2000)] {
        let outcome = run(&program, nodes, hold_us, &steps.to_string());
        let moved = migrations(&outcome, "main:turn");
        assert!(
            moved + 1 >= steps,
            "{moved} migrations in {steps} steps: {outcome}"
        );
    }
}

#[test]
fn plain_increments_under_a_mutex_and_in_variables_of_ones_own_are_all_counted() {
    let program = compile_ours("locked", &["-O2"]);
    for (nodes, hold_us) in [(2, "0"), (4, "100"), (8, "0")] {
        run(&program, nodes, hold_us, "500");
    }
    let outcome = program.run(On::Alone, &["1000"], &[]);
    assert_eq!(outcome.stdout, "1000 locked\n", "{outcome}");
}
