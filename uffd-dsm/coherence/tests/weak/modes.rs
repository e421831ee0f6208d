//! What a home does under the other protocols, for flags, operations, strengthening and prefetches.

use umbel_coherence::{Effect, Outgoing};
use umbel_wire::{Coherence, Consistency, NodeId, Operation, OperationKind, Protocol, Token};

use crate::home::{INVALIDATE, UPDATE, granted, home, shared};
use crate::transcript::*;

#[test]
fn a_migratory_object_goes_to_its_reader_whole() {
    for object in [OBJECT, FLAG] {
        let mut home = home(Protocol::Migratory);
        let out = home.receive(1, get(object, READ));
        assert_eq!(out[0], access(object, None));
        let recall = Coherence::Recall {
            object,
            keep_read: false,
            forward: None,
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

pub const ADD: Operation = Operation {
    offset: 8,
    width: 4,
    kind: OperationKind::Add,
    operand: 1,
    expected: 0,
};

pub fn operate(token: u64) -> Coherence<u64> {
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
fn a_tracked_object_is_granted_from_its_twin() {
    let mut home = home(INVALIDATE);
    let out = home.receive(1, get(TRACKED, READ));
    assert_eq!(out[0], Effect::Twin { object: TRACKED });
    assert_eq!(out.len(), 2, "nobody is protected: {out:?}");
}

/// Nothing could keep a reader from writing it.
#[test]
fn a_strengthened_object_that_tracks_writes_is_read_alone() {
    let mut home = home(INVALIDATE);
    home.strengthen(TRACKED, 1);
    let out = home.receive(1, get(TRACKED, READ));
    let mode = sequential(INVALIDATE);
    assert_eq!(out.last(), Some(&sent(1, grant(TRACKED, WRITE, mode))));
    let recall = Coherence::Recall {
        object: TRACKED,
        keep_read: false,
        forward: None,
    };
    assert_eq!(home.fault(TRACKED, READ), [sent(1, recall)]);
    let data = Coherence::Recalled {
        object: TRACKED,
        data: 1,
    };
    let out = home.receive(1, data);
    assert!(out.contains(&access(TRACKED, Some(WRITE))), "{out:?}");
    let mut reader = Node::new(1, None);
    reader.fault(TRACKED, READ);
    let out = reader.receive(0, grant(TRACKED, WRITE, mode));
    assert!(out.contains(&access(TRACKED, Some(WRITE))), "{out:?}");
}
