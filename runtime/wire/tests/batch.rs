//! Batches: what is joined arrives as it was sent, in the bytes that are written out here; anything else is refused.

#[path = "messages/queue.rs"]
mod queue;

use proptest::collection::vec;
use proptest::prelude::*;
use queue::{neighbour, next, queued};
use umbel_wire::limits::{BATCH_BODY_BYTES_MAX, BATCH_MESSAGES_MAX, HEADER_BYTES};
use umbel_wire::{Access, Coherence, Consistency, Message, Mode, ObjectId, Protocol};

type Messages = Vec<Coherence<Vec<u8>>>;

/// All messages of a queue about objects, or why they can't be read.
fn taken(mut bytes: &[u8]) -> Result<Vec<Coherence<Vec<u8>>>, String> {
    let mut messages = Vec::new();
    while let Some((next, taken)) = next(bytes).map_err(|error| error.to_string())? {
        messages.extend(next.into_iter().map(|message| match message {
            Message::Coherence(message) => message,
            other => panic!("{other:?}"),
        }));
        bytes = &bytes[taken..];
    }
    assert!(bytes.is_empty(), "cut off");
    Ok(messages)
}

fn flush(object: u64, sequence: u64, diff: &[u8]) -> Coherence<Vec<u8>> {
    Coherence::Flush {
        object: ObjectId(object),
        sequence,
        leave: false,
        diff: Some(diff.to_vec()),
    }
}

fn get(object: u64) -> Coherence<Vec<u8>> {
    Coherence::Get {
        object: ObjectId(object),
        access: Access::Read,
        prefetch: true,
    }
}

fn grant(object: u64, data: Vec<u8>) -> Coherence<Vec<u8>> {
    Coherence::Grant {
        object: ObjectId(object),
        access: Access::Read,
        mode: Mode {
            consistency: Consistency::Weak,
            protocol: Protocol::Update,
        },
        data: Some(data),
    }
}

#[track_caller]
fn golden(messages: Messages, golden: &str) {
    let digits: Vec<u8> = golden.bytes().filter(u8::is_ascii_hexdigit).collect();
    let golden: Vec<u8> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    assert_eq!(queued(&messages), golden);
    assert_eq!(taken(&golden), Ok(messages));
}

#[test]
fn neighbours_that_changed_alike_cost_their_bytes() {
    // Object 0x100 is the zigzag number 0x200, sequence 7 is 14; the heads of the diffs, 0x03, are written once.
    golden(
        vec![
            flush(0x100, 7, &[0x03, 1, 2, 3, 4]),
            flush(0x101, 8, &[0x03, 5, 6, 7, 8]),
            flush(0x102, 9, &[0x03, 9, 10, 11, 12]),
        ],
        "16000000 03 01 0000  16 0001  8004 0e 0300 05 03 01020304 05060708 090a0b0c",
    );
}

#[test]
fn what_differs_begins_a_run() {
    golden(
        vec![
            flush(0x100, 7, &[0x00, 1]),
            flush(0x102, 8, &[0x00, 2]),
            flush(0x101, 10, &[0x10, 3]),
            flush(0x102, 11, &[0x10, 3, 4]),
        ],
        "21000000 03 01 0000  16 0001  8004 0e 0100 02 00 01
                                       02 00 0100 02 00 02
                                       03 02 0100 02 10 03
                                       00 00 0100 03 10 0304",
    );
}

#[test]
fn pages_lie_one_behind_the_other() {
    golden(
        vec![
            grant(1, vec![0, 0, 0xaa, 0xbb]),
            grant(2, vec![0, 0, 0xcc, 0xdd]),
        ],
        "0e000000 03 01 0000  11 000301  02 0200 04 0000 aabb ccdd",
    );
}

#[test]
fn requests_and_answers_of_neighbours_are_one_run() {
    golden(
        vec![get(4), get(5)],
        "06000000 03 01 0000  10 0001  08 0200",
    );
    let answer = |object, sequence| Coherence::Flushed {
        object: ObjectId(object),
        sequence,
        exclusive: true,
    };
    golden(
        vec![answer(4, 1), answer(5, 2)],
        "06000000 03 01 0000  17 01  08 02 0200",
    );
    let deny = |object| Coherence::Deny {
        object: ObjectId(object),
    };
    golden(vec![deny(4), deny(5)], "04000000 03 01 0000  1b  08 0200");
}

