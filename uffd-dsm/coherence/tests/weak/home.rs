//! What a home does for weak objects, effect by effect, and what it refuses.

use umbel_coherence::{Effect, Holding};
use umbel_wire::{Access, Coherence, NodeId, Protocol, Token};

use crate::transcript::*;

pub fn home(protocol: Protocol) -> Node {
    Node::new(0, Some(protocol))
}

/// A home whose object the nodes 1 to `count` have copies of.
pub fn shared(protocol: Protocol, count: u16) -> Node {
    let mut home = home(protocol);
    for node in 1..=count {
        home.receive(node, get(OBJECT, READ));
    }
    home
}

fn merge(diff: u64) -> Effect<u64> {
    Effect::Merge {
        object: OBJECT,
        diff,
    }
}

pub fn granted(to: u16, access: Access, protocol: Protocol) -> Effect<u64> {
    sent(to, grant(OBJECT, access, weak(protocol)))
}

fn holding(home: &Node) -> Holding {
    let entry = home.machine.entry(OBJECT);
    entry.expect("the object is shared").holding()
}

pub const INVALIDATE: Protocol = Protocol::Invalidate;
pub const UPDATE: Protocol = Protocol::Update;

#[test]
fn the_only_writer_becomes_owner() {
    let mut home = home(INVALIDATE);
    assert_eq!(
        home.receive(1, get(OBJECT, WRITE)),
        [access(OBJECT, None), granted(1, WRITE, INVALIDATE)]
    );
}

#[test]
fn writers_share_an_object_that_others_use() {
    let mut home = home(INVALIDATE);
    home.receive(1, get(OBJECT, WRITE));
    let recall = Coherence::Recall {
        object: OBJECT,
        keep_read: true,
        forward: None,
    };
    assert_eq!(home.receive(2, get(OBJECT, WRITE)), [sent(1, recall)]);
    let recalled = Coherence::Recalled {
        object: OBJECT,
        data: 5,
    };
    let store = Effect::Store {
        object: OBJECT,
        data: 5,
    };
    assert_eq!(
        home.receive(1, recalled),
        [store, granted(2, READ, INVALIDATE)]
    );
    assert_eq!(
        home.receive(3, get(OBJECT, WRITE)),
        [granted(3, READ, INVALIDATE)],
        "nobody is asked"
    );
}

#[test]
fn a_flush_takes_the_other_copies_and_makes_its_node_owner() {
    let mut home = shared(INVALIDATE, 3);
    assert_eq!(
        home.receive(1, flush(4, 7)),
        [
            merge(7),
            sent(2, invalidate(OBJECT)),
            sent(3, invalidate(OBJECT))
        ]
    );
    assert_eq!(home.receive(2, invalidated(None)), []);
    assert_eq!(
        home.receive(3, invalidated(None)),
        [access(OBJECT, None), sent(1, flushed(4, true))]
    );
    assert_eq!(holding(&home), Holding::Owned(NodeId(1)));
}

#[test]
fn a_diff_that_is_handed_over_reaches_the_copy_that_stays() {
    let mut home = shared(INVALIDATE, 2);
    home.receive(1, flush(4, 7));
    assert_eq!(
        home.receive(2, invalidated(Some((9, 8)))),
        [merge(8), sent(1, update(8))]
    );
    assert_eq!(
        home.receive(1, updated(false)),
        [
            access(OBJECT, None),
            sent(1, flushed(4, true)),
            sent(2, flushed(9, false))
        ]
    );
}

#[test]
fn a_flush_that_crosses_an_invalidate_joins_the_round() {
    let mut home = shared(INVALIDATE, 2);
    home.receive(1, flush(4, 7));
    assert_eq!(home.receive(2, flush(9, 8)), [merge(8), sent(1, update(8))]);
    home.receive(1, updated(false));
    let out = home.receive(2, invalidated(None));
    assert_eq!(
        out[1..],
        [sent(1, flushed(4, true)), sent(2, flushed(9, false))]
    );
}

