//! Values: what the hooks do besides, where the recorder has plans for this process.
//!
//! Most plans have a quick form: a few numbers, which are there before the event, so that both are appended at once. Otherwise the event is
//! recorded first, as without values. Then the plan of the hook's return address is carried out into the thread's scratch
//! memory, and what came of it is appended. A signal handler may come in between and use the same memory: `captures` tells, and
//! it is done again.
//!
//! A thread waits for the recorder here at most once for each return address: as long as [`PATIENCE_NS`] says, and not at all once
//! the recorder is gone, has failed to answer too often, or no system calls are allowed.

use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use umbel_trace_ring::append::Both;
use umbel_trace_ring::layout::Full;
use umbel_trace_ring::plan::{
    At, Captured, Code, Found, Lookup, NUMBERS_MAX, Patience, Plans, Probe, QUICK_WORDS, Registers,
    Request, STOPPED_AT_CALL, STOPPED_AT_RETURN, Triggered, numbers, values_of,
};
use umbel_trace_ring::sys::{is_alive, is_quiet};
use umbel_trace_ring::word;
use umbel_trace_ring::{Live, Producer};

use crate::signals;
use crate::slow::{now, record, special, with_chunk};
use crate::sys::global::{WITH_VALUES, gate, live, page, thread};
use crate::sys::values::{ThreadProbe, map_plans, own_stack, plans, scratch, set_plans};

/// How long a thread waits for one plan, where threads wait for the recorder anyway; and where they don't.
const PATIENCE_NS: u64 = 1_000_000_000;
const SHORT_PATIENCE_NS: u64 = 250_000_000;

/// Requests without an answer, before nobody asks any more.
const FAILURES_MAX: u32 = 16;

/// Attempts to capture what handlers disturb.
const ATTEMPTS: u32 = 4;

static FAILURES: AtomicU32 = AtomicU32::new(0);

/// The region that is mapped, as the process page calls it.
static REGION: AtomicU32 = AtomicU32::new(0);

/// A function begins. `entry`: what the table of plans has for this return address, 0 if the hook didn't find it; if it says that there is
/// a quick form that wants no vectors, `registers` has none.
pub extern "C" fn on_call_with_values(
    function: usize,
    registers: &mut Registers,
    return_address: u64,
    entry: u64,
) {
    on_event((function as u64) << 1, registers, return_address, entry);
}

/// A function returns.
pub extern "C" fn on_return_with_values(
    function: usize,
    registers: &mut Registers,
    return_address: u64,
    entry: u64,
) {
    on_event((function as u64) << 1 | 1, registers, return_address, entry);
}

#[inline]
fn on_event(word: u64, registers: &mut Registers, return_address: u64, entry: u64) {
    let found = Found::parse(entry);
    if found.quick == 0 || !quickly(word, registers, found) {
        slowly(word, registers, return_address);
    }
    if let Some(plans) = plans()
        && plans.is_anyone_wanted()
    {
        stop_if_wanted(&plans, word, registers);
    }
}

/// Event and values at once, if there is a quick form and nothing is in the way; false: nothing was done.
#[inline]
fn quickly(word: u64, registers: &Registers, found: Found) -> bool {
    let (Some(live), Some(plans)) = (live(), plans()) else {
        return false;
    };
    let mut room = [0; NUMBERS_MAX];
    let read = |from, bytes| own_stack(registers, from, bytes);
    let form = numbers(plans.words(), found.quick, registers, read, &mut room);
    let Some((head, Some(numbers))) = form.map(|(head, count)| (head, room.get(..count))) else {
        return false;
    };
    let producer = &thread().producer;
    match producer.event_with_numbers(live, word, head, numbers, || now(live)) {
        (Both::Done, _) => true,
        (Both::Neither, _) => false,
        (Both::EventAlone, time) => {
            append_numbers(time, head, numbers);
            true
        }
    }
}

/// Appends numbers that could not be put right behind their event: with its time.
#[cold]
fn append_numbers(time: u64, head: u64, numbers: &[u64]) -> bool {
    let values = values_of(word::plan_of(head), numbers);
    let mut payload = [0; QUICK_WORDS];
    for (place, word) in payload.iter_mut().zip([time].into_iter().chain(values)) {
        *place = word;
    }
    match payload.get(..numbers.len() + 3) {
        Some(payload) => append(payload.iter().copied(), || true),
        None => false,
    }
}

/// One after the other.
fn slowly(word: u64, registers: &mut Registers, return_address: u64) {
    let Some(time) = record(word) else { return };
    let Some(plans) = plans() else { return };
    let found = match plans.lookup(return_address) {
        Lookup::Plan(found) => found,
        Lookup::Nothing => return,
        Lookup::Unasked => {
            let request = Request::new(return_address, word >> 1, false, word & 1 != 0);
            match ask(&plans, &request) {
                Some(found) => found,
                None => return,
            }
        }
    };
    if found.quick != 0 && few_numbers(&plans, found, registers, time) {
        return;
    }
    for _ in 0..ATTEMPTS {
        if capture(&plans, found.plan, registers, word, time) {
            return;
        }
    }
}

/// Appends what a quick form says, if all of it can be read.
fn few_numbers(plans: &Plans, found: Found, registers: &Registers, time: u64) -> bool {
    let probe = ThreadProbe::new(thread(), registers);
    let read = |from, bytes| probe.number(from, bytes).ok();
    let mut room = [0; NUMBERS_MAX];
    let form = numbers(plans.words(), found.quick, registers, read, &mut room);
    let Some((head, Some(numbers))) = form.map(|(head, count)| (head, room.get(..count))) else {
        return false;
    };
    append_numbers(time, head, numbers)
}

