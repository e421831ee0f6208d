//! Every order in which a thread, its signal handlers, other threads and the recorder may see each other's loads and stores.
//!
//! loom has no signal handlers: a second thread stands for one, which may do more than a handler can (stop in the middle).

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use umbel_trace_ring::append::{Attempt, Both, Memory, Place, whole_words};
use umbel_trace_ring::layout::ChunkState;
use umbel_trace_ring::pool::{Entry, Owner, change, claim, free, wait_for_free};
use umbel_trace_ring::word::{Code, Word, empty, numbers};
use umbel_trace_ring::{CHUNK_BYTES, CHUNK_WORDS};

struct Cell(AtomicU64);

impl Cell {
    fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }
}

impl umbel_trace_ring::Cell for Cell {
    fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn store(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    fn replace(&self, current: u64, new: u64) -> Result<u64, u64> {
        self.0
            .compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
    }

    fn add(&self, value: u64) -> u64 {
        self.0.fetch_add(value, Ordering::AcqRel)
    }

    fn fence() {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
}

use umbel_trace_ring::Cell as _;

/// Words that the model has: the last of a chunk.
const SLOTS: usize = 4;

const CHUNK: u64 = 7 * CHUNK_BYTES as u64;

struct Slots([Cell; SLOTS]);

impl Memory for Slots {
    type Cell = Cell;

    fn slot(&self, address: u64) -> &Cell {
        let first = CHUNK + CHUNK_BYTES as u64 - 8 * SLOTS as u64;
        &self.0[(address - first) as usize / 8]
    }

    fn row(&self, address: u64, count: usize) -> Option<&[Cell]> {
        let first = CHUNK + CHUNK_BYTES as u64 - 8 * SLOTS as u64;
        let begin = address.checked_sub(first)? as usize / 8;
        self.0.get(begin..begin + count)
    }
}

struct Thread {
    cursor: Cell,
    chunk: Cell,
    empty: Cell,
    slots: Slots,
}

impl Thread {
    fn new() -> Arc<Self> {
        let nothing = empty(5);
        Arc::new(Self {
            cursor: Cell::new(CHUNK + CHUNK_BYTES as u64 - 8 * SLOTS as u64),
            chunk: Cell::new(CHUNK),
            empty: Cell::new(nothing),
            slots: Slots([(); SLOTS].map(|()| Cell::new(nothing))),
        })
    }

    fn place(&self) -> Place<'_, Slots> {
        Place {
            cursor: &self.cursor,
            chunk: &self.chunk,
            empty: &self.empty,
            memory: &self.slots,
        }
    }

    fn append(&self, word: u64) {
        let place = self.place();
        loop {
            let slot = place.slot().expect("there is room for all");
            if place.append(slot, word) == Attempt::Done {
                return;
            }
        }
    }

    fn read(&self, live: bool) -> Vec<u64> {
        let mut words = Vec::new();
        let first = CHUNK_WORDS - SLOTS;
        whole_words(
            first,
            live,
            |index| self.slots.0[index - first].load(),
            |word| words.push(word),
        );
        words
    }
}

/// With three interruptions at most; without a bound these run for hours.
fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut checker = loom::model::Builder::new();
    checker.preemption_bound = Some(3);
    checker.check(check);
}

fn call(function: u64) -> u64 {
    Word::Call { function, time: 1 }.pack()
}

/// A special word with one word of payload.
fn special(code: Code) -> u64 {
    let word = Word::Special {
        code: code as u16,
        payload_words: 1,
    };
    word.pack()
}

fn mark() -> u64 {
    special(Code::Mark)
}

#[test]
fn words_of_a_thread_and_its_handler_are_all_there() {
    model(|| {
        let thread = Thread::new();
        let handler = loom::thread::spawn({
            let thread = thread.clone();
            move || {
                thread.append(call(0x20000));
                thread.append(call(0x20001));
            }
        });
        thread.append(call(0x10000));
        thread.append(call(0x10001));
        handler.join().expect("it doesn't panic");
        let mut words = thread.read(false);
        let place = |word| {
            words
                .iter()
                .position(|&it| it == word)
                .expect("it was appended")
        };
        assert!(place(call(0x10000)) < place(call(0x10001)));
        assert!(place(call(0x20000)) < place(call(0x20001)));
        words.sort_unstable();
        assert_eq!(words, [0x10000, 0x10001, 0x20000, 0x20001].map(call));
    });
}

