//! The program's calls about signals, where they are about ours: SIGSEGV and SIGBUS.
//!
//! This library stands before the C library, so a program's `sigaction` is the one here. For the two signals the
//! kernel has the handler of `umbel_fault::signals`, which keeps the program's action and runs it for what isn't ours.
//! Where page faults are signals (all backends but `device` and `syscall`), no thread may block them: the kernel ends a process
//! that faults while it does. So they are taken out of every mask that the program sets, and put back into those that
//! it asks for: what it is told is what it said.
//!
//! A thread that is in a handler has its fault served by the service thread, not by itself: the handler may have interrupted
//! this library. Its mask tells; where handlers are set that leave it empty, faults are never served by the threads themselves.
//!
//! Not covered: masks in a `ucontext_t` that the program changes by hand, and system calls by `syscall`.

use std::cell::Cell;
use std::mem::zeroed;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use libc::{c_int, sigaction as Action, sighandler_t, sigset_t};
use umbel_fault::signals as ours;

/// Whether page faults are signals here.
static FAULTS_ARE_SIGNALS: AtomicBool = AtomicBool::new(false);

/// What was taken out of the masks of the program's actions, by signal.
static TAKEN: [AtomicU8; SIGNALS] = [const { AtomicU8::new(0) }; SIGNALS];

/// The program has set a handler that its own signal can interrupt.
static NESTING: AtomicBool = AtomicBool::new(false);

/// Signals that interrupt system calls, as `siginterrupt` says: bit N - 1 for signal N.
static INTERRUPTING: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What the thread believes it blocks, of those that it can't.
    static BELIEVED: Cell<u8> = const { Cell::new(0) };
}

unsafe extern "C" {
    #[link_name = "__sigaction"]
    fn libc_sigaction(signal: c_int, new: *const Action, old: *mut Action) -> c_int;
    #[link_name = "__sigsuspend"]
    fn libc_sigsuspend(mask: *const sigset_t) -> c_int;
}

/// From now on, no thread of the program can block what faults come as. Called before its main, by the thread that
/// runs it.
pub fn keep_faults_unblocked() {
    // Relaxed: threads that the program starts come after; those that its constructors started don't fault yet.
    FAULTS_ARE_SIGNALS.store(true, Ordering::Relaxed);
    let mut kernel = 0;
    mask_of_thread(libc::SIG_UNBLOCK, Some(UNBLOCKABLE), &mut kernel);
    BELIEVED.set(pack(kernel));
}

/// Whether a thread's mask may be empty although it runs a handler.
pub fn handlers_may_nest() -> bool {
    NESTING.load(Ordering::Relaxed)
}

/// A mask that the calling thread may have: `mask` without what faults come as.
pub fn possible_mask(mask: &sigset_t) -> sigset_t {
    let mut possible = *mask;
    if FAULTS_ARE_SIGNALS.load(Ordering::Relaxed) {
        set_bits(&mut possible, bits(mask) & !UNBLOCKABLE);
    }
    possible
}

/// See sigaction(2).
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaction(signal: c_int, new: *const Action, old: *mut Action) -> c_int {
    // SAFETY: null, or the program's live object.
    let asked = unsafe { new.as_ref() };
    if asked.is_some_and(|asked| asked.sa_flags & libc::SA_NODEFER != 0) {
        // Relaxed: the handler runs behind this, or in a thread that raced with it.
        NESTING.store(true, Ordering::Relaxed);
    }
    if ours::keeps(signal) {
        let before = ours::program_action(signal, asked);
        return answer(old, before);
    }
    let Some(asked) = asked.filter(|_| FAULTS_ARE_SIGNALS.load(Ordering::Relaxed)) else {
        // SAFETY: as the program called it.
        let result = unsafe { libc_sigaction(signal, new, old) };
        if result == 0 && !old.is_null() {
            // SAFETY: not null, and the C library just filled it in.
            give_back(signal, unsafe { &mut *old });
        }
        return result;
    };
    let possible = Action {
        sa_mask: possible_mask(&asked.sa_mask),
        ..*asked
    };
    // SAFETY: all zero is a valid sigaction.
    let mut before: Action = unsafe { zeroed() };
    // SAFETY: both are live.
    let result = unsafe { libc_sigaction(signal, &possible, &mut before) };
    if result != 0 {
        return result;
    }
    give_back(signal, &mut before);
    if let Some(taken) = TAKEN.get(signal as usize) {
        // Relaxed: who changes one signal's action from two threads gets either.
        taken.store(pack(bits(&asked.sa_mask)), Ordering::Relaxed);
    }
    answer(old, before)
}

