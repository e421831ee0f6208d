//! The C library's functions about handlers and masks, as the program finds them. Without values they only call the real ones.

use core::ffi::{c_int, c_void};
use core::mem::transmute;
use core::sync::atomic::Ordering;

use umbel_probe::chain::{self, Action};

use super::global::thread;
use crate::interposed::{address, real};
use crate::signals::{forget_here, hidden, hide};

type Sigaction = unsafe extern "C" fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int;
type Signal = unsafe extern "C" fn(c_int, usize) -> usize;
type Mask = unsafe extern "C" fn(c_int, *const libc::sigset_t, *mut libc::sigset_t) -> c_int;
type Stack = unsafe extern "C" fn(*const libc::stack_t, *mut libc::stack_t) -> c_int;
type Suspend = unsafe extern "C" fn(*const libc::sigset_t) -> c_int;
type Poll = unsafe extern "C" fn(*mut c_void, u64, *const c_void, *const libc::sigset_t) -> c_int;
type Select = unsafe extern "C" fn(
    c_int,
    *mut c_void,
    *mut c_void,
    *mut c_void,
    *const c_void,
    *const libc::sigset_t,
) -> c_int;
type EpollWait =
    unsafe extern "C" fn(c_int, *mut c_void, c_int, c_int, *const libc::sigset_t) -> c_int;

/// A set's first word: the kernel's form.
///
/// # Safety
/// `set` is one.
unsafe fn word_of(set: *const libc::sigset_t) -> u64 {
    // SAFETY: the caller's; a set begins with the kernel's.
    unsafe { set.cast::<u64>().read_unaligned() }
}

/// Sets a set's first word.
///
/// # Safety
/// `set` is one.
unsafe fn set_word(set: *mut libc::sigset_t, word: u64) {
    // SAFETY: the caller's.
    unsafe { set.cast::<u64>().write_unaligned(word) }
}

/// sigaction(2).
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    // SAFETY: null, or the program's.
    let wanted = unsafe { new.as_ref() }.map(|new| Action {
        handler: new.sa_sigaction,
        flags: new.sa_flags as u64,
        // SAFETY: the program's set.
        mask: unsafe { word_of(&raw const new.sa_mask) },
    });
    if let Some(before) = chain::exchange(signal, wanted) {
        // SAFETY: null, or the program's.
        if let Some(old) = unsafe { old.as_mut() } {
            old.sa_sigaction = before.handler;
            old.sa_flags = before.flags as c_int;
            old.sa_restorer = None;
            // SAFETY: the program's set.
            unsafe { libc::sigemptyset(&raw mut old.sa_mask) };
            // SAFETY: the program's set.
            unsafe { set_word(&raw mut old.sa_mask, before.mask) };
        }
        return 0;
    }
    // SAFETY: the C library's, by its name.
    let real = unsafe { transmute::<usize, Sigaction>(address(real::SIGACTION)) };
    let hidden_before = hidden(signal);
    // SAFETY: null, or the program's.
    let changed = unsafe { new.as_ref() }.map(|new| {
        let mut copy = *new;
        // SAFETY: the program's set.
        let mask = unsafe { word_of(&raw const new.sa_mask) };
        // SAFETY: the copy's set.
        unsafe { set_word(&raw mut copy.sa_mask, hide(signal, mask)) };
        copy
    });
    let new = changed
        .as_ref()
        .map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: as the program called us.
    let result = unsafe { real(signal, new, old) };
    if result == 0 && hidden_before != 0 {
        // SAFETY: null, or the program's.
        if let Some(old) = unsafe { old.as_mut() } {
            let set = &raw mut old.sa_mask;
            // SAFETY: the program's set.
            let mask = unsafe { word_of(set) };
            // SAFETY: the program's set.
            unsafe { set_word(set, mask | hidden_before) };
        }
    }
    result
}

/// signal(2) with `flags` of sigaction(2); `one_shot` handlers don't block their signal.
fn set_handler(signal: c_int, handler: usize, one_shot: bool, number: usize) -> usize {
    let (flags, mask) = match one_shot {
        true => ((libc::SA_RESETHAND | libc::SA_NODEFER) as u64, 0),
        false => (libc::SA_RESTART as u64, 1 << ((signal - 1) as u32 & 63)),
    };
    let wanted = Action {
        handler,
        flags,
        mask,
    };
    if let Some(before) = chain::exchange(signal, Some(wanted)) {
        return before.handler;
    }
    // SAFETY: the C library's, by its name.
    let real = unsafe { transmute::<usize, Signal>(address(number)) };
    // SAFETY: as the program called us.
    unsafe { real(signal, handler) }
}

