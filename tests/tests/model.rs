//! The shipping machine in every reachable state of small clusters.

use umbel_tests::model::{Explored, Scenario, explore, object_of};

const STATES_MAX: usize = 4_000_000;

fn check(scenario: &Scenario) -> Explored {
    let start = std::time::Instant::now();
    let e =
        explore(scenario, STATES_MAX).unwrap_or_else(|counterexample| panic!("{counterexample:?}"));
    eprintln!("{e:?} {:?}", start.elapsed());
    e
}

fn base() -> Scenario {
    Scenario {
        node_count: 3,
        objects: vec![object_of(0, 0)],
        minimum_hold: false,
        faults_per_node: None,
        reclaims_per_object: Some(0),
        stray_faults: true,
    }
}

#[test]
fn one_object_any_number_of_operations() {
    check(&base());
}

#[test]
fn one_object_with_holds() {
    check(&Scenario {
        minimum_hold: true,
        ..base()
    });
}

#[test]
fn one_object_with_reclaim() {
    check(&Scenario {
        reclaims_per_object: None,
        ..base()
    });
}
#[test]
fn one_object_with_reclaim_hold() {
    check(&Scenario {
        minimum_hold: true,
        reclaims_per_object: None,
        ..base()
    });
}
#[test]
fn two_nodes_two_objects() {
    check(&Scenario {
        node_count: 2,
        objects: vec![object_of(0, 0), object_of(0, 1)],
        ..base()
    });
}
#[test]
fn two_objects_two_homes() {
    check(&Scenario {
        objects: vec![object_of(0, 0), object_of(1, 0)],
        faults_per_node: Some(2),
        stray_faults: false,
        ..base()
    });
}