#[test]
fn nobody_becomes_owner_while_the_home_has_unflushed_stores_or_somebody_waits() {
    let mut home = shared(INVALIDATE, 1);
    home.fault(OBJECT, WRITE);
    assert_eq!(
        home.receive(1, flush(4, 7)),
        [merge(7), sent(1, flushed(4, false))]
    );
    let mut home = shared(INVALIDATE, 2);
    home.receive(1, flush(4, 7));
    home.receive(3, get(OBJECT, READ));
    assert_eq!(
        home.receive(2, invalidated(None)),
        [sent(1, flushed(4, false)), granted(3, READ, INVALIDATE)]
    );
}

#[test]
fn the_homes_own_flush_leaves_it_alone() {
    let mut home = shared(INVALIDATE, 2);
    let twin = Effect::Twin { object: OBJECT };
    assert_eq!(
        home.fault(OBJECT, WRITE),
        [twin, access(OBJECT, Some(WRITE)), wake(OBJECT)],
        "without waiting"
    );
    assert_eq!(
        home.writes(7).flush(1),
        [sent(1, invalidate(OBJECT)), sent(2, invalidate(OBJECT))]
    );
    home.receive(1, invalidated(Some((3, 8))));
    let drop = Effect::DropTwin { object: OBJECT };
    let done = Effect::Flushed { token: Token(1) };
    assert_eq!(
        home.receive(2, invalidated(None)),
        [drop, sent(1, flushed(3, false)), done]
    );
    assert_eq!(holding(&home), Holding::Home);
    assert!(home.machine.is_clean());
}

#[test]
fn an_update_goes_to_every_copy_but_the_writers() {
    let mut home = shared(UPDATE, 3);
    assert_eq!(
        home.receive(1, flush(4, 7)),
        [merge(7), sent(2, update(7)), sent(3, update(7))]
    );
    home.receive(2, updated(false));
    home.receive(3, leave(OBJECT, 1, None));
    assert_eq!(home.receive(3, updated(true)), [sent(1, flushed(4, false))]);
    let copies = home.machine.entry(OBJECT).expect("shared").copyset();
    assert_eq!(copies, [NodeId(1), NodeId(2)], "3 has left");
}

#[test]
fn a_flush_that_crosses_an_update_comes_back() {
    let mut home = shared(UPDATE, 2);
    home.receive(1, flush(4, 7));
    assert_eq!(
        home.receive(2, flush(9, 8)),
        [merge(8), sent(1, update(8)), sent(2, update(8))],
        "node 2 has 7 over its own 8"
    );
    home.receive(2, updated(false));
    home.receive(1, updated(false));
    let out = home.receive(2, updated(false));
    assert_eq!(
        out,
        [sent(1, flushed(4, false)), sent(2, flushed(9, false))]
    );
}

#[test]
fn the_homes_next_diff_is_taken_after_the_merges_of_the_last_round() {
    let mut home = shared(UPDATE, 1);
    home.fault(OBJECT, WRITE);
    assert_eq!(home.writes(7).flush(1), [sent(1, update(7))]);
    assert_eq!(home.flush(2), []);
    let out = home.receive(1, updated(false));
    let resume = Effect::Resume { object: OBJECT };
    let done = Effect::Flushed { token: Token(1) };
    assert_eq!(out, [resume, done]);
    assert_eq!(home.writes(8).resumed(OBJECT), [sent(1, update(8))]);
    let done = Effect::Flushed { token: Token(2) };
    assert_eq!(home.receive(1, updated(false)), [done]);
}

#[test]
fn a_home_that_writes_no_more_is_protected_again() {
    let mut home = shared(UPDATE, 1);
    home.fault(OBJECT, WRITE);
    for token in 1..8 {
        home.flush(token);
    }
    let resume = Effect::Resume { object: OBJECT };
    assert_eq!(home.flush(8)[..2], [access(OBJECT, Some(READ)), resume]);
    let drop = Effect::DropTwin { object: OBJECT };
    assert_eq!(home.resumed(OBJECT), [drop]);
    assert!(home.machine.is_clean());
}

