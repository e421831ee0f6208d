//! The victim: a thread that reads for others, and dies where nothing can be read. Who waits for its answer is the watchdog: it sees that the
//! victim is gone, and makes another one for the next question. Question and answer are in memory that all threads share.
//!
//! The victim has no thread-local memory of its own and blocks all signals but SIGSEGV and SIGBUS; their handler knows the one instruction that
//! may fault, by [`dies_at`], and ends the thread there. One question at a time: others wait for their turn, but not for long, for
//! the one before may be what a signal handler has interrupted.

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::call::{call, pid};
use crate::Unread;

/// Bytes of the victim's stack: the kernel's frame of a handler with all registers, and the handler.
const STACK_BYTES: usize = 64 * 1024;

/// Rounds of [`ROUND_NS`] that a question may take.
const ROUNDS_MAX: u32 = 200;

/// How long one sleeps at most before one looks again.
const ROUND_NS: i64 = 10_000_000;

/// States of the desk.
const IDLE: u32 = 0;
const ASKED: u32 = 1;
const READ: u32 = 2;
const DEAD: u32 = 3;

/// The question, and what became of it.
struct Desk {
    /// Who asks: its tid; 0: nobody.
    lock: AtomicU32,
    /// The process that the victim lives in, 0: there is none. A child of fork has none.
    process: AtomicUsize,
    /// Its stack; 0: none was mapped yet.
    stack: AtomicUsize,
    state: AtomicU32,
    /// The kernel clears it when the victim's thread is gone: then its stack is free.
    alive: AtomicU32,
    from: AtomicUsize,
    to: AtomicUsize,
    bytes: AtomicUsize,
    /// Victims that were made.
    made: AtomicU32,
}

static DESK: Desk = Desk {
    lock: AtomicU32::new(0),
    process: AtomicUsize::new(0),
    stack: AtomicUsize::new(0),
    state: AtomicU32::new(IDLE),
    alive: AtomicU32::new(0),
    from: AtomicUsize::new(0),
    to: AtomicUsize::new(0),
    bytes: AtomicUsize::new(0),
    made: AtomicU32::new(0),
};

/// Copies `bytes` bytes.
///
/// # Errors
/// They can't be read; or there is no victim to be had, or it is busy.
///
/// # Safety
/// `to` has room for them, also while this waits. The handler of SIGSEGV and SIGBUS asks [`dies_at`].
pub unsafe fn copy(from: usize, to: *mut u8, bytes: usize) -> Result<(), Unread> {
    if !take_turn() {
        return Err(Unread::Untold);
    }
    let answer = ask(from, to as usize, bytes);
    DESK.lock.store(0, Ordering::Release);
    wake(&DESK.lock);
    answer
}

/// Takes the lock, unless this thread has it: then it is in a signal handler that came while it waited for the victim.
fn take_turn() -> bool {
    // SAFETY: touches no memory.
    let tid = unsafe { call(libc::SYS_gettid, [0; 6]) }.unwrap_or(0) as u32;
    for _ in 0..ROUNDS_MAX {
        let lock = &DESK.lock;
        match lock.compare_exchange(0, tid, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(holder) if holder == tid => return false,
            Err(holder) => sleep(lock, holder, ROUND_NS),
        }
    }
    false
}

/// Victims that were made so far.
pub fn made() -> u32 {
    DESK.made.load(Ordering::Relaxed)
}

fn ask(from: usize, to: usize, bytes: usize) -> Result<(), Unread> {
    if DESK.process.load(Ordering::Relaxed) != pid() {
        // The parent's victim is not here.
        DESK.alive.store(0, Ordering::Relaxed);
        DESK.state.store(DEAD, Ordering::Relaxed);
    }
    if DESK.alive.load(Ordering::Acquire) == 0 {
        make()?;
    }
    DESK.from.store(from, Ordering::Relaxed);
    DESK.to.store(to, Ordering::Relaxed);
    DESK.bytes.store(bytes, Ordering::Relaxed);
    // Release: the question is seen with it.
    DESK.state.store(ASKED, Ordering::Release);
    wake(&DESK.state);
    for _ in 0..ROUNDS_MAX {
        match DESK.state.load(Ordering::Acquire) {
            READ => {
                DESK.state.store(IDLE, Ordering::Relaxed);
                return Ok(());
            }
            DEAD => {
                bury();
                return Err(Unread::Invalid);
            }
            _ => sleep(&DESK.state, ASKED, ROUND_NS),
        }
    }
    // It doesn't come back from where it reads: it may yet write to `to`, so nobody is told that it may be used again.
    DESK.process.store(usize::MAX, Ordering::Relaxed);
    Err(Unread::Untold)
}

/// Waits until the dead one's thread is gone: the next one gets its stack.
fn bury() {
    for _ in 0..ROUNDS_MAX {
        if DESK.alive.load(Ordering::Acquire) == 0 {
            return;
        }
        sleep(&DESK.alive, 1, ROUND_NS);
    }
}

