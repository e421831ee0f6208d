//! What a home does for weak objects, effect by effect, and what it refuses.

use umbel_coherence::{Effect, Holding, Outgoing};
use umbel_wire::{
    Access, Coherence, Consistency, NodeId, Operation, OperationKind, Protocol, Token,
};

use crate::transcript::*;

fn home(protocol: Protocol) -> Node {
    Node::new(0, Some(protocol))
}

/// A home whose object the nodes 1 to `count` have copies of.
fn shared(protocol: Protocol, count: u16) -> Node {
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

fn granted(to: u16, access: Access, protocol: Protocol) -> Effect<u64> {
    sent(to, grant(OBJECT, access, weak(protocol)))
}

fn holding(home: &Node) -> Holding {
    let entry = home.machine.entry(OBJECT);
    entry.expect("the object is shared").holding()
}

const INVALIDATE: Protocol = Protocol::Invalidate;
const UPDATE: Protocol = Protocol::Update;

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
    assert_eq!(home.receive(3, updated(true)), [sent(1, flushed(4, false))]);
    let copies = home.machine.entry(OBJECT).expect("shared").copyset();
    assert!(copies.iter().eq([NodeId(1), NodeId(2)]), "3 has left");
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
    assert!(copies.iter().eq([NodeId(2)]), "1 kept nothing");
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
fn a_migratory_object_goes_to_its_reader_whole() {
    for object in [OBJECT, FLAG] {
        let mut home = home(Protocol::Migratory);
        let out = home.receive(1, get(object, READ));
        assert_eq!(out[0], access(object, None));
        let recall = Coherence::Recall {
            object,
            keep_read: false,
        };
        assert_eq!(home.receive(2, get(object, READ)), [sent(1, recall)]);
        let out = home.receive(1, Coherence::Recalled { object, data: 1 });
        let mode = home.machine.entry(object).expect("shared").mode();
        assert_eq!(out[1], sent(2, grant(object, WRITE, mode)));
    }
}

#[test]
fn the_first_write_ends_read_only() {
    let mut home = shared(Protocol::ReadOnly, 2);
    home.receive(1, flush(4, 7));
    let entry = home.machine.entry(OBJECT).expect("shared");
    assert_eq!(entry.mode().protocol, INVALIDATE);
    assert_eq!(entry.counters().switches, 1);
}

#[test]
fn a_sequential_object_leaves_its_home_after_a_flush() {
    let mut home = shared(UPDATE, 1);
    home.fault(OBJECT, WRITE);
    let out = home.receive(2, get(FLAG, READ));
    let resume = Effect::Resume { object: FLAG };
    assert_eq!(out, [access(FLAG, Some(READ)), resume]);
    assert_eq!(home.writes(7).resumed(FLAG), [sent(1, update(7))]);
    assert_eq!(home.fault(FLAG, WRITE), [], "behind the grant");
    let grants = sent(2, grant(FLAG, READ, sequential(INVALIDATE)));
    let again = sent(2, invalidate(FLAG));
    assert_eq!(home.receive(1, updated(false)), [grants, again]);
}

#[test]
fn bytes_that_the_home_did_not_write_leave_without_a_flush() {
    let mut home = shared(UPDATE, 1);
    home.receive(2, get(FLAG, WRITE));
    home.fault(OBJECT, WRITE);
    home.receive(3, get(FLAG, WRITE));
    let recalled = Coherence::Recalled {
        object: FLAG,
        data: 1,
    };
    let out = home.receive(2, recalled);
    let grants = sent(3, grant(FLAG, WRITE, sequential(INVALIDATE)));
    assert_eq!(out.last(), Some(&grants), "{out:?}");
}

const ADD: Operation = Operation {
    offset: 8,
    width: 4,
    kind: OperationKind::Add,
    operand: 1,
    expected: 0,
};

fn operate(token: u64) -> Coherence<u64> {
    Coherence::Operate {
        object: FLAG,
        token: Token(token),
        operation: ADD,
    }
}

#[test]
fn an_operation_runs_when_the_home_is_alone_and_its_result_goes_after_a_flush() {
    let mut home = Node::new(0, Some(Protocol::Remote));
    home.receive(1, get(FLAG, READ));
    assert_eq!(home.receive(2, operate(7)), [sent(1, invalidate(FLAG))]);
    assert!(!home.accepts(2, operate(7)), "the same token");
    let invalidated = Coherence::Invalidated {
        object: FLAG,
        diff: None,
    };
    let run = |token| Effect::Operate {
        object: FLAG,
        from: NodeId(2),
        token: Token(token),
        operation: ADD,
    };
    assert_eq!(home.receive(1, invalidated), [run(7)]);
    let operated = |home: &mut Node, token, result| {
        home.input(|machine, memory, out| {
            machine.on_operated(FLAG, NodeId(2), Token(token), result, memory, out);
        })
    };
    let answer = |token, result| {
        let message = Outgoing::Operated {
            object: FLAG,
            token: Token(token),
            result,
            mode: sequential(Protocol::Remote),
        };
        send(2, message)
    };
    assert_eq!(operated(&mut home, 7, 40), [answer(7, 40)]);

    home.fault(FLAG, WRITE);
    home.receive(1, get(OBJECT, READ));
    home.fault(OBJECT, WRITE);
    assert_eq!(home.receive(2, operate(8)), [run(8)]);
    let out = home.writes(9);
    assert_eq!(
        operated(out, 8, 41),
        [sent(1, invalidate(OBJECT))],
        "what the home wrote before comes first"
    );
    let out = home.receive(1, self::invalidated(None));
    assert_eq!(out.last(), Some(&answer(8, 41)));
}

#[test]
fn strengthening_withdraws_every_copy_with_its_diff() {
    let mut home = shared(UPDATE, 2);
    let strengthen = Coherence::Strengthen {
        object: OBJECT,
        token: Token(6),
    };
    assert_eq!(
        home.receive(3, strengthen),
        [sent(1, invalidate(OBJECT)), sent(2, invalidate(OBJECT))]
    );
    home.receive(1, invalidated(Some((1, 7))));
    let out = home.receive(2, invalidated(None));
    let done = Outgoing::Strengthened {
        object: OBJECT,
        token: Token(6),
    };
    assert_eq!(out, [sent(1, flushed(1, false)), send(3, done)]);
    let mode = home.machine.entry(OBJECT).expect("remembered").mode();
    assert_eq!(mode, sequential(INVALIDATE), "update comes too late");
}

#[test]
fn the_home_strengthens_for_itself_at_once() {
    let mut home = home(INVALIDATE);
    let done = |token| Effect::Strengthened {
        token: Token(token),
    };
    assert_eq!(home.strengthen(OBJECT, 1), [done(1)]);
    let mode = home.machine.entry(OBJECT).expect("remembered").mode();
    assert_eq!(mode.consistency, Consistency::Sequential);
    assert_eq!(home.strengthen(FLAG, 2), [done(2)]);
    assert_eq!(home.machine.entry(FLAG), None, "nothing to remember");
}

#[test]
fn a_prefetch_is_denied_where_it_is_not_worth_serving() {
    let prefetch = Coherence::Get {
        object: OBJECT,
        access: READ,
        prefetch: true,
    };
    let deny = [sent(1, Coherence::Deny { object: OBJECT })];
    let mut nothing = home(INVALIDATE);
    nothing.memory.exists = false;
    assert_eq!(nothing.receive(1, prefetch.clone()), deny);
    assert_eq!(nothing.machine.entry_count(), 0);
    let mut busy = home(INVALIDATE);
    busy.receive(2, get(OBJECT, WRITE));
    busy.receive(3, get(OBJECT, READ));
    assert_eq!(busy.receive(1, prefetch.clone()), deny);
    let mut migratory = home(Protocol::Migratory);
    migratory.receive(2, get(OBJECT, READ));
    assert_eq!(migratory.receive(1, prefetch.clone()), deny);
    let mut idle = shared(INVALIDATE, 0);
    let out = idle.receive(1, prefetch);
    assert_eq!(out.last(), Some(&granted(1, READ, INVALIDATE)));
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

#[test]
fn a_tracked_object_is_granted_from_its_twin() {
    let mut home = home(INVALIDATE);
    let out = home.receive(1, get(TRACKED, READ));
    assert_eq!(out[0], Effect::Twin { object: TRACKED });
    assert_eq!(out.len(), 2, "nobody is protected: {out:?}");
}

#[test]
fn a_weak_home_accepts_what_its_row_says() {
    let build = |state: &str| match state {
        "Unshared" => home(INVALIDATE),
        "Shared{1,2}" => shared(INVALIDATE, 2),
        "Flushing 1" => {
            let mut home = shared(INVALIDATE, 2);
            home.receive(1, flush(4, 7));
            home
        }
        "Updating 1" => {
            let mut home = shared(UPDATE, 2);
            home.receive(1, flush(4, 7));
            home
        }
        "Withdrawing{1,2}" => {
            let mut home = shared(INVALIDATE, 2);
            home.strengthen(OBJECT, 1);
            home
        }
        "Reclaiming{1,2}" => {
            let mut home = shared(INVALIDATE, 2);
            home.reclaim(OBJECT, 1);
            home
        }
        "Owned(1)" => {
            let mut home = home(INVALIDATE);
            home.receive(1, get(OBJECT, WRITE));
            home
        }
        other => panic!("no state {other}"),
    };
    let messages = [
        get(OBJECT, READ),
        get(OBJECT, WRITE),
        flush(9, 1),
        leave(OBJECT, 9, None),
        Coherence::Return {
            object: OBJECT,
            sequence: 9,
            data: 1,
        },
        Coherence::Recalled {
            object: OBJECT,
            data: 1,
        },
        invalidated(None),
        invalidated(Some((9, 1))),
        updated(false),
        updated(true),
    ];
    // From nodes 1, 2 and 3.
    let rows = [
        ("Unshared", ["..VVVVVVVV"; 3]),
        ("Shared{1,2}", ["VV..VVVVVV", "VV..VVVVVV", "..VVVVVVVV"]),
        ("Flushing 1", ["VVVVVVVVVV", "VV..VV..VV", "..VVVVVVVV"]),
        ("Updating 1", ["VVVVVVVVVV", "VV..VVVV..", "..VVVVVVVV"]),
        (
            "Withdrawing{1,2}",
            ["VV..VV..VV", "VV..VV..VV", "..VVVVVVVV"],
        ),
        (
            "Reclaiming{1,2}",
            ["VV..VV.VVV", "VV..VV.VVV", "..VVVVVVVV"],
        ),
        ("Owned(1)", ["VVVV.VVVVV", "..VVVVVVVV", "..VVVVVVVV"]),
    ];
    for (state, senders) in rows {
        let home = build(state);
        for (from, row) in (1..).zip(senders) {
            let seen = messages.iter().map(|message| {
                if home.accepts(from, message.clone()) {
                    '.'
                } else {
                    'V'
                }
            });
            assert_eq!(seen.collect::<String>(), row, "{state} from node {from}");
        }
    }
}

#[test]
fn a_home_that_waits_for_its_own_flush_accepts_what_its_row_says() {
    let granting = || {
        let mut home = shared(UPDATE, 1);
        home.receive(3, get(FLAG, READ));
        home.fault(OBJECT, WRITE);
        home.receive(3, leave(FLAG, 1, None));
        home.fault(FLAG, WRITE);
        home.receive(2, get(FLAG, READ));
        home.writes(7).resumed(FLAG);
        home
    };
    let operating = || {
        let mut home = home(Protocol::Remote);
        home.receive(2, operate(1));
        home
    };
    let object = FLAG;
    let messages = [
        get(FLAG, READ),
        get(FLAG, WRITE),
        leave(FLAG, 9, None),
        Coherence::Return {
            object,
            sequence: 9,
            data: 1,
        },
        Coherence::Recalled { object, data: 1 },
        Coherence::Invalidated { object, diff: None },
        Coherence::Updated {
            object,
            leave: false,
        },
        operate(9),
        Coherence::Strengthen {
            object,
            token: Token(9),
        },
    ];
    let rows = [
        ("Granting to 2", granting(), 2, "VVVVVVV.."),
        ("Granting to 2", granting(), 3, "..VVVVV.."),
        ("Operating for 2", operating(), 2, "..VVVVV.."),
        ("Operating for 2", operating(), 3, "..VVVVV.."),
    ];
    for (state, home, from, row) in rows {
        let seen = messages.iter().map(|message| {
            if home.accepts(from, message.clone()) {
                '.'
            } else {
                'V'
            }
        });
        assert_eq!(seen.collect::<String>(), row, "{state} from {from}");
    }
}

#[test]
fn nobody_flushes_a_sequential_object() {
    let mut home = home(INVALIDATE);
    home.receive(1, get(FLAG, READ));
    let diff = Coherence::Flush {
        object: FLAG,
        sequence: 1,
        leave: false,
        diff: Some(1),
    };
    assert!(!home.accepts(1, diff));
    assert!(home.accepts(1, leave(FLAG, 1, None)));
}