#[test]
fn a_home_that_flushes_before_it_is_clean_stays_as_it_is() {
    let mut home = shared(UPDATE, 1);
    home.fault(OBJECT, WRITE);
    for token in 1..=8 {
        home.flush(token);
    }
    assert_eq!(home.writes(7).flush(9), [sent(1, update(7))]);
    assert_eq!(home.resumed(OBJECT), []);
    let done = Effect::Flushed { token: Token(9) };
    assert_eq!(home.receive(1, updated(false)), [done]);
    assert!(!home.machine.is_clean(), "it may still be written");
}

#[test]
fn a_copy_that_leaves_with_its_diff_is_answered_when_the_others_have_it() {
    let mut home = shared(UPDATE, 2);
    assert_eq!(
        home.receive(1, leave(OBJECT, 4, Some(7))),
        [merge(7), sent(2, update(7))]
    );
    assert_eq!(
        home.receive(2, updated(false)),
        [sent(1, flushed(4, false))]
    );
    assert_eq!(
        home.receive(2, leave(OBJECT, 5, None)),
        [sent(2, flushed(5, false))]
    );
    assert_eq!(holding(&home), Holding::Home);
}

#[test]
fn a_copy_that_leaves_while_it_is_invalidated_answers_both() {
    let mut home = shared(INVALIDATE, 2);
    home.receive(1, flush(4, 7));
    assert_eq!(
        home.receive(2, leave(OBJECT, 9, None)),
        [sent(2, flushed(9, false))]
    );
    assert!(!home.accepts(2, get(OBJECT, READ)), "it owes an answer");
    assert!(!home.accepts(2, invalidated(Some((10, 1)))), "it has left");
    let out = home.receive(2, invalidated(None));
    assert_eq!(out.last(), Some(&sent(1, flushed(4, true))));
}

#[test]
fn a_return_answers_a_recall() {
    let mut home = home(INVALIDATE);
    home.receive(1, get(OBJECT, WRITE));
    home.receive(2, get(OBJECT, READ));
    let returned = Coherence::Return {
        object: OBJECT,
        sequence: 4,
        data: 5,
    };
    let store = Effect::Store {
        object: OBJECT,
        data: 5,
    };
    assert_eq!(
        home.receive(1, returned),
        [
            store,
            sent(1, flushed(4, false)),
            granted(2, READ, INVALIDATE)
        ]
    );
    let copies = home.machine.entry(OBJECT).expect("shared").copyset();
    assert_eq!(copies, [NodeId(2)], "1 kept nothing");
}

#[test]
fn the_end_of_a_life_answers_flushes_that_crossed_it() {
    let mut home = shared(INVALIDATE, 2);
    home.fault(OBJECT, WRITE);
    assert_eq!(
        home.reclaim(OBJECT, 1),
        [sent(1, withdraw(OBJECT)), sent(2, withdraw(OBJECT))]
    );
    assert_eq!(home.receive(1, flush(4, 7)), [], "nobody wants the bytes");
    home.receive(1, invalidated(None));
    assert!(
        !home.accepts(2, invalidated(Some((1, 1)))),
        "no diff wanted"
    );
    let out = home.receive(2, invalidated(None));
    assert_eq!(
        out[..2],
        [
            sent(1, flushed(4, false)),
            Effect::DropTwin { object: OBJECT }
        ]
    );
    assert_eq!(out.last(), Some(&Effect::Reclaimed { token: Token(1) }));
    assert!(home.machine.is_clean());
}

#[test]
fn a_round_goes_on_without_a_lost_node() {
    let mut home = shared(UPDATE, 3);
    home.receive(1, flush(4, 7));
    home.receive(2, flush(5, 8));
    home.receive(3, updated(false));
    home.receive(3, updated(false));
    home.receive(2, updated(false));
    home.receive(2, updated(false));
    let out = home.input(|machine, memory, out| {
        assert_eq!(machine.on_node_lost(NodeId(1), memory, out), []);
    });
    assert_eq!(out, [sent(2, flushed(5, false))]);
}
