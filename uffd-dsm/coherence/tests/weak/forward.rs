//! Owners that send what is recalled for a third node straight to it.

use umbel_coherence::{CopyState, Effect, Holding, Outgoing};
use umbel_wire::{Access, Coherence, Forward, Mode, NodeId, ObjectId, Protocol, Token};

use crate::copy::copy_in;
use crate::home::INVALIDATE;
use crate::transcript::*;

fn home(protocol: Protocol) -> Node {
    Node::forwarding(0, Some(protocol))
}

fn cache() -> Node {
    Node::forwarding(1, None)
}

fn recall(object: ObjectId, keep_read: bool, to: Option<(u16, Mode)>) -> Coherence<u64> {
    Coherence::Recall {
        object,
        keep_read,
        forward: to.map(|(node, mode)| Forward {
            node: NodeId(node),
            mode,
        }),
    }
}

fn recalled(object: ObjectId) -> Coherence<u64> {
    Coherence::Recalled { object, data: 5 }
}

fn store(object: ObjectId) -> Effect<u64> {
    Effect::Store { object, data: 5 }
}

fn holding(home: &Node, object: ObjectId) -> Holding {
    let entry = home.machine.entry(object);
    entry.expect("the object is shared").holding()
}

/// A home that has told node 1 to grant to node 2.
fn forwarding(object: ObjectId, wanted: Access, protocol: Protocol) -> Node {
    let mut home = home(protocol);
    home.receive(1, get(object, WRITE));
    home.receive(2, get(object, wanted));
    home
}

#[test]
fn a_home_names_the_requester_and_grants_nothing_itself() {
    let mode = sequential(INVALIDATE);
    for (wanted, keep_read) in [(READ, true), (WRITE, false)] {
        let mut home = home(INVALIDATE);
        home.receive(1, get(FLAG, WRITE));
        let expected = recall(FLAG, keep_read, Some((2, mode)));
        assert_eq!(home.receive(2, get(FLAG, wanted)), [sent(1, expected)]);
        assert_eq!(home.receive(1, recalled(FLAG)), [store(FLAG)]);
        match wanted {
            Access::Read => {
                assert_eq!(holding(&home, FLAG), Holding::Shared);
                let copies = home.machine.entry(FLAG).expect("shared").copyset();
                assert_eq!(copies, [NodeId(1), NodeId(2)]);
            }
            Access::Write => assert_eq!(holding(&home, FLAG), Holding::Owned(NodeId(2))),
        }
    }
}

#[test]
fn what_the_home_needs_itself_is_not_forwarded() {
    let mut home = home(INVALIDATE);
    home.receive(1, get(FLAG, WRITE));
    let expected = recall(FLAG, true, None);
    assert_eq!(home.fault(FLAG, READ), [sent(1, expected)]);
}

#[test]
fn an_owner_lowers_its_rights_then_grants_then_answers() {
    for (keep_read, granted, left) in [(true, READ, Some(READ)), (false, WRITE, None)] {
        let mut owner = cache();
        owner.fault(FLAG, WRITE);
        owner.receive(0, grant(FLAG, WRITE, sequential(INVALIDATE)));
        let mode = sequential(Protocol::Migratory);
        let out = owner.receive(0, recall(FLAG, keep_read, Some((2, mode))));
        let expected = [
            access(FLAG, left),
            sent(2, grant(FLAG, granted, mode)),
            send(0, Outgoing::Recalled { object: FLAG }),
        ];
        assert_eq!(out, expected, "the mode is the home's word");
    }
}

