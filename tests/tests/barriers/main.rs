//! Every reachable state of nodes that meet at a barrier: asking its home, along a tree, and between the two.
//!
//! The shipping machines. A link takes messages in the order sent; links among each other in any order. Threads come when
//! they like. Each state is checked: nobody goes on before as many as the barrier's count have come, or without having heard of
//! them. And each state at rest: as many as the count don't wait, and one of each round was the serial thread.

mod world;

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use world::{Met, Step, World};

struct Scenario {
    nodes: u16,
    branches: usize,
    /// Whether the last edge is an exchange.
    exchanges: bool,
    count: u32,
    /// The nodes of the threads. The first `count` of them meet once before the search begins.
    threads: &'static [u16],
    /// How often each comes.
    rounds: u32,
    /// One of these may die.
    mortal: &'static [u16],
    /// When nobody waits the barrier may be destroyed, and made again, once.
    is_reset: bool,
    /// When all have come and one has gone on, on whatever node, that one may do the same, once.
    is_remade: bool,
    /// Its scope may end.
    is_forgotten: bool,
    /// Whether who goes on must have heard of those who came; for small ones.
    is_news_checked: bool,
    /// What is wrong on purpose.
    fault: Option<Fault>,
}

/// What a driver could do wrong: the checks must find it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nodes are not told that a tree is gone.
    Untold,
    /// What comes before its plan is lost.
    Impatient,
    /// A tree that is gone is said to have met once more.
    Boastful,
    /// A release sent ahead is taken for given back as soon as it is asked back.
    Hasty,
    /// Nobody says that it is given back.
    Unanswered,
    /// It is used after it was given back.
    Keeping,
    /// It is sent again when all have come.
    Twice,
    /// It leaves before what was written.
    Unflushed,
}

const PLAIN: Scenario = Scenario {
    nodes: 3,
    branches: 1,
    exchanges: true,
    count: 3,
    threads: &[0, 1, 2],
    rounds: 6,
    mortal: &[],
    is_reset: false,
    is_remade: false,
    is_forgotten: false,
    is_news_checked: false,
    fault: None,
};

/// Distinct states, and what was met.
fn search(scenario: &Scenario) -> (usize, Met) {
    let mut met = Met::new();
    let mut found = HashSet::new();
    let key = |world: &World| {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        hasher.finish()
    };
    let first = World::new(scenario);
    found.insert(key(&first));
    let mut level = vec![(first, Vec::new())];
    while !level.is_empty() {
        let mut next_level = Vec::new();
        for (world, way) in level {
            for step in world.steps(scenario) {
                let mut next = world.clone();
                let mut way: Vec<Step> = way.clone();
                way.push(step);
                let told = Told(&way);
                next.take(scenario, step, &mut met);
                if next.is_at_rest(scenario) {
                    next.check_at_rest(scenario);
                }
                std::mem::forget(told);
                if found.insert(key(&next)) {
                    next_level.push((next, way));
                }
            }
            assert!(found.len() < STATES_MAX, "too many states");
        }
        level = next_level;
    }
    (found.len(), met)
}

/// Prints the way to a broken rule.
struct Told<'a>(&'a [Step]);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        eprintln!("broken after {:?}", self.0);
    }
}

const STATES_MAX: usize = 4_000_000;

#[track_caller]
fn check(scenario: &Scenario, states: usize, expected: &[&str]) {
    let (found, met) = search(scenario);
    for path in expected {
        assert!(met.contains(path), "{path} never happened: {met:?}");
    }
    assert_eq!(found, states, "states; met: {met:?}");
}

#[test]
fn nodes_in_a_chain_meet() {
    check(&PLAIN, 219, &["a round along the tree", "an early arrival"]);
    let longer = Scenario {
        nodes: 4,
        count: 4,
        threads: &[0, 1, 2, 3],
        ..PLAIN
    };
    check(
        &longer,
        833,
        &["a round along the tree", "an early arrival"],
    );
}

#[test]
fn threads_of_one_node_meet_there() {
    let scenario = Scenario {
        nodes: 2,
        threads: &[0, 1, 1],
        ..PLAIN
    };
    check(&scenario, 83, &["a round along the tree"]);
}

#[test]
fn a_home_without_threads_of_its_own_has_them_meet() {
    let scenario = Scenario {
        threads: &[1, 1, 2],
        ..PLAIN
    };
    check(&scenario, 122, &["a round along the tree"]);
}

#[test]
fn a_thread_more_than_the_count_has_the_tree_dissolved() {
    let all = [
        "a round along the tree",
        "a thread without a place",
        "a release overtaken",
        "waiters that ask after all",
    ];
    for (threads, rounds, states) in [
        (&[0, 1, 2, 2][..], 4, 26_396),
        (&[1, 1, 2, 0], 4, 12_462),
        (&[0, 1, 2, 1, 2], 3, 151_985),
    ] {
        let scenario = Scenario {
            threads,
            rounds,
            ..PLAIN
        };
        check(&scenario, states, &all);
    }
}

#[test]
fn the_loss_of_a_node_of_the_tree_has_the_others_ask() {
    let scenario = Scenario {
        nodes: 4,
        threads: &[1, 2, 3, 0],
        rounds: 4,
        mortal: &[1, 2],
        ..PLAIN
    };
    let expected = ["a release overtaken", "waiters that ask after all"];
    check(&scenario, 143_223, &expected);
    let broad = Scenario {
        branches: 2,
        ..scenario
    };
    check(&broad, 130_564, &["waiters that ask after all"]);
}

