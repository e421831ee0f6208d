//! Rows of words beside those of threads: what happens to a thread and is noticed by another.
//!
//! A distributed program's fault is such a thing. Its thread can't note it, as the kernel has stopped it; among the calls of the
//! thread that serves it, faults of several threads would overlap. So each thread that faults has a row for its faults.

use core::cell::Cell;
use core::sync::atomic::Ordering;

use umbel_trace_ring::layout::{Clock, Kind, Mode};
use umbel_trace_ring::word::Code;
use umbel_trace_ring::{Live, Producer};

use crate::journal;
use crate::slow::now;
use crate::sys::exclusive::Exclusive;
use crate::sys::global::{live, page, process};
use crate::sys::memory::block_signals;
use crate::sys::vdso::monotonic_ns;

/// Rows of a process: what other threads' faults are left out and counted.
const ROWS_MAX: usize = 64;

/// Words of payload at most, with the time.
const WORDS_MAX: usize = 8;

/// The row of one thread.
struct Row {
    producer: Producer,
}

static ROWS: Exclusive<[Row; ROWS_MAX]> = Exclusive::new(
    [const {
        Row {
            producer: Producer::new(),
        }
    }; ROWS_MAX],
);

/// In a child of fork: the rows are the parent's.
pub fn forget() {
    ROWS.reset();
    ROWS.with(|rows| {
        for row in rows {
            row.producer.forget();
        }
    });
}

/// Puts a special word with the time `at_ns` of CLOCK_MONOTONIC into the row of the thread `tid`.
pub fn emit(tid: u32, at_ns: u64, code: u16, words: &[u64]) {
    let Some(live) = live() else { return };
    let is_theirs = [Code::SpanBegin, Code::SpanEnd].map(|code| code as u16);
    if !is_theirs.contains(&code)
        || page().mode.load(Ordering::Relaxed) == Mode::Off as u32
        || words.len() >= WORDS_MAX
    {
        return;
    }
    let mut payload = [0; WORDS_MAX];
    for (place, &word) in payload
        .iter_mut()
        .zip([ticks(live, at_ns)].iter().chain(words))
    {
        *place = word;
    }
    let Some(payload) = payload.get_mut(..=words.len()) else {
        return;
    };
    let payload = Cell::from_mut(payload).as_slice_of_cells();
    let _blocked = block_signals();
    ROWS.with(|rows| {
        let known = rows.iter().find(|row| row.producer.tid() == tid);
        let row = known.or_else(|| rows.iter().find(|row| row.producer.thread() == 0));
        let Some(Row { producer }) = row else {
            live.header()
                .lost_without_chunk
                .fetch_add(1, Ordering::Relaxed);
            return;
        };
        if producer.thread() == 0 {
            begin(live, producer, tid);
        }
        while producer
            .special_code(live, code, payload.iter().map(Cell::get))
            .is_err()
        {
            if producer.is_hopeless(live)
                || !producer.next_chunk(live, &process(), Kind::Events, now(live))
            {
                return producer.lose(live, &process(), now(live));
            }
        }
    });
}

fn begin(live: &Live, producer: &Producer, tid: u32) {
    // No order: any number that nobody else has.
    let serial = live.header().next_thread.fetch_add(1, Ordering::Relaxed);
    producer.begin(serial, tid);
    journal::write(live, Code::Thread, |payload| {
        payload.word(serial).word(u64::from(tid)).bytes(b"faults");
    });
}

/// A moment of CLOCK_MONOTONIC, not long ago, by the session's clock.
fn ticks(live: &Live, at_ns: u64) -> u64 {
    let header = live.header();
    if header.clock.load(Ordering::Relaxed) == Clock::Monotonic as u32 {
        return at_ns;
    }
    let ago_ns = monotonic_ns().saturating_sub(at_ns);
    let per_second = header.ticks_per_second.load(Ordering::Relaxed);
    // No more than a second: a fault that took longer was noted in its turn.
    let ago = ago_ns.min(1_000_000_000) as u128 * u128::from(per_second) / 1_000_000_000;
    now(live).saturating_sub(ago as u64)
}