#[test]
fn an_owner_that_has_left_forwards_nothing_and_the_home_grants() {
    let mut owner = cache();
    owner.fault(OBJECT, WRITE);
    owner.receive(0, grant(OBJECT, WRITE, weak(INVALIDATE)));
    owner.evict(OBJECT);
    let out = owner.receive(0, recall(OBJECT, true, Some((2, weak(INVALIDATE)))));
    assert_eq!(out, []);

    let mut home = forwarding(OBJECT, WRITE, INVALIDATE);
    let returned = Coherence::Return {
        object: OBJECT,
        sequence: 1,
        data: 5,
    };
    let out = home.receive(1, returned);
    let flushed = sent(1, flushed(1, false));
    let granted = sent(2, grant(OBJECT, WRITE, weak(INVALIDATE)));
    assert_eq!(out, [store(OBJECT), flushed, granted]);
}

#[test]
fn what_the_requester_does_with_its_copy_waits_for_the_owners_answer() {
    let home = forwarding(OBJECT, WRITE, INVALIDATE);
    let early = [
        flush(1, 7),
        leave(OBJECT, 1, None),
        Coherence::Return {
            object: OBJECT,
            sequence: 1,
            data: 7,
        },
        get(OBJECT, WRITE),
    ];
    for message in early {
        let mut home = Node {
            machine: home.machine.clone(),
            ..self::home(INVALIDATE)
        };
        let postponed = Effect::Postpone {
            from: NodeId(2),
            message: message.clone(),
        };
        assert_eq!(home.receive(2, message), [postponed]);
        assert!(!home.accepts(2, flush(2, 8)), "one is all it can send");
        let taken_up = Effect::TakeUp { object: OBJECT };
        assert_eq!(home.receive(1, recalled(OBJECT)), [store(OBJECT), taken_up]);
    }
}

#[test]
fn what_is_postponed_is_served_before_what_waits() {
    let mut home = forwarding(OBJECT, WRITE, INVALIDATE);
    let early = flush(1, 7);
    home.receive(2, early.clone());
    assert_eq!(home.receive(3, get(OBJECT, READ)), []);
    assert_eq!(home.flush(1), [], "its threads may know of the flush");
    let taken_up = Effect::TakeUp { object: OBJECT };
    assert_eq!(home.receive(1, recalled(OBJECT)), [store(OBJECT), taken_up]);
    let merge = Effect::Merge {
        object: OBJECT,
        diff: 7,
    };
    assert_eq!(home.receive(2, early), [merge, sent(1, invalidate(OBJECT))]);
    let out = home.receive(1, invalidated(None));
    let granted = sent(3, grant(OBJECT, READ, weak(INVALIDATE)));
    assert!(out.contains(&granted), "with the diff");
    let token = Token(1);
    assert!(out.contains(&Effect::Flushed { token }));
}

/// A node that has asked for an object of which its home has spoken since.
fn told(object: ObjectId, message: Coherence<u64>) -> Node {
    let mut node = cache();
    node.fault(object, READ);
    let postponed = Effect::Postpone {
        from: NodeId(0),
        message: message.clone(),
    };
    assert_eq!(node.receive(0, message), [postponed]);
    node
}

#[test]
fn what_the_home_tells_a_holder_waits_for_its_grant() {
    for message in [invalidate(FLAG), withdraw(FLAG)] {
        let mut node = told(FLAG, message);
        let granted = grant(FLAG, READ, sequential(INVALIDATE));
        let is_late = node.accepts(0, granted.clone());
        assert!(!is_late, "the home takes it for a holder");
        assert!(!node.accepts(0, Coherence::Deny { object: FLAG }));
        let out = node.receive(2, granted);
        assert!(out.contains(&Effect::TakeUp { object: FLAG }));
        assert_eq!(node.machine.copy_state(FLAG), CopyState::Shared);
    }
    let migratory = weak(Protocol::Migratory);
    let mut node = told(OBJECT, recall(OBJECT, false, None));
    let out = node.receive(2, grant(OBJECT, WRITE, migratory));
    assert!(out.contains(&wake(OBJECT)), "its bytes are the newest");
    assert!(out.contains(&Effect::TakeUp { object: OBJECT }));
}

