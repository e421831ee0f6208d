//! Every fault planted in the machine is caught: the checks can fail.
//!
//! The model checker and the simulator are compiled here a second time, against a copy of the
//! machine's source with the faults of `mutants/list.rs` in it (`build.rs` makes the copy). A mutant
//! is switched on per thread; with none switched on the copy is the shipping machine.

// The harness and the machine are used in part here, and fully by their own tests.
#![allow(dead_code, unused_imports)]

extern crate alloc;

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

#[path = "../mutants/list.rs"]
mod list;
#[path = "../model/mod.rs"]
mod model;
#[path = "../sim/mod.rs"]
mod sim;

mod mutant {
    include!(concat!(env!("OUT_DIR"), "/mutant.rs"));
}

/// The machine under test: the copy.
mod subject {
    pub use crate::mutant::*;
}

use list::{MUTANTS, Mutant, OF_DRIVERS};
use model::{Explored, Scenario, explore, scenarios};

/// Seeds until a mutant must have been caught by the simulator.
const SEED_COUNT: u64 = 400;

thread_local! {
    static SWITCHED_ON: Cell<&'static str> = const { Cell::new("") };
}

/// Whether this mutant is switched on; called by the copy.
fn is_on(name: &str) -> bool {
    SWITCHED_ON.get() == name
}

fn scenarios() -> Vec<Scenario> {
    use umbel_wire::Protocol::{Invalidate, Migratory, Remote, Update};
    let plain = scenarios::one_object_stray(Invalidate);
    let mut scenarios = vec![
        scenarios::held(plain.clone()),
        Scenario {
            reclaims_per_object: None,
            ..plain.clone()
        },
        scenarios::lost(scenarios::one_object(Invalidate), 1),
        scenarios::lost(scenarios::one_object(Invalidate), 0),
        scenarios::one_object_stray(Migratory),
    ];
    for protocol in [Invalidate, Migratory, Update] {
        scenarios.push(scenarios::two_caches_write(protocol));
        scenarios.push(scenarios::home_and_cache_write(protocol));
        scenarios.push(scenarios::one_cache_writes_often(protocol));
        scenarios.push(scenarios::two_nodes_write_often(protocol));
        scenarios.push(scenarios::a_race_with_the_home(protocol));
    }
    scenarios.extend([
        scenarios::prefetches(scenarios::faults(plain.clone(), 1), 1, false),
        scenarios::lost(scenarios::two_caches_write(Invalidate), 1),
        scenarios::faults(scenarios::operations(Remote), 0),
        scenarios::evictions(
            scenarios::faults(scenarios::two_caches_write(Invalidate), 1),
            1,
        ),
        scenarios::reclaimed(scenarios::faults(
            scenarios::two_caches_write(Invalidate),
            1,
        )),
        scenarios::strengthened(
            scenarios::faults(scenarios::two_caches_write(Invalidate), 1),
            1,
        ),
        scenarios::a_copy_rests(),
        scenarios::a_flag(Invalidate, 2),
        scenarios::a_flag_of_the_home(Invalidate, 0),
        scenarios::two_nodes_restore(Invalidate),
        scenarios::news_in_a_row(Invalidate, 0),
        scenarios::news_and_a_flag(Invalidate, 1),
        scenarios::news_of_the_home(Update),
    ]);
    scenarios.insert(0, plain);
    scenarios
}

/// With what drivers do beside faults.
fn driven() -> Vec<Scenario> {
    use umbel_wire::Protocol::Invalidate;
    vec![
        scenarios::pinned(
            scenarios::evictions(scenarios::faults(scenarios::one_object(Invalidate), 1), 1),
            &[0, 1],
        ),
        scenarios::written_ahead(
            scenarios::faults(scenarios::home_and_cache_write(Invalidate), 2),
            &[0, 1],
            1,
        ),
        scenarios::written_ahead(
            scenarios::faults(scenarios::one_object(Invalidate), 2),
            &[1],
            1,
        ),
        scenarios::asking(scenarios::faults(scenarios::news(Invalidate, 0), 0), &[1]),
        scenarios::asking(scenarios::faults(scenarios::a_flag(Invalidate, 2), 2), &[1]),
    ]
}

/// These planted faults; with `UMBEL_MUTANT` those alone whose names contain it.
fn wanted(mutants: &'static [Mutant]) -> impl Iterator<Item = &'static Mutant> {
    let wanted = std::env::var("UMBEL_MUTANT").unwrap_or_default();
    mutants
        .iter()
        .filter(move |mutant| mutant.name.contains(&wanted))
}

/// The rule that the machine, as switched now, breaks first; or its panic.
fn verdict_of_model(scenarios: &[Scenario]) -> Option<String> {
    scenarios.iter().find_map(|scenario| {
        match panic::catch_unwind(AssertUnwindSafe(|| explore(scenario, 1_000_000))) {
            Ok(Ok(_)) => None,
            Ok(Err(counterexample)) => Some(counterexample.broken.rule.to_owned()),
            Err(_) => Some("the machine panics".to_owned()),
        }
    })
}

fn is_caught_by_simulator() -> bool {
    (0..SEED_COUNT).any(|seed| !matches!(panic::catch_unwind(|| sim::run(seed)), Ok(Ok(_))))
}

#[track_caller]
fn check_model(mutants: &'static [Mutant], scenarios: &[Scenario]) {
    let mut unexpected = Vec::new();
    for mutant in wanted(mutants).filter(|mutant| !mutant.broken.is_empty()) {
        SWITCHED_ON.set(mutant.name);
        let verdict = verdict_of_model(scenarios);
        if verdict.as_deref() != Some(mutant.broken) {
            unexpected.push((mutant.name, mutant.broken, verdict));
        }
    }
    assert!(
        unexpected.is_empty(),
        "planted, expected, found: {unexpected:#?}"
    );
}

#[test]
fn the_model_checker_catches_every_mutant() {
    check_model(MUTANTS, &scenarios());
}

#[test]
fn the_model_checker_catches_every_mutant_of_what_drivers_do() {
    check_model(OF_DRIVERS, &driven());
}

#[test]
fn the_simulator_catches_every_mutant() {
    // What the model catches may be too rare for a few hundred seeds.
    let missed: Vec<&str> = wanted(MUTANTS)
        .filter(|mutant| !mutant.is_rare)
        .map(|mutant| mutant.name)
        .filter(|name| {
            SWITCHED_ON.set(name);
            !is_caught_by_simulator()
        })
        .collect();
    assert_eq!(missed, [""; 0], "not caught in {SEED_COUNT} seeds");
}

#[test]
fn the_copy_without_a_mutant_is_right() {
    let plain = scenarios().remove(0);
    let explored =
        explore(&plain, 1_000_000).unwrap_or_else(|counterexample| panic!("{counterexample:?}"));
    assert_eq!(
        explored,
        Explored {
            states: 19_164,
            depth: 25,
            at_rest: 17
        }
    );
}