#[test]
fn what_is_not_of_a_kind_travels_alone() {
    let messages = vec![get(1), grant(1, vec![0, 0, 1]), get(2), get(3)];
    let bytes = queued(&messages);
    let alone = [queued(&messages[..1]), queued(&messages[1..2])].concat();
    assert!(bytes.starts_with(&alone));
    assert_eq!(taken(&bytes), Ok(messages));
}

#[test]
fn a_thousand_small_objects_are_one_message_hardly_longer_than_their_bytes() {
    for word_bytes in [4, 8, 64] {
        let messages: Messages = (0..1000)
            .map(|i| {
                let mut diff = vec![word_bytes as u8];
                diff.extend((0..word_bytes).map(|byte| (i * 7 + byte) as u8));
                flush(0x1_0000_0000 + i as u64, i as u64 + 1, &diff)
            })
            .collect();
        let bytes = queued(&messages);
        assert_eq!(&bytes[4..5], &[3], "a batch");
        assert!(bytes.len() < 1000 * word_bytes + 32, "{}", bytes.len());
        assert_eq!(taken(&bytes), Ok(messages));
    }
}

#[test]
fn no_batch_is_longer_than_its_bounds() {
    let pages: Messages = (0..130).map(|i| grant(i, vec![0; 4098])).collect();
    let many: Messages = (0..10_000).map(get).collect();
    for messages in [pages, many] {
        let bytes = queued(&messages);
        let mut rest = &bytes[..];
        let mut batches = 0;
        while !rest.is_empty() {
            let body_bytes = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
            assert!(body_bytes <= BATCH_BODY_BYTES_MAX);
            rest = &rest[HEADER_BYTES + body_bytes..];
            batches += 1;
        }
        assert_eq!(batches, 3);
        assert_eq!(taken(&bytes), Ok(messages));
    }
    assert_eq!(10_000_usize.div_ceil(BATCH_MESSAGES_MAX), 3);
}

#[track_caller]
fn refused(body: &[u8], says: &str) {
    let mut bytes = vec![body.len() as u8, 0, 0, 0, 3, 1, 0, 0];
    bytes.extend(body);
    assert_eq!(taken(&bytes), Err(says.to_owned()));
}

#[test]
fn what_no_batcher_writes_is_refused() {
    refused(
        &[0x10, 0, 1, 8],
        "Batch: count at offset 4 needs 2 bytes, the body has 0 left",
    );
    refused(
        &[0x01, 0, 1, 8, 2, 0],
        "Batch: kind at offset 0 is 1, must be a message that batches may have",
    );
    refused(
        &[0x10, 0, 1, 8, 1, 0],
        "Batch: messages at offset 6 is 1, must be 2 or more",
    );
    refused(
        &[0x10, 0, 1, 8, 0, 0],
        "Batch: count at offset 4 is 0, must be 1 or more, and 4096 with those before",
    );
    refused(
        &[0x10, 0, 1, 8, 1, 16],
        "Batch: count at offset 4 is 4097, must be 1 or more, and 4096 with those before",
    );
    refused(
        &[0x10, 0, 1, 8, 1, 0, 0, 1, 0],
        "Batch: object at offset 9 is 5, must be of another run than the one before",
    );
    refused(
        &[0x10, 0, 1, 0x88, 0, 2, 0],
        "Batch: object at offset 4 is 0, must be a number below 2^64, as short as it can be",
    );
    refused(
        &[0x10, 2, 1, 8, 2, 0],
        "Get: access at offset 8 is 2, must be 0 (read) or 1 (write)",
    );
    // Tails beyond the end, of a message that has none, and longer than the message may have.
    refused(
        &[0x19, 8, 2, 0, 4, 1, 2, 3, 4],
        "Batch: tails at offset 9 needs 3 bytes, the body has 0 left",
    );
    refused(
        &[0x11, 0, 0, 0, 8, 2, 0, 3, 1, 2, 3, 4],
        "Grant: 3 bytes left over at offset 11, after the last field",
    );
    let mut long = vec![0x19, 8, 2, 0, 0x81, 0x50, 1];
    long.resize(7 + 20 * 1024, 0);
    let mut bytes = (long.len() as u32).to_le_bytes().to_vec();
    bytes.extend([3, 1, 0, 0]);
    bytes.extend(long);
    assert_eq!(
        taken(&bytes),
        Err("Update: header announces a body of 10249 bytes; 8 to 10248 are allowed".to_owned())
    );
}

proptest! {
    #[test]
    fn joined_messages_arrive_as_they_were_sent(messages in vec(neighbour(), 0..60)) {
        let bytes = queued(&messages);
        prop_assert_eq!(taken(&bytes), Ok(messages));
    }
}
