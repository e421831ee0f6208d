//! Rights and bytes of sequential objects.

use umbel_wire::{Access, Coherence, Consistency, ObjectId};

use crate::node::{foreign_stack, grant, load, node, own_stack, page, page_data, store};

/// Answers every `Get` with read rights and the page's number as its bytes.
fn reader(message: &Coherence<Vec<u8>>) -> Vec<Coherence<Vec<u8>>> {
    match message {
        Coherence::Get { object, .. } => {
            vec![grant(
                *object,
                Access::Read,
                Consistency::Sequential,
                object.0 as u8,
            )]
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn copies_revoked_in_one_turn_are_all_answered_and_gone() {
    let mut node = node();
    let first = page(foreign_stack(), 8);
    let address = first.page_address();
    let pages = || (0..10).map(move |i| ObjectId(first.id().0 + i));
    let read = move || {
        (0..10)
            .map(|i| load(address + i * 4096))
            .collect::<Vec<_>>()
    };
    let seen = node.run(read, reader);
    assert_eq!(
        seen,
        pages().map(|object| object.0 as u8).collect::<Vec<_>>()
    );
    let _ = node.take_sent();
    for object in pages() {
        node.receive(Coherence::Invalidate {
            object,
            end_of_life: false,
        });
    }
    assert!(
        node.sent.0.is_empty(),
        "answers leave at the end of the turn"
    );
    node.turn();
    let answers: Vec<ObjectId> = node.take_sent().iter().map(Coherence::object).collect();
    assert_eq!(answers, pages().collect::<Vec<_>>());
    let mut asked = 0;
    let second = node.run(read, |message| {
        asked += 1;
        reader(message)
    });
    assert_eq!((second, asked >= 10), (seen, true), "every page was absent");
}

#[test]
fn bytes_of_own_pages_leave_after_their_rights_were_lowered_in_one_turn() {
    let mut node = node();
    let stack = own_stack(&mut node, 16, 0);
    let address = page(stack, 0).page_address();
    node.run(
        move || (0..16).for_each(|i| store(address + i * 4096, i as u8 + 1)),
        |message| panic!("{message:?}"),
    );
    for number in 0..16 {
        node.receive(Coherence::Get {
            object: page(stack, number).id(),
            access: Access::Read,
            prefetch: false,
        });
    }
    node.turn();
    let sent = node.take_sent();
    assert_eq!(sent.len(), 16);
    for (number, message) in sent.into_iter().enumerate() {
        let mut bytes = vec![0; 4096];
        bytes[0] = number as u8 + 1;
        match message {
            Coherence::Grant {
                object,
                access: Access::Read,
                data: Some(data),
                ..
            } => {
                assert_eq!(object, page(stack, number as u64).id());
                assert_eq!(data, page_data(&bytes));
            }
            other => panic!("{other:?}"),
        }
    }
    // The home's own stores fault again, and take the copies back first.
    let mut withdrawn = 0;
    node.run(
        move || store(address + 3 * 4096, 99),
        |message| match message {
            Coherence::Invalidate { object, .. } => {
                withdrawn += 1;
                vec![Coherence::Invalidated {
                    object: *object,
                    diff: None,
                }]
            }
            other => panic!("{other:?}"),
        },
    );
    assert_eq!(withdrawn, 1);
}
