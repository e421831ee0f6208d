//! Twins, diffs and flushes of weak objects.

use uffd_dsm::{Event, diff};
use umbel_wire::{Access, Coherence, Consistency, NodeId, Operation, OperationKind, Token};

use crate::home::{Home, flushed};
use crate::node::{PEER, WEAK, foreign_stack, grant, load, node, own_stack, page, store};

#[test]
fn stores_to_a_shared_copy_cost_no_message_and_a_flush_sends_only_what_changed() {
    let mut node = node();
    let mut home = Home::default();
    let place = page(foreign_stack(), 4);
    let address = place.page_address();
    node.run(move || load(address), |message| home.answer(message));
    node.run(
        move || (0..10).for_each(|i| store(address + 100 + i, 7)),
        |message| panic!("{message:?}"),
    );
    assert!(!node.engine.is_clean());
    node.flush(|message| home.answer(message));
    assert_eq!(home.bytes_back, 12, "a run of 10 bytes at 100");
    assert_eq!(
        home.pages[&place.id()][99..111],
        [0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0]
    );
    // The copy stays writable: the next store doesn't even fault.
    let faults = node.engine.fault_counts();
    node.run(
        move || store(address + 5, 1),
        |message| panic!("{message:?}"),
    );
    assert_eq!(node.engine.fault_counts(), faults);
    node.flush(|message| home.answer(message));
    assert_eq!(home.pages[&place.id()][5], 1);
}

#[test]
fn who_writes_through_copies_faults_once_for_several_and_only_what_changed_leaves() {
    let mut node = node();
    let mut home = Home::default();
    let stack = foreign_stack();
    let pages: Vec<_> = (0..40).map(|number| page(stack, number)).collect();
    let addresses: Vec<usize> = pages.iter().map(|place| place.page_address()).collect();
    let read = addresses.clone();
    node.run(
        move || {
            read.iter()
                .for_each(|address| assert_eq!(load(*address), 0))
        },
        |message| home.answer(message),
    );
    let (_, faults) = node.engine.fault_counts();
    let written = addresses[..30].to_vec();
    node.run(
        move || written.iter().for_each(|address| store(*address + 9, 1)),
        |message| panic!("{message:?}"),
    );
    let (_, faults_after) = node.engine.fault_counts();
    assert!(faults_after - faults < 10, "{faults} to {faults_after}");
    home.bytes_back = 0;
    node.flush(|message| home.answer(message));
    assert_eq!(home.bytes_back, 30 * 2, "a byte with its head of each page");
    for (number, place) in pages.iter().enumerate() {
        let expected = u8::from(number < 30);
        assert_eq!(
            home.pages.get(&place.id()).map_or(0, |page| page[9]),
            expected
        );
    }
}

#[test]
fn a_flush_of_many_pages_leaves_in_parts_and_is_done_when_all_are_answered() {
    let mut node = node();
    let mut home = Home::default();
    let stack = foreign_stack();
    let pages: Vec<_> = (0..40).map(|number| page(stack, number)).collect();
    let addresses: Vec<usize> = pages.iter().map(|place| place.page_address()).collect();
    for (count, value, parts) in [(40, 1, 2), (10, 2, 0)] {
        let written = addresses[..count].to_vec();
        node.run(
            move || {
                written.iter().for_each(|address| {
                    load(*address);
                    store(*address + 9, value);
                });
            },
            |message| home.answer(message),
        );
        node.sent.1 = 0;
        home.bytes_back = 0;
        node.flush(|message| home.answer(message));
        assert_eq!(node.sent.1, parts);
        assert_eq!(
            home.bytes_back,
            2 * count as u64,
            "a byte with its head of each"
        );
        for place in &pages[..count] {
            assert_eq!(home.pages[&place.id()][9], value);
        }
    }
    assert!(node.engine.next_event().is_none());
}

#[test]
fn another_writers_bytes_arrive_around_ones_own() {
    let mut node = node();
    let mut home = Home::default();
    let place = page(foreign_stack(), 4);
    let address = place.page_address();
    node.run(
        move || store(address + 1, 11),
        |message| home.answer(message),
    );
    let mut theirs = vec![0; 4096];
    theirs[0] = 20;
    theirs[2] = 22;
    let update = diff::between(&theirs, &[0; 4096], 0).unwrap();
    home.merge(place.id(), &update);
    node.receive(Coherence::Update {
        object: place.id(),
        diff: update,
    });
    node.turn();
    assert!(matches!(
        node.take_sent()[..],
        [Coherence::Updated { leave: false, .. }]
    ));
    let seen = node.run(
        move || [load(address), load(address + 1), load(address + 2)],
        |message| panic!("{message:?}"),
    );
    assert_eq!(seen, [20, 11, 22]);
    home.bytes_back = 0;
    node.flush(|message| home.answer(message));
    assert_eq!(home.bytes_back, 2, "only one's own byte is sent");
    assert_eq!(home.pages[&place.id()][..3], [20, 11, 22]);
}

#[test]
fn an_invalidated_copy_hands_over_what_was_written() {
    let mut node = node();
    let mut home = Home::default();
    // The tests before have the same engine, and written copies stay writable over some flushes.
    for _ in 0..100 {
        if !node.engine.is_clean() {
            node.flush(|message| home.answer(message));
        }
    }
    assert!(node.engine.is_clean());
    let place = page(foreign_stack(), 4);
    let address = place.page_address();
    node.run(
        move || store(address + 3, 33),
        |message| home.answer(message),
    );
    node.receive(Coherence::Invalidate {
        object: place.id(),
        end_of_life: false,
    });
    node.turn();
    let sent = node.take_sent();
    let [
        Coherence::Invalidated {
            diff: Some((sequence, diff)),
            ..
        },
    ] = &sent[..]
    else {
        panic!("{sent:?}");
    };
    assert_eq!(diff, &[0x30, 33]);
    assert!(!node.engine.is_clean(), "it counts as a flush under way");
    node.receive(flushed(place.id(), *sequence));
    node.turn();
    assert!(node.engine.is_clean());
}

