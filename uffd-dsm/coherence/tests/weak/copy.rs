//! What a cache does with copies of weak objects, effect by effect, and what it refuses.

use crate::transcript::*;
use umbel_coherence::limits::IDLE_FLUSHES_MAX;
use umbel_coherence::{CopyState, Effect, Outgoing};
use umbel_wire::{Coherence, Protocol, Token};

/// Node 1 in a named state.
pub fn copy_in(state: &str) -> Node {
    let mut node = Node::new(1, None);
    let weak_grant = |node: &mut Node, access| {
        node.fault(OBJECT, access);
        node.receive(0, grant(OBJECT, access, weak(Protocol::Update)));
    };
    match state {
        "Invalid" => {}
        "Invalid, flush under way" => {
            node = copy_in("Dirty");
            node.writes(7).flush(1);
            node.receive(0, invalidate(OBJECT));
            node.resumed(OBJECT);
        }
        "FetchWrite" => {
            node.fault(OBJECT, WRITE);
        }
        "Prefetch" => {
            node.input(|machine, _, out| {
                machine.prefetch(OBJECT, READ, out);
            });
        }
        "Shared" => weak_grant(&mut node, READ),
        "Exclusive" => weak_grant(&mut node, WRITE),
        "Dirty" => {
            weak_grant(&mut node, READ);
            node.fault(OBJECT, WRITE);
        }
        "Dirty, flush under way" => {
            node = copy_in("Dirty");
            node.writes(7).flush(1);
        }
        "Resting" => {
            weak_grant(&mut node, READ);
            for _ in 0..4 {
                node.receive(0, update(1));
            }
        }
        "Leaving" => {
            weak_grant(&mut node, READ);
            node.evict(OBJECT);
        }
        "Leaving(owner)" => {
            weak_grant(&mut node, WRITE);
            node.evict(OBJECT);
        }
        other => panic!("no state {other}"),
    }
    node
}

#[test]
fn a_weak_copy_accepts_what_its_row_says() {
    let object = OBJECT;
    let messages = [
        grant(OBJECT, READ, weak(Protocol::Invalidate)),
        grant(OBJECT, WRITE, weak(Protocol::Invalidate)),
        grant(OBJECT, WRITE, weak(Protocol::Migratory)),
        Coherence::Deny { object },
        Coherence::Recall {
            object,
            keep_read: true,
            forward: None,
        },
        invalidate(OBJECT),
        withdraw(OBJECT),
        update(1),
        flushed(1, false),
        flushed(1, true),
        flushed(2, false),
    ];
    let rows = [
        ("Invalid", "VVVVVVVVVVV"),
        ("Invalid, flush under way", "VVVVVVVV.VV"),
        ("FetchWrite", "...VVVVVVVV"),
        ("Prefetch", ".V..VVVVVVV"),
        ("Shared", "VVVVV...VVV"),
        ("Exclusive", "VVVV.V.VVVV"),
        ("Dirty", "VVVVV...VVV"),
        ("Dirty, flush under way", "VVVVV.....V"),
        ("Resting", "VVVVV...VVV"),
        ("Leaving", "VVVVV....VV"),
        ("Leaving(owner)", "VVVV.V.V.VV"),
    ];
    for (state, row) in rows {
        let node = copy_in(state);
        let seen = messages.iter().map(|message| {
            if node.accepts(0, message.clone()) {
                '.'
            } else {
                'V'
            }
        });
        assert_eq!(seen.collect::<String>(), row, "{state}");
        for message in &messages {
            assert!(!node.accepts(2, message.clone()), "{state}: not its home");
        }
    }
}

#[test]
fn the_first_store_makes_a_twin_and_sends_nothing() {
    let mut node = copy_in("Shared");
    let twin = Effect::Twin { object: OBJECT };
    assert_eq!(
        node.fault(OBJECT, WRITE),
        [twin, access(OBJECT, Some(WRITE)), wake(OBJECT)]
    );
    assert!(!node.machine.is_clean());
}

