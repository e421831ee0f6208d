//! The C library's functions that programs find here first: those that end calls without a return, or leave
//! them for those of another stack, those that bring modules, and those that may forbid system calls.

use core::sync::atomic::{AtomicUsize, Ordering};

use umbel_trace_ring::layout::Mode;
use umbel_trace_ring::sys::be_quiet;
use umbel_trace_ring::word::{Code, ContextCall};

use crate::message::tell;
use crate::process::leave;
use crate::signals;
use crate::slow::special;
use crate::sys::global::{live, page, process, thread};
use crate::sys::libc_calls::{next_function, successor};
use crate::sys::memory::block_signals;

/// Numbers of the functions.
pub mod real {
    pub const SETJMP: usize = 0;
    pub const UNDERSCORE_SETJMP: usize = 1;
    pub const SIGSETJMP: usize = 2;
    pub const LONGJMP: usize = 3;
    pub const UNDERSCORE_LONGJMP: usize = 4;
    pub const SIGLONGJMP: usize = 5;
    pub const LONGJMP_CHK: usize = 6;
    pub const DLOPEN: usize = 7;
    pub const DLCLOSE: usize = 8;
    pub const PRCTL: usize = 9;
    pub const SYSCALL: usize = 10;
    pub const GETCONTEXT: usize = 11;
    pub const SETCONTEXT: usize = 12;
    pub const MAKECONTEXT: usize = 13;
    pub const SWAPCONTEXT: usize = 14;
    pub const SIGACTION: usize = 15;
    pub const SIGNAL: usize = 16;
    pub const SYSV_SIGNAL: usize = 17;
    pub const SIGPROCMASK: usize = 18;
    pub const PTHREAD_SIGMASK: usize = 19;
    pub const SIGSUSPEND: usize = 20;
    pub const PPOLL: usize = 21;
    pub const PSELECT: usize = 22;
    pub const EPOLL_PWAIT: usize = 23;
    pub const SIGALTSTACK: usize = 24;
}

const NAMES: [&core::ffi::CStr; 25] = [
    c"setjmp",
    c"_setjmp",
    c"__sigsetjmp",
    c"longjmp",
    c"_longjmp",
    c"siglongjmp",
    c"__longjmp_chk",
    c"dlopen",
    c"dlclose",
    c"prctl",
    c"syscall",
    c"getcontext",
    c"setcontext",
    c"makecontext",
    c"swapcontext",
    c"sigaction",
    c"signal",
    c"__sysv_signal",
    c"sigprocmask",
    c"pthread_sigmask",
    c"sigsuspend",
    c"ppoll",
    c"pselect",
    c"epoll_pwait",
    c"sigaltstack",
];

static ADDRESSES: [AtomicUsize; 25] = [const { AtomicUsize::new(0) }; 25];

/// Finds the real functions, once: no program does so in the middle of a signal handler then.
pub fn find_all() {
    for number in 0..NAMES.len() {
        address(number);
    }
}

/// Where the real function is.
pub fn address(number: usize) -> usize {
    let (Some(place), Some(name)) = (ADDRESSES.get(number), NAMES.get(number)) else {
        return 0;
    };
    match place.load(Ordering::Relaxed) {
        0 => {
            let found = next_function(name);
            place.store(found, Ordering::Relaxed);
            found
        }
        found => found,
    }
}

/// Before one of them runs: `first` and `second` are what it is called with. Where it is.
pub extern "C" fn on_jump(first: u64, second: u64, number: usize) -> usize {
    if page().mode.load(Ordering::Relaxed) != Mode::Off as u32 {
        match number {
            real::DLOPEN => on_open(),
            real::SETJMP | real::UNDERSCORE_SETJMP | real::SIGSETJMP => {
                special(Code::SetJump, &[first]);
            }
            real::GETCONTEXT => on_context(ContextCall::Get, first, 0),
            real::SETCONTEXT => on_context(ContextCall::Set, first, 0),
            real::MAKECONTEXT => on_context(ContextCall::Make, first, successor(first)),
            real::SWAPCONTEXT => on_context(ContextCall::Swap, first, second),
            _ => special(Code::LongJump, &[first]),
        }
    }
    // Jumps may bring other signals to be blocked.
    signals::forget_here();
    address(number)
}

fn on_context(call: ContextCall, first: u64, second: u64) {
    special(Code::Context, &[call as u64, first, second]);
}

/// Before the program calls the kernel by one of two functions. Where the real one is.
pub extern "C" fn on_kernel_call(first: u64, second: u64, number: usize) -> usize {
    if forbids_clock(first, second, number) && live().is_some() {
        leave();
        tell(format_args!(
            "the program forbids itself to read the clock: nothing more is recorded of it"
        ));
    }
    let forbids = match number {
        real::PRCTL => first as i32 == libc::PR_SET_SECCOMP,
        _ => first as libc::c_long == libc::SYS_seccomp,
    };
    if forbids {
        // The hooks need none; what does goes without from now on.
        be_quiet();
    }
    address(number)
}

/// Will the time stamp counter kill? So it does in the strict mode of seccomp(2), and where a program asks for that.
fn forbids_clock(first: u64, second: u64, number: usize) -> bool {
    match number {
        real::PRCTL => match first as i32 {
            libc::PR_SET_SECCOMP => second == u64::from(libc::SECCOMP_MODE_STRICT),
            libc::PR_SET_TSC => second as i32 == libc::PR_TSC_SIGSEGV,
            _ => false,
        },
        _ => {
            first as libc::c_long == libc::SYS_seccomp
                && second == u64::from(libc::SECCOMP_SET_MODE_STRICT)
        }
    }
}

/// Modules may come: their first hook on this thread finds no chunk, and looks. Looking when the real function is back would be too
/// late for the constructors of the new modules, and it can't be called from here ([`crate::sys::jumps`]).
fn on_open() {
    let Some(live) = live() else { return };
    let thread = thread();
    let _blocked = block_signals();
    thread.modules_due.store(1, Ordering::Relaxed);
    thread.producer.retire(live, &process());
}

/// Modules may be gone.
pub fn on_closed() {
    let Some(live) = live() else { return };
    let thread = thread();
    if page().mode.load(Ordering::Relaxed) == Mode::Off as u32
        || thread.producer.inside.load(Ordering::Relaxed) != 0
    {
        return;
    }
    let _blocked = block_signals();
    thread.producer.inside.store(1, Ordering::Relaxed);
    crate::modules::look(live);
    thread.producer.inside.store(0, Ordering::Relaxed);
}
