//! Rings in real shared memory, and peers that don't keep to the rules.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use bytes::BytesMut;
use umbel_ring::{Corrupt, FILE_BYTES, Memory, RING_BYTES, Reader, Side, Writer};

type End = (Writer<Memory>, Reader<Memory>);

/// Both ends, and the file that a bad peer would scribble on.
fn pair() -> (End, End, File) {
    let file = Memory::create().expect("memory");
    let dup = |file: &OwnedFd| file.try_clone().expect("a descriptor");
    let lower = Memory::open(dup(&file), Side::Lower).expect("the lower end");
    let higher = Memory::open(dup(&file), Side::Higher).expect("the higher end");
    (lower, higher, file.into())
}

#[test]
fn bytes_arrive_in_order_in_both_directions_and_around_the_end() {
    let ((mut to_higher, mut from_higher), (mut to_lower, mut from_lower), _) = pair();
    let mut next = 0_u64;
    for round in 0..200 {
        let words: Vec<u64> = (next..next + 500 + round * 7).collect();
        next += words.len() as u64;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        for (writer, reader) in [
            (&mut to_higher, &mut from_lower),
            (&mut to_lower, &mut from_higher),
        ] {
            let mut received = BytesMut::new();
            assert_eq!(writer.write(&bytes), Ok(bytes.len()));
            assert!(reader.has_bytes());
            assert_eq!(reader.read(&mut received), Ok(bytes.len()));
            assert!(received == bytes && !reader.has_bytes(), "round {round}");
        }
    }
    assert!(next * 8 > RING_BYTES as u64, "it went around");
}

#[test]
fn a_full_ring_takes_no_more_and_the_reader_rings_when_there_is_room() {
    let ((mut writer, _), (_, mut reader), _) = pair();
    let bytes = vec![7; RING_BYTES + 1];
    assert_eq!(writer.write(&bytes), Ok(RING_BYTES));
    assert_eq!(writer.write(&bytes), Ok(0));
    assert!(!reader.must_ring());
    assert_eq!(writer.wait_for_room(), Ok(true));
    let mut received = BytesMut::new();
    assert_eq!(reader.read(&mut received), Ok(RING_BYTES));
    assert!(reader.must_ring() && !reader.must_ring(), "once");
    assert_eq!(writer.wait_for_room(), Ok(false));
    assert_eq!(writer.write(&[1]), Ok(1));
    assert!(!writer.must_ring(), "the reader is awake");
    reader.ask_to_be_rung();
    assert!(writer.must_ring() && !writer.must_ring(), "once");
}

#[test]
fn cursors_that_cannot_be_are_refused() {
    let (_, (_, mut reader), file) = pair();
    file.write_all_at(&(RING_BYTES as u64 + 1).to_le_bytes(), 0)
        .expect("the head of the ring to the higher rank");
    assert_eq!(reader.read(&mut BytesMut::new()), Err(Corrupt));

    let ((mut writer, _), _, file) = pair();
    file.write_all_at(&1_u64.to_le_bytes(), 128)
        .expect("its tail");
    assert_eq!(writer.wait_for_room(), Err(Corrupt));
    let whole = vec![0; RING_BYTES + 1];
    assert_eq!(writer.write(&whole), Err(Corrupt));
}

#[test]
fn only_sealed_memory_of_the_right_size_is_a_link() {
    let (_, _, file) = pair();
    assert!(file.set_len(0).is_err() && file.set_len(2 * FILE_BYTES as u64).is_err());
    let other = File::open("/proc/self/exe").expect("our own program");
    assert!(Memory::open(other.into(), Side::Lower).is_err());
}