#[test]
fn a_writer_among_others_gets_a_twin_with_its_grant() {
    let mut node = copy_in("FetchWrite");
    let out = node.receive(0, grant(OBJECT, READ, weak(Protocol::Invalidate)));
    let expected = [
        Effect::Store {
            object: OBJECT,
            data: 0,
        },
        Effect::Twin { object: OBJECT },
        access(OBJECT, Some(WRITE)),
        wake(OBJECT),
    ];
    assert_eq!(out, expected);
    assert_eq!(node.machine.copy_state(OBJECT), CopyState::Dirty);
}

#[test]
fn a_tracked_copy_is_never_protected() {
    let mut node = Node::new(1, None);
    node.fault(TRACKED, READ);
    let out = node.receive(0, grant(TRACKED, READ, weak(Protocol::Invalidate)));
    assert_eq!(out[1], Effect::Twin { object: TRACKED });
    assert_eq!(out[2], access(TRACKED, Some(WRITE)));
    for token in 0..20 {
        assert_eq!(
            node.flush(token),
            [Effect::Flushed {
                token: Token(token)
            }]
        );
    }
    assert_eq!(node.machine.copy_state(TRACKED), CopyState::Dirty);
}

#[test]
fn a_flush_looks_only_at_tracked_copies_that_were_written() {
    let mut node = Node::new(1, None);
    node.fault(TRACKED, READ);
    node.receive(0, grant(TRACKED, READ, weak(Protocol::Invalidate)));
    let done = |token| Effect::Flushed {
        token: Token(token),
    };
    node.memory.written = Some(vec![]);
    assert_eq!(node.writes(7).flush(1), [done(1)]);
    node.memory.written = Some(vec![TRACKED]);
    assert_eq!(node.flush(2).len(), 1, "the diff goes");
    assert!(!node.machine.is_clean());
}

#[test]
fn an_owner_is_never_dirty() {
    let mut node = copy_in("Exclusive");
    assert!(node.machine.is_clean());
    assert_eq!(node.flush(1), [Effect::Flushed { token: Token(1) }]);
}

#[test]
fn a_flush_waits_for_its_answer_and_the_next_for_what_was_written_meanwhile() {
    let mut node = copy_in("Dirty");
    assert_eq!(node.writes(7).flush(1), [sent(0, flush(1, 7))]);
    assert_eq!(node.flush(2), [], "the unit is marked for another");
    assert_eq!(node.flush(3), [], "the same other");
    let first = node.writes(8).receive(0, flushed(1, false));
    let done = Effect::Flushed { token: Token(1) };
    assert_eq!(first, [sent(0, flush(2, 8)), done]);
    let second = node.receive(0, flushed(2, false));
    let done = [2, 3].map(|token| Effect::Flushed {
        token: Token(token),
    });
    assert_eq!(second, done);
}

#[test]
fn a_flush_waits_for_those_that_others_began() {
    let mut node = copy_in("Dirty");
    node.writes(7).flush(1);
    assert_eq!(node.flush(2), []);
    let out = node.receive(0, flushed(1, false));
    let done = [1, 2].map(|token| Effect::Flushed {
        token: Token(token),
    });
    assert_eq!(out, done, "nothing was written since the first");
}

#[test]
fn a_copy_that_becomes_the_only_one_needs_no_twin_and_no_flush() {
    let mut node = copy_in("Dirty, flush under way");
    node.flush(2);
    let out = node.receive(0, flushed(1, true));
    let done = [1, 2].map(|token| Effect::Flushed {
        token: Token(token),
    });
    assert_eq!(out[0], Effect::DropTwin { object: OBJECT });
    assert_eq!(out[1..], done);
    assert_eq!(node.machine.copy_state(OBJECT), CopyState::Exclusive);
    assert!(node.machine.is_clean());
}

#[test]
fn a_dirty_copy_hands_its_diff_over_after_its_rights_are_taken() {
    let mut node = copy_in("Dirty");
    let resume = Effect::Resume { object: OBJECT };
    assert_eq!(
        node.receive(0, invalidate(OBJECT)),
        [access(OBJECT, None), resume]
    );
    let out = node.writes(9).resumed(OBJECT);
    let drop = Effect::DropTwin { object: OBJECT };
    assert_eq!(out, [sent(0, invalidated(Some((1, 9)))), drop]);
    assert_eq!(node.flush(1), [], "it counts as a flush under way");
    let out = node.receive(0, flushed(1, false));
    assert_eq!(out, [Effect::Flushed { token: Token(1) }]);
}

