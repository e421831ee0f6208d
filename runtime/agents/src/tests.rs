//! The life cycle's rules, as transcripts.

use alloc::vec;

use super::*;

const HERE: NodeId = NodeId(0);
const THERE: NodeId = NodeId(1);
const T1: Token = Token(101);
const T2: Token = Token(102);

fn net() -> (Threads, ThreadId, Vec<Effect>) {
    let mut threads = Threads::new(HERE, 4);
    let main = threads.name_root();
    (threads, main, vec![])
}

fn reach(small: u64, pages: u64) -> Reach {
    Reach { small, pages }
}

fn joiner(token: Token) -> Joiner {
    Joiner { node: HERE, token }
}

#[test]
fn placement_visits_every_node_in_turn_beginning_with_the_next() {
    let (mut threads, ..) = net();
    let visited: Vec<u16> = (0..5).map(|_| threads.place().0).collect();
    assert_eq!(visited, [1, 2, 3, 0, 1]);
}

#[test]
fn join_answers_when_the_thread_ends_and_once_only() {
    let (mut threads, main, mut out) = net();
    let child = threads.create(main, THERE, reach(1, 0));
    threads.on_spawned(THERE, child, 0).unwrap();
    threads.join(main, child, joiner(T1), &mut out);
    assert_eq!(out, []);
    threads.on_ended(THERE, child, &mut out).unwrap();
    threads.join(main, child, joiner(T2), &mut out);
    let expected = [
        Effect::Joined {
            joiner: joiner(T1),
            result: 0,
        },
        Effect::Joined {
            joiner: joiner(T2),
            result: -ESRCH,
        },
    ];
    assert_eq!(out, expected);
}

#[test]
fn join_after_the_end_answers_at_once() {
    let (mut threads, main, mut out) = net();
    let child = threads.create(main, THERE, reach(1, 0));
    threads.on_ended(THERE, child, &mut out).unwrap();
    threads.join(main, child, joiner(T1), &mut out);
    assert_eq!(
        out,
        [Effect::Joined {
            joiner: joiner(T1),
            result: 0
        }]
    );
}

#[test]
fn a_thread_cannot_join_itself() {
    let (mut threads, main, mut out) = net();
    let child = threads.create(main, THERE, reach(1, 0));
    threads.join(child, child, joiner(T1), &mut out);
    assert_eq!(
        out,
        [Effect::Joined {
            joiner: joiner(T1),
            result: -EDEADLK
        }]
    );
}

#[test]
fn a_scope_waits_only_for_threads_that_reach_into_it() {
    let (mut threads, main, mut out) = net();
    let outer = threads.create(main, THERE, reach(2, 0));
    let inner = threads.create(main, THERE, reach(5, 0));
    threads.wait_children(main, Some(reach(2, 0)), T1, &mut out);
    assert_eq!(out, []);
    threads.on_ended(THERE, inner, &mut out).unwrap();
    assert_eq!(
        out,
        [Effect::ChildrenEnded { token: T1 }],
        "{outer:?} does not reach slot 2"
    );
}

#[test]
fn pages_and_slots_are_reached_separately() {
    let (mut threads, main, mut out) = net();
    threads.create(main, THERE, reach(0, 3));
    threads.wait_children(main, Some(reach(9, 2)), T1, &mut out);
    assert_eq!(out, [], "the thread reaches page 2");
}

#[test]
fn a_thread_ends_after_all_its_children() {
    let (mut threads, main, mut out) = net();
    let children = [
        threads.create(main, HERE, reach(0, 0)),
        threads.create(main, THERE, reach(0, 0)),
    ];
    threads.wait_children(main, None, T1, &mut out);
    threads.on_ended(HERE, children[0], &mut out).unwrap();
    assert_eq!(out, []);
    threads.on_ended(THERE, children[1], &mut out).unwrap();
    assert_eq!(out, [Effect::ChildrenEnded { token: T1 }]);
    threads.collect(main);
    assert!(threads.children.is_empty() && threads.families.is_empty());
}

#[test]
fn a_refused_creation_leaves_no_record() {
    let (mut threads, main, mut out) = net();
    let child = threads.create(main, THERE, reach(1, 0));
    threads.on_spawned(THERE, child, -11).unwrap();
    threads.wait_children(main, None, T1, &mut out);
    assert_eq!(out, [Effect::ChildrenEnded { token: T1 }]);
    assert!(threads.children.is_empty());
}

#[test]
fn a_node_may_speak_only_for_its_own_threads() {
    let (mut threads, main, mut out) = net();
    let child = threads.create(main, THERE, reach(1, 0));
    assert!(threads.on_ended(NodeId(2), child, &mut out).is_err());
    assert!(threads.on_ended(THERE, ThreadId(999), &mut out).is_err());
    threads.on_ended(THERE, child, &mut out).unwrap();
    assert!(
        threads.on_ended(THERE, child, &mut out).is_err(),
        "a thread ends once"
    );
}

#[test]
fn a_lost_node_names_its_threads() {
    let (mut threads, main, mut out) = net();
    let ended = threads.create(main, THERE, reach(1, 0));
    let running = threads.create(main, THERE, reach(1, 0));
    threads.on_ended(THERE, ended, &mut out).unwrap();
    assert_eq!(
        threads.running_on(THERE).collect::<Vec<_>>(),
        [(running, main)]
    );
}