/// Whether it is done.
fn capture(plans: &Plans, plan: u32, registers: &mut Registers, word: u64, time: u64) -> bool {
    let thread = thread();
    let Some(scratch) = scratch(thread) else {
        return true;
    };
    let attempt = thread.captures.load(Ordering::Relaxed).wrapping_add(1);
    thread.captures.store(attempt, Ordering::Relaxed);
    // A handler that comes from here on changes `captures`.
    compiler_fence(Ordering::SeqCst);
    let find = |return_address| match plans.lookup(return_address) {
        Lookup::Plan(found) => Some(found.plan),
        Lookup::Nothing => None,
        Lookup::Unasked => {
            let request = Request::new(return_address, word >> 1, true, word & 1 != 0);
            ask(plans, &request).map(|found| found.plan)
        }
    };
    let captured = Captured {
        code: plans,
        probe: &ThreadProbe::new(thread, registers),
        finder: &find,
        scratch,
    };
    let words = captured.payload(plan, registers, time);
    let Some(payload) = scratch.words.get(..words).filter(|words| !words.is_empty()) else {
        return true;
    };
    let is_whole = || {
        compiler_fence(Ordering::SeqCst);
        thread.captures.load(Ordering::Relaxed) == attempt
    };
    let payload = payload.iter().map(|word| word.load(Ordering::Relaxed));
    let (count, triggers) = scratch.triggers.all();
    if !is_whole() || !append(payload, is_whole) {
        return false;
    }
    for triggered in triggers.iter().take(count) {
        trigger(plans, triggered);
    }
    true
}

/// Says that something was triggered, and waits if that is wanted.
#[cold]
fn trigger(plans: &Plans, triggered: &Triggered) {
    let live = live().filter(|_| !is_quiet());
    // Before the word: the recorder may have judged it, and want to let the thread go, before it waits.
    let hold = match (live, triggered.holds) {
        (Some(_), true) => plans.begin_hold(triggered.number),
        _ => None,
    };
    special(word::Code::Triggered, &[u64::from(triggered.number)]);
    let Some(live) = live else {
        return;
    };
    live.ring();
    if let Some(hold) = hold {
        hold.wait(live);
    }
}

/// Waits if the user wants this thread stopped here.
#[cold]
fn stop_if_wanted(plans: &Plans, word: u64, registers: &Registers) {
    let at = At {
        is_return: word & 1 != 0,
        function: word >> 1,
        stack: registers.stack(),
    };
    // A handler that came while a word was being written: whoever reads it must not wait for the user.
    if is_quiet() || thread().producer.inside.load(Ordering::Relaxed) != 0 {
        return;
    }
    let probe = ThreadProbe::new(thread(), registers);
    let number = |from| probe.number(from, 8).ok();
    if let (Some(live), true) = (live(), plans.stops(&at, number)) {
        let number = match at.is_return {
            true => STOPPED_AT_RETURN,
            false => STOPPED_AT_CALL,
        };
        if let Some(hold) = plans.begin_hold(number) {
            hold.wait(live);
        }
    }
}

/// Appends a payload; whether `is_whole` said so.
#[inline]
fn append(
    payload: impl ExactSizeIterator<Item = u64> + Clone,
    is_whole: impl Fn() -> bool + Copy,
) -> bool {
    let done = AtomicU32::new(1);
    with_chunk(|live, thread| {
        let producer: &Producer = &thread.producer;
        match producer.values(live, payload.clone(), is_whole) {
            Ok(whole) => {
                done.store(u32::from(whole), Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    });
    done.load(Ordering::Relaxed) != 0
}

/// Asks the recorder for a plan.
#[cold]
fn ask(plans: &Plans, request: &Request) -> Option<Found> {
    let live = live()?;
    let inside = thread().producer.inside.load(Ordering::Relaxed) != 0;
    if is_quiet() || inside || FAILURES.load(Ordering::Relaxed) >= FAILURES_MAX {
        return None;
    }
    // A moment that comes early, and seldom: who took our handlers' place since?
    signals::verify();
    let ns = match live.header().when_full.load(Ordering::Relaxed) {
        full if full == Full::Wait as u32 => PATIENCE_NS,
        _ => SHORT_PATIENCE_NS,
    };
    match plans.ask(live, request, Patience { ns }) {
        Lookup::Plan(found) => {
            FAILURES.store(0, Ordering::Relaxed);
            Some(found)
        }
        Lookup::Nothing => None,
        Lookup::Unasked => {
            let recorder = live.header().recorder_pid.load(Ordering::Relaxed);
            let failures = if is_alive(recorder) { 1 } else { FAILURES_MAX };
            FAILURES.fetch_add(failures, Ordering::Relaxed);
            None
        }
    }
}

/// Looks whether the recorder has given this process a plan region, or another one: at start, after each of its answers, and when a child of
/// fork begins. Opens the gate that is right then.
pub fn look(live: &Live) {
    let region = page().region.load(Ordering::Acquire);
    if region == REGION.load(Ordering::Relaxed) || is_quiet() {
        return open();
    }
    let plans = match region {
        0 => None,
        _ => map_plans(region),
    };
    let is_there = plans.is_some();
    set_plans(plans);
    REGION.store(region, Ordering::Relaxed);
    if is_there {
        signals::begin(live);
    }
    open();
}

/// Has the hooks come here, or not.
pub fn open() {
    let value = gate().load(Ordering::Relaxed);
    if value & !WITH_VALUES == 0 {
        // Not open at all.
        return;
    }
    let wanted = match plans() {
        Some(_) => value | WITH_VALUES,
        None => value & !WITH_VALUES,
    };
    gate().store(wanted, Ordering::Release);
}
