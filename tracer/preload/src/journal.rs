//! The journal of this process: what the recorder must know besides calls.

use core::time::Duration;

use core::sync::atomic::Ordering;
use umbel_trace_ring::journal::Payload;
use umbel_trace_ring::layout::Kind;
use umbel_trace_ring::sys::{futex_wait, is_alive, low_half};
use umbel_trace_ring::word::Code;
use umbel_trace_ring::{Live, Producer};

use crate::slow::now;
use crate::sys::exclusive::Exclusive;
use crate::sys::global::process;

/// Words of an entry at most: a path and the arguments, or what else there is.
const ENTRY_WORDS: usize = 1200;

/// Rounds of 10 ms that an entry waits for a chunk, before it is given up.
const ROUNDS_MAX: u32 = 100;

static ENTRY: Exclusive<[u64; ENTRY_WORDS]> = Exclusive::new([0; ENTRY_WORDS]);

/// Appended to by whoever has `ENTRY`.
static PRODUCER: Producer = Producer::new();

/// A new process: nothing is in its journal. Nobody else may be running.
pub fn begin(pid: u32) {
    ENTRY.reset();
    // Its chunks are thread 0's.
    PRODUCER.begin(0, pid);
}

/// Writes an entry: the time, then what `fill` adds. Signals must be blocked.
pub fn write(live: &Live, code: Code, fill: impl FnOnce(&mut Payload<'_>)) {
    ENTRY.with(|words| {
        let mut payload = Payload::new(words);
        payload.word(now(live));
        fill(&mut payload);
        if !append(live, code, payload.words()) {
            live.header()
                .lost_without_chunk
                .fetch_add(1, Ordering::Relaxed);
        }
    });
}

fn append(live: &Live, code: Code, payload: &[u64]) -> bool {
    let header = live.header();
    let mut rounds = 0;
    while PRODUCER.special(live, code, payload).is_err() {
        let seen = header.freed.load(Ordering::Acquire);
        if PRODUCER.next_chunk(live, &process(), Kind::Journal, now(live)) {
            continue;
        }
        rounds += 1;
        if rounds > ROUNDS_MAX || !is_alive(header.recorder_pid.load(Ordering::Relaxed)) {
            return false;
        }
        live.ring();
        futex_wait(
            low_half(&header.freed),
            seen as u32,
            Duration::from_millis(10),
        );
    }
    true
}