/// signal(2).
#[unsafe(no_mangle)]
pub extern "C" fn signal(signal: c_int, handler: usize) -> usize {
    set_handler(signal, handler, false, real::SIGNAL)
}

/// signal(2) of old.
#[unsafe(no_mangle)]
pub extern "C" fn bsd_signal(signal: c_int, handler: usize) -> usize {
    set_handler(signal, handler, false, real::SIGNAL)
}

/// signal(2) of programs that want System V's.
#[unsafe(no_mangle)]
pub extern "C" fn __sysv_signal(signal: c_int, handler: usize) -> usize {
    set_handler(signal, handler, true, real::SYSV_SIGNAL)
}

/// sysv_signal(3).
#[unsafe(no_mangle)]
pub extern "C" fn sysv_signal(signal: c_int, handler: usize) -> usize {
    set_handler(signal, handler, true, real::SYSV_SIGNAL)
}

/// sigprocmask(2).
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigprocmask(
    how: c_int,
    set: *const libc::sigset_t,
    old: *mut libc::sigset_t,
) -> c_int {
    // SAFETY: the C library's, by its name.
    let real = unsafe { transmute::<usize, Mask>(address(real::SIGPROCMASK)) };
    // Before too: a handler may come between the change and our knowing it.
    forget_here();
    // SAFETY: as the program called us.
    let result = unsafe { real(how, set, old) };
    forget_here();
    result
}

/// pthread_sigmask(3).
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_sigmask(
    how: c_int,
    set: *const libc::sigset_t,
    old: *mut libc::sigset_t,
) -> c_int {
    // SAFETY: the C library's, by its name.
    let real = unsafe { transmute::<usize, Mask>(address(real::PTHREAD_SIGMASK)) };
    forget_here();
    // SAFETY: as the program called us.
    let result = unsafe { real(how, set, old) };
    forget_here();
    result
}

/// sigsuspend(2): handlers run with another mask.
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigsuspend(set: *const libc::sigset_t) -> c_int {
    // SAFETY: the C library's, by its name.
    let real = unsafe { transmute::<usize, Suspend>(address(real::SIGSUSPEND)) };
    forget_here();
    // SAFETY: as the program called us.
    let result = unsafe { real(set) };
    forget_here();
    result
}

/// ppoll(2): so they do here.
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ppoll(
    files: *mut c_void,
    count: u64,
    time: *const c_void,
    set: *const libc::sigset_t,
) -> c_int {
    // SAFETY: the C library's, by its name.
    let real = unsafe { transmute::<usize, Poll>(address(real::PPOLL)) };
    forget_here();
    // SAFETY: as the program called us.
    let result = unsafe { real(files, count, time, set) };
    forget_here();
    result
}

/// pselect(2): and here.
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pselect(
    count: c_int,
    read: *mut c_void,
    write: *mut c_void,
    except: *mut c_void,
    time: *const c_void,
    set: *const libc::sigset_t,
) -> c_int {
    // SAFETY: the C library's, by its name.
    let real = unsafe { transmute::<usize, Select>(address(real::PSELECT)) };
    forget_here();
    // SAFETY: as the program called us.
    let result = unsafe { real(count, read, write, except, time, set) };
    forget_here();
    result
}

/// epoll_pwait(2): and here.
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait(
    file: c_int,
    events: *mut c_void,
    count: c_int,
    time: c_int,
    set: *const libc::sigset_t,
) -> c_int {
    // SAFETY: the C library's, by its name.
    let real = unsafe { transmute::<usize, EpollWait>(address(real::EPOLL_PWAIT)) };
    forget_here();
    // SAFETY: as the program called us.
    let result = unsafe { real(file, events, count, time, set) };
    forget_here();
    result
}

/// sigaltstack(2).
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaltstack(new: *const libc::stack_t, old: *mut libc::stack_t) -> c_int {
    // SAFETY: the C library's, by its name.
    let real = unsafe { transmute::<usize, Stack>(address(real::SIGALTSTACK)) };
    // SAFETY: as the program called us.
    let result = unsafe { real(new, old) };
    // SAFETY: null, or the program's.
    if let (0, Some(new)) = (result, unsafe { new.as_ref() }) {
        let bytes = match new.ss_flags & libc::SS_DISABLE {
            0 => new.ss_size as u64,
            _ => 0,
        };
        let [begin, length] = &thread().signal_stack;
        begin.store(new.ss_sp as u64, Ordering::Relaxed);
        length.store(bytes, Ordering::Relaxed);
    }
    result
}
