//! A link's queue: messages joined on their way in, and taken out again.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use umbel_wire::codec::{Batcher, DecodeError, Next, Tail, decode_next, encode_coherence};
use umbel_wire::{Access, Coherence, Consistency, Message, Mode, ObjectId, Protocol};

/// The bytes of these messages, joined where they can be.
pub fn queued(messages: &[Coherence<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut batcher = Batcher::default();
    for message in messages {
        let start = bytes.len();
        encode_coherence(message, &mut bytes);
        batcher.join(&mut bytes, start);
    }
    bytes
}

/// The messages of what stands first, and the bytes that it took.
pub fn next(bytes: &[u8]) -> Result<Option<(Vec<Message>, usize)>, DecodeError> {
    let owned = |message: Coherence<Tail<'_>>| Message::Coherence(message.map_ref(Tail::to_vec));
    Ok(match decode_next(bytes)? {
        None => None,
        Some((Next::Other(message), taken)) => Some((vec![message], taken)),
        Some((Next::Coherence(message), taken)) => Some((vec![owned(message)], taken)),
        Some((Next::Batch(mut batch), taken)) => {
            let mut messages = Vec::new();
            while let Some(message) = batch.next(bytes)? {
                messages.push(owned(message));
            }
            Some((messages, taken))
        }
    })
}

/// A message that may be joined to another such one: few objects, few fields, short bytes.
pub fn neighbour() -> impl Strategy<Value = Coherence<Vec<u8>>> {
    let few = || {
        prop_oneof![
            8 => 100_u64..104,
            1 => Just(u64::MAX),
            1 => any::<u64>(),
        ]
    };
    let bytes = || vec(0_u8..2, 0..4);
    let mode = || {
        let protocol = prop::sample::select(vec![Protocol::Update, Protocol::Migratory]);
        protocol.prop_map(|protocol| Mode {
            consistency: Consistency::Weak,
            protocol,
        })
    };
    prop_oneof![
        (few(), any::<bool>()).prop_map(|(object, prefetch)| Coherence::Get {
            object: ObjectId(object),
            access: Access::Read,
            prefetch,
        }),
        (few(), mode(), option::of(bytes())).prop_map(|(object, mode, data)| Coherence::Grant {
            object: ObjectId(object),
            access: Access::Read,
            mode,
            data,
        }),
        few().prop_map(|object| Coherence::Deny {
            object: ObjectId(object),
        }),
        few().prop_map(|object| Coherence::Invalidate {
            object: ObjectId(object),
            end_of_life: false,
        }),
        (few(), option::of((few(), bytes()))).prop_map(|(object, diff)| Coherence::Invalidated {
            object: ObjectId(object),
            diff,
        }),
        (few(), few(), bytes(), any::<bool>()).prop_map(|(object, sequence, diff, leave)| {
            Coherence::Flush {
                object: ObjectId(object),
                sequence,
                leave,
                diff: (!leave || sequence > 101).then_some(diff),
            }
        }),
        (few(), few(), bytes()).prop_map(|(object, sequence, data)| Coherence::Return {
            object: ObjectId(object),
            sequence,
            data,
        }),
        (few(), few()).prop_map(|(object, sequence)| Coherence::Flushed {
            object: ObjectId(object),
            sequence,
            exclusive: true,
        }),
        (few(), bytes()).prop_map(|(object, diff)| Coherence::Update {
            object: ObjectId(object),
            diff,
        }),
        (few(), any::<bool>()).prop_map(|(object, leave)| Coherence::Updated {
            object: ObjectId(object),
            leave,
        }),
        few().prop_map(|object| Coherence::Recall {
            object: ObjectId(object),
            keep_read: true,
            forward: None,
        }),
    ]
}
