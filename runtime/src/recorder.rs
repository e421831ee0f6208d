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
//!
//! Under `umbel run --trace` waits and messages go to the tracer as well, among the calls of the thread that notes them: a wait's
//! own thread, and the service thread, which carries messages. Faults go into rows beside the calls of the threads that have them.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use umbel_trace_ring::word::{Code, Span};
use umbel_wire::ThreadId;
use umbel_wire::event::{Event, What, Why};
use umbel_wire::sync::SyncOp;

use crate::modules;
use crate::sys::abi;
use crate::sys::inbox::Inbox;
use crate::sys::process::{now_ns, thread_number};
use crate::sys::tracer;

/// Records that wait for the service thread.
struct Recorder {
    events: Inbox<Event>,
    /// How many wait, at least; no more than [`EVENTS_WAITING_MAX`] get in.
    waiting_count: AtomicUsize,
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
        events: Inbox::new(),
        waiting_count: AtomicUsize::new(0),
        lost: AtomicU64::new(0),
    });
}

/// Whether anything is recorded, here or by the tracer.
#[inline]
pub fn is_on() -> bool {
    is_kept() || tracer::is_there()
}

/// Whether records are kept for the launcher.
pub fn is_kept() -> bool {
    RECORDER.get().is_some()
}

/// Records what happens now.
#[inline]
pub fn record(what: impl FnOnce() -> What) {
    if is_on() {
        push(what());
    }
}

#[cold]
fn push(what: What) {
    if tracer::is_there() {
        tell_tracer(&what);
    }
    if let Some(recorder) = RECORDER.get() {
        recorder.push(Event {
            at_ns: now_ns(),
            what,
        });
    }
}

/// Puts a wait or a message among the calling thread's calls. Faults have a way of their own: [`fault_began`].
fn tell_tracer(what: &What) {
    match what {
        What::WaitBegan { why, key, .. } => {
            let payload = [Span::Wait as u64, *key, *why as u64];
            tracer::emit(Code::SpanBegin as u16, &payload);
        }
        What::WaitEnded { .. } => tracer::emit(Code::SpanEnd as u16, &[Span::Wait as u64, 0, 0]),
        What::Sent(traffic) | What::Received(traffic) => {
            let payload = [
                u64::from(matches!(what, What::Received(_))),
                traffic.peer.0.into(),
                traffic.kind.into(),
                traffic.bytes.into(),
                traffic.sequence,
            ];
            tracer::emit(Code::Message as u16, &payload);
        }
        What::ThreadBegan { .. }
        | What::ThreadEnded { .. }
        | What::FaultBegan { .. }
        | What::FaultEnded { .. }
        | What::Named { .. } => {}
    }
}

/// Puts the begin of a fault of the thread `tid`, with its address and whether it is a store, beside that thread's calls.
pub fn fault_began(tid: u32, at_ns: u64, address: u64, write: bool) {
    let payload = [Span::Fault as u64, address, write.into()];
    tracer::emit_beside(tid, at_ns, Code::SpanBegin as u16, &payload);
}

/// Its end.
pub fn fault_ended(tid: u32, at_ns: u64, address: u64) {
    let payload = [Span::Fault as u64, address, 0];
    tracer::emit_beside(tid, at_ns, Code::SpanEnd as u16, &payload);
}

/// Names this process in views: it is this node.
pub fn tell_tracer_of_node(rank: u32) {
    tracer::emit(Code::Rank as u16, &[rank.into()]);
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

/// The records, for the service thread.
pub fn take() -> impl Iterator<Item = Event> {
    RECORDER.get().into_iter().flat_map(|recorder| {
        let events = recorder.events.take();
        events.inspect(|_| {
            recorder.waiting_count.fetch_sub(1, Ordering::Relaxed);
        })
    })
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
        // Relaxed: a count and nothing else.
        if self.waiting_count.fetch_add(1, Ordering::Relaxed) < EVENTS_WAITING_MAX {
            self.events.push(event);
        } else {
            self.waiting_count.fetch_sub(1, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