#[test]
fn what_was_to_be_flushed_again_is_handed_over_under_that_number() {
    let mut node = copy_in("Dirty, flush under way");
    node.flush(2);
    node.receive(0, invalidate(OBJECT));
    let out = node.writes(9).resumed(OBJECT);
    assert_eq!(out[0], sent(0, invalidated(Some((2, 9)))));
    assert_eq!(
        node.receive(0, flushed(1, false)),
        [Effect::Flushed { token: Token(1) }]
    );
    assert_eq!(
        node.receive(0, flushed(2, false)),
        [Effect::Flushed { token: Token(2) }]
    );
}

#[test]
fn a_token_does_not_wait_for_a_copy_that_went_unwritten() {
    let mut node = copy_in("Dirty, flush under way");
    node.flush(2);
    node.receive(0, flushed(1, false));
    assert!(!node.machine.is_clean(), "it may still be written");
    let mut node = copy_in("Dirty, flush under way");
    node.flush(2);
    node.receive(0, withdraw(OBJECT));
    let out = node.receive(0, flushed(1, false));
    assert_eq!(out.len(), 2, "both tokens: {out:?}");
    assert!(node.machine.is_clean());
}

#[test]
fn a_copy_that_nobody_writes_is_protected_again() {
    let mut node = copy_in("Dirty");
    for token in 1..8 {
        assert_eq!(node.flush(token).len(), 1, "found nothing");
    }
    let out = node.flush(8);
    let resume = Effect::Resume { object: OBJECT };
    assert_eq!(out[..2], [access(OBJECT, Some(READ)), resume]);
    let drop = Effect::DropTwin { object: OBJECT };
    assert_eq!(
        node.writes(5).resumed(OBJECT),
        [sent(0, flush(1, 5)), drop],
        "written at the last moment"
    );
    assert_eq!(node.machine.copy_state(OBJECT), CopyState::Shared);
}

#[test]
fn a_copy_that_is_flushed_before_it_is_clean_stays_as_it_is() {
    let mut node = copy_in("Dirty");
    for token in 1..=8 {
        node.flush(token);
    }
    let out = node.writes(5).flush(9);
    assert_eq!(out, [sent(0, flush(1, 5))], "its rights were only lowered");
    assert_eq!(node.resumed(OBJECT), []);
    assert_eq!(node.machine.copy_state(OBJECT), CopyState::Dirty);
    node.receive(0, flushed(1, true));
    assert_eq!(node.machine.copy_state(OBJECT), CopyState::Exclusive);
}

#[test]
fn an_unused_copy_rests_then_leaves() {
    let mut node = copy_in("Shared");
    let merge = Effect::Merge {
        object: OBJECT,
        diff: 1,
    };
    for _ in 0..3 {
        assert_eq!(
            node.receive(0, update(1)),
            [merge.clone(), sent(0, updated(false))]
        );
    }
    assert_eq!(
        node.receive(0, update(1)),
        [merge.clone(), access(OBJECT, None), sent(0, updated(false))]
    );
    for _ in 0..3 {
        node.receive(0, update(1));
    }
    assert_eq!(
        node.receive(0, update(1)),
        [sent(0, leave(OBJECT, 1, None)), sent(0, updated(true))]
    );
    assert_eq!(
        node.receive(0, update(1)),
        [sent(0, updated(true))],
        "a further one was on its way"
    );
    node.receive(0, flushed(1, false));
    assert_eq!(node.machine.copy_state(OBJECT), CopyState::Invalid);
}

#[test]
fn a_local_fault_shows_that_a_resting_copy_is_used() {
    let mut node = copy_in("Resting");
    assert_eq!(
        node.fault(OBJECT, READ),
        [access(OBJECT, Some(READ)), wake(OBJECT)]
    );
    for _ in 0..3 {
        node.receive(0, update(1));
    }
    assert_eq!(node.machine.copy_state(OBJECT), CopyState::Shared);
}