#[test]
fn a_weak_copy_that_is_old_when_it_comes_is_not_shown() {
    let answers = [
        (invalidate(OBJECT), invalidated(None)),
        (withdraw(OBJECT), invalidated(None)),
        (update(7), updated(true)),
    ];
    for (message, answer) in answers {
        let mut node = told(OBJECT, message.clone());
        let taken_up = Effect::TakeUp { object: OBJECT };
        assert_eq!(
            node.receive(2, grant(OBJECT, READ, weak(INVALIDATE))),
            [sent(0, leave(OBJECT, 1, None)), taken_up]
        );
        assert_eq!(node.receive(0, message), [sent(0, answer)]);
        assert_eq!(
            node.receive(0, flushed(1, false)),
            [sent(0, get(OBJECT, READ))],
            "its thread still waits"
        );
    }
}

#[test]
fn a_flush_may_be_answered_behind_a_forwarded_grant() {
    let mut node = cache();
    node.fault(OBJECT, WRITE);
    node.receive(0, grant(OBJECT, READ, weak(Protocol::Migratory)));
    node.receive(0, invalidate(OBJECT));
    let out = node.writes(7).resumed(OBJECT);
    let handed_over = Outgoing::Invalidated {
        object: OBJECT,
        diff: Some((1, 7)),
    };
    assert!(out.contains(&send(0, handed_over)));
    node.fault(OBJECT, WRITE);
    node.receive(2, grant(OBJECT, WRITE, weak(Protocol::Migratory)));
    let mut stays = Node {
        machine: node.machine.clone(),
        ..cache()
    };
    stays.receive(0, flushed(1, false));
    assert_eq!(stays.machine.copy_state(OBJECT), CopyState::Exclusive);
    // The same while the new copy leaves: it is not the answer to that.
    node.evict(OBJECT).expect("it is not held");
    node.receive(0, flushed(1, false));
    let leaving = CopyState::Leaving { was_owner: true };
    assert_eq!(node.machine.copy_state(OBJECT), leaving);
    node.receive(0, flushed(2, false));
    assert_eq!(node.machine.copy_state(OBJECT), CopyState::Invalid);
}

#[test]
fn a_grant_of_another_node_fits_what_was_asked_for_or_is_refused() {
    let mode = weak(INVALIDATE);
    let mut node = cache();
    assert!(!node.accepts(2, grant(OBJECT, READ, mode)), "nobody asked");
    node.fault(OBJECT, READ);
    assert!(node.accepts(2, grant(OBJECT, READ, mode)));
    assert!(!node.accepts(2, grant(OBJECT, WRITE, mode)));
    let without_bytes = Coherence::Grant {
        object: OBJECT,
        access: READ,
        mode,
        data: None,
    };
    assert!(!node.accepts(2, without_bytes));
    node.receive(2, grant(OBJECT, READ, mode));
    assert!(!node.accepts(2, grant(OBJECT, READ, mode)), "a second one");
    assert!(!home(INVALIDATE).accepts(2, grant(OBJECT, READ, mode)));
    assert!(
        !copy_in("FetchWrite").accepts(2, grant(OBJECT, READ, mode)),
        "a job that does not forward"
    );
}

#[test]
fn a_recall_for_an_impossible_requester_is_refused() {
    let mut owner = cache();
    owner.fault(OBJECT, WRITE);
    owner.receive(0, grant(OBJECT, WRITE, weak(INVALIDATE)));
    let to = |node| recall(OBJECT, true, Some((node, weak(INVALIDATE))));
    assert!(owner.accepts(0, to(2)));
    for node in [0, 1, 8, u16::MAX] {
        assert!(!owner.accepts(0, to(node)), "node {node}");
    }
    let not_forwarding = copy_in("Exclusive");
    assert!(not_forwarding.accepts(0, recall(OBJECT, true, None)));
    assert!(!not_forwarding.accepts(0, to(2)));
}