#[test]
fn a_special_word_keeps_its_payload_and_a_reader_sees_it_whole() {
    model(|| {
        let thread = Thread::new();
        let handler = loom::thread::spawn({
            let thread = thread.clone();
            move || thread.append(call(0x20000))
        });
        let reader = loom::thread::spawn({
            let thread = thread.clone();
            move || thread.read(true)
        });
        let payload = [99u64];
        let special = thread
            .place()
            .append_special(Code::Mark as u16, payload.into_iter());
        assert_eq!(special, Ok(()));
        handler.join().expect("it doesn't panic");
        let seen = reader.join().expect("it doesn't panic");
        let words = thread.read(true);
        assert!(words == [mark(), 99, call(0x20000)] || words == [call(0x20000), mark(), 99]);
        assert!(
            words.starts_with(&seen),
            "{seen:?} is no beginning of {words:?}"
        );
    });
}

/// A handler may come before the event, between it and its numbers, and while they are written; a reader sees both, or the event alone.
fn an_event_with(count: usize) {
    let seen_alone = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let alone = seen_alone.clone();
    model(move || {
        let thread = Thread::new();
        let handler = loom::thread::spawn({
            let thread = thread.clone();
            move || thread.append(call(0x20000))
        });
        let reader = loom::thread::spawn({
            let thread = thread.clone();
            move || thread.read(true)
        });
        let (event, other) = (call(0x10000), call(0x20000));
        let head = numbers(7, count).expect("both are small");
        let values = &[99][..count];
        let both = thread.place().append_both(head, values, || Some(event));
        handler.join().expect("it doesn't panic");
        let seen = reader.join().expect("it doesn't panic");
        let words = thread.read(true);
        let own = [&[event, head], values].concat();
        match both {
            Both::Done => assert!(
                words == [&own[..], &[other]].concat() || words == [&[other], &own[..]].concat()
            ),
            Both::EventAlone => {
                alone.store(true, Ordering::Relaxed);
                assert_eq!(words, [event, other]);
            }
            Both::Neither => assert_eq!(words, [other]),
        }
        assert!(
            words.starts_with(&seen),
            "{seen:?} is no beginning of {words:?}"
        );
    });
    assert!(seen_alone.load(Ordering::Relaxed));
}

#[test]
fn an_event_and_its_numbers_are_whole_wherever_a_handler_comes() {
    an_event_with(1);
}

#[test]
fn so_they_are_where_there_are_no_numbers_but_the_plan() {
    an_event_with(0);
}

#[test]
fn nothing_comes_behind_the_end_of_a_chunk_that_was_given_up() {
    model(|| {
        let thread = Thread::new();
        let handler = loom::thread::spawn({
            let thread = thread.clone();
            move || {
                thread.append(call(0x20000));
                thread.place().seal()
            }
        });
        let place = thread.place();
        let slot = place.slot().expect("there is room for all");
        let attempt = place.append(slot, call(0x10000));
        let end = handler.join().expect("it doesn't panic");
        let words = thread.read(false);
        let first = CHUNK + CHUNK_BYTES as u64 - 8 * SLOTS as u64;
        let done = usize::from(attempt == Attempt::Done);
        assert_eq!(words.len(), 1 + done);
        assert_eq!(end, Some(first + 8 * words.len() as u64));
    });
}

fn owner(tid: u32) -> Owner {
    Owner { page: 1, tid }
}

fn table<const N: usize>(state: ChunkState) -> Arc<[Cell; N]> {
    let entry = match state {
        ChunkState::Free => Entry::FREE,
        state => Entry::new(state, owner(1)),
    };
    Arc::new([(); N].map(|()| Cell::new(entry.0)))
}

