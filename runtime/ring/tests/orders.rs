//! Every order in which a writer and a reader may see each other: no byte is lost, and nobody sleeps for ever.

use std::sync::atomic::Ordering;

use bytes::BytesMut;
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU64;
use loom::sync::{Arc, Notify};
use umbel_ring::{Cursors, Reader, RingMemory, Word, Writer};

/// A word of the model checker.
struct Checked(AtomicU64);

impl Word for Checked {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }

    fn swap(&self, value: u64, order: Ordering) -> u64 {
        self.0.swap(value, order)
    }

    fn fence() {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
}

/// Two bytes, each watched for accesses that nothing orders.
#[derive(Clone)]
struct Tiny(Arc<(Cursors<Checked>, [UnsafeCell<u8>; 2])>);

impl Tiny {
    fn new() -> Self {
        let words = [(); 4].map(|()| Checked(AtomicU64::new(0)));
        let bytes = [(); 2].map(|()| UnsafeCell::new(0));
        Self(Arc::new((Cursors::of(words), bytes)))
    }
}

impl RingMemory for Tiny {
    type Word = Checked;

    fn cursors(&self) -> &Cursors<Checked> {
        &self.0.0
    }

    fn capacity(&self) -> usize {
        2
    }

    fn put(&self, offset: usize, bytes: &[u8]) {
        for (cell, byte) in self.0.1[offset..].iter().zip(bytes) {
            // SAFETY: the checker fails if anybody else may access it now.
            cell.with_mut(|place| unsafe { *place = *byte });
        }
    }

    fn get(&self, offset: usize, len: usize, target: &mut BytesMut) {
        for cell in &self.0.1[offset..offset + len] {
            // SAFETY: as above.
            target.extend([cell.with(|place| unsafe { *place })]);
        }
    }
}

/// The writer writes `count` bytes, at most two at once, and both sleep whenever they may.
fn exchange(count: u8) {
    let memory = Tiny::new();
    let bells = Arc::new([Notify::new(), Notify::new()]);
    let (mut writer, mut reader) = (Writer::new(memory.clone()), Reader::new(memory));
    let writers_bells = bells.clone();
    let thread = loom::thread::spawn(move || {
        let bytes: Vec<u8> = (1..=count).collect();
        let mut written = 0;
        while written < bytes.len() {
            written += writer
                .write(&bytes[written..])
                .expect("the reader is honest");
            if writer.must_ring() {
                writers_bells[0].notify();
            }
            let is_over = written == bytes.len();
            if !is_over && writer.wait_for_room().expect("the reader is honest") {
                writers_bells[1].wait();
            }
        }
    });
    let mut bytes = BytesMut::new();
    while bytes.len() < usize::from(count) {
        reader.read(&mut bytes).expect("the writer is honest");
        if reader.must_ring() {
            bells[1].notify();
        }
        reader.ask_to_be_rung();
        Checked::fence();
        if bytes.len() < usize::from(count) && !reader.has_bytes() {
            // A sleeper whom nobody rings is a deadlock, which the checker reports.
            bells[0].wait();
        }
        reader.is_awake();
    }
    thread.join().expect("the writer is done");
    assert_eq!(bytes, (1..=count).collect::<Vec<u8>>());
}

#[test]
fn a_sleeping_reader_is_rung() {
    loom::model(|| exchange(1));
}

#[test]
fn a_writer_without_room_is_rung() {
    let mut checker = loom::model::Builder::new();
    checker.preemption_bound = Some(2);
    checker.check(|| exchange(4));
}
