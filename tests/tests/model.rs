//! The shipping machine in every reachable state of small clusters.
//!
//! The numbers of states are pinned: a change of the machine that adds or removes behaviour shows here,
//! and whoever made it says in the commit why the number moved.

use umbel_tests::model::{Declared, Explored, Scenario, explore, object_of};
use umbel_wire::Protocol;

/// Twice the largest scenario: a search that runs away stops before memory does.
const STATES_MAX: usize = 2_000_000;

#[track_caller]
fn check(scenario: &Scenario, expected: Explored) {
    let explored =
        explore(scenario, STATES_MAX).unwrap_or_else(|counterexample| panic!("{counterexample:?}"));
    assert_eq!(explored, expected, "the reachable states changed");
}

fn sequential(home: u16, index: u64) -> Declared {
    Declared::sequential(object_of(home, index), Protocol::Invalidate)
}

/// Three nodes that load and store one object, without end, faults reported late and twice.
fn one_object() -> Scenario {
    Scenario {
        stray_faults: true,
        ..Scenario::new(3, vec![sequential(0, 0)])
    }
}

#[test]
fn three_nodes_share_one_object() {
    check(
        &one_object(),
        Explored {
            states: 19_164,
            depth: 25,
            at_rest: 17,
        },
    );
}

#[test]
fn three_nodes_share_one_object_with_holds() {
    let scenario = Scenario {
        minimum_hold: true,
        ..one_object()
    };
    check(
        &scenario,
        Explored {
            states: 43_024,
            depth: 36,
            at_rest: 17,
        },
    );
}

#[test]
fn scopes_end_at_any_time() {
    let scenario = Scenario {
        reclaims_per_object: None,
        ..one_object()
    };
    check(
        &scenario,
        Explored {
            states: 72_078,
            depth: 31,
            at_rest: 19,
        },
    );
}

/// Once, not without end: holds left over from earlier lives would add up.
#[test]
fn scopes_end_at_any_time_with_holds() {
    let scenario = Scenario {
        reclaims_per_object: Some(1),
        minimum_hold: true,
        stray_faults: false,
        ..one_object()
    };
    check(
        &scenario,
        Explored {
            states: 240_384,
            depth: 48,
            at_rest: 36,
        },
    );
}

/// Two readers besides the requester and the home: several answers are awaited at once.
#[test]
fn four_nodes_share_one_object() {
    let scenario = Scenario {
        node_count: 4,
        stray_faults: false,
        ..one_object()
    };
    check(
        &scenario,
        Explored {
            states: 786_225,
            depth: 37,
            at_rest: 50,
        },
    );
}

#[test]
fn a_cache_is_lost_at_any_time() {
    let scenario = Scenario {
        may_lose: Some(1),
        stray_faults: false,
        ..one_object()
    };
    check(
        &scenario,
        Explored {
            states: 11_089,
            depth: 29,
            at_rest: 28,
        },
    );
}

#[test]
fn the_home_is_lost_at_any_time() {
    let scenario = Scenario {
        may_lose: Some(0),
        stray_faults: false,
        ..one_object()
    };
    check(
        &scenario,
        Explored {
            states: 7582,
            depth: 28,
            at_rest: 30,
        },
    );
}

#[test]
fn a_cache_is_lost_while_scopes_end_and_holds_run() {
    let scenario = Scenario {
        may_lose: Some(1),
        minimum_hold: true,
        reclaims_per_object: Some(1),
        faults_per_node: Some(2),
        stray_faults: false,
        ..one_object()
    };
    check(
        &scenario,
        Explored {
            states: 211_490,
            depth: 34,
            at_rest: 816,
        },
    );
}

#[test]
fn two_nodes_share_two_objects() {
    let scenario = Scenario {
        node_count: 2,
        objects: vec![sequential(0, 0), sequential(0, 1)],
        ..one_object()
    };
    check(
        &scenario,
        Explored {
            states: 78_748,
            depth: 30,
            at_rest: 36,
        },
    );
}

/// Each of two nodes is a cache to the other and a home itself; messages of both roles share links.
#[test]
fn three_nodes_share_two_objects_of_two_homes() {
    let scenario = Scenario {
        objects: vec![sequential(0, 0), sequential(1, 0)],
        faults_per_node: Some(2),
        stray_faults: false,
        ..one_object()
    };
    check(
        &scenario,
        Explored {
            states: 767_645,
            depth: 29,
            at_rest: 1794,
        },
    );
}

#[test]
fn three_nodes_share_two_objects_of_one_home() {
    let scenario = Scenario {
        objects: vec![sequential(0, 0), sequential(0, 1)],
        faults_per_node: Some(2),
        stray_faults: false,
        ..one_object()
    };
    check(
        &scenario,
        Explored {
            states: 612_166,
            depth: 28,
            at_rest: 1720,
        },
    );
}
