//! Asking for what will be needed.

use umbel_wire::{Access, Coherence, Consistency};

use crate::node::{foreign_stack, grant, load, node, page};

#[derive(Debug, Default)]
struct Asked {
    waiting: u64,
    ahead: u64,
}

impl Asked {
    /// A home that grants all there is below `end`, and denies the rest.
    fn answer(&mut self, message: &Coherence<Vec<u8>>, end: u64) -> Vec<Coherence<Vec<u8>>> {
        match message {
            Coherence::Get {
                object,
                access,
                prefetch,
            } => {
                *if *prefetch {
                    &mut self.ahead
                } else {
                    &mut self.waiting
                } += 1;
                if object.0 >= end {
                    assert!(prefetch, "a thread reads beyond the end");
                    return vec![Coherence::Deny { object: *object }];
                }
                vec![grant(
                    *object,
                    *access,
                    Consistency::Sequential,
                    object.0 as u8,
                )]
            }
            Coherence::Flush {
                object, sequence, ..
            } => vec![Coherence::Flushed {
                object: *object,
                sequence: *sequence,
                exclusive: false,
            }],
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_runs_through_memory_waits_for_the_first_pages_only() {
    for backwards in [false, true] {
        let mut node = node();
        let first = page(foreign_stack(), 0);
        let (address, end) = (first.page_address(), first.id().0 + 48);
        let mut asked = Asked::default();
        let (reads_before, _) = node.engine.fault_counts();
        let seen = node.run(
            move || {
                let mut seen: Vec<u8> = (0..48)
                    .map(|i| if backwards { 47 - i } else { i })
                    .map(|i| load(address + i * 4096 + 7))
                    .collect();
                if backwards {
                    seen.reverse();
                }
                seen
            },
            |message| asked.answer(message, end),
        );
        assert_eq!(
            seen,
            (0..48)
                .map(|i| (first.id().0 + i) as u8)
                .collect::<Vec<_>>()
        );
        assert_eq!(asked.waiting, 3, "{asked:?}");
        assert!(asked.ahead >= 45, "{asked:?}");
        let (reads, _) = node.engine.fault_counts();
        assert!(
            reads - reads_before < 24,
            "{} faults for 48 pages",
            reads - reads_before
        );
    }
}

#[test]
fn random_reads_send_one_message_each() {
    let mut node = node();
    let first = page(foreign_stack(), 0);
    let address = first.page_address();
    let mut asked = Asked::default();
    node.run(
        move || {
            (0..40).for_each(|i| {
                load(address + i * 769 % 1024 * 4096);
            });
        },
        |message| asked.answer(message, u64::MAX),
    );
    assert_eq!((asked.waiting, asked.ahead), (40, 0));
}

#[test]
fn a_unit_of_several_pages_comes_whole() {
    let mut node = node();
    let first = page(foreign_stack(), 8);
    let address = first.page_address();
    let mut asked = Vec::new();
    node.run(
        move || {
            load(address + 4096);
        },
        |message| match message {
            Coherence::Get { object, .. } => {
                asked.push(object.0 - first.id().0);
                let number = object.0 - first.id().0;
                let mut message = grant(*object, Access::Read, Consistency::Sequential, 0);
                if let Coherence::Grant {
                    data: Some(data), ..
                } = &mut message
                {
                    let head = 0x8000 | (number as u16) << 8 | (3 - number as u16);
                    data[..2].copy_from_slice(&head.to_le_bytes());
                }
                vec![message]
            }
            other => panic!("{other:?}"),
        },
    );
    asked.sort_unstable();
    assert_eq!(asked, [0, 1, 2, 3]);
    let before = node.engine.fault_counts();
    node.run(
        move || {
            (0..4).for_each(|i| {
                load(address + i * 4096);
            });
        },
        |message| panic!("{message:?}"),
    );
    assert_eq!(
        node.engine.fault_counts(),
        before,
        "the others were shown when they came"
    );
}