/// See signal(2): with restarted system calls, unless `siginterrupt` said otherwise.
#[unsafe(no_mangle)]
pub extern "C" fn signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
    if handler == libc::SIG_ERR || !(1..SIGNALS as c_int).contains(&signal) {
        crate::sys::process::set_errno(libc::EINVAL);
        return libc::SIG_ERR;
    }
    let bit = 1 << (signal - 1);
    let restarts = INTERRUPTING.load(Ordering::Relaxed) & bit == 0;
    let flags = if restarts { libc::SA_RESTART } else { 0 };
    set_simple(signal, handler, flags, bit)
}

/// See signal(2).
#[unsafe(no_mangle)]
pub extern "C" fn bsd_signal(number: c_int, handler: sighandler_t) -> sighandler_t {
    signal(number, handler)
}

/// See signal(2).
#[unsafe(no_mangle)]
pub extern "C" fn ssignal(number: c_int, handler: sighandler_t) -> sighandler_t {
    signal(number, handler)
}

/// See sysv_signal(3): one delivery, and nothing blocked. What `signal` is with -std=c99.
#[unsafe(no_mangle)]
pub extern "C" fn __sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
    set_simple(signal, handler, libc::SA_RESETHAND | libc::SA_NODEFER, 0)
}

/// See sysv_signal(3).
#[unsafe(no_mangle)]
pub extern "C" fn sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
    __sysv_signal(signal, handler)
}

/// See siginterrupt(3).
#[unsafe(no_mangle)]
pub extern "C" fn siginterrupt(signal: c_int, interrupts: c_int) -> c_int {
    // SAFETY: all zero is a valid sigaction.
    let mut action: Action = unsafe { zeroed() };
    // SAFETY: it is live.
    if unsafe { sigaction(signal, ptr::null(), &mut action) } < 0 {
        return -1;
    }
    let bit = 1_u64 << (signal - 1);
    if interrupts != 0 {
        INTERRUPTING.fetch_or(bit, Ordering::Relaxed);
        action.sa_flags &= !libc::SA_RESTART;
    } else {
        INTERRUPTING.fetch_and(!bit, Ordering::Relaxed);
        action.sa_flags |= libc::SA_RESTART;
    }
    // SAFETY: it is live.
    unsafe { sigaction(signal, &action, ptr::null_mut()) }
}

/// See sigset(3).
#[unsafe(no_mangle)]
pub extern "C" fn sigset(signal: c_int, disposition: sighandler_t) -> sighandler_t {
    if !(1..SIGNALS as c_int).contains(&signal) {
        crate::sys::process::set_errno(libc::EINVAL);
        return libc::SIG_ERR;
    }
    let bit = 1 << (signal - 1);
    let how = match disposition {
        SIG_HOLD => libc::SIG_BLOCK,
        _ => libc::SIG_UNBLOCK,
    };
    let was_blocked = change_mask(how, Some(bit)) & bit != 0;
    let before = match disposition {
        SIG_HOLD => {
            // SAFETY: all zero is a valid sigaction.
            let mut action: Action = unsafe { zeroed() };
            // SAFETY: it is live.
            match unsafe { sigaction(signal, ptr::null(), &mut action) } {
                0 => action.sa_sigaction,
                _ => libc::SIG_ERR,
            }
        }
        handler => set_simple(signal, handler, 0, 0),
    };
    if was_blocked { SIG_HOLD } else { before }
}