#[test]
fn a_chunk_is_claimed_once() {
    loom::model(|| {
        let chunks = table::<2>(ChunkState::Free);
        let other = loom::thread::spawn({
            let chunks = chunks.clone();
            move || claim(&chunks[..], owner(2), 0)
        });
        let mine = claim(&chunks[..], owner(1), 0);
        let other = other.join().expect("it doesn't panic");
        assert!(mine.is_some() && other.is_some() && mine != other);
    });
}

#[test]
fn a_full_chunk_is_taken_or_overwritten_but_not_both() {
    loom::model(|| {
        let chunks = table::<1>(ChunkState::Full);
        // Whoever has it claimed writes here.
        let content = Arc::new(loom::cell::UnsafeCell::new(0));
        let take = |chunks: &[Cell; 1], content: &loom::cell::UnsafeCell<u32>| {
            let mine = change(&chunks[0], owner(1), ChunkState::Full, ChunkState::Claimed);
            if mine {
                // loom checks that nobody else is here.
                content.with_mut(|_| ());
            }
            mine
        };
        let recorder = loom::thread::spawn({
            let (chunks, content) = (chunks.clone(), content.clone());
            move || {
                let mine = take(&chunks, &content);
                if mine {
                    chunks[0].store(Entry::FREE.0);
                }
                mine
            }
        });
        let overwrites = take(&chunks, &content);
        let again = claim(&chunks[..], owner(1), 0);
        if again.is_some() {
            content.with_mut(|_| ());
        }
        let taken = recorder.join().expect("it doesn't panic");
        assert!(taken != overwrites);
        assert!(again.is_none() || taken);
    });
}

#[test]
fn an_owner_retires_while_the_recorder_thinks_it_dead() {
    loom::model(|| {
        let chunks = table::<1>(ChunkState::Owned);
        let recorder = loom::thread::spawn({
            let chunks = chunks.clone();
            move || change(&chunks[0], owner(1), ChunkState::Owned, ChunkState::Full)
        });
        let mine = change(&chunks[0], owner(1), ChunkState::Owned, ChunkState::Full);
        let its = recorder.join().expect("it doesn't panic");
        assert!(mine != its, "one of both");
        assert_eq!(chunks[0].load(), Entry::new(ChunkState::Full, owner(1)).0);
    });
}

/// A futex on a cell.
#[derive(Default)]
struct Futex {
    lock: Mutex<()>,
    bell: Condvar,
}

impl Futex {
    fn wait(&self, cell: &Cell, value: u64) {
        let guard = self.lock.lock().expect("nobody panics");
        if cell.load() == value {
            drop(self.bell.wait(guard));
        }
    }

    fn wake(&self) {
        let guard = self.lock.lock().expect("nobody panics");
        self.bell.notify_all();
        drop(guard);
    }
}

#[test]
fn who_waits_for_a_chunk_is_woken() {
    model(|| {
        let chunks = table::<1>(ChunkState::Full);
        let shared = Arc::new((Cell::new(0), Cell::new(0), Futex::default()));
        let recorder = loom::thread::spawn({
            let (chunks, shared) = (chunks.clone(), shared.clone());
            move || {
                let (freed, waiting, futex) = &*shared;
                assert!(change(
                    &chunks[0],
                    owner(1),
                    ChunkState::Full,
                    ChunkState::Claimed
                ));
                if free(&chunks[0], freed, waiting) {
                    futex.wake();
                }
            }
        });
        let (freed, waiting, futex) = &*shared;
        // A lost wake-up is a deadlock, which loom reports.
        while claim(&chunks[..], owner(2), 0).is_none() {
            wait_for_free(&chunks[..], 0, freed, waiting, |seen| {
                futex.wait(freed, seen)
            });
        }
        recorder.join().expect("it doesn't panic");
        assert_eq!(waiting.load(), 0);
    });
}

#[test]
fn the_last_chunks_are_left_to_others() {
    loom::model(|| {
        let chunks = table::<3>(ChunkState::Free);
        assert_eq!(claim(&chunks[..], owner(1), 2), Some(0));
        assert_eq!(claim(&chunks[..], owner(1), 2), None);
        assert_eq!(claim(&chunks[..], owner(1), 0), Some(1));
    });
}
