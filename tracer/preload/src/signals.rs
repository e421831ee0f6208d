//! SIGSEGV and SIGBUS of a program whose values are captured: ours first, the program's behind it (`umbel_probe::chain`), and what each
//! thread can take.
//!
//! Whether a thread can take the two signals is known from what it does by the C library; where it isn't (a new thread, a jump, a handler)
//! the kernel is asked. Masks of handlers of other signals go to the kernel without the two, so that handlers don't change it
//! unseen; the program sees them with. Where they can't be taken the kernel reads for us.
//!
//! In a distributed program nothing of this is done: its runtime has handlers of its own, by which it fetches memory. The kernel reads, and
//! what other nodes have now is left out: tracing fetches nothing.
//!
//! What a program does by system calls of its own is noticed when a thread takes a chunk (each 2^20 ticks at most), or asks for a plan.

use core::ffi::c_void;
use core::sync::atomic::{AtomicU8, Ordering};

use umbel_probe::chain::{self, BITS};
use umbel_trace_ring::Live;
use umbel_trace_ring::plan::Registers;
use umbel_trace_ring::sys::is_quiet;

use crate::sys::global::{Thread, thread};
use crate::sys::libc_calls::is_runtime_there;
use crate::sys::values::{set_distributed, set_method};

/// Whether a thread can take the two signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Taking {
    /// Ask.
    Unknown = 0,
    /// It can.
    Yes = 1,
    /// It blocks one of them, or our handler isn't first.
    No = 2,
}

/// Bytes of a signal stack that a handler and the kernel's frame need, with all registers of the largest processors.
const HANDLER_BYTES: u64 = 16 * 1024;

/// Signals, and one.
const SIGNALS: usize = 65;

/// For each signal which of the two its handler's mask has for the program: bit 0: SIGSEGV, bit 1: SIGBUS.
static HIDDEN: [AtomicU8; SIGNALS] = [const { AtomicU8::new(0) }; SIGNALS];

/// Values are captured from now on.
pub fn begin(live: &Live) {
    set_method(live.header().probe.load(Ordering::Relaxed));
    if chain::is_installed() {
        verify();
    } else if is_runtime_there() {
        // The runtime's handlers are first, and stay so; the kernel reads for us.
        set_distributed();
    } else if !is_quiet() {
        chain::install(on_fault);
    }
}

/// The handler of both signals.
unsafe extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's. First, and without the thread's own memory: the victim has none.
    if unsafe { chain::is_ours(info, context) } {
        return;
    }
    let thread = thread();
    // The program's handler has more signals blocked.
    forget(thread);
    // SAFETY: the kernel's.
    unsafe { chain::pass_on(signal, info, context) };
    forget(thread);
}

/// Whether the signals can be taken must be found out anew.
pub fn forget(thread: &Thread) {
    let unknown = Taking::Unknown as u32;
    thread.taking.store(unknown, Ordering::Relaxed);
}

/// The same, for the calling thread: if values are captured at all.
pub fn forget_here() {
    if chain::is_installed() {
        forget(thread());
    }
}

/// Makes sure that our handler is first, and finds out what the calling thread can take.
pub fn verify() {
    if chain::is_installed() && !is_quiet() {
        chain::verify();
        forget_here();
    }
}

/// Ticks of the session's clock, some hundred microseconds: so long nobody verifies again.
const VERIFIED_TICKS: u64 = 1 << 20;

/// The same where a thread takes a chunk, which with values it may do each few microseconds.
pub fn verify_now_and_then(thread: &Thread, now: u64) {
    let before = thread.verified.load(Ordering::Relaxed);
    if now.wrapping_sub(before) >= VERIFIED_TICKS {
        thread.verified.store(now, Ordering::Relaxed);
        verify();
    }
}

/// Can the thread, whose hook was called with `registers`, take the two signals?
#[inline]
pub fn taking(thread: &Thread, registers: &Registers) -> Taking {
    let known = thread.taking.load(Ordering::Relaxed);
    let [_, _, _, _, _, _, stack, ..] = registers.values;
    let [begin, bytes] = &thread.signal_stack;
    let below = stack.wrapping_sub(begin.load(Ordering::Relaxed));
    if below < bytes.load(Ordering::Relaxed) && below < HANDLER_BYTES {
        // On a signal stack that is nearly full: one handler more would not fit.
        return Taking::No;
    }
    match known {
        known if known == Taking::Yes as u32 => Taking::Yes,
        known if known == Taking::No as u32 => Taking::No,
        _ => find_out(thread),
    }
}

#[cold]
fn find_out(thread: &Thread) -> Taking {
    let can = chain::is_installed() && !is_quiet() && chain::can_take();
    let taking = if can { Taking::Yes } else { Taking::No };
    thread.taking.store(taking as u32, Ordering::Relaxed);
    taking
}

/// The mask that the kernel gets for a handler of `signal`, instead of `mask`.
pub fn hide(signal: i32, mask: u64) -> u64 {
    if !chain::is_installed() {
        return mask;
    }
    if let Some(hidden) = HIDDEN.get(signal as usize) {
        let segv = u8::from(mask & BITS & 1 << (libc::SIGSEGV - 1) != 0);
        let bus = u8::from(mask & BITS & 1 << (libc::SIGBUS - 1) != 0);
        hidden.store(segv | bus << 1, Ordering::Relaxed);
    }
    mask & !BITS
}

/// What was hidden of the mask of `signal`.
pub fn hidden(signal: i32) -> u64 {
    let hidden = HIDDEN
        .get(signal as usize)
        .map_or(0, |hidden| hidden.load(Ordering::Relaxed));
    let segv = u64::from(hidden & 1) << (libc::SIGSEGV - 1);
    let bus = u64::from(hidden >> 1 & 1) << (libc::SIGBUS - 1);
    segv | bus
}
