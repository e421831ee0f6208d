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

use list::MUTANTS;
use model::{Declared, Explored, Scenario, explore, object_of};
use umbel_wire::Protocol;

/// Seeds until a mutant must have been caught by the simulator.
const SEED_COUNT: u64 = 400;

thread_local! {
    static SWITCHED_ON: Cell<&'static str> = const { Cell::new("") };
}

/// Whether this mutant is switched on; called by the copy.
fn is_on(name: &str) -> bool {
    SWITCHED_ON.get() == name
}

fn scenarios() -> [Scenario; 5] {
    let object = Declared::sequential(object_of(0, 0), Protocol::Invalidate);
    let plain = Scenario {
        stray_faults: true,
        ..Scenario::new(3, vec![object])
    };
    let held = Scenario {
        minimum_hold: true,
        ..plain.clone()
    };
    let reclaimed = Scenario {
        reclaims_per_object: None,
        ..plain.clone()
    };
    let cache_lost = Scenario {
        may_lose: Some(1),
        stray_faults: false,
        ..plain.clone()
    };
    let home_lost = Scenario {
        may_lose: Some(0),
        stray_faults: false,
        ..plain.clone()
    };
    [plain, held, reclaimed, cache_lost, home_lost]
}

/// The rule that the machine, as switched now, breaks first; or its panic.
fn verdict_of_model() -> Option<String> {
    scenarios().iter().find_map(|scenario| {
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

#[test]
fn the_model_checker_catches_every_mutant() {
    let mut unexpected = Vec::new();
    for mutant in MUTANTS.iter().filter(|mutant| !mutant.broken.is_empty()) {
        SWITCHED_ON.set(mutant.name);
        let verdict = verdict_of_model();
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
fn the_simulator_catches_every_mutant() {
    let missed: Vec<&str> = MUTANTS
        .iter()
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
    let [plain, ..] = scenarios();
    let explored =
        explore(&plain, 1_000_000).unwrap_or_else(|counterexample| panic!("{counterexample:?}"));
    assert_eq!(
        explored,
        Explored {
            states: 14_700,
            depth: 25,
            at_rest: 17
        }
    );
}
