//! Our handler of SIGSEGV and SIGBUS is first; what isn't ours gets to the program's, as if there were none between.
//!
//! The kernel has our handler, with SA_NODEFER (a program's handler that reads through us may fault) and SA_ONSTACK (it may be the stack
//! that is exhausted). What the program asked for is kept here: whoever interposes sigaction(2) calls [`exchange`].
//! A program that asks the kernel without the C library is noticed by [`verify`], and goes behind us then.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::sys::signals::{self, Handler};

/// What is to be done about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// SIG_DFL, SIG_IGN or a function.
    pub handler: usize,
    /// SA_ flags.
    pub flags: u64,
    /// Blocked while it runs; the kernel's form.
    pub mask: u64,
}

/// Actions that are remembered: a reader may look at one that was replaced a moment ago.
const SLOTS: usize = 32;

struct Slot {
    handler: AtomicUsize,
    flags: AtomicU64,
    mask: AtomicU64,
}

/// What the program wants of a signal.
struct Wanted {
    slots: [Slot; SLOTS],
    next: AtomicU32,
    /// 0: nothing was said, or index + 1.
    current: AtomicU32,
}

impl Wanted {
    const fn new() -> Self {
        Self {
            slots: [const {
                Slot {
                    handler: AtomicUsize::new(0),
                    flags: AtomicU64::new(0),
                    mask: AtomicU64::new(0),
                }
            }; SLOTS],
            next: AtomicU32::new(0),
            current: AtomicU32::new(0),
        }
    }

    fn get(&self, current: u32) -> Action {
        let slot = current
            .checked_sub(1)
            .and_then(|index| self.slots.get(index as usize));
        slot.map_or(DEFAULT, |slot| Action {
            handler: slot.handler.load(Ordering::Relaxed),
            flags: slot.flags.load(Ordering::Relaxed),
            mask: slot.mask.load(Ordering::Relaxed),
        })
    }

    fn now(&self) -> Action {
        // Acquire: pairs with `set`.
        self.get(self.current.load(Ordering::Acquire))
    }

    fn set(&self, action: Action) -> Action {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % SLOTS as u32;
        if let Some(slot) = self.slots.get(index as usize) {
            slot.handler.store(action.handler, Ordering::Relaxed);
            slot.flags.store(action.flags, Ordering::Relaxed);
            slot.mask.store(action.mask, Ordering::Relaxed);
        }
        // Release: the slot is seen with it.
        self.get(self.current.swap(index + 1, Ordering::AcqRel))
    }
}

const DEFAULT: Action = Action {
    handler: libc::SIG_DFL,
    flags: 0,
    mask: 0,
};

const SIGNALS: [i32; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// The two, as the kernel has sets.
pub const BITS: u64 = 1 << (libc::SIGSEGV - 1) | 1 << (libc::SIGBUS - 1);

static WANTED: [Wanted; 2] = [const { Wanted::new() }; 2];

/// The process in which ours is installed: a child of vfork shares this memory, but not the kernel's handlers. 0: none.
static INSTALLED_BY: AtomicUsize = AtomicUsize::new(0);

/// The handler that was installed.
static HANDLER: AtomicUsize = AtomicUsize::new(0);

fn wanted(signal: i32) -> Option<&'static Wanted> {
    let index = SIGNALS.iter().position(|&ours| ours == signal)?;
    WANTED.get(index)
}

/// Puts `handler` first. It calls [`is_ours`] and [`pass_on`].
pub fn install(handler: Handler) -> bool {
    HANDLER.store(handler as usize, Ordering::Relaxed);
    let installed = verify_as(handler);
    if installed {
        INSTALLED_BY.store(crate::sys::pid(), Ordering::Release);
    }
    installed
}

/// After fork, in the child: it has the handlers too.
pub fn on_fork() {
    if INSTALLED_BY.load(Ordering::Relaxed) != 0 {
        INSTALLED_BY.store(crate::sys::pid(), Ordering::Relaxed);
    }
}

/// Is ours first, as far as we know?
pub fn is_installed() -> bool {
    INSTALLED_BY.load(Ordering::Acquire) != 0
}

/// Makes sure that ours is first: a handler that came meanwhile goes behind. Whether it is.
pub fn verify() -> bool {
    let address = HANDLER.load(Ordering::Relaxed);
    if address == 0 || !is_installed() {
        return false;
    }
    verify_as(signals::handler_at(address))
}

fn verify_as(handler: Handler) -> bool {
    for (signal, wanted) in SIGNALS.into_iter().zip(&WANTED) {
        match signals::install(signal, handler) {
            Ok(None) => {}
            Ok(Some(before)) => {
                wanted.set(before);
            }
            Err(_) => return false,
        }
    }
    true
}

/// What the program wants of `signal` from now on, if it says so; what it wanted before. `None`: the signal isn't one of ours, or ours is
/// not installed in this process: the kernel is to be asked.
pub fn exchange(signal: i32, new: Option<Action>) -> Option<Action> {
    let wanted = wanted(signal)?;
    if !is_installed() || INSTALLED_BY.load(Ordering::Relaxed) != crate::sys::pid() {
        return None;
    }
    // What came since, unseen, is what this one replaces.
    verify();
    Some(match new {
        Some(new) => wanted.set(new),
        None => wanted.now(),
    })
}

/// Is this a fault of a guarded read, or of the victim? It is dealt with when the handler returns.
///
/// # Safety
/// What the kernel gave to a handler of SIGSEGV or SIGBUS.
pub unsafe fn is_ours(info: *mut libc::siginfo_t, context: *mut libc::c_void) -> bool {
    // SAFETY: the caller's.
    unsafe { signals::is_ours(info, context) }
}

/// Does what the program wants done about a signal that isn't ours.
///
/// # Safety
/// What the kernel gave to a handler of SIGSEGV or SIGBUS.
pub unsafe fn pass_on(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(wanted) = wanted(signal) else { return };
    let action = wanted.now();
    // SAFETY: the caller's.
    let was_sent = unsafe { signals::was_sent(info) };
    match action.handler {
        libc::SIG_IGN if was_sent => {}
        // The kernel kills who ignores a fault.
        libc::SIG_DFL | libc::SIG_IGN => {
            signals::reset(signal);
            // A fault comes again by itself, and is the default's then.
            if was_sent {
                // SAFETY: the caller's.
                unsafe { signals::send_again(signal, info) };
            }
        }
        handler => {
            if action.flags & libc::SA_RESETHAND as u64 != 0 {
                wanted.set(DEFAULT);
            }
            let own = match action.flags & libc::SA_NODEFER as u64 {
                0 => signals::bit(signal),
                _ => 0,
            };
            signals::block(action.mask | own);
            // SAFETY: the program gave it to sigaction; the rest is the caller's.
            unsafe { signals::run(handler, signal, info, context) };
        }
    }
}

/// Can the calling thread take both signals? It asks the kernel.
pub fn can_take() -> bool {
    signals::blocked().is_some_and(|set| set & BITS == 0)
}