#[test]
fn both_nodes_bytes_meet_at_the_home() {
    let mut node = node();
    let stack = own_stack(&mut node, 1, WEAK);
    let place = page(stack, 0);
    let address = place.page_address();
    node.run(move || store(address, 1), |message| panic!("{message:?}"));
    node.receive(Coherence::Get {
        object: place.id(),
        access: Access::Read,
        prefetch: false,
    });
    node.turn();
    let sent = node.take_sent();
    let [
        Coherence::Grant {
            access: Access::Read,
            mode,
            data: Some(data),
            ..
        },
    ] = &sent[..]
    else {
        panic!("{sent:?}");
    };
    assert_eq!((mode.consistency, data[2]), (Consistency::Weak, 1));
    node.run(
        move || store(address + 1, 2),
        |message| panic!("{message:?}"),
    );
    let mut theirs = vec![0; 4096];
    theirs[2] = 3;
    node.receive(Coherence::Flush {
        object: place.id(),
        sequence: 1,
        leave: false,
        diff: diff::between(&theirs, &[0; 4096], 0),
    });
    node.turn();
    let seen = node.run(
        move || [load(address), load(address + 1), load(address + 2)],
        |message| match message {
            Coherence::Flushed { .. } => vec![],
            other => panic!("{other:?}"),
        },
    );
    assert_eq!(seen, [1, 2, 3]);
    // The peer's copy learns what this node wrote.
    node.flush(|message| match message {
        Coherence::Invalidate { object, .. } => vec![Coherence::Invalidated {
            object: *object,
            diff: None,
        }],
        Coherence::Flushed { .. } => vec![],
        other => panic!("{other:?}"),
    });
}

#[test]
fn what_was_not_flushed_leaves_with_no_other_bytes() {
    let mut node = node();
    let place = page(own_stack(&mut node, 1, WEAK), 0);
    let address = place.page_address();
    let get = || Coherence::Get {
        object: place.id(),
        access: Access::Read,
        prefetch: false,
    };
    node.receive(get());
    node.turn();
    let _ = node.take_sent();
    node.run(move || store(address, 1), |message| panic!("{message:?}"));
    node.receive_from(NodeId(2), get());
    node.turn();
    let sent = node.take_sent();
    let granted = sent.iter().find_map(|message| match message {
        Coherence::Grant { data, .. } => data.as_ref(),
        _ => None,
    });
    assert_eq!(granted.map(|data| data[2]), Some(0));
    node.end_of_life(place.id());
}

#[test]
fn sequential_bytes_leave_after_what_was_written_before() {
    let mut node = node();
    let mut home = Home::default();
    let weak = page(foreign_stack(), 0);
    let flag = page(foreign_stack(), 0);
    let (weak_address, flag_address) = (weak.page_address(), flag.page_address());
    node.run(
        move || {
            store(flag_address, 1);
            store(weak_address, 2);
        },
        |message| {
            if message.object() == flag.id() {
                vec![grant(flag.id(), Access::Write, Consistency::Sequential, 0)]
            } else {
                home.answer(message)
            }
        },
    );
    node.receive(Coherence::Recall {
        object: flag.id(),
        keep_read: false,
        forward: None,
    });
    node.turn();
    let sent = node.take_sent();
    let [Coherence::Flush { sequence, .. }] = &sent[..] else {
        panic!("{sent:?}");
    };
    node.receive(flushed(weak.id(), *sequence));
    node.turn();
    let sent = node.take_sent();
    let [Coherence::Recalled { object, data }] = &sent[..] else {
        panic!("{} messages", sent.len());
    };
    assert_eq!((*object, data[2]), (flag.id(), 1));
}

#[test]
fn operations_of_another_node_run_at_the_home() {
    let mut node = node();
    let place = page(own_stack(&mut node, 1, 0), 0);
    let address = place.page_address();
    node.run(
        move || store(address + 8, 40),
        |message| panic!("{message:?}"),
    );
    for (token, before) in [(1, 40), (2, 42)] {
        node.receive(Coherence::Operate {
            object: place.id(),
            token: Token(token),
            operation: Operation {
                offset: 8,
                width: 4,
                kind: OperationKind::Add,
                operand: 2,
                expected: 0,
            },
        });
        node.turn();
        let sent = node.take_sent();
        let [
            Coherence::Operated {
                token: answered,
                result,
                ..
            },
        ] = &sent[..]
        else {
            panic!("{sent:?}");
        };
        assert_eq!((*answered, *result), (Token(token), before));
    }
    assert_eq!(
        node.run(move || load(address + 8), |message| panic!("{message:?}")),
        44
    );
}

#[test]
fn bytes_that_fit_no_object_are_reported() {
    let mut node = node();
    let place = page(foreign_stack(), 0);
    let address = place.page_address();
    let mut home = Home::default();
    node.run(move || load(address), |message| home.answer(message));
    let _ = node.take_events();
    node.receive(Coherence::Update {
        object: place.id(),
        diff: vec![0xff, 255, 255, 255],
    });
    node.turn();
    let (from, object) = (PEER, place.id());
    assert_eq!(node.take_events(), [Event::BadData { from, object }]);
}
