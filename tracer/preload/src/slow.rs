//! What the hooks can't do themselves.
//!
//! A hook comes here when its thread has no chunk, or no room, when the upper bits of the time change (each 25 us), when a
//! signal handler was faster, when the clock is the kernel's, or in a child of fork. Signals are blocked only while a chunk is
//! taken; otherwise everything here can be interrupted by handlers that come here too.
//!
//! Where the program has forbidden itself system calls (seccomp, by prctl or syscall), none is made: signals aren't blocked then,
//! so what a handler does while its thread takes a chunk is lost and counted; who waits for a chunk drops; a thread's name isn't known.
//!
//! It needs less than a KiB of stack (`cargo xtask bench trace` runs threads with the least that pthreads allow).

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use umbel_trace_ring::layout::{Full, Kind, Mode};
use umbel_trace_ring::sys::{futex_wait, is_alive, is_quiet, low_half, tid};
use umbel_trace_ring::word::Code;
use umbel_trace_ring::{Live, Producer};

use crate::sys::emit::PAYLOAD_WORDS_MAX;
use crate::sys::global::{Gate, Thread, WITH_VALUES, gate, live, page, process, thread};
use crate::sys::libc_calls::watch_this_thread;
use crate::sys::memory::{block_signals, thread_name, tsc};
use crate::sys::values::drop_scratch;
use crate::sys::vdso::monotonic_ns;
use crate::{journal, modules, signals};

/// A call that the hook could not record.
pub extern "C" fn on_call(function: usize) {
    record((function as u64) << 1);
}

/// A return that the hook could not record.
pub extern "C" fn on_return(function: usize) {
    record((function as u64) << 1 | 1);
}

/// The time, by the session's clock.
pub fn now(live: &Live) -> u64 {
    match gate().load(Ordering::Relaxed) & !WITH_VALUES {
        value if value == Gate::Monotonic as u32 => monotonic_ns(),
        value if value == Gate::Coarse as u32 => live.header().coarse_ticks.load(Ordering::Relaxed),
        _ => tsc(),
    }
}

/// Records an event: its time, if it could be recorded.
pub fn record(word: u64) -> Option<u64> {
    let ticks = Cell::new(None);
    with_chunk(|live, thread| {
        ticks.set(thread.producer.event(live, word, || now(live)).ok());
        ticks.get().is_some()
    });
    ticks.get()
}

/// Appends a special word whose payload begins with the time.
pub fn special(code: Code, arguments: &[u64]) {
    emit_code::<4>(code as u16, arguments);
}

/// Appends what somebody else in the process wants there, if it is not ours alone to write.
pub fn emit(code: u32, words: &[u64]) {
    if let (true, &[rank]) = (code == Code::Rank as u32, words) {
        return tell_rank(rank);
    }
    let is_theirs = (Code::Mark as u32..Code::Process as u32).contains(&code);
    if !is_theirs || page().mode.load(Ordering::Relaxed) == Mode::Off as u32 {
        return;
    }
    emit_code::<{ PAYLOAD_WORDS_MAX + 1 }>(code as u16, words);
}

/// `WORDS`: at most, with the time.
fn emit_code<const WORDS: usize>(code: u16, words: &[u64]) {
    let mut payload = [0; WORDS];
    for (place, &word) in payload.iter_mut().skip(1).zip(words) {
        *place = word;
    }
    let Some(payload) = payload.get_mut(..=words.len()) else {
        return;
    };
    let payload = Cell::from_mut(payload).as_slice_of_cells();
    with_chunk(|live, thread| {
        if let Some(time) = payload.first() {
            time.set(now(live));
        }
        thread
            .producer
            .special_code(live, code, payload.iter().map(Cell::get))
            .is_ok()
    });
}

/// Tells the recorder which node of a distributed program this process is.
fn tell_rank(rank: u64) {
    let Some(live) = live() else { return };
    let _blocked = block_signals();
    journal::write(live, Code::Rank, |payload| {
        payload.word(rank);
    });
}

/// Runs `append` until there is room for it, or nothing to hope for.
pub fn with_chunk(append: impl Fn(&'static Live, &'static Thread) -> bool) {
    let Some(live) = live() else { return };
    if gate().load(Ordering::Relaxed) == Gate::Closed as u32 && !crate::process::on_fork() {
        return;
    }
    let thread = thread();
    let producer = &thread.producer;
    if producer.inside.load(Ordering::Relaxed) != 0 {
        live.header()
            .lost_without_chunk
            .fetch_add(1, Ordering::Relaxed);
        return;
    }
    while !append(live, thread) {
        let waits = live.header().when_full.load(Ordering::Relaxed) == Full::Wait as u32
            && RECORDER_IS_GONE.load(Ordering::Relaxed) == 0
            && !is_quiet();
        if producer.is_hopeless(live) && !waits {
            return producer.lose(live, &process(), now(live));
        }
        let goes_on = take_chunk(live, thread) || (waits && wait_for_chunk(live));
        if !goes_on {
            return producer.lose(live, &process(), now(live));
        }
    }
}

/// Takes a chunk, and does what was waiting for such a moment.
fn take_chunk(live: &Live, thread: &Thread) -> bool {
    let blocked = block_signals();
    let producer = &thread.producer;
    producer.inside.store(1, Ordering::Relaxed);
    if producer.thread() == 0 {
        begin_thread(live, thread);
    }
    if thread.armed.swap(1, Ordering::Relaxed) == 0 {
        watch_this_thread();
    }
    if thread.modules_due.swap(0, Ordering::Relaxed) != 0 {
        modules::look(live);
    }
    let ticks = now(live);
    signals::verify_now_and_then(thread, ticks);
    let taken = producer.next_chunk(live, &process(), Kind::Events, ticks);
    producer.inside.store(0, Ordering::Relaxed);
    drop(blocked);
    taken
}

fn begin_thread(live: &Live, thread: &Thread) {
    // No order: any number that nobody else has.
    let serial = live.header().next_thread.fetch_add(1, Ordering::Relaxed);
    // Without system calls: a number that lives as long as the thread.
    let tid = if is_quiet() { process().pid } else { tid() };
    thread.producer.begin(serial, tid);
    // A handler of a synchronous signal aside, nothing comes between.
    thread.producer.inside.store(1, Ordering::Relaxed);
    let mut name = [0; 16];
    let name = thread_name(&mut name);
    journal::write(live, Code::Thread, |payload| {
        payload.word(serial).word(u64::from(tid)).bytes(name);
    });
}

/// 1 when a thread that waited has found the recorder dead: nobody waits again.
static RECORDER_IS_GONE: AtomicU32 = AtomicU32::new(0);

/// Waits for the recorder to free a chunk; false if there is no recorder.
fn wait_for_chunk(live: &Live) -> bool {
    let header = live.header();
    if !is_alive(header.recorder_pid.load(Ordering::Relaxed)) {
        RECORDER_IS_GONE.store(1, Ordering::Relaxed);
        return false;
    }
    live.ring();
    Producer::wait(live, |seen| {
        futex_wait(
            low_half(&header.freed),
            seen as u32,
            Duration::from_millis(100),
        );
    });
    true
}

/// The calling thread ends; destructors that call traced functions may still come, and take another chunk.
pub fn on_thread_end() {
    let Some(live) = live() else { return };
    let thread = thread();
    thread.armed.store(0, Ordering::Relaxed);
    if !thread.producer.has_chunk() {
        return;
    }
    let _blocked = block_signals();
    drop_scratch(thread);
    let _ = thread.producer.special(live, Code::ThreadEnd, &[now(live)]);
    thread.producer.retire(live, &process());
}