/// See sigset(3).
#[unsafe(no_mangle)]
pub extern "C" fn sigignore(signal: c_int) -> c_int {
    match set_simple(signal, libc::SIG_IGN, 0, 0) {
        libc::SIG_ERR => -1,
        _ => 0,
    }
}

/// See sigset(3).
#[unsafe(no_mangle)]
pub extern "C" fn sighold(signal: c_int) -> c_int {
    change_one(libc::SIG_BLOCK, signal)
}

/// See sigset(3).
#[unsafe(no_mangle)]
pub extern "C" fn sigrelse(signal: c_int) -> c_int {
    change_one(libc::SIG_UNBLOCK, signal)
}

/// See pthread_sigmask(3).
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_sigmask(
    how: c_int,
    set: *const sigset_t,
    old: *mut sigset_t,
) -> c_int {
    // SAFETY: null, or the program's live set.
    let set = unsafe { set.as_ref() }.map(bits);
    if set.is_some() && ![libc::SIG_BLOCK, libc::SIG_UNBLOCK, libc::SIG_SETMASK].contains(&how) {
        return libc::EINVAL;
    }
    let before = change_mask(how, set);
    // SAFETY: null, or the program's live set.
    if let Some(old) = unsafe { old.as_mut() } {
        // SAFETY: all zero is a valid set.
        *old = unsafe { zeroed() };
        set_bits(old, before);
    }
    0
}

/// See sigprocmask(2).
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigprocmask(
    how: c_int,
    set: *const sigset_t,
    old: *mut sigset_t,
) -> c_int {
    // SAFETY: as the program called it.
    match unsafe { pthread_sigmask(how, set, old) } {
        0 => 0,
        errno => {
            crate::sys::process::set_errno(errno);
            -1
        }
    }
}

/// See sigblock(3).
#[unsafe(no_mangle)]
pub extern "C" fn sigblock(mask: c_int) -> c_int {
    change_mask(libc::SIG_BLOCK, Some(u64::from(mask.cast_unsigned()))) as c_int
}

/// See sigblock(3).
#[unsafe(no_mangle)]
pub extern "C" fn sigsetmask(mask: c_int) -> c_int {
    change_mask(libc::SIG_SETMASK, Some(u64::from(mask.cast_unsigned()))) as c_int
}

/// See sigsuspend(2).
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigsuspend(mask: *const sigset_t) -> c_int {
    // SAFETY: the program's live set. The copy is private: the kernel reads it.
    let possible = possible_mask(unsafe { &*mask });
    // SAFETY: it is live.
    unsafe { libc_sigsuspend(&possible) }
}

/// As signal(2) answers: the handler before.
fn set_simple(signal: c_int, handler: sighandler_t, flags: c_int, mask: u64) -> sighandler_t {
    // SAFETY: all zero is a valid sigaction.
    let mut new: Action = unsafe { zeroed() };
    new.sa_sigaction = handler;
    new.sa_flags = flags;
    set_bits(&mut new.sa_mask, mask);
    // SAFETY: as above.
    let mut before: Action = unsafe { zeroed() };
    // SAFETY: both are live; that the handler is one is the program's promise.
    match unsafe { sigaction(signal, &new, &mut before) } {
        0 => before.sa_sigaction,
        _ => libc::SIG_ERR,
    }
}

fn change_one(how: c_int, signal: c_int) -> c_int {
    if !(1..SIGNALS as c_int).contains(&signal) {
        crate::sys::process::set_errno(libc::EINVAL);
        return -1;
    }
    change_mask(how, Some(1 << (signal - 1)));
    0
}