#[test]
fn a_copy_with_unflushed_stores_does_not_leave() {
    let mut node = copy_in("Dirty");
    for _ in 0..20 {
        node.receive(0, update(1));
    }
    assert_eq!(node.machine.copy_state(OBJECT), CopyState::Dirty);
}

#[test]
fn an_evicted_copy_takes_its_last_diff_along_and_remembers_a_fault() {
    let mut node = copy_in("Dirty");
    let out = node.evict(OBJECT).expect("it is not busy");
    assert_eq!(
        out,
        [access(OBJECT, None), Effect::Resume { object: OBJECT }]
    );
    let out = node.writes(9).resumed(OBJECT);
    assert_eq!(out[0], sent(0, leave(OBJECT, 1, Some(9))));
    assert_eq!(node.fault(OBJECT, WRITE), [], "after the answer");
    let out = node.receive(0, invalidate(OBJECT));
    assert_eq!(out, [sent(0, invalidated(None))], "it crossed");
    assert_eq!(
        node.receive(0, flushed(1, false)),
        [sent(0, get(OBJECT, WRITE))]
    );
}

#[test]
fn a_busy_copy_is_not_evicted() {
    for state in [
        "Invalid",
        "FetchWrite",
        "Prefetch",
        "Dirty, flush under way",
        "Leaving",
    ] {
        assert_eq!(copy_in(state).evict(OBJECT), None, "{state}");
    }
}

#[test]
fn an_evicted_owner_returns_the_bytes_and_ignores_a_recall() {
    let mut node = copy_in("Exclusive");
    let out = node.evict(OBJECT).expect("it is not busy");
    let returns = Outgoing::Return {
        object: OBJECT,
        sequence: 1,
    };
    assert_eq!(out, [access(OBJECT, None), send(0, returns)]);
    let recall = Coherence::Recall {
        object: OBJECT,
        keep_read: true,
        forward: None,
    };
    assert_eq!(node.receive(0, recall), []);
    assert_eq!(node.receive(0, flushed(1, false)), []);
    assert_eq!(node.machine.copy_state(OBJECT), CopyState::Invalid);
}

#[test]
fn a_prefetch_wakes_nobody_unless_somebody_faults_meanwhile() {
    let mut node = copy_in("Prefetch");
    let mode = weak(Protocol::Invalidate);
    let out = node.receive(0, grant(OBJECT, READ, mode));
    assert!(!out.contains(&wake(OBJECT)), "{out:?}");
    let mut node = copy_in("Prefetch");
    assert_eq!(node.fault(OBJECT, READ), []);
    let out = node.receive(0, grant(OBJECT, READ, mode));
    assert_eq!(out.last(), Some(&wake(OBJECT)));
}

#[test]
fn a_fault_asks_again_when_its_prefetch_is_denied() {
    let mut node = copy_in("Prefetch");
    node.fault(OBJECT, WRITE);
    let deny = Coherence::Deny { object: OBJECT };
    assert_eq!(node.receive(0, deny.clone()), [sent(0, get(OBJECT, WRITE))]);
    assert!(!node.accepts(0, deny), "the thread's own request is not");
}

#[test]
fn a_copy_that_is_being_taken_gets_no_rights_back_by_a_flush() {
    let mut node = copy_in("Dirty");
    for token in 1..IDLE_FLUSHES_MAX.into() {
        node.flush(token);
    }
    // Both messages come in one turn: the flush for the recalled bytes comes before the answer to the Invalidate.
    node.fault(FLAG, WRITE);
    node.receive(0, grant(FLAG, WRITE, sequential(Protocol::Invalidate)));
    node.receive(
        0,
        Coherence::Recall {
            object: FLAG,
            keep_read: true,
            forward: None,
        },
    );
    let taken = node.receive(0, invalidate(OBJECT));
    assert!(taken.contains(&access(OBJECT, None)));
    let out = node.resumed(FLAG);
    assert_eq!(
        out,
        [send(0, Outgoing::Recalled { object: FLAG })],
        "nothing gives threads the old bytes again"
    );
    let out = node.resumed(OBJECT);
    assert!(out.contains(&sent(0, invalidated(None))));
    assert_eq!(node.machine.copy_state(OBJECT), CopyState::Invalid);
}
