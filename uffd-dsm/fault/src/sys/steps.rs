//! Threads that run one instruction on the engine view, and then take their registers back.
//!
//! The service thread gives a step; until it has ended, it doesn't lower the rights of the pages that it is for. The
//! thread's handler changes its registers and sets the trap flag, with all signals blocked; the processor runs the
//! instruction, and the handler of SIGTRAP restores both.

use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::context::Context;
use super::posts::futex;
use crate::redirect::Moves;

/// One thread's instruction.
pub struct Step {
    /// [`FREE`], [`GIVEN`] or [`RUNNING`]; a futex.
    state: AtomicU32,
    /// Whose it is, while it runs.
    thread: AtomicU32,
    saved: UnsafeCell<Saved>,
    next: *const Step,
}

#[derive(Default)]
struct Saved {
    moves: Moves,
    /// The values of the moved registers before.
    originals: [u64; 2],
    mask: u64,
    was_traced: bool,
}

// SAFETY: `saved` is touched by the thread that the step was given to, from then until it frees it; `next` isn't
// changed once the step is in the list.
unsafe impl Sync for Step {}

/// Every step that was ever made.
static FIRST: AtomicPtr<Step> = AtomicPtr::new(ptr::null_mut());
/// How many threads run one now.
static RUNNING_COUNT: AtomicU32 = AtomicU32::new(0);

/// A step for one thread. For the service thread, which makes one if none is free.
pub fn give() -> &'static Step {
    let step = all().find(|step| step.state.load(Ordering::Acquire) == FREE);
    let step = step.unwrap_or_else(make);
    // Only this thread gives: nobody else has taken it. Its thread sees it by the state of its cell.
    step.state.store(GIVEN, Ordering::Relaxed);
    step
}

fn make() -> &'static Step {
    let step = Box::leak(Box::new(Step {
        state: AtomicU32::new(FREE),
        thread: AtomicU32::new(0),
        saved: UnsafeCell::new(Saved::default()),
        next: ptr::null(),
    }));
    let mut first = FIRST.load(Ordering::Acquire);
    loop {
        step.next = first;
        // Release: publishes the step; pairs with the load in `all`.
        match FIRST.compare_exchange_weak(first, step, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return step,
            Err(now) => first = now,
        }
    }
}

fn all() -> impl Iterator<Item = &'static Step> {
    let first: *const Step = FIRST.load(Ordering::Acquire);
    // SAFETY: null, or a step, which lives for ever.
    std::iter::successors(unsafe { first.as_ref() }, |step| {
        // SAFETY: as above.
        unsafe { step.next.as_ref() }
    })
}

impl Step {
    /// Changes the registers of an interrupted thread, the caller's, for one instruction.
    pub fn begin(&self, context: Context, moves: &Moves) {
        // SAFETY: the step was given to this thread.
        let saved = unsafe { &mut *self.saved.get() };
        saved.moves = *moves;
        for (original, made) in saved.originals.iter_mut().zip(moves.iter()) {
            *original = context.general_register(made.register);
            context
                .set_general_register(made.register, original.wrapping_add(made.distance as u64));
        }
        // What would run in between could leave by a jump, and would see the changed registers.
        saved.mask = context.replace_mask(!super::signal::SYNCHRONOUS);
        saved.was_traced = context.replace_trap_flag(true);
        self.thread.store(super::thread_id(), Ordering::Relaxed);
        RUNNING_COUNT.fetch_add(1, Ordering::Relaxed);
        // Release: whoever sees it running sees whose it is.
        self.state.store(RUNNING, Ordering::Release);
    }

    /// Says that it has ended, or was never begun.
    pub fn free(&self) {
        // Release: pairs with the load in `wait`; what the instruction stored is seen.
        self.state.store(FREE, Ordering::Release);
        futex(&self.state, libc::FUTEX_WAKE, 1);
    }

    /// Whether it has ended.
    pub fn is_free(&self) -> bool {
        // Acquire: pairs with the store in `free`.
        self.state.load(Ordering::Acquire) == FREE
    }

    /// Waits until it has ended: for one instruction.
    pub fn wait(&self) {
        loop {
            let state = self.state.load(Ordering::Acquire);
            if state == FREE {
                return;
            }
            futex(&self.state, libc::FUTEX_WAIT, state);
        }
    }

    /// Takes the changes back. `is_done`: the instruction was run.
    fn end(&self, context: Context, is_done: bool) -> bool {
        // SAFETY: the step is this thread's.
        let saved = unsafe { &*self.saved.get() };
        for (original, made) in saved.originals.iter().zip(saved.moves.iter()) {
            let now = context.general_register(made.register);
            let kept = match made.overwritten {
                // It may have been counted up or down, as by `movs`.
                0 => now.wrapping_sub(made.distance as u64),
                bits => original & !bits | now & bits,
            };
            context.set_general_register(made.register, if is_done { kept } else { *original });
        }
        context.replace_mask(saved.mask);
        context.replace_trap_flag(saved.was_traced);
        let was_traced = saved.was_traced;
        RUNNING_COUNT.fetch_sub(1, Ordering::Relaxed);
        self.free();
        was_traced
    }
}

/// Ends the step of the calling thread, if it is in one: a signal has come, which is the end of it (`is_trap`) or what
/// the instruction raised. Whether the signal was for that alone.
pub fn end(context: Context, is_trap: bool) -> bool {
    // Relaxed: this thread has counted itself, if it is in one.
    if RUNNING_COUNT.load(Ordering::Relaxed) == 0 {
        return false;
    }
    let thread = super::thread_id();
    let own = all().find(|step| {
        // Acquire: pairs with the store in `begin`.
        step.state.load(Ordering::Acquire) == RUNNING
            && step.thread.load(Ordering::Relaxed) == thread
    });
    match own {
        Some(step) => !step.end(context, is_trap) && is_trap,
        None => false,
    }
}

/// Nobody's.
const FREE: u32 = 0;
/// Promised to a thread.
const GIVEN: u32 = 1;
/// A thread's registers are changed.
const RUNNING: u32 = 2;