/// Changes the calling thread's mask as far as it may; the mask before, as the thread believes it.
fn change_mask(how: c_int, set: Option<u64>) -> u64 {
    let mut before = 0;
    // The C library refuses to have its own blocked, too.
    let possible = set.map(|set| set & !OF_LIBRARY);
    if !FAULTS_ARE_SIGNALS.load(Ordering::Relaxed) {
        mask_of_thread(how, possible, &mut before);
        return before;
    }
    let possible = match how {
        libc::SIG_UNBLOCK => possible,
        _ => possible.map(|set| set & !UNBLOCKABLE),
    };
    mask_of_thread(how, possible, &mut before);
    let believed = BELIEVED.get();
    if let Some(set) = set.map(pack) {
        BELIEVED.set(match how {
            libc::SIG_BLOCK => believed | set,
            libc::SIG_UNBLOCK => believed & !set,
            _ => set,
        });
    }
    before & !OF_LIBRARY | unpack(believed)
}

/// While it lives, no handler of the program runs on the calling thread. That may take a while: nothing here faults.
pub struct Blocked {
    before: u64,
}

impl Blocked {
    /// From now on.
    pub fn new() -> Self {
        let mut before = 0;
        mask_of_thread(libc::SIG_SETMASK, Some(!0), &mut before);
        Self { before }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        mask_of_thread(libc::SIG_SETMASK, Some(self.before), &mut 0);
    }
}

/// rt_sigprocmask(2) itself: the C library's function of this name is the one above.
fn mask_of_thread(how: c_int, set: Option<u64>, old: &mut u64) {
    let set = set.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: live sets of the size stated, or null. It can't fail: `how` was checked.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, set, old, size_of::<u64>()) };
}

/// What the program had put into an action's mask is there again.
fn give_back(signal: c_int, action: &mut Action) {
    let taken = TAKEN
        .get(signal as usize)
        .map_or(0, |taken| taken.load(Ordering::Relaxed));
    let mask = bits(&action.sa_mask) | unpack(taken);
    set_bits(&mut action.sa_mask, mask);
}

fn answer(old: *mut Action, before: Action) -> c_int {
    // SAFETY: null, or the program's live object.
    if let Some(old) = unsafe { old.as_mut() } {
        *old = before;
    }
    0
}

/// The kernel's part of a set: bit N - 1 for signal N.
fn bits(set: &sigset_t) -> u64 {
    // SAFETY: a sigset_t is larger than, and aligned as, its first word.
    unsafe { ptr::from_ref(set).cast::<u64>().read() }
}

fn set_bits(set: &mut sigset_t, bits: u64) {
    // SAFETY: as above.
    unsafe { ptr::from_mut(set).cast::<u64>().write(bits) };
}

fn pack(set: u64) -> u8 {
    let has = |signal: c_int| u8::from(set & (1 << (signal - 1)) != 0);
    has(libc::SIGSEGV) | has(libc::SIGBUS) << 1 | has(libc::SIGTRAP) << 2
}

fn unpack(packed: u8) -> u64 {
    let bit = |index: u8, signal: c_int| u64::from(packed >> index & 1) << (signal - 1);
    bit(0, libc::SIGSEGV) | bit(1, libc::SIGBUS) | bit(2, libc::SIGTRAP)
}

/// Signals are numbered from 1 to one less.
const SIGNALS: usize = 65;
/// What faults come as; the third steps over single instructions.
const UNBLOCKABLE: u64 =
    1 << (libc::SIGSEGV - 1) | 1 << (libc::SIGBUS - 1) | 1 << (libc::SIGTRAP - 1);
/// Two that the C library needs itself: SIGCANCEL, SIGSETXID. Where faults are signals, the first is blocked in some handlers.
const OF_LIBRARY: u64 = 0b11 << 31;
/// Of <signal.h>: block it.
const SIG_HOLD: sighandler_t = 2;