/// Makes a victim.
fn make() -> Result<(), Unread> {
    if DESK.process.load(Ordering::Relaxed) == usize::MAX {
        return Err(Unread::Untold);
    }
    let stack = match DESK.stack.load(Ordering::Relaxed) {
        0 => new_stack().ok_or(Unread::Untold)?,
        stack => stack,
    };
    DESK.stack.store(stack, Ordering::Relaxed);
    DESK.process.store(pid(), Ordering::Relaxed);
    DESK.state.store(IDLE, Ordering::Relaxed);
    DESK.alive.store(1, Ordering::Relaxed);
    DESK.made.fetch_add(1, Ordering::Relaxed);
    let but_faults = !crate::chain::BITS;
    let mut before = 0u64;
    set_mask(&but_faults, &mut before);
    let flags = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM
        | libc::CLONE_CHILD_CLEARTID;
    let alive = core::ptr::from_ref(&DESK.alive) as usize;
    // SAFETY: the stack is the victim's alone: the one before is gone. `start_victim` never returns.
    let made = unsafe { start_victim(flags as usize, stack + STACK_BYTES, alive) };
    let mut dropped = 0u64;
    set_mask(&before, &mut dropped);
    if made < 0 {
        DESK.alive.store(0, Ordering::Relaxed);
        return Err(Unread::Untold);
    }
    Ok(())
}

fn new_stack() -> Option<usize> {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let arguments = [
        0,
        STACK_BYTES,
        rights as usize,
        flags as usize,
        usize::MAX,
        0,
    ];
    // SAFETY: new memory, where the kernel likes.
    unsafe { call(libc::SYS_mmap, arguments) }.ok()
}

fn set_mask(new: &u64, old: &mut u64) {
    let arguments = [
        libc::SIG_SETMASK as usize,
        core::ptr::from_ref(new) as usize,
        core::ptr::from_mut(old) as usize,
        8,
        0,
        0,
    ];
    // SAFETY: both sets live, and have the kernel's size.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, arguments) };
}

/// clone(2): the child runs [`live`] on its own stack. What the kernel says to the parent.
#[unsafe(naked)]
unsafe extern "C" fn start_victim(flags: usize, stack: usize, alive: usize) -> isize {
    naked_asm!(
        // flags, stack, parent's place (unused), child's place, thread-local memory (unused).
        "mov r10, rdx",
        "xor edx, edx",
        "xor r8d, r8d",
        "mov eax, 56",
        "syscall",
        "test rax, rax",
        "jz 2f",
        "ret",
        "2:",
        "xor ebp, ebp",
        "call {live}",
        "ud2",
        live = sym live,
    );
}

/// The victim's life.
extern "C" fn live() -> ! {
    loop {
        sleep(&DESK.state, IDLE, ROUND_NS * 100);
        sleep(&DESK.state, READ, ROUND_NS * 100);
        // Acquire: pairs with the store in `ask`.
        if DESK.state.load(Ordering::Acquire) != ASKED {
            continue;
        }
        let from = DESK.from.load(Ordering::Relaxed);
        let to = DESK.to.load(Ordering::Relaxed);
        let bytes = DESK.bytes.load(Ordering::Relaxed);
        // SAFETY: `to` has room (`copy`'s caller, which waits). What `from` leads to is why this thread is here: `dies_at` knows.
        unsafe { read(to, from, bytes) };
        // Release: what was read is seen with it.
        DESK.state.store(READ, Ordering::Release);
        wake(&DESK.state);
    }
}

/// rep movsb at one known instruction, the first.
#[unsafe(naked)]
unsafe extern "C" fn read(to: usize, from: usize, bytes: usize) {
    naked_asm!(
        "mov rcx, rdx",
        ".globl umbel_probe_victim_reads",
        ".hidden umbel_probe_victim_reads",
        "umbel_probe_victim_reads:",
        "rep movsb",
        "ret"
    );
}

unsafe extern "C" {
    static umbel_probe_victim_reads: u8;
}

/// Did the victim fault at `instruction`? Then the handler calls [`die`].
pub fn dies_at(instruction: usize) -> bool {
    instruction == &raw const umbel_probe_victim_reads as usize
}

/// The victim's end, in its signal handler.
pub fn die() -> ! {
    DESK.state.store(DEAD, Ordering::Release);
    wake(&DESK.state);
    loop {
        // SAFETY: ends this thread; nobody else uses its stack before the kernel has cleared `alive`.
        let _ = unsafe { call(libc::SYS_exit, [0; 6]) };
    }
}

/// Sleeps while `word` is `value`, at most so long.
fn sleep(word: &AtomicU32, value: u32, nanoseconds: i64) {
    let time = libc::timespec {
        tv_sec: nanoseconds / 1_000_000_000,
        tv_nsec: nanoseconds % 1_000_000_000,
    };
    let arguments = [
        core::ptr::from_ref(word) as usize,
        libc::FUTEX_WAIT as usize,
        value as usize,
        &raw const time as usize,
        0,
        0,
    ];
    // SAFETY: the kernel reads the word and the time, which both live.
    let _ = unsafe { call(libc::SYS_futex, arguments) };
}

fn wake(word: &AtomicU32) {
    let arguments = [
        core::ptr::from_ref(word) as usize,
        libc::FUTEX_WAKE as usize,
        i32::MAX as usize,
        0,
        0,
        0,
    ];
    // SAFETY: waking touches no memory.
    let _ = unsafe { call(libc::SYS_futex, arguments) };
}
