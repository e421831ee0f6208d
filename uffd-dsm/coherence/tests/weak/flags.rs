//! What a cache does with sequential objects while weak ones are unflushed.

use umbel_coherence::{CopyState, Effect, Outgoing};
use umbel_wire::{Coherence, ObjectId, Protocol, Token};

use crate::copy::copy_in;
use crate::modes::ADD;
use crate::transcript::*;

/// Node 1 owns the flag, and has written the weak object.
fn announcer() -> Node {
    let mut node = copy_in("Dirty");
    node.fault(FLAG, WRITE);
    node.receive(0, grant(FLAG, WRITE, sequential(Protocol::Invalidate)));
    node
}

#[test]
fn sequential_bytes_leave_after_a_flush_that_follows_the_loss_of_rights() {
    let mut node = announcer();
    let recall = Coherence::Recall {
        object: FLAG,
        keep_read: false,
        forward: None,
    };
    let out = node.receive(0, recall.clone());
    assert_eq!(out, [access(FLAG, None), Effect::Resume { object: FLAG }]);
    assert_eq!(node.writes(9).resumed(FLAG), [sent(0, flush(1, 9))]);
    assert_eq!(node.fault(FLAG, READ), [], "after its bytes have left");
    assert!(!node.accepts(0, recall));
    assert!(!node.accepts(0, withdraw(FLAG)));
    let recalled = send(0, Outgoing::Recalled { object: FLAG });
    assert_eq!(
        node.receive(0, flushed(1, false)),
        [recalled, sent(0, get(FLAG, READ))]
    );
}

#[test]
fn an_evicted_flag_is_recalled_while_it_waits_for_a_flush() {
    let mut node = announcer();
    node.evict(FLAG).expect("it is not busy");
    node.writes(9).resumed(FLAG);
    let recall = Coherence::Recall {
        object: FLAG,
        keep_read: false,
        forward: None,
    };
    assert_eq!(node.receive(0, recall), []);
    let recalled = send(0, Outgoing::Recalled { object: FLAG });
    assert_eq!(node.receive(0, flushed(1, false)), [recalled]);
}

#[test]
fn an_evicted_flag_whose_life_ends_waits_no_longer() {
    let mut node = announcer();
    node.evict(FLAG).expect("it is not busy");
    node.writes(9).resumed(FLAG);
    node.receive(0, withdraw(FLAG));
    assert_eq!(node.machine.copy_state(FLAG), CopyState::Invalid);
    assert_eq!(node.receive(0, flushed(1, false)), []);
}

#[test]
fn a_flag_on_its_way_back_accepts_what_its_row_says() {
    let object = FLAG;
    let recall = |keep_read| Coherence::Recall {
        object,
        keep_read,
        forward: None,
    };
    let messages = [
        grant(FLAG, READ, sequential(Protocol::Invalidate)),
        grant(FLAG, WRITE, sequential(Protocol::Invalidate)),
        Coherence::Deny { object },
        recall(true),
        recall(false),
        invalidate(FLAG),
        withdraw(FLAG),
        Coherence::Update { object, diff: 1 },
        Coherence::Flushed {
            object,
            sequence: 2,
            exclusive: false,
        },
        Coherence::Flushed {
            object,
            sequence: 2,
            exclusive: true,
        },
    ];
    let giving_back = |keep_read| {
        let mut node = announcer();
        node.receive(0, recall(keep_read));
        node.writes(9).resumed(FLAG);
        node
    };
    let returning = || {
        let mut node = announcer();
        node.evict(FLAG);
        node.writes(9).resumed(FLAG);
        node
    };
    let leaving = || {
        let mut node = returning();
        node.receive(0, flushed(1, false));
        node
    };
    let rows = [
        ("GivingBack(keep_read)", giving_back(true), "VVVVVVVVVV"),
        ("GivingBack", giving_back(false), "VVVVVVVVVV"),
        ("Returning", returning(), "VVV..V.VVV"),
        ("Leaving", leaving(), "VVV..V.V.V"),
    ];
    for (state, node, row) in rows {
        let seen = messages.iter().map(|message| {
            if node.accepts(0, message.clone()) {
                '.'
            } else {
                'V'
            }
        });
        assert_eq!(seen.collect::<String>(), row, "{state}");
    }
}

#[test]
fn an_operation_is_sent_after_a_flush() {
    let mut node = copy_in("Dirty");
    assert_eq!(node.writes(9).operate(FLAG, 5, ADD), [sent(0, flush(1, 9))]);
    let operated = |token| Coherence::Operated {
        object: FLAG,
        token: Token(token),
        result: 3,
        mode: sequential(Protocol::Remote),
    };
    assert!(!node.accepts(0, operated(5)), "it was not sent");
    let operate = Coherence::Operate {
        object: FLAG,
        token: Token(5),
        operation: ADD,
    };
    assert_eq!(node.receive(0, flushed(1, false)), [sent(0, operate)]);
    assert!(!node.accepts(0, operated(6)));
    let done = Effect::Operated {
        token: Token(5),
        result: 3,
    };
    assert_eq!(node.receive(0, operated(5)), [done]);
    assert!(!node.accepts(0, operated(5)), "only once");
}

#[test]
fn what_is_known_sequential_needs_no_strengthening() {
    let mut node = announcer();
    let done = Effect::Strengthened { token: Token(1) };
    assert_eq!(node.strengthen(FLAG, 1), [done]);
    let ask = |object| Coherence::Strengthen {
        object,
        token: Token(1),
    };
    assert_eq!(node.strengthen(OBJECT, 1), [sent(0, ask(OBJECT))]);
    let answer = Coherence::Strengthened {
        object: ObjectId(9),
        token: Token(1),
    };
    assert!(!node.accepts(0, answer), "another object");
}
