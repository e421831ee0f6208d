//! The tables of a home, read by a machine: each state accepts what its row says and refuses the rest.

use umbel_wire::{Coherence, Protocol, Token};

use crate::home::{INVALIDATE, UPDATE, home, shared};
use crate::modes::operate;
use crate::transcript::*;

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
        ("Updating 1", ["VVVVVVVVVV", "VV..VVVV.V", "..VVVVVVVV"]),
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