#[test]
fn a_barrier_may_be_made_again_while_its_nodes_have_a_tree() {
    let scenario = Scenario {
        is_reset: true,
        ..PLAIN
    };
    let expected = ["a round along the tree", "waiters that ask after all"];
    check(&scenario, 1706, &expected);
}

#[test]
fn nobody_waits_when_the_scope_has_ended() {
    let scenario = Scenario {
        is_forgotten: true,
        ..PLAIN
    };
    let expected = ["a release overtaken", "waiters that ask after all"];
    check(&scenario, 15_532, &expected);
}

#[test]
fn two_nodes_exchange_and_hear_of_each_other() {
    let scenario = Scenario {
        nodes: 2,
        count: 2,
        threads: &[0, 1],
        is_news_checked: true,
        ..PLAIN
    };
    let both = ["released ahead of time", "a round along the tree"];
    check(&scenario, 66, &both);
    let more = Scenario {
        count: 4,
        threads: &[0, 1, 0, 1],
        rounds: 4,
        ..scenario
    };
    check(&more, 286, &both);
    for (branches, states) in [(1, 252), (2, 296)] {
        let three = Scenario {
            nodes: 3,
            branches,
            count: 3,
            threads: &[0, 1, 2],
            ..scenario
        };
        check(&three, states, &both);
    }
}

#[test]
fn a_thread_without_a_place_comes_while_a_release_is_out() {
    let all = [
        "released ahead of time",
        "a release asked back",
        "a release that is back",
        "a release used",
    ];
    for (threads, rounds, states) in [
        (&[0, 1, 1][..], 5, 8087),
        (&[0, 1, 0], 5, 3768),
        (&[0, 1, 0, 1], 4, 201_817),
    ] {
        let scenario = Scenario {
            nodes: 2,
            count: 2,
            threads,
            rounds,
            is_news_checked: true,
            ..PLAIN
        };
        check(&scenario, states, &all);
    }
    for (threads, rounds, states) in [(&[0, 1, 2][..], 5, 11_564), (&[0, 1, 2, 0], 4, 58_138)] {
        let scenario = Scenario {
            count: 2,
            threads,
            rounds,
            ..PLAIN
        };
        check(&scenario, states, &all);
    }
    for (threads, rounds, states) in [(&[0, 1, 2, 0][..], 4, 6640), (&[0, 1, 2, 1], 4, 17_590)] {
        let scenario = Scenario {
            branches: 2,
            threads,
            rounds,
            ..PLAIN
        };
        check(&scenario, states, &all);
    }
}

#[test]
fn who_went_on_may_destroy_the_barrier_before_its_home_has_heard() {
    let scenario = Scenario {
        is_remade: true,
        ..PLAIN
    };
    let early = "destroyed by who went on before the home knew";
    let expected = [early, "a release asked back", "a release used"];
    check(&scenario, 2443, &expected);
    let broad = Scenario {
        branches: 2,
        ..scenario
    };
    // Who went on asks on the link that his arrival took.
    check(&broad, 1706, &[early]);
}

#[test]
fn nodes_that_do_not_exchange_meet_along_a_tree_all_the_same() {
    let plain = Scenario {
        exchanges: false,
        ..PLAIN
    };
    check(&plain, 159, &["a round along the tree", "an early arrival"]);
    let too_many = Scenario {
        threads: &[0, 1, 2, 2],
        rounds: 4,
        ..plain
    };
    let all = [
        "a round along the tree",
        "a thread without a place",
        "a release overtaken",
        "waiters that ask after all",
    ];
    check(&too_many, 24_768, &all);
}

/// A search with a fault, which must be found.
fn spoilt(fault: Fault) {
    let scenario = Scenario {
        threads: &[0, 1, 2, 2],
        fault: Some(fault),
        ..PLAIN
    };
    search(&scenario);
}

/// The same for two nodes.
fn exchange_spoilt(fault: Fault) {
    let scenario = Scenario {
        nodes: 2,
        count: 2,
        threads: &[0, 1, 1],
        is_news_checked: fault == Fault::Unflushed,
        fault: Some(fault),
        ..PLAIN
    };
    search(&scenario);
}

#[test]
#[should_panic(expected = "wait for each other")]
fn a_tree_that_is_gone_unheard_of_is_found() {
    spoilt(Fault::Untold);
}

#[test]
#[should_panic(expected = "wait for each other")]
fn a_lost_arrival_is_found() {
    spoilt(Fault::Impatient);
}

#[test]
#[should_panic(expected = "nobody goes on before all have come")]
fn a_round_too_many_is_found() {
    spoilt(Fault::Boastful);
}

#[test]
#[should_panic(expected = "nobody goes on before all have come")]
fn a_release_counted_as_given_back_unasked_is_found() {
    exchange_spoilt(Fault::Hasty);
}

#[test]
#[should_panic(expected = "wait for each other")]
fn a_release_that_nobody_gives_back_is_found() {
    exchange_spoilt(Fault::Unanswered);
}

#[test]
#[should_panic(expected = "nobody goes on before all have come")]
fn a_release_used_after_it_was_given_back_is_found() {
    exchange_spoilt(Fault::Keeping);
}

#[test]
#[should_panic(expected = "nobody goes on before all have come")]
fn a_release_sent_twice_is_found() {
    exchange_spoilt(Fault::Twice);
}

#[test]
#[should_panic(expected = "what was written before is seen after")]
fn a_release_that_leaves_before_what_was_written_is_found() {
    exchange_spoilt(Fault::Unflushed);
}
