//! Thousands of seeded runs of 8 to 12 nodes; the rules of the simulator hold in each.

use umbel_tests::sim::{self, Coverage};

/// Enough for every `Sometimes` path to be taken many times.
const SEED_COUNT: u64 = 10_000;

/// `UMBEL_SEED=n` runs that seed alone.
fn chosen_seed() -> Option<u64> {
    let text = std::env::var("UMBEL_SEED").ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("UMBEL_SEED={text} is not a number")),
    )
}

fn run(seed: u64) -> Coverage {
    sim::run(seed).unwrap_or_else(|broken| {
        panic!("seed {seed}: {broken}\nreplay: UMBEL_SEED={seed} cargo test -p umbel-tests --test simulation")
    })
}

#[test]
fn every_run_is_sequentially_consistent_and_ends() {
    if let Some(seed) = chosen_seed() {
        run(seed);
        return;
    }
    let mut coverage = Coverage::default();
    for seed in 0..SEED_COUNT {
        coverage.merge(&run(seed));
    }
    assert_eq!(coverage.missed(), [""; 0], "paths that no run took");
}

#[test]
fn a_seed_decides_everything() {
    let seed = chosen_seed().unwrap_or(7);
    assert_eq!(format!("{:?}", run(seed)), format!("{:?}", run(seed)));
}
