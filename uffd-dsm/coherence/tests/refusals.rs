//! The tables of the specification, read by a machine: each state accepts what its row says, refuses the
//! rest, and is not changed by what it refuses.

use umbel_coherence::{Config, CopyState, Effect, Holding, Homes, Machine};
use umbel_wire::{Access, Coherence, Consistency, Mode, NodeId, ObjectId, Protocol, Token};

const HOME: NodeId = NodeId(0);
/// An object of node 0.
const OBJECT: ObjectId = ObjectId(3);

type Out = Vec<Effect<u64>>;

fn machine(node: u16) -> Machine<Homes> {
    let homes = Homes {
        objects_per_node_log2: 4,
    };
    Machine::new(Config {
        node: NodeId(node),
        homes,
        node_count: 4,
        minimum_hold: false,
        forwards: false,
    })
}

fn get(access: Access) -> Coherence<u64> {
    Coherence::Get {
        object: OBJECT,
        access,
        prefetch: false,
    }
}

fn grant(access: Access, data: Option<u64>) -> Coherence<u64> {
    Coherence::Grant {
        object: OBJECT,
        access,
        mode: Mode {
            consistency: Consistency::Sequential,
            protocol: Protocol::Invalidate,
        },
        data,
    }
}

fn recall(keep_read: bool) -> Coherence<u64> {
    Coherence::Recall {
        object: OBJECT,
        keep_read,
        forward: None,
    }
}

fn recalled() -> Coherence<u64> {
    Coherence::Recalled {
        object: OBJECT,
        data: 7,
    }
}

fn invalidate() -> Coherence<u64> {
    Coherence::Invalidate {
        object: OBJECT,
        end_of_life: false,
    }
}

fn withdraw() -> Coherence<u64> {
    Coherence::Invalidate {
        object: OBJECT,
        end_of_life: true,
    }
}

fn invalidated() -> Coherence<u64> {
    Coherence::Invalidated {
        object: OBJECT,
        diff: None,
    }
}

/// Whether the machine accepts the message; it must not change if it does not.
fn accepts(machine: &Machine<Homes>, from: NodeId, message: Coherence<u64>) -> bool {
    let mut after = machine.clone();
    let mut out = Out::new();
    let result = after.on_message(from, message, &mut (), &mut out);
    if result.is_err() {
        assert_eq!(&after, machine, "a refused message changes nothing");
        assert_eq!(out, [], "a refused message has no effect");
    }
    result.is_ok()
}

fn cache_in(state: CopyState) -> Machine<Homes> {
    let mut cache = machine(1);
    let mut out = Out::new();
    let mut fault =
        |cache: &mut Machine<Homes>, access| cache.on_fault(OBJECT, access, &mut (), &mut out);
    match state {
        CopyState::Invalid => {}
        CopyState::FetchRead => fault(&mut cache, Access::Read),
        CopyState::FetchWrite => fault(&mut cache, Access::Write),
        CopyState::Shared | CopyState::Upgrading => {
            fault(&mut cache, Access::Read);
            cache
                .on_message(HOME, grant(Access::Read, Some(1)), &mut (), &mut Out::new())
                .expect("it was asked for");
            if state == CopyState::Upgrading {
                fault(&mut cache, Access::Write);
            }
        }
        CopyState::Exclusive => {
            fault(&mut cache, Access::Write);
            cache
                .on_message(
                    HOME,
                    grant(Access::Write, Some(1)),
                    &mut (),
                    &mut Out::new(),
                )
                .expect("it was asked for");
        }
        CopyState::Dirty
        | CopyState::Resting
        | CopyState::GivingBack { .. }
        | CopyState::Returning
        | CopyState::Leaving { .. } => panic!("{state:?} is for tests/weak.rs"),
    }
    assert_eq!(cache.copy_state(OBJECT), state);
    cache
}

#[test]
fn a_cache_accepts_what_its_row_says() {
    let messages = [
        grant(Access::Read, Some(1)),
        grant(Access::Write, Some(1)),
        grant(Access::Write, None),
        grant(Access::Read, None),
        recall(true),
        recall(false),
        invalidate(),
        withdraw(),
    ];
    let rows = [
        (CopyState::Invalid, "VVVVVVVV"),
        (CopyState::FetchRead, ".VVVVVVV"),
        (CopyState::FetchWrite, "V.VVVVVV"),
        (CopyState::Shared, "VVVVVV.."),
        (CopyState::Upgrading, "VV.VVV.."),
        (CopyState::Exclusive, "VVVV..V."),
    ];
    for (state, row) in rows {
        let cache = cache_in(state);
        let seen = messages.iter().map(|message| {
            if accepts(&cache, HOME, message.clone()) {
                '.'
            } else {
                'V'
            }
        });
        assert_eq!(seen.collect::<String>(), row, "{state:?}");
    }
}

#[test]
fn a_cache_accepts_nothing_from_others_and_nothing_meant_for_a_home() {
    for state in [
        CopyState::Invalid,
        CopyState::FetchRead,
        CopyState::FetchWrite,
        CopyState::Shared,
        CopyState::Upgrading,
        CopyState::Exclusive,
    ] {
        let cache = cache_in(state);
        for message in [
            get(Access::Read),
            get(Access::Write),
            recalled(),
            invalidated(),
        ] {
            assert!(
                !accepts(&cache, HOME, message.clone()),
                "{state:?} {message:?}"
            );
        }
        for from in [NodeId(1), NodeId(2), NodeId(4), NodeId(u16::MAX)] {
            for message in [
                grant(Access::Read, Some(1)),
                grant(Access::Write, None),
                recall(true),
                invalidate(),
            ] {
                assert!(
                    !accepts(&cache, from, message.clone()),
                    "{state:?} {from:?} {message:?}"
                );
            }
        }
    }
}

