//! What this node records for `umbel run --timeline` and `--report`: nothing, at the price of one branch, unless
//! it was asked for.
//!
//! ```text
//! application threads ──threads, waits──► bounded queue ─┐
//! links ────────────────messages────────► the same queue ├─► service thread: names objects, sends chunks
//! engine ───────────────faults──────────► Engine::trace ─┘   to the launcher (service/recording.rs)
//! ```
//!
//! A record that finds no room is counted, and the count travels with every chunk.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;
use umbel_wire::ThreadId;
use umbel_wire::event::{Event, What, Why};
use umbel_wire::sync::SyncOp;

use crate::modules;
use crate::sys::abi;
use crate::sys::process::{now_ns, thread_number};

/// Records that wait for the service thread.
struct Recorder {
    events: ArrayQueue<Event>,
    lost: AtomicU64,
}

static RECORDER: OnceLock<Recorder> = OnceLock::new();

thread_local! {
    /// What the calling thread's next wait is for.
    static WHY: Cell<(Why, u64)> = const { Cell::new((Why::Other, 0)) };
    /// Whether it has a row: between its beginning and its end.
    static HAS_ROW: Cell<bool> = const { Cell::new(false) };
}

/// Events of one node that wait for its service thread: some milliseconds of a program that does nothing but
/// lock and unlock on another node.
const EVENTS_WAITING_MAX: usize = 32 * 1024;

/// Records from now on.
pub fn start() {
    let _ = RECORDER.set(Recorder {
        events: ArrayQueue::new(EVENTS_WAITING_MAX),
        lost: AtomicU64::new(0),
    });
}

/// Whether anything is recorded.
pub fn is_on() -> bool {
    RECORDER.get().is_some()
}

/// Records what happens now.
#[inline]
pub fn record(what: impl FnOnce() -> What) {
    if let Some(recorder) = RECORDER.get() {
        recorder.push(Event {
            at_ns: now_ns(),
            what: what(),
        });
    }
}

/// The calling thread, a thread of the program, begins.
pub fn thread_began(id: ThreadId, name: impl FnOnce() -> String) {
    record(|| {
        HAS_ROW.set(true);
        What::ThreadBegan {
            thread: thread_number(),
            id,
            name: name(),
        }
    });
}

/// It ends.
pub fn thread_ended() {
    record(|| {
        HAS_ROW.set(false);
        What::ThreadEnded {
            thread: thread_number(),
        }
    });
}

/// A thread function and its argument: `work(3)`.
pub fn call_text(code: usize, argument: u64) -> String {
    let record = modules::function_with_code(code);
    let name = record.map_or_else(|| "thread".into(), |record| abi::function(record).name);
    format!("{name}({})", argument as i64)
}

/// Says what the calling thread's waits are for, until it is dropped.
#[must_use]
pub struct Because(Option<(Why, u64)>);

/// The waits until the result is dropped are for `key`, or have no key (0).
#[inline]
pub fn because(why: Why, key: u64) -> Because {
    Because(is_on().then(|| WHY.replace((why, key))))
}

impl Drop for Because {
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            WHY.set(before);
        }
    }
}

/// What a call on a synchronization object waits for.
pub fn why_of(op: SyncOp) -> Why {
    match op {
        SyncOp::MutexInit
        | SyncOp::MutexLock
        | SyncOp::MutexTryLock
        | SyncOp::MutexUnlock
        | SyncOp::MutexDestroy => Why::Mutex,
        SyncOp::SemInit(_)
        | SyncOp::SemWait
        | SyncOp::SemTryWait
        | SyncOp::SemPost
        | SyncOp::SemGetValue
        | SyncOp::SemDestroy => Why::Semaphore,
        SyncOp::BarrierInit(_) | SyncOp::BarrierWait | SyncOp::BarrierDestroy => Why::Barrier,
        SyncOp::CondInit
        | SyncOp::CondWait { .. }
        | SyncOp::CondEnqueue
        | SyncOp::CondBlock
        | SyncOp::CondSignal
        | SyncOp::CondBroadcast
        | SyncOp::CondDestroy => Why::Condition,
    }
}

/// A thread that sleeps; its end is recorded when this is dropped.
#[must_use]
pub struct Waiting(bool);

/// The calling thread goes to sleep.
pub fn wait_began() -> Waiting {
    let has_row = is_on() && HAS_ROW.get();
    if has_row {
        record(|| {
            let (why, key) = WHY.get();
            What::WaitBegan {
                thread: thread_number(),
                why,
                key,
            }
        });
    }
    Waiting(has_row)
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.0 {
            record(|| What::WaitEnded {
                thread: thread_number(),
            });
        }
    }
}

/// Next record, for the service thread.
pub fn next() -> Option<Event> {
    RECORDER.get()?.events.pop()
}

/// Records that found no room, since the start.
pub fn lost() -> u64 {
    // Relaxed: a count that is shown, and orders nothing.
    RECORDER
        .get()
        .map_or(0, |recorder| recorder.lost.load(Ordering::Relaxed))
}

/// Counts records that were dropped later.
pub fn count_lost(count: u64) {
    if let Some(recorder) = RECORDER.get() {
        recorder.lost.fetch_add(count, Ordering::Relaxed);
    }
}

impl Recorder {
    #[cold]
    fn push(&self, event: Event) {
        if self.events.push(event).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