#[test]
fn a_deferred_message_is_the_last_until_the_hold_ends() {
    let homes = Homes {
        objects_per_node_log2: 4,
    };
    let config = Config {
        node: NodeId(1),
        homes,
        node_count: 4,
        minimum_hold: true,
        forwards: false,
    };
    let mut cache = Machine::new(config);
    let mut out = Out::new();
    cache.on_fault(OBJECT, Access::Write, &mut (), &mut out);
    cache
        .on_message(HOME, grant(Access::Write, Some(1)), &mut (), &mut out)
        .expect("it was asked for");
    out.clear();
    cache
        .on_message(HOME, recall(false), &mut (), &mut out)
        .expect("the owner can be recalled");
    assert_eq!(out, [], "the recall waits for the hold");
    for message in [recall(true), invalidate(), grant(Access::Write, None)] {
        assert!(!accepts(&cache, HOME, message));
    }
    cache.on_hold_expired(OBJECT, &mut (), &mut out);
    assert_eq!(out.len(), 2, "revoke, answer: {out:?}");
}

/// A home in a named state; node 0 is the home.
fn home_in(state: &str) -> Machine<Homes> {
    let mut home = machine(0);
    let mut out = Out::new();
    let mut message = |home: &mut Machine<Homes>, from, message| {
        home.on_message(NodeId(from), message, &mut (), &mut out)
            .expect("the way into a state is accepted");
    };
    match state {
        "Unshared" => {}
        "Home" => {
            message(&mut home, 1, get(Access::Write));
            home.on_fault(OBJECT, Access::Write, &mut (), &mut Out::new());
            message(&mut home, 1, recalled());
            assert_eq!(
                home.entry(OBJECT).map(|entry| entry.holding()),
                Some(Holding::Home)
            );
        }
        "Shared{1}" | "Reclaiming{1}" => message(&mut home, 1, get(Access::Read)),
        "Owned(1)" | "Reclaiming(1)" => message(&mut home, 1, get(Access::Write)),
        "Recalling(1) for 2" => {
            message(&mut home, 1, get(Access::Write));
            message(&mut home, 2, get(Access::Read));
        }
        "Invalidating{1,2} for 3" | "Invalidating{2} for 1" => {
            message(&mut home, 1, get(Access::Read));
            message(&mut home, 2, get(Access::Read));
            let writer = if state.ends_with('3') { 3 } else { 1 };
            message(&mut home, writer, get(Access::Write));
        }
        other => panic!("no state {other}"),
    }
    if state.starts_with("Reclaiming") {
        home.reclaim(
            OBJECT..ObjectId(OBJECT.0 + 1),
            Token(1),
            &mut (),
            &mut Out::new(),
        );
    }
    home
}

#[test]
fn a_home_accepts_what_its_row_says() {
    // Per sender: Get(Read), Get(Write), Recalled, Invalidated.
    let rows = [
        ("Unshared", ["..VV", "..VV", "..VV"]),
        ("Home", ["..VV", "..VV", "..VV"]),
        ("Shared{1}", ["V.VV", "..VV", "..VV"]),
        ("Owned(1)", ["VVVV", "..VV", "..VV"]),
        ("Recalling(1) for 2", ["VV.V", "VVVV", "..VV"]),
        ("Invalidating{1,2} for 3", ["V.V.", "V.V.", "VVVV"]),
        ("Invalidating{2} for 1", ["VVVV", "V.V.", "..VV"]),
        ("Reclaiming{1}", ["V.V.", "..VV", "..VV"]),
        ("Reclaiming(1)", ["VVV.", "..VV", "..VV"]),
    ];
    for (state, senders) in rows {
        let home = home_in(state);
        for (from, row) in (1..).zip(senders) {
            let messages = [
                get(Access::Read),
                get(Access::Write),
                recalled(),
                invalidated(),
            ];
            let seen = messages.into_iter().map(|message| {
                if accepts(&home, NodeId(from), message) {
                    '.'
                } else {
                    'V'
                }
            });
            assert_eq!(seen.collect::<String>(), row, "{state} from node {from}");
        }
        for message in [grant(Access::Write, Some(1)), recall(true), invalidate()] {
            assert!(
                !accepts(&home, NodeId(1), message.clone()),
                "{state} is no cache: {message:?}"
            );
        }
        for stranger in [HOME, NodeId(4)] {
            assert!(
                !accepts(&home, stranger, get(Access::Read)),
                "{state} from {stranger:?}"
            );
        }
    }
}

#[test]
fn a_violation_says_who_what_and_where() {
    let mut home = home_in("Owned(1)");
    let violation = home
        .on_message(NodeId(1), get(Access::Read), &mut (), &mut Out::new())
        .expect_err("an owner does not ask");
    assert_eq!(
        violation.to_string(),
        "node 1 sent Get(Read) for object 0x3, which is Owned here"
    );
}
